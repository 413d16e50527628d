// SPDX-License-Identifier: MIT
/*
 * llama: RMSNorm, grouped queries with rotary positions, SwiGLU; each of both halves of a block is
 * added to what came in.  (H. Touvron et al., "Llama 2", 2023.)  Most open models are this, with or
 * without biases, a tied head, or a head width of their own.
 */
#include <errno.h>

#include "blocks.h"
#include "error.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEY_OF_RMS,
	KEY_F32("attention.scale",			scale,		0,	1e6),
	KEY_U32("attention.sliding_window",		window,		0,	UINT32_MAX),
	/* Models that compute more, as converters write them under this name */
	KEY_ONLY("attention.causal",			1,		1),
	KEY_ONLY("attention.clamp_kqv",			0,		0),
	KEY_ONLY("attention.max_alibi_bias",		0,		0),
	KEY_ONLY("rope.scaling.yarn_log_multiplier",	0,		0),
	KEY_ONLY("logit_scale",				1,		0),
	KEY_ONLY("embedding_scale",			1,		0),
	KEY_ONLY("residual_scale",			1,		0),
	KEY_ONLY("final_logit_softcapping",		0,		0),
	KEY_ONLY("attn_logit_softcapping",		0,		0),
	KEY_ONLY("use_parallel_residual",		0,		0),
	KEY_ONLY("nextn_predict_layers",		0,		0),
	/* Said again by the tokenizer, by tensors, or of mixtures, windows and encoders that this is not */
	KEY_KNOWN("interleave_moe_layer_step"),
	KEY_KNOWN("attention.sliding_window_pattern"),
	KEY_KNOWN("rope.freq_base_swa"),
	KEY_KNOWN("rope.dimension_count_swa"),
	KEY_KNOWN("decoder_start_token_id"),
	KEY_KNOWN("attention.layer_norm_epsilon"),
	KEY_KNOWN("pooling_type"),
	KEY_KNOWN("tensor_data_layout"),
};

static int derive(struct hparams *h, const char *path)
{
	if (h->window && h->window < h->ctx)
		return fail(-EINVAL, "%s: \"llama.attention.sliding_window\" is %u, less than the context of %u, which is not supported",
			    path, h->window, h->ctx);
	/* What files say of experts is said of other architectures. */
	h->gating = h->groups = h->groups_used = h->shared = h->shared_ff = h->expert_ff = h->dense = 0;
	h->weights_norm = 1;
	h->activation = OCTANS_MAP_SILU;
	return arch_derive_experts(h, path) ? -EINVAL : arch_derive_heads(h, path);
}

const struct arch arch_llama = {
	.name = "llama", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = arch_block, .n_block = ARCH_BLOCK,
};
