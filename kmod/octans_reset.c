// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets.  The iron rule: the fence of a job is signalled only when the hardware can no longer
 * write its memory.  The other one: who has done nothing loses nothing that can be kept.  A job
 * that has not started is put on the ring again; only what is cut off half-way is lost.
 *
 * The ladder: ring, device, function, and, if that fails too, the device is cut off ("wedged")
 * until it is bound anew.  Whatever the rung, and also if somebody else resets the function or the
 * system sleeps, the story is the same:
 *
 *   freeze	nothing is emitted
 *   quiesce	what runs may end, if it is not what stands in the way; nothing starts
 *   (reset)
 *   settle	what has ended is ended, what was cut off too, the rest goes back into its queue
 *   restart	the ring is enabled and filled
 */
#include <linux/delay.h>
#include <linux/iopoll.h>

#include <drm/drm_accel.h>
#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "octans_device.h"
#include "octans_event.h"
#include "octans_gem.h"
#include "octans_job.h"
#include "octans_mmu.h"
#include "octans_queue.h"
#include "octans_reset.h"
#include "octans_vm.h"

#define DEVICE_RESET_TIMEOUT_US	2000000
#define QUIESCE_MS		1000
#define STANDS_STILL_US		500000	/* then a late invalidation costs a job its life */
#define RING_HELPS_US		1000000	/* a ring reset has helped by then, or does not */

static bool pause_until(ktime_t until)
{
	usleep_range(50, 200);
	return ktime_before(ktime_get(), until);
}

/* ---- one ring ---- */

/* Does a job run that may come to its end by itself?  The ring is disabled: it is the last one. */
static bool busy(struct octans_sched *sched)
{
	struct octans_look *look = &sched->look;

	octans_ring_look(&sched->ring, look);
	/* It may have ended between one register and the next; now they are of one moment. */
	if (!(look->status & OCTANS_RING_BUSY))
		octans_ring_look(&sched->ring, look);
	if (look->status == U32_MAX || look->status & OCTANS_RING_HALTED)
		return false;
	return look->status & OCTANS_RING_BUSY &&
	       !(sched->frozen & OCTANS_FROZEN_VERDICT && look->seqno == sched->guilty);
}

/* Ends the oldest job on the ring.  Its client answers for it, or the device.  Lock held. */
static void pop(struct octans_sched *sched, int error, bool blame, struct list_head *ended)
{
	struct octans_job *job = octans_sched_first(sched);
	struct octans_queue *queue = job ? job->queue : NULL;

	if (!queue) {
		error = 0;	/* it was taken back long since */
	} else if (error && queue->killed) {
		/* which does not hide that it has failed, and stopped the ring for everybody */
		if (blame && error != -ECANCELED)
			octans_client_punish(queue->client);
		error = -ECANCELED;
	}
	/* Banned first: who sees the fence may submit again at once. */
	if (error && error != -ECANCELED) {
		if (blame)
			octans_queue_ban(queue, error);
		else
			octans_queue_stop(queue, error);
	}
	octans_sched_pop(sched, error, ended);
}

/*
 * Nothing runs on the ring any more: decides for each job on it.  sched->look says what ran when
 * no other could start.  Lock held.
 */
