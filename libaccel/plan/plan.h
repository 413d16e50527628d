/* SPDX-License-Identifier: MIT */
#ifndef ACCEL_PLAN_H
#define ACCEL_PLAN_H

#include "footprint.h"

const struct accel_model *plan_model(const struct accel_plan *plan);
const struct shape *plan_shape(const struct accel_plan *plan);
uint32_t plan_devices(const struct accel_plan *plan);
/* What was said of processor i < plan_devices(). */
const struct accel_devinfo *plan_device(const struct accel_plan *plan, uint32_t i);
/* [n_layers]: stream_layer_size() of each. */
const uint32_t *plan_streams(const struct accel_plan *plan);
/* The model as processor i < plan_devices() has it: layers that it shares are parts. */
const struct accel_model *plan_view(const struct accel_plan *plan, uint32_t i);
/* [n_layers], as placed. */
const struct accel_layer *plan_layers(const struct accel_plan *plan);
/*
 * A card has less room than was planned: takes layers of that processor, and with them other processors' parts
 * of them, off layers[n_layers] until what is left has room bytes, or until there is none.  Returns how many are left.
 */
uint32_t plan_shrink(const struct accel_plan *plan, struct accel_layer *layers, uint32_t device,
		     const char *name, uint64_t room);

/* Of layers that share keys and values, which cannot be apart, all are on the CPU if some are. */
void plan_together(const struct accel_model *m, struct accel_layer *layers);

#endif
