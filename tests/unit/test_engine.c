// SPDX-License-Identifier: MIT
/* Engines on the modelled processor and on the CPU: what they take, write and count, and that the
 * largest logits are those of the logits.  Which bits they are is tests/e2e/bits. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <accel/device.h>
#include <accel/engine.h>

#include "device/transport.h"
#include "engine/engine.h"
#include "engine_rig.h"
#include "error.h"
#include "fail_alloc.h"
#include "model/layer.h"
#include "tap.h"

#define MODEL "models/octans-demo.gguf"

static struct accel_model *model;
static struct accel_model_info mi = { .sz = sizeof(mi) };

/* spec NULL: the CPU. */
static struct rig make(const char *spec, struct accel_plan_opts po)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };

	return rig_new(model, spec, po, &o);
}

/* Layers first .. last may go to the processor. */
static const uint32_t *only(uint32_t first, uint32_t last)
{
	static uint32_t places[64];

	for (uint32_t i = 0; i < 64; i++)
		places[i] = i >= first && i <= last ? ACCEL_PLACE_ANY : ACCEL_PLACE_CPU;
	return places;
}

static uint64_t memory_used(struct accel_dev *dev)
{
	struct accel_devinfo info = { .sz = sizeof(info) };

	return accel_dev_info(dev, &info) ? UINT64_MAX : info.memory_used;
}

static void test_memory(uint32_t first, uint32_t last, enum accel_kv_type kv)
{
	struct accel_plan_opts po = {
		.ctx = 300, .places = only(first, last), .n_places = mi.n_layers, .kv_type = kv,
	};
	struct rig m = make("sim:rings=1", po);
	uint64_t with, planned = accel_plan_device_bytes(m.plan, 0);

	if (m.engine) {
		with = memory_used(m.dev);
		rig_stop(&m);
		ok(with - memory_used(m.dev) == planned,
		   "layers %u-%u, KV type %d: the plan says %llu bytes, %llu were taken", first, last, kv,
		   (unsigned long long)planned, (unsigned long long)(with - memory_used(m.dev)));
	}
	rig_free(&m);
}

/* What is planned for a card that becomes full to the last page has room there. */
static void test_full(const char *spec)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct accel_plan_opts po = { .sz = sizeof(po) };
	unsigned int n = 0, made = 0;
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;
	struct accel_dev *dev;

	if (!ok(!accel_open(spec, &dev) && !accel_dev_info(dev, &info), "%s", spec))
		return;
	for (po.ctx = 300; po.ctx < 900; po.ctx++) {
		struct accel_engine *e = NULL;
		struct accel_plan *plan;

		if (accel_plan_new(model, &list, 1, &po, &plan))
			break;
		if (accel_plan_device_bytes(plan, 0)) {
			n++;
			made += !accel_engine_new(plan, &dev, 1, &o, &e);
			if (!e)
				printf("# ctx %u: %s\n", po.ctx, accel_error());
		}
		accel_engine_free(e);
		accel_plan_free(plan);
	}
	ok(n && made == n && !accel_dev_info(dev, &info), "%s: %u of %u plans fit as they said", spec, made, n);
	accel_close(dev);
}

/* A larger card never has fewer layers. */
static void test_monotonic(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po) };
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;
	uint32_t before = 0, fewer = 0;
	struct accel_dev *dev;

	accel_open("sim:rings=1", &dev);
	accel_dev_info(dev, &info);
	info.memory_used = 0;
	for (uint64_t size = 1 << 20; size < 24 << 20; size += 256 << 10) {
		struct accel_plan *plan;

		info.memory_size = info.memory_mappable = size;
		if (accel_plan_new(model, &list, 1, &po, &plan))
			break;
		fewer += plan_info(plan).layers_on_device < before;
		before = plan_info(plan).layers_on_device;
		accel_plan_free(plan);
	}
	ok(!fewer && before == mi.n_layers, "more memory, and fewer layers %u times", fewer);
	accel_close(dev);
}

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

