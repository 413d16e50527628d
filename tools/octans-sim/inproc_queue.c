// SPDX-License-Identifier: MIT
/* The in-process door: queues, and whose turn it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inproc.h"

/* ---- turns ---- */

/*
 * Jobs cannot be interrupted, so one client is never on all rings: there is one left for others,
 * however long his jobs are.
 */
static bool may_run(const struct octans_inproc *dev, const struct octans_inproc_queue *q)
{
	unsigned int most = dev->rings > 1 ? dev->rings - 1 : 1;

	return q->first && !q->first->n_after && !q->running && !q->vm->paused && q->vm->running < most;
}

/* By priority; among equals clients take turns, and so do the queues of one client. */
static bool goes_before(const struct octans_inproc_queue *a, const struct octans_inproc_queue *b)
{
	static const int rank[] = { 1, 0, 2 };	/* normal, low, high */

	if (rank[a->priority] != rank[b->priority])
		return rank[a->priority] > rank[b->priority];
	if (a->vm->running != b->vm->running)
		return a->vm->running < b->vm->running;
	if (a->vm != b->vm)
		return a->vm->served < b->vm->served;
	return a->served < b->served;
}

static struct octans_inproc_queue *pick(struct octans_inproc *dev)
{
	struct octans_inproc_queue *best = NULL;

	for (struct octans_inproc_queue *q = dev->queues; q; q = q->next)
		if (may_run(dev, q) && (!best || goes_before(q, best)))
			best = q;
	return best;
}

void inproc_dispatch(struct octans_inproc *dev)
{
	for (unsigned int r = 0; r < dev->rings && !dev->gone; r++) {
		struct octans_inproc_queue *q;
		struct inproc_job *job;

		if (dev->ring[r].job)
			continue;
		q = pick(dev);
		if (!q)
			return;
		job = q->first;
		q->first = job->next;
		if (!q->first)
			q->last = &q->first;
		pthread_cond_signal(&q->more);
		q->running = true;
		q->vm->running++;
		q->served = q->vm->served = ++dev->turn;
		inproc_ring_start_job(dev, r, job);
	}
}

/* ---- ends ---- */

void inproc_job_free(struct inproc_job *job)
{
	inproc_points_put(job->after, job->n_after);
	free(job);
}

void inproc_ban(struct octans_inproc_queue *q, uint64_t seq, int err)
{
	if (!q->bad_seq) {
		q->bad_seq = seq;
		q->bad_err = err;
	}
	while (q->first) {
		struct inproc_job *job = q->first;

		q->first = job->next;
		inproc_job_free(job);
	}
	q->last = &q->first;
	if (!q->running)
		q->ended = q->submitted;
	inproc_progress_set(q->progress, q->ended);
}

void inproc_end_job(struct octans_inproc *dev, unsigned int r, int err)
{
	struct inproc_job *job = dev->ring[r].job;
	struct octans_inproc_queue *q = job->queue;

	dev->ring[r].job = NULL;
	q->running = false;
	q->vm->running--;
	q->ended = job->seq;
	if (err || q->bad_seq)
		inproc_ban(q, job->seq, err);
	else
		inproc_progress_set(q->progress, q->ended);
	inproc_job_free(job);
	pthread_cond_broadcast(&dev->done);
}

/* ---- pauses ---- */

void inproc_vm_pause(struct octans_inproc_vm *vm)
{
	struct octans_inproc *dev = vm->dev;

	pthread_mutex_lock(&dev->lock);
	vm->paused = true;
	while (vm->running)
		pthread_cond_wait(&dev->done, &dev->lock);
	pthread_mutex_unlock(&dev->lock);
}

void inproc_vm_resume(struct octans_inproc_vm *vm)
{
	struct octans_inproc *dev = vm->dev;

	pthread_mutex_lock(&dev->lock);
	vm->paused = false;
	inproc_dispatch(dev);
	pthread_cond_signal(&dev->tick);
	pthread_mutex_unlock(&dev->lock);
}

/* ---- for clients ---- */

int octans_inproc_queue_new(struct octans_inproc_vm *vm, uint32_t priority, uint32_t timeout_ms,
			    struct octans_inproc_queue **out)
{
	struct octans_inproc *dev = vm->dev;
	struct octans_inproc_queue *q;
	int ret = 0;

	if (priority > 2 || timeout_ms > INPROC_MAX_TIMEOUT_MS)
		return -EINVAL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->vm = vm;
	q->priority = priority;
	q->timeout_ms = timeout_ms ? timeout_ms : INPROC_MAX_TIMEOUT_MS / 2;
	q->last = &q->first;
	pthread_cond_init(&q->more, NULL);
	pthread_mutex_lock(&dev->lock);
	if (dev->gone) {
		ret = -ENODEV;
	} else {
		vm->refs++;
		q->next = dev->queues;
		dev->queues = q;
	}
	pthread_mutex_unlock(&dev->lock);
	if (ret) {
		pthread_cond_destroy(&q->more);
		free(q);
		return ret;
	}
	*out = q;
	return 0;
}

