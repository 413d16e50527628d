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
#define MAX_TOKEN 2048u		/* bytes of a token's text; the longest in use are far below */
#define MAX_MERGE (2 * MAX_TOKEN + 1)
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

static int map_new(struct text_map *m, uint32_t n)
{
	uint64_t room = 16;

	while (room < 2ull * n)
		room *= 2;
	m->slot = calloc(room, sizeof(*m->slot));
	m->mask = room - 1;
	hash_key_new(&m->key);
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
	struct hash h;
	uint64_t i;

	hash_begin(&h, &m->key);
	hash_add(&h, a, n_a);
	if (b) {
		hash_add(&h, " ", 1);
		hash_add(&h, b, n_b);
	}
	for (i = hash_end(&h) & m->mask; m->slot[i]; i = (i + 1) & m->mask)
		if (is_text(&list[m->slot[i] - 1], a, n_a, b, n_b))
			break;
	return &m->slot[i];
}

int32_t token_find(const struct tokenizer *t, const char *s, size_t n)
{
	if (n > t->by_text.longest)
		return -1;
	return (int32_t)*map_slot(&t->by_text, t->tokens, s, n, NULL, 0) - 1;
}

int32_t token_of_text(const struct tokenizer *t, const char *s, size_t n)
{
	int32_t id = token_find(t, s, n);

	if (id < 0 || t->tokens[id].type == TOKEN_CONTROL || t->tokens[id].type == TOKEN_UNKNOWN ||
	    t->tokens[id].type == TOKEN_BYTE)
		return -1;
	return id;
}

int32_t merge_find(const struct tokenizer *t, const char *a, size_t n_a, const char *b, size_t n_b)
{
	if (n_a + 1 + n_b > t->by_merge.longest)
		return -1;
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
	/* Names out of the file must not talk to the terminal. */
	for (char *s = err; len && *s; s++)
		if ((uint8_t)*s < ' ' || *s == 127)
			*s = '?';
	return rc;
}

static int read_texts(const struct gguf *g, const char *key, size_t max, struct token **list,
		      uint32_t *n, struct text_map *map, char *err, size_t len)
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
		if (size > max)
			return bad(err, len, -EINVAL, "text %u of \"%s\" is %zu bytes long, above %zu", i,
				   key, size, max);
		t->n = size;
		if (t->n > map->longest)
			map->longest = t->n;
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

static int read_id(const struct tokenizer *t, const struct gguf *g, const char *key, int32_t absent,
		   int32_t *id, char *err, size_t len)
{
	uint32_t v;
	int rc = gguf_get_u32(g, key, &v);

	if (rc == -ENOENT) {
		*id = absent < (int32_t)t->n ? absent : -1;
		return 0;
	}
	/* Some files write "none" as -1. */
	if (!rc && v < t->n)
		*id = v;
	else if (!rc && v == UINT32_MAX)
		*id = -1;
	else
		return bad(err, len, -EINVAL, "\"%s\" is not one of the %u tokens", key, t->n);
	return 0;
}

static int read_flag(const struct gguf *g, const char *key, bool *v, char *err, size_t len)
{
	int rc = gguf_get_bool(g, key, v);

	if (rc && rc != -ENOENT)
		return bad(err, len, rc, "\"%s\" is neither true nor false", key);
	return 0;
}

