// SPDX-License-Identifier: MIT
/* The planner: where each layer runs, and why. */
#include "planner.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "host.h"
#include "model/gguf.h"
#include "op/op.h"
#include "opts.h"
#include "stream.h"
#include "worth.h"

#define DEFAULT_CTX 4096u
#define DEFAULT_BATCH 512u
#define LEAST_BATCH 16u
#define MAX_SEQS 4096u
#define MAX_FLIGHTS 8u
/* Positions of a page: the table of a sequence is short, and little of a page is left over. */
#define LEAST_PAGE 64u
#define TABLE_PAGES 1024u
/* States of a sequence that are kept beside the newest and the one that is computed. */
#define CHECKPOINTS 6u
#define MAX_CHECKPOINTS 1024u
/* Logits of a step, beyond the first row. */
#define LOGITS_BYTES (16ull << 20)

const char *accel_reason_name(enum accel_reason reason)
{
	static const char *const names[] = {
		[ACCEL_REASON_FITS] = "fits",
		[ACCEL_REASON_USER] = "user",
		[ACCEL_REASON_NO_DEVICE] = "no-device",
		[ACCEL_REASON_NO_MEMORY] = "no-memory",
		[ACCEL_REASON_KIND] = "kind",
		[ACCEL_REASON_TYPE] = "type",
		[ACCEL_REASON_CTX] = "context",
		[ACCEL_REASON_LOST] = "lost",
		[ACCEL_REASON_SLOWER] = "slower",
	};

	return (unsigned int)reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}

static void list_types(const struct layer *l, char *text, size_t len)
{
	uint64_t seen = 0;
	size_t at = 0;

	text[0] = 0;
	for (int i = 0; i < LAYER_WEIGHTS; i++) {
		const struct weight *w = &l->w[i];

		if (!w->data || seen >> w->type & 1 || at >= len)
			continue;
		seen |= 1ull << w->type;
		at += snprintf(text + at, len - at, "%s%s", at ? " " : "", accel_type_name(w->type));
	}
}

void decide(struct accel_layer *a, enum accel_reason reason, const char *fmt, ...)
{
	va_list ap;

	a->reason = reason;
	a->device = -1;
	va_start(ap, fmt);
	vsnprintf(a->detail, sizeof(a->detail), fmt, ap);
	va_end(ap);
}


/* False: the processor cannot run the layer, and *a says why. */
static bool able(const struct planner *pl, const struct accel_devinfo *dev, struct accel_layer *a)
{
	const struct accel_plan *p = pl->p;
	const struct layer *l = &p->m->layers[a->index];
	uint64_t ops;

	stream_layer_size(p->m, l, &p->shape, &ops);
	ops |= 1ull << OCTANS_OP_MOVE | 1ull << OCTANS_OP_SIGNAL;	/* around every run of layers */
	for (uint32_t op = 0; op < 64; op++)
		if (ops >> op & ~(dev->ops >> op) & 1) {
			decide(a, ACCEL_REASON_KIND, "%s does not implement %s", dev->name, op_name(op));
			return false;
		}
	for (int i = 0; i < LAYER_WEIGHTS; i++)
		if (l->w[i].data && (l->w[i].type > 63 || !(dev->types >> l->w[i].type & 1))) {
			decide(a, ACCEL_REASON_TYPE, "%s does not read weights of type %s", dev->name,
			       accel_type_name(l->w[i].type));
			return false;
		}
	if (pl->costs[a->index].attends > dev->max_ctx) {
		decide(a, ACCEL_REASON_CTX, "a context of %u is longer than the %u positions that %s attends to",
		       pl->costs[a->index].attends, dev->max_ctx, dev->name);
		return false;
	}
	return true;
}

static uint64_t room_of(const struct accel_devinfo *dev)
{
	uint64_t reach = dev->memory_mappable < dev->memory_size ? dev->memory_mappable : dev->memory_size;

	return reach > dev->memory_used ? reach - dev->memory_used : 0;
}

static bool is_limited(const struct planner *pl, uint32_t device)
{
	return pl->o.max_device_bytes && pl->o.max_device_bytes < room_of(pl->devs[device]);
}

