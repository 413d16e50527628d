// SPDX-License-Identifier: MIT
/* The in-process door: queues, the rings they share, and what ends a bad job. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accel/octans_isa.h"
#include "inproc.h"

#define LOOK_EVERY_MS		50	/* finds jobs whose interrupt was lost */
#define RING_RESET_MS		500
#define DEVICE_RESET_MS		2000

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint32_t ring_read(struct octans_inproc *dev, unsigned int r, unsigned int reg)
{
	return sim_reg_read(dev->sim, OCTANS_RING(r) + reg, 4);
}

/* ---- setting the processor up ---- */

static void enable_ring(struct octans_inproc *dev, unsigned int r)
{
	struct inproc_ring *ring = &dev->ring[r];

	ring->tail = 0;
	ring->odd = false;
	sim_reg_write(dev->sim, OCTANS_RING(r) + OCTANS_RING_BASE, 8, inproc_iova(ring->desc));
	sim_reg_write(dev->sim, OCTANS_RING(r) + OCTANS_RING_WB, 8, inproc_iova(ring->wb));
	sim_reg_write(dev->sim, OCTANS_RING(r) + OCTANS_RING_LOG2, 4, INPROC_RING_LOG2);
	sim_reg_write(dev->sim, OCTANS_RING(r) + OCTANS_RING_VECTOR, 4, 1 + r);
	sim_reg_write(dev->sim, OCTANS_RING(r) + OCTANS_RING_CTRL, 4, OCTANS_RING_ENABLE);
}

static void set_up(struct octans_inproc *dev)
{
	struct sim_device *sim = dev->sim;

	dev->invalidates = 0;
	dev->evt_head = 0;
	memset(inproc_host(dev, dev->events), 0,
	       sizeof(struct octans_event) << INPROC_EVT_LOG2);
	sim_reg_write(sim, OCTANS_REG_ASID_BASE, 8, inproc_iova(dev->asids));
	sim_reg_write(sim, OCTANS_REG_MMU_CTRL, 4, OCTANS_MMU_ENABLE);
	sim_reg_write(sim, OCTANS_REG_EVT_BASE, 8, inproc_iova(dev->events));
	sim_reg_write(sim, OCTANS_REG_EVT_LOG2, 4, INPROC_EVT_LOG2);
	sim_reg_write(sim, OCTANS_REG_EVT_VECTOR, 4, 0);
	sim_reg_write(sim, OCTANS_REG_EVT_CTRL, 4, OCTANS_EVT_ENABLE);
	for (unsigned int r = 0; r < dev->rings; r++)
		enable_ring(dev, r);
}

void inproc_rings_start(struct octans_inproc *dev)
{
	/* The arena is empty: these cannot fail. */
	dev->asids = inproc_host_alloc(dev, OCTANS_MAX_ASIDS * sizeof(uint64_t));
	dev->events = inproc_host_alloc(dev, sizeof(struct octans_event) << INPROC_EVT_LOG2);
	for (unsigned int r = 0; r < dev->rings; r++) {
		dev->ring[r].desc = inproc_host_alloc(dev, INPROC_PAGE);
		dev->ring[r].wb = inproc_host_alloc(dev, INPROC_PAGE);
	}
	set_up(dev);
}

/* ---- jobs ---- */

static struct octans_inproc_queue *pick(struct octans_inproc *dev)
{
	static const int rank[] = { 1, 0, 2 };	/* normal, low, high */
	struct octans_inproc_queue **best = NULL, **end, *q;

	for (struct octans_inproc_queue **p = &dev->queues; *p; p = &(*p)->next)
		if ((*p)->first && !(*p)->running &&
		    (!best || rank[(*p)->priority] > rank[(*best)->priority]))
			best = p;
	if (!best)
		return NULL;
	/* To the end of the list: equals take turns. */
	q = *best;
	*best = q->next;
	for (end = &dev->queues; *end; end = &(*end)->next)
		;
	*end = q;
	q->next = NULL;
	return q;
}

static void start_job(struct octans_inproc *dev, unsigned int r, struct inproc_job *job)
{
	struct inproc_ring *ring = &dev->ring[r];
	struct octans_desc *d = inproc_host(dev, ring->desc);

	job->seqno = ++ring->seqno;
	job->deadline = now_ns() + job->queue->timeout_ms * 1000000LL;
	d += ring->tail & ((1 << INPROC_RING_LOG2) - 1);
	*d = (struct octans_desc) {
		.seqno = job->seqno,
		.cmd_va = job->va,
		.cmd_size = job->size,
		.asid = job->queue->vm->asid,
		.flags = OCTANS_DESC_IRQ,
		.tag = job->tag,
	};
	ring->job = job;
	ring->odd = false;
	job->queue->running = true;
	sim_reg_write(dev->sim, OCTANS_DOORBELL(r), 4, ++ring->tail);
}

