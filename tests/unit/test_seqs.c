// SPDX-License-Identifier: MIT
/*
 * Many sequences on one engine: whatever is computed together, in whatever chunks and pages, forked,
 * trimmed, saved and loaded, gives each the bits that it gives alone.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <accel/engine.h>

#include "engine_rig.h"
#include "hybrid_build.h"
#include "mla_build.h"
/* It has a struct build of its own. */
#define build layer_build
#include "memory_layer.h"
#undef build
#include "tap.h"

#define MODEL "models/octans-demo.gguf"
#define KINDS "models/octans-kinds.gguf"
#define SEQS 32
#define LENGTH 90			/* most tokens of a sequence */

static struct accel_model *model;
static struct accel_model_info mi = { .sz = sizeof(mi) };
static int32_t text[SEQS][LENGTH];
static uint32_t length[SEQS];
static float *alone[SEQS];		/* [length][n_vocab]: logits of every position */
static size_t row;			/* bytes of one */

static uint32_t random_state = 1;

static uint32_t roll(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

/* Half of them begin alike. */
static void make_texts(void)
{
	for (uint32_t i = 0; i < SEQS; i++) {
		length[i] = 1 + roll(LENGTH);
		for (uint32_t k = 0; k < LENGTH; k++)
			text[i][k] = i % 2 && k < 40 ? (int32_t)(k * 7 + 3) % (int32_t)mi.n_vocab :
				     (int32_t)roll(mi.n_vocab);
	}
}

/* On the CPU, scalar, one at a time. */
static void compute_alone(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .isa = "scalar" };
	const struct accel_plan_opts po = { .ctx = 128, .page = 128 };
	struct rig r = rig_new(model, NULL, po, &o);
	const float *logits;
	uint64_t odd = 0;

	for (uint32_t i = 0; i < SEQS; i++) {
		alone[i] = calloc(length[i], row);
		accel_seq_trim(r.seq, 0);
		if (!rig_eval(&r, text[i], length[i], ACCEL_WANT_ALL, &logits))
			memcpy(alone[i], logits, length[i] * row);
		for (uint32_t k = 0; k < length[i] * mi.n_vocab; k++)
			odd += !isfinite(alone[i][k]) || !alone[i][k];
	}
	ok(!odd, "numbers that can differ: %llu cannot", (unsigned long long)odd);
	rig_free(&r);
}

static const float *expected(uint32_t i, uint32_t pos)
{
	return alone[i] + (size_t)pos * mi.n_vocab;
}

struct run {
	struct rig rig;
	struct accel_seq *seq[SEQS];
	uint32_t at[SEQS];
	uint32_t bad, compared;
};

static int memory_file(void)
{
	return memfd_create("sequence", MFD_CLOEXEC);
}

/* Something that is done to a sequence between steps, and changes nothing. */
static void disturb(struct run *r, uint32_t i)
{
	struct accel_engine *e = r->rig.engine;
	struct accel_seq *other = NULL;
	uint32_t back = roll(r->at[i] + 1);
	int fd;

	switch (roll(6)) {
	case 0:			/* goes on in a fork */
		r->bad += accel_seq_fork(r->seq[i], r->at[i], &other) != 0;
		break;
	case 1:			/* forgets its end */
		r->bad += accel_seq_trim(r->seq[i], back) != 0;
		r->at[i] = back;
		return;
	case 2:			/* goes on in a fork of its beginning, the original still there for a while */
		r->bad += accel_seq_fork(r->seq[i], back, &other) != 0;
		r->at[i] = back;
		break;
	case 3:			/* through a file */
		fd = memory_file();
		r->bad += accel_seq_save(r->seq[i], fd) != 0 || lseek(fd, 0, SEEK_SET) ||
			  accel_seq_load(e, fd, &other);
		close(fd);
		break;
	case 4:			/* what others have of it */
		r->bad += accel_seq_prefix(e, text[i], length[i], &other, &r->at[i]) != 0;
		break;
	default:
		return;
	}
	if (!other)
		return;
	accel_seq_free(r->seq[i]);
	r->seq[i] = other;
}

