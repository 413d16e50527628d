// SPDX-License-Identifier: MIT
/* What keys hold, as who asks wants it, and for people. */
#include "gguf_file.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plain.h"

/* A number as the widest integer or as a double. */
static int number(enum gguf_type type, const uint8_t *p, int64_t *i, double *f)
{
	union {
		uint8_t u8; int8_t i8; uint16_t u16; int16_t i16; uint32_t u32; int32_t i32;
		uint64_t u64; int64_t i64; float f32; double f64;
	} v;

	if (type == GGUF_STRING || type == GGUF_ARRAY)
		return -EINVAL;
	memcpy(&v, p, gguf_scalar_bytes[type]);
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
	const struct gguf_entry *e = gguf_find(g, key);
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
		if (value_u32(e->element, e->data + i * gguf_scalar_bytes[e->element], &other) || other != *v)
			return -EINVAL;
	return 0;
}

int gguf_get_f32(const struct gguf *g, const char *key, float *v)
{
	const struct gguf_entry *e = gguf_find(g, key);
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
	const struct gguf_entry *e = gguf_find(g, key);

	if (!e)
		return -ENOENT;
	if (e->type != GGUF_BOOL || *e->data > 1)
		return -EINVAL;
	*v = *e->data;
	return 0;
}

int gguf_get_str(const struct gguf *g, const char *key, const char **s, size_t *n)
{
	const struct gguf_entry *e = gguf_find(g, key);

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
	const struct gguf_entry *e = gguf_find(g, key);

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
	    number(a->type, a->data + i * gguf_scalar_bytes[a->type], &n, &f) || n < INT32_MIN || n > INT32_MAX)
		return -EINVAL;
	*v = n;
	return 0;
}

int gguf_array_f32(const struct gguf_array *a, uint64_t i, float *v)
{
	int64_t n;
	double f;

	if (a->type == GGUF_STRING || a->type == GGUF_BOOL ||
	    number(a->type, a->data + i * gguf_scalar_bytes[a->type], &n, &f) < 0)
		return -EINVAL;
	*v = f;
	return 0;
}

/* ---- by element ---- */

int gguf_shape(const struct gguf *g, const char *key, enum gguf_type *type, bool *array, uint64_t *n)
{
	const struct gguf_entry *e = gguf_find(g, key);

	if (!e)
		return -ENOENT;
	*array = e->type == GGUF_ARRAY;
	*type = *array ? e->element : e->type;
	*n = *array ? e->n : 1;
	return 0;
}

/* Where element i of a key is that holds numbers, or only bytes of text. */
static int find_element(const struct gguf *g, const char *key, uint64_t i, bool text,
			const struct gguf_entry **e, enum gguf_type *type)
{
	uint64_t n;
	bool array;
	int err = gguf_shape(g, key, type, &array, &n);

	if (err)
		return err;
	*e = gguf_find(g, key);
	if ((*type == GGUF_STRING) != text)
		return -EINVAL;
	return i < n ? 0 : -ERANGE;
}

/* As number(), of an element. */
static int number_at(const struct gguf *g, const char *key, uint64_t i, int64_t *v, double *f)
{
	const struct gguf_entry *e;
	enum gguf_type type;
	const uint8_t *p;
	uint64_t u;
	int err = find_element(g, key, i, false, &e, &type);

	if (err)
		return err;
	p = e->data + i * gguf_scalar_bytes[type];
	if (type == GGUF_BOOL && *p > 1)
		return -EINVAL;
	err = number(type, p, v, f);
	if (type == GGUF_U64) {
		memcpy(&u, p, 8);
		*f = u;
		return u > INT64_MAX ? 1 : 0;
	}
	return err;
}

int gguf_int_at(const struct gguf *g, const char *key, uint64_t i, int64_t *v)
{
	int64_t n = 0;
	double f;
	int err = number_at(g, key, i, &n, &f);

	if (err < 0)
		return err;
	if (err && (!(f >= -0x1p63 && f < 0x1p63) || f != (int64_t)f))
		return -ERANGE;
	*v = err ? (int64_t)f : n;
	return 0;
}

int gguf_double_at(const struct gguf *g, const char *key, uint64_t i, double *v)
{
	int64_t n;
	int err = number_at(g, key, i, &n, v);

	return err < 0 ? err : 0;
}

int gguf_str_at(const struct gguf *g, const char *key, uint64_t i, const char **s, size_t *n)
{
	const struct gguf_entry *e;
	enum gguf_type type;
	int err = find_element(g, key, i, true, &e, &type);

	if (err)
		return err;
	if (e->type == GGUF_ARRAY) {
		const struct gguf_array a = { .type = type, .n = e->n, .data = e->data, .strings = e->strings };

		*s = gguf_array_str(&a, i, n);
		return 0;
	}
	*s = (const char *)e->data;
	*n = e->n;
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

const char *gguf_key_name(const struct gguf *g, const char *key)
{
	const struct gguf_entry *e = gguf_find(g, key);

	return e ? e->name : NULL;
}

static const char *const type_names[] = {
	[GGUF_U8] = "u8", [GGUF_I8] = "i8", [GGUF_U16] = "u16", [GGUF_I16] = "i16", [GGUF_U32] = "u32",
	[GGUF_I32] = "i32", [GGUF_F32] = "f32", [GGUF_BOOL] = "bool", [GGUF_STRING] = "text",
	[GGUF_U64] = "u64", [GGUF_I64] = "i64", [GGUF_F64] = "f64",
};

const char *gguf_value_text(const struct gguf *g, const char *key, char *to, size_t room)
{
	const struct gguf_entry *e = gguf_find(g, key);
	uint64_t u = 0;
	int64_t i;
	double f;

	if (!e)
		return NULL;
	if (e->type == GGUF_ARRAY) {
		snprintf(to, room, "[%llu x %s]", (unsigned long long)e->n, type_names[e->element]);
	} else if (e->type == GGUF_STRING) {
		if (room < 3) {
			*to = 0;
			return to;
		}
		*to = '"';
		plain_text(to + 1, room - 2, (const char *)e->data, e->n);
		strcat(to, "\"");
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
