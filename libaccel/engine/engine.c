// SPDX-License-Identifier: MIT
/*
 * An engine: weights on their cards, the executors, and what happens when a processor fails.
 *
 * The processor and the CPU give the same bits (Documentation/hardware/numerics.rst), so a failure
 * costs time, not the answer: layers move to the CPU, keys and values are computed again from the tokens
 * as sequences come to need them, and when the processor is well they are copied back to it.
 */
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "model/gguf.h"

#define MAX_THREADS 1024u
#define RETRY_MS 1000u
#define LONGEST_RETRY_MS 64000u

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

int engine_closed(const struct accel_engine *e)
{
	if (!e->closed)
		return 0;
	return fail(-EINVAL, "the engine was freed: what is left of it can be read and freed, nothing is computed with it any more");
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

static bool is_stopped(void *arg)
{
	struct accel_engine *e = arg;
	const struct accel_step *step = e->current;

	return e->closed || (step && (step->cancel || (step->deadline_ns && now_ns() > step->deadline_ns)));
}

/* ---- layers ---- */

/* Those on the CPU; more: and those of a card, -1 = none. */
static int own_cpu(struct accel_engine *e, int32_t more)
{
	const uint32_t n = e->m->n_layers;
	bool *mine = calloc(n, sizeof(*mine));
	int err;

	if (!mine)
		return fail(-ENOMEM, "no memory for %u layers", n);
	for (uint32_t i = 0; i < n; i++)
		mine[i] = e->layers[i].device < 0 || (more >= 0 && e->layers[i].device == more);
	err = exec_cpu_own(e->cpu, mine);
	free(mine);
	return err;
}

int engine_pool(struct accel_engine *e, uint32_t layer, enum keep keep, uint8_t **pool)
{
	int32_t device = e->layers[layer].device;

	if (device >= 0)
		return exec_dev_pool(e->cards[device].exec, layer, keep, pool);
	*pool = exec_cpu_pool(e->cpu, layer, keep);
	return 0;
}

static void leave(struct accel_engine *e, uint32_t card, enum accel_reason reason, const char *why)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++) {
		struct accel_layer *l = &e->layers[i];

		if (l->device != (int32_t)card)
			continue;
		l->device = -1;
		l->reason = reason;
		snprintf(l->detail, sizeof(l->detail), "%.*s", (int)sizeof(l->detail) - 1, why);
	}
}

static uint32_t retry_ms(const struct accel_engine *e)
{
	return e->opts.retry_ms ? e->opts.retry_ms : RETRY_MS;
}

/* When a card that failed is tried again; and later each time. */
static void put_off(struct accel_engine *e, struct card *c, int err, const char *why)
{
	if (err == -ENODEV || retry_ms(e) == UINT32_MAX) {
		c->state = CARD_GONE;
		log_say(ACCEL_LOG_WARNING, "layers of %s go on on the CPU, for good: %s", c->name, why);
		return;
	}
	c->state = CARD_DOWN;
	if (!c->wait_ms)
		c->wait_ms = retry_ms(e);
	log_say(ACCEL_LOG_WARNING, "layers of %s go on on the CPU, and it is tried again in %u ms: %s", c->name,
		c->wait_ms, why);
	c->retry_ns = now_ns() + c->wait_ms * 1000000ll;
	if (c->wait_ms < LONGEST_RETRY_MS)
		c->wait_ms *= 2;
}

static void add_stats(struct accel_engine_stats *st, const struct exec_dev *exec)
{
	uint64_t *to = (uint64_t *)&st->modelled;
	const uint64_t *from;
	struct exec_stats x;

	exec_dev_stats(exec, &x);
	from = (const uint64_t *)&x.modelled;
	st->submits += x.submits;
	st->device_jobs += x.jobs;
	st->stream_bytes += x.stream_bytes;
	st->stream_writes += x.stream_writes;
	st->ceiling_cycles += x.ceiling_cycles;
	for (int i = 0; i < OCTANS_COUNTERS; i++)
		to[i] += from[i];
}

static void note_fallback(struct accel_engine *e, int err, const char *why)
{
	e->stats.fallbacks++;
	e->stats.fallback_error = err;
	snprintf(e->stats.fallback_reason, sizeof(e->stats.fallback_reason), "%.*s",
		 (int)sizeof(e->stats.fallback_reason) - 1, why);
}

