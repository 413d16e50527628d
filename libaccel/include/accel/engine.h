/* SPDX-License-Identifier: MIT */
/*
 * libaccel: engines, which hold what is shared (weights, commands, memory for keys and values), the
 * sequences of tokens that are computed on them, and steps.  Conventions are at the head of
 * accel/accel.h.
 *
 * The processor and the CPU give the same bits, and so do one step of many sequences and many steps
 * of one, whatever the chunks, pages, forks, trims, saves and loads.
 *
 * If a processor fails, an engine that is not strict goes on on the CPU, computes anew what was lost of
 * keys and values, and the step succeeds; accel_engine_stats() says so and why.  After a while it tries
 * the processor again, unless that is gone: its weights go back to it in pieces of 32 MiB, one with each step, and
 * then, in one step, all keys and values that sequences have.  Errors of the host (memory, descriptors) are returned, and
 * the next step starts where this one did.
 *
 * Threads: all functions of one engine and of its sequences and steps may be called from several
 * threads (MT); a sequence takes part in one step at a time.
 */
#ifndef ACCEL_ENGINE_H
#define ACCEL_ENGINE_H

#include <stdbool.h>

#include <accel/model.h>
#include <octans/isa.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct accel_engine;
struct accel_seq;
struct accel_step;

/* ---- engine ---- */

struct accel_engine_opts {
	size_t sz;		/* sizeof(struct accel_engine_opts) */
	uint32_t threads;	/* of the CPU, at most 1024; 0 = as many as this process may use at once */
	bool strict;		/* a failure of a processor is returned, and is final */
	const char *isa;	/* of the CPU: "scalar", "avx2", "avx512", ...; NULL or "auto": the best */
	/*
	 * Called by accel_engine_new(), in its thread, as weights are copied to processors and, for the CPU,
	 * read from the file: bytes so far, which never become fewer, and bytes of all layers; first with 0,
	 * at last with all.  0: go on; else give up, -ECANCELED.  NULL: not called.
	 */
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *progress_arg;	/* the caller's */
	uint32_t retry_ms;	/* after a failure the processor is tried again after this time, doubled
				 * each time that it fails; 0 = 1000, UINT32_MAX = never */
	uint32_t reserved;	/* zero */
};

/*
 * Makes an engine: copies weights onto the cards, which costs accel_plan_device_bytes() there, records
 * the commands, and lets the processors check them.  Weights of layers on the CPU stay where the file is
 * mapped, and are read once, so that the first step does not wait for the disk.
 * A card that is fuller than when the plan was made keeps the layers that it has room for; the others go
 * to the CPU, and accel_engine_layer() says so.  devs[n]: as many as the plan has, in the same order; they
 * and the plan stay the caller's and must outlive the engine; an entry may be NULL if no layer is
 * on it.  opts may be NULL: all zero.
 * -EINVAL: devs are not those of the plan, or too many threads; -ENOSPC: strict, and a card is fuller; -ENOTSUP: this
 * CPU or library lacks isa; -ECANCELED: progress; -ENOMEM; if strict, -EBUSY: a processor has no address space
 * left, and errors of accel_fence_wait().
 */
int accel_engine_new(const struct accel_plan *plan, struct accel_dev *const *devs, size_t n,
		     const struct accel_engine_opts *opts, struct accel_engine **out);
/*
 * Steps that have not ended do so with -ECANCELED, as if they were cancelled, which is waited for; then the
 * engine's memory, on the host and on cards, its threads and its descriptor are free, and so may be the plan, the model
 * and the processors.  Sequences and steps that are left can be read and freed, before or after, sequences also
 * trimmed; whatever else is asked of them, steps above all, is -EINVAL.  Takes NULL.
 */
void accel_engine_free(struct accel_engine *engine);
/*
 * A descriptor for poll(): readable while there are submitted steps that have ended and were not yet
 * waited for to their end.  To be polled only; belongs to the engine.  -errno: there is none (-EMFILE,
 * -ENFILE, -ENOMEM).  Look for that before it is polled: poll() takes an entry with a negative descriptor for
 * one to be ignored, and waits for ever.  Steps can be waited for all the same, by accel_step_wait(), and the
 * next call tries again.
 */
int accel_engine_fd(struct accel_engine *engine);

