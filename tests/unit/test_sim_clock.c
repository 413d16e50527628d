// SPDX-License-Identifier: MIT
/*
 * The cycle model, to the cycle: each rule of profiles.rst on numbers that were worked out by
 * hand from that page (octans-1 unless it says otherwise).
 */
#include "sim_rig.h"

static struct sim_clock clk;
static struct sim_command cmd;

#define LOCAL	SIM_ON_CARD
#define HOST	SIM_IN_HOST
#define MIB	(1ULL << 20)

static void start(const char *profile)
{
	if (sim_clock_init(&clk, sim_profile_find(profile))) {
		printf("Bail out! no clock to test\n");
		exit(1);
	}
	memset(&cmd, 0, sizeof(cmd));
}

/* An operand of @bytes at @va, on the card or in host memory. */
static void operand(bool write, uint64_t va, uint64_t bytes, int side)
{
	struct sim_operand *o = &cmd.operand[cmd.operands++];

	*o = (struct sim_operand) { .write = write, .va = va, .size = bytes };
	o->bytes[side] = bytes;
}

/* Executes the command that was built; returns done. */
static uint64_t run(unsigned int ring)
{
	uint64_t i = clk.ring[ring].commands;

	sim_clock_decode(&clk, ring);
	sim_clock_commit(&clk, ring, &cmd);
	memset(&cmd, 0, sizeof(cmd));
	return clk.ring[ring].flight[i % SIM_IN_FLIGHT].done;
}

static uint64_t end(enum sim_engine e)
{
	return clk.engine[e].end;
}

/* ---- timelines ---- */

static void test_timeline(void)
{
	static struct sim_timeline t;
	uint64_t taken;

	ok(sim_timeline_take(&t, 5, 0) == 5 && !t.taken, "nothing takes nothing");
	ok(sim_timeline_take(&t, 100, 50) == 150, "[100, 150)");
	ok(sim_timeline_take(&t, 200, 50) == 250, "[200, 250)");
	ok(sim_timeline_take(&t, 120, 60) == 260, "60 from 120 on: 50 of the gap, 10 behind");
	ok(sim_timeline_take(&t, 0, 10) == 10, "the beginning is free");
	ok(sim_timeline_take(&t, 50, 10) == 60, "the middle of a gap");
	ok(sim_timeline_take(&t, 0, 80) == 100, "40 before it, 40 behind it");
	ok(sim_timeline_take(&t, 0, 1) == 261, "it is full now");
	ok(t.taken == 50 + 50 + 60 + 10 + 10 + 80 + 1 && t.end == 261 && t.gaps == 0,
	   "%llu cycles taken", (unsigned long long)t.taken);
	for (int i = 0; i < 100; i++)
		sim_timeline_take(&t, 1001 + 10 * i, 9);	/* a gap of one cycle before each */
	ok(t.gaps == SIM_GAPS && t.gap[0].from == 1000 + 10 * 36, "64 gaps, the latest ones");
	ok(sim_timeline_take(&t, 0, 64) == 1991 && sim_timeline_take(&t, 0, 1) == 2001,
	   "64 cycles fill them");

	memset(&t, 0, sizeof(t));
	sim_timeline_cover(&t, 10, 20);
	sim_timeline_cover(&t, 30, 40);
	sim_timeline_cover(&t, 15, 35);
	ok(t.taken == 30 && t.gaps == 1, "a union of overlapping stretches");
	taken = t.taken;
	sim_timeline_cover(&t, 12, 38);
	ok(t.taken == taken, "is no larger for what it had");
	sim_timeline_cover(&t, 2, 4);
	sim_timeline_cover(&t, 0, 50);
	ok(t.taken == 50 && !t.gaps && t.end == 50, "a stretch over all");
}

/* ---- the TLB ---- */

