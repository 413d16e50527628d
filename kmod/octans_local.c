// SPDX-License-Identifier: GPL-2.0-only
/* On-card memory: the BAR and its allocator. */
#include <linux/sizes.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "compat.h"
#include "octans_device.h"

static void local_fini(struct drm_device *drm, void *arg)
{
	struct octans_local *local = arg;

	drm_mm_takedown(&local->mm);
}

/* Best effort: a BAR that shows less than there is works too. */
static void resize_bar(struct octans_device *dev)
{
	struct pci_dev *pdev = octans_pdev(dev);
	int size = order_base_2(dev->local.size >> 20);

	if (pci_resource_len(pdev, OCTANS_BAR_LOCAL) >= dev->local.size)
		return;
	if (pci_resize_resource(pdev, OCTANS_BAR_LOCAL, size, 0))
		drm_info(&dev->drm, "only %llu of %llu MiB of on-card memory are visible\n",
			 (u64)pci_resource_len(pdev, OCTANS_BAR_LOCAL) >> 20,
			 dev->local.size >> 20);
}

/**
 * octans_local_init() - map the BAR and make the allocator
 * @dev: device
 *
 * Return: 0 or a negative errno.
 */
int octans_local_init(struct octans_device *dev)
{
	struct pci_dev *pdev = octans_pdev(dev);
	struct octans_local *local = &dev->local;
	int ret;

	local->size = octans_read64(dev, OCTANS_REG_LOCAL_SIZE);
	if (!local->size || local->size % PAGE_SIZE || local->size >> 40)
		return dev_err_probe(&pdev->dev, -EIO, "0x%llx bytes on the card make no sense\n",
				     local->size);
	resize_bar(dev);
	local->bar = pci_resource_start(pdev, OCTANS_BAR_LOCAL);
	local->visible = min_t(u64, local->size, pci_resource_len(pdev, OCTANS_BAR_LOCAL));
	if (!local->bar || !local->visible)
		return dev_err_probe(&pdev->dev, -ENODEV, "BAR %d has no address\n",
				     OCTANS_BAR_LOCAL);
	local->map = devm_ioremap_wc(&pdev->dev, local->bar, local->visible);
	if (!local->map)
		return -ENOMEM;
	ret = drmm_mutex_init(&dev->drm, &local->lock);
	if (ret)
		return ret;
	/* What the CPU cannot reach it cannot clear, so that is not handed out. */
	drm_mm_init(&local->mm, 0, local->visible);
	return drmm_add_action_or_reset(&dev->drm, local_fini, local);
}

/* Large pages need memory that begins where they do; if none is left, small ones will do. */
static int insert(struct drm_mm *mm, struct drm_mm_node *node, u64 size)
{
	static const u64 alignments[] = { SZ_1G, SZ_2M, SZ_64K };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(alignments); i++)
		if (size >= alignments[i] &&
		    !drm_mm_insert_node_generic(mm, node, size, alignments[i], 0,
						DRM_MM_INSERT_BEST))
			return 0;
	return drm_mm_insert_node(mm, node, size);
}

/**
 * octans_local_alloc() - allocate on-card memory and clear it
 * @dev: device
 * @node: where it is; all zero before
 * @size: bytes, whole pages
 *
 * Return: 0, -ENOSPC or -ENODEV.
 */
int octans_local_alloc(struct octans_device *dev, struct drm_mm_node *node, u64 size)
{
	struct octans_local *local = &dev->local;
	int idx, ret;

	if (!drm_dev_enter(&dev->drm, &idx))
		return -ENODEV;
	mutex_lock(&local->lock);
	ret = insert(&local->mm, node, size);
	if (!ret)
		local->used += size;
	mutex_unlock(&local->lock);
	/* Nobody sees what another client left there. */
	if (!ret)
		memset_io(local->map + node->start, 0, size);
	drm_dev_exit(idx);
	return ret;
}

/**
 * octans_local_free() - give on-card memory back
 * @dev: device
 * @node: from octans_local_alloc()
 */
void octans_local_free(struct octans_device *dev, struct drm_mm_node *node)
{
	mutex_lock(&dev->local.lock);
	dev->local.used -= node->size;
	drm_mm_remove_node(node);
	mutex_unlock(&dev->local.lock);
}
