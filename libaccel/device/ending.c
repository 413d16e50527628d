// SPDX-License-Identifier: MIT
#include "ending.h"

#include <time.h>

#include "transport.h"

#define UNWRITTEN	UINT64_MAX
#define MOMENT_NS	30000		/* two or three times what a sleep and a wakeup take */
#define MOST_SKIPPED	255
#define LOOKS		32		/* between two looks at the clock */

void ending_clear(uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		words[i] = UNWRITTEN;
}

void fence_ends_with(struct accel_fence *f, const uint64_t *words, size_t n)
{
	f->ending = (struct ending) { .words = words, .n = n };
}

bool ending_written(const struct ending *e)
{
	/* From the last on, as they are more likely to be written upwards; but any order is right. */
	for (size_t i = e->n; i; i--)
		if (__atomic_load_n(&e->words[i - 1], __ATOMIC_ACQUIRE) == UNWRITTEN)
			return false;
	return e->words;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

bool ending_watch(const struct ending *e, struct patience *p)
{
	uint32_t skip = p->skip, missed = p->missed;
	int64_t until;

	if (!e->words)
		return false;
	if (skip) {
		p->skip = skip - 1;	/* two threads may take the same: no harm */
		return ending_written(e);
	}
	until = now() + MOMENT_NS;
	do {
		for (int i = 0; i < LOOKS; i++, relax())
			if (ending_written(e)) {
				p->missed = 0;
				return true;
			}
	} while (now() < until);
	p->missed = p->skip = missed < MOST_SKIPPED ? 2 * missed + 1 : MOST_SKIPPED;
	return false;
}
