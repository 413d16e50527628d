// SPDX-License-Identifier: MIT
/* The in-process door: buffers, address spaces, queues, and how it survives injected faults. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <accel/octans_isa.h>

#include "fail_alloc.h"
#include "inproc.h"
#include "tap.h"

#define CODE	0x10000ULL
#define DATA	0x1000000ULL

struct bench {
	struct octans_inproc *dev;
	struct octans_inproc_bo *code, *data;
	struct octans_inproc_vm *vm;
	struct octans_inproc_queue *q;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int control(struct octans_inproc *dev, const char *line)
{
	char reply[512];
	int ret = octans_inproc_control(dev, line, reply, sizeof(reply));

	if (ret)
		printf("# %s -> %s\n", line, reply);
	return ret;
}

static void bench_new(struct bench *b, const char *spec)
{
	char err[256];

	memset(b, 0, sizeof(*b));
	if (octans_inproc_open(spec, &b->dev, err, sizeof(err)) ||
	    octans_inproc_bo_new(b->dev, 0x10000, false, &b->code) ||
	    octans_inproc_bo_new(b->dev, 8 << 20, true, &b->data) ||
	    octans_inproc_vm_new(b->dev, &b->vm) ||
	    octans_inproc_vm_map(b->vm, b->code, 0, CODE, 0x10000, true) ||
	    octans_inproc_vm_map(b->vm, b->data, 0, DATA, 8 << 20, false) ||
	    octans_inproc_queue_new(b->vm, 0, 300, &b->q)) {
		printf("Bail out! no processor to test: %s\n", err);
		exit(1);
	}
}

static void bench_free(struct bench *b)
{
	octans_inproc_queue_free(b->q);
	octans_inproc_vm_free(b->vm);
	octans_inproc_bo_free(b->code);
	octans_inproc_bo_free(b->data);
	octans_inproc_close(b->dev);
}

/* One COPY at @slot of the code; returns its address. */
static uint64_t put_copy(struct bench *b, int slot, uint64_t dst, uint64_t src, uint64_t size)
{
	struct octans_cmd_copy c = {
		.cmd = { .op = OCTANS_OP_COPY, .size = sizeof(c) },
		.dst = dst, .src = src, .size = size,
	};

	memcpy((char *)octans_inproc_bo_map(b->code) + slot * sizeof(c), &c, sizeof(c));
	return CODE + slot * sizeof(c);
}

static int submit(struct octans_inproc_queue *q, uint64_t va, uint32_t size, uint64_t tag,
		  uint64_t *seq)
{
	struct octans_inproc_job job = { .va = va, .size = size, .tag = tag };

	return octans_inproc_submit(q, &job, 1, seq);
}

static int run(struct octans_inproc_queue *q, uint64_t va, uint32_t size)
{
	uint64_t seq;
	int ret = submit(q, va, size, 0x77, &seq);

	return ret ? ret : octans_inproc_wait(q, seq, now_ns() + 10000000000LL);
}

static void test_open(void)
{
	static const char *const bad[] = {
		"profile=none", "local=0", "local=12x", "rings=9", "rings=", "threads=0", "speed=1",
		"local", "local=5000000", "rings=-1", "timing=1", "timing,rings=99", "threads=1025",
	};
	struct octans_inproc_info info;
	struct octans_inproc *dev;
	char err[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		*err = 0;
		ok(octans_inproc_open(bad[i], &dev, err, sizeof(err)) < 0 && *err,
		   "\"%s\" is refused: %s", bad[i], err);
	}
	octans_inproc_open("profile=octans-9", &dev, err, sizeof(err));
	ok(strstr(err, "\"octans-9\"") && strstr(err, "octans-1") && strstr(err, "octans-e") &&
	   strstr(err, "octans-s"), "an unknown profile is named, and so are those there are");
	octans_inproc_open("speed=1", &dev, err, sizeof(err));
	ok(strstr(err, "\"speed\"") && strstr(err, "profile, local, rings, threads, timing"),
	   "an unknown key is named, and so are those there are");
	ok(!octans_inproc_open("profile=octans-s,local=32M,rings=3,threads=2", &dev, err,
			       sizeof(err)), "a full description");
	ok(!octans_inproc_info(dev, &info) && info.rings == 3 && info.local_size == 32 << 20 &&
	   !strcmp(info.profile, "octans-s") && info.hw_version == OCTANS_VERSION_2_0 &&
	   info.page_size == 4096 && info.local_used <= 65536 && !info.timing_only &&
	   info.sram_size == 1 << 20 && info.macs_f16 == 1024 && info.max_timeout_ms == 600000,
	   "is what one gets");
	octans_inproc_close(dev);
}

static void test_buffers(void)
{
	struct octans_inproc_bo *a, *b, *c;
	struct octans_inproc_info info;
	struct octans_inproc *dev;
	char err[256], *p;
	uint64_t before;

	octans_inproc_open("local=4M", &dev, err, sizeof(err));
	octans_inproc_info(dev, &info);
	before = info.local_used;
	ok(before <= 8192, "page tables have %llu bytes of the card", (unsigned long long)before);
	ok(octans_inproc_bo_new(dev, 0, false, &a) == -EINVAL, "an empty buffer is refused");
	ok(!octans_inproc_bo_new(dev, 1, true, &a) && octans_inproc_bo_size(a) == 4096,
	   "sizes are whole pages");
	ok(!octans_inproc_bo_new(dev, 2 << 20, true, &b), "2 MiB on the card");
	ok(octans_inproc_bo_new(dev, 2 << 20, true, &c) == -ENOSPC, "the card is full");
	octans_inproc_info(dev, &info);
	ok(info.local_used - before == (2 << 20) + 4096, "memory in use: %llu",
	   (unsigned long long)info.local_used);
	p = octans_inproc_bo_map(b);
	memset(p, 1, 2 << 20);
	octans_inproc_bo_free(b);
	ok(!octans_inproc_bo_new(dev, 2 << 20, true, &b) &&
	   !*(char *)octans_inproc_bo_map(b) && !((char *)octans_inproc_bo_map(b))[2097151],
	   "what is freed comes back zeroed");
	ok(!octans_inproc_bo_new(dev, 100 << 20, false, &c), "100 MiB of host memory");
	memset(octans_inproc_bo_map(c), 1, 4096);
	octans_inproc_bo_free(c);
	octans_inproc_bo_new(dev, 100 << 20, false, &c);
	ok(!*(char *)octans_inproc_bo_map(c), "zeroed as well");
	octans_inproc_bo_free(a);
	octans_inproc_bo_free(b);
	octans_inproc_bo_free(c);
	octans_inproc_info(dev, &info);
	ok(info.local_used == before, "all is given back");
	octans_inproc_close(dev);
}

