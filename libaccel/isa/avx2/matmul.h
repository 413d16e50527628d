/* SPDX-License-Identifier: MIT */
/*
 * Matrix products.  Integer weights: eight rows at a time, a row to a lane, so that one FMA
 * serves eight results.  256 columns of the eight rows are unpacked to bytes once and used
 * for every token; with several tokens they are also transposed, so that a lane holds four
 * neighbouring codes of its row and no horizontal sums are needed.  Float weights: a vector
 * is the eight accumulators of dot8.
 */
#ifndef ACCEL_AVX2_MATMUL_H
#define ACCEL_AVX2_MATMUL_H

#include "vector.h"
#include "panel.h"

#define TRANSPOSE_FROM 3	/* tokens from which transposing pays */
#define TOKENS 4	/* that share each load of a panel's codes */

/* ---- unpacking ---- */

INLINE __m256 load_d(const uint8_t *const *row, size_t at)
{
	/* from memory to lanes: narrow stores and a wide load would stall */
	__m128i h = _mm_cvtsi32_si128(load_u16(row[0] + at));

	h = _mm_insert_epi16(h, load_u16(row[1] + at), 1);
	h = _mm_insert_epi16(h, load_u16(row[2] + at), 2);
	h = _mm_insert_epi16(h, load_u16(row[3] + at), 3);
	h = _mm_insert_epi16(h, load_u16(row[4] + at), 4);
	h = _mm_insert_epi16(h, load_u16(row[5] + at), 5);
	h = _mm_insert_epi16(h, load_u16(row[6] + at), 6);
	h = _mm_insert_epi16(h, load_u16(row[7] + at), 7);
	return _mm256_cvtph_ps(h);
}

/* Eight rows of eight bytes to eight columns, two in a vector. */
INLINE void transpose_bytes(const uint64_t in[ROWS], __m128i out[4])
{
	__m128i a[4], b[4];

	UNROLL
	for (int i = 0; i < 4; i++)	/* rows i and i + 4, byte by byte */
		a[i] = _mm_unpacklo_epi8(_mm_cvtsi64_si128((long long)in[i]),
					 _mm_cvtsi64_si128((long long)in[i + 4]));
	b[0] = _mm_unpacklo_epi8(a[0], a[2]);
	b[1] = _mm_unpackhi_epi8(a[0], a[2]);
	b[2] = _mm_unpacklo_epi8(a[1], a[3]);
	b[3] = _mm_unpackhi_epi8(a[1], a[3]);
	out[0] = _mm_unpacklo_epi8(b[0], b[2]);
	out[1] = _mm_unpackhi_epi8(b[0], b[2]);
	out[2] = _mm_unpacklo_epi8(b[1], b[3]);
	out[3] = _mm_unpackhi_epi8(b[1], b[3]);
}

/* Powers of two from their exponents: 2^(byte - 128), the two least of which are subnormal. */
INLINE __m256 load_exponents(const uint8_t *const *row, size_t at)
{
	__m128i bytes = _mm_cvtsi32_si128(row[0][at]);
	__m256i e, normal, small;

	bytes = _mm_insert_epi8(bytes, row[1][at], 1);
	bytes = _mm_insert_epi8(bytes, row[2][at], 2);
	bytes = _mm_insert_epi8(bytes, row[3][at], 3);
	bytes = _mm_insert_epi8(bytes, row[4][at], 4);
	bytes = _mm_insert_epi8(bytes, row[5][at], 5);
	bytes = _mm_insert_epi8(bytes, row[6][at], 6);
	bytes = _mm_insert_epi8(bytes, row[7][at], 7);
	e = _mm256_cvtepu8_epi32(bytes);
	normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
	small = _mm256_sllv_epi32(_mm256_set1_epi32(0x200000), e);

	return _mm256_castsi256_ps(_mm256_blendv_epi8(
		small, normal, _mm256_cmpgt_epi32(e, _mm256_set1_epi32(1))));
}

/* The d of a block of each row, and what is added or multiplies the minima. */
INLINE void unpack_factors(struct panel *p, const struct weight_type *t, const uint8_t *const *row,
			   size_t at, uint32_t b)
{
	p->d[b] = t->d_exponent ? load_exponents(row, at + t->d_at) : load_d(row, at + t->d_at);
	if (t->minima)
		p->m[b] = load_d(row, at + t->m_at);
}

