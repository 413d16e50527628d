/* SPDX-License-Identifier: MIT */
/* Ctrl-C ends what is computed, not the program. */
#ifndef ACCELCTL_INTERRUPT_H
#define ACCELCTL_INTERRUPT_H

#include <stdbool.h>

/* Set by Ctrl-C; whoever has ended what it asked to end may clear it. */
extern volatile bool interrupted;
/* The signal that asked the program to end (SIGTERM, SIGHUP), which sets interrupted, too; or 0. */
extern volatile int terminated;

/*
 * From now on.  A Ctrl-C while interrupted is still set ends the program, as it would without us.  A signal
 * that whoever started us has turned off stays so.  end: the signals that ask us to end, too, are
 * caught.  Reads and writes go on after a signal.
 */
void interrupt_catch(bool end);
/*
 * Waits a moment for standard input: can it be read?  Whoever waits for longer looks at interrupted
 * in between: a signal may have come before, or to another thread.
 */
bool interrupt_or_input(void);
/* Ends the program as the signal would have that was caught, so that who waits learns how it ended. */
void interrupt_end(void);

#endif
