/* SPDX-License-Identifier: MIT */
/* Sixteen rows at a time; VNNI sums four products of each. */
#ifndef ACCEL_AVX512_MATMUL_H
#define ACCEL_AVX512_MATMUL_H

#include <immintrin.h>

#define ROWS 16
#include "../panel.h"

INLINE void seen_words(words v[4], const struct rows *w, size_t at)
{
	__m512i t[4], low[2], high[2];
	size_t stride = w->stride;

	UNROLL
	for (int i = 0; i < 4; i++) {	/* rows i, i + 4, i + 8, i + 12 */
		const uint8_t *p = w->first + i * stride + at;

		t[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)p));
		t[i] = _mm512_inserti32x4(t[i], _mm_loadu_si128((const __m128i *)(p + 4 * stride)), 1);
		t[i] = _mm512_inserti32x4(t[i], _mm_loadu_si128((const __m128i *)(p + 8 * stride)), 2);
		t[i] = _mm512_inserti32x4(t[i], _mm_loadu_si128((const __m128i *)(p + 12 * stride)), 3);
	}
	UNROLL
	for (int i = 0; i < 2; i++) {
		low[i] = _mm512_unpacklo_epi32(t[2 * i], t[2 * i + 1]);
		high[i] = _mm512_unpackhi_epi32(t[2 * i], t[2 * i + 1]);
	}
	v[0] = (words)_mm512_unpacklo_epi64(low[0], low[1]);
	v[1] = (words)_mm512_unpackhi_epi64(low[0], low[1]);
	v[2] = (words)_mm512_unpacklo_epi64(high[0], high[1]);
	v[3] = (words)_mm512_unpackhi_epi64(high[0], high[1]);
}

INLINE floats low_f16(words v)
{
	return (floats)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)v));
}

INLINE words look_up(const int8_t table[16], words v)
{
	__m128i t = _mm_loadu_si128((const __m128i *)table);

	return (words)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), (__m512i)v);
}

/* Each word's bytes of these numbers; above 0x7f: zero. */
INLINE words pick_bytes(words v, uint32_t numbers)
{
	const __m512i lane = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);

	return (words)_mm512_shuffle_epi8((__m512i)v, _mm512_add_epi8(
		lane, _mm512_set1_epi32((int)numbers)));
}

INLINE words byte_of(words v, int i)
{
	return pick_bytes(v, 0x80808000 | (unsigned int)i);
}

INLINE void fifth_bits(words code[8], words bits)
{
	UNROLL
	for (int k = 0; k < 8; k++) {	/* four bits of byte k / 2 */
		__m512i bit = _mm512_set1_epi32(k % 2 ? (int)0x80402010 : 0x08040201);
		words b = pick_bytes(bits, 0x01010101u * (unsigned int)(k / 2));
		__m512i c = (__m512i)code[k];

		code[k] = (words)_mm512_mask_add_epi8(c, _mm512_test_epi8_mask((__m512i)b, bit), c,
						      _mm512_set1_epi8(16));
	}
}

INLINE floats fma_floats(floats a, floats b, floats c)
{
	return (floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

INLINE words all_words(uint32_t v)
{
	return (words)_mm512_set1_epi32((int)v);
}

INLINE floats all_floats(float v)
{
	return (floats)_mm512_set1_ps(v);
}

INLINE words pair_sums(words a, words b)
{
	return (words)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}

/* VNNI multiplies unsigned codes; what they are too large by is an offset. */
INLINE int offset_of(const struct weight_type *t)
{
	return t->has_sign ? 128 : t->offset;
}

INLINE void settle(struct panel *p, const struct weight_type *t, uint32_t blocks)
{
	if (t->minima && t->form == TYPE_SCALED)
		settle_minima(p, t);
	for (uint32_t b = 0; t->has_sign && b < blocks; b++)
		for (int k = 0; k < 8; k++)
			p->code[b][k] ^= 0x80808080;
}

/* The sums of n quads of columns, from q on, of sixteen rows for each of T tokens. */
INLINE void quad_sums(words *s, const words code[8], const struct q8_block *const *x,
		      const struct weight_type *t, int q, int n, int T)
{
	uint32_t less = (uint16_t)-offset_of(t);	/* times the sums of 16 activations */

	less = n == 8 ? less | less << 16 : q ? less << 16 : less;
	UNROLL
	for (int j = 0; j < T; j++)
		s[j] = less ? pair_sums(all_words(less), load_word(x[j]->half)) : all_words(0);
	UNROLL
	for (int k = q; k < q + n; k++)
		UNROLL
		for (int j = 0; j < T; j++)
			s[j] = (words)_mm512_dpbusd_epi32((__m512i)s[j], (__m512i)code[k],
							  (__m512i)load_word(x[j]->q + 4 * k));
}

INLINE void block_sums(words *s, const struct panel *p, uint32_t b,
		       const struct q8_block *const *x, const struct weight_type *t, int T)
{
	bool scaled = t->form == TYPE_SCALED;
	words second[TOKENS];

	if (!scaled || t->group == 32) {
		quad_sums(s, p->code[b], x, t, 0, 8, T);
		UNROLL
		for (int j = 0; j < T; j++)
			if (scaled)
				s[j] *= p->scale[b];
		return;
	}
	quad_sums(s, p->code[b], x, t, 0, 4, T);
	quad_sums(second, p->code[b], x, t, 4, 4, T);
	UNROLL
	for (int j = 0; j < T; j++)
		s[j] = s[j] * p->scale[2 * b] + second[j] * p->scale[2 * b + 1];
}

/* Float weights, and too few rows: AVX2. */
static void avx512_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride,
			  uint32_t type, uint32_t rows, uint32_t cols, const struct q8_block *xq,
			  const float *xf, size_t x_stride, const uint32_t *pick, uint32_t tokens)
{
	if (!panel_matmul(y, y_stride, w, w_stride, type, rows, cols, xq, pick, tokens))
		isa_avx2.matmul(y, y_stride, w, w_stride, type, rows, cols, xq, xf, x_stride, pick,
				tokens);
}

#endif
