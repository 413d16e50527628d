// SPDX-License-Identifier: MIT
/* Reading a vocabulary, control tokens in text, and turning tokens back into text. */
#include "tokenizer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "vocab.h"

#define MAX_TOKENS (1u << 24)
#define SPACE_MARK "\xe2\x96\x81"	/* U+2581, how SentencePiece writes a space */

int ids_add(struct ids *l, int32_t id)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		int32_t *p = realloc(l->list, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->list = p;
		l->room = room;
	}
	l->list[l->n++] = id;
	return 0;
}

/* ---- lookup ---- */

static uint64_t hash(uint64_t h, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * 1099511628211ull;
	return h;
}

#define HASH_SEED 14695981039346656037ull

static int map_new(struct text_map *m, uint32_t n)
{
	uint64_t room = 16;

	while (room < 2ull * n)
		room *= 2;
	m->slot = calloc(room, sizeof(*m->slot));
	m->mask = room - 1;
	return m->slot ? 0 : -ENOMEM;
}

static bool is_text(const struct token *t, const char *a, size_t n_a, const char *b, size_t n_b)
{
	if (!b)
		return t->n == n_a && !memcmp(t->text, a, n_a);
	return t->n == n_a + 1 + n_b && !memcmp(t->text, a, n_a) && t->text[n_a] == ' ' &&
	       !memcmp(t->text + n_a + 1, b, n_b);
}

static uint32_t *map_slot(const struct text_map *m, const struct token *list, const char *a,
			  size_t n_a, const char *b, size_t n_b)
{
	uint64_t h = hash(HASH_SEED, a, n_a), i;

	if (b)
		h = hash(hash(h, " ", 1), b, n_b);
	for (i = (h ^ h >> 32) & m->mask; m->slot[i]; i = (i + 1) & m->mask)
		if (is_text(&list[m->slot[i] - 1], a, n_a, b, n_b))
			break;
	return &m->slot[i];
}

int32_t token_find(const struct tokenizer *t, const char *s, size_t n)
{
	return (int32_t)*map_slot(&t->by_text, t->tokens, s, n, NULL, 0) - 1;
}

int32_t merge_find(const struct tokenizer *t, const char *a, size_t n_a, const char *b, size_t n_b)
{
	return (int32_t)*map_slot(&t->by_merge, t->merges, a, n_a, b, n_b) - 1;
}

/* ---- reading ---- */

static int bad(char *err, size_t len, int rc, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static int bad(char *err, size_t len, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, len, fmt, ap);
	va_end(ap);
	return rc;
}

static int read_texts(const struct gguf *g, const char *key, struct token **list, uint32_t *n,
		      struct text_map *map, char *err, size_t len)
{
	struct gguf_array a;

	if (gguf_get_array(g, key, &a) || a.type != GGUF_STRING || !a.n || a.n > MAX_TOKENS)
		return bad(err, len, -EINVAL, "the key \"%s\" is missing or not a list of 1 to %u texts", key,
			   MAX_TOKENS);
	*list = calloc(a.n, sizeof(**list));
	if (!*list || map_new(map, a.n))
		return bad(err, len, -ENOMEM, "no memory for the vocabulary");
	*n = a.n;
	for (uint32_t i = 0; i < *n; i++) {
		struct token *t = &(*list)[i];
		uint32_t *slot;
		size_t size;

		t->text = gguf_array_str(&a, i, &size);
		if (size > 65536)
			return bad(err, len, -EINVAL, "text %u of \"%s\" is %zu bytes long, above 65536", i,
				   key, size);
		t->n = size;
		t->type = TOKEN_NORMAL;
		slot = map_slot(map, *list, t->text, t->n, NULL, 0);
		if (!*slot)	/* of equal texts the first counts */
			*slot = i + 1;
	}
	return 0;
}

static int read_scores(struct tokenizer *t, const struct gguf *g, char *err, size_t len)
{
	struct gguf_array scores, types;
	int has_scores = !gguf_get_array(g, "tokenizer.ggml.scores", &scores);
	int has_types = !gguf_get_array(g, "tokenizer.ggml.token_type", &types);

	if ((!t->bpe && !has_scores) || (has_scores && scores.n != t->n))
		return bad(err, len, -EINVAL, "\"tokenizer.ggml.scores\" does not have one score for each of the %u tokens",
			   t->n);
	if (has_types && types.n != t->n)
		return bad(err, len, -EINVAL, "\"tokenizer.ggml.token_type\" does not have one type for each of the %u tokens",
			   t->n);
	for (uint32_t i = 0; i < t->n; i++) {
		int32_t type = TOKEN_NORMAL;

		if (has_scores && (gguf_array_f32(&scores, i, &t->tokens[i].score) ||
				   t->tokens[i].score != t->tokens[i].score))
			return bad(err, len, -EINVAL, "score %u of \"tokenizer.ggml.scores\" is not a number", i);
		if (has_types && (gguf_array_i32(&types, i, &type) || type < 0 || type > TOKEN_BYTE))
			return bad(err, len, -EINVAL, "type %u of \"tokenizer.ggml.token_type\" is not known", i);
		t->tokens[i].type = type;
	}
	return 0;
}

