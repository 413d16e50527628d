// SPDX-License-Identifier: MIT
/*
 * The module's rings against a processor that does what the manual allows: it reads descriptors
 * when it is told of them, ends jobs well or badly, loses writebacks or writes others', and is
 * reset.
 */
#include <stdlib.h>
#include <string.h>

#include "../../kmod/octans_ring.c"
#include "tap.h"

#define ENTRIES	16u

/* The processor. */
static struct {
	u64 base, wb;
	u32 log2, ctrl, status, head, bell, vector;
	u64 seqno, progress;
	bool stuck;	/* a reset does not complete */
	u32 bells;
} hw;

static u8 regs[0x100], bell[4];
static struct octans_desc descs[ENTRIES];
static struct octans_job *slots[ENTRIES];
static __le64 wb;
static struct octans_ring ring = {
	.regs = regs, .bell = bell, .descs = descs, .jobs = slots, .wb = &wb,
	.descs_dma = 0x1000, .wb_dma = 0x2000, .log2 = 4, .vector = 3,
};

static void writel(u32 value, void *reg)
{
	if (reg == bell) {
		hw.bells++;
		if (hw.ctrl & OCTANS_RING_ENABLE)
			hw.bell = value;
		return;
	}
	switch ((u8 *)reg - regs) {
	case OCTANS_RING_LOG2:
		hw.log2 = value;
		break;
	case OCTANS_RING_VECTOR:
		hw.vector = value;
		break;
	case OCTANS_RING_CTRL:
		if (value & OCTANS_RING_RESET) {
			hw.ctrl = hw.stuck ? OCTANS_RING_RESET : 0;
			hw.head = 0;
			hw.bell = 0;
			hw.seqno = 0;
			hw.status = 0;
		} else {
			hw.ctrl = value;
		}
		break;
	}
}

static void writeq(u64 value, void *reg)
{
	if ((u8 *)reg - regs == OCTANS_RING_BASE)
		hw.base = value;
	else if ((u8 *)reg - regs == OCTANS_RING_WB)
		hw.wb = value;
}

static u32 readl(const void *reg)
{
	switch ((const u8 *)reg - regs) {
	case OCTANS_RING_HEAD:
		return hw.head;
	case OCTANS_RING_STATUS:
		return hw.status;
	}
	return hw.ctrl;
}

static u64 readq(const void *reg)
{
	return (const u8 *)reg - regs == OCTANS_RING_SEQNO ? hw.seqno : hw.progress;
}

/* The next job ends; returns its seqno, or 0: there is none that the processor knows of. */
static u64 run_one(u32 status, bool write)
{
	const struct octans_desc *d = &descs[hw.head % ENTRIES];

	if (hw.head == hw.bell || !(hw.ctrl & OCTANS_RING_ENABLE) || hw.status & OCTANS_RING_HALTED)
		return 0;
	hw.head++;
	if (status)
		hw.status |= OCTANS_RING_HALTED;
	if (write)
		wb = OCTANS_WB(d->seqno, status);
	return d->seqno;
}

static struct octans_job *job(u64 n)
{
	return (struct octans_job *)(uintptr_t)(n * 16);
}

static u64 put(u64 n)
{
	struct octans_desc d = { .cmd_va = n, .tag = ~n };

	return octans_ring_put(&ring, job(n), &d);
}

static enum octans_news news(u64 *seqno, u32 *status)
{
	return octans_ring_news(&ring, seqno, status);
}

static void starts(void)
{
	octans_ring_start(&ring);
	ok(hw.base == 0x1000 && hw.wb == 0x2000 && hw.log2 == 4 && hw.vector == 3 &&
	   hw.ctrl == OCTANS_RING_ENABLE, "a ring is programmed and enabled");
	ok(!octans_ring_count(&ring) && !octans_ring_full(&ring), "it is empty");
}

static void a_batch(void)
{
	u64 seqno, first = ring.seqno + 1;
	u32 status, i;

	hw.bells = 0;
	for (i = 0; i < 5; i++)
		put(i + 1);
	ok(!hw.bells && !run_one(0, true), "the processor knows of no descriptor before the bell");
	octans_ring_bell(&ring);
	octans_ring_bell(&ring);
	ok(hw.bells == 1, "five descriptors cost one bell");
	for (i = 0; i < 4 && !descs[(first - 1 + i) % ENTRIES].flags; i++)
		;
	ok(i == 4 && descs[(first + 3) % ENTRIES].flags == OCTANS_DESC_IRQ,
	   "the last of them interrupts, the others do not");
	ok(news(&seqno, &status) == OCTANS_NEWS_NONE, "no news at first");
	run_one(0, true);
	run_one(0, true);
	ok(news(&seqno, &status) == OCTANS_NEWS_ENDED && seqno == first + 1, "two have ended");
	ok(*octans_ring_slot(&ring, first + 1) == job(2), "each is found by its seqno");
	ring.done = seqno;
	ok(news(&seqno, &status) == OCTANS_NEWS_NONE && octans_ring_count(&ring) == 3,
	   "news that were taken are none");
	run_one(0, true);
	run_one(OCTANS_JOB_FAULT, true);
	ok(news(&seqno, &status) == OCTANS_NEWS_FAILED && seqno == first + 3 &&
	   octans_ring_errno(status) == -EFAULT && !run_one(0, true),
	   "one fails, and the ring stands");
	ring.done = seqno - 1;
	ok(news(&seqno, &status) == OCTANS_NEWS_FAILED, "it is still the one");
}

