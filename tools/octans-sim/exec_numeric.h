/* SPDX-License-Identifier: MIT */
/* The model's arithmetic: Documentation/hardware/numerics.rst, on arrays. */
#ifndef OCTANS_SIM_EXEC_NUMERIC_H
#define OCTANS_SIM_EXEC_NUMERIC_H

#include <stdbool.h>
#include <stdint.h>

/* One row of activations as the multipliers see it. */
struct sim_quant {
	float *d;		/* [cols / 32] */
	float *xs;		/* [cols / 32] */
	int8_t *q;		/* [cols] */
};

/* One row of weights, unpacked.  Float types use f; integer types codes and scales. */
struct sim_row {
	float *f;		/* [cols] */
	int8_t *code;		/* [cols]: signed code; Q4_K: unsigned */
	int16_t *scaled;	/* [cols]: Q6_K, code * scale */
	float *d, *dmin;	/* [cols / block] */
	int16_t *scale;		/* [cols / 16]: Q4_K one per 32 (two equal), Q6_K one per 16 */
	uint8_t *min;		/* [cols / 32]: Q4_K */
};

bool sim_type_block(uint32_t type, uint32_t *elements, uint32_t *bytes);
bool sim_type_is_float(uint32_t type);

void sim_quantize(struct sim_quant *x, const float *row, uint32_t cols);
void sim_unpack(struct sim_row *w, const uint8_t *row, uint32_t type, uint32_t cols);
/* out[t] = product of the row with token t; xf: float tokens, xq: quantised ones. */
void sim_dot_row(float *out, const struct sim_row *w, uint32_t type, uint32_t cols,
		 const float *const *xf, const struct sim_quant *xq, uint32_t tokens);
void sim_dequantize(float *out, const struct sim_row *w, uint32_t type, uint32_t cols);

float sim_dot8(const float *x, const float *y, uint32_t n);
void sim_rmsnorm(float *y, const float *x, const float *w, uint32_t n, float eps);
void sim_rope(float *y, const float *x, const float *cs, uint32_t heads, uint32_t head_dim,
	      uint32_t rot, bool half);
void sim_silu_mul(float *y, const float *gate, const float *up, uint32_t n);
/* scores to weights in place; the result is 1 / their sum. */
float sim_softmax(float *scores, uint32_t n);
/* acc[d] = fma(weight, v[d], acc[d]) */
void sim_accumulate(float *acc, const float *v, float weight, uint32_t n);

#endif
