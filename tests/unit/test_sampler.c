// SPDX-License-Identifier: MIT
/*
 * Choosing the next token: the steps beside llama.cpp's (data/sampler.tsv), the same choice from
 * all logits and from the largest of them, whatever they are, the same on every machine, and how
 * long it takes.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <accel/accel.h>
#include <accel/text.h>

#include "cpu_time.h"
#include "data.h"
#include "fail_alloc.h"
#include "tap.h"

DATA_FILE(sampler_table, "tests/unit/data/sampler.tsv");

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define MOST 4096
#define VOCAB 100

static float logits[MOST], top[MOST];
static int32_t ids[MOST];

static struct accel_sampler *sampler(struct accel_sampler_opts o)
{
	struct accel_sampler *s;

	o.sz = sizeof(o);
	if (accel_sampler_new(&o, &s))
		printf("# %s\n", accel_error());
	return s;
}

/* The token, or a negative error. */
static int32_t choose(struct accel_sampler *s, uint32_t n)
{
	int32_t id;
	int rc = accel_sampler_choose(s, logits, n, &id);

	return rc ? rc : id;
}

static int32_t choose_top(struct accel_sampler *s, uint32_t n, uint32_t vocab)
{
	int32_t id;
	int rc = accel_sampler_choose_top(s, ids, top, n, vocab, &id);

	return rc ? rc : id;
}

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

static void rank(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		ids[i] = i;
	qsort(ids, n, sizeof(*ids), by_rank);
	for (uint32_t i = 0; i < n; i++)
		top[i] = logits[ids[i]];
}

/* ---- the steps ---- */

/* tests/oracle/sampler.c makes the same. */
static void make_logits(uint64_t seed, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		logits[i] = (float)(seed >> 40) * 0x1p-21f - 4;
	}
}

/* Draws and counts; each token's share must be the probability, within five standard deviations. */
static bool as_likely(const struct accel_sampler_opts *o, char *accepted, uint32_t n, char *list)
{
	enum { DRAWS = 20000 };
	static unsigned int count[MOST];
	static double likely[MOST];
	struct accel_sampler *s = sampler(*o);
	unsigned int bad = 0;
	char *p;

	memset(count, 0, sizeof(count));
	memset(likely, 0, sizeof(likely));
	for (char *w = strtok_r(list, " ", &p); w; w = strtok_r(NULL, " ", &p))
		likely[atoi(w)] = atof(strchr(w, ':') + 1);
	for (char *w = strtok_r(accepted, ",-", &p); w; w = strtok_r(NULL, ",-", &p))
		accel_sampler_accept(s, atoi(w));
	for (int i = 0; i < DRAWS; i++) {
		int32_t all = choose(s, n);

		if (all < 0)
			return false;
		count[all]++;
	}
	for (uint32_t i = 0; i < n; i++) {
		double mean = likely[i] * DRAWS, deviation = sqrt(mean * (1 - likely[i])) + 0.5;

		if ((!mean && count[i]) || fabs(count[i] - mean) > 5 * deviation) {
			if (bad++ < 3)
				printf("# token %u: %u of %d, llama.cpp %.6f\n", i, count[i], DRAWS,
				       likely[i]);
		}
	}
	accel_sampler_free(s);
	return !bad;
}

static void test_steps(void)
{
	struct data_line l = data_begin(sampler_table);
	unsigned int i = 0;

	while (data_next(&l)) {
		const struct data_field *f = l.field;
		uint32_t n = atoi(f[1].s);
		struct accel_sampler_opts o = {
			.seed = 77,
			.temperature = atof(f[2].s),
			.top_k = atoi(f[3].s),
			.top_p = atof(f[4].s),
			.min_p = atof(f[5].s),
			.repeat = atof(f[6].s),
			.frequency = atof(f[7].s),
			.presence = atof(f[8].s),
			.penalty_last = atoi(f[9].s),
		};

		make_logits(strtoull(f[0].s, NULL, 10), n);
		ok(as_likely(&o, f[10].s, n, f[11].s), "case %u: as likely as in llama.cpp", ++i);
	}
	ok(i > 10, "%u cases", i);
}

/* ---- all logits, and the largest ---- */

