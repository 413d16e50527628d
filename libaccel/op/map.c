// SPDX-License-Identifier: MIT
/* MAP: shared out by rows, or by columns if there are few rows. */
#include "op.h"

#define COLUMNS 4096u

struct map {
	const struct kernels *k;
	const struct view *dst, *a, *b;
	uint16_t flags;
	const float *imm;
	uint32_t columns;	/* of an item */
	uint32_t items_of_row;
};

static bool flags_ok(uint16_t flags)
{
	return OCTANS_MAP_F(flags) < OCTANS_MAP_F_COUNT &&
	       !(flags & ~(OCTANS_MAP(0xff, 3) | OCTANS_MAP_AFFINE));
}

static void map(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct map *t = arg;

	(void)thread;
	for (uint32_t item = from; item < to; item++) {
		uint32_t i = item / t->items_of_row, c = item % t->items_of_row * t->columns;
		uint32_t n = t->a->cols - c < t->columns ? t->a->cols - c : t->columns;
		const float *b = NULL;
		bool one = t->b->cols == 1;

		if (t->b->data)
			b = row_f32(t->b, t->b->rows == 1 ? 0 : i) + (one ? 0 : c);
		t->k->map(row_f32(t->dst, i) + c, row_f32(t->a, i) + c, b, one, n, t->flags,
			  t->imm);
	}
}

static bool imm_ok(uint16_t flags, const float imm[4])
{
	uint32_t f = OCTANS_MAP_F(flags);

	if (!(flags & OCTANS_MAP_AFFINE) && (f32_bits(imm[0]) || f32_bits(imm[1])))
		return false;
	if (f == OCTANS_MAP_CLAMP)
		return imm[2] <= imm[3];
	return f == OCTANS_MAP_XIELU || (!f32_bits(imm[2]) && !f32_bits(imm[3]));
}

static int run(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct octans_cmd_map *cmd = command;
	struct map t = {
		.k = cpu->k, .dst = &view[0], .a = &view[1], .b = &view[2], .flags = cmd->cmd.flags,
		.imm = cmd->imm,
	};
	uint32_t m = t.a->rows, n = t.a->cols;

	if (!is_shape(t.dst, m, n) || !imm_ok(t.flags, t.imm) ||
	    !t.b->data != (OCTANS_MAP_OP(t.flags) == OCTANS_MAP_NONE) ||
	    (t.b->data &&
	     ((t.b->rows != m && t.b->rows != 1) || (t.b->cols != n && t.b->cols != 1))))
		return -EINVAL;
	t.columns = m < 16 ? COLUMNS : n;
	t.items_of_row = (n + t.columns - 1) / t.columns;
	share(cpu, m * t.items_of_row, (n < t.columns ? n : t.columns) + 5, map, &t);
	return 0;
}

const struct op op_map = {
	.name = "MAP",
	.size = sizeof(struct octans_cmd_map),
	.flags = flags_ok,
	.operands = 3,
	.operand = {
		{ offsetof(struct octans_cmd_map, dst), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_map, a), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_map, b), true, false, TYPE(F32) },
	},
	.run = run,
};
