// SPDX-License-Identifier: MIT
#include "mla.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "model/exact.h"
#include "type/type.h"

/* Converters have multiplied the multiplier by a tenth; or none is said. */
#define TENTH 0.1

/* What scores have the square of, as llama.cpp has it: with YaRN the multiplied logarithm, or, apart, the
 * plain one; without, both. */
static double score_factor(const struct hparams *h, bool apart)
{
	const double ln = h->rope.factor > 1 ? exact_ln(h->rope.factor) : 0;
	const double one = 1 + TENTH * ln, all = 1 + h->rope.log_mul * ln;

	if (h->rope.scaling != ROPE_YARN)
		return h->rope.magnitude * one * all;
	return h->rope.magnitude * (apart || !h->rope.log_mul ? one : all);
}

int arch_derive_mla(struct hparams *h, const char *path, bool apart)
{
	const double m = score_factor(h, apart);
	const uint32_t rot = h->rope.rot;

	/* Files of before heads were absorbed say sizes of heads where later ones say those of what is kept. */
	if (!h->mla_key_dim)
		h->mla_key_dim = h->key_dim;
	if (!h->mla_value_dim)
		h->mla_value_dim = h->value_dim;
	if (!rot || rot >= h->mla_key_dim || h->mla_key_dim > OCTANS_MAX_HEAD_DIM || !h->mla_value_dim ||
	    h->mla_value_dim > OCTANS_MAX_HEAD_DIM || !h->kv_rank || h->kv_rank + rot > OCTANS_MAX_HEAD_DIM)
		return fail(-EINVAL, "%s: latent attention of %u numbers, heads of %u keys, of which %u are rotated, and %u values are not supported",
			    path, h->kv_rank, h->mla_key_dim, rot, h->mla_value_dim);
	h->nope_dim = h->mla_key_dim - rot;
	h->kva = h->kv_rank + rot;
	h->kvb = h->heads * (h->nope_dim + h->mla_value_dim);
	h->q = h->heads * h->mla_key_dim;
	h->att = h->heads * h->mla_value_dim;
	h->scale = (float)(m * m / sqrt(h->mla_key_dim));
	h->key_dim = h->mla_key_dim;
	return 0;
}

int arch_mla_rope_apart(struct rope *r, const struct hparams *h, const char *path)
{
	(void)h;
	(void)path;
	r->shrink /= TENTH;
	return 0;
}

int arch_mla_rope(struct rope *r, const struct hparams *h, const char *path)
{
	(void)h;
	(void)path;
	/* Scores have the factor squared, cosines and sines do not have it. */
	if (r->shrink)
		r->stretch = r->shrink;
	return 0;
}

/* Keys and values of each head out of the matrix that makes both, keys so that they can be absorbed. */
static int take_apart(struct layer *l, const struct hparams *h, struct loader *ld)
{
	struct weight *w = &l->w[MLA_KVB];
	const uint32_t nope = h->nope_dim, values = h->mla_value_dim, rank = h->kv_rank;
	float *k, *v, *row = malloc(rank * sizeof(*row));
	int err = row ? 0 : fail(-ENOMEM, "no memory for a row of weights");

	if (!err)
		err = loader_convert(ld, h->heads, rank, nope, &l->w[MLA_KB], &k);
	if (!err)
		err = loader_convert(ld, h->heads, values, rank, &l->w[MLA_VB], &v);
	for (uint32_t i = 0; i < h->kvb && !err; i++) {
		uint32_t head = i / (nope + values), r = i % (nope + values);

		type_widen(weight_type(w->type), row, (const uint8_t *)w->data + i * w->stride, rank);
		for (uint32_t c = 0; c < rank && r < nope; c++)
			k[((size_t)head * rank + c) * nope + r] = row[c];
		if (r >= nope)
			memcpy(v + ((size_t)head * values + r - nope) * rank, row, rank * sizeof(*row));
	}
	free(row);
	*w = (struct weight) { 0 };
	return err;
}

int arch_set_mla(struct layer *l, const struct hparams *h, struct loader *ld)
{
	const bool apart = l->w[MLA_KB].data && l->w[MLA_VB].data;
	int err;

	if (apart == !!l->w[MLA_KVB].data || !l->w[MLA_KB].data != !l->w[MLA_VB].data)
		return fail(-EINVAL, "%s: block %u needs the tensors \"attn_k_b.weight\" and \"attn_v_b.weight\", or \"attn_kv_b.weight\" and none of the two",
			    ld->path, h->block);
	if (!l->w[MLA_Q].data == !h->q_rank)
		return fail(-EINVAL, "%s: block %u %s the tensor \"attn_q.weight\", but \"attention.q_lora_rank\" is %u",
			    ld->path, h->block, h->q_rank ? "has" : "has not", h->q_rank);
	if (h->q_rank && (!l->w[MLA_QA].data || !l->w[MLA_QA_NORM].data || !l->w[MLA_QB].data))
		return fail(-EINVAL, "%s: block %u needs the tensors \"attn_q_a.weight\", \"attn_q_a_norm.weight\" and \"attn_q_b.weight\"",
			    ld->path, h->block);
	l->mla = (struct attn_mla) {
		.heads = h->heads, .q_rank = h->q_rank, .kv_rank = h->kv_rank, .nope = h->nope_dim,
		.rot = h->rope.rot, .value_dim = h->mla_value_dim, .scale = h->scale, .rope = 0,
	};
	l->state.k_cols = h->kva;
	l->state.head_dim = h->kva % 32 ? h->kva : h->kv_rank;
	if (h->index_heads) {
		l->mla.index.heads = h->index_heads;
		l->mla.index.dim = h->index_dim;
		l->mla.index.top = h->index_top;
		l->mla.index.rope = 1;
		l->state.v_cols = h->index_dim;
		if (h->index_dim % 32)
			l->state.head_dim = h->index_dim;
	}
	err = arch_set_temperature(&l->mla.temperature, h, ld);
	return err || apart ? err : take_apart(l, h, ld);
}
