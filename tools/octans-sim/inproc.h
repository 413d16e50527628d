/* SPDX-License-Identifier: MIT */
/*
 * Inside the in-process door: what octans.ko does, small.  It touches the processor
 * only through registers, interrupts and memory, as a driver does, and never believes
 * what it reads from the card: the card may be gone.
 *
 * Locks: vm->lock > dev->lock; dev->memory is a leaf.  The interrupt callback runs in a ring
 * thread that is outside its window and takes dev->lock; so dev->lock may be held while a
 * reset is awaited.
 */
#ifndef OCTANS_SIM_INPROC_H
#define OCTANS_SIM_INPROC_H

#include <octans/isa.h>
#include "device.h"
#include "octans_inproc.h"

#define INPROC_PAGE		0x1000ULL
#define INPROC_RING_LOG2	4
#define INPROC_FAULTS		16
#define INPROC_MAX_TIMEOUT_MS	600000
#define INPROC_LOOK_MS		50	/* finds jobs whose interrupt was lost, or that hang */

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
	bool timing_only;

	pthread_mutex_t memory;		/* of the three: */
	struct extents host, local;
	struct extents tables;		/* the end of on-card memory: page tables */
	uint64_t tables_size;

	pthread_mutex_t lock;
	pthread_cond_t done;		/* a job ended, or the device is gone */
	pthread_cond_t tick;		/* the watchdog has something to watch */
	pthread_t watchdog;
	bool stop, gone;

	uint64_t asids;			/* offset of the table */
	struct octans_inproc_vm **vm;	/* by ASID */
	unsigned int n_asids;
	unsigned int taken;		/* ASIDs below that are */
	uint32_t ticket;		/* of the newest invalidation */
	uint64_t turn;			/* counts jobs started, for who was served last */
	struct octans_inproc_queue *queues;
	unsigned int patience;		/* looks that a job may stand still for */
	unsigned int rings;
	struct inproc_ring ring[OCTANS_MAX_RINGS];
};

struct octans_inproc_bo {
	struct octans_inproc *dev;
	uint64_t size, offset;		/* in the arena or on the card */
	bool local;
	int fd;				/* of memory that is shared; -1: it is not.  dev->memory */
	atomic_uint refs;		/* the handle and each mapping */
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

/* Zeroed arena memory.  UINT64_MAX: none left. */
uint64_t inproc_host_alloc(struct octans_inproc *dev, uint64_t size);
void inproc_host_free(struct octans_inproc *dev, uint64_t offset, uint64_t size);
/* inproc_share.c: that part of the arena is its own again, and reads as zeros. */
void inproc_unshare(struct octans_inproc_bo *bo);
void inproc_bo_put(struct octans_inproc_bo *bo);

/* ---- inproc_pt.c: the page tables of an address space; vm->lock held ---- */

struct inproc_table {
	struct inproc_table *next;	/* of those that are in no tree */
	_Atomic uint64_t *entries;	/* what the processor reads */
	uint64_t offset;		/* where they lie: in the arena or on the card */
	bool local;
	unsigned int valid;		/* entries that are */
	uint64_t shadow[OCTANS_PT_ENTRIES];	/* the same, for the driver to read */
	struct inproc_table *child[];	/* none in a last table */
};

/* Tables made beforehand, so that filling cannot fail: by level, the last one is 0. */
struct inproc_spare {
	struct inproc_table *level[OCTANS_PT_LEVELS];
};

/* A page as the processor sees it; size 0: nothing is mapped there. */
struct inproc_page {
	uint64_t start, size;
};

int inproc_pt_init(struct octans_inproc_vm *vm);	/* 0 or -ENOMEM */
void inproc_pt_free(struct octans_inproc_vm *vm);
uint64_t inproc_pt_root(const struct octans_inproc_vm *vm);	/* for the ASID table, with LOCAL */
struct inproc_page inproc_pt_page(const struct octans_inproc_vm *vm, uint64_t va);
/* Makes as many tables as filling so much needs at most.  0 or -ENOMEM. */
int inproc_pt_reserve(struct octans_inproc *dev, struct inproc_spare *spare, uint64_t va,
		      uint64_t size, uint64_t addr);
void inproc_spare_free(struct octans_inproc *dev, struct inproc_spare *spare);
/* Maps what is not mapped, with the largest pages that fit.  @addr: bus address or offset on the
 * card; @bits: WRITE, LOCAL. */
void inproc_pt_fill(struct octans_inproc_vm *vm, struct inproc_spare *spare, uint64_t va,
		    uint64_t size, uint64_t addr, uint64_t bits);
/* Begins and ends where pages do.  Tables that are not needed any more come to *dropped, to be
 * freed when the processor has forgotten them. */
void inproc_pt_clear(struct octans_inproc_vm *vm, uint64_t va, uint64_t size,
		     struct inproc_spare *dropped);

/* ---- inproc_vm.c ---- */

struct mapping {
	struct octans_inproc_bo *bo;
	uint64_t va, size, offset;
	bool readonly;
};

struct octans_inproc_vm {
	struct octans_inproc *dev;
	pthread_mutex_t lock;		/* of the page tables and mappings */
	uint16_t asid;
	struct inproc_table *root;
	struct mapping *maps;		/* ascending */
	size_t n_maps, room;