static void compare(struct run *r, uint32_t i, const struct accel_step *step, size_t k,
		    const struct accel_input *in)
{
	const uint32_t end = r->at[i] + in->n;
	const float *logits, *values;
	const int32_t *ids;
	uint32_t rows;

	logits = accel_step_logits(step, k, &rows);
	r->compared += rows;
	if (rows && memcmp(logits, expected(i, end - rows), rows * row))
		r->bad++;
	rows = accel_step_top(step, k, &ids, &values);
	r->compared += rows != 0;
	for (uint32_t t = 0; t < rows; t++)
		r->bad += memcmp(&values[t], &expected(i, end - 1)[ids[t]], sizeof(float)) != 0 ||
			  (t && !(values[t - 1] >= values[t]));
}

/* One step of some sequences, each with some tokens. */
static void step(struct run *r)
{
	struct accel_input in[SEQS];
	uint32_t which[SEQS];
	struct accel_step *s = NULL;
	size_t n = 0;

	for (uint32_t i = 0; i < SEQS; i++) {
		uint32_t left = length[i] - r->at[i];

		if (!left || !roll(3))
			continue;
		which[n] = i;
		in[n++] = (struct accel_input) {
			.sz = sizeof(struct accel_input),
			.seq = r->seq[i], .tokens = text[i] + r->at[i], .n = roll(2) ? 1 : 1 + roll(left),
			.want = roll(4), .top = 1 + roll(100),
		};
	}
	if (!n)
		return;
	if (roll(2)) {
		r->bad += accel_step_run(r->rig.engine, in, n, NULL, &s) != 0;
	} else {
		r->bad += accel_step_submit(r->rig.engine, in, n, NULL, &s) != 0;
		r->bad += s && accel_step_wait(s, INT64_MAX);
	}
	if (!s) {
		printf("# %s\n", accel_error());
		return;
	}
	for (size_t k = 0; k < n; k++) {
		compare(r, which[k], s, k, &in[k]);
		r->at[which[k]] += in[k].n;
	}
	accel_step_free(s);
}

static bool all_done(const struct run *r)
{
	for (uint32_t i = 0; i < SEQS; i++)
		if (r->at[i] < length[i])
			return false;
	return true;
}

static void test_mix(const char *spec, struct accel_plan_opts po, uint32_t seed, const char *what)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 + seed % 2, .strict = true };
	struct run r = { .rig = rig_new(model, spec, po, &o) };
	uint32_t steps;

	random_state = seed;
	for (uint32_t i = 0; i < SEQS && r.rig.engine; i++)
		r.bad += accel_seq_new(r.rig.engine, &r.seq[i]) != 0;
	for (steps = 0; steps < 400 && r.rig.engine && !all_done(&r); steps++) {
		step(&r);
		disturb(&r, roll(SEQS));
	}
	ok(r.rig.engine && !r.bad && all_done(&r), "%s: %u steps, %u rows compared, %u wrong", what, steps,
	   r.compared, r.bad);
	for (uint32_t i = 0; i < SEQS; i++)
		accel_seq_free(r.seq[i]);
	if (r.rig.engine)
		ok(!rig_stats(&r.rig).pages_used, "all pages are free again");
	rig_free(&r.rig);
}

/* Layers go by turns. */
static const uint32_t *by_turns(uint32_t n_devices, uint32_t stride)
{
	static uint32_t places[64];

	for (uint32_t i = 0; i < 64; i++)
		places[i] = i / stride % (n_devices + 1) ? ACCEL_PLACE_DEVICE(i / stride % (n_devices + 1) - 1) :
			    ACCEL_PLACE_CPU;
	return places;
}

static void test_mixes(void)
{
	const struct accel_plan_opts po = { .ctx = 96, .seqs = SEQS };
	struct accel_plan_opts o;

	test_mix(NULL, po, 1, "CPU");
	test_mix("sim", po, 2, "processor");
	o = po;
	o.page = 1;
	test_mix(NULL, o, 3, "CPU, pages of 1");
	o.page = 4;
	o.batch = 7;
	test_mix("sim", o, 4, "processor, pages of 4, 7 tokens at once");
	o.page = 16;
	o.seqs = 3;
	o.positions = 96 * SEQS * 2;
	o.batch = 64;
	test_mix("sim:rings=1", o, 5, "3 sequences at once");
	o = po;
	o.places = by_turns(1, 2);
	o.n_places = mi.n_layers;
	test_mix("sim", o, 6, "layers by twos");
	o.places = by_turns(1, 1);
	o.page = 8;
	o.kv_type = ACCEL_KV_F16;
	test_mix("sim:profile=octans-s", o, 7, "layers by turns, another processor");
}

