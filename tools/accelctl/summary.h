/* SPDX-License-Identifier: MIT */
/* What `accelctl run` says at the end: where it was computed, why it stopped, how fast it was. */
#ifndef ACCELCTL_SUMMARY_H
#define ACCELCTL_SUMMARY_H

#include "compute.h"

enum stop {
	STOP_END,		/* the model ended its answer */
	STOP_TEXT,		/* a text of --stop */
	STOP_PREDICT,		/* as many tokens as --predict allows */
	STOP_CONTEXT,		/* no position is left */
	STOP_INTERRUPT,		/* Ctrl-C */
	STOP_OUTPUT,		/* nobody reads the answer */
	STOP_FAILED,
};

struct summary {
	const char *format;	/* of conversations, that the prompt was put into; or NULL */
	size_t prompt_tokens, generated;
	size_t steps;		/* of one token, after the prompt: what generation_s is for */
	double load_s, prompt_s, generation_s;
	bool prompt_done;	/* it was computed to its end */
	enum stop stop;
	struct accel_engine_stats prompt_work;	/* the modelled part of it */
};

const char *stop_name(enum stop stop);

/* "8 layers on sim, 2 on the CPU (2: no-memory)". */
void summary_where(const struct running *r, char *text, size_t len);
/* Says so if a processor failed. */
void summary_warn(const struct running *r);
void summary_print(const struct running *r, const struct summary *s);
/* text: the answer.  failure: why, if it failed, or NULL. */
int summary_json(const struct running *r, const struct summary *s, const char *model, const char *text,
		 size_t n, const char *failure);

#endif
