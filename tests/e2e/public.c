// SPDX-License-Identifier: MIT
/* What a program gets that has the public headers and libaccel.so alone: every function of accel.h and
 * device.h, on the model, and in public_*.c of the other headers.  tests/structure/symbols sees to "every". */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <accel/device.h>
#include <octans/isa.h>

#include "../unit/tap.h"
#include "public.h"

#define VA	(1ull << 32)
#define SPEC	"sim:rings=2,local=4M"

struct bench {
	struct accel_dev *dev;
	struct accel_bo *bo;
	struct accel_vm *vm;
	struct accel_queue *q;
	uint64_t *word;		/* of the buffer, mapped at VA */
};

static int bench_new(struct bench *b)
{
	int err = accel_open(SPEC, &b->dev);
	void *map = NULL;

	if (!err)
		err = accel_bo_new(b->dev, 10000, ACCEL_BO_DEVICE, "public", &b->bo);
	if (!err)
		err = accel_vm_new(b->dev, &b->vm);
	if (!err)
		err = accel_vm_map(b->vm, b->bo, 0, accel_va_align(VA, 1), accel_bo_size(b->bo), 0);
	if (!err)
		err = accel_queue_new(b->vm, ACCEL_PRIORITY_HIGH, 1000, &b->q);
	if (!err)
		err = accel_bo_map(b->bo, &map);
	b->word = map;
	return err;
}

static void bench_free(struct bench *b)
{
	accel_queue_free(b->q);
	accel_vm_free(b->vm);
	accel_bo_free(b->bo);
	accel_close(b->dev);
}

/* A job that writes value to word 512, if it may. */
static struct accel_job job(struct bench *b, uint64_t value)
{
	struct octans_cmd_signal s = {
		.cmd = { .op = OCTANS_OP_SIGNAL, .size = sizeof(s) }, .va = VA + 4096, .value = value,
	};

	memcpy(b->word, &s, sizeof(s));
	return (struct accel_job) { .sz = sizeof(struct accel_job), .va = VA, .size = sizeof(s), .tag = value };
}

static int run(struct bench *b, uint64_t value)
{
	struct accel_job j = job(b, value);
	struct accel_fence *f;
	int err = accel_submit(b->q, &j, 1, NULL, 0, &f);

	if (!err)
		err = accel_fence_wait(f, INT64_MAX);
	accel_fence_free(f);
	return err;
}

/* Before anything has loaded the model. */
static void test_model_missing(void)
{
	struct accel_dev *dev;

	setenv("ACCEL_SIM_LIBRARY", "/no/such/model.so", 1);
	ok(accel_open("sim", &dev) == -ENODEV && !dev && strstr(accel_error(), "/no/such/model.so"), "%s",
	   accel_error());
	setenv("ACCEL_SIM_LIBRARY", "libm.so.6", 1);
	ok(accel_open("sim", &dev) == -EPROTO && strstr(accel_error(), "libm.so.6"), "%s", accel_error());
	unsetenv("ACCEL_SIM_LIBRARY");
}

static void *open_and_run(void *arg)
{
	struct bench b = { 0 };
	int err = bench_new(&b);

	if (!err)
		err = run(&b, 5);
	if (!err && b.word[512] != 5)
		err = -EILSEQ;
	bench_free(&b);
	*(int *)arg = err;
	return NULL;
}

/* The first four that ask for the model do so at once. */
static void test_threads(void)
{
	pthread_t t[4];
	int err[4], bad = 0;

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, open_and_run, &err[i]);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		bad += !!err[i];
	}
	ok(!bad, "four threads load the model, and compute");
}

/* The child has no use of handles, but of the library.  (TSan lets no child start threads.) */
static void test_fork(void)
{
#ifndef __SANITIZE_THREAD__
	struct bench b = { 0 };
	int status = -1;
	pid_t pid;

	ok(!bench_new(&b) && !run(&b, 1), "a parent computes");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct accel_devinfo info = { .sz = sizeof(info) };
		void *map;
		int err;

		if (run(&b, 3) != -ENODEV || accel_dev_info(b.dev, &info) != -ENODEV ||
		    accel_bo_map(b.bo, &map) != -ENODEV)
			_exit(1);
		bench_free(&b);
		open_and_run(&err);
		_exit(!!err);
	}
	ok(waitpid(pid, &status, 0) == pid && !status, "its child is refused, frees, and opens a processor of its own");
	ok(!run(&b, 2) && b.word[512] == 2, "and the parent goes on");
	bench_free(&b);
#endif
}

static bool has_isa(const char *name)
{
	bool supported;
	const char *s;

	for (uint32_t i = 0; (s = accel_isa_name(i, &supported)); i++)
		if (!strcmp(s, name))
			return supported;
	return false;
}

