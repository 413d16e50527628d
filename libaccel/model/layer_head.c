// SPDX-License-Identifier: MIT
/* HEAD: logits of the rows that are wanted, and the largest of them. */
#include "layer.h"

enum { NORM };

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	(void)s;
	return i == NORM ? l->embd : 0;
}

/* Rows of logits: as many as parameter p says, or a range of them. */
static struct octans_tensor logits(const struct build *b, uint32_t dyn)
{
	const struct layer *l = b->layer;

	return tensor_f32(b->at->logits, b->shape->out, l->part.of ? l->part.outer.all : l->w[HEAD_OUT].rows, dyn);
}

static void record_top(struct build *b, int list)
{
	const struct octans_tensor x = logits(b, OCTANS_DYN_ROWS(P_TOP + list));
	uint32_t k = top_sizes[list] < x.cols ? top_sizes[list] : x.cols;
	uint32_t rows = b->shape->out < TOP_ROWS ? b->shape->out : TOP_ROWS;
	uint32_t dyn = OCTANS_DYN_ROWS(P_TOP + list);

	RECORD(&b->r, TOPK, topk, 0, .ids = tensor_i32(b->at->top_ids, rows, k, dyn),
	       .values = tensor_f32(b->at->top_values, rows, k, dyn), .x = x, .k = k, .groups = 1,
	       .groups_used = 1, .scale = 1);
}

static void record_head(struct build *b)
{
	const struct columns *outer = &b->layer->part.outer;
	const struct octans_tensor whole = logits(b, OCTANS_DYN_ROWS(P_OUT)), all = build_own(b, whole, outer);
	const struct head *h = &b->layer->head;
	struct octans_tensor norm = build_scratch(b, NORM);

	norm.dyn = OCTANS_DYN_ROWS(P_OUT);
	RECORD(&b->r, MOVE, move, 0, .dst = norm, .src = build_x(b),
	       .src_ids = tensor_i32(b->at->step.wanted, b->shape->out, 1, OCTANS_DYN_ROWS(P_OUT)));
	build_norm(b, norm, norm, NORM_W, NORM_B);
	build_matmul(b, all, norm, HEAD_OUT, HEAD_BOUT, 0);
	if (h->scale)
		build_affine(b, all, all, h->scale, 0);
	if (h->cap) {
		RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_TANH, OCTANS_MAP_NONE) | OCTANS_MAP_AFFINE, .dst = all,
		       .a = all, .imm = { 1 / h->cap, 0 });
		build_affine(b, all, all, h->cap, 0);
	}
	build_exchange(b, whole, outer, false);
	if (b->layer->part.number)
		return;
	if (b->at->host_logits != b->at->logits) {
		struct octans_tensor from = logits(b, OCTANS_DYN(P_LOGITS, P_TOP_ROWS));
		struct octans_tensor to = logits(b, OCTANS_DYN_ROWS(P_LOGITS));

		to.va = b->at->host_logits;
		RECORD(&b->r, MOVE, move, 0, .dst = to, .src = from);
	}
	for (int i = 0; i < TOP_LISTS; i++)
		record_top(b, i);
}

/* Logits are of who has them all. */
static const char *share(struct layer *l, const struct shares *s, uint32_t number)
{
	struct columns *outer = &l->part.outer;

	*outer = shares_of_rows(s, number, l->w[HEAD_OUT].rows);
	weight_take_rows(&l->w[HEAD_OUT], outer);
	weight_take_columns(&l->w[HEAD_BOUT], outer);
	return NULL;
}

const struct layer_kind layer_head = {
	.id = ACCEL_LAYER_HEAD, .name = "HEAD", .scratch = scratch, .record = record_head, .share = share,
};
