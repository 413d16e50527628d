/* SPDX-License-Identifier: MIT */
/* A kernel that a test plays: it answers what libaccel asks by ioctl(), and counts what it was asked. */
#ifndef KERNEL_RIG_H
#define KERNEL_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <linux/sync_file.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <drm/octans_accel.h>
#include <xf86drm.h>

#include "device/transport.h"

static struct {
	uint32_t state, error;
	uint64_t failed;		/* jobs of the queue, so far */
	uint64_t will_fail;		/* of the next submission */
	bool ban;			/* because of that */
	int status;			/* of the newest fence: 1, or -errno */
	bool gone;
	unsigned int queries, submits, waits_by_file, fence_waits;
	unsigned int syncobjs, destroyed;	/* made and given back */
	unsigned int imports;		/* of sync_files */
	uint32_t deps[4], n_deps;	/* syncobjs that the newest SUBMIT waits for */
	int no_file;			/* errno of the next sync_file, or 0 */
	uint32_t handles;		/* made so far: 1, 2, 3 ... */
	unsigned int closed[8];		/* handle */
	int major, minor;		/* of the interface, more than those of this library */
	uint32_t knows;			/* bytes of struct drm_octans_query_device, 0: as this library */
	int node[4];			/* errno of opening accelN, 0: it opens */
	int refuses[DRM_OCTANS_SUBMIT + 1];	/* errno of an ioctl of ours, 0: none */
	int high;			/* the same of a queue of high priority */
	unsigned int interrupts;	/* calls that will be interrupted */
	/* where jobs end only when somebody waits for them: */
	uint32_t room;			/* for so many jobs, 0: they end at once */
	uint32_t others;		/* of them are others' jobs; a moment ends up to 50 */
	uint32_t jobs;			/* not ended */
	uint64_t jobs_ever, point, at[64];	/* of the timeline: jobs when it will be reached */
	unsigned int full, waits, moments;	/* SUBMITs refused for want of room, and waits for that */
} kernel;

