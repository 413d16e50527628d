// SPDX-License-Identifier: MIT
/*
 * minimax-m2: experts in every block, and norms of the queries and keys of all heads together.
 * (MiniMax, "MiniMax-M2", 2025.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEY_U32("expert_gating_func",			gating,		0,	GATING_SQRT_SOFTPLUS),
	KEY_ONLY("expert_weights_norm",			1,		1),
	KEY_ONLY("expert_weights_scale",		1,		0),
};

static int derive(struct hparams *h, const char *path)
{
	int err;

	h->activation = OCTANS_MAP_SILU;
	h->whole_norm = 1;
	if (!h->gating)
		h->gating = GATING_SIGMOID;
	h->weights_norm = 1;
	err = arch_derive_experts(h, path);
	return err ? err : arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	NORM("attn_q_norm.weight",	ATTN_QNORM,	q),
	NORM("attn_k_norm.weight",	ATTN_KNORM,	kv),
};

static const struct arch_tensor experts[] = {
	NORM("ffn_norm.weight",		MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
	NEED_TENSOR_OF_CHOICE,
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, NULL },
};

const struct arch arch_minimax_m2 = {
	.name = "minimax-m2", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
