/* SPDX-License-Identifier: MIT */
/* A pool of threads that share out the parts of one task. */
#ifndef ACCEL_POOL_H
#define ACCEL_POOL_H

#include <stdint.h>

struct pool;

/* thread: 0 .. threads - 1, for scratch memory of its own. */
typedef void (*pool_fn)(void *arg, uint32_t part, uint32_t thread);

/* threads - 1 threads are made; none for 1. */
int pool_new(unsigned int threads, struct pool **out);
void pool_free(struct pool *p);
unsigned int pool_threads(const struct pool *p);
/* Calls fn for every part in 0 .. parts - 1, in any order and on any thread, and returns
 * when all are done.  One caller at a time. */
void pool_run(struct pool *p, uint32_t parts, pool_fn fn, void *arg);

#endif
