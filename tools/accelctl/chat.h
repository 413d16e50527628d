/* SPDX-License-Identifier: MIT */
/* `accelctl run --chat`: a conversation on a terminal, or of the lines of a pipe. */
#ifndef ACCELCTL_CHAT_H
#define ACCELCTL_CHAT_H

#include "prompt.h"
#include "speech.h"
#include "summary.h"

/* From first (may be empty: the first turn then is read, too) to the end of standard input; with --session,
 * from and to that file.  An exit code. */
int chat_run(const struct options *o, struct running *run, struct speech *speech, const struct bytes *first,
	     struct summary *sum);

#endif
