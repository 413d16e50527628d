/* SPDX-License-Identifier: MIT */
/* Ctrl-C ends what is computed, not the program. */
#ifndef ACCELCTL_INTERRUPT_H
#define ACCELCTL_INTERRUPT_H

#include <stdbool.h>

/* Set by Ctrl-C; whoever has ended what it asked to end may clear it. */
extern volatile bool interrupted;
/* Set by what ends a program in good order (SIGTERM, SIGHUP), with interrupted. */
extern volatile bool terminated;

/*
 * From now on.  A Ctrl-C while interrupted is still set ends the program, as it would without us.  A signal
 * that whoever started us has turned off stays so.  end: the signals that ask us to end, too, are
 * caught; reading standard input then ends with EINTR.
 */
void interrupt_catch(bool end);

#endif