uint64_t room_on(const struct planner *pl, uint32_t device)
{
	return is_limited(pl, device) ? pl->o.max_device_bytes : room_of(pl->devs[device]);
}

uint64_t bytes_on(struct planner *pl, uint32_t device, uint32_t more)
{
	const struct accel_plan *p = pl->p;
	struct footprint f;

	for (uint32_t i = 0; i < p->m->n_layers; i++)
		pl->mine[i] = i == more || p->layers[i].device == (int32_t)device;
	footprint_of(&f, p->m, &p->shape, pl->mine, p->streams, p->layers, NULL, NULL);
	return f.bytes;
}

static bool fits(struct planner *pl, uint32_t device, struct accel_layer *a)
{
	const struct accel_devinfo *dev = pl->devs[device];
	const uint64_t room = room_on(pl, device);
	uint64_t before, after;
	char limit[48] = "";

	if (!able(pl, dev, a))
		return false;
	if (is_limited(pl, device))
		snprintf(limit, sizeof(limit), " of the %llu that may be taken", (unsigned long long)room / 1024);
	after = bytes_on(pl, device, a->index);
	if (after > room) {
		before = bytes_on(pl, device, UINT32_MAX);
		decide(a, ACCEL_REASON_NO_MEMORY, "needs %llu KiB of on-card memory, %llu KiB%s are left on %s",
		       (unsigned long long)(after - before + 1023) / 1024,
		       (unsigned long long)(room > before ? room - before : 0) / 1024, limit, dev->name);
		return false;
	}
	decide(a, ACCEL_REASON_FITS, "%s can run it and has room", dev->name);
	a->device = device;
	return true;
}

static bool is_far(const struct accel_layer *a)
{
	return a->weights != ACCEL_WEIGHTS_CARD;
}

void place(struct planner *pl, struct accel_layer *a, uint32_t from)
{
	uint32_t where = pl->o.n_places ? pl->o.places[a->index] : ACCEL_PLACE_ANY;
	uint32_t n = pl->p->n_devices;

	if (where == ACCEL_PLACE_CPU)
		decide(a, ACCEL_REASON_USER, "chosen by the user");
	else if (!n)
		decide(a, ACCEL_REASON_NO_DEVICE, "there is no processor");
	else if (where != ACCEL_PLACE_ANY)
		fits(pl, where - ACCEL_PLACE_DEVICE(0), a);
	else
		for (uint32_t i = from; i < n; i++)
			if (!(is_far(a) && pl->slower[a->index] >> i & 1) && fits(pl, i, a))
				break;
}

/*
 * The table of embeddings, of which a step reads a few rows, takes what the others leave.  Onward:
 * a processor that had no room for a layer has none of those behind it, so that a step goes through
 * each but once.
 */
static uint32_t place_each(struct planner *pl, bool onward)
{
	struct accel_plan *p = pl->p;
	uint32_t on = 0, from = 0;

	for (uint32_t i = 0; i < p->m->n_layers; i++) {
		p->layers[i].device = -1;
		set_weights(p, &p->layers[i], ACCEL_WEIGHTS_CARD);
	}
	for (uint32_t i = 1; i < p->m->n_layers; i++) {
		place(pl, &p->layers[i], from);
		if (onward && p->layers[i].device > (int32_t)from)
			from = p->layers[i].device;
	}
	place(pl, &p->layers[0], 0);
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		on += p->layers[i].device >= 0;
	return on;
}

/* Layers that could be on a processor are not for want of room. */
static bool lacks_room(const struct accel_plan *p)
{
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (p->layers[i].reason == ACCEL_REASON_NO_MEMORY)
			return true;
	return false;
}

/* A layer in the rest of a processor's memory is better than one on the CPU. */
static uint32_t place_all(struct planner *pl)
{
	const struct accel_plan *p = pl->p;
	const uint32_t n = p->m->n_layers;
	uint32_t on;

	if (pl->p->n_devices > 1 && pl->o.stream != ACCEL_STREAM_ALWAYS && place_each(pl, true) == n)
		return n;
	on = place_each(pl, false);
	if (may_be_far(pl) && (pl->o.stream == ACCEL_STREAM_ALWAYS || lacks_room(p)))
		on = place_far(pl);
	return on;
}

