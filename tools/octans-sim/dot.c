// SPDX-License-Identifier: MIT
#include "dot.h"

#include <math.h>
#include <string.h>

#include <octans/isa.h>

#include "codes.h"

#ifndef __clang__
#pragma GCC optimize("O3")
#endif

/* ---- integers, DOT_ROWS rows at a time ---- */

struct dot_rows {
	int16_t code[DOT_ROWS][SIM_BLOCK];
	uint32_t scale[4][DOT_ROWS], min[2][DOT_ROWS];	/* of K types: four bytes each */
	uint16_t d[8][DOT_ROWS], dmin[DOT_ROWS];	/* F16 */
};

/* Eight rows at once are more than processors see coming. */
SIM_PART void dot_prefetch(const uint8_t *p, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i += 64)
		__builtin_prefetch(p + i);
}

/* @n elements from element @at on. */
SIM_PART void dot_unpack(struct dot_rows *w, const uint8_t *const *rows, size_t ahead,
			 uint32_t type, uint32_t at, uint32_t n)
{
	for (uint32_t r = 0; r < DOT_ROWS; r++) {
		const uint8_t *from;
		uint32_t scale[4], min[2];

		switch (type) {
		case OCTANS_TYPE_Q4_0:
			from = rows[r] + at / 32 * 18;
			dot_prefetch(from + ahead, n / 32 * 18);
			for (uint32_t j = 0; j < n / 32; j++, from += 18) {
				codes_q4_0(w->code[r] + 32 * j, from + 2);
				w->d[j][r] = bits_half_at(from);
			}
			break;
		case OCTANS_TYPE_Q5_0:
			from = rows[r] + at / 32 * 22;
			dot_prefetch(from + ahead, n / 32 * 22);
			for (uint32_t j = 0; j < n / 32; j++, from += 22) {
				codes_q5_0(w->code[r] + 32 * j, from);
				w->d[j][r] = bits_half_at(from);
			}
			break;
		case OCTANS_TYPE_Q4_K:
			from = rows[r] + at / SIM_BLOCK * 144;
			dot_prefetch(from + ahead, 144);
			codes_q4_k(w->code[r], from + 16);
			scales_q4_k(scale, min, from + 4);
			for (int j = 0; j < 2; j++) {
				w->scale[j][r] = scale[j];
				w->min[j][r] = min[j];
			}
			w->d[0][r] = bits_half_at(from);
			w->dmin[r] = bits_half_at(from + 2);
			break;
		case OCTANS_TYPE_Q6_K:
			from = rows[r] + at / SIM_BLOCK * 210;
			dot_prefetch(from + ahead, 210);
			codes_q6_k(w->code[r], from);
			memcpy(scale, from + 192, 16);
			for (int j = 0; j < 4; j++)
				w->scale[j][r] = scale[j];
			w->d[0][r] = bits_half_at(from + 208);
			break;
		}
	}
}

#define LEVEL(name) name##_default
#define LANES 4
#include "dot_level.h"

#ifdef SIM_LEVELS
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define LEVEL(name) name##_v3
#define LANES 8
#include "dot_level.h"
#pragma GCC pop_options
#endif

/* ---- one row of weights ---- */

/* The codes of Q8_0 need no unpacking. */
SIM_CLONES static void dot_q8_0(float *acc, const uint8_t *row, const struct sim_quant *x,
				uint32_t n)
{
	for (uint32_t b = 0; b < n / 32; b++, row += 34) {
		const int8_t *code = (const int8_t *)row + 2;
		const int16_t *q = x->q + 32ull * b;
		int32_t sum = 0;

		ROLLED
		for (int i = 0; i < 32; i++)
			sum += (int16_t)code[i] * q[i];
		*acc = fmaf(f16_at(row) * x->d[b], (float)sum, *acc);
	}
}

/* Of floats, by way of memory: both loops are then simple. */
SIM_PART void floats_of(float *acc, const uint8_t *row, uint32_t type, const float *x, uint32_t n)
{
	uint32_t size = type == OCTANS_TYPE_F32 ? 4 : 2;
	float a[8], w[SIM_BLOCK];

	memcpy(a, acc, sizeof(a));
	for (uint32_t k; n; n -= k, row += k * size, x += k) {
		size_t i;

		k = n < SIM_BLOCK ? n : SIM_BLOCK;
		floats(w, row, type, k);
		for (i = 0; i + 8 <= k; i += 8)
			for (size_t l = 0; l < 8; l++)
				a[l] = fmaf(w[i + l], x[i + l], a[l]);
		for (size_t l = 0; i < k; i++, l++)
			a[l] = fmaf(w[i], x[i], a[l]);
	}
	memcpy(acc, a, sizeof(a));
}

SIM_CLONES static void dot_floats(float *acc, const uint8_t *row, uint32_t type, const float *x,
				  uint32_t n)
{
	switch (type) {
	case OCTANS_TYPE_F32:
		floats_of(acc, row, OCTANS_TYPE_F32, x, n);
		break;
	case OCTANS_TYPE_F16:
		floats_of(acc, row, OCTANS_TYPE_F16, x, n);
		break;
	case OCTANS_TYPE_BF16:
		floats_of(acc, row, OCTANS_TYPE_BF16, x, n);
		break;
	}
}

void sim_dot(float *acc, const uint8_t *const *rows, size_t ahead, uint32_t type, const float *f,
	     const struct sim_quant *x, uint32_t n)
{
	bool is_float = sim_type_is_float(type);

	for (uint32_t r = 0; r < DOT_ROWS && (is_float || type == OCTANS_TYPE_Q8_0); r++)
		if (is_float)
			dot_floats(acc + 8 * r, rows[r], type, f, n);
		else
			dot_q8_0(acc + r, rows[r], x, n);
	if (is_float || type == OCTANS_TYPE_Q8_0)
		return;
#ifdef SIM_LEVELS
	if (__builtin_cpu_supports("x86-64-v3"))
		return dot_v3(acc, rows, ahead, type, x, n);
#endif
	dot_default(acc, rows, ahead, type, x, n);
}
