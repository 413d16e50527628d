/* SPDX-License-Identifier: MIT */
/* Products of rows of weights with many rows of x: lanes are rows of x. */
#ifndef OCTANS_SIM_TILE_H
#define OCTANS_SIM_TILE_H

#include "numeric.h"

#define TILE_LANES 16u		/* rows of x side by side */
#define TILE_ROWS 8u		/* rows of weights that are done at a time */

/* A piece of the rows of x, transposed.  Integers as floats: sums of their products are exact. */
struct sim_tile {
	uint32_t n;		/* elements of each row */
	uint32_t groups;	/* of TILE_LANES rows; lanes without a row are 0 */
	float *x;		/* [blocks of SIM_BLOCK][groups][SIM_BLOCK][TILE_LANES]; floats by phase */
	float *d, *xs;		/* [blocks][groups][8][TILE_LANES]: of integers */
};

/* Elements of x, and of d or xs, of a tile. */
static inline uint64_t tile_elements(uint32_t n, uint32_t groups)
{
	return (uint64_t)((n + SIM_BLOCK - 1) / SIM_BLOCK) * groups * SIM_BLOCK * TILE_LANES;
}

/* Fills block @b of group @g with up to TILE_LANES rows: quantised ones, or floats; their elements begin
 * where the tile begins. */
void sim_tile_quant(const struct sim_tile *t, uint32_t b, uint32_t g, const struct sim_quant *rows,
		    uint32_t lanes);
void sim_tile_floats(const struct sim_tile *t, uint32_t b, uint32_t g, const float *const *rows,
		     uint32_t lanes);

/* acc goes on over the tile for TILE_ROWS rows of weights.
 * acc: [groups][TILE_ROWS][sums][TILE_LANES], with 8 sums (those of dot8) for floats, else 1. */
void sim_tile_dot(float *acc, const uint8_t *const *rows, uint32_t type, const struct sim_tile *t);

#endif
