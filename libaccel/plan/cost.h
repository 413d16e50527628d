/* SPDX-License-Identifier: MIT */
/* What a layer costs at the least: what must be moved once, and multiplied. */
#ifndef ACCEL_COST_H
#define ACCEL_COST_H

#include "model/layer.h"
#include "op/op.h"

/* Which positions rows attend to: all up to their own, those of arrays.ranges 1, 2 .., or those of a list. */
enum { REACH_ALL, REACH_LIST = 1 + MODEL_WINDOWS, REACHES };
/* Choices of a layer among planes that each row takes some of */
#define CHOICES 2

/* Of a layer, for each of what a step may have several of. */
struct layer_cost {
	struct op_work once, row, seq, out, pair[REACHES], position[REACHES];
	struct choice {
		struct op_work plane;	/* of so many of which each row takes some: */
		uint32_t planes, taken;
	} choice[CHOICES];
	uint32_t attends;		/* a row, to so many positions at the most */
	uint32_t seen;			/* planes of those that may be far that were taken; 0: it is not known */
	uint32_t near;			/* of those, or of all, on the card, where the others are far */
	bool copied;			/* what is far is copied to the card */
	struct exchanged exchanged;	/* if it is a part */
	uint32_t members;
};

/* What a step has. */
struct load {
	uint32_t rows;			/* tokens ... */
	uint32_t seqs;			/* ... of so many sequences */
	uint32_t out;			/* of how many of them logits are computed */
	uint64_t pairs[REACHES];	/* of tokens and positions that they attend to */
	uint64_t positions[REACHES];	/* that are attended to at the least, of all sequences */
};

/* Adds n tokens of a sequence, from its position pos on. */
void load_add(struct load *load, const struct accel_model *m, uint64_t pos, uint32_t n);

/* how: where its weights are.  -ENOMEM. */
int cost_layer(struct layer_cost *c, const struct accel_model *m, const struct layer *l,
	       const struct shape *shape, const struct accel_layer *how);
/* Adds the cost of a layer for one step. */
void cost_add(struct op_work *sum, const struct layer_cost *c, const struct load *load);
/* What is to be done, in int8 multiply-adds: others take whoever runs the model longer. */
uint64_t cost_work(const struct op_work *w);
/* The same of bytes that are read over the bus. */
uint64_t cost_bus_work(uint64_t bytes, const struct accel_devinfo *dev);
/* Cycles that a processor takes at the least. */
uint64_t cost_ceiling(const struct op_work *w, const struct accel_devinfo *dev);
/* Work that one job may hold without being in danger of its queue's timeout. */
uint64_t cost_job_work(const struct accel_devinfo *dev);

#endif
