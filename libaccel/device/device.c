// SPDX-License-Identifier: MIT
/* The public device functions: argument checks, then the transport. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <octans/isa.h>

#include "error.h"
#include "opts.h"
#include "transport.h"

/* Memory of a processor is not mapped in a child; of the model it is a copy, which means nothing. */
static void become_child(struct fork_watch *w)
{
	struct accel_dev *dev = (struct accel_dev *)((char *)w - offsetof(struct accel_dev, forks));

	dev->t = &transport_child;
}

int accel_open(const char *selector, struct accel_dev **out)
{
	bool sim = selector && (!strcmp(selector, "sim") || !strncmp(selector, "sim:", 4));
	struct accel_dev *dev;
	int err;

	*out = NULL;
	if (selector && !strcmp(selector, "auto"))
		selector = NULL;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return fail(-ENOMEM, "no memory for a device");
	dev->fd = -1;
	dev->t = sim ? &transport_sim : &transport_kernel;
	err = dev->t->open(dev, sim ? (selector[3] ? selector + 4 : NULL) : selector);
	if (err) {
		free(dev);
		return err;
	}
	dev->forks.in_child = become_child;
	fork_watch(&dev->forks);
	*out = dev;
	return 0;
}

void accel_close(struct accel_dev *dev)
{
	if (!dev)
		return;
	fork_unwatch(&dev->forks);
	dev->t->close(dev);
	free(dev);
}

int accel_dev_info(struct accel_dev *dev, struct accel_devinfo *info)
{
	struct accel_devinfo now = dev->info;
	int err = dev->t->memory_used(dev, &now.memory_used);

	return err ? err : opts_write(info, &now, sizeof(now), "a struct accel_devinfo");
}

int accel_dev_fd(const struct accel_dev *dev)
{
	return dev->fd;
}

int accel_dev_control(struct accel_dev *dev, const char *line, char *reply, size_t len)
{
	if (!dev->t->control)
		return fail(-ENOTSUP, "only the model (\"sim\") takes faults from its own process; %s has the control socket of octans-vfio-user",
			    dev->info.name);
	return dev->t->control(dev, line, reply, len);
}

static struct accel_bo *bo_alloc(struct accel_dev *dev, uint64_t size, uint32_t flags)
{
	struct accel_bo *bo = calloc(1, sizeof(*bo));

	if (!bo) {
		fail(-ENOMEM, "no memory for a buffer");
		return NULL;
	}
	bo->dev = dev;
	bo->size = size;
	bo->flags = flags;
	pthread_mutex_init(&bo->lock, NULL);
	return bo;
}

static void bo_release(struct accel_bo *bo)
{
	pthread_mutex_destroy(&bo->lock);
	free(bo);
}

int accel_bo_new(struct accel_dev *dev, uint64_t size, uint32_t flags, const char *label,
		 struct accel_bo **out)
{
	uint64_t page = dev->info.page_size;
	struct accel_bo *bo;
	int err;

	*out = NULL;
	if (!size || size > UINT64_MAX - page)
		return fail(-EINVAL, "a buffer of %llu bytes cannot be made",
			    (unsigned long long)size);
	if (flags & ~ACCEL_BO_DEVICE)
		return fail(-EINVAL, "buffer flags 0x%x are not known", flags);
	bo = bo_alloc(dev, (size + page - 1) / page * page, flags);
	if (!bo)
		return -ENOMEM;
	err = dev->t->bo_new(bo, label);
	if (err) {
		bo_release(bo);
		return err;
	}
	*out = bo;
	return 0;
}

void accel_bo_free(struct accel_bo *bo)
{
	if (!bo)
		return;
	bo->dev->t->bo_free(bo);
	bo_release(bo);
}

int accel_bo_map(struct accel_bo *bo, void **map)
{
	int err;

	if (bo->dev->t == &transport_child) {
		*map = NULL;
		return bo->dev->t->bo_map(bo);
	}
	pthread_mutex_lock(&bo->lock);
	err = bo->map ? 0 : bo->dev->t->bo_map(bo);
	*map = bo->map;
	pthread_mutex_unlock(&bo->lock);
	return err;
}

