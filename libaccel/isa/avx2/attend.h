/* SPDX-License-Identifier: MIT */
/*
 * ATTEND.  Scores: some positions of some heads at once, so that each vector of keys is converted
 * once for all heads, and each of q loaded once for all positions.  Values: a block of positions
 * at a time, which stays in the cache while the elements of the heads are summed up, in the order
 * of the positions.
 */
#ifndef ACCEL_AVX2_ATTEND_H
#define ACCEL_AVX2_ATTEND_H

#include "vector.h"

#define BLOCK 64u		/* positions */
/* Positions: rows of one head lie too far apart for the hardware to foresee. */
#define AHEAD 16u

INLINE void prefetch(const uint8_t *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		_mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

/* Elements i .. i + 7 (those that are there: n) of a row of a pool, F16 but for F32. */
INLINE __m256 pool8(const uint8_t *p, uint32_t i, uint32_t n, uint32_t type)
{
	uint16_t some[8] = { 0 };

	if (type == OCTANS_TYPE_F32)
		return load_first((const float *)(const void *)p + i, n);
	if (type == OCTANS_TYPE_Q8_0) {	/* whole blocks */
		const uint8_t *block = p + i / 32 * 34;
		__m128i q = _mm_loadl_epi64((const __m128i *)(block + 2 + i % 32));
		__m256 d = _mm256_cvtph_ps(_mm_set1_epi16((short)load_u16(block)));

		return round_f16(_mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q))));
	}
	if (n >= 8)
		return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 2 * i)));
	memcpy(some, p + 2 * i, 2 * n);
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)some));
}

/* Eight columns (n of them, if that is less) from c on of H heads of q and P rows of keys. */
INLINE void multiply8(__m256 acc[8], const struct attend *a, const uint8_t *const *k, uint32_t c,
		      uint32_t n, uint32_t H, uint32_t P, uint32_t type)
{
	__m256 key[8];

	UNROLL
	for (uint32_t p = 0; p < P; p++)
		key[p] = pool8(k[p], c, n, type);
	UNROLL
	for (uint32_t h = 0; h < H; h++) {
		__m256 q = load_first(a->q_used + (size_t)h * a->dk + c, n);

		UNROLL
		for (uint32_t p = 0; p < P; p++) {
			__m256 *sum = &acc[h * P + p];

			*sum = keep_first(*sum, _mm256_fmadd_ps(q, key[p], *sum), n);
		}
	}
}

/* dot8 of H heads of q with P rows of keys; that of head h and row p is in lane h * P + p. */
INLINE __m256 dots(const struct attend *a, const uint8_t *const *k, uint32_t H, uint32_t P,
		   uint32_t type)
{
	uint32_t c = 0;
	__m256 acc[8];

	UNROLL
	for (int i = 0; i < 8; i++)
		acc[i] = _mm256_setzero_ps();
	for (; c + 8 <= a->dk; c += 8)
		multiply8(acc, a, k, c, 8, H, P, type);
	if (c < a->dk)
		multiply8(acc, a, k, c, a->dk - c, H, P, type);
	return sum8_of_8(acc);
}

INLINE void score(const struct attend *a, uint32_t H, uint32_t type)
{
	const uint32_t P = H == 1 ? 8 : H == 2 ? 4 : 2;
	size_t bytes = type_bytes(type, a->dk);
	__m256 scale = splat(a->scale);

	for (uint32_t j = 0; j < a->n; j += P) {
		const uint8_t *k[8];
		float sums[8];

		/* at the end the last position stands in for those that are missing */
		for (uint32_t p = 0; p < P; p++) {
			k[p] = a->k + a->row[j + p < a->n ? j + p : a->n - 1] * a->k_stride;
			if (j + p + AHEAD < a->n)
				prefetch(a->k + a->row[j + p + AHEAD] * a->k_stride, bytes);
		}
		_mm256_storeu_ps(sums, _mm256_mul_ps(dots(a, k, H, P, type), scale));
		for (uint32_t h = 0; h < H; h++)	/* scores have room for whole vectors */
			memcpy(a->scores + h * a->scores_stride + j, sums + h * P,
			       P * sizeof(float));
	}
}

/* acc += e * v over positions j .. end - 1: V vectors from element d on, the last of n elements. */
INLINE void weigh(const struct attend *a, uint32_t j, uint32_t end, uint32_t d, uint32_t n,
		  uint32_t H, uint32_t V, uint32_t type)
{
	__m256 acc[8];

	UNROLL
	for (uint32_t h = 0; h < H; h++)
		UNROLL
		for (uint32_t i = 0; i < V; i++)
			acc[h * V + i] = load_first(a->acc + (size_t)h * a->dv + d + 8 * i, n);
	for (; j < end; j++) {
		const uint8_t *row = a->v + a->row[j] * a->v_stride;
		__m256 v[8];

		UNROLL
		for (uint32_t i = 0; i < V; i++)
			v[i] = pool8(row, d + 8 * i, n, type);
		UNROLL
		for (uint32_t h = 0; h < H; h++) {
			__m256 e = _mm256_broadcast_ss(a->scores + h * a->scores_stride + j);

			UNROLL
			for (uint32_t i = 0; i < V; i++)
				acc[h * V + i] = _mm256_fmadd_ps(e, v[i], acc[h * V + i]);
		}
	}
	UNROLL
	for (uint32_t h = 0; h < H; h++)
		UNROLL
		for (uint32_t i = 0; i < V; i++)
			store_first(a->acc + (size_t)h * a->dv + d + 8 * i, acc[h * V + i], n);
}

