// SPDX-License-Identifier: MIT
/*
 * ATTN_GQA: attention of grouped queries (J. Ainslie et al., "GQA", 2023) with rotary positions, to
 * keys and values in pages.
 */
#include "layer.h"

enum { NORM, Q, K, V, ATT };

static uint32_t scratch(const struct layer *l, unsigned int i)
{
	const struct attn_gqa *a = &l->attn;

	switch (i) {
	case NORM:
		return l->embd;
	case Q:
	case ATT:
		return a->heads * a->head_dim;
	case K:
	case V:
		return a->kv_heads * a->head_dim;
	}
	return 0;
}

static void rotate(struct build *b, unsigned int buf, uint32_t heads)
{
	const struct attn_gqa *a = &b->layer->attn;
	const struct rope *rope = a->rope;
	const struct octans_tensor x = build_scratch(b, buf);

	if (!rope)
		return;
	RECORD(&b->r, ROPE, rope, rope->half ? OCTANS_ROPE_HALF : 0, .dst = x, .x = x,
	       .cs = tensor_f32(b->at->rope[rope->index], b->shape->ctx, rope->rot, 0),
	       .pos = build_array(b, b->at->step.positions, 1), .heads = heads,
	       .head_dim = a->head_dim, .rot = rope->rot);
}

/* Keys or values of every position of every sequence. */
static struct octans_tensor pool(const struct build *b, enum keep keep)
{
	return (struct octans_tensor) {
		.va = b->own->keep[keep], .stride = keep_row(b->layer, keep, b->shape),
		.rows = b->shape->pages << b->shape->page_log2,
		.cols = b->layer->attn.kv_heads * b->layer->attn.head_dim,
		.type = kv_element(b->shape->kv_type),
	};
}

static void record_attention(struct build *b)
{
	const struct attn_gqa *a = &b->layer->attn;
	const struct octans_tensor x = build_x(b), norm = build_scratch(b, NORM), q = build_scratch(b, Q);
	const struct octans_tensor k = build_scratch(b, K), v = build_scratch(b, V);
	const struct octans_tensor att = build_scratch(b, ATT);
	const struct octans_tensor keys = pool(b, KEEP_KEYS), values = pool(b, KEEP_VALUES);
	const struct octans_tensor slots = build_array(b, b->at->step.slots, 1);

	build_rms(b, norm, x, ATTN_NORM);
	build_matmul(b, k, norm, ATTN_K, ATTN_BK, 0);
	build_matmul(b, v, norm, ATTN_V, ATTN_BV, 0);
	build_matmul(b, q, norm, ATTN_Q, ATTN_BQ, 0);
	rotate(b, K, a->kv_heads);
	RECORD(&b->r, MOVE, move, 0, .dst = keys, .dst_ids = slots, .src = k);
	RECORD(&b->r, MOVE, move, 0, .dst = values, .dst_ids = slots, .src = v);
	rotate(b, Q, a->heads);
	RECORD(&b->r, ATTEND, attend, 0, .dst = att, .q = q, .k = keys, .v = values,
	       .pages = tensor_i32(b->at->step.pages, b->shape->seqs, shape_seq_pages(b->shape),
				   OCTANS_DYN_ROWS(P_SEQS)),
	       .seq = build_array(b, b->at->step.seqs, 1),
	       .range = build_array(b, b->at->step.ranges, 2),
	       .heads = a->heads, .kv_heads = a->kv_heads, .dk = a->head_dim, .dv = a->head_dim,
	       .page_log2 = b->shape->page_log2, .scale = a->scale);
	build_matmul(b, x, att, ATTN_OUT, ATTN_BOUT, OCTANS_MATMUL_ADD);
}

const struct layer_kind layer_attn_gqa = {
	.id = ACCEL_LAYER_ATTN_GQA, .name = "ATTN_GQA", .grouped = true, .scratch = scratch,
	.record = record_attention,
};
