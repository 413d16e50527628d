// SPDX-License-Identifier: MIT
/* MOVE: gather, scatter, convert, scale, add rows. */
#include "exec.h"

#include <string.h>

#include "numeric.h"

#define MOVE_SCALES 4096u	/* read at a time */

struct move {
	struct operand dst, src, dst_ids, src_ids, scale;
	bool add, copies;
	uint32_t m, n;
	int32_t *to, *from;		/* [m] or NULL: row i */
	uint8_t *raw;			/* a row of src as it is, or of dst as it will be */
	float *values, *old, *scales;
};

static bool move_types_ok(const struct move *v)
{
	if (v->add && v->dst.type != OCTANS_TYPE_F32)
		return false;
	if (v->dst.type == OCTANS_TYPE_I32 || v->src.type == OCTANS_TYPE_I32)
		return v->dst.type == v->src.type && !v->scale.present;
	return true;
}

static int move_check(struct exec *e, struct move *v, const struct octans_cmd_move *c)
{
	v->add = c->cmd.flags & OCTANS_MOVE_ADD;
	if (c->cmd.flags & ~OCTANS_MOVE_ADD ||
	    !exec_operand(e, &v->dst, &c->dst,
			  EXEC_F32 | EXEC_I32 | EXEC_TYPE(F16) | EXEC_TYPE(BF16) | EXEC_TYPE(Q8_0),
			  0) ||
	    !exec_operand(e, &v->src, &c->src, EXEC_WEIGHTS | EXEC_I32, 0) ||
	    !exec_operand(e, &v->dst_ids, &c->dst_ids, EXEC_I32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &v->src_ids, &c->src_ids, EXEC_I32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &v->scale, &c->scale, EXEC_F32, EXEC_OPTIONAL))
		return OCTANS_JOB_BAD_CMD;
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	v->n = v->src.cols;
	if (!move_types_ok(v) || v->dst.cols != v->n || v->dst_ids.cols > 1 ||
	    v->src_ids.cols > 1 || v->scale.cols > 1)
		return OCTANS_JOB_BAD_CMD;
	v->copies = v->dst.type == v->src.type && !v->scale.present && !v->add;
	v->m = v->dst_ids.present   ? v->dst_ids.rows
	       : v->src_ids.present ? v->src_ids.rows
				    : v->src.rows;
	return OCTANS_JOB_OK;
}

static bool move_rows_ok(const struct move *v)
{
	return (v->dst_ids.present || v->dst.rows == v->m) &&
	       (v->src_ids.present ? v->src_ids.rows == v->m : v->src.rows == v->m) &&
	       (!v->scale.present || v->scale.rows == v->m);
}

static int move_read_ids(struct exec *e, const struct move *v, const struct operand *ids,
			 uint32_t rows, int32_t **out)
{
	if (!ids->present)
		return OCTANS_JOB_OK;
	*out = exec_alloc(e, v->m * 4ull);
	if (!*out)
		return OCTANS_JOB_BUS;
	EXEC_TRY(exec_get_elements(e, ids, 0, v->m, *out));
	for (uint32_t i = 0; i < v->m; i++) {
		if ((*out)[i] >= 0 && (uint32_t)(*out)[i] >= rows)
			return OCTANS_JOB_BAD_CMD;
		if (i % EXEC_PIECE == EXEC_PIECE - 1)
			EXEC_TRY(exec_work(e, EXEC_PIECE));
	}
	return OCTANS_JOB_OK;
}

static int64_t move_to(const struct move *v, uint32_t i)
{
	return v->to ? v->to[i] : (int64_t)i;
}

static int64_t move_from(const struct move *v, uint32_t i)
{
	return v->from ? v->from[i] : (int64_t)i;
}

static bool move_left_out(const struct move *v, uint32_t i)
{
	return move_to(v, i) < 0 || move_from(v, i) < 0;
}

/* The rows that items use, one after the other; those that follow each other in one call. */
static int move_cost(struct exec *e, const struct move *v, bool write, const struct operand *o,
		     int64_t (*row)(const struct move *v, uint32_t i), uint64_t *items)
{
	uint32_t i = 0, run;

	exec_cost_hull(e, write, o);
	*items = 0;
	for (; i < v->m; i += run) {
		int64_t first = row(v, i);

		run = 1;
		if (move_left_out(v, i)) {
			EXEC_TRY(exec_work(e, 5));
			continue;
		}
		while (run < EXEC_PIECE && run < v->m - i && !move_left_out(v, i + run) &&
		       row(v, i + run) == first + run)
			run++;
		if (sim_cost_rows(e->m, exec_row(o, (uint32_t)first), o->stride, run, o->row_bytes,
				  1))
			return OCTANS_JOB_FAULT;
		*items += run;
		EXEC_TRY(exec_work(e, 5 + run));
	}
	return OCTANS_JOB_OK;
}

