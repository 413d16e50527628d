/* SPDX-License-Identifier: MIT */
/*
 * An architecture is what a file's keys and tensors mean: one file, NAME.c, of tables, and one line
 * of list.h; loader.c does the reading and all checking.  Whatever a file says and its tables do
 * not is refused by name: a wrong answer would be silent.
 */
#ifndef ACCEL_ARCH_H
#define ACCEL_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/layer.h"

struct gguf;

enum rope_scaling { ROPE_LINEAR, ROPE_NONE, ROPE_YARN, ROPE_LONG };

/*
 * What a file says about a block of a model; 0: nothing.  Keys fill its fields in, the
 * architecture's derive() the rest; tables of tensors name them for sizes.  What is the same for
 * all blocks is the same in each.
 */
struct hparams {
	uint32_t one, zero;		/* 1 and 0, for tables */
	uint32_t block;			/* which */
	const char *arch;		/* its architecture, for sentences */
	uint32_t blocks, ctx, embd, ff;
	uint32_t nextn;			/* of blocks, at the end, those that predict more than one token: not computed */
	uint32_t vocab;			/* tokens that may be given */
	uint32_t out_vocab;		/* and that come out */
	float eps;			/* of norms */
	float residual, logit_scale, embd_scale;
	uint32_t activation;		/* enum octans_map, of feed-forward networks */
	/* Attention */
	uint32_t heads, kv_heads, key_dim, value_dim;
	uint32_t q, kv, v, att;		/* columns of all heads: queries, keys, values, results */
	uint32_t q_end, k_end, qkv_end;	/* of the three in one tensor; q_end is where keys begin */
	uint32_t window;		/* positions; 0: all */
	uint32_t slides;		/* whether this block's attention does; a key, or the architecture */
	/* One of so many does not, 0: all do; ARCH_YES or ARCH_NO: whether this does; or ARCH_UNSAID. */
	uint32_t window_pattern;
	uint32_t key_dim_swa, value_dim_swa;	/* of blocks that slide */
	uint32_t shared_kv;		/* of blocks, at the end, those that use keys and values of others */
	uint32_t no_rope;		/* this block's positions are not told */
	uint32_t positions;		/* 1, unless a key says that no block's are */
	float scale, cap, clamp, out_cap, alibi;
	uint32_t whole_norm;		/* norms of queries and keys are of all heads together */
	uint32_t gated, q_gated;	/* rows of queries are with their gates; columns then */
	struct {
		float scale;
		uint32_t every;		/* positions */
	} temperature;
	struct {
		enum rope_scaling scaling;
		uint32_t rot, original;
		float base, factor, old_factor, magnitude;	/* factor: 1 of the type "none", whatever it says */
		float extrapolate, fast, slow;
		float log_mul, yarn_magnitude;
		uint32_t rot_swa;
		float base_swa;
	} rope;
	/* Feed-forward networks */
	uint32_t ff2;			/* gate and up in one */
	float limit;			/* struct ffn's */
	uint32_t input, inputs;		/* columns of a block's own, and of all blocks' */
	float xielu_p, xielu_n, xielu_beta, xielu_eps;
	/* Latent attention */
	uint32_t q_rank, kv_rank, nope_dim, mla_key_dim, mla_value_dim;
	uint32_t kva;			/* columns: kv_rank and what is rotated */
	uint32_t kvb;			/* columns of the old layout: keys and values of all heads */
	uint32_t index_heads, index_dim, index_top, index_q;
	/* Experts */
	uint32_t experts, used, shared, expert_ff, shared_ff, dense;
	uint32_t router;		/* the block has the tensor that chooses them */
	uint32_t ungated;		/* of experts: they have no gate */
	uint32_t gating, groups, groups_used, weights_norm;
	float weights_scale;
	uint32_t expert_ff2;		/* gate and up in one */
	/* State spaces, delta rules, convolutions */
	uint32_t taps, inner, state, dt_rank, ssm_groups;
	uint32_t ssm_in, ssm_conv;	/* columns of what comes in, and of it into the convolution */
	uint32_t key_heads, recurrent;
	uint32_t short_taps, in3;	/* of a short convolution; columns of it and its two gates */
	uint32_t state_dim;		/* columns of a head's values */
	uint32_t heads2;		/* beta and alpha in one */
	uint32_t full_every;		/* blocks of full attention */
	uint32_t mixer, network;	/* what the two layers of the block are: octans */
};

#define ARCH_UNSAID UINT32_MAX
#define ARCH_YES (UINT32_MAX - 1)
#define ARCH_NO (UINT32_MAX - 2)

#define ARCH_FIELD(f) offsetof(struct hparams, f)