static uint64_t ask(uint64_t asid, uint64_t va, unsigned int log2)
{
	struct sim_page page = { .key = SIM_PAGE_KEY(asid, va, log2) };
	uint64_t misses[SIM_SIDES] = { 0 };

	sim_clock_pages(&clk, &page, 1, misses);
	return misses[LOCAL];
}

static void test_tlb(void)
{
	uint64_t misses = 0;

	start("octans-s");	/* 128 entries */
	for (uint64_t i = 0; i < 128; i++)
		misses += ask(1, i << 12, 12);
	ok(misses == 128, "what was never asked for misses");
	for (uint64_t i = 0; i < 128; i++)
		misses += ask(1, i << 12, 12);
	ok(misses == 128, "128 entries hold 128 pages");
	ok(!ask(1, 0, 12) && ask(1, 128 << 12, 12) && !ask(1, 0, 12) && ask(1, 1 << 12, 12),
	   "one more drives out the least recently used");
	ok(ask(2, 0, 12) && ask(1, 0, 21) && ask(1, 0, 30) && ask(1, 0, 16) && !ask(1, 0, 12),
	   "address spaces and sizes of pages are told apart");
	sim_clock_forget(&clk, OCTANS_INVALIDATE_ASID(2));
	ok(ask(2, 0, 12) && !ask(1, 0, 12), "one address space is forgotten");
	sim_clock_forget(&clk, OCTANS_INVALIDATE_ASID(1));
	ok(ask(1, 0, 12) && ask(1, 5 << 12, 12) && !ask(2, 0, 12), "the other");
	sim_clock_forget(&clk, OCTANS_INVALIDATE_ALL);
	ok(ask(1, 0, 12) && ask(2, 0, 12), "all");
	for (uint64_t i = 0; i < 1000000; i++)
		misses += ask(i % 7, i * i << 12, 12 + i % 2 * 9);
	misses = 0;
	for (uint64_t i = 0; i < 256; i++)
		misses += ask(1, i << 40, 12);
	for (uint64_t i = 128; i < 256; i++)
		misses += ask(1, i << 40, 12);
	ok(misses == 256, "and so it is after a million others");
	sim_clock_destroy(&clk);
}

/* ---- commands ---- */

static void test_worked_example(void)
{
	start("octans-1");
	sim_clock_begin(&clk, 0);
	/* x, w, dst; two pages of the card's tables for w, none for the others */
	operand(false, 0, 8192, LOCAL);
	operand(false, 1 << 24, 6488064, LOCAL);
	cmd.operand[1].misses[LOCAL] = 4;
	operand(true, 1 << 20, 22528, LOCAL);
	cmd.fetched[LOCAL] = 192;
	cmd.macs_int8 = 11534336;
	cmd.macs_f32 = 8 * 2048;
	/* D 2000, x to 2008, w to 8344, read at 8494; dst from 8344 to 8366 */
	ok(run(0) == 8494 + 32, "MATMUL is bound by memory");
	ok(clk.engine[SIM_LOCAL].taken == 1 + 8 + 6336 + 22 && clk.engine[SIM_MATRIX].taken == 176 &&
	   clk.engine[SIM_VECTOR].taken == 4 && clk.engine[SIM_MMU].taken == 38,
	   "cycles of the ports and engines");
	/* It reads what the first wrote, but its weights do not wait for that: S 8526 */
	operand(false, 1 << 20, 22528, LOCAL);
	operand(false, 1 << 25, 6488064, LOCAL);
	operand(true, 1 << 21, 8192, LOCAL);
	cmd.macs_int8 = 11534336;
	/* w from 2016 on: 14 cycles before 2000 are too early; [8366, 8526) and from 8548 on */
	ok(run(0) == 8366 + 6336 + 22 + 150 + 32, "the next one's weights are read meanwhile");
	ok(sim_clock_end(&clk, 0) == 8366 + 6336 + 22 + 150 + 32 + 1000, "the job");
	sim_clock_destroy(&clk);
}

