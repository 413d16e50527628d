/* SPDX-License-Identifier: MIT */
/*
 * Modelled time: what commands take on the engines and ports that all rings share, by the rules
 * of Documentation/hardware/profiles.rst, "Time", to the cycle.  It knows nothing of memory or of
 * rings but their numbers: who runs commands tells it what each moved and computed.
 *
 * One object per device with a lock of its own, a leaf: nothing is called back under it.
 */
#ifndef OCTANS_SIM_CLOCK_H
#define OCTANS_SIM_CLOCK_H

#include <pthread.h>

#include <octans/isa.h>
#include <octans/regs.h>
#include "sim.h"

#define SIM_GAPS		64	/* free stretches that a timeline remembers */
#define SIM_IN_FLIGHT		32	/* commands of a job */
#define SIM_PREFETCHED		32	/* ranges that on-chip memory holds for a job */
#define SIM_OPERANDS		16	/* of one command, at most */

/* Cycles [from, to) are free. */
struct sim_gap {
	uint64_t from, to;
};

struct sim_timeline {
	uint64_t end;		/* all is free from here on */
	uint64_t taken;		/* cycles, in total */
	unsigned int gaps;
	struct sim_gap gap[SIM_GAPS + 1];	/* before end; ascending, disjoint */
};

/* The earliest @n free cycles not before @from, in pieces; returns the end of the last, @from if
 * n is 0. */
uint64_t sim_timeline_take(struct sim_timeline *line, uint64_t from, uint64_t n);
/* [from, to) is taken from now on, whatever of it was already. */
void sim_timeline_cover(struct sim_timeline *line, uint64_t from, uint64_t to);

enum sim_engine {
	SIM_MATRIX, SIM_VECTOR, SIM_COPY, SIM_MMU, SIM_LOCAL, SIM_PCIE, SIM_ENGINES
};

/* Where bytes or tables lie. */
enum { SIM_ON_CARD, SIM_IN_HOST, SIM_SIDES };

struct sim_operand {
	bool write;
	uint64_t va, size;		/* hull */
	uint64_t bytes[SIM_SIDES];	/* moved */
	uint64_t misses[SIM_SIDES];	/* of the TLB, by where the last table lies */
};

/* A command as the cycle model sees it. */
struct sim_command {
	bool fence;			/* SIGNAL, WAIT: after all earlier commands */
	bool prefetch;			/* what it reads is kept */
	bool waited;			/* WAIT: not there at first sight */
	bool idle;			/* skipped, or refused before it began: decoded, no more */
	uint64_t fetched[SIM_SIDES];	/* bytes of the command itself */
	uint64_t macs_int8, macs_f16, macs_f32, dma;
	unsigned int operands;
	struct sim_operand operand[SIM_OPERANDS];
};

/* A page that an operand uses, for the TLB. */
struct sim_page {
	uint64_t key;			/* SIM_PAGE_KEY(), never 0 */
	bool host_table;		/* its last table lies in host memory */
};
#define SIM_PAGE_KEY(asid, va, log2) \
	((uint64_t)(log2) << 52 | (va) >> (log2) << 16 | (uint16_t)(asid))

/* The TLB: least recently used entries go first. */
struct sim_tlb_node {
	uint64_t key;			/* 0 = unused */
	uint32_t newer, older, chain;	/* numbers of nodes */
};

struct sim_tlb {
	uint32_t entries, used;
	uint32_t newest, oldest;
	uint32_t buckets;		/* a power of two */
	uint32_t *bucket;
	struct sim_tlb_node *node;
	uint64_t *kept;			/* room for all keys, while some are forgotten */
};

/* A command in flight, or done. */
struct sim_flight {
	uint64_t done, in;		/* in: bytes that it reads, as far as they count */
	unsigned int operands;
	struct {
		bool write;
		uint64_t va, size;
	} operand[SIM_OPERANDS];
};

struct sim_prefetched {
	uint64_t va, size, done;
};

struct sim_clock_ring {
	bool job, waits;
	uint64_t start;			/* T of its job */
	uint64_t decoded;		/* D of the newest command */
	uint64_t latest;		/* largest done of the job, at least decoded */
	uint64_t fence;			/* done of the newest SIGNAL or WAIT */
	uint64_t covered;		/* up to where the job is in the count of cycles */
	uint64_t end;			/* E of the job before */
	uint64_t commands;		/* of the job, decoded */
	struct sim_flight flight[SIM_IN_FLIGHT];	/* command i at i % SIM_IN_FLIGHT */
	unsigned int prefetched;
	struct sim_prefetched prefetch[SIM_PREFETCHED];	/* newest first */
};

struct sim_clock {
	pthread_mutex_t lock;
	const struct sim_profile *profile;
	struct sim_timeline engine[SIM_ENGINES];
	struct sim_timeline busy;	/* any ring has a job */
	uint64_t latest_end;		/* of any job */
	struct octans_counters sum;	/* what is counted beside the timelines */
	struct sim_tlb tlb;
	struct sim_clock_ring ring[OCTANS_MAX_RINGS];
};

/* @profile must outlive the clock.  0 or -ENOMEM. */
int sim_clock_init(struct sim_clock *clock, const struct sim_profile *profile);
void sim_clock_destroy(struct sim_clock *clock);
void sim_clock_reset(struct sim_clock *clock);	/* as at device reset; no ring has a job */

void sim_clock_begin(struct sim_clock *clock, unsigned int ring);	/* a job */
void sim_clock_decode(struct sim_clock *clock, unsigned int ring);	/* its next command */
void sim_clock_wait(struct sim_clock *clock, unsigned int ring);	/* the command waits */
/* The command decoded last is over.  Counts operands that on-chip memory has as 0 bytes in @c. */
void sim_clock_commit(struct sim_clock *clock, unsigned int ring, struct sim_command *c);
/* The job is over; returns the cycles that it took. */
uint64_t sim_clock_end(struct sim_clock *clock, unsigned int ring);

/* Pages in the order of use; misses are added up in @misses. */
void sim_clock_pages(struct sim_clock *clock, const struct sim_page *page, size_t n,
		     uint64_t misses[SIM_SIDES]);
/* As the INVALIDATE register. */
void sim_clock_forget(struct sim_clock *clock, uint64_t what);

void sim_clock_counters(struct sim_clock *clock, struct octans_counters *counters);
/* As they are when all commands of the ring's job before the one decoded last are complete. */
void sim_clock_counters_at(struct sim_clock *clock, unsigned int ring,
			   struct octans_counters *counters);

#endif
