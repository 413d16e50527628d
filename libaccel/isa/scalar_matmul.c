// SPDX-License-Identifier: MIT
/* Quantised activations and matrix products of numerics.rst in plain C. */
#include "kernels.h"

#include "type/bits.h"
#include "type/traits.h"

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

/*
 * A copy of what follows is made for each type, with its constants and its way to unpack, so that
 * what is unpacked need not be found by a table, nor go through memory where registers hold it.
 */
#define INLINE static inline __attribute__((always_inline))

#define TYPE_SCALAR
#include "type/list.h"
#undef TYPE_SCALAR

/* ---- floats ---- */

typedef void widen_fn(float *to, const uint8_t *from, uint32_t n);

/* dot8 of a row of weights and x. */
INLINE float dot_floats(const struct weight_type *t, widen_fn *widen, const uint8_t *w,
			const float *x, uint32_t n)
{
	float a[8] = { 0 }, v;

	for (uint32_t i = 0; i < n; i++) {
		widen(&v, w + (size_t)i * t->bytes, 1);
		a[i % 8] = fmaf(v, x[i], a[i % 8]);
	}
	return tree8(a);
}

/* ---- codes ---- */

typedef void unpack_fn(struct type_block *b, const uint8_t *w);

INLINE int sum_of_16(const int8_t *w, const int8_t *x)
{
	int sum = 0;

	for (int i = 0; i < 16; i++)
		sum += w[i] * x[i];
	return sum;
}

/* Two at a time: compilers make one turn with vectors of it. */
INLINE int sum_of_32(const int8_t *w, const int8_t *x)
{
	int sum = 0;

	for (int i = 0; i < 16; i++)
		sum += w[i] * x[i] + w[i + 16] * x[i + 16];
	return sum;
}

/* acc goes on over a block of 32 values. */
INLINE float add_plain(const struct weight_type *t, const struct type_block *b,
		       const struct q8_block *x, float acc)
{
	acc = fmaf(b->d * x->d, (float)sum_of_32(b->code, x->q), acc);
	return t->minima ? fmaf(b->m, x->xs, acc) : acc;
}

/* acc goes on over a block of 256 values, a scale (and a minimum) for each 32 or 16 of them. */
INLINE float add_scaled(const struct weight_type *t, const struct type_block *b,
			const struct q8_block *x, float acc)
{
	float a = 0, m = 0;

	for (int j = 0; j < 8; j++, x++) {
		const int8_t *code = b->code + 32 * j, *scale = b->scale + 2 * j;
		const uint8_t *min = b->min + 2 * j;

		if (t->group == 32) {
			a = fmaf(x->d, (float)(b->scale[j] * sum_of_32(code, x->q)), a);
			if (t->minima)
				m = fmaf((float)b->min[j], x->xs, m);
			continue;
		}
		a = fmaf(x->d, (float)(scale[0] * sum_of_16(code, x->q) +
				       scale[1] * sum_of_16(code + 16, x->q + 16)), a);
		if (t->minima)
			m = fmaf(x->d, (float)(min[0] * x->half[0] + min[1] * x->half[1]), m);
	}
	acc = fmaf(b->d, a, acc);
	return t->minima ? fmaf(-b->m, m, acc) : acc;
}

INLINE float add_block(const struct weight_type *t, const struct type_block *b,
		       const struct q8_block *x, float acc)
{
	return t->form == TYPE_PLAIN ? add_plain(t, b, x, acc) : add_scaled(t, b, x, acc);
}

/* A row for one token. */
INLINE float dot_codes(const struct weight_type *t, unpack_fn *unpack, const uint8_t *w,
		       const struct q8_block *x, uint32_t cols)
{
	struct type_block b;
	float acc = 0;

	for (uint32_t k = 0; k < cols; k += t->elements, w += t->bytes, x += t->elements / 32) {
		unpack(&b, w);
		acc = add_block(t, &b, x, acc);
	}
	return acc;
}

/* Each block is unpacked once for all tokens. */
INLINE void code_row(float *y, size_t y_stride, const struct weight_type *type, unpack_fn *unpack,
		     const uint8_t *w, uint32_t cols, const struct q8_block *xq,
		     const uint32_t *pick, uint32_t tokens)
{
	struct type_block b;

	for (uint32_t k = 0; k < cols; k += type->elements, w += type->bytes) {
		unpack(&b, w);
		for (uint32_t t = 0; t < tokens; t++) {
			size_t token = pick ? pick[t] : t;
			const struct q8_block *x = xq + token * (cols / 32) + k / 32;
			float *acc = y + t * y_stride;

			*acc = add_block(type, &b, x, k ? *acc : 0);
		}
	}
}

/* ---- rows ---- */

/* Each a function by itself: all in one would not have registers enough. */
#define ROW static __attribute__((noinline)) void

#define ROW_FLOAT(lower) \
ROW row_##lower(float *y, size_t y_stride, const uint8_t *w, uint32_t cols, \
			const struct q8_block *xq, const float *xf, size_t x_stride, \
			const uint32_t *pick, uint32_t tokens) \
{ \
	(void)xq; \
	for (uint32_t t = 0; t < tokens; t++) \
		y[t * y_stride] = dot_floats(&lower##_type, lower##_widen, w, \
					     xf + (pick ? pick[t] : t) * x_stride, cols); \
}
#define ROW_PLAIN(lower) \
ROW row_##lower(float *y, size_t y_stride, const uint8_t *w, uint32_t cols, \
			const struct q8_block *xq, const float *xf, size_t x_stride, \
			const uint32_t *pick, uint32_t tokens) \
{ \
	(void)xf; \
	(void)x_stride; \
	if (tokens == 1) \
		*y = dot_codes(&lower##_type, lower##_unpack, w, \
			       xq + (pick ? *pick : 0) * (size_t)(cols / 32), cols); \
	else \
		code_row(y, y_stride, &lower##_type, lower##_unpack, w, cols, xq, pick, tokens); \
}
#define ROW_SCALED(lower) ROW_PLAIN(lower)
#define WEIGHT_TYPE(NAME, lower, form, ...) ROW_##form(lower)
#include "type/list.h"

void scalar_matmul(float *y, size_t y_stride, const uint8_t *w, size_t w_stride, uint32_t type,
		   uint32_t rows, uint32_t cols, const struct q8_block *xq, const float *xf,
		   size_t x_stride, const uint32_t *pick, uint32_t tokens)
{
	switch (type) {
#define WEIGHT_TYPE(NAME, lower, form, number, ...) \
	case number: \
		for (uint32_t r = 0; r < rows; r++) \
			row_##lower(y + r, y_stride, w + r * w_stride, cols, xq, xf, x_stride, \
				    pick, tokens); \
		break;
#include "type/list.h"
	}
}
