// SPDX-License-Identifier: MIT
/* The GGUF reader: good files are read right, and of bad ones each is refused with a sentence. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu_time.h"
#include "fail_alloc.h"
#include "gguf_build.h"
#include "tap.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static char err[512];
static volatile uint8_t sink;

static const char *const key_names[] = {
	"general.architecture", "general.alignment", "u8", "i8", "u16", "i16", "u32", "i32", "u64",
	"i64", "f32", "f64", "bool", "text", "array.u8", "array.i16", "array.i32", "array.u64",
	"array.f32", "array.f64", "array.bool", "array.text", "array.empty", "array.same", "absent",
};

/* Reads all that a file offers, to let a sanitizer see what lies outside. */
static void walk(const struct gguf *g)
{
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);
		const uint8_t *p = gguf_tensor_data(g, t);

		sink = p[0] + p[t->size - 1] + strlen(t->name);
		if (gguf_find_tensor(g, t->name) != t)
			abort();
	}
	for (size_t k = 0; k < N(key_names); k++) {
		struct gguf_array a;
		const char *s;
		uint32_t u;
		int32_t v;
		size_t n;
		float f;
		bool b;

		gguf_get_u32(g, key_names[k], &u);
		gguf_get_f32(g, key_names[k], &f);
		gguf_get_bool(g, key_names[k], &b);
		if (!gguf_get_str(g, key_names[k], &s, &n) && n)
			sink = s[0] + s[n - 1];
		if (gguf_get_array(g, key_names[k], &a))
			continue;
		for (uint64_t i = 0; i < a.n; i++) {
			if (a.type == GGUF_STRING) {
				s = gguf_array_str(&a, i, &n);
				if (n)
					sink = s[0] + s[n - 1];
			}
			gguf_array_i32(&a, i, &v);
			gguf_array_f32(&a, i, &f);
		}
	}
}

/* Opens exactly n bytes; the walk happens if it opens. */
static int try_open(const struct build *b, size_t n)
{
	uint8_t *p = build_copy(b, n);
	struct gguf *g = NULL;
	int rc;

	memset(err, 0, sizeof(err));
	rc = gguf_open_mem(p, n, &g, err, sizeof(err));
	if (!rc)
		walk(g);
	gguf_close(g);
	free(p);
	return rc;
}

/* Refused, with one printable sentence that begins with the file and holds the word. */
static bool refused(const struct build *b, size_t n, const char *word)
{
	int rc = try_open(b, n);

	for (const char *s = err; *s; s++)
		if ((uint8_t)*s < ' ' || *s == 127)
			return false;
	if (rc == -EINVAL && !strncmp(err, "memory: ", 8) && strstr(err, word))
		return true;
	printf("# rc %d, \"%s\" should hold \"%s\"\n", rc, err, word);
	return false;
}

static void key_value(struct build *b, const char *name, uint32_t type, const void *v, size_t n)
{
	build_key(b, name, type);
	build_bytes(b, v, n);
}

