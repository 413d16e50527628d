// SPDX-License-Identifier: MIT
/*
 * phi3: the blocks of llama with joined tensors, a window, and factors of rotary positions for long
 * contexts. (M. Abdin et al., "Phi-3", 2024.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEY_U32("attention.sliding_window",		window,		0,	UINT32_MAX),
};

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_SILU;
	/* As transformers has it; llama.cpp attends to all. */
	h->slides = h->window && h->window < h->ctx;
	h->ff2 = 2 * h->ff;
	return arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	TENSORS_OF_QKV_BIASES,
};

static const struct arch_tensor feed_forward[] = {
	NORM("ffn_norm.weight",		FFN_NORM,	embd),
	TENSORS_OF_FFN_JOINED,
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, NULL },
};

const struct arch arch_phi3 = {
	.name = "phi3", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .rope_long = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
