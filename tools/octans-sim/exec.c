// SPDX-License-Identifier: MIT
/*
 * Commands: checking, reading operands through the MMU, arithmetic, writing results, and
 * what it all costs by the cycle model (Documentation/hardware/commands.rst, profiles.rst).
 *
 * Everything is checked before anything is written, except what only the memory can tell
 * (token ids, MMU faults).
 */
#include "exec_numeric.h"
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <accel/octans_isa.h>

#include "octans_regs.h"

#define ISSUE_CYCLES 64
#define TRANSCENDENTAL_MACS 8
#define COPY_CHUNK 65536u
/* Bytes of activations and results that MATMUL keeps at once, so that no command asks for more
 * memory than a machine has; more rows of x are another pass over w. */
#ifndef MATMUL_KEEPS		/* tests make these smaller */
#define MATMUL_KEEPS (64ull << 20)
#endif
/* Query heads that share one reading of their key/value head. */
#define ATTN_HEADS 8u
/* Between two yields: multiply-adds that take well below a millisecond. */
#ifndef YIELD_MACS
#define YIELD_MACS 400000u
#endif

/* OCTANS_JOB_BUS is also what a command ends with when the model has no memory for it: a status of
 * real processors that says "not the command's fault". */
struct exec {
	struct sim_mem *m;
	struct sim_exec *ex;
	uint64_t macs_int8, macs_f32;
};

#define FAILED(call) do { int rc_ = (call); if (rc_ != OCTANS_JOB_OK) return rc_; } while (0)

/* ---- checking ---- */

static bool zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n--)
		if (*b++)
			return false;
	return true;
}

static uint64_t row_bytes(const struct octans_tensor *t)
{
	uint32_t elements = 1, bytes = 4;

	if (t->type != OCTANS_TYPE_I32)
		sim_type_block(t->type, &elements, &bytes);
	return (uint64_t)t->cols / elements * bytes;
}

static bool tensor_ok(const struct octans_tensor *t, bool any_weight, uint32_t type)
{
	uint32_t elements, bytes, align = t->type == OCTANS_TYPE_F32 || t->type == OCTANS_TYPE_I32 ? 4 : 2;
	uint64_t size, top = 1ull << OCTANS_VA_BITS;

	if (t->reserved || !t->rows || !t->cols || t->rows > OCTANS_MAX_ROWS ||
	    t->cols > OCTANS_MAX_COLS || t->va % align || t->stride % align)
		return false;
	if (any_weight) {
		if (!sim_type_block(t->type, &elements, &bytes) || t->cols % elements)
			return false;
	} else if (t->type != type) {
		return false;
	}
	size = row_bytes(t);
	if (t->rows > 1) {
		/* Compared by division: rows times a hostile stride would wrap. */
		if (t->stride < size || t->stride > top / (t->rows - 1))
			return false;
		size += (t->rows - 1) * t->stride;
	}
	return t->va < top && size <= top - t->va;
}

static bool f32(const struct octans_tensor *t, uint32_t rows, uint32_t cols)
{
	return tensor_ok(t, false, OCTANS_TYPE_F32) && t->rows == rows && t->cols == cols;
}

/* x, q, dst of the operations on tokens. */
static bool tokens(const struct octans_tensor *t, uint32_t rows, uint32_t cols)
{
	return rows <= OCTANS_MAX_TOKENS && f32(t, rows, cols);
}

static bool weights(const struct octans_tensor *t, uint32_t rows, uint32_t cols)
{
	return tensor_ok(t, true, 0) && t->rows == rows && t->cols == cols;
}

static bool absent(const struct octans_tensor *t)
{
	return zero(t, sizeof(*t));
}

/* ---- memory ---- */

/* A row copied to a buffer of the model's own: it may outlive a yield, and its destination
 * may be its source. */
static int get(struct exec *e, const struct octans_tensor *t, uint32_t row, void *to)
{
	size_t size = row_bytes(t);
	const void *p = sim_read(e->m, t->va + row * t->stride, size, to);

	if (!p)
		return OCTANS_JOB_FAULT;
	if (p != to)
		memcpy(to, p, size);
	return OCTANS_JOB_OK;
}

