// SPDX-License-Identifier: MIT
/*
 * MOE: a mixture of experts (N. Shazeer et al., "Outrageously Large Neural Networks", 2017):
 * feed-forward networks of which each token takes those that a router likes best, and perhaps one
 * that all take.
 */
#include "layer.h"

enum { NORM, LIKES, CHOSEN, WEIGHTS, GATE, UP, RESULTS, SHARED_GATE, SHARED_UP, SWITCH, Y, OTHER, SHARED, WEIGH };

/* The least sum that weights are divided by: llama.cpp's, the smallest normal number of F16. */
#define FLOOR 0x1p-14f

static bool gated(const struct layer *l)
{
	return l->w[MOE_GATE].data || l->w[MOE_GATE_UP].data;
}

/* What is added is not added as it comes. */
static bool apart(const struct layer *l)
{
	return layer_adds_apart(l) || l->w[MOE_SHARED_SWITCH].data || l->w[MOE_EXPERTS_POST].data;
}

/* Columns of what lies between the matrices of an expert, and of that which all take. */
static uint64_t expert_columns(const struct layer *l)
{
	return l->part.of ? l->part.inner.all : l->moe.expert.width;
}

static uint64_t shared_columns(const struct layer *l)
{
	return l->part.of ? l->part.shared.all : l->moe.shared.width;
}

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	const struct moe *m = &l->moe;

	(void)s;
	switch (i) {
	case NORM:
		return l->embd;
	case LIKES:
		return m->experts;
	case CHOSEN:
	case WEIGHTS:
		return m->used;
	case GATE:
		return l->w[MOE_GATE_UP].data ? 2ull * m->used * m->expert.width :
		       l->w[MOE_GATE].data ? m->used * expert_columns(l) : 0;
	case UP:
		return m->used * expert_columns(l);
	case RESULTS:
		return (uint64_t)m->used * l->embd;
	case SHARED_GATE:
		return l->w[MOE_SHARED_GATE].data ? shared_columns(l) : 0;
	case SHARED_UP:
		return shared_columns(l);
	case SWITCH:
		return l->w[MOE_SHARED_SWITCH].data ? 1 : 0;
	case Y:
		return apart(l) ? l->embd : 0;
	case OTHER:
		return l->w[MOE_ROUTER_NORM].data || l->w[MOE_SHARED_NORM].data ? l->embd : 0;
	case SHARED:
		return l->w[MOE_EXPERTS_POST].data ? l->embd : 0;
	case WEIGH:
		return l->w[MOE_WEIGH].data ? m->used : 0;
	}
	return 0;
}

static int prepare(struct layer *l, struct accel_model *m)
{
	const struct table owner = { .kind = TABLE_OWNER, .n = l->moe.used };

	l->moe.times = model_times(m, l->moe.used);
	if (l->moe.times < 0)
		return l->moe.times;
	l->moe.owner = model_table(m, &owner);
	return l->moe.owner < 0 ? l->moe.owner : 0;
}

/* What came in, by a norm of its own if there is one. */
static struct octans_tensor normed(struct build *b, int slot)
{
	if (!build_has(b, slot))
		return build_scratch(b, NORM);
	build_norm(b, build_scratch(b, OTHER), build_x(b), slot, NO_BIAS);
	return build_scratch(b, OTHER);
}

/* What an expert's weights are multiplied by is the expert's. */
static void weigh(struct build *b, struct octans_tensor chosen, struct octans_tensor weights)
{
	const struct moe *m = &b->layer->moe;
	const struct octans_tensor by = build_scratch(b, WEIGH);
	struct octans_tensor each = build_weight(b, MOE_WEIGH);

	each.rows = each.cols;
	each.cols = 1;
	each.stride = sizeof(float);
	RECORD(&b->r, MOVE, move, 0, .dst = build_split(b, by, m->times, m->used), .src = each,
	       .src_ids = build_split(b, chosen, m->times, m->used));
	build_map(b, weights, OCTANS_MAP_ID, weights, OCTANS_MAP_MUL, by);
}

