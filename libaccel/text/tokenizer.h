/* SPDX-License-Identifier: MIT */
/* The tokenizer below <accel/text.h>, for what has a GGUF file and no model. */
#ifndef ACCEL_TOKENIZER_H
#define ACCEL_TOKENIZER_H

struct accel_tokenizer;
struct gguf;

/* As accel_tokenizer_new(). */
int tokenizer_new(const struct gguf *g, struct accel_tokenizer **out);

#endif
