// SPDX-License-Identifier: MIT
/*
 * The tokenizers: words against regular expressions (data/words.tsv), merging against a slow and
 * plain search, the rest against what must come out; and vocabularies that mean harm.
 */
#include <errno.h>
#include <math.h>
#include <time.h>
#include <unistd.h>

#include "data.h"
#include "fail_alloc.h"
#include "gguf_build.h"
#include "tap.h"
#include "vocab_build.h"

DATA_FILE(word_table, "tests/unit/data/words.tsv");

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define MARK "\xe2\x96\x81"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static uint32_t random32(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* ---- the table of words ---- */

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

/* ---- comparing ---- */

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

/* Decodes token by token, as a text of its own; out takes everything. */
static size_t decode_all(const struct accel_tokenizer *t, const int32_t *ids, size_t n, char *out)
{
	struct accel_decoder *d;
	const char *text;
	size_t at = 0, len;

	if (accel_decoder_new(t, ACCEL_DECODE_BEGIN, &d))
		return 0;
	for (size_t i = 0; i <= n; i++) {
		len = i < n ? accel_decoder_push(d, ids[i], &text) : accel_decoder_end(d, &text);
		memcpy(out + at, text, len);
		at += len;
	}
	accel_decoder_free(d);
	return at;
}

static bool round_trip(const struct accel_tokenizer *t, const char *s, size_t n)
{
	char *out = malloc(4 * n + 4096);
	int32_t *ids;
	size_t n_ids, got;
	bool same;

	if (!out || encode_text(t, s, n, true, false, &ids, &n_ids))
		return false;
	got = decode_all(t, ids, n_ids, out);
	same = got == n && !memcmp(out, s, n);
	free(ids);
	free(out);
	return same;
}

static uint32_t size_of(const struct accel_tokenizer *t)
{
	struct accel_tokenizer_info info = { .sz = sizeof(info) };

	return accel_tokenizer_info(t, &info) ? 0 : info.n_tokens;
}

/* ---- words ---- */

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
	double t0 = now(), t;
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
	t = now() - t0;
	ok(t < 20, "long runs of one kind are cut in %.2f s", t);
	free(s);
}

/* ---- SentencePiece ---- */

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

static void test_spm(void)
{
	struct opened o;

	spm_words();
	put_vocab(&o.b, "llama", "default");
	if (!ok(!open_built(&o), "a SentencePiece vocabulary opens"))
		printf("# %s\n", err);
	ok(size_of(o.t) == v.n, "its size");
	ok(encodes(o.t, "", true, true, "1"), "nothing is a beginning");
	ok(encodes(o.t, "", false, true, ""), "nothing is nothing");
	ok(encodes(o.t, "the world", true, false, "1 270 278"), "\"the world\"");
	ok(encodes(o.t, "hello", false, false, "259 273"), "\"hello\"");
	ok(encodes(o.t, "  the", false, false, "283 270"), "spaces merge");
	ok(encodes(o.t, "\xc3\xa9\xc3\xa8", false, false, "259 279 198 171"),
	   "a letter, and one of bytes");
	ok(encodes(o.t, "\n", false, false, "259 13"), "a line end is a byte");
	/* Control tokens only when asked for, and never by merging. */
	ok(encodes(o.t, "</s>", false, false, "259 287 282"),
	   "a control token in plain text is text");
	ok(encodes(o.t, "</s>", false, true, "2"), "a control token");
	ok(encodes(o.t, "the</s>the", true, true, "1 270 2 270"), "the text after it begins anew");
	ok(encodes(o.t, "<unk>", false, true, "0"), "the unknown token counts as one");
	ok(encodes(o.t, "<user>the<user>", false, false, "288 270 288"), "user tokens in any text");
	ok(encodes(o.t, "<user>+<user>", false, false, "289 288"), "the longest of them");
	ok(encodes(o.t, "</user>", false, true, "291"), "a control token that looks like them");
	/* As the first bytes of damaged characters say. */
	ok(encodes_n(o.t, "\xc3", 1, false, false, "259 198"), "a character that is cut");
	ok(encodes_n(o.t, "\xff\x80", 2, false, false, "259 258 131"),
	   "bytes that are no characters");
	ok(encodes_n(o.t, "t\0t", 3, false, false, "268 3 261"), "a zero byte");
	close_built(&o);
}

static void test_spm_keys(void)
{
	struct opened o;
	int32_t id = 0;
	size_t n = 1;

	spm_words();
	put_vocab(&o.b, "llama", NULL);
	build_key_bool(&o.b, "tokenizer.ggml.add_bos_token", 0);
	build_key_bool(&o.b, "tokenizer.ggml.add_eos_token", 1);
	build_key_bool(&o.b, "tokenizer.ggml.add_space_prefix", 0);
	build_key_u32(&o.b, "tokenizer.ggml.eos_token_id", 291);
	build_key_u32(&o.b, "tokenizer.ggml.eot_token_id", 288);
	ok(!open_built(&o), "keys for what is added");
	ok(encodes(o.t, "hello", true, true, "273 291"), "no beginning, no space, an end");
	ok(!accel_tokenizer_encode(o.t, "hello", 5, ACCEL_ENCODE_BEGIN, &id, &n) && n == 1 && id == 273,
	   "what is to be continued has no end");
	ok(accel_token_ends(o.t, 291) && accel_token_ends(o.t, 288) && accel_token_ends(o.t, 2) &&
		   !accel_token_ends(o.t, 1) && !accel_token_ends(o.t, -1) &&
		   !accel_token_ends(o.t, 100000),
	   "tokens that end an answer");
	close_built(&o);

	/* Without byte tokens there is the unknown token; without that, an error. */
	for (int unknown = 0; unknown < 2; unknown++) {
		int32_t *ids = NULL;
		size_t n;

		vocab_begin();
		add("a", 0, TOKEN_NORMAL);
		add("<s>", 0, TOKEN_CONTROL);
		add(MARK, 0, TOKEN_NORMAL);
		put_vocab(&o.b, "llama", NULL);
		build_key_u32(&o.b, "tokenizer.ggml.unknown_token_id", unknown ? 0 : UINT32_MAX);
		ok(!open_built(&o), "a vocabulary without bytes");
		if (unknown)
			ok(encodes(o.t, "ab", false, false, "2 0 0"),
			   "what it cannot spell is unknown");
		else
			ok(encode_text(o.t, "ab", 2, false, false, &ids, &n) == -EILSEQ,
			   "or cannot be encoded");
		close_built(&o);
	}
}

