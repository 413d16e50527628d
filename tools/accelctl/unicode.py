#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes unicode.c: the ranges of letters and numbers, from Python's unicodedata.

  unicode.py >unicode.c
"""
import sys
import unicodedata


def ranges(kind):
    out, start = [], None
    for c in range(0x110001):
        inside = c <= 0x10FFFF and unicodedata.category(chr(c))[0] == kind
        if inside and start is None:
            start = c
        elif not inside and start is not None:
            out.append((start, c - 1))
            start = None
    return out


def table(name, kind):
    print("\nstatic const uint32_t %s[][2] = {" % name)
    line = ""
    for a, b in ranges(kind):
        item = "{ 0x%x, 0x%x }," % (a, b)
        if len(line) + len(item) > 84:
            print("\t" + line.rstrip())
            line = ""
        line += item + " "
    print("\t%s\n};" % line.rstrip())


print("""// SPDX-License-Identifier: MIT
/* Made by unicode.py from Unicode %s.  Do not edit. */
#include "unicode.h"

#include <stddef.h>""" % unicodedata.unidata_version)
table("letters", "L")
table("numbers", "N")
print("""
static bool in(const uint32_t (*table)[2], size_t n, uint32_t c)
{
	size_t low = 0;

	while (low < n) {
		size_t mid = low + (n - low) / 2;

		if (c > table[mid][1])
			low = mid + 1;
		else
			n = mid;
	}
	return c >= table[low][0] && c <= table[low][1];
}

/* The last range is also where a search ends that finds nothing. */
#define SENTINEL(t) (sizeof(t) / sizeof((t)[0]) - 1)

bool unicode_letter(uint32_t c)
{
	return in(letters, SENTINEL(letters), c);
}

bool unicode_number(uint32_t c)
{
	return in(numbers, SENTINEL(numbers), c);
}

bool unicode_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}""")
sys.exit(0)
