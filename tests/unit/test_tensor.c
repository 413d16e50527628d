// SPDX-License-Identifier: MIT
/*
 * Layers that several processors share: whatever they have of them, whatever the steps, and whatever fails in the
 * middle, the bits are those of the CPU; and what it takes is what was foretold.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device/transport.h"
#include "subjects.h"
/* It has a struct build of its own. */
#define build layer_build
#include "engine/engine.h"
#undef build

/* ---- engines ---- */

struct group {
	const struct subject *s;
	struct accel_dev *dev[CARDS];
	uint32_t n;
	uint32_t batch;
	enum accel_split split;
	enum accel_kv_type kv_type;
	struct accel_plan *plan;
	struct accel_engine *engine;
	struct accel_seq *seq[SEQS];
};

#define SIM "sim:rings=1,threads=1"

/* fault: for processor `faulty` alone, as ACCEL_SIM_CONTROL. */
static struct group group_open(const struct subject *s, uint32_t n, const char *spec, uint32_t faulty, const char *fault)
{
	struct group g = { .s = s, .batch = 4, .split = ACCEL_SPLIT_TENSOR };

	for (; g.n < n; g.n++) {
		if (fault && g.n == faulty)
			setenv("ACCEL_SIM_CONTROL", fault, 1);
		ok(!accel_open(g.n ? spec : SIM, &g.dev[g.n]), "processor %u", g.n);
		unsetenv("ACCEL_SIM_CONTROL");
	}
	return g;
}

static int group_plan(struct group *g)
{
	struct accel_devinfo info[CARDS];
	const struct accel_devinfo *list[CARDS];
	struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 96, .seqs = SEQS, .batch = g->batch, .page = 1u << (2 + roll(4)),
		.kv_type = g->kv_type, .split = g->split,
	};

	for (uint32_t i = 0; i < g->n; i++) {
		info[i].sz = sizeof(info[i]);
		accel_dev_info(g->dev[i], &info[i]);
		list[i] = &info[i];
	}
	return accel_plan_new(g->s->m, list, g->n, &po, &g->plan);
}

static int group_engine(struct group *g, struct accel_engine_opts o)
{
	int err;

	o.sz = sizeof(o);
	o.threads = 1;
	err = accel_engine_new(g->plan, g->dev, g->n, &o, &g->engine);
	for (uint32_t i = 0; i < SEQS && !err; i++)
		err = accel_seq_new(g->engine, &g->seq[i]);
	if (err)
		printf("# %s\n", accel_error());
	return err;
}

static int group_start(struct group *g, struct accel_engine_opts o)
{
	int err = group_plan(g);

	return err ? err : group_engine(g, o);
}

static void group_stop(struct group *g)
{
	for (uint32_t i = 0; i < SEQS; i++)
		accel_seq_free(g->seq[i]);
	accel_engine_free(g->engine);
	accel_plan_free(g->plan);
	for (uint32_t i = 0; i < g->n; i++)
		accel_close(g->dev[i]);
}

static struct accel_engine_stats stats(const struct group *g)
{
	struct accel_engine_stats st = { .sz = sizeof(st) };

	accel_engine_stats(g->engine, &st);
	return st;
}

static struct accel_layer planned(const struct group *g, uint32_t layer)
{
	struct accel_layer a = { .sz = sizeof(a) };

	accel_plan_layer(g->plan, layer, &a);
	return a;
}

static struct accel_layer layer_now(const struct group *g, uint32_t layer)
{
	struct accel_layer a = { .sz = sizeof(a) };

	accel_engine_layer(g->engine, layer, &a);
	return a;
}

static uint32_t count_shared(const struct group *g, bool now)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->s->info.n_layers; i++)
		n += (now ? layer_now(g, i) : planned(g, i)).shared != 0;
	return n;
}

static struct accel_input input(const struct group *g, uint32_t seq, uint32_t pos, uint32_t n, enum accel_want want)
{
	return (struct accel_input) {
		.sz = sizeof(struct accel_input), .seq = g->seq[seq], .tokens = g->s->text[seq] + pos, .n = n,
		.want = want,
	};
}

static int eval(const struct group *g, uint32_t seq, uint32_t pos, uint32_t n, bool *same)
{
	const struct accel_input in = input(g, seq, pos, n, ACCEL_WANT_ALL);
	struct accel_step *step = NULL;
	int err = accel_step_run(g->engine, &in, 1, NULL, &step);

	*same = !err && same_rows(g->s, seq, pos, accel_step_logits(step, 0, NULL), n);
	accel_step_free(step);
	return err;
}

