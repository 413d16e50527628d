// SPDX-License-Identifier: MIT
/* Element by element: sums and products that repeat their second operand, functions, gated units. */
#include "rec.h"

#include <math.h>
#include <string.h>

#define ID(op)	OCTANS_MAP(OCTANS_MAP_ID, OCTANS_MAP_##op)

static bool is_f32(const struct ggml_tensor *t)
{
	return t->type == GG_F32 && rows_dense(t);
}

static bool repeats(const struct ggml_tensor *b, const struct ggml_tensor *a)
{
	for (int i = 0; i < GG_DIMS; i++)
		if (!b->ne[i] || a->ne[i] % b->ne[i])
			return false;
	return true;
}

/* ---- dst = f(a) op b ---- */

static struct octans_tensor part_of(const struct ref *t, uint64_t col, uint64_t cols, uint64_t row, uint64_t rows,
				    uint64_t i2, uint64_t i3)
{
	struct octans_tensor d = rows_of(t, i2, i3, row, rows);

	d.va += col * 4;
	d.cols = (uint32_t)cols;
	return d;
}

/* One plane, in pieces as large as b is where that is neither one row (column) nor all of them. */
static void map_plane(struct rec *r, uint16_t flags, const float imm[4], const struct ref *dst,
		      const struct ref *a, const struct ref *b, uint64_t i2, uint64_t i3)
{
	const uint64_t n = dst->ne[0], m = dst->ne[1];
	const uint64_t cols = b && b->ne[0] > 1 ? b->ne[0] : n, rows = b && b->ne[1] > 1 ? b->ne[1] : m;

	for (uint64_t row = 0; row < m; row += rows)
		for (uint64_t col = 0; col < n; col += cols) {
			struct octans_cmd_map cmd = {
				.dst = part_of(dst, col, cols, row, rows, i2, i3),
				.a = part_of(a, col, cols, row, rows, i2, i3),
			};

			if (b)
				cmd.b = plane_of(b, i2 % b->ne[2], i3 % b->ne[3]);
			if (imm)
				memcpy(cmd.imm, imm, sizeof(cmd.imm));
			record(&r->r, OP_MAP, flags, &cmd, sizeof(cmd));
		}
}

static bool one_row(const struct ref *b)
{
	return b->ne[1] == 1 && b->ne[2] == 1 && b->ne[3] == 1;
}

static bool same_ne(const struct ref *a, const struct ref *b)
{
	return a->ne[1] == b->ne[1] && a->ne[2] == b->ne[2] && a->ne[3] == b->ne[3];
}

void map_ref(struct rec *r, uint16_t flags, const float imm[4], struct ref dst, struct ref a, const struct ref *b)
{
	struct ref other = b ? *b : a;
	struct ref *all[] = { &dst, &a, &other };

	if (dst.ne[1] * dst.ne[2] * dst.ne[3] <= OCTANS_MAX_ROWS) {
		if (b && same_ne(&dst, b))
			merge(all, 3);
		else if (!b || one_row(b))
			merge(all, 2);
	}
	for (uint64_t i3 = 0; i3 < dst.ne[3]; i3++)
		for (uint64_t i2 = 0; i2 < dst.ne[2]; i2++)
			map_plane(r, flags, imm, &dst, &a, b ? &other : NULL, i2, i3);
}

/* ---- two operands ---- */

static bool is_float(const struct ggml_tensor *t)
{
	return (t->type == GG_F32 || t->type == GG_F16) && rows_dense(t);
}

static bool can_binary(const struct ggml_tensor *t)
{
	return is_float(t) && is_float(t->src[0]) && is_float(t->src[1]) && same_shape(t, t->src[0]) &&
	       repeats(t->src[1], t);
}

/* The processor's functions are of F32: masks of attention in F16 are converted. */
static struct ref in_f32(struct rec *r, const struct ggml_tensor *t)
{
	struct ref x = ref_of(r, t), wide;

	if (t->type == GG_F32)
		return x;
	wide = scratch_like(r, x.ne);
	copy_ref(r, wide, x);
	return wide;
}

static void binary(struct rec *r, const struct ggml_tensor *t, uint16_t flags)
{
	struct ref a = in_f32(r, t->src[0]), b = in_f32(r, t->src[1]), dst = ref_of(r, t), wide = dst;

	if (t->type != GG_F32)
		wide = scratch_like(r, dst.ne);
	map_ref(r, flags, NULL, wide, a, &b);
	if (t->type != GG_F32)
		copy_ref(r, dst, wide);
}

static void record_add(struct rec *r, const struct ggml_tensor *t)
{
	binary(r, t, ID(ADD));
}

static void record_mul(struct rec *r, const struct ggml_tensor *t)
{
	binary(r, t, ID(MUL));
}

static void record_div(struct rec *r, const struct ggml_tensor *t)
{
	binary(r, t, ID(DIV));
}

