/* SPDX-License-Identifier: MIT */
/* What the AVX2 files share: partial vectors, sums, functions of numerics.rst eight at a time. */
#ifndef ACCEL_AVX2_VECTOR_H
#define ACCEL_AVX2_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "../kernels.h"
#include "../unroll.h"

/* ---- the first n lanes of a vector, n from 1 on; 8 and more are all of them ---- */

INLINE __m256i first_lanes(uint32_t n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8),
				  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE __m256 load_first(const float *p, uint32_t n)
{
	return n >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(n));
}

INLINE void store_first(float *p, __m256 v, uint32_t n)
{
	if (n >= 8)
		_mm256_storeu_ps(p, v);
	else
		_mm256_maskstore_ps(p, first_lanes(n), v);
}

/* v in the first n lanes, else old: the lanes behind the end of a sum stay as they are. */
INLINE __m256 keep_first(__m256 old, __m256 v, uint32_t n)
{
	return n >= 8 ? v : _mm256_blendv_ps(old, v, _mm256_castsi256_ps(first_lanes(n)));
}

INLINE __m256 canonical8(__m256 v)
{
	return _mm256_blendv_ps(v, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)),
				_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}

/* ---- sums ---- */

/* tree8 of the lanes: ((0+4)+(2+6)) + ((1+5)+(3+7)) */
INLINE float sum8(__m256 v)
{
	__m128 a = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	a = _mm_add_ps(a, _mm_movehl_ps(a, a));
	return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

/* sum8 of each of eight vectors, vector i to lane i. */
INLINE __m256 sum8_of_8(const __m256 v[8])
{
	__m256 a[4], b[2];

	UNROLL
	for (int i = 0; i < 4; i++)	/* vectors i and i + 4: halves */
		a[i] = _mm256_add_ps(_mm256_permute2f128_ps(v[i], v[i + 4], 0x20),
				     _mm256_permute2f128_ps(v[i], v[i + 4], 0x31));
	UNROLL
	for (int i = 0; i < 2; i++)	/* 2i, 2i + 1: quarters */
		b[i] = _mm256_add_ps(
			_mm256_shuffle_ps(a[2 * i], a[2 * i + 1], _MM_SHUFFLE(1, 0, 1, 0)),
			_mm256_shuffle_ps(a[2 * i], a[2 * i + 1], _MM_SHUFFLE(3, 2, 3, 2)));
	return _mm256_add_ps(_mm256_shuffle_ps(b[0], b[1], _MM_SHUFFLE(2, 0, 2, 0)),
			     _mm256_shuffle_ps(b[0], b[1], _MM_SHUFFLE(3, 1, 3, 1)));
}

INLINE float max8(__m256 v)
{
	__m128 a = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	a = _mm_max_ps(a, _mm_movehl_ps(a, a));
	return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}

/* The largest of start and x[0 .. n-1], as numerics.rst has it: NaNs of x are never larger. */
INLINE float largest(float start, const float *x, uint32_t n)
{
	__m256 max = _mm256_set1_ps(-INFINITY);
	float m;

	for (uint32_t i = 0; i < n; i += 8) {
		__m256 v = keep_first(max, load_first(x + i, n - i), n - i);

		max = _mm256_max_ps(v, max);	/* if one is a NaN the second operand wins */
	}
	m = max8(max);
	return m > start ? m : start;
}

/* ---- functions ---- */

INLINE __m256 splat(float x)
{
	return _mm256_set1_ps(x);
}

INLINE __m256 negate(__m256 x)
{
	return _mm256_xor_ps(x, splat(-0.0f));
}

INLINE __m256 magnitude(__m256 x)
{
	return _mm256_andnot_ps(splat(-0.0f), x);
}

INLINE __m256 exp_reduced8(__m256 x, __m256 *scale)
{
	__m256 n, r, p;

	n = _mm256_round_ps(_mm256_mul_ps(x, splat(0x1.715476p+0f)),
			    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm256_fmadd_ps(n, splat(-0x1.63p-1f), x);
	r = _mm256_fmadd_ps(n, splat(0x1.bd0106p-13f), r);
	p = splat(0x1.a0d2cep-13f);
	p = _mm256_fmadd_ps(p, r, splat(0x1.6e879cp-10f));
	p = _mm256_fmadd_ps(p, r, splat(0x1.111210p-7f));
	p = _mm256_fmadd_ps(p, r, splat(0x1.555382p-5f));
	p = _mm256_fmadd_ps(p, r, splat(0x1.555554p-3f));
	p = _mm256_fmadd_ps(p, r, splat(0x1p-1f));
	*scale = _mm256_castsi256_ps(_mm256_slli_epi32(
		_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
	return _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r);
}

INLINE __m256 exp8(__m256 x)
{
	__m256 s, y = exp_reduced8(x, &s);

	y = _mm256_mul_ps(_mm256_add_ps(y, splat(1)), s);
	y = _mm256_blendv_ps(y, splat(INFINITY), _mm256_cmp_ps(x, splat(88), _CMP_GT_OQ));
	y = _mm256_andnot_ps(_mm256_cmp_ps(x, splat(-87), _CMP_LT_OQ), y);
	return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

INLINE __m256 expm1_8(__m256 x)
{
	__m256 s, q = exp_reduced8(x, &s), y;

	y = _mm256_fmadd_ps(s, q, _mm256_sub_ps(s, splat(1)));
	y = _mm256_blendv_ps(y, splat(INFINITY), _mm256_cmp_ps(x, splat(88), _CMP_GT_OQ));
	y = _mm256_blendv_ps(y, splat(-1), _mm256_cmp_ps(x, splat(-25), _CMP_LT_OQ));
	return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

INLINE __m256 log1p_8(__m256 u)
{
	__m256 s = _mm256_div_ps(u, _mm256_add_ps(splat(2), u)), z = _mm256_mul_ps(s, s), p, t;

	p = splat(0x1.111112p-4f);
	p = _mm256_fmadd_ps(p, z, splat(0x1.3b13b2p-4f));
	p = _mm256_fmadd_ps(p, z, splat(0x1.745d18p-4f));
	p = _mm256_fmadd_ps(p, z, splat(0x1.c71c72p-4f));
	p = _mm256_fmadd_ps(p, z, splat(0x1.24924ap-3f));
	p = _mm256_fmadd_ps(p, z, splat(0x1.99999ap-3f));
	p = _mm256_fmadd_ps(p, z, splat(0x1.555556p-2f));
	t = _mm256_add_ps(s, s);
	return _mm256_fmadd_ps(_mm256_mul_ps(t, z), p, t);
}

INLINE __m256 tanh8(__m256 x)
{
	__m256 a = magnitude(x), t = expm1_8(_mm256_add_ps(a, a)), y;

	y = _mm256_div_ps(t, _mm256_add_ps(t, splat(2)));
	y = _mm256_blendv_ps(y, splat(1), _mm256_cmp_ps(a, splat(10), _CMP_GT_OQ));
	return _mm256_or_ps(y, _mm256_and_ps(x, splat(-0.0f)));
}

/* ---- narrower types ---- */

/* To F16: nearest, ties to even; NaNs canonical. */
INLINE __m128i to_f16(__m256 v)
{
	return _mm256_cvtps_ph(canonical8(v), _MM_FROUND_TO_NEAREST_INT);
}

INLINE __m256 round_f16(__m256 v)
{
	return _mm256_cvtph_ps(_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

#endif
