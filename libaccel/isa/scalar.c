// SPDX-License-Identifier: MIT
/* The scalar reference: numerics.rst in plain C, for every machine and to compare with. */
#include "kernels.h"

/* ---- conversion ---- */

void load_row(float *dst, const uint8_t *src, uint32_t type, uint32_t n)
{
	type_widen(weight_type(type), dst, src, n);
}

static void store_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void store_q8_0(uint8_t *dst, const float *x)
{
	float amax = 0, id;

	memset(dst, 0, 34);
	for (int i = 0; i < 32; i++) {
		float a = fabsf(x[i]);

		if (!(a <= 0x1.fffffep127f)) {	/* infinity or NaN */
			store_u16(dst, 0x7e00);
			return;
		}
		if (a > amax)
			amax = a;
	}
	if (amax < 0x1p-100f)
		return;
	id = 127 / amax;
	for (int i = 0; i < 32; i++)
		dst[2 + i] = (uint8_t)(int8_t)rintf(x[i] * id);
	store_u16(dst, f32_f16(amax / 127));
}

void store_row(uint8_t *dst, const float *src, uint32_t type, uint32_t n)
{
	switch (type) {
	case OCTANS_TYPE_F32:
		for (uint32_t i = 0; i < n; i++) {
			float v = canonical(src[i]);

			memcpy(dst + 4 * i, &v, 4);
		}
		break;
	case OCTANS_TYPE_F16:
		for (uint32_t i = 0; i < n; i++)
			store_u16(dst + 2 * i, f32_f16(src[i]));
		break;
	case OCTANS_TYPE_BF16:
		for (uint32_t i = 0; i < n; i++)
			store_u16(dst + 2 * i, f32_bf16(src[i]));
		break;
	case OCTANS_TYPE_Q8_0:
		for (uint32_t i = 0; i < n; i += 32)
			store_q8_0(dst + i / 32 * 34, src + i);
		break;
	}
}

/* ---- sums ---- */

static float dot(const float *x, const float *y, uint32_t n)
{
	float a[8] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		a[i % 8] = fmaf(x[i], y[i], a[i % 8]);
	return tree8(a);
}

static float sum(const float *x, uint32_t n)
{
	float a[8] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		a[i % 8] += x[i];
	return tree8(a);
}

static void store_product(float *dst, const float *y, const float *bias, bool add, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		float acc = y[i];

		if (bias)
			acc = acc + bias[i];
		dst[i] = canonical(add ? dst[i] + acc : acc);
	}
}

/* ---- ROW ---- */

static void softmax(float *y, const float *x, uint32_t n)
{
	float m = -INFINITY, r;

	for (uint32_t i = 0; i < n; i++)
		if (x[i] > m)
			m = x[i];
	for (uint32_t i = 0; i < n; i++)
		y[i] = exp_f32(x[i] - m);
	r = 1 / sum(y, n);
	for (uint32_t i = 0; i < n; i++)
		y[i] = canonical(y[i] * r);
}

static void row(float *y, const float *x, const float *w, const float *bias, uint32_t n,
		uint32_t kind, float eps)
{
	float mean = 0, square, r, a[8] = { 0 };

	if (kind == OCTANS_ROW_SUM) {
		*y = canonical(sum(x, n));
		return;
	}
	if (kind == OCTANS_ROW_SOFTMAX) {
		softmax(y, x, n);
		return;
	}
	if (kind == OCTANS_ROW_LAYER) {
		mean = sum(x, n) / (float)n;
		for (uint32_t i = 0; i < n; i++) {
			float c = x[i] - mean;

			a[i % 8] = fmaf(c, c, a[i % 8]);
		}
		square = tree8(a) / (float)n;
	} else {
		square = dot(x, x, n);
		if (kind == OCTANS_ROW_RMS)
			square = square / (float)n;
	}
	r = 1 / sqrtf(square + eps);
	for (uint32_t i = 0; i < n; i++) {
		float v = (kind == OCTANS_ROW_LAYER ? x[i] - mean : x[i]) * r;

		if (w)
			v = v * w[i];
		if (bias)
			v = v + bias[i];
		y[i] = canonical(v);
	}
}