static void settle(struct octans_sched *sched, struct list_head *ended)
{
	struct octans_ring *ring = &sched->ring;
	u64 guilty = sched->frozen & OCTANS_FROZEN_VERDICT ? sched->guilty : 0;
	int error = sched->error;
	bool blame = sched->blame;
	u32 status, passed;

	/* it may have ended just before it was stopped */
	if (octans_sched_collect(sched, &status, ended) == OCTANS_NEWS_FAILED) {
		passed = 1;
		guilty = ring->done + 1;
		error = octans_ring_errno(status);
		blame = true;
	} else {
		/* without a record, but with all that they had to write */
		passed = octans_ring_passed(ring, &sched->look);
		if (passed && sched->look.status & OCTANS_RING_HALTED) {
			guilty = ring->done + passed;	/* the last one halted it */
			error = -EIO;
			blame = false;
		}
	}
	for (; passed; passed--) {
		struct octans_job *job = octans_sched_first(sched);

		if (ring->done + 1 == guilty)
			pop(sched, error, blame, ended);
		else if (job && job->withdrawn)
			pop(sched, -EIO, false, ended);	/* run or skipped, who knows */
		else
			pop(sched, 0, false, ended);
	}
	if (octans_ring_count(ring)) {
		if (ring->done + 1 == guilty)
			pop(sched, error, blame, ended);
		else if (ring->done + 1 == sched->look.seqno || sched->look.status == U32_MAX)
			pop(sched, -ECANCELED, false, ended);	/* cut off, or nobody knows */
	}
	octans_sched_put_back(sched, ended);
}

/* The ring was reset: nothing is left on it, in our books too. */
static void empty(struct octans_sched *sched)
{
	bool cookie = dma_fence_begin_signalling();
	LIST_HEAD(ended);

	spin_lock_irq(&sched->lock);
	settle(sched, &ended);
	spin_unlock_irq(&sched->lock);
	octans_job_end(&ended);
	dma_fence_end_signalling(cookie);
}

/* The same, and whatever it was frozen for is done. */
static void restart(struct octans_sched *sched)
{
	bool cookie = dma_fence_begin_signalling();
	LIST_HEAD(ended);

	spin_lock_irq(&sched->lock);
	settle(sched, &ended);
	if (!(sched->frozen & OCTANS_FROZEN_DOWN)) {
		sched->frozen = 0;
		octans_ring_start(&sched->ring);
		octans_sched_fill(sched);
	}
	spin_unlock_irq(&sched->lock);
	octans_job_end(&ended);
	dma_fence_end_signalling(cookie);
}

/*
 * Is what it was frozen for over, by itself, with nothing wrong?  Then the ring goes on where it
 * stopped.
 */
static bool thaw(struct octans_sched *sched)
{
	enum octans_news news;
	LIST_HEAD(ended);
	u32 status;
	bool over;

	spin_lock_irq(&sched->lock);
	news = octans_sched_collect(sched, &status, &ended);
	over = news == OCTANS_NEWS_NONE && sched->frozen == OCTANS_FROZEN_VERDICT &&
	       sched->ring.done >= sched->guilty && !(sched->look.status & OCTANS_RING_HALTED);
	if (over) {
		sched->frozen = 0;
		octans_ring_enable(&sched->ring);
		octans_sched_fill(sched);
	}
	spin_unlock_irq(&sched->lock);
	octans_job_end(&ended);
	return over;
}

/* ---- the device ---- */

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
	octans_gem_hide(dev);
	pci_save_state(pdev);
	ret = pcie_flr(pdev);
	pci_restore_state(pdev);
	/* Cut off meanwhile?  That was undone just now. */
	if (octans_device_down(dev))
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

/*
 * Nothing is left of what the card held.  Nobody is told that by looking at it: CPUs see zeros from
 * now on.
 */
static void lose_card(struct octans_device *dev)
{
	u32 i;

	if (dev->local.used)
		drm_notice(&dev->drm, "the card was without power: %llu bytes are lost\n",
			   dev->local.used);
	octans_local_lose(dev);
	octans_gem_revoke(dev);
	for (i = 0; i < dev->info.rings; i++)
		empty(&dev->scheds[i]);
}

/*
 * Tables are as they were, and an address space that has lost a buffer gets no further job.  Who
 * holds the lock of one may wait for the gate, so it must be UP.
 */