/* Two processors and the CPU. */
static void test_two_cards(void)
{
	const struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 1, .strict = true };
	struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 96, .places = by_turns(2, 1), .n_places = mi.n_layers,
	};
	struct accel_devinfo info[2] = { { .sz = sizeof(info[0]) }, { .sz = sizeof(info[0]) } };
	const struct accel_devinfo *list[2] = { &info[0], &info[1] };
	struct accel_engine_stats st = { .sz = sizeof(st) };
	struct accel_dev *dev[2];
	struct rig r = { 0 };
	const float *logits;
	bool same = true;

	for (int i = 0; i < 2; i++) {
		accel_open(i ? "sim:profile=octans-e" : "sim", &dev[i]);
		accel_dev_info(dev[i], &info[i]);
	}
	ok(!accel_plan_new(model, list, 2, &po, &r.plan), "a plan for two processors");
	ok(accel_plan_device_bytes(r.plan, 0) && accel_plan_device_bytes(r.plan, 1) &&
	   !accel_plan_device_bytes(r.plan, 2), "both have some");
	if (ok(!accel_engine_new(r.plan, dev, 2, &eo, &r.engine) && !accel_seq_new(r.engine, &r.seq), "an engine"))
		for (int i = 0; i < 5; i++) {
			accel_seq_trim(r.seq, 0);
			same = same && !rig_eval(&r, text[i], length[i], ACCEL_WANT_ALL, &logits) &&
			       !memcmp(logits, alone[i], length[i] * row);
		}
	accel_engine_stats(r.engine, &st);
	ok(same && st.layers_cpu >= 3 && st.layers_device >= 6, "%u layers on two processors, %u on the CPU",
	   st.layers_device, st.layers_cpu);
	rig_free(&r);
	for (int i = 0; i < 2; i++)
		accel_close(dev[i]);
}

/* Weights are on the card once. */
static void test_once(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };
	const struct accel_plan_opts po = { .ctx = 96, .seqs = SEQS };
	struct rig r = rig_new(model, "sim", po, &o);
	struct accel_layer l = { .sz = sizeof(l) };
	struct accel_seq *seq[SEQS];
	struct accel_devinfo a = { .sz = sizeof(a) }, b = a;
	uint64_t kv = 0;

	accel_dev_info(r.dev, &a);
	for (uint32_t i = 0; i < SEQS; i++) {
		struct accel_input in = { .sz = sizeof(in), .tokens = text[i], .n = length[i] };

		accel_seq_new(r.engine, &seq[i]);
		in.seq = seq[i];
		accel_step_run(r.engine, &in, 1, NULL, NULL);
	}
	accel_dev_info(r.dev, &b);
	ok(a.memory_used == b.memory_used && rig_stats(&r).seqs == SEQS + 1,
	   "%u sequences take no more of the card than one", SEQS);
	for (uint32_t i = 0; i < SEQS; i++)
		accel_seq_free(seq[i]);
	rig_stop(&r);
	accel_dev_info(r.dev, &a);
	for (uint32_t i = 0; i < mi.n_layers; i++) {
		accel_plan_layer(r.plan, i, &l);
		kv += l.kv_bytes;
	}
	ok(b.memory_used - a.memory_used == accel_plan_device_bytes(r.plan, 0) &&
	   b.memory_used - a.memory_used < kv + 2 * mi.weight_bytes + (6 << 20),
	   "%llu bytes, as the plan says: %llu of keys and values, weights of %llu once, and activations",
	   (unsigned long long)(b.memory_used - a.memory_used), (unsigned long long)kv,
	   (unsigned long long)mi.weight_bytes);
	rig_free(&r);
}

/* ---- what is refused ---- */

