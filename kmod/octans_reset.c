// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets.  The iron rule: the fence of a job is signalled only when the hardware can no
 * longer write its memory; and only when its ring can take the next one.
 *
 * The ladder: ring reset, device reset, function-level reset, and, if that fails too, the device
 * is cut off ("wedged") until it is bound anew.
 */
#include <linux/iopoll.h>

#include <drm/drm_accel.h>
#include <drm/drm_print.h>

#include "compat.h"
#include "octans_device.h"
#include "octans_queue.h"

#define DEVICE_RESET_TIMEOUT_US	2000000

/* A job that is off its ring, and how it ends. */
struct ended {
	struct octans_job *job;
	int error;
};

static struct ended take(struct octans_ring *ring, int error)
{
	struct ended e = { .error = error };
	bool finished;

	e.job = octans_ring_take(ring, &finished);
	if (finished)
		e.error = 0;
	return e;
}

static void end(struct ended e, bool guilty)
{
	if (!e.job)
		return;
	/* Banned first: who sees the fence may submit again at once. */
	if (e.error && guilty)
		octans_queue_ban(e.job->queue, e.error);
	octans_job_end(e.job, e.error);
}

static int wait_ready(struct octans_device *dev)
{
	u32 status;

	return read_poll_timeout(octans_read32, status,
				 status != U32_MAX && status & OCTANS_STATUS_READY, 1000,
				 DEVICE_RESET_TIMEOUT_US, false, dev, OCTANS_REG_STATUS);
}

/*
 * The last resort short of giving up.  Not pci_reset_function(): it calls back into
 * octans_reset_prepare(), which waits for the work item that this runs in.
 */
static int reset_function(struct octans_device *dev)
{
	struct pci_dev *pdev = octans_pdev(dev);
	int ret;

	drm_notice(&dev->drm, "the device could not be reset, resetting the function\n");
	pci_save_state(pdev);
	ret = pcie_flr(pdev);
	pci_restore_state(pdev);
	/* Cut off meanwhile?  That was undone just now. */
	if (READ_ONCE(dev->dead))
		pci_clear_master(pdev);
	return ret ? ret : wait_ready(dev);
}

/**
 * octans_reset_hw() - reset the device by its register, or else the whole function
 * @dev: device
 *
 * Return: 0 or -ETIMEDOUT.
 */
