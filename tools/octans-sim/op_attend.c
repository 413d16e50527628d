// SPDX-License-Identifier: MIT
/*
 * ATTEND.  Row by row; of a row some heads at a time, so many that their scores fit in memory; of
 * these a piece of the positions at a time: first all scores, then their exponentials and the sum
 * of values.
 *
 * Lists and pages may be larger than memory: they are read again where they are used, and checked
 * again, because somebody may have changed them in between.
 */
#include "exec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "numeric.h"

#define ATTEND_SCORES (4u << 20)	/* scores that are kept */
#define ATTEND_ELEMENTS 65536u		/* of all heads that are done at a time */
#define ATTEND_PART 8u /* heads that share what is unpacked of their key/value head */
#define ATTEND_PIECE 512u		/* positions between two looks at the time */
#define ATTEND_BYTES (256u << 10)	/* of keys or values, as before */
#define ATTEND_VIEW 65536u
#define ATTEND_TILE 64u			/* rows: of the cost */

struct attend {
	struct operand dst, q, k, v, pages, seq, range, sinks, slopes;
	const struct octans_cmd_attend *c;
	bool list;
	uint32_t m, group, max_ctx;	/* group: heads of a key/value head */
	int32_t *ranges, *sequences;	/* [m][2], [m]; NULL: lists, 0 */
	uint32_t longest;		/* positions of a row, when all were checked */
	/* the positions of one row */
	uint32_t count;
	uint32_t from;
	int32_t *positions;		/* LIST: [count] */
	/* the newest part of a sequence's pages: numbers first_page .. end_page - 1 */
	int32_t *page;
	uint32_t page_seq, first_page, end_page;
	/* one row */
	float *q_row, *out, *sink, *slope;
	uint32_t part_heads, parts;	/* parts of all heads: each is of one key/value head */
	uint32_t first_part, end_part, first_head;	/* at hand */
	float *scores, *most, *lanes;	/* of heads at hand: [count], 1, [8] */
	/* a piece of the positions */
	uint32_t at, n;
	uint32_t *rows;			/* of the pool */
	float *distance;		/* from the last position */
	const uint8_t **views;
	uint8_t *scratch;
};

/* ---- checks ---- */

static int attend_check(struct exec *e, struct attend *p, const struct octans_cmd_attend *c)
{
	uint64_t pool = EXEC_F32 | EXEC_TYPE(F16) | EXEC_TYPE(Q8_0);

	p->c = c;
	p->list = c->cmd.flags & OCTANS_ATTEND_LIST;
	p->max_ctx = e->ex->profile->max_ctx;
	if (c->cmd.flags & ~OCTANS_ATTEND_LIST || !exec_operand(e, &p->dst, &c->dst, EXEC_F32, 0) ||
	    !exec_operand(e, &p->q, &c->q, EXEC_F32, 0) ||
	    !exec_operand(e, &p->k, &c->k, pool, EXEC_FIXED) ||
	    !exec_operand(e, &p->v, &c->v, pool, EXEC_FIXED) ||
	    !exec_operand(e, &p->pages, &c->pages, EXEC_I32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->seq, &c->seq, EXEC_I32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->range, &c->range, EXEC_I32, 0) ||
	    !exec_operand(e, &p->sinks, &c->sinks, EXEC_F32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->slopes, &c->slopes, EXEC_F32, EXEC_OPTIONAL))
		return OCTANS_JOB_BAD_CMD;
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (c->reserved || !c->heads || c->heads > OCTANS_MAX_HEADS || !c->kv_heads ||
	    c->heads % c->kv_heads || !c->dk || c->dk > OCTANS_MAX_HEAD_DIM || !c->dv ||
	    c->dv > OCTANS_MAX_HEAD_DIM || c->page_log2 > OCTANS_MAX_PAGE_LOG2 || !(c->cap >= 0))
		return OCTANS_JOB_BAD_CMD;
	p->m = p->q.rows;
	p->group = c->heads / c->kv_heads;
	if (p->q.cols != c->heads * c->dk || p->dst.cols != c->heads * c->dv ||
	    p->k.cols != c->kv_heads * c->dk || p->v.cols != c->kv_heads * c->dv ||
	    p->k.rows != p->v.rows || (p->k.type == OCTANS_TYPE_Q8_0 && c->dk % 32) ||
	    (p->v.type == OCTANS_TYPE_Q8_0 && c->dv % 32) || (!p->pages.present && c->page_log2) ||
	    p->seq.cols > 1 || (!p->list && p->range.cols != 2) ||
	    (p->sinks.present && p->sinks.cols != c->heads) ||
	    (p->slopes.present && p->slopes.cols != c->heads))
		return OCTANS_JOB_BAD_CMD;
	return OCTANS_JOB_OK;
}

