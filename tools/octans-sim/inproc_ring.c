// SPDX-License-Identifier: MIT
/* The in-process door: rings, how the end of a job is noticed, and what ends a bad one. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "inproc.h"

#define HANG_MS			10000	/* a job that stands still for so long is not waited for */
#define RING_RESET_MS		500
#define DEVICE_RESET_MS		2000
#define FORGET_MS		100	/* a ring that was reset lets an invalidation complete */

int64_t inproc_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void nap(void)
{
	nanosleep(&(struct timespec) { .tv_nsec = 200000 }, NULL);
}

static uint64_t ring_read(struct octans_inproc *dev, unsigned int r, unsigned int reg)
{
	bool narrow = reg == OCTANS_RING_STATUS || reg == OCTANS_RING_HEAD;

	return sim_reg_read(dev->sim, OCTANS_RING(r) + reg, narrow ? 4 : 8);
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

/* The event queue stays off: what a job's failure was is in its ring's registers too, and there it
 * cannot be lost. */
static void set_up(struct octans_inproc *dev)
{
	sim_reg_write(dev->sim, OCTANS_REG_ASID_BASE, 8, inproc_iova(dev->asids));
	sim_reg_write(dev->sim, OCTANS_REG_MMU_CTRL, 4, OCTANS_MMU_ENABLE);
	for (unsigned int r = 0; r < dev->rings; r++)
		enable_ring(dev, r);
}

int inproc_rings_start(struct octans_inproc *dev)
{
	dev->patience = HANG_MS / INPROC_LOOK_MS;
	dev->asids = inproc_host_alloc(dev, dev->n_asids * sizeof(uint64_t));
	if (dev->asids == UINT64_MAX)
		return -ENOMEM;
	for (unsigned int r = 0; r < dev->rings; r++) {
		dev->ring[r].desc = inproc_host_alloc(dev, INPROC_PAGE);
		dev->ring[r].wb = inproc_host_alloc(dev, INPROC_PAGE);
		if (dev->ring[r].desc == UINT64_MAX || dev->ring[r].wb == UINT64_MAX)
			return -ENOMEM;
	}
	set_up(dev);
	return 0;
}

/* ---- jobs ---- */

void inproc_ring_start_job(struct octans_inproc *dev, unsigned int r, struct inproc_job *job)
{
	struct inproc_ring *ring = &dev->ring[r];
	struct octans_desc *d = inproc_host(dev, ring->desc);

	job->seqno = ++ring->seqno;
	job->deadline = inproc_now_ns() + job->queue->timeout_ms * 1000000LL;
	d += ring->tail & ((1 << INPROC_RING_LOG2) - 1);
	*d = (struct octans_desc) {
		.seqno = job->seqno,
		.cmd_va = job->what.va,
		.cmd_size = job->what.size,
		.asid = job->queue->vm->asid,
		.flags = OCTANS_DESC_IRQ,
		.tag = job->what.tag,
		.param_va = job->what.param_va,
		.param_count = job->what.param_count,
	};
	ring->job = job;
	ring->odd = false;
	sim_reg_write(dev->sim, OCTANS_DOORBELL(r), 4, ++ring->tail);
}

static uint64_t writeback(struct octans_inproc *dev, unsigned int r)
{
	return atomic_load_explicit((_Atomic uint64_t *)inproc_host(dev, dev->ring[r].wb),
				    memory_order_acquire);
}

static void lose_device(struct octans_inproc *dev)
{
	if (dev->gone)
		return;
	dev->gone = true;
	for (unsigned int r = 0; r < dev->rings; r++)
		if (dev->ring[r].job)
			inproc_end_job(dev, r, -ENODEV);
	for (struct octans_inproc_queue *q = dev->queues; q; q = q->next)
		if (q->first)
			inproc_ban(q, q->ended + 1, -ENODEV);
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
	int64_t end = inproc_now_ns() + ms * 1000000LL;
	uint32_t v;

	while ((v = sim_reg_read(dev->sim, reg, 4)) & busy) {
		if (v == UINT32_MAX || inproc_now_ns() > end)
			return false;
		nap();
	}
	return true;
}

/* A job that came to its end just before it was stopped has ended well. */
static int stopped(struct octans_inproc *dev, unsigned int r, int err)
{
	return writeback(dev, r) == OCTANS_WB(dev->ring[r].job->seqno, OCTANS_JOB_OK) ? 0 : err;
}

/* The last resort short of giving up.  @guilty's job ends with @err; whatever else ran
 * may have half run, and ends too. */
static void reset_device(struct octans_inproc *dev, unsigned int guilty, int err)
{
	sim_reg_write(dev->sim, OCTANS_REG_RESET, 4, OCTANS_RESET_MAGIC);
	settles(dev, OCTANS_REG_STATUS, OCTANS_STATUS_RESETTING, DEVICE_RESET_MS);
	if (sim_reg_read(dev->sim, OCTANS_REG_STATUS, 4) != OCTANS_STATUS_READY)
		sim_flr(dev->sim);
	if (sim_reg_read(dev->sim, OCTANS_REG_STATUS, 4) != OCTANS_STATUS_READY) {
		lose_device(dev);
		return;
	}
	for (unsigned int r = 0; r < dev->rings; r++)
		if (dev->ring[r].job)
			inproc_end_job(dev, r, r == guilty ? err : stopped(dev, r, -ECANCELED));
	set_up(dev);
}

void inproc_ring_reset(struct octans_inproc *dev, unsigned int r, int err)
{
	uint64_t ctrl = OCTANS_RING(r) + OCTANS_RING_CTRL;

	sim_reg_write(dev->sim, ctrl, 4, OCTANS_RING_RESET);
	if (settles(dev, ctrl, OCTANS_RING_RESET, RING_RESET_MS)) {
		enable_ring(dev, r);
		if (err == -ETIME || err == -ECANCELED)
			err = stopped(dev, r, err);
		inproc_end_job(dev, r, err);
		return;
	}
	inproc_check_gone(dev);
	if (!dev->gone)
		reset_device(dev, r, err);
}

/* ---- invalidations that are not acknowledged ---- */

bool inproc_ticket_done(struct octans_inproc *dev, uint32_t ticket)
{
	uint32_t done = sim_reg_read(dev->sim, OCTANS_REG_INVALIDATED, 4);

	/* All-ones: the device is gone, and uses nothing. */
	return done == UINT32_MAX || (int32_t)(done - ticket) >= 0;
}

void inproc_standstill_begin(struct octans_inproc *dev, struct inproc_standstill *s)
{
	for (unsigned int r = 0; r < dev->rings; r++) {
		s->seqno[r] = ring_read(dev, r, OCTANS_RING_SEQNO);
		s->progress[r] = ring_read(dev, r, OCTANS_RING_PROGRESS);
	}
}

static bool is_stuck(struct octans_inproc *dev, unsigned int r, const struct inproc_standstill *s)
{
	return s->seqno[r] && ring_read(dev, r, OCTANS_RING_SEQNO) == s->seqno[r] &&
	       ring_read(dev, r, OCTANS_RING_PROGRESS) == s->progress[r];
}

static bool completes(struct octans_inproc *dev, uint32_t ticket)
{
	int64_t end = inproc_now_ns() + FORGET_MS * 1000000LL;

	while (!inproc_ticket_done(dev, ticket)) {
		if (inproc_now_ns() > end)
			return false;
		nap();
	}
	return true;
}

void inproc_standstill_end(struct octans_inproc *dev, const struct inproc_standstill *s,
			   uint32_t ticket)
{
	/* First who has not moved, and only then who merely is busy. */
	for (int round = 0; round < 2; round++)
		for (unsigned int r = 0; r < dev->rings; r++) {
			if (completes(dev, ticket) || dev->gone)
				goto out;
			if (dev->ring[r].job && (round || is_stuck(dev, r, s)))
				inproc_ring_reset(dev, r, -ETIME);
		}
	if (!completes(dev, ticket))
		reset_device(dev, OCTANS_MAX_RINGS, -ETIME);
	if (!completes(dev, ticket))
		lose_device(dev);
out:
	inproc_dispatch(dev);
}

/* ---- what the processor reports ---- */

static void log_fault(struct octans_inproc *dev, unsigned int r)
{
	const struct inproc_job *job = dev->ring[r].job;
	struct octans_inproc_vm *vm = job->queue->vm;
	uint64_t code = ring_read(dev, r, OCTANS_RING_FAULT_CODE);

	if (ring_read(dev, r, OCTANS_RING_FAULT_SEQNO) != job->seqno ||
	    (code & 0xff) != OCTANS_JOB_FAULT || vm->faults == INPROC_FAULTS)
		return;
	vm->fault[vm->faults++] = (struct octans_inproc_fault) {
		.va = ring_read(dev, r, OCTANS_RING_FAULT_VA),
		.tag = job->what.tag,
		.seqno = job->seqno,
		.cmd_offset = code >> 32,
		.code = code >> 8 & 0xff,
		.write = code >> 16 & 1,
	};
}

/* This machine had no memory for what the processor itself needs: of the bus, without an address.  The writeback may be
 * corrupt, so the registers have to say so, too. */
static bool lacked_memory(struct octans_inproc *dev, unsigned int r)
{
	return ring_read(dev, r, OCTANS_RING_FAULT_SEQNO) == dev->ring[r].job->seqno &&
	       (ring_read(dev, r, OCTANS_RING_FAULT_CODE) & 0xff) == OCTANS_JOB_BUS &&
	       !ring_read(dev, r, OCTANS_RING_FAULT_VA);
}

static int job_error(struct octans_inproc *dev, unsigned int r, unsigned int status)
{
	switch (status) {
	case OCTANS_JOB_OK:
		return 0;
	case OCTANS_JOB_FAULT:
		return -EFAULT;
	case OCTANS_JOB_BUS:
		return lacked_memory(dev, r) ? -ENOMEM : -EIO;
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
	wb = writeback(dev, r);
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
		inproc_ring_reset(dev, r, -EIO);
	} else {
		err = job_error(dev, r, OCTANS_WB_STATUS(wb));
		if (!err && (status & OCTANS_RING_HALTED))
			err = -EIO;	/* registers and writeback disagree */
		if (err) {
			log_fault(dev, r);
			inproc_ring_reset(dev, r, err);
		} else {
			inproc_end_job(dev, r, 0);
		}
	}
	inproc_dispatch(dev);
}

/* Counted in looks, not in time: this process may have been stopped for a while. */
static bool hangs(struct octans_inproc *dev, unsigned int r, struct inproc_job *job)
{
	uint64_t progress = ring_read(dev, r, OCTANS_RING_PROGRESS);

	if (job->progress != progress)
		job->still = 0;
	job->progress = progress;
	return ++job->still > dev->patience;
}

static void watch(struct octans_inproc *dev)
{
	inproc_check_gone(dev);
	for (unsigned int r = 0; r < dev->rings; r++) {
		struct inproc_ring *ring = &dev->ring[r];

		inproc_ring_look(dev, r);
		if (ring->job && (inproc_now_ns() > ring->job->deadline ||
				  hangs(dev, r, ring->job))) {
			inproc_ring_reset(dev, r, -ETIME);
			inproc_dispatch(dev);
		}
	}
}

static bool is_busy(const struct octans_inproc *dev)
{
	for (unsigned int r = 0; r < dev->rings; r++)
		if (dev->ring[r].job)
			return true;
	return false;
}

void *inproc_watchdog(void *arg)
{
	struct octans_inproc *dev = arg;
	int64_t look = 0;	/* when; 0 = nothing ran so far */

	pthread_mutex_lock(&dev->lock);
	while (!dev->stop) {
		struct timespec t;

		if (!is_busy(dev)) {
			look = 0;
			pthread_cond_wait(&dev->tick, &dev->lock);
			continue;
		}
		if (look && inproc_now_ns() >= look) {
			watch(dev);
			look = 0;
		}
		if (!look)
			look = inproc_now_ns() + INPROC_LOOK_MS * 1000000LL;
		t = (struct timespec) { look / 1000000000, look % 1000000000 };
		pthread_cond_timedwait(&dev->tick, &dev->lock, &t);
	}
	pthread_mutex_unlock(&dev->lock);
	return NULL;
}