/* All layers are to be on the processor, also where that is slower. */
static struct accel_plan_opts to_card(struct accel_plan_opts po)
{
	static uint32_t places[64];

	for (uint32_t i = 0; i < 64; i++)
		places[i] = ACCEL_PLACE_DEVICE(0);
	po.places = places;
	po.n_places = mi.n_layers;
	return po;
}

/* Positions that no processor attends to: the layers are the CPU's, to the last of them. */
static void test_long(enum accel_kv_type kv)
{
	enum { CTX = 131072 + 4 };
	struct accel_plan_opts po = { .ctx = CTX, .kv_type = kv };
	struct rig a = make("sim:rings=1", to_card(po)), b = make(NULL, po);
	const int32_t tokens[8] = { 1, 5, 9, 3, 11, 2, 7, 4 };
	const float *x, *y;
	bool same = a.engine && b.engine && !accel_seq_skip(a.seq, CTX - 8) && !accel_seq_skip(b.seq, CTX - 8);

	for (int i = 0; i < 8 && same; i += 2) {
		same = !rig_eval(&a, tokens + i, 2, ACCEL_WANT_LAST, &x) &&
		       !rig_eval(&b, tokens + i, 2, ACCEL_WANT_LAST, &y) &&
		       !memcmp(x, y, sizeof(float) * mi.n_vocab);
		if (!same)
			printf("# %s\n", accel_error());
	}
	ok(same && rig_stats(&a).layers_cpu == mi.n_blocks && rig_stats(&a).layers_device == mi.n_layers - mi.n_blocks,
	   "KV type %d: %d positions", kv, CTX);
	rig_free(&a);
	rig_free(&b);
}

static void test_plans(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 4096, .kv_type = 7 };
	struct accel_layer f16 = { .sz = sizeof(f16) }, f32 = f16;
	const uint32_t places[1] = { 0 };
	struct accel_plan *plan;

	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL, "no such KV type: %s", accel_error());
	po.kv_type = ACCEL_KV_F16;
	if (!accel_plan_new(model, NULL, 0, &po, &plan)) {
		accel_plan_layer(plan, 1, &f16);
		ok(plan_info(plan).batch == 512, "512 tokens at once");
		accel_plan_free(plan);
	}
	po.kv_type = ACCEL_KV_F32;
	if (!accel_plan_new(model, NULL, 0, &po, &plan)) {
		accel_plan_layer(plan, 1, &f32);
		ok(f32.kv_bytes == 2 * f16.kv_bytes && f16.kv_bytes, "F32 takes twice the bytes of F16");
		ok(accel_plan_layer(plan, mi.n_layers, &f32) == -EINVAL, "%s", accel_error());
		accel_plan_free(plan);
	}
	po.page = 48;
	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL && !plan, "%s", accel_error());
	po.page = 0;
	po.places = places;
	po.n_places = 1;
	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL && !plan, "%s", accel_error());
	po.n_places = 0;
	po.seqs = 5000;
	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL && !plan, "%s", accel_error());
	po.seqs = 4096;
	po.ctx = 1 << 20;
	ok(accel_plan_new(model, NULL, 0, &po, &plan) == -EINVAL && !plan, "%s", accel_error());
}

