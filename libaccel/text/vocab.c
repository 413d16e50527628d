// SPDX-License-Identifier: MIT
/* Reading a vocabulary: what the file says, believed as little as can be. */
#include "vocab.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "model/gguf.h"
#include "model/layer.h"
#include "chat.h"

#define MAX_MERGE (2 * MAX_TOKEN + 1)

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

bool token_is(const struct token *t, const char *s, size_t n)
{
	return is_text(t, s, n, NULL, 0);
}

int32_t token_find(const struct accel_tokenizer *t, const char *s, size_t n)
{
	if (n > t->by_text.longest)
		return -1;
	return (int32_t)*map_slot(&t->by_text, t->tokens, s, n, NULL, 0) - 1;
}

int32_t token_of_text(const struct accel_tokenizer *t, const char *s, size_t n)
{
	int32_t id = token_find(t, s, n);

	if (id < 0 || t->tokens[id].type == TOKEN_CONTROL || t->tokens[id].type == TOKEN_UNKNOWN ||
	    t->tokens[id].type == TOKEN_BYTE)
		return -1;
	return id;
}

int32_t merge_find(const struct accel_tokenizer *t, const char *a, size_t n_a, const char *b,
		   size_t n_b)
{
	if (n_a + 1 + n_b > t->by_merge.longest)
		return -1;
	return (int32_t)*map_slot(&t->by_merge, t->merges, a, n_a, b, n_b) - 1;
}

/* ---- reading ---- */

static int no_memory(void)
{
	return fail(-ENOMEM, "no memory for the vocabulary");
}

