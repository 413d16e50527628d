// SPDX-License-Identifier: MIT
/*
 * Weights that stay in the host's memory: where a plan puts them, that results have the same bits wherever they are,
 * and what becomes of them when a processor, or memory, fails.  Experts that come and go: test_moe.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "demo_rig.h"
#include "device/transport.h"
#include "engine/engine.h"
#include "error.h"
#include "exec/exec_dev.h"
#include "exec/experts.h"
#include "model/layer.h"
#include "plan/cost.h"

#define TOKENS 40

static int32_t token(int i)
{
	return 3 + i * 37 % 500;
}

static uint32_t n_with(const struct accel_plan *plan, enum accel_weights weights)
{
	struct accel_layer l = { .sz = sizeof(l) };
	uint32_t n = 0;

	for (uint32_t i = 0; i < mi.n_layers; i++)
		n += !accel_plan_layer(plan, i, &l) && l.device >= 0 && l.weights == weights;
	return n;
}

/* Logits of all tokens, in parts of some; false: there is a sentence. */
static bool run(struct rig *r, int part, float *to)
{
	const float *logits;

	for (int i = 0; i < TOKENS && r->engine; i += part) {
		const int n = TOKENS - i < part ? TOKENS - i : part;
		int32_t tokens[TOKENS];

		for (int k = 0; k < n; k++)
			tokens[k] = token(i + k);
		if (rig_eval(r, tokens, n, ACCEL_WANT_ALL, &logits)) {
			printf("# %s\n", accel_error());
			return false;
		}
		memcpy(to + (size_t)i * mi.n_vocab, logits, sizeof(float) * n * mi.n_vocab);
	}
	return r->engine;
}

static bool expected(float *to)
{
	struct rig r = make(NULL, (struct accel_plan_opts) { .ctx = 64 });
	bool good = run(&r, TOKENS, to);

	rig_free(&r);
	return good;
}

static bool same(struct rig *r, int part, const float *want)
{
	float *is = malloc(sizeof(float) * TOKENS * mi.n_vocab);
	bool good = run(r, part, is) && !memcmp(is, want, sizeof(float) * TOKENS * mi.n_vocab);

	free(is);
	return good;
}

/* ---- where they are ---- */

static void test_sizes(const float *want)
{
	static const struct {
		const char *spec;
		enum accel_stream stream;
		int part;
	} ways[] = {
		{ "sim:rings=1", ACCEL_STREAM_ALWAYS, TOKENS }, { "sim:rings=1", ACCEL_STREAM_ALWAYS, 1 },
		{ "sim:rings=1,local=1M", ACCEL_STREAM_ALWAYS, 7 }, { "sim:rings=1,local=1M", ACCEL_STREAM_AUTO, 7 },
		{ "sim:rings=1,local=2M", ACCEL_STREAM_AUTO, TOKENS }, { "sim:rings=1,local=3M", ACCEL_STREAM_AUTO, 3 },
		{ "sim:rings=1,local=4M", ACCEL_STREAM_AUTO, TOKENS }, { "sim:rings=1,profile=octans-s,local=2M", ACCEL_STREAM_ALWAYS, 5 },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct rig r = make(ways[i].spec,
				    to_card((struct accel_plan_opts) { .ctx = 64, .stream = ways[i].stream }));
		const uint32_t direct = n_with(r.plan, ACCEL_WEIGHTS_HOST), stream = n_with(r.plan, ACCEL_WEIGHTS_STREAM);

		ok(same(&r, ways[i].part, want) && rig_stats(&r).layers_device == mi.n_layers && direct + stream,
		   "%s: weights of %u layers are read in the host's memory, of %u copied in time: the same bits",
		   ways[i].spec, direct, stream);
		rig_free(&r);
	}
}

