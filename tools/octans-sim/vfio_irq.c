// SPDX-License-Identifier: MIT
/*
 * The client's interrupts.
 *
 * An eventfd is the client's as much as ours: it can be full, and made to block at any moment,
 * between a look at it and a write to it too.  So it is not written to.  The kernel signals it
 * by itself when an asynchronous read is complete, the way it signals KVM's, and that does not
 * wait and does not overflow.  What is read, a byte of a file in memory, is complete at once.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vfio_irq.h"

#define IN_FLIGHT	16

int vfio_irqs_init(struct vfio_irqs *irqs)
{
	int err;

	memset(irqs, 0, sizeof(*irqs));
	for (unsigned int i = 0; i < VFIO_VECTORS; i++)
		irqs->fd[i] = -1;
	irqs->source = memfd_create("octans-irq", MFD_CLOEXEC);
	if (irqs->source < 0)
		return -errno;
	if (ftruncate(irqs->source, 1) || syscall(SYS_io_setup, IN_FLIGHT, &irqs->aio)) {
		err = errno;
		close(irqs->source);
		return -err;
	}
	pthread_mutex_init(&irqs->lock, NULL);
	return 0;
}

void vfio_irqs_destroy(struct vfio_irqs *irqs)
{
	vfio_irqs_off(irqs);
	syscall(SYS_io_destroy, irqs->aio);
	close(irqs->source);
	pthread_mutex_destroy(&irqs->lock);
}

static bool is_eventfd(int fd)
{
	static const char name[] = "anon_inode:[eventfd]";
	char link[32], target[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target));
	return n == (ssize_t)strlen(name) && !memcmp(target, name, n);
}

int vfio_irqs_set(struct vfio_irqs *irqs, unsigned int vector, int fd)
{
	int old;

	if (fd >= 0 && !is_eventfd(fd)) {
		close(fd);
		return -EINVAL;
	}
	pthread_mutex_lock(&irqs->lock);
	old = irqs->fd[vector];
	irqs->fd[vector] = fd;
	pthread_mutex_unlock(&irqs->lock);
	if (old >= 0)
		close(old);
	return 0;
}

void vfio_irqs_off(struct vfio_irqs *irqs)
{
	for (unsigned int i = 0; i < VFIO_VECTORS; i++)
		vfio_irqs_set(irqs, i, -1);
}

/* Lock held. */
static void signal_eventfd(struct vfio_irqs *irqs, int fd)
{
	struct iocb read = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = irqs->source,
		.aio_buf = (uintptr_t)&irqs->byte, .aio_nbytes = 1,
		.aio_flags = IOCB_FLAG_RESFD, .aio_resfd = fd,
	};
	struct iocb *batch = &read;
	struct io_event done[IN_FLIGHT];
	long n;

	if (syscall(SYS_io_submit, irqs->aio, 1, &batch) == 1)
		irqs->complete++;
	/* The records have to make room for others; all at once, for it takes a call. */
	while (irqs->complete == IN_FLIGHT) {
		n = syscall(SYS_io_getevents, irqs->aio, 1, IN_FLIGHT, done, NULL);
		if (n > 0)
			irqs->complete -= n;
		else if (n == 0 || errno != EINTR)
			break;
	}
}

void vfio_irqs_send(struct vfio_irqs *irqs, unsigned int vector)
{
	pthread_mutex_lock(&irqs->lock);
	if (irqs->fd[vector] >= 0)
		signal_eventfd(irqs, irqs->fd[vector]);
	pthread_mutex_unlock(&irqs->lock);
}
