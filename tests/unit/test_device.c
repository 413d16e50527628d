// SPDX-License-Identifier: MIT
/* libaccel's devices, on the model: what is refused and how it is said, jobs in one call, large pages. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <accel/device.h>
#include <octans/isa.h>

#include "cpu_time.h"
#include "tap.h"

#define CODE	0x10000ULL
#define JOB	.sz = sizeof(struct accel_job),

static void test_open(void)
{
	static const struct {
		const char *selector;
		const char *says[4];	/* all of them */
		int err;
	} bad[] = {
		{ "sim:profile=octans-9", { "\"octans-9\"", "octans-1", "octans-e", "octans-s" }, -EINVAL },
		{ "sim:speed=1", { "sim:speed=1", "\"speed\"", "profile, local", "timing" }, -EINVAL },
		{ "sim:timing=yes", { "\"yes\"", "timing" }, -EINVAL },
		{ "sim:local=1x", { "\"1x\"", "256M" }, -EINVAL },
		{ "sim:local", { "\"local\"", "profile, local" }, -EINVAL },
		{ "sim:rings=17", { "17 rings", "1 to 16" }, -EINVAL },
		{ "simulator", { "\"simulator\"", "sim" }, -EINVAL },
	};
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_dev *dev;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int err = accel_open(bad[i].selector, &dev);
		bool said = true;

		for (int k = 0; k < 4 && bad[i].says[k]; k++)
			said &= !!strstr(accel_error(), bad[i].says[k]);
		ok(err == bad[i].err && !dev && said, "%s: %s", bad[i].selector, accel_error());
	}
	ok(!accel_open("sim:timing,profile=octans-e", &dev) && !accel_dev_info(dev, &info),
	   "a processor of time alone");
	ok(info.timing_only && !strcmp(info.profile, "octans-e") && info.sram_size == 4 << 20 &&
	   info.macs_int8 == 8192 && info.macs_f16 == 4096 && info.macs_f32 == 512 &&
	   info.memory_size == 8ULL << 30 && info.hw_version >> 16 == 2 && info.max_timeout_ms == 600000,
	   "is as the profile says");
	accel_close(dev);
	ok(!accel_open("sim", &dev) && !accel_dev_info(dev, &info) && !info.timing_only,
	   "without the word it computes");
	accel_close(dev);
}

/* More on-card memory than the host has: nobody touches it, so nobody needs it. */
static void test_size(void)
{
	uint64_t size = 900ULL << 30;
	double start = cpu_seconds();
	struct accel_dev *dev;
	struct accel_bo *bo = NULL, *more;
	struct accel_vm *vm = NULL;
	uint8_t *p;
	void *map;

	ok(!accel_open("sim:timing,local=1000G", &dev) &&
	   !accel_bo_new(dev, size, ACCEL_BO_DEVICE, "weights", &bo) && !accel_vm_new(dev, &vm) &&
	   !accel_vm_map(vm, bo, 0, accel_va_align(CODE, size), size, 0),
	   "900 GiB on a card");
	p = accel_bo_map(bo, &map) ? NULL : map;
	ok(p && !p[0] && !p[size - 1], "are zeros");
	ok(cpu_seconds() - start < 2, "after %.3f s", cpu_seconds() - start);
	ok(accel_bo_new(dev, 200ULL << 30, ACCEL_BO_DEVICE, NULL, &more) == -ENOSPC,
	   "but no more than there are: %s", accel_error());
	accel_vm_free(vm);
	accel_bo_free(bo);
	accel_close(dev);
	ok(accel_va_align(1, 1 << 12) == 1 << 16 && accel_va_align(1, 1 << 21) == 1 << 21 &&
	   accel_va_align(1 << 21, 5 << 20) == 1 << 21 && accel_va_align(1, 1 << 30) == 1 << 30,
	   "addresses for large pages");
}

struct bench {
	struct accel_dev *dev;
	struct accel_bo *bo;
	struct accel_vm *vm;
	struct accel_queue *q;
	uint64_t *word;		/* of the buffer, mapped at CODE */
};

