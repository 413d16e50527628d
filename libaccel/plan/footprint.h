/* SPDX-License-Identifier: MIT */
/* What an engine takes of a card's memory, to the byte: the planner counts, the executor places. */
#ifndef ACCEL_FOOTPRINT_H
#define ACCEL_FOOTPRINT_H

#include "model/layer.h"

/* Bytes of each of the buffers on the card. */
struct footprint {
	uint64_t weights;		/* and tables of cosines and sines; read only */
	uint64_t kv;
	uint64_t work;			/* activations, arrays of the step */
	uint64_t stream;		/* commands; read only */
	uint64_t bytes;			/* all of them as buffers: 0 if there are no layers */
};

/*
 * Of the layers for which mine[] says so.  stream[n_layers]: stream_layer_size() of each.
 * at, layers[n_layers]: filled with offsets in the buffers; both may be NULL.
 */
void footprint_of(struct footprint *f, const struct accel_model *m, const struct shape *shape,
		  const bool *mine, const uint32_t *stream, struct places *at,
		  struct layer_places *layers);
/* Bytes of a buffer that holds size bytes: whole pages, large ones if it fills some. */
uint64_t footprint_buffer(uint64_t size);

#endif
