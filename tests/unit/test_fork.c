// SPDX-License-Identifier: MIT
/* A child of fork() may use the library, and read and free what its parent made, but not compute with it; the
 * parent does not notice. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <accel/device.h>

#include "engine_rig.h"
#include "forks.h"
#include "llama_build.h"
#include "op/speed.h"

static const int32_t tokens[4] = { 1, 2, 3, 4 };
/* Large enough that threads share its work. */
static const struct llama_build large = {
	.type = ACCEL_F32, .blocks = 1, .embd = 512, .heads = 4, .kv_heads = 4, .ff = 1024, .vocab = 4096, .ctx = 64,
};
static struct accel_model *m;

/* On a processor, if there is one. */
static const uint32_t places[] = { ACCEL_PLACE_DEVICE(0), ACCEL_PLACE_DEVICE(0), ACCEL_PLACE_DEVICE(0),
				    ACCEL_PLACE_DEVICE(0) };

static struct accel_plan_opts plan_of(bool dev)
{
	return (struct accel_plan_opts) { .positions = 256, .places = places, .n_places = dev ? 4 : 0 };
}

/* Runs fn in a child, which has 60 s; returns what that does, or -1 if it was ended. */
static int in_child(int (*fn)(struct rig *r), struct rig *r)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(60);
		_exit(fn(r));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* The number of the first that is wrong. */
#define CHECK(n, cond) do { if (!(cond)) { fprintf(stderr, "# %d: %s\n", n, accel_error()); return n; } } while (0)

static int use_parents(struct rig *r)
{
	struct accel_input in = { .sz = sizeof(in), .seq = r->seq, .tokens = tokens, .n = 4 };
	struct accel_engine_stats st = { .sz = sizeof(st) };
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_seq *seq;
	struct accel_step *step;

	CHECK(1, accel_step_run(r->engine, &in, 1, NULL, &step) == -EINVAL && strstr(accel_error(), "fork()"));
	CHECK(2, accel_step_submit(r->engine, &in, 1, NULL, &step) == -EINVAL && !step);
	CHECK(3, accel_seq_save(r->seq, STDERR_FILENO) < 0);
	CHECK(4, !accel_engine_stats(r->engine, &st) && st.steps);
	CHECK(5, accel_seq_length(r->seq) == 4 && accel_seq_fork(r->seq, 2, &seq) == -EINVAL);
	CHECK(6, !r->step || accel_step_wait(r->step, INT64_MAX) == -EINVAL);
	CHECK(7, !r->dev || (accel_dev_info(r->dev, &info) == -ENODEV && strstr(accel_error(), "fork()")));
	rig_free(r);
	return 0;
}

static int use_own(struct rig *r)
{
	struct rig own = { 0 };
	const struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 3 };

	CHECK(1, !r->dev || !accel_open("sim:rings=1", &own.dev));
	CHECK(2, !rig_plan(&own, m, plan_of(own.dev)) && !rig_engine(&own, &eo));
	CHECK(3, !rig_eval(&own, tokens, 4, ACCEL_WANT_LAST, NULL));
	rig_free(&own);
	return 0;
}

static void *compute(void *arg)
{
	struct rig *r = arg;

	for (int i = 0; i < 20; i++) {
		accel_seq_trim(r->seq, 0);
		if (accel_step_run(r->engine, &(struct accel_input) {
			.sz = sizeof(struct accel_input), .seq = r->seq, .tokens = tokens, .n = 4 }, 1, NULL, NULL))
			return "failed";
	}
	return NULL;
}

static int just_free(struct rig *r)
{
	rig_free(r);
	return 0;
}

