// SPDX-License-Identifier: MIT
/* Quantised activations and matrix products of numerics.rst in plain C. */
#include "kernels.h"

static float dot(const float *x, const float *y, uint32_t n)
{
	float a[8] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		a[i % 8] = fmaf(x[i], y[i], a[i % 8]);
	return tree8(a);
}

static void quantize_block(struct q8_block *b, const float *x)
{
	float amax = 0, best = 0, q[32], e[32];

	for (int i = 0; i < 32; i++) {
		float a = fabsf(x[i]);

		if (!(a <= 0x1.fffffep127f)) {	/* infinity or NaN */
			memset(b, 0, sizeof(*b));
			b->d = b->xs = NAN;
			return;
		}
		if (a > amax)
			amax = a;
	}
	memset(b, 0, sizeof(*b));
	if (amax < 0x1p-100f)
		return;
	for (int n = 127; n >= 120; n--) {
		float id = (float)n / amax, d = amax / (float)n, error;

		for (int i = 0; i < 32; i++) {
			q[i] = rintf(x[i] * id);
			e[i] = fmaf(-d, q[i], x[i]);
		}
		error = dot(e, e, 32);
		if (n < 127 && !(error < best))
			continue;
		best = error;
		b->d = d;
		for (int i = 0; i < 32; i++)
			b->q[i] = (int8_t)q[i];
	}
	for (int i = 0; i < 32; i++)
		b->half[i / 16] += b->q[i];
	b->xs = b->d * (float)(b->half[0] + b->half[1]);
}

void scalar_quantize(struct q8_block *q, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 32)
		quantize_block(q++, x + i);
}

static float dot_f16(const uint8_t *w, const float *x, uint32_t n)
{
	float a[8] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		a[i % 8] = fmaf(load_f16(w + 2 * i), x[i], a[i % 8]);
	return tree8(a);
}

static float dot_bf16(const uint8_t *w, const float *x, uint32_t n)
{
	float a[8] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		a[i % 8] = fmaf(load_bf16(w + 2 * i), x[i], a[i % 8]);
	return tree8(a);
}

static float dot_q4_0(const uint8_t *w, const struct q8_block *x, uint32_t n)
{
	float acc = 0;

	for (uint32_t k = 0; k < n; k += 32, w += 18, x++) {
		int sum = 0;

		for (int i = 0; i < 16; i++)
			sum += ((w[2 + i] & 15) - 8) * x->q[i] +
			       ((w[2 + i] >> 4) - 8) * x->q[i + 16];
		acc = fmaf(load_f16(w) * x->d, (float)sum, acc);
	}
	return acc;
}

static float dot_q5_0(const uint8_t *w, const struct q8_block *x, uint32_t n)
{
	float acc = 0;

	for (uint32_t k = 0; k < n; k += 32, w += 22, x++) {
		uint32_t high = w[2] | w[3] << 8 | w[4] << 16 | (uint32_t)w[5] << 24;
		int sum = 0;

		for (int i = 0; i < 16; i++) {
			int lo = (w[6 + i] & 15) | (high >> i & 1) << 4;
			int hi = (w[6 + i] >> 4) | (high >> (i + 16) & 1) << 4;

			sum += (lo - 16) * x->q[i] + (hi - 16) * x->q[i + 16];
		}
		acc = fmaf(load_f16(w) * x->d, (float)sum, acc);
	}
	return acc;
}

static float dot_q8_0(const uint8_t *w, const struct q8_block *x, uint32_t n)
{
	float acc = 0;

	for (uint32_t k = 0; k < n; k += 32, w += 34, x++) {
		int sum = 0;

		for (int i = 0; i < 32; i++)
			sum += (int8_t)w[2 + i] * x->q[i];
		acc = fmaf(load_f16(w) * x->d, (float)sum, acc);
	}
	return acc;
}

static float dot_q4_k(const uint8_t *w, const struct q8_block *x, uint32_t n)
{
	float acc = 0;

	for (uint32_t k = 0; k < n; k += 256, w += 144, x += 8) {
		float a = 0, b = 0;
		uint8_t sc[8], m[8];

		q4k_scales(w + 4, sc, m);
		for (int j = 0; j < 8; j++) {
			const uint8_t *q = w + 16 + 32 * (j / 2);
			int sum = 0;

			for (int i = 0; i < 32; i++)
				sum += (j & 1 ? q[i] >> 4 : q[i] & 15) * x[j].q[i];
			a = fmaf(x[j].d, (float)(sc[j] * sum), a);
			b = fmaf((float)m[j], x[j].xs, b);
		}
		acc = fmaf(load_f16(w), a, acc);
		acc = fmaf(-load_f16(w + 2), b, acc);
	}
	return acc;
}

static float dot_q6_k(const uint8_t *w, const struct q8_block *x, uint32_t n)
{
	float acc = 0;

	for (uint32_t k = 0; k < n; k += 256, w += 210, x += 8) {
		const int8_t *sc = (const int8_t *)w + 192;
		float a = 0;

		for (int j = 0; j < 8; j++) {
			int sum = 0;

			for (int i = 0; i < 32; i++)
				sum += sc[2 * j + i / 16] * (q6k_value(w, 32 * j + i) - 32) *
				       x[j].q[i];
			a = fmaf(x[j].d, (float)sum, a);
		}
		acc = fmaf(load_f16(w + 208), a, acc);
	}
	return acc;
}

static float dot_row(const uint8_t *w, uint32_t type, uint32_t n, const struct q8_block *xq,
		     const float *xf)
{
	switch (type) {
	case OCTANS_TYPE_F32:
		return dot((const float *)w, xf, n);
	case OCTANS_TYPE_F16:
		return dot_f16(w, xf, n);
	case OCTANS_TYPE_BF16:
		return dot_bf16(w, xf, n);
	case OCTANS_TYPE_Q4_0:
		return dot_q4_0(w, xq, n);
	case OCTANS_TYPE_Q5_0:
		return dot_q5_0(w, xq, n);
	case OCTANS_TYPE_Q8_0:
		return dot_q8_0(w, xq, n);
	case OCTANS_TYPE_Q4_K:
		return dot_q4_k(w, xq, n);
	case OCTANS_TYPE_Q6_K:
		return dot_q6_k(w, xq, n);
	}
	return NAN;
}

void scalar_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		   uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		   size_t x_stride, const uint32_t *pick, uint32_t tokens)
{
	for (uint32_t r = 0; r < rows; r++)
		for (uint32_t t = 0; t < tokens; t++) {
			size_t x = pick ? pick[t] : t;

			y[t * y_stride + r] = dot_row(w + r * w_stride, type, cols,
						      xq ? xq + x * (cols / 32) : NULL,
						      xf ? xf + x * x_stride : NULL);
		}
}
