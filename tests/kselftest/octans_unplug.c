// SPDX-License-Identifier: MIT
/* The processor goes while everything is in use, by sysfs and by surprise; it comes back. */
#include "octans_admin.h"

FIXTURE(unplug) {
	int unused;
};

FIXTURE_SETUP(unplug)
{
	(void)self;
	ASSERT_TRUE(*bdf());
}

FIXTURE_TEARDOWN(unplug)
{
	struct client c;

	(void)self;
	ASSERT_EQ(client_open(&c, 1000), 0);
	EXPECT_EQ(run(c.fd, c.queue, VA, put_nop(c.map), 0), 0);
	client_close(&c);
}

TEST_F(unplug, held_open)
{
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct client c;
	uint8_t *card;
	uint32_t bo, id;

	ASSERT_EQ(client_open(&c, 1000), 0);
	ASSERT_EQ(bo_create(c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &bo), 0);
	card = bo_map(c.fd, bo, PAGE);
	ASSERT_NE(card, MAP_FAILED);
	card[0] = 1;
	prime.handle = c.bo;
	ASSERT_EQ(call(c.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime), 0);
	ASSERT_EQ(syncobj_create(c.fd, &out.handle), 0);
	ASSERT_EQ(submit(c.fd, c.queue, VA, put_nop(c.map), 0, &out, 1), 0);
	ASSERT_EQ(sync_result(c.fd, out.handle, 10), 0);
	ASSERT_TRUE(pci_do("remove"));
	/* calls say so, memory can still be touched */
	EXPECT_EQ(bo_create(c.fd, PAGE, 0, &id), -ENODEV);
	EXPECT_EQ(submit(c.fd, c.queue, VA, 16, 0, NULL, 0), -ENODEV);
	card[0] = 2;
	EXPECT_EQ(card[1], 0);
	c.map[0] = 1;
	close(prime.fd);
	munmap(card, PAGE);
	client_close(&c);
	ASSERT_TRUE(rescan());
}

TEST_F(unplug, job_hangs)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct client c;
	struct drm_syncobj_handle h = { .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE };
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };
	struct pollfd p = { .events = POLLIN };

	ASSERT_EQ(client_open(&c, 10000), 0);
	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	ASSERT_EQ(syncobj_create(c.fd, &out.handle), 0);
	ASSERT_EQ(submit(c.fd, c.queue, VA, put_nop(c.map), 0, &out, 1), 0);
	h.handle = out.handle;
	ASSERT_EQ(call(c.fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &h), 0);
	usleep(100000);
	ASSERT_TRUE(pci_do("remove"));
	p.fd = h.fd;
	EXPECT_EQ(poll(&p, 1, 5000), 1);
	EXPECT_EQ(ioctl(h.fd, SYNC_IOC_FILE_INFO, &info), 0);
	EXPECT_EQ(info.status, -ENODEV);
	close(h.fd);
	client_close(&c);
	control_rings("hang ring", " off");
	ASSERT_TRUE(rescan());
}

static void *submit_for_ever(void *arg)
{
	struct client *c = arg;
	uint32_t handle;

	for (;;) {
		int ret = run(c->fd, c->queue, VA, 16, 0);

		if (ret == -ENODEV)
			return NULL;
		bo_create(c->fd, PAGE, 0, &handle);
		c->map[PAGE]++;
	}
}

TEST_F_TIMEOUT(unplug, under_load, 180)
{
	for (int round = 0; round < 5; round++) {
		struct client c[3];
		pthread_t t[3];

		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(client_open(&c[i], 1000), 0);
			put_nop(c[i].map);
			ASSERT_EQ(pthread_create(&t[i], NULL, submit_for_ever, &c[i]), 0);
		}
		usleep(200000 + round * 50000);
		ASSERT_TRUE(pci_do("remove"));
		for (int i = 0; i < 3; i++) {
			pthread_join(t[i], NULL);
			client_close(&c[i]);
		}
		ASSERT_TRUE(rescan());
	}
}

