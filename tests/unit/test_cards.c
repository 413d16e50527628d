// SPDX-License-Identifier: MIT
/* Processors that fail, are full or busy, and come back: what an engine then computes, and what it says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "demo_rig.h"
#include "device/transport.h"
#include "engine/engine.h"
#include "fail_alloc.h"
#include "tap.h"

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
			/* after falling back the CPU may itself lack memory to work in */
			bad += err != -ENOMEM || accel_seq_length(m.seq) != 4 ||
			       rig_stats(&m).fallbacks > fail_aligned || !strstr(accel_error(), "no memory");
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

/* What the kernel refuses with these words. */
static int refusal;

static int refuse_submit(struct accel_queue *q, const struct accel_job *jobs, size_t n_jobs,
			 struct accel_fence *const *deps, size_t n, struct accel_fence *out)
{
	if (!refusal)
		return transport_sim.submit(q, jobs, n_jobs, deps, n, out);
	return fail(refusal, "it is refused: %d", refusal);
}

static int refuse_bo(struct accel_bo *bo, const char *label)
{
	return refusal ? fail(refusal, "it is refused: %d", refusal) : transport_sim.bo_new(bo, label);
}

/* A processor that takes no more jobs of this program, has lost its memory, or has no share left for it: what was to
 * be computed is, why elsewhere is told, and when it takes work again it gets some. */
static void test_refused(void)
{
	static const int errors[] = { -EACCES, -ENODATA };
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .retry_ms = 1 };
	const struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 64, .places = only(1, 7), .n_places = mi.n_layers };
	struct transport refusing = transport_sim;
	const int32_t token = 3;
	struct rig r;

	refusing.submit = refuse_submit;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		refusal = 0;
		r = (struct rig) { 0 };
		accel_open("sim:rings=1", &r.dev);
		r.dev->t = &refusing;
		rig_plan(&r, model, po);
		ok(!rig_engine(&r, &o) && !rig_eval(&r, &token, 1, ACCEL_WANT_NOTHING, NULL) && rig_stats(&r).layers_device,
		   "a processor");
		refusal = errors[i];
		ok(!rig_eval(&r, &token, 1, ACCEL_WANT_NOTHING, NULL) && rig_stats(&r).fallback_error == errors[i] &&
		   strstr(rig_stats(&r).fallback_reason, "it is refused"), "%s", rig_stats(&r).fallback_reason);
		refusal = 0;
		nanosleep(&(struct timespec) { .tv_nsec = 3000000 }, NULL);
		ok(!rig_eval(&r, &token, 1, ACCEL_WANT_NOTHING, NULL) && rig_stats(&r).returns == 1, "and it is used again");
		rig_free(&r);
	}
	refusing.bo_new = refuse_bo;
	refusal = -EDQUOT;
	r = (struct rig) { 0 };
	accel_open("sim:rings=1", &r.dev);
	r.dev->t = &refusing;
	rig_plan(&r, model, po);
	ok(!rig_engine(&r, &o) && rig_stats(&r).fallback_error == -EDQUOT && !rig_stats(&r).layers_device,
	   "no share is left: %s", rig_stats(&r).fallback_reason);
	refusal = 0;
	rig_free(&r);
}

int main(void)
{
	if (!demo_load())
		return done();
	test_cause();
	test_late_cause();
	test_no_memory_to_fall_back();
	test_full_card();
	test_no_map();
	test_return("fault 0");
	test_return("hang ring 0");
	test_return_in_pieces(NULL);
	test_return_in_pieces("remove");
	test_busy_card();
	test_refused();
	test_save_after_loss(false);
	test_save_after_loss(true);
	test_skip_after_loss();
	accel_model_free(model);
	return done();
}
