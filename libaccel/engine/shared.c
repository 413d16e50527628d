// SPDX-License-Identifier: MIT
/*
 * Layers that several cards share.  Each has a job of its own, in which it waits for the others wherever they exchange
 * what they have.  One that fails would keep them waiting: so they are watched together, and when one has failed, or
 * does not come for long, the counters that the others wait for are written here.  They then end at once, with
 * results that do not count, and before their own time is up: none of them is reset for what another did.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "device/transport.h"
#include "engine.h"
#include "forks.h"

#define LOOK_NS 5000000
#define STOP_NS 20000000	/* within which it is heard that a step has to end */
#define DEFAULT_TIMEOUT_MS 10000u
#define TRIES 2			/* as many as after_failure() makes */

static bool is_in(uint64_t cards, uint32_t i)
{
	return cards >> i & 1;
}

/* ---- submitting ---- */

/*
 * Jobs that wait for each other have to run at the same time.  Each processor takes queues in an order of its own, so
 * engines of this process would wait for each other for good: of those that share layers, and have a processor in
 * common, one computes at a time, in the order in which they came.
 */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct shared_turn *first;	/* those who have it, and those who wait for one before them */
} turns = { .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER };

/* Whose turn it was is not there. */
static void forget_turns(struct fork_watch *w)
{
	static const pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static const pthread_cond_t moved = PTHREAD_COND_INITIALIZER;

	(void)w;
	turns.lock = lock;
	turns.moved = moved;
	turns.first = NULL;
}

static struct fork_watch turns_watch = { .in_child = forget_turns };

static bool shares(const struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (e->layers[i].shared)
			return true;
	return false;
}

static const struct accel_dev *used(const struct accel_engine *e, uint32_t card)
{
	return accel_plan_device_bytes(e->plan, card) ? e->cards[card].dev : NULL;
}

/* A processor that was opened twice is the same. */
static bool is_same(const struct accel_dev *a, const struct accel_dev *b)
{
	return a == b || (*a->info.path && !strcmp(a->info.path, b->info.path));
}

/* As planned: also if one has lost layers, which may come back. */
static bool have_in_common(const struct accel_engine *a, const struct accel_engine *b)
{
	for (uint32_t i = 0; i < a->n_cards; i++)
		for (uint32_t k = 0; k < b->n_cards && used(a, i); k++)
			if (used(b, k) && is_same(used(a, i), used(b, k)))
				return true;
	return false;
}

static bool is_its_turn(const struct shared_turn *turn)
{
	const struct shared_turn *t = turns.first;

	while (t != turn && !have_in_common(t->engine, turn->engine))
		t = t->next;
	return t == turn;
}

static void take_out(struct shared_turn *turn)
{
	struct shared_turn **at = &turns.first;

	while (*at != turn)
		at = &(*at)->next;
	*at = turn->next;
	pthread_cond_broadcast(&turns.moved);
}

static void wait_a_little(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += STOP_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&turns.moved, &turns.lock, &until);
}

int shared_begin(struct accel_engine *e)
{
	struct shared_turn **at = &turns.first;
	bool stopped = false;

	if (e->has_turn || !e->shape.members || !shares(e))
		return 0;
	fork_watch(&turns_watch);
	pthread_mutex_lock(&turns.lock);
	while (*at)
		at = &(*at)->next;
	*at = &e->waits;
	e->waits = (struct shared_turn) { .engine = e };
	while (!is_its_turn(&e->waits) && !stopped) {
		wait_a_little();
		stopped = engine_is_stopped(e);
	}
	if (stopped)
		take_out(&e->waits);
	pthread_mutex_unlock(&turns.lock);
	e->has_turn = !stopped;
	return stopped ? engine_stopped(e) : 0;
}

void shared_end(struct accel_engine *e)
{
	if (!e->has_turn)
		return;
	e->has_turn = false;
	pthread_mutex_lock(&turns.lock);
	take_out(&e->waits);
	pthread_mutex_unlock(&turns.lock);
}