/* A file with every kind of value and several kinds of tensors. */
static void build_full(struct build *b)
{
	build_begin(b);
	build_key_text(b, "general.architecture", "llama");
	key_value(b, "u8", GGUF_U8, &(uint8_t) { 200 }, 1);
	key_value(b, "i8", GGUF_I8, &(int8_t) { -100 }, 1);
	key_value(b, "u16", GGUF_U16, &(uint16_t) { 60000 }, 2);
	key_value(b, "i16", GGUF_I16, &(int16_t) { -30000 }, 2);
	build_key_u32(b, "u32", 4000000000u);
	key_value(b, "i32", GGUF_I32, &(int32_t) { -2000000000 }, 4);
	key_value(b, "u64", GGUF_U64, &(uint64_t) { 1ull << 63 }, 8);
	key_value(b, "i64", GGUF_I64, &(int64_t) { 5000000000 }, 8);
	build_key_f32(b, "f32", 1.5f);
	key_value(b, "f64", GGUF_F64, &(double) { -2.25 }, 8);
	build_key_bool(b, "bool", 1);
	build_key_text(b, "text", "two words");
	build_key_array(b, "array.u8", GGUF_U8, 3);
	build_bytes(b, (uint8_t []) { 1, 2, 255 }, 3);
	build_key_array(b, "array.i16", GGUF_I16, 2);
	build_bytes(b, (int16_t []) { -1, 7 }, 4);
	build_key_array(b, "array.i32", GGUF_I32, 3);
	build_bytes(b, (int32_t []) { 4, 5, -6 }, 12);
	build_key_array(b, "array.u64", GGUF_U64, 2);
	build_bytes(b, (uint64_t []) { 9, 1ull << 40 }, 16);
	build_key_array(b, "array.f32", GGUF_F32, 2);
	build_bytes(b, (float []) { 0.5f, -1 }, 8);
	build_key_array(b, "array.f64", GGUF_F64, 1);
	build_bytes(b, (double []) { 0.25 }, 8);
	build_key_array(b, "array.bool", GGUF_BOOL, 2);
	build_bytes(b, (uint8_t []) { 0, 1 }, 2);
	build_key_array(b, "array.text", GGUF_STRING, 4);
	build_text(b, "first");
	build_text(b, "");
	build_text_n(b, "a\0b", 3);
	build_text(b, "\xe2\x96\x81last");
	build_key_array(b, "array.empty", GGUF_STRING, 0);
	build_key_array(b, "array.same", GGUF_U16, 3);
	build_bytes(b, (uint16_t []) { 8, 8, 8 }, 6);
	build_tensor(b, "token_embd.weight", ACCEL_Q8_0, 2, (uint64_t []) { 64, 40 });
	build_tensor(b, "blk.0.attn_norm.weight", ACCEL_F32, 1, (uint64_t []) { 64 });
	build_tensor(b, "blk.0.ffn_up.weight", ACCEL_Q4_K, 2, (uint64_t []) { 256, 3 });
	build_tensor(b, "blk.0.cube", ACCEL_F16, 3, (uint64_t []) { 5, 3, 2 });
	build_tensor(b, "blk.0.hyper", ACCEL_MXFP4, 4, (uint64_t []) { 32, 1, 2, 2 });
	build_data(b);
}

static void test_numbers(const struct gguf *g)
{
	static const struct { const char *key; int rc; uint32_t v; } u32[] = {
		{ "u8", 0, 200 }, { "i8", -EINVAL, 0 }, { "u16", 0, 60000 }, { "i16", -EINVAL, 0 },
		{ "u32", 0, 4000000000u }, { "i32", -EINVAL, 0 }, { "u64", -EINVAL, 0 },
		{ "i64", -EINVAL, 0 }, { "f32", -EINVAL, 0 }, { "f64", -EINVAL, 0 }, { "bool", -EINVAL, 0 },
		{ "text", -EINVAL, 0 }, { "absent", -ENOENT, 0 }, { "array.same", 0, 8 },
		{ "array.i32", -EINVAL, 0 }, { "array.text", -EINVAL, 0 }, { "array.empty", -EINVAL, 0 },
		{ "array.f32", -EINVAL, 0 }, { "array.bool", -EINVAL, 0 }, { "", -ENOENT, 0 },
	};
	static const struct { const char *key; int rc; float v; } f32[] = {
		{ "f32", 0, 1.5f }, { "f64", 0, -2.25f }, { "u8", 0, 200 }, { "i16", 0, -30000 },
		{ "bool", -EINVAL, 0 }, { "text", -EINVAL, 0 }, { "array.f32", -EINVAL, 0 },
		{ "absent", -ENOENT, 0 },
	};
	uint32_t u;
	float f;
	bool b;

	for (size_t i = 0; i < N(u32); i++) {
		int rc = gguf_get_u32(g, u32[i].key, &u);

		ok(rc == u32[i].rc && (rc || u == u32[i].v), "u32 of \"%s\"", u32[i].key);
	}
	for (size_t i = 0; i < N(f32); i++) {
		int rc = gguf_get_f32(g, f32[i].key, &f);

		ok(rc == f32[i].rc && (rc || f == f32[i].v), "f32 of \"%s\"", f32[i].key);
	}
	ok(!gguf_get_bool(g, "bool", &b) && b, "bool");
	ok(gguf_get_bool(g, "u8", &b) == -EINVAL && gguf_get_bool(g, "absent", &b) == -ENOENT,
	   "bool of what is none");
}