/* The same by search through all pairs, again and again. */
static size_t slow_merge(const char *s, size_t n, int32_t *ids)
{
	struct { uint32_t at, n; } y[256];
	size_t count = 0, n_ids = 0;

	for (size_t i = 0; i < n; i++, count++) {
		y[count].at = i;
		y[count].n = 1;
	}
	for (;;) {
		size_t best = count;
		float score = 0;

		for (size_t i = 0; i + 1 < count; i++)
			for (size_t k = 259; k < v.n; k++)
				if (v.p[k].n == y[i].n + y[i + 1].n &&
				    !memcmp(v.p[k].text, s + y[i].at, v.p[k].n)) {
					if (best == count || v.p[k].score > score) {
						best = i;
						score = v.p[k].score;
					}
					break;
				}
		if (best == count)
			break;
		y[best].n += y[best + 1].n;
		count--;
		memmove(y + best + 1, y + best + 2, (count - best - 1) * sizeof(y[0]));
	}
	for (size_t i = 0; i < count; i++)
		for (size_t k = 259; k < v.n; k++)
			if (v.p[k].n == y[i].n && !memcmp(v.p[k].text, s + y[i].at, y[i].n)) {
				ids[n_ids++] = k;
				break;
			}
	return n_ids;
}

static void test_spm_merging(void)
{
	static const char *const letters[] = { "a", "b", "c" };
	size_t bad = 0, tried = 0, n_ids, n_want;
	uint64_t seed = 5;
	int32_t want[256], *ids;
	struct opened o;
	char s[200];

	for (int round = 0; round < 20; round++) {
		spm_begin();
		for (size_t i = 0; i < 3; i++)
			add(letters[i], -10, TOKEN_NORMAL);
		for (int i = 0; i < 60; i++) {
			size_t n = 2 + random32(&seed) % 5;

			for (size_t k = 0; k < n; k++)
				s[k] = 'a' + random32(&seed) % 3;
			/* Few scores, so that many are equal. */
			add_copy(s, n, -(float)(random32(&seed) % 4), TOKEN_NORMAL);
		}
		put_vocab(&o.b, "llama", NULL);
		build_key_bool(&o.b, "tokenizer.ggml.add_space_prefix", 0);
		if (open_built(&o))
			break;
		for (int i = 0; i < 50; i++, tried++) {
			size_t n = 1 + random32(&seed) % sizeof(s);

			for (size_t k = 0; k < n; k++)
				s[k] = 'a' + random32(&seed) % 3;
			n_want = slow_merge(s, n, want);
			if (encode_text(o.t, s, n, false, false, &ids, &n_ids))
				continue;
			bad += n_ids != n_want || memcmp(ids, want, n_ids * sizeof(*ids));
			free(ids);
		}
		close_built(&o);
	}
	ok(!bad && tried == 1000, "merging by the heap is merging by search, on %zu texts", tried);
}

/* ---- BPE ---- */

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

static void test_bpe(void)
{
	struct opened o;

	bpe_words();
	put_vocab(&o.b, "gpt2", "llama-bpe");
	put_merges(&o.b, merges, N(merges));
	build_key_u32(&o.b, "tokenizer.ggml.bos_token_id", 267);
	if (!ok(!open_built(&o), "a byte-level vocabulary opens"))
		printf("# %s\n", err);
	ok(encodes(o.t, "hello world", true, false, "267 261 262 263"), "\"hello world\"");
	ok(encodes(o.t, "world", false, false, "266"), "a word that is a token needs no merges");
	ok(encodes(o.t, "he12345", false, true, "256 264 51 52 53"), "digits by threes");
	ok(encodes(o.t, "<|bos|>", false, false, "60 124 98 111 115 124 62"),
	   "a control token in plain text is text");
	ok(encodes(o.t, "he<|bos|>he", false, true, "256 267 256"), "a control token");
	ok(encodes(o.t, "orld", false, false, "259 263"), "a word may not be a control token");
	ok(encodes(o.t, "   ", false, false, "265 32"), "spaces");
	ok(encodes_n(o.t,
		     "\xff"
		     "he",
		     3, false, false, "239 191 189 256"),
	   "what is not UTF-8 becomes U+FFFD");
	ok(encodes_n(o.t, "\xed\xa0\x80", 3, false, false, "239 191 189 239 191 189 239 191 189"),
	   "a surrogate");
	ok(encodes_n(o.t, "a\0", 2, false, false, "97 0"), "a zero byte");
	ok(accel_token_ends(o.t, 268) && !accel_token_ends(o.t, 267) && !accel_token_ends(o.t, 266),
	   "tokens that end an answer");
	close_built(&o);

	put_vocab(&o.b, "gpt2", "qwen2");
	put_merges(&o.b, merges, N(merges));
	ok(!open_built(&o), "qwen2 without a beginning");
	ok(encodes(o.t, "world", true, false, "119 259 263"), "qwen2 merges");
	ok(encodes(o.t, "12", true, true, "49 50"), "and takes digits one by one");
	close_built(&o);
}