	/* dev->lock: */
	unsigned int refs;		/* the handle and each queue */
	unsigned int running;		/* jobs on rings */
	bool paused;			/* starts none */
	uint64_t served;		/* dev->turn of its newest job */
	struct octans_inproc_fault fault[INPROC_FAULTS];
	unsigned int faults;
};

void inproc_vm_put(struct octans_inproc_vm *vm);	/* no lock held */
/* Waits until no job of it runs, and lets none start until resumed. */
void inproc_vm_pause(struct octans_inproc_vm *vm);
void inproc_vm_resume(struct octans_inproc_vm *vm);

/* ---- inproc_follow.c: jobs that start after those of other queues, of this or another processor ---- */

/* How far a queue is, for those who may outlive it.  Its lock is a leaf. */
struct inproc_progress;

struct inproc_point {
	struct inproc_progress *progress;
	uint64_t seq;
};

/* -ENOMEM.  No lock held.  What is to be waited for: all but jobs of the queue itself. */
int inproc_points_get(const struct octans_inproc_queue *q, const struct octans_inproc_point *after, size_t n,
		      struct inproc_point **points, size_t *n_points);
void inproc_points_put(struct inproc_point *points, size_t n);
/* dev->lock held: jobs up to seq have ended, UINT64_MAX: all that there will ever be.  progress may be NULL. */
void inproc_progress_set(struct inproc_progress *progress, uint64_t seq);
void inproc_progress_put(struct inproc_progress *progress);
/* dev->lock held: there is a thread that makes jobs of the queue ready.  -EAGAIN. */
int inproc_follow(struct octans_inproc_queue *q);
/* No lock held: there is none any more. */
void inproc_follow_end(struct octans_inproc_queue *q);

/* ---- inproc_queue.c; dev->lock held ---- */

struct inproc_job {
	struct inproc_job *next;
	struct octans_inproc_queue *queue;
	struct octans_inproc_job what;
	struct inproc_point *after;	/* [n_after]: it is not ready before */
	size_t n_after;
	uint64_t seq;
	uint64_t seqno;			/* on its ring */
	int64_t deadline;		/* CLOCK_MONOTONIC ns */
	uint64_t progress;		/* of the ring at the last look */
	unsigned int still;		/* looks since it moved */
};

struct octans_inproc_queue {
	struct octans_inproc_queue *next;
	struct octans_inproc_vm *vm;
	uint32_t priority, timeout_ms;
	uint64_t submitted, ended;	/* jobs end in order */
	uint64_t bad_seq;		/* the job that got it banned, 0 = none */
	int bad_err;
	bool running;
	uint64_t served;		/* dev->turn of its newest job */
	struct inproc_job *first, **last;	/* waiting */
	struct inproc_progress *progress;	/* NULL: nobody follows it */
	pthread_t follower;
	bool follows, leaving;		/* there is that thread; it is to end */
	pthread_cond_t more;		/* for it */
};

/* Gives rings that are free something to do. */
void inproc_dispatch(struct octans_inproc *dev);
/* The job of ring @r is over: 0, or why it and its queue failed. */
void inproc_end_job(struct octans_inproc *dev, unsigned int r, int err);
/* Nothing of this queue runs any more, and nothing will; job @seq is to blame. */
void inproc_ban(struct octans_inproc_queue *q, uint64_t seq, int err);
void inproc_job_free(struct inproc_job *job);

/* ---- inproc_ring.c; dev->lock held, except by the watchdog ---- */

int64_t inproc_now_ns(void);
/* -ENOMEM or 0. */
int inproc_rings_start(struct octans_inproc *dev);
void inproc_ring_start_job(struct octans_inproc *dev, unsigned int r, struct inproc_job *job);
/* What interrupt or time suggest: has its job ended? */
void inproc_ring_look(struct octans_inproc *dev, unsigned int r);
/* Ends the job of ring @r with @err, once the processor can touch nothing for it. */
void inproc_ring_reset(struct octans_inproc *dev, unsigned int r, int err);
void inproc_check_gone(struct octans_inproc *dev);
void *inproc_watchdog(void *dev);

/* What rings were at when a driver began to wait for them. */
struct inproc_standstill {
	uint64_t seqno[OCTANS_MAX_RINGS], progress[OCTANS_MAX_RINGS];
};

void inproc_standstill_begin(struct octans_inproc *dev, struct inproc_standstill *s);
/* Resets the rings that have not moved since, then all that are busy, then the device, until
 * invalidation @ticket is complete. */
void inproc_standstill_end(struct octans_inproc *dev, const struct inproc_standstill *s,
			   uint32_t ticket);
bool inproc_ticket_done(struct octans_inproc *dev, uint32_t ticket);	/* no lock needed */

#endif
