// SPDX-License-Identifier: MIT
/*
 * granite: the blocks of llama with factors: of embeddings, of what is added, of scores, and one that logits are
 * divided by.  granitemoe: with experts.  (IBM, "Granite 3.0", 2024.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
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

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	TENSORS_OF_QKV_BIASES,
};

static const struct arch_tensor feed_forward[] = {
	NORM("ffn_norm.weight",		FFN_NORM,	embd),
	TENSORS_OF_FFN,
	TENSORS_OF_FFN_BIASES,
};

static const struct arch_tensor experts[] = {
	NORM("ffn_norm.weight",		MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
	TENSORS_OF_SHARED,
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, arch_has_experts },
};

const struct arch arch_granite = {
	.name = "granite", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};

const struct arch arch_granitemoe = {
	.name = "granitemoe", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
