// SPDX-License-Identifier: MIT
/*
 * TOPK: shared out by rows.  The best so far are a heap with the last of them on top, so that most
 * columns cost one comparison.
 */
#include "op.h"

#include <stdlib.h>

struct ranked {
	float key;
	uint32_t column;
};

struct heap {
	struct ranked *at;	/* at[0] comes last of all in it */
	uint32_t count, room;
};

struct topk {
	const struct kernels *k;
	const struct octans_cmd_topk *cmd;
	const struct view *ids, *values, *x, *bias, *range;
	uint16_t flags;
	uint8_t *scratch;	/* [threads]: ranked[room], worth [groups], used [groups] */
	size_t scratch_size;
	uint32_t room;
};

static bool flags_ok(uint16_t flags)
{
	return !(flags & ~(OCTANS_TOPK_GROUP_TOP2 | OCTANS_TOPK_RENORM | OCTANS_TOPK_BY_ID));
}

/* Does a come before b? */
static bool before(struct ranked a, struct ranked b)
{
	bool a_nan = a.key != a.key, b_nan = b.key != b.key;

	if (a_nan != b_nan)
		return b_nan;
	if (!a_nan && a.key != b.key)
		return a.key > b.key;
	return a.column < b.column;
}

/* Moves what lies at i down to its place. */
static void sift(struct ranked *at, uint32_t count, uint32_t i)
{
	struct ranked moving = at[i];

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= count)
			break;
		if (child + 1 < count && before(at[child], at[child + 1]))
			child++;
		if (!before(moving, at[child]))
			break;
		at[i] = at[child];
		i = child;
	}
	at[i] = moving;
}

