/* SPDX-License-Identifier: MIT */
/*
 * What the types of weights unpack to: a panel of sixteen rows by 256 columns, a row to a lane.
 * Words of 32 bits are transposed as they lie in their blocks, before they are unpacked: so what the
 * headers of sixteen blocks say is unpacked at once, too.
 */
#ifndef ACCEL_AVX512_PANEL_H
#define ACCEL_AVX512_PANEL_H

#include <immintrin.h>

#include "../kernels.h"
#include "../unroll.h"
#include "type/traits.h"

#define ROWS 16
#define BLOCKS 8		/* of 32 columns */

struct panel {
	__m512i code[BLOCKS][8];	/* [block][quad of columns], unsigned */
	/* of each row; SCALED: d[0], m[0] of the block of 256 */
	__m512 d[BLOCKS], m[BLOCKS];
	__m512i scale[2 * BLOCKS];	/* of 16 or 32 columns */
	__m512 min[BLOCKS];
};

/* The next sixteen rows lie behind these: so many short streams side by side are more than the
 * hardware foresees, so it is told, in small portions, of which it can remember only so many. */
struct rows {
	const uint8_t *first;
	size_t stride;
	const char *ahead;
};

INLINE void foretell(struct rows *w, int lines)
{
	UNROLL
	for (int i = 0; i < lines; i++)
		_mm_prefetch(w->ahead + 64 * i, _MM_HINT_T0);
	w->ahead += 64 * lines;
	__asm__("" : : : "memory");	/* here, and not where the compiler finds better */
}

/* Sixteen bytes, from `at` on, of each row: word k of four to v[k]. */
INLINE void seen_words(__m512i v[4], const struct rows *w, size_t at)
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
	v[0] = _mm512_unpacklo_epi64(low[0], low[1]);
	v[1] = _mm512_unpackhi_epi64(low[0], low[1]);
	v[2] = _mm512_unpacklo_epi64(high[0], high[1]);
	v[3] = _mm512_unpackhi_epi64(high[0], high[1]);
}

/* The same of bytes that are read for the first time. */
INLINE void load_words(__m512i v[4], struct rows *w, size_t at)
{
	foretell(w, 4);
	seen_words(v, w, at);
}

/* Numbers of 16 bits from the low half of words. */
INLINE __m512 low_f16(__m512i v)
{
	return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

INLINE __m512 high_f16(__m512i v)
{
	return low_f16(_mm512_srli_epi32(v, 16));
}

INLINE __m512i bytes(int byte)
{
	return _mm512_set1_epi8((char)byte);
}

/* (v >> n) & mask: of each byte, if mask has no bits that come from its neighbour. */
INLINE __m512i field(__m512i v, int n, int mask)
{
	return _mm512_and_si512(n < 0 ? _mm512_slli_epi32(v, (unsigned int)-n) :
				n ? _mm512_srli_epi32(v, (unsigned int)n) : v, bytes(mask));
}

/* code | field(v, n, mask) */
INLINE __m512i or_field(__m512i code, __m512i v, int n, int mask)
{
	v = n < 0 ? _mm512_slli_epi32(v, (unsigned int)-n) : n ? _mm512_srli_epi32(v, (unsigned int)n) : v;
	return _mm512_ternarylogic_epi32(code, v, bytes(mask), 0xf8);
}

/* Byte i of words, as numbers of 32 bits. */
INLINE __m512i signed_byte(__m512i v, int i)
{
	return _mm512_srai_epi32(_mm512_slli_epi32(v, 24 - 8 * i), 24);
}

INLINE __m512i unsigned_byte(__m512i v, int i)
{
	return i == 3 ? _mm512_srli_epi32(v, 24) :
		_mm512_and_si512(_mm512_srli_epi32(v, 8 * i), _mm512_set1_epi32(255));
}

/* Sixteen bytes of nibbles: the low ones, then the high ones. */
INLINE void nibbles(__m512i low[4], __m512i high[4], struct rows *w, size_t at)
{
	__m512i v[4];

	load_words(v, w, at);
	UNROLL
	for (int k = 0; k < 4; k++) {
		low[k] = field(v[k], 0, 15);
		high[k] = field(v[k], 4, 15);
	}
}

/* The head of a block of Q4_K or Q5_K: d, dmin, scales and minima of six bits. */
INLINE void six_bits_head(struct panel *p, struct rows *w, size_t at)
{
	__m512i h[4], scale[2], min[2];

	load_words(h, w, at);
	p->d[0] = low_f16(h[0]);
	p->m[0] = high_f16(h[0]);
	scale[0] = field(h[1], 0, 0x3f);
	min[0] = field(h[2], 0, 0x3f);
	scale[1] = or_field(field(h[3], 0, 15), h[1], 2, 0x30);
	min[1] = or_field(field(h[3], 4, 15), h[2], 2, 0x30);
	UNROLL
	for (int j = 0; j < 8; j++) {
		p->scale[j] = unsigned_byte(scale[j / 4], j % 4);
		p->min[j] = _mm512_cvtepi32_ps(unsigned_byte(min[j / 4], j % 4));
	}
}

/* Bit i of the word to bit 4 of code i. */
INLINE void fifth_bits(__m512i code[8], __m512i word)
{
	UNROLL
	for (int k = 0; k < 8; k++) {	/* byte k / 2, four bits of it */
		__m512i b = _mm512_shuffle_epi8(word, _mm512_add_epi8(_mm512_set4_epi32(
			0x0c0c0c0c, 0x08080808, 0x04040404, 0), bytes(k / 2)));
		__mmask64 set = _mm512_test_epi8_mask(b, _mm512_set1_epi32(
			k % 2 ? (int)0x80402010 : 0x08040201));

		code[k] = _mm512_mask_add_epi8(code[k], set, code[k], bytes(16));
	}
}

#define TYPE_AVX512
#include "type/list.h"
#undef TYPE_AVX512

#endif
