// SPDX-License-Identifier: GPL-2.0-only
/* Buffers: the shmem helpers for host memory, our own object functions for the card's. */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_file.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "octans_device.h"
#include "octans_drv.h"
#include "octans_gem.h"
#include "octans_user.h"

/**
 * octans_gem_init() - there are no buffers yet
 * @dev: device
 *
 * Return: 0 or -ENOMEM.
 */
int octans_gem_init(struct octans_device *dev)
{
	INIT_LIST_HEAD(&dev->bos);
	return drmm_mutex_init(&dev->drm, &dev->bos_lock);
}

/* A complete buffer is one of the device's, and of its user's if it is not somebody else's. */
static void track(struct octans_bo *bo, struct octans_user *user)
{
	struct octans_device *dev = to_octans(bo->base.base.dev);

	if (user)
		bo->user = octans_user_get(user);
	atomic_inc(&dev->objects.buffers);
	mutex_lock(&dev->bos_lock);
	list_add(&bo->in_dev, &dev->bos);
	mutex_unlock(&dev->bos_lock);
}

/* The device reaches host memory only while it is bound: then nobody could unmap it any more. */
static void unmap_dma(struct octans_bo *bo)
{
	struct drm_gem_object *obj = &bo->base.base;
	struct sg_table *sgt = bo->base.sgt;

	bo->base.sgt = NULL;
	if (!sgt)
		return;
	if (drm_gem_is_imported(obj)) {
		dma_buf_unmap_attachment_unlocked(obj->import_attach, sgt, DMA_BIDIRECTIONAL);
	} else {
		dma_unmap_sgtable(obj->dev->dev, sgt, DMA_BIDIRECTIONAL, 0);
		sg_free_table(sgt);
		kfree(sgt);
	}
}

static void untrack(struct octans_bo *bo, enum octans_share share)
{
	struct octans_device *dev = to_octans(bo->base.base.dev);

	/* What octans_gem_unplug() does not find is unmapped when the lock is free. */
	mutex_lock(&dev->bos_lock);
	list_del(&bo->in_dev);
	unmap_dma(bo);
	mutex_unlock(&dev->bos_lock);
	atomic_dec(&dev->objects.buffers);
	if (bo->user)
		octans_user_uncharge(bo->user, share, bo->base.base.size >> PAGE_SHIFT);
	octans_user_put(bo->user);
}

/**
 * octans_gem_unplug() - the device is unbound soon, and is not used any more
 * @dev: device; drm_dev_unplug() and octans_vm_unplug() have been called
 */
void octans_gem_unplug(struct octans_device *dev)
{
	struct octans_bo *bo;

	mutex_lock(&dev->bos_lock);
	list_for_each_entry(bo, &dev->bos, in_dev)
		unmap_dma(bo);
	mutex_unlock(&dev->bos_lock);
}

/**
 * octans_gem_lost() - has the card lost what this buffer held?
 * @bo: buffer
 *
 * It holds nothing from then on, whatever is written to it.
 *
 * Return: whether it has.
 */
bool octans_gem_lost(struct octans_bo *bo)
{
	return bo->local && bo->losses != READ_ONCE(to_octans(bo->base.base.dev)->local.losses);
}

/**
 * octans_gem_revoke() - mappings of on-card memory lead to dummy pages from now on
 * @dev: device that is dead, or those of what it has lost
 */
void octans_gem_revoke(struct octans_device *dev)
{
	/* Who takes a page of the card at this moment is seen by what follows. */
	mutex_lock(&dev->local.lock);
	mutex_unlock(&dev->local.lock);
	unmap_mapping_range(dev->drm.anon_inode->i_mapping, 0, 0, 1);
}

/**
 * octans_gem_hide() - whoever touches on-card memory by a mapping waits until the gate is UP again
 * @dev: device, whose gate has been closed: what CPUs write now does not arrive
 *
 * Takes no lock under which somebody allocates: see octans_device.h.
 */
void octans_gem_hide(struct octans_device *dev)
{
	smp_mb();	/* pairs with card_fault() */
	unmap_mapping_range(dev->drm.anon_inode->i_mapping, 0, 0, 1);
}

