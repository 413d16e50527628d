// SPDX-License-Identifier: MIT
/*
 * Layers that several processors share: each has rows of their matrices, and so a share of what a token has to read.
 * They exchange results several times in each layer, which takes time; whether it pays, what a prompt and an answer
 * are foretold to take tells.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "planner.h"
#include "stream.h"

#define MOST 8u			/* processors that share a layer */
#define GAIN 1.1		/* what is shared takes common memory, and is lost with any of them: it has to be worth that */

static void free_view(struct accel_model *view)
{
	if (view)
		free(view->layers);
	free(view);
}

void free_views(struct accel_plan *p)
{
	for (uint32_t i = 0; i < p->n_devices && p->views; i++)
		free_view(p->views[i]);
	free(p->views);
	p->views = NULL;
}

/* Processors that share, in the order in which the caller has them: so what they have of a layer is numbered. */
struct group {
	struct shares s;
	uint64_t cards;
	uint32_t card[MOST];		/* [s.n] */
	double speed[MOST];		/* [s.n] */
};

static double speed_of(const struct accel_devinfo *dev)
{
	return (double)(dev->local_bpc ? dev->local_bpc : 1) * (dev->clock_hz ? dev->clock_hz : 1e9);
}

/* Those that can wait for others, the fastest first. */
static uint32_t list(const struct planner *pl, uint32_t *order)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < pl->p->n_devices; i++) {
		uint32_t at = n;

		if (!(pl->devs[i]->ops >> OCTANS_OP_WAIT & 1))
			continue;
		for (; at && speed_of(pl->devs[i]) > speed_of(pl->devs[order[at - 1]]); at--)
			order[at] = order[at - 1];
		order[at] = i;
		n++;
	}
	return n;
}

static uint32_t drop(uint32_t *order, uint32_t n, uint32_t card)
{
	uint32_t left = 0;

	for (uint32_t k = 0; k < n; k++)
		if (order[k] != card)
			order[left++] = order[k];
	return left;
}

static void gather(struct group *g, const struct planner *pl, const uint32_t *order, uint32_t n)
{
	*g = (struct group) { .s.speed = g->speed };
	for (uint32_t k = 0; k < n; k++)
		g->cards |= 1ull << order[k];
	for (uint32_t i = 0; i < pl->p->n_devices; i++)
		if (g->cards >> i & 1) {
			g->card[g->s.n] = i;
			g->speed[g->s.n++] = speed_of(pl->devs[i]);
		}
}

/* What a plan says of layers. */
struct outcome {
	struct accel_layer *layers;	/* [n_layers] */
	uint32_t *streams;		/* [n_layers] */
	struct accel_model **views;
	struct shape shape;
	uint32_t shared;		/* how many of them are */
	double takes;
};

static int outcome_new(struct outcome *o, const struct accel_plan *p)
{
	*o = (struct outcome) {
		.layers = calloc(p->m->n_layers, sizeof(*o->layers)),
		.streams = calloc(p->m->n_layers, sizeof(*o->streams)),
	};
	return o->layers && o->streams ? 0 : fail(-ENOMEM, "no memory for a plan");
}

static uint32_t count_shared(const struct accel_plan *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->m->n_layers; i++)
		n += p->layers[i].shared != 0;
	return n;
}

static void keep(struct outcome *o, struct accel_plan *p, double takes)
{
	struct accel_model **views = o->views;

	memcpy(o->layers, p->layers, p->m->n_layers * sizeof(*o->layers));
	memcpy(o->streams, p->streams, p->m->n_layers * sizeof(*o->streams));
	o->views = p->views;
	o->shape = p->shape;
	o->shared = count_shared(p);
	o->takes = takes;
	p->views = views;
	free_views(p);
}

static void restore(struct outcome *o, struct accel_plan *p)
{
	memcpy(p->layers, o->layers, p->m->n_layers * sizeof(*o->layers));
	memcpy(p->streams, o->streams, p->m->n_layers * sizeof(*o->streams));
	free_views(p);
	p->views = o->views;
	p->shape = o->shape;
	free(o->layers);
	free(o->streams);
}

static struct accel_model *view_new(const struct accel_model *m)
{
	struct accel_model *view = malloc(sizeof(*view));

	if (!view)
		return NULL;
	*view = *m;
	view->layers = malloc(m->n_layers * sizeof(*view->layers));
	if (view->layers) {
		memcpy(view->layers, m->layers, m->n_layers * sizeof(*view->layers));
		return view;
	}
	free(view);
	return NULL;
}

