// SPDX-License-Identifier: MIT
#include "type.h"

#include <octans/isa.h>

#include "bits.h"
#include "traits.h"

#define TYPE_SCALAR
#include "list.h"
#undef TYPE_SCALAR

static const struct entry {
	const struct weight_type *type;
	void (*unpack)(struct type_block *b, const uint8_t *w);
	void (*widen)(float *to, const uint8_t *from, uint32_t n);
} entries[64] = {
#define ENTRY_FLOAT(lower)	{ &lower##_type, NULL, lower##_widen }
#define ENTRY_PLAIN(lower)	{ &lower##_type, lower##_unpack, NULL }
#define ENTRY_SCALED(lower)	ENTRY_PLAIN(lower)
#define WEIGHT_TYPE(NAME, lower, form, number, ...) [number] = ENTRY_##form(lower),
#include "list.h"
};

/* What else a file may say: refused, but by its name.  Without a block: gone from GGML. */
static const struct { const char *name; uint32_t elements, bytes; } others[] = {
	[4] = { "Q4_2", 0, 0 },		[5] = { "Q4_3", 0, 0 },
	[9] = { "Q8_1", 32, 36 },	[15] = { "Q8_K", 256, 292 },
	[16] = { "IQ2_XXS", 256, 66 },	[17] = { "IQ2_XS", 256, 74 },
	[18] = { "IQ3_XXS", 256, 98 },	[19] = { "IQ1_S", 256, 50 },
	[21] = { "IQ3_S", 256, 110 },	[22] = { "IQ2_S", 256, 82 },
	[24] = { "I8", 1, 1 },		[25] = { "I16", 1, 2 },
	[26] = { "I32", 1, 4 },		[27] = { "I64", 1, 8 },
	[28] = { "F64", 1, 8 },		[29] = { "IQ1_M", 256, 56 },
	[31] = { "Q4_0_4_4", 0, 0 },	[32] = { "Q4_0_4_8", 0, 0 },
	[33] = { "Q4_0_8_8", 0, 0 },	[34] = { "TQ1_0", 256, 54 },
	[35] = { "TQ2_0", 256, 66 },	[36] = { "IQ4_NL_4_4", 0, 0 },
	[37] = { "IQ4_NL_4_8", 0, 0 },	[38] = { "IQ4_NL_8_8", 0, 0 },
	[40] = { "NVFP4", 64, 36 },	[41] = { "Q1_0", 0, 0 },
	[42] = { "Q2_0", 0, 0 },
	/* of ik_llama.cpp */
	[133] = { "Q6_0", 0, 0 },	[134] = { "IQ1_BN", 0, 0 },
	[135] = { "IQ2_BN", 0, 0 },	[137] = { "IQ2_K", 0, 0 },
	[138] = { "IQ3_K", 0, 0 },	[139] = { "IQ4_K", 0, 0 },
	[140] = { "IQ5_K", 0, 0 },	[141] = { "IQ6_K", 0, 0 },
	[144] = { "IQ4_KS", 0, 0 },	[145] = { "IQ2_KS", 0, 0 },
	[146] = { "IQ4_KSS", 0, 0 },	[152] = { "IQ5_KS", 0, 0 },
	[153] = { "IQ2_KT", 0, 0 },	[154] = { "IQ3_KT", 0, 0 },
	[155] = { "IQ4_KT", 0, 0 },	[156] = { "IQ3_KS", 0, 0 },
	[157] = { "IQ2_KL", 0, 0 },	[158] = { "IQ1_KT", 0, 0 },
};

#define N_OTHERS (sizeof(others) / sizeof(others[0]))

const struct weight_type *weight_type(uint32_t id)
{
	return id < 64 ? entries[id].type : NULL;
}

const char *accel_type_name(uint32_t id)
{
	const struct weight_type *t = weight_type(id);

	if (t)
		return t->name;
	return id < N_OTHERS && others[id].name ? others[id].name : "?";
}

bool accel_type_block(uint32_t id, uint32_t *elements, uint32_t *bytes)
{
	const struct weight_type *t = weight_type(id);

	if (!t && (id >= N_OTHERS || !others[id].elements))
		return false;
	*elements = t ? t->elements : others[id].elements;
	*bytes = t ? t->bytes : others[id].bytes;
	return true;
}

bool type_block(uint32_t id, uint32_t *elements, uint32_t *bytes)
{
	return (weight_type(id) || id == OCTANS_TYPE_I32) && accel_type_block(id, elements, bytes);
}

uint64_t type_bytes(uint32_t id, uint32_t n)
{
	uint32_t elements = 1, bytes = 0;

	type_block(id, &elements, &bytes);
	return (uint64_t)n / elements * bytes;
}

uint32_t type_align(uint32_t id)
{
	uint32_t elements = 1, bytes = 1;

	type_block(id, &elements, &bytes);
	return elements == 1 ? bytes : bytes % 2 ? 1 : 2;
}

bool type_is_float(uint32_t id)
{
	const struct weight_type *t = weight_type(id);

	return t && t->form == TYPE_FLOAT;
}

void type_unpack(const struct weight_type *t, struct type_block *b, const uint8_t *from)
{
	entries[t->id].unpack(b, from);
}

/* n codes times d, plus m if there are minima; apart, for the sake of a zero's sign. */
static void widen_codes(float *restrict to, const int8_t *restrict code, uint32_t n, float d,
			bool minima, float m)
{
	if (minima)
		for (uint32_t i = 0; i < n; i++)
			to[i] = d * (float)code[i] + m;
	else
		for (uint32_t i = 0; i < n; i++)
			to[i] = d * (float)code[i];
}

static void widen_block(const struct weight_type *t, float *to, const struct type_block *b)
{
	if (t->form == TYPE_PLAIN) {
		widen_codes(to, b->code, 32, b->d, t->minima, b->m);
		return;
	}
	for (uint32_t j = 0; j < TYPE_BLOCK / t->group; j++)
		widen_codes(to + j * t->group, b->code + j * t->group, t->group,
			    b->d * (float)b->scale[j], t->minima,
			    t->minima ? -(b->m * (float)b->min[j]) : 0);
}

void type_widen(const struct weight_type *t, float *to, const uint8_t *from, uint32_t n)
{
	struct type_block b;

	if (t->form == TYPE_FLOAT) {
		entries[t->id].widen(to, from, n);
		return;
	}
	for (uint32_t i = 0; i < n; i += t->elements, from += t->bytes) {
		type_unpack(t, &b, from);
		widen_block(t, to + i, &b);
	}
}
