// SPDX-License-Identifier: MIT
#include "speed.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu.h"
#include "forks.h"

/* Weights that no cache holds, and some that one does. */
#define LARGE_ROWS 4096u
#define SMALL_ROWS 256u
#define COLS 8192u
#define TOKENS 64u
#define ROUNDS 2

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static struct octans_tensor tensor(const void *p, uint32_t rows, uint32_t type, uint64_t row_bytes)
{
	return (struct octans_tensor) {
		.va = (uintptr_t)p, .stride = row_bytes, .rows = rows, .cols = COLS, .type = type,
	};
}

/* Seconds of the product of tokens with rows of weights, the best of some rounds; below 0: an error. */
static double product(struct cpu *cpu, const void *w, uint32_t type, uint64_t row_bytes, uint32_t rows,
		      uint32_t tokens, float *x, float *y)
{
	struct octans_cmd_matmul cmd = {
		.cmd = { .op = OCTANS_OP_MATMUL, .size = sizeof(cmd) },
		.dst = tensor(y, tokens, OCTANS_TYPE_F32, rows * 4ull),
		.x = tensor(x, tokens, OCTANS_TYPE_F32, COLS * 4ull),
		.w = tensor(w, rows, type, row_bytes),
		.planes = 1,
	};
	double best = 1e9;

	cmd.dst.cols = rows;
	for (int i = 0; i < ROUNDS; i++) {
		double t = seconds();

		if (cpu_run(cpu, &cmd, sizeof(cmd), NULL, 0, NULL))
			return -1;
		t = seconds() - t;
		if (t < best)
			best = t;
	}
	return best + 1e-9;
}

static int measure(struct cpu *cpu, struct cpu_speed *s)
{
	const uint64_t q8 = COLS / 32 * 34ull, f16 = COLS * 2ull, f32 = COLS * 4ull;
	uint8_t *w = malloc(LARGE_ROWS * q8);
	float *x = calloc(TOKENS, COLS * sizeof(*x)), *y = malloc(sizeof(*y) * TOKENS * LARGE_ROWS);
	const double macs = (double)TOKENS * SMALL_ROWS * COLS;
	int err = 0;

	if (!w || !x || !y) {
		err = -ENOMEM;
	} else {
		memset(w, 0x11, LARGE_ROWS * q8);	/* small numbers, of any type */
		s->bytes = LARGE_ROWS * q8 / product(cpu, w, OCTANS_TYPE_Q8_0, q8, LARGE_ROWS, 1, x, y);
		s->macs_int8 = macs / product(cpu, w, OCTANS_TYPE_Q8_0, q8, SMALL_ROWS, TOKENS, x, y);
		s->macs_f16 = macs / product(cpu, w, OCTANS_TYPE_F16, f16, SMALL_ROWS, TOKENS, x, y);
		s->macs_f32 = macs / product(cpu, w, OCTANS_TYPE_F32, f32, SMALL_ROWS, TOKENS, x, y);
		if (s->bytes <= 0 || s->macs_int8 <= 0 || s->macs_f16 <= 0 || s->macs_f32 <= 0)
			err = -EIO;
	}
	free(w);
	free(x);
	free(y);
	return err;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct fork_lock forks = FORK_LOCK(&lock, PTHREAD_MUTEX_INITIALIZER);

int cpu_speed(struct cpu_speed *speed)
{
	static struct cpu_speed known;
	static _Atomic bool measured;	/* after all of it was written, for a child that is made meanwhile */
	struct cpu *cpu;
	int err = 0;

	fork_watch(&forks.watch);
	pthread_mutex_lock(&lock);
	if (!measured) {
		struct cpu_speed s;

		err = cpu_new(NULL, 0, &cpu);
		if (!err) {
			err = measure(cpu, &s);
			cpu_free(cpu);
		}
		if (!err) {
			known = s;
			measured = true;
		}
	}
	*speed = known;
	pthread_mutex_unlock(&lock);
	return err;
}
