// SPDX-License-Identifier: MIT
/* The in-process door: address spaces and what is mapped in them. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inproc.h"

#define VA_END		(1ULL << OCTANS_VA_BITS)
#define SUSPECT_NS	500000000LL	/* an invalidation takes so long: who is in the way? */
#define PATIENCE_NS	500000000LL	/* and so much later still is: by force */

/* ---- invalidation ---- */

/* 0xffffffff is what a device that is gone reads as. */
static uint32_t next_ticket(struct octans_inproc *dev)
{
	if (++dev->ticket == UINT32_MAX)
		dev->ticket++;
	return dev->ticket;
}

static bool is_gone(struct octans_inproc *dev)
{
	bool gone;

	pthread_mutex_lock(&dev->lock);
	gone = dev->gone;
	pthread_mutex_unlock(&dev->lock);
	return gone;
}

/* Waits until no ring uses an old translation of this address space. */
static void invalidate(struct octans_inproc_vm *vm)
{
	struct octans_inproc *dev = vm->dev;
	struct inproc_standstill still;
	int64_t start = inproc_now_ns();
	bool suspicious = false;
	uint32_t ticket;

	pthread_mutex_lock(&dev->lock);
	ticket = next_ticket(dev);
	sim_reg_write(dev->sim, OCTANS_REG_INVALIDATE, 8,
		      OCTANS_INVALIDATE_ASID(vm->asid) | OCTANS_INVALIDATE_TICKET(ticket));
	pthread_mutex_unlock(&dev->lock);
	for (unsigned int spins = 0; !inproc_ticket_done(dev, ticket) && !is_gone(dev); spins++) {
		bool late = inproc_now_ns() - start > (suspicious ? PATIENCE_NS : SUSPECT_NS);

		if (late) {
			pthread_mutex_lock(&dev->lock);
			if (suspicious)
				inproc_standstill_end(dev, &still, ticket);
			else
				inproc_standstill_begin(dev, &still);
			pthread_mutex_unlock(&dev->lock);
			suspicious = true;
			start = inproc_now_ns();
		} else if (spins < 100) {
			sched_yield();
		} else {
			nanosleep(&(struct timespec) { .tv_nsec = 50000 }, NULL);
		}
	}
}

/* ---- mappings: what is where; vm->lock held ---- */

