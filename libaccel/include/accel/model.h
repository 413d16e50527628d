/* SPDX-License-Identifier: MIT */
/*
 * libaccel: a model file, a plan of which layer runs where and why, and sessions that
 * compute.  Conventions are at the head of accel/accel.h.
 */
#ifndef ACCEL_MODEL_H
#define ACCEL_MODEL_H

#include <stdbool.h>

#include <accel/accel.h>
#include <octans/isa.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- model: immutable once loaded, may be used by any number of threads (MT) ---- */

struct accel_model;

struct accel_model_info {
	char arch[32];			/* "llama" */
	char name[128];			/* general.name */
	uint32_t n_layers;		/* units of scheduling: EMBED, ATTN_GQA, FFN, ..., HEAD */
	uint32_t n_blocks;
	uint32_t n_ctx_train;
	uint32_t n_embd, n_vocab, n_ff;
	uint32_t n_heads, n_kv_heads, head_dim;
	uint64_t n_params;
	uint64_t weight_bytes;
	uint64_t file_bytes;
};

/* Opens and checks a GGUF file, which stays mapped.  -EINVAL: not a model that Octans
 * runs; accel_error() says why.  The file must not shrink while it is open. */
int accel_model_load(const char *path, struct accel_model **out);
void accel_model_free(struct accel_model *model);
void accel_model_info(const struct accel_model *model, struct accel_model_info *info);

/* ---- plan: immutable once made (MT); its model must outlive it ---- */

struct accel_plan;

enum accel_layer_kind {		/* more kinds will be added */
	ACCEL_LAYER_EMBED = 0,
	ACCEL_LAYER_ATTN_GQA,
	ACCEL_LAYER_FFN,
	ACCEL_LAYER_HEAD,
};

enum accel_reason {		/* more reasons will be added */
	ACCEL_REASON_FITS = 0,		/* on the processor: it can, and there is room */
	ACCEL_REASON_USER,		/* on the CPU: the caller chose so */
	ACCEL_REASON_NO_DEVICE,		/* on the CPU: there is no processor */
	ACCEL_REASON_NO_MEMORY,		/* on the CPU: on-card memory is, or has become, full */
	ACCEL_REASON_KIND,		/* on the CPU: the processor lacks an operation */
	ACCEL_REASON_TYPE,		/* on the CPU: the processor lacks a weight type */
	ACCEL_REASON_CTX,		/* on the CPU: context longer than it attends to */
	ACCEL_REASON_LOST,		/* on the CPU since the processor failed or went away */
};

/* What keys and values are kept as.  It decides bits of results; where a layer runs does not. */
enum accel_kv_type {
	ACCEL_KV_F16 = 0,
	ACCEL_KV_F32,
	ACCEL_KV_Q8_0,		/* heads of a multiple of 32 elements only */
};

struct accel_plan_opts {
	size_t sz;		/* sizeof(struct accel_plan_opts) */
	uint32_t ctx;		/* positions, at most 2^24; 0 = the model's, at most 4096 */
	uint32_t first, last;	/* layers allowed on the processor, inclusive, if all is false: */
	bool all;		/*   zeroed options allow layer 0 alone */
	bool cpu;		/* nothing on the processor, by the caller's choice */
	uint32_t batch;		/* most tokens computed at once, fewer where the processor would
				 * run out of time; 0 = as many as do well, at most 512 */
	enum accel_kv_type kv_type;
};

struct accel_layer {
	uint32_t index;			/* 0 .. n_layers - 1 */
	uint32_t block;			/* transformer block of ATTN and FFN, else 0 */
	enum accel_layer_kind kind;
	bool on_device;
	enum accel_reason reason;
	uint64_t weight_bytes;
	uint64_t kv_bytes;
	char types[48];			/* its weight types, "Q4_K Q6_K" */
	char detail[128];		/* the reason in words */
};

/*
 * Places each layer.  dev: the processor's description (accel_dev_info()), or NULL: none.
 * opts NULL: every layer, all else zero.  Opens nothing and reserves nothing: whoever takes on-card
 * memory before the session is made takes it from the session.  Placement is by size, kind and
 * type alone.  -EINVAL: options that cannot be had; -ENOMEM.
 */
int accel_plan_new(const struct accel_model *model, const struct accel_devinfo *dev,
		   const struct accel_plan_opts *opts, struct accel_plan **out);
void accel_plan_free(struct accel_plan *plan);
uint32_t accel_plan_layers(const struct accel_plan *plan);
uint32_t accel_plan_layers_on_device(const struct accel_plan *plan);
uint32_t accel_plan_ctx(const struct accel_plan *plan);
/* Most tokens that a session of this plan computes at once. */
uint32_t accel_plan_batch(const struct accel_plan *plan);
/* -EINVAL: no such layer. */
int accel_plan_layer(const struct accel_plan *plan, uint32_t index, struct accel_layer *layer);
/* Bytes of on-card memory that a session of this plan takes. */
uint64_t accel_plan_device_bytes(const struct accel_plan *plan);
/* Names for people and JSON: "ATTN_GQA", "no-memory". */
const char *accel_layer_kind_name(enum accel_layer_kind kind);
const char *accel_reason_name(enum accel_reason reason);

/* ---- session: one sequence of tokens and its KV cache ---- */

