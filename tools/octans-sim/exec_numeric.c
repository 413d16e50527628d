// SPDX-License-Identifier: MIT
/*
 * Written for clarity: a row of weights is unpacked to codes and scales, then multiplied.
 * On x86 the hot loops are compiled twice, for machines with FMA and without; the bits are
 * the same because every fused step says fmaf() and nothing else is contracted.
 */
#include "exec_numeric.h"

#include <math.h>
#include <string.h>

#include <accel/octans_isa.h>

/* A level, not a model: "arch=haswell" would leave every other maker's processor out. */
#if defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 12 && !defined(__clang__) && \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES __attribute__((target_clones("arch=x86-64-v3", "default"), optimize("O3")))
#else
#define CLONES
#endif
/* gcc unrolls a short loop before it could vectorise it. */
#ifdef __clang__
#define ROLLED
#else
#define ROLLED _Pragma("GCC unroll 1")
#endif
/* What a cloned function calls must become part of it, or it is compiled only once. */
#define PART static inline __attribute__((always_inline))

static const struct {
	uint32_t type, elements, bytes;
	bool is_float;
} types[] = {
	{ OCTANS_TYPE_F32, 1, 4, true },	{ OCTANS_TYPE_F16, 1, 2, true },
	{ OCTANS_TYPE_BF16, 1, 2, true },	{ OCTANS_TYPE_Q4_0, 32, 18, false },
	{ OCTANS_TYPE_Q5_0, 32, 22, false },	{ OCTANS_TYPE_Q8_0, 32, 34, false },
	{ OCTANS_TYPE_Q4_K, 256, 144, false },	{ OCTANS_TYPE_Q6_K, 256, 210, false },
};

bool sim_type_block(uint32_t type, uint32_t *elements, uint32_t *bytes)
{
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type) {
			*elements = types[i].elements;
			*bytes = types[i].bytes;
			return true;
		}
	return false;
}

bool sim_type_is_float(uint32_t type)
{
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type)
			return types[i].is_float;
	return false;
}

