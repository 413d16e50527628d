// SPDX-License-Identifier: MIT
/* The in-process door: buffers, address spaces, queues, and how it survives injected faults. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <accel/octans_isa.h>

#include "octans_inproc.h"
#include "octans_regs.h"
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

static int run(struct octans_inproc_queue *q, uint64_t va, uint32_t size)
{
	uint64_t seq;
	int ret = octans_inproc_submit(q, va, size, 0x77, &seq);

	return ret ? ret : octans_inproc_wait(q, seq, now_ns() + 10000000000LL);
}

static void test_open(void)
{
	static const char *const bad[] = {
		"profile=none", "local=0", "local=12x", "rings=9", "rings=", "threads=0", "speed=1",
		"local", "local=5000000", "rings=-1",
	};
	struct octans_inproc_info info;
	struct octans_inproc *dev;
	char err[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		*err = 0;
		ok(octans_inproc_open(bad[i], &dev, err, sizeof(err)) < 0 && *err,
		   "\"%s\" is refused: %s", bad[i], err);
	}
	ok(!octans_inproc_open("profile=octans-s,local=32M,rings=3,threads=2", &dev, err,
			       sizeof(err)), "a full description");
	ok(!octans_inproc_info(dev, &info) && info.rings == 3 && info.local_size == 32 << 20 &&
	   !strcmp(info.profile, "octans-s") && info.hw_version == OCTANS_VERSION_1_0 &&
	   info.page_size == 4096 && !info.local_used, "is what one gets");
	octans_inproc_close(dev);
}

static void test_buffers(void)
{
	struct octans_inproc_bo *a, *b, *c;
	struct octans_inproc_info info;
	struct octans_inproc *dev;
	char err[256], *p;

	octans_inproc_open("local=4M", &dev, err, sizeof(err));
	ok(octans_inproc_bo_new(dev, 0, false, &a) == -EINVAL, "an empty buffer is refused");
	ok(!octans_inproc_bo_new(dev, 1, true, &a) && octans_inproc_bo_size(a) == 4096,
	   "sizes are whole pages");
	ok(!octans_inproc_bo_new(dev, 2 << 20, true, &b), "2 MiB on the card");
	ok(octans_inproc_bo_new(dev, 2 << 20, true, &c) == -ENOSPC, "the card is full");
	octans_inproc_info(dev, &info);
	ok(info.local_used == (2 << 20) + 4096, "memory in use: %llu",
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
	ok(!info.local_used, "all is given back");
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

	ok(octans_inproc_submit(b->q, CODE + 8, 16, 0, &seq) == -EINVAL &&
	   octans_inproc_submit(b->q, CODE, 15, 0, &seq) == -EINVAL &&
	   octans_inproc_submit(b->q, CODE, 0, 0, &seq) == -EINVAL &&
	   octans_inproc_submit(b->q, CODE, OCTANS_CMD_MAX + 16, 0, &seq) == -EINVAL,
	   "crooked jobs are refused");
	ok(octans_inproc_wait(b->q, 0, 0) == -EINVAL && octans_inproc_wait(b->q, 1000000, 0) == -EINVAL,
	   "so is waiting for a job that is not there");
	/* Each job copies what the one before it wrote: only in order does it arrive. */
	*(uint64_t *)octans_inproc_bo_map(b->data) = 0x1234567890;
	for (int i = 0; i < 500; i++) {
		uint64_t va = put_copy(b, i, DATA + (i + 1) * 64, DATA + i * 64, 8);

		if (octans_inproc_submit(b->q, va, 48, i, &seq) || (last && seq != last + 1))
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
		octans_inproc_submit(q[0], va, 48, i, &seq[i]);
	ok(octans_inproc_wait(q[0], seq[0], now_ns() + 20000000) == -ETIMEDOUT, "a job hangs");
	ok(octans_inproc_wait(q[0], seq[0], INT64_MAX) == -ETIME, "it is ended with ETIME");
	start = now_ns() - start;
	ok(start > 150000000 && start < 2000000000, "after %lld ms", (long long)(start / 1000000));
	ok(octans_inproc_wait(q[0], seq[1], INT64_MAX) == -ECANCELED &&
	   octans_inproc_wait(q[0], seq[2], INT64_MAX) == -ECANCELED, "those behind it are cancelled");
	ok(octans_inproc_submit(q[0], va, 48, 0, &seq[0]) == -ECANCELED, "its queue is banned");
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
	octans_inproc_submit(q[1], va, 48, 0, &seq[0]);
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
	ok(run(q, va, 48) == -ETIME && !run(b->q, va, 48), "even a failed one, tried twice");
	octans_inproc_queue_free(q);
	octans_inproc_queue_new(b->vm, 0, 200, &q);
	control(b->dev, "hang 0");
	control(b->dev, "fail-reset ring 0");
	control(b->dev, "fail-reset device 2");
	ok(run(q, va, 48) == -ENODEV && run(b->q, va, 48) == -ENODEV, "twice failed, it is lost");
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
	octans_inproc_submit(q, va, 48, 0, &seq[0]);
	octans_inproc_submit(q, va, 48, 0, &seq[1]);
	usleep(10000);
	control(b.dev, "remove");
	ok(octans_inproc_wait(q, seq[0], INT64_MAX) == -ENODEV &&
	   octans_inproc_wait(q, seq[1], INT64_MAX) == -ENODEV, "jobs of a lost processor: ENODEV");
	ok(octans_inproc_submit(b.q, va, 48, 0, &seq[0]) == -ENODEV &&
	   octans_inproc_info(b.dev, &info) == -ENODEV &&
	   octans_inproc_bo_new(b.dev, 4096, false, &bo) == -ENODEV &&
	   octans_inproc_vm_new(b.dev, &vm) == -ENODEV &&
	   octans_inproc_vm_map(b.vm, b.code, 0, DATA, 4096, false) == -ENODEV &&
	   octans_inproc_queue_new(b.vm, 0, 0, &q) == -ENODEV, "all else: ENODEV");
	ok(!octans_inproc_vm_unmap(b.vm, DATA, 0x1000), "things can be taken down");
	control(b.dev, "restore");
	ok(octans_inproc_submit(b.q, va, 48, 0, &seq[0]) == -ENODEV,
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
	ok(!octans_inproc_control(b->dev, "device-error 5", reply, sizeof(reply)),
	   "a device error is sent");
}

int main(void)
{
	struct bench b;

	test_open();
	test_buffers();
	bench_new(&b, NULL);
	test_mappings(&b);
	test_submit(&b);
	test_clients(&b);
	test_hang(&b);
	test_control(&b);
	test_injected(&b);
	bench_free(&b);
	test_removal();
	return done();
}