/* All sequences at once, in steps of random lengths. */
static bool eval_all(const struct group *g)
{
	uint32_t at[SEQS] = { 0 };
	bool same = true;

	for (uint32_t round = 0; round < 100 && same; round++) {
		struct accel_input in[SEQS];
		uint32_t of[SEQS], n = 0;
		struct accel_step *step = NULL;

		for (uint32_t i = 0; i < SEQS; i++) {
			uint32_t k = at[i] < LENGTH ? roll((LENGTH - at[i] < 30 ? LENGTH - at[i] : 30) + 1) : 0;

			if (!k)
				continue;
			of[n] = i;
			in[n++] = input(g, i, at[i], k, roll(2) ? ACCEL_WANT_ALL : ACCEL_WANT_LAST);
		}
		if (n && accel_step_run(g->engine, in, n, NULL, &step))
			return false;
		for (uint32_t k = 0; k < n; k++) {
			uint32_t i = of[k], rows;
			const float *logits = accel_step_logits(step, k, &rows);

			same = same && same_rows(g->s, i, at[i] + in[k].n - rows, logits, rows);
			at[i] += in[k].n;
		}
		accel_step_free(step);
	}
	return same;
}

/* ---- bits ---- */

/* The largest logits, too, are found by who has them all. */
static bool same_top(const struct group *g)
{
	struct accel_input in = input(g, 0, 0, LENGTH, ACCEL_WANT_TOP);
	const float *row = g->s->alone[0] + (size_t)(LENGTH - 1) * g->s->info.n_vocab, *values = NULL;
	const int32_t *ids = NULL;
	struct accel_step *step = NULL;
	bool same = true;

	in.top = 5;
	accel_seq_trim(g->seq[0], 0);
	if (accel_step_run(g->engine, &in, 1, NULL, &step) || accel_step_top(step, 0, &ids, &values) != 5)
		return false;
	for (uint32_t i = 0; i < g->s->info.n_vocab; i++)
		same = same && row[i] <= values[0];
	for (int i = 0; i < 5; i++)
		same = same && values[i] == row[ids[i]] && (!i || values[i] <= values[i - 1]);
	accel_step_free(step);
	return same;
}

static void test_bits(const struct subject *s, uint32_t n, const char *spec)
{
	for (int round = 0; round < 3; round++) {
		struct group g = group_open(s, n, spec, 0, NULL);
		bool same = false;

		g.batch = round ? 1 + roll(16) : LENGTH;
		ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }) && count_shared(&g, true) &&
		   !eval(&g, 0, 0, LENGTH, &same) && same, "%s on %u, %s: %u layers shared, %u at once: a prompt", s->name, n,
		   spec, g.engine ? count_shared(&g, true) : 0, g.batch);
		for (uint32_t i = 0; i < SEQS && g.engine; i++)
			accel_seq_trim(g.seq[i], 0);
		ok(g.engine && eval_all(&g), "several sequences");
		ok(g.engine && same_top(&g), "the largest logits");
		ok(!stats(&g).fallbacks && stats(&g).layers_device == s->info.n_layers, "all on processors");
		group_stop(&g);
	}
}

/* Takes what is free of a processor, but for so much. */
static struct accel_bo *fill(struct accel_dev *dev, uint64_t but)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_bo *bo = NULL;

	ok(!accel_dev_info(dev, &info) &&
	   !accel_bo_new(dev, info.memory_size - info.memory_used - but, ACCEL_BO_DEVICE, "full", &bo), "%s is full", info.name);
	return bo;
}

/* Those that share need not be the first. */
static void test_apart(const struct subject *s)
{
	struct group g = group_open(s, 3, SIM, 0, NULL);
	struct accel_bo *bo = fill(g.dev[0], 64 << 10);
	uint32_t there = 0;
	bool same = false;

	ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }) && count_shared(&g, true) == s->shares, "%s", s->name);
	for (uint32_t i = 1; i < s->info.n_layers; i++)
		there += layer_now(&g, i).device == 1 && !(layer_now(&g, i).shared & ~6ull);
	ok(there + 1 == s->info.n_layers && !accel_plan_device_bytes(g.plan, 0), "%u layers on the second and the third", there);
	ok(!eval(&g, 0, 0, LENGTH, &same) && same, "a prompt");
	accel_seq_trim(g.seq[0], 0);
	ok(eval_all(&g) && same_top(&g), "and several sequences");
	accel_bo_free(bo);
	group_stop(&g);
}

