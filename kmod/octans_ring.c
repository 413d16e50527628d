// SPDX-License-Identifier: GPL-2.0-only
/* Hardware rings: descriptors, doorbell, completions, start and stop. */
#include <linux/io.h>
#include <linux/iopoll.h>

#include "octans_ring.h"

#define RESET_TIMEOUT_US 500000	/* what the manual grants */

/**
 * octans_ring_start() - program and enable a ring that was reset
 * @ring: ring, with no job on it
 */
void octans_ring_start(struct octans_ring *ring)
{
	ring->base = ring->seqno;
	ring->done = ring->seqno;
	ring->rung = ring->seqno;
	memset(ring->cq, 0, sizeof(*ring->cq) << ring->log2);
	memset(ring->shadow, 0, sizeof(*ring->shadow));
	writeq(ring->descs_dma, ring->regs + OCTANS_RING_BASE);
	writeq(0, ring->regs + OCTANS_RING_WB);		/* a record says all that it would */
	writel(ring->log2, ring->regs + OCTANS_RING_LOG2);
	writeq(ring->cq_dma, ring->regs + OCTANS_RING_CQ_BASE);
	writel(ring->log2, ring->regs + OCTANS_RING_CQ_LOG2);
	writeq(ring->shadow_dma | OCTANS_SHADOW_ENABLE, ring->regs + OCTANS_RING_SHADOW);
	writel(ring->vector, ring->regs + OCTANS_RING_VECTOR);
	octans_ring_enable(ring);
}

/**
 * octans_ring_put() - write a descriptor; the device learns of it by octans_ring_tell()
 * @ring: ring that is not full
 * @job: whose it is
 * @desc: all but the seqno
 *
 * Return: its seqno.
 */
u64 octans_ring_put(struct octans_ring *ring, struct octans_job *job,
		    const struct octans_desc *desc)
{
	struct octans_desc *d = &ring->descs[octans_ring_index(ring, ring->seqno++ - ring->base)];

	*octans_ring_slot(ring, ring->seqno) = job;
	*d = *desc;
	d->seqno = cpu_to_le64(ring->seqno);
	return ring->seqno;
}

/**
 * octans_ring_withdraw() - ask the device not to run a job
 * @ring: ring
 * @seqno: @ring->done + 1 .. @ring->seqno
 *
 * It may be too late; its record tells.
 */
void octans_ring_withdraw(struct octans_ring *ring, u64 seqno)
{
	struct octans_desc *d = &ring->descs[octans_ring_index(ring, seqno - 1 - ring->base)];

	WRITE_ONCE(d->flags, d->flags | cpu_to_le16(OCTANS_DESC_SKIP));
}

/**
 * octans_ring_tell() - tell the device of all new descriptors at once
 * @ring: ring
 *
 * The end of the last one is always told: what comes next is waiting for it.  A device that is at
 * work finds the new tail by itself, and only one that rests has its doorbell rung.
 */
void octans_ring_tell(struct octans_ring *ring)
{
	struct octans_shadow *shadow = ring->shadow;
	u32 old = ring->rung - ring->base;
	u32 tail = ring->seqno - ring->base;
	u32 event;

	if (old == tail)
		return;
	ring->descs[octans_ring_index(ring, tail - 1)].flags |= cpu_to_le16(OCTANS_DESC_IRQ);
	ring->rung = ring->seqno;
	/* Before the tail: descriptors, and what was written to the card with write combining. */
	wmb();
	WRITE_ONCE(shadow->tail, cpu_to_le32(tail));
	/* The tail before the question; the device asks in the other order. */
	mb();
	event = le32_to_cpu(READ_ONCE(shadow->event));
	if (event - old < tail - old)
		octans_ring_bell(ring);
}

/**
 * octans_ring_bell() - have the device look for descriptors
 * @ring: ring
 */
void octans_ring_bell(const struct octans_ring *ring)
{
	writel(ring->rung - ring->base, ring->bell);
}

