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
#include "op/op.h"
#include "opts.h"
#include "stream.h"

OPTS_END(accel_devinfo, reserved);

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
		[ACCEL_REASON_TABLE] = "table",
		[ACCEL_REASON_SHARED] = "shared",
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

bool say_more(struct accel_layer *a, const char *fmt, ...)
{
	const size_t at = strlen(a->detail), room = sizeof(a->detail) - at;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(a->detail + at, room, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < room)
		return true;
	a->detail[at] = 0;
	return false;
}

/* False: the processor cannot run the layer, and *a says why. */
bool able(const struct planner *pl, const struct accel_devinfo *dev, struct accel_layer *a)
{
	const struct accel_plan *p = pl->p;
	const struct layer *l = &p->m->layers[a->index];
	uint64_t ops;

	if (layer_stays(l)) {
		decide(a, ACCEL_REASON_TABLE, "a step reads a few rows of its %llu KiB, which stay in the file",
		       (unsigned long long)a->weight_bytes / 1024);
		return false;
	}
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

/* And those that use its keys and values. */
static bool all_able(const struct planner *pl, const struct accel_devinfo *dev, struct accel_layer *a)
{
	const struct accel_plan *p = pl->p;

	if (!able(pl, dev, a))
		return false;
	for (uint32_t i = a->index + 1; i < p->m->n_layers; i++) {
		struct accel_layer with = p->layers[i];

		if (owner_of(p->m, i) != a->index || able(pl, dev, &with))
			continue;
		decide(a, with.reason, "layer %u shares its keys and values: %s", i, with.detail);
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

	for (uint32_t i = 0; i < p->m->n_layers; i++) {
		const uint32_t of = p->m->layers[i].state.of;

		/* There is room for those that have to follow. */
		pl->mine[i] = i == more || layer_on(&p->layers[i], device) || (of && pl->mine[of]);
	}
	footprint_of(&f, plan_view(p, device), &p->shape, pl->mine, p->streams, p->layers, NULL, NULL);
	return f.bytes;
}

static uint64_t bytes_of(const struct accel_layer *a)
{
	return a->weight_bytes - a->host_bytes + a->kv_bytes;
}

/* Of a layer and those that have to follow it. */
static uint64_t bytes_with(const struct accel_plan *p, const struct accel_layer *a)
{
	uint64_t sum = bytes_of(a);

	for (uint32_t i = a->index + 1; i < p->m->n_layers; i++)
		if (p->m->layers[i].state.of == a->index)
			sum += bytes_of(&p->layers[i]);
	return sum;
}

static bool fits(struct planner *pl, uint32_t device, struct accel_layer *a)
{
	const struct accel_devinfo *dev = pl->devs[device];
	const uint64_t room = room_on(pl, device);
	const uint64_t own = bytes_with(pl->p, a);
	uint64_t before, after;
	char limit[48] = "", rest[64] = "";

	if (!all_able(pl, dev, a))
		return false;
	if (is_limited(pl, device))
		snprintf(limit, sizeof(limit), " of the %llu that may be taken", (unsigned long long)room / 1024);
	after = bytes_on(pl, device, a->index);
	if (after > room) {
		before = bytes_on(pl, device, UINT32_MAX);
		if (after - before > own + own / 2)	/* the first there */
			snprintf(rest, sizeof(rest), " (%llu of it for %u tokens at once)",
				 (unsigned long long)(after - before - own) / 1024, pl->p->shape.batch);
		decide(a, ACCEL_REASON_NO_MEMORY, "needs %llu KiB of on-card memory%s, %llu KiB%s are left on %s",
		       (unsigned long long)(after - before + 1023) / 1024, rest,
		       (unsigned long long)(room > before ? room - before : 0) / 1024, limit, dev->name);
		return false;
	}
	decide(a, ACCEL_REASON_FITS, "%s can run it and has room", dev->name);
	a->device = device;
	return true;
}

bool is_far(const struct accel_layer *a)
{
	return a->weights != ACCEL_WEIGHTS_CARD;
}

void place(struct planner *pl, struct accel_layer *a, uint32_t from)
{
	uint32_t where = pl->o.n_places ? pl->o.places[a->index] : ACCEL_PLACE_ANY;
	uint32_t n = pl->p->n_devices, of = owner_of(pl->p->m, a->index);
	const int32_t with = pl->p->layers[of].device;

	if (of != a->index && with >= 0)
		fits(pl, with, a);
	else if (where == ACCEL_PLACE_CPU)
		decide(a, ACCEL_REASON_USER, "chosen by the user");
	else if (!n)
		decide(a, ACCEL_REASON_NO_DEVICE, "there is no processor");
	else if (of != a->index)
		decide(a, ACCEL_REASON_SHARED, SHARED_WITH, of);
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

bool lacks_room(const struct accel_plan *p)
{
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (p->layers[i].reason == ACCEL_REASON_NO_MEMORY)
			return true;
	return false;
}

uint32_t most_on(const struct accel_plan *p)
{
	return p->m->n_layers - layer_stays(&p->m->layers[0]);
}

/* A layer in the rest of a processor's memory is better than one on the CPU. */
uint32_t place_all(struct planner *pl)
{
	const struct accel_plan *p = pl->p;
	uint32_t on;

	if (p->n_devices > 1 && pl->o.stream != ACCEL_STREAM_ALWAYS && place_each(pl, true) == most_on(p))
		return most_on(p);
	on = place_each(pl, false);
	if (may_be_far(pl) && (pl->o.stream == ACCEL_STREAM_ALWAYS || lacks_room(p)))
		on = place_far(pl);
	return on;
}

/* ---- what may be taken of the host ---- */

static bool over_budget(const struct planner *pl, struct host_memory *h)
{
	host_memory_of(h, pl->p->m, &pl->p->shape, pl->p->layers);
	return pl->o.max_host_bytes && h->kv + h->work + h->far + h->weights > pl->o.max_host_bytes;
}

bool takes_too_much(const struct planner *pl)
{
	struct host_memory h;

	return over_budget(pl, &h);
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

/* Processors that have layers. */
static uint32_t count_used(const struct accel_plan *p)
{
	uint64_t seen = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->m->n_layers; i++) {
		const struct accel_layer *a = &p->layers[i];

		seen |= a->shared | (a->device < 0 ? 0 : 1ull << a->device);
	}
	for (; seen; seen &= seen - 1)
		n++;
	return n;
}

int plan_places(struct planner *pl)
{
	int err = choose_batch(pl);

	if (!err)
		err = keep_budget(pl);
	if (!err)		/* as layers are now */
		err = cost_all(pl);
	if (!err)
		balance(pl);
	if (!err)
		plan_together(pl->p->m, pl->p->layers);
	return err;
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
	err = plan_read_opts(pl, opts);
	if (err)
		return err;
	describe(p);
	err = choose_processors(pl);
	if (!err)
		err = plan_share(pl);
	p->shape.flights = p->shape.members ? 1 : plan_flights(count_used(p));
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
	free_views(p);
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
	i.host_free = host_memory_free();
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

uint64_t accel_plan_layer_bytes(const struct accel_plan *p, uint32_t index, uint32_t i)
{
	const struct accel_layer *a = index < p->m->n_layers ? &p->layers[index] : NULL;
	const struct layer *l;

	if (!a || i >= p->n_devices || !layer_on(a, i))
		return 0;
	l = &plan_view(p, i)->layers[index];
	return layer_weight_bytes(l) - a->host_bytes + layer_kv_bytes(p, l) +
	       (a->experts ? a->host_bytes / a->experts * a->experts_on_card : 0);
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

const struct accel_model *plan_view(const struct accel_plan *p, uint32_t i)
{
	return p->views ? p->views[i] : p->m;
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
		if (!layer_on(&layers[i], device))
			continue;
		if (mine) {
			left += mine[i] = true;
			continue;
		}
		layers[i].shared = 0;
		decide(&layers[i], ACCEL_REASON_NO_MEMORY, "there was no memory to place it anew");
	}
	while (left) {
		uint32_t i;

		footprint_of(&f, plan_view(p, device), &p->shape, mine, p->streams, layers, NULL, NULL);
		if (f.bytes <= room)
			break;
		/* a buffer may end behind the last of them */
		if (leave_experts(layers, n, device, name, f.slot ? (f.bytes - room + f.slot - 1) / f.slot : 0))
			continue;
		i = mine[0] ? 0 : --next;	/* the table first, then from the end */
		for (uint32_t k = 0; k < n; k++) {
			if (!mine[k] || owner_of(p->m, k) != owner_of(p->m, i))
				continue;
			mine[k] = false;
			left--;
			layers[k].shared = 0;
			set_weights(p, &layers[k], ACCEL_WEIGHTS_CARD);
			decide(&layers[k], ACCEL_REASON_NO_MEMORY, "%s was fuller when it was loaded than when it was planned: %llu KiB were left",
			       name, (unsigned long long)room / 1024);
		}
	}
	free(mine);
	return left;
}