/* The device vanishes from the bus without a word; later the system notices. */
TEST_F_TIMEOUT(unplug, by_surprise, 120)
{
	struct client c;
	int ret;

	ASSERT_EQ(client_open(&c, 1000), 0);
	put_nop(c.map);
	if (!control("remove"))
		SKIP("no control port");
	ret = run(c.fd, c.queue, VA, 16, 0);
	EXPECT_TRUE(ret == -ENODEV || ret == -ETIME || ret == -EIO);
	ASSERT_TRUE(pci_do("remove"));
	client_close(&c);
	ASSERT_TRUE(control("restore"));
	ASSERT_TRUE(rescan());
}

TEST_F(unplug, function_reset)
{
	struct client c;

	ASSERT_EQ(client_open(&c, 1000), 0);
	put_nop(c.map);
	EXPECT_EQ(run(c.fd, c.queue, VA, 16, 0), 0);
	if (!pci_do("reset"))
		SKIP("no function reset here");
	EXPECT_EQ(run(c.fd, c.queue, VA, 16, 0), 0);
	client_close(&c);
}

struct writer {
	uint32_t *map;
	uint32_t words;
};

/* Each word once, for a second or two. */
static void *writer_loop(void *arg)
{
	struct writer *w = arg;

	for (uint32_t i = 0; i < w->words; i++) {
		w->map[i] = i ^ 0x5a5a5a5a;
		if (i % 1024 == 1023)
			usleep(300);
	}
	return NULL;
}

/* Who writes to the card by its mapping does not notice a reset of the function. */
TEST_F_TIMEOUT(unplug, card_is_written_beside_a_function_reset, 60)
{
	struct writer w = { .words = 16 << 18 };
	uint32_t bo, wrong = 0;
	struct client c;
	pthread_t t;

	ASSERT_EQ(client_open(&c, 1000), 0);
	ASSERT_EQ(bo_create(c.fd, w.words * 4, DRM_OCTANS_BO_DEVICE, &bo), 0);
	w.map = bo_map(c.fd, bo, w.words * 4);
	ASSERT_NE(w.map, MAP_FAILED);
	ASSERT_EQ(pthread_create(&t, NULL, writer_loop, &w), 0);
	for (int i = 0; i < 4; i++) {
		usleep(100000);
		if (!pci_do("reset"))
			SKIP("no function reset here");
	}
	pthread_join(t, NULL);
	for (uint32_t i = 0; i < w.words; i++)
		wrong += w.map[i] != (i ^ 0x5a5a5a5a);
	EXPECT_EQ(wrong, 0);
	munmap(w.map, w.words * 4);
	client_close(&c);
}

/* A link that has failed shows nothing but ones: what may have begun is not done twice. */
TEST_F_TIMEOUT(unplug, function_reset_after_the_link_failed, 60)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct client c;
	char line[64];

	ASSERT_EQ(client_open(&c, 3000), 0);
	if (!control("hang tag 0x77"))
		SKIP("no control port");
	put_nop(c.map);
	ASSERT_EQ(syncobj_create(c.fd, &out.handle), 0);
	ASSERT_EQ(submit(c.fd, c.queue, VA, 16, 0x77, &out, 1), 0);
	usleep(100000);
	for (int r = 0; r < 4; r++) {
		snprintf(line, sizeof(line), "lie RING%d_SEQNO 0xffffffffffffffff", r);
		ASSERT_TRUE(control(line));
		snprintf(line, sizeof(line), "lie RING%d_STATUS 0xffffffff", r);
		ASSERT_TRUE(control(line));
	}
	EXPECT_TRUE(pci_do("reset"));
	EXPECT_TRUE(control("lie off"));
	EXPECT_TRUE(control("hang tag 0"));
	EXPECT_EQ(sync_result(c.fd, out.handle, 10), -ECANCELED);
	client_close(&c);
}

