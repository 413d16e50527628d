// SPDX-License-Identifier: MIT
/* libaccel's kernel transport on a kernel that is played (kernel_rig.h): which node is opened, what became of
 * jobs, and why, and who may close a handle. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <drm/octans_accel.h>
#include <xf86drm.h>

#include "cpu_time.h"
#include "device/transport.h"
#include "kernel_rig.h"
#include "tap.h"

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
	kernel.error = ENODATA;
	ok(run(1, &why) == -ENODATA && why == -ENODATA && strstr(accel_error(), "lost what its memory held"),
	   "%s", accel_error());
	kernel.error = 0;
	kernel.state = 0;
	kernel.status = -ENODATA;
	kernel.will_fail = 1;
	ok(run(1, &why) == -ENODATA && !why && strstr(accel_error(), "lost what its memory held"),
	   "a job that waited: %s", accel_error());
	kernel.status = -ECANCELED;
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

/* Jobs that the kernel has no room for wait until others have ended: for the oldest of theirs, and for as long
 * as it takes if it is others' that have the room. */
static void test_room(void)
{
	struct accel_job jobs[ACCEL_MAX_JOBS];
	struct accel_queue *q;
	int bad = 0;

	for (size_t i = 0; i < ACCEL_MAX_JOBS; i++)
		jobs[i] = (struct accel_job) { .sz = sizeof(jobs[i]), .va = 4096, .size = 16 };
	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	kernel.room = 1024;
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	for (int i = 0; i < 5000; i++)
		bad += !!accel_submit(q, jobs, 1, NULL, 0, NULL);
	ok(!bad && kernel.jobs_ever == 5000, "5000 jobs where there is room for 1024: %s", bad ? accel_error() : "all");
	ok(kernel.full && kernel.full <= kernel.waits && !kernel.moments,
	   "%u times there was none: %u waits for the oldest", kernel.full, kernel.waits);
	ok(kernel.jobs >= 700, "the queue does not run dry: %u are in it", kernel.jobs);
	kernel.full = kernel.waits = 0;
	for (int i = 0; i < 100; i++)
		bad += !!accel_submit(q, jobs, ACCEL_MAX_JOBS, NULL, 0, NULL);
	ok(!bad && kernel.full && kernel.full <= kernel.waits && !kernel.moments, "64 at once: %u waits", kernel.waits);
	accel_queue_free(q);

	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	kernel = (typeof(kernel)) { .status = 1, .room = 1024, .others = 1024 };
	ok(!accel_submit(q, jobs, 1, NULL, 0, NULL) && kernel.moments == 1 && kernel.full == 1,
	   "another queue has the room: a moment");
	kernel.others = 1024;
	kernel.gone = true;
	ok(accel_submit(q, jobs, 1, NULL, 0, NULL) == -ENODEV && strstr(accel_error(), "is gone"), "%s", accel_error());
	kernel.gone = false;
	kernel.interrupts = 3;
	kernel.others = 0;
	ok(!accel_submit(q, jobs, 1, NULL, 0, NULL) && !kernel.interrupts, "a signal in between is no error");
	accel_queue_free(q);
}

/* A syncobj that is free becomes the next job's: one after the other need one, two at once two. */
static void test_syncobjs(void)
{
	struct accel_job job = { .sz = sizeof(job), .va = 4096, .size = 16 };
	struct accel_fence *f[2];
	struct accel_queue *q;
	int bad = 0;

	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	dev.spare = 0;
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	for (int i = 0; i < 10; i++) {
		bad += accel_submit(q, &job, 1, NULL, 0, &f[0]) || accel_fence_wait(f[0], INT64_MAX);
		accel_fence_free(f[0]);
	}
	ok(!bad && kernel.syncobjs == 1 && !kernel.destroyed, "ten jobs, one after the other: one syncobj");
	for (int i = 0; i < 2; i++)
		bad += accel_submit(q, &job, 1, NULL, 0, &f[i]);
	ok(!bad && f[0]->handle != f[1]->handle && kernel.syncobjs == 2, "two at once have one each");
	accel_fence_free(f[0]);
	accel_fence_free(f[1]);
	ok(kernel.destroyed == 1, "and one is kept");
	kernel.state = DRM_OCTANS_QUEUE_BANNED;
	ok(accel_submit(q, &job, 1, NULL, 0, &f[0]) == -ECANCELED && kernel.syncobjs == 2 && kernel.destroyed == 1,
	   "also if the job is refused");
	accel_queue_free(q);
	dev.spare = 0;
}

static uint64_t words[16];

static void *write_words(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < 16; i++)
		__atomic_store_n(&words[i], i, __ATOMIC_RELEASE);
	return NULL;
}

