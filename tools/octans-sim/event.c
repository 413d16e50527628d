// SPDX-License-Identifier: MIT
/* The event queue: records in host memory, one per thing the driver must hear of. */
#include <string.h>

#include "device.h"

bool sim_event(struct sim_device *dev, struct octans_event *e)
{
	uint64_t size, slot;
	bool sent = false;
	uint8_t *p;

	pthread_mutex_lock(&dev->lock);
	if (!(dev->evt_ctrl & OCTANS_EVT_ENABLE) || atomic_load(&dev->removed))
		goto out;
	size = 1ULL << dev->evt_log2;
	slot = dev->evt_tail & (size - 1);
	p = sim_bus_ptr(dev, dev->evt_base + slot * sizeof(*e), sizeof(*e), true);
	if (!p || dev->evt_tail - dev->evt_head >= size) {
		dev->evt_dropped++;
		goto out;
	}
	e->time_ns = sim_time_ns(dev);
	e->index = (uint64_t)dev->evt_tail + 1;
	memcpy(p, e, offsetof(struct octans_event, index));
	/* The index makes the record valid: after everything else of it. */
	atomic_store_explicit((_Atomic uint64_t *)(p + offsetof(struct octans_event, index)),
			      e->index, memory_order_release);
	dev->evt_tail++;
	sent = true;
out:
	pthread_mutex_unlock(&dev->lock);
	return sent;
}
