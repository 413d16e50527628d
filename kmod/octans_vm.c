// SPDX-License-Identifier: GPL-2.0-only
/* Address spaces: drm_gpuvm keeps the mappings, octans_pt what the device reads. */
#include <linux/dma-resv.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_file.h>

#include "octans_device.h"
#include "octans_drv.h"
#include "octans_gem.h"
#include "octans_mmu.h"
#include "octans_uobj.h"
#include "octans_user.h"
#include "octans_vm.h"

/*
 * struct octans_va - a mapping
 */
struct octans_va {
	struct drm_gpuva base;
	bool readonly;
	/** @dead: in bind.dead: unmapped, kept until the device has forgotten it */
	struct list_head dead;
};

#define to_octans_va(va) container_of(va, struct octans_va, base)

/*
 * struct bind - one VM_BIND, or the end of an address space
 */
struct bind {
	struct octans_vm *vm;
	/** @dead: mappings to release after the flush: only then may their pages be freed */
	struct list_head dead;
	/* of the operation under way */
	struct octans_va *map, *prev, *next;
	struct drm_gpuvm_bo *vm_bo;
	bool readonly;
};

static void link_va(struct octans_va *va, struct drm_gpuvm_bo *vm_bo)
{
	struct dma_resv *resv = vm_bo->obj->resv;

	dma_resv_lock(resv, NULL);
	drm_gpuva_link(&va->base, vm_bo);
	dma_resv_unlock(resv);
}

/* Calls @fn for each piece of a buffer that is contiguous for the device, until one fails. */
static int each_piece(struct octans_vm *vm, struct octans_bo *bo, u64 va, u64 offset, u64 size,
		      u64 flags,
		      int (*fn)(struct octans_vm *vm, u64 va, u64 size, u64 addr, u64 flags))
{
	u64 addr, n;
	int ret = 0;

	if (bo->local)
		return fn(vm, va, size, bo->node.start + offset, flags | OCTANS_PTE_LOCAL);
	while (size && !ret) {
		n = min(octans_pieces_find(&bo->pieces, offset, &addr), size);
		ret = fn(vm, va, n, addr, flags);
		offset += n;
		va += n;
		size -= n;
	}
	return ret;
}

static int reserve_piece(struct octans_vm *vm, u64 va, u64 size, u64 addr, u64 flags)
{
	return octans_pt_reserve(&vm->pt, va, size, addr);
}

static int map_piece(struct octans_vm *vm, u64 va, u64 size, u64 addr, u64 flags)
{
	octans_pt_map(&vm->pt, va, size, addr, flags);
	return 0;
}

static void write_entries(struct octans_vm *vm, const struct octans_va *va)
{
	each_piece(vm, to_octans_bo(va->base.gem.obj), va->base.va.addr, va->base.gem.offset,
		   va->base.va.range, va->readonly ? 0 : OCTANS_PTE_WRITE, map_piece);
}

static int step_map(struct drm_gpuva_op *op, void *arg)
{
	struct bind *b = arg;
	struct octans_va *va = b->map;

	b->map = NULL;
	va->readonly = b->readonly;
	drm_gpuva_map(&b->vm->base, &va->base, &op->map);
	link_va(va, b->vm_bo);
	write_entries(b->vm, va);
	return 0;
}

static int step_unmap(struct drm_gpuva_op *op, void *arg)
{
	struct octans_va *va = to_octans_va(op->unmap.va);
	struct bind *b = arg;

	octans_pt_unmap(&b->vm->pt, va->base.va.addr, va->base.va.range);
	drm_gpuva_unmap(&op->unmap);
	list_add(&va->dead, &b->dead);
	return 0;
}

/* What stays of the old mapping keeps its entries. */
static int step_remap(struct drm_gpuva_op *op, void *arg)
{
	struct octans_va *old = to_octans_va(op->remap.unmap->va), *prev = NULL, *next = NULL;
	struct bind *b = arg;
	u64 start, range;

	if (op->remap.prev) {
		prev = b->prev;
		b->prev = NULL;
		prev->readonly = old->readonly;
	}
	if (op->remap.next) {
		next = b->next;
		b->next = NULL;
		next->readonly = old->readonly;
	}
	drm_gpuva_op_remap_to_unmap_range(&op->remap, &start, &range);
	octans_pt_unmap(&b->vm->pt, start, range);
	drm_gpuva_remap(prev ? &prev->base : NULL, next ? &next->base : NULL, &op->remap);
	if (prev)
		link_va(prev, old->base.vm_bo);
	if (next)
		link_va(next, old->base.vm_bo);
	list_add(&old->dead, &b->dead);
	return 0;
}

