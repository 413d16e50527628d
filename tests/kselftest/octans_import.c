// SPDX-License-Identifier: MIT
/* Other drivers' buffers here, and ours there.  vgem is the other driver. */
#include <drm_mode.h>

#include "octans_admin.h"

FIXTURE(import) {
	struct client c;
	int vgem;
};

/* A driver's version says its name. */
static int open_vgem(void)
{
	for (int i = 0; i < 8; i++) {
		char path[32], name[16] = "";
		struct drm_version v = { .name = name, .name_len = sizeof(name) - 1 };
		int fd;

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!call(fd, DRM_IOCTL_VERSION, &v) && !strcmp(name, "vgem"))
			return fd;
		close(fd);
	}
	return -1;
}

/* Is everything that is mapped for a device copied? */
static bool bounces(void)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "r");
	bool yes = f && fgets(line, sizeof(line), f) && strstr(line, "swiotlb=force");

	if (f)
		fclose(f);
	return yes;
}

FIXTURE_SETUP(import)
{
	if (bounces())
		SKIP("the device cannot use host memory here");
	if (!load_vgem())
		SKIP("no vgem");
	self->vgem = open_vgem();
	ASSERT_GE(self->vgem, 0);
	ASSERT_EQ(client_open(&self->c, 0), 0);
	ASSERT_TRUE(*bdf());
}

FIXTURE_TEARDOWN(import)
{
	(void)_metadata;
	client_close(&self->c);
	close(self->vgem);
}

/* A dma-buf of 16 pages of vgem's. */
static int foreign(int vgem)
{
	struct drm_mode_create_dumb dumb = { .width = 1024, .height = 16, .bpp = 32 };
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	struct drm_gem_close g = { 0 };

	if (call(vgem, DRM_IOCTL_MODE_CREATE_DUMB, &dumb))
		return -1;
	prime.handle = dumb.handle;
	g.handle = dumb.handle;
	if (call(vgem, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime))
		return -1;
	call(vgem, DRM_IOCTL_GEM_CLOSE, &g);
	return prime.fd;
}

static int take(int fd, int buf, uint32_t *handle)
{
	struct drm_prime_handle in = { .fd = buf };
	int ret = call(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &in);

	*handle = in.handle;
	return ret;
}

TEST_F(import, both_ways)
{
	int buf = foreign(self->vgem);
	struct drm_octans_bo_mmap_offset o = { 0 };
	struct drm_octans_bo_query q = { 0 };
	uint64_t at = VA + 64 * PAGE;
	uint8_t *p;

	ASSERT_GE(buf, 0);
	ASSERT_EQ(take(self->c.fd, buf, &q.handle), 0);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_BO_QUERY, &q), 0);
	EXPECT_EQ(q.size, 16 * PAGE);
	EXPECT_EQ(q.flags, DRM_OCTANS_BO_IMPORTED);
	o.handle = q.handle;
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, &o), -EPERM);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, q.handle, 0, at, 16 * PAGE, 0), 0);
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
	ASSERT_NE(p, MAP_FAILED);
	for (int i = 0; i < 16; i++)
		p[i * PAGE] = i + 1;
	for (int i = 0; i < 16; i++) {
		ASSERT_EQ(run(self->c.fd, self->c.queue, VA,
			      put_copy(self->c.map, VA + PAGE, at + i * PAGE, 64), 0), 0);
		EXPECT_EQ(self->c.map[PAGE], i + 1);
		self->c.map[2 * PAGE] = 0x80 + i;
		ASSERT_EQ(run(self->c.fd, self->c.queue, VA,
			      put_copy(self->c.map, at + i * PAGE + 64, VA + 2 * PAGE, 64), 0), 0);
		EXPECT_EQ(p[i * PAGE + 64], 0x80 + i);
	}
	munmap(p, 16 * PAGE);
	close(buf);
}

/* What the exporter's process leaves behind stays while it is mapped here. */
TEST_F(import, exporter_goes)
{
	uint64_t at = VA + 64 * PAGE;
	uint32_t handle;
	int buf = foreign(self->vgem);

	ASSERT_EQ(take(self->c.fd, buf, &handle), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, handle, 0, at, 16 * PAGE, 0), 0);
	close(buf);
	close(self->vgem);
	self->vgem = -1;
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, put_copy(self->c.map, at, VA, 64), 0), 0);
}

/* Nobody else reaches the card: no other driver, and no later instance of this one. */
TEST_F_TIMEOUT(import, card_memory_stays_here, 60)
{
	struct drm_prime_handle out = { .flags = DRM_CLOEXEC | DRM_RDWR };
	struct client later;
	uint32_t handle;
	uint8_t *p;

	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &out.handle), 0);
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &out), 0);
	EXPECT_NE(take(self->vgem, out.fd, &handle), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, out.fd, 0);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 1;
	ASSERT_TRUE(unbind());
	ASSERT_TRUE(bind_again());
	ASSERT_EQ(client_open(&later, 0), 0);
	EXPECT_NE(take(later.fd, out.fd, &handle), 0);
	EXPECT_EQ(p[0], 0);
	close(out.fd);
	client_close(&later);
}

/* What is imported, or mapped for the device, while that goes: closed long after. */
TEST_F_TIMEOUT(import, closed_after_the_device, 60)
{
	uint32_t handle, host;
	int buf = foreign(self->vgem), late;

	ASSERT_EQ(take(self->c.fd, buf, &handle), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, handle, 0, 2 * VA, 16 * PAGE, 0), 0);
	ASSERT_EQ(bo_create(self->c.fd, 1 << 20, 0, &host), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, host, 0, 3 * VA, 1 << 20, 0), 0);
	ASSERT_TRUE(unbind());
	ASSERT_TRUE(bind_again());
	late = foreign(self->vgem);
	EXPECT_EQ(take(self->c.fd, late, &handle), -ENODEV);
	close(late);
	close(buf);
}

static long slots_used(void)
{
	FILE *f = fopen("/sys/kernel/debug/swiotlb/io_tlb_used", "r");
	long n = -1;

	if (f) {
		if (fscanf(f, "%ld", &n) != 1)
			n = -1;
		fclose(f);
	}
	return n;
}

FIXTURE(bounce) {
	int unused;
};

FIXTURE_SETUP(bounce)
{
	if (!bounces())
		SKIP("not booted with swiotlb=force");
	(void)self;
	ASSERT_TRUE(*bdf());
}

FIXTURE_TEARDOWN(bounce)
{
	(void)_metadata;
	(void)self;
}

/*
 * Where the kernel would copy what is mapped, a buffer in host memory is refused, not silently
 * another one than the device's.  And nothing stays mapped when the device is unbound.
 */
TEST_F_TIMEOUT(bounce, refused_and_unmapped, 60)
{
	long before = slots_used();
	int fd = node_open();
	uint32_t vm, bo;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(vm_create(fd, &vm), 0);
	ASSERT_EQ(bo_create(fd, 16 * PAGE, 0, &bo), 0);
	EXPECT_EQ(vm_map(fd, vm, bo, 0, VA, 16 * PAGE, 0), -EIO);
	EXPECT_EQ(bo_create(fd, 16 * PAGE, DRM_OCTANS_BO_DEVICE, &bo), 0);
	EXPECT_EQ(vm_map(fd, vm, bo, 0, VA, 16 * PAGE, 0), 0);
	ASSERT_TRUE(unbind());
	EXPECT_LE(slots_used(), before);
	ASSERT_TRUE(bind_again());
	close(fd);
}
