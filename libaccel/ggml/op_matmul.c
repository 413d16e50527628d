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

/*
 * ---- LIGHTNING_INDEXER: of queries q [n, heads, tokens, ..], keys k [n, 1, positions, ..] and weights [heads, tokens, 1, ..] the
 * sum over the heads of weight * relu(q k), and a mask [positions, tokens, 1, ..]
 */

static bool can_index(const struct ggml_tensor *t)
{
	const struct ggml_tensor *q = t->src[0], *k = t->src[1], *w = t->src[2], *mask = t->src[3];

	return t->type == GG_F32 && rows_dense(t) && q->type == GG_F32 && rows_dense(q) && are_weights(k) &&
	       k->ne[2] <= OCTANS_MAX_COLS && w->type == GG_F32 && rows_dense(w) && q->ne[2] <= MOST_ROWS &&
	       (mask->type == GG_F32 || mask->type == GG_F16) && rows_dense(mask);
}

/* Keys of a plane as rows; blocks of integers as F32, as queries would be rounded to some, too. */
static struct ref keys_of(struct rec *r, struct ref k, uint64_t i3)
{
	uint32_t elements, bytes;
	struct ref s;

	k.va += i3 * k.nb[3];
	k.ne[1] = k.ne[2];
	k.nb[1] = k.nb[2];
	k.ne[2] = k.ne[3] = 1;
	if (!type_block(k.type, &elements, &bytes) || elements == 1)
		return k;
	s = scratch_like(r, k.ne);
	copy_ref(r, s, k);
	return s;
}

static void index_head(struct rec *r, struct ref score, struct ref to, const struct ref *q, const struct ref *k,
		       const struct ref *w, uint64_t head, uint64_t i3)
{
	struct ref weight = *w;

	weight.va += head * 4 + i3 * w->nb[3];
	weight.ne[0] = weight.ne[2] = weight.ne[3] = 1;
	RECORD(&r->r, MATMUL, matmul, 0, .dst = plane_of(&score, 0, 0), .planes = 1,
	       .x = { .va = q->va + head * q->nb[1] + i3 * q->nb[3], .stride = q->nb[2], .rows = (uint32_t)q->ne[2],
		      .cols = (uint32_t)q->ne[0], .type = OCTANS_TYPE_F32 },
	       .w = plane_of(k, 0, 0));
	map_ref(r, OCTANS_MAP(OCTANS_MAP_RELU, OCTANS_MAP_MUL), NULL, head ? score : to, score, &weight);
	if (head)
		map_ref(r, OCTANS_MAP(OCTANS_MAP_ID, OCTANS_MAP_ADD), NULL, to, to, &score);
}

static void record_index(struct rec *r, const struct ggml_tensor *t)
{
	const struct ref dst = ref_of(r, t), q = ref_of(r, t->src[0]), k = ref_of(r, t->src[1]), w = ref_of(r, t->src[2]),
			 mask = ref_of(r, t->src[3]), score = scratch_f32(r, dst.ne[0], dst.ne[1]);
	const uint64_t was = r->scratch_used;

	for (uint64_t i3 = 0; i3 < dst.ne[3]; i3++) {
		const struct ref keys = keys_of(r, k, i3);
		struct ref to = dst;

		to.va += i3 * dst.nb[3];
		to.ne[2] = to.ne[3] = 1;
		for (uint64_t head = 0; head < q.ne[1]; head++)
			index_head(r, score, to, &q, &keys, &w, head, i3);
		r->scratch_used = was;
		add_mask(r, to, mask_plane(r, &mask, dst.ne[1], 0, i3), 0, 1, 0);
	}
}

const struct ggml_op ggml_op_LIGHTNING_INDEXER = { "LIGHTNING_INDEXER", can_index, record_index };

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
