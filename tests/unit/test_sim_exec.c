// SPDX-License-Identifier: MIT
/*
 * The operations of the processor model: every golden vector, memory that refuses at any moment,
 * what commands say that they cost, and that none works for long without yielding, however it is
 * shaped.
 */
#include "command.h"
#include "exec_rig.h"
#include "golden.h"
#include "tap.h"

#include "exec.c"
#include "op_attend.c"
#include "op_conv.c"
#include "op_map.c"
#include "op_matmul.c"
#include "op_misc.c"
#include "op_move.c"
#include "op_rope.c"
#include "op_row.c"
#include "op_scan.c"
#include "op_topk.c"

static const char *const names[OCTANS_OP_COUNT] = {
	"NOP",	"MOVE", "MATMUL", "ROW",  "MAP",      "ROPE",	"ATTEND",
	"TOPK", "CONV", "SCAN",	  "COPY", "PREFETCH", "SIGNAL", "WAIT",
};

static const struct sim_profile profile = {
	.name = "test", .sram_size = 64 << 20, .max_ctx = 131072};
static struct sim_pool *three;

/* What the last command said about itself. */
static struct sim_exec said;

static int run_with(struct sim_mem *m, const union command *c, struct sim_exec ex)
{
	int status;

	ex.profile = ex.profile ? ex.profile : &profile;
	ex.time_ns = 67890;
	status = sim_exec(m, c, c->cmd.size, &ex);
	said = ex;
	sim_exec_free(ex.left);
	return status;
}

static int run_on(struct sim_mem *m, const union command *c)
{
	return run_with(m, c, (struct sim_exec) { 0 });
}

/* ---- golden vectors ---- */

static const struct variant {
	const char *name;
	enum rig_mode mode;
	uint64_t budget;
	bool threads;
} variants[] = {
	{ "in views", RIG_VIEW, RIG_BUDGET, false },
	{ "scattered, with three threads", RIG_SCRATCH, RIG_BUDGET, true },
	{ "yielding whenever it can", RIG_VIEW, 0, true },
};

static void golden_load(struct sim_mem *m, const struct golden *g, const struct variant *v,
			union command *c)
{
	memset(m->bytes, RIG_FILL, RIG_SIZE);
	memcpy(m->bytes, golden_image(g), g->image_bytes);
	rig_rewind(m);
	m->mode = v->mode;
	m->budget = v->budget;
	golden_command(g, RIG_BASE, c);
}

static int golden_run(struct sim_mem *m, const struct golden *g, const union command *c,
		      struct sim_exec ex)
{
	int status;

	ex.params = golden_params(g);
	ex.n_params = g->params;
	ex.profile = &profile;
	said = ex;
	status = sim_exec(m, c, g->command_bytes, &said);
	sim_exec_free(said.left);
	return status;
}

static void test_golden(struct sim_mem *m, uint32_t op, const struct variant *v)
{
	unsigned int good = 0, all = 0;

	for (const struct golden *g = golden_first(); g; g = golden_next(g)) {
		union command c;
		long at;
		int status;

		if (g->op >= GOLDEN_FUNCTION ||
		    (g->op < OCTANS_OP_COUNT ? g->op : OCTANS_OP_NOP) != op)
			continue;
		all++;
		golden_load(m, g, v, &c);
		status = golden_run(m, g, &c, (struct sim_exec){.pool = v->threads ? three : NULL});
		at = golden_differs(g, m->bytes);
		if (status != (int)g->status || at >= 0)
			printf("# %s: status %d (%u expected), byte %ld differs\n", g->name, status,
			       g->status, at);
		else if (rig_strays(m))
			printf("# %s: touches what it does not announce\n", g->name);
		else if (said.skipped && m->calls)
			printf("# %s: skipped, but not untouched\n", g->name);
		else
			good++;
	}
	ok(all && good == all, "%s, %s: %u of %u golden vectors", names[op], v->name, good, all);
}