/**
 * octans_ring_recorded() - is there a record of a job?
 * @ring: ring
 * @seqno: @ring->done + 1 .. @ring->seqno
 *
 * As long as there is none the device has not read the next descriptor.  So if that was withdrawn
 * before (and a full barrier is between) it is certain not to be run.
 *
 * Return: whether there is one, good or not.
 */
bool octans_ring_recorded(const struct octans_ring *ring, u64 seqno)
{
	u64 n = seqno - 1 - ring->base;

	return le64_to_cpu(READ_ONCE(ring->cq[octans_ring_index(ring, n)].index)) > n;
}

/**
 * octans_ring_news() - look at the record of the oldest job
 * @ring: ring that has one
 * @end: out: how it has ended, unless there is none, or nonsense
 *
 * Return: what it says.
 */
enum octans_news octans_ring_news(const struct octans_ring *ring, struct octans_end *end)
{
	u64 n = ring->done - ring->base;
	const struct octans_completion *c = &ring->cq[octans_ring_index(ring, n)];
	u64 index = le64_to_cpu(READ_ONCE(c->index));

	if (!index || index + (1u << ring->log2) == n + 1)
		return OCTANS_NEWS_NONE;	/* it is the one before in this slot */
	dma_rmb();	/* it is written last, and after all that the job wrote */
	if (index != n + 1 || le64_to_cpu(READ_ONCE(c->seqno)) != ring->done + 1 ||
	    ring->done + 1 > ring->rung)
		return OCTANS_NEWS_NONSENSE;
	end->status = le32_to_cpu(READ_ONCE(c->status));
	end->ns = le64_to_cpu(READ_ONCE(c->end_ns)) - le64_to_cpu(READ_ONCE(c->start_ns));
	switch (end->status) {
	case OCTANS_JOB_OK:
		return OCTANS_NEWS_ENDED;
	case OCTANS_JOB_SKIPPED:
		return OCTANS_NEWS_SKIPPED;
	}
	return OCTANS_NEWS_FAILED;
}

/**
 * octans_ring_passed() - how many jobs on the ring the device has counted as ended
 * @ring: ring
 * @look: at its registers
 *
 * Return: their number.
 */
u32 octans_ring_passed(const struct octans_ring *ring, const struct octans_look *look)
{
	u32 n = look->head - (u32)(ring->done - ring->base);

	/* a device that is gone, or has lost count, has not counted them */
	return n <= octans_ring_count(ring) ? n : 0;
}

/**
 * octans_ring_look() - read the registers
 * @ring: ring
 * @look: out: what they show
 */
void octans_ring_look(const struct octans_ring *ring, struct octans_look *look)
{
	look->seqno = readq(ring->regs + OCTANS_RING_SEQNO);
	look->progress = readq(ring->regs + OCTANS_RING_PROGRESS);
	look->head = readl(ring->regs + OCTANS_RING_HEAD);
	look->status = readl(ring->regs + OCTANS_RING_STATUS);
}

/**
 * octans_ring_enable() - let a ring go on where it stopped
 * @ring: ring
 */
void octans_ring_enable(struct octans_ring *ring)
{
	writel(OCTANS_RING_ENABLE, ring->regs + OCTANS_RING_CTRL);
}

/**
 * octans_ring_disable() - let the job that runs come to its end, and start no other
 * @ring: ring
 */
void octans_ring_disable(struct octans_ring *ring)
{
	writel(0, ring->regs + OCTANS_RING_CTRL);
	readl(ring->regs + OCTANS_RING_CTRL);	/* it has arrived */
}

/**
 * octans_ring_reset() - reset the hardware ring
 * @ring: ring
 *
 * After success nothing that ran on the ring reaches memory any more.
 *
 * Return: 0 or -ETIMEDOUT.
 */
int octans_ring_reset(struct octans_ring *ring)
{
	u32 ctrl;

	writel(OCTANS_RING_RESET, ring->regs + OCTANS_RING_CTRL);
	return readl_poll_timeout(ring->regs + OCTANS_RING_CTRL, ctrl,
				  !(ctrl & OCTANS_RING_RESET), 100, RESET_TIMEOUT_US);
}