static void dispatch(struct octans_inproc *dev)
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
		start_job(dev, r, job);
	}
}

/* Nothing of this queue runs any more, and nothing will. */
static void ban(struct octans_inproc_queue *q, uint64_t seq, int err)
{
	if (!q->bad_seq) {
		q->bad_seq = seq;
		q->bad_err = err;
	}
	while (q->first) {
		struct inproc_job *job = q->first;

		q->first = job->next;
		free(job);
	}
	q->last = &q->first;
	if (!q->running)
		q->ended = q->submitted;
}

static void end_job(struct octans_inproc *dev, unsigned int r, int err)
{
	struct inproc_job *job = dev->ring[r].job;
	struct octans_inproc_queue *q = job->queue;

	dev->ring[r].job = NULL;
	q->running = false;
	q->ended = job->seq;
	if (err)
		ban(q, job->seq, err);
	free(job);
	pthread_cond_broadcast(&dev->done);
}

static void lose_device(struct octans_inproc *dev)
{
	if (dev->gone)
		return;
	dev->gone = true;
	dev->resets++;		/* who waits for an invalidation waits no longer */
	for (unsigned int r = 0; r < dev->rings; r++)
		if (dev->ring[r].job)
			end_job(dev, r, -ENODEV);
	for (struct octans_inproc_queue *q = dev->queues; q; q = q->next)
		if (q->first)
			ban(q, q->ended + 1, -ENODEV);
	pthread_cond_broadcast(&dev->done);
}

void inproc_check_gone(struct octans_inproc *dev)
{
	if ((uint32_t)sim_reg_read(dev->sim, OCTANS_REG_ID, 4) != OCTANS_ID_MAGIC)
		lose_device(dev);
}

/* ---- resets ---- */

