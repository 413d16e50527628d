/* SPDX-License-Identifier: MIT */
/* What goes along rows: int8 blocks, conversions, ROW, MAP, ROPE, the search of TOPK. */
#ifndef ACCEL_AVX2_ROW_H
#define ACCEL_AVX2_ROW_H

#include "vector.h"

/* ---- int8 blocks ---- */

/* Four vectors of whole numbers -128 .. 127 to 32 bytes. */
INLINE __m256i pack_bytes(const __m256 q[4])
{
	__m256i all = _mm256_packs_epi16(
		_mm256_packs_epi32(_mm256_cvtps_epi32(q[0]), _mm256_cvtps_epi32(q[1])),
		_mm256_packs_epi32(_mm256_cvtps_epi32(q[2]), _mm256_cvtps_epi32(q[3])));

	return _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

INLINE __m256 times_rounded(__m256 x, __m256 by)
{
	return _mm256_round_ps(_mm256_mul_ps(x, by), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Loads a block; its largest magnitude, or a NaN if an infinity or a NaN is in it. */
INLINE float load_block(__m256 v[4], const float *x)
{
	__m256 max = _mm256_setzero_ps(), odd = max;

	for (int i = 0; i < 4; i++) {
		__m256 a;

		v[i] = _mm256_loadu_ps(x + 8 * i);
		a = magnitude(v[i]);
		odd = _mm256_or_ps(odd, _mm256_cmp_ps(a, splat(0x1.fffffep127f), _CMP_NLE_UQ));
		max = _mm256_max_ps(max, a);
	}
	return _mm256_movemask_ps(odd) ? NAN : max8(max);
}

static void quantize_block(struct q8_block *b, const float *x)
{
	const __m256 n = _mm256_setr_ps(127, 126, 125, 124, 123, 122, 121, 120);
	float amax, id[8], d[8];
	__m256 v[4], sums[8], errors, least;
	unsigned int best;
	__m256i all;

	amax = load_block(v, x);
	if (!(amax >= 0x1p-100f)) {
		memset(b, 0, sizeof(*b));
		b->d = b->xs = amax != amax ? NAN : 0;
		return;
	}
	_mm256_storeu_ps(id, _mm256_div_ps(n, splat(amax)));
	_mm256_storeu_ps(d, _mm256_div_ps(splat(amax), n));
	for (int t = 0; t < 8; t++) {	/* the eight scales that are tried */
		const __m256 by = _mm256_broadcast_ss(id + t), back = _mm256_broadcast_ss(d + t);

		sums[t] = _mm256_setzero_ps();
		for (int i = 0; i < 4; i++) {
			__m256 e = _mm256_fnmadd_ps(back, times_rounded(v[i], by), v[i]);

			sums[t] = _mm256_fmadd_ps(e, e, sums[t]);
		}
	}
	errors = sum8_of_8(sums);	/* no NaNs: everything is finite, or a square too large */
	least = _mm256_min_ps(errors, _mm256_permute2f128_ps(errors, errors, 1));
	least = _mm256_min_ps(least, _mm256_permute_ps(least, _MM_SHUFFLE(1, 0, 3, 2)));
	least = _mm256_min_ps(least, _mm256_permute_ps(least, _MM_SHUFFLE(2, 3, 0, 1)));
	best = (unsigned int)__builtin_ctz(
		(unsigned int)_mm256_movemask_ps(_mm256_cmp_ps(errors, least, _CMP_EQ_OQ)));
	for (int i = 0; i < 4; i++)
		v[i] = times_rounded(v[i], _mm256_broadcast_ss(id + best));
	all = pack_bytes(v);
	_mm256_storeu_si256((__m256i *)b->q, all);
	/* lanes 0..3 are the first sixteen values, 4..7 the others */
	all = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), all),
				_mm256_set1_epi16(1));
	all = _mm256_hadd_epi32(all, all);
	all = _mm256_hadd_epi32(all, all);
	b->half[0] = (int16_t)_mm_cvtsi128_si32(_mm256_castsi256_si128(all));
	b->half[1] = (int16_t)_mm_cvtsi128_si32(_mm256_extracti128_si256(all, 1));
	b->d = d[best];
	b->xs = b->d * (float)(b->half[0] + b->half[1]);
}

