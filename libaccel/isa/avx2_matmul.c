// SPDX-License-Identifier: MIT
/*
 * Matrix products.  Integer weights: eight rows at a time, a row to a lane, so that one FMA
 * serves eight results.  256 columns of the eight rows are unpacked to bytes once and used
 * for every token; with several tokens they are also transposed, so that a lane holds four
 * neighbouring codes of its row and no horizontal sums are needed.  Float weights: a vector
 * is the eight accumulators of dot8.
 */
#include "kernels.h"

#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "avx2.h"

#define ROWS 8
#define BLOCKS 8		/* of 32 columns: one block of a K type */
#define TRANSPOSE_FROM 3	/* tokens from which transposing pays */

/* Eight rows x 256 columns, unpacked. */
struct panel {
	__m256i code[BLOCKS][ROWS];	/* [block][row], or [block][quad of columns] */
	__m256 d[BLOCKS];		/* per row; K types: [0] only */
	__m256 dmin;			/* Q4_K */
	__m256i scale[BLOCKS];		/* Q4_K: per row */
	__m256 min[BLOCKS];		/* Q4_K */
	__m256i scale2[BLOCKS][2];	/* Q6_K: per row, of each half */
	__m256i pairs[BLOCKS][ROWS];	/* Q6_K: the two scales of a row in their halves */
};

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

/* The scales and mins of a Q4_K block as q4k_scales() has them, a byte each. */
INLINE void q4k_scale_words(const uint8_t *s, uint64_t *sc, uint64_t *m)
{
	uint32_t a, b, c;

	memcpy(&a, s, 4);
	memcpy(&b, s + 4, 4);
	memcpy(&c, s + 8, 4);
	*sc = (a & 0x3f3f3f3f) |
	      (uint64_t)((c & 0x0f0f0f0f) | (a >> 6 & 0x03030303) << 4) << 32;
	*m = (b & 0x3f3f3f3f) |
	     (uint64_t)((c >> 4 & 0x0f0f0f0f) | (b >> 6 & 0x03030303) << 4) << 32;
}

INLINE __m256i nibbles(const uint8_t *p)
{
	__m128i b = _mm_loadu_si128((const __m128i *)p);
	__m256i v = _mm256_set_m128i(_mm_srli_epi16(b, 4), b);

	return _mm256_and_si256(v, _mm256_set1_epi8(15));
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

INLINE void unpack_32(struct panel *p, const uint8_t *const *row, uint32_t type, size_t bytes,
		      uint32_t blocks)
{
	for (uint32_t b = 0; b < blocks; b++) {
		size_t at = b * bytes;

		p->d[b] = load_d(row, at);
		for (int r = 0; r < ROWS; r++) {
			const uint8_t *w = row[r] + at + 2;

			if (type == OCTANS_TYPE_Q8_0)
				p->code[b][r] = _mm256_loadu_si256((const __m256i *)w);
			else if (type == OCTANS_TYPE_Q4_0)
				p->code[b][r] = nibbles(w);
			else
				p->code[b][r] = _mm256_or_si256(nibbles(w + 4), fifth_bits(w));
		}
	}
}

INLINE void unpack_q4_k(struct panel *p, const uint8_t *const *row)
{
	const __m256i low = _mm256_set1_epi8(15);
	uint64_t sc[ROWS], m[ROWS];
	__m128i by_sc[4], by_m[4];

	p->d[0] = load_d(row, 0);
	p->dmin = load_d(row, 2);
	for (int r = 0; r < ROWS; r++) {
		q4k_scale_words(row[r] + 4, &sc[r], &m[r]);
		for (int g = 0; g < 4; g++) {
			__m256i v = _mm256_loadu_si256((const __m256i *)(row[r] + 16 + 32 * g));

			p->code[2 * g][r] = _mm256_and_si256(v, low);
			p->code[2 * g + 1][r] = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
		}
	}
	transpose_bytes(sc, by_sc);
	transpose_bytes(m, by_m);
	for (int b = 0; b < BLOCKS; b++) {
		__m128i s = b & 1 ? _mm_unpackhi_epi64(by_sc[b / 2], by_sc[b / 2]) : by_sc[b / 2];
		__m128i n = b & 1 ? _mm_unpackhi_epi64(by_m[b / 2], by_m[b / 2]) : by_m[b / 2];

		p->scale[b] = _mm256_cvtepu8_epi32(s);
		p->min[b] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(n));
	}
}