static void restore_spaces(struct octans_device *dev)
{
	struct drm_file *file;
	u32 i;

	octans_vm_restore(dev);
	mutex_lock(&dev->drm.filelist_mutex);
	list_for_each_entry(file, &dev->drm.filelist, lhead)
		octans_queue_stop_lost(file->driver_priv);
	mutex_unlock(&dev->drm.filelist_mutex);
	for (i = 0; i < dev->info.rings; i++) {
		struct octans_sched *sched = &dev->scheds[i];
		struct octans_queue *queue, *next;
		LIST_HEAD(ended);

		spin_lock_irq(&sched->lock);
		list_for_each_entry_safe(queue, next, &sched->queues, member)
			octans_sched_flush(sched, queue, -ENODATA, &ended);
		spin_unlock_irq(&sched->lock);
		octans_job_end(&ended);
	}
}

/**
 * octans_reset_start() - program everything; after probe, and after a device reset
 * @dev: device, on which nothing runs
 * @lost: it has been without power since it was used last
 *
 * Return: 0 or -EIO.
 */
int octans_reset_start(struct octans_device *dev, bool lost)
{
	u32 i;

	if (octans_read32(dev, OCTANS_REG_ID) != OCTANS_ID_MAGIC ||
	    !(octans_read32(dev, OCTANS_REG_STATUS) & OCTANS_STATUS_READY))
		return -EIO;
	if (lost)
		lose_card(dev);
	if (octans_mmu_start(dev))
		return -EIO;
	octans_write32(dev, OCTANS_REG_EVT_VECTOR, 0);
	octans_event_start(dev);
	octans_gate_set(dev, OCTANS_GATE_UP);
	if (lost)
		restore_spaces(dev);
	for (i = 0; i < dev->info.rings; i++)
		restart(&dev->scheds[i]);
	return 0;
}

static void freeze(struct octans_device *dev, u32 why)
{
	u32 i;

	for (i = 0; i < dev->info.rings; i++) {
		spin_lock_irq(&dev->scheds[i].lock);
		dev->scheds[i].frozen |= why;
		spin_unlock_irq(&dev->scheds[i].lock);
	}
}

/* On return the rings run nothing, or what must be cut off: see octans_sched.look. */
static void quiesce(struct octans_device *dev)
{
	ktime_t until = ktime_add_ms(ktime_get(), QUIESCE_MS);
	u32 i;

	for (i = 0; i < dev->info.rings; i++)
		octans_ring_disable(&dev->scheds[i].ring);
	for (i = 0; i < dev->info.rings; i++)
		while (busy(&dev->scheds[i]) && pause_until(until))
			;
	octans_event_drain(dev);	/* who waits for a fence finds the fault record */
}

/**
 * octans_reset_down() - the device is, or must be, gone: nothing starts, everything ends
 * @dev: device
 */
void octans_reset_down(struct octans_device *dev)
{
	u32 i;

	/*
	 * Frozen first: reset_function() may undo the next line, but starts no ring any more.
	 * Whatever the device still does, it does not reach memory; then others may rely on it.
	 */
	freeze(dev, OCTANS_FROZEN_DOWN);
	pci_clear_master(octans_pdev(dev));
	octans_gate_set(dev, OCTANS_GATE_DOWN);
	for (i = 0; i < dev->info.rings; i++) {
		struct octans_sched *sched = &dev->scheds[i];
		struct octans_queue *queue, *next;
		LIST_HEAD(ended);
		u32 status;

		spin_lock_irq(&sched->lock);
		octans_sched_collect(sched, &status, &ended);
		while (octans_ring_count(&sched->ring))
			octans_sched_pop(sched, -ENODEV, &ended);
		list_for_each_entry_safe(queue, next, &sched->queues, member)
			octans_sched_flush(sched, queue, -ENODEV, &ended);
		spin_unlock_irq(&sched->lock);
		octans_job_end(&ended);
	}
}

/**
 * octans_reset_tell() - &octans_device.wedged_work: tell user space of a device that is cut off
 * @work: of a device
 */
