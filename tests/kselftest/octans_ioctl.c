// SPDX-License-Identifier: MIT
/* Every ioctl of ours with every field out of range, and every ioctl of the DRM core that an
 * accel node takes: an error, and nothing has changed. */
#include <stddef.h>

#include "octans.h"

FIXTURE(args) {
	struct client c;
	struct client other;
};

FIXTURE_SETUP(args)
{
	ASSERT_EQ(client_open(&self->c, 0), 0);
	ASSERT_EQ(client_open(&self->other, 0), 0);
}

FIXTURE_TEARDOWN(args)
{
	(void)_metadata;
	client_close(&self->c);
	client_close(&self->other);
}

/* One change of a valid structure, and what it must give. */
struct change {
	size_t offset, size;
	uint64_t value;
	int error;
};

#define CHANGE(type, field, value, error) \
	{ offsetof(struct type, field), sizeof(((struct type *)0)->field), value, error }

static void changes(struct test_metadata *_metadata, int fd, unsigned long request, const void *valid,
		    size_t size, const struct change *list, size_t n)
{
	uint8_t arg[256];

	for (size_t i = 0; i < n; i++) {
		memcpy(arg, valid, size);
		memcpy(arg + list[i].offset, &list[i].value, list[i].size);
		if (call(fd, request, arg) != list[i].error)
			printf("# change %zu: offset %zu value 0x%llx\n", i, list[i].offset,
			       (unsigned long long)list[i].value);
		memcpy(arg, valid, size);
		memcpy(arg + list[i].offset, &list[i].value, list[i].size);
		EXPECT_EQ(call(fd, request, arg), list[i].error);
	}
	/* the structure itself out of reach */
	EXPECT_EQ(call(fd, request, NULL), -EFAULT);
	EXPECT_EQ(call(fd, request, (void *)0xdead000000000000ull), -EFAULT);
	EXPECT_EQ(call(fd, request, (void *)~0ull), -EFAULT);
}

#define CHANGES(fd, request, valid, list) \
	changes(_metadata, fd, request, &(valid), sizeof(valid), list, sizeof(list) / sizeof((list)[0]))

TEST_F(args, dev_query)
{
	struct drm_octans_query_device d;
	struct drm_octans_dev_query q = {
		.type = DRM_OCTANS_QUERY_DEVICE, .size = sizeof(d), .ptr = (uintptr_t)&d,
	};
	const struct change list[] = {
		CHANGE(drm_octans_dev_query, type, 2, -EINVAL),
		CHANGE(drm_octans_dev_query, type, ~0u, -EINVAL),
		CHANGE(drm_octans_dev_query, ptr, 8, -EFAULT),
		CHANGE(drm_octans_dev_query, ptr, ~0ull, -EFAULT),
	};
	uint8_t big[512];

	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_DEV_QUERY, q, list);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_DEV_QUERY, &q), 0);
	EXPECT_EQ(d.page_size, 4096);
	EXPECT_GE(d.rings, 1);
	/* only the size */
	q = (struct drm_octans_dev_query) { .type = DRM_OCTANS_QUERY_MEMORY };
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_DEV_QUERY, &q), 0);
	EXPECT_EQ(q.size, sizeof(struct drm_octans_query_memory));
	/* a longer structure is filled up with zeros, a shorter one is cut */
	memset(big, 0xa5, sizeof(big));
	q = (struct drm_octans_dev_query) {
		.type = DRM_OCTANS_QUERY_DEVICE, .size = 300, .ptr = (uintptr_t)big,
	};
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_DEV_QUERY, &q), 0);
	EXPECT_EQ(memcmp(big, &d, sizeof(d)), 0);
	for (size_t i = sizeof(d); i < 300; i++)
		EXPECT_EQ(big[i], 0);
	EXPECT_EQ(big[300], 0xa5);
	memset(big, 0xa5, sizeof(big));
	q.size = 4;
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_DEV_QUERY, &q), 0);
	EXPECT_EQ(big[4], 0xa5);
}

