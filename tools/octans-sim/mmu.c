// SPDX-License-Identifier: MIT
/*
 * The device MMU and the bus behind it: page walks in host memory, a TLB per ring,
 * and what sim.h promises to the operations.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the model runs on little-endian hosts");

#define PAGE_4K		0x1000ULL
#define PAGE_2M		0x200000ULL

#define TLB_WRITE	0x1	/* the page table allows writes */
#define TLB_LOCAL	0x2
#define TLB_BUS_RO	0x4	/* the bus refuses writes */

/* ---- the bus ---- */

static const struct sim_region *find_region(struct sim_device *dev, uint64_t addr, uint64_t len)
{
	const struct sim_map *map = atomic_load_explicit(&dev->map, memory_order_acquire);
	size_t lo = 0, hi = map->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct sim_region *r = &map->r[mid];

		if (addr < r->iova)
			hi = mid;
		else if (addr - r->iova >= r->size)
			lo = mid + 1;
		else
			return len <= r->size - (addr - r->iova) ? r : NULL;
	}
	return NULL;
}

/* Host memory behind bus addresses; NULL: the bus refuses.  In a window, or dev->lock held. */
uint8_t *sim_bus_ptr(struct sim_device *dev, uint64_t addr, uint64_t len, bool write)
{
	const struct sim_region *r;

	if (!atomic_load_explicit(&dev->bus_master, memory_order_relaxed) ||
	    atomic_load_explicit(&dev->removed, memory_order_relaxed))
		return NULL;
	r = find_region(dev, addr, len);
	if (!r || (write && !r->write))
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

int sim_dma_map(struct sim_device *dev, uint64_t iova, uint64_t size, void *host, bool write)
{
	struct sim_map *old, *new;
	size_t i;

	if (!size || iova + (size - 1) < iova)
		return -EINVAL;
	pthread_mutex_lock(&dev->lock);
	old = atomic_load(&dev->map);
	for (i = 0; i < old->n && old->r[i].iova < iova; i++)
		;
	if ((i > 0 && iova - old->r[i - 1].iova < old->r[i - 1].size) ||
	    (i < old->n && old->r[i].iova - iova < size)) {
		pthread_mutex_unlock(&dev->lock);
		return -EEXIST;
	}
	new = map_new(old->n + 1);
	if (!new) {
		pthread_mutex_unlock(&dev->lock);
		return -ENOMEM;
	}
	memcpy(new->r, old->r, i * sizeof(new->r[0]));
	new->r[i] = (struct sim_region) { .iova = iova, .size = size, .host = host, .write = write };
	memcpy(new->r + i + 1, old->r + i, (old->n - i) * sizeof(new->r[0]));
	atomic_store_explicit(&dev->map, new, memory_order_release);
	pthread_mutex_unlock(&dev->lock);
	sim_quiesce(dev);	/* nobody reads the old table any more */
	free(old);
	return 0;
}

int sim_dma_unmap(struct sim_device *dev, uint64_t iova, uint64_t size, void **host)
{
	struct sim_map *old, *new;
	size_t i;

	pthread_mutex_lock(&dev->lock);
	old = atomic_load(&dev->map);
	for (i = 0; i < old->n; i++)
		if (old->r[i].iova == iova && old->r[i].size == size)
			break;
	if (i == old->n) {
		pthread_mutex_unlock(&dev->lock);
		return -ENOENT;
	}
	new = map_new(old->n - 1);
	if (!new) {
		pthread_mutex_unlock(&dev->lock);
		return -ENOMEM;
	}
	*host = old->r[i].host;
	memcpy(new->r, old->r, i * sizeof(new->r[0]));
	memcpy(new->r + i, old->r + i + 1, (old->n - i - 1) * sizeof(new->r[0]));
	atomic_store_explicit(&dev->map, new, memory_order_release);
	pthread_mutex_unlock(&dev->lock);
	sim_quiesce(dev);
	free(old);
	return 0;
}

/* ---- the TLB ---- */

void sim_mem_job(struct sim_mem *m, uint16_t asid)
{
	m->asid = asid;
	memset(&m->refused, 0, sizeof(m->refused));
	memset(&m->traffic, 0, sizeof(m->traffic));
}

static void invalidate(struct sim_tlb_entry *e, size_t n, uint64_t arg)
{
	for (size_t i = 0; i < n; i++)
		if ((arg & OCTANS_INVALIDATE_ALL) || (e[i].tag & 0xffff) == (arg & 0xffff))
			e[i].tag = 0;
}

void sim_mem_invalidate(struct sim_mem *m, uint64_t arg)
{
	invalidate(m->small, SIM_TLB_SMALL, arg);
	invalidate(m->large, SIM_TLB_LARGE, arg);
	for (int i = 0; i < SIM_TLB_ROOTS; i++)
		if ((arg & OCTANS_INVALIDATE_ALL) || m->roots[i].asid == (arg & 0xffff))
			m->roots[i].asid = 0;
}

/* ---- the walk ---- */

static int refuse(struct sim_mem *m, int status, uint32_t code, uint64_t va, bool write)
{
	if (!m->refused.status)
		m->refused = (struct sim_refusal) {
			.status = status,
			.code = code,
			.va = va,
			.write = write,
		};
	return -1;
}

static bool read_entry(struct sim_mem *m, uint64_t table, unsigned int index, uint64_t *entry)
{
	const uint8_t *p = sim_bus_ptr(m->dev, table + index * 8ULL, 8, false);

	if (!p)
		return false;
	*entry = atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed);
	return true;
}