static void test_mappings(struct bench *b)
{
	struct octans_inproc_fault f;
	struct octans_inproc_queue *q;
	uint64_t va = put_copy(b, 0, DATA + 0x100000, DATA, 0x1000);
	char *data = octans_inproc_bo_map(b->data);

	ok(octans_inproc_vm_map(b->vm, b->data, 1, DATA, 4096, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, 0, DATA + 1, 4096, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, 0, DATA, 0, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, 0, DATA, 16 << 20, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, 0, 1ULL << 48, 4096, false) == -EINVAL &&
	   octans_inproc_vm_map(b->vm, b->data, UINT64_MAX - 4095, DATA, 8192, false) == -EINVAL &&
	   octans_inproc_vm_unmap(b->vm, 4096, UINT64_MAX - 4095) == -EINVAL,
	   "crooked and overlong mappings are refused");

	memset(data, 0x42, 0x1000);
	ok(!run(b->q, va, 48) && data[0x100000] == 0x42, "a job runs");

	/* A hole in the middle of a large page: the rest still works. */
	ok(!octans_inproc_vm_unmap(b->vm, DATA + 0x101000, 0x1000), "a hole is made");
	memset(data, 0x43, 0x1000);
	ok(!run(b->q, va, 48) && data[0x100fff] == 0x43, "beside the hole all is well");
	ok(!octans_inproc_queue_new(b->vm, 0, 0, &q), "a queue to lose");
	va = put_copy(b, 1, DATA, DATA + 0x100800, 0x1000);
	ok(run(q, va, 48) == -EFAULT, "the hole faults");
	ok(octans_inproc_vm_fault(b->vm, &f) == 1 && f.va == DATA + 0x101000 &&
	   f.code == OCTANS_FAULT_UNMAPPED && !f.write && f.tag == 0x77, "and is in the log");
	ok(!octans_inproc_vm_fault(b->vm, &f), "once");
	ok(run(q, va, 48) == -ECANCELED, "its queue is banned");
	octans_inproc_queue_free(q);
	ok(!run(b->q, put_copy(b, 0, DATA + 0x100000, DATA, 0x1000), 48), "others are not");

	/* MAP replaces: the same address, now read-only and shifted by a page. */
	ok(!octans_inproc_vm_map(b->vm, b->data, 0x1000, DATA, 8 << 20 >> 1, true), "a map replaces");
	memset(data + 0x1000, 0x44, 0x1000);
	va = put_copy(b, 0, DATA + (5 << 20), DATA, 0x1000);
	ok(!run(b->q, va, 48) && data[5 << 20] == 0x44, "the new mapping counts");
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	va = put_copy(b, 0, DATA, DATA + (5 << 20), 0x1000);
	ok(run(q, va, 48) == -EFAULT && octans_inproc_vm_fault(b->vm, &f) == 1 &&
	   f.code == OCTANS_FAULT_READONLY && f.write, "it is read-only");
	octans_inproc_queue_free(q);
	ok(!octans_inproc_vm_map(b->vm, b->data, 0, DATA, 8 << 20, false), "and is put back");
}

static void test_submit(struct bench *b)
{
	uint64_t seq, last = 0;
	int bad = 0;

	ok(submit(b->q, CODE + 8, 16, 0, &seq) == -EINVAL &&
	   submit(b->q, CODE, 15, 0, &seq) == -EINVAL &&
	   submit(b->q, CODE, 0, 0, &seq) == -EINVAL &&
	   submit(b->q, CODE, OCTANS_CMD_MAX + 16, 0, &seq) == -EINVAL,
	   "crooked jobs are refused");
	ok(octans_inproc_wait(b->q, 0, 0) == -EINVAL && octans_inproc_wait(b->q, 1000000, 0) == -EINVAL,
	   "so is waiting for a job that is not there");
	/* Each job copies what the one before it wrote: only in order does it arrive. */
	*(uint64_t *)octans_inproc_bo_map(b->data) = 0x1234567890;
	for (int i = 0; i < 500; i++) {
		uint64_t va = put_copy(b, i, DATA + (i + 1) * 64, DATA + i * 64, 8);

		if (submit(b->q, va, 48, i, &seq) || (last && seq != last + 1))
			bad++;
		last = seq;
	}
	ok(!bad, "500 jobs at once, numbered in order");
	ok(!octans_inproc_wait(b->q, last, INT64_MAX) &&
	   ((uint64_t *)octans_inproc_bo_map(b->data))[500 * 8] == 0x1234567890,
	   "a queue keeps its order");
	ok(!octans_inproc_wait(b->q, last, 0) && !octans_inproc_wait(b->q, last, -1),
	   "asking after the end");
}

struct client {
	struct octans_inproc *dev;
	int failed;
	unsigned char mark;
};

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct bench b = { .dev = c->dev };

	if (octans_inproc_bo_new(b.dev, 0x10000, false, &b.code) ||
	    octans_inproc_bo_new(b.dev, 0x10000, c->mark & 1, &b.data) ||
	    octans_inproc_vm_new(b.dev, &b.vm) ||
	    octans_inproc_vm_map(b.vm, b.code, 0, CODE, 0x10000, true) ||
	    octans_inproc_vm_map(b.vm, b.data, 0, DATA, 0x10000, false) ||
	    octans_inproc_queue_new(b.vm, c->mark % 3, 0, &b.q)) {
		c->failed = -1;
		return NULL;
	}
	memset(octans_inproc_bo_map(b.data), c->mark, 0x1000);
	for (int i = 0; i < 300; i++) {
		unsigned char *p = octans_inproc_bo_map(b.data);

		memset(p + 0x1000, 0, 0x1000);
		if (run(b.q, put_copy(&b, 0, DATA + 0x1000, DATA, 0x1000), 48) ||
		    memcmp(p, p + 0x1000, 0x1000))
			c->failed++;
		if (i % 50 == 0 && (octans_inproc_vm_unmap(b.vm, DATA + 0x2000, 0x1000) ||
				    octans_inproc_vm_map(b.vm, b.data, 0x2000, DATA + 0x2000, 0x1000,
							 false)))
			c->failed++;
	}
	octans_inproc_queue_free(b.q);
	octans_inproc_vm_free(b.vm);
	octans_inproc_bo_free(b.code);
	octans_inproc_bo_free(b.data);
	return NULL;
}

static void test_clients(struct bench *b)
{
	struct client c[6];
	pthread_t t[6];

	for (int i = 0; i < 6; i++) {
		c[i] = (struct client) { b->dev, 0, 0x80 + i };
		pthread_create(&t[i], NULL, client_main, &c[i]);
	}
	for (int i = 0; i < 6; i++) {
		pthread_join(t[i], NULL);
		ok(!c[i].failed, "client %d of 6 at once, 300 jobs: %d wrong", i, c[i].failed);
	}
}