/* What a user should read once; the first of them counts. */
static void remark(struct accel_tokenizer *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void remark(struct accel_tokenizer *t, const char *fmt, ...)
{
	va_list ap;

	if (t->note[0])
		return;
	va_start(ap, fmt);
	vsnprintf(t->note, sizeof(t->note), fmt, ap);
	va_end(ap);
}

/* All texts of the list in one piece of memory, so that nothing depends on the file later. */
static int copy_texts(const struct gguf_array *a, const char *key, size_t max, struct token *list,
		      char **texts)
{
	size_t total = 0, size;
	char *to;

	for (uint32_t i = 0; i < a->n; i++) {
		list[i].text = gguf_array_str(a, i, &size);
		if (size > max)
			return fail(-EINVAL, "text %u of \"%s\" is %zu bytes long, above %zu", i,
				    key, size, max);
		list[i].n = size;
		total += size;
	}
	*texts = to = malloc(total + 1);
	if (!to)
		return no_memory();
	for (uint32_t i = 0; i < a->n; to += list[i++].n) {
		memcpy(to, list[i].text, list[i].n);
		list[i].text = to;
	}
	return 0;
}

static int read_texts(const struct gguf *g, const char *key, size_t max, struct token **list,
		      uint32_t *n, struct text_map *map, char **texts)
{
	struct gguf_array a;
	int rc;

	if (gguf_get_array(g, key, &a) || a.type != GGUF_STRING || !a.n || a.n > MAX_TOKENS)
		return fail(-EINVAL, "the key \"%s\" is missing or not a list of 1 to %u texts",
			    key, MAX_TOKENS);
	*list = calloc(a.n, sizeof(**list));
	if (!*list || map_new(map, a.n))
		return no_memory();
	rc = copy_texts(&a, key, max, *list, texts);
	if (rc)
		return rc;
	*n = a.n;
	for (uint32_t i = 0; i < *n; i++) {
		struct token *t = &(*list)[i];
		uint32_t *slot = map_slot(map, *list, t->text, t->n, NULL, 0);

		if (t->n > map->longest)
			map->longest = t->n;
		t->type = TOKEN_NORMAL;
		if (!*slot)	/* of equal texts the first counts */
			*slot = i + 1;
	}
	return 0;
}

/* BPE merges by rank, and what files say of scores is nothing to it. */
static int read_scores(struct accel_tokenizer *t, const struct gguf *g)
{
	struct gguf_array a;

	if (t->bpe)
		return 0;
	if (gguf_get_array(g, "tokenizer.ggml.scores", &a) || a.n != t->n)
		return fail(-EINVAL,
			    "\"tokenizer.ggml.scores\" does not have one score for each of the %u tokens",
			    t->n);
	for (uint32_t i = 0; i < t->n; i++)
		if (gguf_array_f32(&a, i, &t->tokens[i].score) ||
		    t->tokens[i].score != t->tokens[i].score)
			return fail(-EINVAL,
				    "score %u of \"tokenizer.ggml.scores\" is not a number", i);
	return 0;
}

static int read_types(struct accel_tokenizer *t, const struct gguf *g)
{
	struct gguf_array a;

	if (gguf_get_array(g, "tokenizer.ggml.token_type", &a))
		return 0;
	if (a.n != t->n)
		return fail(-EINVAL,
			    "\"tokenizer.ggml.token_type\" does not have one type for each of the %u tokens",
			    t->n);
	for (uint32_t i = 0; i < t->n; i++) {
		int32_t type;

		if (gguf_array_i32(&a, i, &type))
			return fail(-EINVAL,
				    "type %u of \"tokenizer.ggml.token_type\" is not a whole number",
				    i);
		/* A kind that nobody has defined is no kind of its own. */
		t->tokens[i].type = type < 0 || type > TOKEN_BYTE ? TOKEN_NORMAL : type;
	}
	return 0;
}

int vocab_number(const struct gguf *g, const char *key, uint64_t i, int64_t *v)
{
	struct gguf_array a;
	uint32_t u;
	int32_t n;
	float f;
	int rc = gguf_get_array(g, key, &a);

	if (!rc) {
		rc = i < a.n ? gguf_array_i32(&a, i, &n) : -ENOENT;
		*v = rc ? 0 : n;
		return rc;
	}
	if (rc == -ENOENT || i)
		return -ENOENT;
	if (!gguf_get_u32(g, key, &u))
		*v = u == UINT32_MAX ? -1 : (int64_t)u;
	else if (!gguf_get_f32(g, key, &f) && fabsf(f) < MAX_TOKENS && f == (int32_t)f)
		*v = (int64_t)f;
	else
		return -EINVAL;
	return 0;
}

/* Files of merged and pruned models name tokens that are no more. */
static int read_id(struct accel_tokenizer *t, const struct gguf *g, const char *key, int32_t absent,
		   int32_t *id)
{
	int64_t v;
	int rc = vocab_number(g, key, 0, &v);

	*id = absent < (int32_t)t->n ? absent : -1;
	if (rc == -ENOENT)
		return 0;
	if (rc)
		return fail(-EINVAL, "\"%s\" is %s, not the number of a token", key,
			    gguf_value_text(g, key, (char [64]) { 0 }, 64));
	if (v == -1)		/* as some files write "none" */
		*id = -1;
	else if (v >= 0 && v < t->n)
		*id = v;
	else
		remark(t, "\"%s\" is %lld, beyond the %u tokens; it is not used", key, (long long)v,
		       t->n);
	return 0;
}

static int read_flag(const struct gguf *g, const char *key, bool *v)
{
	int64_t n;
	int rc = gguf_get_bool(g, key, v);

	if (rc == -ENOENT)
		return 0;
	if (rc && !vocab_number(g, key, 0, &n) && (n == 0 || n == 1)) {
		*v = n;
		rc = 0;
	}
	return rc ? fail(rc, "\"%s\" is %s, neither true nor false", key,
			 gguf_value_text(g, key, (char [64]) { 0 }, 64)) : 0;
}

/* A text that should begin or end with a token that there is not does so without. */
static void check_end(struct accel_tokenizer *t, bool *add, int32_t id, const char *what)
{
	if (!*add || id >= 0)
		return;
	*add = false;
	remark(t, "each text should %s with a token that the file does not name; none is put there, and answers may be worse",
	       what);
}

static int read_ids(struct accel_tokenizer *t, const struct gguf *g)
{
	const bool spm = t->kind == TOKENS_SPM, ugm = t->kind == TOKENS_UGM, gemma = t->kind == TOKENS_GEMMA;
	struct {
		const char *key;
		int32_t absent, *id;
	} ids[] = {
		{ "tokenizer.ggml.bos_token_id", spm ? 1 : -1, &t->bos },
		{ "tokenizer.ggml.eos_token_ids", spm ? 2 : ugm ? 1 : -1, &t->eos },
		{ "tokenizer.ggml.eos_token_id", -1, &t->eos },
		{ "tokenizer.ggml.unknown_token_id", spm ? 0 : ugm ? 2 : -1, &t->unknown },
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
		{ "tokenizer.ggml.remove_extra_whitespaces", &t->merge_spaces },
	};
	int rc = 0;

	t->add_bos = spm || gemma || (t->bpe && t->pre->add_bos);
	t->add_eos = ugm;
	if (t->bpe && t->pre->add_bos)
		ids[0].absent = token_find(t, "<|begin_of_text|>", 17);
	t->add_space = spm;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]) && !rc; i++) {
		if (i && ids[i].id == ids[i - 1].id)	/* another name of the same */
			ids[i].absent = *ids[i - 1].id;
		rc = read_id(t, g, ids[i].key, ids[i].absent, ids[i].id);
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && !rc; i++)
		rc = read_flag(g, flags[i].key, flags[i].v);
	if (rc)
		return rc;
	if (t->bpe || gemma)
		t->add_space = false;	/* what it means for these kinds nobody has defined */
	t->add_bos |= gemma;		/* whatever the file says */
	check_end(t, &t->add_bos, t->bos, "begin");
	check_end(t, &t->add_eos, t->eos, "end");
	return 0;
}