/* Functions and rounding, where they are not part of a command. */
static void test_functions(void)
{
	unsigned int good = 0, all = 0;

	for (const struct golden *g = golden_first(); g; g = golden_next(g)) {
		const float *x = (const float *)(const void *)golden_image(g);
		uint32_t n = g->op >= GOLDEN_FUNCTION ? golden_params(g)[0] : 0, offset, bytes;
		float *y = malloc(n * 4 + 64), *d = malloc(n * 4 + 64), *xs = malloc(n * 4 + 64);
		int16_t *q = malloc(n * 2 + 64);
		int8_t *q8 = malloc(n + 64);
		bool same = false, known = true;

		if (!y || !d || !xs || !q || !q8)
			abort();
		switch (g->op) {
		case GOLDEN_EXP:
			sim_map(y, x, OCTANS_MAP_EXP, false, (float[4]) { 0 }, n);
			break;
		case GOLDEN_TANH:
			sim_map(y, x, OCTANS_MAP_TANH, false, (float[4]) { 0 }, n);
			break;
		case GOLDEN_F16:
			sim_pack((uint8_t *)y, x, OCTANS_TYPE_F16, n);
			break;
		case GOLDEN_BF16:
			sim_pack((uint8_t *)y, x, OCTANS_TYPE_BF16, n);
			break;
		case GOLDEN_QUANTIZE:
			sim_quantize(&(struct sim_quant) { d, xs, q }, x, n);
			sim_canonical(d, n / 32);
			sim_canonical(xs, n / 32);
			for (uint32_t i = 0; i < n; i++)
				q8[i] = (int8_t)q[i];
			same = !memcmp(d, golden_output(g, 0, &offset, &bytes), n / 8) &&
			       !memcmp(xs, golden_output(g, 1, &offset, &bytes), n / 8) &&
			       !memcmp(q8, golden_output(g, 2, &offset, &bytes), n);
			break;
		default:
			known = false; /* those that only other functions use, and commands */
		}
		if (known && g->op != GOLDEN_QUANTIZE) {
			const void *want = golden_output(g, 0, &offset, &bytes);

			if (g->op == GOLDEN_EXP || g->op == GOLDEN_TANH)
				sim_canonical(y, n);
			same = !memcmp(y, want, bytes);
		}
		all += known;
		good += known && same;
		if (known && !same)
			printf("# %s\n", g->name);
		free(y);
		free(d);
		free(xs);
		free(q);
		free(q8);
	}
	ok(all && good == all, "%u of %u vectors of functions", good, all);
}

/* Only what is an output of the case changed. */
static bool golden_clean(const struct golden *g, const struct sim_mem *m)
{
	uint32_t i = 0, offset, bytes;

	for (uint32_t n = 0; n < g->outputs; n++) {
		golden_output(g, n, &offset, &bytes);
		if (memcmp(m->bytes + i, golden_image(g) + i, offset - i))
			return false;
		i = offset + bytes;
	}
	return !memcmp(m->bytes + i, golden_image(g) + i, g->image_bytes - i);
}

/* The memory refuses any one access or yield: FAULT, no access after it, nothing else touched. */
static void test_refusals(struct sim_mem *m, uint32_t op)
{
	unsigned int good = 0, all = 0, cases = 0;

	for (const struct golden *g = golden_first(); g && cases < 60; g = golden_next(g)) {
		union command c;
		unsigned long calls;

		if (g->op != op || g->status || g->image_bytes > 100000)
			continue;
		golden_load(m, g, &variants[cases % 3], &c);
		golden_run(m, g, &c, (struct sim_exec) { 0 });
		calls = m->calls;
		for (unsigned long n = 1; n <= calls; n += 1 + calls / 40) {
			int status;

			golden_load(m, g, &variants[cases % 3], &c);
			m->fail_at = n;
			status = golden_run(m, g, &c, (struct sim_exec) { 0 });
			all++;
			good += status == OCTANS_JOB_FAULT && m->calls == n && golden_clean(g, m);
		}
		cases++;
	}
	ok(good == all && (all || op == OCTANS_OP_NOP),
	   "%s: %u of %u refused accesses end it at once", names[op], good, all);
}

