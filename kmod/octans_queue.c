// SPDX-License-Identifier: GPL-2.0-only
/* Queues: jobs in order, with a time limit and a ban. */
#include <linux/capability.h>
#include <linux/dma-fence.h>
#include <linux/slab.h>

#include <drm/drm_file.h>
#include <drm/octans_accel.h>

#include "octans_device.h"
#include "octans_drv.h"
#include "octans_job.h"
#include "octans_queue.h"
#include "octans_sched.h"
#include "octans_user.h"
#include "octans_vm.h"

static void queue_free(struct kref *ref)
{
	struct octans_queue *queue = container_of(ref, struct octans_queue, ref);

	atomic_dec(&queue->dev->objects.queues);
	octans_client_put(queue->client);
	octans_user_uncharge(queue->vm->user, OCTANS_QUEUES, 1);
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
 *
 * Return: its number.
 */
u32 octans_queue_asid(const struct octans_queue *queue)
{
	return queue->vm->asid;
}

/**
 * octans_queue_stop() - let no further job of a queue run
 * @queue: queue
 * @error: why; the first reason stays
 *
 * Return: whether this is the first.
 */
bool octans_queue_stop(struct octans_queue *queue, int error)
{
	return !atomic_cmpxchg(&queue->error, 0, error);
}

/**
 * octans_queue_ban() - the same, and its client answers for it
 * @queue: queue
 * @error: why
 */
void octans_queue_ban(struct octans_queue *queue, int error)
{
	if (octans_queue_stop(queue, error))
		octans_client_punish(queue->client);
}

/**
 * octans_queue_stop_lost() - stop the queues whose address spaces have lost something
 * @file: file
 */
void octans_queue_stop_lost(struct octans_file *file)
{
	struct octans_queue *queue;
	unsigned long id;

	xa_lock(&file->queues);
	xa_for_each(&file->queues, id, queue)
		if (queue->vm->lost)
			octans_queue_stop(queue, -ENODATA);
	xa_unlock(&file->queues);
}

/* Ends what is queued or runs.  The caller has taken the queue out of its file. */
static void queue_kill(struct octans_queue *queue)
{
	mutex_lock(&queue->submit_lock);
	queue->closed = true;
	mutex_unlock(&queue->submit_lock);
	octans_job_kill(queue);
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
	octans_client_wait_idle(file->client);
}

static int queue_level(u32 priority)
{
	switch (priority) {
	case DRM_OCTANS_PRIORITY_NORMAL:
		return OCTANS_LEVEL_NORMAL;
	case DRM_OCTANS_PRIORITY_LOW:
		return OCTANS_LEVEL_LOW;
	case DRM_OCTANS_PRIORITY_HIGH:
		return capable(CAP_SYS_NICE) ? OCTANS_LEVEL_HIGH : -EACCES;
	}
	return -EINVAL;
}

static struct octans_queue *queue_new(struct octans_client *client, struct octans_vm *vm, int level,
				      u32 timeout_ms)
{
	struct octans_queue *queue = kzalloc_obj(*queue, GFP_KERNEL_ACCOUNT);

	if (!queue)
		return NULL;
	kref_init(&queue->ref);
	kref_get(&client->ref);
	queue->client = client;
	queue->dev = vm->dev;
	queue->vm = vm;
	queue->level = level;
	queue->timeout_ms = timeout_ms;
	queue->context = dma_fence_context_alloc(1);
	mutex_init(&queue->submit_lock);
	INIT_LIST_HEAD(&queue->member);
	INIT_LIST_HEAD(&queue->ready);
	INIT_LIST_HEAD(&queue->jobs);
	INIT_LIST_HEAD(&queue->back);
	atomic_inc(&queue->dev->objects.queues);
	return queue;
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
	struct drm_octans_queue_create *args = data;
	struct octans_file *ofile = file->driver_priv;
	struct octans_queue *queue;
	struct octans_vm *vm;
	int level, ret;

	if (args->flags || args->pad || args->id || args->timeout_ms > octans_max_timeout_ms)
		return -EINVAL;
	level = queue_level(args->priority);
	if (level < 0)
		return level;
	if (octans_device_down(to_octans(drm)))
		return -ENODEV;
	if (octans_client_banned(ofile->client))
		return -EACCES;
	vm = octans_vm_get(ofile, args->vm_id);
	if (!vm)
		return -ENOENT;
	ret = vm->lost ? -ENODATA : octans_user_charge(vm->user, OCTANS_QUEUES, 1);
	if (ret) {
		octans_vm_put(vm);
		return ret;
	}
	queue = queue_new(ofile->client, vm, level, args->timeout_ms ?: octans_max_timeout_ms / 2);
	if (!queue) {
		octans_user_uncharge(vm->user, OCTANS_QUEUES, 1);
		octans_vm_put(vm);
		return -ENOMEM;
	}
	atomic_inc(&vm->queues);
	/* From here on another thread may guess the id and destroy the queue. */
	kref_get(&queue->ref);
	ret = xa_alloc(&ofile->queues, &queue->id, queue, XA_LIMIT(1, OCTANS_FILE_QUEUES),
		       GFP_KERNEL_ACCOUNT);
	if (ret) {
		atomic_dec(&vm->queues);
		octans_queue_put(queue);
		if (ret == -EBUSY)
			ret = -EDQUOT;
	} else {
		args->id = queue->id;
	}
	octans_queue_put(queue);
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
