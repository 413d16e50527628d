// SPDX-License-Identifier: MIT
/*
 * What one client can do to another: commands made to keep the processor from looking up, while
 * somebody else waits for an invalidation and for a ring reset.  The manual promises 10 ms, and
 * the model keeps to 5 on an idle core.  Processor time is what counts, so that others who are busy
 * do not; but a sample may wait for the scheduler while the command goes on: so half of them must be
 * good, and the worst no more than not absurd.  An argument multiplies the samples.
 */
#include "cpu_time.h"
#include "sim_rig.h"

#define CODE	0x10000ULL
#define CONTROL	0x1000000ULL		/* ids, ranges, slots: 4 MiB */
#define BIG	0x10000000000ULL	/* 18 GiB of 4 KiB pages, all over the place */
#define ZERO	0x20000000000ULL	/* 256 MiB of one page of zeros */
#define GIB	(1ULL << 30)
#define MEDIAN	50.0			/* ms */
#define WORST	1000.0
#define MAX_SAMPLES	1200

static struct rig rig;
static uint64_t seqno;
static int samples = 12;

static double now_ms(void)
{
	return cpu_seconds() * 1e3;
}

static struct octans_tensor tensor(uint64_t va, uint32_t rows, uint32_t cols, uint64_t stride,
				   uint32_t type)
{
	return (struct octans_tensor) { va, stride, rows, cols, type, 0 };
}

/* One last table stands for all 2 MiB of [va, va + size): of pages in descending order, or of one
 * that is read only. */