static int put(struct exec *e, const struct octans_tensor *t, uint32_t row, const void *from)
{
	return sim_write(e->m, t->va + row * t->stride, from, row_bytes(t)) ? OCTANS_JOB_FAULT :
	       OCTANS_JOB_OK;
}

static int yield(struct exec *e)
{
	return sim_yield(e->m) ? OCTANS_JOB_OK : OCTANS_JOB_FAULT;
}

/* Scratch of one command: pieces of one allocation, so that there is one free(). */
struct arena {
	uint8_t *base;
	size_t size, used;
};

static void *piece(struct arena *a, size_t n)
{
	void *p = a->base ? a->base + a->used : NULL;

	a->used += (n + 63) / 64 * 64;
	return p;
}

static void row_pieces(struct arena *a, struct sim_row *w, uint32_t cols)
{
	w->f = piece(a, cols * 4ull);
	w->code = piece(a, cols);
	w->scaled = piece(a, cols * 2ull);
	w->d = piece(a, cols / 32 * 4ull + 4);
	w->dmin = piece(a, cols / 32 * 4ull + 4);
	w->scale = piece(a, cols / 16 * 2ull + 4);
	w->min = piece(a, cols / 32 + 4ull);
}

/* ---- operations ---- */

static int embed(struct exec *e, const struct octans_cmd_embed *c)
{
	struct arena a = { 0 };
	struct sim_row w;
	int32_t *ids;
	float *out;
	uint8_t *raw;
	int rc = OCTANS_JOB_OK;

	if (c->cmd.flags || !tensor_ok(&c->ids, false, OCTANS_TYPE_I32) || c->ids.rows != 1 ||
	    !weights(&c->table, c->table.rows, c->table.cols) ||
	    !tokens(&c->dst, c->ids.cols, c->table.cols))
		return OCTANS_JOB_BAD_CMD;
	for (int pass = 0; pass < 2; pass++) {
		a.used = 0;
		row_pieces(&a, &w, c->table.cols);
		ids = piece(&a, c->ids.cols * 4ull);
		out = piece(&a, c->table.cols * 4ull);
		raw = piece(&a, row_bytes(&c->table));
		if (!a.base)
			a.base = calloc(1, a.used);
		if (!a.base)
			return OCTANS_JOB_BUS;
	}
	rc = get(e, &c->ids, 0, ids);
	for (uint32_t i = 0; i < c->ids.cols && !rc; i++)
		if (ids[i] < 0 || (uint32_t)ids[i] >= c->table.rows)
			rc = OCTANS_JOB_BAD_CMD;
	for (uint32_t i = 0; i < c->ids.cols && !rc; i++) {
		rc = get(e, &c->table, ids[i], raw);
		if (rc)
			break;
		sim_unpack(&w, raw, c->table.type, c->table.cols);
		sim_dequantize(out, &w, c->table.type, c->table.cols);
		rc = put(e, &c->dst, i, out);
		if (!rc)
			rc = yield(e);
	}
	e->macs_f32 += (uint64_t)c->ids.cols * c->table.cols;
	free(a.base);
	return rc;
}

struct matmul {
	const struct octans_cmd_matmul *c;
	uint32_t m, n, k;	/* of the command */
	uint32_t first, tokens;	/* rows of x in this pass */
	bool is_float, has_bias;
	struct arena a;
	struct sim_row w;
	float *x, *y, *bias, *column;
	const float **xf;
	struct sim_quant *xq;
	uint8_t *raw;
};

static bool matmul_arena(struct matmul *t)
{
	size_t blocks = t->k / 32 + 1;

	for (int pass = 0; pass < 2; pass++) {
		t->a.used = 0;
		row_pieces(&t->a, &t->w, t->k);
		t->x = piece(&t->a, (size_t)t->tokens * t->k * 4);
		t->y = piece(&t->a, (size_t)t->tokens * t->n * 4);
		t->column = piece(&t->a, t->tokens * 4ull);
		t->bias = piece(&t->a, t->n * 4ull);
		t->xf = piece(&t->a, t->tokens * sizeof(*t->xf));
		t->xq = piece(&t->a, t->tokens * sizeof(*t->xq));
		t->raw = piece(&t->a, row_bytes(&t->c->w));
		for (uint32_t i = 0; i < t->tokens; i++) {
			struct sim_quant q = {
				.d = piece(&t->a, blocks * 4),
				.xs = piece(&t->a, blocks * 4),
				.q = piece(&t->a, t->k),
			};

			if (!t->a.base)
				continue;
			t->xf[i] = t->x + (size_t)i * t->k;
			t->xq[i] = q;
		}
		if (!t->a.base)
			t->a.base = malloc(t->a.used);
		if (!t->a.base)
			return false;
	}
	return true;
}

