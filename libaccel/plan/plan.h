/* SPDX-License-Identifier: MIT */
#ifndef ACCEL_PLAN_INTERNAL_H
#define ACCEL_PLAN_INTERNAL_H

#include <accel/model.h>

uint32_t plan_batch(const struct accel_plan *plan);
bool plan_on_device(const struct accel_plan *plan, uint32_t layer);

#endif