INLINE void unpack_q6_k(struct panel *p, const uint8_t *const *row, bool transposed)
{
	const __m256i low4 = _mm256_set1_epi8(15), high2 = _mm256_set1_epi8(0x30);

	p->d[0] = load_d(row, 208);
	for (int r = 0; r < ROWS; r++) {
		const uint8_t *w = row[r];

		for (int h = 0; h < 2; h++) {
			__m256i l0 = _mm256_loadu_si256((const __m256i *)(w + 64 * h));
			__m256i l1 = _mm256_loadu_si256((const __m256i *)(w + 64 * h + 32));
			__m256i q = _mm256_loadu_si256((const __m256i *)(w + 128 + 32 * h));
			__m256i *c[4] = { &p->code[4 * h][r], &p->code[4 * h + 1][r],
					  &p->code[4 * h + 2][r], &p->code[4 * h + 3][r] };

			*c[0] = _mm256_or_si256(_mm256_and_si256(l0, low4),
				_mm256_and_si256(_mm256_slli_epi16(q, 4), high2));
			*c[1] = _mm256_or_si256(_mm256_and_si256(l1, low4),
				_mm256_and_si256(_mm256_slli_epi16(q, 2), high2));
			*c[2] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(l0, 4), low4),
				_mm256_and_si256(q, high2));
			*c[3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(l1, 4), low4),
				_mm256_and_si256(_mm256_srli_epi16(q, 2), high2));
		}
	}
	for (int half = 0; half < 2; half++) {
		uint64_t s[ROWS];
		__m128i columns[4];

		for (int r = 0; r < ROWS; r++)
			memcpy(&s[r], row[r] + 192 + 8 * half, 8);
		transpose_bytes(s, columns);
		for (int i = 0; i < 4; i++) {
			p->scale2[4 * half + i][0] = _mm256_cvtepi8_epi32(columns[i]);
			p->scale2[4 * half + i][1] = _mm256_cvtepi8_epi32(
				_mm_unpackhi_epi64(columns[i], columns[i]));
		}
	}
	if (transposed)
		return;
	for (int r = 0; r < ROWS; r++) {
		__m128i s = _mm_loadu_si128((const __m128i *)(row[r] + 192));
		__m128i pick = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);

		for (int b = 0; b < BLOCKS; b++) {
			p->pairs[b][r] = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(s, pick));
			pick = _mm_add_epi8(pick, _mm_set1_epi8(2));
		}
	}
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

/* Products of signed (Q8_0) or unsigned codes with activations, summed in pairs. */
INLINE __m256i products(__m256i code, __m256i x, uint32_t type)
{
	if (type == OCTANS_TYPE_Q8_0)		/* |code| <= 128, |x| <= 127: 2 * 128 * 127 fits */
		return _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(x, code));
	return _mm256_maddubs_epi16(code, x);
}

/* One block of 32 columns: the integer sum of each row, as numerics.rst has it (Q4_K and
 * Q6_K: times the scales). */
