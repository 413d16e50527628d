// SPDX-License-Identifier: MIT
/* Texts to stop at: the same as searching the whole text, however it is cut, and nothing shown too
 * early. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <accel/accel.h>
#include <accel/text.h>

#include "fail_alloc.h"
#include "tap.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static uint32_t random32(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* Pushes text in pieces of at most most bytes; returns whether it stopped, out what was shown. */
static bool watch(struct accel_stop *s, const char *text, size_t n, size_t most, uint64_t *seed,
		  char *out, size_t *n_out)
{
	bool stopped = false;
	const char *p;
	size_t len;

	*n_out = 0;
	for (size_t i = 0; i < n;) {
		size_t k = most > 1 ? 1 + random32(seed) % most : 1;

		if (k > n - i)
			k = n - i;
		stopped = accel_stop_push(s, text + i, k, &p, &len) == 1;
		memcpy(out + *n_out, p, len);
		*n_out += len;
		i += k;
	}
	len = accel_stop_end(s, &p);
	memcpy(out + *n_out, p, len);
	*n_out += len;
	return stopped;
}

/* Where the first of them to be complete begins; n: none is. */
static size_t search(const char *const *stops, size_t n_stops, const char *text, size_t n)
{
	for (size_t end = 1; end <= n; end++) {
		size_t longest = 0;

		for (size_t k = 0; k < n_stops; k++) {
			size_t len = strlen(stops[k]);

			if (len <= end && len > longest && !memcmp(text + end - len, stops[k], len))
				longest = len;
		}
		if (longest)
			return end - longest;
	}
	return n;
}

static void test_random(void)
{
	size_t bad = 0, stopped = 0, tried = 0;
	uint64_t seed = 3;

	for (int round = 0; round < 3000; round++) {
		char texts[4][8] = { 0 }, text[60], out[128];
		const char *stops[4];
		struct accel_stop *s;
		size_t n_stops = 1 + random32(&seed) % 4, n, n_out, want;

		for (size_t k = 0; k < n_stops; k++) {
			size_t len = 1 + random32(&seed) % 7;

			for (size_t i = 0; i < len; i++)
				texts[k][i] = 'a' + random32(&seed) % 2;
			stops[k] = texts[k];
		}
		n = random32(&seed) % sizeof(text);
		for (size_t i = 0; i < n; i++)
			text[i] = 'a' + random32(&seed) % 2 + (random32(&seed) % 8 == 0);
		want = search(stops, n_stops, text, n);
		for (size_t most = 1; most < 9; most += 3, tried++) {
			bool end;

			if (accel_stop_new(stops, n_stops, &s))
				return;
			end = watch(s, text, n, most, &seed, out, &n_out);
			bad += end != (want < n) || n_out != want || memcmp(out, text, n_out);
			stopped += end;
			accel_stop_free(s);
		}
	}
	ok(!bad && stopped > 100, "%zu random texts, %zu of them stopped: %zu wrong", tried,
	   stopped, bad);
}

static void test_held(void)
{
	static const char *const stops[] = { "<|im_end|>", "\nUSER:" };
	struct accel_stop *s;
	const char *p;
	size_t n;

	ok(!accel_stop_new(stops, N(stops), &s), "two texts to stop at");
	ok(!accel_stop_push(s, "Hello <", 7, &p, &n) && n == 6 && !memcmp(p, "Hello ", 6),
	   "what may begin one is held back");
	ok(!accel_stop_push(s, "|im", 3, &p, &n) && !n, "further");
	ok(!accel_stop_push(s, "age|>", 5, &p, &n) && n == 9 && !memcmp(p, "<|image|>", 9),
	   "and shown when it is none");
	ok(!accel_stop_push(s, "", 0, &p, &n) && !n, "nothing new");
	ok(!accel_stop_push(s, "a\nUS", 4, &p, &n) && n == 1, "the other one");
	ok(accel_stop_push(s, "ER: no", 6, &p, &n) == 1 && !n,
	   "is complete: nothing of it is shown");
	ok(accel_stop_push(s, "more", 4, &p, &n) == 1 && !n, "nor what follows");
	ok(!accel_stop_end(s, &p), "nothing is held back then");
	accel_stop_free(s);
	accel_stop_new(stops, N(stops), &s);
	accel_stop_push(s, "x<|im_en", 8, &p, &n);
	ok(n == 1 && accel_stop_end(s, &p) == 7 && !memcmp(p, "<|im_en", 7),
	   "the end shows what was held back");
	ok(!accel_stop_push(s, "d|>", 3, &p, &n) && n == 3, "and forgets it");
	accel_stop_free(s);
}

static void test_edges(void)
{
	struct accel_stop *s;
	const char *p;
	size_t n;

	ok(!accel_stop_new(NULL, 0, &s) && !accel_stop_push(s, "abc", 3, &p, &n) && n == 3,
	   "no text to stop at");
	accel_stop_free(s);
	ok(accel_stop_new((const char *const[]){ "a", "" }, 2, &s) == -EINVAL && !s &&
		   accel_error()[0],
	   "an empty one is refused");
	accel_stop_free(NULL);
	for (long k = 1; FAIL_ALLOC && k < 6; k++) {
		long live = fail_live;

		fail_countdown = k;
		ok(accel_stop_new((const char *const[]){ "ab" }, 1, &s) == (k < 5 ? -ENOMEM : 0),
		   "allocation %ld", k);
		if (s)
			ok(accel_stop_push(s, "abc", 3, &p, &n) == -ENOMEM && !n,
			   "a push that finds no memory");
		fail_countdown = 0;
		if (s)
			ok(accel_stop_push(s, "xab", 3, &p, &n) == 1 && n == 1, "is made again");
		accel_stop_free(s);
		ok(fail_live == live, "nothing is left");
	}
}

int main(void)
{
	test_random();
	test_held();
	test_edges();
	return done();
}