static void test_hang(struct bench *b)
{
	struct octans_inproc_queue *q[2];
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64), seq[3];
	int64_t start = now_ns();

	for (int i = 0; i < 2; i++)
		octans_inproc_queue_new(b->vm, 0, 200, &q[i]);
	for (int r = 0; r < 4; r++) {
		char line[32];

		snprintf(line, sizeof(line), "hang ring %d", r);
		control(b->dev, line);
	}
	for (int i = 0; i < 3; i++)
		submit(q[0], va, 48, i, &seq[i]);
	ok(octans_inproc_wait(q[0], seq[0], now_ns() + 20000000) == -ETIMEDOUT, "a job hangs");
	ok(octans_inproc_wait(q[0], seq[0], INT64_MAX) == -ETIME, "it is ended with ETIME");
	start = now_ns() - start;
	ok(start > 150000000 && start < 2000000000, "after %lld ms", (long long)(start / 1000000));
	ok(octans_inproc_wait(q[0], seq[1], INT64_MAX) == -ECANCELED &&
	   octans_inproc_wait(q[0], seq[2], INT64_MAX) == -ECANCELED, "those behind it are cancelled");
	ok(submit(q[0], va, 48, 0, &seq[0]) == -ECANCELED, "its queue is banned");
	for (int r = 0; r < 4; r++) {
		char line[32];

		snprintf(line, sizeof(line), "hang ring %d off", r);
		control(b->dev, line);
	}
	ok(!run(q[1], va, 48) && !run(b->q, va, 48), "other queues go on");

	/* Freeing a queue whose job hangs stops the job. */
	for (int r = 0; r < 4; r++) {
		char line[32];

		snprintf(line, sizeof(line), "hang %d", r);
		control(b->dev, line);
	}
	submit(q[1], va, 48, 0, &seq[0]);
	usleep(20000);
	octans_inproc_queue_free(q[1]);
	octans_inproc_queue_free(q[0]);
	for (int r = 0; r < 4; r++) {
		char line[32];

		snprintf(line, sizeof(line), "hang %d off", r);
		control(b->dev, line);
	}
	ok(!run(b->q, va, 48), "a queue with a hanging job can be freed");
}

static void test_injected(struct bench *b)
{
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64);
	struct octans_inproc_queue *q;
	struct octans_inproc_fault f;
	int64_t start;
	int ret;

	/* An idle processor gives the next job to ring 0. */
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	control(b->dev, "drop-irq 1 1");
	start = now_ns();
	ok(!run(q, va, 48), "a lost interrupt loses no job");
	ok(now_ns() - start < 1000000000, "and is noticed in %lld ms",
	   (long long)(now_ns() - start) / 1000000);
	control(b->dev, "slow 0 20000");
	start = now_ns();
	ok(!run(q, va, 48) && now_ns() - start >= 20000000, "a slow processor is slow");
	control(b->dev, "slow 0 0");
	control(b->dev, "fault 0");
	ok(run(q, va, 48) == -EFAULT && octans_inproc_vm_fault(b->vm, &f) == 1 && f.va == va,
	   "an injected fault faults");
	octans_inproc_queue_free(q);

	octans_inproc_queue_new(b->vm, 0, 0, &q);
	control(b->dev, "corrupt-wb 0 xor 0x4");
	ok(run(q, va, 48) == -EIO, "a corrupt status");
	octans_inproc_queue_free(q);
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	control(b->dev, "corrupt-wb 0 xor 0x10000000000");
	start = now_ns();
	ret = run(q, va, 48);
	ok(ret == -EIO && now_ns() - start < 1000000000, "a corrupt sequence number: %d", ret);
	octans_inproc_queue_free(q);
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	control(b->dev, "corrupt-wb 0 xor 0x2");
	ok(run(q, put_copy(b, 1, 0, 0, 0) + 0x8000, 48) == -EIO,
	   "a failure that the writeback hides");
	octans_inproc_queue_free(q);

	octans_inproc_queue_new(b->vm, 0, 200, &q);
	control(b->dev, "hang 0");
	control(b->dev, "fail-reset ring 0");
	ok(run(q, va, 48) == -ETIME, "a ring that does not reset takes a device reset");
	octans_inproc_queue_free(q);
	ok(!run(b->q, va, 48), "after which all works");
	octans_inproc_queue_new(b->vm, 0, 200, &q);
	control(b->dev, "hang 0");
	control(b->dev, "fail-reset ring 0");
	control(b->dev, "fail-reset device");
	ok(run(q, va, 48) == -ETIME && !run(b->q, va, 48), "if that fails, a function-level reset");
	octans_inproc_queue_free(q);
	octans_inproc_queue_new(b->vm, 0, 200, &q);
	control(b->dev, "hang 0");
	control(b->dev, "fail-reset ring 0");
	control(b->dev, "fail-reset device 2");
	ok(run(q, va, 48) == -ENODEV && run(b->q, va, 48) == -ENODEV, "if that fails, too, it is lost");
	octans_inproc_queue_free(q);
}

static void test_removal(void)
{
	struct octans_inproc_queue *q;
	struct octans_inproc_info info;
	struct octans_inproc_bo *bo;
	struct octans_inproc_vm *vm;
	uint64_t seq[2], va;
	struct bench b;

	bench_new(&b, NULL);
	va = put_copy(&b, 0, DATA + 0x1000, DATA, 64);
	octans_inproc_queue_new(b.vm, 0, 0, &q);
	control(b.dev, "hang 0");
	submit(q, va, 48, 0, &seq[0]);
	submit(q, va, 48, 0, &seq[1]);
	usleep(10000);
	control(b.dev, "remove");
	ok(octans_inproc_wait(q, seq[0], INT64_MAX) == -ENODEV &&
	   octans_inproc_wait(q, seq[1], INT64_MAX) == -ENODEV, "jobs of a lost processor: ENODEV");
	ok(submit(b.q, va, 48, 0, &seq[0]) == -ENODEV &&
	   octans_inproc_info(b.dev, &info) == -ENODEV &&
	   octans_inproc_bo_new(b.dev, 4096, false, &bo) == -ENODEV &&
	   octans_inproc_vm_new(b.dev, &vm) == -ENODEV &&
	   octans_inproc_vm_map(b.vm, b.code, 0, DATA, 4096, false) == -ENODEV &&
	   octans_inproc_queue_new(b.vm, 0, 0, &q) == -ENODEV, "all else: ENODEV");
	ok(!octans_inproc_vm_unmap(b.vm, DATA, 0x1000), "things can be taken down");
	control(b.dev, "restore");
	ok(submit(b.q, va, 48, 0, &seq[0]) == -ENODEV,
	   "a processor that returns is a new one");
	octans_inproc_queue_free(q);
	bench_free(&b);
}

static void test_control(struct bench *b)
{
	static const char *const bad[] = {
		"", "  ", "nonsense", "hang", "hang ring", "hang ring 4", "hang ring x", "hang 0 maybe",
		"slow 0", "slow 0 -1", "slow 9 1", "slow 0 1 2", "drop-irq", "drop-irq 5", "drop-irq 1 x",
		"fault", "fault 0 0", "corrupt-wb 0", "corrupt-wb 0 xor", "corrupt-wb 0 or 1",
		"fail-reset ring", "fail-reset ring 7", "fail-reset device x", "flip local",
		"flip local 0 8", "flip local 0x7fffffffffffffff 0", "flip host 0 0", "stat now",
		"remove it", "help me", "a b c d e f g h i j", "device-error x",
	};
	char reply[512], line[400];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int ret = octans_inproc_control(b->dev, bad[i], reply, sizeof(reply));

		ok(ret == -EINVAL && !strncmp(reply, "error: ", 7), "\"%s\": %s", bad[i], reply);
	}
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	ok(octans_inproc_control(b->dev, line, reply, sizeof(reply)) == -EINVAL, "an overlong line");
	ok(!octans_inproc_control(b->dev, "help", reply, sizeof(reply)) && !strncmp(reply, "ok ", 3),
	   "%s", reply);
	ok(!octans_inproc_control(b->dev, "stat", reply, sizeof(reply)) && strstr(reply, "jobs="),
	   "%s", reply);
	ok(!octans_inproc_control(b->dev, "help", reply, 8), "a short reply buffer: \"%s\"", reply);
	*(char *)octans_inproc_bo_map(b->data) = 0;
	control(b->dev, "flip local 0 3");
	ok(*(char *)octans_inproc_bo_map(b->data) == 8, "a bit flips");
	control(b->dev, "flip local 0 3");
	ok(octans_inproc_control(b->dev, "device-error 5", reply, sizeof(reply)) == -EINVAL,
	   "without an event queue there are no device errors: %s", reply);
}

