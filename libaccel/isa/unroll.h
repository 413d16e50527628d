/* SPDX-License-Identifier: MIT */
/* What keeps arrays of vectors in registers: all is one function, and loops are no loops. */
#ifndef ACCEL_UNROLL_H
#define ACCEL_UNROLL_H

#define INLINE static inline __attribute__((always_inline))
/* Before a loop with a constant number of turns, so that an array of accumulators is registers. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
