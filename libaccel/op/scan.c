// SPDX-License-Identifier: MIT
/* SCAN: shared out by heads; the rows of a head are taken in order. */
#include "op.h"

struct task {
	struct cpu *cpu;
	const struct octans_cmd_scan *cmd;
	const struct view *dst, *v, *k, *q, *g, *beta, *a, *d, *state, *slot;
	bool decays;
	float *scratch;		/* [threads] */
	size_t scratch_size;
};

static bool flags_ok(uint16_t flags)
{
	return flags <= OCTANS_SCAN_DELTA;
}

static void scan_heads(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct task *t = arg;
	const struct octans_cmd_scan *cmd = t->cmd;
	float *scratch = (float *)((uint8_t *)t->scratch + thread * t->scratch_size);
	uint32_t dk = cmd->dk, dv = cmd->dv;

	for (uint32_t h = from; h < to; h++) {
		uint32_t group = h / (cmd->heads / cmd->groups);
		struct scan s = {
			.delta = cmd->cmd.flags == OCTANS_SCAN_DELTA,
			.dst = row_f32(t->dst, 0) + (size_t)h * dv,
			.v = row_f32(t->v, 0) + (size_t)h * dv,
			.k = row_f32(t->k, 0) + (size_t)group * dk,
			.q = row_f32(t->q, 0) + (size_t)group * dk,
			.g = row_f32(t->g, 0) + (t->decays ? (size_t)h * dk : h),
			.dst_stride = t->dst->stride / 4, .v_stride = t->v->stride / 4,
			.k_stride = t->k->stride / 4, .q_stride = t->q->stride / 4,
			.g_stride = t->g->stride / 4, .decays = t->decays,
			.scale = cmd->scale, .dk = dk, .dv = dv, .m = t->v->rows,
			.state = row_f32(t->state, 0) + (size_t)h * dv * dk,
			.state_stride = t->state->stride / 4,
			.slot = t->slot->data, .slot_stride = t->slot->stride,
			.decay = scratch, .s = scratch + dk,
		};

		if (s.delta) {
			s.beta = row_f32(t->beta, 0) + h;
			s.beta_stride = t->beta->stride / 4;
		} else {
			s.a = row_f32(t->a, 0)[h];
			s.has_d = t->d->data;
			s.d = s.has_d ? row_f32(t->d, 0)[h] : 0;
		}
		t->cpu->k->scan(&s);
	}
}

static bool shapes_ok(const struct task *t)
{
	const struct octans_cmd_scan *cmd = t->cmd;
	uint32_t m = t->v->rows, heads = cmd->heads, groups = cmd->groups, dk = cmd->dk,
		 dv = cmd->dv;
	bool delta = cmd->cmd.flags == OCTANS_SCAN_DELTA;

	if (cmd->reserved[0] || cmd->reserved[1] || cmd->reserved[2] || m > OCTANS_MAX_TOKENS ||
	    !heads || heads > OCTANS_MAX_HEADS || !groups || heads % groups || !dk ||
	    dk > OCTANS_MAX_HEAD_DIM || !dv || dv > OCTANS_MAX_HEAD_DIM ||
	    (uint64_t)heads * dv * dk > OCTANS_MAX_COLS || /* a row of its tensor */
	    t->state->cols != heads * dv * dk ||
	    !is_shape(t->v, m, (uint64_t)heads * dv) ||
	    !is_shape(t->dst, m, (uint64_t)heads * dv) ||
	    !is_shape(t->k, m, (uint64_t)groups * dk) ||
	    !is_shape(t->q, m, (uint64_t)groups * dk) || !is_shape(t->slot, m, 2))
		return false;
	if (delta)
		return !t->a->data && !t->d->data && t->beta->data && is_shape(t->beta, m, heads) &&
		       (is_shape(t->g, m, heads) || is_shape(t->g, m, (uint64_t)heads * dk));
	return !t->beta->data && t->a->data && is_shape(t->a, 1, heads) &&
	       is_shape_or_absent(t->d, 1, heads) && is_shape(t->g, m, heads) && cmd->scale == 1;
}

static int run(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct octans_cmd_scan *cmd = command;
	struct task t = {
		.cpu = cpu,
		.cmd = cmd,
		.dst = &view[0],
		.v = &view[1],
		.k = &view[2],
		.q = &view[3],
		.g = &view[4],
		.beta = &view[5],
		.a = &view[6],
		.d = &view[7],
		.state = &view[8],
		.slot = &view[9],
	};
	uint32_t m = t.v->rows;

	if (!shapes_ok(&t) || !slots_ok(t.slot, t.state->rows))
		return -EINVAL;
	t.decays = t.g->cols != cmd->heads;
	t.scratch_size = 2 * cmd->dk * sizeof(float);
	t.scratch = scratch_per_thread(cpu, &t.scratch_size);
	if (!t.scratch)
		return -ENOMEM;
	share(cpu, cmd->heads, (uint64_t)m * cmd->dv * (cmd->dk / 4 + 10), scan_heads, &t);
	return 0;
}

/* A state is read and written again; rows of the same sequence share that. */
static void cost(const void *command, struct op_cost *c)
{
	const struct octans_cmd_scan *cmd = command;

	c->seq.bytes = 2 * 4ull * cmd->state.cols;
	c->row.macs_f32 = 3ull * cmd->state.cols;
}

const struct op op_scan = {
	.name = "SCAN",
	.size = sizeof(struct octans_cmd_scan),
	.flags = flags_ok,
	.operands = 10,
	.operand = {
		{ offsetof(struct octans_cmd_scan, dst), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_scan, v), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_scan, k), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_scan, q), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_scan, g), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_scan, beta), true, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_scan, a), true, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_scan, d), true, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_scan, state), false, true, TYPE(F32) },
		{ offsetof(struct octans_cmd_scan, slot), false, false, TYPE(I32) },
	},
	.run = run,
	.cost = cost,
};
