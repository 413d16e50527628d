// SPDX-License-Identifier: MIT
#include "tile.h"

#include <math.h>
#include <string.h>

#include <octans/isa.h>

#include "codes.h"

#ifdef SIM_LEVELS
#include <immintrin.h>
#endif

#ifndef __clang__
#pragma GCC optimize("O3")
#endif

/* ---- rows of x ---- */

SIM_CLONES void sim_tile_quant(const struct sim_tile *t, uint32_t b, uint32_t g, const struct sim_quant *rows,
			       uint32_t lanes)
{
	uint64_t group = (uint64_t)b * t->groups + g;
	float *x = t->x + group * SIM_BLOCK * TILE_LANES;
	float *d = t->d + group * 8 * TILE_LANES, *xs = t->xs + group * 8 * TILE_LANES;
	uint32_t at = b * SIM_BLOCK, n = t->n - at < SIM_BLOCK ? t->n - at : SIM_BLOCK;

	if (lanes < TILE_LANES) {
		memset(x, 0, SIM_BLOCK * TILE_LANES * sizeof(*x));
		memset(d, 0, 8 * TILE_LANES * sizeof(*d));
		memset(xs, 0, 8 * TILE_LANES * sizeof(*xs));
	}
	for (uint32_t l = 0; l < lanes; l++) {
		const int16_t *q = rows[l].q + at;

		for (uint32_t i = 0; i < n; i++)
			x[i * TILE_LANES + l] = q[i];
		for (uint32_t j = 0; j < n / 32; j++) {
			d[j * TILE_LANES + l] = rows[l].d[at / 32 + j];
			xs[j * TILE_LANES + l] = rows[l].xs[at / 32 + j];
		}
	}
}

void sim_tile_floats(const struct sim_tile *t, uint32_t b, uint32_t g, const float *const *rows,
		     uint32_t lanes)
{
	float *x = t->x + ((uint64_t)b * t->groups + g) * SIM_BLOCK * TILE_LANES;
	uint32_t at = b * SIM_BLOCK, n = t->n - at < SIM_BLOCK ? t->n - at : SIM_BLOCK;

	if (lanes < TILE_LANES || n < SIM_BLOCK)
		memset(x, 0, SIM_BLOCK * TILE_LANES * sizeof(*x));
	for (uint32_t l = 0; l < lanes; l++)
		for (uint32_t i = 0; i < n; i++)
			x[(32 * (i % 8) + i / 8) * TILE_LANES + l] = rows[l][at + i];
}

/* ---- products ---- */

#define LEVEL(name) name##_default
#define LANES 4
#include "tile_level.h"

#ifdef SIM_LEVELS
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define LEVEL(name) name##_v3
#define LANES 8
#include "tile_level.h"
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define LEVEL(name) name##_v4
#define LANES 16
#include "tile_level.h"
#pragma GCC pop_options
#endif

void sim_tile_dot(float *acc, const uint8_t *const *rows, uint32_t type, const struct sim_tile *t)
{
#ifdef SIM_LEVELS
	if (__builtin_cpu_supports("x86-64-v4"))
		return tile_dot_v4(acc, rows, type, t);
	if (__builtin_cpu_supports("x86-64-v3"))
		return tile_dot_v3(acc, rows, type, t);
#endif
	tile_dot_default(acc, rows, type, t);
}
