// SPDX-License-Identifier: MIT
/* Row by row: norms, softmax, sums, and what orders a row. */
#include "rec.h"

#include <math.h>

static bool is_f32(const struct ggml_tensor *t)
{
	return t->type == GG_F32 && rows_dense(t);
}

/* As many rows at a time as a command takes. */
#define CHUNKS(first, n, rows) \
	for (uint64_t first = 0, n; (n = (rows) - first < MOST_ROWS ? (rows) - first : MOST_ROWS); first += n)

static void rows_by(struct rec *r, uint16_t kind, float eps, struct ref dst, struct ref x)
{
	struct ref *both[] = { &dst, &x };

	merge(both, 2);
	for (uint64_t i3 = 0; i3 < x.ne[3]; i3++)
		for (uint64_t i2 = 0; i2 < x.ne[2]; i2++)
			CHUNKS(first, n, x.ne[1])
				RECORD(&r->r, ROW, row, kind, .dst = rows_of(&dst, i2, i3, first, n),
				       .x = rows_of(&x, i2, i3, first, n), .groups = 1, .eps = eps);
}

/* ---- norms ---- */

static bool can_norm(const struct ggml_tensor *t)
{
	return is_f32(t) && is_f32(t->src[0]) && same_shape(t, t->src[0]) && param_f32(t, 0) >= 0;
}

static void record_rms_norm(struct rec *r, const struct ggml_tensor *t)
{
	rows_by(r, OCTANS_ROW_RMS, param_f32(t, 0), ref_of(r, t), ref_of(r, t->src[0]));
}

static void record_norm(struct rec *r, const struct ggml_tensor *t)
{
	rows_by(r, OCTANS_ROW_LAYER, param_f32(t, 0), ref_of(r, t), ref_of(r, t->src[0]));
}

/* ggml's epsilon is the least that is divided by, ours is added to the square. */
static void record_l2_norm(struct rec *r, const struct ggml_tensor *t)
{
	const float eps = param_f32(t, 0);

	rows_by(r, OCTANS_ROW_L2, eps * eps, ref_of(r, t), ref_of(r, t->src[0]));
}

static bool can_l2_norm(const struct ggml_tensor *t)
{
	/* Where the two differ, by rows that are shorter than a thousand epsilons, nothing is left of them. */
	return can_norm(t) && param_f32(t, 0) < 1e-5f;
}

const struct ggml_op ggml_op_RMS_NORM = { "RMS_NORM", can_norm, record_rms_norm };
const struct ggml_op ggml_op_NORM = { "NORM", can_norm, record_norm };
const struct ggml_op ggml_op_L2_NORM = { "L2_NORM", can_l2_norm, record_l2_norm };

/* ---- sums ---- */

static bool can_sum(const struct ggml_tensor *t)
{
	return is_f32(t) && is_f32(t->src[0]) && t->ne[0] == 1;
}

static void record_sum_rows(struct rec *r, const struct ggml_tensor *t)
{
	rows_by(r, OCTANS_ROW_SUM, 0, ref_of(r, t), ref_of(r, t->src[0]));
}

static void record_mean(struct rec *r, const struct ggml_tensor *t)
{
	const float imm[4] = { 1 / (float)t->src[0]->ne[0], 0 };

	record_sum_rows(r, t);
	map_ref(r, OCTANS_MAP_AFFINE, imm, ref_of(r, t), ref_of(r, t), NULL);
}

const struct ggml_op ggml_op_SUM_ROWS = { "SUM_ROWS", can_sum, record_sum_rows };
const struct ggml_op ggml_op_MEAN = { "MEAN", can_sum, record_mean };

/* ---- softmax(scale * x + slope * mask), beside sinks ---- */

/* Of a head, as ALiBi has it: geometric, and denser where heads are no power of two. */
static float slope_of(float max_bias, uint64_t heads, uint64_t head)
{
	uint32_t n = 1;
	float m0, m1;

	if (max_bias <= 0)
		return 1;
	while (2ull * n <= heads)
		n *= 2;
	m0 = powf(2, -max_bias / (float)n);
	m1 = powf(2, -(max_bias / 2) / (float)n);
	return head < n ? powf(m0, (float)head + 1) : powf(m1, 2 * (float)(head - n) + 1);
}

struct ref mask_plane(struct rec *r, const struct ref *mask, uint64_t m, uint64_t i2, uint64_t i3)
{
	struct ref plane = *mask, s;

	plane.va += i2 % mask->ne[2] * mask->nb[2] + i3 % mask->ne[3] * mask->nb[3];
	plane.ne[1] = m;
	plane.ne[2] = plane.ne[3] = 1;
	if (mask->type == GG_F32)
		return plane;
	s = scratch_f32(r, mask->ne[0], m);
	copy_ref(r, s, plane);
	return s;
}

void add_mask(struct rec *r, struct ref x, struct ref mask, float max_bias, uint64_t heads, uint64_t head)
{
	const float imm[4] = { slope_of(max_bias, heads, head), 0 };

	if (max_bias > 0)	/* dst may be b */
		map_ref(r, OCTANS_MAP(OCTANS_MAP_ID, OCTANS_MAP_ADD) | OCTANS_MAP_AFFINE, imm, x, mask, &x);
	else
		map_ref(r, OCTANS_MAP(OCTANS_MAP_ID, OCTANS_MAP_ADD), NULL, x, x, &mask);
}