/* What vm_alloc() did. */
static void vm_discard(struct octans_vm *vm)
{
	octans_user_uncharge(vm->user, OCTANS_SPACES, 1);
	octans_user_put(vm->user);
	mutex_destroy(&vm->lock);
	kfree(vm);
}

static void vm_free(struct drm_gpuvm *gpuvm)
{
	struct octans_vm *vm = to_octans_vm(gpuvm);

	octans_pt_fini(&vm->pt);
	xa_erase(&vm->dev->vms, vm->asid);
	atomic_dec(&vm->dev->objects.spaces);
	octans_power_drop(vm->dev);
	vm_discard(vm);
}

static const struct drm_gpuvm_ops vm_ops = {
	.vm_free = vm_free,
	.sm_step_map = step_map,
	.sm_step_remap = step_remap,
	.sm_step_unmap = step_unmap,
};

/* The device has forgotten the mappings: drop what they held. */
static void release_dead(struct bind *b)
{
	struct octans_va *va, *tmp;

	list_for_each_entry_safe(va, tmp, &b->dead, dead) {
		struct drm_gem_object *obj = va->base.gem.obj;

		drm_gem_object_get(obj);	/* for the lock inside it */
		dma_resv_lock(obj->resv, NULL);
		drm_gpuva_unlink(&va->base);
		dma_resv_unlock(obj->resv);
		drm_gem_object_put(obj);
		kfree(va);
	}
	INIT_LIST_HEAD(&b->dead);
}

/*
 * What is written to tables on the card while the function is being reset does not arrive.  On
 * return all has, or the device is down.
 */
static void write_through(struct octans_vm *vm)
{
	struct octans_device *dev = vm->dev;
	u32 n;

	if (!vm->pt.on_card)
		return;
	octans_local_arrived(dev);
	while (n = octans_gate_absences(dev), n != vm->absences && !octans_device_down(dev)) {
		vm->absences = n;
		octans_pt_rewrite(&vm->pt);
		octans_local_arrived(dev);
	}
}

/*
 * Ends a change: on return the device reaches nothing any more that was unmapped, and what that
 * held is free.  It need not be told if entries have only become valid.
 */
static void settle(struct bind *b)
{
	struct octans_vm *vm = b->vm;
	struct octans_va *va;

	list_for_each_entry(va, &b->dead, dead)
		octans_pt_prune(&vm->pt, va->base.va.addr, va->base.va.range);
	write_through(vm);	/* and only then it forgets what was there before */
	if (vm->pt.stale)
		octans_mmu_flush(vm->dev, vm->asid);
	octans_pt_flushed(&vm->pt);
	release_dead(b);
}

/* Takes everything away from an address space.  The structure stays while jobs use it. */
static void vm_close(struct octans_vm *vm)
{
	struct bind b = { .vm = vm, .dead = LIST_HEAD_INIT(b.dead) };

	mutex_lock(&vm->lock);
	if (!vm->closed) {
		vm->closed = true;
		octans_mmu_set(vm->dev, vm->asid, 0);
		drm_gpuvm_sm_unmap(&vm->base, &b, 0, 1ULL << OCTANS_VA_BITS);
		octans_mmu_flush(vm->dev, vm->asid);
		release_dead(&b);
		octans_pt_fini(&vm->pt);
	}
	mutex_unlock(&vm->lock);
}

/**
 * octans_vm_get() - find an address space
 * @file: its owner
 * @id: its id
 *
 * Return: the address space with a reference, or NULL.
 */
struct octans_vm *octans_vm_get(struct octans_file *file, u32 id)
{
	struct octans_vm *vm;

	xa_lock(&file->vms);
	vm = xa_load(&file->vms, id);
	if (vm)
		drm_gpuvm_get(&vm->base);
	xa_unlock(&file->vms);
	return vm;
}

/**
 * octans_vm_put() - drop a reference; may sleep
 * @vm: address space
 */
void octans_vm_put(struct octans_vm *vm)
{
	drm_gpuvm_put(&vm->base);
}

/**
 * octans_vm_fault() - put a record into the log
 * @vm: address space
 * @fault: record
 */
void octans_vm_fault(struct octans_vm *vm, const struct drm_octans_fault *fault)
{
	unsigned long flags;

	spin_lock_irqsave(&vm->fault_lock, flags);
	if (vm->n_faults < OCTANS_FAULT_LOG)
		vm->faults[vm->n_faults++] = *fault;
	else
		vm->lost_faults++;
	spin_unlock_irqrestore(&vm->fault_lock, flags);
}

