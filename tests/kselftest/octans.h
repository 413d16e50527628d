/* SPDX-License-Identifier: MIT */
/* What the uapi tests share: calls that return -errno, and small command streams. */
#ifndef OCTANS_KSELFTEST_H
#define OCTANS_KSELFTEST_H

#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include <octans/isa.h>
#include <octans/regs.h>
#include <drm/octans_accel.h>
#include <linux/sync_file.h>

#include "harness.h"

#define PAGE 4096ull
#define VA 0x100000000ull

/* The newest node: a device that is bound anew gets another number while anybody still holds
 * the old one. */
static inline const char *node(void)
{
	static _Thread_local char path[64];
	const char *given = getenv("OCTANS_NODE");
	glob_t g;

	if (given)
		return given;
	snprintf(path, sizeof(path), "/dev/accel/accel0");
	if (!glob("/dev/accel/accel*", 0, NULL, &g)) {
		snprintf(path, sizeof(path), "%.63s", g.gl_pathv[g.gl_pathc - 1]);
		globfree(&g);
	}
	return path;
}

static inline int node_open(void)
{
	return open(node(), O_RDWR | O_CLOEXEC);
}

static inline int call(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

/* How many rings there are, at most OCTANS_MAX_RINGS; 0: that cannot be said. */
static inline uint32_t rings_of(int fd)
{
	struct drm_octans_query_device d = { 0 };
	struct drm_octans_dev_query q = {
		.type = DRM_OCTANS_QUERY_DEVICE, .size = sizeof(d), .ptr = (uintptr_t)&d,
	};

	return call(fd, DRM_IOCTL_OCTANS_DEV_QUERY, &q) || d.rings > OCTANS_MAX_RINGS ? 0 : d.rings;
}

static inline int bo_create(int fd, uint64_t size, uint32_t flags, uint32_t *handle)
{
	struct drm_octans_bo_create c = { .size = size, .flags = flags };
	int ret = call(fd, DRM_IOCTL_OCTANS_BO_CREATE, &c);

	*handle = c.handle;
	return ret;
}

static inline void *bo_map(int fd, uint32_t handle, uint64_t size)
{
	struct drm_octans_bo_mmap_offset o = { .handle = handle };

	if (call(fd, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, &o))
		return MAP_FAILED;
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, o.offset);
}

static inline int vm_create(int fd, uint32_t *id)
{
	struct drm_octans_vm_create c = { 0 };
	int ret = call(fd, DRM_IOCTL_OCTANS_VM_CREATE, &c);

	*id = c.id;
	return ret;
}

static inline int vm_bind(int fd, uint32_t vm, const struct drm_octans_bind_op *ops, uint32_t n)
{
	struct drm_octans_vm_bind b = {
		.vm_id = vm,
		.ops = { sizeof(*ops), n, (uintptr_t)ops },
	};

	return call(fd, DRM_IOCTL_OCTANS_VM_BIND, &b);
}

static inline int vm_map(int fd, uint32_t vm, uint32_t handle, uint64_t offset, uint64_t va,
			 uint64_t size, uint32_t flags)
{
	struct drm_octans_bind_op op = {
		.kind = DRM_OCTANS_BIND_MAP, .flags = flags, .handle = handle, .offset = offset,
		.va = va, .size = size,
	};

	return vm_bind(fd, vm, &op, 1);
}

static inline int vm_unmap(int fd, uint32_t vm, uint64_t va, uint64_t size)
{
	struct drm_octans_bind_op op = { .kind = DRM_OCTANS_BIND_UNMAP, .va = va, .size = size };

	return vm_bind(fd, vm, &op, 1);
}

static inline int queue_create(int fd, uint32_t vm, uint32_t timeout_ms, uint32_t *id)
{
	struct drm_octans_queue_create c = { .vm_id = vm, .timeout_ms = timeout_ms };
	int ret = call(fd, DRM_IOCTL_OCTANS_QUEUE_CREATE, &c);

	*id = c.id;
	return ret;
}

static inline int queue_destroy(int fd, uint32_t id)
{
	struct drm_octans_queue_destroy d = { .id = id };

	return call(fd, DRM_IOCTL_OCTANS_QUEUE_DESTROY, &d);
}