/* The first mapping that does not end before @va. */
static size_t find(const struct octans_inproc_vm *vm, uint64_t va)
{
	size_t lo = 0, hi = vm->n_maps;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (vm->maps[mid].va + vm->maps[mid].size <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Where @va, which is mapped, lies: a bus address, or an offset on the card. */
static uint64_t address(const struct mapping *m, uint64_t va)
{
	uint64_t offset = m->bo->offset + m->offset + (va - m->va);

	return m->bo->local ? offset : inproc_iova(offset);
}

static struct mapping piece(const struct mapping *m, uint64_t va, uint64_t end)
{
	struct mapping p = *m;

	p.va = va;
	p.size = end - va;
	p.offset += va - m->va;
	atomic_fetch_add(&p.bo->refs, 1);
	return p;
}

/* ---- changes ---- */

/* What a change needs, brought before anything changes: so it happens as a whole or not at all. */
struct change {
	uint64_t va, end;		/* what is mapped there is replaced by ... */
	struct mapping new;		/* ... this; no buffer: by nothing */
	uint64_t from, to;		/* with the rest of the pages that are broken up */
	size_t first, n;		/* mappings that it touches */
	struct octans_inproc_bo **gone;	/* theirs, put when the processor has forgotten them */
	struct inproc_spare tables;
};

static int reserve(struct octans_inproc_vm *vm, struct change *c, const struct mapping *m,
		   uint64_t va, uint64_t end)
{
	return va < end ? inproc_pt_reserve(vm->dev, &c->tables, va, end - va, address(m, va)) : 0;
}

static int prepare(struct octans_inproc_vm *vm, struct change *c)
{
	struct inproc_page first = inproc_pt_page(vm, c->va), last = inproc_pt_page(vm, c->end - 1);
	struct mapping *maps;

	c->from = first.size ? first.start : c->va;
	c->to = last.size ? last.start + last.size : c->end;
	c->first = find(vm, c->va);
	while (c->first + c->n < vm->n_maps && vm->maps[c->first + c->n].va < c->end)
		c->n++;
	c->gone = calloc(c->n + 1, sizeof(c->gone[0]));
	if (!c->gone)
		return -ENOMEM;
	if (vm->n_maps + 2 > vm->room) {
		maps = realloc(vm->maps, (2 * vm->room + 2) * sizeof(*maps));
		if (!maps)
			return -ENOMEM;
		vm->maps = maps;
		vm->room = 2 * vm->room + 2;
	}
	maps = vm->maps + c->first;
	if (c->n && (reserve(vm, c, &maps[0], c->from, c->va) ||
		     reserve(vm, c, &maps[c->n - 1], c->end, c->to)))
		return -ENOMEM;
	return c->new.bo ? reserve(vm, c, &c->new, c->va, c->end) : 0;
}

/* In the list of mappings. */
static void splice(struct octans_inproc_vm *vm, struct change *c)
{
	struct mapping *at = vm->maps + c->first, *behind = at + c->n, stay[3];
	size_t n = 0;

	if (c->n && at->va < c->va)
		stay[n++] = piece(at, at->va, c->va);
	if (c->new.bo)
		stay[n++] = c->new;
	if (c->n && behind[-1].va + behind[-1].size > c->end)
		stay[n++] = piece(&behind[-1], c->end, behind[-1].va + behind[-1].size);
	for (size_t i = 0; i < c->n; i++)
		c->gone[i] = at[i].bo;
	memmove(at + n, behind, (vm->maps + vm->n_maps - behind) * sizeof(*at));
	memcpy(at, stay, n * sizeof(*at));
	vm->n_maps += n - c->n;
}

static void fill(struct octans_inproc_vm *vm, struct change *c, uint64_t va, uint64_t end)
{
	const struct mapping *m = &vm->maps[find(vm, va)];

	if (va < end)
		inproc_pt_fill(vm, &c->tables, va, end - va, address(m, va),
			       (m->readonly ? 0 : OCTANS_PTE_WRITE) |
			       (m->bo->local ? OCTANS_PTE_LOCAL : 0));
}

/*
 * A page is broken up in two steps, between which the processor finds nothing in its place: no job
 * may run that has a right to what is left of it.
 */
static void carry_out(struct octans_inproc_vm *vm, struct change *c)
{
	bool breaks = c->from < c->va || c->to > c->end;
	struct inproc_spare dropped = { 0 };

	if (breaks)
		inproc_vm_pause(vm);
	inproc_pt_clear(vm, c->from, c->to - c->from, &dropped);
	if (c->n)
		invalidate(vm);
	inproc_spare_free(vm->dev, &dropped);
	splice(vm, c);
	fill(vm, c, c->from, c->va);
	if (c->new.bo)
		fill(vm, c, c->va, c->end);
	fill(vm, c, c->end, c->to);
	if (breaks)
		inproc_vm_resume(vm);
}

/* Takes over c->new's reference if it succeeds. */
static int change(struct octans_inproc_vm *vm, struct change *c)
{
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = prepare(vm, c);
	if (!ret)
		carry_out(vm, c);
	pthread_mutex_unlock(&vm->lock);
	inproc_spare_free(vm->dev, &c->tables);
	for (size_t i = 0; !ret && i < c->n; i++)
		inproc_bo_put(c->gone[i]);
	free(c->gone);
	return ret;
}

static bool bad_range(uint64_t va, uint64_t size)
{
	return !size || va % INPROC_PAGE || size % INPROC_PAGE || va >= VA_END ||
	       size > VA_END - va;
}

int octans_inproc_vm_map(struct octans_inproc_vm *vm, struct octans_inproc_bo *bo, uint64_t offset,
			 uint64_t va, uint64_t size, bool readonly)
{
	struct change c = {
		.va = va,
		.end = va + size,
		.new = { .bo = bo, .va = va, .size = size, .offset = offset, .readonly = readonly },
	};
	int ret;

	if (bad_range(va, size) || bo->dev != vm->dev || offset % INPROC_PAGE ||
	    offset > bo->size || size > bo->size - offset)
		return -EINVAL;
	if (is_gone(vm->dev))
		return -ENODEV;
	atomic_fetch_add(&bo->refs, 1);
	ret = change(vm, &c);
	if (ret)
		inproc_bo_put(bo);
	return ret;
}

int octans_inproc_vm_unmap(struct octans_inproc_vm *vm, uint64_t va, uint64_t size)
{
	struct change c = { .va = va, .end = va + size };

	if (bad_range(va, size))
		return -EINVAL;
	return change(vm, &c);	/* works on a device that is gone, too */
}

/* ---- making and ending ---- */

static void set_asid(struct octans_inproc *dev, unsigned int asid, uint64_t entry)
{
	_Atomic uint64_t *table = inproc_host(dev, dev->asids);

	atomic_store_explicit(&table[asid], entry, memory_order_release);
}

int octans_inproc_vm_new(struct octans_inproc *dev, struct octans_inproc_vm **out)
{
	struct octans_inproc_vm *vm = calloc(1, sizeof(*vm));
	unsigned int asid;
	int ret = 0;

	if (!vm)
		return -ENOMEM;
	vm->dev = dev;
	vm->refs = 1;
	if (inproc_pt_init(vm)) {
		free(vm);
		return -ENOMEM;
	}
	pthread_mutex_init(&vm->lock, NULL);
	pthread_mutex_lock(&dev->lock);
	for (asid = dev->taken; asid < dev->n_asids && dev->vm[asid]; asid++)
		;
	if (dev->gone) {
		ret = -ENODEV;
	} else if (asid == dev->n_asids) {
		ret = -EBUSY;
	} else {
		vm->asid = asid;
		dev->vm[asid] = vm;
		dev->taken = asid + 1;
		set_asid(dev, asid, inproc_pt_root(vm) | OCTANS_ASID_VALID);
	}
	pthread_mutex_unlock(&dev->lock);
	if (ret) {
		pthread_mutex_destroy(&vm->lock);
		inproc_pt_free(vm);
		free(vm);
		return ret;
	}
	*out = vm;
	return 0;
}

void inproc_vm_put(struct octans_inproc_vm *vm)
{
	struct octans_inproc *dev = vm->dev;
	bool last;

	pthread_mutex_lock(&dev->lock);
	last = !--vm->refs;
	if (last)
		set_asid(dev, vm->asid, 0);
	pthread_mutex_unlock(&dev->lock);
	if (!last)
		return;
	invalidate(vm);			/* before the number and the memory serve others */
	for (size_t i = 0; i < vm->n_maps; i++)
		inproc_bo_put(vm->maps[i].bo);
	free(vm->maps);
	inproc_pt_free(vm);
	pthread_mutex_lock(&dev->lock);
	dev->vm[vm->asid] = NULL;
	if (vm->asid < dev->taken)
		dev->taken = vm->asid;
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
