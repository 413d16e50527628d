/* SPDX-License-Identifier: MIT */
/*
 * The end of a job as its last command tells it: by words in host memory, which it writes when all that the job wrote
 * is there (SIGNAL, Documentation/hardware/commands.rst).  They are there before an interrupt, a fence and the
 * scheduler have told, so who waits for a short job looks at them for a moment before going to sleep.  They tell of good
 * ends alone: as long as one is unwritten the fence is asked.
 */
#ifndef ACCEL_ENDING_H
#define ACCEL_ENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct accel_fence;

struct ending {
	const uint64_t *words;		/* [n], NULL: it is not told so */
	size_t n;
};

/* How the jobs of a queue have been: where they are too long, looking is given up, and tried again now and then. */
struct patience {
	_Atomic uint32_t skip;		/* so many waits go to sleep at once, */
	_Atomic uint32_t missed;	/* of so many since the last look that was in vain */
};

/* Before it is submitted: words[n] become what its last command does not write, UINT64_MAX. */
void ending_clear(uint64_t *words, size_t n);
/* After that: the job, alone in its submission, writes all of words[n] with its last command.  They stay as they are
 * until the fence is freed. */
void fence_ends_with(struct accel_fence *f, const uint64_t *words, size_t n);

/* Has it ended well, for all that memory tells? */
bool ending_written(const struct ending *e);
/* The same, looked at for a moment, if that has been worth it. */
bool ending_watch(const struct ending *e, struct patience *p);

#endif
