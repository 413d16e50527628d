// SPDX-License-Identifier: MIT
/*
 * An engine: made and freed, its turns and its figures.  Weights, and what happens when a processor fails, are in
 * cards.c.
 */
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/gguf.h"

#define MAX_THREADS 1024u
/* Of weights that go back to a card, with each step: some 10 ms. */
#define RETURN_BYTES (32u << 20)

OPTS_END(accel_engine_opts, reserved);

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* ---- turns and ends ---- */

void baton_take(struct accel_engine *e)
{
	uint64_t ticket;

	pthread_mutex_lock(&e->lock);
	ticket = e->baton_next++;
	while (ticket != e->baton_now)
		pthread_cond_wait(&e->turn, &e->lock);
	pthread_mutex_unlock(&e->lock);
}

void baton_pass(struct accel_engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->baton_now++;
	pthread_cond_broadcast(&e->turn);
	pthread_mutex_unlock(&e->lock);
}

static int closed(const struct accel_engine *e)
{
	if (!e->closed)
		return 0;
	return fail(-EINVAL, "the engine was freed: what is left of it can be read and freed, nothing is computed with it any more");
}

int engine_usable(const struct accel_engine *e)
{
	int err = closed(e);

	return err ? err : engine_forked(e);
}

int engine_stopped(struct accel_engine *e)
{
	const struct accel_step *step = e->current;

	if (e->closed)
		return fail(-ECANCELED, "the engine was freed");
	if (!step)
		return 0;
	if (step->cancel)
		return fail(-ECANCELED, CANCELLED);
	if (step->deadline_ns && now_ns() > step->deadline_ns)
		return fail(-ETIMEDOUT, "the step did not end before its deadline");
	return 0;
}

bool engine_is_stopped(void *arg)
{
	struct accel_engine *e = arg;
	const struct accel_step *step = e->current;

	return e->closed || (step && (step->cancel || (step->deadline_ns && now_ns() > step->deadline_ns)));
}

int engine_pool(struct accel_engine *e, uint32_t layer, enum keep keep, uint8_t **pool)
{
	int32_t device = e->layers[layer].device;

	if (device >= 0)
		return exec_dev_pool(e->cards[device].exec, layer, keep, pool);
	*pool = exec_cpu_pool(e->cpu, layer, keep);
	return 0;
}

/* ---- the engine ---- */

void engine_make_locks(struct accel_engine *e)
{
	pthread_condattr_t clock;

	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&e->ended, &clock);
	pthread_cond_init(&e->queued, NULL);
	pthread_cond_init(&e->turn, NULL);
	pthread_condattr_destroy(&clock);
}

static int make(struct accel_engine *e, struct accel_dev *const *devs, size_t n)
{
	const struct stop stop = { engine_is_stopped, e };
	int err;

	if (n != plan_devices(e->plan))
		return fail(-EINVAL, "%zu processors were given, the plan has %u", n, plan_devices(e->plan));
	e->layers = malloc(e->m->n_layers * sizeof(*e->layers));
	e->cards = calloc(n + 1, sizeof(*e->cards));
	if (!e->layers || !e->cards)
		return fail(-ENOMEM, "no memory for an engine");
	e->n_cards = n;
	memcpy(e->layers, plan_layers(e->plan), e->m->n_layers * sizeof(*e->layers));
	err = pages_new(e);
	if (!err)
		err = flights_new(e);
	if (!err)
		err = exec_cpu_new(e->m, &e->shape, e->opts.threads, e->opts.isa, &stop, &e->cpu);
	if (!err)
		err = load_begin(e);
	for (size_t i = 0; i < n && !err; i++) {
		struct accel_devinfo info = { .sz = sizeof(info) };

		e->cards[i].dev = devs[i];
		memcpy(e->cards[i].name, plan_device(e->plan, i)->name, sizeof(info.name));	/* if it is gone */
		if (devs[i] && !accel_dev_info(devs[i], &info))
			memcpy(e->cards[i].name, info.name, sizeof(info.name));
	}
	if (!err)
		err = cards_given(e);
	if (!err)
		relay_make(e);
	if (!err && e->shape.members && !relay_of(e))
		err = cards_cannot_share(e);
	if (!err)
		err = cards_load(e);
	if (!err)
		err = cards_own_cpu(e, -1);
	if (!err)
		err = load_cpu(e);
	if (!err)	/* what was copied are the weights of the file */
		err = gguf_intact(e->m->file);
	if (!err)
		engine_publish(e);
	return err;
}

