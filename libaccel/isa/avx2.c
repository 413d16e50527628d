// SPDX-License-Identifier: MIT
/*
 * AVX2, FMA and F16C: the bits of scalar.c, faster.  What makes that possible at no cost is the
 * contract: integer sums are exact in any order, one result is one lane, and the eight accumulators
 * of dot8 are a vector.
 */
#include "kernels.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

/* Before the pragmas: it runs on machines that have none of this.  F16C by CPUID: not every
 * compiler knows its name. */
static bool supported(void)
{
	unsigned int a, b, c, d;

	__builtin_cpu_init();	/* which also asks the OS whether it saves the registers */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

/* Here and not in the Makefile, where CFLAGS could take it away.  Vectors are written by hand; gcc
 * would put pointers into some. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("no-tree-vectorize")
#endif

#include "avx2/attend.h"
#include "avx2/matmul.h"
#include "avx2/row.h"
#include "avx2/state.h"

#ifdef __clang__
#pragma clang attribute pop
#endif

const struct kernels isa_avx2 = {
	.name = "avx2",
	.score = 20,
	.supported = supported,
	.quantize = avx2_quantize,
	.matmul = avx2_matmul,
	.store_product = avx2_store_product,
	.load = avx2_load,
	.store = avx2_store,
	.row = avx2_row,
	.map = avx2_map,
	.rotate = avx2_rotate,
	.attend = avx2_attend,
	.find_above = avx2_find_above,
	.conv = avx2_conv,
	.scan = avx2_scan,
};

#else

const struct kernels isa_avx2 = { .name = "avx2" };

#endif
