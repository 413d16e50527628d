// SPDX-License-Identifier: MIT
#include "utf8.h"

#include <stdint.h>

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
