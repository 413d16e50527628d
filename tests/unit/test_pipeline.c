// SPDX-License-Identifier: MIT
/*
 * Layers split over several processors, which compute several chunks at once: whatever the split, the chunks and
 * the sequences, and whatever fails or is cancelled in the middle, the bits are those of the CPU.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <octans/isa.h>

#include "device/transport.h"
#include "subjects.h"
/* It has a struct build of its own. */
#define build layer_build
#include "engine/engine.h"
#undef build

#define LAYERS 32

/* ---- engines on several processors ---- */

struct line {
	const struct subject *s;
	struct accel_dev *dev[CARDS];
	uint32_t n;
	uint32_t places[LAYERS];
	enum accel_stream stream;
	uint64_t most;			/* bytes of each card; 0: all */
	struct accel_plan *plan;
	struct accel_engine *engine;
	struct accel_seq *seq[SEQS];
};

/* fault: for processor `faulty` alone, as ACCEL_SIM_CONTROL. */
static void line_open(struct line *l, uint32_t n, uint32_t faulty, const char *fault)
{
	for (l->n = 0; l->n < n; l->n++) {
		if (fault && l->n == faulty)
			setenv("ACCEL_SIM_CONTROL", fault, 1);
		ok(!accel_open("sim:rings=1,threads=1", &l->dev[l->n]), "processor %u", l->n);
		unsetenv("ACCEL_SIM_CONTROL");
	}
}

/* Runs of layers on one processor after the other, each of at least one layer. */
static void split(struct line *l)
{
	const uint32_t layers = l->s->info.n_layers;
	uint32_t at = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t left = layers - at - (l->n - 1 - i), k = i + 1 < l->n ? 1 + roll(left) : left;

		while (k--)
			l->places[at++] = ACCEL_PLACE_DEVICE(i);
	}
}

/* Anywhere: back and forth, and on the CPU in between. */
static void scatter(struct line *l)
{
	for (uint32_t i = 0, where = 0; i < l->s->info.n_layers; i++) {
		if (!i || !roll(2))
			where = roll(l->n + 1);
		l->places[i] = where < l->n ? ACCEL_PLACE_DEVICE(where) : ACCEL_PLACE_CPU;
	}
}

static struct accel_dev *gone;		/* as soon as there is a plan */

static int line_start(struct line *l, uint32_t batch, struct accel_engine_opts o)
{
	struct accel_devinfo info[CARDS];
	const struct accel_devinfo *list[CARDS];
	struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 96, .seqs = SEQS, .batch = batch, .page = 1u << (2 + roll(4)),
		.places = l->places, .n_places = l->s->info.n_layers, .stream = l->stream,
		.max_device_bytes = l->most,
	};
	int err = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		info[i].sz = sizeof(info[i]);
		accel_dev_info(l->dev[i], &info[i]);
		list[i] = &info[i];
	}
	o.sz = sizeof(o);
	o.threads = 1;
	err = accel_plan_new(l->s->m, list, l->n, &po, &l->plan);
	if (gone)
		accel_dev_control(gone, "remove", NULL, 0);
	if (!err)
		err = accel_engine_new(l->plan, l->dev, l->n, &o, &l->engine);
	for (uint32_t i = 0; i < SEQS && !err; i++)
		err = accel_seq_new(l->engine, &l->seq[i]);
	if (err)
		printf("# %s\n", accel_error());
	return err;
}

static void line_stop_engine(struct line *l)
{
	for (uint32_t i = 0; i < SEQS; i++)
		accel_seq_free(l->seq[i]);
	accel_engine_free(l->engine);
	accel_plan_free(l->plan);
	memset(l->seq, 0, sizeof(l->seq));
	l->engine = NULL;
	l->plan = NULL;
}

static void line_stop(struct line *l)
{
	line_stop_engine(l);
	for (uint32_t i = 0; i < l->n; i++)
		accel_close(l->dev[i]);
}

static struct accel_engine_stats line_stats(const struct line *l)
{
	struct accel_engine_stats st = { .sz = sizeof(st) };

