/* SPDX-License-Identifier: MIT */
/* Inside of struct gguf, for the files gguf*.c. */
#ifndef ACCEL_GGUF_FILE_H
#define ACCEL_GGUF_FILE_H

#include "gguf.h"
#include "hash.h"

struct mapping;

#define GGUF_LEAST_ALIGNMENT 8u	/* of weights: none of their types wants more */

struct gguf_entry {			/* a key and its value */
	char *name;
	enum gguf_type type;
	const uint8_t *data;
	uint64_t n;		/* bytes of a string, elements of an array */
	enum gguf_type element;
	uint64_t *strings;
};

struct gguf_table {			/* open addressing; slots hold index + 1 */
	uint32_t *slot;
	uint64_t mask;
};

struct gguf {
	const uint8_t *base;
	uint64_t size;
	struct mapping *map;	/* NULL: base is the caller's memory */
	char *label;		/* the file's name, for messages */
	struct gguf **rest;	/* [n_rest]: the other parts of a split file; their tensors are ours */
	uint32_t n_rest;
	uint64_t alignment;
	struct gguf_entry *keys;
	uint64_t n_keys;
	struct gguf_tensor *tensors;
	uint64_t n_tensors;
	struct gguf_table key_table, tensor_table;
	struct hash_key hash_key;
	/* while reading */
	uint64_t at;
	char *err;
	size_t errlen;
};

extern const uint32_t gguf_scalar_bytes[];	/* by enum gguf_type */

/* The sentence of what is being read; returns err. */
int gguf_bad(struct gguf *g, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int gguf_no_memory(const char *label, char *err, size_t errlen);

/* NULL: there is no such key. */
const struct gguf_entry *gguf_find(const struct gguf *g, const char *key);
int gguf_table_new(struct gguf_table *t, uint64_t n);
/* The slot of a name: of its index + 1, or an empty one. */
uint32_t *gguf_table_slot(const struct gguf *g, const struct gguf_table *t,
			  const char *(*name_of)(const struct gguf *, uint32_t), const char *name);
const char *gguf_tensor_name(const struct gguf *g, uint32_t i);

/* One file, or part.  It speaks through err until gguf_opened(); map, if there is one, is taken
 * even on failure. */
int gguf_read_mem(const char *label, struct mapping *map, const void *data, size_t size,
		  struct gguf **out, char *err, size_t errlen);
int gguf_read_map(const char *label, struct mapping *map, struct gguf **out, char *err, size_t errlen);
int gguf_read_path(const char *path, struct gguf **out, char *err, size_t errlen);
/* The last word on what was read: *out if rc is 0, else it is closed. */
int gguf_opened(int rc, struct gguf *g, struct gguf **out);

#endif
