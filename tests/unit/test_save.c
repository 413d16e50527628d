// SPDX-License-Identifier: MIT
/* Sequences that are saved to slow files and loaded from them: nobody else waits for those, and a processor
 * that fails meanwhile changes nothing of what is saved or loaded. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <accel/engine.h>

#include "engine_rig.h"
#include "memory_layer.h"
#include "tap.h"

#define MODEL "models/octans-demo.gguf"
#define TOKENS 600

static struct accel_model *model;
static struct accel_model_info mi = { .sz = sizeof(mi) };
static int32_t tokens[TOKENS + 1];
/* Some are the processor's. */
static const uint32_t places[64] = { ACCEL_PLACE_CPU, [6] = ACCEL_PLACE_CPU, [9] = ACCEL_PLACE_CPU };

static struct rig make(const char *spec)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .retry_ms = UINT32_MAX };
	const struct accel_plan_opts po = {
		.ctx = 1024, .seqs = 4, .places = places, .n_places = mi.n_layers, .kv_type = ACCEL_KV_F32,
	};

	return rig_new(model, spec, po, &o);
}

/* One end of a pipe that takes next to nothing, in another thread. */
struct mover {
	struct accel_engine *engine;	/* to load to */
	struct accel_seq *seq;
	pthread_t thread;
	int fd, other;			/* ours, and the end that the test has */
	int err;
	char why[256];
};

static void *move(void *arg)
{
	struct mover *m = arg;

	m->err = m->engine ? accel_seq_load(m->engine, m->fd, &m->seq) : accel_seq_save(m->seq, m->fd);
	snprintf(m->why, sizeof(m->why), "%s", m->err ? accel_error() : "");
	close(m->fd);
	return NULL;
}

static struct mover *start(struct accel_engine *e, struct accel_seq *seq)
{
	struct mover *m = calloc(1, sizeof(*m));
	int fd[2];

	if (pipe(fd) || fcntl(fd[0], F_SETPIPE_SZ, 4096) < 0)
		abort();
	m->engine = e;
	m->seq = seq;
	m->fd = fd[!e];
	m->other = fd[!!e];
	pthread_create(&m->thread, NULL, move, m);
	return m;
}

/* Bytes of a saved sequence. */
struct bytes {
	char *p;
	size_t n;
};

/* The next up to n of them. */
static void drain(struct mover *m, struct bytes *b, size_t n)
{
	ssize_t got = 1;

	b->p = realloc(b->p, b->n + n);
	for (; n && got > 0; b->n += got, n -= got) {
		got = read(m->other, b->p + b->n, n);
		if (got < 0)
			abort();
	}
}

static void feed(struct mover *m, const char *p, size_t n)
{
	for (ssize_t put; n; p += put, n -= put) {
		put = write(m->other, p, n);
		if (put <= 0)
			abort();
	}
}

static int end(struct mover *m, struct accel_seq **seq)
{
	int err;

	if (m->engine)
		close(m->other);
	pthread_join(m->thread, NULL);
	if (!m->engine)
		close(m->other);
	if (m->err)
		printf("# %s\n", m->why);
	if (seq)
		*seq = m->seq;
	err = m->err;
	free(m);
	return err;
}

static struct bytes saved(struct accel_seq *seq)
{
	int fd = memfd_create("sequence", MFD_CLOEXEC);
	struct bytes b = { 0 };

	if (accel_seq_save(seq, fd))
		printf("# %s\n", accel_error());
	b.n = lseek(fd, 0, SEEK_END);
	b.p = malloc(b.n + 1);
	if (pread(fd, b.p, b.n, 0) != (ssize_t)b.n)
		abort();
	close(fd);
	return b;
}

/* Is a step of one more token computed by now? */
static bool steps(struct rig *r, struct accel_seq *seq)
{
	struct accel_input in = { .sz = sizeof(in), .seq = seq, .tokens = tokens, .n = 1 };
	struct timespec now;
	struct accel_step *step;
	int err;

	if (accel_step_submit(r->engine, &in, 1, NULL, &step))
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	err = accel_step_wait(step, (now.tv_sec + 20) * 1000000000ll);
	if (err)
		printf("# %s\n", accel_error());
	else
		accel_step_free(step);	/* or it would wait for the file */
	return !err;
}

/* Of the CPU alone: the sequence in a file, and the logits of what follows it. */
static struct bytes expected;
static float *next;

static void compute_expected(void)
{
	struct rig cpu = make(NULL);
	const float *logits;

	rig_eval(&cpu, tokens, TOKENS, ACCEL_WANT_NOTHING, NULL);
	expected = saved(cpu.seq);
	next = calloc(mi.n_vocab, sizeof(*next));
	if (!rig_eval(&cpu, tokens + TOKENS, 1, ACCEL_WANT_LAST, &logits))
		memcpy(next, logits, mi.n_vocab * sizeof(*next));
	rig_free(&cpu);
}

