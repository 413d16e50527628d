// SPDX-License-Identifier: MIT
/* Texts out of files: always UTF-8, never a control, never half a character. */
#include <stdlib.h>

#include "error.h"
#include "plain.h"
#include "tap.h"

#include <accel/accel.h>

#define FFFD "\xef\xbf\xbd"

static void becomes(const char *what, const char *s, size_t n, const char *want)
{
	/* Of exactly its size, for the sanitizer. */
	char *exact = malloc(n ? n : 1), to[64];

	memcpy(exact, s, n);
	ok(!strcmp(plain_text(to, sizeof(to), exact, n), want), "%s", what);
	free(exact);
}

#define T(what, s, want) becomes(what, s, sizeof(s) - 1, want)

static void test_texts(void)
{
	T("nothing", "", "");
	T("ASCII", "Llama 3", "Llama 3");
	T("two, three and four bytes", "\u00f6\u2581\U0001F600", "\u00f6\u2581\U0001F600");
	T("Latin-1", "Gr\xf6\xdf" "e", "Gr" FFFD FFFD "e");
	T("half a character at the end", "a\xe2\x96", "a" FFFD FFFD);
	T("half a character in the middle", "\xe2\x96" "a", FFFD FFFD "a");
	T("too long a form", "\xc0\xaf\xe0\x80\xaf", FFFD FFFD FFFD FFFD FFFD);
	T("a surrogate", "\xed\xa0\x80", FFFD FFFD FFFD);
	T("beyond Unicode", "\xf4\x90\x80\x80\xf8\xff", FFFD FFFD FFFD FFFD FFFD FFFD);
	T("the last character of Unicode", "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
	T("C0 and DEL", "a\x1b[2J\x07\r\n\t\x7f", "a?[2J?????");
	T("C1: CSI in UTF-8", "a\xc2\x9b" "2J\xc2\x85", "a?2J?");
	T("a zero byte", "a\0b", "a?b");
	T("writing turned round", "a\u202eb\u2066c\u200f", "a?b?c?");
}

static void test_room(void)
{
	const char s[] = "\u0416\u0416\u0416";	/* of two bytes each */
	char to[8];
	size_t wrong = 0;

	for (size_t room = 1; room <= 8; room++) {
		memset(to, 'x', sizeof(to));
		plain_text(to, room, s, 6);
		wrong += strlen(to) != (room - 1) / 2 * 2 || memcmp(to, s, strlen(to));
	}
	ok(!wrong, "what does not fit is cut between characters");
	plain_text(to, 3, "\xff", 1);
	ok(!*to, "the replacement is not cut either");
	for (size_t n = 0; n <= 6; n++)
		wrong += plain_whole(s, n) != n / 2 * 2;
	ok(!wrong, "the whole characters of a text that was cut");
	ok(plain_whole("\x80\x80\x80\x80", 4) == 4, "what is not UTF-8 has no end to be looked for");
	ok(!strcmp(PLAIN("a\x1b"), "a?"), "a quoted name");
}

static void test_sentences(void)
{
	char name[600];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = "\xd0\x96"[i & 1];
	name[sizeof(name) - 1] = 0;
	for (int shift = 0; shift < 2; shift++) {
		char again[ACCEL_ERROR_MAX + 1];

		fail(-1, "%.*s%s", shift, "x", name);
		plain_text(again, sizeof(again), accel_error(), strlen(accel_error()));
		ok(!strcmp(again, accel_error()) && strlen(again) > 500 && !strstr(again, FFFD),
		   "a long sentence ends with a whole character (%d)", shift);
	}
	fail(-1, "the name \"a\x1b\xff\xc2\x9b\"");
	ok(!strcmp(accel_error(), "the name \"a?" FFFD "?\""), "a sentence is plain");
	fail(-1, "again: %s", accel_error());
	ok(!strncmp(accel_error(), "again: the name", 15), "a sentence may quote the one before");
}

int main(void)
{
	test_texts();
	test_room();
	test_sentences();
	return done();
}