static void test_refused(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	const struct accel_plan_opts po = { .ctx = 32, .seqs = 2, .page = 8, .positions = 48 };
	struct rig r = rig_new(model, NULL, po, &o), other = rig_new(model, NULL, po, &o);
	struct accel_seq *second, *third = NULL;
	int32_t bad[2] = { 1, -1 };
	struct accel_step *s;
	const int32_t *t = text[0];

	accel_seq_new(r.engine, &second);
#define RUN(e, ...) accel_step_run(r.engine, (struct accel_input []) { __VA_ARGS__ }, \
	sizeof((struct accel_input []) { __VA_ARGS__ }) / sizeof(struct accel_input), NULL, &s) == (e) && !s
#define IN(...) (struct accel_input) { .sz = sizeof(struct accel_input), __VA_ARGS__ }
	ok(accel_step_run(r.engine, NULL, 0, NULL, &s) == -EINVAL && !s, "%s", accel_error());
	ok(RUN(-EINVAL, IN(.seq = other.seq, .tokens = t, .n = 1)), "%s", accel_error());
	ok(RUN(-EINVAL, IN(.seq = r.seq, .tokens = t)), "%s", accel_error());
	ok(RUN(-EINVAL, IN(.seq = r.seq, .tokens = bad, .n = 2)), "%s", accel_error());
	ok(RUN(-EINVAL, IN(.seq = r.seq, .tokens = t, .n = 1, .want = 9)), "%s", accel_error());
	ok(RUN(-EINVAL, IN(.seq = r.seq, .tokens = t, .n = 1, .want = ACCEL_WANT_TOP)), "%s", accel_error());
	ok(RUN(-EINVAL, IN(.seq = r.seq, .tokens = t, .n = 1, .reserved = 1)), "%s", accel_error());
	ok(RUN(-EINVAL, IN(.seq = r.seq, .tokens = t, .n = 1), IN(.seq = r.seq, .tokens = t, .n = 1)), "%s",
	   accel_error());
	ok(RUN(-EINVAL, IN(.seq = r.seq, .tokens = t, .n = 1), { .sz = 24, .seq = second, .tokens = t, .n = 1 }),
	   "%s", accel_error());
	ok(RUN(-ENOSPC, IN(.seq = r.seq, .tokens = t, .n = 33)), "%s", accel_error());
	ok(RUN(-ENOSPC, IN(.seq = r.seq, .tokens = t, .n = 32), IN(.seq = second, .tokens = t, .n = 32)), "%s",
	   accel_error());
	ok(!accel_seq_length(r.seq) && !accel_seq_length(second) && !rig_stats(&r).pages_used,
	   "nothing of it is left");
	ok(!accel_step_run(r.engine, &IN(.seq = r.seq, .tokens = t, .n = 32), 1, NULL, NULL), "then there is room");
	ok(accel_seq_fork(r.seq, 33, &third) == -EINVAL && !third, "%s", accel_error());
	ok(accel_seq_trim(r.seq, 33) == -EINVAL, "%s", accel_error());
	ok(accel_seq_skip(r.seq, 1) == -ENOSPC, "%s", accel_error());
	ok(accel_seq_tokens(r.seq, 30, bad, 2) == 2 && bad[0] == t[30] && !accel_seq_tokens(r.seq, 32, bad, 2),
	   "its tokens can be asked for");
	accel_seq_free(second);
	rig_free(&r);
	rig_free(&other);
}

