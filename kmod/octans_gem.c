// SPDX-License-Identifier: GPL-2.0-only
/* Buffers: the shmem helpers for host memory, our own object functions for the card's. */
#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "compat.h"
#include "octans_device.h"
#include "octans_gem.h"

static void host_free(struct drm_gem_object *obj)
{
	atomic_dec(&to_octans(obj->dev)->objects.buffers);
	drm_gem_shmem_free(&to_octans_bo(obj)->base);
}

static const struct drm_gem_object_funcs host_funcs = {
	.free = host_free,
	.print_info = drm_gem_shmem_object_print_info,
	.pin = drm_gem_shmem_object_pin,
	.unpin = drm_gem_shmem_object_unpin,
	.get_sg_table = drm_gem_shmem_object_get_sg_table,
	.vmap = drm_gem_shmem_object_vmap,
	.vunmap = drm_gem_shmem_object_vunmap,
	.mmap = drm_gem_shmem_object_mmap,
	.vm_ops = &drm_gem_shmem_vm_ops,
};

/**
 * octans_gem_create_object() - &drm_driver.gem_create_object
 * @drm: device
 * @size: bytes
 *
 * Return: an object for host memory, or an ERR_PTR().
 */
struct drm_gem_object *octans_gem_create_object(struct drm_device *drm, size_t size)
{
	struct octans_bo *bo = kzalloc(sizeof(*bo), GFP_KERNEL_ACCOUNT);

	if (!bo)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&to_octans(drm)->objects.buffers);
	spin_lock_init(&bo->label_lock);
	bo->base.base.funcs = &host_funcs;
	return &bo->base.base;
}

static void local_free(struct drm_gem_object *obj)
{
	struct octans_bo *bo = to_octans_bo(obj);

	octans_local_free(to_octans(obj->dev), &bo->node);
	atomic_dec(&to_octans(obj->dev)->objects.buffers);
	drm_gem_object_release(obj);
	kfree(bo);
}

/* After an unplug a mapping stays readable and writable: everyone gets one dummy page,
 * never a signal.
 */
static vm_fault_t local_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct octans_bo *bo = to_octans_bo((struct drm_gem_object *)vma->vm_private_data);
	struct octans_device *dev = to_octans(bo->base.base.dev);
	unsigned long page = vmf->pgoff - drm_vma_node_start(&bo->base.base.vma_node);
	unsigned long pfn = page_to_pfn(dev->dummy);
	vm_fault_t ret;
	int idx;

	if (page >= bo->base.base.size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;
	if (!drm_dev_enter(&dev->drm, &idx))
		return vmf_insert_pfn(vma, vmf->address, pfn);
	pfn = PHYS_PFN(dev->local.bar + bo->node.start) + page;
	ret = vmf_insert_pfn(vma, vmf->address, pfn);
	drm_dev_exit(idx);
	return ret;
}

static const struct vm_operations_struct local_vm_ops = {
	.fault = local_fault,
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

static int local_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
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

static struct drm_gem_object *local_create(struct octans_device *dev, u64 size)
{
	struct octans_bo *bo;
	int ret;

	if (size > dev->local.visible)
		return ERR_PTR(-ENOSPC);
	bo = kzalloc(sizeof(*bo), GFP_KERNEL_ACCOUNT);
	if (!bo)
		return ERR_PTR(-ENOMEM);
	ret = octans_local_alloc(dev, &bo->node, size);
	if (ret) {
		kfree(bo);
		return ERR_PTR(ret);
	}
	atomic_inc(&dev->objects.buffers);
	spin_lock_init(&bo->label_lock);
	bo->local = true;
	bo->base.base.funcs = &local_funcs;
	drm_gem_private_object_init(&dev->drm, &bo->base.base, size);
	return &bo->base.base;
}

static struct drm_gem_object *host_create(struct octans_device *dev, u64 size)
{
	struct drm_gem_shmem_object *shmem = drm_gem_shmem_create(&dev->drm, size);

	return IS_ERR(shmem) ? ERR_CAST(shmem) : &shmem->base;
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
	struct drm_octans_bo_create *args = data;
	struct drm_gem_object *obj;
	u64 size;
	int ret;

	if (args->flags & ~(DRM_OCTANS_BO_DEVICE | DRM_OCTANS_BO_NO_MMAP) || args->handle)
		return -EINVAL;
	if (!args->size || args->size > 1ULL << 40)
		return -EINVAL;
	size = PAGE_ALIGN(args->size);
	/* shmem would take the size and fail page by page, with the OOM killer's help */
	if (!(args->flags & DRM_OCTANS_BO_DEVICE) && size >> PAGE_SHIFT > totalram_pages())
		return -ENOMEM;
	obj = args->flags & DRM_OCTANS_BO_DEVICE ? local_create(dev, size) : host_create(dev, size);
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
