// SPDX-License-Identifier: MIT
/* The in-process door: address spaces and their page tables. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inproc.h"

#define VA_END	(1ULL << OCTANS_VA_BITS)

/* ---- page tables; vm->lock held ---- */

static uint64_t *table_at(struct octans_inproc_vm *vm, uint64_t entry)
{
	return inproc_host(vm->dev, (entry & OCTANS_ADDR_MASK) - INPROC_IOVA);
}

static unsigned int index_at(uint64_t va, int level)
{
	return va >> (12 + 9 * level) & (OCTANS_PT_ENTRIES - 1);
}

/* The processor reads entries at any time: each changes in one store. */
static void set(uint64_t *entry, uint64_t value)
{
	atomic_store_explicit((_Atomic uint64_t *)entry, value, memory_order_release);
}

static uint64_t new_table(struct octans_inproc_vm *vm)
{
	uint64_t off;

	pthread_mutex_lock(&vm->dev->lock);
	off = inproc_host_alloc(vm->dev, INPROC_PAGE);
	pthread_mutex_unlock(&vm->dev->lock);
	return off;
}

/* Turns a 2 MiB entry into a table of 4 KiB entries that say the same. */
static int split(struct octans_inproc_vm *vm, uint64_t *entry)
{
	uint64_t off = new_table(vm), *t;

	if (off == UINT64_MAX)
		return -ENOMEM;
	t = inproc_host(vm->dev, off);
	for (unsigned int i = 0; i < OCTANS_PT_ENTRIES; i++)
		t[i] = (*entry & ~OCTANS_PTE_LARGE) + i * INPROC_PAGE;
	set(entry, inproc_iova(off) | OCTANS_PTE_VALID);
	return 0;
}

/* The entry for @va at @level; *entry NULL: absent, and @make is false. */
static int find(struct octans_inproc_vm *vm, uint64_t va, int level, bool make, uint64_t **entry)
{
	uint64_t *t = inproc_host(vm->dev, vm->root);

	for (int l = OCTANS_PT_LEVELS - 1; l > level; l--) {
		uint64_t *e = &t[index_at(va, l)];

		if (!(*e & OCTANS_PTE_VALID)) {
			uint64_t off;

			*entry = NULL;
			if (!make)
				return 0;
			off = new_table(vm);
			if (off == UINT64_MAX)
				return -ENOMEM;
			set(e, inproc_iova(off) | OCTANS_PTE_VALID);
		} else if ((*e & OCTANS_PTE_LARGE) && split(vm, e)) {
			return -ENOMEM;
		}
		t = table_at(vm, *e);
	}
	*entry = &t[index_at(va, level)];
	return 0;
}

static void free_table(struct octans_inproc_vm *vm, uint64_t offset, int level)
{
	uint64_t *t = inproc_host(vm->dev, offset);

	for (unsigned int i = 0; level && i < OCTANS_PT_ENTRIES; i++)
		if ((t[i] & OCTANS_PTE_VALID) && !(t[i] & OCTANS_PTE_LARGE))
			free_table(vm, (t[i] & OCTANS_ADDR_MASK) - INPROC_IOVA, level - 1);
	inproc_host_free(vm->dev, offset, INPROC_PAGE);
}

/* 2 MiB at @va lie within @size and the whole of it may be one entry. */
static bool large_here(uint64_t va, uint64_t size, uint64_t addr)
{
	return size >= INPROC_LARGE && !(va % INPROC_LARGE) && !(addr % INPROC_LARGE);
}

static int clear(struct octans_inproc_vm *vm, uint64_t va, uint64_t size)
{
	while (size) {
		uint64_t step = INPROC_PAGE, *e;

		if (find(vm, va, 1, false, &e))
			return -ENOMEM;
		if (!e || !(*e & OCTANS_PTE_VALID)) {
			step = INPROC_LARGE - va % INPROC_LARGE;
		} else if ((*e & OCTANS_PTE_LARGE) && large_here(va, size, 0)) {
			set(e, 0);
			step = INPROC_LARGE;
		} else {
			if (find(vm, va, 0, false, &e))
				return -ENOMEM;
			set(e, 0);
		}
		if (step > size)
			step = size;
		va += step;
		size -= step;
	}
	return 0;
}

