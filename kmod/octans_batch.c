// SPDX-License-Identifier: GPL-2.0-only
/* What the jobs of one SUBMIT have in common: memory, what they wait for, and their fence. */
#include <linux/module.h>
#include <linux/slab.h>

#include "octans_batch.h"
#include "octans_device.h"
#include "octans_queue.h"
#include "octans_user.h"
#include "octans_vm.h"

/*
 * The reaper drops what ended batches held, and frees those that nobody holds any more.  Both may
 * be due in any context, and neither may be done there.  It belongs to the module, so that it can
 * drop the last reference of a device, and see the module go only after its own last line.
 */
static struct workqueue_struct *reaper;
static void reap(struct work_struct *work);
static DECLARE_DELAYED_WORK(reap_work, reap);
static LLIST_HEAD(ended);
static LLIST_HEAD(unheld);
static atomic_t live;

/*
 * Many a second make few wakeups.  As soon as it is in the list a work that runs already may free
 * the batch, and let the module go: octans_batch_exit() waits for who is between the two lines.
 */
static void reap_soon(struct octans_batch *batch, struct llist_head *list)
{
	rcu_read_lock();
	if (llist_add(&batch->reap, list))
		queue_delayed_work(reaper, &reap_work, 1);
	rcu_read_unlock();
}

static const char *fence_name(struct dma_fence *fence)
{
	return "octans";
}

static void fence_release(struct dma_fence *fence)
{
	reap_soon(container_of(fence, struct octans_batch, fence), &unheld);
}

/* Whoever asks may hold nothing but the fence: the names are not the queue's or the device's. */
static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name,
	.get_timeline_name = fence_name,
	.release = fence_release,
};

/* What a batch holds besides its own memory. */
static void drop_held(struct octans_batch *batch)
{
	u32 i;

	for (i = 0; i < batch->n_waits; i++)
		dma_fence_put(batch->waits[i].fence);
	atomic_sub(batch->n_jobs, &batch->queue->dev->objects.jobs);
	octans_queue_put(batch->queue);
}

static void reap(struct work_struct *work)
{
	struct octans_batch *batch, *next;
	u32 i;

	llist_for_each_entry_safe(batch, next, llist_del_all(&ended), reap) {
		/* those that have come, too: then it waits until the callback has returned */
		for (i = 0; i < batch->n_waits; i++)
			dma_fence_remove_callback(batch->waits[i].fence, &batch->waits[i].cb);
		drop_held(batch);
		dma_fence_put(&batch->fence);
		cond_resched();
	}
	llist_for_each_entry_safe(batch, next, llist_del_all(&unheld), reap) {
		kfree_rcu(batch, fence.rcu);
		atomic_dec(&live);
		module_put(THIS_MODULE);
		cond_resched();
	}
}

/**
 * octans_batch_live() - how many batches of all devices there are, and fences that were such
 *
 * Return: their number.
 */
int octans_batch_live(void)
{
	return atomic_read(&live);
}

/**
 * octans_batch_init() - the module is loaded
 *
 * Return: 0 or -ENOMEM.
 */
int octans_batch_init(void)
{
	reaper = alloc_workqueue("octans-reaper", WQ_UNBOUND | WQ_MEM_RECLAIM, 1);
	return reaper ? 0 : -ENOMEM;
}

/**
 * octans_batch_exit() - the module is unloaded; every batch has kept it, so there is none
 */
void octans_batch_exit(void)
{
	synchronize_rcu();	/* see reap_soon() */
	flush_delayed_work(&reap_work);
	destroy_workqueue(reaper);
}

/**
 * octans_batch_new() - make one
 * @queue: the jobs' queue; a reference is taken
 * @n_jobs: how many jobs; the caller says what they are
 * @max_waits: most fences that they will wait for
 *
 * Return: the batch or NULL.
 */
struct octans_batch *octans_batch_new(struct octans_queue *queue, u32 n_jobs, u32 max_waits)
{
	size_t size = struct_size_t(struct octans_batch, jobs, n_jobs);
	struct octans_batch *batch;

