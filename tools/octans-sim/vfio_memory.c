// SPDX-License-Identifier: MIT
/* The client's memory: mapped, unmapped, lost. */
#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "vfio_memory.h"

static uint64_t last_of(const struct vfio_range *r)
{
	return r->addr + (r->size - 1);
}

/* The size of a page of @fd, a file of which [offset, offset + size) can be mapped.  0 or
 * -errno. */
static int check_file(int fd, uint64_t offset, uint64_t size, uint64_t *page, const char **why)
{
	struct statfs fs;
	struct stat st;

	*why = "it is not a file in memory (memfd, /dev/shm or hugetlbfs); an access to others "
	       "can take for ever";
	if (fstat(fd, &st) || fstatfs(fd, &fs) || !S_ISREG(st.st_mode))
		return -EINVAL;
	/* 32 bits, whatever the width of f_type. */
	if ((uint32_t)fs.f_type != TMPFS_MAGIC && (uint32_t)fs.f_type != HUGETLBFS_MAGIC)
		return -EINVAL;
	*why = "the file is too short";
	if (offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset)
		return -EINVAL;
	*why = NULL;
	*page = (uint32_t)fs.f_type == HUGETLBFS_MAGIC ? fs.f_bsize : 4096;
	return 0;
}

/* Maps the pages around [offset, offset + size): huge ones are mapped and unmapped as a whole. */
static int map_file(struct vfio_memory *memory, struct vfio_range *r, int fd, uint64_t offset,
		    bool write, uint8_t **host, const char **why)
{
	uint64_t page = 4096, first, len;
	uint8_t *base;
	int ret;

	ret = check_file(fd, offset, r->size, &page, why);
	if (ret)
		return ret;
	first = offset & ~(page - 1);
	len = ((offset + r->size + page - 1) & ~(page - 1)) - first;
	if (len > VFIO_MAPPED_MAX - memory->mapped) {
		*why = "it is more than 16 TiB in all";
		return -ENOSPC;
	}
	base = mmap(NULL, len, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED | MAP_NORESERVE, fd,
		    first);
	if (base == MAP_FAILED)
		return -errno;
	memory->mapped += len;
	atomic_store(&r->len, len);
	atomic_store(&r->base, base);
	*host = base + (offset - first);
	return 0;
}

static void unmap_file(struct vfio_memory *memory, struct vfio_range *r)
{
	uint8_t *base = atomic_exchange(&r->base, NULL);
	size_t len = atomic_load(&r->len);

	munmap(base, len);
	memory->mapped -= len;
}

/* A free range in *out, or -errno. */
static int find_room(struct vfio_memory *memory, uint64_t addr, uint64_t last,
		     struct vfio_range **out)
{
	*out = NULL;
	for (unsigned int i = 0; i < VFIO_RANGES; i++) {
		struct vfio_range *r = &memory->range[i];

		if (!r->size)
			*out = r;
		else if (addr <= last_of(r) && r->addr <= last)
			return -EEXIST;
	}
	return *out ? 0 : -ENOSPC;
}

int vfio_memory_map(struct vfio_memory *memory, uint64_t addr, uint64_t size, int fd,
		    uint64_t offset, bool write, const char **why)
{
	uint8_t *host = NULL;
	struct vfio_range *r;
	int ret;

	*why = NULL;
	if (!size || addr + (size - 1) < addr || addr % 4096 || size % 4096 || offset % 4096)
		return -EINVAL;
	ret = find_room(memory, addr, addr + (size - 1), &r);
	if (ret)
		return ret;
	r->addr = addr;
	r->size = size;
	if (fd < 0)
		return 0;
	ret = map_file(memory, r, fd, offset, write, &host, why);
	if (ret)
		goto free_range;
	ret = sim_dma_map(memory->dev, addr, size, host, write);
	if (ret)
		goto unmap;
	return 0;

unmap:
	unmap_file(memory, r);
free_range:
	r->size = 0;
	return ret;
}

static void drop(struct vfio_memory *memory, struct vfio_range *r)
{
	void *host;

	if (atomic_load(&r->base)) {
		sim_dma_unmap(memory->dev, r->addr, r->size, &host);
		unmap_file(memory, r);
	}
	r->size = 0;
}

int vfio_memory_unmap(struct vfio_memory *memory, uint64_t addr, uint64_t last)
{
	bool found = false;

	for (unsigned int i = 0; i < VFIO_RANGES; i++) {
		const struct vfio_range *r = &memory->range[i];

		if (r->size && addr <= last_of(r) && r->addr <= last &&
		    (r->addr < addr || last_of(r) > last))
			return -EINVAL;
	}
	for (unsigned int i = 0; i < VFIO_RANGES; i++) {
		struct vfio_range *r = &memory->range[i];

		if (!r->size || r->addr < addr || r->addr > last)
			continue;
		drop(memory, r);
		found = true;
	}
	return found ? 0 : -ENOENT;
}

/* The range that was mapped around @addr.  The thread that touched it is in a window of the bus, so
 * it is not being unmapped. */
static struct vfio_range *range_around(struct vfio_memory *memory, const uint8_t *addr)
{
	for (unsigned int i = 0; i < VFIO_RANGES; i++) {
		struct vfio_range *r = &memory->range[i];
		const uint8_t *base = atomic_load(&r->base);

		if (base && addr >= base && addr < base + atomic_load(&r->len))
			return r;
	}
	return NULL;
}

bool vfio_memory_died(struct vfio_memory *memory, const void *addr)
{
	struct vfio_range *r = range_around(memory, addr);
	uint64_t size;
	void *host;

	if (!r)
		return false;
	/* One that is just being unmapped is not on the bus any more, but may still be in use. */
	sim_dma_dead(memory->dev, addr, &host, &size);
	/* All of it in one mapping: a mapping for every page would be more than a process may have. */
	return mmap(atomic_load(&r->base), atomic_load(&r->len), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}
