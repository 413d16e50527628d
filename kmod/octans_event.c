// SPDX-License-Identifier: GPL-2.0-only
/* The event queue: what the device tells besides the ends of jobs. */
#include <linux/dma-mapping.h>
#include <linux/string_choices.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "octans_device.h"
#include "octans_event.h"
#include "octans_job.h"
#include "octans_queue.h"
#include "octans_vm.h"

#define EVENT_LOG2	6
#define EVENTS		BIT(EVENT_LOG2)

static void event_work(struct work_struct *work)
{
	struct octans_device *dev = container_of(work, struct octans_device, event_work);
	int idx;

	if (!drm_dev_enter(&dev->drm, &idx))
		return;
	octans_event_drain(dev);
	drm_dev_exit(idx);
}

/**
 * octans_event_init() - allocate the queue
 * @dev: device
 *
 * Return: 0 or a negative errno.
 */
int octans_event_init(struct octans_device *dev)
{
	INIT_WORK(&dev->event_work, event_work);
	dev->events = dmam_alloc_coherent(dev->drm.dev, EVENTS * sizeof(*dev->events),
					  &dev->events_dma, GFP_KERNEL);
	if (!dev->events)
		return -ENOMEM;
	return drmm_mutex_init(&dev->drm, &dev->event_lock);
}

/* With event_lock held. */
static void start(struct octans_device *dev)
{
	octans_write32(dev, OCTANS_REG_EVT_CTRL, 0);
	octans_read32(dev, OCTANS_REG_EVT_CTRL);	/* no record is under way any more */
	memset(dev->events, 0, EVENTS * sizeof(*dev->events));
	dev->event_head = 0;
	octans_write64(dev, OCTANS_REG_EVT_BASE, dev->events_dma);
	octans_write32(dev, OCTANS_REG_EVT_LOG2, EVENT_LOG2);
	octans_write32(dev, OCTANS_REG_EVT_CTRL, OCTANS_EVT_ENABLE);
}

/**
 * octans_event_start() - program the queue after a reset
 * @dev: device
 */
void octans_event_start(struct octans_device *dev)
{
	mutex_lock(&dev->event_lock);
	start(dev);
	mutex_unlock(&dev->event_lock);
}

/*
 * Fills in which job of which queue it was, if that is still on the ring, and of the address space
 * that the device named: its mistakes put nothing of one client into another's log.
 */
static void attribute(struct octans_device *dev, const struct octans_event *e, u32 asid,
		      struct drm_octans_fault *f)
{
	u32 index = le16_to_cpu(e->ring);
	struct octans_sched *sched;
	struct octans_job *job;
	unsigned long flags;

	if (index >= dev->info.rings)
		return;
	sched = &dev->scheds[index];
	spin_lock_irqsave(&sched->lock, flags);
	job = octans_sched_find(sched, f->seqno);
	if (job && octans_queue_asid(job->queue) == asid) {
		f->queue_id = job->queue->id;
		f->tag = job->tag;
	}
	spin_unlock_irqrestore(&sched->lock, flags);
}

static void job_fault(struct octans_device *dev, const struct octans_event *e)
{
	u32 asid = le16_to_cpu(e->asid);
	struct drm_octans_fault f = {
		.va = le64_to_cpu(e->va),
		.seqno = le64_to_cpu(e->seqno),
		.cmd_offset = le64_to_cpu(e->cmd_offset),
		.time_ns = ktime_get_ns(),
		.code = le32_to_cpu(e->code),
		.write = !!le32_to_cpu(e->write),
	};
	struct octans_vm *vm;

	attribute(dev, e, asid, &f);
	/* the lock keeps the address space while the record goes into its log */
	xa_lock(&dev->vms);
	vm = xa_load(&dev->vms, asid);
	if (vm)
		octans_vm_fault(vm, &f);
	xa_unlock(&dev->vms);
	drm_dbg(&dev->drm, "job 0x%llx: %s of 0x%llx refused (%u), asid %u\n", f.tag,
		str_write_read(f.write), f.va, f.code, asid);
}

/* Is the record in a slot the next one?  Else it is the one of a lap before, or none. */
static bool is_next(struct octans_device *dev, const struct octans_event *slot, bool *nonsense)
{
	u64 index = le64_to_cpu(READ_ONCE(slot->index)), next = dev->event_head + 1ULL;

	*nonsense = index != next && index && index + EVENTS != next;
	return index == next;
}

/**
 * octans_event_drain() - take what is in the queue
 * @dev: device, registers reachable
 *
 * The records are the device's to write at any time: each field is read once, and what
 * makes no sense is dropped.  If that is the index, with all that is in the queue: no later record
 * would be found.
 */
void octans_event_drain(struct octans_device *dev)
{
	struct octans_event *slot, e;
	bool nonsense = false;
	u32 n;

	mutex_lock(&dev->event_lock);
	for (n = 0; n < EVENTS; n++) {
		slot = &dev->events[dev->event_head % EVENTS];
		if (!is_next(dev, slot, &nonsense))
			break;
		dma_rmb();	/* the index is written last */
		memcpy(&e, slot, sizeof(e));
		dev->event_head++;
		if (le32_to_cpu(e.type) == OCTANS_EVT_JOB_FAULT)
			job_fault(dev, &e);
		else if (le32_to_cpu(e.type) == OCTANS_EVT_JOB_ERROR)
			drm_dbg(&dev->drm, "ring %u: job error %u at stream offset 0x%llx\n",
				le16_to_cpu(e.ring), le32_to_cpu(e.code),
				le64_to_cpu(e.cmd_offset));
		else
			drm_notice_once(&dev->drm, "the device reported event %u\n",
					le32_to_cpu(e.type));
	}
	if (n)
		octans_write32(dev, OCTANS_REG_EVT_HEAD, dev->event_head);
	if (n == EVENTS && octans_read32(dev, OCTANS_REG_EVT_DROPPED))
		drm_notice_once(&dev->drm, "fault records were lost, the event queue was full\n");
	if (nonsense) {
		drm_notice_once(&dev->drm, "an event record makes no sense, the queue starts anew\n");
		start(dev);
	}
	mutex_unlock(&dev->event_lock);
}

/**
 * octans_event_kick() - drain the queue soon; from the interrupt handler
 * @dev: device
 */
void octans_event_kick(struct octans_device *dev)
{
	queue_work(dev->wq, &dev->event_work);
}
