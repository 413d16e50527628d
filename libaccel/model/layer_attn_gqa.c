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
		return a->heads * a->value_dim;
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
	struct octans_cmd_attend cmd = {
		.dst = build_scratch(b, ATT), .heads = a->heads, .kv_heads = a->kv_heads, .dk = a->head_dim,
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
	build_add(b, cmd.dst, ATTN_OUT, ATTN_BOUT, Y);
}

const struct layer_kind layer_attn_gqa = {
	.id = ACCEL_LAYER_ATTN_GQA, .name = "ATTN_GQA", .grouped = true, .prepare = prepare, .scratch = scratch,
	.record = record_attention,
};
