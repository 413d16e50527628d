// SPDX-License-Identifier: MIT
/* Rings: descriptors, order of what they report, halts, resets, doorbells, events. */
#include "sim_rig.h"

#define CODE	0x10000ULL
#define DATA	0x20000ULL

static uint64_t seqno;

static uint32_t status(struct rig *rig, unsigned int r)
{
	return rd32(rig, OCTANS_RING(r) + OCTANS_RING_STATUS);
}

static void set_up(struct rig *rig)
{
	struct octans_cmd nop = cmd_nop();

	rig_map(rig, 1, CODE, RIG_DATA, 0x1000, 0);
	rig_map(rig, 1, DATA, RIG_DATA + 0x1000, 0x8000, OCTANS_PTE_WRITE);
	memcpy(rig->mem + RIG_DATA, &nop, sizeof(nop));
	rig_start(rig);
}

static void test_normal(struct rig *rig)
{
	uint64_t r = OCTANS_RING(0);
	struct octans_desc *d;

	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "a job runs");
	ok(rig_until(atomic_load(&rig->irqs[1]) == 1), "and interrupts on its ring's vector");
	ok(rd32(rig, r + OCTANS_RING_HEAD) == 1 && !status(rig, 0) &&
	   !rd64(rig, r + OCTANS_RING_SEQNO) && !rd64(rig, r + OCTANS_RING_SINCE),
	   "afterwards the ring is idle");
	ok(rd64(rig, r + OCTANS_RING_PROGRESS) > 0, "progress was made");
	d = rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	d->flags = 0;
	rig_bell(rig, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "a job without DESC_IRQ");
	rig_nap(20000);
	ok(atomic_load(&rig->irqs[1]) == 1, "does not interrupt");
	for (int i = 0; i < 100; i++)
		if (rig_run(rig, 0, ++seqno, 1, CODE, 16))
			break;
	ok(rd32(rig, r + OCTANS_RING_HEAD) == 102, "the ring goes round");
	for (int i = 0; i < 16; i++)
		rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "a ring full of jobs");
	ok(rig_run(rig, 3, 7, 1, CODE, 16) == OCTANS_JOB_OK &&
	   rig_until(atomic_load(&rig->irqs[4]) == 1), "the last ring, vector 4");
}

/* SIGNAL knows the processor's counters and the device's time. */
static void test_signal(struct rig *rig)
{
	struct octans_cmd_signal c[3] = {
		{ .cmd = { OCTANS_OP_SIGNAL, OCTANS_SIGNAL_COUNTERS, sizeof(c[0]), 0 }, .va = DATA },
		{ .cmd = { OCTANS_OP_SIGNAL, OCTANS_SIGNAL_TIME, sizeof(c[0]), 0 }, .va = DATA + 128 },
		{ .cmd = { OCTANS_OP_SIGNAL, OCTANS_SIGNAL_VALUE, sizeof(c[0]), 0 }, .va = DATA + 136,
		  .value = 77 },
	};
	uint64_t before = rd64(rig, OCTANS_RING(0) + OCTANS_RING_CYCLES);
	uint64_t commands = rd64(rig, OCTANS_REG_COUNTER(14));
	uint64_t *out = rig_u64(rig, RIG_DATA + 0x1000);

	memcpy(rig->mem + RIG_DATA + 0x100, &c, sizeof(c));
	ok(rig_run(rig, 0, ++seqno, 1, CODE + 0x100, sizeof(c)) == OCTANS_JOB_OK, "SIGNAL");
	ok(out[0] > before && out[14] == commands &&
	   rd64(rig, OCTANS_REG_COUNTER(14)) == commands + 3, "the counters, %llu commands",
	   (unsigned long long)out[14]);
	ok(out[16] && out[16] < rd64(rig, OCTANS_REG_TIME_NS) && out[17] == 77, "the time, a value");
	ok(rd64(rig, OCTANS_RING(0) + OCTANS_RING_CYCLES) > before &&
	   rd64(rig, OCTANS_REG_COUNTER(0)) >= out[0], "cycles were spent");
}

