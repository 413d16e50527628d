/* SPDX-License-Identifier: MIT */
/* In how many parts several processors compute what could be computed at once. */
#ifndef ACCEL_PARTS_H
#define ACCEL_PARTS_H

#include "cost.h"

struct accel_plan;

/*
 * How many of n tokens, behind pos others, a pass is to have, at most shape.batch: fewer, if as layers are placed now
 * processors then are busy at once for so much longer that it is faster.  costs[n_layers], see cost_layer().
 */
uint32_t parts_rows(const struct accel_plan *plan, const struct accel_layer *layers, const struct layer_cost *costs,
		    uint64_t n, uint64_t pos);

#endif
