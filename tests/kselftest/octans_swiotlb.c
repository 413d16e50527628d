// SPDX-License-Identifier: MIT
/*
 * A kernel that copies what devices reach (swiotlb=force): host memory is of no use then, for what
 * the processor writes would not be seen.  That is said, and the card's memory works all the same.
 */
#include "octans_admin.h"

FIXTURE(swiotlb) {
	int fd;
	uint32_t vm, queue, card;
	uint8_t *map;
};

FIXTURE_SETUP(swiotlb)
{
	char line[2048] = "";
	FILE *f = fopen("/proc/cmdline", "r");

	if (!f || !fgets(line, sizeof(line), f) || !strstr(line, "swiotlb=force"))
		SKIP("only with swiotlb=force on the kernel's command line");
	fclose(f);
	self->fd = node_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(vm_create(self->fd, &self->vm), 0);
	ASSERT_EQ(queue_create(self->fd, self->vm, 1000, &self->queue), 0);
	ASSERT_EQ(bo_create(self->fd, 16 * PAGE, DRM_OCTANS_BO_DEVICE, &self->card), 0);
	ASSERT_EQ(vm_map(self->fd, self->vm, self->card, 0, VA, 16 * PAGE, 0), 0);
	self->map = bo_map(self->fd, self->card, 16 * PAGE);
	ASSERT_NE(self->map, MAP_FAILED);
}

FIXTURE_TEARDOWN(swiotlb)
{
	(void)_metadata;
	munmap(self->map, 16 * PAGE);
	close(self->fd);
}

/* How often the kernel's log has a sentence about that, with what to do. */
static int told(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC), times = 0;
	char record[2048];
	ssize_t n;

	while (fd >= 0 && ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE))) {
		record[n > 0 ? n : 0] = 0;
		times += strstr(record, "octans") && strstr(record, "only on-card memory can be mapped") &&
			 strstr(record, "or without swiotlb=force");
	}
	if (fd >= 0)
		close(fd);
	return times;
}

TEST_F(swiotlb, host_memory_is_refused)
{
	uint32_t host;

	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(bo_create(self->fd, 16 * PAGE, 0, &host), 0);
		EXPECT_EQ(vm_map(self->fd, self->vm, host, 0, 2 * VA, 16 * PAGE, 0), -EIO);
	}
	EXPECT_EQ(told(), 1);		/* not each time */
}

/* Commands and data on the card alone. */
TEST_F(swiotlb, the_card_works)
{
	uint32_t size;

	for (int i = 0; i < 20; i++) {
		memset(self->map + PAGE, i + 1, 512);
		size = put_copy(self->map, VA + 2 * PAGE, VA + PAGE, 512);
		ASSERT_EQ(run(self->fd, self->queue, VA, size, 0), 0);
		EXPECT_EQ(memcmp(self->map + PAGE, self->map + 2 * PAGE, 512), 0);
	}
}

/* Rings, tables and events are memory that is not copied. */
TEST_F(swiotlb, faults_are_told)
{
	struct drm_octans_fault f;
	struct drm_octans_vm_get_faults get = {
		.vm_id = self->vm, .faults = { sizeof(f), 1, (uintptr_t)&f },
	};

	EXPECT_EQ(run(self->fd, self->queue, VA, put_copy(self->map, VA + PAGE, 2 * VA, 64), 5), -EFAULT);
	EXPECT_EQ(call(self->fd, DRM_IOCTL_OCTANS_VM_GET_FAULTS, &get), 0);
	EXPECT_EQ(get.faults.count, 1);
	EXPECT_EQ(f.va, 2 * VA);
	EXPECT_EQ(f.tag, 5);
}
