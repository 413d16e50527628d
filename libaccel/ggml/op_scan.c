// SPDX-License-Identifier: MIT
/*
 * What goes on from token to token: convolutions over time, and recurrences (Mamba-2, the gated delta rule).  Tokens of one
 * sequence are rows of one command; its state is where ggml wants the last one, and stays there from row to row.
 */
#include "rec.h"

#include <math.h>
#include <string.h>

static bool is_f32(const struct ggml_tensor *t)
{
	return t->type == GG_F32 && rows_dense(t);
}

/* Of [n, heads, tokens, sequences]: heads lie side by side, so that a token's are one row. */
static bool is_wide(const struct ggml_tensor *t)
{
	return is_f32(t) && (t->ne[1] == 1 || t->nb[1] == (size_t)t->ne[0] * 4) &&
	       (t->ne[2] == 1 || t->nb[2] >= (size_t)(t->ne[0] * t->ne[1]) * 4) && t->ne[2] <= OCTANS_MAX_TOKENS &&
	       t->ne[0] * t->ne[1] <= OCTANS_MAX_COLS;
}

/* n heads of it from this one on, of all tokens of a sequence. */
static struct octans_tensor heads_of(const struct ref *t, uint64_t sequence, uint64_t head, uint64_t n)
{
	struct octans_tensor d = {
		.va = t->va + sequence * t->nb[3] + head * t->nb[1],
		.stride = t->nb[2],
		.rows = (uint32_t)t->ne[2],
		.cols = (uint32_t)(t->ne[0] * n),
		.type = OCTANS_TYPE_F32,
	};

	if (d.rows == 1)	/* of one token ggml may say any distance */
		d.stride = d.cols * 4ull;
	return d;
}

static struct octans_tensor floats(uint64_t va, uint64_t rows, uint64_t cols, uint64_t stride)
{
	struct octans_tensor d = tensor_f32(va, (uint32_t)rows, (uint32_t)cols, 0);

	d.stride = stride;
	return d;
}

/*
 * Where each token finds its state and leaves it, of so many snapshots (kind): the states of the newest tokens, the newest
 * first; the oldest of those is also where earlier tokens hand it on.
 */
static int32_t snapshot(uint64_t tokens, uint64_t snapshots, uint64_t token)
{
	const uint64_t ago = tokens - 1 - token;

	return (int32_t)(ago < snapshots ? ago : snapshots - 1);
}

static void fill_slots(const struct fix *f, uint8_t *to)
{
	const uint64_t tokens = (uint64_t)f->plane, snapshots = (uint64_t)f->kind;
	int32_t slot[2] = { 0, snapshot(tokens, snapshots, 0) };

	for (uint64_t i = 0; i < tokens; i++) {
		slot[0] = slot[1];
		slot[1] = snapshot(tokens, snapshots, i);
		memcpy(to + i * sizeof(slot), slot, sizeof(slot));
	}
}

static struct octans_tensor slots_of(struct rec *r, uint64_t tokens, uint64_t snapshots)
{
	const struct fix f = {
		.fill = fill_slots, .plane = (int64_t)tokens, .kind = (int)snapshots, .size = tokens * 2 * sizeof(int32_t),
	};

	return tensor_i32(r->data + fix_new(r, &f), (uint32_t)tokens, 2, 0);
}

/* ---- SSM_CONV: sx [taps - 1 + tokens, channels, sequences], whose rows are time ---- */

static bool can_conv(const struct ggml_tensor *t)
{
	const struct ggml_tensor *sx = t->src[0], *w = t->src[1];

	return is_f32(t) && is_f32(sx) && is_f32(w) && t->ne[3] == 1 && w->ne[0] >= 2 && w->ne[0] <= OCTANS_MAX_CONV &&
	       t->ne[1] <= OCTANS_MAX_TOKENS && (w->ne[0] - 1) * w->ne[1] <= OCTANS_MAX_COLS;
}

