/* SPDX-License-Identifier: MIT */
/*
 * Inside the processor model: what the machine (MMU, rings, clock) offers to the
 * operations, and the other way round.
 */
#ifndef OCTANS_SIM_INTERNAL_H
#define OCTANS_SIM_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct octans_counters;
struct sim_pool;

/* What the cycle model is made of; Documentation/hardware/profiles.rst. */
struct sim_profile {
	const char *name;
	uint64_t clock_hz;
	uint64_t local_size;
	uint64_t sram_size;
	uint32_t rings, asid_bits;
	uint32_t macs_int8;	/* per cycle */
	uint32_t macs_f16;	/* per cycle */
	uint32_t macs_f32;	/* per cycle */
	uint32_t local_bpc;	/* on-card memory, bytes per cycle */
	uint32_t pcie_bpc;	/* host memory, bytes per cycle */
	uint32_t local_latency;	/* cycles */
	uint32_t pcie_latency;	/* cycles */
	uint32_t tlb_entries;
	uint32_t walkers;
	uint32_t max_ctx;
};

/*
 * ---- what the machine offers: one job's view of memory ----
 *
 * Every access goes through the device MMU.  Pointers and permissions found by sim_read() hold
 * until the next sim_yield(), sim_pause() or sim_cost_piece(): a TLB invalidation or a ring reset
 * completes only when every ring has yielded.
 *
 * Time.  Each job has one budget of work between two yields, in nanoseconds of an average host:
 * accesses charge it by themselves, with what a page walk and a copy cost; arithmetic is charged by
 * sim_spend().  When sim_due() says so the operation yields at its next safe point, and no stretch
 * between two safe points may take more than about a millisecond whatever the shapes are: rows
 * are done in pieces.  That, and nothing else, bounds what one client can do to another.
 */
struct sim_mem;

/* A view of @len bytes at @va: the memory itself if it is contiguous in the host,
 * else a copy in @scratch (@len bytes).  NULL: the MMU or the bus refused; the
 * details are recorded in @m and the command must return. */
const void *sim_read(struct sim_mem *m, uint64_t va, size_t len, void *scratch);

/* 0, or -1 if refused (nothing past the refused page was written). */
int sim_write(struct sim_mem *m, uint64_t va, const void *src, size_t len);

void sim_spend(struct sim_mem *m, uint64_t ns);
bool sim_due(const struct sim_mem *m);

/* Lets invalidations and resets happen, and refills the budget.  False: the job is being aborted and the
 * command must return.  Also counts as progress. */
bool sim_yield(struct sim_mem *m);

/* WAIT: as sim_yield(), after a nap of some tens of microseconds, and no progress. */
bool sim_pause(struct sim_mem *m);

/*
 * The cost of a command: its operands in the order of profiles.rst, each with the pieces of memory
 * in the order in which they are used.  Called after all checks and before any data is touched.
 * Pieces are translated at once: -1 if the MMU or the bus refuses one (the command must return).
 */
void sim_cost_operand(struct sim_mem *m, bool write, uint64_t hull, uint64_t hull_size);
/* @len bytes at @va, moved @times times (0 .. ), asked for once.  May yield. */
int sim_cost_piece(struct sim_mem *m, uint64_t va, uint64_t len, uint32_t times);
/* @rows rows of @len bytes each @stride apart; the same as a piece for each. */
int sim_cost_rows(struct sim_mem *m, uint64_t va, uint64_t stride, uint32_t rows, uint64_t len,
		  uint32_t times);

/* The cost is complete, and the command has no arithmetic: what it stores after this is seen by
 * others when its modelled time is known. */
void sim_cost_commit(struct sim_mem *m);

/* The counters as they are when all earlier commands of the job are complete. */
void sim_counters(struct sim_mem *m, struct octans_counters *counters);

/*
 * ---- what the operations offer ----
 */
struct exec_memory;
struct sim_exec {
	/* in */
	const struct sim_profile *profile;
	struct sim_pool *pool;		/* helpers, or NULL: the calling thread alone */
	const uint32_t *params;
	uint32_t n_params;
	bool timing_only;		/* control operands are read, data is neither read nor written;
					 * TOPK writes ids 0, 1, 2 .., MOVE moves I32 */
	uint64_t time_ns;		/* for SIGNAL */
	/* out */
	uint64_t macs_int8, macs_f16, macs_f32;
	uint64_t dma;			/* bytes that pass the DMA engine */
	bool skipped;			/* a tensor has 0 rows in effect */
	bool waited;			/* WAIT: not there at first sight */
	struct exec_memory *left;	/* of a command that was aborted: for sim_exec_free() */
};

/* Executes one command of @size bytes (already copied out of the stream, 16-byte
 * aligned, header size == @size).  Returns OCTANS_JOB_OK, OCTANS_JOB_BAD_CMD, OCTANS_JOB_BUS (no
 * memory for it), or OCTANS_JOB_FAULT when the machine refused (it knows why). */
int sim_exec(struct sim_mem *m, const void *cmd, uint32_t size, struct sim_exec *ex);
/* Frees what is left (NULL: nothing), when nobody waits for the end of the job any more. */
void sim_exec_free(struct exec_memory *left);

/* Capabilities that follow from what sim_exec() implements. */
uint64_t sim_exec_ops(void);
uint64_t sim_exec_types(void);

/* pool.c: threads that share out the parts of one task; one task at a time (others wait their turn: a task
 * is at most about a millisecond).  threads: with the caller; 0 or 1: no pool is needed, NULL in *out. */
int sim_pool_new(unsigned int threads, struct sim_pool **out);
void sim_pool_free(struct sim_pool *pool);

#endif
