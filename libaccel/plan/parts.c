// SPDX-License-Identifier: MIT
#include "parts.h"

#include "plan.h"
#include "worth.h"

#define LEAST_ROWS 32u
/* A pass costs more than is foretold: it has to be worth that. */
#define GAIN 1.04

/* Are layers on several processors, and but for the first, which looks up embeddings, on no CPU? */
static bool on_several(const struct accel_model *m, const struct accel_layer *layers)
{
	bool several = false;

	for (uint32_t i = 1; i < m->n_layers; i++) {
		if (layers[i].device < 0)
			return false;
		several |= i > 1 && layers[i].device != layers[i - 1].device;
	}
	return several;
}

/* Seconds of n tokens in passes of so many rows: one goes through all processors, the others come out as fast as the
 * slowest of them computes its layers.  Logits, the last one's, are of few tokens, however many passes there are. */
static double seconds(const struct accel_plan *p, const struct accel_layer *layers, const struct layer_cost *costs,
		      uint64_t n, uint64_t pos, uint32_t rows)
{
	double all = 0, slowest = 0;

	for (uint32_t d = 0; d < plan_devices(p); d++) {
		double s = 0, bus = 0, one;

		for (uint32_t i = 1; i + 1 < plan_model(p)->n_layers; i++)
			if (layers[i].device == (int32_t)d) {
				s += worth_step_in_run(&costs[i], plan_model(p), rows, pos, plan_device(p, d), &one);
				bus += one;
			}
		s = bus > s ? bus : s;
		all += s;
		slowest = s > slowest ? s : slowest;
	}
	return all + slowest * ((n + rows - 1) / rows - 1);
}

uint32_t parts_rows(const struct accel_plan *p, const struct accel_layer *layers, const struct layer_cost *costs,
		    uint64_t n, uint64_t pos)
{
	uint32_t best = plan_shape(p)->batch;
	double least;

	if (plan_shape(p)->flights < 2)
		return best;		/* no pass goes on while another is under way */
	if (n < 2 * LEAST_ROWS || best < 2 * LEAST_ROWS || !on_several(plan_model(p), layers))
		return best;
	if (best > n)
		best = n;
	least = seconds(p, layers, costs, n, pos, best);
	for (uint32_t rows = best / 2; rows >= LEAST_ROWS; rows /= 2) {
		double s = seconds(p, layers, costs, n, pos, rows);

		if (s * GAIN > least)
			break;
		least = s;
		best = rows;
	}
	return best;
}
