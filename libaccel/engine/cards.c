// SPDX-License-Identifier: MIT
/*
 * Cards: weights are loaded onto them, they fail, and they come back.
 *
 * The processor and the CPU give the same bits (Documentation/hardware/numerics.rst), so a failure
 * costs time, not the answer: layers move to the CPU, keys and values are computed again from the tokens
 * as sequences come to need them, and when the processor is well they are copied back to it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "log.h"
#include "model/gguf.h"

#define RETRY_MS 1000u
#define LONGEST_RETRY_MS 64000u

/* ---- failing ---- */

int cards_own_cpu(struct accel_engine *e, int32_t more)
{
	const uint32_t n = e->m->n_layers;
	bool *mine = calloc(n, sizeof(*mine));
	int err;

	if (!mine)
		return fail(-ENOMEM, "no memory for %u layers", n);
	for (uint32_t i = 0; i < n; i++)
		mine[i] = e->layers[i].device < 0 || (more >= 0 && layer_on(&e->layers[i], more));
	err = exec_cpu_own(e->cpu, mine);
	free(mine);
	return err;
}

/* The CPU has the layer, with its weights in the file. */
static void leave_one(struct accel_layer *l, enum accel_reason reason, const char *why)
{
	l->device = -1;
	l->shared = 0;
	l->reason = reason;
	l->weights = ACCEL_WEIGHTS_CARD;
	l->host_bytes = l->experts_on_card = 0;
	snprintf(l->detail, sizeof(l->detail), "%.*s", (int)sizeof(l->detail) - 1, why);
}

/* Those of which it has a part leave the others, too. */
static void leave(struct accel_engine *e, uint32_t card, enum accel_reason reason, const char *why)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (layer_on(&e->layers[i], card))
			leave_one(&e->layers[i], reason, why);
}

int cards_cannot_share(struct accel_engine *e)
{
	char why[ACCEL_ERROR_MAX];

	snprintf(why, sizeof(why), "processors have no memory in common in which to exchange what they have: %.300s",
		 accel_error());
	if (e->opts.strict)
		return fail(-EIO, "%s", why);
	log_say(ACCEL_LOG_WARNING, "layers that several processors share are on the CPU: %s", why);
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (e->layers[i].shared)
			leave_one(&e->layers[i], ACCEL_REASON_LOST, why);
	return 0;
}

static uint32_t retry_ms(const struct accel_engine *e)
{
	return e->opts.retry_ms ? e->opts.retry_ms : RETRY_MS;
}

/* When a card that failed is tried again; and later each time that it soon fails again. */
static void put_off(struct accel_engine *e, struct card *c, int err, const char *why)
{
	if (err == -ENODEV || retry_ms(e) == UINT32_MAX) {
		c->state = CARD_GONE;
		log_say(ACCEL_LOG_WARNING, "layers of %s go on on the CPU, for good: %s", c->name, why);
		return;
	}
	/* What was well for longer than it was waited for is not the same trouble. */
	if (c->state == CARD_UP && now_ns() - c->up_ns > c->wait_ms * 1000000ll)
		c->wait_ms = 0;
	c->state = CARD_DOWN;
	if (!c->wait_ms)
		c->wait_ms = retry_ms(e);
	log_say(ACCEL_LOG_WARNING, "layers of %s go on on the CPU, and it is tried again in %u ms: %s", c->name,
		c->wait_ms, why);
	c->retry_ns = now_ns() + c->wait_ms * 1000000ll;
	if (c->wait_ms < LONGEST_RETRY_MS)
		c->wait_ms *= 2;
}

void card_add_stats(struct accel_engine_stats *st, const struct exec_dev *exec)
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
	st->expert_uses += x.experts.uses;
	st->expert_hits += x.experts.hits;
	st->expert_moves += x.experts.moves;
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
int card_fall_back(struct accel_engine *e, uint32_t card, int err)
{
	struct card *c = &e->cards[card];
	char why[ACCEL_ERROR_MAX];
	int cannot;

	snprintf(why, sizeof(why), "%s", accel_error());
	cannot = cards_own_cpu(e, card);
	if (cannot)
		return cannot;
	pthread_mutex_lock(&e->lock);
	card_add_stats(&e->stats, c->exec);
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

int cards_check(struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->n_cards; i++) {
		struct exec_dev *exec = e->cards[i].exec;
		int err = exec ? exec_dev_check(exec) : 0;

		if (err && exec_dev_blamed(exec) && !e->opts.strict) {
			err = card_fall_back(e, i, err);
			if (!err)
				return 1;
		}
		if (err)
			return err;
	}
	return 0;
}

