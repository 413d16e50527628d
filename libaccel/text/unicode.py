#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes unicode.c: the class of every code point, from Python's unicodedata.

  unicode.py >unicode.c
"""
import unicodedata

# The order is that of enum unicode_class.
CLASSES = {"Lu": 1, "Lt": 1, "Ll": 2, "Lm": 3, "Lo": 3, "M": 4, "N": 5, "P": 6, "S": 7}


def kind(c):
    category = unicodedata.category(chr(c))
    return CLASSES.get(category, CLASSES.get(category[0], 0))


def runs():
    """start << 3 | class of each run of equal classes"""
    before = None
    for c in range(0x110000):
        k = kind(c)
        if k != before:
            yield c << 3 | k
        before = k


def table():
    line = ""
    for run in runs():
        item = "0x%x," % run
        if len(line) + len(item) > 88:
            yield "\t" + line.rstrip()
            line = ""
        line += item + " "
    yield "\t" + line.rstrip()


print("""// SPDX-License-Identifier: MIT
/* Made by unicode.py from Unicode %s.  Do not edit. */
#include "unicode.h"

#include <stddef.h>

/* First code point << 3 | class. */
static const uint32_t runs[] = {
%s
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
}""" % (unicodedata.unidata_version, "\n".join(table())))
