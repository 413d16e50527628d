// SPDX-License-Identifier: MIT
/*
 * Results do not depend on how the program that calls rounds, flushes or traps; and it has that as it
 * was when a call returns.
 */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <accel/text.h>

#include "engine_rig.h"
#include "llama_build.h"
#include "tap.h"

#define TOKENS 24
#define DRAWS 1000

static const struct llama_build shape = {
	.type = ACCEL_F32, .blocks = 2, .embd = 64, .heads = 4, .kv_heads = 2, .ff = 96, .vocab = 64,
	.ctx = 64,
};

struct environment {
	const char *name;
	int rounding, traps;
	bool flush;		/* numbers below the normal ones, as -ffast-math has it */
};

static const struct environment environments[] = {
	{ "upward", FE_UPWARD, 0, false },
	{ "toward zero", FE_TOWARDZERO, 0, false },
	{ "flush to zero", FE_TONEAREST, 0, true },
	{ "traps", FE_TONEAREST, FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW, false },
};

static char path[] = "/tmp/octans-fpenv-XXXXXX";

/* Logits come out below the normal numbers: the last norm makes all small. */
static void make_model(void)
{
	const struct gguf_tensor *norm;
	struct build b;
	struct gguf *g;
	char err[256];
	int fd = mkstemp(path);

	llama_build(&b, &shape);
	if (gguf_open_mem(b.p, b.n, &g, err, sizeof(err)))
		abort();
	norm = gguf_find_tensor(g, "output_norm.weight");
	for (uint32_t i = 0; i < shape.embd; i++)
		memcpy(b.p + norm->offset + 4 * i, &(float) { 1e-38f }, 4);
	gguf_close(g);
	if (fd < 0 || write(fd, b.p, b.n) != (ssize_t)b.n)
		abort();
	close(fd);
	build_end(&b);
}

static void enter(const struct environment *e)
{
	fesetround(e->rounding);
	feenableexcept(e->traps);
#if defined(__x86_64__)
	if (e->flush)
		__builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#endif
}

static bool is_in(const struct environment *e)
{
#if defined(__x86_64__)
	if (e->flush && (__builtin_ia32_stmxcsr() & 0x8040) != 0x8040)
		return false;
#endif
	return fegetround() == e->rounding && fegetexcept() == e->traps;
}

/* e NULL: as programs begin.  late: only once all is made. */
static void compute(const char *spec, const struct environment *e, bool late, float *logits)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 2 };
	uint32_t places[16] = { 0 };
	struct accel_plan_opts po = { .ctx = 32, .n_places = 2 + 2 * shape.blocks, .places = places };
	int32_t tokens[TOKENS];
	struct accel_model *m;
	struct rig r;

	for (int i = 0; i < TOKENS; i++)
		tokens[i] = (i * 7 + 1) % shape.vocab;
	for (uint32_t i = 0; spec && i < po.n_places; i++)	/* some on the processor, some not */
		places[i] = i & 2 ? ACCEL_PLACE_CPU : ACCEL_PLACE_DEVICE(0);
	if (e && !late)
		enter(e);
	if (accel_model_load(path, &m))
		abort();
	r = rig_new(m, spec, po, &o);
	if (e && late)
		enter(e);
	if (r.engine && !rig_run(&r, (struct accel_input) {
			.seq = r.seq, .tokens = tokens, .n = TOKENS, .want = ACCEL_WANT_ALL }))
		memcpy(logits, accel_step_logits(r.step, 0, NULL), TOKENS * shape.vocab * sizeof(float));
	if (e)
		ok(is_in(e), "%s is left alone", e->name);
	fesetenv(FE_DFL_ENV);
	rig_free(&r);
	accel_model_free(m);
}

static void test_logits(const char *spec)
{
	static float want[TOKENS * 64], got[TOKENS * 64];
	unsigned int small = 0;

	compute(spec, NULL, false, want);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		small += fpclassify(want[i]) == FP_SUBNORMAL;
	ok(small > 100, "%u logits are below the normal numbers", small);
	for (size_t i = 0; i < sizeof(environments) / sizeof(environments[0]); i++)
		for (int late = 0; late < 2; late++) {
			memset(got, 0, sizeof(got));
			compute(spec, &environments[i], late, got);
			ok(!memcmp(want, got, sizeof(want)), "%s, %s%s: the same bits", spec ? spec : "CPU",
			   environments[i].name, late ? ", late" : "");
		}
}

/* A token that is penalised to just the logit of another: rounding decides. */
static void choose(const struct environment *e, int32_t *ids)
{
	struct accel_sampler_opts o = { .sz = sizeof(o), .repeat = 1.3 };
	float logits[DRAWS][2];
	struct accel_sampler *s;

	for (int i = 0; i < DRAWS; i++) {
		logits[i][1] = 1 + i * 0.01f;
		logits[i][0] = (float)(logits[i][1] / 1.3);
	}
	if (e)
		enter(e);
	if (accel_sampler_new(&o, &s))
		abort();
	accel_sampler_accept(s, 1);
	for (int i = 0; i < DRAWS; i++)
		accel_sampler_choose(s, logits[i], 2, &ids[i]);
	if (e)
		ok(is_in(e), "%s is left alone", e->name);
	fesetenv(FE_DFL_ENV);
	accel_sampler_free(s);
}

static void test_sampler(void)
{
	static int32_t want[DRAWS], got[DRAWS];

	choose(NULL, want);
	for (size_t i = 0; i < sizeof(environments) / sizeof(environments[0]); i++) {
		choose(&environments[i], got);
		ok(!memcmp(want, got, sizeof(want)), "%s: the same tokens are chosen", environments[i].name);
	}
}

int main(void)
{
	make_model();
	test_logits(NULL);
	test_logits("sim:rings=1,threads=2");
	test_sampler();
	unlink(path);
	return done();
}