/* Submits n jobs, the last of which ends with writing words: of them so many are there at once. */
static int run_told(struct accel_queue *q, size_t n, size_t written)
{
	struct accel_job jobs[2] = { { .sz = sizeof(jobs[0]), .va = 4096, .size = 16 } };
	struct accel_fence *f;
	int err;

	jobs[1] = jobs[0];
	ending_clear(words, 16);
	err = accel_submit(q, jobs, n, NULL, 0, &f);
	if (err)
		return err;
	fence_ends_with(f, words, 16);
	for (size_t i = 0; i < written; i++)
		words[i] = i;
	err = accel_fence_wait(f, INT64_MAX);
	accel_fence_free(f);
	return err;
}

/* Who waits sees the end in memory, and asks the kernel if it does not. */
static void test_ending(void)
{
	struct accel_queue *q;
	pthread_t thread;
	double cpu;
	int bad = 0;

	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	dev.looks = true;
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	ok(!run_told(q, 1, 16) && !kernel.fence_waits && !kernel.queries, "all words are there: nobody is asked");
	ok(!run_told(q, 1, 15) && kernel.fence_waits == 1 && kernel.queries == 1, "one is not: the fence is");
	kernel.will_fail = 1;
	kernel.status = -EFAULT;
	ok(run_told(q, 1, 0) == -EFAULT, "%s", accel_error());
	kernel.status = 1;
	ok(run_told(q, 2, 16) == -ECANCELED, "of several the last cannot tell: %s", accel_error());
	kernel.will_fail = 0;
	accel_queue_free(q);

	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	cpu = cpu_seconds();
	for (int i = 0; i < 20000; i++)
		bad += !!run_told(q, 1, 0);
	cpu = cpu_seconds() - cpu;
	ok(!bad && cpu < 0.15, "20000 long jobs are not looked at for long each: %.0f ms", cpu * 1e3);
	kernel.fence_waits = kernel.queries = 0;
	for (int i = 0; i < 300; i++)
		bad += !!run_told(q, 1, i < 290 ? 0 : 16);
	ok(!bad && kernel.queries == 290, "an end that is seen after all saves the question for the result");
	accel_queue_free(q);

	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	dev.looks = false;
	kernel.fence_waits = 0;
	ok(!run_told(q, 1, 16) && kernel.fence_waits == 1, "with one CPU it is the kernel that is waited for");
	ending_clear(words, 16);
	ok(!ending_written(&(struct ending) { words, 16 }) && !ending_written(&(struct ending) { 0 }), "no words, no end");
	pthread_create(&thread, NULL, write_words, NULL);
	while (!ending_watch(&(struct ending) { words, 16 }, &(struct patience) { 0 }))
		;
	bad = 0;
	for (size_t i = 0; i < 16; i++)
		bad += words[i] != i;
	ok(!bad, "what another thread wrote is all there when it is seen");
	pthread_join(thread, NULL);
	accel_queue_free(q);
}