static int read_ids(struct tokenizer *t, const struct gguf *g, char *err, size_t len)
{
	bool spm = !t->bpe;
	const struct {
		const char *key;
		int32_t absent, *id;
	} ids[] = {
		{ "tokenizer.ggml.bos_token_id", spm ? 1 : -1, &t->bos },
		{ "tokenizer.ggml.eos_token_id", spm ? 2 : -1, &t->eos },
		{ "tokenizer.ggml.unknown_token_id", spm ? 0 : -1, &t->unknown },
		{ "tokenizer.ggml.eot_token_id", -1, &t->eot },
		{ "tokenizer.ggml.eom_token_id", -1, &t->eom },
	};
	const struct {
		const char *key;
		bool *v;
	} flags[] = {
		{ "tokenizer.ggml.add_bos_token", &t->add_bos },
		{ "tokenizer.ggml.add_eos_token", &t->add_eos },
		{ "tokenizer.ggml.add_space_prefix", &t->add_space },
	};
	int rc = 0;

	t->add_bos = spm || t->pre->add_bos;
	t->add_space = spm;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]) && !rc; i++)
		rc = read_id(t, g, ids[i].key, ids[i].absent, ids[i].id, err, len);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && !rc; i++)
		rc = read_flag(g, flags[i].key, flags[i].v, err, len);
	if (rc)
		return rc;
	if (t->bpe)
		t->add_space = false;	/* what it means for this kind nobody has defined */
	if ((t->add_bos && t->bos < 0) || (t->add_eos && t->eos < 0))
		return bad(err, len, -EINVAL, "each text should %s with a token that the vocabulary does not name (\"tokenizer.ggml.%s_token_id\")",
			   t->add_bos && t->bos < 0 ? "begin" : "end",
			   t->add_bos && t->bos < 0 ? "bos" : "eos");
	return 0;
}

/* ---- tokens that text can spell as a whole ---- */

/* By text; of equal texts first those that count in any text, then the lowest number. */
static int by_text(const void *a, const void *b, void *arg)
{
	const struct tokenizer *t = arg;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct token *x = &t->tokens[i], *y = &t->tokens[j];
	int d = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);

	if (!d)
		d = (x->n > y->n) - (x->n < y->n);
	if (!d)
		d = (y->type == TOKEN_USER) - (x->type == TOKEN_USER);
	return d ? d : (i > j) - (i < j);
}

static int read_special(struct tokenizer *t)
{
	uint32_t n = 0;

	t->special = malloc(t->n * sizeof(*t->special));
	if (!t->special)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++) {
		uint8_t type = t->tokens[i].type;

		if ((type == TOKEN_CONTROL || type == TOKEN_USER || type == TOKEN_UNKNOWN) &&
		    t->tokens[i].n)
			t->special[n++] = i;
	}
	qsort_r(t->special, n, sizeof(*t->special), by_text, t);
	for (uint32_t i = 0; i < n; i++) {
		const struct token *k = &t->tokens[t->special[i]];
		const struct token *last = t->n_special ? &t->tokens[t->special[t->n_special - 1]] : NULL;

		t->special_first[(uint8_t)k->text[0]] = true;
		if (!last || !is_text(last, k->text, k->n, NULL, 0))
			t->special[t->n_special++] = t->special[i];
	}
	return 0;
}

