// SPDX-License-Identifier: MIT
/*
 * Over several processors layers are spread so that a prompt, which these compute in parts at once, is done soonest:
 * each gets as many that follow each other as keep it busy for as long as the others.
 */
#include <stdlib.h>
#include <string.h>

#include "planner.h"
#include "worth.h"

/* From the end of a run of layers on one processor until the next one begins, beyond what is foretold at the least: an
 * interrupt, and what follows it. */
#define HANDOVER_S 47e-6
/* From the end of what a processor has for another that waits for it until that goes on, beyond what is foretold at the
 * least: another way over the bus and what begins anew. */
#define EXCHANGE_S 1.5e-6
#define TRIES 24
#define MOST 16u		/* processors that are tried together */

/* Is it the planner's choice where layers are, and are all of them, but for the look-up of embeddings, whole on
 * processors? */
static bool may_be_spread(const struct planner *pl)
{
	const struct accel_plan *p = pl->p;

	if (p->n_devices < 2)
		return false;
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if ((pl->o.n_places && pl->o.places[i] != ACCEL_PLACE_ANY) || (i && p->layers[i].device < 0) ||
		    p->layers[i].weights != ACCEL_WEIGHTS_CARD)
			return false;
	return true;
}

/* Of a part of a prompt through a layer; logits, the last one's, are of one token. */
static double seconds(const struct planner *pl, uint32_t i, uint32_t device)
{
	const struct accel_plan *p = pl->p;
	double bus;

	if (i + 1 == p->m->n_layers)
		return 0;
	return worth_step_in_run(&pl->costs[i], p->m, p->shape.batch, 0, pl->devs[device], &bus);
}

/* One of the first n processors after the other gets layers for so many seconds.  False: there are too few, or they
 * have no room.  embeds: embeddings, too, which else stay on the CPU. */
static bool spread(struct planner *pl, uint32_t n, double most, bool embeds)
{
	struct accel_plan *p = pl->p;
	struct accel_layer *l = p->layers;
	uint32_t on = 0;
	double busy = 0;

	for (uint32_t i = !embeds; i < p->m->n_layers; i++)
		l[i].device = -1;
	for (uint32_t i = 1; i < p->m->n_layers; i++) {
		if (busy && busy + seconds(pl, i, on) > most) {
			on++;
			busy = 0;
		}
		if (on < n)
			place(pl, &l[i], on);
		if (l[i].device < 0 || l[i].device >= (int32_t)n)
			return false;
		if (l[i].device != (int32_t)on)
			busy = 0;
		on = l[i].device;
		busy += seconds(pl, i, on);
	}
	if (embeds)
		place(pl, &l[0], 0);
	return !embeds || l[0].device >= 0;
}

/* All layers on the slowest of them. */
static double longest(const struct planner *pl, uint32_t n)
{
	double all = 0;

	for (uint32_t i = 1; i < pl->p->m->n_layers; i++) {
		double slowest = 0;

		for (uint32_t d = 0; d < n; d++)
			slowest = seconds(pl, i, d) > slowest ? seconds(pl, i, d) : slowest;
		all += slowest;
	}
	return all;
}

/* On the first n processors, each as short as may be.  False: they have no room. */
static bool spread_evenly(struct planner *pl, uint32_t n, bool embeds, struct accel_layer *even)
{
	double least = 0, most = longest(pl, n);
	bool any = false;

	for (int k = 0; k < TRIES; k++) {
		const double middle = k ? (least + most) / 2 : most;

		if (spread(pl, n, middle, embeds)) {
			most = middle;
			memcpy(even, pl->p->layers, pl->p->m->n_layers * sizeof(*even));
			any = true;
		} else {
			least = middle;
		}
	}
	return any;
}

/* A prompt, and an answer to it; negative: it cannot be told. */
double plan_takes(const struct accel_plan *p)
{
	struct accel_prediction told = { .sz = sizeof(told) };
	const uint32_t prompt = worth_prompt(&p->shape);
	uint32_t handovers = 0, exchanges = 0;

	if (prompt >= p->shape.ctx || accel_plan_predict(p, prompt, &told))
		return -1;
	for (uint32_t i = 1; i < p->m->n_layers; i++)
		handovers += !layers_join(&p->layers[i], &p->layers[i - 1]);
	if (p->shape.members)
		exchanges = p->shape.exchanges * (p->shape.members - 1);
	return told.prompt_s + WORTH_ANSWER * (told.token_s + handovers * HANDOVER_S + exchanges * EXCHANGE_S);
}

/* Layers that could be spread over so many processors and are not say why. */
static void explain(struct accel_plan *p, uint32_t n, double takes, double least)
{
	const bool ms = least < 1;

	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (p->layers[i].reason == ACCEL_REASON_FITS)
			say_more(&p->layers[i], "; over %u processors an answer would take %.3f %s, not %.3f", n,
				 takes * (ms ? 1e3 : 1), ms ? "ms" : "s", least * (ms ? 1e3 : 1));
}

static bool has_idle(const struct accel_plan *p)
{
	for (uint32_t d = 0; d < p->n_devices; d++) {
		uint32_t i = 0;

		while (i < p->m->n_layers && !layer_on(&p->layers[i], d))
			i++;
		if (i == p->m->n_layers)
			return true;
	}
	return false;
}

/* Nor are they spread where that may not be, though a processor has none. */
static void explain_together(struct planner *pl)
{
	struct accel_plan *p = pl->p;
	const char *why = "weights are in the host's memory";

	if (p->n_devices < 2 || !has_idle(p))
		return;
	for (uint32_t i = 1; i < p->m->n_layers; i++)
		if (p->layers[i].device < 0)
			why = "the CPU has some of them";
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (p->layers[i].reason == ACCEL_REASON_FITS && (!pl->o.n_places || pl->o.places[i] == ACCEL_PLACE_ANY))
			say_more(&p->layers[i], "; layers are not spread over %u processors: %s", p->n_devices, why);
}

void balance(struct planner *pl)
{
	struct accel_plan *p = pl->p;
	const size_t size = p->m->n_layers * sizeof(*p->layers);
	struct accel_layer *best, *even;
	double least, told, more = 0;	/* of the best, of one, of the best of those that use more processors */
	uint32_t n_more = 0;
	bool embeds;

	if (!may_be_spread(pl)) {
		explain_together(pl);
		return;
	}
	embeds = p->layers[0].device >= 0;
	best = malloc(size);
	even = malloc(size);
	least = plan_takes(p);
	if (!best || !even || least < 0)
		goto out;
	memcpy(best, p->layers, size);
	for (uint32_t n = 2; n <= p->n_devices && n <= MOST; n++) {
		if (!spread_evenly(pl, n, embeds, even))
			continue;
		memcpy(p->layers, even, size);
		told = plan_takes(p);
		if (told >= 0 && told < least) {
			least = told;
			n_more = 0;
			memcpy(best, even, size);
		} else if (told >= 0 && (!n_more || told < more)) {
			more = told;
			n_more = n;
		}
	}
	memcpy(p->layers, best, size);
	if (n_more)
		explain(p, n_more, more, least);
out:
	free(best);
	free(even);
}
