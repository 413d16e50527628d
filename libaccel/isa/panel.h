/* SPDX-License-Identifier: MIT */
/*
 * Products of integer weights by vectors, a row of weights to a lane, so that one FMA serves as
 * many results.  256 columns of as many rows are unpacked at once, to a panel, and used for every
 * token.  Words of four bytes are transposed as they lie in their blocks, before they are unpacked:
 * that is half the work or less, and what the heads of all blocks say is then unpacked at once, too.
 * A word of codes of each row times four activations needs no sums from lane to lane.
 *
 * For instruction sets to include, with ROWS, the lanes of a vector, and below "of each instruction
 * set" what differs.
 */
#ifndef ACCEL_PANEL_H
#define ACCEL_PANEL_H

#include "kernels.h"
#include "unroll.h"
#include "type/bits.h"
#include "type/traits.h"

#define BLOCKS 8	/* of 32 columns */
#define TOKENS 4	/* that share each load of a panel's codes */

/* What plain C has operators for; the same bits as __m256i or __m512i and __m256 or __m512. */
typedef uint32_t words __attribute__((vector_size(4 * ROWS)));
typedef int32_t numbers __attribute__((vector_size(4 * ROWS)));
typedef float floats __attribute__((vector_size(4 * ROWS)));

struct panel {
	words code[BLOCKS][8];	/* [block of 32][quad of columns], a byte each */
	floats d[BLOCKS], m[BLOCKS];	/* SCALED: d[0], m[0] of the block of 256 */
	words scale[2 * BLOCKS], min[2 * BLOCKS];	/* SCALED: of 16 or 32 columns */
	words both[BLOCKS];	/* two scales of 16 columns */
};

/* As many rows, one below the other, and where the memory is told to bring the next from: these lie
 * behind.  So many short streams side by side are more than the hardware foresees. */
struct rows {
	const uint8_t *first;
	size_t stride;
	const char *ahead;
};

/* In small portions, for only so many are remembered; the compiler would gather them. */
INLINE void foretell(struct rows *w, int lines)
{
	UNROLL
	for (int i = 0; i < lines; i++)
		__builtin_prefetch(w->ahead + 64 * i);
	w->ahead += 64 * lines;
	__asm__("" : : : "memory");
}

/* ---- of each instruction set ---- */

/* Sixteen bytes, from `at` on, of each row: their word k to v[k]. */
INLINE void seen_words(words v[4], const struct rows *w, size_t at);
/* F16 in the low halves. */
INLINE floats low_f16(words v);
/* Sixteen bytes, chosen by each byte of v, none of which is above 15. */
INLINE words look_up(const int8_t table[16], words v);
/* Byte i of words, from 0 to 255. */
INLINE words byte_of(words v, int i);
/* Bit i of a word to bit 4 of code i. */
INLINE void fifth_bits(words code[8], words bits);
/* a * b + c, rounded once */
INLINE floats fma_floats(floats a, floats b, floats c);
INLINE words all_words(uint32_t v);
INLINE floats all_floats(float v);
/* Numbers of 16 bits: the products of both halves, summed. */
INLINE words pair_sums(words a, words b);
/* Before a panel is used: scales and codes as block_sums() wants them, of so many blocks. */
INLINE void settle(struct panel *p, const struct weight_type *t, uint32_t blocks);
/* A block of 32 columns for T tokens: the integer sum of each row, as numerics.rst has it (times
 * scales). */
INLINE void block_sums(words *s, const struct panel *p, uint32_t b,
		       const struct q8_block *const *x, const struct weight_type *t, int T);

/* ---- unpacking ---- */

/* The words of bytes that are read for the first time. */
INLINE void load_words(words v[4], struct rows *w, size_t at)
{
	foretell(w, 4 * ROWS / 16);
	seen_words(v, w, at);
}

INLINE floats high_f16(words v)
{
	return low_f16(v >> 16);
}

INLINE floats to_floats(words v)
{
	return __builtin_convertvector((numbers)v, floats);
}