/* ---- is it worth it? ---- */

static bool is_free(const struct planner *pl, uint32_t i)
{
	return pl->p->layers[i].device >= 0 &&
	       (!pl->o.n_places || pl->o.places[i] == ACCEL_PLACE_ANY);
}

static void refuse(struct planner *pl, uint32_t i, double there, double here)
{
	struct accel_layer *a = &pl->p->layers[i];

	if (is_far(a))
		pl->slower[i] |= 1ull << a->device;
	decide(a, ACCEL_REASON_SLOWER, "a prompt of %u tokens and %u more take %.3g ms on %s at the least, %.3g ms on this CPU",
	       WORTH_PROMPT, WORTH_ANSWER, there * 1e3, pl->devs[a->device]->name, here * 1e3);
}

/* Layers first .. end - 1 follow each other on one processor: is what they gain more than what going there
 * and back takes?  Returns how many were, or with look would be, refused. */
static uint32_t weigh_run(struct planner *pl, uint32_t first, uint32_t end, const struct cpu_speed *cpu,
			  bool look)
{
	const struct shape *shape = &pl->p->shape;
	const struct accel_devinfo *dev = pl->devs[pl->p->layers[first].device];
	double border = worth_of_border(pl->p->m->n_embd, shape, dev);
	double there = (first ? border : 0) + (end < pl->p->m->n_layers ? border : 0), here = 0;
	uint32_t n = 0;

	for (uint32_t i = first; i < end; i++) {
		there += worth_on_device(&pl->costs[i], pl->p->m, shape, dev);
		here += worth_on_cpu(&pl->costs[i], pl->p->m, shape, cpu);
	}
	if (there <= here)
		return 0;
	for (uint32_t i = first; i < end; i++)
		if (is_free(pl, i)) {
			n++;
			if (!look)
				refuse(pl, i, there, here);
		}
	return n;
}

/* What the residual stream would take to and from this layer, if it left the processor it is on. */
static double borders_of(const struct planner *pl, uint32_t i)
{
	const struct accel_layer *l = pl->p->layers;
	const double border = worth_of_border(pl->p->m->n_embd, &pl->p->shape, pl->devs[l[i].device]);

	return (i && l[i - 1].device == l[i].device ? border : 0) +
	       (i + 1 < pl->p->m->n_layers && l[i + 1].device == l[i].device ? border : 0);
}

static uint32_t weigh(struct planner *pl, const struct cpu_speed *cpu, bool look)
{
	const struct shape *shape = &pl->p->shape;
	struct accel_layer *l = pl->p->layers;
	uint32_t n = pl->p->m->n_layers, refused = 0;

	for (uint32_t i = 0; i < n; i++) {
		double there, here;

		if (!is_free(pl, i))
			continue;
		there = worth_on_device(&pl->costs[i], pl->p->m, shape, pl->devs[l[i].device]);
		here = worth_on_cpu(&pl->costs[i], pl->p->m, shape, cpu);
		if (there <= here + borders_of(pl, i))
			continue;
		refused++;
		if (!look)
			refuse(pl, i, there, here);
	}
	for (uint32_t i = 0, end; i < n; i = end) {
		end = i + 1;
		if (l[i].device < 0)
			continue;
		while (end < n && l[end].device == l[i].device)
			end++;
		refused += weigh_run(pl, i, end, cpu, look);
	}
	return refused;
}

static int cost_all(struct planner *pl)
{
	const struct accel_plan *p = pl->p;
	int err = 0;

	for (uint32_t i = 0; i < p->m->n_layers && !err; i++)
		err = cost_layer(&pl->costs[i], p->m, &p->m->layers[i], &p->shape, &p->layers[i]);
	return err;
}

/* Where weights are in the host's memory and the CPU is faster, the layer is its, or another processor's, and others
 * have its room. */
