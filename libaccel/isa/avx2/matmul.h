/* SPDX-License-Identifier: MIT */
/* Matrix products: integer weights eight rows at a time; float weights: a vector is the eight
 * accumulators of dot8. */
#ifndef ACCEL_AVX2_MATMUL_H
#define ACCEL_AVX2_MATMUL_H

#include "vector.h"

#define ROWS 8
#include "../panel.h"

/* ---- integer weights ---- */

INLINE void seen_words(words v[4], const struct rows *w, size_t at)
{
	__m256i t[4], low[2], high[2];

	UNROLL
	for (int i = 0; i < 4; i++) {	/* rows i, i + 4 */
		const uint8_t *p = w->first + i * w->stride + at;

		t[i] = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p));
		t[i] = _mm256_inserti128_si256(
			t[i], _mm_loadu_si128((const __m128i *)(p + 4 * w->stride)), 1);
	}
	UNROLL
	for (int i = 0; i < 2; i++) {
		low[i] = _mm256_unpacklo_epi32(t[2 * i], t[2 * i + 1]);
		high[i] = _mm256_unpackhi_epi32(t[2 * i], t[2 * i + 1]);
	}
	v[0] = (words)_mm256_unpacklo_epi64(low[0], low[1]);
	v[1] = (words)_mm256_unpackhi_epi64(low[0], low[1]);
	v[2] = (words)_mm256_unpacklo_epi64(high[0], high[1]);
	v[3] = (words)_mm256_unpackhi_epi64(high[0], high[1]);
}

INLINE floats low_f16(words v)
{
	__m256i h = _mm256_packus_epi32((__m256i)(v & 0xffff), _mm256_setzero_si256());

	h = _mm256_permute4x64_epi64(h, _MM_SHUFFLE(3, 1, 2, 0));
	return (floats)_mm256_cvtph_ps(_mm256_castsi256_si128(h));
}

INLINE words look_up(const int8_t table[16], words v)
{
	__m128i t = _mm_loadu_si128((const __m128i *)table);

	return (words)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), (__m256i)v);
}

INLINE words all_words(uint32_t v)
{
	return (words)_mm256_set1_epi32((int)v);
}

/* Each word's bytes of these numbers; above 0x7f: zero. */
INLINE words pick_bytes(words v, uint32_t numbers)
{
	const __m256i lane = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));

	return (words)_mm256_shuffle_epi8((__m256i)v, _mm256_add_epi8(
		lane, _mm256_set1_epi32((int)numbers)));
}

INLINE words byte_of(words v, int i)
{
	return pick_bytes(v, 0x80808000 | (unsigned int)i);
}

INLINE void fifth_bits(words code[8], words bits)
{
	UNROLL
	for (int k = 0; k < 8; k++) {	/* four bits of byte k / 2 */
		words bit = all_words(k % 2 ? 0x80402010 : 0x08040201);
		words b = pick_bytes(bits, 0x01010101u * (unsigned int)(k / 2)) & bit;

		code[k] |= (words)_mm256_cmpeq_epi8((__m256i)b, (__m256i)bit) & 0x10101010;
	}
}