/* Each number of the kernel has a sentence, and it names the cause. */
static void test_sentences(void)
{
	struct accel_job job = { .sz = sizeof(job), .va = 4096, .size = 16 };
	struct accel_queue *q, *other;
	struct accel_vm *space;
	struct accel_bo *bo;

	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	kernel.refuses[DRM_OCTANS_SUBMIT] = EACCES;
	ok(accel_submit(q, &job, 1, NULL, 0, NULL) == -EACCES && strstr(accel_error(), "too many of its jobs have failed"),
	   "%s", accel_error());
	kernel.refuses[DRM_OCTANS_SUBMIT] = ENOMEM;
	ok(accel_submit(q, &job, 1, NULL, 0, NULL) == -ENOMEM && strstr(accel_error(), "kernel has no memory"),
	   "%s", accel_error());
	kernel.refuses[DRM_OCTANS_SUBMIT] = ENODEV;
	ok(accel_submit(q, &job, 1, NULL, 0, NULL) == -ENODEV && strstr(accel_error(), "is gone"), "%s", accel_error());
	kernel.refuses[DRM_OCTANS_SUBMIT] = 0;
	kernel.state = DRM_OCTANS_QUEUE_BANNED;
	kernel.error = ETIME;
	ok(accel_submit(q, &job, 1, NULL, 0, NULL) == -ECANCELED && strstr(accel_error(), "ran longer"), "%s",
	   accel_error());
	kernel.error = EACCES;
	ok(accel_queue_error(q) == -EACCES && strstr(accel_error(), "too many of its jobs"), "%s", accel_error());
	kernel.state = kernel.error = 0;
	accel_queue_free(q);

	kernel.refuses[DRM_OCTANS_QUEUE_CREATE] = EACCES;
	ok(accel_queue_new(vm, ACCEL_PRIORITY_HIGH, 0, &other) == -EACCES && strstr(accel_error(), "have failed"),
	   "%s", accel_error());
	kernel.refuses[DRM_OCTANS_QUEUE_CREATE] = 0;
	kernel.high = EACCES;
	ok(accel_queue_new(vm, ACCEL_PRIORITY_HIGH, 0, &other) == -EACCES && strstr(accel_error(), "CAP_SYS_NICE"),
	   "%s", accel_error());
	kernel.refuses[DRM_OCTANS_QUEUE_CREATE] = EBUSY;
	ok(accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &other) == -EBUSY && strstr(accel_error(), "queues"),
	   "%s", accel_error());
	kernel.refuses[DRM_OCTANS_QUEUE_CREATE] = EDQUOT;
	ok(accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &other) == -EDQUOT && strstr(accel_error(), "your user"),
	   "%s", accel_error());
	kernel.refuses[DRM_OCTANS_VM_CREATE] = EDQUOT;
	ok(accel_vm_new(&dev, &space) == -EDQUOT && strstr(accel_error(), "address space"), "%s", accel_error());
	kernel.refuses[DRM_OCTANS_VM_CREATE] = ENOSPC;
	ok(accel_vm_new(&dev, &space) == -EBUSY && strstr(accel_error(), "other programs"), "%s", accel_error());
	kernel.refuses[DRM_OCTANS_BO_CREATE] = ENOSPC;
	ok(accel_bo_new(&dev, 8192, ACCEL_BO_DEVICE, NULL, &bo) == -ENOSPC && strstr(accel_error(), "on-card memory"),
	   "%s", accel_error());
	kernel.refuses[DRM_OCTANS_BO_CREATE] = EDQUOT;
	ok(accel_bo_new(&dev, 8192, ACCEL_BO_DEVICE, NULL, &bo) == -EDQUOT && strstr(accel_error(), "user_*"),
	   "%s", accel_error());
	kernel.refuses[DRM_OCTANS_BO_CREATE] = 0;
	kernel.refuses[DRM_OCTANS_VM_BIND] = EIO;
	accel_bo_new(&dev, 8192, ACCEL_BO_HOST, NULL, &bo);
	ok(accel_vm_map(vm, bo, 0, 0, 8192, 0) == -EIO && strstr(accel_error(), "swiotlb"), "%s", accel_error());
	accel_bo_free(bo);
}

static unsigned int warnings;
static char warning[1024];

static void count_warning(void *arg, enum accel_log_level level, const char *sentence)
{
	(void)arg;
	warnings += level == ACCEL_LOG_WARNING;
	snprintf(warning, sizeof(warning), "%s", sentence);
}

/* As many descriptors as there are, and none more; *was: for setrlimit() later. */
static void no_descriptors(struct rlimit *was)
{
	struct rlimit now;
	int next = fcntl(2, F_DUPFD, 0);

	close(next);
	getrlimit(RLIMIT_NOFILE, was);
	now = (struct rlimit) { next, was->rlim_max };
	setrlimit(RLIMIT_NOFILE, &now);
}

/* One is held for a fence to pass through, so a full table of files takes nothing from who works already. */
static void test_reserve(void)
{
	struct accel_dev other = dev;
	struct accel_fence there = { .dev = &other, .handle = 91 }, *list[] = { &there }, *f;
	struct accel_job job = { .sz = sizeof(job), .va = 4096, .size = 16 };
	struct accel_queue *q;
	struct rlimit was;
	int held;

	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	other.fd = open("/dev/null", O_RDONLY);
	reserve_fill(&other.reserve, other.fd);
	held = other.reserve.fd;
	no_descriptors(&was);
	for (unsigned int i = 1; i <= 3; i++) {
		ok(!accel_submit(q, &job, 1, list, 1, &f) && kernel.imports == i && kernel.n_deps == 1 && !kernel.fence_waits,
		   "without a descriptor left a fence passes, %u", i);
		accel_fence_free(f);
	}
	ok(other.reserve.fd == held && fcntl(held, F_GETFD) == FD_CLOEXEC, "and that is in reserve again");
	setrlimit(RLIMIT_NOFILE, &was);
	ok(!accel_submit(q, &job, 1, list, 1, &f) && other.reserve.fd == held, "with descriptors it is left alone");
	accel_fence_free(f);
	reserve_drop(&other.reserve);
	ok(!other.reserve.fd && fcntl(held, F_GETFD) < 0, "it is closed with the processor");
	close(other.fd);
	accel_queue_free(q);
}

