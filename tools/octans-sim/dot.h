/* SPDX-License-Identifier: MIT */
/* Products of rows of weights with few rows of x: lanes are rows of weights. */
#ifndef OCTANS_SIM_DOT_H
#define OCTANS_SIM_DOT_H

#include <stddef.h>

#include "numeric.h"

#define DOT_ROWS 8u		/* rows of weights that are done at a time */

/* @acc goes on over @n elements (whole blocks) of DOT_ROWS rows of weights and one row of x: @f for
 * floats, @x for integers.  acc: [DOT_ROWS][sums], with 8 sums (those of dot8) for floats, else 1.
 * So many bytes @ahead of each row is the one that this thread will probably read next. */
void sim_dot(float *acc, const uint8_t *const *rows, size_t ahead, uint32_t type, const float *f,
	     const struct sim_quant *x, uint32_t n);

#endif
