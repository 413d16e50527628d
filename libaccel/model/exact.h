/* SPDX-License-Identifier: MIT */
/*
 * Functions of which every machine must have the same bits.  Those of libm differ between C
 * libraries, so the few that are needed are made here from + - * / on binary64.  They are good to
 * about 1e-15, far below the rounding to binary32 that follows.  Files that use them are compiled
 * without contraction, and call them within FP_SCOPE().
 */
#ifndef ACCEL_EXACT_H
#define ACCEL_EXACT_H

/* Natural logarithm of a positive normal number. */
double exact_ln(double x);
/* e to the x, |x| < 700. */
double exact_exp(double x);
/* ln(1 + e^x) */
double exact_softplus(double x);

#endif
