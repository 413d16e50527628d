// SPDX-License-Identifier: GPL-2.0-only
/* The device MMU: the ASID table and TLB invalidation. */
#include <linux/delay.h>
#include <linux/iopoll.h>

#include <drm/drm_managed.h>

#include "octans_device.h"

#define LATE_US		500000	/* twice, before a job pays for it */
#define RING_RESET_US	1000000	/* more than it may take */

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

/* Is the invalidation with this ticket complete?  All-ones: the device is gone, or away. */
static bool flushed(struct octans_device *dev, u32 ticket)
{
	u32 done = octans_read32(dev, OCTANS_REG_INVALIDATED);

	return done != U32_MAX && (s32)(done - ticket) >= 0;
}

/* What is dead reaches no memory. */
static bool wait_flushed(struct octans_device *dev, u32 ticket, u32 us)
{
	bool done;

	read_poll_timeout(flushed, done, done || READ_ONCE(dev->dead), 20, us, false, dev, ticket);
	return done || READ_ONCE(dev->dead);
}

/* Returns its ticket. */
static u32 invalidate(struct octans_device *dev, u64 what)
{
	u32 ticket;

	mutex_lock(&dev->mmu_lock);
	if (++dev->ticket == U32_MAX)	/* reads like a device that is gone */
		++dev->ticket;
	ticket = dev->ticket;
	wmb();	/* entries before the command that makes them count */
	octans_write64(dev, OCTANS_REG_INVALIDATE, what | OCTANS_INVALIDATE_TICKET(ticket));
	mutex_unlock(&dev->mmu_lock);
	return ticket;
}

/**
 * octans_mmu_start() - program the MMU after a reset
 * @dev: device, on which nothing runs
 *
 * What was written while the function was away, its BARs not yet restored, never reached it, and no
 * reset completes it.  So all are invalidated once more, with a ticket that stands for those.
 *
 * Return: 0 or -EIO.
 */
int octans_mmu_start(struct octans_device *dev)
{
	octans_write64(dev, OCTANS_REG_ASID_BASE, dev->asid_table_dma);
	octans_write32(dev, OCTANS_REG_MMU_CTRL, OCTANS_MMU_ENABLE);
	return wait_flushed(dev, invalidate(dev, OCTANS_INVALIDATE_ALL), LATE_US) ? 0 : -EIO;
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
 * octans_mmu_late() - does a flush still wait that only a reset of the device helps?
 * @dev: device
 */
bool octans_mmu_late(struct octans_device *dev)
{
	return !flushed(dev, READ_ONCE(dev->late));
}

/*
 * Who moves lets invalidations through.  So the jobs that stand still are ended, one after the
 * other until that has helped; those of the address space first, as they alone may use what is to
 * be forgotten.
 */
static bool stop_who_stands_still(struct octans_device *dev, u32 asid, u32 ticket)
{
	struct octans_still still[OCTANS_MAX_RINGS];
	u32 i, n = dev->info.rings;

	for (i = 0; i < n; i++)
		octans_ring_look(&dev->rings[i], &still[i]);
	if (wait_flushed(dev, ticket, LATE_US))
		return true;
	for (i = 0; i < 2 * n; i++)
		if (octans_ring_kill_still(&dev->rings[i % n], &still[i % n], i < n ? asid : 0) &&
		    wait_flushed(dev, ticket, RING_RESET_US))
			return true;
	return false;
}

/**
 * octans_mmu_flush() - make the device forget translations of an ASID
 * @dev: device
 * @asid: ASID
 *
 * On return no access by the device uses what was in the tables before the call.  Resets
 * complete every ticket, so one that falls into the wait does no harm.  If the device does not
 * acknowledge, rings that stand still are reset, then itself, and it is at last cut off from
 * memory, which has the same effect: so this cannot fail.
 */
void octans_mmu_flush(struct octans_device *dev, u32 asid)
{
	u32 ticket;
	int idx;

	/* A device that is gone, or cut off, reaches no memory. */
	if (!drm_dev_enter(&dev->drm, &idx))
		return;
	ticket = invalidate(dev, OCTANS_INVALIDATE_ASID(asid));
	if (!wait_flushed(dev, ticket, LATE_US) && !stop_who_stands_still(dev, asid, ticket)) {
		/* A reset may take its time.  It completes the ticket, or cuts the device off. */
		do {
			WRITE_ONCE(dev->late, ticket);
			octans_reset_request(dev);
		} while (!wait_flushed(dev, ticket, LATE_US));
	}
	drm_dev_exit(idx);
}
