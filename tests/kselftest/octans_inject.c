// SPDX-License-Identifier: MIT
/*
 * Every allocation of every call fails once, and everything is killed in the middle: nothing is
 * left behind, nothing breaks.  Failing needs a kernel with fault injection (the debug kernel).
 */
#include <linux/udmabuf.h>

#include "octans_admin.h"

static const char *const kinds[] = { "buffers", "spaces", "tables", "queues", "jobs",
				     "card_bytes" };
#define KINDS (sizeof(kinds) / sizeof(*kinds))

FIXTURE(inject) {
	struct client c;
	long long before[KINDS];
};

FIXTURE_SETUP(inject)
{
	ASSERT_TRUE(device_fresh());
	ASSERT_EQ(client_open(&self->c, 1000), 0);
	put_nop(self->c.map);
	jobs_reaped();
	for (size_t i = 0; i < KINDS; i++)
		self->before[i] = objects(kinds[i]);
}

FIXTURE_TEARDOWN(inject)
{
	for (size_t i = 0; i < KINDS; i++) {
		for (int t = 0; t < 50 && objects(kinds[i]) != self->before[i]; t++)
			usleep(100000);
		if (objects(kinds[i]) != self->before[i])
			printf("# %s\n", kinds[i]);
		EXPECT_EQ(objects(kinds[i]), self->before[i]);
	}
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, put_nop(self->c.map), 0), 0);
	client_close(&self->c);
}

static bool armed, hit;

static void fail_path(char path[64])
{
	snprintf(path, 64, "/proc/self/task/%ld/fail-nth", syscall(SYS_gettid));
}

/* The Nth allocation, or copy from or to the caller, from now on fails.  0: none. */
static bool fail_nth(unsigned int n)
{
	char path[64], text[16];

	fail_path(path);
	snprintf(text, sizeof(text), "%u", n);
	armed = n;
	hit = false;
	return write_file(path, text);
}

/* Nothing fails any more.  Whether it did: the number was counted down to 0. */
static bool has_failed(void)
{
	char path[64];

	if (armed) {
		bool failed;

		fail_path(path);
		failed = read_number(path) == 0;
		fail_nth(0);
		hit = failed;
	}
	return hit;
}

/* Also those fail that may sleep, and the log is for what is wrong. */
static void quiet_injection(void)
{
	write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/failslab/verbose", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
}

/* Repeats a thing with its 1st, 2nd ... allocation failing, until it needs no more of them. */
static void step_through(struct test_metadata *_metadata, const char *name, struct client *c,
			 int (*thing)(struct client *c))
{
	unsigned int n = 1;
	bool failed;
	int ret;

	quiet_injection();
	do {
		if (!fail_nth(n))
			SKIP("this kernel injects no faults");
		ret = thing(c);
		failed = has_failed();
		/* the core says -ENOSPC, too, when it has no memory for a handle */
		if (ret && ret != -ENOMEM && ret != -EFAULT && ret != -EINTR && ret != -ENOSPC) {
			printf("# %s, allocation %u: %d\n", name, n, ret);
			EXPECT_EQ(ret, 0);
		}
	} while (failed && ++n < 1000);
	EXPECT_EQ(ret, 0);
	printf("# %s: %u allocations failed\n", name, n - 1);
}

static void gem_close(struct client *c, uint32_t handle)
{
	struct drm_gem_close g = { .handle = handle };

	call(c->fd, DRM_IOCTL_GEM_CLOSE, &g);
}

static int host_buffer(struct client *c)
{
	uint32_t id;
	int ret = bo_create(c->fd, 4 * PAGE, 0, &id);

	if (!ret)
		gem_close(c, id);
	return ret;
}

static int card_buffer(struct client *c)
{
	uint32_t id;
	int ret = bo_create(c->fd, 4 * PAGE, DRM_OCTANS_BO_DEVICE, &id);

	if (!ret)
		gem_close(c, id);
	return ret;
}

static int space(struct client *c)
{
	struct drm_octans_vm_destroy d = { 0 };
	int ret = vm_create(c->fd, &d.id);

	return ret ? ret : call(c->fd, DRM_IOCTL_OCTANS_VM_DESTROY, &d);
}

static int mapping(struct client *c)
{
	int ret = vm_map(c->fd, c->vm, c->bo, 0, VA + (1ull << 40), 16 * PAGE, 0);

	if (!ret)	/* what unmapping needs in its middle may be missing, too */
		ret = vm_unmap(c->fd, c->vm, VA + (1ull << 40) + PAGE, PAGE);
	has_failed();
	vm_unmap(c->fd, c->vm, VA + (1ull << 40), 16 * PAGE);
	return ret;
}

static int queue(struct client *c)
{
	uint32_t id;
	int ret = queue_create(c->fd, c->vm, 1000, &id);

	return ret ? ret : queue_destroy(c->fd, id);
}