/* A processor that is slower than this CPU gets layers only if it is told to. */
static void test_worth(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 256 };
	struct accel_layer l = { .sz = sizeof(l) };
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;
	uint32_t *places = calloc(mi.n_layers, sizeof(*places));
	struct accel_plan *plan;
	struct accel_dev *dev;

	accel_open("sim:rings=1", &dev);
	accel_dev_info(dev, &info);
	for (uint64_t hz = info.clock_hz; hz; hz = hz > 10000 ? 10000 : 0) {
		info.clock_hz = hz;
		if (accel_plan_new(model, &list, 1, &po, &plan))
			break;
		accel_plan_layer(plan, 2, &l);
		ok(plan_info(plan).layers_on_device == (hz > 10000 ? mi.n_layers : 0) &&
		   l.reason == (hz > 10000 ? ACCEL_REASON_FITS : ACCEL_REASON_SLOWER), "%llu Hz: %s, %s",
		   (unsigned long long)hz, accel_reason_name(l.reason), l.detail);
		accel_plan_free(plan);
	}
	info.clock_hz = 10000;
	places[2] = ACCEL_PLACE_DEVICE(0);
	po.places = places;
	po.n_places = mi.n_layers;
	if (ok(!accel_plan_new(model, &list, 1, &po, &plan), "a plan with a wish")) {
		accel_plan_layer(plan, 2, &l);
		ok(plan_info(plan).layers_on_device == 1 && l.device == 0, "which is granted: %s", l.detail);
		accel_plan_free(plan);
	}
	free(places);
	accel_close(dev);
}

/* Options of another version of the library: shorter, and longer. */
static void test_options(void)
{
	struct {
		struct accel_plan_opts o;
		uint64_t more[4];
	} later = { .o = { .sz = sizeof(later), .ctx = 77 } };
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
}

/* A step that is cut into jobs has one fence, of the last of them; the failure of the first is what is
 * told, by the error and in words. */
static void test_cause(void)
{
	static const struct {
		const char *fault, *says;
		int err;
	} faults[] = {
		{ "hang ring 0", "ran longer", -ETIME },
		{ "fault 0", "in layers 0-", -EFAULT },
	};
	const struct accel_plan_opts po = { .sz = sizeof(po) };
	int32_t tokens[256] = { 0 };
	char reply[256];

	for (int i = 0; i < 4; i++) {
		const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = i < 2 };
		struct accel_engine_stats st;
		struct rig m = { 0 };
		int err;

		accel_open("sim:rings=1", &m.dev);
		m.dev->info.max_timeout_ms = 100;	/* makes jobs small, and hangs short */
		rig_plan(&m, model, po);
		for (int tries = 0; tries < 5 && rig_engine(&m, &o); tries++)
			;			/* on a busy machine even a good job may take so long */
		if (!ok(m.engine != NULL, "an engine")) {
			rig_free(&m);
			continue;
		}
		accel_dev_control(m.dev, faults[i % 2].fault, reply, sizeof(reply));
		err = rig_eval(&m, tokens, 256, ACCEL_WANT_NOTHING, NULL);
		st = rig_stats(&m);
		if (o.strict)
			ok(err == faults[i % 2].err && strstr(accel_error(), faults[i % 2].says) &&
			   !accel_seq_length(m.seq), "%s: %s", faults[i % 2].fault, accel_error());
		else
			ok(!err && st.fallbacks == 1 && st.fallback_error == faults[i % 2].err &&
			   strstr(st.fallback_reason, faults[i % 2].says), "%s: %s", faults[i % 2].fault,
			   st.fallback_reason);
		rig_free(&m);
	}
}

/*
 * One try with jobs that may run for so long; false: the machine was too busy for it, as a good job
 * ran longer or the deadline passed before the processor was asked.
 */
static bool late_cause(uint32_t timeout_ms)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .retry_ms = UINT32_MAX };
	const struct accel_plan_opts po = { .sz = sizeof(po), .places = only(2, 5), .n_places = mi.n_layers };
	const int32_t tokens[4] = { 0 };
	struct accel_step_opts so = { .sz = sizeof(so) };
	struct accel_input in = { .sz = sizeof(in), .tokens = tokens, .n = 4 };
	struct timespec now;
	struct rig m = { 0 };
	char reply[256];
	bool tried;
	int err;

	accel_open("sim:rings=1", &m.dev);
	m.dev->info.max_timeout_ms = timeout_ms;
	rig_plan(&m, model, po);
	tried = !rig_engine(&m, &o) && !rig_stats(&m).fallbacks;
	if (tried) {
		accel_dev_control(m.dev, "hang ring 0", reply, sizeof(reply));
		clock_gettime(CLOCK_MONOTONIC, &now);
		so.deadline_ns = now.tv_sec * 1000000000ll + now.tv_nsec + timeout_ms * 500000ll;
		in.seq = m.seq;
		err = accel_step_run(m.engine, &in, 1, &so, NULL);
		tried = err != -ETIMEDOUT || rig_stats(&m).fallback_error;
	}
	if (tried) {
		ok(err == -ETIMEDOUT && strstr(accel_error(), "deadline"), "%d: %s", err, accel_error());
		ok(rig_stats(&m).fallback_error == -ETIME && strstr(rig_stats(&m).fallback_reason, "ran longer"),
		   "%s", rig_stats(&m).fallback_reason);
		ok(!accel_step_run(m.engine, &in, 1, NULL, NULL), "the next step is computed");
	}
	rig_free(&m);
	return tried;
}