/* Kinds for which it is made are shared, the others say why they are not. */
static void test_plan(const struct subject *s)
{
	struct group g = group_open(s, 2, SIM, 0, NULL);
	uint64_t whole, part[2];
	bool told = true;

	ok(!group_plan(&g) && count_shared(&g, false) == s->shares, "%s: %u of %u layers are shared", s->name,
	   count_shared(&g, false), s->info.n_layers);
	for (uint32_t i = 1; i < s->info.n_layers; i++) {
		struct accel_layer a = planned(&g, i);

		told = told && a.device == 0 && (a.shared ? a.shared == 3 && strstr(a.detail, "2 processors share it") :
						 strstr(a.detail, "not shared: its kind is not made for it") != NULL);
	}
	ok(told, "each says so, or why not");
	part[0] = accel_plan_device_bytes(g.plan, 0);
	part[1] = accel_plan_device_bytes(g.plan, 1);
	for (uint32_t i = 1; i < s->info.n_layers; i++) {
		const struct accel_layer a = planned(&g, i);
		const uint64_t own = accel_plan_layer_bytes(g.plan, i, 0), other = accel_plan_layer_bytes(g.plan, i, 1);

		whole = a.weight_bytes + a.kv_bytes;
		told = told && own <= part[0] && (a.shared ? own < whole && other < whole && own + other >= whole :
								 own == whole && !other);
	}
	ok(told, "and what it takes of whom");
	accel_plan_free(g.plan);
	g.split = ACCEL_SPLIT_LAYER;
	ok(!group_plan(&g) && !count_shared(&g, false), "none if layers are not to be");
	whole = plan_info(g.plan).device_bytes;
	ok(part[0] < whole && part[1] < whole, "%llu and %llu bytes are less than %llu", (unsigned long long)part[0],
	   (unsigned long long)part[1], (unsigned long long)whole);
	accel_plan_free(g.plan);
	g.split = ACCEL_SPLIT_AUTO;
	ok(!group_plan(&g) && !count_shared(&g, false), "nor where that is slower");
	accel_plan_free(g.plan);
	g.plan = NULL;
	g.split = ACCEL_SPLIT_TENSOR + 1;
	ok(group_plan(&g) == -EINVAL && strstr(accel_error(), "3 is no way"), "%s", accel_error());
	group_stop(&g);
}

/* What is foretold of a token is what is modelled of it. */
static void test_foretold(const struct subject *s, const char *spec)
{
	struct group g = group_open(s, 2, spec, 0, NULL);
	struct accel_prediction p = { .sz = sizeof(p) };
	uint64_t before;
	double share;
	bool same;

	ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }) && !accel_plan_predict(g.plan, 8, &p) &&
	   !eval(&g, 0, 0, 8, &same), "%s, %s", s->name, spec);
	before = stats(&g).modelled_ns;
	ok(!eval(&g, 0, 8, 1, &same) && same, "a token");
	share = p.token_s * 1e9 / (stats(&g).modelled_ns - before);
	/* of one so small most goes into the commands themselves, which is not foretold of any */
	ok(share > 0.15 && share <= 1, "%g of the time of a token was foretold", share);
	group_stop(&g);
}

/* The time of those that share is no less than that of each, which does not count what it waits. */
static void test_time(const struct subject *s)
{
	struct group g = group_open(s, 2, "sim:profile=octans-e,rings=1,threads=1", 0, NULL);
	struct accel_engine_stats st;
	bool same;

	ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }) && !eval(&g, 0, 0, LENGTH, &same) && same,
	   "one is slower");
	st = stats(&g);
	ok(st.modelled_ns > st.modelled.cycles / 2 && st.modelled_ns < st.modelled.cycles,
	   "%llu ns, of %llu cycles of both", (unsigned long long)st.modelled_ns,
	   (unsigned long long)st.modelled.cycles);
	group_stop(&g);
}

/* ---- failures ---- */

/* Jobs of a processor in each pass; as many are there, and perhaps one more, when an engine is made. */
static uint32_t jobs_of(const struct subject *s, uint32_t n, uint32_t card)
{
	struct group g = group_open(s, n, SIM, 0, NULL);
	uint32_t jobs = 0;

	ok(!group_plan(&g), "a plan");
	for (uint32_t i = 0; i < s->info.n_layers; i++) {
		const struct accel_layer a = planned(&g, i), b = planned(&g, i ? i - 1 : 0);

		jobs += layer_on(&a, card) && (!i || !layers_join(&a, &b));
	}
	group_stop(&g);
	return jobs;
}

/* In the pass of this number, or the one before it. */
static const char *in_pass(const struct subject *s, uint32_t n, uint32_t card, uint32_t pass, const char *fault)
{
	static char line[64];
	const uint32_t jobs = jobs_of(s, n, card);

	snprintf(line, sizeof(line), "%u:%s", 1 + jobs + pass * jobs + roll(jobs), fault);
	return line;
}

