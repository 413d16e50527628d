// SPDX-License-Identifier: MIT
/* The rings: each a thread that fetches descriptors, runs their streams and reports. */
#include <string.h>
#include <time.h>

#include "accel/octans_isa.h"
#include "device.h"

/* How a job left the ring; the OCTANS_JOB_* codes are zero and up. */
#define JOB_ABORTED	(-1)

/* ---- windows ---- */

/* Takes notice of what changed since the last look.  dev->lock held, own thread. */
static void catch_up(struct sim_ring *ring)
{
	struct sim_device *dev = ring->dev;
	uint64_t inv = atomic_load(&dev->inv_count);
	uint64_t quiesce = atomic_load(&dev->quiesce_count);

	if (ring->quiesce_seen != quiesce || inv - ring->inv_seen > SIM_INV_LOG)
		sim_mem_invalidate(&ring->mem, OCTANS_INVALIDATE_ALL);
	else
		for (uint64_t i = ring->inv_seen; i != inv; i++)
			sim_mem_invalidate(&ring->mem, dev->inv_log[i % SIM_INV_LOG]);
	ring->quiesce_seen = quiesce;
	ring->inv_seen = inv;
	pthread_cond_broadcast(&dev->moved);
}

static void pass_yield(struct sim_ring *ring)
{
	struct sim_device *dev = ring->dev;

	/* Only this thread writes the seen counts, so it may read them unlocked. */
	if (atomic_load_explicit(&dev->inv_count, memory_order_acquire) == ring->inv_seen &&
	    atomic_load_explicit(&dev->quiesce_count, memory_order_acquire) == ring->quiesce_seen)
		return;
	pthread_mutex_lock(&dev->lock);
	catch_up(ring);
	pthread_mutex_unlock(&dev->lock);
}

