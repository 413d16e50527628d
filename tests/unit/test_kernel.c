// SPDX-License-Identifier: MIT
/* libaccel's kernel transport on a kernel that this file plays: which node is opened, what became of
 * jobs, and why, and who may close a handle. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sync_file.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <drm/octans_accel.h>
#include <xf86drm.h>

#include "device/transport.h"
#include "tap.h"

/* ---- the kernel ---- */

static struct {
	uint32_t state, error;
	uint64_t failed;		/* jobs of the queue, so far */
	uint64_t will_fail;		/* of the next submission */
	bool ban;			/* because of that */
	int status;			/* of the newest fence: 1, or -errno */
	bool gone;
	unsigned int queries, submits, waits_by_file;
	int no_file;			/* errno of the next sync_file, or 0 */
	uint32_t handles;		/* made so far: 1, 2, 3 ... */
	unsigned int closed[8];		/* handle */
	int node[4];			/* errno of opening accelN, 0: it opens */
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
	v->version_major = OCTANS_UAPI_MAJOR;
	return v;
}

void drmFreeVersion(drmVersionPtr v)
{
	free(v);
}

static void query_device(const struct drm_octans_dev_query *q)
{
	if (q->type == DRM_OCTANS_QUERY_DEVICE)
		*(struct drm_octans_query_device *)(uintptr_t)q->ptr = (struct drm_octans_query_device) {
			.va_bits = 48, .page_size = 4096, .profile = "played",
		};
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

int drmIoctl(int fd, unsigned long request, void *arg)
{
	struct drm_octans_queue_query *q = arg;

	(void)fd;
	if (kernel.gone) {
		errno = ENODEV;
		return -1;
	}
	if (request == DRM_IOCTL_OCTANS_DEV_QUERY)
		query_device(arg);
	if (request == DRM_IOCTL_OCTANS_BO_CREATE) {
		((struct drm_octans_bo_create *)arg)->handle = ++kernel.handles;
	} else if (request == DRM_IOCTL_OCTANS_BO_QUERY) {
		((struct drm_octans_bo_query *)arg)->size = 8192;
	} else if (request == DRM_IOCTL_GEM_CLOSE) {
		kernel.closed[((struct drm_gem_close *)arg)->handle]++;
	}
	if (request == DRM_IOCTL_OCTANS_SUBMIT) {
		kernel.submits++;
		if (kernel.state) {
			errno = ECANCELED;
			return -1;
		}
		kernel.failed += kernel.will_fail;
		if (kernel.ban)
			kernel.state = DRM_OCTANS_QUEUE_BANNED;
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
	if (kernel.no_file) {
		errno = kernel.no_file;
		return -1;
	}
	kernel.waits_by_file++;
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
		jobs[i] = (struct accel_job) { .sz = sizeof(jobs[i]), .va = 4096, .size = 16 };
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
		kernel.failed = 2;
		ok(accel_fence_wait(&f, INT64_MAX) == -ECANCELED && strstr(accel_error(), "an earlier job failed"),
		   "%s", accel_error());
		ok(accel_queue_error(q) == -errors[i], "%s", accel_error());
		accel_queue_free(q);
	}
	kernel.error = 0;
	kernel.state = 0;
	kernel.will_fail = 1;
	kernel.ban = true;
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
	ok(!run(1, &why) && kernel.queries == before + 2, "one job asks for it once");
	kernel.status = -ECANCELED;
	kernel.will_fail = 1;
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

/* A server waits often: good jobs take no descriptor.  One that is out of them learns that, not that
 * the processor failed, and the result later. */
static void test_descriptors(void)
{
	struct accel_job job = { .sz = sizeof(job), .va = 4096, .size = 16 };
	struct accel_fence *f;
	struct accel_queue *q;
	int why;

	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	kernel.no_file = EMFILE;
	ok(!run(1, &why) && !run(3, &why) && !why, "good jobs without a descriptor left");
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	kernel.will_fail = 1;
	kernel.status = -EFAULT;
	accel_submit(q, &job, 1, NULL, 0, &f);
	ok(accel_fence_wait(f, INT64_MAX) == -EMFILE && strstr(accel_error(), "file descriptor"),
	   "a bad one: %s", accel_error());
	kernel.no_file = 0;
	ok(accel_fence_wait(f, INT64_MAX) == -EFAULT && kernel.waits_by_file == 1, "with one: %s",
	   accel_error());
	accel_fence_free(f);
	kernel.will_fail = 0;
	kernel.status = 1;
	accel_submit(q, &job, 1, NULL, 0, &f);
	ok(!accel_fence_wait(f, INT64_MAX) && kernel.waits_by_file == 1, "what is known to have failed is past");
	accel_fence_free(f);
	accel_queue_free(q);
}

/* The kernel knows one handle for a buffer that is imported where it came from, or twice. */
static void test_import(void)
{
	struct accel_bo *bo[4];
	int fd, n = 0;

	memset(&kernel, 0, sizeof(kernel));
	ok(!accel_bo_new(&dev, 8192, ACCEL_BO_DEVICE, NULL, &bo[0]) && !accel_bo_export(bo[0], &fd),
	   "a dma-buf");
	for (int i = 1; i < 4; i++)
		n += !accel_bo_import(&dev, fd, &bo[i]) && accel_bo_size(bo[i]) == 8192;
	ok(n == 3, "imported three times");
	accel_bo_free(bo[0]);
	accel_bo_free(bo[2]);
	accel_bo_free(bo[1]);
	ok(!kernel.closed[1], "the first three that are freed leave it to the last");
	ok(!accel_vm_map(vm, bo[3], 0, 0, 8192, 0), "which can be used");
	accel_bo_free(bo[3]);
	ok(kernel.closed[1] == 1, "and closes it");
}

static void test_deps(void)
{
	struct accel_dev other = dev;
	struct accel_fence here = { .dev = &dev }, there = { .dev = &other };
	struct accel_fence *none = NULL, *list[] = { &here, &there }, *f;
	struct accel_job job = { .sz = sizeof(job), .va = 4096, .size = 16 };
	struct accel_queue *q, *sq;
	struct accel_dev *sim;
	struct accel_vm *svm;

	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	strcpy(other.info.name, "accel8");
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	ok(accel_submit(q, &job, 1, list, 2, &f) == -EINVAL && !f && !kernel.submits &&
	   strstr(accel_error(), "accel8"), "%s", accel_error());
	ok(accel_submit(q, &job, 1, &none, 1, &f) == -EINVAL &&
	   accel_submit(q, &job, 1, NULL, 1, &f) == -EINVAL, "%s", accel_error());
	ok(!accel_submit(q, &job, 1, list, 1, &f), "its own it takes");
	accel_fence_free(f);
	accel_queue_free(q);

	if (!ok(!accel_open("sim:rings=1,local=1M", &sim), "the model"))
		return;
	accel_vm_new(sim, &svm);
	accel_queue_new(svm, ACCEL_PRIORITY_NORMAL, 0, &sq);
	ok(accel_submit(sq, &job, 1, list, 1, &f) == -EINVAL && strstr(accel_error(), "accel7"), "%s",
	   accel_error());
	accel_queue_free(sq);
	accel_vm_free(svm);
	accel_close(sim);
}

/* A /sys/class/accel with accel0 .. accel2, of which accel1 is another maker's. */
static void make_sysfs(char *top)
{
	char path[256], to[64];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/0000:00:0%d.0", top, i);
		mkdir(path, 0755);
		strcat(path, "/driver");
		if (symlink(i == 1 ? "/bus/pci/drivers/intel_vpu" : "/bus/pci/drivers/octans", path))
			perror(path);
		snprintf(path, sizeof(path), "%s/accel%d", top, i);
		mkdir(path, 0755);
		strcat(path, "/device");
		snprintf(to, sizeof(to), "../0000:00:0%d.0", i);
		if (symlink(to, path))
			perror(path);
	}
}

static void remove_sysfs(const char *top)
{
	char path[256];
	static const char *const parts[] = { "accel%d/device", "accel%d", "0000:00:0%d.0/driver", "0000:00:0%d.0" };

	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 4; k++) {
			int n = snprintf(path, sizeof(path), "%s/", top);

			snprintf(path + n, sizeof(path) - n, parts[k], i);
			if (remove(path))
				perror(path);
		}
	remove(top);
}

