// SPDX-License-Identifier: MIT
/*
 * ATTN_GQA: attention of grouped queries (J. Ainslie et al., "GQA", 2023) to keys and values in
 * pages. What models vary, they say: norms of queries and keys, biases, rotary positions or none, a
 * window, a factor by position, sinks, slopes (O. Press et al., "ALiBi", 2021), a gate of what
 * comes out.  Or a layer has only queries, and attends to what one before it keeps.
 */
#include "layer.h"

enum { NORM, Q, K, V, ATT, Y, QUERY, TEMPERATURE };

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	const struct attn_gqa *a = &l->attn;

	(void)s;
	switch (i) {
	case NORM:
		return l->embd;
	case Q:
		return a->heads * a->head_dim * (a->gated ? 2 : 1);
	case K:
		return l->state.of ? 0 : a->kv_heads * a->head_dim;
	case V:
		return l->state.of ? 0 : a->kv_heads * a->value_dim;
	case ATT:
		return l->part.of ? l->part.inner.all : a->heads * a->value_dim;
	case Y:
		return layer_adds_apart(l) ? l->embd : 0;
	case QUERY:
		return a->gated ? a->heads * a->head_dim : 0;
	case TEMPERATURE:
		return a->temperature != LAYER_NONE;
	}
	return 0;
}

static int prepare(struct layer *l, struct accel_model *m)
{
	l->attn.times = l->attn.gated ? model_times(m, l->attn.heads) : LAYER_NONE;
	return l->attn.gated && l->attn.times < 0 ? l->attn.times : 0;
}

static void norm_heads(struct build *b, struct octans_tensor x, int slot, uint32_t heads)
{
	if (build_has(b, slot))
		build_rms(b, x, x, slot, b->layer->attn.whole_norm ? 1 : heads);
}

static void project(struct build *b, struct octans_tensor dst, struct octans_tensor x, int w, int bias)
{
	const float clamp = b->layer->attn.clamp;

	build_matmul(b, dst, x, w, bias, 0);
	if (clamp)
		RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_CLAMP, OCTANS_MAP_NONE), .dst = dst, .a = dst,
		       .imm = { 0, 0, -clamp, clamp });
}

static void project_keys(struct build *b, struct octans_tensor x)
{
	const struct octans_tensor none = { 0 };

	project(b, build_scratch(b, K), x, ATTN_K, ATTN_BK);
	if (build_has(b, ATTN_V))
		project(b, build_scratch(b, V), x, ATTN_V, ATTN_BV);
	else	/* what keys are before they are normed */
		build_map(b, build_scratch(b, V), OCTANS_MAP_ID, build_scratch(b, K), OCTANS_MAP_NONE, none);
}

/* Keys and values of the new positions go to their pools. */
static void record_keys(struct build *b)
{
	const struct attn_gqa *a = &b->layer->attn;
	const struct octans_tensor k = build_scratch(b, K), v = build_scratch(b, V);
	const struct octans_tensor slots = build_array(b, b->at->step.slots, 1);

	if (a->value_norm)
		RECORD(&b->r, ROW, row, OCTANS_ROW_RMS, .dst = v, .x = v, .groups = a->kv_heads, .eps = b->layer->eps);
	norm_heads(b, k, ATTN_KNORM, a->kv_heads);
	if (a->rope != LAYER_NONE)
		build_rotate(b, k, a->rope, a->kv_heads, a->head_dim, 0);
	RECORD(&b->r, MOVE, move, 0, .dst = build_pool(b, KEEP_KEYS, k.cols), .dst_ids = slots, .src = k);
	RECORD(&b->r, MOVE, move, 0, .dst = build_pool(b, KEEP_VALUES, v.cols), .dst_ids = slots, .src = v);
}

/* Of each head the first half of its columns; the norm of the heads takes them to where they are one by one. */
static struct octans_tensor gated_queries(struct build *b)
{
	const struct attn_gqa *a = &b->layer->attn;
	const struct octans_tensor q = build_scratch(b, QUERY);
	const struct octans_tensor from = build_split(b, build_scratch(b, Q), a->times, a->heads);

	build_map(b, build_split(b, q, a->times, a->heads), OCTANS_MAP_ID,
		  tensor_columns(from, 0, a->head_dim), OCTANS_MAP_NONE, (struct octans_tensor) { 0 });
	return q;
}

static struct octans_tensor record_queries(struct build *b)
{
	const struct attn_gqa *a = &b->layer->attn;
	struct octans_tensor q = a->gated ? gated_queries(b) : build_scratch(b, Q);

