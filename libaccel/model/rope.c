// SPDX-License-Identifier: MIT
/* Every machine must rotate by the same bits: see exact.h, of which the sines here are kin. */
#include "rope.h"

#include <math.h>
#include <string.h>

#include "exact.h"
#include "fpenv.h"

#define PI 3.14159265358979323846

static uint64_t bits_of(double x)
{
	uint64_t b;

	memcpy(&b, &x, sizeof(b));
	return b;
}

static double of_bits(uint64_t b)
{
	double x;

	memcpy(&x, &b, sizeof(x));
	return x;
}

#define LANES 8		/* a number that compilers make vectors of */

/*
 * Sines and cosines of the angles, 0 <= x < 2^28, times m.  pi/2 is taken off in three parts whose
 * products with the quadrant number are exact (W. J. Cody, W. Waite, Software Manual for the
 * Elementary Functions); then Taylor's series, |r| <= pi/4, down to its terms of 1e-17.  No branch:
 * the quadrant is in the low bits of a sum that has no room for fractions.
 */
static void sines(const double x[LANES], double m, float sine[LANES], float cosine[LANES])
{
	static const double p1 = 0x1.921fb5p+0, p2 = 0x1.110b46p-26, p3 = 0x1.1a62633145c07p-54;
	static const double whole = 0x1.8p52;

	for (int i = 0; i < LANES; i++) {
		double sum = x[i] * (2 / PI) + whole, n = sum - whole;
		double r = ((x[i] - n * p1) - n * p2) - n * p3, q = r * r;
		double s = 1 / 355687428096000.0, c = -1 / 6402373705728000.0;
		uint64_t quadrant = bits_of(sum), swap = -(quadrant & 1), sb, cb;

		s = s * q - 1 / 1307674368000.0;
		s = s * q + 1 / 6227020800.0;
		s = s * q - 1 / 39916800.0;
		s = s * q + 1 / 362880.0;
		s = s * q - 1 / 5040.0;
		s = s * q + 1 / 120.0;
		s = s * q - 1 / 6.0;
		s = r + r * q * s;
		c = c * q + 1 / 20922789888000.0;
		c = c * q - 1 / 87178291200.0;
		c = c * q + 1 / 479001600.0;
		c = c * q - 1 / 3628800.0;
		c = c * q + 1 / 40320.0;
		c = c * q - 1 / 720.0;
		c = c * q + 1 / 24.0;
		c = c * q - 0.5;
		c = 1 + q * c;
		sb = bits_of(s);
		cb = bits_of(c);
		sine[i] = (float)(m * of_bits(((sb & ~swap) | (cb & swap)) ^ (quadrant & 2) << 62));
		cosine[i] = (float)(m * of_bits(((cb & ~swap) | (sb & swap)) ^ ((quadrant + 1) & 2) << 62));
	}
}

/* The pair that turns so often within the original context, as a real number. */
static double pair_of(const struct rope *r, double turns)
{
	return r->rot * exact_ln(r->original / (turns * 2 * PI)) / (2 * exact_ln(r->base));
}

/* How much of pair i is not scaled. */
static double mix(const struct rope *r, uint32_t i)
{
	double low, high, ramp;

	if (r->extrapolate == 0)
		return 0;
	low = fmax(floor(pair_of(r, r->fast)), 0);
	high = fmin(ceil(pair_of(r, r->slow)), r->rot - 1.0);
	ramp = (i - low) / fmax(high - low, 0.001);
	return r->extrapolate * (1 - fmin(fmax(ramp, 0), 1));
}

static double frequency(const struct rope *r, const float *divisor, uint32_t i)
{
	double f = exact_exp(i * (-2 * exact_ln(r->base) / r->rot)), m = mix(r, i);

	f = m == 0 ? f / r->scale : f * ((1 - m) / r->scale + m);
	return divisor ? f / divisor[i] : f;
}

static double magnitude(const struct rope *r)
{
	double ln;

	if (r->extrapolate == 0 || r->scale <= 1)
		return r->magnitude;
	ln = exact_ln(r->scale);
	return r->magnitude * ((1 + 0.1 * r->stretch * ln) / (1 + 0.1 * r->shrink * ln));
}

/* What all rows have in common. */
struct turns {
	double f[OCTANS_MAX_HEAD_DIM / 2 + LANES], m;
};

static void turns_of(const struct rope *r, const float *divisor, struct turns *t)
{
	*t = (struct turns) { .m = magnitude(r) };
	for (uint32_t i = 0; i < r->rot / 2; i++)
		t->f[i] = frequency(r, divisor, i);
}

static void table_row(const struct turns *t, uint32_t half, int64_t pos, float *row)
{
	const double at = (double)(pos < 0 ? -pos : pos);
	float s[LANES], c[LANES];
	double x[LANES];

	for (uint32_t i = 0; i < half; i += LANES) {
		uint32_t n = half - i < LANES ? half - i : LANES;

		for (int k = 0; k < LANES; k++)
			x[k] = at * t->f[i + k];
		sines(x, t->m, s, c);
		for (int k = 0; k < LANES && pos < 0; k++)
			s[k] = -s[k];
		memcpy(row + i, c, n * sizeof(*c));
		memcpy(row + half + i, s, n * sizeof(*s));
	}
}

void rope_table(const struct rope *r, uint32_t positions, float *table)
{
	FP_SCOPE();
	struct turns t;

	turns_of(r, r->long_divisor && positions > r->original ? r->long_divisor : r->divisor, &t);
	for (uint32_t pos = 0; pos < positions; pos++)
		table_row(&t, r->rot / 2, pos, table + (size_t)pos * r->rot);
}

void rope_rows(const struct rope *r, const int32_t *positions, uint32_t n, float *table)
{
	FP_SCOPE();
	struct turns t;

	turns_of(r, r->divisor, &t);
	for (uint32_t i = 0; i < n; i++)
		table_row(&t, r->rot / 2, positions[i], table + (size_t)i * r->rot);
}
