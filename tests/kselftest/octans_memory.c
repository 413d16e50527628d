// SPDX-License-Identifier: MIT
/* Buffers and address spaces: what the processor and the CPU see, and what they do not. */
#include "octans.h"

FIXTURE(mem) {
	struct client c;
};

FIXTURE_SETUP(mem)
{
	ASSERT_EQ(client_open(&self->c, 0), 0);
}

FIXTURE_TEARDOWN(mem)
{
	(void)_metadata;
	client_close(&self->c);
}

static int copy(struct client *c, uint64_t dst, uint64_t src, uint64_t size)
{
	return run(c->fd, c->queue, VA, put_copy(c->map, dst, src, size), 7);
}

TEST_F(mem, device_buffer)
{
	uint64_t size = 4 << 20, at = VA + (1ull << 30);
	uint8_t *map;
	uint32_t bo;

	ASSERT_EQ(bo_create(self->c.fd, size, DRM_OCTANS_BO_DEVICE, &bo), 0);
	map = bo_map(self->c.fd, bo, size);
	ASSERT_NE(map, MAP_FAILED);
	for (uint64_t i = 0; i < size; i += 997)
		EXPECT_EQ(map[i], 0);
	memset(map, 0x5a, size / 2);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, bo, 0, at, size, 0), 0);
	EXPECT_EQ(copy(&self->c, at + size / 2, at, size / 2), 0);
	EXPECT_EQ(memcmp(map, map + size / 2, size / 2), 0);
	EXPECT_EQ(map[size - 1], 0x5a);
	/* what one client left there the next one does not see */
	struct drm_gem_close g = { .handle = bo };

	munmap(map, size);
	ASSERT_EQ(vm_unmap(self->c.fd, self->c.vm, at, size), 0);
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_GEM_CLOSE, &g), 0);
	ASSERT_EQ(bo_create(self->c.fd, size, DRM_OCTANS_BO_DEVICE, &bo), 0);
	map = bo_map(self->c.fd, bo, size);
	ASSERT_NE(map, MAP_FAILED);
	for (uint64_t i = 0; i < size; i += 61)
		EXPECT_EQ(map[i], 0);
}

/*
 * Large pages under partial changes: a card buffer of 4 MiB at addresses that allow pages of 2 MiB, in which
 * pages go and come.  What stays is reached at every moment, what went is not.
 */
TEST_F(mem, large_pages_split)
{
	uint64_t size = 4 << 20, at = VA + (1ull << 30), out = VA + PAGE;
	static const uint64_t holes[][2] = {
		{ 0x200000 - PAGE, 2 * PAGE },	/* over the border of two large pages */
		{ 0x23000, PAGE },		/* in the middle of 64 KiB */
		{ 0x40000, 0x10000 },
		{ 0, 0x200000 },		/* a whole one that was split */
	};
	uint64_t *map;
	uint32_t bo;

	ASSERT_EQ(bo_create(self->c.fd, size, DRM_OCTANS_BO_DEVICE, &bo), 0);
	map = bo_map(self->c.fd, bo, size);
	ASSERT_NE((void *)map, MAP_FAILED);
	for (uint64_t i = 0; i < size / PAGE; i++)
		map[i * PAGE / 8] = i + 1;
	for (unsigned int h = 0; h < 4; h++) {
		uint64_t hole = holes[h][0], end = hole + holes[h][1];
		uint32_t queue;

		ASSERT_EQ(vm_map(self->c.fd, self->c.vm, bo, 0, at, size, 0), 0);
		ASSERT_EQ(vm_unmap(self->c.fd, self->c.vm, at + hole, end - hole), 0);
		for (uint64_t page = 0; page < size; page += page % 0x40000 ? PAGE * 15 : PAGE) {
			if (page >= hole && page < end)
				continue;
			ASSERT_EQ(copy(&self->c, out, at + page, 8), 0);
			EXPECT_EQ(*(uint64_t *)(self->c.map + PAGE), page / PAGE + 1);
		}
		for (uint64_t page = hole; page < end; page += (end - hole) / 2) {
			ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 0, &queue), 0);
			EXPECT_EQ(run(self->c.fd, queue, VA, put_copy(self->c.map, out, at + page, 8), 7),
				  -EFAULT);
			EXPECT_EQ(queue_destroy(self->c.fd, queue), 0);
		}
		/* another page in the hole, read only, and the rest again */
		ASSERT_EQ(vm_map(self->c.fd, self->c.vm, bo, 0, at + hole, PAGE,
				 DRM_OCTANS_BIND_READONLY), 0);
		ASSERT_EQ(copy(&self->c, out, at + hole, 8), 0);
		EXPECT_EQ(*(uint64_t *)(self->c.map + PAGE), 1);
	}
	ASSERT_EQ(vm_unmap(self->c.fd, self->c.vm, at, size), 0);
}