static const struct accel_sampler_opts variants[] = {
	{ .temperature = 0.8, .top_p = 0.9 },
	{ .temperature = 1, .min_p = 0.2 },
	{ .temperature = 0, .repeat = 1.5, .frequency = 0.3 },
	{ .temperature = 0.8,
	  .top_p = 0.95,
	  .min_p = 0.05,
	  .repeat = 1.1,
	  .presence = 2,
	  .penalty_last = 9 },
	{ .temperature = 1e-300 },
	{ .temperature = 1e-9 },
	{ .temperature = 100 },
	{ .temperature = 0 },
};

static unsigned int differing(struct accel_sampler_opts o, unsigned int rounds)
{
	struct accel_sampler *a = sampler(o), *b = sampler(o);
	unsigned int differ = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		uint32_t k = accel_sampler_top(b, VOCAB);
		int32_t x = choose(a, VOCAB), y = choose_top(b, k ? k : VOCAB, VOCAB);

		differ += x != y;
		if (x >= 0) {
			accel_sampler_accept(a, x);
			accel_sampler_accept(b, y);
		}
	}
	accel_sampler_free(a);
	accel_sampler_free(b);
	return differ;
}

/* Some of the logits have that value. */
static void test_same(const char *what, float special, unsigned int some)
{
	static const uint32_t ks[] = { 0, 1, 2, 3, 10, 40, 99, VOCAB };
	unsigned int n = 0, differ = 0;

	for (unsigned int i = 0; i < VOCAB; i++)
		logits[i] = i * some % VOCAB < some ? special : (float)(i * 37 % 50) / 4 - 10;
	rank(VOCAB);
	for (unsigned int v = 0; v < N(variants); v++)
		for (unsigned int k = 0; k < N(ks); k++) {
			struct accel_sampler_opts o = variants[v];

			o.top_k = ks[k];
			o.seed = 1000 * v + k;
			differ += differing(o, 40);
			n += 40;
		}
	ok(!differ, "%u of %u logits %s: %u of %u choices differ", some, VOCAB, what, differ, n);
}

/* Which of the infinite logits are chosen: each of them, and nothing else. */
static void test_infinite(float others)
{
	struct accel_sampler *s = sampler((struct accel_sampler_opts) { .temperature = 1 });
	unsigned int count[VOCAB] = { 0 }, outside = 0;

	for (int i = 0; i < VOCAB; i++)
		logits[i] = i % 25 == 7 ? INFINITY : others;
	for (int i = 0; i < 400; i++) {
		int32_t id = choose(s, VOCAB);

		if (id < 0 || id % 25 != 7)
			outside++;
		else
			count[id]++;
	}
	ok(!outside && count[7] > 50 && count[32] > 50 && count[57] > 50 && count[82] > 50,
	   "four infinite logits among %g: %u, %u, %u and %u of 400", others, count[7], count[32],
	   count[57], count[82]);
	accel_sampler_free(s);
}

static void test_one(void)
{
	struct accel_sampler *s = sampler((struct accel_sampler_opts) { .temperature = 9, .top_p = -1 });
	unsigned int others = 0;

	make_logits(3, VOCAB);
	rank(VOCAB);
	for (int i = 0; i < 100; i++)
		others += choose(s, VOCAB) != ids[0] || choose_top(s, VOCAB, VOCAB) != ids[0];
	ok(!others, "a top_p of less than 0 leaves one, as llama.cpp's of 0");
	accel_sampler_free(s);
}

static void test_top(void)
{
	struct accel_sampler_opts o = {
		.temperature = 1, .top_k = 40, .repeat = 1.1, .penalty_last = 4
	};
	struct accel_sampler *s = sampler(o);

	ok(accel_sampler_top(s, 1000) == 40 && accel_sampler_top(s, 7) == 7,
	   "as many as top_k says suffice");
	accel_sampler_accept(s, 5);
	accel_sampler_accept(s, 5);
	accel_sampler_accept(s, 6);
	ok(accel_sampler_top(s, 1000) == 42, "and as many more as there are penalised tokens");
	for (int i = 0; i < 20; i++)
		accel_sampler_accept(s, i);
	ok(accel_sampler_top(s, 1000) == 44, "of those that penalties look back to");
	for (int i = 0; i < 4; i++)
		accel_sampler_accept(s, 9);
	ok(accel_sampler_top(s, 1000) == 41, "the others are forgotten");
	make_logits(3, 100);
	rank(100);
	ok(choose_top(s, 40, 100) == -EINVAL && choose_top(s, 41, 100) >= 0, "fewer are refused");
	accel_sampler_free(s);
	o.repeat = 0.5;
	s = sampler(o);
	accel_sampler_accept(s, 5);
	ok(!accel_sampler_top(s, 1000), "what raises logits needs them all");
	accel_sampler_free(s);
	s = sampler((struct accel_sampler_opts) { .temperature = 1, .top_k = 5000 });
	ok(!accel_sampler_top(s, 100000), "so does a top_k above what a processor finds");
	accel_sampler_free(s);
	s = sampler((struct accel_sampler_opts) { 0 });
	ok(accel_sampler_top(s, 1000) == 1, "the largest alone needs no other");
	accel_sampler_free(s);
}

