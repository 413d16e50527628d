// SPDX-License-Identifier: GPL-2.0-only
/* Page tables of the device MMU. */
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "octans_pt.h"
#include <octans/regs.h>

#define LEVELS		OCTANS_PT_LEVELS
#define ENTRIES		OCTANS_PT_ENTRIES
#define PT_PAGE		4096ULL

#define CONT_PAGES	16u
#define CONT_SIZE	(CONT_PAGES * PT_PAGE)
#define LARGE_LEVELS	2u	/* leaves of 2 MiB in level 1, of 1 GiB in level 2 */

/*
 * struct octans_table - one page of entries
 *
 * @entries: what the device reads
 * @dma: its bus address
 * @children: the tables that the entries point to; the last level has none.  One that a large leaf
 *	has taken the place of stays here until it is needed again: its entries lead nowhere
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

/* Bytes that an entry of a table of this level covers. */
static u64 span(unsigned int level)
{
	return PT_PAGE << (9 * level);
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

/* The level of the largest leaf that may stand at @va, for @left bytes at @addr. */
static unsigned int leaf_level(u64 va, u64 left, u64 addr)
{
	unsigned int level;

	for (level = LARGE_LEVELS; level; level--)
		if (IS_ALIGNED(va | addr, span(level)) && left >= span(level))
			break;
	return level;
}

static bool is_leaf(__le64 entry, unsigned int level)
{
	return !level || le64_to_cpu(entry) & OCTANS_PTE_LARGE;
}

/* Points the entry at its child.  The child's entries must be there before it. */
static void hook(struct octans_table *t, unsigned int i)
{
	dma_wmb();
	WRITE_ONCE(t->entries[i], cpu_to_le64(t->children[i]->dma | OCTANS_PTE_VALID));
}

/**
 * octans_pt_reserve() - make the tables of a range, so that mapping it cannot fail
 * @pt: tree
 * @va: first address
 * @size: bytes
 * @addr: what it will be mapped to, as for octans_pt_map()
 *
 * Return: 0 or -ENOMEM; tables made before are kept.
 */
int octans_pt_reserve(struct octans_pt *pt, u64 va, u64 size, u64 addr)
{
	while (size) {
		unsigned int leaf = leaf_level(va, size, addr), level;
		struct octans_table *t = pt->root;
		u64 step;

		for (level = LEVELS - 1; level > leaf; level--) {
			struct octans_table **child = &t->children[slot(va, level)];

			if (!*child)
				*child = table_new(pt, level - 1);
			if (!*child)
				return -ENOMEM;
			t = *child;
		}
		/* the rest of a last table needs nothing more */
		step = leaf ? span(leaf) : min(size, span(1) - (va & (span(1) - 1)));
		va += step;
		addr += step;
		size -= step;
		cond_resched();
	}
	return 0;
}

static void write_small(struct octans_table *t, u64 va, u64 size, u64 addr, u64 flags)
{
	u64 done;

	for (done = 0; done < size; done += PT_PAGE) {
		u64 group = ALIGN_DOWN(va + done, CONT_SIZE);
		bool cont = group >= va && group + CONT_SIZE <= va + size &&
			    IS_ALIGNED(addr + (group - va), CONT_SIZE);

		WRITE_ONCE(t->entries[slot(va + done, 0)],
			   cpu_to_le64((addr + done) | flags | OCTANS_PTE_VALID |
				       (cont ? OCTANS_PTE_CONT : 0)));
	}
}

/**
 * octans_pt_map() - write entries of a reserved range in which nothing is mapped
 * @pt: tree
 * @va: first address
 * @size: bytes
 * @addr: first bus address, or offset on the card
 * @flags: OCTANS_PTE_WRITE, OCTANS_PTE_LOCAL
 *
 * The largest pages are used that addresses and size allow.  The caller invalidates: a leaf may
 * take the place of an empty table.
 */
void octans_pt_map(struct octans_pt *pt, u64 va, u64 size, u64 addr, u64 flags)
{
	while (size) {
		unsigned int leaf = leaf_level(va, size, addr), level, i;
		struct octans_table *t = pt->root;
		u64 step;

		for (level = LEVELS - 1; level > leaf; level--) {
			i = slot(va, level);
			if (WARN_ON_ONCE(!t->children[i]))
				return;
			if (!t->entries[i])
				hook(t, i);
			t = t->children[i];
		}
		step = leaf ? span(leaf) : min(size, span(1) - (va & (span(1) - 1)));
		if (leaf)
			WRITE_ONCE(t->entries[slot(va, leaf)],
				   cpu_to_le64(addr | flags | OCTANS_PTE_VALID | OCTANS_PTE_LARGE));
		else
			write_small(t, va, step, addr, flags);
		va += step;
		addr += step;
		size -= step;
	}
}

/**
 * octans_pt_unmap() - clear entries; the caller invalidates
 * @pt: tree
 * @va: first address
 * @size: bytes; the range begins and ends where pages do (octans_pt_split())
 */
void octans_pt_unmap(struct octans_pt *pt, u64 va, u64 size)
{
	u64 end = va + size;

	while (va < end) {
		unsigned int level = LEVELS - 1;
		struct octans_table *t = pt->root;

		while (t->entries[slot(va, level)] &&
		       !is_leaf(t->entries[slot(va, level)], level)) {
			t = t->children[slot(va, level)];
			level--;
		}
		if (is_leaf(t->entries[slot(va, level)], level))
			WRITE_ONCE(t->entries[slot(va, level)], 0);
		/* the next address that this entry says nothing of */
		va = ALIGN_DOWN(va, span(level)) + span(level);
	}
}

/* Takes CONT from the entries around @va: they are no longer all to stay. */
static void split_cont(struct octans_table *t, u64 va)
{
	unsigned int first = slot(ALIGN_DOWN(va, CONT_SIZE), 0), i;

	for (i = first; i < first + CONT_PAGES; i++)
		WRITE_ONCE(t->entries[i], t->entries[i] & ~cpu_to_le64(OCTANS_PTE_CONT));
}

/**
 * octans_pt_split() - make sure that no page reaches over an address
 * @pt: tree
 * @va: address, a multiple of 4 KiB
 *
 * A larger page that does is replaced by smaller ones that map the same, so a job that uses it
 * does not notice.  The caller invalidates.
 *
 * Return: 0 or -ENOMEM.
 */
int octans_pt_split(struct octans_pt *pt, u64 va)
{
	struct octans_table *t = pt->root;
	unsigned int level;

	for (level = LEVELS - 1; level; level--) {
		unsigned int i = slot(va, level);
		u64 entry = le64_to_cpu(t->entries[i]), flags, addr;

		if (!entry)
			return 0;
		if (entry & OCTANS_PTE_LARGE) {
			if (IS_ALIGNED(va, span(level)))
				return 0;
			if (!t->children[i])
				t->children[i] = table_new(pt, level - 1);
			if (!t->children[i])
				return -ENOMEM;
			flags = entry & (OCTANS_PTE_WRITE | OCTANS_PTE_LOCAL);
			addr = entry & OCTANS_ADDR_MASK;
			if (level == 1) {
				write_small(t->children[i], ALIGN_DOWN(va, span(1)), span(1), addr,
					    flags);
			} else {
				unsigned int n;

				for (n = 0; n < ENTRIES; n++)
					t->children[i]->entries[n] =
						cpu_to_le64((addr + n * span(level - 1)) | flags |
							    OCTANS_PTE_VALID | OCTANS_PTE_LARGE);
			}
			hook(t, i);
		}
		t = t->children[i];
	}
	if (le64_to_cpu(t->entries[slot(va, 0)]) & OCTANS_PTE_CONT && !IS_ALIGNED(va, CONT_SIZE))
		split_cont(t, va);
	return 0;
}
