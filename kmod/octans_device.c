// SPDX-License-Identifier: GPL-2.0-only
/* The life of the hardware, from the first register read to its removal. */
#include <linux/sched/mm.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "octans_device.h"
#include "octans_event.h"
#include "octans_gem.h"
#include "octans_irq.h"
#include "octans_mmu.h"
#include "octans_reset.h"
#include "octans_user.h"
#include "octans_vm.h"

/* Capability registers are the device's word: what makes no sense is refused. */
static int read_info(struct octans_device *dev)
{
	struct octans_info *i = &dev->info;
	u64 caps = octans_read64(dev, OCTANS_REG_CAPS);
	u32 id = octans_read32(dev, OCTANS_REG_ID), asid_bits, pa_bits, n;
	int ret;

	if (id != OCTANS_ID_MAGIC)
		return dev_err_probe(dev->drm.dev, -ENODEV, "id 0x%x is not an Octans's\n", id);
	i->version = octans_read32(dev, OCTANS_REG_VERSION);
	/* completion rings and shadow doorbells came with 2.1 */
	if (i->version >> 16 != OCTANS_VERSION_2_1 >> 16 || i->version < OCTANS_VERSION_2_1)
		return dev_err_probe(dev->drm.dev, -ENODEV, "hardware %u.%u is not supported\n",
				     i->version >> 16, i->version & 0xffff);
	i->rings = OCTANS_CAPS_RINGS(caps);
	i->ring_log2 = OCTANS_CAPS_RING_LOG2(caps);
	asid_bits = OCTANS_CAPS_ASID_BITS(caps);
	pa_bits = OCTANS_CAPS_PA_BITS(caps);
	if (!i->rings || i->rings > OCTANS_MAX_RINGS || !i->ring_log2 ||
	    OCTANS_CAPS_VA_BITS(caps) != OCTANS_VA_BITS || asid_bits < OCTANS_MIN_ASID_BITS ||
	    asid_bits > OCTANS_MAX_ASID_BITS || pa_bits < 32)
		return dev_err_probe(dev->drm.dev, -ENODEV, "capabilities 0x%llx make no sense\n",
				     caps);
	i->asids = 1 << asid_bits;
	i->ops = octans_read64(dev, OCTANS_REG_OPS);
	i->types = octans_read64(dev, OCTANS_REG_TYPES);
	i->clock_hz = octans_read64(dev, OCTANS_REG_CLOCK_HZ);
	i->macs_int8 = octans_read32(dev, OCTANS_REG_MACS_INT8);
	i->macs_f16 = octans_read32(dev, OCTANS_REG_MACS_F16);
	i->macs_f32 = octans_read32(dev, OCTANS_REG_MACS_F32);
	i->local_bpc = octans_read32(dev, OCTANS_REG_LOCAL_BPC);
	i->pcie_bpc = octans_read32(dev, OCTANS_REG_PCIE_BPC);
	i->max_ctx = octans_read32(dev, OCTANS_REG_MAX_CTX);
	i->serial = octans_read64(dev, OCTANS_REG_SERIAL);
	i->sram_size = octans_read64(dev, OCTANS_REG_SRAM_SIZE);
	for (n = 0; n < 32; n += 8) {
		u64 part = octans_read64(dev, OCTANS_REG_PROFILE_NAME + n);

		memcpy(i->profile + n, &part, 8);
	}
	ret = dma_set_mask_and_coherent(dev->drm.dev, DMA_BIT_MASK(min(pa_bits, 52u)));
	if (ret)
		return dev_err_probe(dev->drm.dev, ret, "bus addresses of %u bits are not enough\n",
				     pa_bits);
	return 0;
}

/**
 * octans_gate_set() - say whether the registers may be used
 * @dev: device
 * @gate: from now on; DOWN stays
 */
void octans_gate_set(struct octans_device *dev, enum octans_gate gate)
{
	spin_lock(&dev->gate_wait.lock);
	if (dev->gate == OCTANS_GATE_UP && gate != OCTANS_GATE_UP) {
		WRITE_ONCE(dev->absences, dev->absences + 1);
		smp_wmb();	/* whoever sees @gate sees it counted: octans_gate_absences() */
	}
	if (dev->gate != OCTANS_GATE_DOWN)
		WRITE_ONCE(dev->gate, gate);
	wake_up_all_locked(&dev->gate_wait);
	spin_unlock(&dev->gate_wait.lock);
}

/**
 * octans_gate_wait() - wait until the registers may be used, if that is only a matter of time
 * @dev: device
 *
 * Return: false: they never may again.
 */
bool octans_gate_wait(struct octans_device *dev)
{
	wait_event(dev->gate_wait, READ_ONCE(dev->gate) == OCTANS_GATE_UP ||
		   octans_device_down(dev));
	return !octans_device_down(dev);
}

/**
 * octans_gate_absences() - octans_gate_wait(), and how often was that necessary?
 * @dev: device
 *
 * Return: a count that is the same later if card and registers could be used all the time.
 */
u32 octans_gate_absences(struct octans_device *dev)
{
	u32 n;

	do {
		octans_gate_wait(dev);
		n = READ_ONCE(dev->absences);
		smp_rmb();	/* pairs with octans_gate_set() */
	} while (READ_ONCE(dev->gate) != OCTANS_GATE_UP && !octans_device_down(dev));
	return n;
}

