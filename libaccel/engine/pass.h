/* SPDX-License-Identifier: MIT */
/* Passes of a step.  All with the baton. */
#ifndef ACCEL_PASS_H
#define ACCEL_PASS_H

#include <stdint.h>

struct accel_engine;
struct accel_step;
struct shape;
struct step_input;

/* Of the largest pass that there may be; each is written into them anew. */
struct pass_arrays {
	int32_t *tokens, *positions, *slots, *seqs, *ranges, *states, *wanted, *pages;
	uint32_t *pages_used;
	/* Where results go: of row i of wanted. */
	struct step_input **out_in;
	uint32_t *out_row;
};

/* -ENOMEM; what was made is freed by pass_arrays_free(). */
int pass_arrays_new(struct pass_arrays *a, const struct shape *shape);
void pass_arrays_free(struct pass_arrays *a);

/*
 * Computes a step from where each input is (held, from) to its end, pass after pass.  After an error the
 * inputs are where the newest whole pass has brought them, and engine.failed_card says whose it is.
 */
int passes_run(struct accel_engine *e, struct accel_step *step);

#endif