	accel_engine_stats(l->engine, &st);
	return st;
}

static int32_t where(const struct line *l, uint32_t layer)
{
	struct accel_layer a = { .sz = sizeof(a) };

	accel_engine_layer(l->engine, layer, &a);
	return a.device;
}

static const char *places_text(const struct line *l)
{
	static char text[LAYERS + 1];

	for (uint32_t i = 0; i < l->s->info.n_layers; i++)
		text[i] = l->places[i] == ACCEL_PLACE_CPU ? '-' : '0' + l->places[i] - ACCEL_PLACE_DEVICE(0);
	text[l->s->info.n_layers] = 0;
	return text;
}

static struct accel_input input(const struct line *l, uint32_t seq, uint32_t pos, uint32_t n, enum accel_want want)
{
	return (struct accel_input) {
		.sz = sizeof(struct accel_input), .seq = l->seq[seq], .tokens = l->s->text[seq] + pos, .n = n,
		.want = want,
	};
}

/* Sequence seq from pos on, all rows. */
static int eval(const struct line *l, uint32_t seq, uint32_t pos, uint32_t n, bool *same)
{
	const struct accel_input in = input(l, seq, pos, n, ACCEL_WANT_ALL);
	struct accel_step *step = NULL;
	int err = accel_step_run(l->engine, &in, 1, NULL, &step);

	*same = !err && same_rows(l->s, seq, pos, accel_step_logits(step, 0, NULL), n);
	accel_step_free(step);
	return err;
}

/* All sequences at once, in steps of random lengths. */
static bool eval_all(const struct line *l)
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
			in[n++] = input(l, i, at[i], k, roll(2) ? ACCEL_WANT_ALL : ACCEL_WANT_LAST);
		}
		if (n && accel_step_run(l->engine, in, n, NULL, &step))
			return false;
		for (uint32_t k = 0; k < n; k++) {
			uint32_t i = of[k], rows;
			const float *logits = accel_step_logits(step, k, &rows);

			same = same && same_rows(l->s, i, at[i] + in[k].n - rows, logits, rows);
			at[i] += in[k].n;
		}
		accel_step_free(step);
	}
	return same;
}

/* ---- the tests ---- */

/* Weights are on the cards, or all that may be in the host's memory. */
static void test_splits(const struct subject *s, uint32_t n, bool anywhere)
{
	for (int round = 0; round < 4; round++) {
		const uint32_t batch = 1 + roll(16);
		struct line l = { .s = s, .stream = round % 2 ? ACCEL_STREAM_ALWAYS : ACCEL_STREAM_NEVER };
		bool same = false;

		line_open(&l, n, 0, NULL);
		if (anywhere)
			scatter(&l);
		else
			split(&l);
		ok(!line_start(&l, batch, (struct accel_engine_opts) { .strict = true }) && !eval(&l, 0, 0, LENGTH, &same) &&
		   same, "%s on %s, %u at once: a prompt", s->name, places_text(&l), batch);
		for (uint32_t i = 0; i < SEQS && l.engine; i++)
			accel_seq_trim(l.seq[i], 0);
		ok(l.engine && eval_all(&l), "several sequences");
		line_stop(&l);
	}
}

/* Processors work at once, on memory that both reach. */
static void test_overlap(const struct subject *s)
{
	struct line l = { .s = s };
	struct accel_engine_stats st;
	const double hz = 1e9;
	double busy;
	bool same;

	line_open(&l, 2, 0, NULL);
	for (uint32_t i = 0; i < s->info.n_layers; i++)
		l.places[i] = ACCEL_PLACE_DEVICE(i >= s->info.n_layers / 2);
	ok(!line_start(&l, 4, (struct accel_engine_opts) { .strict = true }), "two halves");
	for (uint32_t k = 0; k < l.engine->shape.flights; k++)
		ok(exec_dev_io(l.engine->cards[0].exec, k)->x == exec_dev_io(l.engine->cards[1].exec, k)->x &&
		   (!k || exec_dev_io(l.engine->cards[0].exec, k)->x != exec_dev_io(l.engine->cards[0].exec, k - 1)->x),
		   "pass %u has one place for both", k);
	ok(!eval(&l, 0, 0, LENGTH, &same) && same, "a prompt");
	st = line_stats(&l);
	busy = st.modelled.cycles / hz * 1e9;
	ok(st.submits == 2 * LENGTH / 4 && st.modelled_ns < 0.7 * busy && st.modelled_ns > 0.5 * busy,
	   "%llu ns, of which both are busy %.0f", (unsigned long long)st.modelled_ns, busy);
	ok(!eval(&l, 1, 0, 1, &same) && same && line_stats(&l).modelled_ns > st.modelled_ns, "a token");
	line_stop(&l);
}

