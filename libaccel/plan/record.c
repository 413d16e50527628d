// SPDX-License-Identifier: MIT
#include "record.h"

#include <string.h>

const uint32_t top_sizes[TOP_LISTS] = { 1, 64, OCTANS_MAX_TOPK };

const char *op_name(uint32_t op)
{
	static const char *const names[] = {
		[OCTANS_OP_NOP] = "NOP", [OCTANS_OP_MOVE] = "MOVE", [OCTANS_OP_MATMUL] = "MATMUL",
		[OCTANS_OP_ROW] = "ROW", [OCTANS_OP_MAP] = "MAP", [OCTANS_OP_ROPE] = "ROPE",
		[OCTANS_OP_ATTEND] = "ATTEND", [OCTANS_OP_TOPK] = "TOPK", [OCTANS_OP_CONV] = "CONV",
		[OCTANS_OP_SCAN] = "SCAN", [OCTANS_OP_COPY] = "COPY",
		[OCTANS_OP_PREFETCH] = "PREFETCH", [OCTANS_OP_SIGNAL] = "SIGNAL",
		[OCTANS_OP_WAIT] = "WAIT",
	};

	return op < OCTANS_OP_COUNT ? names[op] : "?";
}

void recorder_begin(struct recorder *r, const struct accel_model *m, const struct shape *shape,
		    const struct places *at)
{
	*r = (struct recorder) {
		.m = m, .shape = shape, .at = at, .rows = OCTANS_DYN_ROWS(P_ROWS), .group = -1,
	};
}

void record(struct recorder *r, enum octans_op op, uint16_t flags, void *cmd, uint32_t size)
{
	struct octans_cmd *head = cmd;
	size_t at = r->size;

	/* Both groups have the same commands, of the same sizes. */
	if (r->group >= 0)
		at += r->size - r->start + r->group * size;
	head->op = op;
	head->flags = flags;
	head->size = size;
	if (r->base)
		memcpy(r->base + at, cmd, size);
	r->size += size;
	r->ops |= 1ull << op;
}

/* ---- tensors ---- */

static const struct layer_places *places_of(const struct recorder *r, uint32_t layer)
{
	static const struct layer_places nowhere;	/* when commands are only counted */

	return r->at->layers ? &r->at->layers[layer] : &nowhere;
}

static struct octans_tensor f32(uint64_t va, uint32_t rows, uint32_t cols, uint32_t dyn)
{
	return (struct octans_tensor) {
		.va = va, .stride = cols * 4ull, .rows = rows, .cols = cols, .type = OCTANS_TYPE_F32,
		.dyn = dyn,
	};
}

static struct octans_tensor i32(uint64_t va, uint32_t rows, uint32_t cols, uint32_t dyn)
{
	struct octans_tensor t = f32(va, rows, cols, dyn);

	t.type = OCTANS_TYPE_I32;
	return t;
}

/* The rows of a buffer that are worked on. */
static struct octans_tensor rows_of(const struct recorder *r, enum buf buf)
{
	return f32(r->at->buf[buf], r->shape->batch, model_buf_cols(r->m, buf), r->rows);
}

/* As many rows of logits as parameter p says. */
static struct octans_tensor logits(const struct recorder *r, enum param p)
{
	return f32(r->at->buf[BUF_LOGITS], r->shape->out, r->m->n_vocab, OCTANS_DYN_ROWS(p));
}

/* An array of the step, for the rows that are worked on. */
static struct octans_tensor array(const struct recorder *r, uint64_t va, uint32_t cols)
{
	return i32(va, r->shape->batch, cols, r->rows);
}

/* A weight of a layer; absent if the model has none. */
static struct octans_tensor weight(const struct recorder *r, uint32_t layer, int slot)
{
	const struct weight *w = &r->m->layers[layer].w[slot];

	if (!w->data)
		return (struct octans_tensor) { 0 };
	return (struct octans_tensor) {
		.va = places_of(r, layer)->w[slot], .stride = w->stride, .rows = w->rows, .cols = w->cols,
		.type = w->type,
	};
}

/* ---- operations ---- */

static void move(struct recorder *r, struct octans_tensor dst, struct octans_tensor src)
{
	struct octans_cmd_move c = { .dst = dst, .src = src };

	record(r, OCTANS_OP_MOVE, 0, &c, sizeof(c));
}

static void gather(struct recorder *r, struct octans_tensor dst, struct octans_tensor src,
		   struct octans_tensor ids)
{
	struct octans_cmd_move c = { .dst = dst, .src = src, .src_ids = ids };

	record(r, OCTANS_OP_MOVE, 0, &c, sizeof(c));
}

