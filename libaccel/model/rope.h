/* SPDX-License-Identifier: MIT */
/* Rotary position embedding: what a model says about it, and its table of cosines and sines. */
#ifndef ACCEL_ROPE_H
#define ACCEL_ROPE_H

#include <stdbool.h>
#include <stdint.h>

#include <octans/isa.h>

struct rope {
	uint32_t rot;			/* rotated dimensions of a head, even, at most OCTANS_MAX_HEAD_DIM */
	bool half;			/* pairs are (i, i + rot / 2), else (2i, 2i + 1) */
	double base;
	double scale;			/* positions are divided by it */
	const float *divisor;		/* [rot / 2], or NULL */
	/* LongRoPE: the divisors of tables of more positions than original; NULL: divisor, too */
	const float *long_divisor;
	uint32_t original;		/* positions of the training before the context was extended */
	/* YaRN: 0 = none; else the share of pairs that turn fast which positions are not scaled for */
	double extrapolate;
	double fast, slow;		/* turns within original: more are fast, fewer are slow */
	double magnitude;		/* of cosines and sines */
	/* YaRN: how much of the logarithm of scale that is multiplied by, and divided by */
	double stretch, shrink;
};

/*
 * table[positions][rot]: the row of a position has the cosines of pos * f[i], i < rot / 2, then the
 * sines, each times
 *
 *   magnitude * ((1 + stretch * ln(scale) / 10) / (1 + shrink * ln(scale) / 10), with YaRN and if scale > 1;
 *   else 1)
 *
 *   f[i] = base^(-2i / rot) * ((1 - mix[i]) / scale + mix[i]) / divisor[i]
 *
 * and, with YaRN, mix[i] = extrapolate * (1 - (i - low) / max(high - low, 0.001)), the bracket within
 * [0, 1], where low = max(floor(d(fast)), 0), high = min(ceil(d(slow)), rot - 1) and
 * d(turns) = rot * ln(original / (turns * 2 pi)) / (2 ln(base)); else mix[i] = 0.
 * (J. Su et al., "RoFormer", 2021; B. Peng et al., "YaRN", 2023; Y. Ding et al., "LongRoPE", 2024.)
 *
 * The same bits on every machine: only + - * / on binary64, as rope.c has them, and one rounding to
 * binary32 at the end; before that an angle is wrong by less than 1e-15 of itself, as long as it is
 * below 2^28.  A row depends on nothing but the rope, its position, and whether there are more
 * positions than original. (MT)
 */
void rope_table(const struct rope *r, uint32_t positions, float *table);
/* Rows of these positions, which may be negative: those turn back.  divisor alone counts, not long_divisor. (MT) */
void rope_rows(const struct rope *r, const int32_t *positions, uint32_t n, float *table);

#endif
