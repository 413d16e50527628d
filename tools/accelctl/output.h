/* SPDX-License-Identifier: MIT */
/* What users read: sentences and progress on standard error, results on standard output. */
#ifndef ACCELCTL_OUTPUT_H
#define ACCELCTL_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes; accelctl(1) lists them. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_DEVICE = 3,
	EXIT_PERMISSION = 4,
	EXIT_BUSY = 5,
	EXIT_DRIVER = 6,
	EXIT_LOST = 7,
	EXIT_SELF_TEST = 8,
	EXIT_TIMEOUT = 9,
	EXIT_INTERRUPTED = 130,
};

/* --quiet: note() and progress are silent; --verbose: detail() is not. */
void output_begin(bool quiet, bool verbose);

/* Prints "accelctl: sentence" to stderr, takes progress away before, and returns exit_code. */
int complain(int exit_code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with accel_error(), and the exit code that goes with err. */
int complain_accel(int err);
/* The same for a processor that was open. */
int complain_eval(int err);
/* What is not wrong, and what only some want to know. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void detail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What the user should know although the command goes on, also with --quiet. */
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line of stderr as it is, unless --quiet. */
void line(const char *text);

/* A copy of a text out of a file that a terminal may be given; what does not fit is cut. */
const char *shown(const char *s, char *copy, size_t len);

/* Shows "what: N %" on a terminal. */
void show_progress(const char *what, uint64_t done, uint64_t total);
void end_progress(void);

/* Writes to standard output, or what is buffered of it.  False: it cannot be written, and *rc becomes an
 * exit code if that is a failure, which was then said: a reader that has gone is none. */
bool write_output(const void *data, size_t size, int *rc);
bool flush_output(int *rc);

/* CLOCK_MONOTONIC. */
double seconds(void);

#endif
