/* SPDX-License-Identifier: MIT */
/* Floats as bits, for functions that are compiled at several levels. */
#ifndef OCTANS_SIM_BITS_H
#define OCTANS_SIM_BITS_H

#include <string.h>

#include "numeric.h"

SIM_PART float bits_to_f32(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

SIM_PART uint32_t f32_to_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

/* The model runs on little-endian machines. */
SIM_PART uint32_t bits_half_at(const uint8_t *p)
{
	uint16_t h;

	memcpy(&h, p, sizeof(h));
	return h;
}

SIM_PART float f16_to_f32(uint32_t h)
{
	/* Exponent and mantissa in their new places, then the other bias. */
	uint32_t m = (h & 0x7fff) << 13, bits = m + (112u << 23);
	/* No subnormal F32 on the way: processors take a hundred times as long for these. */
	uint32_t small = f32_to_bits(bits_to_f32(bits + (1u << 23)) - 0x1p-14f);

	bits = m < 1u << 23 ? small : bits;
	bits = m >= 31u << 23 ? bits + (112u << 23) : bits;
	return bits_to_f32(bits | (h & 0x8000) << 16);
}

SIM_PART float f16_at(const uint8_t *p)
{
	return f16_to_f32(bits_half_at(p));
}

SIM_PART float bf16_at(const uint8_t *p)
{
	return bits_to_f32(bits_half_at(p) << 16);
}

SIM_PART uint32_t f32_to_f16(float x)
{
	uint32_t bits = f32_to_bits(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff, h;
	/* The last bit of 0.5 weighs as much as that of a subnormal F16: the sum rounds there. */
	uint32_t small = f32_to_bits(bits_to_f32(size) + 0.5f) - 0x3f000000;
	uint32_t normal = (size + 0xfff + (size >> 13 & 1) - (112u << 23)) >> 13;

	h = size < 0x38800000 ? small : normal;
	h = size >= 0x477ff000 ? 0x7c00 : h;
	return size > 0x7f800000 ? 0x7e00 : sign | h;
}

SIM_PART uint32_t f32_to_bf16(float x)
{
	uint32_t bits = f32_to_bits(x), h = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;

	return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : h;
}

#endif
