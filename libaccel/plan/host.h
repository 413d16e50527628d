/* SPDX-License-Identifier: MIT */
/* What an engine takes in memory of the host, beside the weights that are used where they lie in the file. */
#ifndef ACCEL_PLAN_HOST_H
#define ACCEL_PLAN_HOST_H

#include "model/layer.h"

struct host_memory {
	uint64_t kv;			/* keys, values and states of layers on the CPU */
	uint64_t work;			/* activations, results, arrays of steps, tables */
	uint64_t far;			/* weights that processors read there */
	uint64_t weights;		/* that the file has otherwise: the model's, since it was loaded */
};

/* devices: the index of each layer's, [n_layers], -1 = on the CPU.  What each thread of the CPU takes for
 * itself, some tens of KiB, is not in it: how many there are is not planned. */
void host_memory_of(struct host_memory *h, const struct accel_model *m, const struct shape *shape,
		    const struct accel_layer *layers);

/* Bytes of this machine's memory that can be had without taking them from somebody; 0: it does not say. */
uint64_t host_memory_free(void);

#endif
