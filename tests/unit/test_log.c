// SPDX-License-Identifier: MIT
/* Who listens hears of layers that leave a processor and come back, and of files that change: once each. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <accel/device.h>

#include "engine_rig.h"
#include "llama_build.h"
#include "log.h"

static struct heard {
	uint32_t n, warnings;
	char last[512];
} heard;

static void hear(void *arg, enum accel_log_level level, const char *sentence)
{
	struct heard *h = arg;

	h->n++;
	h->warnings += level == ACCEL_LOG_WARNING;
	snprintf(h->last, sizeof(h->last), "%s", sentence);
}

/* Of n sentences since the last time, all or none of them warnings, the last holds these words. */
static bool said(uint32_t n, bool warning, const char *words)
{
	bool good = heard.n == n && heard.warnings == (warning ? n : 0) && strstr(heard.last, words);

	if (!good)
		printf("# %u sentences, %u warnings; \"%s\" should hold \"%s\"\n", heard.n, heard.warnings, heard.last,
		       words);
	heard.n = heard.warnings = 0;
	return good;
}

static void *talk(void *arg)
{
	for (int i = 0; i < 1000; i++)
		log_say(ACCEL_LOG_INFO, "%s", (const char *)arg);
	return NULL;
}

static void hear_once(void *arg, enum accel_log_level level, const char *sentence)
{
	hear(arg, level, sentence);
	log_say(ACCEL_LOG_INFO, "an echo");
	accel_log_set(NULL, NULL);
}

static void test_listener(void)
{
	pthread_t t[4];
	int status = -1;
	pid_t pid;

	log_say(ACCEL_LOG_WARNING, "nobody listens");
	ok(!heard.n, "nobody listens");
	accel_log_set(hear, &heard);
	log_say(ACCEL_LOG_WARNING, "a%s b\n\033[31m", "");
	ok(said(1, true, "a b??[31m"), "plain, in one line: %s", heard.last);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, talk, "thread");
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ok(said(4000, false, "thread"), "four threads are heard one by one");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		talk("child");
		_exit(heard.n != 1000);
	}
	ok(waitpid(pid, &status, 0) == pid && !status, "a child has a listener, too");
	accel_log_set(hear_once, &heard);
	talk("last");
	ok(said(1, false, "last"), "a listener takes itself away, and does not hear itself");
}

static const int32_t tokens[4] = { 1, 2, 3, 4 };

static bool step(struct rig *r)
{
	return !rig_eval(r, tokens, 4, ACCEL_WANT_NOTHING, NULL);
}

static void test_card(const struct accel_model *m)
{
	const struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 1, .retry_ms = 20 };
	uint32_t places[] = { 0, ACCEL_PLACE_DEVICE(0), ACCEL_PLACE_DEVICE(0), 0 };
	const struct accel_plan_opts po = { .places = places, .n_places = 4 };
	struct rig r = rig_new(m, "sim:rings=1", po, &eo);
	char reply[256];

	if (!r.engine)
		return;
	ok(step(&r) && said(0, false, ""), "all is well: nothing is said");
	accel_dev_control(r.dev, "fault 0", reply, sizeof(reply));
	ok(step(&r) && said(1, true, "layers of sim go on on the CPU, and it is tried again in 20 ms: "), "%s",
	   heard.last);
	usleep(30000);
	ok(step(&r) && said(1, false, "sim is well: its layers are back on it"), "%s", heard.last);
	usleep(60000);
	accel_dev_control(r.dev, "fault 0", reply, sizeof(reply));
	ok(step(&r) && said(1, true, "it is tried again in 20 ms: "), "well for a while, it is not in disgrace: %s",
	   heard.last);
	usleep(30000);
	ok(step(&r) && said(1, false, "its layers are back on it"), "%s", heard.last);
	accel_dev_control(r.dev, "remove", reply, sizeof(reply));
	ok(step(&r) && said(1, true, "layers of sim go on on the CPU, for good: "), "%s", heard.last);
	ok(step(&r) && said(0, false, ""), "once");
	rig_free(&r);
}

static void test_full_card(const struct accel_model *m)
{
	const struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 1 };
	uint32_t places[] = { ACCEL_PLACE_DEVICE(0), ACCEL_PLACE_DEVICE(0), ACCEL_PLACE_DEVICE(0),
			      ACCEL_PLACE_DEVICE(0) };
	struct rig r = { 0 };
	struct accel_bo *bo = NULL;

	if (!ok(!accel_open("sim:rings=1,local=4M", &r.dev) &&
		!rig_plan(&r, m, (struct accel_plan_opts) { .places = places, .n_places = 4 }), "a plan"))
		return;
	accel_bo_new(r.dev, (4 << 20) - (128 << 10), ACCEL_BO_DEVICE, "other", &bo);
	ok(!rig_engine(&r, &eo) && said(1, true, " of the 4 layers that were planned for sim are on the CPU: "), "%s",
	   heard.last);
	accel_bo_free(bo);
	rig_free(&r);
}

static void test_file(const struct build *b)
{
	const struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 1 };
	int fd = memfd_create("model", MFD_CLOEXEC);
	struct accel_model *m;
	struct rig r;

	if (!ok(write(fd, b->p, b->n) == (ssize_t)b->n && !accel_model_load_fd(&fd, 1, &m), "a model's file"))
		return;
	r = rig_new(m, NULL, (struct accel_plan_opts) { 0 }, &eo);
	ok(step(&r) && said(0, false, "") && !ftruncate(fd, b->n - 4096) && !step(&r) &&
	   said(1, true, " was cut while it was in use: what is computed with it fails"), "%s", heard.last);
	ok(!step(&r) && said(0, false, ""), "once");
	rig_free(&r);
	accel_model_free(m);
	close(fd);
}

int main(void)
{
	struct accel_model *m;
	struct build b;

	llama_build(&b, &llama_small);
	test_listener();
	accel_log_set(hear, &heard);
	if (ok(!accel_model_load_memory(&(const void *) { b.p }, &b.n, 1, &m), "a model: %s", accel_error())) {
		test_card(m);
		test_full_card(m);
	}
	accel_model_free(m);
	test_file(&b);
	build_end(&b);
	return done();
}
