/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_MMU_H
#define OCTANS_MMU_H

#include <linux/types.h>

struct octans_device;

int octans_mmu_init(struct octans_device *dev);
int octans_mmu_start(struct octans_device *dev);
void octans_mmu_mark(struct octans_device *dev);
bool octans_mmu_marked(struct octans_device *dev);
bool octans_mmu_powered(struct octans_device *dev);
bool octans_mmu_late(struct octans_device *dev, u32 us, u32 *asid);
void octans_mmu_set(struct octans_device *dev, u32 asid, u64 root);
int octans_mmu_flush(struct octans_device *dev, u32 asid);

#endif