INLINE __m256i block_sum(const struct panel *p, uint32_t b, const struct q8_block *x, uint32_t type,
			 bool transposed)
{
	const __m256i one = _mm256_set1_epi16(1);
	int offset = type == OCTANS_TYPE_Q4_0 ? 8 : type == OCTANS_TYPE_Q5_0 ? 16 : 0;
	__m256i s, v[ROWS];

	if (!transposed) {
		__m256i xv = _mm256_loadu_si256((const __m256i *)x->q);

		UNROLL
		for (int r = 0; r < ROWS; r++)
			v[r] = _mm256_madd_epi16(products(p->code[b][r], xv, type),
						 type == OCTANS_TYPE_Q6_K ? p->pairs[b][r] : one);
		s = sum_rows(v);
	} else if (type == OCTANS_TYPE_Q6_K) {
		__m256i h[2];

		UNROLL
		for (int half = 0; half < 2; half++) {
			/* 4 * 2 * 63 * 127 does not fit 16 bits, 2 * 2 * 63 * 127 does */
			__m256i a = _mm256_setzero_si256();

			UNROLL
			for (int i = 0; i < 4; i += 2) {
				int q = 4 * half + i;
				int32_t w[2];
				__m256i pq;

				memcpy(w, x->q + 4 * q, 8);
				pq = _mm256_add_epi16(
					products(p->code[b][q], _mm256_set1_epi32(w[0]), type),
					products(p->code[b][q + 1], _mm256_set1_epi32(w[1]), type));
				a = _mm256_add_epi32(a, _mm256_madd_epi16(pq, one));
			}
			h[half] = _mm256_mullo_epi32(a, p->scale2[b][half]);
		}
		s = _mm256_add_epi32(h[0], h[1]);
	} else {
		bool narrow = type == OCTANS_TYPE_Q4_0 || type == OCTANS_TYPE_Q4_K;
		__m256i a = _mm256_setzero_si256();

		UNROLL
		for (int q = 0; q < 8; q++) {
			__m256i pq;
			int32_t w;

			memcpy(&w, x->q + 4 * q, 4);
			pq = products(p->code[b][q], _mm256_set1_epi32(w), type);
			/* 8 * 2 * 15 * 127 fits 16 bits */
			a = narrow ? _mm256_add_epi16(a, pq) :
			    _mm256_add_epi32(a, _mm256_madd_epi16(pq, one));
		}
		s = narrow ? _mm256_madd_epi16(a, one) : a;
	}
	if (offset)
		s = _mm256_sub_epi32(s, _mm256_set1_epi32(offset * (x->half[0] + x->half[1])));
	if (type == OCTANS_TYPE_Q4_K)
		s = _mm256_mullo_epi32(s, p->scale[b]);
	if (type == OCTANS_TYPE_Q6_K) {
		__m256i c = _mm256_add_epi32(
			_mm256_mullo_epi32(p->scale2[b][0], _mm256_set1_epi32(x->half[0])),
			_mm256_mullo_epi32(p->scale2[b][1], _mm256_set1_epi32(x->half[1])));

		s = _mm256_sub_epi32(s, _mm256_slli_epi32(c, 5));
	}
	return s;
}

INLINE __m256 panel_product(const struct panel *p, uint32_t blocks, const struct q8_block *x,
			    uint32_t type, bool transposed, __m256 acc)
{
	__m256 a = _mm256_setzero_ps(), m = _mm256_setzero_ps();

	for (uint32_t b = 0; b < blocks; b++, x++) {
		__m256 dx = _mm256_set1_ps(x->d);
		__m256 sum = _mm256_cvtepi32_ps(block_sum(p, b, x, type, transposed));

		if (type == OCTANS_TYPE_Q4_K || type == OCTANS_TYPE_Q6_K)
			a = _mm256_fmadd_ps(dx, sum, a);
		else
			acc = _mm256_fmadd_ps(_mm256_mul_ps(p->d[b], dx), sum, acc);
		if (type == OCTANS_TYPE_Q4_K)
			m = _mm256_fmadd_ps(p->min[b], _mm256_set1_ps(x->xs), m);
	}
	if (type == OCTANS_TYPE_Q4_K || type == OCTANS_TYPE_Q6_K)
		acc = _mm256_fmadd_ps(p->d[0], a, acc);
	if (type == OCTANS_TYPE_Q4_K)
		acc = _mm256_fnmadd_ps(p->dmin, m, acc);	/* -dmin * m + acc */
	return acc;
}

