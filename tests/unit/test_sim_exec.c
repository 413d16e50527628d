// SPDX-License-Identifier: MIT
/*
 * The operations of the processor model: every bit of the golden vectors, every refusal of
 * Documentation/hardware/commands.rst, memory that refuses at any moment, and the cycle
 * model of profiles.rst.
 */
#include "exec_rig.h"
#include "golden.h"
#include "tap.h"

/* Of the model's limits, those that a test of reasonable size would not meet. */
static uint64_t keeps = 64 << 20;
static uint32_t yield_macs = 400000;
#define MATMUL_KEEPS keeps
#define YIELD_MACS yield_macs
#include "exec.c"

union command {
	_Alignas(16) struct octans_cmd cmd;
	struct octans_cmd_embed embed;
	struct octans_cmd_matmul matmul;
	struct octans_cmd_rmsnorm rmsnorm;
	struct octans_cmd_rope rope;
	struct octans_cmd_attn attn;
	struct octans_cmd_glu glu;
	struct octans_cmd_elementwise elt;
	struct octans_cmd_copy copy;
	struct octans_cmd_timestamp stamp;
	uint8_t raw[512];
};

static const struct sim_profile profile = {
	.name = "test",
	.clock_hz = 1000000,
	.rings = 1,
	.macs_int8 = 32,
	.macs_f32 = 4,
	.local_bpc = 16,
	.pcie_bpc = 2,
	.max_ctx = 64,
};

static int run_on(struct sim_mem *m, const union command *c, uint64_t *cycles)
{
	struct sim_exec ex = {
		.profile = &profile, .threads = 1, .cycles_before = 12345, .time_ns = 67890,
	};
	int status = sim_exec(m, c, c->cmd.size, &ex);

	if (cycles)
		*cycles = ex.cycles;
	return status;
}

/* ---- golden vectors ---- */

struct variant {
	const char *name;
	enum rig_mode mode;
	uint32_t pad;
	bool in_place;
	uint64_t keeps;
	uint32_t yield_macs;
};

static const struct variant variants[] = {
	{ "packed, in views", RIG_VIEW, 0, false, 64 << 20, 400000 },
	{ "with gaps, scattered", RIG_SCRATCH, 12, false, 64 << 20, 400000 },
	{ "in place", RIG_VIEW, 4, true, 64 << 20, 400000 },
	{ "in passes, with many yields", RIG_VIEW, 0, false, 2500, 100 },
};

/* The expected results and where they will be. */
struct expected {
	struct octans_tensor dst;
	const float *out;
};

static struct octans_tensor arg(struct sim_mem *m, const struct golden *g, unsigned int i, uint32_t rows,
				uint32_t cols, uint32_t pad)
{
	return rig_place(m, rows, cols, OCTANS_TYPE_F32, golden_array(g, i), pad);
}

static struct octans_tensor result(struct sim_mem *m, const struct golden *g, unsigned int i,
				   uint32_t rows, uint32_t cols, uint32_t pad,
				   const struct octans_tensor *place, struct expected *want)
{
	struct octans_tensor t = place ? *place : rig_place(m, rows, cols, OCTANS_TYPE_F32, NULL, pad);

	rig_output(m, &t);
	want->dst = t;
	want->out = golden_array(g, i);
	return t;
}

static struct octans_tensor cache(struct sim_mem *m, const struct golden *g, unsigned int i,
				  uint32_t cols, uint32_t pad)
{
	uint32_t pos = g->p[3];
	struct octans_tensor t = rig_place(m, pos + g->m + 2, cols, OCTANS_TYPE_F32, NULL, pad), tail;

	for (uint32_t r = 0; r < pos; r++)
		memcpy(rig_at(m, t.va + r * t.stride),
		       (const uint8_t *)golden_array(g, i) + r * cols * 4ull, cols * 4ull);
	tail = t;
	tail.va += pos * t.stride;
	tail.rows = g->m;
	rig_output(m, &tail);
	return t;
}

/* Lays out the case; false if the variant does not apply to it. */
static bool build(struct sim_mem *m, const struct golden *g, const struct variant *v, union command *c,
		  struct expected *want)
{
	uint32_t pad = v->pad, heads = g->p[0], kv = g->p[1] * g->p[2], cols;
	const struct octans_tensor *place = NULL;

