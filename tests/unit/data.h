/* SPDX-License-Identifier: MIT */
/*
 * Tables that tests read, from tests/unit/data: lines of fields, a tab between two; "\x0a" stands
 * for a byte; lines that begin with "#" say something to people.
 */
#ifndef TESTS_DATA_H
#define TESTS_DATA_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Puts a file, by its path from the top of the tree, into the program: NAME[], NAME_end[]. */
#define DATA_FILE(name, path) \
	__asm__(".section .rodata\n" #name ": .incbin \"" path "\"\n" #name "_end:\n.previous\n"); \
	extern const char name[] __attribute__((visibility("hidden"))); \
	extern const char name##_end[] __attribute__((visibility("hidden")))

struct data_field {
	char *s;	/* ends with zero, which it may hold, too */
	size_t n;
};

struct data_line {
	const char *next, *end;	/* of the table; set by data_begin() */
	struct data_field field[32];
	size_t n;
};

__attribute__((unused))
static void data_free(struct data_line *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->field[i].s);
	l->n = 0;
}

#define data_begin(name) ((struct data_line) { .next = name, .end = name##_end })

__attribute__((unused))
static struct data_field data_unescaped(const char *s, size_t n)
{
	struct data_field f = { malloc(n + 1), 0 };

	if (!f.s)
		abort();
	for (size_t i = 0; i < n; f.n++) {
		char hex[3] = { 0 };

		if (s[i] == '\\' && i + 3 < n) {
			memcpy(hex, s + i + 2, 2);
			f.s[f.n] = strtoul(hex, NULL, 16);
			i += 4;
		} else {
			f.s[f.n] = s[i++];
		}
	}
	f.s[f.n] = 0;
	return f;
}

/* The next line, or false at the end; frees the one before. */
__attribute__((unused))
static bool data_next(struct data_line *l)
{
	const char *eol, *tab;

	data_free(l);
	do {
		if (l->next >= l->end)
			return false;
		eol = memchr(l->next, '\n', l->end - l->next);
		if (*l->next != '#')
			break;
		l->next = eol + 1;
	} while (1);
	for (const char *s = l->next; s <= eol && l->n < 32; s = tab + 1) {
		tab = memchr(s, '\t', eol - s);
		if (!tab)
			tab = eol;
		l->field[l->n++] = data_unescaped(s, tab - s);
	}
	l->next = eol + 1;
	return true;
}

#endif