static void avx2_quantize(struct q8_block *q, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 32)
		quantize_block(q++, x + i);
}

/* ---- conversion ---- */

static void avx2_load(float *dst, const uint8_t *src, uint32_t type, uint32_t n)
{
	uint32_t whole = 0;

	switch (type) {
#define LOAD_FLOAT(lower) \
		for (; whole + 8 <= n; whole += 8) \
			_mm256_storeu_ps(dst + whole, \
					 lower##_load8(src + (size_t)whole * lower##_type.bytes)); \
		src += (size_t)whole * lower##_type.bytes;
#define LOAD_PLAIN(lower)
#define LOAD_SCALED(lower)
#define WEIGHT_TYPE(NAME, lower, form, number, ...) \
	case number: \
		LOAD_##form(lower) \
		break;
#include "type/list.h"
	}
	load_row(dst + whole, src, type, n - whole);
}

INLINE __m128i to_bf16(__m256 v)
{
	__m256i bits = _mm256_castps_si256(canonical8(v)), odd;

	odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
	bits = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
	bits = _mm256_srli_epi32(bits, 16);
	return _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
}

INLINE void store_q8_0(uint8_t *dst, const float *x)
{
	__m256 v[4];
	float amax = load_block(v, x);
	uint16_t d = amax != amax ? 0x7e00 : 0;

	if (!(amax >= 0x1p-100f)) {
		memset(dst + 2, 0, 32);
	} else {
		for (int i = 0; i < 4; i++)
			v[i] = times_rounded(v[i], splat(127 / amax));
		_mm256_storeu_si256((__m256i *)(dst + 2), pack_bytes(v));
		d = _cvtss_sh(amax / 127, _MM_FROUND_TO_NEAREST_INT);
	}
	memcpy(dst, &d, 2);
}

static void avx2_store(uint8_t *dst, const float *src, uint32_t type, uint32_t n)
{
	uint32_t whole = n / 8 * 8;

	switch (type) {
	case OCTANS_TYPE_F32:
		for (uint32_t i = 0; i < n; i += 8)
			store_first((float *)dst + i, canonical8(load_first(src + i, n - i)),
				    n - i);
		return;
	case OCTANS_TYPE_F16:
		for (uint32_t i = 0; i < whole; i += 8)
			_mm_storeu_si128((__m128i *)(dst + 2 * i),
					 to_f16(_mm256_loadu_ps(src + i)));
		break;
	case OCTANS_TYPE_BF16:
		for (uint32_t i = 0; i < whole; i += 8)
			_mm_storeu_si128((__m128i *)(dst + 2 * i),
					 to_bf16(_mm256_loadu_ps(src + i)));
		break;
	case OCTANS_TYPE_Q8_0:
		for (uint32_t i = 0; i < n; i += 32)
			store_q8_0(dst + i / 32 * 34, src + i);
		return;
	}
	store_row(dst + 2 * whole, src + whole, type, n - whole);
}

static void avx2_store_product(float *dst, const float *y, const float *bias, bool add, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 8) {
		__m256 v = load_first(y + i, n - i);

		if (bias)
			v = _mm256_add_ps(v, load_first(bias + i, n - i));
		if (add)
			v = _mm256_add_ps(load_first(dst + i, n - i), v);
		store_first(dst + i, canonical8(v), n - i);
	}
}

/* ---- ROW ---- */

static float sum(const float *x, uint32_t n)
{
	__m256 acc = _mm256_setzero_ps();

	for (uint32_t i = 0; i < n; i += 8)
		acc = keep_first(acc, _mm256_add_ps(acc, load_first(x + i, n - i)), n - i);
	return sum8(acc);
}

