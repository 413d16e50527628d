/* SPDX-License-Identifier: MIT */
/*
 * The types of weights, each in one place: its line in SIM_TYPES, and the function that makes a
 * block of it (GGML's layouts) the codes of numerics.rst.  For functions that are compiled at
 * several levels.
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
	SIM_NESTED,	/* 256 elements: scales, perhaps minima, of parts, and one of them all */
};

struct sim_type {
	uint32_t elements, bytes;	/* of a block */
	enum sim_form form;
	uint32_t part;			/* of NESTED: elements that share a scale, 16 or 32 */
	bool mins;
	uint32_t d, m;			/* where their F16 are */
	bool exponent;			/* d is the exponent of a power of two, a byte */
	bool in_place;			/* the codes are bytes of the block */
	uint32_t most;			/* the largest magnitude of a code */
};

/* NAME, name, form, codes (NARROW: many products fit 16 bits; WIDE: not; FLOAT), the rest */
#define SIM_TYPES(X) \
	X(F32, f32, FLOATS, FLOAT, 1, 4) \
	X(F16, f16, FLOATS, FLOAT, 1, 2) \
	X(BF16, bf16, FLOATS, FLOAT, 1, 2) \
	X(Q4_0, q4_0, SIMPLE, NARROW, 32, 18, .most = 8) \
	X(Q4_1, q4_1, SIMPLE, NARROW, 32, 20, .mins = true, .m = 2, .most = 15) \
	X(Q5_0, q5_0, SIMPLE, NARROW, 32, 22, .most = 16) \
	X(Q5_1, q5_1, SIMPLE, NARROW, 32, 24, .mins = true, .m = 2, .most = 31) \
	X(Q8_0, q8_0, SIMPLE, WIDE, 32, 34, .in_place = true, .most = 128) \
	X(Q2_K, q2_k, NESTED, NARROW, 256, 84, .part = 16, .mins = true, .d = 80, .m = 82, \
	  .most = 3) \
	X(Q3_K, q3_k, NESTED, NARROW, 256, 110, .part = 16, .d = 108, .most = 4) \
	X(Q4_K, q4_k, NESTED, NARROW, 256, 144, .part = 32, .mins = true, .m = 2, .most = 15) \
	X(Q5_K, q5_k, NESTED, NARROW, 256, 176, .part = 32, .mins = true, .m = 2, .most = 31) \
	X(Q6_K, q6_k, NESTED, NARROW, 256, 210, .part = 16, .d = 208, .most = 32) \
	X(IQ4_NL, iq4_nl, SIMPLE, WIDE, 32, 18, .most = 127) \
	X(IQ4_XS, iq4_xs, NESTED, WIDE, 256, 136, .part = 32, .most = 127) \
	X(MXFP4, mxfp4, SIMPLE, NARROW, 32, 17, .exponent = true, .most = 12)

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
SIM_PART void codes_five(int16_t *restrict code, const uint8_t *restrict q, const uint8_t *fifth,
			 int offset)
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

SIM_PART void codes_q4_1(int16_t *code, const uint8_t *block)
{
	codes_nibbles(code, block + 4, 0);
}

SIM_PART void codes_q5_0(int16_t *code, const uint8_t *block)
{
	codes_five(code, block + 6, block + 2, 16);
}