INLINE floats fma_floats(floats a, floats b, floats c)
{
	return (floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

INLINE floats all_floats(float v)
{
	return (floats)_mm256_set1_ps(v);
}

INLINE words pair_sums(words a, words b)
{
	return (words)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}

/* Scales in both halves of their lanes: what pair_sums() multiplies by. */
INLINE void settle(struct panel *p, const struct weight_type *t, uint32_t blocks)
{
	(void)blocks;
	if (t->form == TYPE_PLAIN)
		return;
	UNROLL
	for (int b = 0; b < BLOCKS; b++)
		if (t->group == 16 && t->offset)
			p->both[b] = beside(p->scale[2 * b], p->scale[2 * b + 1]);
	UNROLL
	for (int i = 0; i < 2 * BLOCKS; i++) {	/* a bound that compilers see at -O1, too */
		if (i * t->group >= BLOCKS * 32)
			continue;
		if (t->minima)	/* not below 0 */
			p->scale[i] |= p->scale[i] << 16;
		else
			p->scale[i] = beside(p->scale[i], p->scale[i]);
	}
	if (t->minima)
		settle_minima(p, t);
}

/* How many sums of two products fit 16 bits together. */
INLINE int sums_of_16(const struct weight_type *t)
{
	int n = t->has_sign ? 1 : 32767 / (2 * 127 * t->top);

	return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

/* Products of codes with activations, summed in pairs. */
INLINE __m256i products(__m256i code, __m256i x, const struct weight_type *t)
{
	if (t->has_sign)	/* |code| <= 128, |x| <= 127: 2 * 128 * 127 fits */
		return _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(x, code));
	return _mm256_maddubs_epi16(code, x);
}

/*
 * The sums of n quads of columns from q on of eight rows, times what is in both halves of by: for
 * T tokens, which share what is loaded of the codes.
 */
INLINE void quad_sums(words *to, const words code[8], const struct q8_block *const *x,
		      const struct weight_type *t, int q, int n, words by, int T)
{
	int some = sums_of_16(t) < n ? sums_of_16(t) : n;

	UNROLL
	for (int i = 0; i < n; i += some) {
		__m256i s[TOKENS];

		UNROLL
		for (int k = i; k < i + some; k++) {
			__m256i c = (__m256i)code[q + k];

			UNROLL
			for (int j = 0; j < T; j++) {
				__m256i pq = products(c, (__m256i)load_word(x[j]->q + 4 * (q + k)), t);

				s[j] = k > i ? _mm256_add_epi16(s[j], pq) : pq;
				if (T > 1)
					__asm__("" : "+x"(s[j]));
			}
		}
		UNROLL
		for (int j = 0; j < T; j++) {
			words sum = pair_sums((words)s[j], by);

			if (i)
				sum += to[j];
			to[j] = sum;
		}
	}
}

INLINE void block_sums(words *s, const struct panel *p, uint32_t b,
		       const struct q8_block *const *x, const struct weight_type *t, int T)
{
	bool scaled = t->form == TYPE_SCALED, halves = scaled && t->group == 16;
	words by = scaled ? p->scale[halves ? 2 * b : b] : all_words(0x00010001), second[TOKENS];

	quad_sums(s, p->code[b], x, t, 0, halves ? 4 : 8, by, T);
	if (halves)
		quad_sums(second, p->code[b], x, t, 4, 4, p->scale[2 * b + 1], T);
	UNROLL
	for (int j = 0; j < T; j++) {
		if (halves)
			s[j] += second[j];
		if (t->offset)
			s[j] -= pair_sums(halves ? p->both[b] : by, load_word(x[j]->half)) * t->offset;
	}
}

/* ---- float weights ---- */

#define TYPE_AVX2
#include "type/list.h"
#undef TYPE_AVX2

/* Eight numbers; of a type that is known where this becomes part of the code. */
INLINE __m256 load8(const struct weight_type *type, const uint8_t *from)
{
	switch (type->id) {
#define LOAD8_FLOAT(lower, number) case number: return lower##_load8(from);
#define LOAD8_PLAIN(lower, number)
#define LOAD8_SCALED(lower, number)
#define WEIGHT_TYPE(NAME, lower, form, number, ...) LOAD8_##form(lower, number)
#include "type/list.h"
	}
	return _mm256_setzero_ps();
}

/* dot8 goes on over the last n columns, fewer than eight.  Not inline: its loops would keep those
 * around it from being unrolled, and accumulators from being registers. */
static __attribute__((noinline)) float rest_of_dot8(__m256 acc, const struct weight_type *type,
						    const uint8_t *w, const float *x, uint32_t n)
{
	float lanes[8], last[8];

	_mm256_storeu_ps(lanes, acc);
	type_widen(type, last, w, n);
	for (uint32_t i = 0; i < n; i++)
		lanes[i] = fmaf(last[i], x[i], lanes[i]);
	return tree8(lanes);
}

/*
 * R rows by T tokens at once, for as many accumulators as hide the latency of an FMA.  The first
 * to read the rows foretells the next, as in EIGHT_ROWS.
 */
INLINE void float_tile(float *y, size_t y_stride, const uint8_t *w, size_t w_stride,
		       const struct weight_type *type, uint32_t cols, const float *const *x,
		       bool first, int R, int T)
{
	__m256 acc[4][4];
	uint32_t k;

	UNROLL
	for (int r = 0; r < R; r++)
		UNROLL
		for (int t = 0; t < T; t++)
			acc[r][t] = _mm256_setzero_ps();
	for (k = 0; k + 8 <= cols; k += 8) {
		__m256 xv[4];

		UNROLL
		for (int t = 0; t < T; t++)
			xv[t] = _mm256_loadu_ps(x[t] + k);
		UNROLL
		for (int r = 0; r < R; r++) {
			__m256 wv = load8(type, w + r * w_stride +
							 (size_t)k * type->bytes);

			if (first)
				_mm_prefetch((const char *)w + (R + r) * w_stride +
					     (size_t)k * type->bytes, _MM_HINT_T0);
			UNROLL
			for (int t = 0; t < T; t++)
				acc[r][t] = _mm256_fmadd_ps(wv, xv[t], acc[r][t]);
		}
	}
	UNROLL
	for (int r = 0; r < R; r++)
		UNROLL
		for (int t = 0; t < T; t++) {
			const uint8_t *rest = w + r * w_stride + (size_t)k * type->bytes;

			y[t * y_stride + r] = k == cols ? sum8(acc[r][t]) :
				rest_of_dot8(acc[r][t], type, rest, x[t] + k, cols - k);
		}
}

/* All rows for T tokens, R rows at once. */
INLINE void float_tokens(float *y, size_t y_stride, const uint8_t *w, size_t w_stride,
			 const struct weight_type *type, uint32_t rows, uint32_t cols,
			 const float *const *x, bool first, int R, int T)
{
	uint32_t r = 0;

	for (; first && r + R <= rows; r += R)
		float_tile(y + r, y_stride, w + r * w_stride, w_stride, type, cols, x, true, R, T);
	for (; r + R <= rows; r += R)
		float_tile(y + r, y_stride, w + r * w_stride, w_stride, type, cols, x, false, R, T);
	for (; r < rows; r++)
		float_tile(y + r, y_stride, w + r * w_stride, w_stride, type, cols, x, false, 1, T);
}

INLINE void float_rows(float *y, size_t y_stride, const uint8_t *w, size_t w_stride,
		       const struct weight_type *type, uint32_t rows, uint32_t cols,
		       const float *xf, size_t x_stride, const uint32_t *pick, uint32_t tokens)
{
	uint32_t t = 0;

	for (; t < tokens; t += tokens - t >= 4 ? 4 : 1) {
		const float *x[4] = { NULL };

		for (uint32_t i = 0; i < 4 && t + i < tokens; i++)
			x[i] = xf + (pick ? pick[t + i] : t + i) * x_stride;
		if (tokens - t >= 4)
			float_tokens(y + t * y_stride, y_stride, w, w_stride, type, rows, cols, x,
				     t == 0, 2, 4);
		else
			float_tokens(y + t * y_stride, y_stride, w, w_stride, type, rows, cols, x,
				     t == 0, 4, 1);
	}
}

static void avx2_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
			uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
			size_t x_stride, const uint32_t *pick, uint32_t tokens)
{
	switch (type) {
#define FLOATS_FLOAT(lower, number) \
	case number: \
		float_rows(y, y_stride, w, w_stride, &lower##_type, rows, cols, xf, x_stride, \
			   pick, tokens); \
		return;
#define FLOATS_PLAIN(lower, number)
#define FLOATS_SCALED(lower, number)
#define WEIGHT_TYPE(NAME, lower, form, number, ...) FLOATS_##form(lower, number)
#include "type/list.h"
	}
	if (!panel_matmul(y, y_stride, w, w_stride, type, rows, cols, xq, pick, tokens))
		scalar_matmul(y, y_stride, w, w_stride, type, rows, cols, xq, xf, x_stride, pick,
			      tokens);
}

#endif
