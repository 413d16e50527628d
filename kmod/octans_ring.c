// SPDX-License-Identifier: GPL-2.0-only
/* Hardware rings: descriptors, doorbells, writeback, and the watchdog over a running job. */
#include <linux/dma-mapping.h>
#include <linux/iopoll.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "compat.h"
#include "octans_device.h"
#include "octans_queue.h"

#define RING_LOG2	1u	/* one job at a time needs no more */
#define RING_ENTRIES	BIT(RING_LOG2)
#define TICK		msecs_to_jiffies(250)
#define RESET_TIMEOUT_US 500000

static u32 reg(const struct octans_ring *ring, u32 offset)
{
	return OCTANS_RING(ring->index) + offset;
}

/*
 * The device has counted the job as ended, or halted, but its writeback does not show.  It may be
 * on its way at the first look; at the second it is lost, or there was no seqno to write.
 */
static bool writeback_lost(struct octans_ring *ring)
{
	bool before = ring->ended;

	ring->ended = octans_read32(ring->dev, reg(ring, OCTANS_RING_HEAD)) == ring->tail ||
		      octans_read32(ring->dev, reg(ring, OCTANS_RING_STATUS)) & OCTANS_RING_HALTED;
	return ring->ended && before;
}

/* Why the job on the ring must be ended, or 0.  Called with the lock held. */
static int verdict(struct octans_ring *ring)
{
	u64 wb = le64_to_cpu(READ_ONCE(*ring->wb));
	struct octans_job *job = ring->job;
	s64 ran = ktime_ms_delta(ktime_get(), job->started);

	/* ended well since the watchdog looked: its interrupt or the next tick takes it */
	if (wb == OCTANS_WB(job->seqno, OCTANS_JOB_OK))
		return 0;
	if (OCTANS_WB_SEQNO(wb) == job->seqno)
		return OCTANS_WB_STATUS(wb) == OCTANS_JOB_FAULT ? -EFAULT : -EIO;
	if (wb != OCTANS_WB(ring->done, OCTANS_JOB_OK))
		return -EIO;	/* a value that the ring cannot have written */
	if (job->kill)
		return -ECANCELED;
	if (ran > job->queue->timeout_ms)
		return -ETIME;
	return writeback_lost(ring) ? -EIO : 0;
}

static void watchdog(struct work_struct *work)
{
	struct octans_ring *ring = container_of(work, struct octans_ring, watchdog.work);
	struct octans_device *dev = ring->dev;
	unsigned long flags;
	int error = 0, idx;
	bool running;

	if (!drm_dev_enter(&dev->drm, &idx))
		return;		/* an unplug ends jobs itself */
	octans_ring_irq(ring);	/* its interrupt may have been lost */
	spin_lock_irqsave(&ring->lock, flags);
	running = ring->job && !dev->dead;
	if (running)
		error = verdict(ring);
	spin_unlock_irqrestore(&ring->lock, flags);
	if (error)
		octans_recover(dev, ring, error);
	else if (running)
		queue_delayed_work(dev->reset_wq, &ring->watchdog, TICK);
	drm_dev_exit(idx);
}

static void ring_fini(struct drm_device *drm, void *arg)
{
	struct octans_ring *ring = arg;

	if (ring->sched_ready)
		drm_sched_fini(&ring->sched);
}

/**
 * octans_ring_init() - allocate a ring and make its scheduler
 * @dev: device
 * @index: which
 *
 * Return: 0 or a negative errno.
 */
