/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_SUBMIT_H
#define OCTANS_SUBMIT_H

struct drm_device;
struct drm_file;

int octans_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *file);

#endif
