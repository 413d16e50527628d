// SPDX-License-Identifier: MIT
/*
 * olmo2: what is added is normed, and not what comes in; norms of all heads' queries and keys
 * together.  (Team OLMo, "2 OLMo 2 Furious", 2024.)  Olmo 3: three of four blocks attend to a
 * window, and their positions are not scaled.
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEY_U32("attention.sliding_window",		window,		0,	UINT32_MAX),
	KEY_PATTERN("attention.sliding_window_pattern",	window_pattern),
	KEY_F32("rope.freq_base_swa",			rope.base_swa,	1.001,	1e12),
};

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_SILU;
	h->whole_norm = 1;
	h->slides = h->window && arch_slides(h, 4);
	return arch_derive_heads(h, path);
}

static int rope_of_window(struct rope *r, const struct hparams *h)
{
	if (h->rope.base_swa)
		r->base = h->rope.base_swa;
	r->scale = r->magnitude = 1;
	r->extrapolate = 0;
	r->divisor = NULL;
	return 0;
}

static const struct arch_tensor attention[] = {
	TENSORS_OF_QKV,
	NORM("attn_q_norm.weight",	ATTN_QNORM,	q),
	NORM("attn_k_norm.weight",	ATTN_KNORM,	kv),
	NORM("post_attention_norm.weight", POST_W,	embd),
};

static const struct arch_tensor feed_forward[] = {
	TENSORS_OF_FFN,
	NORM("post_ffw_norm.weight",	POST_W,		embd),
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, NULL },
};

const struct arch arch_olmo2 = {
	.name = "olmo2", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .rope_swa = rope_of_window,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
