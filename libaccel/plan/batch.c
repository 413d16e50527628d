// SPDX-License-Identifier: MIT
/* How many tokens are computed at once. */
#include "planner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "worth.h"

#define DEFAULT_BATCH 512u
#define LEAST_BATCH 16u
/* Logits of a step, beyond the first row. */
#define LOGITS_BYTES (16ull << 20)

static uint32_t logits_rows(const struct accel_model *m, uint32_t batch)
{
	uint64_t rows = LOGITS_BYTES / sizeof(float) / m->n_vocab;

	return !rows ? 1 : rows < batch ? rows : batch;
}

void set_batch(struct accel_plan *p, uint32_t batch)
{
	p->shape.batch = batch;
	p->shape.out = logits_rows(p->m, batch);
}

/* So few tokens at once that no layer runs into a timeout: a single layer cannot be cut. */
static void most_in_time(const struct planner *pl, const struct accel_devinfo *dev, uint32_t *batch)
{
	const struct accel_plan *p = pl->p;
	struct load load = { .out = logits_rows(p->m, *batch) };
	uint64_t most = 1;

	for (uint32_t i = 0; i < *batch; i++)	/* the last of as many sequences */
		load_add(&load, p->m, p->shape.ctx - 1, 1);
	for (uint32_t i = 0; i < p->m->n_layers; i++) {
		struct op_work sum = { 0 };

		cost_add(&sum, &pl->costs[i], &load);
		if (cost_work(&sum) > most)
			most = cost_work(&sum);
	}
	most = most / *batch + 1;	/* of a token */
	while (*batch > 1 && most * *batch > cost_job_work(dev))
		*batch = (*batch + 1) / 2;
}

/* So few tokens at once that no command has too many rows, though they are seen as several times as many. */
static uint32_t most_rows(const struct accel_plan *p, uint32_t batch)
{
	for (uint32_t i = 0; i < p->m->n_times; i++) {
		/* those by page are rows of results, the others of activations, too */
		const uint32_t times = model_times_of(p->m, i, &p->shape);
		const uint32_t limit = p->m->by_page[i] ? OCTANS_MAX_ROWS : OCTANS_MAX_TOKENS;

		if (times && batch > limit / times)
			batch = limit / times ? limit / times : 1;
	}
	return batch < OCTANS_MAX_TOKENS ? batch : OCTANS_MAX_TOKENS;
}

/* ---- how far ---- */

static bool has_far(const struct accel_plan *p)
{
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (p->layers[i].device >= 0 && p->layers[i].host_bytes)
			return true;
	return false;
}

/* Layers are to be on processors, also where the CPU were faster. */
static bool has_wish(const struct planner *pl)
{
	for (uint32_t i = 0; i < pl->o.n_places; i++)
		if (pl->o.places[i] >= ACCEL_PLACE_DEVICE(0))
			return true;
	return false;
}

static uint32_t wishes_kept(const struct planner *pl)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < pl->o.n_places; i++)
		n += pl->p->layers[i].device >= 0 &&
		     pl->o.places[i] == ACCEL_PLACE_DEVICE((uint32_t)pl->p->layers[i].device);
	return n;
}

/* A plan that may be made. */
struct proposal {
	uint32_t batch;
	bool no_far;
	uint32_t kept;			/* layers that are on the processor that the caller wants them on */
	double takes;			/* seconds of a prompt and an answer */
	struct accel_layer *layers;	/* [n_layers] */
};

static bool is_better(const struct proposal *a, const struct proposal *b)
{
	return !b->batch || a->kept > b->kept || (a->kept == b->kept && a->takes < b->takes);
}

/* Makes it, and keeps it if it is the best so far. */
static int try_proposal(struct planner *pl, uint32_t batch, bool no_far, struct proposal *best)
{
	struct accel_prediction told = { .sz = sizeof(told) };
	struct proposal now = { .batch = batch, .no_far = no_far, .layers = best->layers };
	struct accel_plan *p = pl->p;
	int err;

	memset(pl->slower, 0, p->m->n_layers * sizeof(*pl->slower));
	pl->no_far = no_far;
	set_batch(p, batch);
	place_all(pl);
	err = weigh_all(pl);
	if (!err)
		err = accel_plan_predict(p, worth_prompt(&p->shape), &told);
	if (err)
		return err;
	now.takes = told.prompt_s + WORTH_ANSWER * told.token_s;
	now.kept = wishes_kept(pl);
	if (!is_better(&now, best))
		return 0;
	*best = now;
	memcpy(best->layers, p->layers, p->m->n_layers * sizeof(*p->layers));
	return 0;
}