/* dot8(c, c) of c[i] = x[i] - mean. */
static float sum_squares(const float *x, float mean, uint32_t n)
{
	__m256 acc = _mm256_setzero_ps(), mean8 = splat(mean);

	for (uint32_t i = 0; i < n; i += 8) {
		__m256 c = _mm256_sub_ps(load_first(x + i, n - i), mean8);

		acc = keep_first(acc, _mm256_fmadd_ps(c, c, acc), n - i);
	}
	return sum8(acc);
}

static void softmax_row(float *y, const float *x, uint32_t n)
{
	__m256 m = splat(largest(-INFINITY, x, n)), acc = _mm256_setzero_ps(), r;

	for (uint32_t i = 0; i < n; i += 8) {
		__m256 e = exp8(_mm256_sub_ps(load_first(x + i, n - i), m));

		store_first(y + i, e, n - i);
		acc = keep_first(acc, _mm256_add_ps(acc, e), n - i);
	}
	r = splat(1 / sum8(acc));
	for (uint32_t i = 0; i < n; i += 8)
		store_first(y + i, canonical8(_mm256_mul_ps(load_first(y + i, n - i), r)), n - i);
}

static void avx2_row(float *y, const float *x, const float *w, const float *bias, uint32_t n,
		uint32_t kind, float eps)
{
	float mean = 0, square;
	__m256 r, mean8;

	if (kind == OCTANS_ROW_SUM) {
		*y = canonical(sum(x, n));
		return;
	}
	if (kind == OCTANS_ROW_SOFTMAX) {
		softmax_row(y, x, n);
		return;
	}
	if (kind == OCTANS_ROW_LAYER)
		mean = sum(x, n) / (float)n;
	square = sum_squares(x, mean, n);	/* x - 0 is x */
	if (kind != OCTANS_ROW_L2)
		square = square / (float)n;
	r = splat(1 / sqrtf(square + eps));
	mean8 = splat(mean);
	for (uint32_t i = 0; i < n; i += 8) {
		__m256 v = _mm256_mul_ps(_mm256_sub_ps(load_first(x + i, n - i), mean8), r);

		if (w)
			v = _mm256_mul_ps(v, load_first(w + i, n - i));
		if (bias)
			v = _mm256_add_ps(v, load_first(bias + i, n - i));
		store_first(y + i, canonical8(v), n - i);
	}
}

/* ---- MAP ---- */

/* t / (1 + exp(-x)) */
INLINE __m256 gated(__m256 t, __m256 x)
{
	return _mm256_div_ps(t, _mm256_add_ps(splat(1), exp8(negate(x))));
}

INLINE __m256 gelu8(__m256 t)
{
	__m256 a = _mm256_mul_ps(magnitude(t), splat(0x1.6a09e6p-1f)), u, p, e;

	u = _mm256_div_ps(splat(1), _mm256_fmadd_ps(splat(0.5f), a, splat(1)));
	p = splat(0x1.2552fap-3f);
	p = _mm256_fmadd_ps(p, u, splat(-0x1.57b616p-1f));
	p = _mm256_fmadd_ps(p, u, splat(0x1.223a06p+0f));
	p = _mm256_fmadd_ps(p, u, splat(-0x1.5442b0p-1f));
	p = _mm256_fmadd_ps(p, u, splat(-0x1.b843dep-4f));
	p = _mm256_fmadd_ps(p, u, splat(0x1.0be514p-6f));
	p = _mm256_fmadd_ps(p, u, splat(0x1.dec8cep-6f));
	p = _mm256_fmadd_ps(p, u, splat(0x1.8d225ep-2f));
	p = _mm256_fmadd_ps(p, u, splat(0x1.ff39a8p-1f));
	p = _mm256_fmadd_ps(p, u, splat(-0x1.43f3e6p+0f));
	e = _mm256_mul_ps(u, exp8(_mm256_fnmadd_ps(a, a, p)));
	e = _mm256_blendv_ps(_mm256_sub_ps(splat(2), e), e,
			     _mm256_cmp_ps(t, _mm256_setzero_ps(), _CMP_LT_OQ));
	return _mm256_mul_ps(_mm256_mul_ps(splat(0.5f), t), e);
}