/* The stream: [CODE] a SIGNAL that writes 1, 2, .. to word 512 + i, 32 bytes each. */
static void bench_new(struct bench *b, const char *selector)
{
	void *map;

	if (accel_open(selector, &b->dev) ||
	    accel_bo_new(b->dev, 0x10000, ACCEL_BO_HOST, NULL, &b->bo) ||
	    accel_vm_new(b->dev, &b->vm) || accel_vm_map(b->vm, b->bo, 0, CODE, 0x10000, 0) ||
	    accel_queue_new(b->vm, ACCEL_PRIORITY_NORMAL, 1000, &b->q)) {
		printf("Bail out! no processor to test: %s\n", accel_error());
		exit(1);
	}
	if (accel_bo_map(b->bo, &map)) {
		printf("Bail out! no memory: %s\n", accel_error());
		exit(1);
	}
	b->word = map;
	for (uint64_t i = 0; i < 64; i++) {
		struct octans_cmd_signal s = {
			.cmd = { .op = OCTANS_OP_SIGNAL, .size = sizeof(s) },
			.va = CODE + 0x1000 + i * 8, .value = i + 1,
		};

		memcpy(b->word + i * 4, &s, sizeof(s));
	}
}

static void bench_free(struct bench *b)
{
	accel_queue_free(b->q);
	accel_vm_free(b->vm);
	accel_bo_free(b->bo);
	accel_close(b->dev);
}

static struct accel_job job(unsigned int i)
{
	return (struct accel_job) { JOB .va = CODE + i * 32, .size = 32, .tag = i };
}

static int written(const struct bench *b)
{
	int n = 0;

	while (n < 64 && b->word[512 + n] == (uint64_t)n + 1)
		n++;
	return n;
}

