/* SPDX-License-Identifier: MIT */
/* One answer: computes what it is to follow, chooses tokens one by one, shows their text. */
#ifndef ACCELCTL_ANSWER_H
#define ACCELCTL_ANSWER_H

#include "prompt.h"
#include "receipt.h"
#include "speech.h"
#include "summary.h"

struct answer {
	const struct options *o;
	struct running *run;
	struct speech *speech;
	struct summary *sum;	/* grows by what this answer takes */
	struct receipt *receipt;	/* gets each step; or NULL */
	/* results */
	struct bytes text;	/* malloc'd; shown as it grew, unless --output json */
	bool newline;		/* what was shown ends with one, or nothing was */
	char failure[256];	/* why it failed, or "" */
	uint32_t begin;		/* position after what it follows */
	size_t generated;
	int32_t last;		/* token that was shown */
};

/*
 * Appends ids[n] to the sequence of run, and an answer of at most --predict tokens.  The last token is not
 * in the sequence: what it would be followed by is not computed.  Ends early if `interrupted` is set,
 * which is no failure.  An exit code.
 */
int answer_run(struct answer *a, const int32_t *ids, size_t n);
/* Ends the line of an answer that was shown. */
void answer_end_line(struct answer *a);

#endif
