// SPDX-License-Identifier: MIT
#include "unicode.h"

#include <stddef.h>

/* First code point << 3 | class of each run of equal classes. */
static const uint32_t runs[] = {
#include "unicode_runs.h"
};

enum unicode_class unicode_class(uint32_t c)
{
	size_t low = 0, high = sizeof(runs) / sizeof(runs[0]);

	if (c > 0x10ffff)
		return UNICODE_OTHER;
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (c >= runs[mid] >> 3)
			low = mid;
		else
			high = mid;
	}
	return runs[low] & 7;
}

bool unicode_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}