/* ---- page tables, read as the processor reads them ---- */

#define K4	0x1000ULL
#define K64	0x10000ULL
#define M2	0x200000ULL
#define G1	0x40000000ULL

struct page {
	uint64_t size;		/* 0 = not mapped */
	uint64_t addr;		/* of the address asked for: bus address or on-card offset */
	bool local, write;
	bool bad;		/* against the rules of mmu.rst */
	int host_tables;	/* on the way */
};

static struct page walk(struct octans_inproc_vm *vm, uint64_t va)
{
	struct octans_inproc *dev = vm->dev;
	uint64_t entry = ((uint64_t *)inproc_host(dev, dev->asids))[vm->asid];
	struct page p = { 0 };

	for (int shift = 39; ; shift -= 9) {
		uint64_t at = entry & OCTANS_ADDR_MASK, *table;

		p.host_tables += !(entry & OCTANS_PTE_LOCAL);
		table = entry & OCTANS_PTE_LOCAL ? (void *)(dev->sim->local + at)
						 : inproc_host(dev, at - INPROC_IOVA);
		entry = table[va >> shift & 511];
		if (!(entry & OCTANS_PTE_VALID))
			return p;
		if (shift > 12 && !(entry & OCTANS_PTE_LARGE))
			continue;
		p.size = 1ULL << shift;
		at = entry & OCTANS_ADDR_MASK;
		p.bad = shift > 30 || (at & (p.size - 1)) || (shift == 12 && (entry & OCTANS_PTE_LARGE)) ||
			(shift > 12 && (entry & OCTANS_PTE_CONT));
		p.addr = at | (va & (p.size - 1));
		p.local = entry & OCTANS_PTE_LOCAL;
		p.write = entry & OCTANS_PTE_WRITE;
		if (entry & OCTANS_PTE_CONT) {
			uint64_t first = va >> 12 & 0x1f0;

			for (int i = 0; i < 16; i++)
				p.bad |= table[first + i] != (table[first] + i * K4);
			p.bad |= (table[first] & OCTANS_ADDR_MASK) % K64;
			p.size = K64;
		}
		return p;
	}
}

/* Counts pages by size; false if one is bad, missing or leads to the wrong place. */
static bool count_pages(struct octans_inproc_vm *vm, struct octans_inproc_bo *bo, uint64_t va,
			uint64_t size, unsigned int n[4])
{
	uint64_t addr = bo->local ? bo->offset : inproc_iova(bo->offset);
	bool good = true;

	memset(n, 0, 4 * sizeof(*n));
	for (uint64_t at = va; at < va + size; ) {
		struct page p = walk(vm, at);

		good &= !p.bad && p.size && p.addr == addr + (at - va) && p.local == bo->local;
		if (!p.size)
			return false;
		n[p.size == K4 ? 0 : p.size == K64 ? 1 : p.size == M2 ? 2 : 3]++;
		at += p.size - (at & (p.size - 1));
	}
	return good;
}

static void test_pages(void)
{
	uint64_t va = 5 * G1, size = 3 * G1 + M2 + K64 + K4, tables;
	struct octans_inproc_bo *bo, *small, *host;
	struct octans_inproc_vm *vm;
	struct octans_inproc *dev;
	unsigned int n[4] = { 0 };
	char err[256];
	bool good;

	octans_inproc_open(NULL, &dev, err, sizeof(err));
	octans_inproc_bo_new(dev, K4, true, &small);	/* so that nothing is aligned by chance */
	octans_inproc_bo_new(dev, size, true, &bo);
	octans_inproc_bo_new(dev, G1 + M2, false, &host);
	octans_inproc_vm_new(dev, &vm);
	tables = dev->tables.used;
	ok(walk(vm, va).host_tables == 0 && tables == K4, "the root table lies on the card");
	good = !octans_inproc_vm_map(vm, bo, 0, va, size, false) && count_pages(vm, bo, va, size, n);
	ok(good && n[3] == 3 && n[2] == 1 && n[1] == 1 && n[0] == 1,
	   "3 GiB + 2 MiB + 64 KiB + 4 KiB are %u + %u + %u + %u pages", n[3], n[2], n[1], n[0]);
	ok(dev->tables.used == tables + 3 * K4, "in %llu more tables, all on the card",
	   (unsigned long long)(dev->tables.used - tables) / K4);
	ok(!octans_inproc_vm_map(vm, host, 0, 16 * G1, G1 + M2, true) &&
	   count_pages(vm, host, 16 * G1, G1 + M2, n) && n[3] == 1 && n[2] == 1 && !n[1] && !n[0] &&
	   !walk(vm, 16 * G1).write, "host memory has large pages too");
	ok(!octans_inproc_vm_unmap(vm, va + G1 + 7 * M2 + 3 * K64 + K4, K4) &&
	   !walk(vm, va + G1 + 7 * M2 + 3 * K64 + K4).size, "a hole in a page of 1 GiB");
	good = count_pages(vm, bo, va, G1 + 7 * M2 + 3 * K64 + K4, n);
	ok(good && n[3] == 1 && n[2] == 7 && n[1] == 3 && n[0] == 1, "what is before it is as it was");
	{
		struct octans_inproc_bo rest = *bo;
		uint64_t from = G1 + 7 * M2 + 3 * K64 + 2 * K4;

		rest.offset += from;
		good = count_pages(vm, &rest, va + from, size - from, n);
	}
	ok(good && n[3] == 1 && n[2] == 504 + 1 && n[1] == 28 + 1 && n[0] == 14 + 1,
	   "what is behind it, too: %u + %u + %u + %u", n[3], n[2], n[1], n[0]);
	octans_inproc_vm_unmap(vm, 0, 1ULL << 48);
	ok(dev->tables.used == tables && !walk(vm, va).size, "without mappings there are no tables");
	octans_inproc_vm_map(vm, bo, K4, va, G1, false);
	ok(walk(vm, va).size == K4 && !walk(vm, va).bad && walk(vm, va).addr == bo->offset + K4,
	   "crooked offsets have small pages");
	octans_inproc_vm_free(vm);
	ok(!dev->tables.used, "an address space leaves no tables");
	octans_inproc_bo_free(bo);
	octans_inproc_bo_free(small);
	octans_inproc_bo_free(host);
	octans_inproc_close(dev);
}

