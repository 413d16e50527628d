/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_LOCAL_H
#define OCTANS_LOCAL_H

#include <linux/io.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include <drm/drm_mm.h>

struct octans_device;

/**
 * struct octans_local - on-card memory
 */
struct octans_local {
	/** @lock: protects @mm, @used, @tables, @losses, @clean and @gone */
	struct mutex lock;
	/** @mm: what is allocated */
	struct drm_mm mm;
	/** @size: bytes on the card */
	u64 size;
	/** @visible: bytes that the BAR shows, from 0 on */
	u64 visible;
	/** @used: bytes allocated */
	u64 used;
	/** @tables: of those, in page tables */
	u64 tables;
	/** @losses: how often all that it held was lost */
	u32 losses;
	/** @clean: bit n: page n is free and holds nothing, as we have cleared it */
	unsigned long *clean;
	/** @gone: @map leads nowhere any more */
	bool gone;
	/** @bar: physical address of the BAR */
	resource_size_t bar;
	/** @map: all of the BAR, write combined */
	void __iomem *map;
};

void octans_local_resize(struct octans_device *dev);
int octans_local_init(struct octans_device *dev);
void octans_local_lose(struct octans_device *dev);
void octans_local_unplug(struct octans_device *dev);
int octans_local_alloc(struct octans_device *dev, struct drm_mm_node *node, u64 size);
void octans_local_free(struct octans_device *dev, struct drm_mm_node *node);
void __iomem *octans_local_alloc_table(struct octans_device *dev, struct drm_mm_node *node);
void octans_local_free_table(struct octans_device *dev, struct drm_mm_node *node);
void octans_local_arrived(struct octans_device *dev);

#endif