static void hear(void *arg, enum accel_log_level level, const char *sentence)
{
	*(bool *)arg |= level == ACCEL_LOG_WARNING && strstr(sentence, "accel2 is used, accel0 is not: /dev/accel/accel0");
}

static void test_open(void)
{
	static const struct {
		const char *selector;
		int node0, node2;	/* errno */
		int err;
		const char *says;	/* or what is opened */
	} cases[] = {
		{ NULL, 0, 0, 0, "accel0" }, { "auto", ENOENT, 0, 0, "accel2" },
		{ NULL, EACCES, 0, 0, "accel2" }, { "2", 0, 0, 0, "accel2" },
		{ "0000:00:02.0", 0, 0, 0, "accel2" },
		{ "accel0", ENOENT, 0, -ENODEV, "/dev/accel/accel0 is missing" },
		{ "accel0", ENXIO, 0, -ENODEV, "/dev/accel/accel0 is there" },
		{ "accel0", EACCES, 0, -EACCES, "render" }, { "accel0", EPERM, 0, -EACCES, "container" },
		{ "accel0", EMFILE, 0, -EMFILE, "Too many open files" },
		{ "accel1", 0, 0, -ENODEV, "\"accel1\"" }, { "accel9", 0, 0, -ENODEV, "\"accel9\"" },
		{ "/dev/null", 0, 0, -EINVAL, "\"/dev/null\"" },
		{ NULL, ENOENT, EACCES, -EACCES, "none of 2 processors opens: /dev/accel/accel2" },
		{ NULL, EACCES, ENOENT, -EACCES, "none of 2 processors opens: /dev/accel/accel0" },
		{ NULL, ENOENT, ENOENT, -ENODEV, "none of 2 processors opens: /dev/accel/accel0" },
	};
	struct accel_devinfo list[3] = { { .sz = sizeof(list[0]) } };
	char top[] = "/tmp/octans-sysfs-XXXXXX";
	struct accel_dev *d;
	size_t n = 3;
	bool heard;

	if (!ok(!!mkdtemp(top), "a made-up sysfs"))
		return;
	make_sysfs(top);
	setenv("ACCEL_SYSFS_CLASS", top, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct accel_devinfo info = { .sz = sizeof(info) };
		int err;

		memset(&kernel, 0, sizeof(kernel));
		kernel.node[0] = cases[i].node0;
		kernel.node[2] = cases[i].node2;
		heard = false;
		accel_log_set(hear, &heard);
		err = accel_open(cases[i].selector, &d);
		accel_log_set(NULL, NULL);
		if (!err)
			accel_dev_info(d, &info);
		/* What a tool is called is for the tool to say. */
		ok(err == cases[i].err && strstr(err ? accel_error() : info.name, cases[i].says) &&
		   !(err && strstr(accel_error(), "accelctl")), "%s: %s",
		   cases[i].selector ? cases[i].selector : "any", err ? accel_error() : info.name);
		ok(heard == (!err && cases[i].node0), "another than the first is %s", heard ? "told" : "not used");
		accel_close(d);
	}
	memset(&kernel, 0, sizeof(kernel));
	kernel.node[0] = ENOENT;
	ok(!accel_enumerate(list, &n) && n == 2 && list[0].access == -ENOENT && !list[0].page_size &&
	   !strcmp(list[0].path, "/dev/accel/accel0") && !list[1].access && list[1].page_size == 4096 &&
	   !strcmp(list[1].pci, "0000:00:02.0") && list[1].sz == sizeof(list[1]), "both are listed");
	n = 0;
	ok(!accel_enumerate(NULL, &n) && n == 2, "or counted");
	unsetenv("ACCEL_SYSFS_CLASS");
	remove_sysfs(top);
}

int main(void)
{
	if (!ok(!accel_vm_new(&dev, &vm), "an address space"))
		return done();
	test_cause();
	test_innocent();
	test_gone();
	test_descriptors();
	test_import();
	test_deps();
	test_open();
	accel_vm_free(vm);
	handles_destroy(&dev.handles);
	return done();
}