static int job(struct client *c)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct drm_syncobj_destroy d;
	int ret = syncobj_create(c->fd, &out.handle);

	if (ret)
		return ret;
	ret = submit(c->fd, c->queue, VA, 16, 0, &out, 1);
	d = (struct drm_syncobj_destroy) { .handle = out.handle };
	call(c->fd, DRM_IOCTL_SYNCOBJ_DESTROY, &d);
	return ret;
}

/* Several jobs that wait for a fence, and a point that comes after them. */
static int batch(struct client *c)
{
	struct drm_octans_sync first = { .flags = DRM_OCTANS_SYNC_SIGNAL }, syncs[2];
	struct drm_octans_job jobs[8];
	struct drm_octans_submit s = {
		.queue_id = c->queue,
		.jobs = { sizeof(*jobs), 8, (uintptr_t)jobs },
		.syncs = { sizeof(*syncs), 2, (uintptr_t)syncs },
	};
	struct drm_syncobj_destroy d = { 0 };
	int ret = syncobj_create(c->fd, &first.handle);

	for (int i = 0; i < 8; i++)
		jobs[i] = (struct drm_octans_job) { .va = VA, .size = 16, .tag = i };
	syncs[0] = (struct drm_octans_sync) { .handle = first.handle };
	syncs[1] = (struct drm_octans_sync) {
		.flags = DRM_OCTANS_SYNC_SIGNAL | DRM_OCTANS_SYNC_TIMELINE, .point = 1,
	};
	if (!ret)
		ret = syncobj_create(c->fd, &syncs[1].handle);
	if (!ret)
		ret = submit(c->fd, c->queue, VA, 16, 0, &first, 1);
	if (!ret)
		ret = call(c->fd, DRM_IOCTL_OCTANS_SUBMIT, &s);
	d.handle = first.handle;
	call(c->fd, DRM_IOCTL_SYNCOBJ_DESTROY, &d);
	d.handle = syncs[1].handle;
	call(c->fd, DRM_IOCTL_SYNCOBJ_DESTROY, &d);
	return ret;
}

static int queries(struct client *c)
{
	struct drm_octans_query_device info;
	struct drm_octans_dev_query d = {
		.type = DRM_OCTANS_QUERY_DEVICE, .size = sizeof(info), .ptr = (uintptr_t)&info,
	};
	struct drm_octans_queue_query q = { .id = c->queue };
	struct drm_octans_bo_query b = { .handle = c->bo };
	struct drm_octans_fault faults[16];
	struct drm_octans_vm_get_faults f = {
		.vm_id = c->vm, .faults = { sizeof(*faults), 16, (uintptr_t)faults },
	};
	int ret = call(c->fd, DRM_IOCTL_OCTANS_DEV_QUERY, &d);

	ret = ret ?: call(c->fd, DRM_IOCTL_OCTANS_QUEUE_QUERY, &q);
	ret = ret ?: call(c->fd, DRM_IOCTL_OCTANS_BO_QUERY, &b);
	return ret ?: call(c->fd, DRM_IOCTL_OCTANS_VM_GET_FAULTS, &f);
}

static int label(struct client *c)
{
	static const char text[] = "weights";
	struct drm_octans_bo_set_label l = {
		.handle = c->bo, .len = sizeof(text) - 1, .label = (uintptr_t)text,
	};

	return call(c->fd, DRM_IOCTL_OCTANS_BO_SET_LABEL, &l);
}

/* Pages that cannot be had then are no error of mmap(): they come at the first access. */
static int mapped(struct client *c, uint32_t flags)
{
	struct drm_octans_bo_mmap_offset o = { 0 };
	int ret = bo_create(c->fd, 4 * PAGE, flags, &o.handle);
	void *p;

	if (ret)
		return ret;
	ret = call(c->fd, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, &o);
	if (!ret) {
		p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, c->fd,
			 o.offset);
		ret = p == MAP_FAILED ? -errno : munmap(p, 4 * PAGE);
	}
	gem_close(c, o.handle);
	return ret;
}

static int mapped_host(struct client *c)
{
	return mapped(c, 0);
}

static int mapped_card(struct client *c)
{
	return mapped(c, DRM_OCTANS_BO_DEVICE);
}

static int exported(struct client *c)
{
	struct drm_prime_handle p = { .flags = DRM_CLOEXEC | DRM_RDWR };
	int fd = dup(c->fd), ret = bo_create(c->fd, 4 * PAGE, 0, &p.handle);

	close(fd);
	if (ret)
		return ret;
	ret = call(c->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &p);
	close(fd);	/* the lowest that was free, also if it was not told */
	gem_close(c, p.handle);
	return ret;
}

/* Somebody else's buffer, made before anything fails. */
static int foreign = -1;

