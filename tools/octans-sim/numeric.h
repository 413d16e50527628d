/* SPDX-License-Identifier: MIT */
/*
 * The model's arithmetic: Documentation/hardware/numerics.rst, on arrays.  None of it touches the
 * memory of a job, all of it may be called by several threads at once.
 */
#ifndef OCTANS_SIM_NUMERIC_H
#define OCTANS_SIM_NUMERIC_H

#include <stdbool.h>
#include <stdint.h>

/* Levels, not models: "arch=haswell" would leave every other maker's processors out.  The bits are
 * the same at every level because every fused step says fmaf() and nothing else is contracted. */
#if defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__)
#define SIM_LEVELS 1
#endif
/* A sanitizer is not there yet when the loader chooses among clones. */
#if defined(SIM_LEVELS) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SIM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), \
				  optimize("O3")))
#else
#define SIM_CLONES
#endif
/* What a cloned function calls must become part of it, or it is compiled only once. */
#define SIM_PART static inline __attribute__((always_inline))

/* ---- types of elements ---- */

/* Elements and bytes of a block of @type; false if weights cannot have it. */
bool sim_type_block(uint32_t type, uint32_t *elements, uint32_t *bytes);
bool sim_type_is_float(uint32_t type);
/* What addresses and strides of @type (or I32) are multiples of. */
uint32_t sim_type_align(uint32_t type);
/* Bit n: weights can have type n. */
uint64_t sim_type_mask(void);

/* ---- weights: unpack.c ---- */

#define SIM_BLOCK 256u		/* elements that are unpacked at a time */

/*
 * A piece of a row of weights for products with many rows of x.  Of integers, w is the code times
 * its scale within the block; of floats, element 8 g + p is w[32 p + g], for the eight sums of
 * dot8, and what is missing is -0: added as a product with +0 it changes nothing.
 */
struct sim_block {
	float w[SIM_BLOCK];
	float d[8];		/* of blocks of 32: of each; else d[0] */
	float dmin, m[16];	/* the minima of its parts, or m of each block of 32 */
};

/* @n elements, at most SIM_BLOCK and whole blocks of the type, from @from on. */
void sim_unpack_block(struct sim_block *b, const uint8_t *from, uint32_t type, uint32_t n);

/* Weights to F32: @n elements, whole blocks. */
void sim_unpack_f32(float *to, const uint8_t *from, uint32_t type, uint32_t n);
/* Keys and values for 16-bit multipliers: F16 as it is, Q8_0 rounded to F16; F32 as it is. */
void sim_unpack_kv(float *to, const uint8_t *from, uint32_t type, uint32_t n);

/* ---- rows of x as int8 ---- */

struct sim_quant {
	float *d, *xs;		/* [n / 32] */
	int16_t *q;		/* [n]: -127 .. 127 */
};

/* Blocks of 32 elements; @n a multiple of that. */
void sim_quantize(const struct sim_quant *x, const float *row, uint32_t n);

/* ---- rounding ---- */

void sim_round_f16(float *y, const float *x, uint32_t n);	/* stays F32 */
void sim_round_bf16(float *y, const float *x, uint32_t n);
/* To F32, F16, BF16 or Q8_0 as stored, NaNs canonical; @n whole blocks. */
void sim_pack(uint8_t *to, const float *x, uint32_t type, uint32_t n);
void sim_canonical(float *x, uint32_t n);

/* ---- sums ---- */

/* Lanes of sum8 and dot8 go on over @n elements; @n a multiple of 8 but for the last piece. */
void sim_dot_lanes(float lane[8], const float *x, const float *y, uint32_t n);
void sim_sum_lanes(float lane[8], const float *x, uint32_t n);
float sim_fold(const float lane[8]);
/* out[r * apart] = dot8(x[r], y) for @rows rows of x, @n wide. */
void sim_dot_rows(float *out, uint64_t apart, const float *x, const float *y, uint32_t rows,
		  uint32_t n);

/* ---- functions ---- */

float sim_exp(float x);
void sim_exp_row(float *y, const float *x, float minus, uint32_t n);	/* exp(x - minus) */
void sim_cap(float *x, float cap, uint32_t n);			/* cap * tanh(x / cap) */
/* t = a, or a * imm[0] + imm[1]; y = f(t).  f: enum octans_map */
void sim_map(float *y, const float *a, uint32_t f, bool affine, const float imm[4], uint32_t n);

/* y = x * a; x - a; x * w; x + w; fma(a, x, y).  y may be x. */
void sim_scale(float *y, const float *x, float a, uint32_t n);
void sim_subtract(float *y, const float *x, float a, uint32_t n);
void sim_multiply(float *y, const float *x, const float *w, uint32_t n);
void sim_divide(float *y, const float *x, const float *w, uint32_t n);
void sim_add(float *y, const float *x, const float *w, uint32_t n);
void sim_accumulate(float *y, float a, const float *x, uint32_t n);

/* One head; y may be x. */
void sim_rope(float *y, const float *x, const float *cs, uint32_t n, uint32_t first, uint32_t rot,
	      bool half);
/* y[c] = the sum over j of w[j][c] * in[j][c] (+ bias[c]) over @n channels; rows @stride apart. */
void sim_conv(float *y, const float *const *in, const float *w, const float *bias, uint32_t taps,
	      uint32_t stride, uint32_t n);
/* One row of the state of a recurrence, @n wide. */
float sim_scan_ssm(float *s, const float *k, const float *q, float decay, float u, uint32_t n);
float sim_scan_delta(float *s, const float *k, const float *q, const float *decay, float v,
		     float beta, uint32_t n);

#endif