static void test_texts(const struct gguf *g)
{
	struct gguf_array a;
	const char *s;
	int32_t v;
	size_t n;
	float f;

	ok(!gguf_get_str(g, "text", &s, &n) && n == 9 && !memcmp(s, "two words", 9), "text");
	ok(gguf_get_str(g, "u8", &s, &n) == -EINVAL && gguf_get_str(g, "absent", &s, &n) == -ENOENT,
	   "text of what is none");
	ok(gguf_get_array(g, "text", &a) == -EINVAL && gguf_get_array(g, "absent", &a) == -ENOENT,
	   "array of what is none");
	ok(!gguf_get_array(g, "array.text", &a) && a.type == GGUF_STRING && a.n == 4, "array of texts");
	s = gguf_array_str(&a, 0, &n);
	ok(n == 5 && !memcmp(s, "first", 5), "the first text");
	gguf_array_str(&a, 1, &n);
	ok(n == 0, "the empty text");
	s = gguf_array_str(&a, 2, &n);
	ok(n == 3 && !memcmp(s, "a\0b", 3), "a text with a zero byte");
	s = gguf_array_str(&a, 3, &n);
	ok(n == 7 && !memcmp(s, "\xe2\x96\x81last", 7), "the last text");
	ok(gguf_array_i32(&a, 0, &v) == -EINVAL && gguf_array_f32(&a, 0, &f) == -EINVAL,
	   "a text is no number");
	ok(!gguf_get_array(g, "array.u64", &a) && !gguf_array_i32(&a, 0, &v) && v == 9 &&
	   gguf_array_i32(&a, 1, &v) == -EINVAL, "i32 of an array of u64, with its range");
	ok(!gguf_get_array(g, "array.i32", &a) && !gguf_array_i32(&a, 2, &v) && v == -6 &&
	   !gguf_array_f32(&a, 2, &f) && f == -6, "numbers of an array of i32");
	ok(!gguf_get_array(g, "array.f64", &a) && !gguf_array_f32(&a, 0, &f) && f == 0.25f &&
	   gguf_array_i32(&a, 0, &v) == -EINVAL, "numbers of an array of f64");
	ok(!gguf_get_array(g, "array.bool", &a) && gguf_array_i32(&a, 0, &v) == -EINVAL &&
	   gguf_array_f32(&a, 0, &f) == -EINVAL, "a bool is no number");
}

static void test_good(void)
{
	const struct gguf_tensor *t;
	uint32_t elements, bytes;
	struct gguf *g = NULL;
	struct build b;
	uint64_t data;

	build_full(&b);
	ok(!gguf_open_mem(b.p, b.n, &g, err, sizeof(err)), "a good file opens");
	if (!g)
		return;
	walk(g);
	data = (b.header + 31) / 32 * 32;
	ok(gguf_file_size(g) == b.n, "the file's size");
	ok(gguf_n_tensors(g) == 5 && !gguf_tensor_at(g, 5) && !gguf_tensor_at(g, UINT64_MAX),
	   "the number of tensors");
	t = gguf_find_tensor(g, "token_embd.weight");
	ok(t && t == gguf_tensor_at(g, 0) && t->ne[0] == 64 && t->ne[1] == 40 && t->ne[2] == 1 &&
	   t->ne[3] == 1 && t->type == ACCEL_Q8_0 && t->size == 80 * 34 && t->offset == data,
	   "the first tensor");
	t = gguf_find_tensor(g, "blk.0.ffn_up.weight");
	ok(t && t->size == 3 * 144 && t->offset == data + 2720 + 256 &&
	   gguf_tensor_data(g, t) == b.p + t->offset && *(const uint8_t *)gguf_tensor_data(g, t) ==
	   (uint8_t)((2720 + 256) * 7), "a tensor's bytes");
	t = gguf_find_tensor(g, "blk.0.hyper");
	ok(t && t->ne[3] == 2 && t->size == 4 * 17, "four dimensions");
	ok(!gguf_find_tensor(g, "blk.0") && !gguf_find_tensor(g, ""), "no tensor by another name");
	test_numbers(g);
	test_texts(g);
	gguf_close(g);
	memcpy(b.p + 4, &(uint32_t) { 2 }, 4);
	ok(!try_open(&b, b.n), "version 2 opens, too");
	ok(!strcmp(accel_type_name(ACCEL_Q6_K), "Q6_K") && !strcmp(accel_type_name(19), "IQ1_S") &&
	   !strcmp(accel_type_name(63), "?") && !strcmp(accel_type_name(UINT32_MAX), "?"),
	   "names of types");
	ok(accel_type_block(ACCEL_IQ4_XS, &elements, &bytes) && elements == 256 && bytes == 136 &&
	   !accel_type_block(4, &elements, &bytes), "blocks of types");
	build_end(&b);
	gguf_close(NULL);
	build_begin(&b);
	ok(!try_open(&b, b.n), "a file of nothing but a header opens");
	build_end(&b);
}

