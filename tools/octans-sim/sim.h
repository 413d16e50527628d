/* SPDX-License-Identifier: MIT */
/*
 * Inside the processor model: what the machinery (device, MMU, rings) offers to
 * the operations, and the other way round.
 */
#ifndef OCTANS_SIM_INTERNAL_H
#define OCTANS_SIM_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the cycle model is made of; Documentation/hardware/profiles.rst. */
struct sim_profile {
	const char *name;
	uint64_t clock_hz;
	uint64_t local_size;
	uint32_t rings;
	uint32_t macs_int8;	/* per cycle */
	uint32_t macs_f32;	/* per cycle */
	uint32_t local_bpc;	/* on-card memory, bytes per cycle */
	uint32_t pcie_bpc;	/* host memory, bytes per cycle */
	uint32_t max_ctx;
};

/* One job's view of memory: every access goes through the device MMU.
 *
 * Pointers and permissions found by sim_read() hold until the next sim_yield():
 * a TLB invalidation or a ring reset completes only when every ring has yielded,
 * so a command must yield at least every few hundred microseconds of work.
 */
struct sim_mem;

/* A view of @len bytes at @va: the memory itself if it is contiguous in the host,
 * else a copy in @scratch (@len bytes).  NULL: the MMU or the bus refused; the
 * details are recorded in @m and the command must return. */
const void *sim_read(struct sim_mem *m, uint64_t va, size_t len, void *scratch);

/* 0, or -1 if refused (nothing past the refused page was written). */
int sim_write(struct sim_mem *m, uint64_t va, const void *src, size_t len);

/* Lets invalidations and resets happen.  False: the job is being aborted and the
 * command must return.  Also counts as progress. */
bool sim_yield(struct sim_mem *m);

/* Bytes moved by this job so far, for the cycle model. */
struct sim_traffic {
	uint64_t local;
	uint64_t pcie;
};
const struct sim_traffic *sim_mem_traffic(const struct sim_mem *m);

struct sim_exec {
	const struct sim_profile *profile;
	unsigned int threads;		/* helpers this command may use, >= 1 */
	uint64_t cycles_before;		/* of this ring, for TIMESTAMP */
	uint64_t time_ns;		/* for TIMESTAMP */
	uint64_t cycles;		/* out: what this command took */
};

/* Executes one command of @size bytes (already copied out of the stream, 16-byte
 * aligned, header size == @size).  Returns OCTANS_JOB_OK, OCTANS_JOB_BAD_CMD, or
 * OCTANS_JOB_FAULT when sim_read/sim_write/sim_yield refused (the caller knows why). */
int sim_exec(struct sim_mem *m, const void *cmd, uint32_t size, struct sim_exec *ex);

/* Capabilities that follow from what sim_exec() implements. */
uint64_t sim_exec_ops(void);
uint64_t sim_exec_types(void);

#endif