/**
 * octans_vm_close_all() - the file is being closed; its queues are gone
 * @file: file
 */
void octans_vm_close_all(struct octans_file *file)
{
	struct octans_vm *vm;
	unsigned long id;

	xa_for_each(&file->vms, id, vm) {
		xa_erase(&file->vms, id);
		vm_close(vm);
		octans_vm_put(vm);
	}
	xa_destroy(&file->vms);
}

/* Calls @fn for all that are not on their way out: those close themselves. */
static void each_vm(struct octans_device *dev, void (*fn)(struct octans_vm *vm))
{
	struct octans_vm *vm;
	unsigned long asid;

	xa_lock(&dev->vms);
	xa_for_each(&dev->vms, asid, vm) {
		if (!kref_get_unless_zero(&vm->base.kref))
			continue;
		xa_unlock(&dev->vms);
		fn(vm);
		octans_vm_put(vm);
		xa_lock(&dev->vms);
	}
	xa_unlock(&dev->vms);
}

static void vm_restore(struct octans_vm *vm)
{
	struct drm_gpuva *va;

	mutex_lock(&vm->lock);
	octans_pt_rewrite(&vm->pt);
	drm_gpuvm_for_each_va(va, &vm->base)
		if (va->gem.obj && octans_gem_lost(to_octans_bo(va->gem.obj)))
			vm->lost = true;
	mutex_unlock(&vm->lock);
}

/**
 * octans_vm_restore() - the card has lost everything: write what was ours, note what was not
 * @dev: device, after octans_local_lose(); nothing runs, and the gate is UP
 */
void octans_vm_restore(struct octans_device *dev)
{
	each_vm(dev, vm_restore);
}

/**
 * octans_vm_unplug() - free what is mapped for DMA while the device is still bound
 * @dev: device, cut off from memory
 */
void octans_vm_unplug(struct octans_device *dev)
{
	each_vm(dev, vm_close);
}

static struct octans_vm *vm_alloc(struct octans_device *dev, struct octans_user *user)
{
	struct octans_vm *vm;
	int ret;

	ret = octans_user_charge(user, OCTANS_SPACES, 1);
	if (ret)
		return ERR_PTR(ret);
	vm = kzalloc_obj(*vm, GFP_KERNEL_ACCOUNT);
	if (!vm) {
		octans_user_uncharge(user, OCTANS_SPACES, 1);
		return ERR_PTR(-ENOMEM);
	}
	vm->dev = dev;
	vm->user = octans_user_get(user);
	mutex_init(&vm->lock);
	spin_lock_init(&vm->fault_lock);
	return vm;
}

/*
 * Gives it an ASID and tables.  The device knows it before others find it: what an unplug finds it
 * can close.
 */
