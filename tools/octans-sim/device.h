/* SPDX-License-Identifier: MIT */
/*
 * The machinery of the processor model: registers, rings, MMU, events.  The two
 * front doors (vfio_user.c, inproc.c) drive it through the functions at the end.
 *
 * Who may touch memory, and when.  A ring thread is "in its window" from picking up
 * work until it goes idle.  Host pointers, translations and the table of bus
 * mappings stay valid within a window up to the next sim_yield().  Whoever wants to
 * take something away publishes the change, then waits until every ring has either
 * left its window or passed a yield (sim_quiesce).  So no lock is held while a
 * command computes, and nothing is freed under it.
 *
 * Locks: dev->lock guards registers and all state not marked otherwise.  It is never
 * held while a front door is called back (irq) or a command runs.
 */
#ifndef OCTANS_SIM_DEVICE_H
#define OCTANS_SIM_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "octans_regs.h"
#include "sim.h"

#define SIM_RING_LOG2_MAX	12
#define SIM_INV_LOG		64	/* invalidations a ring may lag behind by before it flushes all */
#define SIM_CMD_MAX		1024	/* bytes of the largest single command */

struct sim_device;

/* What the model asks of a front door.  Called from ring threads, no lock held. */
struct sim_bus {
	void (*irq)(void *ctx, unsigned int vector);
	void *ctx;
};

/* A range of bus addresses backed by host memory. */
struct sim_region {
	uint64_t iova;
	uint64_t size;
	uint8_t *host;
	bool write;
};

struct sim_map {
	size_t n;
	struct sim_region r[];	/* ascending, disjoint */
};

/* Why an access was refused; the first of a job counts. */
struct sim_refusal {
	int status;		/* OCTANS_JOB_FAULT, OCTANS_JOB_BUS, or 0 */
	uint32_t code;		/* OCTANS_FAULT_* or OCTANS_JOB_BUS */
	uint64_t va;
	bool write;
};

struct sim_tlb_entry {
	uint64_t tag;		/* page number << 16 | asid; 0 = empty */
	uint8_t *host;
	uint8_t flags;
};

#define SIM_TLB_SMALL	1024	/* 4 KiB pages */
#define SIM_TLB_LARGE	512	/* 2 MiB pages */
#define SIM_TLB_ROOTS	16

struct sim_mem {
	struct sim_device *dev;
	struct sim_ring *ring;
	uint16_t asid;
	struct sim_refusal refused;
	struct sim_traffic traffic;
	struct { uint16_t asid; uint64_t root; } roots[SIM_TLB_ROOTS];
	struct sim_tlb_entry small[SIM_TLB_SMALL];
	struct sim_tlb_entry large[SIM_TLB_LARGE];
};

/* Faults to inject, set by the control channel, used up by the ring thread. */
struct sim_inject {
	atomic_bool hang;
	atomic_uint slow_us;
	atomic_uint fault;
	atomic_uint fail_reset;
	_Atomic uint64_t corrupt;	/* 0 = off */
};

struct sim_stats {
	_Atomic uint64_t jobs, failed, commands, faults, aborted, irqs, irqs_dropped;
};

struct sim_ring {
	struct sim_device *dev;
	unsigned int index;
	pthread_t thread;
	pthread_cond_t wake;

	uint64_t base, wb;
	uint32_t log2, vector;
	bool enabled, halted, resetting, reset_failed;
	uint32_t head, tail;
	bool bad_doorbell;
	uint64_t since, seqno;

	bool active;			/* in its window */
	bool stop;			/* the thread is to end */
	uint64_t inv_seen, quiesce_seen;
	atomic_bool abort;		/* what runs is to be dropped */
	_Atomic uint64_t progress, cycles;

	struct sim_inject inject;
	struct sim_mem mem;		/* the ring thread's own */
};

struct sim_device {
	struct sim_profile profile;
	uint64_t bar_size;
	unsigned int threads;
	uint64_t serial;
	struct sim_bus bus;

	uint8_t *local;			/* max(local_size, bar_size) bytes */
	size_t local_map;
	int local_fd;