static void test_order(void)
{
	uint64_t done;

	start("octans-1");
	sim_clock_begin(&clk, 0);
	operand(true, 0x1000, 1024, LOCAL);
	cmd.macs_f32 = 4096 * 500;
	ok((done = run(0)) == 2000 + 500 + 32, "write: done when computed");
	operand(false, 0x13ff, 1, LOCAL);
	/* R 2532, [2532, 2533), +150 */
	ok(run(0) == done + 1 + 150 + 32, "read after write waits");
	operand(false, 0x1400, 1, LOCAL);
	/* D 2032, which the write at 2000 does not touch */
	ok(run(0) == 2032 + 1 + 150 + 32, "the byte behind does not");
	operand(true, 0x13ff, 1, LOCAL);
	/* R = done of the reader, 2715 */
	ok(run(0) == 2715 + 1 + 32, "write after read waits for the reader");
	operand(false, 0x1400, 1, LOCAL);
	ok(run(0) == 2064 + 1 + 150 + 32, "a reader of what another reads does not");
	operand(false, 0x2000, 1, LOCAL);
	operand(true, 0x1000, 1, LOCAL);
	/* S = done of the first, 2532; what is read was there long before */
	ok(run(0) == 2532 + 1 + 1 + 32, "what is read early does not end late");
	cmd.fence = true;
	operand(true, 0x9000, 8, HOST);
	ok(run(0) == 2748 + 1 + 32, "SIGNAL waits for all");
	operand(false, 0x8000, 1, LOCAL);
	/* D = done of the SIGNAL */
	ok(run(0) == 2781 + 1 + 150 + 32, "and all wait for it");
	cmd.idle = true;
	ok(run(0) == 2781 + 16, "a skipped command takes D only");
	sim_clock_destroy(&clk);
}

static void test_window(void)
{
	bool good = true;

	start("octans-1");
	sim_clock_begin(&clk, 0);
	for (uint64_t i = 0; i < 40; i++) {
		operand(false, i * MIB, MIB, LOCAL);
		run(0);
		good &= clk.ring[0].decoded == (i < 32 ? 2000 + 16 * i
						: 2000 + (i - 31) * 1024 + 150 + 32);
	}
	ok(good, "16 cycles each, and 32 in flight");
	sim_clock_destroy(&clk);
}

static void test_sram(void)
{
	start("octans-1");	/* 64 MiB: 32768 cycles of LOCAL are half of it */
	sim_clock_begin(&clk, 0);
	for (int i = 0; i < 3; i++) {
		operand(false, i * 100 * MIB, 40 * MIB, LOCAL);
		cmd.macs_int8 = 65536 * 100000ULL;
		ok(run(0) == 2000 + 100000ULL * (i + 1) + 32, "command %d is bound by the multipliers", i);
		/* 40 MiB each: the first 32 ahead; the third waits for the first to be done */
		ok(end(SIM_LOCAL) == (i == 0 ? 42960 : i == 1 ? 83920 : 102032 + 40960),
		   "its bytes are read by %llu", (unsigned long long)end(SIM_LOCAL));
	}
	/* What depends on another: only half of SRAM is read ahead, the rest when it computes. */
	operand(true, 0x100000000, 4, LOCAL);
	run(0);
	operand(false, 0x100000000, 4, LOCAL);
	operand(false, 0x200000000, 64 * MIB, LOCAL);
	run(0);
	ok(clk.engine[SIM_LOCAL].taken == 3 * 40960 + 1 + 1 + 65536, "all bytes are moved");
	sim_clock_destroy(&clk);

	/* 2 MiB of half an SRAM in octans-e; 3 MiB are read, their command waits for another */
	start("octans-e");
	sim_clock_begin(&clk, 0);
	operand(true, 0, 64, LOCAL);
	cmd.macs_f32 = 512 * 100000;
	run(0);
	operand(false, 0, 64, LOCAL);
	operand(false, 1 << 24, 3 * MIB, LOCAL);
	/* S 102032; 32768 cycles ahead from 2016 on; 16384 more from S (and the cycle of the
	 * first operand) on */
	ok(run(0) == 102032 + 1 + 16384 + 120 + 32, "what does not fit is read when it computes");
	sim_clock_destroy(&clk);
}

