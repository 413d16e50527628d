/* SPDX-License-Identifier: MIT */
/* CONV, eight channels at a time, and SCAN, eight columns of the state at a time. */
#ifndef ACCEL_AVX2_STATE_H
#define ACCEL_AVX2_STATE_H

#include "vector.h"

/* n channels, at most eight, from ch on. */
static void conv8(const struct conv *c, uint32_t ch, uint32_t n)
{
	float w[OCTANS_MAX_CONV][8] = { { 0 } };
	uint32_t before = c->taps - 1;
	__m256 bias = c->bias ? load_first(c->bias + ch, n) : _mm256_setzero_ps();

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < c->taps; j++)
			w[j][i] = c->w[(ch + i) * c->w_stride + j];
	for (uint32_t i = 0; i < c->m; i++) {
		__m256 in[OCTANS_MAX_CONV], acc = _mm256_setzero_ps();
		int32_t slots[2];

		load_slots(c->slot, c->slot_stride, i, slots);
		for (uint32_t j = 0; j < before; j++)
			in[j] = slots[0] < 0 ? _mm256_setzero_ps() :
				load_first(c->state + slots[0] * c->state_stride +
					   (size_t)j * c->channels + ch, n);
		in[before] = load_first(c->x + i * c->x_stride + ch, n);
		for (uint32_t j = 0; j < c->taps; j++)
			acc = _mm256_fmadd_ps(_mm256_loadu_ps(w[j]), in[j], acc);
		if (c->bias)
			acc = _mm256_add_ps(acc, bias);
		for (uint32_t j = 0; slots[1] >= 0 && j < before; j++)
			store_first(c->state + slots[1] * c->state_stride +
					    (size_t)j * c->channels + ch,
				    canonical8(in[j + 1]), n);
		store_first(c->dst + i * c->dst_stride + ch, canonical8(acc), n);
	}
}

static void avx2_conv(const struct conv *c, uint32_t from, uint32_t to)
{
	for (; from < to; from += 8)
		conv8(c, from, to - from < 8 ? to - from : 8);
}

/* Row d of the state of a head, from (NULL: zeros) to to (NULL: nowhere). */
static float ssm_row(const struct scan *c, float *to, const float *from, const float *k,
		     const float *q, float u, __m256 decay)
{
	__m256 acc = _mm256_setzero_ps();

	for (uint32_t j = 0; j < c->dk; j += 8) {
		uint32_t n = c->dk - j;
		__m256 s = from ? load_first(from + j, n) : _mm256_setzero_ps();

		s = _mm256_fmadd_ps(s, decay, _mm256_mul_ps(splat(u), load_first(k + j, n)));
		acc = keep_first(acc, _mm256_fmadd_ps(s, load_first(q + j, n), acc), n);
		if (to)
			store_first(to + j, canonical8(s), n);
	}
	return sum8(acc);
}

static float delta_row(const struct scan *c, float *to, const float *from, const float *k,
		       const float *q, float v, float beta)
{
	__m256 acc = _mm256_setzero_ps(), u;

	for (uint32_t j = 0; j < c->dk; j += 8) {
		uint32_t n = c->dk - j;
		__m256 s = from ? load_first(from + j, n) : _mm256_setzero_ps();

		s = _mm256_mul_ps(s, load_first(c->decay + j, n));
		acc = keep_first(acc, _mm256_fmadd_ps(s, load_first(k + j, n), acc), n);
		store_first(c->s + j, s, n);
	}
	u = splat((v - sum8(acc)) * beta);
	acc = _mm256_setzero_ps();
	for (uint32_t j = 0; j < c->dk; j += 8) {
		uint32_t n = c->dk - j;
		__m256 s = _mm256_fmadd_ps(u, load_first(k + j, n), load_first(c->s + j, n));

		acc = keep_first(acc, _mm256_fmadd_ps(s, load_first(q + j, n), acc), n);
		if (to)
			store_first(to + j, canonical8(s), n);
	}
	return sum8(acc);
}

static void avx2_scan(const struct scan *c)
{
	for (uint32_t i = 0; i < c->m; i++) {
		const float *k = c->k + i * c->k_stride, *q = c->q + i * c->q_stride;
		const float *v = c->v + i * c->v_stride, *g = c->g + i * c->g_stride, *from = NULL;
		float *to = NULL, *dst = c->dst + i * c->dst_stride;
		__m256 decay = splat(exp_f32(c->delta ? *g : *g * c->a));
		float beta = c->delta ? c->beta[i * c->beta_stride] : 0;
		int32_t slots[2];

		load_slots(c->slot, c->slot_stride, i, slots);
		if (slots[0] >= 0)
			from = c->state + slots[0] * c->state_stride;
		if (slots[1] >= 0)
			to = c->state + slots[1] * c->state_stride;
		for (uint32_t j = 0; c->delta && j < c->dk; j += 8)
			store_first(c->decay + j,
				    c->decays ? exp8(load_first(g + j, c->dk - j)) : decay,
				    c->dk - j);
		for (uint32_t d = 0; d < c->dv; d++) {
			float vd = v[d], y;

			if (c->delta)
				y = delta_row(c, to, from, k, q, vd, beta) * c->scale;
			else
				y = ssm_row(c, to, from, k, q, vd * *g, decay);
			dst[d] = canonical(c->has_d ? fmaf(c->d, vd, y) : y);
			from = from ? from + c->dk : NULL;
			to = to ? to + c->dk : NULL;
		}
	}
}

#endif
