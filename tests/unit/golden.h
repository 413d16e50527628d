/* SPDX-License-Identifier: MIT */
/*
 * The golden vectors of numerics.rst, made by tests/unit/ref_numerics.py:
 *
 *	for (const struct golden *g = golden_first(); g; g = golden_next(g))
 *		if (g->op == OCTANS_OP_MATMUL)
 *			... golden_array(g, 0) ... golden_same(got, golden_array(g, 4), n)
 *
 * The file: "OCTGOLD1", u32 cases, u32 bytes that follow; then the cases one after the
 * other, each a struct golden and its arrays in order, every array padded to 4 bytes.
 * Little endian.  A NaN in an expected result stands for every quiet NaN.
 *
 * op		arrays [shape]				fields
 * EMBED	table [n, k] of type, ids i32 [m],	type, m, n, k
 *		out [m, k]
 * MATMUL	w [n, k] of type, x [m, k], bias [n]	type, m, n, k, flags = OCTANS_MATMUL_ADD
 *		or empty, old dst [m, n] or empty,
 *		out [m, n]
 * RMSNORM	x [m, k], w [k], out [m, k]		m, k, f = eps
 * ROPE		x [m, p0 * p1], cs [m, p2], out		m, p = heads, head_dim, rot,
 *							flags = OCTANS_ROPE_HALF
 * ATTN		q [m, p0 * p2], k, v [m, p1 * p2],	m, p = heads, kv_heads, head_dim, pos,
 *		k and v cache [pos, p1 * p2], out	f = scale
 * GLU		gate, up, out [m, n]			m, n, flags = OCTANS_GLU_*
 * ELEMENTWISE	a [m, n], b [p0, n] or empty, out	m, n, p0, f = imm, flags = OCTANS_ELT_*
 * GOLDEN_QUANTIZE	x [k], d [k / 32],		k
 *		xs [k / 32], q int8 [k]
 * GOLDEN_EXP	x [k], out [k]				k
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <accel/octans_isa.h>

#define GOLDEN_QUANTIZE	100
#define GOLDEN_EXP	101
#define GOLDEN_ARRAYS	6

struct golden {
	uint32_t op, size;	/* size: of the case with its arrays */
	uint32_t flags, type, m, n, k, p[4];
	float f;
	uint32_t bytes[GOLDEN_ARRAYS];
};

/* Relative to where make runs; tests need no file at run time. */
__asm__(".section .rodata\n"
	".balign 64\n"
	"golden_data:\n"
	".incbin \"tests/unit/data/numerics.bin\"\n"
	"golden_end:\n"
	".byte 0\n"
	".previous\n");
extern const uint8_t golden_data[] __attribute__((visibility("hidden")));
extern const uint8_t golden_end[] __attribute__((visibility("hidden")));

__attribute__((unused))
static const struct golden *golden_first(void)
{
	return (const struct golden *)(const void *)(golden_data + 16);
}

/* NULL after the last. */
__attribute__((unused))
static const struct golden *golden_next(const struct golden *g)
{
	const uint8_t *next = (const uint8_t *)g + g->size;

	return next < golden_end ? (const struct golden *)(const void *)next : NULL;
}

/* Array @i; NULL if it is empty. */
__attribute__((unused))
static const void *golden_array(const struct golden *g, unsigned int i)
{
	const uint8_t *p = (const uint8_t *)(g + 1);

	for (unsigned int k = 0; k < i; k++)
		p += (g->bytes[k] + 3) / 4 * 4;
	return g->bytes[i] ? p : NULL;
}

/* The same bits, or both NaN.  *at (may be NULL) is the first that differs. */
__attribute__((unused))
static bool golden_same(const float *got, const float *want, size_t n, size_t *at)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(&got[i], &want[i], sizeof(*got)) && !(isnan(got[i]) && isnan(want[i]))) {
			if (at)
				*at = i;
			return false;
		}
	return true;
}

#endif
