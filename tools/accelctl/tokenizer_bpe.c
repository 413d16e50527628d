// SPDX-License-Identifier: MIT
/*
 * Byte-level BPE with the llama-bpe pre-tokenizer.  The text is cut into words by
 *
 *   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
 *    ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *
 * and the bytes of a word, written as printable code points, are merged pair by pair in
 * the order of the merge list.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unicode.h"
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

/* ---- words ---- */

struct text {
	const char *s;
	size_t n;
};

/* The code point at byte i, 0 and *len = 0 at the end. */
static uint32_t at(const struct text *x, size_t i, uint32_t *len)
{
	if (i >= x->n) {
		*len = 0;
		return 0;
	}
	return utf8_at(x->s + i, x->n - i, len);
}

static bool is_eol(uint32_t c)
{
	return c == '\r' || c == '\n';
}

static size_t contraction(const struct text *x, size_t i)
{
	static const char *const ends[] = { "s", "t", "re", "ve", "m", "ll", "d" };

	if (x->s[i] != '\'')
		return 0;
	for (size_t k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
		size_t n = strlen(ends[k]), j = 0;

		while (j < n && i + 1 + j < x->n && (x->s[i + 1 + j] | 32) == ends[k][j])
			j++;
		if (j == n)
			return n + 1;
	}
	return 0;
}

/* [^\r\n\p{L}\p{N}]?\p{L}+ */
static size_t letters(const struct text *x, size_t i)
{
	uint32_t len, c = at(x, i, &len);
	size_t k = i;

	if (!is_eol(c) && !unicode_letter(c) && !unicode_number(c))
		k += len;
	if (!unicode_letter(at(x, k, &len)) || !len)
		return 0;
	for (; unicode_letter(at(x, k, &len)) && len; k += len)
		;
	return k - i;
}

/* \p{N}{1,3} */
static size_t digits(const struct text *x, size_t i)
{
	uint32_t len;
	size_t k = i;

	for (int n = 0; n < 3 && unicode_number(at(x, k, &len)) && len; n++)
		k += len;
	return k - i;
}

/*  ?[^\s\p{L}\p{N}]+[\r\n]* */
static size_t others(const struct text *x, size_t i)
{
	size_t k = i + (x->s[i] == ' '), begin = k;
	uint32_t len, c;

	for (; c = at(x, k, &len), len && !unicode_space(c) && !unicode_letter(c) && !unicode_number(c);
	     k += len)
		;
	if (k == begin)
		return 0;
	while (k < x->n && is_eol(x->s[k]))
		k++;
	return k - i;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t spaces(const struct text *x, size_t i)
{
	size_t k = i, eol = 0, last = i;
	uint32_t len, c;

	for (; c = at(x, k, &len), len && unicode_space(c); k += len) {
		last = k;
		if (is_eol(c))
			eol = k + len;
	}
	if (eol)
		return eol - i;
	if (k < x->n && last > i)	/* leave one for the word that follows */
		return last - i;
	return k - i;
}

static size_t word_length(const struct text *x, size_t i)
{
	size_t n = contraction(x, i);
	uint32_t len;

	if (!n)
		n = letters(x, i);
	if (!n)
		n = digits(x, i);
	if (!n)
		n = others(x, i);
	if (!n)
		n = spaces(x, i);
	if (!n) {
		at(x, i, &len);
		n = len;
	}
	return n;
}

/* ---- merging ---- */

struct symbol {
	uint32_t at, n;
};

/* Words are short; the best pair is searched anew each time, from a cached rank. */
static int encode_word(const struct tokenizer *t, const char *w, size_t n, struct ids *out)
{
	struct symbol *y = malloc((n + 1) * sizeof(*y));
	int32_t *rank = malloc((n + 1) * sizeof(*rank));
	size_t count = 0;
	int rc = y && rank ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !rc; count++) {
		uint32_t len;

		utf8_at(w + i, n - i, &len);
		y[count] = (struct symbol) { i, len };
		i += len;
	}
#define RANK(i) merge_find(t, w + y[i].at, y[i].n, w + y[(i) + 1].at, y[(i) + 1].n)
	for (size_t i = 0; i + 1 < count && !rc; i++)
		rank[i] = RANK(i);
	while (!rc && count > 1) {
		size_t best = 0;

		for (size_t i = 1; i + 1 < count; i++)
			if (rank[i] >= 0 && (rank[best] < 0 || rank[i] < rank[best]))
				best = i;
		if (rank[best] < 0)
			break;
		y[best].n += y[best + 1].n;
		count--;
		memmove(y + best + 1, y + best + 2, (count - best - 1) * sizeof(*y));
		if (count > best + 1)
			memmove(rank + best + 1, rank + best + 2, (count - best - 2 + 1) * sizeof(*rank));
		if (best)
			rank[best - 1] = RANK(best - 1);
		if (best + 1 < count)
			rank[best] = RANK(best);
	}
#undef RANK
	for (size_t i = 0; i < count && !rc; i++) {
		int32_t id = token_find(t, w + y[i].at, y[i].n);
		uint32_t len = 1;

		if (id >= 0) {
			rc = ids_add(out, id);
			continue;
		}
		for (uint32_t k = 0; k < y[i].n && !rc; k += len) {
			utf8_at(w + y[i].at + k, y[i].n - k, &len);
			id = token_find(t, w + y[i].at + k, len);
			if (id >= 0)
				rc = ids_add(out, id);
		}
	}
	free(rank);
	free(y);
	return rc;
}

/* Longer words are cut: the search for pairs is quadratic, and no token is that long. */
#define WORD_MAX 4096

int bpe_encode(const struct tokenizer *t, const char *s, size_t n, struct ids *out)
{
	struct text x = { s, n };
	char *word = malloc(2 * WORD_MAX);
	int rc = word ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !rc;) {
		size_t len = word_length(&x, i), size = 0;
		int32_t id;

		if (len > WORD_MAX)
			len = WORD_MAX;
		for (size_t k = i; k < i + len; k++) {
			uint32_t c = bpe_code_of_byte(s[k]);

			if (c >= 0x80)
				word[size++] = 0xc0 | c >> 6;
			word[size++] = c < 0x80 ? c : 0x80 | (c & 0x3f);
		}
		i += len;
		id = t->ignore_merges ? token_find(t, word, size) : -1;
		rc = id >= 0 ? ids_add(out, id) : encode_word(t, word, size, out);
	}
	free(word);
	return rc;
}