	rig_clear(m);
	m->mode = v->mode;
	keeps = v->keeps;
	yield_macs = v->yield_macs;
	memset(c, 0, sizeof(*c));
	c->cmd.op = g->op;
	c->cmd.flags = g->flags;
	if (v->in_place && (g->op == OCTANS_OP_EMBED || g->op == OCTANS_OP_MATMUL ||
			    g->op == OCTANS_OP_ATTN))
		return false;
	switch (g->op) {
	case OCTANS_OP_EMBED:
		c->cmd.size = sizeof(c->embed);
		c->embed.table = rig_place(m, g->n, g->k, g->type, golden_array(g, 0), pad);
		c->embed.ids = rig_place(m, 1, g->m, OCTANS_TYPE_I32, golden_array(g, 1), 0);
		c->embed.dst = result(m, g, 2, g->m, g->k, pad, NULL, want);
		return true;
	case OCTANS_OP_MATMUL:
		c->cmd.size = sizeof(c->matmul);
		c->matmul.w = rig_place(m, g->n, g->k, g->type, golden_array(g, 0), pad);
		c->matmul.x = arg(m, g, 1, g->m, g->k, pad);
		if (golden_array(g, 2))
			c->matmul.bias = arg(m, g, 2, 1, g->n, 0);
		c->matmul.dst = arg(m, g, 3, g->m, g->n, pad);
		result(m, g, 4, g->m, g->n, pad, &c->matmul.dst, want);
		return true;
	case OCTANS_OP_RMSNORM:
		c->cmd.size = sizeof(c->rmsnorm);
		c->rmsnorm.x = arg(m, g, 0, g->m, g->k, pad);
		c->rmsnorm.w = arg(m, g, 1, 1, g->k, pad);
		c->rmsnorm.eps = g->f;
		c->rmsnorm.dst = result(m, g, 2, g->m, g->k, pad, v->in_place ? &c->rmsnorm.x : NULL,
					want);
		return true;
	case OCTANS_OP_ROPE:
		c->cmd.size = sizeof(c->rope);
		cols = heads * g->p[1];
		c->rope.x = arg(m, g, 0, g->m, cols, pad);
		c->rope.cs = arg(m, g, 1, g->m, g->p[2], pad);
		c->rope.heads = heads;
		c->rope.head_dim = g->p[1];
		c->rope.rot = g->p[2];
		c->rope.dst = result(m, g, 2, g->m, cols, pad, v->in_place ? &c->rope.x : NULL, want);
		return true;
	case OCTANS_OP_ATTN:
		c->cmd.size = sizeof(c->attn);
		cols = heads * g->p[2];
		c->attn.q = arg(m, g, 0, g->m, cols, pad);
		c->attn.k = arg(m, g, 1, g->m, kv, pad);
		c->attn.v = arg(m, g, 2, g->m, kv, pad);
		c->attn.k_cache = cache(m, g, 3, kv, pad);
		c->attn.v_cache = cache(m, g, 4, kv, pad);
		c->attn.heads = heads;
		c->attn.kv_heads = g->p[1];
		c->attn.head_dim = g->p[2];
		c->attn.pos = g->p[3];
		c->attn.scale = g->f;
		c->attn.dst = result(m, g, 5, g->m, cols, pad, NULL, want);
		return true;
	case OCTANS_OP_GLU:
		c->cmd.size = sizeof(c->glu);
		c->glu.gate = arg(m, g, 0, g->m, g->n, pad);
		c->glu.up = arg(m, g, 1, g->m, g->n, pad);
		if (v->in_place)
			place = g->m % 2 ? &c->glu.gate : &c->glu.up;
		c->glu.dst = result(m, g, 2, g->m, g->n, pad, place, want);
		return true;
	case OCTANS_OP_ELEMENTWISE:
		c->cmd.size = sizeof(c->elt);
		c->elt.a = arg(m, g, 0, g->m, g->n, pad);
		if (g->p[0])
			c->elt.b = arg(m, g, 1, g->p[0], g->n, pad);
		if (v->in_place)
			place = g->p[0] == g->m && g->n % 2 ? &c->elt.b : &c->elt.a;
		c->elt.imm = g->f;
		c->elt.dst = result(m, g, 2, g->m, g->n, pad, place, want);
		return true;
	}
	return false;
}

static bool matches(struct sim_mem *m, const struct golden *g, const union command *c,
		    const struct expected *want)
{
	for (uint32_t r = 0; r < want->dst.rows; r++) {
		const uint8_t *row = rig_at(m, want->dst.va + r * want->dst.stride);
		size_t at;

		if (!golden_same((const float *)(const void *)row, want->out + (size_t)r * want->dst.cols,
				 want->dst.cols, &at)) {
			printf("# op %u type %u m %u n %u k %u: row %u column %zu is %a, not %a\n", g->op,
			       g->type, g->m, g->n, g->k, r, at,
			       (double)((const float *)(const void *)row)[at],
			       (double)want->out[(size_t)r * want->dst.cols + at]);
			return false;
		}
	}
	for (uint32_t r = 0; g->op == OCTANS_OP_ATTN && r < g->m; r++) {
		uint64_t k = c->attn.k_cache.va + (g->p[3] + r) * c->attn.k_cache.stride;
		uint64_t v = c->attn.v_cache.va + (g->p[3] + r) * c->attn.v_cache.stride;
		size_t n = 4ull * g->p[1] * g->p[2];

		if (memcmp(rig_at(m, k), (const uint8_t *)golden_array(g, 1) + r * n, n) ||
		    memcmp(rig_at(m, v), (const uint8_t *)golden_array(g, 2) + r * n, n)) {
			printf("# row %u was not appended to the caches\n", r);
			return false;
		}
	}
	return true;
}