/* spec; fault: what becomes of the processor while the file waits, NULL = nothing. */
static void test_save(const char *spec, const char *fault)
{
	struct rig r = make(spec);
	struct bytes got = { 0 };
	struct accel_seq *other;
	struct mover *m;
	char reply[256];

	rig_eval(&r, tokens, TOKENS, ACCEL_WANT_NOTHING, NULL);
	accel_seq_new(r.engine, &other);
	m = start(NULL, r.seq);
	drain(m, &got, expected.n / 2);
	if (fault)
		accel_dev_control(r.dev, fault, reply, sizeof(reply));
	ok(steps(&r, other), "%s: a step, while another sequence waits for a pipe (%zu bytes)",
	   spec ? spec : "CPU", expected.n);
	ok(accel_seq_trim(r.seq, 0) == -EBUSY, "which is not to be changed: %s", accel_error());
	accel_seq_free(r.seq);		/* is gone when it is saved */
	r.seq = NULL;
	drain(m, &got, 2 * expected.n);
	ok(!end(m, NULL) && got.n == expected.n && !memcmp(got.p, expected.p, got.n),
	   "it is saved as it should be, fault: %s", fault ? fault : "none");
	ok(rig_stats(&r).seqs == 1 && rig_stats(&r).fallbacks == (fault != NULL), "and gone");
	free(got.p);
	accel_seq_free(other);
	rig_free(&r);
}

static void test_load(const char *spec, const char *fault)
{
	struct rig r = make(spec);
	const float *logits;
	struct accel_seq *other;
	struct mover *m;
	char reply[256];
	bool good;

	other = r.seq;
	m = start(r.engine, NULL);
	feed(m, expected.p, expected.n / 2);
	if (fault)
		accel_dev_control(r.dev, fault, reply, sizeof(reply));
	ok(steps(&r, other), "%s: a step, while another sequence waits for a pipe", spec ? spec : "CPU");
	feed(m, expected.p + expected.n / 2, expected.n - expected.n / 2);
	good = !end(m, &r.seq);
	good = good && !rig_eval(&r, tokens + TOKENS, 1, ACCEL_WANT_LAST, &logits) &&
	       !memcmp(logits, next, mi.n_vocab * sizeof(float));
	ok(good && rig_stats(&r).recomputed == (fault ? TOKENS : 0), "it is loaded as it should be, fault: %s",
	   fault ? fault : "none");
	accel_seq_free(other);
	rig_free(&r);
}

/* An engine that is freed meanwhile, and a pipe whose other end goes. */
static void test_ends(void)
{
	struct rig r = make(NULL);
	struct bytes b = { 0 };
	struct mover *m;
	int err;

	rig_eval(&r, tokens, TOKENS, ACCEL_WANT_NOTHING, NULL);
	m = start(NULL, r.seq);
	drain(m, &b, 100);
	accel_engine_free(r.engine);
	r.engine = NULL;
	drain(m, &b, 1 << 30);
	err = end(m, NULL);
	ok(err == -EINVAL && accel_seq_length(r.seq) == TOKENS, "the engine is freed while a sequence is saved");
	rig_free(&r);
	r = make(NULL);
	m = start(r.engine, NULL);
	feed(m, b.p, 1000);
	err = end(m, NULL);
	ok(err == -EINVAL && rig_stats(&r).seqs == 1, "a pipe that ends");
	m = start(r.engine, NULL);
	feed(m, b.p, 10000);		/* more than the pipe takes */
	accel_seq_free(r.seq);
	accel_engine_free(r.engine);
	r.seq = NULL;
	r.engine = NULL;
	err = end(m, NULL);
	ok(err == -EINVAL, "an engine that ends while a sequence is loaded");
	free(b.p);
	rig_free(&r);
}

static void test_all(void)
{
	accel_model_info(model, &mi);
	compute_expected();
	test_save(NULL, NULL);
	test_save("sim", NULL);
	test_save("sim", "fault 0");
	test_save("sim", "remove");
	test_load(NULL, NULL);
	test_load("sim", NULL);
	test_load("sim", "fault 0");
	test_load("sim", "remove");
	free(expected.p);
	free(next);
}

int main(void)
{
	struct accel_model *plain;

	if (!ok(!accel_model_load(MODEL, &model), "%s", MODEL))
		return done();
	accel_model_info(model, &mi);
	for (int i = 0; i <= TOKENS; i++)
		tokens[i] = (i * 37 + 11) % (int)mi.n_vocab;
	test_all();
	test_ends();
	plain = model;
	model = with_memory(plain);	/* layers with a state */
	test_all();
	without_memory(model);
	accel_model_free(plain);
	return done();
}
