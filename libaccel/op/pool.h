/* SPDX-License-Identifier: MIT */
/* A pool of threads that share out the parts of one task. */
#ifndef ACCEL_POOL_H
#define ACCEL_POOL_H

#include <stdint.h>

struct pool;

/* thread: 0 .. threads - 1, for scratch memory of its own. */
typedef void (*pool_fn)(void *arg, uint32_t part, uint32_t thread);

/*
 * A pool of threads - 1 threads and whoever calls pool_run(); there is one of a size in the process, which
 * all who ask for that size share.  -ENOMEM, -EAGAIN.  MT
 */
int pool_get(unsigned int threads, struct pool **out);
void pool_put(struct pool *p);
unsigned int pool_threads(const struct pool *p);
/* Calls fn for every part in 0 .. parts - 1, in any order and on any thread, and returns when all are
 * done.  While others use the pool all is done on the caller's thread, whose number is 0.  MT */
void pool_run(struct pool *p, uint32_t parts, pool_fn fn, void *arg);

#endif
