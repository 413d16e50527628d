// SPDX-License-Identifier: GPL-2.0-only
/*
 * A job's life: pushed by SUBMIT, waiting for fences, on a ring, ended.
 *
 * Fences are signalled, and others' fences asked, with no lock of ours but a queue's submit_lock
 * held: who ends jobs collects them in a list under the scheduler's lock, and ends them after it.
 */
#include <drm/drm_drv.h>

#include "octans_batch.h"
#include "octans_device.h"
#include "octans_job.h"
#include "octans_queue.h"
#include "octans_sched.h"
#include "octans_user.h"
#include "octans_vm.h"

#define GRACE_MS	5	/* for a job whose queue is gone to end by itself */
#define GRACE		(msecs_to_jiffies(GRACE_MS) + 1)
#define SKIP_MS		1000	/* for a job to be skipped */
#define PATIENCE_MS	100	/* of others behind a job that takes longer than predicted */

/**
 * octans_job_end() - tell the world that jobs have ended
 * @jobs: off their rings and queues, in order; emptied
 *
 * Those of a batch mostly come together, and are counted together.
 */
void octans_job_end(struct list_head *jobs)
{
	struct octans_job *job, *next;
	u32 good = 0, bad = 0;
	ktime_t now;

	if (list_empty(jobs))
		return;
	now = ktime_get();
	list_for_each_entry_safe(job, next, jobs, node) {
		struct octans_batch *batch = job->batch;

		good += !job->error;
		bad += !!job->error;
		if (!list_entry_is_head(next, jobs, node) && next->batch == batch)
			continue;
		octans_batch_end(batch, good, bad, now);
		good = 0;
		bad = 0;
	}
	INIT_LIST_HEAD(jobs);
}

/* ---- pushing ---- */

/* The last fence that a batch waited for has come, under that fence's lock, anywhere. */
static void met(struct octans_batch *batch)
{
	struct octans_sched *sched = batch->sched;
	unsigned long flags;

	spin_lock_irqsave(&sched->lock, flags);
	/* if it was cancelled meanwhile its queue may belong to another ring */
	if (!batch->jobs[0].over) {
		octans_sched_update(sched, batch->queue);
		octans_sched_fill(sched);
	}
	spin_unlock_irqrestore(&sched->lock, flags);
}

static void fence_came(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct octans_batch *batch = container_of(cb, struct octans_wait, cb)->batch;

	if (atomic_dec_and_test(&batch->unmet))
		met(batch);
}

/* Lets a queue that has no jobs change to a ring that has fewer.  submit_lock held. */
static struct octans_sched *choose(struct octans_queue *queue)
{
	struct octans_sched *old = queue->sched;
	bool idle = true;

	if (old) {
		/* and nobody is still looking at its last one */
		spin_lock_irq(&old->lock);
		idle = !queue->count;
		spin_unlock_irq(&old->lock);
	}
	if (idle)
		queue->sched = octans_sched_choose(queue->dev, old);
	return queue->sched;
}

/* Counts them.  submit_lock held. */
static int admit(struct octans_queue *queue, u32 n)
{
	int ret;

	if (queue->closed)
		return -ENOENT;
	if (octans_device_down(queue->dev))
		return -ENODEV;
	if (octans_client_banned(queue->client))
		return -EACCES;
	/* made when its address space had just lost something */
	if (READ_ONCE(queue->vm->lost))
		octans_queue_stop(queue, -ENODATA);
	if (atomic_read(&queue->error))
		return -ECANCELED;
	if (READ_ONCE(queue->count) + n > OCTANS_QUEUE_JOBS)
		return -EAGAIN;
	if (atomic_add_return(n, &queue->client->jobs) > OCTANS_CLIENT_JOBS) {
		atomic_sub(n, &queue->client->jobs);
		return -EAGAIN;
	}
	ret = octans_user_charge(queue->vm->user, OCTANS_JOBS, n);
	if (ret)
		atomic_sub(n, &queue->client->jobs);
	return ret;
}

/**
 * octans_job_push() - put the jobs of one SUBMIT into their queue, all or none
 * @batch: the jobs; no longer the caller's on success
 * @done: out: their fence, a reference
 *
 * If nothing stands in their way they are on a ring when this returns.
 *
 * Return: 0 or a negative errno.
 */
int octans_job_push(struct octans_batch *batch, struct dma_fence **done)
{
	struct octans_queue *queue = batch->queue;
	struct octans_sched *sched;
	LIST_HEAD(ended);
	bool cookie;
	int ret;

	mutex_lock(&queue->submit_lock);
	ret = admit(queue, batch->n_jobs);
	if (ret)
		goto out;
	sched = choose(queue);
	octans_batch_start(batch, sched, fence_came);
	*done = dma_fence_get(&batch->fence);
	atomic64_add(batch->n_jobs, &queue->submitted);

	cookie = dma_fence_begin_signalling();
	spin_lock_irq(&sched->lock);
	atomic_dec(&batch->unmet);
	octans_sched_add(sched, batch);
	octans_sched_fill(sched);
	/* the device may have gone, or the queue been banned */
	octans_sched_flush(sched, queue, -ECANCELED, &ended);
	spin_unlock_irq(&sched->lock);
	octans_job_end(&ended);
	dma_fence_end_signalling(cookie);
out:
	mutex_unlock(&queue->submit_lock);
	return ret;
}

/* ---- ending ---- */

/**
 * octans_job_kill() - end the jobs of a queue
 * @queue: closed, so that it gets no more
 *
 * What has not started ends at once, whatever it waits for; what runs gets a moment to end by
 * itself, and is stopped then.
 */