static void test_round_trips(void)
{
	static const char *const pres[] = {
		"llama-bpe",   "qwen2", "tekken",     "deepseek-llm",
		"deepseek-v3", "gpt-2", "minerva-7b", "viking",
	};
	struct opened o;
	size_t bad = 0;

	spm_words();
	put_vocab(&o.b, "llama", NULL);
	open_built(&o);
	for (size_t i = 0; i < n_words; i++)
		bad += !round_trip(o.t, words[i].text, words[i].n);
	ok(!bad, "SentencePiece: %zu texts there and back", n_words);
	close_built(&o);
	for (size_t k = 0; k < N(pres); k++) {
		bpe_words();
		put_vocab(&o.b, "gpt2", pres[k]);
		put_merges(&o.b, merges, N(merges));
		build_key_u32(&o.b, "tokenizer.ggml.bos_token_id", 267);
		bad = open_built(&o) ? 1 : 0;
		for (size_t i = 0; !bad && i < n_words; i++)
			bad += !round_trip(o.t, words[i].text, words[i].n);
		ok(!bad, "%s: %zu texts there and back", pres[k], n_words);
		close_built(&o);
	}
}

/* ---- the stream ---- */

/* What pushing the token shows. */
static bool shows(struct accel_decoder *d, int32_t id, const char *want)
{
	const char *text;
	size_t n = accel_decoder_push(d, id, &text);

	if (n == strlen(want) && !memcmp(text, want, n))
		return true;
	printf("# token %d shows \"%.*s\", not \"%s\"\n", id, (int)n, text, want);
	return false;
}

static void test_stream(void)
{
	struct accel_decoder *d;
	const char *text;
	struct opened o;

	spm_words();
	put_vocab(&o.b, "llama", NULL);
	open_built(&o);
	ok(!accel_decoder_new(o.t, ACCEL_DECODE_BEGIN, &d), "a decoder");
	ok(shows(d, 1, ""), "a control token is not shown");
	ok(shows(d, 270, "the"), "the first space is not shown");
	ok(shows(d, 270, " the"), "the next is");
	/* U+1F600 byte by byte */
	ok(shows(d, 3 + 0xf0, "") && shows(d, 3 + 0x9f, "") && shows(d, 3 + 0x98, ""),
	   "parts of a character are held back");
	ok(shows(d, 3 + 0x80, "\xf0\x9f\x98\x80"), "until it is complete");
	ok(shows(d, 3 + 0xe2, "") && shows(d, 270, "\xe2 the"), "or turns out to be none");
	ok(shows(d, 3 + 0xff, "\xff"), "a byte that begins nothing is let through");
	ok(shows(d, -1, "") && shows(d, INT32_MAX, ""), "no such token");
	ok(shows(d, 290, ""), "an unused token");
	ok(shows(d, 3 + 0xc3, "") && accel_decoder_end(d, &text) == 1 && *text == '\xc3' &&
	   !accel_decoder_end(d, &text), "the end shows what is left");
	ok(shows(d, 259, "") && shows(d, 270, " the"),
	   "it begins anew, and only one space is not shown");
	accel_decoder_free(d);

	/* What continues a prompt: a new word and the rest of one differ. */
	accel_decoder_new(o.t, 0, &d);
	ok(shows(d, 278, " world") && shows(d, 276, "ld"),
	   "a text that goes on keeps its first space");
	accel_decoder_end(d, &text);
	ok(shows(d, 276, "ld"), "or has none");
	ok(shows(d, 291, ""), "and shows no control token");
	accel_decoder_free(d);
	accel_decoder_new(o.t, ACCEL_DECODE_SPECIAL, &d);
	ok(shows(d, 291, "</user>") && shows(d, 0, "<unk>") && shows(d, 290, ""),
	   "unless asked for");
	accel_decoder_free(d);
	ok(accel_decoder_new(o.t, 4, &d) == -EINVAL && !d, "an unknown flag");
	accel_decoder_free(NULL);
	close_built(&o);
}

/* ---- what a vocabulary says ---- */