static int vm_start(struct octans_vm *vm)
{
	struct octans_device *dev = vm->dev;
	struct drm_gem_object *resv_obj;
	int ret;

	ret = octans_pt_init(&vm->pt, dev->drm.dev, dev, vm->user, &dev->objects.tables);
	if (ret)
		return ret;
	resv_obj = drm_gpuvm_resv_object_alloc(&dev->drm);
	if (!resv_obj) {
		ret = -ENOMEM;
		goto err_pt;
	}
	ret = xa_alloc(&dev->vms, &vm->asid, NULL, XA_LIMIT(1, dev->info.asids - 1),
		       GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_resv;
	drm_gpuvm_init(&vm->base, "octans", 0, &dev->drm, resv_obj, 0, 1ULL << OCTANS_VA_BITS, 0, 0,
		       &vm_ops);
	drm_gem_object_put(resv_obj);
	/* It was invalid, and nobody remembers that: there is nothing to forget. */
	octans_mmu_set(dev, vm->asid, octans_pt_root(&vm->pt));
	atomic_inc(&dev->objects.spaces);
	octans_power_hold(dev);
	/* Nobody but us may use this ASID, so the slot is still there. */
	xa_store(&dev->vms, vm->asid, vm, GFP_KERNEL_ACCOUNT);
	return 0;
err_resv:
	drm_gem_object_put(resv_obj);
	if (ret == -EBUSY)
		ret = -ENOSPC;
err_pt:
	octans_pt_fini(&vm->pt);
	return ret;
}

static int vm_create(struct octans_device *dev, struct octans_file *ofile, u32 *id)
{
	struct octans_vm *vm = vm_alloc(dev, ofile->user);
	int ret;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	ret = vm_start(vm);
	if (ret) {
		vm_discard(vm);
		return ret;
	}
	ret = xa_alloc(&ofile->vms, id, vm, XA_LIMIT(1, OCTANS_FILE_VMS), GFP_KERNEL_ACCOUNT);
	if (ret) {
		vm_close(vm);
		octans_vm_put(vm);
	}
	return ret == -EBUSY ? -EDQUOT : ret;
}

/**
 * octans_ioctl_vm_create() - DRM_IOCTL_OCTANS_VM_CREATE
 * @drm: device
 * @data: struct drm_octans_vm_create
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_vm_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_octans_vm_create *args = data;
	int idx, ret;
	u32 id;

	if (args->flags || args->id)
		return -EINVAL;
	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;
	ret = vm_create(to_octans(drm), file->driver_priv, &id);
	drm_dev_exit(idx);
	if (!ret)
		args->id = id;
	return ret;
}

/**
 * octans_ioctl_vm_destroy() - DRM_IOCTL_OCTANS_VM_DESTROY
 * @drm: device
 * @data: struct drm_octans_vm_destroy
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_vm_destroy(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_octans_vm_destroy *args = data;
	struct octans_file *ofile = file->driver_priv;
	struct octans_vm *vm;

	if (args->pad)
		return -EINVAL;
	xa_lock(&ofile->vms);
	vm = xa_load(&ofile->vms, args->id);
	if (vm && atomic_read(&vm->queues)) {
		xa_unlock(&ofile->vms);
		return -EBUSY;
	}
	__xa_erase(&ofile->vms, args->id);
	xa_unlock(&ofile->vms);
	if (!vm)
		return -ENOENT;
	vm_close(vm);
	octans_vm_put(vm);
	return 0;
}

/* ---- binding ---- */

static bool range_ok(u64 start, u64 size, u64 top)
{
	return size && IS_ALIGNED(start | size, PAGE_SIZE) && start < top && size <= top - start;
}

static int check_op(const struct drm_octans_bind_op *op)
{
	if (op->pad || !range_ok(op->va, op->size, 1ULL << OCTANS_VA_BITS))
		return -EINVAL;
	switch (op->kind) {
	case DRM_OCTANS_BIND_MAP:
		return op->flags & ~DRM_OCTANS_BIND_READONLY ? -EINVAL : 0;
	case DRM_OCTANS_BIND_UNMAP:
		return op->flags || op->handle || op->offset ? -EINVAL : 0;
	}
	return -EINVAL;
}

/* A mapping in the middle of another leaves two. */
static int prepare_vas(struct bind *b)
{
	struct octans_va **vas[] = { &b->map, &b->prev, &b->next };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vas); i++) {
		if (!*vas[i])
			*vas[i] = kzalloc_obj(**vas[i], GFP_KERNEL_ACCOUNT);
		if (!*vas[i])
			return -ENOMEM;
	}
	return 0;
}

static int bind_map(struct bind *b, const struct drm_octans_bind_op *op, struct drm_gem_object *obj)
{
	struct octans_bo *bo = to_octans_bo(obj);
	struct drm_gpuvm_map_req req = {
		.map.va.addr = op->va,
		.map.va.range = op->size,
		.map.gem.obj = obj,
		.map.gem.offset = op->offset,
	};
	int ret;

	if (!range_ok(op->offset, op->size, obj->size))
		return -EINVAL;
	ret = octans_gem_pin(bo);
	if (ret)
		return ret;
	ret = each_piece(b->vm, bo, op->va, op->offset, op->size, 0, reserve_piece);
	if (ret)
		return ret;
	dma_resv_lock(obj->resv, NULL);
	b->vm_bo = drm_gpuvm_bo_obtain_locked(&b->vm->base, obj);
	dma_resv_unlock(obj->resv);
	if (IS_ERR(b->vm_bo))
		return PTR_ERR(b->vm_bo);
	b->readonly = op->flags & DRM_OCTANS_BIND_READONLY;
	ret = drm_gpuvm_sm_map(&b->vm->base, b, &req);
	dma_resv_lock(obj->resv, NULL);
	drm_gpuvm_bo_put(b->vm_bo);
	dma_resv_unlock(obj->resv);
	return ret;
}

