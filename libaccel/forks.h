/* SPDX-License-Identifier: MIT */
/*
 * Who wants to know of fork(): a child has neither its parent's threads nor its processors, and locks
 * that other threads held stay locked in it.  What exists says what becomes of it there.
 */
#ifndef ACCEL_FORKS_H
#define ACCEL_FORKS_H

#include <pthread.h>

struct fork_watch {
	struct fork_watch *next, **at;
	/* In the parent, around it; NULL: nothing. */
	void (*before)(struct fork_watch *w);
	void (*after)(struct fork_watch *w);
	/* In the child, which has one thread. */
	void (*in_child)(struct fork_watch *w);
};

/*
 * From now on, until fork_unwatch(); a watch that was never begun may be ended, and one that was begun may be
 * begun again, which does nothing.  (MT)
 */
void fork_watch(struct fork_watch *w);
void fork_unwatch(struct fork_watch *w);

/* A lock that another thread may hold when a child is made: in the child it is as it was at first. */
struct fork_lock {
	struct fork_watch watch;	/* begun before the lock is taken, each time */
	pthread_mutex_t *lock, first;
};

void fork_free_lock(struct fork_watch *w);

#define FORK_LOCK(mutex, initial) \
	{ .watch = { .in_child = fork_free_lock }, .lock = (mutex), .first = initial }

#endif