static void test_never(void)
{
	struct rig r = make("sim:rings=1,local=2M", (struct accel_plan_opts) { .ctx = 64, .stream = ACCEL_STREAM_NEVER });
	struct accel_plan_opts bad = { .sz = sizeof(bad), .stream = 3 };
	struct accel_layer l = { .sz = sizeof(l), .reason = 99 };
	struct accel_plan *plan;

	accel_plan_layer(r.plan, mi.n_layers - 1, &l);
	ok(rig_stats(&r).layers_cpu && n_with(r.plan, ACCEL_WEIGHTS_CARD) == rig_stats(&r).layers_device &&
	   l.reason == ACCEL_REASON_NO_MEMORY, "never: %u layers are on the CPU: %s", rig_stats(&r).layers_cpu, l.detail);
	ok(accel_plan_new(model, NULL, 0, &bad, &plan) == -EINVAL, "%s", accel_error());
	rig_free(&r);
}

/* What is copied comes while other layers are computed: a step takes as long as the bus, or as all the rest. */
static void test_prediction(void)
{
	struct rig r = make("sim:rings=1,profile=octans-s,local=4M", to_card((struct accel_plan_opts) { .ctx = 64 }));
	struct accel_prediction foretold = { .sz = sizeof(foretold) };
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_layer l = { .sz = sizeof(l) };
	double far = 0, near = 0;

	for (uint32_t i = 1; i < mi.n_layers && !accel_plan_layer(r.plan, i, &l); i++) {
		far += l.host_bytes;
		near += l.weight_bytes;
	}
	accel_dev_info(r.dev, &info);
	far /= (double)info.pcie_bpc * info.clock_hz;
	near /= (double)info.local_bpc * info.clock_hz;
	ok(n_with(r.plan, ACCEL_WEIGHTS_STREAM) > 1 && n_with(r.plan, ACCEL_WEIGHTS_CARD) > 1 &&
	   !accel_plan_predict(r.plan, 32, &foretold) && foretold.token_device_s < 1.05 * (far > near ? far : near) &&
	   foretold.token_device_s >= far, "a token: %.3g ms, where the bus takes %.3g and the rest about %.3g",
	   1e3 * foretold.token_device_s, 1e3 * far, 1e3 * near);
	rig_free(&r);
}

/* What one processor would read too slowly another reads, and not the CPU. */
static void test_two(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 64 };
	struct accel_devinfo fast = { .sz = sizeof(fast) }, slow;
	const struct accel_devinfo *list[2] = { &slow, &fast };
	struct accel_plan *one = NULL, *both = NULL;
	struct accel_dev *dev;

	if (!ok(!accel_open("sim:rings=1,local=2M", &dev) && !accel_dev_info(dev, &fast), "a card"))
		return;
	slow = fast;
	slow.pcie_bpc = 1;
	slow.clock_hz /= 1000;
	fast.clock_hz *= 1000;		/* than any CPU */
	ok(!accel_plan_new(model, &list[1], 1, &po, &one) && !accel_plan_new(model, list, 2, &po, &both) &&
	   plan_info(one).layers_on_device == mi.n_layers && plan_info(both).layers_on_device == mi.n_layers,
	   "a second one, with a slow bus: %u layers on them, %u on one",
	   both ? plan_info(both).layers_on_device : 0, one ? plan_info(one).layers_on_device : 0);
	accel_plan_free(one);
	accel_plan_free(both);
	accel_close(dev);
}

/* What has no room is not read over the bus where that were slower, and each such layer says how much, in fewer words where
 * how much may be taken is said, too.  That depends on how fast the bus is beside this CPU. */
