// SPDX-License-Identifier: MIT
/*
 * Threads that share out the parts of one task.  Tasks are short: who waits for the next one, or
 * for the last part of one, looks a few times before it goes to sleep.
 */
#include "exec.h"

#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LOOKS 2000

struct sim_pool {
	pthread_mutex_t turn;		/* held by whoever has a task */
	pthread_mutex_t lock;		/* for all but the atomics */
	pthread_cond_t begin, end;
	void (*part)(void *arg, uint32_t index);
	void *arg;
	uint32_t parts;
	bool open, stop;
	atomic_uint task;		/* number of the newest task */
	atomic_uint next;		/* part that nobody has taken */
	atomic_uint inside;		/* helpers that work on it */
	unsigned int helpers;
	pthread_t thread[];
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void work(struct sim_pool *pool)
{
	uint32_t i;

	while ((i = atomic_fetch_add(&pool->next, 1)) < pool->parts)
		pool->part(pool->arg, i);
}

static void *helper(void *arg)
{
	struct sim_pool *pool = arg;
	unsigned int seen = 0;

	fesetenv(FE_DFL_ENV);
	for (;;) {
		for (int i = 0; i < LOOKS && atomic_load(&pool->task) == seen; i++)
			relax();
		pthread_mutex_lock(&pool->lock);
		while (atomic_load(&pool->task) == seen && !pool->stop)
			pthread_cond_wait(&pool->begin, &pool->lock);
		seen = atomic_load(&pool->task);
		if (pool->stop)
			break;
		if (!pool->open) {	/* over before this thread came to it */
			pthread_mutex_unlock(&pool->lock);
			continue;
		}
		atomic_fetch_add(&pool->inside, 1);
		pthread_mutex_unlock(&pool->lock);
		work(pool);
		pthread_mutex_lock(&pool->lock);
		if (atomic_fetch_sub(&pool->inside, 1) == 1)
			pthread_cond_signal(&pool->end);
		pthread_mutex_unlock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

void sim_pool_run(struct sim_pool *pool, uint32_t parts, void (*part)(void *arg, uint32_t index),
		  void *arg)
{
	if (!pool) {
		for (uint32_t i = 0; i < parts; i++)
			part(arg, i);
		return;
	}
	pthread_mutex_lock(&pool->turn);
	pthread_mutex_lock(&pool->lock);
	pool->part = part;
	pool->arg = arg;
	pool->parts = parts;
	atomic_store(&pool->next, 0);
	pool->open = true;
	atomic_fetch_add(&pool->task, 1);
	pthread_cond_broadcast(&pool->begin);
	pthread_mutex_unlock(&pool->lock);
	work(pool);
	for (int i = 0; i < LOOKS && atomic_load(&pool->inside); i++)
		relax();
	pthread_mutex_lock(&pool->lock);
	pool->open = false;	/* nobody comes in any more */
	while (atomic_load(&pool->inside))
		pthread_cond_wait(&pool->end, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	pthread_mutex_unlock(&pool->turn);
}

uint32_t sim_pool_threads(const struct sim_pool *pool)
{
	return pool ? 1 + pool->helpers : 1;
}

int sim_pool_new(unsigned int threads, struct sim_pool **out)
{
	struct sim_pool *pool;
	sigset_t all, old;
	int rc = 0;

	*out = NULL;
	if (threads < 2)
		return 0;
	pool = calloc(1, sizeof(*pool) + (threads - 1) * sizeof(pool->thread[0]));
	if (!pool)
		return -ENOMEM;
	pthread_mutex_init(&pool->turn, NULL);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->begin, NULL);
	pthread_cond_init(&pool->end, NULL);
	/* Signals are for the threads of the program. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (pool->helpers < threads - 1 && !rc) {
		rc = pthread_create(&pool->thread[pool->helpers], NULL, helper, pool);
		pool->helpers += !rc;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		sim_pool_free(pool);
		return -rc;
	}
	*out = pool;
	return 0;
}

void sim_pool_free(struct sim_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->begin);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->helpers; i++)
		pthread_join(pool->thread[i], NULL);
	pthread_cond_destroy(&pool->end);
	pthread_cond_destroy(&pool->begin);
	pthread_mutex_destroy(&pool->lock);
	pthread_mutex_destroy(&pool->turn);
	free(pool);
}