/*
 * Pages go and come beside those that a running job uses, in the same pages of 2 MiB and of 64 KiB.
 * The job does not notice.
 */
TEST_F_TIMEOUT(mem, split_under_a_job, 60)
{
	enum { REGIONS = 16, ROUNDS = 8, FROM = 0x108000, TO = 0x180000, SIZE = 0x38000 };
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	uint64_t large = 2 << 20, at = VA + (1ull << 30);
	int beside = 0;
	uint32_t bo, queue, size = 0;
	uint8_t *map;

	ASSERT_EQ(bo_create(self->c.fd, REGIONS * large, DRM_OCTANS_BO_DEVICE, &bo), 0);
	map = bo_map(self->c.fd, bo, REGIONS * large);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, bo, 0, at, REGIONS * large, 0), 0);
	for (int i = 0; i < REGIONS; i++)
		memset(map + i * large + FROM, i + 1, SIZE);
	for (int i = 0; i < REGIONS * ROUNDS; i++)
		size += put_copy(self->c.map + size, at + i % REGIONS * large + TO,
				 at + i % REGIONS * large + FROM, SIZE);
	if (!control_rings("slow", " 20000"))
		SKIP("no control port");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &queue), 0);
	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	ASSERT_EQ(submit(self->c.fd, queue, VA, size, 0, &out, 1), 0);
	usleep(100000);
	for (int i = 0; i < REGIONS; i++) {
		/* in the 64 KiB that the job's first pages are part of */
		uint64_t hole = i * large + FROM - PAGE * (1 + i % 8);

		EXPECT_EQ(vm_unmap(self->c.fd, self->c.vm, at + hole, PAGE), 0);
		EXPECT_EQ(vm_map(self->c.fd, self->c.vm, self->c.bo, 0, at + hole, PAGE,
				 DRM_OCTANS_BIND_READONLY), 0);
		EXPECT_EQ(vm_unmap(self->c.fd, self->c.vm, at + hole, PAGE), 0);
		/* and 64 KiB, and a page over the border to them */
		EXPECT_EQ(vm_unmap(self->c.fd, self->c.vm, at + i * large + 0x1d0000, 0x10000), 0);
		EXPECT_EQ(vm_unmap(self->c.fd, self->c.vm, at + i * large + 0xff000, 2 * PAGE), 0);
		beside += sync_result(self->c.fd, out.handle, 0) == -ETIMEDOUT;
	}
	EXPECT_EQ(sync_result(self->c.fd, out.handle, 30), 0);
	control_rings("slow", " 0");
	EXPECT_GE(beside, REGIONS / 2);
	for (int i = 0; i < REGIONS; i++)
		EXPECT_EQ(memcmp(map + i * large + FROM, map + i * large + TO, SIZE), 0);
	EXPECT_EQ(run(self->c.fd, queue, VA, put_copy(self->c.map, VA + PAGE, at + FROM - PAGE, 8), 0),
		  -EFAULT);
	munmap(map, REGIONS * large);
}

TEST_F(mem, fills_and_empties)
{
	long long before = objects("card_bytes");
	uint32_t bo[64];
	int n = 0, ret = 0;

	while (n < 64 && !(ret = bo_create(self->c.fd, 16 << 20, DRM_OCTANS_BO_DEVICE, &bo[n])))
		n++;
	EXPECT_EQ(ret, -ENOSPC);
	EXPECT_GE(n, 1);
	for (int i = 0; i < n; i++) {
		struct drm_gem_close g = { .handle = bo[i] };

		EXPECT_EQ(call(self->c.fd, DRM_IOCTL_GEM_CLOSE, &g), 0);
	}
	EXPECT_EQ(objects("card_bytes"), before);
}