static bool attend_rows_ok(const struct attend *p)
{
	return p->m <= OCTANS_MAX_TOKENS && p->dst.rows == p->m && p->range.rows == p->m &&
	       (!p->seq.present || p->seq.rows == p->m) &&
	       (!p->sinks.present || p->sinks.rows == 1) &&
	       (!p->slopes.present || p->slopes.rows == 1);
}

/* ---- control operands ---- */

static uint32_t attend_seq(const struct attend *p, uint32_t i)
{
	return p->sequences ? (uint32_t)p->sequences[i] : 0;
}

static uint32_t attend_position(const struct attend *p, uint32_t j)
{
	return p->list ? (uint32_t)p->positions[j] : p->from + j;
}

/* The page that @t lies on is in memory; false if it does not lie in the pool. */
static bool attend_pool_row(const struct attend *p, uint32_t t, uint32_t *row)
{
	uint32_t log2 = p->c->page_log2;
	int32_t page;

	*row = t;
	if (!p->pages.present)
		return t < p->k.rows;
	page = p->page[(t >> log2) - p->first_page];
	if (page < 0 || ((uint64_t)page + 1) << log2 > p->k.rows)
		return false;
	*row = (uint32_t)page << log2 | (t & ((1u << log2) - 1));
	return true;
}

/* Gets the pages of positions @low .. @high of a sequence, and whether they exist. */
static int attend_pages(struct exec *e, struct attend *p, uint32_t seq, uint32_t low, uint32_t high)
{
	uint32_t first = low >> p->c->page_log2, end = (high >> p->c->page_log2) + 1, row;

	if (!p->pages.present)
		return high < p->k.rows ? OCTANS_JOB_OK : OCTANS_JOB_BAD_CMD;
	if (end > p->pages.cols)
		return OCTANS_JOB_BAD_CMD;
	if (seq == p->page_seq && first >= p->first_page && end <= p->end_page)
		return OCTANS_JOB_OK;
	p->page_seq = UINT32_MAX;
	EXEC_TRY(exec_get_elements(e, &p->pages, (uint64_t)seq * p->pages.cols + first, end - first,
				   p->page));
	p->page_seq = seq;
	p->first_page = first;
	p->end_page = end;
	/* Of a list, those that it does not name may be anything. */
	for (uint32_t i = first; i < end && !p->list; i++) {
		if (!attend_pool_row(p, i << p->c->page_log2, &row))
			return OCTANS_JOB_BAD_CMD;
		if (i % EXEC_PIECE == 0)
			EXEC_TRY(exec_work(e, 2 * EXEC_PIECE));
	}
	return OCTANS_JOB_OK;
}

static int attend_list(struct exec *e, struct attend *p, uint32_t i)
{
	uint32_t low = UINT32_MAX, high = 0, row;

	p->count = 0;
	EXEC_TRY(exec_get_rows(e, &p->range, i, 1, p->positions));
	for (uint32_t j = 0; j < p->range.cols; j++) {
		int32_t t = p->positions[j];

		if (j % EXEC_PIECE == 0)
			EXEC_TRY(exec_work(e, 2 * EXEC_PIECE));
		if (t < 0)
			continue;
		p->positions[p->count++] = t;
		low = (uint32_t)t < low ? (uint32_t)t : low;
		high = (uint32_t)t > high ? (uint32_t)t : high;
	}
	if (p->count > p->max_ctx)
		return OCTANS_JOB_BAD_CMD;
	if (!p->count)
		return OCTANS_JOB_OK;
	EXEC_TRY(attend_pages(e, p, attend_seq(p, i), low, high));
	for (uint32_t j = 0; j < p->count; j++) {
		if (!attend_pool_row(p, (uint32_t)p->positions[j], &row))
			return OCTANS_JOB_BAD_CMD;
		if (j % EXEC_PIECE == 0)
			EXEC_TRY(exec_work(e, 2 * EXEC_PIECE));
	}
	return OCTANS_JOB_OK;
}

