// SPDX-License-Identifier: MIT
#include "far.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* 2 ms of a bus of 32 GB/s. */
#define MOST_MOVED (64ull << 20)
#define VA_ALIGN (1ull << 30)

/* ---- memory ---- */

static int take(struct accel_dev *dev, uint64_t size, const char *label, struct accel_bo **bo, uint8_t **map)
{
	void *at;
	int err;

	if (!size)
		return 0;
	err = accel_bo_new(dev, size, ACCEL_BO_HOST, label, bo);
	if (!err)
		err = accel_bo_map(*bo, &at);
	if (!err)
		*map = at;
	return err;
}

static int place(struct far *far, struct accel_bo *bo, uint32_t flags, uint64_t *va)
{
	const uint64_t size = bo ? accel_bo_size(bo) : 0;
	int err = bo ? accel_vm_map(far->vm, bo, 0, *va, size, flags) : 0;

	if (!err)
		*va += (size + VA_ALIGN - 1) / VA_ALIGN * VA_ALIGN;
	return err;
}

static void relocate(struct far *far, const bool *mine)
{
	uint32_t streamed = 0;

	for (uint32_t i = 0; i < far->m->n_layers; i++) {
		struct layer_places *at = &far->layers[i];
		uint64_t base = far->va;

		if (!mine[i])
			continue;
		if (far->weights[i] == ACCEL_WEIGHTS_STREAM) {
			at->source += far->va;
			base = far->card.stage_va + streamed++ % 2 * far->stage;
		}
		for (int k = 0; k < LAYER_WEIGHTS; k++)
			if (far_has(far, i, k))
				at->w[k] += base;
		if (far->weights[i] == ACCEL_WEIGHTS_EXPERTS)
			at->chosen += far->chosen_va;
	}
}

/* ---- experts and their slots ---- */

static int make_experts(struct far *far, const bool *mine, const struct accel_layer *how, uint32_t slots)
{
	const uint32_t n = far->m->n_layers;
	uint32_t *counts = calloc(2ull * n, sizeof(*counts)), *first = counts + n, with = 0;

	for (uint32_t i = 0; i < n && counts; i++) {
		far->number[i] = -1;
		if (!mine[i] || how[i].weights != ACCEL_WEIGHTS_EXPERTS)
			continue;
		counts[with] = how[i].experts;
		first[with] = how[i].experts_on_card;
		far->number[i] = with++;
	}
	if (counts && with)
		far->experts = experts_new(counts, first, with, slots);
	free(counts);
	return !counts || (with && !far->experts) ? fail(-ENOMEM, "no memory for %u layers", n) : 0;
}

/* The layer of a number. */
static uint32_t layer_of(const struct far *far, uint32_t number)
{
	uint32_t i = 0;

	while (far->number[i] != number)
		i++;
	return i;
}

/* Its planes are what bo holds from offset on, one behind the other; or, with NULL, those in the host's memory. */
static int map_expert(struct far *far, uint32_t layer, uint32_t expert, struct accel_bo *bo, uint64_t offset)
{
	const struct layer_places *at = &far->layers[layer];
	int err = 0;

	for (int k = 0; k < LAYER_WEIGHTS && !err; k++) {
		const uint64_t va = at->w[k] + expert * at->plane[k];

		if (!far_has(far, layer, k))
			continue;
		err = accel_vm_map(far->vm, bo ? bo : far->bo, bo ? offset : va - far->va, va, at->plane[k],
				   ACCEL_MAP_READONLY);
		offset += at->plane[k];
	}
	return err;
}

/* Of its buffer. */
static uint64_t slot_at(const struct far *far, uint64_t slot)
{
	return far->card.slots_offset + slot * far->slot;
}

static int map_slots(struct far *far)
{
	int err = 0;

	for (uint32_t i = 0; i < far->m->n_layers && far->card.slots; i++) {
		if (far->number[i] < 0)
			continue;
		for (uint32_t k = 0; k < far->m->layers[i].moe.experts && !err; k++) {
			const int64_t slot = experts_slot(far->experts, far->number[i], k);

			if (slot >= 0)
				err = map_expert(far, i, k, far->card.slots, slot_at(far, slot));
		}
	}
	return err;
}