static bool leave_far(struct planner *pl)
{
	bool any = false;

	for (uint32_t i = 0; i < pl->p->m->n_layers; i++) {
		struct accel_layer *a = &pl->p->layers[i];

		if (a->device >= 0 || a->reason != ACCEL_REASON_SLOWER || !is_far(a))
			continue;
		set_weights(pl->p, a, ACCEL_WEIGHTS_CARD);
		any = true;
	}
	return any;
}

/* The CPU is measured only if one that is faster than any would be faster at something. */
static int weigh_all(struct planner *pl)
{
	static const struct cpu_speed fastest = { 400e9, 8e12, 4e12, 2e12 };
	struct cpu_speed cpu;
	int err = cost_all(pl);

	if (err)
		return err;
	if (pl->o.stream == ACCEL_STREAM_ALWAYS || !weigh(pl, &fastest, true))
		return 0;
	err = cpu_speed(&cpu);
	if (err)
		return fail(err, "the CPU's speed could not be measured: %s", strerror(-err));
	for (uint32_t i = 0; i < pl->p->n_devices; i++) {
		weigh(pl, &cpu, false);
		if (!leave_far(pl))
			return 0;
		place_far(pl);
		err = cost_all(pl);
		if (err)
			return err;
	}
	weigh(pl, &cpu, false);
	leave_far(pl);
	return 0;
}

/* ---- tokens at once ---- */

static uint32_t logits_rows(const struct accel_model *m, uint32_t batch)
{
	uint64_t rows = LOGITS_BYTES / sizeof(float) / m->n_vocab;

	return !rows ? 1 : rows < batch ? rows : batch;
}

static void set_batch(struct accel_plan *p, uint32_t batch)
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

/* A plan that may be made. */
struct proposal {
	uint32_t batch;
	bool no_far;
	double takes;			/* seconds of a prompt and an answer */
	struct accel_layer *layers;	/* [n_layers] */
};

/* Makes it, and keeps it if it is the best so far. */
static int try_proposal(struct planner *pl, uint32_t batch, bool no_far, struct proposal *best)
{
	struct accel_prediction told = { .sz = sizeof(told) };
	struct accel_plan *p = pl->p;
	const size_t size = p->m->n_layers * sizeof(*p->layers);
	double takes;
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
	takes = told.prompt_s + WORTH_ANSWER * told.token_s;
	if (best->batch && takes >= best->takes)
		return 0;
	*best = (struct proposal) { .batch = batch, .no_far = no_far, .takes = takes, .layers = best->layers };
	memcpy(best->layers, p->layers, size);
	return 0;
}

/*
 * Where weights have no room, activations take some of it, and the more tokens are computed at once, the less often
 * the others are read: what is best is told by what it takes, and so is whether none are to be read over the bus.
 */
static int choose_far(struct planner *pl, uint32_t batch)
{
	struct accel_plan *p = pl->p;
	struct proposal best = { .layers = calloc(p->m->n_layers, sizeof(*p->layers)) };
	int err = best.layers ? 0 : fail(-ENOMEM, "no memory for a plan");

	for (uint32_t b = batch; !err; b = (b + 1) / 2) {
		err = try_proposal(pl, b, false, &best);
		if (pl->o.batch || b <= LEAST_BATCH)
			break;
	}
	for (uint32_t b = batch; !err && !has_wish(pl); b = (b + 1) / 2) {
		err = try_proposal(pl, b, true, &best);
		if (pl->o.batch || b <= LEAST_BATCH)
			break;
	}
	if (!err) {
		set_batch(p, best.batch);
		pl->no_far = best.no_far;
		memcpy(p->layers, best.layers, p->m->n_layers * sizeof(*p->layers));
	}
	free(best.layers);
	return err;
}

/*
 * Tokens at once: as many as do well, but, unless the user wants it so, activations do not take the
 * room of layers.  So a larger card never has fewer of them.
 */
