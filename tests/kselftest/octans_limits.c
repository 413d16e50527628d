// SPDX-License-Identifier: MIT
/* What a user may have, and that others have it still.  Users are uids: root, and NOBODY. */
#include <sys/stat.h>

#include "octans_admin.h"

#define NOBODY 65534
#define MIB 0x100000ull
#define PARAMETERS "/sys/module/octans/parameters/"

static const char *const parameters[] = {
	"user_spaces", "user_queues", "user_jobs", "user_tables_mb", "user_host_mb", "user_card_mb",
};

FIXTURE(limits) {
	char before[6][32];
};

static bool limit(const char *parameter, unsigned int value)
{
	char path[128], text[16];

	snprintf(path, sizeof(path), PARAMETERS "%s", parameter);
	snprintf(text, sizeof(text), "%u", value);
	return write_file(path, text);
}

FIXTURE_SETUP(limits)
{
	for (int i = 0; i < 6; i++) {
		char path[128];
		FILE *f;

		snprintf(path, sizeof(path), PARAMETERS "%s", parameters[i]);
		f = fopen(path, "r");
		ASSERT_TRUE(f);
		ASSERT_EQ(fscanf(f, "%31s", self->before[i]), 1);
		fclose(f);
	}
	ASSERT_EQ(chmod(node(), 0666), 0);
}

FIXTURE_TEARDOWN(limits)
{
	for (int i = 0; i < 6; i++) {
		char path[128];

		snprintf(path, sizeof(path), PARAMETERS "%s", parameters[i]);
		EXPECT_TRUE(write_file(path, self->before[i]));
	}
}

/* As NOBODY from here on, for as long as the file lives. */
static int open_as_nobody(void)
{
	int fd;

	if (seteuid(NOBODY))
		return -1;
	fd = node_open();
	return seteuid(0) ? -1 : fd;
}

TEST_F(limits, address_spaces)
{
	int fd[4], n = 0, ret = 0, root = node_open();
	uint32_t id;

	ASSERT_GE(root, 0);
	ASSERT_TRUE(limit("user_spaces", 100));
	for (int i = 0; i < 4; i++) {
		fd[i] = open_as_nobody();
		ASSERT_GE(fd[i], 0);
	}
	while (n < 200 && !(ret = vm_create(fd[n / 64], &id)))
		n++;
	EXPECT_EQ(n, 100);
	EXPECT_EQ(ret, -EDQUOT);
	/* others are not concerned, and what is given back counts no more */
	EXPECT_EQ(vm_create(root, &id), 0);
	close(fd[0]);
	EXPECT_EQ(vm_create(fd[3], &id), 0);
	for (int i = 1; i < 4; i++)
		close(fd[i]);
	close(root);
}

TEST_F(limits, queues)
{
	int one = open_as_nobody(), two = open_as_nobody(), root = node_open(), n = 0, ret = 0;
	uint32_t vm[3], id;

	ASSERT_TRUE(limit("user_queues", 100));
	ASSERT_EQ(vm_create(one, &vm[0]), 0);
	ASSERT_EQ(vm_create(two, &vm[1]), 0);
	ASSERT_EQ(vm_create(root, &vm[2]), 0);
	while (n < 200 && !(ret = queue_create(n < 50 ? one : two, vm[n >= 50], 0, &id)))
		n++;
	EXPECT_EQ(n, 100);
	EXPECT_EQ(ret, -EDQUOT);
	EXPECT_EQ(queue_create(root, vm[2], 0, &id), 0);
	close(one);
	EXPECT_EQ(queue_create(two, vm[1], 0, &id), 0);
	close(two);
	close(root);
}

/* What one client has queued another of the same user cannot, nobody else is concerned, and it ends. */
TEST_F(limits, jobs)
{
	struct drm_octans_job jobs[64];
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct drm_octans_submit s = {
		.jobs = { sizeof(jobs[0]), 64, (uintptr_t)jobs },
		.syncs = { sizeof(out), 1, (uintptr_t)&out },
	};
	struct client c[2], root;

	ASSERT_EQ(seteuid(NOBODY), 0);
	ASSERT_EQ(client_open(&c[0], 10000), 0);
	ASSERT_EQ(client_open(&c[1], 10000), 0);
	ASSERT_EQ(seteuid(0), 0);
	ASSERT_EQ(client_open(&root, 10000), 0);
	ASSERT_TRUE(limit("user_jobs", 100));
	put_nop(c[0].map);
	for (int i = 0; i < 64; i++)
		jobs[i] = (struct drm_octans_job) { .va = VA, .size = 16 };
	ASSERT_EQ(syncobj_create(c[0].fd, &out.handle), 0);
	s.queue_id = c[0].queue;
	ASSERT_TRUE(control_rings("slow", " 20000"));
	ASSERT_EQ(call(c[0].fd, DRM_IOCTL_OCTANS_SUBMIT, &s), 0);
	put_nop(c[1].map);
	put_nop(root.map);
	s.syncs = (struct drm_octans_array) { 0 };
	s.failed_index = 0;
	s.queue_id = c[1].queue;
	EXPECT_EQ(call(c[1].fd, DRM_IOCTL_OCTANS_SUBMIT, &s), -EDQUOT);
	s.failed_index = 0;
	s.jobs.count = 36;
	EXPECT_EQ(call(c[1].fd, DRM_IOCTL_OCTANS_SUBMIT, &s), 0);
	EXPECT_EQ(submit(c[1].fd, c[1].queue, VA, 16, 0, NULL, 0), -EDQUOT);
	EXPECT_EQ(submit(root.fd, root.queue, VA, 16, 0, NULL, 0), 0);
	slow_end();
	EXPECT_EQ(sync_result(c[0].fd, out.handle, 20), 0);
	EXPECT_EQ(submit(c[1].fd, c[1].queue, VA, 16, 0, NULL, 0), 0);
	client_close(&c[0]);
	client_close(&c[1]);
	client_close(&root);
}

