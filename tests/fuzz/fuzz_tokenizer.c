// SPDX-License-Identifier: MIT
/* Vocabularies that are nearly good, and texts made of the file's own bytes; what is
 * encoded comes back, and texts to stop at are found. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <accel/accel.h>
#include <accel/text.h>

#include "text/tokenizer.h"
#include "text/vocab.h"
#include "../unit/gguf_build.h"
#include "fuzz.h"

static bool is_utf8(const char *s, size_t n)
{
	uint32_t len;

	for (size_t i = 0; i < n; i += len) {
		utf8_next(s + i, n - i, &len);
		if (!len)
			return false;
	}
	return true;
}

/* Does the token, found in plain text, stand for exactly what was found? */
static bool is_faithful(const struct accel_tokenizer *t, int32_t id)
{
	uint32_t attr = accel_token_attr(t, id) & ~ACCEL_TOKEN_END;
	const char *s;
	size_t n;

	s = accel_token_text(t, id, &n);
	if (t->bpe)
		return !attr;
	/* What cannot be spelt; a byte's name that is not a byte; a user's, after which comes a
	 * space. */
	return id != t->unknown &&
	       (attr == ACCEL_TOKEN_BYTE || (!attr && !(n == 6 && !memcmp(s, "<0x", 3))));
}

/* The text as SentencePiece keeps it: its mark is a space. */
static size_t spaced(const struct accel_tokenizer *t, const char *s, size_t n, char *out)
{
	size_t size = 0;

	for (size_t i = 0; i < n; size++) {
		bool mark = !t->bpe && n - i >= 3 && !memcmp(s + i, SPACE_MARK, 3);

		out[size] = mark ? ' ' : s[i];
		i += mark ? 3 : 1;
	}
	return size;
}

static void decode(const struct accel_tokenizer *t, const char *s, size_t n, const int32_t *ids,
		   size_t n_ids, bool compare)
{
	char *want = malloc(n + 1);
	size_t size = spaced(t, s, n, want), at = 0, len;
	struct accel_decoder *d;
	const char *text;

	if (accel_decoder_new(t, compare ? ACCEL_DECODE_BEGIN : ACCEL_DECODE_SPECIAL, &d))
		abort();
	for (size_t i = 0; i <= n_ids; i++) {
		len = i < n_ids ? accel_decoder_push(d, ids[i], &text) :
				  accel_decoder_end(d, &text);
		if (len > MAX_TOKEN + 3)
			abort();
		if (compare && (len > size - at || memcmp(want + at, text, len)))
			abort();
		at += len;
	}
	if (compare && at != size)
		abort();
	accel_decoder_free(d);
	free(want);
}

static void encode(const struct accel_tokenizer *t, const char *s, size_t n, uint32_t flags)
{
	size_t room = 3 * n + 4, n_ids = room;
	int32_t *ids = malloc(room * sizeof(*ids));
	int rc = accel_tokenizer_encode(t, s, n, flags, ids, &n_ids);
	/* Without a token for it, a space is spelt as the bytes of its mark. */
	/* Unigrams do not give back what was replaced, of which there may be more than there was. */
	const bool same = t->kind != TOKENS_UGM;
	bool compare = same && !flags && is_utf8(s, n) &&
		       (t->bpe || token_of_text(t, SPACE_MARK, strlen(SPACE_MARK)) >= 0);

	if (rc && rc != -EILSEQ && (same || rc != -ENOSPC))
		abort();
	for (size_t i = 0; !rc && i < n_ids; i++) {
		if (ids[i] < 0 || (uint32_t)ids[i] >= t->n)
			abort();
		compare &= is_faithful(t, ids[i]);
	}
	if (!rc)
		decode(t, s, n, ids, n_ids, compare);
	free(ids);
}

/* Two texts of the data, in the rest of it: shown is what stands before the first of them. */
static void stop(const char *s, size_t n)
{
	char first[8] = { 0 }, second[8] = { 0 };
	const char *texts[] = { first, second }, *out;
	struct accel_stop *m;
	size_t shown = 0, len, from = n > 14 ? 14 : n;
	int stopped = 0;

	memcpy(first, s, from / 2);
	memcpy(second, s + from / 2, from / 2);
	if (accel_stop_new(texts, 2, &m)) {
		if (*first && *second)
			abort();
		return;
	}
	for (size_t i = from, k; i < n && !stopped; i += k) {
		k = 1 + (uint8_t)s[i] % 5;
		k = k < n - i ? k : n - i;
		stopped = accel_stop_push(m, s + i, k, &out, &len);
		if (stopped < 0 || memcmp(out, s + from + shown, len))
			abort();
		shown += len;
	}
	len = accel_stop_end(m, &out);
	if (memcmp(out, s + from + shown, len) || (stopped && len))
		abort();
	shown += len;
	if (stopped ? strncmp(s + from + shown, first, strlen(first)) &&
		      strncmp(s + from + shown, second, strlen(second)) : shown != n - from)
		abort();
	accel_stop_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	struct accel_tokenizer *t;
	char err[256] = "", ascii[512];
	struct gguf *g;

	for (size_t i = 0; i < size && i < sizeof(ascii); i++)
		ascii[i] = s[size - 1 - i] & 127;
	stop(s + size / 3, size - size / 3);
	if (gguf_open_mem(data, size, &g, err, sizeof(err)))
		return 0;
	if (tokenizer_new(g, &t)) {
		if (!*accel_error() || t)
			abort();
		gguf_close(g);
		return 0;
	}
	for (uint32_t flags = 0; flags < 8; flags++) {
		encode(t, s, size < 3000 ? size : 3000, flags);
		encode(t, s + size / 2, size / 2, flags);
		encode(t, ascii, size < sizeof(ascii) ? size : sizeof(ascii), flags);
		encode(t, "", 0, flags);
		encode(t, "the 12345 \xf0\x9f\x98\x80 <s>a</s>\n\n  don't", 33, flags);
	}
	for (int32_t i = -1; i <= (int32_t)t->n && i < 4096; i++) {
		size_t n;

		accel_token_ends(t, i);
		accel_token_attr(t, i);
		accel_token_text(t, i, &n);
	}
	accel_tokenizer_free(t);
	gguf_close(g);
	return 0;
}

