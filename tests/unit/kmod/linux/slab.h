/* SPDX-License-Identifier: MIT */
/* Allocations that the test makes fail: it defines test_alloc(), zeroed memory or NULL. */
#ifndef TESTS_KMOD_SLAB_H
#define TESTS_KMOD_SLAB_H

#include <linux/types.h>

static void *test_alloc(size_t size);
static void test_free(void *p);

#define kzalloc_obj(p, gfp)	test_alloc(sizeof(p))
#define kcalloc(n, size, gfp)	test_alloc((n) * (size))
#define kfree(p)		test_free(p)

#endif
