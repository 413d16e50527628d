/* SPDX-License-Identifier: MIT */
/*
 * Executors: they run layers on a step's tokens.  Each records the layers that are its own as
 * streams, one for each run of layers that follow each other, when it is made; a step is the
 * same stream again with other parameters.  What passes between executors and the session
 * lies in memory that all see.
 */
#ifndef ACCEL_EXEC_H
#define ACCEL_EXEC_H

#include "plan/record.h"

/* Memory that every executor sees: on the heap, or a host buffer that the processor reaches.
 * The first part, the block, is all that a step writes. */
struct io {
	uint32_t *params;		/* [P_COUNT] */
	int32_t *tokens, *positions;	/* [batch] */
	int32_t *ranges;		/* [batch][2] */
	int32_t *wanted;		/* [out] */
	float *x;			/* [batch][n_embd], between executors */
	float *logits;			/* [out][n_vocab] */
	int32_t *top_ids;		/* [OCTANS_MAX_TOPK] */
	float *top_values;
	struct octans_counters *counters;	/* [2]: before and after */
};

/* Places everything from base on; returns the bytes.  base NULL: only counts. */
size_t io_place(struct io *io, const struct accel_model *m, const struct shape *shape, void *base);

/* The parameters and arrays of a step; returns the bytes written. */
size_t io_write(const struct io *io, const struct step *st, const int32_t *tokens);

/* ---- CPU ---- */

struct exec_cpu;

/* mine[n_layers]: its layers.  Weights stay in the file; the KV cache is zeroed. */
int exec_cpu_new(const struct accel_model *m, const struct shape *shape, const bool *mine,
		 const struct io *io, uint32_t threads, enum accel_isa isa, struct exec_cpu **out);
void exec_cpu_free(struct exec_cpu *e);
/* Runs the layers from first on that follow each other. */
int exec_cpu_run(struct exec_cpu *e, uint32_t first);
const char *exec_cpu_isa(const struct exec_cpu *e);
uint32_t exec_cpu_threads(const struct exec_cpu *e);

/* ---- processor ---- */

struct exec_dev;

/* Copies its layers' weights onto the card; *io: in the host buffer that it makes. */
int exec_dev_new(const struct accel_model *m, const struct shape *shape, const bool *mine,
		 struct accel_dev *dev, void (*progress)(void *arg, uint64_t done, uint64_t total),
		 void *progress_arg, struct exec_dev **out, struct io *io);
void exec_dev_free(struct exec_dev *e);
/* Runs the layers from first on that follow each other, and waits. */
int exec_dev_run(struct exec_dev *e, uint32_t first, const struct step *st);
/* Adds its figures. */
void exec_dev_stats(const struct exec_dev *e, struct accel_session_stats *st);

#endif