/* Nodes of processors open or do not; everything else is as it is. */
int open(const char *path, int flags, ...)
{
	static const char nodes[] = "/dev/accel/accel";

	if (strncmp(path, nodes, strlen(nodes)))
		return syscall(SYS_openat, AT_FDCWD, path, flags, 0);
	errno = kernel.node[atoi(path + strlen(nodes))];
	return errno ? -1 : (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
}

drmVersionPtr drmGetVersion(int fd)
{
	drmVersionPtr v = calloc(1, sizeof(*v));

	(void)fd;
	v->version_major = OCTANS_UAPI_MAJOR + kernel.major;
	v->version_minor = OCTANS_UAPI_MINOR + kernel.minor;
	return v;
}

void drmFreeVersion(drmVersionPtr v)
{
	free(v);
}

/* Of a kernel's structure what both know, and zeros. */
static void query_device(struct drm_octans_dev_query *q)
{
	struct { struct drm_octans_query_device d; uint64_t future; } all = {
		{ .va_bits = 48, .page_size = 4096, .profile = "played", .macs_f16 = 16, .sram_size = 1 << 20 }, 1,
	};
	uint32_t size = kernel.knows ? kernel.knows : sizeof(all.d), n = q->size < size ? q->size : size;

	if (q->type != DRM_OCTANS_QUERY_DEVICE)
		return;
	memset((void *)(uintptr_t)q->ptr, 0, q->size);
	memcpy((void *)(uintptr_t)q->ptr, &all, n);
	q->size = size;
}

/* A dma-buf of handle h is the descriptor 1000 + h, in every file of this kernel. */
int drmPrimeHandleToFD(int fd, uint32_t handle, uint32_t flags, int *prime)
{
	(void)fd, (void)flags;
	*prime = 1000 + (int)handle;
	return 0;
}

int drmPrimeFDToHandle(int fd, int prime, uint32_t *handle)
{
	(void)fd;
	*handle = prime - 1000;
	return 0;
}

static int create_queue(const struct drm_octans_queue_create *c)
{
	return c->priority == DRM_OCTANS_PRIORITY_HIGH ? kernel.high : 0;
}

static int query_queue(struct drm_octans_queue_query *q)
{
	kernel.queries++;
	q->state = kernel.state;
	q->error = kernel.error;
	q->failed = kernel.failed;
	return 0;
}

/* As the kernel does, it leaves an index in what it was given, also where it refuses. */
static int submit(struct drm_octans_submit *s)
{
	const struct drm_octans_sync *last = (void *)(uintptr_t)s->syncs.ptr;

	if (s->failed_index)
		return EINVAL;
	s->failed_index = ~0u;
	kernel.submits++;
	kernel.n_deps = 0;
	for (uint32_t i = 0; i < s->syncs.count && kernel.n_deps < 4; i++)
		if (!(last[i].flags & DRM_OCTANS_SYNC_SIGNAL))
			kernel.deps[kernel.n_deps++] = last[i].handle;
	if (kernel.state)
		return ECANCELED;
	if (kernel.room && kernel.jobs + kernel.others + s->jobs.count > kernel.room) {
		kernel.full++;
		return EAGAIN;
	}
	if (kernel.room)
		kernel.jobs += s->jobs.count;
	kernel.jobs_ever += s->jobs.count;
	last += s->syncs.count - 1;
	if (last->flags & DRM_OCTANS_SYNC_TIMELINE) {
		if (last->point != kernel.point + 1)
			return EINVAL;
		kernel.at[++kernel.point % 64] = kernel.jobs_ever;
	}
	kernel.failed += kernel.will_fail;
	if (kernel.ban)
		kernel.state = DRM_OCTANS_QUEUE_BANNED;
	return 0;
}

static int serve(unsigned long request, void *arg)
{
	unsigned int nr = _IOC_NR(request) - DRM_COMMAND_BASE;

	if (kernel.gone)
		return ENODEV;
	if (kernel.interrupts) {
		kernel.interrupts--;
		return EINTR;
	}
	if (nr <= DRM_OCTANS_SUBMIT && kernel.refuses[nr])
		return kernel.refuses[nr];
	switch (request) {
	case DRM_IOCTL_OCTANS_DEV_QUERY:
		query_device(arg);
		return 0;
	case DRM_IOCTL_OCTANS_BO_CREATE:
		((struct drm_octans_bo_create *)arg)->handle = ++kernel.handles;
		return 0;
	case DRM_IOCTL_OCTANS_BO_QUERY:
		((struct drm_octans_bo_query *)arg)->size = 8192;
		return 0;
	case DRM_IOCTL_GEM_CLOSE:
		kernel.closed[((struct drm_gem_close *)arg)->handle]++;
		return 0;
	case DRM_IOCTL_OCTANS_QUEUE_CREATE:
		return create_queue(arg);
	case DRM_IOCTL_OCTANS_QUEUE_QUERY:
		return query_queue(arg);
	case DRM_IOCTL_OCTANS_SUBMIT:
		return submit(arg);
	}
	return 0;
}

static uint64_t reached(void)
{
	uint64_t p = kernel.point;

	while (p && kernel.at[p % 64] > kernel.jobs_ever - kernel.jobs)
		p--;
	return p;
}

int drmSyncobjQuery(int fd, uint32_t *handles, uint64_t *points, uint32_t n)
{
	(void)fd, (void)handles, (void)n;
	if (kernel.gone)
		return -ENODEV;
	*points = reached();
	return 0;
}

int drmSyncobjTimelineWait(int fd, uint32_t *handles, uint64_t *points, unsigned int n, int64_t timeout_nsec,
			   unsigned int flags, uint32_t *first)
{
	(void)fd, (void)handles, (void)n, (void)timeout_nsec, (void)flags, (void)first;
	kernel.waits++;
	kernel.jobs = kernel.jobs_ever - kernel.at[*points % 64];
	return 0;
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
	(void)t, (void)left;
	kernel.moments++;
	kernel.others -= kernel.others < 50 ? kernel.others : 50;
	return 0;
}

int drmSyncobjCreate(int fd, uint32_t flags, uint32_t *handle)
{
	(void)fd, (void)flags;
	*handle = ++kernel.syncobjs;
	return 0;
}

int drmSyncobjDestroy(int fd, uint32_t handle)
{
	(void)fd, (void)handle;
	kernel.destroyed++;
	return 0;
}

int drmSyncobjWait(int fd, uint32_t *handles, unsigned int n, int64_t timeout_nsec, unsigned int flags,
		   uint32_t *first)
{
	(void)fd, (void)handles, (void)n, (void)timeout_nsec, (void)flags, (void)first;
	kernel.fence_waits++;
	return 0;
}

int drmSyncobjExportSyncFile(int fd, uint32_t handle, int *file)
{
	(void)fd, (void)handle;
	if (kernel.no_file) {
		errno = kernel.no_file;
		return -1;
	}
	kernel.waits_by_file++;
	*file = open("/dev/null", O_RDONLY);
	return *file < 0 ? -1 : 0;
}

int drmSyncobjImportSyncFile(int fd, uint32_t handle, int file)
{
	(void)fd, (void)handle, (void)file;
	kernel.imports++;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	(void)fd;
	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == SYNC_IOC_FILE_INFO)
		((struct sync_file_info *)arg)->status = kernel.status;
	else
		errno = serve(request, arg);
	return request == SYNC_IOC_FILE_INFO || !errno ? 0 : -1;
}

#endif
