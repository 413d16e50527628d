// SPDX-License-Identifier: MIT
#include "prompt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "utf8.h"

#define MAX_TEXT (64u << 20)

int bytes_add(struct bytes *b, const char *s, size_t n)
{
	char *grown;

	if (n > MAX_TEXT - b->n)
		return complain(EXIT_FAILED, "a text is longer than %u MiB", MAX_TEXT >> 20);
	grown = realloc(b->s, b->n + n + 1);
	if (!grown)
		return complain(EXIT_FAILED, "no memory for a text");
	b->s = grown;
	memcpy(b->s + b->n, s, n);
	b->n += n;
	b->s[b->n] = 0;
	return 0;
}

static int read_stream(FILE *f, const char *name, struct bytes *b)
{
	char chunk[4096];
	size_t n;
	int rc = 0;

	while (!rc && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		rc = bytes_add(b, chunk, n);
	if (!rc && ferror(f))
		rc = complain(EXIT_FAILED, "%s could not be read: %s", name, strerror(errno));
	return rc;
}

static int read_stdin(struct bytes *b)
{
	if (isatty(STDIN_FILENO))
		note("reading the prompt from the terminal; end it with Ctrl-D");
	return read_stream(stdin, "standard input", b);
}

int bytes_read(const char *path, const char *what, struct bytes *b)
{
	FILE *f = fopen(path, "re");
	int rc;

	if (!f)
		return complain(EXIT_FAILED, "the %s's file %s cannot be opened: %s", what, path, strerror(errno));
	rc = read_stream(f, path, b);
	fclose(f);
	return rc;
}

static int join_arguments(const struct options *o, struct bytes *b)
{
	int rc = 0;

	for (int i = 0; i < o->n_args && !rc; i++) {
		if (i)
			rc = bytes_add(b, " ", 1);
		if (!rc)
			rc = bytes_add(b, o->args[i], strlen(o->args[i]));
	}
	return rc;
}

/* Line ends of other systems, and the one that an editor or echo puts at the end. */
static void plain_lines(struct bytes *b)
{
	size_t to = 0;

	for (size_t at = 0; at < b->n; at++)
		if (b->s[at] != '\r' || at + 1 == b->n || b->s[at + 1] != '\n')
			b->s[to++] = b->s[at];
	if (to && b->s[to - 1] == '\n')
		to--;
	b->n = to;
	if (b->s)
		b->s[to] = 0;
}

static int check_text(const struct bytes *b, const char *name)
{
	const char *why = utf8_refused(b->s, b->n);

	return why ? complain(EXIT_FAILED, "%s %s", name, why) : EXIT_OK;
}

int bytes_plain(struct bytes *b, const char *name)
{
	size_t mark = utf8_mark(b->s, b->n);
	int rc = check_text(b, name);

	if (rc || !mark)
		return rc;
	detail("%s begins with a byte order mark, which is no part of the text", name);
	b->n -= mark;
	memmove(b->s, b->s + mark, b->n + 1);
	return EXIT_OK;
}

static bool is_stdin(const char *text)
{
	return text && !strcmp(text, "-");
}

int prompt_check(const struct options *o)
{
	int ways = (o->n_args > 0) + !!o->prompt_text + !!o->prompt_file;

	if (o->chat && (is_stdin(o->n_args == 1 ? o->args[0] : o->prompt_text) || is_stdin(o->prompt_file)))
		return complain(EXIT_USAGE, "standard input holds the turns of --chat, it cannot be the first prompt, too");
	if (o->system && utf8_refused(o->system, strlen(o->system)))
		return complain(EXIT_FAILED, "the text of --system %s", utf8_refused(o->system, strlen(o->system)));
	return ways < 2 ? EXIT_OK :
	       complain(EXIT_USAGE, "the prompt is given twice: there can be an argument, --prompt or --file, one of them");
}

const char *prompt_system(const struct options *o)
{
	return o->system ? o->system + utf8_mark(o->system, strlen(o->system)) : NULL;
}

int prompt_read(const struct options *o, struct bytes *b)
{
	const char *word = o->n_args == 1 ? o->args[0] : o->prompt_text;
	const char *name = "the prompt";
	bool typed = o->n_args || o->prompt_text;
	int rc;

	if (o->chat && !typed && !o->prompt_file)
		return EXIT_OK;
	if ((!typed && !o->prompt_file) || is_stdin(word) || is_stdin(o->prompt_file)) {
		typed = false;
		name = "standard input";
		rc = read_stdin(b);
	} else if (o->prompt_file) {
		name = o->prompt_file;
		rc = bytes_read(o->prompt_file, "prompt", b);
	} else if (o->prompt_text) {
		rc = bytes_add(b, o->prompt_text, strlen(o->prompt_text));
	} else {
		rc = join_arguments(o, b);
	}
	if (!rc)
		rc = o->raw ? check_text(b, name) : bytes_plain(b, name);
	if (rc)
		return rc;
	if (!typed && !o->raw)
		plain_lines(b);
	return b->n ? EXIT_OK : complain(EXIT_USAGE, "the prompt is empty: give one after the model, with --file, or on standard input");
}
