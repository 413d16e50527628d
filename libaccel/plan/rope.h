/* SPDX-License-Identifier: MIT */
/* Cosines and sines for rotary position embedding. */
#ifndef ACCEL_ROPE_H
#define ACCEL_ROPE_H

#include <stdint.h>

struct accel_model;

/*
 * table[positions][rot]: the row of a position has the cosines of pos * f[i], i < rot / 2, then the
 * sines; f[i] = 1 / (base^(2i / rot) * scale * divisor[i]).  The same bits on every machine: only
 * + - * / on binary64, and conversions.
 */
void rope_table(const struct accel_model *m, uint32_t positions, float *table);

#endif
