/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_BATCH_H
#define OCTANS_BATCH_H

#include <linux/dma-fence.h>
#include <linux/llist.h>
#include <linux/spinlock.h>

#include "octans_job.h"

/**
 * struct octans_wait - a fence that a batch waits for
 * @cb: callback of @fence
 * @batch: who waits
 */
struct octans_wait {
	struct dma_fence_cb cb;
	/** @fence: a reference, until the batch is reaped */
	struct dma_fence *fence;
	struct octans_batch *batch;
};

/**
 * struct octans_batch - the jobs of one SUBMIT, and the fence that says that they have ended
 * @waits: the fences that the first job waits for, behind @jobs; the others follow it
 * @n_waits: how many of them are used
 * @n_jobs: how many jobs
 * @jobs: the jobs, in order
 *
 * What is left of it when it has been reaped is the fence, for as long as anybody holds it.  That
 * keeps the module, but neither queue nor device; and this memory, at most 9 KiB, which is charged
 * to who submitted.
 */
struct octans_batch {
	/** @fence: first; freed by RCU */
	struct dma_fence fence;
	/** @lock: of @fence */
	spinlock_t lock;
	/** @reap: on the way to the reaper, or to be freed by it */
	struct llist_node reap;
	/** @queue: a reference, until it is reaped */
	struct octans_queue *queue;
	/** @sched: that it was pushed to */
	struct octans_sched *sched;
	/** @unmet: fences that have not come; one more while it is being pushed */
	atomic_t unmet;
	/** @left: jobs that have not ended */
	atomic_t left;
	u32 n_waits, n_jobs;
	struct octans_wait *waits;
	struct octans_job jobs[] __counted_by(n_jobs);
};

struct octans_batch *octans_batch_new(struct octans_queue *queue, u32 n_jobs, u32 max_waits);
void octans_batch_discard(struct octans_batch *batch);
void octans_batch_wait_for(struct octans_batch *batch, struct dma_fence *fence);
void octans_batch_start(struct octans_batch *batch, struct octans_sched *sched,
			dma_fence_func_t came);
void octans_batch_end(struct octans_batch *batch, u32 good, u32 bad, ktime_t now);
int octans_batch_live(void);
int octans_batch_init(void);
void octans_batch_exit(void);

#endif
