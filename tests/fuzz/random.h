/* SPDX-License-Identifier: MIT */
/*
 * For fuzzers that keep a state between their steps, and so have no single input:
 *
 *   FUZZER [SECONDS [SEED]]
 *
 * The same seed makes the same choices.  Ends with a line of what was done, or with FINDING and
 * an exit code of 1.
 */
#ifndef TESTS_FUZZ_RANDOM_H
#define TESTS_FUZZ_RANDOM_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RANDOM_FN __attribute__((unused)) static

static _Thread_local uint64_t random_state;
static uint64_t random_seed;
static double random_end;
static _Thread_local unsigned long random_step;

RANDOM_FN double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

RANDOM_FN uint64_t any(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1d;
}

/* 0 .. n - 1; 0 for n = 0. */
RANDOM_FN uint32_t below(uint32_t n)
{
	return n ? (any() >> 32) % n : 0;
}

RANDOM_FN bool one_in(uint32_t n)
{
	return !below(n);
}

/* Of any magnitude. */
RANDOM_FN uint64_t any_size(void)
{
	return any() >> below(64);
}

__attribute__((format(printf, 1, 2), noreturn, unused))
static void finding(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fputs("FINDING: ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (seed %llu, step %lu)\n", (unsigned long long)random_seed, random_step);
	_exit(1);
}

RANDOM_FN void on_random_alarm(int sig)
{
	(void)sig;
	finding("nothing moves for 60 s");
}

RANDOM_FN void random_begin(int argc, char **argv)
{
	random_end = seconds_now() + (argc > 1 ? atof(argv[1]) : 20);
	random_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	random_state = random_seed * 0x9e3779b97f4a7c15 | 1;
	signal(SIGALRM, on_random_alarm);
	signal(SIGPIPE, SIG_IGN);
}

/* Another step, or the time is over. */
RANDOM_FN bool random_more(void)
{
	alarm(60);
	random_step++;
	return seconds_now() < random_end;
}

#endif
