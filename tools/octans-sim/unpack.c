// SPDX-License-Identifier: MIT
/* Blocks of weights (GGML's layouts) to floats. */
#include "numeric.h"

#include <octans/isa.h>

#include "codes.h"

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

SIM_PART float byte(const uint32_t *words, int i)
{
	return words[i / 4] >> i % 4 * 8 & 255;
}

/* ---- for products with many rows of x ---- */

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
	uint32_t sc[2], m[2];

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
			float scale = byte(sc, j);

			b->m[j] = byte(m, j);
			ROLLED
			for (int i = 0; i < 32; i++)
				b->w[32 * j + i] = (float)code[32 * j + i] * scale;
		}
		return;
	case OCTANS_TYPE_Q6_K:
		b->d[0] = f16_at(from + 208);
		codes_q6_k(code, from);
		for (int j = 0; j < 16; j++) {
			float scale = (int8_t)from[192 + j];

			ROLLED
			for (int i = 0; i < 16; i++)
				b->w[16 * j + i] = (float)code[16 * j + i] * scale;
		}
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
	uint32_t sc[2], m[2];

	codes_q4_k(code, block + 16);
	scales_q4_k(sc, m, block + 4);
	for (int j = 0; j < 8; j++) {
		float scale = d * byte(sc, j), min = dmin * byte(m, j);

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