void octans_inproc_queue_free(struct octans_inproc_queue *q)
{
	struct octans_inproc_queue **p;
	struct octans_inproc *dev;

	if (!q)
		return;
	dev = q->vm->dev;
	pthread_mutex_lock(&dev->lock);
	inproc_ban(q, q->ended + 1, -ECANCELED);
	for (unsigned int r = 0; r < dev->rings; r++)
		if (dev->ring[r].job && dev->ring[r].job->queue == q)
			inproc_ring_reset(dev, r, -ECANCELED);
	for (p = &dev->queues; *p != q; p = &(*p)->next)
		;
	*p = q->next;
	inproc_progress_set(q->progress, UINT64_MAX);
	inproc_dispatch(dev);
	pthread_mutex_unlock(&dev->lock);
	inproc_follow_end(q);
	inproc_progress_put(q->progress);
	inproc_vm_put(q->vm);
	pthread_cond_destroy(&q->more);
	free(q);
}

static bool job_ok(const struct octans_inproc_job *j)
{
	uint64_t top = 1ULL << OCTANS_VA_BITS;

	return !(j->va % 16) && j->size >= sizeof(struct octans_cmd) && !(j->size % 16) &&
	       j->size <= OCTANS_CMD_MAX && !(j->param_va % 4) &&
	       j->param_count <= OCTANS_PARAM_MAX && (j->param_count || !j->param_va) &&
	       j->param_va <= top - j->param_count * sizeof(uint32_t);
}

static void free_jobs(struct inproc_job *list)
{
	while (list) {
		struct inproc_job *job = list;

		list = job->next;
		inproc_job_free(job);
	}
}

/* *last: the next pointer of the last one.  After an error *first has those that were made. */
static int copy_jobs(struct octans_inproc_queue *q, const struct octans_inproc_job *jobs, size_t n,
		     struct inproc_job **first, struct inproc_job ***last)
{
	*first = NULL;
	*last = first;
	for (size_t i = 0; i < n; i++) {
		struct inproc_job *job;

		if (!job_ok(&jobs[i]))
			return -EINVAL;
		job = calloc(1, sizeof(*job));
		if (!job)
			return -ENOMEM;
		job->queue = q;
		job->what = jobs[i];
		**last = job;
		*last = &job->next;
	}
	return 0;
}

int octans_inproc_submit_after(struct octans_inproc_queue *q, const struct octans_inproc_point *after,
			       size_t n_after, const struct octans_inproc_job *jobs, size_t n, uint64_t *seq)
{
	struct octans_inproc *dev = q->vm->dev;
	struct inproc_job *first, **last;
	int ret;

	if (!n || n > OCTANS_INPROC_MAX_JOBS)
		return -EINVAL;
	ret = copy_jobs(q, jobs, n, &first, &last);
	if (!ret)	/* the others come after the first anyway */
		ret = inproc_points_get(q, after, n_after, &first->after, &first->n_after);
	if (ret) {
		free_jobs(first);
		return ret;
	}
	pthread_mutex_lock(&dev->lock);
	if (dev->gone)
		ret = -ENODEV;
	else if (q->bad_seq)
		ret = -ECANCELED;
	else if (first->n_after)
		ret = inproc_follow(q);
	if (!ret) {
		for (struct inproc_job *job = first; job; job = job->next)
			job->seq = ++q->submitted;
		*seq = q->submitted;
		*q->last = first;
		q->last = last;
		inproc_dispatch(dev);
		pthread_cond_signal(&q->more);
		pthread_cond_signal(&dev->tick);
	}
	pthread_mutex_unlock(&dev->lock);
	if (ret)
		free_jobs(first);
	return ret;
}

int octans_inproc_submit(struct octans_inproc_queue *q, const struct octans_inproc_job *jobs,
			 size_t n, uint64_t *seq)
{
	return octans_inproc_submit_after(q, NULL, 0, jobs, n, seq);
}

int octans_inproc_wait(struct octans_inproc_queue *q, uint64_t seq, int64_t abs_ns)
{
	struct octans_inproc *dev = q->vm->dev;
	struct timespec t = { abs_ns / 1000000000, abs_ns % 1000000000 };
	int ret = 0;

	pthread_mutex_lock(&dev->lock);
	if (!seq || seq > q->submitted)
		ret = -EINVAL;
	while (!ret && q->ended < seq) {
		if (abs_ns == INT64_MAX)
			pthread_cond_wait(&dev->done, &dev->lock);
		else if (abs_ns <= 0 ||
			 pthread_cond_timedwait(&dev->done, &dev->lock, &t) == ETIMEDOUT)
			ret = q->ended < seq ? -ETIMEDOUT : 0;
	}
	if (!ret && q->bad_seq && seq >= q->bad_seq)
		ret = seq == q->bad_seq || q->bad_err == -ENODEV ? q->bad_err : -ECANCELED;
	pthread_mutex_unlock(&dev->lock);
	return ret;
}