INLINE __m256 xielu8(__m256 t, float alpha_p, float alpha_n)
{
	__m256 half = _mm256_mul_ps(splat(0.5f), t), limit = splat(-0x1.0c6f7ap-20f);
	__m256 x, above, below;

	above = _mm256_fmadd_ps(_mm256_mul_ps(splat(alpha_p), t), t, half);
	x = _mm256_blendv_ps(limit, t, _mm256_cmp_ps(t, limit, _CMP_LT_OQ));
	below = _mm256_fmadd_ps(_mm256_sub_ps(expm1_8(x), t), splat(alpha_n), half);
	return _mm256_blendv_ps(below, above, _mm256_cmp_ps(t, _mm256_setzero_ps(), _CMP_GT_OQ));
}

/* t where it is above 0 (or, if nan, a NaN), else +0 */
INLINE __m256 relu8(__m256 t, bool nan)
{
	__m256 zero = _mm256_setzero_ps();

	return _mm256_and_ps(t, nan ? _mm256_cmp_ps(t, zero, _CMP_NLE_UQ) :
			     _mm256_cmp_ps(t, zero, _CMP_GT_OQ));
}

INLINE __m256 map8(uint32_t f, __m256 t, float c, float d)
{
	__m256 x;

	switch (f) {
	case OCTANS_MAP_SILU:
		return gated(t, t);
	case OCTANS_MAP_GELU:
		return gelu8(t);
	case OCTANS_MAP_GELU_TANH:
		x = _mm256_fmadd_ps(splat(0x1.2444f2p-4f), _mm256_mul_ps(t, t),
				    splat(0x1.988454p+0f));
		return gated(t, _mm256_mul_ps(t, x));
	case OCTANS_MAP_RELU:
		return relu8(t, true);
	case OCTANS_MAP_RELU2:
		x = relu8(t, true);
		return _mm256_mul_ps(x, x);
	case OCTANS_MAP_XIELU:
		return xielu8(t, c, d);
	case OCTANS_MAP_SIGMOID:
		return gated(splat(1), t);
	case OCTANS_MAP_SOFTPLUS:
		return _mm256_add_ps(relu8(t, false), log1p_8(exp8(negate(magnitude(t)))));
	case OCTANS_MAP_EXP:
		return exp8(t);
	case OCTANS_MAP_TANH:
		return tanh8(t);
	case OCTANS_MAP_SQRT:
		return _mm256_sqrt_ps(t);
	case OCTANS_MAP_CLAMP:
		x = _mm256_blendv_ps(t, splat(d), _mm256_cmp_ps(t, splat(d), _CMP_GT_OQ));
		return _mm256_blendv_ps(x, splat(c), _mm256_cmp_ps(t, splat(c), _CMP_LT_OQ));
	}
	return t;
}

/* f is a constant in each call, so the switch is gone. */
INLINE void map_row(uint32_t f, float *dst, const float *a, const float *b, bool b_one, uint32_t n,
		    uint16_t flags, const float imm[4])
{
	__m256 with = b && b_one ? splat(*b) : _mm256_setzero_ps();

	for (uint32_t i = 0; i < n; i += 8) {
		__m256 t = load_first(a + i, n - i);

		if (flags & OCTANS_MAP_AFFINE)
			t = _mm256_add_ps(_mm256_mul_ps(t, splat(imm[0])), splat(imm[1]));
		t = map8(f, t, imm[2], imm[3]);
		if (b && !b_one)
			with = load_first(b + i, n - i);
		if (b)
			t = OCTANS_MAP_OP(flags) == OCTANS_MAP_ADD ? _mm256_add_ps(t, with) :
			    OCTANS_MAP_OP(flags) == OCTANS_MAP_MUL ? _mm256_mul_ps(t, with) :
			    _mm256_div_ps(t, with);
		store_first(dst + i, canonical8(t), n - i);
	}
}

