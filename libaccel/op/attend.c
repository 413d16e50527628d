// SPDX-License-Identifier: MIT
/*
 * ATTEND: shared out by rows of q and heads.  A part is some heads of one group, so that a row of
 * keys is converted once for them; parts that follow each other are rows of the same group, whose
 * keys are in the cache by then.
 */
#include "op.h"

struct attention {
	struct cpu *cpu;
	const struct octans_cmd_attend *cmd;
	const struct view *dst, *q, *k, *v, *pages, *seq, *range, *sinks, *slopes;
	bool list;
	uint32_t group;			/* heads of a kv head */
	uint32_t blocks;		/* of heads in a group */
	uint32_t max_n;			/* positions of a row */
	uint8_t *scratch;		/* [threads] */
	size_t scratch_size, scores_stride;
};

static bool flags_ok(uint16_t flags)
{
	return !(flags & ~OCTANS_ATTEND_LIST);
}

static uint32_t sequence(const struct attention *t, uint32_t i)
{
	return t->seq->data ? (uint32_t)*row_i32(t->seq, i) : 0;
}

/* The row of the pools that holds position p; -1 if it lies on no page of the sequence. */
static int64_t pool_row(const struct attention *t, uint32_t seq, int32_t p)
{
	uint32_t log2 = t->cmd->page_log2, page = (uint32_t)p >> log2;
	int64_t row = p;

	if (t->pages->data) {
		int32_t at;

		if (page >= t->pages->cols)
			return -1;
		at = row_i32(t->pages, seq)[page];
		if (at < 0 || ((int64_t)at + 1) << log2 > t->k->rows)
			return -1;
		row = ((int64_t)at << log2) | (p & ((1 << log2) - 1));
	}
	return row < t->k->rows ? row : -1;
}

/* Checks the control operands of row i: how many positions it has, or -1 if something is wrong. */
static int64_t check_row(const struct attention *t, uint32_t i)
{
	const int32_t *range = row_i32(t->range, i);
	uint32_t sequences = t->pages->data ? t->pages->rows : 1, seq = sequence(t, i), step;
	int64_t n = 0;

	if (seq >= sequences)
		return -1;
	if (t->list) {
		for (uint32_t j = 0; j < t->range->cols; j++) {
			if (range[j] < 0)
				continue;
			if (pool_row(t, seq, range[j]) < 0)
				return -1;
			n++;
		}
		return n <= t->cpu->max_ctx ? n : -1;
	}
	if (range[0] < 0 || range[0] > range[1])
		return -1;
	n = (int64_t)range[1] - range[0];
	if (n > t->cpu->max_ctx || (n && pool_row(t, seq, range[1] - 1) < 0))
		return -1;
	/* one position of each page; without pages the last one was enough */
	step = t->pages->data ? 1u << t->cmd->page_log2 : 1u << 31;
	for (int64_t p = range[0]; p < range[1]; p += step)
		if (pool_row(t, seq, (int32_t)p) < 0)
			return -1;
	return n;
}

/* The positions of row i and their rows of the pools. */
static uint32_t find_positions(const struct attention *t, uint32_t i, int32_t *position,
			       uint32_t *row)
{
	const int32_t *range = row_i32(t->range, i);
	uint32_t seq = sequence(t, i), n = 0, count;

	count = t->list ? t->range->cols : (uint32_t)(range[1] - range[0]);
	for (uint32_t j = 0; j < count; j++) {
		int32_t p = t->list ? range[j] : range[0] + (int32_t)j;

		if (p < 0)
			continue;
		position[n] = p;
		row[n++] = (uint32_t)pool_row(t, seq, p);
	}
	return n;
}

static void attend_parts(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct attention *t = arg;
	const struct octans_cmd_attend *cmd = t->cmd;
	uint8_t *scratch = t->scratch + thread * t->scratch_size;
	uint32_t *row = (uint32_t *)(void *)scratch, m = t->q->rows;
	int32_t *position = (int32_t *)(row + t->scores_stride);

	for (uint32_t part = from; part < to; part++) {
		uint32_t i = part % m, block = part / m % t->blocks, kv = part / m / t->blocks;
		uint32_t head = kv * t->group + block * ATTEND_HEADS;
		uint32_t left = t->group - block * ATTEND_HEADS;
		struct attend a = {
			.heads = left < ATTEND_HEADS ? left : ATTEND_HEADS,
			.dk = cmd->dk, .dv = cmd->dv, .k_type = t->k->type, .v_type = t->v->type,
			.dst = row_f32(t->dst, i) + (size_t)head * cmd->dv,
			.q = row_f32(t->q, i) + (size_t)head * cmd->dk,
			.k = t->k->data + type_bytes(t->k->type, kv * cmd->dk),
			.v = t->v->data + type_bytes(t->v->type, kv * cmd->dv),
			.k_stride = t->k->stride, .v_stride = t->v->stride,
			.row = row, .position = position, .scale = cmd->scale, .cap = cmd->cap,
			.sinks = t->sinks->data ? row_f32(t->sinks, 0) + head : NULL,
			.slopes = t->slopes->data ? row_f32(t->slopes, 0) + head : NULL,
			.scores = (float *)(position + t->scores_stride),
			.scores_stride = t->scores_stride,
		};

		a.n = find_positions(t, i, position, row);
		if (!a.n) {
			memset(a.dst, 0, (size_t)a.heads * a.dv * sizeof(float));
			continue;
		}
		a.q_used = a.scores + ATTEND_HEADS * t->scores_stride;
		a.acc = a.q_used + (size_t)ATTEND_HEADS * cmd->dk;
		t->cpu->k->attend(&a);
	}
}