/* Bytes of eight rows to 32-bit lanes, column j to to[j * step]. */
INLINE void widen_bytes(__m256i *to, int step, const uint64_t in[ROWS], bool has_sign)
{
	__m128i columns[4];

	transpose_bytes(in, columns);
	UNROLL
	for (int j = 0; j < 8; j++) {
		__m128i c = j & 1 ? _mm_unpackhi_epi64(columns[j / 2], columns[j / 2]) :
			    columns[j / 2];

		to[j * step] = has_sign ? _mm256_cvtepi8_epi32(c) : _mm256_cvtepu8_epi32(c);
	}
}

/* Numbers of 16 bits in both halves of their lanes: what _mm256_madd_epi16 multiplies by. */
INLINE __m256i twice(__m256i v)
{
	return _mm256_blend_epi16(v, _mm256_slli_epi32(v, 16), 0xaa);
}

/* a in the low halves of the lanes, b in the high ones. */
INLINE __m256i beside(__m256i a, __m256i b)
{
	return _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xaa);
}

/* The scales of pairs of 16 columns as rows that are not transposed want them. */
INLINE void unpack_pairs(struct panel *p)
{
	const __m128i two = _mm_set1_epi8(2);

	for (int r = 0; r < ROWS; r++) {
		__m128i s = _mm_set_epi64x((long long)p->sc[1][r], (long long)p->sc[0][r]);
		__m128i pick = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);

		for (int b = 0; b < BLOCKS; b++) {
			p->pairs[b][r] = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(s, pick));
			pick = _mm_add_epi8(pick, two);
		}
	}
}