static void map_all(uint64_t va, uint64_t size, uint64_t memory, bool one)
{
	uint64_t table = rig.tables;

	rig.tables += 0x1000;
	for (uint64_t i = 0; i < 512; i++)
		rig_u64(&rig, table)[i] = (RIG_IOVA + memory + (one ? 0 : 511 - i) * 0x1000) |
					  OCTANS_PTE_VALID | (one ? 0 : OCTANS_PTE_WRITE);
	for (uint64_t end = va + size; va < end; va += 0x200000)
		*rig_pte(&rig, 1, va, 1) = (RIG_IOVA + table) | OCTANS_PTE_VALID;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static bool runs(void)
{
	return rd64(&rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno;
}

static bool start(uint32_t size)
{
	rig_desc(&rig, 0, ++seqno, 1, CODE, size);
	rig_bell(&rig, 0);
	return rig_until(runs() || OCTANS_WB_SEQNO(rig_wb(&rig, 0)) == seqno);
}

static void attack(const char *name, void *command, uint32_t size, uint16_t op)
{
	struct octans_cmd *c = command;
	uint64_t ctrl = OCTANS_RING(0) + OCTANS_RING_CTRL, progress = 0;
	double wait[MAX_SAMPLES], reset, still = 0, since;
	bool good;
	int n;

	c->op = op;
	c->size = size;
	for (int i = 0; i < 8; i++)
		memcpy(rig.mem + RIG_DATA + i * size, command, size);
	good = start(8 * size);
	since = now_ms();
	for (n = 0; n < samples && good; n++) {
		uint64_t p;
		uint32_t ticket;

		if (!runs()) {
			good = rig_ended(&rig, 0, seqno) == OCTANS_JOB_OK && start(8 * size);
			since = now_ms();
		}
		rig_nap(15000 + n * 7919 % 10000);
		wait[n] = now_ms();
		ticket = rig_forget(&rig, OCTANS_INVALIDATE_ASID(5));
		good = rig_until(rig_forgot(&rig, ticket)) && good;
		wait[n] = now_ms() - wait[n];
		p = rd64(&rig, OCTANS_RING(0) + OCTANS_RING_PROGRESS);
		if (p != progress)
			since = now_ms();
		progress = p;
		still = now_ms() - since > still ? now_ms() - since : still;
	}
	reset = now_ms();
	wr32(&rig, ctrl, OCTANS_RING_RESET);
	good = rig_until(!(rd32(&rig, ctrl) & OCTANS_RING_RESET)) && good;
	reset = now_ms() - reset;
	rig.tail[0] = 0;
	wr32(&rig, ctrl, OCTANS_RING_ENABLE);
	if (!ok(good, "%s: it runs", name))
		return;
	qsort(wait, n, sizeof(wait[0]), ascending);
	ok(wait[n / 2] < MEDIAN && wait[n - 1] < WORST && reset < WORST && still < WORST,
	   "%s: an invalidation takes %.1f ms, %.1f at worst, the reset %.1f; no progress for %.0f ms",
	   name, wait[n / 2], wait[n - 1], reset, still);
}

static void attack_all(void)
{
	uint32_t f32 = OCTANS_TYPE_F32, i32 = OCTANS_TYPE_I32, cols = 1 << 20;
	uint64_t row = 4ULL << 20;
	struct octans_cmd_attend at = {
		.q = tensor(BIG, 64, 1024, 4096, f32), .dst = tensor(BIG + GIB, 64, 1024, 4096, f32),
		.k = tensor(BIG, 7990, 1024, 4096 * 257, f32),
		.v = tensor(BIG + 8 * GIB, 7990, 1024, 4096 * 257, f32),
		.range = tensor(CONTROL + 0x100000, 64, 2, 8, i32),
		.heads = 1024, .kv_heads = 1024, .dk = 1, .dv = 1, .scale = 1,
	};
	struct octans_cmd_matmul mm = {
		.x = tensor(BIG, 64, 1, 4, f32), .dst = tensor(BIG + GIB, 64, cols, row, f32),
		.w = tensor(BIG, cols, 1, 4096 * 3, f32), .planes = 1,
	};
	struct octans_cmd_row rn = {
		.x = tensor(BIG, 2048, cols, row, f32), .dst = tensor(BIG, 2048, cols, row, f32),
		.groups = 1, .eps = 1,
	};
	struct octans_cmd_map map = {
		.a = rn.x, .dst = rn.x, .cmd.flags = OCTANS_MAP(OCTANS_MAP_EXP, OCTANS_MAP_NONE),
	};
	struct octans_cmd_move mv = {
		.src = tensor(BIG, 2, cols, 1 << 20, OCTANS_TYPE_Q6_K),
		.src_ids = tensor(CONTROL, 2048, 1, 4, i32),
		.dst = tensor(BIG + GIB, 2048, cols, row, f32),
	};
	struct octans_cmd_topk tk = {
		.x = rn.x, .ids = tensor(BIG + 9 * GIB, 2048, 4096, 16384, i32), .k = 4096,
		.groups = 1, .groups_used = 1,
	};
	struct octans_cmd_conv cv = {
		.x = rn.x, .dst = rn.x, .w = tensor(BIG, cols, 16, 64, f32),
		.state = tensor(BIG, 2, 15 << 16, 60 << 20, f32),
		.slot = tensor(CONTROL + 0x200000, 2048, 2, 8, i32),
	};
	struct octans_cmd_scan sc = {
		.cmd.flags = OCTANS_SCAN_DELTA,
		.v = tensor(BIG, 4096, 1024, 4096, f32), .dst = tensor(BIG + GIB, 4096, 1024, 4096, f32),
		.k = tensor(BIG, 4096, 1024, 4096, f32), .q = tensor(BIG, 4096, 1024, 4096, f32),
		.g = tensor(BIG, 4096, 1, 4, f32), .beta = tensor(BIG, 4096, 1, 4, f32),
		.state = tensor(BIG, 2, cols, row, f32),
		.slot = tensor(CONTROL + 0x200000, 4096, 2, 8, i32),
		.heads = 1, .groups = 1, .dk = 1024, .dv = 1024, .scale = 1,
	};
	struct octans_cmd_copy cp = { .dst = BIG, .src = BIG + 9 * GIB, .size = 9 * GIB };
	struct octans_cmd_prefetch pf = { .va = BIG, .size = 18 * GIB };

	attack("ATTEND 1024 heads of 1, a page a position", &at, sizeof(at), OCTANS_OP_ATTEND);
	attack("MATMUL k=1 n=2^20, a page every row", &mm, sizeof(mm), OCTANS_OP_MATMUL);
	mm.x = tensor(BIG, 2048, cols, row, f32);
	mm.w = tensor(BIG, 1, cols, cols / 32 * 34, OCTANS_TYPE_Q8_0);
	mm.dst = tensor(BIG + 9 * GIB, 2048, 1, 4, f32);
	attack("MATMUL that quantises rows of 2^20", &mm, sizeof(mm), OCTANS_OP_MATMUL);
	mm.x = tensor(BIG, 4096, 32, 128, f32);
	mm.w = tensor(BIG, cols, 32, 34, OCTANS_TYPE_Q8_0);
	mm.dst = tensor(BIG, 4096, cols, row, f32);
	attack("MATMUL m=4096 n=2^20 k=32", &mm, sizeof(mm), OCTANS_OP_MATMUL);
	attack("ROW of 2^20", &rn, sizeof(rn), OCTANS_OP_ROW);
	attack("MAP of 2^20", &map, sizeof(map), OCTANS_OP_MAP);
	attack("MOVE of Q6_K rows of 2^20", &mv, sizeof(mv), OCTANS_OP_MOVE);
	mv.src = tensor(BIG, 1 << 24, 1, 1024, f32);
	mv.src_ids = (struct octans_tensor) { 0 };
	mv.dst = tensor(BIG + 16 * GIB + GIB / 2, 1 << 24, 1, 4, f32);
	attack("MOVE of 2^24 rows of one element", &mv, sizeof(mv), OCTANS_OP_MOVE);
	mv.src = tensor(ZERO, 1 << 24, 1, 4, f32);
	mv.src_ids = mv.dst_ids = tensor(ZERO, 1 << 24, 1, 4, i32);
	attack("MOVE by two lists of 2^24 ids", &mv, sizeof(mv), OCTANS_OP_MOVE);
	attack("TOPK of 4096 of 2^20", &tk, sizeof(tk), OCTANS_OP_TOPK);
	cv.x.cols = cv.dst.cols = cv.w.rows = 1 << 16;
	attack("CONV of 16 taps over 2^16", &cv, sizeof(cv), OCTANS_OP_CONV);
	attack("SCAN with a state of 2^20", &sc, sizeof(sc), OCTANS_OP_SCAN);
	attack("COPY of 9 GiB", &cp, sizeof(cp), OCTANS_OP_COPY);
	attack("PREFETCH of 18 GiB", &pf, sizeof(pf), OCTANS_OP_PREFETCH);
}

int main(int argc, char **argv)
{
	uint32_t *control;

	if (argc > 1 && atoi(argv[1]) > 0 && atoi(argv[1]) <= MAX_SAMPLES / samples)
		samples *= atoi(argv[1]);
	rig_new(&rig, NULL);
	rig_map(&rig, 1, CODE, RIG_DATA, 0x2000, 0);
	rig_map(&rig, 1, CONTROL, RIG_DATA + 0x10000, 0x300000, 0);
	control = (uint32_t *)(rig.mem + RIG_DATA + 0x10000);
	for (int i = 0; i < 64; i++)		/* ranges of ATTEND: 0 .. 7989 */
		control[0x40000 + 2 * i + 1] = 7990;
	for (int i = 0; i < 4096; i++)		/* slots: from 0 to 1 */
		control[0x80000 + 2 * i + 1] = 1;
	map_all(BIG, 18 * GIB, RIG_LARGE, false);
	map_all(ZERO, GIB / 4, RIG_DATA + 0x400000, true);
	rig_start(&rig);
	attack_all();
	rig_free(&rig);
	return done();
}