static void test_info(void)
{
	struct accel_tokenizer_info info = { .sz = sizeof(info) };
	const int32_t *ends;
	struct opened o;
	const char *s;
	int32_t ids[8];
	size_t n;

	spm_words();
	put_vocab(&o.b, "llama", "default");
	build_key_u32(&o.b, "tokenizer.ggml.eot_token_id", 288);
	open_built(&o);
	ok(!accel_tokenizer_info(o.t, &info) && info.n_tokens == v.n && info.bos == 1 &&
		   info.eos == 2 && info.eot == 288 && info.eom == -1 && info.unknown == 0 &&
		   info.add_bos && !info.add_eos && info.add_space && !strcmp(info.kind, "spm") &&
		   !*info.pre && !*info.note,
	   "what it is");
	info = (struct accel_tokenizer_info) { .sz = offsetof(struct accel_tokenizer_info, eos) };
	ok(!accel_tokenizer_info(o.t, &info) && info.bos == 1 && !info.eos && !info.kind,
	   "for a caller who knows less");
	info.sz = 4;
	ok(accel_tokenizer_info(o.t, &info) == -EINVAL, "for one who knows nothing");
	ok(accel_token_attr(o.t, 0) == ACCEL_TOKEN_UNKNOWN &&
		   accel_token_attr(o.t, 1) == ACCEL_TOKEN_CONTROL &&
		   accel_token_attr(o.t, 2) == (ACCEL_TOKEN_CONTROL | ACCEL_TOKEN_END) &&
		   accel_token_attr(o.t, 3) == ACCEL_TOKEN_BYTE && !accel_token_attr(o.t, 270) &&
		   accel_token_attr(o.t, 288) == (ACCEL_TOKEN_USER | ACCEL_TOKEN_END) &&
		   accel_token_attr(o.t, 290) == ACCEL_TOKEN_UNUSED && !accel_token_attr(o.t, -1) &&
		   !accel_token_attr(o.t, 1 << 30),
	   "attributes of tokens");
	s = accel_token_text(o.t, 270, &n);
	ok(n == 6 && !memcmp(s, MARK "the", 6) && !accel_token_text(o.t, 292, &n) && !n,
	   "their text");
	ok(accel_token_find(o.t, "<user>", 6) == 288 && accel_token_find(o.t, "<user", 5) == -1,
	   "and the way back");
	ends = accel_tokenizer_ends(o.t, &n);
	ok(n == 2 && ends[0] == 2 && ends[1] == 288, "all that end");
	n = 2;
	ok(accel_tokenizer_encode(o.t, "the world", 9, ACCEL_ENCODE_ENDS, ids, &n) == -ENOSPC &&
		   n == 3,
	   "little room for tokens, and how much would do");
	ok(!accel_tokenizer_encode(o.t, "the world", 9, ACCEL_ENCODE_ENDS, ids, &n) && n == 3 &&
		   ids[2] == 278,
	   "with as much");
	n = 0;
	ok(!accel_tokenizer_encode(o.t, "", 0, 0, NULL, &n) && !n, "nothing");
	n = 8;
	ok(!accel_tokenizer_encode(o.t, "hello", 5, ACCEL_ENCODE_JOIN, ids, &n) && n == 1 &&
		   ids[0] == 273,
	   "a text that goes on gets no space");
	ok(accel_tokenizer_encode(o.t, "", 0, 16, ids, &n) == -EINVAL, "an unknown flag");
	n = 8;
	accel_tokenizer_encode(o.t, "<s>the", 6, ACCEL_ENCODE_ENDS | ACCEL_ENCODE_SPECIAL, ids, &n);
	ok(accel_tokenizer_double_bos(o.t, ids, n) &&
		   !accel_tokenizer_double_bos(o.t, ids + 1, n - 1) &&
		   !accel_tokenizer_double_bos(o.t, ids, 1),
	   "two beginnings are noticed");
	close_built(&o);
}

/* ---- ends by their text ---- */

static bool ends_by_text(const char *text, int32_t type, const char *model)
{
	struct opened o;
	char s[128];
	bool good;

	if (*model == 'g') {
		bpe_words();
		add(text, 0, type);
		put_vocab(&o.b, model, "qwen2");
		put_merges(&o.b, merges, N(merges));
	} else {
		spm_words();
		add(text, 0, type);
		put_vocab(&o.b, model, NULL);
	}
	good = !open_built(&o) && accel_token_ends(o.t, v.n - 1) &&
	       (accel_token_attr(o.t, v.n - 1) & ACCEL_TOKEN_CONTROL);
	/* In prompts it is one token, in plain text none. */
	snprintf(s, sizeof(s), "%zu", v.n - 1);
	good = good && encodes(o.t, text, false, true, s);
	if (good) {
		int32_t *ids;
		size_t n;

		good = !encode_text(o.t, text, strlen(text), false, false, &ids, &n) && n > 1;
		free(ids);
	}
	close_built(&o);
	return good;
}

static void test_ends(void)
{
	static const char *const texts[] = {
		"<|im_end|>",
		"<|eom_id|>",
		"<|end_of_text|>",
		"<|endoftext|>",
		"<end_of_turn>",
		"<|end|>",
		"<|return|>",
		"<|call|>",
		"<EOT>",
		"[EOT]",
		"[EOS]",
		"<eos>",
		"<end_of_utterance>",
		"<\uff5cend\u2581of\u2581sentence\uff5c>",
		"<|fim_pad|>",
		"<|file_sep|>",
	};
	static const int32_t types[] = { TOKEN_NORMAL, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED };
	struct opened o;

	for (size_t i = 0; i < N(texts); i++) {
		bool good = true;

		for (size_t k = 0; k < N(types); k++)
			good &= ends_by_text(texts[i], types[k], "llama") &&
				ends_by_text(texts[i], types[k], "gpt2");
		ok(good, "%s ends, whatever the file says of it", texts[i]);
	}
	/* gpt-oss: "<|end|>" ends a part of the answer, and its headers are shown. */
	spm_words();
	add("<|end|>", 0, TOKEN_CONTROL);		/* 292 */
	add("<|return|>", 0, TOKEN_CONTROL);
	add("<|call|>", 0, TOKEN_CONTROL);
	add("<|channel|>", 0, TOKEN_CONTROL);
	put_vocab(&o.b, "llama", NULL);
	open_built(&o);
	ok(!accel_token_ends(o.t, 292) && accel_token_ends(o.t, 293) &&
		   accel_token_ends(o.t, 294) && accel_token_attr(o.t, 295) == ACCEL_TOKEN_USER,
	   "the parts of gpt-oss's answers");
	close_built(&o);
	/* What the chat format of the file ends a turn with, ends it. */
	for (int has = 0; has < 2; has++) {
		spm_words();
		add("<|assistant_end|>", 0, TOKEN_CONTROL);
		put_vocab(&o.b, "llama", NULL);
		if (has)
			build_key_text(&o.b, "tokenizer.chat_template",
				       "<|user_start|> <|assistant_start|>");
		open_built(&o);
		ok(accel_token_ends(o.t, 292) == has, "the end of the chat format%s",
		   has ? "" : ", which there is not");
		close_built(&o);
	}
}

