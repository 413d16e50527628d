// SPDX-License-Identifier: MIT
/* Engines on the modelled processor and on the CPU: what they take, write and count, and that the
 * largest logits are those of the logits.  Which bits they are is tests/e2e/bits. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "demo_rig.h"
#include "device/transport.h"
#include "engine/engine.h"
#include "fail_alloc.h"
#include "model/layer.h"
#include "tap.h"

static void test_figures(void)
{
	struct accel_plan_opts po = { .ctx = 64 };
	struct rig m = make("sim:rings=1", po);
	const int32_t tokens[20] = { 1, 5, 9, 3 };
	struct accel_engine_stats a, b, c;
	const float *logits;

	if (!m.engine)
		return rig_free(&m);
	a = rig_stats(&m);
	ok(!a.submits && !a.modelled.cycles && a.stream_bytes > 1000, "a new engine has done nothing");
	rig_eval(&m, tokens, 20, ACCEL_WANT_LAST, &logits);
	b = rig_stats(&m);
	ok(b.submits == 1 && b.device_jobs == 1, "a chunk of 20 tokens is one submit of one job");
	ok(b.modelled.cycles > b.ceiling_cycles && b.ceiling_cycles > 0, "it takes longer than the least");
	ok(b.modelled.macs_int8 > 0 && b.modelled.macs_f16 > 0 && b.modelled.local_read > mi.weight_bytes / 2,
	   "the counters count");
	for (int i = 0; i < 10; i++)
		rig_eval(&m, tokens + i, 1, ACCEL_WANT_LAST, &logits);
	c = rig_stats(&m);
	ok(c.submits == 11 && c.device_jobs == 11, "a token is one submit of one job");
	ok(c.stream_bytes == a.stream_bytes && !c.stream_writes, "no byte of a stream is written again");
	ok(c.block_bytes < 100, "a token is told in %llu bytes", (unsigned long long)c.block_bytes);
	rig_free(&m);
}

static int by_value(const void *a, const void *b, void *arg)
{
	const float *logits = arg;
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	if (logits[x] != logits[y])
		return logits[x] < logits[y] ? 1 : -1;
	return x - y;
}

static void test_top(const char *spec)
{
	struct accel_plan_opts po = { .ctx = 32 };
	struct rig m = make(spec, po);
	const int32_t tokens[] = { 3, 7, 12 };
	uint32_t most = mi.n_vocab < OCTANS_MAX_TOPK ? mi.n_vocab : OCTANS_MAX_TOPK;
	int32_t *ids = malloc(most * sizeof(*ids)), *sorted = malloc(mi.n_vocab * sizeof(*sorted));
	float *values = malloc(most * sizeof(*values)), *copy = malloc(mi.n_vocab * sizeof(*copy));
	const uint32_t ks[] = { 1, 2, 64, 65, most };
	const float *logits = NULL;

	if (m.engine && !rig_eval(&m, tokens, 3, ACCEL_WANT_LAST, &logits)) {
		memcpy(copy, logits, mi.n_vocab * sizeof(*copy));
		for (uint32_t i = 0; i < mi.n_vocab; i++)
			sorted[i] = i;
		qsort_r(sorted, mi.n_vocab, sizeof(*sorted), by_value, copy);
		for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++) {
			bool same = !accel_seq_trim(m.seq, 0) &&
				    !rig_top(&m, tokens, 3, ks[i], ids, values) &&
				    !memcmp(ids, sorted, ks[i] * sizeof(*ids));

			for (uint32_t k = 0; same && k < ks[i]; k++)
				same = values[k] == copy[ids[k]];
			ok(same, "the %u largest logits", ks[i]);
		}
		ok(rig_top(&m, tokens, 3, most + 1, ids, values) == -EINVAL &&
		   rig_top(&m, tokens, 3, 0, ids, values) == -EINVAL &&
		   rig_top(&m, tokens, 0, 1, ids, values) == -EINVAL, "no others can be had");
		ok(rig_eval(&m, tokens, 1, 7, &logits) == -EINVAL && !logits, "%s",
		   accel_error());
		ok(accel_seq_length(m.seq) == 3, "what was refused was not appended");
	}
	free(ids);
	free(sorted);
	free(values);
	free(copy);
	rig_free(&m);
}

/* Whatever chunks the logits of all positions come in. */
static void test_all(const char *spec)
{
	struct accel_plan_opts po = { .ctx = 64 };
	struct rig a = make(spec, po), b;
	size_t size = 50 * sizeof(float) * mi.n_vocab;
	const float *x = NULL, *y = NULL;
	int32_t tokens[50];

	po.batch = 7;
	b = make(spec, po);
	for (int i = 0; i < 50; i++)
		tokens[i] = (i * 37 + 11) % mi.n_vocab;
	if (a.engine && b.engine)
		ok(!rig_eval(&a, tokens, 50, ACCEL_WANT_ALL, &x) &&
		   !rig_eval(&b, tokens, 50, ACCEL_WANT_ALL, &y) && !memcmp(x, y, size),
		   "all logits, at once and in pieces of 7");
	if (a.engine)
		ok(rig_eval(&a, tokens, 15, ACCEL_WANT_NOTHING, NULL) == -ENOSPC &&
		   accel_seq_skip(a.seq, 15) == -ENOSPC && !accel_seq_skip(a.seq, 14) &&
		   accel_seq_trim(a.seq, 65) == -EINVAL && accel_seq_length(a.seq) == 64, "the context's end");
	rig_free(&a);
	rig_free(&b);
}