TEST_F(args, bo_create)
{
	struct drm_octans_bo_create c = { .size = PAGE };
	const struct change list[] = {
		CHANGE(drm_octans_bo_create, size, 0, -EINVAL),
		CHANGE(drm_octans_bo_create, size, ~0ull, -EINVAL),
		CHANGE(drm_octans_bo_create, size, 1ull << 63, -EINVAL),
		CHANGE(drm_octans_bo_create, size, (1ull << 40) + 1, -EINVAL),
		CHANGE(drm_octans_bo_create, size, 1ull << 40, -ENOMEM),
		CHANGE(drm_octans_bo_create, flags, 4, -EINVAL),
		CHANGE(drm_octans_bo_create, flags, 1u << 31, -EINVAL),
		CHANGE(drm_octans_bo_create, handle, 1, -EINVAL),
	};
	long long before = objects("buffers");
	uint32_t h;

	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_BO_CREATE, c, list);
	EXPECT_EQ(bo_create(self->c.fd, 1ull << 39, DRM_OCTANS_BO_DEVICE, &h), -ENOSPC);
	EXPECT_EQ(objects("buffers"), before);
}

TEST_F(args, bo_handles)
{
	struct drm_octans_bo_mmap_offset m = { .handle = self->c.bo };
	struct drm_octans_bo_query q = { .handle = self->c.bo };
	struct drm_octans_bo_set_label l = {
		.handle = self->c.bo, .len = 5, .label = (uintptr_t)"label",
	};
	const struct change ml[] = {
		CHANGE(drm_octans_bo_mmap_offset, handle, 0, -ENOENT),
		CHANGE(drm_octans_bo_mmap_offset, handle, 999, -ENOENT),
		CHANGE(drm_octans_bo_mmap_offset, handle, ~0u, -ENOENT),
		CHANGE(drm_octans_bo_mmap_offset, pad, 1, -EINVAL),
		CHANGE(drm_octans_bo_mmap_offset, offset, 1, -EINVAL),
	};
	const struct change ql[] = {
		CHANGE(drm_octans_bo_query, handle, 0, -ENOENT),
		CHANGE(drm_octans_bo_query, handle, 999, -ENOENT),
		CHANGE(drm_octans_bo_query, flags, 1, -EINVAL),
		CHANGE(drm_octans_bo_query, size, 1, -EINVAL),
	};
	const struct change ll[] = {
		CHANGE(drm_octans_bo_set_label, handle, 0, -ENOENT),
		CHANGE(drm_octans_bo_set_label, handle, 999, -ENOENT),
		CHANGE(drm_octans_bo_set_label, len, 64, -EINVAL),
		CHANGE(drm_octans_bo_set_label, len, ~0u, -EINVAL),
		CHANGE(drm_octans_bo_set_label, len, 0, -EINVAL),
		CHANGE(drm_octans_bo_set_label, len, 6, -EINVAL),	/* the NUL */
		CHANGE(drm_octans_bo_set_label, label, 0, -EFAULT),
		CHANGE(drm_octans_bo_set_label, label, ~0ull, -EFAULT),
	};

	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, m, ml);
	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_BO_QUERY, q, ql);
	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_BO_SET_LABEL, l, ll);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_BO_SET_LABEL, &l), 0);
}

TEST_F(args, vm)
{
	struct drm_octans_vm_create c = { 0 };
	struct drm_octans_vm_destroy d = { .id = self->c.vm };
	const struct change cl[] = {
		CHANGE(drm_octans_vm_create, flags, 1, -EINVAL),
		CHANGE(drm_octans_vm_create, id, 1, -EINVAL),
	};
	const struct change dl[] = {
		CHANGE(drm_octans_vm_destroy, id, 0, -ENOENT),
		CHANGE(drm_octans_vm_destroy, id, 99, -ENOENT),
		CHANGE(drm_octans_vm_destroy, id, ~0u, -ENOENT),
		CHANGE(drm_octans_vm_destroy, pad, 1, -EINVAL),
		CHANGE(drm_octans_vm_destroy, id, self->c.vm, -EBUSY),	/* it has a queue */
	};
	long long before = objects("spaces");
	uint32_t id;
	int n = 1;

	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_VM_CREATE, c, cl);
	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_VM_DESTROY, d, dl);
	EXPECT_EQ(objects("spaces"), before);
	while (!vm_create(self->c.fd, &id))	/* a client's share */
		n++;
	EXPECT_EQ(n, 64);
	EXPECT_EQ(vm_create(self->c.fd, &id), -EDQUOT);
	EXPECT_EQ(vm_create(self->other.fd, &id), 0);
}