static void test_deps(void)
{
	struct accel_dev other = dev;
	struct accel_fence here = { .dev = &dev, .handle = 90 }, there = { .dev = &other, .handle = 91 };
	struct accel_fence *none = NULL, *list[] = { &here, &there }, *f;
	struct accel_job job = { .sz = sizeof(job), .va = 4096, .size = 16 };
	struct accel_queue *q, *sq;
	struct accel_dev *sim;
	struct accel_vm *svm;

	memset(&kernel, 0, sizeof(kernel));
	kernel.status = 1;
	strcpy(other.info.name, "accel8");
	accel_queue_new(vm, ACCEL_PRIORITY_NORMAL, 0, &q);
	ok(!accel_submit(q, &job, 1, list, 2, &f) && kernel.n_deps == 2 && kernel.deps[0] == 90 &&
	   kernel.deps[1] && kernel.deps[1] != 91 && kernel.imports == 1 && kernel.destroyed == 1 && !kernel.fence_waits,
	   "a fence of another processor becomes one of this, for as long as it takes");
	accel_fence_free(f);
	kernel.submits = 0;
	there.queue = q;
	accel_log_set(count_warning, NULL);
	for (int i = 0; i < 4; i++) {
		kernel.no_file = i % 2 ? ENFILE : EMFILE;
		ok(!accel_submit(q, &job, 1, list, 2, &f) && kernel.n_deps == 1 && kernel.deps[0] == 90 &&
		   kernel.fence_waits == 1u + i, "without a descriptor it is waited for: %s", warning);
		accel_fence_free(f);
	}
	ok(warnings == 1 && strstr(warning, "file descriptor"), "which is said once");
	accel_log_set(NULL, NULL);
	kernel.fence_waits = 0;
	kernel.no_file = ENODEV;
	ok(!accel_submit(q, &job, 1, list, 2, &f) && kernel.n_deps == 1 && kernel.deps[0] == 90,
	   "one that is gone is not waited for");
	accel_fence_free(f);
	kernel.no_file = 0;
	ok(accel_submit(q, &job, 1, &none, 1, &f) == -EINVAL &&
	   accel_submit(q, &job, 1, NULL, 1, &f) == -EINVAL, "%s", accel_error());
	ok(!accel_submit(q, &job, 1, list, 1, &f), "its own it takes");
	accel_fence_free(f);

	if (!ok(!accel_open("sim:rings=1,local=1M", &sim), "the model"))
		return;
	here.queue = q;
	accel_vm_new(sim, &svm);
	accel_queue_new(svm, ACCEL_PRIORITY_NORMAL, 0, &sq);
	ok(!accel_submit(sq, &job, 1, list, 1, &f) && kernel.fence_waits == 1 && accel_fence_wait(f, INT64_MAX) == -EFAULT,
	   "a job of the model waits here: %s", accel_error());
	accel_fence_free(f);
	accel_queue_free(sq);
	accel_vm_free(svm);
	accel_close(sim);
	accel_queue_free(q);
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

/* A module of another release: it works, or a sentence has both numbers. */
static void test_versions(void)
{
	static const struct {
		int major, minor;
		size_t knows;
		int err;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ 0, -OCTANS_UAPI_MINOR, offsetof(struct drm_octans_query_device, macs_f16), 0 },
		{ 0, 1, sizeof(struct drm_octans_query_device) + 8, 0 },
		{ -1, 0, 0, -EPROTO }, { 1, -OCTANS_UAPI_MINOR, 0, -EPROTO },
	};
	char top[] = "/tmp/octans-sysfs-XXXXXX", both[80];

	if (!ok(!!mkdtemp(top), "a made-up sysfs"))
		return;
	make_sysfs(top);
	setenv("ACCEL_SYSFS_CLASS", top, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const uint32_t major = OCTANS_UAPI_MAJOR + cases[i].major, minor = OCTANS_UAPI_MINOR + cases[i].minor;
		struct accel_devinfo info = { .sz = sizeof(info) }, list = info;
		struct accel_dev *d;
		size_t n = 1;
		int err;

		memset(&kernel, 0, sizeof(kernel));
		kernel.major = cases[i].major;
		kernel.minor = cases[i].minor;
		kernel.knows = cases[i].knows;
		err = accel_open("accel0", &d);
		if (!err)
			accel_dev_info(d, &info);
		snprintf(both, sizeof(both), "accel0 speaks uapi %u.%u, this library %d.%d: ", major, minor,
			 OCTANS_UAPI_MAJOR, OCTANS_UAPI_MINOR);
		ok(err == cases[i].err && (err ? !!strstr(accel_error(), both) :
					   !strcmp(info.profile, "played") && info.uapi_minor == minor),
		   "module %u.%u: %s", major, minor, err ? accel_error() : "it works");
		ok(err || info.macs_f16 == (cases[i].minor < 0 ? 0 : 16), "what it does not know is zero");
		accel_close(d);
		ok(!accel_enumerate(&list, &n) && list.access == err && list.uapi_major == major &&
		   list.uapi_minor == minor, "it is listed with its number");
	}
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
	test_room();
	test_syncobjs();
	test_ending();
	test_sentences();
	test_reserve();
	test_deps();
	test_open();
	test_versions();
	accel_vm_free(vm);
	handles_destroy(&dev.handles);
	return done();
}
