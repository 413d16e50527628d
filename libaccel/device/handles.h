/* SPDX-License-Identifier: MIT */
/*
 * How many buffers share a GEM handle.  The kernel gives a dma-buf that is imported twice, or by the
 * file that exported it, the handle that it has already; only the last buffer may close it.
 */
#ifndef ACCEL_HANDLES_H
#define ACCEL_HANDLES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct handles {
	pthread_mutex_t lock;	/* also over the calls that import and close */
	uint32_t *users;	/* by handle: the kernel gives out the smallest that are free */
	uint32_t n;
};

void handles_init(struct handles *h);
void handles_destroy(struct handles *h);
/* With the lock held.  One more user; -ENOMEM: it has none. */
int handles_get(struct handles *h, uint32_t handle);
/* With the lock held.  One user less; true: it was the last one. */
bool handles_put(struct handles *h, uint32_t handle);

#endif
