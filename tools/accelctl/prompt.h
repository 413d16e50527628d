/* SPDX-License-Identifier: MIT */
/* The prompt of `accelctl run`: from arguments, a file, or standard input. */
#ifndef ACCELCTL_PROMPT_H
#define ACCELCTL_PROMPT_H

#include <stddef.h>

#include "options.h"

/* Bytes that grow; s ends with zero. */
struct bytes {
	char *s;		/* malloc'd, NULL while there are none */
	size_t n;
};

/* Returns an exit code after a complaint: also if there are more than a prompt may have. */
int bytes_add(struct bytes *b, const char *s, size_t n);

/*
 * Takes away the mark that some editors begin a text with.  Refuses, after a complaint that begins
 * with its name, what is UTF-16, UTF-32, or bytes of another kind.  An exit code.
 */
int bytes_plain(struct bytes *b, const char *name);

/* A whole file, of which `what` says what it is for. */
int bytes_read(const char *path, const char *what, struct bytes *b);

/*
 * Reads the prompt.  With --chat there may be none; standard input then holds the turns, and the
 * prompt is empty.  What is no text is refused.  Unless --raw, a byte order mark is taken away, and of
 * a file or of standard input every "\r\n" becomes "\n", and one "\n" at the end is taken away.  A
 * prompt without a byte is a usage error.  Returns an exit code.
 */
int prompt_read(const struct options *o, struct bytes *prompt);
/* Is it said only once where the prompt is, and is --system text?  What can be told before anything is read. */
int prompt_check(const struct options *o);
/* The text of --system without a byte order mark, as of a file that a shell put there; NULL: there is none. */
const char *prompt_system(const struct options *o);

#endif
