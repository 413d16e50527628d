// SPDX-License-Identifier: MIT
/* Sessions on the modelled processor and on the CPU: what they take, write and count, and that the
 * largest logits are those of the logits.  Which bits they are is tests/e2e/bits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <accel/accel.h>
#include <accel/model.h>

#include "device/transport.h"
#include "fail_alloc.h"
#include "model/layer.h"
#include "tap.h"

#define MODEL "models/octans-demo.gguf"

static struct accel_model *model;
static struct accel_model_info mi;

struct made {
	struct accel_dev *dev;
	struct accel_plan *plan;
	struct accel_session *s;
};

static uint64_t memory_used(struct accel_dev *dev)
{
	struct accel_devinfo info;

	return accel_dev_info(dev, &info) ? UINT64_MAX : info.memory_used;
}

/* spec NULL: the CPU. */
static struct made make(const char *spec, struct accel_plan_opts po)
{
	struct accel_session_opts so = { .sz = sizeof(so), .threads = 1, .strict = true };
	struct accel_devinfo info;
	struct made m = { 0 };
	int err = 0;

	po.sz = sizeof(po);
	po.cpu = !spec;
	if (spec)
		err = accel_open(spec, &m.dev);
	if (!err && spec)
		err = accel_dev_info(m.dev, &info);
	if (!err)
		err = accel_plan_new(model, spec ? &info : NULL, &po, &m.plan);
	if (!err)
		err = accel_session_new(model, m.plan, m.dev, &so, &m.s);
	if (!ok(!err, "a session on %s", spec ? spec : "the CPU"))
		printf("# %s\n", accel_error());
	return m;
}

static void drop(struct made *m)
{
	accel_session_free(m->s);
	accel_plan_free(m->plan);
	accel_close(m->dev);
}

static struct accel_session_stats stats(const struct made *m)
{
	struct accel_session_stats st;

	accel_session_stats(m->s, &st);
	return st;
}

static void test_memory(uint32_t first, uint32_t last, enum accel_kv_type kv)
{
	struct accel_plan_opts po = { .ctx = 300, .first = first, .last = last, .kv_type = kv };
	struct made m = make("sim:rings=1", po);
	uint64_t with, planned = accel_plan_device_bytes(m.plan);

	if (m.s) {
		with = memory_used(m.dev);
		accel_session_free(m.s);
		m.s = NULL;
		ok(with - memory_used(m.dev) == planned,
		   "layers %u-%u, KV type %d: the plan says %llu bytes, %llu were taken", first, last, kv,
		   (unsigned long long)planned, (unsigned long long)(with - memory_used(m.dev)));
	}
	drop(&m);
}

/* What is planned for a card that becomes full to the last page has room there. */
static void test_full(const char *spec)
{
	struct accel_session_opts so = { .sz = sizeof(so), .threads = 1, .strict = true };
	struct accel_plan_opts po = { .sz = sizeof(po), .all = true };
	unsigned int n = 0, made = 0;
	struct accel_devinfo info;
	struct accel_dev *dev;

	if (!ok(!accel_open(spec, &dev) && !accel_dev_info(dev, &info), "%s", spec))
		return;
	for (po.ctx = 300; po.ctx < 900; po.ctx++) {
		struct accel_session *s = NULL;
		struct accel_plan *plan;

		if (accel_plan_new(model, &info, &po, &plan))
			break;
		if (accel_plan_layers_on_device(plan)) {
			n++;
			made += !accel_session_new(model, plan, dev, &so, &s);
			if (!s)
				printf("# ctx %u: %s\n", po.ctx, accel_error());
		}
		accel_session_free(s);
		accel_plan_free(plan);
	}
	ok(n && made == n && !accel_dev_info(dev, &info), "%s: %u of %u plans fit as they said", spec, made, n);
	accel_close(dev);
}