	norm_heads(b, q, ATTN_QNORM, a->heads);
	if (a->rope != LAYER_NONE)
		build_rotate(b, q, a->rope, a->heads, a->head_dim, 0);
	if (a->temperature != LAYER_NONE) {
		const struct octans_tensor t = build_scratch(b, TEMPERATURE);

		RECORD(&b->r, MOVE, move, 0, .dst = t, .src = build_table(b, a->temperature),
		       .src_ids = build_array(b, b->at->step.positions, 1));
		build_map(b, q, OCTANS_MAP_ID, q, OCTANS_MAP_MUL, t);
	}
	return q;
}

static void record_gate(struct build *b)
{
	const struct attn_gqa *a = &b->layer->attn;
	const struct octans_tensor att = build_split(b, build_scratch(b, ATT), a->times, a->heads);
	const struct octans_tensor q = build_split(b, build_scratch(b, Q), a->times, a->heads);

	build_map(b, att, OCTANS_MAP_SIGMOID, tensor_columns(q, a->head_dim, a->head_dim), OCTANS_MAP_MUL, att);
}

static void record_attention(struct build *b)
{
	const struct attn_gqa *a = &b->layer->attn;
	const struct octans_tensor x = build_input(b, NORM);
	const struct octans_tensor att = build_scratch(b, ATT);
	struct octans_cmd_attend cmd = {
		.dst = build_own(b, att, &b->layer->part.inner), .heads = a->heads, .kv_heads = a->kv_heads, .dk = a->head_dim,
		.dv = a->value_dim, .scale = a->scale, .cap = a->cap,
		.k = build_pool(b, KEEP_KEYS, a->kv_heads * a->head_dim),
		.v = build_pool(b, KEEP_VALUES, a->kv_heads * a->value_dim),
		.sinks = build_weight(b, ATTN_SINKS), .slopes = build_weight(b, ATTN_SLOPES),
	};

	if (!b->layer->state.of)
		project_keys(b, x);
	project(b, build_scratch(b, Q), x, ATTN_Q, ATTN_BQ);
	if (!b->layer->state.of)
		record_keys(b);
	cmd.q = record_queries(b);
	build_attend(b, &cmd, a->window);
	if (a->gated)
		record_gate(b);
	build_exchange(b, att, &b->layer->part.inner, true);
	build_add(b, att, ATTN_OUT, ATTN_BOUT, Y);
}

static struct columns times(struct columns c, uint32_t n)
{
	return (struct columns) { c.first * n, c.n * n, c.all * n };
}

/* Heads that keys and values have in common are shared, and with each its queries. */
static const char *share(struct layer *l, const struct shares *s, uint32_t number)
{
	struct attn_gqa *a = &l->attn;
	const struct columns kv = shares_of(s, number, a->kv_heads, 1), heads = times(kv, a->heads / a->kv_heads);
	const struct columns q = times(heads, a->head_dim), k = times(kv, a->head_dim), v = times(kv, a->value_dim);

	if (!kv.n)
		return "it has too few heads of keys and values";
	if (a->gated)
		return "rows of its queries are of gates, too";
	if (a->whole_norm && (l->w[ATTN_QNORM].data || l->w[ATTN_KNORM].data))
		return "its norms are of all heads together";
	weight_take_rows(&l->w[ATTN_Q], &q);
	weight_take_rows(&l->w[ATTN_K], &k);
	weight_take_rows(&l->w[ATTN_V], &v);
	weight_take_columns(&l->w[ATTN_BQ], &q);
	weight_take_columns(&l->w[ATTN_BK], &k);
	weight_take_columns(&l->w[ATTN_BV], &v);
	if (l->w[ATTN_QNORM].cols == q.all)
		weight_take_columns(&l->w[ATTN_QNORM], &q);
	if (l->w[ATTN_KNORM].cols == k.all)
		weight_take_columns(&l->w[ATTN_KNORM], &k);
	weight_take_columns(&l->w[ATTN_SINKS], &heads);
	weight_take_columns(&l->w[ATTN_SLOPES], &heads);
	l->part.inner = times(heads, a->value_dim);
	l->part.outer = shares_of_rows(s, number, l->embd);
	weight_take_rows(&l->w[ATTN_OUT], &l->part.outer);
	weight_take_columns(&l->w[ATTN_BOUT], &l->part.outer);
	l->part.kept[0] = k.first;
	l->part.kept[1] = v.first;
	l->state.k_cols = k.n;
	l->state.v_cols = v.n;
	a->heads = heads.n;
	a->kv_heads = kv.n;
	return NULL;
}

const struct layer_kind layer_attn_gqa = {
	.id = ACCEL_LAYER_ATTN_GQA, .name = "ATTN_GQA", .grouped = true, .prepare = prepare, .scratch = scratch,
	.record = record_attention, .share = share,
};
