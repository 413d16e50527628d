// SPDX-License-Identifier: MIT
/*
 * ATTN_MLA: multi-head latent attention (DeepSeek-AI, "DeepSeek-V2", 2024).  Of a position kv_rank numbers are
 * kept, of which keys and values of all heads are made, and a rotated part that all keys share.
 *
 * Always absorbed: queries are taken to the latent space, and results come back from it, instead of keys and
 * values being made of what is kept.  Made for a prompt they would cost less there, but round otherwise, and
 * a prompt would have other bits than the same tokens one by one.
 */
#include "layer.h"

enum { NORM, BOTTLENECK, Q, LATENT, ABSORBED, ATT, VALUES, Y, TEMPERATURE };

static uint32_t scratch(const struct layer *l, unsigned int i)
{
	const struct attn_mla *a = &l->mla;

	switch (i) {
	case NORM:
		return l->embd;
	case BOTTLENECK:
		return a->q_rank;
	case Q:
		return a->heads * (a->nope + a->rot);
	case LATENT:
		return a->kv_rank + a->rot;
	case ABSORBED:
		return a->heads * (a->kv_rank + a->rot);
	case ATT:
		return a->heads * a->kv_rank;
	case VALUES:
		return a->heads * a->value_dim;
	case Y:
		return layer_adds_apart(l) ? l->embd : 0;
	case TEMPERATURE:
		return a->temperature != LAYER_NONE;
	}
	return 0;
}

static int prepare(struct layer *l, struct accel_model *m)
{
	const struct table each = { .kind = TABLE_EACH, .n = l->mla.heads };

	l->mla.times = model_times(m, l->mla.heads);
	if (l->mla.times < 0)
		return l->mla.times;
	l->mla.head_of = model_table(m, &each);
	return l->mla.head_of < 0 ? l->mla.head_of : 0;
}

/* Rows of a buffer by head. */
static struct octans_tensor by_head(const struct build *b, unsigned int i)
{
	return build_split(b, build_scratch(b, i), b->layer->mla.times, b->layer->mla.heads);
}

static struct octans_tensor heads(const struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;

	return build_split(b, build_table_rows(b, a->head_of, LAYER_NONE), a->times, a->heads);
}

/* What is kept of the new positions goes to its pool. */
static void record_latent(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const struct octans_tensor latent = build_scratch(b, LATENT), made = tensor_columns(latent, 0, a->kv_rank);

	build_matmul(b, latent, build_scratch(b, NORM), MLA_KVA, NO_BIAS, 0);
	build_rms(b, made, made, MLA_KVA_NORM, 1);
	build_rotate(b, latent, a->rope, 1, a->kv_rank + a->rot, a->kv_rank);
	RECORD(&b->r, MOVE, move, 0, .dst = build_pool(b, KEEP_KEYS, latent.cols),
	       .dst_ids = build_array(b, b->at->step.slots, 1), .src = latent);
}

static void record_queries(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const struct octans_tensor q = build_scratch(b, Q), c = build_scratch(b, BOTTLENECK);
	const struct octans_tensor norm = build_scratch(b, NORM);

	if (a->q_rank) {
		build_matmul(b, c, norm, MLA_QA, NO_BIAS, 0);
		build_rms(b, c, c, MLA_QA_NORM, 1);
		build_matmul(b, q, c, MLA_QB, NO_BIAS, 0);
	} else {
		build_matmul(b, q, norm, MLA_Q, NO_BIAS, 0);
	}
	build_rotate(b, q, a->rope, a->heads, a->nope + a->rot, a->nope);
	if (a->temperature != LAYER_NONE) {
		const struct octans_tensor t = build_scratch(b, TEMPERATURE);

		RECORD(&b->r, MOVE, move, 0, .dst = t, .src = build_table(b, a->temperature),
		       .src_ids = build_array(b, b->at->step.positions, 1));
		build_map(b, q, OCTANS_MAP_ID, q, OCTANS_MAP_MUL, t);
	}
}

/* Queries in the latent space, of each head, and behind each its rotated part. */
static void absorb(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const struct octans_tensor q = by_head(b, Q), to = by_head(b, ABSORBED);

	build_matmul_by(b, tensor_columns(to, 0, a->kv_rank), tensor_columns(q, 0, a->nope), MLA_KB, NO_BIAS,
			heads(b));
	RECORD(&b->r, MOVE, move, 0, .dst = tensor_columns(to, a->kv_rank, a->rot),
	       .src = tensor_columns(q, a->nope, a->rot));
}

static void record_attention(struct build *b)
{
	const struct attn_mla *a = &b->layer->mla;
	const uint32_t kept = a->kv_rank + a->rot;
	struct octans_cmd_attend cmd = {
		.dst = build_scratch(b, ATT), .q = build_scratch(b, ABSORBED), .k = build_pool(b, KEEP_KEYS, kept),
		.v = build_pool(b, KEEP_KEYS, a->kv_rank), .heads = a->heads, .kv_heads = 1, .dk = kept,
		.dv = a->kv_rank, .scale = a->scale,
	};

	build_norm(b, build_scratch(b, NORM), build_x(b), NORM_W, NORM_B);
	record_latent(b);
	record_queries(b);
	absorb(b);
	build_attend(b, &cmd, 0);
	build_matmul_by(b, by_head(b, VALUES), by_head(b, ATT), MLA_VB, NO_BIAS, heads(b));
	build_add(b, build_scratch(b, VALUES), MLA_OUT, NO_BIAS, Y);
}

const struct layer_kind layer_attn_mla = {
	.id = ACCEL_LAYER_ATTN_MLA, .name = "ATTN_MLA", .grouped = true, .prepare = prepare, .scratch = scratch,
	.record = record_attention,
};
