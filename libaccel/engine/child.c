// SPDX-License-Identifier: MIT
/*
 * What becomes of an engine in a child of fork(): it and its sequences and steps can be read, as far as that
 * takes no processor, and freed, but it computes no more.  Its processors stay its parent's, its threads are not there, and what other
 * threads were at is nobody's to end.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "engine.h"

#define WORDS "the engine was made before fork(), by this process's parent, which goes on with it: make one here"

static struct accel_engine *engine_of(struct fork_watch *w)
{
	return (struct accel_engine *)((char *)w - offsetof(struct accel_engine, forks));
}

/* So that the child finds pages, sequences and steps as they are between two calls. */
static void hold(struct fork_watch *w)
{
	pthread_mutex_lock(&engine_of(w)->lock);
}

static void let_go(struct fork_watch *w)
{
	pthread_mutex_unlock(&engine_of(w)->lock);
}

/* What others were at with sequences is nobody's to end: they are free, and those that were freed meanwhile go. */
static void free_seqs(struct accel_engine *e)
{
	for (struct accel_seq *s = e->seqs, *next; s; s = next) {
		next = s->next;
		e->refs -= s->claimed;
		seq_leave(s);
	}
}

static void become_child(struct fork_watch *w)
{
	struct accel_engine *e = engine_of(w);

	engine_make_locks(e);
	e->forked = true;
	e->has_worker = false;
	if (e->baton_now != e->baton_next) {	/* a thread that is not here was changing these */
		e->cards = NULL;
		e->n_cards = 0;
		e->cpu = NULL;
		e->flights = (struct flights) { 0 };
	}
	e->baton_now = e->baton_next;
	/* Steps in it end one by one, by engine_abandon(), and are then freed. */
	e->queue = NULL;
	e->queue_end = &e->queue;
	free_seqs(e);
	if (e->fd >= 0)		/* the count behind it is the parent's */
		close(e->fd);
	e->fd = -1;
}

void engine_watch_forks(struct accel_engine *e)
{
	e->forks = (struct fork_watch) { .before = hold, .after = let_go, .in_child = become_child };
	fork_watch(&e->forks);
}

void engine_abandon(struct accel_step *step)
{
	if (!step->engine->forked || step->state == STEP_ENDED)
		return;
	step->state = STEP_ENDED;
	step->err = -EINVAL;
	snprintf(step->text, sizeof(step->text), "%s", WORDS);
}

int engine_forked(const struct accel_engine *e)
{
	return e->forked ? fail(-EINVAL, WORDS) : 0;
}