static atomic_bool no_threads;

/* In libc's place. */
__attribute__((visibility("default"))) int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *),
							  void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");

	return no_threads ? EAGAIN : real(t, attr, fn, arg);
}

/* The model finds no thread that waits for another processor's jobs: the process waits for them. */
static void test_no_thread(const struct subject *s)
{
	struct line l = { .s = s };
	bool same = false;

	line_open(&l, 3, 0, NULL);
	split(&l);
	ok(!line_start(&l, 4, (struct accel_engine_opts) { .strict = true }), "%s", places_text(&l));
	no_threads = true;
	ok(!eval(&l, 0, 0, LENGTH, &same) && same, "no thread is left");
	no_threads = false;
	ok(!eval(&l, 1, 0, LENGTH, &same) && same, "and now there are");
	line_stop(&l);
}

struct neighbour {
	struct line l;
	uint32_t seq;
	bool good;
};

/* Makes an engine from its plan, computes, and frees it, again and again. */
static void *come_and_go(void *arg)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	struct neighbour *n = arg;
	struct line *l = &n->l;

	n->good = true;
	for (int round = 0; round < 4 && n->good; round++) {
		bool same = false;

		n->good = !accel_engine_new(l->plan, l->dev, l->n, &o, &l->engine) &&
			  !accel_seq_new(l->engine, &l->seq[n->seq]) && !eval(l, n->seq, 0, LENGTH, &same) && same;
		accel_seq_free(l->seq[n->seq]);
		accel_engine_free(l->engine);
	}
	l->seq[n->seq] = NULL;
	l->engine = NULL;
	return NULL;
}

/* Several engines share processors, and threads make and free them at once. */
static void test_neighbours(const struct subject *s)
{
	struct neighbour n[SEQS];
	pthread_t t[SEQS];
	struct line l = { .s = s };

	line_open(&l, 2, 0, NULL);
	for (uint32_t i = 0; i < SEQS; i++) {
		split(&l);
		ok(!line_start(&l, 1 + 2 * i, (struct accel_engine_opts) { .strict = true }), "%s", places_text(&l));
		for (uint32_t k = 0; k < SEQS; k++)
			accel_seq_free(l.seq[k]);
		accel_engine_free(l.engine);
		n[i] = (struct neighbour) { .l = l, .seq = i };
		memset(n[i].l.seq, 0, sizeof(n[i].l.seq));
	}
	for (uint32_t i = 0; i < SEQS; i++)
		pthread_create(&t[i], NULL, come_and_go, &n[i]);
	for (uint32_t i = 0; i < SEQS; i++) {
		pthread_join(t[i], NULL);
		ok(n[i].good, "engine %u beside others", i);
		accel_plan_free(n[i].l.plan);
	}
	for (uint32_t i = 0; i < l.n; i++)
		accel_close(l.dev[i]);
}

