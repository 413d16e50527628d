/* SPDX-License-Identifier: MIT */
/* What the types of weights unpack to, in vectors: a panel of eight rows by 256 columns. */
#ifndef ACCEL_AVX2_PANEL_H
#define ACCEL_AVX2_PANEL_H

#include "vector.h"
#include "type/bits.h"
#include "type/traits.h"

#define ROWS 8
#define BLOCKS 8		/* of 32 columns */

struct panel {
	__m256i code[BLOCKS][ROWS];	/* [block][row], or transposed [block][quad of columns] */
	/* Types with scales and minima in their blocks leave them here, those of a row in the
	 * bytes of one number: the first eight, and where each has 16 values, the others. */
	uint64_t sc[2][ROWS], mins[2][ROWS];
	/* of each row, a row to a lane; SCALED: d[0], m[0] of the block of 256 */
	__m256 d[BLOCKS], m[BLOCKS];
	/* Scales: numbers of 32 bits, or (where codes are transposed, or each 16 have one) twice the
	 * same 16 bits; both of a block; minima: as floats, or both of a block. */
	__m256i scale[2 * BLOCKS], both[BLOCKS], min[BLOCKS];
	__m256i pairs[BLOCKS][ROWS];	/* not transposed: two scales of a row in their halves */
};

/* 16 bytes: low nibbles, then high nibbles. */
INLINE __m256i nibbles(const uint8_t *p)
{
	__m128i b = _mm_loadu_si128((const __m128i *)p);
	__m256i v = _mm256_set_m128i(_mm_srli_epi16(b, 4), b);

	return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

/* Sixteen bytes, chosen by the nibbles of v. */
INLINE __m256i look_up(const int8_t values[16], __m256i v)
{
	__m128i table = _mm_loadu_si128((const __m128i *)values);

	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), v);
}

/* Bit `from` of each byte as its bit `to`, and no other. */
INLINE __m256i move_bit(__m256i v, int from, int to)
{
	v = from > to ? _mm256_srli_epi16(v, from - to) : _mm256_slli_epi16(v, to - from);
	return _mm256_and_si256(v, _mm256_set1_epi8((char)(1 << to)));
}

/* six_bits() of a row from its 16 bytes at w, of which the first four are something else. */
INLINE void six_bits_behind(const uint8_t *w, uint64_t *scales, uint64_t *minima)
{
	const __m128i v = _mm_loadu_si128((const __m128i *)w), nibble = _mm_set1_epi8(15);
	__m128i low = _mm_and_si128(v, _mm_set1_epi8(0x3f));
	__m128i top = _mm_and_si128(_mm_srli_epi16(v, 2), _mm_set1_epi8(0x30));
	__m128i last = _mm_unpackhi_epi32(_mm_and_si128(v, nibble),
					  _mm_and_si128(_mm_srli_epi16(v, 4), nibble));

	last = _mm_or_si128(last, _mm_shuffle_epi32(top, _MM_SHUFFLE(2, 1, 0, 0)));
	low = _mm_shuffle_epi32(low, _MM_SHUFFLE(2, 1, 0, 0));
	low = _mm_unpackhi_epi32(low, last);
	_mm_storel_epi64((__m128i *)scales, low);
	_mm_storeh_pd((double *)minima, _mm_castsi128_pd(low));
}

/* Eight bytes less 32 each, none of which is above 63. */
INLINE uint64_t less_32(uint64_t v)
{
	return ((v | 0x8080808080808080ull) - 0x2020202020202020ull) ^ 0x8080808080808080ull;
}

/* Bit i of the word to bit 4 of byte i. */
INLINE __m256i fifth_bits(const uint8_t *p)
{
	const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
						2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
	const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201ull);
	int32_t word;
	__m256i v;

	memcpy(&word, p, 4);
	v = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(word), spread), bit);
	return _mm256_and_si256(_mm256_cmpeq_epi8(v, bit), _mm256_set1_epi8(16));
}

#define TYPE_AVX2
#include "type/list.h"
#undef TYPE_AVX2

#endif
