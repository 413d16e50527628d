// SPDX-License-Identifier: MIT
/* One file: its keys and tensors, checked.  What keys hold is in gguf_value.c, parts in gguf_split.c. */
#include "gguf_file.h"

#include "error.h"
#include "log.h"
#include "mapping.h"
#include "plain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <accel/accel.h>

#define MAX_NAME 1024u		/* bytes of a key or tensor name */
#define MIN_KEY_BYTES 13u	/* length, type, one byte of value */
#define MIN_TENSOR_BYTES 32u	/* length, dimensions, one size, type, offset */
#define MAX_ALIGNMENT (1u << 20)

int gguf_bad(struct gguf *g, int err, const char *fmt, ...)
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
	return gguf_bad(g, -EINVAL, "the file ends at byte %llu inside %s; it is cut short or damaged, get it again",
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

const uint32_t gguf_scalar_bytes[] = {
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
		return gguf_bad(g, -EINVAL, "%s at byte %llu has a name of %llu bytes (\"%s\"), it must have 1 to %u, none of them zero",
				what, (unsigned long long)g->at, (unsigned long long)n,
				plain_text((char [44]) { 0 }, 44, (const char *)g->base + g->at, n), MAX_NAME);
	*name = strndup((const char *)g->base + g->at, n);
	if (!*name)
		return gguf_bad(g, -ENOMEM, "no memory for its names");
	g->at += n;
	return 0;
}

static int take_array(struct gguf *g, struct gguf_entry *e)
{
	uint32_t type;
	int err = take(g, &type, 4, "an array");

	if (!err)
		err = take(g, &e->n, 8, "an array");
	if (err)
		return err;
	if (type > GGUF_F64 || type == GGUF_ARRAY)
		return gguf_bad(g, -EINVAL, "the key \"%s\" is an array of type %u, which is not supported",
				PLAIN(e->name), type);
	e->element = type;
	e->data = g->base + g->at;
	if (type != GGUF_STRING) {
		if (e->n > left(g) / gguf_scalar_bytes[type])
			return truncated(g, "an array");
		g->at += e->n * gguf_scalar_bytes[type];
		return 0;
	}
	if (e->n > left(g) / 8)
		return truncated(g, "an array of strings");
	e->strings = malloc(e->n ? e->n * sizeof(*e->strings) : 1);
	if (!e->strings)
		return gguf_bad(g, -ENOMEM, "no memory for %llu strings", (unsigned long long)e->n);
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

static int take_value(struct gguf *g, struct gguf_entry *e)
{
	uint32_t type;
	int err = take(g, &type, 4, "a key");

	if (err)
		return err;
	if (type > GGUF_F64)
		return gguf_bad(g, -EINVAL, "the key \"%s\" has the unknown type %u", PLAIN(e->name), type);
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
	if (gguf_scalar_bytes[type] > left(g))
		return truncated(g, "a key");
	g->at += gguf_scalar_bytes[type];
	return 0;
}

/* ---- names to indices ---- */

int gguf_table_new(struct gguf_table *t, uint64_t n)
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

const char *gguf_tensor_name(const struct gguf *g, uint32_t i)
{
	return g->tensors[i].name;
}

uint32_t *gguf_table_slot(const struct gguf *g, const struct gguf_table *t,
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

const struct gguf_entry *gguf_find(const struct gguf *g, const char *key)
{
	uint32_t i = *gguf_table_slot(g, &g->key_table, key_name, key);

	return i ? &g->keys[i - 1] : NULL;
}

/* ---- reading ---- */

static int read_keys(struct gguf *g, uint64_t n)
{
	if (n > left(g) / MIN_KEY_BYTES || n > UINT32_MAX - 1)
		return gguf_bad(g, -EINVAL, "%llu keys do not fit into the %llu bytes that are left",
				(unsigned long long)n, (unsigned long long)left(g));
	g->keys = calloc(n ? n : 1, sizeof(*g->keys));
	if (!g->keys || gguf_table_new(&g->key_table, n))
		return gguf_bad(g, -ENOMEM, "no memory for %llu keys", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		struct gguf_entry *e = &g->keys[i];
		uint32_t *slot;
		int err = take_name(g, &e->name, "a key");

		if (err)
			return err;
		g->n_keys++;
		slot = gguf_table_slot(g, &g->key_table, key_name, e->name);
		if (*slot)
			return gguf_bad(g, -EINVAL, "the key \"%s\" appears twice", PLAIN(e->name));
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
		return gguf_bad(g, -EINVAL, "the tensor \"%s\" is of the unknown type %u", PLAIN(t->name), t->type);
	return gguf_bad(g, -EINVAL, "the tensor \"%s\" is of type %s, which is not supported", PLAIN(t->name), name);
}

static int check_shape(struct gguf *g, struct gguf_tensor *t, uint32_t n_dims)
{
	uint32_t in_block, block_bytes;
	uint64_t elements = 1;

	if (!accel_type_block(t->type, &in_block, &block_bytes))
		return unknown_type(g, t);
	for (uint32_t i = 0; i < 4; i++) {
		if (i < n_dims && (!t->ne[i] || t->ne[i] > INT64_MAX))
			return gguf_bad(g, -EINVAL, "the tensor \"%s\" has size %llu in dimension %u", PLAIN(t->name),
					(unsigned long long)t->ne[i], i);
		if (__builtin_mul_overflow(elements, t->ne[i], &elements))
			return gguf_bad(g, -EINVAL, "the tensor \"%s\" has more elements than can be counted",
					PLAIN(t->name));
	}
	if (t->ne[0] % in_block)
		return gguf_bad(g, -EINVAL, "the tensor \"%s\" has rows of %llu, not a multiple of the %u of %s",
				PLAIN(t->name), (unsigned long long)t->ne[0], in_block, accel_type_name(t->type));
	if (__builtin_mul_overflow(elements / in_block, (uint64_t)block_bytes, &t->size))
		return gguf_bad(g, -EINVAL, "the tensor \"%s\" has more bytes than can be counted", PLAIN(t->name));
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
	slot = gguf_table_slot(g, &g->tensor_table, gguf_tensor_name, name);
	if (*slot)
		return gguf_bad(g, -EINVAL, "the tensor \"%s\" appears twice", PLAIN(name));
	*slot = i + 1;
	err = take(g, &n_dims, 4, "a tensor");
	if (err)
		return err;
	if (!n_dims || n_dims > 4)
		return gguf_bad(g, -EINVAL, "the tensor \"%s\" has %u dimensions, it must have 1 to 4", PLAIN(name),
				n_dims);
	t->n_dims = n_dims;
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
		return gguf_bad(g, -EINVAL, "%llu tensors do not fit into the %llu bytes that are left",
				(unsigned long long)n, (unsigned long long)left(g));
	g->tensors = calloc(n ? n : 1, sizeof(*g->tensors));
	if (!g->tensors || gguf_table_new(&g->tensor_table, n))
		return gguf_bad(g, -ENOMEM, "no memory for %llu tensors", (unsigned long long)n);
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
		return gguf_bad(g, -ENOMEM, "no memory for %llu tensors", (unsigned long long)g->n_tensors);
	for (uint64_t i = 0; i < g->n_tensors; i++)
		order[i] = &g->tensors[i];
	qsort(order, g->n_tensors, sizeof(*order), by_offset);
	for (uint64_t i = 1; i < g->n_tensors && !err; i++)
		if (order[i]->offset - order[i - 1]->offset < order[i - 1]->size)
			err = gguf_bad(g, -EINVAL, "the tensors \"%s\" and \"%s\" share bytes; the file is damaged, get it again",
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
			return gguf_bad(g, -EINVAL, "the tensor \"%s\" begins at %llu, not a multiple of %llu",
					PLAIN(t->name), (unsigned long long)t->offset,
					(unsigned long long)g->alignment);
		if (data > g->size || t->offset > g->size - data || t->size > g->size - data - t->offset)
			return gguf_bad(g, -EINVAL, "the tensor \"%s\" needs %llu bytes from %llu on but the file ends at %llu; it is cut short or damaged, get it again",
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
			return gguf_bad(g, -EINVAL, "this is not a GGUF file, but %s", instead[i].what);
	return gguf_bad(g, -EINVAL, "this is not a GGUF file: it does not begin with \"GGUF\"");
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
		return gguf_bad(g, -EINVAL, "it is big-endian (version 0x%x), only little-endian files are supported",
				version);
	if (version != 2 && version != 3)
		return gguf_bad(g, -EINVAL, "GGUF version %u is not supported; versions 2 and 3 are", version);
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
		return gguf_bad(g, -EINVAL, "\"general.alignment\" must be a power of two up to %u", MAX_ALIGNMENT);
	/* Weights are read in place, as the types they are. */
	if (alignment < GGUF_LEAST_ALIGNMENT)
		return gguf_bad(g, -EINVAL, "\"general.alignment\" is %u, below %u", alignment,
				GGUF_LEAST_ALIGNMENT);
	g->alignment = alignment;
	err = read_tensors(g, n_tensors);
	return err ? err : place_tensors(g);
}

/* ---- one file ---- */

int gguf_no_memory(const char *label, char *err, size_t errlen)
{
	snprintf(err, errlen, "%s: no memory", label);
	return -ENOMEM;
}

int gguf_read_mem(const char *label, struct mapping *map, const void *data, size_t size,
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
		return gguf_no_memory(label, err, errlen);
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

int gguf_read_map(const char *label, struct mapping *map, struct gguf **out, char *err, size_t errlen)
{
	int rc = gguf_read_mem(label, map, mapping_base(map), mapping_size(map), out, err, errlen);

	/* What a file said that changed meanwhile is not the news. */
	if (!rc && gguf_intact(*out)) {
		gguf_close(*out);
		*out = NULL;
		rc = -EIO;
		snprintf(err, errlen, "%s was cut or written to while it was read; load it again when it is whole",
			 label);
	}
	return rc;
}

int gguf_read_path(const char *path, struct gguf **out, char *err, size_t errlen)
{
	struct mapping *map;
	int rc = mapping_open(path, &map, err, errlen);

	*out = NULL;
	if (!rc)
		rc = gguf_read_map(path, map, out, err, errlen);
	if (rc == -EINVAL && is_piece(path))
		snprintf(err, errlen, "%s is one of the pieces that a file was cut into; put all of them together, in order, with cat",
			 path);
	return rc;
}

int gguf_opened(int rc, struct gguf *g, struct gguf **out)
{
	if (rc) {
		gguf_close(g);
		return rc;
	}
	g->err = NULL;
	*out = g;
	return 0;
}

int gguf_open_mem(const void *data, size_t size, struct gguf **out, char *err, size_t errlen)
{
	struct gguf *g;
	int rc = gguf_read_mem("memory", NULL, data, size, &g, err, errlen);

	*out = NULL;
	return gguf_opened(rc, g, out);
}

/* ---- what was opened ---- */

static const struct gguf *part_of(const struct gguf *g, const struct gguf_tensor *t)
{
	return t->part ? g->rest[t->part - 1] : g;
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
	if (mapping_news(g->map))
		log_say(ACCEL_LOG_WARNING, "%s %s: what is computed with it fails", g->label, why);
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
	uint32_t i = *gguf_table_slot(g, &g->tensor_table, gguf_tensor_name, name);

	return i ? &g->tensors[i - 1] : NULL;
}

const void *gguf_tensor_data(const struct gguf *g, const struct gguf_tensor *t)
{
	return part_of(g, t)->base + t->offset;
}