/* One processor fails in the middle of a prompt: it is the one that is blamed, and all rows are there. */
static void test_failure(const struct subject *s, uint32_t n, uint32_t faulty, const char *fault, int err, const char *says)
{
	struct line l = { .s = s };
	struct accel_engine_stats st;
	char line[64];
	uint32_t moved = 0, stayed = 0, n_faulty = 0;
	bool same = false;

	/* not while it is made, nor in the last passes */
	snprintf(line, sizeof(line), "%u:%s", 8 + roll(4), fault);
	line_open(&l, n, faulty, line);
	if (!strncmp(fault, "hang", 4))
		l.dev[faulty]->info.max_timeout_ms = 1500;
	split(&l);
	ok(!line_start(&l, 4, (struct accel_engine_opts) { .retry_ms = UINT32_MAX }) && !line_stats(&l).fallbacks,
	   "%s on %s", s->name, places_text(&l));
	ok(!eval(&l, 0, 0, LENGTH, &same) && same, "%s: %u of %u, all rows", line, faulty, n);
	st = line_stats(&l);
	for (uint32_t i = 0; i < s->info.n_layers; i++) {
		const bool its = l.places[i] == ACCEL_PLACE_DEVICE(faulty);

		n_faulty += its;
		moved += its && where(&l, i) < 0;
		stayed += !its && where(&l, i) == (int32_t)(l.places[i] - ACCEL_PLACE_DEVICE(0));
	}
	ok(st.fallbacks == 1 && st.fallback_error == err && strstr(st.fallback_reason, says) && moved == n_faulty &&
	   moved + stayed == s->info.n_layers, "%u layers left, %u stayed: %s", moved, stayed, st.fallback_reason);
	accel_seq_trim(l.seq[0], 0);
	ok(eval_all(&l), "and it goes on");
	line_stop(&l);
}

/* Told to be strict, the engine says whose failure it was, and the sequence is what it was. */
static void test_strict(const struct subject *s)
{
	for (uint32_t faulty = 0; faulty < 2; faulty++) {
		struct line l = { .s = s };
		bool same;
		int err;

		line_open(&l, 2, faulty, "9:fault 0");
		split(&l);
		ok(!line_start(&l, 4, (struct accel_engine_opts) { .strict = true }), "%s", places_text(&l));
		err = eval(&l, 0, 0, LENGTH, &same);
		ok(err == -EFAULT && strstr(accel_error(), "address") && l.engine->failed_card == (int)faulty &&
		   !accel_seq_length(l.seq[0]), "%u: %s", faulty, accel_error());
		line_stop(&l);
	}
}

/* One that comes back takes part again. */
static void test_return(const struct subject *s)
{
	struct line l = { .s = s };
	bool good = true, same;

	line_open(&l, 2, 1, "9:fault 0");
	split(&l);
	ok(!line_start(&l, 3, (struct accel_engine_opts) { .retry_ms = 1 }), "%s", places_text(&l));
	for (uint32_t i = 0; i < SEQS; i++) {
		good = good && !eval(&l, i, 0, LENGTH, &same) && same;
		nanosleep(&(struct timespec) { .tv_nsec = 5000000 }, NULL);
	}
	ok(good && line_stats(&l).fallbacks == 1 && line_stats(&l).returns == 1 &&
	   where(&l, s->info.n_layers - 1) == 1, "away and back");
	line_stop(&l);
}

/* A prompt is cancelled, or late, in the middle: what was under way is of no account, and nobody has failed. */
static void test_cancel(const struct subject *s, uint32_t n)
{
	uint32_t stopped = 0;
	struct line l = { .s = s };
	bool good = true, same;

	line_open(&l, n, 0, NULL);
	split(&l);
	ok(!line_start(&l, 1, (struct accel_engine_opts) { .strict = true }), "%s", places_text(&l));
	for (uint32_t round = 0; round < 8 && good; round++) {
		const struct accel_input in = input(&l, 0, 5, LENGTH - 5, ACCEL_WANT_ALL);
		const long ns = roll(20) * 500000;
		struct accel_step_opts o = { .sz = sizeof(o) };
		struct accel_step *step;
		int err;

		accel_seq_trim(l.seq[0], 0);
		good = !eval(&l, 0, 0, 5, &same) && same;
		if (round % 2)
			o.deadline_ns = now_ns() + ns;
		good = good && !accel_step_submit(l.engine, &in, 1, &o, &step);
		if (!good)
			break;
		if (!o.deadline_ns) {
			nanosleep(&(struct timespec) { .tv_nsec = ns }, NULL);
			accel_step_cancel(step);
		}
		err = accel_step_wait(step, INT64_MAX);
		good = err ? err == (o.deadline_ns ? -ETIMEDOUT : -ECANCELED) && accel_seq_length(l.seq[0]) == 5 :
		       same_rows(s, 0, 5, accel_step_logits(step, 0, NULL), LENGTH - 5);
		stopped += err != 0;
		accel_step_free(step);
		if (err)
			good = good && !eval(&l, 0, 5, LENGTH - 5, &same) && same;
	}
	ok(good && stopped && !line_stats(&l).fallbacks, "%u prompts were stopped", stopped);
	line_stop(&l);
}