static bool can_sub(const struct ggml_tensor *t)
{
	return t->type == GG_F32 && t->src[0]->type == GG_F32 && t->src[1]->type == GG_F32 && can_binary(t);
}

/* a - b = a + -b, with a place for -b as dst may be b. */
static void record_sub(struct rec *r, const struct ggml_tensor *t)
{
	static const float minus[4] = { -1, -0.0f };
	struct ref b = ref_of(r, t->src[1]), n = scratch_like(r, b.ne);

	map_ref(r, ID(NONE) | OCTANS_MAP_AFFINE, minus, n, b, NULL);
	map_ref(r, ID(ADD), NULL, ref_of(r, t), ref_of(r, t->src[0]), &n);
}

const struct ggml_op ggml_op_ADD = { "ADD", can_binary, record_add };
const struct ggml_op ggml_op_MUL = { "MUL", can_binary, record_mul };
const struct ggml_op ggml_op_DIV = { "DIV", can_binary, record_div };
const struct ggml_op ggml_op_SUB = { "SUB", can_sub, record_sub };

/* ---- one operand ---- */

static bool can_unary(const struct ggml_tensor *t)
{
	return is_f32(t) && is_f32(t->src[0]) && same_shape(t, t->src[0]);
}

static void unary(struct rec *r, const struct ggml_tensor *t, uint16_t flags, const float *imm)
{
	map_ref(r, flags, imm, ref_of(r, t), ref_of(r, t->src[0]), NULL);
}

