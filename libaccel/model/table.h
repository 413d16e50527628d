/* SPDX-License-Identifier: MIT */
/* Tables that layers read beside weights: made once for an engine, from what the model says and the shape of
 * its steps. */
#ifndef ACCEL_TABLE_H
#define ACCEL_TABLE_H

#include "rope.h"

struct octans_tensor;

enum table_kind {
	TABLE_ROPE,		/* F32 [ctx, rot] */
	TABLE_TEMPERATURE,	/* F32 [ctx, 1] */
	TABLE_EACH,		/* I32 [batch, n]: 0 1 .. n - 1, in every row */
	TABLE_OWNER,		/* I32 [batch * n, 1]: the row i / n */
};

struct table {
	enum table_kind kind;
	uint32_t n;
	struct rope rope;
	/* TEMPERATURE: 1 + scale * ln(1 + floor(position / every)) */
	struct {
		double scale, every;
	} temperature;
};

#define MODEL_TABLES 10

/* As a tensor at va, all of it in effect. */
struct octans_tensor table_tensor(const struct table *t, uint32_t ctx, uint32_t batch, uint64_t va);
/* Numbers by which commands find others: read even where data is not. */
static inline bool table_is_control(const struct table *t)
{
	return t->kind == TABLE_EACH || t->kind == TABLE_OWNER;
}

uint64_t table_bytes(const struct table *t, uint32_t ctx, uint32_t batch);
/* The same bits on every machine, as rope_table(). (MT) */
void table_fill(const struct table *t, uint32_t ctx, uint32_t batch, void *to);

#endif