/* A job waits for another's signal, lets others run, and is hung to who looks at PROGRESS. */
static void test_wait(struct rig *rig)
{
	struct octans_cmd_wait w = { .cmd = { OCTANS_OP_WAIT, 0, sizeof(w), 0 }, .va = DATA + 8,
				     .value = 5 };
	struct octans_cmd_signal s = { .cmd = { OCTANS_OP_SIGNAL, 0, sizeof(s), 0 }, .va = DATA + 8,
				       .value = 6 };
	uint64_t progress;

	*rig_u64(rig, RIG_DATA + 0x1008) = 0;
	memcpy(rig->mem + RIG_DATA + 0x300, &w, sizeof(w));
	memcpy(rig->mem + RIG_DATA + 0x340, &s, sizeof(s));
	rig_desc(rig, 0, ++seqno, 1, CODE + 0x300, sizeof(w));
	rig_bell(rig, 0);
	rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno);
	rig_nap(5000);
	progress = rd64(rig, OCTANS_RING(0) + OCTANS_RING_PROGRESS);
	rig_nap(20000);
	ok(rd64(rig, OCTANS_RING(0) + OCTANS_RING_PROGRESS) == progress, "a wait is no progress");
	rig_invalidate(rig, OCTANS_INVALIDATE_ASID(1));
	ok(rig_run(rig, 1, 1, 1, CODE + 0x340, sizeof(s)) == OCTANS_JOB_OK &&
	   rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "another ring's signal ends it");
	*rig_u64(rig, RIG_DATA + 0x1008) = 0;
	rig_desc(rig, 0, ++seqno, 1, CODE + 0x300, sizeof(w));
	rig_bell(rig, 0);
	rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno);
	ok(rig_reset_ring(rig, 0), "and so does a reset");
}

static void test_params(struct rig *rig)
{
	uint64_t src = DATA, dst = DATA + 0x400;
	struct octans_cmd_move c = {
		.cmd = { .op = OCTANS_OP_MOVE, .size = sizeof(c) },
		.dst = { .va = dst, .stride = 16, .rows = 8, .cols = 4, .dyn = OCTANS_DYN(1, 0) },
		.src = { .va = src, .stride = 16, .rows = 8, .cols = 4, .dyn = OCTANS_DYN_ROWS(1) },
	};
	uint32_t *p = (uint32_t *)(rig->mem + RIG_DATA + 0x2ff8);
	uint64_t *out = rig_u64(rig, RIG_DATA + 0x1400);
	struct octans_desc *d;

	memcpy(rig->mem + RIG_DATA + 0x600, &c, sizeof(c));
	memset(rig->mem + RIG_DATA + 0x1000, 0x31, 0x80);
	memset(out, 0, 0x80);
	p[0] = 3;	/* first row of dst */
	p[1] = 2;	/* rows; the block lies over the end of a page */
	d = rig_desc(rig, 0, ++seqno, 1, CODE + 0x600, sizeof(c));
	d->param_va = DATA + 0x1ff8;
	d->param_count = 3;
	rig_bell(rig, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK && !out[5] && out[6] == 0x3131313131313131 &&
	   out[9] == out[6] && !out[10], "parameters give rows and the first of them");
	d = rig_desc(rig, 0, ++seqno, 1, CODE + 0x600, sizeof(c));
	d->param_va = DATA + 0x1ff8;
	d->param_count = 1;
	rig_bell(rig, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_BAD_CMD, "a parameter that the job does not have");
	rig_reset_ring(rig, 0);
	d = rig_desc(rig, 0, ++seqno, 1, CODE + 0x600, sizeof(c));
	d->param_va = 0x7000000;
	d->param_count = 2;
	rig_bell(rig, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_FAULT &&
	   rd64(rig, OCTANS_RING(0) + OCTANS_RING_FAULT_VA) == 0x7000000 &&
	   rd64(rig, OCTANS_RING(0) + OCTANS_RING_FAULT_CODE) ==
	   (OCTANS_JOB_FAULT | OCTANS_FAULT_UNMAPPED << 8), "parameters that are not mapped");
	rig_reset_ring(rig, 0);
	wr32(rig, OCTANS_REG_EVT_HEAD, rd32(rig, OCTANS_REG_EVT_TAIL));
}

/* After a failure with @code: everything must be in place by the time of the writeback. */
static void failed(struct rig *rig, int code, const char *what)
{
	uint32_t tail = rd32(rig, OCTANS_REG_EVT_TAIL);
	unsigned int irqs = atomic_load(&rig->irqs[1]), evts = atomic_load(&rig->irqs[0]);
	const struct octans_event *e;
	int got;

	rig_bell(rig, 0);
	got = rig_ended(rig, 0, seqno);
	e = rig_event(rig, tail);
	ok(got == code && e->index == tail + 1ULL && e->code == (uint32_t)code &&
	   e->type == OCTANS_EVT_JOB_ERROR && e->seqno == seqno && e->tag == seqno << 32 &&
	   status(rig, 0) == OCTANS_RING_HALTED &&
	   rd32(rig, OCTANS_RING(0) + OCTANS_RING_HEAD) == rig->tail[0],
	   "%s: status %d, event and registers agree", what, got);
	ok(rd64(rig, OCTANS_RING(0) + OCTANS_RING_FAULT_SEQNO) == seqno &&
	   (rd64(rig, OCTANS_RING(0) + OCTANS_RING_FAULT_CODE) & 0xffff) ==
	   (uint64_t)(code | code << 8), "%s: the FAULT registers", what);
	ok(rig_until(atomic_load(&rig->irqs[1]) == irqs + 1) &&
	   rig_until(atomic_load(&rig->irqs[0]) == evts + 1), "%s: both vectors", what);
	wr32(rig, OCTANS_REG_EVT_HEAD, tail + 1);
	rig_reset_ring(rig, 0);
}