/* Random changes of 4 GiB of addresses against an array that says what is where. */
static void test_random_maps(void)
{
	enum { PAGES = 1 << 20 };
	uint64_t *is = calloc(PAGES, sizeof(*is)), rnd = 88172645463325252ULL;
	struct octans_inproc_bo *bo[2];
	struct octans_inproc_vm *vm;
	struct octans_inproc *dev;
	int bad = 0, refused = 0;
	char err[256];

	octans_inproc_open(NULL, &dev, err, sizeof(err));
	octans_inproc_bo_new(dev, 3 * G1, true, &bo[0]);
	octans_inproc_bo_new(dev, 3 * G1, false, &bo[1]);
	octans_inproc_vm_new(dev, &vm);
	for (int i = 0; i < 400; i++) {
		unsigned int shift[] = { 0, 0, 4, 9, 9, 18 }, unit;
		uint64_t va, size, offset;
		struct octans_inproc_bo *b;

		rnd ^= rnd << 13, rnd ^= rnd >> 7, rnd ^= rnd << 17;
		unit = shift[rnd % 6];
		b = bo[rnd >> 8 & 1];
		va = (rnd >> 10) % PAGES >> unit << unit;
		size = 1 + (rnd >> 31) % (600 << unit > PAGES ? PAGES : 600 << unit);
		if (rnd >> 62)
			size = (size >> unit << unit) + !(size >> unit);
		size = size > PAGES - va ? PAGES - va : size > 3 * (G1 / K4) ? 3 * (G1 / K4) : size;
		offset = ((rnd >> 20) % (3 * (G1 / K4) - size + 1)) >> unit << unit;
		if (rnd >> 9 & 1) {
			refused += !!octans_inproc_vm_map(vm, b, offset * K4, va * K4, size * K4, false);
			for (uint64_t p = 0; p < size; p++)
				is[va + p] = (b->local ? b->offset | 1 : inproc_iova(b->offset)) +
					     (offset + p) * K4;
		} else {
			refused += !!octans_inproc_vm_unmap(vm, va * K4, size * K4);
			memset(is + va, 0, size * sizeof(*is));
		}
		for (int probe = 0; probe < 300; probe++) {
			uint64_t at = probe < 20 ? va + probe - 10 :
				      probe < 40 ? va + size + probe - 30 : probe * 3491ULL % PAGES;
			struct page p;

			if (at >= PAGES)
				continue;
			p = walk(vm, at * K4);
			bad += p.bad || (p.size ? p.addr | p.local : 0) != is[at];
		}
	}
	ok(!bad && !refused, "400 random changes: %d pages wrong, %d changes refused", bad, refused);
	octans_inproc_vm_unmap(vm, 0, 1ULL << 48);
	ok(dev->tables.used == K4, "and no table too many");
	octans_inproc_vm_free(vm);
	octans_inproc_bo_free(bo[0]);
	octans_inproc_bo_free(bo[1]);
	octans_inproc_close(dev);
	free(is);
}

static void *unmap_middle(void *arg)
{
	struct bench *b = arg;

	return (void *)(intptr_t)octans_inproc_vm_unmap(b->vm, DATA + (1 << 20), K4);
}

/* A large page in use is broken up: the job that uses the rest of it must not notice. */
static void test_break(struct bench *b)
{
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64), seq;
	pthread_t t;
	void *ret;

	for (int i = 1; i < 8; i++)
		put_copy(b, i, DATA + 0x1000 * (i + 1), DATA + 0x1000 * i, 64);
	memset(octans_inproc_bo_map(b->data), 0x5a, 64);
	ok(walk(b->vm, DATA).size == M2, "a page of 2 MiB");
	control(b->dev, "slow 0 10000");
	submit(b->q, va, 8 * 48, 0, &seq);
	usleep(15000);
	pthread_create(&t, NULL, unmap_middle, b);
	ok(!octans_inproc_wait(b->q, seq, INT64_MAX) &&
	   ((unsigned char *)octans_inproc_bo_map(b->data))[0x8000] == 0x5a,
	   "is broken up while a job uses it");
	pthread_join(t, &ret);
	control(b->dev, "slow 0 0");
	ok(!ret && walk(b->vm, DATA).size == K64 && !walk(b->vm, DATA + (1 << 20)).size,
	   "and is then small ones");
	ok(!octans_inproc_vm_map(b->vm, b->data, 0, DATA, 8 << 20, false) &&
	   walk(b->vm, DATA).size == M2, "mapped anew it is large again");
}

/* ---- jobs ---- */

static struct octans_tensor tensor(uint64_t va, uint32_t type, uint32_t rows, uint32_t cols,
				   uint64_t stride, uint32_t dyn)
{
	return (struct octans_tensor) { va, stride, rows, cols, type, dyn };
}

static void test_params(struct bench *b)
{
	struct octans_cmd_move *c = octans_inproc_bo_map(b->code);
	uint32_t *data = octans_inproc_bo_map(b->data);
	struct octans_inproc_job jobs[OCTANS_INPROC_MAX_JOBS + 1];
	struct octans_inproc_queue *q;
	struct octans_inproc_fault f;
	uint64_t seq, last;
	bool good = true;

	/* One stream: copy p[0] rows of 64 bytes from row p[1] on, to row p[2] on. */
	*c = (struct octans_cmd_move) {
		.cmd = { .op = OCTANS_OP_MOVE, .size = sizeof(*c) },
		.src = tensor(DATA, OCTANS_TYPE_I32, 256, 16, 64, OCTANS_DYN(0, 1)),
		.dst = tensor(DATA + 0x10000, OCTANS_TYPE_I32, 256, 16, 64, OCTANS_DYN(0, 2)),
	};
	memset(data, 0, 0x40000);
	for (int i = 0; i < 256; i++)
		data[i * 16] = 1000 + i;
	for (uint32_t i = 0; i < OCTANS_INPROC_MAX_JOBS; i++) {
		uint32_t *p = data + 0x20000 / 4 + i * 3;

		p[0] = 1 + i % 3;
		p[1] = i * 3;
		p[2] = i * 4;
		jobs[i] = (struct octans_inproc_job) {
			.va = CODE, .size = sizeof(*c), .tag = i,
			.param_va = DATA + 0x20000 + i * 12, .param_count = 3,
		};
	}
	jobs[OCTANS_INPROC_MAX_JOBS] = jobs[0];
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	ok(!octans_inproc_submit(q, jobs, OCTANS_INPROC_MAX_JOBS, &seq) && seq == 64 &&
	   !octans_inproc_wait(q, seq, INT64_MAX), "64 jobs in one call, one stream, own parameters");
	for (uint32_t i = 0; i < OCTANS_INPROC_MAX_JOBS; i++)
		for (uint32_t row = 0; row < 4; row++)
			good &= data[0x10000 / 4 + (i * 4 + row) * 16] ==
				(row < 1 + i % 3 ? 1000 + i * 3 + row : 0);
	ok(good, "each did what its parameters say");

	last = seq;
	memset(data + 0x10000 / 4, 0, 0x10000);
	ok(octans_inproc_submit(q, jobs, 0, &seq) == -EINVAL &&
	   octans_inproc_submit(q, jobs, OCTANS_INPROC_MAX_JOBS + 1, &seq) == -EINVAL,
	   "none and 65 are refused");
	for (int bad = 0; bad < 6; bad++) {
		struct octans_inproc_job j = jobs[63];

		switch (bad) {
		case 0: j.param_count = 65; break;
		case 1: j.param_va += 2; break;
		case 2: j.param_count = 0; break;
		case 3: j.param_va = (1ULL << 48) - 8; break;
		case 4: j.size = 8; break;
		case 5: j.va += 4; break;
		}
		jobs[63] = j;
		ok(octans_inproc_submit(q, jobs, 64, &seq) == -EINVAL, "crooked job %d is refused", bad);
		jobs[63] = jobs[64];
	}
	usleep(20000);
	ok(!data[0x10000 / 4] && !octans_inproc_submit(q, jobs, 1, &seq) && seq == last + 1 &&
	   !octans_inproc_wait(q, seq, INT64_MAX) && data[0x10000 / 4] == 1000,
	   "and with it those before it");

	jobs[1].param_va = DATA + (900 << 20);
	octans_inproc_submit(q, jobs, 3, &seq);
	ok(!octans_inproc_wait(q, seq - 2, INT64_MAX) &&
	   octans_inproc_wait(q, seq - 1, INT64_MAX) == -EFAULT &&
	   octans_inproc_wait(q, seq, INT64_MAX) == -ECANCELED, "a fault ends the jobs behind it");
	ok(octans_inproc_vm_fault(b->vm, &f) == 1 && f.va == DATA + (900 << 20) && f.tag == 1 &&
	   !f.cmd_offset && !f.write, "parameters that are not mapped are in the log");
	octans_inproc_queue_free(q);
}

