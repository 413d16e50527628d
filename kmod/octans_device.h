/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_DEVICE_H
#define OCTANS_DEVICE_H

#include <linux/io.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_mm.h>

#include <octans/regs.h>
#include "octans_ring.h"

/*
 * Locks, from the outermost to the innermost:
 *
 *   drm_dev_enter() section (SRCU)
 *   vm->lock (mutex)		mappings and page tables of one address space
 *   dma_resv of one buffer	list of its mappings; never two at once
 *   dev->mmu_lock (mutex)	the order of TLB invalidations; not held while one waits
 *   queue->submit_lock (mutex)	order of the jobs of one queue
 *   dev->local.lock (mutex)	allocator of on-card memory
 *   dev->event_lock (mutex)	consumer side of the event queue
 *   vms xarray lock
 *   ring->lock (spinlock, irq)	the job that runs on a ring, dev->dead
 *   vm->fault_lock (spinlock, irq)
 *
 * Whatever may end a job (interrupt handler, ring watchdog, run_job) takes only
 * mmu_lock, event_lock, ring->lock and fault_lock, none of which is held across an
 * allocation: so a job always ends, whatever the ioctls wait for.
 *
 * Resets are made on one ordered workqueue, by the ring watchdogs and by reset_work: there is
 * never more than one at a time, and no lock for it.  Others ask (octans_reset_request()).  While
 * the PCI core resets the function, those are disabled.
 */

/**
 * struct octans_local - on-card memory
 */
struct octans_local {
	/** @lock: protects @mm */
	struct mutex lock;
	/** @mm: what is allocated */
	struct drm_mm mm;
	/** @size: bytes on the card */
	u64 size;
	/** @visible: bytes that the BAR shows, from 0 on */
	u64 visible;
	/** @used: bytes allocated; protected by @lock */
	u64 used;
	/** @bar: physical address of the BAR */
	resource_size_t bar;
	/** @map: all of the BAR, write combined */
	void __iomem *map;
};

/**
 * struct octans_info - what the capability registers said at probe, checked
 */
struct octans_info {
	u32 version;
	u32 rings;
	u32 ring_log2;
	u32 macs_int8, macs_f16, macs_f32, local_bpc, pcie_bpc, max_ctx;
	u64 ops, types, clock_hz, serial, sram_size;
	char profile[40];
};

/**
 * struct octans_vector - an MSI-X vector, as its handler sees it
 *
 * pci_irq_vector() takes a mutex, so a handler cannot ask which one it is.
 */
struct octans_vector {
	struct octans_device *dev;
	u32 index;
};

/**
 * struct octans_device - one processor
 *
 * Lives as long as its &drm_device, that is until the last file, exported buffer
 * and fence are gone; the hardware may be gone long before.
 */
struct octans_device {
	/** @drm: base */
	struct drm_device drm;
	/** @regs: BAR 0; valid inside drm_dev_enter(), or under a ring lock while !dead */
	void __iomem *regs;
	struct octans_info info;
	struct octans_local local;
	/** @dead: no more register writes or jobs; written under all ring locks */
	bool dead;
	/** @n_vectors: in use; events have 0, ring r has (1 + r) % n_vectors */
	u32 n_vectors;
	struct octans_vector vectors[OCTANS_VECTORS(OCTANS_MAX_RINGS)];

	/** @rings: info.rings of them */
	struct octans_ring rings[OCTANS_MAX_RINGS];
	/** @scheds: their schedulers, for the entities */
	struct drm_gpu_scheduler *scheds[OCTANS_MAX_RINGS];
	/** @reset_wq: ordered; everything that may reset */
	struct workqueue_struct *reset_wq;
	/** @reset_work: resets the device for somebody who must not do it himself */
	struct work_struct reset_work;
	/** @resets: ring and device resets so far */
	atomic_t resets;
	/** @submits, @submitted_jobs: SUBMITs that were accepted so far, and the jobs in them */
	atomic64_t submits, submitted_jobs;

	/** @asid_table: OCTANS_MAX_ASIDS entries, read by the device MMU */
	__le64 *asid_table;
	dma_addr_t asid_table_dma;
	/** @vms: by ASID; entries hold no reference */
	struct xarray vms;
	/** @mmu_lock: tickets reach the device in order; protects @ticket */
	struct mutex mmu_lock;
	/** @ticket: of the newest invalidation */
	u32 ticket;
	/** @late: ticket that somebody wants a reset for; he asks again if another overwrites it */
	u32 late;

	/** @events: queue written by the device */
	struct octans_event *events;
	dma_addr_t events_dma;
	/** @event_lock: protects @event_head */
	struct mutex event_lock;
	u32 event_head;
	/** @event_work: drains the queue */
	struct work_struct event_work;

	/** @objects: how many exist, for leak tests and debugfs */
	struct {
		atomic_t buffers, spaces, tables, queues, jobs, fences;
	} objects;

	/** @dummy: page that stands for on-card memory after an unplug */
	struct page *dummy;
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

/* octans_device.c */
int octans_device_init(struct octans_device *dev);
void octans_device_unplug(struct octans_device *dev);
int octans_device_start(struct octans_device *dev);

/* octans_reset.c */
int octans_reset_hw(struct octans_device *dev);
void octans_recover(struct octans_device *dev, struct octans_ring *guilty, int error);
void octans_reset_work(struct work_struct *work);
void octans_reset_request(struct octans_device *dev);
void octans_end_all(struct octans_device *dev, int error);
void octans_reset_prepare(struct octans_device *dev);
void octans_reset_done(struct octans_device *dev);

/* octans_irq.c */
int octans_irq_init(struct octans_device *dev);

/* octans_event.c */
int octans_event_init(struct octans_device *dev);
void octans_event_start(struct octans_device *dev);
void octans_event_drain(struct octans_device *dev);
void octans_event_kick(struct octans_device *dev);

/* octans_mmu.c */
int octans_mmu_init(struct octans_device *dev);
int octans_mmu_start(struct octans_device *dev);
bool octans_mmu_late(struct octans_device *dev);
void octans_mmu_set(struct octans_device *dev, u32 asid, u64 root);
void octans_mmu_flush(struct octans_device *dev, u32 asid);

/* octans_debugfs.c */
void octans_debugfs_init(struct octans_device *dev);

/* octans_local.c */
int octans_local_init(struct octans_device *dev);
int octans_local_alloc(struct octans_device *dev, struct drm_mm_node *node, u64 size);
void octans_local_free(struct octans_device *dev, struct drm_mm_node *node);

#endif
