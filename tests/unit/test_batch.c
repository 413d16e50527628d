// SPDX-License-Identifier: MIT
/*
 * How many tokens are computed at once where the vocabulary is large: logits are wanted of few of
 * them, and make no chunk of a prompt smaller, neither by their memory nor by their time.
 */
#include "device/transport.h"
#include "engine_rig.h"
#include "llama_load.h"

#define VOCAB 131072
#define PROMPT 512
#define CTX 1024
/* 16 MiB of logits, twice: where they are computed and where they are handed out. */
#define MOST_ROWS (16 * 1048576 / 4 / VOCAB)

static const struct llama_build large = {
	.type = ACCEL_F32, .blocks = 1, .embd = 32, .heads = 4, .kv_heads = 2, .ff = 64,
	.vocab = VOCAB, .ctx = CTX,
};
static struct accel_model *model;
static int32_t prompt[PROMPT];

static void test_plan(const char *spec)
{
	struct rig r = { 0 };
	struct accel_plan_info i;
	uint32_t layers;

	if (spec)
		accel_open(spec, &r.dev);
	if (!ok(!rig_plan(&r, model, (struct accel_plan_opts) { .ctx = CTX }), "a plan for %s",
		spec ? spec : "the CPU"))
		return;
	i = plan_info(r.plan);
	layers = spec ? i.layers : 0;
	ok(i.batch == PROMPT, "%u tokens at once", i.batch);
	ok(i.layers_on_device == layers, "%u of %u layers on it", i.layers_on_device, layers);
	ok(i.host_bytes < 96 << 20, "%llu bytes of host memory, %u rows of logits would take %llu",
	   (unsigned long long)i.host_bytes, PROMPT, 8ull * PROMPT * VOCAB);
	rig_free(&r);
}

/* A processor on which logits of all tokens of a chunk would run into the timeout of a job. */
static void test_time(void)
{
	struct rig r = { 0 };

	accel_open("sim", &r.dev);
	r.dev->info.max_timeout_ms = 2 * 4ull * MOST_ROWS * VOCAB * large.embd / 1000000;
	if (ok(!rig_plan(&r, model, (struct accel_plan_opts) { .ctx = CTX }), "%u ms for a job",
	       r.dev->info.max_timeout_ms))
		ok(plan_info(r.plan).batch == PROMPT, "%u tokens at once", plan_info(r.plan).batch);
	rig_free(&r);
}

/* What a step of n tokens asks of the processor. */
static uint64_t submits(struct rig *r, uint32_t n)
{
	uint64_t before = rig_stats(r).submits;

	ok(!rig_eval(r, prompt, n, ACCEL_WANT_LAST, NULL), "%u tokens", n);
	return rig_stats(r).submits - before;
}

static void test_steps(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct rig r = rig_new(model, "sim", (struct accel_plan_opts) { .ctx = CTX }, &o);
	uint64_t one = submits(&r, 1), all = submits(&r, PROMPT);

	ok(one && all == one, "a prompt of %d is one chunk: %llu submits, %llu for a token", PROMPT,
	   (unsigned long long)all, (unsigned long long)one);
	rig_free(&r);
}

/* Rows beyond those that have room are made in turn, and are the same. */
static void test_rows(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	struct rig r = rig_new(model, NULL, (struct accel_plan_opts) { .ctx = CTX }, &o);
	const uint32_t n = 2 * MOST_ROWS + 3;
	float *last = malloc(sizeof(float) * VOCAB);
	const float *logits;
	uint32_t rows = 0;

	if (ok(!rig_eval(&r, prompt, n, ACCEL_WANT_LAST, &logits), "logits of the last token"))
		memcpy(last, logits, sizeof(float) * VOCAB);
	accel_seq_trim(r.seq, 0);
	ok(!rig_eval(&r, prompt, n, ACCEL_WANT_ALL, NULL), "of all");
	logits = accel_step_logits(r.step, 0, &rows);
	ok(logits && rows == n && !memcmp(logits + (n - 1ul) * VOCAB, last, sizeof(float) * VOCAB),
	   "%u rows where %d have room, the last as before", rows, MOST_ROWS);
	free(last);
	rig_free(&r);
}

int main(void)
{
	for (int i = 0; i < PROMPT; i++)
		prompt[i] = (i * 7919 + 11) % VOCAB;
	if (!ok(!load(&large, &model), "a model with %d tokens", VOCAB))
		return done();
	test_plan(NULL);
	test_plan("sim");
	test_plan("sim:local=64M");
	test_time();
	test_steps();
	test_rows();
	accel_model_free(model);
	return done();
}
