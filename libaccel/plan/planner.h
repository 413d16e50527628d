/* SPDX-License-Identifier: MIT */
/* Inside the planner. */
#ifndef ACCEL_PLANNER_H
#define ACCEL_PLANNER_H

#include "cost.h"
#include "plan.h"

#define MAX_DEVICES 64u

struct accel_plan {
	const struct accel_model *m;
	struct shape shape;
	uint32_t n_devices;
	uint64_t *device_bytes;		/* [n_devices] */
	uint32_t *streams;		/* [m->n_layers] */
	struct accel_layer *layers;	/* [m->n_layers] */
	struct accel_devinfo *devs;	/* [n_devices] */
	struct accel_model **views;	/* [n_devices]: plan_view(), with parts of layers; NULL: none are shared */
};

/* share.c: frees p->views. */
void free_views(struct accel_plan *p);

/* What is being planned. */
struct planner {
	struct accel_plan *p;
	struct accel_plan_opts o;
	struct accel_devinfo read[MAX_DEVICES];		/* what the caller passed, as it is here */
	const struct accel_devinfo *devs[MAX_DEVICES];
	bool *mine;			/* [n_layers]: of the device that is looked at */
	struct layer_cost *costs;	/* [n_layers] */
	uint64_t *slower;		/* [n_layers], a bit each: processors that are slower than the CPU, as they would
					 * read its weights in the host's memory */
	uint64_t rest;			/* processors that have what the others have no room for; 0: each has of it what it
					 * has of all memory */
	bool no_far;			/* all weights are on cards, or layers on the CPU */
};

/* The layer is on the CPU, or, if the caller then says so, on a processor; and why. */
void decide(struct accel_layer *a, enum accel_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* And more of why.  False: there is no room for all of it, so nothing is said. */
bool say_more(struct accel_layer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Bytes on a device of the layers that it has, and of one more, unless that is UINT32_MAX; and of those that share
 * keys and values with them. */
uint64_t bytes_on(struct planner *pl, uint32_t device, uint32_t more);
/* Bytes that there may be. */
uint64_t room_on(const struct planner *pl, uint32_t device);
/* Puts a layer, with its weights where it says, on the first processor from that one on that may have it. */
void place(struct planner *pl, struct accel_layer *a, uint32_t from);

/* Are weights of it, wherever it is, in the host's memory for a processor? */
bool is_far(const struct accel_layer *a);
/* Layers that could be on a processor are not for want of room. */
bool lacks_room(const struct accel_plan *p);
/* How many can be on processors, if these have room. */
uint32_t most_on(const struct accel_plan *p);
/* All layers, as steps are now.  Returns how many are on processors. */
uint32_t place_all(struct planner *pl);

/* plan_opts.c: -errno, with a sentence. */
int plan_read_opts(struct planner *pl, const struct accel_plan_opts *opts);
/* Passes under way at once on so many processors: one for each, and one for the CPU, or that begins while results of
 * another are taken. */
uint32_t plan_flights(uint32_t n);

/* shared.c: the layer whose keys and values this one uses: itself, if no other's. */
uint32_t owner_of(const struct accel_model *m, uint32_t layer);
#define SHARED_WITH "it shares keys and values with layer %u, which is on the CPU"

/* weigh.c: what layers cost as they are placed now, -ENOMEM; those that the CPU is faster at are its, -errno. */
int cost_all(struct planner *pl);
int weigh_all(struct planner *pl);

/* batch.c: places layers with as many tokens at once as do best, -errno; and sets how many there are. */
int choose_batch(struct planner *pl);
void set_batch(struct accel_plan *p, uint32_t batch);

/* plan.c: where layers are, on the processors that there are now. */
int plan_places(struct planner *pl);
/* choice.c: the same, on those that are worth it. */
int choose_processors(struct planner *pl);
/* Can a processor run it?  If not, *a says why. */
bool able(const struct planner *pl, const struct accel_devinfo *dev, struct accel_layer *a);
/* More of the host's memory would be taken than may be. */
bool takes_too_much(const struct planner *pl);
/* share.c: layers may come to be shared by several processors.  -ENOMEM. */
int plan_share(struct planner *pl);
/* balance.c: seconds of a prompt and an answer to it; negative: it cannot be told. */
double plan_takes(const struct accel_plan *p);

/* balance.c: of one that has room, over several processors: some layers may change places. */
void balance(struct planner *pl);

/* residency.c: of a model that has no room as a whole.  Returns how many layers are on processors. */
uint32_t place_far(struct planner *pl);
bool may_be_far(const struct planner *pl);
void set_weights(const struct accel_plan *p, struct accel_layer *a, enum accel_weights weights);
/* Layers of this processor, which has this name, have so many experts fewer on it.  False: there are none. */
bool leave_experts(struct accel_layer *layers, uint32_t n, uint32_t device, const char *name, uint64_t fewer);

#endif
