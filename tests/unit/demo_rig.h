/* SPDX-License-Identifier: MIT */
/* Engines of the model that is shipped, for tests that ask where its layers are. */
#ifndef DEMO_RIG_H
#define DEMO_RIG_H

#include <accel/device.h>
#include <accel/engine.h>

#include "engine_rig.h"
#include "op/speed.h"

#define MODEL "models/octans-demo.gguf"

static struct accel_model *model;
static struct accel_model_info mi = { .sz = sizeof(mi) };

/* In place of libaccel's: what is worth a processor would differ from machine to machine. */
int cpu_speed(struct cpu_speed *speed)
{
	*speed = (struct cpu_speed) { 20e9, 100e9, 40e9, 40e9 };
	return 0;
}

/* spec NULL: the CPU. */
static inline struct rig make(const char *spec, struct accel_plan_opts po)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .strict = true };

	return rig_new(model, spec, po, &o);
}

/* Layers first .. last may go to the processor. */
static inline const uint32_t *only(uint32_t first, uint32_t last)
{
	static uint32_t places[64];

	for (uint32_t i = 0; i < 64; i++)
		places[i] = i >= first && i <= last ? ACCEL_PLACE_ANY : ACCEL_PLACE_CPU;
	return places;
}

static inline uint64_t memory_used(struct accel_dev *dev)
{
	struct accel_devinfo info = { .sz = sizeof(info) };

	return accel_dev_info(dev, &info) ? UINT64_MAX : info.memory_used;
}

/* All layers are to be on the processor, also where that is slower. */
static inline struct accel_plan_opts to_card(struct accel_plan_opts po)
{
	static uint32_t places[64];

	for (uint32_t i = 0; i < 64; i++)
		places[i] = ACCEL_PLACE_DEVICE(0);
	po.places = places;
	po.n_places = mi.n_layers;
	return po;
}

/* False: it is not there. */
static inline bool demo_load(void)
{
	return ok(!accel_model_load(MODEL, &model), "%s", MODEL) && !accel_model_info(model, &mi);
}

#endif