static void test_gaps(void)
{
	start("octans-1");
	sim_clock_begin(&clk, 0);
	operand(true, 0, 4, LOCAL);
	cmd.macs_f32 = 4096 * 10000;
	run(0);
	operand(false, 0, 4, LOCAL);	/* depends: LOCAL is taken at 12032 */
	run(0);
	operand(false, MIB, MIB, LOCAL);
	/* D 2032: the gap from 2001 to 12032 is free */
	ok(run(0) == 2032 + 1024 + 150 + 32, "a later command takes what an earlier one left free");
	sim_clock_destroy(&clk);
}

static void test_prefetch(void)
{
	uint64_t done;

	start("octans-1");
	sim_clock_begin(&clk, 0);
	cmd.prefetch = true;
	cmd.dma = 4 * MIB;
	operand(false, 0, 4 * MIB, LOCAL);
	done = run(0);
	ok(done == 2000 + 4096 + 150 + 32 && clk.engine[SIM_COPY].taken == 4096, "PREFETCH reads");
	operand(false, MIB, MIB, LOCAL);
	ok(run(0) == done + 32 && clk.engine[SIM_LOCAL].taken == 4096, "what it brought moves no bytes");
	operand(false, 4 * MIB - 1, 2, LOCAL);
	run(0);
	ok(clk.engine[SIM_LOCAL].taken == 4097, "what lies in it in part does");
	operand(true, 2 * MIB, 4, LOCAL);
	run(0);
	operand(false, MIB, MIB, LOCAL);
	run(0);
	ok(clk.engine[SIM_LOCAL].taken == 4097 + 1 + 1024, "until something is written there");
	for (int i = 0; i < 3; i++) {
		cmd.prefetch = true;
		operand(false, i * 100 * MIB, 15 * MIB, LOCAL);
		run(0);
	}
	done = clk.engine[SIM_LOCAL].taken;
	operand(false, 200 * MIB, MIB, LOCAL);
	operand(false, 100 * MIB, MIB, LOCAL);
	run(0);
	ok(clk.engine[SIM_LOCAL].taken == done, "30 MiB are held");
	operand(false, 0, MIB, LOCAL);
	run(0);
	ok(clk.engine[SIM_LOCAL].taken == done + 1024, "45 are not");
	sim_clock_destroy(&clk);
}

