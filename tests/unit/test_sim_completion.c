// SPDX-License-Identifier: MIT
/* The completion ring: what its records say, and when they are there. */
#include "sim_rig.h"

#define CODE	0x10000ULL
#define DATA	0x20000ULL
#define VOID	0xcafe000000000ULL
#define LOG2	4
#define CQ	(RIG_DATA + 0x10000)	/* of ring 0 */

static uint64_t seqno, number;		/* of the newest job; of descriptors since the reset */

static struct octans_completion *record(struct rig *rig, uint64_t n)
{
	return (struct octans_completion *)(rig->mem + CQ) + n % (1 << LOG2);
}

static uint64_t index_of(struct rig *rig, uint64_t n)
{
	return atomic_load((_Atomic uint64_t *)&record(rig, n)->index);
}

/* Puts the ring into the state that a reset leaves, with a completion ring at @cq. */
static bool begin(struct rig *rig, uint64_t cq, uint32_t log2)
{
	uint64_t r = OCTANS_RING(0);

	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_RESET);
	rig_until(!rd32(rig, r + OCTANS_RING_CTRL));
	memset(rig->mem + CQ, 0, sizeof(struct octans_completion) << LOG2);
	wr64(rig, r + OCTANS_RING_CQ_BASE, cq);
	wr32(rig, r + OCTANS_RING_CQ_LOG2, log2);
	rig_ring(rig, 0, LOG2);
	number = 0;
	return rd32(rig, r + OCTANS_RING_CTRL) == OCTANS_RING_ENABLE;
}

static void test_enable(struct rig *rig)
{
	uint64_t r = OCTANS_RING(0), cq = RIG_IOVA + CQ;

	ok(!begin(rig, cq, LOG2 - 1), "a completion ring shorter than the ring does not do");
	ok(!begin(rig, cq, 13), "nor one that is longer than any ring");
	ok(!begin(rig, cq, UINT32_MAX), "nor one of no sensible length");
	ok(!begin(rig, cq + 32, LOG2), "nor a crooked address");
	ok(begin(rig, cq + 32, 0), "which does not matter without one");
	ok(begin(rig, cq, LOG2 + 1), "one that is longer than the ring does");
	wr64(rig, r + OCTANS_RING_CQ_BASE, VOID);
	wr32(rig, r + OCTANS_RING_CQ_LOG2, 0);
	ok(rd64(rig, r + OCTANS_RING_CQ_BASE) == cq &&
	   rd32(rig, r + OCTANS_RING_CQ_LOG2) == LOG2 + 1,
	   "its place is fixed while the ring is enabled");
}

static void test_records(struct rig *rig)
{
	uint64_t cycles, sum = 0, before = rd64(rig, OCTANS_REG_TIME_NS), last = before;
	struct octans_cmd nops[3] = { cmd_nop(), cmd_nop(), cmd_nop() };
	int late = 0, wrong = 0;

	begin(rig, RIG_IOVA + CQ, LOG2);
	cycles = rd64(rig, OCTANS_RING(0) + OCTANS_RING_CYCLES);
	memcpy(rig->mem + RIG_DATA, nops, sizeof(nops));
	for (int i = 0; i < 1000; i++, number++) {
		const struct octans_completion *c = record(rig, number);

		seqno++;
		rig_desc(rig, 0, seqno, 1, CODE, 16 * (1 + i % 3))->tag = seqno * 7;
		rig_bell(rig, 0);
		/* Without a look at anything else: what the index promises must be there. */
		while (i % 2 && index_of(rig, number) != number + 1)
			;
		if (i % 2 == 0)
			rig_ended(rig, 0, seqno);
		late += c->index != number + 1;
		wrong += c->seqno != seqno || c->status != OCTANS_JOB_OK || c->tag != seqno * 7 ||
			 c->commands != 1U + i % 3 || c->start_ns < last ||
			 c->end_ns < c->start_ns || c->reserved;
		last = c->end_ns;
		sum += c->cycles;
	}
	ok(!late, "the record is there before the writeback (%d of 1000 were not)", late);
	ok(!wrong, "and whole before its index (%d were not)", wrong);
	ok(last < rd64(rig, OCTANS_REG_TIME_NS) &&
	   rd64(rig, OCTANS_RING(0) + OCTANS_RING_CYCLES) - cycles == sum,
	   "the cycles of jobs make up those of the ring");
	for (int i = 0; i < 16; i++)
		rig_desc(rig, 0, ++seqno, 1, CODE, 16)->flags = i % 3 ? OCTANS_DESC_SKIP : 0;
	rig_bell(rig, 0);
	rig_ended(rig, 0, seqno);
	wrong = 0;
	for (int i = 0; i < 16; i++, number++) {
		const struct octans_completion *c = record(rig, number);

		wrong += c->index != number + 1 || c->seqno != seqno - 15 + i ||
			 c->status != (i % 3 ? OCTANS_JOB_SKIPPED : OCTANS_JOB_OK) ||
			 c->commands != (i % 3 ? 0 : 1);
	}
	ok(!wrong, "a ring full of jobs, some skipped: each has its record");
}

