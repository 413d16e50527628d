// SPDX-License-Identifier: MIT
#include "gguf.h"

#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <accel/accel.h>

#define MAX_NAME 1024u		/* bytes of a key or tensor name */
#define MIN_KEY_BYTES 13u	/* length, type, one byte of value */
#define MIN_TENSOR_BYTES 32u	/* length, dimensions, one size, type, offset */
#define MAX_ALIGNMENT (1u << 20)

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
	bool mapped;
	char label[256];	/* the file's name, for messages */
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

static const struct type_info {
	uint32_t id;
	const char *name;
	uint32_t elements, bytes;
} types[] = {
	{ ACCEL_F32, "F32", 1, 4 },	{ ACCEL_F16, "F16", 1, 2 },	{ ACCEL_BF16, "BF16", 1, 2 },
	{ ACCEL_Q4_0, "Q4_0", 32, 18 },	{ ACCEL_Q4_1, "Q4_1", 32, 20 },	{ ACCEL_Q5_0, "Q5_0", 32, 22 },
	{ ACCEL_Q5_1, "Q5_1", 32, 24 },	{ ACCEL_Q8_0, "Q8_0", 32, 34 },	{ ACCEL_Q2_K, "Q2_K", 256, 84 },
	{ ACCEL_Q3_K, "Q3_K", 256, 110 },	{ ACCEL_Q4_K, "Q4_K", 256, 144 },
	{ ACCEL_Q5_K, "Q5_K", 256, 176 },	{ ACCEL_Q6_K, "Q6_K", 256, 210 },
	{ ACCEL_IQ4_NL, "IQ4_NL", 32, 18 },	{ ACCEL_IQ4_XS, "IQ4_XS", 256, 136 },
	{ ACCEL_I32, "I32", 1, 4 },	{ ACCEL_MXFP4, "MXFP4", 32, 17 },
};

static const struct type_info *type_info(uint32_t id)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].id == id)
			return &types[i];
	return NULL;
}

const char *accel_type_name(uint32_t type)
{
	const struct type_info *t = type_info(type);

	return t ? t->name : "?";
}

bool accel_type_block(uint32_t type, uint32_t *elements, uint32_t *bytes)
{
	const struct type_info *t = type_info(type);

	if (!t)
		return false;
	*elements = t->elements;
	*bytes = t->bytes;
	return true;
}

static int bad(struct gguf *g, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int bad(struct gguf *g, int err, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(g->err, g->errlen, "%s: ", g->label);

	va_start(ap, fmt);
	if (n >= 0 && (size_t)n < g->errlen)
		vsnprintf(g->err + n, g->errlen - n, fmt, ap);
	va_end(ap);
	/* Names out of the file must not talk to the terminal. */
	for (char *s = g->err; g->errlen && *s; s++)
		if ((uint8_t)*s < ' ' || *s == 127)
			*s = '?';
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
		return bad(g, -EINVAL, "%s at byte %llu has a name of %llu bytes (\"%.*s\"), it must have 1 to %u, none of them zero",
			   what, (unsigned long long)g->at, (unsigned long long)n, n < 40 ? (int)n : 40,
			   (const char *)g->base + g->at, MAX_NAME);
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
		return bad(g, -EINVAL, "the key \"%.80s\" is an array of type %u, which is not supported",
			   e->name, type);
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
		return bad(g, -EINVAL, "the key \"%.80s\" has the unknown type %u", e->name, type);
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
			return bad(g, -EINVAL, "the key \"%.80s\" appears twice", e->name);
		*slot = i + 1;
		err = take_value(g, e);
		if (err)
			return err;
	}
	return 0;
}

