/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_QUEUE_H
#define OCTANS_QUEUE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>

#include "octans_client.h"

struct drm_device;
struct drm_file;
struct octans_device;
struct octans_file;
struct octans_sched;
struct octans_vm;

#define OCTANS_QUEUE_JOBS	1024	/* that have not ended */

/**
 * struct octans_queue - jobs of one client that run one after the other
 * @ref: each job has a reference, and the file
 * @dev: device
 * @id: in its file
 * @timeout_ms: how long a job may run
 * @level: its priority
 * @submitted: jobs so far
 * @completed: those that have ended well
 * @failed: those that have not
 *
 * While it has jobs it belongs to one scheduler, whose lock protects the second half.
 */
struct octans_queue {
	struct kref ref;
	struct octans_device *dev;
	/** @client: whose it is; a reference */
	struct octans_client *client;
	/** @vm: what its jobs see; a reference */
	struct octans_vm *vm;
	u32 id;
	u32 timeout_ms;
	enum octans_level level;
	/**
	 * @submit_lock: makes the jobs of one SUBMIT follow each other; protects @closed, @fences
	 * and who @sched is
	 */
	struct mutex submit_lock;
	/** @closed: nothing may be pushed any more */
	bool closed;
	/** @context: of its jobs' fences */
	u64 context;
	/** @fences: how many there were */
	u64 fences;
	/** @error: why it was banned, a negative errno; 0 = not */
	atomic_t error;
	atomic64_t submitted, completed, failed;

	/** @sched: the one that it belongs to, or did when it last had jobs */
	struct octans_sched *sched;
	/** @member: in @sched->queues while it has jobs */
	struct list_head member;
	/** @ready: in its client's lane while the oldest job may run */
	struct list_head ready;
	/** @jobs: that are not on the ring, oldest first */
	struct list_head jobs;
	/** @back: skipped by the ring, until it has skipped all of @withdrawn; oldest first */
	struct list_head back;
	/** @count: of its jobs, those on the ring included */
	u32 count;
	/** @running: on the ring */
	u32 running;
	/** @withdrawn: of those, not to be run there; none goes on the ring meanwhile */
	u32 withdrawn;
	/** @job_ns: what one takes, as far as is known; 0: not at all */
	u64 job_ns;
	/** @killed: by its owner: what has not started ends at once */
	bool killed;
};

struct octans_queue *octans_queue_get(struct octans_file *file, u32 id);
void octans_queue_put(struct octans_queue *queue);
u32 octans_queue_asid(const struct octans_queue *queue);
bool octans_queue_stop(struct octans_queue *queue, int error);
void octans_queue_ban(struct octans_queue *queue, int error);
void octans_queue_stop_lost(struct octans_file *file);
void octans_queue_close_all(struct octans_file *file);
int octans_ioctl_queue_create(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_queue_destroy(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_queue_query(struct drm_device *drm, void *data, struct drm_file *file);

#endif