/* From the host's memory; the page behind a plane's end means nothing. */
static void copy_expert(struct far *far, uint32_t layer, uint32_t expert, uint32_t slot)
{
	const struct layer_places *at = &far->layers[layer];
	uint8_t *to = far->card.slots_map + slot * far->slot;

	for (int k = 0; k < LAYER_WEIGHTS; k++) {
		if (!far_has(far, layer, k))
			continue;
		memcpy(to, far->map + (at->w[k] - far->va) + expert * at->plane[k], at->plane[k]);
		to += at->plane[k];
	}
}

/* ---- beginning and end ---- */

int far_make(struct far *far, struct accel_dev *dev, struct accel_vm *vm, const struct accel_model *m,
	     const bool *mine, const struct accel_layer *how, const struct footprint *f,
	     const struct far_card *card, uint32_t flights, struct layer_places *layers, uint64_t *va)
{
	int err;

	*far = (struct far) {
		.m = m, .layers = layers, .vm = vm, .card = *card, .slot = f->slot, .stage = f->stage,
		.chosen_size = f->chosen, .most_moved = MOST_MOVED,
	};
	far->weights = calloc(m->n_layers, sizeof(*far->weights));
	far->number = calloc(m->n_layers, sizeof(*far->number));
	if (!far->weights || !far->number)
		return fail(-ENOMEM, "no memory for %u layers", m->n_layers);
	for (uint32_t i = 0; i < m->n_layers; i++)
		far->weights[i] = how[i].weights;
	err = take(dev, f->far, "weights in the host's memory", &far->bo, &far->map);
	if (!err)
		err = take(dev, f->chosen * flights, "experts that were chosen", &far->chosen, &far->chosen_map);
	far->va = *va;
	if (!err)
		err = place(far, far->bo, ACCEL_MAP_READONLY, va);
	far->chosen_va = *va;
	if (!err)
		err = place(far, far->chosen, 0, va);
	if (!err)
		err = make_experts(far, mine, how, f->slots);
	if (err)
		return err;
	relocate(far, mine);
	return map_slots(far);
}

void far_free(struct far *far)
{
	accel_bo_free(far->bo);
	accel_bo_free(far->chosen);
	experts_free(far->experts);
	free(far->weights);
	free(far->number);
}

/* ---- weights ---- */

static uint8_t *in_host(const struct far *far, uint32_t layer, int slot)
{
	const struct layer_places *at = &far->layers[layer];

	if (far->weights[layer] != ACCEL_WEIGHTS_STREAM)
		return far->map + (at->w[slot] - far->va);
	/* as it will lie on the card, in one of the two places */
	return far->map + (at->source - far->va) + (at->w[slot] - far->card.stage_va) % far->stage;
}

/* n bytes of one plane. */
static void put(struct far *far, uint32_t layer, int slot, uint32_t plane, uint64_t offset, const uint8_t *data,
		uint64_t n)
{
	const struct layer_places *at = &far->layers[layer];
	uint64_t before = 0;		/* of its other planes in a slot on the card */
	int64_t room;

	memcpy(in_host(far, layer, slot) + plane * at->plane[slot] + offset, data, n);
	if (far->number[layer] < 0)
		return;
	room = experts_slot(far->experts, far->number[layer], plane);
	if (room < 0)
		return;
	for (int k = 0; k < slot; k++)
		before += at->plane[k];
	memcpy(far->card.slots_map + room * far->slot + before + offset, data, n);
}

void far_put(struct far *far, uint32_t layer, int slot, uint64_t offset, const uint8_t *data, uint64_t n)
{
	const struct weight *w = &far->m->layers[layer].w[slot];
	/* planes with gaps between them, or all of it as it is */
	const uint64_t plane = far->layers[layer].plane[slot] ? w->rows * w->stride : w->size;

	while (n) {
		const uint64_t within = offset % plane, some = plane - within < n ? plane - within : n;

		put(far, layer, slot, offset / plane, within, data, some);
		offset += some;
		data += some;
		n -= some;
	}
}

