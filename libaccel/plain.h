/* SPDX-License-Identifier: MIT */
/*
 * Text of unknown origin (names in a model file, paths, what a caller passed) made fit to be shown:
 * always UTF-8, so that a JSON document can hold it, and nothing that talks to a terminal.
 */
#ifndef ACCEL_PLAIN_H
#define ACCEL_PLAIN_H

#include <stddef.h>
#include <string.h>

/*
 * Writes s[n] to to[room], room > 0, as a C string, and returns to.  What is not UTF-8 becomes
 * U+FFFD; control characters (C0, DEL, C1), and those that turn the direction of writing, become
 * '?'.  What does not fit is left out from a whole character on.  to and s must not overlap. (MT)
 */
char *plain_text(char *to, size_t room, const char *s, size_t n);

/* The longest beginning of s[n] that does not end inside a character of UTF-8. */
size_t plain_whole(const char *s, size_t n);

/* A C string to be quoted in a sentence: plain and short.  It lives as long as the block does. */
#define PLAIN_QUOTE 96
#define PLAIN(s) plain_text((char [PLAIN_QUOTE]) { 0 }, PLAIN_QUOTE, (s), strlen(s))

#endif