static void test_bad_descriptors(struct rig *rig)
{
	struct octans_desc *d;

	rig_desc(rig, 0, ++seqno, 1, CODE + 8, 16);
	failed(rig, OCTANS_JOB_BAD_DESC, "unaligned stream");
	rig_desc(rig, 0, ++seqno, 1, CODE, 0);
	failed(rig, OCTANS_JOB_BAD_DESC, "empty stream");
	rig_desc(rig, 0, ++seqno, 1, CODE, 24);
	failed(rig, OCTANS_JOB_BAD_DESC, "size not a multiple of 16");
	rig_desc(rig, 0, ++seqno, 1, CODE, OCTANS_CMD_MAX + 16);
	failed(rig, OCTANS_JOB_BAD_DESC, "stream too long");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16)->flags = 4;
	failed(rig, OCTANS_JOB_BAD_DESC, "unknown flag");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16)->reserved[1] = 1;
	failed(rig, OCTANS_JOB_BAD_DESC, "reserved field");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16)->pad = 1;
	failed(rig, OCTANS_JOB_BAD_DESC, "the pad");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16)->param_count = OCTANS_PARAM_MAX + 1;
	failed(rig, OCTANS_JOB_BAD_DESC, "too many parameters");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16)->param_va = DATA;
	failed(rig, OCTANS_JOB_BAD_DESC, "an address of no parameters");
	d = rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	d->param_va = DATA + 2;
	d->param_count = 1;
	failed(rig, OCTANS_JOB_BAD_DESC, "unaligned parameters");
	d = rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	d->param_va = (1ULL << 48) - 4;
	d->param_count = 2;
	failed(rig, OCTANS_JOB_BAD_DESC, "parameters past 48 bits");
}

static void test_bad_streams(struct rig *rig)
{
	struct octans_cmd *c = (struct octans_cmd *)(rig->mem + RIG_DATA + 0x200);

	*c = (struct octans_cmd) { .op = OCTANS_OP_NOP, .size = 0 };
	rig_desc(rig, 0, ++seqno, 1, CODE + 0x200, 16);
	failed(rig, OCTANS_JOB_BAD_CMD, "command of no size");
	c->size = 8;
	rig_desc(rig, 0, ++seqno, 1, CODE + 0x200, 16);
	failed(rig, OCTANS_JOB_BAD_CMD, "command of 8 bytes");
	c->size = 32;
	rig_desc(rig, 0, ++seqno, 1, CODE + 0x200, 16);
	failed(rig, OCTANS_JOB_BAD_CMD, "command past the end of its stream");
	c->size = UINT32_MAX - 15;
	rig_desc(rig, 0, ++seqno, 1, CODE + 0x200, 0x800);
	failed(rig, OCTANS_JOB_BAD_CMD, "command of 4 GiB");
	c->size = 16;
	c->op = 0x1234;
	rig_desc(rig, 0, ++seqno, 1, CODE + 0x200, 16);
	failed(rig, OCTANS_JOB_BAD_CMD, "unknown command");
}

