/* SPDX-License-Identifier: MIT */
/*
 * What the operations of the processor model share: checking and resolving of descriptors, access
 * to the memory of the job, time, threads.
 *
 * A command is done in this order: flags, exec_operand() for each tensor; exec_skipped(); all other
 * checks; control operands are read into memory of the model's own and checked; exec_cost...(),
 * which translates every operand; if timing_only, the end; data.  Functions that return int return
 * OCTANS_JOB_*.
 */
#ifndef OCTANS_SIM_EXEC_H
#define OCTANS_SIM_EXEC_H

#include <octans/isa.h>

#include <octans/regs.h>
#include "numeric.h"
#include "sim.h"

struct exec_memory;

/* One command. */
struct exec {
	struct sim_mem *m;
	struct sim_exec *ex;
	struct exec_memory *memory;	/* freed when the command has ended */
	bool empty;			/* a tensor has 0 rows in effect */
};

/* A tensor in effect. */
struct operand {
	uint64_t va, stride, row_bytes;
	uint32_t rows, cols, type;
	bool present;
};

#define EXEC_TRY(call) do { int rc_ = (call); if (rc_ != OCTANS_JOB_OK) return rc_; } while (0)

/* Elements that are read, computed and written as one piece; a multiple of every block. */
#define EXEC_PIECE 16384u

/* ---- checks: exec.c ---- */

#define EXEC_TYPE(name)	(1ull << OCTANS_TYPE_##name)
#define EXEC_F32	EXEC_TYPE(F32)
#define EXEC_I32	EXEC_TYPE(I32)
#define EXEC_WEIGHTS	sim_type_mask()

#define EXEC_OPTIONAL	0x1	/* may be absent */
#define EXEC_FIXED	0x2	/* has no dyn */

/* The tensor as it stands, and what it is in effect.  False: BAD_CMD. */
bool exec_operand(struct exec *e, struct operand *o, const struct octans_tensor *t, uint64_t types,
		  unsigned int how);
/* A tensor has no rows in effect: nothing more is to be done. */
bool exec_skipped(struct exec *e);
bool exec_zero(const void *p, size_t n);
/* From @va on @size bytes lie below 2^48. */
bool exec_range_ok(uint64_t va, uint64_t size);

static inline uint64_t exec_row(const struct operand *o, uint32_t row)
{
	return o->va + row * o->stride;
}

/* From the first byte to the last; 0 if absent. */
static inline uint64_t exec_hull(const struct operand *o)
{
	return o->present ? (o->rows - 1) * o->stride + o->row_bytes : 0;
}

/* ---- memory of the model's own ---- */

/* NULL if there is none (the command ends with OCTANS_JOB_BUS).  64-byte aligned, not cleared. */
void *exec_alloc(struct exec *e, uint64_t size);

/* ---- time and threads ---- */

/* Yields if it is time to. */
int exec_breathe(struct exec *e);
/* So many nanoseconds of arithmetic were done. */
int exec_work(struct exec *e, uint64_t ns);
/* Calls part(arg, 0 .. parts - 1), which together take @ns of one thread: shared out if that is
 * worth it.
 * @ns is at most EXEC_SLICE_NS for each thread. */
int exec_share(struct exec *e, uint32_t parts, void (*part)(void *arg, uint32_t index), void *arg,
	       uint64_t ns);
uint32_t exec_threads(const struct exec *e);
#define EXEC_SLICE_NS 400000u

/* pool.c */
void sim_pool_run(struct sim_pool *pool, uint32_t parts, void (*part)(void *arg, uint32_t index),
		  void *arg);
uint32_t sim_pool_threads(const struct sim_pool *pool);	/* with the caller; NULL: 1 */

/* ---- memory of the job: each of these may yield ---- */

int exec_get(struct exec *e, uint64_t va, uint64_t len, void *to);
int exec_put(struct exec *e, uint64_t va, uint64_t len, const void *from);
/* Rows one after the other, or the elements of an F32 or I32 tensor of as many columns: from
 * element
 * @first (row by row) on. */
int exec_get_rows(struct exec *e, const struct operand *o, uint32_t first, uint32_t rows, void *to);
int exec_get_elements(struct exec *e, const struct operand *o, uint64_t first, uint32_t n,
		      void *to);
int exec_put_elements(struct exec *e, const struct operand *o, uint64_t first, uint32_t n,
		      const void *from);

/* ---- cost ---- */

/* All rows of @o, moved once.  Nothing if it is absent. */
int exec_cost(struct exec *e, bool write, const struct operand *o);
/* The operand alone; its pieces follow. */
void exec_cost_hull(struct exec *e, bool write, const struct operand *o);
int exec_cost_row(struct exec *e, const struct operand *o, uint32_t row);

/* ---- the operations ---- */

int exec_move(struct exec *e, const struct octans_cmd_move *c);
int exec_matmul(struct exec *e, const struct octans_cmd_matmul *c);
int exec_row_op(struct exec *e, const struct octans_cmd_row *c);
int exec_map(struct exec *e, const struct octans_cmd_map *c);
int exec_rope(struct exec *e, const struct octans_cmd_rope *c);
int exec_attend(struct exec *e, const struct octans_cmd_attend *c);
int exec_topk(struct exec *e, const struct octans_cmd_topk *c);
int exec_conv(struct exec *e, const struct octans_cmd_conv *c);
int exec_scan(struct exec *e, const struct octans_cmd_scan *c);
int exec_nop(struct exec *e, const struct octans_cmd *c);
int exec_copy(struct exec *e, const struct octans_cmd_copy *c);
int exec_prefetch(struct exec *e, const struct octans_cmd_prefetch *c);
int exec_signal(struct exec *e, const struct octans_cmd_signal *c);
int exec_wait(struct exec *e, const struct octans_cmd_wait *c);

#endif
