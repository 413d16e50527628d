// SPDX-License-Identifier: MIT
/* What only goes elsewhere: by MOVE, and by COPY where whole tensors are. */
#include "rec.h"
#include "type/type.h"

#include <string.h>

static bool is_weight(uint32_t type)
{
	return weight_type(type);
}

/* Types that MOVE stores. */
static bool is_stored(uint32_t type)
{
	return type == GG_F32 || type == GG_F16 || type == GG_BF16 || type == GG_Q8_0;
}

static bool converts(uint32_t to, uint32_t from)
{
	return (to == GG_I32 && from == GG_I32) || (is_stored(to) && is_weight(from));
}

/* ---- copies ---- */

static uint64_t total(const struct ref *t)
{
	return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
}

/* The same bytes by another shape, in order. */
static struct ref reshaped(struct ref t, const struct ref *like)
{
	uint32_t elements = 1, bytes = 1;

	type_block(t.type, &elements, &bytes);
	t.nb[0] = bytes;
	for (int i = 0; i < GG_DIMS; i++) {
		t.ne[i] = like->ne[i];
		if (i)
			t.nb[i] = i == 1 ? t.ne[0] / elements * bytes : t.nb[i - 1] * t.ne[i - 1];
	}
	return t;
}

static bool dense(const struct ref *t)
{
	uint32_t elements, bytes;

	return type_block(t->type, &elements, &bytes) && t->nb[0] == bytes && t->ne[0] % elements == 0;
}

static bool is_element(uint32_t type)
{
	return type == GG_F32 || type == GG_F16 || type == GG_BF16 || type == GG_I32;
}

/* Strides that descriptors have: rows do not lie in each other. */
static bool strides_ok(const struct ref *t)
{
	uint32_t elements, bytes;
	uint64_t row;

	if (!type_block(t->type, &elements, &bytes))
		return false;
	row = dense(t) ? t->ne[0] / elements * bytes : bytes;
	for (int i = 1; i < GG_DIMS; i++)
		if (t->ne[i] > 1 && t->nb[i] < (dense(t) && i == 1 ? row : bytes))
			return false;
	return t->ne[0] <= 1 || t->nb[0] >= bytes;
}

bool can_copy(const struct ref *dst, const struct ref *src)
{
	if (!converts(dst->type, src->type) || !strides_ok(dst) || !strides_ok(src))
		return false;
	if (dst->type == src->type && is_contiguous(dst) && is_contiguous(src))
		return true;
	if (dense(dst) && dense(src))
		return dst->ne[0] <= OCTANS_MAX_COLS && dst->ne[1] <= OCTANS_MAX_ROWS;
	for (int i = 0; i < GG_DIMS; i++)
		if (dst->ne[i] > OCTANS_MAX_ROWS)
			return false;
	return is_element(dst->type) && is_element(src->type);
}

static void copy_rows(struct rec *r, struct ref dst, struct ref src)
{
	struct ref *both[] = { &dst, &src };

	if (total(&dst) / dst.ne[0] <= OCTANS_MAX_ROWS)
		merge(both, 2);
	for (uint64_t i3 = 0; i3 < dst.ne[3]; i3++)
		for (uint64_t i2 = 0; i2 < dst.ne[2]; i2++)
			RECORD(&r->r, MOVE, move, 0, .dst = plane_of(&dst, i2, i3), .src = plane_of(&src, i2, i3));
}

static void swap_dims(struct ref *t, int a, int b)
{
	uint64_t ne = t->ne[a], nb = t->nb[a];

	t->ne[a] = t->ne[b];
	t->nb[a] = t->nb[b];
	t->ne[b] = ne;
	t->nb[b] = nb;
}

static struct octans_tensor column(const struct ref *t, uint64_t i1, uint64_t i2, uint64_t i3)
{
	return (struct octans_tensor) {
		.va = t->va + i1 * t->nb[1] + i2 * t->nb[2] + i3 * t->nb[3],
		.stride = t->nb[0],
		.rows = (uint32_t)t->ne[0],
		.cols = 1,
		.type = t->type,
	};
}

/* Where elements of rows do not follow each other, each is a row of its own: along the longest dimension. */
static void copy_elements(struct rec *r, struct ref dst, struct ref src)
{
	int longest = 0;

	for (int i = 1; i < GG_DIMS; i++)
		if (dst.ne[i] > dst.ne[longest])
			longest = i;
	swap_dims(&dst, 0, longest);
	swap_dims(&src, 0, longest);
	for (uint64_t i3 = 0; i3 < dst.ne[3]; i3++)
		for (uint64_t i2 = 0; i2 < dst.ne[2]; i2++)
			for (uint64_t i1 = 0; i1 < dst.ne[1]; i1++)
				RECORD(&r->r, MOVE, move, 0, .dst = column(&dst, i1, i2, i3),
				       .src = column(&src, i1, i2, i3));
}

