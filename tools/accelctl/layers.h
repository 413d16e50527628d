/* SPDX-License-Identifier: MIT */
/*
 * --layers: which layers may run on which processor.
 *
 *   all | none | ITEM,ITEM,...      ITEM: [DEVICE:] A | A-B | A- | all | rest
 *
 * DEVICE holds for the items after it, too; without one it is the processor of --device.  "cpu" is the
 * CPU.  Layers that no item names stay on the CPU; "rest" names those that no other one does.
 */
#ifndef ACCELCTL_LAYERS_H
#define ACCELCTL_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct layer_span {
	char device[32];	/* "": the processor of --device */
	uint32_t first, last;	/* last UINT32_MAX: to the model's last */
	bool rest;
};

struct layers {
	struct layer_span *span;	/* malloc'd; none: nothing on a processor */
	size_t n;
};

/* Replaces *l.  -EINVAL: not understood, or a layer is named twice; -ENOMEM.  why: how a sentence goes
 * on that quotes the text. */
int layers_read(const char *text, struct layers *l, char *why, size_t len);
void layers_free(struct layers *l);

/* The span of each of the n layers: its index, or -1 for the CPU.  -EINVAL: one is beyond the model. */
int layers_of(const struct layers *l, uint32_t n, int *span, char *why, size_t len);

#endif
