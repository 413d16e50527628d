// SPDX-License-Identifier: MIT
/*
 * The transport through octans.ko: ioctls of uapi/drm/octans_accel.h and libdrm's syncobjs.  What the kernel
 * says in a number becomes a sentence here, which names the cause as Documentation/uapi/octans.rst has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sync_file.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <drm/octans_accel.h>
#include <xf86drm.h>

#include "error.h"
#include "log.h"
#include "op/threads.h"
#include "room.h"
#include "transport.h"

#define MAX_DEPS (DRM_OCTANS_MAX_SYNCS - 1)

_Static_assert(ACCEL_MAX_JOBS == DRM_OCTANS_MAX_JOBS, "one call takes them all");

/* drmIoctl() would try again for ever where the kernel says that there is no room now. */
static int try_call(struct accel_dev *dev, unsigned long request, void *arg)
{
	int err;

	do
		err = ioctl(dev->fd, request, arg) ? -errno : 0;
	while (err == -EINTR);
	return err;
}

static int call_failed(struct accel_dev *dev, int err, const char *what)
{
	const char *name = dev->info.name;

	switch (err) {
	case -ENODEV:
		return fail(err, "%s is gone: it was unplugged or could not be reset", name);
	case -ENODATA:	/* nothing that was on the card is left; all that is made anew works */
		return fail(err, "%s has lost what its memory held: it was without power while this machine slept", name);
	case -EDQUOT:
		return fail(err, "%s: %s: your user has as much of it as the driver lets one user have; what runs already may hold it, and whoever administers this machine sets the parameters user_* of octans.ko",
			    name, what);
	case -ENOMEM:
		return fail(err, "%s: %s: the kernel has no memory for it", name, what);
	default:
		return fail(err, "%s: %s: %s", name, what, strerror(-err));
	}
}

static int call(struct accel_dev *dev, unsigned long request, void *arg, const char *what)
{
	int err = try_call(dev, request, arg);

	return err ? call_failed(dev, err, what) : 0;
}

static int query(struct accel_dev *dev, uint32_t type, void *data, uint32_t size)
{
	struct drm_octans_dev_query q = { .type = type, .size = size, .ptr = (uintptr_t)data };

	return call(dev, DRM_IOCTL_OCTANS_DEV_QUERY, &q, "device query");
}

static int kernel_memory_used(struct accel_dev *dev, uint64_t *bytes)
{
	struct drm_octans_query_memory m = { 0 };
	int err = query(dev, DRM_OCTANS_QUERY_MEMORY, &m, sizeof(m));

	*bytes = m.used;
	return err;
}

/* Another minor version is no matter: of two structures the shorter one is what both know. */
static int speak(int fd, struct accel_devinfo *info)
{
	drmVersionPtr v = drmGetVersion(fd);

	if (!v)
		return fail(-errno, "%s does not answer: %s", info->path, strerror(errno));
	info->uapi_major = v->version_major;
	info->uapi_minor = v->version_minor;
	drmFreeVersion(v);
	if (info->uapi_major != OCTANS_UAPI_MAJOR)
		return fail(-EPROTO, "%s speaks uapi %u.%u, this library %u.%u: install octans.ko and libaccel of the same release",
			    info->path, info->uapi_major, info->uapi_minor, OCTANS_UAPI_MAJOR, OCTANS_UAPI_MINOR);
	return 0;
}

