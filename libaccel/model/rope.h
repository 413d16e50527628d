/* SPDX-License-Identifier: MIT */
/* Rotary position embedding: what a model says about it, and its table of cosines and sines. */
#ifndef ACCEL_ROPE_H
#define ACCEL_ROPE_H

#include <stdbool.h>
#include <stdint.h>

struct rope {
	uint32_t index;			/* of the model's */
	uint32_t rot;			/* rotated dimensions of a head */
	bool half;			/* pairs are (i, i + rot / 2), else (2i, 2i + 1) */
	double base;
	double scale;			/* positions are divided by it */
	const float *divisor;		/* [rot / 2], or NULL */
};

/*
 * table[positions][rot]: the row of a position has the cosines of pos * f[i], i < rot / 2, then the
 * sines; f[i] = 1 / (base^(2i / rot) * scale * divisor[i]).  The same bits on every machine: only
 * + - * / on binary64, and conversions.
 */
void rope_table(const struct rope *r, uint32_t positions, float *table);

#endif