/* Data is not touched, but for what later commands are controlled by; the cost is the same. */
static void test_timing(struct sim_mem *m, uint32_t op)
{
	unsigned int good = 0, all = 0;

	for (const struct golden *g = golden_first(); g; g = golden_next(g)) {
		struct rig_operand operands[RIG_OPERANDS];
		struct sim_exec before;
		union command c;
		bool acts;
		int status;

		if (g->op != op || g->status)
			continue;
		golden_load(m, g, &variants[0], &c);
		acts = op == OCTANS_OP_SIGNAL || op == OCTANS_OP_TOPK ||
		       (op == OCTANS_OP_MOVE && c.move.dst.type == OCTANS_TYPE_I32);
		golden_run(m, g, &c, (struct sim_exec) { 0 });
		memcpy(operands, m->operands, sizeof(operands));
		before = said;
		golden_load(m, g, &variants[0], &c);
		status = golden_run(m, g, &c, (struct sim_exec) { .timing_only = true });
		all++;
		if (status || (!acts && m->writes) ||
		    (!acts && memcmp(m->bytes, golden_image(g), g->image_bytes)))
			printf("# %s: status %d, %lu writes\n", g->name, status, m->writes);
		else if (memcmp(operands, m->operands, sizeof(operands[0]) * m->operands_used) ||
			 said.macs_int8 != before.macs_int8 || said.macs_f16 != before.macs_f16 ||
			 said.macs_f32 != before.macs_f32 || said.dma != before.dma)
			printf("# %s: another cost\n", g->name);
		else
			good++;
	}
	ok(all && good == all, "%s: %u of %u cost the same with timing alone", names[op], good,
	   all);
}

/* ---- cost ---- */

static struct octans_tensor f32_tensor(struct sim_mem *m, uint32_t rows, uint32_t cols)
{
	return rig_place(m, rows, cols, OCTANS_TYPE_F32, NULL, 4);
}

static struct octans_tensor i32_tensor(struct sim_mem *m, uint32_t rows, uint32_t cols,
				       const int32_t *values)
{
	return rig_place(m, rows, cols, OCTANS_TYPE_I32, values, 0);
}

/* Empties the memory and the command. */
static void begin(struct sim_mem *m, union command *c, uint16_t op, uint16_t flags, uint32_t size)
{
	rig_clear(m);
	memset(m->bytes, 0, RIG_SIZE);
	memset(c, 0, sizeof(*c));
	m->mode = RIG_VIEW;
	c->cmd.op = op;
	c->cmd.flags = flags;
	c->cmd.size = size;
}

struct cost {
	bool write;
	uint64_t bytes;
};

static void expect_cost(struct sim_mem *m, const union command *c, const struct sim_profile *p,
			const char *what, const struct cost *want, unsigned int n, uint64_t int8,
			uint64_t f16, uint64_t f32)
{
	int status = run_with(m, c, (struct sim_exec) { .profile = p });
	bool good = !status && m->operands_used == n && !rig_strays(m);

	for (unsigned int i = 0; i < n && good; i++)
		good = m->operands[i].write == want[i].write &&
		       m->operands[i].bytes == want[i].bytes;
	ok(good, "%s moves the bytes of profiles.rst", what);
	for (unsigned int i = 0; i < m->operands_used && !good; i++)
		printf("# status %d operand %u: write %d, %llu bytes\n", status, i,
		       m->operands[i].write, (unsigned long long)m->operands[i].bytes);
	ok(said.macs_int8 == int8 && said.macs_f16 == f16 && said.macs_f32 == f32,
	   "%s: %llu, %llu and %llu multiply-adds", what, (unsigned long long)said.macs_int8,
	   (unsigned long long)said.macs_f16, (unsigned long long)said.macs_f32);
}

