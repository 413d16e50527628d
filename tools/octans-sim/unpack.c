// SPDX-License-Identifier: MIT
/* Blocks of weights (GGML's layouts): to floats, and straight into a product with one row of x. */
#include "numeric.h"

#include <math.h>
#include <string.h>

#include <accel/octans_isa.h>

#include "bits.h"

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

/* ---- codes ---- */

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

/* Scales and mins, six bits each; @s 12 bytes. */
SIM_PART void scales_q4_k(uint8_t *restrict sc, uint8_t *restrict m, const uint8_t *restrict s)
{
	uint32_t a, b, c, low[2], min[2];

	memcpy(&a, s, sizeof(a));
	memcpy(&b, s + 4, sizeof(b));
	memcpy(&c, s + 8, sizeof(c));
	low[0] = a & 0x3f3f3f3f;
	min[0] = b & 0x3f3f3f3f;
	low[1] = (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030);
	min[1] = (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030);
	memcpy(sc, low, sizeof(low));
	memcpy(m, min, sizeof(min));
}

/* Codes times scales. */
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
	for (int j = 0; j < 16; j++) {
		int16_t scale = (int8_t)block[192 + j];

		ROLLED
		for (int i = 0; i < 16; i++)
			code[16 * j + i] = (int16_t)(code[16 * j + i] * scale);
	}
}

/* ---- for products with many rows of x ---- */

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

SIM_PART void floats_by_phase(float *restrict w, const uint8_t *restrict from, uint32_t type, uint32_t n)
{
	float flat[SIM_BLOCK];

	floats(flat, from, type, n);
	for (uint32_t i = n; i < SIM_BLOCK; i++)
		flat[i] = -0.0f;
	for (uint32_t g = 0; g < 32; g++)
		for (uint32_t p = 0; p < 8; p++)
			w[32 * p + g] = flat[8 * g + p];
}

SIM_CLONES void sim_unpack_block(struct sim_block *b, const uint8_t *from, uint32_t type, uint32_t n)
{
	int16_t code[SIM_BLOCK];
	uint8_t sc[8], m[8];

	switch (type) {
	case OCTANS_TYPE_F32:
		floats_by_phase(b->w, from, OCTANS_TYPE_F32, n);
		return;
	case OCTANS_TYPE_F16:
		floats_by_phase(b->w, from, OCTANS_TYPE_F16, n);
		return;
	case OCTANS_TYPE_BF16:
		floats_by_phase(b->w, from, OCTANS_TYPE_BF16, n);
		return;
	case OCTANS_TYPE_Q4_K:
		b->d[0] = f16_at(from);
		b->dmin = f16_at(from + 2);
		codes_q4_k(code, from + 16);
		scales_q4_k(sc, m, from + 4);
		for (int j = 0; j < 8; j++) {
			float scale = sc[j];

			b->m[j] = m[j];
			ROLLED
			for (int i = 0; i < 32; i++)
				b->w[32 * j + i] = (float)code[32 * j + i] * scale;
		}
		return;
	case OCTANS_TYPE_Q6_K:
		b->d[0] = f16_at(from + 208);
		codes_q6_k(code, from);
		for (uint32_t i = 0; i < SIM_BLOCK; i++)
			b->w[i] = code[i];
		return;
	}
	for (uint32_t j = 0; j < n / 32; j++) {
		from = codes_32(code, &b->d[j], from, type);
		ROLLED
		for (int i = 0; i < 32; i++)
			b->w[32 * j + i] = code[i];
	}
}

/* ---- to F32 ---- */

SIM_PART void f32_q4_k(float *to, const uint8_t *block)
{
	float d = f16_at(block), dmin = f16_at(block + 2);
	int16_t code[SIM_BLOCK];
	uint8_t sc[8], m[8];

	codes_q4_k(code, block + 16);
	scales_q4_k(sc, m, block + 4);
	for (int j = 0; j < 8; j++) {
		float scale = d * (float)sc[j], min = dmin * (float)m[j];

		ROLLED
		for (int i = 0; i < 32; i++)
			to[32 * j + i] = scale * (float)code[32 * j + i] - min;
	}
}

SIM_PART void f32_q6_k(float *to, const uint8_t *block)
{
	float d = f16_at(block + 208);

	for (int h = 0; h < 2; h++) {
		const uint8_t *ql = block + 64 * h, *qh = block + 128 + 32 * h;

		for (int i = 0; i < 128; i++) {
			int low = ql[i % 64] >> (i < 64 ? 0 : 4) & 15, high = qh[i % 32] >> i / 32 * 2 & 3;
			float scale = d * (float)(int8_t)block[192 + (128 * h + i) / 16];

			to[128 * h + i] = scale * (float)((low | high << 4) - 32);
		}
	}
}

SIM_CLONES void sim_unpack_f32(float *to, const uint8_t *from, uint32_t type, uint32_t n)
{
	switch (type) {
	case OCTANS_TYPE_F32:
		floats(to, from, OCTANS_TYPE_F32, n);
		return;
	case OCTANS_TYPE_F16:
		floats(to, from, OCTANS_TYPE_F16, n);
		return;
	case OCTANS_TYPE_BF16:
		floats(to, from, OCTANS_TYPE_BF16, n);
		return;
	case OCTANS_TYPE_Q4_K:
		for (uint32_t b = 0; b < n / SIM_BLOCK; b++)
			f32_q4_k(to + (uint64_t)SIM_BLOCK * b, from + 144ull * b);
		return;
	case OCTANS_TYPE_Q6_K:
		for (uint32_t b = 0; b < n / SIM_BLOCK; b++)
			f32_q6_k(to + (uint64_t)SIM_BLOCK * b, from + 210ull * b);
		return;
	}
	for (uint32_t b = 0; b < n / 32; b++) {
		int16_t code[32];
		float d;

		from = codes_32(code, &d, from, type);
		ROLLED
		for (int i = 0; i < 32; i++)
			to[32ull * b + i] = d * (float)code[i];
	}
}

