/* SPDX-License-Identifier: MIT */
/* What is said to a conversation: typed, and edited where that can be done, or lines of a pipe. */
#ifndef ACCELCTL_LINES_H
#define ACCELCTL_LINES_H

#include <stdbool.h>

#include "prompt.h"

struct lines;

/* Of standard input; an exit code after a complaint.  lines_free() takes NULL. */
int lines_new(struct lines **out);
void lines_free(struct lines *l);

/* Does somebody type? */
bool lines_typed(const struct lines *l);
/*
 * The next message: a line, and the ones after it while there is a backslash at the end, without
 * the last line end.  False: there is none, or a signal came (interrupted is set).
 */
bool lines_message(struct lines *l, struct bytes *text);
/* Did the signal of the newest lines_message() take with it what was typed? */
bool lines_thrown_away(const struct lines *l);

#endif