static void read_byte_tokens(struct accel_tokenizer *t)
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

/*
 * Files of spring 2024 do not name their pre-tokenizer.  Those of Llama 3 are known by a token; for
 * the others there is the one that llama.cpp takes, too.
 */
static const struct pretokenizer *guess_pre(struct accel_tokenizer *t)
{
	static const char begin[] = "<|begin_of_text|>";
	bool llama3 = token_find(t, begin, strlen(begin)) >= 0;
	const char *name = llama3 ? "llama-bpe" : "default";

	remark(t,
	       llama3 ? "the file does not name its pre-tokenizer; it is that of Llama 3 by its token \"%s\""
		      : "the file does not name its pre-tokenizer; a general one is used, and answers may be worse: "
			"convert the model anew",
	       begin);
	return pretokenizer_find(name, strlen(name));
}

static int read_pre(struct accel_tokenizer *t, const struct gguf *g)
{
	const char *pre;
	char names[384];
	size_t n;

	if (gguf_get_str(g, "tokenizer.ggml.pre", &pre, &n) || !n) {
		t->pre = guess_pre(t);
		return 0;
	}
	t->pre = pretokenizer_find(pre, n);
	if (t->pre)
		return 0;
	pretokenizer_names(names, sizeof(names));
	return fail(-EINVAL, "the pre-tokenizer \"%.*s\" is not supported; supported: %s",
		    n < 64 ? (int)n : 64, pre, names);
}

static int read_kind(struct accel_tokenizer *t, const struct gguf *g)
{
	static const char *const kinds[] = {
		[TOKENS_SPM] = "llama", [TOKENS_BPE] = "gpt2", [TOKENS_UGM] = "t5", [TOKENS_GEMMA] = "gemma4",
	};
	const char *model;
	size_t n;

	if (gguf_get_str(g, "tokenizer.ggml.model", &model, &n))
		return fail(-EINVAL,
			    "the file has no tokenizer: only token ids can be given to it");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (n == strlen(kinds[i]) && !memcmp(model, kinds[i], n)) {
			t->kind = i;
			t->bpe = t->kind == TOKENS_BPE;
			return 0;
		}
	return fail(
		-EINVAL,
		"the tokenizer \"%.*s\" is not supported; supported: llama (SentencePiece), gpt2 (byte-level BPE), t5 (unigrams), gemma4",
		n < 64 ? (int)n : 64, model);
}

