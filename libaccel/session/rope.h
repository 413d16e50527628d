/* SPDX-License-Identifier: MIT */
/* Cosines and sines for rotary position embedding. */
#ifndef ACCEL_ROPE_H
#define ACCEL_ROPE_H

#include <stdint.h>

struct accel_model;

/* freq[i] = 1 / (base^(2i / rot) * scale * divisor[i]), i < rot / 2. */
void rope_frequencies(const struct accel_model *m, double *freq);

/* row[0 .. n-1] = cos(pos * freq[i]), row[n .. 2n-1] the sines.  The same bits on every
 * machine: only + - * / on binary64, and conversions. */
void rope_row(float *row, const double *freq, uint32_t n, uint32_t pos);

#endif
