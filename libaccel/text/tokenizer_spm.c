// SPDX-License-Identifier: MIT
/*
 * SentencePiece with scores: the text begins as single characters; again and again the
 * neighbours whose union is the token of the highest score are merged.  What is no token in
 * the end is written as byte tokens.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vocab.h"

static bool score_of(const struct accel_tokenizer *t, const char *s, uint32_t n_left, uint32_t n,
		     double *score)
{
	int32_t id = token_of_text(t, s, n);

	(void)n_left;
	if (id < 0)
		return false;
	*score = t->tokens[id].score;
	return true;
}

int spm_output(const struct merger *m, struct ids *out)
{
	const struct accel_tokenizer *t = m->t;
	int rc = 0;

	for (int32_t i = 0; i >= 0 && !rc; i = m->symbols[i].next) {
		const struct symbol *s = &m->symbols[i];
		int32_t id = token_of_text(t, m->text + s->at, s->n);

		if (id >= 0) {
			rc = ids_add(out, id);
			continue;
		}
		for (uint32_t k = 0; k < s->n && !rc; k++) {
			id = t->byte_token[(uint8_t)m->text[s->at + k]];
			if (id < 0)
				id = t->unknown;
			rc = id < 0 ? -EILSEQ : ids_add(out, id);
		}
	}
	return rc;
}

char *spm_escape(const char *s, size_t n, bool prefix, size_t *size)
{
	char *text = n > INT32_MAX / 4 ? NULL : malloc(3 * (n + 1));

	*size = 0;
	for (size_t i = 0; i < n + prefix && text; i++) {
		char c = prefix ? i ? s[i - 1] : ' ' : s[i];

		if (c == ' ') {
			memcpy(text + *size, SPACE_MARK, 3);
			*size += 3;
		} else {
			text[(*size)++] = c;
		}
	}
	return text;
}

int spm_encode(const struct accel_tokenizer *t, const char *s, size_t n, bool prefix,
	       struct ids *out)
{
	struct merger m = { .t = t, .score_of = score_of };
	size_t size;
	char *text = spm_escape(s, n, prefix, &size);
	int rc = text ? merge_text(&m, text, size) : -ENOMEM;

	if (!rc)
		rc = spm_output(&m, out);
	merge_end(&m);
	free(text);
	return rc;
}