static void foreign_buffer(void)
{
	struct udmabuf_create u = { .memfd = memfd_create("inject", MFD_ALLOW_SEALING) };
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);

	u.size = 16 * PAGE;
	if (!ftruncate(u.memfd, u.size) && !fcntl(u.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		foreign = ioctl(fd, UDMABUF_CREATE, &u);
	close(u.memfd);
	close(fd);
}

static int imported(struct client *c)
{
	struct drm_prime_handle p = { .fd = foreign };
	int ret = call(c->fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &p);

	if (ret)
		return ret;
	ret = vm_map(c->fd, c->vm, p.handle, 0, VA + (1ull << 41), 16 * PAGE, 0);
	has_failed();
	vm_unmap(c->fd, c->vm, VA + (1ull << 41), 16 * PAGE);
	gem_close(c, p.handle);
	return ret;
}

static int whole_client(struct client *c)
{
	struct client other = { .fd = -1 };
	int ret = client_open(&other, 1000);

	(void)c;
	has_failed();
	if (!ret)
		client_close(&other);
	else if (other.fd >= 0)
		close(other.fd);
	return ret;
}

static const struct {
	const char *name;
	int (*thing)(struct client *c);
} things[] = {
	{ "BO_CREATE, host", host_buffer },
	{ "BO_CREATE, card", card_buffer },
	{ "VM_CREATE", space },
	{ "VM_BIND", mapping },
	{ "QUEUE_CREATE", queue },
	{ "SUBMIT", job },
	{ "SUBMIT, several jobs", batch },
	{ "the queries", queries },
	{ "BO_SET_LABEL", label },
	{ "mmap, host", mapped_host },
	{ "mmap, card", mapped_card },
	{ "PRIME_HANDLE_TO_FD", exported },
	{ "PRIME_FD_TO_HANDLE", imported },
	{ "a client", whole_client },
};
#define THINGS (sizeof(things) / sizeof(*things))

TEST_F_TIMEOUT(inject, every_allocation_fails, 290)
{
	struct client c;

	/* looking for it allocates, too */
	setenv("OCTANS_NODE", node(), 1);
	/* what is made, and its handle then not told, goes with the file */
	ASSERT_EQ(client_open(&c, 1000), 0);
	put_nop(c.map);
	foreign_buffer();
	ASSERT_GE(foreign, 0);
	for (size_t i = 0; i < THINGS; i++)
		step_through(_metadata, things[i].name, &c, things[i].thing);
	client_close(&c);
}

/* Of /proc/irq/N what could not be made is missed when the interrupt goes: its memory is there. */
static void spare_proc_entries(void)
{
	glob_t g;

	if (glob("/sys/kernel/slab/*/failslab", 0, NULL, &g))
		return;
	for (size_t i = 0; i < g.gl_pathc; i++)
		if (!strstr(g.gl_pathv[i], "proc_dir_entry"))
			write_file(g.gl_pathv[i], "1");
	globfree(&g);
	write_file("/sys/kernel/debug/failslab/cache-filter", "Y");
}

/*
 * drm_minor_alloc() keeps the error of a device that it could not allocate, and its release puts that
 * (seen in 7.3): what it calls is left alone.
 */
static void spare_drm_minor(void)
{
	unsigned long long start = 0, at;
	char name[128], text[32];
	FILE *f = fopen("/proc/kallsyms", "r");

	while (f && fscanf(f, "%llx %*c %127[^\n]", &at, name) == 2)
		if (!strcmp(name, "drm_minor_alloc"))
			start = at;
	if (f)
		fclose(f);
	snprintf(text, sizeof(text), "%#llx", start);
	write_file("/sys/kernel/debug/failslab/reject-start", text);
	write_file("/sys/kernel/debug/fail_page_alloc/reject-start", text);
	snprintf(text, sizeof(text), "%#llx", start + 0x600);
	write_file("/sys/kernel/debug/failslab/reject-end", text);
	write_file("/sys/kernel/debug/fail_page_alloc/reject-end", text);
}

/* Binding the driver, with each of its allocations failing. */
TEST_F_TIMEOUT(inject, probe_fails_at_every_step, 1200)
{
	unsigned int n = 1;
	bool good, failed;

	if (!fail_nth(0))
		SKIP("this kernel injects no faults");
	quiet_injection();
	spare_proc_entries();
	spare_drm_minor();
	client_close(&self->c);
	ASSERT_TRUE(unbind());
	do {
		ASSERT_TRUE(fail_nth(n));
		good = write_file("/sys/bus/pci/drivers/octans/bind", bdf());
		failed = has_failed();
		if (good)
			ASSERT_TRUE(unbind());
	} while (failed && ++n < 2000);
	printf("# %u allocations of a probe failed\n", n - 1);
	ASSERT_TRUE(bind_again());
	ASSERT_EQ(client_open(&self->c, 1000), 0);
	/* another device: it counts from nothing but this client */
	for (size_t i = 0; i < KINDS; i++)
		self->before[i] = objects(kinds[i]);
}

/* SIGKILL in the middle of every call. */
TEST_F_TIMEOUT(inject, sigkill_in_every_call, 120)
{
	for (unsigned int round = 0; round < 12 * THINGS; round++) {
		pid_t pid = fork();

		if (!pid) {
			struct client c;

			if (client_open(&c, 1000))
				_exit(1);
			put_nop(c.map);
			foreign_buffer();
			for (;;)
				things[round % THINGS].thing(&c);
		}
		usleep((30000 + round * 1237 % 20000) * slowness());
		kill(pid, SIGKILL);
		ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	}
}