enum arch_key_kind {
	ARCH_U32,		/* a whole number, or an array of equal ones */
	ARCH_F32,
	ARCH_EACH_U32,		/* of a block: a whole number (a bool is 0 or 1), or an array, one for each block */
	ARCH_EACH_F32,
	ARCH_PATTERN,		/* a whole number; or bools, or an array: ARCH_YES or ARCH_NO, of a block */
	ARCH_ONLY,		/* one of two values, with which nothing more is to be computed */
	ARCH_BEYOND,		/* the same of 0, and of a number that is not less than the context */
	ARCH_USUAL,		/* the same of 0, and of the scale of scores that heads have anyway */
	ARCH_KNOWN,		/* read elsewhere, or nothing is computed from it */
};

#define ARCH_MAX_BLOCKS 1024

/* A key behind the architecture's prefix; or, with a dot before it, without that prefix. */
struct arch_key {
	const char *name;
	enum arch_key_kind kind;
	size_t field;
	double min, max;	/* ARCH_ONLY: the two values; a bool is 0 or 1 */
	bool needed;
};

#define KEY_U32(name, f, min, max) { name, ARCH_U32, ARCH_FIELD(f), min, max, false }
#define KEY_F32(name, f, min, max) { name, ARCH_F32, ARCH_FIELD(f), min, max, false }
#define EACH_U32(name, f, min, max) { name, ARCH_EACH_U32, ARCH_FIELD(f), min, max, false }
#define NEED_EACH_U32(name, f, min, max) { name, ARCH_EACH_U32, ARCH_FIELD(f), min, max, true }
#define NEED_EACH_F32(name, f, min, max) { name, ARCH_EACH_F32, ARCH_FIELD(f), min, max, true }
#define NEED_U32(name, f, min, max) { name, ARCH_U32, ARCH_FIELD(f), min, max, true }
#define NEED_F32(name, f, min, max) { name, ARCH_F32, ARCH_FIELD(f), min, max, true }
#define KEY_ONLY(name, a, b) { name, ARCH_ONLY, 0, a, b, false }
#define KEY_PATTERN(name, f) { name, ARCH_PATTERN, ARCH_FIELD(f), 0, ARCH_MAX_BLOCKS, false }
#define NEED_PATTERN(name, f) { name, ARCH_PATTERN, ARCH_FIELD(f), 0, ARCH_MAX_BLOCKS, true }
#define KEY_BEYOND(name) { name, ARCH_BEYOND, 0, 0, 0, false }
#define KEY_USUAL(name) { name, ARCH_USUAL, 0, 0, 0, false }
#define KEY_KNOWN(name) { name, ARCH_KNOWN, 0, 0, 0, false }

enum arch_tensor_flags {
	ARCH_OPTIONAL = 1,
	ARCH_FLAT = 2,		/* so many numbers, whatever dimensions the file gives them */
	ARCH_WIDE = 4,		/* F32, or made so, as vectors are */
	ARCH_ZEROS = 8,		/* a vector that may be nothing but zeros */
};

struct arch_tensor {
	const char *name;	/* behind "blk.N." if it is of a block, unless it begins with a dot, which is not
				 * part of it; NULL: it is only a part of whole */
	int slot;		/* of its layer's weights */
	size_t planes, rows, cols;	/* ARCH_FIELD()s; a vector has one row and one plane, and is F32 or made so */
	unsigned int flags;
	const char *otherwise;	/* the tensor to take if there is none of this name, or NULL */
	/* The tensor of the block that holds this one among others, if there is none of this name, or
	 * NULL; where in it this one begins, and how long it is: ARCH_FIELD()s of rows, or of numbers. */
	const char *whole;
	size_t from, all;
};

#define ARCH_TENSOR(name, slot, planes, rows, cols, flags) \
	{ name, slot, ARCH_FIELD(planes), ARCH_FIELD(rows), ARCH_FIELD(cols), flags, NULL, NULL, 0, 0 }
#define MATRIX(name, slot, rows, cols) ARCH_TENSOR(name, slot, one, rows, cols, 0)
#define MATRIX_IF(name, slot, rows, cols) ARCH_TENSOR(name, slot, one, rows, cols, ARCH_OPTIONAL)
/* Of F32, or made so */
#define MATRIX_WIDE(name, slot, rows, cols) ARCH_TENSOR(name, slot, one, rows, cols, ARCH_WIDE)
/* One matrix behind the other: experts, heads */
#define PLANES(name, slot, planes, rows, cols) ARCH_TENSOR(name, slot, planes, rows, cols, 0)
#define PLANES_IF(name, slot, planes, rows, cols) ARCH_TENSOR(name, slot, planes, rows, cols, ARCH_OPTIONAL)
#define MATRIX_OR(name, slot, rows, cols, other) \
	{ name, slot, ARCH_FIELD(one), ARCH_FIELD(rows), ARCH_FIELD(cols), 0, other, NULL, 0, 0 }
