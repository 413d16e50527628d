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

/* What a plan says of layers. */
struct outcome {
	struct accel_layer *layers;	/* [n_layers] */
	uint32_t *streams;		/* [n_layers] */
	struct accel_model **views;
	struct shape shape;
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

static void keep(struct outcome *o, struct accel_plan *p, double takes)
{
	struct accel_model **views = o->views;

	memcpy(o->layers, p->layers, p->m->n_layers * sizeof(*o->layers));
	memcpy(o->streams, p->streams, p->m->n_layers * sizeof(*o->streams));
	o->views = p->views;
	o->shape = p->shape;
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
static const char *divide(struct accel_plan *p, uint32_t i, const struct shares *s)
{
	const struct layer *whole = &p->m->layers[i];
	const char *why = bound(p->m, i);

	for (uint32_t k = 0; k < s->n && !why; k++)
		why = layer_share(&p->views[k]->layers[i], whole, s, k);
	for (uint32_t k = 0; k < s->n && why; k++)	/* some may be parts already */
		p->views[k]->layers[i] = *whole;
	return why;
}

/* Its exchanges follow those of the layers before it; room for its commands is as much as any part takes. */
static void number(struct accel_plan *p, uint32_t i, uint32_t n)
{
	struct exchanged e = { 0 };

	p->streams[i] = 0;
	for (uint32_t k = 0; k < n; k++) {
		struct layer *l = &p->views[k]->layers[i];
		size_t size;

		l->part.exchange = p->shape.exchanges;
		size = stream_part_size(p->views[k], l, &p->shape, &e);
		p->streams[i] = size > p->streams[i] ? size : p->streams[i];
		p->shape.exchanged = e.most > p->shape.exchanged ? e.most : p->shape.exchanged;
	}
	p->shape.exchanges += e.n;
}

static bool all_able(const struct planner *pl, uint32_t n, struct accel_layer *a)
{
	for (uint32_t k = 0; k < n; k++)
		if (!(pl->devs[k]->ops >> OCTANS_OP_WAIT & 1) || !able(pl, pl->devs[k], a))
			return false;
	return true;
}

static void say_whole(struct accel_layer *a, const char *why)
{
	char text[sizeof(a->detail)];

	snprintf(text, sizeof(text), "%.90s; not shared: %s", a->detail, why);
	memcpy(a->detail, text, sizeof(text));
}

/* Those that cannot be shared are whole, on the first processor that has room. */
static void place_whole(struct planner *pl, uint32_t i, const char *why)
{
	struct accel_layer *a = &pl->p->layers[i];

	place(pl, a, 0);
	if (why && a->device >= 0)
		say_whole(a, why);
}

static bool have_room(struct planner *pl, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++)
		if (bytes_on(pl, k, UINT32_MAX) > room_on(pl, k))
			return false;
	return !takes_too_much(pl);
}

/* The first n processors share what can be; embeds: the first layer is on one, else the CPU's, as before.  False:
 * nothing can, or there is no room. */
static bool share_over(struct planner *pl, const struct shares *s, bool embeds, const char **why)
{
	struct accel_plan *p = pl->p;
	const uint32_t layers = p->m->n_layers;
	bool any = false;

	p->shape.flights = 1;
	p->shape.members = s->n;
	for (uint32_t i = 1; i < layers; i++) {
		struct accel_layer *a = &p->layers[i];

		a->device = -1;
		a->shared = 0;
		set_weights(p, a, ACCEL_WEIGHTS_CARD);
		why[i] = divide(p, i, s);
		if (why[i] || !all_able(pl, s->n, a))
			continue;
		decide(a, ACCEL_REASON_FITS, "%u processors share it: each has rows of its matrices", s->n);
		a->device = 0;
		a->shared = (1ull << s->n) - 1;
		number(p, i, s->n);
		any = true;
	}
	if (!any || !have_room(pl, s->n))
		return false;
	for (uint32_t i = layers; i-- > 0;)
		if (!p->layers[i].shared && (i || embeds))
			place_whole(pl, i, why[i]);
	for (uint32_t i = 1; i < layers; i++)
		if (p->layers[i].device < 0)
			return false;
	return have_room(pl, s->n);
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

static int try_over(struct planner *pl, const struct shares *s, bool embeds, const char **why, struct outcome *best)
{
	struct accel_plan *p = pl->p;
	const struct shape before = p->shape;
	int err = make_views(p);
	double takes;

	if (err)
		return err;
	takes = share_over(pl, s, embeds, why) ? plan_takes(p) : -1;
	if (takes >= 0 && (pl->o.split == ACCEL_SPLIT_TENSOR || takes * (best->views ? 1 : GAIN) < best->takes))
		keep(best, p, takes);
	free_views(p);
	p->shape = before;
	return 0;
}

/* It was wanted, and nothing came of it. */
static void say_none(struct planner *pl, const char *const *why)
{
	struct accel_plan *p = pl->p;
	const char *no = p->n_devices < 2 ? "there is one processor" :
			 !may_be_shared(pl) ? "places of layers, or weights in the host's memory, were asked for" : "there is no room for all the parts";

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
	double speed[MOST];
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
	for (uint32_t n = 0; n < p->n_devices && n < MOST && !err; n++) {
		const struct shares s = { .n = n + 1, .speed = speed };
		const struct accel_devinfo *dev = pl->devs[n];

		speed[n] = (double)(dev->local_bpc ? dev->local_bpc : 1) * (dev->clock_hz ? dev->clock_hz : 1e9);
		if (n)
			err = try_over(pl, &s, embeds, why, &best);
	}
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
