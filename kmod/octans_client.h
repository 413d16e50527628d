/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_CLIENT_H
#define OCTANS_CLIENT_H

#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/spinlock.h>

/* What one client may have queued, so that others' memory and patience last. */
#define OCTANS_CLIENT_JOBS	8192

enum octans_level {
	OCTANS_LEVEL_HIGH,
	OCTANS_LEVEL_NORMAL,
	OCTANS_LEVEL_LOW,
	OCTANS_LEVELS
};

/**
 * struct octans_lane - what a client has to run on one ring at one priority
 */
struct octans_lane {
	/** @node: in octans_sched.ready while @queues is not empty */
	struct list_head node;
	/** @queues: of the client, whose oldest job may run */
	struct list_head queues;
};

/**
 * struct octans_turn - a client at one ring; protected by octans_sched.lock of that ring
 * @lanes: its queues that may run, by level
 */
struct octans_turn {
	struct octans_lane lanes[OCTANS_LEVELS];
	/** @ns: what its jobs on the ring are predicted to take */
	u64 ns;
};

/**
 * struct octans_client - an open file, as long as it or a queue of it lives
 * @ref: each queue has a reference, and the file
 * @since: when @score was last counted down
 */
struct octans_client {
	struct kref ref;
	/** @jobs: accepted and not ended */
	atomic_t jobs;
	/** @running: of those, on a ring */
	atomic_t running;
	/** @lock: protects @score and @since; nothing is taken inside */
	spinlock_t lock;
	/** @score: bans that have not been forgiven, as of @since */
	u32 score;
	ktime_t since;
	/** @turns: one for each ring */
	struct octans_turn turns[];
};

struct octans_client *octans_client_new(u32 rings);
void octans_client_put(struct octans_client *client);
void octans_client_punish(struct octans_client *client);
bool octans_client_banned(struct octans_client *client);
void octans_client_wait_idle(struct octans_client *client);

#endif