/* The newest failure stays, whatever becomes of its event. */
static void test_fault_registers(struct rig *rig)
{
	struct octans_cmd_copy c[2] = { cmd_copy(DATA, DATA + 0x100, 64), cmd_copy(0x9000000, DATA, 64) };
	uint64_t r = OCTANS_RING(0), ctrl = r + OCTANS_RING_CTRL;

	wr32(rig, OCTANS_REG_EVT_CTRL, 0);
	memcpy(rig->mem + RIG_DATA + 0x400, c, sizeof(c));
	ok(rig_run(rig, 0, ++seqno, 1, CODE + 0x400, sizeof(c)) == OCTANS_JOB_FAULT, "a fault, no queue");
	wr32(rig, ctrl, OCTANS_RING_RESET);
	ok(rig_until(!rd32(rig, ctrl)) && rd64(rig, r + OCTANS_RING_FAULT_SEQNO) == seqno &&
	   rd64(rig, r + OCTANS_RING_FAULT_VA) == 0x9000000 &&
	   rd64(rig, r + OCTANS_RING_FAULT_CODE) ==
	   (OCTANS_JOB_FAULT | OCTANS_FAULT_UNMAPPED << 8 | 1 << 16 |
	    (uint64_t)sizeof(c[0]) << 32), "survives the ring reset");
	rig->tail[0] = 0;
	wr32(rig, ctrl, OCTANS_RING_ENABLE);
	ok(!rd64(rig, r + OCTANS_RING_FAULT_SEQNO) && !rd64(rig, r + OCTANS_RING_FAULT_CODE),
	   "and is gone when the ring is enabled");
	wr32(rig, OCTANS_REG_EVT_CTRL, OCTANS_EVT_ENABLE);
}

static void test_no_seqno(struct rig *rig)
{
	uint64_t wb = rig_wb(rig, 0), r = OCTANS_RING(0);
	uint32_t tail = rd32(rig, OCTANS_REG_EVT_TAIL);

	rig_desc(rig, 0, 0, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED) &&
	   rig_event(rig, tail)->code == OCTANS_JOB_BAD_DESC && !rig_event(rig, tail)->seqno &&
	   rig_wb(rig, 0) == wb, "seqno 0: halt, event, no writeback");
	ok(!rig_event(rig, tail)->asid && !rig_event(rig, tail)->tag,
	   "an event without a seqno tells of no job");
	rig_reset_ring(rig, 0);
	rig_desc(rig, 0, 1ULL << 56, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED) && rig_wb(rig, 0) == wb &&
	   !rig_event(rig, tail + 1)->seqno && !rig_event(rig, tail + 1)->asid &&
	   !rig_event(rig, tail + 1)->tag, "seqno of 57 bits: the same");
	rig_reset_ring(rig, 0);

	wr32(rig, r + OCTANS_RING_CTRL, 0);
	wr64(rig, r + OCTANS_RING_BASE, 0xdead000000000ULL);
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	wr32(rig, OCTANS_DOORBELL(0), 1);
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED) &&
	   rig_event(rig, tail + 2)->code == OCTANS_JOB_BUS &&
	   rig_event(rig, tail + 2)->va == 0xdead000000000ULL, "ring in the void");
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_RESET);
	rig_ring(rig, 0, 4);

	wr32(rig, r + OCTANS_RING_CTRL, 0);
	wr64(rig, r + OCTANS_RING_WB, 0xbeef000000000ULL);
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED) &&
	   rig_until(rig_event(rig, tail + 3)->index == tail + 4) &&
	   rig_event(rig, tail + 3)->code == OCTANS_JOB_BUS &&
	   rig_event(rig, tail + 3)->va == 0xbeef000000000ULL && rig_event(rig, tail + 3)->write &&
	   rig_event(rig, tail + 3)->seqno == seqno, "writeback into the void");
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_RESET);
	rig_ring(rig, 0, 4);
	wr32(rig, OCTANS_REG_EVT_HEAD, tail + 4);
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "and back to work");
}