static bool shapes_ok(const struct attention *t)
{
	const struct octans_cmd_attend *cmd = t->cmd;
	uint32_t m = t->q->rows, heads = cmd->heads, kv = cmd->kv_heads;

	return !cmd->reserved && m <= OCTANS_MAX_TOKENS && heads && heads <= OCTANS_MAX_HEADS &&
	       kv && heads % kv == 0 && cmd->dk && cmd->dk <= OCTANS_MAX_HEAD_DIM && cmd->dv &&
	       cmd->dv <= OCTANS_MAX_HEAD_DIM && cmd->page_log2 <= OCTANS_MAX_PAGE_LOG2 &&
	       (t->pages->data || !cmd->page_log2) && cmd->cap >= 0 &&
	       is_shape(t->dst, m, (uint64_t)heads * cmd->dv) &&
	       is_shape(t->q, m, (uint64_t)heads * cmd->dk) && t->k->cols == kv * cmd->dk &&
	       is_shape(t->v, t->k->rows, (uint64_t)kv * cmd->dv) &&
	       (t->k->type != OCTANS_TYPE_Q8_0 || cmd->dk % 32 == 0) &&
	       (t->v->type != OCTANS_TYPE_Q8_0 || cmd->dv % 32 == 0) &&
	       is_shape_or_absent(t->seq, m, 1) && t->range->rows == m &&
	       (t->list || t->range->cols == 2) && is_shape_or_absent(t->sinks, 1, heads) &&
	       is_shape_or_absent(t->slopes, 1, heads);
}

static int run(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct octans_cmd_attend *cmd = command;
	struct attention t = {
		.cpu = cpu,
		.cmd = cmd,
		.dst = &view[0],
		.q = &view[1],
		.k = &view[2],
		.v = &view[3],
		.pages = &view[4],
		.seq = &view[5],
		.range = &view[6],
		.sinks = &view[7],
		.slopes = &view[8],
		.list = cmd->cmd.flags & OCTANS_ATTEND_LIST,
	};
	uint32_t m = t.q->rows, heads;
	uint64_t sum = 0;

	if (!shapes_ok(&t))
		return -EINVAL;
	for (uint32_t i = 0; i < m; i++) {
		int64_t n = check_row(&t, i);

		if (n < 0)
			return -EINVAL;
		if (n > t.max_n)
			t.max_n = (uint32_t)n;
		sum += (uint64_t)n;
	}
	t.group = cmd->heads / cmd->kv_heads;
	t.blocks = (t.group + ATTEND_HEADS - 1) / ATTEND_HEADS;
	t.scores_stride = ((size_t)t.max_n + 15) / 16 * 16;
	t.scratch_size = sizeof(float) * ((2 + ATTEND_HEADS) * t.scores_stride +
					  ATTEND_HEADS * ((size_t)cmd->dk + cmd->dv + 32));
	t.scratch = scratch_per_thread(cpu, &t.scratch_size);
	if (!t.scratch)
		return -ENOMEM;
	heads = t.group < ATTEND_HEADS ? t.group : ATTEND_HEADS;
	share(cpu, m * cmd->kv_heads * t.blocks,
	      sum / m * heads * (cmd->dk + cmd->dv + 16) / 16 + 50, attend_parts, &t);
	return 0;
}

#define POOL_TYPES (TYPE(F32) | TYPE(F16) | TYPE(Q8_0))

static void cost(const void *command, struct op_cost *c)
{
	const struct octans_cmd_attend *cmd = command;
	uint64_t macs = (uint64_t)cmd->heads * (cmd->dk + cmd->dv);

	const uint64_t k = type_bytes(cmd->k.type, cmd->k.cols), v = type_bytes(cmd->v.type, cmd->v.cols);

	c->position.bytes = k;
	if (cmd->v.va != cmd->k.va || cmd->v.stride != cmd->k.stride || v > k)	/* else they are the same bytes */
		c->position.bytes += v;
	if (cmd->k.type == OCTANS_TYPE_F32)
		c->pair.macs_f32 = macs;
	else
		c->pair.macs_f16 = macs;
	c->range = cmd->range.va;
	c->list = cmd->cmd.flags & OCTANS_ATTEND_LIST;
}

const struct op op_attend = {
	.name = "ATTEND",
	.size = sizeof(struct octans_cmd_attend),
	.flags = flags_ok,
	.operands = 9,
	.operand = {
		{ offsetof(struct octans_cmd_attend, dst), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_attend, q), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_attend, k), false, true, POOL_TYPES },
		{ offsetof(struct octans_cmd_attend, v), false, true, POOL_TYPES },
		{ offsetof(struct octans_cmd_attend, pages), true, false, TYPE(I32) },
		{ offsetof(struct octans_cmd_attend, seq), true, false, TYPE(I32) },
		{ offsetof(struct octans_cmd_attend, range), false, false, TYPE(I32) },
		{ offsetof(struct octans_cmd_attend, sinks), true, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_attend, slopes), true, false, TYPE(F32) },
	},
	.run = run,
	.cost = cost,
};
