// SPDX-License-Identifier: MIT
/* Rotary positions.  The processor takes cosines and sines from a table: one for these tokens is made at each run. */
#include "rec.h"

#include <math.h>

#include "model/exact.h"
#include "model/rope.h"

enum { DIMS = 1, MODE = 2, ORIGINAL = 4, BASE, SCALE, EXTEND, MAGNITUDE, FAST, SLOW, SECTIONS, FIRST = 15 };
/* The last two: a token has AXES positions, and a pair is turned by one of them. */
enum { MODE_NORMAL = 0, MODE_NEOX = 2, MODE_SECTIONS = 8, MODE_INTERLEAVED = 40 };

#define AXES 4

static bool is_given(const struct ggml_tensor *t)
{
	return !t->op || (t->view_src && !t->view_src->op);
}

static bool is_number(float f)
{
	return f > 1e-30f && f < 1e30f;
}

static bool has_axes(const struct ggml_tensor *t)
{
	return t->params[MODE] == MODE_SECTIONS || t->params[MODE] == MODE_INTERLEAVED;
}

static bool sections_ok(const struct ggml_tensor *t)
{
	int64_t sum = 0;

	for (int i = 0; i < AXES; i++) {
		if (t->params[SECTIONS + i] < 0)
			return false;
		sum += t->params[SECTIONS + i];
	}
	return sum > 0 && sum <= t->ne[0] && t->src[1]->ne[0] == AXES * t->ne[2];
}

/* Numbers that logarithms are taken of. */
static bool numbers_ok(const struct ggml_tensor *t)
{
	return is_number(param_f32(t, BASE)) && is_number(param_f32(t, SCALE)) &&
	       (param_f32(t, EXTEND) == 0 || (is_number(param_f32(t, FAST)) && is_number(param_f32(t, SLOW)) &&
					      param_f32(t, BASE) != 1));
}

static bool can_rope(const struct ggml_tensor *t)
{
	const struct ggml_tensor *x = t->src[0], *pos = t->src[1], *divisor = t->src[2];
	const int dims = t->params[DIMS], first = t->params[FIRST];

	if ((t->params[MODE] != MODE_NORMAL && t->params[MODE] != MODE_NEOX && !(has_axes(t) && sections_ok(t))) || dims < 2 || dims % 2 ||
	    first < 0 || dims > t->ne[0] - first || t->ne[0] > OCTANS_MAX_HEAD_DIM || !numbers_ok(t))
		return false;
	return (t->type == GG_F32 || t->type == GG_F16) && x->type == t->type && rows_dense(t) && rows_dense(x) &&
	       t->ne[2] <= MOST_ROWS && pos->type == GG_I32 && is_given(pos) && pos->nb[0] == 4 &&
	       (!divisor || (divisor->type == GG_F32 && divisor->nb[0] == 4 && is_given(divisor)));
}

/* An original context of 0, of which ggml takes a logarithm, turns all pairs but the first slowly, as one of 1 does.
 * ggml's YaRN multiplies by 1 + ln(1 / scale) / 10 whether the scale is below 1 or above. */
static struct rope rope_of(const struct ggml_tensor *t)
{
	const float extend = param_f32(t, EXTEND), scale = param_f32(t, SCALE);

	return (struct rope) {
		.rot = (uint32_t)t->params[DIMS], .base = param_f32(t, BASE), .scale = 1.0 / scale,
		.original = t->params[ORIGINAL] > 0 ? (uint32_t)t->params[ORIGINAL] : 1, .extrapolate = extend, .fast = param_f32(t, FAST),
		.slow = param_f32(t, SLOW), .stretch = 0, .shrink = 0,
		.magnitude = param_f32(t, MAGNITUDE) * (extend != 0 ? 1 + 0.1 * exact_ln(1.0 / scale) : 1),
	};
}

/* The axis whose position turns a pair. */
static int axis_of(const struct ggml_tensor *t, int pair)
{
	const int32_t *n = &t->params[SECTIONS];
	const int at = pair % (n[0] + n[1] + n[2] + n[3]);

	if (t->params[MODE] == MODE_INTERLEAVED) {
		const int axis = at % 3;

		return at < 3 * n[axis] ? axis : 3;
	}
	return at < n[0] ? 0 : at < n[0] + n[1] ? 1 : at < n[0] + n[1] + n[2] ? 2 : 3;
}