static int matmul_read_x(struct exec *e, struct matmul *t)
{
	for (uint32_t i = 0; i < t->tokens; i++) {
		FAILED(get(e, &t->c->x, t->first + i, t->x + (size_t)i * t->k));
		if (!t->is_float)
			sim_quantize(&t->xq[i], t->xf[i], t->k);
		FAILED(yield(e));
	}
	return OCTANS_JOB_OK;
}

/* One row of w, unpacked once, with every token. */
static int matmul_row(struct exec *e, struct matmul *t, uint32_t r, uint64_t *since_yield)
{
	const struct octans_cmd_matmul *c = t->c;
	const uint8_t *row = sim_read(e->m, c->w.va + r * c->w.stride, row_bytes(&c->w), t->raw);
	uint32_t step = YIELD_MACS / t->k + 1;

	if (!row)
		return OCTANS_JOB_FAULT;
	sim_unpack(&t->w, row, c->w.type, t->k);
	for (uint32_t i = 0; i < t->tokens; i += step) {
		uint32_t n = t->tokens - i < step ? t->tokens - i : step;

		sim_dot_row(t->column + i, &t->w, c->w.type, t->k, t->xf + i, t->xq + i, n);
		*since_yield += (uint64_t)t->k * (n + 2);
		if (*since_yield > YIELD_MACS) {
			FAILED(yield(e));
			*since_yield = 0;
		}
	}
	for (uint32_t i = 0; i < t->tokens; i++)
		t->y[(size_t)i * t->n + r] = t->has_bias ? t->column[i] + t->bias[r] : t->column[i];
	return OCTANS_JOB_OK;
}

static int matmul_write(struct exec *e, struct matmul *t)
{
	const struct octans_cmd_matmul *c = t->c;
	float *old = t->w.f;

	for (uint32_t i = 0; i < t->tokens; i++) {
		uint64_t va = c->dst.va + (t->first + i) * c->dst.stride;
		float *y = t->y + (size_t)i * t->n;

		/* In pieces, because old has room for k and dst is n wide. */
		for (uint32_t at = 0; at < t->n && c->cmd.flags & OCTANS_MATMUL_ADD; at += t->k) {
			uint32_t n = t->n - at < t->k ? t->n - at : t->k;
			const float *p = sim_read(e->m, va + at * 4ull, n * 4ull, old);

			if (!p)
				return OCTANS_JOB_FAULT;
			for (uint32_t r = 0; r < n; r++)
				y[at + r] = p[r] + y[at + r];
		}
		FAILED(put(e, &c->dst, t->first + i, y));
		FAILED(yield(e));
	}
	return OCTANS_JOB_OK;
}

static int matmul_run(struct exec *e, struct matmul *t)
{
	uint32_t room = t->tokens;
	uint64_t since_yield = 0;

	if (t->has_bias)
		FAILED(get(e, &t->c->bias, 0, t->bias));
	for (; t->first < t->m; t->first += t->tokens) {
		t->tokens = t->m - t->first < room ? t->m - t->first : room;
		FAILED(matmul_read_x(e, t));
		for (uint32_t r = 0; r < t->n; r++)
			FAILED(matmul_row(e, t, r, &since_yield));
		FAILED(matmul_write(e, t));
	}
	return OCTANS_JOB_OK;
}

