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

#include "../unit/engine_rig.h"
#include "../unit/llama_build.h"
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
	struct accel_model_info mi = { .sz = sizeof(mi) };
	struct accel_model *m;
	const void *copy = memcpy(malloc(size ? size : 1), data, size);	/* ends where the input does */
	float *a, *b;

	if (!dev && accel_open("sim", &dev))
		abort();
	if (accel_model_load_memory(&copy, &size, 1, &m)) {
		if (!*accel_error())
			abort();
		free((void *)copy);
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
	free((void *)copy);
	return 0;
}

static void yarn(struct build *b)
{
	build_key_text(b, "llama.rope.scaling.type", "yarn");
	build_key_f32(b, "llama.rope.scaling.factor", 4);
	build_key_f32(b, "llama.rope.scaling.attn_factor", 1);
	build_key_u32(b, "llama.rope.scaling.original_context_length", 16);
	build_key_bool(b, "llama.attention.causal", 1);
}

static void biases(struct build *b)
{
	llama_vector(b, "blk.0.attn_q.bias", ACCEL_F32, 32);
	llama_vector(b, "blk.0.ffn_up.bias", ACCEL_F16, 64);
	llama_vector(b, "blk.0.ffn_down.bias", ACCEL_BF16, 32);
}

size_t fuzz_seed(unsigned int i, uint8_t **data)
{
	static const uint32_t types[] = { ACCEL_Q8_0, ACCEL_F32, ACCEL_F16, ACCEL_BF16, ACCEL_Q4_0, ACCEL_Q5_0,
					  ACCEL_Q4_1, ACCEL_Q5_1, ACCEL_IQ4_NL, ACCEL_MXFP4 };
	struct llama_build l = llama_small;
	struct build b;

	if (i > sizeof(types) / sizeof(types[0]))
		return 0;
	if (i == sizeof(types) / sizeof(types[0])) {
		l.keys = yarn;
		l.tensors = biases;
		l.vectors = ACCEL_F16;
		i = 0;
	}
	l.type = types[i];
	llama_build(&b, &l);
	*data = b.p;
	return b.n;
}
