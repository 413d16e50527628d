/* SPDX-License-Identifier: MIT */
/*
 * Recording: layers become commands of the command set (octans/isa.h), once, when a
 * session is made.  What differs from step to step comes from parameters and from arrays in
 * memory, so the same stream serves every step.  The processor and the CPU run the same
 * commands; only the addresses in them differ.
 */
#ifndef ACCEL_RECORD_H
#define ACCEL_RECORD_H

#include <octans/isa.h>

#include "model/layer.h"

/* What a session is made for. */
struct shape {
	uint32_t ctx;			/* positions */
	uint32_t batch;			/* most rows (tokens) of a step */
	uint32_t out;			/* most rows of logits of a step */
	enum accel_kv_type kv_type;
};

/* What one step computes. */
struct step {
	uint32_t n;		/* tokens */
	uint32_t pos;		/* position of the first */
	uint32_t out;		/* of how many, the last ones, logits are computed */
	uint32_t logits;	/* rows of them that io->logits gets: 0 or out */
	uint32_t top;		/* how many of the largest of row 0 io->top_ids gets, 0 = none */
};

/* The k largest logits are found by one of these commands, the first that finds enough. */
#define TOP_LISTS 3
extern const uint32_t top_sizes[TOP_LISTS];

/* Parameters of a step: numbers of rows. */
enum param {
	P_ROWS,				/* tokens */
	P_FIRST,			/* of them in the first group */
	P_SECOND,			/* and in the second, which may be empty */
	P_OUT,				/* tokens whose logits are computed */
	P_LOGITS,			/* rows of logits copied to memory of the process */
	P_TOP,				/* rows of which list i finds the largest: P_TOP + i */
	P_COUNT = P_TOP + TOP_LISTS,
};

/* Arrays of a step, I32: [batch, 1]; ranges [batch, 2]; wanted [out, 1]. */
struct arrays {
	uint64_t tokens;		/* ids */
	uint64_t positions;		/* which are rows of the KV cache, too */
	uint64_t ranges;		/* positions attended to */
	uint64_t wanted;		/* rows of X that logits are computed of */
};

/* Addresses: of the device, or of this process. */
struct layer_places {
	uint64_t w[LAYER_WEIGHTS];
	uint64_t k, v;			/* [ctx][model_kv_row()] */
};

struct places {
	uint64_t buf[BUF_COUNT];	/* [batch][model_buf_cols()], LOGITS [out] */
	struct arrays step;
	uint64_t rope;			/* F32 [ctx, rot] */
	/* Results in memory of the process; logits: as buf[BUF_LOGITS] if nothing is to be copied. */
	uint64_t logits, top_ids, top_values;
	const struct layer_places *layers;	/* [n_layers] */
};

struct recorder {
	const struct accel_model *m;
	const struct shape *shape;
	const struct places *at;
	uint8_t *base;			/* where commands go; NULL: they are only counted */
	size_t size;			/* bytes so far */
	uint32_t rows;			/* OCTANS_DYN() of the rows that are worked on */
	int group;			/* of a layer that is recorded in groups, else -1 ... */
	size_t start;			/* ... and where it begins */
	uint64_t ops;			/* bit n: opcode n was used */
};

void recorder_begin(struct recorder *r, const struct accel_model *m, const struct shape *shape,
		    const struct places *at);
/* Appends a command; cmd.op, flags and size are filled in. */
void record(struct recorder *r, enum octans_op op, uint16_t flags, void *cmd, uint32_t size);
/* Rows are worked on in two groups, command by command in turn: what the vector engine does for one
 * runs beside the multipliers of the other.  One token is a group by itself. */
void record_layer(struct recorder *r, uint32_t layer);
/* The arrays of a step, from where the process wrote them to r->at->step. */
void record_stage(struct recorder *r, const struct arrays *from);
/* Rows of the residual stream from one place to another. */
void record_border(struct recorder *r, uint64_t to, uint64_t from);
void record_counters(struct recorder *r, uint64_t va);

/* Bytes of a layer's commands; *ops gets the operations that it uses. */
size_t record_size(const struct accel_model *m, const struct shape *shape, uint32_t layer,
		   uint64_t *ops);

/* "MATMUL" */
const char *op_name(uint32_t op);

#endif
