/* SPDX-License-Identifier: MIT */
/* Is a layer faster on a processor than on the CPU? */
#ifndef ACCEL_WORTH_H
#define ACCEL_WORTH_H

#include "cost.h"
#include "op/speed.h"

/* What is weighed: a prompt, and the tokens of an answer to it. */
#define WORTH_PROMPT 512u
#define WORTH_ANSWER 128u

/* The prompt, in a context of this shape. */
uint32_t worth_prompt(const struct shape *s);

/* A way over the bus and back, as descriptions of processors do not say: of something to be read there. */
#define WORTH_BUS_S 1e-6
/* A run of layers is a job: what it is and its first commands are read over the bus, one after the other, and that it has
 * ended is written there. */
#define WORTH_JOB_S (3 * WORTH_BUS_S)

/* Seconds of a step of n tokens behind the first pos through one layer.  On a processor, without what is copied to it
 * while others are computed; *bus: what the bus takes in any case. */
double worth_step_in_run(const struct layer_cost *c, const struct accel_model *m, uint32_t n, uint64_t pos,
			 const struct accel_devinfo *dev, double *bus);
double worth_step_on_cpu(const struct layer_cost *c, const struct accel_model *m, uint32_t n,
			 uint64_t pos, const struct cpu_speed *cpu);
/* Seconds that a processor takes of that to exchange its part with others. */
double worth_exchange(const struct layer_cost *c, uint32_t n, uint32_t out, const struct accel_devinfo *dev);
/* Seconds for that of one layer, on a processor at the least, and on the CPU. */
double worth_on_device(const struct layer_cost *c, const struct accel_model *m, const struct shape *shape,
		       const struct accel_devinfo *dev);
double worth_on_cpu(const struct layer_cost *c, const struct accel_model *m, const struct shape *shape,
		    const struct cpu_speed *cpu);
/* Seconds that the residual stream takes to a processor, or back: for all that is weighed; of n tokens. */
double worth_of_border(uint32_t cols, const struct shape *shape, const struct accel_devinfo *dev);
double worth_step_border(uint32_t cols, uint64_t n, const struct accel_devinfo *dev);

#endif
