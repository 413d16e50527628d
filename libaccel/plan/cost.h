/* SPDX-License-Identifier: MIT */
/* What a layer costs at the least: what must be moved once, and multiplied. */
#ifndef ACCEL_COST_H
#define ACCEL_COST_H

#include "record.h"

struct cost {
	uint64_t bytes;			/* of weights, and of keys and values attended to */
	uint64_t macs_int8, macs_f16, macs_f32;
};

/* Adds the cost of a layer for one step. */
void cost_add(struct cost *c, const struct accel_model *m, const struct shape *shape, uint32_t layer,
	      const struct step *st);
/* What is to be done, in int8 multiply-adds: others take whoever runs the model longer. */
uint64_t cost_work(const struct cost *c);
/* Cycles that a processor takes at the least. */
uint64_t cost_ceiling(const struct cost *c, const struct accel_devinfo *dev);
/* Work that one job may hold without being in danger of its queue's timeout. */
uint64_t cost_job_work(const struct accel_devinfo *dev);

#endif