/* What is put on its ring again by the reset is watched, as anything else is. */
TEST_F_TIMEOUT(unplug, hang_after_a_function_reset, 60)
{
	struct drm_octans_sync out[2] = {
		{ .flags = DRM_OCTANS_SYNC_SIGNAL }, { .flags = DRM_OCTANS_SYNC_SIGNAL },
	};
	struct client c;

	ASSERT_EQ(client_open(&c, 3000), 0);
	if (!control("hang tag 0x77"))
		SKIP("no control port");
	put_nop(c.map);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(syncobj_create(c.fd, &out[i].handle), 0);
		ASSERT_EQ(submit(c.fd, c.queue, VA, 16, 0x77, &out[i], 1), 0);
	}
	usleep(100000);
	ASSERT_TRUE(pci_do("reset"));
	EXPECT_EQ(sync_result(c.fd, out[0].handle, 5), -ECANCELED);
	EXPECT_EQ(sync_result(c.fd, out[1].handle, 10), -ETIME);
	EXPECT_TRUE(control("hang tag 0"));
	client_close(&c);
}

TEST_F_TIMEOUT(unplug, unbind_and_bind, 120)
{
	for (int i = 0; i < 5; i++) {
		ASSERT_TRUE(unbind());
		ASSERT_TRUE(bind_again());
	}
}

/* A client with a job of 2 s on whatever ring, which keeps invalidations from completing. */
static int start_slow_job(struct client *c, struct drm_octans_sync *out)
{
	int ret = client_open(c, 10000);

	*out = (struct drm_octans_sync) { .flags = DRM_OCTANS_SYNC_SIGNAL };
	if (!ret)
		ret = syncobj_create(c->fd, &out->handle);
	if (!ret)
		ret = submit(c->fd, c->queue, VA, put_nops(c->map, 100), 0, out, 1);
	usleep(100000);
	return ret;
}

/*
 * Whoever drove the processor before has used tickets; they must not make those of a driver that is
 * bound anew look complete before they are.  Who waits, waits, and no job pays for that.
 */
TEST_F_TIMEOUT(unplug, slow_acknowledge_after_rebind, 60)
{
	struct drm_octans_sync out;
	struct unmapping u;
	struct client c;

	ASSERT_EQ(client_open(&c, 1000), 0);
	for (int i = 0; i < 50; i++)
		ASSERT_EQ(vm_map(c.fd, c.vm, c.bo, 0, 2 * VA, PAGE, 0), 0);
	client_close(&c);
	ASSERT_TRUE(unbind());
	ASSERT_TRUE(bind_again());
	if (!control_rings("slow", " 20000"))
		SKIP("no control port");
	ASSERT_EQ(start_slow_job(&c, &out), 0);
	ASSERT_TRUE(control_rings("hold ring", ""));
	ASSERT_EQ(unmapping_start(&u, &c, VA + 8 * PAGE), 0);
	usleep(400000);
	EXPECT_TRUE(!u.done);
	control_rings("hold ring", " off");
	pthread_join(u.thread, NULL);
	EXPECT_EQ(u.ret, 0);
	EXPECT_EQ(sync_result(c.fd, out.handle, 20), 0);
	control_rings("slow", " 0");
	client_close(&c);
}

/* The driver goes while somebody waits for an invalidation: nobody waits for the other. */
TEST_F_TIMEOUT(unplug, unbind_while_an_invalidation_is_late, 60)
{
	struct drm_octans_sync out;
	struct unmapping u;
	struct client c;
	int64_t t;

	if (!control_rings("slow", " 20000"))
		SKIP("no control port");
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(start_slow_job(&c, &out), 0);
		ASSERT_TRUE(control_rings("hold ring", ""));
		ASSERT_EQ(unmapping_start(&u, &c, VA + 8 * PAGE), 0);
		usleep(200000 + i * 400000);
		t = now_ns();
		ASSERT_TRUE(unbind());
		t = now_ns() - t;
		EXPECT_SOON(t, 2000000000);
		pthread_join(u.thread, NULL);
		EXPECT_TRUE(!u.ret || u.ret == -ENODEV);
		EXPECT_EQ(sync_result(c.fd, out.handle, 10), -ENODEV);
		client_close(&c);
		control_rings("hold ring", " off");
		ASSERT_TRUE(bind_again());
	}
	control_rings("slow", " 0");
}

/*
 * While the PCI core resets the function nothing that is written reaches it, and an invalidation
 * is lost.  Who waits for it is told when the reset is over: the device knows nothing any more.
 */