static int make_views(struct accel_plan *p)
{
	p->views = calloc(p->n_devices, sizeof(*p->views));
	for (uint32_t i = 0; i < p->n_devices && p->views; i++) {
		p->views[i] = view_new(p->m);
		if (!p->views[i])
			free_views(p);
	}
	return p->views ? 0 : fail(-ENOMEM, "no memory for a plan");
}

/* NULL, or why it has to be whole for what goes with it. */
static const char *bound(const struct accel_model *m, uint32_t i)
{
	if (m->n_stream != m->n_embd)
		return "inputs of blocks go with the residual stream";
	for (uint32_t k = 1; k < m->n_layers; k++)
		if (m->layers[k].state.of && (k == i || m->layers[k].state.of == i))
			return "several layers use its keys and values";
	return NULL;
}

/* NULL, or why not: the layer becomes a part in what each of them sees. */
static const char *divide(struct accel_plan *p, uint32_t i, const struct group *g)
{
	const struct layer *whole = &p->m->layers[i];
	const char *why = bound(p->m, i);

	for (uint32_t k = 0; k < g->s.n && !why; k++)
		why = layer_share(&p->views[g->card[k]]->layers[i], whole, &g->s, k);
	for (uint32_t k = 0; k < g->s.n && why; k++)	/* some may be parts already */
		p->views[g->card[k]]->layers[i] = *whole;
	return why;
}

/* Its exchanges follow those of the layers before it; room for its commands is as much as any part takes. */
static void number(struct accel_plan *p, uint32_t i, const struct group *g)
{
	struct exchanged e = { 0 };

	p->streams[i] = 0;
	for (uint32_t k = 0; k < g->s.n; k++) {
		const struct accel_model *view = p->views[g->card[k]];
		struct layer *l = &view->layers[i];
		size_t size;

		l->part.exchange = p->shape.exchanges;
		size = stream_part_size(view, l, &p->shape, &e);
		p->streams[i] = size > p->streams[i] ? size : p->streams[i];
		p->shape.exchanged = e.most > p->shape.exchanged ? e.most : p->shape.exchanged;
	}
	p->shape.exchanges += e.n;
}

static bool all_able(const struct planner *pl, const struct group *g, struct accel_layer *a)
{
	for (uint32_t k = 0; k < g->s.n; k++)
		if (!able(pl, pl->devs[g->card[k]], a))
			return false;
	return true;
}

/* If need be instead of what was said last. */
static void say_whole(struct accel_layer *a, const char *why)
{
	char *last;

	while (!say_more(a, "; not shared: %s", why) && (last = strrchr(a->detail, ';')))
		*last = 0;
}

/* Those that cannot be shared are whole, on the first processor that has room, of those that share if one has. */
static void place_whole(struct planner *pl, uint32_t i, const struct group *g, const char *why)
{
	struct accel_layer *a = &pl->p->layers[i];

	place(pl, a, g->card[0]);
	if (a->device < 0)
		place(pl, a, 0);
	if (why && a->device >= 0)
		say_whole(a, why);
}

/* *full: who has none. */
static bool have_room(struct planner *pl, const struct group *g, uint32_t *full)
{
	for (uint32_t k = 0; k < g->s.n; k++)
		if (bytes_on(pl, g->card[k], UINT32_MAX) > room_on(pl, g->card[k])) {
			*full = g->card[k];
			return false;
		}
	return !takes_too_much(pl);
}

/* These share what can be; embeds: the first layer is on a processor, else the CPU's, as before.  False: nothing can,
 * or there is no room; *full: of this one for its parts. */
static bool share_over(struct planner *pl, const struct group *g, bool embeds, const char **why, uint32_t *full)
{
	struct accel_plan *p = pl->p;
	const uint32_t layers = p->m->n_layers;
	uint32_t late;
	bool any = false;

	p->shape.flights = 1;
	p->shape.members = g->s.n;
	for (uint32_t i = 1; i < layers; i++) {
		struct accel_layer *a = &p->layers[i];

		a->device = -1;
		a->shared = 0;
		set_weights(p, a, ACCEL_WEIGHTS_CARD);
		/* others may have shared it before, and a part takes otherwise than all of it */
		p->streams[i] = stream_layer_size(p->m, &p->m->layers[i], &p->shape, NULL);
		why[i] = divide(p, i, g);
		if (why[i] || !all_able(pl, g, a))
			continue;
		decide(a, ACCEL_REASON_FITS, "%u processors share it: each has rows of its matrices", g->s.n);
		a->device = g->card[0];
		a->shared = g->cards;
		number(p, i, g);
		any = true;
	}
	if (!any || !have_room(pl, g, full))
		return false;
	for (uint32_t i = layers; i-- > 0;)
		if (!p->layers[i].shared && (i || embeds))
			place_whole(pl, i, g, why[i]);
	for (uint32_t i = 1; i < layers; i++)
		if (p->layers[i].device < 0)
			return false;
	return have_room(pl, g, &late);
}

