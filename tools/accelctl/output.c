// SPDX-License-Identifier: MIT
/* What goes to standard error and standard output: sentences, progress, results. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <accel/accel.h>

#include "output.h"
#include "utf8.h"

#define MAX_SENTENCE 2048

static struct {
	bool quiet, verbose;
	bool progress;		/* a line of it stands on the terminal */
} out;

void output_begin(bool quiet, bool verbose)
{
	out.quiet = quiet;
	out.verbose = verbose;
}

double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

void show_progress(const char *what, uint64_t done, uint64_t total)
{
	if (out.quiet || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%s: %3u %%", what, total ? (unsigned int)(done * 100.0 / total) : 100);
	out.progress = true;
	if (done >= total)
		end_progress();
}

void end_progress(void)
{
	if (out.progress)
		fputs("\r\033[K", stderr);
	out.progress = false;
}

/* Arguments and names out of files may be quoted: nothing in them reaches a terminal raw, neither
 * control characters of ASCII nor those that C2 begins, nor what is not UTF-8. */
static void disarm(char *s)
{
	for (size_t n = strlen(s), len; n; s += len, n -= len) {
		unsigned char c = *s, next = s[1];

		len = utf8_length(s, n);
		if (!len || c < ' ' || c == 127 || (c == 0xc2 && next < 0xa0)) {
			len = len ? len : 1;
			memset(s, '?', len);
		}
	}
}

const char *shown(const char *s, char *copy, size_t len)
{
	snprintf(copy, len, "%s", s);
	disarm(copy);
	return copy;
}

static void say(const char *fmt, va_list ap)
{
	char text[MAX_SENTENCE];

	vsnprintf(text, sizeof(text), fmt, ap);
	disarm(text);
	fflush(stdout);
	end_progress();
	fprintf(stderr, "accelctl: %s\n", text);
}

int complain(int exit_code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return exit_code;
}

void warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!out.quiet)
		say(fmt, ap);
	va_end(ap);
}

void detail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (out.verbose)
		say(fmt, ap);
	va_end(ap);
}

void line(const char *text)
{
	if (out.quiet)
		return;
	fflush(stdout);
	end_progress();
	fprintf(stderr, "%s\n", text);
}

int complain_accel(int err)
{
	int rc = EXIT_FAILED;

	if (err == -ENODEV || err == -ENOENT || err == -ENXIO)
		rc = EXIT_NO_DEVICE;
	else if (err == -EACCES || err == -EPERM)
		rc = EXIT_PERMISSION;
	else if (err == -EBUSY)
		rc = EXIT_BUSY;
	else if (err == -EPROTO)
		rc = EXIT_DRIVER;
	else if (err == -ETIME || err == -ETIMEDOUT)
		rc = EXIT_TIMEOUT;
	return complain(rc, "%s", accel_error());
}

int complain_eval(int err)
{
	int rc = complain_accel(err);

	return rc == EXIT_NO_DEVICE ? EXIT_LOST : rc;	/* it was there when we began */
}

/* err: why standard output cannot be written, 0: nobody kept the reason. */
static bool output_failed(int err, int *rc)
{
	struct pollfd reader = { .fd = STDOUT_FILENO };

	if (!err && poll(&reader, 1, 0) == 1 && reader.revents & POLLERR)
		err = EPIPE;
	clearerr(stdout);
	if (err != EPIPE)
		*rc = complain(EXIT_FAILED, "the output could not be written%s%s", err ? ": " : "",
			       err ? strerror(err) : "");
	return false;
}

bool write_output(const void *data, size_t size, int *rc)
{
	errno = 0;
	return !size || fwrite(data, size, 1, stdout) == 1 || output_failed(errno, rc);
}

bool flush_output(int *rc)
{
	errno = 0;
	if (fflush(stdout))
		return output_failed(errno, rc);
	return !ferror(stdout) || output_failed(0, rc);
}