/* Another client of the second processor hangs, and its reset takes the whole device with it. */
static void disturb(struct accel_dev *dev)
{
	struct octans_cmd_wait wait = {
		.cmd = { .op = OCTANS_OP_WAIT, .size = sizeof(wait) }, .va = 0x12000, .value = 1,
	};
	const struct accel_job job = { .sz = sizeof(job), .va = 0x10000, .size = sizeof(wait) };
	struct accel_queue *q = NULL;
	struct accel_fence *f = NULL;
	struct accel_bo *bo = NULL;
	struct accel_vm *vm = NULL;
	char reply[256];
	void *map = NULL;

	if (!ok(!accel_bo_new(dev, 0x4000, ACCEL_BO_HOST, NULL, &bo) && !accel_bo_map(bo, &map) &&
		!accel_vm_new(dev, &vm) && !accel_vm_map(vm, bo, 0, 0x10000, 0x4000, 0) &&
		!accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 20, &q), "another client"))
		return;
	memcpy(map, &wait, sizeof(wait));
	accel_dev_control(dev, "fail-reset ring 0", reply, sizeof(reply));
	accel_dev_control(dev, "fail-reset ring 1", reply, sizeof(reply));
	ok(!accel_submit(q, &job, 1, NULL, 0, &f) && accel_fence_wait(f, INT64_MAX) == -ETIME, "hangs");
	accel_fence_free(f);
	accel_queue_free(q);
	accel_vm_free(vm);
	accel_bo_free(bo);
}

static void test_innocent(const struct subject *s)
{
	struct line l = { .s = s };
	struct accel_input in;
	struct accel_step *step = NULL;

	line_open(&l, 1, 0, NULL);
	ok(!accel_open("sim:rings=2,threads=1", &l.dev[l.n++]), "a processor for two clients");
	split(&l);
	ok(!line_start(&l, 1, (struct accel_engine_opts) { .strict = false }), "%s", places_text(&l));
	in = input(&l, 0, 0, LENGTH, ACCEL_WANT_ALL);
	ok(!accel_step_submit(l.engine, &in, 1, NULL, &step), "a prompt");
	disturb(l.dev[1]);
	ok(!accel_step_wait(step, INT64_MAX) && same_rows(s, 0, 0, accel_step_logits(step, 0, NULL), LENGTH) &&
	   !line_stats(&l).fallbacks, "costs time, and no layer moves");
	accel_step_free(step);
	line_stop(&l);
}

/* ---- without common memory ---- */

static uint32_t warnings;

