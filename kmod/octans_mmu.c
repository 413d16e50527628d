// SPDX-License-Identifier: GPL-2.0-only
/* The device MMU: the ASID table and TLB invalidation. */
#include <linux/delay.h>
#include <linux/iopoll.h>

#include <drm/drm_managed.h>

#include "octans_device.h"

#define FLUSH_TIMEOUT_US	1000000

/**
 * octans_mmu_init() - allocate the ASID table
 * @dev: device
 *
 * Return: 0 or a negative errno.
 */
int octans_mmu_init(struct octans_device *dev)
{
	dev->asid_table = dmam_alloc_coherent(dev->drm.dev,
					      OCTANS_MAX_ASIDS * sizeof(*dev->asid_table),
					      &dev->asid_table_dma, GFP_KERNEL);
	if (!dev->asid_table)
		return -ENOMEM;
	return drmm_mutex_init(&dev->drm, &dev->mmu_lock);
}

/**
 * octans_mmu_start() - program the MMU after a reset
 * @dev: device
 */
void octans_mmu_start(struct octans_device *dev)
{
	octans_write64(dev, OCTANS_REG_ASID_BASE, dev->asid_table_dma);
	octans_write32(dev, OCTANS_REG_MMU_CTRL, OCTANS_MMU_ENABLE);
}

/**
 * octans_mmu_set() - let an ASID lead to page tables, or nowhere
 * @dev: device
 * @asid: 1 .. OCTANS_MAX_ASIDS - 1
 * @root: bus address of the root table, 0 = none; the caller flushes
 */
void octans_mmu_set(struct octans_device *dev, u32 asid, u64 root)
{
	WRITE_ONCE(dev->asid_table[asid], cpu_to_le64(root ? root | OCTANS_ASID_VALID : 0));
}

/**
 * octans_mmu_flush() - make the device forget translations of an ASID
 * @dev: device
 * @asid: ASID
 *
 * On return no access by the device uses what was in the tables before the call.  A
 * device that does not acknowledge in time is cut off from memory, which has the same
 * effect: so this cannot fail.
 */
void octans_mmu_flush(struct octans_device *dev, u32 asid)
{
	u64 done;
	int idx, ret;

	/* A device that is gone, or cut off, reaches no memory. */
	if (!drm_dev_enter(&dev->drm, &idx))
		return;
	mutex_lock(&dev->mmu_lock);
	if (!READ_ONCE(dev->dead)) {
		/* entries before the command that makes them count */
		wmb();
		octans_write64(dev, OCTANS_REG_INVALIDATE, OCTANS_INVALIDATE_ASID(asid));
		dev->invalidations++;
		/* After a device reset the count starts again, and all is forgotten. */
		ret = read_poll_timeout(octans_read64, done,
					done >= READ_ONCE(dev->invalidations) ||
					READ_ONCE(dev->dead),
					20, FLUSH_TIMEOUT_US, false, dev,
					OCTANS_REG_INVALIDATED);
		/* all-ones: the device was pulled out */
		if (ret || done == U64_MAX)
			octans_wedge(dev, "a TLB invalidation was not acknowledged");
	}
	mutex_unlock(&dev->mmu_lock);
	drm_dev_exit(idx);
}