/* A row's experts, and what each of them counts. */
static void choose(struct build *b, struct octans_tensor chosen, struct octans_tensor weights)
{
	static const struct octans_tensor none;
	const struct moe *m = &b->layer->moe;
	const struct octans_tensor likes = build_scratch(b, LIKES);
	const bool of_chosen = m->gate == MOE_SOFTMAX_OF_CHOSEN;

	build_matmul(b, likes, normed(b, MOE_ROUTER_NORM), MOE_ROUTER, MOE_ROUTER_B, 0);
	if (m->gate == MOE_SOFTMAX) {
		RECORD(&b->r, ROW, row, OCTANS_ROW_SOFTMAX, .dst = likes, .x = likes, .groups = 1);
	} else if (m->gate == MOE_SIGMOID) {
		build_map(b, likes, OCTANS_MAP_SIGMOID, likes, OCTANS_MAP_NONE, none);
	} else if (m->gate == MOE_SQRT_SOFTPLUS) {
		build_map(b, likes, OCTANS_MAP_SOFTPLUS, likes, OCTANS_MAP_NONE, none);
		build_map(b, likes, OCTANS_MAP_SQRT, likes, OCTANS_MAP_NONE, none);
	}
	RECORD(&b->r, TOPK, topk,
	       (m->renorm ? OCTANS_TOPK_RENORM : 0) | (m->groups > 1 && m->group_top2 ? OCTANS_TOPK_GROUP_TOP2 : 0),
	       .ids = chosen, .values = weights, .x = likes, .bias = build_weight(b, MOE_CHOICE_B), .k = m->used,
	       .groups = m->groups, .groups_used = m->groups_used, .floor = m->renorm ? FLOOR : 0,
	       .scale = of_chosen ? 1 : m->scale);
	if (!of_chosen)
		return;
	RECORD(&b->r, ROW, row, OCTANS_ROW_SOFTMAX, .dst = weights, .x = weights, .groups = 1);
	if (m->scale != 1)
		build_affine(b, weights, weights, m->scale, 0);
}

/* What all experts of all rows make of them, below each other. */
static struct octans_tensor run_experts(struct build *b, struct octans_tensor chosen)
{
	const struct moe *m = &b->layer->moe;
	const struct columns *inner = &b->layer->part.inner;
	const struct octans_tensor norm = build_scratch(b, NORM), none = { 0 };
	struct octans_tensor gate, up = build_own(b, build_split(b, build_scratch(b, UP), m->times, m->used), inner);

	if (!gated(b->layer)) {
		build_matmul_by(b, up, norm, MOE_UP, MOE_BUP, chosen);
		return build_activation(b, &m->expert, up, none);
	}
	gate = build_own(b, build_split(b, build_scratch(b, GATE), m->times, m->used), inner);
	if (build_has(b, MOE_GATE_UP)) {
		build_matmul_by(b, gate, norm, MOE_GATE_UP, NO_BIAS, chosen);
		up = tensor_columns(gate, m->expert.width, m->expert.width);
		gate = tensor_columns(gate, 0, m->expert.width);
	} else {
		build_matmul_by(b, gate, norm, MOE_GATE, MOE_BGATE, chosen);
		build_matmul_by(b, up, norm, MOE_UP, MOE_BUP, chosen);
	}
	return build_activation(b, &m->expert, gate, up);
}

/* All columns of which these are some, as others have computed them. */
static struct octans_tensor gather(struct build *b, struct octans_tensor own, const struct columns *c)
{
	struct octans_tensor all = own;

	if (!c->all)
		return own;
	all.va -= sizeof(float) * c->first;
	all.cols = c->all;
	build_exchange(b, all, c, true);
	return all;
}

static struct octans_tensor run_shared(struct build *b)
{
	const struct ffn *f = &b->layer->moe.shared;
	const struct columns *inner = &b->layer->part.shared;
	const struct octans_tensor norm = normed(b, MOE_SHARED_NORM), none = { 0 };
	const struct octans_tensor up = build_own(b, build_scratch(b, SHARED_UP), inner);
	const struct octans_tensor gate = build_own(b, build_scratch(b, SHARED_GATE), inner);

	build_matmul(b, up, norm, MOE_SHARED_UP, NO_BIAS, 0);
	if (!build_has(b, MOE_SHARED_GATE))
		return gather(b, build_activation(b, f, up, none), inner);
	build_matmul(b, gate, norm, MOE_SHARED_GATE, NO_BIAS, 0);
	return gather(b, build_activation(b, f, gate, up), inner);
}

/* What all take is the first that is added: to x, or to nothing. */
static void record_shared(struct build *b, struct octans_tensor to)
{
	const struct octans_tensor switched = build_scratch(b, SWITCH);

	if (!b->layer->moe.shared.width) {
		if (apart(b->layer))
			build_affine(b, to, build_own(b, build_scratch(b, NORM), &b->layer->part.outer), 0, 0);
		return;
	}
	build_matmul(b, to, run_shared(b), MOE_SHARED_DOWN, NO_BIAS, apart(b->layer) ? 0 : OCTANS_MATMUL_ADD);
	if (!build_has(b, MOE_SHARED_SWITCH))
		return;
	build_matmul(b, switched, build_scratch(b, NORM), MOE_SHARED_SWITCH, NO_BIAS, 0);
	build_map(b, switched, OCTANS_MAP_SIGMOID, switched, OCTANS_MAP_NONE, (struct octans_tensor) { 0 });
	build_map(b, to, OCTANS_MAP_ID, to, OCTANS_MAP_MUL, switched);
}