/* The gate, as who maps a page sees it. */
static bool is_away(struct octans_device *dev)
{
	enum octans_gate gate = READ_ONCE(dev->gate);

	return gate != OCTANS_GATE_UP && gate != OCTANS_GATE_DOWN;
}

static int make_pieces(struct octans_bo *bo, struct sg_table *sgt)
{
	struct octans_device *dev = to_octans(bo->base.base.dev);
	struct octans_pieces p = { .room = sgt->nents };
	struct scatterlist *sg;
	unsigned int i;
	int ret = 0;

	p.list = kvmalloc_array(p.room, sizeof(*p.list), GFP_KERNEL_ACCOUNT);
	if (!p.list)
		return -ENOMEM;
	for_each_sgtable_dma_sg(sgt, sg, i) {
		ret = octans_pieces_add(&p, sg_dma_address(sg), sg_dma_len(sg));
		/* The device would work on a copy, behind everybody's back. */
		if (!ret && !device_iommu_mapped(dev->drm.dev) &&
		    dma_need_sync(dev->drm.dev, sg_dma_address(sg))) {
			drm_warn_once(&dev->drm, "the kernel would copy what the device reaches in host memory (swiotlb), so only on-card memory can be mapped: boot with an IOMMU, or without swiotlb=force\n");
			ret = -EIO;
		}
		if (ret)
			break;
		cond_resched();
	}
	if (!ret && p.size < bo->base.base.size)
		ret = -EINVAL;
	if (ret) {
		drm_dbg(&dev->drm, "a buffer of %zu bytes is of no use to the device: %d\n",
			bo->base.base.size, ret);
		kvfree(p.list);
		return ret;
	}
	bo->pieces = p;
	return 0;
}

/* The helper gives up for any signal, if somebody else has the lock; we only if we are killed. */
static struct sg_table *pages_of(struct octans_bo *bo)
{
	struct sg_table *sgt = drm_gem_shmem_get_pages_sgt(&bo->base);

	while (sgt == ERR_PTR(-EINTR) && !fatal_signal_pending(current)) {
		dma_resv_lock(bo->base.base.resv, NULL);	/* until it is free */
		dma_resv_unlock(bo->base.base.resv);
		sgt = drm_gem_shmem_get_pages_sgt(&bo->base);
	}
	return sgt;
}

/**
 * octans_gem_pin() - find out where host memory lies for the device
 * @bo: buffer; it stays there as long as it lives and the device is bound
 *
 * Inside drm_dev_enter().
 *
 * Return: 0; -EIO: the kernel would copy it (swiotlb), so the device cannot use host memory;
 * -ENODATA: octans_gem_lost(); or another negative errno.
 */
int octans_gem_pin(struct octans_bo *bo)
{
	struct sg_table *sgt;
	int ret = 0;

	if (bo->local)
		return octans_gem_lost(bo) ? -ENODATA : 0;
	sgt = pages_of(bo);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	dma_resv_lock(bo->base.base.resv, NULL);
	if (!bo->pieces.list)
		ret = make_pieces(bo, sgt);
	dma_resv_unlock(bo->base.base.resv);
	return ret;
}

static void host_free(struct drm_gem_object *obj)
{
	struct octans_bo *bo = to_octans_bo(obj);

	untrack(bo, OCTANS_HOST);
	kvfree(bo->pieces.list);
	drm_gem_shmem_free(&bo->base);
}

/* The offset for it can be guessed, and a dma-buf needs none. */
static int host_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	if (to_octans_bo(obj)->no_mmap)
		return -EPERM;
	return drm_gem_shmem_object_mmap(obj, vma);
}

static const struct drm_gem_object_funcs host_funcs = {
	.free = host_free,
	.print_info = drm_gem_shmem_object_print_info,
	.pin = drm_gem_shmem_object_pin,
	.unpin = drm_gem_shmem_object_unpin,
	.get_sg_table = drm_gem_shmem_object_get_sg_table,
	.vmap = drm_gem_shmem_object_vmap,
	.vunmap = drm_gem_shmem_object_vunmap,
	.mmap = host_mmap,
	.vm_ops = &drm_gem_shmem_vm_ops,
};