static void test_slower(bool limited)
{
	const char *form = limited ? "; read over the bus an answer takes %lf ms, not %lf" :
			   "; with weights in the host's memory an answer is there after %lf ms, not after %lf";
	struct accel_plan_opts po = { .sz = sizeof(po), .ctx = 512 };
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;
	uint32_t told = 0, plans = 0, wrong = 0;
	struct accel_dev *dev;

	if (!ok(!accel_open("sim:rings=1", &dev) && !accel_dev_info(dev, &info), "a card"))
		return;
	info.memory_used = 0;
	for (uint64_t room = 1 << 20; room < 4 << 20; room += 1 << 18)
		for (uint32_t speed = 1; speed <= 64; speed *= 2) {
			struct accel_plan *plan = NULL;

			info.memory_size = info.memory_mappable = limited ? 8 << 20 : room;
			po.max_device_bytes = limited ? room : 0;
			info.pcie_bpc = 1;
			info.clock_hz = 1000000000ull / speed;
			if (accel_plan_new(model, &list, 1, &po, &plan))
				continue;
			plans++;
			for (uint32_t i = 0; i < mi.n_layers; i++) {
				struct accel_layer l = { .sz = sizeof(l) };
				const char *more;
				double far, near;

				accel_plan_layer(plan, i, &l);
				more = strstr(l.detail, limited ? "; read" : "; with weights");
				if (!more)
					continue;
				told++;
				wrong += sscanf(more, form, &far, &near) != 2 || far < near ||
					 l.reason != ACCEL_REASON_NO_MEMORY ||
					 !strstr(l.detail, "may be taken are left on") == limited;
			}
			accel_plan_free(plan);
		}
	ok(told && !wrong, "of %u plans, %u layers say what reading their weights over the bus would take", plans, told);
	accel_close(dev);
}

/* As much of the host as may be taken, and no more. */
static void test_budget(void)
{
	const struct accel_plan_opts po = { .ctx = 64, .batch = 16, .stream = ACCEL_STREAM_ALWAYS };
	struct rig all = make("sim:rings=1", po);
	const uint64_t most = plan_info(all.plan).host_bytes;
	uint32_t before = 0;

	for (uint64_t limit = most / 4; limit <= most + most / 8; limit += most / 8) {
		struct accel_plan_opts o = po;
		struct rig r = { 0 };
		uint32_t far;

		o.max_host_bytes = limit;
		accel_open("sim:rings=1", &r.dev);
		if (rig_plan(&r, model, o)) {
			printf("# %s\n", accel_error());
		} else {
			far = n_with(r.plan, ACCEL_WEIGHTS_HOST) + n_with(r.plan, ACCEL_WEIGHTS_STREAM);
			ok(plan_info(r.plan).host_bytes <= limit && far >= before, "%llu KiB: %u layers read there, %llu KiB",
			   (unsigned long long)limit / 1024, far, (unsigned long long)plan_info(r.plan).host_bytes / 1024);
			before = far;
		}
		rig_free(&r);
	}
	ok(before == mi.n_layers, "in the end all of them");
	rig_free(&all);
}

/* Nothing but the table, and no cosines: there are no weights at all on the card. */
static void test_nothing(void)
{
	static const uint32_t places[2] = { ACCEL_PLACE_DEVICE(0), ACCEL_PLACE_CPU };
	const struct accel_plan_opts po = { .ctx = 64, .stream = ACCEL_STREAM_ALWAYS, .n_places = 2, .places = places };
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct layer ends[2] = { model->layers[0], model->layers[model->n_layers - 1] };
	struct accel_model m = *model;
	const float *want, *is = NULL;
	const int32_t tokens[] = { 5, 9, 3 };
	struct rig cpu = { 0 }, card = { 0 };

	m.layers = ends;
	m.n_layers = 2;
	m.n_tables = 0;
	rig_start(&cpu, &m, (struct accel_plan_opts) { .ctx = 64 }, &o);
	accel_open("sim:rings=1", &card.dev);
	rig_start(&card, &m, po, &o);
	ok(cpu.engine && card.engine && !rig_eval(&cpu, tokens, 3, ACCEL_WANT_ALL, &want) &&
	   !rig_eval(&card, tokens, 3, ACCEL_WANT_ALL, &is) && rig_stats(&card).layers_device == 1 &&
	   !memcmp(is, want, sizeof(float) * 3 * mi.n_vocab), "the table alone: all that is on the card is read elsewhere");
	rig_free(&cpu);
	rig_free(&card);
}

