// SPDX-License-Identifier: MIT
#include "rec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "type/type.h"

struct region *region_of(const struct ggml_tensor *t)
{
	const struct gg_buffer *b = t->buffer ? t->buffer : t->view_src ? t->view_src->buffer : NULL;

	return b && buffer_is_ours(b) ? b->context : NULL;
}

struct ref ref_of(const struct rec *r, const struct ggml_tensor *t)
{
	const struct region *region = region_of(t);
	struct ref ref = { .va = (uintptr_t)t->data, .type = t->type };

	if (!r->r.base || !region)
		ref.va = 1 << 16;	/* it is only counted */
	else if (!r->on_cpu)
		ref.va = region->va + (uint64_t)((uint8_t *)t->data - region->host);
	for (int i = 0; i < GG_DIMS; i++) {
		ref.ne[i] = (uint64_t)t->ne[i];
		ref.nb[i] = t->nb[i];
	}
	return ref;
}

struct ggml_tensor given(const struct ggml_tensor *t)
{
	struct ggml_tensor copy = *t;

	if (!copy.buffer && copy.view_src)
		copy.buffer = copy.view_src->buffer;
	copy.view_src = NULL;
	memset(copy.src, 0, sizeof(copy.src));
	return copy;
}

const uint8_t *content(const struct ggml_tensor *t)
{
	struct region *region = region_of(t);

	/* what ggml set is in the copy, but the tensor may lie where something was left */
	if (!region_fetch(region, (uint64_t)((uint8_t *)t->data - region->host), ggml_nbytes(t)))
		region->damaged = true;
	return t->data;
}

struct octans_tensor rows_of(const struct ref *t, uint64_t i2, uint64_t i3, uint64_t first, uint64_t n)
{
	return (struct octans_tensor) {
		.va = t->va + i2 * t->nb[2] + i3 * t->nb[3] + first * t->nb[1],
		.stride = t->nb[1],
		.rows = (uint32_t)n,
		.cols = (uint32_t)t->ne[0],
		.type = t->type,
	};
}

struct octans_tensor plane_of(const struct ref *t, uint64_t i2, uint64_t i3)
{
	return rows_of(t, i2, i3, 0, t->ne[1]);
}

static bool merges(const struct ref *t)
{
	return t->ne[2] == 1 || t->ne[1] == 1 || t->nb[2] == t->ne[1] * t->nb[1];
}

static void merge_once(struct ref *t)
{
	if (t->ne[1] == 1)
		t->nb[1] = t->nb[2];
	t->ne[1] *= t->ne[2];
	t->ne[2] = t->ne[3];
	t->nb[2] = t->nb[3];
	t->ne[3] = 1;
}

void merge(struct ref **t, int n)
{
	for (int times = 0; times < 2; times++) {
		for (int i = 0; i < n; i++)
			if (!merges(t[i]))
				return;
		for (int i = 0; i < n; i++)
			merge_once(t[i]);
	}
}

struct ref scratch_f32(struct rec *r, uint64_t ne0, uint64_t ne1)
{
	struct ref t = { .va = r->scratch + r->scratch_used, .ne = { ne0, ne1, 1, 1 }, .type = GG_F32 };

	t.nb[0] = 4;
	t.nb[1] = ne0 * 4;
	t.nb[2] = t.nb[3] = ne1 * t.nb[1];
	r->scratch_used += (t.nb[2] + 63) / 64 * 64;
	if (r->scratch_used > r->scratch_most)
		r->scratch_most = r->scratch_used;
	return t;
}

struct ref scratch_like(struct rec *r, const uint64_t ne[GG_DIMS])
{
	struct ref s = scratch_f32(r, ne[0], ne[1] * ne[2] * ne[3]);

	for (int i = 1; i < GG_DIMS; i++) {
		s.ne[i] = ne[i];
		s.nb[i] = s.nb[i - 1] * s.ne[i - 1];
	}
	return s;
}

static bool same_bytes(const struct ggml_tensor *a, const struct ggml_tensor *b)
{
	return a->data == b->data && a->type == b->type && !memcmp(a->ne, b->ne, sizeof(a->ne)) &&
	       !memcmp(a->nb, b->nb, sizeof(a->nb));
}

static bool same_fix(const struct fix *a, const struct fix *b)
{
	if (a->fill != b->fill || a->size != b->size || a->plane != b->plane || a->kind != b->kind ||
	    memcmp(a->node.params, b->node.params, sizeof(a->node.params)))
		return false;
	for (int i = 0; i < GG_SRCS; i++)
		if (!same_bytes(&a->src[i], &b->src[i]))
			return false;
	return true;
}

static int fixes_grow(struct rec *r)
{
	const uint32_t room = 2 * r->fixes_room + 8;
	struct fix *fixes = realloc(r->fixes, room * sizeof(*fixes));

	if (!fixes)
		return fail(-ENOMEM, "no memory for a graph");
	r->fixes = fixes;
	r->fixes_room = room;
	return 0;
}

uint64_t fix_new(struct rec *r, const struct fix *like)
{
	struct fix *f;

	for (uint32_t i = 0; i < r->n_fixes; i++)
		if (same_fix(&r->fixes[i], like))
			return r->fixes[i].offset;
	if (r->n_fixes == r->fixes_room && !r->err)
		r->err = fixes_grow(r);
	if (r->err)
		return 0;
	f = &r->fixes[r->n_fixes++];
	*f = *like;
	f->offset = r->data_used;
	r->data_used += (f->size + 63) / 64 * 64;
	return f->offset;
}

bool is_contiguous(const struct ref *t)
{
	uint32_t elements, bytes;
	uint64_t nb;

	if (!type_block(t->type, &elements, &bytes) || t->nb[0] != bytes || t->ne[0] % elements)
		return false;
	nb = t->ne[0] / elements * bytes;
	for (int i = 1; i < GG_DIMS; i++) {
		if (t->ne[i] != 1 && t->nb[i] != nb)
			return false;
		nb *= t->ne[i];
	}
	return true;
}

bool rows_dense(const struct ggml_tensor *t)
{
	uint32_t elements, bytes;

	if (!type_block(t->type, &elements, &bytes) || t->nb[0] != bytes || t->ne[0] > OCTANS_MAX_COLS ||
	    t->ne[0] % elements)
		return false;
	for (int i = 1; i < GG_DIMS; i++)
		if (t->ne[i] > 1 && t->nb[i] < (uint64_t)t->ne[0] / elements * bytes)
			return false;
	return t->ne[1] <= OCTANS_MAX_ROWS;
}

bool same_shape(const struct ggml_tensor *a, const struct ggml_tensor *b)
{
	return !memcmp(a->ne, b->ne, sizeof(a->ne));
}

float param_f32(const struct ggml_tensor *t, int i)
{
	float f;

	memcpy(&f, &t->params[i], sizeof(f));
	return f;
}