/* A deadline that passes while a processor hangs is a deadline, and the processor has failed all the same. */
static void test_late_cause(void)
{
	uint32_t ms = 300;

	while (!late_cause(ms) && ms < 60000)
		ms *= 2;
	ok(ms < 60000, "jobs could run for %u ms", ms);
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

/* Whatever allocation fails, an engine and a sequence are made whole or not at all. */
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
		bad += err ? err != -ENOMEM || m.engine || !strstr(accel_error(), "emory") : !m.engine;
		rig_stop(&m);
		/* the model's threads take and free memory whenever they like */
		leaks += spec ? memory_used(m.dev) != used : fail_live != live;
	} while (!left && n < 1000);
	ok(!bad && !leaks && (!FAIL_ALLOC || n > 20), "%ld allocations of an engine on %s", n - 1,
	   spec ? spec : "the CPU");
	rig_free(&m);
}

/* Nor is one lost that cannot go on on the CPU for want of memory: when there is some again, it does, and
 * its sequences know all that they knew. */
static void test_no_memory_to_fall_back(void)
{
	const struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 32, .places = only(2, 5), .n_places = mi.n_layers,
	};
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	const int32_t tokens[] = { 3, 7, 12, 5, 9, 2 };
	size_t size = mi.n_vocab * sizeof(float);
	float *expected = malloc(size);
	long n = 0, refused = 0, bad = 0, left = 0;
	const float *logits;

	do {
		struct rig m = rig_new(model, "sim:rings=1", po, &o);
		char reply[256];
		int err;

		rig_eval(&m, tokens, 4, ACCEL_WANT_LAST, &logits);
		if (!n) {
			rig_eval(&m, tokens + 4, 2, ACCEL_WANT_LAST, &logits);
			memcpy(expected, logits, size);
			accel_seq_trim(m.seq, 4);
		}
		accel_dev_control(m.dev, "fault 0", reply, sizeof(reply));
		fail_countdown = ++n;
		err = rig_eval(&m, tokens + 4, 2, ACCEL_WANT_LAST, &logits);
		left = fail_countdown;
		fail_countdown = 0;
		if (err) {
			refused++;
			bad += err != -ENOMEM || accel_seq_length(m.seq) != 4 || rig_stats(&m).fallbacks;
			err = rig_eval(&m, tokens + 4, 2, ACCEL_WANT_LAST, &logits);
		}
		bad += err || rig_stats(&m).fallbacks > 1 || accel_seq_length(m.seq) != 6 ||
		       memcmp(logits, expected, size);
		rig_free(&m);
	} while (!left && n < 1000);
	ok(!bad && (!FAIL_ALLOC || refused > 10), "%ld times there was no memory to fall back", refused);
	free(expected);
}

