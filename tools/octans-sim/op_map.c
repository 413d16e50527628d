// SPDX-License-Identifier: MIT
/* MAP: dst = f(a) op b, element by element. */
#include "exec.h"

#include <math.h>
#include <string.h>

#include "numeric.h"

#define MAP_BATCH 65536u	/* elements between reading and writing */
#define MAP_PART 4096u

struct map {
	struct operand dst, a, b;
	uint32_t f, op, m, n;
	bool affine;
	const float *imm;
	float *x, *y;			/* a batch of a (then of dst), of b */
	float *columns;			/* b, if it is one row */
	uint32_t batch;			/* elements */
};

static bool map_imm_ok(const struct map *p)
{
	bool two = p->f == OCTANS_MAP_XIELU || p->f == OCTANS_MAP_CLAMP;

	return (p->affine || exec_zero(p->imm, 8)) && (two || exec_zero(p->imm + 2, 8)) &&
	       (p->f != OCTANS_MAP_CLAMP || p->imm[2] <= p->imm[3]);
}

static int map_check(struct exec *e, struct map *p, const struct octans_cmd_map *c)
{
	uint32_t flags = c->cmd.flags;

	p->f = OCTANS_MAP_F(flags);
	p->op = OCTANS_MAP_OP(flags);
	p->affine = flags & OCTANS_MAP_AFFINE;
	p->imm = c->imm;
	if (flags & ~(OCTANS_MAP(0xffu, 0x3u) | OCTANS_MAP_AFFINE) || p->f >= OCTANS_MAP_F_COUNT ||
	    !exec_operand(e, &p->dst, &c->dst, EXEC_F32, 0) || !exec_operand(e, &p->a, &c->a, EXEC_F32, 0) ||
	    !exec_operand(e, &p->b, &c->b, EXEC_F32, EXEC_OPTIONAL) ||
	    p->b.present != (p->op != OCTANS_MAP_NONE))
		return OCTANS_JOB_BAD_CMD;
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	p->m = p->a.rows;
	p->n = p->a.cols;
	if (!map_imm_ok(p) || p->dst.cols != p->n ||
	    (p->b.present && p->b.cols != p->n && p->b.cols != 1))
		return OCTANS_JOB_BAD_CMD;
	return OCTANS_JOB_OK;
}

static uint32_t map_cost_of(const struct map *p)
{
	const bool cheap = p->f == OCTANS_MAP_ID || p->f == OCTANS_MAP_RELU || p->f == OCTANS_MAP_RELU2 ||
			   p->f == OCTANS_MAP_SQRT || p->f == OCTANS_MAP_CLAMP;

	return (cheap ? 1 : 10) + (p->op == OCTANS_MAP_DIV ? 4 : 0);
}

/* b for @n elements from number @first on. */
static int map_read_b(struct exec *e, struct map *p, uint64_t first, uint32_t n)
{
	uint32_t at = 0, run;

	if (!p->b.present)
		return OCTANS_JOB_OK;
	if (p->b.cols == p->n && p->b.rows == p->m)
		return exec_get_elements(e, &p->b, first, n, p->y);
	if (p->b.rows == 1) {
		for (; at < n; at += run) {
			uint32_t col = (uint32_t)((first + at) % p->n);

			run = n - at < p->n - col ? n - at : p->n - col;
			for (uint32_t i = 0; i < run; i++)
				p->y[at + i] = p->columns[p->b.cols == 1 ? 0 : col + i];
		}
		return exec_work(e, n);
	}
	for (; at < n; at += run) {
		uint32_t row = (uint32_t)((first + at) / p->n),
			 col = (uint32_t)((first + at) % p->n);
		float value;

		run = n - at < p->n - col ? n - at : p->n - col;
		EXEC_TRY(exec_get(e, exec_row(&p->b, row), sizeof(value), &value));
		for (uint32_t i = 0; i < run; i++)
			p->y[at + i] = value;
	}
	return exec_work(e, n);
}

static void map_part(void *arg, uint32_t index)
{
	struct map *p = arg;
	uint32_t at = index * MAP_PART, n = p->batch - at < MAP_PART ? p->batch - at : MAP_PART;
	float *x = p->x + at;

	sim_map(x, x, p->f, p->affine, p->imm, n);
	if (p->op == OCTANS_MAP_ADD)
		sim_add(x, x, p->y + at, n);
	if (p->op == OCTANS_MAP_MUL)
		sim_multiply(x, x, p->y + at, n);
	if (p->op == OCTANS_MAP_DIV)
		sim_divide(x, x, p->y + at, n);
	sim_canonical(x, n);
}

static int map_data(struct exec *e, struct map *p)
{
	uint64_t all = (uint64_t)p->m * p->n;

	p->batch = all < MAP_BATCH ? (uint32_t)all : MAP_BATCH;
	p->x = exec_alloc(e, p->batch * 4ull);
	p->y = exec_alloc(e, p->batch * 4ull);
	p->columns = exec_alloc(e, p->b.cols * 4ull);
	if (!p->x || !p->y || !p->columns)
		return OCTANS_JOB_BUS;
	if (p->b.present && p->b.rows == 1)
		EXEC_TRY(exec_get_rows(e, &p->b, 0, 1, p->columns));
	for (uint64_t at = 0; at < all; at += p->batch) {
		p->batch = all - at < MAP_BATCH ? (uint32_t)(all - at) : MAP_BATCH;
		EXEC_TRY(exec_get_elements(e, &p->a, at, p->batch, p->x));
		EXEC_TRY(map_read_b(e, p, at, p->batch));
		EXEC_TRY(exec_share(e, (p->batch + MAP_PART - 1) / MAP_PART, map_part, p,
				    p->batch * (map_cost_of(p) > 1 ? 4ull : 1ull)));
		EXEC_TRY(exec_put_elements(e, &p->dst, at, p->batch, p->x));
	}
	return OCTANS_JOB_OK;
}

int exec_map(struct exec *e, const struct octans_cmd_map *c)
{
	struct map p = { 0 };

	EXEC_TRY(map_check(e, &p, c));
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (p.dst.rows != p.m || (p.b.present && p.b.rows != p.m && p.b.rows != 1))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(exec_cost(e, false, &p.a));
	EXEC_TRY(exec_cost(e, false, &p.b));
	EXEC_TRY(exec_cost(e, true, &p.dst));
	e->ex->macs_f32 = (uint64_t)p.m * p.n * map_cost_of(&p);
	return e->ex->timing_only ? OCTANS_JOB_OK : map_data(e, &p);
}
