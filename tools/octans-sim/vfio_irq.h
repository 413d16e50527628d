/* SPDX-License-Identifier: MIT */
/* The client's interrupts: an eventfd for each vector. */
#ifndef OCTANS_SIM_VFIO_IRQ_H
#define OCTANS_SIM_VFIO_IRQ_H

#include <linux/aio_abi.h>
#include <pthread.h>

#include <octans/regs.h>

#define VFIO_VECTORS	OCTANS_VECTORS(OCTANS_MAX_RINGS)

struct vfio_irqs {
	pthread_mutex_t lock;	/* of fd[]: ring threads signal, the client changes */
	int fd[VFIO_VECTORS];	/* -1: off */
	aio_context_t aio;
	int source;		/* a file of one byte */
	uint8_t byte;		/* read from it */
	unsigned int complete;	/* reads, of which the kernel still has the record */
};

/* 0 or -errno: the kernel offers no asynchronous I/O. */
int vfio_irqs_init(struct vfio_irqs *irqs);
void vfio_irqs_destroy(struct vfio_irqs *irqs);

/* @fd goes to @irqs even in case of an error; -1: off.  -EINVAL: it is no eventfd. */
int vfio_irqs_set(struct vfio_irqs *irqs, unsigned int vector, int fd);
void vfio_irqs_off(struct vfio_irqs *irqs);

/* Signals the client.  Never waits, whatever the client did to its eventfd.  Any thread. */
void vfio_irqs_send(struct vfio_irqs *irqs, unsigned int vector);

#endif
