// SPDX-License-Identifier: GPL-2.0-only
/* DEV_QUERY */
#include <drm/drm_file.h>
#include <drm/octans_accel.h>

#include "octans_device.h"
#include "octans_drv.h"
#include "octans_uobj.h"

static int query_device(struct octans_device *dev, struct drm_octans_dev_query *q)
{
	const struct octans_info *i = &dev->info;
	struct drm_octans_query_device d = {
		.hw_version = i->version,
		.rings = i->rings,
		.va_bits = OCTANS_VA_BITS,
		.page_size = PAGE_SIZE,
		.ops = i->ops,
		.types = i->types,
		.clock_hz = i->clock_hz,
		.macs_int8 = i->macs_int8,
		.macs_f16 = i->macs_f16,
		.macs_f32 = i->macs_f32,
		.local_bpc = i->local_bpc,
		.pcie_bpc = i->pcie_bpc,
		.max_ctx = i->max_ctx,
		.max_timeout_ms = octans_max_timeout_ms,
		.serial = i->serial,
		.sram_size = i->sram_size,
	};
	u32 room = q->size;

	memcpy(d.profile, i->profile, sizeof(d.profile));
	q->size = sizeof(d);
	return q->ptr ? octans_uobj_put(q->ptr, room, &d, sizeof(d)) : 0;
}

static int query_memory(struct octans_device *dev, struct drm_octans_dev_query *q)
{
	struct drm_octans_query_memory m = {
		.size = dev->local.size,
		.visible_size = dev->local.visible,
	};
	u32 room = q->size;

	mutex_lock(&dev->local.lock);
	m.used = dev->local.used;
	mutex_unlock(&dev->local.lock);
	m.visible_used = m.used;	/* allocations are all inside the BAR */
	q->size = sizeof(m);
	return q->ptr ? octans_uobj_put(q->ptr, room, &m, sizeof(m)) : 0;
}

/**
 * octans_ioctl_dev_query() - DRM_IOCTL_OCTANS_DEV_QUERY
 * @drm: device
 * @data: struct drm_octans_dev_query
 * @file: caller
 *
 * Return: 0, -EINVAL or -EFAULT.
 */
int octans_ioctl_dev_query(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct octans_device *dev = to_octans(drm);
	struct drm_octans_dev_query *q = data;

	switch (q->type) {
	case DRM_OCTANS_QUERY_DEVICE:
		return query_device(dev, q);
	case DRM_OCTANS_QUERY_MEMORY:
		return query_memory(dev, q);
	}
	return -EINVAL;
}