struct accel_engine_stats {
	size_t sz;			/* sizeof(struct accel_engine_stats), set by the caller */
	uint32_t layers_device;		/* now */
	uint32_t layers_cpu;
	uint32_t pages, pages_used;	/* of keys and values */
	uint32_t seqs;			/* sequences that there are */
	uint32_t threads;
	char isa[16];			/* of the CPU */
	uint64_t steps, tokens;		/* computed */
	uint32_t fallbacks;		/* times that layers left a processor */
	uint32_t returns;		/* times that they came back */
	int32_t fallback_error;		/* -errno of the last one */
	char fallback_reason[192];	/* in words, "" if there was none */
	uint64_t recomputed;		/* tokens computed anew because of that */
	uint64_t submits;		/* calls of accel_submit() */
	uint64_t device_jobs;
	uint64_t stream_bytes;		/* of commands, recorded when the engine was made */
	uint64_t stream_writes;		/* bytes of commands written since: 0 */
	uint64_t block_bytes;		/* that the newest step wrote instead: parameters, token ids, ... */
	/* Modelled, from SIGNAL at both ends of each submit, summed; other clients' work during that
	 * time included.  cycles: also what starting and ending a submit takes. */
	struct octans_counters modelled;
	/* The least that this processor could do it in: for each submit the larger of the bytes of
	 * weights and of keys and values, each moved once, over LOCAL_BPC, and of the multiply-adds over
	 * their rates.  Over modelled.cycles: the utilisation. */
	uint64_t ceiling_cycles;
	/* Of layers with some of their experts on a card: times that one was chosen, and was there; experts that came. */
	uint64_t expert_uses, expert_hits, expert_moves;
	/* Modelled: how long processors took, of steps that were computed; where several work at once it is less than the
	 * sum that modelled.cycles tells. */
	uint64_t modelled_ns;
};

/* Figures since the engine was made; of processors that were lost, too.  -EINVAL: sz is not set. */
int accel_engine_stats(struct accel_engine *engine, struct accel_engine_stats *stats);
/* As accel_plan_layer(), but where the layer runs now: if it has left the processor, reason NO_MEMORY
 * or LOST, and the cause in words. */
int accel_engine_layer(struct accel_engine *engine, uint32_t index, struct accel_layer *layer);

/* ---- sequences ---- */

/* An empty sequence; it takes memory as it grows.  -ENOMEM. */
int accel_seq_new(struct accel_engine *engine, struct accel_seq **out);
/* One that is in a step, or is being saved, is gone when that has ended, and may not be used in the meantime.
 * Takes NULL. */
void accel_seq_free(struct accel_seq *seq);
/* Positions. */
uint32_t accel_seq_length(const struct accel_seq *seq);
/* Its tokens from position pos on, -1 where one was skipped: copies at most n, returns how many. */
size_t accel_seq_tokens(const struct accel_seq *seq, uint32_t pos, int32_t *tokens, size_t n);
/*
 * A sequence of the first n positions of this one.  They share pages, and copy what they come to
 * differ in; costs nothing else.  -EINVAL: there are fewer; -ENOMEM; -EBUSY: it is in a step, or is being saved.
 */
int accel_seq_fork(struct accel_seq *seq, uint32_t n, struct accel_seq **out);
/* Forgets everything from position pos on; costs nothing.  -EINVAL: there are fewer; -EBUSY. */
int accel_seq_trim(struct accel_seq *seq, uint32_t pos);
/*
 * A sequence that begins as tokens[n] do, as far as any sequence of the engine that is in no step has them,
 * but for the last: that is a fork of the one that has most.  *length: how many positions it has.  -ENOMEM.
 */
int accel_seq_prefix(struct accel_engine *engine, const int32_t *tokens, size_t n,
		     struct accel_seq **out, uint32_t *length);
/*
 * Appends n positions without computing them: later tokens attend to whatever the memory holds there,
 * which a failure of a processor changes.  For measurements at a position alone.  -ENOSPC; -EBUSY; -ENOMEM.
 */
