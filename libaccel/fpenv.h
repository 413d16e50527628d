/* SPDX-License-Identifier: MIT */
/*
 * The floating-point environment that results are defined for (numerics.rst): to nearest, nothing
 * flushed to zero, no traps.  A program may have another, without knowing: to load a library that was
 * built with -ffast-math is enough, and threads inherit it.
 */
#ifndef ACCEL_FPENV_H
#define ACCEL_FPENV_H

#include <fenv.h>

static inline fenv_t fp_begin(void)
{
	fenv_t was;

	fegetenv(&was);
	fesetenv(FE_DFL_ENV);
	return was;
}

static inline void fp_end(const fenv_t *was)
{
	fesetenv(was);
}

/* From here to the end of the block; then the caller has its own again. */
#define FP_SCOPE() fenv_t fp_was __attribute__((cleanup(fp_end), unused)) = fp_begin()
/* In a thread of ours, for good. */
#define FP_THREAD() fesetenv(FE_DFL_ENV)

#endif