/**
 * octans_gem_create_object() - &drm_driver.gem_create_object
 * @drm: device
 * @size: bytes
 *
 * If the core cannot complete the object it frees it without a word: so nothing is counted here.
 *
 * Return: an object for host memory, or an ERR_PTR().
 */
struct drm_gem_object *octans_gem_create_object(struct drm_device *drm, size_t size)
{
	struct octans_bo *bo = kzalloc_obj(*bo, GFP_KERNEL_ACCOUNT);

	if (!bo)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&bo->label_lock);
	bo->base.base.funcs = &host_funcs;
	return &bo->base.base;
}

/**
 * octans_gem_prime_import() - &drm_driver.gem_prime_import
 * @drm: device
 * @buf: what to import
 *
 * Return: an object, or an ERR_PTR().
 */
struct drm_gem_object *octans_gem_prime_import(struct drm_device *drm, struct dma_buf *buf)
{
	struct drm_gem_object *obj;
	int idx;

	/* It is mapped for the device at once. */
	if (!drm_dev_enter(drm, &idx))
		return ERR_PTR(-ENODEV);
	obj = drm_gem_prime_import(drm, buf);
	drm_dev_exit(idx);
	return obj;
}

/**
 * octans_gem_import_sg_table() - &drm_driver.gem_prime_import_sg_table
 * @drm: device
 * @attach: to the exporter's buffer
 * @sgt: where that lies
 *
 * Its pages are charged to nobody: whoever made them may have given them to many.
 *
 * Return: an object, or an ERR_PTR().
 */
struct drm_gem_object *octans_gem_import_sg_table(struct drm_device *drm,
						  struct dma_buf_attachment *attach,
						  struct sg_table *sgt)
{
	struct drm_gem_object *obj = drm_gem_shmem_prime_import_sg_table(drm, attach, sgt);

	if (!IS_ERR(obj))
		track(to_octans_bo(obj), NULL);
	return obj;
}

static void local_free(struct drm_gem_object *obj)
{
	struct octans_bo *bo = to_octans_bo(obj);

	octans_local_free(to_octans(obj->dev), &bo->node);
	octans_power_drop(to_octans(obj->dev));
	untrack(bo, OCTANS_CARD);
	if (bo->dummy)
		__free_page(bo->dummy);
	drm_gem_object_release(obj);
	kfree(bo);
}

/*
 * When the device, or what was on it, is gone a mapping stays readable and writable, never a
 * signal: it shows one page for all of the buffer, and nothing of others' buffers.
 */
static vm_fault_t dummy_fault(struct vm_fault *vmf, struct octans_bo *bo)
{
	struct page *page = READ_ONCE(bo->dummy);

	if (!page) {
		page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!page)
			return VM_FAULT_OOM;
		if (cmpxchg(&bo->dummy, NULL, page)) {
			__free_page(page);
			page = bo->dummy;
		}
	}
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(page));
}

/* Inserts a page of the card, unless it was revoked.  Inside drm_dev_enter(). */
static vm_fault_t card_fault(struct vm_fault *vmf, struct octans_bo *bo, unsigned long page)
{
	struct octans_device *dev = to_octans(bo->base.base.dev);
	u64 at = bo->node.start + ((u64)page << PAGE_SHIFT);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	mutex_lock(&dev->local.lock);
	if (octans_device_down(dev) || octans_gem_lost(bo))
		ret = VM_FAULT_RETRY;
	else if (at < dev->local.visible)
		ret = vmf_insert_pfn(vmf->vma, vmf->address, PHYS_PFN(dev->local.bar + at));
	mutex_unlock(&dev->local.lock);
	/* pairs with octans_gem_hide(): that finds the page, or we see why it is gone */
	smp_mb();
	if (is_away(dev))
		unmap_mapping_range(vmf->vma->vm_file->f_mapping, (loff_t)vmf->pgoff << PAGE_SHIFT,
				    PAGE_SIZE, 1);
	return ret;
}

