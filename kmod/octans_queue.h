/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_QUEUE_H
#define OCTANS_QUEUE_H

#include <linux/kref.h>
#include <linux/mutex.h>

#include <drm/gpu_scheduler.h>

struct drm_device;
struct drm_file;
struct octans_device;
struct octans_file;
struct octans_vm;

/**
 * struct octans_queue - jobs of one client that run one after the other
 */
struct octans_queue {
	struct kref ref;
	struct octans_device *dev;
	/** @vm: what its jobs see; a reference */
	struct octans_vm *vm;
	u32 id;
	u32 timeout_ms;
	/** @entity: valid until octans_queue_kill() */
	struct drm_sched_entity entity;
	/** @submit_lock: makes arming and pushing the jobs of one SUBMIT one step; protects
	 * @closed
	 */
	struct mutex submit_lock;
	/** @closed: nothing may be pushed any more */
	bool closed;
	/** @killed: jobs that have not started end with -ECANCELED */
	bool killed;
	/** @error: why it was banned, a negative errno; 0 = not */
	atomic_t error;
	atomic64_t submitted, completed, failed;
};

/**
 * struct octans_fence - ends when the hardware has ended a job
 *
 * Only the scheduler sees it, but the scheduler's own fence, which users hold, keeps it;
 * so it holds the device and the module, whose code and strings both fences use.
 */
struct octans_fence {
	struct dma_fence base;
	/** @lock: of @base */
	spinlock_t lock;
	struct octans_device *dev;
	struct work_struct release;
};

/**
 * struct octans_job - one command stream
 */
struct octans_job {
	struct drm_sched_job base;
	/** @queue: a reference, and through it the address space */
	struct octans_queue *queue;
	/** @fence: preallocated; NULL once run_job() has handed it to the scheduler */
	struct octans_fence *fence;
	/** @hw: the same fence while the job is on a ring; a reference of the ring's */
	struct octans_fence *hw;
	u64 va, tag, param_va;
	u32 size, param_count;
	/** @seqno, @started, @kill: on the ring; protected by its lock */
	u64 seqno;
	ktime_t started;
	bool kill;
};

#define to_octans_job(sched_job) container_of(sched_job, struct octans_job, base)

struct octans_queue *octans_queue_get(struct octans_file *file, u32 id);
void octans_queue_put(struct octans_queue *queue);
u32 octans_queue_asid(const struct octans_queue *queue);
void octans_queue_ban(struct octans_queue *queue, int error);
void octans_queue_close_all(struct octans_file *file);
int octans_ioctl_queue_create(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_queue_destroy(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_queue_query(struct drm_device *drm, void *data, struct drm_file *file);

/* octans_sched.c */
extern const struct drm_sched_backend_ops octans_sched_ops;
struct octans_job *octans_job_alloc(struct octans_queue *queue, u64 client_id);
void octans_job_discard(struct octans_job *job);
void octans_job_end(struct octans_job *job, int error);

/* octans_submit.c */
int octans_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *file);

#endif
