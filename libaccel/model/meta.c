// SPDX-License-Identifier: MIT
/* What a model's file says, for programs: its keys and its tensors. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "gguf.h"
#include "layer.h"
#include "opts.h"
#include "plain.h"

_Static_assert((int)ACCEL_KEY_U8 == GGUF_U8 && (int)ACCEL_KEY_F32 == GGUF_F32 &&
	       (int)ACCEL_KEY_BOOL == GGUF_BOOL && (int)ACCEL_KEY_TEXT == GGUF_STRING &&
	       (int)ACCEL_KEY_U64 == GGUF_U64 && (int)ACCEL_KEY_F64 == GGUF_F64, "GGUF's numbers");

/* ---- keys ---- */

uint64_t accel_model_keys(const struct accel_model *m)
{
	return gguf_n_keys(m->file);
}

static int describe_key(const struct accel_model *m, const char *name, struct accel_key *key)
{
	struct accel_key k = { .name = name };
	enum gguf_type type;

	gguf_shape(m->file, name, &type, &k.array, &k.n);
	k.type = (enum accel_key_type)type;
	return opts_write(key, &k, sizeof(k), "a key");
}

int accel_model_key(const struct accel_model *m, uint64_t index, struct accel_key *key)
{
	uint64_t n = gguf_n_keys(m->file);

	if (index >= n)
		return fail(-EINVAL, "there is no key %llu, the model has %llu", (unsigned long long)index,
			    (unsigned long long)n);
	return describe_key(m, gguf_key_at(m->file, index), key);
}

static int no_key(const char *name)
{
	return fail(-ENOENT, "the model has no key \"%s\"", PLAIN(name));
}

int accel_model_find_key(const struct accel_model *m, const char *name, struct accel_key *key)
{
	const char *own = gguf_key_name(m->file, name);

	return own ? describe_key(m, own, key) : no_key(name);
}

/* err: what gguf_*_at() gave; words: what was wanted. */
static int no_value(const struct accel_model *m, const char *name, uint64_t i, int err, const char *words)
{
	char is[64];

	if (!err)
		return 0;
	if (err == -ENOENT)
		return no_key(name);
	gguf_value_text(m->file, name, is, sizeof(is));
	if (err == -ERANGE)
		return fail(err, "\"%s\" is %s: it has no element %llu that is %s", PLAIN(name), is,
			    (unsigned long long)i, words);
	return fail(err, "\"%s\" is %s, not %s", PLAIN(name), is, words);
}

int accel_key_int(const struct accel_model *m, const char *name, uint64_t i, int64_t *v)
{
	return no_value(m, name, i, gguf_int_at(m->file, name, i, v), "a whole number of 64 bits");
}

int accel_key_float(const struct accel_model *m, const char *name, uint64_t i, double *v)
{
	return no_value(m, name, i, gguf_double_at(m->file, name, i, v), "a number");
}

int accel_key_text(const struct accel_model *m, const char *name, uint64_t i, const char **s, size_t *n)
{
	return no_value(m, name, i, gguf_str_at(m->file, name, i, s, n), "a text");
}

int accel_key_show(const struct accel_model *m, const char *name, char *to, size_t room)
{
	if (!room)
		return fail(-EINVAL, "the value of \"%s\" needs room", PLAIN(name));
	*to = 0;
	return gguf_value_text(m->file, name, to, room) ? 0 : no_key(name);
}

/* ---- tensors ---- */

uint64_t accel_model_tensors(const struct accel_model *m)
{
	return gguf_n_tensors(m->file);
}

static int describe_tensor(const struct accel_model *m, const struct gguf_tensor *t,
			   struct accel_tensor *tensor)
{
	struct accel_tensor a = {
		.name = t->name, .type = t->type, .n_dims = t->n_dims, .part = t->part, .offset = t->offset,
		.bytes = t->size, .data = gguf_tensor_data(m->file, t),
	};

	memcpy(a.dims, t->ne, sizeof(a.dims));
	return opts_write(tensor, &a, sizeof(a), "a tensor");
}

int accel_model_tensor(const struct accel_model *m, uint64_t index, struct accel_tensor *tensor)
{
	const struct gguf_tensor *t = gguf_tensor_at(m->file, index);

	if (!t)
		return fail(-EINVAL, "there is no tensor %llu, the model has %llu", (unsigned long long)index,
			    (unsigned long long)gguf_n_tensors(m->file));
	return describe_tensor(m, t, tensor);
}

int accel_model_find_tensor(const struct accel_model *m, const char *name, struct accel_tensor *tensor)
{
	const struct gguf_tensor *t = gguf_find_tensor(m->file, name);

	if (!t)
		return fail(-ENOENT, "the model has no tensor \"%s\"", PLAIN(name));
	return describe_tensor(m, t, tensor);
}