void octans_job_kill(struct octans_queue *queue)
{
	struct octans_sched *sched = queue->sched;
	LIST_HEAD(ended);

	if (!sched)
		return;		/* it never had any */
	spin_lock_irq(&sched->lock);
	queue->killed = true;
	octans_sched_withdraw(sched, queue->client, queue);
	octans_sched_flush(sched, queue, -ECANCELED, &ended);
	if (queue->running)
		mod_delayed_work(sched->dev->wq, &sched->watchdog, GRACE);
	spin_unlock_irq(&sched->lock);
	octans_job_end(&ended);
}

/*
 * Why the oldest job on the ring must be ended, or 0.  Called with the lock held.  Its client
 * answers for what the job did, not for a device that talks nonsense.
 */
static int verdict(struct octans_sched *sched, enum octans_news news, u32 status)
{
	struct octans_job *job = octans_sched_first(sched);
	s64 ran = ktime_ms_delta(ktime_get(), sched->since);
	struct octans_queue *queue;

	if (!job)	/* to skip one takes no time */
		return news == OCTANS_NEWS_NONSENSE || ran > SKIP_MS ? -EIO : 0;
	queue = job->queue;

	if (news == OCTANS_NEWS_FAILED && !queue->killed)
		return octans_ring_errno(status);
	if (news == OCTANS_NEWS_NONSENSE)
		return -EIO;
	if (queue->killed && (news == OCTANS_NEWS_FAILED || ran >= GRACE_MS))
		return -ECANCELED;
	return ran > queue->timeout_ms ? -ETIME : 0;
}

/* A job whose queue was killed may have become the oldest.  Called with the lock held. */
static void notice_killed(struct octans_sched *sched)
{
	struct octans_job *job = octans_sched_first(sched);

	if (job && job->queue->killed)
		mod_delayed_work(sched->dev->wq, &sched->watchdog, GRACE);
}

/* Takes what has ended well, judges what is left, lets others start.  Called with the lock held. */
static void look(struct octans_sched *sched, struct list_head *ended)
{
	enum octans_news news;
	u32 status;
	int error;

	news = octans_sched_collect(sched, &status, ended);
	if (!sched->frozen && octans_ring_count(&sched->ring)) {
		error = verdict(sched, news, status);
		if (error)
			octans_sched_freeze(sched, error, news != OCTANS_NEWS_NONSENSE);
	}
	if (!list_empty(ended))
		notice_killed(sched);
	octans_sched_fill(sched);
}

/**
 * octans_job_irq() - jobs may have ended; in the interrupt handler, or wherever one looks
 * @sched: scheduler
 */
void octans_job_irq(struct octans_sched *sched)
{
	bool cookie = dma_fence_begin_signalling();
	unsigned long flags;
	LIST_HEAD(ended);

	spin_lock_irqsave(&sched->lock, flags);
	look(sched, &ended);
	spin_unlock_irqrestore(&sched->lock, flags);
	octans_job_end(&ended);
	dma_fence_end_signalling(cookie);
}

/*
 * The device has counted the oldest job as ended, or halted, but its record does not show.  It
 * may be on its way at the first look; at the second it is lost, or there was none to write.
 */
static void notice_lost(struct octans_sched *sched, const struct octans_look *look)
{
	u64 first = sched->ring.done + 1;

	if (sched->frozen || !octans_ring_count(&sched->ring))
		return;
	if (!octans_ring_passed(&sched->ring, look) && !(look->status & OCTANS_RING_HALTED))
		return;
	if (sched->lost == first)
		octans_sched_freeze(sched, -EIO, false);
	sched->lost = first;
}

/*
 * The ring rests, and yet there are jobs on it: a doorbell was lost.  One too many does no harm.
 */
static void notice_rest(struct octans_sched *sched, const struct octans_look *look)
{
	if (!sched->frozen && octans_ring_count(&sched->ring) && look->status != U32_MAX &&
	    !(look->status & (OCTANS_RING_BUSY | OCTANS_RING_HALTED)) &&
	    !octans_ring_passed(&sched->ring, look))
		octans_ring_bell(&sched->ring);
}

/*
 * Its queue had short jobs, so many of them went onto the ring; this one is long.  Those behind
 * it are taken back, so that others come first.
 */
static void notice_overrun(struct octans_sched *sched)
{
	if (sched->frozen || !octans_sched_first(sched) || !octans_sched_crowded(sched) ||
	    ktime_ms_delta(ktime_get(), sched->since) < PATIENCE_MS)
		return;
	atomic_add(octans_sched_overrun(sched), &sched->dev->withdrawn);
	octans_sched_fill(sched);
}

/**
 * octans_job_watchdog() - &octans_sched.watchdog
 * @work: of a scheduler
 *
 * Finds lost interrupts, doorbells and records, and jobs that run for too long.  The registers are
 * read before the lock is taken: what they show only gets older.
 */
void octans_job_watchdog(struct work_struct *work)
{
	struct octans_sched *sched = container_of(work, struct octans_sched, watchdog.work);
	struct octans_look regs;
	bool cookie;
	int idx;

	if (!drm_dev_enter(&sched->dev->drm, &idx))
		return;		/* an unplug ends jobs itself */
	cookie = dma_fence_begin_signalling();
	octans_ring_look(&sched->ring, &regs);
	octans_job_irq(sched);	/* its interrupt may have been lost */
	spin_lock_irq(&sched->lock);
	notice_lost(sched, &regs);
	notice_rest(sched, &regs);
	notice_overrun(sched);
	spin_unlock_irq(&sched->lock);
	dma_fence_end_signalling(cookie);
	drm_dev_exit(idx);
}
