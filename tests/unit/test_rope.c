// SPDX-License-Identifier: MIT
/* Rotary tables: against the formulas of rope.h in long double, and the same bits as ever. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/exact.h"
#include "model/rope.h"
#include "tap.h"

#define POSITIONS 3000u
#define BITS_PLAIN 0x022322e23c867d70ull
#define BITS_YARN 0x97966a24d1f0a902ull
#define PI 3.14159265358979323846264338327950288L

static const float divisors[8] = { 1, 1, 1, 1.5f, 3, 6, 8, 8 };
static const float others[8] = { 1, 1.25f, 2, 4, 7, 9, 11, 13 };

static long double pair_of(const struct rope *r, long double turns)
{
	return r->rot * logl(r->original / (turns * 2 * PI)) / (2 * logl(r->base));
}

static long double mixed(const struct rope *r, uint32_t i)
{
	long double low = fmaxl(floorl(pair_of(r, r->fast)), 0);
	long double high = fminl(ceill(pair_of(r, r->slow)), r->rot - 1);
	long double ramp = (i - low) / fmaxl(high - low, 0.001L);

	return r->extrapolate * (1 - fminl(fmaxl(ramp, 0), 1));
}

/* The largest difference of a table from the formulas. */
static double worst(const struct rope *r, uint32_t positions, const float *divisor)
{
	float *table = malloc(sizeof(*table) * positions * r->rot);
	uint32_t half = r->rot / 2;
	long double bad = 0, m = r->magnitude;

	if (r->extrapolate && r->scale > 1)
		m *= (1 + r->stretch * logl(r->scale) / 10) / (1 + r->shrink * logl(r->scale) / 10);
	rope_table(r, positions, table);
	for (uint32_t pos = 0; pos < positions; pos += pos < 100 ? 1 : 7)
		for (uint32_t i = 0; i < half; i++) {
			long double mix = r->extrapolate ? mixed(r, i) : 0, f;
			const float *row = table + (size_t)pos * r->rot;

			f = powl(r->base, -2.0L * i / r->rot) * ((1 - mix) / r->scale + mix);
			if (divisor)
				f /= divisor[i];
			bad = fmaxl(bad, fabsl(row[i] - m * cosl(pos * f)));
			bad = fmaxl(bad, fabsl(row[half + i] - m * sinl(pos * f)));
		}
	free(table);
	return bad;
}

static const struct rope plain = {
	.rot = 16, .base = 10000, .scale = 1, .original = 128, .fast = 32, .slow = 1, .magnitude = 1, .stretch = 1,
};

static void right(const char *what, const struct rope *r, uint32_t positions, const float *divisor)
{
	double bad = worst(r, positions, divisor);

	/* Half a unit of the last place of a number below 2, and what the angle is wrong by */
	ok(bad < 1.3e-7, "%s: within %.1e", what, bad);
}

static void test_formulas(void)
{
	struct rope r = plain;

	right("plain", &r, POSITIONS, NULL);
	r.rot = 128;
	r.base = 500000;
	right("64 pairs", &r, POSITIONS, NULL);
	r.rot = 6;
	right("three pairs", &r, POSITIONS, NULL);
	r.rot = 2;
	right("one pair", &r, POSITIONS, NULL);
	r = plain;
	r.scale = 4;
	right("linear", &r, POSITIONS, NULL);
	r.divisor = divisors;
	right("linear, and divisors", &r, POSITIONS, divisors);
	r.magnitude = 0.5;
	right("half as large", &r, POSITIONS, divisors);
	r = plain;
	r.extrapolate = 1;
	r.scale = 4;
	right("YaRN", &r, POSITIONS, NULL);
	r.extrapolate = 0.5;
	r.fast = 8;
	r.slow = 2;
	r.magnitude = 1.1;
	right("YaRN with all its numbers", &r, POSITIONS, NULL);
	r.stretch = 0.7;
	r.shrink = 1.2;
	right("YaRN that is multiplied and divided", &r, POSITIONS, NULL);
	r.scale = 0.5;
	right("YaRN that shortens", &r, POSITIONS, NULL);
	r.original = 1;
	right("YaRN of a context of one", &r, POSITIONS, NULL);
	r = plain;
	r.divisor = divisors;
	r.long_divisor = others;
	right("LongRoPE in its first context", &r, 128, divisors);
	right("LongRoPE beyond it", &r, 129, others);
	r = plain;
	right("positions up to 2^21", &r, 1u << 21, NULL);
}

/* FNV-1a */
static uint64_t hash(const struct rope *r, uint32_t positions)
{
	size_t n = sizeof(float) * positions * r->rot;
	uint8_t *table = malloc(n);
	uint64_t h = 0xcbf29ce484222325;

	rope_table(r, positions, (float *)table);
	for (size_t i = 0; i < n; i++)
		h = (h ^ table[i]) * 0x100000001b3;
	free(table);
	return h;
}

static void test_bits(void)
{
	struct rope r = plain;
	float *a, *b;

	ok(hash(&r, POSITIONS) == BITS_PLAIN, "the bits of a plain table (%016llx)",
	   (unsigned long long)hash(&r, POSITIONS));
	r.extrapolate = 1;
	r.scale = 4;
	r.divisor = divisors;
	ok(hash(&r, POSITIONS) == BITS_YARN, "and of YaRN's (%016llx)",
	   (unsigned long long)hash(&r, POSITIONS));
	a = malloc(sizeof(*a) * r.rot * 1000);
	b = malloc(sizeof(*b) * r.rot * 10);
	rope_table(&r, 1000, a);
	rope_table(&r, 10, b);
	ok(!memcmp(a, b, sizeof(*b) * r.rot * 10), "a row does not depend on how many there are");
	free(a);
	free(b);
}

/* A file's numbers come here: what has no logarithm has one at once, too. */
static void test_logarithms(void)
{
	double worst = 0;

	for (double x = 1e-300; x < 1e300; x *= 7)
		worst = fmax(worst, fabs(exact_ln(x) - log(x)) / fmax(fabs(log(x)), 1));
	ok(worst < 1e-15, "logarithms are right to %.1e", worst);
	ok(exact_ln(0) == -INFINITY && exact_ln(INFINITY) == INFINITY && isnan(exact_ln(-1)) && isnan(exact_ln(NAN)),
	   "and of what has none they end");
}

int main(void)
{
	test_logarithms();
	test_formulas();
	test_bits();
	return done();
}
