// SPDX-License-Identifier: MIT
/*
 * Layers that share keys and values: one keeps them, others, behind it, attend to them as well.  They are in the
 * memory of one processor, or of the host, and so all of these layers are there.
 */
#include "planner.h"

uint32_t owner_of(const struct accel_model *m, uint32_t i)
{
	return m->layers[i].state.of ? m->layers[i].state.of : i;
}

void plan_together(const struct accel_model *m, struct accel_layer *layers)
{
	for (uint32_t i = 0; i < m->n_layers; i++) {
		const uint32_t of = owner_of(m, i), on_cpu = layers[of].device < 0 ? of : i;

		if (layers[i].device == layers[of].device)
			continue;
		for (uint32_t k = of; k < m->n_layers; k++) {
			if (owner_of(m, k) != of || layers[k].device < 0)
				continue;
			layers[k].weights = ACCEL_WEIGHTS_CARD;
			layers[k].host_bytes = 0;
			decide(&layers[k], ACCEL_REASON_SHARED, SHARED_WITH, on_cpu);
		}
	}
}