TEST_F(args, vm_bind)
{
	struct drm_octans_bind_op op = {
		.kind = DRM_OCTANS_BIND_MAP, .handle = self->c.bo, .va = VA + 64 * PAGE, .size = PAGE,
	};
	struct drm_octans_bind_op un = {
		.kind = DRM_OCTANS_BIND_UNMAP, .va = VA + 64 * PAGE, .size = PAGE,
	};
	struct drm_octans_vm_bind b = {
		.vm_id = self->c.vm, .ops = { sizeof(op), 1, (uintptr_t)&op },
	};
	const struct change bl[] = {
		CHANGE(drm_octans_vm_bind, vm_id, 0, -ENOENT),
		CHANGE(drm_octans_vm_bind, vm_id, 99, -ENOENT),
		CHANGE(drm_octans_vm_bind, flags, 1, -EINVAL),
		CHANGE(drm_octans_vm_bind, done, 1, -EINVAL),
		CHANGE(drm_octans_vm_bind, pad, 1, -EINVAL),
		CHANGE(drm_octans_vm_bind, ops.stride, 0, -EINVAL),
		CHANGE(drm_octans_vm_bind, ops.stride, 8, -EINVAL),
		CHANGE(drm_octans_vm_bind, ops.stride, sizeof(op) + 4, -EINVAL),
		CHANGE(drm_octans_vm_bind, ops.stride, 1u << 20, -EINVAL),
		CHANGE(drm_octans_vm_bind, ops.count, 0, -EINVAL),
		CHANGE(drm_octans_vm_bind, ops.count, 4097, -EINVAL),
		CHANGE(drm_octans_vm_bind, ops.count, ~0u, -EINVAL),
		CHANGE(drm_octans_vm_bind, ops.ptr, 0, -EFAULT),
		CHANGE(drm_octans_vm_bind, ops.ptr, ~0ull - 8, -EFAULT),
	};
	static const struct change ol[] = {
		CHANGE(drm_octans_bind_op, kind, 2, -EINVAL),
		CHANGE(drm_octans_bind_op, flags, 2, -EINVAL),
		CHANGE(drm_octans_bind_op, handle, 0, -ENOENT),
		CHANGE(drm_octans_bind_op, handle, 999, -ENOENT),
		CHANGE(drm_octans_bind_op, pad, 1, -EINVAL),
		CHANGE(drm_octans_bind_op, offset, 1, -EINVAL),
		CHANGE(drm_octans_bind_op, offset, 16 * PAGE, -EINVAL),
		CHANGE(drm_octans_bind_op, offset, ~0ull & ~(PAGE - 1), -EINVAL),
		CHANGE(drm_octans_bind_op, va, 1, -EINVAL),
		CHANGE(drm_octans_bind_op, va, 1ull << 48, -EINVAL),
		CHANGE(drm_octans_bind_op, va, ~0ull & ~(PAGE - 1), -EINVAL),
		CHANGE(drm_octans_bind_op, size, 0, -EINVAL),
		CHANGE(drm_octans_bind_op, size, 1, -EINVAL),
		CHANGE(drm_octans_bind_op, size, 17 * PAGE, -EINVAL),
		CHANGE(drm_octans_bind_op, size, ~0ull & ~(PAGE - 1), -EINVAL),
	};
	static const struct change ul[] = {
		CHANGE(drm_octans_bind_op, flags, 1, -EINVAL),
		CHANGE(drm_octans_bind_op, handle, 1, -EINVAL),
		CHANGE(drm_octans_bind_op, offset, PAGE, -EINVAL),
		CHANGE(drm_octans_bind_op, pad, 1, -EINVAL),
		CHANGE(drm_octans_bind_op, size, 0, -EINVAL),
	};
	struct { struct drm_octans_bind_op op; uint64_t future; } longer;

	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_VM_BIND, b, bl);
	for (size_t i = 0; i < sizeof(ol) / sizeof(ol[0]); i++) {
		struct drm_octans_bind_op bad = op;

		memcpy((uint8_t *)&bad + ol[i].offset, &ol[i].value, ol[i].size);
		EXPECT_EQ(vm_bind(self->c.fd, self->c.vm, &bad, 1), ol[i].error);
	}
	for (size_t i = 0; i < sizeof(ul) / sizeof(ul[0]); i++) {
		struct drm_octans_bind_op bad = un;

		memcpy((uint8_t *)&bad + ul[i].offset, &ul[i].value, ul[i].size);
		EXPECT_EQ(vm_bind(self->c.fd, self->c.vm, &bad, 1), ul[i].error);
	}
	/* elements of a later version: zeros beyond what is known are fine */
	longer.op = op;
	longer.future = 0;
	b.ops = (struct drm_octans_array) { sizeof(longer), 1, (uintptr_t)&longer };
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_VM_BIND, &b), 0);
	b.done = 0;
	longer.future = 1;
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_VM_BIND, &b), -EINVAL);
	/* of several, the refused one is named and those before it are done */
	struct drm_octans_bind_op three[3] = { op, op, op };

	three[1].pad = 1;
	b.done = 0;
	b.ops = (struct drm_octans_array) { sizeof(op), 3, (uintptr_t)three };
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_VM_BIND, &b), -EINVAL);
	EXPECT_EQ(b.done, 1);
}