/* Turned round, what is before the first token is the state that it finds. */
static void record_conv(struct rec *r, const struct ggml_tensor *t)
{
	const struct ref dst = ref_of(r, t), w = ref_of(r, t->src[1]);
	const uint64_t channels = dst.ne[0], tokens = dst.ne[1], before = w.ne[0] - 1, row = channels * 4;
	struct ref sx = ref_of(r, t->src[0]), turned = scratch_f32(r, channels, (before + tokens) * dst.ne[2]), time = turned;

	time.ne[0] = before + tokens;
	time.ne[1] = channels;
	time.ne[2] = dst.ne[2];
	time.nb[0] = row;
	time.nb[1] = 4;
	time.nb[2] = time.nb[3] = (before + tokens) * row;
	copy_ref(r, time, sx);
	for (uint64_t s = 0; s < dst.ne[2]; s++) {
		const uint64_t va = turned.va + s * time.nb[2];

		RECORD(&r->r, CONV, conv, 0, .dst = plane_of(&dst, s, 0),
		       .x = floats(va + before * row, tokens, channels, row), .w = plane_of(&w, 0, 0),
		       .state = floats(va, 1, before * channels, before * row), .slot = slots_of(r, tokens, 1));
	}
}

const struct ggml_op ggml_op_SSM_CONV = { "SSM_CONV", can_conv, record_conv };

/* ---- SSM_SCAN: of states s [dk, dv, heads, ..] those that ids name, x [dv, heads, tokens, sequences], dt, A, B, C ---- */

static bool state_fits(uint64_t heads, uint64_t groups, uint64_t dv, uint64_t dk)
{
	return heads <= OCTANS_MAX_HEADS && groups && heads % groups == 0 && dv <= OCTANS_MAX_HEAD_DIM &&
	       dk <= OCTANS_MAX_HEAD_DIM && heads * dv * dk <= 1u << 20;
}

static bool can_scan(const struct ggml_tensor *t)
{
	const struct ggml_tensor *s = t->src[0], *x = t->src[1], *dt = t->src[2], *a = t->src[3], *b = t->src[4],
				 *c = t->src[5], *ids = t->src[6];
	const int64_t tokens = x->ne[2], sequences = x->ne[3];

	return t->type == GG_F32 && is_wide(x) && is_wide(b) && is_wide(c) && is_f32(dt) && is_f32(a) && is_f32(s) &&
	       ids && ids->type == GG_I32 && !t->src[7] && a->ne[0] == 1 && (a->ne[1] == 1 || a->nb[1] == 4) &&
	       s->nb[1] == (size_t)s->ne[0] * 4 && s->nb[2] == (size_t)s->ne[1] * s->nb[1] &&
	       s->nb[3] >= (size_t)s->ne[2] * s->nb[2] && same_shape(b, c) &&
	       t->ne[0] * t->ne[1] == (x->ne[0] * tokens + s->ne[0] * s->ne[1]) * x->ne[1] * sequences &&
	       state_fits((uint64_t)x->ne[1], (uint64_t)b->ne[1], (uint64_t)x->ne[0], (uint64_t)s->ne[0]);
}

static void record_scan(struct rec *r, const struct ggml_tensor *t)
{
	const struct ref dst = ref_of(r, t), s = ref_of(r, t->src[0]), x = ref_of(r, t->src[1]), dt = ref_of(r, t->src[2]),
			 a = ref_of(r, t->src[3]), b = ref_of(r, t->src[4]), c = ref_of(r, t->src[5]),
			 ids = ref_of(r, t->src[6]), step = scratch_like(r, dt.ne);
	const uint64_t dv = x.ne[0], heads = x.ne[1], tokens = x.ne[2], sequences = x.ne[3], dk = s.ne[0];
	const uint64_t row = heads * dv * 4, size = heads * dv * dk, states = dst.va + tokens * sequences * row;

	RECORD(&r->r, MOVE, move, 0, .dst = floats(states, sequences, size, size * 4),
	       .src = floats(s.va, s.ne[3], size, s.nb[3]),
	       .src_ids = { .va = ids.va, .stride = ids.nb[0], .rows = (uint32_t)sequences, .cols = 1,
			    .type = OCTANS_TYPE_I32 });
	map_ref(r, OCTANS_MAP(OCTANS_MAP_SOFTPLUS, OCTANS_MAP_NONE), NULL, step, dt, NULL);
	for (uint64_t i = 0; i < sequences; i++)
		RECORD(&r->r, SCAN, scan, OCTANS_SCAN_SSM, .dst = floats(dst.va + i * tokens * row, tokens, heads * dv, row),
		       .v = heads_of(&x, i, 0, heads), .k = heads_of(&b, i, 0, b.ne[1]), .q = heads_of(&c, i, 0, c.ne[1]),
		       .g = plane_of(&step, i, 0), .a = floats(a.va, 1, heads, heads * 4),
		       .state = floats(states + i * size * 4, 1, size, size * 4), .slot = slots_of(r, tokens, 1),
		       .heads = (uint32_t)heads, .groups = (uint32_t)b.ne[1], .dk = (uint32_t)dk, .dv = (uint32_t)dv,
		       .scale = 1);
}

