/* SPDX-License-Identifier: MIT */
/* Pieces of blocks that several types have in common. */
#ifndef ACCEL_TYPE_BITS_H
#define ACCEL_TYPE_BITS_H

#include <stdint.h>
#include <string.h>

#include "numeric.h"

/* 16 bytes of nibbles to 32 codes, less so much.  Loops as compilers make vectors of. */
static inline void unpack_nibbles(int8_t *restrict code, const uint8_t *restrict q, int less)
{
	for (int i = 0; i < 16; i++)
		code[i] = (int8_t)((q[i] & 15) - less);
	for (int i = 0; i < 16; i++)
		code[i + 16] = (int8_t)((q[i] >> 4) - less);
}

/* Bit i of a word to bit 4 of code i. */
static inline void add_fifth_bits(int8_t *restrict code, const uint8_t *restrict word)
{
	for (int k = 0; k < 4; k++)
		for (int i = 0; i < 8; i++)
			code[8 * k + i] = (int8_t)(code[8 * k + i] + (word[k] >> i & 1) * 16);
}

/* 128 bytes of nibbles, 32 bytes for 64 codes. */
static inline void unpack_groups(int8_t *restrict code, const uint8_t *restrict q)
{
	for (int g = 0; g < 4; g++, code += 64, q += 32) {
		for (int i = 0; i < 32; i++)
			code[i] = (int8_t)(q[i] & 15);
		for (int i = 0; i < 32; i++)
			code[i + 32] = (int8_t)(q[i] >> 4);
	}
}

/* What the nibbles of IQ4_NL and IQ4_XS stand for. */
static const int8_t iq4_values[16] __attribute__((unused)) = {
	-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

/* 16 bytes of nibbles to the numbers of a table that they choose. */
static inline void look_up_nibbles(int8_t *code, const int8_t table[16], const uint8_t *q)
{
	for (int i = 0; i < 16; i++) {
		code[i] = table[q[i] & 15];
		code[i + 16] = table[q[i] >> 4];
	}
}

/* 12 bytes of eight scales and eight minima of six bits, to a byte each. */
static inline void six_bits(const uint8_t *s, uint64_t *scales, uint64_t *minima)
{
	uint32_t a, b, c;

	memcpy(&a, s, 4);
	memcpy(&b, s + 4, 4);
	memcpy(&c, s + 8, 4);
	*scales = (a & 0x3f3f3f3f) |
		  (uint64_t)((c & 0x0f0f0f0f) | (a >> 6 & 0x03030303) << 4) << 32;
	*minima = (b & 0x3f3f3f3f) |
		  (uint64_t)((c >> 4 & 0x0f0f0f0f) | (b >> 6 & 0x03030303) << 4) << 32;
}

/* The same to the arrays of a block. */
static inline void unpack_six_bits(int8_t scale[8], uint8_t min[8], const uint8_t *s)
{
	uint64_t scales, minima;

	six_bits(s, &scales, &minima);
	for (int j = 0; j < 8; j++) {
		scale[j] = (int8_t)(scales >> 8 * j);
		min[j] = (uint8_t)(minima >> 8 * j);
	}
}

#endif