static inline int syncobj_create(int fd, uint32_t *handle)
{
	struct drm_syncobj_create c = { 0 };
	int ret = call(fd, DRM_IOCTL_SYNCOBJ_CREATE, &c);

	*handle = c.handle;
	return ret;
}

static inline int submit(int fd, uint32_t queue, uint64_t va, uint32_t size, uint64_t tag,
			 const struct drm_octans_sync *syncs, uint32_t n)
{
	struct drm_octans_job job = { .va = va, .size = size, .tag = tag };
	struct drm_octans_submit s = {
		.queue_id = queue,
		.jobs = { sizeof(job), 1, (uintptr_t)&job },
	};

	if (n)
		s.syncs = (struct drm_octans_array) { sizeof(*syncs), n, (uintptr_t)syncs };
	return call(fd, DRM_IOCTL_OCTANS_SUBMIT, &s);
}

static inline int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Waits for a binary syncobj: 0, or the fence's error, or -ETIMEDOUT. */
static inline int sync_result(int fd, uint32_t handle, unsigned int seconds)
{
	struct drm_syncobj_handle h = {
		.handle = handle, .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE, .fd = -1,
	};
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };
	struct pollfd p = { .events = POLLIN };
	int ret = call(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &h);

	if (ret)
		return ret;
	p.fd = h.fd;
	ret = poll(&p, 1, seconds * 1000) == 1 ? 0 : -ETIMEDOUT;
	if (!ret && ioctl(h.fd, SYNC_IOC_FILE_INFO, &info) < 0)
		ret = -errno;
	else if (!ret && info.status < 0)
		ret = info.status;
	close(h.fd);
	return ret;
}

/* As submit(), one job with parameters. */
static inline int submit_params(int fd, uint32_t queue, const struct drm_octans_job *job,
				const struct drm_octans_sync *syncs, uint32_t n)
{
	struct drm_octans_submit s = {
		.queue_id = queue,
		.jobs = { sizeof(*job), 1, (uintptr_t)job },
	};

	if (n)
		s.syncs = (struct drm_octans_array) { sizeof(*syncs), n, (uintptr_t)syncs };
	return call(fd, DRM_IOCTL_OCTANS_SUBMIT, &s);
}

/* Submits and waits. */
static inline int run(int fd, uint32_t queue, uint64_t va, uint32_t size, uint64_t tag)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct drm_syncobj_destroy d = { 0 };
	int ret = syncobj_create(fd, &out.handle);

	if (ret)
		return ret;
	ret = submit(fd, queue, va, size, tag, &out, 1);
	if (!ret)
		ret = sync_result(fd, out.handle, 50);
	d.handle = out.handle;
	call(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &d);
	return ret;
}

static inline uint32_t put_copy(void *at, uint64_t dst, uint64_t src, uint64_t size)
{
	struct octans_cmd_copy c = {
		.cmd = { .op = OCTANS_OP_COPY, .size = sizeof(c) }, .dst = dst, .src = src, .size = size,
	};

	memcpy(at, &c, sizeof(c));
	return sizeof(c);
}

/* Stores the time. */
static inline uint32_t put_time(void *at, uint64_t va)
{
	struct octans_cmd_signal c = {
		.cmd = { OCTANS_OP_SIGNAL, OCTANS_SIGNAL_TIME, sizeof(c), 0 }, .va = va,
	};

	memcpy(at, &c, sizeof(c));
	return sizeof(c);
}

/* Copies rows of 4 bytes from @src to @dst, as many as parameter 0 says, at most @most. */
static inline uint32_t put_move(void *at, uint64_t dst, uint64_t src, uint32_t most)
{
	struct octans_cmd_move c = {
		.cmd = { .op = OCTANS_OP_MOVE, .size = sizeof(c) },
		.dst = { dst, 4, most, 1, OCTANS_TYPE_I32, OCTANS_DYN_ROWS(0) },
		.src = { src, 4, most, 1, OCTANS_TYPE_I32, OCTANS_DYN_ROWS(0) },
	};

	memcpy(at, &c, sizeof(c));
	return sizeof(c);
}

static inline uint32_t put_nop(void *at)
{
	struct octans_cmd c = { .op = OCTANS_OP_NOP, .size = sizeof(c) };

	memcpy(at, &c, sizeof(c));
	return sizeof(c);
}

