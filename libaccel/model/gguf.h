/* SPDX-License-Identifier: MIT */
/*
 * Reading GGUF files, trusting nothing in them: every count is bounded by the bytes that
 * are left, every offset and size is checked against the file before it is used.
 */
#ifndef ACCEL_GGUF_H
#define ACCEL_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "type/type.h"

/* Element types; the values are GGML's. */
enum accel_type {
#define WEIGHT_TYPE(NAME, lower, form, number, ...) ACCEL_##NAME = number,
#include "type/list.h"
	ACCEL_I32 = 26,
};

enum gguf_type {
	GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING,
	GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64,
};

struct gguf;

struct gguf_tensor {
	const char *name;
	uint32_t n_dims;	/* 1 .. 4 */
	uint64_t ne[4];		/* ne[0] is the row length; absent dimensions are 1 */
	uint32_t type;		/* enum accel_type */
	uint32_t part;		/* of a split file that holds it, from 0 on */
	uint64_t offset;	/* of the data in that file */
	uint64_t size;		/* bytes */
};

struct gguf_array {
	enum gguf_type type;	/* of the elements, never GGUF_ARRAY */
	uint64_t n;
	const uint8_t *data;	/* elements, unaligned; strings: u64 length and bytes */
	const uint64_t *strings;	/* [n] offsets of strings in data, else NULL */
};

/*
 * Maps the file, or all parts of a split one (NAME-00001-of-00003.gguf), of which path names any;
 * they are read as one.  err gets one sentence.  -EINVAL: not a GGUF file that can be trusted.
 */
int gguf_open(const char *path, struct gguf **out, char *err, size_t errlen);
/* The same from memory, which stays the caller's and must outlive the result: one file, */
int gguf_open_mem(const void *data, size_t size, struct gguf **out, char *err, size_t errlen);
/* or all n > 0 parts of one, in order. */
int gguf_open_mem_parts(const void *const *data, const size_t *size, uint32_t n, struct gguf **out,
			char *err, size_t errlen);
/* The same of open files, which are mapped; their descriptors stay the caller's. */
int gguf_open_fds(const int *fds, uint32_t n, struct gguf **out, char *err, size_t errlen);
void gguf_close(struct gguf *g);

/*
 * 0: the files are what they were when they were opened; else fail(-EIO), with a sentence.  Asked
 * before a step it keeps most faults away, asked after it it tells whether what was read counts.
 * (MT)
 */
int gguf_intact(const struct gguf *g);

uint64_t gguf_file_size(const struct gguf *g);	/* of all parts */
uint64_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, uint64_t i);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);
const void *gguf_tensor_data(const struct gguf *g, const struct gguf_tensor *t);

uint64_t gguf_n_keys(const struct gguf *g);
const char *gguf_key_at(const struct gguf *g, uint64_t i);	/* i < n */
/* A key of this name, in memory of the file's; NULL: there is none. */
const char *gguf_key_name(const struct gguf *g, const char *key);
/* A key's value for people, plain and cut to room: 3, 0.5, true, "text", [7 x u32]; returns to, or NULL:
 * no such key. */
const char *gguf_value_text(const struct gguf *g, const char *key, char *to, size_t room);

/* How many elements an array has; 1: it is none.  *type: of the elements, *array: whether it is one.
 * -ENOENT. */
int gguf_shape(const struct gguf *g, const char *key, enum gguf_type *type, bool *array, uint64_t *n);
/* Element i of an array, or the one value there is.  -ENOENT: no such key; -EINVAL: it holds something
 * else; -ERANGE: no such element, or one that does not fit.  A bool is 0 or 1. */
int gguf_int_at(const struct gguf *g, const char *key, uint64_t i, int64_t *v);
int gguf_double_at(const struct gguf *g, const char *key, uint64_t i, double *v);
int gguf_str_at(const struct gguf *g, const char *key, uint64_t i, const char **s, size_t *n);

/* 0; -ENOENT: no such key; -EINVAL: it holds something else, or a number that does not fit.
 * gguf_get_u32() takes an array too if all its elements are equal; gguf_get_f32() takes only
 * finite numbers; text may hold zero bytes. */
int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *v);
int gguf_get_f32(const struct gguf *g, const char *key, float *v);
int gguf_get_bool(const struct gguf *g, const char *key, bool *v);
int gguf_get_str(const struct gguf *g, const char *key, const char **s, size_t *n);
int gguf_get_array(const struct gguf *g, const char *key, struct gguf_array *a);
/* Element i < a->n of an array of strings. */
const char *gguf_array_str(const struct gguf_array *a, uint64_t i, size_t *n);
/* Element i < a->n as a number; -EINVAL if it is none or does not fit. */
int gguf_array_i32(const struct gguf_array *a, uint64_t i, int32_t *v);
int gguf_array_f32(const struct gguf_array *a, uint64_t i, float *v);

#endif
