/* SPDX-License-Identifier: MIT */
/* Who has a processor open. */
#ifndef ACCELCTL_HOLDERS_H
#define ACCELCTL_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>

struct holder {
	int pid;
	char command[32];
};

struct holders {
	struct holder *list;	/* malloc'd; not this process */
	size_t n;
	bool all;		/* there is none whom we could not have seen */
	bool hidden;		/* there are some, and we see none of them */
	bool failed;		/* no memory */
};

/* node: /dev/accel/accelN; pci: its address. */
void holders_find(struct holders *h, const char *node, const char *pci);
void holders_free(struct holders *h);
/* "python3 (pid 12), accelctl (pid 40) and 3 more" */
void holders_name(const struct holders *h, char *text, size_t len);

#endif
