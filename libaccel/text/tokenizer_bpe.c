// SPDX-License-Identifier: MIT
/*
 * Byte-level BPE: the bytes of each word, written as printable code points, are merged pair by
 * pair in the order of the merge list.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vocab.h"

uint32_t bpe_code_of_byte(uint8_t b)
{
	if ((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174)
		return b;
	if (b <= 32)
		return 256 + b;
	if (b <= 160)
		return 256 + 33 + (b - 127);
	return 256 + 67;	/* 173 */
}

int bpe_byte_of_code(uint32_t c)
{
	if (c < 256)
		return bpe_code_of_byte(c) == c ? (int)c : -1;
	if (c <= 256 + 32)
		return c - 256;
	if (c < 256 + 67)
		return c - 256 - 33 + 127;
	return c == 256 + 67 ? 173 : -1;
}

struct work {
	struct merger m;
	struct ids *out;
	char *word;	/* in printable code points */
	size_t room;
};

static bool score_of(const struct accel_tokenizer *t, const char *s, uint32_t n_left, uint32_t n,
		     double *score)
{
	int32_t rank = merge_find(t, s, n_left, s + n_left, n - n_left);

	*score = -(double)rank;
	return rank >= 0;
}

/* A merge may name what is no token; its characters are. */
static int spell(struct work *w, const struct symbol *s)
{
	const struct accel_tokenizer *t = w->m.t;
	int rc = 0;

	for (uint32_t k = 0, len; k < s->n && !rc; k += len) {
		uint32_t c = utf8_next(w->word + s->at + k, s->n - k, &len);
		int32_t id = t->byte_token[bpe_byte_of_code(c)];

		rc = id < 0 ? -EILSEQ : ids_add(w->out, id);
	}
	return rc;
}

static int encode_word(void *arg, const char *s, size_t n)
{
	struct work *w = arg;
	const struct accel_tokenizer *t = w->m.t;
	size_t size = 0;
	int32_t id;
	int rc;

	if (2 * n > w->room) {
		char *grown = realloc(w->word, 4 * n);

		if (!grown)
			return -ENOMEM;
		w->word = grown;
		w->room = 4 * n;
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t c = bpe_code_of_byte(s[i]);

		if (c >= 0x80)
			w->word[size++] = 0xc0 | c >> 6;
		w->word[size++] = c < 0x80 ? c : 0x80 | (c & 0x3f);
	}
	id = t->pre->ignore_merges ? token_of_text(t, w->word, size) : -1;
	if (id >= 0)
		return ids_add(w->out, id);
	rc = merge_text(&w->m, w->word, size);
	for (int32_t i = 0; i >= 0 && !rc; i = w->m.symbols[i].next) {
		const struct symbol *y = &w->m.symbols[i];

		id = token_of_text(t, w->word + y->at, y->n);
		rc = id >= 0 ? ids_add(w->out, id) : spell(w, y);
	}
	return rc;
}

/* The text as valid UTF-8, U+FFFD in place of each byte that is none; *size bytes. */
char *bpe_repaired(const char *s, size_t n, size_t *size)
{
	char *text = malloc(3 * n + 1);
	uint32_t len;

	*size = 0;
	for (size_t i = 0; i < n && text; i += len) {
		utf8_next(s + i, n - i, &len);
		memcpy(text + *size, len ? s + i : "\xef\xbf\xbd", len ? len : 3);
		*size += len ? len : 3;
		len += !len;
	}
	return text;
}

int bpe_encode(const struct accel_tokenizer *t, const char *s, size_t n, struct ids *out)
{
	struct work w = { .m = { .t = t, .score_of = score_of }, .out = out };
	size_t size;
	char *text;
	int rc = -ENOMEM;

	if (n > INT32_MAX / 16)
		return -ENOMEM;
	text = bpe_repaired(s, n, &size);
	if (text)
		rc = words_of(t->pre, text, size, encode_word, &w);
	merge_end(&w.m);
	free(w.word);
	free(text);
	return rc;
}