	pthread_mutex_t lock;
	pthread_cond_t moved;		/* a ring yielded or left its window */
	uint64_t epoch_ns;		/* CLOCK_MONOTONIC at device reset */

	bool resetting, failed, reset_fails;
	atomic_bool removed, bus_master;
	_Atomic uint64_t power_cycles;	/* counts `restore`, for the PCI front door */

	uint64_t asid_base;
	_Atomic uint64_t asid_table;	/* asid_base if the MMU is on, else all-ones */
	_Atomic uint64_t inv_count, quiesce_count;
	uint64_t inv_log[SIM_INV_LOG];

	uint64_t evt_base;
	uint32_t evt_log2, evt_ctrl, evt_tail, evt_head, evt_dropped, evt_vector;

	_Atomic(struct sim_map *) map;

	atomic_uint fail_reset;
	atomic_uint drop_irq[OCTANS_VECTORS(OCTANS_MAX_RINGS)];
	struct sim_stats stats;
	atomic_uint ring_resets, device_resets;

	unsigned int rings;
	struct sim_ring ring[OCTANS_MAX_RINGS];
};

/* mmu.c */
uint8_t *sim_bus_ptr(struct sim_device *dev, uint64_t addr, uint64_t len, bool write);
int sim_copy_in(struct sim_mem *m, uint64_t va, void *dst, size_t len);	/* 0 or -1, as sim_write */
void sim_mem_job(struct sim_mem *m, uint16_t asid);	/* a new job begins */
void sim_mem_invalidate(struct sim_mem *m, uint64_t arg);	/* as the INVALIDATE register */
int sim_dma_map(struct sim_device *dev, uint64_t iova, uint64_t size, void *host, bool write);
/* The memory may be unmapped when this returns.  -ENOENT: no such region.  @host: where it was. */
int sim_dma_unmap(struct sim_device *dev, uint64_t iova, uint64_t size, void **host);

/* ring.c */
void *sim_ring_main(void *ring);
void sim_ring_abort(struct sim_ring *ring);		/* dev->lock held */
void sim_ring_reset_done(struct sim_ring *ring);	/* dev->lock held, not active */
void sim_raise(struct sim_device *dev, unsigned int vector);	/* no lock held */

/* event.c: called in a window or with nothing that could unmap; false = dropped or off */
bool sim_event(struct sim_device *dev, struct octans_event *e);

/* device.c, for ring.c: dev->lock held */
void sim_device_settle(struct sim_device *dev);	/* a ring left its window: finish what waits for it */
uint64_t sim_time_ns(struct sim_device *dev);

/* profile.c: NULL = no such profile; sim_profile_names() for messages */
const struct sim_profile *sim_profile_find(const char *name);
const char *sim_profile_names(void);
/* "256M", "1G", "4096": 0 or -EINVAL */
int sim_parse_size(const char *text, uint64_t *size);

/*
 * For the front doors.
 */
struct sim_config {
	const char *profile;	/* NULL = octans-1 */
	uint64_t local_size;	/* 0 = the profile's */
	uint64_t bar_size;	/* 0 = all of it */
	unsigned int rings;	/* 0 = the profile's */
	unsigned int threads;	/* per command; 0 = one per online CPU */
};

/* 0 or -errno with a sentence in @err. */
int sim_device_new(const struct sim_config *config, const struct sim_bus *bus,
		   struct sim_device **out, char *err, size_t errlen);
void sim_device_free(struct sim_device *dev);
/* Any offset and size; what the manual does not allow reads all-ones and writes nothing. */
uint64_t sim_reg_read(struct sim_device *dev, uint64_t offset, unsigned int size);
void sim_reg_write(struct sim_device *dev, uint64_t offset, unsigned int size, uint64_t value);
void sim_flr(struct sim_device *dev);	/* returns when it is complete */
void sim_set_bus_master(struct sim_device *dev, bool on);	/* off: no DMA after it returns */
void sim_quiesce(struct sim_device *dev);
void sim_remove(struct sim_device *dev);
void sim_restore(struct sim_device *dev);
/* control.c: one line of the control channel; 0 or -EINVAL.  The reply has no newline at its end. */
int sim_control(struct sim_device *dev, const char *line, char *reply, size_t len);

#endif