/* ---- pre-tokenizers that are not named, or by another name ---- */

static void test_pre(void)
{
	static const struct {
		const char *name, *is;
	} others[] = {
		{ "llama3", "llama-bpe" },
		{ "pixtral", "llama-bpe" },
		{ "falcon3", "llama-bpe" },
		{ "smaug-bpe", "smaug-bpe" },
		{ "dbrx", "smaug-bpe" },
		{ "mellum", "gpt-2" },
		{ "jina-v2-es", "gpt-2" },
		{ "phi-2", "gpt-2" },
		{ "deepseek-coder", "deepseek-coder" },
		{ "deepseek-r1-qwen", "qwen2" },
		{ "megrez", "qwen2" },
		{ "starcoder", "smollm" },
		{ "command-r", "smollm" },
		{ "minerva-7b", "smollm" },
		{ "default", "default" },
		{ "llama4", "gpt-4o" },
		{ "hunyuan-dense", "deepseek-v3" },
		{ "bloom", "poro-chat" },
	};
	struct accel_tokenizer_info info = { .sz = sizeof(info) };
	struct opened o;

	for (size_t i = 0; i < N(others); i++) {
		bpe_words();
		put_vocab(&o.b, "gpt2", others[i].name);
		put_merges(&o.b, merges, N(merges));
		build_key_u32(&o.b, "tokenizer.ggml.bos_token_id", 267);
		ok(!open_built(&o) && !accel_tokenizer_info(o.t, &info) &&
			   !strcmp(info.pre, others[i].is) && !*info.note,
		   "the pre-tokenizer %s", others[i].name);
		close_built(&o);
	}
	for (int llama3 = 0; llama3 < 2; llama3++) {
		bpe_words();
		if (llama3)
			add("<|begin_of_text|>", 0, TOKEN_CONTROL);		/* 270 */
		put_vocab(&o.b, "gpt2", llama3 ? "" : NULL);
		put_merges(&o.b, merges, N(merges));
		open_built(&o);
		accel_tokenizer_info(o.t, &info);
		ok(!strcmp(info.pre, llama3 ? "llama-bpe" : "default") &&
			   strstr(info.note, "does not name"),
		   "none is named: %s", info.note);
		ok(info.add_bos == llama3 && info.bos == (llama3 ? 270 : -1), "its beginning");
		close_built(&o);
	}
}

/* ---- vocabularies that are damaged or mean harm ---- */

static bool refused(struct opened *o, const char *word)
{
	int rc = open_built(o);
	bool good = rc == -EINVAL && !o->t && strstr(err, word);

	if (!good)
		printf("# rc %d, \"%s\" should hold \"%s\"\n", rc, err, word);
	close_built(o);
	return good;
}

static void test_refused(void)
{
	static const char *const bad_models[] = { "bert", "t5", "rwkv", "llama2", "", "gpt" };
	static const char *const bad_pres[] = { "superbpe", "llama-bp", "llama-bpe2", "llama3 ",
						" " };
	struct opened o;

	build_begin(&o.b);
	ok(refused(&o, "no tokenizer"), "no tokenizer");
	for (size_t i = 0; i < N(bad_models); i++) {
		spm_words();
		put_vocab(&o.b, bad_models[i], NULL);
		ok(refused(&o, "is not supported"), "the tokenizer \"%s\"", bad_models[i]);
	}
	for (size_t i = 0; i < N(bad_pres); i++) {
		bpe_words();
		put_vocab(&o.b, "gpt2", bad_pres[i]);
		put_merges(&o.b, merges, N(merges));
		ok(refused(&o, "deepseek-v3"),
		   "the pre-tokenizer \"%s\"; the sentence names others", bad_pres[i]);
	}
	spm_words();
	put_vocab(&o.b, "\x1b[2J", NULL);
	ok(refused(&o, "\"?[2J\""), "a name that talks to the terminal");
	bpe_words();
	put_vocab(&o.b, "gpt2", "llama-bpe");
	ok(refused(&o, "tokenizer.ggml.merges"), "no merges");
	build_begin(&o.b);
	build_key_text(&o.b, "tokenizer.ggml.model", "llama");
	ok(refused(&o, "tokenizer.ggml.tokens"), "no tokens");
	build_begin(&o.b);
	build_key_text(&o.b, "tokenizer.ggml.model", "llama");
	build_key_array(&o.b, "tokenizer.ggml.tokens", GGUF_STRING, 0);
	ok(refused(&o, "tokenizer.ggml.tokens"), "an empty list of tokens");
	build_begin(&o.b);
	build_key_text(&o.b, "tokenizer.ggml.model", "llama");
	build_key_array(&o.b, "tokenizer.ggml.tokens", GGUF_I32, 1);
	build_bytes(&o.b, "abcd", 4);
	ok(refused(&o, "tokenizer.ggml.tokens"), "tokens that are numbers");
}

