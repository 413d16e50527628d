// SPDX-License-Identifier: GPL-2.0-only
/*
 * A job's life: made and pushed by SUBMIT, waiting for fences, on a ring, ended, reaped.
 *
 * Fences are signalled, and others' fences asked, with no lock of ours but a queue's submit_lock
 * held: who ends jobs collects them in a list under the scheduler's lock, and ends them after it.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>

#include "octans_device.h"
#include "octans_job.h"
#include "octans_queue.h"
#include "octans_sched.h"

#define GRACE_MS	5	/* for a job whose queue is gone to end by itself */
#define GRACE		(msecs_to_jiffies(GRACE_MS) + 1)
#define SKIP_MS		1000	/* for a job to be skipped */
#define PATIENCE_MS	100	/* of others behind a job that takes longer than predicted */

/*
 * The reaper drops what ended jobs held, and frees those that nobody holds any more.  Both may be
 * due in any context, and neither may be done there.  It belongs to the module, so that it can
 * drop the last reference of a device, and see the module go only after its own last line.
 */
static struct workqueue_struct *reaper;
static void reap(struct work_struct *work);
static DECLARE_DELAYED_WORK(reap_work, reap);
static LLIST_HEAD(ended_jobs);
static LLIST_HEAD(free_jobs);
static atomic_t live_jobs;

/* Many jobs a second make few wakeups. */
static void reap_soon(struct octans_job *job, struct llist_head *list)
{
	if (llist_add(&job->reap, list))
		queue_delayed_work(reaper, &reap_work, 1);
}

static const char *fence_name(struct dma_fence *fence)
{
	return "octans";
}

static void fence_release(struct dma_fence *fence)
{
	reap_soon(container_of(fence, struct octans_job, fence), &free_jobs);
}

/* Whoever asks may hold nothing but the fence: the names are not the queue's or the device's. */
static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name,
	.get_timeline_name = fence_name,
	.release = fence_release,
};

/* What a job holds besides its own memory. */
static void drop_held(struct octans_job *job)
{
	struct octans_device *dev = job->queue->dev;
	u32 i;

	for (i = 0; i < job->n_waits; i++) {
		dma_fence_remove_callback(job->waits[i].fence, &job->waits[i].cb);
		dma_fence_put(job->waits[i].fence);
	}
	atomic_dec(&dev->objects.jobs);
	octans_queue_put(job->queue);
}

static void reap(struct work_struct *work)
{
	struct octans_job *job, *next;

	llist_for_each_entry_safe(job, next, llist_del_all(&ended_jobs), reap) {
		drop_held(job);
		dma_fence_put(&job->fence);
		cond_resched();
	}
	llist_for_each_entry_safe(job, next, llist_del_all(&free_jobs), reap) {
		kfree_rcu(job, fence.rcu);
		atomic_dec(&live_jobs);
		module_put(THIS_MODULE);
		cond_resched();
	}
}

/**
 * octans_job_live() - how many jobs of all devices there are, and fences that were jobs
 *
 * Return: their number.
 */
int octans_job_live(void)
{
	return atomic_read(&live_jobs);
}

/**
 * octans_job_init() - the module is loaded
 *
 * Return: 0 or -ENOMEM.
 */
int octans_job_init(void)
{
	reaper = alloc_workqueue("octans-reaper", WQ_UNBOUND | WQ_MEM_RECLAIM, 1);
	return reaper ? 0 : -ENOMEM;
}

/**
 * octans_job_exit() - the module is unloaded; every job has kept it, so there is none
 */
void octans_job_exit(void)
{
	flush_delayed_work(&reap_work);
	destroy_workqueue(reaper);
}

/**
 * octans_job_new() - make a job
 * @queue: its queue; a reference is taken
 * @max_waits: most fences that it will wait for
 *
 * Return: the job or NULL.
 */
struct octans_job *octans_job_new(struct octans_queue *queue, u32 max_waits)
{
	struct octans_job *job = kzalloc_flex(*job, waits, max_waits, GFP_KERNEL_ACCOUNT);

	if (!job)
		return NULL;
	__module_get(THIS_MODULE);
	atomic_inc(&live_jobs);
	kref_get(&queue->ref);
	atomic_inc(&queue->dev->objects.jobs);
	spin_lock_init(&job->lock);
	INIT_LIST_HEAD(&job->node);
	atomic_set(&job->unmet, 1);
	job->queue = queue;
	return job;
}

/**
 * octans_job_wait_for() - let a job wait for a fence
 * @job: that has not been pushed
 * @fence: the reference becomes the job's
 *
 * How the fence ends does not matter.
 */