#define MATRIX_OF(name, slot, rows, cols, whole, from, all) \
	{ name, slot, ARCH_FIELD(one), ARCH_FIELD(rows), ARCH_FIELD(cols), 0, NULL, whole, ARCH_FIELD(from), \
	  ARCH_FIELD(all) }
/* Rows of a tensor from the one of number from on; it has all. */
#define PART(whole, slot, rows, cols, from, all) \
	{ NULL, slot, ARCH_FIELD(one), ARCH_FIELD(rows), ARCH_FIELD(cols), 0, NULL, whole, ARCH_FIELD(from), \
	  ARCH_FIELD(all) }
#define NORM(name, slot, cols) ARCH_TENSOR(name, slot, one, one, cols, 0)
#define NEED_BIAS(name, slot, cols) ARCH_TENSOR(name, slot, one, one, cols, ARCH_ZEROS)
#define BIAS(name, slot, cols) ARCH_TENSOR(name, slot, one, one, cols, ARCH_OPTIONAL)
#define FLAT(name, slot, cols) ARCH_TENSOR(name, slot, one, one, cols, ARCH_FLAT)
#define FLAT_IF(name, slot, cols) ARCH_TENSOR(name, slot, one, one, cols, ARCH_FLAT | ARCH_OPTIONAL)
#define NEED_BIAS_OF(name, slot, cols, whole, from, all) \
	{ name, slot, ARCH_FIELD(one), ARCH_FIELD(one), ARCH_FIELD(cols), ARCH_ZEROS, NULL, whole, \
	  ARCH_FIELD(from), ARCH_FIELD(all) }
#define BIAS_OF(name, slot, cols, whole, from, all) \
	{ name, slot, ARCH_FIELD(one), ARCH_FIELD(one), ARCH_FIELD(cols), ARCH_OPTIONAL, NULL, whole, \
	  ARCH_FIELD(from), ARCH_FIELD(all) }

#define ARCH_N(a) (sizeof(a) / sizeof((a)[0]))

struct loader;

struct arch_layer {
	const struct layer_kind *kind;
	const struct arch_tensor *tensors;
	unsigned int n_tensors;
	/* Parameters of the kind, and what it keeps of a sequence; its weights are there already.  NULL: it has
	 * none.  -errno, with a sentence. */
	int (*set)(struct layer *l, const struct hparams *h, struct loader *ld);
	/* Whether a block has it; NULL: each. */
	bool (*when)(const struct hparams *h);
};

struct arch {
	const char *name;		/* general.architecture, and the prefix of keys */
	const struct arch_key *keys;
	unsigned int n_keys;
	/* What is not said follows from what is; checks that concern several keys, which fail().  Of each block,
	 * and at first of block 0 alone. */
	int (*derive)(struct hparams *h, const char *path);
	bool rope;			/* with rotary positions: their keys and tensors, arch/rope.c */
	bool rope_half;			/* struct rope's half */
	bool rope_long;			/* LongRoPE's tensors count without its type, too */
	/* What is different for blocks that slide; NULL: nothing.  -errno, with a sentence. */
	int (*rope_swa)(struct rope *r, const struct hparams *h);
	/* What else the model's own rope is; NULL: nothing. */
	int (*rope_set)(struct rope *r, const struct hparams *h, const char *path);
	uint32_t norm;			/* OCTANS_ROW_RMS or OCTANS_ROW_LAYER */
	const struct arch_layer *first, *last;	/* of the model */
	const struct arch_layer *block;	/* [n_block]: of each block */
	unsigned int n_block;
};

/* Fills *m from m->file.  -EINVAL with a sentence; what was allocated is accel_model_free()'s. */
int arch_load(struct accel_model *m, const char *path);

/* ---- between the loader and its parts ---- */

struct loader {
	struct accel_model *m;
	const struct gguf *g;
	const struct arch *arch;
	const char *path;
	uint32_t vocab, out_vocab;	/* rows of the embedding, and of the output */
	struct hparams h;		/* of block 0 */
	bool *used;			/* [tensors of the file] */
};

/* A tensor of this name if the file has one, its shape and type checked, and noted as used.  -ENOENT,
 * without a sentence: it has none. */
int loader_take(struct loader *ld, const char *name, uint32_t rows, uint32_t cols, struct weight *w);
/* Memory of the model's for numbers that the file has otherwise; a weight of that shape, of F32. */
int loader_convert(struct loader *ld, uint32_t planes, uint32_t rows, uint32_t cols, struct weight *w,
		   float **data);
/* The table of keys of rotary positions, and what they say. */
extern const struct arch_key rope_keys[];
extern const unsigned int n_rope_keys;
/* How contexts beyond the trained one are had, before derive(): what the keys say of it, made plain. */
int loader_scaling(const struct loader *ld, struct hparams *h);
/* The model's tables 0 and, if blocks that slide have another, 1. */
int loader_rope(struct loader *ld);

#endif
