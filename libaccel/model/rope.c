// SPDX-License-Identifier: MIT
/*
 * Every machine must rotate by the same bits, and libm functions differ between C
 * libraries; so the few that are needed are made here from + - * / on binary64.  They are
 * good to about 1e-15, far below the rounding to binary32 that follows.  The file is
 * compiled without floating-point contraction.
 */
#include "rope.h"

#include <stddef.h>

#define LN2 0.693147180559945309417

/* Natural logarithm of a positive normal number. */
static double ln(double x)
{
	int e = 0;
	double s, s2, term, sum;

	while (x > 1.5) {
		x *= 0.5;
		e++;
	}
	while (x < 0.75) {
		x *= 2;
		e--;
	}
	/* ln x = 2 artanh((x - 1) / (x + 1)); |s| <= 1/5 */
	s = (x - 1) / (x + 1);
	s2 = s * s;
	term = s;
	sum = s;
	for (int k = 3; k < 27; k += 2) {
		term *= s2;
		sum += term / k;
	}
	return 2 * sum + e * LN2;
}

/* e to the x, |x| < 700. */
static double expd(double x)
{
	int n = (int)(x / LN2 + (x < 0 ? -0.5 : 0.5));
	double r = x - n * LN2, term = 1, sum = 1;

	for (int k = 1; k < 20; k++) {
		term *= r / k;
		sum += term;
	}
	for (; n > 0; n--)
		sum *= 2;
	for (; n < 0; n++)
		sum *= 0.5;
	return sum;
}

/* Sine and cosine; 0 <= x < 2^28.  pi/2 is taken off in three parts whose products with
 * the quadrant number are exact (W. J. Cody, W. Waite, Software Manual for the Elementary
 * Functions). */
static void sincosd(double x, double *sine, double *cosine)
{
	const double p1 = 0x1.921fb5p+0, p2 = 0x1.110b46p-26, p3 = 0x1.1a62633145c07p-54;
	int64_t q = (int64_t)(x / (p1 + p2 + p3) + 0.5);
	double r = ((x - q * p1) - q * p2) - q * p3, r2 = r * r;
	double s = r, c = 1, ts = r, tc = 1;

	for (int k = 1; k < 11; k++) {
		tc *= -r2 / ((2 * k - 1) * (2 * k));
		ts *= -r2 / ((2 * k) * (2 * k + 1));
		c += tc;
		s += ts;
	}
	switch (q & 3) {
	case 0:
		*sine = s;
		*cosine = c;
		break;
	case 1:
		*sine = c;
		*cosine = -s;
		break;
	case 2:
		*sine = -s;
		*cosine = -c;
		break;
	default:
		*sine = -c;
		*cosine = s;
	}
}

static double frequency(const struct rope *r, uint32_t i)
{
	double f = expd(i * (-2 * ln(r->base) / r->rot)) / r->scale;

	return r->divisor ? f / r->divisor[i] : f;
}

void rope_table(const struct rope *r, uint32_t positions, float *table)
{
	uint32_t half = r->rot / 2;

	for (uint32_t i = 0; i < half; i++) {
		double f = frequency(r, i);

		for (uint32_t pos = 0; pos < positions; pos++) {
			float *row = table + (size_t)pos * r->rot;
			double s, c;

			sincosd(pos * f, &s, &c);
			row[i] = (float)c;
			row[half + i] = (float)s;
		}
	}
}