void card_settle(struct accel_engine *e, uint32_t card)
{
	struct card *c = &e->cards[card];
	int err = c->exec ? exec_dev_settle(c->exec) : 0;

	if (err)			/* what that leads to, the next step sees */
		log_say(ACCEL_LOG_WARNING, "an expert could not move to %s: %s", c->name, accel_error());
}

/* ---- loading ---- */

static int make_exec(struct accel_engine *e, struct card *c, bool returning, struct exec_dev **out)
{
	const struct accel_layer *how = returning ? c->how : e->layers;
	const struct exec_dev_opts o = {
		.mine = c->mine, .streams = plan_streams(e->plan), .how = how, .relay = relay_of(e),
		.stop = { engine_is_stopped, e },
		.progress = returning ? NULL : load_progress, .progress_arg = e,
	};

	return exec_dev_new(plan_view(e->plan, c - e->cards), &e->shape, c->dev, &o, out);
}

static int load_exec(struct accel_engine *e, struct card *c)
{
	int err = make_exec(e, c, false, &c->exec);

	if (!err)
		err = exec_dev_load(c->exec, UINT64_MAX);
	if (err) {
		exec_dev_free(c->exec);
		c->exec = NULL;
	}
	return err;
}

static uint32_t find_mine(struct accel_engine *e, uint32_t card)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->m->n_layers; i++)
		n += e->cards[card].mine[i] = layer_on(&e->layers[i], card);
	return n;
}

static uint32_t experts_on(const struct accel_engine *e, uint32_t card)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->m->n_layers; i++)
		n += e->layers[i].device == (int32_t)card ? e->layers[i].experts_on_card : 0;
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

/* The host has no memory for weights that a processor was to read there: those layers are the CPU's, which reads
 * them in the file.  Returns how many are left. */
static uint32_t drop_far(struct accel_engine *e, uint32_t card)
{
	char why[ACCEL_ERROR_MAX];
	uint32_t left = 0;

	snprintf(why, sizeof(why), "its weights had no room in the host's memory: %.*s", 100, accel_error());
	for (uint32_t i = 0; i < e->m->n_layers; i++) {
		struct accel_layer *l = &e->layers[i];

		if (l->device == (int32_t)card && l->weights != ACCEL_WEIGHTS_CARD)
			leave_one(l, ACCEL_REASON_NO_MEMORY, why);
	}
	plan_together(e->m, e->layers);
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		left += e->layers[i].device == (int32_t)card;
	return left;
}

static bool has_far(const struct accel_engine *e, uint32_t card)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (e->layers[i].device == (int32_t)card && e->layers[i].weights != ACCEL_WEIGHTS_CARD)
			return true;
	return false;
}

/* Of the card's room, -ENOSPC; or of the host's, for weights that stay there. */
static bool lacks_room(const struct accel_engine *e, uint32_t card, int err)
{
	return err == -ENOSPC || ((err == -ENOMEM || err == -EDQUOT) && has_far(e, card));
}

/* Others have taken memory since the plan was made: what has room stays. */
static int load_what_fits(struct accel_engine *e, uint32_t card)
{
	struct card *c = &e->cards[card];
	const uint32_t planned = find_mine(e, card), experts = experts_on(e, card);
	uint64_t room, before = UINT64_MAX;
	char why[ACCEL_ERROR_MAX];
	uint32_t left = planned;
	int err = load_exec(e, c), first = err;

	snprintf(why, sizeof(why), "%s", err ? accel_error() : "");
	while (lacks_room(e, card, err) && !e->opts.strict && left) {
		if (err != -ENOSPC) {
			left = drop_far(e, card);
		} else {
			err = room_of(c->dev, &room);
			if (err)
				break;
			/* It is there, but not in one piece. */
			if (room >= before)
				room = before - before / 8 - 1;
			before = room;
			left = plan_shrink(e->plan, e->layers, card, c->name, room);
		}
		find_mine(e, card);
		err = left ? load_exec(e, c) : 0;
	}
	if (!err && (left < planned || experts_on(e, card) < experts))
		note_fallback(e, first, why);
	if (!err && left < planned)
		log_say(ACCEL_LOG_WARNING, "%u of the %u layers that were planned for %s are on the CPU: %s",
			planned - left, planned, c->name, why);
	if (!err && experts_on(e, card) < experts)
		log_say(ACCEL_LOG_WARNING, "%u of the %u experts that were planned for %s have room there: %s",
			experts_on(e, card), experts, c->name, why);
	if (!err && !left)
		c->state = CARD_UNUSED;
	if (!err)
		memcpy(c->how, e->layers, e->m->n_layers * sizeof(*c->how));
	return err;
}

