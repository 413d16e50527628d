// SPDX-License-Identifier: MIT
/* What goes to standard error and standard output: sentences, progress, JSON. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "accelctl.h"

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

/* Bytes of the code point that s[n] begins with, 0: it begins with none. */
static size_t utf8_length(const char *s, size_t n)
{
	static const struct { uint8_t from, to, low, high; } leads[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf }, { 0xe0, 0xe0, 0xa0, 0xbf }, { 0xe1, 0xec, 0x80, 0xbf },
		{ 0xed, 0xed, 0x80, 0x9f }, { 0xee, 0xef, 0x80, 0xbf }, { 0xf0, 0xf0, 0x90, 0xbf },
		{ 0xf1, 0xf3, 0x80, 0xbf }, { 0xf4, 0xf4, 0x80, 0x8f },
	};
	const uint8_t *u = (const uint8_t *)s;
	size_t len;

	if (u[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
		if (u[0] < leads[i].from || u[0] > leads[i].to)
			continue;
		len = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
		if (len > n || u[1] < leads[i].low || u[1] > leads[i].high)
			return 0;
		for (size_t k = 2; k < len; k++)
			if ((u[k] & 0xc0) != 0x80)
				return 0;
		return len;
	}
	return 0;
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

/* ---- JSON ---- */

json_t *json_bytes(const char *s, size_t n)
{
	char *clean = malloc(3 * n + 1);
	size_t to = 0;
	json_t *j;

	if (!clean)
		return NULL;
	for (size_t at = 0; at < n;) {
		size_t len = utf8_length(s + at, n - at);

		memcpy(clean + to, len ? s + at : "\xef\xbf\xbd", len ? len : 3);
		to += len ? len : 3;
		at += len ? len : 1;
	}
	j = json_stringn(clean, to);
	free(clean);
	return j;
}

json_t *json_text(const char *s)
{
	return json_bytes(s, strlen(s));
}

int print_json(const char *command, json_t *body)
{
	const struct command *c = command_find(command);
	char schema[64], now[32];
	time_t t = time(NULL);
	struct tm tm;
	json_t *doc;
	int bad;

	gmtime_r(&t, &tm);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(schema, sizeof(schema), "accelctl.%s/%u", command, c ? c->schema : 0);
	doc = json_pack("{s:s, s:s}", "schema", schema, "generated", now);
	bad = !doc || !body || json_object_update(doc, body) ||
	      json_dumpf(doc, stdout, JSON_INDENT(2)) < 0;
	json_decref(doc);
	json_decref(body);
	if (bad && !ferror(stdout))
		return complain(EXIT_FAILED, "no memory for the output");
	putchar('\n');
	return EXIT_OK;
}
