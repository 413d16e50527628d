// SPDX-License-Identifier: MIT
#include "forks.h"

#include <stddef.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fork_watch *watches;

static void before(void)
{
	pthread_mutex_lock(&lock);
	for (struct fork_watch *w = watches; w; w = w->next)
		if (w->before)
			w->before(w);
}

static void after(void)
{
	for (struct fork_watch *w = watches; w; w = w->next)
		if (w->after)
			w->after(w);
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	for (struct fork_watch *w = watches; w; w = w->next)
		w->in_child(w);
	pthread_mutex_unlock(&lock);
}

static void begin(void)
{
	pthread_atfork(before, after, in_child);
}

void fork_watch(struct fork_watch *w)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, begin);
	pthread_mutex_lock(&lock);
	if (!w->at) {
		w->next = watches;
		w->at = &watches;
		if (watches)
			watches->at = &w->next;
		watches = w;
	}
	pthread_mutex_unlock(&lock);
}

void fork_unwatch(struct fork_watch *w)
{
	pthread_mutex_lock(&lock);
	if (w->at) {		/* which moves as others go */
		*w->at = w->next;
		if (w->next)
			w->next->at = w->at;
		w->at = NULL;
	}
	pthread_mutex_unlock(&lock);
}

void fork_free_lock(struct fork_watch *w)
{
	struct fork_lock *l = (struct fork_lock *)((char *)w - offsetof(struct fork_lock, watch));

	*l->lock = l->first;
}
