/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that is held for where one is needed for a moment and this process has none left: the work of
 * others must not end because of that.  It is a second one of a file that is open anyway.
 */
#ifndef ACCEL_RESERVE_H
#define ACCEL_RESERVE_H

#include <stdbool.h>

struct reserve {
	_Atomic int fd;		/* 0: none */
};

/* of: of which file.  If there is no descriptor, there is none in reserve. */
void reserve_fill(struct reserve *r, int of);
void reserve_drop(struct reserve *r);
/* True: it was there, and is closed, so that one can be had, unless another thread is faster. */
bool reserve_spend(struct reserve *r);
/* fd has served its moment: it is closed, or takes the place of the one that was spent. */
void reserve_refill(struct reserve *r, int fd, int of);

#endif