void copy_ref(struct rec *r, struct ref dst, struct ref src)
{
	uint32_t elements = 1, bytes = 1;

	if (dst.type == src.type && is_contiguous(&dst) && is_contiguous(&src)) {
		type_block(dst.type, &elements, &bytes);
		RECORD(&r->r, COPY, copy, 0, .dst = dst.va, .src = src.va,
		       .size = total(&dst) / elements * bytes);
	} else if (dense(&dst) && dense(&src)) {
		copy_rows(r, dst, src);
	} else {
		copy_elements(r, dst, src);
	}
}

/* CPY, DUP and CONT may change the shape, if one of both lies in order. */
static bool same_shapes(struct ref *dst, struct ref *src)
{
	bool same = true;

	for (int i = 0; i < GG_DIMS; i++)
		same &= dst->ne[i] == src->ne[i];
	if (same)
		return true;
	if (is_contiguous(dst))
		*dst = reshaped(*dst, src);
	else if (is_contiguous(src))
		*src = reshaped(*src, dst);
	else
		return false;
	return true;
}

static bool can_cpy(const struct ggml_tensor *t)
{
	const struct rec none = { .r.base = NULL };
	struct ref dst = ref_of(&none, t), src = ref_of(&none, t->src[0]);

	return same_shapes(&dst, &src) && can_copy(&dst, &src);
}

static void record_cpy(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), src = ref_of(r, t->src[0]);

	if (same_shapes(&dst, &src))
		copy_ref(r, dst, src);
}

const struct ggml_op ggml_op_CPY = { "CPY", can_cpy, record_cpy };
const struct ggml_op ggml_op_DUP = { "DUP", can_cpy, record_cpy };
const struct ggml_op ggml_op_CONT = { "CONT", can_cpy, record_cpy };

/* ---- rows by their numbers ---- */

static bool can_get_rows(const struct ggml_tensor *t)
{
	const struct ggml_tensor *src = t->src[0], *ids = t->src[1];

	return (t->type == GG_F32 || t->type == GG_I32) && converts(t->type, src->type) && ids->type == GG_I32 &&
	       rows_dense(t) && rows_dense(src) && ids->nb[0] >= 4;
}

/* A plane of numbers as a column; of I64 the lower halves. */
static struct octans_tensor ids_of(const struct ref *ids, uint64_t i1, uint64_t i2, uint64_t n)
{
	return (struct octans_tensor) {
		.va = ids->va + i1 * ids->nb[1] + i2 * ids->nb[2],
		.stride = ids->nb[0],
		.rows = (uint32_t)n,
		.cols = 1,
		.type = OCTANS_TYPE_I32,
	};
}

static void record_get_rows(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), src = ref_of(r, t->src[0]), ids = ref_of(r, t->src[1]);

	for (uint64_t i3 = 0; i3 < dst.ne[3]; i3++)
		for (uint64_t i2 = 0; i2 < dst.ne[2]; i2++)
			RECORD(&r->r, MOVE, move, 0, .dst = plane_of(&dst, i2, i3), .src = plane_of(&src, i2, i3),
			       .src_ids = ids_of(&ids, i2, i3, dst.ne[1]));
}

/* Rows that no command can name by number, of one plane: values without flash attention, whose elements are rows. */
static bool is_long(const struct ggml_tensor *t)
{
	const struct ggml_tensor *src = t->src[0], *ids = t->src[1];

	return t->ne[1] > OCTANS_MAX_ROWS && src->ne[1] <= MOST_ROWS * 64 && src->ne[2] == 1 && src->ne[3] == 1 && !ids->op &&
	       ids->nb[0] == (ids->type == GG_I64 ? 8 : 4);
}

static bool can_set_rows(const struct ggml_tensor *t)
{
	const struct ggml_tensor *src = t->src[0], *ids = t->src[1];
	struct ggml_tensor part = *t;

	if (is_long(t))
		part.ne[1] = OCTANS_MAX_ROWS;
	return is_stored(t->type) && (src->type == GG_F32 || src->type == GG_F16) && rows_dense(&part) &&
	       rows_dense(src) && (ids->type == GG_I64 || ids->type == GG_I32);
}

