/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_GEM_H
#define OCTANS_GEM_H

#include <linux/spinlock.h>

#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_mm.h>
#include <drm/octans_accel.h>

/**
 * struct octans_bo - a buffer, in host memory or on the card
 */
struct octans_bo {
	/** @base: for on-card buffers only its drm_gem_object is used */
	struct drm_gem_shmem_object base;
	/** @local: in on-card memory, at @node */
	bool local;
	bool no_mmap;
	struct drm_mm_node node;
	/** @label_lock: protects @label */
	spinlock_t label_lock;
	char label[DRM_OCTANS_LABEL_MAX + 1];
};

#define to_octans_bo(obj) container_of(obj, struct octans_bo, base.base)

struct drm_gem_object *octans_gem_create_object(struct drm_device *drm, size_t size);
int octans_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_bo_mmap_offset(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_bo_query(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_bo_set_label(struct drm_device *drm, void *data, struct drm_file *file);

#endif