static int move_costs(struct exec *e, const struct move *v)
{
	uint64_t items;

	EXEC_TRY(exec_cost(e, false, &v->dst_ids));
	EXEC_TRY(exec_cost(e, false, &v->src_ids));
	EXEC_TRY(exec_cost(e, false, &v->scale));
	EXEC_TRY(move_cost(e, v, false, &v->src, move_from, &items));
	if (v->add)
		EXEC_TRY(move_cost(e, v, false, &v->dst, move_to, &items));
	EXEC_TRY(move_cost(e, v, true, &v->dst, move_to, &items));
	e->ex->macs_f32 = v->copies ? 0 : items * v->n;
	return OCTANS_JOB_OK;
}

/* raw -> values -> raw, in pieces. */
static int move_convert(struct exec *e, const struct move *v, float scale)
{
	uint64_t in_bytes = v->src.row_bytes, out_bytes = v->dst.row_bytes;

	for (uint32_t at = 0, n; at < v->n; at += n) {
		n = v->n - at < EXEC_PIECE ? v->n - at : EXEC_PIECE;
		/* A whole number of blocks: bytes divide as elements do. */
		sim_unpack_f32(v->values + at, v->raw + in_bytes * at / v->n, v->src.type, n);
		if (v->scale.present)
			sim_scale(v->values + at, v->values + at, scale, n);
		if (v->add)
			sim_add(v->values + at, v->old + at, v->values + at, n);
		EXEC_TRY(exec_work(e, n));
	}
	for (uint32_t at = 0, n; at < v->n; at += n) {
		n = v->n - at < EXEC_PIECE ? v->n - at : EXEC_PIECE;
		sim_pack(v->raw + out_bytes * at / v->n, v->values + at, v->dst.type, n);
		EXEC_TRY(exec_work(e, n));
	}
	return OCTANS_JOB_OK;
}

static int move_item(struct exec *e, const struct move *v, uint32_t i)
{
	uint64_t to = exec_row(&v->dst, (uint32_t)move_to(v, i));

	/* As a whole before any of it is written: dst may be src. */
	EXEC_TRY(exec_get(e, exec_row(&v->src, (uint32_t)move_from(v, i)), v->src.row_bytes,
			  v->raw));
	if (!v->copies) {
		if (v->add)
			EXEC_TRY(exec_get(e, to, v->dst.row_bytes, v->old));
		EXEC_TRY(move_convert(e, v, v->scale.present ? v->scales[i % MOVE_SCALES] : 1));
	}
	return exec_put(e, to, v->dst.row_bytes, v->raw);
}

static int move_data(struct exec *e, struct move *v)
{
	v->raw = exec_alloc(e, v->n * 4ull);	/* no type is wider */
	v->values = exec_alloc(e, v->copies ? 0 : v->n * 4ull);
	v->old = exec_alloc(e, v->add ? v->n * 4ull : 0);
	v->scales = exec_alloc(e, MOVE_SCALES * 4ull);
	if (!v->raw || !v->values || !v->old || !v->scales)
		return OCTANS_JOB_BUS;
	for (uint32_t i = 0; i < v->m; i++) {
		if (v->scale.present && i % MOVE_SCALES == 0)
			EXEC_TRY(exec_get_elements(e, &v->scale, i,
						   v->m - i < MOVE_SCALES ? v->m - i : MOVE_SCALES,
						   v->scales));
		if (!move_left_out(v, i))
			EXEC_TRY(move_item(e, v, i));
		else
			EXEC_TRY(exec_work(e, 5));
	}
	return OCTANS_JOB_OK;
}

int exec_move(struct exec *e, const struct octans_cmd_move *c)
{
	struct move v = { 0 };

	EXEC_TRY(move_check(e, &v, c));
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (!move_rows_ok(&v))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(move_read_ids(e, &v, &v.dst_ids, v.dst.rows, &v.to));
	EXEC_TRY(move_read_ids(e, &v, &v.src_ids, v.src.rows, &v.from));
	EXEC_TRY(move_costs(e, &v));
	/* ids and positions are not data: later commands read them */
	if (e->ex->timing_only && v.dst.type != OCTANS_TYPE_I32)
		return OCTANS_JOB_OK;
	return move_data(e, &v);
}
