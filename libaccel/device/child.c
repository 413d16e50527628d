// SPDX-License-Identifier: MIT
/*
 * What becomes of a processor in a child of fork().  The child has the parent's descriptor: what it freed
 * through that would be gone in the parent; of the model it has the memory, but not the threads.  So nothing
 * is done there any more: what makes or uses something is refused, and what frees leaves it to the parent.
 */
#include <errno.h>
#include <unistd.h>

#include "error.h"
#include "transport.h"

static int refuse(const struct accel_dev *dev)
{
	return fail(-ENODEV, "%s was opened before fork(), by this process's parent, which goes on with it: open it again here",
		    dev->info.name);
}

static int no_open(struct accel_dev *dev, const char *where)
{
	(void)where;
	return refuse(dev);
}

/* Descriptors are the child's own, what they stand for is shared. */
static void child_close(struct accel_dev *dev)
{
	reserve_drop(&dev->reserve);
	if (dev->fd >= 0)
		close(dev->fd);
}

static int no_memory_used(struct accel_dev *dev, uint64_t *bytes)
{
	(void)bytes;
	return refuse(dev);
}

static int no_control(struct accel_dev *dev, const char *line, char *reply, size_t len)
{
	(void)line;
	(void)reply;
	(void)len;
	return refuse(dev);
}

static int no_bo_new(struct accel_bo *bo, const char *label)
{
	(void)label;
	return refuse(bo->dev);
}

static void keep_bo(struct accel_bo *bo)
{
	(void)bo;
}

static int no_bo_map(struct accel_bo *bo)
{
	return refuse(bo->dev);
}

static int no_bo_export(struct accel_bo *bo, int *fd)
{
	(void)fd;
	return refuse(bo->dev);
}

static int no_bo_import(struct accel_bo *bo, int fd)
{
	(void)fd;
	return refuse(bo->dev);
}

static int no_vm_new(struct accel_vm *vm)
{
	return refuse(vm->dev);
}

static void keep_vm(struct accel_vm *vm)
{
	(void)vm;
}

static int no_vm_map(struct accel_vm *vm, struct accel_bo *bo, uint64_t offset, uint64_t va, uint64_t size,
		     uint32_t flags)
{
	(void)bo;
	(void)offset;
	(void)va;
	(void)size;
	(void)flags;
	return refuse(vm->dev);
}

static int no_vm_unmap(struct accel_vm *vm, uint64_t va, uint64_t size)
{
	(void)va;
	(void)size;
	return refuse(vm->dev);
}

static int no_vm_fault(struct accel_vm *vm, struct accel_fault *fault)
{
	(void)fault;
	return refuse(vm->dev);
}

static int no_queue_new(struct accel_queue *q, enum accel_priority priority, uint32_t timeout_ms)
{
	(void)priority;
	(void)timeout_ms;
	return refuse(q->vm->dev);
}

static void keep_queue(struct accel_queue *q)
{
	(void)q;
}

static int no_queue_error(struct accel_queue *q)
{
	return refuse(q->vm->dev);
}

static int no_submit(struct accel_queue *q, const struct accel_job *jobs, size_t n_jobs,
		     struct accel_fence *const *deps, size_t n, struct accel_fence *out)
{
	(void)jobs;
	(void)n_jobs;
	(void)deps;
	(void)n;
	(void)out;
	return refuse(q->vm->dev);
}

static int no_fence_wait(struct accel_fence *f, int64_t abs_ns)
{
	(void)abs_ns;
	return refuse(f->dev);
}

static int no_fence_export(struct accel_fence *f, int *fd)
{
	(void)fd;
	return refuse(f->dev);
}

static void keep_fence(struct accel_fence *f)
{
	(void)f;
}

const struct transport transport_child = {
	.open = no_open,
	.close = child_close,
	.memory_used = no_memory_used,
	.control = no_control,
	.bo_new = no_bo_new,
	.bo_free = keep_bo,
	.bo_map = no_bo_map,
	.bo_export = no_bo_export,
	.bo_import = no_bo_import,
	.vm_new = no_vm_new,
	.vm_free = keep_vm,
	.vm_map = no_vm_map,
	.vm_unmap = no_vm_unmap,
	.vm_fault = no_vm_fault,
	.queue_new = no_queue_new,
	.queue_free = keep_queue,
	.queue_error = no_queue_error,
	.submit = no_submit,
	.fence_wait = no_fence_wait,
	.fence_export = no_fence_export,
	.fence_free = keep_fence,
};
