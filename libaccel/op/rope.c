// SPDX-License-Identifier: MIT
/* ROPE: shared out by rows. */
#include "op.h"

struct rope {
	const struct kernels *k;
	const struct view *dst, *x, *cs, *pos;
	uint32_t heads, head_dim, first, rot;
	bool half;
};

static bool flags_ok(uint16_t flags)
{
	return !(flags & ~OCTANS_ROPE_HALF);
}

static void rope_rows(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct rope *t = arg;
	uint32_t end = t->first + t->rot;

	(void)thread;
	for (uint32_t i = from; i < to; i++) {
		const float *cs = row_f32(t->cs, t->pos->data ? (uint32_t)*row_i32(t->pos, i) : i);

		for (uint32_t h = 0; h < t->heads; h++) {
			const float *x = row_f32(t->x, i) + (size_t)h * t->head_dim;
			float *dst = row_f32(t->dst, i) + (size_t)h * t->head_dim;

			/* a store, so a NaN becomes the canonical one */
			t->k->store((uint8_t *)dst, x, OCTANS_TYPE_F32, t->first);
			t->k->store((uint8_t *)(dst + end), x + end, OCTANS_TYPE_F32,
				    t->head_dim - end);
			t->k->rotate(dst + t->first, x + t->first, cs, t->rot, t->half);
		}
	}
}

static bool positions_ok(const struct view *pos, const struct view *cs, uint32_t m)
{
	if (!pos->data)
		return m <= cs->rows;
	for (uint32_t i = 0; i < m; i++)
		if (*row_i32(pos, i) < 0 || *row_i32(pos, i) >= (int32_t)cs->rows)
			return false;
	return true;
}

static int run(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct octans_cmd_rope *cmd = command;
	struct rope t = {
		.k = cpu->k,
		.dst = &view[0],
		.x = &view[1],
		.cs = &view[2],
		.pos = &view[3],
		.heads = cmd->heads,
		.head_dim = cmd->head_dim,
		.first = cmd->first,
		.rot = cmd->rot,
		.half = cmd->cmd.flags & OCTANS_ROPE_HALF,
	};
	uint32_t m = t.x->rows;

	if (!t.heads || t.heads > OCTANS_MAX_HEADS || !t.head_dim ||
	    t.head_dim > OCTANS_MAX_HEAD_DIM || t.rot < 2 || t.rot % 2 ||
	    (uint64_t)t.first + t.rot > t.head_dim || m > OCTANS_MAX_TOKENS ||
	    t.x->cols != t.heads * t.head_dim || !is_shape(t.dst, m, t.x->cols) ||
	    t.cs->cols != t.rot || !is_shape_or_absent(t.pos, m, 1) ||
	    !positions_ok(t.pos, t.cs, m))
		return -EINVAL;
	share(cpu, m, t.x->cols / 4 + 10ull * t.heads, rope_rows, &t);
	return 0;
}

const struct op op_rope = {
	.name = "ROPE",
	.size = sizeof(struct octans_cmd_rope),
	.flags = flags_ok,
	.operands = 4,
	.operand = {
		{ offsetof(struct octans_cmd_rope, dst), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_rope, x), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_rope, cs), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_rope, pos), true, false, TYPE(I32) },
	},
	.run = run,
};