int shared_submit(struct accel_engine *e, const struct flight *f, struct accel_fence *after, int32_t *card)
{
	int err = 0;

	for (uint32_t i = 0; i < e->n_cards && !err; i++)
		if (is_in(e->layers[f->next].shared, i)) {
			*card = i;
			err = exec_dev_submit(e->cards[i].exec, f->number, f->next, &f->pass, after);
		}
	return err;
}

/* ---- waiting ---- */

/* For so long others wait for one that does not come: the half of what any job may take. */
static uint32_t patience_ms(const struct accel_engine *e, uint64_t cards)
{
	uint32_t least = DEFAULT_TIMEOUT_MS;

	for (uint32_t i = 0; i < e->n_cards; i++) {
		const uint32_t ms = is_in(cards, i) ? plan_device(e->plan, i)->max_timeout_ms : 0;

		least = ms && ms < least ? ms : least;
	}
	return least / 2;
}

void shared_release(struct accel_engine *e)
{
	for (uint32_t k = 0; k < e->shape.flights && e->shape.members && relay_of(e); k++)
		relay_open(relay_of(e), e->m, &e->shape, k);
}

static bool has_come(const struct octans_counters *c)
{
	return __atomic_load_n(&c->cycles, __ATOMIC_RELAXED);
}

/* How many have come to how many exchanges; *late: who has not to where another waits, -1 = all have. */
static uint32_t count_come(const struct accel_engine *e, const struct leg *leg, uint64_t cards, int32_t *late)
{
	const struct octans_counters *c = relay_counters(relay_of(e), e->m, &e->shape, leg->flight);
	uint32_t sum = 0;

	*late = -1;
	for (uint32_t x = 0; x < e->shape.exchanges; x++) {
		int32_t missing = -1;
		uint32_t n = 0, at = 0;

		for (uint32_t i = 0; i < e->n_cards; i++) {
			if (!is_in(cards, i))
				continue;
			if (has_come(&c[x * e->shape.members + at++]))
				n++;
			else if (missing < 0)
				missing = i;
		}
		sum += n;
		if (n && missing >= 0 && *late < 0)
			*late = missing;
	}
	return sum;
}

/* It is not known how the job is doing, for want of something that this machine has at other times. */
static bool is_unknown(int err)
{
	return err == -ETIMEDOUT || err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EINTR;
}

/* One that has failed; -1: all that have ended did so well, *all: and all have. */
static int32_t look(const struct accel_engine *e, const struct leg *leg, uint64_t cards, bool *all)
{
	*all = true;
	for (uint32_t i = 0; i < e->n_cards; i++) {
		int err = is_in(cards, i) ? exec_dev_look(e->cards[i].exec, leg->flight, leg->first, now_ns() + LOOK_NS) : 0;

		*all &= !is_unknown(err);
		if (err && !is_unknown(err))
			return i;
	}
	return -1;
}

/* Until all have ended, or one has failed.  *late: who was waited for for too long, -1 = nobody was. */
static int32_t watch(struct accel_engine *e, const struct leg *leg, uint64_t cards, int32_t *late)
{
	const int64_t patience = patience_ms(e, cards) * 1000000ll;
	uint32_t come = 0;
	int64_t since = now_ns();
	bool all;

	*late = -1;
	for (;;) {
		int32_t bad = look(e, leg, cards, &all), missing;
		uint32_t now;

		if (bad >= 0 || all)
			return bad;
		if (*late >= 0)
			continue;
		now = count_come(e, leg, cards, &missing);
		if (now != come)
			since = now_ns();
		come = now;
		if (missing < 0 || now_ns() - since < patience)
			continue;
		*late = missing;
		shared_release(e);
	}
}

/* ---- how long it took ---- */

