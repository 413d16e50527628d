/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_GEM_H
#define OCTANS_GEM_H

#include <linux/spinlock.h>

#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_mm.h>
#include <drm/octans_accel.h>

#include "octans_pieces.h"

struct dma_buf;
struct dma_buf_attachment;
struct octans_device;
struct octans_user;

/**
 * struct octans_bo - a buffer, in host memory or on the card
 * @no_mmap: user space may not map it
 * @node: where it is on the card
 * @label: what its owner calls it
 */
struct octans_bo {
	/** @base: for on-card buffers only its drm_gem_object is used */
	struct drm_gem_shmem_object base;
	/** @local: in on-card memory, at @node */
	bool local;
	bool no_mmap;
	struct drm_mm_node node;
	/** @losses: octans_local.losses when it was made: see octans_gem_lost() */
	u32 losses;
	/** @user: whose share it is, a reference; NULL: imported */
	struct octans_user *user;
	/** @in_dev: in octans_device.bos; protected by bos_lock */
	struct list_head in_dev;
	/**
	 * @pieces: of host memory: made by the first octans_gem_pin(), under the object's dma_resv;
	 * constant from then on, until its end or the device's
	 */
	struct octans_pieces pieces;
	/** @dummy: page that its mappings show when the device is gone; set once */
	struct page *dummy;
	/** @label_lock: protects @label */
	spinlock_t label_lock;
	char label[DRM_OCTANS_LABEL_MAX + 1];
};

#define to_octans_bo(obj) container_of(obj, struct octans_bo, base.base)

int octans_gem_init(struct octans_device *dev);
void octans_gem_unplug(struct octans_device *dev);
void octans_gem_revoke(struct octans_device *dev);
void octans_gem_hide(struct octans_device *dev);
bool octans_gem_lost(struct octans_bo *bo);
int octans_gem_pin(struct octans_bo *bo);
struct drm_gem_object *octans_gem_create_object(struct drm_device *drm, size_t size);
struct drm_gem_object *octans_gem_prime_import(struct drm_device *drm, struct dma_buf *buf);
struct drm_gem_object *octans_gem_import_sg_table(struct drm_device *drm,
						  struct dma_buf_attachment *attach,
						  struct sg_table *sgt);
int octans_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_bo_mmap_offset(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_bo_query(struct drm_device *drm, void *data, struct drm_file *file);
int octans_ioctl_bo_set_label(struct drm_device *drm, void *data, struct drm_file *file);

#endif
