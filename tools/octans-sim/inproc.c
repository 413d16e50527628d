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

/* ---- opening ---- */

static int spec_item(struct sim_config *config, char *item, char *err, size_t errlen)
{
	char *value = strchr(item, '=');
	uint64_t v;

	if (!value || !value[1]) {
		snprintf(err, errlen, "\"%s\" is not key=value; the keys are profile, local, rings, "
			 "threads", item);
		return -EINVAL;
	}
	*value++ = 0;
	if (!strcmp(item, "profile")) {
		config->profile = value;
		return 0;
	}
	if (strcmp(item, "local") && strcmp(item, "rings") && strcmp(item, "threads")) {
		snprintf(err, errlen, "\"%s\" is not a key; they are profile, local, rings, threads",
			 item);
		return -EINVAL;
	}
	if (sim_parse_size(value, &v) || !v || (*item != 'l' && v > 1024)) {
		snprintf(err, errlen, "%s=\"%s\" is not %s", item, value,
			 *item == 'l' ? "a size such as 256M" : "a number from 1 up");
		return -EINVAL;
	}
	if (*item == 'l')
		config->local_size = v;
	else if (*item == 'r')
		config->rings = v;
	else
		config->threads = v;
	return 0;
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

	pthread_mutex_lock(&dev->lock);
	inproc_drain_events(dev);
	if (vector)
		inproc_ring_look(dev, vector - 1);
	pthread_mutex_unlock(&dev->lock);
}

/* The largest arena that the machine grants; only pages in use cost memory. */
static int make_arena(struct octans_inproc *dev)
{
	for (dev->arena_size = 64ULL << 30; dev->arena_size >= 256 << 20; dev->arena_size /= 2) {
		uint8_t *p = mmap(NULL, dev->arena_size + INPROC_LARGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		size_t skip;

		if (p == MAP_FAILED)
			continue;
		/* Large pages of a device mapping are then large for the CPU too. */
		skip = -(uintptr_t)p & (INPROC_LARGE - 1);
		if (skip)
			munmap(p, skip);
		if (skip < INPROC_LARGE)
			munmap(p + skip + dev->arena_size, INPROC_LARGE - skip);
		dev->arena = p + skip;
		madvise(dev->arena, dev->arena_size, MADV_DONTDUMP);
		return 0;
	}
	return -ENOMEM;
}

static int start_watchdog(struct octans_inproc *dev)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&dev->lock, NULL);
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
	char copy[SPEC_MAX];
	int ret;

	if (!dev) {
		snprintf(err, errlen, "no memory for the processor model");
		return -ENOMEM;
	}
	ret = parse_spec(spec, copy, &config, err, errlen);
	if (ret)
		goto free_dev;
	ret = sim_device_new(&config, &bus, &dev->sim, err, errlen);
	if (ret)
		goto free_dev;
	snprintf(err, errlen, "no memory for the processor model");
	ret = make_arena(dev);
	if (ret)
		goto free_sim;
	ret = -ENOMEM;
	if (extents_init(&dev->host, 0, dev->arena_size) ||
	    extents_init(&dev->local, 0, dev->sim->profile.local_size))
		goto free_extents;
	ret = sim_dma_map(dev->sim, INPROC_IOVA, dev->arena_size, dev->arena, true);
	if (ret)
		goto free_extents;
	dev->rings = OCTANS_CAPS_RINGS(sim_reg_read(dev->sim, OCTANS_REG_CAPS, 8));
	sim_set_bus_master(dev->sim, true);
	ret = start_watchdog(dev);
	if (ret)
		goto free_extents;
	pthread_mutex_lock(&dev->lock);
	inproc_rings_start(dev);
	pthread_mutex_unlock(&dev->lock);
	*err = 0;
	*out = dev;
	return 0;

free_extents:
	extents_destroy(&dev->host);
	extents_destroy(&dev->local);
free_sim:
	sim_device_free(dev->sim);
	if (dev->arena)
		munmap(dev->arena, dev->arena_size);
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
	extents_destroy(&dev->host);
	extents_destroy(&dev->local);
	pthread_cond_destroy(&dev->done);
	pthread_cond_destroy(&dev->tick);
	pthread_mutex_destroy(&dev->lock);
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
	info->macs_f32 = sim_reg_read(sim, OCTANS_REG_MACS_F32, 4);
	info->local_bpc = sim_reg_read(sim, OCTANS_REG_LOCAL_BPC, 4);
	info->pcie_bpc = sim_reg_read(sim, OCTANS_REG_PCIE_BPC, 4);
	info->max_ctx = sim_reg_read(sim, OCTANS_REG_MAX_CTX, 4);
	info->max_timeout_ms = INPROC_MAX_TIMEOUT_MS;
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
	pthread_mutex_lock(&dev->lock);
	info->local_used = dev->local.used;
	pthread_mutex_unlock(&dev->lock);
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

uint64_t inproc_host_alloc(struct octans_inproc *dev, uint64_t size)
{
	return extents_alloc(&dev->host, size, size >= INPROC_LARGE ? INPROC_LARGE : INPROC_PAGE);
}

void inproc_host_free(struct octans_inproc *dev, uint64_t offset, uint64_t size)
{
	/* Untouched anonymous memory is zero: what the next owner is to find. */
	madvise(dev->arena + offset, size, MADV_DONTNEED);
	extents_free(&dev->host, offset, size);
}

int octans_inproc_bo_new(struct octans_inproc *dev, uint64_t size, bool local,
			 struct octans_inproc_bo **out)
{
	struct octans_inproc_bo *bo;
	int ret = 0;

	if (!size || size > 1ULL << 40)
		return -EINVAL;
	bo = calloc(1, sizeof(*bo));
	if (!bo)
		return -ENOMEM;
	bo->dev = dev;
	bo->size = (size + INPROC_PAGE - 1) & ~(INPROC_PAGE - 1);
	bo->local = local;
	bo->refs = 1;
	pthread_mutex_lock(&dev->lock);
	if (dev->gone)
		ret = -ENODEV;
	else if (local)
		bo->offset = extents_alloc(&dev->local, bo->size,
					   bo->size >= INPROC_LARGE ? INPROC_LARGE : INPROC_PAGE);
	else
		bo->offset = inproc_host_alloc(dev, bo->size);
	pthread_mutex_unlock(&dev->lock);
	if (!ret && bo->offset == UINT64_MAX)
		ret = local ? -ENOSPC : -ENOMEM;
	if (ret) {
		free(bo);
		return ret;
	}
	*out = bo;
	return 0;
}

void inproc_bo_put(struct octans_inproc_bo *bo)
{
	struct octans_inproc *dev = bo->dev;

	if (--bo->refs)
		return;
	if (bo->local) {
		/* A hole reads as zeros. */
		if (fallocate(dev->sim->local_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      bo->offset, bo->size))
			memset(dev->sim->local + bo->offset, 0, bo->size);
		extents_free(&dev->local, bo->offset, bo->size);
	} else {
		inproc_host_free(dev, bo->offset, bo->size);
	}
	free(bo);
}

void octans_inproc_bo_free(struct octans_inproc_bo *bo)
{
	struct octans_inproc *dev;

	if (!bo)
		return;
	dev = bo->dev;
	pthread_mutex_lock(&dev->lock);
	inproc_bo_put(bo);
	pthread_mutex_unlock(&dev->lock);
}

void *octans_inproc_bo_map(struct octans_inproc_bo *bo)
{
	return (bo->local ? bo->dev->sim->local : bo->dev->arena) + bo->offset;
}

uint64_t octans_inproc_bo_size(const struct octans_inproc_bo *bo)
{
	return bo->size;
}
