/* SPDX-License-Identifier: MIT */
/* The table of words: texts, and where each pre-tokenizer cuts them (make_words.py made it). */
#ifndef TESTS_WORDS_TABLE_H
#define TESTS_WORDS_TABLE_H

#include "data.h"

DATA_FILE(word_table, "tests/unit/data/words.tsv");

#define MOST_WORDS 512
#define MOST_PRE 31

static struct {
	char *text;
	int n;
	char *words[MOST_PRE];	/* for each pre-tokenizer the bytes of each word */
} words[MOST_WORDS];
static char *words_pre[MOST_PRE];
static size_t n_words, n_pre;

static void read_words(void)
{
	struct data_line l = data_begin(word_table);

	for (bool head = true; data_next(&l); head = false) {
		for (size_t i = 0; i < l.n; i++) {
			if (head && i)
				words_pre[i - 1] = l.field[i].s;
			else if (!head)
				*(i ? &words[n_words].words[i - 1] : &words[n_words].text) =
					l.field[i].s;
			else
				free(l.field[i].s);
			if (!head && !i)
				words[n_words].n = l.field[i].n;
			l.field[i].s = NULL;
		}
		if (head)
			n_pre = l.n - 1;
		else
			n_words++;
	}
}

static void free_words(void)
{
	for (size_t k = 0; k < n_pre; k++)
		free(words_pre[k]);
	for (size_t i = 0; i < n_words; i++) {
		free(words[i].text);
		for (size_t k = 0; k < n_pre; k++)
			free(words[i].words[k]);
	}
}

#endif