/* A card that others filled between plan and engine is no processor that failed: what has room stays. */
static void test_full_card(void)
{
	struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	struct accel_layer layer = { .sz = sizeof(layer) };
	const int32_t tokens[] = { 3, 7, 12, 5, 9, 2 };
	size_t size = mi.n_vocab * sizeof(float);
	const float *x, *y;
	struct rig a = { 0 }, b = { 0 };

	accel_open("sim:local=7M", &a.dev);
	b.dev = a.dev;
	rig_plan(&a, model, (struct accel_plan_opts) { .sz = sizeof(struct accel_plan_opts), .ctx = 64 });
	b.plan = a.plan;
	ok(!rig_engine(&a, &o) && !rig_engine(&b, &o), "two engines");
	accel_engine_layer(b.engine, mi.n_layers - 1, &layer);
	ok(rig_stats(&b).fallbacks == 1 && rig_stats(&b).fallback_error == -ENOSPC &&
	   rig_stats(&b).layers_cpu && rig_stats(&b).layers_device &&
	   layer.reason == ACCEL_REASON_NO_MEMORY, "the second keeps %u layers: %s, %s",
	   rig_stats(&b).layers_device, accel_reason_name(layer.reason), layer.detail);
	ok(!rig_stats(&a).fallbacks && rig_stats(&a).layers_device == mi.n_layers,
	   "the first does not notice");
	ok(!rig_eval(&a, tokens, 6, ACCEL_WANT_LAST, &x) && !rig_eval(&b, tokens, 6, ACCEL_WANT_LAST, &y) &&
	   !memcmp(x, y, size), "the same bits");
	rig_stop(&b);
	o.strict = true;
	ok(rig_engine(&b, &o) == -ENOSPC && !b.engine, "strict: %s", accel_error());
	rig_free(&a);
}

static int map_error;

static int no_map(struct accel_bo *bo)
{
	(void)bo;
	return fail(map_error, "no map");
}

/* Why a buffer cannot be mapped decides what becomes of the engine: the host's fault, or the processor's. */
static void test_no_map(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	const int errors[] = { -EMFILE, -ENOMEM, -ENODEV };
	struct transport broken;

	for (int i = 0; i < 3; i++) {
		struct rig r = { 0 };
		int err;

		map_error = errors[i];
		accel_open("sim:rings=1", &r.dev);
		broken = *r.dev->t;
		broken.bo_map = no_map;
		r.dev->t = &broken;
		rig_plan(&r, model, (struct accel_plan_opts) { .ctx = 64 });
		err = rig_engine(&r, &o);
		ok(map_error == -ENODEV ? !err && !rig_stats(&r).layers_device : err == map_error,
		   "a buffer that cannot be mapped: %d, %s", err, accel_error());
		rig_free(&r);
	}
}

/* After a failure the processor is tried again; what sequences know goes there and back. */
static void test_return(const char *fault)
{
	const struct accel_engine_opts o = {
		.sz = sizeof(o), .threads = 1, .retry_ms = 1,
	};
	const struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 64, .places = only(1, 7), .n_places = mi.n_layers, .page = 4,
	};
	struct rig a = rig_new(model, "sim:rings=1", po, &o), b = rig_new(model, NULL, po, &o);
	size_t size = mi.n_vocab * sizeof(float);
	const float *x, *y;
	bool same = true;
	char reply[256];

	for (int32_t i = 0; i < 12; i++) {
		const int32_t tokens[3] = { i + 3, 40 - i, 7 };

		if (i % 4 == 2)
			accel_dev_control(a.dev, fault, reply, sizeof(reply));
		same = same && !rig_eval(&a, tokens, 3, ACCEL_WANT_LAST, &x) &&
		       !rig_eval(&b, tokens, 3, ACCEL_WANT_LAST, &y) && !memcmp(x, y, size);
		if (!same)
			printf("# step %d: %s\n", i, accel_error());
		nanosleep(&(struct timespec) { .tv_nsec = 70000000 }, NULL);
	}
	ok(same && rig_stats(&a).fallbacks == 3 && rig_stats(&a).returns >= 2 && rig_stats(&a).recomputed > 0,
	   "%s: %u times away, %u times back, %llu tokens computed anew", fault, rig_stats(&a).fallbacks,
	   rig_stats(&a).returns, (unsigned long long)rig_stats(&a).recomputed);
	rig_free(&a);
	rig_free(&b);
}