void octans_reset_tell(struct work_struct *work)
{
	struct octans_device *dev = container_of(work, struct octans_device, wedged_work);
	/* drm_dev_wedged_event() wants a primary node, which accel devices lack. */
	char wedged[] = "WEDGED=rebind,bus-reset";
	char *env[2] = { wedged };

	if (dev->drm.accel && dev->drm.accel->kdev)
		kobject_uevent_env(&dev->drm.accel->kdev->kobj, KOBJ_CHANGE, env);
}

/* Cuts off a device that cannot be reset. */
static void wedge(struct octans_device *dev, const char *why)
{
	if (octans_device_down(dev))
		return;
	octans_reset_down(dev);
	octans_gem_revoke(dev);
	drm_err(&dev->drm, "device is cut off: %s; rebind it to use it again\n", why);
	schedule_work(&dev->wedged_work);	/* it allocates, which a reset may not */
}

static void reset_device(struct octans_device *dev)
{
	atomic_inc(&dev->resets);
	freeze(dev, OCTANS_FROZEN_RESET);
	octans_gate_set(dev, OCTANS_GATE_RESETTING);
	quiesce(dev);
	if (octans_reset_hw(dev))
		wedge(dev, "it could not be reset");
	else if (!octans_mmu_powered(dev))	/* to tell whom that concerns allocates */
		wedge(dev, "the reset has cost it its power");
	else if (!octans_device_down(dev) && octans_reset_start(dev, false))
		wedge(dev, "it did not start after a reset");
}

/* As recover(), but for what it does if the ring cannot be reset. */
static int recover_ring(struct octans_sched *sched)
{
	ktime_t until = ktime_add_ms(ktime_get(), QUIESCE_MS);
	struct octans_device *dev = sched->dev;
	bool wait;

	octans_ring_disable(&sched->ring);
	do {
		wait = busy(sched);
		if (thaw(sched))
			return 0;
	} while (wait && pause_until(until));
	octans_event_drain(dev);	/* who waits for the fence finds the fault record */
	drm_dbg(&dev->drm, "%s: reset over job %llu (%d), running %llu\n", sched->name,
		sched->guilty, sched->error, sched->look.seqno);
	if (octans_ring_reset(&sched->ring))
		return -ETIMEDOUT;
	atomic_inc(&dev->resets);
	restart(sched);
	return 0;
}

/*
 * A job on a ring is to be ended.  If it has ended by itself nobody notices; if another one runs
 * and its end does not show, that one may end first.
 */
static void recover(struct octans_sched *sched)
{
	bool cookie = dma_fence_begin_signalling();
	struct octans_device *dev = sched->dev;
	int ret = recover_ring(sched);

	/* a reset of the function takes locks under which others allocate, if only at probe */
	dma_fence_end_signalling(cookie);
	if (!ret)
		return;
	drm_notice(&dev->drm, "%s could not be reset, resetting the device\n", sched->name);
	reset_device(dev);
}

/* Clients that have failed too often: nothing of theirs starts any more. */
static void stop_banned(struct octans_device *dev)
{
	u32 i;

	for (i = 0; i < dev->info.rings; i++) {
		struct octans_sched *sched = &dev->scheds[i];
		struct octans_queue *queue, *next;
		LIST_HEAD(ended);

		spin_lock_irq(&sched->lock);
		list_for_each_entry_safe(queue, next, &sched->queues, member) {
			if (!octans_client_banned(queue->client))
				continue;
			octans_queue_stop(queue, -EACCES);
			octans_sched_withdraw(sched, queue->client, queue);
			octans_sched_flush(sched, queue, -ECANCELED, &ended);
		}
		spin_unlock_irq(&sched->lock);
		octans_job_end(&ended);
	}
}

/* ---- late invalidations ---- */

/*
 * Is the job that runs the one that ran then, and has not moved since?  Then it is to be ended,
 * with -ECANCELED: it may have waited for others, so its queue is not banned.
 */
