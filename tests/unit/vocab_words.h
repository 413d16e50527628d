/* SPDX-License-Identifier: MIT */
/* A vocabulary of each kind with a few words, and what a text becomes with it. */
#ifndef TESTS_VOCAB_WORDS_H
#define TESTS_VOCAB_WORDS_H

#include "vocab_build.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define MARK "\xe2\x96\x81"

static bool encodes_n(const struct accel_tokenizer *t, const char *s, size_t n, bool special,
		      bool parse, const char *want)
{
	char got[1024] = "", *at = got;
	int32_t *ids;
	size_t n_ids;

	if (encode_text(t, s, n, special, parse, &ids, &n_ids))
		return false;
	for (size_t i = 0; i < n_ids && at < got + sizeof(got) - 16; i++)
		at += sprintf(at, "%s%d", i ? " " : "", ids[i]);
	free(ids);
	if (!strcmp(got, want))
		return true;
	printf("# got \"%s\", not \"%s\"\n", got, want);
	return false;
}

#define encodes(t, s, special, parse, want) encodes_n(t, s, strlen(s), special, parse, want)

static void spm_words(void)
{
	static const char *const pieces[] = {
		MARK,
		"e",
		"t",
		"h",
		"l",
		"o",
		"w",
		"r",
		"d",
		MARK "t",
		"he",
		MARK "the",
		"ll",
		"llo",
		"he"
		"llo",
		MARK "w",
		"or",
		"ld",
		MARK "wor",
		MARK "world",
		"\xc3\xa9",
		"<",
		"s",
		">",
		MARK MARK,
		"/",
		"<s",
		"</",
		"</s",
	};

	spm_begin();
	for (size_t i = 0; i < N(pieces); i++)
		add(pieces[i], -(float)i, TOKEN_NORMAL);
	add("<user>", 0, TOKEN_USER);			/* 288 */
	add("<user>+", 0, TOKEN_USER);			/* 289 */
	add("unused", 0, TOKEN_UNUSED);			/* 290 */
	add("</user>", 0, TOKEN_CONTROL);		/* 291 */
}

static const char *const merges[] = {
	"h e",	  "l l",	  "\xc4\xa0 w", "o r", "he ll",
	"hell o", "\xc4\xa0w or", "l d",	"1 2", "\xc4\xa0 \xc4\xa0",
};

static void bpe_words(void)
{
	static const char *const pieces[] = {
		"he", "ll", "\xc4\xa0w",	"or",	 "hell", "hello", "\xc4\xa0wor",
		"ld", "12", "\xc4\xa0\xc4\xa0", "world", /* 266: no merges lead there */
	};

	bpe_begin();
	for (size_t i = 0; i < N(pieces); i++)
		add(pieces[i], 0, TOKEN_NORMAL);
	add("<|bos|>", 0, TOKEN_CONTROL);		/* 267 */
	add("<|eot_id|>", 0, TOKEN_CONTROL);		/* 268 */
	add("orld", 0, TOKEN_CONTROL);			/* 269 */
}

#endif
