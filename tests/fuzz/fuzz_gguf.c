// SPDX-License-Identifier: MIT
/* The GGUF reader on files that are nearly good: one seed for each kind of known hole. */
#include <stdlib.h>
#include <string.h>

#include "../unit/gguf_build.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = {
		"general.alignment", "general.architecture", "text", "numbers", "texts", "u8", "i64",
		"f64", "bool",
	};
	struct gguf *g = NULL;
	char err[256] = "";

	if (gguf_open_mem(data, size, &g, err, sizeof(err))) {
		if (!*err || g)
			abort();
		return 0;
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
	return 0;
}

static void begin(struct build *b)
{
	build_begin(b);
	build_key_text(b, "general.architecture", "llama");
}

#define NE(...) (uint64_t []) { __VA_ARGS__ }

size_t fuzz_seed(unsigned int i, uint8_t **data)
{
	struct build b;

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