static vm_fault_t local_fault(struct vm_fault *vmf)
{
	struct octans_bo *bo = to_octans_bo((struct drm_gem_object *)vmf->vma->vm_private_data);
	struct octans_device *dev = to_octans(bo->base.base.dev);
	unsigned long page = vmf->pgoff - drm_vma_node_start(&bo->base.base.vma_node);
	vm_fault_t ret = VM_FAULT_RETRY;
	int idx;

	if (page >= bo->base.base.size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;
	if (drm_dev_enter(&dev->drm, &idx)) {
		ret = wait_event_killable(dev->gate_wait, !is_away(dev)) ? VM_FAULT_SIGBUS :
		      card_fault(vmf, bo, page);
		drm_dev_exit(idx);
	}
	return ret == VM_FAULT_RETRY ? dummy_fault(vmf, bo) : ret;
}

static const struct vm_operations_struct local_vm_ops = {
	.fault = local_fault,
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

static int local_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	if (to_octans_bo(obj)->no_mmap)
		return -EPERM;
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		return -EINVAL;		/* copy on write */
	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_writecombine(vm_get_page_prot(vma->vm_flags));
	return 0;
}

static const struct drm_gem_object_funcs local_funcs = {
	.free = local_free,
	.mmap = local_mmap,
	.vm_ops = &local_vm_ops,
};

static struct octans_bo *local_alloc(struct octans_device *dev, u64 size)
{
	struct octans_bo *bo = kzalloc_obj(*bo, GFP_KERNEL_ACCOUNT);
	int ret;

	if (!bo)
		return ERR_PTR(-ENOMEM);
	drm_gem_private_object_init(&dev->drm, &bo->base.base, size);
	bo->losses = READ_ONCE(dev->local.losses);	/* also those of what is being cleared */
	/* Now, as a dma-buf that is mapped would not notice an offset that comes later. */
	ret = drm_gem_create_mmap_offset(&bo->base.base);
	if (!ret)
		ret = octans_local_alloc(dev, &bo->node, size);
	if (ret) {
		drm_gem_object_release(&bo->base.base);
		kfree(bo);
		return ERR_PTR(ret);
	}
	spin_lock_init(&bo->label_lock);
	bo->local = true;
	bo->base.base.funcs = &local_funcs;
	return bo;
}

static struct drm_gem_object *local_create(struct octans_device *dev, struct octans_user *user,
					   u64 size)
{
	struct octans_bo *bo;
	int ret;

	if (size > dev->local.visible)
		return ERR_PTR(-ENOSPC);
	ret = octans_user_charge(user, OCTANS_CARD, size >> PAGE_SHIFT);
	if (ret)
		return ERR_PTR(ret);
	bo = local_alloc(dev, size);
	if (IS_ERR(bo)) {
		octans_user_uncharge(user, OCTANS_CARD, size >> PAGE_SHIFT);
		return ERR_CAST(bo);
	}
	octans_power_hold(dev);
	track(bo, user);
	return &bo->base.base;
}

/* All of it is charged at once: it is pinned page by page, when there is no good answer left. */
static struct drm_gem_object *host_create(struct octans_device *dev, struct octans_user *user,
					  u64 size)
{
	struct drm_gem_shmem_object *shmem;
	int ret;

	/* shmem would take the size and fail page by page, with the OOM killer's help */
	if (size >> PAGE_SHIFT > totalram_pages())
		return ERR_PTR(-ENOMEM);
	ret = octans_user_charge(user, OCTANS_HOST, size >> PAGE_SHIFT);
	if (ret)
		return ERR_PTR(ret);
	shmem = drm_gem_shmem_create(&dev->drm, size);
	if (IS_ERR(shmem)) {
		octans_user_uncharge(user, OCTANS_HOST, size >> PAGE_SHIFT);
		return ERR_CAST(shmem);
	}
	track(to_octans_bo(&shmem->base), user);
	return &shmem->base;
}

/**
 * octans_ioctl_bo_create() - DRM_IOCTL_OCTANS_BO_CREATE
 * @drm: device
 * @data: struct drm_octans_bo_create
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct octans_device *dev = to_octans(drm);
	struct octans_file *ofile = file->driver_priv;
	struct drm_octans_bo_create *args = data;
	struct drm_gem_object *obj;
	u64 size;
	int ret;

	if (args->flags & ~(DRM_OCTANS_BO_DEVICE | DRM_OCTANS_BO_NO_MMAP) || args->handle)
		return -EINVAL;
	if (!args->size || args->size > 1ULL << 40)
		return -EINVAL;
	size = PAGE_ALIGN(args->size);
	if (args->flags & DRM_OCTANS_BO_DEVICE)
		obj = local_create(dev, ofile->user, size);
	else
		obj = host_create(dev, ofile->user, size);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	to_octans_bo(obj)->no_mmap = args->flags & DRM_OCTANS_BO_NO_MMAP;
	ret = drm_gem_handle_create(file, obj, &args->handle);
	args->size = size;
	drm_gem_object_put(obj);	/* the handle has its own reference */
	return ret;
}