static int32_t read_id(const struct tokenizer *t, const struct gguf *g, const char *key, int32_t absent)
{
	uint32_t id;

	if (gguf_get_u32(g, key, &id))
		return absent;
	return id < t->n ? (int32_t)id : -1;
}

static const struct tokenizer *sorting;	/* qsort has no argument; set for one call */

static int longer_first(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint32_t nx = sorting->tokens[x].n, ny = sorting->tokens[y].n;

	return nx != ny ? (nx < ny) - (nx > ny) : (x > y) - (x < y);
}

static int read_special(struct tokenizer *t)
{
	t->special = malloc(t->n * sizeof(*t->special));
	if (!t->special)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++)
		if ((t->tokens[i].type == TOKEN_CONTROL || t->tokens[i].type == TOKEN_USER) &&
		    t->tokens[i].n)
			t->special[t->n_special++] = i;
	sorting = t;
	qsort(t->special, t->n_special, sizeof(*t->special), longer_first);
	return 0;
}

static void read_byte_tokens(struct tokenizer *t)
{
	for (int b = 0; b < 256; b++) {
		char name[8];
		int n;

		if (t->bpe) {
			uint32_t c = bpe_code_of_byte(b);

			n = c < 0x80 ? 1 : 2;
			name[0] = n == 1 ? c : 0xc0 | c >> 6;
			name[1] = 0x80 | (c & 0x3f);
		} else {
			n = snprintf(name, sizeof(name), "<0x%02X>", b);
		}
		t->byte_token[b] = token_find(t, name, n);
	}
}

static int read_kind(struct tokenizer *t, const struct gguf *g, char *err, size_t len)
{
	const char *model, *pre = "";
	size_t n, n_pre = 0;

	if (gguf_get_str(g, "tokenizer.ggml.model", &model, &n))
		return bad(err, len, -EINVAL, "the file has no tokenizer; only `accelctl logits --tokens` can use it");
	gguf_get_str(g, "tokenizer.ggml.pre", &pre, &n_pre);
	if (n == 5 && !memcmp(model, "llama", 5))
		return 0;
	if (n == 4 && !memcmp(model, "gpt2", 4)) {
		t->bpe = true;
		if ((n_pre == 9 && !memcmp(pre, "llama-bpe", 9)) ||
		    (n_pre == 6 && !memcmp(pre, "llama3", 6)))
			return 0;
		return bad(err, len, -EINVAL, "the pre-tokenizer \"%.*s\" is not supported; supported: llama-bpe",
			   n_pre < 64 ? (int)n_pre : 64, pre);
	}
	return bad(err, len, -EINVAL, "the tokenizer \"%.*s\" is not supported; supported: llama (SentencePiece), gpt2 with llama-bpe",
		   n < 64 ? (int)n : 64, model);
}

static int read_vocabulary(struct tokenizer *t, const struct gguf *g, char *err, size_t len)
{
	int rc = read_kind(t, g, err, len);

	if (!rc)
		rc = read_texts(g, "tokenizer.ggml.tokens", &t->tokens, &t->n, &t->by_text, err, len);
	if (!rc)
		rc = read_scores(t, g, err, len);
	if (!rc && t->bpe)
		rc = read_texts(g, "tokenizer.ggml.merges", &t->merges, &t->n_merges, &t->by_merge, err,
				len);
	if (rc)
		return rc;
	if (read_special(t))
		return bad(err, len, -ENOMEM, "no memory for the vocabulary");
	read_byte_tokens(t);
	t->add_bos = true;
	t->add_space = !t->bpe;
	t->ignore_merges = t->bpe;	/* as the llama-bpe family has it */
	gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos);
	gguf_get_bool(g, "tokenizer.ggml.add_eos_token", &t->add_eos);
	gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &t->add_space);
	t->bos = read_id(t, g, "tokenizer.ggml.bos_token_id", t->bpe ? -1 : 1);
	t->eos = read_id(t, g, "tokenizer.ggml.eos_token_id", t->bpe ? -1 : 2);
	t->eot = read_id(t, g, "tokenizer.ggml.eot_token_id", -1);
	t->unknown = read_id(t, g, "tokenizer.ggml.unknown_token_id", t->bpe ? -1 : 0);
	return 0;
}