static int change(struct bind *b, const struct drm_octans_bind_op *op, struct drm_file *file)
{
	struct drm_gem_object *obj;
	int ret = prepare_vas(b);

	/* Whatever is mapped over the ends of the range stays outside of it. */
	if (!ret)
		ret = octans_pt_split(&b->vm->pt, op->va);
	if (!ret)
		ret = octans_pt_split(&b->vm->pt, op->va + op->size);
	if (ret)
		return ret;
	if (op->kind == DRM_OCTANS_BIND_UNMAP)
		return drm_gpuvm_sm_unmap(&b->vm->base, b, op->va, op->size);
	obj = drm_gem_object_lookup(file, op->handle);
	if (!obj)
		return -ENOENT;
	ret = bind_map(b, op, obj);
	drm_gem_object_put(obj);
	return ret;
}

static int bind_one(struct bind *b, const struct drm_octans_bind_op *op, struct drm_file *file)
{
	int ret = check_op(op);

	if (ret)
		return ret;
	ret = change(b, op, file);
	if (ret)
		octans_pt_prune(&b->vm->pt, op->va, op->size);	/* what it had reserved */
	return ret;
}

/* Who is being killed, and a device that goes, do not wait for 4,096 large buffers. */
static int may_go_on(struct octans_vm *vm)
{
	if (octans_device_down(vm->dev))
		return -ENODEV;
	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();
	return vm->closed ? -ENOENT : 0;	/* by another thread */
}

static int bind_all(struct octans_vm *vm, struct drm_octans_vm_bind *args,
		    const struct drm_octans_bind_op *ops, struct drm_file *file)
{
	struct bind b = { .vm = vm, .dead = LIST_HEAD_INIT(b.dead) };
	int ret = 0;

	mutex_lock(&vm->lock);
	vm->absences = octans_gate_absences(vm->dev);
	while (!ret && args->done < args->ops.count) {
		if (READ_ONCE(vm->dev->absences) != vm->absences)
			write_through(vm);
		ret = may_go_on(vm);
		if (!ret)
			ret = bind_one(&b, &ops[args->done], file);
		if (!ret)
			args->done++;
	}
	if (!vm->closed)
		settle(&b);
	mutex_unlock(&vm->lock);
	kfree(b.map);
	kfree(b.prev);
	kfree(b.next);
	/* Cut off while we waited for it: what was to be reached is not. */
	return octans_device_down(vm->dev) ? -ENODEV : ret;
}

/**
 * octans_ioctl_vm_bind() - DRM_IOCTL_OCTANS_VM_BIND
 * @drm: device
 * @data: struct drm_octans_vm_bind
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_vm_bind(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_octans_vm_bind *args = data;
	struct drm_octans_bind_op *ops;
	struct octans_vm *vm;
	int idx, ret;

	if (args->flags || args->done || args->pad)
		return -EINVAL;
	ops = octans_uobj_get_array(&args->ops, DRM_OCTANS_MAX_BIND_OPS,
				    OCTANS_BIND_OP_MIN, sizeof(*ops));
	if (IS_ERR(ops))
		return PTR_ERR(ops);
	vm = octans_vm_get(file->driver_priv, args->vm_id);
	ret = -ENOENT;
	if (vm) {
		ret = -ENODEV;
		if (drm_dev_enter(drm, &idx)) {
			ret = bind_all(vm, args, ops, file);
			drm_dev_exit(idx);
		}
		octans_vm_put(vm);
	}
	kvfree(ops);
	return ret;
}

/**
 * octans_ioctl_vm_get_faults() - DRM_IOCTL_OCTANS_VM_GET_FAULTS
 * @drm: device
 * @data: struct drm_octans_vm_get_faults
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_vm_get_faults(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_octans_vm_get_faults *args = data;
	struct drm_octans_array *out = &args->faults;
	struct drm_octans_fault taken[OCTANS_FAULT_LOG];
	struct octans_vm *vm;
	u32 n, i;
	int ret = 0;

	if (args->pad || args->lost || out->stride < OCTANS_FAULT_MIN || out->stride > PAGE_SIZE ||
	    out->stride % 8)
		return -EINVAL;
	vm = octans_vm_get(file->driver_priv, args->vm_id);
	if (!vm)
		return -ENOENT;
	spin_lock_irq(&vm->fault_lock);
	n = min(out->count, vm->n_faults);
	memcpy(taken, vm->faults, n * sizeof(taken[0]));
	vm->n_faults -= n;
	memmove(vm->faults, vm->faults + n, vm->n_faults * sizeof(taken[0]));
	args->lost = vm->lost_faults;
	vm->lost_faults = 0;
	spin_unlock_irq(&vm->fault_lock);
	octans_vm_put(vm);
	for (i = 0; i < n && !ret; i++)
		ret = octans_uobj_put(out->ptr + (u64)i * out->stride, out->stride, &taken[i],
				      sizeof(taken[0]));
	out->count = n;
	return ret;
}