static void test_truncation(void)
{
	struct build b;
	size_t bad = 0, n = 0;

	build_full(&b);
	for (size_t i = 0; i < b.header; i++)
		bad += !refused(&b, i, "");
	ok(!bad, "cut at each of the %zu bytes of the header: refused", b.header);
	build_end(&b);

	/* Alone in its file, what is cut in a key is not caught by the count of keys before. */
	bad = 0;
	for (int kind = 0; kind < 3; kind++) {
		build_begin(&b);
		if (kind == 0)
			build_key_text(&b, "a key", "its value");
		else if (kind == 1)
			key_value(&b, "a key", GGUF_F64, "12345678", 8);
		else
			build_key_array(&b, "a key", GGUF_STRING, 1), build_text(&b, "a text");
		for (size_t i = 0; i < b.n; i++)
			bad += !refused(&b, i, "");
		bad += try_open(&b, b.n) != 0;
		build_end(&b);
	}
	ok(!bad, "a single key, cut at each byte: refused");

	/* A file of 100 KiB whose tensors reach its end. */
	build_begin(&b);
	build_tensor(&b, "big", ACCEL_F32, 2, (uint64_t []) { 1024, 25 });
	build_data(&b);
	bad = 0;
	for (size_t i = 0; i < b.n; i += 1024, n++)
		bad += !refused(&b, i, "get it again");
	ok(!bad, "cut at each KiB: refused (%zu)", n);
	ok(refused(&b, b.n - 1, "the tensor \"big\" needs 102400 bytes from"), "the last byte is missing");
	ok(!try_open(&b, b.n), "not cut: opens");
	build_bytes(&b, "rest", 4);
	ok(!try_open(&b, b.n), "bytes behind the last tensor do no harm");
	build_end(&b);
}

/* Each number of the header, by each value that is the edge of something. */
static void test_corruption(void)
{
	struct build b;
	uint64_t tried = 0, opened = 0, wrong = 0;

	build_full(&b);
	for (size_t i = 0; i < b.n_fields; i++) {
		const struct build_field *f = &b.field[i];
		uint64_t was = 0;

		memcpy(&was, b.p + f->at, f->size);
		const uint64_t values[] = {
			0, 1, 2, 4, 5, 7, 8, 9, 12, 13, 31, 32, 33, 64, 255, 256, 1024, 1025, 65535, 65536,
			was - 1, was + 1, was * 2, was + 32, b.n, b.n - 1, b.n + 1, b.n - f->at,
			b.n - f->at - f->size, b.header, INT32_MAX, 1ull << 31, UINT32_MAX, 1ull << 32,
			1ull << 40, 1ull << 58, 1ull << 59, 1ull << 60, 1ull << 61, 1ull << 62, INT64_MAX,
			1ull << 63, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 7, UINT64_MAX - 31,
			UINT64_MAX - b.n, UINT64_MAX / 8, UINT64_MAX / 8 + 1, UINT64_MAX / 34 + 1,
		};

		for (size_t k = 0; k < N(values); k++) {
			int rc;

			memcpy(b.p + f->at, &values[k], f->size);
			rc = try_open(&b, b.n);
			tried++;
			opened += !rc;
			/* -ENOMEM would be an allocation by a number nobody has checked. */
			wrong += rc && (rc != -EINVAL || strncmp(err, "memory: ", 8));
		}
		memcpy(b.p + f->at, &was, f->size);
	}
	ok(!wrong && tried > 5000, "%zu numbers of the header spoilt in %llu ways: refused, or harmless (%llu)",
	   b.n_fields, (unsigned long long)tried, (unsigned long long)opened);
	ok(opened < tried / 2, "most of them are refused");

	wrong = 0;
	for (size_t i = 0; i < b.header; i++) {
		for (int bit = 0; bit < 8; bit++) {
			int rc;

			b.p[i] ^= 1 << bit;
			rc = try_open(&b, b.n);
			wrong += rc && rc != -EINVAL;
			b.p[i] ^= 1 << bit;
		}
	}
	ok(!wrong, "each bit of the header flipped");
	build_end(&b);
}

