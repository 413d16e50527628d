// SPDX-License-Identifier: MIT
/*
 * Models that are nearly good, all the way: loaded, planned, and two tokens computed on the CPU
 * and on the modelled processor.  Whatever the weights, both must give the same bits (of a NaN
 * only that it is one).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit/engine_rig.h"
#include "../unit/gguf_build.h"
#include "fuzz.h"

static struct accel_dev *dev;

/* Logits of two tokens, malloc'd; NULL: it was refused. */
static float *compute(const struct accel_model *m, bool cpu, uint32_t n_vocab)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	const int32_t tokens[] = { 0, (int32_t)n_vocab - 1 };
	struct rig r = { .dev = cpu ? NULL : dev };
	const float *logits;
	float *copy = NULL;

	if (!rig_plan(&r, m, (struct accel_plan_opts) { .ctx = 8 }) && !rig_engine(&r, &o) &&
	    !rig_eval(&r, tokens, 2, ACCEL_WANT_LAST, &logits)) {
		copy = malloc(n_vocab * sizeof(*copy));
		if (copy)
			memcpy(copy, logits, n_vocab * sizeof(*copy));
	}
	r.dev = NULL;		/* it stays open */
	rig_free(&r);
	return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct accel_model_info mi;
	struct accel_model *m;
	int fd = memfd_create("model", MFD_CLOEXEC);
	float *a, *b;
	char path[32];

	if (!dev && accel_open("sim", &dev))
		abort();
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (accel_model_load(path, &m)) {
		if (!*accel_error())
			abort();
		close(fd);
		return 0;
	}
	accel_model_info(m, &mi);
	a = compute(m, true, mi.n_vocab);
	b = compute(m, false, mi.n_vocab);
	for (uint32_t i = 0; a && b && i < mi.n_vocab; i++)
		if (memcmp(&a[i], &b[i], sizeof(*a)) && !(a[i] != a[i] && b[i] != b[i])) {
			fprintf(stderr, "logit %u is %a on the CPU and %a on the processor\n", i, a[i], b[i]);
			abort();
		}
	free(a);
	free(b);
	accel_model_free(m);
	close(fd);
	return 0;
}

/* Weights of a reasonable size: random bytes, but the numbers among them small. */
static void fill(struct build *b)
{
	struct gguf *g;
	uint64_t r = 88172645463325252;
	char err[256];

	if (gguf_open_mem(b->p, b->n, &g, err, sizeof(err)))
		abort();
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);
		uint32_t elements, bytes;

		accel_type_block(t->type, &elements, &bytes);
		for (uint64_t k = 0; k < t->size; k++) {
			r ^= r << 13, r ^= r >> 7, r ^= r << 17;
			b->p[t->offset + k] = r >> 32;
		}
		for (uint64_t k = t->offset; k < t->offset + t->size; k += bytes) {
			uint8_t *p = b->p + k;

			if (t->type == ACCEL_F32)	/* the exponent of about a quarter */
				p[3] = (p[3] & 0x80) | 0x3e;
			else if (t->type == ACCEL_BF16)
				p[1] = (p[1] & 0x80) | 0x3e;
			else if (t->type == ACCEL_F16)
				p[1] = (p[1] & 0x80) | 0x34;
			else				/* the scale of a block */
				p[1] = 0x1c;
		}
	}
	gguf_close(g);
}

#define NE(...) (uint64_t []) { __VA_ARGS__ }

size_t fuzz_seed(unsigned int i, uint8_t **data)
{
	static const uint32_t types[] = { ACCEL_Q8_0, ACCEL_F32, ACCEL_F16, ACCEL_BF16, ACCEL_Q4_0, ACCEL_Q5_0,
					  ACCEL_Q4_1, ACCEL_Q5_1, ACCEL_IQ4_NL, ACCEL_MXFP4 };
	struct build b;
	uint32_t t;

	if (i >= sizeof(types) / sizeof(types[0]))
		return 0;
	t = types[i];
	build_begin(&b);
	build_key_text(&b, "general.architecture", "llama");
	build_key_u32(&b, "llama.block_count", 1);
	build_key_u32(&b, "llama.context_length", 64);
	build_key_u32(&b, "llama.embedding_length", 32);
	build_key_u32(&b, "llama.feed_forward_length", 64);
	build_key_u32(&b, "llama.attention.head_count", 4);
	build_key_u32(&b, "llama.attention.head_count_kv", 2);
	build_key_u32(&b, "llama.rope.dimension_count", 8);
	build_key_f32(&b, "llama.rope.freq_base", 10000);
	build_key_f32(&b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	build_tensor(&b, "token_embd.weight", t, 2, NE(32, 12));
	build_tensor(&b, "output_norm.weight", ACCEL_F32, 1, NE(32));
	build_tensor(&b, "blk.0.attn_norm.weight", ACCEL_F32, 1, NE(32));
	build_tensor(&b, "blk.0.attn_q.weight", t, 2, NE(32, 32));
	build_tensor(&b, "blk.0.attn_k.weight", t, 2, NE(32, 16));
	build_tensor(&b, "blk.0.attn_v.weight", t, 2, NE(32, 16));
	build_tensor(&b, "blk.0.attn_output.weight", t, 2, NE(32, 32));
	build_tensor(&b, "blk.0.ffn_norm.weight", ACCEL_F32, 1, NE(32));
	build_tensor(&b, "blk.0.ffn_gate.weight", t, 2, NE(32, 64));
	build_tensor(&b, "blk.0.ffn_up.weight", t, 2, NE(32, 64));
	build_tensor(&b, "blk.0.ffn_down.weight", t, 2, NE(64, 32));
	build_data(&b);
	fill(&b);
	*data = b.p;
	return b.n;
}