static void test_submit(void)
{
	static const struct accel_job crooked[] = {
		{ JOB .va = CODE + 8, .size = 32 }, { JOB .va = CODE, .size = 8 },
		{ JOB .va = CODE, .size = 0 },
		{ JOB .va = CODE, .size = (16 << 20) + 16 },
		{ JOB .va = CODE, .size = 32, .param_va = CODE, .param_count = 65 },
		{ JOB .va = CODE, .size = 32, .param_va = CODE + 2, .param_count = 1 },
		{ JOB .va = CODE, .size = 32, .param_va = CODE },
		{ JOB .va = CODE, .size = 32, .param_va = (1ULL << 48) - 4, .param_count = 2 },
	};
	struct accel_job jobs[ACCEL_MAX_JOBS + 1];
	struct accel_fence *f, *g;
	struct accel_queue *q;
	struct bench b;

	bench_new(&b, "sim");
	for (unsigned int i = 0; i <= ACCEL_MAX_JOBS; i++)
		jobs[i] = job(i);
	ok(accel_submit(b.q, jobs, 0, NULL, 0, &f) == -EINVAL && !f &&
	   accel_submit(b.q, jobs, ACCEL_MAX_JOBS + 1, NULL, 0, &f) == -EINVAL &&
	   strstr(accel_error(), "65"), "%s", accel_error());
	for (size_t i = 0; i < sizeof(crooked) / sizeof(*crooked); i++) {
		jobs[3] = crooked[i];
		ok(accel_submit(b.q, jobs, 5, NULL, 0, &f) == -EINVAL && !f &&
		   strstr(accel_error(), "job 3"), "%s", accel_error());
	}
	jobs[3] = job(3);
	ok(!written(&b), "and nothing ran");
	ok(!accel_submit(b.q, jobs, ACCEL_MAX_JOBS, NULL, 0, &f) && !accel_fence_wait(f, INT64_MAX) &&
	   written(&b) == 64, "64 jobs in one call, one fence");
	accel_queue_new(b.vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	memset(b.word + 512, 0, 512);
	ok(!accel_submit(q, jobs, 64, &f, 1, &g) && !accel_fence_wait(g, INT64_MAX) &&
	   written(&b) == 64, "after a job of another queue");
	accel_fence_free(f);
	accel_fence_free(g);
	ok(!accel_submit(q, jobs, 1, NULL, 0, NULL), "nobody has to want the fence");
	accel_queue_free(q);
	bench_free(&b);
}

/* Two processors: the buffer of one is mapped for the other, too, and their jobs wait for each other's. */
struct pair {
	struct bench b[2];
	struct accel_bo *there;		/* the first's buffer, of the second */
	struct accel_vm *vm;		/* of the second */
	struct accel_queue *q;
};

static void pair_new(struct pair *p)
{
	void *map;
	int fd;

	bench_new(&p->b[0], "sim:rings=1");
	bench_new(&p->b[1], "sim:rings=2");
	p->b[0].word[1023] = 77;
	ok(!accel_bo_export(p->b[0].bo, &fd) && !accel_bo_import(p->b[1].dev, fd, &p->there), "a buffer of both");
	close(fd);
	ok(!accel_bo_map(p->there, &map) && ((uint64_t *)map)[1023] == 77 && p->b[0].word[1023] == 77,
	   "has what was in it");
	accel_vm_new(p->b[1].dev, &p->vm);
	accel_vm_map(p->vm, p->there, 0, CODE, 0x10000, 0);
	accel_queue_new(p->vm, ACCEL_PRIORITY_NORMAL, 1000, &p->q);
}

static void pair_free(struct pair *p)
{
	accel_queue_free(p->q);
	accel_vm_free(p->vm);
	accel_bo_free(p->there);
	bench_free(&p->b[1]);
	bench_free(&p->b[0]);
}

/* At 0x2000: x = 1; after that of the other x = 2, and so on: each waits for the one before by its fence alone. */
static void test_other_processor(void)
{
	struct accel_fence *f[64] = { NULL };
	struct octans_cmd_copy copy = {
		.cmd = { .op = OCTANS_OP_COPY, .size = sizeof(copy) }, .size = 8,
	};
	uint8_t *streams;
	struct pair p;
	bool good = true;

	pair_new(&p);
	streams = (uint8_t *)p.b[0].word + 0x4000;
	for (unsigned int i = 0; i < 64; i++) {		/* word 1024 + i + 1 = word 1024 + i */
		copy.src = CODE + 0x2000 + i * 8;
		copy.dst = CODE + 0x2000 + (i + 1) * 8;
		memcpy(streams + i * sizeof(copy), &copy, sizeof(copy));
	}
	p.b[0].word[1024] = 0x1234567;
	for (unsigned int i = 0; i < 64; i++) {
		const struct accel_job j = { JOB .va = CODE + 0x4000 + i * sizeof(copy), .size = sizeof(copy) };

		good &= !accel_submit(i % 2 ? p.q : p.b[0].q, &j, 1, i ? &f[i - 1] : NULL, i != 0, &f[i]);
	}
	ok(good && !accel_fence_wait(f[63], INT64_MAX) && p.b[0].word[1024 + 64] == 0x1234567,
	   "64 jobs, each after one of the other processor");
	for (unsigned int i = 0; i < 64; i++)
		accel_fence_free(f[i]);
	pair_free(&p);
}

/* What waits for a job that failed, or whose queue is freed, runs; what is freed while it waits does not. */
static void test_other_fails(void)
{
	struct octans_cmd_wait wait = {
		.cmd = { .op = OCTANS_OP_WAIT, .size = sizeof(wait) }, .va = CODE + 0x2000, .value = 1,
	};
	struct accel_job stands = { JOB .va = CODE + 0x3000, .size = sizeof(wait) }, j = job(0);
	struct accel_fence *f = NULL, *g = NULL;
	char reply[256];
	struct pair p;

	pair_new(&p);
	memcpy((uint8_t *)p.b[0].word + 0x3000, &wait, sizeof(wait));
	if (!ok(!accel_submit(p.b[0].q, &stands, 1, NULL, 0, &f) && !accel_submit(p.q, &j, 1, &f, 1, &g) &&
		accel_fence_wait(g, 0) == -ETIMEDOUT, "one stands still, one waits for it"))
		return;
	ok(accel_fence_wait(f, INT64_MAX) == -ETIME && !accel_fence_wait(g, INT64_MAX) && p.b[0].word[512] == 1 &&
	   !accel_queue_error(p.q), "which runs when the other was stopped");
	accel_fence_free(f);
	accel_fence_free(g);
	accel_queue_free(p.b[0].q);
	accel_queue_new(p.b[0].vm, ACCEL_PRIORITY_NORMAL, 60000, &p.b[0].q);
	p.b[0].word[512] = 0;
	ok(!accel_submit(p.b[0].q, &stands, 1, NULL, 0, &f) && !accel_submit(p.q, &j, 1, &f, 1, &g), "the same again");
	accel_fence_free(f);
	accel_queue_free(p.b[0].q);
	ok(!accel_fence_wait(g, INT64_MAX) && p.b[0].word[512] == 1, "and when the other's queue was freed");
	accel_fence_free(g);
	accel_queue_new(p.b[0].vm, ACCEL_PRIORITY_NORMAL, 60000, &p.b[0].q);
	p.b[0].word[512] = 0;
	accel_submit(p.b[0].q, &stands, 1, NULL, 0, &f);
	accel_submit(p.q, &j, 1, &f, 1, NULL);
	accel_queue_free(p.q);
	ok(!p.b[0].word[512], "a queue is freed while its job waits");
	accel_fence_free(f);
	accel_queue_new(p.vm, ACCEL_PRIORITY_NORMAL, 1000, &p.q);
	accel_dev_control(p.b[0].dev, "remove", reply, sizeof(reply));
	ok(accel_submit(p.b[0].q, &stands, 1, NULL, 0, &f) == -ENODEV && !accel_submit(p.q, &j, 1, NULL, 0, &g) &&
	   !accel_fence_wait(g, INT64_MAX) && p.b[0].word[512] == 1, "the memory outlives its processor");
	accel_fence_free(g);
	pair_free(&p);
}

/* ACCEL_SIM_CONTROL counts jobs, also those in the middle of a call. */
static void test_planned_fault(void)
{
	struct accel_job jobs[ACCEL_MAX_JOBS];
	struct accel_fence *f;
	struct accel_fault fault = { .sz = sizeof(fault) };
	struct bench b;

	setenv("ACCEL_SIM_CONTROL", "24:fault 0", 1);
	bench_new(&b, "sim:rings=1");
	unsetenv("ACCEL_SIM_CONTROL");
	for (unsigned int i = 0; i < ACCEL_MAX_JOBS; i++)
		jobs[i] = job(i);
	ok(!accel_submit(b.q, jobs, 10, NULL, 0, NULL), "10 jobs");
	ok(!accel_submit(b.q, jobs + 10, 30, NULL, 0, &f) &&
	   accel_fence_wait(f, INT64_MAX) == -ECANCELED, "and 30: %s", accel_error());
	ok(written(&b) == 23 && accel_vm_fault(b.vm, &fault) == 1 && fault.tag == 23,
	   "the 24th is the one that fails: %d", written(&b));
	ok(accel_submit(b.q, jobs, 1, NULL, 0, NULL) == -ECANCELED, "%s", accel_error());
	ok(accel_queue_error(b.q) == -EFAULT, "why: %s", accel_error());
	accel_fence_free(f);
	bench_free(&b);
}

/* The queue tells why it stopped, whichever of its jobs it was, and only then. */
static void test_queue_error(void)
{
	struct accel_job jobs[8];
	struct accel_fence *f;
	char reply[256];

	for (unsigned int good = 0; good < 4; good++) {
		struct bench b;

		bench_new(&b, "sim:rings=1");
		for (unsigned int i = 0; i < 8; i++)
			jobs[i] = job(i);
		for (unsigned int i = 0; i < good; i++) {
			accel_submit(b.q, jobs, 1, NULL, 0, &f);
			accel_fence_wait(f, INT64_MAX);
			accel_fence_free(f);
		}
		ok(!accel_queue_error(b.q), "after %u good jobs nothing is wrong", good);
		accel_dev_control(b.dev, "fault 0", reply, sizeof(reply));
		accel_submit(b.q, jobs, 8, NULL, 0, &f);
		ok(accel_fence_wait(f, INT64_MAX) == -ECANCELED && accel_queue_error(b.q) == -EFAULT,
		   "after a bad one: %s", accel_error());
		accel_fence_free(f);
		bench_free(&b);
	}
}

/* A client whose job was stopped by the reset that another's made necessary is told so. */
static void test_innocent(void)
{
	struct octans_cmd_wait wait = {
		.cmd = { .op = OCTANS_OP_WAIT, .size = sizeof(wait) }, .va = CODE + 0x2000, .value = 1,
	};
	struct accel_job jobs[3] = { { JOB .va = CODE + 0x3000, .size = sizeof(wait) }, job(1), job(2) };
	struct accel_fence *f, *guilty;
	struct accel_queue *q;
	struct accel_vm *vm;
	struct bench b;
	char reply[256];

	bench_new(&b, "sim:rings=2");
	memcpy((uint8_t *)b.word + 0x3000, &wait, sizeof(wait));
	accel_vm_new(b.dev, &vm);
	accel_vm_map(vm, b.bo, 0, CODE, 0x10000, 0);
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 50, &q);
	accel_dev_control(b.dev, "hang ring 0", reply, sizeof(reply));
	accel_dev_control(b.dev, "fail-reset ring 0", reply, sizeof(reply));
	accel_submit(q, &jobs[1], 1, NULL, 0, &guilty);
	accel_submit(b.q, jobs, 3, NULL, 0, &f);
	ok(accel_fence_wait(guilty, INT64_MAX) == -ETIME && accel_queue_error(q) == -ETIME,
	   "the guilty: %s", accel_error());
	ok(accel_fence_wait(f, INT64_MAX) == -ECANCELED && accel_queue_error(b.q) == -ECANCELED &&
	   strstr(accel_error(), "reset"), "the innocent: %s", accel_error());
	accel_fence_free(guilty);
	accel_fence_free(f);
	accel_queue_free(q);
	accel_vm_free(vm);
	bench_free(&b);
}

