// SPDX-License-Identifier: MIT
/* What programs read of a model's file: keys of every type, elements of arrays, tensors. */
#include <errno.h>

#include <accel/model.h>

#include "llama_build.h"
#include "tap.h"

static void put(struct build *b, const char *key, uint32_t type, const void *value, size_t n)
{
	build_key(b, key, type);
	build_bytes(b, value, n);
}

static void more_keys(struct build *b)
{
	put(b, "t.u8", GGUF_U8, &(uint8_t) { 200 }, 1);
	put(b, "t.i8", GGUF_I8, &(int8_t) { -3 }, 1);
	put(b, "t.u16", GGUF_U16, &(uint16_t) { 60000 }, 2);
	put(b, "t.i16", GGUF_I16, &(int16_t) { -300 }, 2);
	put(b, "t.i32", GGUF_I32, &(int32_t) { -70000 }, 4);
	put(b, "t.u64", GGUF_U64, &(uint64_t) { UINT64_MAX }, 8);
	put(b, "t.i64", GGUF_I64, &(int64_t) { INT64_MIN }, 8);
	put(b, "t.f64", GGUF_F64, &(double) { 0.1 }, 8);
	put(b, "t.whole", GGUF_F32, &(float) { 8 }, 4);
	put(b, "t.huge", GGUF_F64, &(double) { 1e300 }, 8);
	put(b, "t.nan", GGUF_F32, &(float) { __builtin_nanf("") }, 4);
	put(b, "t.true", GGUF_BOOL, "\1", 1);
	put(b, "t.bad", GGUF_BOOL, "\2", 1);
	build_key_text(b, "t.escape", "a\033[31mb");
	build_key_array(b, "t.numbers", GGUF_U16, 3);
	build_bytes(b, (uint16_t []) { 7, 8, 9 }, 6);
	build_key_array(b, "t.texts", GGUF_STRING, 2);
	build_text(b, "one");
	build_text_n(b, "t\0o", 3);
	build_key_array(b, "t.none", GGUF_F32, 0);
}

static bool is_int(const struct accel_model *m, const char *key, uint64_t i, int64_t want)
{
	int64_t v;

	return !accel_key_int(m, key, i, &v) && v == want;
}

static bool is_float(const struct accel_model *m, const char *key, uint64_t i, double want)
{
	double v;

	return !accel_key_float(m, key, i, &v) && v == want;
}

static bool is_shown(const struct accel_model *m, const char *key, size_t room, const char *want)
{
	char text[64];

	return !accel_key_show(m, key, text, room) && !strcmp(text, want);
}

static void test_values(const struct accel_model *m)
{
	int64_t v = 0;
	double f;

	ok(is_int(m, "t.u8", 0, 200) && is_int(m, "t.i8", 0, -3) && is_int(m, "t.u16", 0, 60000) &&
	   is_int(m, "t.i16", 0, -300) && is_int(m, "t.i32", 0, -70000) && is_int(m, "t.i64", 0, INT64_MIN) &&
	   is_int(m, "llama.block_count", 0, 1) && is_int(m, "t.true", 0, 1) && is_int(m, "t.whole", 0, 8),
	   "whole numbers of each type");
	ok(is_float(m, "t.f64", 0, 0.1) && is_float(m, "t.whole", 0, 8) && is_float(m, "t.i8", 0, -3) &&
	   is_float(m, "t.u64", 0, 0x1p64) && is_float(m, "t.huge", 0, 1e300), "numbers of each type");
	ok(accel_key_int(m, "t.u64", 0, &v) == -ERANGE && accel_key_int(m, "t.huge", 0, &v) == -ERANGE &&
	   accel_key_int(m, "t.f64", 0, &v) == -ERANGE && accel_key_int(m, "t.nan", 0, &v) == -ERANGE && !v,
	   "what does not fit: %s", accel_error());
	ok(accel_key_int(m, "t.bad", 0, &v) == -EINVAL && accel_key_int(m, "t.escape", 0, &v) == -EINVAL &&
	   accel_key_float(m, "t.texts", 0, &f) == -EINVAL, "what is none: %s", accel_error());
	ok(accel_key_int(m, "t.nothing", 0, &v) == -ENOENT && strstr(accel_error(), "\"t.nothing\""), "%s",
	   accel_error());
}