static void nonsense(void)
{
	u64 seqno, last;
	u32 status;

	octans_ring_reset(&ring);
	octans_ring_start(&ring);
	put(1);
	octans_ring_bell(&ring);
	last = put(2);		/* the processor has not been told */
	wb = OCTANS_WB(last, OCTANS_JOB_OK);
	ok(news(&seqno, &status) == OCTANS_NEWS_NONSENSE, "what was not rung cannot have ended");
	wb = OCTANS_WB(last + 1, OCTANS_JOB_OK);
	ok(news(&seqno, &status) == OCTANS_NEWS_NONSENSE, "what was not put cannot");
	wb = OCTANS_WB(ring.done - 1, OCTANS_JOB_OK);
	ok(news(&seqno, &status) == OCTANS_NEWS_NONSENSE, "a writeback does not go back");
	wb = OCTANS_WB(ring.done, OCTANS_JOB_BUS);
	ok(news(&seqno, &status) == OCTANS_NEWS_NONSENSE, "what ended well does not fail later");
	wb = OCTANS_WB(ring.done + 1, 255);
	ok(news(&seqno, &status) == OCTANS_NEWS_FAILED && octans_ring_errno(status) == -EIO,
	   "an unknown status is a failure");
	octans_ring_bell(&ring);
}

static void lost_writeback(void)
{
	struct octans_look look;

	octans_ring_reset(&ring);
	octans_ring_start(&ring);
	put(1);
	put(2);
	octans_ring_bell(&ring);
	octans_ring_look(&ring, &look);
	ok(!octans_ring_passed(&ring, &look), "nothing has passed");
	run_one(0, false);
	octans_ring_look(&ring, &look);
	ok(octans_ring_passed(&ring, &look) == 1, "the count shows what the writeback does not");
	look.head = UINT32_MAX;
	ok(!octans_ring_passed(&ring, &look), "a device that is gone has counted nothing");
	look.head = 3;
	ok(!octans_ring_passed(&ring, &look), "nor has one that counts more than there were");
	ring.done++;
	look.head = 0;
	ok(!octans_ring_passed(&ring, &look), "a look older than what is known says nothing");
}

static void resets(void)
{
	u64 before = ring.seqno, seqno;
	u32 status;

	ok(!octans_ring_reset(&ring), "a reset completes");
	octans_ring_start(&ring);
	seqno = put(7);
	octans_ring_bell(&ring);
	ok(seqno == before + 1 && hw.bell == 1, "counts begin anew, seqnos go on");
	run_one(0, true);
	ok(news(&seqno, &status) == OCTANS_NEWS_ENDED && seqno == before + 1,
	   "and mean what they say");
	hw.stuck = true;
	ok(octans_ring_reset(&ring) == -ETIMEDOUT, "a reset that does not complete is told");
	hw.stuck = false;
	octans_ring_reset(&ring);
	octans_ring_start(&ring);
}

/* A long life: what ends is what was put, in order, each once. */
static void for_long(void)
{
	u64 n = 0, out = 0, seqno, put_of[ENTRIES];
	bool good = true;
	u32 status;

	srand(1);
	for (int i = 0; i < 200000; i++) {
		switch (rand() % 4) {
		case 0:
			if (octans_ring_full(&ring))
				break;
			seqno = put(++n);
			put_of[seqno % ENTRIES] = n;
			break;
		case 1:
			octans_ring_bell(&ring);
			break;
		case 2:
			run_one(0, true);
			break;
		case 3:
			if (news(&seqno, &status) != OCTANS_NEWS_ENDED)
				break;
			while (ring.done < seqno) {
				ring.done++;
				good &= *octans_ring_slot(&ring, ring.done) == job(++out) &&
					put_of[ring.done % ENTRIES] == out;
			}
		}
		good &= octans_ring_count(&ring) < ENTRIES && ring.done <= ring.rung;
	}
	ok(good && out > 10000, "%llu jobs come out as they went in", (unsigned long long)out);
	/* 32-bit counts of the device wrap */
	ring.base = ring.seqno - UINT32_MAX + 3;
	ring.done = ring.seqno;
	ring.rung = ring.seqno;
	hw.head = ring.seqno - ring.base;
	hw.bell = hw.head;
	wb = OCTANS_WB(ring.done, OCTANS_JOB_OK);
	good = true;
	for (int i = 0; i < 10; i++) {
		seqno = put(i + 1);
		octans_ring_bell(&ring);
		good &= run_one(0, true) == seqno;
		good &= news(&seqno, &status) == OCTANS_NEWS_ENDED && seqno == ring.seqno;
		ring.done = seqno;
	}
	ok(good, "counts of 32 bits wrap");
}

int main(void)
{
	starts();
	a_batch();
	nonsense();
	lost_writeback();
	resets();
	for_long();
	return done();
}
