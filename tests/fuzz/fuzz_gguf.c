// SPDX-License-Identifier: MIT
/*
 * The GGUF reader on files that are nearly good: one seed for each kind of known hole, and split
 * files: "PART", u32 n, then for each part u32 size, then their bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/llama_build.h"
#include "fuzz.h"

static volatile uint8_t sink;

static void read_all(const struct gguf *g, const char *key)
{
	struct gguf_array a;
	const char *s;
	uint32_t u;
	int32_t v;
	size_t n;
	float f;
	bool b;

	gguf_get_u32(g, key, &u);
	gguf_get_f32(g, key, &f);
	gguf_get_bool(g, key, &b);
	if (!gguf_get_str(g, key, &s, &n) && n)
		sink = s[0] ^ s[n - 1];
	if (gguf_get_array(g, key, &a))
		return;
	for (uint64_t i = 0; i < a.n; i++) {
		if (a.type == GGUF_STRING) {
			s = gguf_array_str(&a, i, &n);
			if (n)
				sink = s[0] ^ s[n - 1];
		}
		gguf_array_i32(&a, i, &v);
		gguf_array_f32(&a, i, &f);
	}
}

#define MAX_PARTS 4u

/* A copy of its exact size, and at least a byte. */
static void *copy(const uint8_t *data, size_t size)
{
	uint8_t *p = malloc(size ? size : 1);

	if (!p)
		abort();
	memcpy(p, data, size);
	return p;
}

/* Parts that the input has not enough bytes for are short. */
static int open_parts(const uint8_t *data, size_t size, void *part[MAX_PARTS], struct gguf **g, char *err,
		      size_t errlen)
{
	size_t bytes[MAX_PARTS], at = 8;
	uint32_t n, want;

	memcpy(&n, data + 4, 4);
	n = 1 + (n - 1) % MAX_PARTS;
	if (size < 8 + 4 * n)
		n = 1;
	at += 4 * n;
	for (uint32_t i = 0; i < n; i++) {
		want = 0;
		memcpy(&want, data + 8 + 4 * i, size < 12 ? 0 : 4);
		bytes[i] = at > size ? 0 : want < size - at ? want : size - at;
		part[i] = copy(data + (at > size ? 0 : at), bytes[i]);
		at += bytes[i];
	}
	return gguf_open_mem_parts((const void *const *)part, bytes, n, g, err, errlen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = {
		"general.alignment", "general.architecture", "text", "numbers", "texts", "u8", "i64",
		"f64", "bool",
	};
	void *part[MAX_PARTS] = { 0 };
	struct gguf *g = NULL;
	char err[256] = "";
	int rc;

	if (size >= 8 && !memcmp(data, "PART", 4))
		rc = open_parts(data, size, part, &g, err, sizeof(err));
	else
		rc = gguf_open_mem(data, size, &g, err, sizeof(err));
	if (rc) {
		if (!*err || g)
			abort();
		goto out;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		read_all(g, keys[i]);
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);
		const uint8_t *p = gguf_tensor_data(g, t);

		if (!t->size || gguf_find_tensor(g, t->name) != t)
			abort();
		sink = p[0] ^ p[t->size - 1];
	}
	gguf_close(g);
out:
	for (uint32_t i = 0; i < MAX_PARTS; i++)
		free(part[i]);
	return 0;
}

static void begin(struct build *b)
{
	build_begin(b);
	build_key_text(b, "general.architecture", "llama");
}

#define NE(...) (uint64_t []) { __VA_ARGS__ }

static size_t split_seed(uint8_t **data)
{
	const struct llama_build l = {
		.type = ACCEL_Q8_0, .blocks = 2, .embd = 32, .heads = 4, .kv_heads = 2, .ff = 32, .vocab = 8,
		.ctx = 64, .parts = 3,
	};
	struct build b[3], all = { 0 };

	llama_build(b, &l);
	build_bytes(&all, "PART\3\0\0", 8);
	for (int i = 0; i < 3; i++)
		build_bytes(&all, &(uint32_t) { b[i].n }, 4);
	for (int i = 0; i < 3; i++) {
		build_bytes(&all, b[i].p, b[i].n);
		build_end(&b[i]);
	}
	*data = all.p;
	return all.n;
}

size_t fuzz_seed(unsigned int i, uint8_t **data)
{
	struct build b;

	if (i == 8 || i == 9)	/* twice as often as each of the others */
		return split_seed(data);

	begin(&b);
	switch (i) {
	case 0:
		build_key_u32(&b, "general.alignment", 64);
		b.alignment = 64;
		build_key(&b, "u8", GGUF_U8);
		build_bytes(&b, "x", 1);
		build_key(&b, "i64", GGUF_I64);
		build_bytes(&b, "12345678", 8);
		build_key(&b, "f64", GGUF_F64);
		build_bytes(&b, "12345678", 8);
		build_key_bool(&b, "bool", 1);
		build_key_text(&b, "text", "some words");
		build_key_array(&b, "numbers", GGUF_U16, 4);
		build_bytes(&b, "12345678", 8);
		build_key_array(&b, "texts", GGUF_STRING, 3);
		build_text(&b, "one");
		build_text(&b, "");
		build_text(&b, "three");
		build_tensor(&b, "token_embd.weight", ACCEL_Q8_0, 2, NE(64, 3));
		build_tensor(&b, "blk.0.attn_norm.weight", ACCEL_F32, 1, NE(9));
		build_tensor(&b, "blk.0.x", ACCEL_Q6_K, 4, NE(256, 1, 2, 1));
		build_data(&b);
		break;
	case 1:		/* CVE-2024-23605: n_kv */
		memcpy(b.p + b.keys_at, &(uint64_t) { UINT64_MAX / 56 + 2 }, 8);
		break;
	case 2:		/* CVE-2024-21836: n_tensors */
		memcpy(b.p + b.tensors_at, &(uint64_t) { UINT64_MAX / 72 + 2 }, 8);
		break;
	case 3:		/* CVE-2024-21802: n_dims */
		build_tensor_at(&b, "t", ACCEL_F32, 8, NE(1, 1, 1, 1, 1, 1, 1, 1), 0);
		break;
	case 4:		/* CVE-2024-23496: the length of a string */
		build_key(&b, "text", GGUF_STRING);
		build_u64(&b, UINT64_MAX);
		break;
	case 5:		/* CVE-2024-21825: the length of an array */
		build_key_array(&b, "texts", GGUF_STRING, UINT64_MAX / 16 + 2);
		build_text(&b, "one");
		break;
	case 6:		/* CVE-2026-33298: the product of the sizes */
		build_tensor_at(&b, "t", ACCEL_F32, 3, NE(1ull << 32, 1ull << 30, 4), 0);
		build_data(&b);
		break;
	case 7:		/* CVE-2026-7482: a shape larger than the file */
		build_tensor_at(&b, "t", ACCEL_F16, 2, NE(4096, 4096), 0);
		b.data = 256;
		build_data(&b);
		break;
	default:
		build_end(&b);
		return 0;
	}
	*data = b.p;
	return b.n;
}