static void scatter(struct recorder *r, struct octans_tensor dst, struct octans_tensor ids,
		    struct octans_tensor src)
{
	struct octans_cmd_move c = { .dst = dst, .src = src, .dst_ids = ids };

	record(r, OCTANS_OP_MOVE, 0, &c, sizeof(c));
}

static void rms(struct recorder *r, struct octans_tensor dst, struct octans_tensor x,
		struct octans_tensor w)
{
	struct octans_cmd_row c = { .dst = dst, .x = x, .w = w, .groups = 1, .eps = r->m->eps };

	record(r, OCTANS_OP_ROW, OCTANS_ROW_RMS, &c, sizeof(c));
}

static void matmul(struct recorder *r, struct octans_tensor dst, struct octans_tensor x,
		   struct octans_tensor w, struct octans_tensor bias, uint16_t flags)
{
	struct octans_cmd_matmul c = { .dst = dst, .x = x, .w = w, .bias = bias, .planes = 1 };

	record(r, OCTANS_OP_MATMUL, flags, &c, sizeof(c));
}

static void rope(struct recorder *r, enum buf buf, uint32_t heads)
{
	const struct accel_model *m = r->m;
	struct octans_cmd_rope c = {
		.dst = rows_of(r, buf), .x = rows_of(r, buf),
		.cs = f32(r->at->rope, r->shape->ctx, m->rot, 0),
		.pos = array(r, r->at->step.positions, 1),
		.heads = heads, .head_dim = m->head_dim, .rot = m->rot,
	};

	record(r, OCTANS_OP_ROPE, m->rope_half ? OCTANS_ROPE_HALF : 0, &c, sizeof(c));
}

/* dst = silu(a) * b */
static void silu_mul(struct recorder *r, struct octans_tensor dst, struct octans_tensor a,
		     struct octans_tensor b)
{
	struct octans_cmd_map c = { .dst = dst, .a = a, .b = b };

	record(r, OCTANS_OP_MAP, OCTANS_MAP(OCTANS_MAP_SILU, OCTANS_MAP_MUL), &c, sizeof(c));
}

/* Keys or values of every position. */
static struct octans_tensor pool(const struct recorder *r, uint64_t va)
{
	return (struct octans_tensor) {
		.va = va, .stride = model_kv_row(r->m, r->shape->kv_type), .rows = r->shape->ctx,
		.cols = r->m->n_kv_heads * r->m->head_dim, .type = kv_element(r->shape->kv_type),
	};
}

static void attend(struct recorder *r, uint32_t layer)
{
	const struct accel_model *m = r->m;
	struct octans_cmd_attend c = {
		.dst = rows_of(r, BUF_ATT), .q = rows_of(r, BUF_Q),
		.k = pool(r, places_of(r, layer)->k), .v = pool(r, places_of(r, layer)->v),
		.range = array(r, r->at->step.ranges, 2),
		.heads = m->n_heads, .kv_heads = m->n_kv_heads, .dk = m->head_dim, .dv = m->head_dim,
		.scale = m->attn_scale,
	};

	record(r, OCTANS_OP_ATTEND, 0, &c, sizeof(c));
}

/* ---- layers ---- */

static const struct octans_tensor none;

static void record_embed(struct recorder *r, uint32_t layer)
{
	gather(r, rows_of(r, BUF_X), weight(r, layer, EMBED_TABLE),
	       array(r, r->at->step.tokens, 1));
}

static void record_attention(struct recorder *r, uint32_t layer)
{
	const struct octans_tensor x = rows_of(r, BUF_X), norm = rows_of(r, BUF_NORM);
	const struct octans_tensor k = rows_of(r, BUF_K), v = rows_of(r, BUF_V);

	rms(r, norm, x, weight(r, layer, ATTN_NORM));
	matmul(r, k, norm, weight(r, layer, ATTN_K), weight(r, layer, ATTN_BK), 0);
	matmul(r, v, norm, weight(r, layer, ATTN_V), weight(r, layer, ATTN_BV), 0);
	matmul(r, rows_of(r, BUF_Q), norm, weight(r, layer, ATTN_Q), weight(r, layer, ATTN_BQ), 0);
	rope(r, BUF_K, r->m->n_kv_heads);
	scatter(r, pool(r, places_of(r, layer)->k), array(r, r->at->step.positions, 1), k);
	scatter(r, pool(r, places_of(r, layer)->v), array(r, r->at->step.positions, 1), v);
	rope(r, BUF_Q, r->m->n_heads);
	attend(r, layer);
	matmul(r, x, rows_of(r, BUF_ATT), weight(r, layer, ATTN_OUT), weight(r, layer, ATTN_BOUT),
	       OCTANS_MATMUL_ADD);
}