static int find_root(struct sim_mem *m, uint64_t va, bool write, uint64_t *root)
{
	unsigned int slot = m->asid % SIM_TLB_ROOTS;
	uint64_t table = atomic_load(&m->dev->asid_table), entry;

	if (table == UINT64_MAX)	/* switched off this moment */
		return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_ASID, va, write);
	if (m->roots[slot].asid == m->asid) {
		*root = m->roots[slot].root;
		return 0;
	}
	if (!read_entry(m, table, m->asid, &entry))
		return refuse(m, OCTANS_JOB_BUS, OCTANS_JOB_BUS, va, write);
	if (!(entry & OCTANS_ASID_VALID))
		return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_ASID, va, write);
	if (entry & ~(OCTANS_ASID_VALID | OCTANS_ADDR_MASK))
		return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_FORMAT, va, write);
	m->roots[slot].asid = m->asid;
	m->roots[slot].root = *root = entry & OCTANS_ADDR_MASK;
	return 0;
}

static struct sim_tlb_entry *small_slot(struct sim_mem *m, uint64_t va)
{
	uint64_t vpn = va / PAGE_4K;

	return &m->small[(vpn ^ vpn >> 10 ^ m->asid) % SIM_TLB_SMALL];
}

static struct sim_tlb_entry *large_slot(struct sim_mem *m, uint64_t va)
{
	uint64_t vpn = va / PAGE_2M;

	return &m->large[(vpn ^ vpn >> 9 ^ m->asid) % SIM_TLB_LARGE];
}

/* A leaf was found: fill a TLB entry.  A large page that the bus does not back in one
 * piece becomes a small entry. */
static int fill(struct sim_mem *m, uint64_t va, bool write, uint64_t pte, uint64_t page,
		struct sim_tlb_entry **out)
{
	uint64_t addr = pte & OCTANS_ADDR_MASK;
	uint8_t flags = pte & OCTANS_PTE_WRITE ? TLB_WRITE : 0;
	struct sim_tlb_entry *e;
	uint8_t *host;

	if (pte & OCTANS_PTE_LOCAL) {
		if (addr >= m->dev->profile.local_size || page > m->dev->profile.local_size - addr)
			return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_FORMAT, va, write);
		host = m->dev->local + addr;
		flags |= TLB_LOCAL;
	} else {
		host = sim_bus_ptr(m->dev, addr, page, false);
		if (!host && page == PAGE_2M) {
			page = PAGE_4K;
			addr += va & (PAGE_2M - 1) & ~(PAGE_4K - 1);
			host = sim_bus_ptr(m->dev, addr, page, false);
		}
		if (!host)
			return refuse(m, OCTANS_JOB_BUS, OCTANS_JOB_BUS, va, write);
		if (!sim_bus_ptr(m->dev, addr, page, true))
			flags |= TLB_BUS_RO;
	}
	e = page == PAGE_2M ? large_slot(m, va) : small_slot(m, va);
	e->tag = va / page << 16 | m->asid;
	e->host = host;
	e->flags = flags;
	*out = e;
	return 0;
}

