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

/* The timestamp command knows the ring's cycles and the device's time. */
static void test_timestamp(struct rig *rig)
{
	struct octans_cmd_timestamp ts = {
		.cmd = { .op = OCTANS_OP_TIMESTAMP, .size = sizeof(ts) }, .va = DATA,
	};
	uint64_t before = rd64(rig, OCTANS_RING(0) + OCTANS_RING_CYCLES);
	uint64_t *out = rig_u64(rig, RIG_DATA + 0x1000);

	memcpy(rig->mem + RIG_DATA + 0x100, &ts, sizeof(ts));
	ok(rig_run(rig, 0, ++seqno, 1, CODE + 0x100, sizeof(ts)) == OCTANS_JOB_OK, "TIMESTAMP");
	ok(out[0] == before && out[1] && out[1] < rd64(rig, OCTANS_REG_TIME_NS),
	   "tells cycles and time: %llu, %llu", (unsigned long long)out[0],
	   (unsigned long long)out[1]);
	ok(rd64(rig, OCTANS_RING(0) + OCTANS_RING_CYCLES) > before, "cycles were spent");
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
	ok(rig_until(atomic_load(&rig->irqs[1]) == irqs + 1) &&
	   rig_until(atomic_load(&rig->irqs[0]) == evts + 1), "%s: both vectors", what);
	wr32(rig, OCTANS_REG_EVT_HEAD, tail + 1);
	rig_reset_ring(rig, 0);
}

static void test_bad_descriptors(struct rig *rig)
{
	rig_desc(rig, 0, ++seqno, 1, CODE + 8, 16);
	failed(rig, OCTANS_JOB_BAD_DESC, "unaligned stream");
	rig_desc(rig, 0, ++seqno, 1, CODE, 0);
	failed(rig, OCTANS_JOB_BAD_DESC, "empty stream");
	rig_desc(rig, 0, ++seqno, 1, CODE, 24);
	failed(rig, OCTANS_JOB_BAD_DESC, "size not a multiple of 16");
	rig_desc(rig, 0, ++seqno, 1, CODE, OCTANS_CMD_MAX + 16);
	failed(rig, OCTANS_JOB_BAD_DESC, "stream too long");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16)->flags = 2;
	failed(rig, OCTANS_JOB_BAD_DESC, "unknown flag");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16)->reserved[3] = 1;
	failed(rig, OCTANS_JOB_BAD_DESC, "reserved field");
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

static void test_no_seqno(struct rig *rig)
{
	uint64_t wb = rig_wb(rig, 0), r = OCTANS_RING(0);
	uint32_t tail = rd32(rig, OCTANS_REG_EVT_TAIL);

	rig_desc(rig, 0, 0, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED) &&
	   rig_event(rig, tail)->code == OCTANS_JOB_BAD_DESC && !rig_event(rig, tail)->seqno &&
	   rig_wb(rig, 0) == wb, "seqno 0: halt, event, no writeback");
	rig_reset_ring(rig, 0);
	rig_desc(rig, 0, 1ULL << 56, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED) && rig_wb(rig, 0) == wb,
	   "seqno of 57 bits: the same");
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
	ok(rig_until(status(rig, 0) & OCTANS_RING_HALTED), "a doorbell that goes back halts it, too");
	rig_reset_ring(rig, 0);
	wr32(rig, r + OCTANS_RING_CTRL, 0);
	wr32(rig, OCTANS_DOORBELL(0), 1);
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	rig_nap(5000);
	ok(!status(rig, 0) && !rd32(rig, r + OCTANS_RING_HEAD), "a disabled ring hears none either");
	wr32(rig, OCTANS_REG_EVT_HEAD, tail + 2);
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

	atomic_store(&rig->dev->ring[0].inject.fail_reset, 1);
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

int main(void)
{
	struct rig rig;

	rig_new(&rig, NULL);
	set_up(&rig);
	test_normal(&rig);
	test_timestamp(&rig);
	test_bad_descriptors(&rig);
	test_bad_streams(&rig);
	test_no_seqno(&rig);
	test_doorbells(&rig);
	test_reset(&rig);
	test_pause(&rig);
	test_event_overflow(&rig);
	test_removal(&rig);
	rig_free(&rig);
	return done();
}
