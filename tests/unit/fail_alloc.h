/* SPDX-License-Identifier: MIT */
/*
 * Makes the n-th allocation fail, of whatever kind, and counts what is not freed: by taking glibc's place
 * as malloc().  With a sanitizer, which does the same, nothing fails and nothing is counted.  Mappings fail,
 * too, but are not counted: parts of them may be given back.
 */
#ifndef TESTS_FAIL_ALLOC_H
#define TESTS_FAIL_ALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static long fail_countdown;	/* 0 = none fails, 1 = the next */
static long fail_live __attribute__((unused));	/* allocations that are not freed */
static bool fail_aligned __attribute__((unused));	/* the one that failed was of aligned memory */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FAIL_ALLOC 1

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

/* Visible, so that libc's own calls come here, too. */
#define FAIL_VISIBLE __attribute__((visibility("default")))

static bool fail_now(void)
{
	if (!fail_countdown || --fail_countdown)
		return false;
	errno = ENOMEM;
	fail_aligned = false;
	return true;
}

static void *fail_memalign(size_t align, size_t n)
{
	bool now = fail_now();
	void *p = now ? NULL : __libc_memalign(align, n);

	fail_aligned |= now;
	fail_live += !!p;
	return p;
}

FAIL_VISIBLE void *malloc(size_t n)
{
	void *p = fail_now() ? NULL : __libc_malloc(n);

	fail_live += !!p;
	return p;
}

FAIL_VISIBLE void *calloc(size_t n, size_t size)
{
	void *p = fail_now() ? NULL : __libc_calloc(n, size);

	fail_live += !!p;
	return p;
}

FAIL_VISIBLE void *realloc(void *old, size_t n)
{
	void *p = fail_now() ? NULL : __libc_realloc(old, n);

	fail_live += p && !old;
	return p;
}

FAIL_VISIBLE void *aligned_alloc(size_t align, size_t n)
{
	return fail_memalign(align, n);
}

FAIL_VISIBLE int posix_memalign(void **p, size_t align, size_t n)
{
	void *q = fail_memalign(align, n);

	if (!q)
		return ENOMEM;
	*p = q;
	return 0;
}

FAIL_VISIBLE void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	return fail_now() ? MAP_FAILED : (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

FAIL_VISIBLE void free(void *p)
{
	fail_live -= !!p;
	__libc_free(p);
}
#else
#define FAIL_ALLOC 0
#endif

#endif
