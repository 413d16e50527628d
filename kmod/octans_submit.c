// SPDX-License-Identifier: GPL-2.0-only
/* SUBMIT: everything that can fail first, then a point of no return. */
#include <linux/dma-fence-chain.h>
#include <linux/slab.h>

#include <drm/drm_file.h>
#include <drm/drm_syncobj.h>
#include <drm/octans_accel.h>

#include "octans_batch.h"
#include "octans_device.h"
#include "octans_drv.h"
#include "octans_job.h"
#include "octans_queue.h"
#include "octans_submit.h"
#include "octans_uobj.h"

#define IN_SYNCS BIT(31)	/* drm_octans_submit.failed_index */
#define FEW 4			/* as many jobs and syncobjs, or fewer, need no allocation */

/*
 * struct signal - a syncobj to signal after the jobs
 */
struct signal {
	struct drm_syncobj *syncobj;
	struct dma_fence_chain *chain;	/* timeline */
	u64 point;
};

/*
 * struct submit - one SUBMIT under way
 */
struct submit {
	struct drm_octans_submit *args;
	struct drm_file *file;
	struct octans_queue *queue;
	struct drm_octans_job *ujobs;
	struct drm_octans_sync *usyncs;
	struct octans_batch *batch;
	struct signal *signals;
	u32 n_signals;
	/* if they are many */
	void *memory;
};

/*
 * struct few - what most SUBMITs need
 */
struct few {
	struct drm_octans_job ujobs[FEW];
	struct drm_octans_sync usyncs[FEW];
	struct signal signals[FEW];
};

static int refuse(struct submit *s, u32 index, int error)
{
	s->args->failed_index = index;
	return error;
}

static bool job_ok(const struct drm_octans_job *job)
{
	u64 top = 1ULL << OCTANS_VA_BITS;

	return !job->flags && !job->pad && IS_ALIGNED(job->va, 16) && IS_ALIGNED(job->size, 16) &&
	       job->size && job->size <= OCTANS_CMD_MAX && job->va < top &&
	       job->size <= top - job->va && IS_ALIGNED(job->param_va, 4) &&
	       job->param_count <= OCTANS_PARAM_MAX && job->param_va < top &&
	       job->param_count * sizeof(u32) <= top - job->param_va &&
	       (job->param_count || !job->param_va);
}

static int make_jobs(struct submit *s)
{
	u32 i, n = s->args->jobs.count;

	for (i = 0; i < n; i++)
		if (!job_ok(&s->ujobs[i]))
			return refuse(s, i, -EINVAL);
	s->batch = octans_batch_new(s->queue, n, s->args->syncs.count);
	if (!s->batch)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		s->batch->jobs[i] = (struct octans_job) {
			.batch = s->batch,
			.queue = s->queue,
			.va = s->ujobs[i].va,
			.size = s->ujobs[i].size,
			.tag = s->ujobs[i].tag,
			.param_va = s->ujobs[i].param_va,
			.param_count = s->ujobs[i].param_count,
			.last = i == n - 1,
		};
	return 0;
}

static int add_wait(struct submit *s, const struct drm_octans_sync *sync)
{
	struct dma_fence *fence;
	int ret;

	ret = drm_syncobj_find_fence(s->file, sync->handle, sync->point, 0, &fence);
	if (!ret)
		octans_batch_wait_for(s->batch, fence);
	return ret;
}

static int add_signal(struct submit *s, const struct drm_octans_sync *sync)
{
	struct signal *sig = &s->signals[s->n_signals];

	sig->syncobj = drm_syncobj_find(s->file, sync->handle);
	if (!sig->syncobj)
		return -ENOENT;
	s->n_signals++;
	sig->point = sync->point;
	sig->chain = NULL;
	if (!sync->point)
		return 0;
	sig->chain = dma_fence_chain_alloc();
	return sig->chain ? 0 : -ENOMEM;
}

