/* SPDX-License-Identifier: MIT */
/* What somebody may have meant. */
#ifndef ACCELCTL_HINTS_H
#define ACCELCTL_HINTS_H

#include <stdbool.h>
#include <stddef.h>

/* word: "-ngl" or "--mlock", without a value.  What llama.cpp's option of this name is here; NULL:
 * it has none. */
const char *hint_llama(const char *word);

/* The one of n names that is nearest to the word, NULL: none is near.  name() may give NULL, too. */
const char *hint_nearest(const char *word, size_t n,
			 const char *(*name)(size_t i, const void *arg), const void *arg);

#endif
