// SPDX-License-Identifier: MIT
#include "exact.h"

#include <float.h>
#include <math.h>

#define LN2 0.693147180559945309417

double exact_ln(double x)
{
	int e = 0;
	double s, s2, term, sum;

	if (!(x > 0) || x > DBL_MAX)
		return x < 0 ? NAN : x ? x : -INFINITY;
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

double exact_exp(double x)
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

double exact_softplus(double x)
{
	double e;

	if (x > 40)
		return x;
	e = exact_exp(x < -700 ? -700 : x);
	return e < 1e-8 ? e - e * e / 2 : exact_ln(1 + e);
}