static void test_rings(void)
{
	struct octans_counters c;
	uint64_t done;

	start("octans-1");
	sim_clock_begin(&clk, 0);
	operand(false, 0, MIB, LOCAL);
	run(0);
	sim_clock_begin(&clk, 1);
	ok(clk.ring[1].start == 2000, "a job begins where the other ring is");
	operand(false, 0, MIB, LOCAL);
	/* D 4000; the port is free from 3024 on */
	ok(run(1) == 4000 + 1024 + 150 + 32, "rings share the port");
	operand(false, MIB, 2 * MIB, LOCAL);
	/* D 2016: 976 cycles up to 4000, the other 1072 from 5024 on */
	ok(run(0) == 5024 + 1072 + 150 + 32, "and take turns");
	ok(sim_clock_end(&clk, 0) == 7278 && sim_clock_end(&clk, 1) == 4206, "each job's cycles");
	sim_clock_counters(&clk, &c);
	ok(c.cycles == 7278, "those of the processor are not their sum: %llu",
	   (unsigned long long)c.cycles);
	ok(c.busy_local == 4096 && c.local_read == 4 * MIB && c.commands == 3, "the other counters");

	/* A wait: done when the one that signals is there. */
	sim_clock_begin(&clk, 0);	/* T 7278 */
	sim_clock_begin(&clk, 1);	/* T = D of ring 0, 9278 */
	sim_clock_decode(&clk, 0);
	sim_clock_wait(&clk, 0);
	operand(true, 0, 4, LOCAL);
	cmd.macs_f32 = 4096 * 5000;
	done = run(1);
	cmd.fence = true;
	operand(true, 64, 8, HOST);
	run(1);
	operand(false, 1 << 24, 4, LOCAL);
	run(1);
	cmd.fence = true;
	cmd.waited = true;
	operand(false, 64, 8, HOST);
	sim_clock_commit(&clk, 0, &cmd);
	ok(clk.ring[0].latest == clk.ring[1].decoded && clk.ring[0].latest >= done,
	   "a WAIT is over when the other ring is past its SIGNAL");
	sim_clock_end(&clk, 0);
	sim_clock_end(&clk, 1);

	/* Nor does it end before the SIGNAL does, if that is all that the other ring has come to. */
	sim_clock_begin(&clk, 0);
	sim_clock_begin(&clk, 1);
	sim_clock_decode(&clk, 0);
	sim_clock_wait(&clk, 0);
	cmd.macs_f32 = 4096 * 5000;
	run(1);
	cmd.fence = true;
	operand(true, 64, 8, HOST);
	done = run(1);
	cmd.fence = true;
	cmd.waited = true;
	operand(false, 64, 8, HOST);
	sim_clock_commit(&clk, 0, &cmd);
	ok(clk.ring[0].latest >= done, "a WAIT ends at %llu, the SIGNAL at %llu",
	   (unsigned long long)clk.ring[0].latest, (unsigned long long)done);
	sim_clock_destroy(&clk);
}

/* ---- the whole processor ---- */