	batch = kmalloc(size + max_waits * sizeof(*batch->waits), GFP_KERNEL_ACCOUNT);
	if (!batch)
		return NULL;
	__module_get(THIS_MODULE);
	atomic_inc(&live);
	kref_get(&queue->ref);
	atomic_add(n_jobs, &queue->dev->objects.jobs);
	spin_lock_init(&batch->lock);
	batch->queue = queue;
	batch->sched = NULL;
	atomic_set(&batch->unmet, 1);
	atomic_set(&batch->left, n_jobs);
	batch->n_waits = 0;
	batch->n_jobs = n_jobs;
	batch->waits = (void *)batch + size;
	return batch;
}

/**
 * octans_batch_discard() - free one that was not started
 * @batch: batch
 */
void octans_batch_discard(struct octans_batch *batch)
{
	drop_held(batch);
	atomic_dec(&live);
	kfree(batch);
	module_put(THIS_MODULE);	/* an open file still holds it */
}

/**
 * octans_batch_wait_for() - let the first job wait for a fence
 * @batch: that has not been started
 * @fence: the reference becomes the batch's
 *
 * How the fence ends does not matter.  Of those that come one after the other the last is enough: a
 * fence has to call all that wait for it, one by one, with interrupts off.
 */
void octans_batch_wait_for(struct octans_batch *batch, struct dma_fence *fence)
{
	struct octans_wait *wait;
	u32 i;

	for (i = 0; i < batch->n_waits; i++) {
		wait = &batch->waits[i];
		if (wait->fence->context != fence->context)
			continue;
		if (dma_fence_is_later(fence, wait->fence))
			swap(fence, wait->fence);
		dma_fence_put(fence);
		return;
	}
	wait = &batch->waits[batch->n_waits++];
	wait->batch = batch;
	INIT_LIST_HEAD(&wait->cb.node);
	wait->fence = fence;
}

/**
 * octans_batch_start() - make the fence, and start to wait
 * @batch: the newest of its queue, whose submit_lock is held
 * @sched: scheduler that it is pushed to
 * @came: called when a fence has come; counts &octans_batch.unmet down
 */
void octans_batch_start(struct octans_batch *batch, struct octans_sched *sched,
			dma_fence_func_t came)
{
	struct octans_queue *queue = batch->queue;
	u32 i;

	batch->sched = sched;
	dma_fence_init(&batch->fence, &fence_ops, &batch->lock, queue->context, ++queue->fences);
	for (i = 0; i < batch->n_waits; i++) {
		struct octans_wait *wait = &batch->waits[i];

		/* jobs of a queue follow each other anyway */
		if (wait->fence->context == queue->context)
			continue;
		atomic_inc(&batch->unmet);
		if (dma_fence_add_callback(wait->fence, &wait->cb, came))
			atomic_dec(&batch->unmet);
	}
}

/**
 * octans_batch_end() - jobs have ended
 * @batch: theirs
 * @good: how many have ended well
 * @bad: how many have not
 * @now: when
 *
 * With the last of them the fence is signalled, and the caller's batch no more.  Any context.
 */
void octans_batch_end(struct octans_batch *batch, u32 good, u32 bad, ktime_t now)
{
	struct octans_queue *queue = batch->queue;
	int error;

	atomic_sub(good + bad, &queue->client->jobs);
	octans_user_uncharge(queue->vm->user, OCTANS_JOBS, good + bad);
	if (good)
		atomic64_add(good, &queue->completed);
	if (bad)
		atomic64_add(bad, &queue->failed);
	if (!atomic_sub_and_test(good + bad, &batch->left))
		return;
	error = batch->jobs[batch->n_jobs - 1].error;
	if (error)
		dma_fence_set_error(&batch->fence, error);
	dma_fence_signal_timestamp(&batch->fence, now);
	reap_soon(batch, &ended);
}