/* Page tables have a part of the card; the others are in host memory, in the same address space. */
TEST_F(mem, page_tables_have_a_part_of_the_card)
{
	enum { N = 600, FROM = 14 * PAGE, TO = 15 * PAGE };
	struct drm_octans_query_memory m = { 0 };
	struct drm_octans_dev_query q = {
		.type = DRM_OCTANS_QUERY_MEMORY, .size = sizeof(m), .ptr = (uintptr_t)&m,
	};
	struct drm_octans_bind_op *ops = calloc(N, sizeof(*ops));
	const uint64_t at = 1ull << 40, gib = 1 << 30;
	long long before = objects("card_table_bytes"), card, all;
	uint32_t size = 0;

	ASSERT_TRUE(ops);
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_DEV_QUERY, &q), 0);
	if (m.visible_size > 256 << 20)
		SKIP("a large card has room for all");
	EXPECT_GE(before, 4 * (long long)PAGE);	/* of the fixture's address space */
	for (int i = 0; i < N; i++)
		ops[i] = (struct drm_octans_bind_op) {
			.kind = DRM_OCTANS_BIND_MAP, .handle = self->c.bo, .offset = FROM,
			.va = at + i * gib, .size = PAGE,
		};
	ASSERT_EQ(vm_bind(self->c.fd, self->c.vm, ops, N), 0);
	card = objects("card_table_bytes");
	all = objects("tables") * (long long)PAGE;
	printf("# page tables: %lld KiB, %lld of them on a card that shows %lld\n", all >> 10, card >> 10,
	       (long long)m.visible_size >> 10);
	EXPECT_LE(card, (long long)m.visible_size / 64);
	EXPECT_GE(card, (long long)m.visible_size / 64 - (long long)PAGE);
	EXPECT_GE(all, card + (long long)PAGE);
	/* the processor finds its way through both */
	for (int i = 0; i < 1024; i++)
		((uint32_t *)(self->c.map + FROM))[i] = i * 2654435761u;
	memset(self->c.map + TO, 0, PAGE);
	for (int i = 0; i < N; i++)
		size += put_copy(self->c.map + size, VA + TO + i * 4, at + i * gib + i * 4, 4);
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, size, 0), 0);
	EXPECT_EQ(memcmp(self->c.map + TO, self->c.map + FROM, N * 4), 0);
	ASSERT_EQ(vm_unmap(self->c.fd, self->c.vm, at, N * gib), 0);
	EXPECT_EQ(objects("card_table_bytes"), before);
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, put_copy(self->c.map, VA + TO, at, 4), 0), -EFAULT);
	free(ops);
}

TEST_F(mem, no_mmap)
{
	struct drm_octans_bo_mmap_offset o = { 0 };

	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_NO_MMAP, &o.handle), 0);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, &o), -EPERM);
}

TEST_F(mem, mmap_bounds)
{
	struct drm_octans_bo_mmap_offset o = { .handle = self->c.bo };
	int other = node_open();

	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, &o), 0);
	EXPECT_EQ(mmap(NULL, 17 * PAGE, PROT_READ, MAP_SHARED, self->c.fd, o.offset), MAP_FAILED);
	EXPECT_EQ(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->c.fd, 0), MAP_FAILED);
	/* the offset is of no use to who has no handle */
	EXPECT_EQ(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, other, o.offset), MAP_FAILED);
	/* part of it, moved, split and shared with a child */
	uint8_t *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->c.fd, o.offset);

	ASSERT_NE(p, MAP_FAILED);
	p[3 * PAGE] = 1;
	EXPECT_EQ(mremap(p, 4 * PAGE, 32 * PAGE, MREMAP_MAYMOVE), MAP_FAILED);
	EXPECT_EQ(munmap(p + PAGE, PAGE), 0);
	EXPECT_EQ(self->c.map[3 * PAGE], 1);
}

TEST_F(mem, two_buffers_side_by_side)
{
	uint32_t a, b;
	uint8_t *ma, *mb;

	ASSERT_EQ(bo_create(self->c.fd, PAGE, 0, &a), 0);
	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &b), 0);
	ma = bo_map(self->c.fd, a, PAGE);
	mb = bo_map(self->c.fd, b, PAGE);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, a, 0, VA + 32 * PAGE, PAGE, 0), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, b, 0, VA + 33 * PAGE, PAGE, 0), 0);
	memset(self->c.map + 4 * PAGE, 0x77, 2 * PAGE);
	EXPECT_EQ(copy(&self->c, VA + 32 * PAGE, VA + 4 * PAGE, 2 * PAGE), 0);
	EXPECT_EQ(ma[PAGE - 1], 0x77);
	EXPECT_EQ(mb[0], 0x77);
	EXPECT_EQ(mb[PAGE - 1], 0x77);
}

