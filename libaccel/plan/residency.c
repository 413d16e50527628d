// SPDX-License-Identifier: MIT
/*
 * Where weights are of a model that has no room on the cards.
 *
 * What each token needs comes first: keys and values, activations, and the weights of layers of which every step
 * reads all; then, with what is left, those experts that are used most.  The rest stays in the host's memory,
 * where processors read it over the bus, as far as the host has room; then come the CPU and the file.
 */
#include "host.h"
#include "planner.h"

static const char *const names[] = {
	[ACCEL_WEIGHTS_CARD] = "card", [ACCEL_WEIGHTS_EXPERTS] = "experts", [ACCEL_WEIGHTS_HOST] = "host",
	[ACCEL_WEIGHTS_STREAM] = "stream",
};

const char *accel_weights_name(enum accel_weights weights)
{
	return (unsigned int)weights < sizeof(names) / sizeof(names[0]) ? names[weights] : "?";
}

void set_weights(const struct accel_plan *p, struct accel_layer *a, enum accel_weights weights)
{
	a->weights = weights;
	a->host_bytes = footprint_far_bytes(&p->m->layers[a->index], weights);
	a->experts_on_card = 0;
}

bool may_be_far(const struct planner *pl)
{
	return pl->p->n_devices && !pl->no_far && pl->o.stream != ACCEL_STREAM_NEVER;
}

/* ---- as little as can be on the cards ---- */

/* Also of those that then have to follow it. */
static void set_weights_with(struct planner *pl, const struct accel_layer *a, enum accel_weights weights)
{
	const struct accel_model *m = pl->p->m;

	for (uint32_t i = a->index; i < m->n_layers; i++)
		if (owner_of(m, i) == a->index || i == a->index)
			set_weights(pl->p, &pl->p->layers[i], weights);
}

/* With most of its weights in the host's memory; if there is room for no more, with all of them. */
static void place_least(struct planner *pl, struct accel_layer *a, uint32_t from)
{
	static const enum accel_weights ways[] = { ACCEL_WEIGHTS_EXPERTS, ACCEL_WEIGHTS_HOST };
	const struct layer *l = &pl->p->m->layers[a->index];

	for (int i = 0; i < 2 && a->device < 0; i++)
		if (footprint_far_bytes(l, ways[i])) {
			set_weights_with(pl, a, ways[i]);
			place(pl, a, from);
		}
	if (a->device >= 0)
		return;
	set_weights_with(pl, a, ACCEL_WEIGHTS_CARD);
	if (!pl->slower[a->index])
		place(pl, a, from);
}

static double whole(const struct planner *pl, const struct accel_layer *a)
{
	return layer_stays(&pl->p->m->layers[a->index]) ? 0 : (double)a->weight_bytes + a->kv_bytes;
}

/* Of what a processor has room for, its activations and tables take some. */
#define FILLED 0.97

/* What a processor gets of the model, of all that the processors get: as much as it has of all memory, so that most of
 * it has room; or what it has room for, and those of pl->rest, whose bus may be the fastest, the rest. */
static double part_of(const struct planner *pl, uint32_t device, double model)
{
	double rest = model, memory = 0;

	if (!pl->rest)
		return room_on(pl, device);
	if (!(pl->rest >> device & 1))
		return FILLED * room_on(pl, device);
	for (uint32_t d = 0; d < pl->p->n_devices; d++)
		if (pl->rest >> d & 1)
			memory += room_on(pl, d);
		else
			rest -= FILLED * room_on(pl, d);
	return rest > 0 && memory ? rest * (room_on(pl, device) / memory) : 0;
}

static void spread(struct planner *pl)
{
	struct accel_plan *p = pl->p;
	const uint32_t n = p->m->n_layers;
	double model = 0, memory = 0, given = 0, until = 0;
	uint32_t device = 0;

	for (uint32_t i = 0; i < n; i++)
		model += whole(pl, &p->layers[i]);
	for (uint32_t d = 0; d < p->n_devices; d++)
		memory += part_of(pl, d, model);
	until = part_of(pl, 0, model);
	for (uint32_t i = 0; i < n; i++) {
		struct accel_layer *a = &p->layers[i];

		while (device + 1 < p->n_devices && given * memory > until * model)
			until += part_of(pl, ++device, model);
		given += whole(pl, a);
		place_least(pl, a, pl->slower[i] ? 0 : device);
		if (a->device > (int32_t)device && !pl->slower[i])
			device = a->device;
	}
}

/* ---- what is left is used ---- */

/* Layers of this processor whose weights are like that are to have them like this. */
static void turn(struct planner *pl, uint32_t device, enum accel_weights from, enum accel_weights to)
{
	for (uint32_t i = 1; i < pl->p->m->n_layers; i++) {	/* of the first a step reads a few rows */
		struct accel_layer *a = &pl->p->layers[i];

		if (a->device == (int32_t)device && a->weights == from && a->kind != ACCEL_LAYER_MOE)
			set_weights(pl->p, a, to);
	}
}