int octans_reset_hw(struct octans_device *dev)
{
	octans_write32(dev, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	if (!wait_ready(dev))
		return 0;
	if (octans_read32(dev, OCTANS_REG_ID) != OCTANS_ID_MAGIC)
		return -ETIMEDOUT;	/* gone: there is nothing to reset */
	return reset_function(dev);
}

/* From here on nothing is emitted. */
static void set_dead(struct octans_device *dev)
{
	unsigned long flags;
	u32 i;

	for (i = 0; i < dev->info.rings; i++) {
		spin_lock_irqsave(&dev->rings[i].lock, flags);
		WRITE_ONCE(dev->dead, true);
		spin_unlock_irqrestore(&dev->rings[i].lock, flags);
	}
}

/**
 * octans_end_all() - the device is, or must be, gone: nothing starts, everything ends
 * @dev: device
 * @error: how jobs that are running end
 */
void octans_end_all(struct octans_device *dev, int error)
{
	u32 i;

	set_dead(dev);
	/* Whatever the device still does, it does not reach memory. */
	pci_clear_master(octans_pdev(dev));
	for (i = 0; i < dev->info.rings; i++)
		end(take(&dev->rings[i], error), false);
}

/* Cuts off a device that cannot be reset.  On the reset_wq, or instead of it. */
static void wedge(struct octans_device *dev, const char *why)
{
	/* drm_dev_wedged_event() wants a primary node, which accel devices lack. */
	static char wedged[] = "WEDGED=rebind,bus-reset";
	char *env[] = { wedged, NULL };

	if (READ_ONCE(dev->dead))
		return;
	octans_end_all(dev, -ENODEV);
	drm_err(&dev->drm, "device is cut off: %s; rebind it to use it again\n", why);
	if (dev->drm.accel && dev->drm.accel->kdev)
		kobject_uevent_env(&dev->drm.accel->kdev->kobj, KOBJ_CHANGE, env);
}

/* What runs on other rings than the guilty one (NULL: on any) ends with -ECANCELED. */
static void reset_device(struct octans_device *dev, struct octans_ring *guilty, int error)
{
	struct ended ended[OCTANS_MAX_RINGS] = { };
	u32 i;

	if (octans_reset_hw(dev)) {
		wedge(dev, "it could not be reset");
		return;
	}
	if (READ_ONCE(dev->dead))
		return;		/* who cut it off has ended its jobs */
	for (i = 0; i < dev->info.rings; i++)
		ended[i] = take(&dev->rings[i], &dev->rings[i] == guilty ? error : -ECANCELED);
	if (octans_device_start(dev))
		wedge(dev, "it did not start after a reset");
	for (i = 0; i < dev->info.rings; i++)
		end(ended[i], &dev->rings[i] == guilty && error != -ECANCELED);
}

/**
 * octans_recover() - end a job that failed or hangs, and get its ring going again
 * @dev: device; called on its reset_wq
 * @guilty: ring
 * @error: how the job ends, unless it ends well in this moment
 *
 * If the whole device has to be reset, jobs on other rings end with -ECANCELED; their
 * queues are not banned.
 */
void octans_recover(struct octans_device *dev, struct octans_ring *guilty, int error)
{
	octans_event_drain(dev);	/* who waits for the fence finds the fault record */
	atomic_inc(&dev->resets);
	drm_dbg(&dev->drm, "%s: reset, job ends with %d\n", guilty->name, error);
	if (!octans_ring_stop(guilty)) {
		struct ended e = take(guilty, error);

		octans_ring_start(guilty);
		end(e, error != -ECANCELED);
		return;
	}
	drm_notice(&dev->drm, "%s could not be reset, resetting the device\n", guilty->name);
	reset_device(dev, guilty, error);
}

/**
 * octans_reset_work() - &octans_device.reset_work
 * @work: of a device
 */
void octans_reset_work(struct work_struct *work)
{
	struct octans_device *dev = container_of(work, struct octans_device, reset_work);
	int idx;

	if (!drm_dev_enter(&dev->drm, &idx))
		return;
	/* Another reset may have helped meanwhile. */
	if (!READ_ONCE(dev->dead) && octans_mmu_late(dev)) {
		drm_notice(&dev->drm, "a TLB invalidation is late, resetting the device\n");
		atomic_inc(&dev->resets);
		reset_device(dev, NULL, 0);
	}
	drm_dev_exit(idx);
}

/**
 * octans_reset_request() - have the device reset if octans_mmu_late()
 * @dev: device
 */
void octans_reset_request(struct octans_device *dev)
{
	queue_work(dev->reset_wq, &dev->reset_work);
}

/**
 * octans_reset_prepare() - somebody else, such as the PCI core, resets the function
 * @dev: device
 */
void octans_reset_prepare(struct octans_device *dev)
{
	u32 i;

	disable_work_sync(&dev->reset_work);
	for (i = 0; i < dev->info.rings; i++) {
		drm_sched_wqueue_stop(&dev->rings[i].sched);
		disable_delayed_work_sync(&dev->rings[i].watchdog);
		if (!READ_ONCE(dev->dead))
			octans_ring_stop(&dev->rings[i]);
	}
}

/**
 * octans_reset_done() - the function was reset
 * @dev: device
 */
void octans_reset_done(struct octans_device *dev)
{
	struct ended ended[OCTANS_MAX_RINGS] = { };
	u32 i;

	atomic_inc(&dev->resets);
	for (i = 0; i < dev->info.rings; i++)
		ended[i] = take(&dev->rings[i], -ECANCELED);
	if (!READ_ONCE(dev->dead) && octans_device_start(dev))
		wedge(dev, "it did not start after a function reset");
	enable_work(&dev->reset_work);
	for (i = 0; i < dev->info.rings; i++) {
		enable_delayed_work(&dev->rings[i].watchdog);
		end(ended[i], false);
		drm_sched_wqueue_start(&dev->rings[i].sched);
	}
}
