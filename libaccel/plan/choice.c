// SPDX-License-Identifier: MIT
/*
 * Which processors are used.  Of one kind all are.  But of several kinds one may be so slow that a layer on it makes an
 * answer later than where the others read its weights over the bus, or the CPU computes it, however much memory it has:
 * so plans are made with and without each kind, and the one that is foretold to take least is kept.
 */
#include "planner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* What is foretold has to be less by more than rounding. */
#define GAIN 0.999

struct trial {
	struct planner *pl;
	uint32_t n;			/* of all processors; pl and its plan know those that are tried */
	uint32_t kind[MAX_DEVICES];	/* the first that is like it */
	uint64_t kinds;			/* the first of each */
	uint64_t wished;		/* kinds that the caller wants layers on */
	struct accel_layer *fresh;	/* [n_layers]: before they have places */
	struct shape shape;
	struct accel_plan_opts opts;
	uint32_t *places;		/* [n_places], for those that are tried */
	/* the best so far; takes 0: there is none */
	struct accel_layer *best;	/* [n_layers] */
	struct shape best_shape;
	uint64_t best_used;
	bool best_no_far;
	double takes;
	double with[MAX_DEVICES];	/* kinds: the least of plans that had them, 0 = none had */
};

static bool is_alike(const struct accel_devinfo *a, const struct accel_devinfo *b)
{
	return a->clock_hz == b->clock_hz && a->local_bpc == b->local_bpc && a->pcie_bpc == b->pcie_bpc &&
	       a->macs_int8 == b->macs_int8 && a->macs_f16 == b->macs_f16 && a->macs_f32 == b->macs_f32 &&
	       a->ops == b->ops && a->types == b->types && a->max_ctx == b->max_ctx;
}

static void find_kinds(struct trial *c)
{
	const struct accel_plan_opts *o = &c->opts;

	for (uint32_t i = 0; i < c->n; i++) {
		while (!is_alike(&c->pl->read[i], &c->pl->read[c->kind[i]]))
			c->kind[i]++;
		c->kinds |= 1ull << c->kind[i];
	}
	for (uint32_t i = 0; i < o->n_places; i++)
		if (o->places[i] >= ACCEL_PLACE_DEVICE(0))
			c->wished |= 1ull << c->kind[o->places[i] - ACCEL_PLACE_DEVICE(0)];
}

/* Weights are read faster, on the card or over the bus. */
static bool is_faster(const struct accel_devinfo *a, const struct accel_devinfo *b)
{
	const double local[2] = { (double)a->local_bpc * a->clock_hz, (double)b->local_bpc * b->clock_hz };
	const double bus[2] = { (double)a->pcie_bpc * a->clock_hz, (double)b->pcie_bpc * b->clock_hz };

	return local[0] != local[1] ? local[0] > local[1] : bus[0] > bus[1];
}

/* Those of the kinds in use, the fastest first: it is filled first. */
static uint32_t list(const struct trial *c, uint64_t use, uint32_t *order)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		uint32_t at = n;

		if (!(use >> c->kind[i] & 1))
			continue;
		for (; at && is_faster(&c->pl->read[i], &c->pl->read[order[at - 1]]); at--)
			order[at] = order[at - 1];
		order[at] = i;
		n++;
	}
	return n;
}

/* The planner knows those alone, by their numbers in order[n]. */
static void narrow(struct trial *c, const uint32_t *order, uint32_t n, uint64_t rest)
{
	struct planner *pl = c->pl;
	struct accel_plan *p = pl->p;

	memcpy(p->layers, c->fresh, p->m->n_layers * sizeof(*p->layers));
	memset(pl->slower, 0, p->m->n_layers * sizeof(*pl->slower));
	p->shape = c->shape;
	p->shape.flights = plan_flights(n);
	p->n_devices = n;
	pl->o.places = c->places;
	pl->no_far = false;
	pl->rest = 0;
	for (uint32_t i = 0; i < c->opts.n_places; i++)
		c->places[i] = c->opts.places[i];
	for (uint32_t k = 0; k < n; k++) {
		pl->devs[k] = &pl->read[order[k]];
		p->devs[k] = pl->read[order[k]];
		pl->rest |= (uint64_t)(c->kind[order[k]] == rest) << k;
		for (uint32_t i = 0; i < c->opts.n_places; i++)
			if (c->opts.places[i] == ACCEL_PLACE_DEVICE(order[k]))
				c->places[i] = ACCEL_PLACE_DEVICE(k);
	}
}

static void widen(struct trial *c)
{
	struct planner *pl = c->pl;
	struct accel_plan *p = pl->p;

	p->n_devices = c->n;
	pl->o = c->opts;
	pl->rest = 0;
	memset(pl->slower, 0, p->m->n_layers * sizeof(*pl->slower));	/* by other numbers */
	memcpy(p->devs, pl->read, c->n * sizeof(*p->devs));
	for (uint32_t i = 0; i < c->n; i++)
		pl->devs[i] = &pl->read[i];
}

