/* SPDX-License-Identifier: MIT */
/* Pieces of blocks that several types have in common. */
#ifndef ACCEL_TYPE_BITS_H
#define ACCEL_TYPE_BITS_H

#include <stdint.h>
#include <string.h>

#include "numeric.h"

/* 16 bytes of nibbles: value i, 0 .. 31. */
static inline int nibble(const uint8_t *q, int i)
{
	return i < 16 ? q[i] & 15 : q[i - 16] >> 4;
}

/* What the nibbles of IQ4_NL and IQ4_XS stand for. */
static const int8_t iq4_values[16] __attribute__((unused)) = {
	-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

/* Bit i of a word. */
static inline int bit_of(const uint8_t *word, int i)
{
	return word[i / 8] >> i % 8 & 1;
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

#endif