static void test_damaged(void)
{
	static const char *const flags[] = { "add_bos_token", "add_eos_token", "add_space_prefix" };
	char key[64], *large;
	struct opened o;

	/* Arrays that do not agree: CVE-2025-52566 and its kin */
	for (int what = 0; what < 3; what++) {
		static const char *const word[] = { "scores\"", "token_type\"", "score 1 of" };

		build_begin(&o.b);
		build_key_text(&o.b, "tokenizer.ggml.model", "llama");
		build_key_array(&o.b, "tokenizer.ggml.tokens", GGUF_STRING, 3);
		build_text(&o.b, "a");
		build_text(&o.b, "b");
		build_text(&o.b, "c");
		build_key_array(&o.b, "tokenizer.ggml.scores", GGUF_F32, what == 0 ? 2 : 3);
		build_bytes(&o.b, (float []) { 0, what == 2 ? NAN : 1, 2 }, what == 0 ? 8 : 12);
		build_key_array(&o.b, "tokenizer.ggml.token_type", GGUF_I32, what == 1 ? 4 : 3);
		build_bytes(&o.b, (int32_t []) { 1, 1, 1, 1 }, what == 1 ? 16 : 12);
		ok(refused(&o, word[what]), "%s is wrong", word[what]);
	}
	for (size_t i = 0; i < N(flags); i++) {
		spm_words();
		put_vocab(&o.b, "llama", NULL);
		snprintf(key, sizeof(key), "tokenizer.ggml.%s", flags[i]);
		build_key_u32(&o.b, key, 2);
		ok(refused(&o, "is 2, neither true nor false"), "%s that is 2", flags[i]);
	}
	/* CVE-2025-49847: a token longer than the buffer for its text */
	large = malloc(2049);
	memset(large, 'x', 2049);
	spm_begin();
	add_n(large, 2049, 0, TOKEN_NORMAL);
	put_vocab(&o.b, "llama", NULL);
	ok(refused(&o, "2049 bytes long"), "a token that is too long");
	spm_begin();
	add_n(large, 2048, 0, TOKEN_NORMAL);
	put_vocab(&o.b, "llama", NULL);
	ok(!open_built(&o), "the longest token");
	{
		struct accel_decoder *d;
		const char *text;

		accel_decoder_new(o.t, 0, &d);
		accel_decoder_push(d, 3 + 0xf0, &text);
		accel_decoder_push(d, 3 + 0x9f, &text);
		accel_decoder_push(d, 3 + 0x98, &text);
		ok(accel_decoder_push(d, 259, &text) == 2051, "is shown");
		accel_decoder_free(d);
	}
	close_built(&o);
	free(large);
}

/* ---- what files say of their special tokens, and do not mean ---- */

/* Opens spm_words() with one more key of numbers: an array of them if n is not 0. */
static int with_key(struct opened *o, const char *key, enum gguf_type type, const void *data, size_t n)
{
	char name[64];

	spm_words();
	put_vocab(&o->b, "llama", NULL);
	snprintf(name, sizeof(name), "tokenizer.ggml.%s", key);
	if (n)
		build_key_array(&o->b, name, type, n);
	else
		build_key(&o->b, name, type);
	build_bytes(&o->b, data, 4 * (n ? n : 1));
	return open_built(o);
}

static void test_odd_ids(void)
{
	static const struct {
		const char *key;
		enum gguf_type type;
		int32_t v;
		size_t field;		/* of what is said */
		int32_t want;
	} ids[] = {
		{ "bos_token_id", GGUF_U32, 292, offsetof(struct accel_tokenizer_info, bos), 1 },
		{ "eos_token_id", GGUF_U32, INT32_MIN, offsetof(struct accel_tokenizer_info, eos), 2 },
		{ "unknown_token_id", GGUF_U32, -2, offsetof(struct accel_tokenizer_info, unknown), 0 },
		{ "eot_token_id", GGUF_I32, 100000, offsetof(struct accel_tokenizer_info, eot), 288 },
		{ "eos_token_id", GGUF_U32, -1, offsetof(struct accel_tokenizer_info, eos), -1 },
		{ "eos_token_id", GGUF_I32, -1, offsetof(struct accel_tokenizer_info, eos), -1 },
		{ "eos_token_id", GGUF_I32, -7, offsetof(struct accel_tokenizer_info, eos), 2 },
		{ "eos_token_id", GGUF_F32, 0x40400000, offsetof(struct accel_tokenizer_info, eos), 3 },
	};
	struct accel_tokenizer_info info = { .sz = sizeof(info) };
	struct opened o;

	for (size_t i = 0; i < N(ids); i++) {
		int rc = with_key(&o, ids[i].key, ids[i].type, &ids[i].v, 0);
		int32_t *id = (int32_t *)((char *)&info + ids[i].field);

		ok(!rc && !accel_tokenizer_info(o.t, &info) &&
			   (ids[i].want < 0 || ids[i].want == 288 || *id == ids[i].want) &&
			   (ids[i].want >= 0 || *id == -1) &&
			   !*info.note == (ids[i].want == -1 || ids[i].want == 3),
		   "%s of %d: %d (%s)", ids[i].key, ids[i].v, *id, rc ? err : info.note);
		close_built(&o);
	}
	ok(with_key(&o, "eos_token_id", GGUF_F32, &(float) { 2.5 }, 0) == -EINVAL &&
		   strstr(err, "is 2.5, not the number of a token"), "half a token: %s", err);
	close_built(&o);
	ok(!with_key(&o, "bos_token_id", GGUF_I32, &(int32_t) { -1 }, 0) &&
		   !accel_tokenizer_info(o.t, &info) && !info.add_bos && strstr(info.note, "should begin") &&
		   encodes(o.t, "hello", true, false, "259 273"), "no token begins a text: %s", info.note);
	close_built(&o);
	ok(!with_key(&o, "add_bos_token", GGUF_I32, &(int32_t) { 0 }, 0) &&
		   encodes(o.t, "hello", true, false, "259 273"), "false as a number");
	close_built(&o);
}