/* ---- what fails ---- */

static void test_failures(const float *want)
{
	static const char *const faults[] = { "fault 0", "remove" };
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .retry_ms = 1 };

	for (int i = 0; i < 2; i++) {
		struct rig r = { 0 };
		char reply[256];

		accel_open("sim:rings=1,local=2M", &r.dev);
		rig_start(&r, model, (struct accel_plan_opts) { .ctx = 64, .stream = ACCEL_STREAM_ALWAYS }, &o);
		same(&r, TOKENS, want);
		accel_seq_trim(r.seq, 0);
		accel_dev_control(r.dev, faults[i], reply, sizeof(reply));
		ok(same(&r, 4, want) && rig_stats(&r).fallbacks == 1, "%s: the same bits, %s", faults[i],
		   rig_stats(&r).fallback_reason);
		for (int k = 0; !i && k < 50 && !rig_stats(&r).returns; k++) {
			nanosleep(&(struct timespec) { .tv_nsec = 5000000 }, NULL);
			accel_seq_trim(r.seq, 0);
			same(&r, TOKENS, want);
		}
		accel_seq_trim(r.seq, 0);
		ok(same(&r, 9, want) && rig_stats(&r).returns == !i, "and after it came back");
		rig_free(&r);
	}
}

static uint64_t refused;
static int (*new_bo)(struct accel_bo *bo, const char *label);

static int no_host(struct accel_bo *bo, const char *label)
{
	if (label && strstr(label, "weights in the host")) {
		refused++;
		return fail(-ENOMEM, "no memory of the host");
	}
	return new_bo(bo, label);
}

/* The host has less memory than was thought: those layers are the CPU's, and no others. */
static void test_no_host(const float *want)
{
	struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	struct rig r = { 0 };
	struct transport broken;
	struct accel_layer l = { .sz = sizeof(l) };
	uint32_t far;

	accel_open("sim:rings=1,local=2M", &r.dev);
	broken = *r.dev->t;
	new_bo = broken.bo_new;
	broken.bo_new = no_host;
	r.dev->t = &broken;
	rig_plan(&r, model, to_card((struct accel_plan_opts) { .ctx = 64 }));
	far = n_with(r.plan, ACCEL_WEIGHTS_HOST) + n_with(r.plan, ACCEL_WEIGHTS_STREAM);
	ok(!rig_engine(&r, &o) && far && refused == 1 && rig_stats(&r).layers_cpu == far &&
	   rig_stats(&r).fallbacks == 1 && rig_stats(&r).fallback_error == -ENOMEM, "%u layers go to the CPU", far);
	for (uint32_t i = 0; i < mi.n_layers && r.engine; i++)
		if (!accel_engine_layer(r.engine, i, &l) && l.device < 0)
			break;
	ok(l.reason == ACCEL_REASON_NO_MEMORY && strstr(l.detail, "host's memory"), "%s", l.detail);
	ok(same(&r, 11, want), "the same bits");
	rig_stop(&r);
	o.strict = true;
	ok(rig_engine(&r, &o) == -ENOMEM, "strict: %s", accel_error());
	rig_free(&r);
}

/* ---- who comes and who goes ---- */

