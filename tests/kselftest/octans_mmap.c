// SPDX-License-Identifier: MIT
/* What the CPU sees of buffers, by whichever way, and what nobody sees of another's. */
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "octans_admin.h"

FIXTURE(map) {
	struct client c;
};

FIXTURE_SETUP(map)
{
	ASSERT_EQ(client_open(&self->c, 0), 0);
	ASSERT_TRUE(*bdf());
}

FIXTURE_TEARDOWN(map)
{
	(void)_metadata;
	client_close(&self->c);
}

static int dma_buf(int fd, uint32_t handle)
{
	struct drm_prime_handle prime = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	int ret = call(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);

	return ret ? ret : prime.fd;
}

/* A dma-buf that is mapped before anybody asks for an offset keeps all of its pages. */
TEST_F(map, dma_buf_before_the_offset)
{
	struct drm_octans_bo_mmap_offset o = { 0 };
	uint8_t *p;
	int fd;

	ASSERT_EQ(bo_create(self->c.fd, 4 * PAGE, DRM_OCTANS_BO_DEVICE, &o.handle), 0);
	fd = dma_buf(self->c.fd, o.handle);
	ASSERT_GE(fd, 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 1;
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, &o), 0);
	for (int i = 1; i < 4; i++)
		p[i * PAGE] = i + 1;
	munmap(p, 4 * PAGE);
	p = bo_map(self->c.fd, o.handle, 4 * PAGE);
	ASSERT_NE(p, MAP_FAILED);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(p[i * PAGE], i + 1);
	close(fd);
}

/* NO_MMAP holds, whatever the way: by dma-buf, or by an offset that was guessed. */
TEST_F(map, no_mmap_at_all)
{
	static const uint32_t kinds[] = { 0, DRM_OCTANS_BO_DEVICE };

	for (int i = 0; i < 2; i++) {
		struct drm_octans_bo_mmap_offset o = { 0 };
		uint32_t bo;
		int fd;

		ASSERT_EQ(bo_create(self->c.fd, PAGE, kinds[i], &o.handle), 0);
		ASSERT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_BO_MMAP_OFFSET, &o), 0);
		ASSERT_EQ(bo_create(self->c.fd, PAGE, kinds[i] | DRM_OCTANS_BO_NO_MMAP, &bo), 0);
		fd = dma_buf(self->c.fd, bo);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
		for (int n = 1; n < 64; n++)
			EXPECT_EQ(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->c.fd,
				       o.offset + n * PAGE), MAP_FAILED);
		close(fd);
	}
}

/* A card mapping under what programs do with mappings. */
TEST_F(map, fork_move_protect_forget)
{
	struct iovec v;
	int status, pipes[2];
	uint8_t *p, *q;
	uint32_t bo;
	pid_t pid;

	ASSERT_EQ(bo_create(self->c.fd, 4 * PAGE, DRM_OCTANS_BO_DEVICE, &bo), 0);
	p = bo_map(self->c.fd, bo, 4 * PAGE);
	ASSERT_NE(p, MAP_FAILED);
	p[PAGE] = 7;
	pid = fork();
	if (!pid) {
		p[2 * PAGE] = p[PAGE] + 1;
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(p[2 * PAGE], 8);
	madvise(p, 4 * PAGE, MADV_DONTNEED);	/* the kernel may say no */
	EXPECT_EQ(p[PAGE], 7);
	q = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(q, MAP_FAILED);
	p = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q);
	ASSERT_EQ((uintptr_t)p, (uintptr_t)q);
	EXPECT_EQ(p[PAGE], 7);
	EXPECT_EQ(mprotect(p, 4 * PAGE, PROT_READ), 0);
	EXPECT_EQ(p[2 * PAGE], 8);
	/* no page of the card ends in a pipe, or under another device's DMA */
	ASSERT_EQ(pipe(pipes), 0);
	v = (struct iovec) { p, PAGE };
	EXPECT_EQ(vmsplice(pipes[1], &v, 1, 0), -1);
	EXPECT_EQ(errno, EFAULT);
	close(pipes[0]);
	close(pipes[1]);
}

/* A debugger may look at it or not, but takes no hold of a page of the card. */
TEST_F(map, others_reach_in)
{
	struct iovec local, remote;
	uint8_t *p, seen = 0;
	uint32_t bo;
	int status;
	pid_t pid;
	long word;

	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &bo), 0);
	p = bo_map(self->c.fd, bo, PAGE);
	ASSERT_NE(p, MAP_FAILED);
	memset(p, 7, 16);
	pid = fork();
	if (!pid) {
		raise(SIGSTOP);
		_exit(p[0]);
	}
	ASSERT_EQ(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	local = (struct iovec) { &seen, 1 };
	remote = (struct iovec) { p, 1 };
	EXPECT_EQ(process_vm_readv(pid, &local, 1, &remote, 1, 0), -1);
	EXPECT_TRUE(errno == EFAULT || errno == ENOSYS);	/* not every kernel has it */
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, pid, p, NULL);
	EXPECT_TRUE(errno == EIO || word == 0x0707070707070707);
	if (!errno) {	/* then it can write, too, and the processor sees that */
		EXPECT_EQ(ptrace(PTRACE_POKEDATA, pid, p, 0x0909090909090909), 0);
		EXPECT_EQ(p[0], 9);
	}
	kill(pid, SIGKILL);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
}

