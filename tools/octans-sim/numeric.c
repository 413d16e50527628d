// SPDX-License-Identifier: MIT
/* Functions, sums and rounding.  On x86 they are compiled for several levels; see numeric.h. */
#include "numeric.h"

#include <math.h>
#include <string.h>

#include <octans/isa.h>

#include "bits.h"

/* ---- rounding ---- */

SIM_CLONES void sim_round_f16(float *y, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = f16_to_f32(f32_to_f16(x[i]));
}

SIM_CLONES void sim_round_bf16(float *y, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = bits_to_f32(f32_to_bf16(x[i]) << 16);
}

SIM_CLONES void sim_canonical(float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t bits = f32_to_bits(x[i]);

		x[i] = bits_to_f32((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits);
	}
}

/* Bits of the largest magnitude of 32: they sort as the magnitudes do, infinities and NaNs last. */
SIM_PART uint32_t most_of_32(const float *x)
{
	uint32_t most = 0;

	for (int i = 0; i < 32; i++) {
		uint32_t size = f32_to_bits(x[i]) & 0x7fffffff;

		most = size > most ? size : most;
	}
	return most;
}

SIM_PART void pack_q8_0(uint8_t *to, const float *x)
{
	float amax = bits_to_f32(most_of_32(x)), id;
	uint16_t d;

	memset(to, 0, 34);
	if (!(amax < INFINITY)) {
		to[1] = 0x7e;
		return;
	}
	if (amax < 0x1p-100f)
		return;
	id = 127 / amax;
	for (int i = 0; i < 32; i++)
		to[2 + i] = (uint8_t)(int8_t)rintf(x[i] * id);
	d = (uint16_t)f32_to_f16(amax / 127);
	memcpy(to, &d, sizeof(d));
}