const struct ggml_op ggml_op_SSM_SCAN = { "SSM_SCAN", can_scan, record_scan };

/* ---- GATED_DELTA_NET: q, k [n, key heads, tokens, ..], v [n, heads, tokens, sequences], g, beta, state [n, n, heads, ..] ---- */

/* States of so many of the newest tokens are wanted. */
static int64_t snapshots_of(const struct ggml_tensor *t)
{
	const struct ggml_tensor *v = t->src[2];

	return (t->ne[1] - v->ne[2] * v->ne[3]) / (v->ne[0] * v->ne[3]);
}

static bool can_delta(const struct ggml_tensor *t)
{
	const struct ggml_tensor *q = t->src[0], *k = t->src[1], *v = t->src[2], *g = t->src[3], *beta = t->src[4],
				 *state = t->src[5];
	const struct rec none = { .r.base = NULL };
	const struct ref s = ref_of(&none, state);
	const int64_t n = v->ne[0], heads = v->ne[1];

	return is_f32(t) && is_wide(q) && is_wide(k) && is_wide(v) && is_wide(g) && is_wide(beta) && state->type == GG_F32 &&
	       !t->src[6] && is_contiguous(&s) && s.ne[0] * s.ne[1] * s.ne[2] * s.ne[3] == (uint64_t)(n * n * heads * v->ne[3]) &&
	       same_shape(q, k) && v->ne[3] % q->ne[3] == 0 && q->ne[0] == n &&
	       (g->ne[0] == 1 || g->ne[0] == n) && beta->ne[0] == 1 &&
	       heads % q->ne[1] == 0 && snapshots_of(t) >= 1 &&
	       state_fits((uint64_t)heads, (uint64_t)heads, (uint64_t)n, (uint64_t)n);
}

/* Head h has key h % keys: as many heads as there are keys at a time.  Of sequences those that follow each other share
 * keys and queries. */
static void record_delta(struct rec *r, const struct ggml_tensor *t)
{
	const struct ref dst = ref_of(r, t), q = ref_of(r, t->src[0]), k = ref_of(r, t->src[1]), v = ref_of(r, t->src[2]),
			 g = ref_of(r, t->src[3]), beta = ref_of(r, t->src[4]), state = ref_of(r, t->src[5]);
	const uint64_t n = v.ne[0], heads = v.ne[1], tokens = v.ne[2], sequences = v.ne[3], keys = k.ne[1];
	const uint64_t snapshots = (uint64_t)snapshots_of(t), row = heads * n * 4, size = heads * n * n * 4;
	const uint64_t states = dst.va + tokens * sequences * row, first = (uint64_t)snapshot(tokens, snapshots, 0);
	const uint64_t share = sequences / q.ne[3];

	RECORD(&r->r, MOVE, move, 0, .dst = floats(states + first * sequences * size, sequences, size / 4, size),
	       .src = floats(state.va, sequences, size / 4, size));
	for (uint64_t i = 0; i < sequences; i++)
		for (uint64_t h = 0; h < heads; h += keys)
			RECORD(&r->r, SCAN, scan, OCTANS_SCAN_DELTA,
			       .dst = floats(dst.va + i * tokens * row + h * n * 4, tokens, keys * n, row),
			       .v = heads_of(&v, i, h, keys), .k = heads_of(&k, i / share, 0, keys),
			       .q = heads_of(&q, i / share, 0, keys),
			       .g = heads_of(&g, i, h, keys), .beta = heads_of(&beta, i, h, keys),
			       .state = floats(states + i * size + h * n * n * 4, snapshots, keys * n * n, sequences * size),
			       .slot = slots_of(r, tokens, snapshots), .heads = (uint32_t)keys, .groups = (uint32_t)keys,
			       .dk = (uint32_t)n, .dv = (uint32_t)n, .scale = 1 / sqrtf((float)n));
}

const struct ggml_op ggml_op_GATED_DELTA_NET = { "GATED_DELTA_NET", can_delta, record_delta };
