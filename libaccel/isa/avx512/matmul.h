/* SPDX-License-Identifier: MIT */
/* Products of integer weights, sixteen rows at a time, a row to a lane: one FMA serves sixteen
 * results, and VNNI sums four products of each. */
#ifndef ACCEL_AVX512_MATMUL_H
#define ACCEL_AVX512_MATMUL_H

#include "panel.h"

#define TOKENS 4	/* that share each load of a panel's codes */

INLINE int offset_of(const struct weight_type *t)
{
	return t->has_sign ? 128 : t->offset;
}

INLINE __m512i all_words(const void *p)
{
	int32_t w;

	memcpy(&w, p, 4);
	return _mm512_set1_epi32(w);
}

/* The sums of n quads of columns, from q on, of sixteen rows for each of T tokens. */
INLINE void quad_sums(__m512i *s, const __m512i code[8], const struct q8_block *const *x,
		      const struct weight_type *t, int q, int n, int T)
{
	uint32_t less = (uint16_t)-offset_of(t);	/* times the sums of 16 activations */

	less = n == 8 ? less | less << 16 : q ? less << 16 : less;
	UNROLL
	for (int j = 0; j < T; j++)
		s[j] = less ? _mm512_dpwssd_epi32(_mm512_setzero_si512(), _mm512_set1_epi32((int)less),
						  all_words(x[j]->half)) : _mm512_setzero_si512();
	UNROLL
	for (int k = q; k < q + n; k++)
		UNROLL
		for (int j = 0; j < T; j++)
			s[j] = _mm512_dpbusd_epi32(s[j], code[k], all_words(x[j]->q + 4 * k));
}

/* A block of 32 columns: the integer sum of each row, as numerics.rst has it (times scales). */
INLINE void block_sums(__m512i *s, const struct panel *p, uint32_t b,
		       const struct q8_block *const *x, const struct weight_type *t, int T)
{
	__m512i second[TOKENS];

	if (t->form == TYPE_PLAIN || t->group == 32) {
		quad_sums(s, p->code[b], x, t, 0, 8, T);
		UNROLL
		for (int j = 0; j < T; j++)
			if (t->form == TYPE_SCALED)
				s[j] = _mm512_mullo_epi32(s[j], p->scale[b]);
		return;
	}
	quad_sums(s, p->code[b], x, t, 0, 4, T);
	quad_sums(second, p->code[b], x, t, 4, 4, T);
	UNROLL
	for (int j = 0; j < T; j++)
		s[j] = _mm512_add_epi32(_mm512_mullo_epi32(s[j], p->scale[2 * b]),
					_mm512_mullo_epi32(second[j], p->scale[2 * b + 1]));
}

/* What a panel adds to the results of T tokens, whose blocks lie at x. */
INLINE void panel_tile(__m512 *acc, const struct panel *p, uint32_t blocks,
		       const struct q8_block **x, const struct weight_type *t, int T)
{
	__m512 a[TOKENS], m[TOKENS];

	UNROLL
	for (int j = 0; j < T; j++)
		a[j] = m[j] = _mm512_setzero_ps();
	for (uint32_t b = 0; b < blocks; b++) {
		__m512i s[TOKENS];

		block_sums(s, p, b, x, t, T);
		UNROLL
		for (int j = 0; j < T; j++) {
			const struct q8_block *xb = x[j]++;
			__m512 dx = _mm512_set1_ps(xb->d), sum = _mm512_cvtepi32_ps(s[j]);

			if (t->form == TYPE_SCALED) {
				a[j] = _mm512_fmadd_ps(dx, sum, a[j]);
				if (t->minima)
					m[j] = _mm512_fmadd_ps(p->min[b], _mm512_set1_ps(xb->xs), m[j]);
				continue;
			}
			acc[j] = _mm512_fmadd_ps(_mm512_mul_ps(p->d[b], dx), sum, acc[j]);
			if (t->minima)
				acc[j] = _mm512_fmadd_ps(p->m[b], _mm512_set1_ps(xb->xs), acc[j]);
		}
	}
	if (t->form == TYPE_PLAIN)
		return;
	UNROLL
	for (int j = 0; j < T; j++) {
		acc[j] = _mm512_fmadd_ps(p->d[0], a[j], acc[j]);
		if (t->minima)
			acc[j] = _mm512_fnmadd_ps(p->m[0], m[j], acc[j]);	/* -m[0] * m + acc */
	}
}