TEST_F_TIMEOUT(unplug, invalidation_lost_in_a_function_reset, 60)
{
	struct unmapping u;
	struct client c;

	ASSERT_EQ(client_open(&c, 1000), 0);
	if (!control("drop-invalidate 1"))
		SKIP("no control port");
	ASSERT_EQ(unmapping_start(&u, &c, VA + 8 * PAGE), 0);
	usleep(200000);
	EXPECT_TRUE(!u.done);
	ASSERT_TRUE(pci_do("reset"));
	pthread_join(u.thread, NULL);
	EXPECT_EQ(u.ret, 0);
	EXPECT_SOON(u.ns, 900000000);
	control("drop-invalidate 0");
	EXPECT_EQ(run(c.fd, c.queue, VA, put_nop(c.map), 0), 0);
	client_close(&c);
}

/* An invalidation is late, and no reset helps: the device is cut off, and nobody waits for ever. */
TEST_F_TIMEOUT(unplug, cut_off_while_an_invalidation_is_late, 60)
{
	struct drm_octans_sync out;
	struct unmapping u;
	struct client c;

	if (!control_rings("slow", " 20000"))
		SKIP("no control port");
	ASSERT_EQ(start_slow_job(&c, &out), 0);
	ASSERT_TRUE(control_rings("hang ring", ""));
	ASSERT_TRUE(control_rings("fail-reset ring", ""));
	ASSERT_TRUE(control("fail-reset device 2"));	/* by register, and the function's */
	ASSERT_TRUE(control_rings("hold ring", ""));
	ASSERT_EQ(unmapping_start(&u, &c, VA + 8 * PAGE), 0);
	pthread_join(u.thread, NULL);
	EXPECT_TRUE(!u.ret || u.ret == -ENODEV);	/* a moment before the end, or after it */
	EXPECT_EQ(sync_result(c.fd, out.handle, 10), -ENODEV);
	client_close(&c);
	control_rings("hang ring", " off");
	control_rings("slow", " 0");
	control_rings("hold ring", " off");
	control_rings("fail-reset ring", " 0");
	control("fail-reset device 0");
	ASSERT_TRUE(unbind());
	ASSERT_TRUE(bind_again());
}

/*
 * A dma-buf of the card that is mapped when the device goes: what comes after it is as far away,
 * with another client's data in the same place of the same card.
 */
TEST_F_TIMEOUT(unplug, dma_buf_mapping_across_rebind, 60)
{
	struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
	volatile uint32_t *old, *new;
	struct client c, other;
	uint32_t bo, wrong = 0;

	ASSERT_EQ(client_open(&c, 1000), 0);
	ASSERT_EQ(bo_create(c.fd, 64 * PAGE, DRM_OCTANS_BO_DEVICE, &prime.handle), 0);
	ASSERT_EQ(call(c.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime), 0);
	old = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, prime.fd, 0);
	ASSERT_NE((void *)old, MAP_FAILED);
	for (int i = 0; i < 64; i += 2)		/* the others are touched later for the first time */
		old[i * 1024] = 0x0111;
	ASSERT_TRUE(unbind());
	ASSERT_TRUE(bind_again());
	ASSERT_EQ(client_open(&other, 1000), 0);
	ASSERT_EQ(bo_create(other.fd, 64 * PAGE, DRM_OCTANS_BO_DEVICE, &bo), 0);
	new = bo_map(other.fd, bo, 64 * PAGE);
	ASSERT_NE((void *)new, MAP_FAILED);
	for (int i = 0; i < 64; i++)
		new[i * 1024] = 0x5ec4e7;
	for (int i = 0; i < 64; i++) {
		wrong += old[i * 1024] == 0x5ec4e7;
		old[i * 1024] = 0xbad;
	}
	EXPECT_EQ(wrong, 0);
	for (int i = 0; i < 64; i++)
		wrong += new[i * 1024] != 0x5ec4e7;
	EXPECT_EQ(wrong, 0);
	munmap((void *)old, 64 * PAGE);
	close(prime.fd);
	client_close(&c);
	munmap((void *)new, 64 * PAGE);
	client_close(&other);
}
