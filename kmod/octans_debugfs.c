// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/debug/accel/N: what exists and what was done, for people and tests. */
#include <linux/seq_file.h>

#include <drm/drm_debugfs.h>
#include <drm/drm_file.h>

#include "octans_batch.h"
#include "octans_debugfs.h"
#include "octans_device.h"
#include "octans_gem.h"

static int objects_show(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;
	struct octans_device *dev = to_octans(entry->dev);

	seq_printf(m, "buffers %d\n", atomic_read(&dev->objects.buffers));
	seq_printf(m, "spaces %d\n", atomic_read(&dev->objects.spaces));
	seq_printf(m, "tables %d\n", atomic_read(&dev->objects.tables));
	seq_printf(m, "queues %d\n", atomic_read(&dev->objects.queues));
	seq_printf(m, "jobs %d\n", atomic_read(&dev->objects.jobs));
	/* these may outlive their devices, and count for all of them */
	seq_printf(m, "fences %d\n", octans_batch_live());
	mutex_lock(&dev->local.lock);
	seq_printf(m, "card_bytes %llu\n", dev->local.used);
	seq_printf(m, "card_table_bytes %llu\n", dev->local.tables);
	seq_printf(m, "card_losses %u\n", dev->local.losses);
	mutex_unlock(&dev->local.lock);
	seq_printf(m, "resets %d\n", atomic_read(&dev->resets));
	seq_printf(m, "withdrawn %d\n", atomic_read(&dev->withdrawn));
	seq_printf(m, "submits %lld\n", atomic64_read(&dev->submits));
	seq_printf(m, "submitted_jobs %lld\n", atomic64_read(&dev->submitted_jobs));
	return 0;
}

static int show_buffer(int id, void *ptr, void *data)
{
	struct drm_gem_object *obj = ptr;
	struct octans_bo *bo = to_octans_bo(obj);
	struct seq_file *m = data;

	spin_lock(&bo->label_lock);
	seq_printf(m, "  %6d %12zu %-6s %s\n", id, obj->size, bo->local ? "card" : "host",
		   bo->label);
	spin_unlock(&bo->label_lock);
	return 0;
}

static int buffers_show(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;
	struct drm_device *drm = entry->dev;
	struct drm_file *file;

	mutex_lock(&drm->filelist_mutex);
	list_for_each_entry(file, &drm->filelist, lhead) {
		seq_printf(m, "client %llu\n", file->client_id);
		spin_lock(&file->table_lock);
		idr_for_each(&file->object_idr, show_buffer, m);
		spin_unlock(&file->table_lock);
	}
	mutex_unlock(&drm->filelist_mutex);
	return 0;
}

/**
 * octans_debugfs_init() - add our files; before the device is registered
 * @dev: device
 */
void octans_debugfs_init(struct octans_device *dev)
{
	drm_debugfs_add_file(&dev->drm, "objects", objects_show, NULL);
	drm_debugfs_add_file(&dev->drm, "buffers", buffers_show, NULL);
}
