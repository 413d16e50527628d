// SPDX-License-Identifier: MIT
/* ROW: shared out by rows. */
#include "op.h"

struct row {
	const struct kernels *k;
	const struct view *dst, *x, *w, *bias;
	uint32_t kind, groups;
	float eps;
};

static bool flags_ok(uint16_t flags)
{
	return flags <= OCTANS_ROW_SUM;
}

/* The part of w (or bias) that group g uses. */
static const float *group_part(const struct view *w, uint32_t g, uint32_t len)
{
	if (!w->data)
		return NULL;
	return row_f32(w, 0) + (w->cols == len ? 0 : (size_t)g * len);
}

static void normalise(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct row *t = arg;
	uint32_t len = t->x->cols / t->groups, out = t->kind == OCTANS_ROW_SUM ? 1 : len;

	(void)thread;
	for (uint32_t i = from; i < to; i++)
		for (uint32_t g = 0; g < t->groups; g++)
			t->k->row(row_f32(t->dst, i) + (size_t)g * out,
				  row_f32(t->x, i) + (size_t)g * len, group_part(t->w, g, len),
				  group_part(t->bias, g, len), len, t->kind, t->eps);
}

static bool weight_ok(const struct view *w, uint32_t n, uint32_t len)
{
	return is_shape_or_absent(w, 1, n) || is_shape(w, 1, len);
}

static int run(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct octans_cmd_row *cmd = command;
	struct row t = {
		.k = cpu->k, .dst = &view[0], .x = &view[1], .w = &view[2], .bias = &view[3],
		.kind = cmd->cmd.flags, .groups = cmd->groups, .eps = cmd->eps,
	};
	uint32_t m = t.x->rows, n = t.x->cols;
	bool sum = t.kind == OCTANS_ROW_SUM, softmax = t.kind == OCTANS_ROW_SOFTMAX;

	if (cmd->reserved || m > OCTANS_MAX_TOKENS || !t.groups || t.groups > n || n % t.groups ||
	    !(t.eps >= 0) || !is_shape(t.dst, m, sum ? t.groups : n) ||
	    !weight_ok(t.w, n, n / t.groups) || !weight_ok(t.bias, n, n / t.groups) ||
	    ((sum || softmax) && (t.eps != 0 || t.w->data || t.bias->data)))
		return -EINVAL;
	share(cpu, m, (uint64_t)n / (softmax ? 1 : 4) + 20ull * t.groups, normalise, &t);
	return 0;
}

static void cost(const void *command, struct op_cost *c)
{
	const struct octans_cmd_row *cmd = command;

	c->once.bytes = (cmd->w.cols + cmd->bias.cols) * 4ull;
}

const struct op op_row = {
	.name = "ROW",
	.size = sizeof(struct octans_cmd_row),
	.flags = flags_ok,
	.operands = 4,
	.operand = {
		{ offsetof(struct octans_cmd_row, dst), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_row, x), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_row, w), true, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_row, bias), true, false, TYPE(F32) },
	},
	.run = run,
	.cost = cost,
};