int octans_ring_init(struct octans_device *dev, u32 index)
{
	struct octans_ring *ring = &dev->rings[index];
	struct drm_sched_init_args args = {
		.ops = &octans_sched_ops,
		.num_rqs = DRM_SCHED_PRIORITY_COUNT,
		.credit_limit = 1,
		/* The watchdog ends every job in time, so the scheduler need not. */
		.timeout = MAX_SCHEDULE_TIMEOUT,
		.name = ring->name,
		.dev = dev->drm.dev,
	};
	int ret;

	ring->dev = dev;
	ring->index = index;
	spin_lock_init(&ring->lock);
	INIT_DELAYED_WORK(&ring->watchdog, watchdog);
	ring->fence_context = dma_fence_context_alloc(1);
	snprintf(ring->name, sizeof(ring->name), "octans-ring%u", index);
	ring->descs = dmam_alloc_coherent(dev->drm.dev, RING_ENTRIES * sizeof(*ring->descs),
					  &ring->descs_dma, GFP_KERNEL);
	ring->wb = dmam_alloc_coherent(dev->drm.dev, sizeof(*ring->wb), &ring->wb_dma, GFP_KERNEL);
	if (!ring->descs || !ring->wb)
		return -ENOMEM;
	/* The scheduler goes when the last fence that names it has gone. */
	ret = drmm_add_action_or_reset(&dev->drm, ring_fini, ring);
	if (ret)
		return ret;
	ret = drm_sched_init(&ring->sched, &args);
	ring->sched_ready = !ret;
	dev->scheds[index] = &ring->sched;
	return ret;
}

/* Writes the descriptor of the job on the ring and rings the doorbell.  Lock held. */
static void emit(struct octans_ring *ring)
{
	struct octans_desc *desc = &ring->descs[ring->tail % RING_ENTRIES];
	struct octans_job *job = ring->job;

	job->started = ktime_get();
	ring->ended = false;
	*desc = (struct octans_desc) {
		.seqno = cpu_to_le64(job->seqno),
		.cmd_va = cpu_to_le64(job->va),
		.cmd_size = cpu_to_le32(job->size),
		.asid = cpu_to_le16(octans_queue_asid(job->queue)),
		.flags = cpu_to_le16(OCTANS_DESC_IRQ),
		.tag = cpu_to_le64(job->tag),
		.param_va = cpu_to_le64(job->param_va),
		.param_count = cpu_to_le32(job->param_count),
	};
	ring->tail++;
	/* the descriptor, and what user space wrote, before the doorbell (writel orders) */
	octans_write32(ring->dev, OCTANS_DOORBELL(ring->index), ring->tail);
}

/**
 * octans_ring_start() - program and enable a ring that was reset
 * @ring: ring
 *
 * A job on it came while the device was in reset, which ignores doorbells; it is emitted
 * again.
 */
void octans_ring_start(struct octans_ring *ring)
{
	struct octans_device *dev = ring->dev;
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	ring->tail = 0;
	ring->done = ring->job ? ring->seqno - 1 : ring->seqno;
	WRITE_ONCE(*ring->wb, cpu_to_le64(OCTANS_WB(ring->done, OCTANS_JOB_OK)));
	octans_write64(dev, reg(ring, OCTANS_RING_BASE), ring->descs_dma);
	octans_write64(dev, reg(ring, OCTANS_RING_WB), ring->wb_dma);
	octans_write32(dev, reg(ring, OCTANS_RING_LOG2), RING_LOG2);
	octans_write32(dev, reg(ring, OCTANS_RING_VECTOR), (1 + ring->index) % dev->n_vectors);
	octans_write32(dev, reg(ring, OCTANS_RING_CTRL), OCTANS_RING_ENABLE);
	if (ring->job)
		emit(ring);
	spin_unlock_irqrestore(&ring->lock, flags);
}

/**
 * octans_ring_stop() - reset the hardware ring
 * @ring: ring
 *
 * After success nothing that ran on the ring reaches memory any more.
 *
 * Return: 0 or -ETIMEDOUT.
 */
int octans_ring_stop(struct octans_ring *ring)
{
	u32 ctrl;

	octans_write32(ring->dev, reg(ring, OCTANS_RING_CTRL), OCTANS_RING_RESET);
	return read_poll_timeout(octans_read32, ctrl, !(ctrl & OCTANS_RING_RESET), 100,
				 RESET_TIMEOUT_US, false, ring->dev, reg(ring, OCTANS_RING_CTRL));
}

/**
 * octans_ring_emit() - start a job
 * @ring: ring, with no job on it
 * @job: its fence must be initialised: it may end at once
 *
 * Return: 0 or -ENODEV.
 */
int octans_ring_emit(struct octans_ring *ring, struct octans_job *job)
{
	struct octans_device *dev = ring->dev;
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	if (dev->dead) {
		spin_unlock_irqrestore(&ring->lock, flags);
		return -ENODEV;
	}
	job->seqno = ++ring->seqno;
	ring->job = job;
	emit(ring);
	spin_unlock_irqrestore(&ring->lock, flags);
	queue_delayed_work(dev->reset_wq, &ring->watchdog, TICK);
	return 0;
}