static void test_doorbells(struct rig *rig)
{
	uint32_t tail = rd32(rig, OCTANS_REG_EVT_TAIL);
	uint64_t r = OCTANS_RING(0);

	wr32(rig, OCTANS_DOORBELL(0), rig->tail[0]);
	rig_nap(5000);
	ok(!status(rig, 0), "a doorbell with nothing new");
	wr32(rig, OCTANS_DOORBELL(0), rig->tail[0] + 17);
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED) &&
	   rig_event(rig, tail)->code == OCTANS_JOB_BAD_DESC && !rig_event(rig, tail)->seqno,
	   "a doorbell beyond the ring halts it");
	rig_desc(rig, 0, 99, 1, CODE, 16);
	rig_bell(rig, 0);
	rig_nap(5000);
	ok(OCTANS_WB_SEQNO(rig_wb(rig, 0)) != 99, "a halted ring hears no doorbell");
	rig_reset_ring(rig, 0);
	wr32(rig, OCTANS_DOORBELL(0), UINT32_MAX);
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED), "far behind is far beyond");
	rig_reset_ring(rig, 0);
	rig_control(rig, "hang 0");
	for (int i = 0; i < 3; i++)
		rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	rig_bell(rig, 0);
	rig_until(rd64(rig, r + OCTANS_RING_SEQNO) == seqno - 2);
	wr32(rig, OCTANS_DOORBELL(0), 2);
	rig_control(rig, "hang 0 off");
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED) && rd32(rig, r + OCTANS_RING_HEAD) == 1 &&
	   rig_event(rig, tail + 2)->code == OCTANS_JOB_BAD_DESC &&
	   rd64(rig, r + OCTANS_RING_FAULT_CODE) == (OCTANS_JOB_BAD_DESC | OCTANS_JOB_BAD_DESC << 8),
	   "a doorbell that goes back halts it, too, after the job that runs");
	rig_reset_ring(rig, 0);
	wr32(rig, r + OCTANS_RING_CTRL, 0);
	wr32(rig, OCTANS_DOORBELL(0), 1);
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	rig_nap(5000);
	ok(!status(rig, 0) && !rd32(rig, r + OCTANS_RING_HEAD), "a disabled ring hears none either");
	wr32(rig, OCTANS_REG_EVT_HEAD, tail + 3);
	for (uint32_t v = 0; v < 5000; v++) {	/* nonsense at speed */
		wr32(rig, OCTANS_DOORBELL(v % 8), v * 2654435761u);
		if (v % 7 == 0)
			wr32(rig, OCTANS_RING(v % 8) + OCTANS_RING_CTRL, v % 4);
	}
	for (unsigned int i = 0; i < 4; i++) {
		wr32(rig, OCTANS_RING(i) + OCTANS_RING_CTRL, OCTANS_RING_RESET);
		rig_until(!(rd32(rig, OCTANS_RING(i) + OCTANS_RING_CTRL) & OCTANS_RING_RESET));
		rig_ring(rig, i, 4);
	}
	wr32(rig, OCTANS_REG_EVT_HEAD, rd32(rig, OCTANS_REG_EVT_TAIL));
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "5000 wild doorbells later");
}

/* A job that is not wanted any more, in the midst of others. */
static void test_skip(struct rig *rig)
{
	uint32_t tail = rd32(rig, OCTANS_REG_EVT_TAIL);
	uint32_t head = rd32(rig, OCTANS_RING(0) + OCTANS_RING_HEAD);
	unsigned int irqs = atomic_load(&rig->irqs[1]);
	uint64_t *out = rig_u64(rig, RIG_DATA + 0x1000);
	struct octans_cmd_signal s[2] = {
		{ .cmd = { OCTANS_OP_SIGNAL, OCTANS_SIGNAL_VALUE, sizeof(s[0]), 0 }, .va = DATA,
		  .value = 1 },
		{ .cmd = { OCTANS_OP_SIGNAL, OCTANS_SIGNAL_VALUE, sizeof(s[0]), 0 }, .va = DATA + 8,
		  .value = 2 },
	};
	struct octans_desc *first, *d;
	bool early = false;

	memcpy(rig->mem + RIG_DATA + 0x400, s, sizeof(s));
	out[0] = out[1] = 0;
	rig_control(rig, "hang 0");
	first = rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	first->flags = 0;
	d = rig_desc(rig, 0, ++seqno, 1, CODE + 0x400, sizeof(s[0]));
	rig_desc(rig, 0, ++seqno, 1, CODE + 0x400 + sizeof(s[0]), sizeof(s[0]))->flags = 0;
	rig_bell(rig, 0);
	rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno - 2);
	__atomic_store_n(&d->flags, OCTANS_DESC_SKIP | OCTANS_DESC_IRQ, __ATOMIC_RELEASE);
	__atomic_store_n(&first->flags, OCTANS_DESC_SKIP, __ATOMIC_RELEASE);	/* too late */
	early = OCTANS_WB_SEQNO(rig_wb(rig, 0)) >= seqno - 2;
	rig_control(rig, "hang 0 off");
	ok(!early && rig_ended(rig, 0, seqno) == OCTANS_JOB_OK && !out[0] && out[1] == 2,
	   "a job is skipped, those before and after it run");
	ok(rd32(rig, OCTANS_RING(0) + OCTANS_RING_HEAD) == head + 3 && !status(rig, 0) &&
	   rd32(rig, OCTANS_REG_EVT_TAIL) == tail &&
	   rig_until(atomic_load(&rig->irqs[1]) == irqs + 1),
	   "HEAD counts it, its IRQ comes, there is no event and no halt");
	d = rig_desc(rig, 0, ++seqno, 999, CODE + 3, 7);
	d->flags = OCTANS_DESC_SKIP;
	d->pad = 1;
	rig_bell(rig, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_SKIPPED, "nothing else of it is looked at");
	rig_desc(rig, 0, 0, 1, CODE, 16)->flags = OCTANS_DESC_SKIP;
	rig_bell(rig, 0);
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED) &&
	   rig_event(rig, tail)->code == OCTANS_JOB_BAD_DESC, "but its seqno is");
	rig_reset_ring(rig, 0);
	wr32(rig, OCTANS_REG_EVT_HEAD, tail + 1);
}