static void count_warnings(void *arg, enum accel_log_level level, const char *sentence)
{
	(void)arg;
	warnings += level == ACCEL_LOG_WARNING && strstr(sentence, "this process copies");
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

/* The process copies, says so, and all is as it was. */
static void test_no_relay(const struct subject *s, bool export)
{
	struct transport broken = transport_sim;
	struct line l = { .s = s };
	bool same;

	if (export)
		broken.bo_export = no_export;
	else
		broken.bo_import = no_import;
	line_open(&l, 3, 0, NULL);
	l.dev[export ? 0 : 1]->t = &broken;
	split(&l);
	warnings = 0;
	accel_log_set(count_warnings, NULL);
	ok(!line_start(&l, 5, (struct accel_engine_opts) { .strict = true }) && warnings == 1, "%u warnings", warnings);
	accel_log_set(NULL, NULL);
	ok(!eval(&l, 0, 0, LENGTH, &same) && same, "a prompt");
	accel_seq_trim(l.seq[0], 0);
	ok(eval_all(&l), "several sequences");
	line_stop(&l);
}

static char said[512];

static void note_warning(void *arg, enum accel_log_level level, const char *sentence)
{
	(void)arg;
	warnings += level == ACCEL_LOG_WARNING;
	snprintf(said, sizeof(said), "%s", sentence);
}

/* A processor that is gone when the engine is made: that is said, and nothing of what follows from it; the others hand
 * over to each other as ever. */
static void test_gone_before(const struct subject *s, uint32_t faulty, bool strict)
{
	struct line l = { .s = s };
	bool same;
	int err;

	line_open(&l, 3, 0, NULL);
	split(&l);
	warnings = 0;
	gone = l.dev[faulty];
	accel_log_set(note_warning, NULL);
	err = line_start(&l, 5, (struct accel_engine_opts) { .strict = strict });
	accel_log_set(NULL, NULL);
	gone = NULL;
	if (strict) {
		ok(err == -ENODEV && !warnings && strstr(accel_error(), "gone"), "%u: %s", faulty, accel_error());
	} else {
		ok(!err && warnings == 1 && strstr(said, "layers of sim go on on the CPU, for good") && l.engine->relay.fd >= 0, "%u: %s", faulty, said);
		ok(!err && !eval(&l, 0, 0, LENGTH, &same) && same, "a prompt");
	}
	line_stop(&l);
}

static uint32_t on_card(const struct line *l)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->s->info.n_layers && l->plan; i++) {
		struct accel_layer a = { .sz = sizeof(a) };

		accel_plan_layer(l->plan, i, &a);
		n += a.experts_on_card;
	}
	return n;
}

/* Each pass under way tells which experts it chose, whatever others choose meanwhile: as many are found on the
 * card, which has room for some of them, as if passes came one by one. */
static void test_experts(const struct subject *s)
{
	struct accel_engine_stats st[2] = { 0 };
	uint32_t near[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		struct line l = { .s = s, .stream = ACCEL_STREAM_ALWAYS };
		bool same;

		line_open(&l, 1 + i, 0, NULL);
		for (uint32_t k = 0; k < s->info.n_layers; k++)	/* the last: so that the second is not idle */
			l.places[k] = ACCEL_PLACE_DEVICE(i && k + 1 == s->info.n_layers);
		for (l.most = 64 << 10; l.most < 64 << 20; l.most += 4096) {	/* until there is room for some */
			random_state = 1;
			if (!line_start(&l, 3, (struct accel_engine_opts) { .strict = true }) && on_card(&l) >= 9)
				break;
			line_stop_engine(&l);
		}
		near[i] = on_card(&l);
		ok(l.engine && !eval(&l, 0, 0, LENGTH, &same) && same && l.engine->shape.flights == (i ? 3 : 1),
		   "%s: %u experts on the card", s->name, near[i]);
		st[i] = line_stats(&l);
		line_stop(&l);
	}
	ok(near[0] == near[1] && st[0].expert_uses == 3 * 2 * LENGTH && st[1].expert_uses == st[0].expert_uses &&
	   st[0].expert_hits < st[0].expert_uses && st[1].expert_hits == st[0].expert_hits,
	   "%llu were chosen, %llu of them there; of %llu %llu",
	   (unsigned long long)st[0].expert_uses, (unsigned long long)st[0].expert_hits,
	   (unsigned long long)st[1].expert_uses, (unsigned long long)st[1].expert_hits);
}

/* A processor that has no layers is as if it were not there: no memory is taken for its sake, and a prompt on the other
 * one ends as soon as it is cancelled. */
