// SPDX-License-Identifier: MIT
#include "reserve.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

void reserve_fill(struct reserve *r, int of)
{
	int fd = fcntl(of, F_DUPFD_CLOEXEC, 1), none = 0;	/* 0 would mean none */

	if (fd > 0 && !atomic_compare_exchange_strong(&r->fd, &none, fd))
		close(fd);
}

bool reserve_spend(struct reserve *r)
{
	int fd = atomic_exchange(&r->fd, 0);

	return fd && !close(fd);
}

void reserve_drop(struct reserve *r)
{
	reserve_spend(r);
}

/* In one call: no other thread gets it in between. */
void reserve_refill(struct reserve *r, int fd, int of)
{
	int none = 0;

	if (fd && !atomic_load(&r->fd) && dup3(of, fd, O_CLOEXEC) == fd &&
	    atomic_compare_exchange_strong(&r->fd, &none, fd))
		return;
	close(fd);
}