/* Bit `from` of each byte as its bit `to`, and no other. */
INLINE words move_bit(words v, int from, int to)
{
	return (from > to ? v >> (from - to) : v << (to - from)) & 0x01010101u << to;
}

/* Sixteen bytes of nibbles: the low ones, then the high ones. */
INLINE void nibbles(words low[4], words high[4], struct rows *w, size_t at)
{
	words v[4];

	load_words(v, w, at);
	UNROLL
	for (int k = 0; k < 4; k++) {
		low[k] = v[k] & 0x0f0f0f0f;
		high[k] = v[k] >> 4 & 0x0f0f0f0f;
	}
}

/* 64 bytes of codes of two bits: the lowest two of the first 32 bytes are the first 32 codes. */
INLINE void codes_of_two_bits(struct panel *p, struct rows *w, size_t at)
{
	UNROLL
	for (int i = 0; i < 4; i++) {
		words v[4];

		load_words(v, w, at + 16 * i);
		UNROLL
		for (int j = 0; j < 4; j++)
			UNROLL
			for (int k = 0; k < 4; k++)
				p->code[4 * (i / 2) + j][4 * (i % 2) + k] = v[k] >> 2 * j & 0x03030303;
	}
}

/* 128 bytes of nibbles, 32 bytes for 64 codes. */
INLINE void groups_of_nibbles(struct panel *p, struct rows *w, size_t at)
{
	UNROLL
	for (int i = 0; i < 8; i++)
		nibbles(&p->code[i & ~1][4 * (i & 1)], &p->code[i | 1][4 * (i & 1)], w, at + 16 * i);
}

/* d, dmin, eight scales and minima of six bits. */
INLINE void head_of_six_bits(struct panel *p, struct rows *w, size_t at)
{
	words h[4], scale[2], min[2];

	load_words(h, w, at);
	p->d[0] = low_f16(h[0]);
	p->m[0] = high_f16(h[0]);
	scale[0] = h[1] & 0x3f3f3f3f;
	min[0] = h[2] & 0x3f3f3f3f;
	scale[1] = (h[3] & 0x0f0f0f0f) | (h[1] >> 2 & 0x30303030);
	min[1] = (h[3] >> 4 & 0x0f0f0f0f) | (h[2] >> 2 & 0x30303030);
	UNROLL
	for (int j = 0; j < 8; j++) {
		p->scale[j] = byte_of(scale[j / 4], j % 4);
		p->min[j] = byte_of(min[j / 4], j % 4);
	}
}

#define TYPE_WORDS
#include "type/list.h"
#undef TYPE_WORDS

/* ---- products ---- */

/* a in the low halves of the lanes, b in the high ones. */
INLINE words beside(words a, words b)
{
	return (a & 0xffff) | b << 16;
}

INLINE words load_word(const void *p)
{
	uint32_t w;

	memcpy(&w, p, 4);
	return all_words(w);
}

/* Minima as they are multiplied: floats, or the two of a block beside each other. */
INLINE void settle_minima(struct panel *p, const struct weight_type *t)
{
	UNROLL
	for (int b = 0; b < BLOCKS; b++)
		p->min[b] = t->group == 32 ? (words)to_floats(p->min[b]) :
			    beside(p->min[2 * b], p->min[2 * b + 1]);
}

/* What the minima of a block of 32 columns add to their sum. */
INLINE floats add_minima(const struct panel *p, uint32_t b, const struct q8_block *x,
			 const struct weight_type *t, floats m)
{
	if (t->group == 32)
		return fma_floats((floats)p->min[b], all_floats(x->xs), m);
	return fma_floats(all_floats(x->d), to_floats(pair_sums(p->min[b], load_word(x->half))), m);
}