/* The positions of row @i, and their pages. */
static int attend_positions(struct exec *e, struct attend *p, uint32_t i)
{
	int32_t from, to;

	if (p->list)
		return attend_list(e, p, i);
	from = p->ranges[2 * i];
	to = p->ranges[2 * i + 1];
	if (from < 0 || to < from || (uint32_t)(to - from) > p->max_ctx)
		return OCTANS_JOB_BAD_CMD;
	p->from = (uint32_t)from;
	p->count = (uint32_t)(to - from);
	return p->count ? attend_pages(e, p, attend_seq(p, i), p->from, (uint32_t)to - 1)
			: OCTANS_JOB_OK;
}

/* Reads and checks them all; *sum: of the numbers of positions. */
static int attend_control(struct exec *e, struct attend *p, uint64_t *sum)
{
	uint32_t sequences = p->pages.present ? p->pages.rows : 1;

	p->page_seq = UINT32_MAX;
	p->page = exec_alloc(e, p->pages.cols * 4ull);
	p->positions = exec_alloc(e, p->list ? p->range.row_bytes : 0);
	p->ranges = exec_alloc(e, p->list ? 0 : p->m * 8ull);
	p->sequences = p->seq.present ? exec_alloc(e, p->m * 4ull) : NULL;
	if (!p->page || !p->positions || !p->ranges || (p->seq.present && !p->sequences))
		return OCTANS_JOB_BUS;
	if (p->seq.present)
		EXEC_TRY(exec_get_elements(e, &p->seq, 0, p->m, p->sequences));
	for (uint32_t i = 0; i < p->m && p->sequences; i++)
		if (p->sequences[i] < 0 || (uint32_t)p->sequences[i] >= sequences)
			return OCTANS_JOB_BAD_CMD;
	if (!p->list)
		EXEC_TRY(exec_get_rows(e, &p->range, 0, p->m, p->ranges));
	p->longest = 1;
	*sum = 0;
	for (uint32_t i = 0; i < p->m; i++) {
		EXEC_TRY(attend_positions(e, p, i));
		p->longest = p->count > p->longest ? p->count : p->longest;
		*sum += p->count;
		EXEC_TRY(exec_work(e, 10));
	}
	return OCTANS_JOB_OK;
}

/* ---- cost ---- */

static int attend_cost_pages(struct exec *e, struct attend *p)
{
	if (!p->pages.present)
		return OCTANS_JOB_OK;
	exec_cost_hull(e, false, &p->pages);
	for (uint32_t i = 0; i < p->m; i++) {
		uint32_t low = UINT32_MAX, high = 0;

		EXEC_TRY(attend_positions(e, p, i));
		EXEC_TRY(exec_work(e, 10));
		if (!p->count)
			continue;
		low = attend_position(p, 0);
		high = attend_position(p, p->count - 1);
		for (uint32_t j = 0; j < p->count && p->list; j++) {
			uint32_t t = attend_position(p, j);

			low = t < low ? t : low;
			high = t > high ? t : high;
			if (j % EXEC_PIECE == 0)
				EXEC_TRY(exec_work(e, 2 * EXEC_PIECE));
		}
		low >>= p->c->page_log2;
		high >>= p->c->page_log2;
		if (sim_cost_piece(e->m, exec_row(&p->pages, attend_seq(p, i)) + 4ull * low,
				   4ull * (high - low + 1), 1))
			return OCTANS_JOB_FAULT;
	}
	return OCTANS_JOB_OK;
}

/* Not the values that are a part of the keys: those are on chip. */
static bool attend_moves(const struct attend *p, const struct operand *o)
{
	return o != &p->v || p->v.va != p->k.va || p->v.stride != p->k.stride || p->v.row_bytes > p->k.row_bytes;
}

/* Positions @from .. @to - 1 of a sequence, in pieces that lie one after the other in the pool. */
static int attend_cost_span(struct exec *e, struct attend *p, const struct operand *o, uint32_t seq,
			    uint32_t from, uint32_t to)
{
	const uint32_t times = attend_moves(p, o);
	uint32_t size = 1u << p->c->page_log2, n, row;

	EXEC_TRY(attend_pages(e, p, seq, from, to - 1));
	for (uint32_t t = from; t < to; t += n) {
		n = p->pages.present && size - t % size < to - t ? size - t % size : to - t;
		if (!attend_pool_row(p, t, &row))
			return OCTANS_JOB_BAD_CMD;
		if (sim_cost_rows(e->m, exec_row(o, row), o->stride, n, o->row_bytes, times))
			return OCTANS_JOB_FAULT;
		EXEC_TRY(exec_work(e, 10));
	}
	return OCTANS_JOB_OK;
}