static const char *const words[] = {
	"a",
	"b",
	"th",
	"the",
	"\xe2\x96\x81",
	"\xe2\x96\x81the",
	"<s>",
	"</s>",
	"<0x41>",
	"\xc4\xa0",
	"\xc4\xa0the",
	"1",
	"<user>",
	"<user>x",
	"\xf0\x9f\x98\x80",
	"",
	"e",
	"t",
	"h",
	"he",
};

#define N (sizeof(words) / sizeof(words[0]))

static int32_t type_of(size_t k, bool bpe)
{
	if (k >= N)
		return bpe ? TOKEN_NORMAL : TOKEN_BYTE;
	return k == 6 || k == 7 ? TOKEN_CONTROL : k == 8 && !bpe ? TOKEN_BYTE :
	       k == 12 || k == 13 ? TOKEN_USER : TOKEN_NORMAL;
}

static void build_byte(struct build *b, int byte, bool bpe)
{
	uint32_t c = bpe_code_of_byte(byte);
	char s[8] = { c < 0x80 ? c : 0xc0 | c >> 6, 0x80 | (c & 0x3f) };

	if (bpe)
		build_text_n(b, s, 1 + (c >= 0x80));
	else
		build_text_n(b, s, snprintf(s, sizeof(s), "<0x%02X>", byte));
}

/* "t" becomes "th": two places behind the root, and the texts. */
static void build_charsmap(struct build *b)
{
	uint32_t trie[512] = { 0 };

	trie[0] = 256 << 10;
	trie[256 ^ 't'] = (uint32_t)'t' << 10 | 1 << 8 | 't';	/* its child of 0 is at 256 */
	trie[256] = 1u << 31;
	build_key_array(b, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, 4 + sizeof(trie) + 3);
	build_bytes(b, &(uint32_t) { sizeof(trie) }, 4);
	build_bytes(b, trie, sizeof(trie));
	build_bytes(b, "th", 3);
}

size_t fuzz_seed(unsigned int i, uint8_t **data)
{
	static const char *const pres[] = {
		"",	  "llama-bpe", "tekken",     "deepseek-llm", "deepseek-v3",   "qwen2",
		"gpt-4o", "default",   "seed-coder", "qwen35",	     "deepseek-coder"
	};
	static const char *const merges[] = { "t h", "th e", "\xc4\xa0 the", "h e", "a b", "1 1" };
	const unsigned int n_pres = sizeof(pres) / sizeof(pres[0]);
	const bool unigrams = i == n_pres, gemma = i == n_pres + 1;
	const bool bpe = i && i < n_pres;
	struct build b;

	if (i > n_pres + 1)
		return 0;
	build_begin(&b);
	build_key_text(&b, "tokenizer.ggml.model", bpe ? "gpt2" : unigrams ? "t5" : gemma ? "gemma4" : "llama");
	build_key_text(&b, "tokenizer.ggml.pre", bpe ? pres[i] : "");
	if (unigrams)
		build_charsmap(&b);
	build_key_array(&b, "tokenizer.ggml.scores", GGUF_F32, N + 256);
	for (size_t k = 0; k < N + 256; k++)
		build_bytes(&b, &(float) { k % 5 }, 4);
	build_key_array(&b, "tokenizer.ggml.token_type", GGUF_I32, N + 256);
	for (size_t k = 0; k < N + 256; k++)
		build_bytes(&b, &(int32_t) { type_of(k, bpe) }, 4);
	build_key_array(&b, "tokenizer.ggml.tokens", GGUF_STRING, N + 256);
	for (size_t k = 0; k < N; k++)
		build_text(&b, words[k]);
	for (int k = 0; k < 256; k++)
		build_byte(&b, k, bpe);
	if (bpe || gemma) {
		build_key_array(&b, "tokenizer.ggml.merges", GGUF_STRING, 6);
		for (size_t k = 0; k < 6; k++)
			build_text(&b, merges[k]);
	}
	build_key_u32(&b, "tokenizer.ggml.bos_token_id", 6);
	build_key_u32(&b, "tokenizer.ggml.eos_token_id", 7);
	build_key_u32(&b, "tokenizer.ggml.unknown_token_id", 2);
	build_key_bool(&b, "tokenizer.ggml.add_bos_token", 1);
	build_key_bool(&b, "tokenizer.ggml.add_eos_token", 1);
	build_key_bool(&b, "tokenizer.ggml.add_space_prefix", 1);
	build_key_text(&b, "tokenizer.chat_template", "<|user_start|><|assistant_start|>");
	*data = b.p;
	return b.n;
}