static void test_failure(const struct subject *s, uint32_t n, uint32_t faulty, const char *fault, int err, const char *says)
{
	struct group g;
	struct accel_engine_stats st;
	const char *line = in_pass(s, n, faulty, 2 + roll(4), fault);
	uint32_t well = 0;
	bool same = false;

	g = group_open(s, n, SIM, faulty, line);
	if (!strncmp(fault, "hang", 4))
		g.dev[faulty]->info.max_timeout_ms = 1500;
	ok(!group_start(&g, (struct accel_engine_opts) { .retry_ms = UINT32_MAX }) && !stats(&g).fallbacks,
	   "%s on %u", s->name, n);
	ok(!eval(&g, 0, 0, LENGTH, &same) && same, "%s: %u of %u, all rows", line, faulty, n);
	st = stats(&g);
	ok(st.fallbacks == 1 && st.fallback_error == err && strstr(st.fallback_reason, says) &&
	   strstr(st.fallback_reason, "which shares layers with others") && !count_shared(&g, true),
	   "%u fallbacks, %d: %s", st.fallbacks, st.fallback_error, st.fallback_reason);
	for (uint32_t i = 0; i < n; i++)
		well += i != faulty && g.engine->cards[i].state == CARD_UP && !exec_dev_check(g.engine->cards[i].exec);
	ok(well == n - 1 && g.engine->cards[faulty].state == CARD_GONE, "the others are well, and were not reset");
	accel_seq_trim(g.seq[0], 0);
	ok(eval_all(&g), "and it goes on");
	group_stop(&g);
}

/* Told to be strict, it is an error that says whose it was. */
static void test_strict(const struct subject *s)
{
	for (uint32_t faulty = 0; faulty < 2; faulty++) {
		struct group g = group_open(s, 2, SIM, faulty, in_pass(s, 2, faulty, 4, "fault 0"));
		bool same;
		int err;

		ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }), "strict");
		err = eval(&g, 0, 0, LENGTH, &same);
		ok(err == -EFAULT && strstr(accel_error(), "address") && g.engine->failed_card == (int)faulty &&
		   !accel_seq_length(g.seq[0]), "%u: %d, %d: %s", faulty, err, g.engine->failed_card, accel_error());
		group_stop(&g);
	}
}

/* One that comes back shares again, with what sequences know. */
static void test_return(const struct subject *s, uint32_t n, uint32_t faulty)
{
	struct group g = group_open(s, n, SIM, faulty, in_pass(s, n, faulty, 4, "fault 0"));
	bool good = true, same;
	uint32_t shared;

	ok(!group_start(&g, (struct accel_engine_opts) { .retry_ms = 1 }), "%s", s->name);
	shared = count_shared(&g, true);
	good = !eval(&g, 0, 0, 20, &same) && same;
	for (uint32_t i = 20; i < LENGTH; i++) {
		good = good && !eval(&g, 0, i, 1, &same) && same;
		nanosleep(&(struct timespec) { .tv_nsec = 2000000 }, NULL);
	}
	ok(good && stats(&g).fallbacks == 1 && stats(&g).returns == 1 && count_shared(&g, true) == shared,
	   "away and back: %u fallbacks, %u returns", stats(&g).fallbacks, stats(&g).returns);
	ok(!eval(&g, 1, 0, LENGTH, &same) && same, "and goes on");
	group_stop(&g);
}

/* One does not come, though it has not failed: the others do not wait for ever. */
static void test_late(const struct subject *s)
{
	struct group g = group_open(s, 2, SIM, 0, NULL);
	struct accel_engine_stats st;
	char reply[256];
	bool same = false;

	g.dev[0]->info.max_timeout_ms = 200;
	ok(!group_start(&g, (struct accel_engine_opts) { .retry_ms = UINT32_MAX }) && !eval(&g, 1, 0, 4, &same) && same,
	   "in time");
	accel_dev_control(g.dev[1], "slow ring 0 200000", reply, sizeof(reply));
	ok(!eval(&g, 0, 0, LENGTH, &same) && same, "late, all rows");
	st = stats(&g);
	ok(st.fallbacks == 1 && st.fallback_error == -ETIME && strstr(st.fallback_reason, "kept others waiting for more than 100 ms") && g.engine->cards[0].state == CARD_UP &&
	   !exec_dev_check(g.engine->cards[0].exec), "%s", st.fallback_reason);
	accel_dev_control(g.dev[1], "slow ring 0 0", reply, sizeof(reply));
	group_stop(&g);
}

struct neighbour {
	struct group g;
	uint32_t seq;
	bool good;
	char why[200];
};

static void *compute_beside(void *arg)
{
	struct neighbour *n = arg;
	bool same;

	n->good = true;
	for (int round = 0; round < 8 && n->good; round++) {
		accel_seq_trim(n->g.seq[n->seq], 0);
		n->good = !eval(&n->g, n->seq, 0, LENGTH, &same) && same;
		if (!n->good)
			snprintf(n->why, sizeof(n->why), ": round %d: %.150s", round, accel_error());
	}
	return NULL;
}

