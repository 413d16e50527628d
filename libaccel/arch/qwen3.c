// SPDX-License-Identifier: MIT
/*
 * qwen3: the blocks of llama with norms of each head's queries and keys.  qwen3moe: with experts.
 * (A. Yang et al., "Qwen3", 2025.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEYS_OF_FIXED_ROUTER(GATING_SOFTMAX, 1),
};

static int derive(struct hparams *h, const char *path)
{
	int err;

	h->activation = OCTANS_MAP_SILU;
	h->weights_norm = 1;
	err = arch_derive_experts(h, path);
	return err ? err : arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	NORM("attn_q_norm.weight",	ATTN_QNORM,	key_dim),
	NORM("attn_k_norm.weight",	ATTN_KNORM,	key_dim),
};

static const struct arch_tensor feed_forward[] = {
	NORM("ffn_norm.weight",		FFN_NORM,	embd),
	TENSORS_OF_FFN,
};

static const struct arch_tensor experts[] = {
	NORM("ffn_norm.weight",		MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, arch_has_experts },
};

const struct arch arch_qwen3 = {
	.name = "qwen3", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};

const struct arch arch_qwen3moe = {
	.name = "qwen3moe", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
