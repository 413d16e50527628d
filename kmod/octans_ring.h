/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_RING_H
#define OCTANS_RING_H

#include <linux/dma-fence.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <drm/gpu_scheduler.h>

#include <octans/regs.h>

struct octans_device;
struct octans_job;
struct octans_queue;

/**
 * struct octans_ring - a hardware ring and the scheduler that feeds it
 *
 * At most one job is on the ring (credit limit 1): a job that fails or hangs takes
 * nothing with it, and a reset never has to emit an innocent job again.
 */
struct octans_ring {
	struct octans_device *dev;
	u32 index;
	char name[16];
	struct drm_gpu_scheduler sched;
	/** @sched_ready: drm_sched_init() succeeded */
	bool sched_ready;
	/** @descs: the ring */
	struct octans_desc *descs;
	dma_addr_t descs_dma;
	/** @wb: written by the device */
	__le64 *wb;
	dma_addr_t wb_dma;

	/** @lock: protects what follows and @octans_device.dead */
	spinlock_t lock;
	/** @fence_context, @fence_seqno: of the hardware fences */
	u64 fence_context, fence_seqno;
	/** @job: on the ring, or NULL */
	struct octans_job *job;
	/** @seqno: of the newest job emitted */
	u64 seqno;
	/** @done: seqno that the writeback holds when nothing has ended since */
	u64 done;
	/** @tail: descriptors written since the ring was enabled */
	u32 tail;
	/** @ended: at the watchdog's last look the device had ended @job, without a writeback */
	bool ended;

	/** @watchdog: ticks while a job runs; ends jobs that failed or hang */
	struct delayed_work watchdog;
};

/**
 * struct octans_still - a ring at one moment: seqno of what runs, 0 = nothing, and PROGRESS
 */
struct octans_still {
	u64 seqno, progress;
};

int octans_ring_init(struct octans_device *dev, u32 index);
void octans_ring_start(struct octans_ring *ring);
int octans_ring_stop(struct octans_ring *ring);
int octans_ring_emit(struct octans_ring *ring, struct octans_job *job);
void octans_ring_irq(struct octans_ring *ring);
void octans_ring_kill_queue(struct octans_ring *ring, struct octans_queue *queue);
void octans_ring_look(struct octans_ring *ring, struct octans_still *still);
bool octans_ring_kill_still(struct octans_ring *ring, const struct octans_still *then, u32 asid);
struct octans_job *octans_ring_take(struct octans_ring *ring, bool *finished);

#endif
