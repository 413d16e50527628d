// SPDX-License-Identifier: MIT
/*
 * apertus: norms of each head's queries and keys, and feed-forward networks without a gate, of
 * xIELU (A. Huang, I. Schlag, "Deriving Activation Functions Using Integration", 2024).  (Project
 * Apertus, 2025.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_XIELU,
};

static int derive(struct hparams *h, const char *path)
{
	arch_derive_xielu(h);
	return arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	TENSORS_OF_QKV_BIASES,
	NORM("attn_q_norm.weight",	ATTN_QNORM,	key_dim),
	NORM("attn_k_norm.weight",	ATTN_KNORM,	key_dim),
};

static const struct arch_tensor feed_forward[] = {
	NORM("ffn_norm.weight",		FFN_NORM,	embd),
	MATRIX("ffn_up.weight",		FFN_UP,		ff,	embd),
	MATRIX("ffn_down.weight",	FFN_DOWN,	embd,	ff),
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, NULL },
};

const struct arch arch_apertus = {
	.name = "apertus", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
