// SPDX-License-Identifier: MIT
/*
 * glm4moe: many experts chosen by sigmoids, after some blocks that have none.  (GLM-4.5 Team,
 * "GLM-4.5", 2025.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEYS_OF_ROUTER,
	KEY_OF_NEXTN,
	KEY_KNOWN("rope.dimension_sections"),	/* of text all positions are the same */
};

static int derive(struct hparams *h, const char *path)
{
	int err;

	h->activation = OCTANS_MAP_SILU;
	if (!h->gating)
		h->gating = GATING_SIGMOID;
	err = arch_derive_experts(h, path);
	return err ? err : arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	TENSORS_OF_QKV_BIASES,
	BIAS("attn_q_norm.weight",	ATTN_QNORM,	key_dim),
	BIAS("attn_k_norm.weight",	ATTN_KNORM,	key_dim),
};

static const struct arch_tensor feed_forward[] = {
	TENSORS_OF_FFN_NORMED("post_attention_norm.weight"),
};

static const struct arch_tensor experts[] = {
	NORM("post_attention_norm.weight", MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
	NEED_TENSOR_OF_CHOICE,
	TENSORS_OF_SHARED,
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, arch_has_experts },
};

const struct arch arch_glm4moe = {
	.name = "glm4moe", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