#define EXPECT(p, what, int8, f16, f32, ...) do { \
	const struct cost want[] = { __VA_ARGS__ }; \
	expect_cost(&m_, &c, p, what, want, sizeof(want) / sizeof(want[0]), int8, f16, f32); \
} while (0)
#define R(bytes) { false, bytes }
#define W(bytes) { true, bytes }

static void test_cost(struct sim_mem *m)
{
#define m_ (*m)
	/* Room for two rows of 256 columns, and for one row of attention. */
	static const struct sim_profile small = {.name = "small", .sram_size = 2048, .max_ctx = 64};
	static const int32_t ids[] = {2, -1, 0}, sel[] = {1, -1, 1, 0, 1, 1},
			     slots[] = {-1, 1, 1, 1};
	static const int32_t ranges[] = {0, 5, 2, 6, 3, 3}, pages[] = {3, 1}, pos[] = {4, 4, 0};
	static const int32_t list[] = { 7, -1, 0, 7, 1, -1, -1, -1 };
	union command c;

	begin(m, &c, OCTANS_OP_MOVE, OCTANS_MOVE_ADD, sizeof(c.move));
	c.move.dst = f32_tensor(m, 4, 32);
	c.move.src = rig_place(m, 3, 32, OCTANS_TYPE_Q8_0, NULL, 0);
	c.move.dst_ids = i32_tensor(m, 3, 1, ids);
	EXPECT(&profile, "MOVE with ADD", 0, 0, 64, R(12), R(2 * 34), R(256), W(256));

	begin(m, &c, OCTANS_OP_MATMUL, 0, sizeof(c.matmul));
	c.matmul.dst = f32_tensor(m, 5, 7);
	c.matmul.x = f32_tensor(m, 5, 256);
	c.matmul.w = rig_place(m, 7, 256, OCTANS_TYPE_Q4_K, NULL, 0);
	c.matmul.planes = 1;
	EXPECT(&small, "MATMUL in three passes", 5 * 7 * 256, 0, 8 * 5 * 256, R(5 * 1024),
	       R(3 * 7 * 144), W(5 * 28));

	begin(m, &c, OCTANS_OP_MATMUL, OCTANS_MATMUL_ADD | OCTANS_MATMUL_X16, sizeof(c.matmul));
	c.matmul.dst = f32_tensor(m, 6, 7);
	c.matmul.x = f32_tensor(m, 3, 256);
	c.matmul.w = rig_place(m, 3 * 7, 256, OCTANS_TYPE_F16, NULL, 0);
	c.matmul.w.rows = 7;
	c.matmul.plane_stride = 7 * 512;
	c.matmul.planes = 3;
	c.matmul.bias = f32_tensor(m, 3, 7);
	c.matmul.sel = i32_tensor(m, 3, 2, sel);
	EXPECT(&small, "MATMUL of experts", 0, 5 * 7 * 256, 3 * 256, R(24), R(3 * 1024), R(2 * 28),
	       R((1 + 2) * 7 * 512), R(5 * 28), W(5 * 28));
	ok(m->operands[3].hull_size == 3 * 7 * 512, "the hull of w is that of all planes");

	begin(m, &c, OCTANS_OP_ROW, OCTANS_ROW_SOFTMAX, sizeof(c.row));
	c.row.dst = f32_tensor(m, 3, 8);
	c.row.x = f32_tensor(m, 3, 8);
	c.row.groups = 2;
	EXPECT(&profile, "ROW", 0, 0, 240, R(96), W(96));

	begin(m, &c, OCTANS_OP_MAP, OCTANS_MAP(OCTANS_MAP_SILU, OCTANS_MAP_MUL), sizeof(c.map));
	c.map.dst = f32_tensor(m, 3, 8);
	c.map.a = f32_tensor(m, 3, 8);
	c.map.b = f32_tensor(m, 1, 8);
	EXPECT(&profile, "MAP", 0, 0, 240, R(96), R(32), W(96));

	begin(m, &c, OCTANS_OP_ROPE, 0, sizeof(c.rope));
	c.rope.dst = f32_tensor(m, 3, 16);
	c.rope.x = f32_tensor(m, 3, 16);
	c.rope.cs = f32_tensor(m, 5, 6);
	c.rope.pos = i32_tensor(m, 3, 1, pos);
	c.rope.heads = 2;
	c.rope.head_dim = 8;
	c.rope.rot = 6;
	EXPECT(&profile, "ROPE", 0, 0, 96, R(12), R(192), R(72), W(192));

	begin(m, &c, OCTANS_OP_ATTEND, 0, sizeof(c.attend));
	c.attend.dst = f32_tensor(m, 3, 4 * 8);
	c.attend.q = f32_tensor(m, 3, 4 * 32);
	c.attend.k = rig_place(m, 16, 2 * 32, OCTANS_TYPE_Q8_0, NULL, 0);
	c.attend.v = f32_tensor(m, 16, 2 * 8);
	c.attend.pages = i32_tensor(m, 1, 2, pages);
	c.attend.range = i32_tensor(m, 3, 2, ranges);
	c.attend.heads = 4;
	c.attend.kv_heads = 2;
	c.attend.dk = 32;
	c.attend.dv = 8;
	c.attend.page_log2 = 2;
	EXPECT(&profile, "ATTEND of a tile", 0, 9 * 4 * 32, 9 * 4 * (8 + 8), R(16), R(24),
	       R(3 * 512), R(6 * 68), R(6 * 64), W(3 * 128));
	rig_rewind(m);
	/* A tile is 1024 / (4 * 2 * 5) rows at most; make it one. */
	EXPECT(&((struct sim_profile){.sram_size = 80, .max_ctx = 64}), "ATTEND row by row", 0,
	       9 * 4 * 32, 9 * 4 * (8 + 8), R(16), R(24), R(3 * 512), R(9 * 68), R(9 * 64),
	       W(3 * 128));
	rig_rewind(m);
	c.cmd.flags = OCTANS_ATTEND_LIST;
	c.attend.cap = 1;
	c.attend.q.rows = c.attend.dst.rows = 2;
	c.attend.range = i32_tensor(m, 2, 4, list);
	EXPECT(&profile, "ATTEND to a list", 0, 4 * 4 * 32, 4 * 4 * (8 + 18), R(12), R(32),
	       R(2 * 512), R(4 * 68), R(4 * 64), W(2 * 128));

	begin(m, &c, OCTANS_OP_TOPK, 0, sizeof(c.topk));
	c.topk.x = f32_tensor(m, 3, 8);
	c.topk.ids = i32_tensor(m, 3, 2, NULL);
	c.topk.k = 2;
	c.topk.groups = c.topk.groups_used = 1;
	c.topk.scale = 1;
	EXPECT(&profile, "TOPK", 0, 0, 48, R(96), W(24));

	begin(m, &c, OCTANS_OP_CONV, 0, sizeof(c.conv));
	c.conv.dst = f32_tensor(m, 2, 8);
	c.conv.x = f32_tensor(m, 2, 8);
	c.conv.w = f32_tensor(m, 8, 4);
	c.conv.state = f32_tensor(m, 2, 24);
	c.conv.slot = i32_tensor(m, 2, 2, slots);
	EXPECT(&profile, "CONV", 0, 0, 64, R(64), R(128), R(16), R(0), W(96), W(64));

	begin(m, &c, OCTANS_OP_SCAN, OCTANS_SCAN_DELTA, sizeof(c.scan));
	c.scan.dst = f32_tensor(m, 2, 6);
	c.scan.v = f32_tensor(m, 2, 6);
	c.scan.k = f32_tensor(m, 2, 4);
	c.scan.q = f32_tensor(m, 2, 4);
	c.scan.g = f32_tensor(m, 2, 2);
	c.scan.beta = f32_tensor(m, 2, 2);
	c.scan.state = f32_tensor(m, 2, 24);
	c.scan.slot = i32_tensor(m, 2, 2, slots);
	c.scan.heads = 2;
	c.scan.groups = 1;
	c.scan.dk = 4;
	c.scan.dv = 3;
	EXPECT(&profile, "SCAN", 0, 0, 2 * 24 * 4, R(48), R(32), R(32), R(16), R(16), R(16), R(0),
	       W(96), W(48));

	begin(m, &c, OCTANS_OP_COPY, 0, sizeof(c.copy));
	c.copy.src = RIG_BASE + 3;
	c.copy.dst = RIG_BASE + 0x40001;
	c.copy.size = 0x20005;
	EXPECT(&profile, "COPY", 0, 0, 0, R(0x20005), W(0x20005));
	ok(said.dma == 0x20005, "and they pass the DMA engine");
	begin(m, &c, OCTANS_OP_SIGNAL, OCTANS_SIGNAL_COUNTERS, sizeof(c.signal));
	c.signal.va = RIG_BASE + 8;
	EXPECT(&profile, "SIGNAL of the counters", 0, 0, 0, W(128));
	ok(((uint64_t *)(void *)m->bytes)[1 + 15] == 1015, "they are stored");
#undef m_
}

