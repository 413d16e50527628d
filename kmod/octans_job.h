/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_JOB_H
#define OCTANS_JOB_H

#include <linux/list.h>
#include <linux/types.h>

struct dma_fence;
struct octans_batch;
struct octans_queue;
struct octans_sched;
struct work_struct;

/**
 * struct octans_job - one command stream
 * @va: address of the command stream
 * @tag: what its owner calls it
 * @param_va: address of its parameters
 * @size: bytes of the command stream
 * @param_count: u32 words of parameters
 *
 * Made by SUBMIT with its batch, waiting until the fences of that have come, ready, on a ring,
 * ended.
 */
struct octans_job {
	/** @node: in @queue->jobs or ->back (the scheduler's lock), or in a list of jobs to end */
	struct list_head node;
	/** @batch: what it is a part of */
	struct octans_batch *batch;
	/** @queue: the batch's */
	struct octans_queue *queue;
	u64 va, tag, param_va;
	u32 size, param_count;
	/** @ns: predicted, as counted while it is on the ring; protected by the scheduler's lock */
	u64 ns;
	/** @error: how it ends; written by who takes it off its list */
	int error;
	/** @last: of its batch, the one that somebody may wait for */
	bool last;
	/** @over: taken off ring or queue, to be ended; protected by the scheduler's lock */
	bool over;
	/** @withdrawn: on a ring, and not to be run there; protected by the scheduler's lock */
	bool withdrawn;
};

int octans_job_push(struct octans_batch *batch, struct dma_fence **done);
void octans_job_kill(struct octans_queue *queue);
void octans_job_end(struct list_head *jobs);
void octans_job_irq(struct octans_sched *sched);
void octans_job_watchdog(struct work_struct *work);

#endif