/* A sink is one more column while the softmax is taken, whose share is then left out. */
static void softmax_beside(struct rec *r, struct ref x, uint64_t sink_va)
{
	const struct ref sink = { .va = sink_va, .ne = { 1, 1, 1, 1 }, .nb = { 4, 4, 4, 4 }, .type = GG_F32 };
	const uint64_t n = x.ne[0], m = x.ne[1], was = r->scratch_used;
	struct ref wide = scratch_f32(r, n + 1, m), part = wide, last = wide, any = x;

	part.ne[0] = n;
	last.ne[0] = any.ne[0] = 1;
	last.va += n * 4;
	copy_ref(r, part, x);
	/* 0 of any number, and then the sink */
	map_ref(r, OCTANS_MAP(OCTANS_MAP_CLAMP, OCTANS_MAP_ADD), NULL, last, any, &sink);
	rows_by(r, OCTANS_ROW_SOFTMAX, 0, wide, wide);
	copy_ref(r, x, part);
	r->scratch_used = was;
}

void softmax_rows(struct rec *r, struct ref x, uint64_t sink_va)
{
	if (sink_va)
		softmax_beside(r, x, sink_va);
	else
		rows_by(r, OCTANS_ROW_SOFTMAX, 0, x, x);
}

static bool can_soft_max(const struct ggml_tensor *t)
{
	const struct ggml_tensor *mask = t->src[1];

	if (!is_f32(t) || !is_f32(t->src[0]) || !same_shape(t, t->src[0]) || (t->src[2] && !is_f32(t->src[2])))
		return false;
	return !mask || ((mask->type == GG_F32 || mask->type == GG_F16) && rows_dense(mask));
}

static struct ref one_plane(struct ref t, uint64_t i2, uint64_t i3)
{
	t.va += i2 * t.nb[2] + i3 * t.nb[3];
	t.ne[2] = t.ne[3] = 1;
	return t;
}

/* ggml may want the result where the mask is. */
static struct ref copied(struct rec *r, struct ref mask)
{
	struct ref s = scratch_like(r, mask.ne);

	copy_ref(r, s, mask);
	return s;
}

static void record_soft_max(struct rec *r, const struct ggml_tensor *t)
{
	const float imm[4] = { param_f32(t, 0), 0 }, max_bias = param_f32(t, 1);
	struct ref dst = ref_of(r, t), mask, sinks;
	uint64_t was;

	if (t->src[1])
		mask = t->src[1]->data == t->data ? copied(r, ref_of(r, t->src[1])) : ref_of(r, t->src[1]);
	was = r->scratch_used;
	map_ref(r, OCTANS_MAP_AFFINE, imm, dst, ref_of(r, t->src[0]), NULL);
	if (t->src[2])
		sinks = ref_of(r, t->src[2]);
	for (uint64_t i3 = 0; i3 < dst.ne[3] && (t->src[1] || t->src[2]); i3++)
		for (uint64_t i2 = 0; i2 < dst.ne[2]; i2++) {
			struct ref x = one_plane(dst, i2, i3);

			if (t->src[1]) {
				r->scratch_used = was;
				add_mask(r, x, mask_plane(r, &mask, dst.ne[1], i2, i3), max_bias, dst.ne[2], i2);
			}
			if (t->src[2])
				softmax_rows(r, x, sinks.va + i2 * 4);
		}
	if (!t->src[2])
		softmax_rows(r, dst, 0);
}

const struct ggml_op ggml_op_SOFT_MAX = { "SOFT_MAX", can_soft_max, record_soft_max };

/* ---- order ---- */

static bool can_order(const struct ggml_tensor *t)
{
	return is_f32(t->src[0]) && t->type == GG_I32 && rows_dense(t) && t->ne[0] <= OCTANS_MAX_TOPK;
}

static bool can_argmax(const struct ggml_tensor *t)
{
	return is_f32(t->src[0]) && t->type == GG_I32 && rows_dense(t) && t->src[0]->ne[2] == 1 &&
	       t->src[0]->ne[3] == 1;
}

static void best(struct rec *r, struct ref ids, struct ref x, uint32_t k)
{
	struct ref *both[] = { &ids, &x };

	merge(both, 2);
	for (uint64_t i3 = 0; i3 < x.ne[3]; i3++)
		for (uint64_t i2 = 0; i2 < x.ne[2]; i2++)
			CHUNKS(first, n, x.ne[1])
				RECORD(&r->r, TOPK, topk, 0, .ids = rows_of(&ids, i2, i3, first, n),
				       .x = rows_of(&x, i2, i3, first, n), .k = k, .groups = 1, .groups_used = 1);
}

static void record_argsort(struct rec *r, const struct ggml_tensor *t)
{
	static const float minus[4] = { -1, -0.0f };
	struct ref x = ref_of(r, t->src[0]), s = scratch_like(r, x.ne);
	const bool ascending = !t->params[0];

	if (ascending)
		map_ref(r, OCTANS_MAP_AFFINE, minus, s, x, NULL);
	best(r, ref_of(r, t), ascending ? s : x, (uint32_t)t->ne[0]);
}

static void record_top_k(struct rec *r, const struct ggml_tensor *t)
{
	best(r, ref_of(r, t), ref_of(r, t->src[0]), (uint32_t)t->ne[0]);
}

static void record_argmax(struct rec *r, const struct ggml_tensor *t)
{
	struct ref ids = ref_of(r, t);

	ids.ne[1] = ids.ne[0];
	ids.ne[0] = 1;
	ids.nb[1] = 4;
	best(r, ids, ref_of(r, t->src[0]), 1);
}

const struct ggml_op ggml_op_ARGSORT = { "ARGSORT", can_order, record_argsort };
const struct ggml_op ggml_op_TOP_K = { "TOP_K", can_order, record_top_k };
const struct ggml_op ggml_op_ARGMAX = { "ARGMAX", can_argmax, record_argmax };