/* ---- time ---- */

static void set_tensor(struct octans_tensor *t, uint32_t rows, uint32_t cols, uint32_t type)
{
	*t = (struct octans_tensor) { .va = 0x1000, .rows = rows, .cols = cols, .type = type };
	t->stride = rig_row_bytes(t);
	if (t->stride < 4096)
		t->stride = 4096;	/* each row on a page of its own */
}

/* Neither memory nor the others may notice how a command is shaped. */
static void expect_short(struct sim_mem *m, const union command *c, const char *what,
			 uint64_t pattern)
{
	bool good = true;
	uint64_t longest = 0, cpu = 0;
	unsigned long calls = 0, yields = 0;

	for (int timing = 0; timing < 2; timing++) {
		int status;

		rig_rewind(m);
		m->mode = RIG_ENDLESS;
		m->pattern = pattern;
		m->stop_after = timing ? 20 : 200;
		status = run_with(
			m, c,
			(struct sim_exec){.timing_only = timing, .pool = timing ? NULL : three});
		good &= status == OCTANS_JOB_OK || status == OCTANS_JOB_FAULT;
		longest = m->longest > longest ? m->longest : longest;
		calls = m->most_calls > calls ? m->most_calls : calls;
		cpu = m->cpu_longest > cpu ? m->cpu_longest : cpu;
		yields += m->yields;
	}
	ok(good && yields && longest <= 1500000 && calls <= 6000,
	   "%s: at most %llu us of work and %lu accesses between two yields", what,
	   (unsigned long long)longest / 1000, calls);
	printf("# %llu us of processor time, %lu yields\n", (unsigned long long)cpu / 1000, yields);
}

