/* SPDX-License-Identifier: MIT */
/*
 * The client's memory: what of it the processor reaches, at which bus addresses.
 *
 * The client keeps its descriptor, so pages can vanish at any moment (it shortens the file, the
 * huge pages run out).  A SIGBUS is the sign.  Then the whole range is dead: the bus refuses it
 * until the client unmaps it.
 */
#ifndef OCTANS_SIM_VFIO_MEMORY_H
#define OCTANS_SIM_VFIO_MEMORY_H

#include "device.h"

#define VFIO_RANGES	4096
#define VFIO_MAPPED_MAX	(1ULL << 44)	/* bytes of one client that are mapped at once */

/* A range of bus addresses as the client gave it. */
struct vfio_range {
	uint64_t addr, size;		/* size 0: free */
	/* What is mapped for it, in whole pages of the file; NULL: the client shares nothing here. */
	_Atomic(uint8_t *) base;
	_Atomic size_t len;
};

struct vfio_memory {
	struct sim_device *dev;
	uint64_t mapped;
	struct vfio_range range[VFIO_RANGES];
};

/*
 * Gives the processor @size bytes of @fd from @offset on, at bus address @addr; all multiples of
 * 4096.  @fd stays the caller's; -1: nothing can be reached there.  0 or -errno; *why: what is
 * wrong with the file, or NULL.
 */
int vfio_memory_map(struct vfio_memory *memory, uint64_t addr, uint64_t size, int fd,
		    uint64_t offset, bool write, const char **why);
/* Whole ranges in [addr, last].  -EINVAL: one reaches beyond; -ENOENT: there is none. */
int vfio_memory_unmap(struct vfio_memory *memory, uint64_t addr, uint64_t last);

/* For a SIGBUS handler: true if @addr was in the client's memory, which is dead now. */
bool vfio_memory_died(struct vfio_memory *memory, const void *addr);

#endif
