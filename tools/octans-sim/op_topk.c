// SPDX-License-Identifier: MIT
/* TOPK: the k largest of a row, and where they are. */
#include "exec.h"

#include <stdlib.h>
#include <string.h>

#include "bits.h"

#define TOPK_PIECE 2048u	/* columns between two looks at the time */

/* The first of what it has seen, the last of them on top. */
struct heap {
	uint64_t *at;
	uint32_t used, room;
};

struct topk {
	struct operand ids, values, x, bias, range;
	const struct octans_cmd_topk *c;
	uint32_t m, n, size;		/* size of a group */
	int32_t *ranges;		/* [m][2] or NULL */
	float *row, *offset;		/* x and bias, n each */
	uint8_t *used;			/* of a group: it takes part */
	struct heap best, groups;
	int32_t *id;			/* [k] */
	float *value;
};

/* ---- order ---- */

/* Sorts as the numbers do, the greatest first, NaNs last, then by index. */
static uint64_t topk_rank(float key, uint32_t index)
{
	uint32_t bits = f32_to_bits(key == 0 ? 0 : key);
	uint32_t rank = key != key ? UINT32_MAX : ~(bits ^ (bits >> 31 ? UINT32_MAX : 0x80000000));

	return (uint64_t)rank << 32 | index;
}

static void heap_sink(struct heap *h, uint32_t i, uint64_t v)
{
	for (uint32_t child; (child = 2 * i + 1) < h->used; i = child) {
		if (child + 1 < h->used && h->at[child + 1] > h->at[child])
			child++;
		if (h->at[child] <= v)
			break;
		h->at[i] = h->at[child];
	}
	h->at[i] = v;
}

static void heap_offer(struct heap *h, uint64_t v)
{
	uint32_t i = h->used;

	if (i == h->room) {
		if (v < h->at[0])
			heap_sink(h, 0, v);
		return;
	}
	h->used++;
	for (; i && h->at[(i - 1) / 2] < v; i = (i - 1) / 2)
		h->at[i] = h->at[(i - 1) / 2];
	h->at[i] = v;
}

/* In order, the first of all at the beginning. */
static void heap_sort(struct heap *h)
{
	uint32_t used = h->used;

	while (h->used) {
		uint64_t last = h->at[--h->used], top = h->at[0];

		if (h->used)
			heap_sink(h, 0, last);
		h->at[h->used] = top;
	}
	h->used = used;
}

