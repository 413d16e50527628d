/* SPDX-License-Identifier: MIT */
/* The tokenizer below <accel/text.h>, for what has a GGUF file and no model. */
#ifndef ACCEL_TOKENIZER_H
#define ACCEL_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

struct accel_tokenizer;
struct gguf;

/* Bytes [begin, end) of a text. */
struct span {
	size_t begin, end;
};

/* As accel_tokenizer_new(). */
int tokenizer_new(const struct gguf *g, struct accel_tokenizer **out);
/* As accel_tokenizer_encode(), but within the spans, ascending and apart, text spells no control
 * tokens. */
int tokenizer_encode(const struct accel_tokenizer *t, const char *text, size_t n, uint32_t flags,
		     const struct span *plain, size_t n_plain, int32_t *ids, size_t *n_ids);

#endif
