/* SPDX-License-Identifier: MIT */
/* What an executor records around the layers that follow each other. */
#ifndef ACCEL_STREAM_H
#define ACCEL_STREAM_H

#include "model/layer.h"

void stream_begin(struct build *b, const struct accel_model *m, const struct shape *shape,
		  const struct places *at);
/* The arrays of a step, from where the process wrote them to b->at->step. */
void stream_stage(struct build *b, const struct arrays *from);
/* Rows of the residual stream from one place to another. */
void stream_border(struct build *b, uint32_t cols, uint64_t to, uint64_t from);
void stream_counters(struct build *b, uint64_t va);
/*
 * What a layer keeps of the positions of page *from becomes that of page *to; from, to: addresses
 * of one I32 each.  Nothing, if the layer keeps none.
 */
void stream_copy_page(struct build *b, const struct layer *l, const struct layer_places *own, uint64_t from,
		      uint64_t to);
/* Can pages of the layer be copied so?  Those that are larger than a row of a tensor cannot. */
bool stream_copies_pages(const struct layer *l, const struct shape *shape);
/* Bytes of all that, at both ends of the layers. */
size_t stream_around(void);

/* Bytes of a layer's commands; *ops gets the operations that it uses; may be NULL. */
/* The same of a part, and what it exchanges. */
size_t stream_part_size(const struct accel_model *m, const struct layer *l, const struct shape *shape,
			struct exchanged *exchanged);
size_t stream_layer_size(const struct accel_model *m, const struct layer *l, const struct shape *shape,
			 uint64_t *ops);

#endif