/* If that cannot be, for want of memory, all stays as it was: the next step fails, too, and tries again. */
int engine_fall_back(struct accel_engine *e, uint32_t card, int err)
{
	struct card *c = &e->cards[card];
	char why[ACCEL_ERROR_MAX];
	int cannot;

	snprintf(why, sizeof(why), "%s", accel_error());
	cannot = own_cpu(e, card);
	if (cannot)
		return cannot;
	pthread_mutex_lock(&e->lock);
	add_stats(&e->stats, c->exec);
	leave(e, card, ACCEL_REASON_LOST, why);
	note_fallback(e, err, why);
	pages_forget(e);
	marks_forget(e);
	pthread_mutex_unlock(&e->lock);
	exec_dev_free(c->exec);
	c->exec = NULL;
	put_off(e, c, err, why);
	return 0;
}

int engine_check_cards(struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->n_cards; i++) {
		struct exec_dev *exec = e->cards[i].exec;
		int err = exec ? exec_dev_check(exec) : 0;

		if (err && exec_dev_blamed(exec) && !e->opts.strict) {
			err = engine_fall_back(e, i, err);
			if (!err)
				return 1;
		}
		if (err)
			return err;
	}
	return 0;
}

/* ---- cards ---- */

static int make_exec(struct accel_engine *e, struct card *c, bool loading)
{
	const struct exec_dev_opts o = {
		.mine = c->mine, .streams = plan_streams(e->plan), .stop = { is_stopped, e },
		.progress = loading ? load_progress : NULL, .progress_arg = e,
	};

	return exec_dev_new(e->m, &e->shape, c->dev, &o, &c->exec);
}

static uint32_t find_mine(struct accel_engine *e, uint32_t card)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->m->n_layers; i++)
		n += e->cards[card].mine[i] = e->layers[i].device == (int32_t)card;
	return n;
}

/* Bytes of on-card memory that may be had now. */
static int room_of(struct accel_dev *dev, uint64_t *room)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	uint64_t reach;
	int err = accel_dev_info(dev, &info);

	if (err)
		return err;
	reach = info.memory_mappable < info.memory_size ? info.memory_mappable : info.memory_size;
	*room = reach > info.memory_used ? reach - info.memory_used : 0;
	return 0;
}

/* Others have taken memory since the plan was made: what has room stays. */
static int load_what_fits(struct accel_engine *e, uint32_t card)
{
	struct card *c = &e->cards[card];
	const uint32_t planned = find_mine(e, card);
	uint64_t room, before = UINT64_MAX;
	char why[ACCEL_ERROR_MAX];
	uint32_t left = planned;
	int err = make_exec(e, c, true);

	snprintf(why, sizeof(why), "%s", err ? accel_error() : "");
	while (err == -ENOSPC && !e->opts.strict && left) {
		err = room_of(c->dev, &room);
		if (err)
			break;
		/* It is there, but not in one piece. */
		if (room >= before)
			room = before - before / 8 - 1;
		before = room;
		left = plan_shrink(e->plan, e->layers, card, c->name, room);
		find_mine(e, card);
		err = left ? make_exec(e, c, true) : 0;
	}
	if (!err && left < planned) {
		note_fallback(e, -ENOSPC, why);
		log_say(ACCEL_LOG_WARNING, "%u of the %u layers that were planned for %s are on the CPU: %s",
			planned - left, planned, c->name, why);
	}
	if (!err && !left)
		c->state = CARD_UNUSED;
	return err;
}

static int load_card(struct accel_engine *e, uint32_t card)
{
	struct card *c = &e->cards[card];
	int err;

	c->mine = calloc(e->m->n_layers, sizeof(*c->mine));
	if (!c->mine)
		return fail(-ENOMEM, "no memory for %u layers", e->m->n_layers);
	if (!find_mine(e, card))
		return 0;
	if (!c->dev)
		return fail(-EINVAL, "the plan puts layers on processor %u but none was given", card);
	c->state = CARD_UP;
	err = load_what_fits(e, card);
	if (!err)
		load_card_done(e, card);
	if (!err || e->opts.strict)
		return err;
	if (err != -ENODEV && err != -EIO && err != -EFAULT && err != -ETIME && err != -ECANCELED && err != -EBUSY)
		return err;		/* the host, or the arguments */
	if (e->loading.given_up)
		return err;
	leave(e, card, ACCEL_REASON_LOST, accel_error());
	note_fallback(e, err, accel_error());
	put_off(e, c, err, accel_error());
	return 0;
}

/* What sequences have of a pool, from the CPU to a card. */
static void copy_pool(const struct accel_engine *e, uint32_t layer, enum keep keep, uint8_t *to)
{
	const uint8_t *from = exec_cpu_pool(e->cpu, layer, keep);
	size_t bytes = keep_row(&e->m->layers[layer], keep, &e->shape);

	if (!keep_is_paged(keep)) {
		for (uint32_t i = 0; i < e->shape.slots; i++)
			if (e->slot_refs[i])
				memcpy(to + i * bytes, from + i * bytes, bytes);
		return;
	}
	bytes <<= e->shape.page_log2;
	for (uint32_t i = 0; i < e->shape.pages; i++)
		if (e->pages[i].refs)
			memcpy(to + i * bytes, from + i * bytes, bytes);
}

