// SPDX-License-Identifier: MIT
#include "lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edit.h"
#include "interrupt.h"
#include "output.h"

struct lines {
	bool typed;
	struct edit *edit;	/* NULL: lines are read as they come */
	bool thrown_away;
	char input[4096];	/* that was read, of which lines are yet to be made */
	size_t at, n;
};

int lines_new(struct lines **out)
{
	struct lines *l = calloc(1, sizeof(*l));

	*out = l;
	if (!l)
		return complain(EXIT_FAILED, "no memory for a conversation");
	l->typed = isatty(STDIN_FILENO);
	if (l->typed && isatty(STDERR_FILENO))
		l->edit = edit_new();
	return EXIT_OK;
}

void lines_free(struct lines *l)
{
	if (l)
		edit_free(l->edit);
	free(l);
}

bool lines_typed(const struct lines *l)
{
	return l->typed;
}

bool lines_thrown_away(const struct lines *l)
{
	return l->thrown_away;
}

/* More of standard input.  False: there is no more, or a signal asked us to stop. */
static bool read_more(struct lines *l)
{
	ssize_t n;

	do {
		if (interrupted)
			return false;
	} while (!interrupt_or_input());
	n = read(STDIN_FILENO, l->input, sizeof(l->input));
	l->at = 0;
	l->n = n > 0 ? n : 0;
	return n > 0;
}

/* Appends a line without its end.  False: there is none, or a signal came. */
static bool read_plain(struct lines *l, struct bytes *text)
{
	size_t begin = text->n;
	const char *end = NULL;

	while (!end) {
		const char *from = l->input + l->at;
		size_t n = l->n - l->at;

		end = memchr(from, '\n', n);
		if (bytes_add(text, from, end ? (size_t)(end - from) : n))
			return false;
		l->at += end ? (size_t)(end - from) + 1 : n;
		if (!end && !read_more(l)) {
			if (interrupted || text->n == begin)
				return false;
			break;		/* the last line needs no end */
		}
	}
	return true;
}

static bool read_edited(struct lines *l, const char *marker, struct bytes *text)
{
	size_t n;
	const char *s = edit_line(l->edit, marker, &n);

	l->thrown_away = !s && edit_thrown_away(l->edit);
	return s && !bytes_add(text, s, n);
}

static bool read_line(struct lines *l, const char *marker, struct bytes *text)
{
	fflush(stdout);
	if (l->edit)
		return read_edited(l, marker, text);
	if (l->typed)
		fputs(marker, stderr);
	return read_plain(l, text);
}

/* Ends a line; a backslash in its place: another one follows. */
static bool goes_on(struct bytes *text, size_t begin)
{
	if (text->n > begin && text->s[text->n - 1] == '\r')
		text->n--;
	text->s[text->n] = 0;
	if (text->n == begin || text->s[text->n - 1] != '\\')
		return false;
	text->s[text->n - 1] = '\n';
	return true;
}

bool lines_message(struct lines *l, struct bytes *text)
{
	size_t begin;

	text->n = 0;
	do {
		begin = text->n;
		if (!read_line(l, begin ? ". " : "> ", text)) {
			if (l->typed)
				fputc('\n', stderr);
			l->thrown_away |= l->edit && begin;
			return false;
		}
	} while (goes_on(text, begin));
	return true;
}