int accel_engine_new(const struct accel_plan *plan, struct accel_dev *const *devs, size_t n,
		     const struct accel_engine_opts *opts, struct accel_engine **out)
{
	struct accel_engine *e = calloc(1, sizeof(*e));
	int err;

	*out = NULL;
	if (!e)
		return fail(-ENOMEM, "no memory for an engine");
	engine_make_locks(e);
	e->refs = 1;
	e->return_bytes = RETURN_BYTES;
	e->fd = e->relay.fd = -1;
	e->failed_card = -1;
	e->queue_end = &e->queue;
	e->plan = plan;
	e->m = plan_model(plan);
	e->n_vocab = e->m->n_vocab;
	e->n_tokens = e->m->n_tokens;
	e->shape = *plan_shape(plan);
	err = opts_read(&e->opts, sizeof(e->opts), opts, "engine options");
	if (!err)
		err = opts_zero(e->opts.reserved, "engine options");
	if (!err && e->opts.threads > MAX_THREADS)
		err = fail(-EINVAL, "%u threads cannot be had, at most %u can: more than there are CPUs make nothing faster",
			   e->opts.threads, MAX_THREADS);
	if (!err)
		err = make(e, devs, n);
	if (err) {
		accel_engine_free(e);
		return err;
	}
	engine_watch_forks(e);
	*out = e;
	return 0;
}

/* With the baton: what belongs to others, or costs something, goes. */
static void release(struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->n_cards; i++) {
		exec_dev_free(e->cards[i].exec);
		exec_dev_free(e->cards[i].coming);
		free(e->cards[i].mine);
		free(e->cards[i].how);
	}
	relay_free(e);
	free(e->cards);
	e->cards = NULL;
	e->n_cards = 0;
	exec_cpu_free(e->cpu);
	e->cpu = NULL;
	flights_free(e);
	pthread_mutex_lock(&e->lock);
	e->m = NULL;
	e->plan = NULL;
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
	pthread_mutex_unlock(&e->lock);
}

void engine_put(struct accel_engine *e)
{
	bool last;

	pthread_mutex_lock(&e->lock);
	last = !--e->refs;
	pthread_mutex_unlock(&e->lock);
	if (!last)
		return;
	fork_unwatch(&e->forks);
	pages_free(e);
	free(e->layers);
	pthread_cond_destroy(&e->ended);
	pthread_cond_destroy(&e->queued);
	pthread_cond_destroy(&e->turn);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void accel_engine_free(struct accel_engine *e)
{
	bool has_worker;

	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->closed = true;
	has_worker = e->has_worker;	/* none is started from here on */
	pthread_cond_signal(&e->queued);
	pthread_mutex_unlock(&e->lock);
	if (has_worker)
		pthread_join(e->worker, NULL);
	baton_take(e);
	release(e);
	baton_pass(e);
	engine_put(e);
}

void engine_publish(struct accel_engine *e)
{
	struct accel_engine_stats *st = &e->published;

	*st = e->stats;
	for (uint32_t i = 0; i < e->n_cards; i++)
		if (e->cards[i].exec)
			card_add_stats(st, e->cards[i].exec);
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (e->layers[i].device >= 0)
			st->layers_device++;
		else
			st->layers_cpu++;
	st->pages = e->shape.pages;
	st->threads = exec_cpu_threads(e->cpu);
	snprintf(st->isa, sizeof(st->isa), "%s", exec_cpu_isa(e->cpu));
}

int accel_engine_stats(struct accel_engine *e, struct accel_engine_stats *stats)
{
	struct accel_engine_stats st;

	pthread_mutex_lock(&e->lock);
	st = e->published;
	st.pages_used = e->shape.pages - e->n_free;
	st.seqs = e->n_seqs;
	pthread_mutex_unlock(&e->lock);
	return opts_write(stats, &st, sizeof(st), "statistics");
}

int accel_engine_layer(struct accel_engine *e, uint32_t index, struct accel_layer *layer)
{
	int err;

	pthread_mutex_lock(&e->lock);
	err = closed(e);
	if (!err && index >= e->m->n_layers)
		err = fail(-EINVAL, "there is no layer %u, the last is %u", index, e->m->n_layers - 1);
	if (!err)
		err = opts_write(layer, &e->layers[index], sizeof(*layer), "a layer");
	pthread_mutex_unlock(&e->lock);
	return err;
}