void kernel_interface(struct accel_devinfo *info)
{
	int fd = open(info->path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	speak(fd, info);
	close(fd);
}

/* Reads everything that accel_dev_info() tells. */
static int identify(struct accel_dev *dev)
{
	struct drm_octans_query_device d = { 0 };
	struct drm_octans_query_memory m = { 0 };
	struct accel_devinfo *info = &dev->info;
	int err = speak(dev->fd, info);

	if (err)
		return err;
	err = query(dev, DRM_OCTANS_QUERY_DEVICE, &d, sizeof(d));
	if (!err)
		err = query(dev, DRM_OCTANS_QUERY_MEMORY, &m, sizeof(m));
	if (err)
		return err;
	info->hw_version = d.hw_version;
	info->rings = d.rings;
	info->va_bits = d.va_bits;
	info->page_size = d.page_size;
	info->ops = d.ops;
	info->types = d.types;
	info->clock_hz = d.clock_hz;
	info->macs_int8 = d.macs_int8;
	info->macs_f16 = d.macs_f16;
	info->macs_f32 = d.macs_f32;
	info->local_bpc = d.local_bpc;
	info->pcie_bpc = d.pcie_bpc;
	info->max_ctx = d.max_ctx;
	info->max_timeout_ms = d.max_timeout_ms;
	info->sram_size = d.sram_size;
	info->serial = d.serial;
	memcpy(info->profile, d.profile, sizeof(info->profile));
	info->profile[sizeof(info->profile) - 1] = 0;
	info->memory_size = m.size;
	info->memory_used = m.used;
	info->memory_mappable = m.visible_size;
	return 0;
}

static int not_opened(const char *path, int err)
{
	switch (err) {
	case -EACCES:
		return fail(err, "%s may not be opened: join its group (`sudo usermod -aG render $USER`, then log in again) or install the udev rule",
			    path);
	case -EPERM:
		return fail(-EACCES, "%s may not be opened: the rules of this container forbid it; give it to the container as a device",
			    path);
	case -ENOENT:
		return fail(-ENODEV, "%s is missing, although the kernel has this processor: give the node to the container, or make it as udev would",
			    path);
	case -ENXIO:
	case -ENODEV:
		return fail(-ENODEV, "%s is there, but its processor is gone: it was unplugged, its driver unloaded, or it could not be reset and is cut off",
			    path);
	default:
		return fail(err, "%s cannot be opened: %s", path, strerror(-err));
	}
}

/* The node that dev->info names. */
static int open_node(struct accel_dev *dev)
{
	int err;

	dev->fd = open(dev->info.path, O_RDWR | O_CLOEXEC);
	if (dev->fd < 0)
		return not_opened(dev->info.path, -errno);
	err = identify(dev);
	if (err) {
		close(dev->fd);
		dev->fd = -1;
	}
	return err;
}

/*
 * The first that opens.  If none does, the reason is of one whose node is there: /sys of a container
 * shows also those that it was not given.
 */
static int open_one(struct accel_dev *dev, const struct accel_devinfo *list, size_t n)
{
	char reason[ACCEL_ERROR_MAX] = "";
	int why = -ENODEV;

	for (size_t i = 0; i < n; i++) {
		int err;

		dev->info = list[i];
		err = open_node(dev);
		if (!err && i)
			log_say(ACCEL_LOG_WARNING, "%s is used, %s is not: %s", dev->info.name, list[0].name, reason);
		if (!err)
			return 0;
		if (i && (why != -ENODEV || err == -ENODEV))
			continue;
		why = err;
		snprintf(reason, sizeof(reason), "%s", accel_error());
	}
	return n > 1 ? fail(why, "none of %zu processors opens: %s", n, reason)
		     : fail(why, "%s", reason);
}

static int kernel_open(struct accel_dev *dev, const char *where)
{
	struct accel_devinfo *list;
	size_t n;
	int err = discover(where, &list, &n);

	if (err)
		return err;
	err = open_one(dev, list, n);
	free(list);
	if (!err) {
		handles_init(&dev->handles);
		reserve_fill(&dev->reserve, dev->fd);
	}
	dev->looks = default_threads() > 1;
	return err;
}

static void kernel_close(struct accel_dev *dev)
{
	reserve_drop(&dev->reserve);
	close(dev->fd);
	handles_destroy(&dev->handles);
}

/* With the lock of handles held, over the call that imported this one, too. */
static int keep_handle(struct accel_dev *dev, uint32_t handle)
{
	struct drm_gem_close c = { .handle = handle };
	int err = handles_get(&dev->handles, handle);

	if (err)	/* it was not among them, so nobody else uses it */
		try_call(dev, DRM_IOCTL_GEM_CLOSE, &c);
	return err;
}

static void drop_handle(struct accel_dev *dev, uint32_t handle)
{
	struct drm_gem_close c = { .handle = handle };

	pthread_mutex_lock(&dev->handles.lock);
	if (handles_put(&dev->handles, handle))
		try_call(dev, DRM_IOCTL_GEM_CLOSE, &c);
	pthread_mutex_unlock(&dev->handles.lock);
}

static int kernel_bo_new(struct accel_bo *bo, const char *label)
{
	struct drm_octans_bo_create c = {
		.size = bo->size,
		.flags = bo->flags & ACCEL_BO_DEVICE ? DRM_OCTANS_BO_DEVICE : 0,
	};
	int err = call(bo->dev, DRM_IOCTL_OCTANS_BO_CREATE, &c, "buffer");

	if (err == -ENOSPC)
		return fail(err, "%s has no %llu bytes of on-card memory left", bo->dev->info.name,
			    (unsigned long long)bo->size);
	if (err)
		return err;
	pthread_mutex_lock(&bo->dev->handles.lock);
	err = keep_handle(bo->dev, c.handle);
	pthread_mutex_unlock(&bo->dev->handles.lock);
	if (err)
		return err;
	bo->handle = c.handle;
	bo->size = c.size;
	if (label) {	/* a help for people: failing to set it is no failure */
		size_t len = strlen(label);
		struct drm_octans_bo_set_label l = {
			.handle = c.handle,
			.len = len < DRM_OCTANS_LABEL_MAX ? len : DRM_OCTANS_LABEL_MAX,
			.label = (uintptr_t)label,
		};

		try_call(bo->dev, DRM_IOCTL_OCTANS_BO_SET_LABEL, &l);
	}
	return 0;
}

static void kernel_bo_free(struct accel_bo *bo)
{
	if (bo->map)
		munmap(bo->map, bo->size);
	drop_handle(bo->dev, bo->handle);
}

static int kernel_bo_map(struct accel_bo *bo)
{
	struct drm_octans_bo_mmap_offset o = { .handle = bo->handle };
	int err = call(bo->dev, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, &o, "mapping a buffer");
	void *map;

	if (err)
		return err;
	map = mmap(NULL, bo->size, PROT_READ | PROT_WRITE, MAP_SHARED, bo->dev->fd, o.offset);
	if (map == MAP_FAILED)
		return fail(-errno, "%s: a buffer of %llu bytes cannot be mapped: %s",
			    bo->dev->info.name, (unsigned long long)bo->size, strerror(errno));
	madvise(map, bo->size, MADV_DONTFORK);	/* a child would write into its parent's cards */
	bo->map = map;
	return 0;
}

static int kernel_bo_export(struct accel_bo *bo, int *fd)
{
	if (drmPrimeHandleToFD(bo->dev->fd, bo->handle, DRM_CLOEXEC | DRM_RDWR, fd))
		return fail(-errno, "%s: a buffer cannot be exported: %s", bo->dev->info.name,
			    strerror(errno));
	return 0;
}

static int kernel_bo_import(struct accel_bo *bo, int fd)
{
	struct drm_octans_bo_query q = { 0 };
	int err = 0;

	pthread_mutex_lock(&bo->dev->handles.lock);
	if (drmPrimeFDToHandle(bo->dev->fd, fd, &bo->handle))
		err = fail(-errno, "%s: dma-buf %d cannot be imported: %s", bo->dev->info.name, fd,
			   strerror(errno));
	else
		err = keep_handle(bo->dev, bo->handle);
	pthread_mutex_unlock(&bo->dev->handles.lock);
	if (err)
		return err;
	q.handle = bo->handle;
	err = call(bo->dev, DRM_IOCTL_OCTANS_BO_QUERY, &q, "buffer query");
	if (err) {
		drop_handle(bo->dev, bo->handle);
		return err;
	}
	bo->size = q.size;
	bo->flags = q.flags & DRM_OCTANS_BO_DEVICE ? ACCEL_BO_DEVICE : 0;
	return 0;
}

static int kernel_vm_new(struct accel_vm *vm)
{
	struct drm_octans_vm_create c = { 0 };
	int err = call(vm->dev, DRM_IOCTL_OCTANS_VM_CREATE, &c, "address space");

	vm->id = c.id;
	if (err == -EDQUOT)
		return fail(err, "%s: no address space more: this program has as many as an open file may have, or your user its share (user_spaces of octans.ko)",
			    vm->dev->info.name);
	if (err == -ENOSPC)
		return fail(-EBUSY, "%s has no address space left: other programs have all of them",
			    vm->dev->info.name);
	return err;
}

static void kernel_vm_free(struct accel_vm *vm)
{
	struct drm_octans_vm_destroy d = { .id = vm->id };

	try_call(vm->dev, DRM_IOCTL_OCTANS_VM_DESTROY, &d);
}

static int bind(struct accel_vm *vm, const struct drm_octans_bind_op *op)
{
	struct drm_octans_vm_bind b = {
		.vm_id = vm->id,
		.ops = { .stride = sizeof(*op), .count = 1, .ptr = (uintptr_t)op },
	};
	int err = call(vm->dev, DRM_IOCTL_OCTANS_VM_BIND, &b, "mapping into an address space");

	if (err == -EIO)
		return fail(err, "%s cannot reach this machine's memory but by copies of it (swiotlb, as in an encrypted guest): only on-card memory can be mapped",
			    vm->dev->info.name);
	return err;
}

static int kernel_vm_map(struct accel_vm *vm, struct accel_bo *bo, uint64_t offset, uint64_t va,
			 uint64_t size, uint32_t flags)
{
	struct drm_octans_bind_op op = {
		.kind = DRM_OCTANS_BIND_MAP,
		.flags = flags & ACCEL_MAP_READONLY ? DRM_OCTANS_BIND_READONLY : 0,
		.handle = bo->handle,
		.offset = offset,
		.va = va,
		.size = size,
	};

	return bind(vm, &op);
}

static int kernel_vm_unmap(struct accel_vm *vm, uint64_t va, uint64_t size)
{
	struct drm_octans_bind_op op = { .kind = DRM_OCTANS_BIND_UNMAP, .va = va, .size = size };

	return bind(vm, &op);
}

static int kernel_vm_fault(struct accel_vm *vm, struct accel_fault *fault)
{
	struct drm_octans_fault f;
	struct drm_octans_vm_get_faults g = {
		.vm_id = vm->id,
		.faults = { .stride = sizeof(f), .count = 1, .ptr = (uintptr_t)&f },
	};
	int err = call(vm->dev, DRM_IOCTL_OCTANS_VM_GET_FAULTS, &g, "fault log");

	if (err)
		return err;
	if (!g.faults.count)
		return 0;
	*fault = (struct accel_fault) {
		.va = f.va,
		.tag = f.tag,
		.cmd_offset = f.cmd_offset,
		.code = f.code,
		.write = f.write,
	};
	return 1;
}

static int client_banned(struct accel_dev *dev, int err)
{
	return fail(err, "%s takes no more work of this program: too many of its jobs have failed; find out why the first did, wait some seconds, and try again",
		    dev->info.name);
}

static int new_queue(struct accel_queue *q, uint32_t priority, uint32_t timeout_ms)
{
	struct drm_octans_queue_create c = {
		.vm_id = q->vm->id, .priority = priority, .timeout_ms = timeout_ms,
	};
	int err = call(q->vm->dev, DRM_IOCTL_OCTANS_QUEUE_CREATE, &c, "queue");

	q->id = c.id;
	return err;
}

/* Either the priority may not be had, or nothing.  Who asks for a lower one learns which. */
static int queue_refused(struct accel_queue *q, uint32_t priority, uint32_t timeout_ms)
{
	struct drm_octans_queue_destroy d = { 0 };

	if (priority != DRM_OCTANS_PRIORITY_HIGH || new_queue(q, DRM_OCTANS_PRIORITY_NORMAL, timeout_ms))
		return client_banned(q->vm->dev, -EACCES);
	d.id = q->id;
	try_call(q->vm->dev, DRM_IOCTL_OCTANS_QUEUE_DESTROY, &d);
	return fail(-EACCES, "%s: a queue of high priority is for those who may raise priorities (CAP_SYS_NICE): ask for a normal one",
		    q->vm->dev->info.name);
}

static int kernel_queue_new(struct accel_queue *q, enum accel_priority priority, uint32_t timeout_ms)
{
	const uint32_t kernel_priority = priority == ACCEL_PRIORITY_HIGH ? DRM_OCTANS_PRIORITY_HIGH :
					 priority == ACCEL_PRIORITY_LOW ? DRM_OCTANS_PRIORITY_LOW :
					 DRM_OCTANS_PRIORITY_NORMAL;
	int err = new_queue(q, kernel_priority, timeout_ms);

	if (err == -EACCES)
		return queue_refused(q, kernel_priority, timeout_ms);
	if (err == -EBUSY)
		return fail(err, "%s: this program has as many queues as an open file may have: free some",
			    q->vm->dev->info.name);
	if (!err)
		room_init(&q->room);
	return err;
}

static void kernel_queue_free(struct accel_queue *q)
{
	struct drm_octans_queue_destroy d = { .id = q->id };

	room_destroy(&q->room, q->vm->dev->fd);
	try_call(q->vm->dev, DRM_IOCTL_OCTANS_QUEUE_DESTROY, &d);
}

static int query_queue(struct accel_queue *q, struct drm_octans_queue_query *query)
{
	int err;

	*query = (struct drm_octans_queue_query) { .id = q->id };
	err = call(q->vm->dev, DRM_IOCTL_OCTANS_QUEUE_QUERY, query, "queue query");
	if (!err)
		q->failed = query->failed;
	return err;
}

/* Why the kernel has stopped a queue; 0: it has not.  -EACCES: not for what its own jobs did. */
static int why_stopped(const struct drm_octans_queue_query *query)
{
	if (!(query->state & DRM_OCTANS_QUEUE_BANNED))
		return 0;
	return query->error ? -(int)query->error : -EIO;
}

static int kernel_queue_error(struct accel_queue *q)
{
	struct drm_octans_queue_query query;
	int err = query_queue(q, &query);

	if (err)
		return err;
	err = why_stopped(&query);
	if (err == -EACCES)
		return client_banned(q->vm->dev, err);
	if (err == -ENODATA)
		return call_failed(q->vm->dev, err, "");
	return err ? fail(err, "%s: a job of the queue %s", q->vm->dev->info.name, job_error(err)) : 0;
}

static int queue_stopped(struct accel_queue *q)
{
	struct drm_octans_queue_query query;
	int err = query_queue(q, &query);

	if (!err)
		err = why_stopped(&query);
	if (err == -ENODEV)
		return err;
	if (err == -ENODATA)
		return call_failed(q->vm->dev, err, "");
	if (err == -EACCES)
		return client_banned(q->vm->dev, -ECANCELED);
	return fail(-ECANCELED, "%s: the queue is stopped because an earlier job %s", q->vm->dev->info.name,
		    err ? job_error(err) : "failed");
}

static int submit_failed(struct accel_queue *q, int err, const struct drm_octans_submit *s)
{
	struct accel_dev *dev = q->vm->dev;

	if (err == -EACCES)
		return client_banned(dev, err);
	if (err == -ECANCELED)
		return queue_stopped(q);
	if ((err == -EINVAL || err == -ENOENT) && s->failed_index < s->jobs.count)
		return fail(err, "%s: job %u of %u is refused", dev->info.name, s->failed_index,
			    s->jobs.count);
	return call_failed(dev, err, "submission");
}

/* Waits where the kernel has no room for the jobs.  s->syncs is an array of DRM_OCTANS_MAX_SYNCS. */
static int submit(struct accel_queue *q, struct drm_octans_submit *s)
{
	struct drm_octans_sync *more = (struct drm_octans_sync *)(uintptr_t)s->syncs.ptr + s->syncs.count;
	const uint32_t count = s->syncs.count;
	int fd = q->vm->dev->fd, err;

	do {
		bool mark = count < DRM_OCTANS_MAX_SYNCS && room_mark(&q->room, fd, s->jobs.count, more);

		s->failed_index = 0;
		s->syncs.count = count + mark;
		err = try_call(q->vm->dev, DRM_IOCTL_OCTANS_SUBMIT, s);
		if (mark)
			room_marked(&q->room, !err);
	} while (err == -EAGAIN && !(err = room_wait(&q->room, fd)));
	return err;
}

/* Jobs that come one after the other have one syncobj, each in its turn: two calls less. */
static int take_syncobj(struct accel_dev *dev, uint32_t *handle)
{
	*handle = atomic_exchange(&dev->spare, 0);
	return !*handle && drmSyncobjCreate(dev->fd, 0, handle) ? -errno : 0;
}

static void put_syncobj(struct accel_dev *dev, uint32_t handle)
{
	handle = atomic_exchange(&dev->spare, handle);
	if (handle)
		drmSyncobjDestroy(dev->fd, handle);
}

static int fence_sync_file(struct accel_fence *f, int *fd)
{
	if (!drmSyncobjExportSyncFile(f->dev->fd, f->handle, fd))
		return 0;
	if (errno == EMFILE || errno == ENFILE)
		return fail(-errno, "%s: no file descriptor is left for a fence (%s): close some, or raise the limit of open files",
			    f->dev->info.name, strerror(errno));
	return call_failed(f->dev, -errno, "export of a fence");
}

/* The same for a moment: the caller gives it back with reserve_refill(). */
static int borrow_sync_file(struct accel_fence *f, int *fd)
{
	int err = fence_sync_file(f, fd);

	if (err == -EMFILE && reserve_spend(&f->dev->reserve)) {
		err = fence_sync_file(f, fd);
		if (err)
			reserve_fill(&f->dev->reserve, f->dev->fd);
	}
	return err;
}

/* *handle: a syncobj of dev, which the caller destroys, with the fence of another processor. */
static int import_fence(struct accel_dev *dev, struct accel_fence *f, uint32_t *handle)
{
	int fd, err = borrow_sync_file(f, &fd);

	if (err)
		return err;
	if (drmSyncobjCreate(dev->fd, 0, handle)) {
		err = call_failed(dev, -errno, "fence");
	} else if (drmSyncobjImportSyncFile(dev->fd, *handle, fd)) {
		err = call_failed(dev, -errno, "import of a fence");
		drmSyncobjDestroy(dev->fd, *handle);
	}
	reserve_refill(&f->dev->reserve, fd, f->dev->fd);
	return err;
}

/* The host lacks what a fence needs to pass from one processor to another. */
static void wait_instead(struct accel_dev *dev, struct accel_fence *f)
{
	if (!atomic_exchange(&dev->waits_itself, true))
		log_say(ACCEL_LOG_WARNING, "this process waits itself for what %s goes on from, which takes longer: %s",
			dev->info.name, accel_error());
	accel_fence_wait(f, INT64_MAX);
}

/* What a submission waits for. */
struct waits {
	struct drm_octans_sync *syncs;	/* [n] */
	uint32_t n;
	uint32_t imported[MAX_DEPS], n_imported;
};

/* A fence of the model is waited for here; those of a processor that is gone have ended. */
static int add_wait(struct waits *w, struct accel_dev *dev, struct accel_fence *f)
{
	uint32_t handle = f->handle;
	int err;

	if (f->dev->t != &transport_kernel) {
		accel_fence_wait(f, INT64_MAX);
		return 0;
	}
	if (f->dev != dev) {
		err = import_fence(dev, f, &handle);
		if (err == -EMFILE || err == -ENFILE || err == -ENOMEM) {
			wait_instead(dev, f);
			return 0;
		}
		if (err)
			return err == -ENODEV ? 0 : err;
		w->imported[w->n_imported++] = handle;
	}
	w->syncs[w->n++] = (struct drm_octans_sync) { .handle = handle };
	return 0;
}

static void end_waits(struct waits *w, struct accel_dev *dev)
{
	for (uint32_t i = 0; i < w->n_imported; i++)
		drmSyncobjDestroy(dev->fd, w->imported[i]);
}

static int submit_jobs(struct accel_queue *q, struct drm_octans_submit *s, struct waits *w,
		       struct accel_fence *const *deps, size_t n, struct accel_fence *out)
{
	struct accel_dev *dev = q->vm->dev;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = add_wait(w, dev, deps[i]);
	if (err)
		return err;
	err = take_syncobj(dev, &out->handle);
	if (err)
		return call_failed(dev, err, "fence");
	w->syncs[w->n++] = (struct drm_octans_sync) { .flags = DRM_OCTANS_SYNC_SIGNAL, .handle = out->handle };
	s->syncs.count = w->n;
	err = submit(q, s);
	if (!err)
		return 0;
	put_syncobj(dev, out->handle);
	return submit_failed(q, err, s);
}

static int kernel_submit(struct accel_queue *q, const struct accel_job *jobs, size_t n_jobs,
			 struct accel_fence *const *deps, size_t n, struct accel_fence *out)
{
	struct drm_octans_sync syncs[DRM_OCTANS_MAX_SYNCS];
	struct drm_octans_job kjobs[ACCEL_MAX_JOBS];
	struct drm_octans_submit s = {
		.queue_id = q->id,
		.jobs = { .stride = sizeof(kjobs[0]), .count = n_jobs, .ptr = (uintptr_t)kjobs },
		.syncs = { .stride = sizeof(syncs[0]), .ptr = (uintptr_t)syncs },
	};
	struct waits w = { .syncs = syncs };
	struct drm_octans_queue_query before;
	int err;

	if (n > MAX_DEPS)
		return fail(-EINVAL, "a job cannot wait for %zu fences, at most for %d", n, MAX_DEPS);
	out->several = n_jobs > 1;
	out->failed = q->failed;	/* or more, if some have failed since it was asked: no harm */
	if (out->several) {
		err = query_queue(q, &before);
		if (err)
			return err;
		out->failed = before.failed;
	}
	for (size_t i = 0; i < n_jobs; i++)
		kjobs[i] = (struct drm_octans_job) {
			.va = jobs[i].va,
			.size = jobs[i].size,
			.tag = jobs[i].tag,
			.param_va = jobs[i].param_va,
			.param_count = jobs[i].param_count,
		};
	err = submit_jobs(q, &s, &w, deps, n, out);
	end_waits(&w, q->vm->dev);
	return err;
}

static int job_failed(struct accel_fence *f, int err, const struct drm_octans_queue_query *now)
{
	int why = why_stopped(now);

	if (err == -ENODATA)
		return call_failed(f->dev, err, "");
	if (err == -ECANCELED && why == -EACCES)
		return client_banned(f->dev, err);
	if (err == -ECANCELED && why)
		return fail(err, "%s: the job was dropped because an earlier job failed: it %s", f->dev->info.name,
			    job_error(why));
	return fail(err, "%s: the job %s", f->dev->info.name, job_error(err));
}

/* *status: 1, or the error that the fence ended with.  A descriptor is needed to ask for it. */
static int fence_status(struct accel_fence *f, int *status)
{
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = {
		.num_fences = 1,
		.sync_fence_info = (uintptr_t)&fence,
	};
	int fd, err = borrow_sync_file(f, &fd);

	if (err)
		return err;
	if (ioctl(fd, SYNC_IOC_FILE_INFO, &info) < 0)
		err = fail(-errno, "%s: a job's result cannot be read: %s", f->dev->info.name,
			   strerror(errno));
	*status = info.status;
	reserve_refill(&f->dev->reserve, fd, f->dev->fd);
	return err;
}

/*
 * How a job ended whose fence has signalled; waiting for it does not tell.  Where no job of the
 * queue has failed since before it was submitted, it did not fail either.  Otherwise its own fence
 * is asked.  That of the last of several jobs does not tell all: a job that a reset for another
 * client stops ends with -ECANCELED, and those behind it run all the same, on what it left half done.
 */
static int fence_result(struct accel_fence *f)
{
	struct drm_octans_queue_query now;
	int status, err = query_queue(f->queue, &now);

	if (err || now.failed == f->failed)
		return err;
	err = fence_status(f, &status);
	if (err)
		return err;
	if (status < 0)
		return job_failed(f, status, &now);
	if (f->several)
		return fail(-ECANCELED, "%s: one of the jobs %s", f->dev->info.name,
			    job_error(-ECANCELED));
	return 0;
}

/* Several jobs may have failed one by one: the words of the last do not tell. */
static int kernel_fence_wait(struct accel_fence *f, int64_t abs_ns)
{
	int err;

	if (f->dev->looks && !f->several && abs_ns && ending_watch(&f->ending, &f->queue->patience))
		return 0;
	err = drmSyncobjWait(f->dev->fd, &f->handle, 1, abs_ns, 0, NULL);
	if (err == -ETIME)
		return fail(-ETIMEDOUT, "%s: the job has not ended yet", f->dev->info.name);
	/* Core ioctls end with -ENODEV after an unplug, when every fence has ended. */
	if (err)
		return call_failed(f->dev, err, "waiting for a job");
	return !f->several && ending_written(&f->ending) ? 0 : fence_result(f);
}

static void kernel_fence_free(struct accel_fence *f)
{
	put_syncobj(f->dev, f->handle);
}

const struct transport transport_kernel = {
	.open = kernel_open,
	.close = kernel_close,
	.memory_used = kernel_memory_used,
	.bo_new = kernel_bo_new,
	.bo_free = kernel_bo_free,
	.bo_map = kernel_bo_map,
	.bo_export = kernel_bo_export,
	.bo_import = kernel_bo_import,
	.vm_new = kernel_vm_new,
	.vm_free = kernel_vm_free,
	.vm_map = kernel_vm_map,
	.vm_unmap = kernel_vm_unmap,
	.vm_fault = kernel_vm_fault,
	.queue_new = kernel_queue_new,
	.queue_free = kernel_queue_free,
	.queue_error = kernel_queue_error,
	.submit = kernel_submit,
	.fence_wait = kernel_fence_wait,
	.fence_export = fence_sync_file,
	.fence_free = kernel_fence_free,
};
