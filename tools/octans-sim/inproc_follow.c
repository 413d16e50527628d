// SPDX-License-Identifier: MIT
/*
 * The in-process door: jobs that start after those of other queues, of this or another processor.  Each
 * queue that has such jobs has a thread, which makes the first of them ready when all that it waits for has
 * ended; whoever is waited for may be gone by then, so it leaves behind how far it came.
 */
#include <errno.h>
#include <stdlib.h>

#include "inproc.h"

#define POLL_MS 20	/* how long the end of a queue may have to wait for its thread */

struct inproc_progress {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned int refs;
	uint64_t ended;
};

static struct inproc_progress *progress_new(uint64_t ended)
{
	struct inproc_progress *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;

	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->moved, &attr);
	pthread_condattr_destroy(&attr);
	p->refs = 1;
	p->ended = ended;
	return p;
}

void inproc_progress_put(struct inproc_progress *p)
{
	unsigned int left;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	left = --p->refs;
	pthread_mutex_unlock(&p->lock);
	if (left)
		return;
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->moved);
	free(p);
}

void inproc_progress_set(struct inproc_progress *p, uint64_t seq)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->ended = seq;
	pthread_cond_broadcast(&p->moved);
	pthread_mutex_unlock(&p->lock);
}

/* The queue's, with a reference more; NULL: no memory. */
static struct inproc_progress *progress_of(struct octans_inproc_queue *q)
{
	struct octans_inproc *dev = q->vm->dev;
	struct inproc_progress *p;

	pthread_mutex_lock(&dev->lock);
	if (!q->progress)
		q->progress = progress_new(q->ended);
	p = q->progress;
	if (p) {
		pthread_mutex_lock(&p->lock);
		p->refs++;
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_unlock(&dev->lock);
	return p;
}

void inproc_points_put(struct inproc_point *points, size_t n)
{
	for (size_t i = 0; i < n; i++)
		inproc_progress_put(points[i].progress);
	free(points);
}

int inproc_points_get(const struct octans_inproc_queue *q, const struct octans_inproc_point *after, size_t n,
		      struct inproc_point **points, size_t *n_points)
{
	struct inproc_point *list = n ? calloc(n, sizeof(*list)) : NULL;
	size_t used = 0;

	if (n && !list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct inproc_progress *p;

		if (after[i].queue == q)	/* it is in order by itself */
			continue;
		p = progress_of(after[i].queue);
		if (!p) {
			inproc_points_put(list, used);
			return -ENOMEM;
		}
		list[used++] = (struct inproc_point) { .progress = p, .seq = after[i].seq };
	}
	*points = list;
	*n_points = used;
	return 0;
}

/* Is it reached, after a while at the latest?  Without a lock, and with a reference. */
static bool reached(struct inproc_progress *p, uint64_t seq)
{
	int64_t end = inproc_now_ns() + POLL_MS * 1000000LL;
	struct timespec t = { end / 1000000000, end % 1000000000 };
	bool yes;

	pthread_mutex_lock(&p->lock);
	while (p->ended < seq && pthread_cond_timedwait(&p->moved, &p->lock, &t) != ETIMEDOUT)
		;
	yes = p->ended >= seq;
	pthread_mutex_unlock(&p->lock);
	return yes;
}

/* With the lock, which is given up meanwhile: the last point of the first job, if that is reached, is no more
 * waited for. */
static void look(struct octans_inproc_queue *q)
{
	struct octans_inproc *dev = q->vm->dev;
	struct inproc_job *job = q->first;
	const uint64_t seq = job->seq;
	struct inproc_point point = job->after[job->n_after - 1];
	bool yes;

	pthread_mutex_lock(&point.progress->lock);
	point.progress->refs++;
	pthread_mutex_unlock(&point.progress->lock);
	pthread_mutex_unlock(&dev->lock);
	yes = reached(point.progress, point.seq);
	pthread_mutex_lock(&dev->lock);
	inproc_progress_put(point.progress);
	job = q->first;
	if (!yes || !job || job->seq != seq)	/* it may have been dropped */
		return;
	inproc_progress_put(job->after[--job->n_after].progress);
	if (job->n_after)
		return;
	inproc_dispatch(dev);
	pthread_cond_signal(&dev->tick);
}

static void *follow(void *arg)
{
	struct octans_inproc_queue *q = arg;
	struct octans_inproc *dev = q->vm->dev;

	pthread_mutex_lock(&dev->lock);
	while (!q->leaving)
		if (q->first && q->first->n_after)
			look(q);
		else
			pthread_cond_wait(&q->more, &dev->lock);
	pthread_mutex_unlock(&dev->lock);
	return NULL;
}

int inproc_follow(struct octans_inproc_queue *q)
{
	if (!q->follows && pthread_create(&q->follower, NULL, follow, q))
		return -EAGAIN;
	q->follows = true;
	return 0;
}

void inproc_follow_end(struct octans_inproc_queue *q)
{
	struct octans_inproc *dev = q->vm->dev;

	if (!q->follows)
		return;
	pthread_mutex_lock(&dev->lock);
	q->leaving = true;
	pthread_cond_signal(&q->more);
	pthread_mutex_unlock(&dev->lock);
	pthread_join(q->follower, NULL);
}
