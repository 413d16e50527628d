/* SPDX-License-Identifier: MIT */
/*
 * Executors: they run layers on a pass of tokens.  Each records the layers that are its own as
 * streams, one for each run of layers that follow each other; a pass is the same stream again with
 * other parameters.  What goes in and out lies in the executor's struct io; processors hand the residual
 * stream over to each other in memory that all of them reach, and the engine moves it where that is not so.
 */
#ifndef ACCEL_EXEC_H
#define ACCEL_EXEC_H

#include <accel/device.h>

#include "experts.h"
#include "plan/cost.h"

/* Of an executor: on the heap, or a host buffer that the processor reaches.  The first part, the block, is
 * all that a pass writes. */
struct io {
	uint32_t *params;		/* [P_MOST] */
	int32_t *tokens, *positions, *slots, *seqs;	/* [batch] */
	int32_t *ranges;		/* [1 + windows][batch][2] */
	int32_t *states;		/* [batch][2] */
	int32_t *pages;			/* [seqs][shape_seq_pages()] */
	int32_t *wanted;		/* [out] */
	float *x;			/* [batch][n_stream], where a run begins or ends */
	float *logits;			/* [out][n_vocab] */
	int32_t *top_ids;		/* [TOP_ROWS][k of the list] */
	float *top_values;
	struct octans_counters *counters;	/* [runs][2]: before and after each run of layers */
	int32_t *copy;			/* [2]: a page that is copied, and where to */
};

/* What is computed at once. */
struct pass {
	uint32_t n;			/* tokens */
	uint32_t n_seqs;
	uint32_t out;			/* of how many logits are computed: */
	uint32_t top_rows;		/* first those whose largest are found, at most TOP_ROWS, */
	uint32_t top;			/* so many of each, */
	uint32_t logits;		/* then those that are wanted as a whole */
	const int32_t *tokens, *positions, *slots, *seqs, *ranges, *wanted;	/* as in struct io */
	const int32_t *states;		/* or NULL */
	const int32_t *pages;		/* rows of shape_seq_pages() */
	const uint32_t *pages_used;	/* [n_seqs]: how many of a row mean something */
	struct load load;
};

/* Places everything from base on, x only with own_x; returns the bytes.  base NULL: only counts. */
size_t io_place(struct io *io, const struct accel_model *m, const struct shape *shape, void *base, bool own_x);
/* Parameters and arrays of a pass; returns the bytes written. */
size_t io_write(const struct io *io, const struct accel_model *m, const struct shape *shape,
		const struct pass *pass);
/* Entries from row to row of io->top_ids and top_values. */
uint32_t io_top_stride(const struct accel_model *m, uint32_t top);

/* Is the step to end early?  Asked often while it is computed, in the thread that does that. */
struct stop {
	bool (*fn)(void *arg);
	void *arg;
};

/* ---- CPU ---- */

struct exec_cpu;

/* It has no layers yet. */
int exec_cpu_new(const struct accel_model *m, const struct shape *shape, uint32_t threads, const char *isa,
		 const struct stop *stop, struct exec_cpu **out);
void exec_cpu_free(struct exec_cpu *e);
/*
 * From now on mine[n_layers] are its layers, and so are their keys and values, zeroed if it had not
 * had them; those of other layers are gone.  -ENOMEM: nothing has changed.
 */
int exec_cpu_own(struct exec_cpu *e, const bool *mine);
/* Runs the layers from first on that follow each other.  -ECANCELED: it was told to stop. */
int exec_cpu_run(struct exec_cpu *e, uint32_t first);
const struct io *exec_cpu_io(const struct exec_cpu *e);
/* Rows of logits that are wanted as a whole. */
const float *exec_cpu_logits(const struct exec_cpu *e, const struct pass *pass);
/* A pool of a layer; NULL: it has none. */
uint8_t *exec_cpu_pool(const struct exec_cpu *e, uint32_t layer, enum keep keep);
const char *exec_cpu_isa(const struct exec_cpu *e);
uint32_t exec_cpu_threads(const struct exec_cpu *e);

/* ---- processor ---- */

struct exec_dev;

/* Host memory that processors reach in which they hand the residual stream over: that of a flight each
 * relay_stride(). */
struct relay {
	int fd;				/* for accel_bo_import() */
	uint8_t *map;
};

size_t relay_stride(const struct accel_model *m, const struct shape *shape);
/* All of it; where what a flight exchanges begins, shape_exchange_bytes(); and counters of that. */
size_t relay_size(const struct accel_model *m, const struct shape *shape);
size_t relay_exchange(const struct accel_model *m, const struct shape *shape, uint32_t flight);
struct octans_counters *relay_counters(const struct relay *relay, const struct accel_model *m, const struct shape *shape,
				       uint32_t flight);
