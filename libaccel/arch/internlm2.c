// SPDX-License-Identifier: MIT
/*
 * internlm2: the blocks of llama, and nothing of what other models of that name have.  (Z. Cai et
 * al., "InternLM2", 2024.)  ernie4_5: the same (Baidu, "ERNIE 4.5", 2025).  exaone, seed_oss: with
 * rotary positions of halves (LG AI Research, "EXAONE 3.5", 2024; ByteDance, "Seed-OSS", 2025).
 * arcee: feed-forward networks without a gate, of the square of ReLU (Arcee AI, "AFM-4.5B", 2025).
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
};

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_SILU;
	return arch_derive_heads(h, path);
}

static int derive_arcee(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_RELU2;
	return arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	TENSORS_OF_QKV_BIASES,
};

static const struct arch_tensor feed_forward[] = {
	TENSORS_OF_FFN_NORMED("ffn_norm.weight"),
};

static const struct arch_tensor feed_forward_seed[] = {
	TENSORS_OF_FFN_NORMED("post_attention_norm.weight"),
};

static const struct arch_tensor feed_forward_arcee[] = {
	NORM("ffn_norm.weight",		FFN_NORM,	embd),
	MATRIX("ffn_up.weight",		FFN_UP,		ff,	embd),
	MATRIX("ffn_down.weight",	FFN_DOWN,	embd,	ff),
};

#define BLOCK(name, ffn) \
	static const struct arch_layer name[] = { \
		{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL }, \
		{ &layer_ffn, ffn, ARCH_N(ffn), arch_set_ffn, NULL }, \
	}

BLOCK(block, feed_forward);
BLOCK(block_seed, feed_forward_seed);
BLOCK(block_arcee, feed_forward_arcee);

const struct arch arch_internlm2 = {
	.name = "internlm2", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};

const struct arch arch_ernie4_5 = {
	.name = "ernie4_5", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};

const struct arch arch_exaone = {
	.name = "exaone", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};

const struct arch arch_seed_oss = {
	.name = "seed_oss", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true,
	.first = &arch_first, .last = &arch_last, .block = block_seed, .n_block = ARCH_N(block_seed),
};

const struct arch arch_arcee = {
	.name = "arcee", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive_arcee, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = block_arcee, .n_block = ARCH_N(block_arcee),
};