static int copy_pools(struct accel_engine *e, struct card *c)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		for (enum keep k = 0; k < KEEP_COUNT && c->mine[i]; k++) {
			uint8_t *to;
			int err;

			if (!keep_bytes(&e->m->layers[i], k, &e->shape))
				continue;
			err = exec_dev_pool(c->exec, i, k, &to);
			if (err)
				return err;
			copy_pool(e, i, k, to);
		}
	return 0;
}

static int return_to(struct accel_engine *e, uint32_t card)
{
	struct card *c = &e->cards[card];
	int err = make_exec(e, c, false);

	if (err)
		return err;
	pthread_mutex_lock(&e->lock);
	err = gguf_intact(e->m->file);	/* or what was copied are not its weights */
	if (!err)
		err = copy_pools(e, c);
	if (!err)
		for (uint32_t i = 0; i < e->m->n_layers; i++)
			if (c->mine[i]) {
				e->layers[i] = plan_layers(e->plan)[i];
				e->layers[i].device = card;
			}
	pthread_mutex_unlock(&e->lock);
	if (!err)
		err = own_cpu(e, -1);
	if (!err) {
		c->state = CARD_UP;
		e->stats.returns++;
		log_say(ACCEL_LOG_INFO, "%s is well: its layers are back on it", c->name);
		return 0;
	}
	pthread_mutex_lock(&e->lock);
	leave(e, card, ACCEL_REASON_LOST, e->stats.fallback_reason);
	pthread_mutex_unlock(&e->lock);
	exec_dev_free(c->exec);
	c->exec = NULL;
	return err;
}

void engine_bring_back(struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->n_cards; i++) {
		struct card *c = &e->cards[i];
		int err;

		if (c->state != CARD_DOWN || now_ns() < c->retry_ns)
			continue;
		err = return_to(e, i);
		if (err)
			put_off(e, c, err, accel_error());
	}
}

/* ---- the engine ---- */

static void make_locks(struct accel_engine *e)
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
	const struct stop stop = { is_stopped, e };
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
		err = pass_arrays_new(&e->arrays, &e->shape);
	if (!err)
		err = exec_cpu_new(e->m, &e->shape, e->opts.threads, e->opts.isa, &stop, &e->cpu);
	if (!err)
		err = load_begin(e);
	for (uint32_t i = 0; i < n && !err; i++) {
		struct accel_devinfo info = { .sz = sizeof(info) };

		e->cards[i].dev = devs[i];
		if (devs[i] && !accel_dev_info(devs[i], &info))
			memcpy(e->cards[i].name, info.name, sizeof(info.name));
		err = load_card(e, i);
	}
	if (!err)
		err = own_cpu(e, -1);
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
	make_locks(e);
	e->refs = 1;
	e->fd = -1;
	e->failed_card = -1;
	e->queue_end = &e->queue;
	e->plan = plan;
	e->m = plan_model(plan);
	e->n_vocab = e->m->n_vocab;
	e->shape = *plan_shape(plan);
	err = opts_read(&e->opts, sizeof(e->opts), opts, "engine options");
	if (!err && e->opts.threads > MAX_THREADS)
		err = fail(-EINVAL, "%u threads cannot be had, at most %u can: more than there are CPUs make nothing faster",
			   e->opts.threads, MAX_THREADS);
	if (!err)
		err = make(e, devs, n);
	if (err) {
		accel_engine_free(e);
		return err;
	}
	*out = e;
	return 0;
}

/* With the baton: what belongs to others, or costs something, goes. */
static void release(struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->n_cards; i++) {
		exec_dev_free(e->cards[i].exec);
		free(e->cards[i].mine);
	}
	free(e->cards);
	e->cards = NULL;
	e->n_cards = 0;
	exec_cpu_free(e->cpu);
	e->cpu = NULL;
	pass_arrays_free(&e->arrays);
	e->arrays = (struct pass_arrays) { 0 };
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
			add_stats(st, e->cards[i].exec);
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
	err = engine_closed(e);
	if (!err && index >= e->m->n_layers)
		err = fail(-EINVAL, "there is no layer %u, the last is %u", index, e->m->n_layers - 1);
	if (!err)
		err = opts_write(layer, &e->layers[index], sizeof(*layer), "a layer");
	pthread_mutex_unlock(&e->lock);
	return err;
}
