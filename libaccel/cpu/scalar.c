// SPDX-License-Identifier: MIT
/* The scalar reference: numerics.rst in plain C, for every machine and to compare with. */
#include "kernels.h"

#include "model/gguf.h"

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

static void quantize(struct q8_block *q, const float *x, uint32_t n)
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
			sum += ((w[2 + i] & 15) - 8) * x->q[i] + ((w[2 + i] >> 4) - 8) * x->q[i + 16];
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

/* Value i of a Q6_K block, 0..63. */
static int q6k_value(const uint8_t *w, int i)
{
	int h = i / 128, l = i % 32, part = i % 128 / 32;
	const uint8_t *ql = w + 64 * h, *qh = w + 128 + 32 * h;
	int low = part < 2 ? ql[l + 32 * part] & 15 : ql[l + 32 * (part - 2)] >> 4;

	return low | (qh[l] >> (2 * part) & 3) << 4;
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
				sum += sc[2 * j + i / 16] * (q6k_value(w, 32 * j + i) - 32) * x[j].q[i];
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
	case ACCEL_F32:
		return dot((const float *)w, xf, n);
	case ACCEL_F16:
		return dot_f16(w, xf, n);
	case ACCEL_BF16:
		return dot_bf16(w, xf, n);
	case ACCEL_Q4_0:
		return dot_q4_0(w, xq, n);
	case ACCEL_Q5_0:
		return dot_q5_0(w, xq, n);
	case ACCEL_Q8_0:
		return dot_q8_0(w, xq, n);
	case ACCEL_Q4_K:
		return dot_q4_k(w, xq, n);
	case ACCEL_Q6_K:
		return dot_q6_k(w, xq, n);
	}
	return NAN;
}

static void matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		   uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		   size_t x_stride, uint32_t tokens)
{
	for (uint32_t r = 0; r < rows; r++)
		for (uint32_t t = 0; t < tokens; t++)
			y[t * y_stride + r] = dot_row(w + r * w_stride, type, cols,
						      xq ? xq + (size_t)t * (cols / 32) : NULL,
						      xf + t * x_stride);
}

static void rmsnorm(float *y, const float *x, const float *w, uint32_t n, float eps)
{
	float mean = dot(x, x, n) / (float)n, r = 1 / sqrtf(mean + eps);

	for (uint32_t i = 0; i < n; i++)
		y[i] = (x[i] * r) * w[i];
}

static void glu(float *y, const float *gate, const float *up, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = (gate[i] / (1 + exp_f32(-gate[i]))) * up[i];
}

static void add(float *y, const float *a, const float *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = a[i] + b[i];
}

static void attend(float *dst, const float *q, const float *k, const float *v, size_t stride,
		   uint32_t n, uint32_t head_dim, float scale, float *scores)
{
	float max = -INFINITY, lanes[8] = { 0 }, inverse;

	for (uint32_t t = 0; t < n; t++) {
		scores[t] = dot(q, k + t * stride, head_dim) * scale;
		if (scores[t] > max)
			max = scores[t];
	}
	for (uint32_t t = 0; t < n; t++) {
		scores[t] = exp_f32(scores[t] - max);
		lanes[t % 8] += scores[t];
	}
	inverse = 1 / tree8(lanes);
	for (uint32_t d = 0; d < head_dim; d++) {
		float acc = 0;

		for (uint32_t t = 0; t < n; t++)
			acc = fmaf(scores[t], v[t * stride + d], acc);
		dst[d] = acc * inverse;
	}
}

const struct kernels kernels_scalar = {
	.name = "scalar",
	.quantize = quantize,
	.matmul = matmul,
	.dot = dot,
	.rmsnorm = rmsnorm,
	.glu = glu,
	.add = add,
	.attend = attend,
};

static void dequantize_q4_k(float *dst, const uint8_t *w)
{
	float d = load_f16(w), dmin = load_f16(w + 2);
	uint8_t sc[8], m[8];

	q4k_scales(w + 4, sc, m);
	for (int i = 0; i < 256; i++) {
		int j = i / 32;
		uint8_t byte = w[16 + 32 * (j / 2) + i % 32];
		float q = j & 1 ? byte >> 4 : byte & 15;

		dst[i] = (d * (float)sc[j]) * q - dmin * (float)m[j];
	}
}

static void dequantize_32(float *dst, const uint8_t *w, uint32_t type)
{
	float d = load_f16(w);
	uint32_t high;

	for (int i = 0; i < 32; i++) {
		int q;

		if (type == ACCEL_Q8_0) {
			q = (int8_t)w[2 + i];
		} else if (type == ACCEL_Q4_0) {
			q = (i < 16 ? w[2 + i] & 15 : w[2 + i - 16] >> 4) - 8;
		} else {
			high = w[2] | w[3] << 8 | w[4] << 16 | (uint32_t)w[5] << 24;
			q = i < 16 ? w[6 + i] & 15 : w[6 + i - 16] >> 4;
			q = (q | (high >> i & 1) << 4) - 16;
		}
		dst[i] = d * (float)q;
	}
}

void dequantize_row(float *dst, const uint8_t *src, uint32_t type, uint32_t n)
{
	uint32_t elements, bytes;

	if (!accel_type_block(type, &elements, &bytes))
		return;
	for (uint32_t i = 0; i < n; i += elements, src += bytes, dst += elements) {
		switch (type) {
		case ACCEL_F32:
			memcpy(dst, src, 4);
			break;
		case ACCEL_F16:
			*dst = load_f16(src);
			break;
		case ACCEL_BF16:
			*dst = load_bf16(src);
			break;
		case ACCEL_Q4_K:
			dequantize_q4_k(dst, src);
			break;
		case ACCEL_Q6_K:
			for (int k = 0; k < 256; k++)
				dst[k] = (load_f16(src + 208) * (float)(int8_t)src[192 + k / 16]) *
					 (float)(q6k_value(src, k) - 32);
			break;
		default:
			dequantize_32(dst, src, type);
		}
	}
}

void rope_heads(float *dst, const float *x, const float *cs, uint32_t heads, uint32_t head_dim,
		uint32_t rot, bool half)
{
	uint32_t n = rot / 2;

	for (uint32_t h = 0; h < heads; h++, x += head_dim, dst += head_dim) {
		for (uint32_t i = 0; i < n; i++) {
			uint32_t ia = half ? i : 2 * i, ib = half ? i + n : 2 * i + 1;
			float a = x[ia], b = x[ib], c = cs[i], s = cs[n + i];

			dst[ia] = fmaf(a, c, -(b * s));
			dst[ib] = fmaf(a, s, b * c);
		}
		for (uint32_t i = rot; i < head_dim; i++)
			dst[i] = x[i];
	}
}
