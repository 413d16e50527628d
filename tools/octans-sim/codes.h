/* SPDX-License-Identifier: MIT */
/*
 * The types of weights, each in one place: its line in SIM_TYPES, and the function that makes a block
 * of it (GGML's layouts) the codes of numerics.rst.  For functions that are compiled at several levels.
 */
#ifndef OCTANS_SIM_CODES_H
#define OCTANS_SIM_CODES_H

#include <string.h>

#include <octans/isa.h>

#include "bits.h"

/* gcc unrolls a short loop before it could vectorise it. */
#ifdef __clang__
#define ROLLED
#else
#define ROLLED _Pragma("GCC unroll 1")
#endif

enum sim_form {
	SIM_FLOATS,
	SIM_SIMPLE,	/* 32 elements: one scale, perhaps one minimum */
	SIM_NESTED,	/* 256 elements: scales, perhaps minima, of parts in int8, and one of them all */
};

struct sim_type {
	uint32_t elements, bytes;	/* of a block */
	enum sim_form form;
	uint32_t part;			/* of NESTED: elements that share a scale, 16 or 32 */
	bool mins;
	uint32_t d, m;			/* where their F16 are */
	bool exponent;			/* d is the exponent of a power of two, a byte */
	uint32_t most;			/* the largest magnitude of a code */
};

/* NAME, name, form, codes (NARROW: many products fit 16 bits; WIDE: not; FLOAT), the rest */
#define SIM_TYPES(X) \
	X(F32, f32, FLOATS, FLOAT, 1, 4) \
	X(F16, f16, FLOATS, FLOAT, 1, 2) \
	X(BF16, bf16, FLOATS, FLOAT, 1, 2) \
	X(Q4_0, q4_0, SIMPLE, NARROW, 32, 18, .most = 8) \
	X(Q5_0, q5_0, SIMPLE, NARROW, 32, 22, .most = 16) \
	X(Q8_0, q8_0, SIMPLE, WIDE, 32, 34, .most = 128) \
	X(Q4_K, q4_k, NESTED, NARROW, 256, 144, .part = 32, .mins = true, .m = 2, .most = 15) \
	X(Q6_K, q6_k, NESTED, NARROW, 256, 210, .part = 16, .d = 208, .most = 32)

#define SIM_TRAITS(NAME, name, form_, codes, elements_, bytes_, ...) \
static const struct sim_type type_##name __attribute__((unused)) = { \
	.elements = elements_, .bytes = bytes_, .form = SIM_##form_, ##__VA_ARGS__ \
};
SIM_TYPES(SIM_TRAITS)
#undef SIM_TRAITS

/* NULL: weights cannot have it. */
const struct sim_type *sim_type(uint32_t type);

/* ---- codes: signed, or from 0 on where there are minima ---- */

/* Scales and minima of the parts, a byte each. */
struct sim_parts {
	uint32_t scale[4], min[4];
};

/* 16 bytes, low nibbles first; greater by @offset than they are. */
SIM_PART void codes_nibbles(int16_t *restrict code, const uint8_t *restrict q, int offset)
{
	ROLLED
	for (int i = 0; i < 16; i++)
		code[i] = (int16_t)((q[i] & 15) - offset);
	ROLLED
	for (int i = 0; i < 16; i++)
		code[i + 16] = (int16_t)((q[i] >> 4) - offset);
}

/* Nibbles and a word of fifth bits. */
SIM_PART void codes_five(int16_t *restrict code, const uint8_t *restrict q, const uint8_t *fifth, int offset)
{
	uint32_t high = bits_half_at(fifth) | bits_half_at(fifth + 2) << 16;

	ROLLED
	for (int i = 0; i < 16; i++)
		code[i] = (int16_t)((q[i] & 15) + 16 * (int)(high >> i & 1) - offset);
	ROLLED
	for (int i = 0; i < 16; i++)
		code[i + 16] = (int16_t)((q[i] >> 4) + 16 * (int)(high >> (i + 16) & 1) - offset);
}

SIM_PART void codes_q4_0(int16_t *code, const uint8_t *block)
{
	codes_nibbles(code, block + 2, 8);
}

SIM_PART void codes_q5_0(int16_t *code, const uint8_t *block)
{
	codes_five(code, block + 6, block + 2, 16);
}

