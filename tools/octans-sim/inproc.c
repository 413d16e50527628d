// SPDX-License-Identifier: MIT
/* The in-process door: the device and its memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "inproc.h"

#define SPEC_MAX	256
#define KEYS		"profile, local, rings, threads, timing"

/* Alignments that page sizes of the MMU ask for; the last always is. */
static const uint64_t alignments[] = { 1 << 30, 1 << 21, 1 << 16, INPROC_PAGE };

/* ---- opening ---- */

static int spec_number(const char *key, const char *value, uint64_t max, const char *what,
		       uint64_t *v, char *err, size_t errlen)
{
	if (sim_parse_size(value, v) || !*v || *v > max) {
		snprintf(err, errlen, "%s=\"%s\" is not %s", key, value, what);
		return -EINVAL;
	}
	return 0;
}

static int spec_item(struct sim_config *config, char *item, char *err, size_t errlen)
{
	char *value = strchr(item, '=');
	uint64_t v = 0;
	int ret;

	if (!strcmp(item, "timing")) {
		config->timing_only = true;
		return 0;
	}
	if (!value || !value[1]) {
		snprintf(err, errlen, "\"%s\" is not key=value, nor the word timing; the keys are "
			 KEYS, item);
		return -EINVAL;
	}
	*value++ = 0;
	if (!strcmp(item, "profile")) {
		config->profile = value;
		return 0;
	}
	if (!strcmp(item, "local")) {
		ret = spec_number(item, value, UINT64_MAX, "a size such as 256M", &v, err, errlen);
		config->local_size = v;
	} else if (!strcmp(item, "rings")) {
		ret = spec_number(item, value, 1024, "a number from 1 to 16", &v, err, errlen);
		config->rings = v;
	} else if (!strcmp(item, "threads")) {
		ret = spec_number(item, value, 1024, "a number from 1 to 1024", &v, err, errlen);
		config->threads = v;
	} else if (!strcmp(item, "timing")) {
		snprintf(err, errlen, "timing=\"%s\": timing is a word by itself, without a value",
			 value);
		ret = -EINVAL;
	} else {
		snprintf(err, errlen, "\"%s\" is not a key; they are " KEYS, item);
		ret = -EINVAL;
	}
	return ret;
}

/* @copy holds the strings that *config points to. */
static int parse_spec(const char *spec, char copy[SPEC_MAX], struct sim_config *config, char *err,
		      size_t errlen)
{
	char *save = NULL;
	int ret = 0;

	if (!spec)
		return 0;
	if (strlen(spec) >= SPEC_MAX) {
		snprintf(err, errlen, "the description of the model is longer than %d characters",
			 SPEC_MAX - 1);
		return -EINVAL;
	}
	strcpy(copy, spec);
	for (char *i = strtok_r(copy, ",", &save); i && !ret; i = strtok_r(NULL, ",", &save))
		ret = spec_item(config, i, err, errlen);
	return ret;
}

static void on_irq(void *ctx, unsigned int vector)
{
	struct octans_inproc *dev = ctx;

	if (!vector)
		return;		/* of events; none are asked for */
	pthread_mutex_lock(&dev->lock);
	inproc_ring_look(dev, vector - 1);
	pthread_mutex_unlock(&dev->lock);
}

/* The largest arena that the machine grants; only pages in use cost memory. */
static int make_arena(struct octans_inproc *dev)
{
	const uint64_t align = 1 << 21;	/* large pages of the MMU are then large for the CPU too */

	for (dev->arena_size = 1ULL << 40; dev->arena_size >= 256 << 20; dev->arena_size /= 2) {
		uint8_t *p = mmap(NULL, dev->arena_size + align, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		size_t skip;

		if (p == MAP_FAILED)
			continue;
		skip = -(uintptr_t)p & (align - 1);
		if (skip)
			munmap(p, skip);
		munmap(p + skip + dev->arena_size, align - skip);
		dev->arena = p + skip;
		madvise(dev->arena, dev->arena_size, MADV_DONTDUMP);
		return 0;
	}
	return -ENOMEM;
}

/* The end of the card is for page tables: as many as map all of it once in the smallest pages. */
static int make_extents(struct octans_inproc *dev)
{
	uint64_t size = dev->sim->profile.local_size, tables = size / OCTANS_PT_ENTRIES;

	dev->tables_size = (tables + INPROC_PAGE - 1) & ~(INPROC_PAGE - 1);
	size -= dev->tables_size;
	if (extents_init(&dev->host, 0, dev->arena_size) || extents_init(&dev->local, 0, size) ||
	    extents_init(&dev->tables, size, dev->tables_size))
		return -ENOMEM;
	return 0;
}

static void free_extents(struct octans_inproc *dev)
{
	extents_destroy(&dev->host);
	extents_destroy(&dev->local);
	extents_destroy(&dev->tables);
}

static int start_watchdog(struct octans_inproc *dev)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&dev->done, &attr);
	pthread_cond_init(&dev->tick, &attr);
	pthread_condattr_destroy(&attr);
	return -pthread_create(&dev->watchdog, NULL, inproc_watchdog, dev);
}

