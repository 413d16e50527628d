// SPDX-License-Identifier: MIT
/* Threads and the parts they take. */
#include <stdatomic.h>
#include <time.h>

#include "op/pool.h"
#include "tap.h"

#define PARTS 64

static _Atomic uint32_t ran[PARTS], all;
static uint32_t thread_of[PARTS], order[PARTS];

static void count(void *arg, uint32_t part, uint32_t thread)
{
	(void)arg;
	thread_of[part] = thread;
	ran[part]++;
	order[part] = all++;
}

/* Ten seconds at most: until *what is n. */
static bool wait_for(_Atomic uint32_t *what, uint32_t n)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	for (int i = 0; i < 10000 && *what < n; i++)
		nanosleep(&ms, NULL);
	return *what >= n;
}

static void reset(void)
{
	for (int i = 0; i < PARTS; i++)
		ran[i] = 0;
	all = 0;
}

static void test_once(void)
{
	uint32_t wrong = 0;

	for (unsigned int threads = 1; threads <= 5; threads++) {
		struct pool *p;

		if (!ok(!pool_get(threads, &p), "%u threads", threads))
			return;
		for (uint32_t parts = 0; parts <= PARTS; parts++) {
			reset();
			pool_run(p, parts, count, NULL);
			for (uint32_t i = 0; i < PARTS; i++)
				wrong += ran[i] != (i < parts) || (i < parts && thread_of[i] >= threads);
		}
		pool_put(p);
	}
	ok(!wrong, "1 to 5 threads, 0 to %d parts: each once, by one of them", PARTS);
}

static bool taken;

/* Part 0 lasts until the others are done. */
static void hold_first(void *arg, uint32_t part, uint32_t thread)
{
	if (part)
		count(arg, part, thread);
	else
		taken = wait_for(&all, PARTS - 1);
}

static void test_neighbours(void)
{
	struct pool *p;
	uint32_t wrong = 0;

	if (!ok(!pool_get(2, &p), "2 threads"))
		return;
	reset();
	pool_run(p, PARTS, hold_first, NULL);
	ok(taken, "one thread is held up with a part: the other does the rest");
	for (uint32_t i = 1; i < PARTS; i++)
		wrong += order[i] != (i < PARTS / 2 ? PARTS / 2 + i - 1 : i - PARTS / 2);
	ok(!wrong, "its own half first, in order, then what is left of the first");
	pool_put(p);
}

int main(void)
{
	test_once();
	test_neighbours();
	return done();
}