SIM_PART void codes_q5_1(int16_t *code, const uint8_t *block)
{
	codes_five(code, block + 8, block + 4, 0);
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

/* 32 codes, chosen by the nibbles of 16 bytes. */
#ifdef __clang__
#define OF_TABLE(type, to, table, q) \
	for (int i = 0; i < 16; i++) { \
		(to)[i] = (table)[(q)[i] & 15]; \
		(to)[i + 16] = (table)[(q)[i] >> 4]; \
	}
#else
typedef int8_t sixteen_bytes __attribute__((vector_size(16)));
typedef int16_t sixteen_halves __attribute__((vector_size(32)));

#define OF_TABLE(type, to, table, q) \
	typedef uint8_t index __attribute__((vector_size(16))); \
	sixteen_bytes values, chosen; \
	index from; \
	type some; \
	\
	memcpy(&from, q, 16); \
	memcpy(&values, table, 16); \
	chosen = __builtin_shuffle(values, (sixteen_bytes)(from & 15)); \
	some = __builtin_convertvector(chosen, type); \
	memcpy(to, &some, sizeof(some)); \
	chosen = __builtin_shuffle(values, (sixteen_bytes)(from >> 4)); \
	some = __builtin_convertvector(chosen, type); \
	memcpy((to) + 16, &some, sizeof(some));
#endif

SIM_PART void bytes_of_table(int8_t *restrict to, const int8_t *table, const uint8_t *restrict q)
{
	OF_TABLE(sixteen_bytes, to, table, q)
}

SIM_PART void codes_of_table(int16_t *restrict to, const int8_t *table, const uint8_t *restrict q)
{
	OF_TABLE(sixteen_halves, to, table, q)
}

/* Floats of four bits (a sign, two of the exponent, one of the mantissa), doubled. */
SIM_PART void codes_mxfp4(int16_t *code, const uint8_t *block)
{
	static const int8_t doubled[16] = {
		0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
	};

	codes_of_table(code, doubled, block + 1);
}

/* The curve of IQ4_NL and IQ4_XS. */
static const int8_t curve[16] __attribute__((unused)) = {
	-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

SIM_PART const int8_t *bytes_iq4_nl(int8_t *room, const uint8_t *block)
{
	bytes_of_table(room, curve, block + 2);
	return room;
}

SIM_PART void codes_iq4_nl(int16_t *code, const uint8_t *block)
{
	codes_of_table(code, curve, block + 2);
}

SIM_PART const int8_t *bytes_iq4_xs(int8_t *room, struct sim_parts *p, const uint8_t *block)
{
	uint32_t high = bits_half_at(block + 2);

	p->scale[0] = p->scale[1] = 0;
	for (int j = 0; j < 8; j++) {
		uint32_t low = block[4 + j / 2] >> 4 * (j % 2) & 15;
		uint32_t scale = low + (high >> 2 * j & 3) * 16 - 32;

		p->scale[j / 4] |= (scale & 255) << 8 * (j % 4);
		bytes_of_table(room + 32 * j, curve, block + 8 + 16 * j);
	}
	return room;
}

SIM_PART void codes_iq4_xs(int16_t *code, struct sim_parts *p, const uint8_t *block)
{
	int8_t room[SIM_BLOCK];

	bytes_iq4_xs(room, p, block);
	for (int j = 0; j < 8; j++)
		codes_of_bytes(code + 32 * j, room + 32 * j);
}

/* Four bytes below 64. */
SIM_PART uint32_t less_32(uint32_t v)
{
	return ((v | 0x80808080) - 0x20202020) ^ 0x80808080;
}

SIM_PART void codes_q2_k(int16_t *restrict code, struct sim_parts *p, const uint8_t *restrict block)
{
	uint32_t s[4];

	memcpy(s, block, sizeof(s));
	for (int j = 0; j < 4; j++) {
		p->scale[j] = s[j] & 0x0f0f0f0f;
		p->min[j] = s[j] >> 4 & 0x0f0f0f0f;
	}
	for (int h = 0; h < 2; h++)
		for (int j = 0; j < 4; j++)
			ROLLED
			for (int l = 0; l < 32; l++)
				code[128 * h + 32 * j + l] = block[16 + 32 * h + l] >> 2 * j & 3;
}

SIM_PART void codes_q3_k(int16_t *restrict code, struct sim_parts *p, const uint8_t *restrict block)
{
	const uint8_t *third = block, *two = block + 32;
	uint32_t four[3];

	memcpy(four, block + 96, sizeof(four));
	for (int j = 0; j < 4; j++)
		p->scale[j] = less_32((four[j % 2] >> 4 * (j / 2) & 0x0f0f0f0f) |
				      (four[2] >> 2 * j & 0x03030303) << 4);
	for (int h = 0; h < 2; h++)
		for (int j = 0; j < 4; j++)
			ROLLED
			for (int l = 0; l < 32; l++)
				code[128 * h + 32 * j + l] =
					(int16_t)((two[32 * h + l] >> 2 * j & 3) -
						  (third[l] >> (4 * h + j) & 1 ? 0 : 4));
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

SIM_PART void codes_q5_k(int16_t *restrict code, struct sim_parts *p, const uint8_t *restrict block)
{
	const uint8_t *fifth = block + 16, *q = block + 48;

	parts_of_six(p, block + 4);
	for (int g = 0; g < 4; g++) {
		ROLLED
		for (int i = 0; i < 32; i++)
			code[64 * g + i] = (int16_t)((q[32 * g + i] & 15) +
						     (fifth[i] >> 2 * g & 1) * 16);
		ROLLED
		for (int i = 0; i < 32; i++)
			code[64 * g + 32 + i] =
				(int16_t)((q[32 * g + i] >> 4) +
					  (fifth[i] >> (2 * g + 1) & 1) * 16);
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
