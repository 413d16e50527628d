/* SPDX-License-Identifier: MIT */
/*
 * Room in a queue of the kernel.  It takes a bounded number of jobs that have not ended; who has more
 * waits until some of them have.  To have something to wait for, a SUBMIT now and then also signals the
 * next point of a timeline, which is the queue's.
 */
#ifndef ACCEL_ROOM_H
#define ACCEL_ROOM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <drm/octans_accel.h>

struct room {
	pthread_mutex_t lock;		/* of a SUBMIT with a point: they go up */
	uint32_t timeline;		/* syncobj, 0 = none yet */
	uint64_t points;		/* of SUBMITs so far */
	_Atomic uint32_t jobs;		/* since the newest */
};

void room_init(struct room *r);
void room_destroy(struct room *r, int fd);

/* Is a point due?  Then SUBMIT also signals *sync, and room_marked() comes after it. */
bool room_mark(struct room *r, int fd, uint32_t n_jobs, struct drm_octans_sync *sync);
void room_marked(struct room *r, bool submitted);

/*
 * Waits for the oldest point; or for a moment, if none is to come: then the jobs that take the room are
 * those of other queues.  Returns 0, or -errno without a sentence.
 */
int room_wait(struct room *r, int fd);

#endif