static void avx2_map(float *dst, const float *a, const float *b, bool b_one, uint32_t n,
		     uint16_t flags, const float imm[4])
{
#define MAP_ROW(f) case f: map_row(f, dst, a, b, b_one, n, flags, imm); break
	switch (OCTANS_MAP_F(flags)) {
	MAP_ROW(OCTANS_MAP_ID);
	MAP_ROW(OCTANS_MAP_SILU);
	MAP_ROW(OCTANS_MAP_GELU);
	MAP_ROW(OCTANS_MAP_GELU_TANH);
	MAP_ROW(OCTANS_MAP_RELU);
	MAP_ROW(OCTANS_MAP_RELU2);
	MAP_ROW(OCTANS_MAP_XIELU);
	MAP_ROW(OCTANS_MAP_SIGMOID);
	MAP_ROW(OCTANS_MAP_SOFTPLUS);
	MAP_ROW(OCTANS_MAP_EXP);
	MAP_ROW(OCTANS_MAP_TANH);
	MAP_ROW(OCTANS_MAP_SQRT);
	MAP_ROW(OCTANS_MAP_CLAMP);
	}
#undef MAP_ROW
}

/* ---- ROPE ---- */

INLINE __m128 load_first4(const float *p, uint32_t n)
{
	return n >= 4 ? _mm_loadu_ps(p)
		      : _mm256_castps256_ps128(_mm256_maskload_ps(p, first_lanes(n)));
}

static void avx2_rotate(float *dst, const float *x, const float *cs, uint32_t rot, bool half)
{
	uint32_t n = rot / 2;

	if (half) {
		for (uint32_t i = 0; i < n; i += 8) {
			__m256 a = load_first(x + i, n - i), b = load_first(x + n + i, n - i);
			__m256 c = load_first(cs + i, n - i), s = load_first(cs + n + i, n - i);
			__m256 ra = _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s));
			__m256 rb = _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c));

			store_first(dst + i, canonical8(ra), n - i);
			store_first(dst + n + i, canonical8(rb), n - i);
		}
		return;
	}
	for (uint32_t i = 0; i < n; i += 4) {	/* lanes 2j, 2j + 1: a pair */
		uint32_t left = 2 * (n - i);
		__m128 c = load_first4(cs + i, n - i), s = load_first4(cs + n + i, n - i);
		__m128 minus = _mm_xor_ps(s, _mm_set1_ps(-0.0f));
		__m256 v = load_first(x + 2 * i, left);
		__m256 by_a = _mm256_set_m128(_mm_unpackhi_ps(c, s), _mm_unpacklo_ps(c, s));
		__m256 by_b = _mm256_set_m128(_mm_unpackhi_ps(minus, c), _mm_unpacklo_ps(minus, c));

		/* (a c, a s) + (b (-s), b c), the second product rounded */
		v = _mm256_fmadd_ps(_mm256_moveldup_ps(v), by_a,
				    _mm256_mul_ps(_mm256_movehdup_ps(v), by_b));
		store_first(dst + 2 * i, canonical8(v), left);
	}
}

/* ---- TOPK ---- */

static uint32_t avx2_find_above(const float *x, const float *bias, uint32_t from, uint32_t to,
				float key)
{
	__m256 limit = splat(key);

	for (; from < to; from += 8) {
		__m256 v = load_first(x + from, to - from);
		unsigned int above;

		if (bias)
			v = _mm256_add_ps(v, load_first(bias + from, to - from));
		above = (unsigned int)_mm256_movemask_ps(_mm256_cmp_ps(v, limit, _CMP_GT_OQ));
		if (to - from < 8)
			above &= (1u << (to - from)) - 1;
		if (above)
			return from + (uint32_t)__builtin_ctz(above);
	}
	return to;
}

#endif