int octans_inproc_open(const char *spec, struct octans_inproc **out, char *err, size_t errlen)
{
	struct octans_inproc *dev = calloc(1, sizeof(*dev));
	struct sim_bus bus = { .irq = on_irq, .ctx = dev };
	struct sim_config config = { 0 };
	uint64_t caps;
	char copy[SPEC_MAX];
	int ret;

	if (!dev) {
		snprintf(err, errlen, "no memory for the processor model");
		return -ENOMEM;
	}
	ret = parse_spec(spec, copy, &config, err, errlen);
	if (ret)
		goto free_dev;
	dev->timing_only = config.timing_only;
	pthread_mutex_init(&dev->memory, NULL);
	pthread_mutex_init(&dev->lock, NULL);
	ret = sim_device_new(&config, &bus, &dev->sim, err, errlen);
	if (ret)
		goto free_dev;
	snprintf(err, errlen, "no memory for the processor model");
	ret = make_arena(dev);
	if (ret)
		goto free_sim;
	ret = make_extents(dev);
	if (!ret)
		ret = sim_dma_map(dev->sim, INPROC_IOVA, dev->arena_size, dev->arena, true);
	if (ret)
		goto free_extents;
	caps = sim_reg_read(dev->sim, OCTANS_REG_CAPS, 8);
	dev->rings = OCTANS_CAPS_RINGS(caps);
	dev->n_asids = 1U << OCTANS_CAPS_ASID_BITS(caps);
	dev->taken = 1;
	dev->vm = calloc(dev->n_asids, sizeof(*dev->vm));
	if (!dev->vm)
		ret = -ENOMEM;
	sim_set_bus_master(dev->sim, true);
	if (!ret)
		ret = inproc_rings_start(dev);
	if (!ret)
		ret = start_watchdog(dev);
	if (ret)
		goto free_extents;
	*err = 0;
	*out = dev;
	return 0;

free_extents:
	free_extents(dev);
free_sim:
	sim_device_free(dev->sim);
	if (dev->arena)
		munmap(dev->arena, dev->arena_size);
	free(dev->vm);
free_dev:
	free(dev);
	return ret;
}

void octans_inproc_close(struct octans_inproc *dev)
{
	if (!dev)
		return;
	pthread_mutex_lock(&dev->lock);
	dev->stop = true;
	pthread_cond_signal(&dev->tick);
	pthread_mutex_unlock(&dev->lock);
	pthread_join(dev->watchdog, NULL);
	sim_device_free(dev->sim);
	munmap(dev->arena, dev->arena_size);
	free_extents(dev);
	free(dev->vm);
	pthread_cond_destroy(&dev->done);
	pthread_cond_destroy(&dev->tick);
	pthread_mutex_destroy(&dev->lock);
	pthread_mutex_destroy(&dev->memory);
	free(dev);
}

int octans_inproc_info(struct octans_inproc *dev, struct octans_inproc_info *info)
{
	struct sim_device *sim = dev->sim;

	memset(info, 0, sizeof(*info));
	info->hw_version = sim_reg_read(sim, OCTANS_REG_VERSION, 4);
	info->rings = dev->rings;
	info->va_bits = OCTANS_VA_BITS;
	info->page_size = INPROC_PAGE;
	info->ops = sim_reg_read(sim, OCTANS_REG_OPS, 8);
	info->types = sim_reg_read(sim, OCTANS_REG_TYPES, 8);
	info->clock_hz = sim_reg_read(sim, OCTANS_REG_CLOCK_HZ, 8);
	info->macs_int8 = sim_reg_read(sim, OCTANS_REG_MACS_INT8, 4);
	info->macs_f16 = sim_reg_read(sim, OCTANS_REG_MACS_F16, 4);
	info->macs_f32 = sim_reg_read(sim, OCTANS_REG_MACS_F32, 4);
	info->local_bpc = sim_reg_read(sim, OCTANS_REG_LOCAL_BPC, 4);
	info->pcie_bpc = sim_reg_read(sim, OCTANS_REG_PCIE_BPC, 4);
	info->max_ctx = sim_reg_read(sim, OCTANS_REG_MAX_CTX, 4);
	info->max_timeout_ms = INPROC_MAX_TIMEOUT_MS;
	info->timing_only = dev->timing_only;
	info->sram_size = sim_reg_read(sim, OCTANS_REG_SRAM_SIZE, 8);
	info->serial = sim_reg_read(sim, OCTANS_REG_SERIAL, 8);
	info->local_size = sim_reg_read(sim, OCTANS_REG_LOCAL_SIZE, 8);
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t v = sim_reg_read(sim, OCTANS_REG_PROFILE_NAME + 8 * i, 8);

		memcpy(info->profile + 8 * i, &v, sizeof(v));
	}
	/* Last: had the device gone on the way, all of the above is suspect. */
	if ((uint32_t)sim_reg_read(sim, OCTANS_REG_ID, 4) != OCTANS_ID_MAGIC) {
		memset(info, 0, sizeof(*info));
		return -ENODEV;
	}
	pthread_mutex_lock(&dev->memory);
	info->local_used = dev->local.used + dev->tables_size;
	pthread_mutex_unlock(&dev->memory);
	return 0;
}