int cards_given(struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->n_cards; i++) {
		struct card *c = &e->cards[i];

		c->mine = calloc(e->m->n_layers, sizeof(*c->mine));
		c->how = calloc(e->m->n_layers, sizeof(*c->how));
		if (!c->mine || !c->how)
			return fail(-ENOMEM, "no memory for %u layers", e->m->n_layers);
		memcpy(c->how, e->layers, e->m->n_layers * sizeof(*c->how));
		if (find_mine(e, i) && !c->dev)
			return fail(-EINVAL, "the plan puts layers on processor %u but none was given", i);
	}
	return 0;
}

/* All that it was to have it shares with one that has failed: it is there when that one is back. */
static void wait_for_others(struct accel_engine *e, uint32_t card)
{
	struct card *c = &e->cards[card];
	bool any = false;

	for (uint32_t i = 0; i < e->m->n_layers; i++)
		any |= c->mine[i] = c->how[i].shared && layer_on(&c->how[i], card) &&
				    e->layers[i].reason == ACCEL_REASON_LOST;
	if (any && relay_of(e))
		put_off(e, c, -EIO, "it shares them with one that has failed");
}

/* If that cannot be, some or all of its layers are the CPU's, or it is an error. */
static int card_load(struct accel_engine *e, uint32_t card)
{
	struct card *c = &e->cards[card];
	int err;

	if (!find_mine(e, card)) {
		wait_for_others(e, card);
		return 0;
	}
	c->state = CARD_UP;
	load_card(e);
	err = load_what_fits(e, card);
	if (!err || e->opts.strict)
		return err;
	if (err != -ENODEV && err != -EIO && err != -EFAULT && err != -ETIME && err != -ECANCELED && err != -EBUSY &&
	    err != -EACCES && err != -EDQUOT && err != -ENODATA)
		return err;		/* the host, or the arguments */
	if (e->loading.given_up)
		return err;
	leave(e, card, ACCEL_REASON_LOST, accel_error());
	note_fallback(e, err, accel_error());
	put_off(e, c, err, accel_error());
	return 0;
}

/* It has parts of layers that another had no room for; unless it keeps some for one that is to come back. */
static bool has_idle(const struct accel_engine *e, uint32_t card)
{
	bool any = false;

	for (uint32_t i = 0; i < e->m->n_layers; i++) {
		if (!e->cards[card].mine[i] || layer_on(&e->layers[i], card))
			continue;
		if (e->layers[i].reason != ACCEL_REASON_NO_MEMORY)
			return false;
		any = true;
	}
	return any;
}

static uint32_t first_idle(const struct accel_engine *e)
{
	uint32_t i = 0;

	while (i < e->n_cards && !(e->cards[i].exec && has_idle(e, i)))
		i++;
	return i;
}

/* Those with idle parts a second time, without them; if one has become fuller meanwhile, others have some then. */
int cards_load(struct accel_engine *e)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < e->n_cards && !err; i++)
		err = card_load(e, i);
	for (i = first_idle(e); i < e->n_cards && !err; i = first_idle(e)) {
		struct card *c = &e->cards[i];

		exec_dev_free(c->exec);
		c->exec = NULL;
		c->state = CARD_UNUSED;
		err = card_load(e, i);
	}
	return err;
}

/* ---- coming back ---- */

/* Does any sequence have it?  What is taken meanwhile is taken by who has the baton; what is given back may
 * as well be copied. */
static bool is_used(struct accel_engine *e, bool paged, uint32_t i)
{
	bool used;

	pthread_mutex_lock(&e->lock);
	used = paged ? e->pages[i].refs : e->slot_refs[i];
	pthread_mutex_unlock(&e->lock);
	return used;
}