static bool header_refused(uint32_t version, uint64_t n_tensors, uint64_t n_keys, const char *word)
{
	struct build b;
	bool r;

	build_begin(&b);
	memcpy(b.p + 4, &version, 4);
	memcpy(b.p + b.tensors_at, &n_tensors, 8);
	memcpy(b.p + b.keys_at, &n_keys, 8);
	for (int i = 0; i < 64; i++)
		build_u64(&b, 0);
	r = refused(&b, b.n, word);
	build_end(&b);
	return r;
}

/* One tensor and 4096 bytes of data. */
static bool tensor_refused(const char *name, uint32_t type, uint32_t n_dims, const uint64_t *ne,
			   uint64_t offset, const char *word)
{
	struct build b;
	bool r;

	build_begin(&b);
	build_tensor_at(&b, name, type, n_dims, ne, offset);
	b.data = 4096;
	build_data(&b);
	r = refused(&b, b.n, word);
	build_end(&b);
	return r;
}

#define NE(...) (uint64_t []) { __VA_ARGS__ }

/* What made others' readers write or read where they should not. */
static void test_cves(void)
{
	struct build b;

	/* CVE-2024-23605: the number of keys times their size in memory */
	ok(header_refused(3, 0, UINT64_MAX / 56 + 2, "keys do not fit"), "n_kv wraps an allocation");
	ok(header_refused(3, 0, UINT64_MAX, "keys do not fit"), "n_kv of 2^64-1");
	ok(header_refused(3, 0, 1u << 31, "keys do not fit"), "n_kv of 2^31");
	/* CVE-2024-21836, -53630 and its sequel: the number of tensors */
	ok(header_refused(3, UINT64_MAX / 72 + 2, 0, "tensors do not fit"), "n_tensors wraps an allocation");
	ok(header_refused(3, UINT64_MAX, 0, "tensors do not fit"), "n_tensors of 2^64-1");
	ok(header_refused(3, 1ull << 32, 0, "tensors do not fit"), "n_tensors of 2^32");
	/* CVE-2024-21802: ne and n_dims out of range */
	ok(tensor_refused("t", ACCEL_F32, 5, NE(1, 1, 1, 1, 1), 0, "5 dimensions"), "five dimensions");
	ok(tensor_refused("t", ACCEL_F32, 0, NE(1), 0, "0 dimensions"), "no dimensions");
	ok(tensor_refused("t", ACCEL_F32, 2, NE(4, 0), 0, "size 0 in dimension 1"), "a size of zero");
	ok(tensor_refused("t", ACCEL_F32, 1, NE(1ull << 63), 0, "dimension 0"), "a negative size");
	/* CVE-2024-23496: string lengths; -21825: array lengths */
	build_begin(&b);
	build_key(&b, "general.architecture", GGUF_STRING);
	build_u64(&b, UINT64_MAX);
	build_bytes(&b, "llama", 5);
	ok(refused(&b, b.n, "inside a string"), "a text of 2^64-1 bytes");
	build_end(&b);
	build_begin(&b);
	build_count(&b, b.keys_at);
	build_u64(&b, UINT64_MAX);
	build_bytes(&b, "0123456789", 10);
	ok(refused(&b, b.n, "inside a key"), "a key of 2^64-1 bytes");
	build_end(&b);
	for (uint32_t type = 0; type <= GGUF_F64; type++) {
		if (type == GGUF_ARRAY)
			continue;
		build_begin(&b);
		build_key_array(&b, "a", type, UINT64_MAX / 8 + 2);
		build_bytes(&b, (uint64_t [8]) { 0 }, 64);
		if (!refused(&b, b.n, "inside an array"))
			break;
		memcpy(b.p + b.n - 64 - 8, &(uint64_t) { 65 }, 8);
		if (!refused(&b, b.n, "inside an array"))
			break;
		build_end(&b);
		if (type == GGUF_F64)
			ok(true, "arrays longer than the file, and lengths that wrap");
	}
	/* CVE-2026-33298: the product of the sizes wraps to a small number */
	ok(tensor_refused("t", ACCEL_F32, 3, NE(1ull << 32, 1ull << 32, 1024), 0, "counted"),
	   "elements wrap to zero");
	ok(tensor_refused("t", ACCEL_F32, 4, NE(1ull << 31, 1ull << 31, 4, 1ull << 20), 0, "counted"),
	   "elements wrap in the fourth dimension");
	ok(tensor_refused("t", ACCEL_F32, 2, NE(1ull << 31, (1ull << 31) + 256), 0, "counted"),
	   "elements fit, bytes wrap");
	ok(tensor_refused("t", ACCEL_Q8_0, 2, NE(32, 542551296285575048), 0, "counted"),
	   "bytes of blocks wrap to almost nothing");
	/* CVE-2025-49847: a length that is negative as an int; the tokenizer's test has the rest */
	build_begin(&b);
	build_key_array(&b, "tokenizer.ggml.tokens", GGUF_STRING, 1);
	build_u64(&b, 0xffffffff80000000);
	build_bytes(&b, "token", 5);
	ok(refused(&b, b.n, "inside an array of strings"), "a token of -2^31 bytes");
	build_end(&b);
	/* CVE-2026-7482, -53923: a shape larger than the file */
	ok(tensor_refused("t", ACCEL_F32, 2, NE(1024, 2), 0, "needs 8192 bytes"), "a shape beyond the file");
	ok(tensor_refused("t", ACCEL_F32, 1, NE(1024), 32, "needs 4096 bytes"), "an offset beyond the file");
	ok(tensor_refused("t", ACCEL_F32, 1, NE(1), UINT64_MAX - 31, "needs 4 bytes"), "an offset that wraps");
	ok(tensor_refused("t", ACCEL_F32, 1, NE(8), 4096, "needs 32 bytes"), "a tensor at the file's end");
}

