// SPDX-License-Identifier: MIT
/*
 * SentencePiece by unigrams (T. Kudo, "Subword Regularization", 2018): of all ways to cut a text
 * into tokens the one whose scores have the largest sum.  The text is first made uniform by a table
 * of the file's, a trie in an array with the replacements behind it (as sentencepiece and its Darts
 * write it).
 */
#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "vocab.h"

#define MAX_TEXT (1u << 29)		/* bytes, when it is uniform */
#define REPLACEMENT "\xef\xbf\xbd"	/* of what is not UTF-8 */

/* An entry of the trie: what it leads to, of which byte it is, whether a replacement ends here. */
static uint32_t entry(const struct charsmap *c, uint32_t i)
{
	uint32_t v = 0;

	if (i < c->n)
		memcpy(&v, c->trie + 4ull * i, 4);
	return v;
}

static uint32_t base_of(uint32_t e)
{
	return e >> 10 << ((e & 1u << 9) >> 6);
}

/* The longest beginning of the text that has a replacement: its length, 0 = none.  *to: where that is. */
static size_t replaced(const struct charsmap *c, const char *s, size_t n, uint32_t *to)
{
	uint32_t at = base_of(entry(c, 0));
	size_t longest = 0;

	for (size_t i = 0; i < n && c->n && s[i]; i++) {
		uint32_t e;

		at ^= (uint8_t)s[i];
		e = entry(c, at);
		if ((e & (1u << 31 | 0xff)) != (uint8_t)s[i] || at >= c->n)
			break;
		at ^= base_of(e);
		if (e >> 8 & 1) {
			longest = i + 1;
			*to = entry(c, at) & 0x7fffffff;
		}
	}
	return longest;
}

struct text {
	char *s;
	size_t n, room;
};

static int add(struct text *t, const char *s, size_t n)
{
	if (n > MAX_TEXT - t->n)	/* a replacement may be much longer than what it replaces */
		return -ENOMEM;
	if (t->n + n > t->room) {
		size_t room = 2 * (t->n + n) + 64;
		char *grown = realloc(t->s, room);

		if (!grown)
			return -ENOMEM;
		t->s = grown;
		t->room = room;
	}
	memcpy(t->s + t->n, s, n);
	t->n += n;
	return 0;
}

/* What the text at s becomes: *piece, of *n bytes; how many bytes of it that is. */
static size_t uniform(const struct accel_tokenizer *t, const char *s, size_t left, const char **piece, size_t *n)
{
	const struct charsmap *c = &t->charsmap;
	uint32_t to = 0, len;
	size_t used = replaced(c, s, left, &to);

	if (used && to < c->size) {
		*piece = c->texts + to;
		*n = strnlen(*piece, c->size - to);
		return used;
	}
	utf8_next(s, left, &len);
	*piece = len ? s : REPLACEMENT;
	*n = len ? len : 3;
	return len ? len : 1;
}

/* Spaces are marked, and, unless the file says otherwise, one for each run of them. */
static int normalise(const struct accel_tokenizer *t, const char *s, size_t n, bool prefix, struct text *out)
{
	bool begun = false, in_word = false;
	int rc = 0;

	for (size_t at = 0; at < n && !rc;) {
		const char *piece;
		size_t len;

		at += uniform(t, s + at, n - at, &piece, &len);
		for (size_t i = 0; i < len && !rc; i++) {
			bool is_space = piece[i] == ' ';

			if (!is_space && !in_word && ((prefix && !begun) || t->merge_spaces)) {
				rc = add(out, SPACE_MARK, 3);
				begun = true;
			}
			in_word = !is_space;
			if (rc)
				break;
			if (!is_space)
				rc = add(out, piece + i, 1);
			else if (!t->merge_spaces)
				rc = add(out, SPACE_MARK, 3);
		}
	}
	return rc;
}

static uint32_t character_bytes(uint8_t c)
{
	return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static void offer(struct way *w, int32_t id, size_t from, double score)
{
	if (score > w->score)
		*w = (struct way) { id, from, score };
}

uint64_t ugm_ways(const struct accel_tokenizer *t, const char *s, size_t n, struct way *way)
{
	uint64_t walked = 0;

	for (size_t at = 0, len; at < n; at += len) {
		struct walk w = { .high = t->plain.n };
		bool known = false;

		len = character_bytes(s[at]) < n - at ? character_bytes(s[at]) : n - at;
		while (w.n < n - at && sorted_next(&t->plain, t, &w, s[at + w.n])) {
			if (w.id < 0)
				continue;
			known |= w.n == len;
			offer(&way[at + w.n], w.id, at,
			      way[at].score + (t->tokens[w.id].type == TOKEN_USER ? 0 : t->tokens[w.id].score));
		}
		walked += w.n;
		if (!known)
			offer(&way[at + len], t->unknown, at, way[at].score + t->unknown_score);
	}
	return walked;
}

/* From the end to the beginning; unknown characters that follow each other are one. */
static int output(const struct accel_tokenizer *t, const struct way *way, size_t n, struct ids *out)
{
	size_t first = out->n;
	bool unknown = false;
	int rc = 0;

	for (size_t at = n; at && !rc; at = way[at].from) {
		const int32_t id = way[at].id;

		if (id < 0)
			return -EILSEQ;
		if (!unknown || id != t->unknown)
			rc = ids_add(out, id);
		unknown = id == t->unknown;
	}
	for (size_t end = out->n; first + 1 < end && !rc; first++, end--) {
		int32_t id = out->list[first];

		out->list[first] = out->list[end - 1];
		out->list[end - 1] = id;
	}
	return rc;
}

int ugm_encode(const struct accel_tokenizer *t, const char *s, size_t n, bool prefix, struct ids *out)
{
	struct text text = { 0 };
	struct way *way = NULL;
	int rc;

	if (n > INT32_MAX / 64)
		return -ENOMEM;
	rc = normalise(t, s, n, prefix, &text);
	if (!rc)
		way = malloc((text.n + 1) * sizeof(*way));
	if (!rc && !way)
		rc = -ENOMEM;
	if (!rc) {
		for (size_t i = 0; i <= text.n; i++)
			way[i] = (struct way) { t->unknown, 0, i ? -DBL_MAX : 0 };
		ugm_ways(t, text.s, text.n, way);
		rc = output(t, way, text.n, out);
	}
	free(way);
	free(text.s);
	return rc;
}

/*
 * A map is the bytes of its trie, the trie, and texts behind it, each with a zero at its end.  It is
 * copied.  -EINVAL: it is damaged.
 */
int ugm_charsmap(struct charsmap *c, const uint8_t *data, size_t size)
{
	uint32_t trie;

	*c = (struct charsmap) { 0 };
	if (!size)
		return 0;
	if (size < 4)
		return -EINVAL;
	memcpy(&trie, data, 4);
	if (trie % 4 || trie >= size - 4)
		return -EINVAL;
	c->data = malloc(size);
	if (!c->data)
		return -ENOMEM;
	memcpy(c->data, data, size);
	c->trie = c->data + 4;
	c->n = trie / 4;
	c->texts = (const char *)c->data + 4 + trie;
	c->size = size - 4 - trie;
	return 0;
}
