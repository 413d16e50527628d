/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_DRV_H
#define OCTANS_DRV_H

#include <linux/xarray.h>

struct octans_user;

/* What one client may have of each, so that it cannot take what others need. */
#define OCTANS_FILE_VMS		64
#define OCTANS_FILE_QUEUES	256

/**
 * struct octans_file - an open node
 */
struct octans_file {
	/** @client: what its queues share; a reference */
	struct octans_client *client;
	/** @user: whose shares it takes from; a reference */
	struct octans_user *user;
	/** @vms: struct octans_vm by id; a reference each */
	struct xarray vms;
	/** @queues: struct octans_queue by id; a reference each */
	struct xarray queues;
};

extern unsigned int octans_max_timeout_ms;

int octans_ioctl_dev_query(struct drm_device *drm, void *data, struct drm_file *file);

#endif
