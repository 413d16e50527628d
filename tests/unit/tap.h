/* SPDX-License-Identifier: MIT */
/* Test Anything Protocol for C tests: ok(condition, "what", ...); return done(); */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* One of each in a program, however many files of it have tests. */
__attribute__((weak)) int tap_count, tap_failed;

/* Prints one result; returns whether it is good.  One thread at a time. */
__attribute__((format(printf, 4, 5), unused))
static bool tap_ok(bool good, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", good ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!good) {
		printf("#   at %s:%d\n", file, line);
		tap_failed++;
	}
	fflush(stdout);
	return good;
}

/* The condition comes before what is said of it: a call takes its arguments in an order of its own. */
#define ok(cond, ...)								\
	({									\
		const bool ok_ = (cond);					\
										\
		tap_ok(ok_, __FILE__, __LINE__, __VA_ARGS__);			\
	})

/* The plan; the exit code of main(). */
__attribute__((unused))
static int done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed || !tap_count;
}

#endif
