/* SPDX-License-Identifier: MIT */
/*
 * Inside the in-process door: what octans.ko does, small.  It touches the processor
 * only through registers, interrupts and memory, as a driver does.
 *
 * Locks: vm->lock > dev->lock.  The interrupt callback runs in a ring thread that is
 * outside its window and takes dev->lock; so dev->lock may be held while a reset is
 * awaited.
 */
#ifndef OCTANS_SIM_INPROC_H
#define OCTANS_SIM_INPROC_H

#include "device.h"
#include "octans_inproc.h"

#define INPROC_PAGE		0x1000ULL
#define INPROC_LARGE		0x200000ULL
#define INPROC_RING_LOG2	4
#define INPROC_EVT_LOG2		8
#define INPROC_FAULTS		16
#define INPROC_MAX_TIMEOUT_MS	60000

/* ---- extent.c: which pieces of a range are free ---- */

struct extent {
	struct extent *next;
	uint64_t start, size;
};

struct extents {
	struct extent *free;	/* ascending, never adjacent */
	uint64_t used;
};

int extents_init(struct extents *e, uint64_t start, uint64_t size);
void extents_destroy(struct extents *e);
/* UINT64_MAX: no piece of @size (a multiple of the page) at a multiple of @align. */
uint64_t extents_alloc(struct extents *e, uint64_t size, uint64_t align);
void extents_free(struct extents *e, uint64_t start, uint64_t size);

/* ---- inproc.c ---- */

struct inproc_ring {
	uint64_t desc, wb;		/* offsets in the arena */
	uint64_t seqno;			/* of the newest job */
	uint32_t tail;
	struct inproc_job *job;		/* running, or NULL */
	bool odd;			/* the last look found it over, yet not reported */
};

struct octans_inproc {
	struct sim_device *sim;
	uint8_t *arena;			/* host memory that the processor reaches */
	uint64_t arena_size;

	pthread_mutex_t lock;
	pthread_cond_t done;		/* a job ended, or the device is gone */
	pthread_cond_t tick;		/* the watchdog has something to watch */
	pthread_t watchdog;
	bool stop, gone;

	struct extents host, local;
	uint64_t asids;			/* offset of the table */
	struct octans_inproc_vm *vm[OCTANS_MAX_ASIDS];
	uint64_t invalidates, resets;	/* sent since, and number of, device resets */
	uint64_t events;
	uint32_t evt_head;
	struct octans_inproc_queue *queues;
	unsigned int rings;
	struct inproc_ring ring[OCTANS_MAX_RINGS];
};

struct octans_inproc_bo {
	struct octans_inproc *dev;
	uint64_t size, offset;		/* in the arena or on the card */
	bool local;
	unsigned int refs;		/* the handle and each mapping; dev->lock */
};

/* Bus address of arena offset 0: not zero, so that a stray 0 is refused by the bus. */
#define INPROC_IOVA	0x100000000ULL

static inline uint64_t inproc_iova(uint64_t offset)
{
	return INPROC_IOVA + offset;
}

static inline void *inproc_host(struct octans_inproc *dev, uint64_t offset)
{
	return dev->arena + offset;
}

/* Zeroed arena memory; dev->lock held.  UINT64_MAX: none left. */
uint64_t inproc_host_alloc(struct octans_inproc *dev, uint64_t size);
void inproc_host_free(struct octans_inproc *dev, uint64_t offset, uint64_t size);
void inproc_bo_put(struct octans_inproc_bo *bo);	/* dev->lock held */

/* ---- inproc_vm.c ---- */

struct mapping {
	struct mapping *next;		/* ascending by va */
	struct octans_inproc_bo *bo;
	uint64_t va, size, offset;
	bool readonly;
};

struct octans_inproc_vm {
	struct octans_inproc *dev;
	pthread_mutex_t lock;		/* of the page tables and mappings */
	uint16_t asid;
	uint64_t root;			/* offset in the arena */
	unsigned int refs;		/* the handle and each queue; dev->lock */
	struct mapping *maps;
	struct octans_inproc_fault fault[INPROC_FAULTS];	/* dev->lock */
	unsigned int faults;
};

void inproc_vm_put(struct octans_inproc_vm *vm);	/* no lock held */

/* ---- inproc_queue.c ---- */

struct inproc_job {
	struct inproc_job *next;
	struct octans_inproc_queue *queue;
	uint64_t va, tag, seq;
	uint32_t size;
	uint64_t seqno;			/* on its ring */
	int64_t deadline;		/* CLOCK_MONOTONIC ns */
};

struct octans_inproc_queue {
	struct octans_inproc_queue *next;
	struct octans_inproc_vm *vm;
	uint32_t priority, timeout_ms;
	uint64_t submitted, ended;	/* jobs end in order */
	uint64_t bad_seq;		/* the job that got it banned, 0 = none */
	int bad_err;
	bool running;
	struct inproc_job *first, **last;	/* waiting */
};

/* dev->lock held by the caller, except for the watchdog. */
void inproc_rings_start(struct octans_inproc *dev);
void inproc_ring_look(struct octans_inproc *dev, unsigned int r);
void inproc_drain_events(struct octans_inproc *dev);
void inproc_check_gone(struct octans_inproc *dev);
void *inproc_watchdog(void *dev);

#endif
