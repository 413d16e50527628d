// SPDX-License-Identifier: MIT
/*
 * gemma2: norms of what is added, too, soft caps of scores and logits, and every other block
 * attends to a window. (Gemma Team, "Gemma 2", 2024.)
 */
#include "blocks.h"

#include <math.h>

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEY_U32("attention.sliding_window",		window,		1,	UINT32_MAX),
	KEY_PATTERN("attention.sliding_window_pattern",	window_pattern),
	KEY_F32("attn_logit_softcapping",		cap,		0,	1e6),
	KEY_F32("final_logit_softcapping",		out_cap,	0,	1e6),
};

#define BLOCKS_27B 46		/* whose heads' scale is another */

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_GELU_TANH;
	h->embd_scale = sqrtf(h->embd);
	h->slides = arch_slides(h, 2);
	/* The first files do not say what is the same in all models. */
	h->window = h->window ? h->window : 4096;
	h->cap = h->cap ? h->cap : 50;
	h->out_cap = h->out_cap ? h->out_cap : 30;
	if (h->blocks == BLOCKS_27B)
		h->scale = 1 / sqrtf((float)h->embd / h->heads);
	return arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
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

const struct arch arch_gemma2 = {
	.name = "gemma2", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
