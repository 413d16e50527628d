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

#include <octans/isa.h>

static inline float bits_f32(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, 4);
	return f;
}

static inline uint32_t f32_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, 4);
	return bits;
}

/* What is stored: every NaN is the canonical one. */
static inline float canonical(float x)
{
	return x != x ? bits_f32(0x7fc00000) : x;
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

/* x >> n, rounded to the nearest, ties to even.  0 < n < 32 */
static inline uint32_t shift_round(uint32_t x, unsigned int n)
{
	return (x + (1u << (n - 1)) - 1 + (x >> n & 1)) >> n;
}

/* F32 to F16 and to BF16: nearest, ties to even; a carry into the exponent is what it should be. */
static inline uint16_t f32_f16(float x)
{
	uint32_t bits = f32_bits(x), sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;

	if (a > 0x7f800000)
		return 0x7e00;
	if (a >= 0x47800000)		/* 2^16 and more */
		return (uint16_t)(sign | 0x7c00);
	if (a >= 0x38800000)		/* 2^-14 and more: normal */
		return (uint16_t)(sign | shift_round(a - 0x38000000, 13));
	if (a < 0x33000000)		/* below 2^-25 */
		return (uint16_t)sign;
	return (uint16_t)(sign | shift_round((a & 0x7fffff) | 0x800000, 126 - (a >> 23)));
}

static inline uint16_t f32_bf16(float x)
{
	return x != x ? 0x7fc0 : (uint16_t)shift_round(f32_bits(x), 16);
}

static inline uint16_t load_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline float load_f16(const uint8_t *p)
{
	return f16_f32(load_u16(p));
}

static inline float bf16_f32(uint16_t h)
{
	return bits_f32((uint32_t)h << 16);
}

static inline float load_bf16(const uint8_t *p)
{
	return bf16_f32(load_u16(p));
}

/* The fixed tree over the eight accumulators of sum8 and dot8. */
static inline float tree8(const float a[8])
{
	return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* ---- functions ---- */

/* What exp and expm1 share, for -87 <= x <= 88: e^x = (fma(p, r * r, r) + 1) * 2^n. */
static inline float exp_reduced(float x, float *scale)
{
	float n = rintf(x * 0x1.715476p+0f), r, p;

	r = fmaf(n, -0x1.63p-1f, x);
	r = fmaf(n, 0x1.bd0106p-13f, r);
	p = 0x1.a0d2cep-13f;
	p = fmaf(p, r, 0x1.6e879cp-10f);
	p = fmaf(p, r, 0x1.111210p-7f);
	p = fmaf(p, r, 0x1.555382p-5f);
	p = fmaf(p, r, 0x1.555554p-3f);
	p = fmaf(p, r, 0x1p-1f);
	*scale = bits_f32((uint32_t)((int32_t)n + 127) << 23);
	return fmaf(p, r * r, r);
}

static inline float exp_f32(float x)
{
	float q, s;

	if (x != x)
		return x;
	if (x > 88)
		return INFINITY;
	if (x < -87)
		return 0;
	q = exp_reduced(x, &s);
	return (q + 1) * s;
}

static inline float expm1_f32(float x)
{
	float q, s;

	if (x != x)
		return x;
	if (x > 88)
		return INFINITY;
	if (x < -25)
		return -1;
	q = exp_reduced(x, &s);
	return fmaf(s, q, s - 1);
}

/* 0 <= u <= 1 */
static inline float log1p_f32(float u)
{
	float s = u / (2 + u), z = s * s, p, t;

	p = 0x1.111112p-4f;
	p = fmaf(p, z, 0x1.3b13b2p-4f);
	p = fmaf(p, z, 0x1.745d18p-4f);
	p = fmaf(p, z, 0x1.c71c72p-4f);
	p = fmaf(p, z, 0x1.24924ap-3f);
	p = fmaf(p, z, 0x1.99999ap-3f);
	p = fmaf(p, z, 0x1.555556p-2f);
	t = s + s;
	return fmaf(t * z, p, t);
}

static inline float tanh_f32(float x)
{
	float a = fabsf(x), y = 1, t;

	if (x != x)
		return x;
	if (!(a > 10)) {
		t = expm1_f32(a + a);
		y = t / (t + 2);
	}
	return copysignf(y, x);
}

static inline float gelu_f32(float t)
{
	float a = fabsf(t) * 0x1.6a09e6p-1f, u = 1 / fmaf(0.5f, a, 1), p, e;

	p = 0x1.2552fap-3f;
	p = fmaf(p, u, -0x1.57b616p-1f);
	p = fmaf(p, u, 0x1.223a06p+0f);
	p = fmaf(p, u, -0x1.5442b0p-1f);
	p = fmaf(p, u, -0x1.b843dep-4f);
	p = fmaf(p, u, 0x1.0be514p-6f);
	p = fmaf(p, u, 0x1.dec8cep-6f);
	p = fmaf(p, u, 0x1.8d225ep-2f);
	p = fmaf(p, u, 0x1.ff39a8p-1f);
	p = fmaf(p, u, -0x1.43f3e6p+0f);
	e = u * exp_f32(fmaf(-a, a, p));
	return (0.5f * t) * (t < 0 ? e : 2 - e);
}

/* The functions of MAP; c, d are imm[2], imm[3]. */
static inline float map_f32(uint32_t f, float t, float c, float d)
{
	float x;

	switch (f) {
	case OCTANS_MAP_SILU:
		return t / (1 + exp_f32(-t));
	case OCTANS_MAP_GELU:
		return gelu_f32(t);
	case OCTANS_MAP_GELU_TANH:
		x = t * fmaf(0x1.2444f2p-4f, t * t, 0x1.988454p+0f);
		return t / (1 + exp_f32(-x));
	case OCTANS_MAP_RELU:
		return t > 0 || t != t ? t : 0;
	case OCTANS_MAP_RELU2:
		x = t > 0 || t != t ? t : 0;
		return x * x;
	case OCTANS_MAP_XIELU:
		if (t > 0)
			return fmaf(c * t, t, 0.5f * t);
		x = t < -0x1.0c6f7ap-20f ? t : -0x1.0c6f7ap-20f;
		return fmaf(expm1_f32(x) - t, d, 0.5f * t);
	case OCTANS_MAP_SIGMOID:
		return 1 / (1 + exp_f32(-t));
	case OCTANS_MAP_SOFTPLUS:
		return (t > 0 ? t : 0) + log1p_f32(exp_f32(-fabsf(t)));
	case OCTANS_MAP_EXP:
		return exp_f32(t);
	case OCTANS_MAP_TANH:
		return tanh_f32(t);
	case OCTANS_MAP_SQRT:
		return sqrtf(t);
	case OCTANS_MAP_CLAMP:
		return t < c ? c : t > d ? d : t;
	}
	return t;
}

/* Activations as int8 blocks of 32. */
struct q8_block {
	float d;
	float xs;		/* d * sum of q */
	int16_t half[2];	/* sums of q[0..15] and q[16..31] */
	int8_t q[32];
};

#endif
