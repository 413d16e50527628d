// SPDX-License-Identifier: GPL-2.0-only
/* Page tables of the device MMU. */
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "octans_pt.h"
#include "octans_regs.h"

#define LEVELS		OCTANS_PT_LEVELS
#define ENTRIES		OCTANS_PT_ENTRIES
#define PT_PAGE		4096ULL

/*
 * struct octans_table - one page of entries
 *
 * @entries: what the device reads
 * @dma: its bus address
 * @children: the tables that the entries point to; the last level has none
 */
struct octans_table {
	__le64 *entries;
	dma_addr_t dma;
	struct octans_table *children[];
};

static unsigned int slot(u64 va, unsigned int level)
{
	return va >> (12 + 9 * level) & (ENTRIES - 1);
}

static struct octans_table *table_new(struct octans_pt *pt, unsigned int level)
{
	struct octans_table *t;

	t = kzalloc(struct_size(t, children, level ? ENTRIES : 0), GFP_KERNEL_ACCOUNT);
	if (!t)
		return NULL;
	t->entries = dma_alloc_coherent(pt->dev, PT_PAGE, &t->dma, GFP_KERNEL_ACCOUNT);
	if (!t->entries) {
		kfree(t);
		return NULL;
	}
	atomic_inc(pt->count);
	return t;
}

static void table_free(struct octans_pt *pt, struct octans_table *t, unsigned int level)
{
	unsigned int i;

	for (i = 0; level && i < ENTRIES; i++)
		if (t->children[i])
			table_free(pt, t->children[i], level - 1);
	dma_free_coherent(pt->dev, PT_PAGE, t->entries, t->dma);
	kfree(t);
	atomic_dec(pt->count);
}

/**
 * octans_pt_init() - make an empty tree
 * @pt: to be initialised
 * @dev: that the tables are mapped for
 * @count: is kept up to the number of tables
 *
 * Return: 0 or -ENOMEM.
 */
int octans_pt_init(struct octans_pt *pt, struct device *dev, atomic_t *count)
{
	pt->dev = dev;
	pt->count = count;
	pt->root = table_new(pt, LEVELS - 1);
	return pt->root ? 0 : -ENOMEM;
}

/**
 * octans_pt_fini() - free all tables; the device must not walk them any more
 * @pt: tree
 */
void octans_pt_fini(struct octans_pt *pt)
{
	if (pt->root)
		table_free(pt, pt->root, LEVELS - 1);
	pt->root = NULL;
}

/**
 * octans_pt_root() - bus address of the root table
 * @pt: tree
 */
u64 octans_pt_root(const struct octans_pt *pt)
{
	return pt->root->dma;
}

/* The last-level table of @va; made on the way if @make. */
static struct octans_table *walk(struct octans_pt *pt, u64 va, bool make)
{
	struct octans_table *t = pt->root;
	unsigned int level;

	for (level = LEVELS - 1; level; level--) {
		struct octans_table **child = &t->children[slot(va, level)];

		if (!*child) {
			if (!make)
				return NULL;
			*child = table_new(pt, level - 1);
			if (!*child)
				return NULL;
			/* the table's zeros must be there before the entry that leads to it */
			dma_wmb();
			WRITE_ONCE(t->entries[slot(va, level)],
				   cpu_to_le64((*child)->dma | OCTANS_PTE_VALID));
		}
		t = *child;
	}
	return t;
}

/**
 * octans_pt_reserve() - make the tables of a range, so that mapping it cannot fail
 * @pt: tree
 * @va: first address
 * @size: bytes
 *
 * Return: 0 or -ENOMEM; tables made before are kept.
 */
int octans_pt_reserve(struct octans_pt *pt, u64 va, u64 size)
{
	u64 span = PT_PAGE * ENTRIES, end = va + size;

	for (va = round_down(va, span); va < end; va += span) {
		if (!walk(pt, va, true))
			return -ENOMEM;
		cond_resched();
	}
	return 0;
}

/**
 * octans_pt_map() - write entries of a reserved range
 * @pt: tree
 * @va: first address
 * @size: bytes
 * @addr: first bus address, or offset on the card
 * @flags: OCTANS_PTE_WRITE, OCTANS_PTE_LOCAL
 */
void octans_pt_map(struct octans_pt *pt, u64 va, u64 size, u64 addr, u64 flags)
{
	u64 done;

	for (done = 0; done < size; done += PT_PAGE) {
		struct octans_table *t = walk(pt, va + done, false);

		if (WARN_ON_ONCE(!t))
			return;
		WRITE_ONCE(t->entries[slot(va + done, 0)],
			   cpu_to_le64((addr + done) | flags | OCTANS_PTE_VALID));
	}
}

/**
 * octans_pt_unmap() - clear entries; the caller invalidates
 * @pt: tree
 * @va: first address
 * @size: bytes
 */
void octans_pt_unmap(struct octans_pt *pt, u64 va, u64 size)
{
	u64 done;

	for (done = 0; done < size; done += PT_PAGE) {
		struct octans_table *t = walk(pt, va + done, false);

		if (t)
			WRITE_ONCE(t->entries[slot(va + done, 0)], 0);
	}
}
