// SPDX-License-Identifier: MIT
/*
 * The module's rings against a processor that does what the manual allows: it looks for descriptors
 * when it is told to, or has none, ends jobs well or badly, loses records or writes others', and
 * is reset.
 */
#include <stdlib.h>
#include <string.h>

#include "../../kmod/octans_ring.c"
#include "tap.h"

#define ENTRIES	16u

/* The processor. */
static struct {
	u64 base, wb, cq, shadow;
	u32 log2, cq_log2, ctrl, status, head, tail, vector;
	u64 seqno, progress, records;
	bool stuck;	/* a reset does not complete */
	u32 bells;
} hw;

static u8 regs[0x100], bell[4];
static struct octans_desc descs[ENTRIES];
static struct octans_job *slots[ENTRIES];
static struct octans_completion cq[ENTRIES];
static struct octans_shadow shadow;
static struct octans_ring ring = {
	.regs = regs, .bell = bell, .descs = descs, .jobs = slots, .cq = cq, .shadow = &shadow,
	.descs_dma = 0x1000, .cq_dma = 0x2000, .shadow_dma = 0x3000, .log2 = 4, .vector = 3,
};

/* What the processor does when it has no descriptor left: asks for a doorbell, and looks again. */
static void look(void)
{
	shadow.event = hw.tail;
	hw.tail = shadow.tail;
}

static void writel(u32 value, void *reg)
{
	if (reg == bell) {
		hw.bells++;
		if (hw.ctrl & OCTANS_RING_ENABLE)
			hw.tail = shadow.tail;
		return;
	}
	switch ((u8 *)reg - regs) {
	case OCTANS_RING_LOG2:
		hw.log2 = value;
		break;
	case OCTANS_RING_CQ_LOG2:
		hw.cq_log2 = value;
		break;
	case OCTANS_RING_VECTOR:
		hw.vector = value;
		break;
	case OCTANS_RING_CTRL:
		if (value & OCTANS_RING_RESET) {
			hw.ctrl = hw.stuck ? OCTANS_RING_RESET : 0;
			hw.head = 0;
			hw.records = 0;
			hw.tail = 0;
			hw.seqno = 0;
			hw.status = 0;
		} else {
			hw.ctrl = value;
			if (value & OCTANS_RING_ENABLE)
				look();
		}
		break;
	}
}

