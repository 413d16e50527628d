// SPDX-License-Identifier: GPL-2.0-only
/* Hardware rings: descriptors, doorbell, writeback, start and stop. */
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
	WRITE_ONCE(*ring->wb, cpu_to_le64(OCTANS_WB(ring->done, OCTANS_JOB_OK)));
	writeq(ring->descs_dma, ring->regs + OCTANS_RING_BASE);
	writeq(ring->wb_dma, ring->regs + OCTANS_RING_WB);
	writel(ring->log2, ring->regs + OCTANS_RING_LOG2);
	writel(ring->vector, ring->regs + OCTANS_RING_VECTOR);
	octans_ring_enable(ring);
}

/**
 * octans_ring_slot() - where the job with a seqno is kept
 * @ring: ring
 * @seqno: @ring->done + 1 .. @ring->seqno
 */
struct octans_job **octans_ring_slot(struct octans_ring *ring, u64 seqno)
{
	return &ring->jobs[seqno & ((1u << ring->log2) - 1)];
}

/**
 * octans_ring_put() - write a descriptor; the device learns of it by octans_ring_bell()
 * @ring: ring that is not full
 * @job: whose it is
 * @desc: all but the seqno
 *
 * Return: its seqno.
 */
u64 octans_ring_put(struct octans_ring *ring, struct octans_job *job,
		    const struct octans_desc *desc)
{
	u64 index = ring->seqno++ - ring->base;
	struct octans_desc *d = &ring->descs[index & ((1u << ring->log2) - 1)];

	*octans_ring_slot(ring, ring->seqno) = job;
	*d = *desc;
	d->seqno = cpu_to_le64(ring->seqno);
	return ring->seqno;
}

/**
 * octans_ring_bell() - tell the device of all new descriptors at once
 * @ring: ring
 *
 * The end of the last one is always told: what comes next is waiting for it.
 */
void octans_ring_bell(struct octans_ring *ring)
{
	u32 tail = ring->seqno - ring->base;

	if (ring->rung == ring->seqno)
		return;
	ring->descs[(tail - 1) & ((1u << ring->log2) - 1)].flags |= cpu_to_le16(OCTANS_DESC_IRQ);
	ring->rung = ring->seqno;
	/* the descriptors, and what user space wrote, before the doorbell: writel() orders */
	writel(tail, ring->bell);
}

/**
 * octans_ring_news() - look at the writeback
 * @ring: ring
 * @seqno: out: of the newest job that has ended
 * @status: out: how
 *
 * Return: what it says.
 */
enum octans_news octans_ring_news(const struct octans_ring *ring, u64 *seqno, u32 *status)
{
	u64 wb = le64_to_cpu(READ_ONCE(*ring->wb));

	dma_rmb();	/* it before what the jobs wrote */
	*seqno = OCTANS_WB_SEQNO(wb);
	*status = OCTANS_WB_STATUS(wb);
	if (wb == OCTANS_WB(ring->done, OCTANS_JOB_OK))
		return OCTANS_NEWS_NONE;
	if (*seqno <= ring->done || *seqno > ring->rung)
		return OCTANS_NEWS_NONSENSE;
	return *status == OCTANS_JOB_OK ? OCTANS_NEWS_ENDED : OCTANS_NEWS_FAILED;
}

/**
 * octans_ring_passed() - how many jobs on the ring the device has counted as ended
 * @ring: ring
 * @look: at its registers
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