struct span {
	uint32_t seq, order, from, to;	/* order: of the first row of the sequence */
};

static int attend_compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

/* What rows @first .. of a tile use of a pool: each position once, sequence by sequence. */
static int attend_cost_tile(struct exec *e, struct attend *p, const struct operand *o,
			    uint32_t first, uint32_t rows)
{
	struct span spans[ATTEND_TILE];
	uint32_t n = 0;

	for (uint32_t i = first; i < first + rows; i++) {
		uint32_t order = n, from = (uint32_t)p->ranges[2 * i],
			 to = (uint32_t)p->ranges[2 * i + 1];

		for (uint32_t j = 0; j < n && order == n; j++)
			order = spans[j].seq == attend_seq(p, i) ? spans[j].order : n;
		if (from < to)
			spans[n++] = (struct span) { attend_seq(p, i), order, from, to };
	}
	qsort(spans, n, sizeof(spans[0]), attend_compare_spans);
	EXEC_TRY(exec_work(e, 10ull * rows * rows));
	for (uint32_t i = 0, j; i < n; i = j) {
		uint32_t to = spans[i].to;

		for (j = i + 1; j < n && spans[j].seq == spans[i].seq && spans[j].from <= to; j++)
			to = spans[j].to > to ? spans[j].to : to;
		/* What they cover may be longer than any of them. */
		for (uint32_t from = spans[i].from, part; from < to; from += part) {
			part = to - from < p->max_ctx ? to - from : p->max_ctx;
			EXEC_TRY(attend_cost_span(e, p, o, spans[i].seq, from, from + part));
		}
	}
	return OCTANS_JOB_OK;
}

static int attend_cost_list(struct exec *e, struct attend *p, const struct operand *o, uint32_t i)
{
	const uint32_t times = attend_moves(p, o);

	EXEC_TRY(attend_positions(e, p, i));
	for (uint32_t j = 0, n; j < p->count; j += n) {
		uint32_t row, next;

		n = 1;
		if (!attend_pool_row(p, attend_position(p, j), &row))
			return OCTANS_JOB_BAD_CMD;
		while (n < ATTEND_PIECE && n < p->count - j &&
		       attend_pool_row(p, attend_position(p, j + n), &next) && next == row + n)
			n++;
		if (sim_cost_rows(e->m, exec_row(o, row), o->stride, n, o->row_bytes, times))
			return OCTANS_JOB_FAULT;
		EXEC_TRY(exec_work(e, 10 + 5 * n));
	}
	return exec_work(e, 10);
}

static int attend_cost_pool(struct exec *e, struct attend *p, const struct operand *o)
{
	uint64_t tile = e->ex->profile->sram_size / 2 / (4ull * p->group * p->longest);

	tile = tile < 1 ? 1 : tile < ATTEND_TILE ? tile : ATTEND_TILE;
	exec_cost_hull(e, false, o);
	for (uint32_t i = 0; i < p->m && p->list; i++)
		EXEC_TRY(attend_cost_list(e, p, o, i));
	for (uint32_t i = 0, n; i < p->m && !p->list; i += n) {
		n = p->m - i < tile ? p->m - i : (uint32_t)tile;
		EXEC_TRY(attend_cost_tile(e, p, o, i, n));
	}
	return OCTANS_JOB_OK;
}

static int attend_costs(struct exec *e, struct attend *p, uint64_t sum)
{
	const struct octans_cmd_attend *c = p->c;
	uint64_t scores = sum * c->heads;

	EXEC_TRY(attend_cost_pages(e, p));
	EXEC_TRY(exec_cost(e, false, &p->seq));
	EXEC_TRY(exec_cost(e, false, &p->range));
	EXEC_TRY(exec_cost(e, false, &p->q));
	EXEC_TRY(exec_cost(e, false, &p->sinks));
	EXEC_TRY(exec_cost(e, false, &p->slopes));
	EXEC_TRY(attend_cost_pool(e, p, &p->k));
	EXEC_TRY(attend_cost_pool(e, p, &p->v));
	EXEC_TRY(exec_cost(e, true, &p->dst));
	*(p->k.type == OCTANS_TYPE_F32 ? &e->ex->macs_f32 : &e->ex->macs_f16) += scores * c->dk;
	*(p->v.type == OCTANS_TYPE_F32 ? &e->ex->macs_f32 : &e->ex->macs_f16) += scores * c->dv;
	e->ex->macs_f32 += scores * (c->cap > 0 ? 18 : 8);
	return OCTANS_JOB_OK;
}