/* A job that copies @n KiB @times over; its stream is in the large area. */
static uint32_t long_job(struct rig *rig, int times)
{
	struct octans_cmd_copy c = cmd_copy(DATA, DATA + 0x4000, 0x4000);

	*rig_pte(rig, 1, 0x200000000, 1) = (RIG_IOVA + RIG_LARGE) | OCTANS_PTE_VALID |
					   OCTANS_PTE_LARGE;
	for (int i = 0; i < times; i++)
		memcpy(rig->mem + RIG_LARGE + i * sizeof(c), &c, sizeof(c));
	return times * sizeof(c);
}

static void test_reset(struct rig *rig)
{
	uint64_t r = OCTANS_RING(0), wb = rig_wb(rig, 0), cycles;
	uint32_t size = long_job(rig, 40000);

	rig_desc(rig, 0, ++seqno, 1, 0x200000000, size);
	rig_bell(rig, 0);
	ok(rig_until(rd64(rig, r + OCTANS_RING_SEQNO) == seqno), "a long job runs");
	ok(status(rig, 0) & OCTANS_RING_BUSY && rd64(rig, r + OCTANS_RING_SINCE), "BUSY, SINCE");
	ok(rig_run(rig, 1, 5, 1, CODE, 16) == OCTANS_JOB_OK, "another ring runs beside it");
	ok(rig_reset_ring(rig, 0), "the ring is reset in mid-job");
	ok(!rd32(rig, r + OCTANS_RING_HEAD) && !status(rig, 0) && rig_wb(rig, 0) == wb &&
	   rd64(rig, r + OCTANS_RING_BASE) && rd64(rig, r + OCTANS_RING_WB) &&
	   rd32(rig, r + OCTANS_RING_LOG2) == 4, "no writeback; place kept; counts at 0");
	cycles = rd64(rig, r + OCTANS_RING_CYCLES);
	memset(rig->mem + RIG_DATA + 0x1000, 0, 0x4000);
	rig_nap(20000);
	ok(rd64(rig, r + OCTANS_RING_CYCLES) == cycles && !rig->mem[RIG_DATA + 0x1000],
	   "nothing moves after the reset");
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "the next job runs");

	rig_control(rig, "fail-reset ring 0");
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_RESET);
	rig_nap(20000);
	ok(rd32(rig, r + OCTANS_RING_CTRL) == OCTANS_RING_RESET &&
	   status(rig, 0) & OCTANS_RING_RESETTING, "a reset that never completes");
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	ok(!(rd32(rig, r + OCTANS_RING_CTRL) & OCTANS_RING_ENABLE), "does not let the ring on");
	rig_desc(rig, 1, 6, 1, 0x200000000, size);
	rig_bell(rig, 1);
	rig_until(rd64(rig, OCTANS_RING(1) + OCTANS_RING_SEQNO) == 6);
	wr32(rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ok(rig_until(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY) &&
	   !rd32(rig, r + OCTANS_RING_CTRL), "until the device is reset, mid-job on ring 1");
	ok(OCTANS_WB_SEQNO(rig_wb(rig, 1)) == 5, "whose job never ends");
	rig_start(rig);
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "all set up again");
}

static void test_pause(struct rig *rig)
{
	uint64_t r = OCTANS_RING(0);
	uint32_t size = long_job(rig, 40000);

	rig_desc(rig, 0, ++seqno, 1, 0x200000000, size);
	rig_bell(rig, 0);
	rig_until(rd64(rig, r + OCTANS_RING_SEQNO) == seqno);
	rig_desc(rig, 0, seqno + 1, 1, CODE, 16);
	rig_bell(rig, 0);
	wr32(rig, r + OCTANS_RING_CTRL, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK, "a disabled ring ends the job it runs");
	rig_nap(20000);
	ok(OCTANS_WB_SEQNO(rig_wb(rig, 0)) == seqno, "and begins none");
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	ok(rig_ended(rig, 0, seqno + 1) == OCTANS_JOB_OK, "until it is enabled");
	seqno++;
}