static int check_shape(struct gguf *g, struct gguf_tensor *t, uint32_t n_dims)
{
	const struct type_info *ti = type_info(t->type);
	uint64_t elements = 1;

	if (!ti)
		return bad(g, -EINVAL, "the tensor \"%.80s\" is of the unknown type %u", t->name, t->type);
	for (uint32_t i = 0; i < 4; i++) {
		if (i < n_dims && (!t->ne[i] || t->ne[i] > INT64_MAX))
			return bad(g, -EINVAL, "the tensor \"%.80s\" has size %llu in dimension %u", t->name,
				   (unsigned long long)t->ne[i], i);
		if (__builtin_mul_overflow(elements, t->ne[i], &elements))
			return bad(g, -EINVAL, "the tensor \"%.80s\" has more elements than can be counted",
				   t->name);
	}
	if (t->ne[0] % ti->elements)
		return bad(g, -EINVAL, "the tensor \"%.80s\" has rows of %llu, not a multiple of the %u of %s",
			   t->name, (unsigned long long)t->ne[0], ti->elements, ti->name);
	if (__builtin_mul_overflow(elements / ti->elements, (uint64_t)ti->bytes, &t->size))
		return bad(g, -EINVAL, "the tensor \"%.80s\" has more bytes than can be counted", t->name);
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
		return bad(g, -EINVAL, "the tensor \"%.80s\" appears twice", name);
	*slot = i + 1;
	err = take(g, &n_dims, 4, "a tensor");
	if (err)
		return err;
	if (!n_dims || n_dims > 4)
		return bad(g, -EINVAL, "the tensor \"%.80s\" has %u dimensions, it must have 1 to 4", name,
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
			err = bad(g, -EINVAL, "the tensors \"%.80s\" and \"%.80s\" share bytes; the file is damaged, get it again",
				  order[i - 1]->name, order[i]->name);
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
			return bad(g, -EINVAL, "the tensor \"%.80s\" begins at %llu, not a multiple of %llu",
				   t->name, (unsigned long long)t->offset,
				   (unsigned long long)g->alignment);
		if (data > g->size || t->offset > g->size - data || t->size > g->size - data - t->offset)
			return bad(g, -EINVAL, "the tensor \"%.80s\" needs %llu bytes from %llu on but the file ends at %llu; it is cut short or damaged, get it again",
				   t->name, (unsigned long long)t->size,
				   (unsigned long long)(data + t->offset), (unsigned long long)g->size);
		t->offset += data;
	}
	return check_overlap(g);
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
		return bad(g, -EINVAL, "this is not a GGUF file: it does not begin with \"GGUF\"");
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

static int open_label(const char *label, const void *data, size_t size, bool mapped,
		      struct gguf **out, char *err, size_t errlen)
{
	struct gguf *g = calloc(1, sizeof(*g));
	int rc;

	if (!g) {
		if (mapped)
			munmap((void *)data, size);
		snprintf(err, errlen, "%s: no memory", label);
		return -ENOMEM;
	}
	g->base = data;
	g->size = size;
	g->mapped = mapped;
	hash_key_new(&g->hash_key);
	g->err = err;
	g->errlen = errlen;
	snprintf(g->label, sizeof(g->label), "%s", label);
	rc = read_file(g);
	g->err = NULL;
	if (rc) {
		gguf_close(g);
		return rc;
	}
	*out = g;
	return 0;
}

int gguf_open_mem(const void *data, size_t size, struct gguf **out, char *err, size_t errlen)
{
	*out = NULL;
	return open_label("memory", data, size, false, out, err, errlen);
}

int gguf_open(const char *path, struct gguf **out, char *err, size_t errlen)
{
	struct stat st;
	void *map;
	int fd, e;

	*out = NULL;
	/* O_NONBLOCK: a pipe must not hang us before it is refused. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st)) {
		e = errno;
		snprintf(err, errlen, "%s cannot be opened: %s", path, strerror(e));
		if (fd >= 0)
			close(fd);
		return -e;
	}
	if (!S_ISREG(st.st_mode) || !st.st_size) {
		snprintf(err, errlen, S_ISREG(st.st_mode) ? "%s is empty" : "%s is not a regular file", path);
		close(fd);
		return -EINVAL;
	}
	map = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	e = errno;
	close(fd);
	if (map == MAP_FAILED) {
		snprintf(err, errlen, "%s cannot be mapped: %s", path, strerror(e));
		return -e;
	}
	return open_label(path, map, st.st_size, true, out, err, errlen);
}

void gguf_close(struct gguf *g)
{
	if (!g)
		return;
	for (uint64_t i = 0; i < g->n_keys; i++) {
		free(g->keys[i].name);
		free(g->keys[i].strings);
	}
	for (uint64_t i = 0; i < g->n_tensors; i++)
		free((char *)g->tensors[i].name);
	free(g->keys);
	free(g->tensors);
	free(g->key_table.slot);
	free(g->tensor_table.slot);
	if (g->mapped)
		munmap((void *)g->base, g->size);
	free(g);
}

uint64_t gguf_file_size(const struct gguf *g)
{
	return g->size;
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
	return g->base + t->offset;
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
