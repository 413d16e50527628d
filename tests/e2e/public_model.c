// SPDX-License-Identifier: MIT
/* What a model's file says, and every way to open one, through the shared object. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <accel/model.h>

#include "../unit/tap.h"
#include "public.h"

static void test_keys(const struct accel_model *m)
{
	struct accel_key k = { .sz = sizeof(k), .name = "" };
	const char *s;
	char text[32];
	int64_t v;
	double f;
	size_t n;

	ok(accel_model_keys(m) > 10 && !accel_model_key(m, 0, &k) && k.name[0], "keys, of which %s is the first",
	   k.name);
	ok(!accel_model_find_key(m, "tokenizer.ggml.tokens", &k) && k.array && k.type == ACCEL_KEY_TEXT &&
	   !accel_key_text(m, k.name, k.n - 1, &s, &n) && accel_key_text(m, k.name, k.n, &s, &n) == -ERANGE, "%s",
	   accel_error());
	ok(!accel_key_int(m, "llama.block_count", 0, &v) && !accel_key_float(m, "llama.block_count", 0, &f) &&
	   v == f && !accel_key_show(m, "llama.block_count", text, sizeof(text)), "blocks: %s", text);
	ok(accel_model_find_key(m, "no.such", &k) == -ENOENT, "%s", accel_error());
}

static void test_tensors(const struct accel_model *m)
{
	struct accel_tensor t = { .sz = sizeof(t), .name = "" }, u = { .sz = sizeof(u) };
	uint64_t n = accel_model_tensors(m);

	ok(n && !accel_model_tensor(m, n - 1, &t) && t.bytes && t.data && t.dims[0] &&
	   !accel_model_find_tensor(m, t.name, &u) && u.data == t.data, "%llu tensors, of which %s is the last",
	   (unsigned long long)n, t.name);
	ok(accel_model_find_tensor(m, "no.such", &t) == -ENOENT, "%s", accel_error());
}

void test_files(void)
{
	struct accel_model *m;

	if (!ok(!accel_model_load(PUBLIC_MODEL, &m), "a model"))
		return;
	test_keys(m);
	test_tensors(m);
	accel_model_free(m);
}
