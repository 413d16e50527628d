// SPDX-License-Identifier: MIT
/* Receipts that anybody may have written: nothing is taken for granted. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receipt.h"

#define MAX_FILES	99999
#define MAX_TOKENS	(1u << 24)
#define MAX_SEED	20	/* digits */

struct reader {
	char *why;
	size_t len;
};

static int wrong(const struct reader *rd, const char *field, const char *what)
{
	snprintf(rd->why, rd->len, "\"%s\" is missing or is not %s", field, what);
	return -EINVAL;
}

static const json_t *object(const json_t *in, const char *key)
{
	const json_t *j = json_object_get(in, key);

	return json_is_object(j) ? j : NULL;
}

/* A text without a zero, copied. */
static int text(const struct reader *rd, const json_t *in, const char *key, size_t max, char **out)
{
	const json_t *j = json_object_get(in, key);

	if (!json_is_string(j) || json_string_length(j) > max || memchr(json_string_value(j), 0, json_string_length(j)))
		return wrong(rd, key, "a text of sensible length");
	*out = strdup(json_string_value(j));
	return *out ? 0 : -ENOMEM;
}

static int number(const struct reader *rd, const json_t *in, const char *key, uint64_t max, uint64_t *out)
{
	const json_t *j = json_object_get(in, key);

	if (!json_is_integer(j) || json_integer_value(j) < 0 || (uint64_t)json_integer_value(j) > max)
		return wrong(rd, key, "a whole number within bounds");
	*out = json_integer_value(j);
	return 0;
}

static int real(const struct reader *rd, const json_t *in, const char *key, double *out)
{
	const json_t *j = json_object_get(in, key);

	if (!json_is_number(j) || !isfinite(json_number_value(j)) || fabs(json_number_value(j)) > 1e9)
		return wrong(rd, key, "a number within bounds");
	*out = json_number_value(j);
	return 0;
}

static int hash(const struct reader *rd, const json_t *in, const char *key, char out[SHA256_TEXT])
{
	const char *s = json_string_value(json_object_get(in, key));

	if (!s || strlen(s) != SHA256_TEXT - 1 || strspn(s, "0123456789abcdef") != SHA256_TEXT - 1)
		return wrong(rd, key, "a SHA-256 of 64 hexadecimal digits");
	memcpy(out, s, SHA256_TEXT);
	return 0;
}

static int token(const struct reader *rd, const json_t *j, int32_t *out)
{
	if (!json_is_integer(j) || json_integer_value(j) < 0 || json_integer_value(j) > INT32_MAX)
		return wrong(rd, "token", "the number of a token");
	*out = json_integer_value(j);
	return 0;
}

/* A list that is not empty; zeroed room for what becomes of it. */
static int list(const struct reader *rd, const json_t *in, const char *key, size_t max, size_t size,
		const json_t **j, void **room, size_t *n)
{
	*j = json_object_get(in, key);
	if (!json_is_array(*j) || !json_array_size(*j) || json_array_size(*j) > max)
		return wrong(rd, key, "a list of sensible length");
	*n = json_array_size(*j);
	*room = calloc(*n, size);
	if (*room)
		return 0;
	*n = 0;
	return -ENOMEM;
}

static int read_model(const struct reader *rd, const json_t *doc, struct receipt *r)
{
	const json_t *model = object(doc, "model"), *j;
	int err = model ? text(rd, model, "architecture", 64, &r->architecture) : wrong(rd, "model", "an object");

	if (!err)
		err = list(rd, model, "files", MAX_FILES, sizeof(*r->file), &j, (void **)&r->file, &r->n_files);
	for (size_t i = 0; i < r->n_files && !err; i++) {
		const json_t *f = json_array_get(j, i);

		err = text(rd, f, "name", 4096, &r->file[i].name);
		if (!err)
			err = number(rd, f, "bytes", INT64_MAX, &r->file[i].bytes);
		if (!err)
			err = hash(rd, f, "sha256", r->file[i].sha256);
	}
	return err;
}

static int read_kv_type(const struct reader *rd, const json_t *doc, struct receipt *r)
{
	const char *s = json_string_value(json_object_get(doc, "kv_type"));

	for (uint32_t i = 0; s && kv_type_names[i]; i++)
		if (!strcmp(s, kv_type_names[i])) {
			r->kv_type = i;
			return 0;
		}
	return wrong(rd, "kv_type", "f16, f32 or q8_0");
}

static int read_seed(const struct reader *rd, const json_t *in, uint64_t *seed)
{
	const char *s = json_string_value(json_object_get(in, "seed"));

	errno = 0;
	if (!s || !*s || strlen(s) > MAX_SEED || strspn(s, "0123456789") != strlen(s) ||
	    (*seed = strtoull(s, NULL, 10), errno))
		return wrong(rd, "seed", "a text of digits");
	return 0;
}

