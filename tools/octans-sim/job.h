/* SPDX-License-Identifier: MIT */
/* A job of a ring, from its descriptor to its writeback; whoever is active does it, in a window. */
#ifndef OCTANS_SIM_JOB_H
#define OCTANS_SIM_JOB_H

#include "ring.h"

/* What a job leaves behind for the driver. */
struct sim_outcome {
	int status;		/* OCTANS_JOB_*, or less: it was dropped */
	uint64_t desc;		/* bus address of the descriptor */
	uint64_t seqno;		/* 0 = not known: no writeback */
	uint64_t offset;	/* of the command that failed */
	uint64_t start_ns, end_ns, cycles;
	uint32_t commands;
	bool bad_doorbell;	/* there is no descriptor to run */
	bool irq, event_irq;	/* to be sent */
	uint32_t event_vector;
};

/* The job of the descriptor at o->desc, and all that is told of it but for messages. */
void sim_job(struct sim_ring *ring, struct sim_outcome *o);
/* The bus refuses @addr, which is the driver's and no job's: the ring halts. */
void sim_job_none(struct sim_ring *ring, struct sim_outcome *o, uint64_t addr);

#endif