/* ---- heads ---- */

/* Part @index: its key/value head, its first head, how many. */
static uint32_t attend_part_heads(const struct attend *p, uint32_t index, uint32_t *kv_head,
				  uint32_t *first)
{
	uint32_t of_group = (p->group + p->part_heads - 1) / p->part_heads,
		 at = index % of_group * p->part_heads;

	*kv_head = index / of_group;
	*first = *kv_head * p->group + at;
	return p->group - at < p->part_heads ? p->group - at : p->part_heads;
}

static uint64_t attend_bytes(uint32_t type, uint32_t elements)
{
	return type == OCTANS_TYPE_F32	 ? 4ull * elements
	       : type == OCTANS_TYPE_F16 ? 2ull * elements
					 : 34ull * (elements / 32);
}

/* The first key/value head at hand. */
static uint32_t attend_first_kv(const struct attend *p)
{
	uint32_t kv_head, head;

	attend_part_heads(p, p->first_part, &kv_head, &head);
	return kv_head;
}

/* One vector of keys or values as floats: what is shown, if it is that already. */
static const float *attend_vector(const struct attend *p, uint32_t type, uint32_t j,
				  uint32_t kv_head, uint32_t n, float *room)
{
	const uint8_t *view = p->views[j] + attend_bytes(type, n * (kv_head - attend_first_kv(p)));

	if (type == OCTANS_TYPE_F32)
		return (const float *)(const void *)view;
	sim_unpack_kv(room, view, type, n);
	return room;
}

static void attend_score_part(void *arg, uint32_t index)
{
	const struct attend *p = arg;
	const struct octans_cmd_attend *c = p->c;
	uint32_t kv_head, head,
		heads = attend_part_heads(p, p->first_part + index, &kv_head, &head);
	float room[OCTANS_MAX_HEAD_DIM];

	for (uint32_t j = 0; j < p->n; j++) {
		const float *k = attend_vector(p, p->k.type, j, kv_head, c->dk, room);

		sim_dot_rows(p->scores + (uint64_t)(head - p->first_head) * p->count + p->at + j,
			     p->count, p->q_row + (uint64_t)head * c->dk, k, heads, c->dk);
	}
	for (uint32_t h = head; h < head + heads; h++) {
		float *s = p->scores + (uint64_t)(h - p->first_head) * p->count + p->at;
		float most = p->most[h - p->first_head];

		sim_scale(s, s, c->scale, p->n);
		if (c->cap > 0)
			sim_cap(s, c->cap, p->n);
		if (p->slopes.present)
			sim_accumulate(s, p->slope[h], p->distance, p->n);
		for (uint32_t j = 0; j < p->n; j++)
			most = s[j] > most ? s[j] : most;
		p->most[h - p->first_head] = most;
	}
}

static void attend_value_part(void *arg, uint32_t index)
{
	const struct attend *p = arg;
	const struct octans_cmd_attend *c = p->c;
	uint32_t kv_head, head,
		heads = attend_part_heads(p, p->first_part + index, &kv_head, &head);
	float room[OCTANS_MAX_HEAD_DIM];

	for (uint32_t h = head - p->first_head; h < head - p->first_head + heads; h++) {
		float *s = p->scores + (uint64_t)h * p->count + p->at;

		sim_exp_row(s, s, p->most[h], p->n);
		if (p->v.type != OCTANS_TYPE_F32)
			sim_round_f16(s, s, p->n);
		sim_sum_lanes(p->lanes + 8 * h, s, p->n);
	}
	for (uint32_t j = 0; j < p->n; j++) {
		const float *v = attend_vector(p, p->v.type, j, kv_head, c->dv, room);

		for (uint32_t h = head; h < head + heads; h++)
			sim_accumulate(
				p->out + (uint64_t)h * c->dv,
				p->scores[(uint64_t)(h - p->first_head) * p->count + p->at + j], v,
				c->dv);
	}
}