/* With two threads and more: the child has neither. */
static void test_engine(const char *spec)
{
	const struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 3 };
	struct rig r = rig_new(m, spec, plan_of(spec), &eo);
	struct accel_input in = { .sz = sizeof(in), .seq = r.seq, .tokens = tokens, .n = 4 };
	const float *logits;
	float first[12];
	void *failed;
	pthread_t t;
	int bad = 0;

	if (!r.engine || !ok(!rig_eval(&r, tokens, 4, ACCEL_WANT_LAST, &logits), "a parent computes"))
		return;
	memcpy(first, logits, sizeof(first));
	accel_step_free(r.step);
	r.step = NULL;
	ok(!in_child(use_parents, &r), "its child is refused, reads, and frees");
	ok(!in_child(use_own, &r), "and makes an engine of its own, with as many threads");
	pthread_create(&t, NULL, compute, &r);
	for (int i = 0; i < 10; i++)
		bad += in_child(just_free, &r) != 0;
	pthread_join(t, &failed);
	ok(!bad && !failed, "ten children in the midst of a step");
	/* One that was submitted, and that the parent waits for. */
	accel_seq_trim(r.seq, 0);
	ok(!accel_step_submit(r.engine, &in, 1, NULL, &r.step) && !accel_step_wait(r.step, INT64_MAX), "a step");
	accel_step_free(r.step);
	r.step = NULL;
	accel_seq_trim(r.seq, 0);
	ok(!rig_eval(&r, tokens, 4, ACCEL_WANT_LAST, &logits) && !memcmp(first, logits, sizeof(first)) &&
	   !rig_stats(&r).fallbacks, "the parent goes on, with the same bits");
	rig_free(&r);
}

/* A step that has not ended when the child begins. */
static void test_submitted(void)
{
	const struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 1 };
	struct rig r = rig_new(m, "sim:rings=1", plan_of(true), &eo);
	struct accel_input in = { .sz = sizeof(in), .tokens = tokens, .n = 4 };
	char reply[256];

	if (!r.engine || !ok(!rig_eval(&r, tokens, 4, ACCEL_WANT_NOTHING, NULL), "a parent computes"))
		return;
	accel_step_free(r.step);
	r.step = NULL;
	ok(!accel_seq_new(r.engine, &in.seq), "another sequence");
	accel_dev_control(r.dev, "hold ring 0", reply, sizeof(reply));
	ok(!accel_step_submit(r.engine, &in, 1, NULL, &r.step) && accel_step_wait(r.step, 0) == -EAGAIN,
	   "a step is on its way");
	ok(!in_child(use_parents, &r), "for its child it has ended");
	accel_dev_control(r.dev, "hold ring 0 off", reply, sizeof(reply));
	ok(!accel_step_wait(r.step, INT64_MAX), "for its parent it ends");
	accel_step_free(r.step);
	r.step = NULL;
	accel_seq_free(in.seq);
	rig_free(&r);
}

/* What a parent has on its way: a step that runs, two that wait, and a sequence that is saved to a pipe. */
struct way {
	struct accel_seq *seqs[4];
	struct accel_step *steps[3];
	int pipe[2];
};

static struct way *way;

static void *save(void *arg)
{
	int err = accel_seq_save(arg, way->pipe[1]);

	close(way->pipe[1]);
	return err ? "failed" : NULL;
}

static int free_in_any_order(struct rig *r)
{
	struct accel_engine_stats st = { .sz = sizeof(st) };
	struct accel_seq **s = way->seqs;

	CHECK(1, accel_step_wait(way->steps[1], INT64_MAX) == -EINVAL && strstr(accel_error(), "fork()"));
	accel_step_free(way->steps[1]);
	accel_step_free(way->steps[2]);
	CHECK(2, !accel_seq_trim(s[1], 0));
	accel_seq_free(s[0]);		/* before the step that it is in */
	accel_step_free(way->steps[0]);
	CHECK(3, !accel_seq_trim(s[3], 2) && accel_seq_length(s[3]) == 2);
	for (int i = 1; i < 4; i++)
		accel_seq_free(s[i]);
	CHECK(4, !accel_engine_stats(r->engine, &st) && st.seqs == 1 && !st.pages_used);
	rig_free(r);
	return 0;
}

