// SPDX-License-Identifier: MIT
/*
 * What vocabularies say of themselves and what is made of it: tokens that begin and end,
 * pre-tokenizers by any name, lists that are odd, and vocabularies that are refused.
 */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <unistd.h>

#include "gguf_build.h"
#include "tap.h"
#include "vocab_words.h"

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

		good = !encode_text(o.t, text, strlen(text), false, false, &ids, &n);
		if (good)
			free(ids);
		good = good && n > 1;
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
		{ "chatglm-bpe", "smaug-bpe" },
		{ "glm4", "glm4" },
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
	static const char *const bad_models[] = { "bert", "plamo2", "rwkv", "llama2", "", "gpt" };
	static const char *const bad_pres[] = { "superbp", "llama-bp", "llama-bpe2", "llama3 ",
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

/* Unigrams whose map says that "q" becomes "the"; of its bytes so many, of a trie said to be so long. */
static void put_unigrams(struct build *b, uint32_t type, size_t size, uint32_t said)
{
	struct {
		uint32_t said, trie[512];
		char texts[4];
	} map = { said, { 0 }, "the" };

	map.trie[0] = 256 << 10;
	map.trie[256 ^ 'q'] = 'q' << 10 | 1 << 8 | 'q';
	map.trie[256] = 1u << 31;
	spm_words();
	put_vocab(b, "t5", NULL);
	build_key_array(b, "tokenizer.ggml.precompiled_charsmap", type, size);
	build_bytes(b, &map, size);
}

static void test_charsmap(void)
{
	const uint32_t trie = 4 * 512;
	const struct {
		uint32_t type;
		size_t size;
		uint32_t said;
	} bad[] = {
		{ GGUF_U8, 3, trie },		  { GGUF_U8, 4, 0 },
		{ GGUF_U8, 4 + trie, trie },	  { GGUF_U8, trie + 8, trie + 1 },
		{ GGUF_U8, trie + 8, UINT32_MAX }, { GGUF_BOOL, trie + 8, trie },
	};
	int32_t *a = NULL, *b = NULL;
	size_t n_a = 0, n_b = 0;
	struct opened o;

	for (size_t i = 0; i < N(bad); i++) {
		put_unigrams(&o.b, bad[i].type, bad[i].size, bad[i].said);
		ok(refused(&o, "precompiled_charsmap\" is damaged"), "damaged map of characters %zu", i);
	}
	put_unigrams(&o.b, GGUF_U8, trie + 8, trie);
	if (!ok(!open_built(&o), "a map of characters"))
		return;
	memset(o.b.p, 0xff, o.b.n);	/* the vocabulary is a copy */
	ok(!encode_text(o.t, "q", 1, false, false, &a, &n_a) &&
		   !encode_text(o.t, "the", 3, false, false, &b, &n_b) && n_a == n_b &&
		   !memcmp(a, b, n_a * sizeof(*a)) && a[n_a - 1] != 0,
	   "what it replaces, when the file is no more");
	free(a);
	free(b);
	close_built(&o);
}

/* Settings that llama.cpp has, and that no converter writes for unigrams: they are nothing to it, nor here. */
static void test_no_settings(void)
{
	static const char text[] = " the  the";
	int32_t *ids[2] = { NULL, NULL };
	size_t n[2] = { 0, 0 };
	struct opened o;

	for (int said = 0; said < 2; said++) {
		spm_words();
		put_vocab(&o.b, "t5", NULL);
		if (said) {
			build_key_bool(&o.b, "tokenizer.ggml.escape_whitespaces", false);
			build_key_bool(&o.b, "tokenizer.ggml.treat_whitespace_as_suffix", true);
		}
		if (ok(!open_built(&o), "unigrams%s", said ? ", and settings that are none" : ""))
			encode_text(o.t, text, strlen(text), false, false, &ids[said], &n[said]);
		close_built(&o);
	}
	ok(n[0] && n[0] == n[1] && !memcmp(ids[0], ids[1], n[0] * sizeof(*ids[0])), "the same tokens");
	free(ids[0]);
	free(ids[1]);
}

/* Ways of a text of n bytes, how many bytes were walked for them; 0: the best does not end with this token. */
static uint64_t walked(const struct accel_tokenizer *t, const char *s, size_t n, int32_t last)
{
	struct way *way = calloc(n + 1, sizeof(*way));
	uint64_t bytes;

	for (size_t i = 0; i <= n; i++)
		way[i] = (struct way) { -1, 0, i ? -DBL_MAX : 0 };
	bytes = ugm_ways(t, s, n, way);
	if (way[n].id != last)
		bytes = 0;
	free(way);
	return bytes;
}

/* What is looked at of each place is what tokens begin with: long ones cost nothing where they do not begin. */
static void test_ugm_work(void)
{
	enum { LONG = MAX_TOKEN, N_TEXT = 3 * LONG };
	char *xs = malloc(N_TEXT), *ys = malloc(N_TEXT);
	struct opened o;
	int32_t x, xx;

	memset(xs, 'x', N_TEXT);
	memset(ys, 'y', N_TEXT);
	spm_begin();
	x = v.n;
	add("x", -1, TOKEN_NORMAL);
	add("y", -1, TOKEN_NORMAL);
	xx = v.n;
	add_n(xs, LONG, -2, TOKEN_NORMAL);
	add("y", -2, TOKEN_USER);		/* of two the one that counts in any text */
	put_vocab(&o.b, "t5", NULL);
	if (!ok(!open_built(&o), "a vocabulary with a token of %d bytes", LONG))
		return;
	ok(walked(o.t, ys, N_TEXT, x + 3) == 2 * N_TEXT - 1, "no byte more than the first that no token has");
	ok(walked(o.t, xs, LONG, xx) == (uint64_t)LONG * (LONG + 1) / 2, "to the end of the text");
	ok(walked(o.t, xs, N_TEXT, xx) == (N_TEXT - LONG) * (LONG + 1ull) + LONG * (LONG + 1) / 2,
	   "or to that of the longest token: in proportion to the text");
	close_built(&o);
	free(xs);
	free(ys);
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

int main(void)
{
	test_info();
	test_ends();
	test_pre();
	test_refused();
	test_damaged();
	test_charsmap();
	test_no_settings();
	test_ugm_work();
	test_odd_ids();
	test_lists_of_ends();
	test_odd_lists();
	test_changed();
	free(v.p);
	return done();
}