static int walk(struct sim_mem *m, uint64_t va, bool write, struct sim_tlb_entry **out)
{
	uint64_t table, pte;
	int level;

	if (find_root(m, va, write, &table))
		return -1;
	for (level = OCTANS_PT_LEVELS - 1; ; level--) {
		uint64_t allowed = OCTANS_PTE_VALID | OCTANS_ADDR_MASK;
		bool leaf;

		if (!read_entry(m, table, va >> (12 + 9 * level) & (OCTANS_PT_ENTRIES - 1), &pte))
			return refuse(m, OCTANS_JOB_BUS, OCTANS_JOB_BUS, va, write);
		if (!(pte & OCTANS_PTE_VALID))
			return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_UNMAPPED, va, write);
		leaf = level == 0 || (level == 1 && (pte & OCTANS_PTE_LARGE));
		if (leaf) {
			allowed |= OCTANS_PTE_WRITE | OCTANS_PTE_LOCAL;
			if (level == 1) {
				allowed |= OCTANS_PTE_LARGE;
				allowed &= ~(PAGE_2M - PAGE_4K);
			}
		}
		if (pte & ~allowed)
			return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_FORMAT, va, write);
		if (leaf)
			return fill(m, va, write, pte, level ? PAGE_2M : PAGE_4K, out);
		table = pte & OCTANS_ADDR_MASK;
	}
}

struct piece {
	uint8_t *host;
	size_t left;		/* bytes to the end of the page */
	bool local;
};

static int translate(struct sim_mem *m, uint64_t va, bool write, struct piece *p)
{
	struct sim_tlb_entry *e;
	uint64_t page, off;

	if (atomic_load_explicit(&m->ring->inject.fault, memory_order_relaxed) &&
	    atomic_exchange(&m->ring->inject.fault, 0))
		return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_UNMAPPED, va, write);
	/* Before the TLB: its tags have no room for these, and 0 there means empty. */
	if (!m->asid || m->asid >= OCTANS_MAX_ASIDS ||
	    atomic_load_explicit(&m->dev->asid_table, memory_order_relaxed) == UINT64_MAX)
		return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_ASID, va, write);
	if (va >> OCTANS_VA_BITS)
		return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_FORMAT, va, write);

	e = large_slot(m, va);
	if (e->tag != (va / PAGE_2M << 16 | m->asid)) {
		e = small_slot(m, va);
		if (e->tag != (va / PAGE_4K << 16 | m->asid) && walk(m, va, write, &e))
			return -1;
	}
	if (write && !(e->flags & TLB_WRITE))
		return refuse(m, OCTANS_JOB_FAULT, OCTANS_FAULT_READONLY, va, write);
	if (!(e->flags & TLB_LOCAL) &&
	    (!atomic_load_explicit(&m->dev->bus_master, memory_order_relaxed) ||
	     (write && (e->flags & TLB_BUS_RO))))
		return refuse(m, OCTANS_JOB_BUS, OCTANS_JOB_BUS, va, write);
	page = e == large_slot(m, va) ? PAGE_2M : PAGE_4K;
	off = va & (page - 1);
	p->host = e->host + off;
	p->left = page - off;
	p->local = e->flags & TLB_LOCAL;
	return 0;
}

static void count(struct sim_mem *m, const struct piece *p, size_t n)
{
	if (p->local)
		m->traffic.local += n;
	else
		m->traffic.pcie += n;
}

/* ---- sim.h ---- */

const void *sim_read(struct sim_mem *m, uint64_t va, size_t len, void *scratch)
{
	uint8_t *first = NULL;
	bool copy = false;
	struct piece p;
	size_t done = 0;

	if (!len)
		return scratch ? scratch : m;
	while (done < len) {
		size_t n;

		if (translate(m, va + done, false, &p))
			return NULL;
		n = p.left < len - done ? p.left : len - done;
		count(m, &p, n);
		if (!done) {
			first = p.host;
		} else if (!copy && p.host != first + done) {
			memcpy(scratch, first, done);
			copy = true;
		}
		if (copy)
			memcpy((uint8_t *)scratch + done, p.host, n);
		done += n;
	}
	return copy ? scratch : first;
}

int sim_copy_in(struct sim_mem *m, uint64_t va, void *dst, size_t len)
{
	struct piece p;
	size_t done, n;

	for (done = 0; done < len; done += n) {
		if (translate(m, va + done, false, &p))
			return -1;
		n = p.left < len - done ? p.left : len - done;
		count(m, &p, n);
		memcpy((uint8_t *)dst + done, p.host, n);
	}
	return 0;
}

int sim_write(struct sim_mem *m, uint64_t va, const void *src, size_t len)
{
	struct piece p;
	size_t done, n;

	for (done = 0; done < len; done += n) {
		if (translate(m, va + done, true, &p))
			return -1;
		n = p.left < len - done ? p.left : len - done;
		count(m, &p, n);
		memcpy(p.host, (const uint8_t *)src + done, n);
	}
	return 0;
}

const struct sim_traffic *sim_mem_traffic(const struct sim_mem *m)
{
	return &m->traffic;
}
