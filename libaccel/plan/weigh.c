// SPDX-License-Identifier: MIT
/* Is it worth it?  Layers go to a processor, and stay there, only if they are faster on it than on the CPU. */
#include "planner.h"

#include <string.h>

#include "error.h"
#include "worth.h"

static bool is_free(const struct planner *pl, uint32_t i)
{
	return pl->p->layers[i].device >= 0 && owner_of(pl->p->m, i) == i &&
	       (!pl->o.n_places || pl->o.places[i] == ACCEL_PLACE_ANY);
}

/* Of milliseconds, for about three digits. */
static int decimals(double s)
{
	return s < 1e-3 ? 4 : s < 1e-2 ? 2 : s < 1e-1 ? 1 : 0;
}

static void refuse_one(struct planner *pl, uint32_t i, double there, double here)
{
	struct accel_layer *a = &pl->p->layers[i];

	if (is_far(a))
		pl->slower[i] |= 1ull << a->device;
	decide(a, ACCEL_REASON_SLOWER, "a prompt of %u tokens and %u more take %.*f ms on %s at the least, %.*f ms on this CPU",
	       WORTH_PROMPT, WORTH_ANSWER, decimals(there), there * 1e3, pl->devs[a->device]->name,
	       decimals(here), here * 1e3);
}

/* A layer, and those that use its keys and values. */
static void refuse(struct planner *pl, uint32_t i, double there, double here)
{
	for (uint32_t k = i; k < pl->p->m->n_layers; k++)
		if (owner_of(pl->p->m, k) == i)
			refuse_one(pl, k, there, here);
}

/* Layers first .. end - 1 follow each other on one processor: is what they gain more than what going there
 * and back takes?  Returns how many were, or with look would be, refused. */
static uint32_t weigh_run(struct planner *pl, uint32_t first, uint32_t end, const struct cpu_speed *cpu,
			  bool look)
{
	const struct shape *shape = &pl->p->shape;
	const struct accel_devinfo *dev = pl->devs[pl->p->layers[first].device];
	double border = worth_of_border(pl->p->m->n_stream, shape, dev);
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
	const double border = worth_of_border(pl->p->m->n_stream, &pl->p->shape, pl->devs[l[i].device]);

	return (i && l[i - 1].device == l[i].device ? border : 0) +
	       (i + 1 < pl->p->m->n_layers && l[i + 1].device == l[i].device ? border : 0);
}

static uint32_t weigh(struct planner *pl, const struct cpu_speed *cpu, bool look)
{
	const struct shape *shape = &pl->p->shape;
	struct accel_layer *l = pl->p->layers;
	uint32_t n = pl->p->m->n_layers, refused = 0;

	for (uint32_t i = 0; i < n; i++) {
		double there = 0, here = 0;

		if (!is_free(pl, i))
			continue;
		for (uint32_t k = i; k < n; k++) {
			if (owner_of(pl->p->m, k) != i)
				continue;
			there += worth_on_device(&pl->costs[k], pl->p->m, shape, pl->devs[l[i].device]);
			here += worth_on_cpu(&pl->costs[k], pl->p->m, shape, cpu);
		}
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

int cost_all(struct planner *pl)
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
int weigh_all(struct planner *pl)
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