/* Numbers within one part of so many rows; below 0 are those of others, which the command leaves out. */
static void fill_part(const struct fix *f, uint8_t *to)
{
	const struct ggml_tensor *ids = &f->src[1];
	const uint8_t *from = content(ids);

	for (int64_t i = 0; i < ids->ne[0]; i++) {
		int64_t id = 0;
		int32_t here;

		memcpy(&id, from + i * (int64_t)ids->nb[0], ids->nb[0]);
		here = id / OCTANS_MAX_ROWS == f->kind ? (int32_t)(id % OCTANS_MAX_ROWS) : -1;
		memcpy(to + i * 4, &here, 4);
	}
}

static void set_parts(struct rec *r, const struct ggml_tensor *t)
{
	const struct ref dst = ref_of(r, t), src = ref_of(r, t->src[0]);
	const uint64_t n = src.ne[1];

	for (uint64_t first = 0; first < dst.ne[1]; first += OCTANS_MAX_ROWS) {
		const uint64_t left = dst.ne[1] - first, rows = left < OCTANS_MAX_ROWS ? left : OCTANS_MAX_ROWS;
		const struct fix f = {
			.fill = fill_part, .src[1] = given(t->src[1]), .kind = (int)(first / OCTANS_MAX_ROWS), .size = n * 4,
		};

		RECORD(&r->r, MOVE, move, 0, .dst = rows_of(&dst, 0, 0, first, rows), .src = plane_of(&src, 0, 0),
		       .dst_ids = tensor_i32(r->data + fix_new(r, &f), (uint32_t)n, 1, 0));
	}
}

static void record_set_rows(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), src = ref_of(r, t->src[0]), ids = ref_of(r, t->src[1]);

	if (is_long(t)) {
		set_parts(r, t);
		return;
	}
	for (uint64_t i3 = 0; i3 < src.ne[3]; i3++)
		for (uint64_t i2 = 0; i2 < src.ne[2]; i2++)
			RECORD(&r->r, MOVE, move, 0, .dst = plane_of(&dst, i2, i3), .src = plane_of(&src, i2, i3),
			       .dst_ids = ids_of(&ids, i2 % ids.ne[1], i3 % ids.ne[2], src.ne[1]));
}

const struct ggml_op ggml_op_GET_ROWS = { "GET_ROWS", can_get_rows, record_get_rows };
const struct ggml_op ggml_op_SET_ROWS = { "SET_ROWS", can_set_rows, record_set_rows };

/* a, and to each of its rows one of b: as many rows at a time as a token has. */
static bool can_add_id(const struct ggml_tensor *t)
{
	return t->type == GG_F32 && rows_dense(t) && t->src[0]->type == GG_F32 && rows_dense(t->src[0]) &&
	       t->src[1]->type == GG_F32 && rows_dense(t->src[1]) && t->src[2]->type == GG_I32 && t->src[2]->nb[0] >= 4;
}

static void record_add_id(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), src = ref_of(r, t->src[0]), b = ref_of(r, t->src[1]), ids = ref_of(r, t->src[2]);

	if (t->data == t->src[1]->data && t->data != t->src[0]->data) {	/* ggml may want the result there */
		const struct ref s = scratch_like(r, b.ne);

		copy_ref(r, s, b);
		b = s;
	}
	if (t->data != t->src[0]->data)
		copy_ref(r, dst, src);
	for (uint64_t i = 0; i < dst.ne[2]; i++)
		RECORD(&r->r, MOVE, move, OCTANS_MOVE_ADD, .dst = plane_of(&dst, i, 0), .src = plane_of(&b, 0, 0),
		       .src_ids = ids_of(&ids, i, 0, dst.ne[1]));
}

const struct ggml_op ggml_op_ADD_ID = { "ADD_ID", can_add_id, record_add_id };

/* ---- pieces ---- */

/* As large as like, and so far from the beginning. */
static struct ref piece(struct ref t, const struct ref *like, const uint64_t at[GG_DIMS])
{
	for (int i = 0; i < GG_DIMS; i++) {
		t.va += at[i] * t.nb[i];
		t.ne[i] = like->ne[i];
	}
	return t;
}