void octans_job_wait_for(struct octans_job *job, struct dma_fence *fence)
{
	job->waits[job->n_waits].job = job;
	INIT_LIST_HEAD(&job->waits[job->n_waits].cb.node);
	job->waits[job->n_waits++].fence = fence;
}

/**
 * octans_job_discard() - free a job that was not pushed
 * @job: job
 */
void octans_job_discard(struct octans_job *job)
{
	u32 i;

	for (i = 0; i < job->n_waits; i++)
		dma_fence_put(job->waits[i].fence);
	atomic_dec(&job->queue->dev->objects.jobs);
	octans_queue_put(job->queue);
	atomic_dec(&live_jobs);
	kfree(job);
	module_put(THIS_MODULE);	/* an open file still holds it */
}

/**
 * octans_job_end() - tell the world that jobs have ended
 * @jobs: off their rings and queues, in order; emptied
 */
void octans_job_end(struct list_head *jobs)
{
	struct octans_job *job, *next;
	ktime_t now;

	if (list_empty(jobs))
		return;
	now = ktime_get();
	list_for_each_entry_safe(job, next, jobs, node) {
		struct octans_queue *queue = job->queue;

		list_del_init(&job->node);
		atomic_dec(&queue->client->jobs);
		if (job->error) {
			atomic64_inc(&queue->failed);
			dma_fence_set_error(&job->fence, job->error);
		} else {
			atomic64_inc(&queue->completed);
		}
		dma_fence_signal_timestamp(&job->fence, now);
		reap_soon(job, &ended_jobs);
	}
}

/* ---- pushing ---- */

/* The last fence that a job waited for has come, under that fence's lock, anywhere. */
static void met(struct octans_job *job)
{
	struct octans_sched *sched = job->sched;
	unsigned long flags;

	spin_lock_irqsave(&sched->lock, flags);
	/* if it was cancelled meanwhile its queue may belong to another ring */
	if (!job->over) {
		octans_sched_update(sched, job->queue);
		octans_sched_fill(sched);
	}
	spin_unlock_irqrestore(&sched->lock, flags);
}

static void fence_came(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct octans_job *job = container_of(cb, struct octans_wait, cb)->job;

	if (atomic_dec_and_test(&job->unmet))
		met(job);
}

/* From now on it may be met(); not before it is pushed, as there is one unmet more. */
static void start_waiting(struct octans_job *job)
{
	u32 i;

	for (i = 0; i < job->n_waits; i++) {
		struct octans_wait *w = &job->waits[i];

		/* jobs of a queue follow each other anyway */
		if (w->fence->context == job->queue->context)
			continue;
		atomic_inc(&job->unmet);
		if (dma_fence_add_callback(w->fence, &w->cb, fence_came))
			atomic_dec(&job->unmet);
	}
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

/* submit_lock held. */
static int admit(struct octans_queue *queue, u32 n)
{
	if (queue->closed)
		return -ENOENT;
	if (octans_device_down(queue->dev))
		return -ENODEV;
	if (octans_client_banned(queue->client))
		return -EACCES;
	if (atomic_read(&queue->error))
		return -ECANCELED;
	if (READ_ONCE(queue->count) + n > OCTANS_QUEUE_JOBS)
		return -EAGAIN;
	if (atomic_add_return(n, &queue->client->jobs) > OCTANS_CLIENT_JOBS) {
		atomic_sub(n, &queue->client->jobs);
		return -EAGAIN;
	}
	return 0;
}

/**
 * octans_job_push() - put the jobs of one SUBMIT into their queue, all or none
 * @queue: queue
 * @jobs: jobs; no longer the caller's on success
 * @n: how many
 * @done: out: fence of the last one, a reference
 *
 * If nothing stands in their way they are on a ring when this returns.
 *
 * Return: 0 or a negative errno.
 */
int octans_job_push(struct octans_queue *queue, struct octans_job **jobs, u32 n,
		    struct dma_fence **done)
{
	struct octans_sched *sched;
	LIST_HEAD(ended);
	bool cookie;
	u32 i;
	int ret;

	mutex_lock(&queue->submit_lock);
	ret = admit(queue, n);
	if (ret)
		goto out;
	sched = choose(queue);
	for (i = 0; i < n; i++) {
		jobs[i]->sched = sched;
		dma_fence_init(&jobs[i]->fence, &fence_ops, &jobs[i]->lock, queue->context,
			       ++queue->fences);
		start_waiting(jobs[i]);
	}
	jobs[n - 1]->last = true;
	*done = dma_fence_get(&jobs[n - 1]->fence);
	atomic64_add(n, &queue->submitted);

	cookie = dma_fence_begin_signalling();
	spin_lock_irq(&sched->lock);
	for (i = 0; i < n; i++)
		atomic_dec(&jobs[i]->unmet);
	octans_sched_add(sched, queue, jobs, n);
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