/* What people take for a model. */
static void test_other_files(void)
{
	static const struct { const char *text; size_t n; const char *word; } files[] = {
		{ "\0\0\0\0\0\0\0\0", 8, "but zeros" },
		{ "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", 64, "git lfs pull" },
		{ "PK\3\4rest", 8, "PyTorch" },
		{ "\x1f\x8b\x08\0", 4, "gzip" },
		{ "tjgg\3\0\0\0", 8, "before GGUF" },
		{ "<!DOCTYPE html>", 15, "page of the web" },
		{ "\x40\0\0\0\0\0\0\0{\"a\":1}", 15, "safetensors" },
		{ "\0\0\0", 3, "ends at byte 3" },
		{ "PK\3", 3, "ends at byte 3" },
		{ "<htm", 4, "does not begin with" },
	};

	for (size_t i = 0; i < N(files); i++) {
		struct build b = { .p = (uint8_t *)files[i].text };

		ok(refused(&b, files[i].n, files[i].word), "%s", err);
	}
}

static void test_refused(void)
{
	char name[1100];
	struct build b;

	build_begin(&b);
	memcpy(b.p, "GGML", 4);
	ok(refused(&b, b.n, "not a GGUF file: it does not begin"), "another magic number");
	build_end(&b);
	test_other_files();
	ok(header_refused(1, 0, 0, "GGUF version 1 is not supported"), "version 1");
	ok(header_refused(4, 0, 0, "GGUF version 4 is not supported"), "version 4");
	ok(header_refused(0, 0, 0, "GGUF version 0 is not supported"), "version 0");
	ok(header_refused(0x03000000, 0, 0, "big-endian"), "big-endian");
	ok(tensor_refused("t", 4, 1, NE(32), 0, "is of type Q4_2, which is not supported"),
	   "a type that GGML has dropped");
	ok(tensor_refused("t", 43, 1, NE(64), 0, "unknown type 43"), "a type of the future");
	ok(tensor_refused("t", UINT32_MAX, 1, NE(64), 0, "unknown type 4294967295"), "a type of -1");
	ok(tensor_refused("t", 144, 1, NE(256), 0, "is of type IQ4_KS, which is not supported"), "a type of another program");
	ok(tensor_refused("t", ACCEL_Q4_K, 2, NE(128, 2), 0, "not a multiple of the 256 of Q4_K"),
	   "rows that are no whole blocks");
	ok(tensor_refused("t", ACCEL_F32, 1, NE(4), 16, "not a multiple of 32"), "an offset out of line");
	ok(tensor_refused("", ACCEL_F32, 1, NE(4), 0, "name of 0 bytes"), "a tensor without a name");
	memset(name, 'n', sizeof(name));
	name[1025] = 0;
	ok(tensor_refused(name, ACCEL_F32, 1, NE(4), 0, "name of 1025 bytes"), "a name that is too long");
	ok(tensor_refused("a\x1b[2Jb\n", 99, 1, NE(4), 0, "\"a?[2Jb?\""), "a name that talks to the terminal");

	build_begin(&b);
	build_tensor(&b, "same", ACCEL_F32, 1, NE(8));
	build_tensor(&b, "same", ACCEL_F32, 1, NE(8));
	build_data(&b);
	ok(refused(&b, b.n, "the tensor \"same\" appears twice"), "a tensor's name twice");
	build_end(&b);
	build_begin(&b);
	build_tensor(&b, "one", ACCEL_F32, 1, NE(16));
	build_tensor(&b, "two", ACCEL_F32, 1, NE(16));
	build_tensor_at(&b, "three", ACCEL_F32, 1, NE(16), 32);
	build_data(&b);
	ok(refused(&b, b.n, "share bytes"), "tensors that share bytes");
	build_end(&b);
	build_begin(&b);
	build_key_u32(&b, "k", 1);
	build_key_u32(&b, "k", 1);
	ok(refused(&b, b.n, "the key \"k\" appears twice"), "a key twice");
	build_end(&b);
	build_begin(&b);
	build_count(&b, b.keys_at);
	build_text_n(&b, "a\0b", 3);
	build_u32(&b, GGUF_U8);
	build_u64(&b, 1);
	ok(refused(&b, b.n, "none of them zero"), "a zero byte in a key");
	build_end(&b);
	build_begin(&b);
	build_key(&b, "k", 13);
	build_u64(&b, 1);
	ok(refused(&b, b.n, "unknown type 13"), "a key of an unknown type");
	build_end(&b);
	build_begin(&b);
	build_key_array(&b, "k", GGUF_ARRAY, 1);
	build_u64(&b, 1);
	ok(refused(&b, b.n, "array of type 9"), "an array of arrays");
	build_end(&b);
}