int accel_seq_skip(struct accel_seq *seq, uint32_t n);
/*
 * Writes the sequence, tokens, keys and values, to a file, at its offset; reads one.  The file may be slow, a
 * pipe or a socket: steps of other sequences are computed meanwhile, and wait for no more than the copy of 1 MiB;
 * one that is saved is busy, as in a step.  A processor that fails meanwhile changes nothing of what is written.
 * What is read is checked: -EINVAL: not a sequence, of another model, another type of cache, or damaged; -ENOSPC:
 * longer than ctx, or no pages left; -EBUSY; errors of accel_step_run(), read() and write().
 */
int accel_seq_save(struct accel_seq *seq, int fd);
int accel_seq_load(struct accel_engine *engine, int fd, struct accel_seq **out);

/* ---- steps ---- */

/* Of which tokens of an input results are wanted. */
enum accel_want {
	ACCEL_WANT_NOTHING = 0,
	ACCEL_WANT_LAST,		/* logits of the last */
	ACCEL_WANT_ALL,			/* logits of each */
	ACCEL_WANT_TOP,			/* the largest logits of the last, found where they are computed */
};

/* Tokens to append to a sequence. */
struct accel_input {
	size_t sz;			/* sizeof(struct accel_input), the same in all of an array */
	struct accel_seq *seq;
	const int32_t *tokens;		/* [n], copied */
	uint32_t n;			/* at least 1 */
	enum accel_want want;
	uint32_t top;			/* of WANT_TOP: how many, 1 .. the vocabulary, at most
					 * OCTANS_MAX_TOPK */
	uint32_t reserved;		/* zero */
};

struct accel_step_opts {
	size_t sz;		/* sizeof(struct accel_step_opts) */
	int64_t deadline_ns;	/* of CLOCK_MONOTONIC: ends with -ETIMEDOUT after it; 0 = none */
};

/*
 * Appends inputs[n], each of another sequence, and computes them together, accel_plan_info.batch tokens
 * at once.  Returns when they are computed: 0, and *out has the results; or an error, and every
 * sequence is as it was before.  -EINVAL: a token outside the vocabulary, a sequence twice or of another
 * engine; -EBUSY: one that is in a step; -ENOSPC: the context has no room, or all pages or states are taken;
 * -ENOMEM, -EMFILE and other errors of the host; -ETIMEDOUT; if strict, errors of accel_fence_wait(): the
 * cause and not what followed from it.  opts may be NULL; out NULL: nothing is wanted.
 */
int accel_step_run(struct accel_engine *engine, const struct accel_input *inputs, size_t n,
		   const struct accel_step_opts *opts, struct accel_step **out);
/*
 * The same, but returns at once; steps of an engine are computed one after the other in a thread that
 * the first of them starts.  Errors of arguments are returned here, all others by accel_step_wait().
 */
int accel_step_submit(struct accel_engine *engine, const struct accel_input *inputs, size_t n,
		      const struct accel_step_opts *opts, struct accel_step **out);
/*
 * Waits until a step has ended, and returns its error as accel_step_run() would, as often as it is
 * called; -EAGAIN: it has not ended at CLOCK_MONOTONIC abs_ns (INT64_MAX: no limit, 0: just look).
 */
int accel_step_wait(struct accel_step *step, int64_t abs_ns);
/* Asks it to end with -ECANCELED, unless it ends before: at once if it waits for others, else after the
 * command that runs, on a processor after the up to ACCEL_MAX_JOBS jobs that were submitted together; where layers are
 * on several processors, after the passes under way, of accel_plan_info.batch tokens each, at most one more than
 * there are such processors.  A deadline likewise. */
void accel_step_cancel(struct accel_step *step);
/* The sentence that goes with its error, "" if there is none.  Valid as long as the step. */
const char *accel_step_error(const struct accel_step *step);
/* Logits of input i: [rows][n_vocab]; NULL: none were wanted, or it has not succeeded.  rows may be
 * NULL.  Valid as long as the step. */
const float *accel_step_logits(const struct accel_step *step, size_t i, uint32_t *rows);
/* The largest logits of input i, largest first, of equals the smaller id first, NaNs last: returns how
 * many, 0 if none were wanted.  ids and values may be NULL.  Valid as long as the step. */
uint32_t accel_step_top(const struct accel_step *step, size_t i, const int32_t **ids,
			const float **values);
/* Cancels it and waits, if it has not ended.  Takes NULL. */
void accel_step_free(struct accel_step *step);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