/* A mapping in the middle of another replaces what is there and leaves the ends. */
TEST_F(mem, replace_the_middle)
{
	uint64_t at = VA + 256 * PAGE;
	uint8_t *ma, *mb;
	uint32_t a, b;

	ASSERT_EQ(bo_create(self->c.fd, 8 * PAGE, 0, &a), 0);
	ASSERT_EQ(bo_create(self->c.fd, 8 * PAGE, 0, &b), 0);
	ma = bo_map(self->c.fd, a, 8 * PAGE);
	mb = bo_map(self->c.fd, b, 8 * PAGE);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, a, 0, at, 8 * PAGE, 0), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, b, 0, at + 2 * PAGE, 3 * PAGE, 0), 0);
	memset(self->c.map + 8 * PAGE, 0x33, 8 * PAGE);
	ASSERT_EQ(copy(&self->c, at, VA + 8 * PAGE, 8 * PAGE), 0);
	EXPECT_EQ(ma[2 * PAGE - 1], 0x33);
	EXPECT_EQ(ma[2 * PAGE], 0);
	EXPECT_EQ(ma[5 * PAGE - 1], 0);
	EXPECT_EQ(ma[5 * PAGE], 0x33);
	EXPECT_EQ(mb[0], 0x33);
	EXPECT_EQ(mb[3 * PAGE - 1], 0x33);
	EXPECT_EQ(mb[3 * PAGE], 0);
	/* the same for unmapping */
	ASSERT_EQ(vm_unmap(self->c.fd, self->c.vm, at + PAGE, 5 * PAGE), 0);
	memset(self->c.map + 8 * PAGE, 0x44, 8 * PAGE);
	EXPECT_EQ(copy(&self->c, at + 6 * PAGE, VA + 8 * PAGE, 2 * PAGE), 0);
	EXPECT_EQ(ma[7 * PAGE], 0x44);
	EXPECT_EQ(copy(&self->c, at + 5 * PAGE, VA + 8 * PAGE, PAGE), -EFAULT);
	EXPECT_EQ(mb[0], 0x33);
	EXPECT_EQ(ma[5 * PAGE], 0x33);
}

TEST_F(mem, readonly_and_fault_record)
{
	struct drm_octans_fault f = { 0 };
	struct drm_octans_vm_get_faults g = {
		.vm_id = self->c.vm, .faults = { sizeof(f), 1, (uintptr_t)&f },
	};
	uint64_t at = VA + 512 * PAGE;
	uint32_t bo, queue2;

	ASSERT_EQ(bo_create(self->c.fd, PAGE, 0, &bo), 0);
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 0, &queue2), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, bo, 0, at, PAGE, DRM_OCTANS_BIND_READONLY), 0);
	EXPECT_EQ(copy(&self->c, VA + PAGE, at, 64), 0);
	EXPECT_EQ(copy(&self->c, at + 64, VA + PAGE, 64), -EFAULT);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_VM_GET_FAULTS, &g), 0);
	EXPECT_EQ(g.faults.count, 1);
	EXPECT_EQ(f.va & ~(PAGE - 1), at);
	EXPECT_EQ(f.code, 3);
	EXPECT_EQ(f.write, 1);
	EXPECT_EQ(f.tag, 7);
	EXPECT_EQ(f.queue_id, self->c.queue);
	/* only the guilty queue is stopped */
	EXPECT_EQ(copy(&self->c, VA + PAGE, at, 64), -ECANCELED);
	EXPECT_EQ(run(self->c.fd, queue2, VA, put_copy(self->c.map, VA + PAGE, at, 64), 0), 0);
	/* not mapped */
	EXPECT_EQ(run(self->c.fd, queue2, VA, put_copy(self->c.map, VA + PAGE, at + PAGE, 64), 9),
		  -EFAULT);
	g.lost = 0;
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_VM_GET_FAULTS, &g), 0);
	EXPECT_EQ(g.faults.count, 1);
	EXPECT_EQ(f.va & ~(PAGE - 1), at + PAGE);
	EXPECT_EQ(f.code, 2);
	EXPECT_EQ(f.write, 0);
	EXPECT_EQ(f.tag, 9);
}