static void test_figures(void)
{
	struct accel_plan_opts po = { .ctx = 64, .all = true };
	struct made m = make("sim:rings=1", po);
	const int32_t tokens[20] = { 1, 5, 9, 3 };
	struct accel_session_stats a, b, c;
	const float *logits;

	if (!m.s)
		return drop(&m);
	a = stats(&m);
	ok(!a.submits && !a.modelled.cycles && a.stream_bytes > 1000, "a new session has done nothing");
	accel_session_eval(m.s, tokens, 20, ACCEL_LOGITS_LAST, &logits);
	b = stats(&m);
	ok(b.submits == 1 && b.device_jobs == 1, "a chunk of 20 tokens is one submit of one job");
	ok(b.modelled.cycles > b.ceiling_cycles && b.ceiling_cycles > 0, "it takes longer than the least");
	ok(b.modelled.macs_int8 > 0 && b.modelled.macs_f16 > 0 && b.modelled.local_read > mi.weight_bytes / 2,
	   "the counters count");
	for (int i = 0; i < 10; i++)
		accel_session_eval(m.s, tokens + i, 1, ACCEL_LOGITS_LAST, &logits);
	c = stats(&m);
	ok(c.submits == 11 && c.device_jobs == 11, "a token is one submit of one job");
	ok(c.stream_bytes == a.stream_bytes && !c.stream_writes, "no byte of a stream is written again");
	ok(c.block_bytes < 100, "a token is told in %llu bytes", (unsigned long long)c.block_bytes);
	drop(&m);
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
	struct accel_plan_opts po = { .ctx = 32, .all = true };
	struct made m = make(spec, po);
	const int32_t tokens[] = { 3, 7, 12 };
	uint32_t most = mi.n_vocab < OCTANS_MAX_TOPK ? mi.n_vocab : OCTANS_MAX_TOPK;
	int32_t *ids = malloc(most * sizeof(*ids)), *sorted = malloc(mi.n_vocab * sizeof(*sorted));
	float *values = malloc(most * sizeof(*values)), *copy = malloc(mi.n_vocab * sizeof(*copy));
	const uint32_t ks[] = { 1, 2, 64, 65, most };
	const float *logits = NULL;

	if (m.s && !accel_session_eval(m.s, tokens, 3, ACCEL_LOGITS_LAST, &logits)) {
		memcpy(copy, logits, mi.n_vocab * sizeof(*copy));
		for (uint32_t i = 0; i < mi.n_vocab; i++)
			sorted[i] = i;
		qsort_r(sorted, mi.n_vocab, sizeof(*sorted), by_value, copy);
		for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++) {
			bool same = !accel_session_trim(m.s, 0) &&
				    !accel_session_eval_top(m.s, tokens, 3, ks[i], ids, values) &&
				    !memcmp(ids, sorted, ks[i] * sizeof(*ids));

			for (uint32_t k = 0; same && k < ks[i]; k++)
				same = values[k] == copy[ids[k]];
			ok(same, "the %u largest logits", ks[i]);
		}
		ok(accel_session_eval_top(m.s, tokens, 3, most + 1, ids, values) == -EINVAL &&
		   accel_session_eval_top(m.s, tokens, 3, 0, ids, values) == -EINVAL &&
		   accel_session_eval_top(m.s, tokens, 0, 1, ids, values) == -EINVAL, "no others can be had");
		ok(accel_session_eval(m.s, tokens, 1, 7, &logits) == -EINVAL && !logits, "%s",
		   accel_error());
		ok(stats(&m).positions == 3, "what was refused was not appended");
	}
	free(ids);
	free(sorted);
	free(values);
	free(copy);
	drop(&m);
}

/* Whatever chunks the logits of all positions come in. */
static void test_all(const char *spec)
{
	struct accel_plan_opts po = { .ctx = 64, .all = true };
	struct made a = make(spec, po), b;
	size_t size = 50 * sizeof(float) * mi.n_vocab;
	const float *x = NULL, *y = NULL;
	int32_t tokens[50];

	po.batch = 7;
	b = make(spec, po);
	for (int i = 0; i < 50; i++)
		tokens[i] = (i * 37 + 11) % mi.n_vocab;
	if (a.s && b.s)
		ok(!accel_session_eval(a.s, tokens, 50, ACCEL_LOGITS_ALL, &x) &&
		   !accel_session_eval(b.s, tokens, 50, ACCEL_LOGITS_ALL, &y) && !memcmp(x, y, size),
		   "all logits, at once and in pieces of 7");
	if (a.s)
		ok(accel_session_eval(a.s, tokens, 15, ACCEL_LOGITS_NONE, NULL) == -ENOSPC &&
		   accel_session_skip(a.s, 15) == -ENOSPC && !accel_session_skip(a.s, 14) &&
		   accel_session_trim(a.s, 65) == -EINVAL && stats(&a).positions == 64, "the context's end");
	drop(&a);
	drop(&b);
}