TEST_F(args, faults)
{
	struct drm_octans_fault f[4];
	struct drm_octans_vm_get_faults g = {
		.vm_id = self->c.vm, .faults = { sizeof(f[0]), 4, (uintptr_t)f },
	};
	const struct change list[] = {
		CHANGE(drm_octans_vm_get_faults, vm_id, 0, -ENOENT),
		CHANGE(drm_octans_vm_get_faults, vm_id, 99, -ENOENT),
		CHANGE(drm_octans_vm_get_faults, pad, 1, -EINVAL),
		CHANGE(drm_octans_vm_get_faults, lost, 1, -EINVAL),
		CHANGE(drm_octans_vm_get_faults, faults.stride, 8, -EINVAL),
		CHANGE(drm_octans_vm_get_faults, faults.stride, 68, -EINVAL),
		CHANGE(drm_octans_vm_get_faults, faults.stride, 1u << 16, -EINVAL),
	};

	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_VM_GET_FAULTS, g, list);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_VM_GET_FAULTS, &g), 0);
	EXPECT_EQ(g.faults.count, 0);
}

TEST_F(args, queue)
{
	struct drm_octans_queue_create c = { .vm_id = self->c.vm };
	struct drm_octans_queue_destroy d = { .id = self->c.queue };
	struct drm_octans_queue_query q = { .id = self->c.queue };
	const struct change cl[] = {
		CHANGE(drm_octans_queue_create, vm_id, 0, -ENOENT),
		CHANGE(drm_octans_queue_create, vm_id, 99, -ENOENT),
		CHANGE(drm_octans_queue_create, flags, 1, -EINVAL),
		CHANGE(drm_octans_queue_create, priority, 3, -EINVAL),
		CHANGE(drm_octans_queue_create, priority, ~0u, -EINVAL),
		CHANGE(drm_octans_queue_create, timeout_ms, 10001, -EINVAL),
		CHANGE(drm_octans_queue_create, timeout_ms, ~0u, -EINVAL),
		CHANGE(drm_octans_queue_create, id, 1, -EINVAL),
		CHANGE(drm_octans_queue_create, pad, 1, -EINVAL),
	};
	const struct change dl[] = {
		CHANGE(drm_octans_queue_destroy, id, 0, -ENOENT),
		CHANGE(drm_octans_queue_destroy, id, 999, -ENOENT),
		CHANGE(drm_octans_queue_destroy, pad, 1, -EINVAL),
	};
	const struct change ql[] = {
		CHANGE(drm_octans_queue_query, id, 0, -ENOENT),
		CHANGE(drm_octans_queue_query, id, 999, -ENOENT),
		CHANGE(drm_octans_queue_query, state, 1, -EINVAL),
		CHANGE(drm_octans_queue_query, error, 1, -EINVAL),
		CHANGE(drm_octans_queue_query, pad, 1, -EINVAL),
		CHANGE(drm_octans_queue_query, submitted, 1, -EINVAL),
		CHANGE(drm_octans_queue_query, completed, 1, -EINVAL),
		CHANGE(drm_octans_queue_query, failed, 1, -EINVAL),
	};
	long long before = objects("queues");
	uint32_t id;
	int n = 1;

	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_QUEUE_CREATE, c, cl);
	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_QUEUE_DESTROY, d, dl);
	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_QUEUE_QUERY, q, ql);
	EXPECT_EQ(objects("queues"), before);
	while (!queue_create(self->c.fd, self->c.vm, 0, &id))
		n++;
	EXPECT_EQ(n, 256);
	EXPECT_EQ(queue_create(self->c.fd, self->c.vm, 0, &id), -EDQUOT);
	EXPECT_EQ(queue_create(self->other.fd, self->other.vm, 0, &id), 0);
}

TEST_F(args, high_priority_needs_a_capability)
{
	struct drm_octans_queue_create c = {
		.vm_id = self->c.vm, .priority = DRM_OCTANS_PRIORITY_HIGH,
	};

	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_QUEUE_CREATE, &c), 0);
	ASSERT_EQ(setuid(65534), 0);
	c.id = 0;
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_QUEUE_CREATE, &c), -EACCES);
}