uint64_t accel_bo_size(const struct accel_bo *bo)
{
	return bo->size;
}

int accel_bo_export(struct accel_bo *bo, int *fd)
{
	*fd = -1;
	return bo->dev->t->bo_export(bo, fd);
}

int accel_bo_import(struct accel_dev *dev, int fd, struct accel_bo **out)
{
	struct accel_bo *bo;
	int err;

	*out = NULL;
	bo = bo_alloc(dev, 0, 0);
	if (!bo)
		return -ENOMEM;
	err = dev->t->bo_import(bo, fd);
	if (err) {
		bo_release(bo);
		return err;
	}
	*out = bo;
	return 0;
}

int accel_vm_new(struct accel_dev *dev, struct accel_vm **out)
{
	struct accel_vm *vm = calloc(1, sizeof(*vm));
	int err;

	*out = NULL;
	if (!vm)
		return fail(-ENOMEM, "no memory for an address space");
	vm->dev = dev;
	err = dev->t->vm_new(vm);
	if (err) {
		free(vm);
		return err;
	}
	*out = vm;
	return 0;
}

void accel_vm_free(struct accel_vm *vm)
{
	if (!vm)
		return;
	vm->dev->t->vm_free(vm);
	free(vm);
}

static int check_range(const struct accel_vm *vm, uint64_t va, uint64_t size)
{
	uint64_t page = vm->dev->info.page_size, top = 1ull << vm->dev->info.va_bits;

	if (!size || va % page || size % page || va >= top || size > top - va)
		return fail(-EINVAL, "device addresses 0x%llx + 0x%llx are not whole pages below 0x%llx",
			    (unsigned long long)va, (unsigned long long)size,
			    (unsigned long long)top);
	return 0;
}

int accel_vm_map(struct accel_vm *vm, struct accel_bo *bo, uint64_t offset, uint64_t va,
		 uint64_t size, uint32_t flags)
{
	int err = check_range(vm, va, size);

	if (err)
		return err;
	if (flags & ~ACCEL_MAP_READONLY)
		return fail(-EINVAL, "mapping flags 0x%x are not known", flags);
	if (bo->dev != vm->dev)
		return fail(-EINVAL, "the buffer belongs to another device");
	if (offset % vm->dev->info.page_size || offset > bo->size || size > bo->size - offset)
		return fail(-EINVAL, "bytes 0x%llx + 0x%llx are not whole pages of a buffer of 0x%llx",
			    (unsigned long long)offset, (unsigned long long)size,
			    (unsigned long long)bo->size);
	return vm->dev->t->vm_map(vm, bo, offset, va, size, flags);
}

int accel_vm_unmap(struct accel_vm *vm, uint64_t va, uint64_t size)
{
	int err = check_range(vm, va, size);

	return err ? err : vm->dev->t->vm_unmap(vm, va, size);
}

int accel_vm_fault(struct accel_vm *vm, struct accel_fault *fault)
{
	struct accel_fault f = { 0 };
	int got, err = opts_write(fault, &f, sizeof(f), "a struct accel_fault");

	if (err)	/* before one is taken from the log */
		return err;
	got = vm->dev->t->vm_fault(vm, &f);
	if (got == 1)
		opts_write(fault, &f, sizeof(f), "a struct accel_fault");
	return got;
}

int accel_queue_new(struct accel_vm *vm, enum accel_priority priority, uint32_t timeout_ms,
		    struct accel_queue **out)
{
	struct accel_queue *q;
	int err;

	*out = NULL;
	if (priority > ACCEL_PRIORITY_HIGH)
		return fail(-EINVAL, "queue priority %d is not known", (int)priority);
	if (timeout_ms > vm->dev->info.max_timeout_ms)
		return fail(-EINVAL, "a queue timeout of %u ms is above the limit of %u ms",
			    timeout_ms, vm->dev->info.max_timeout_ms);
	q = calloc(1, sizeof(*q));
	if (!q)
		return fail(-ENOMEM, "no memory for a queue");
	q->vm = vm;
	err = vm->dev->t->queue_new(q, priority, timeout_ms);
	if (err) {
		free(q);
		return err;
	}
	*out = q;
	return 0;
}

