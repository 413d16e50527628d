/* SPDX-License-Identifier: MIT */
/* Where layers run, and what that takes. */
#ifndef ACCELCTL_PLACEMENT_H
#define ACCELCTL_PLACEMENT_H

#include "compute.h"

/* Where a layer runs, or, before compute_begin(), is planned to run. */
struct accel_layer layer_now(const struct running *r, uint32_t index);
/* The processor's name, "cpu" for -1. */
const char *device_name(const struct running *r, int32_t device);
/* The same of all that have the layer, with + between. */
const char *layer_devices(const struct running *r, const struct accel_layer *l, char *text, size_t len);
/* On-card bytes of a processor that belong to no layer. */
uint64_t scratch_bytes(const struct running *r, uint32_t device);

/* Says so when a context was asked for that the model was not trained for, and when the host's memory is too small. */
void warn_limits(const struct options *o, const struct running *r);

json_t *layers_json(const struct running *r);
/* What a plan holds beside the layers: processors, their memory, context, batch. */
json_t *placement_json(const struct running *r);

#endif
