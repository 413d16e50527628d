// SPDX-License-Identifier: MIT
/*
 * Gemma 4's: merges by rank as byte-level BPE has them, of characters as SentencePiece writes
 * them.  Line ends are apart from all else; what is no token in the end is written as byte tokens.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vocab.h"

static bool score_of(const struct accel_tokenizer *t, const char *s, uint32_t n_left, uint32_t n,
		     double *score)
{
	int32_t rank = merge_find(t, s, n_left, s + n_left, n - n_left);

	*score = -(double)rank;
	return rank >= 0;
}

/* A run of line ends that is a token is not merged. */
static int encode_run(struct merger *m, const char *s, size_t n, struct ids *out)
{
	int32_t id = *s == '\n' ? token_of_text(m->t, s, n) : -1;
	int rc;

	if (id >= 0)
		return ids_add(out, id);
	rc = merge_text(m, s, n);
	return rc ? rc : spm_output(m, out);
}

int gemma_encode(const struct accel_tokenizer *t, const char *s, size_t n, struct ids *out)
{
	struct merger m = { .t = t, .score_of = score_of };
	size_t size, end;
	char *utf8 = n > INT32_MAX / 16 ? NULL : bpe_repaired(s, n, &size);
	char *text = utf8 ? spm_escape(utf8, size, false, &size) : NULL;
	int rc = text ? 0 : -ENOMEM;

	free(utf8);
	for (size_t at = 0; at < size && !rc; at = end) {
		for (end = at + 1; end < size && (text[end] == '\n') == (text[at] == '\n'); end++)
			;
		rc = encode_run(&m, text + at, end - at, out);
	}
	merge_end(&m);
	free(text);
	return rc;
}