/* Eight rows; y has room for eight results of each token. */
INLINE void eight_rows(float *y, size_t y_stride, const uint8_t *const *row, uint32_t type,
		       uint32_t cols, const struct q8_block *xq, const uint32_t *pick,
		       uint32_t tokens)
{
	uint32_t per_token = cols / 32;
	bool k_type = type == OCTANS_TYPE_Q4_K || type == OCTANS_TYPE_Q6_K;
	bool transposed = tokens >= TRANSPOSE_FROM;
	size_t bytes = type_bytes(type, k_type ? 256 : 32);
	size_t panel_bytes = ROWS * (k_type ? bytes : BLOCKS * bytes);
	/* The next eight rows lie behind these: eight short streams side by side are more than
	 * the hardware foresees, so it is told. */
	const char *ahead = (const char *)row[ROWS - 1] + (row[ROWS - 1] - row[ROWS - 2]);
	const uint8_t *at[ROWS];
	struct panel p;

	for (uint32_t b = 0; b < per_token; b += BLOCKS) {
		uint32_t blocks = per_token - b < BLOCKS ? per_token - b : BLOCKS;

		for (size_t i = 0; i < panel_bytes; i += 64)
			_mm_prefetch(ahead + i, _MM_HINT_T0);
		ahead += panel_bytes;
		for (int r = 0; r < ROWS; r++)
			at[r] = row[r] + (k_type ? b / BLOCKS : b) * bytes;
		if (type == OCTANS_TYPE_Q4_K)
			unpack_q4_k(&p, at);
		else if (type == OCTANS_TYPE_Q6_K)
			unpack_q6_k(&p, at, transposed);
		else
			unpack_32(&p, at, type, bytes, blocks);
		for (uint32_t i = 0; transposed && i < blocks; i++)
			transpose(p.code[i]);
		for (uint32_t t = 0; t < tokens; t++) {
			size_t token = pick ? pick[t] : t;
			const struct q8_block *x = xq + token * per_token + b;
			float *out = y + t * y_stride;
			__m256 acc = b ? _mm256_loadu_ps(out) : _mm256_setzero_ps();

			acc = transposed ? panel_product(&p, blocks, x, type, true, acc) :
			      panel_product(&p, blocks, x, type, false, acc);
			_mm256_storeu_ps(out, acc);
		}
	}
}

#define EIGHT_ROWS(name, type) \
static void name(float *y, size_t y_stride, const uint8_t *const *row, uint32_t cols, \
		 const struct q8_block *xq, const uint32_t *pick, uint32_t tokens) \
{ \
	eight_rows(y, y_stride, row, type, cols, xq, pick, tokens); \
}
EIGHT_ROWS(rows_q4_0, OCTANS_TYPE_Q4_0)
EIGHT_ROWS(rows_q5_0, OCTANS_TYPE_Q5_0)
EIGHT_ROWS(rows_q8_0, OCTANS_TYPE_Q8_0)
EIGHT_ROWS(rows_q4_k, OCTANS_TYPE_Q4_K)
EIGHT_ROWS(rows_q6_k, OCTANS_TYPE_Q6_K)

/* ---- float weights ---- */

INLINE __m256 load8(const uint8_t *w, uint32_t i, uint32_t type)
{
	__m128i h;

	if (type == OCTANS_TYPE_F32)
		return _mm256_loadu_ps((const float *)w + i);
	h = _mm_loadu_si128((const __m128i *)(w + 2 * i));
	if (type == OCTANS_TYPE_F16)
		return _mm256_cvtph_ps(h);
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

INLINE float load1(const uint8_t *w, uint32_t i, uint32_t type)
{
	float f;

	if (type == OCTANS_TYPE_F16)
		return load_f16(w + 2 * i);
	if (type == OCTANS_TYPE_BF16)
		return load_bf16(w + 2 * i);
	memcpy(&f, w + 4 * i, 4);
	return f;
}

/* R rows by T tokens at once, for as many accumulators as hide the latency of an FMA. */
INLINE void float_tile(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		       uint32_t cols, const float *const *x, int R, int T)
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
			__m256 wv = load8(w + r * w_stride, k, type);

			UNROLL
			for (int t = 0; t < T; t++)
				acc[r][t] = _mm256_fmadd_ps(wv, xv[t], acc[r][t]);
		}
	}
	UNROLL
	for (int r = 0; r < R; r++)
		UNROLL
		for (int t = 0; t < T; t++) {
			float lanes[8];

			if (k == cols) {
				y[t * y_stride + r] = sum8(acc[r][t]);
				continue;
			}
			_mm256_storeu_ps(lanes, acc[r][t]);
			for (uint32_t i = k; i < cols; i++)
				lanes[i % 8] = fmaf(load1(w + r * w_stride, i, type),
						    x[t][i], lanes[i % 8]);
			y[t * y_stride + r] = tree8(lanes);
		}
}