static bool freeze_if_still(struct octans_sched *sched, const struct octans_look *then, u32 asid)
{
	struct octans_look now;
	struct octans_job *job;
	bool still;

	octans_ring_look(&sched->ring, &now);
	if (!then->seqno || now.seqno != then->seqno || now.progress != then->progress)
		return false;
	octans_job_irq(sched);	/* so that it is the oldest, if it still runs */
	spin_lock_irq(&sched->lock);
	job = octans_sched_first(sched);
	still = job && sched->ring.done + 1 == now.seqno && !sched->frozen &&
		(!asid || octans_queue_asid(job->queue) == asid);
	if (still)
		octans_sched_freeze(sched, -ECANCELED, false);
	spin_unlock_irq(&sched->lock);
	return still;
}

/*
 * Who moves lets invalidations through.  So the jobs that stand still are ended, one after the
 * other until that has helped; those of the address space first, as they alone may use what is to
 * be forgotten.
 */
static void help_late(struct octans_device *dev)
{
	struct octans_look then[OCTANS_MAX_RINGS];
	u32 i, asid, n = dev->info.rings;

	for (i = 0; i < n; i++)
		octans_ring_look(&dev->scheds[i].ring, &then[i]);
	if (!octans_mmu_late(dev, STANDS_STILL_US, &asid))
		return;
	for (i = 0; i < 2 * n; i++) {
		struct octans_sched *sched = &dev->scheds[i % n];

		if (!freeze_if_still(sched, &then[i % n], i < n ? asid : 0))
			continue;
		drm_notice(&dev->drm, "a TLB invalidation is late, ending the job on %s\n",
			   sched->name);
		recover(sched);
		if (!octans_mmu_late(dev, RING_HELPS_US, &asid))
			return;
	}
	drm_notice(&dev->drm, "a TLB invalidation is late, resetting the device\n");
	reset_device(dev);
}

/**
 * octans_reset_work() - &octans_device.reset_work
 * @work: of a device
 */
void octans_reset_work(struct work_struct *work)
{
	struct octans_device *dev = container_of(work, struct octans_device, reset_work);
	int idx;
	u32 i;

	if (!drm_dev_enter(&dev->drm, &idx))
		return;		/* an unplug ends jobs itself */
	for (i = 0; i < dev->info.rings && !octans_device_down(dev); i++) {
		if (READ_ONCE(dev->scheds[i].frozen) & OCTANS_FROZEN_VERDICT)
			recover(&dev->scheds[i]);
	}
	stop_banned(dev);
	if (octans_mmu_late(dev, 0, &i))
		help_late(dev);
	drm_dev_exit(idx);
}

/* ---- others' resets ---- */

static void disable_works(struct octans_device *dev)
{
	u32 i;

	disable_work_sync(&dev->reset_work);
	disable_work_sync(&dev->event_work);
	for (i = 0; i < dev->info.rings; i++)
		disable_delayed_work_sync(&dev->scheds[i].watchdog);
}

static void enable_works(struct octans_device *dev)
{
	u32 i;

	enable_work(&dev->reset_work);
	enable_work(&dev->event_work);
	for (i = 0; i < dev->info.rings; i++) {
		struct octans_sched *sched = &dev->scheds[i];

		enable_delayed_work(&sched->watchdog);
		spin_lock_irq(&sched->lock);
		octans_sched_fill(sched);	/* what is on the ring already is not watched */
		spin_unlock_irq(&sched->lock);
	}
	octans_reset_request(dev);	/* for what was asked for meanwhile */
}

static int stop_rings(struct octans_device *dev)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < dev->info.rings; i++)
		ret = octans_ring_reset(&dev->scheds[i].ring) ?: ret;
	return ret;
}

/**
 * octans_reset_prepare() - somebody else, such as the PCI core, resets the function
 * @dev: device
 */
void octans_reset_prepare(struct octans_device *dev)
{
	disable_works(dev);
	if (octans_device_down(dev))
		return;
	freeze(dev, OCTANS_FROZEN_RESET);
	octans_gate_set(dev, OCTANS_GATE_RESETTING);
	octans_gem_hide(dev);
	quiesce(dev);
	stop_rings(dev);
}