static void keep(struct trial *c, const uint32_t *order, uint64_t use, double takes)
{
	const struct accel_plan *p = c->pl->p;

	c->takes = takes;
	c->best_used = use;
	c->best_shape = p->shape;
	c->best_no_far = c->pl->no_far;
	memcpy(c->best, p->layers, p->m->n_layers * sizeof(*c->best));
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (c->best[i].device >= 0)
			c->best[i].device = order[c->best[i].device];
}

/* Some layers are not whole on processors. */
static bool lacks(const struct accel_plan *p)
{
	for (uint32_t i = 1; i < p->m->n_layers; i++)
		if (p->layers[i].device < 0 || p->layers[i].weights != ACCEL_WEIGHTS_CARD)
			return true;
	return false;
}

/* A plan with these kinds; those of rest (MAX_DEVICES: none) have what the others have no room for.  *full: not all has
 * room.  What cannot be planned is passed over; -ENOMEM. */
static int try_one(struct trial *c, uint64_t use, uint32_t rest, bool *full)
{
	uint32_t order[MAX_DEVICES], n = list(c, use, order);
	double takes;
	int err;

	narrow(c, order, n, rest);
	err = plan_places(c->pl);
	*full = !err && lacks(c->pl->p);
	takes = err ? -1 : plan_takes(c->pl->p);
	if (takes < 0)
		return err == -ENOSPC ? 0 : err;
	for (uint32_t i = 0; i < c->n; i++)
		if (use >> i & 1 && (!c->with[i] || takes < c->with[i]))
			c->with[i] = takes;
	if (!c->takes || takes < c->takes * GAIN)
		keep(c, order, use, takes);
	return 0;
}

static uint32_t fastest_bus(const struct trial *c, uint64_t use)
{
	double most = -1;
	uint32_t best = 0;

	for (uint32_t k = 0; k < c->n; k++) {
		const double bus = (double)c->pl->read[k].pcie_bpc * c->pl->read[k].clock_hz;

		if (use >> k & 1 && bus > most) {
			most = bus;
			best = k;
		}
	}
	return best;
}

/* Those of several: with weights in the host's memory for each, or for those alone that read them fastest there. */
static int try_kinds(struct trial *c, uint64_t use)
{
	bool full;
	int err = try_one(c, use, MAX_DEVICES, &full);

	return err || !full || !(use & (use - 1)) ? err : try_one(c, use, fastest_bus(c, use), &full);
}

/* Without one kind, then without another, as long as that is better; and each alone. */
static int try_all(struct trial *c)
{
	uint64_t use = c->kinds, before;
	int err = try_kinds(c, use);

	do {
		before = use;
		for (uint32_t k = 0; k < c->n && !err; k++)
			if (before >> k & 1 && !(c->wished >> k & 1) && before & (before - 1))
				err = try_kinds(c, before & ~(1ull << k));
		use = c->best_used;
	} while (!err && use != before && use);
	for (uint32_t k = 0; k < c->n && !err; k++)
		if (c->kinds >> k & 1 && !(c->wished & ~(1ull << k)) && __builtin_popcountll(c->kinds) > 2)
			err = try_kinds(c, 1ull << k);
	return err;
}

/* Layers that could be on processors that are not used say why these are not. */
static void explain(struct trial *c)
{
	struct accel_plan *p = c->pl->p;
	uint32_t first = c->n, others = 0;
	char more[24] = "";

	for (uint32_t i = 0; i < c->n; i++)
		if (!(c->best_used >> c->kind[i] & 1)) {
			others += first < c->n;
			first = first < c->n ? first : i;
		}
	if (first == c->n || !c->with[c->kind[first]])
		return;
	if (others)
		snprintf(more, sizeof(more), " (and %u more)", others);
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (p->layers[i].device >= 0 && p->layers[i].reason == ACCEL_REASON_FITS)
			say_more(&p->layers[i], "; with %s%s an answer would take %.3g s, not %.3g",
				 c->pl->read[first].name, more, c->with[c->kind[first]], c->takes);
}

static int choose(struct trial *c)
{
	struct planner *pl = c->pl;
	struct accel_plan *p = pl->p;
	const size_t size = p->m->n_layers * sizeof(*p->layers);
	int err;

	c->fresh = malloc(size);
	c->best = malloc(size);
	c->places = malloc((c->opts.n_places + 1) * sizeof(*c->places));
	if (!c->fresh || !c->best || !c->places)
		return fail(-ENOMEM, "no memory for a plan");
	memcpy(c->fresh, p->layers, size);
	err = try_all(c);
	widen(c);
	if (err)
		return err;
	memcpy(p->layers, c->takes ? c->best : c->fresh, size);
	p->shape = c->takes ? c->best_shape : c->shape;
	pl->no_far = c->best_no_far;
	if (!c->takes)			/* it cannot be told, or the sentence says why there is none */
		return plan_places(pl);
	explain(c);
	return cost_all(pl);
}

int choose_processors(struct planner *pl)
{
	struct trial c = { .pl = pl, .n = pl->p->n_devices, .shape = pl->p->shape, .opts = pl->o };
	int err;

	find_kinds(&c);
	if (pl->o.stream == ACCEL_STREAM_ALWAYS || !(c.kinds & (c.kinds - 1)))
		return plan_places(pl);
	err = choose(&c);
	free(c.fresh);
	free(c.best);
	free(c.places);
	return err;
}