/* Positions that no processor attends to: the layers are the CPU's, to the last of them. */
static void test_long(enum accel_kv_type kv)
{
	enum { CTX = 131072 + 4 };
	struct accel_plan_opts po = { .ctx = CTX, .all = true, .kv_type = kv };
	struct made a = make("sim:rings=1", po), b = make(NULL, po);
	const int32_t tokens[8] = { 1, 5, 9, 3, 11, 2, 7, 4 };
	const float *x, *y;
	bool same = a.s && b.s && !accel_session_skip(a.s, CTX - 8) && !accel_session_skip(b.s, CTX - 8);

	for (int i = 0; i < 8 && same; i += 2) {
		same = !accel_session_eval(a.s, tokens + i, 2, ACCEL_LOGITS_LAST, &x) &&
		       !accel_session_eval(b.s, tokens + i, 2, ACCEL_LOGITS_LAST, &y) &&
		       !memcmp(x, y, sizeof(float) * mi.n_vocab);
		if (!same)
			printf("# %s\n", accel_error());
	}
	ok(same && stats(&a).layers_cpu == mi.n_blocks && stats(&a).layers_device == mi.n_layers - mi.n_blocks,
	   "KV type %d: %d positions", kv, CTX);
	drop(&a);
	drop(&b);
}

static void test_plans(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 4096, .all = true, .kv_type = 7 };
	struct accel_plan *plan;
	struct accel_layer f16, f32;

	ok(accel_plan_new(model, NULL, &po, &plan) == -EINVAL, "no such KV type: %s", accel_error());
	po.kv_type = ACCEL_KV_F16;
	if (!accel_plan_new(model, NULL, &po, &plan)) {
		accel_plan_layer(plan, 1, &f16);
		ok(accel_plan_batch(plan) == 512, "512 tokens at once");
		accel_plan_free(plan);
	}
	po.kv_type = ACCEL_KV_F32;
	if (!accel_plan_new(model, NULL, &po, &plan)) {
		accel_plan_layer(plan, 1, &f32);
		ok(f32.kv_bytes == 2 * f16.kv_bytes && f16.kv_bytes, "F32 takes twice the bytes of F16");
		accel_plan_free(plan);
	}
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
	struct accel_plan_opts po = { .sz = sizeof(po), .all = true };
	int32_t tokens[256] = { 0 };
	char reply[256];

	for (int i = 0; i < 4; i++) {
		struct accel_session_opts so = { .sz = sizeof(so), .threads = 1, .strict = i < 2 };
		struct accel_session_stats st = { 0 };
		struct accel_devinfo info;
		struct made m = { 0 };
		int err;

		accel_open("sim:rings=1", &m.dev);
		m.dev->info.max_timeout_ms = 100;	/* makes jobs small, and hangs short */
		accel_dev_info(m.dev, &info);
		accel_plan_new(model, &info, &po, &m.plan);
		if (!ok(!accel_session_new(model, m.plan, m.dev, &so, &m.s), "a session")) {
			drop(&m);
			continue;
		}
		accel_dev_control(m.dev, faults[i % 2].fault, reply, sizeof(reply));
		err = accel_session_eval(m.s, tokens, 256, ACCEL_LOGITS_NONE, NULL);
		accel_session_stats(m.s, &st);
		if (so.strict)
			ok(err == faults[i % 2].err && strstr(accel_error(), faults[i % 2].says) &&
			   !st.positions, "%s: %s", faults[i % 2].fault, accel_error());
		else
			ok(!err && st.fallbacks == 1 && st.fallback_error == faults[i % 2].err &&
			   strstr(st.fallback_reason, faults[i % 2].says), "%s: %s", faults[i % 2].fault,
			   st.fallback_reason);
		drop(&m);
	}
}