int tokenizer_new(const struct gguf *g, struct tokenizer **out, char *err, size_t errlen)
{
	struct tokenizer *t = calloc(1, sizeof(*t));
	int rc;

	*out = NULL;
	if (!t)
		return bad(err, errlen, -ENOMEM, "no memory for the tokenizer");
	rc = read_vocabulary(t, g, err, errlen);
	if (rc) {
		tokenizer_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void tokenizer_free(struct tokenizer *t)
{
	if (!t)
		return;
	free(t->tokens);
	free(t->merges);
	free(t->by_text.slot);
	free(t->by_merge.slot);
	free(t->special);
	free(t);
}

uint32_t tokenizer_size(const struct tokenizer *t)
{
	return t->n;
}

/* ---- text to tokens ---- */

/* The special token that the text begins with, -1 = none. */
static int32_t special_at(const struct tokenizer *t, const char *s, size_t n, bool parse)
{
	for (uint32_t i = 0; i < t->n_special; i++) {
		const struct token *k = &t->tokens[t->special[i]];

		if (k->n <= n && k->text[0] == s[0] && !memcmp(k->text, s, k->n) &&
		    (parse || k->type == TOKEN_USER))
			return t->special[i];
	}
	return -1;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool special,
		     bool parse, int32_t **ids, size_t *n_ids)
{
	struct ids out = { 0 };
	bool prefix = t->add_space;	/* at the beginning and after a special token */
	size_t begin = 0;
	int rc = 0;

	if (special && t->add_bos && t->bos >= 0)
		rc = ids_add(&out, t->bos);
	for (size_t at = 0; at <= n && !rc; at++) {
		int32_t id = at < n ? special_at(t, text + at, n - at, parse) : -1;

		if (at < n && id < 0)
			continue;
		if (at > begin)
			rc = t->bpe ? bpe_encode(t, text + begin, at - begin, &out) :
			     spm_encode(t, text + begin, at - begin, prefix, &out);
		if (id < 0)
			break;
		if (!rc)
			rc = ids_add(&out, id);
		prefix = t->add_space;
		at += t->tokens[id].n - 1;
		begin = at + 1;
	}
	if (!rc && special && t->add_eos && t->eos >= 0)
		rc = ids_add(&out, t->eos);
	if (rc) {
		free(out.list);
		return rc;
	}
	*ids = out.list;
	*n_ids = out.n;
	return 0;
}

/* ---- tokens to text ---- */

/* The bytes of a token; at most room of them. */
static size_t token_bytes(const struct tokenizer *t, int32_t id, char *out, size_t room)
{
	const struct token *k;
	size_t n = 0, at = 0;

	if (id < 0 || (uint32_t)id >= t->n)
		return 0;
	k = &t->tokens[id];
	if (k->type == TOKEN_CONTROL || k->type == TOKEN_UNUSED || k->type == TOKEN_UNKNOWN)
		return 0;
	if (!t->bpe && k->type == TOKEN_BYTE) {
		for (int b = 0; b < 256 && room; b++)
			if (t->byte_token[b] == id) {
				*out = b;
				return 1;
			}
		return 0;
	}
	while (at < k->n && n < room) {
		uint32_t len = 1;
		int b;

		if (!t->bpe && k->n - at >= 3 && !memcmp(k->text + at, SPACE_MARK, 3)) {
			out[n++] = ' ';
			at += 3;
			continue;
		}
		if (t->bpe && k->type != TOKEN_USER) {
			b = bpe_byte_of_code(utf8_at(k->text + at, k->n - at, &len));
			if (b >= 0) {
				out[n++] = b;
				at += len;
				continue;
			}
		}
		for (uint32_t i = 0; i < len && n < room; i++)
			out[n++] = k->text[at++];
	}
	return n;
}

/* How many of the n bytes are whole code points; what is left might become one. */
static size_t whole(const char *s, size_t n)
{
	for (size_t back = 1; back <= 3 && back <= n; back++) {
		uint8_t c = s[n - back];

		if ((c & 0xc0) == 0x80)
			continue;
		if (c >= 0xc2 && c < 0xf5 && back < (c < 0xe0 ? 2u : c < 0xf0 ? 3u : 4u))
			return n - back;
		break;
	}
	return n;
}

size_t tokenizer_decode(const struct tokenizer *t, struct tokenizer_stream *s, int32_t id, char *out,
			size_t room)
{
	size_t n = s->n, keep;

	if (room < sizeof(s->pending) + 1)
		return 0;
	memcpy(out, s->pending, n);
	n += token_bytes(t, id, out + n, room - n);
	if (!s->started && n && t->add_space && out[0] == ' ')
		memmove(out, out + 1, --n);
	s->started |= n;
	keep = whole(out, n);
	s->n = n - keep;
	memcpy(s->pending, out + keep, s->n);
	return keep;
}

bool tokenizer_is_eog(const struct tokenizer *t, int32_t id)
{
	static const char *const names[] = { "<|eot_id|>", "<|end_of_text|>", "<|im_end|>", "<|eom_id|>" };
	const struct token *k;

	if (id < 0 || (uint32_t)id >= t->n)
		return false;
	if (id == t->eos || id == t->eot)
		return true;
	k = &t->tokens[id];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (k->type == TOKEN_CONTROL && is_text(k, names[i], strlen(names[i]), NULL, 0))
			return true;
	return false;
}