/* Whatever room there is for the reply. */
static void test_control(void)
{
	struct accel_dev *dev;
	char reply[4] = "abc";

	accel_open("sim:rings=1", &dev);
	ok(accel_dev_control(dev, "frobnicate", reply, sizeof(reply)) < 0 && strlen(reply) == 3 &&
	   strstr(accel_error(), "\"frobnicate\" is not a command"), "%s", accel_error());
	ok(accel_dev_control(dev, "frobnicate", NULL, 0) < 0 &&
	   strstr(accel_error(), "is not a command"), "%s", accel_error());
	ok(!accel_dev_control(dev, "stat", NULL, 0), "nobody has to want the reply");
	accel_close(dev);
}

/* A program that is older or newer than the library. */
static void test_sizes(void)
{
	struct {
		struct accel_devinfo info;
		uint64_t tail[2];
	} newer = { .info = { .sz = sizeof(newer) }, .tail = { 7, 7 } };
	struct older {
		size_t sz;
		char name[32];
		uint64_t guard;
	} older = { .sz = offsetof(struct older, guard), .guard = 7 };
	struct {
		struct accel_job job;
		uint64_t tail;
	} jobs[2] = { { .job = job(0) }, { .job = job(1) } };
	const struct accel_job *first = &jobs[0].job;
	struct accel_fault fault = { 0 };
	struct bench b;

	bench_new(&b, "sim:rings=1,local=1M");
	ok(!accel_dev_info(b.dev, &newer.info) && newer.info.sz == sizeof(newer) && !newer.tail[0] &&
	   !newer.tail[1] && newer.info.va_bits == 48, "what the library does not know is zero");
	ok(!accel_dev_info(b.dev, (void *)&older) && !strcmp(older.name, "sim") && older.guard == 7,
	   "what the program does not know is not written");
	newer.info.sz = 0;
	ok(accel_dev_info(b.dev, &newer.info) == -EINVAL && strstr(accel_error(), "struct accel_devinfo"),
	   "%s", accel_error());
	newer.info.sz = 0x5555555555555555;
	ok(accel_dev_info(b.dev, &newer.info) == -EINVAL, "%s", accel_error());
	ok(accel_vm_fault(b.vm, &fault) == -EINVAL && strstr(accel_error(), "struct accel_fault"), "%s",
	   accel_error());

	jobs[0].job.sz = jobs[1].job.sz = sizeof(jobs[0]);
	ok(!accel_submit(b.q, first, 2, NULL, 0, NULL), "longer jobs with a tail of zeros are as ours");
	jobs[1].tail = 1ull << 40;
	ok(accel_submit(b.q, first, 2, NULL, 0, NULL) == -E2BIG && strstr(accel_error(), "48 bytes"),
	   "%s", accel_error());
	jobs[1].tail = 0;
	jobs[1].job.sz = sizeof(struct accel_job);
	ok(accel_submit(b.q, first, 2, NULL, 0, NULL) == -EINVAL && strstr(accel_error(), "element 1"), "%s",
	   accel_error());
	jobs[0].job.sz = 0;
	ok(accel_submit(b.q, first, 1, NULL, 0, NULL) == -EINVAL && strstr(accel_error(), "struct accel_job"),
	   "%s", accel_error());
	jobs[0].job.sz = 2 * sizeof(size_t);
	ok(accel_submit(b.q, first, 1, NULL, 0, NULL) == -EINVAL && strstr(accel_error(), "job 0"),
	   "a short one has no size: %s", accel_error());
	bench_free(&b);
}

int main(void)
{
	test_open();
	test_size();
	test_submit();
	test_other_processor();
	test_other_fails();
	test_planned_fault();
	test_queue_error();
	test_innocent();
	test_control();
	test_sizes();
	return done();
}
