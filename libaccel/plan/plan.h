/* SPDX-License-Identifier: MIT */
#ifndef ACCEL_PLAN_INTERNAL_H
#define ACCEL_PLAN_INTERNAL_H

#include <accel/model.h>

#include "plan/record.h"

bool plan_is_of(const struct accel_plan *plan, const struct accel_model *model);
const struct shape *plan_shape(const struct accel_plan *plan);
bool plan_on_device(const struct accel_plan *plan, uint32_t layer);

#endif