/* Whatever byte of a saved sequence is another, or where it is cut: it is refused. */
static void test_damaged(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	struct accel_plan_opts po = { .ctx = 32, .page = 8, .positions = 96 };
	struct rig r = rig_new(model, NULL, po, &o), wide;
	uint32_t accepted = 0, silent = 0;
	struct accel_seq *seq;
	off_t size;
	int fd = memory_file();

	po.kv_type = ACCEL_KV_F32;
	wide = rig_new(model, NULL, po, &o);
	rig_eval(&r, text[0], 20, ACCEL_WANT_NOTHING, NULL);
	ok(!accel_seq_save(r.seq, fd), "saved");
	size = lseek(fd, 0, SEEK_END);
	for (off_t i = 0; i < size; i += i < 200 ? 1 : 97) {
		uint8_t byte;

		pread(fd, &byte, 1, i);
		byte ^= 1 << i % 8;
		pwrite(fd, &byte, 1, i);
		lseek(fd, 0, SEEK_SET);
		accepted += !accel_seq_load(r.engine, fd, &seq);
		silent += !*accel_error();
		byte ^= 1 << i % 8;
		pwrite(fd, &byte, 1, i);
	}
	ok(!accepted && !silent && strstr(accel_error(), "damaged"), "%u of many damaged ones were accepted", accepted);
	lseek(fd, 0, SEEK_SET);
	ok(accel_seq_load(wide.engine, fd, &seq) == -EINVAL && !seq, "%s", accel_error());
	lseek(fd, 0, SEEK_SET);
	if (!ok(!accel_seq_load(r.engine, fd, &seq) && accel_seq_length(seq) == 20 &&
		lseek(fd, 0, SEEK_CUR) == size, "the whole is read, and not a byte more"))
		printf("# %s, %lld of %lld\n", accel_error(), (long long)lseek(fd, 0, SEEK_CUR), (long long)size);
	accel_seq_free(seq);
	accepted = 0;
	for (off_t i = 0; i < size; i += i < 200 ? 1 : 97) {
		ftruncate(fd, size - 1 - i);
		lseek(fd, 0, SEEK_SET);
		accepted += !accel_seq_load(r.engine, fd, &seq);
	}
	ok(!accepted && rig_stats(&r).seqs == 1, "cut ones are refused: %s", accel_error());
	close(fd);
	ok(accel_seq_save(r.seq, -1) == -EBADF && accel_seq_load(r.engine, -1, &seq) == -EBADF, "%s",
	   accel_error());
	rig_free(&r);
	rig_free(&wide);
}

/* The same weights with other numbers beside them are another model. */
static void test_other_model(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	const struct accel_plan_opts po = { .ctx = 32 };
	struct rig r = rig_new(model, NULL, po, &o), s;
	struct accel_model other = *model;
	struct accel_seq *seq;
	int fd = memory_file();

	rig_eval(&r, text[0], 20, ACCEL_WANT_NOTHING, NULL);
	ok(!accel_seq_save(r.seq, fd), "saved");
	for (int i = 0; i < 3; i++) {
		other = *model;
		other.layers = malloc(model->n_layers * sizeof(*other.layers));
		memcpy(other.layers, model->layers, model->n_layers * sizeof(*other.layers));
		if (i == 1)
			other.tables[0].rope.base *= 2;
		if (i == 2)
			other.layers[1].attn.scale *= 2;
		s = rig_new(&other, NULL, po, &o);
		lseek(fd, 0, SEEK_SET);
		ok(accel_seq_load(s.engine, fd, &seq) == (i ? -EINVAL : 0) && !seq == !!i, "%s",
		   i ? accel_error() : "the same model");
		accel_seq_free(seq);
		rig_free(&s);
		free(other.layers);
	}
	close(fd);
	rig_free(&r);
}

/* ---- time ---- */

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* A descriptor that is asked for when steps have ended already. */
static void test_late_fd(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	struct rig r = rig_new(model, NULL, (struct accel_plan_opts) { .ctx = 64 }, &o);
	struct accel_input in = { .sz = sizeof(in), .seq = r.seq, .tokens = text[0], .n = 1 };
	struct pollfd p = { .events = POLLIN };
	struct accel_step *s;

	accel_step_submit(r.engine, &in, 1, NULL, &s);
	while (accel_seq_trim(r.seq, 0) == -EBUSY)
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	p.fd = accel_engine_fd(r.engine);
	ok(poll(&p, 1, 0) == 1, "a step had ended before the descriptor was made");
	ok(!accel_step_wait(s, INT64_MAX) && poll(&p, 1, 0) == 0, "and was waited for");
	accel_step_free(s);
	rig_free(&r);
}

