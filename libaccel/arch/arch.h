/* SPDX-License-Identifier: MIT */
/*
 * An architecture is what a file's keys and tensors mean: one file, NAME.c, of tables, and one line of
 * list.h; loader.c does the reading and all checking.  Whatever a file says and its tables
 * do not is refused by name: a wrong answer would be silent.
 */
#ifndef ACCEL_ARCH_H
#define ACCEL_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/layer.h"

struct gguf;

/* What a file says about a model; 0: nothing.  Tables name its fields, keys fill them in, tensors have
 * their sizes from them. */
struct hparams {
	uint32_t one;			/* rows of a vector */
	uint32_t blocks, ctx, embd, ff, vocab;
	uint32_t heads, kv_heads, key_dim, value_dim, window;
	uint32_t q, kv;			/* columns of all heads; the architecture's derive() */
	uint32_t q_end, k_end, qkv_end;	/* of the three in one tensor; q_end is where keys begin */
	uint32_t zero;
	float eps;			/* of norms */
	float scale;			/* of scores */
	struct {
		uint32_t rot, original;
		float base, factor, old_factor, magnitude;
		float extrapolate, fast, slow;
	} rope;
};

#define ARCH_FIELD(f) offsetof(struct hparams, f)

enum arch_key_kind {
	ARCH_U32,		/* a whole number, or an array of equal ones */
	ARCH_F32,
	ARCH_ONLY,		/* one of two values, with which nothing more is to be computed */
	ARCH_KNOWN,		/* read elsewhere, or nothing is computed from it */
};

/* A key behind the architecture's prefix. */
struct arch_key {
	const char *name;
	enum arch_key_kind kind;
	size_t field;
	double min, max;	/* ARCH_ONLY: the two values; a bool is 0 or 1 */
	bool needed;
};

#define KEY_U32(name, f, min, max) { name, ARCH_U32, ARCH_FIELD(f), min, max, false }
#define KEY_F32(name, f, min, max) { name, ARCH_F32, ARCH_FIELD(f), min, max, false }
#define NEED_U32(name, f, min, max) { name, ARCH_U32, ARCH_FIELD(f), min, max, true }
#define NEED_F32(name, f, min, max) { name, ARCH_F32, ARCH_FIELD(f), min, max, true }
#define KEY_ONLY(name, a, b) { name, ARCH_ONLY, 0, a, b, false }
#define KEY_KNOWN(name) { name, ARCH_KNOWN, 0, 0, 0, false }

struct arch_tensor {
	const char *name;	/* behind "blk.N." if it is of a block */
	int slot;		/* of its layer's weights */
	size_t rows, cols;	/* ARCH_FIELD()s; a vector has one row, and is F32 or made so */
	bool optional;
	const char *otherwise;	/* the tensor to take if there is none of this name, or NULL */
	/* The tensor of the block that holds this one among others, if there is none of this name, or
	 * NULL; where in it this one begins, and how long it is: ARCH_FIELD()s of rows, or of numbers. */
	const char *whole;
	size_t from, all;
};

#define MATRIX(name, slot, rows, cols) \
	{ name, slot, ARCH_FIELD(rows), ARCH_FIELD(cols), false, NULL, NULL, 0, 0 }
#define MATRIX_OR(name, slot, rows, cols, other) \
	{ name, slot, ARCH_FIELD(rows), ARCH_FIELD(cols), false, other, NULL, 0, 0 }
#define MATRIX_OF(name, slot, rows, cols, whole, from, all) \
	{ name, slot, ARCH_FIELD(rows), ARCH_FIELD(cols), false, NULL, whole, ARCH_FIELD(from), ARCH_FIELD(all) }
#define NORM(name, slot, cols) \
	{ name, slot, ARCH_FIELD(one), ARCH_FIELD(cols), false, NULL, NULL, 0, 0 }
#define BIAS(name, slot, cols) \
	{ name, slot, ARCH_FIELD(one), ARCH_FIELD(cols), true, NULL, NULL, 0, 0 }
#define BIAS_OF(name, slot, cols, whole, from, all) \
	{ name, slot, ARCH_FIELD(one), ARCH_FIELD(cols), true, NULL, whole, ARCH_FIELD(from), ARCH_FIELD(all) }

#define ARCH_N(a) (sizeof(a) / sizeof((a)[0]))

struct arch_layer {
	const struct layer_kind *kind;
	const struct arch_tensor *tensors;
	unsigned int n_tensors;
	/* Parameters of the kind, and what it keeps of a sequence; NULL: it has none. */
	void (*set)(struct layer *l, const struct hparams *h, const struct accel_model *m);
};

struct arch {
	const char *name;		/* general.architecture, and the prefix of keys */
	const struct arch_key *keys;
	unsigned int n_keys;
	/* What is not said follows from what is; checks that concern several keys, which fail(). */
	int (*derive)(struct hparams *h, const char *path);
	bool rope;			/* with rotary positions: their keys and tensors, arch/rope.c */
	bool rope_half;			/* struct rope's half */
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
	struct hparams h;
	bool *used;			/* [tensors of the file] */
};

/* A tensor of this name if the file has one, its shape and type checked, and noted as used.  -ENOENT,
 * without a sentence: it has none. */
int loader_take(struct loader *ld, const char *name, uint32_t rows, uint32_t cols, struct weight *w);
/* The table of keys of rotary positions, and what they say. */
extern const struct arch_key rope_keys[];
extern const unsigned int n_rope_keys;
int loader_rope(struct loader *ld, struct rope *r);

#endif