/* The products of one panel, blocks from b on, of the T tokens from i on. */
INLINE void panel_tokens(float *y, size_t y_stride, const struct panel *p,
			 const struct weight_type *t, uint32_t b, uint32_t blocks,
			 uint32_t per_token, const struct q8_block *xq, const uint32_t *pick,
			 uint32_t i, int T)
{
	const struct q8_block *x[TOKENS];
	__m512 acc[TOKENS];

	UNROLL
	for (int j = 0; j < T; j++) {
		size_t token = pick ? pick[i + j] : i + j;

		x[j] = xq + token * per_token + b;
		acc[j] = b ? _mm512_loadu_ps(y + (i + j) * y_stride) : _mm512_setzero_ps();
	}
	panel_tile(acc, p, blocks, x, t, T);
	UNROLL
	for (int j = 0; j < T; j++)
		_mm512_storeu_ps(y + (i + j) * y_stride, acc[j]);
}

INLINE void panel_products(float *y, size_t y_stride, const struct panel *p,
			   const struct weight_type *t, uint32_t b, uint32_t blocks,
			   uint32_t per_token, const struct q8_block *xq, const uint32_t *pick,
			   uint32_t tokens)
{
	uint32_t i = 0;

	for (; i + TOKENS <= tokens; i += TOKENS)
		panel_tokens(y, y_stride, p, t, b, blocks, per_token, xq, pick, i, TOKENS);
	for (; i < tokens; i++)
		panel_tokens(y, y_stride, p, t, b, blocks, per_token, xq, pick, i, 1);
}

/* Bytes beyond the next sixteen rows, which memory gives too late where they are short. */
#ifndef FURTHER
#define FURTHER 4096
#endif

#define UNPACK_PLAIN(lower) \
	for (uint32_t i = 0; i < n; i++, at += lower##_type.bytes) \
		lower##_words(&p, i, &w, at);
#define UNPACK_SCALED(lower) \
	lower##_words(&p, &w, at); \
	at += lower##_type.bytes;

#define SIXTEEN_ROWS(lower, UNPACK) \
static void rows_##lower(float *y, size_t y_stride, const uint8_t *first, size_t stride, \
			 uint32_t cols, const struct q8_block *xq, const uint32_t *pick, \
			 uint32_t tokens) \
{ \
	const char *behind = (const char *)first + ROWS * stride + FURTHER; \
	struct rows w = { first, stride, behind }; \
	uint32_t per_token = cols / 32; \
	size_t at = 0; \
	struct panel p; \
	\
	for (uint32_t b = 0, n; b < per_token; b += n) { \
		n = per_token - b < BLOCKS ? per_token - b : BLOCKS; \
		UNPACK(lower) \
		while (w.ahead < behind + ROWS * at) \
			foretell(&w, 1); \
		panel_products(y, y_stride, &p, &lower##_type, b, n, per_token, xq, pick, \
			       tokens); \
	} \
}
#define AVX512_TYPE(lower, form) SIXTEEN_ROWS(lower, UNPACK_##form)
#include "type/list.h"

/* Where there are not sixteen rows any more, and of types that are not made for this: AVX2. */
static void avx512_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride,
			  uint32_t type, uint32_t rows, uint32_t cols, const struct q8_block *xq,
			  const float *xf, size_t x_stride, const uint32_t *pick, uint32_t tokens)
{
	uint32_t r = 0;

#define AVX512_TYPE(lower, form) \
	if (type == lower##_type.id) \
		for (; r + ROWS <= rows; r += ROWS) \
			rows_##lower(y + r, y_stride, w + r * w_stride, w_stride, cols, xq, pick, \
				     tokens);
#include "type/list.h"
	if (r < rows)
		isa_avx2.matmul(y + r, y_stride, w + r * w_stride, w_stride, type, rows - r, cols,
				xq, xf, x_stride, pick, tokens);
}

#endif
