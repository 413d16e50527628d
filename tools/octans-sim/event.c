// SPDX-License-Identifier: MIT
/* The event queue: records in host memory, one per thing the driver must hear of. */
#include <string.h>

#include "event.h"

bool sim_event(struct sim_events *ev, struct octans_event *e, uint32_t *vector)
{
	uint64_t size, slot;
	bool sent = false;
	uint8_t *p;

	pthread_mutex_lock(&ev->lock);
	if (!ev->on)
		goto out;
	size = 1ULL << ev->log2;
	slot = ev->tail & (size - 1);
	p = sim_bus_ptr(ev->dma, ev->base + slot * sizeof(*e), sizeof(*e), true);
	if (!p || ev->tail - ev->head >= size) {
		ev->dropped++;
		goto out;
	}
	e->index = (uint64_t)ev->tail + 1;
	sim_corrupt(&ev->corrupt, e);
	memcpy(p, e, offsetof(struct octans_event, index));
	ev->tail++;	/* who finds the record may write HEAD */
	/* The index makes the record valid: after everything else of it. */
	atomic_store_explicit((_Atomic uint64_t *)(p + offsetof(struct octans_event, index)),
			      e->index, memory_order_release);
	*vector = ev->vector;
	sent = true;
out:
	pthread_mutex_unlock(&ev->lock);
	return sent;
}

uint64_t sim_events_read(struct sim_events *ev, uint64_t reg)
{
	uint64_t v = 0;

	pthread_mutex_lock(&ev->lock);
	switch (reg) {
	case OCTANS_REG_EVT_BASE:
		v = ev->base;
		break;
	case OCTANS_REG_EVT_LOG2:
		v = ev->log2;
		break;
	case OCTANS_REG_EVT_CTRL:
		v = ev->on ? OCTANS_EVT_ENABLE : 0;
		break;
	case OCTANS_REG_EVT_TAIL:
		v = ev->tail;
		break;
	case OCTANS_REG_EVT_HEAD:
		v = ev->head;
		break;
	case OCTANS_REG_EVT_DROPPED:
		v = ev->dropped;
		break;
	case OCTANS_REG_EVT_VECTOR:
		v = ev->vector;
		break;
	}
	pthread_mutex_unlock(&ev->lock);
	return v;
}

static void write_ctrl(struct sim_events *ev, uint32_t value)
{
	bool valid = ev->log2 >= 1 && ev->log2 <= SIM_EVENT_LOG2_MAX &&
		     !(ev->base % sizeof(struct octans_event));
	bool on = (value & OCTANS_EVT_ENABLE) && valid;

	if (on && !ev->on) {
		ev->tail = 0;
		ev->head = 0;
		ev->dropped = 0;
	}
	ev->on = on;
}

void sim_events_write(struct sim_events *ev, uint64_t reg, uint64_t value)
{
	pthread_mutex_lock(&ev->lock);
	switch (reg) {
	case OCTANS_REG_EVT_BASE:
		if (!ev->on)
			ev->base = value;
		break;
	case OCTANS_REG_EVT_LOG2:
		if (!ev->on)
			ev->log2 = value;
		break;
	case OCTANS_REG_EVT_CTRL:
		write_ctrl(ev, value);
		break;
	case OCTANS_REG_EVT_HEAD:
		/* Not past what was produced, nor back past what was consumed. */
		if ((uint32_t)value - ev->head <= ev->tail - ev->head)
			ev->head = value;
		break;
	case OCTANS_REG_EVT_VECTOR:
		ev->vector = value;
		break;
	}
	pthread_mutex_unlock(&ev->lock);
}

void sim_events_reset(struct sim_events *ev)
{
	pthread_mutex_lock(&ev->lock);
	ev->base = 0;
	ev->log2 = 0;
	ev->tail = 0;
	ev->head = 0;
	ev->dropped = 0;
	ev->vector = 0;
	ev->on = false;
	pthread_mutex_unlock(&ev->lock);
}

void sim_events_init(struct sim_events *ev, struct sim_dma *dma)
{
	memset(ev, 0, sizeof(*ev));
	ev->dma = dma;
	pthread_mutex_init(&ev->lock, NULL);
}

void sim_events_destroy(struct sim_events *ev)
{
	pthread_mutex_destroy(&ev->lock);
}
