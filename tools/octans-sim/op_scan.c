// SPDX-License-Identifier: MIT
/* SCAN: recurrences with a matrix of state for each head. */
#include <string.h>

#include "numeric.h"
#include "op_state.h"

#define SCAN_STATE (1u << 20)	/* elements of a slot at most */

struct scan {
	struct operand dst, v, k, q, g, beta, a, d, state, slot;
	const struct octans_cmd_scan *c;
	struct slots slots;
	bool delta;
	uint32_t m, rows;		/* rows of the state of all heads: heads * dv */
	float *s;			/* [rows][dk] */
	/* of one row */
	float *v_row, *k_row, *q_row, *g_row, *beta_row, *y;
	float *decay;			/* SSM: [heads]; DELTA: [heads][dk] */
	float *a_row, *d_row;
	uint32_t first, part, end;	/* rows of the state that are shared out */
};

static int scan_check(struct exec *e, struct scan *p, const struct octans_cmd_scan *c)
{
	uint64_t cols_q = (uint64_t)c->groups * c->dk, cols_g = (uint64_t)c->heads * c->dk;

	p->c = c;
	p->delta = c->cmd.flags == OCTANS_SCAN_DELTA;
	if (c->cmd.flags > OCTANS_SCAN_DELTA)
		return OCTANS_JOB_BAD_CMD;
	if (!exec_operand(e, &p->dst, &c->dst, EXEC_F32, 0) ||
	    !exec_operand(e, &p->v, &c->v, EXEC_F32, 0) ||
	    !exec_operand(e, &p->k, &c->k, EXEC_F32, 0) ||
	    !exec_operand(e, &p->q, &c->q, EXEC_F32, 0) ||
	    !exec_operand(e, &p->g, &c->g, EXEC_F32, 0) ||
	    !exec_operand(e, &p->beta, &c->beta, EXEC_F32, p->delta ? 0 : EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->a, &c->a, EXEC_F32, p->delta ? EXEC_OPTIONAL : 0) ||
	    !exec_operand(e, &p->d, &c->d, EXEC_F32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->state, &c->state, EXEC_F32, EXEC_FIXED) ||
	    !exec_operand(e, &p->slot, &c->slot, EXEC_I32, 0))
		return OCTANS_JOB_BAD_CMD;
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (!exec_zero(c->reserved, sizeof(c->reserved)) || !c->heads ||
	    c->heads > OCTANS_MAX_HEADS || !c->groups || c->heads % c->groups || !c->dk ||
	    c->dk > OCTANS_MAX_HEAD_DIM || !c->dv || c->dv > OCTANS_MAX_HEAD_DIM ||
	    (uint64_t)c->heads * c->dv * c->dk > SCAN_STATE || (!p->delta && c->scale != 1))
		return OCTANS_JOB_BAD_CMD;
	p->rows = c->heads * c->dv;
	p->m = p->v.rows;
	if (p->v.cols != p->rows || p->dst.cols != p->rows || p->k.cols != cols_q ||
	    p->q.cols != cols_q || (p->g.cols != c->heads && !(p->delta && p->g.cols == cols_g)) ||
	    p->state.cols != p->rows * c->dk || p->slot.cols != 2)
		return OCTANS_JOB_BAD_CMD;
	if (p->delta ? p->a.present || p->d.present || p->beta.cols != c->heads
		     : p->beta.present || p->a.cols != c->heads ||
			       (p->d.present && p->d.cols != c->heads))
		return OCTANS_JOB_BAD_CMD;
	return OCTANS_JOB_OK;
}

static bool scan_rows_ok(const struct scan *p)
{
	return p->m <= OCTANS_MAX_TOKENS && p->dst.rows == p->m && p->k.rows == p->m &&
	       p->q.rows == p->m && p->g.rows == p->m && p->slot.rows == p->m &&
	       (!p->beta.present || p->beta.rows == p->m) && (!p->a.present || p->a.rows == 1) &&
	       (!p->d.present || p->d.rows == 1);
}

static int scan_costs(struct exec *e, const struct scan *p)
{
	const struct operand *all[] = {&p->v,	 &p->k, &p->q, &p->g,
				       &p->beta, &p->a, &p->d, &p->slot};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		EXEC_TRY(exec_cost(e, false, all[i]));
	EXEC_TRY(slots_cost(e, &p->slots, &p->state, false));
	EXEC_TRY(slots_cost(e, &p->slots, &p->state, true));
	EXEC_TRY(exec_cost(e, true, &p->dst));
	e->ex->macs_f32 = (uint64_t)p->m * p->rows * p->c->dk * (p->delta ? 4 : 3);
	return OCTANS_JOB_OK;
}

/* By how much each head, or each of its columns, decays. */
static int scan_decays(struct exec *e, struct scan *p)
{
	const struct octans_cmd_scan *c = p->c;

	for (uint32_t h = 0; h < c->heads; h++) {
		float *decay = p->decay + (uint64_t)h * c->dk;

		if (!p->delta) {
			p->decay[h] = sim_exp(p->g_row[h] * p->a_row[h]);
		} else if (p->g.cols == c->heads) {
			decay[0] = sim_exp(p->g_row[h]);
			for (uint32_t j = 1; j < c->dk; j++)
				decay[j] = decay[0];
		} else {
			/* minus 0 leaves every number as it is */
			sim_exp_row(decay, p->g_row + (uint64_t)h * c->dk, 0, c->dk);
		}
		EXEC_TRY(exec_work(e, 20 + (p->delta ? 2ull * c->dk : 0)));
	}
	return OCTANS_JOB_OK;
}

