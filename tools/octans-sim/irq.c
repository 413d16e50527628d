// SPDX-License-Identifier: MIT
/* Messages to the host. */
#include "irq.h"

bool sim_consume(atomic_uint *count)
{
	unsigned int n = atomic_load(count);

	while (n)
		if (atomic_compare_exchange_weak(count, &n, n - 1))
			return true;
	return false;
}

bool sim_irq_raise(struct sim_irq *irq, unsigned int vector)
{
	bool sent = false;

	if (vector >= irq->vectors)
		return false;
	pthread_rwlock_rdlock(&irq->lock);
	if (irq->on && sim_consume(&irq->drop[vector])) {
		atomic_fetch_add(&irq->dropped, 1);
	} else if (irq->on) {
		atomic_fetch_add(&irq->sent, 1);
		irq->send(irq->ctx, vector);
		sent = true;
	}
	pthread_rwlock_unlock(&irq->lock);
	return sent;
}

void sim_irq_enable(struct sim_irq *irq, bool on)
{
	pthread_rwlock_wrlock(&irq->lock);
	irq->on = on;
	pthread_rwlock_unlock(&irq->lock);
}
