/* SPDX-License-Identifier: MIT */
/*
 * The scalar definitions of Documentation/hardware/numerics.rst.  Compiled without
 * floating-point contraction: what is fused says fmaf().
 */
#ifndef ACCEL_NUMERIC_H
#define ACCEL_NUMERIC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float bits_f32(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, 4);
	return f;
}

/* F16 to F32, exact. */
static inline float f16_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 0x3ff;

	if (exp == 31)
		return bits_f32(sign | 0x7f800000 | man << 13);
	if (exp)
		return bits_f32(sign | (exp + 112) << 23 | man << 13);
	/* subnormal: man * 2^-24 */
	return sign ? -(float)man * 0x1p-24f : (float)man * 0x1p-24f;
}

static inline uint16_t load_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline float load_f16(const uint8_t *p)
{
	return f16_f32(load_u16(p));
}

static inline float load_bf16(const uint8_t *p)
{
	return bits_f32((uint32_t)load_u16(p) << 16);
}

/* The fixed tree over the eight accumulators of sum8 and dot8. */
static inline float tree8(const float a[8])
{
	return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

static inline float exp_f32(float x)
{
	float n, r, p, y;

	if (x != x)
		return x;
	if (x > 88)
		return INFINITY;
	if (x < -87)
		return 0;
	n = rintf(x * 0x1.715476p+0f);
	r = fmaf(n, -0x1.63p-1f, x);
	r = fmaf(n, 0x1.bd0106p-13f, r);
	p = 0x1.a0d2cep-13f;
	p = fmaf(p, r, 0x1.6e879cp-10f);
	p = fmaf(p, r, 0x1.111210p-7f);
	p = fmaf(p, r, 0x1.555382p-5f);
	p = fmaf(p, r, 0x1.555554p-3f);
	p = fmaf(p, r, 0x1p-1f);
	y = fmaf(p, r * r, r) + 1;
	return y * bits_f32((uint32_t)((int32_t)n + 127) << 23);
}

/* Activations as int8 blocks of 32. */
struct q8_block {
	float d;
	float xs;		/* d * sum of q */
	int16_t half[2];	/* sums of q[0..15] and q[16..31] */
	int8_t q[32];
};

#endif