/* Runs a job on a ring that has a completion ring or not, and the writeback at @wb. */
static uint32_t status_with(struct rig *rig, uint32_t log2, uint64_t wb)
{
	uint64_t r = OCTANS_RING(0);

	begin(rig, RIG_IOVA + CQ, log2);
	wr32(rig, r + OCTANS_RING_CTRL, 0);
	wr64(rig, r + OCTANS_RING_WB, wb);
	wr32(rig, r + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	rig_desc(rig, 0, ++seqno, 1, CODE, 16)->flags = OCTANS_DESC_IRQ;
	rig_bell(rig, 0);
	rig_until(rd32(rig, r + OCTANS_RING_HEAD) == 1);
	rig_nap(20000);
	return rd32(rig, r + OCTANS_RING_STATUS);
}

static void test_quiet(struct rig *rig)
{
	uint64_t before = *rig_u64(rig, RIG_WB);

	ok(status_with(rig, LOG2, 0) == 0 && index_of(rig, 0) == 1 && *rig_u64(rig, RIG_WB) == before,
	   "a completion ring may be all that a ring writes");
	ok(status_with(rig, 0, 0) == OCTANS_RING_HALTED,
	   "without one 0 is an address like any other, here of nothing");
	begin(rig, RIG_IOVA + CQ, LOG2);
	seqno++;	/* of which no record is left */
}

static void test_failures(struct rig *rig)
{
	struct octans_cmd_copy c[2] = {
		cmd_copy(DATA, DATA + 0x100, 64), cmd_copy(0x9000000, DATA, 64),
	};

	memcpy(rig->mem + RIG_DATA + 0x100, c, sizeof(c));
	ok(rig_run(rig, 0, ++seqno, 1, CODE + 0x100, sizeof(c)) == OCTANS_JOB_FAULT &&
	   index_of(rig, number) == number + 1 && record(rig, number)->status == OCTANS_JOB_FAULT &&
	   record(rig, number)->commands == 2, "a job that fails has one");
	begin(rig, RIG_IOVA + CQ, LOG2);
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK && index_of(rig, 0) == 1 &&
	   record(rig, 0)->seqno == seqno, "after a ring reset they begin again");
	rig_desc(rig, 0, 0, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_until(rd32(rig, OCTANS_RING(0) + OCTANS_RING_STATUS) & OCTANS_RING_HALTED) &&
	   !index_of(rig, 1), "a descriptor without a seqno has none");
	begin(rig, RIG_IOVA + CQ, LOG2);

	/* Its place is not written to by a job that a reset drops. */
	rig_run(rig, 0, ++seqno, 1, CODE, 16);
	rig_control(rig, "hang 0");
	rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	rig_bell(rig, 0);
	rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno);
	ok(rig_reset_ring(rig, 0) && !index_of(rig, 1) && record(rig, 0)->seqno == seqno - 1 &&
	   rd32(rig, OCTANS_RING(0) + OCTANS_RING_CQ_LOG2) == LOG2,
	   "nor has a job that a reset drops; the place is kept");
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK && record(rig, 0)->seqno == seqno,
	   "the next one takes slot 0");
}

/* Records that nobody can see. */
static void test_bus(struct rig *rig)
{
	uint32_t tail;

	wr32(rig, OCTANS_REG_EVT_HEAD, rd32(rig, OCTANS_REG_EVT_TAIL));
	tail = rd32(rig, OCTANS_REG_EVT_TAIL);
	begin(rig, VOID, LOG2);
	rig_desc(rig, 0, ++seqno, 1, CODE, 16)->flags = 0;
	rig_desc(rig, 0, seqno + 1, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_OK &&
	   rig_until(rd32(rig, OCTANS_RING(0) + OCTANS_RING_STATUS) & OCTANS_RING_HALTED) &&
	   rd32(rig, OCTANS_RING(0) + OCTANS_RING_HEAD) == 1,
	   "a record into the void halts the ring, the writeback is made");
	ok(rig_event(rig, tail)->index == tail + 1ULL &&
	   rig_event(rig, tail)->code == OCTANS_JOB_BUS &&
	   rig_event(rig, tail)->va == VOID && rig_event(rig, tail)->write &&
	   rig_event(rig, tail)->seqno == seqno &&
	   rd64(rig, OCTANS_RING(0) + OCTANS_RING_FAULT_VA) == VOID, "and an event says where");
	seqno++;
	begin(rig, UINT64_MAX - 63, LOG2);
	rig_desc(rig, 0, ++seqno, 1, CODE, 16);
	rig_bell(rig, 0);
	ok(rig_until(rd32(rig, OCTANS_RING(0) + OCTANS_RING_STATUS) & OCTANS_RING_HALTED),
	   "so does one at the end of all addresses");
	begin(rig, RIG_IOVA + CQ, LOG2);
	ok(rig_run(rig, 0, ++seqno, 1, CODE, 16) == OCTANS_JOB_OK && index_of(rig, 0) == 1,
	   "and back to work");
}

int main(void)
{
	struct octans_cmd nop = cmd_nop();
	struct rig rig;

	rig_new(&rig, NULL);
	rig_map(&rig, 1, CODE, RIG_DATA, 0x1000, 0);
	rig_map(&rig, 1, DATA, RIG_DATA + 0x1000, 0x8000, OCTANS_PTE_WRITE);
	memcpy(rig.mem + RIG_DATA, &nop, sizeof(nop));
	rig_start(&rig);
	test_enable(&rig);
	test_records(&rig);
	test_quiet(&rig);
	test_failures(&rig);
	test_bus(&rig);
	rig_free(&rig);
	return done();
}
