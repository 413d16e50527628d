// SPDX-License-Identifier: GPL-2.0-only
/* The device MMU: the ASID table and TLB invalidation. */
#include <linux/delay.h>
#include <linux/iopoll.h>

#include "octans_device.h"
#include "octans_mmu.h"

#define LATE_US		500000	/* twice, before a job pays for it: see octans_reset.c */

/**
 * octans_mmu_init() - allocate the ASID table
 * @dev: device
 *
 * Return: 0 or a negative errno.
 */
int octans_mmu_init(struct octans_device *dev)
{
	dev->asid_table = dmam_alloc_coherent(dev->drm.dev,
					      dev->info.asids * sizeof(*dev->asid_table),
					      &dev->asid_table_dma, GFP_KERNEL);
	spin_lock_init(&dev->mmu_lock);
	return dev->asid_table ? 0 : -ENOMEM;
}

/* Is the invalidation with this ticket complete?  All-ones: the device is gone, or away. */
static bool flushed(struct octans_device *dev, u32 ticket)
{
	u32 done = octans_read32(dev, OCTANS_REG_INVALIDATED);

	return done != U32_MAX && (s32)(done - ticket) >= 0;
}

/* What is down reaches no memory. */
static bool wait_flushed(struct octans_device *dev, u32 ticket, u32 us)
{
	bool done = flushed(dev, ticket);

	if (us && !done)	/* 0 would be for ever */
		read_poll_timeout(flushed, done, done || octans_device_down(dev), 20, us,
				  false, dev, ticket);
	return done || octans_device_down(dev);
}

/* Returns its ticket. */
static u32 invalidate(struct octans_device *dev, u64 what)
{
	u32 ticket;

	spin_lock(&dev->mmu_lock);
	/* neither reads like a device that is gone, nor like one that was without power */
	while (++dev->ticket == U32_MAX || !dev->ticket)
		;
	ticket = dev->ticket;
	wmb();	/* entries before the command that makes them count */
	octans_write64(dev, OCTANS_REG_INVALIDATE, what | OCTANS_INVALIDATE_TICKET(ticket));
	spin_unlock(&dev->mmu_lock);
	return ticket;
}

/**
 * octans_mmu_start() - program the MMU after a reset
 * @dev: device, on which nothing runs
 *
 * What was written while the function was away, its BARs not yet restored, never reached it, and
 * no reset completes it.  So all are invalidated once more, with a ticket that stands for those.
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
 * octans_mmu_mark() - leave a mark on the card that goes with what its memory holds
 * @dev: device, on which nothing runs
 *
 * That is the newest ticket: of all registers it alone outlives resets, and it does not outlive a
 * loss of power.
 */
void octans_mmu_mark(struct octans_device *dev)
{
	wait_flushed(dev, invalidate(dev, OCTANS_INVALIDATE_ALL), LATE_US);
}

/**
 * octans_mmu_marked() - has the card had power since octans_mmu_mark()?
 * @dev: device, that has not been used since
 *
 * Return: whether it has.
 */
bool octans_mmu_marked(struct octans_device *dev)
{
	return octans_read32(dev, OCTANS_REG_INVALIDATED) == dev->ticket;
}

/**
 * octans_mmu_powered() - has the card had power since probe?
 * @dev: device, which has been reset and is not used yet
 *
 * A function reset does not cost it, but one of the slot may.  Not octans_mmu_marked(): the newest
 * invalidation may have met the reset.
 *
 * Return: whether it has.
 */
bool octans_mmu_powered(struct octans_device *dev)
{
	return octans_read32(dev, OCTANS_REG_INVALIDATED);
}

/**
 * octans_mmu_set() - let an ASID lead to page tables, or nowhere
 * @dev: device
 * @asid: 1 .. info.asids - 1
 * @root: where the root table is, as octans_pt_root() says; 0 = none; the caller flushes
 */
void octans_mmu_set(struct octans_device *dev, u32 asid, u64 root)
{
	WRITE_ONCE(dev->asid_table[asid], cpu_to_le64(root ? root | OCTANS_ASID_VALID : 0));
}

/**
 * octans_mmu_late() - does a flush still wait that only a reset helps?
 * @dev: device
 * @us: how long to wait for it before the answer
 * @asid: out: the address space
 *
 * Return: whether one does.
 */
bool octans_mmu_late(struct octans_device *dev, u32 us, u32 *asid)
{
	u32 ticket;

	spin_lock(&dev->mmu_lock);
	ticket = dev->late;
	*asid = dev->late_asid;
	spin_unlock(&dev->mmu_lock);
	return !wait_flushed(dev, ticket, us);
}

static void ask_for_reset(struct octans_device *dev, u32 asid, u32 ticket)
{
	spin_lock(&dev->mmu_lock);
	dev->late = ticket;
	dev->late_asid = asid;
	spin_unlock(&dev->mmu_lock);
	octans_reset_request(dev);
}

/**
 * octans_mmu_flush() - make the device forget translations of an ASID
 * @dev: device
 * @asid: ASID
 *
 * On return no access by the device uses what was in the tables before the call: it has said so,
 * or is down, which has the same effect.  Whatever reset is made, also one that falls into the
 * wait, completes every ticket.  What is written while the function is being reset may be lost, so
 * one waits until that is over; octans_mmu_start() stands for what was lost before one knew.
 *
 * Return: 0, or -ENODEV: the device is down.
 */
int octans_mmu_flush(struct octans_device *dev, u32 asid)
{
	u32 ticket;
	int idx;

	if (!drm_dev_enter(&dev->drm, &idx))
		return -ENODEV;
	if (octans_gate_wait(dev)) {
		ticket = invalidate(dev, OCTANS_INVALIDATE_ASID(asid));
		while (!wait_flushed(dev, ticket, LATE_US)) {
			octans_gate_wait(dev);
			ask_for_reset(dev, asid, ticket);
		}
	}
	drm_dev_exit(idx);
	return octans_device_down(dev) ? -ENODEV : 0;
}