/* The address that one client maps is nothing in another's address space. */
TEST_F(mem, isolation)
{
	struct client other;
	uint64_t at = VA + 1024 * PAGE;
	uint32_t bo;

	ASSERT_EQ(client_open(&other, 0), 0);
	ASSERT_EQ(bo_create(self->c.fd, PAGE, 0, &bo), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, bo, 0, at, PAGE, 0), 0);
	EXPECT_EQ(copy(&other, VA + PAGE, at, 64), -EFAULT);
	EXPECT_EQ(copy(&self->c, VA + PAGE, at, 64), 0);
	client_close(&other);
}

/* A buffer lives as long as it is mapped, also without its handle. */
TEST_F(mem, closed_handle_stays_mapped)
{
	struct drm_gem_close g = { 0 };
	uint64_t at = VA + 2048 * PAGE;

	ASSERT_EQ(bo_create(self->c.fd, PAGE, 0, &g.handle), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, g.handle, 0, at, PAGE, 0), 0);
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_GEM_CLOSE, &g), 0);
	EXPECT_EQ(copy(&self->c, at, VA + PAGE, PAGE), 0);
	EXPECT_EQ(vm_unmap(self->c.fd, self->c.vm, at, PAGE), 0);
	EXPECT_EQ(copy(&self->c, at, VA + PAGE, PAGE), -EFAULT);
}

TEST_F(mem, dma_buf)
{
	struct drm_prime_handle out = { .handle = self->c.bo, .flags = DRM_CLOEXEC | DRM_RDWR };
	struct drm_prime_handle in = { 0 };
	struct drm_octans_bo_query q = { 0 };
	struct client other;
	uint8_t *p;

	ASSERT_EQ(client_open(&other, 0), 0);
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &out), 0);
	in.fd = out.fd;
	ASSERT_EQ(call(other.fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &in), 0);
	q.handle = in.handle;
	EXPECT_EQ(call(other.fd, DRM_IOCTL_OCTANS_BO_QUERY, &q), 0);
	EXPECT_EQ(q.size, 16 * PAGE);
	ASSERT_EQ(vm_map(other.fd, other.vm, in.handle, 0, VA + 64 * PAGE, 16 * PAGE, 0), 0);
	memset(other.map + PAGE, 0x11, PAGE);
	EXPECT_EQ(copy(&other, VA + 64 * PAGE + 5 * PAGE, VA + PAGE, PAGE), 0);
	EXPECT_EQ(self->c.map[5 * PAGE], 0x11);
	p = mmap(NULL, 16 * PAGE, PROT_READ, MAP_SHARED, out.fd, 0);
	ASSERT_NE(p, MAP_FAILED);
	EXPECT_EQ(p[5 * PAGE], 0x11);
	munmap(p, 16 * PAGE);
	close(out.fd);
	client_close(&other);
	/* on-card memory too, within the driver */
	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &out.handle), 0);
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &out), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, out.fd, 0);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 9;
	EXPECT_EQ(*(uint8_t *)bo_map(self->c.fd, out.handle, PAGE), 9);
	close(out.fd);
}

TEST_F(mem, private_mapping_of_the_card)
{
	struct drm_octans_bo_mmap_offset o = { 0 };

	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &o.handle), 0);
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, &o), 0);
	EXPECT_EQ(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->c.fd, o.offset),
		  MAP_FAILED);
}

TEST_F(mem, many_small_maps)
{
	struct drm_octans_bind_op ops[512] = { 0 };

	for (int i = 0; i < 512; i++)
		ops[i] = (struct drm_octans_bind_op) {
			.kind = DRM_OCTANS_BIND_MAP, .handle = self->c.bo, .offset = i % 16 * PAGE,
			.va = (1ull << 40) + i * (1ull << 32), .size = PAGE,
		};
	EXPECT_EQ(vm_bind(self->c.fd, self->c.vm, ops, 512), 0);
	EXPECT_GE(objects("tables"), 512);
	EXPECT_EQ(vm_unmap(self->c.fd, self->c.vm, 1ull << 40, 1ull << 44), 0);
	EXPECT_EQ(copy(&self->c, VA + PAGE, 1ull << 40, 64), -EFAULT);
}
