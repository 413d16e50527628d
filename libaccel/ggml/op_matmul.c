// SPDX-License-Identifier: MIT
/* Products with weights, and with the weights of chosen experts. */
#include "rec.h"
#include "type/type.h"

static bool is_float(const struct ggml_tensor *t)
{
	return (t->type == GG_F32 || t->type == GG_F16) && rows_dense(t);
}

static bool are_weights(const struct ggml_tensor *w)
{
	return weight_type(w->type) && rows_dense(w) && w->ne[1] <= OCTANS_MAX_COLS;
}

/* F32, where it is or in scratch. */
static struct ref as_f32(struct rec *r, struct ref x)
{
	struct ref s;

	if (x.type == GG_F32)
		return x;
	s = scratch_like(r, x.ne);
	copy_ref(r, s, x);
	return s;
}

/* ---- MUL_MAT: weights are repeated over the planes of x ---- */

static bool can_mul_mat(const struct ggml_tensor *t)
{
	return t->type == GG_F32 && rows_dense(t) && are_weights(t->src[0]) && is_float(t->src[1]);
}

static void record_mul_mat(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), w = ref_of(r, t->src[0]), x = as_f32(r, ref_of(r, t->src[1]));
	struct ref *both[] = { &dst, &x };
	uint64_t by2, by3;

	if (w.ne[2] == 1 && w.ne[3] == 1)
		merge(both, 2);
	by2 = x.ne[2] / w.ne[2] ? x.ne[2] / w.ne[2] : 1;
	by3 = x.ne[3] / w.ne[3] ? x.ne[3] / w.ne[3] : 1;
	for (uint64_t i3 = 0; i3 < x.ne[3]; i3++)
		for (uint64_t i2 = 0; i2 < x.ne[2]; i2++)
			for (uint64_t i = 0, n; i < x.ne[1]; i += n) {
				n = x.ne[1] - i < MOST_ROWS ? x.ne[1] - i : MOST_ROWS;
				RECORD(&r->r, MATMUL, matmul, 0, .dst = rows_of(&dst, i2, i3, i, n),
				       .x = rows_of(&x, i2, i3, i, n), .w = plane_of(&w, i2 / by2, i3 / by3),
				       .planes = 1);
			}
}

const struct ggml_op ggml_op_MUL_MAT = { "MUL_MAT", can_mul_mat, record_mul_mat };

/* ---- MUL_MAT_ID: planes of weights are experts ---- */

static bool can_mul_mat_id(const struct ggml_tensor *t)
{
	const struct ggml_tensor *w = t->src[0], *x = t->src[1], *ids = t->src[2];

	return t->type == GG_F32 && rows_dense(t) && are_weights(w) && w->ne[2] <= OCTANS_MAX_PLANES &&
	       w->ne[3] == 1 && is_float(x) && x->ne[3] == 1 && x->ne[2] <= MOST_ROWS &&
	       (x->ne[1] == 1 || x->ne[1] == t->ne[1]) && ids->type == GG_I32 && rows_dense(ids);
}

/* The j-th choice of each token. */
static struct octans_tensor choice(const struct ref *t, uint64_t j)
{
	return (struct octans_tensor) {
		.va = t->va + j * t->nb[1], .stride = t->nb[2], .rows = (uint32_t)t->ne[2],
		.cols = (uint32_t)t->ne[0], .type = t->type,
	};
}

static void record_mul_mat_id(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), w = ref_of(r, t->src[0]), x = as_f32(r, ref_of(r, t->src[1]));
	struct ref ids = ref_of(r, t->src[2]);

	for (uint64_t j = 0; j < dst.ne[1]; j++) {
		struct octans_tensor sel = {
			.va = ids.va + j * 4, .stride = ids.nb[1], .rows = (uint32_t)ids.ne[1], .cols = 1,
			.type = OCTANS_TYPE_I32,
		};

		RECORD(&r->r, MATMUL, matmul, 0, .dst = choice(&dst, j), .x = choice(&x, x.ne[1] == 1 ? 0 : j),
		       .w = plane_of(&w, 0, 0), .sel = sel, .plane_stride = w.ne[2] > 1 ? w.nb[2] : 0,
		       .planes = (uint32_t)w.ne[2]);
	}
}

const struct ggml_op ggml_op_MUL_MAT_ID = { "MUL_MAT_ID", can_mul_mat_id, record_mul_mat_id };
