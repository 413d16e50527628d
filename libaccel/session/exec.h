/* SPDX-License-Identifier: MIT */
/*
 * Executors: they run layers on a batch of tokens.  What passes between two executors
 * (token ids, the residual stream, cosines and sines, logits) lies in memory that both see.
 */
#ifndef ACCEL_EXEC_H
#define ACCEL_EXEC_H

#include "model/layer.h"

/* Memory that every executor sees; from malloc, or a host buffer mapped by both. */
struct shared {
	int32_t *ids;			/* [batch] */
	float *buf[BUF_SHARED];		/* X and CS [batch][cols], LOGITS [batch][n_vocab] */
};

/* What one step computes. */
struct batch {
	uint32_t n;		/* tokens */
	uint32_t pos;		/* position of the first */
	uint32_t logits;	/* rows of logits wanted: of the last ones */
};

/* Rows [first, first + rows) of the batch that an operation of this layer works on. */
static inline uint32_t batch_rows(const struct batch *b, const struct layer *l, uint32_t *first)
{
	*first = l->kind == ACCEL_LAYER_HEAD ? b->n - b->logits : 0;
	return b->n - *first;
}

/* ---- CPU ---- */

struct exec_cpu;

int exec_cpu_new(const struct accel_model *m, uint32_t batch, uint32_t ctx, uint32_t threads,
		 enum accel_isa isa, struct exec_cpu **out);
void exec_cpu_free(struct exec_cpu *e);
/* Makes the KV cache of an attention layer, zeroed; does nothing for other kinds or if
 * there is one already. */
int exec_cpu_add(struct exec_cpu *e, uint32_t layer);
int exec_cpu_run(struct exec_cpu *e, uint32_t layer, const struct batch *b,
		 const struct shared *io);
const char *exec_cpu_isa(const struct exec_cpu *e);
uint32_t exec_cpu_threads(const struct exec_cpu *e);

/* ---- processor ---- */

struct exec_dev;

/* io: filled with the host buffer that the executor makes for it. */
int exec_dev_new(const struct accel_model *m, struct accel_dev *dev, uint32_t batch, uint32_t ctx,
		 struct exec_dev **out, struct shared *io);
void exec_dev_free(struct exec_dev *e);
/* Copies a layer's weights onto the card and makes its KV cache. */
int exec_dev_add(struct exec_dev *e, uint32_t layer);
/* Most tokens that one call may compute. */
uint32_t exec_dev_batch(const struct exec_dev *e);
/* Runs layers first .. last, all of which were added, and waits. */
int exec_dev_run(struct exec_dev *e, uint32_t first, uint32_t last, const struct batch *b);
uint64_t exec_dev_jobs(const struct exec_dev *e);
uint64_t exec_dev_cycles(const struct exec_dev *e);
/* On-card bytes that exec_dev_new() and exec_dev_add() take. */
uint64_t exec_dev_scratch_bytes(const struct accel_model *m, uint32_t batch);
uint64_t exec_dev_layer_bytes(const struct accel_model *m, uint32_t layer, uint32_t ctx);

#endif