INLINE void float_rows(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		       uint32_t rows, uint32_t cols, const float *xf, size_t x_stride,
		       const uint32_t *pick, uint32_t tokens)
{
	uint32_t t = 0, r;

	for (; t < tokens; t += tokens - t >= 4 ? 4 : 1) {
		const float *x[4] = { NULL };

		for (uint32_t i = 0; i < 4 && t + i < tokens; i++)
			x[i] = xf + (pick ? pick[t + i] : t + i) * x_stride;
		if (tokens - t >= 4) {
			for (r = 0; r + 2 <= rows; r += 2)
				float_tile(y + t * y_stride + r, y_stride, w + r * w_stride,
					   w_stride, type, cols, x, 2, 4);
			for (; r < rows; r++)
				float_tile(y + t * y_stride + r, y_stride, w + r * w_stride,
					   w_stride, type, cols, x, 1, 4);
			continue;
		}
		for (r = 0; r + 4 <= rows; r += 4)
			float_tile(y + t * y_stride + r, y_stride, w + r * w_stride, w_stride, type,
				   cols, x, 4, 1);
		for (; r < rows; r++)
			float_tile(y + t * y_stride + r, y_stride, w + r * w_stride, w_stride, type,
				   cols, x, 1, 1);
	}
}

void avx2_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		 uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		 size_t x_stride, const uint32_t *pick, uint32_t tokens)
{
	switch (type) {
	case OCTANS_TYPE_F32:
		float_rows(y, y_stride, w, w_stride, OCTANS_TYPE_F32, rows, cols, xf, x_stride,
			   pick, tokens);
		return;
	case OCTANS_TYPE_F16:
		float_rows(y, y_stride, w, w_stride, OCTANS_TYPE_F16, rows, cols, xf, x_stride,
			   pick, tokens);
		return;
	case OCTANS_TYPE_BF16:
		float_rows(y, y_stride, w, w_stride, OCTANS_TYPE_BF16, rows, cols, xf, x_stride,
			   pick, tokens);
		return;
	}
	for (uint32_t r = 0; r < rows; r += ROWS) {
		const uint8_t *row[ROWS];

		/* At the end the last row stands in for those that are missing. */
		for (uint32_t i = 0; i < ROWS; i++)
			row[i] = w + (r + i < rows ? r + i : rows - 1) * w_stride;
		switch (type) {
		case OCTANS_TYPE_Q4_0:
			rows_q4_0(y + r, y_stride, row, cols, xq, pick, tokens);
			break;
		case OCTANS_TYPE_Q5_0:
			rows_q5_0(y + r, y_stride, row, cols, xq, pick, tokens);
			break;
		case OCTANS_TYPE_Q8_0:
			rows_q8_0(y + r, y_stride, row, cols, xq, pick, tokens);
			break;
		case OCTANS_TYPE_Q4_K:
			rows_q4_k(y + r, y_stride, row, cols, xq, pick, tokens);
			break;
		case OCTANS_TYPE_Q6_K:
			rows_q6_k(y + r, y_stride, row, cols, xq, pick, tokens);
			break;
		}
	}
}

#endif
