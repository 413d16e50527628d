/* SPDX-License-Identifier: MIT */
/* What one ISA provides: operations on rows, which cpu.c shares out among threads. */
#ifndef ACCEL_KERNELS_H
#define ACCEL_KERNELS_H

#include "cpu.h"
#include "numeric.h"

struct kernels {
	const char *name;
	/* x[n], n a multiple of 32, to n / 32 blocks */
	void (*quantize)(struct q8_block *q, const float *x, uint32_t n);
	/*
	 * y[t * y_stride + r] for rows [0, rows) of w and tokens [0, tokens): the sum of
	 * products, without bias or addition.  xq: quantised tokens, blocks of a token
	 * together; xf: the tokens themselves, x_stride floats apart, for float weights.
	 * y may be anything before, and has room for rows rounded up to eight.
	 */
	void (*matmul)(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		       uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		       size_t x_stride, uint32_t tokens);
	float (*dot)(const float *x, const float *y, uint32_t n);
	void (*rmsnorm)(float *y, const float *x, const float *w, uint32_t n, float eps);
	void (*glu)(float *y, const float *gate, const float *up, uint32_t n);
	void (*add)(float *y, const float *a, const float *b, uint32_t n);
	/* One head of one token: scores is scratch of n floats; k, v rows are stride floats apart. */
	void (*attend)(float *dst, const float *q, const float *k, const float *v, size_t stride,
		       uint32_t n, uint32_t head_dim, float scale, float *scores);
};

extern const struct kernels kernels_scalar;
/* NULL if this build or this machine has none. */
const struct kernels *kernels_avx2(void);

/* Row of weights to F32 (numerics.rst, EMBED); the same code for every ISA. */
void dequantize_row(float *dst, const uint8_t *src, uint32_t type, uint32_t n);
void rope_heads(float *dst, const float *x, const float *cs, uint32_t heads, uint32_t head_dim,
		uint32_t rot, bool half);

/* The eight scales and mins of a Q4_K block. */
static inline void q4k_scales(const uint8_t *s, uint8_t sc[8], uint8_t m[8])
{
	for (int j = 0; j < 4; j++) {
		sc[j] = s[j] & 63;
		m[j] = s[j + 4] & 63;
		sc[j + 4] = (s[j + 8] & 15) | (s[j] >> 6) << 4;
		m[j + 4] = (s[j + 8] >> 4) | (s[j + 4] >> 6) << 4;
	}
}

#endif
