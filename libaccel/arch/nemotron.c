// SPDX-License-Identifier: MIT
/*
 * nemotron: LayerNorms, whose weights files have with the one added, and feed-forward networks
 * without a gate, of the square of ReLU.  (J. Parmar et al., "Nemotron-4 15B", 2024.)  Minitron,
 * Luciole 1B.  starcoder2: of GELU. (A. Lozhkov et al., "StarCoder 2", 2024.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_FF,
	NEED_F32("attention.layer_norm_epsilon",	eps,		0,	1),
};

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_RELU2;
	return arch_derive_heads(h, path);
}

static int derive_gelu(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_GELU_TANH;
	return arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	NORM("attn_norm.bias",		NORM_B,		embd),
	TENSORS_OF_QKV,
	TENSORS_OF_QKV_BIASES,
};

static const struct arch_tensor feed_forward[] = {
	NORM("ffn_norm.weight",		FFN_NORM,	embd),
	NORM("ffn_norm.bias",		NORM_B,		embd),
	MATRIX("ffn_up.weight",		FFN_UP,		ff,	embd),
	MATRIX("ffn_down.weight",	FFN_DOWN,	embd,	ff),
	BIAS("ffn_up.bias",		FFN_BUP,		ff),
	BIAS("ffn_down.bias",		FFN_BDOWN,		embd),
};

static const struct arch_tensor head[] = {
	NORM("output_norm.weight",	HEAD_NORM,	embd),
	NORM("output_norm.bias",	NORM_B,		embd),
	MATRIX_OR("output.weight",	HEAD_OUT,	out_vocab,	embd,	"token_embd.weight"),
};

static const struct arch_layer last = { &layer_head, head, ARCH_N(head), arch_set_head, NULL };
static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, NULL },
};

const struct arch arch_nemotron = {
	.name = "nemotron", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .norm = OCTANS_ROW_LAYER, .first = &arch_first, .last = &last, .block = block,
	.n_block = ARCH_N(block),
};

const struct arch arch_starcoder2 = {
	.name = "starcoder2", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive_gelu, .rope = true,
	.rope_half = true, .norm = OCTANS_ROW_LAYER, .first = &arch_first, .last = &last, .block = block,
	.n_block = ARCH_N(block),
};
