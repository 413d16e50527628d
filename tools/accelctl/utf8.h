/* SPDX-License-Identifier: MIT */
/* Which bytes are text. */
#ifndef ACCELCTL_UTF8_H
#define ACCELCTL_UTF8_H

#include <stddef.h>

/* Bytes of the code point that s[n] begins with, n > 0; 0: it begins with none. */
size_t utf8_length(const char *s, size_t n);

#endif