/* A ring that is disabled and not BUSY has begun nothing, and begins nothing. */
static void test_pause_at_once(struct rig *rig)
{
	uint64_t r = OCTANS_RING(0);
	int late = 0, moved = 0;

	for (int i = 0; i < 200; i++) {
		uint32_t head;

		/* So that it takes the ring a while to come to the descriptor. */
		for (int n = 0; n < 60; n++)
			rig_forget(rig, OCTANS_INVALIDATE_ASID(7));
		rig_desc(rig, 0, ++seqno, 1, CODE, 16);
		rig_bell(rig, 0);
		rig_nap(i);
		wr32(rig, r + OCTANS_RING_CTRL, 0);
		while (status(rig, 0) & OCTANS_RING_BUSY)
			;
		head = rd32(rig, r + OCTANS_RING_HEAD);
		wr64(rig, r + OCTANS_RING_WB, RIG_IOVA + RIG_WB + 32);
		rig_nap(300);
		late += rd32(rig, r + OCTANS_RING_HEAD) != head;
		moved += rig_u64(rig, RIG_WB + 32)[0] != 0;
		rig_u64(rig, RIG_WB + 32)[0] = 0;
		wr64(rig, r + OCTANS_RING_WB, RIG_IOVA + RIG_WB);
		wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
		rig_ended(rig, 0, seqno);
	}
	ok(!late, "of a ring that is disabled and not BUSY no job begins (%d did)", late);
	ok(!moved, "and none ends where its writeback has been moved to (%d did)", moved);
}

static void test_event_overflow(struct rig *rig)
{
	uint32_t tail = rd32(rig, OCTANS_REG_EVT_TAIL);

	wr32(rig, OCTANS_REG_EVT_HEAD, tail);
	for (int i = 0; i < 20; i++) {
		rig_run(rig, 0, ++seqno, 1, CODE + 0x200, 16);
		rig_reset_ring(rig, 0);
	}
	ok(rd32(rig, OCTANS_REG_EVT_TAIL) == tail + 16 && rd32(rig, OCTANS_REG_EVT_DROPPED) == 4,
	   "16 records, 4 dropped");
	ok(rig_event(rig, tail)->seqno == seqno - 19, "the oldest stays");
	wr32(rig, OCTANS_REG_EVT_HEAD, tail + 16);
	rig_run(rig, 0, ++seqno, 1, CODE + 0x200, 16);
	ok(rd32(rig, OCTANS_REG_EVT_TAIL) == tail + 17 &&
	   rig_event(rig, tail + 16)->index == tail + 17ULL, "room again");
	rig_reset_ring(rig, 0);
}

/* What the manual does not define is listed. */
static void test_unknown_opcode(struct rig *rig)
{
	struct octans_cmd *c = (struct octans_cmd *)(rig->mem + RIG_DATA + 0x200);
	char reply[4096];

	*c = (struct octans_cmd) { .op = 0x1234, .size = 16 };
	rig_run(rig, 0, ++seqno, 1, CODE + 0x200, 16);
	rig_reset_ring(rig, 0);
	wr32(rig, OCTANS_REG_EVT_HEAD, rd32(rig, OCTANS_REG_EVT_TAIL));
	sim_control(rig->dev, "undefined", reply, sizeof(reply));
	ok(strstr(reply, "opcode=0x1234/16"), "\"undefined\" tells of opcode 0x1234");
	sim_control(rig->dev, "stat", reply, sizeof(reply));
	ok(strstr(reply, "commands=") && strstr(reply, "busy_local=") && strstr(reply, "tlb_misses="),
	   "\"stat\" tells the counters");
}

static atomic_bool no_memory;

/* Takes libc's place: what a command needs for itself comes from here. */
void *aligned_alloc(size_t align, size_t size)
{
	void *p;

	return atomic_load(&no_memory) || posix_memalign(&p, align, size) ? NULL : p;
}

/* The host has no memory for a command: BUS, and no address. */
static void test_no_memory(struct rig *rig)
{
	struct octans_cmd_matmul c = {
		.cmd = { .op = OCTANS_OP_MATMUL, .size = sizeof(c) },
		.x = { .va = DATA, .stride = 128, .rows = 1, .cols = 32 },
		.w = { .va = DATA + 128, .stride = 34, .rows = 1, .cols = 32,
		       .type = OCTANS_TYPE_Q8_0 },
		.dst = { .va = DATA + 256, .stride = 4, .rows = 1, .cols = 1 },
		.planes = 1,
	};
	uint32_t tail = rd32(rig, OCTANS_REG_EVT_TAIL);

	memcpy(rig->mem + RIG_DATA + 0x800, &c, sizeof(c));
	ok(rig_run(rig, 0, ++seqno, 1, CODE + 0x800, sizeof(c)) == OCTANS_JOB_OK, "MATMUL");
	atomic_store(&no_memory, true);
	ok(rig_run(rig, 0, ++seqno, 1, CODE + 0x800, sizeof(c)) == OCTANS_JOB_BUS &&
	   rig_event(rig, tail)->code == OCTANS_JOB_BUS && !rig_event(rig, tail)->va &&
	   rig_event(rig, tail)->seqno == seqno, "without memory: BUS, and an event that says so");
	atomic_store(&no_memory, false);
	rig_reset_ring(rig, 0);
	wr32(rig, OCTANS_REG_EVT_HEAD, tail + 1);
}

