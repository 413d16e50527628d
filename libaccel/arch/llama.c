// SPDX-License-Identifier: MIT
/*
 * llama: RMSNorm, grouped queries with rotary positions, SwiGLU; each of both halves of a block is
 * added to what came in.  (H. Touvron et al., "Llama 2", 2023.)  Most open models are this, with or
 * without biases, a tied head, or a head width of their own.
 */
#include <errno.h>

#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEYS_OF_FIXED_ROUTER(GATING_SOFTMAX, 1),
	KEY_OF_RMS,
	/* Of windows and encoders that this is not, and of blocks that are told by their tensors */
	KEY_KNOWN("interleave_moe_layer_step"),
	KEY_KNOWN("attention.sliding_window_pattern"),
	KEY_KNOWN("rope.freq_base_swa"),
	KEY_KNOWN("rope.dimension_count_swa"),
	KEY_KNOWN("decoder_start_token_id"),
};

static int derive(struct hparams *h, const char *path)
{
	/* Its experts are as wide as its feed-forward network, and none is shared, whatever is said of others. */
	h->expert_ff = h->shared = h->shared_ff = 0;
	h->weights_norm = 1;
	h->activation = OCTANS_MAP_SILU;
	return arch_derive_experts(h, path) ? -EINVAL : arch_derive_heads(h, path);
}

const struct arch arch_llama = {
	.name = "llama", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = arch_block, .n_block = ARCH_BLOCK,
};