/* A long timeout is for jobs that are long, not for those that hang. */
static void test_standstill(struct bench *b)
{
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64);
	unsigned int patience = b->dev->patience;
	struct octans_inproc_queue *q;
	int64_t start = now_ns();
	int ret;

	for (int i = 1; i < 40; i++)
		put_copy(b, i, DATA + 0x1000, DATA, 64);
	b->dev->patience = 4;
	octans_inproc_queue_new(b->vm, 0, 600000, &q);
	control(b->dev, "slow 0 10000");
	ok(!run(q, va, 40 * 48) && now_ns() - start >= 400000000, "a job that takes long comes to its end");
	control(b->dev, "slow 0 0");
	control(b->dev, "hang 0");
	start = now_ns();
	ret = run(q, va, 48);
	start = now_ns() - start;
	ok(ret == -ETIME && start >= 200000000, "one that stands still is stopped after %lld ms",
	   (long long)start / 1000000);
	b->dev->patience = patience;
	octans_inproc_queue_free(q);
	ok(octans_inproc_queue_new(b->vm, 0, 600001, &q) == -EINVAL, "and 600 s are the limit");
}

/* Memory may be short at any moment of a call: then nothing has happened. */
static void test_no_memory(void)
{
	uint64_t seq, va = 4 * G1, before, hole = va + G1 + 5 * K4, nop[2] = { OCTANS_OP_NOP | 16ULL << 32 };
	struct octans_inproc_job jobs[8];
	struct octans_inproc_bo *bo, *code;
	struct octans_inproc_queue *q;
	struct octans_inproc_vm *vm;
	struct octans_inproc *dev;
	unsigned int n[4] = { 0 };
	bool good = true;
	char err[256];
	long tries;
	int ret;

	if (!FAIL_ALLOC) {
		printf("# no allocations fail under a sanitizer\n");
		return;
	}
	octans_inproc_open(NULL, &dev, err, sizeof(err));
	octans_inproc_bo_new(dev, 2 * G1, true, &bo);
	octans_inproc_bo_new(dev, K4, false, &code);
	octans_inproc_vm_new(dev, &vm);
	octans_inproc_vm_map(vm, bo, 0, va, 2 * G1, false);
	octans_inproc_vm_map(vm, code, 0, CODE, K4, true);
	octans_inproc_queue_new(vm, 0, 0, &q);
	before = dev->tables.used;
	for (tries = 1; ; tries++) {
		fail_countdown = tries;
		ret = octans_inproc_vm_unmap(vm, hole, K4);
		fail_countdown = 0;
		if (!ret)
			break;
		good &= ret == -ENOMEM && count_pages(vm, bo, va, 2 * G1, n) && n[3] == 2 &&
			dev->tables.used == before;
	}
	ok(good && tries > 3 && !walk(vm, hole).size, "a hole, or nothing, %ld times", tries);
	before = dev->tables.used;
	for (tries = 1; ; tries++) {
		fail_countdown = tries;
		ret = octans_inproc_vm_map(vm, bo, K4, va, G1, false);
		fail_countdown = 0;
		if (!ret)
			break;
		good &= ret == -ENOMEM && walk(vm, va).size == G1 && dev->tables.used == before;
	}
	ok(good && tries > 500 && walk(vm, va).size == K4, "another mapping, or nothing, %ld times", tries);
	memcpy(octans_inproc_bo_map(code), nop, sizeof(nop));
	for (int i = 0; i < 8; i++)
		jobs[i] = (struct octans_inproc_job) { .va = CODE, .size = 16 };
	for (tries = 1; ; tries++) {
		fail_countdown = tries;
		ret = octans_inproc_submit(q, jobs, 8, &seq);
		fail_countdown = 0;
		if (!ret)
			break;
		good &= ret == -ENOMEM;
	}
	ok(good && tries == 9 && seq == 8 && !octans_inproc_wait(q, seq, INT64_MAX),
	   "8 jobs, or none, %ld times", tries);
	octans_inproc_queue_free(q);
	octans_inproc_vm_free(vm);
	octans_inproc_bo_free(bo);
	octans_inproc_bo_free(code);
	octans_inproc_close(dev);
	for (tries = 1; ; tries++) {
		long live = fail_live;

		fail_countdown = tries;
		ret = octans_inproc_open(NULL, &dev, err, sizeof(err));
		fail_countdown = 0;
		if (!ret)
			break;
		good &= *err && fail_live == live;
	}
	ok(good && tries > 5, "a processor, or a sentence and nothing lost, %ld times", tries);
	octans_inproc_close(dev);
}

/* ---- one client and the others ---- */

static void test_hog(struct bench *b)
{
	struct octans_inproc_queue *hog[8];
	struct bench v = { .dev = b->dev };
	int64_t start, worst = 0;
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64), seq;
	char line[32];
	int bad = 0;

	octans_inproc_bo_new(v.dev, 0x10000, false, &v.code);
	octans_inproc_vm_new(v.dev, &v.vm);
	octans_inproc_vm_map(v.vm, v.code, 0, CODE, 0x10000, false);
	octans_inproc_queue_new(v.vm, 0, 0, &v.q);
	put_copy(&v, 0, CODE + 0x1000, CODE, 64);
	for (int r = 0; r < 3; r++) {
		snprintf(line, sizeof(line), "hang %d", r);
		control(b->dev, line);
	}
	for (int i = 0; i < 8; i++) {
		octans_inproc_queue_new(b->vm, 0, 60000, &hog[i]);
		for (int k = 0; k < 20; k++)
			submit(hog[i], va, 48, 0, &seq);
	}
	for (int i = 0; i < 20; i++) {
		start = now_ns();
		bad += !!run(v.q, CODE, 48);
		worst = now_ns() - start > worst ? now_ns() - start : worst;
	}
	ok(!bad && worst < 1000000000, "8 queues of jobs that never end leave another client a ring: %lld us",
	   (long long)worst / 1000);
	for (int i = 0; i < 8; i++)
		octans_inproc_queue_free(hog[i]);
	for (int r = 0; r < 4; r++) {
		snprintf(line, sizeof(line), "hang %d off", r);
		control(b->dev, line);
	}
	ok(!run(b->q, va, 48) && !run(v.q, CODE, 48), "and all goes on without them");
	octans_inproc_queue_free(v.q);
	octans_inproc_vm_free(v.vm);
	octans_inproc_bo_free(v.code);
}

