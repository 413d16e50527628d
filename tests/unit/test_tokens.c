// SPDX-License-Identifier: MIT
/* The tokenizers beside llama.cpp: what it makes of texts is in data/tokens.tsv. */
#include <stdbool.h>
#include <stdio.h>

#include "data.h"
#include "tap.h"
#include "vocab_build.h"

DATA_FILE(token_table, "tests/unit/data/tokens.tsv");

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define MOST_TEXTS 256

static struct data_field texts[MOST_TEXTS];
static size_t n_texts;

/* Adds the tokens of a kind, the scores of make_tokens.py, and the types of the last three. */
static void add_tokens(const char *kind)
{
	struct data_line l = data_begin(token_table);

	for (size_t i = 0; data_next(&l);)
		if (!strcmp(l.field[0].s, kind)) {
			add_copy(l.field[1].s, l.field[1].n, -(float)(i - i % 3), TOKEN_NORMAL);
			i++;
		}
	for (size_t i = v.n - 3; i < v.n; i++)
		v.p[i].score = 0;
	v.p[v.n - 3].type = TOKEN_CONTROL;
	v.p[v.n - 2].type = v.p[v.n - 1].type = TOKEN_USER;
}

static void spm_vocab(struct build *b)
{
	spm_begin();
	add_tokens("spm");
	put_vocab(b, "llama", "default");
}

static void bpe_vocab(struct build *b, const char *pre)
{
	struct data_line l = data_begin(token_table);
	const char *merges[2048];
	size_t n = 0;

	bpe_begin();
	add_tokens("bpe");
	put_vocab(b, "gpt2", pre);
	while (data_next(&l))
		if (!strcmp(l.field[0].s, "merge"))
			merges[n++] = strdup(l.field[1].s);
	put_merges(b, merges, n);
	while (n)
		free((char *)merges[--n]);
	build_key_u32(b, "tokenizer.ggml.bos_token_id", v.n - 3);
}

/* All lists of one kind. */
static void check(const char *pre, const struct accel_tokenizer *t, bool parse)
{
	struct data_line l = data_begin(token_table);
	static char got[65536];
	size_t bad = 0, tried = 0, n;
	int32_t *ids;

	while (data_next(&l)) {
		const struct data_field *f = l.field, *text;
		size_t at = 0;

		if (strcmp(f[0].s, parse ? "parsed" : "plain") || strcmp(f[1].s, pre))
			continue;
		text = &texts[atoi(f[2].s)];
		tried++;
		if (encode_text(t, text->s, text->n, true, parse, &ids, &n)) {
			bad++;
			continue;
		}
		*got = 0;
		for (size_t k = 0; k < n && at < sizeof(got) - 16; k++)
			at += sprintf(got + at, "%s%d", k ? " " : "", ids[k]);
		free(ids);
		if (strcmp(got, f[3].s) && bad++ < 5)
			printf("# text %s \"%.*s\":\n#   %s\n#   llama.cpp: %s\n", f[2].s,
			       (int)text->n, text->s, got, f[3].s);
	}
	ok(!bad && tried > 1, "%s%s: %zu of %zu texts as llama.cpp has them", pre,
	   parse ? " with control tokens" : "", tried - bad, tried);
}

static void read_texts(void)
{
	struct data_line l = data_begin(token_table);

	while (data_next(&l))
		if (!strcmp(l.field[0].s, "text") && n_texts < MOST_TEXTS) {
			texts[n_texts] = l.field[1];
			l.field[1].s = NULL;
			n_texts++;
		}
}

int main(void)
{
	static const char *const pres[] = {
		"llama-bpe", "qwen2",	       "tekken", "deepseek-llm", "deepseek-v3",
		"gpt-2",     "minerva-7b",     "viking", "poro-chat",	 "falcon",
		"default",   "deepseek-coder", "qwen35", "seed-coder",	 "ufakzeka",
		"minicpm5",  "gpt-4o",
	};
	struct opened o;

	read_texts();
	spm_vocab(&o.b);
	ok(!open_built(&o), "the SentencePiece vocabulary opens");
	check("spm", o.t, false);
	check("spm", o.t, true);
	close_built(&o);
	for (size_t i = 0; i < N(pres); i++) {
		bpe_vocab(&o.b, pres[i]);
		ok(!open_built(&o), "the vocabulary opens for %s", pres[i]);
		check(pres[i], o.t, false);
		check(pres[i], o.t, true);
		close_built(&o);
	}
	while (n_texts)
		free(texts[--n_texts].s);
	free(v.p);
	return done();
}
