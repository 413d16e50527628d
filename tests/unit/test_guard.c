// SPDX-License-Identifier: MIT
/* Model files that are cut while an engine copies or computes with what is in them. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine_rig.h"
#include "llama_build.h"
#include "tap.h"

static char dir[] = "/tmp/test_guard.XXXXXX";
static char file[64];

static const struct llama_build large = {
	.type = ACCEL_F16, .blocks = 4, .embd = 256, .heads = 4, .kv_heads = 2, .ff = 512, .vocab = 64,
	.ctx = 512,
};

static const char *write_large(void)
{
	struct build b;
	FILE *f;

	llama_build(&b, &large);
	f = fopen(file, "w");
	if (!f || fwrite(b.p, 1, b.n, f) != b.n || fclose(f))
		abort();
	build_end(&b);
	usleep(20000);		/* time stamps of files are as coarse as a tick */
	return file;
}

static void *cut_soon(void *arg)
{
	usleep(20000);
	if (truncate(arg, 4096))
		abort();
	return NULL;
}

static const struct accel_plan_opts small_batch = { .sz = sizeof(small_batch), .ctx = 512, .batch = 64 };

static int step(struct rig *r)
{
	static const int32_t tokens[64] = { 1, 2, 3 };
	int err = accel_seq_trim(r->seq, 0);

	return err ? err : rig_eval(r, tokens, 64, ACCEL_WANT_LAST, NULL);
}

static void test_cut_while_computing(void)
{
	struct accel_engine_opts eo = { .sz = sizeof(eo), .threads = 2 };
	const char *path = write_large();
	struct accel_model *m;
	pthread_t cutter;
	int rc, steps = 0;
	struct rig r;

	if (!ok(!accel_model_load(path, &m), "a model loads"))
		return;
	r = rig_new(m, NULL, small_batch, &eo);
	ok(!step(&r), "and computes");
	pthread_create(&cutter, NULL, cut_soon, (void *)path);
	do
		rc = step(&r);
	while (!rc && ++steps < 100000);
	pthread_join(cutter, NULL);
	ok(rc == -EIO && strstr(accel_error(), "while it was in use"), "it is cut during a step: %d, %s", rc,
	   accel_error());
	ok(!accel_seq_length(r.seq), "the sequence is as it was before");
	ok(step(&r) == -EIO, "it computes no more");
	rig_free(&r);
	accel_model_free(m);
	ok(!accel_model_load(write_large(), &m), "whole again, it loads");
	accel_model_free(m);
}

static int cut_now(void *arg, uint64_t done, uint64_t total)
{
	(void)total;
	if (done && truncate(arg, 4096))
		abort();
	return 0;
}

static void test_cut_while_loading(void)
{
	for (int strict = 0; strict < 2; strict++) {
		const char *path = write_large();
		const struct accel_engine_opts eo = {
			.sz = sizeof(eo), .threads = 1, .strict = strict, .progress = cut_now,
			.progress_arg = (void *)path,
		};
		struct accel_model *m = NULL;
		struct rig r = { 0 };
		int rc;

		if (!ok(!accel_open("sim", &r.dev) && !accel_model_load(path, &m), "a processor and a model"))
			return;
		rc = rig_plan(&r, m, small_batch);
		if (!rc)
			rc = rig_engine(&r, &eo);
		ok(rc == -EIO && strstr(accel_error(), "while it was in use"),
		   "it is cut while it is copied to the processor: %d, %s", rc, accel_error());
		rig_free(&r);
		accel_model_free(m);
	}
}

/* What is on the card is not read from the file again. */
static void test_cut_beside_a_card(void)
{
	const char *path = write_large();
	struct accel_model *m = NULL;
	struct rig r;

	if (!ok(!accel_model_load(path, &m), "a model loads"))
		return;
	r = rig_new(m, "sim", small_batch, NULL);
	ok(!step(&r) && !truncate(path, 4096), "its file is cut when all of it is on the processor");
	ok(rig_stats(&r).layers_cpu || !step(&r), "which goes on");
	rig_free(&r);
	accel_model_free(m);
}

/* One byte is a change, wherever it is; a name, a mode or another reader is none. */
static void test_written(void)
{
	const char *path = write_large();
	struct accel_model *m = NULL;
	struct stat st;
	struct rig r;
	int fd;

	if (!ok(!accel_model_load(path, &m), "a model loads"))
		return;
	r = rig_new(m, NULL, small_batch, NULL);
	fd = open(path, O_RDWR);
	ok(!step(&r) && !fchmod(fd, 0400) && !step(&r), "its file gets another mode: %s", accel_error());
	usleep(50000);		/* a clock tick of the file's */
	ok(!fstat(fd, &st) && pwrite(fd, "", 1, st.st_size / 3) == 1 && step(&r) == -EIO &&
	   strstr(accel_error(), "was written to while it was in use"), "a byte of it is written: %s",
	   accel_error());
	close(fd);
	rig_free(&r);
	accel_model_free(m);
}

int main(void)
{
	if (!ok(mkdtemp(dir) != NULL, "a directory") || !ok(!accel_guard_files(), "the guard"))
		return done();
	snprintf(file, sizeof(file), "%s/m.gguf", dir);
	test_cut_while_computing();
	test_cut_while_loading();
	test_cut_beside_a_card();
	test_written();
	unlink(file);
	rmdir(dir);
	return done();
}
