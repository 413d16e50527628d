/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_DEBUGFS_H
#define OCTANS_DEBUGFS_H

struct octans_device;

void octans_debugfs_init(struct octans_device *dev);

#endif