/* WIDE types have their codes as bytes, too, in @room or where they are. */
SIM_PART void codes_of_bytes(int16_t *restrict code, const int8_t *restrict bytes)
{
	ROLLED
	for (int i = 0; i < 32; i++)
		code[i] = bytes[i];
}

SIM_PART const int8_t *bytes_q8_0(int8_t *room, const uint8_t *block)
{
	(void)room;
	return (const int8_t *)block + 2;
}

SIM_PART void codes_q8_0(int16_t *code, const uint8_t *block)
{
	codes_of_bytes(code, bytes_q8_0(NULL, block));
}

/* Six bits each, in 12 bytes @s. */
SIM_PART void parts_of_six(struct sim_parts *p, const uint8_t *s)
{
	uint32_t a, b, c;

	memcpy(&a, s, sizeof(a));
	memcpy(&b, s + 4, sizeof(b));
	memcpy(&c, s + 8, sizeof(c));
	p->scale[0] = a & 0x3f3f3f3f;
	p->min[0] = b & 0x3f3f3f3f;
	p->scale[1] = (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030);
	p->min[1] = (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030);
}

SIM_PART void codes_q4_k(int16_t *restrict code, struct sim_parts *p, const uint8_t *restrict block)
{
	const uint8_t *q = block + 16;

	parts_of_six(p, block + 4);
	for (int g = 0; g < 4; g++) {
		ROLLED
		for (int i = 0; i < 32; i++)
			code[64 * g + i] = q[32 * g + i] & 15;
		ROLLED
		for (int i = 0; i < 32; i++)
			code[64 * g + 32 + i] = q[32 * g + i] >> 4;
	}
}

SIM_PART void codes_q6_k(int16_t *restrict code, struct sim_parts *p, const uint8_t *restrict block)
{
	memcpy(p->scale, block + 192, 16);
	for (int h = 0; h < 2; h++) {
		const uint8_t *ql = block + 64 * h, *qh = block + 128 + 32 * h;
		int16_t *to = code + 128 * h;

		ROLLED
		for (int l = 0; l < 32; l++)
			to[l] = (int16_t)(((ql[l] & 15) | (qh[l] & 3) << 4) - 32);
		ROLLED
		for (int l = 0; l < 32; l++)
			to[l + 32] = (int16_t)(((ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4) - 32);
		ROLLED
		for (int l = 0; l < 32; l++)
			to[l + 64] = (int16_t)(((ql[l] >> 4) | (qh[l] >> 4 & 3) << 4) - 32);
		ROLLED
		for (int l = 0; l < 32; l++)
			to[l + 96] = (int16_t)(((ql[l + 32] >> 4) | (qh[l] >> 6) << 4) - 32);
	}
}

/* ---- scales ---- */

/* 2^(e - 128), subnormal for the two least. */
SIM_PART float power_of_two(uint32_t e)
{
	return bits_to_f32(e < 2 ? 0x200000u << e : (e - 1) << 23);
}

SIM_PART float scale_at(const struct sim_type *t, const uint8_t *block)
{
	return t->exponent ? power_of_two(block[t->d]) : f16_at(block + t->d);
}

SIM_PART float signed_part(const uint32_t *words, uint32_t i)
{
	return (int8_t)(words[i / 4] >> i % 4 * 8);
}

SIM_PART float part(const uint32_t *words, uint32_t i)
{
	return (uint8_t)(words[i / 4] >> i % 4 * 8);
}

/* ---- floats ---- */

/* As halfwords, so that the conversion vectorises. */
typedef uint16_t half __attribute__((aligned(1), may_alias));

SIM_PART void floats_f32(float *restrict to, const uint8_t *restrict from, uint32_t n)
{
	memcpy(to, from, n * sizeof(*to));
}

SIM_PART void floats_f16(float *restrict to, const uint8_t *restrict from, uint32_t n)
{
	const half *h = (const half *)from;

	for (size_t i = 0; i < n; i++)
		to[i] = f16_to_f32(h[i]);
}

SIM_PART void floats_bf16(float *restrict to, const uint8_t *restrict from, uint32_t n)
{
	const half *h = (const half *)from;

	for (size_t i = 0; i < n; i++)
		to[i] = bits_to_f32((uint32_t)h[i] << 16);
}

#endif