/* Nothing is sent once bus mastering is off. */
static void test_quiet(struct rig *rig)
{
	unsigned int bad = 0, before;

	for (int i = 0; i < 300; i++) {
		rig_desc(rig, 0, ++seqno, 1, CODE, 16);
		rig_bell(rig, 0);
		rig_nap(i % 30);
		sim_set_bus_master(rig->dev, false);
		before = atomic_load(&rig->irqs[1]);
		rig_nap(20);
		bad += atomic_load(&rig->irqs[1]) != before;
		sim_set_bus_master(rig->dev, true);
		if (!rig_reset_ring(rig, 0))
			break;
	}
	ok(!bad, "no message after bus mastering was cleared, 300 times");
	wr32(rig, OCTANS_REG_EVT_HEAD, rd32(rig, OCTANS_REG_EVT_TAIL));
}

static void test_removal(struct rig *rig)
{
	uint64_t wb;
	unsigned int irqs;

	rig_desc(rig, 0, ++seqno, 1, 0x200000000, long_job(rig, 40000));
	rig_bell(rig, 0);
	rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno);
	wb = rig_wb(rig, 0);
	irqs = atomic_load(&rig->irqs[1]);
	sim_remove(rig->dev);
	memset(rig->mem + RIG_DATA + 0x1000, 0x11, 0x4000);
	rig_nap(20000);
	ok(rig_wb(rig, 0) == wb && rig->mem[RIG_DATA + 0x1000] == 0x11 &&
	   atomic_load(&rig->irqs[1]) == irqs, "removed in mid-job: no DMA, no interrupt");
	ok(status(rig, 0) == UINT32_MAX, "all-ones");
	sim_restore(rig->dev);
	sim_set_bus_master(rig->dev, true);
	rig_start(rig);
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK, "back, and set up: it works");
}

/* As many rings as there can be, each with its registers, its page and its vector. */
static void test_many(void)
{
	struct sim_config config = {
		.local_size = 16 << 20, .threads = 1, .rings = OCTANS_MAX_RINGS,
	};
	struct octans_cmd nop = cmd_nop();
	struct rig rig;
	int good = 0;

	rig_new_with(&rig, &config);
	rig_map(&rig, 1, CODE, RIG_DATA, 0x1000, 0);
	memcpy(rig.mem + RIG_DATA, &nop, sizeof(nop));
	rig_start(&rig);
	for (unsigned int r = 0; r < OCTANS_MAX_RINGS; r++) {
		rig_desc(&rig, r, 1 + r, 1, CODE, 16);
		rig_bell(&rig, r);
	}
	for (unsigned int r = 0; r < OCTANS_MAX_RINGS; r++)
		good += rig_ended(&rig, r, 1 + r) == OCTANS_JOB_OK &&
			rig_until(atomic_load(&rig.irqs[1 + r]) == 1) &&
			rd32(&rig, OCTANS_RING(r) + OCTANS_RING_HEAD) == 1;
	ok(OCTANS_CAPS_RINGS(rd64(&rig, OCTANS_REG_CAPS)) == 16 && good == 16, "16 rings: %d work",
	   good);
	ok(sim_reg_read(rig.dev, OCTANS_DOORBELL(15) + 0x1000, 4) == 0 &&
	   sim_reg_read(rig.dev, OCTANS_RING(16), 4) == 0, "behind them there is nothing");
	rig_free(&rig);
}

int main(void)
{
	struct rig rig;

	rig_new(&rig, NULL);
	set_up(&rig);
	test_normal(&rig);
	test_signal(&rig);
	test_wait(&rig);
	test_params(&rig);
	test_bad_descriptors(&rig);
	test_bad_streams(&rig);
	test_fault_registers(&rig);
	test_no_seqno(&rig);
	test_doorbells(&rig);
	test_skip(&rig);
	test_reset(&rig);
	test_pause(&rig);
	test_pause_at_once(&rig);
	test_event_overflow(&rig);
	test_unknown_opcode(&rig);
	test_no_memory(&rig);
	test_quiet(&rig);
	test_removal(&rig);
	rig_free(&rig);
	test_many();
	return done();
}