static void test_alignment(void)
{
	static const struct { uint32_t v; const char *word; } bad[] = {
		{ 0, "power of two" }, { 3, "power of two" }, { 48, "power of two" }, { 1, "below 8" },
		{ 1u << 31, "power of two" }, { UINT32_MAX, "power of two" },
	};
	const struct gguf_tensor *t;
	struct gguf *g = NULL;
	struct build b;

	for (size_t i = 0; i < N(bad); i++) {
		build_begin(&b);
		build_key_u32(&b, "general.alignment", bad[i].v);
		ok(refused(&b, b.n, bad[i].word), "an alignment of %u", bad[i].v);
		build_end(&b);
	}
	build_begin(&b);
	build_key_text(&b, "general.alignment", "32");
	ok(refused(&b, b.n, "power of two"), "an alignment in words");
	build_end(&b);
	build_begin(&b);
	b.alignment = 4096;
	build_key_u32(&b, "general.alignment", 4096);
	build_tensor(&b, "a", ACCEL_F32, 1, NE(3));
	build_tensor(&b, "b", ACCEL_F32, 1, NE(3));
	build_data(&b);
	ok(!gguf_open_mem(b.p, b.n, &g, err, sizeof(err)), "an alignment of 4096");
	t = g ? gguf_find_tensor(g, "b") : NULL;
	ok(t && t->offset == 8192, "the second tensor is at 8192");
	gguf_close(g);
	build_end(&b);
}

static void test_numbers_out_of_range(void)
{
	static const double f64[] = { 1e300, -1e300, INFINITY, NAN };
	struct gguf *g = NULL;
	struct build b;
	size_t bad = 0;
	char key[8];
	float f;
	bool v;

	build_begin(&b);
	for (size_t i = 0; i < N(f64); i++) {
		snprintf(key, sizeof(key), "f%zu", i);
		key_value(&b, key, GGUF_F64, &f64[i], 8);
	}
	build_key_f32(&b, "nan", NAN);
	build_key_f32(&b, "inf", -INFINITY);
	build_key_bool(&b, "two", 2);
	if (!ok(!gguf_open_mem(b.p, b.n, &g, err, sizeof(err)), "odd numbers open"))
		return;
	for (size_t i = 0; i < N(f64); i++) {
		snprintf(key, sizeof(key), "f%zu", i);
		bad += gguf_get_f32(g, key, &f) != -EINVAL;
	}
	bad += gguf_get_f32(g, "nan", &f) != -EINVAL;
	bad += gguf_get_f32(g, "inf", &f) != -EINVAL;
	ok(!bad, "numbers that are none, or too large for a float");
	ok(gguf_get_bool(g, "two", &v) == -EINVAL, "a bool of 2");
	gguf_close(g);
	build_end(&b);
}