/* Options of another version of the library: shorter, and longer. */
static void test_options(void)
{
	struct {
		struct accel_plan_opts o;
		uint64_t more[4];
	} later = { .o = { .sz = sizeof(later), .ctx = 77 } };
	struct accel_engine_opts eo = { .sz = sizeof(eo), .reserved = 1 };
	struct accel_plan_opts o = { .sz = sizeof(o) };
	struct accel_engine *engine;
	size_t sz = sizeof(sz);
	struct accel_plan_info info = { 0 };
	struct accel_plan *plan;

	if (ok(!accel_plan_new(model, NULL, 0, &later.o, &plan), "longer options with a zero tail")) {
		ok(plan_info(plan).ctx == 77, "are read");
		ok(accel_plan_info(plan, &info) == -EINVAL, "%s", accel_error());
		accel_plan_free(plan);
	}
	later.more[3] = 1;
	ok(accel_plan_new(model, NULL, 0, &later.o, &plan) == -E2BIG && !plan, "%s", accel_error());
	ok(!accel_plan_new(model, NULL, 0, (struct accel_plan_opts *)&sz, &plan), "options of a size alone");
	accel_plan_free(plan);
	later.o.sz = 0;
	ok(accel_plan_new(model, NULL, 0, &later.o, &plan) == -EINVAL && !plan, "%s", accel_error());
	o.reserved = 1;
	ok(accel_plan_new(model, NULL, 0, &o, &plan) == -EINVAL && !plan, "%s", accel_error());
	ok(!accel_plan_new(model, NULL, 0, NULL, &plan) && accel_engine_new(plan, NULL, 0, &eo, &engine) == -EINVAL && !engine,
	   "%s", accel_error());
	accel_plan_free(plan);
}