PART float from_bits(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

PART uint32_t half_at(const uint8_t *p)
{
	uint16_t h;

	memcpy(&h, p, sizeof(h));	/* the model runs on little-endian machines */
	return h;
}

PART float f16(const uint8_t *p)
{
	uint32_t h = half_at(p), special = (h & 0x7c00) == 0x7c00 ? 0x7f800000 : 0;
	/* Exponent and mantissa in their new places: too small by the difference of the biases.
	 * The product is exact, for subnormals too. */
	float magnitude = from_bits((h & 0x7fff) << 13) * 0x1p112f;
	uint32_t bits;

	memcpy(&bits, &magnitude, sizeof(bits));
	return from_bits(bits | special | (h & 0x8000) << 16);
}

PART float bf16(const uint8_t *p)
{
	return from_bits(half_at(p) << 16);
}

/* ---- activations ---- */

CLONES void sim_quantize(struct sim_quant *x, const float *row, uint32_t cols)
{
	for (uint32_t b = 0; b < cols / 32; b++) {
		const float *v = row + 32 * b;
		int8_t *q = x->q + 32 * b;
		uint32_t bits[32], most = 0;
		float code[32], wrong[32], amax, least = INFINITY;
		int32_t sum = 0;

		/* The bits of magnitudes sort as the magnitudes do, infinities and NaNs last. */
		memcpy(bits, v, sizeof(bits));
		for (int i = 0; i < 32; i++)
			most = (bits[i] & 0x7fffffff) > most ? bits[i] & 0x7fffffff : most;
		amax = from_bits(most);
		if (!(amax >= 0x1p-100f && amax < INFINITY)) {
			memset(q, 0, 32);
			x->d[b] = x->xs[b] = amax < 0x1p-100f ? 0 : NAN;
			continue;
		}
		/* 127 / amax first: it stays unless another scale is really better. */
		for (int steps = 127; steps >= 120; steps--) {
			float up = (float)steps / amax, down = amax / (float)steps, squares;

			for (int i = 0; i < 32; i++) {
				code[i] = rintf(v[i] * up);
				wrong[i] = fmaf(-down, code[i], v[i]);
			}
			squares = sim_dot8(wrong, wrong, 32);
			if (steps != 127 && !(squares < least))
				continue;
			least = squares;
			x->d[b] = down;
			for (int i = 0; i < 32; i++)
				q[i] = (int8_t)code[i];
		}
		for (int i = 0; i < 32; i++)
			sum += q[i];
		x->xs[b] = x->d[b] * (float)sum;
	}
}

/* ---- weights ---- */

PART void unpack_nibbles(int8_t *restrict code, const uint8_t *restrict q, int offset)
{
	ROLLED
	for (int i = 0; i < 16; i++)
		code[i] = (int8_t)((q[i] & 15) - offset);
	ROLLED
	for (int i = 0; i < 16; i++)
		code[i + 16] = (int8_t)((q[i] >> 4) - offset);
}

PART void unpack_q5_0(int8_t *restrict code, const uint8_t *restrict block)
{
	uint32_t high = half_at(block + 2) | half_at(block + 4) << 16;

	unpack_nibbles(code, block + 6, 16);
	for (int i = 0; i < 32; i++)
		code[i] = (int8_t)(code[i] + 16 * (int)(high >> i & 1));
}

PART void unpack_q4_k(struct sim_row *w, uint32_t b, const uint8_t *block)
{
	const uint8_t *s = block + 4;

	w->d[b] = f16(block);
	w->dmin[b] = f16(block + 2);
	for (int j = 0; j < 8; j++) {
		const uint8_t *restrict q = block + 16 + 32 * (j / 2);
		int8_t *restrict code = w->code + 256 * b + 32 * j;
		uint8_t sc, m;

		if (j < 4) {
			sc = s[j] & 63;
			m = s[j + 4] & 63;
		} else {
			sc = (uint8_t)((s[j + 4] & 15) + 16 * (s[j - 4] >> 6));
			m = (uint8_t)((s[j + 4] >> 4) + 16 * (s[j] >> 6));
		}
		w->scale[16 * b + 2 * j] = w->scale[16 * b + 2 * j + 1] = sc;
		w->min[8 * b + j] = m;
		for (int i = 0; i < 32; i++)
			code[i] = (int8_t)(j % 2 ? q[i] >> 4 : q[i] & 15);
	}
}

PART void unpack_q6_k(struct sim_row *w, uint32_t b, const uint8_t *block)
{
	w->d[b] = f16(block + 208);
	for (int j = 0; j < 16; j++)
		w->scale[16 * b + j] = (int8_t)block[192 + j];
	for (int h = 0; h < 2; h++) {
		const uint8_t *restrict ql = block + 64 * h, *restrict qh = block + 128 + 32 * h;
		int8_t *restrict code = w->code + 256 * b + 128 * h;

		for (int l = 0; l < 32; l++) {
			uint8_t low = ql[l], next = ql[l + 32], high = qh[l];

			code[l] = (int8_t)(((low & 15) | (high & 3) << 4) - 32);
			code[l + 32] = (int8_t)(((next & 15) | (high >> 2 & 3) << 4) - 32);
			code[l + 64] = (int8_t)((low >> 4 | (high >> 4 & 3) << 4) - 32);
			code[l + 96] = (int8_t)((next >> 4 | high >> 6 << 4) - 32);
		}
	}
	for (int j = 0; j < 16; j++) {
		int16_t scale = w->scale[16 * b + j];
		const int8_t *restrict code = w->code + 256 * b + 16 * j;
		int16_t *restrict scaled = w->scaled + 256 * b + 16 * j;

		ROLLED
		for (int i = 0; i < 16; i++)
			scaled[i] = (int16_t)(scale * code[i]);
	}
}

CLONES void sim_unpack(struct sim_row *w, const uint8_t *row, uint32_t type, uint32_t cols)
{
	uint32_t elements, bytes, blocks;

	if (!sim_type_block(type, &elements, &bytes))
		return;
	blocks = cols / elements;
	switch (type) {
	case OCTANS_TYPE_F32:
		memcpy(w->f, row, cols * 4ull);
		break;
	case OCTANS_TYPE_F16:
		for (uint32_t i = 0; i < cols; i++)
			w->f[i] = f16(row + 2ull * i);
		break;
	case OCTANS_TYPE_BF16:
		for (uint32_t i = 0; i < cols; i++)
			w->f[i] = bf16(row + 2ull * i);
		break;
	case OCTANS_TYPE_Q4_0:
		for (uint32_t b = 0; b < blocks; b++, row += bytes) {
			w->d[b] = f16(row);
			unpack_nibbles(w->code + 32 * b, row + 2, 8);
		}
		break;
	case OCTANS_TYPE_Q5_0:
		for (uint32_t b = 0; b < blocks; b++, row += bytes) {
			w->d[b] = f16(row);
			unpack_q5_0(w->code + 32 * b, row);
		}
		break;
	case OCTANS_TYPE_Q8_0:
		for (uint32_t b = 0; b < blocks; b++, row += bytes) {
			w->d[b] = f16(row);
			memcpy(w->code + 32 * b, row + 2, 32);
		}
		break;
	case OCTANS_TYPE_Q4_K:
		for (uint32_t b = 0; b < blocks; b++, row += bytes)
			unpack_q4_k(w, b, row);
		break;
	case OCTANS_TYPE_Q6_K:
		for (uint32_t b = 0; b < blocks; b++, row += bytes)
			unpack_q6_k(w, b, row);
		break;
	}
}

/* ---- products ---- */

PART float fold8(const float *a)
{
	float b0 = a[0] + a[4], b1 = a[1] + a[5], b2 = a[2] + a[6], b3 = a[3] + a[7];

	return (b0 + b2) + (b1 + b3);
}

CLONES float sim_dot8(const float *x, const float *y, uint32_t n)
{
	float lane[8] = { 0 };
	uint32_t i;

	for (i = 0; i + 8 <= n; i += 8)
		for (int l = 0; l < 8; l++)
			lane[l] = fmaf(x[i + l], y[i + l], lane[l]);
	for (int l = 0; i < n; i++, l++)
		lane[l] = fmaf(x[i], y[i], lane[l]);
	return fold8(lane);
}

PART int32_t sum32(const int8_t *a, const int8_t *b)
{
	int32_t sum = 0;

	for (int i = 0; i < 32; i++)
		sum += (int16_t)a[i] * (int16_t)b[i];
	return sum;
}

PART int32_t sum32_scaled(const int16_t *a, const int8_t *b)
{
	int32_t sum = 0;

	for (int i = 0; i < 32; i++)
		sum += a[i] * (int16_t)b[i];
	return sum;
}

CLONES static float dot_blocks(const struct sim_row *w, const struct sim_quant *x, uint32_t cols)
{
	float acc = 0;

	for (uint32_t b = 0; b < cols / 32; b++) {
		float scale = w->d[b] * x->d[b];

		acc = fmaf(scale, (float)sum32(w->code + 32 * b, x->q + 32 * b), acc);
	}
	return acc;
}

CLONES static float dot_q4_k(const struct sim_row *w, const struct sim_quant *x, uint32_t cols)
{
	float acc = 0;

	for (uint32_t b = 0; b < cols / 256; b++) {
		float products = 0, mins = 0;

		for (uint32_t j = 8 * b; j < 8 * b + 8; j++) {
			int32_t sum = w->scale[2 * j] * sum32(w->code + 32 * j, x->q + 32 * j);

			products = fmaf(x->d[j], (float)sum, products);
			mins = fmaf((float)w->min[j], x->xs[j], mins);
		}
		acc = fmaf(w->d[b], products, acc);
		acc = fmaf(-w->dmin[b], mins, acc);
	}
	return acc;
}

CLONES static float dot_q6_k(const struct sim_row *w, const struct sim_quant *x, uint32_t cols)
{
	float acc = 0;

	for (uint32_t b = 0; b < cols / 256; b++) {
		float products = 0;

		for (uint32_t j = 8 * b; j < 8 * b + 8; j++) {
			int32_t sum = sum32_scaled(w->scaled + 32 * j, x->q + 32 * j);

			products = fmaf(x->d[j], (float)sum, products);
		}
		acc = fmaf(w->d[b], products, acc);
	}
	return acc;
}

void sim_dot_row(float *out, const struct sim_row *w, uint32_t type, uint32_t cols,
		 const float *const *xf, const struct sim_quant *xq, uint32_t tokens)
{
	for (uint32_t t = 0; t < tokens; t++) {
		if (sim_type_is_float(type))
			out[t] = sim_dot8(w->f, xf[t], cols);
		else if (type == OCTANS_TYPE_Q4_K)
			out[t] = dot_q4_k(w, &xq[t], cols);
		else if (type == OCTANS_TYPE_Q6_K)
			out[t] = dot_q6_k(w, &xq[t], cols);
		else
			out[t] = dot_blocks(w, &xq[t], cols);
	}
}

void sim_dequantize(float *out, const struct sim_row *w, uint32_t type, uint32_t cols)
{
	for (uint32_t i = 0; i < cols; i++) {
		float code = w->code ? (float)w->code[i] : 0;

		if (sim_type_is_float(type))
			out[i] = w->f[i];
		else if (type == OCTANS_TYPE_Q4_K)
			out[i] = (w->d[i / 256] * (float)w->scale[i / 16]) * code -
				 w->dmin[i / 256] * (float)w->min[i / 32];
		else if (type == OCTANS_TYPE_Q6_K)
			out[i] = (w->d[i / 256] * (float)w->scale[i / 16]) * code;
		else
			out[i] = w->d[i / 32] * code;
	}
}

/* ---- the rest ---- */

PART float exponential(float x)
{
	static const float coefficient[] = {
		0x1.a0d2cep-13f, 0x1.6e879cp-10f, 0x1.111210p-7f, 0x1.555382p-5f, 0x1.555554p-3f, 0x1p-1f,
	};
	/* What lies outside is put right at the end, without a branch. */
	float inside = x >= -87 && x <= 88 ? x : 0;
	float n = rintf(inside * 0x1.715476p+0f), r, p, y;

	r = fmaf(n, 0x1.bd0106p-13f, fmaf(n, -0x1.63p-1f, inside));
	p = coefficient[0];
	for (int i = 1; i < 6; i++)
		p = fmaf(p, r, coefficient[i]);
	y = fmaf(p, r * r, r) + 1;
	y = y * from_bits((uint32_t)((int32_t)n + 127) << 23);	/* 2^n: n is -126 .. 127 */
	y = x > 88 ? INFINITY : y;
	y = x < -87 ? 0 : y;
	return isnan(x) ? NAN : y;
}

CLONES void sim_rmsnorm(float *y, const float *x, const float *w, uint32_t n, float eps)
{
	float mean = sim_dot8(x, x, n) / (float)n;
	float r = 1 / sqrtf(mean + eps);

	for (uint32_t i = 0; i < n; i++)
		y[i] = (x[i] * r) * w[i];
}

CLONES void sim_rope(float *y, const float *x, const float *cs, uint32_t heads, uint32_t head_dim,
		     uint32_t rot, bool half)
{
	uint32_t pairs = rot / 2, step = half ? 1 : 2, apart = half ? pairs : 1;

	for (uint32_t h = 0; h < heads; h++) {
		const float *in = x + h * head_dim;
		float *out = y + h * head_dim;

		for (uint32_t p = 0; p < pairs; p++) {
			float a = in[p * step], b = in[p * step + apart];
			float cosine = cs[p], sine = cs[pairs + p];

			out[p * step] = fmaf(a, cosine, -(b * sine));
			out[p * step + apart] = fmaf(a, sine, b * cosine);
		}
		for (uint32_t i = rot; i < head_dim; i++)
			out[i] = in[i];
	}
}

CLONES void sim_silu_mul(float *y, const float *gate, const float *up, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		float sigmoid_inverse = 1 + exponential(-gate[i]);

		y[i] = (gate[i] / sigmoid_inverse) * up[i];
	}
}

CLONES float sim_softmax(float *scores, uint32_t n)
{
	float largest = -INFINITY, lane[8] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		if (scores[i] > largest)
			largest = scores[i];
	for (uint32_t i = 0; i < n; i++) {
		scores[i] = exponential(scores[i] - largest);
		lane[i % 8] += scores[i];
	}
	return 1 / fold8(lane);
}

CLONES void sim_accumulate(float *acc, const float *v, float weight, uint32_t n)
{
	for (uint32_t d = 0; d < n; d++)
		acc[d] = fmaf(weight, v[d], acc[d]);
}