/* ---- MAP, ROPE, TOPK ---- */

static void map(float *dst, const float *a, const float *b, bool b_one, uint32_t n, uint16_t flags,
		const float imm[4])
{
	for (uint32_t i = 0; i < n; i++) {
		float t = a[i], y, with;

		if (flags & OCTANS_MAP_AFFINE)
			t = t * imm[0] + imm[1];
		y = map_f32(OCTANS_MAP_F(flags), t, imm[2], imm[3]);
		if (b) {
			with = b_one ? *b : b[i];
			y = OCTANS_MAP_OP(flags) == OCTANS_MAP_ADD ? y + with :
			    OCTANS_MAP_OP(flags) == OCTANS_MAP_MUL ? y * with : y / with;
		}
		dst[i] = canonical(y);
	}
}

static void rotate(float *dst, const float *x, const float *cs, uint32_t rot, bool half)
{
	uint32_t n = rot / 2;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t ia = half ? i : 2 * i, ib = half ? i + n : 2 * i + 1;
		float a = x[ia], b = x[ib], c = cs[i], s = cs[n + i];

		dst[ia] = canonical(fmaf(a, c, -(b * s)));
		dst[ib] = canonical(fmaf(a, s, b * c));
	}
}

static uint32_t find_above(const float *x, const float *bias, uint32_t from, uint32_t to, float key)
{
	for (; from < to; from++)
		if ((bias ? x[from] + bias[from] : x[from]) > key)
			break;
	return from;
}

/* ---- ATTEND ---- */

void pool_elements(float *dst, const uint8_t *src, uint32_t type, uint32_t n)
{
	load_row(dst, src, type, n);
	if (type == OCTANS_TYPE_Q8_0)
		for (uint32_t i = 0; i < n; i++)
			dst[i] = f16_f32(f32_f16(dst[i]));
}

static float score(const struct attend *a, uint32_t head, uint32_t j, const float *q)
{
	float k[OCTANS_MAX_HEAD_DIM], s;

	pool_elements(k, a->k + a->row[j] * a->k_stride, a->k_type, a->dk);
	s = dot(q, k, a->dk) * a->scale;
	if (a->cap > 0)
		s = a->cap * tanh_f32(s / a->cap);
	if (a->slopes)
		s = fmaf(a->slopes[head], (float)(a->position[j] - a->position[a->n - 1]), s);
	return s;
}

static void attend_head(const struct attend *a, uint32_t head)
{
	const float *q = a->q + (size_t)head * a->dk;
	float *dst = a->dst + (size_t)head * a->dv, *s = a->scores, *acc = a->acc;
	float m = a->sinks ? a->sinks[head] : -INFINITY, l, v[OCTANS_MAX_HEAD_DIM];

	for (uint32_t i = 0; i < a->dk; i++)
		a->q_used[i] = a->k_type == OCTANS_TYPE_F32 ? q[i] : f16_f32(f32_f16(q[i]));
	for (uint32_t j = 0; j < a->n; j++) {
		s[j] = score(a, head, j, a->q_used);
		if (s[j] > m)
			m = s[j];
	}
	for (uint32_t j = 0; j < a->n; j++) {
		s[j] = exp_f32(s[j] - m);
		if (a->v_type != OCTANS_TYPE_F32)
			s[j] = f16_f32(f32_f16(s[j]));
	}
	l = sum(s, a->n);
	if (a->sinks)
		l = l + exp_f32(a->sinks[head] - m);
	memset(acc, 0, a->dv * sizeof(*acc));
	for (uint32_t j = 0; j < a->n; j++) {
		pool_elements(v, a->v + a->row[j] * a->v_stride, a->v_type, a->dv);
		for (uint32_t d = 0; d < a->dv; d++)
			acc[d] = fmaf(s[j], v[d], acc[d]);
	}
	for (uint32_t d = 0; d < a->dv; d++)
		dst[d] = canonical(acc[d] * (1 / l));
}

