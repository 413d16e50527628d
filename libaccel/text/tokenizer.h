/* SPDX-License-Identifier: MIT */
/* Text to tokens and back, with the vocabulary that a model file carries. */
#ifndef ACCELCTL_TOKENIZER_H
#define ACCELCTL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct tokenizer;

/* -EINVAL: the file has none, a damaged one, or one of a kind that is not supported; err
 * gets one sentence.  The file must stay open. */
int tokenizer_new(const struct gguf *g, struct tokenizer **out, char *err, size_t errlen);
void tokenizer_free(struct tokenizer *t);
uint32_t tokenizer_size(const struct tokenizer *t);

/* *ids is malloc'd.  special: with the tokens that the vocabulary adds at the ends;
 * parse: the text may spell control tokens ("</s>").  -EILSEQ: the vocabulary has no tokens for
 * some of its bytes; -ENOMEM.  Bytes that are not UTF-8 become byte tokens or U+FFFD. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool special,
		     bool parse, int32_t **ids, size_t *n_ids);

#define TOKENIZER_PIECE 2052

/* State of one text being put together; zero at its beginning. */
struct tokenizer_stream {
	bool started;
	uint8_t n;
	uint8_t pending[3];	/* of a code point that is not complete */
};

/* Appends a token to the text: what can be shown now goes to out, the number of bytes is
 * returned.  A token longer than the room is cut; TOKENIZER_PIECE is always enough. */
size_t tokenizer_decode(const struct tokenizer *t, struct tokenizer_stream *s, int32_t id, char *out,
			size_t room);

/* Does the token end an answer? */
bool tokenizer_is_eog(const struct tokenizer *t, int32_t id);

#endif