/* How many sums of two products fit 16 bits together. */
INLINE int sums_of_16(const struct weight_type *t)
{
	int n = t->has_sign ? 1 : 32767 / (2 * 127 * t->top);

	return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

/* Rows that are not transposed are summed in 16 bits first. */
INLINE bool fits_16(const struct weight_type *t)
{
	return sums_of_16(t) >= 4 && (t->form == TYPE_PLAIN || t->group == 32);
}

/* What the rows left as bytes. */
INLINE void unpack_scales(struct panel *p, const struct weight_type *t, bool transposed)
{
	__m256i scale[2 * BLOCKS], min[2 * BLOCKS];

	for (int i = 0; i < (t->group == 32 ? 1 : 2); i++) {
		widen_bytes(scale + 8 * i, 1, p->sc[i], true);
		if (t->minima)
			widen_bytes(min + 8 * i, 1, p->mins[i], false);
	}
	for (int b = 0; b < BLOCKS; b++) {
		if (t->group == 32) {
			p->scale[b] = transposed || fits_16(t) ? twice(scale[b]) : scale[b];
			if (t->minima)
				p->min[b] = _mm256_castps_si256(_mm256_cvtepi32_ps(min[b]));
			continue;
		}
		p->scale[2 * b] = twice(scale[2 * b]);
		p->scale[2 * b + 1] = twice(scale[2 * b + 1]);
		p->both[b] = beside(scale[2 * b], scale[2 * b + 1]);
		if (t->minima)
			p->min[b] = beside(min[2 * b], min[2 * b + 1]);
	}
	if (t->group == 16 && !transposed)
		unpack_pairs(p);
}

/* [row][32 bytes] to [quad][row]: an 8 x 8 transpose of 32-bit words. */
INLINE void transpose(__m256i v[8])
{
	__m256i t[8], u[8];

	UNROLL
	for (int i = 0; i < 4; i++) {
		t[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
		t[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
	}
	UNROLL
	for (int i = 0; i < 2; i++) {
		u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
		u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
		u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
		u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
	}
	UNROLL
	for (int i = 0; i < 4; i++) {
		v[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
		v[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
	}
}

/* Sums of the eight lanes of each of eight vectors, a vector to a lane. */
INLINE __m256i sum_rows(const __m256i v[8])
{
	__m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
	__m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));

	return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
				_mm256_permute2x128_si256(a, b, 0x31));
}

/* ---- products ---- */

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
INLINE void quad_sums(__m256i *to, const __m256i code[8], const struct q8_block *const *x,
		      const struct weight_type *t, int q, int n, __m256i by, int T)
{
	int some = sums_of_16(t) < n ? sums_of_16(t) : n;

	UNROLL
	for (int i = 0; i < n; i += some) {
		__m256i s[TOKENS];

		UNROLL
		for (int k = i; k < i + some; k++) {
			__m256i c = code[q + k];

			UNROLL
			for (int j = 0; j < T; j++) {
				__m256i pq;
				int32_t w;

				memcpy(&w, x[j]->q + 4 * (q + k), 4);
				pq = products(c, _mm256_set1_epi32(w), t);
				s[j] = k > i ? _mm256_add_epi16(s[j], pq) : pq;
				if (T > 1)
					__asm__("" : "+x"(s[j]));
			}
		}
		UNROLL
		for (int j = 0; j < T; j++) {
			s[j] = _mm256_madd_epi16(s[j], by);
			to[j] = i ? _mm256_add_epi32(to[j], s[j]) : s[j];
		}
	}
}

/*
 * The sums of eight vectors of 16 numbers, vector i to lane i, times what is in both halves of by;
 * so many of the numbers fit 16 bits together, four at least.
 */
INLINE __m256i sum_rows_16(const __m256i v[8], __m256i by, int fit)
{
	const __m256i pairs = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
	__m256i t[4], u[2], a, b;

	UNROLL
	for (int i = 0; i < 4; i++)
		t[i] = _mm256_add_epi16(_mm256_unpacklo_epi16(v[2 * i], v[2 * i + 1]),
					_mm256_unpackhi_epi16(v[2 * i], v[2 * i + 1]));
	UNROLL
	for (int i = 0; i < 2; i++)	/* sums of four rows, twice in each half */
		u[i] = _mm256_add_epi16(_mm256_unpacklo_epi32(t[2 * i], t[2 * i + 1]),
					_mm256_unpackhi_epi32(t[2 * i], t[2 * i + 1]));
	a = _mm256_permute2x128_si256(u[0], u[1], 0x20);
	b = _mm256_permute2x128_si256(u[0], u[1], 0x31);
	if (fit >= 8)
		return _mm256_madd_epi16(_mm256_shuffle_epi8(_mm256_add_epi16(a, b), pairs), by);
	return _mm256_add_epi32(_mm256_madd_epi16(_mm256_shuffle_epi8(a, pairs), by),
				_mm256_madd_epi16(_mm256_shuffle_epi8(b, pairs), by));
}

/* The two sums of 16 activations, beside each other in every lane. */
INLINE __m256i halves_of(const struct q8_block *x)
{
	int32_t both;

	memcpy(&both, x->half, 4);
	return _mm256_set1_epi32(both);
}

/* The sums of a block of 32 columns that is not transposed. */
INLINE __m256i row_sums(const struct panel *p, uint32_t b, const struct q8_block *x,
			const struct weight_type *t)
{
	__m256i xv = _mm256_loadu_si256((const __m256i *)x->q), v[ROWS], s;
	bool scaled = t->form == TYPE_SCALED;

	if (fits_16(t)) {
		UNROLL
		for (int r = 0; r < ROWS; r++)
			v[r] = products(p->code[b][r], xv, t);
		return sum_rows_16(v, scaled ? p->scale[b] : _mm256_set1_epi16(1), sums_of_16(t));
	}
	UNROLL
	for (int r = 0; r < ROWS; r++)
		v[r] = _mm256_madd_epi16(products(p->code[b][r], xv, t), scaled && t->group == 16 ?
					 p->pairs[b][r] : _mm256_set1_epi16(1));
	s = sum_rows(v);
	return scaled && t->group == 32 ? _mm256_mullo_epi32(s, p->scale[b]) : s;
}

/* One block of 32 columns: the integer sum of each row, as numerics.rst has it (times scales). */
INLINE void block_sums(__m256i *s, const struct panel *p, uint32_t b,
		       const struct q8_block *const *x, const struct weight_type *t,
		       bool transposed, int T)
{
	bool scaled = t->form == TYPE_SCALED, halves = scaled && t->group == 16;
	const __m256i *code = p->code[b];

	if (!transposed) {
		s[0] = row_sums(p, b, x[0], t);
	} else if (halves) {
		__m256i second[TOKENS];

		quad_sums(s, code, x, t, 0, 4, p->scale[2 * b], T);
		quad_sums(second, code, x, t, 4, 4, p->scale[2 * b + 1], T);
		UNROLL
		for (int j = 0; j < T; j++)
			s[j] = _mm256_add_epi32(s[j], second[j]);
	} else {
		quad_sums(s, code, x, t, 0, 8, scaled ? p->scale[b] : _mm256_set1_epi16(1), T);
	}
	UNROLL
	for (int j = 0; j < T; j++) {
		const int16_t *half = x[j]->half;
		__m256i c;

		if (!t->offset)
			continue;
		c = halves ? _mm256_slli_epi32(_mm256_madd_epi16(p->both[b], halves_of(x[j])),
					       __builtin_ctz(t->offset)) :
		    _mm256_set1_epi32(t->offset * (half[0] + half[1]));
		s[j] = _mm256_sub_epi32(s[j], c);
	}
}

/* What the minima of a block of 32 columns add to their sum. */
INLINE __m256 add_minima(const struct panel *p, uint32_t b, const struct q8_block *x,
			 const struct weight_type *t, __m256 m)
{
	if (t->group == 32)
		return _mm256_fmadd_ps(_mm256_castsi256_ps(p->min[b]), _mm256_set1_ps(x->xs), m);
	return _mm256_fmadd_ps(_mm256_set1_ps(x->d), _mm256_cvtepi32_ps(
				_mm256_madd_epi16(p->min[b], halves_of(x))), m);
}

/* What a panel adds to the results of T tokens, whose blocks lie at x. */
INLINE void panel_tile(__m256 *acc, const struct panel *p, uint32_t blocks,
		       const struct q8_block **x, const struct weight_type *t, bool transposed,
		       int T)
{
	__m256 a[TOKENS], m[TOKENS];

	UNROLL
	for (int j = 0; j < T; j++)
		a[j] = m[j] = _mm256_setzero_ps();
	for (uint32_t b = 0; b < blocks; b++) {
		__m256i s[TOKENS];

		block_sums(s, p, b, x, t, transposed, T);
		UNROLL
		for (int j = 0; j < T; j++) {
			const struct q8_block *xb = x[j]++;
			__m256 dx = _mm256_set1_ps(xb->d), sum = _mm256_cvtepi32_ps(s[j]);

			if (t->form == TYPE_SCALED) {
				a[j] = _mm256_fmadd_ps(dx, sum, a[j]);
				if (t->minima)
					m[j] = add_minima(p, b, xb, t, m[j]);
				continue;
			}
			acc[j] = _mm256_fmadd_ps(_mm256_mul_ps(p->d[b], dx), sum, acc[j]);
			if (t->minima)
				acc[j] = _mm256_fmadd_ps(p->m[b], _mm256_set1_ps(xb->xs), acc[j]);
		}
	}
	if (t->form == TYPE_PLAIN)
		return;
	UNROLL
	for (int j = 0; j < T; j++) {
		acc[j] = _mm256_fmadd_ps(p->d[0], a[j], acc[j]);
		if (t->minima)
			acc[j] = _mm256_fnmadd_ps(p->m[0], m[j], acc[j]);	/* -m[0] * m + acc */
	}
}

/* The products of one panel, blocks from b on, of the T tokens from i on. */
INLINE void panel_tokens(float *y, size_t y_stride, const struct panel *p,
			 const struct weight_type *t, uint32_t b, uint32_t blocks,
			 uint32_t per_token, const struct q8_block *xq, const uint32_t *pick,
			 uint32_t i, bool transposed, int T)
{
	const struct q8_block *x[TOKENS];
	__m256 acc[TOKENS];

	UNROLL
	for (int j = 0; j < T; j++) {
		size_t token = pick ? pick[i + j] : i + j;

		x[j] = xq + token * per_token + b;
		acc[j] = b ? _mm256_loadu_ps(y + (i + j) * y_stride) : _mm256_setzero_ps();
	}
	panel_tile(acc, p, blocks, x, t, transposed, T);
	UNROLL
	for (int j = 0; j < T; j++)
		_mm256_storeu_ps(y + (i + j) * y_stride, acc[j]);
}

/* The products of one panel, blocks from b on of all tokens. */
INLINE void panel_products(float *y, size_t y_stride, struct panel *p, const struct weight_type *t,
			   uint32_t b, uint32_t blocks, uint32_t per_token,
			   const struct q8_block *xq, const uint32_t *pick, uint32_t tokens)
{
	bool transposed = tokens >= TRANSPOSE_FROM;
	uint32_t i = 0;

	if (t->form == TYPE_SCALED)
		unpack_scales(p, t, transposed);
	for (uint32_t k = 0; transposed && k < blocks; k++)
		transpose(p->code[k]);
	for (; transposed && i + TOKENS <= tokens; i += TOKENS)
		panel_tokens(y, y_stride, p, t, b, blocks, per_token, xq, pick, i, true, TOKENS);
	for (; transposed && i < tokens; i++)
		panel_tokens(y, y_stride, p, t, b, blocks, per_token, xq, pick, i, true, 1);
	for (; i < tokens; i++)
		panel_tokens(y, y_stride, p, t, b, blocks, per_token, xq, pick, i, false, 1);
}

INLINE void prefetch_panel(const char *ahead, size_t bytes)
{
	UNROLL
	for (size_t i = 0; i < bytes; i += 64)
		_mm_prefetch(ahead + i, _MM_HINT_T0);
}

/* How a type's rows get into a panel: n blocks of 32 columns at byte at of each. */
#define UNPACK_PLAIN(lower) \
	for (uint32_t i = 0; i < n; i++, at += lower##_type.bytes) { \
		unpack_factors(&p, &lower##_type, row, at, i); \
		UNROLL \
		for (int r = 0; r < ROWS; r++) \
			p.code[i][r] = lower##_codes(row[r] + at); \
	}
#define UNPACK_SCALED(lower) \
	unpack_factors(&p, &lower##_type, row, at, 0); \
	for (int r = 0; r < ROWS; r++) \
		lower##_codes(&p, row[r] + at, r); \
	at += lower##_type.bytes;

/* Bytes beyond the next eight rows, which memory gives too late where they are short. */
#define FURTHER 4096

/*
 * Eight rows; y has room for eight results of each token.  The next eight rows lie behind these:
 * eight short streams side by side are more than the hardware foresees, so it is told.
 */
#define EIGHT_ROWS(lower, UNPACK) \
static void rows_##lower(float *y, size_t y_stride, const uint8_t *const *row, uint32_t cols, \
			 const struct q8_block *xq, const uint32_t *pick, uint32_t tokens) \
{ \
	const char *ahead = (const char *)row[ROWS - 1] + (row[ROWS - 1] - row[ROWS - 2]) + FURTHER; \
	const size_t blocks = (size_t)ROWS * TYPE_BLOCK / lower##_type.elements; \
	const size_t panel = blocks * lower##_type.bytes; \
	uint32_t per_token = cols / 32; \
	size_t at = 0; \
	struct panel p; \
	\
	for (uint32_t b = 0, n; b < per_token; b += n, ahead += panel) { \
		n = per_token - b < BLOCKS ? per_token - b : BLOCKS; \
		prefetch_panel(ahead, panel); \
		UNPACK(lower) \
		panel_products(y, y_stride, &p, &lower##_type, b, n, per_token, xq, pick, \
			       tokens); \
	} \
}
#define ROWS_FLOAT(lower)
#define ROWS_PLAIN(lower) EIGHT_ROWS(lower, UNPACK_PLAIN)
#define ROWS_SCALED(lower) EIGHT_ROWS(lower, UNPACK_SCALED)
#define WEIGHT_TYPE(NAME, lower, form, ...) ROWS_##form(lower)
#include "type/list.h"

/* ---- float weights ---- */

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

/* Eight rows from r on; at the end the last row stands in for those that are missing. */
INLINE void eight_from(const uint8_t *row[ROWS], const uint8_t *w, size_t w_stride, uint32_t r,
		       uint32_t rows)
{
	for (uint32_t i = 0; i < ROWS; i++)
		row[i] = w + (r + i < rows ? r + i : rows - 1) * w_stride;
}

static void avx2_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		 uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		 size_t x_stride, const uint32_t *pick, uint32_t tokens)
{
	const uint8_t *row[ROWS];

	switch (type) {
#define CALL_FLOAT(lower) \
		float_rows(y, y_stride, w, w_stride, &lower##_type, rows, cols, xf, x_stride, \
			   pick, tokens);
#define CALL_PLAIN(lower) \
		for (uint32_t r = 0; r < rows; r += ROWS) { \
			eight_from(row, w, w_stride, r, rows); \
			rows_##lower(y + r, y_stride, row, cols, xq, pick, tokens); \
		}
#define CALL_SCALED(lower) CALL_PLAIN(lower)
#define WEIGHT_TYPE(NAME, lower, form, number, ...) \
	case number: \
		CALL_##form(lower) \
		break;
#include "type/list.h"
	}
}

#endif