static int matmul(struct exec *e, const struct octans_cmd_matmul *c)
{
	struct matmul t = { .c = c, .m = c->x.rows, .n = c->w.rows, .k = c->w.cols };
	uint64_t room;
	int rc;

	if (c->cmd.flags & ~OCTANS_MATMUL_ADD || !weights(&c->w, t.n, t.k) ||
	    !tokens(&c->x, t.m, t.k) || !tokens(&c->dst, t.m, t.n) ||
	    (!absent(&c->bias) && !f32(&c->bias, 1, t.n)))
		return OCTANS_JOB_BAD_CMD;
	t.is_float = sim_type_is_float(c->w.type);
	t.has_bias = !absent(&c->bias);
	room = MATMUL_KEEPS / (4ull * (t.k + t.n));
	t.tokens = room < 1 ? 1 : room < t.m ? (uint32_t)room : t.m;
	if (!matmul_arena(&t))
		return OCTANS_JOB_BUS;
	rc = matmul_run(e, &t);
	free(t.a.base);
	if (t.is_float)
		e->macs_f32 += (uint64_t)t.m * t.n * t.k;
	else
		e->macs_int8 += (uint64_t)t.m * t.n * t.k;
	return rc;
}

static int rmsnorm(struct exec *e, const struct octans_cmd_rmsnorm *c)
{
	uint32_t m = c->x.rows, n = c->x.cols;
	float *x, *w;
	int rc;

	if (c->cmd.flags || !zero(c->reserved, sizeof(c->reserved)) || !tokens(&c->x, m, n) ||
	    !tokens(&c->dst, m, n) || !f32(&c->w, 1, n) || !(c->eps >= 0))
		return OCTANS_JOB_BAD_CMD;
	x = malloc(n * 8ull);
	if (!x)
		return OCTANS_JOB_BUS;
	w = x + n;
	rc = get(e, &c->w, 0, w);
	for (uint32_t i = 0; i < m && !rc; i++) {
		rc = get(e, &c->x, i, x);
		if (rc)
			break;
		sim_rmsnorm(x, x, w, n, c->eps);
		rc = put(e, &c->dst, i, x);
		if (!rc)
			rc = yield(e);
	}
	e->macs_f32 += 2ull * m * n;
	free(x);
	return rc;
}

static int rope(struct exec *e, const struct octans_cmd_rope *c)
{
	uint32_t m = c->x.rows, cols = c->heads * c->head_dim;
	float *x, *cs;
	int rc = OCTANS_JOB_OK;

	if (c->cmd.flags & ~OCTANS_ROPE_HALF || c->reserved || !c->heads || !c->head_dim ||
	    c->heads > OCTANS_MAX_HEADS || c->head_dim > OCTANS_MAX_HEAD_DIM || c->rot % 2 ||
	    c->rot < 2 || c->rot > c->head_dim || !tokens(&c->x, m, cols) ||
	    !tokens(&c->dst, m, cols) || !tokens(&c->cs, m, c->rot))
		return OCTANS_JOB_BAD_CMD;
	x = malloc((2ull * cols + c->rot) * 4);
	if (!x)
		return OCTANS_JOB_BUS;
	cs = x + 2ull * cols;
	for (uint32_t i = 0; i < m && !rc; i++) {
		rc = get(e, &c->x, i, x);
		if (!rc)
			rc = get(e, &c->cs, i, cs);
		if (rc)
			break;
		sim_rope(x + cols, x, cs, c->heads, c->head_dim, c->rot,
			 c->cmd.flags & OCTANS_ROPE_HALF);
		rc = put(e, &c->dst, i, x + cols);
		if (!rc)
			rc = yield(e);
	}
	e->macs_f32 += 2ull * m * cols;
	free(x);
	return rc;
}

/* ---- attention ---- */

struct attn {
	const struct octans_cmd_attn *c;
	uint32_t dim;		/* of a head */
	float *q, *out;		/* [heads * dim] */
	float *scores;		/* [ATTN_HEADS][pos + m] */
	float *kv;		/* [dim] scratch */
};

static const float *cached(struct exec *e, const struct octans_tensor *cache, uint32_t t,
			   uint32_t kv_head, const struct attn *a)
{
	return sim_read(e->m, cache->va + t * cache->stride + kv_head * a->dim * 4ull, a->dim * 4ull,
			a->kv);
}