static int choose_batch(struct planner *pl)
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
	while (!pl->o.batch && p->n_devices && batch > LEAST_BATCH && most < p->m->n_layers) {
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

/* ---- what may be taken of the host ---- */

static bool over_budget(const struct planner *pl, struct host_memory *h)
{
	host_memory_of(h, pl->p->m, &pl->p->shape, pl->p->layers);
	return pl->o.max_host_bytes && h->kv + h->work + h->far + h->weights > pl->o.max_host_bytes;
}

/*
 * A plan that is above the limit is made again: first with all that has room on processors there,
 * also if the CPU were faster, for what is there is not here, then with fewer and fewer tokens at
 * once, unless the caller has chosen how many.
 */
static int keep_budget(struct planner *pl)
{
	struct accel_plan *p = pl->p;
	struct host_memory h;
	char weights[80] = "";

	if (!over_budget(pl, &h))
		return 0;
	pl->no_far = true;
	place_all(pl);
	while (over_budget(pl, &h) && !pl->o.batch && p->shape.batch > 1) {
		set_batch(p, p->shape.batch - (p->shape.batch + 7) / 8);
		place_all(pl);
	}
	if (!over_budget(pl, &h))
		return 0;
	if (h.weights)
		snprintf(weights, sizeof(weights), "%llu for weights that the file has otherwise, ",
			 (unsigned long long)h.weights / 1024);
	return fail(-ENOSPC, "%llu KiB of memory would be taken, %s%llu for keys and values of layers on the CPU and %llu for steps of %u tokens, where %llu may be: fewer positions, sequences, or tokens at once take less",
		    (unsigned long long)(h.kv + h.work + h.weights + 1023) / 1024, weights,
		    (unsigned long long)h.kv / 1024, (unsigned long long)h.work / 1024, p->shape.batch,
		    (unsigned long long)pl->o.max_host_bytes / 1024);
}

/* ---- options ---- */

static int check_kv_type(const struct accel_plan *p, enum accel_kv_type type)
{
	if ((unsigned int)type > ACCEL_KV_Q8_0)
		return fail(-EINVAL, "%d is not a type of KV cache", type);
	for (uint32_t i = 0; i < p->m->n_layers && type == ACCEL_KV_Q8_0; i++)
		if (p->m->layers[i].state.head_dim % 32)
			return fail(-EINVAL, "a KV cache in Q8_0 needs heads of a multiple of 32 elements, this model's have %u: use F16 or F32",
				    p->m->layers[i].state.head_dim);
	return 0;
}

static int check_places(const struct planner *pl)
{
	const struct accel_plan_opts *o = &pl->o;

	if (!o->n_places)
		return 0;
	if (o->n_places != pl->p->m->n_layers || !o->places)
		return fail(-EINVAL, "places of %u layers were given, the model has %u", o->n_places,
			    pl->p->m->n_layers);
	for (uint32_t i = 0; i < o->n_places; i++)
		if (o->places[i] >= ACCEL_PLACE_DEVICE(0) &&
		    o->places[i] - ACCEL_PLACE_DEVICE(0) >= pl->p->n_devices)
			return fail(-EINVAL, "layer %u is to be on processor %u, there are %u", i,
				    o->places[i] - ACCEL_PLACE_DEVICE(0), pl->p->n_devices);
	return 0;
}

static uint32_t log2_of(uint32_t x)
{
	return 31 - __builtin_clz(x);
}

/* Pages of this size, and as many as the caller wants. */
static uint64_t set_pages(struct shape *s, const struct accel_plan_opts *o, uint32_t page_log2)
{
	uint64_t pages;

	s->page_log2 = page_log2;
	pages = o->positions ? (o->positions + (1u << page_log2) - 1) >> page_log2 :
		(uint64_t)shape_seq_pages(s) * s->seqs;
	s->pages = pages < OCTANS_MAX_ROWS ? pages : OCTANS_MAX_ROWS;
	return pages;
}

/* Are they so few that tables of them have the columns that commands take, and that commands which look at all
 * of a sequence, each of its pages as a plane, take so many? */
static bool pages_fit(const struct accel_plan *p)
{
	const uint64_t of_seq = shape_seq_pages(&p->shape);

	for (uint32_t i = 0; i < p->m->n_times; i++)
		if (p->m->by_page[i] && (p->shape.pages > OCTANS_MAX_PLANES || of_seq > OCTANS_MAX_SELECTED ||
					 of_seq * p->m->times[i] > OCTANS_MAX_ROWS))
			return false;
	return of_seq <= OCTANS_MAX_COLS;
}

static int choose_pages(struct accel_plan *p, const struct accel_plan_opts *o)
{
	struct shape *s = &p->shape;
	uint32_t log2 = log2_of(o->page ? o->page : LEAST_PAGE);
	uint64_t pages;

	if (o->page & (o->page - 1) || o->page > 1u << OCTANS_MAX_PAGE_LOG2)
		return fail(-EINVAL, "pages of %u positions cannot be had: it must be a power of two up to %u",
			    o->page, 1u << OCTANS_MAX_PAGE_LOG2);
	pages = set_pages(s, o, log2);
	while (!o->page && log2 < OCTANS_MAX_PAGE_LOG2 && (shape_seq_pages(s) > TABLE_PAGES || !pages_fit(p)))
		pages = set_pages(s, o, ++log2);
	if (pages << log2 > OCTANS_MAX_ROWS || o->positions > OCTANS_MAX_ROWS)
		return fail(-EINVAL, "%llu positions of all sequences are above the limit of %u",
			    o->positions ? (unsigned long long)o->positions :
			    (unsigned long long)pages << log2, OCTANS_MAX_ROWS);
	if (p->m->list && (uint64_t)shape_seq_pages(s) << log2 > OCTANS_MAX_COLS)
		return fail(-EINVAL, "a context of %u positions is above the %u that an indexer can look through", s->ctx,
			    OCTANS_MAX_COLS);
	if (!pages_fit(p))
		return fail(-EINVAL, "pages of %u positions are too small for so many: a sequence would have %u, all together %u; larger ones are fewer",
			    1u << log2, shape_seq_pages(s), s->pages);
	return 0;
}

/* For as many sequences as there are pages for if they are long. */
static int choose_slots(struct accel_plan *p, const struct accel_plan_opts *o)
{
	struct shape *s = &p->shape;
	uint64_t n = s->pages / shape_seq_pages(s);

	if (o->checkpoints > MAX_CHECKPOINTS)
		return fail(-EINVAL, "%u checkpoints of a sequence are above the limit of %u", o->checkpoints,
			    MAX_CHECKPOINTS);
	s->marks = 1 + (o->checkpoints ? o->checkpoints : CHECKPOINTS);
	n = (n > s->seqs ? n : s->seqs) * (s->marks + 1);
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (layer_has_state(&p->m->layers[i]))
			s->slots = n < OCTANS_MAX_ROWS ? n : OCTANS_MAX_ROWS;
	return 0;
}

/* Passes under way at once on so many processors: one for each, and one for the CPU, or that begins while results of
 * another are taken. */
static uint32_t flights(uint32_t n)
{
	if (n < 2)
		return 1;
	return n < MAX_FLIGHTS ? n + 1 : MAX_FLIGHTS;
}

/* Processors that have layers. */
static uint32_t count_used(const struct accel_plan *p)
{
	uint64_t seen = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->m->n_layers; i++) {
		const int32_t device = p->layers[i].device;

		if (device < 0 || seen >> device & 1)
			continue;
		seen |= 1ull << device;
		n++;
	}
	return n;
}