static void test_golden(struct sim_mem *m, uint32_t op, uint32_t type, const char *name)
{
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		unsigned int good = 0, all = 0;

		for (const struct golden *g = golden_first(); g; g = golden_next(g)) {
			struct expected want;
			union command c;
			int status;

			if (g->op != op || g->type != type || !build(m, g, &variants[i], &c, &want))
				continue;
			all++;
			rig_mark(m);
			status = run_on(m, &c, NULL);
			if (status)
				printf("# op %u m %u n %u k %u: status %d\n", op, g->m, g->n, g->k, status);
			else if (matches(m, g, &c, &want) && rig_clean(m))
				good++;
		}
		if (all)
			ok(good == all, "%s, %s: %u of %u golden vectors", name, variants[i].name, good,
			   all);
	}
	keeps = variants[0].keeps;
	yield_macs = variants[0].yield_macs;
}

/* The memory refuses any one access or yield: FAULT, no access after it, nothing else touched. */
static void test_refusals(struct sim_mem *m, uint32_t op, const char *name)
{
	unsigned int good = 0, all = 0, cases = 0;

	for (const struct golden *g = golden_first(); g && cases < 40; g = golden_next(g)) {
		struct expected want;
		union command c;
		unsigned long calls, step;

		if (g->op != op || !build(m, g, &variants[cases % 2], &c, &want))
			continue;
		run_on(m, &c, NULL);
		calls = m->calls;
		step = 1 + calls / 20;
		for (unsigned long n = 1; n <= calls; n += step) {
			build(m, g, &variants[cases % 2], &c, &want);
			rig_mark(m);
			m->fail_at = n;
			all++;
			good += run_on(m, &c, NULL) == OCTANS_JOB_FAULT && m->calls == n && rig_clean(m);
		}
		cases++;
	}
	ok(all && good == all, "%s: %u of %u refused accesses end it at once", name, good, all);
}

/* ---- what is refused ---- */

static struct octans_tensor f32_tensor(struct sim_mem *m, uint32_t rows, uint32_t cols)
{
	return rig_place(m, rows, cols, OCTANS_TYPE_F32, NULL, 0);
}

/* A small command of each kind that is in order. */
static void make_good(struct sim_mem *m, uint16_t op, union command *c)
{
	static const int32_t ids[3] = { 1, 0, 4 };

	rig_clear(m);
	memset(m->bytes, 0, RIG_SIZE);
	memset(c, 0, sizeof(*c));
	c->cmd.op = op;
	c->cmd.size = sizeof(c->cmd);
	switch (op) {
	case OCTANS_OP_EMBED:
		c->cmd.size = sizeof(c->embed);
		c->embed.dst = f32_tensor(m, 3, 32);
		c->embed.table = rig_place(m, 5, 32, OCTANS_TYPE_Q8_0, NULL, 0);
		c->embed.ids = rig_place(m, 1, 3, OCTANS_TYPE_I32, ids, 0);
		break;
	case OCTANS_OP_MATMUL:
		c->cmd.size = sizeof(c->matmul);
		c->matmul.dst = f32_tensor(m, 3, 5);
		c->matmul.x = f32_tensor(m, 3, 256);
		c->matmul.w = rig_place(m, 5, 256, OCTANS_TYPE_Q4_K, NULL, 0);
		c->matmul.bias = f32_tensor(m, 1, 5);
		break;
	case OCTANS_OP_RMSNORM:
		c->cmd.size = sizeof(c->rmsnorm);
		c->rmsnorm.dst = f32_tensor(m, 3, 8);
		c->rmsnorm.x = f32_tensor(m, 3, 8);
		c->rmsnorm.w = f32_tensor(m, 1, 8);
		c->rmsnorm.eps = 1e-5f;
		break;
	case OCTANS_OP_ROPE:
		c->cmd.size = sizeof(c->rope);
		c->rope.dst = f32_tensor(m, 3, 16);
		c->rope.x = f32_tensor(m, 3, 16);
		c->rope.cs = f32_tensor(m, 3, 6);
		c->rope.heads = 2;
		c->rope.head_dim = 8;
		c->rope.rot = 6;
		break;
	case OCTANS_OP_ATTN:
		c->cmd.size = sizeof(c->attn);
		c->attn.dst = f32_tensor(m, 3, 16);
		c->attn.q = f32_tensor(m, 3, 16);
		c->attn.k = f32_tensor(m, 3, 8);
		c->attn.v = f32_tensor(m, 3, 8);
		c->attn.k_cache = f32_tensor(m, 10, 8);
		c->attn.v_cache = f32_tensor(m, 10, 8);
		c->attn.heads = 4;
		c->attn.kv_heads = 2;
		c->attn.head_dim = 4;
		c->attn.pos = 7;
		c->attn.scale = 0.5f;
		break;
	case OCTANS_OP_GLU:
		c->cmd.size = sizeof(c->glu);
		c->glu.dst = f32_tensor(m, 3, 8);
		c->glu.gate = f32_tensor(m, 3, 8);
		c->glu.up = f32_tensor(m, 3, 8);
		break;
	case OCTANS_OP_ELEMENTWISE:
		c->cmd.size = sizeof(c->elt);
		c->elt.dst = f32_tensor(m, 3, 8);
		c->elt.a = f32_tensor(m, 3, 8);
		c->elt.b = f32_tensor(m, 3, 8);
		break;
	case OCTANS_OP_COPY:
		c->cmd.size = sizeof(c->copy);
		c->copy.src = RIG_BASE + 3;
		c->copy.dst = RIG_BASE + 0x40001;
		c->copy.size = 0x20005;
		break;
	case OCTANS_OP_TIMESTAMP:
		c->cmd.size = sizeof(c->stamp);
		c->stamp.va = RIG_BASE + 8;
		break;
	}
	rig_mark(m);
}