/* Files are read into it by copying, not by another device's DMA. */
TEST_F(map, direct_io)
{
	int fd = open("/dev/nvme0n1", O_RDONLY | O_DIRECT | O_CLOEXEC);
	uint8_t *p, *q;
	uint32_t bo;

	if (fd < 0)
		SKIP("no block device");
	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &bo), 0);
	p = bo_map(self->c.fd, bo, PAGE);
	ASSERT_NE(p, MAP_FAILED);
	EXPECT_EQ(read(fd, p, PAGE), -1);
	EXPECT_EQ(errno, EFAULT);
	/* nor are buffers in host memory held; what is any program's own is */
	EXPECT_EQ(read(fd, self->c.map, PAGE), -1);
	q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_EQ(read(fd, q, PAGE), PAGE);
	close(fd);
}

/* What one stores after the device is gone another does not read. */
TEST_F_TIMEOUT(map, dummy_pages_are_ones_own, 60)
{
	struct client other;
	unsigned int seen = 0;
	uint8_t *mine, *theirs;
	uint32_t a, b;

	ASSERT_EQ(client_open(&other, 0), 0);
	ASSERT_EQ(bo_create(self->c.fd, 2 * PAGE, DRM_OCTANS_BO_DEVICE, &a), 0);
	ASSERT_EQ(bo_create(other.fd, 2 * PAGE, DRM_OCTANS_BO_DEVICE, &b), 0);
	mine = bo_map(self->c.fd, a, 2 * PAGE);
	theirs = bo_map(other.fd, b, 2 * PAGE);
	ASSERT_NE(mine, MAP_FAILED);
	ASSERT_NE(theirs, MAP_FAILED);
	mine[0] = 0x11;
	ASSERT_TRUE(pci_do("remove"));
	EXPECT_EQ(mine[0], 0);
	memset(mine, 0x5a, 2 * PAGE);
	for (unsigned int i = 0; i < 2 * PAGE; i++)
		seen += !!theirs[i];
	EXPECT_EQ(seen, 0);
	client_close(&other);
	ASSERT_TRUE(rescan());
}

#define PATTERN 0x6f637461u

static unsigned int patterns(void)
{
	unsigned int n = 0;
	size_t size = 0;
	volatile uint32_t *bar = pci_bar(OCTANS_BAR_LOCAL, &size);

	if ((void *)bar == MAP_FAILED)
		return ~0u;
	for (size_t i = 0; i < size / 4; i += PAGE / 4)
		n += bar[i] == PATTERN;
	munmap((void *)bar, size);
	return n;
}

static bool fill(int fd, uint32_t *bo, unsigned int pages)
{
	uint32_t *p;

	if (bo_create(fd, pages * PAGE, DRM_OCTANS_BO_DEVICE, bo))
		return false;
	p = bo_map(fd, *bo, pages * PAGE);
	if (p == MAP_FAILED)
		return false;
	for (unsigned int i = 0; i < pages * PAGE / 4; i++)
		p[i] = PATTERN;
	munmap(p, pages * PAGE);
	return true;
}

/* Whoever has the card next finds nothing: of buffers that were freed, or are still held. */
TEST_F_TIMEOUT(map, nothing_stays_on_the_card, 60)
{
	struct drm_gem_close g = { 0 };
	uint32_t bo;

	ASSERT_TRUE(fill(self->c.fd, &bo, 700));
	ASSERT_TRUE(fill(self->c.fd, &g.handle, 300));
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_GEM_CLOSE, &g), 0);
	/* while it is bound, nobody else may map the card */
	ASSERT_TRUE(unbind());
	EXPECT_EQ(patterns(), 0);
	ASSERT_TRUE(bind_again());
}

/* Nor do registers lead to memory that is somebody else's now. */
TEST_F_TIMEOUT(map, nothing_runs_after_unbinding, 60)
{
	volatile uint32_t *regs;
	size_t size = 0;

	ASSERT_EQ(run(self->c.fd, self->c.queue, VA, put_nop(self->c.map), 0), 0);
	ASSERT_TRUE(unbind());
	regs = pci_bar(OCTANS_BAR_REGS, &size);
	ASSERT_NE((void *)regs, MAP_FAILED);
	EXPECT_EQ(regs[OCTANS_REG_ID / 4], OCTANS_ID_MAGIC);
	EXPECT_EQ(regs[OCTANS_REG_MMU_CTRL / 4], 0);
	EXPECT_EQ(*(volatile uint64_t *)(regs + OCTANS_REG_ASID_BASE / 4), 0);
	EXPECT_EQ(regs[OCTANS_REG_EVT_CTRL / 4], 0);
	munmap((void *)regs, size);
	ASSERT_TRUE(bind_again());
}

/* A device that is cut off from the host still has its card: nobody is given any of it. */
TEST_F_TIMEOUT(map, cut_off, 60)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	uint32_t bo, id;
	uint8_t *p;

	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &bo), 0);
	p = bo_map(self->c.fd, bo, PAGE);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 3;
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 200, &id), 0);
	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	ASSERT_TRUE(control_rings("fail-reset ring", ""));
	ASSERT_TRUE(control("fail-reset device 2"));	/* by register, and the function's */
	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	ASSERT_EQ(submit(self->c.fd, id, VA, put_nop(self->c.map), 0, &out, 1), 0);
	EXPECT_EQ(sync_result(self->c.fd, out.handle, 20), -ENODEV);
	EXPECT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &bo), -ENODEV);
	EXPECT_EQ(bo_create(self->c.fd, PAGE, 0, &bo), -ENODEV);
	EXPECT_EQ(vm_create(self->c.fd, &id), -ENODEV);
	EXPECT_EQ(node_open(), -1);
	usleep(200000);
	EXPECT_EQ(p[0], 0);
	p[0] = 4;
	EXPECT_EQ(p[0], 4);
	control_rings("hang ring", " off");
	control_rings("fail-reset ring", " 0");
	control("fail-reset device 0");
	ASSERT_TRUE(unbind());
	ASSERT_TRUE(bind_again());
}