/* Of a layer that several cards share, one of which is now this executor's. */
static int copy_shared(struct accel_engine *e, const struct card *c, uint32_t layer, enum keep keep)
{
	uint8_t *from = exec_cpu_pool(e->cpu, layer, keep);
	const size_t bytes = keep_row(&e->m->layers[layer], keep, &e->shape) << e->shape.page_log2;
	int err = 0;

	for (uint32_t i = 0; i < e->n_cards; i++)
		for (uint32_t p = 0; p < e->shape.pages && layer_on(&c->how[layer], i) && !err; p++)
			if (is_used(e, true, p))
				err = part_page(e, c == &e->cards[i] ? c->coming : e->cards[i].exec, i, layer, keep, p,
						from + p * bytes, false);
	return err;
}

/* Does it come back with this card?  Others that have a part have to be there. */
static bool comes_back(const struct accel_engine *e, const struct card *c, uint32_t layer)
{
	for (uint32_t i = 0; i < e->n_cards; i++) {
		const struct card *other = &e->cards[i];

		if (other != c && c->how[layer].shared >> i & 1 &&
		    !(other->exec && other->mine[layer] && other->how[layer].shared == c->how[layer].shared))
			return false;
	}
	return c->mine[layer];
}

/* What sequences have of a pool, from the CPU to a card. */
static void copy_pool(struct accel_engine *e, uint32_t layer, enum keep keep, uint8_t *to)
{
	const bool paged = keep_is_paged(keep);
	const uint8_t *from = exec_cpu_pool(e->cpu, layer, keep);
	const size_t bytes = keep_row(&e->m->layers[layer], keep, &e->shape) << (paged ? e->shape.page_log2 : 0);
	const uint32_t n = paged ? e->shape.pages : e->shape.slots;

	for (uint32_t i = 0; i < n; i++)
		if (is_used(e, paged, i))
			memcpy(to + i * bytes, from + i * bytes, bytes);
}

static int copy_pools(struct accel_engine *e, const struct card *c)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		for (enum keep k = 0; k < KEEP_COUNT && comes_back(e, c, i); k++) {
			uint8_t *to;
			int err;

			if (!keep_bytes(&e->m->layers[i], k, &e->shape))
				continue;
			if (c->how[i].shared) {
				err = copy_shared(e, c, i, k);
				if (err)
					return err;
				continue;
			}
			err = exec_dev_pool(c->coming, i, k, &to);
			if (err)
				return err;
			copy_pool(e, i, k, to);
		}
	return 0;
}

/* With its layers, and with what sequences know. */
static int move_in(struct accel_engine *e, uint32_t card)
{
	struct card *c = &e->cards[card];
	uint32_t back = 0;
	int err = gguf_intact(e->m->file);	/* or what was copied are not its weights */

	if (!err)
		err = copy_pools(e, c);
	if (err)
		return err;
	pthread_mutex_lock(&e->lock);
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (comes_back(e, c, i)) {
			back++;
			e->layers[i] = c->how[i];
			if (!c->how[i].shared)
				e->layers[i].device = card;
		}
	pthread_mutex_unlock(&e->lock);
	err = cards_own_cpu(e, -1);
	if (err) {
		pthread_mutex_lock(&e->lock);
		leave(e, card, ACCEL_REASON_LOST, e->stats.fallback_reason);
		pthread_mutex_unlock(&e->lock);
		return err;
	}
	c->exec = c->coming;
	c->coming = NULL;
	c->state = CARD_UP;
	c->up_ns = now_ns();
	if (back) {
		e->stats.returns++;
		log_say(ACCEL_LOG_INFO, "%s is well: its layers are back on it", c->name);
	} else {
		log_say(ACCEL_LOG_INFO, "%s is well: its layers wait for those that it shares them with", c->name);
	}
	return 0;
}

/*
 * The next piece of the way.  Weights, which are most of it, are copied a little with each step, and the CPU goes
 * on with their layers until all are there.  Keys and values are moved at once, as each step changes them: that
 * is what the step then takes longer, with what sequences have of them over the bus's speed, and the time of a
 * job that has nothing to do.
 */
static int return_to(struct accel_engine *e, uint32_t card)
{
	struct card *c = &e->cards[card];
	int err = c->coming ? 0 : make_exec(e, c, true, &c->coming);

	if (!err)
		err = exec_dev_load(c->coming, e->return_bytes);
	if (err > 0 || (err == -ECANCELED && c->coming && !exec_dev_blamed(c->coming)))
		return 0;		/* the next step goes on */
	if (!err)
		err = move_in(e, card);
	if (err) {
		exec_dev_free(c->coming);
		c->coming = NULL;
	}
	return err;
}

void cards_bring_back(struct accel_engine *e)
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
