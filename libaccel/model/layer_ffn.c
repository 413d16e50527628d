// SPDX-License-Identifier: MIT
/*
 * FFN: a feed-forward network, gated (N. Shazeer, "GLU Variants Improve Transformer", 2020) or not.
 */
#include <math.h>

#include "layer.h"

enum { NORM, GATE, UP, Y };

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	(void)s;
	switch (i) {
	case NORM:
		return l->embd;
	case GATE:
		return l->w[FFN_GATE].data ? l->part.of ? l->part.inner.all : l->ffn.width : 0;
	case UP:
		return l->part.of ? l->part.inner.all : l->ffn.width;
	case Y:
		return layer_adds_apart(l) ? l->embd : 0;
	}
	return 0;
}

/* up = gate * sigmoid(1.702 gate) * (up + 1), gate and up clamped: gpt-oss. */
static void limited(struct build *b, float limit, struct octans_tensor gate, struct octans_tensor up)
{
	RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_CLAMP, OCTANS_MAP_NONE), .dst = gate, .a = gate,
	       .imm = { 0, 0, -INFINITY, limit });
	RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_CLAMP, OCTANS_MAP_NONE), .dst = up, .a = up,
	       .imm = { 0, 0, -limit, limit });
	RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_ID, OCTANS_MAP_MUL) | OCTANS_MAP_AFFINE, .dst = up, .a = up,
	       .b = gate, .imm = { 1, 1 });
	RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_SIGMOID, OCTANS_MAP_MUL) | OCTANS_MAP_AFFINE, .dst = up,
	       .a = gate, .b = up, .imm = { 1.702f, 0 });
}

struct octans_tensor build_activation(struct build *b, const struct ffn *f, struct octans_tensor gate,
				      struct octans_tensor up)
{
	const bool xielu = f->activation == OCTANS_MAP_XIELU;

	if (f->limit) {
		limited(b, f->limit, gate, up);
		return up;
	}
	RECORD(&b->r, MAP, map, OCTANS_MAP(f->activation, up.rows ? OCTANS_MAP_MUL : OCTANS_MAP_NONE),
	       .dst = gate, .a = gate, .b = up,
	       .imm = { 0, 0, xielu ? f->alpha_p : 0, xielu ? f->alpha_n : 0 });
	return gate;
}

static void record_ffn(struct build *b)
{
	const struct octans_tensor none = { 0 }, x = build_input(b, NORM);
	const struct columns *inner = &b->layer->part.inner;
	const struct octans_tensor up = build_own(b, build_scratch(b, UP), inner);
	const bool gated = build_has(b, FFN_GATE);
	const struct octans_tensor gate = gated ? build_own(b, build_scratch(b, GATE), inner) : none;
	struct octans_tensor to;

	if (gated)
		build_matmul(b, gate, x, FFN_GATE, FFN_BGATE, 0);
	build_matmul(b, up, x, FFN_UP, FFN_BUP, 0);
	to = gated ? build_activation(b, &b->layer->ffn, gate, up) : build_activation(b, &b->layer->ffn, up, none);
	to = build_scratch(b, to.va == up.va ? UP : GATE);
	build_exchange(b, to, inner, true);
	build_add(b, to, FFN_DOWN, FFN_BDOWN, Y);
	build_stream(b, FFN_STREAM);
}

static const char *share(struct layer *l, const struct shares *s, uint32_t number)
{
	struct columns *inner = &l->part.inner, *outer = &l->part.outer;

	*inner = shares_of_rows(s, number, l->ffn.width);
	*outer = shares_of_rows(s, number, l->embd);
	weight_take_rows(&l->w[FFN_GATE], inner);
	weight_take_rows(&l->w[FFN_UP], inner);
	weight_take_rows(&l->w[FFN_DOWN], outer);
	weight_take_columns(&l->w[FFN_BGATE], inner);
	weight_take_columns(&l->w[FFN_BUP], inner);
	weight_take_columns(&l->w[FFN_BDOWN], outer);
	l->ffn.width = inner->n;
	return NULL;
}

const struct layer_kind layer_ffn = {
	.id = ACCEL_LAYER_FFN, .name = "FFN", .grouped = true, .scratch = scratch, .record = record_ffn,
	.share = share,
};