static void test_idle(const struct subject *s)
{
	uint64_t host[2] = { 0 }, device[2] = { 0 }, submits[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		struct line l = { .s = s };
		struct accel_input in;
		struct accel_step *step = NULL;
		char reply[256];

		random_state = 3;
		line_open(&l, 1 + i, 0, NULL);
		for (uint32_t k = 0; k < s->info.n_layers; k++)
			l.places[k] = ACCEL_PLACE_DEVICE(0);
		ok(!line_start(&l, 4, (struct accel_engine_opts) { .strict = true }), "%d of them idle", i);
		host[i] = plan_info(l.plan).host_bytes;
		device[i] = plan_info(l.plan).device_bytes;
		accel_dev_control(l.dev[0], "slow ring 0 1000", reply, sizeof(reply));
		in = input(&l, 0, 0, LENGTH, ACCEL_WANT_LAST);
		ok(!accel_step_submit(l.engine, &in, 1, NULL, &step), "a prompt of %d passes", LENGTH / 4);
		nanosleep(&(struct timespec) { .tv_nsec = 30000000 }, NULL);
		accel_step_cancel(step);
		ok(accel_step_wait(step, INT64_MAX) == -ECANCELED, "is cancelled in its first");
		accel_step_free(step);
		submits[i] = line_stats(&l).submits;
		line_stop(&l);
	}
	ok(host[0] == host[1] && device[0] == device[1], "%llu bytes of the host, with an idle one %llu",
	   (unsigned long long)host[0], (unsigned long long)host[1]);
	ok(submits[0] && submits[1] <= 2, "%llu submissions, with an idle one %llu", (unsigned long long)submits[0],
	   (unsigned long long)submits[1]);
}

/* What is foretold: parts of the prompt at once, a token in turns. */
static void test_foretold(const struct subject *s)
{
	struct line l = { .s = s };
	struct accel_prediction p = { .sz = sizeof(p) };

	line_open(&l, 2, 0, NULL);
	for (uint32_t i = 0; i < s->info.n_layers; i++)
		l.places[i] = ACCEL_PLACE_DEVICE(i >= s->info.n_layers / 2);
	ok(!line_start(&l, 4, (struct accel_engine_opts) { .strict = true }) &&
	   !accel_plan_predict(l.plan, LENGTH, &p) && p.prompt_s < 0.7 * p.prompt_device_s &&
	   p.prompt_s > 0.5 * p.prompt_device_s && p.token_s == p.token_device_s, "%g s of %g s; %g s", p.prompt_s,
	   p.prompt_device_s, p.token_s);
	line_stop(&l);
}

static void test_all(const struct subject *s, uint32_t i)
{
	test_splits(s, 2, false);
	test_splits(s, 3, false);
	test_splits(s, 2, true);
	test_splits(s, 3, true);
	for (uint32_t faulty = 0; faulty < 3; faulty++) {
		test_failure(s, 3, faulty, "fault 0", -EFAULT, "address");
		test_failure(s, 3, faulty, "remove", -ENODEV, "gone");
	}
	test_failure(s, 2, i % 2, "hang ring 0", -ETIME, "ran longer");
	test_strict(s);
	test_return(s);
	test_cancel(s, 2 + i % 2);
	test_innocent(s);
	test_no_relay(s, i % 2);
}

/* Without a word of where layers are to be: a small model stays on one processor, one that has no room there is spread
 * evenly. */
static void test_balance(const char *spec, uint32_t least, uint32_t most)
{
	const struct accel_plan_opts po = { .sz = sizeof(po), .batch = 32, .stream = ACCEL_STREAM_NEVER };
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list[2] = { &info, &info };
	struct accel_plan *plan = NULL;
	struct accel_dev *dev;
	uint32_t on[2] = { 0 }, told = 0;

	ok(!accel_open(spec, &dev) && !accel_dev_info(dev, &info) && !accel_plan_new(model, list, 2, &po, &plan),
	   "%s, %s", spec, accel_error());
	for (uint32_t i = 1; i < mi.n_layers && plan; i++) {
		struct accel_layer a = { .sz = sizeof(a) };

		accel_plan_layer(plan, i, &a);
		if (a.device >= 0)
			on[a.device]++;
		told += strstr(a.detail, "over 2 processors an answer would take ") != NULL;
	}
	ok(told == (most ? 0 : mi.n_layers - 1), "%u layers say why they are not on both", told);
	ok(on[0] + on[1] == mi.n_layers - 1 && on[1] >= least && on[1] <= most, "%u layers on one, %u on the other", on[0],
	   on[1]);
	accel_plan_free(plan);
	accel_close(dev);
}