static void scan_part(void *arg, uint32_t index)
{
	const struct scan *p = arg;
	const struct octans_cmd_scan *c = p->c;
	uint32_t from = p->first + index * p->part,
		 to = p->end - from < p->part ? p->end : from + p->part;

	for (uint32_t r = from; r < to; r++) {
		uint32_t h = r / c->dv, group = h / (c->heads / c->groups);
		const float *k = p->k_row + (uint64_t)group * c->dk,
			    *q = p->q_row + (uint64_t)group * c->dk;
		float *s = p->s + (uint64_t)r * c->dk, v = p->v_row[r], y;

		if (p->delta) {
			y = sim_scan_delta(s, k, q, p->decay + (uint64_t)h * c->dk, v,
					   p->beta_row[h], c->dk);
			y = y * c->scale;
		} else {
			y = sim_scan_ssm(s, k, q, p->decay[h], v * p->g_row[h], c->dk);
			if (p->d.present)
				y = __builtin_fmaf(p->d_row[h], v, y);
		}
		p->y[r] = y;
	}
	sim_canonical(p->y + from, to - from);
}

/* The arithmetic of a row, in slices. */
static int scan_compute(struct exec *e, struct scan *p)
{
	uint64_t each = p->c->dk + 20ull;
	uint32_t slice = (uint32_t)(EXEC_SLICE_NS / each) * exec_threads(e);

	p->part = (uint32_t)(EXEC_SLICE_NS / each / 4 + 1);
	for (p->first = 0; p->first < p->rows; p->first = p->end) {
		uint32_t n = p->rows - p->first < slice ? p->rows - p->first : slice;

		p->end = p->first + n;
		EXEC_TRY(exec_share(e, (n + p->part - 1) / p->part, scan_part, p, n * each));
	}
	return OCTANS_JOB_OK;
}

static int scan_state(struct exec *e, struct scan *p, uint32_t i)
{
	int32_t from = slots_from(&p->slots, i);

	if (slots_follow(&p->slots, i))
		return OCTANS_JOB_OK;
	if (from >= 0)
		return exec_get_rows(e, &p->state, (uint32_t)from, 1, p->s);
	memset(p->s, 0, p->state.row_bytes);
	return exec_work(e, p->state.row_bytes / 16);
}

static int scan_store(struct exec *e, struct scan *p, uint32_t i)
{
	if (!slots_stored(&p->slots, i))
		return OCTANS_JOB_OK;
	for (uint32_t at = 0, n; at < p->state.cols; at += n) {
		n = p->state.cols - at < EXEC_PIECE ? p->state.cols - at : EXEC_PIECE;
		sim_canonical(p->s + at, n);
		EXEC_TRY(exec_put(e,
				  exec_row(&p->state, (uint32_t)slots_to(&p->slots, i)) + 4ull * at,
				  4ull * n, p->s + at));
	}
	return OCTANS_JOB_OK;
}

static int scan_row(struct exec *e, struct scan *p, uint32_t i)
{
	EXEC_TRY(scan_state(e, p, i));
	EXEC_TRY(exec_get_rows(e, &p->v, i, 1, p->v_row));
	EXEC_TRY(exec_get_rows(e, &p->k, i, 1, p->k_row));
	EXEC_TRY(exec_get_rows(e, &p->q, i, 1, p->q_row));
	EXEC_TRY(exec_get_rows(e, &p->g, i, 1, p->g_row));
	if (p->delta)
		EXEC_TRY(exec_get_rows(e, &p->beta, i, 1, p->beta_row));
	EXEC_TRY(scan_decays(e, p));
	EXEC_TRY(scan_compute(e, p));
	EXEC_TRY(scan_store(e, p, i));
	return exec_put_elements(e, &p->dst, (uint64_t)i * p->rows, p->rows, p->y);
}

static int scan_data(struct exec *e, struct scan *p)
{
	uint64_t heads = p->c->heads;
	struct { float **at; uint64_t n;
	} all[] = {
		{&p->s, p->state.cols}, {&p->v_row, p->rows},
		{&p->k_row, p->k.cols}, {&p->q_row, p->q.cols},
		{&p->g_row, p->g.cols}, {&p->beta_row, heads},
		{&p->y, p->rows},	{&p->decay, heads * (p->delta ? p->c->dk : 1)},
		{&p->a_row, heads},	{&p->d_row, heads},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*all[i].at = exec_alloc(e, all[i].n * 4);
		if (!*all[i].at)
			return OCTANS_JOB_BUS;
	}
	if (p->a.present)
		EXEC_TRY(exec_get_rows(e, &p->a, 0, 1, p->a_row));
	if (p->d.present)
		EXEC_TRY(exec_get_rows(e, &p->d, 0, 1, p->d_row));
	for (uint32_t i = 0; i < p->m; i++)
		EXEC_TRY(scan_row(e, p, i));
	return OCTANS_JOB_OK;
}

int exec_scan(struct exec *e, const struct octans_cmd_scan *c)
{
	struct scan p = { 0 };

	EXEC_TRY(scan_check(e, &p, c));
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (!scan_rows_ok(&p))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(slots_read(e, &p.slots, &p.slot, p.state.rows));
	EXEC_TRY(scan_costs(e, &p));
	return e->ex->timing_only ? OCTANS_JOB_OK : scan_data(e, &p);
}
