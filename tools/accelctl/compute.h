/* SPDX-License-Identifier: MIT */
/*
 * Model, processors, plan, engine and one sequence: all that a command needs to compute.  What the commands
 * know of the library's way to compute is here.
 */
#ifndef ACCELCTL_COMPUTE_H
#define ACCELCTL_COMPUTE_H

#include <stdbool.h>

#include <accel/engine.h>
#include <accel/model.h>

#include "accelctl.h"

#define MAX_DEVICES 16

struct running {
	const struct options *o;	/* outlives it */
	struct accel_model *model;
	struct accel_model_info model_info;
	size_t n_devs;			/* 0: nothing on a processor */
	struct accel_dev *devs[MAX_DEVICES];
	struct accel_devinfo infos[MAX_DEVICES];
	struct accel_plan *plan;
	struct accel_plan_info plan_info;
	struct accel_engine *engine;
	struct accel_seq *seq;
	struct accel_step *step;	/* the newest: its results may be looked at */
};

/*
 * The steps, in this order, so that nothing is read or copied before what is cheaper was checked.  Each
 * returns an exit code; compute_end() takes what there is.
 *
 * compute_model() opens and checks the file and --layers; compute_plan() opens the processors, of which
 * timing is whether one will do that computes nothing, and places the layers; compute_begin()
 * copies weights.
 */
int compute_model(const struct options *o, struct running *r);
int compute_plan(const struct options *o, bool timing, struct running *r);
int compute_begin(const struct options *o, struct running *r);
void compute_end(struct running *r);

/*
 * Appends tokens to the sequence and computes what is wanted of them (top: of WANT_TOP), which is in
 * r->step until the next call.  stop, unless NULL: ends with -EINTR soon after it becomes true; the
 * sequence is then as it was.
 */
int compute_tokens(struct running *r, const int32_t *tokens, size_t n, enum accel_want want, uint32_t top,
		   const volatile bool *stop);

/* accel_error() of such a step, or of what was made for it, and the option that helps; returns the exit
 * code. */
int complain_compute(int err);

struct accel_engine_stats compute_stats(const struct running *r);
/* What the processors did between two moments, as it is modelled. */
struct accel_engine_stats stats_between(const struct accel_engine_stats *before,
					const struct accel_engine_stats *after);

/* Adds that to *sum. */
void stats_add(struct accel_engine_stats *sum, const struct accel_engine_stats *before,
	       const struct accel_engine_stats *after);

#endif
