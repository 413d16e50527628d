/* SPDX-License-Identifier: MIT */
/* Messages to the host (MSI-X): sent, lost on request, and never once they are off. */
#ifndef OCTANS_SIM_IRQ_H
#define OCTANS_SIM_IRQ_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <octans/regs.h>

#define SIM_VECTORS	OCTANS_VECTORS(OCTANS_MAX_RINGS)

struct sim_irq {
	void (*send)(void *ctx, unsigned int vector);
	void *ctx;
	unsigned int vectors;
	pthread_rwlock_t lock;		/* read: a message is under way; write: of on */
	bool on;
	atomic_uint drop[SIM_VECTORS];		/* so many of the next are lost */
	_Atomic uint64_t sent, dropped;
};

/* True: one was left, and is taken.  For all that is injected a number of times. */
bool sim_consume(atomic_uint *count);
/* No lock of the device is held, and no window open: the front door may take its own locks.  True:
 * the message was sent. */
bool sim_irq_raise(struct sim_irq *irq, unsigned int vector);
/* Off: none is under way any more when this returns. */
void sim_irq_enable(struct sim_irq *irq, bool on);

#endif