/* One MATMUL through the real thing: tables in host memory, pages of 2 MiB on the card. */
static void test_matmul(void)
{
	struct octans_cmd_matmul c[2] = { {
		.cmd = { .op = OCTANS_OP_MATMUL, .size = sizeof(c[0]) },
		.x = { .va = 0x40800000, .stride = 8192, .rows = 1, .cols = 2048 },
		.dst = { .va = 0x40810000, .stride = 22528, .rows = 1, .cols = 5632 },
		.w = { .va = 0x40000000, .stride = 1152, .rows = 5632, .cols = 2048,
		       .type = OCTANS_TYPE_Q4_K },
		.planes = 1,
	} };
	struct octans_counters n;
	struct rig rig;

	rig_new(&rig, NULL);
	for (uint64_t i = 0; i < 5; i++)
		*rig_pte(&rig, 1, 0x40000000 + i * 0x200000, 1) =
			i * 0x200000 | OCTANS_PTE_VALID | OCTANS_PTE_WRITE | OCTANS_PTE_LOCAL |
			OCTANS_PTE_LARGE;
	rig_map(&rig, 1, 0x10000, RIG_DATA, 0x1000, 0);
	memcpy(rig.mem + RIG_DATA, c, sizeof(c[0]));
	rig_start(&rig);
	ok(rig_run(&rig, 0, 1, 1, 0x10000, sizeof(c[0])) == OCTANS_JOB_OK, "MATMUL 1 x 5632 x 2048");
	/*
	 * x: 1 miss, 63 cycles of the MMU; 8 of LOCAL.  w: 4 misses, 250 cycles, to 2313; LOCAL
	 * 2008 to 8344, read at 8494.  dst: the page of x; LOCAL to 8366.  done 8526, E 9526.
	 */
	ok(rd64(&rig, OCTANS_RING(0) + OCTANS_RING_CYCLES) == 9526, "takes %llu cycles",
	   (unsigned long long)rd64(&rig, OCTANS_RING(0) + OCTANS_RING_CYCLES));
	sim_clock_counters(&rig.dev->core.clock, &n);
	ok(n.cycles == 9526 && n.busy_matrix == 176 && n.busy_vector == 4 && n.busy_mmu == 313 &&
	   n.busy_local == 8 + 6336 + 22 && n.busy_pcie == 6 && n.local_read == 8192 + 6488064 &&
	   n.local_written == 22528 && n.pcie_read == sizeof(c[0]) && !n.pcie_written &&
	   n.macs_int8 == 11534336 && n.macs_f32 == 16384 && n.commands == 1 && n.tlb_misses == 5,
	   "and its counters");
	ok(rd64(&rig, OCTANS_REG_COUNTER(5)) == n.busy_local &&
	   rd64(&rig, OCTANS_REG_COUNTER(15)) == n.tlb_misses, "which registers show");
	ok(rig_run(&rig, 0, 2, 1, 0x10000, sizeof(c[0])) == OCTANS_JOB_OK &&
	   rd64(&rig, OCTANS_RING(0) + OCTANS_RING_CYCLES) == 2 * 9526 &&
	   rd64(&rig, OCTANS_REG_COUNTER(15)) == 5, "again: bound by memory, no more misses");
	rig_invalidate(&rig, OCTANS_INVALIDATE_ASID(1));
	rig_run(&rig, 0, 3, 1, 0x10000, sizeof(c[0]));
	ok(rd64(&rig, OCTANS_REG_COUNTER(15)) == 10, "an invalidation empties the TLB");
	wr32(&rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	rig_until(rd32(&rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY);
	ok(!rd64(&rig, OCTANS_REG_COUNTER(0)) && !rd64(&rig, OCTANS_REG_COUNTER(14)),
	   "a device reset starts the counters anew");
	rig_free(&rig);
}

/* Time without data: the same cycles, and memory stays as it is. */
static void test_timing_only(void)
{
	struct octans_cmd_copy c = cmd_copy(0x400000, 0x200000, 0x100000);
	uint64_t cycles[2];

	for (int i = 0; i < 2; i++) {
		struct sim_config config = { .local_size = 16 << 20, .threads = 1, .timing_only = i };
		struct rig rig;

		rig_new_with(&rig, &config);
		rig_map(&rig, 1, 0x10000, RIG_DATA, 0x1000, 0);
		*rig_pte(&rig, 1, 0x200000, 1) = OCTANS_PTE_VALID | OCTANS_PTE_LOCAL | OCTANS_PTE_LARGE;
		*rig_pte(&rig, 1, 0x400000, 1) = (RIG_IOVA + RIG_LARGE) | OCTANS_PTE_VALID |
						 OCTANS_PTE_WRITE | OCTANS_PTE_LARGE;
		memset(rig.dev->local, 0x55, 0x100000);
		memcpy(rig.mem + RIG_DATA, &c, sizeof(c));
		rig_start(&rig);
		ok(rig_run(&rig, 0, 1, 1, 0x10000, sizeof(c)) == OCTANS_JOB_OK &&
		   rig.mem[RIG_LARGE] == (i ? 0 : 0x55), "COPY, %s data", i ? "without" : "with");
		cycles[i] = rd64(&rig, OCTANS_RING(0) + OCTANS_RING_CYCLES);
		rig_free(&rig);
	}
	/* D 2000, src 1024 cycles of LOCAL; dst 32768 of PCIE from S on; done 34800 */
	ok(cycles[0] == 2000 + 32768 + 32 + 1000 && cycles[1] == cycles[0],
	   "the same cycles: %llu, %llu", (unsigned long long)cycles[0],
	   (unsigned long long)cycles[1]);
}

int main(void)
{
	test_timeline();
	test_tlb();
	test_worked_example();
	test_order();
	test_window();
	test_sram();
	test_gaps();
	test_prefetch();
	test_rings();
	test_matmul();
	test_timing_only();
	return done();
}
