/* SPDX-License-Identifier: MIT */
/* Classes of code points that pre-tokenizers ask for. */
#ifndef ACCELCTL_UNICODE_H
#define ACCELCTL_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

bool unicode_letter(uint32_t c);	/* \p{L} */
bool unicode_number(uint32_t c);	/* \p{N} */
bool unicode_space(uint32_t c);		/* \s */

#endif