static int attn_yield(struct exec *e, uint64_t *work, uint64_t macs)
{
	*work += macs;
	if (*work < YIELD_MACS)
		return OCTANS_JOB_OK;
	*work = 0;
	return yield(e);
}

/* @heads heads from @head on, which share a key/value head, over @n positions. */
static int attn_heads(struct exec *e, struct attn *a, uint32_t head, uint32_t heads, uint32_t n)
{
	const struct octans_cmd_attn *c = a->c;
	uint32_t kv_head = head / (c->heads / c->kv_heads), room = c->pos + c->q.rows;
	const float *q = a->q + head * a->dim;
	float *out = a->out + head * a->dim, inverse[ATTN_HEADS];
	uint64_t work = 0, macs = heads * (a->dim + 16);	/* with what an access takes */

	for (uint32_t t = 0; t < n; t++) {
		const float *k = cached(e, &c->k_cache, t, kv_head, a);

		if (!k)
			return OCTANS_JOB_FAULT;
		for (uint32_t h = 0; h < heads; h++)
			a->scores[(size_t)h * room + t] = sim_dot8(q + h * a->dim, k, a->dim) * c->scale;
		FAILED(attn_yield(e, &work, macs));
	}
	for (uint32_t h = 0; h < heads; h++) {
		inverse[h] = sim_softmax(a->scores + (size_t)h * room, n);
		FAILED(attn_yield(e, &work, n * 16ull));
	}
	memset(out, 0, heads * a->dim * 4ull);
	for (uint32_t t = 0; t < n; t++) {
		const float *v = cached(e, &c->v_cache, t, kv_head, a);

		if (!v)
			return OCTANS_JOB_FAULT;
		for (uint32_t h = 0; h < heads; h++)
			sim_accumulate(out + h * a->dim, v, a->scores[(size_t)h * room + t], a->dim);
		FAILED(attn_yield(e, &work, macs));
	}
	for (uint32_t h = 0; h < heads; h++)
		for (uint32_t d = 0; d < a->dim; d++)
			out[h * a->dim + d] *= inverse[h];
	return OCTANS_JOB_OK;
}

static int attn_append(struct exec *e, const struct octans_cmd_attn *c, float *row)
{
	for (uint32_t i = 0; i < c->q.rows; i++) {
		FAILED(get(e, &c->k, i, row));
		FAILED(put(e, &c->k_cache, c->pos + i, row));
		FAILED(get(e, &c->v, i, row));
		FAILED(put(e, &c->v_cache, c->pos + i, row));
		FAILED(yield(e));
	}
	return OCTANS_JOB_OK;
}

static int attn_rows(struct exec *e, struct attn *a)
{
	const struct octans_cmd_attn *c = a->c;
	uint32_t group = c->heads / c->kv_heads, heads;

	FAILED(attn_append(e, c, a->out));
	for (uint32_t i = 0; i < c->q.rows; i++) {
		FAILED(get(e, &c->q, i, a->q));
		for (uint32_t h = 0; h < c->heads; h += heads) {
			uint32_t left = group - h % group;

			heads = left < ATTN_HEADS ? left : ATTN_HEADS;
			FAILED(attn_heads(e, a, h, heads, c->pos + i + 1));
		}
		FAILED(put(e, &c->dst, i, a->out));
		FAILED(yield(e));
		e->macs_f32 += (2ull * a->dim + TRANSCENDENTAL_MACS) * c->heads * (c->pos + i + 1);
	}
	return OCTANS_JOB_OK;
}

static bool attn_ok(const struct octans_cmd_attn *c, uint32_t max_ctx)
{
	uint32_t m = c->q.rows, cols, kv_cols, ctx = c->k_cache.rows;

	if (c->cmd.flags || !zero(c->reserved, sizeof(c->reserved)) || !c->kv_heads || !c->heads ||
	    c->heads > OCTANS_MAX_HEADS || c->heads % c->kv_heads || !c->head_dim ||
	    c->head_dim > OCTANS_MAX_HEAD_DIM)
		return false;
	cols = c->heads * c->head_dim;
	kv_cols = c->kv_heads * c->head_dim;
	return tokens(&c->q, m, cols) && tokens(&c->dst, m, cols) && tokens(&c->k, m, kv_cols) &&
	       tokens(&c->v, m, kv_cols) && f32(&c->k_cache, ctx, kv_cols) &&
	       f32(&c->v_cache, ctx, kv_cols) && c->pos <= ctx && m <= ctx - c->pos &&
	       c->pos + m <= max_ctx;
}