static int fill(struct octans_inproc_vm *vm, const struct mapping *map)
{
	uint64_t addr = map->bo->offset + map->offset, va = map->va, size = map->size;
	uint64_t bits = OCTANS_PTE_VALID | (map->readonly ? 0 : OCTANS_PTE_WRITE);

	if (map->bo->local)
		bits |= OCTANS_PTE_LOCAL;
	else
		addr = inproc_iova(addr);
	while (size) {
		uint64_t step = INPROC_PAGE, *e;

		if (large_here(va, size, addr)) {
			if (find(vm, va, 1, true, &e))
				return -ENOMEM;
			if (!(*e & OCTANS_PTE_VALID)) {
				set(e, addr | bits | OCTANS_PTE_LARGE);
				step = INPROC_LARGE;
			}
		}
		if (step == INPROC_PAGE) {
			if (find(vm, va, 0, true, &e))
				return -ENOMEM;
			set(e, addr | bits);
		}
		va += step;
		addr += step;
		size -= step;
	}
	return 0;
}

/* Waits until no ring uses an old translation of this address space. */
static void invalidate(struct octans_inproc_vm *vm)
{
	struct octans_inproc *dev = vm->dev;
	uint64_t ticket, resets;
	bool over;

	pthread_mutex_lock(&dev->lock);
	over = dev->gone;	/* given up: it no longer counts */
	resets = dev->resets;
	ticket = ++dev->invalidates;
	sim_reg_write(dev->sim, OCTANS_REG_INVALIDATE, 8, OCTANS_INVALIDATE_ASID(vm->asid));
	pthread_mutex_unlock(&dev->lock);
	for (unsigned int spins = 0; !over; spins++) {
		struct timespec nap = { 0, spins < 100 ? 0 : 50000 };

		/* All-ones (the device is gone) is past every ticket. */
		if (sim_reg_read(dev->sim, OCTANS_REG_INVALIDATED, 8) >= ticket)
			break;
		if (spins < 100)
			sched_yield();
		else
			nanosleep(&nap, NULL);
		pthread_mutex_lock(&dev->lock);
		over = dev->resets != resets;	/* a reset forgets every translation */
		pthread_mutex_unlock(&dev->lock);
	}
}

/* ---- mappings: what is where; vm->lock held ---- */

/* Takes [va, va + size) out of the list and puts what is left of it back.  The caller
 * has brought two spare nodes; the removed pieces end up in *gone. */
static void cut(struct octans_inproc_vm *vm, uint64_t va, uint64_t size, struct mapping **spare,
		struct mapping **gone)
{
	struct mapping **p = &vm->maps;

	while (*p) {
		struct mapping *m = *p;
		uint64_t end = m->va + m->size, last = va + size;

		if (end <= va) {
			p = &m->next;
			continue;
		}
		if (m->va >= last)
			break;
		if (end > last) {		/* the part behind survives */
			struct mapping *tail = *spare;

			*spare = tail->next;
			*tail = *m;
			tail->va = last;
			tail->size = end - last;
			tail->offset += last - m->va;
			tail->bo->refs++;
			m->next = tail;
			m->size = last - m->va;
		}
		if (m->va < va) {		/* and the part before */
			struct mapping *mid = *spare;

			*spare = mid->next;
			*mid = *m;
			mid->va = va;
			mid->size = m->va + m->size - va;
			mid->offset += va - m->va;
			mid->bo->refs++;
			m->size = va - m->va;
			m->next = mid;
			p = &m->next;
			m = mid;
		}
		*p = m->next;
		m->next = *gone;
		*gone = m;
	}
}

static void drop_list(struct octans_inproc *dev, struct mapping *list, bool refs)
{
	pthread_mutex_lock(&dev->lock);
	while (list) {
		struct mapping *m = list;

		list = m->next;
		if (refs)
			inproc_bo_put(m->bo);
		free(m);
	}
	pthread_mutex_unlock(&dev->lock);
}

/* Replaces [va, va + size) by @new, or by nothing.  Takes @new over. */
static int change(struct octans_inproc_vm *vm, uint64_t va, uint64_t size, struct mapping *new)
{
	struct mapping *gone = NULL, *spare = NULL, **p;
	int ret = -ENOMEM;

	pthread_mutex_lock(&vm->lock);
	for (int i = 0; i < 2; i++) {
		struct mapping *m = calloc(1, sizeof(*m));

		if (!m)
			goto out;
		m->next = spare;
		spare = m;
	}
	ret = clear(vm, va, size);
	if (ret)
		goto out;
	pthread_mutex_lock(&vm->dev->lock);	/* of the reference counts */
	cut(vm, va, size, &spare, &gone);
	pthread_mutex_unlock(&vm->dev->lock);
	if (gone)
		invalidate(vm);
	if (!new)
		goto out;
	ret = fill(vm, new);
	if (ret) {
		clear(vm, va, size);
		invalidate(vm);
		goto out;
	}
	for (p = &vm->maps; *p && (*p)->va < va; p = &(*p)->next)
		;
	new->next = *p;
	*p = new;
	new = NULL;
out:
	pthread_mutex_unlock(&vm->lock);
	if (new)
		new->next = NULL;
	drop_list(vm->dev, new, true);
	drop_list(vm->dev, gone, true);
	drop_list(vm->dev, spare, false);
	return ret;
}