/**
 * octans_ring_take() - take the job off the ring
 * @ring: ring, stopped or cut off from memory
 * @finished: out: it had ended well before
 *
 * Return: the job, now the caller's to end, or NULL.
 */
struct octans_job *octans_ring_take(struct octans_ring *ring, bool *finished)
{
	struct octans_job *job;
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	job = ring->job;
	ring->job = NULL;
	*finished = job &&
		    le64_to_cpu(READ_ONCE(*ring->wb)) == OCTANS_WB(job->seqno, OCTANS_JOB_OK);
	spin_unlock_irqrestore(&ring->lock, flags);
	return job;
}

/**
 * octans_ring_irq() - look at the writeback
 * @ring: ring
 *
 * A job that ended well is ended here.  For anything else the watchdog, which may sleep, is
 * called.
 */
void octans_ring_irq(struct octans_ring *ring)
{
	struct octans_job *job;
	unsigned long flags;
	bool odd = false;
	u64 wb;

	spin_lock_irqsave(&ring->lock, flags);
	job = ring->job;
	wb = le64_to_cpu(READ_ONCE(*ring->wb));
	if (job && wb == OCTANS_WB(job->seqno, OCTANS_JOB_OK)) {
		ring->job = NULL;
		ring->done = job->seqno;
	} else {
		odd = job && wb != OCTANS_WB(ring->done, OCTANS_JOB_OK) && !ring->dev->dead;
		job = NULL;
	}
	spin_unlock_irqrestore(&ring->lock, flags);
	/* what the job wrote before what says that it has ended */
	dma_rmb();
	if (job)
		octans_job_end(job, 0);
	else if (odd)
		mod_delayed_work(ring->dev->reset_wq, &ring->watchdog, 0);
}

/**
 * octans_ring_kill_queue() - stop the job on the ring if it is of this queue
 * @ring: ring
 * @queue: queue
 */
void octans_ring_kill_queue(struct octans_ring *ring, struct octans_queue *queue)
{
	unsigned long flags;
	bool hit;

	spin_lock_irqsave(&ring->lock, flags);
	hit = ring->job && ring->job->queue == queue;
	if (hit)
		ring->job->kill = true;
	spin_unlock_irqrestore(&ring->lock, flags);
	if (hit)
		mod_delayed_work(ring->dev->reset_wq, &ring->watchdog, 0);
}

/**
 * octans_ring_look() - what runs, and how far it has come
 * @ring: ring
 * @still: for octans_ring_kill_still()
 */
void octans_ring_look(struct octans_ring *ring, struct octans_still *still)
{
	still->seqno = octans_read64(ring->dev, reg(ring, OCTANS_RING_SEQNO));
	still->progress = octans_read64(ring->dev, reg(ring, OCTANS_RING_PROGRESS));
}

/**
 * octans_ring_kill_still() - stop the job on the ring if it has not moved since
 * @ring: ring
 * @then: what octans_ring_look() saw
 * @asid: only if it is of this address space; 0 = whosever it is
 *
 * The job ends with -ECANCELED; its queue is not banned: it may have waited for others.
 *
 * Return: whether that was so.
 */
bool octans_ring_kill_still(struct octans_ring *ring, const struct octans_still *then, u32 asid)
{
	struct octans_still now;
	unsigned long flags;
	bool hit;

	spin_lock_irqsave(&ring->lock, flags);
	octans_ring_look(ring, &now);
	hit = ring->job && ring->job->seqno == then->seqno &&
	      (!asid || octans_queue_asid(ring->job->queue) == asid) &&
	      now.seqno == then->seqno && now.progress == then->progress;
	if (hit)
		ring->job->kill = true;
	spin_unlock_irqrestore(&ring->lock, flags);
	if (!hit)
		return false;
	drm_notice(&ring->dev->drm, "a TLB invalidation is late, ending the job on %s\n",
		   ring->name);
	mod_delayed_work(ring->dev->reset_wq, &ring->watchdog, 0);
	return true;
}