static int attn(struct exec *e, const struct octans_cmd_attn *c)
{
	struct attn a = { .c = c, .dim = c->head_dim };
	size_t cols;
	int rc;

	if (!attn_ok(c, e->ex->profile->max_ctx))
		return OCTANS_JOB_BAD_CMD;
	cols = (size_t)c->heads * c->head_dim;
	a.q = malloc((2 * cols + a.dim + ATTN_HEADS * ((size_t)c->pos + c->q.rows)) * 4);
	if (!a.q)
		return OCTANS_JOB_BUS;
	a.out = a.q + cols;
	a.kv = a.out + cols;
	a.scores = a.kv + a.dim;
	rc = attn_rows(e, &a);
	free(a.q);
	return rc;
}

/* ---- element by element ---- */

static int glu(struct exec *e, const struct octans_cmd_glu *c)
{
	uint32_t m = c->gate.rows, n = c->gate.cols;
	float *g;
	int rc = OCTANS_JOB_OK;

	if (c->cmd.flags != OCTANS_GLU_SILU || !f32(&c->gate, m, n) || !f32(&c->up, m, n) ||
	    !f32(&c->dst, m, n))
		return OCTANS_JOB_BAD_CMD;
	g = malloc(n * 8ull);
	if (!g)
		return OCTANS_JOB_BUS;
	for (uint32_t i = 0; i < m && !rc; i++) {
		rc = get(e, &c->gate, i, g);
		if (!rc)
			rc = get(e, &c->up, i, g + n);
		if (rc)
			break;
		sim_silu_mul(g, g, g + n, n);
		rc = put(e, &c->dst, i, g);
		if (!rc)
			rc = yield(e);
	}
	e->macs_f32 += (uint64_t)m * n * (TRANSCENDENTAL_MACS + 2);
	free(g);
	return rc;
}

static int elementwise(struct exec *e, const struct octans_cmd_elementwise *c)
{
	uint32_t m = c->a.rows, n = c->a.cols;
	bool scale = c->cmd.flags == OCTANS_ELT_SCALE, broadcast = c->b.rows == 1;
	float *a, *b;
	int rc = OCTANS_JOB_OK;

	if (c->cmd.flags > OCTANS_ELT_SCALE || !zero(c->reserved, sizeof(c->reserved)) ||
	    !f32(&c->a, m, n) || !f32(&c->dst, m, n))
		return OCTANS_JOB_BAD_CMD;
	if (scale ? !absent(&c->b) :
		    !f32(&c->b, broadcast ? 1 : m, n) || !zero(&c->imm, sizeof(c->imm)))
		return OCTANS_JOB_BAD_CMD;
	a = malloc(n * 8ull);
	if (!a)
		return OCTANS_JOB_BUS;
	b = a + n;
	for (uint32_t i = 0; i < m && !rc; i++) {
		rc = get(e, &c->a, i, a);
		if (!rc && !scale && !(broadcast && i))
			rc = get(e, &c->b, broadcast ? 0 : i, b);
		if (rc)
			break;
		for (uint32_t k = 0; k < n; k++)
			a[k] = scale ? a[k] * c->imm :
			       c->cmd.flags == OCTANS_ELT_ADD ? a[k] + b[k] : a[k] * b[k];
		rc = put(e, &c->dst, i, a);
		if (!rc)
			rc = yield(e);
	}
	e->macs_f32 += (uint64_t)m * n;
	free(a);
	return rc;
}

