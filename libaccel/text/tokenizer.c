// SPDX-License-Identifier: MIT
/* What a vocabulary holds, and text to tokens: control tokens here, the rest by the kinds. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "opts.h"
#include "vocab.h"

static const struct token *token_at(const struct accel_tokenizer *t, int32_t id)
{
	return id < 0 || (uint32_t)id >= t->n ? NULL : &t->tokens[id];
}

int accel_tokenizer_info(const struct accel_tokenizer *t, struct accel_tokenizer_info *info)
{
	static const char *const kinds[] = {
		[TOKENS_SPM] = "spm", [TOKENS_BPE] = "bpe", [TOKENS_UGM] = "unigram", [TOKENS_GEMMA] = "gemma",
	};
	struct accel_tokenizer_info own = {
		.n_tokens = t->n, .bos = t->bos, .eos = t->eos, .eot = t->eot, .eom = t->eom,
		.unknown = t->unknown, .add_bos = t->add_bos, .add_eos = t->add_eos,
		.add_space = t->add_space, .kind = kinds[t->kind],
		.pre = t->pre ? t->pre->name : "", .note = t->note,
	};

	return opts_write(info, &own, sizeof(own), "what is said of a vocabulary");
}

uint32_t accel_token_attr(const struct accel_tokenizer *t, int32_t id)
{
	static const uint8_t of_type[] = {
		[TOKEN_UNKNOWN] = ACCEL_TOKEN_UNKNOWN, [TOKEN_CONTROL] = ACCEL_TOKEN_CONTROL,
		[TOKEN_USER] = ACCEL_TOKEN_USER, [TOKEN_UNUSED] = ACCEL_TOKEN_UNUSED,
		[TOKEN_BYTE] = ACCEL_TOKEN_BYTE,
	};
	const struct token *k = token_at(t, id);

	return k ? of_type[k->type] | (k->ends ? ACCEL_TOKEN_END : 0u) : 0;
}

const char *accel_token_text(const struct accel_tokenizer *t, int32_t id, size_t *n)
{
	const struct token *k = token_at(t, id);

	*n = k ? k->n : 0;
	return k ? k->text : NULL;
}

int32_t accel_token_find(const struct accel_tokenizer *t, const char *text, size_t n)
{
	return token_find(t, text, n);
}

bool accel_token_ends(const struct accel_tokenizer *t, int32_t id)
{
	const struct token *k = token_at(t, id);

	return k && k->ends;
}

const int32_t *accel_tokenizer_ends(const struct accel_tokenizer *t, size_t *n)
{
	*n = t->n_ends;
	return t->ends;
}

bool accel_tokenizer_double_bos(const struct accel_tokenizer *t, const int32_t *ids, size_t n)
{
	return t->bos >= 0 && n >= 2 && ids[0] == t->bos && ids[1] == t->bos;
}

/* ---- text to tokens ---- */

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

struct reader {
	const struct accel_tokenizer *t;
	const char *text;
	size_t n;
	bool parse;
	const struct span *plain;	/* those that are not behind the place read */
	size_t n_plain;
};

/* The special token at a place, -1 = none.  One of a text around a span does not reach into it. */
static int32_t read_special(struct reader *r, size_t at)
{
	size_t end = r->n;
	bool plain = false;

	while (r->n_plain && at >= r->plain->end) {
		r->plain++;
		r->n_plain--;
	}
	if (r->n_plain) {
		plain = at >= r->plain->begin;
		end = plain ? r->n : r->plain->begin;
	}
	return special_at(r->t, r->text + at, end - at, r->parse && !plain);
}

static int encode_plain(const struct accel_tokenizer *t, const char *s, size_t n, bool prefix, struct ids *out)
{
	switch (t->kind) {
	case TOKENS_BPE:
		return bpe_encode(t, s, n, out);
	case TOKENS_UGM:
		return ugm_encode(t, s, n, prefix, out);
	case TOKENS_GEMMA:
		return gemma_encode(t, s, n, out);
	case TOKENS_SPM:
		break;
	}
	return spm_encode(t, s, n, prefix, out);
}

static int encode(const struct accel_tokenizer *t, const char *text, size_t n, uint32_t flags,
		  const struct span *plain, size_t n_plain, struct ids *out)
{
	struct reader r = { t, text, n, flags & ACCEL_ENCODE_SPECIAL, plain, n_plain };
	/* at the beginning and after a special token */
	bool prefix = t->add_space && !(flags & ACCEL_ENCODE_JOIN);
	size_t begin = 0;
	int rc = 0;

	if (flags & ACCEL_ENCODE_BEGIN && t->add_bos)
		rc = ids_add(out, t->bos);
	for (size_t at = 0; at <= n && !rc; at++) {
		int32_t id = at < n ? read_special(&r, at) : -1;

		if (at < n && id < 0)
			continue;
		if (at > begin)
			rc = encode_plain(t, text + begin, at - begin, prefix, out);
		if (id < 0)
			break;
		if (!rc)
			rc = ids_add(out, id);
		prefix = t->add_space;
		at += t->tokens[id].n - 1;
		begin = at + 1;
	}
	if (!rc && flags & ACCEL_ENCODE_END && t->add_eos)
		rc = ids_add(out, t->eos);
	return rc;
}

int tokenizer_encode(const struct accel_tokenizer *t, const char *text, size_t n, uint32_t flags,
		     const struct span *plain, size_t n_plain, int32_t *ids, size_t *n_ids)
{
	struct ids out = { 0 };
	size_t room = *n_ids;
	int rc;

	if (flags & ~(ACCEL_ENCODE_ENDS | ACCEL_ENCODE_SPECIAL | ACCEL_ENCODE_JOIN))
		return fail(-EINVAL, "there is no flag 0x%x for encoding", flags);
	rc = encode(t, text, n, flags, plain, n_plain, &out);
	if (rc == -EILSEQ)
		rc = fail(rc, "the vocabulary has no tokens for some bytes of the text");
	else if (rc)
		rc = fail(rc, "no memory for the tokens of a text of %zu bytes", n);
	if (!rc) {
		*n_ids = out.n;
		if (out.n > room)
			rc = fail(-ENOSPC, "the text has %zu tokens, there is room for %zu", out.n,
				  room);
		else if (out.n)
			memcpy(ids, out.list, out.n * sizeof(*ids));
	}
	free(out.list);
	return rc;
}

int accel_tokenizer_encode(const struct accel_tokenizer *t, const char *text, size_t n,
			   uint32_t flags, int32_t *ids, size_t *n_ids)
{
	return tokenizer_encode(t, text, n, flags, NULL, 0, ids, n_ids);
}