/* Weights go back in pieces, between which steps are computed; a processor that fails meanwhile, or an engine
 * that ends, leaves nothing behind. */
static void test_return_in_pieces(const char *fault)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .retry_ms = 1 };
	const struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 64, .page = 4 };
	struct rig a = rig_new(model, "sim:rings=1", po, &o), b = rig_new(model, NULL, po, &o);
	const uint64_t piece = 256 << 10;
	const float *x, *y;
	uint32_t steps = 0;
	bool same = true;
	char reply[256];

	a.engine->return_bytes = piece;
	accel_dev_control(a.dev, "fault 0", reply, sizeof(reply));
	for (int32_t i = 0; i < 60; i++) {
		const int32_t token = i + 3;

		same = same && !rig_eval(&a, &token, 1, ACCEL_WANT_LAST, &x) &&
		       !rig_eval(&b, &token, 1, ACCEL_WANT_LAST, &y) &&
		       !memcmp(x, y, mi.n_vocab * sizeof(float));
		nanosleep(&(struct timespec) { .tv_nsec = 1500000 }, NULL);
		if (fault && i == 10)
			accel_dev_control(a.dev, fault, reply, sizeof(reply));
		if (fault && i == 12)
			break;		/* it is on the way */
		steps += !rig_stats(&a).returns;
	}
	ok(same && rig_stats(&a).fallbacks == 1 && rig_stats(&a).returns == !fault &&
	   steps * piece > mi.weight_bytes * 3 / 4, "fault on the way: %s, %u steps, %llu bytes",
	   fault ? fault : "none", steps, (unsigned long long)mi.weight_bytes);
	rig_free(&a);
	rig_free(&b);
}

/* A sequence that skips does not make others that share its pages believe that these hold something. */
static void test_skip_after_loss(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	const struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 64, .places = only(1, 7), .n_places = mi.n_layers, .page = 4,
	};
	struct rig a = rig_new(model, "sim:rings=1", po, &o), b = rig_new(model, NULL, po, &o);
	const int32_t tokens[] = { 3, 7, 12, 5, 9, 2, 8 };
	struct accel_seq *fork = NULL, *other = NULL;
	struct accel_input in = { .sz = sizeof(in), .tokens = tokens, .n = 1 };
	const float *x, *y;
	char reply[256];

	rig_eval(&a, tokens, 6, ACCEL_WANT_NOTHING, NULL);
	rig_eval(&b, tokens, 6, ACCEL_WANT_NOTHING, NULL);
	accel_seq_fork(a.seq, 6, &fork);
	accel_seq_new(a.engine, &other);
	accel_dev_control(a.dev, "fault 0", reply, sizeof(reply));
	in.seq = other;
	ok(!accel_step_run(a.engine, &in, 1, NULL, NULL) && rig_stats(&a).fallbacks == 1, "a processor fails");
	ok(!accel_seq_skip(fork, 3) && accel_seq_length(fork) == 9, "a fork skips");
	ok(!rig_eval(&a, tokens + 6, 1, ACCEL_WANT_LAST, &x) && !rig_eval(&b, tokens + 6, 1, ACCEL_WANT_LAST, &y) &&
	   !memcmp(x, y, mi.n_vocab * sizeof(float)) && rig_stats(&a).recomputed == 6,
	   "the sequence that it is of is computed again");
	accel_seq_free(fork);
	accel_seq_free(other);
	rig_free(&a);
	rig_free(&b);
}