static void free_wq(struct drm_device *drm, void *wq)
{
	destroy_workqueue(wq);
}

static void free_vms(struct drm_device *drm, void *vms)
{
	xa_destroy(vms);
}

/* What lives as long as the drm_device. */
static int init_software(struct octans_device *dev)
{
	int ret;

	xa_init_flags(&dev->vms, XA_FLAGS_ALLOC1);
	ret = drmm_add_action_or_reset(&dev->drm, free_vms, &dev->vms);
	if (ret)
		return ret;
	ret = octans_gem_init(dev);
	if (!ret)
		ret = octans_users_init(dev);
	if (ret)
		return ret;
	init_waitqueue_head(&dev->gate_wait);
	INIT_WORK(&dev->reset_work, octans_reset_work);
	INIT_WORK(&dev->wedged_work, octans_reset_tell);
	/* reclaim may wait for a fence that only this can end */
	dev->wq = alloc_ordered_workqueue("octans", WQ_MEM_RECLAIM | WQ_HIGHPRI);
	if (!dev->wq)
		return -ENOMEM;
	return drmm_add_action_or_reset(&dev->drm, free_wq, dev->wq);
}

/* For good; also if probe fails after an interrupt could start them. */
static void stop_works(void *arg)
{
	struct octans_device *dev = arg;
	u32 i;

	for (i = 0; i < dev->info.rings; i++)
		disable_delayed_work_sync(&dev->scheds[i].watchdog);
	disable_work_sync(&dev->reset_work);
	disable_work_sync(&dev->wedged_work);
	disable_work_sync(&dev->event_work);
}

/*
 * Tells lockdep the order of octans_device.h: so who strays is found at once, and not when two have
 * met.  Memory may have to wait for the end of a job, so what ends jobs must not wait for memory.
 */
static void prime_lockdep(struct octans_device *dev)
{
	if (!IS_ENABLED(CONFIG_LOCKDEP))
		return;
	mutex_lock(&dev->local.lock);
	mutex_lock(&dev->bos_lock);
	mutex_lock(&dev->users_lock);
	fs_reclaim_acquire(GFP_KERNEL);
	mutex_lock(&dev->event_lock);
	xa_lock(&dev->vms);
	spin_lock(&dev->mmu_lock);
	spin_lock_irq(&dev->scheds[0].lock);
	spin_unlock_irq(&dev->scheds[0].lock);
	spin_unlock(&dev->mmu_lock);
	xa_unlock(&dev->vms);
	mutex_unlock(&dev->event_lock);
	fs_reclaim_release(GFP_KERNEL);
	mutex_unlock(&dev->users_lock);
	mutex_unlock(&dev->bos_lock);
	mutex_unlock(&dev->local.lock);
}

/**
 * octans_device_init() - bring the hardware up
 * @dev: device
 *
 * Return: 0 or a negative errno.
 */
int octans_device_init(struct octans_device *dev)
{
	struct pci_dev *pdev = octans_pdev(dev);
	u32 i;
	int ret;

	ret = init_software(dev);
	if (ret)
		return ret;
	octans_local_resize(dev);
	ret = pcim_enable_device(pdev);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "the PCI function cannot be enabled\n");
	if (pci_resource_len(pdev, OCTANS_BAR_REGS) < OCTANS_BAR_REGS_SIZE)
		return dev_err_probe(&pdev->dev, -ENODEV, "BAR %d is missing or too small\n",
				     OCTANS_BAR_REGS);
	dev->regs = pcim_iomap_region(pdev, OCTANS_BAR_REGS, "octans");
	if (IS_ERR(dev->regs))
		return dev_err_probe(&pdev->dev, PTR_ERR(dev->regs), "BAR %d cannot be mapped\n",
				     OCTANS_BAR_REGS);
	/* Pieces of a buffer that an IOMMU can join are one piece. */
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	ret = read_info(dev);
	if (!ret)
		ret = octans_local_init(dev);
	if (!ret)
		ret = octans_mmu_init(dev);
	if (!ret)
		ret = octans_event_init(dev);
	for (i = 0; i < dev->info.rings && !ret; i++)
		ret = octans_sched_init(dev, i);
	if (!ret)
		ret = devm_add_action_or_reset(&pdev->dev, stop_works, dev);
	if (ret)
		return ret;
	prime_lockdep(dev);
	/* Whoever drove it before may have left rings enabled. */
	ret = octans_reset_hw(dev);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "the device does not come out of reset\n");
	/* It outlives resets, and who drove the device before: one behind it looks complete. */
	dev->ticket = octans_read32(dev, OCTANS_REG_INVALIDATED);
	dev->late = dev->ticket;
	pci_set_master(pdev);
	ret = octans_irq_init(dev);
	if (ret)
		return ret;
	ret = octans_reset_start(dev, false);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "the device is not ready\n");
	return 0;
}

/**
 * octans_device_unplug() - the hardware goes, or has gone
 * @dev: device
 *
 * Jobs are ended before drm_dev_unplug() waits for the ioctls that may be waiting for them.
 */
void octans_device_unplug(struct octans_device *dev)
{
	octans_reset_down(dev);
	stop_works(dev);
	drm_dev_unplug(&dev->drm);
	octans_vm_unplug(dev);
	octans_gem_unplug(dev);
	octans_reset_leave(dev);
	octans_local_unplug(dev);
}