/* Engines that have the same processors, each with one ring, keep each other from nothing. */
static void test_neighbours(const struct subject *s)
{
	struct group g = group_open(s, 2, SIM, 0, NULL);
	struct neighbour n[SEQS];
	pthread_t t[SEQS];

	for (uint32_t i = 0; i < SEQS; i++) {
		n[i] = (struct neighbour) { .g = g, .seq = i };
		ok(!group_start(&n[i].g, (struct accel_engine_opts) { .strict = true }), "engine %u", i);
	}
	for (uint32_t i = 0; i < SEQS; i++)
		pthread_create(&t[i], NULL, compute_beside, &n[i]);
	for (uint32_t i = 0; i < SEQS; i++) {
		pthread_join(t[i], NULL);
		ok(n[i].good && !stats(&n[i].g).fallbacks, "engine %u beside others%s", i, n[i].why);
	}
	for (uint32_t i = 0; i < SEQS; i++) {
		n[i].g.n = 0;
		group_stop(&n[i].g);
	}
	for (uint32_t i = 0; i < g.n; i++)
		accel_close(g.dev[i]);
}

static uint64_t used_of(struct accel_dev *dev)
{
	struct accel_devinfo info = { .sz = sizeof(info) };

	return accel_dev_info(dev, &info) ? 0 : info.memory_used;
}

/* Bytes for what a processor computes now. */
static uint64_t needs(const struct group *g, uint32_t card)
{
	const uint32_t n = g->s->info.n_layers;
	struct accel_layer how[64];
	bool mine[64];
	struct footprint f;

	for (uint32_t i = 0; i < n && n <= 64; i++) {
		how[i] = layer_now(g, i);
		mine[i] = layer_on(&how[i], card);
	}
	footprint_of(&f, plan_view(g->plan, card), plan_shape(g->plan), mine, plan_streams(g->plan), how, NULL, NULL);
	return f.bytes;
}

struct told {
	uint64_t done, total;
	bool good;
};

static int hear(void *arg, uint64_t done, uint64_t total)
{
	struct told *t = arg;

	t->good = t->good && done >= t->done && done <= total;
	t->done = done;
	t->total = total;
	return 0;
}

/* Another program takes what was free, but for some of it: layers that had no room are the CPU's, and of those nobody
 * has a part any more. */
static void test_no_room(const struct subject *s, uint32_t n, uint32_t full, uint32_t percent)
{
	struct told told = { .good = true };
	struct group g = group_open(s, n, SIM, 0, NULL);
	uint64_t before[CARDS];
	struct accel_bo *bo;
	uint32_t planned, shared, left = 0;
	bool same, good = true;
	char reply[256];

	ok(!group_plan(&g), "%s: of %u processors number %u has room for %u %%", s->name, n, full, percent);
	planned = count_shared(&g, false);
	bo = fill(g.dev[full], 4096 + accel_plan_device_bytes(g.plan, full) / 100 * percent / 4096 * 4096);
	for (uint32_t i = 0; i < n; i++)
		before[i] = used_of(g.dev[i]);
	ok(!group_engine(&g, (struct accel_engine_opts) { .retry_ms = 1, .progress = hear, .progress_arg = &told }),
	   "an engine");
	shared = count_shared(&g, true);
	for (uint32_t i = 1; i < s->info.n_layers; i++)
		left += layer_now(&g, i).shared || layer_now(&g, i).reason == ACCEL_REASON_NO_MEMORY;
	ok(percent ? shared && shared < planned : !shared, "%u of %u layers are shared: %s", shared, planned,
	   layer_now(&g, s->info.n_layers - 1).detail);
	ok(left >= planned && stats(&g).fallbacks == 1, "the others say why not: %s", stats(&g).fallback_reason);
	for (uint32_t i = 0; i < n; i++)
		ok(used_of(g.dev[i]) - before[i] == needs(&g, i), "%u has %llu bytes, for %llu that it computes with", i,
		   (unsigned long long)(used_of(g.dev[i]) - before[i]), (unsigned long long)needs(&g, i));
	ok(told.good && told.done == told.total, "%llu of %llu bytes were loaded", (unsigned long long)told.done,
	   (unsigned long long)told.total);
	ok(!eval(&g, 0, 0, LENGTH, &same) && same, "and computed");
	accel_dev_control(g.dev[n - 1], "fault 0", reply, sizeof(reply));
	for (uint32_t i = 0; i < LENGTH; i++) {
		good = good && !eval(&g, 1, i, 1, &same) && same;
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	}
	ok(good && count_shared(&g, true) == shared && stats(&g).returns == (shared != 0),
	   "one that fails comes back to %u layers: %u returns", count_shared(&g, true), stats(&g).returns);
	accel_bo_free(bo);
	group_stop(&g);
}

static int no_export(struct accel_bo *bo, int *fd)
{
	(void)bo;
	(void)fd;
	return fail(-ENOTSUP, "not from here");
}

