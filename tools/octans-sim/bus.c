// SPDX-License-Identifier: MIT
/* The map of bus addresses, and the windows in which it is used. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include <octans/regs.h>

/* ---- the map ---- */

static struct sim_region *find_region(struct sim_map *map, uint64_t addr, uint64_t len)
{
	size_t lo = 0, hi = map->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		struct sim_region *r = &map->r[mid];

		if (addr < r->iova)
			hi = mid;
		else if (addr - r->iova >= r->size)
			lo = mid + 1;
		else
			return len <= r->size - (addr - r->iova) ? r : NULL;
	}
	return NULL;
}

uint8_t *sim_bus_ptr(struct sim_dma *dma, uint64_t addr, uint64_t len, bool write)
{
	const struct sim_region *r;

	if (!atomic_load_explicit(&dma->on, memory_order_relaxed))
		return NULL;
	r = find_region(atomic_load_explicit(&dma->map, memory_order_acquire), addr, len);
	if (!r || (write && !r->write) || atomic_load_explicit(&r->dead, memory_order_relaxed))
		return NULL;
	return r->host + (addr - r->iova);
}

static struct sim_map *map_new(size_t n)
{
	struct sim_map *map = calloc(1, sizeof(*map) + n * sizeof(map->r[0]));

	if (map)
		map->n = n;
	return map;
}

static void copy_regions(struct sim_map *new, size_t to, struct sim_map *old, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sim_region *r = &old->r[at + i];

		new->r[to + i] = (struct sim_region) {
			.iova = r->iova, .size = r->size, .host = r->host, .write = r->write,
		};
		atomic_init(&new->r[to + i].dead, atomic_load(&r->dead));
	}
}

/* What died while the map was copied may have been marked in the old one alone. */
static void copy_deaths(struct sim_map *new, const struct sim_map *old)
{
	struct sim_region *r;

	for (size_t i = 0; i < old->n; i++) {
		if (!atomic_load(&old->r[i].dead))
			continue;
		r = find_region(new, old->r[i].iova, 1);
		if (r)
			atomic_store(&r->dead, true);
	}
}

/* Puts @new in force; the old one becomes the spare.  map_lock held. */
static void replace_map(struct sim_dma *dma, struct sim_map *new)
{
	struct sim_map *old = atomic_load(&dma->map);

	atomic_store_explicit(&dma->map, new, memory_order_release);
	sim_bus_quiesce(dma);	/* nobody reads the old one any more */
	copy_deaths(new, old);
	dma->spare = old;
}

/* map_lock held. */
static int add_region(struct sim_dma *dma, uint64_t iova, uint64_t size, void *host, bool write)
{
	struct sim_map *old = atomic_load(&dma->map), *new;
	size_t i;

	for (i = 0; i < old->n && old->r[i].iova < iova; i++)
		;
	if ((i > 0 && iova - old->r[i - 1].iova < old->r[i - 1].size) ||
	    (i < old->n && old->r[i].iova - iova < size))
		return -EEXIST;
	new = map_new(old->n + 1);
	if (!new)
		return -ENOMEM;
	copy_regions(new, 0, old, 0, i);
	new->r[i].iova = iova;
	new->r[i].size = size;
	new->r[i].host = host;
	new->r[i].write = write;
	copy_regions(new, i + 1, old, i, old->n - i);
	free(dma->spare);
	replace_map(dma, new);
	return 0;
}

int sim_bus_map(struct sim_dma *dma, uint64_t iova, uint64_t size, void *host, bool write)
{
	int ret;

	if (!size || iova + (size - 1) < iova)
		return -EINVAL;
	pthread_mutex_lock(&dma->map_lock);
	ret = add_region(dma, iova, size, host, write);
	pthread_mutex_unlock(&dma->map_lock);
	return ret;
}

/* map_lock held. */
static int remove_region(struct sim_dma *dma, uint64_t iova, uint64_t size, void **host)
{
	struct sim_map *old = atomic_load(&dma->map), *new = dma->spare;
	size_t i;

	for (i = 0; i < old->n; i++)
		if (old->r[i].iova == iova && old->r[i].size == size)
			break;
	if (i == old->n)
		return -ENOENT;
	*host = old->r[i].host;
	new->n = old->n - 1;
	copy_regions(new, 0, old, 0, i);
	copy_regions(new, i, old, i + 1, old->n - i - 1);
	replace_map(dma, new);
	return 0;
}

int sim_bus_unmap(struct sim_dma *dma, uint64_t iova, uint64_t size, void **host)
{
	int ret;

	pthread_mutex_lock(&dma->map_lock);
	ret = remove_region(dma, iova, size, host);
	pthread_mutex_unlock(&dma->map_lock);
	return ret;
}

/* Runs in a signal handler, in the thread that touched the memory: in a window, or the one that
 * maps. */
bool sim_bus_dead(struct sim_dma *dma, const void *addr, void **host, uint64_t *size)
{
	struct sim_map *map = atomic_load(&dma->map);
	const uint8_t *p = addr;

	for (size_t i = 0; i < map->n; i++) {
		struct sim_region *r = &map->r[i];

		if (p < r->host || (uint64_t)(p - r->host) >= r->size)
			continue;
		atomic_store(&r->dead, true);
		atomic_fetch_add(&dma->deaths, 1);
		*host = r->host;
		*size = r->size;
		return true;
	}
	return false;
}

