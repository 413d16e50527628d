/* SPDX-License-Identifier: MIT */
/*
 * The modelled processor as its front doors see it (vfio_user.c, inproc.c): made of a core that
 * the rings share, the rings, on-card memory and a register file.
 *
 * Who depends on whom: bus <- mmu <- mem; clock <- mem; bus <- event; {mem, clock, event, irq,
 * exec} <- ring <- {regs, device} <- control, doors.
 *
 * Locks: core.lock guards all state not marked otherwise.  It is never held while a front door is
 * called back or a command runs.
 */
#ifndef OCTANS_SIM_DEVICE_H
#define OCTANS_SIM_DEVICE_H

#include <octans/regs.h>
#include "ring.h"
#include "sim.h"

struct sim_device;

/*
 * What the model asks of a front door.  Called from ring threads with none of the device's locks
 * that a caller of the functions below waits for, except that sim_set_bus_master(), sim_remove()
 * and sim_device_power_cycle() wait for it to return: it must not call these, nor wait for one
 * who does.
 */
struct sim_bus {
	void (*irq)(void *ctx, unsigned int vector);
	void *ctx;
};

/* A register that is read again and again although nothing runs; regs.c. */
struct sim_poll {
	uint64_t offset, value, count, since_ns, last_ns;
	bool stuck;
};

#define SIM_POLLS	8

/* A register that is injected to read something else. */
struct sim_lie {
	bool on;
	uint64_t offset, value;
};

#define SIM_LIES	OCTANS_MAX_RINGS	/* the same of each ring */

struct sim_device {
	struct sim_core core;
	struct sim_profile profile;
	uint64_t bar_size, regs_size;
	uint64_t serial;

	struct sim_local memory;	/* max(local_size, bar_size) bytes */
	uint8_t *local;			/* where it lies; never changes */
	int local_fd;			/* changes with a power cycle */

	pthread_cond_t settled;		/* a ring left its window */
	bool resetting, failed, reset_fails;
	bool bus_master;
	pthread_mutex_t power_lock;	/* who takes it away or brings it back; above switch_lock */
	pthread_mutex_t switch_lock;	/* who turns the bus on or off; above core.lock */
	atomic_bool removed;
	_Atomic uint64_t power_cycles;	/* for pci.c: configuration space starts anew */

	uint64_t poll_limit_ns;		/* 0 = none */
	struct sim_poll poll[SIM_POLLS];

	/* injected; slow_reset and away in milliseconds */
	atomic_uint fail_reset, drop_invalidate, slow_reset, away, lose_power;
	bool late;			/* a reset waits for its time */
	uint64_t reset_due_ns;
	uint64_t away_until_ns;		/* all-ones until then; 0 = not away */
	struct sim_lie lie[SIM_LIES];
	uint32_t ticket;		/* that INVALIDATED showed last: injected holds keep it */
	atomic_uint ring_resets, device_resets;

	unsigned int rings;
	struct sim_ring ring[OCTANS_MAX_RINGS];
};

/* profile.c: NULL = no such profile (name NULL: the first); sim_profile_names() for messages */
const struct sim_profile *sim_profile_find(const char *name);
const char *sim_profile_names(void);
/* "256M", "1G", "4096": 0 or -EINVAL */
int sim_parse_size(const char *text, uint64_t *size);

/* For regs.c; core.lock held. */
void sim_device_reset(struct sim_device *dev);
void sim_device_reset_ring(struct sim_device *dev, struct sim_ring *ring);
void sim_device_invalidate(struct sim_device *dev, uint64_t value);
uint32_t sim_device_ticket(struct sim_device *dev);	/* INVALIDATED */
void sim_device_settle(struct sim_device *dev);		/* ends resets whose time has come */

/* For control.c, which takes core.lock by calling these: what is injected into reading. */
/* @name: "CAPS", "RING0_HEAD".  0, -ENOENT, or -ENOSPC: SIM_LIES registers lie already. */
int sim_reg_lie(struct sim_device *dev, const char *name, uint64_t value);
int sim_reg_tell_truth(struct sim_device *dev, const char *name);	/* NULL: all do */