/* Clocks of processors tell nothing of each other's: wherever they exchange, all have as late as the last of them. */
static double took(const struct accel_engine *e, const struct leg *leg, uint64_t cards, const double *end)
{
	const struct octans_counters *c = relay_counters(relay_of(e), e->m, &e->shape, leg->flight);
	const struct layer *layers = plan_view(e->plan, leg->card)->layers;
	double before[64] = { 0 }, sum = 0;
	uint32_t next = leg->first, last;

	while (next < e->m->n_layers && layers_join(&e->layers[next], &e->layers[leg->first]))
		next++;
	while (next < e->m->n_layers && !layers[next].part.of)
		next++;
	last = next < e->m->n_layers ? layers[next].part.exchange : e->shape.exchanges;
	for (uint32_t x = layers[leg->first].part.exchange; x <= last; x++) {
		double most = 0;

		for (uint32_t i = 0, at = 0; i < e->n_cards; i++) {
			double now;

			if (!is_in(cards, i))
				continue;
			now = x == last ? end[i] : exec_dev_since(e->cards[i].exec, leg->flight, leg->first,
								  c[x * e->shape.members + at].cycles);
			at++;
			most = now - before[i] > most ? now - before[i] : most;
			before[i] = now;
		}
		sum += most;
	}
	return sum;
}

int shared_failed(const struct accel_engine *e, uint32_t card, int err)
{
	char why[ACCEL_ERROR_MAX];

	snprintf(why, sizeof(why), "%s", accel_error());
	return fail(err, "%s, which shares layers with others: %.400s", e->cards[card].name, why);
}

int shared_wait(struct accel_engine *e, const struct leg *leg, const struct pass *pass, double *seconds, int32_t *card,
		bool *late)
{
	const uint64_t cards = e->layers[leg->first].shared;
	double end[64] = { 0 };
	int32_t missing, bad = watch(e, leg, cards, &missing);
	int err = 0;

	*card = bad;
	*late = false;
	if (bad >= 0) {
		shared_release(e);
		err = exec_dev_finish(e->cards[bad].exec, leg->flight, leg->first, pass, seconds);
		/* Others may have gone on without it: whatever it says now, the results do not count. */
		return err ? err : fail(-EIO, "its job ended in two ways");
	}
	for (uint32_t i = 0; i < e->n_cards && !err; i++)
		if (is_in(cards, i)) {
			*card = i;
			err = exec_dev_finish(e->cards[i].exec, leg->flight, leg->first, pass, &end[i]);
		}
	if (err)
		return err;
	if (missing >= 0) {	/* for another program's sake, perhaps: as if it had dropped the job */
		*card = missing;
		*late = true;
		return fail(e->cards[missing].dropped < TRIES && !e->opts.strict ? -ECANCELED : -ETIME,
			    "it kept others waiting for more than %u ms", patience_ms(e, cards));
	}
	*seconds = took(e, leg, cards, end);
	return 0;
}

/* ---- what is kept ---- */

int part_page(struct accel_engine *e, struct exec_dev *exec, uint32_t card, uint32_t layer, enum keep keep, uint32_t page,
	      uint8_t *rows, bool save)
{
	const struct layer *part = &plan_view(e->plan, card)->layers[layer];
	const uint64_t own = keep_row(part, keep, &e->shape), all = keep_row(&e->m->layers[layer], keep, &e->shape);
	const uint32_t n = 1u << e->shape.page_log2;
	uint8_t *pool;
	int err = exec_dev_pool(exec, layer, keep, &pool);

	if (err)
		return err;
	pool += page * own * n;
	rows += keep_before(part, keep, &e->shape);
	for (uint32_t i = 0; i < n; i++, pool += own, rows += all)
		memcpy(save ? rows : pool, save ? pool : rows, own);
	return 0;
}

int shared_page(struct accel_engine *e, uint32_t layer, enum keep keep, uint32_t page, uint8_t *rows, bool save)
{
	int err = 0;

	for (uint32_t i = 0; i < e->n_cards && !err; i++)
		if (is_in(e->layers[layer].shared, i))
			err = part_page(e, e->cards[i].exec, i, layer, keep, page, rows, save);
	return err;
}