static int read_sampler(const struct reader *rd, const json_t *doc, struct accel_sampler_opts *so)
{
	const json_t *in = object(doc, "sampler");
	const struct {
		const char *key;
		double *to;
	} reals[] = {
		{ "temperature", &so->temperature }, { "top_p", &so->top_p }, { "min_p", &so->min_p },
		{ "repeat_penalty", &so->repeat }, { "frequency_penalty", &so->frequency },
		{ "presence_penalty", &so->presence },
	};
	uint64_t top_k = 0, last = 0;
	int err = in ? read_seed(rd, in, &so->seed) : wrong(rd, "sampler", "an object");

	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]) && !err; i++)
		err = real(rd, in, reals[i].key, reals[i].to);
	if (!err)
		err = number(rd, in, "top_k", MAX_TOKENS, &top_k);
	if (!err)
		err = number(rd, in, "penalty_last", MAX_TOKENS, &last);
	so->sz = sizeof(*so);
	so->top_k = top_k;
	so->penalty_last = last;
	return err;
}

static int read_prompt(const struct reader *rd, const json_t *doc, struct receipt *r)
{
	const json_t *in = object(doc, "prompt"), *j;
	int err = in ? text(rd, in, "text", SIZE_MAX, &r->prompt_text) : wrong(rd, "prompt", "an object");

	if (!err)
		err = list(rd, in, "tokens", MAX_TOKENS, sizeof(*r->prompt), &j, (void **)&r->prompt, &r->n_prompt);
	for (size_t i = 0; i < r->n_prompt && !err; i++)
		err = token(rd, json_array_get(j, i), &r->prompt[i]);
	return err;
}

static int read_answer(const struct reader *rd, const json_t *doc, struct receipt *r)
{
	const json_t *in = object(doc, "answer"), *j;
	int err = in ? text(rd, in, "text", SIZE_MAX, &r->text) : wrong(rd, "answer", "an object");

	if (!err)
		err = text(rd, in, "stop", 64, &r->stop);
	if (!err)
		err = list(rd, in, "steps", MAX_TOKENS, sizeof(*r->step), &j, (void **)&r->step, &r->n_steps);
	for (size_t i = 0; i < r->n_steps && !err; i++) {
		const json_t *step = json_array_get(j, i);

		err = token(rd, json_object_get(step, "token"), &r->step[i].token);
		if (!err)
			err = hash(rd, step, "logits", r->step[i].logits);
	}
	return err;
}

static int read_versions(const struct reader *rd, const json_t *doc)
{
	const char *schema = json_string_value(json_object_get(doc, "schema"));
	uint64_t numerics;
	int err;

	if (!schema || strncmp(schema, "octans.receipt/", strlen("octans.receipt/"))) {
		snprintf(rd->why, rd->len, "it is no receipt: its \"schema\" does not begin with octans.receipt/");
		return -EINVAL;
	}
	if (strcmp(schema, "octans.receipt/1")) {
		snprintf(rd->why, rd->len, "it is a receipt of schema \"%.40s\", only octans.receipt/1 is known here",
			 schema);
		return -EINVAL;
	}
	err = number(rd, doc, "numerics", UINT32_MAX, &numerics);
	if (!err && numerics != accel_numerics()) {
		snprintf(rd->why, rd->len, "it was computed by version %u of the numerics, here is version %u",
			 (unsigned int)numerics, accel_numerics());
		err = -EINVAL;
	}
	return err;
}

static int read_chat_format(const struct reader *rd, const json_t *doc, struct receipt *r)
{
	return json_is_null(json_object_get(doc, "chat_format")) ? 0 :
	       text(rd, doc, "chat_format", 64, &r->chat_format);
}

static int read_document(const struct reader *rd, const json_t *doc, struct receipt *r)
{
	int err = read_versions(rd, doc);

	if (!err)
		err = read_model(rd, doc, r);
	if (!err)
		err = read_kv_type(rd, doc, r);
	if (!err)
		err = read_chat_format(rd, doc, r);
	if (!err)
		err = read_sampler(rd, doc, &r->sampler);
	if (!err)
		err = read_prompt(rd, doc, r);
	if (!err)
		err = read_answer(rd, doc, r);
	if (!err && r->n_prompt + r->n_steps > MAX_TOKENS)
		err = wrong(rd, "steps", "short enough for a context");
	return err;
}

int receipt_read(const char *s, size_t n, struct receipt *r, char *why, size_t len)
{
	const struct reader rd = { .why = why, .len = len };
	json_error_t e;
	json_t *doc = json_loadb(s, n, JSON_REJECT_DUPLICATES, &e);
	int err;

	memset(r, 0, sizeof(*r));
	if (!doc) {
		snprintf(why, len, "it is no JSON: %.80s at line %d", e.text, e.line);
		return -EINVAL;
	}
	err = read_document(&rd, doc, r);
	if (err == -ENOMEM)
		snprintf(why, len, "there is no memory for it");
	json_decref(doc);
	return err;
}