/*
 * For the front doors.
 */
struct sim_config {
	const char *profile;	/* NULL = the first, octans-1 */
	uint64_t local_size;	/* 0 = the profile's */
	uint64_t bar_size;	/* 0 = all of it */
	unsigned int rings;	/* 0 = the profile's */
	unsigned int vectors;	/* 0 = as many as the manual says; at most so many */
	uint64_t regs_size;	/* 0 = 128 KiB, as the manual says; a power of two */
	unsigned int threads;	/* per command, with the ring's own; 0 = one per online CPU */
	bool timing_only;	/* cycles are counted, data is not touched */
	/* A register that is polled for so long while nothing runs reads all-ones; 0 = off. */
	double poll_limit_s;
};

/* 0 or -errno with a sentence in @err. */
int sim_device_new(const struct sim_config *config, const struct sim_bus *bus,
		   struct sim_device **out, char *err, size_t errlen);
void sim_device_free(struct sim_device *dev);
/* Any offset and size; what the manual does not allow reads all-ones and writes nothing. */
uint64_t sim_reg_read(struct sim_device *dev, uint64_t offset, unsigned int size);
void sim_reg_write(struct sim_device *dev, uint64_t offset, unsigned int size, uint64_t value);
/*
 * The same, by a thread that then calls sim_work() with what this returned, if that is not 0.  It
 * saves the wake-up of a ring's thread; but a job may take long, so there has to be somebody whom
 * overdue() wakes to take over what the thread is for.
 */
uint32_t sim_reg_write_lent(struct sim_device *dev, uint64_t offset, unsigned int size,
			    uint64_t value);
void sim_work(struct sim_device *dev, uint32_t todo, struct sim_loan *loan);
void sim_flr(struct sim_device *dev);	/* returns when it is complete */
/* Off: no access to the bus and no message after it returns. */
void sim_set_bus_master(struct sim_device *dev, bool on);
void sim_quiesce(struct sim_device *dev);
void sim_remove(struct sim_device *dev);	/* by surprise; on-card memory is lost */
/* Back, as after a power cycle, with the same (empty) on-card memory: who has it mapped is still
 * there. */
void sim_restore(struct sim_device *dev);
/* A power cycle that its client does not leave for; of on-card memory nothing is left but ones. */
void sim_lose_power(struct sim_device *dev);
/*
 * Between two clients: all that one left is gone, and what he has mapped is not what the next
 * will use.  On-card memory is new (dev->local_fd too), bus mastering off, every register
 * initial.  Mappings of the bus are the front door's to undo before.  0 or -errno: no memory, and
 * the device is gone as by sim_remove().
 */
int sim_device_power_cycle(struct sim_device *dev);

/* Host memory at bus addresses.  0, -EINVAL, -EEXIST (overlap), -ENOMEM. */
int sim_dma_map(struct sim_device *dev, uint64_t iova, uint64_t size, void *host, bool write);
/* The memory may be unmapped when this returns.  -ENOENT: no such mapping.  @host: where it was. */
int sim_dma_unmap(struct sim_device *dev, uint64_t iova, uint64_t size, void **host);
/*
 * Async-signal-safe, for a SIGBUS handler: host address @addr, if it lies in a mapping, is gone.
 * The bus refuses all of that mapping from now on, and jobs that run end with BUS after their
 * present command. *host, *size: the mapping, to be replaced by something that can be touched.
 * False: not ours.
 */
bool sim_dma_dead(struct sim_device *dev, const void *addr, void **host, uint64_t *size);

/* control.c: one line of the control channel; 0 or -EINVAL.  The reply (4096 bytes hold any) is one
 * line without a newline. */
int sim_control(struct sim_device *dev, const char *line, char *reply, size_t len);

#endif
