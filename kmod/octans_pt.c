// SPDX-License-Identifier: GPL-2.0-only
/* Page tables of the device MMU. */
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/slab.h>

#include "octans_local.h"
#include "octans_pt.h"
#include "octans_user.h"
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
 * @entries: what the device reads, or what it reads a copy of
 * @card: that copy, or NULL
 * @addr: where the device reads it, as in an entry of the table above
 * @dma: bus address of @entries, if there is no copy
 * @node: of @card
 * @children: the tables below, NULL in the last level.  One that no entry leads to, because a large
 *	leaf or nothing stands there, is reserved: it is empty
 * @used: slots that have an entry, a child or both; a table without any is pruned
 * @next: in octans_pt.retired
 */
struct octans_table {
	__le64 *entries;
	void __iomem *card;
	u64 addr;
	dma_addr_t dma;
	struct drm_mm_node node;
	struct octans_table **children;
	struct octans_table *next;
	unsigned int used;
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

/* One write for us and one for the device, which reads an entry as a whole. */
static void set(struct octans_table *t, unsigned int i, u64 entry)
{
	WRITE_ONCE(t->entries[i], cpu_to_le64(entry));
	if (t->card)
		writeq_relaxed(entry, t->card + i * sizeof(entry));
}

static bool alloc_on_card(struct octans_pt *pt, struct octans_table *t)
{
	t->entries = kcalloc(ENTRIES, sizeof(*t->entries), GFP_KERNEL_ACCOUNT);
	if (!t->entries)
		return false;
	t->card = octans_local_alloc_table(pt->card, &t->node);
	if (!t->card) {
		kfree(t->entries);
		t->entries = NULL;
		return false;
	}
	t->addr = t->node.start | OCTANS_PTE_LOCAL;
	pt->on_card++;
	return true;
}

static bool alloc_in_host(struct octans_pt *pt, struct octans_table *t)
{
	t->entries = dma_alloc_coherent(pt->dev, PT_PAGE, &t->dma, GFP_KERNEL_ACCOUNT);
	t->addr = t->dma;
	return t->entries;
}

static void free_entries(struct octans_pt *pt, struct octans_table *t)
{
	if (!t->card) {
		dma_free_coherent(pt->dev, PT_PAGE, t->entries, t->dma);
		return;
	}
	octans_local_free_table(pt->card, &t->node);
	pt->on_card--;
	kfree(t->entries);
}

static void table_free(struct octans_pt *pt, struct octans_table *t)
{
	unsigned int i;

	for (i = 0; t->children && i < ENTRIES; i++)
		if (t->children[i])
			table_free(pt, t->children[i]);
	if (t->entries) {
		free_entries(pt, t);
		octans_user_uncharge(pt->user, OCTANS_TABLES, 1);
		atomic_dec(pt->count);
	}
	kfree(t->children);
	kfree(t);
}

static struct octans_table *table_alloc(struct octans_pt *pt, unsigned int level)
{
	struct octans_table *t = kzalloc_obj(*t, GFP_KERNEL_ACCOUNT);

	if (!t)
		return NULL;
	/* Apart from @t: together they would take two pages. */
	if (level)
		t->children = kcalloc(ENTRIES, sizeof(*t->children), GFP_KERNEL_ACCOUNT);
	if ((level && !t->children) || (!alloc_on_card(pt, t) && !alloc_in_host(pt, t))) {
		kfree(t->children);
		kfree(t);
		return NULL;
	}
	atomic_inc(pt->count);
	return t;
}

static struct octans_table *table_new(struct octans_pt *pt, unsigned int level)
{
	int ret = octans_user_charge(pt->user, OCTANS_TABLES, 1);
	struct octans_table *t;

	if (ret)
		return ERR_PTR(ret);
	t = table_alloc(pt, level);
	if (!t)
		octans_user_uncharge(pt->user, OCTANS_TABLES, 1);
	return t ?: ERR_PTR(-ENOMEM);
}

/* Returns the table below slot @i, which is made if there is none, or an ERR_PTR(). */
static struct octans_table *child(struct octans_pt *pt, struct octans_table *t, unsigned int i,
				  unsigned int level)
{
	struct octans_table *c = t->children[i];

	if (c)
		return c;
	c = table_new(pt, level - 1);
	if (IS_ERR(c))
		return c;
	t->children[i] = c;
	if (!t->entries[i])
		t->used++;
	return c;
}

/* The device may be on its way through it until it is told to forget. */
static void retire(struct octans_pt *pt, struct octans_table *t, unsigned int i)
{
	struct octans_table *c = t->children[i];

	t->children[i] = NULL;
	c->next = pt->retired;
	pt->retired = c;
}

/**
 * octans_pt_init() - make an empty tree
 * @pt: to be initialised
 * @dev: that tables in host memory are mapped for
 * @card: has room for others, maybe
 * @user: who is charged for them
 * @count: is kept up to the number of tables
 *
 * Return: 0, -ENOMEM or -EDQUOT.
 */
int octans_pt_init(struct octans_pt *pt, struct device *dev, struct octans_device *card,
		   struct octans_user *user, atomic_t *count)
{
	struct octans_table *root;

