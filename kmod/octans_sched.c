// SPDX-License-Identifier: GPL-2.0-only
/* The scheduler's side of a job, and the hardware fence. */
#include <linux/module.h>
#include <linux/slab.h>

#include "compat.h"
#include "octans_device.h"
#include "octans_queue.h"

static const char *fence_driver_name(struct dma_fence *fence)
{
	return "octans";
}

static const char *fence_timeline_name(struct dma_fence *fence)
{
	return "ring";
}

static void fence_release_work(struct work_struct *work)
{
	struct octans_fence *f = container_of(work, struct octans_fence, release);

	atomic_dec(&f->dev->objects.fences);
	drm_dev_put(&f->dev->drm);
	kfree_rcu(f, base.rcu);
	module_put(THIS_MODULE);
}

/* Dropping the device may sleep; a fence may be dropped anywhere. */
static void fence_release(struct dma_fence *fence)
{
	struct octans_fence *f = container_of(fence, struct octans_fence, base);

	schedule_work(&f->release);
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_driver_name,
	.get_timeline_name = fence_timeline_name,
	.release = fence_release,
};

static void fence_init(struct octans_fence *f, struct octans_ring *ring)
{
	f->dev = ring->dev;
	atomic_inc(&f->dev->objects.fences);
	drm_dev_get(&f->dev->drm);
	__module_get(THIS_MODULE);
	INIT_WORK(&f->release, fence_release_work);
	spin_lock_init(&f->lock);
	dma_fence_init(&f->base, &fence_ops, &f->lock, ring->fence_context, ++ring->fence_seqno);
}

/**
 * octans_job_alloc() - make a job that has not been armed
 * @queue: its queue; a reference is taken
 * @client_id: of the file that submits
 *
 * Return: the job or an ERR_PTR().
 */
struct octans_job *octans_job_alloc(struct octans_queue *queue, u64 client_id)
{
	struct octans_job *job = kzalloc(sizeof(*job), GFP_KERNEL_ACCOUNT);
	int ret = -ENOMEM;

	if (!job)
		return ERR_PTR(-ENOMEM);
	/* run_job() must not allocate. */
	job->fence = kzalloc(sizeof(*job->fence), GFP_KERNEL_ACCOUNT);
	if (!job->fence)
		goto err_free;
	ret = drm_sched_job_init(&job->base, &queue->entity, 1, queue, client_id);
	if (ret)
		goto err_free;
	kref_get(&queue->ref);
	atomic_inc(&queue->dev->objects.jobs);
	job->queue = queue;
	return job;
err_free:
	kfree(job->fence);
	kfree(job);
	return ERR_PTR(ret);
}

/**
 * octans_job_discard() - free a job that was not pushed, or that the scheduler gives back
 * @job: job
 */
void octans_job_discard(struct octans_job *job)
{
	drm_sched_job_cleanup(&job->base);
	kfree(job->fence);
	atomic_dec(&job->queue->dev->objects.jobs);
	octans_queue_put(job->queue);
	kfree(job);
}

/**
 * octans_job_end() - tell the world that a job has ended
 * @job: off its ring; the scheduler may free it at once
 * @error: 0 or a negative errno
 */
void octans_job_end(struct octans_job *job, int error)
{
	struct octans_fence *f = job->hw;

	if (error) {
		atomic64_inc(&job->queue->failed);
		dma_fence_set_error(&f->base, error);
	} else {
		atomic64_inc(&job->queue->completed);
	}
	dma_fence_signal(&f->base);
	dma_fence_put(&f->base);
}

static struct dma_fence *run_job(struct drm_sched_job *sched_job)
{
	struct octans_ring *ring = container_of(sched_job->sched, struct octans_ring, sched);
	struct octans_job *job = to_octans_job(sched_job);
	struct octans_queue *queue = job->queue;
	struct octans_fence *f = job->fence;
	int ret;

	if (READ_ONCE(queue->killed) || atomic_read(&queue->error)) {
		atomic64_inc(&queue->failed);
		return ERR_PTR(-ECANCELED);
	}
	job->fence = NULL;
	fence_init(f, ring);
	job->hw = f;
	dma_fence_get(&f->base);
	ret = octans_ring_emit(ring, job);	/* job may be gone after this */
	if (!ret)
		return &f->base;
	atomic64_inc(&queue->failed);
	dma_fence_set_error(&f->base, ret);
	dma_fence_signal(&f->base);
	dma_fence_put(&f->base);
	dma_fence_put(&f->base);
	return ERR_PTR(ret);
}

static void free_job(struct drm_sched_job *sched_job)
{
	octans_job_discard(to_octans_job(sched_job));
}

static enum drm_gpu_sched_stat timedout_job(struct drm_sched_job *sched_job)
{
	/* The scheduler's timeout is infinite: the watchdog of the ring ends jobs. */
	WARN_ON_ONCE(1);
	return DRM_GPU_SCHED_STAT_ENODEV;
}

const struct drm_sched_backend_ops octans_sched_ops = {
	.run_job = run_job,
	.timedout_job = timedout_job,
	.free_job = free_job,
};