SIM_CLONES void sim_pack(uint8_t *to, const float *x, uint32_t type, uint32_t n)
{
	uint16_t *half = (uint16_t *)(void *)to;	/* buffers of ours are aligned */

	switch (type) {
	case OCTANS_TYPE_F32:
		for (uint32_t i = 0; i < n; i++) {
			uint32_t bits = f32_to_bits(x[i]);

			bits = (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits;
			memcpy(to + 4ull * i, &bits, sizeof(bits));
		}
		break;
	case OCTANS_TYPE_F16:
		for (uint32_t i = 0; i < n; i++)
			half[i] = (uint16_t)f32_to_f16(x[i]);
		break;
	case OCTANS_TYPE_BF16:
		for (uint32_t i = 0; i < n; i++)
			half[i] = (uint16_t)f32_to_bf16(x[i]);
		break;
	case OCTANS_TYPE_Q8_0:
		for (uint32_t b = 0; b < n / 32; b++)
			pack_q8_0(to + 34ull * b, x + 32ull * b);
		break;
	}
}

/* ---- sums ---- */

SIM_PART float fold8(const float *a)
{
	float b0 = a[0] + a[4], b1 = a[1] + a[5], b2 = a[2] + a[6], b3 = a[3] + a[7];

	return (b0 + b2) + (b1 + b3);
}

SIM_PART void dot_lanes(float *lane, const float *x, const float *y, uint32_t n)
{
	float a[8];
	uint32_t i;

	memcpy(a, lane, sizeof(a));
	for (i = 0; i + 8 <= n; i += 8)
		for (int l = 0; l < 8; l++)
			a[l] = fmaf(x[i + l], y[i + l], a[l]);
	for (int l = 0; i < n; i++, l++)
		a[l] = fmaf(x[i], y[i], a[l]);
	memcpy(lane, a, sizeof(a));
}

SIM_PART float dot8(const float *x, const float *y, uint32_t n)
{
	float lane[8] = { 0 };

	dot_lanes(lane, x, y, n);
	return fold8(lane);
}

float sim_fold(const float lane[8])
{
	return fold8(lane);
}

SIM_CLONES void sim_dot_lanes(float lane[8], const float *x, const float *y, uint32_t n)
{
	dot_lanes(lane, x, y, n);
}

SIM_CLONES void sim_sum_lanes(float lane[8], const float *x, uint32_t n)
{
	float a[8];
	uint32_t i;

	memcpy(a, lane, sizeof(a));
	for (i = 0; i + 8 <= n; i += 8)
		for (int l = 0; l < 8; l++)
			a[l] += x[i + l];
	for (int l = 0; i < n; i++, l++)
		a[l] += x[i];
	memcpy(lane, a, sizeof(a));
}

SIM_CLONES void sim_dot_rows(float *out, uint64_t apart, const float *x, const float *y,
			     uint32_t rows, uint32_t n)
{
	for (uint32_t r = 0; r < rows; r++)
		out[r * apart] = dot8(x + (uint64_t)r * n, y, n);
}

/* ---- rows of x as int8 ---- */

SIM_PART float squares_at(const float *x, float amax, int n)
{
	float up = (float)n / amax, down = amax / (float)n, wrong[32];

	for (int i = 0; i < 32; i++)
		wrong[i] = fmaf(-down, rintf(x[i] * up), x[i]);
	return dot8(wrong, wrong, 32);
}

SIM_CLONES void sim_quantize(const struct sim_quant *x, const float *row, uint32_t n)
{
	for (uint32_t b = 0; b < n / 32; b++) {
		const float *v = row + 32ull * b;
		int16_t *q = x->q + 32ull * b;
		float amax = bits_to_f32(most_of_32(v)), least, up;
		int32_t sum = 0;
		int best = 127;

		if (!(amax >= 0x1p-100f && amax < INFINITY)) {
			memset(q, 0, 32 * sizeof(*q));
			x->d[b] = x->xs[b] = amax < 0x1p-100f ? 0 : NAN;
			continue;
		}
		/* 127 first: it stays unless another is really better. */
		least = squares_at(v, amax, 127);
		for (int i = 126; i >= 120; i--) {
			float squares = squares_at(v, amax, i);

			best = squares < least ? i : best;
			least = squares < least ? squares : least;
		}
		up = (float)best / amax;
		for (int i = 0; i < 32; i++)
			q[i] = (int16_t)rintf(v[i] * up);
		for (int i = 0; i < 32; i++)
			sum += q[i];
		x->d[b] = amax / (float)best;
		x->xs[b] = x->d[b] * (float)sum;
	}
}

/* ---- functions ---- */

/* What exp and expm1 share: x = n log 2 + r, and e^r - 1. */
struct reduced {
	float n, e;
};

SIM_PART struct reduced reduce(float x)
{
	static const float coefficient[] = {
		0x1.a0d2cep-13f, 0x1.6e879cp-10f, 0x1.111210p-7f,
		0x1.555382p-5f,	 0x1.555554p-3f,  0x1p-1f,
	};
	struct reduced y = { .n = rintf(x * 0x1.715476p+0f) };
	float r = fmaf(y.n, 0x1.bd0106p-13f, fmaf(y.n, -0x1.63p-1f, x)), p = coefficient[0];

	for (int i = 1; i < 6; i++)
		p = fmaf(p, r, coefficient[i]);
	y.e = fmaf(p, r * r, r);
	return y;
}

/* n is -126 .. 127. */
SIM_PART float power_of_2(float n)
{
	return bits_to_f32((uint32_t)((int32_t)n + 127) << 23);
}

SIM_PART float exponential(float x)
{
	/* What lies outside is put right at the end, without a branch. */
	struct reduced a = reduce(x >= -87 && x <= 88 ? x : 0);
	float y = (a.e + 1) * power_of_2(a.n);

	y = x > 88 ? INFINITY : y;
	y = x < -87 ? 0 : y;
	return x != x ? NAN : y;
}

SIM_PART float exponential_minus_1(float x)
{
	struct reduced a = reduce(x >= -25 && x <= 88 ? x : 0);
	float s = power_of_2(a.n), y = fmaf(s, a.e, s - 1);

	y = x > 88 ? INFINITY : y;
	y = x < -25 ? -1 : y;
	return x != x ? NAN : y;
}

SIM_PART float logarithm_1_plus(float u)
{
	static const float coefficient[] = {
		0x1.111112p-4f, 0x1.3b13b2p-4f, 0x1.745d18p-4f, 0x1.c71c72p-4f, 0x1.24924ap-3f,
		0x1.99999ap-3f, 0x1.555556p-2f,
	};
	float s = u / (2 + u), z = s * s, p = coefficient[0], t = s + s;

	for (int i = 1; i < 7; i++)
		p = fmaf(p, z, coefficient[i]);
	return fmaf(t * z, p, t);
}

SIM_PART float tangent(float x)
{
	float a = fabsf(x), t = exponential_minus_1(a + a), y = a > 10 ? 1 : t / (t + 2);

	return copysignf(y, x);
}

float sim_exp(float x)
{
	return exponential(x);
}

SIM_CLONES void sim_cap(float *x, float cap, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] = cap * tangent(x[i] / cap);
}

SIM_CLONES void sim_exp_row(float *y, const float *x, float minus, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = exponential(x[i] - minus);
}

SIM_PART float map_gelu(float t)
{
	static const float coefficient[] = {
		0x1.2552fap-3f, -0x1.57b616p-1f, 0x1.223a06p+0f, -0x1.5442b0p-1f, -0x1.b843dep-4f,
		0x1.0be514p-6f, 0x1.dec8cep-6f, 0x1.8d225ep-2f, 0x1.ff39a8p-1f, -0x1.43f3e6p+0f,
	};
	float a = fabsf(t) * 0x1.6a09e6p-1f, u = 1 / fmaf(0.5f, a, 1), p = coefficient[0], e;

	for (int i = 1; i < 10; i++)
		p = fmaf(p, u, coefficient[i]);
	e = u * exponential(fmaf(-a, a, p));
	return (0.5f * t) * (t < 0 ? e : 2 - e);
}

SIM_PART float map_gelu_tanh(float t)
{
	float c = fmaf(0x1.2444f2p-4f, t * t, 0x1.988454p+0f);

	return t / (1 + exponential(-(t * c)));
}

