/* SPDX-License-Identifier: MIT */
/* What a session takes of on-card memory, to the byte: the planner counts, the executor places. */
#ifndef ACCEL_FOOTPRINT_H
#define ACCEL_FOOTPRINT_H

#include "record.h"

/* Bytes of each of the buffers on the card. */
struct footprint {
	uint64_t weights;		/* and the table of cosines and sines; read only */
	uint64_t kv;
	uint64_t work;			/* activations, arrays of the step */
	uint64_t stream;		/* commands; read only */
	int64_t newest;			/* layer, -2 = none */
	const void *table;		/* tied weights are there once: data of the EMBED layer ... */
	uint64_t table_at;		/* ... and where it lies */
};

/* at: filled with offsets in the buffers; or NULL. */
void footprint_begin(struct footprint *f, const struct accel_model *m, const struct shape *shape,
		     struct places *at);
/* Adds a layer, in ascending order.  at: as above.  Returns the bytes of weights that are new. */
uint64_t footprint_add(struct footprint *f, const struct accel_model *m, const struct shape *shape,
		       uint32_t layer, struct layer_places *at);
/* Bytes of a buffer that holds size bytes: whole pages, large ones if it fills some. */
uint64_t footprint_buffer(uint64_t size);
uint64_t footprint_bytes(const struct footprint *f);

#endif
