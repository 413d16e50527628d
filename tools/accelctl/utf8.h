/* SPDX-License-Identifier: MIT */
/* Which bytes are text. */
#ifndef ACCELCTL_UTF8_H
#define ACCELCTL_UTF8_H

#include <stddef.h>

/* Bytes of the code point that s[n] begins with, n > 0; 0: it begins with none. */
size_t utf8_length(const char *s, size_t n);

/* Bytes of the mark that some editors begin a file of UTF-8 with: 3 or 0. */
size_t utf8_mark(const char *s, size_t n);
/* Why these bytes are no text for a model, and what to do: "is UTF-16, ..."; NULL: they may be. */
const char *utf8_refused(const char *s, size_t n);

#endif
