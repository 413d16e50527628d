// SPDX-License-Identifier: MIT
/* On-card memory. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "local.h"

/* A client gets this descriptor: it must not be able to take memory away from under us. */
static int sealed_memory(uint64_t size)
{
	int fd = memfd_create("octans-local", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

int sim_local_renew(struct sim_local *local)
{
	int fd = sealed_memory(local->size);
	void *p;

	if (fd < 0)
		return fd;
	p = mmap(local->base, local->size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED) {
		int err = errno;

		close(fd);
		return -err;
	}
	if (local->fd >= 0)
		close(local->fd);
	local->fd = fd;
	return 0;
}

int sim_local_init(struct sim_local *local, uint64_t size)
{
	int ret;

	local->fd = -1;
	local->size = size;
	/* The address is taken first, so that whatever becomes of the memory, it is ours. */
	local->base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1, 0);
	if (local->base == MAP_FAILED) {
		local->base = NULL;
		return -errno;
	}
	ret = sim_local_renew(local);
	if (ret)
		sim_local_destroy(local);
	return ret;
}

void sim_local_destroy(struct sim_local *local)
{
	if (local->base)
		munmap(local->base, local->size);
	if (local->fd >= 0)
		close(local->fd);
	local->base = NULL;
	local->fd = -1;
}

void sim_local_lose(struct sim_local *local)
{
	off_t at = 0, end;

	while ((at = lseek(local->fd, at, SEEK_DATA)) >= 0) {
		end = lseek(local->fd, at, SEEK_HOLE);
		if (end < 0)
			return;
		memset(local->base + at, 0xff, end - at);
		at = end;
	}
}

void sim_local_clear(struct sim_local *local)
{
	fallocate(local->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, local->size);
}