/* ---- commands ---- */

static void copy(struct build *b, const struct layer_places *at, uint64_t to, uint64_t from, uint64_t end)
{
	if (from < end)
		RECORD(&b->r, COPY, copy, 0, .dst = to + from, .src = at->source + from, .size = end - from);
}

static bool is_streamed(const struct far *far, uint32_t i)
{
	return far->weights[i] == ACCEL_WEIGHTS_STREAM && far->layers[i].streamed;
}

/* Where its streamed weights come to lie. */
static uint64_t place_of(const struct far *far, uint32_t i)
{
	int k = 0;

	while (!far_has(far, i, k))	/* the first of them is at its beginning */
		k++;
	return far->layers[i].w[k];
}

/* Before layer i an equal part of what the next one takes: before each from the one that lies in the other place
 * on.  Bytes from .. end - 1 of that layer's; UINT32_MAX: none follows in the run. */
static uint32_t part_at(const struct far *far, uint32_t first, uint32_t end, uint32_t i, uint64_t part[2])
{
	uint32_t next = i + 1, before = i;

	while (next < end && !is_streamed(far, next))
		next++;
	if (next == end)
		return UINT32_MAX;
	while (before > first && !is_streamed(far, before))
		before--;
	for (uint32_t k = 0; k < 2; k++)
		part[k] = far->layers[next].streamed * (i + k - before) / (next - before);
	return next;
}

void far_record(const struct far *far, struct build *b, uint32_t first, uint32_t end, uint32_t i)
{
	uint64_t part[2];
	uint32_t next = part_at(far, first, end, i, part);

	if (i == first && is_streamed(far, i))
		copy(b, &far->layers[i], place_of(far, i), 0, far->layers[i].streamed);
	if (next != UINT32_MAX)
		copy(b, &far->layers[next], place_of(far, next), part[0], part[1]);
}

uint64_t far_copied(const struct far *far, uint32_t first, uint32_t end, uint32_t i)
{
	uint64_t part[2];
	const bool any = part_at(far, first, end, i, part) != UINT32_MAX;

	return (i == first && is_streamed(far, i) ? far->layers[i].streamed : 0) + (any ? part[1] - part[0] : 0);
}

/* Each flight has a part of its own of what the processor tells. */
void far_aim(struct far *far, uint32_t flight)
{
	for (uint32_t i = 0; i < far->m->n_layers && far->chosen; i++) {
		struct layer_places *at = &far->layers[i];

		if (far->weights[i] == ACCEL_WEIGHTS_EXPERTS && at->chosen)
			at->chosen = far->chosen_va + flight * far->chosen_size +
				     (at->chosen - far->chosen_va) % far->chosen_size;
	}
}

/* ---- steps ---- */

void far_count(struct far *far, uint32_t flight, uint32_t layer, uint32_t rows, struct layer_cost *cost)
{
	const uint32_t n = rows * far->m->layers[layer].moe.used;
	const uint8_t *chosen = far->chosen_map + flight * far->chosen_size;

	if (!far->experts || far->number[layer] < 0 || !n)
		return;
	cost->seen = experts_count(far->experts, far->number[layer],
				   (const int32_t *)(chosen + (far->layers[layer].chosen - far->chosen_va)),
				   n, rows, &cost->near);
}

int far_settle(struct far *far)
{
	uint32_t moves = far->experts ? experts_settle(far->experts) : 0;
	struct expert_move move;
	uint64_t copied = 0;
	int err = 0;

	for (; moves-- && !err && copied < far->most_moved && experts_move(far->experts, &move); copied += far->slot) {
		const uint32_t in = layer_of(far, move.in.layer);

		if (!move.vacant)
			err = map_expert(far, layer_of(far, move.out.layer), move.out.expert, NULL, 0);
		if (err) {		/* pages of it may still be those of the slot, which is then left as it is */
			experts_stay(far->experts, &move);
			break;
		}
		copy_expert(far, in, move.in.expert, move.slot);
		err = map_expert(far, in, move.in.expert, far->card.slots, slot_at(far, move.slot));
	}
	return err;
}
