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
	uint64_t slot, slots;		/* bytes that the largest expert takes, and how many of those there is room for */
	uint64_t stage, stages;		/* bytes of the largest layer that is streamed, and how many have room at once */
	uint64_t bytes;			/* all of them as buffers: 0 if there are no layers */
	/* In the host's memory: */
	uint64_t far;			/* weights that the processor reads there */
	uint64_t chosen;		/* experts of each row, of layers that have some of them on the card */
};

/* Has this processor the layer, or a part of it? */
static inline bool layer_on(const struct accel_layer *a, uint32_t device)
{
	return a->device == (int32_t)device || (device < 64 && a->shared >> device & 1);
}

/* May commands of one layer follow those of the other, without a word in between? */
static inline bool layers_join(const struct accel_layer *a, const struct accel_layer *b)
{
	return a->device == b->device && a->shared == b->shared;
}

/* Are weights of this slot in the host's memory, if the layer's are as is said? */
bool footprint_is_far(const struct layer *l, int slot, enum accel_weights weights);
/* Bytes of those, and of all that one of a layer's experts has. */
uint64_t footprint_far_bytes(const struct layer *l, enum accel_weights weights);
uint64_t footprint_expert_bytes(const struct layer *l);
/* Are the embeddings, and the rows that logits are made with, the same and in the same memory? */
bool footprint_is_tied(const struct accel_model *m, const struct accel_layer *how);

/*
 * Of the layers for which mine[] says so.  stream[n_layers]: stream_layer_size() of each; how[n_layers]: where
 * weights are.  at, layers[n_layers]: filled with offsets in the buffers; both may be NULL.
 */
void footprint_of(struct footprint *f, const struct accel_model *m, const struct shape *shape,
		  const bool *mine, const uint32_t *stream, const struct accel_layer *how, struct places *at,
		  struct layer_places *layers);
/* Bytes of the host's memory that processor takes for weights of its layers: as they are in how[n_layers]. */
uint64_t footprint_host(const struct accel_model *m, const struct shape *shape, const struct accel_layer *how,
			uint32_t device);
/* Bytes of a buffer that holds size bytes: whole pages, large ones if it fills some. */
uint64_t footprint_buffer(uint64_t size);

#endif