static unsigned long long counted(struct accel_dev *dev, const char *name)
{
	char reply[2048];
	const char *at;

	if (accel_dev_control(dev, "stat", reply, sizeof(reply)))
		return 0;
	at = strstr(reply, name);
	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* Whether all is well is asked often, and no weights are copied for the answer. */
static void test_asking(void)
{
	struct rig r = make("sim:rings=1", to_card((struct accel_plan_opts) { .ctx = 64, .stream = ACCEL_STREAM_ALWAYS }));
	const int32_t tokens[3] = { 5, 6, 7 };
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	unsigned long long before, jobs, asked;

	before = counted(r.dev, "pcie_read=");
	ok(!rig_eval(&r, tokens, 3, ACCEL_WANT_LAST, NULL) && counted(r.dev, "pcie_read=") - before > mi.weight_bytes / 2,
	   "a step copies weights: %llu bytes", counted(r.dev, "pcie_read=") - before);
	before = counted(r.dev, "pcie_read=");
	jobs = counted(r.dev, "jobs=");
	ok(!accel_seq_save(r.seq, fd), "a sequence is saved");
	jobs = counted(r.dev, "jobs=") - jobs;
	asked = counted(r.dev, "pcie_read=") - before;
	ok(jobs && asked < 65536, "%llu jobs ask, for which %llu bytes are read over the bus", jobs, asked);
	close(fd);
	rig_free(&r);
}

#define MOST_JOBS 256

static struct {
	uint32_t first, last;		/* layers */
} jobs[MOST_JOBS];
static uint32_t n_jobs;
static int (*submit)(struct accel_queue *q, const struct accel_job *jobs, size_t n_jobs, struct accel_fence *const *deps,
		     size_t n, struct accel_fence *out);

/* Those that have layers: pages are copied without parameters. */
static int note_jobs(struct accel_queue *q, const struct accel_job *list, size_t n, struct accel_fence *const *deps,
		     size_t n_deps, struct accel_fence *out)
{
	for (size_t i = 0; i < n && n_jobs < MOST_JOBS; i++)
		if (list[i].param_count) {
			jobs[n_jobs].first = list[i].tag >> 32;
			jobs[n_jobs++].last = (uint32_t)list[i].tag;
		}
	return submit(q, list, n, deps, n_deps, out);
}

/* Seconds that the bus takes for what is copied while layers first .. last are computed. */
static double bus_s(const struct rig *r, uint32_t first, uint32_t last)
{
	const struct exec_dev *exec = r->engine->cards[0].exec;
	uint64_t bytes = 0;

	for (uint32_t i = first; i <= last; i++)
		bytes += far_copied(&exec->far, 0, mi.n_layers, i);
	return bytes / ((double)exec->info.pcie_bpc * exec->info.clock_hz);
}

/* All layers, in their order, in no job more than may be, and in no more jobs than have to be. */
static bool cut_well(const struct rig *r, double most)
{
	bool good = n_jobs && !jobs[0].first && jobs[n_jobs - 1].last == mi.n_layers - 1;

	for (uint32_t k = 0; k < n_jobs && good; k++) {
		good = jobs[k].first == jobs[k].last || bus_s(r, jobs[k].first, jobs[k].last) <= most;
		if (k + 1 < n_jobs)
			good = good && jobs[k + 1].first == jobs[k].last + 1 &&
			       bus_s(r, jobs[k].first, jobs[k + 1].first) > most;
	}
	return good;
}

/* Weights are copied whether there is anything to compute or not: a job holds as much as the bus carries before its
 * queue's timeout, also of those that only try all streams, when nothing is computed. */
static void test_slow_bus(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	const int32_t token = 5;
	uint32_t most[2] = { 0 };

	for (int slow = 0; slow < 2; slow++) {
		struct transport notes;
		struct rig r = { 0 };
		double limit;

		accel_open("sim:rings=1", &r.dev);
		notes = *r.dev->t;
		submit = notes.submit;
		notes.submit = note_jobs;
		r.dev->t = &notes;
		limit = r.dev->info.max_timeout_ms / 1000.0;
		if (slow)	/* all of it takes so many times as long as a job may */
			r.dev->info.clock_hz = mi.weight_bytes / (3.5 * limit * r.dev->info.pcie_bpc);
		rig_plan(&r, model, to_card((struct accel_plan_opts) { .ctx = 64, .stream = ACCEL_STREAM_ALWAYS }));
		n_jobs = 0;
		if (!ok(!rig_engine(&r, &o), "a bus of %.3g bytes a second", (double)r.dev->info.pcie_bpc * r.dev->info.clock_hz))
			return;
		ok(cut_well(&r, limit), "all streams are tried in %u jobs", n_jobs);
		n_jobs = 0;
		ok(!rig_eval(&r, &token, 1, ACCEL_WANT_LAST, NULL) && cut_well(&r, limit), "a step has %u jobs", n_jobs);
		most[slow] = n_jobs;
		rig_free(&r);
	}
	ok(most[0] == 1 && most[1] >= 4 && most[1] < mi.n_layers, "one, or %u", most[1]);
}

static void test_experts(void)
{
	static const uint32_t n[2] = { 8, 5 }, some[2] = { 2, 1 };
	struct experts *e = experts_new(n, some, 2, 4);
	struct expert_move move;
	struct expert_stats st;
	const int32_t hot[] = { 7, 6 }, bad[] = { -1, 8, 1 << 30 };
	uint32_t there = 0, near;

	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t k = 0; k < n[i]; k++)
			there += experts_slot(e, i, k) >= 0;
	ok(there == 3 && !experts_settle(e), "three have a place, and nobody was chosen");
	ok(!experts_count(e, 0, bad, 3, 1, &near) && !experts_settle(e), "who is not there does not count");
	experts_count(e, 0, hot, 2, 1, &near);
	ok(experts_settle(e) == 1 && experts_move(e, &move) && move.vacant && move.in.layer == 0 && move.in.expert == 6 &&
	   experts_slot(e, 0, 6) == move.slot, "the first goes where there is room");
	ok(experts_move(e, &move) && !move.vacant && move.in.expert == 7 && experts_slot(e, 0, 7) == move.slot &&
	   experts_slot(e, move.out.layer, move.out.expert) < 0, "the second where one is that nobody wants");
	ok(!experts_move(e, &move), "and that is all");
	ok(experts_count(e, 0, hot, 2, 1, &near) == 2 && near == 2 && !experts_settle(e), "both are there");
	experts_stats(e, &st);
	ok(st.uses == 4 && st.hits == 2 && st.moves == 2, "four uses, two hits, two moves");
	experts_free(e);
	e = experts_new(n, some, 2, 0);
	ok(experts_count(e, 1, (const int32_t[]) { 4, 4 }, 2, 2, &near) == 1 && !near, "one, twice, and it is far");
	ok(!experts_settle(e) && !experts_move(e, &move), "without room nobody moves");
	experts_free(e);
}