static void test_waiting(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	const struct accel_plan_opts po = { .ctx = 2048, .seqs = 4 };
	struct rig r = rig_new(model, NULL, po, &o);
	int32_t *tokens = calloc(2048, sizeof(*tokens));
	struct accel_input in = { .sz = sizeof(in), .seq = r.seq, .tokens = tokens, .n = 2000, .want = ACCEL_WANT_LAST };
	struct accel_step_opts so = { .sz = sizeof(so) };
	struct accel_seq *fork, *seq[3];
	struct accel_step *s[3];
	struct pollfd p = { .fd = accel_engine_fd(r.engine), .events = POLLIN };
	int64_t t0;
	int err;

	for (int i = 0; i < 2048; i++)
		tokens[i] = (i * 31 + 7) % (int)mi.n_vocab;
	ok(p.fd >= 0 && poll(&p, 1, 0) == 0, "a descriptor, with nothing to read");
	ok(!accel_step_submit(r.engine, &in, 1, NULL, &s[0]), "a step is submitted");
	ok(accel_step_wait(s[0], 0) == -EAGAIN && accel_step_wait(s[0], now() + 1000) == -EAGAIN,
	   "it has not ended: %s", accel_error());
	ok(!accel_step_logits(s[0], 0, NULL) && !*accel_step_error(s[0]), "and has no results");
	ok(accel_seq_fork(r.seq, 0, &fork) == -EBUSY && accel_seq_trim(r.seq, 0) == -EBUSY &&
	   accel_step_run(r.engine, &in, 1, NULL, &s[1]) == -EBUSY, "its sequence cannot be changed: %s",
	   accel_error());
	t0 = now();
	accel_step_cancel(s[0]);
	err = accel_step_wait(s[0], INT64_MAX);
	t0 = now() - t0;
	ok(err == -ECANCELED && accel_step_wait(s[0], 0) == err, "cancelled after %lld us: %s",
	   (long long)t0 / 1000, accel_step_error(s[0]));
	ok(!accel_seq_length(r.seq) && !rig_stats(&r).pages_used && poll(&p, 1, 0) == 0,
	   "the sequence is as it was, the descriptor has been read");
	accel_step_free(s[0]);
	so.deadline_ns = now() + 2000000;
	ok(accel_step_run(r.engine, &in, 1, &so, &s[0]) == -ETIMEDOUT && !s[0] && !accel_seq_length(r.seq), "%s",
	   accel_error());
	so.deadline_ns = 1;
	ok(accel_step_run(r.engine, &in, 1, &so, NULL) == -ETIMEDOUT, "a deadline that has passed");
	/* several in a queue */
	in.n = 3;
	for (int i = 0; i < 3; i++) {
		accel_seq_new(r.engine, &seq[i]);
		in.seq = seq[i];
		ok(!accel_step_submit(r.engine, &in, 1, NULL, &s[i]), "step %d", i);
	}
	for (int i = 0; i < 3; i++) {
		ok(poll(&p, 1, 10000) == 1, "one has ended");
		ok(!accel_step_wait(s[i], INT64_MAX) && accel_step_logits(s[i], 0, NULL), "step %d is good", i);
	}
	ok(poll(&p, 1, 0) == 0, "all were waited for");
	for (int i = 0; i < 3; i++)
		accel_step_free(s[i]);
	/* cancelled while it waits for another */
	in.n = 1900;
	in.seq = r.seq;
	ok(!accel_step_submit(r.engine, &in, 1, NULL, &s[0]), "a long one");
	for (int i = 1; i < 3; i++) {
		in.n = 3;
		in.seq = seq[i];
		ok(!accel_step_submit(r.engine, &in, 1, NULL, &s[i]), "and one behind it");
	}
	for (int i = 2; i; i--) {	/* the last of the queue, and the only one */
		accel_step_cancel(s[i]);
		ok(accel_step_wait(s[i], 0) == -ECANCELED && accel_seq_length(seq[i]) == 3,
		   "which ends at once: %s", accel_step_error(s[i]));
		accel_step_free(s[i]);
	}
	in.seq = seq[2];
	ok(!accel_step_submit(r.engine, &in, 1, NULL, &s[1]), "another one takes its place");
	accel_step_cancel(s[0]);
	ok(!accel_step_wait(s[1], INT64_MAX) && accel_step_wait(s[0], 0) == -ECANCELED, "and is computed");
	accel_step_free(s[0]);
	accel_step_free(s[1]);
	/* freed while it runs, and so is its sequence */
	in.n = 2000;
	accel_seq_trim(in.seq, 0);
	ok(!accel_step_submit(r.engine, &in, 1, NULL, &s[0]), "one more");
	accel_seq_free(seq[2]);
	accel_step_free(s[0]);
	ok(rig_stats(&r).seqs == 3, "a sequence that was freed in its step is gone with it");
	for (int i = 0; i < 2; i++)
		accel_seq_free(seq[i]);
	free(tokens);
	rig_free(&r);
}