static bool settles(struct octans_inproc *dev, uint64_t reg, uint32_t busy, unsigned int ms)
{
	int64_t end = now_ns() + ms * 1000000LL;
	struct timespec nap = { 0, 200000 };

	uint32_t v;

	while ((v = sim_reg_read(dev->sim, reg, 4)) & busy) {
		if (v == UINT32_MAX || now_ns() > end)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

/* The last resort short of giving up.  @guilty's job ends with @err; whatever else ran
 * may have half run, and ends too. */
static void reset_device(struct octans_inproc *dev, unsigned int guilty, int err)
{
	uint32_t status = 0;

	/* Twice: a driver would try a function-level reset next. */
	for (int i = 0; i < 2 && status != OCTANS_STATUS_READY; i++) {
		sim_reg_write(dev->sim, OCTANS_REG_RESET, 4, OCTANS_RESET_MAGIC);
		settles(dev, OCTANS_REG_STATUS, OCTANS_STATUS_RESETTING, DEVICE_RESET_MS);
		status = sim_reg_read(dev->sim, OCTANS_REG_STATUS, 4);
	}
	if (status != OCTANS_STATUS_READY) {
		lose_device(dev);
		return;
	}
	dev->resets++;
	for (unsigned int r = 0; r < dev->rings; r++)
		if (dev->ring[r].job)
			end_job(dev, r, r == guilty ? err : -ECANCELED);
	set_up(dev);
}

/* Ends the job of ring @r with @err, once the processor can touch nothing for it. */
static void reset_ring(struct octans_inproc *dev, unsigned int r, int err)
{
	uint64_t ctrl = OCTANS_RING(r) + OCTANS_RING_CTRL;

	sim_reg_write(dev->sim, ctrl, 4, OCTANS_RING_RESET);
	if (settles(dev, ctrl, OCTANS_RING_RESET, RING_RESET_MS)) {
		enable_ring(dev, r);
		end_job(dev, r, err);
		return;
	}
	inproc_check_gone(dev);
	if (!dev->gone)
		reset_device(dev, r, err);
}

/* ---- what the processor reports ---- */

void inproc_drain_events(struct octans_inproc *dev)
{
	struct octans_event *queue = inproc_host(dev, dev->events);

	for (;;) {
		struct octans_event *e = &queue[dev->evt_head & ((1 << INPROC_EVT_LOG2) - 1)];
		struct octans_inproc_vm *vm;

		if (atomic_load_explicit((_Atomic uint64_t *)&e->index, memory_order_acquire) !=
		    (uint64_t)dev->evt_head + 1)
			break;
		vm = e->asid < OCTANS_MAX_ASIDS ? dev->vm[e->asid] : NULL;
		if (e->type == OCTANS_EVT_JOB_FAULT && vm && vm->faults < INPROC_FAULTS)
			vm->fault[vm->faults++] = (struct octans_inproc_fault) {
				.va = e->va,
				.tag = e->tag,
				.seqno = e->seqno,
				.cmd_offset = e->cmd_offset,
				.code = e->code,
				.write = e->write,
			};
		dev->evt_head++;
		sim_reg_write(dev->sim, OCTANS_REG_EVT_HEAD, 4, dev->evt_head);
	}
}

static int job_error(unsigned int status)
{
	switch (status) {
	case OCTANS_JOB_OK:
		return 0;
	case OCTANS_JOB_FAULT:
		return -EFAULT;
	}
	return -EIO;
}

void inproc_ring_look(struct octans_inproc *dev, unsigned int r)
{
	struct inproc_ring *ring = &dev->ring[r];
	uint64_t wb;
	uint32_t status;
	int err;

	if (!ring->job || dev->gone)
		return;
	wb = atomic_load_explicit((_Atomic uint64_t *)inproc_host(dev, ring->wb),
				  memory_order_acquire);
	status = ring_read(dev, r, OCTANS_RING_STATUS);
	if (status == UINT32_MAX) {
		inproc_check_gone(dev);
		return;
	}
	if (OCTANS_WB_SEQNO(wb) != ring->job->seqno) {
		/* Over according to the registers, but not to the writeback?  The writeback
		 * may be on its way; if it still is at the next look, it is wrong. */
		if (ring_read(dev, r, OCTANS_RING_HEAD) != ring->tail)
			return;
		if (!ring->odd) {
			ring->odd = true;
			return;
		}
		reset_ring(dev, r, -EIO);
	} else {
		err = job_error(OCTANS_WB_STATUS(wb));
		if (!err && (status & OCTANS_RING_HALTED))
			err = -EIO;	/* registers and writeback disagree */
		if (err)
			reset_ring(dev, r, err);
		else
			end_job(dev, r, 0);
	}
	dispatch(dev);
}

static void watch(struct octans_inproc *dev)
{
	inproc_check_gone(dev);
	inproc_drain_events(dev);
	for (unsigned int r = 0; r < dev->rings; r++) {
		struct inproc_ring *ring = &dev->ring[r];

		inproc_ring_look(dev, r);
		if (ring->job && now_ns() > ring->job->deadline) {
			reset_ring(dev, r, -ETIME);
			dispatch(dev);
		}
	}
}

void *inproc_watchdog(void *arg)
{
	struct octans_inproc *dev = arg;

	pthread_mutex_lock(&dev->lock);
	while (!dev->stop) {
		int64_t wake = now_ns() + LOOK_EVERY_MS * 1000000LL;
		struct timespec t = { wake / 1000000000, wake % 1000000000 };
		bool busy = false;

		for (unsigned int r = 0; r < dev->rings; r++)
			busy |= dev->ring[r].job != NULL;
		if (busy)
			pthread_cond_timedwait(&dev->tick, &dev->lock, &t);
		else
			pthread_cond_wait(&dev->tick, &dev->lock);
		if (now_ns() >= wake)
			watch(dev);
	}
	pthread_mutex_unlock(&dev->lock);
	return NULL;
}

/* ---- queues ---- */

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
	ban(q, q->ended + 1, -ECANCELED);
	for (unsigned int r = 0; r < dev->rings; r++)
		if (dev->ring[r].job && dev->ring[r].job->queue == q)
			reset_ring(dev, r, -ECANCELED);
	for (p = &dev->queues; *p != q; p = &(*p)->next)
		;
	*p = q->next;
	dispatch(dev);
	pthread_mutex_unlock(&dev->lock);
	inproc_vm_put(q->vm);
	free(q);
}

int octans_inproc_submit(struct octans_inproc_queue *q, uint64_t va, uint32_t size, uint64_t tag,
			 uint64_t *seq)
{
	struct octans_inproc *dev = q->vm->dev;
	struct inproc_job *job;
	int ret = 0;

	if (va % 16 || size < sizeof(struct octans_cmd) || size % 16 || size > OCTANS_CMD_MAX)
		return -EINVAL;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->queue = q;
	job->va = va;
	job->size = size;
	job->tag = tag;
	pthread_mutex_lock(&dev->lock);
	if (dev->gone) {
		ret = -ENODEV;
	} else if (q->bad_seq) {
		ret = -ECANCELED;
	} else {
		job->seq = ++q->submitted;
		*seq = job->seq;
		*q->last = job;
		q->last = &job->next;
		dispatch(dev);
		pthread_cond_signal(&dev->tick);
	}
	pthread_mutex_unlock(&dev->lock);
	if (ret)
		free(job);
	return ret;
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
