/* SPDX-License-Identifier: MIT */
/* A processor behind its in-process door, with an address space, some memory and a queue. */
#ifndef TESTS_INPROC_BENCH_H
#define TESTS_INPROC_BENCH_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <octans/isa.h>

#include "inproc.h"
#include "tap.h"

#define K4	0x1000ULL
#define K64	0x10000ULL
#define M2	0x200000ULL
#define G1	0x40000000ULL

#define BENCH_FN __attribute__((unused)) static

#define CODE	0x10000ULL
#define DATA	0x1000000ULL
/* Nanoseconds of the wall, for what has to end by itself: what stands still for 10 s is stopped
 * anyway. */
#define BY_ITSELF	8000000000LL

struct bench {
	struct octans_inproc *dev;
	struct octans_inproc_bo *code, *data;
	struct octans_inproc_vm *vm;
	struct octans_inproc_queue *q;
};

BENCH_FN int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

BENCH_FN int control(struct octans_inproc *dev, const char *line)
{
	char reply[512];
	int ret = octans_inproc_control(dev, line, reply, sizeof(reply));

	if (ret)
		printf("# %s -> %s\n", line, reply);
	return ret;
}

BENCH_FN void bench_new(struct bench *b, const char *spec)
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

BENCH_FN void bench_free(struct bench *b)
{
	octans_inproc_queue_free(b->q);
	octans_inproc_vm_free(b->vm);
	octans_inproc_bo_free(b->code);
	octans_inproc_bo_free(b->data);
	octans_inproc_close(b->dev);
}

/* One COPY at @slot of the code; returns its address. */
BENCH_FN uint64_t put_copy(struct bench *b, int slot, uint64_t dst, uint64_t src, uint64_t size)
{
	struct octans_cmd_copy c = {
		.cmd = { .op = OCTANS_OP_COPY, .size = sizeof(c) },
		.dst = dst, .src = src, .size = size,
	};

	memcpy((char *)octans_inproc_bo_map(b->code) + slot * sizeof(c), &c, sizeof(c));
	return CODE + slot * sizeof(c);
}

BENCH_FN int submit(struct octans_inproc_queue *q, uint64_t va, uint32_t size, uint64_t tag,
		  uint64_t *seq)
{
	struct octans_inproc_job job = { .va = va, .size = size, .tag = tag };

	return octans_inproc_submit(q, &job, 1, seq);
}

BENCH_FN int run(struct octans_inproc_queue *q, uint64_t va, uint32_t size)
{
	uint64_t seq;
	int ret = submit(q, va, size, 0x77, &seq);

	return ret ? ret : octans_inproc_wait(q, seq, now_ns() + 10000000000LL);
}

BENCH_FN struct octans_tensor tensor(uint64_t va, uint32_t type, uint32_t rows, uint32_t cols,
				   uint64_t stride, uint32_t dyn)
{
	return (struct octans_tensor) { va, stride, rows, cols, type, dyn };
}

/* This driver keeps to what the manual defines. */
BENCH_FN void test_defined(struct bench *b)
{
	char reply[4096];

	octans_inproc_control(b->dev, "undefined", reply, sizeof(reply));
	ok(strstr(reply, "uses=0 "), "what is not defined was used: %s", reply);
}

#endif
