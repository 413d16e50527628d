/* SPDX-License-Identifier: MIT */
/* Codes of weights (GGML's layouts), for functions that are compiled at several levels. */
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

/* Of 32 elements, as signed numbers. */
SIM_PART void codes_q4_0(int16_t *restrict code, const uint8_t *restrict q)
{
	ROLLED
	for (int i = 0; i < 16; i++)
		code[i] = (int16_t)((q[i] & 15) - 8);
	ROLLED
	for (int i = 0; i < 16; i++)
		code[i + 16] = (int16_t)((q[i] >> 4) - 8);
}

SIM_PART void codes_q5_0(int16_t *restrict code, const uint8_t *restrict block)
{
	uint32_t high = bits_half_at(block + 2) | bits_half_at(block + 4) << 16;
	const uint8_t *q = block + 6;

	ROLLED
	for (int i = 0; i < 16; i++)
		code[i] = (int16_t)((q[i] & 15) + 16 * (int)(high >> i & 1) - 16);
	ROLLED
	for (int i = 0; i < 16; i++)
		code[i + 16] = (int16_t)((q[i] >> 4) + 16 * (int)(high >> (i + 16) & 1) - 16);
}

SIM_PART void codes_q8_0(int16_t *restrict code, const uint8_t *restrict q)
{
	ROLLED
	for (int i = 0; i < 32; i++)
		code[i] = (int8_t)q[i];
}

SIM_PART const uint8_t *codes_32(int16_t *code, float *d, const uint8_t *block, uint32_t type)
{
	*d = f16_at(block);
	switch (type) {
	case OCTANS_TYPE_Q4_0:
		codes_q4_0(code, block + 2);
		return block + 18;
	case OCTANS_TYPE_Q5_0:
		codes_q5_0(code, block);
		return block + 22;
	}
	codes_q8_0(code, block + 2);
	return block + 34;
}

SIM_PART void codes_q4_k(int16_t *restrict code, const uint8_t *restrict q)
{
	for (int g = 0; g < 4; g++) {
		ROLLED
		for (int i = 0; i < 32; i++)
			code[64 * g + i] = q[32 * g + i] & 15;
		ROLLED
		for (int i = 0; i < 32; i++)
			code[64 * g + 32 + i] = q[32 * g + i] >> 4;
	}
}

/* Scales and mins, six bits each, a byte for each of eight; @s 12 bytes. */
SIM_PART void scales_q4_k(uint32_t scale[2], uint32_t min[2], const uint8_t *s)
{
	uint32_t a, b, c;

	memcpy(&a, s, sizeof(a));
	memcpy(&b, s + 4, sizeof(b));
	memcpy(&c, s + 8, sizeof(c));
	scale[0] = a & 0x3f3f3f3f;
	min[0] = b & 0x3f3f3f3f;
	scale[1] = (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030);
	min[1] = (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030);
}

SIM_PART void codes_q6_k(int16_t *restrict code, const uint8_t *restrict block)
{
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

/* ---- floats ---- */

/* As halfwords, so that the conversion vectorises. */
typedef uint16_t half __attribute__((aligned(1), may_alias));

SIM_PART void floats(float *restrict to, const uint8_t *restrict from, uint32_t type, uint32_t n)
{
	const half *h = (const half *)from;

	switch (type) {
	case OCTANS_TYPE_F16:
		for (size_t i = 0; i < n; i++)
			to[i] = f16_to_f32(h[i]);
		return;
	case OCTANS_TYPE_BF16:
		for (size_t i = 0; i < n; i++)
			to[i] = bits_to_f32((uint32_t)h[i] << 16);
		return;
	}
	memcpy(to, from, n * sizeof(*to));
}

#endif