TEST_F(args, submit)
{
	struct drm_octans_job job = { .va = VA, .size = 16 };
	struct drm_octans_sync sync = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct drm_octans_submit s = {
		.queue_id = self->c.queue,
		.jobs = { sizeof(job), 1, (uintptr_t)&job },
		.syncs = { sizeof(sync), 1, (uintptr_t)&sync },
	};
	const struct change sl[] = {
		CHANGE(drm_octans_submit, queue_id, 0, -ENOENT),
		CHANGE(drm_octans_submit, queue_id, 999, -ENOENT),
		CHANGE(drm_octans_submit, flags, 1, -EINVAL),
		CHANGE(drm_octans_submit, failed_index, 1, -EINVAL),
		CHANGE(drm_octans_submit, pad, 1, -EINVAL),
		CHANGE(drm_octans_submit, jobs.stride, 8, -EINVAL),
		CHANGE(drm_octans_submit, jobs.count, 0, -EINVAL),
		CHANGE(drm_octans_submit, jobs.count, 65, -EINVAL),
		CHANGE(drm_octans_submit, jobs.ptr, 0, -EFAULT),
		CHANGE(drm_octans_submit, syncs.stride, 8, -EINVAL),
		CHANGE(drm_octans_submit, syncs.count, 65, -EINVAL),
		CHANGE(drm_octans_submit, syncs.count, 0, -EINVAL),
		CHANGE(drm_octans_submit, syncs.ptr, 1, -EFAULT),
	};
	static const struct change jl[] = {
		CHANGE(drm_octans_job, va, 8, -EINVAL),
		CHANGE(drm_octans_job, va, 1ull << 48, -EINVAL),
		CHANGE(drm_octans_job, va, ~15ull, -EINVAL),
		CHANGE(drm_octans_job, size, 0, -EINVAL),
		CHANGE(drm_octans_job, size, 8, -EINVAL),
		CHANGE(drm_octans_job, size, 0x1000010, -EINVAL),
		CHANGE(drm_octans_job, size, ~0u, -EINVAL),
		CHANGE(drm_octans_job, flags, 1, -EINVAL),
	};
	static const struct change yl[] = {
		CHANGE(drm_octans_sync, flags, 5, -EINVAL),
		CHANGE(drm_octans_sync, flags, 3, -EINVAL),	/* timeline without a point */
		CHANGE(drm_octans_sync, handle, 0, -ENOENT),
		CHANGE(drm_octans_sync, handle, 999, -ENOENT),
		CHANGE(drm_octans_sync, point, 1, -EINVAL),	/* point without timeline */
		CHANGE(drm_octans_sync, flags, 0, -EINVAL),	/* nothing to wait for in it yet */
	};
	long long before;

	ASSERT_EQ(syncobj_create(self->c.fd, &sync.handle), 0);
	put_nop(self->c.map);
	before = objects("jobs");
	CHANGES(self->c.fd, DRM_IOCTL_OCTANS_SUBMIT, s, sl);
	for (size_t i = 0; i < sizeof(jl) / sizeof(jl[0]); i++) {
		struct drm_octans_job list[2] = { job, job };
		struct drm_octans_submit bad = s;

		memcpy((uint8_t *)&list[1] + jl[i].offset, &jl[i].value, jl[i].size);
		bad.jobs = (struct drm_octans_array) { sizeof(job), 2, (uintptr_t)list };
		EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_SUBMIT, &bad), jl[i].error);
		EXPECT_EQ(bad.failed_index, 1);
	}
	for (size_t i = 0; i < sizeof(yl) / sizeof(yl[0]); i++) {
		struct drm_octans_sync list[2] = { sync, sync };
		struct drm_octans_submit bad = s;

		memcpy((uint8_t *)&list[1] + yl[i].offset, &yl[i].value, yl[i].size);
		bad.syncs = (struct drm_octans_array) { sizeof(sync), 2, (uintptr_t)list };
		EXPECT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_SUBMIT, &bad), yl[i].error);
		EXPECT_EQ(bad.failed_index, 1u << 31 | 1);
	}
	EXPECT_EQ(objects("jobs"), before);	/* all or none: none */
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, 16, 0), 0);
}