/* Many names: the time must stay in proportion. */
static void test_many(void)
{
	enum { MANY = 60000 };
	struct gguf *g = NULL;
	struct build b;
	size_t bad = 0;
	char name[40];
	double s;

	build_begin(&b);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "key.%d", i);
		build_key_u32(&b, name, i);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "blk.%d.w", i);
		build_tensor(&b, name, ACCEL_F32, 1, NE(8));
	}
	build_data(&b);
	s = cpu_seconds();
	ok(!gguf_open_mem(b.p, b.n, &g, err, sizeof(err)), "%d keys and tensors open", MANY);
	for (int i = 0; i < MANY && g; i++) {
		uint32_t v;

		snprintf(name, sizeof(name), "key.%d", i);
		bad += gguf_get_u32(g, name, &v) || v != (uint32_t)i;
		snprintf(name, sizeof(name), "blk.%d.w", i);
		bad += gguf_find_tensor(g, name) != gguf_tensor_at(g, i);
	}
	s = cpu_seconds() - s;
	ok(g && !bad, "each is found");
	ok(s < 5, "in %.2f s", s);
	gguf_close(g);
	build_end(&b);
}

static bool path_refused(const char *path, int want, const char *word)
{
	struct gguf *g = NULL;
	int rc;

	memset(err, 0, sizeof(err));
	rc = gguf_open(path, &g, err, sizeof(err));
	if (rc == want && !g && !strncmp(err, path, strlen(path)) && strstr(err, word))
		return true;
	printf("# rc %d, \"%s\"\n", rc, err);
	gguf_close(g);
	return false;
}

static void test_files(void)
{
	char dir[] = "/tmp/test_gguf.XXXXXX", path[64], fifo[64];
	struct gguf *g = NULL;
	struct build b;
	char small[8];
	FILE *f;

	if (!ok(mkdtemp(dir) != NULL, "a directory"))
		return;
	snprintf(path, sizeof(path), "%s/m.gguf", dir);
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	ok(path_refused(path, -ENOENT, "No such file"), "a file that is not there");
	ok(path_refused(dir, -EINVAL, "is a directory, not a regular file"), "a directory");
	ok(path_refused("/dev/zero", -EINVAL, "not a regular file"), "a device");
	ok(!mkfifo(fifo, 0600) && path_refused(fifo, -EINVAL, "is a pipe, not a regular file"), "a pipe, without waiting");
	f = fopen(path, "w");
	if (f)
		fclose(f);
	ok(path_refused(path, -EINVAL, "empty"), "an empty file");
	ok(!truncate(path, 1ll << 40) && path_refused(path, -EINVAL, "not a GGUF"), "a TiB of zeros");
	build_full(&b);
	f = fopen(path, "w");
	ok(f && fwrite(b.p, 1, b.n, f) == b.n && !fclose(f), "a good file is written");
	ok(!gguf_open(path, &g, err, sizeof(err)) && gguf_file_size(g) == b.n, "and opens");
	if (g)
		walk(g);
	gguf_close(g);
	ok(!truncate(path, b.n - 29) && path_refused(path, -EINVAL, "needs"), "cut into the last tensor");
	ok(gguf_open(path, &g, small, sizeof(small)) == -EINVAL && strlen(small) == 7,
	   "a short buffer for the sentence");
	if (geteuid()) {
		chmod(path, 0);
		ok(path_refused(path, -EACCES, "Permission denied"), "a file that may not be read");
	}
	build_end(&b);
	unlink(fifo);
	unlink(path);
	rmdir(dir);
}

/* Each allocation fails once: -ENOMEM, a sentence, and nothing is left behind. */
static void test_no_memory(void)
{
	struct build b;
	long n = 0, wrong = 0, live;
	int rc = -ENOMEM;

	if (!FAIL_ALLOC)
		return;
	build_full(&b);
	live = fail_live;
	while (rc && n < 10000) {
		struct gguf *g = NULL;

		err[0] = 0;
		fail_countdown = ++n;
		rc = gguf_open_mem(b.p, b.n, &g, err, sizeof(err));
		fail_countdown = 0;
		gguf_close(g);
		wrong += rc && (rc != -ENOMEM || !strstr(err, "no memory") || g);
		wrong += fail_live != live;
	}
	ok(!wrong && n > 30 && !rc, "without memory at each of %ld allocations", n - 1);
	build_end(&b);
}

int main(void)
{
	test_good();
	test_truncation();
	test_corruption();
	test_cves();
	test_refused();
	test_alignment();
	test_numbers_out_of_range();
	test_many();
	test_files();
	test_no_memory();
	return done();
}
