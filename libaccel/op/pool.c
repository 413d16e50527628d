// SPDX-License-Identifier: MIT
/*
 * Each thread has a range of neighbouring parts, of which an atomic counter hands out one after
 * the other: what it told the memory to bring from behind a part is its own next one.  Whoever has
 * done his own takes from the others, so that a thread that the kernel has put aside holds up its
 * one part and not the layer.  Whoever waits spins for a few microseconds, which is how long the gap
 * between two operations is, then sleeps on a futex: spinning longer would take the CPU from the
 * very thread that is waited for when the machine is busy.
 */
#include "pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "forks.h"
#include "fpenv.h"

#define SPIN_NS 20000

/* Parts of one thread, in a cache line of their own. */
struct range {
	_Atomic uint32_t next;
	uint32_t end;
	uint8_t pad[56];
};

struct pool {
	struct pool *next_pool;
	unsigned int users;
	pthread_mutex_t running;	/* held by the one caller of pool_run() that has the threads */
	unsigned int threads;
	pthread_t *handles;
	/* Round number; workers wait for it to change.  Written by the caller only. */
	_Atomic uint32_t round;
	_Atomic uint32_t sleepers;	/* threads asleep on round */
	_Atomic uint32_t busy;		/* workers that have not left this round yet */
	_Atomic uint32_t started;	/* hands out thread numbers at birth */
	struct range *ranges;		/* [threads] */
	pool_fn fn;			/* NULL: end */
	void *arg;
};

static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool *pools;		/* of different sizes */

/* A child has the thread that called fork() alone: whoever is given one of its parent's pools must not wait
 * for others. */
static void lose_threads(struct fork_watch *w)
{
	(void)w;
	pthread_mutex_init(&pools_lock, NULL);
	for (struct pool *p = pools; p; p = p->next_pool)
		p->threads = 1;
}

static struct fork_watch forks = { .in_child = lose_threads };

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

/* Until *word is no longer value.  sleepers, if given, counts who must be woken. */
static void wait_change(_Atomic uint32_t *word, uint32_t value, _Atomic uint32_t *sleepers)
{
	uint64_t end = 0;

	for (unsigned int i = 0; atomic_load_explicit(word, memory_order_acquire) == value; i++) {
		relax();
		if (i & 63)
			continue;
		if (!end)
			end = now_ns() + SPIN_NS;
		if (now_ns() < end)
			continue;
		if (sleepers)
			atomic_fetch_add(sleepers, 1);
		futex_wait(word, value);
		if (sleepers)
			atomic_fetch_sub(sleepers, 1);
	}
}

static void work(struct pool *p, uint32_t thread)
{
	for (uint32_t i = 0, part; i < p->threads; i++) {
		struct range *r = &p->ranges[(thread + i) % p->threads];

		while (atomic_load_explicit(&r->next, memory_order_relaxed) < r->end &&
		       (part = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed)) < r->end)
			p->fn(p->arg, part, thread);
	}
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	uint32_t thread = atomic_fetch_add(&p->started, 1) + 1, round = 0;

	FP_THREAD();
	for (;;) {
		wait_change(&p->round, round, &p->sleepers);
		round++;	/* the caller waits for us, so it is one ahead at most */
		if (!p->fn)
			return NULL;
		work(p, thread);
		if (atomic_fetch_sub(&p->busy, 1) == 1)
			futex_wake(&p->busy);
	}
}

static void begin_round(struct pool *p)
{
	atomic_store(&p->busy, p->threads - 1);
	atomic_fetch_add(&p->round, 1);
	if (atomic_load(&p->sleepers))
		futex_wake(&p->round);
}

void pool_run(struct pool *p, uint32_t parts, pool_fn fn, void *arg)
{
	uint32_t left;

	if (p->threads == 1 || parts == 1 || pthread_mutex_trylock(&p->running)) {
		for (uint32_t i = 0; i < parts; i++)
			fn(arg, i, 0);
		return;
	}
	p->fn = fn;
	p->arg = arg;
	for (uint32_t i = 0; i < p->threads; i++) {
		p->ranges[i].end = (uint32_t)((uint64_t)parts * (i + 1) / p->threads);
		atomic_store(&p->ranges[i].next, i ? p->ranges[i - 1].end : 0);
	}
	begin_round(p);
	work(p, 0);
	while ((left = atomic_load(&p->busy)))
		wait_change(&p->busy, left, NULL);
	pthread_mutex_unlock(&p->running);
}

static void destroy(struct pool *p)
{
	p->fn = NULL;
	begin_round(p);
	for (unsigned int i = 0; i + 1 < p->threads; i++)
		pthread_join(p->handles[i], NULL);
	pthread_mutex_destroy(&p->running);
	free(p->ranges);
	free(p->handles);
	free(p);
}

static int create(unsigned int threads, struct pool **out)
{
	struct pool *p = calloc(1, sizeof(*p));
	unsigned int made;
	int err = 0;

	if (!p)
		return -ENOMEM;
	p->users = 1;
	p->threads = threads;
	p->handles = calloc(threads, sizeof(*p->handles));
	p->ranges = calloc(threads, sizeof(*p->ranges));
	if (!p->handles || !p->ranges) {
		free(p->ranges);
		free(p->handles);
		free(p);
		return -ENOMEM;
	}
	pthread_mutex_init(&p->running, NULL);
	for (made = 0; made + 1 < threads && !err; made++)
		err = -pthread_create(&p->handles[made], NULL, worker, p);
	if (err) {
		p->threads = made;	/* those that exist, and the caller */
		destroy(p);
		return err;
	}
	*out = p;
	return 0;
}

int pool_get(unsigned int threads, struct pool **out)
{
	struct pool *p;
	int err = 0;

	*out = NULL;
	fork_watch(&forks);
	pthread_mutex_lock(&pools_lock);
	for (p = pools; p && p->threads != threads; p = p->next_pool)
		;
	if (p) {
		p->users++;
	} else {
		err = create(threads, &p);
		if (!err) {
			p->next_pool = pools;
			pools = p;
		}
	}
	pthread_mutex_unlock(&pools_lock);
	if (!err)
		*out = p;
	return err;
}

void pool_put(struct pool *p)
{
	struct pool **at = &pools;

	if (!p)
		return;
	pthread_mutex_lock(&pools_lock);
	if (!--p->users) {
		while (*at != p)
			at = &(*at)->next_pool;
		*at = p->next_pool;
		destroy(p);
	}
	pthread_mutex_unlock(&pools_lock);
}

unsigned int pool_threads(const struct pool *p)
{
	return p->threads;
}
