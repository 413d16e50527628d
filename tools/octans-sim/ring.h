/* SPDX-License-Identifier: MIT */
/*
 * The rings, and what all rings of a device share.
 *
 * Each ring has a thread.  A front door whose own thread made the work by a register write may do
 * it itself (sim_ring_work): a job of a few microseconds then takes no wake-up of a thread.
 *
 * Locks: core->lock guards the registers of the rings and whatever the device adds.  It is never
 * held while a command runs or a message is sent.  core->lock > those of clock, bus, events;
 * irq.lock is taken alone.
 */
#ifndef OCTANS_SIM_RING_H
#define OCTANS_SIM_RING_H

#include "event.h"
#include "irq.h"
#include "mem.h"
#include "undefined.h"

#define SIM_RING_LOG2_MAX	12

struct sim_stats {
	_Atomic uint64_t jobs, failed, skipped, faults, aborted;
};

struct sim_core {
	const struct sim_profile *profile;
	struct sim_pool *pool;
	bool timing_only;
	struct sim_dma dma;
	struct sim_mmu mmu;
	struct sim_clock clock;
	struct sim_events events;
	struct sim_irq irq;
	struct sim_undefined undefined;
	struct sim_stats stats;
	_Atomic uint64_t epoch_ns;	/* CLOCK_MONOTONIC at device reset */
	_Atomic uint64_t hang_tag;	/* injected: jobs with this tag hang; 0 = none */

	pthread_mutex_t lock;
	bool stopped;			/* rings start nothing */
	/* Whoever holds the lock will do the work that it makes: no thread is woken for it. */
	bool lent;
	uint32_t todo;			/* the rings that it made it for, a bit each */
	/* A ring has left its window; lock held. */
	void (*settled)(void *owner);
	void *owner;
};

/* Nanoseconds since device reset, never 0. */
uint64_t sim_time_ns(struct sim_core *core);

/* The newest failure since the ring was enabled. */
struct sim_fault {
	uint64_t seqno, va, code;	/* registers */
};

struct sim_ring {
	struct sim_core *core;
	unsigned int index;
	pthread_t thread;
	pthread_cond_t wake;

	/* registers; core->lock */
	uint64_t base, wb, cq, shadow;
	uint32_t log2, cq_log2, vector;
	bool enabled, halted, resetting, reset_failed;
	uint32_t head, tail;
	uint64_t records;		/* descriptors done since the ring was reset */
	bool bad_doorbell;
	bool look;			/* the shadow doorbell may tell of more */
	uint64_t rest_ns;		/* when it asked for a doorbell */
	_Atomic uint64_t moment_ns;	/* how long it looks before it does */
	bool busy;			/* from taking up work to HEAD, or to the end of a look */
	struct exec_memory *left;	/* to be freed when a reset is over; who is active has it */
	uint64_t since, seqno;
	struct sim_fault fault;
	_Atomic uint64_t cycles;

	bool active;			/* a thread has taken up work, and its window is open */
	bool stop;			/* the thread is to end */

	/* injected */
	atomic_uint slow_us, fail_reset, drop_bell;
	atomic_uint late_us;		/* from HEAD to record and writeback */
	atomic_uint slow_reset;		/* milliseconds */
	uint64_t reset_due_ns;		/* core->lock */
	atomic_bool hold;		/* of invalidations, while a job runs */
	_Atomic uint64_t corrupt;	/* of the writeback; 0 = off */
	struct sim_corrupt corrupt_cq;

	struct sim_mem mem;		/* of the thread that is active */
};

int sim_ring_init(struct sim_ring *ring, struct sim_core *core, unsigned int index);
void sim_ring_destroy(struct sim_ring *ring);	/* ends its thread first */

/* Does what there is to do, until the loan is over, if no other thread is at it. */
void sim_ring_work(struct sim_ring *ring, struct sim_loan *loan);

/* All with core->lock held. */
void sim_ring_abort(struct sim_ring *ring);	/* what runs is dropped */
/* False: it was under way already, */
bool sim_ring_start_reset(struct sim_ring *ring);
/* and this completes it: the ring is not active. */
void sim_ring_reset_done(struct sim_ring *ring);
void sim_ring_initial_values(struct sim_ring *ring);	/* as at device reset; not active */
void sim_ring_doorbell(struct sim_ring *ring, uint32_t value);
/* @reg: OCTANS_RING_*.  CTRL.RESET is the device's, which waits for the ring. */
uint64_t sim_ring_read(struct sim_ring *ring, unsigned int reg);
void sim_ring_write(struct sim_ring *ring, unsigned int reg, uint64_t value);

#endif