static int read_opts(struct planner *pl, const struct accel_plan_opts *opts)
{
	const struct accel_model *m = pl->p->m;
	struct accel_plan_opts *o = &pl->o;
	struct shape *s = &pl->p->shape;
	int err = opts_read(o, sizeof(*o), opts, "plan options");

	if (err)
		return err;
	s->ctx = o->ctx ? o->ctx : m->n_ctx_train < DEFAULT_CTX ? m->n_ctx_train : DEFAULT_CTX;
	s->seqs = o->seqs ? o->seqs : 1;
	s->windows = m->n_windows;
	s->flights = flights(pl->p->n_devices);	/* fewer, if some turn out to have no layers */
	s->kv_type = o->kv_type;
	if ((unsigned int)o->stream > ACCEL_STREAM_ALWAYS)
		return fail(-EINVAL, "%d is no way to keep weights in the host's memory", o->stream);
	if (s->ctx > MAX_CTX)
		return fail(-EINVAL, "a context of %u positions is above the limit of %u", s->ctx, MAX_CTX);
	if (s->seqs > MAX_SEQS)
		return fail(-EINVAL, "%u sequences at once are above the limit of %u", s->seqs, MAX_SEQS);
	err = check_kv_type(pl->p, o->kv_type);
	if (!err)
		err = check_places(pl);
	if (!err)
		err = choose_pages(pl->p, o);
	return err ? err : choose_slots(pl->p, o);
}