static int topk_by_id(const void *a, const void *b)
{
	uint32_t x = (uint32_t)*(const uint64_t *)a, y = (uint32_t)*(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* ---- one row ---- */

static float topk_key(const struct topk *p, uint32_t c)
{
	return p->offset ? p->row[c] + p->offset[c] : p->row[c];
}

/* Which groups take part. */
static int topk_groups(struct exec *e, struct topk *p)
{
	bool top2 = p->c->cmd.flags & OCTANS_TOPK_GROUP_TOP2;

	memset(p->used, 0, p->c->groups);
	p->groups.used = 0;
	for (uint32_t g = 0, done = 0; g < p->c->groups; g++) {
		uint64_t first = UINT64_MAX, second = UINT64_MAX;
		float worth;

		for (uint32_t c = g * p->size; c < (g + 1) * p->size; c++) {
			uint64_t rank = topk_rank(topk_key(p, c), c);

			second = rank < first ? first : rank < second ? rank : second;
			first = rank < first ? rank : first;
			if (c % TOPK_PIECE == TOPK_PIECE - 1)
				EXEC_TRY(exec_work(e, TOPK_PIECE * 4));
		}
		worth = topk_key(p, (uint32_t)first);
		if (top2 && p->size > 1)
			worth = worth + topk_key(p, (uint32_t)second);
		heap_offer(&p->groups, topk_rank(worth, g));
		done += 1;
		if (done % 1024 == 0)
			EXEC_TRY(exec_work(e, 1024 * 200));
	}
	for (uint32_t g = 0; g < p->groups.used; g++) {
		p->used[(uint32_t)p->groups.at[g]] = 1;
		if (g % EXEC_PIECE == EXEC_PIECE - 1)
			EXEC_TRY(exec_work(e, EXEC_PIECE * 4));
	}
	return exec_work(e, 100);
}

static int topk_choose(struct exec *e, struct topk *p, uint32_t i)
{
	uint32_t from = p->ranges ? (uint32_t)p->ranges[2 * i] : 0;
	uint32_t to = p->ranges ? (uint32_t)p->ranges[2 * i + 1] : p->n;

	if (p->c->groups > 1)
		EXEC_TRY(topk_groups(e, p));
	p->best.used = 0;
	for (uint32_t at = from, n; at < to; at += n) {
		n = to - at < TOPK_PIECE ? to - at : TOPK_PIECE;
		for (uint32_t c = at; c < at + n; c++)
			if (p->c->groups == 1 || p->used[c / p->size])
				heap_offer(&p->best, topk_rank(topk_key(p, c), c));
		EXEC_TRY(exec_work(e, n * (p->best.used > 64 ? 50ull : 10ull)));
	}
	heap_sort(&p->best);
	return exec_work(e, p->best.used * 50ull);
}

static void topk_results(struct topk *p)
{
	const struct octans_cmd_topk *c = p->c;
	uint32_t used = p->best.used;
	float sum = 0;

	for (uint32_t r = 0; r < used; r++)
		sum = sum + p->row[(uint32_t)p->best.at[r]];
	if (c->cmd.flags & OCTANS_TOPK_BY_ID)
		qsort(p->best.at, used, sizeof(*p->best.at), topk_by_id);
	for (uint32_t r = 0; r < c->k; r++) {
		float v = 0;

		p->id[r] = r < used ? (int32_t)(uint32_t)p->best.at[r] : -1;
		if (r < used) {
			v = p->row[p->id[r]];
			if (c->cmd.flags & OCTANS_TOPK_RENORM)
				v = v / (sum < c->floor ? c->floor : sum);
			v = v * c->scale;
		}
		p->value[r] = v;
	}
	sim_canonical(p->value, c->k);
}

/* ---- the command ---- */

static int topk_check(struct exec *e, struct topk *p, const struct octans_cmd_topk *c)
{
	bool renorm = c->cmd.flags & OCTANS_TOPK_RENORM;

	if (c->cmd.flags & ~(OCTANS_TOPK_GROUP_TOP2 | OCTANS_TOPK_RENORM | OCTANS_TOPK_BY_ID) ||
	    !exec_operand(e, &p->ids, &c->ids, EXEC_I32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->values, &c->values, EXEC_F32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->x, &c->x, EXEC_F32, 0) ||
	    !exec_operand(e, &p->bias, &c->bias, EXEC_F32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->range, &c->range, EXEC_I32, EXEC_OPTIONAL))
		return OCTANS_JOB_BAD_CMD;
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	p->c = c;
	p->m = p->x.rows;
	p->n = p->x.cols;
	if (!exec_zero(c->reserved, sizeof(c->reserved)) || !(c->floor >= 0) ||
	    (!renorm && c->floor != 0) || !c->k || c->k > p->n || c->k > OCTANS_MAX_TOPK ||
	    !c->groups || c->groups > p->n || p->n % c->groups || !c->groups_used ||
	    c->groups_used > c->groups ||
	    (c->groups > 1 ? p->range.present : c->cmd.flags & OCTANS_TOPK_GROUP_TOP2))
		return OCTANS_JOB_BAD_CMD;
	p->size = p->n / c->groups;
	if ((!p->ids.present && !p->values.present) || (p->ids.present && p->ids.cols != c->k) ||
	    (p->values.present && p->values.cols != c->k) ||
	    (p->bias.present && p->bias.cols != p->n) || (p->range.present && p->range.cols != 2))
		return OCTANS_JOB_BAD_CMD;
	return OCTANS_JOB_OK;
}

static bool topk_rows_ok(const struct topk *p)
{
	return p->m <= OCTANS_MAX_TOKENS && (!p->ids.present || p->ids.rows == p->m) &&
	       (!p->values.present || p->values.rows == p->m) &&
	       (!p->bias.present || p->bias.rows == 1) &&
	       (!p->range.present || p->range.rows == p->m);
}

static int topk_read_ranges(struct exec *e, struct topk *p)
{
	if (!p->range.present)
		return OCTANS_JOB_OK;
	p->ranges = exec_alloc(e, p->m * 8ull);
	if (!p->ranges)
		return OCTANS_JOB_BUS;
	EXEC_TRY(exec_get_rows(e, &p->range, 0, p->m, p->ranges));
	for (uint32_t i = 0; i < p->m; i++)
		if (p->ranges[2 * i] < 0 || p->ranges[2 * i + 1] < p->ranges[2 * i] ||
		    (uint32_t)p->ranges[2 * i + 1] > p->n)
			return OCTANS_JOB_BAD_CMD;
	return exec_work(e, p->m);
}

static int topk_data(struct exec *e, struct topk *p)
{
	const struct octans_cmd_topk *c = p->c;

	p->row = exec_alloc(e, p->n * 4ull);
	p->offset = p->bias.present ? exec_alloc(e, p->n * 4ull) : NULL;
	p->used = exec_alloc(e, c->groups);
	p->groups = (struct heap) { exec_alloc(e, c->groups_used * 8ull), 0, c->groups_used };
	p->best = (struct heap) { exec_alloc(e, c->k * 8ull), 0, c->k };
	p->value = exec_alloc(e, c->k * 4ull);
	if (!p->row || (p->bias.present && !p->offset) || !p->used || !p->groups.at ||
	    !p->best.at || !p->value)
		return OCTANS_JOB_BUS;
	if (p->bias.present)
		EXEC_TRY(exec_get_rows(e, &p->bias, 0, 1, p->offset));
	for (uint32_t i = 0; i < p->m; i++) {
		EXEC_TRY(exec_get_rows(e, &p->x, i, 1, p->row));
		EXEC_TRY(topk_choose(e, p, i));
		topk_results(p);
		EXEC_TRY(exec_work(e, c->k * 100ull));
		if (p->ids.present)
			EXEC_TRY(exec_put(e, exec_row(&p->ids, i), p->ids.row_bytes, p->id));
		if (p->values.present)
			EXEC_TRY(exec_put(e, exec_row(&p->values, i), p->values.row_bytes,
					  p->value));
	}
	return OCTANS_JOB_OK;
}

/*
 * Ids as whatever uses them needs them: in order where they are to be, of those that may be; else each column
 * as often as the others, as experts that were trained are chosen.
 */
static int topk_timing(struct exec *e, struct topk *p)
{
	const bool spread = !(p->c->cmd.flags & OCTANS_TOPK_BY_ID) && !p->range.present;

	for (uint32_t i = 0; i < p->m && p->ids.present; i++) {
		const uint64_t first = spread ? (uint64_t)i * p->c->k : p->ranges ? (uint32_t)p->ranges[2 * i] : 0;
		const uint32_t n = p->ranges ? (uint32_t)(p->ranges[2 * i + 1] - p->ranges[2 * i]) : p->n;

		for (uint32_t r = 0; r < p->c->k; r++)
			p->id[r] = r < n ? (int32_t)((first + r) % p->n) : -1;
		EXEC_TRY(exec_put(e, exec_row(&p->ids, i), p->ids.row_bytes, p->id));
	}
	return OCTANS_JOB_OK;
}

int exec_topk(struct exec *e, const struct octans_cmd_topk *c)
{
	struct topk p = { 0 };

	EXEC_TRY(topk_check(e, &p, c));
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (!topk_rows_ok(&p))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(topk_read_ranges(e, &p));
	EXEC_TRY(exec_cost(e, false, &p.x));
	EXEC_TRY(exec_cost(e, false, &p.bias));
	EXEC_TRY(exec_cost(e, false, &p.range));
	EXEC_TRY(exec_cost(e, true, &p.ids));
	EXEC_TRY(exec_cost(e, true, &p.values));
	e->ex->macs_f32 = 2ull * p.m * p.n;
	p.id = exec_alloc(e, c->k * 4ull);
	if (!p.id)
		return OCTANS_JOB_BUS;
	return e->ex->timing_only ? topk_timing(e, &p) : topk_data(e, &p);
}