/* What is copied in time is there when it is needed; there has to be room for two of the largest. */
static void stream(struct planner *pl, uint32_t device)
{
	if (!(pl->devs[device]->ops >> OCTANS_OP_COPY & 1))
		return;
	turn(pl, device, ACCEL_WEIGHTS_HOST, ACCEL_WEIGHTS_STREAM);
	if (bytes_on(pl, device, UINT32_MAX) > room_on(pl, device))
		turn(pl, device, ACCEL_WEIGHTS_STREAM, ACCEL_WEIGHTS_HOST);
}

static void bring(struct planner *pl, uint32_t i)
{
	struct accel_layer *a = &pl->p->layers[i];
	const enum accel_weights before = a->weights;

	if (a->device < 0 || before == ACCEL_WEIGHTS_CARD || before == ACCEL_WEIGHTS_EXPERTS)
		return;
	set_weights(pl->p, a, ACCEL_WEIGHTS_CARD);
	if (bytes_on(pl, a->device, UINT32_MAX) > room_on(pl, a->device))
		set_weights(pl->p, a, before);
}

static bool has_experts(const struct accel_layer *a, uint32_t device)
{
	return a->device == (int32_t)device && a->weights == ACCEL_WEIGHTS_EXPERTS;
}

/* So many, over all layers, as many of each layer as it has of all. */
static void share_experts(struct planner *pl, uint32_t device, uint64_t slots, uint64_t all)
{
	uint64_t seen = 0, given = 0;

	for (uint32_t i = 0; i < pl->p->m->n_layers; i++) {
		struct accel_layer *a = &pl->p->layers[i];

		if (!has_experts(a, device))
			continue;
		seen += a->experts;
		a->experts_on_card = slots * seen / all - given;
		given += a->experts_on_card;
	}
}

static void bring_experts(struct planner *pl, uint32_t device)
{
	const uint64_t before = bytes_on(pl, device, UINT32_MAX), room = room_on(pl, device);
	uint64_t slot = 0, all = 0, slots;

	for (uint32_t i = 0; i < pl->p->m->n_layers; i++) {
		const struct accel_layer *a = &pl->p->layers[i];
		uint64_t bytes;

		if (!has_experts(a, device))
			continue;
		bytes = footprint_expert_bytes(&pl->p->m->layers[i]);
		slot = bytes > slot ? bytes : slot;
		all += a->experts;
	}
	if (!slot)
		return;
	slots = room > before ? (room - before) / slot : 0;
	if (slots > all)
		slots = all;
	do {				/* a buffer may end behind the last of them */
		share_experts(pl, device, slots, all);
	} while (slots-- && bytes_on(pl, device, UINT32_MAX) > room);
}

