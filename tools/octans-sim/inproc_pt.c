// SPDX-License-Identifier: MIT
/* The in-process door: page tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inproc.h"

#define TOP		(OCTANS_PT_LEVELS - 1)
#define CONT_SIZE	(16 * INPROC_PAGE)
#define LARGE_LEVELS	2	/* leaves of 2 MiB at level 1, of 1 GiB at level 2 */

/* Bytes that an entry of a table of this level covers. */
static uint64_t span(int level)
{
	return INPROC_PAGE << (9 * level);
}

static uint64_t floor_to(uint64_t va, uint64_t size)
{
	return va & ~(size - 1);
}

static unsigned int index_at(uint64_t va, int level)
{
	return va / span(level) & (OCTANS_PT_ENTRIES - 1);
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- tables ---- */

/* On the card while there is room: a walk costs the latency of where it reads. */
static struct inproc_table *table_new(struct octans_inproc *dev, int level)
{
	struct inproc_table *t;

	t = calloc(1, sizeof(*t) + (level ? OCTANS_PT_ENTRIES * sizeof(t->child[0]) : 0));
	if (!t)
		return NULL;
	pthread_mutex_lock(&dev->memory);
	t->offset = extents_alloc(&dev->tables, INPROC_PAGE, INPROC_PAGE);
	pthread_mutex_unlock(&dev->memory);
	t->local = t->offset != UINT64_MAX;
	if (!t->local)
		t->offset = inproc_host_alloc(dev, INPROC_PAGE);
	if (t->offset == UINT64_MAX) {
		free(t);
		return NULL;
	}
	t->entries = (void *)((t->local ? dev->sim->local : dev->arena) + t->offset);
	if (t->local)
		memset((void *)t->entries, 0, INPROC_PAGE);
	return t;
}

static void table_free(struct octans_inproc *dev, struct inproc_table *t)
{
	if (t->local) {
		pthread_mutex_lock(&dev->memory);
		extents_free(&dev->tables, t->offset, INPROC_PAGE);
		pthread_mutex_unlock(&dev->memory);
	} else {
		inproc_host_free(dev, t->offset, INPROC_PAGE);
	}
	free(t);
}

static void tree_free(struct octans_inproc *dev, struct inproc_table *t, int level)
{
	for (unsigned int i = 0; level && i < OCTANS_PT_ENTRIES; i++)
		if (t->child[i])
			tree_free(dev, t->child[i], level - 1);
	table_free(dev, t);
}

int inproc_pt_init(struct octans_inproc_vm *vm)
{
	vm->root = table_new(vm->dev, TOP);
	return vm->root ? 0 : -ENOMEM;
}

void inproc_pt_free(struct octans_inproc_vm *vm)
{
	tree_free(vm->dev, vm->root, TOP);
	vm->root = NULL;
}

uint64_t inproc_pt_root(const struct octans_inproc_vm *vm)
{
	return vm->root->local ? vm->root->offset | OCTANS_ASID_LOCAL
			       : inproc_iova(vm->root->offset);
}

/* The processor reads entries at any time: each changes in one store, after what it leads to. */
static void set(struct inproc_table *t, unsigned int i, uint64_t value)
{
	t->valid += !!value;
	t->valid -= !!t->shadow[i];
	t->shadow[i] = value;
	atomic_store_explicit(&t->entries[i], value, memory_order_release);
}

static void hook(struct inproc_table *t, unsigned int i, struct inproc_table *child)
{
	uint64_t addr = child->local ? child->offset | OCTANS_PTE_LOCAL
				     : inproc_iova(child->offset);

	t->child[i] = child;
	set(t, i, addr | OCTANS_PTE_VALID);
}

/* ---- spare tables ---- */

static void push(struct inproc_spare *spare, int level, struct inproc_table *t)
{
	t->next = spare->level[level];
	spare->level[level] = t;
}

static struct inproc_table *pop(struct inproc_spare *spare, int level)
{
	struct inproc_table *t = spare->level[level];

	spare->level[level] = t->next;
	return t;
}

int inproc_pt_reserve(struct octans_inproc *dev, struct inproc_spare *spare, uint64_t va,
		      uint64_t size, uint64_t addr)
{
	for (int level = 0; size && level < TOP; level++) {
		uint64_t above = span(level + 1), n = (va + size - 1) / above - va / above + 1;

		/* Only what is left over at both ends, where the middle can be large pages. */
		if (level < LARGE_LEVELS && !((va ^ addr) & (above - 1)))
			n = min_of(n, 2);
		while (n--) {
			struct inproc_table *t = table_new(dev, level);

			if (!t)
				return -ENOMEM;
			push(spare, level, t);
		}
	}
	return 0;
}

void inproc_spare_free(struct octans_inproc *dev, struct inproc_spare *spare)
{
	for (int level = 0; level < TOP; level++)
		while (spare->level[level])
			tree_free(dev, pop(spare, level), level);
}

/* ---- entries ---- */

struct inproc_page inproc_pt_page(const struct octans_inproc_vm *vm, uint64_t va)
{
	const struct inproc_table *t = vm->root;

	for (int level = TOP; ; level--) {
		uint64_t entry = t->shadow[index_at(va, level)], size = span(level);

		if (!entry)
			return (struct inproc_page) { va, 0 };
		if (level && !(entry & OCTANS_PTE_LARGE)) {
			t = t->child[index_at(va, level)];
			continue;
		}
		if (entry & OCTANS_PTE_CONT)
			size = CONT_SIZE;
		return (struct inproc_page) { floor_to(va, size), size };
	}
}

/* The level of the largest leaf that may begin at @va, for @size bytes at @addr. */
static int leaf_level(uint64_t va, uint64_t size, uint64_t addr)
{
	int level = LARGE_LEVELS;

	while (level && (((va | addr) & (span(level) - 1)) || size < span(level)))
		level--;
	return level;
}

/* Up to the end of a last table. */
static void fill_small(struct inproc_table *t, uint64_t va, uint64_t size, uint64_t addr,
		       uint64_t bits)
{
	for (uint64_t done = 0; done < size; done += INPROC_PAGE) {
		uint64_t group = floor_to(va + done, CONT_SIZE);
		bool cont = group >= va && group + CONT_SIZE <= va + size &&
			    !((va ^ addr) & (CONT_SIZE - 1));

		set(t, index_at(va + done, 0), (addr + done) | bits | OCTANS_PTE_VALID |
					       (cont ? OCTANS_PTE_CONT : 0));
	}
}

void inproc_pt_fill(struct octans_inproc_vm *vm, struct inproc_spare *spare, uint64_t va,
		    uint64_t size, uint64_t addr, uint64_t bits)
{
	while (size) {
		int leaf = leaf_level(va, size, addr);
		struct inproc_table *t = vm->root;
		uint64_t step = span(leaf);

		for (int level = TOP; level > leaf; level--) {
			unsigned int i = index_at(va, level);

			if (!t->child[i])
				hook(t, i, pop(spare, level - 1));
			t = t->child[i];
		}
		if (leaf) {
			set(t, index_at(va, leaf),
			    addr | bits | OCTANS_PTE_VALID | OCTANS_PTE_LARGE);
		} else {
			step = min_of(size, span(1) - (va & (span(1) - 1)));
			fill_small(t, va, step, addr, bits);
		}
		va += step;
		addr += step;
		size -= step;
	}
}

static void clear(struct inproc_table *t, int level, uint64_t va, uint64_t end,
		  struct inproc_spare *dropped)
{
	for (uint64_t next; va < end; va = next) {
		unsigned int i = index_at(va, level);
		struct inproc_table *child = level ? t->child[i] : NULL;

		next = min_of(end, floor_to(va, span(level)) + span(level));
		if (!t->shadow[i])
			continue;
		if (child && next - va < span(level)) {
			clear(child, level - 1, va, next, dropped);
			if (child->valid)
				continue;
		}
		set(t, i, 0);
		if (child) {
			t->child[i] = NULL;
			push(dropped, level - 1, child);
		}
	}
}

void inproc_pt_clear(struct octans_inproc_vm *vm, uint64_t va, uint64_t size,
		     struct inproc_spare *dropped)
{
	clear(vm->root, TOP, va, va + size, dropped);
}
