// SPDX-License-Identifier: MIT
/* Pre-tokenizers, which cut texts into words: against regular expressions (data/words.tsv). */
#include <errno.h>

#include "cpu_time.h"
#include "tap.h"
#include "text/vocab.h"
#include "words_table.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static char lengths[8192];

static int add_length(void *arg, const char *s, size_t n)
{
	size_t at = strlen(lengths);

	(void)arg;
	(void)s;
	snprintf(lengths + at, sizeof(lengths) - at, "%s%zu", at ? " " : "", n);
	return 0;
}

static int stop(void *arg, const char *s, size_t n)
{
	(void)s;
	(void)n;
	return ++*(int *)arg == 2 ? -ENOMEM : 0;
}

static void test_words(void)
{
	int calls = 0;

	for (size_t k = 0; k < n_pre; k++) {
		const struct pretokenizer *p =
			pretokenizer_find(words_pre[k], strlen(words_pre[k]));
		size_t bad = 0;

		for (size_t i = 0; p && i < n_words; i++) {
			lengths[0] = 0;
			words_of(p, words[i].text, words[i].n, add_length, NULL);
			if (strcmp(lengths, words[i].words[k]) && !bad++)
				printf("# text %zu \"%.*s\": %s, should be %s\n", i, words[i].n,
				       words[i].text, lengths, words[i].words[k]);
		}
		ok(p && !bad, "%s cuts %zu texts into words", words_pre[k], n_words);
		for (size_t i = 0; p && i < n_words; i++)
			words_of(p, words[i].text, words[i].n, stop, &(int) { 0 });
	}
	ok(words_of(pretokenizer_find("qwen2", 5), "a b c d", 7, stop, &calls) == -ENOMEM &&
		   calls == 2,
	   "cutting stops on an error");
	ok(!pretokenizer_find("llama-bp", 8) && !pretokenizer_find("", 0),
	   "no pre-tokenizer by another name");
}

/* Each takes time in proportion to the text, however odd. */
static void test_words_time(void)
{
	static const char *const odd[] = {
		" ",
		"\n",
		"a",
		"A",
		"1",
		"!",
		"\xe4\xb8\xad",
		"\xcc\x81",
		" \xe3\x80\x80",
		"\n ",
		"A\xe4\xb8\xad",
		"\xe2\x80\x8b",
		" x",
		"'",
		"\xf0\x9f\x98\x80",
		"a\xcc\x81",
	};
	enum { SIZE = 300000 };
	char *s = malloc(SIZE + 8);
	double t0 = cpu_seconds(), t;
	size_t n;

	for (size_t i = 0; i < N(odd); i++) {
		for (n = 0; n + strlen(odd[i]) <= SIZE; n += strlen(odd[i]))
			memcpy(s + n, odd[i], strlen(odd[i]));
		for (size_t k = 0; k < n_pre; k++) {
			const struct pretokenizer *p =
				pretokenizer_find(words_pre[k], strlen(words_pre[k]));
			int calls = -(1 << 30);

			words_of(p, s, n, stop, &calls);
			s[n] = 'x';	/* a run that does not reach the end */
			s[n + 1] = ' ';
			words_of(p, s, n + 2, stop, &calls);
		}
	}
	t = cpu_seconds() - t0;
	ok(t < 20, "long runs of one kind are cut in %.2f s", t);
	free(s);
}

int main(void)
{
	read_words();
	test_words();
	test_words_time();
	free_words();
	return done();
}