/* Generation ends with any of several tokens, of which the first ends a text. */
static void test_lists_of_ends(void)
{
	static const char *const keys[] = { "eos_token_id", "eos_token_ids" };
	struct accel_tokenizer_info info = { .sz = sizeof(info) };
	struct opened o;

	for (size_t i = 0; i < N(keys); i++) {
		ok(!with_key(&o, keys[i], GGUF_I32, (int32_t []) { 291, 270, 100000, -1 }, 4) &&
			   !accel_tokenizer_info(o.t, &info) && info.eos == 291 &&
			   accel_token_ends(o.t, 291) && accel_token_ends(o.t, 270) &&
			   !accel_token_ends(o.t, 271), "%s as a list", keys[i]);
		close_built(&o);
	}
	spm_words();
	put_vocab(&o.b, "llama", NULL);
	build_key_array(&o.b, "tokenizer.ggml.eos_token_id", GGUF_I32, 0);
	ok(!open_built(&o) && !accel_tokenizer_info(o.t, &info) && info.eos == 2, "an empty list is none");
	close_built(&o);
}

/* Kinds of tokens that nobody has defined, and scores where they are nothing. */
static void test_odd_lists(void)
{
	struct opened o;

	spm_words();
	v.p[270].type = 7;
	v.p[271].type = -1;
	put_vocab(&o.b, "llama", NULL);
	ok(!open_built(&o) && encodes(o.t, "the world", true, false, "1 270 278") &&
		   !accel_token_attr(o.t, 271), "unknown kinds of tokens are ordinary");
	close_built(&o);
	bpe_words();
	build_begin(&o.b);
	build_key_text(&o.b, "tokenizer.ggml.model", "gpt2");
	build_key_text(&o.b, "tokenizer.ggml.pre", "llama-bpe");
	build_key_array(&o.b, "tokenizer.ggml.tokens", GGUF_STRING, v.n);
	for (size_t i = 0; i < v.n; i++)
		build_text_n(&o.b, v.p[i].text, v.p[i].n);
	build_key_array(&o.b, "tokenizer.ggml.scores", GGUF_F32, 2);
	build_bytes(&o.b, (float []) { NAN, 1 }, 8);
	put_merges(&o.b, merges, N(merges));
	ok(!open_built(&o) && !o.t->add_bos && *o.t->note,
	   "byte-level BPE needs no scores, and no beginning: %s", o.t ? o.t->note : err);
	close_built(&o);
}

/* What a file says that changes while it is read is not believed. */
static void test_changed(void)
{
	char path[] = "/tmp/octans-vocabulary-XXXXXX";
	struct accel_tokenizer *t = NULL;
	int fd = mkstemp(path), before, after;
	struct opened o;

	spm_words();
	put_vocab(&o.b, "llama", NULL);
	if (fd < 0 || write(fd, o.b.p, o.b.n) != (ssize_t)o.b.n ||
	    gguf_open(path, &o.g, err, sizeof(err))) {
		ok(false, "a file: %s", err);
		return;
	}
	before = tokenizer_new(o.g, &o.t);
	usleep(50000);		/* a clock tick of the file's */
	after = pwrite(fd, o.b.p, 1, 0) == 1 ? tokenizer_new(o.g, &t) : 0;
	ok(!before && after == -EIO && !t && strstr(accel_error(), "load it again"),
	   "a vocabulary of a file that was written to: %s", accel_error());
	ok(encodes(o.t, "the world", true, false, "1 270 278"), "the one read before is whole");
	close_built(&o);
	close(fd);
	unlink(path);
}

static void test_hostile(void)
{
	static const char *const odd_merges[] = {
		"",    " ",   "  ",    "a",	    "a ",    " a",  "a b c",
		"h e", "h e", "zz yy", "\xff \xfe", "he he", "a a", "aa aa",
	};
	struct opened o;
	size_t bad = 0;

	/* Tokens twice, empty ones, ones that are not UTF-8, specials twice. */
	spm_begin();
	add("", 0, TOKEN_NORMAL);
	add("", 0, TOKEN_CONTROL);
	add("a", 0, TOKEN_NORMAL);			/* 261 */
	add("a", 5, TOKEN_CONTROL);
	add("a", 6, TOKEN_NORMAL);
	add("\xff\xfe", 0, TOKEN_NORMAL);		/* 264 */
	add("u", 0, TOKEN_CONTROL);
	add("u", 0, TOKEN_USER);			/* 266 */
	add("u", 0, TOKEN_USER);
	add("<0xZZ>", 0, TOKEN_BYTE);			/* 268 */
	add("byte", 0, TOKEN_BYTE);
	add("\xc3", INFINITY, TOKEN_NORMAL);		/* 270 */
	put_vocab(&o.b, "llama", NULL);
	ok(!open_built(&o), "an odd vocabulary opens");
	ok(encodes(o.t, "ab", false, false, "229 153 132 261 101"),
	   "the first of equal tokens counts");
	ok(encodes(o.t, "u", false, true, "266"), "the user's of equal special tokens");
	ok(encodes(o.t, "a", false, true, "262"), "a control token with the text of another");
	for (size_t i = 0; i < n_words; i++) {
		int32_t *ids;
		size_t n;

		if (encode_text(o.t, words[i].text, words[i].n, true, true, &ids, &n)) {
			bad++;
			continue;
		}
		for (size_t k = 0; k < n; k++)
			bad += ids[k] < 0 || (uint32_t)ids[k] >= size_of(o.t);
		free(ids);
	}
	for (int32_t id = -2; id < 300; id++) {
		struct accel_decoder *d;
		const char *text;

		accel_decoder_new(o.t, id & 1 ? ACCEL_DECODE_BEGIN : ACCEL_DECODE_SPECIAL, &d);
		accel_decoder_push(d, id, &text);
		accel_decoder_free(d);
	}
	ok(!bad, "and is used without harm");
	close_built(&o);

	bpe_begin();
	put_vocab(&o.b, "gpt2", "tekken");
	put_merges(&o.b, odd_merges, N(odd_merges));
	build_key_bool(&o.b, "tokenizer.ggml.add_bos_token", 0);
	ok(!open_built(&o), "odd merges open");
	ok(encodes(o.t, "aaaa", false, false, "97 97 97 97"),
	   "a merge to what is no token is spelt");
	bad = 0;
	for (size_t i = 0; i < n_words; i++)
		bad += !round_trip(o.t, words[i].text, words[i].n);
	ok(!bad, "odd merges: texts there and back");
	close_built(&o);
}