static int make_syncs(struct submit *s)
{
	u32 i;

	for (i = 0; i < s->args->syncs.count; i++) {
		const struct drm_octans_sync *sync = &s->usyncs[i];
		bool timeline = sync->flags & DRM_OCTANS_SYNC_TIMELINE;
		int ret;

		if (sync->flags & ~(DRM_OCTANS_SYNC_SIGNAL | DRM_OCTANS_SYNC_TIMELINE) ||
		    timeline != !!sync->point)
			return refuse(s, i | IN_SYNCS, -EINVAL);
		ret = sync->flags & DRM_OCTANS_SYNC_SIGNAL ? add_signal(s, sync) :
		      add_wait(s, sync);
		if (ret)
			return refuse(s, i | IN_SYNCS, ret);
	}
	return 0;
}

/* Nothing fails after octans_job_push(). */
static int push(struct submit *s)
{
	struct octans_device *dev = s->queue->dev;
	struct dma_fence *done;
	u32 i;
	int ret;

	ret = octans_job_push(s->batch, &done);
	if (ret)
		return ret;
	s->batch = NULL;	/* no longer ours */
	atomic64_inc(&dev->submits);
	atomic64_add(s->args->jobs.count, &dev->submitted_jobs);
	for (i = 0; i < s->n_signals; i++) {
		struct signal *sig = &s->signals[i];

		if (sig->chain)
			drm_syncobj_add_point(sig->syncobj, sig->chain, done, sig->point);
		else
			drm_syncobj_replace_fence(sig->syncobj, done);
		sig->chain = NULL;
	}
	dma_fence_put(done);
	return 0;
}

static int find_room(struct submit *s, struct few *few)
{
	u32 n = s->args->jobs.count, m = s->args->syncs.count;
	size_t of_syncs = sizeof(*s->usyncs) + sizeof(*s->signals);

	if (n <= FEW && m <= FEW) {
		s->ujobs = few->ujobs;
		s->usyncs = few->usyncs;
		s->signals = few->signals;
		return 0;
	}
	s->memory = kmalloc(n * sizeof(*s->ujobs) + m * of_syncs, GFP_KERNEL_ACCOUNT);
	if (!s->memory)
		return -ENOMEM;
	s->ujobs = s->memory;
	s->usyncs = (void *)(s->ujobs + n);
	s->signals = (void *)(s->usyncs + m);
	return 0;
}

static int prepare(struct submit *s, struct few *few)
{
	struct drm_octans_submit *args = s->args;
	int ret;

	if (args->flags || args->failed_index || args->pad || !args->jobs.count)
		return -EINVAL;
	args->failed_index = ~0u;
	ret = octans_uobj_check_array(&args->jobs, DRM_OCTANS_MAX_JOBS, OCTANS_JOB_MIN) ?:
	      octans_uobj_check_array(&args->syncs, DRM_OCTANS_MAX_SYNCS, OCTANS_SYNC_MIN) ?:
	      find_room(s, few) ?:
	      octans_uobj_copy_array(s->ujobs, &args->jobs, sizeof(*s->ujobs)) ?:
	      octans_uobj_copy_array(s->usyncs, &args->syncs, sizeof(*s->usyncs));
	if (ret)
		return ret;
	s->queue = octans_queue_get(s->file->driver_priv, args->queue_id);
	if (!s->queue)
		return -ENOENT;
	ret = make_jobs(s);
	return ret ?: make_syncs(s);
}

static void cleanup(struct submit *s)
{
	u32 i;

	if (s->batch)
		octans_batch_discard(s->batch);
	for (i = 0; i < s->n_signals; i++) {
		dma_fence_chain_free(s->signals[i].chain);
		drm_syncobj_put(s->signals[i].syncobj);
	}
	if (s->queue)
		octans_queue_put(s->queue);
	kfree(s->memory);
}

/**
 * octans_ioctl_submit() - DRM_IOCTL_OCTANS_SUBMIT
 * @drm: device
 * @data: struct drm_octans_submit
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct submit s = { .args = data, .file = file };
	struct few few;
	int ret;

	ret = prepare(&s, &few);
	if (!ret)
		ret = push(&s);
	cleanup(&s);
	return ret;
}
