// SPDX-License-Identifier: MIT
/*
 * bloom: LayerNorms, also of embeddings, and positions told by slopes of scores alone (O. Press et
 * al., "ALiBi", 2021).  (BigScience, "BLOOM", 2022.)  Poro 34B.
 */
#include "blocks.h"

#include <stdbool.h>

#include "model/exact.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_FF,
	NEED_F32("attention.layer_norm_epsilon",	eps,		0,	1),
	KEY_F32("attention.max_alibi_bias",		alibi,		0,	1e6),
	KEY_KNOWN("rope.dimension_count"),
	KEY_KNOWN("rope.freq_base"),
};

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_GELU_TANH;
	if (!h->alibi)
		h->alibi = 8;
	return arch_derive_heads(h, path);
}

/* Of heads in order: the powers of two first, then, between them, those of twice as many. */
static int set_slopes(struct layer *l, const struct hparams *h, struct loader *ld)
{
	const double ln2 = exact_ln(2);
	uint32_t two = 1;
	float *slopes;
	int err = loader_convert(ld, 1, 1, h->heads, &l->w[ATTN_SLOPES], &slopes);

	while (2 * two <= h->heads)
		two *= 2;
	for (uint32_t i = 0; i < h->heads && !err; i++) {
		double power = i < two ? i + 1.0 : (i - two) + 0.5;

		slopes[i] = (float)exact_exp(-ln2 * h->alibi * power / two);
	}
	return err ? err : arch_set_attention(l, h, ld);
}

static const struct arch_tensor embed[] = {
	MATRIX("token_embd.weight",	EMBED_TABLE,	vocab,	embd),
	NORM("token_embd_norm.weight",	EMBED_NORM,	embd),
	NORM("token_embd_norm.bias",	EMBED_NORM_B,	embd),
};

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

static const struct arch_layer first = { &layer_embed, embed, ARCH_N(embed), arch_set_embed, NULL };
static const struct arch_layer last = { &layer_head, head, ARCH_N(head), arch_set_head, NULL };
static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), set_slopes, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, NULL },
};

const struct arch arch_bloom = {
	.name = "bloom", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .norm = OCTANS_ROW_LAYER,
	.first = &first, .last = &last, .block = block, .n_block = ARCH_N(block),
};
