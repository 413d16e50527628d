/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_SCHED_H
#define OCTANS_SCHED_H

#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "octans_client.h"
#include "octans_ring.h"

struct octans_batch;
struct octans_device;
struct octans_job;
struct octans_queue;

/* Why nothing is emitted (octans_sched.frozen). */
#define OCTANS_FROZEN_VERDICT	0x1	/* a job is to be ended: octans_sched.guilty */
#define OCTANS_FROZEN_RESET	0x2	/* the device is being reset, or sleeps */
#define OCTANS_FROZEN_DOWN	0x4	/* for ever */

/**
 * struct octans_sched - a ring and what is to run on it
 * @dev: device
 * @index: of the ring
 * @name: for whoever reads logs
 * @ring: the ring
 */
struct octans_sched {
	struct octans_device *dev;
	u32 index;
	char name[16];
	/** @lock: protects the rest, and the second half of each queue that belongs here */
	spinlock_t lock;
	struct octans_ring ring;
	/** @cpu: where the ring's last interrupt was handled; a hint, read without the lock */
	int cpu;
	/** @ready: lanes that have a job that may run, in turn */
	struct list_head ready[OCTANS_LEVELS];
	/** @picks: jobs put on the ring so far */
	u32 picks;
	/** @queues: that have jobs */
	struct list_head queues;
	/** @count: of their jobs; read without the lock to compare */
	u32 count;
	/** @ns: what the jobs on the ring are predicted to take */
	u64 ns;
	/** @since: when the oldest job on the ring was the oldest first, or later */
	ktime_t since;
	/** @frozen: OCTANS_FROZEN_* */
	u32 frozen;
	/** @guilty: OCTANS_FROZEN_VERDICT: seqno of the job to be ended */
	u64 guilty;
	/** @error: and how */
	int error;
	/** @blame: and whether its client answers for it, or the device is to blame */
	bool blame;
	/** @lost: seqno that had ended without a record at the watchdog's last look */
	u64 lost;
	/** @look: at the ring when it had been stopped; resets only, without the lock */
	struct octans_look look;
	/** @watchdog: ticks while there are jobs on the ring */
	struct delayed_work watchdog;
};

int octans_sched_init(struct octans_device *dev, u32 index);
struct octans_sched *octans_sched_choose(struct octans_device *dev, struct octans_sched *last);
void octans_sched_add(struct octans_sched *sched, struct octans_batch *batch);
void octans_sched_update(struct octans_sched *sched, struct octans_queue *queue);
void octans_sched_fill(struct octans_sched *sched);
enum octans_news octans_sched_collect(struct octans_sched *sched, u32 *status,
				      struct list_head *ended);
struct octans_job *octans_sched_first(struct octans_sched *sched);
struct octans_job *octans_sched_find(struct octans_sched *sched, u64 seqno);
void octans_sched_pop(struct octans_sched *sched, int error, struct list_head *ended);
u32 octans_sched_overrun(struct octans_sched *sched);
u32 octans_sched_withdraw(struct octans_sched *sched, const struct octans_client *client,
			  const struct octans_queue *queue);
void octans_sched_put_back(struct octans_sched *sched, struct list_head *ended);
void octans_sched_flush(struct octans_sched *sched, struct octans_queue *queue, int error,
			struct list_head *ended);
bool octans_sched_crowded(struct octans_sched *sched);
void octans_sched_freeze(struct octans_sched *sched, int error, bool blame);

#endif