/* ---- windows; dma->lock held where it says so ---- */

/* Counts what every open window has passed.  Lock held. */
static void count_complete(struct sim_dma *dma)
{
	uint64_t newest = atomic_load_explicit(&dma->changes, memory_order_relaxed);
	uint64_t n = newest;

	for (const struct sim_window *w = dma->windows; w; w = w->next)
		if (w->seen < n)
			n = w->seen;
	/* Of one that lags far behind the ticket is forgotten: it shows when it has caught up. */
	if (n > dma->complete && newest - n < SIM_CHANGES) {
		dma->complete = n;
		dma->ticket = dma->change[n % SIM_CHANGES] >> 32;
	}
	pthread_cond_broadcast(&dma->moved);
}

void sim_window_open(struct sim_dma *dma, struct sim_window *w)
{
	pthread_mutex_lock(&dma->lock);
	w->next = dma->windows;
	dma->windows = w;
	pthread_mutex_unlock(&dma->lock);
}

void sim_window_close(struct sim_dma *dma, struct sim_window *w)
{
	struct sim_window **p;

	pthread_mutex_lock(&dma->lock);
	for (p = &dma->windows; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	count_complete(dma);
	pthread_mutex_unlock(&dma->lock);
}

size_t sim_window_changes(struct sim_dma *dma, const struct sim_window *w,
			  uint64_t change[SIM_CHANGES], uint64_t *upto)
{
	size_t n = 0;

	pthread_mutex_lock(&dma->lock);
	*upto = atomic_load_explicit(&dma->changes, memory_order_relaxed);
	if (*upto - w->seen > SIM_CHANGES)
		change[n++] = OCTANS_INVALIDATE_ALL;
	else
		for (uint64_t i = w->seen + 1; i <= *upto; i++)
			change[n++] = dma->change[i % SIM_CHANGES];
	pthread_mutex_unlock(&dma->lock);
	return n;
}

void sim_window_pass(struct sim_dma *dma, struct sim_window *w, uint64_t upto)
{
	pthread_mutex_lock(&dma->lock);
	w->seen = upto;
	count_complete(dma);
	pthread_mutex_unlock(&dma->lock);
}

/* ---- changes ---- */

/* Returns its number.  Lock held. */
static uint64_t publish(struct sim_dma *dma, uint64_t what)
{
	uint64_t n = atomic_load_explicit(&dma->changes, memory_order_relaxed) + 1;

	dma->change[n % SIM_CHANGES] = what;
	atomic_store_explicit(&dma->changes, n, memory_order_release);
	count_complete(dma);
	return n;
}

void sim_bus_change(struct sim_dma *dma, uint64_t what)
{
	pthread_mutex_lock(&dma->lock);
	publish(dma, what);
	pthread_mutex_unlock(&dma->lock);
}

uint32_t sim_bus_ticket(struct sim_dma *dma)
{
	uint32_t ticket;

	pthread_mutex_lock(&dma->lock);
	ticket = dma->ticket;
	pthread_mutex_unlock(&dma->lock);
	return ticket;
}

void sim_bus_reset_ticket(struct sim_dma *dma)
{
	pthread_mutex_lock(&dma->lock);
	publish(dma, OCTANS_INVALIDATE_ALL);	/* with ticket 0 */
	pthread_mutex_unlock(&dma->lock);
}

static bool in_use(const struct sim_dma *dma, uint64_t upto)
{
	for (const struct sim_window *w = dma->windows; w; w = w->next)
		if (w->seen < upto)
			return true;
	return false;
}

/* Returns its number.  Lock held. */
static uint64_t publish_all(struct sim_dma *dma)
{
	uint64_t newest = atomic_load_explicit(&dma->changes, memory_order_relaxed);

	return publish(dma, OCTANS_INVALIDATE_ALL |
			    (dma->change[newest % SIM_CHANGES] & ~(uint64_t)UINT32_MAX));
}

void sim_bus_forget(struct sim_dma *dma)
{
	pthread_mutex_lock(&dma->lock);
	publish_all(dma);
	pthread_mutex_unlock(&dma->lock);
}

void sim_bus_quiesce(struct sim_dma *dma)
{
	uint64_t n;

	pthread_mutex_lock(&dma->lock);
	n = publish_all(dma);
	while (in_use(dma, n))
		pthread_cond_wait(&dma->moved, &dma->lock);
	pthread_mutex_unlock(&dma->lock);
}

int sim_bus_init(struct sim_dma *dma)
{
	struct sim_map *map = map_new(0);

	if (!map)
		return -ENOMEM;
	memset(dma, 0, sizeof(*dma));
	atomic_init(&dma->map, map);
	pthread_mutex_init(&dma->map_lock, NULL);
	pthread_mutex_init(&dma->lock, NULL);
	pthread_cond_init(&dma->moved, NULL);
	return 0;
}

void sim_bus_destroy(struct sim_dma *dma)
{
	pthread_cond_destroy(&dma->moved);
	pthread_mutex_destroy(&dma->lock);
	pthread_mutex_destroy(&dma->map_lock);
	free(dma->spare);
	free(atomic_load(&dma->map));
}
