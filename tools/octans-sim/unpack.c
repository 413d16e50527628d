// SPDX-License-Identifier: MIT
/* Blocks of weights to floats. */
#include "numeric.h"

#include <octans/isa.h>

#include "codes.h"

const struct sim_type *sim_type(uint32_t type)
{
	switch (type) {
#define CASE(NAME, name, ...) case OCTANS_TYPE_##NAME: return &type_##name;
	SIM_TYPES(CASE)
#undef CASE
	}
	return NULL;
}

bool sim_type_block(uint32_t type, uint32_t *elements, uint32_t *bytes)
{
	const struct sim_type *t = sim_type(type);

	if (!t)
		return false;
	*elements = t->elements;
	*bytes = t->bytes;
	return true;
}

bool sim_type_is_float(uint32_t type)
{
	const struct sim_type *t = sim_type(type);

	return t && t->form == SIM_FLOATS;
}

uint32_t sim_type_align(uint32_t type)
{
	const struct sim_type *t = sim_type(type);

	if (!t || t->bytes == 4)	/* I32 is no type of weights */
		return 4;
	return t->bytes % 2 ? 1 : 2;
}

uint64_t sim_type_mask(void)
{
#define BIT(NAME, ...) | 1ull << OCTANS_TYPE_##NAME
	return 0 SIM_TYPES(BIT);
#undef BIT
}

/* ---- for products with many rows of x ---- */

SIM_PART void by_phase(float *restrict w, float *restrict flat, uint32_t n)
{
	for (uint32_t i = n; i < SIM_BLOCK; i++)
		flat[i] = -0.0f;
	for (uint32_t g = 0; g < 32; g++)
		for (uint32_t p = 0; p < 8; p++)
			w[32 * p + g] = flat[8 * g + p];
}

/* Scales and minima of a block of 256, the former in its codes. */
SIM_PART void scale_codes(struct sim_block *b, const struct sim_type *t,
			  const int16_t *restrict code, const struct sim_parts *p)
{
	for (uint32_t j = 0; j < SIM_BLOCK / t->part; j++) {
		float scale = signed_part(p->scale, j);

		if (t->mins)
			b->m[j] = part(p->min, j);
		ROLLED
		for (uint32_t i = t->part * j; i < t->part * (j + 1); i++)
			b->w[i] = (float)code[i] * scale;
	}
}

#define BLOCK_FLOATS(name) \
	floats_##name(flat, from, n); \
	by_phase(b->w, flat, n);
#define BLOCK_NESTED(name) \
	b->d[0] = scale_at(&type_##name, from); \
	if (type_##name.mins) \
		b->dmin = f16_at(from + type_##name.m); \
	codes_##name(code, &parts, from); \
	scale_codes(b, &type_##name, code, &parts);
#define BLOCK_SIMPLE(name) \
	for (uint32_t j = 0; j < n / 32; j++, from += type_##name.bytes) { \
		b->d[j] = scale_at(&type_##name, from); \
		if (type_##name.mins) \
			b->m[j] = f16_at(from + type_##name.m); \
		codes_##name(code, from); \
		ROLLED \
		for (int i = 0; i < 32; i++) \
			b->w[32 * j + i] = code[i]; \
	}

SIM_CLONES void sim_unpack_block(struct sim_block *b, const uint8_t *from, uint32_t type, uint32_t n)
{
	struct sim_parts parts;
	int16_t code[SIM_BLOCK];
	float flat[SIM_BLOCK];

	switch (type) {
#define CASE(NAME, name, form, ...) case OCTANS_TYPE_##NAME: BLOCK_##form(name) break;
	SIM_TYPES(CASE)
#undef CASE
	}
}

/* ---- to F32 ---- */

SIM_PART void widen_nested(float *restrict to, const struct sim_type *t, const uint8_t *block,
			   const int16_t *restrict code, const struct sim_parts *p)
{
	float d = scale_at(t, block), dmin = t->mins ? f16_at(block + t->m) : 0;

	for (uint32_t j = 0; j < SIM_BLOCK / t->part; j++) {
		float scale = d * signed_part(p->scale, j);
		float min = t->mins ? dmin * part(p->min, j) : 0;

		ROLLED
		for (uint32_t i = t->part * j; i < t->part * (j + 1); i++)
			to[i] = t->mins ? scale * (float)code[i] - min : scale * (float)code[i];
	}
}

SIM_PART void widen_simple(float *restrict to, const struct sim_type *t, const uint8_t *block,
			   const int16_t *restrict code)
{
	float d = scale_at(t, block), m = t->mins ? f16_at(block + t->m) : 0;

	ROLLED
	for (int i = 0; i < 32; i++)
		to[i] = t->mins ? d * (float)code[i] + m : d * (float)code[i];
}

#define WIDEN_FLOATS(name) floats_##name(to, from, n);
#define WIDEN_NESTED(name) \
	for (uint32_t i = 0; i < n; i += SIM_BLOCK, from += type_##name.bytes) { \
		codes_##name(code, &parts, from); \
		widen_nested(to + i, &type_##name, from, code, &parts); \
	}
#define WIDEN_SIMPLE(name) \
	for (uint32_t i = 0; i < n; i += 32, from += type_##name.bytes) { \
		codes_##name(code, from); \
		widen_simple(to + i, &type_##name, from, code); \
	}

SIM_CLONES void sim_unpack_f32(float *to, const uint8_t *from, uint32_t type, uint32_t n)
{
	struct sim_parts parts;
	int16_t code[SIM_BLOCK];

	switch (type) {
#define CASE(NAME, name, form, ...) case OCTANS_TYPE_##NAME: WIDEN_##form(name) break;
	SIM_TYPES(CASE)
#undef CASE
	}
}

SIM_CLONES void sim_unpack_kv(float *to, const uint8_t *from, uint32_t type, uint32_t n)
{
	sim_unpack_f32(to, from, type, n);
	if (type == OCTANS_TYPE_Q8_0)
		sim_round_f16(to, to, n);
}
