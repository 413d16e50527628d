/* SPDX-License-Identifier: MIT */
/*
 * On-card memory: a sealed memfd, so that a virtual machine monitor can map it.  It costs what is
 * touched.  Its address never changes; what it is made of can be renewed.
 */
#ifndef OCTANS_SIM_LOCAL_H
#define OCTANS_SIM_LOCAL_H

#include <stdint.h>

struct sim_local {
	uint8_t *base;
	uint64_t size;
	int fd;
};

/* 0 or -errno. */
int sim_local_init(struct sim_local *local, uint64_t size);
void sim_local_destroy(struct sim_local *local);
/* New, empty memory at the same address; whoever has mapped the old keeps that to himself.
 * Nobody uses it meanwhile.  0 or -errno: the old is gone anyway, nothing may be reached. */
int sim_local_renew(struct sim_local *local);
/* The same memory, as without power: all-ones where there was anything. */
void sim_local_lose(struct sim_local *local);
/* The same memory, empty. */
void sim_local_clear(struct sim_local *local);

#endif