/* No divisor but 1 in common. */
static bool are_coprime(uint32_t a, uint32_t b)
{
	while (b) {
		const uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a == 1;
}

/*
 * The largest is the last; of the others by a golden section of them, so that those that are left lie evenly
 * between those that are brought, and are copied while these are computed.
 */
static void bring_dense(struct planner *pl)
{
	const uint32_t n = pl->p->m->n_layers - 2;
	uint32_t step = n * 0.618 + 1;

	bring(pl, n + 1);
	while (n && !are_coprime(step, n))
		step++;
	for (uint32_t k = 0; k < n; k++)
		bring(pl, 1 + (uint64_t)k * step % n);
	bring(pl, 0);
}

static void bring_all(struct planner *pl)
{
	const struct accel_plan *p = pl->p;

	if (pl->o.stream != ACCEL_STREAM_ALWAYS)
		bring_dense(pl);
	for (uint32_t d = 0; d < p->n_devices; d++)
		bring_experts(pl, d);
}

/* ---- as far as the host has memory ---- */

static uint64_t far_bytes(const struct planner *pl)
{
	uint64_t sum = 0;

	for (uint32_t d = 0; d < pl->p->n_devices; d++)
		sum += footprint_host(pl->p->m, &pl->p->shape, pl->p->layers, d);
	return sum;
}

/* Bytes of the host's memory that weights may take; a processor of which only time is modelled copies none. */
static uint64_t far_limit(const struct planner *pl)
{
	struct host_memory h;

	if (pl->o.max_host_bytes) {
		host_memory_of(&h, pl->p->m, &pl->p->shape, pl->p->layers);
		h.work += h.kv + h.weights;
		return pl->o.max_host_bytes > h.work ? pl->o.max_host_bytes - h.work : 0;
	}
	for (uint32_t d = 0; d < pl->p->n_devices; d++)
		if (!pl->devs[d]->timing_only)
			return host_memory_free() / 8 * 7;
	return UINT64_MAX;
}

/* Experts of whom there is a copy on the card are in the host's memory, too: as a whole they are not. */
static bool keep_one(struct planner *pl)
{
	struct accel_plan *p = pl->p;

	for (uint32_t i = 0; i < p->m->n_layers; i++)
		p->layers[i].experts_on_card = 0;
	for (uint32_t i = 0; i < p->m->n_layers; i++) {
		struct accel_layer *a = &p->layers[i];

		if (a->device < 0 || a->weights != ACCEL_WEIGHTS_EXPERTS)
			continue;
		set_weights(p, a, ACCEL_WEIGHTS_CARD);
		if (bytes_on(pl, a->device, UINT32_MAX) <= room_on(pl, a->device))
			return true;
		set_weights(p, a, ACCEL_WEIGHTS_EXPERTS);
	}
	return false;
}

/* And those that use its keys and values. */
static void leave(struct planner *pl, uint32_t owner, uint64_t limit)
{
	for (uint32_t i = owner; i < pl->p->m->n_layers; i++) {
		struct accel_layer *a = &pl->p->layers[i];

		if (owner_of(pl->p->m, i) != owner)
			continue;
		decide(a, ACCEL_REASON_NO_MEMORY, "on-card memory is full, and of the host's its weights would take %llu KiB, of %llu that all may take",
		       (unsigned long long)a->host_bytes / 1024, (unsigned long long)limit / 1024);
		set_weights(pl->p, a, ACCEL_WEIGHTS_CARD);
	}
}

/* The largest that has weights there goes to the CPU, and what it leaves on the card is used. */
static void leave_one(struct planner *pl, uint64_t limit)
{
	struct accel_plan *p = pl->p;
	uint64_t most = 0;

	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (p->layers[i].device >= 0 && p->layers[i].host_bytes > most)
			most = p->layers[i].host_bytes;
	for (uint32_t i = p->m->n_layers; i--;) {
		struct accel_layer *a = &p->layers[i];

		if (a->device < 0 || a->host_bytes < most)
			continue;
		leave(pl, owner_of(p->m, i), limit);
		break;
	}
}

/* ---- all together ---- */

static void explain(struct accel_layer *a, const char *name)
{
	const int32_t device = a->device;

	if (a->weights == ACCEL_WEIGHTS_CARD)
		return;
	if (a->weights == ACCEL_WEIGHTS_EXPERTS)
		decide(a, ACCEL_REASON_FITS, "%s can run it; %u of its %u experts have room there, those that are used most, the others it reads in the host's memory",
		       name, a->experts_on_card, a->experts);
	else if (a->weights == ACCEL_WEIGHTS_STREAM)
		decide(a, ACCEL_REASON_FITS, "%s can run it; %llu KiB of its weights are in the host's memory, and are copied there in time for it",
		       name, (unsigned long long)(a->host_bytes + 1023) / 1024);
	else
		decide(a, ACCEL_REASON_FITS, "%s can run it, and reads %llu KiB of its weights in the host's memory",
		       name, (unsigned long long)(a->host_bytes + 1023) / 1024);
	a->device = device;
}

uint32_t place_far(struct planner *pl)
{
	struct accel_plan *p = pl->p;
	uint32_t on = 0;
	uint64_t limit;

	for (uint32_t i = 0; i < p->m->n_layers; i++) {
		p->layers[i].device = -1;
		set_weights(p, &p->layers[i], ACCEL_WEIGHTS_CARD);
	}
	spread(pl);
	for (uint32_t d = 0; d < p->n_devices; d++)
		stream(pl, d);
	bring_all(pl);
	limit = far_limit(pl);
	while (far_bytes(pl) > limit) {
		if (!keep_one(pl))
			leave_one(pl, limit);
		bring_all(pl);
	}
	for (uint32_t d = 0; d < p->n_devices; d++)
		stream(pl, d);		/* what is left may be smaller */
	for (uint32_t i = 0; i < p->m->n_layers; i++) {
		if (p->layers[i].device < 0)
			continue;
		explain(&p->layers[i], pl->devs[p->layers[i].device]->name);
		on++;
	}
	return on;
}

bool leave_experts(struct accel_layer *layers, uint32_t n, uint32_t device, const char *name, uint64_t fewer)
{
	uint64_t all = 0, seen = 0, left, given = 0;

	for (uint32_t i = 0; i < n; i++)
		all += has_experts(&layers[i], device) ? layers[i].experts_on_card : 0;
	left = all > fewer ? all - fewer : 0;
	for (uint32_t i = 0; i < n && all; i++) {
		if (!has_experts(&layers[i], device))
			continue;
		seen += layers[i].experts_on_card;
		layers[i].experts_on_card = left * seen / all - given;
		given += layers[i].experts_on_card;
		explain(&layers[i], name);
	}
	return all;
}