/* Shows the helpers the heads at hand of the positions at hand. */
static int attend_view(struct exec *e, const struct attend *p, const struct operand *o, uint32_t n)
{
	uint32_t kv_first = attend_first_kv(p), kv_last, head;
	uint64_t offset = attend_bytes(o->type, kv_first * n), len;
	uint32_t most;

	attend_part_heads(p, p->end_part - 1, &kv_last, &head);
	len = attend_bytes(o->type, (kv_last - kv_first + 1) * n);
	most = len == o->stride && len < ATTEND_VIEW ? (uint32_t)(ATTEND_VIEW / len) : 1;
	for (uint32_t j = 0, run; j < p->n; j += run) {
		const uint8_t *view;

		run = 1;
		while (run < most && run < p->n - j && p->rows[j + run] == p->rows[j] + run)
			run++;
		view = sim_read(e->m, exec_row(o, p->rows[j]) + offset, run * len,
				p->scratch + j * len);
		if (!view)
			return OCTANS_JOB_FAULT;
		for (uint32_t i = 0; i < run; i++)
			p->views[j + i] = view + i * len;
	}
	return OCTANS_JOB_OK;
}

/* Calls @part for the heads at hand with all positions, a piece at a time. */
static int attend_pass(struct exec *e, struct attend *p, const struct operand *o, uint32_t n,
		       void (*part)(void *arg, uint32_t index), uint32_t heads)
{
	uint32_t parts = p->end_part - p->first_part;
	/* For a position, by an average host. */
	uint64_t ns = heads * (n / 8 + 10ull) + parts * (n / 4 + 10ull);
	uint64_t len = attend_bytes(o->type, parts * n),
		 piece = EXEC_SLICE_NS * (uint64_t)exec_threads(e) / ns;

	piece = piece < ATTEND_BYTES / len ? piece : ATTEND_BYTES / len;
	piece = piece < ATTEND_PIECE ? piece : ATTEND_PIECE;
	/* In eights, for the lanes of sums. */
	piece = piece < 8 ? 8 : piece / 8 * 8;
	for (p->at = 0; p->at < p->count; p->at += p->n) {
		uint32_t last = attend_position(p, p->count - 1);

		p->n = p->count - p->at < piece ? p->count - p->at : (uint32_t)piece;
		for (uint32_t j = 0; j < p->n; j++) {
			uint32_t t = attend_position(p, p->at + j);

			if (!attend_pool_row(p, t, &p->rows[j]))
				return OCTANS_JOB_BAD_CMD;
			p->distance[j] = (float)((int32_t)t - (int32_t)last);
		}
		EXEC_TRY(attend_view(e, p, o, n));
		EXEC_TRY(exec_share(e, parts, part, p, p->n * ns));
	}
	return OCTANS_JOB_OK;
}

/* Some heads of a row: the first and second pass. */
static int attend_heads(struct exec *e, struct attend *p, uint32_t heads)
{
	const struct octans_cmd_attend *c = p->c;

	for (uint32_t h = 0; h < heads; h++)
		p->most[h] = p->sinks.present ? p->sink[p->first_head + h] : -INFINITY;
	EXEC_TRY(attend_pass(e, p, &p->k, c->dk, attend_score_part, heads));
	memset(p->lanes, 0, heads * 8ull * sizeof(*p->lanes));
	memset(p->out + (uint64_t)p->first_head * c->dv, 0,
	       (uint64_t)heads * c->dv * sizeof(*p->out));
	EXEC_TRY(attend_pass(e, p, &p->v, c->dv, attend_value_part, heads));
	for (uint32_t h = 0; h < heads; h++) {
		float *out = p->out + (uint64_t)(p->first_head + h) * c->dv,
		      l = sim_fold(p->lanes + 8 * h);

		if (p->sinks.present)
			l = l + sim_exp(p->sink[p->first_head + h] - p->most[h]);
		sim_scale(out, out, 1 / l, c->dv);
		sim_canonical(out, c->dv);
	}
	return exec_work(e, heads * (c->dv / 4 + 20ull));
}

