/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_RING_H
#define OCTANS_RING_H

#include <linux/errno.h>
#include <linux/types.h>

#include <octans/regs.h>

struct octans_job;

#define OCTANS_RING_MOST_LOG2	8	/* more in flight than predicted time ever allows */

/**
 * struct octans_ring - a hardware ring, and what is on it
 * @descs_dma: bus address of @descs
 * @cq_dma: bus address of @cq
 * @shadow_dma: bus address of @shadow
 * @log2: of the number of descriptors
 * @vector: that it interrupts with
 *
 * Hardware and arithmetic, nothing else.  Not locked: the owner serialises, but for the functions
 * that only read registers.
 *
 * Each descriptor gets the next seqno.  None is used twice, also not by a job that is put on the
 * ring again after a reset: so nothing that its first life left behind is taken for its second.
 */
struct octans_ring {
	/** @regs: the ring's block of registers */
	void __iomem *regs;
	/** @bell: its doorbell */
	void __iomem *bell;
	/** @descs: BIT(@log2) of them, read by the device */
	struct octans_desc *descs;
	/** @cq: as many records, written by the device at any time and with anything */
	struct octans_completion *cq;
	/** @shadow: doorbell; what it says of the event is the device's */
	struct octans_shadow *shadow;
	/** @jobs: whose they are; NULL: withdrawn, and certain not to be run */
	struct octans_job **jobs;
	dma_addr_t descs_dma, cq_dma, shadow_dma;
	u32 log2, vector;
	/** @base: seqno before the first descriptor since the ring was started */
	u64 base;
	/** @done: newest seqno that is off the ring */
	u64 done;
	/** @seqno: newest seqno on it */
	u64 seqno;
	/** @rung: newest seqno that the device has been told of */
	u64 rung;
};

/**
 * enum octans_news - what the completion ring says of the oldest job
 * @OCTANS_NEWS_NONE: nothing yet
 * @OCTANS_NEWS_ENDED: it has ended well
 * @OCTANS_NEWS_SKIPPED: it has not been run, as it was withdrawn
 * @OCTANS_NEWS_FAILED: it has failed, and the ring stands still
 * @OCTANS_NEWS_NONSENSE: what the ring cannot have written
 */
enum octans_news {
	OCTANS_NEWS_NONE,
	OCTANS_NEWS_ENDED,
	OCTANS_NEWS_SKIPPED,
	OCTANS_NEWS_FAILED,
	OCTANS_NEWS_NONSENSE,
};

/**
 * struct octans_end - how a job has ended, as its record says
 * @ns: from its start, by the device's clock
 * @status: OCTANS_JOB_*
 */
struct octans_end {
	u64 ns;
	u32 status;
};

/**
 * struct octans_look - what the registers of a ring show at one moment
 * @seqno: of what runs, 0 = nothing
 * @progress: grows while it moves
 * @head: descriptors that have ended since the ring was started
 * @status: OCTANS_RING_BUSY, ...
 */
struct octans_look {
	u64 seqno, progress;
	u32 head, status;
};

/* Which of its entries something has that has this number. */
static inline u32 octans_ring_index(const struct octans_ring *ring, u64 n)
{
	return n & ((1u << ring->log2) - 1);
}

/* Where the job with a seqno is kept: @done + 1 .. @seqno. */
static inline struct octans_job **octans_ring_slot(const struct octans_ring *ring, u64 seqno)
{
	return &ring->jobs[octans_ring_index(ring, seqno)];
}

/* How many jobs are on it. */
static inline u32 octans_ring_count(const struct octans_ring *ring)
{
	return ring->seqno - ring->done;
}

static inline bool octans_ring_full(const struct octans_ring *ring)
{
	return octans_ring_count(ring) >= 1u << ring->log2;
}

/* How a job ends whose record has this status. */
static inline int octans_ring_errno(u32 status)
{
	return status == OCTANS_JOB_FAULT ? -EFAULT : -EIO;
}

void octans_ring_start(struct octans_ring *ring);
u64 octans_ring_put(struct octans_ring *ring, struct octans_job *job,
		    const struct octans_desc *desc);
void octans_ring_withdraw(struct octans_ring *ring, u64 seqno);
void octans_ring_tell(struct octans_ring *ring);
void octans_ring_bell(const struct octans_ring *ring);
bool octans_ring_recorded(const struct octans_ring *ring, u64 seqno);
enum octans_news octans_ring_news(const struct octans_ring *ring, struct octans_end *end);
u32 octans_ring_passed(const struct octans_ring *ring, const struct octans_look *look);
void octans_ring_look(const struct octans_ring *ring, struct octans_look *look);
void octans_ring_enable(struct octans_ring *ring);
void octans_ring_disable(struct octans_ring *ring);
int octans_ring_reset(struct octans_ring *ring);

#endif
