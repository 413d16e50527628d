// SPDX-License-Identifier: MIT
/* ROW: rms, layer, l2, softmax, sum over groups of a row. */
#include "exec.h"

#include <math.h>
#include <string.h>

#include "numeric.h"

#define ROW_BATCH 65536u /* elements between reading and writing; more is one row at a time */

struct row {
	struct operand dst, x, w, bias;
	uint32_t kind, m, n, groups, size;	/* size of a group */
	float eps;
	float *w_values, *bias_values;
	float *values;			/* rows of x, then of dst */
	float *sums;			/* SUM: rows of dst */
};

/* Between pieces of a large row; nothing in a helper, whose rows are small. */
static int row_pause(struct exec *e, uint32_t n)
{
	return e ? exec_work(e, n) : OCTANS_JOB_OK;
}

#define FOR_PIECES(at, k, n) \
	for (uint32_t at = 0, k; k = (n) - at < EXEC_PIECE ? (n) - at : EXEC_PIECE, at < (n); at += k)

static int row_sum(struct exec *e, const float *x, uint32_t n, float *sum)
{
	float lane[8] = { 0 };

	FOR_PIECES(at, k, n) {
		sim_sum_lanes(lane, x + at, k);
		EXEC_TRY(row_pause(e, k));
	}
	*sum = sim_fold(lane);
	return OCTANS_JOB_OK;
}

static int row_squares(struct exec *e, const float *x, uint32_t n, float *sum)
{
	float lane[8] = { 0 };

	FOR_PIECES(at, k, n) {
		sim_dot_lanes(lane, x + at, x + at, k);
		EXEC_TRY(row_pause(e, k));
	}
	*sum = sim_fold(lane);
	return OCTANS_JOB_OK;
}

static int row_exponentials(struct exec *e, float *x, uint32_t n)
{
	float most = -INFINITY;

	FOR_PIECES(at, k, n) {
		for (uint32_t i = 0; i < k; i++)
			most = x[at + i] > most ? x[at + i] : most;
		EXEC_TRY(row_pause(e, k));
	}
	FOR_PIECES(at, k, n) {
		sim_exp_row(x + at, x + at, most, k);
		EXEC_TRY(row_pause(e, 2 * k));
	}
	return OCTANS_JOB_OK;
}

/* A group in place, up to the factor that all elements get. */
static int row_factor(struct exec *e, const struct row *p, float *x, float *r)
{
	uint32_t n = p->size;
	float sum;

	switch (p->kind) {
	case OCTANS_ROW_LAYER:
		EXEC_TRY(row_sum(e, x, n, &sum));
		FOR_PIECES(at, k, n) {
			sim_subtract(x + at, x + at, sum / (float)n, k);
			EXEC_TRY(row_pause(e, k));
		}
		/* fall through */
	case OCTANS_ROW_RMS:
		EXEC_TRY(row_squares(e, x, n, &sum));
		*r = 1 / sqrtf(sum / (float)n + p->eps);
		break;
	case OCTANS_ROW_L2:
		EXEC_TRY(row_squares(e, x, n, &sum));
		*r = 1 / sqrtf(sum + p->eps);
		break;
	case OCTANS_ROW_SOFTMAX:
		EXEC_TRY(row_exponentials(e, x, n));
		EXEC_TRY(row_sum(e, x, n, &sum));
		*r = 1 / sum;
		break;
	}
	return OCTANS_JOB_OK;
}

/* Group @g of a row that begins at @row. */
static int row_group(struct exec *e, const struct row *p, float *row, float *sums, uint32_t g)
{
	uint32_t n = p->size, first = g * n;
	float *x = row + first, r = 1;

	if (p->kind == OCTANS_ROW_SUM) {
		EXEC_TRY(row_sum(e, x, n, &sums[g]));
		sim_canonical(&sums[g], 1);
		return OCTANS_JOB_OK;
	}
	EXEC_TRY(row_factor(e, p, x, &r));
	FOR_PIECES(at, k, n) {
		sim_scale(x + at, x + at, r, k);
		if (p->w.present)
			sim_multiply(x + at, x + at,
				     p->w_values + (p->w.cols == p->n ? first : 0) + at, k);
		if (p->bias.present)
			sim_add(x + at, x + at,
				p->bias_values + (p->bias.cols == p->n ? first : 0) + at, k);
		sim_canonical(x + at, k);
		EXEC_TRY(row_pause(e, k));
	}
	return OCTANS_JOB_OK;
}

static void row_part(void *arg, uint32_t index)
{
	const struct row *p = arg;

	for (uint32_t g = 0; g < p->groups; g++)
		row_group(NULL, p, p->values + (uint64_t)index * p->n,
			  p->sums + (uint64_t)index * p->groups, g);
}

