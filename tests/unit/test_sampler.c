// SPDX-License-Identifier: MIT
/* The next token is the same whether it is chosen from all logits or from the largest of them, whatever
 * they are, and infinite ones share what there is. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "text/sampler.h"
#include "tap.h"

#define VOCAB 100

static float logits[VOCAB], top[VOCAB];
static int32_t ids[VOCAB];

/* Largest first, of equals the smaller id first, NaNs last: what TOPK gives. */
static int by_rank(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	float l = logits[x], m = logits[y];

	if (isnan(l) != isnan(m))
		return isnan(l) - isnan(m);
	if (l != m && !isnan(l))
		return l < m ? 1 : -1;
	return x - y;
}

static int64_t all(double temperature, uint32_t k, uint64_t seed)
{
	struct sampler s = { .temperature = temperature, .top_k = k, .top_p = 1, .state = seed };
	int64_t token = sample(&s, logits, VOCAB);

	sampler_end(&s);
	return token;
}

static int64_t largest(double temperature, uint32_t k, uint64_t seed)
{
	struct sampler s = { .temperature = temperature, .top_k = k, .top_p = 1, .state = seed };
	int64_t token = sample_top(&s, ids, top, k);

	sampler_end(&s);
	return token;
}

static void rank(void)
{
	for (int i = 0; i < VOCAB; i++)
		ids[i] = i;
	qsort(ids, VOCAB, sizeof(*ids), by_rank);
	for (int i = 0; i < VOCAB; i++)
		top[i] = logits[ids[i]];
}

/* Some of the logits have that value. */
static void test_same(const char *what, float special, unsigned int some)
{
	static const double temperatures[] = { 0, 1e-300, 1e-9, 0.8, 1, 100 };
	static const uint32_t ks[] = { 1, 2, 3, 10, 40, 99, VOCAB };
	unsigned int n = 0, differ = 0;

	for (unsigned int i = 0; i < VOCAB; i++)
		logits[i] = i * some % VOCAB < some ? special : (float)(i * 37 % 50) / 4 - 10;
	rank();
	for (unsigned int t = 0; t < sizeof(temperatures) / sizeof(*temperatures); t++)
		for (unsigned int k = 0; k < sizeof(ks) / sizeof(*ks); k++)
			for (uint64_t seed = 0; seed < 50; seed++, n++)
				differ += all(temperatures[t], ks[k], seed) !=
					  largest(temperatures[t], ks[k], seed);
	ok(!differ, "%u of %u logits %s: %u of %u choices differ", some, VOCAB, what, differ, n);
}

/* Which of the infinite logits are chosen: each of them, and nothing else. */
static void test_infinite(float others)
{
	unsigned int count[VOCAB] = { 0 }, outside = 0;

	for (int i = 0; i < VOCAB; i++)
		logits[i] = i % 25 == 7 ? INFINITY : others;
	rank();
	for (uint64_t seed = 0; seed < 400; seed++) {
		int64_t a = all(1, 0, seed), b = largest(1, VOCAB, seed);

		if (a != b || a < 0 || a % 25 != 7)
			outside++;
		else
			count[a]++;
	}
	ok(!outside && count[7] > 50 && count[32] > 50 && count[57] > 50 && count[82] > 50,
	   "four infinite logits among %g: %u, %u, %u and %u of 400", others, count[7], count[32],
	   count[57], count[82]);
}

int main(void)
{
	static const struct {
		const char *name;
		float value;
	} specials[] = {
		{ "are infinite", INFINITY }, { "are -infinite", -INFINITY }, { "are no number", NAN },
		{ "are the same", 3 }, { "are -0", -0.0f }, { "are the largest", 3e38f },
		{ "are denormal", 1e-42f },
	};

	for (unsigned int i = 0; i < sizeof(specials) / sizeof(*specials); i++) {
		test_same(specials[i].name, specials[i].value, 1);
		test_same(specials[i].name, specials[i].value, 3);
		test_same(specials[i].name, specials[i].value, VOCAB - 1);
		test_same(specials[i].name, specials[i].value, VOCAB);
	}
	test_infinite(0);
	test_infinite(3e38f);
	test_infinite(-INFINITY);
	for (int i = 0; i < VOCAB; i++)
		logits[i] = i & 1 ? 1e-30f * i : i == 50;	/* beside 1 they weigh the same */
	rank();
	ok(all(1, 20, 5) == largest(1, 20, 5) && all(1, 20, 6) == largest(1, 20, 6),
	   "logits of the same weight");
	for (int i = 0; i < VOCAB; i++)
		logits[i] = NAN;
	rank();
	ok(all(1, 0, 0) == -EDOM && largest(1, VOCAB, 0) == -EDOM, "no number at all");
	return done();
}
