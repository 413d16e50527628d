// SPDX-License-Identifier: GPL-2.0-only
/* Queues: scheduler entities with a timeout and a ban. */
#include <linux/capability.h>
#include <linux/slab.h>

#include <drm/drm_file.h>
#include <drm/octans_accel.h>

#include "compat.h"
#include "octans_device.h"
#include "octans_drv.h"
#include "octans_queue.h"
#include "octans_vm.h"

static void queue_free(struct kref *ref)
{
	struct octans_queue *queue = container_of(ref, struct octans_queue, ref);

	atomic_dec(&queue->dev->objects.queues);
	octans_vm_put(queue->vm);
	mutex_destroy(&queue->submit_lock);
	kfree(queue);
}

/**
 * octans_queue_get() - find a queue
 * @file: its owner
 * @id: its id
 *
 * Return: the queue with a reference, or NULL.
 */
struct octans_queue *octans_queue_get(struct octans_file *file, u32 id)
{
	struct octans_queue *queue;

	xa_lock(&file->queues);
	queue = xa_load(&file->queues, id);
	if (queue)
		kref_get(&queue->ref);
	xa_unlock(&file->queues);
	return queue;
}

/**
 * octans_queue_put() - drop a reference
 * @queue: queue
 */
void octans_queue_put(struct octans_queue *queue)
{
	kref_put(&queue->ref, queue_free);
}

/**
 * octans_queue_asid() - the address space of a queue's jobs, as the device knows it
 * @queue: queue
 */
u32 octans_queue_asid(const struct octans_queue *queue)
{
	return queue->vm->asid;
}

/**
 * octans_queue_ban() - let no further job of a queue run
 * @queue: queue
 * @error: why; the first reason stays
 */
void octans_queue_ban(struct octans_queue *queue, int error)
{
	atomic_cmpxchg(&queue->error, 0, error);
}

/* Ends what is queued or runs.  The caller has taken the queue out of its file. */
static void queue_kill(struct octans_queue *queue)
{
	u32 i;

	mutex_lock(&queue->submit_lock);
	queue->closed = true;
	mutex_unlock(&queue->submit_lock);
	WRITE_ONCE(queue->killed, true);
	for (i = 0; i < queue->dev->info.rings; i++)
		octans_ring_kill_queue(&queue->dev->rings[i], queue);
	drm_sched_entity_destroy(&queue->entity);
	atomic_dec(&queue->vm->queues);
	octans_queue_put(queue);
}

/**
 * octans_queue_close_all() - the file is being closed
 * @file: file
 */
void octans_queue_close_all(struct octans_file *file)
{
	struct octans_queue *queue;
	unsigned long id;

	xa_for_each(&file->queues, id, queue) {
		xa_erase(&file->queues, id);
		queue_kill(queue);
	}
	xa_destroy(&file->queues);
}

static int queue_priority(u32 priority)
{
	switch (priority) {
	case DRM_OCTANS_PRIORITY_NORMAL:
		return DRM_SCHED_PRIORITY_NORMAL;
	case DRM_OCTANS_PRIORITY_LOW:
		return DRM_SCHED_PRIORITY_LOW;
	case DRM_OCTANS_PRIORITY_HIGH:
		return capable(CAP_SYS_NICE) ? DRM_SCHED_PRIORITY_HIGH : -EACCES;
	}
	return -EINVAL;
}

/**
 * octans_ioctl_queue_create() - DRM_IOCTL_OCTANS_QUEUE_CREATE
 * @drm: device
 * @data: struct drm_octans_queue_create
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_queue_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct octans_device *dev = to_octans(drm);
	struct drm_octans_queue_create *args = data;
	struct octans_file *ofile = file->driver_priv;
	struct octans_queue *queue;
	struct octans_vm *vm;
	int priority, ret;

	if (args->flags || args->pad || args->id || args->timeout_ms > octans_max_timeout_ms)
		return -EINVAL;
	priority = queue_priority(args->priority);
	if (priority < 0)
		return priority;
	vm = octans_vm_get(ofile, args->vm_id);
	if (!vm)
		return -ENOENT;
	ret = -ENOMEM;
	queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
	if (!queue)
		goto err_vm;
	kref_init(&queue->ref);
	atomic_inc(&dev->objects.queues);
	queue->dev = dev;
	queue->vm = vm;
	queue->timeout_ms = args->timeout_ms ?: octans_max_timeout_ms / 2;
	mutex_init(&queue->submit_lock);
	ret = drm_sched_entity_init(&queue->entity, priority, dev->scheds, dev->info.rings, NULL);
	if (ret)
		goto err_free;
	atomic_inc(&vm->queues);
	/* From here on another thread may guess the id and destroy the queue. */
	kref_get(&queue->ref);
	ret = xa_alloc(&ofile->queues, &queue->id, queue, XA_LIMIT(1, OCTANS_FILE_QUEUES),
		       GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_entity;
	args->id = queue->id;
	octans_queue_put(queue);
	return 0;
err_entity:
	atomic_dec(&vm->queues);
	drm_sched_entity_destroy(&queue->entity);
err_free:
	atomic_dec(&dev->objects.queues);
	mutex_destroy(&queue->submit_lock);
	kfree(queue);
err_vm:
	octans_vm_put(vm);
	return ret;
}

/**
 * octans_ioctl_queue_destroy() - DRM_IOCTL_OCTANS_QUEUE_DESTROY
 * @drm: device
 * @data: struct drm_octans_queue_destroy
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_queue_destroy(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_octans_queue_destroy *args = data;
	struct octans_file *ofile = file->driver_priv;
	struct octans_queue *queue;

	if (args->pad)
		return -EINVAL;
	queue = xa_erase(&ofile->queues, args->id);
	if (!queue)
		return -ENOENT;
	queue_kill(queue);
	return 0;
}

/**
 * octans_ioctl_queue_query() - DRM_IOCTL_OCTANS_QUEUE_QUERY
 * @drm: device
 * @data: struct drm_octans_queue_query
 * @file: caller
 *
 * Return: 0 or a negative errno.
 */
int octans_ioctl_queue_query(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_octans_queue_query *args = data;
	struct octans_queue *queue;
	int error;

	if (args->state || args->error || args->pad || args->submitted || args->completed ||
	    args->failed)
		return -EINVAL;
	queue = octans_queue_get(file->driver_priv, args->id);
	if (!queue)
		return -ENOENT;
	error = atomic_read(&queue->error);
	args->state = error ? DRM_OCTANS_QUEUE_BANNED : 0;
	args->error = -error;
	args->submitted = atomic64_read(&queue->submitted);
	args->completed = atomic64_read(&queue->completed);
	args->failed = atomic64_read(&queue->failed);
	octans_queue_put(queue);
	return 0;
}