/* Long texts of one kind, and vocabularies that make the most of them. */
static void test_time(void)
{
	enum { SIZE = 1 << 20, MANY = 20000 };
	char *s = malloc(SIZE), large[1024];
	struct opened o;
	int32_t *ids;
	size_t n;
	double t0, t;

	memset(s, 'a', SIZE);
	memset(large, 'a', sizeof(large));
	spm_begin();
	for (size_t i = 1; i < 256; i++)
		add_n(large, i, (float)(i % 7), TOKEN_NORMAL);
	put_vocab(&o.b, "llama", NULL);
	open_built(&o);
	t0 = now();
	ok(!encode_text(o.t, s, SIZE, false, false, &ids, &n),
	   "SentencePiece: a MiB of one letter");
	t = now() - t0;
	ok(t < 20, "in %.2f s", t);
	free(ids);
	close_built(&o);

	bpe_begin();
	put_vocab(&o.b, "gpt2", "llama-bpe");
	put_merges(&o.b, (const char *const []) { "a a", "aa aa", "\xc4\xa0 \xc4\xa0" }, 3);
	build_key_bool(&o.b, "tokenizer.ggml.add_bos_token", 0);
	open_built(&o);
	t0 = now();
	ok(!encode_text(o.t, s, SIZE, false, false, &ids, &n) && n == SIZE,
	   "BPE: a MiB of one letter");
	free(ids);
	memset(s, ' ', SIZE);
	ok(!encode_text(o.t, s, SIZE, false, false, &ids, &n) && n == SIZE, "BPE: a MiB of spaces");
	free(ids);
	t = now() - t0;
	ok(t < 20, "in %.2f s", t);
	close_built(&o);

	/* Special tokens with a common beginning. */
	spm_begin();
	memset(s, 'b', SIZE);
	for (int i = 0; i < MANY; i++) {
		char name[32];

		add_copy(name, snprintf(name, sizeof(name), "bbbbbbbbbbbbbb%d", i), 0, TOKEN_USER);
	}
	put_vocab(&o.b, "llama", NULL);
	open_built(&o);
	t0 = now();
	ok(!encode_text(o.t, s, SIZE, false, false, &ids, &n), "%d special tokens, a MiB of text",
	   MANY);
	t = now() - t0;
	ok(t < 20, "in %.2f s", t);
	free(ids);
	close_built(&o);
	free(s);
}

/* Each allocation fails once: -ENOMEM, and nothing is left behind. */
static void test_no_memory(void)
{
	struct opened o;

	if (!FAIL_ALLOC)
		return;
	for (int bpe = 0; bpe < 2; bpe++) {
		long n = 0, wrong = 0, live;
		int rc = -ENOMEM;

		if (bpe)
			bpe_words();
		else
			spm_words();
		put_vocab(&o.b, bpe ? "gpt2" : "llama", "llama-bpe");
		put_merges(&o.b, merges, N(merges));
		build_key_u32(&o.b, "tokenizer.ggml.bos_token_id", 1);
		open_built(&o);
		accel_tokenizer_free(o.t);
		o.t = NULL;
		live = fail_live;
		while (rc && n < 1000) {
			struct accel_tokenizer *t = NULL;
			int32_t *ids = NULL;
			size_t n_ids;

			fail_countdown = ++n;
			rc = tokenizer_new(o.g, &t);
			if (!rc)
				rc = encode_text(t, "hello <user> world", 18, true, true, &ids,
						 &n_ids);
			fail_countdown = 0;
			if (!rc)
				free(ids);
			accel_tokenizer_free(t);
			wrong += (rc && rc != -ENOMEM) || fail_live != live;
		}
		ok(!wrong && n > 5 && !rc, "%s: without memory at each of %ld allocations",
		   bpe ? "BPE" : "SentencePiece", n - 1);
		close_built(&o);
	}
}

int main(void)
{
	read_words();
	test_words();
	test_words_time();
	test_spm();
	test_spm_keys();
	test_spm_merging();
	test_bpe();
	test_round_trips();
	test_stream();
	test_info();
	test_ends();
	test_pre();
	test_refused();
	test_damaged();
	test_odd_ids();
	test_lists_of_ends();
	test_odd_lists();
	test_changed();
	test_hostile();
	test_time();
	test_no_memory();
	free_words();
	free(v.p);
	return done();
}
