// SPDX-License-Identifier: MIT
/*
 * The in-process door: host memory that several processors reach.  A shared buffer is a file in memory
 * that takes the place of its part of the arena, so that what the processor and the process know of it stays
 * as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inproc.h"

#define SIZE_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW)	/* what is mapped stays there */

static int put_in_place(struct octans_inproc_bo *bo, int fd)
{
	void *at = bo->dev->arena + bo->offset;

	if (mmap(at, bo->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return -errno;
	madvise(at, bo->size, MADV_DONTDUMP);
	madvise(at, bo->size, MADV_DONTFORK);	/* a child would write into its parent's */
	return 0;
}

static int write_all(int fd, const uint8_t *data, uint64_t size)
{
	for (uint64_t at = 0; at < size;) {
		ssize_t n = pwrite(fd, data + at, size - at, at);

		if (n <= 0)
			return n ? -errno : -ENOSPC;
		at += n;
	}
	return 0;
}

/* A file of the buffer's bytes. */
static int make_file(const struct octans_inproc_bo *bo, int *fd)
{
	int err;

	*fd = memfd_create("octans-sim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	err = ftruncate(*fd, bo->size) || fcntl(*fd, F_ADD_SEALS, SIZE_SEALS) ? -errno : 0;
	if (!err)
		err = write_all(*fd, bo->dev->arena + bo->offset, bo->size);
	if (err)
		close(*fd);
	return err;
}

/* dev->memory held. */
static int share(struct octans_inproc_bo *bo)
{
	int fd, err = make_file(bo, &fd);

	if (err)
		return err;
	err = put_in_place(bo, fd);
	if (err)
		close(fd);
	else
		bo->fd = fd;
	return err;
}

int octans_inproc_bo_export(struct octans_inproc_bo *bo, int *fd)
{
	struct octans_inproc *dev = bo->dev;
	int err = 0;

	*fd = -1;
	if (bo->local)
		return -ENOTSUP;
	pthread_mutex_lock(&dev->memory);
	if (bo->fd < 0)
		err = share(bo);
	if (!err)
		*fd = fcntl(bo->fd, F_DUPFD_CLOEXEC, 0);
	if (!err && *fd < 0)
		err = -errno;
	pthread_mutex_unlock(&dev->memory);
	return err;
}

/* 0: it is not what octans_inproc_bo_export() gives. */
static uint64_t size_of(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS || seals & F_SEAL_WRITE || fstat(fd, &st) ||
	    st.st_size <= 0 || st.st_size % INPROC_PAGE)
		return 0;
	return st.st_size;
}

int octans_inproc_bo_import(struct octans_inproc *dev, int fd, struct octans_inproc_bo **out, uint64_t *size)
{
	struct octans_inproc_bo *bo;
	int err;

	*size = size_of(fd);
	if (!*size)
		return -EINVAL;
	err = octans_inproc_bo_new(dev, *size, false, &bo);
	if (err)
		return err;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	err = fd < 0 ? -errno : put_in_place(bo, fd);
	if (err) {
		if (fd >= 0)
			close(fd);
		octans_inproc_bo_free(bo);
		return err;
	}
	bo->fd = fd;
	*out = bo;
	return 0;
}

void inproc_unshare(struct octans_inproc_bo *bo)
{
	struct octans_inproc *dev = bo->dev;
	void *at = dev->arena + bo->offset;

	close(bo->fd);
	if (mmap(at, bo->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return;		/* others have it: that part of the arena is lost */
	madvise(at, bo->size, MADV_DONTDUMP);
	inproc_host_free(dev, bo->offset, bo->size);
}
