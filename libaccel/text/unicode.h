/* SPDX-License-Identifier: MIT */
/* Classes of code points that pre-tokenizers ask for. */
#ifndef ACCELCTL_UNICODE_H
#define ACCELCTL_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

enum unicode_class {
	UNICODE_OTHER,		/* controls, separators, what is not assigned */
	UNICODE_UPPER,		/* \p{Lu} \p{Lt} */
	UNICODE_LOWER,		/* \p{Ll} */
	UNICODE_CASELESS,	/* \p{Lm} \p{Lo} */
	UNICODE_MARK,		/* \p{M} */
	UNICODE_NUMBER,		/* \p{N} */
	UNICODE_PUNCTUATION,	/* \p{P} */
	UNICODE_SYMBOL,		/* \p{S} */
};

enum unicode_class unicode_class(uint32_t c);
bool unicode_space(uint32_t c);		/* \s */

static inline bool unicode_letter(uint32_t c)	/* \p{L} */
{
	enum unicode_class k = unicode_class(c);

	return k >= UNICODE_UPPER && k <= UNICODE_CASELESS;
}

static inline bool unicode_number(uint32_t c)
{
	return unicode_class(c) == UNICODE_NUMBER;
}

#endif