static void attend(const struct attend *a)
{
	for (uint32_t h = 0; h < a->heads; h++)
		attend_head(a, h);
}

/* ---- CONV, SCAN ---- */

static void conv(const struct conv *c, uint32_t from, uint32_t to)
{
	uint32_t before = c->taps - 1;

	for (uint32_t i = 0; i < c->m; i++) {
		int32_t slots[2];

		load_slots(c->slot, c->slot_stride, i, slots);
		for (uint32_t ch = from; ch < to; ch++) {
			const float *w = c->w + ch * c->w_stride;
			float in[OCTANS_MAX_CONV], acc = 0;

			for (uint32_t j = 0; j < before; j++)
				in[j] = slots[0] < 0 ? 0 :
					c->state[slots[0] * c->state_stride + j * c->channels + ch];
			in[before] = c->x[i * c->x_stride + ch];
			for (uint32_t j = 0; j < c->taps; j++)
				acc = fmaf(w[j], in[j], acc);
			if (c->bias)
				acc = acc + c->bias[ch];
			for (uint32_t j = 0; slots[1] >= 0 && j < before; j++)
				c->state[slots[1] * c->state_stride + j * c->channels + ch] =
					canonical(in[j + 1]);
			c->dst[i * c->dst_stride + ch] = canonical(acc);
		}
	}
}

/* Row d of the state of a head: from s to s, which may be the same as what it is stored to. */
static float scan_row(const struct scan *c, float *s, const float *k, const float *q, float v,
		      float g, float beta, float decay)
{
	float u, y;

	if (c->delta) {
		for (uint32_t j = 0; j < c->dk; j++)
			s[j] = s[j] * (c->decays ? c->decay[j] : decay);
		u = (v - dot(s, k, c->dk)) * beta;
		for (uint32_t j = 0; j < c->dk; j++)
			s[j] = fmaf(u, k[j], s[j]);
		return dot(s, q, c->dk) * c->scale;
	}
	u = v * g;
	for (uint32_t j = 0; j < c->dk; j++)
		s[j] = fmaf(s[j], decay, u * k[j]);
	y = dot(s, q, c->dk);
	return c->has_d ? fmaf(c->d, v, y) : y;
}

static void scan(const struct scan *c)
{
	for (uint32_t i = 0; i < c->m; i++) {
		const float *k = c->k + i * c->k_stride, *q = c->q + i * c->q_stride;
		const float *g = c->g + i * c->g_stride;
		float decay = exp_f32(c->delta ? *g : *g * c->a);
		float beta = c->delta ? c->beta[i * c->beta_stride] : 0;
		int32_t slots[2];

		for (uint32_t j = 0; c->decays && j < c->dk; j++)
			c->decay[j] = exp_f32(g[j]);
		load_slots(c->slot, c->slot_stride, i, slots);
		for (uint32_t d = 0; d < c->dv; d++) {
			size_t at = (size_t)d * c->dk;
			float y;

			if (slots[0] < 0)
				memset(c->s, 0, c->dk * sizeof(float));
			else
				memcpy(c->s, c->state + slots[0] * c->state_stride + at,
				       c->dk * sizeof(float));
			y = scan_row(c, c->s, k, q, c->v[i * c->v_stride + d], *g, beta, decay);
			c->dst[i * c->dst_stride + d] = canonical(y);
			if (slots[1] >= 0)
				store_row((uint8_t *)(c->state + slots[1] * c->state_stride + at),
					  c->s, OCTANS_TYPE_F32, c->dk);
		}
	}
}

static bool supported(void)
{
	return true;
}

const struct kernels isa_scalar = {
	.name = "scalar",
	.score = 10,
	.supported = supported,
	.quantize = scalar_quantize,
	.matmul = scalar_matmul,
	.store_product = store_product,
	.load = load_row,
	.store = store_row,
	.row = row,
	.map = map,
	.rotate = rotate,
	.attend = attend,
	.find_above = find_above,
	.conv = conv,
	.scan = scan,
};
