// SPDX-License-Identifier: MIT
#include "plain.h"

#include <stdbool.h>
#include <stdint.h>

#define REPLACEMENT "\xef\xbf\xbd"	/* U+FFFD */

/* Bytes of the character that begins with this byte, 0 if none does. */
static size_t length_of(uint8_t c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c < 0xe0)
		return 2;
	if (c >= 0xe0 && c < 0xf0)
		return 3;
	return c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

/* The character at p[n], n > 0; returns its bytes, 0 if it is none. */
static size_t character(const uint8_t *p, size_t n, uint32_t *c)
{
	size_t k = length_of(p[0]);
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	if (!k || k > n)
		return 0;
	*c = k == 1 ? p[0] : p[0] & (0x7f >> k);
	for (size_t i = 1; i < k; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	if (*c < least[k] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
		return 0;
	return k;
}

/* Controls of terminals, and of the direction of writing, which can make text look like other text. */
static bool harmful(uint32_t c)
{
	return c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

char *plain_text(char *to, size_t room, const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t at = 0;

	while (n) {
		uint32_t c = 0;
		size_t k = character(p, n, &c), size = k;
		const void *from = p;

		if (!k) {
			from = REPLACEMENT;
			size = strlen(REPLACEMENT);
			k = 1;
		} else if (harmful(c)) {
			from = "?";
			size = 1;
		}
		if (size >= room - at)
			break;
		memcpy(to + at, from, size);
		at += size;
		p += k;
		n -= k;
	}
	to[at] = 0;
	return to;
}

size_t plain_whole(const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;

	for (size_t back = 1; back <= 3 && back <= n; back++) {
		size_t k = length_of(p[n - back]);

		if (k)
			return k > back ? n - back : n;
	}
	return n;
}