static void test_time(struct sim_mem *m)
{
	union command c;

	begin(m, &c, OCTANS_OP_ATTEND, 0, sizeof(c.attend));
	/* 1024 heads of one element, each key on a page of its own: A1 of the review. */
	set_tensor(&c.attend.dst, 65536, 1024, OCTANS_TYPE_F32);
	set_tensor(&c.attend.q, 65536, 1024, OCTANS_TYPE_F32);
	set_tensor(&c.attend.k, 1 << 20, 1024, OCTANS_TYPE_F32);
	set_tensor(&c.attend.v, 1 << 20, 1024, OCTANS_TYPE_F32);
	set_tensor(&c.attend.range, 65536, 2, OCTANS_TYPE_I32);
	c.attend.heads = c.attend.kv_heads = 1024;
	c.attend.dk = c.attend.dv = 1;
	expect_short(m, &c, "ATTEND with 1024 heads of one element, 7990 positions", 7990ull << 32);
	expect_short(m, &c, "the same with 131072 positions", 131072ull << 32);
	c.attend.dk = c.attend.dv = 1024;
	set_tensor(&c.attend.dst, 65536, 1 << 20, OCTANS_TYPE_F32);
	set_tensor(&c.attend.q, 65536, 1 << 20, OCTANS_TYPE_F32);
	set_tensor(&c.attend.k, 1 << 20, 1 << 20, OCTANS_TYPE_F32);
	set_tensor(&c.attend.v, 1 << 20, 1 << 20, OCTANS_TYPE_F32);
	expect_short(m, &c, "ATTEND with 1024 heads of 1024 elements", 131072ull << 32);
	c.cmd.flags = OCTANS_ATTEND_LIST;
	set_tensor(&c.attend.range, 65536, 131072, OCTANS_TYPE_I32);
	set_tensor(&c.attend.pages, 1, 1 << 20, OCTANS_TYPE_I32);
	expect_short(m, &c, "ATTEND to lists", 0x0000000100000002ull);

	begin(m, &c, OCTANS_OP_MATMUL, OCTANS_MATMUL_ADD, sizeof(c.matmul));
	c.matmul.planes = 1;
	set_tensor(&c.matmul.dst, 65536, 1 << 20, OCTANS_TYPE_F32);
	set_tensor(&c.matmul.x, 65536, 1 << 20, OCTANS_TYPE_F32);
	set_tensor(&c.matmul.w, 1 << 20, 1 << 20, OCTANS_TYPE_Q6_K);
	expect_short(m, &c, "MATMUL of the largest size", 0x3f8000003f800000ull);
	set_tensor(&c.matmul.w, 1 << 20, 1 << 20, OCTANS_TYPE_F32);
	expect_short(m, &c, "MATMUL of the largest size in F32", 0x3f8000003f800000ull);
	set_tensor(&c.matmul.x, 65536, 1, OCTANS_TYPE_F32);
	set_tensor(&c.matmul.w, 1 << 20, 1, OCTANS_TYPE_F32);
	expect_short(m, &c, "MATMUL of one column", 0x3f8000003f800000ull);
	set_tensor(&c.matmul.x, 256, 32, OCTANS_TYPE_F32);
	set_tensor(&c.matmul.w, 1, 32, OCTANS_TYPE_Q4_0);
	set_tensor(&c.matmul.dst, 1 << 24, 1, OCTANS_TYPE_F32);
	set_tensor(&c.matmul.sel, 256, 65536, OCTANS_TYPE_I32);
	c.matmul.planes = 65536;
	c.matmul.plane_stride = 4096;
	expect_short(m, &c, "MATMUL of 65536 planes", 0x0000123400000000ull);

	begin(m, &c, OCTANS_OP_MOVE, 0, sizeof(c.move));
	set_tensor(&c.move.dst, 1 << 24, 1, OCTANS_TYPE_F32);
	set_tensor(&c.move.src, 1 << 24, 1, OCTANS_TYPE_F16);
	set_tensor(&c.move.dst_ids, 1 << 24, 1, OCTANS_TYPE_I32);
	set_tensor(&c.move.scale, 1 << 24, 1, OCTANS_TYPE_F32);
	expect_short(m, &c, "MOVE of 2^24 rows", 0xffffffff00000000ull);
	set_tensor(&c.move.dst, 1 << 24, 1 << 20, OCTANS_TYPE_Q8_0);
	set_tensor(&c.move.src, 1 << 24, 1 << 20, OCTANS_TYPE_Q4_K);
	memset(&c.move.dst_ids, 0, sizeof(c.move.dst_ids));
	memset(&c.move.scale, 0, sizeof(c.move.scale));
	expect_short(m, &c, "MOVE of 2^20 columns", 0x3f8000003f800000ull);

	begin(m, &c, OCTANS_OP_ROW, OCTANS_ROW_LAYER, sizeof(c.row));
	set_tensor(&c.row.dst, 65536, 1 << 20, OCTANS_TYPE_F32);
	c.row.x = c.row.dst;
	c.row.groups = 1;
	expect_short(m, &c, "ROW of 2^20 columns", 0x3f8000003f800000ull);
	c.row.groups = 1 << 20;
	expect_short(m, &c, "ROW of 2^20 groups", 0x3f8000003f800000ull);

	begin(m, &c, OCTANS_OP_MAP, OCTANS_MAP(OCTANS_MAP_GELU, OCTANS_MAP_ADD), sizeof(c.map));
	set_tensor(&c.map.dst, 1 << 24, 1, OCTANS_TYPE_F32);
	c.map.a = c.map.b = c.map.dst;
	expect_short(m, &c, "MAP of 2^24 rows", 0x3f8000003f800000ull);

	begin(m, &c, OCTANS_OP_ROPE, 0, sizeof(c.rope));
	set_tensor(&c.rope.dst, 65536, 2, OCTANS_TYPE_F32);
	c.rope.x = c.rope.cs = c.rope.dst;
	c.rope.heads = 1;
	c.rope.head_dim = c.rope.rot = 2;
	expect_short(m, &c, "ROPE of 65536 rows", 0x3f8000003f800000ull);

	begin(m, &c, OCTANS_OP_TOPK, 0, sizeof(c.topk));
	set_tensor(&c.topk.x, 65536, 1 << 20, OCTANS_TYPE_F32);
	set_tensor(&c.topk.ids, 65536, 4096, OCTANS_TYPE_I32);
	c.topk.k = 4096;
	c.topk.groups = 1 << 20;
	c.topk.groups_used = 1 << 19;
	expect_short(m, &c, "TOPK of 2^20 groups", 0x3f8000003f800000ull);

	begin(m, &c, OCTANS_OP_CONV, 0, sizeof(c.conv));
	set_tensor(&c.conv.x, 65536, 65536, OCTANS_TYPE_F32);
	c.conv.dst = c.conv.x;
	set_tensor(&c.conv.w, 65536, 16, OCTANS_TYPE_F32);
	set_tensor(&c.conv.state, 1 << 20, 15 * 65536, OCTANS_TYPE_F32);
	set_tensor(&c.conv.slot, 65536, 2, OCTANS_TYPE_I32);
	expect_short(m, &c, "CONV of 65536 channels", 0x0000000100000002ull);

	begin(m, &c, OCTANS_OP_SCAN, OCTANS_SCAN_DELTA, sizeof(c.scan));
	set_tensor(&c.scan.v, 65536, 1024, OCTANS_TYPE_F32);
	c.scan.dst = c.scan.v;
	set_tensor(&c.scan.k, 65536, 1024, OCTANS_TYPE_F32);
	c.scan.q = c.scan.k;
	set_tensor(&c.scan.g, 65536, 1, OCTANS_TYPE_F32);
	c.scan.beta = c.scan.g;
	set_tensor(&c.scan.state, 1 << 20, 1 << 20, OCTANS_TYPE_F32);
	set_tensor(&c.scan.slot, 65536, 2, OCTANS_TYPE_I32);
	c.scan.heads = c.scan.groups = 1;
	c.scan.dk = c.scan.dv = 1024;
	expect_short(m, &c, "SCAN of the largest state", 0x0000000100000002ull);

	begin(m, &c, OCTANS_OP_COPY, 0, sizeof(c.copy));
	c.copy.dst = 1ull << 41;
	c.copy.size = 1ull << 40;
	expect_short(m, &c, "COPY of 2^40 bytes", 0);
	begin(m, &c, OCTANS_OP_WAIT, 0, sizeof(c.wait));
	c.wait.va = RIG_BASE;
	c.wait.value = 1;
	m->fail_at = 1000;
	ok(run_on(m, &c) == OCTANS_JOB_FAULT && m->pauses > 400 && said.waited,
	   "WAIT pauses until it is aborted");
}

int main(void)
{
	struct sim_mem m;

	if (rig_open(&m) || sim_pool_new(3, &three))
		return 1;
	test_functions();
	for (uint32_t op = 0; op < OCTANS_OP_COUNT; op++) {
		for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
			test_golden(&m, op, &variants[i]);
		test_refusals(&m, op);
		test_timing(&m, op);
	}
	test_cost(&m);
	test_time(&m);
	sim_pool_free(three);
	rig_close(&m);
	return done();
}