INLINE void weigh_all(const struct attend *a, uint32_t H, uint32_t type)
{
	const uint32_t V = H == 1 ? 8 : H == 2 ? 4 : 2;
	size_t bytes = type_bytes(type, a->dv);

	memset(a->acc, 0, (size_t)H * a->dv * sizeof(float));
	for (uint32_t j = 0; j < a->n; j += BLOCK) {
		uint32_t end = a->n - j < BLOCK ? a->n : j + BLOCK, d = 0;

		for (uint32_t i = j; i < end; i++)
			prefetch(a->v + a->row[i] * a->v_stride, bytes);
		for (; d + 8 * V <= a->dv; d += 8 * V)
			weigh(a, j, end, d, 8, H, V, type);
		for (; d + 8 <= a->dv; d += 8)
			weigh(a, j, end, d, 8, H, 1, type);
		if (d < a->dv)
			weigh(a, j, end, d, a->dv - d, H, 1, type);
	}
}

/* Scores of one head to e; the result is 1 / l. */
static float softmax_head(const struct attend *a, uint32_t head)
{
	float *s = a->scores + head * a->scores_stride, m, l;
	const __m256 cap = splat(a->cap), slope = splat(a->slopes ? a->slopes[head] : 0);
	const __m256i last = _mm256_set1_epi32(a->position[a->n - 1]);
	__m256 acc = _mm256_setzero_ps(), m8;

	for (uint32_t j = 0; (a->cap > 0 || a->slopes) && j < a->n; j += 8) {
		__m256 v = _mm256_loadu_ps(s + j);

		if (a->cap > 0)
			v = _mm256_mul_ps(cap, tanh8(_mm256_div_ps(v, cap)));
		if (a->slopes) {
			__m256i t = _mm256_loadu_si256((const __m256i *)(a->position + j));

			v = _mm256_fmadd_ps(slope, _mm256_cvtepi32_ps(_mm256_sub_epi32(t, last)),
					    v);
		}
		_mm256_storeu_ps(s + j, v);
	}
	m = largest(a->sinks ? a->sinks[head] : -INFINITY, s, a->n);
	m8 = splat(m);
	for (uint32_t j = 0; j < a->n; j += 8) {
		__m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(s + j), m8));

		if (a->v_type != OCTANS_TYPE_F32)
			e = round_f16(e);
		_mm256_storeu_ps(s + j, e);
		acc = keep_first(acc, _mm256_add_ps(acc, e), a->n - j);
	}
	l = sum8(acc);
	if (a->sinks)
		l = l + exp_f32(a->sinks[head] - m);
	return 1 / l;
}

#define BY_HEADS(call, type) do { \
	switch (a->heads) { \
	case 1: call(a, 1, type); break; \
	case 2: call(a, 2, type); break; \
	case 3: call(a, 3, type); break; \
	default: call(a, 4, type); \
	} \
} while (0)

static void score_f32(const struct attend *a)
{
	BY_HEADS(score, OCTANS_TYPE_F32);
}

static void score_f16(const struct attend *a)
{
	BY_HEADS(score, OCTANS_TYPE_F16);
}

static void score_q8_0(const struct attend *a)
{
	BY_HEADS(score, OCTANS_TYPE_Q8_0);
}

static void weigh_f32(const struct attend *a)
{
	BY_HEADS(weigh_all, OCTANS_TYPE_F32);
}

static void weigh_f16(const struct attend *a)
{
	BY_HEADS(weigh_all, OCTANS_TYPE_F16);
}

static void weigh_q8_0(const struct attend *a)
{
	BY_HEADS(weigh_all, OCTANS_TYPE_Q8_0);
}

static void avx2_attend(const struct attend *a)
{
	uint32_t all = a->heads * a->dk;
	float inverse[ATTEND_HEADS];

	for (uint32_t i = 0; i < all; i += 8) {
		__m256 q = load_first(a->q + i, all - i);

		store_first(a->q_used + i, a->k_type == OCTANS_TYPE_F32 ? q : round_f16(q),
			    all - i);
	}
	switch (a->k_type) {
	case OCTANS_TYPE_F32:
		score_f32(a);
		break;
	case OCTANS_TYPE_F16:
		score_f16(a);
		break;
	default:
		score_q8_0(a);
	}
	for (uint32_t h = 0; h < a->heads; h++)
		inverse[h] = softmax_head(a, h);
	switch (a->v_type) {
	case OCTANS_TYPE_F32:
		weigh_f32(a);
		break;
	case OCTANS_TYPE_F16:
		weigh_f16(a);
		break;
	default:
		weigh_q8_0(a);
	}
	for (uint32_t h = 0; h < a->heads; h++)
		for (uint32_t d = 0; d < a->dv; d += 8) {
			size_t at = (size_t)h * a->dv + d;
			__m256 v = _mm256_mul_ps(load_first(a->acc + at, a->dv - d),
						 splat(inverse[h]));

			store_first(a->dst + at, canonical8(v), a->dv - d);
		}
}

#endif