#define UNARY(NAME, F) \
	static void record_##F(struct rec *r, const struct ggml_tensor *t) \
	{ \
		unary(r, t, OCTANS_MAP(OCTANS_MAP_##F, OCTANS_MAP_NONE), NULL); \
	} \
	const struct ggml_op ggml_op_##NAME = { #NAME, can_unary, record_##F };

UNARY(SILU, SILU)
UNARY(GELU, GELU_TANH)
UNARY(GELU_ERF, GELU)
UNARY(RELU, RELU)
UNARY(SIGMOID, SIGMOID)
UNARY(TANH, TANH)
UNARY(SOFTPLUS, SOFTPLUS)
UNARY(SQRT, SQRT)

static void record_neg(struct rec *r, const struct ggml_tensor *t)
{
	static const float minus[4] = { -1, -0.0f };

	unary(r, t, ID(NONE) | OCTANS_MAP_AFFINE, minus);
}

static void record_scale(struct rec *r, const struct ggml_tensor *t)
{
	const float offset = param_f32(t, 1), imm[4] = { param_f32(t, 0), offset == 0 ? -0.0f : offset };	/* keeps signs of 0 */

	unary(r, t, ID(NONE) | OCTANS_MAP_AFFINE, imm);
}

static bool can_clamp(const struct ggml_tensor *t)
{
	return can_unary(t) && param_f32(t, 0) <= param_f32(t, 1);
}

static void record_clamp(struct rec *r, const struct ggml_tensor *t)
{
	const float imm[4] = { 0, 0, param_f32(t, 0), param_f32(t, 1) };

	unary(r, t, OCTANS_MAP(OCTANS_MAP_CLAMP, OCTANS_MAP_NONE), imm);
}

static void record_sqr(struct rec *r, const struct ggml_tensor *t)
{
	struct ref a = ref_of(r, t->src[0]);

	map_ref(r, ID(MUL), NULL, ref_of(r, t), a, &a);
}

/* The larger of x and 0, and that of -x and 0. */
static void record_abs(struct rec *r, const struct ggml_tensor *t)
{
	static const float minus[4] = { -1, 0 };
	struct ref a = ref_of(r, t->src[0]), dst = ref_of(r, t);
	struct ref s = scratch_like(r, a.ne);

	map_ref(r, OCTANS_MAP(OCTANS_MAP_RELU, OCTANS_MAP_NONE) | OCTANS_MAP_AFFINE, minus, s, a, NULL);
	map_ref(r, OCTANS_MAP(OCTANS_MAP_RELU, OCTANS_MAP_ADD), NULL, dst, a, &s);
}

/* ggml has taken the softplus of both alphas, and has added its beta to the one of negatives.  Below which number it
 * is linear no result shows, as long as that is as small as in models. */
static bool can_xielu(const struct ggml_tensor *t)
{
	return can_unary(t) && param_f32(t, 3) == 0.5f && fabsf(param_f32(t, 4)) < 2e-6f;
}

static void record_xielu(struct rec *r, const struct ggml_tensor *t)
{
	const float imm[4] = { 0, 0, param_f32(t, 2), param_f32(t, 1) };

	unary(r, t, OCTANS_MAP(OCTANS_MAP_XIELU, OCTANS_MAP_NONE), imm);
}

/* x * sigmoid(1.702 x) */
static void quick_gelu(struct rec *r, struct ref dst, struct ref x, const struct ref *times)
{
	static const float imm[4] = { 1.702f, 0 };
	struct ref s = x;

	if (times) {	/* dst may be it, or x */
		s = scratch_like(r, x.ne);
		map_ref(r, OCTANS_MAP(OCTANS_MAP_SIGMOID, OCTANS_MAP_MUL) | OCTANS_MAP_AFFINE, imm, s, x, &x);
		map_ref(r, ID(MUL), NULL, dst, s, times);
		return;
	}
	map_ref(r, OCTANS_MAP(OCTANS_MAP_SIGMOID, OCTANS_MAP_MUL) | OCTANS_MAP_AFFINE, imm, dst, x, &x);
}

static void record_quick(struct rec *r, const struct ggml_tensor *t)
{
	quick_gelu(r, ref_of(r, t), ref_of(r, t->src[0]), NULL);
}

const struct ggml_op ggml_op_NEG = { "NEG", can_unary, record_neg };
const struct ggml_op ggml_op_SCALE = { "SCALE", can_unary, record_scale };
const struct ggml_op ggml_op_CLAMP = { "CLAMP", can_clamp, record_clamp };
const struct ggml_op ggml_op_SQR = { "SQR", can_unary, record_sqr };
const struct ggml_op ggml_op_ABS = { "ABS", can_unary, record_abs };
const struct ggml_op ggml_op_XIELU = { "XIELU", can_xielu, record_xielu };
const struct ggml_op ggml_op_GELU_QUICK = { "GELU_QUICK", can_unary, record_quick };

/* ---- gated units: f(x) * g, of one tensor's halves or of two tensors ---- */

static bool can_glu(const struct ggml_tensor *t)
{
	const struct ggml_tensor *a = t->src[0], *b = t->src[1];

	return is_f32(t) && is_f32(a) && (b ? is_f32(b) && same_shape(a, b) && same_shape(t, a) :
					  a->ne[0] == 2 * t->ne[0]);
}

static void halves(const struct rec *r, const struct ggml_tensor *t, struct ref *x, struct ref *g)
{
	const bool swapped = t->params[1];

	*x = ref_of(r, t->src[0]);
	*g = t->src[1] ? ref_of(r, t->src[1]) : *x;
	if (t->src[1])
		return;
	x->ne[0] = g->ne[0] = (uint64_t)t->ne[0];
	(swapped ? x : g)->va += (uint64_t)t->ne[0] * 4;
}

static void glu(struct rec *r, const struct ggml_tensor *t, uint16_t f)
{
	struct ref x, g;

	halves(r, t, &x, &g);
	map_ref(r, OCTANS_MAP(f, OCTANS_MAP_MUL), NULL, ref_of(r, t), x, &g);
}

#define GLU(NAME, F) \
	static void record_##NAME(struct rec *r, const struct ggml_tensor *t) \
	{ \
		glu(r, t, OCTANS_MAP_##F); \
	} \
	const struct ggml_op ggml_op_##NAME = { #NAME, can_glu, record_##NAME };

GLU(REGLU, RELU)
GLU(GEGLU, GELU_TANH)
GLU(SWIGLU, SILU)
GLU(GEGLU_ERF, GELU)

static void record_geglu_quick(struct rec *r, const struct ggml_tensor *t)
{
	struct ref x, g;

	halves(r, t, &x, &g);
	quick_gelu(r, ref_of(r, t), x, &g);
}

/* x = min(x, limit), g = clamp(g, limit): x * sigmoid(alpha x) * (g + 1) */
static void record_swiglu_oai(struct rec *r, const struct ggml_tensor *t)
{
	const float alpha[4] = { param_f32(t, 2), 0 }, limit = param_f32(t, 3), one[4] = { 1, 1 };
	const float above[4] = { 0, 0, -INFINITY, limit }, both[4] = { 0, 0, -limit, limit };
	const uint16_t clamp = OCTANS_MAP(OCTANS_MAP_CLAMP, OCTANS_MAP_NONE);
	struct ref x, g, s[3];

	halves(r, t, &x, &g);
	for (int k = 0; k < 3; k++)
		s[k] = scratch_like(r, x.ne);
	map_ref(r, clamp, above, s[0], x, NULL);
	map_ref(r, clamp, both, s[1], g, NULL);
	map_ref(r, OCTANS_MAP(OCTANS_MAP_SIGMOID, OCTANS_MAP_MUL) | OCTANS_MAP_AFFINE, alpha, s[2], s[0], &s[0]);
	map_ref(r, ID(MUL) | OCTANS_MAP_AFFINE, one, ref_of(r, t), s[1], &s[2]);
}

static bool can_oai(const struct ggml_tensor *t)
{
	return can_glu(t) && param_f32(t, 3) >= 0;
}

const struct ggml_op ggml_op_GEGLU_QUICK = { "GEGLU_QUICK", can_glu, record_geglu_quick };
const struct ggml_op ggml_op_SWIGLU_OAI = { "SWIGLU_OAI", can_oai, record_swiglu_oai };
