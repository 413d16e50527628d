// SPDX-License-Identifier: MIT
#include "gguf.h"

#include "error.h"
#include "hash.h"
#include "mapping.h"
#include "plain.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <accel/accel.h>

#define MAX_NAME 1024u		/* bytes of a key or tensor name */
#define MIN_KEY_BYTES 13u	/* length, type, one byte of value */
#define MIN_TENSOR_BYTES 32u	/* length, dimensions, one size, type, offset */
#define MAX_ALIGNMENT (1u << 20)
#define MAX_PARTS 999u		/* of a split file; each takes a file descriptor */

struct entry {			/* a key and its value */
	char *name;
	enum gguf_type type;
	const uint8_t *data;
	uint64_t n;		/* bytes of a string, elements of an array */
	enum gguf_type element;
	uint64_t *strings;
};

struct table {			/* open addressing; slots hold index + 1 */
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
	struct entry *keys;
	uint64_t n_keys;
	struct gguf_tensor *tensors;
	uint64_t n_tensors;
	struct table key_table, tensor_table;
	struct hash_key hash_key;
	/* while reading */
	uint64_t at;
	char *err;
	size_t errlen;
};

static int bad(struct gguf *g, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int bad(struct gguf *g, int err, const char *fmt, ...)
{
	char text[ACCEL_ERROR_MAX];
	va_list ap;
	int n = snprintf(text, sizeof(text), "%s: ", g->label);

	va_start(ap, fmt);
	if (n >= 0 && (size_t)n < sizeof(text))
		vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	/* Names out of the file must not talk to the terminal. */
	if (g->errlen)
		plain_text(g->err, g->errlen, text, plain_whole(text, strlen(text)));
	return err;
}

static int truncated(struct gguf *g, const char *what)
{
	return bad(g, -EINVAL, "the file ends at byte %llu inside %s; it is cut short or damaged, get it again",
		   (unsigned long long)g->size, what);
}

static uint64_t left(const struct gguf *g)
{
	return g->size - g->at;
}

static int take(struct gguf *g, void *to, size_t n, const char *what)
{
	if (n > left(g)) {
		truncated(g, what);
		return -EINVAL;
	}
	memcpy(to, g->base + g->at, n);
	g->at += n;
	return 0;
}

static const uint32_t scalar_bytes[] = {
	[GGUF_U8] = 1, [GGUF_I8] = 1, [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
	[GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

/* A name as a C string of its own. */
static int take_name(struct gguf *g, char **name, const char *what)
{
	uint64_t n;
	int err = take(g, &n, 8, what);

	if (err)
		return err;
	if (n > left(g))
		return truncated(g, what);
	if (!n || n > MAX_NAME || memchr(g->base + g->at, 0, n))
		return bad(g, -EINVAL, "%s at byte %llu has a name of %llu bytes (\"%s\"), it must have 1 to %u, none of them zero",
			   what, (unsigned long long)g->at, (unsigned long long)n,
			   plain_text((char [44]) { 0 }, 44, (const char *)g->base + g->at, n), MAX_NAME);
	*name = strndup((const char *)g->base + g->at, n);
	if (!*name)
		return bad(g, -ENOMEM, "no memory for its names");
	g->at += n;
	return 0;
}

static int take_array(struct gguf *g, struct entry *e)
{
	uint32_t type;
	int err = take(g, &type, 4, "an array");

	if (!err)
		err = take(g, &e->n, 8, "an array");
	if (err)
		return err;
	if (type > GGUF_F64 || type == GGUF_ARRAY)
		return bad(g, -EINVAL, "the key \"%s\" is an array of type %u, which is not supported",
			   PLAIN(e->name), type);
	e->element = type;
	e->data = g->base + g->at;
	if (type != GGUF_STRING) {
		if (e->n > left(g) / scalar_bytes[type])
			return truncated(g, "an array");
		g->at += e->n * scalar_bytes[type];
		return 0;
	}
	if (e->n > left(g) / 8)
		return truncated(g, "an array of strings");
	e->strings = malloc(e->n ? e->n * sizeof(*e->strings) : 1);
	if (!e->strings)
		return bad(g, -ENOMEM, "no memory for %llu strings", (unsigned long long)e->n);
	for (uint64_t i = 0; i < e->n; i++) {
		uint64_t len;

		e->strings[i] = g->base + g->at - e->data;
		err = take(g, &len, 8, "an array of strings");
		if (err)
			return err;
		if (len > left(g))
			return truncated(g, "an array of strings");
		g->at += len;
	}
	return 0;
}

static int take_value(struct gguf *g, struct entry *e)
{
	uint32_t type;
	int err = take(g, &type, 4, "a key");

	if (err)
		return err;
	if (type > GGUF_F64)
		return bad(g, -EINVAL, "the key \"%s\" has the unknown type %u", PLAIN(e->name), type);
	e->type = type;
	if (type == GGUF_ARRAY)
		return take_array(g, e);
	if (type == GGUF_STRING) {
		err = take(g, &e->n, 8, "a string");
		if (err)
			return err;
		if (e->n > left(g))
			return truncated(g, "a string");
		e->data = g->base + g->at;
		g->at += e->n;
		return 0;
	}
	e->data = g->base + g->at;
	if (scalar_bytes[type] > left(g))
		return truncated(g, "a key");
	g->at += scalar_bytes[type];
	return 0;
}

/* ---- names to indices ---- */

static int table_new(struct table *t, uint64_t n)
{
	uint64_t room = 16;

	while (room < 2 * n)
		room *= 2;
	t->slot = calloc(room, sizeof(*t->slot));
	t->mask = room - 1;
	return t->slot ? 0 : -ENOMEM;
}

static const char *key_name(const struct gguf *g, uint32_t i)
{
	return g->keys[i].name;
}

static const char *tensor_name(const struct gguf *g, uint32_t i)
{
	return g->tensors[i].name;
}

/* The slot of a name: of its index + 1, or an empty one. */
static uint32_t *table_slot(const struct gguf *g, const struct table *t,
			    const char *(*name_of)(const struct gguf *, uint32_t), const char *name)
{
	struct hash h;
	uint64_t i;

	hash_begin(&h, &g->hash_key);
	hash_add(&h, name, strlen(name));
	i = hash_end(&h) & t->mask;
	while (t->slot[i] && strcmp(name_of(g, t->slot[i] - 1), name))
		i = (i + 1) & t->mask;
	return &t->slot[i];
}

static const struct entry *find(const struct gguf *g, const char *key)
{
	uint32_t i = *table_slot(g, &g->key_table, key_name, key);

	return i ? &g->keys[i - 1] : NULL;
}

/* ---- reading ---- */

static int read_keys(struct gguf *g, uint64_t n)
{
	if (n > left(g) / MIN_KEY_BYTES || n > UINT32_MAX - 1)
		return bad(g, -EINVAL, "%llu keys do not fit into the %llu bytes that are left",
			   (unsigned long long)n, (unsigned long long)left(g));
	g->keys = calloc(n ? n : 1, sizeof(*g->keys));
	if (!g->keys || table_new(&g->key_table, n))
		return bad(g, -ENOMEM, "no memory for %llu keys", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		struct entry *e = &g->keys[i];
		uint32_t *slot;
		int err = take_name(g, &e->name, "a key");

		if (err)
			return err;
		g->n_keys++;
		slot = table_slot(g, &g->key_table, key_name, e->name);
		if (*slot)
			return bad(g, -EINVAL, "the key \"%s\" appears twice", PLAIN(e->name));
		*slot = i + 1;
		err = take_value(g, e);
		if (err)
			return err;
	}
	return 0;
}

static int unknown_type(struct gguf *g, const struct gguf_tensor *t)
{
	const char *name = accel_type_name(t->type);

	if (*name == '?')
		return bad(g, -EINVAL, "the tensor \"%s\" is of the unknown type %u", PLAIN(t->name), t->type);
	return bad(g, -EINVAL, "the tensor \"%s\" is of type %s, which is not supported", PLAIN(t->name), name);
}

static int check_shape(struct gguf *g, struct gguf_tensor *t, uint32_t n_dims)
{
	uint32_t in_block, block_bytes;
	uint64_t elements = 1;

	if (!accel_type_block(t->type, &in_block, &block_bytes))
		return unknown_type(g, t);
	for (uint32_t i = 0; i < 4; i++) {
		if (i < n_dims && (!t->ne[i] || t->ne[i] > INT64_MAX))
			return bad(g, -EINVAL, "the tensor \"%s\" has size %llu in dimension %u", PLAIN(t->name),
				   (unsigned long long)t->ne[i], i);
		if (__builtin_mul_overflow(elements, t->ne[i], &elements))
			return bad(g, -EINVAL, "the tensor \"%s\" has more elements than can be counted",
				   PLAIN(t->name));
	}
	if (t->ne[0] % in_block)
		return bad(g, -EINVAL, "the tensor \"%s\" has rows of %llu, not a multiple of the %u of %s",
			   PLAIN(t->name), (unsigned long long)t->ne[0], in_block, accel_type_name(t->type));
	if (__builtin_mul_overflow(elements / in_block, (uint64_t)block_bytes, &t->size))
		return bad(g, -EINVAL, "the tensor \"%s\" has more bytes than can be counted", PLAIN(t->name));
	return 0;
}

static int read_tensor(struct gguf *g, uint64_t i)
{
	struct gguf_tensor *t = &g->tensors[i];
	uint32_t n_dims, *slot;
	char *name;
	int err = take_name(g, &name, "a tensor");

	if (err)
		return err;
	t->name = name;
	g->n_tensors++;
	slot = table_slot(g, &g->tensor_table, tensor_name, name);
	if (*slot)
		return bad(g, -EINVAL, "the tensor \"%s\" appears twice", PLAIN(name));
	*slot = i + 1;
	err = take(g, &n_dims, 4, "a tensor");
	if (err)
		return err;
	if (!n_dims || n_dims > 4)
		return bad(g, -EINVAL, "the tensor \"%s\" has %u dimensions, it must have 1 to 4", PLAIN(name),
			   n_dims);
	for (uint32_t d = 0; d < 4; d++) {
		t->ne[d] = 1;
		if (d < n_dims)
			err = take(g, &t->ne[d], 8, "a tensor");
		if (err)
			return err;
	}
	err = take(g, &t->type, 4, "a tensor");
	if (!err)
		err = take(g, &t->offset, 8, "a tensor");
	return err ? err : check_shape(g, t, n_dims);
}

static int read_tensors(struct gguf *g, uint64_t n)
{
	if (n > left(g) / MIN_TENSOR_BYTES || n > UINT32_MAX - 1)
		return bad(g, -EINVAL, "%llu tensors do not fit into the %llu bytes that are left",
			   (unsigned long long)n, (unsigned long long)left(g));
	g->tensors = calloc(n ? n : 1, sizeof(*g->tensors));
	if (!g->tensors || table_new(&g->tensor_table, n))
		return bad(g, -ENOMEM, "no memory for %llu tensors", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		int err = read_tensor(g, i);

		if (err)
			return err;
	}
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
	const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Tensors that share bytes are the mark of a damaged offset, which nothing else would show. */
static int check_overlap(struct gguf *g)
{
	const struct gguf_tensor **order = malloc((g->n_tensors + 1) * sizeof(*order));
	int err = 0;

	if (!order)
		return bad(g, -ENOMEM, "no memory for %llu tensors", (unsigned long long)g->n_tensors);
	for (uint64_t i = 0; i < g->n_tensors; i++)
		order[i] = &g->tensors[i];
	qsort(order, g->n_tensors, sizeof(*order), by_offset);
	for (uint64_t i = 1; i < g->n_tensors && !err; i++)
		if (order[i]->offset - order[i - 1]->offset < order[i - 1]->size)
			err = bad(g, -EINVAL, "the tensors \"%s\" and \"%s\" share bytes; the file is damaged, get it again",
				  PLAIN(order[i - 1]->name), PLAIN(order[i]->name));
	free(order);
	return err;
}

/* Offsets are relative to the end of the header; make them absolute and check them. */
static int place_tensors(struct gguf *g)
{
	uint64_t data = (g->at + g->alignment - 1) / g->alignment * g->alignment;

	for (uint64_t i = 0; i < g->n_tensors; i++) {
		struct gguf_tensor *t = &g->tensors[i];

		if (t->offset % g->alignment)
			return bad(g, -EINVAL, "the tensor \"%s\" begins at %llu, not a multiple of %llu",
				   PLAIN(t->name), (unsigned long long)t->offset,
				   (unsigned long long)g->alignment);
		if (data > g->size || t->offset > g->size - data || t->size > g->size - data - t->offset)
			return bad(g, -EINVAL, "the tensor \"%s\" needs %llu bytes from %llu on but the file ends at %llu; it is cut short or damaged, get it again",
				   PLAIN(t->name), (unsigned long long)t->size,
				   (unsigned long long)(data + t->offset), (unsigned long long)g->size);
		t->offset += data;
	}
	return check_overlap(g);
}

/* What people have instead: the place where it is known by, and what it is. */
static const struct {
	uint32_t at;
	const char *text;
	size_t n;
	const char *what;
} instead[] = {
	{ 0, "\0\0\0", 4, "zeros; what was to write or fetch it did not finish" },
	{ 0, "version https://git-lfs", 23, "a pointer of Git LFS: fetch the file itself with git lfs pull" },
	{ 0, "PK\3\4", 4, "an archive, as PyTorch writes; convert the model to GGUF" },
	{ 0, "\x1f\x8b", 2, "compressed by gzip; unpack it" },
	{ 0, "(\xb5/\xfd", 4, "compressed by zstd; unpack it" },
	{ 0, "tjgg", 4, "a model of GGML's formats before GGUF; convert it" },
	{ 0, "fmgg", 4, "a model of GGML's formats before GGUF; convert it" },
	{ 0, "lmgg", 4, "a model of GGML's formats before GGUF; convert it" },
	{ 0, "<!", 2, "a page of the web; get the file by the link to its content" },
	{ 0, "<html", 5, "a page of the web; get the file by the link to its content" },
	{ 8, "{\"", 2, "safetensors; convert the model to GGUF" },
};

static int no_gguf(struct gguf *g)
{
	for (size_t i = 0; i < sizeof(instead) / sizeof(instead[0]); i++)
		if (g->size >= instead[i].at + instead[i].n &&
		    !memcmp(g->base + instead[i].at, instead[i].text, instead[i].n))
			return bad(g, -EINVAL, "this is not a GGUF file, but %s", instead[i].what);
	return bad(g, -EINVAL, "this is not a GGUF file: it does not begin with \"GGUF\"");
}

static int read_file(struct gguf *g)
{
	uint32_t version, alignment = 32;
	uint64_t n_tensors, n_keys;
	char magic[4];
	int err = take(g, magic, 4, "the magic number");

	if (err)
		return err;
	if (memcmp(magic, "GGUF", 4))
		return no_gguf(g);
	err = take(g, &version, 4, "the header");
	if (err)
		return err;
	if (version && !(version & 0xffff))
		return bad(g, -EINVAL, "it is big-endian (version 0x%x), only little-endian files are supported",
			   version);
	if (version != 2 && version != 3)
		return bad(g, -EINVAL, "GGUF version %u is not supported; versions 2 and 3 are", version);
	err = take(g, &n_tensors, 8, "the header");
	if (!err)
		err = take(g, &n_keys, 8, "the header");
	if (!err)
		err = read_keys(g, n_keys);
	if (err)
		return err;
	err = gguf_get_u32(g, "general.alignment", &alignment);
	if ((err && err != -ENOENT) || !alignment || alignment & (alignment - 1) ||
	    alignment > MAX_ALIGNMENT)
		return bad(g, -EINVAL, "\"general.alignment\" must be a power of two up to %u", MAX_ALIGNMENT);
	/* Weights are read in place, as the types they are. */
	if (alignment < 8)
		return bad(g, -EINVAL, "\"general.alignment\" is %u, below 8", alignment);
	g->alignment = alignment;
	err = read_tensors(g, n_tensors);
	return err ? err : place_tensors(g);
}

/* ---- one file ---- */

static int no_memory(const char *label, char *err, size_t errlen)
{
	snprintf(err, errlen, "%s: no memory", label);
	return -ENOMEM;
}

/* What is being read speaks through err until opened() is called.  Takes the mapping, if there is
 * one, even if it fails. */
static int open_one(const char *label, struct mapping *map, const void *data, size_t size,
		    struct gguf **out, char *err, size_t errlen)
{
	struct gguf *g = calloc(1, sizeof(*g));
	int rc;

	*out = NULL;
	if (g)
		g->label = strdup(label);
	if (!g || !g->label) {
		free(g);
		if (map)
			mapping_close(map);
		return no_memory(label, err, errlen);
	}
	g->base = data;
	g->size = size;
	g->map = map;
	hash_key_new(&g->hash_key);
	g->err = err;
	g->errlen = errlen;
	rc = read_file(g);
	if (rc) {
		gguf_close(g);
		return rc;
	}
	*out = g;
	return 0;
}

/* Files that were cut into pieces anywhere, as NAME.part1of2 or NAME-split-a, which only make sense
 * together: what is wrong with one is never what the reader stumbled on. */
static bool is_piece(const char *path)
{
	const char *dot = strrchr(path, '.'), *dash = strrchr(path, '-');
	unsigned int no, of;
	int end = 0;

	if (dot && sscanf(dot, ".part%uof%u%n", &no, &of, &end) == 2 && !dot[end])
		return true;
	return dash && dash - path >= 6 && !memcmp(dash - 6, "-split", 6) && dash[1] >= 'a' &&
	       dash[1] <= 'z' && !dash[2];
}

static int open_path(const char *path, struct gguf **out, char *err, size_t errlen)
{
	struct mapping *map;
	int rc = mapping_open(path, &map, err, errlen);

	*out = NULL;
	if (rc)
		return rc;
	rc = open_one(path, map, mapping_base(map), mapping_size(map), out, err, errlen);
	if (rc == -EINVAL && is_piece(path))
		snprintf(err, errlen, "%s is one of the pieces that a file was cut into; put all of them together, in order, with cat",
			 path);
	/* What a file said that changed meanwhile is not the news. */
	if (!rc && gguf_intact(*out)) {
		gguf_close(*out);
		*out = NULL;
		rc = -EIO;
		snprintf(err, errlen, "%s was cut or written to while it was read; load it again when it is whole",
			 path);
	}
	return rc;
}

static int opened(int rc, struct gguf *g, struct gguf **out)
{
	if (rc) {
		gguf_close(g);
		return rc;
	}
	g->err = NULL;
	*out = g;
	return 0;
}

/* ---- split files: NAME-00001-of-00003.gguf, each with tensors of its own, the first with the keys ---- */

#define PART_TAIL (sizeof("-00001-of-00001.gguf") - 1)

struct split {
	uint32_t no, count;	/* part no, from 0 on, of count; 0 of 1: the file is whole */
};

static int read_split(struct gguf *g, struct split *s)
{
	int no, count;

	*s = (struct split) { 0, 1 };
	no = gguf_get_u32(g, "split.no", &s->no);
	count = gguf_get_u32(g, "split.count", &s->count);
	if ((no && no != -ENOENT) || (count && count != -ENOENT))
		return bad(g, -EINVAL, "\"split.no\" and \"split.count\" must be whole numbers");
	if (!s->count)		/* as some write for a whole file */
		*s = (struct split) { 0, 1 };
	if (s->no >= s->count || s->count > MAX_PARTS)
		return bad(g, -EINVAL, "it says that it is part %llu of %u; a model has 1 to %u parts",
			   s->no + 1ull, s->count, MAX_PARTS);
	return 0;
}

/* What the name of a part ends in; path: NULL, or whether it does. */
static bool part_tail(char tail[PART_TAIL + 1], uint32_t no, uint32_t count, const char *path)
{
	/* Five digits are enough for MAX_PARTS; a compiler is told so. */
	snprintf(tail, PART_TAIL + 1, "-%05u-of-%05u.gguf", (no + 1) % 100000, count % 100000);
	return !path || (strlen(path) > PART_TAIL && !strcmp(path + strlen(path) - PART_TAIL, tail));
}

/* Whether two texts that keys hold are the same; one that a part does not hold is. */
static bool same_text(const struct gguf *a, const struct gguf *b, const char *key)
{
	const char *s, *t;
	size_t n, k;

	return gguf_get_str(b, key, &t, &k) == -ENOENT ||
	       (!gguf_get_str(a, key, &s, &n) && !gguf_get_str(b, key, &t, &k) && n == k &&
		!memcmp(s, t, n));
}

static int check_part(struct gguf *part, const struct gguf *first, const struct split *want)
{
	struct split got;
	int err = read_split(part, &got);

	if (err)
		return err;
	if (got.no != want->no || got.count != want->count)
		return bad(part, -EINVAL, "it says that it is part %u of %u, not %u of %u; it belongs to another model or was renamed",
			   got.no + 1, got.count, want->no + 1, want->count);
	if (!same_text(first, part, "general.architecture"))
		return bad(part, -EINVAL, "its architecture is another than that of the first part; it belongs to another model");
	return 0;
}

/* Takes the tensors of a part that has been checked, and the part. */
static int add_part(struct gguf *g, struct gguf *part)
{
	uint64_t n = g->n_tensors + part->n_tensors;
	struct gguf_tensor *t = realloc(g->tensors, (n ? n : 1) * sizeof(*t));

	if (t)
		g->tensors = t;
	if (!t || n > UINT32_MAX - 1) {
		gguf_close(part);
		return bad(g, -ENOMEM, "no memory for %llu tensors", (unsigned long long)n);
	}
	g->rest[g->n_rest++] = part;
	for (uint64_t i = 0; i < part->n_tensors; i++) {
		g->tensors[g->n_tensors] = part->tensors[i];
		g->tensors[g->n_tensors++].part = g->n_rest;
	}
	part->n_tensors = 0;
	return 0;
}

static const struct gguf *part_of(const struct gguf *g, const struct gguf_tensor *t)
{
	return t->part ? g->rest[t->part - 1] : g;
}

/* With all parts there: their tensors by name, and none twice. */
static int join(struct gguf *g)
{
	uint32_t total = 0;
	int err = gguf_get_u32(g, "split.tensors.count", &total);

	free(g->tensor_table.slot);
	if (table_new(&g->tensor_table, g->n_tensors))
		return bad(g, -ENOMEM, "no memory for %llu tensors", (unsigned long long)g->n_tensors);
	for (uint64_t i = 0; i < g->n_tensors; i++) {
		const struct gguf_tensor *t = &g->tensors[i];
		uint32_t *slot = table_slot(g, &g->tensor_table, tensor_name, t->name);

		if (*slot)
			return bad(t->part ? g->rest[t->part - 1] : g, -EINVAL, "the tensor \"%s\" is in part %u, too",
				   PLAIN(t->name), g->tensors[*slot - 1].part + 1);
		*slot = i + 1;
	}
	if (!err && total != g->n_tensors)
		return bad(g, -EINVAL, "its parts hold %llu tensors, \"split.tensors.count\" says %u; a part is of another model",
			   (unsigned long long)g->n_tensors, total);
	return 0;
}

static int room_for_parts(struct gguf *g, uint32_t count)
{
	g->rest = calloc(count, sizeof(struct gguf *));
	return g->rest ? 0 : bad(g, -ENOMEM, "no memory for its %u parts", count);
}

/* Checks a part that was opened, and takes it, even if it fails. */
static int take_part(struct gguf *g, struct gguf *part, uint32_t no, uint32_t count)
{
	int err = check_part(part, g, &(struct split) { no, count });

	if (!err)
		return add_part(g, part);
	gguf_close(part);
	return err;
}

int gguf_open_mem_parts(const void *const *data, const size_t *size, uint32_t n, struct gguf **out,
			char *err, size_t errlen)
{
	struct gguf *g, *part;
	struct split split;
	int rc = open_one("memory", NULL, data[0], size[0], &g, err, errlen);

	*out = NULL;
	if (!rc)
		rc = read_split(g, &split);
	if (!rc && (split.no || split.count != n))
		rc = bad(g, -EINVAL, "it is part %u of %u, of which %u are given", split.no + 1, split.count,
			 n);
	if (!rc)
		rc = room_for_parts(g, n);
	for (uint32_t i = 1; i < n && !rc; i++) {
		rc = open_one("memory", NULL, data[i], size[i], &part, err, errlen);
		if (!rc)
			rc = take_part(g, part, i, n);
	}
	if (!rc && n > 1)
		rc = join(g);
	return opened(rc, g, out);
}

int gguf_open_mem(const void *data, size_t size, struct gguf **out, char *err, size_t errlen)
{
	struct gguf *g;
	int rc = open_one("memory", NULL, data, size, &g, err, errlen);

	*out = NULL;
	return opened(rc, g, out);
}

/* A part by its number, beside path, which is one of them. */
static int open_part(const char *path, const struct split *s, uint32_t no, struct gguf **out, char *err,
		     size_t errlen)
{
	char *name = malloc(strlen(path) + 1);
	int rc;

	if (!name)
		return no_memory(path, err, errlen);
	strcpy(name, path);
	part_tail(name + strlen(path) - PART_TAIL, no, s->count, NULL);
	rc = open_path(name, out, err, errlen);
	if (rc == -ENOENT)
		snprintf(err, errlen, "%s is missing: it is part %u of the %u of this model, which must lie in one directory",
			 name, no + 1, s->count);
	free(name);
	return rc;
}

/* Does another file follow the last tensor?  Parts must not be put together as pieces are. */
static bool is_heap(const struct gguf *g)
{
	uint64_t end = 0;

	for (uint64_t i = 0; i < g->n_tensors; i++)
		if (g->tensors[i].offset + g->tensors[i].size > end)
			end = g->tensors[i].offset + g->tensors[i].size;
	for (uint64_t at = end; end && at - end < g->alignment && g->size - at >= 4; at++)
		if (!memcmp(g->base + at, "GGUF", 4))
			return true;
	return false;
}

static int open_rest(struct gguf *g, const char *path, const struct split *s, char *err, size_t errlen)
{
	int rc = room_for_parts(g, s->count);

	for (uint32_t i = 1; i < s->count && !rc; i++) {
		struct gguf *part;

		rc = open_part(path, s, i, &part, err, errlen);
		if (!rc)
			rc = take_part(g, part, i, s->count);
	}
	return rc ? rc : join(g);
}

int gguf_open(const char *path, struct gguf **out, char *err, size_t errlen)
{
	char tail[PART_TAIL + 1];
	struct split split;
	struct gguf *g;
	int rc = open_path(path, &g, err, errlen);

	*out = NULL;
	if (!rc)
		rc = read_split(g, &split);
	if (rc || split.count == 1)
		return opened(rc, g, out);
	if (is_heap(g))
		return opened(bad(g, -EINVAL, "it is part %u of %u of a model with other parts behind it; leave the parts as they were and name one of them",
				  split.no + 1, split.count), g, out);
	if (!part_tail(tail, split.no, split.count, path))
		return opened(bad(g, -EINVAL, "it is part %u of %u of a model; its name must end in \"%s\", or the other parts cannot be found",
				  split.no + 1, split.count, tail), g, out);
	/* The keys are in the first, whichever was named. */
	if (split.no) {
		gguf_close(g);
		rc = open_part(path, &split, 0, &g, err, errlen);
		if (!rc)
			rc = check_part(g, g, &(struct split) { 0, split.count });
	}
	if (!rc)
		rc = open_rest(g, path, &split, err, errlen);
	return opened(rc, g, out);
}

void gguf_close(struct gguf *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < g->n_rest; i++)
		gguf_close(g->rest[i]);
	for (uint64_t i = 0; i < g->n_keys; i++) {
		free(g->keys[i].name);
		free(g->keys[i].strings);
	}
	for (uint64_t i = 0; i < g->n_tensors; i++)
		free((char *)g->tensors[i].name);
	free(g->rest);
	free(g->keys);
	free(g->tensors);
	free(g->key_table.slot);
	free(g->tensor_table.slot);
	if (g->map)
		mapping_close(g->map);
	free(g->label);
	free(g);
}

static int file_intact(const struct gguf *g)
{
	const char *why;

	if (!g->map || !mapping_intact(g->map, &why))
		return 0;
	return fail(-EIO, "%s %s; what was computed with it since is lost: load it again when it is whole",
		    g->label, why);
}

int gguf_intact(const struct gguf *g)
{
	int err = file_intact(g);

	for (uint32_t i = 0; i < g->n_rest && !err; i++)
		err = file_intact(g->rest[i]);
	return err;
}

uint64_t gguf_file_size(const struct gguf *g)
{
	uint64_t sum = g->size;

	for (uint32_t i = 0; i < g->n_rest; i++)
		sum += g->rest[i]->size;
	return sum;
}

uint64_t gguf_n_tensors(const struct gguf *g)
{
	return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, uint64_t i)
{
	return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
	uint32_t i = *table_slot(g, &g->tensor_table, tensor_name, name);

	return i ? &g->tensors[i - 1] : NULL;
}

const void *gguf_tensor_data(const struct gguf *g, const struct gguf_tensor *t)
{
	return part_of(g, t)->base + t->offset;
}

/* ---- values ---- */

/* A number as the widest integer or as a double. */
static int number(enum gguf_type type, const uint8_t *p, int64_t *i, double *f)
{
	union {
		uint8_t u8; int8_t i8; uint16_t u16; int16_t i16; uint32_t u32; int32_t i32;
		uint64_t u64; int64_t i64; float f32; double f64;
	} v;

	if (type == GGUF_STRING || type == GGUF_ARRAY)
		return -EINVAL;
	memcpy(&v, p, scalar_bytes[type]);
	switch (type) {
	case GGUF_U8:
	case GGUF_BOOL:
		*i = v.u8;
		break;
	case GGUF_I8:
		*i = v.i8;
		break;
	case GGUF_U16:
		*i = v.u16;
		break;
	case GGUF_I16:
		*i = v.i16;
		break;
	case GGUF_U32:
		*i = v.u32;
		break;
	case GGUF_I32:
		*i = v.i32;
		break;
	case GGUF_U64:
		*i = v.u64 > INT64_MAX ? INT64_MAX : (int64_t)v.u64;
		break;
	case GGUF_I64:
		*i = v.i64;
		break;
	case GGUF_F32:
		*f = v.f32;
		return 1;
	case GGUF_F64:
		*f = v.f64;
		return 1;
	default:
		return -EINVAL;
	}
	*f = *i;
	return 0;
}

static int value_u32(enum gguf_type type, const uint8_t *p, uint32_t *v)
{
	int64_t i;
	double f;

	if (type == GGUF_BOOL || number(type, p, &i, &f) || i < 0 || i > UINT32_MAX)
		return -EINVAL;
	*v = i;
	return 0;
}

int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *v)
{
	const struct entry *e = find(g, key);
	uint32_t other;

	if (!e)
		return -ENOENT;
	if (e->type != GGUF_ARRAY)
		return value_u32(e->type, e->data, v);
	if (!e->n || e->element == GGUF_STRING)
		return -EINVAL;
	if (value_u32(e->element, e->data, v))
		return -EINVAL;
	for (uint64_t i = 1; i < e->n; i++)
		if (value_u32(e->element, e->data + i * scalar_bytes[e->element], &other) || other != *v)
			return -EINVAL;
	return 0;
}

int gguf_get_f32(const struct gguf *g, const char *key, float *v)
{
	const struct entry *e = find(g, key);
	int64_t i;
	double f;

	if (!e)
		return -ENOENT;
	if (e->type == GGUF_BOOL || number(e->type, e->data, &i, &f) < 0 || !(fabs(f) <= FLT_MAX))
		return -EINVAL;
	*v = f;
	return 0;
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *v)
{
	const struct entry *e = find(g, key);

	if (!e)
		return -ENOENT;
	if (e->type != GGUF_BOOL || *e->data > 1)
		return -EINVAL;
	*v = *e->data;
	return 0;
}

int gguf_get_str(const struct gguf *g, const char *key, const char **s, size_t *n)
{
	const struct entry *e = find(g, key);

	if (!e)
		return -ENOENT;
	if (e->type != GGUF_STRING)
		return -EINVAL;
	*s = (const char *)e->data;
	*n = e->n;
	return 0;
}

int gguf_get_array(const struct gguf *g, const char *key, struct gguf_array *a)
{
	const struct entry *e = find(g, key);

	if (!e)
		return -ENOENT;
	if (e->type != GGUF_ARRAY)
		return -EINVAL;
	a->type = e->element;
	a->n = e->n;
	a->data = e->data;
	a->strings = e->strings;
	return 0;
}

const char *gguf_array_str(const struct gguf_array *a, uint64_t i, size_t *n)
{
	const uint8_t *p = a->data + a->strings[i];
	uint64_t len;

	memcpy(&len, p, 8);
	*n = len;
	return (const char *)p + 8;
}

int gguf_array_i32(const struct gguf_array *a, uint64_t i, int32_t *v)
{
	int64_t n;
	double f;

	if (a->type == GGUF_STRING || a->type == GGUF_BOOL ||
	    number(a->type, a->data + i * scalar_bytes[a->type], &n, &f) || n < INT32_MIN || n > INT32_MAX)
		return -EINVAL;
	*v = n;
	return 0;
}

int gguf_array_f32(const struct gguf_array *a, uint64_t i, float *v)
{
	int64_t n;
	double f;

	if (a->type == GGUF_STRING || a->type == GGUF_BOOL ||
	    number(a->type, a->data + i * scalar_bytes[a->type], &n, &f) < 0)
		return -EINVAL;
	*v = f;
	return 0;
}

/* ---- for people ---- */

uint64_t gguf_n_keys(const struct gguf *g)
{
	return g->n_keys;
}

const char *gguf_key_at(const struct gguf *g, uint64_t i)
{
	return g->keys[i].name;
}

static const char *const type_names[] = {
	[GGUF_U8] = "u8", [GGUF_I8] = "i8", [GGUF_U16] = "u16", [GGUF_I16] = "i16", [GGUF_U32] = "u32",
	[GGUF_I32] = "i32", [GGUF_F32] = "f32", [GGUF_BOOL] = "bool", [GGUF_STRING] = "text",
	[GGUF_U64] = "u64", [GGUF_I64] = "i64", [GGUF_F64] = "f64",
};

const char *gguf_value_text(const struct gguf *g, const char *key, char *to, size_t room)
{
	const struct entry *e = find(g, key);
	uint64_t u = 0;
	int64_t i;
	double f;

	if (!e)
		return NULL;
	if (e->type == GGUF_ARRAY) {
		snprintf(to, room, "[%llu x %s]", (unsigned long long)e->n, type_names[e->element]);
	} else if (e->type == GGUF_STRING) {
		char text[64];

		snprintf(to, room, "\"%s\"", plain_text(text, sizeof(text), (const char *)e->data, e->n));
	} else if (e->type == GGUF_BOOL) {
		snprintf(to, room, "%s", *e->data ? "true" : "false");
	} else if (e->type == GGUF_U64) {
		memcpy(&u, e->data, 8);
		snprintf(to, room, "%llu", (unsigned long long)u);
	} else if (number(e->type, e->data, &i, &f)) {
		snprintf(to, room, "%g", f);
	} else {
		snprintf(to, room, "%lld", (long long)i);
	}
	return to;
}
