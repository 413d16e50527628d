/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_PT_H
#define OCTANS_PT_H

#include <linux/types.h>

struct device;
struct octans_device;
struct octans_table;
struct octans_user;

/**
 * struct octans_pt - the page tables of one address space
 * @dev: for which tables are mapped
 * @root: table of the highest level
 *
 * Not locked: the owner serialises.
 *
 * Tables lie on the card as far as there is room: a walk then does not cross the bus.  What the
 * device reads there is a copy of what we have: it is never read back, and it can be made anew.
 *
 * Changes say in @stale whether the device may remember something that is no longer so.  Then the
 * owner has it forget, and calls octans_pt_flushed(), before what was mapped is freed.
 */
struct octans_pt {
	/** @dev: that tables in host memory are mapped for */
	struct device *dev;
	/** @card: where the others lie */
	struct octans_device *card;
	/** @user: who is charged for the tables; the owner holds a reference */
	struct octans_user *user;
	/** @count: of tables, all trees of the device together */
	atomic_t *count;
	struct octans_table *root;
	/** @retired: tables taken out of the tree, until octans_pt_flushed() */
	struct octans_table *retired;
	/** @on_card: tables that are not in host memory */
	unsigned int on_card;
	/** @stale: an entry that was valid has changed since octans_pt_flushed() */
	bool stale;
};

int octans_pt_init(struct octans_pt *pt, struct device *dev, struct octans_device *card,
		   struct octans_user *user, atomic_t *count);
void octans_pt_fini(struct octans_pt *pt);
u64 octans_pt_root(const struct octans_pt *pt);
int octans_pt_reserve(struct octans_pt *pt, u64 va, u64 size, u64 addr);
int octans_pt_split(struct octans_pt *pt, u64 va);
void octans_pt_map(struct octans_pt *pt, u64 va, u64 size, u64 addr, u64 flags);
void octans_pt_unmap(struct octans_pt *pt, u64 va, u64 size);
void octans_pt_prune(struct octans_pt *pt, u64 va, u64 size);
void octans_pt_rewrite(struct octans_pt *pt);
void octans_pt_flushed(struct octans_pt *pt);

#endif
