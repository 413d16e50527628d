/* SPDX-License-Identifier: MIT */
/*
 * Writes GGUF files into memory, good ones and bad ones: nothing is checked, and the place of
 * every number of the header is remembered, so that a test can spoil each of them in turn.
 */
#ifndef TESTS_GGUF_BUILD_H
#define TESTS_GGUF_BUILD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"

struct build_field {
	size_t at;
	unsigned int size;	/* bytes: 4 or 8 */
};

struct build {
	uint8_t *p;
	size_t n, room;
	struct build_field field[512];
	size_t n_fields;
	size_t header;		/* bytes before the data, without padding; set by build_data() */
	uint64_t data;		/* bytes of tensors announced so far */
	uint64_t alignment;
	/* where the two counts of the header are */
	size_t tensors_at, keys_at;
};

__attribute__((unused))
static void build_bytes(struct build *b, const void *p, size_t n)
{
	if (b->n + n > b->room) {
		b->room = 2 * (b->n + n) + 4096;
		b->p = realloc(b->p, b->room);
		if (!b->p)
			abort();
	}
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
}

__attribute__((unused))
static void build_field(struct build *b, uint64_t v, unsigned int size)
{
	if (b->n_fields < sizeof(b->field) / sizeof(b->field[0]))
		b->field[b->n_fields++] = (struct build_field) { b->n, size };
	build_bytes(b, &v, size);
}

static inline void build_u32(struct build *b, uint32_t v) { build_field(b, v, 4); }
static inline void build_u64(struct build *b, uint64_t v) { build_field(b, v, 8); }

__attribute__((unused))
static void build_text_n(struct build *b, const char *s, size_t n)
{
	build_u64(b, n);
	build_bytes(b, s, n);
}

static inline void build_text(struct build *b, const char *s)
{
	build_text_n(b, s, strlen(s));
}

__attribute__((unused))
static void build_begin(struct build *b)
{
	memset(b, 0, sizeof(*b));
	b->alignment = 32;
	build_bytes(b, "GGUF", 4);
	build_u32(b, 3);
	b->tensors_at = b->n;
	build_u64(b, 0);
	b->keys_at = b->n;
	build_u64(b, 0);
}

static inline void build_count(struct build *b, size_t at)
{
	uint64_t n;

	memcpy(&n, b->p + at, 8);
	n++;
	memcpy(b->p + at, &n, 8);
}

/* A key without its value: the value follows by build_*(). */
__attribute__((unused))
static void build_key(struct build *b, const char *name, uint32_t type)
{
	build_count(b, b->keys_at);
	build_text(b, name);
	build_u32(b, type);
}

__attribute__((unused))
static void build_key_u32(struct build *b, const char *name, uint32_t v)
{
	build_key(b, name, GGUF_U32);
	build_bytes(b, &v, 4);
}

__attribute__((unused))
static void build_key_f32(struct build *b, const char *name, float v)
{
	build_key(b, name, GGUF_F32);
	build_bytes(b, &v, 4);
}

__attribute__((unused))
static void build_key_bool(struct build *b, const char *name, uint8_t v)
{
	build_key(b, name, GGUF_BOOL);
	build_bytes(b, &v, 1);
}

__attribute__((unused))
static void build_key_text(struct build *b, const char *name, const char *s)
{
	build_key(b, name, GGUF_STRING);
	build_text(b, s);
}

/* The head of an array; n elements follow by build_bytes() or build_text(). */
__attribute__((unused))
static void build_key_array(struct build *b, const char *name, uint32_t type, uint64_t n)
{
	build_key(b, name, GGUF_ARRAY);
	build_u32(b, type);
	build_u64(b, n);
}

/* A tensor at an offset of one's own choice. */
__attribute__((unused))
static void build_tensor_at(struct build *b, const char *name, uint32_t type, uint32_t n_dims,
			    const uint64_t *ne, uint64_t offset)
{
	build_count(b, b->tensors_at);
	build_text(b, name);
	build_u32(b, n_dims);
	for (uint32_t i = 0; i < n_dims; i++)
		build_u64(b, ne[i]);
	build_u32(b, type);
	build_u64(b, offset);
}

/* A tensor behind the ones before it; returns its bytes. */
__attribute__((unused))
static uint64_t build_tensor(struct build *b, const char *name, uint32_t type, uint32_t n_dims,
			     const uint64_t *ne)
{
	uint32_t elements = 1, bytes = 4;
	uint64_t n = 1;

	accel_type_block(type, &elements, &bytes);
	for (uint32_t i = 0; i < n_dims; i++)
		n *= ne[i];
	n = n / elements * bytes;
	build_tensor_at(b, name, type, n_dims, ne, b->data);
	b->data = (b->data + n + b->alignment - 1) / b->alignment * b->alignment;
	return n;
}

/* The padding and the bytes of all tensors that build_tensor() announced. */
__attribute__((unused))
static void build_data(struct build *b)
{
	b->header = b->n;
	while (b->n % b->alignment)
		build_bytes(b, "", 1);
	for (uint64_t i = 0; i < b->data; i++)
		build_bytes(b, &(uint8_t) { i * 7 }, 1);
}

/* A copy of exactly its size, so that a sanitizer sees each byte read behind the end. */
__attribute__((unused))
static uint8_t *build_copy(const struct build *b, size_t n)
{
	uint8_t *p = malloc(n ? n : 1);

	if (!p)
		abort();
	memcpy(p, b->p, n);
	return p;
}

__attribute__((unused))
static void build_end(struct build *b)
{
	free(b->p);
	b->p = NULL;
}

#endif
