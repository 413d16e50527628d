/* SPDX-License-Identifier: MIT */
/*
 * Weights that stay in the host's memory, and the room on the card for some of the experts among them.
 *
 * A processor reads the host's memory as it reads its own, so a layer's commands are the same wherever its
 * weights are; the address space decides.  An expert's planes are pages of their own, which are those in
 * the host's memory, or of a slot on the card into which they were copied: experts move between two steps,
 * and no command changes.
 *
 * What is needed in each step is copied to one of two places on the card: while the layer that lies in one is
 * computed, what the next one takes comes to the other.  Copies stand between the layers before it, a part each,
 * so the bus is busy all the time, and the commands that are in flight are not held up.
 */
#ifndef ACCEL_FAR_H
#define ACCEL_FAR_H

#include <accel/device.h>

#include "experts.h"
#include "plan/cost.h"
#include "plan/footprint.h"

/* What of it is on the card, which is the executor's. */
struct far_card {
	struct accel_bo *slots;		/* of experts, from this offset on */
	uint64_t slots_offset;
	uint8_t *slots_map;
	uint64_t stage_va;		/* where streamed weights are copied to */
};

struct far {
	const struct accel_model *m;
	struct layer_places *layers;	/* [n_layers], the executor's */
	enum accel_weights *weights;	/* [n_layers] */
	struct accel_vm *vm;
	struct accel_bo *bo, *chosen;	/* each NULL if there is nothing for it */
	uint8_t *map, *chosen_map;
	uint64_t va, chosen_va;
	uint64_t chosen_size;		/* of a flight's */
	struct far_card card;
	uint64_t slot, stage;		/* bytes of one */
	int64_t *number;		/* [n_layers]: among those that have some experts on the card; -1: others */
	struct experts *experts;	/* NULL: there are none */
	uint64_t most_moved;		/* bytes of them between two steps, or one: the next step waits for it */
};

/*
 * Takes the host's memory that f says and maps it from *va on, which is moved past it; layers[]: offsets become
 * addresses.  how[n_layers]: where weights are.  -ENOMEM, -EDQUOT.
 */
int far_make(struct far *far, struct accel_dev *dev, struct accel_vm *vm, const struct accel_model *m,
	     const bool *mine, const struct accel_layer *how, const struct footprint *f,
	     const struct far_card *card, uint32_t flights, struct layer_places *layers, uint64_t *va);
void far_free(struct far *far);
static inline bool far_has(const struct far *far, uint32_t layer, int slot)
{
	return footprint_is_far(&far->m->layers[layer], slot, far->weights[layer]);
}

/* n bytes of a weight, from offset on, are copied to where it lies. */
void far_put(struct far *far, uint32_t layer, int slot, uint64_t offset, const uint8_t *data, uint64_t n);
/* Records, before the commands of layer i of the run first .. end - 1, the copies that stand there. */
void far_record(const struct far *far, struct build *b, uint32_t first, uint32_t end, uint32_t i);
/* Bytes of those. */
uint64_t far_copied(const struct far *far, uint32_t first, uint32_t end, uint32_t i);
/* What is recorded next is of this flight; after far_make(), and at last again, of the first. */
void far_aim(struct far *far, uint32_t flight);
/* A pass of so many rows went through this layer, as this flight: which experts they chose is counted, and becomes part
 * of *cost. */
void far_count(struct far *far, uint32_t flight, uint32_t layer, uint32_t rows, struct layer_cost *cost);
/* Between two steps, while no job runs: experts that are used more come to the card. */
int far_settle(struct far *far);

#endif
