// SPDX-License-Identifier: MIT
/*
 * AVX2, FMA and F16C: the bits of scalar.c, faster.  What makes that possible at no cost is
 * the contract: integer sums are exact in any order, one result is one lane, and the eight
 * accumulators of dot8 are a vector.  The matrix products are in avx2_matmul.c.
 */
#include "kernels.h"

#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "avx2.h"

/* Quantises with the scale amax / n: codes as floats to q, the squared error is returned. */
static inline float try_scale(const __m256 v[4], float amax, float n, __m256 q[4])
{
	const __m256 id = _mm256_set1_ps(n / amax), d = _mm256_set1_ps(amax / n);
	__m256 sum = _mm256_setzero_ps();

	for (int i = 0; i < 4; i++) {
		__m256 e;

		q[i] = _mm256_round_ps(_mm256_mul_ps(v[i], id),
				       _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
		e = _mm256_fnmadd_ps(d, q[i], v[i]);
		sum = _mm256_fmadd_ps(e, e, sum);
	}
	return sum8(sum);
}

static void quantize_block(struct q8_block *b, const float *x)
{
	const __m256 sign = _mm256_set1_ps(-0.0f), top = _mm256_set1_ps(0x1.fffffep127f);
	__m256 v[4], a, max, odd = _mm256_setzero_ps(), q[4], kept[4];
	float amax, best, scale = 127;
	__m256i all;

	for (int i = 0; i < 4; i++)
		v[i] = _mm256_loadu_ps(x + 8 * i);
	max = _mm256_setzero_ps();
	for (int i = 0; i < 4; i++) {
		a = _mm256_andnot_ps(sign, v[i]);
		odd = _mm256_or_ps(odd, _mm256_cmp_ps(a, top, _CMP_NLE_UQ));
		max = _mm256_max_ps(max, a);
	}
	if (_mm256_movemask_ps(odd)) {
		memset(b, 0, sizeof(*b));
		b->d = b->xs = NAN;
		return;
	}
	amax = max8(max);
	if (amax < 0x1p-100f) {
		memset(b, 0, sizeof(*b));
		return;
	}
	best = try_scale(v, amax, 127, kept);
	for (float n = 126; n >= 120; n--) {
		float error = try_scale(v, amax, n, q);

		if (!(error < best))
			continue;
		best = error;
		scale = n;
		memcpy(kept, q, sizeof(kept));
	}
	all = _mm256_packs_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(kept[0]),
						    _mm256_cvtps_epi32(kept[1])),
				 _mm256_packs_epi32(_mm256_cvtps_epi32(kept[2]),
						    _mm256_cvtps_epi32(kept[3])));
	all = _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
	_mm256_storeu_si256((__m256i *)b->q, all);
	/* lanes 0..3 are the first sixteen values, 4..7 the others */
	all = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), all), _mm256_set1_epi16(1));
	all = _mm256_hadd_epi32(all, all);
	all = _mm256_hadd_epi32(all, all);
	b->half[0] = (int16_t)_mm_cvtsi128_si32(_mm256_castsi256_si128(all));
	b->half[1] = (int16_t)_mm_cvtsi128_si32(_mm256_extracti128_si256(all, 1));
	b->d = amax / scale;
	b->xs = b->d * (float)(b->half[0] + b->half[1]);
}

static void quantize(struct q8_block *q, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 32)
		quantize_block(q++, x + i);
}

static float dot(const float *x, const float *y, uint32_t n)
{
	__m256 acc = _mm256_setzero_ps();
	float lanes[8];
	uint32_t i;

	for (i = 0; i + 8 <= n; i += 8)
		acc = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), acc);
	if (i == n)
		return sum8(acc);
	_mm256_storeu_ps(lanes, acc);
	for (; i < n; i++)
		lanes[i % 8] = fmaf(x[i], y[i], lanes[i % 8]);
	return tree8(lanes);
}

static __m256 exp8(__m256 x)
{
	const __m256 one = _mm256_set1_ps(1);
	__m256 n, r, p, y, big, small;
	__m256i e;

	n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)),
			    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.63p-1f), x);
	r = _mm256_fmadd_ps(n, _mm256_set1_ps(0x1.bd0106p-13f), r);
	p = _mm256_set1_ps(0x1.a0d2cep-13f);
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.6e879cp-10f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.111210p-7f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555382p-5f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555554p-3f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1p-1f));
	y = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), one);
	e = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
	y = _mm256_mul_ps(y, _mm256_castsi256_ps(e));
	big = _mm256_cmp_ps(x, _mm256_set1_ps(88), _CMP_GT_OQ);
	small = _mm256_cmp_ps(x, _mm256_set1_ps(-87), _CMP_LT_OQ);
	y = _mm256_blendv_ps(y, _mm256_set1_ps(INFINITY), big);
	y = _mm256_andnot_ps(small, y);
	return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