/* Elements of what is joined may lie anywhere. */
static bool can_concat(const struct ggml_tensor *t)
{
	const struct rec none = { .r.base = NULL };
	struct ref dst = ref_of(&none, t);
	uint64_t at[GG_DIMS] = { 0 };

	if (!is_element(t->type) || !rows_dense(t))
		return false;
	for (int i = 0; i < 2; i++) {
		const struct ref src = ref_of(&none, t->src[i]), part = piece(dst, &src, at);

		if (src.type != dst.type || !can_copy(&part, &src))
			return false;
	}
	return true;
}

static bool can_pieces(const struct ggml_tensor *t)
{
	return is_element(t->type) && rows_dense(t) && t->src[0]->type == t->type && rows_dense(t->src[0]) &&
	       (!t->src[1] || (t->src[1]->type == t->type && rows_dense(t->src[1])));
}

static void record_concat(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), src = ref_of(r, t->src[0]);
	uint64_t at[GG_DIMS] = { 0 };

	copy_ref(r, piece(dst, &src, at), src);
	at[t->params[0]] = src.ne[t->params[0]];
	src = ref_of(r, t->src[1]);
	copy_ref(r, piece(dst, &src, at), src);
}

static void record_repeat(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), src = ref_of(r, t->src[0]);
	uint64_t at[GG_DIMS];

	for (at[3] = 0; at[3] < dst.ne[3]; at[3] += src.ne[3])
		for (at[2] = 0; at[2] < dst.ne[2]; at[2] += src.ne[2])
			for (at[1] = 0; at[1] < dst.ne[1]; at[1] += src.ne[1])
				for (at[0] = 0; at[0] < dst.ne[0]; at[0] += src.ne[0])
					copy_ref(r, piece(dst, &src, at), src);
}

const struct ggml_op ggml_op_CONCAT = { "CONCAT", can_concat, record_concat };
const struct ggml_op ggml_op_REPEAT = { "REPEAT", can_pieces, record_repeat };

/* ---- one value: a row of it, and the number of that row for each row ---- */

static bool can_fill(const struct ggml_tensor *t)
{
	return (t->type == GG_F32 || t->type == GG_F16) && rows_dense(t);
}

static void fill_row(const struct fix *f, uint8_t *to)
{
	const uint64_t n = (uint64_t)f->node.ne[0] * 4;

	for (uint64_t i = 0; i < n; i += 4)
		memcpy(to + i, &f->node.params[0], 4);
	memset(to + n, 0, f->size - n);
}

static void fill_ref(struct rec *r, struct ref dst, int32_t value)
{
	struct ref *one[] = { &dst };
	struct fix f = { .fill = fill_row, .node = { .ne = { (int64_t)dst.ne[0] }, .params = { value } } };
	uint64_t at;

	if (total(&dst) / dst.ne[0] <= OCTANS_MAX_ROWS)
		merge(one, 1);
	f.plane = (int64_t)dst.ne[0];	/* tells those of other lengths apart */
	f.size = (dst.ne[0] + dst.ne[1]) * 4;
	at = r->data + fix_new(r, &f);
	for (uint64_t i3 = 0; i3 < dst.ne[3]; i3++)
		for (uint64_t i2 = 0; i2 < dst.ne[2]; i2++)
			RECORD(&r->r, MOVE, move, 0, .dst = plane_of(&dst, i2, i3),
			       .src = tensor_f32(at, 1, (uint32_t)dst.ne[0], 0),
			       .src_ids = tensor_i32(at + dst.ne[0] * 4, (uint32_t)dst.ne[1], 1, 0));
}

static void record_fill(struct rec *r, const struct ggml_tensor *t)
{
	fill_ref(r, ref_of(r, t), t->params[0]);
}

/* Zeros before and behind it, in each dimension; fewer than none, which cut, are ggml's own. */
static bool can_pad(const struct ggml_tensor *t)
{
	for (int i = 0; i < GG_DIMS; i++)
		if (t->params[2 * i] < 0 || t->params[2 * i + 1] < 0)
			return false;
	return t->type == GG_F32 && rows_dense(t) && !t->params[8] && t->src[0]->type == GG_F32 && rows_dense(t->src[0]);
}

static void record_pad(struct rec *r, const struct ggml_tensor *t)
{
	struct ref dst = ref_of(r, t), src = ref_of(r, t->src[0]);
	const uint64_t at[GG_DIMS] = { t->params[0], t->params[2], t->params[4], t->params[6] };

	fill_ref(r, dst, 0);
	copy_ref(r, piece(dst, &src, at), src);
}

const struct ggml_op ggml_op_PAD = { "PAD", can_pad, record_pad };
const struct ggml_op ggml_op_FILL = { "FILL", can_fill, record_fill };
