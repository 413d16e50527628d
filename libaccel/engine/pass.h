/* SPDX-License-Identifier: MIT */
/* Passes of a step.  All with the baton. */
#ifndef ACCEL_PASS_H
#define ACCEL_PASS_H

#include "exec/exec.h"

struct accel_engine;
struct accel_step;
struct step_input;

/* What a pass computes of an input. */
struct share {
	struct step_input *in;
	uint32_t begin, n;		/* positions */
};

/* Of the largest pass that there may be; each is written into them anew. */
struct pass_arrays {
	int32_t *tokens, *positions, *slots, *seqs, *ranges, *states, *wanted, *pages;
	uint32_t *pages_used;
	struct share *shares;		/* [pass.n_seqs] */
	/* Where results go: of row i of wanted. */
	struct step_input **out_in;
	uint32_t *out_row;
};

/* A pass that is under way. */
struct flight {
	struct pass pass;
	struct pass_arrays arrays;
	uint32_t number;		/* for executors */
	uint32_t next;			/* the first layer that was not submitted, or computed, yet */
	uint32_t sent;			/* runs of layers that were submitted and not waited for */
	const float *x;			/* where the residual stream is, or will be; NULL: it has not begun */
	double ready;			/* modelled: when what was waited for had ended, since the step began */
};

/* Runs of layers that were submitted, in that order. */
struct leg {
	uint32_t flight, first;
	int32_t card;
};

struct flights {
	struct flight *all;		/* [shape.flights] */
	uint32_t first, n;		/* those under way: from all[first] on, around; oldest first */
	struct leg *legs;		/* [n_legs], of shape.flights * layers */
	uint32_t n_legs;
	double *busy;			/* [n_cards], modelled: until when since the step began */
	struct layer_cost *costs;	/* [n_layers] */
	uint32_t rows;			/* tokens that a pass of this step has at most */
};

/* pass.c: -ENOMEM; what was made is freed by pass_arrays_free(). */
int pass_arrays_new(struct pass_arrays *a, const struct shape *shape);
void pass_arrays_free(struct pass_arrays *a);
/* The next pass of a step.  False: all are made. */
bool pass_make(struct accel_engine *e, struct accel_step *step, struct flight *f);
/* It is computed: results are taken. */
void pass_end(struct accel_engine *e, struct flight *f, const struct io *io, const float *logits);

/* pipeline.c: -ENOMEM; what was made is freed by flights_free(). */
int flights_new(struct accel_engine *e);
void flights_free(struct accel_engine *e);
/*
 * Computes a step from where each input is (held, from) to its end, pass after pass.  After an error the
 * inputs are where the newest whole pass has brought them, nothing is under way, and engine.failed_card says whose
 * it is.
 */
int passes_run(struct accel_engine *e, struct accel_step *step);

#endif
