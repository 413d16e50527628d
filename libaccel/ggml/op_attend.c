// SPDX-License-Identifier: MIT
/*
 * FLASH_ATTN_EXT.  Masks of llama.cpp let a token see a position or not: ATTEND takes those positions as a
 * range or a list, which are made of the mask at each run.  Any other mask, and what ATTEND does not take, is
 * computed by products and softmax, head by head.
 */
#include "rec.h"

#include <math.h>
#include <string.h>

#include "type/type.h"

enum { SCALE, MAX_BIAS, CAP };

static bool is_cache(const struct ggml_tensor *t)
{
	return (weight_type(t->type)) && rows_dense(t) && t->ne[0] <= OCTANS_MAX_HEAD_DIM;
}

static bool can_attend(const struct ggml_tensor *t)
{
	const struct ggml_tensor *q = t->src[0], *k = t->src[1], *v = t->src[2], *mask = t->src[3], *sinks = t->src[4];

	return t->type == GG_F32 && rows_dense(t) && q->type == GG_F32 && rows_dense(q) && is_cache(k) && is_cache(v) &&
	       k->ne[1] <= OCTANS_MAX_COLS && q->ne[1] <= MOST_ROWS && q->ne[2] <= OCTANS_MAX_HEADS &&
	       (!mask || ((mask->type == GG_F16 || mask->type == GG_F32) && rows_dense(mask))) &&
	       (!sinks || (sinks->type == GG_F32 && rows_dense(sinks)));
}

/* ---- the mask as positions ---- */

/* The mask that was given, where the graph at most converts it. */
static const struct ggml_tensor *given_mask(const struct ggml_tensor *t)
{
	const struct ggml_tensor *mask = t->src[3], *from = mask->src[0];

	if (!mask->op)
		return mask;
	if (from && !from->op && same_shape(mask, from) && rows_dense(from) &&
	    (from->type == GG_F32 || from->type == GG_F16) && from->nb[0] == (from->type == GG_F32 ? 4u : 2u) &&
	    (!strcmp(ggml_op_name(mask->op), "CPY") || !strcmp(ggml_op_name(mask->op), "CONT") ||
	     !strcmp(ggml_op_name(mask->op), "DUP")))
		return from;
	return NULL;
}

/* 1 seen, 0 not, -1 the mask says something else. */
static int seen(const uint8_t *row, uint32_t type, int64_t i)
{
	uint32_t f32;
	uint16_t f16;

	if (type == GG_F32) {
		memcpy(&f32, row + 4 * i, sizeof(f32));
		return f32 << 1 == 0 ? 1 : f32 == 0xff800000 ? 0 : -1;
	}
	memcpy(&f16, row + 2 * i, sizeof(f16));
	return (f16 & 0x7fff) == 0 ? 1 : f16 == 0xfc00 ? 0 : -1;
}

/* What a row needs to be given as; *from, *to: the first that is seen, past the last. */
static enum mask row_class(const uint8_t *row, uint32_t type, int64_t n, int32_t *from, int32_t *to)
{
	int64_t first = n, last = -1, count = 0;

	for (int64_t i = 0; i < n; i++) {
		int is = seen(row, type, i);

		if (is < 0)
			return MASK_ANY;
		if (!is)
			continue;
		count++;
		last = i;
		if (first == n)
			first = i;
	}
	*from = count ? (int32_t)first : 0;
	*to = count ? (int32_t)last + 1 : 0;
	return *to - *from == count ? MASK_RANGE : MASK_LIST;
}

static bool heads_in_rows(const struct ggml_tensor *t, uint64_t row_bytes)
{
	return t->ne[2] == 1 || t->nb[2] == row_bytes;
}

static bool is_pool(const struct ggml_tensor *t)
{
	return (t->type == GG_F32 || t->type == GG_F16 || t->type == GG_Q8_0) && t->ne[0] * t->ne[2] <= OCTANS_MAX_COLS &&
	       heads_in_rows(t, type_bytes(t->type, (uint32_t)t->ne[0])) &&
	       (t->ne[1] == 1 || t->nb[1] >= type_bytes(t->type, (uint32_t)(t->ne[0] * t->ne[2])));
}

static bool fits_attend(const struct ggml_tensor *t)
{
	const struct ggml_tensor *q = t->src[0], *k = t->src[1], *v = t->src[2];

	return t->src[3] && t->src[3]->ne[2] == 1 && param_f32(t, MAX_BIAS) <= 0 && is_pool(k) && is_pool(v) &&
	       k->ne[2] == v->ne[2] && q->ne[2] % k->ne[2] == 0 && heads_in_rows(q, (uint64_t)q->ne[0] * 4) &&
	       q->ne[0] * q->ne[2] <= OCTANS_MAX_COLS;
}

