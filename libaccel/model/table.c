// SPDX-License-Identifier: MIT
#include "table.h"

#include <octans/isa.h>

#include "exact.h"
#include "fpenv.h"

struct octans_tensor table_tensor(const struct table *t, uint32_t ctx, uint32_t batch, uint64_t va)
{
	struct octans_tensor tensor = { .va = va, .type = OCTANS_TYPE_F32 };

	switch (t->kind) {
	case TABLE_ROPE:
		tensor.rows = ctx;
		tensor.cols = t->rope.rot;
		break;
	case TABLE_TEMPERATURE:
		tensor.rows = ctx;
		tensor.cols = 1;
		break;
	case TABLE_EACH:
		tensor.rows = batch;
		tensor.cols = t->n;
		tensor.type = OCTANS_TYPE_I32;
		break;
	case TABLE_OWNER:
		tensor.rows = batch * t->n;
		tensor.cols = 1;
		tensor.type = OCTANS_TYPE_I32;
		break;
	}
	tensor.stride = 4ull * tensor.cols;
	return tensor;
}

uint64_t table_bytes(const struct table *t, uint32_t ctx, uint32_t batch)
{
	const struct octans_tensor tensor = table_tensor(t, ctx, batch, 0);

	return tensor.rows * tensor.stride;
}

static void fill_temperature(const struct table *t, uint32_t ctx, float *to)
{
	for (uint32_t pos = 0; pos < ctx; pos++) {
		double step = (double)(uint64_t)(pos / t->temperature.every);

		to[pos] = (float)(1 + t->temperature.scale * exact_ln(1 + step));
	}
}

static void fill_numbers(const struct table *t, uint32_t batch, int32_t *to)
{
	for (uint32_t i = 0; i < batch * t->n; i++)
		to[i] = t->kind == TABLE_EACH ? i % t->n : i / t->n;
}

void table_fill(const struct table *t, uint32_t ctx, uint32_t batch, void *to)
{
	FP_SCOPE();

	switch (t->kind) {
	case TABLE_ROPE:
		rope_table(&t->rope, ctx, to);
		break;
	case TABLE_TEMPERATURE:
		fill_temperature(t, ctx, to);
		break;
	case TABLE_EACH:
	case TABLE_OWNER:
		fill_numbers(t, batch, to);
		break;
	}
}