/* Norms of the shared expert's result, and of that of the others, before they are added. */
static void record_apart(struct build *b, struct octans_tensor to, struct octans_tensor results,
			 struct octans_tensor weights)
{
	const struct moe *m = &b->layer->moe;
	const struct octans_tensor shared = build_scratch(b, SHARED);

	build_affine(b, to, build_scratch(b, NORM), 0, 0);
	RECORD(&b->r, MOVE, move, OCTANS_MOVE_ADD, .dst = to, .dst_ids = build_table_rows(b, m->owner, m->times),
	       .src = results, .scale = build_split(b, weights, m->times, m->used));
	build_norm(b, to, to, MOE_EXPERTS_POST, NO_BIAS);
	build_matmul(b, shared, run_shared(b), MOE_SHARED_DOWN, NO_BIAS, 0);
	build_norm(b, shared, shared, MOE_SHARED_POST, NO_BIAS);
	build_map(b, to, OCTANS_MAP_ID, to, OCTANS_MAP_ADD, shared);
	build_add_of(b, to);
	build_stream(b, MOE_STREAM);
}

/* For who counts which experts are used. */
static void tell_chosen(struct build *b, struct octans_tensor chosen)
{
	struct octans_tensor told = chosen;

	told.va = b->own->chosen;
	if (told.va || !b->at->layers)
		RECORD(&b->r, MOVE, move, 0, .dst = told, .src = chosen);
}

static void record_moe(struct build *b)
{
	const struct moe *m = &b->layer->moe;
	const struct octans_tensor weights = build_scratch(b, WEIGHTS);
	const struct octans_tensor to = apart(b->layer) ? build_scratch(b, Y) : build_x(b);
	const struct columns *outer = &b->layer->part.outer;
	const struct octans_tensor own = build_own(b, to, outer);
	const struct octans_tensor results = build_own(b, build_split(b, build_scratch(b, RESULTS), m->times, m->used),
						       outer);
	struct octans_tensor chosen = build_scratch(b, CHOSEN);

	chosen.type = OCTANS_TYPE_I32;
	build_norm(b, build_scratch(b, NORM), build_x(b), NORM_W, NORM_B);
	choose(b, chosen, weights);
	tell_chosen(b, chosen);
	build_matmul_by(b, results, gather(b, run_experts(b, chosen), &b->layer->part.inner), MOE_DOWN, MOE_BDOWN,
			build_split(b, chosen, m->times, m->used));
	if (build_has(b, MOE_WEIGH))
		weigh(b, chosen, weights);
	if (build_has(b, MOE_EXPERTS_POST)) {
		record_apart(b, to, results, weights);
		return;
	}
	record_shared(b, own);
	RECORD(&b->r, MOVE, move, OCTANS_MOVE_ADD, .dst = own, .dst_ids = build_table_rows(b, m->owner, m->times),
	       .src = results, .scale = build_split(b, weights, m->times, m->used));
	build_exchange(b, to, outer, true);
	if (apart(b->layer))
		build_add_of(b, to);
	build_stream(b, MOE_STREAM);
}

/* Of each expert the same rows. */
static const char *share(struct layer *l, const struct shares *s, uint32_t number)
{
	struct layer_part *p = &l->part;
	struct moe *m = &l->moe;

	if (l->w[MOE_GATE_UP].data)
		return "rows of its experts are of gates, too";
	if (l->w[MOE_EXPERTS_POST].data)
		return "results of its experts are normed by themselves";
	p->inner = shares_of_rows(s, number, m->expert.width);
	p->outer = shares_of_rows(s, number, l->embd);
	weight_take_rows(&l->w[MOE_GATE], &p->inner);
	weight_take_rows(&l->w[MOE_UP], &p->inner);
	weight_take_rows(&l->w[MOE_DOWN], &p->outer);
	weight_take_columns(&l->w[MOE_BGATE], &p->inner);
	weight_take_columns(&l->w[MOE_BUP], &p->inner);
	weight_take_columns(&l->w[MOE_BDOWN], &p->outer);
	m->expert.width = p->inner.n;
	if (!m->shared.width)
		return NULL;
	p->shared = shares_of_rows(s, number, m->shared.width);
	weight_take_rows(&l->w[MOE_SHARED_GATE], &p->shared);
	weight_take_rows(&l->w[MOE_SHARED_UP], &p->shared);
	weight_take_rows(&l->w[MOE_SHARED_DOWN], &p->outer);
	m->shared.width = p->shared.n;
	return NULL;
}

const struct layer_kind layer_moe = {
	.id = ACCEL_LAYER_MOE, .name = "MOE", .prepare = prepare, .scratch = scratch,
	.record = record_moe, .share = share,
};
