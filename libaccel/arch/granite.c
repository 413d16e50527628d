// SPDX-License-Identifier: MIT
/*
 * granite: the blocks of llama with factors: of embeddings, of what is added, of scores, and one
 * that logits are divided by.  granitemoe: with experts.  (IBM, "Granite 3.0", 2024.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEYS_OF_FIXED_ROUTER(GATING_SOFTMAX, 1),
	KEY_F32("attention.scale",			scale,		0,	1e6),
	NEED_F32("logit_scale",				logit_scale,	1e-6,	1e6),
	KEY_F32("residual_scale",			residual,	0,	1e6),
	KEY_F32("embedding_scale",			embd_scale,	0,	1e6),
	KEY_U32("rope.scaling.finetuned",		positions,	0,	1),
};

static int derive(struct hparams *h, const char *path)
{
	int err;

	h->activation = OCTANS_MAP_SILU;
	h->weights_norm = 1;
	h->logit_scale = 1 / h->logit_scale;
	h->no_rope = !h->positions;
	err = arch_derive_experts(h, path);
	return err ? err : arch_derive_heads(h, path);
}

const struct arch arch_granite = {
	.name = "granite", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = arch_block, .n_block = ARCH_BLOCK,
};

const struct arch arch_granitemoe = {
	.name = "granitemoe", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = arch_block, .n_block = ARCH_BLOCK,
};