	*pt = (struct octans_pt) {
		.dev = dev, .card = card, .user = user, .count = count,
	};
	root = table_new(pt, LEVELS - 1);
	if (IS_ERR(root))
		return PTR_ERR(root);
	pt->root = root;
	return 0;
}

/**
 * octans_pt_fini() - free all tables; the device must not walk them any more
 * @pt: tree
 */
void octans_pt_fini(struct octans_pt *pt)
{
	octans_pt_flushed(pt);
	if (pt->root)
		table_free(pt, pt->root);
	pt->root = NULL;
}

/**
 * octans_pt_flushed() - the device has forgotten what was there before
 * @pt: tree
 */
void octans_pt_flushed(struct octans_pt *pt)
{
	struct octans_table *t;

	while ((t = pt->retired)) {
		pt->retired = t->next;
		table_free(pt, t);
	}
	pt->stale = false;
}

/* Before the one that leads to it, as everywhere: it may be in use. */
static void rewrite_table(struct octans_table *t)
{
	unsigned int i;

	for (i = 0; t->children && i < ENTRIES; i++)
		if (t->children[i])
			rewrite_table(t->children[i]);
	if (!t->card)
		return;
	wmb();		/* those below, which this one leads to */
	for (i = 0; i < ENTRIES; i++)
		writeq_relaxed(le64_to_cpu(t->entries[i]), t->card + i * sizeof(u64));
	cond_resched();
}

/**
 * octans_pt_rewrite() - write again what lies on the card; it may not have arrived, or be lost
 * @pt: tree
 */
void octans_pt_rewrite(struct octans_pt *pt)
{
	if (pt->root)
		rewrite_table(pt->root);
}

/**
 * octans_pt_root() - where the device finds the root table, as in an entry
 * @pt: tree
 *
 * Return: the address.
 */
u64 octans_pt_root(const struct octans_pt *pt)
{
	return pt->root->addr;
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

/* Does the entry lead to its child? */
static bool hooked(const struct octans_table *t, unsigned int i)
{
	return t->children && t->entries[i] && !(t->entries[i] & cpu_to_le64(OCTANS_PTE_LARGE));
}

/* Points the entry at its child.  The child's entries must be there before it. */
static void hook(struct octans_table *t, unsigned int i)
{
	wmb();		/* either may be on the card, whose BAR is write combining */
	set(t, i, t->children[i]->addr | OCTANS_PTE_VALID);
}

/**
 * octans_pt_reserve() - make the tables of a range, so that mapping it cannot fail
 * @pt: tree
 * @va: first address
 * @size: bytes
 * @addr: what it will be mapped to, as for octans_pt_map()
 *
 * Return: 0, -ENOMEM or -EDQUOT; tables made before are kept, for octans_pt_prune().
 */
int octans_pt_reserve(struct octans_pt *pt, u64 va, u64 size, u64 addr)
{
	while (size) {
		unsigned int leaf = leaf_level(va, size, addr), level;
		struct octans_table *t = pt->root;
		u64 step;

		for (level = LEVELS - 1; level > leaf; level--) {
			t = child(pt, t, slot(va, level), level);
			if (IS_ERR(t))
				return PTR_ERR(t);
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

		set(t, slot(va + done, 0), (addr + done) | flags | OCTANS_PTE_VALID |
					   (cont ? OCTANS_PTE_CONT : 0));
	}
}

/* A leaf takes the place of nothing, or of an empty table. */
static void write_large(struct octans_pt *pt, struct octans_table *t, unsigned int i, u64 entry)
{
	if (t->entries[i])
		pt->stale = true;
	if (t->children[i])
		retire(pt, t, i);
	else
		t->used++;
	set(t, i, entry);
}

/**
 * octans_pt_map() - write entries of a reserved range in which nothing is mapped
 * @pt: tree
 * @va: first address
 * @size: bytes
 * @addr: first bus address, or offset on the card
 * @flags: OCTANS_PTE_WRITE, OCTANS_PTE_LOCAL
 *
 * The largest pages are used that addresses and size allow.
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
		if (leaf) {
			write_large(pt, t, slot(va, leaf),
				    addr | flags | OCTANS_PTE_VALID | OCTANS_PTE_LARGE);
		} else {
			write_small(t, va, step, addr, flags);
			t->used += step / PT_PAGE;
		}
		va += step;
		addr += step;
		size -= step;
		cond_resched();
	}
}

/* The first address after @va that another slot is for, or @end. */
static u64 next_slot(u64 va, u64 end, unsigned int level)
{
	return min(end, ALIGN_DOWN(va, span(level)) + span(level));
}

static void unmap_table(struct octans_pt *pt, struct octans_table *t, unsigned int level, u64 va,
			u64 end)
{
	for (; va < end; va = next_slot(va, end, level)) {
		unsigned int i = slot(va, level);

		if (hooked(t, i)) {
			unmap_table(pt, t->children[i], level - 1, va, next_slot(va, end, level));
			cond_resched();
		} else if (t->entries[i]) {
			set(t, i, 0);
			pt->stale = true;
			if (!t->children || !t->children[i])
				t->used--;
		}
	}
}

/**
 * octans_pt_unmap() - clear entries
 * @pt: tree
 * @va: first address
 * @size: bytes; the range begins and ends where pages do (octans_pt_split())
 *
 * Tables that are empty now stay for what is mapped next: octans_pt_prune().
 */
void octans_pt_unmap(struct octans_pt *pt, u64 va, u64 size)
{
	unmap_table(pt, pt->root, LEVELS - 1, va, va + size);
}

static void prune_table(struct octans_pt *pt, struct octans_table *t, unsigned int level, u64 va,
			u64 end)
{
	for (; va < end; va = next_slot(va, end, level)) {
		unsigned int i = slot(va, level);

		if (!t->children[i])
			continue;
		if (level > 1)
			prune_table(pt, t->children[i], level - 1, va, next_slot(va, end, level));
		cond_resched();
		if (t->children[i]->used)
			continue;
		if (hooked(t, i)) {
			set(t, i, 0);
			pt->stale = true;
		}
		if (!t->entries[i])
			t->used--;
		retire(pt, t, i);
	}
}

/**
 * octans_pt_prune() - take empty tables out of a range
 * @pt: tree
 * @va: first address
 * @size: bytes
 *
 * They are freed by octans_pt_flushed().
 */
void octans_pt_prune(struct octans_pt *pt, u64 va, u64 size)
{
	prune_table(pt, pt->root, LEVELS - 1, va, va + size);
}

/* Takes CONT from the entries around @va: they are no longer all to stay. */
static void split_cont(struct octans_table *t, u64 va)
{
	unsigned int first = slot(ALIGN_DOWN(va, CONT_SIZE), 0), i;

	for (i = first; i < first + CONT_PAGES; i++)
		set(t, i, le64_to_cpu(t->entries[i]) & ~OCTANS_PTE_CONT);
}

/* Hooks the child in the place of a large page, with smaller ones that map the same. */
static void split_large(struct octans_pt *pt, struct octans_table *t, unsigned int i,
			unsigned int level)
{
	u64 entry = le64_to_cpu(t->entries[i]), addr = entry & OCTANS_ADDR_MASK;
	u64 flags = entry & (OCTANS_PTE_WRITE | OCTANS_PTE_LOCAL);
	struct octans_table *c = t->children[i];
	unsigned int n;

	if (level == 1)
		write_small(c, 0, span(1), addr, flags);
	for (n = 0; level > 1 && n < ENTRIES; n++)
		set(c, n, (addr + n * span(level - 1)) | flags | OCTANS_PTE_VALID |
			  OCTANS_PTE_LARGE);
	c->used = ENTRIES;
	hook(t, i);
	pt->stale = true;
}

/**
 * octans_pt_split() - make sure that no page reaches over an address
 * @pt: tree
 * @va: address, a multiple of 4 KiB
 *
 * A larger page that does is replaced by smaller ones that map the same, so a job that uses it
 * does not notice.
 *
 * Return: 0, -ENOMEM or -EDQUOT.
 */
int octans_pt_split(struct octans_pt *pt, u64 va)
{
	struct octans_table *t = pt->root, *c;
	unsigned int level;

	for (level = LEVELS - 1; level; level--) {
		unsigned int i = slot(va, level);

		if (!t->entries[i])
			return 0;
		if (!hooked(t, i)) {
			if (IS_ALIGNED(va, span(level)))
				return 0;
			c = child(pt, t, i, level);
			if (IS_ERR(c))
				return PTR_ERR(c);
			split_large(pt, t, i, level);
		}
		t = t->children[i];
	}
	if (t->entries[slot(va, 0)] & cpu_to_le64(OCTANS_PTE_CONT) && !IS_ALIGNED(va, CONT_SIZE)) {
		split_cont(t, va);
		pt->stale = true;
	}
	return 0;
}
