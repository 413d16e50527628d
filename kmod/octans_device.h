/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_DEVICE_H
#define OCTANS_DEVICE_H

#include <linux/io.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>

#include <octans/regs.h>
#include "octans_local.h"
#include "octans_sched.h"

#ifndef CONFIG_64BIT
#error octans: registers of 64 bits are accessed at once, so it depends on 64BIT
#endif

/*
 * Locks, from the outermost to the innermost:
 *
 *   drm_dev_enter() section (SRCU)
 *   vm->lock (mutex)		mappings and page tables of one address space
 *   queue->submit_lock (mutex)	order of the jobs of one queue
 *   dev->local.lock (mutex)	allocator of on-card memory; inside mmap_lock
 *   dev->bos_lock (mutex)	list of buffers
 *   dma_resv of one buffer	list of its mappings; never two at once
 *   dev->users_lock (mutex)	list of users
 *   dev->event_lock (mutex)	consumer side of the event queue
 *   vms xarray lock
 *   dev->mmu_lock (spinlock)	the order of TLB invalidations; not held while one waits
 *   lock of any fence (spinlock, irq)	callbacks run under it
 *   sched->lock (spinlock, irq)	a ring, and the queues that have jobs for it
 *   vm->fault_lock, client->lock (spinlock, irq)
 *
 * No fence is signalled, and none is asked for a callback, under sched->lock.  Whatever may end a
 * job (interrupt handler, ring watchdog, resets) takes only mmu_lock, event_lock, sched->lock and
 * what is inside of it, none of which is held across an allocation: so a job always ends, whatever
 * the ioctls wait for.
 *
 * Resets are made on one ordered workqueue: there is never more than one at a time, and no lock
 * for it.  Who wants one writes down why and calls octans_reset_request(); octans_reset.c acts.
 * While the PCI core resets the function, that work is disabled.
 */

/**
 * enum octans_gate - may the registers be used?
 * @OCTANS_GATE_UP: yes
 * @OCTANS_GATE_RESETTING: not now: the function is being reset
 * @OCTANS_GATE_SUSPENDED: not now: the system sleeps
 * @OCTANS_GATE_DOWN: never again; the device reaches no memory
 */
enum octans_gate {
	OCTANS_GATE_UP,
	OCTANS_GATE_RESETTING,
	OCTANS_GATE_SUSPENDED,
	OCTANS_GATE_DOWN,
};

/**
 * struct octans_info - what the capability registers said at probe, checked
 * @version: major << 16 | minor
 * @rings: hardware rings
 * @ring_log2: of the most descriptors of a ring
 * @asids: entries of the ASID table
 * @macs_int8: multiplications of a clock, int8
 * @macs_f16: the same, F16
 * @macs_f32: the same, F32
 * @local_bpc: bytes of on-card memory of a clock
 * @pcie_bpc: bytes over PCIe of a clock
 * @max_ctx: most positions that a row of an attention command attends to
 * @ops: bit n: opcode n is implemented
 * @types: bit n: GGML weight type n is
 * @clock_hz: clock
 * @serial: serial number
 * @sram_size: bytes of SRAM
 * @profile: name of its profile
 */
struct octans_info {
	u32 version;
	u32 rings;
	u32 ring_log2;
	u32 asids;	/* entries of the ASID table */
	u32 macs_int8, macs_f16, macs_f32, local_bpc, pcie_bpc, max_ctx;
	u64 ops, types, clock_hz, serial, sram_size;
	char profile[40];
};

/**
 * struct octans_vector - an MSI-X vector, as its handler sees it
 * @dev: whose it is
 * @index: which one
 *
 * pci_irq_vector() takes a mutex, so a handler cannot ask which one it is.
 */
struct octans_vector {
	struct octans_device *dev;
	u32 index;
};

/**
 * struct octans_device - one processor
 * @info: what it can do
 * @local: its memory
 * @vectors: one for events, one for each ring, or fewer
 * @submits: SUBMITs that were accepted so far
 * @submitted_jobs: the jobs in them
 * @asid_table_dma: bus address of @asid_table
 * @events_dma: bus address of @events
 * @event_head: next event to take; protected by @event_lock
 *
 * Lives as long as its &drm_device, that is until the last file, exported buffer and job that has
 * not ended are gone; the hardware may be gone long before.
 */