static void rmsnorm(float *y, const float *x, const float *w, uint32_t n, float eps)
{
	float mean = dot(x, x, n) / (float)n, r = 1 / sqrtf(mean + eps);
	__m256 r8 = _mm256_set1_ps(r);
	uint32_t i;

	for (i = 0; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), r8),
						      _mm256_loadu_ps(w + i)));
	for (; i < n; i++)
		y[i] = (x[i] * r) * w[i];
}

static void glu(float *y, const float *gate, const float *up, uint32_t n)
{
	const __m256 one = _mm256_set1_ps(1), sign = _mm256_set1_ps(-0.0f);
	uint32_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		__m256 g = _mm256_loadu_ps(gate + i);
		__m256 d = _mm256_add_ps(one, exp8(_mm256_xor_ps(g, sign)));

		_mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_div_ps(g, d), _mm256_loadu_ps(up + i)));
	}
	for (; i < n; i++)
		y[i] = (gate[i] / (1 + exp_f32(-gate[i]))) * up[i];
}

static void add(float *y, const float *a, const float *b, uint32_t n)
{
	uint32_t i;

	for (i = 0; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
	for (; i < n; i++)
		y[i] = a[i] + b[i];
}

/* Scores to weights; the result is 1 / their sum. */
static float softmax(float *scores, uint32_t n)
{
	__m256 max = _mm256_set1_ps(-INFINITY), lanes = _mm256_setzero_ps();
	float m, tail[8] = { 0 };
	uint32_t i;

	for (i = 0; i + 8 <= n; i += 8)	/* a NaN loses: the second operand wins then */
		max = _mm256_max_ps(_mm256_loadu_ps(scores + i), max);
	m = max8(max);
	for (; i < n; i++)
		if (scores[i] > m)
			m = scores[i];
	max = _mm256_set1_ps(m);
	for (i = 0; i + 8 <= n; i += 8) {
		__m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(scores + i), max));

		_mm256_storeu_ps(scores + i, e);
		lanes = _mm256_add_ps(lanes, e);
	}
	for (; i < n; i++)
		tail[i % 8] = scores[i] = exp_f32(scores[i] - m);
	/* adding +0 to sums that are never -0 changes nothing */
	return 1 / sum8(_mm256_add_ps(lanes, _mm256_loadu_ps(tail)));
}

static void weigh(float *dst, const float *scores, const float *v, size_t stride, uint32_t n,
		  uint32_t dims, float inverse)
{
	const __m256 inv = _mm256_set1_ps(inverse);
	uint32_t d = 0;

	for (; d + 32 <= dims; d += 32) {
		__m256 a[4] = { _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
				_mm256_setzero_ps() };

		for (uint32_t t = 0; t < n; t++) {
			const float *p = v + t * stride + d;
			__m256 e = _mm256_broadcast_ss(scores + t);

			for (int i = 0; i < 4; i++)
				a[i] = _mm256_fmadd_ps(e, _mm256_loadu_ps(p + 8 * i), a[i]);
		}
		for (int i = 0; i < 4; i++)
			_mm256_storeu_ps(dst + d + 8 * i, _mm256_mul_ps(a[i], inv));
	}
	for (; d + 8 <= dims; d += 8) {
		__m256 a = _mm256_setzero_ps();

		for (uint32_t t = 0; t < n; t++)
			a = _mm256_fmadd_ps(_mm256_broadcast_ss(scores + t),
					    _mm256_loadu_ps(v + t * stride + d), a);
		_mm256_storeu_ps(dst + d, _mm256_mul_ps(a, inv));
	}
	for (; d < dims; d++) {
		float a = 0;

		for (uint32_t t = 0; t < n; t++)
			a = fmaf(scores[t], v[t * stride + d], a);
		dst[d] = a * inverse;
	}
}

static void attend(float *dst, const float *q, const float *k, const float *v, size_t stride,
		   uint32_t n, uint32_t head_dim, float scale, float *scores)
{
	for (uint32_t t = 0; t < n; t++)
		scores[t] = dot(q, k + t * stride, head_dim) * scale;
	weigh(dst, scores, v, stride, n, head_dim, softmax(scores, n));
}

static const struct kernels kernels = {
	.name = "avx2",
	.quantize = quantize,
	.matmul = avx2_matmul,
	.dot = dot,
	.rmsnorm = rmsnorm,
	.glu = glu,
	.add = add,
	.attend = attend,
};

const struct kernels *kernels_avx2(void)
{
	__builtin_cpu_init();	/* which also asks the OS whether it saves the registers */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("f16c") ? &kernels : NULL;
}

#else

const struct kernels *kernels_avx2(void)
{
	return NULL;
}

#endif
