/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_JOB_H
#define OCTANS_JOB_H

#include <linux/dma-fence.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct octans_device;
struct octans_job;
struct octans_look;
struct octans_queue;
struct octans_sched;

/**
 * struct octans_wait - a fence that a job waits for
 * @cb: callback of @fence
 * @job: who waits
 */
struct octans_wait {
	struct dma_fence_cb cb;
	/** @fence: a reference, until the job is reaped */
	struct dma_fence *fence;
	struct octans_job *job;
};

/**
 * struct octans_job - one command stream, and the fence that says that it has ended
 * @va: address of the command stream
 * @tag: what its owner calls it
 * @param_va: address of its parameters
 * @size: bytes of the command stream
 * @param_count: u32 words of parameters
 * @n_waits: how many of @waits are used
 * @waits: the fences that it waits for
 *
 * Made by SUBMIT, waiting until its fences have come, ready, on a ring, ended, reaped.  What is
 * left then is the fence, for as long as anybody holds it.  That keeps the module, but neither
 * queue nor device.
 */
struct octans_job {
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
	/** @node: in @queue->jobs or ->back (@sched's lock), or in a list of jobs to end */
	struct list_head node;
	u64 va, tag, param_va;
	u32 size, param_count;
	/** @last: of its SUBMIT, the one that somebody may wait for */
	bool last;
	/** @over: taken off ring or queue, to be ended; protected by @sched's lock */
	bool over;
	/** @withdrawn: on a ring, and not to be run there; protected by @sched's lock */
	bool withdrawn;
	/** @error: how it ends; written by who takes it off its list */
	int error;
	/** @ns: predicted, as counted while it is on the ring; protected by @sched's lock */
	u64 ns;
	/** @unmet: fences that have not come; one more while it is being pushed */
	atomic_t unmet;
	u32 n_waits;
	struct octans_wait waits[];
};

struct octans_job *octans_job_new(struct octans_queue *queue, u32 max_waits);
void octans_job_wait_for(struct octans_job *job, struct dma_fence *fence);
void octans_job_discard(struct octans_job *job);
int octans_job_push(struct octans_queue *queue, struct octans_job **jobs, u32 n,
		    struct dma_fence **done);
void octans_job_kill(struct octans_queue *queue);
void octans_job_end(struct list_head *jobs);
void octans_job_irq(struct octans_sched *sched);
void octans_job_watchdog(struct work_struct *work);
int octans_job_live(void);
int octans_job_init(void);
void octans_job_exit(void);

#endif
