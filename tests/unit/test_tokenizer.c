// SPDX-License-Identifier: MIT
/*
 * The tokenizers: merging against a slow and plain search, the rest against what must come out, and
 * texts and vocabularies that mean harm.
 */
#include <errno.h>
#include <math.h>

#include "cpu_time.h"
#include "fail_alloc.h"
#include "gguf_build.h"
#include "tap.h"
#include "vocab_words.h"
#include "words_table.h"

static uint32_t random32(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* ---- comparing ---- */

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

/* ---- SentencePiece ---- */

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

/* ---- what means harm, and what is scarce ---- */

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
	t0 = cpu_seconds();
	ok(!encode_text(o.t, s, SIZE, false, false, &ids, &n),
	   "SentencePiece: a MiB of one letter");
	t = cpu_seconds() - t0;
	ok(t < 20, "in %.2f s", t);
	free(ids);
	close_built(&o);

	bpe_begin();
	put_vocab(&o.b, "gpt2", "llama-bpe");
	put_merges(&o.b, (const char *const []) { "a a", "aa aa", "\xc4\xa0 \xc4\xa0" }, 3);
	build_key_bool(&o.b, "tokenizer.ggml.add_bos_token", 0);
	open_built(&o);
	t0 = cpu_seconds();
	ok(!encode_text(o.t, s, SIZE, false, false, &ids, &n) && n == SIZE,
	   "BPE: a MiB of one letter");
	free(ids);
	memset(s, ' ', SIZE);
	ok(!encode_text(o.t, s, SIZE, false, false, &ids, &n) && n == SIZE, "BPE: a MiB of spaces");
	free(ids);
	t = cpu_seconds() - t0;
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
	t0 = cpu_seconds();
	ok(!encode_text(o.t, s, SIZE, false, false, &ids, &n), "%d special tokens, a MiB of text",
	   MANY);
	t = cpu_seconds() - t0;
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
	test_spm();
	test_spm_keys();
	test_spm_merging();
	test_bpe();
	test_round_trips();
	test_stream();
	test_hostile();
	test_time();
	test_no_memory();
	free_words();
	free(v.p);
	return done();
}