/*
 * A session belongs to one thread at a time (ST, all functions below); different sessions, also of
 * one model, plan and device, may be used by different threads at once.  Token ids are
 * 0 .. n_vocab - 1, positions 0 .. accel_plan_ctx() - 1; what a call appends attends to everything
 * before it.
 *
 * The processor and the CPU give the same bits.  If the processor fails, a session that is not
 * strict goes on on the CPU, computes what the lost KV cache held anew, and the call succeeds;
 * accel_session_stats() says so.  It does not go back to the processor.
 *
 * Errors of all calls that compute: -EINVAL, -ENOSPC as stated; -ENOMEM: no memory in the host;
 * and, if the session is strict, those of accel_fence_wait(): -ETIME, -EFAULT, -EIO, -ECANCELED,
 * -ENODEV, the cause and not what followed from it.  After an error the sequence is as it was
 * before the call.  After one of the processor a strict session is good for accel_session_stats(),
 * accel_session_layer() and accel_session_free() alone.
 */
struct accel_session;

enum accel_isa { ACCEL_ISA_AUTO = 0, ACCEL_ISA_SCALAR, ACCEL_ISA_AVX2 };

struct accel_session_opts {
	size_t sz;		/* sizeof(struct accel_session_opts) */
	uint32_t threads;	/* of the CPU executor; 0 = one per online CPU */
	enum accel_isa isa;	/* -ENOTSUP if this machine lacks it */
	bool strict;		/* true: a failure of the processor is returned.  false: the
				 * session goes on on the CPU and says so in its stats */
	/* Called by accel_session_new(), in its thread, after each layer whose weights were copied
	 * to the processor: bytes so far, bytes in all.  NULL: not. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *progress_arg;	/* the caller's */
};

/*
 * Makes a session of an empty sequence: copies weights onto the card, which costs
 * accel_plan_device_bytes() there, records the commands, and lets the processor check them.
 * Weights of layers on the CPU stay in the file.  opts NULL: all zero.  model, plan and dev stay
 * the caller's and must outlive the session; dev may be NULL if the plan has nothing on the
 * processor.  *out is freed by accel_session_free(), and NULL on errors: those at the head;
 * -EINVAL: also if the plan is of another model; -ENOSPC, if strict: the card is fuller than when
 * the plan was made; -ENOTSUP: this CPU lacks isa.
 */
int accel_session_new(const struct accel_model *model, const struct accel_plan *plan,
		      struct accel_dev *dev, const struct accel_session_opts *opts,
		      struct accel_session **out);
/* Takes NULL.  Pointers to logits end with it. */
void accel_session_free(struct accel_session *s);

/* Of which of the tokens that a call appends logits are computed. */
enum accel_logits { ACCEL_LOGITS_NONE = 0, ACCEL_LOGITS_LAST, ACCEL_LOGITS_ALL };

/*
 * Appends tokens[n] to the sequence and computes them, accel_plan_batch() at once.
 * *logits (logits may be NULL): LAST: [n_vocab] floats, of the last token; ALL: [n][n_vocab], of
 * each, in memory of the host that is kept; NONE, or n = 0: NULL.  They are the session's, valid
 * until the next call that computes or frees.
 * -EINVAL: a token outside the vocabulary, no such which; -ENOSPC: the context has no room for n.
 */
int accel_session_eval(struct accel_session *s, const int32_t *tokens, size_t n,
		       enum accel_logits which, const float **logits);
/*
 * The same, and the k largest logits of the last token, largest first, of equals the smaller id
 * first, NaNs last: found where the logits are computed, so that no row of them is moved.
 * ids, values: [k], the caller's, written on success.  -EINVAL: also if n is 0, or if k is 0, above
 * the vocabulary or above OCTANS_MAX_TOPK.
 */
int accel_session_eval_top(struct accel_session *s, const int32_t *tokens, size_t n, uint32_t k,
			   int32_t *ids, float *values);
/*
 * Appends n positions without computing them: later tokens attend to whatever the KV cache holds
 * there.  For measurements at a position alone.  -ENOSPC: the context is full.
 */
int accel_session_skip(struct accel_session *s, uint32_t n);
/* Forgets everything from position pos on; costs nothing.  -EINVAL: there are fewer positions. */
int accel_session_trim(struct accel_session *s, uint32_t pos);

struct accel_session_stats {
	uint32_t layers_device;		/* now */
	uint32_t layers_cpu;
	uint32_t positions;		/* tokens in the sequence */
	uint32_t fallbacks;		/* times the session left the processor */
	int32_t fallback_error;		/* -errno of the last one */
	char fallback_reason[192];	/* in words, "" if there was none */
	uint64_t submits;		/* calls of accel_submit() */
	uint64_t device_jobs;
	uint64_t stream_bytes;		/* of commands, recorded when the session was made */
	uint64_t stream_writes;		/* bytes of commands written since: 0 */
	uint64_t block_bytes;		/* that the newest step wrote instead: parameters, token ids, ... */
	/* Modelled, from SIGNAL at both ends of each submit, summed; other clients' work during that
	 * time included.  cycles: also what starting and ending a submit takes. */
	struct octans_counters modelled;
	/* The least that this processor could do it in: for each submit the larger of the bytes of
	 * weights and of keys and values, each moved once, over LOCAL_BPC, and of the multiply-adds over
	 * their rates.  Over modelled.cycles: the utilisation. */
	uint64_t ceiling_cycles;
	char isa[16];			/* of the CPU executor */
	uint32_t threads;
};
/* Fills *stats with figures since the session was made; of a processor that was lost, too. */
void accel_session_stats(const struct accel_session *s, struct accel_session_stats *stats);
/* As accel_plan_layer(), but where the layer runs now: if it has left the processor, reason
 * NO_MEMORY or LOST, and the cause in words.  -EINVAL: no such layer. */
int accel_session_layer(const struct accel_session *s, uint32_t index, struct accel_layer *layer);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
