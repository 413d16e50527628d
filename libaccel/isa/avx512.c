// SPDX-License-Identifier: MIT
/* AVX-512 with VNNI: products of integer weights, sixteen rows at a time; the rest is avx2.c's. */
#include "kernels.h"

#ifdef __x86_64__

/* Before the pragmas: it runs on machines that have none of this. */
static bool supported(void)
{
	return isa_avx2.supported() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512vnni");
}

/* As in avx2.c. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))), \
			     apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512vnni")
#pragma GCC optimize("no-tree-vectorize")
#endif

#include "avx512/matmul.h"

#ifdef __clang__
#pragma clang attribute pop
#endif

const struct kernels isa_avx512 = {
	.name = "avx512",
	.score = 30,
	.supported = supported,
	.base = &isa_avx2,
	.matmul = avx512_matmul,
};

#else

const struct kernels isa_avx512 = { .name = "avx512" };

#endif