/**
 * octans_reset_done() - the function was reset
 * @dev: device
 *
 * If that has cost the card its power, clients are told as they are after a sleep that did.
 */
void octans_reset_done(struct octans_device *dev)
{
	atomic_inc(&dev->resets);
	if (octans_device_down(dev))
		pci_clear_master(octans_pdev(dev));	/* which was undone just now */
	else if (octans_reset_start(dev, !octans_mmu_powered(dev)))
		wedge(dev, "it did not start after a function reset");
	enable_works(dev);
}

/* ---- sleep ---- */

/* When the job that runs on a ring has had its time. */
static ktime_t limit_of(struct octans_sched *sched)
{
	struct octans_job *job;
	ktime_t limit = 0;

	spin_lock_irq(&sched->lock);
	job = octans_sched_first(sched);
	if (job)
		limit = ktime_add_ms(sched->since, job->queue->timeout_ms);
	spin_unlock_irq(&sched->lock);
	return limit;
}

/* What runs may run for as long as it may; then it would be ended anyway. */
static void wait_for_limits(struct octans_device *dev)
{
	bool wait;
	u32 i;

	for (i = 0; i < dev->info.rings; i++)
		octans_ring_disable(&dev->scheds[i].ring);
	for (i = 0; i < dev->info.rings; i++) {
		struct octans_sched *sched = &dev->scheds[i];

		do {
			wait = busy(sched);
			octans_job_irq(sched);	/* the limit is of what runs, not of what did */
		} while (wait && pause_until(limit_of(sched)));
		spin_lock_irq(&sched->lock);
		if (sched->look.seqno && sched->look.seqno == sched->ring.done + 1) {
			sched->frozen |= OCTANS_FROZEN_VERDICT;
			sched->guilty = sched->look.seqno;
			sched->error = -ETIME;
			sched->blame = true;
		}
		spin_unlock_irq(&sched->lock);
	}
	octans_event_drain(dev);
}

/* Of the device nothing is known but whether it has @lost what it held. */
static void wake(struct octans_device *dev, bool lost)
{
	if (!octans_device_down(dev)) {
		if (octans_reset_hw(dev))
			wedge(dev, "it could not be reset after a sleep");
		else if (octans_reset_start(dev, lost))
			wedge(dev, "it did not start after a sleep");
	}
	enable_works(dev);
}

/**
 * octans_reset_suspend() - the system goes to sleep
 * @dev: device
 *
 * What waits goes on waiting.
 *
 * Return: 0, or -EBUSY: a job cannot be stopped.
 */
int octans_reset_suspend(struct octans_device *dev)
{
	u32 i;

	disable_works(dev);
	if (octans_device_down(dev))
		return 0;
	freeze(dev, OCTANS_FROZEN_RESET);
	octans_gate_set(dev, OCTANS_GATE_SUSPENDED);
	wait_for_limits(dev);
	if (stop_rings(dev)) {
		wake(dev, false);
		return -EBUSY;
	}
	for (i = 0; i < dev->info.rings; i++)
		empty(&dev->scheds[i]);
	octans_mmu_mark(dev);
	return 0;
}

/**
 * octans_reset_resume() - the system is awake again
 * @dev: device
 * @other: maybe another one, or used by another kernel meanwhile: what it holds is not ours
 */
void octans_reset_resume(struct octans_device *dev, bool other)
{
	wake(dev, other || !octans_mmu_marked(dev));
}

/**
 * octans_reset_leave() - leave a device to whoever drives it next
 * @dev: device that is down
 *
 * Nothing stays enabled that leads to memory which is not his.
 */
void octans_reset_leave(struct octans_device *dev)
{
	if (octans_read32(dev, OCTANS_REG_ID) != OCTANS_ID_MAGIC)
		return;
	octans_write32(dev, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	wait_ready(dev);
}