static int row_check(struct exec *e, struct row *p, const struct octans_cmd_row *c)
{
	bool plain = c->cmd.flags == OCTANS_ROW_SOFTMAX || c->cmd.flags == OCTANS_ROW_SUM;

	if (c->cmd.flags > OCTANS_ROW_SUM || !exec_operand(e, &p->dst, &c->dst, EXEC_F32, 0) ||
	    !exec_operand(e, &p->x, &c->x, EXEC_F32, 0) ||
	    !exec_operand(e, &p->w, &c->w, EXEC_F32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->bias, &c->bias, EXEC_F32, EXEC_OPTIONAL) ||
	    (plain && (p->w.present || p->bias.present)))
		return OCTANS_JOB_BAD_CMD;
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	p->kind = c->cmd.flags;
	p->m = p->x.rows;
	p->n = p->x.cols;
	p->groups = c->groups;
	p->eps = c->eps;
	if (c->reserved || !(c->eps >= 0) || (plain && c->eps != 0) || !p->groups ||
	    p->groups > p->n || p->n % p->groups)
		return OCTANS_JOB_BAD_CMD;
	p->size = p->n / p->groups;
	if (p->dst.cols != (p->kind == OCTANS_ROW_SUM ? p->groups : p->n) ||
	    (p->w.present && p->w.cols != p->n && p->w.cols != p->size) ||
	    (p->bias.present && p->bias.cols != p->n && p->bias.cols != p->size))
		return OCTANS_JOB_BAD_CMD;
	return OCTANS_JOB_OK;
}

static int row_data(struct exec *e, struct row *p)
{
	uint32_t batch = p->n < ROW_BATCH ? ROW_BATCH / p->n : 1;
	bool sums = p->kind == OCTANS_ROW_SUM;

	batch = batch < p->m ? batch : p->m;
	p->w_values = exec_alloc(e, p->w.cols * 4ull);
	p->bias_values = exec_alloc(e, p->bias.cols * 4ull);
	p->values = exec_alloc(e, (uint64_t)batch * p->n * 4);
	p->sums = exec_alloc(e, sums ? (uint64_t)batch * p->groups * 4 : 0);
	if (!p->w_values || !p->bias_values || !p->values || !p->sums)
		return OCTANS_JOB_BUS;
	if (p->w.present)
		EXEC_TRY(exec_get_rows(e, &p->w, 0, 1, p->w_values));
	if (p->bias.present)
		EXEC_TRY(exec_get_rows(e, &p->bias, 0, 1, p->bias_values));
	for (uint32_t i = 0, rows; i < p->m; i += rows) {
		rows = p->m - i < batch ? p->m - i : batch;
		EXEC_TRY(exec_get_rows(e, &p->x, i, rows, p->values));
		if (p->n <= ROW_BATCH) {
			uint64_t ns = (uint64_t)rows *
				      (p->n * (p->kind == OCTANS_ROW_SOFTMAX ? 4ull : 1ull) +
				       p->groups * 20ull);

			EXEC_TRY(exec_share(e, rows, row_part, p, ns));
		} else {
			for (uint32_t g = 0; g < p->groups; g++) {
				EXEC_TRY(row_group(e, p, p->values, p->sums, g));
				EXEC_TRY(exec_work(e, 20));
			}
		}
		EXEC_TRY(exec_put_elements(e, &p->dst, (uint64_t)i * p->dst.cols,
					   rows * p->dst.cols, sums ? p->sums : p->values));
	}
	return OCTANS_JOB_OK;
}

int exec_row_op(struct exec *e, const struct octans_cmd_row *c)
{
	static const uint8_t macs[] = {
		[OCTANS_ROW_RMS] = 2, [OCTANS_ROW_LAYER] = 4, [OCTANS_ROW_L2] = 2,
		[OCTANS_ROW_SOFTMAX] = 10, [OCTANS_ROW_SUM] = 1,
	};
	struct row p = { 0 };

	EXEC_TRY(row_check(e, &p, c));
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (p.m > OCTANS_MAX_TOKENS || p.dst.rows != p.m || (p.w.present && p.w.rows != 1) ||
	    (p.bias.present && p.bias.rows != 1))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(exec_cost(e, false, &p.x));
	EXEC_TRY(exec_cost(e, false, &p.w));
	EXEC_TRY(exec_cost(e, false, &p.bias));
	EXEC_TRY(exec_cost(e, true, &p.dst));
	e->ex->macs_f32 = (uint64_t)p.m * p.n * macs[p.kind];
	return e->ex->timing_only ? OCTANS_JOB_OK : row_data(e, &p);
}