int octans_inproc_control(struct octans_inproc *dev, const char *line, char *reply, size_t len)
{
	int ret = sim_control(dev->sim, line, reply, len);

	/* A hot-plug event would tell a driver that the device left. */
	pthread_mutex_lock(&dev->lock);
	inproc_check_gone(dev);
	pthread_mutex_unlock(&dev->lock);
	return ret;
}

/* ---- memory ---- */

/* Aligned to the largest page that fits in it, if there is such a place. */
static uint64_t alloc(struct octans_inproc *dev, struct extents *e, uint64_t size)
{
	uint64_t offset = UINT64_MAX;

	pthread_mutex_lock(&dev->memory);
	for (size_t i = 0; i < sizeof(alignments) / sizeof(*alignments); i++) {
		if (size >= alignments[i])
			offset = extents_alloc(e, size, alignments[i]);
		if (offset != UINT64_MAX)
			break;
	}
	pthread_mutex_unlock(&dev->memory);
	return offset;
}

uint64_t inproc_host_alloc(struct octans_inproc *dev, uint64_t size)
{
	return alloc(dev, &dev->host, size);
}

void inproc_host_free(struct octans_inproc *dev, uint64_t offset, uint64_t size)
{
	/* Untouched anonymous memory is zero: what the next owner is to find. */
	madvise(dev->arena + offset, size, MADV_DONTNEED);
	pthread_mutex_lock(&dev->memory);
	extents_free(&dev->host, offset, size);
	pthread_mutex_unlock(&dev->memory);
}

static void local_free(struct octans_inproc *dev, uint64_t offset, uint64_t size)
{
	/* A hole reads as zeros, and costs what was there. */
	if (fallocate(dev->sim->local_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size))
		memset(dev->sim->local + offset, 0, size);
	pthread_mutex_lock(&dev->memory);
	extents_free(&dev->local, offset, size);
	pthread_mutex_unlock(&dev->memory);
}

int octans_inproc_bo_new(struct octans_inproc *dev, uint64_t size, bool local,
			 struct octans_inproc_bo **out)
{
	struct octans_inproc_bo *bo;
	bool gone;

	if (!size || size > 1ULL << 40)
		return -EINVAL;
	pthread_mutex_lock(&dev->lock);
	gone = dev->gone;
	pthread_mutex_unlock(&dev->lock);
	if (gone)
		return -ENODEV;
	bo = calloc(1, sizeof(*bo));
	if (!bo)
		return -ENOMEM;
	bo->dev = dev;
	bo->size = (size + INPROC_PAGE - 1) & ~(INPROC_PAGE - 1);
	bo->local = local;
	bo->fd = -1;
	atomic_init(&bo->refs, 1);
	bo->offset = alloc(dev, local ? &dev->local : &dev->host, bo->size);
	if (bo->offset == UINT64_MAX) {
		free(bo);
		return local ? -ENOSPC : -ENOMEM;
	}
	*out = bo;
	return 0;
}

void inproc_bo_put(struct octans_inproc_bo *bo)
{
	if (atomic_fetch_sub(&bo->refs, 1) > 1)
		return;
	if (bo->local)
		local_free(bo->dev, bo->offset, bo->size);
	else if (bo->fd >= 0)
		inproc_unshare(bo);
	else
		inproc_host_free(bo->dev, bo->offset, bo->size);
	free(bo);
}

void octans_inproc_bo_free(struct octans_inproc_bo *bo)
{
	if (bo)
		inproc_bo_put(bo);
}

void *octans_inproc_bo_map(struct octans_inproc_bo *bo)
{
	return (bo->local ? bo->dev->sim->local : bo->dev->arena) + bo->offset;
}