/* 64 jobs that say when they ran, in words first .. first + 63 of the data. */
static void timed_jobs(struct bench *b, unsigned int first, struct octans_inproc_job jobs[64])
{
	struct octans_cmd_signal *code = octans_inproc_bo_map(b->code);

	for (unsigned int i = first; i < first + 64; i++) {
		code[i] = (struct octans_cmd_signal) {
			.cmd = { .op = OCTANS_OP_SIGNAL, .flags = OCTANS_SIGNAL_TIME,
				 .size = sizeof(*code) },
			.va = DATA + 8 * i,
		};
		jobs[i - first] = (struct octans_inproc_job) {
			.va = CODE + i * sizeof(*code), .size = sizeof(*code),
		};
	}
}

/* Clients take turns, however many queues and jobs one has. */
static void test_turns(void)
{
	struct octans_inproc_queue *many[4], *one;
	struct octans_inproc_job jobs[64];
	unsigned int between[4] = { 0 };
	struct octans_inproc_vm *vm;
	uint64_t seq[4], last, *time;
	struct bench b;

	bench_new(&b, "rings=1");
	octans_inproc_vm_new(b.dev, &vm);
	octans_inproc_vm_map(vm, b.code, 0, CODE, 0x10000, true);
	octans_inproc_vm_map(vm, b.data, 0, DATA, 8 << 20, false);
	octans_inproc_queue_new(vm, 0, 0, &one);
	control(b.dev, "slow 0 100");
	for (int i = 0; i < 4; i++) {
		octans_inproc_queue_new(b.vm, 0, 0, &many[i]);
		timed_jobs(&b, 64 * i, jobs);
		octans_inproc_submit(many[i], jobs, 64, &seq[i]);
	}
	timed_jobs(&b, 256, jobs);
	octans_inproc_submit(one, jobs, 64, &last);
	ok(!octans_inproc_wait(one, last, INT64_MAX), "64 jobs beside 256 of another client");
	for (int i = 0; i < 4; i++)
		octans_inproc_wait(many[i], seq[i], INT64_MAX);
	time = octans_inproc_bo_map(b.data);
	for (int i = 0; i < 256; i++)
		between[i / 64] += time[i] > time[256] && time[i] < time[319];
	/* Unless they were over before. */
	ok(between[0] + between[1] + between[2] + between[3] <= 64 && between[0] <= 17 &&
	   between[1] <= 17 && between[2] <= 17 && between[3] <= 17,
	   "in the meantime his queues had %u + %u + %u + %u turns", between[0], between[1], between[2],
	   between[3]);
	for (int i = 0; i < 4; i++)
		octans_inproc_queue_free(many[i]);
	octans_inproc_queue_free(one);
	octans_inproc_vm_free(vm);
	bench_free(&b);
}

/* One legal command that walks 16 million pages, far apart: nobody else may notice. */
static void test_attack(void)
{
	const uint32_t positions = 7990;
	const uint64_t k = 0x10000000000ULL, stride = M2 + 0x7000, v = k + 8192 * stride;
	struct octans_cmd_attend *c;
	struct octans_inproc_queue *q;
	struct octans_inproc_bo *bo;
	int64_t start, t, worst_job = 0, worst_unmap = 0;
	struct bench a, b = { 0 };
	uint64_t seq, nop[2] = { OCTANS_OP_NOP | 16ULL << 32 };
	int bad = 0, n = 0, result;

	bench_new(&a, "local=512M");
	octans_inproc_bo_new(a.dev, positions * 2 * K4, true, &bo);
	for (uint32_t i = 0; i < positions; i++) {
		octans_inproc_vm_map(a.vm, bo, i * 2 * K4, k + i * stride, K4, false);
		octans_inproc_vm_map(a.vm, bo, i * 2 * K4 + K4, v + i * stride, K4, false);
	}
	c = octans_inproc_bo_map(a.code);
	*c = (struct octans_cmd_attend) {
		.cmd = { .op = OCTANS_OP_ATTEND, .size = sizeof(*c) },
		.dst = tensor(DATA, OCTANS_TYPE_F32, 1, 1024, 4096, 0),
		.q = tensor(DATA + 0x1000, OCTANS_TYPE_F32, 1, 1024, 4096, 0),
		.k = tensor(k, OCTANS_TYPE_F32, positions, 1024, stride, 0),
		.v = tensor(v, OCTANS_TYPE_F32, positions, 1024, stride, 0),
		.range = tensor(DATA + 0x2000, OCTANS_TYPE_I32, 1, 2, 8, 0),
		.heads = 1024, .kv_heads = 1024, .dk = 1, .dv = 1, .scale = 1,
	};
	((int32_t *)octans_inproc_bo_map(a.data))[0x2000 / 4 + 1] = positions;

	b.dev = a.dev;
	octans_inproc_bo_new(b.dev, 0x10000, false, &b.code);
	octans_inproc_vm_new(b.dev, &b.vm);
	octans_inproc_vm_map(b.vm, b.code, 0, CODE, 0x10000, true);
	octans_inproc_queue_new(b.vm, 0, 0, &b.q);
	memcpy(octans_inproc_bo_map(b.code), nop, sizeof(nop));
	octans_inproc_queue_new(a.vm, 0, 300, &q);
	ok(!submit(q, CODE, sizeof(*c), 0, &seq), "an attacker's command begins");
	start = now_ns();
	do {
		t = now_ns();
		bad += !!run(b.q, CODE, 16);
		worst_job = now_ns() - t > worst_job ? now_ns() - t : worst_job;
		t = now_ns();
		bad += !!octans_inproc_vm_unmap(b.vm, CODE + 0x8000, K4);
		worst_unmap = now_ns() - t > worst_unmap ? now_ns() - t : worst_unmap;
		bad += !!octans_inproc_vm_map(b.vm, b.code, 0x8000, CODE + 0x8000, K4, true);
		result = octans_inproc_wait(q, seq, 0);
		n++;
	} while (result == -ETIMEDOUT && now_ns() - start < 20000000000);
	ok(result == 0 || result == -ETIME, "it ends after %lld ms: %s",
	   (long long)(now_ns() - start) / 1000000, result ? strerror(-result) : "done");
	ok(!bad, "meanwhile another client has done %d jobs and invalidations, %d failed", n, bad);
	ok(worst_job < 200000000 && worst_unmap < 200000000, "within %lld and %lld us",
	   (long long)worst_job / 1000, (long long)worst_unmap / 1000);
	ok(!run(b.q, CODE, 16), "and still has its processor");
	octans_inproc_queue_free(q);
	octans_inproc_queue_free(b.q);
	octans_inproc_vm_free(b.vm);
	octans_inproc_bo_free(b.code);
	octans_inproc_bo_free(bo);
	bench_free(&a);
}

