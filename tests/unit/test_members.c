// SPDX-License-Identifier: MIT
/* Processors that share layers, one of which fails, is late or has no room: the bits stay, and it is named. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device/transport.h"
#include "group.h"

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

static void test_each(const struct subject *s, uint32_t i)
{
	for (uint32_t faulty = 0; faulty < 2; faulty++) {
		test_failure(s, 2, faulty, "fault 0", -EFAULT, "address");
		test_failure(s, 2, faulty, "remove", -ENODEV, "gone");
	}
	test_failure(s, 2, i % 2, "hang ring 0", -ETIME, "ran longer");
	test_return(s, 2, i % 2);
}

int main(void)
{
	struct subject subjects[SUBJECTS];

	if (!subjects_load(subjects))
		return done();
	for (uint32_t i = 0; i < SUBJECTS; i++)
		test_each(&subjects[i], i);
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
	for (uint32_t n = 2; n < 4; n++)
		for (uint32_t full = 0; full < n; full++) {
			test_no_room(&subjects[0], n, full, 0);
			test_no_room(&subjects[0], n, full, 75);
		}
	test_no_room(&subjects[3], 2, 1, 75);
	for (int i = 0; i < 4; i++)
		test_no_relay(&subjects[0], i % 2, i / 2);
	subjects_free(subjects);
	return done();
}