void accel_queue_free(struct accel_queue *q)
{
	if (!q)
		return;
	q->vm->dev->t->queue_free(q);
	free(q);
}

const char *job_error(int err)
{
	switch (err) {
	case -ETIME:
		return "ran longer than its queue allows and was stopped";
	case -EFAULT:
		return "used an address that is not mapped for it";
	case -EIO:
		return "held a command that the processor refuses, or had no memory for";
	case -ECANCELED:
		return "was stopped, through no fault of its own, by a reset of the processor";
	case -ENODEV:
		return "was lost with the processor";
	default:
		return "failed in a way that this library does not know";
	}
}

int accel_queue_error(struct accel_queue *q)
{
	return q->vm->dev->t->queue_error(q);
}

OPTS_END(accel_job, param_count);

static int check_job(const struct accel_dev *dev, const struct accel_job *j, size_t i)
{
	uint64_t top = 1ull << dev->info.va_bits;

	if (j->va % 16 || j->size % 16 || j->size < 16 || j->size > ACCEL_MAX_STREAM)
		return fail(-EINVAL, "job %zu: a command stream of %u bytes at 0x%llx is not 16 bytes to 16 MiB, in multiples of 16",
			    i, j->size, (unsigned long long)j->va);
	if (j->param_count > OCTANS_MAX_PARAMS)
		return fail(-EINVAL, "job %zu: %u parameters are too many; a job has at most %u", i,
			    j->param_count, OCTANS_MAX_PARAMS);
	if (j->param_va && !j->param_count)
		return fail(-EINVAL, "job %zu: an address of parameters (0x%llx), but no parameters: set param_count, or param_va to 0",
			    i, (unsigned long long)j->param_va);
	if (j->param_va % 4 || j->param_va > top - j->param_count * sizeof(uint32_t))
		return fail(-EINVAL, "job %zu: %u parameters at 0x%llx are not at a multiple of 4 below 0x%llx",
			    i, j->param_count, (unsigned long long)j->param_va,
			    (unsigned long long)top);
	return 0;
}

static int check_deps(struct accel_fence *const *deps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!deps || !deps[i])
			return fail(-EINVAL, "fence %zu of the %zu to wait for is NULL", i, n);
	return 0;
}

int accel_submit(struct accel_queue *q, const struct accel_job *passed, size_t n_jobs,
		 struct accel_fence *const *deps, size_t n, struct accel_fence **out)
{
	struct accel_job jobs[ACCEL_MAX_JOBS];
	struct accel_dev *dev = q->vm->dev;
	struct accel_fence *f;
	int err;

	if (out)
		*out = NULL;
	if (!n_jobs || n_jobs > ACCEL_MAX_JOBS)
		return fail(-EINVAL, "%zu jobs cannot be submitted at once; 1 to %d can", n_jobs,
			    ACCEL_MAX_JOBS);
	err = opts_read_array(jobs, sizeof(jobs[0]), passed, n_jobs, "a struct accel_job");
	for (size_t i = 0; !err && i < n_jobs; i++)
		err = check_job(dev, &jobs[i], i);
	if (!err)
		err = check_deps(deps, n);
	if (err)
		return err;
	f = calloc(1, sizeof(*f));
	if (!f)
		return fail(-ENOMEM, "no memory for a fence");
	f->dev = dev;
	f->queue = q;
	err = dev->t->submit(q, jobs, n_jobs, deps, n, f);
	if (err) {
		free(f);
		return err;
	}
	if (out)
		*out = f;
	else
		accel_fence_free(f);
	return 0;
}

int accel_fence_wait(struct accel_fence *f, int64_t abs_ns)
{
	return f->dev->t->fence_wait(f, abs_ns);
}

int accel_fence_export(struct accel_fence *f, int *fd)
{
	*fd = -1;
	if (!f->dev->t->fence_export)
		return fail(-ENOTSUP, "fences of the model cannot be exported");
	return f->dev->t->fence_export(f, fd);
}

void accel_fence_free(struct accel_fence *f)
{
	if (!f)
		return;
	f->dev->t->fence_free(f);
	free(f);
}