/* What a processor that is gone seems to hold is not saved as if it were keys and values. */
static void test_save_after_loss(bool strict)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = strict };
	const struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 64, .places = only(1, 7), .n_places = mi.n_layers,
	};
	struct rig a = rig_new(model, "sim:rings=1", po, &o), b = rig_new(model, NULL, po, &o);
	const int32_t tokens[] = { 3, 7, 12, 5, 9, 2, 8 };
	int fd = memfd_create("sequence", MFD_CLOEXEC), err;
	const float *x, *y;
	char reply[256];

	rig_eval(&a, tokens, 6, ACCEL_WANT_NOTHING, NULL);
	accel_dev_control(a.dev, "remove", reply, sizeof(reply));
	err = accel_seq_save(a.seq, fd);
	if (strict) {
		ok(err == -ENODEV, "a processor that is gone is not saved: %s", accel_error());
	} else {
		accel_seq_free(b.seq);
		b.seq = NULL;
		lseek(fd, 0, SEEK_SET);
		ok(!err && !accel_seq_load(b.engine, fd, &b.seq) && rig_stats(&a).fallbacks == 1,
		   "a sequence is saved when the processor is gone: %s", rig_stats(&a).fallback_reason);
		ok(!rig_eval(&b, tokens + 6, 1, ACCEL_WANT_LAST, &x) && rig_stats(&b).tokens == 1 &&
		   !rig_eval(&a, tokens + 6, 1, ACCEL_WANT_LAST, &y) && !accel_seq_trim(b.seq, 0) &&
		   !memcmp(x, y, mi.n_vocab * sizeof(float)), "and is what it was");
		ok(!rig_eval(&b, tokens, 7, ACCEL_WANT_LAST, &x) && !memcmp(x, y, mi.n_vocab * sizeof(float)),
		   "and what it should be");
	}
	close(fd);
	rig_free(&a);
	rig_free(&b);
}

/* A processor that has no address space left is no reason not to compute; and it is tried again. */
static void test_busy_card(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .retry_ms = 1 };
	const struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 64, .places = only(1, 7), .n_places = mi.n_layers,
	};
	struct accel_vm *vm[4096];
	const int32_t token = 3;
	struct rig r = { 0 };
	int n = 0;

	accel_open("sim:rings=1,profile=octans-e", &r.dev);
	rig_plan(&r, model, po);
	while (n < 4096 && !accel_vm_new(r.dev, &vm[n]))
		n++;
	ok(n < 4096 && !rig_engine(&r, &o) && rig_stats(&r).fallback_error == -EBUSY && !rig_stats(&r).layers_device,
	   "%d address spaces are all: %s", n, accel_error());
	while (n)
		accel_vm_free(vm[--n]);
	nanosleep(&(struct timespec) { .tv_nsec = 3000000 }, NULL);
	ok(r.engine && !rig_eval(&r, &token, 1, ACCEL_WANT_NOTHING, NULL) && rig_stats(&r).returns == 1,
	   "when they are free, it is used");
	rig_free(&r);
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
	if (!ok(!accel_model_load(MODEL, &model), "%s", MODEL))
		return done();
	accel_model_info(model, &mi);
	test_plans();
	test_memory(0, mi.n_layers - 1, ACCEL_KV_F16);
	test_memory(2, 4, ACCEL_KV_F32);
	test_memory(1, 1, ACCEL_KV_Q8_0);
	test_full("sim:rings=1,local=2M");
	test_monotonic();
	test_worth();
	test_options();
	test_figures();
	test_top("sim:rings=1");
	test_top(NULL);
	test_all("sim:rings=1");
	test_all(NULL);
	test_cause();
	test_late_cause();
	test_many_jobs();
	test_no_memory(NULL, 0, 0);
	test_no_memory("sim:rings=1", 0, mi.n_layers - 1);
	test_no_memory("sim:rings=1", 2, 4);
	test_no_memory_to_fall_back();
	test_full_card();
	test_no_map();
	test_return("fault 0");
	test_return("hang ring 0");
	test_return_in_pieces(NULL);
	test_return_in_pieces("remove");
	test_freed_first(NULL);
	test_freed_first("sim:rings=1");
	test_strangers();
	test_busy_card();
	test_descriptions();
	test_save_after_loss(false);
	test_save_after_loss(true);
	test_skip_after_loss();
	test_long(ACCEL_KV_F16);
	test_long(ACCEL_KV_Q8_0);
	accel_model_free(model);
	return done();
}