static int no_import(struct accel_bo *bo, int fd)
{
	(void)bo;
	(void)fd;
	return fail(-EINVAL, "not to here");
}

static void test_no_relay(const struct subject *s, bool export, bool strict)
{
	struct group g = group_open(s, 2, SIM, 0, NULL);
	struct transport broken = transport_sim;
	bool same;
	int err;

	if (export)
		broken.bo_export = no_export;
	else
		broken.bo_import = no_import;
	g.dev[!export]->t = &broken;
	err = group_start(&g, (struct accel_engine_opts) { .strict = strict, .retry_ms = UINT32_MAX });
	if (strict)
		ok(err == -EIO && strstr(accel_error(), export ? "no memory in common" : "does not reach"), "%s",
		   accel_error());
	else
		ok(!err && !count_shared(&g, true) && !eval(&g, 0, 0, LENGTH, &same) && same, "on the CPU: %s",
		   layer_now(&g, 1).detail);
	group_stop(&g);
}

/* This machine has no memory for a moment: how a job is doing is asked again, and nobody goes on without it. */
static atomic_int unknown;

static int wait_unknown(struct accel_fence *f, int64_t abs_ns)
{
	/* not who waits for one alone, whose step then fails and says so */
	if (abs_ns < now_ns() + 6000000 && unknown > 0 && atomic_fetch_sub(&unknown, 1) > 0)
		return fail(-ENOMEM, "no memory to wait");
	return transport_sim.fence_wait(f, abs_ns);
}

static void test_unknown(const struct subject *s)
{
	struct group g = group_open(s, 2, SIM, 0, NULL);
	struct transport short_of = transport_sim;
	bool good = true, same;

	short_of.fence_wait = wait_unknown;
	ok(!group_start(&g, (struct accel_engine_opts) { .strict = true }), "%s", s->name);
	for (uint32_t faulty = 0; faulty < 2; faulty++) {
		g.dev[faulty]->t = &short_of;
		accel_seq_trim(g.seq[0], 0);
		for (uint32_t i = 0; i < LENGTH && good; i++) {
			unknown = 1;
			good = !eval(&g, 0, i, 1, &same) && same && !unknown;
		}
		g.dev[faulty]->t = &transport_sim;
	}
	ok(good && !stats(&g).fallbacks, "a job of which nothing is known for a moment: %s", good ? "" : accel_error());
	group_stop(&g);
}

static atomic_int no_space;

static int space_lost(struct accel_vm *vm)
{
	if (no_space > 0 && atomic_fetch_sub(&no_space, 1) > 0)
		return fail(-EIO, "not now");
	return transport_sim.vm_new(vm);
}

/* Whichever fails when it is loaded, all share again when it is back. */
static void test_fails_at_first(const struct subject *s, uint32_t n, uint32_t faulty)
{
	struct group g = group_open(s, n, SIM, 0, NULL);
	struct transport broken = transport_sim;
	bool good = true, same;
	uint32_t shared;

	broken.vm_new = space_lost;
	no_space = 1;
	g.dev[faulty]->t = &broken;
	ok(!group_plan(&g), "%u of %u", faulty, n);
	shared = count_shared(&g, false);
	ok(!group_engine(&g, (struct accel_engine_opts) { .retry_ms = 1 }) && shared && !count_shared(&g, true),
	   "fails at first: %s", stats(&g).fallback_reason);
	for (uint32_t i = 0; i < LENGTH; i++) {
		good = good && !eval(&g, 0, i, 1, &same) && same;
		nanosleep(&(struct timespec) { .tv_nsec = 3000000 }, NULL);
	}
	ok(good && count_shared(&g, true) == shared && stats(&g).returns, "and comes: %u returns, %u of %u",
	   stats(&g).returns, count_shared(&g, true), shared);
	group_stop(&g);
}

/* Who waits for its turn hears that it is to end. */
static void *take_long(void *arg)
{
	struct neighbour *n = arg;
	bool same;

	n->good = !eval(&n->g, 0, 0, LENGTH, &same) && same;
	return NULL;
}

