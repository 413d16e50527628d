// SPDX-License-Identifier: MIT
/* Tokens to text, a token at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "vocab.h"

struct accel_decoder {
	const struct accel_tokenizer *t;
	uint32_t flags;
	bool begun;
	uint8_t n;			/* of pending */
	char pending[3];		/* of a character that is not complete */
	char shown[3 + MAX_TOKEN];
};

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of a token, at most MAX_TOKEN.  special: also of one that is not text. */
static size_t token_bytes(const struct accel_tokenizer *t, int32_t id, bool special, char *out)
{
	const struct token *k;
	size_t n = 0;

	if (id < 0 || (uint32_t)id >= t->n)
		return 0;
	k = &t->tokens[id];
	if (k->type == TOKEN_UNUSED)
		return 0;
	if (k->type == TOKEN_BYTE) {	/* <0x0A> */
		if (k->n != 6 || hex(k->text[3]) < 0 || hex(k->text[4]) < 0)
			return 0;
		*out = hex(k->text[3]) << 4 | hex(k->text[4]);
		return 1;
	}
	if (k->type == TOKEN_CONTROL || k->type == TOKEN_UNKNOWN) {
		if (!special)
			return 0;
		memcpy(out, k->text, k->n);
		return k->n;
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

int accel_decoder_new(const struct accel_tokenizer *t, uint32_t flags, struct accel_decoder **out)
{
	struct accel_decoder *d;

	*out = NULL;
	if (flags & ~(ACCEL_DECODE_BEGIN | ACCEL_DECODE_SPECIAL))
		return fail(-EINVAL, "there is no flag 0x%x for decoding", flags);
	d = calloc(1, sizeof(*d));
	if (!d)
		return fail(-ENOMEM, "no memory for decoding");
	d->t = t;
	d->flags = flags;
	*out = d;
	return 0;
}

void accel_decoder_free(struct accel_decoder *d)
{
	free(d);
}

size_t accel_decoder_push(struct accel_decoder *d, int32_t id, const char **text)
{
	bool special = d->flags & ACCEL_DECODE_SPECIAL;
	char *s = d->shown;
	size_t n = d->n, keep;

	memcpy(s, d->pending, n);
	n += token_bytes(d->t, id, special, s + n);
	if (!d->begun && n) {
		d->begun = true;
		if ((d->flags & ACCEL_DECODE_BEGIN) && d->t->add_space && *s == ' ') {
			s++;
			n--;
		}
	}
	keep = whole(s, n);
	d->n = n - keep;
	memcpy(d->pending, s + keep, d->n);
	*text = s;
	return keep;
}

size_t accel_decoder_end(struct accel_decoder *d, const char **text)
{
	size_t n = d->n;

	memcpy(d->shown, d->pending, n);
	d->n = 0;
	d->begun = false;
	*text = d->shown;
	return n;
}