static void test_arrays(const struct accel_model *m)
{
	const char *s;
	int64_t v;
	size_t n;

	ok(is_int(m, "t.numbers", 0, 7) && is_int(m, "t.numbers", 2, 9) && is_float(m, "t.numbers", 1, 8),
	   "elements of an array");
	ok(accel_key_int(m, "t.numbers", 3, &v) == -ERANGE && accel_key_int(m, "t.none", 0, &v) == -ERANGE &&
	   accel_key_int(m, "t.u8", 1, &v) == -ERANGE && accel_key_int(m, "t.u8", UINT64_MAX, &v) == -ERANGE,
	   "none behind its end: %s", accel_error());
	ok(!accel_key_text(m, "t.texts", 1, &s, &n) && n == 3 && !memcmp(s, "t\0o", 3) &&
	   !accel_key_text(m, "general.architecture", 0, &s, &n) && n == 5 && !memcmp(s, "llama", 5), "texts");
	ok(accel_key_text(m, "t.texts", 2, &s, &n) == -ERANGE && accel_key_text(m, "t.u8", 0, &s, &n) == -EINVAL,
	   "%s", accel_error());
	ok(is_shown(m, "t.numbers", 64, "[3 x u16]") && is_shown(m, "t.u64", 64, "18446744073709551615") &&
	   is_shown(m, "t.true", 64, "true") && is_shown(m, "t.escape", 64, "\"a?[31mb\"") &&
	   is_shown(m, "t.escape", 5, "\"a?\"") && is_shown(m, "t.escape", 1, "") && is_shown(m, "t.u8", 2, "2"),
	   "for people");
	ok(accel_key_show(m, "t.u8", NULL, 0) == -EINVAL && accel_key_show(m, "x", (char [2]) { 0 }, 2) == -ENOENT,
	   "%s", accel_error());
}

static void test_iteration(const struct accel_model *m)
{
	struct accel_key k = { .sz = sizeof(k) }, same = { .sz = sizeof(same) };
	uint64_t n = accel_model_keys(m), arrays = 0, alike = 0;

	for (uint64_t i = 0; i < n && !accel_model_key(m, i, &k); i++) {
		arrays += k.array;
		alike += !accel_model_find_key(m, k.name, &same) && same.name == k.name && same.n == k.n &&
			 same.type == k.type && same.array == k.array;
	}
	ok(n == 10 + 17 && arrays == 3 && alike == n, "%llu keys, one by one and by name", (unsigned long long)n);
	ok(!accel_model_find_key(m, "t.texts", &k) && k.array && k.n == 2 && k.type == ACCEL_KEY_TEXT &&
	   !accel_model_find_key(m, "t.f64", &k) && !k.array && k.n == 1 && k.type == ACCEL_KEY_F64, "their shapes");
	ok(accel_model_key(m, n, &k) == -EINVAL && accel_model_key(m, UINT64_MAX, &k) == -EINVAL, "%s",
	   accel_error());
	k.sz = 0;
	ok(accel_model_key(m, 0, &k) == -EINVAL, "%s", accel_error());
}

static void test_tensors(const struct accel_model *m, const struct build *b)
{
	struct accel_tensor t = { .sz = sizeof(t) }, same = { .sz = sizeof(same) };
	uint64_t n = accel_model_tensors(m), alike = 0;

	for (uint64_t i = 0; i < n && !accel_model_tensor(m, i, &t); i++)
		alike += !accel_model_find_tensor(m, t.name, &same) && same.data == t.data && !t.part &&
			 t.offset + t.bytes <= b->n && !memcmp(t.data, b->p + t.offset, t.bytes);
	ok(n == 11 && alike == n, "%llu tensors, with their bytes", (unsigned long long)n);
	ok(!accel_model_find_tensor(m, "blk.0.ffn_down.weight", &t) && t.n_dims == 2 && t.dims[0] == 64 &&
	   t.dims[1] == 32 && t.dims[2] == 1 && t.bytes == 64 * 32 * 4 && !strcmp(accel_type_name(t.type), "F32"),
	   "their shapes");
	ok(!accel_model_find_tensor(m, "output_norm.weight", &t) && t.n_dims == 1 && t.dims[0] == 32, "of one row");
	ok(accel_model_find_tensor(m, "nonsense", &t) == -ENOENT, "%s", accel_error());
	ok(accel_model_tensor(m, n, &t) == -EINVAL, "%s", accel_error());
}

int main(void)
{
	struct llama_build l = llama_small;
	struct accel_model *m;
	struct build b;

	l.keys = more_keys;
	llama_build(&b, &l);
	if (ok(!accel_model_load_memory(&(const void *) { b.p }, &b.n, 1, &m), "a model: %s", accel_error())) {
		test_values(m);
		test_arrays(m);
		test_iteration(m);
		test_tensors(m, &b);
	}
	accel_model_free(m);
	build_end(&b);
	return done();
}
