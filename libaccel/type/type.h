/* SPDX-License-Identifier: MIT */
/*
 * Types of weights.  One type is one file, NAME.h, and one line in list.h: its block, and how that
 * is unpacked, by one value or by a vector at a time.  What is computed from unpacked blocks
 * depends on the form alone, so nothing outside of this folder knows a type.
 */
#ifndef ACCEL_TYPE_H
#define ACCEL_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <accel/accel.h>

/* What the codes q of a block stand for; Documentation/hardware/numerics.rst has the formulas. */
enum type_form {
	TYPE_FLOAT,	/* no codes, numbers */
	TYPE_PLAIN,	/* 32 values: d q, or with minima d q + m */
	TYPE_SCALED,	/* 256 values: d sc q, or with minima d sc q - dmin m */
};

struct weight_type {
	const char *name;
	uint32_t id;		/* GGML's number, below 64 */
	enum type_form form;
	uint16_t elements, bytes;	/* of a block */
	bool minima;
	uint8_t group;		/* SCALED: 16 or 32 values have a scale (and a minimum) */
	/* What vectors want to know.  Codes there are unsigned, greater by offset than they are; or
	 * signed, and at most 127. */
	bool has_sign;
	uint8_t offset, top;	/* unsigned: top is the largest */
	uint8_t d_at, m_at;	/* bytes before the F16 d; before m or dmin */
	bool d_exponent;	/* d is a byte instead, the exponent of a power of two */
};

#define TYPE_BLOCK 256	/* values, at most */

/* A block, unpacked.  Value i is code[i], with scale[i / group] and min[i / group]. */
struct type_block {
	float d, m;		/* m: what is added, or what the minima are multiplied with */
	int8_t code[TYPE_BLOCK];
	int8_t scale[16];
	uint8_t min[16];
};

/* NULL: weights have no such type.  All functions here: MT-safe. */
const struct weight_type *weight_type(uint32_t id);

/* Elements and bytes of a block of any type that a file may hold, supported or not; false: unknown. */
bool accel_type_block(uint32_t id, uint32_t *elements, uint32_t *bytes);

/* The same of the types that commands may name: weights and I32. */
bool type_block(uint32_t id, uint32_t *elements, uint32_t *bytes);
/* Bytes of n elements, whole blocks of a type that there is. */
uint64_t type_bytes(uint32_t id, uint32_t n);
/* What addresses and strides of a type that there is are multiples of. */
uint32_t type_align(uint32_t id);
/* Are its elements numbers, not blocks of codes? */
bool type_is_float(uint32_t id);

/* One block; not of floats. */
void type_unpack(const struct weight_type *t, struct type_block *b, const uint8_t *from);
/* n elements of any type, whole blocks, to F32. */
void type_widen(const struct weight_type *t, float *to, const uint8_t *from, uint32_t n);

#endif