static void nap(unsigned int us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

bool sim_yield(struct sim_mem *m)
{
	struct sim_ring *ring = m->ring;

	pass_yield(ring);
	while (atomic_load_explicit(&ring->inject.hang, memory_order_relaxed) &&
	       !atomic_load(&ring->abort)) {
		nap(1000);
		pass_yield(ring);
	}
	if (atomic_load_explicit(&ring->abort, memory_order_relaxed))
		return false;
	atomic_fetch_add_explicit(&ring->progress, 1, memory_order_relaxed);
	return true;
}

/* ---- one job ---- */

/* The injected slowness: @us for each command, abortable. */
static void dawdle(struct sim_ring *ring)
{
	unsigned int us = atomic_load_explicit(&ring->inject.slow_us, memory_order_relaxed);

	while (us && sim_yield(&ring->mem)) {
		unsigned int n = us < 1000 ? us : 1000;

		nap(n);
		us -= n;
	}
}

static int refused_status(struct sim_ring *ring)
{
	if (atomic_load(&ring->abort))
		return JOB_ABORTED;
	return ring->mem.refused.status ? ring->mem.refused.status : OCTANS_JOB_BAD_CMD;
}

/* *offset: of the command that failed. */
static int run_stream(struct sim_ring *ring, const struct octans_desc *d, uint64_t *offset)
{
	struct sim_device *dev = ring->dev;
	struct sim_mem *m = &ring->mem;
	_Alignas(16) uint8_t cmd[SIM_CMD_MAX];
	struct octans_cmd *head = (struct octans_cmd *)cmd;
	int status;

	for (*offset = 0; *offset < d->cmd_size; *offset += head->size) {
		struct sim_exec ex = {
			.profile = &dev->profile,
			.threads = dev->threads,
		};

		dawdle(ring);
		if (!sim_yield(m))
			return JOB_ABORTED;
		if (sim_copy_in(m, d->cmd_va + *offset, head, sizeof(*head)))
			return refused_status(ring);
		if (head->size < sizeof(*head) || head->size % 16 || head->size > SIM_CMD_MAX ||
		    head->size > d->cmd_size - *offset)
			return OCTANS_JOB_BAD_CMD;
		/* The header stays as read the first time: the stream may change under us. */
		if (sim_copy_in(m, d->cmd_va + *offset + sizeof(*head), cmd + sizeof(*head),
				head->size - sizeof(*head)))
			return refused_status(ring);
		ex.cycles_before = atomic_load(&ring->cycles);
		ex.time_ns = sim_time_ns(dev);
		status = sim_exec(m, cmd, head->size, &ex);
		atomic_fetch_add(&ring->cycles, ex.cycles);
		atomic_fetch_add(&dev->stats.commands, 1);
		if (m->refused.status || status == OCTANS_JOB_FAULT)
			return refused_status(ring);
		if (status)
			return status;
	}
	return OCTANS_JOB_OK;
}

static bool desc_ok(const struct octans_desc *d)
{
	return d->seqno && !(d->seqno >> 56) && !(d->cmd_va % 16) && d->cmd_size >= 16 &&
	       !(d->cmd_size % 16) && d->cmd_size <= OCTANS_CMD_MAX &&
	       !(d->flags & ~OCTANS_DESC_IRQ) &&
	       !(d->reserved[0] | d->reserved[1] | d->reserved[2] | d->reserved[3]);
}

/* What a job leaves behind for the driver. */
struct outcome {
	int status;		/* OCTANS_JOB_* or JOB_ABORTED */
	uint64_t seqno;		/* 0 = not known: no writeback */
	uint64_t offset;
	bool bad_doorbell;	/* there is no descriptor to run */
	bool irq, event_irq;
};

/* Fetches and runs one descriptor, or finds out why it cannot. */
static void run_job(struct sim_ring *ring, struct octans_desc *d, struct outcome *o)
{
	struct sim_device *dev = ring->dev;
	uint64_t addr = ring->base + (ring->head & ((1U << ring->log2) - 1)) * sizeof(*d);
	const uint8_t *p;

	memset(d, 0, sizeof(*d));
	sim_mem_job(&ring->mem, 0);
	if (o->bad_doorbell) {
		o->status = OCTANS_JOB_BAD_DESC;
		return;
	}
	p = sim_bus_ptr(dev, addr, sizeof(*d), false);
	if (!p) {
		ring->mem.refused = (struct sim_refusal) {
			.status = OCTANS_JOB_BUS, .code = OCTANS_JOB_BUS, .va = addr,
		};
		o->status = OCTANS_JOB_BUS;
		return;
	}
	memcpy(d, p, sizeof(*d));
	if (d->seqno && !(d->seqno >> 56))
		o->seqno = d->seqno;
	if (!desc_ok(d)) {
		o->status = OCTANS_JOB_BAD_DESC;
		return;
	}
	pthread_mutex_lock(&dev->lock);
	ring->seqno = d->seqno;
	ring->since = sim_time_ns(dev);
	pthread_mutex_unlock(&dev->lock);
	sim_mem_job(&ring->mem, d->asid);
	o->status = run_stream(ring, d, &o->offset);
}

static void report_failure(struct sim_ring *ring, const struct octans_desc *d, struct outcome *o)
{
	const struct sim_refusal *r = &ring->mem.refused;
	struct octans_event e = {
		.type = OCTANS_EVT_JOB_ERROR,
		.ring = ring->index,
		.asid = d->asid,
		.seqno = o->seqno,
		.code = o->status,
		.cmd_offset = o->offset,
		.tag = d->tag,
	};

	if (o->status == OCTANS_JOB_FAULT)
		e.type = OCTANS_EVT_JOB_FAULT;
	if (o->status == OCTANS_JOB_FAULT || o->status == OCTANS_JOB_BUS) {
		e.code = r->code;
		e.va = r->va;
		e.write = r->write;
		atomic_fetch_add(&ring->dev->stats.faults, 1);
	}
	if (sim_event(ring->dev, &e))
		o->event_irq = true;
}

/* The job is over: event, registers, writeback, in the order that the manual promises. */
static void finish_job(struct sim_ring *ring, const struct octans_desc *d, struct outcome *o)
{
	struct sim_device *dev = ring->dev;
	uint64_t value, wb;
	uint8_t *p;

	if (o->status)
		report_failure(ring, d, o);
	pthread_mutex_lock(&dev->lock);
	if (!o->bad_doorbell)
		ring->head++;
	ring->halted = o->status != OCTANS_JOB_OK;
	ring->seqno = 0;
	ring->since = 0;
	wb = ring->wb;
	pthread_mutex_unlock(&dev->lock);

	atomic_fetch_add(o->status ? &dev->stats.failed : &dev->stats.jobs, 1);
	o->irq = o->status || (d->flags & OCTANS_DESC_IRQ);
	if (!o->seqno)
		return;
	value = OCTANS_WB(o->seqno, (uint64_t)o->status);
	value ^= atomic_exchange(&ring->inject.corrupt, 0);
	p = sim_bus_ptr(dev, wb, sizeof(value), true);
	if (p) {
		atomic_store_explicit((_Atomic uint64_t *)p, value, memory_order_release);
		return;
	}
	/* Nobody will see how the job ended: say so, and stop. */
	sim_mem_job(&ring->mem, d->asid);
	ring->mem.refused = (struct sim_refusal) {
		.status = OCTANS_JOB_BUS, .code = OCTANS_JOB_BUS, .va = wb, .write = true,
	};
	o->status = OCTANS_JOB_BUS;
	report_failure(ring, d, o);
	pthread_mutex_lock(&dev->lock);
	ring->halted = true;
	pthread_mutex_unlock(&dev->lock);
	o->irq = true;
}

/* ---- the thread ---- */

void sim_raise(struct sim_device *dev, unsigned int vector)
{
	unsigned int n;

	if (vector >= OCTANS_VECTORS(dev->rings) || atomic_load(&dev->removed) ||
	    !atomic_load(&dev->bus_master))
		return;
	n = atomic_load(&dev->drop_irq[vector]);
	while (n)
		if (atomic_compare_exchange_weak(&dev->drop_irq[vector], &n, n - 1)) {
			atomic_fetch_add(&dev->stats.irqs_dropped, 1);
			return;
		}
	atomic_fetch_add(&dev->stats.irqs, 1);
	dev->bus.irq(dev->bus.ctx, vector);
}

static bool has_work(const struct sim_ring *ring)
{
	return ring->enabled && !ring->halted && !ring->resetting && !ring->dev->resetting &&
	       !atomic_load(&ring->dev->removed) &&
	       (ring->bad_doorbell || ring->head != ring->tail);
}

void *sim_ring_main(void *arg)
{
	struct sim_ring *ring = arg;
	struct sim_device *dev = ring->dev;

	pthread_mutex_lock(&dev->lock);
	for (;;) {
		struct outcome o = { 0 };
		struct octans_desc d;
		uint32_t vector, evt_vector;

		while (!ring->stop && !has_work(ring))
			pthread_cond_wait(&ring->wake, &dev->lock);
		if (ring->stop)
			break;
		ring->active = true;
		o.bad_doorbell = ring->bad_doorbell;
		ring->bad_doorbell = false;
		atomic_store(&ring->abort, false);
		catch_up(ring);
		pthread_mutex_unlock(&dev->lock);

		run_job(ring, &d, &o);
		if (o.status == JOB_ABORTED)
			atomic_fetch_add(&dev->stats.aborted, 1);
		else
			finish_job(ring, &d, &o);

		pthread_mutex_lock(&dev->lock);
		vector = ring->vector;
		evt_vector = dev->evt_vector;
		ring->active = false;
		sim_device_settle(dev);
		pthread_mutex_unlock(&dev->lock);

		/* Outside the window: a front door may take its own locks. */
		if (o.event_irq)
			sim_raise(dev, evt_vector);
		if (o.irq)
			sim_raise(dev, vector);
		pthread_mutex_lock(&dev->lock);
	}
	pthread_mutex_unlock(&dev->lock);
	return NULL;
}

void sim_ring_abort(struct sim_ring *ring)
{
	if (ring->active)
		atomic_store(&ring->abort, true);
}

void sim_ring_reset_done(struct sim_ring *ring)
{
	ring->enabled = false;
	ring->halted = false;
	ring->head = 0;
	ring->tail = 0;
	ring->bad_doorbell = false;
	ring->since = 0;
	ring->seqno = 0;
	ring->resetting = false;
	/* A hang ends with the reset that it called for. */
	atomic_store(&ring->inject.hang, false);
}
