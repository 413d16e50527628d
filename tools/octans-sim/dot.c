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
	uint32_t scale[4][DOT_ROWS], min[4][DOT_ROWS];	/* of NESTED: four bytes each */
	uint16_t d[8][DOT_ROWS], m[8][DOT_ROWS];	/* as they are stored; of NESTED: [0] */
};

/* Eight rows at once are more than processors see coming. */
SIM_PART void dot_prefetch(const uint8_t *p, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i += 64)
		__builtin_prefetch(p + i);
}

SIM_PART void dot_factors(struct dot_rows *w, const struct sim_type *t, uint32_t j, uint32_t r,
			  const uint8_t *block)
{
	w->d[j][r] = t->exponent ? block[t->d] : (uint16_t)bits_half_at(block + t->d);
	if (t->mins)
		w->m[j][r] = (uint16_t)bits_half_at(block + t->m);
}

SIM_PART void dot_parts(struct dot_rows *w, const struct sim_type *t, uint32_t r,
			const struct sim_parts *p)
{
	for (uint32_t j = 0; j < 64 / t->part; j++) {
		w->scale[j][r] = p->scale[j];
		if (t->mins)
			w->min[j][r] = p->min[j];
	}
}

/* Row @r from byte @from on, @n elements. */
#define UNPACK_SIMPLE(name) \
	dot_prefetch(from + ahead, n / 32 * type_##name.bytes); \
	for (uint32_t j = 0; j < n / 32; j++, from += type_##name.bytes) { \
		codes_##name(w->code[r] + 32 * j, from); \
		dot_factors(w, &type_##name, j, r, from); \
	}
#define UNPACK_NESTED(name) \
	(void)n;	/* one block */ \
	dot_prefetch(from + ahead, type_##name.bytes); \
	codes_##name(w->code[r], &parts, from); \
	dot_parts(w, &type_##name, r, &parts); \
	dot_factors(w, &type_##name, 0, r, from);

/* How @n elements from element @at on of the rows are unpacked. */
#define UNPACK_FLOAT(name, form)
#define UNPACK_WIDE(name, form)
#define UNPACK_NARROW(name, form) \
SIM_PART void unpack_##name(struct dot_rows *w, const uint8_t *const *rows, size_t ahead, \
			    uint32_t at, uint32_t n) \
{ \
	struct sim_parts parts __attribute__((unused)); \
	\
	for (uint32_t r = 0; r < DOT_ROWS; r++) { \
		const uint8_t *from = rows[r] + at / type_##name.elements * type_##name.bytes; \
		\
		UNPACK_##form(name) \
	} \
}
#define UNPACK(NAME, name, form, codes, ...) UNPACK_##codes(name, form)
SIM_TYPES(UNPACK)
#undef UNPACK

/* The sums of sixteen. */
SIM_PART void dot_halves(float *half, const int16_t *x)
{
	for (int h = 0; h < 16; h++) {
		int sum = 0;

		ROLLED
		for (int i = 0; i < 16; i++)
			sum += x[16 * h + i];
		half[h] = (float)sum;
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

SIM_PART float wide_sum(const int8_t *restrict code, const int16_t *restrict q)
{
	int32_t sum = 0;

	ROLLED
	for (int i = 0; i < 32; i++)
		sum += (int16_t)code[i] * q[i];
	return (float)sum;
}

/* Some blocks ahead: what was just stored by pieces is slow to load as a whole. */
#define WIDE_SIMPLE(name) \
	for (uint32_t b = 0, some; b < n / 32; b += some) { \
		const uint32_t most = type_##name.in_place ? 1 : 8; \
		const int8_t *code[8]; \
		\
		some = n / 32 - b < most ? n / 32 - b : most; \
		for (uint32_t j = 0; j < some; j++) \
			code[j] = bytes_##name(room + 32 * j, row + j * type_##name.bytes); \
		for (uint32_t j = 0; j < some; j++, row += type_##name.bytes) \
			*acc = fmaf(scale_at(&type_##name, row) * x->d[b + j], \
				    wide_sum(code[j], x->q + 32ull * (b + j)), *acc); \
	}
#define WIDE_NESTED(name) \
	for (uint32_t b = 0; b < n / 32; b += 8, row += type_##name.bytes) { \
		const int8_t *code = bytes_##name(room, &parts, row); \
		float a = 0; \
		\
		for (uint32_t j = 0; j < 8; j++) \
			a = fmaf(x->d[b + j], signed_part(parts.scale, j) * \
				 wide_sum(code + 32 * j, x->q + 32ull * (b + j)), a); \
		*acc = fmaf(scale_at(&type_##name, row), a, *acc); \
	}

/* Codes whose products need 32 bits at once. */
SIM_CLONES static void dot_wide(float *acc, const uint8_t *row, uint32_t type,
				const struct sim_quant *x, uint32_t n)
{
	struct sim_parts parts __attribute__((unused));
	int8_t room[SIM_BLOCK];

	switch (type) {
#define IF_FLOAT(NAME, name, form)
#define IF_NARROW(NAME, name, form)
#define IF_WIDE(NAME, name, form) case OCTANS_TYPE_##NAME: WIDE_##form(name) break;
#define CASE(NAME, name, form, codes, ...) IF_##codes(NAME, name, form)
	SIM_TYPES(CASE)
#undef CASE
	}
}

/* Of floats, by way of memory: both loops are then simple. */
#define SUM_FLOATS(name) \
	for (uint32_t k; n; n -= k, row += (size_t)k * type_##name.bytes, x += k) { \
		size_t i; \
		\
		k = n < SIM_BLOCK ? n : SIM_BLOCK; \
		floats_##name(w, row, k); \
		for (i = 0; i + 8 <= k; i += 8) \
			for (size_t l = 0; l < 8; l++) \
				a[l] = fmaf(w[i + l], x[i + l], a[l]); \
		for (size_t l = 0; i < k; i++, l++) \
			a[l] = fmaf(w[i], x[i], a[l]); \
	}

SIM_CLONES static void dot_floats(float *acc, const uint8_t *row, uint32_t type, const float *x,
				  uint32_t n)
{
	float a[8], w[SIM_BLOCK];

	memcpy(a, acc, sizeof(a));
	switch (type) {
#define SUM_FLOAT(NAME, name) case OCTANS_TYPE_##NAME: SUM_FLOATS(name) break;
#define SUM_NARROW(NAME, name)
#define SUM_WIDE(NAME, name)
#define CASE(NAME, name, form, codes, ...) SUM_##codes(NAME, name)
	SIM_TYPES(CASE)
#undef CASE
	}
	memcpy(acc, a, sizeof(a));
}

void sim_dot(float *acc, const uint8_t *const *rows, size_t ahead, uint32_t type, const float *f,
	     const struct sim_quant *x, uint32_t n)
{
	if (sim_type_is_float(type)) {
		for (uint32_t r = 0; r < DOT_ROWS; r++)
			dot_floats(acc + 8 * r, rows[r], type, f, n);
		return;
	}
	switch (type) {
#define LONE_FLOAT(NAME)
#define LONE_NARROW(NAME)
#define LONE_WIDE(NAME) case OCTANS_TYPE_##NAME:
#define CASE(NAME, name, form, codes, ...) LONE_##codes(NAME)
	SIM_TYPES(CASE)
#undef CASE
		for (uint32_t r = 0; r < DOT_ROWS; r++)
			dot_wide(acc + r, rows[r], type, x, n);
		return;
	}
#ifdef SIM_LEVELS
	if (__builtin_cpu_supports("x86-64-v3"))
		return dot_v3(acc, rows, ahead, type, x, n);
#endif
	dot_default(acc, rows, ahead, type, x, n);
}