static enum mask mask_class(const struct ggml_tensor *mask, int64_t rows, int64_t columns)
{
	enum mask all = MASK_RANGE;

	for (int64_t i3 = 0; i3 < mask->ne[3]; i3++)
		for (int64_t i = 0; i < rows; i++) {
			int32_t from, to;
			enum mask is = row_class(content(mask) + i3 * mask->nb[3] + i * mask->nb[1], mask->type, columns,
						 &from, &to);

			if (is == MASK_ANY)
				return is;
			if (is == MASK_LIST)
				all = is;
		}
	return all;
}

enum mask mask_of(const struct ggml_tensor *t, struct mask_seen *seen)
{
	const int64_t rows = t->src[0]->ne[1], columns = t->src[1]->ne[1];
	const struct ggml_tensor *mask;

	if (!fits_attend(t))
		return MASK_ANY;
	mask = given_mask(t);
	if (!mask || !region_of(mask))
		return MASK_ANY;
	if (seen->data != mask->data || seen->rows != rows || seen->columns != columns)
		*seen = (struct mask_seen) { mask->data, columns, rows, mask_class(mask, rows, columns) };
	return seen->kind;
}

/* Positions that row i of the mask lets see: a range, or as many numbers as there are positions, -1 behind. */
static void fill(const struct fix *f, uint8_t *to)
{
	const struct ggml_tensor *mask = &f->src[3];
	const int64_t m = f->src[0].ne[1], n = f->src[1].ne[1];
	const uint8_t *plane = content(mask) + (uint64_t)f->plane * mask->nb[3];
	int32_t *out = (int32_t *)(void *)to;

	for (int64_t i = 0; i < m; i++) {
		const uint8_t *row = plane + i * mask->nb[1];
		int64_t k = 0;

		if (f->kind == MASK_RANGE) {
			row_class(row, mask->type, n, &out[2 * i], &out[2 * i + 1]);
			continue;
		}
		for (int64_t j = 0; j < n; j++)
			if (seen(row, mask->type, j) == 1)
				out[i * n + k++] = (int32_t)j;
		while (k < n)
			out[i * n + k++] = -1;
	}
}

static struct octans_tensor positions(struct rec *r, const struct ggml_tensor *t, enum mask kind, uint64_t i3)
{
	const struct ggml_tensor *mask = given_mask(t);
	const uint64_t m = (uint64_t)t->src[0]->ne[1], cols = kind == MASK_RANGE ? 2 : (uint64_t)t->src[1]->ne[1];
	struct fix f = {
		.fill = fill, .src[0] = { .ne = { [1] = (int64_t)m } }, .src[1] = { .ne = { [1] = t->src[1]->ne[1] } },
		.src[3] = given(mask), .size = m * cols * 4, .plane = (int64_t)i3 % mask->ne[3], .kind = kind,
	};

	return tensor_i32(r->data + fix_new(r, &f), (uint32_t)m, (uint32_t)cols, 0);
}

/* All heads of a token as one row. */
static struct octans_tensor wide(const struct ref *t, int rows, int heads, uint64_t i3)
{
	return (struct octans_tensor) {
		.va = t->va + i3 * t->nb[3], .stride = t->nb[rows], .rows = (uint32_t)t->ne[rows],
		.cols = (uint32_t)(t->ne[0] * t->ne[heads]), .type = t->type,
	};
}

static void attend(struct rec *r, const struct ggml_tensor *t, enum mask kind)
{
	struct ref dst = ref_of(r, t), q = ref_of(r, t->src[0]), k = ref_of(r, t->src[1]), v = ref_of(r, t->src[2]);
	const float cap = param_f32(t, CAP);
	struct octans_tensor sinks = { 0 };

	if (t->src[4])
		sinks = tensor_f32(ref_of(r, t->src[4]).va, 1, (uint32_t)q.ne[2], 0);
	for (uint64_t i3 = 0; i3 < q.ne[3]; i3++)
		RECORD(&r->r, ATTEND, attend, kind == MASK_LIST ? OCTANS_ATTEND_LIST : 0, .dst = wide(&dst, 2, 1, i3),
		       .q = wide(&q, 1, 2, i3), .k = wide(&k, 1, 2, i3 / (q.ne[3] / k.ne[3])),
		       .v = wide(&v, 1, 2, i3 / (q.ne[3] / v.ne[3])),
		       .range = positions(r, t, kind, i3), .sinks = sinks, .heads = (uint32_t)q.ne[2],
		       .kv_heads = (uint32_t)k.ne[2], .dk = (uint32_t)q.ne[0], .dv = (uint32_t)v.ne[0],
		       .scale = param_f32(t, SCALE), .cap = cap);
}