/* ---- the plan ---- */

static uint64_t layer_kv_bytes(const struct accel_plan *p, const struct layer *l)
{
	uint64_t sum = 0;

	for (enum keep k = 0; k < KEEP_COUNT; k++)
		sum += keep_bytes(l, k, &p->shape);
	return sum;
}

static void describe(struct accel_plan *p)
{
	for (uint32_t i = 0; i < p->m->n_layers; i++) {
		struct accel_layer *a = &p->layers[i];
		const struct layer *l = &p->m->layers[i];

		*a = (struct accel_layer) {
			.sz = sizeof(*a), .index = i, .block = l->block, .kind = l->kind->id, .device = -1,
			.weight_bytes = layer_weight_bytes(l), .kv_bytes = layer_kv_bytes(p, l),
			.experts = l->kind->id == ACCEL_LAYER_MOE ? l->moe.experts : 0,
		};
		list_types(l, a->types, sizeof(a->types));
		p->streams[i] = stream_layer_size(p->m, l, &p->shape, NULL);
	}
}

static int make(struct planner *pl, const struct accel_plan_opts *opts)
{
	struct accel_plan *p = pl->p;
	uint32_t n = p->m->n_layers;
	int err;

	p->layers = calloc(n, sizeof(*p->layers));
	p->streams = calloc(n, sizeof(*p->streams));
	p->device_bytes = calloc(p->n_devices + 1, sizeof(*p->device_bytes));
	pl->mine = calloc(n, sizeof(*pl->mine));
	pl->costs = calloc(n, sizeof(*pl->costs));
	pl->slower = calloc(n, sizeof(*pl->slower));
	p->devs = calloc(p->n_devices + 1, sizeof(*p->devs));
	if (!p->layers || !p->streams || !p->device_bytes || !p->devs || !pl->mine || !pl->costs || !pl->slower)
		return fail(-ENOMEM, "no memory for a plan");
	memcpy(p->devs, pl->read, p->n_devices * sizeof(*p->devs));
	err = read_opts(pl, opts);
	if (err)
		return err;
	describe(p);
	err = choose_batch(pl);
	if (!err)
		err = keep_budget(pl);
	if (!err)		/* as layers are now */
		err = cost_all(pl);
	if (!err)
		balance(pl);
	p->shape.flights = flights(count_used(p));
	for (uint32_t i = 0; i < p->n_devices && !err; i++)
		p->device_bytes[i] = bytes_on(pl, i, UINT32_MAX);
	return err;
}

int accel_plan_new(const struct accel_model *m, const struct accel_devinfo *const *devs, size_t n,
		   const struct accel_plan_opts *opts, struct accel_plan **out)
{
	struct planner pl = { .p = calloc(1, sizeof(*pl.p)) };
	int err = 0;

	*out = NULL;
	if (!pl.p)
		return fail(-ENOMEM, "no memory for a plan");
	pl.p->m = m;
	pl.p->n_devices = n;
	if (n > MAX_DEVICES)
		err = fail(-EINVAL, "a plan has at most %u processors, not %zu", MAX_DEVICES, n);
	for (size_t i = 0; i < n && !err; i++) {
		pl.devs[i] = &pl.read[i];
		err = opts_read(&pl.read[i], sizeof(pl.read[i]), devs[i], "a struct accel_devinfo");
		pl.read[i].name[sizeof(pl.read[i].name) - 1] = 0;	/* it is quoted */
	}
	if (!err)
		err = make(&pl, opts);
	free(pl.mine);
	free(pl.costs);
	free(pl.slower);
	if (err)
		accel_plan_free(pl.p);
	else
		*out = pl.p;
	return err;
}