static bool refused(struct sim_mem *m, const union command *c)
{
	int status = run_on(m, c, NULL);

	if (status != OCTANS_JOB_BAD_CMD)
		printf("# status %d\n", status);
	return status == OCTANS_JOB_BAD_CMD && !m->writes && rig_clean(m);
}

#define BAD(op, change) do { \
	union command c; \
	make_good(m, OCTANS_OP_##op, &c); \
	change; \
	ok(refused(m, &c), #op " with " #change); \
} while (0)

#define GOOD(op, change) do { \
	union command c; \
	make_good(m, OCTANS_OP_##op, &c); \
	change; \
	ok(run_on(m, &c, NULL) == OCTANS_JOB_OK, #op " may have " #change); \
} while (0)

static void test_headers(struct sim_mem *m)
{
	for (uint16_t op = 0; op <= OCTANS_OP_TIMESTAMP; op++) {
		union command c;
		bool good = true;

		make_good(m, op, &c);
		ok(run_on(m, &c, NULL) == OCTANS_JOB_OK, "op %u in order", op);
		make_good(m, op, &c);
		c.cmd.reserved = 1ull << 63;
		good &= refused(m, &c);
		for (int by = -16; by <= 16; by += 32) {
			make_good(m, op, &c);
			c.cmd.size += by;
			if (c.cmd.size)
				good &= refused(m, &c);
		}
		make_good(m, op, &c);
		c.cmd.flags = 0x8000;
		good &= refused(m, &c);
		ok(good, "op %u: reserved field, size, flags", op);
	}
	for (unsigned int op = OCTANS_OP_TIMESTAMP + 1; op <= 0xffff; op += op < 64 ? 1 : 997) {
		union command c;

		make_good(m, OCTANS_OP_NOP, &c);
		c.cmd.op = op;
		if (!refused(m, &c)) {
			ok(false, "op %u does not exist", op);
			return;
		}
	}
	ok(true, "other ops do not exist");
	ok(sim_exec_ops() == 0x3ff, "the capability register names ops 0..9");
	ok(sim_exec_types() == (1ull << 0 | 1 << 1 | 1 << 2 | 1 << 6 | 1 << 8 | 1 << 12 | 1 << 14 |
				1 << 30), "and the eight weight types");
}

#define TOP (1ull << OCTANS_VA_BITS)

/* Everything that is common to tensors, for tensor number @i of a command. */
static bool tensor_checks(struct sim_mem *m, uint16_t op, unsigned int i)
{
	union command c;
	struct octans_tensor *t = (struct octans_tensor *)(void *)(c.raw + sizeof(c.cmd)) + i;
	bool good = true;
	uint64_t row;

#define TRY(change) do { \
	make_good(m, op, &c); \
	row = rig_row_bytes(t); \
	(void)row; \
	change; \
	if (!refused(m, &c)) { \
		printf("# op %u tensor %u with %s\n", op, i, #change); \
		good = false; \
	} \
} while (0)
	TRY(t->reserved = 1);
	TRY(t->reserved = 1u << 31);
	TRY(t->rows = 0);
	TRY(t->cols = 0);
	if (op != OCTANS_OP_EMBED || i != 1)	/* a table may have any number of rows */
		TRY(t->rows++);
	TRY(t->cols++);
	TRY(t->rows = UINT32_MAX);
	TRY(t->cols = UINT32_MAX);
	TRY(t->va += 1);
	TRY(t->stride += 1);
	TRY(t->type = OCTANS_TYPE_I32 + 1);
	TRY(t->type = 31);
	TRY(t->type = UINT32_MAX);
	TRY(t->va = TOP);
	TRY(t->va = TOP - row * t->rows + 4);
	TRY(t->va |= TOP);
	TRY(t->va = UINT64_MAX & ~3ull);
	TRY(memset(t, 0, sizeof(*t)); t->stride = 4);
	make_good(m, op, &c);
	if (t->rows > 1) {
		TRY(t->stride = row - 2);
		TRY(t->stride = 0);
		TRY(t->stride = TOP);
		TRY(t->stride = UINT64_MAX & ~3ull);
		TRY(t->stride = 1ull << 63);
		TRY(t->stride = (UINT64_MAX / (t->rows - 1)) & ~3ull);
	}
	if (t->type == OCTANS_TYPE_F32 || t->type == OCTANS_TYPE_I32) {
		TRY(t->va += 2);
		TRY(t->stride += 2);
		TRY(t->type = t->type == OCTANS_TYPE_F32 ? OCTANS_TYPE_I32 : OCTANS_TYPE_F32);
		TRY(t->type = OCTANS_TYPE_F16);
	} else {
		TRY(t->type = OCTANS_TYPE_I32);
	}
#undef TRY
	return good;
}

static void test_tensors(struct sim_mem *m)
{
	static const struct { uint16_t op; unsigned int tensors; const char *name; } ops[] = {
		{ OCTANS_OP_EMBED, 3, "EMBED" }, { OCTANS_OP_MATMUL, 4, "MATMUL" },
		{ OCTANS_OP_RMSNORM, 3, "RMSNORM" }, { OCTANS_OP_ROPE, 3, "ROPE" },
		{ OCTANS_OP_ATTN, 6, "ATTN" }, { OCTANS_OP_GLU, 3, "GLU" },
		{ OCTANS_OP_ELEMENTWISE, 3, "ELEMENTWISE" },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		for (unsigned int t = 0; t < ops[i].tensors; t++)
			ok(tensor_checks(m, ops[i].op, t), "%s: everything wrong with tensor %u",
			   ops[i].name, t);
}

static void set_shape(struct octans_tensor *t, uint32_t rows, uint32_t cols)
{
	t->va = 0x1000;
	t->rows = rows;
	t->cols = cols;
	t->stride = rig_row_bytes(t);
}

/* A command that is in order but for memory: it must get as far as the first access. */
static bool gets_to_memory(struct sim_mem *m, union command *c)
{
	m->fail_at = 1;
	return run_on(m, c, NULL) == OCTANS_JOB_FAULT && m->calls == 1;
}

static void test_limits(struct sim_mem *m)
{
	union command c;

	for (uint32_t over = 0; over < 2; over++) {
		uint32_t tokens = OCTANS_MAX_TOKENS + over, cols = OCTANS_MAX_COLS + over;
		uint32_t rows = OCTANS_MAX_ROWS + over;

		make_good(m, OCTANS_OP_EMBED, &c);
		set_shape(&c.embed.ids, 1, tokens);
		set_shape(&c.embed.dst, tokens, 32);
		ok(over ? refused(m, &c) : gets_to_memory(m, &c), "EMBED of %u ids", tokens);
		make_good(m, OCTANS_OP_MATMUL, &c);
		set_shape(&c.matmul.x, tokens, 256);
		set_shape(&c.matmul.dst, tokens, 5);
		ok(over ? refused(m, &c) : gets_to_memory(m, &c), "MATMUL of %u tokens", tokens);
		make_good(m, OCTANS_OP_RMSNORM, &c);
		set_shape(&c.rmsnorm.x, tokens, 8);
		set_shape(&c.rmsnorm.dst, tokens, 8);
		ok(over ? refused(m, &c) : gets_to_memory(m, &c), "RMSNORM of %u tokens", tokens);
		make_good(m, OCTANS_OP_ROPE, &c);
		set_shape(&c.rope.x, tokens, 16);
		set_shape(&c.rope.cs, tokens, 6);
		set_shape(&c.rope.dst, tokens, 16);
		ok(over ? refused(m, &c) : gets_to_memory(m, &c), "ROPE of %u tokens", tokens);
		make_good(m, OCTANS_OP_RMSNORM, &c);
		set_shape(&c.rmsnorm.x, 3, cols);
		set_shape(&c.rmsnorm.w, 1, cols);
		set_shape(&c.rmsnorm.dst, 3, cols);
		ok(over ? refused(m, &c) : gets_to_memory(m, &c), "RMSNORM of %u columns", cols);
		make_good(m, OCTANS_OP_ELEMENTWISE, &c);
		set_shape(&c.elt.a, rows, 8);
		set_shape(&c.elt.b, 1, 8);
		set_shape(&c.elt.dst, rows, 8);
		ok(over ? refused(m, &c) : gets_to_memory(m, &c), "ELEMENTWISE of %u rows", rows);
		make_good(m, OCTANS_OP_ROPE, &c);
		c.rope.heads = OCTANS_MAX_HEADS + over;
		set_shape(&c.rope.x, 3, c.rope.heads * 8);
		set_shape(&c.rope.dst, 3, c.rope.heads * 8);
		ok(over ? refused(m, &c) : gets_to_memory(m, &c), "ROPE of %u heads", c.rope.heads);
		make_good(m, OCTANS_OP_ATTN, &c);
		set_shape(&c.attn.k_cache, 1000, 8);
		set_shape(&c.attn.v_cache, 1000, 8);
		c.attn.pos = profile.max_ctx - 3 + over;
		ok(over ? refused(m, &c) : gets_to_memory(m, &c), "ATTN to position %u", c.attn.pos + 2);
	}
	/* The largest of everything: the extents must not wrap, nor the model's memory be spent on it. */
	make_good(m, OCTANS_OP_MATMUL, &c);
	set_shape(&c.matmul.x, OCTANS_MAX_TOKENS, OCTANS_MAX_COLS);
	set_shape(&c.matmul.w, OCTANS_MAX_ROWS, OCTANS_MAX_COLS);
	set_shape(&c.matmul.dst, OCTANS_MAX_TOKENS, OCTANS_MAX_ROWS);
	set_shape(&c.matmul.bias, 1, OCTANS_MAX_ROWS);
	ok(refused(m, &c), "MATMUL with dst wider than the most columns");
	set_shape(&c.matmul.w, OCTANS_MAX_COLS, OCTANS_MAX_COLS);
	set_shape(&c.matmul.dst, OCTANS_MAX_TOKENS, OCTANS_MAX_COLS);
	set_shape(&c.matmul.bias, 1, OCTANS_MAX_COLS);
	ok(gets_to_memory(m, &c), "MATMUL of the largest size gets to memory");
}

static void test_fields(struct sim_mem *m)
{
	BAD(EMBED, c.embed.cmd.flags = 1);
	BAD(EMBED, *(int32_t *)(void *)rig_at(m, c.embed.ids.va + 8) = 5; rig_mark(m));
	BAD(EMBED, *(int32_t *)(void *)rig_at(m, c.embed.ids.va + 8) = -1; rig_mark(m));
	BAD(EMBED, *(int32_t *)(void *)rig_at(m, c.embed.ids.va) = INT32_MIN; rig_mark(m));
	BAD(EMBED, c.embed.ids.rows = 3; c.embed.ids.cols = 1; c.embed.ids.stride = 4);
	BAD(EMBED, c.embed.ids.cols = 2);
	BAD(EMBED, c.embed.table.cols = 16);
	BAD(MATMUL, c.matmul.cmd.flags = 2);
	BAD(MATMUL, c.matmul.w.type = OCTANS_TYPE_Q8_0 + 1);
	BAD(MATMUL, c.matmul.x.type = OCTANS_TYPE_Q8_0);
	BAD(MATMUL, c.matmul.x.cols = c.matmul.w.cols = 128);
	BAD(MATMUL, c.matmul.bias.cols = 4);
	BAD(MATMUL, c.matmul.bias.rows = 2);
	GOOD(MATMUL, memset(&c.matmul.bias, 0, sizeof(c.matmul.bias)));
	GOOD(MATMUL, c.matmul.cmd.flags = OCTANS_MATMUL_ADD);
	GOOD(MATMUL, c.matmul.bias.stride = 0);
	GOOD(MATMUL, c.matmul.bias.stride = UINT64_MAX & ~3ull);
	BAD(RMSNORM, c.rmsnorm.cmd.flags = 1);
	BAD(RMSNORM, c.rmsnorm.eps = -1e-9f);
	BAD(RMSNORM, c.rmsnorm.eps = NAN);
	BAD(RMSNORM, c.rmsnorm.reserved[2] = 1);
	BAD(RMSNORM, c.rmsnorm.w.rows = 3);
	GOOD(RMSNORM, c.rmsnorm.eps = 0);
	BAD(ROPE, c.rope.cmd.flags = 2);
	BAD(ROPE, c.rope.reserved = 1);
	BAD(ROPE, c.rope.heads = 0);
	BAD(ROPE, c.rope.heads = 1);
	BAD(ROPE, c.rope.heads = 1u << 31; c.rope.head_dim = 2);
	BAD(ROPE, c.rope.heads = 0x80000008; c.rope.head_dim = 2);
	BAD(ROPE, c.rope.head_dim = 0);
	BAD(ROPE, c.rope.rot = 0; c.rope.cs.cols = 0);
	BAD(ROPE, c.rope.rot = 5; c.rope.cs.cols = 5);
	BAD(ROPE, c.rope.rot = 10; c.rope.cs.cols = 10);
	BAD(ROPE, c.rope.rot = 4);
	BAD(ROPE, c.rope.rot = UINT32_MAX - 1);
	BAD(ATTN, c.attn.cmd.flags = 1);
	BAD(ATTN, c.attn.reserved[0] = 1);
	BAD(ATTN, c.attn.heads = 0);
	BAD(ATTN, c.attn.kv_heads = 0);
	BAD(ATTN, c.attn.kv_heads = 3);
	BAD(ATTN, c.attn.heads = 2);
	BAD(ATTN, c.attn.head_dim = 0);
	BAD(ATTN, c.attn.head_dim = 8);
	BAD(ATTN, c.attn.heads = 1u << 31);
	BAD(ATTN, c.attn.pos = 8);
	BAD(ATTN, c.attn.pos = UINT32_MAX);
	BAD(ATTN, c.attn.pos = UINT32_MAX - 2);
	BAD(ATTN, c.attn.k_cache.rows = 9);
	BAD(ATTN, c.attn.v_cache.rows = 11);
	GOOD(ATTN, c.attn.pos = 0);
	GOOD(ATTN, c.attn.scale = NAN);
	BAD(GLU, c.glu.cmd.flags = 1);
	BAD(ELEMENTWISE, c.elt.cmd.flags = 3);
	BAD(ELEMENTWISE, c.elt.imm = 1);
	BAD(ELEMENTWISE, c.elt.imm = -0.0f);
	BAD(ELEMENTWISE, c.elt.reserved[1] = 1);
	BAD(ELEMENTWISE, c.elt.cmd.flags = OCTANS_ELT_SCALE);
	BAD(ELEMENTWISE, memset(&c.elt.b, 0, sizeof(c.elt.b)));
	BAD(ELEMENTWISE, c.elt.b.rows = 2);
	GOOD(ELEMENTWISE, c.elt.b.rows = 1);
	BAD(COPY, c.copy.cmd.flags = 1);
	BAD(COPY, c.copy.reserved = 1);
	BAD(COPY, c.copy.size = 0);
	BAD(COPY, c.copy.size = (1ull << 40) + 1; c.copy.src = 0; c.copy.dst = 1ull << 41);
	BAD(COPY, c.copy.size = UINT64_MAX);
	BAD(COPY, c.copy.dst = c.copy.src);
	BAD(COPY, c.copy.dst = c.copy.src + c.copy.size - 1);
	BAD(COPY, c.copy.src = c.copy.dst + c.copy.size - 1);
	GOOD(COPY, c.copy.dst = c.copy.src + c.copy.size);
	GOOD(COPY, c.copy.src = c.copy.dst + c.copy.size);
	BAD(COPY, c.copy.src = TOP);
	BAD(COPY, c.copy.dst = TOP - c.copy.size + 1);
	BAD(COPY, c.copy.dst = UINT64_MAX);
	BAD(TIMESTAMP, c.stamp.cmd.flags = 1);
	BAD(TIMESTAMP, c.stamp.va += 4);
	BAD(TIMESTAMP, c.stamp.reserved = 1);
	BAD(TIMESTAMP, c.stamp.va = TOP - 8);
	BAD(TIMESTAMP, c.stamp.va = TOP);
}

/* However long a command is, the MMU gets its turn. */
static void test_yields(struct sim_mem *m)
{
	union command c;
	unsigned long few;

	make_good(m, OCTANS_OP_MATMUL, &c);
	run_on(m, &c, NULL);
	few = m->yields;
	make_good(m, OCTANS_OP_MATMUL, &c);
	yield_macs = 200;
	run_on(m, &c, NULL);
	ok(m->yields >= few + 15, "MATMUL yields within a row of w: %lu times", m->yields);
	make_good(m, OCTANS_OP_ATTN, &c);
	run_on(m, &c, NULL);
	ok(m->yields >= 27, "ATTN yields between positions: %lu times", m->yields);
	yield_macs = 400000;
}

static void test_copy_and_stamp(struct sim_mem *m)
{
	uint64_t stamp[2];
	union command c;

	make_good(m, OCTANS_OP_COPY, &c);
	for (uint64_t i = 0; i < c.copy.size; i++)
		*rig_at(m, c.copy.src + i) = (uint8_t)(i * 7 + i / 251);
	rig_mark(m);
	memcpy(m->before + (c.copy.dst - RIG_BASE), rig_at(m, c.copy.src), c.copy.size);
	ok(run_on(m, &c, NULL) == OCTANS_JOB_OK && rig_clean(m), "COPY of an odd length to an odd place");
	ok(m->yields >= c.copy.size / 65536, "and it yields every 64 KiB");
	make_good(m, OCTANS_OP_TIMESTAMP, &c);
	ok(run_on(m, &c, NULL) == OCTANS_JOB_OK, "TIMESTAMP");
	memcpy(stamp, rig_at(m, c.stamp.va), sizeof(stamp));
	ok(stamp[0] == 12345 && stamp[1] == 67890, "cycles, then nanoseconds");
}

/* ---- cycles ---- */

static void expect_cycles(struct sim_mem *m, const union command *c, const char *what, uint64_t macs_int8,
			  uint64_t macs_f32, uint64_t read, uint64_t written)
{
	uint64_t memory = (read + profile.local_bpc - 1) / profile.local_bpc +
			  (written + profile.pcie_bpc - 1) / profile.pcie_bpc;
	uint64_t compute = (macs_int8 + profile.macs_int8 - 1) / profile.macs_int8 +
			   (macs_f32 + profile.macs_f32 - 1) / profile.macs_f32;
	uint64_t want = 64 + (memory > compute ? memory : compute), cycles = 0;
	int status = run_on(m, c, &cycles);

	ok(!status && cycles == want, "%s takes %llu cycles (%llu expected; status %d)", what,
	   (unsigned long long)cycles, (unsigned long long)want, status);
	ok(m->traffic.local == read && m->traffic.pcie == written, "%s reads %llu bytes, writes %llu",
	   what, (unsigned long long)m->traffic.local, (unsigned long long)m->traffic.pcie);
}

/* In the rig, reads count as on-card memory and writes as host memory. */
static void test_cycles(struct sim_mem *m)
{
	union command c;

	make_good(m, OCTANS_OP_NOP, &c);
	expect_cycles(m, &c, "NOP", 0, 0, 0, 0);
	make_good(m, OCTANS_OP_COPY, &c);
	expect_cycles(m, &c, "COPY", 0, 0, c.copy.size, c.copy.size);
	make_good(m, OCTANS_OP_TIMESTAMP, &c);
	expect_cycles(m, &c, "TIMESTAMP", 0, 0, 0, 16);
	make_good(m, OCTANS_OP_EMBED, &c);
	expect_cycles(m, &c, "EMBED", 0, 3 * 32, 12 + 3 * 34, 3 * 32 * 4);
	make_good(m, OCTANS_OP_MATMUL, &c);
	expect_cycles(m, &c, "MATMUL of Q4_K", 3 * 5 * 256, 0, 3 * 1024 + 5 * 144 + 20, 60);
	make_good(m, OCTANS_OP_MATMUL, &c);
	c.cmd.flags = OCTANS_MATMUL_ADD;
	c.matmul.w.type = OCTANS_TYPE_F16;
	c.matmul.w.stride = 512;
	expect_cycles(m, &c, "MATMUL of F16 with ADD", 0, 3 * 5 * 256, 3 * 1024 + 5 * 512 + 20 + 60, 60);
	make_good(m, OCTANS_OP_MATMUL, &c);
	keeps = 2 * 4 * (256 + 5);
	expect_cycles(m, &c, "MATMUL in passes of two rows", 3 * 5 * 256, 0,
		      3 * 1024 + 2 * 5 * 144 + 20, 60);
	keeps = 64 << 20;
	make_good(m, OCTANS_OP_RMSNORM, &c);
	expect_cycles(m, &c, "RMSNORM", 0, 2 * 24, 32 + 96, 96);
	make_good(m, OCTANS_OP_ROPE, &c);
	expect_cycles(m, &c, "ROPE", 0, 2 * 48, 192 + 72, 192);
	make_good(m, OCTANS_OP_ATTN, &c);
	/* Rows attend to 8, 9 and 10 positions; each reads every k and v of its key/value heads once. */
	expect_cycles(m, &c, "ATTN", 0, 4 * (2 * 4 + 8) * 27, 2 * 96 + 192 + 2 * 27 * 32, 2 * 96 + 192);
	make_good(m, OCTANS_OP_GLU, &c);
	expect_cycles(m, &c, "GLU", 0, 24 * 10, 192, 96);
	make_good(m, OCTANS_OP_ELEMENTWISE, &c);
	expect_cycles(m, &c, "ELEMENTWISE", 0, 24, 192, 96);
	make_good(m, OCTANS_OP_ELEMENTWISE, &c);
	c.elt.b.rows = 1;
	expect_cycles(m, &c, "ELEMENTWISE of a row", 0, 24, 96 + 32, 96);
}

/* ---- anything at all ---- */

static uint64_t random64(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#ifndef NOISE
#define NOISE 4000
#endif
/* Commands that are in order but for a few fields: any outcome, no harm. */
static void test_noise(struct sim_mem *m)
{
	static const uint32_t odd[] = { 0, 1, 2, 3, 4, 7, 8, 32, 255, 256, 1024, 65536, 1u << 20, 1u << 24,
					1u << 31, UINT32_MAX };
	unsigned int count[4] = { 0 }, other = 0;
	uint64_t state = 88172645463325252ull;

	for (int n = 0; n < NOISE; n++) {
		union command c;
		uint32_t words;
		int status;

		make_good(m, random64(&state) % (OCTANS_OP_TIMESTAMP + 1), &c);
		words = c.cmd.size / 4;
		for (int changes = 1 + random64(&state) % 3; changes; changes--) {
			uint32_t at = words > 4 ? 4 + random64(&state) % (words - 4) : 0;
			uint32_t v = odd[random64(&state) % (sizeof(odd) / sizeof(odd[0]))];

			memcpy(c.raw + at * 4, &v, sizeof(v));
		}
		status = run_on(m, &c, NULL);
		if (status == OCTANS_JOB_OK || status == OCTANS_JOB_BAD_CMD || status == OCTANS_JOB_FAULT)
			count[status]++;
		else
			other++;
	}
	ok(!other && count[OCTANS_JOB_BAD_CMD] && count[OCTANS_JOB_FAULT],
	   "%d commands with odd fields: %u ran, %u refused, %u faulted, %u something else", NOISE,
	   count[OCTANS_JOB_OK], count[OCTANS_JOB_BAD_CMD], count[OCTANS_JOB_FAULT], other);
}

int main(void)
{
	static const struct { uint32_t type; const char *name; } types[] = {
		{ OCTANS_TYPE_F32, "F32" }, { OCTANS_TYPE_F16, "F16" }, { OCTANS_TYPE_BF16, "BF16" },
		{ OCTANS_TYPE_Q4_0, "Q4_0" }, { OCTANS_TYPE_Q5_0, "Q5_0" }, { OCTANS_TYPE_Q8_0, "Q8_0" },
		{ OCTANS_TYPE_Q4_K, "Q4_K" }, { OCTANS_TYPE_Q6_K, "Q6_K" },
	};
	static const struct { uint32_t op; const char *name; } ops[] = {
		{ OCTANS_OP_RMSNORM, "RMSNORM" }, { OCTANS_OP_ROPE, "ROPE" }, { OCTANS_OP_ATTN, "ATTN" },
		{ OCTANS_OP_GLU, "GLU" }, { OCTANS_OP_ELEMENTWISE, "ELEMENTWISE" },
		{ OCTANS_OP_EMBED, "EMBED" }, { OCTANS_OP_MATMUL, "MATMUL" },
	};
	struct sim_mem m;
	char name[32];

	if (rig_open(&m))
		return 1;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		snprintf(name, sizeof(name), "EMBED of %s", types[i].name);
		test_golden(&m, OCTANS_OP_EMBED, types[i].type, name);
		snprintf(name, sizeof(name), "MATMUL of %s", types[i].name);
		test_golden(&m, OCTANS_OP_MATMUL, types[i].type, name);
	}
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (i < 5)
			test_golden(&m, ops[i].op, 0, ops[i].name);
		test_refusals(&m, ops[i].op, ops[i].name);
	}
	test_headers(&m);
	test_tensors(&m);
	test_limits(&m);
	test_fields(&m);
	test_yields(&m);
	test_copy_and_stamp(&m);
	test_cycles(&m);
	test_noise(&m);
	rig_close(&m);
	return done();
}
