// SPDX-License-Identifier: MIT
/*
 * qwen2: the blocks of llama, but queries, keys and values have biases, and rotary positions turn
 * an element of a head's first half with one of its second.  (A. Yang et al., "Qwen2", 2024.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEY_KNOWN("attention.sliding_window"),
};

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_SILU;
	return arch_derive_heads(h, path);
}

static const struct arch_tensor head[] = {
	NORM("output_norm.weight",	HEAD_NORM,			embd),
	MATRIX_OR("output.weight",	HEAD_OUT,	out_vocab,	embd,	"token_embd.weight"),
	BIAS("output.bias",		HEAD_BOUT,			out_vocab),
};

static const struct arch_layer last = { &layer_head, head, ARCH_N(head), arch_set_head, NULL };

const struct arch arch_qwen2 = {
	.name = "qwen2", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true,
	.first = &arch_first, .last = &last, .block = arch_block, .n_block = ARCH_BLOCK,
};