static void test_stopped(const struct subject *s)
{
	struct group g = group_open(s, 2, SIM, 0, NULL);
	struct accel_step_opts o = { .sz = sizeof(o), .deadline_ns = 0 };
	struct neighbour n[2] = { { .g = g }, { .g = g } };
	struct accel_step *step = NULL;
	struct accel_input in;
	int64_t begin;
	pthread_t t;
	char reply[256];
	int err;

	for (int i = 0; i < 2; i++)
		ok(!group_start(&n[i].g, (struct accel_engine_opts) { .strict = true }), "engine %d", i);
	accel_dev_control(g.dev[1], "slow ring 0 20000", reply, sizeof(reply));
	pthread_create(&t, NULL, take_long, &n[0]);
	nanosleep(&(struct timespec) { .tv_nsec = 100000000 }, NULL);
	in = input(&n[1].g, 1, 0, 1, ACCEL_WANT_LAST);
	begin = now_ns();
	o.deadline_ns = begin + 100000000;
	err = accel_step_run(n[1].g.engine, &in, 1, &o, &step);
	begin = now_ns() - begin;
	accel_dev_control(g.dev[1], "slow ring 0 0", reply, sizeof(reply));
	ok(err == -ETIMEDOUT && begin < 1000000000, "%d after %lld ms: %s", err, (long long)begin / 1000000, accel_error());
	accel_step_free(step);
	pthread_join(t, NULL);
	ok(n[0].good, "whose turn it was goes on");
	for (int i = 0; i < 2; i++) {
		n[i].g.n = 0;
		group_stop(&n[i].g);
	}
	for (uint32_t i = 0; i < g.n; i++)
		accel_close(g.dev[i]);
}

/* Who has none of the processors that another waits for does not wait for its turn; two ways to one are the same. */
static void test_others(const struct subject *s, bool same_path)
{
	struct neighbour n[2] = { { .g = group_open(s, 2, SIM, 0, NULL) }, { .g = group_open(s, 2, SIM, 0, NULL) } };
	struct accel_step_opts o = { .sz = sizeof(o), .deadline_ns = 0 };
	struct accel_step *step = NULL;
	struct accel_input in;
	char reply[256];
	pthread_t t;
	int err;

	for (int i = 0; i < 2; i++) {
		if (same_path)
			snprintf(n[i].g.dev[i]->info.path, sizeof(n[i].g.dev[i]->info.path), "/dev/accel/accel0");
		ok(!group_start(&n[i].g, (struct accel_engine_opts) { .strict = true }), "engine %d", i);
	}
	accel_dev_control(n[0].g.dev[1], "slow ring 0 20000", reply, sizeof(reply));
	pthread_create(&t, NULL, take_long, &n[0]);
	nanosleep(&(struct timespec) { .tv_nsec = 100000000 }, NULL);
	in = input(&n[1].g, 1, 0, 1, ACCEL_WANT_ALL);
	o.deadline_ns = now_ns() + (same_path ? 100000000 : 1000000000);
	err = accel_step_run(n[1].g.engine, &in, 1, &o, &step);
	ok(err == (same_path ? -ETIMEDOUT : 0) && (err || same_rows(s, 1, 0, accel_step_logits(step, 0, NULL), 1)),
	   "beside one that is slow: %d", err);
	accel_step_free(step);
	accel_dev_control(n[0].g.dev[1], "slow ring 0 0", reply, sizeof(reply));
	pthread_join(t, NULL);
	ok(n[0].good, "which goes on");
	for (int i = 0; i < 2; i++)
		group_stop(&n[i].g);
}

/* Told to share, a plan that does not says why. */
static void test_not_shared(const struct subject *s)
{
	struct group g = group_open(s, 1, SIM, 0, NULL);
	struct accel_layer l = { .sz = sizeof(l) };

	ok(!group_plan(&g) && !count_shared(&g, false) && !accel_plan_layer(g.plan, 1, &l) &&
	   strstr(l.detail, "not shared: there is one processor"), "%s", l.detail);
	group_stop(&g);
}

/* ---- what is kept ---- */

static FILE *save(struct accel_seq *seq)
{
	FILE *f = tmpfile();

	if (!f || accel_seq_save(seq, fileno(f)))
		return NULL;
	rewind(f);
	return f;
}

static bool same_files(FILE *a, FILE *b)
{
	int x, y;

	if (!a || !b)
		return false;
	do {
		x = getc(a);
		y = getc(b);
	} while (x == y && x != EOF);
	rewind(a);
	lseek(fileno(a), 0, SEEK_SET);
	return x == y;
}