SIM_PART float map_relu(float t)
{
	return t > 0 ? t : t != t ? NAN : 0;
}

SIM_PART float map_xielu(float t, float alpha_p, float alpha_n)
{
	float x = t < -0x1.0c6f7ap-20f ? t : -0x1.0c6f7ap-20f;
	float above = fmaf(alpha_p * t, t, 0.5f * t);
	float below = fmaf(exponential_minus_1(x) - t, alpha_n, 0.5f * t);

	return t > 0 ? above : below;
}

SIM_PART float map_softplus(float t)
{
	/* A NaN is one in the second term. */
	return (t > 0 ? t : 0) + logarithm_1_plus(exponential(-fabsf(t)));
}

SIM_CLONES void sim_map(float *y, const float *a, uint32_t f, bool affine, const float imm[4],
			uint32_t n)
{
	float scale = imm[0], offset = imm[1], low = imm[2], high = imm[3];

	if (affine) {
		for (uint32_t i = 0; i < n; i++)
			y[i] = a[i] * scale + offset;
		a = y;
	}
#define EACH(expression) do { \
	for (uint32_t i = 0; i < n; i++) { \
		float t = a[i]; \
		\
		y[i] = (expression); \
	} \
} while (0)
	switch (f) {
	case OCTANS_MAP_ID:
		EACH(t);
		break;
	case OCTANS_MAP_SILU:
		EACH(t / (1 + exponential(-t)));
		break;
	case OCTANS_MAP_GELU:
		EACH(map_gelu(t));
		break;
	case OCTANS_MAP_GELU_TANH:
		EACH(map_gelu_tanh(t));
		break;
	case OCTANS_MAP_RELU:
		EACH(map_relu(t));
		break;
	case OCTANS_MAP_RELU2:
		EACH(map_relu(t) * map_relu(t));
		break;
	case OCTANS_MAP_XIELU:
		EACH(map_xielu(t, low, high));
		break;
	case OCTANS_MAP_SIGMOID:
		EACH(1 / (1 + exponential(-t)));
		break;
	case OCTANS_MAP_SOFTPLUS:
		EACH(map_softplus(t));
		break;
	case OCTANS_MAP_EXP:
		EACH(exponential(t));
		break;
	case OCTANS_MAP_TANH:
		EACH(tangent(t));
		break;
	case OCTANS_MAP_SQRT:
		EACH(sqrtf(t));
		break;
	case OCTANS_MAP_CLAMP:
		EACH(t < low ? low : t > high ? high : t);
		break;
	}
#undef EACH
}

/* ---- rows ---- */

SIM_CLONES void sim_scale(float *y, const float *x, float a, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = x[i] * a;
}

SIM_CLONES void sim_subtract(float *y, const float *x, float a, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = x[i] - a;
}

SIM_CLONES void sim_multiply(float *y, const float *x, const float *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = x[i] * w[i];
}

SIM_CLONES void sim_divide(float *y, const float *x, const float *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = x[i] / w[i];
}

SIM_CLONES void sim_add(float *y, const float *x, const float *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = x[i] + w[i];
}

SIM_CLONES void sim_accumulate(float *y, float a, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = fmaf(a, x[i], y[i]);
}

SIM_CLONES void sim_rope(float *y, const float *x, const float *cs, uint32_t n, uint32_t first,
			 uint32_t rot, bool half)
{
	uint32_t pairs = rot / 2, step = half ? 1 : 2, apart = half ? pairs : 1;

	if (y != x)
		memcpy(y, x, n * sizeof(*y));
	for (uint32_t p = 0; p < pairs; p++) {
		float *at = y + first + p * step, a = at[0], b = at[apart], c = cs[p],
		      s = cs[pairs + p];

		at[0] = fmaf(a, c, -(b * s));
		at[apart] = fmaf(a, s, b * c);
	}
}

SIM_CLONES void sim_conv(float *y, const float *const *in, const float *w, const float *bias,
			 uint32_t taps, uint32_t stride, uint32_t n)
{
	memset(y, 0, n * sizeof(*y));
	for (uint32_t j = 0; j < taps; j++) {
		const float *x = in[j], *tap = w + (uint64_t)j * stride;

		for (uint32_t c = 0; c < n; c++)
			y[c] = fmaf(tap[c], x[c], y[c]);
	}
	for (uint32_t c = 0; c < n && bias; c++)
		y[c] = y[c] + bias[c];
}

SIM_CLONES float sim_scan_ssm(float *s, const float *k, const float *q, float decay, float u,
			      uint32_t n)
{
	for (uint32_t j = 0; j < n; j++)
		s[j] = fmaf(s[j], decay, u * k[j]);
	return dot8(s, q, n);
}

SIM_CLONES float sim_scan_delta(float *s, const float *k, const float *q, const float *decay,
				float v, float beta, uint32_t n)
{
	float u;

	for (uint32_t j = 0; j < n; j++)
		s[j] = s[j] * decay[j];
	u = (v - dot8(s, k, n)) * beta;
	for (uint32_t j = 0; j < n; j++)
		s[j] = fmaf(u, k[j], s[j]);
	return dot8(s, q, n);
}
