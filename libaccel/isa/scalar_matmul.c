// SPDX-License-Identifier: MIT
/* Quantised activations and matrix products of numerics.rst in plain C. */
#include "kernels.h"

static float dot(const float *x, const float *y, uint32_t n)
{
	float a[8] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		a[i % 8] = fmaf(x[i], y[i], a[i % 8]);
	return tree8(a);
}

static void quantize_block(struct q8_block *b, const float *x)
{
	float amax = 0, best = 0, q[32], e[32];

	for (int i = 0; i < 32; i++) {
		float a = fabsf(x[i]);

		if (!(a <= 0x1.fffffep127f)) {	/* infinity or NaN */
			memset(b, 0, sizeof(*b));
			b->d = b->xs = NAN;
			return;
		}
		if (a > amax)
			amax = a;
	}
	memset(b, 0, sizeof(*b));
	if (amax < 0x1p-100f)
		return;
	for (int n = 127; n >= 120; n--) {
		float id = (float)n / amax, d = amax / (float)n, error;

		for (int i = 0; i < 32; i++) {
			q[i] = rintf(x[i] * id);
			e[i] = fmaf(-d, q[i], x[i]);
		}
		error = dot(e, e, 32);
		if (n < 127 && !(error < best))
			continue;
		best = error;
		b->d = d;
		for (int i = 0; i < 32; i++)
			b->q[i] = (int8_t)q[i];
	}
	for (int i = 0; i < 32; i++)
		b->half[i / 16] += b->q[i];
	b->xs = b->d * (float)(b->half[0] + b->half[1]);
}

void scalar_quantize(struct q8_block *q, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 32)
		quantize_block(q++, x + i);
}

/* ---- floats ---- */

#define PIECE 256u	/* numbers that are widened at a time */

/* dot8 of a row of weights and x; w is widened by pieces. */
static float dot_floats(const struct weight_type *t, const uint8_t *w, const float *x, uint32_t n)
{
	float a[8] = { 0 }, piece[PIECE];

	for (uint32_t k = 0; k < n; k += PIECE, w += PIECE * t->bytes) {
		uint32_t some = n - k < PIECE ? n - k : PIECE;

		type_widen(t, piece, w, some);
		for (uint32_t i = 0; i < some; i++)
			a[i % 8] = fmaf(piece[i], x[k + i], a[i % 8]);
	}
	return tree8(a);
}

static void float_row(float *y, size_t y_stride, const struct weight_type *type, const uint8_t *w,
		      uint32_t cols, const float *xf, size_t x_stride, const uint32_t *pick,
		      uint32_t tokens)
{
	for (uint32_t t = 0; t < tokens; t++)
		y[t * y_stride] = dot_floats(type, w, xf + (pick ? pick[t] : t) * x_stride, cols);
}

/* ---- codes ---- */

static int sum_products(const int8_t *w, const int8_t *x, int n)
{
	int sum = 0;

	for (int i = 0; i < n; i++)
		sum += w[i] * x[i];
	return sum;
}

/* acc goes on over a block of 32 values. */
static float add_plain(const struct weight_type *t, const struct type_block *b,
		       const struct q8_block *x, float acc)
{
	acc = fmaf(b->d * x->d, (float)sum_products(b->code, x->q, 32), acc);
	return t->minima ? fmaf(b->m, x->xs, acc) : acc;
}

/* acc goes on over a block of 256 values, a scale (and a minimum) for each 32 or 16 of them. */
static float add_scaled(const struct weight_type *t, const struct type_block *b,
			const struct q8_block *x, float acc)
{
	float a = 0, m = 0;

	for (int j = 0; j < 8; j++, x++) {
		const int8_t *code = b->code + 32 * j, *scale = b->scale + 2 * j;
		const uint8_t *min = b->min + 2 * j;

		if (t->group == 32) {
			a = fmaf(x->d, (float)(b->scale[j] * sum_products(code, x->q, 32)), a);
			m = fmaf((float)b->min[j], x->xs, m);
			continue;
		}
		a = fmaf(x->d, (float)(scale[0] * sum_products(code, x->q, 16) +
				       scale[1] * sum_products(code + 16, x->q + 16, 16)), a);
		m = fmaf(x->d, (float)(min[0] * x->half[0] + min[1] * x->half[1]), m);
	}
	acc = fmaf(b->d, a, acc);
	return t->minima ? fmaf(-b->m, m, acc) : acc;
}

/* Each block is unpacked once for all tokens. */
static void code_row(float *y, size_t y_stride, const struct weight_type *type, const uint8_t *w,
		     uint32_t cols, const struct q8_block *xq, const uint32_t *pick,
		     uint32_t tokens)
{
	struct type_block b = { 0 };

	for (uint32_t k = 0; k < cols; k += type->elements, w += type->bytes) {
		type_unpack(type, &b, w);
		for (uint32_t t = 0; t < tokens; t++) {
			size_t token = pick ? pick[t] : t;
			const struct q8_block *x = xq + token * (cols / 32) + k / 32;
			float *acc = y + t * y_stride, old = k ? *acc : 0;

			*acc = type->form == TYPE_PLAIN ? add_plain(type, &b, x, old) :
			       add_scaled(type, &b, x, old);
		}
	}
}

void scalar_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		   uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		   size_t x_stride, const uint32_t *pick, uint32_t tokens)
{
	const struct weight_type *t = weight_type(type);

	for (uint32_t r = 0; r < rows; r++, w += w_stride)
		if (t->form == TYPE_FLOAT)
			float_row(y + r, y_stride, t, w, cols, xf, x_stride, pick, tokens);
		else
			code_row(y + r, y_stride, t, w, cols, xq, pick, tokens);
}
