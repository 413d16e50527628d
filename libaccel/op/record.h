/* SPDX-License-Identifier: MIT */
/*
 * Recording: commands of the command set (octans/isa.h) appended to a stream, once.  What differs
 * from step to step comes from parameters and from arrays in memory, so the same stream serves every
 * step; the processor and the CPU run the same commands, only the addresses in them differ.
 */
#ifndef ACCEL_RECORD_H
#define ACCEL_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include <octans/isa.h>

enum op_number {			/* OP_MOVE, ... */
#define OP(NAME, lower, number) OP_##NAME = number,
#include "list.h"
#undef OP
};

struct recorder {
	uint8_t *base;			/* where commands go; NULL: they are only counted */
	size_t size;			/* bytes so far */
	int group;			/* of rows that are recorded in groups, else -1 ... */
	size_t start;			/* ... and where that begins */
	uint64_t ops;			/* bit n: opcode n was used */
};

/* Appends a command of size bytes; its op, flags and size are filled in. */
void record(struct recorder *r, enum op_number op, uint16_t flags, void *cmd, uint32_t size);

/* RECORD(r, MOVE, move, flags, .dst = ..., .src = ...): a struct octans_cmd_move of these fields. */
#define RECORD(r, OP, name, flags, ...) do { \
	struct octans_cmd_##name cmd_ = { __VA_ARGS__ }; \
\
	record(r, OP_##OP, flags, &cmd_, sizeof(cmd_)); \
} while (0)

/*
 * Calls part() once for each of two groups of rows, whose commands then stand in turn: what the vector
 * engine does for one runs beside the multipliers of the other.  Both calls append the same commands.
 */
void record_in_groups(struct recorder *r, void (*part)(void *arg, int group), void *arg);

static inline struct octans_tensor tensor_f32(uint64_t va, uint32_t rows, uint32_t cols, uint32_t dyn)
{
	return (struct octans_tensor) {
		.va = va, .stride = cols * 4ull, .rows = rows, .cols = cols, .type = OCTANS_TYPE_F32,
		.dyn = dyn,
	};
}

static inline struct octans_tensor tensor_i32(uint64_t va, uint32_t rows, uint32_t cols, uint32_t dyn)
{
	struct octans_tensor t = tensor_f32(va, rows, cols, dyn);

	t.type = OCTANS_TYPE_I32;
	return t;
}

#endif
