/* SPDX-License-Identifier: MIT */
/*
 * The device MMU.  struct sim_mmu is the device's: its registers and what lies behind.  struct
 * sim_tlbs is one ring's: the translations that it remembers, so that the host need not walk
 * tables for each access. (What the *processor's* TLB would do is the cycle model's business:
 * clock.h.)
 */
#ifndef OCTANS_SIM_MMU_H
#define OCTANS_SIM_MMU_H

#include "bus.h"
#include "local.h"
#include <octans/regs.h>

#define SIM_MMU_OFF	UINT64_MAX

struct sim_mmu {
	struct sim_dma *dma;
	uint8_t *local;			/* on-card memory, of ... */
	uint64_t local_size;		/* ... so many bytes */
	uint32_t asids;			/* in the table, 0 included */
	uint64_t asid_base;		/* register; whoever writes it holds a lock */
	/* asid_base | how often it was switched on (11:0), or SIM_MMU_OFF.  A translation made
	 * under one value is worth nothing under another. */
	_Atomic uint64_t table;
	unsigned int enables;
};

/* Why an access was refused; the first of a job counts. */
struct sim_refusal {
	int status;		/* OCTANS_JOB_FAULT, OCTANS_JOB_BUS, or 0 */
	uint32_t code;		/* OCTANS_FAULT_* or OCTANS_JOB_BUS */
	uint64_t va;
	bool write;
};

/* The bytes of an access that lie in one piece of host memory. */
struct sim_piece {
	uint8_t *host;
	uint64_t left;		/* bytes to its end */
	uint8_t page_log2;	/* of the page that it lies in */
	bool on_card, host_table;	/* where it lies, and the last table of its page */
};

struct sim_translation {
	uint64_t tag;		/* address / bytes << 16 | asid; 0 = empty */
	uint8_t *host;
	uint8_t log2;		/* bytes that this is about ... */
	uint8_t page_log2;	/* ... of a page of so many; 64 KiB if it says CONT */
	uint8_t flags;
};

#define SIM_SMALL	2048	/* of 4 KiB */
#define SIM_LARGE	1024	/* of 2 MiB */
#define SIM_HUGE	16	/* of 1 GiB */
#define SIM_ROOTS	16

struct sim_tlbs {
	struct sim_mmu *mmu;
	uint64_t table;		/* value of mmu->table that all this was made under */
	uint16_t asid;		/* of the job */
	struct sim_refusal refused;
	uint64_t walks;		/* made since the job began */
	struct sim_translation newest;	/* the one used last */
	struct { uint16_t asid; bool on_card; uint64_t table; } roots[SIM_ROOTS];
	struct sim_translation small[SIM_SMALL], large[SIM_LARGE], huge[SIM_HUGE];
};

/* 0, or -1 with the reason in t->refused.  In a window. */
int sim_translate(struct sim_tlbs *t, uint64_t va, bool write, struct sim_piece *piece);
void sim_tlbs_job(struct sim_tlbs *t, uint16_t asid);	/* a new job begins */
void sim_tlbs_forget(struct sim_tlbs *t, uint64_t what);	/* as the INVALIDATE register */
/* Returns -1. */
int sim_refuse(struct sim_tlbs *t, int status, uint32_t code, uint64_t va, bool write);

/* Registers; one thread at a time. */
void sim_mmu_set_base(struct sim_mmu *mmu, uint64_t base);	/* dropped while it is on */
void sim_mmu_enable(struct sim_mmu *mmu, bool on);
static inline bool sim_mmu_enabled(const struct sim_mmu *mmu)
{
	return atomic_load(&mmu->table) != SIM_MMU_OFF;
}

#endif
