// SPDX-License-Identifier: MIT
/* The tokenizers beside llama.cpp: what it makes of texts is in tokens.h. */
#include "tap.h"
#include "tokens.h"
#include "vocab_build.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void spm_vocab(struct build *b)
{
	spm_begin();
	/* The scores of make_tokens.py. */
	for (size_t i = 0; i < N(spm_tokens); i++)
		add(spm_tokens[i], -(float)(i - i % 3), TOKEN_NORMAL);
	for (size_t i = v.n - 3; i < v.n; i++)
		v.p[i].score = 0;
	v.p[v.n - 3].type = TOKEN_CONTROL;
	v.p[v.n - 2].type = v.p[v.n - 1].type = TOKEN_USER;
	put_vocab(b, "llama", "default");
}

static void bpe_vocab(struct build *b, const char *pre)
{
	bpe_begin();
	for (size_t i = 0; i < N(bpe_tokens); i++)
		add(bpe_tokens[i], 0, TOKEN_NORMAL);
	v.p[v.n - 3].type = TOKEN_CONTROL;
	v.p[v.n - 2].type = v.p[v.n - 1].type = TOKEN_USER;
	put_vocab(b, "gpt2", pre);
	put_merges(b, bpe_merges, N(bpe_merges));
	build_key_u32(b, "tokenizer.ggml.bos_token_id", v.n - 3);
}

/* All lists of one kind. */
static void check(const char *pre, const struct tokenizer *t, bool parse)
{
	static char got[65536];
	size_t bad = 0, tried = 0, n;
	int32_t *ids;

	for (size_t i = 0; i < N(token_lists); i++) {
		const char *s = token_texts[token_lists[i].text].s;
		size_t size = token_texts[token_lists[i].text].n, at = 0;

		if (strcmp(token_lists[i].pre, pre) || token_lists[i].parse != parse)
			continue;
		tried++;
		if (tokenizer_encode(t, s, size, true, parse, &ids, &n)) {
			bad++;
			continue;
		}
		*got = 0;
		for (size_t k = 0; k < n && at < sizeof(got) - 16; k++)
			at += sprintf(got + at, "%s%d", k ? " " : "", ids[k]);
		free(ids);
		if (strcmp(got, token_lists[i].ids) && bad++ < 5)
			printf("# text %d \"%.*s\":\n#   %s\n#   llama.cpp: %s\n", token_lists[i].text,
			       (int)size, s, got, token_lists[i].ids);
	}
	ok(!bad && tried > 1, "%s%s: %zu of %zu texts as llama.cpp has them", pre,
	   parse ? " with control tokens" : "", tried - bad, tried);
}

int main(void)
{
	static const char *const pres[] = {
		"llama-bpe", "qwen2", "tekken", "deepseek-llm", "deepseek-v3", "gpt-2", "minerva-7b", "viking",
	};
	struct opened o;

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
	free(v.p);
	return done();
}
