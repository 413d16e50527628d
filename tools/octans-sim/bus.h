/* SPDX-License-Identifier: MIT */
/*
 * The bus: which host memory lies behind which bus addresses, and who may be using it.
 *
 * Whoever reaches memory does so in a *window*.  What was found out in it (host pointers,
 * translations, the map) holds up to the next sim_window_pass().  Who wants to take something
 * away publishes the change, then waits until every window has passed it or is closed.  So no
 * lock is held while a command computes, and nothing is freed under it.
 *
 * A change is what the INVALIDATE register takes, its ticket included.  The lock is a leaf;
 * map_lock is above it, and who holds it waits for windows to pass.
 */
#ifndef OCTANS_SIM_BUS_H
#define OCTANS_SIM_BUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_CHANGES	64	/* a window may lag behind by; then it forgets all */

/* A range of bus addresses backed by host memory. */
struct sim_region {
	uint64_t iova;
	uint64_t size;
	uint8_t *host;
	bool write;
	atomic_bool dead;	/* the memory is gone: refused */
};

struct sim_map {
	size_t n;
	struct sim_region r[];	/* ascending, disjoint */
};

struct sim_window {
	struct sim_window *next;	/* open ones */
	uint64_t seen;			/* changes taken notice of */
};

struct sim_dma {
	_Atomic(struct sim_map *) map;
	struct sim_map *spare;		/* room for a region less: unmapping needs no memory */
	pthread_mutex_t map_lock;	/* who changes the map */
	atomic_bool on;			/* bus mastering is, and the device is there */
	atomic_uint deaths;		/* regions that died */

	pthread_mutex_t lock;
	pthread_cond_t moved;		/* a window passed or closed */
	struct sim_window *windows;
	_Atomic uint64_t changes;	/* number of the newest */
	uint64_t change[SIM_CHANGES];	/* number n at n % SIM_CHANGES */
	uint64_t complete;		/* every change up to this number is, ... */
	uint32_t ticket;		/* ... and this is its ticket */
};

int sim_bus_init(struct sim_dma *dma);
void sim_bus_destroy(struct sim_dma *dma);

/* Host memory behind [addr, addr + len); NULL: the bus refuses.  In a window. */
uint8_t *sim_bus_ptr(struct sim_dma *dma, uint64_t addr, uint64_t len, bool write);

/* -EINVAL, -EEXIST: overlaps another, -ENOMEM. */
int sim_bus_map(struct sim_dma *dma, uint64_t iova, uint64_t size, void *host, bool write);
/* The memory may be unmapped when this returns.  -ENOENT: no such region.  @host: where it was. */
int sim_bus_unmap(struct sim_dma *dma, uint64_t iova, uint64_t size, void **host);
/* See sim_dma_dead(). */
bool sim_bus_dead(struct sim_dma *dma, const void *addr, void **host, uint64_t *size);

void sim_window_open(struct sim_dma *dma, struct sim_window *w);
void sim_window_close(struct sim_dma *dma, struct sim_window *w);
/* True: there are changes to take notice of. */
static inline bool sim_window_stale(struct sim_dma *dma, const struct sim_window *w)
{
	return atomic_load_explicit(&dma->changes, memory_order_acquire) != w->seen;
}
/* Those that @w has not passed yet, SIM_CHANGES at most; more: OCTANS_INVALIDATE_ALL alone.
 * Returns how many; @upto goes to sim_window_pass() when they have been obeyed. */
size_t sim_window_changes(struct sim_dma *dma, const struct sim_window *w,
			  uint64_t change[SIM_CHANGES], uint64_t *upto);
void sim_window_pass(struct sim_dma *dma, struct sim_window *w, uint64_t upto);

/* Publishes a change: whoever is in a window forgets @what at its next pass. */
void sim_bus_change(struct sim_dma *dma, uint64_t what);
/* The ticket of the newest change that is complete. */
uint32_t sim_bus_ticket(struct sim_dma *dma);
void sim_bus_reset_ticket(struct sim_dma *dma);	/* to 0; no window is open */
/* Publishes that everything is to be forgotten; the newest ticket stays the newest. */
void sim_bus_forget(struct sim_dma *dma);
/* The same; returns when nobody uses what was found out before. */
void sim_bus_quiesce(struct sim_dma *dma);

#endif
