/* SPDX-License-Identifier: MIT */
/* What one instruction set provides: operations on rows, which op/ shares out among threads. */
#ifndef ACCEL_KERNELS_H
#define ACCEL_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "type/numeric.h"
#include "type/type.h"

#define ATTEND_HEADS	4u	/* that a kernel takes at once */

/* One row of q, some heads of one group, which share their keys and values. */
struct attend {
	uint32_t heads;		/* 1 .. ATTEND_HEADS */
	uint32_t dk, dv;
	uint32_t k_type, v_type;
	float *dst;		/* [heads][dv] */
	const float *q;		/* [heads][dk] */
	const uint8_t *k, *v;	/* row 0 of the pools, at the group's elements */
	uint64_t k_stride, v_stride;
	uint32_t n;		/* positions, at least 1 */
	const uint32_t *row;	/* [n]: rows of the pools */
	const int32_t *position;	/* [n] */
	float scale, cap;
	const float *sinks, *slopes;	/* of these heads, or NULL */
	/* scratch */
	float *q_used;		/* [heads][dk] */
	float *scores;		/* [heads][scores_stride], a multiple of eight not below n */
	size_t scores_stride;
	float *acc;		/* [heads][dv] */
};

/* All rows of some channels.  Strides are in floats. */
struct conv {
	float *dst;
	const float *x, *w, *bias;	/* bias or NULL */
	size_t dst_stride, x_stride, w_stride;
	uint32_t taps, m;
	uint32_t channels;	/* of the whole command: floats from input to input of a slot */
	float *state;
	size_t state_stride;
	const uint8_t *slot;	/* row i, two i32, at slot + i * slot_stride */
	size_t slot_stride;
};

/* All rows of one head.  Pointers are to the head's elements of row 0; strides are in floats. */
struct scan {
	bool delta;
	float *dst;
	const float *v, *k, *q, *g, *beta;	/* beta: DELTA alone */
	size_t dst_stride, v_stride, k_stride, q_stride, g_stride, beta_stride;
	bool decays;		/* DELTA: g has one of each j, else one of the head */
	float a, d, scale;
	bool has_d;
	uint32_t dk, dv, m;
	float *state;		/* the head's [dv][dk] of slot 0 */
	size_t state_stride;
	const uint8_t *slot;	/* as in struct conv */
	size_t slot_stride;
	float *decay, *s;	/* scratch, [dk] each */
};

struct kernels {
	const char *name;
	int score;			/* of those that a machine has, the highest is taken */
	bool (*supported)(void);	/* by this machine; NULL: this build has nothing of it */
	/* What is NULL below is taken from here: an instruction set may do one thing faster. */
	const struct kernels *base;
	/* x[n], n a multiple of 32, to n / 32 blocks */
	void (*quantize)(struct q8_block *q, const float *x, uint32_t n);
	/*
	 * y[t * y_stride + r] for rows [0, rows) of w and tokens [0, tokens): the sum of
	 * products, without bias or addition.  xq: quantised tokens, blocks of a token
	 * together; xf: the tokens themselves, x_stride floats apart, for float weights.
	 * Token t is number pick[t] of them, or t if pick is NULL.
	 * y may be anything before.
	 */
	void (*matmul)(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		       uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		       size_t x_stride, const uint32_t *pick, uint32_t tokens);
	/* dst = y (+ bias) or dst + (y (+ bias)); bias may be NULL */
	void (*store_product)(float *dst, const float *y, const float *bias, bool add, uint32_t n);
	/* Weights to F32; F32 to F32, F16, BF16 or Q8_0, rounded, NaNs canonical. */
	void (*load)(float *dst, const uint8_t *src, uint32_t type, uint32_t n);
	void (*store)(uint8_t *dst, const float *src, uint32_t type, uint32_t n);
	/* One group of ROW; kind: enum octans_row; w, bias: [n] or NULL.  y may be x but for SUM */
	void (*row)(float *y, const float *x, const float *w, const float *bias, uint32_t n,
		    uint32_t kind, float eps);
	/* One row of MAP; b: [n], or one element if b_one, or NULL. */
	void (*map)(float *dst, const float *a, const float *b, bool b_one, uint32_t n,
		    uint16_t flags, const float imm[4]);
	/* The rotated elements of one head, rot of them; cs as in ROPE. */
	void (*rotate)(float *dst, const float *x, const float *cs, uint32_t rot, bool half);
	void (*attend)(const struct attend *a);
	/* The first c in from .. to - 1 with x[c] (+ bias[c]) > key, else to.  bias may be NULL. */
	uint32_t (*find_above)(const float *x, const float *bias, uint32_t from, uint32_t to,
			       float key);
	/* Channels from .. to - 1. */
	void (*conv)(const struct conv *c, uint32_t from, uint32_t to);
	void (*scan)(const struct scan *s);
};

/* Instruction set i of those in this build; NULL behind the last.  MT-safe. */
const struct kernels *isa_at(size_t i);
/* By its name; NULL or "auto": the best that this machine has.  NULL: unknown, or not for this
 * build or this machine.  MT-safe. */
const struct kernels *isa_find(const char *name);
/* Takes what k lacks from its base.  -ENOSYS: nobody has it.  MT-safe. */
int isa_complete(struct kernels *k);

/* Those that others may be based on. */
extern const struct kernels isa_scalar, isa_avx2;

/* The two slots of row i of CONV and SCAN. */
static inline void load_slots(const uint8_t *slot, size_t stride, uint32_t i, int32_t slots[2])
{
	memcpy(slots, slot + i * stride, 8);
}

/* n elements, whole blocks, of a row of a pool as ATTEND multiplies them: F16 unless F32. */
void pool_elements(float *dst, const uint8_t *src, uint32_t type, uint32_t n);

/* The scalar load and store, for types that an ISA has nothing faster for. */
void load_row(float *dst, const uint8_t *src, uint32_t type, uint32_t n);
void store_row(uint8_t *dst, const float *src, uint32_t type, uint32_t n);

/* Scalar matrix products (scalar_matmul.c). */
void scalar_quantize(struct q8_block *q, const float *x, uint32_t n);
void scalar_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		   uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		   size_t x_stride, const uint32_t *pick, uint32_t tokens);

#endif