static void test_accel(void)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_dev *dev;
	size_t n = 0;
	char reply[64];

	ok(accel_numerics() == 1, "the numerics' first version");
	ok(accel_version() == (ACCEL_VERSION_MAJOR << 16 | ACCEL_VERSION_MINOR << 8 | ACCEL_VERSION_PATCH),
	   "the library is of the headers' version");
	ok(has_isa("scalar") && !has_isa("sse9") && !accel_isa_name(UINT32_MAX, NULL), "instruction sets have names");
	ok(!accel_enumerate(NULL, &n), "%zu processors", n);
	ok(accel_open("nonsense", &dev) == -EINVAL && !dev && strstr(accel_error(), "\"nonsense\""), "%s",
	   accel_error());
	if (!ok(!accel_open(SPEC, &dev), "the model opens"))
		return;
	ok(!accel_dev_info(dev, &info) && !strcmp(info.name, "sim") && info.rings == 2 &&
	   info.memory_size == 4 << 20, "and is what was asked for");
	ok(info.ops >> OCTANS_OP_MATMUL & 1 && !strcmp(accel_op_name(OCTANS_OP_MATMUL), "MATMUL") &&
	   info.types >> OCTANS_TYPE_Q8_0 & 1 && !strcmp(accel_type_name(OCTANS_TYPE_Q8_0), "Q8_0") &&
	   !strcmp(accel_op_name(63), "?") && !strcmp(accel_type_name(1000), "?"), "in words");
	ok(accel_dev_fd(dev) == -1, "it has no file descriptor");
	ok(!accel_dev_control(dev, "stat", reply, sizeof(reply)) && reply[0], "it takes orders");
	accel_close(dev);
	accel_close(NULL);
}

static void test_buffers(void)
{
	struct accel_bo *mine, *other;
	void *map, *there = NULL;
	uint64_t *here;
	struct bench b = { 0 };
	int fd;

	if (!ok(!bench_new(&b), "a bench"))
		return bench_free(&b);
	ok(accel_bo_size(b.bo) == 12288 && !b.word[0] && !b.word[12288 / 8 - 1], "whole pages of zeros");
	ok(accel_bo_export(b.bo, &fd) == -ENOTSUP && fd == -1, "%s", accel_error());
	ok(accel_bo_import(b.dev, 0, &other) == -EINVAL && !other, "%s", accel_error());
	if (ok(!accel_bo_new(b.dev, 10000, ACCEL_BO_HOST, NULL, &mine) && !accel_bo_map(mine, &map), "host memory")) {
		here = map;
		here[5] = 55;
		ok(!accel_bo_export(mine, &fd) && fd >= 0 && here[5] == 55, "is exported");
		ok(!accel_bo_import(b.dev, fd, &other) && accel_bo_size(other) == 12288 && !accel_bo_map(other, &there) &&
		   ((uint64_t *)there)[5] == 55, "and imported");
		here[6] = 66;
		ok(there && ((uint64_t *)there)[6] == 66, "as the same memory");
		close(fd);
		accel_bo_free(mine);
		ok(there && ((uint64_t *)there)[6] == 66, "which stays with whoever is left");
		accel_bo_free(other);
	}
	ok(accel_bo_new(b.dev, 64 << 20, ACCEL_BO_DEVICE, NULL, &other) == -ENOSPC && !other, "%s",
	   accel_error());
	accel_bo_free(NULL);
	accel_vm_free(NULL);
	accel_queue_free(NULL);
	accel_fence_free(NULL);
	bench_free(&b);
}

static void test_jobs(void)
{
	struct accel_fault fault = { .sz = sizeof(fault) };
	struct bench b = { 0 };
	struct accel_fence *f;
	struct accel_job j;
	int fd;

	if (!ok(!bench_new(&b), "a bench"))
		return bench_free(&b);
	j = job(&b, 3);
	ok(!accel_submit(b.q, &j, 1, NULL, 0, &f) && !accel_fence_wait(f, INT64_MAX) && b.word[512] == 3,
	   "a job writes");
	ok(accel_fence_export(f, &fd) == -ENOTSUP && fd == -1, "%s", accel_error());
	accel_fence_free(f);
	ok(!accel_queue_error(b.q) && accel_vm_fault(b.vm, &fault) == 0, "nothing has failed");
	ok(!accel_vm_unmap(b.vm, VA + 4096, 4096) && run(&b, 4) == -EFAULT, "the page is taken away: %s",
	   accel_error());
	ok(accel_queue_error(b.q) == -EFAULT, "%s", accel_error());
	ok(accel_vm_fault(b.vm, &fault) == 1 && fault.va == VA + 4096 && fault.tag == 4 && fault.write,
	   "the fault tells where");
	ok(accel_submit(b.q, &j, 1, NULL, 0, NULL) == -ECANCELED, "%s", accel_error());
	bench_free(&b);
}

int main(void)
{
	test_model_missing();
	test_threads();
	test_fork();
	test_accel();
	test_buffers();
	test_jobs();
	test_files();
	test_models();
	test_text();
	return done();
}