static bool bad_range(uint64_t va, uint64_t size)
{
	return !size || va % INPROC_PAGE || size % INPROC_PAGE || va >= VA_END ||
	       size > VA_END - va;
}

static bool is_gone(struct octans_inproc *dev)
{
	bool gone;

	pthread_mutex_lock(&dev->lock);
	gone = dev->gone;
	pthread_mutex_unlock(&dev->lock);
	return gone;
}

int octans_inproc_vm_map(struct octans_inproc_vm *vm, struct octans_inproc_bo *bo, uint64_t offset,
			 uint64_t va, uint64_t size, bool readonly)
{
	struct mapping *new;

	if (bad_range(va, size) || bo->dev != vm->dev || offset % INPROC_PAGE ||
	    offset > bo->size || size > bo->size - offset)
		return -EINVAL;
	if (is_gone(vm->dev))
		return -ENODEV;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	*new = (struct mapping) {
		.bo = bo, .va = va, .size = size, .offset = offset, .readonly = readonly,
	};
	pthread_mutex_lock(&vm->dev->lock);
	bo->refs++;
	pthread_mutex_unlock(&vm->dev->lock);
	return change(vm, va, size, new);
}

int octans_inproc_vm_unmap(struct octans_inproc_vm *vm, uint64_t va, uint64_t size)
{
	if (bad_range(va, size))
		return -EINVAL;
	return change(vm, va, size, NULL);	/* works on a device that is gone, too */
}

/* ---- making and ending ---- */

int octans_inproc_vm_new(struct octans_inproc *dev, struct octans_inproc_vm **out)
{
	struct octans_inproc_vm *vm = calloc(1, sizeof(*vm));
	uint64_t *table;
	unsigned int asid;
	int ret = 0;

	if (!vm)
		return -ENOMEM;
	vm->dev = dev;
	vm->refs = 1;
	pthread_mutex_lock(&dev->lock);
	for (asid = 1; asid < OCTANS_MAX_ASIDS && dev->vm[asid]; asid++)
		;
	if (dev->gone)
		ret = -ENODEV;
	else if (asid == OCTANS_MAX_ASIDS)
		ret = -ENOSPC;
	else if ((vm->root = inproc_host_alloc(dev, INPROC_PAGE)) == UINT64_MAX)
		ret = -ENOMEM;
	if (ret) {
		pthread_mutex_unlock(&dev->lock);
		free(vm);
		return ret;
	}
	pthread_mutex_init(&vm->lock, NULL);
	vm->asid = asid;
	dev->vm[asid] = vm;
	table = inproc_host(dev, dev->asids);
	set(&table[asid], inproc_iova(vm->root) | OCTANS_ASID_VALID);
	pthread_mutex_unlock(&dev->lock);
	*out = vm;
	return 0;
}

void inproc_vm_put(struct octans_inproc_vm *vm)
{
	struct octans_inproc *dev = vm->dev;
	uint64_t *table;

	pthread_mutex_lock(&dev->lock);
	if (--vm->refs) {
		pthread_mutex_unlock(&dev->lock);
		return;
	}
	table = inproc_host(dev, dev->asids);
	set(&table[vm->asid], 0);
	pthread_mutex_unlock(&dev->lock);
	invalidate(vm);			/* before the number and the memory serve others */
	drop_list(dev, vm->maps, true);
	pthread_mutex_lock(&dev->lock);
	dev->vm[vm->asid] = NULL;
	free_table(vm, vm->root, OCTANS_PT_LEVELS - 1);
	pthread_mutex_unlock(&dev->lock);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

void octans_inproc_vm_free(struct octans_inproc_vm *vm)
{
	if (vm)
		inproc_vm_put(vm);
}

int octans_inproc_vm_fault(struct octans_inproc_vm *vm, struct octans_inproc_fault *fault)
{
	int got = 0;

	pthread_mutex_lock(&vm->dev->lock);
	if (vm->faults) {
		*fault = vm->fault[0];
		memmove(vm->fault, vm->fault + 1, --vm->faults * sizeof(vm->fault[0]));
		got = 1;
	}
	pthread_mutex_unlock(&vm->dev->lock);
	return got;
}