static void writeq(u64 value, void *reg)
{
	switch ((u8 *)reg - regs) {
	case OCTANS_RING_BASE:
		hw.base = value;
		break;
	case OCTANS_RING_WB:
		hw.wb = value;
		break;
	case OCTANS_RING_CQ_BASE:
		hw.cq = value;
		break;
	case OCTANS_RING_SHADOW:
		hw.shadow = value;
		break;
	}
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
	struct octans_completion *c = &cq[hw.head % ENTRIES];

	if (hw.head == hw.tail || !(hw.ctrl & OCTANS_RING_ENABLE) || hw.status & OCTANS_RING_HALTED)
		return 0;
	hw.head++;
	hw.records++;
	if (d->flags & OCTANS_DESC_SKIP)
		status = OCTANS_JOB_SKIPPED;
	if (status && status != OCTANS_JOB_SKIPPED)
		hw.status |= OCTANS_RING_HALTED;
	if (write)
		*c = (struct octans_completion) {
			.seqno = d->seqno, .status = status, .tag = d->tag,
			.start_ns = 1000, .end_ns = 1234, .index = hw.records,
		};
	if (hw.head == hw.tail)
		look();
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

static struct octans_end end;

static enum octans_news news(void)
{
	return octans_ring_news(&ring, &end);
}

static bool no_news(void)
{
	return !octans_ring_count(&ring) || news() == OCTANS_NEWS_NONE;
}

static void anew(void)
{
	octans_ring_reset(&ring);
	octans_ring_start(&ring);
}

static void starts(void)
{
	memset(cq, 0xff, sizeof(cq));
	octans_ring_start(&ring);
	ok(hw.base == 0x1000 && hw.cq == 0x2000 && hw.log2 == 4 && hw.cq_log2 == 4 &&
	   hw.vector == 3 && hw.ctrl == OCTANS_RING_ENABLE, "a ring is programmed and enabled");
	ok(hw.shadow == (0x3000 | OCTANS_SHADOW_ENABLE) && !hw.wb,
	   "and its shadow doorbell; nothing else is written back");
	ok(!octans_ring_count(&ring) && !octans_ring_full(&ring), "it is empty");
	put(1);
	ok(no_news(), "what lay in its memory is no news");
	anew();
}

static void a_batch(void)
{
	u64 first = ring.seqno + 1;
	u32 i;

	hw.bells = 0;
	for (i = 0; i < 5; i++)
		put(i + 1);
	ok(!hw.bells && !run_one(0, true), "the processor knows of no descriptor before the bell");
	octans_ring_tell(&ring);
	octans_ring_tell(&ring);
	ok(hw.bells == 1, "five descriptors cost one bell");
	for (i = 0; i < 4 && !descs[(first - 1 - ring.base + i) % ENTRIES].flags; i++)
		;
	ok(i == 4 && descs[(first + 3 - ring.base) % ENTRIES].flags == OCTANS_DESC_IRQ,
	   "the last of them interrupts, the others do not");
	ok(no_news(), "no news at first");
	run_one(0, true);
	run_one(0, true);
	ok(news() == OCTANS_NEWS_ENDED && end.ns == 234, "one has ended, and says how long it took");
	ring.done++;
	ok(news() == OCTANS_NEWS_ENDED, "and another");
	ok(*octans_ring_slot(&ring, first + 1) == job(2), "each is found by its seqno");
	ring.done++;
	ok(no_news() && octans_ring_count(&ring) == 3, "news that were taken are none");
	put(6);
	octans_ring_tell(&ring);
	ok(hw.bells == 1, "a processor at work needs no bell");
	run_one(0, true);
	run_one(0, true);
	run_one(0, true);
	ok(run_one(OCTANS_JOB_FAULT, true) == first + 5, "it has found by itself what came");
	ring.done += 3;
	ok(news() == OCTANS_NEWS_FAILED && octans_ring_errno(end.status) == -EFAULT &&
	   !run_one(0, true), "one fails, and the ring stands");
	anew();
}

static void withdraws(void)
{
	u64 first = ring.seqno + 1;
	u32 i;

	for (i = 0; i < 4; i++)
		put(i + 1);
	octans_ring_tell(&ring);
	run_one(0, true);
	octans_ring_withdraw(&ring, first + 3);
	octans_ring_withdraw(&ring, first + 1);
	octans_ring_withdraw(&ring, first);
	for (i = 0; i < 3; i++)
		run_one(0, true);
	ok(news() == OCTANS_NEWS_ENDED, "what has run cannot be withdrawn");
	ring.done++;
	ok(news() == OCTANS_NEWS_SKIPPED, "what is withdrawn does not run");
	ring.done++;
	ok(news() == OCTANS_NEWS_ENDED, "what is between does");
	ring.done++;
	ok(news() == OCTANS_NEWS_SKIPPED && descs[(first + 2 - ring.base) % ENTRIES].flags ==
	   (OCTANS_DESC_IRQ | OCTANS_DESC_SKIP), "and the last one interrupts in any case");
	anew();
}

static void nonsense(void)
{
	struct octans_completion *c;

	put(1);
	octans_ring_tell(&ring);
	put(2);		/* the processor has not been told */
	c = &cq[0];
	*c = (struct octans_completion) { .seqno = ring.done + 1, .index = 2 };
	ok(news() == OCTANS_NEWS_NONSENSE, "a record lies in its slot");
	c->index = UINT64_MAX;
	ok(news() == OCTANS_NEWS_NONSENSE, "its number is one that may be");
	*c = (struct octans_completion) { .seqno = ring.done + 2, .index = 1 };
	ok(news() == OCTANS_NEWS_NONSENSE, "it names the job that it is about");
	*c = (struct octans_completion) { .seqno = ring.done + 1, .index = 1, .status = 255 };
	ok(news() == OCTANS_NEWS_FAILED && octans_ring_errno(end.status) == -EIO,
	   "an unknown status is a failure");
	c->status = 0;
	ok(news() == OCTANS_NEWS_ENDED, "no other is nonsense");
	ring.done++;
	cq[1] = (struct octans_completion) { .seqno = ring.done + 1, .index = 2 };
	ok(news() == OCTANS_NEWS_NONSENSE, "what was not rung cannot have ended");
	anew();
}

static void lost_record(void)
{
	struct octans_look look;

	put(1);
	put(2);
	octans_ring_tell(&ring);
	octans_ring_look(&ring, &look);
	ok(!octans_ring_passed(&ring, &look), "nothing has passed");
	run_one(0, false);
	octans_ring_look(&ring, &look);
	ok(octans_ring_passed(&ring, &look) == 1, "the count shows what no record does");
	look.head = UINT32_MAX;
	ok(!octans_ring_passed(&ring, &look), "a device that is gone has counted nothing");
	look.head = 3;
	ok(!octans_ring_passed(&ring, &look), "nor has one that counts more than there were");
	ring.done++;
	look.head = 0;
	ok(!octans_ring_passed(&ring, &look), "a look older than what is known says nothing");
	anew();
}

static void resets(void)
{
	u64 before = ring.seqno, seqno;

	put(1);
	octans_ring_tell(&ring);
	run_one(0, true);
	ok(!octans_ring_reset(&ring), "a reset completes");
	octans_ring_start(&ring);
	seqno = put(7);
	ok(no_news(), "records of the life before are none");
	octans_ring_tell(&ring);
	ok(seqno == before + 2 && hw.tail == 1, "counts begin anew, seqnos go on");
	run_one(0, true);
	ok(news() == OCTANS_NEWS_ENDED, "and mean what they say");
	hw.stuck = true;
	ok(octans_ring_reset(&ring) == -ETIMEDOUT, "a reset that does not complete is told");
	hw.stuck = false;
	anew();
}

/* A bell that the processor did not hear. */
static void lost_bell(void)
{
	put(1);
	octans_ring_tell(&ring);
	hw.tail = 0;
	ok(!run_one(0, true), "a bell that is lost starts nothing");
	octans_ring_bell(&ring);
	ok(run_one(0, true) && news() == OCTANS_NEWS_ENDED, "another one does");
	anew();
}

/* A long life: what ends is what was put, in order, each once; nothing waits for a bell for ever. */
static void for_long(void)
{
	u64 n = 0, out = 0, seqno, put_of[ENTRIES];
	bool good = true, heard = true, to_the_last = false;

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
			octans_ring_tell(&ring);
			heard &= hw.head != hw.tail || ring.rung == ring.base + hw.head;
			break;
		case 2:
			run_one(0, true);
			break;
		case 3:
			while (octans_ring_count(&ring) && news() == OCTANS_NEWS_ENDED) {
				ring.done++;
				good &= *octans_ring_slot(&ring, ring.done) == job(++out) &&
					put_of[ring.done % ENTRIES] == out;
			}
		}
		good &= octans_ring_count(&ring) <= ENTRIES && ring.done <= ring.rung;
		to_the_last |= octans_ring_count(&ring) == ENTRIES;
	}
	ok(good && to_the_last && out > 10000, "%llu jobs come out as they went in", (unsigned long long)out);
	ok(heard && hw.bells < n, "of %llu jobs, each is heard of", (unsigned long long)n);
	/* 32-bit counts of the device wrap */
	ring.base = ring.seqno - UINT32_MAX + 3;
	ring.done = ring.seqno;
	ring.rung = ring.seqno;
	hw.head = ring.seqno - ring.base;
	hw.tail = hw.head;
	hw.records = ring.seqno - ring.base;
	shadow.tail = hw.head;
	shadow.event = hw.head;
	good = true;
	for (int i = 0; i < 10; i++) {
		seqno = put(i + 1);
		octans_ring_tell(&ring);
		good &= run_one(0, true) == seqno && news() == OCTANS_NEWS_ENDED;
		ring.done++;
		good &= !octans_ring_passed(&ring, &(struct octans_look) { .head = hw.head });
	}
	ok(good, "counts of 32 bits wrap");
}

int main(void)
{
	starts();
	a_batch();
	withdraws();
	nonsense();
	lost_record();
	resets();
	lost_bell();
	for_long();
	return done();
}