void accel_plan_free(struct accel_plan *p)
{
	if (!p)
		return;
	free(p->layers);
	free(p->streams);
	free(p->device_bytes);
	free(p->devs);
	free(p);
}

int accel_plan_info(const struct accel_plan *p, struct accel_plan_info *info)
{
	struct host_memory host;
	struct accel_plan_info i = {
		.layers = p->m->n_layers, .devices = p->n_devices, .ctx = p->shape.ctx,
		.seqs = p->shape.seqs, .batch = p->shape.batch, .page = 1u << p->shape.page_log2,
		.pages = p->shape.pages, .kv_type = p->shape.kv_type,
	};

	host_memory_of(&host, p->m, &p->shape, p->layers);
	i.host_bytes = host.kv + host.work + host.far + host.weights;
	for (uint32_t k = 0; k < p->m->n_layers; k++)
		i.layers_on_device += p->layers[k].device >= 0;
	for (uint32_t k = 0; k < p->n_devices; k++)
		i.device_bytes += p->device_bytes[k];
	return opts_write(info, &i, sizeof(i), "plan information");
}

int accel_plan_layer(const struct accel_plan *p, uint32_t index, struct accel_layer *layer)
{
	if (index >= p->m->n_layers)
		return fail(-EINVAL, "there is no layer %u, the last is %u", index, p->m->n_layers - 1);
	return opts_write(layer, &p->layers[index], sizeof(*layer), "a layer");
}

uint64_t accel_plan_device_bytes(const struct accel_plan *p, uint32_t i)
{
	return i < p->n_devices ? p->device_bytes[i] : 0;
}

/* ---- for the engine ---- */

const struct accel_model *plan_model(const struct accel_plan *p)
{
	return p->m;
}

const struct shape *plan_shape(const struct accel_plan *p)
{
	return &p->shape;
}

const struct accel_devinfo *plan_device(const struct accel_plan *p, uint32_t i)
{
	return &p->devs[i];
}

uint32_t plan_devices(const struct accel_plan *p)
{
	return p->n_devices;
}

const uint32_t *plan_streams(const struct accel_plan *p)
{
	return p->streams;
}

const struct accel_layer *plan_layers(const struct accel_plan *p)
{
	return p->layers;
}

uint32_t plan_shrink(const struct accel_plan *p, struct accel_layer *layers, uint32_t device,
		     const char *name, uint64_t room)
{
	const uint32_t n = p->m->n_layers;
	uint32_t left = 0, next = n;
	struct footprint f;
	bool *mine = calloc(n, sizeof(*mine));

	for (uint32_t i = 0; i < n; i++) {
		if (layers[i].device != (int32_t)device)
			continue;
		if (mine)
			left += mine[i] = true;
		else
			decide(&layers[i], ACCEL_REASON_NO_MEMORY, "there was no memory to place it anew");
	}
	while (left) {
		uint32_t i;

		footprint_of(&f, p->m, &p->shape, mine, p->streams, layers, NULL, NULL);
		if (f.bytes <= room)
			break;
		/* a buffer may end behind the last of them */
		if (leave_experts(layers, n, device, name, f.slot ? (f.bytes - room + f.slot - 1) / f.slot : 0))
			continue;
		i = mine[0] ? 0 : --next;	/* the table first, then from the end */
		if (!mine[i])
			continue;
		mine[i] = false;
		left--;
		set_weights(p, &layers[i], ACCEL_WEIGHTS_CARD);
		decide(&layers[i], ACCEL_REASON_NO_MEMORY, "%s was fuller when it was loaded than when it was planned: %llu KiB were left",
		       name, (unsigned long long)room / 1024);
	}
	free(mine);
	return left;
}