/* ---- the same everywhere ---- */

static void test_seed(void)
{
	struct accel_sampler_opts o;
	struct accel_sampler *s, *again;
	uint32_t hash = 2166136261u;
	bool same = true;

	make_logits(42, 1000);
	accel_sampler_defaults(&o);
	o.seed = 9;
	o.temperature = 1.7;
	o.top_k = 200;
	o.min_p = 0;
	s = sampler(o);
	again = sampler(o);
	for (int i = 0; i < 2000; i++) {
		int32_t id = choose(s, 1000);

		same &= choose(again, 1000) == id;
		hash = (hash ^ (uint32_t)id) * 16777619u;
	}
	ok(same, "a seed gives the same tokens");
	ok(hash == 0x6d47f8f9u, "on every machine: 0x%x", hash);
	accel_sampler_free(s);
	accel_sampler_free(again);
}

/* ---- time ---- */

enum { MANY = 131072 };

/* The best of some times in seconds, as others who are busy can only add to it. */
static double best_of(struct accel_sampler *s, const float *many)
{
	double best = 1e9;

	for (int i = 0; i < 20; i++) {
		volatile float largest = many[0];
		double t = cpu_seconds();
		int32_t id = 0;

		if (s)
			accel_sampler_choose(s, many, MANY, &id);
		else			/* a plain pass */
			for (uint32_t k = 1; k < MANY; k++)
				largest = many[k] > largest ? many[k] : largest;
		t = cpu_seconds() - t;
		best = t < best ? t : best;
		if (s)
			accel_sampler_accept(s, id);
	}
	return best;
}

/*
 * How much work a choice is, in passes that look at each logit, so that it does not matter which
 * machine this is: sorting them all takes dozens.  `make bench` says what it costs.
 */
static void test_time(void)
{
	static const struct {
		const char *what;
		struct accel_sampler_opts o;
		double passes;
	} cases[] = {
		{ "llama.cpp's defaults",
		  { .temperature = 0.8, .top_k = 40, .top_p = 0.95, .min_p = 0.05 },
		  5 },
		{ "with penalties", { .temperature = 0.8, .top_k = 40, .repeat = 1.1 }, 5 },
		{ "the largest", { 0 }, 5 },
		{ "min_p alone", { .temperature = 0.8, .min_p = 0.05 }, 20 },
		{ "top_p alone", { .temperature = 0.8, .top_p = 0.95 }, 100 },
		{ "all", { .temperature = 0.8 }, 100 },
		{ "ascending",
		  { .temperature = 0.8, .top_k = 40, .top_p = 0.95, .min_p = 0.05 },
		  50 },
	};
	float *many = malloc(MANY * sizeof(*many));
	uint64_t seed = 1;
	double pass;

	/* The sum of some uniform numbers, as of a model that is not sure. */
	for (uint32_t i = 0; i < MANY; i++) {
		many[i] = 0;
		for (int k = 0; k < 8; k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			many[i] += (float)(seed >> 40) * 0x1p-24f * 4;
		}
	}
	pass = best_of(NULL, many);
	for (size_t i = 0; i < N(cases); i++) {
		struct accel_sampler *s = sampler(cases[i].o);
		double t;

		/* Each larger than all before it: the worst for a selection. */
		for (uint32_t k = 0; i + 1 == N(cases) && k < MANY; k++)
			many[k] = k;
		t = best_of(s, many);
		ok(t < cases[i].passes * pass, "%d logits, %s: %.3f ms, %.1f passes", MANY,
		   cases[i].what, t * 1e3, t / pass);
		accel_sampler_free(s);
	}
	free(many);
}

/* ---- what is wrong ---- */

