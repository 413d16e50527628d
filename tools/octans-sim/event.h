/* SPDX-License-Identifier: MIT */
/* The event queue: its registers and the records that it writes.  A lock of its own, above the
 * bus's. */
#ifndef OCTANS_SIM_EVENT_H
#define OCTANS_SIM_EVENT_H

#include <pthread.h>

#include "bus.h"
#include "corrupt.h"
#include <octans/regs.h>

#define SIM_EVENT_LOG2_MAX	12

struct sim_events {
	struct sim_dma *dma;
	struct sim_corrupt corrupt;	/* injected: of the next record */
	pthread_mutex_t lock;
	uint64_t base;
	uint32_t log2, tail, head, dropped, vector;
	bool on;
};

void sim_events_init(struct sim_events *ev, struct sim_dma *dma);
void sim_events_destroy(struct sim_events *ev);
void sim_events_reset(struct sim_events *ev);	/* registers at their initial values */
/* One record, in a window; the caller fills in all but index.  False: dropped, or the queue is
 * off.  *vector: what message is due then; outside of the window. */
bool sim_event(struct sim_events *ev, struct octans_event *e, uint32_t *vector);
/* @reg: OCTANS_REG_EVT_* */
uint64_t sim_events_read(struct sim_events *ev, uint64_t reg);
void sim_events_write(struct sim_events *ev, uint64_t reg, uint64_t value);

#endif
