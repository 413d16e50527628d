/* SPDX-License-Identifier: MIT */
/* What the AVX2 files share. */
#ifndef ACCEL_AVX2_H
#define ACCEL_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

struct q8_block;

void avx2_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		 uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		 size_t x_stride, uint32_t tokens);

/* tree8 of the lanes: ((0+4)+(2+6)) + ((1+5)+(3+7)) */
static inline float sum8(__m256 v)
{
	__m128 a = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	a = _mm_add_ps(a, _mm_movehl_ps(a, a));
	return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

static inline float max8(__m256 v)
{
	__m128 a = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	a = _mm_max_ps(a, _mm_movehl_ps(a, a));
	return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}

#endif
