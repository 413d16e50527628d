// SPDX-License-Identifier: MIT
/* Vocabularies that are nearly good, and texts made of the file's own bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"
#include "../unit/gguf_build.h"
#include "fuzz.h"

static void encode(const struct tokenizer *t, const char *s, size_t n, bool parse)
{
	struct tokenizer_stream stream = { 0 };
	char out[TOKENIZER_PIECE];
	int32_t *ids = NULL;
	size_t n_ids = 0;
	int rc = tokenizer_encode(t, s, n, parse, parse, &ids, &n_ids);

	if (rc && rc != -EILSEQ)
		abort();
	for (size_t i = 0; !rc && i < n_ids; i++) {
		if (ids[i] < 0 || (uint32_t)ids[i] >= tokenizer_size(t))
			abort();
		if (tokenizer_decode(t, &stream, ids[i], out, sizeof(out)) > sizeof(out))
			abort();
	}
	if (!rc)
		free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tokenizer_stream stream = { 0 };
	const char *s = (const char *)data;
	char out[TOKENIZER_PIECE], err[256] = "";
	struct tokenizer *t;
	struct gguf *g;

	if (gguf_open_mem(data, size, &g, err, sizeof(err)))
		return 0;
	if (tokenizer_new(g, &t, err, sizeof(err))) {
		if (!*err || t)
			abort();
		gguf_close(g);
		return 0;
	}
	for (int parse = 0; parse < 2; parse++) {
		encode(t, s, size < 3000 ? size : 3000, parse);
		encode(t, s + size / 2, size / 2, parse);
		encode(t, "", 0, parse);
		encode(t, "the 12345 \xf0\x9f\x98\x80 <s>a</s>\n\n  don't", 33, parse);
	}
	for (uint32_t i = 0; i <= tokenizer_size(t) && i < 4096; i++) {
		tokenizer_decode(t, &stream, i, out, sizeof(out));
		tokenizer_decode(t, &stream, i, out, i % 8);
		tokenizer_is_eog(t, i);
	}
	tokenizer_free(t);
	gguf_close(g);
	return 0;
}

static const char *const words[] = {
	"a", "b", "th", "the", "\xe2\x96\x81", "\xe2\x96\x81the", "<s>", "</s>", "<0x41>", "\xc4\xa0", "\xc4\xa0the",
	"1", "<user>", "<user>x", "\xf0\x9f\x98\x80", "", "e", "t", "h", "he",
};

#define N (sizeof(words) / sizeof(words[0]))

size_t fuzz_seed(unsigned int i, uint8_t **data)
{
	static const char *const pres[] = { "", "llama-bpe", "tekken", "deepseek-llm", "deepseek-v3", "qwen2" };
	static const char *const merges[] = { "t h", "th e", "\xc4\xa0 the", "h e", "a b", "1 1" };
	struct build b;

	if (i >= sizeof(pres) / sizeof(pres[0]))
		return 0;
	build_begin(&b);
	build_key_text(&b, "tokenizer.ggml.model", i ? "gpt2" : "llama");
	build_key_text(&b, "tokenizer.ggml.pre", pres[i]);
	build_key_array(&b, "tokenizer.ggml.scores", GGUF_F32, N);
	for (size_t k = 0; k < N; k++)
		build_bytes(&b, &(float) { k % 5 }, 4);
	build_key_array(&b, "tokenizer.ggml.token_type", GGUF_I32, N);
	for (size_t k = 0; k < N; k++)
		build_bytes(&b, &(int32_t) { k == 6 || k == 7 ? 3 : k == 8 ? 6 : k == 12 || k == 13 ? 4 : 1 }, 4);
	build_key_array(&b, "tokenizer.ggml.tokens", GGUF_STRING, N);
	for (size_t k = 0; k < N; k++)
		build_text(&b, words[k]);
	if (i) {
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
	*data = b.p;
	return b.n;
}