/* More jobs than one call takes: none becomes larger for that, and a step is some calls. */
static void test_many_jobs(void)
{
	struct accel_session_opts so = { .sz = sizeof(so), .threads = 1, .strict = true };
	struct accel_plan_opts po = { .sz = sizeof(po), .all = true };
	struct accel_session_stats st = { 0 };
	struct accel_model deep = *model;
	const uint32_t blocks = 40;
	int32_t tokens[200] = { 0 };
	struct accel_devinfo info;
	struct made m = { 0 };
	char reply[256];

	deep.n_blocks = blocks;
	deep.n_layers = 2 * blocks + 2;
	deep.layers = calloc(deep.n_layers, sizeof(*deep.layers));
	deep.layers[0] = model->layers[0];
	for (uint32_t i = 1; i <= 2 * blocks; i++)
		deep.layers[i] = model->layers[2 - i % 2];
	deep.layers[deep.n_layers - 1] = model->layers[model->n_layers - 1];
	accel_open("sim:rings=1,timing", &m.dev);
	m.dev->info.max_timeout_ms = 100;
	accel_dev_info(m.dev, &info);
	info.max_timeout_ms = 200;	/* a layer fits in a job of the plan */
	accel_plan_new(&deep, &info, &po, &m.plan);
	if (ok(!accel_session_new(&deep, m.plan, m.dev, &so, &m.s), "a session of %u layers",
	       deep.n_layers)) {
		ok(!accel_session_eval(m.s, tokens, 200, ACCEL_LOGITS_LAST, NULL), "200 tokens");
		accel_session_stats(m.s, &st);
		ok(st.device_jobs > ACCEL_MAX_JOBS && st.device_jobs <= deep.n_layers && st.submits == 2,
		   "%llu jobs in %llu calls", (unsigned long long)st.device_jobs,
		   (unsigned long long)st.submits);
		accel_dev_control(m.dev, "fault 0", reply, sizeof(reply));
		ok(accel_session_eval(m.s, tokens, 50, ACCEL_LOGITS_LAST, NULL) == -EFAULT, "%s",
		   accel_error());
	}
	drop(&m);
	free(deep.layers);
}

/* Whatever allocation fails, a session is made whole or not at all. */
static void test_no_memory(const char *spec, uint32_t first, uint32_t last)
{
	struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 32, .first = first, .last = last, .cpu = !spec,
	};
	struct accel_session_opts so = { .sz = sizeof(so), .threads = 1, .strict = true };
	struct accel_plan *plan = NULL;
	struct accel_dev *dev = NULL;
	struct accel_session *s;
	struct accel_devinfo info;
	long n = 0, bad = 0, leaks = 0, left;
	uint64_t used = 0;
	int err;

	if (spec && (accel_open(spec, &dev) || accel_dev_info(dev, &info)))
		return;
	accel_plan_new(model, spec ? &info : NULL, &po, &plan);
	if (spec)
		used = memory_used(dev);
	do {
		long live = fail_live;

		fail_countdown = ++n;
		err = accel_session_new(model, plan, dev, &so, &s);
		left = fail_countdown;
		fail_countdown = 0;
		bad += err ? err != -ENOMEM || s || !strstr(accel_error(), "emory") : !s;
		accel_session_free(s);
		/* the model's threads take and free memory whenever they like */
		leaks += spec ? memory_used(dev) != used : fail_live != live;
	} while (!left && n < 1000);
	ok(!bad && !leaks && (!FAIL_ALLOC || n > 20), "%ld allocations of a session on %s", n - 1,
	   spec ? spec : "the CPU");
	accel_plan_free(plan);
	accel_close(dev);
}

/* Nor is a session lost that cannot go on on the CPU for want of memory: when there is some again, it
 * does, and knows all that it knew. */
