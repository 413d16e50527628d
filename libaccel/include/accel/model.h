/* SPDX-License-Identifier: MIT */
/*
 * libaccel: a model file, and a plan of which layer runs where and why.  What computes is in
 * accel/engine.h.  Conventions are at the head of accel/accel.h.
 */
#ifndef ACCEL_MODEL_H
#define ACCEL_MODEL_H

#include <stdbool.h>

#include <accel/accel.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- model: immutable once loaded, may be used by any number of threads (MT) ---- */

struct accel_model;

struct accel_model_info {
	size_t sz;			/* sizeof(struct accel_model_info), set by the caller */
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

/*
 * Opens and checks a GGUF file, or all parts of a split one (NAME-00001-of-00003.gguf), which lie in
 * one directory and of which path names any.  The files stay open and mapped until
 * accel_model_free(): weights are used where they are.  A file that is replaced under its name, as by
 * rename(), is used on as it was; one that is cut or written to ends steps with -EIO.  That is seen by
 * its size and the time of its last modification, so touch(1) counts as writing: nothing cheaper than
 * reading all of it could tell.  -EINVAL: not a model that Octans runs;
 * -EIO: a file changed while it was read; -ENOENT, -EACCES, ...: as open(); -ENOMEM.
 */
int accel_model_load(const char *path, struct accel_model **out);
/*
 * The same of open files, fds[n]: all n parts, in order, or the one that there is.  They must be open for
 * reading, and mappable; where in a file a descriptor stands does not matter and does not change.  The
 * descriptors stay the caller's, who may close them at once.  A part without the others is refused:
 * nobody looks for those.  -EBADF, -EACCES, -EMFILE, ...: as dup() and mmap().
 */
int accel_model_load_fd(const int *fds, size_t n, struct accel_model **out);
/*
 * The same of memory, data[n] of size[n] bytes, each beginning at a multiple of 8.  It stays the caller's,
 * and may neither change nor go before accel_model_free(): that nobody notices.  Both arrays are read
 * by this call only.
 */
int accel_model_load_memory(const void *const *data, const size_t *size, size_t n,
			    struct accel_model **out);
/* After its plans and engines.  Takes NULL. */
void accel_model_free(struct accel_model *model);
/* -EINVAL: info->sz is not set.  MT */
int accel_model_info(const struct accel_model *model, struct accel_model_info *info);

/* ---- what its file says: all of a model's keys and tensors (MT) ---- */

enum accel_key_type {		/* the numbers are GGUF's; more may be added */
	ACCEL_KEY_U8 = 0,
	ACCEL_KEY_I8,
	ACCEL_KEY_U16,
	ACCEL_KEY_I16,
	ACCEL_KEY_U32,
	ACCEL_KEY_I32,
	ACCEL_KEY_F32,
	ACCEL_KEY_BOOL,
	ACCEL_KEY_TEXT,
	ACCEL_KEY_U64 = 10,
	ACCEL_KEY_I64,
	ACCEL_KEY_F64,
};

struct accel_key {
	size_t sz;			/* sizeof(struct accel_key), set by the caller */
	const char *name;		/* the model's.  Any bytes but zero: not fit for a terminal */
	uint64_t n;			/* elements of an array; 1: it is none */
	enum accel_key_type type;	/* of the value, or of each element */
	bool array;
};

/* How many keys there are.  Of a model in parts, those of the first part count. */
uint64_t accel_model_keys(const struct accel_model *model);
/* The key of this index, in the order of the file.  -EINVAL: there is none, or key->sz is not set. */
int accel_model_key(const struct accel_model *model, uint64_t index, struct accel_key *key);
/* The key of this name.  -ENOENT: there is none; -EINVAL. */
int accel_model_find_key(const struct accel_model *model, const char *name, struct accel_key *key);
/*
 * Element i of the array that the key of this name holds; of one value, i is 0.  A bool is the number 0
 * or 1; a float is an int if it is whole.  A text is s[n], any bytes, without a zero behind it, and the
 * model's.  -ENOENT: there is no such key; -EINVAL: it holds something else; -ERANGE: there is no such
 * element, or it does not fit.
 */
int accel_key_int(const struct accel_model *model, const char *name, uint64_t i, int64_t *v);
int accel_key_float(const struct accel_model *model, const char *name, uint64_t i, double *v);
int accel_key_text(const struct accel_model *model, const char *name, uint64_t i, const char **s,
		   size_t *n);
/* The value for people, fit for a terminal, as a C string that is cut to room > 0 bytes: 3, 0.5, true,
 * "text", [7 x u32].  -ENOENT; -EINVAL: no room. */
int accel_key_show(const struct accel_model *model, const char *name, char *to, size_t room);

struct accel_tensor {
	size_t sz;			/* sizeof(struct accel_tensor), set by the caller */
	const char *name;		/* the model's.  Any bytes but zero: not fit for a terminal */
	uint64_t dims[4];		/* dims[0] is a row's length; 1 from n_dims on */
	uint32_t n_dims;		/* 1 .. 4 */
	uint32_t type;			/* accel_type_name() */
	uint32_t part;			/* of the model's files, from 0 on, that it is in */
	uint64_t offset;		/* of its data in that file */
	uint64_t bytes;
	const void *data;		/* [bytes] where the file is mapped: the model's, and read only */
};

/* How many tensors all parts have, and each of them: as accel_model_keys(), ... */
uint64_t accel_model_tensors(const struct accel_model *model);
int accel_model_tensor(const struct accel_model *model, uint64_t index, struct accel_tensor *tensor);
int accel_model_find_tensor(const struct accel_model *model, const char *name,
			    struct accel_tensor *tensor);

/*
 * Makes a model file that is cut, or whose disk fails, while it is in use an error instead of a
 * signal: calls that computed with it return -EIO and say so, and other models are not touched.
 * Without it such a file ends the program by SIGBUS, unless the change is seen before a page is
 * missed.  Installs a handler of SIGBUS, for the whole process and for good, which passes on what is
 * not about a model file to the handler that was there; call it after others have installed theirs.
 * Files that were opened before are covered, too; threads that block SIGBUS are not.  Calling it again
 * changes nothing. (MT)  -errno of sigaction().
 */
int accel_guard_files(void);

/* ---- plan: immutable once made (MT); its model must outlive it ---- */

struct accel_plan;

enum accel_layer_kind {		/* more kinds will be added */
	ACCEL_LAYER_EMBED = 0,
	ACCEL_LAYER_ATTN_GQA,
	ACCEL_LAYER_FFN,
	ACCEL_LAYER_HEAD,
	ACCEL_LAYER_ATTN_MLA,
	ACCEL_LAYER_MOE,
	ACCEL_LAYER_SSM2,
	ACCEL_LAYER_DELTA,
	ACCEL_LAYER_SHORTCONV,
	ACCEL_LAYER_INPUTS,
	ACCEL_LAYER_PLE,
};

enum accel_reason {		/* more reasons will be added */
	ACCEL_REASON_FITS = 0,		/* on a processor: it can, and there is room */
	ACCEL_REASON_USER,		/* on the CPU: the caller chose so */
	ACCEL_REASON_NO_DEVICE,		/* on the CPU: there is no processor */
	ACCEL_REASON_NO_MEMORY,		/* on the CPU: on-card memory is, or has become, full */
	ACCEL_REASON_KIND,		/* on the CPU: the processor lacks an operation */
	ACCEL_REASON_TYPE,		/* on the CPU: the processor lacks a weight type */
	ACCEL_REASON_CTX,		/* on the CPU: context longer than it attends to */
	ACCEL_REASON_LOST,		/* on the CPU since the processor failed or went away */
	ACCEL_REASON_SLOWER,		/* on the CPU: it is faster there */
	ACCEL_REASON_TABLE,		/* on the CPU: most of it is a table, which stays in the file */
	ACCEL_REASON_SHARED,		/* on the CPU: so is a layer that it shares keys and values with */
};

/* What keys and values are kept as.  It decides bits of results; where a layer runs does not. */
enum accel_kv_type {
	ACCEL_KV_F16 = 0,
	ACCEL_KV_F32,
	ACCEL_KV_Q8_0,		/* heads of a multiple of 32 elements only */
};

/* Where a layer may run. */
#define ACCEL_PLACE_ANY		0	/* a processor that can, has room and is faster, else
					 * the CPU */
#define ACCEL_PLACE_CPU		1
#define ACCEL_PLACE_DEVICE(i)	(2 + (i))	/* the processor of this index, also if it is slower;
						 * else the CPU */
/* A layer that uses the keys and values of another is where that is, whatever is said of it. */

/*
 * Where the weights are that a processor computes a layer with.  It changes no bit of a result.  What is in the
 * host's memory the processor reads there, over the bus, whenever it needs it, while it computes with what it has read.
 */
enum accel_weights {
	ACCEL_WEIGHTS_CARD = 0,		/* in on-card memory, or, of a layer on the CPU, in the file */
	ACCEL_WEIGHTS_EXPERTS,		/* in on-card memory, but of its experts those alone that are used most,
					 * as they come to be: the others are in the host's */
	ACCEL_WEIGHTS_HOST,		/* in the host's memory, but for the small ones */
	ACCEL_WEIGHTS_STREAM,		/* likewise, and in each step copied to the card while layers before it are
					 * computed */
};

/* May weights stay in the host's memory? */
enum accel_stream {
	ACCEL_STREAM_AUTO = 0,		/* if on-card memory is full, and the CPU is not faster */
	ACCEL_STREAM_NEVER,
	ACCEL_STREAM_ALWAYS,		/* all that may: for measurements, and tests */
};

/* How are layers divided among several processors?  It changes no bit of a result.  Who shares does
 * not depend on the order in which the caller has them: those that have room for a part, and of them, where that is
 * better, not the slowest. */
enum accel_split {
	ACCEL_SPLIT_AUTO = 0,		/* as a prompt and an answer are foretold to be done soonest */
	ACCEL_SPLIT_LAYER,		/* each layer is on one of them */
	ACCEL_SPLIT_TENSOR,		/* they share each layer that can be, also if that is slower: each has rows of its
					 * matrices, and what it keeps of those */
};

struct accel_plan_opts {
	size_t sz;		/* sizeof(struct accel_plan_opts) */
	uint32_t ctx;		/* most positions of a sequence, at most 2^24; 0 = the model's, at most
				 * 4096 */
	uint32_t seqs;		/* most sequences computed at once, 1 .. 4096; 0 = 1 */
	uint64_t positions;	/* of all sequences together, whose keys and values there is memory for;
				 * 0 = seqs * ctx.  Rounded up to pages */
	uint32_t page;		/* positions of a page of them: a power of two, at most 65536; 0 = what
				 * does well.  Changes no bit of a result */
	uint32_t batch;		/* most tokens computed at once, fewer where the processor would run out
				 * of time; 0 = as many as do well, at most 512.  Changes no bit */
	enum accel_kv_type kv_type;
	uint32_t checkpoints;	/* older states of a sequence that are kept, for layers with a state that
				 * cannot go back: a sequence that is trimmed is computed again from the
				 * newest that is left; at most 1024, 0 = 6.  Changes no bit */
	enum accel_stream stream;
	uint32_t n_places;	/* 0, or that of the model's layers */
	const uint32_t *places;	/* [n_places]: ACCEL_PLACE_*, read by accel_plan_new() only */
	/*
	 * Bytes that an engine may take of the host's memory, beside the weights that are used where they lie in
	 * the file; those of a model that cannot be are counted.  If it were to take more, no weights are kept
	 * there for processors, layers stay on these where the CPU were faster, and fewer tokens are computed at
	 * once, unless batch is set; if that is not enough there is no plan.  Layers that leave a processor,
	 * which fails or is fuller than it was, take memory of the host then, which is not in it.  0 = no limit,
	 * but seven eighths of what is free may be weights for processors
	 */
	uint64_t max_host_bytes;
	uint64_t max_device_bytes;	/* of on-card memory of each processor; what has no room goes to the
					 * next, or to the CPU.  0 = all that is free */
	enum accel_split split;		/* where places are ACCEL_PLACE_ANY for all layers */
	uint32_t reserved;		/* zero */
};

struct accel_layer {
	size_t sz;			/* sizeof(struct accel_layer), set by the caller */
	uint32_t index;			/* 0 .. n_layers - 1 */
	uint32_t block;			/* of the model, that it is of; 0 of EMBED and HEAD */
	enum accel_layer_kind kind;
	int32_t device;			/* index of the processor that it is on, -1 = on the CPU */
	enum accel_reason reason;
	uint64_t weight_bytes;
	uint64_t kv_bytes;
	char types[48];			/* its weight types, "Q4_K Q6_K" */
	char detail[160];		/* the reason in words */
	enum accel_weights weights;
	uint32_t experts, experts_on_card;	/* how many it has, and, of EXPERTS, has room for */
	uint64_t host_bytes;		/* of its weights that a processor reads in the host's memory; those of
					 * experts on the card are there, too */
	uint64_t shared;		/* bit i: processor i has a part of it; device is the first.  0: it is whole */
};

/*
 * Places each layer.  devs[n]: descriptions of processors (accel_dev_info()); n may be 0.
 * opts NULL: all zero, which lets every layer go anywhere.  Opens nothing and reserves nothing: whoever
 * takes on-card memory before the engine is made takes it from the engine, which then keeps what has
 * room.  A layer that may go anywhere stays on the CPU if that is faster: a processor's time is what its own
 * description says, with no time lost, the CPU's is measured, at the first plan where it matters (50 ms).
 * Of processors of several kinds those are used with which an answer is foretold to take least: one that has memory, but
 * is so slow that weights read over another's bus are faster, has no layers, and details of layers say so.
 * -EINVAL: options that cannot be had; -E2BIG; -ENOSPC: max_host_bytes is too little; -ENOMEM.
 */
int accel_plan_new(const struct accel_model *model, const struct accel_devinfo *const *devs, size_t n,
		   const struct accel_plan_opts *opts, struct accel_plan **out);
void accel_plan_free(struct accel_plan *plan);

struct accel_plan_info {
	size_t sz;		/* sizeof(struct accel_plan_info), set by the caller */
	uint32_t layers, layers_on_device;
	uint32_t devices;
	uint32_t ctx, seqs, batch;
	uint32_t page;		/* positions of a page */
	uint32_t pages;		/* of keys and values, of all sequences together */
	enum accel_kv_type kv_type;
	uint64_t host_bytes;	/* an engine takes in memory of the host, as max_host_bytes counts */
	uint64_t device_bytes;	/* and of on-card memory, of all processors */
	uint64_t host_free;	/* of the host's memory that nobody needs just now; 0: not known */
};

/* -EINVAL: info->sz is not set. */
int accel_plan_info(const struct accel_plan *plan, struct accel_plan_info *info);
/* -EINVAL: no such layer, or layer->sz is not set. */
int accel_plan_layer(const struct accel_plan *plan, uint32_t index, struct accel_layer *layer);
/* Bytes of on-card memory that an engine of this plan takes of processor i; 0: there is none. */
uint64_t accel_plan_device_bytes(const struct accel_plan *plan, uint32_t i);
/* Those of them that are of a layer, or its part of it: weights, and what is kept of sequences; 0: it is not on it. */
uint64_t accel_plan_layer_bytes(const struct accel_plan *plan, uint32_t index, uint32_t i);

/*
 * What a prompt of so many tokens, and a token behind it, would take at the least.  Of processors by their own
 * description, with no time lost: modelled; of the CPU by its speed, which is measured.  Layers take turns; only where
 * several processors have some and a prompt is computed in several parts do they work at once, each on another part.
 */
struct accel_prediction {
	size_t sz;		/* sizeof(struct accel_prediction), set by the caller */
	uint32_t prompt;	/* tokens */
	double prompt_device_s, prompt_cpu_s;	/* seconds of all of them, on processors and on the CPU */
	double token_device_s, token_cpu_s;	/* and of one more */
	uint64_t kv_bytes;	/* keys and values of all positions of all sequences */
	uint64_t state_bytes;	/* states of all sequences and their checkpoints */
	double prompt_s, token_s;	/* until all of it is done: the sum of the two, or less */
};

/* -EINVAL: no prompt, one that fills the context, or out->sz is not set; -ENOMEM; another -errno: the CPU could
 * not be measured. */
int accel_plan_predict(const struct accel_plan *plan, uint32_t prompt, struct accel_prediction *out);

/* Names for people and JSON: "ATTN_GQA", "no-memory". */
const char *accel_layer_kind_name(enum accel_layer_kind kind);
const char *accel_reason_name(enum accel_reason reason);
/* "card", "experts", "host", "stream"; "?": this library does not know it.  A constant.  MT */
const char *accel_weights_name(enum accel_weights weights);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