static int copy(struct exec *e, const struct octans_cmd_copy *c)
{
	uint64_t top = 1ull << OCTANS_VA_BITS, done = 0;
	uint8_t *chunk;
	int rc = OCTANS_JOB_OK;

	if (c->cmd.flags || c->reserved || !c->size || c->size > 1ull << 40 || c->dst >= top ||
	    c->src >= top || c->size > top - c->dst || c->size > top - c->src ||
	    (c->dst < c->src + c->size && c->src < c->dst + c->size))
		return OCTANS_JOB_BAD_CMD;
	chunk = malloc(COPY_CHUNK);
	if (!chunk)
		return OCTANS_JOB_BUS;
	while (done < c->size && !rc) {
		size_t n = c->size - done < COPY_CHUNK ? c->size - done : COPY_CHUNK;
		const void *p = sim_read(e->m, c->src + done, n, chunk);

		/* By way of the chunk: two addresses may be one page. */
		if (p && p != chunk)
			memcpy(chunk, p, n);
		if (!p || sim_write(e->m, c->dst + done, chunk, n))
			rc = OCTANS_JOB_FAULT;
		else
			rc = yield(e);
		done += n;
	}
	free(chunk);
	return rc;
}

static int timestamp(struct exec *e, const struct octans_cmd_timestamp *c)
{
	uint64_t stamp[2] = { e->ex->cycles_before, e->ex->time_ns };

	if (c->cmd.flags || c->reserved || c->va % 8 || c->va >= 1ull << OCTANS_VA_BITS ||
	    sizeof(stamp) > (1ull << OCTANS_VA_BITS) - c->va)
		return OCTANS_JOB_BAD_CMD;
	return sim_write(e->m, c->va, stamp, sizeof(stamp)) ? OCTANS_JOB_FAULT : OCTANS_JOB_OK;
}

/* ---- dispatch ---- */

static int run(struct exec *e, const struct octans_cmd *c, uint32_t size)
{
#define OP(code, type, fn) \
	case code: \
		return size == sizeof(struct type) ? fn(e, (const struct type *)c) : OCTANS_JOB_BAD_CMD
	switch (c->op) {
	case OCTANS_OP_NOP:
		return size == sizeof(*c) && !c->flags ? OCTANS_JOB_OK : OCTANS_JOB_BAD_CMD;
	OP(OCTANS_OP_EMBED, octans_cmd_embed, embed);
	OP(OCTANS_OP_MATMUL, octans_cmd_matmul, matmul);
	OP(OCTANS_OP_RMSNORM, octans_cmd_rmsnorm, rmsnorm);
	OP(OCTANS_OP_ROPE, octans_cmd_rope, rope);
	OP(OCTANS_OP_ATTN, octans_cmd_attn, attn);
	OP(OCTANS_OP_GLU, octans_cmd_glu, glu);
	OP(OCTANS_OP_ELEMENTWISE, octans_cmd_elementwise, elementwise);
	OP(OCTANS_OP_COPY, octans_cmd_copy, copy);
	OP(OCTANS_OP_TIMESTAMP, octans_cmd_timestamp, timestamp);
	}
#undef OP
	return OCTANS_JOB_BAD_CMD;
}

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
	return b ? a / b + (a % b != 0) : 0;
}

int sim_exec(struct sim_mem *m, const void *cmd, uint32_t size, struct sim_exec *ex)
{
	const struct octans_cmd *c = cmd;
	const struct sim_profile *p = ex->profile;
	struct sim_traffic before = *sim_mem_traffic(m), after;
	struct exec e = { .m = m, .ex = ex };
	uint64_t memory, compute;
	int rc;

	if (size < sizeof(*c) || c->size != size || c->reserved)
		return OCTANS_JOB_BAD_CMD;
	rc = run(&e, c, size);
	after = *sim_mem_traffic(m);
	memory = ceil_div(after.local - before.local, p->local_bpc) +
		 ceil_div(after.pcie - before.pcie, p->pcie_bpc);
	compute = ceil_div(e.macs_int8, p->macs_int8) + ceil_div(e.macs_f32, p->macs_f32);
	ex->cycles = ISSUE_CYCLES + (memory > compute ? memory : compute);
	return rc;
}

uint64_t sim_exec_ops(void)
{
	return (1ull << (OCTANS_OP_TIMESTAMP + 1)) - 1;
}

uint64_t sim_exec_types(void)
{
	uint64_t bits = 0;
	uint32_t elements, bytes;

	for (uint32_t i = 0; i < 64; i++)
		if (sim_type_block(i, &elements, &bytes))
			bits |= 1ull << i;
	return bits;
}