static inline uint32_t put_nops(void *at, uint32_t n)
{
	uint32_t size = 0;

	while (n--)
		size += put_nop((uint8_t *)at + size);
	return size;
}

/* One line to the model's fault injection; false: no such port, or an error. */
static inline bool control(const char *line)
{
	int fd = open("/dev/virtio-ports/octans.control.0", O_RDWR | O_CLOEXEC);
	char reply[256] = "";
	ssize_t n = 0;

	if (fd < 0)
		return false;
	if (dprintf(fd, "%s\n", line) > 0)
		while (n < (ssize_t)sizeof(reply) - 1 && !strchr(reply, '\n')) {
			ssize_t got = read(fd, reply + n, sizeof(reply) - 1 - n);

			if (got <= 0)
				break;
			n += got;
			reply[n] = 0;
		}
	close(fd);
	return !strncmp(reply, "ok", 2);
}

/* The same for as many rings, or vectors, as there are; false: for none. */
static inline bool control_rings(const char *before, const char *after)
{
	bool any = false;
	char line[64];

	for (int r = 0; r < OCTANS_VECTORS(OCTANS_MAX_RINGS); r++) {
		snprintf(line, sizeof(line), "%s %d%s", before, r, after);
		if (!control(line))
			break;
		any = true;
	}
	return any;
}

/* A number of debugfs' "objects", -1 = not there.  The folder is named after the minor, or
 * from 6.16 on after the device. */
static inline long long objects(const char *name)
{
	char key[64];
	long long value, found = -1;
	glob_t g;
	FILE *f;

	if (glob("/sys/kernel/debug/accel/*/objects", 0, NULL, &g))
		return -1;
	f = fopen(g.gl_pathv[0], "r");
	globfree(&g);
	while (f && fscanf(f, "%63s %lld", key, &value) == 2)
		if (!strcmp(key, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

/* Another driver to share with.  The debug kernel's is not where modprobe looks. */
static inline bool load_vgem(void)
{
	return !system("modprobe -q vgem || [ -e /sys/module/vgem ] || insmod /ko/vgem.ko");
}

/* Jobs that have ended keep what they held for a moment. */
static inline bool jobs_reaped(void)
{
	for (int i = 0; i < 100 && objects("jobs"); i++)
		usleep(50000);
	return !objects("jobs");
}

/* An open node with an address space, a queue, and a page mapped at VA. */
struct client {
	int fd;
	uint32_t vm, queue, bo;
	uint8_t *map;
};

static inline int client_open(struct client *c, uint32_t timeout_ms)
{
	int ret;

	*c = (struct client) { .fd = node_open() };
	if (c->fd < 0)
		return -errno;
	ret = vm_create(c->fd, &c->vm);
	if (!ret)
		ret = queue_create(c->fd, c->vm, timeout_ms, &c->queue);
	if (!ret)
		ret = bo_create(c->fd, 16 * PAGE, 0, &c->bo);
	if (!ret)
		ret = vm_map(c->fd, c->vm, c->bo, 0, VA, 16 * PAGE, 0);
	if (ret)
		return ret;
	c->map = bo_map(c->fd, c->bo, 16 * PAGE);
	return c->map == MAP_FAILED ? -ENOMEM : 0;
}

/* An unmapping in a thread of its own: it waits for the device. */
struct unmapping {
	pthread_t thread;
	struct client *c;
	uint64_t va;
	int ret;
	volatile bool done;
	int64_t ns;
};

static inline void *unmapping_thread(void *arg)
{
	struct unmapping *u = arg;

	u->ns = now_ns();
	u->ret = vm_unmap(u->c->fd, u->c->vm, u->va, PAGE);
	u->ns = now_ns() - u->ns;
	u->done = true;
	return NULL;
}

static inline int unmapping_start(struct unmapping *u, struct client *c, uint64_t va)
{
	*u = (struct unmapping) { .c = c, .va = va };
	return pthread_create(&u->thread, NULL, unmapping_thread, u);
}

static inline void client_close(struct client *c)
{
	munmap(c->map, 16 * PAGE);
	close(c->fd);
}

#endif