/* With fewer and fewer tokens at once. */
static int try_batches(struct planner *pl, uint32_t batch, bool no_far, struct proposal *best)
{
	int err;

	best->layers = calloc(pl->p->m->n_layers, sizeof(*best->layers));
	if (!best->layers)
		return fail(-ENOMEM, "no memory for a plan");
	for (;; batch = (batch + 1) / 2) {
		err = try_proposal(pl, batch, no_far, best);
		if (err || pl->o.batch || batch <= LEAST_BATCH)
			return err;
	}
}

/* Why weights of layers without room are not read over the bus. */
static void tell_far(struct accel_layer *a, uint32_t n, const struct proposal *far, const struct proposal *near)
{
	const bool ms = near->takes < 1;
	const double there = far->takes * (ms ? 1e3 : 1), here = near->takes * (ms ? 1e3 : 1);
	const char *unit = ms ? "ms" : "s";

	for (uint32_t i = 0; i < n; i++)
		if (a[i].reason == ACCEL_REASON_NO_MEMORY &&
		    !say_more(&a[i], "; with weights in the host's memory an answer is there after %.2f %s, not after %.2f",
			      there, unit, here))
			say_more(&a[i], "; read over the bus an answer takes %.2f %s, not %.2f", there, unit, here);
}

/*
 * Where weights have no room, activations take some of it, and the more tokens are computed at once, the less often
 * the others are read: what is best is told by what it takes, and so is whether none are to be read over the bus.
 */
static int choose_far(struct planner *pl, uint32_t batch)
{
	struct accel_plan *p = pl->p;
	struct proposal far = { 0 }, near = { 0 };
	const struct proposal *best = &far;
	int err = try_batches(pl, batch, false, &far);

	if (!err && !has_wish(pl))
		err = try_batches(pl, batch, true, &near);
	if (!err) {
		if (near.batch && is_better(&near, &far)) {
			tell_far(near.layers, p->m->n_layers, &far, &near);
			best = &near;
		}
		set_batch(p, best->batch);
		pl->no_far = best->no_far;
		memcpy(p->layers, best->layers, p->m->n_layers * sizeof(*p->layers));
	}
	free(near.layers);
	free(far.layers);
	return err;
}

/*
 * Tokens at once: as many as do well, but, unless the user wants it so, activations do not take the
 * room of layers.  So a larger card never has fewer of them.
 */
int choose_batch(struct planner *pl)
{
	struct accel_plan *p = pl->p;
	uint32_t batch = pl->o.batch ? pl->o.batch : DEFAULT_BATCH, best, most;
	uint64_t all = (uint64_t)p->shape.ctx * p->shape.seqs;
	int err;

	if (batch > all)
		batch = all;
	batch = most_rows(p, batch);
	set_batch(p, batch);
	err = cost_all(pl);
	if (err)
		return err;
	for (uint32_t i = 0; i < p->n_devices; i++)
		most_in_time(pl, pl->devs[i], &batch);
	best = batch;
	set_batch(p, batch);
	most = place_all(pl);
	if (pl->o.stream == ACCEL_STREAM_AUTO && p->n_devices && (has_far(p) || lacks_room(p)) &&
	    worth_prompt(&p->shape) < p->shape.ctx)
		return choose_far(pl, batch);
	while (!pl->o.batch && p->n_devices && batch > LEAST_BATCH && most < most_on(p)) {
		uint32_t on;

		batch = (batch + 1) / 2;
		set_batch(p, batch);
		on = place_all(pl);
		if (on > most) {
			most = on;
			best = batch;
		}
	}
	if (best != batch) {
		set_batch(p, best);
		place_all(pl);
	}
	return weigh_all(pl);
}