/* Several threads, each with its own sequence, on one engine. */
struct thread {
	struct accel_engine *engine;
	uint32_t i;
	bool same;
	struct accel_seq *seq;
};

static void *compute(void *arg)
{
	struct thread *t = arg;
	struct accel_seq *seq;

	t->same = !accel_seq_new(t->engine, &seq);
	for (uint32_t k = 0; k < length[t->i] && t->same; k++) {
		struct accel_input in = {
			.sz = sizeof(in), .seq = seq, .tokens = &text[t->i][k], .n = 1, .want = ACCEL_WANT_LAST,
		};
		struct accel_step *s;

		t->same = !(k % 2 ? accel_step_run(t->engine, &in, 1, NULL, &s) :
			    accel_step_submit(t->engine, &in, 1, NULL, &s)) &&
			  !accel_step_wait(s, INT64_MAX) &&
			  !memcmp(accel_step_logits(s, 0, NULL), expected(t->i, k), row);
		accel_step_free(t->same ? s : NULL);
	}
	accel_seq_free(seq);
	return NULL;
}

static void test_threads(const char *spec)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 2 };
	const struct accel_plan_opts po = { .ctx = 96, .seqs = 4 };
	struct rig r = rig_new(model, spec, po, &o);
	struct thread t[4];
	pthread_t id[4];
	bool same = true;

	for (uint32_t i = 0; i < 4; i++) {
		t[i] = (struct thread) { .engine = r.engine, .i = i };
		pthread_create(&id[i], NULL, compute, &t[i]);
	}
	for (uint32_t i = 0; i < 4; i++) {
		pthread_join(id[i], NULL);
		same &= t[i].same;
	}
	ok(same, "four threads on one engine, %s", spec ? spec : "CPU");
	rig_free(&r);
}

/* Threads whose engine is freed under them. */
static void *go_on(void *arg)
{
	struct thread *t = arg;
	struct accel_seq *seq = t->seq;
	int err = 0;

	for (int k = 0; !err; k++) {
		struct accel_input in = { .sz = sizeof(in), .seq = seq, .tokens = text[0], .n = 1 };
		struct accel_step *s = NULL;

		err = accel_seq_trim(seq, 0);
		if (!err)
			err = k % 2 ? accel_step_run(t->engine, &in, 1, NULL, &s) :
				      accel_step_submit(t->engine, &in, 1, NULL, &s);
		if (!err)
			err = accel_step_wait(s, INT64_MAX);
		accel_step_free(s);
	}
	t->same = err == -ECANCELED || err == -EINVAL;
	accel_seq_free(seq);
	return NULL;
}

static void test_freed_under_threads(const char *spec)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	const struct accel_plan_opts po = { .ctx = 96, .seqs = 4 };
	struct rig r = rig_new(model, spec, po, &o);
	struct thread t[4];
	pthread_t id[4];
	bool good = true;

	for (uint32_t i = 0; i < 4; i++) {
		t[i] = (struct thread) { .engine = r.engine };
		accel_seq_new(r.engine, &t[i].seq);
		pthread_create(&id[i], NULL, go_on, &t[i]);
	}
	nanosleep(&(struct timespec) { .tv_nsec = 50000000 }, NULL);
	accel_seq_free(r.seq);
	accel_engine_free(r.engine);
	r.engine = NULL;
	r.seq = NULL;
	rig_free(&r);
	for (uint32_t i = 0; i < 4; i++) {
		pthread_join(id[i], NULL);
		good &= t[i].same;
	}
	ok(good, "an engine that is freed under four threads, %s", spec ? spec : "CPU");
}

/* ---- layers with a state that cannot go back ---- */