/* One has none where the caller gave the CPU some: those of the other say why; and why they are not shared, if they were to
 * be, without half of a sentence. */
static void test_left_out(void)
{
	struct accel_plan_opts po = { .sz = sizeof(po), .batch = 32, .n_places = mi.n_layers };
	uint32_t *places = calloc(mi.n_layers, sizeof(*places)), told[2] = { 0 }, n = 0;
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list[2] = { &info, &info };
	struct accel_dev *dev;

	ok(places && !accel_open("sim", &dev) && !accel_dev_info(dev, &info), "a card");
	for (uint32_t i = 0; i < mi.n_layers; i++)
		places[i] = i < mi.n_layers / 2 ? ACCEL_PLACE_ANY : ACCEL_PLACE_CPU;
	po.places = places;
	for (int shared = 0; shared < 2; shared++) {
		struct accel_plan *plan = NULL;

		po.split = shared ? ACCEL_SPLIT_TENSOR : ACCEL_SPLIT_LAYER;
		ok(!accel_plan_new(model, list, 2, &po, &plan), "%s", accel_error());
		for (uint32_t i = 1; i < mi.n_layers && plan; i++) {
			struct accel_layer a = { .sz = sizeof(a) };
			const char *end;

			accel_plan_layer(plan, i, &a);
			n += a.device >= 0;
			end = strstr(a.detail, shared ? "; not shared" : "; layers are not spread");
			told[shared] += a.device == 0 && end && !strcmp(end, shared ?
				"; not shared: places of layers, or weights in the host's memory, were asked for" :
				"; layers are not spread over 2 processors: the CPU has some of them");
		}
		accel_plan_free(plan);
	}
	ok(n && told[0] * 2 == n && told[1] * 2 == n, "of %u layers, %u say why they are not spread, %u why not shared",
	   n / 2, told[0], told[1]);
	accel_close(dev);
	free(places);
}

int main(void)
{
	const struct llama_build small = {
		.type = ACCEL_Q8_0, .blocks = 4, .embd = 64, .heads = 4, .kv_heads = 2, .ff = 96, .vocab = 300, .ctx = 128,
	};
	struct subject subjects[] = {
		{ .name = "llama" }, { .name = "mamba" }, { .name = "delta" }, { .name = "experts" }, { .name = "demo" },
	};
	const uint32_t n = sizeof(subjects) / sizeof(subjects[0]);

	if (!demo_load() || load(&small, &subjects[0].m) || hybrid_mamba(300, &subjects[1].m) ||
	    hybrid_delta(300, &subjects[2].m) || load_experts(&subjects[3].m))
		return ok(false, "no models: %s", accel_error()) ? 0 : done();
	subjects[4].m = model;
	for (uint32_t i = 0; i < n; i++)
		compute_alone(&subjects[i]);
	for (uint32_t i = 0; i < 4; i++)
		test_all(&subjects[i], i);
	test_experts(&subjects[3]);
	for (uint32_t faulty = 0; faulty < 3; faulty++) {
		test_gone_before(&subjects[faulty], faulty, false);
		test_gone_before(&subjects[faulty], faulty, true);
	}
	test_idle(&subjects[0]);
	test_no_thread(&subjects[0]);
	test_neighbours(&subjects[0]);
	test_splits(&subjects[4], 2, false);
	test_overlap(&subjects[4]);
	test_foretold(&subjects[4]);
	test_balance("sim", 0, 0);
	test_balance("sim:local=4M", 4, 5);
	test_left_out();
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < SEQS; k++)
			free(subjects[i].alone[k]);
		accel_model_free(subjects[i].m);
	}
	return done();
}