static void test_refused(void)
{
	static const struct accel_sampler_opts bad[] = {
		{ .temperature = NAN },	  { .top_p = -INFINITY },
		{ .top_p = NAN },	  { .min_p = INFINITY },
		{ .repeat = -1 },	  { .frequency = NAN },
		{ .presence = INFINITY }, { .penalty_last = 1u << 30 }, { .reserved = 1 },
	};
	struct {
		struct accel_sampler_opts o;
		char more[8];
	} longer = { .o = { .sz = sizeof(longer) } };
	struct accel_sampler *s;
	unsigned int wrong = 0;

	for (size_t i = 0; i < N(bad); i++) {
		struct accel_sampler_opts o = bad[i];

		o.sz = sizeof(o);
		wrong += accel_sampler_new(&o, &s) != -EINVAL || s || !*accel_error();
	}
	ok(!wrong, "numbers that mean nothing");
	ok(!accel_sampler_new(&longer.o, &s),
	   "options of a newer caller, who asks for nothing new");
	accel_sampler_free(s);
	longer.more[7] = 1;
	ok(accel_sampler_new(&longer.o, &s) == -E2BIG && !s, "or does");
	longer.o.sz = offsetof(struct accel_sampler_opts, top_p);
	ok(!accel_sampler_new(&longer.o, &s), "options of an older caller");
	accel_sampler_free(s);
	longer.o.sz = 0;
	ok(accel_sampler_new(&longer.o, &s) == -EINVAL, "without a size");
	ok(!accel_sampler_new(NULL, &s), "none");
	logits[0] = 1;
	logits[1] = 2;
	ok(choose(s, 2) == 1 && choose(s, 0) == -EINVAL && accel_sampler_accept(s, -1) == -EINVAL,
	   "the largest of two, nothing of none");
	for (int i = 0; i < VOCAB; i++)
		logits[i] = NAN;
	rank(VOCAB);
	ok(choose(s, VOCAB) == -EDOM && choose_top(s, 1, VOCAB) == -EDOM, "no number at all");
	accel_sampler_free(s);
	s = sampler((struct accel_sampler_opts) { .temperature = 1 });
	ok(choose(s, VOCAB) == -EDOM && choose_top(s, VOCAB, VOCAB) == -EDOM, "nor when drawn");
	accel_sampler_free(s);
	accel_sampler_free(NULL);
	/* An infinite logit less a penalty without end is no NaN. */
	s = sampler((struct accel_sampler_opts) { .presence = 1e308, .frequency = 1e308 });
	for (int i = 0; i < 9; i++)
		accel_sampler_accept(s, 3);
	logits[3] = INFINITY;
	logits[4] = -1;
	ok(choose(s, VOCAB) == 4, "an endless penalty");
	accel_sampler_free(s);
}

static void test_no_memory(void)
{
	long live = fail_live, n = 0, wrong = 0;
	int rc = -ENOMEM;

	make_logits(1, VOCAB);
	while (FAIL_ALLOC && rc && n < 20) {
		struct accel_sampler_opts o = { .sz = sizeof(o), .temperature = 1, .repeat = 2 };
		struct accel_sampler *s;
		int32_t id;

		fail_countdown = ++n;
		rc = accel_sampler_new(&o, &s);
		if (!rc)
			rc = accel_sampler_choose(s, logits, VOCAB, &id);
		fail_countdown = 0;
		accel_sampler_free(s);
		wrong += (rc && rc != -ENOMEM) || fail_live != live;
	}
	ok(!wrong && (!FAIL_ALLOC || !rc), "without memory at each of %ld allocations", n);
}

int main(void)
{
	static const struct {
		const char *name;
		float value;
	} specials[] = {
		{ "are infinite", INFINITY }, { "are -infinite", -INFINITY },
		{ "are no number", NAN },     { "are the same", 3 },
		{ "are -0", -0.0f },	      { "are the largest", 3e38f },
		{ "are denormal", 1e-42f },
	};

	test_steps();
	for (unsigned int i = 0; i < N(specials); i++) {
		test_same(specials[i].name, specials[i].value, 1);
		test_same(specials[i].name, specials[i].value, 3);
		test_same(specials[i].name, specials[i].value, VOCAB - 1);
		test_same(specials[i].name, specials[i].value, VOCAB);
	}
	test_infinite(0);
	test_infinite(3e38f);
	test_infinite(-INFINITY);
	test_one();
	test_top();
	test_seed();
	test_time();
	test_refused();
	test_no_memory();
	return done();
}