/* What belongs to one file is nothing to another. */
TEST_F(args, foreign)
{
	uint32_t vm, queue, bo;

	ASSERT_EQ(vm_create(self->c.fd, &vm), 0);
	ASSERT_EQ(queue_create(self->c.fd, vm, 0, &queue), 0);
	ASSERT_EQ(bo_create(self->c.fd, PAGE, 0, &bo), 0);
	EXPECT_EQ(vm_map(self->other.fd, self->other.vm, bo, 0, VA, PAGE, 0), -ENOENT);
	EXPECT_EQ(vm_map(self->other.fd, vm, self->other.bo, 0, VA, PAGE, 0), -ENOENT);
	EXPECT_EQ(queue_destroy(self->other.fd, queue), -ENOENT);
	EXPECT_EQ(submit(self->other.fd, queue, VA, 16, 0, NULL, 0), -ENOENT);
}

/* Shorter structures of an older program work, longer ones of a newer one too. */
TEST_F(args, sizes)
{
	struct { struct drm_octans_vm_create c; uint64_t future[4]; } longer = { 0 };
	unsigned long request = _IOC(_IOC_READ | _IOC_WRITE, 'd',
				     DRM_COMMAND_BASE + DRM_OCTANS_VM_CREATE, sizeof(longer));
	struct { uint32_t vm_id; } shorter = { self->c.vm };

	uint8_t *page;

	EXPECT_EQ(call(self->c.fd, request, &longer), 0);
	EXPECT_NE(longer.c.id, 0);
	request = _IOC(_IOC_READ | _IOC_WRITE, 'd', DRM_COMMAND_BASE + DRM_OCTANS_QUEUE_CREATE,
		       sizeof(shorter));
	EXPECT_EQ(call(self->c.fd, request, &shorter), 0);
	request = _IOC(_IOC_READ | _IOC_WRITE, 'd', DRM_COMMAND_BASE + DRM_OCTANS_VM_CREATE, 0);
	EXPECT_EQ(call(self->c.fd, request, NULL), 0);
	/* nothing is written behind a short structure: it may end where a page ends */
	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(page, MAP_FAILED);
	ASSERT_EQ(munmap(page + PAGE, PAGE), 0);
	request = _IOC(_IOC_READ | _IOC_WRITE, 'd', DRM_COMMAND_BASE + DRM_OCTANS_VM_CREATE, 8);
	EXPECT_EQ(call(self->c.fd, request, page + PAGE - 8), 0);

	/* numbers that are not ours */
	for (int nr = DRM_OCTANS_SUBMIT + 1; nr < 0x60; nr++)
		EXPECT_EQ(call(self->c.fd, _IOC(_IOC_READ | _IOC_WRITE, 'd', DRM_COMMAND_BASE + nr, 64),
			       page), -EINVAL);
}

/* Every ioctl number of the DRM core, with zeros, ones and no memory at all: any answer is
 * good as long as the kernel lives.  GET_UNIQUE and others oops stock kernels here. */
TEST_F(args, drm_core)
{
	static uint8_t arg[4096];

	for (int nr = 0; nr < 0x100; nr++) {
		if (nr >= DRM_COMMAND_BASE && nr < DRM_COMMAND_END)
			continue;
		for (int fill = 0; fill < 3; fill++)
			for (int size = 0; size <= 256; size += 8) {
				memset(arg, fill == 0 ? 0 : fill == 1 ? 0xff : 1, sizeof(arg));
				call(self->c.fd, _IOC(_IOC_READ | _IOC_WRITE, 'd', nr, size), arg);
				if (size % 64 == 0)
					call(self->c.fd, _IOC(_IOC_READ | _IOC_WRITE, 'd', nr, size),
					     (void *)8);
			}
	}
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_GET_UNIQUE, arg), -EINVAL);
	EXPECT_EQ(run(self->other.fd, self->other.queue, VA, put_nop(self->other.map), 0), 0);
}

TEST_F(args, syncobj_counts)
{
	struct drm_syncobj_wait w = { .handles = VA, .count_handles = ~0u };
	struct drm_syncobj_timeline_wait tw = { .handles = w.handles, .points = w.handles,
						.count_handles = 1u << 30 };
	struct drm_syncobj_array a = { .handles = w.handles, .count_handles = 0x7fffffff };
	struct drm_syncobj_timeline_array ta = { .handles = w.handles, .points = w.handles,
						 .count_handles = 65537 };

	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_SYNCOBJ_WAIT, &w), -EINVAL);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &tw), -EINVAL);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_SYNCOBJ_RESET, &a), -EINVAL);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_SYNCOBJ_SIGNAL, &a), -EINVAL);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &ta), -EINVAL);
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_SYNCOBJ_QUERY, &ta), -EINVAL);
}