/* More jobs than one call takes: none becomes larger for that, and a step is some calls. */
static void test_many_jobs(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	const struct accel_plan_opts po = { .sz = sizeof(po) };
	struct accel_engine_stats st;
	struct accel_model deep = *model;
	const uint32_t blocks = 40;
	int32_t tokens[200] = { 0 };
	struct rig m = { 0 };
	char reply[256];

	deep.n_blocks = blocks;
	deep.n_layers = 2 * blocks + 2;
	deep.layers = calloc(deep.n_layers, sizeof(*deep.layers));
	deep.layers[0] = model->layers[0];
	for (uint32_t i = 1; i <= 2 * blocks; i++)
		deep.layers[i] = model->layers[2 - i % 2];
	deep.layers[deep.n_layers - 1] = model->layers[model->n_layers - 1];
	accel_open("sim:rings=1,timing", &m.dev);
	m.dev->info.max_timeout_ms = 200;	/* a layer fits in a job of the plan */
	rig_plan(&m, &deep, po);
	m.dev->info.max_timeout_ms = 100;
	rig_engine(&m, &o);
	if (ok(m.engine != NULL, "an engine of %u layers", deep.n_layers)) {
		ok(!rig_eval(&m, tokens, 200, ACCEL_WANT_LAST, NULL), "200 tokens");
		st = rig_stats(&m);
		ok(st.device_jobs > ACCEL_MAX_JOBS && st.device_jobs <= deep.n_layers && st.submits == 2,
		   "%llu jobs in %llu calls", (unsigned long long)st.device_jobs,
		   (unsigned long long)st.submits);
		accel_dev_control(m.dev, "fault 0", reply, sizeof(reply));
		ok(rig_eval(&m, tokens, 50, ACCEL_WANT_LAST, NULL) == -EFAULT, "%s",
		   accel_error());
	}
	rig_free(&m);
	free(deep.layers);
}

/* Whatever allocation fails, an engine and a sequence are made whole or not at all.  Of what the model itself
 * lacks, -EIO tells, as of all that befalls a job, and the sentence why. */
static void test_no_memory(const char *spec, uint32_t first, uint32_t last)
{
	const struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 32, .places = only(first, last), .n_places = mi.n_layers,
	};
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct rig m = { 0 };
	long n = 0, bad = 0, leaks = 0, left;
	uint64_t used = 0;

	if (spec && accel_open(spec, &m.dev))
		return;
	rig_plan(&m, model, po);
	if (spec)
		used = memory_used(m.dev);
	do {
		long live = fail_live;
		int err;

		fail_countdown = ++n;
		err = rig_engine(&m, &o);
		left = fail_countdown;
		fail_countdown = 0;
		bad += err ? err != (fail_aligned ? -EIO : -ENOMEM) || m.engine ||
			     !strstr(accel_error(), fail_aligned ? "this machine has no memory" : "emory") :
		       !m.engine;
		rig_stop(&m);
		/* the model's threads take and free memory whenever they like */
		leaks += spec ? memory_used(m.dev) != used : fail_live != live;
	} while (!left && n < 1000);
	ok(!bad && !leaks && (!FAIL_ALLOC || n > 20), "%ld allocations of an engine on %s", n - 1,
	   spec ? spec : "the CPU");
	rig_free(&m);
}

/* Descriptions of other versions of the library, of exactly their size: nothing is read behind them. */
static void test_descriptions(void)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	const size_t sizes[] = { sizeof(size_t), offsetof(struct accel_devinfo, ops), sizeof(info), sizeof(info) + 64 };
	const struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 64 };
	const struct accel_devinfo *list;
	struct accel_layer l = { .sz = sizeof(l) };
	struct accel_dev *dev;

	accel_open("sim:rings=1", &dev);
	accel_dev_info(dev, &info);
	memset(info.name, 'x', sizeof(info.name));
	for (size_t i = 0; i < 5; i++) {
		const size_t size = sizes[i < 4 ? i : 3];
		char *copy = calloc(1, size);
		struct accel_plan *plan;
		int err;

		memcpy(copy, &info, size < sizeof(info) ? size : sizeof(info));
		memcpy(copy, &size, sizeof(size));
		if (i == 4)
			copy[size - 1] = 1;
		list = (const void *)copy;
		err = accel_plan_new(model, &list, 1, &po, &plan);
		free(copy);
		if (!err)
			accel_plan_layer(plan, 1, &l);
		ok(err == (i == 4 ? -E2BIG : 0) && (err || (l.device == (i < 2 ? -1 : 0) && strlen(l.detail) < 100)),
		   "a description of %zu bytes: %s", size, err ? accel_error() : l.detail);
		accel_plan_free(plan);
	}
	accel_close(dev);
}

/* An engine that is freed before its sequences and steps: these are still there to be read, and nothing of the
 * plan, the model and the processor is touched any more. */