struct octans_device {
	/** @drm: base */
	struct drm_device drm;
	/** @regs: BAR 0; valid inside drm_dev_enter(), or under a scheduler's lock if not frozen */
	void __iomem *regs;
	struct octans_info info;
	struct octans_local local;
	/** @gate: enum octans_gate; DOWN is written when DMA is cut and each scheduler frozen */
	enum octans_gate gate;
	/** @absences: how often it was UP and then was not */
	u32 absences;
	/** @gate_wait: woken when @gate has changed */
	wait_queue_head_t gate_wait;
	/** @frozen: the link failed and a reset was prepared; protected by the device lock */
	bool frozen;
	/** @n_vectors: in use; events have 0, ring r has (1 + r) % n_vectors */
	u32 n_vectors;
	struct octans_vector vectors[OCTANS_VECTORS(OCTANS_MAX_RINGS)];

	/** @scheds: info.rings rings and their schedulers */
	struct octans_sched scheds[OCTANS_MAX_RINGS];
	/** @wq: ordered; whatever looks after rings, and all resets */
	struct workqueue_struct *wq;
	/** @reset_work: does what was asked for */
	struct work_struct reset_work;
	/** @wedged_work: tells user space that the device was cut off */
	struct work_struct wedged_work;
	/** @resets: ring and device resets so far that ended a job, or were meant to */
	atomic_t resets;
	/** @withdrawn: jobs that were taken back from a ring, for those who waited behind them */
	atomic_t withdrawn;
	/** @placed: rings chosen for new queues so far */
	atomic_t placed;
	atomic64_t submits, submitted_jobs;

	/** @asid_table: info.asids entries, read by the device MMU */
	__le64 *asid_table;
	dma_addr_t asid_table_dma;
	/** @vms: by ASID; entries hold no reference */
	struct xarray vms;
	/** @mmu_lock: tickets reach the device in order; protects @ticket, @late and @late_asid */
	spinlock_t mmu_lock;
	/** @ticket: of the newest invalidation */
	u32 ticket;
	/** @late: ticket that somebody wants a reset for; he asks again if another overwrites it */
	u32 late;
	/** @late_asid: what it is about */
	u32 late_asid;

	/** @events: queue written by the device */
	struct octans_event *events;
	dma_addr_t events_dma;
	/** @event_lock: protects @event_head */
	struct mutex event_lock;
	u32 event_head;
	/** @event_work: drains the queue */
	struct work_struct event_work;

	/** @bos: struct octans_bo: all buffers */
	struct list_head bos;
	/** @bos_lock: protects @bos */
	struct mutex bos_lock;
	/** @users: struct octans_user of all uids that have something here */
	struct list_head users;
	/** @users_lock: protects @users */
	struct mutex users_lock;

	/** @objects: how many exist, for leak tests and debugfs */
	struct {
		atomic_t buffers, spaces, tables, queues, jobs;
	} objects;
};

static inline struct octans_device *to_octans(struct drm_device *drm)
{
	return container_of(drm, struct octans_device, drm);
}

static inline struct pci_dev *octans_pdev(struct octans_device *dev)
{
	return to_pci_dev(dev->drm.dev);
}

static inline u32 octans_read32(struct octans_device *dev, u32 reg)
{
	return readl(dev->regs + reg);
}

static inline void octans_write32(struct octans_device *dev, u32 reg, u32 val)
{
	writel(val, dev->regs + reg);
}

static inline u64 octans_read64(struct octans_device *dev, u32 reg)
{
	return readq(dev->regs + reg);
}

static inline void octans_write64(struct octans_device *dev, u32 reg, u64 val)
{
	writeq(val, dev->regs + reg);
}

/* Is it gone, or cut off?  Then it reaches no memory, and takes no work. */
static inline bool octans_device_down(struct octans_device *dev)
{
	return READ_ONCE(dev->gate) == OCTANS_GATE_DOWN;
}

/*
 * Power: while it is held the device is awake.  An open file, an address space and a buffer on the
 * card hold it; who keeps one of these need not.  It may be dropped after the device was unbound.
 */
static inline void octans_power_hold(struct octans_device *dev)
{
	pm_runtime_get_noresume(dev->drm.dev);
}

static inline void octans_power_drop(struct octans_device *dev)
{
	pm_runtime_mark_last_busy(dev->drm.dev);
	pm_runtime_put_autosuspend(dev->drm.dev);
}

/* Have octans_reset.c look at what is frozen, or late. */
static inline void octans_reset_request(struct octans_device *dev)
{
	queue_work(dev->wq, &dev->reset_work);
}

void octans_gate_set(struct octans_device *dev, enum octans_gate gate);
bool octans_gate_wait(struct octans_device *dev);
u32 octans_gate_absences(struct octans_device *dev);
int octans_device_init(struct octans_device *dev);
void octans_device_unplug(struct octans_device *dev);

#endif
