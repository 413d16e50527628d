// SPDX-License-Identifier: MIT
/*
 * A process that has no more descriptors, or can start no more threads, at any point of its way from a processor to an
 * answer: a sentence says which of them it lacks, nothing stays behind, and an answer that comes is the right one.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <accel/accel.h>

#include "demo_rig.h"

#define CARDS 2

static _Atomic long threads_left = LONG_MAX;

/* In libc's place. */
__attribute__((visibility("default"))) int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *),
							  void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");

	return atomic_fetch_sub(&threads_left, 1) <= 0 ? EAGAIN : real(t, attr, fn, arg);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* So many more descriptors can be had. */
static void leave_descriptors(unsigned int n)
{
	struct rlimit limit;
	int end = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	for (unsigned int i = 0; i < n || is_open(end); end++)
		i += !is_open(end);
	limit.rlim_cur = end;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static unsigned int open_descriptors(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += is_open(fd);
	return n;
}

static unsigned int warnings, named;

static void hear(void *arg, enum accel_log_level level, const char *sentence)
{
	(void)arg;
	(void)level;
	warnings++;
	named += strstr(sentence, "files") || strstr(sentence, "descriptor");
}

/* ---- the way ---- */

struct way {
	struct accel_dev *dev[CARDS];
	struct accel_model *m;
	struct accel_plan *plan;
	struct accel_engine *e;
	struct accel_seq *seq;
	struct accel_step *step;
};

static int plan(struct way *w)
{
	static uint32_t places[64];
	const struct accel_plan_opts o = { .sz = sizeof(o), .ctx = 64, .batch = 4, .places = places, .n_places = mi.n_layers };
	struct accel_devinfo info[CARDS];
	const struct accel_devinfo *list[CARDS];

	for (uint32_t i = 0; i < mi.n_layers; i++)
		places[i] = i < 2 ? ACCEL_PLACE_CPU : ACCEL_PLACE_DEVICE(i % CARDS);
	for (int i = 0; i < CARDS; i++) {
		info[i] = (struct accel_devinfo) { .sz = sizeof(info[i]) };
		list[i] = &info[i];
		if (accel_dev_info(w->dev[i], &info[i]))
			return -EINVAL;
	}
	return accel_plan_new(w->m, list, CARDS, &o, &w->plan);
}

static int step(struct way *w, bool submit)
{
	const int32_t tokens[] = { 3, 7, 12, 5, 9, 2, 8, 1, 4 };
	const struct accel_input in = {
		.sz = sizeof(in), .seq = w->seq, .tokens = tokens, .n = 9, .want = ACCEL_WANT_LAST,
	};
	int err;

	if (!submit)
		return accel_step_run(w->e, &in, 1, NULL, &w->step);
	err = accel_engine_fd(w->e);
	if (err >= 0)
		err = accel_step_submit(w->e, &in, 1, NULL, &w->step);
	return err ? err : accel_step_wait(w->step, INT64_MAX);
}

static int go(struct way *w, bool submit)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 3, .strict = true };
	int err = 0;

	for (int i = 0; i < CARDS && !err; i++)
		err = accel_open("sim:rings=1,threads=2", &w->dev[i]);
	if (!err)
		err = accel_model_load(MODEL, &w->m);
	if (!err)
		err = plan(w);
	if (!err)
		err = accel_engine_new(w->plan, w->dev, CARDS, &o, &w->e);
	if (!err)
		err = accel_seq_new(w->e, &w->seq);
	return err ? err : step(w, submit);
}

static void leave(struct way *w)
{
	accel_step_free(w->step);
	accel_seq_free(w->seq);
	accel_engine_free(w->e);
	accel_plan_free(w->plan);
	accel_model_free(w->m);
	for (int i = 0; i < CARDS; i++)
		accel_close(w->dev[i]);
}

/* ---- each limit ---- */

static float *expected;

static bool is_right(const struct way *w)
{
	return !memcmp(accel_step_logits(w->step, 0, NULL), expected, mi.n_vocab * sizeof(float));
}

static void test_descriptors(bool submit)
{
	const unsigned int before = open_descriptors();
	unsigned int n = 0, bad = 0, copied = 0;
	struct rlimit was;
	int err;

	getrlimit(RLIMIT_NOFILE, &was);
	accel_log_set(hear, NULL);
	do {
		struct way w = { 0 };
		bool good;

		warnings = named = 0;
		leave_descriptors(n++);
		err = go(&w, submit);
		setrlimit(RLIMIT_NOFILE, &was);
		good = err ? err == -EMFILE && (strstr(accel_error(), "files") || strstr(accel_error(), "descriptor")) :
		       is_right(&w);
		if (!good || warnings != named)
			printf("# %u descriptors: %d, %s\n", n - 1, err, err ? accel_error() : "");
		bad += !good || warnings != named;
		copied += !err && warnings;
		leave(&w);
		bad += open_descriptors() != before;
	} while ((err || warnings) && n < 100);
	accel_log_set(NULL, NULL);
	ok(!bad && !err && n > 3 && copied, "%u descriptors are enough, with one less this process copies", n - 1);
}

static void test_threads(bool submit)
{
	long n = 0;
	unsigned int bad = 0;
	int err;

	do {
		struct way w = { 0 };
		bool good;

		atomic_store(&threads_left, n++);
		err = go(&w, submit);
		atomic_store(&threads_left, LONG_MAX);
		good = err ? err == -EAGAIN && strstr(accel_error(), "thread") : is_right(&w);
		if (!good)
			printf("# %ld threads: %d, %s\n", n - 1, err, err ? accel_error() : "");
		bad += !good;
		leave(&w);
	} while (err && n < 100);
	ok(!bad && !err && n > 5, "%ld threads are enough", n - 1);
}

/* All that runs goes on. */
static void test_later(void)
{
	struct rlimit was;
	struct way w = { 0 };
	int err = go(&w, false);

	if (!ok(!err, "an engine"))
		return;
	getrlimit(RLIMIT_NOFILE, &was);
	leave_descriptors(0);
	atomic_store(&threads_left, 0);
	accel_step_free(w.step);
	w.step = NULL;
	accel_seq_trim(w.seq, 0);
	err = step(&w, false);
	ok(!err && is_right(&w), "steps need no descriptor and no thread: %s", err ? accel_error() : "the same bits");
	setrlimit(RLIMIT_NOFILE, &was);
	atomic_store(&threads_left, LONG_MAX);
	leave(&w);
}

int main(void)
{
	struct way w = { 0 };

	if (!ok(!accel_model_load(MODEL, &model) && !accel_model_info(model, &mi), "a model"))
		return done();
	expected = malloc(mi.n_vocab * sizeof(float));
	if (ok(!go(&w, false), "an answer"))
		memcpy(expected, accel_step_logits(w.step, 0, NULL), mi.n_vocab * sizeof(float));
	leave(&w);
	for (int submit = 0; submit < 2; submit++) {
		test_descriptors(submit);
		test_threads(submit);
	}
	test_later();
	free(expected);
	accel_model_free(model);
	return done();
}