/**
 * octans_ioctl_bo_mmap_offset() - DRM_IOCTL_OCTANS_BO_MMAP_OFFSET
 * @drm: device
 * @data: struct drm_octans_bo_mmap_offset
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_bo_mmap_offset(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_octans_bo_mmap_offset *args = data;
	struct drm_gem_object *obj;
	int ret = -EPERM;

	if (args->pad || args->offset)
		return -EINVAL;
	obj = drm_gem_object_lookup(file, args->handle);
	if (!obj)
		return -ENOENT;
	if (!to_octans_bo(obj)->no_mmap && !drm_gem_is_imported(obj))
		ret = drm_gem_create_mmap_offset(obj);
	if (!ret)
		args->offset = drm_vma_node_offset_addr(&obj->vma_node);
	drm_gem_object_put(obj);
	return ret;
}

/**
 * octans_ioctl_bo_query() - DRM_IOCTL_OCTANS_BO_QUERY
 * @drm: device
 * @data: struct drm_octans_bo_query
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_bo_query(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_octans_bo_query *args = data;
	struct drm_gem_object *obj;
	struct octans_bo *bo;

	if (args->flags || args->size)
		return -EINVAL;
	obj = drm_gem_object_lookup(file, args->handle);
	if (!obj)
		return -ENOENT;
	bo = to_octans_bo(obj);
	args->size = obj->size;
	args->flags = (bo->local ? DRM_OCTANS_BO_DEVICE : 0) |
		      (bo->no_mmap ? DRM_OCTANS_BO_NO_MMAP : 0) |
		      (octans_gem_lost(bo) ? DRM_OCTANS_BO_LOST : 0) |
		      (drm_gem_is_imported(obj) ? DRM_OCTANS_BO_IMPORTED : 0);
	drm_gem_object_put(obj);
	return 0;
}

/**
 * octans_ioctl_bo_set_label() - DRM_IOCTL_OCTANS_BO_SET_LABEL
 * @drm: device
 * @data: struct drm_octans_bo_set_label
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_bo_set_label(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_octans_bo_set_label *args = data;
	char label[DRM_OCTANS_LABEL_MAX + 1] = { 0 };
	struct drm_gem_object *obj;
	u32 i;

	if (args->len > DRM_OCTANS_LABEL_MAX || (!args->len && args->label))
		return -EINVAL;
	if (copy_from_user(label, u64_to_user_ptr(args->label), args->len))
		return -EFAULT;
	for (i = 0; i < args->len; i++)
		if (label[i] < ' ' || label[i] > '~')
			return -EINVAL;
	obj = drm_gem_object_lookup(file, args->handle);
	if (!obj)
		return -ENOENT;
	spin_lock(&to_octans_bo(obj)->label_lock);
	memcpy(to_octans_bo(obj)->label, label, sizeof(label));
	spin_unlock(&to_octans_bo(obj)->label_lock);
	drm_gem_object_put(obj);
	return 0;
}
