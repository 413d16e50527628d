// SPDX-License-Identifier: MIT
/* libaccel's kernel transport on a kernel that this file plays: what became of jobs, and why. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sync_file.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <drm/octans_accel.h>
#include <xf86drm.h>

#include "device/transport.h"
#include "tap.h"

/* ---- the kernel ---- */

static struct {
	uint32_t state, error;
	uint64_t failed;		/* jobs of the queue, so far */
	uint64_t will_fail;		/* of the next submission */
	int status;			/* of the newest fence: 1, or -errno */
	bool gone;
	unsigned int queries;
} kernel;

int drmIoctl(int fd, unsigned long request, void *arg)
{
	struct drm_octans_queue_query *q = arg;

	(void)fd;
	if (kernel.gone) {
		errno = ENODEV;
		return -1;
	}
	if (request == DRM_IOCTL_OCTANS_SUBMIT) {
		if (kernel.state) {
			errno = ECANCELED;
			return -1;
		}
		kernel.failed += kernel.will_fail;
	}
	if (request == DRM_IOCTL_OCTANS_QUEUE_QUERY) {
		kernel.queries++;
		q->state = kernel.state;
		q->error = kernel.error;
		q->failed = kernel.failed;
	}
	return 0;
}

int drmSyncobjCreate(int fd, uint32_t flags, uint32_t *handle)
{
	(void)fd, (void)flags;
	*handle = 1;
	return 0;
}

int drmSyncobjDestroy(int fd, uint32_t handle)
{
	(void)fd, (void)handle;
	return 0;
}

int drmSyncobjWait(int fd, uint32_t *handles, unsigned int n, int64_t timeout_nsec, unsigned int flags,
		   uint32_t *first)
{
	(void)fd, (void)handles, (void)n, (void)timeout_nsec, (void)flags, (void)first;
	return 0;
}

int drmSyncobjExportSyncFile(int fd, uint32_t handle, int *file)
{
	(void)fd, (void)handle;
	*file = open("/dev/null", O_RDONLY);
	return *file < 0 ? -1 : 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	struct sync_file_info *info;
	va_list ap;

	(void)fd;
	va_start(ap, request);
	info = va_arg(ap, struct sync_file_info *);
	va_end(ap);
	if (request != SYNC_IOC_FILE_INFO) {
		errno = ENOTTY;
		return -1;
	}
	info->status = kernel.status;
	return 0;
}

/* ---- tests ---- */

static struct accel_dev dev = {
	.t = &transport_kernel,
	.info = { .name = "accel7", .va_bits = 48, .page_size = 4096, .max_timeout_ms = 10000 },
	.fd = -1,
};
static struct accel_vm *vm;

/* Submits n jobs to a new queue; the result of their fence, and of the queue. */
static int run(size_t n, int *queue_error)
{
	struct accel_job jobs[ACCEL_MAX_JOBS] = { 0 };
	struct accel_fence *f = NULL;
	struct accel_queue *q = NULL;
	int err;

	for (size_t i = 0; i < n; i++)
		jobs[i] = (struct accel_job) { .va = 4096, .size = 16 };
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	err = accel_submit(q, jobs, n, NULL, 0, &f);
	if (!err)
		err = accel_fence_wait(f, INT64_MAX);
	*queue_error = accel_queue_error(q);
	accel_fence_free(f);
	accel_queue_free(q);
	return err;
}

static void test_cause(void)
{
	static const int errors[] = { ETIME, EFAULT, EIO };
	int why;

	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	ok(!run(5, &why) && !why, "five good jobs");
	kernel.status = -ECANCELED;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		struct accel_queue *q;
		struct accel_fence f = { .dev = &dev };

		kernel.state = 0;
		accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
		f.queue = q;
		kernel.state = DRM_OCTANS_QUEUE_BANNED;
		kernel.error = errors[i];
		ok(accel_fence_wait(&f, INT64_MAX) == -ECANCELED && strstr(accel_error(), "an earlier job failed"),
		   "%s", accel_error());
		ok(accel_queue_error(q) == -errors[i], "%s", accel_error());
		accel_queue_free(q);
	}
	kernel.error = 0;
	ok(run(1, &why) == -ECANCELED && why == -EIO, "a ban without a reason is a failure, too");
}

/* A reset for another client ends the second of three jobs with -ECANCELED and bans nobody: the third
 * runs, and its fence alone would tell of a success. */
static void test_innocent(void)
{
	unsigned int before;
	int why;

	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	kernel.will_fail = 1;
	ok(run(3, &why) == -ECANCELED && !why && strstr(accel_error(), "reset"), "%s", accel_error());
	kernel.will_fail = 0;
	ok(!run(3, &why), "what failed earlier is not held against later jobs");
	before = kernel.queries;
	ok(!run(1, &why) && kernel.queries == before + 1, "the fence of one job tells all: nothing is asked");
	kernel.status = -ECANCELED;
	ok(run(1, &why) == -ECANCELED && !why && strstr(accel_error(), "reset"), "%s", accel_error());
}

static void test_gone(void)
{
	struct accel_queue *q;

	memset(&kernel, 0, sizeof(kernel));
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	kernel.gone = true;
	ok(accel_queue_error(q) == -ENODEV, "%s", accel_error());
	accel_queue_free(q);
}

int main(void)
{
	if (!ok(!accel_vm_new(&dev, &vm), "an address space"))
		return done();
	test_cause();
	test_innocent();
	test_gone();
	accel_vm_free(vm);
	return done();
}