/* The end-of-turn texts of the chat format that the file asks for. */
static const char *const *chat_ends(const struct gguf *g)
{
	const struct chat_format *f;
	const char *s;
	size_t n;

	if (gguf_get_str(g, "tokenizer.chat_template", &s, &n))
		return NULL;
	f = chat_recognise(s, n);
	return f ? f->stops : NULL;
}

/* What unigrams want besides: replacements, and the score of what is unknown: 10 below the least. */
static int read_unigrams(struct accel_tokenizer *t, const struct gguf *g)
{
	static const char key[] = "tokenizer.ggml.precompiled_charsmap";
	struct gguf_array a;
	float least = 0;
	int rc = gguf_get_array(g, key, &a);

	if (!rc)
		rc = a.type > GGUF_I8 ? -EINVAL : ugm_charsmap(&t->charsmap, a.data, a.n);
	if (rc == -ENOMEM)
		return no_memory();
	if (rc && rc != -ENOENT)
		return fail(-EINVAL, "\"%s\" is damaged: not bytes of a trie with texts behind it", key);
	for (uint32_t i = 0; i < t->n; i++)
		if (t->tokens[i].type == TOKEN_NORMAL && t->tokens[i].score < least)
			least = t->tokens[i].score;
	t->unknown_score = least - 10;
	if (sorted_new(&t->plain, t, 1u << TOKEN_NORMAL | 1u << TOKEN_USER | 1u << TOKEN_UNUSED))
		return no_memory();
	return 0;
}

static int read_vocabulary(struct accel_tokenizer *t, const struct gguf *g)
{
	int rc = read_kind(t, g);

	if (!rc)
		rc = read_texts(g, "tokenizer.ggml.tokens", MAX_TOKEN, &t->tokens, &t->n,
				&t->by_text, &t->texts[0]);
	if (!rc && t->bpe)
		rc = read_pre(t, g);
	if (!rc)
		rc = read_scores(t, g);
	if (!rc)
		rc = read_types(t, g);
	if (!rc && (t->bpe || t->kind == TOKENS_GEMMA))
		rc = read_texts(g, "tokenizer.ggml.merges", MAX_MERGE, &t->merges, &t->n_merges,
				&t->by_merge, &t->texts[1]);
	if (!rc)
		rc = read_ids(t, g);
	if (!rc && special_read(t, g, chat_ends(g)))
		rc = no_memory();
	if (!rc)
		read_byte_tokens(t);
	if (!rc && t->kind == TOKENS_UGM)
		rc = read_unigrams(t, g);
	return rc;
}

int tokenizer_new(const struct gguf *g, struct accel_tokenizer **out)
{
	struct accel_tokenizer *t = calloc(1, sizeof(*t));
	int rc;

	*out = NULL;
	if (!t)
		return no_memory();
	rc = read_vocabulary(t, g);
	if (gguf_intact(g))	/* whatever was read of a file that changed */
		rc = -EIO;
	if (rc) {
		accel_tokenizer_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

int accel_tokenizer_new(const struct accel_model *model, struct accel_tokenizer **out)
{
	return tokenizer_new(accel_model_gguf(model), out);
}

void accel_tokenizer_free(struct accel_tokenizer *t)
{
	if (!t)
		return;
	free(t->tokens);
	free(t->merges);
	free(t->texts[0]);
	free(t->texts[1]);
	free(t->charsmap.data);
	free(t->by_text.slot);
	free(t->by_merge.slot);
	free(t->special.list);
	free(t->plain.list);
	free(t->ends);
	free(t);
}
