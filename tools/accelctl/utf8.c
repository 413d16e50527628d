// SPDX-License-Identifier: MIT
#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

size_t utf8_length(const char *s, size_t n)
{
	static const struct { uint8_t from, to, low, high; } leads[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf }, { 0xe0, 0xe0, 0xa0, 0xbf }, { 0xe1, 0xec, 0x80, 0xbf },
		{ 0xed, 0xed, 0x80, 0x9f }, { 0xee, 0xef, 0x80, 0xbf }, { 0xf0, 0xf0, 0x90, 0xbf },
		{ 0xf1, 0xf3, 0x80, 0xbf }, { 0xf4, 0xf4, 0x80, 0x8f },
	};
	const uint8_t *u = (const uint8_t *)s;
	size_t len;

	if (u[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
		if (u[0] < leads[i].from || u[0] > leads[i].to)
			continue;
		len = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
		if (len > n || u[1] < leads[i].low || u[1] > leads[i].high)
			return 0;
		for (size_t k = 2; k < len; k++)
			if ((u[k] & 0xc0) != 0x80)
				return 0;
		return len;
	}
	return 0;
}

static bool begins(const char *s, size_t n, const char *with, size_t len)
{
	return n >= len && !memcmp(s, with, len);
}

size_t utf8_mark(const char *s, size_t n)
{
	return begins(s, n, "\xef\xbb\xbf", 3) ? 3 : 0;
}

const char *utf8_refused(const char *s, size_t n)
{
	if (begins(s, n, "\xff\xfe\0\0", 4) || begins(s, n, "\0\0\xfe\xff", 4))
		return "is UTF-32, a model reads UTF-8: `iconv -f UTF-32 -t UTF-8` makes that of it";
	if (begins(s, n, "\xff\xfe", 2) || begins(s, n, "\xfe\xff", 2))
		return "is UTF-16, a model reads UTF-8: `iconv -f UTF-16 -t UTF-8` makes that of it";
	if (n && memchr(s, 0, n))
		return "holds a byte of zero, which no text does: it is of another kind, or UTF-16 without a mark, of which `iconv -f UTF-16LE -t UTF-8` makes text";
	return NULL;
}
