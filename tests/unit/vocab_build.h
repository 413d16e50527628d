/* SPDX-License-Identifier: MIT */
/* Small vocabularies in memory, for the tests of tokenizers. */
#ifndef TESTS_VOCAB_BUILD_H
#define TESTS_VOCAB_BUILD_H

#include <errno.h>

#include <accel/accel.h>

#include "text/vocab.h"
#include "gguf_build.h"

static char err[512];

struct piece {
	const char *text;
	size_t n;
	float score;
	int32_t type;
};

struct vocab {
	struct piece *p;
	size_t n, room;
	char text[1 << 20];	/* of pieces made here */
	size_t used;
};

static struct vocab v;

__attribute__((unused))
static void add_n(const char *text, size_t n, float score, int32_t type)
{
	if (v.n == v.room) {
		v.room = 2 * v.room + 1024;
		v.p = realloc(v.p, v.room * sizeof(*v.p));
		if (!v.p)
			abort();
	}
	v.p[v.n++] = (struct piece) { text, n, score, type };
}

__attribute__((unused))
static void add(const char *text, float score, int32_t type)
{
	add_n(text, strlen(text), score, type);
}

__attribute__((unused))
static void add_copy(const char *text, size_t n, float score, int32_t type)
{
	if (n > sizeof(v.text) - v.used)
		abort();
	memcpy(v.text + v.used, text, n);
	add_n(v.text + v.used, n, score, type);
	v.used += n;
}

__attribute__((unused))
static void vocab_begin(void)
{
	v.n = 0;
	v.used = 0;
}

/* <unk> <s> </s> and the bytes: ids 0 to 258. */
__attribute__((unused))
static void spm_begin(void)
{
	char name[8];

	vocab_begin();
	add("<unk>", 0, TOKEN_UNKNOWN);
	add("<s>", 0, TOKEN_CONTROL);
	add("</s>", 0, TOKEN_CONTROL);
	for (int i = 0; i < 256; i++)
		add_copy(name, snprintf(name, sizeof(name), "<0x%02X>", i), 0, TOKEN_BYTE);
}

/* The bytes in their printable form: ids 0 to 255. */
__attribute__((unused))
static void bpe_begin(void)
{
	vocab_begin();
	for (int i = 0; i < 256; i++) {
		uint32_t c = bpe_code_of_byte(i);
		char s[2] = { c < 0x80 ? c : 0xc0 | c >> 6, 0x80 | (c & 0x3f) };

		add_copy(s, 1 + (c >= 0x80), 0, TOKEN_NORMAL);
	}
}

__attribute__((unused))
static void put_vocab(struct build *b, const char *model, const char *pre)
{
	build_begin(b);
	build_key_text(b, "tokenizer.ggml.model", model);
	if (pre)
		build_key_text(b, "tokenizer.ggml.pre", pre);
	build_key_array(b, "tokenizer.ggml.tokens", GGUF_STRING, v.n);
	for (size_t i = 0; i < v.n; i++)
		build_text_n(b, v.p[i].text, v.p[i].n);
	build_key_array(b, "tokenizer.ggml.scores", GGUF_F32, v.n);
	for (size_t i = 0; i < v.n; i++)
		build_bytes(b, &v.p[i].score, 4);
	build_key_array(b, "tokenizer.ggml.token_type", GGUF_I32, v.n);
	for (size_t i = 0; i < v.n; i++)
		build_bytes(b, &v.p[i].type, 4);
}

__attribute__((unused))
static void put_merges(struct build *b, const char *const *merges, size_t n)
{
	build_key_array(b, "tokenizer.ggml.merges", GGUF_STRING, n);
	for (size_t i = 0; i < n; i++)
		build_text(b, merges[i]);
}

struct opened {
	struct build b;
	struct gguf *g;
	struct accel_tokenizer *t;
};

/* Opens what has been built; t stays NULL if the tokenizer is refused (err says why). */
__attribute__((unused))
static int open_built(struct opened *o)
{
	int rc;

	o->g = NULL;
	o->t = NULL;
	memset(err, 0, sizeof(err));
	if (gguf_open_mem(o->b.p, o->b.n, &o->g, err, sizeof(err)))
		return -EBADF;
	rc = tokenizer_new(o->g, &o->t);
	snprintf(err, sizeof(err), "%s", rc ? accel_error() : "");
	return rc;
}

/* The tokens of a text, malloc'd: special: with the tokens at the ends; parse: control tokens
 * count. */
__attribute__((unused)) static int encode_text(const struct accel_tokenizer *t, const char *s,
					       size_t n, bool special, bool parse, int32_t **ids,
					       size_t *n_ids)
{
	uint32_t flags = (special ? ACCEL_ENCODE_ENDS : 0) | (parse ? ACCEL_ENCODE_SPECIAL : 0);
	int rc;

	*n_ids = 3 * n + 4;
	*ids = malloc(*n_ids * sizeof(**ids));
	rc = *ids ? accel_tokenizer_encode(t, s, n, flags, *ids, n_ids) : -ENOMEM;
	if (rc)
		free(*ids);
	return rc;
}

__attribute__((unused))
static void close_built(struct opened *o)
{
	accel_tokenizer_free(o->t);
	gguf_close(o->g);
	build_end(&o->b);
}

#endif