static void *unmap_page(void *arg)
{
	struct bench *b = arg;

	return (void *)(intptr_t)octans_inproc_vm_unmap(b->vm, DATA + (4 << 20), M2);
}

/* The ladder of mmu.rst.  Something in the model (here: a window that does not pass) is in the way
 * of an invalidation: the ring that stands still is reset, and no more than that. */
static void test_ladder(struct bench *b)
{
	struct sim_device *sim = b->dev->sim;
	unsigned int resets;
	struct octans_inproc_queue *q;
	struct sim_window window = { 0 };
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64), seq;
	uint32_t before = sim_reg_read(sim, OCTANS_REG_INVALIDATED, 4);
	int64_t start = now_ns();
	char reply[4096];
	pthread_t t;
	void *ret;

	octans_inproc_queue_new(b->vm, 0, 60000, &q);
	control(b->dev, "hang 0");
	submit(q, va, 48, 0, &seq);
	usleep(20000);
	resets = atomic_load(&sim->ring_resets);
	sim_window_open(&sim->core.dma, &window);
	window.seen = atomic_load(&sim->core.dma.changes);
	pthread_create(&t, NULL, unmap_page, b);
	while (atomic_load(&sim->ring_resets) == resets && now_ns() - start < 10000000000)
		usleep(1000);
	sim_window_close(&sim->core.dma, &window);
	ok(now_ns() - start > 900000000, "an invalidation is not acknowledged: force after %lld ms",
	   (long long)(now_ns() - start) / 1000000);
	ok(octans_inproc_wait(q, seq, INT64_MAX) == -ETIME, "the job that stands still is stopped");
	pthread_join(t, &ret);
	control(b->dev, "hang 0 off");
	octans_inproc_control(b->dev, "stat", reply, sizeof(reply));
	ok(!ret && strstr(reply, " device_resets=0 "), "the device is not");
	ok(sim_reg_read(sim, OCTANS_REG_INVALIDATED, 4) == b->dev->ticket &&
	   b->dev->ticket == before + 1, "one invalidation, one ticket");
	octans_inproc_queue_free(q);
	ok(!octans_inproc_vm_map(b->vm, b->data, 0, DATA, 8 << 20, false) && !run(b->q, va, 48),
	   "all goes on");
}

static void test_tickets(struct bench *b)
{
	uint32_t before;
	int bad = 0;

	/* Over the end of the numbers, without the one that means "gone". */
	octans_inproc_vm_unmap(b->vm, DATA + (6 << 20), M2);
	b->dev->ticket = UINT32_MAX - 3;
	for (int i = 0; i < 8; i++) {
		bad += !!octans_inproc_vm_map(b->vm, b->data, 0, DATA + (6 << 20), M2, false);
		bad += !!octans_inproc_vm_unmap(b->vm, DATA + (6 << 20), M2);
	}
	ok(!bad && b->dev->ticket == 5, "tickets go round: %u", b->dev->ticket);
	before = b->dev->ticket;
	octans_inproc_vm_map(b->vm, b->data, 0, DATA + (6 << 20), M2, false);
	ok(b->dev->ticket == before, "mapping what was free invalidates nothing");
	octans_inproc_vm_map(b->vm, b->data, 0, DATA, 8 << 20, false);
	ok(b->dev->ticket == before + 1, "replacing does");
}

/* ---- size ---- */

static void test_huge(void)
{
	uint64_t size = 60ULL << 30, va = 64ULL << 30, seq, nop[2] = { OCTANS_OP_NOP | 16ULL << 32 };
	struct octans_inproc_info info;
	struct octans_inproc_queue *q;
	struct octans_inproc_bo *bo, *code, *again;
	struct octans_inproc_vm *vm;
	struct octans_cmd_copy *c;
	struct octans_inproc *dev;
	int64_t start = now_ns();
	unsigned int n[4] = { 0 };
	char err[256];
	uint8_t *p;
	int ret;

	ok(!octans_inproc_open("timing,local=64G,profile=octans-1", &dev, err, sizeof(err)) &&
	   !octans_inproc_info(dev, &info) && info.timing_only && info.local_size == 64ULL << 30,
	   "a processor of time alone with 64 GiB");
	ok(!octans_inproc_bo_new(dev, size, true, &bo) && !octans_inproc_vm_new(dev, &vm) &&
	   !octans_inproc_vm_map(vm, bo, 0, va, size, false) && octans_inproc_bo_map(bo),
	   "60 GiB of it in use");
	ok(now_ns() - start < 100000000, "in %lld us", (long long)(now_ns() - start) / 1000);
	ok(count_pages(vm, bo, va, size, n) && n[3] == 60 && !n[2] && !n[1] && !n[0],
	   "60 pages of 1 GiB");
	octans_inproc_bo_new(dev, K4, false, &code);
	octans_inproc_vm_map(vm, code, 0, CODE, K4, true);
	octans_inproc_queue_new(vm, 0, 0, &q);
	c = octans_inproc_bo_map(code);
	*c = (struct octans_cmd_copy) {
		.cmd = { .op = OCTANS_OP_COPY, .size = sizeof(*c) },
		.dst = va, .src = va + (30ULL << 30), .size = 30ULL << 30,
	};
	p = octans_inproc_bo_map(bo);
	start = now_ns();
	ret = run(q, CODE, sizeof(*c));
	start = now_ns() - start;
	ok(!ret && start < 1000000000, "30 GiB copied in %lld us", (long long)start / 1000);
	memcpy(c, nop, sizeof(nop));
	ok(!submit(q, CODE, 16, 0, &seq) && !octans_inproc_wait(q, seq, INT64_MAX), "and what comes after");
	p[0] = p[31ULL << 30] = p[size - 1] = 1;
	start = now_ns();
	octans_inproc_queue_free(q);
	octans_inproc_vm_free(vm);
	octans_inproc_bo_free(bo);
	ok(!octans_inproc_bo_new(dev, size, true, &again) && octans_inproc_bo_map(again) == p &&
	   !p[0] && !p[31ULL << 30] && !p[size - 1], "the next owner of the same memory finds zeros");
	ok(now_ns() - start < 200000000, "in %lld us", (long long)(now_ns() - start) / 1000);
	octans_inproc_bo_free(again);
	octans_inproc_bo_free(code);
	octans_inproc_close(dev);
}

/* This driver keeps to what the manual defines. */
static void test_defined(struct bench *b)
{
	char reply[4096];

	octans_inproc_control(b->dev, "undefined", reply, sizeof(reply));
	ok(strstr(reply, "uses=0 "), "what is not defined was used: %s", reply);
}

int main(void)
{
	struct bench b;

	test_open();
	test_buffers();
	test_pages();
	test_random_maps();
	test_huge();
	test_no_memory();
	bench_new(&b, NULL);
	test_mappings(&b);
	test_tickets(&b);
	test_break(&b);
	test_submit(&b);
	test_params(&b);
	test_clients(&b);
	test_hang(&b);
	test_hog(&b);
	test_standstill(&b);
	test_ladder(&b);
	test_control(&b);
	test_injected(&b);
	test_defined(&b);
	bench_free(&b);
	test_turns();
	test_attack();
	test_removal();
	return done();
}
