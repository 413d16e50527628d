// SPDX-License-Identifier: MIT
/* ROPE: rotates pairs of elements of each head. */
#include "exec.h"

#include <string.h>

#include "numeric.h"

#define ROPE_BATCH 32768u	/* elements of whole heads */

struct rope {
	struct operand dst, x, cs, pos;
	uint32_t m, n, heads, head_dim, first, rot;
	bool half;
	int32_t *positions;		/* [m] or NULL: row i */
	float *values, *turns;		/* a batch of heads, and cs of each row that they are of */
	uint64_t head;			/* of all rows: the first of the batch */
	uint32_t row;			/* of that head */
};

static int rope_check(struct exec *e, struct rope *p, const struct octans_cmd_rope *c)
{
	if (c->cmd.flags & ~OCTANS_ROPE_HALF || !exec_operand(e, &p->dst, &c->dst, EXEC_F32, 0) ||
	    !exec_operand(e, &p->x, &c->x, EXEC_F32, 0) ||
	    !exec_operand(e, &p->cs, &c->cs, EXEC_F32, 0) ||
	    !exec_operand(e, &p->pos, &c->pos, EXEC_I32, EXEC_OPTIONAL))
		return OCTANS_JOB_BAD_CMD;
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (!c->heads || c->heads > OCTANS_MAX_HEADS || !c->head_dim ||
	    c->head_dim > OCTANS_MAX_HEAD_DIM || c->rot < 2 || c->rot % 2 || c->rot > c->head_dim ||
	    c->first > c->head_dim - c->rot)
		return OCTANS_JOB_BAD_CMD;
	p->m = p->x.rows;
	p->heads = c->heads;
	p->head_dim = c->head_dim;
	p->first = c->first;
	p->rot = c->rot;
	p->half = c->cmd.flags & OCTANS_ROPE_HALF;
	p->n = p->heads * p->head_dim;
	if (p->x.cols != p->n || p->dst.cols != p->n || p->cs.cols != p->rot || p->pos.cols > 1)
		return OCTANS_JOB_BAD_CMD;
	return OCTANS_JOB_OK;
}

static uint32_t rope_position(const struct rope *p, uint32_t row)
{
	return p->positions ? (uint32_t)p->positions[row] : row;
}

static int rope_read_positions(struct exec *e, struct rope *p)
{
	if (!p->pos.present)
		return p->m <= p->cs.rows ? OCTANS_JOB_OK : OCTANS_JOB_BAD_CMD;
	p->positions = exec_alloc(e, p->m * 4ull);
	if (!p->positions)
		return OCTANS_JOB_BUS;
	EXEC_TRY(exec_get_elements(e, &p->pos, 0, p->m, p->positions));
	for (uint32_t i = 0; i < p->m; i++)
		if (p->positions[i] < 0 || (uint32_t)p->positions[i] >= p->cs.rows)
			return OCTANS_JOB_BAD_CMD;
	return exec_work(e, p->m);
}

static int rope_costs(struct exec *e, const struct rope *p)
{
	EXEC_TRY(exec_cost(e, false, &p->pos));
	EXEC_TRY(exec_cost(e, false, &p->x));
	exec_cost_hull(e, false, &p->cs);
	for (uint32_t i = 0; i < p->m; i++) {
		EXEC_TRY(exec_cost_row(e, &p->cs, rope_position(p, i)));
		EXEC_TRY(exec_work(e, 5));
	}
	EXEC_TRY(exec_cost(e, true, &p->dst));
	e->ex->macs_f32 = 2ull * p->m * p->n;
	return OCTANS_JOB_OK;
}

static void rope_head(void *arg, uint32_t index)
{
	const struct rope *p = arg;
	float *x = p->values + (uint64_t)index * p->head_dim;
	uint32_t row = (uint32_t)((p->head + index) / p->heads) - p->row;

	sim_rope(x, x, p->turns + (uint64_t)row * p->rot, p->head_dim, p->first, p->rot, p->half);
	/* The elements that are copied are stored, too. */
	sim_canonical(x, p->head_dim);
}

static int rope_data(struct exec *e, struct rope *p)
{
	uint64_t all = (uint64_t)p->m * p->heads;
	uint32_t batch = ROPE_BATCH / p->head_dim, heads;

	p->values = exec_alloc(e, batch * p->head_dim * 4ull);
	/* A row has at least as many elements as its turns, but the batch may begin and end within
	 * one. */
	p->turns = exec_alloc(e, (batch / p->heads + 2) * (uint64_t)p->rot * 4);
	if (!p->values || !p->turns)
		return OCTANS_JOB_BUS;
	for (p->head = 0; p->head < all; p->head += heads) {
		uint32_t last;

		heads = all - p->head < batch ? (uint32_t)(all - p->head) : batch;
		p->row = (uint32_t)(p->head / p->heads);
		last = (uint32_t)((p->head + heads - 1) / p->heads);
		EXEC_TRY(exec_get_elements(e, &p->x, p->head * p->head_dim, heads * p->head_dim,
					   p->values));
		for (uint32_t r = p->row; r <= last; r++)
			EXEC_TRY(exec_get_rows(e, &p->cs, rope_position(p, r), 1,
					       p->turns + (uint64_t)(r - p->row) * p->rot));
		EXEC_TRY(exec_share(e, heads, rope_head, p, heads * (p->head_dim + 20ull)));
		EXEC_TRY(exec_put_elements(e, &p->dst, p->head * p->head_dim, heads * p->head_dim,
					   p->values));
	}
	return OCTANS_JOB_OK;
}

int exec_rope(struct exec *e, const struct octans_cmd_rope *c)
{
	struct rope p = { 0 };

	EXEC_TRY(rope_check(e, &p, c));
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (p.m > OCTANS_MAX_TOKENS || p.dst.rows != p.m || (p.pos.present && p.pos.rows != p.m))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(rope_read_positions(e, &p));
	EXEC_TRY(rope_costs(e, &p));
	return e->ex->timing_only ? OCTANS_JOB_OK : rope_data(e, &p);
}