static void offer(struct heap *h, struct ranked r)
{
	uint32_t i = h->count;

	if (i == h->room) {
		if (!before(r, h->at[0]))
			return;
		h->at[0] = r;
		sift(h->at, h->count, 0);
		return;
	}
	h->count++;
	while (i && before(h->at[(i - 1) / 2], r)) {
		h->at[i] = h->at[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	h->at[i] = r;
}

static void offer_columns(const struct kernels *k, struct heap *h, const float *x,
			  const float *bias, uint32_t from, uint32_t to)
{
	for (uint32_t c = from; c < to; c++) {
		/* a later column must be greater; what a NaN is last of takes any number */
		if (h->count == h->room && h->at[0].key == h->at[0].key) {
			c = k->find_above(x, bias, c, to, h->at[0].key);
			if (c == to)
				return;
		}
		offer(h, (struct ranked) { bias ? x[c] + bias[c] : x[c], c });
	}
}

/* The heap to an array, best first. */
static void sort(struct heap *h)
{
	for (uint32_t n = h->count; n > 1; n--) {
		struct ranked last = h->at[0];

		h->at[0] = h->at[n - 1];
		sift(h->at, n - 1, 0);
		h->at[n - 1] = last;
	}
}

/* Which groups take part. */
static void choose_groups(const struct topk *t, struct heap *h, const float *x, const float *bias,
			  float *worth, bool *used)
{
	uint32_t groups = t->cmd->groups, len = t->x->cols / groups;

	for (uint32_t g = 0; g < groups; g++) {
		h->count = 0;
		h->room = t->flags & OCTANS_TOPK_GROUP_TOP2 ? 2 : 1;
		offer_columns(t->k, h, x, bias, g * len, (g + 1) * len);
		sort(h);
		worth[g] = h->count > 1 ? h->at[0].key + h->at[1].key : h->at[0].key;
	}
	h->count = 0;
	h->room = t->cmd->groups_used;
	offer_columns(t->k, h, worth, NULL, 0, groups);
	memset(used, 0, groups * sizeof(*used));
	for (uint32_t i = 0; i < h->count; i++)
		used[h->at[i].column] = true;
}

static int by_column(const void *a, const void *b)
{
	uint32_t ca = ((const struct ranked *)a)->column, cb = ((const struct ranked *)b)->column;

	return (ca > cb) - (ca < cb);
}

static void store_results(const struct topk *t, struct heap *h, const float *x, uint32_t i)
{
	const struct octans_cmd_topk *cmd = t->cmd;
	float sum = 0;

	sort(h);
	for (uint32_t j = 0; j < h->count; j++)
		sum = sum + x[h->at[j].column];
	if (sum < cmd->floor)
		sum = cmd->floor;
	if (t->flags & OCTANS_TOPK_BY_ID)
		qsort(h->at, h->count, sizeof(*h->at), by_column);
	for (uint32_t j = 0; j < cmd->k; j++) {
		int32_t id = -1;
		float v = 0;

		if (j < h->count) {
			id = (int32_t)h->at[j].column;
			v = x[id];
			if (t->flags & OCTANS_TOPK_RENORM)
				v = v / sum;
			v = v * cmd->scale;
		}
		if (t->ids->data)
			row_i32(t->ids, i)[j] = id;
		if (t->values->data)
			row_f32(t->values, i)[j] = canonical(v);
	}
}

static void topk_rows(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct topk *t = arg;
	const float *bias = t->bias->data ? row_f32(t->bias, 0) : NULL;
	uint32_t n = t->x->cols, groups = t->cmd->groups, len = n / groups;
	struct heap h = { .at = (void *)(t->scratch + thread * t->scratch_size) };
	float *worth = (float *)(h.at + t->room);
	bool *used = (bool *)(worth + groups);

	for (uint32_t i = from; i < to; i++) {
		const float *x = row_f32(t->x, i);
		uint32_t first = 0, end = n;

		if (groups > 1)
			choose_groups(t, &h, x, bias, worth, used);
		if (t->range->data) {
			first = (uint32_t)row_i32(t->range, i)[0];
			end = (uint32_t)row_i32(t->range, i)[1];
		}
		h.count = 0;
		h.room = t->cmd->k;
		if (groups == 1)
			offer_columns(t->k, &h, x, bias, first, end);
		for (uint32_t g = 0; groups > 1 && g < groups; g++)
			if (used[g])
				offer_columns(t->k, &h, x, bias, g * len, (g + 1) * len);
		store_results(t, &h, x, i);
	}
}

static bool ranges_ok(const struct view *range, uint32_t m, uint32_t n)
{
	for (uint32_t i = 0; range->data && i < m; i++) {
		const int32_t *r = row_i32(range, i);

		if (r[0] < 0 || r[0] > r[1] || r[1] > (int32_t)n)
			return false;
	}
	return true;
}

static uint32_t max(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static int run(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct octans_cmd_topk *cmd = command;
	struct topk t = {
		.k = cpu->k, .cmd = cmd, .ids = &view[0], .values = &view[1], .x = &view[2],
		.bias = &view[3], .range = &view[4], .flags = cmd->cmd.flags,
	};
	uint32_t m = t.x->rows, n = t.x->cols, groups = cmd->groups;

	if (m > OCTANS_MAX_TOKENS || !cmd->k || cmd->k > n || cmd->k > OCTANS_MAX_TOPK || !groups ||
	    groups > n || n % groups || !cmd->groups_used || cmd->groups_used > groups ||
	    !(cmd->floor >= 0) || (cmd->floor != 0 && !(t.flags & OCTANS_TOPK_RENORM)) ||
	    cmd->reserved[0] || cmd->reserved[1] || cmd->reserved[2] ||
	    (!t.ids->data && !t.values->data) || !is_shape_or_absent(t.ids, m, cmd->k) ||
	    !is_shape_or_absent(t.values, m, cmd->k) || !is_shape_or_absent(t.bias, 1, n) ||
	    !is_shape_or_absent(t.range, m, 2) || (t.range->data && groups > 1) ||
	    (groups == 1 && (t.flags & OCTANS_TOPK_GROUP_TOP2)) || !ranges_ok(t.range, m, n))
		return -EINVAL;
	t.room = max(2, max(cmd->k, cmd->groups_used));
	t.scratch_size = t.room * sizeof(struct ranked) + groups * (sizeof(float) + sizeof(bool));
	t.scratch = scratch_per_thread(cpu, &t.scratch_size);
	if (!t.scratch)
		return -ENOMEM;
	share(cpu, m, n / 2 + 20ull * cmd->k, topk_rows, &t);
	return 0;
}

const struct op op_topk = {
	.name = "TOPK",
	.size = sizeof(struct octans_cmd_topk),
	.flags = flags_ok,
	.operands = 5,
	.operand = {
		{ offsetof(struct octans_cmd_topk, ids), true, false, TYPE(I32) },
		{ offsetof(struct octans_cmd_topk, values), true, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_topk, x), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_topk, bias), true, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_topk, range), true, false, TYPE(I32) },
	},
	.run = run,
};