static void compute_all(void)
{
	accel_model_info(model, &mi);
	compute_alone();
	test_mixes();
	for (uint32_t i = 0; i < SEQS; i++)
		free(alone[i]);
}

/* Sequences that are in one step give older states of theirs to each other. */
static void test_few_slots(void)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1 };
	const struct accel_plan_opts po = { .ctx = 32, .positions = 32, .page = 16, .checkpoints = 2 };
	struct rig r = rig_new(model, NULL, po, &o);
	struct accel_seq *second;
	struct accel_input in[2] = { { .sz = sizeof(in[0]), .tokens = text[0], .n = 2 }, { .sz = sizeof(in[0]), .tokens = text[0], .n = 2 } };

	for (int i = 0; i < 7; i++)
		rig_eval(&r, text[0], 2, ACCEL_WANT_NOTHING, NULL);
	accel_seq_new(r.engine, &second);
	in[0].seq = second;
	in[1].seq = r.seq;
	ok(!accel_step_run(r.engine, in, 1, NULL, NULL), "a step of one: %s", accel_error());
	ok(!accel_step_run(r.engine, in, 2, NULL, NULL), "a step of both: %s", accel_error());
	accel_seq_free(second);
	rig_free(&r);
}

/* More states than a tensor may have rows. */
static void test_many_slots(void)
{
	const struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 1, .positions = OCTANS_MAX_ROWS, .page = 1, .checkpoints = 1024,
	};
	struct accel_layer l = { .sz = sizeof(l) };
	struct accel_plan *plan;

	if (!ok(!accel_plan_new(model, NULL, 0, &po, &plan) && !accel_plan_layer(plan, 3, &l), "a plan"))
		return;
	ok(l.kv_bytes == (uint64_t)OCTANS_MAX_ROWS * (TAPS - 1) * mi.n_embd * 4, "for %llu bytes of states",
	   (unsigned long long)l.kv_bytes);
	accel_plan_free(plan);
}

static void test_states(void)
{
	struct accel_model *plain = model;

	model = with_memory(plain);
	compute_all();
	test_few_slots();
	test_many_slots();
	without_memory(model);
	model = plain;
	accel_model_info(model, &mi);
}

/* Of models as there are; several of a step's sequences are more rows than one group has. */
static int latent(uint32_t vocab, struct accel_model **m)
{
	struct mla_build l = mla_small;

	l.vocab = vocab;
	return mla_load(&l, m);
}

static int indexed(uint32_t vocab, struct accel_model **m)
{
	struct mla_build l = mla_indexed;

	l.vocab = vocab;
	return mla_load(&l, m);
}

static void test_other(int (*load_other)(uint32_t vocab, struct accel_model **m), const char *what, bool states)
{
	struct accel_model *plain = model;

	if (ok(!load_other(mi.n_vocab, &model), "%s", what)) {
		compute_all();
		if (states)
			test_few_slots();
		accel_model_free(model);
	}
	model = plain;
	accel_model_info(model, &mi);
}

/* A layer of every kind, as it was trained. */
static int load_kinds(uint32_t vocab, struct accel_model **m)
{
	(void)vocab;
	return accel_model_load(KINDS, m);
}

int main(void)
{
	if (!ok(!accel_model_load(MODEL, &model), "%s", MODEL))
		return done();
	accel_model_info(model, &mi);
	row = mi.n_vocab * sizeof(float);
	make_texts();
	test_states();
	test_other(hybrid_mamba, "Mamba-2 and attention", true);
	test_other(hybrid_delta, "the gated delta rule and attention", true);
	test_other(load_kinds, KINDS, true);
	test_other(latent, "latent attention", false);
	test_other(indexed, "latent attention to what an indexer chooses", false);
	compute_alone();
	test_mixes();
	test_two_cards();
	test_once();
	test_refused();
	test_damaged();
	test_other_model();
	test_waiting();
	test_late_fd();
	test_threads(NULL);
	test_threads("sim");
	test_freed_under_threads(NULL);
	test_freed_under_threads("sim");
	for (uint32_t i = 0; i < SEQS; i++)
		free(alone[i]);
	accel_model_free(model);
	return done();
}