static void test_on_the_way(void)
{
	const struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 1 };
	struct accel_plan_opts po = plan_of(true);
	struct accel_input in = { .sz = sizeof(in), .tokens = tokens, .n = 4 };
	struct way w = { 0 };
	char reply[256], *file = malloc(1 << 20);
	void *failed = NULL;
	pthread_t t;
	struct rig r;
	bool good = true;

	way = &w;
	po.seqs = 8;
	r = rig_new(m, "sim:rings=1", po, &eo);
	/* as small as a pipe can be: the file does not go in, so who saves it waits */
	if (!r.engine || pipe(w.pipe) || fcntl(w.pipe[1], F_SETPIPE_SZ, 4096) < 0)
		return;
	for (int i = 0; i < 4; i++)
		good &= !accel_seq_new(r.engine, &w.seqs[i]);
	in.seq = w.seqs[3];
	good &= !accel_step_run(r.engine, &in, 1, NULL, NULL);
	pthread_create(&t, NULL, save, w.seqs[3]);
	good &= read(w.pipe[0], file, 1) == 1;
	while (accel_seq_trim(w.seqs[3], 4) != -EBUSY)
		;
	usleep(20000);			/* the pipe is full */
	accel_dev_control(r.dev, "hold ring 0", reply, sizeof(reply));
	for (int i = 0; i < 3; i++) {
		in.seq = w.seqs[i];
		good &= !accel_step_submit(r.engine, &in, 1, NULL, &w.steps[i]);
	}
	ok(good && accel_step_wait(w.steps[0], 0) == -EAGAIN, "three steps and a file are on their way");
	ok(!in_child(free_in_any_order, &r), "a child frees them in any order");
	accel_dev_control(r.dev, "hold ring 0 off", reply, sizeof(reply));
	for (int i = 0; i < 3; i++) {
		good &= !accel_step_wait(w.steps[i], INT64_MAX);
		accel_step_free(w.steps[i]);
	}
	/* With what there is to read, it ends. */
	accel_seq_free(w.seqs[3]);
	while (read(w.pipe[0], file, 1 << 16) > 0)
		;
	pthread_join(t, &failed);
	good &= rig_stats(&r).seqs == 4;
	ok(good && !failed, "for the parent they end");
	for (int i = 0; i < 3; i++)
		accel_seq_free(w.seqs[i]);
	close(w.pipe[0]);
	free(file);
	rig_free(&r);
}

static int forked;

static void count_fork(struct fork_watch *w)
{
	(void)w;
	forked++;
}

static int times_forked(struct rig *r)
{
	(void)r;
	return forked;
}

/* pthread_once() may do in a child again what was nearly done. */
static void test_watched_twice(void)
{
	static struct fork_watch w = { .in_child = count_fork };

	fork_watch(&w);
	fork_watch(&w);
	alarm(60);
	ok(in_child(times_forked, NULL) == 1, "who watches twice is told once");
	alarm(0);
	fork_unwatch(&w);
}

static void *measure(void *arg)
{
	return cpu_speed(arg) ? "failed" : NULL;
}

static int measure_too(struct rig *r)
{
	struct cpu_speed s;

	(void)r;
	CHECK(1, !cpu_speed(&s) && s.bytes > 0 && s.macs_f32 > 0);
	return 0;
}

/* Once in a process: while it is measured how fast its CPU is. */
static void test_speed(void)
{
	struct cpu_speed s;
	pthread_t t;
	bool good;

	pthread_create(&t, NULL, measure, &s);
	usleep(10000);	/* it has its memory */
	good = !in_child(measure_too, NULL);
	pthread_join(t, NULL);
	ok(good, "a child measures the CPU, while its parent does");
}

int main(void)
{
	struct build b;

#ifdef __SANITIZE_THREAD__	/* which lets no child start threads */
	return !ok(true, "nothing under this sanitizer") + done();
#endif
	test_speed();
	test_watched_twice();
	llama_build(&b, &large);
	if (ok(!accel_model_load_memory(&(const void *) { b.p }, &b.n, 1, &m), "a model: %s", accel_error())) {
		test_engine(NULL);
		test_engine("sim:rings=1");
		test_submitted();
		test_on_the_way();
	}
	accel_model_free(m);
	build_end(&b);
	return done();
}