/* In special[low..high), all equal in their first k bytes: those that go on with c or more. */
static uint32_t special_bound(const struct tokenizer *t, uint32_t low, uint32_t high, uint32_t k,
			      unsigned int c)
{
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct token *x = &t->tokens[t->special[mid]];

		if (x->n > k && (uint8_t)x->text[k] >= c)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* The longest special token that the text begins with, -1 = none. */
static int32_t special_at(const struct tokenizer *t, const char *s, size_t n, bool parse)
{
	uint32_t low = 0, high = t->n_special;
	int32_t best = -1;

	if (!t->special_first[(uint8_t)s[0]])
		return -1;
	for (uint32_t k = 0; k < n && low < high; k++) {
		uint8_t c = s[k];

		low = special_bound(t, low, high, k, c);
		high = special_bound(t, low, high, k, c + 1u);
		/* What ends here is the first of those that are left. */
		if (low < high && t->tokens[t->special[low]].n == k + 1 &&
		    (parse || t->tokens[t->special[low]].type == TOKEN_USER))
			best = t->special[low];
	}
	return best;
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
	char names[256];

	if (gguf_get_str(g, "tokenizer.ggml.model", &model, &n))
		return bad(err, len, -EINVAL, "the file has no tokenizer; only `accelctl logits --tokens` can use it");
	gguf_get_str(g, "tokenizer.ggml.pre", &pre, &n_pre);
	if (n == 5 && !memcmp(model, "llama", 5))
		return 0;
	if (n != 4 || memcmp(model, "gpt2", 4))
		return bad(err, len, -EINVAL, "the tokenizer \"%.*s\" is not supported; supported: llama (SentencePiece), gpt2 (byte-level BPE)",
			   n < 64 ? (int)n : 64, model);
	t->bpe = true;
	t->pre = pretokenizer_find(pre, n_pre);
	if (t->pre)
		return 0;
	pretokenizer_names(names, sizeof(names));
	return bad(err, len, -EINVAL, "the pre-tokenizer \"%.*s\" is not supported; supported: %s",
		   n_pre < 64 ? (int)n_pre : 64, pre, names);
}

static int read_vocabulary(struct tokenizer *t, const struct gguf *g, char *err, size_t len)
{
	int rc = read_kind(t, g, err, len);

	if (!rc)
		rc = read_texts(g, "tokenizer.ggml.tokens", MAX_TOKEN, &t->tokens, &t->n, &t->by_text,
				err, len);
	if (!rc)
		rc = read_scores(t, g, err, len);
	if (!rc && t->bpe)
		rc = read_texts(g, "tokenizer.ggml.merges", MAX_MERGE, &t->merges, &t->n_merges,
				&t->by_merge, err, len);
	if (!rc)
		rc = read_ids(t, g, err, len);
	if (!rc && read_special(t))
		rc = bad(err, len, -ENOMEM, "no memory for the vocabulary");
	if (!rc)
		read_byte_tokens(t);
	return rc;
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

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool special,
		     bool parse, int32_t **ids, size_t *n_ids)
{
	struct ids out = { 0 };
	bool prefix = t->add_space;	/* at the beginning and after a special token */
	size_t begin = 0;
	int rc = 0;

	if (special && t->add_bos)
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
	if (!rc && special && t->add_eos)
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

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of a token, at most MAX_TOKEN. */
static size_t token_bytes(const struct tokenizer *t, int32_t id, char *out)
{
	const struct token *k;
	size_t n = 0;

	if (id < 0 || (uint32_t)id >= t->n)
		return 0;
	k = &t->tokens[id];
	if (k->type == TOKEN_CONTROL || k->type == TOKEN_UNUSED || k->type == TOKEN_UNKNOWN)
		return 0;
	if (k->type == TOKEN_BYTE) {	/* <0x0A> */
		if (k->n != 6 || hex(k->text[3]) < 0 || hex(k->text[4]) < 0)
			return 0;
		*out = hex(k->text[3]) << 4 | hex(k->text[4]);
		return 1;
	}
	if (k->type == TOKEN_USER) {	/* stands for itself */
		memcpy(out, k->text, k->n);
		return k->n;
	}
	for (size_t at = 0; at < k->n;) {
		size_t left = k->n - at;
		uint32_t len = 1, c;

		if (t->bpe) {
			c = utf8_next(k->text + at, left, &len);
			if (len && bpe_byte_of_code(c) >= 0) {
				out[n++] = bpe_byte_of_code(c);
				at += len;
				continue;
			}
		} else if (left >= 3 && !memcmp(k->text + at, SPACE_MARK, 3)) {
			out[n++] = ' ';
			at += 3;
			continue;
		}
		for (len += !len; len; len--)
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
	char buffer[sizeof(s->pending) + MAX_TOKEN], *text = buffer;
	size_t n = s->n, keep;

	memcpy(text, s->pending, n);
	n += token_bytes(t, id, text + n);
	if (!s->started && n) {
		s->started = true;
		if (t->add_space && *text == ' ') {
			text++;
			n--;
		}
	}
	keep = whole(text, n);
	s->n = n - keep;
	memcpy(s->pending, text + keep, s->n);
	if (keep > room)
		keep = whole(text, room);
	memcpy(out, text, keep);
	return keep;
}

bool tokenizer_is_eog(const struct tokenizer *t, int32_t id)
{
	static const char *const names[] = {
		"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>", "<|end|>",
		"<|return|>", "<end_of_turn>", "<eos>", "</s>", "<EOT>", "[EOS]", "[EOT]",
		"<\uff5cend\u2581of\u2581sentence\uff5c>",
	};
	const struct token *k;

	if (id < 0 || (uint32_t)id >= t->n)
		return false;
	if (id == t->eos || id == t->eot || id == t->eom)
		return true;
	k = &t->tokens[id];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (k->type == TOKEN_CONTROL && is_text(k, names[i], strlen(names[i]), NULL, 0))
			return true;
	return false;
}
