/* SPDX-License-Identifier: MIT */
/* What a driver or a program used that the manual does not define, for the control channel to
 * list. */
#ifndef OCTANS_SIM_UNDEFINED_H
#define OCTANS_SIM_UNDEFINED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_UNDEFINED	64	/* different uses remembered */

enum sim_undefined_kind {
	SIM_UNDEFINED_READ,	/* no such register, or not of that width */
	SIM_UNDEFINED_WRITE,
	SIM_UNDEFINED_BITS,	/* reserved bits were set */
	SIM_UNDEFINED_OPCODE,
};

struct sim_use {
	enum sim_undefined_kind kind;
	unsigned int size;	/* of the access, in bytes */
	uint64_t what;		/* offset in BAR 0, or opcode */
	uint64_t count;
};

struct sim_undefined {
	pthread_mutex_t lock;	/* a leaf */
	size_t n;
	uint64_t more;		/* that there was no room for */
	struct sim_use use[SIM_UNDEFINED];
};

void sim_undefined_note(struct sim_undefined *u, enum sim_undefined_kind kind, uint64_t what,
			unsigned int size);
/* One line, cut off at @len. */
void sim_undefined_list(struct sim_undefined *u, char *text, size_t len);

#endif