static bool may_be_shared(const struct planner *pl)
{
	if (pl->o.split == ACCEL_SPLIT_LAYER || pl->p->n_devices < 2 || pl->o.stream == ACCEL_STREAM_ALWAYS)
		return false;
	for (uint32_t i = 0; i < pl->o.n_places; i++)
		if (pl->o.places[i] != ACCEL_PLACE_ANY)
			return false;
	return true;
}

static bool cpu_is_faster(const struct accel_plan *p)
{
	for (uint32_t i = 1; i < p->m->n_layers; i++)	/* the first looks up embeddings */
		if (p->layers[i].reason == ACCEL_REASON_SLOWER)
			return true;
	return false;
}

/* Told to share, most layers, of which each has most processors; else the soonest. */
static bool is_better(const struct planner *pl, double takes, const struct outcome *best)
{
	if (pl->o.split == ACCEL_SPLIT_TENSOR)
		return count_shared(pl->p) > best->shared;
	return best->views ? takes <= best->takes : takes * GAIN < best->takes;
}

static int try_over(struct planner *pl, const struct group *g, bool embeds, const char **why, struct outcome *best,
		    uint32_t *full)
{
	struct accel_plan *p = pl->p;
	const struct shape before = p->shape;
	int err = make_views(p);
	double takes;

	if (err)
		return err;
	takes = share_over(pl, g, embeds, why, full) ? plan_takes(p) : -1;
	if (takes >= 0 && is_better(pl, takes, best))
		keep(best, p, takes);
	free_views(p);
	p->shape = before;
	return 0;
}

/*
 * All, then without one after the other.  Who has no room for its part goes first, as with fewer it would have more
 * of each layer; else the slowest, which gives least and is waited for at each exchange all the same.
 */
static int try_groups(struct planner *pl, bool embeds, const char **why, struct outcome *best)
{
	uint32_t order[MAX_DEVICES], left = list(pl, order), n = left < MOST ? left : MOST;

	while (n > 1) {
		uint32_t full = MAX_DEVICES;
		struct group g;
		int err;

		gather(&g, pl, order, n);
		err = try_over(pl, &g, embeds, why, best, &full);
		if (err)
			return err;
		if (full == MAX_DEVICES) {
			n--;
			continue;
		}
		left = drop(order, left, full);
		n = n < left ? n : left;
	}
	return 0;
}

/* It was wanted, and nothing came of it. */
static void say_none(struct planner *pl, const char *const *why)
{
	struct accel_plan *p = pl->p;
	uint32_t order[MAX_DEVICES];
	const char *no = p->n_devices < 2 ? "there is one processor" :
			 !may_be_shared(pl) ? "places of layers, or weights in the host's memory, were asked for" :
			 list(pl, order) < 2 ? "processors cannot wait for each other" : "there is no room for all the parts";

	for (uint32_t i = 1; i < p->m->n_layers; i++)
		if (p->layers[i].device >= 0)
			say_whole(&p->layers[i], why && why[i] ? why[i] : no);
}

int plan_share(struct planner *pl)
{
	struct accel_plan *p = pl->p;
	const bool forced = pl->o.split == ACCEL_SPLIT_TENSOR, embeds = p->layers[0].device >= 0;
	const char **why;
	struct outcome best;
	const double takes = may_be_shared(pl) ? plan_takes(p) : -1;
	int err;

	if (!may_be_shared(pl) || (!forced && (cpu_is_faster(p) || takes < 0))) {
		if (forced)
			say_none(pl, NULL);
		return 0;
	}
	why = calloc(p->m->n_layers, sizeof(*why));
	err = outcome_new(&best, p);
	if (!err && !why)
		err = fail(-ENOMEM, "no memory for a plan");
	if (!err)
		keep(&best, p, takes);
	if (!err)
		err = try_groups(pl, embeds, why, &best);
	if (best.layers && best.streams) {
		restore(&best, p);
	} else {
		free(best.layers);
		free(best.streams);
	}
	if (!err && forced && !p->shape.members)
		say_none(pl, why);
	free(why);
	return err;
}