/* What a panel adds to the results of T tokens, whose blocks lie at x. */
INLINE void panel_tile(floats *acc, const struct panel *p, uint32_t blocks,
		       const struct q8_block **x, const struct weight_type *t, int T)
{
	floats a[TOKENS], m[TOKENS];

	UNROLL
	for (int j = 0; j < T; j++)
		a[j] = m[j] = all_floats(0);
	for (uint32_t b = 0; b < blocks; b++) {
		words s[TOKENS];

		block_sums(s, p, b, x, t, T);
		UNROLL
		for (int j = 0; j < T; j++) {
			const struct q8_block *xb = x[j]++;
			floats dx = all_floats(xb->d), sum = to_floats(s[j]);

			if (t->form == TYPE_SCALED) {
				a[j] = fma_floats(dx, sum, a[j]);
				if (t->minima)
					m[j] = add_minima(p, b, xb, t, m[j]);
				continue;
			}
			acc[j] = fma_floats(p->d[b] * dx, sum, acc[j]);
			if (t->minima)
				acc[j] = fma_floats(p->m[b], all_floats(xb->xs), acc[j]);
		}
	}
	if (t->form == TYPE_PLAIN)
		return;
	UNROLL
	for (int j = 0; j < T; j++) {
		acc[j] = fma_floats(p->d[0], a[j], acc[j]);
		if (t->minima)
			acc[j] = fma_floats(-p->m[0], m[j], acc[j]);
	}
}

/* The products of one panel, blocks from b on, of the T tokens from i on. */
INLINE void panel_tokens(float *y, size_t y_stride, const struct panel *p,
			 const struct weight_type *t, uint32_t b, uint32_t blocks,
			 uint32_t per_token, const struct q8_block *xq, const uint32_t *pick,
			 uint32_t i, int T)
{
	const struct q8_block *x[TOKENS];
	floats acc[TOKENS];

	UNROLL
	for (int j = 0; j < T; j++) {
		size_t token = pick ? pick[i + j] : i + j;

		x[j] = xq + token * per_token + b;
		if (b)
			memcpy(&acc[j], y + (i + j) * y_stride, sizeof(floats));
		else
			acc[j] = all_floats(0);
	}
	panel_tile(acc, p, blocks, x, t, T);
	UNROLL
	for (int j = 0; j < T; j++)
		memcpy(y + (i + j) * y_stride, &acc[j], sizeof(floats));
}

/* The products of one panel, blocks from b on, of all tokens. */
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

/* How a type's rows get into a panel: n blocks of 32 columns at byte at of each. */
#define UNPACK_PLAIN(lower) \
	for (uint32_t i = 0; i < n; i++, at += lower##_type.bytes) \
		lower##_words(&p, i, &w, at);
#define UNPACK_SCALED(lower) \
	lower##_words(&p, &w, at); \
	at += lower##_type.bytes;

/* Bytes beyond the next rows, which memory gives too late where they are short. */
#define FURTHER 4096

#define ALL_ROWS(lower, UNPACK) \
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
		settle(&p, &lower##_type, n); \
		panel_products(y, y_stride, &p, &lower##_type, b, n, per_token, xq, pick, \
			       tokens); \
	} \
}
#define ROWS_FLOAT(lower)
#define ROWS_PLAIN(lower) ALL_ROWS(lower, UNPACK_PLAIN)
#define ROWS_SCALED(lower) ALL_ROWS(lower, UNPACK_SCALED)
#define WEIGHT_TYPE(NAME, lower, form, ...) ROWS_##form(lower)
#include "type/list.h"

/*
 * All rows for integer weights; false: there are fewer than a vector has lanes, or weights are
 * no integers.  What is left at the end is done together with rows before it, which give the same
 * again.
 */
static bool panel_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
			 uint32_t rows, uint32_t cols, const struct q8_block *xq,
			 const uint32_t *pick, uint32_t tokens)
{
	if (rows < ROWS)
		return false;
	switch (type) {
#define CALL_FLOAT(lower) return false;
#define CALL_PLAIN(lower) \
		for (uint32_t r = 0; r < rows; r += ROWS) { \
			r = r + ROWS > rows ? rows - ROWS : r; \
			rows_##lower(y + r, y_stride, w + r * w_stride, w_stride, cols, xq, pick, \
				     tokens); \
		} \
		return true;
#define CALL_SCALED(lower) CALL_PLAIN(lower)
#define WEIGHT_TYPE(NAME, lower, form, number, ...) \
	case number: \
		CALL_##form(lower)
#include "type/list.h"
	}
	return false;
}

#endif