static void test_freed_first(const char *spec)
{
	struct accel_plan_opts po = { .ctx = 2048, .seqs = 2 };
	struct accel_input in = { .sz = sizeof(in), .n = 2000, .want = ACCEL_WANT_LAST };
	struct accel_step *ended, *queued[2], *none;
	struct accel_seq *other, *third, *fork;
	int32_t *tokens = calloc(2000, sizeof(*tokens)), copy[2];
	struct accel_engine *gone;
	struct accel_model *m = NULL;
	struct rig r = { 0 };
	uint32_t n;

	accel_model_load(MODEL, &m);
	r = rig_new(m, spec, po, NULL);
	rig_eval(&r, tokens, 3, ACCEL_WANT_LAST, NULL);
	ended = r.step;
	accel_seq_new(r.engine, &other);
	accel_seq_new(r.engine, &third);
	in.tokens = tokens;
	for (int i = 0; i < 2; i++) {
		in.seq = i ? third : other;
		ok(!accel_step_submit(r.engine, &in, 1, NULL, &queued[i]), "a step");
	}
	accel_seq_free(third);		/* gone when its step has ended */
	gone = r.engine;
	accel_engine_free(gone);
	accel_plan_free(r.plan);
	accel_close(r.dev);
	accel_model_free(m);
	for (int i = 0; i < 2; i++) {
		ok(accel_step_wait(queued[i], 0) == -ECANCELED && strstr(accel_step_error(queued[i]), "freed"), "%s",
		   accel_step_error(queued[i]));
		accel_step_cancel(queued[i]);
	}
	ok(accel_step_logits(ended, 0, &n) && n == 1, "results are still there");
	ok(accel_seq_length(r.seq) == 3 && accel_seq_tokens(r.seq, 1, copy, 2) == 2 && !accel_seq_length(other) &&
	   !accel_seq_trim(r.seq, 2), "and tokens");
	in.seq = r.seq;
	ok(accel_step_run(gone, &in, 1, NULL, &none) == -EINVAL && !none &&
	   accel_step_submit(gone, &in, 1, NULL, &none) == -EINVAL && !none, "no step: %s", accel_error());
	ok(accel_seq_fork(r.seq, 1, &fork) == -EINVAL && !fork && accel_seq_skip(r.seq, 1) == -EINVAL &&
	   accel_seq_save(r.seq, -1) == -EINVAL && accel_seq_new(gone, &fork) == -EINVAL && !fork &&
	   accel_seq_load(gone, -1, &fork) == -EINVAL && !fork && accel_engine_fd(gone) == -EINVAL, "%s",
	   accel_error());
	accel_step_free(queued[0]);
	accel_seq_free(other);
	accel_step_free(queued[1]);
	accel_seq_free(r.seq);
	accel_step_free(ended);		/* the last that there is of it */
	free(tokens);
}

static void test_strangers(void)
{
	const struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 8 };
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 100000 };
	struct accel_dev *none = NULL;
	struct accel_engine *e;
	struct accel_plan *plan;

	if (accel_plan_new(model, NULL, 0, &po, &plan))
		return;
	ok(accel_engine_new(plan, &none, 1, NULL, &e) == -EINVAL && !e, "%s", accel_error());
	ok(accel_engine_new(plan, NULL, 0, &o, &e) == -EINVAL && !e && strstr(accel_error(), "100000 threads"), "%s",
	   accel_error());
	accel_plan_free(plan);
}

int main(void)
{
	if (!demo_load())
		return done();
	test_options();
	test_figures();
	test_top("sim:rings=1");
	test_top(NULL);
	test_all("sim:rings=1");
	test_all(NULL);
	test_many_jobs();
	test_no_memory(NULL, 0, 0);
	test_no_memory("sim:rings=1", 0, mi.n_layers - 1);
	test_no_memory("sim:rings=1", 2, 4);
	test_freed_first(NULL);
	test_freed_first("sim:rings=1");
	test_strangers();
	test_descriptions();
	accel_model_free(model);
	return done();
}
