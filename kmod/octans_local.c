// SPDX-License-Identifier: GPL-2.0-only
/* On-card memory: the BAR and its allocator. */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "octans_device.h"

/* Memory is cleared piece by piece, so that whoever waits for us to leave does not wait long. */
#define CLEAR_PIECE	SZ_1M
#define CLEAR_RETRY_MS	50
#define CLEAR_TRIES	100	/* longer than any reset of the function */

/* Page tables may have this part of the card; then they go to host memory. */
#define TABLES_PART	64

static void local_fini(struct drm_device *drm, void *arg)
{
	struct octans_local *local = arg;

	drm_mm_takedown(&local->mm);
	kvfree(local->clean);
}

/*
 * What the BAR could show at most is not known from the card's registers, since they are behind the
 * other BAR, and that may be moved: so the largest size is asked for that the card offers.
 */
static int largest_size(struct pci_dev *pdev)
{
	return fls64(pci_rebar_get_possible_sizes(pdev, OCTANS_BAR_LOCAL)) - 1;
}

/**
 * octans_local_resize() - let the BAR show as much of the card as it can
 * @dev: device, not enabled; none of its BARs is mapped
 *
 * Best effort: one that shows less than there is works too.
 */
void octans_local_resize(struct octans_device *dev)
{
	struct pci_dev *pdev = octans_pdev(dev);
	int size = largest_size(pdev), ret;
	u16 command;

	if (size < 0 || pci_resource_len(pdev, OCTANS_BAR_LOCAL) >= (u64)SZ_1M << size)
		return;
	/* Nobody may reach a BAR that changes its place. */
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	pci_write_config_word(pdev, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
	ret = pci_resize_resource(pdev, OCTANS_BAR_LOCAL, size, 0);
	pci_write_config_word(pdev, PCI_COMMAND, command);
	if (ret)
		drm_info(&dev->drm, "BAR %d stays as it is, %d is in the way\n", OCTANS_BAR_LOCAL,
			 ret);
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
	local->bar = pci_resource_start(pdev, OCTANS_BAR_LOCAL);
	local->visible = min_t(u64, local->size, pci_resource_len(pdev, OCTANS_BAR_LOCAL));
	if (!local->bar || !local->visible)
		return dev_err_probe(&pdev->dev, -ENODEV, "BAR %d has no address\n",
				     OCTANS_BAR_LOCAL);
	if (local->visible < local->size)
		drm_info(&dev->drm, "only %llu of %llu MiB of on-card memory are visible\n",
			 local->visible >> 20, local->size >> 20);
	ret = pcim_request_region(pdev, OCTANS_BAR_LOCAL, "octans");
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "somebody else uses BAR %d\n",
				     OCTANS_BAR_LOCAL);
	local->map = devm_ioremap_wc(&pdev->dev, local->bar, local->visible);
	if (!local->map)
		return -ENOMEM;
	ret = drmm_mutex_init(&dev->drm, &local->lock);
	if (ret)
		return ret;
	local->clean = kvcalloc(BITS_TO_LONGS(local->visible >> PAGE_SHIFT), sizeof(long),
				GFP_KERNEL);
	if (!local->clean)
		return -ENOMEM;
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

/*
 * A function that is being reset takes nothing, and what is read from it is all ones.  That of a
 * device that is down does.
 */
static bool clear_piece(struct octans_device *dev, u64 start, u64 size)
{
	octans_gate_wait(dev);
	memset_io(dev->local.map + start, 0, size);
	if (READ_ONCE(dev->gate) != OCTANS_GATE_UP && !octans_device_down(dev))
		return false;
	return !readl(dev->local.map + start + size - 4);
}

/* Clears pages that are ours.  Return: 0, -ENODEV, or -EINTR if @killable and we are killed. */
static int clear(struct octans_device *dev, u64 start, u64 end, bool killable)
{
	unsigned int tries = CLEAR_TRIES;

	while (start < end) {
		u64 size = min_t(u64, end - start, CLEAR_PIECE);
		bool done;
		int idx;

		if (killable && fatal_signal_pending(current))
			return -EINTR;
		if (!drm_dev_enter(&dev->drm, &idx))
			return -ENODEV;
		done = clear_piece(dev, start, size);
		drm_dev_exit(idx);
		if (!done) {
			if (!--tries)
				return -ENODEV;
			msleep(CLEAR_RETRY_MS);
			continue;
		}
		start += size;
		cond_resched();
	}
	return 0;
}

/* The bits of pages that are ours change only by us, so the lock is not needed to look at them. */
static int clear_dirty(struct octans_device *dev, const struct drm_mm_node *node)
{
	unsigned long first = node->start >> PAGE_SHIFT, start, end;
	unsigned long last = first + (node->size >> PAGE_SHIFT);
	int ret = 0;

	for (start = find_next_zero_bit(dev->local.clean, last, first); start < last && !ret;
	     start = find_next_zero_bit(dev->local.clean, last, end)) {
		end = find_next_bit(dev->local.clean, last, start);
		ret = clear(dev, (u64)start << PAGE_SHIFT, (u64)end << PAGE_SHIFT, true);
	}
	return ret;
}

/* Under the lock. */
static void remove(struct octans_local *local, struct drm_mm_node *node, bool clean)
{
	if (clean)
		bitmap_set(local->clean, node->start >> PAGE_SHIFT, node->size >> PAGE_SHIFT);
	local->used -= node->size;
	drm_mm_remove_node(node);
}

/* Tables lie at the other end, so that they do not stand where large pages could be. */
static int insert_table(struct octans_local *local, struct drm_mm_node *node, u64 size)
{
	if (local->tables + size > local->visible / TABLES_PART)
		return -ENOSPC;
	return drm_mm_insert_node_in_range(&local->mm, node, size, 0, 0, 0, U64_MAX,
					   DRM_MM_INSERT_HIGH);
}

static int alloc(struct octans_device *dev, struct drm_mm_node *node, u64 size, bool table)
{
	struct octans_local *local = &dev->local;
	int ret;

	/* One that is cut off from the host may still write to its card. */
	if (octans_device_down(dev))
		return -ENODEV;
	mutex_lock(&local->lock);
	if (local->gone)
		ret = -ENODEV;
	else
		ret = table ? insert_table(local, node, size) : insert(&local->mm, node, size);
	if (!ret)
		local->used += size;
	if (!ret && table)
		local->tables += size;
	mutex_unlock(&local->lock);
	if (ret)
		return ret;
	ret = clear_dirty(dev, node);
	mutex_lock(&local->lock);
	if (ret && table)
		local->tables -= size;
	if (ret)
		remove(local, node, false);
	else
		bitmap_clear(local->clean, node->start >> PAGE_SHIFT, size >> PAGE_SHIFT);
	mutex_unlock(&local->lock);
	return ret;
}

/**
 * octans_local_alloc() - allocate on-card memory that is clear
 * @dev: device
 * @node: where it is; all zero before
 * @size: bytes, whole pages
 *
 * Return: 0, -ENOSPC, -EINTR or -ENODEV.
 */
int octans_local_alloc(struct octans_device *dev, struct drm_mm_node *node, u64 size)
{
	return alloc(dev, node, size, false);
}

/**
 * octans_local_alloc_table() - allocate a clear page for a page table
 * @dev: device
 * @node: where it is; all zero before
 *
 * Return: where the CPU writes it, or NULL.
 */
void __iomem *octans_local_alloc_table(struct octans_device *dev, struct drm_mm_node *node)
{
	return alloc(dev, node, PAGE_SIZE, true) ? NULL : dev->local.map + node->start;
}

/**
 * octans_local_arrived() - wait until what this CPU has written to the card is there
 * @dev: device
 *
 * If its function was away meanwhile it is not.
 */
void octans_local_arrived(struct octans_device *dev)
{
	wmb();		/* out of the write combining buffers */
	readl(dev->local.map);	/* and there: nothing overtakes it */
}

/**
 * octans_local_free() - clear on-card memory and give it back
 * @dev: device
 * @node: from octans_local_alloc()
 *
 * Whoever gets the device next, be it without this driver, finds nothing.
 */
void octans_local_free(struct octans_device *dev, struct drm_mm_node *node)
{
	struct octans_local *local = &dev->local;
	u32 losses = READ_ONCE(local->losses);
	bool clean = !clear(dev, node->start, node->start + node->size, false);

	mutex_lock(&local->lock);
	/* Between drm_dev_unplug() and octans_local_unplug(), which would no longer find it. */
	if (!clean && !local->gone)
		memset_io(local->map + node->start, 0, node->size);
	remove(local, node, clean && losses == local->losses);
	mutex_unlock(&local->lock);
}

/**
 * octans_local_free_table() - clear a page table and give it back
 * @dev: device
 * @node: from octans_local_alloc_table()
 */
void octans_local_free_table(struct octans_device *dev, struct drm_mm_node *node)
{
	mutex_lock(&dev->local.lock);
	dev->local.tables -= node->size;
	mutex_unlock(&dev->local.lock);
	octans_local_free(dev, node);
}

/**
 * octans_local_lose() - nobody knows what is on the card now: it was without power
 * @dev: device
 */
void octans_local_lose(struct octans_device *dev)
{
	mutex_lock(&dev->local.lock);
	dev->local.losses++;
	bitmap_zero(dev->local.clean, dev->local.visible >> PAGE_SHIFT);
	mutex_unlock(&dev->local.lock);
}

/**
 * octans_local_unplug() - clear what is still allocated; nothing can be reached from then on
 * @dev: device; nothing runs on it, and drm_dev_unplug() has been called
 */
void octans_local_unplug(struct octans_device *dev)
{
	bool there = octans_read32(dev, OCTANS_REG_ID) == OCTANS_ID_MAGIC;
	struct octans_local *local = &dev->local;
	struct drm_mm_node *node;

	mutex_lock(&local->lock);
	drm_mm_for_each_node(node, &local->mm)
		if (there)
			memset_io(local->map + node->start, 0, node->size);
	local->gone = true;
	mutex_unlock(&local->lock);
}
