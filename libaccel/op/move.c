// SPDX-License-Identifier: MIT
/*
 * MOVE.  Without ids of dst every item has a row of its own, and items are shared out.  With them
 * several items may name one row, in order: then columns are shared out instead.
 */
#include "op.h"

#define COLUMNS 256u		/* of a part; whole blocks of every type */

struct move {
	const struct kernels *k;
	const struct view *dst, *src, *dst_ids, *src_ids, *scale;
	uint32_t m;
	bool copy, add;
	float *rows;		/* [threads][n rounded up] */
	size_t row_size;
};

static bool flags_ok(uint16_t flags)
{
	return !(flags & ~OCTANS_MOVE_ADD);
}

static int32_t item_row(const struct view *ids, uint32_t i)
{
	return ids->data ? *row_i32(ids, i) : (int32_t)i;
}

/* Columns [first, first + n) of item i. */
static void move_item(const struct move *t, uint32_t i, uint32_t first, uint32_t n, float *v)
{
	int32_t to = item_row(t->dst_ids, i), from = item_row(t->src_ids, i);
	const uint8_t *src;
	uint8_t *dst;

	if (to < 0 || from < 0)
		return;
	dst = row_bytes(t->dst, (uint32_t)to) + type_bytes(t->dst->type, first);
	src = row_bytes(t->src, (uint32_t)from) + type_bytes(t->src->type, first);
	if (t->copy) {
		memmove(dst, src, type_bytes(t->src->type, n));
		return;
	}
	t->k->load(v, src, t->src->type, n);
	if (t->scale->data) {
		float scale = *row_f32(t->scale, i);

		for (uint32_t c = 0; c < n; c++)
			v[c] = scale * v[c];
	}
	if (t->add) {
		const float *old = (const float *)(const void *)dst;

		for (uint32_t c = 0; c < n; c++)
			v[c] = old[c] + v[c];
	}
	t->k->store(dst, v, t->dst->type, n);
}

static void move_rows(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct move *t = arg;
	float *v = (float *)((uint8_t *)t->rows + thread * t->row_size);

	for (uint32_t i = from; i < to; i++)
		move_item(t, i, 0, t->dst->cols, v);
}

static void move_columns(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct move *t = arg;
	float *v = (float *)((uint8_t *)t->rows + thread * t->row_size);
	uint32_t first = from * COLUMNS, end = to * COLUMNS;

	if (end > t->dst->cols)
		end = t->dst->cols;
	for (uint32_t i = 0; i < t->m; i++)
		move_item(t, i, first, end - first, v);
}

static bool ids_ok(const struct view *ids, const struct view *t, uint32_t m)
{
	if (!ids->data)
		return t->rows == m;
	if (!is_shape(ids, m, 1))
		return false;
	for (uint32_t i = 0; i < m; i++)
		if (*row_i32(ids, i) >= (int32_t)t->rows)
			return false;
	return true;
}

static int run(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct octans_cmd_move *cmd = command;
	struct move t = {
		.k = cpu->k, .dst = &view[0], .src = &view[1], .dst_ids = &view[2],
		.src_ids = &view[3], .scale = &view[4], .add = cmd->cmd.flags & OCTANS_MOVE_ADD,
	};
	uint32_t n = t.dst->cols, groups = (n + COLUMNS - 1) / COLUMNS;
	bool integers = t.dst->type == OCTANS_TYPE_I32;

	t.m = t.dst_ids->data ? t.dst_ids->rows : t.src_ids->data ? t.src_ids->rows : t.src->rows;
	t.copy = t.dst->type == t.src->type && !t.scale->data && !t.add;
	if (t.src->cols != n || integers != (t.src->type == OCTANS_TYPE_I32) ||
	    (integers && !t.copy) || (t.add && t.dst->type != OCTANS_TYPE_F32) ||
	    !is_shape_or_absent(t.scale, t.m, 1) || !ids_ok(t.dst_ids, t.dst, t.m) ||
	    !ids_ok(t.src_ids, t.src, t.m))
		return -EINVAL;
	t.row_size = t.copy ? 0 : (size_t)n * sizeof(float);
	t.rows = scratch_per_thread(cpu, &t.row_size);
	if (!t.rows)
		return -ENOMEM;
	if (t.dst_ids->data)
		share(cpu, groups, (uint64_t)t.m * COLUMNS / 2, move_columns, &t);
	else
		share(cpu, t.m, n / 2 + 10, move_rows, &t);
	return 0;
}

/* Rows of a table that is there as a whole, other than activations, which have rows in effect. */
static void cost(const void *command, struct op_cost *c)
{
	const struct octans_cmd_move *cmd = command;

	if (cmd->src_ids.rows && !cmd->src.dyn)
		c->row.bytes = type_bytes(cmd->src.type, cmd->src.cols);
}

const struct op op_move = {
	.name = "MOVE",
	.size = sizeof(struct octans_cmd_move),
	.flags = flags_ok,
	.operands = 5,
	.operand = {
		{ offsetof(struct octans_cmd_move, dst), false, false,
		  TYPE(F32) | TYPE(F16) | TYPE(BF16) | TYPE(Q8_0) | TYPE(I32) },
		{ offsetof(struct octans_cmd_move, src), false, false, WEIGHTS | TYPE(I32) },
		{ offsetof(struct octans_cmd_move, dst_ids), true, false, TYPE(I32) },
		{ offsetof(struct octans_cmd_move, src_ids), true, false, TYPE(I32) },
		{ offsetof(struct octans_cmd_move, scale), true, false, TYPE(F32) },
	},
	.run = run,
	.cost = cost,
};