/* Who shares layers has not come anywhere yet; or, for who waits, everybody has. */
void relay_close(const struct relay *relay, const struct accel_model *m, const struct shape *shape, uint32_t flight);
void relay_open(const struct relay *relay, const struct accel_model *m, const struct shape *shape, uint32_t flight);

struct exec_dev_opts {
	const bool *mine;		/* [n_layers], read until all is loaded */
	const uint32_t *streams;	/* [n_layers]: stream_layer_size() */
	const struct accel_layer *how;	/* [n_layers]: where weights are; read until it is made and loading begins */
	const struct relay *relay;	/* NULL: there is none, and no layer of its is shared */
	struct stop stop;
	/* Bytes copied so far; NULL: not called.  What it returns other than 0, with a sentence, ends loading. */
	int (*progress)(void *arg, uint64_t done);
	void *progress_arg;
};

/* m: as this processor sees it, plan_view().  Takes memory on the card and records the streams; what it needs to run comes with exec_dev_load(). */
int exec_dev_new(const struct accel_model *m, const struct shape *shape, struct accel_dev *dev,
		 const struct exec_dev_opts *opts, struct exec_dev **out);
void exec_dev_free(struct exec_dev *e);
/*
 * Copies up to that many bytes more of its layers' weights onto the card.  1: there are more to
 * come; 0: all are there, and the processor has accepted the streams.  -ECANCELED: opts.progress;
 * or opts.stop, if not exec_dev_blamed(), and then it may be asked again.
 */
int exec_dev_load(struct exec_dev *e, uint64_t bytes);
/*
 * Passes that are under way at once are numbered: the flight, below shape.flights, which has a struct io of its
 * own.  Submits the layers from first on that follow each other, to be run behind all that was submitted before, and
 * when what another processor does until the fence after (NULL: nothing) has ended, well or not.  After an error
 * parts of it may run.  -ECANCELED: it was told to stop, or the processor dropped the job; exec_dev_blamed() tells which.
 */
int exec_dev_submit(struct exec_dev *e, uint32_t flight, uint32_t first, const struct pass *pass,
		    struct accel_fence *after);
/* The newest fence of a flight's runs that are not finished, NULL: there is none. */
struct accel_fence *exec_dev_fence(const struct exec_dev *e, uint32_t flight);
/* How the oldest of them, that from first on, has ended; it is not finished.  -ETIMEDOUT: it had not at abs_ns. */
int exec_dev_look(const struct exec_dev *e, uint32_t flight, uint32_t first, int64_t abs_ns);
/* Modelled seconds from the beginning of that run until there were these many cycles. */
double exec_dev_since(const struct exec_dev *e, uint32_t flight, uint32_t first, uint64_t cycles);
/* Waits for the oldest of a flight's runs, that from first on.  *seconds: modelled. */
int exec_dev_finish(struct exec_dev *e, uint32_t flight, uint32_t first, const struct pass *pass, double *seconds);
/* Waits for all that was submitted, whatever becomes of it. */
void exec_dev_drain(struct exec_dev *e);
/* Was the newest error the processor's, or a job's on it: not the host's? */
bool exec_dev_blamed(const struct exec_dev *e);
/* Is the processor well, and so what was read of its memory until now?  Asks it by a job that does nothing. */
int exec_dev_check(struct exec_dev *e);
/* Between two steps: experts that are used more come to the card. */
int exec_dev_settle(struct exec_dev *e);
/* A new queue, after one was stopped for the sake of another client. */
int exec_dev_renew(struct exec_dev *e);
const struct io *exec_dev_io(const struct exec_dev *e, uint32_t flight);
/* In all its layers what page from holds is also held by page to. */
int exec_dev_copy_page(struct exec_dev *e, uint32_t to, uint32_t from);
/* A pool of one of its layers, that keeps such things, in this process.  Errors of accel_bo_map(). */
int exec_dev_pool(struct exec_dev *e, uint32_t layer, enum keep keep, uint8_t **pool);

/* Figures, since it was made. */
struct exec_stats {
	uint64_t submits, jobs;
	uint64_t stream_bytes, stream_writes;	/* of commands: when it was made, and since */
	uint64_t ceiling_cycles;	/* the least that the processor could do it in */
	struct expert_stats experts;
	struct octans_counters modelled;
};

void exec_dev_stats(const struct exec_dev *e, struct exec_stats *st);

#endif
