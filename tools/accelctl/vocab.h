/* SPDX-License-Identifier: MIT */
/* What the kinds of tokenizers share: the vocabulary, lookup by text, growing lists. */
#ifndef ACCELCTL_VOCAB_H
#define ACCELCTL_VOCAB_H

#include "tokenizer.h"

enum token_type {	/* GGUF's numbers */
	TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE,
};

struct token {
	const char *text;	/* in the file, not terminated */
	uint32_t n;
	uint8_t type;
	float score;
};

/* Text to number; open addressing, slots hold number + 1. */
struct text_map {
	uint32_t *slot;
	uint64_t mask;
};

struct tokenizer {
	bool bpe;		/* byte-level BPE, else SentencePiece */
	struct token *tokens;
	uint32_t n;
	struct text_map by_text;
	uint32_t *special;	/* control and user tokens, longest first */
	uint32_t n_special;
	int32_t bos, eos, eot, unknown;	/* -1 = none */
	bool add_bos, add_eos, add_space, ignore_merges;
	int32_t byte_token[256];	/* -1 = none */
	/* BPE */
	struct token *merges;	/* texts "left right", by rank */
	uint32_t n_merges;
	struct text_map by_merge;
};

struct ids {
	int32_t *list;
	size_t n, room;
};

int ids_add(struct ids *l, int32_t id);
/* The number of the token or merge with this text, -1 = none.  For merges the text is
 * a, a space, b; for tokens b is empty and n_b 0. */
int32_t token_find(const struct tokenizer *t, const char *s, size_t n);
int32_t merge_find(const struct tokenizer *t, const char *a, size_t n_a, const char *b, size_t n_b);

int spm_encode(const struct tokenizer *t, const char *s, size_t n, bool prefix, struct ids *out);
int bpe_encode(const struct tokenizer *t, const char *s, size_t n, struct ids *out);

/* Byte-level BPE writes byte b as this code point, and the reverse (-1 = none). */
uint32_t bpe_code_of_byte(uint8_t b);
int bpe_byte_of_code(uint32_t c);

/* The code point at s and its length; a byte that begins none is itself, one byte long. */
static inline uint32_t utf8_at(const char *s, size_t n, uint32_t *len)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t need = p[0] < 0xc2 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 1;
	uint32_t c = need == 1 ? p[0] : p[0] & (0x7f >> need);

	*len = 1;
	if (need > n)
		return p[0];
	for (uint32_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return p[0];
		c = c << 6 | (p[i] & 0x3f);
	}
	*len = need;
	return c;
}

#endif