static void record_ffn(struct recorder *r, uint32_t layer)
{
	const struct octans_tensor x = rows_of(r, BUF_X), norm = rows_of(r, BUF_NORM);
	const struct octans_tensor gate = rows_of(r, BUF_GATE), up = rows_of(r, BUF_UP);

	rms(r, norm, x, weight(r, layer, FFN_NORM));
	matmul(r, gate, norm, weight(r, layer, FFN_GATE), none, 0);
	matmul(r, up, norm, weight(r, layer, FFN_UP), none, 0);
	silu_mul(r, gate, gate, up);
	matmul(r, x, gate, weight(r, layer, FFN_DOWN), none, OCTANS_MATMUL_ADD);
}

static void record_top(struct recorder *r, int list)
{
	const struct octans_tensor x = logits(r, P_TOP + list);
	uint32_t k = top_sizes[list] < x.cols ? top_sizes[list] : x.cols;
	struct octans_cmd_topk c = {
		.ids = i32(r->at->top_ids, 1, k, OCTANS_DYN_ROWS(P_TOP + list)),
		.values = f32(r->at->top_values, 1, k, OCTANS_DYN_ROWS(P_TOP + list)),
		.x = x, .k = k, .groups = 1, .groups_used = 1, .scale = 1,
	};

	record(r, OCTANS_OP_TOPK, 0, &c, sizeof(c));
}

static void record_head(struct recorder *r, uint32_t layer)
{
	struct octans_tensor norm = rows_of(r, BUF_NORM);

	norm.dyn = OCTANS_DYN_ROWS(P_OUT);
	gather(r, norm, rows_of(r, BUF_X),
	       i32(r->at->step.wanted, r->shape->out, 1, OCTANS_DYN_ROWS(P_OUT)));
	rms(r, norm, norm, weight(r, layer, HEAD_NORM));
	matmul(r, logits(r, P_OUT), norm, weight(r, layer, HEAD_OUT), none, 0);
	if (r->at->logits != r->at->buf[BUF_LOGITS]) {
		struct octans_tensor from = logits(r, P_LOGITS), to = from;

		to.va = r->at->logits;
		move(r, to, from);
	}
	for (int i = 0; i < TOP_LISTS; i++)
		record_top(r, i);
}

static void record_in_groups(struct recorder *r, uint32_t layer,
			     void (*kind)(struct recorder *r, uint32_t layer))
{
	const uint32_t all = r->rows, rows[] = {
		OCTANS_DYN_ROWS(P_FIRST), OCTANS_DYN(P_SECOND, P_FIRST),
	};

	r->start = r->size;
	for (r->group = 0; r->group < 2; r->group++) {
		r->size = r->start;
		r->rows = rows[r->group];
		kind(r, layer);
	}
	r->size += r->size - r->start;
	r->group = -1;
	r->rows = all;
}

void record_layer(struct recorder *r, uint32_t layer)
{
	switch (r->m->layers[layer].kind) {
	case ACCEL_LAYER_EMBED:
		record_embed(r, layer);
		break;
	case ACCEL_LAYER_ATTN_GQA:
		record_in_groups(r, layer, record_attention);
		break;
	case ACCEL_LAYER_FFN:
		record_in_groups(r, layer, record_ffn);
		break;
	case ACCEL_LAYER_HEAD:
		record_head(r, layer);
		break;
	}
}

void record_stage(struct recorder *r, const struct arrays *from)
{
	const struct arrays *to = &r->at->step;
	uint32_t out = r->shape->out, dyn = OCTANS_DYN_ROWS(P_OUT);

	move(r, array(r, to->tokens, 1), array(r, from->tokens, 1));
	move(r, array(r, to->positions, 1), array(r, from->positions, 1));
	move(r, array(r, to->ranges, 2), array(r, from->ranges, 2));
	move(r, i32(to->wanted, out, 1, dyn), i32(from->wanted, out, 1, dyn));
}

void record_border(struct recorder *r, uint64_t to, uint64_t from)
{
	struct octans_tensor dst = rows_of(r, BUF_X), src = dst;

	dst.va = to;
	src.va = from;
	move(r, dst, src);
}

void record_counters(struct recorder *r, uint64_t va)
{
	struct octans_cmd_signal c = { .va = va };

	record(r, OCTANS_OP_SIGNAL, OCTANS_SIGNAL_COUNTERS, &c, sizeof(c));
}

size_t record_size(const struct accel_model *m, const struct shape *shape, uint32_t layer,
		   uint64_t *ops)
{
	const struct places nowhere = { .logits = 1 };	/* not where they are computed: copied */
	struct recorder r;

	recorder_begin(&r, m, shape, &nowhere);
	record_layer(&r, layer);
	if (ops)
		*ops = r.ops;
	return r.size;
}
