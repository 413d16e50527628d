// SPDX-License-Identifier: MIT
/*
 * gemma3: norms of what is added and of each head's queries and keys; five of six blocks attend to
 * a window, and know positions in other steps.  (Gemma Team, "Gemma 3", 2025.)
 */
#include "blocks.h"

#include <math.h>

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEY_U32("attention.sliding_window",		window,		0,	UINT32_MAX),
	KEY_PATTERN("attention.sliding_window_pattern",	window_pattern),
	KEY_F32("final_logit_softcapping",		out_cap,	0,	1e6),
	KEY_F32("rope.freq_base_swa",			rope.base_swa,	1.001,	1e12),
};

#define BLOCKS_27B 62		/* whose heads' scale is another */

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_GELU_TANH;
	h->embd_scale = sqrtf(h->embd);
	h->slides = h->window && arch_slides(h, 6);
	if (h->blocks == BLOCKS_27B)
		h->scale = 1 / sqrtf((float)h->embd / h->heads);
	return arch_derive_heads(h, path);
}

static int rope_of_window(struct rope *r, const struct hparams *h)
{
	r->base = h->rope.base_swa ? h->rope.base_swa : 10000;
	r->scale = 1;
	return 0;
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	NORM("attn_q_norm.weight",	ATTN_QNORM,	key_dim),
	NORM("attn_k_norm.weight",	ATTN_KNORM,	key_dim),
	NORM("post_attention_norm.weight", POST_W,	embd),
};

static const struct arch_tensor feed_forward[] = {
	NORM("ffn_norm.weight",		FFN_NORM,	embd),
	TENSORS_OF_FFN,
	NORM("post_ffw_norm.weight",	POST_W,		embd),
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, NULL },
};

const struct arch arch_gemma3 = {
	.name = "gemma3", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .rope_swa = rope_of_window,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