SIM_CLONES void sim_unpack_kv(float *to, const uint8_t *from, uint32_t type, uint32_t n)
{
	sim_unpack_f32(to, from, type, n);
	if (type == OCTANS_TYPE_Q8_0)
		sim_round_f16(to, to, n);
}

/* ---- one row of x ---- */

SIM_PART int32_t sum_of_products(const int16_t *a, const int16_t *b)
{
	int32_t sum = 0;

	ROLLED
	for (int i = 0; i < 32; i++)
		sum += a[i] * b[i];
	return sum;
}

SIM_PART float dot_q4_k(float acc, const uint8_t *row, const struct sim_quant *x, uint32_t blocks)
{
	for (uint32_t b = 0; b < blocks; b++, row += 144) {
		const float *dx = x->d + 8 * b, *xs = x->xs + 8 * b;
		float products = 0, mins = 0;
		int16_t code[SIM_BLOCK];
		uint8_t sc[8], m[8];

		codes_q4_k(code, row + 16);
		scales_q4_k(sc, m, row + 4);
		for (int j = 0; j < 8; j++) {
			int32_t sum = sc[j] * sum_of_products(code + 32 * j, x->q + 256ull * b + 32 * j);

			products = fmaf(dx[j], (float)sum, products);
			mins = fmaf((float)m[j], xs[j], mins);
		}
		acc = fmaf(f16_at(row), products, acc);
		acc = fmaf(-f16_at(row + 2), mins, acc);
	}
	return acc;
}

SIM_PART float dot_q6_k(float acc, const uint8_t *row, const struct sim_quant *x, uint32_t blocks)
{
	for (uint32_t b = 0; b < blocks; b++, row += 210) {
		const float *dx = x->d + 8 * b;
		int16_t code[SIM_BLOCK];
		float products = 0;

		codes_q6_k(code, row);
		for (int j = 0; j < 8; j++) {
			int32_t sum = sum_of_products(code + 32 * j, x->q + 256ull * b + 32 * j);

			products = fmaf(dx[j], (float)sum, products);
		}
		acc = fmaf(f16_at(row + 208), products, acc);
	}
	return acc;
}

/* The codes of Q8_0 need no unpacking. */
SIM_PART float dot_q8_0(float acc, const uint8_t *row, const struct sim_quant *x, uint32_t blocks)
{
	for (uint32_t b = 0; b < blocks; b++, row += 34) {
		const int8_t *code = (const int8_t *)row + 2;
		const int16_t *q = x->q + 32ull * b;
		int32_t sum = 0;

		ROLLED
		for (int i = 0; i < 32; i++)
			sum += (int16_t)code[i] * q[i];
		acc = fmaf(f16_at(row) * x->d[b], (float)sum, acc);
	}
	return acc;
}

SIM_PART float dot_32(float acc, const uint8_t *row, uint32_t type, const struct sim_quant *x,
		      uint32_t blocks)
{
	for (uint32_t b = 0; b < blocks; b++) {
		int16_t code[32];
		float d;

		row = codes_32(code, &d, row, type);
		acc = fmaf(d * x->d[b], (float)sum_of_products(code, x->q + 32ull * b), acc);
	}
	return acc;
}

/* Of floats, by way of memory: both loops are then simple. */
SIM_PART void dot_floats(float *acc, const uint8_t *row, uint32_t type, const float *x, uint32_t n)
{
	uint32_t size = type == OCTANS_TYPE_F32 ? 4 : 2;
	float a[8], w[SIM_BLOCK];

	memcpy(a, acc, sizeof(a));
	for (uint32_t k; n; n -= k, row += k * size, x += k) {
		size_t i;

		k = n < SIM_BLOCK ? n : SIM_BLOCK;
		floats(w, row, type, k);
		for (i = 0; i + 8 <= k; i += 8)
			for (size_t l = 0; l < 8; l++)
				a[l] = fmaf(w[i + l], x[i + l], a[l]);
		for (size_t l = 0; i < k; i++, l++)
			a[l] = fmaf(w[i], x[i], a[l]);
	}
	memcpy(acc, a, sizeof(a));
}

SIM_CLONES void sim_dot(float *acc, const uint8_t *row, uint32_t type, const float *f,
			const struct sim_quant *x, uint32_t n)
{
	switch (type) {
	case OCTANS_TYPE_F32:
		dot_floats(acc, row, OCTANS_TYPE_F32, f, n);
		break;
	case OCTANS_TYPE_F16:
		dot_floats(acc, row, OCTANS_TYPE_F16, f, n);
		break;
	case OCTANS_TYPE_BF16:
		dot_floats(acc, row, OCTANS_TYPE_BF16, f, n);
		break;
	case OCTANS_TYPE_Q4_0:
		*acc = dot_32(*acc, row, OCTANS_TYPE_Q4_0, x, n / 32);
		break;
	case OCTANS_TYPE_Q5_0:
		*acc = dot_32(*acc, row, OCTANS_TYPE_Q5_0, x, n / 32);
		break;
	case OCTANS_TYPE_Q8_0:
		*acc = dot_q8_0(*acc, row, x, n / 32);
		break;
	case OCTANS_TYPE_Q4_K:
		*acc = dot_q4_k(*acc, row, x, n / SIM_BLOCK);
		break;
	case OCTANS_TYPE_Q6_K:
		*acc = dot_q6_k(*acc, row, x, n / SIM_BLOCK);
		break;
	}
}