/* ---- any mask ---- */

static struct ref plane_ref(struct ref t, uint64_t i2, uint64_t i3)
{
	t.va += i2 * t.nb[2] + i3 * t.nb[3];
	t.ne[2] = t.ne[3] = 1;
	return t;
}

static struct ref transposed(struct rec *r, struct ref v)
{
	struct ref rows = v, to = scratch_f32(r, v.ne[1], v.ne[0]), t;

	if (v.type != GG_F32) {
		rows = scratch_f32(r, v.ne[0], v.ne[1]);
		copy_ref(r, rows, v);
	}
	t = rows;
	t.ne[0] = rows.ne[1];
	t.ne[1] = rows.ne[0];
	t.nb[0] = rows.nb[1];
	t.nb[1] = rows.nb[0];
	copy_ref(r, to, t);
	return to;
}

static void scores(struct rec *r, const struct ggml_tensor *t, struct ref s, struct ref q, struct ref k)
{
	const float scale = param_f32(t, SCALE), cap = param_f32(t, CAP);
	const float before[4] = { cap != 0 ? scale / cap : scale, 0 }, after[4] = { cap, 0 };

	RECORD(&r->r, MATMUL, matmul, 0, .dst = plane_of(&s, 0, 0), .x = plane_of(&q, 0, 0), .w = plane_of(&k, 0, 0),
	       .planes = 1);
	map_ref(r, OCTANS_MAP(cap != 0 ? OCTANS_MAP_TANH : OCTANS_MAP_ID, OCTANS_MAP_NONE) | OCTANS_MAP_AFFINE, before,
		s, s, NULL);
	if (cap != 0)
		map_ref(r, OCTANS_MAP_AFFINE, after, s, s, NULL);
}

static void head(struct rec *r, const struct ggml_tensor *t, uint64_t h, uint64_t i3, struct ref vt)
{
	struct ref q = ref_of(r, t->src[0]), k = ref_of(r, t->src[1]), dst = ref_of(r, t);
	struct ref s = scratch_f32(r, k.ne[1], q.ne[1]), mask;
	const uint64_t heads = q.ne[2], by3 = q.ne[3] / k.ne[3];
	struct octans_tensor out = {
		.va = dst.va + h * dst.nb[1] + i3 * dst.nb[3], .stride = dst.nb[2], .rows = (uint32_t)q.ne[1],
		.cols = (uint32_t)dst.ne[0], .type = GG_F32,
	};

	scores(r, t, s, plane_ref(q, h, i3), plane_ref(k, h / (heads / k.ne[2]), i3 / by3));
	if (t->src[3]) {
		mask = ref_of(r, t->src[3]);
		add_mask(r, s, mask_plane(r, &mask, q.ne[1], h, i3), param_f32(t, MAX_BIAS), heads, h);
	}
	softmax_rows(r, s, t->src[4] ? ref_of(r, t->src[4]).va + h * 4 : 0);
	RECORD(&r->r, MATMUL, matmul, 0, .dst = out, .x = plane_of(&s, 0, 0), .w = plane_of(&vt, 0, 0), .planes = 1);
}

static void record_attend(struct rec *r, const struct ggml_tensor *t)
{
	const enum mask kind = r->masks ? (enum mask)r->masks[r->n_masks] : MASK_ANY;
	struct ref q = ref_of(r, t->src[0]), v = ref_of(r, t->src[2]);

	r->n_masks++;
	if (kind != MASK_ANY) {
		attend(r, t, kind);
		return;
	}
	for (uint64_t i3 = 0; i3 < q.ne[3]; i3++)
		for (uint64_t kv = 0; kv < v.ne[2]; kv++) {
			const uint64_t group = q.ne[2] / v.ne[2];
			struct ref vt;
			uint64_t was;

			r->scratch_used = 0;
			vt = transposed(r, plane_ref(v, kv, i3 / (q.ne[3] / v.ne[3])));
			was = r->scratch_used;
			for (uint64_t h = kv * group; h < (kv + 1) * group; h++, r->scratch_used = was)
				head(r, t, h, i3, vt);
		}
}

const struct ggml_op ggml_op_FLASH_ATTN_EXT = { "FLASH_ATTN_EXT", can_attend, record_attend };