/* What is saved is what the CPU would, and is read back to where its parts are; forks share it. */
static void test_kept(const struct subject *s, enum accel_kv_type kv_type)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .isa = "scalar" };
	struct rig r = rig_new(s->m, NULL, (struct accel_plan_opts) { .ctx = 96, .kv_type = kv_type }, &o);
	struct group g = group_open(s, 3, SIM, 0, NULL);
	struct accel_seq *fork = NULL, *read = NULL;
	const float *logits;
	FILE *ours, *cpu;
	bool same;

	g.kv_type = kv_type;
	ok(!rig_eval(&r, s->text[0], 21, ACCEL_WANT_ALL, &logits) &&
	   !group_start(&g, (struct accel_engine_opts) { .strict = true }), "%s", s->name);
	eval(&g, 0, 0, 21, &same);
	ours = save(g.seq[0]);
	cpu = save(r.seq);
	ok(same_files(ours, cpu), "what is saved is what the CPU saves");
	ok(!accel_seq_load(g.engine, fileno(ours), &read), "it is read: %s", accel_error());
	ok(!accel_seq_fork(g.seq[0], 19, &fork), "and a fork");
	rig_eval(&r, s->text[0] + 21, 1, ACCEL_WANT_ALL, &logits);
	for (int i = 0; i < 2; i++) {
		struct accel_seq *seq = i ? read : g.seq[0];
		struct accel_input in = input(&g, 0, 21, 1, ACCEL_WANT_ALL);
		struct accel_step *step = NULL;

		in.seq = seq;
		ok(!accel_step_run(g.engine, &in, 1, NULL, &step) &&
		   !memcmp(accel_step_logits(step, 0, NULL), logits, row_of(s)), "%s goes on", i ? "what was read" : "it");
		accel_step_free(step);
	}
	for (int i = 0; i < 2; i++) {
		struct accel_input in = input(&g, 0, 19, 2, ACCEL_WANT_LAST);
		struct accel_step *step = NULL;

		in.seq = fork;
		if (i)
			in.tokens = s->text[0] + 21, in.n = 1;
		ok(!accel_step_run(g.engine, &in, 1, NULL, &step), "the fork goes on");
		ok(!i || !memcmp(accel_step_logits(step, 0, NULL), logits, row_of(s)), "to the same");
		accel_step_free(step);
	}
	if (ours)
		fclose(ours);
	if (cpu)
		fclose(cpu);
	accel_seq_free(fork);
	accel_seq_free(read);
	group_stop(&g);
	rig_free(&r);
}

/* ---- all ---- */

static void test_all(const struct subject *s, uint32_t i)
{
	test_plan(s);
	test_bits(s, 2, SIM);
	test_bits(s, 3, SIM);
	test_bits(s, 2, "sim:profile=octans-e,rings=1,threads=1");
	for (uint32_t faulty = 0; faulty < 2; faulty++) {
		test_failure(s, 2, faulty, "fault 0", -EFAULT, "address");
		test_failure(s, 2, faulty, "remove", -ENODEV, "gone");
	}
	test_failure(s, 2, i % 2, "hang ring 0", -ETIME, "ran longer");
	test_return(s, 2, i % 2);
}

int main(void)
{
	const struct llama_build small = {
		.type = ACCEL_Q8_0, .blocks = 3, .embd = 96, .heads = 6, .kv_heads = 3, .ff = 160, .vocab = 301, .ctx = 128,
	};
	struct subject subjects[] = {
		{ .name = "llama", .shares = 7 }, { .name = "experts", .shares = 7 }, { .name = "demo", .shares = 9 },
		{ .name = "kinds", .shares = 9 },
	};
	const uint32_t n = sizeof(subjects) / sizeof(subjects[0]);

	if (!demo_load() || load(&small, &subjects[0].m) || load_experts(&subjects[1].m) ||
	    accel_model_load("models/octans-kinds.gguf", &subjects[3].m))
		return ok(false, "no models: %s", accel_error()) ? 0 : done();
	subjects[2].m = model;
	for (uint32_t i = 0; i < n; i++)
		compute_alone(&subjects[i]);
	for (uint32_t i = 0; i < n; i++)
		test_all(&subjects[i], i);
	test_failure(&subjects[0], 3, 1, "fault 0", -EFAULT, "address");
	test_return(&subjects[0], 3, 2);
	test_strict(&subjects[0]);
	test_late(&subjects[0]);
	test_neighbours(&subjects[0]);
	test_unknown(&subjects[0]);
	for (uint32_t n = 2; n < 4; n++)
		for (uint32_t faulty = 0; faulty < n; faulty++)
			test_fails_at_first(&subjects[0], n, faulty);
	test_stopped(&subjects[0]);
	for (int i = 0; i < 2; i++)
		test_others(&subjects[0], i);
	test_not_shared(&subjects[0]);
	test_apart(&subjects[0]);
	test_apart(&subjects[3]);
	for (uint32_t n = 2; n < 4; n++)
		for (uint32_t full = 0; full < n; full++) {
			test_no_room(&subjects[0], n, full, 0);
			test_no_room(&subjects[0], n, full, 75);
		}
	test_no_room(&subjects[3], 2, 1, 75);
	for (int i = 0; i < 4; i++)
		test_no_relay(&subjects[0], i % 2, i / 2);
	test_kept(&subjects[0], ACCEL_KV_F16);
	test_kept(&subjects[2], ACCEL_KV_Q8_0);
	test_kept(&subjects[3], ACCEL_KV_F32);
	test_foretold(&subjects[2], SIM);
	test_foretold(&subjects[2], "sim:profile=octans-e,rings=1,threads=1");
	test_time(&subjects[2]);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < SEQS; k++)
			free(subjects[i].alone[k]);
		accel_model_free(subjects[i].m);
	}
	return done();
}