/* What is read over the bus is not more than that, or a processor would seem faster than it can be. */
static void test_shares(void)
{
	struct layer_cost c = { .choice[0] = { .plane.far = 1000, .planes = 8, .taken = 3 }, .near = 5 };
	const struct load one = { .rows = 1, .out = 1 };
	struct op_work of_all = { 0 }, seen = { 0 };

	cost_add(&of_all, &c, &one);
	ok(of_all.far == 1125 && of_all.bytes == 1875, "three of eight are taken, and five of those are there: %llu bytes are far",
	   (unsigned long long)of_all.far);
	c.seen = 2;
	c.near = 1;
	cost_add(&seen, &c, &one);
	ok(seen.far == 1000 && seen.bytes == 1000, "two were, one was there");
}

int main(void)
{
	float *want;

	if (!demo_load())
		return done();
	want = malloc(sizeof(float) * TOKENS * mi.n_vocab);
	if (ok(expected(want), "on the CPU")) {
		test_sizes(want);
		test_failures(want);
		test_no_host(want);
	}
	test_never();
	test_prediction();
	test_two();
	test_slower(false);
	test_slower(true);
	test_nothing();
	test_budget();
	test_asking();
	test_slow_bus();
	test_experts();
	test_shares();
	free(want);
	accel_model_free(model);
	return done();
}