/* Two opens take from one share; the other user from his own. */
static void buffers(struct test_metadata *_metadata, const char *parameter, uint32_t flags)
{
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	int one = open_as_nobody(), two = open_as_nobody(), root = node_open();
	struct drm_gem_close g = { 0 };
	uint32_t bo;

	ASSERT_TRUE(limit(parameter, 8));
	ASSERT_EQ(bo_create(one, 4 * MIB, flags, &g.handle), 0);
	ASSERT_EQ(bo_create(two, 4 * MIB - PAGE, flags, &bo), 0);
	EXPECT_EQ(bo_create(two, 2 * PAGE, flags, &bo), -EDQUOT);
	EXPECT_EQ(bo_create(one, 2 * PAGE, flags, &bo), -EDQUOT);
	EXPECT_EQ(bo_create(one, PAGE, flags, &bo), 0);
	EXPECT_EQ(bo_create(root, 4 * MIB, flags, &bo), 0);
	/* it counts as long as it lives */
	prime.handle = g.handle;
	ASSERT_EQ(call(one, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime), 0);
	ASSERT_EQ(call(one, DRM_IOCTL_GEM_CLOSE, &g), 0);
	EXPECT_EQ(bo_create(two, PAGE, flags, &bo), -EDQUOT);
	close(prime.fd);
	usleep(100000);
	EXPECT_EQ(bo_create(two, 4 * MIB, flags, &bo), 0);
	close(one);
	close(two);
	close(root);
}

TEST_F(limits, host_memory)
{
	buffers(_metadata, "user_host_mb", 0);
}

TEST_F(limits, card_memory)
{
	buffers(_metadata, "user_card_mb", DRM_OCTANS_BO_DEVICE);
}

TEST_F(limits, page_tables)
{
	int fd = open_as_nobody(), ret = 0, n = 0;
	uint32_t vm, bo;

	ASSERT_TRUE(limit("user_tables_mb", 1));	/* 256 of them */
	ASSERT_EQ(vm_create(fd, &vm), 0);
	ASSERT_EQ(bo_create(fd, PAGE, 0, &bo), 0);
	while (n < 1000 && !(ret = vm_map(fd, vm, bo, 0, VA + n * (2ull << 20), PAGE, 0)))
		n++;
	EXPECT_EQ(ret, -EDQUOT);
	EXPECT_GE(n, 240);
	EXPECT_LE(n, 256);
	/* what was refused took nothing, and what is unmapped is given back */
	EXPECT_EQ(vm_unmap(fd, vm, VA, 2ull << 20), 0);
	EXPECT_EQ(vm_map(fd, vm, bo, 0, VA + n * (2ull << 20), PAGE, 0), 0);
	EXPECT_EQ(vm_map(fd, vm, bo, 0, VA, PAGE, 0), -EDQUOT);
	EXPECT_EQ(vm_unmap(fd, vm, VA, 1ull << 46), 0);
	EXPECT_EQ(vm_map(fd, vm, bo, 0, VA, PAGE, 0), 0);
	close(fd);
}

/* Tables do not stay where nothing is mapped any more. */
TEST_F_TIMEOUT(limits, tables_are_freed, 120)
{
	struct drm_octans_bind_op ops[512] = { 0 };
	int fd = open_as_nobody();
	long long before;
	uint32_t vm, bo;

	ASSERT_TRUE(limit("user_tables_mb", 4));
	ASSERT_EQ(vm_create(fd, &vm), 0);
	ASSERT_EQ(bo_create(fd, PAGE, 0, &bo), 0);
	before = objects("tables");
	for (int round = 0; round < 16; round++) {
		for (int i = 0; i < 512; i++)
			ops[i] = (struct drm_octans_bind_op) {
				.kind = i % 2 ? DRM_OCTANS_BIND_UNMAP : DRM_OCTANS_BIND_MAP,
				.handle = i % 2 ? 0 : bo, .size = PAGE,
				.va = VA + (round * 256ull + i / 2) * (1ull << 30),
			};
		ASSERT_EQ(vm_bind(fd, vm, ops, 512), 0);
		EXPECT_EQ(objects("tables"), before);
	}
	close(fd);
}

/* As many opens as there are: one user leaves something for the others. */
TEST_F_TIMEOUT(limits, one_user_leaves_something, 120)
{
	int fd[64], ret = 0, n, root = node_open();
	uint32_t id;

	for (n = 0; n < 64; n++) {
		fd[n] = open_as_nobody();
		ASSERT_GE(fd[n], 0);
		for (int i = 0; i < 64 && !ret; i++)
			ret = vm_create(fd[n], &id);
	}
	EXPECT_TRUE(!ret || ret == -EDQUOT);
	EXPECT_EQ(vm_create(root, &id), 0);
	for (n = 0; n < 64; n++)
		close(fd[n]);
	close(root);
}
