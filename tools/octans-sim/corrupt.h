/* SPDX-License-Identifier: MIT */
/* What is injected into records of 64 bytes on their way to the host: each only into the next. */
#ifndef OCTANS_SIM_CORRUPT_H
#define OCTANS_SIM_CORRUPT_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define SIM_RECORD_WORDS	8

struct sim_corrupt {
	_Atomic uint64_t xor[SIM_RECORD_WORDS];	/* 0 = as it is */
};

static inline void sim_corrupt(struct sim_corrupt *c, void *record)
{
	uint64_t word[SIM_RECORD_WORDS];

	memcpy(word, record, sizeof(word));
	for (int i = 0; i < SIM_RECORD_WORDS; i++)
		word[i] ^= atomic_exchange(&c->xor[i], 0);
	memcpy(record, word, sizeof(word));
}

#endif