static int attend_row(struct exec *e, struct attend *p, uint32_t i)
{
	const struct octans_cmd_attend *c = p->c;
	uint32_t most, kv_head, head, widest = c->dk > c->dv ? c->dk : c->dv;

	EXEC_TRY(attend_positions(e, p, i));
	/* Of a list that somebody has made longer since: there is no room for its scores. */
	if (p->count > p->longest)
		return OCTANS_JOB_BAD_CMD;
	if (!p->count) {
		memset(p->out, 0, p->dst.row_bytes);
		EXEC_TRY(exec_work(e, p->dst.row_bytes / 16));
		return exec_put(e, exec_row(&p->dst, i), p->dst.row_bytes, p->out);
	}
	EXEC_TRY(exec_get_rows(e, &p->q, i, 1, p->q_row));
	for (uint32_t at = 0, n; at < p->q.cols && p->k.type != OCTANS_TYPE_F32; at += n) {
		n = p->q.cols - at < EXEC_PIECE ? p->q.cols - at : EXEC_PIECE;
		sim_round_f16(p->q_row + at, p->q_row + at, n);
		EXEC_TRY(exec_work(e, n));
	}
	most = ATTEND_SCORES / p->count < ATTEND_ELEMENTS / widest ? ATTEND_SCORES / p->count :
	       ATTEND_ELEMENTS / widest;
	for (p->first_part = 0; p->first_part < p->parts; p->first_part = p->end_part) {
		uint32_t heads = 0;

		attend_part_heads(p, p->first_part, &kv_head, &p->first_head);
		for (p->end_part = p->first_part; p->end_part < p->parts; p->end_part++) {
			uint32_t n = attend_part_heads(p, p->end_part, &kv_head, &head);

			if (heads && heads + n > most)
				break;
			heads += n;
		}
		EXEC_TRY(attend_heads(e, p, heads));
	}
	return exec_put(e, exec_row(&p->dst, i), p->dst.row_bytes, p->out);
}

/* ---- the command ---- */

static int attend_data(struct exec *e, struct attend *p)
{
	const struct octans_cmd_attend *c = p->c;
	uint64_t widest = c->dk > c->dv ? c->dk : c->dv, scores = (uint64_t)p->longest * c->heads;

	/* A part may be more than the scores that are kept. */
	if (scores > ATTEND_SCORES)
		scores = ATTEND_SCORES + (uint64_t)p->longest * ATTEND_PART;
	p->part_heads = p->group < ATTEND_PART ? p->group : ATTEND_PART;
	p->parts = (p->group + p->part_heads - 1) / p->part_heads * c->kv_heads;
	p->q_row = exec_alloc(e, p->q.row_bytes);
	p->out = exec_alloc(e, p->dst.row_bytes);
	p->sink = exec_alloc(e, c->heads * 4ull);
	p->slope = exec_alloc(e, c->heads * 4ull);
	p->scores = exec_alloc(e, scores * 4);
	p->most = exec_alloc(e, c->heads * 4ull);
	p->lanes = exec_alloc(e, c->heads * 32ull);
	p->rows = exec_alloc(e, ATTEND_PIECE * sizeof(*p->rows));
	p->distance = exec_alloc(e, ATTEND_PIECE * sizeof(*p->distance));
	p->views = exec_alloc(e, ATTEND_PIECE * sizeof(*p->views));
	/* Eight positions are done at once even if that is more bytes. */
	p->scratch = exec_alloc(e, ATTEND_BYTES + 8 * 4 * (ATTEND_ELEMENTS + widest));
	if (!p->q_row || !p->out || !p->sink || !p->slope || !p->scores || !p->most || !p->lanes ||
	    !p->rows || !p->distance || !p->views || !p->scratch)
		return OCTANS_JOB_BUS;
	if (p->sinks.present)
		EXEC_TRY(exec_get_rows(e, &p->sinks, 0, 1, p->sink));
	if (p->slopes.present)
		EXEC_TRY(exec_get_rows(e, &p->slopes, 0, 1, p->slope));
	for (uint32_t i = 0; i < p->m; i++)
		EXEC_TRY(attend_row(e, p, i));
	return OCTANS_JOB_OK;
}

int exec_attend(struct exec *e, const struct octans_cmd_attend *c)
{
	struct attend p = { 0 };
	uint64_t sum;

	EXEC_TRY(attend_check(e, &p, c));
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (!attend_rows_ok(&p))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(attend_control(e, &p, &sum));
	EXEC_TRY(attend_costs(e, &p, sum));
	return e->ex->timing_only ? OCTANS_JOB_OK : attend_data(e, &p);
}