/* pos[AXES][tokens]: each pair's cosine and sine are of one of them. */
static void fill_axes(const struct rope *rope, const struct ggml_tensor *t, const int32_t *pos, float *to)
{
	const int64_t tokens = t->ne[2], pairs = t->params[DIMS] / 2;
	float row[OCTANS_MAX_HEAD_DIM];

	for (int64_t i = 0; i < tokens; i++, to += 2 * pairs) {
		rope_rows(rope, &pos[i], 1, to);
		for (int axis = 1; axis < AXES; axis++) {
			if (pos[axis * tokens + i] == pos[i])
				continue;
			rope_rows(rope, &pos[axis * tokens + i], 1, row);
			for (int pair = 0; pair < pairs; pair++)
				if (axis_of(t, pair) == axis) {
					to[pair] = row[pair];
					to[pairs + pair] = row[pairs + pair];
				}
		}
	}
}

static void fill(const struct fix *f, uint8_t *to)
{
	struct rope rope = rope_of(&f->node);
	const int32_t *pos;

	if (f->src[2].data)
		rope.divisor = (const float *)(const void *)content(&f->src[2]);
	pos = (const int32_t *)(const void *)content(&f->src[1]);
	if (has_axes(&f->node))
		fill_axes(&rope, &f->node, pos, (float *)(void *)to);
	else
		rope_rows(&rope, pos, (uint32_t)f->node.ne[2], (float *)(void *)to);
}

static struct ref table_of(struct rec *r, const struct ggml_tensor *t)
{
	const uint64_t dims = (uint64_t)t->params[DIMS], n = (uint64_t)t->ne[2];
	struct fix f = { .fill = fill, .node = given(t), .src[1] = given(t->src[1]), .size = n * dims * 4 };
	struct ref table = { .ne = { dims, n, 1, 1 }, .nb = { 4, dims * 4 }, .type = GG_F32 };

	if (t->src[2])
		f.src[2] = given(t->src[2]);
	table.va = r->data + fix_new(r, &f);
	return table;
}

/* Heads that follow each other as one row for each token; else head by head. */
static bool heads_follow(const struct ref *t)
{
	return t->ne[1] <= OCTANS_MAX_HEADS && (t->ne[1] == 1 || t->nb[1] == t->ne[0] * 4);
}

static struct octans_tensor tokens(const struct ref *t, uint64_t head, uint64_t heads, uint64_t i3)
{
	return (struct octans_tensor) {
		.va = t->va + head * t->nb[1] + i3 * t->nb[3], .stride = t->nb[2], .rows = (uint32_t)t->ne[2],
		.cols = (uint32_t)(heads * t->ne[0]), .type = t->type,
	};
}

static void rotate(struct rec *r, const struct ggml_tensor *t, struct ref dst, struct ref x)
{
	const uint64_t heads = heads_follow(&dst) && heads_follow(&x) ? dst.ne[1] : 1;
	const uint16_t flags = t->params[MODE] == MODE_NORMAL ? 0 : OCTANS_ROPE_HALF;
	const struct ref table = table_of(r, t);

	for (uint64_t i3 = 0; i3 < dst.ne[3]; i3++)
		for (uint64_t h = 0; h < dst.ne[1]; h += heads)
			RECORD(&r->r, ROPE, rope, flags, .dst = tokens(&dst, h, heads, i3),
			       .x = tokens(&x, h, heads, i3), .cs = plane_of(&table, 0, 0),
			       .heads = (uint32_t)heads, .head_dim = (uint32_t)dst.ne[0],
			       .first = (uint32_t)t->params[FIRST], .rot = (uint32_t)t->params[DIMS]);
}

static void record_rope(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), x = ref_of(r, t->src[0]), s;

	if (t->type == GG_F32) {
		rotate(r, t, dst, x);
		return;
	}
	s = scratch_like(r, x.ne);
	copy_ref(r, s, x);
	rotate(r, t, s, s);
	copy_ref(r, dst, s);
}

const struct ggml_op ggml_op_ROPE = { "ROPE", can_rope, record_rope };
