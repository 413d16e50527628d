// SPDX-License-Identifier: MIT
/*
 * gemma: the blocks of llama with GELU instead of SiLU, embeddings times the root of their width,
 * and one table for both ends.  (Gemma Team, "Gemma", 2024.)
 */
#include "blocks.h"

#include <math.h>

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
};

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_GELU_TANH;
	h->embd_scale = sqrtf(h->embd);
	return arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
};

static const struct arch_tensor feed_forward[] = {
	TENSORS_OF_FFN_NORMED("ffn_norm.weight"),
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, NULL },
};

const struct arch arch_gemma = {
	.name = "gemma", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