static void test_no_memory_to_fall_back(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 32, .first = 2, .last = 5 };
	struct accel_session_opts so = { .sz = sizeof(so), .threads = 1 };
	const int32_t tokens[] = { 3, 7, 12, 5, 9, 2 };
	size_t size = mi.n_vocab * sizeof(float);
	float *expected = malloc(size);
	long n = 0, refused = 0, bad = 0, left = 0;
	const float *logits;

	do {
		struct accel_session_stats st;
		struct accel_session *s = NULL;
		struct accel_devinfo info;
		struct accel_plan *plan;
		struct accel_dev *dev;
		char reply[256];
		int err;

		accel_open("sim:rings=1", &dev);
		accel_dev_info(dev, &info);
		accel_plan_new(model, &info, &po, &plan);
		accel_session_new(model, plan, dev, &so, &s);
		accel_session_eval(s, tokens, 4, ACCEL_LOGITS_LAST, &logits);
		if (!n) {
			accel_session_eval(s, tokens + 4, 2, ACCEL_LOGITS_LAST, &logits);
			memcpy(expected, logits, size);
			accel_session_trim(s, 4);
		}
		accel_dev_control(dev, "fault 0", reply, sizeof(reply));
		fail_countdown = ++n;
		err = accel_session_eval(s, tokens + 4, 2, ACCEL_LOGITS_LAST, &logits);
		left = fail_countdown;
		fail_countdown = 0;
		if (err) {
			refused++;
			accel_session_stats(s, &st);
			bad += err != -ENOMEM || st.positions != 4 || st.fallbacks;
			err = accel_session_eval(s, tokens + 4, 2, ACCEL_LOGITS_LAST, &logits);
		}
		accel_session_stats(s, &st);
		bad += err || st.fallbacks != 1 || st.positions != 6 || memcmp(logits, expected, size);
		accel_session_free(s);
		accel_plan_free(plan);
		accel_close(dev);
	} while (!left && n < 1000);
	ok(!bad && (!FAIL_ALLOC || refused > 10), "%ld times there was no memory to fall back", refused);
	free(expected);
}

/* A card that others filled between plan and session is no processor that failed. */
static void test_full_card(void)
{
	struct accel_session_opts so = { .sz = sizeof(so), .threads = 1 };
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 64, .all = true };
	struct accel_session *s[2] = { 0 };
	struct accel_session_stats st;
	struct accel_devinfo info;
	struct accel_plan *plan;
	struct accel_layer layer;
	struct accel_dev *dev;

	accel_open("sim:local=7M", &dev);
	accel_dev_info(dev, &info);
	accel_plan_new(model, &info, &po, &plan);
	for (int i = 0; i < 2; i++)
		ok(!accel_session_new(model, plan, dev, &so, &s[i]), "session %d", i);
	accel_session_stats(s[1], &st);
	accel_session_layer(s[1], 3, &layer);
	ok(st.fallbacks == 1 && st.fallback_error == -ENOSPC && st.layers_cpu == mi.n_layers &&
	   layer.reason == ACCEL_REASON_NO_MEMORY, "the second: %s, %s", accel_reason_name(layer.reason),
	   layer.detail);
	accel_session_stats(s[0], &st);
	ok(!st.fallbacks && st.layers_device == mi.n_layers, "the first does not notice");
	accel_session_free(s[0]);
	accel_session_free(s[1]);
	so.strict = true;
	accel_session_new(model, plan, dev, &so, &s[0]);
	ok(accel_session_new(model, plan, dev, &so, &s[1]) == -ENOSPC && !s[1], "strict: %s", accel_error());
	accel_session_free(s[0]);
	accel_plan_free(plan);
	accel_close(dev);
}

static void test_strangers(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 8, .cpu = true };
	struct accel_model *other;
	struct accel_session *s;
	struct accel_plan *plan;

	if (accel_model_load(MODEL, &other) || accel_plan_new(other, NULL, &po, &plan))
		return;
	ok(accel_session_new(model, plan, NULL, NULL, &s) == -EINVAL && !s, "%s", accel_error());
	accel_plan_free(plan);
	accel_model_free(other);
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
	test_figures();
	test_top("sim:rings=1");
	test_top(NULL);
	test_all("sim:rings=1");
	test_all(NULL);
	test_cause();
	test_many_jobs();
	test_no_memory(NULL, 0, 0);
	test_no_memory("sim:rings=1", 0, mi.n_layers - 1);
	test_no_memory("sim:rings=1", 2, 4);
	test_no_memory_to_fall_back();
	test_full_card();
	test_strangers();
	test_long(ACCEL_KV_F16);
	test_long(ACCEL_KV_Q8_0);
	accel_model_free(model);
	return done();
}
