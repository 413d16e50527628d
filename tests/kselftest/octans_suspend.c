// SPDX-License-Identifier: MIT
/*
 * Sleep with work: what runs ends well, what waits runs later, nobody is banned, and the card's
 * memory holds what it held, or those who need it are told.  Runs from memory alone
 * (tests/vm/run --alone), because the root of the other tests does not survive a sleep.
 */
#include "octans_admin.h"

#define WORDS (1u << 18)
#define CARD (VA + (1ull << 32))

FIXTURE(suspend) {
	struct client c, d;
	uint32_t card;
	uint32_t *map;
};

FIXTURE_SETUP(suspend)
{
	ASSERT_TRUE(device_fresh());
	if (access("/sys/power/mem_sleep", W_OK))
		SKIP("this machine does not sleep");
	ASSERT_EQ(client_open(&self->c, 10000), 0);
	ASSERT_EQ(client_open(&self->d, 2000), 0);
	ASSERT_EQ(bo_create(self->c.fd, WORDS * 4, DRM_OCTANS_BO_DEVICE, &self->card), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, self->card, 0, CARD, WORDS * 4, 0), 0);
	self->map = bo_map(self->c.fd, self->card, WORDS * 4);
	ASSERT_NE(self->map, MAP_FAILED);
	for (uint32_t i = 0; i < WORDS; i++)
		self->map[i] = i * 2654435761u;
	write_file("/sys/module/suspend/parameters/pm_test_delay", "1");
}

FIXTURE_TEARDOWN(suspend)
{
	write_file("/sys/power/pm_test", "none");
	slow_end();
	munmap(self->map, WORDS * 4);
	client_close(&self->c);
	client_close(&self->d);
	EXPECT_EQ(device_works(), 0);
}

/* Afterwards the device does everything, for old clients and new. */
static void all_is_well(struct test_metadata *_metadata, struct client *d)
{
	uint32_t queue;

	for (int i = 0; i < 6; i++) {	/* on each ring at least one */
		ASSERT_EQ(queue_create(d->fd, d->vm, 2000, &queue), 0);
		EXPECT_EQ(run(d->fd, queue, VA, put_nop(d->map), 0), 0);
		EXPECT_EQ(queue_destroy(d->fd, queue), 0);
	}
	EXPECT_EQ(vm_map(d->fd, d->vm, d->bo, 0, VA + (1ull << 30), PAGE, 0), 0);
	EXPECT_EQ(vm_unmap(d->fd, d->vm, VA + (1ull << 30), PAGE), 0);
	EXPECT_EQ(run(d->fd, d->queue, VA, put_nop(d->map), 0), 0);
	EXPECT_EQ(device_works(), 0);
}

/* What the card held is there, or a job that uses it is refused: never something else. */
static void card_is_honest(struct test_metadata *_metadata, struct client *c, const uint32_t *map)
{
	volatile uint32_t *seen = (uint32_t *)(c->map + 8 * PAGE);
	uint32_t wrong = 0, size = put_copy(c->map, VA + 8 * PAGE, CARD + 4096, 4);
	int ret = run(c->fd, c->queue, VA, size, 0);

	for (uint32_t i = 0; i < WORDS; i++)
		wrong += map[i] != i * 2654435761u;
	printf("# %u of %u words of the card are wrong; a job that reads it: %d\n", wrong, WORDS, ret);
	if (ret) {
		EXPECT_GE(wrong, 1);
	} else {
		EXPECT_EQ(wrong, 0);
		EXPECT_EQ(seen[0], 1024 * 2654435761u);
	}
}

/* Jobs of a second on every ring, and some that wait behind them. */
static void with_work(struct test_metadata *_metadata, struct client *c, struct client *d,
		      const uint32_t *map, const char *how, const char *test)
{
	struct drm_octans_sync out[12];
	struct drm_octans_queue_query q;
	uint32_t queue, size = slow_job(c->map, 1.5);
	int ret;

	for (int i = 0; i < 12; i++) {
		out[i] = (struct drm_octans_sync) { .flags = DRM_OCTANS_SYNC_SIGNAL };
		ASSERT_EQ(syncobj_create(c->fd, &out[i].handle), 0);
		ASSERT_EQ(queue_create(c->fd, c->vm, 10000, &queue), 0);
		ASSERT_EQ(submit(c->fd, queue, VA, i < 4 ? size : 160, 0, &out[i], 1), 0);
	}
	usleep(300000);
	ret = fall_asleep(how, test);
	printf("# %s, %s: %d\n", how, test, ret);
	EXPECT_EQ(ret, 0);
	for (int i = 0; i < 12; i++)
		EXPECT_EQ(sync_result(c->fd, out[i].handle, 20), 0);
	EXPECT_EQ(queue_state(c, &q), 0);
	EXPECT_EQ(q.state, 0);
	slow_end();
	card_is_honest(_metadata, c, map);
	all_is_well(_metadata, d);
}

static void idle(struct test_metadata *_metadata, struct client *c, struct client *d,
		 const uint32_t *map, const char *how, const char *test)
{
	EXPECT_EQ(fall_asleep(how, test), 0);
	card_is_honest(_metadata, c, map);
	all_is_well(_metadata, d);
}

TEST_F(suspend, idle_devices)
{
	idle(_metadata, &self->c, &self->d, self->map, "deep", "devices");
}

TEST_F(suspend, s2idle_devices_with_work)
{
	with_work(_metadata, &self->c, &self->d, self->map, "s2idle", "devices");
}

TEST_F(suspend, deep_devices_with_work)
{
	with_work(_metadata, &self->c, &self->d, self->map, "deep", "devices");
}

static volatile bool stop;

static void *load(void *arg)
{
	struct client *c = arg;
	uint32_t size = put_nop(c->map);
	long ret = 0;

	while (!stop && !ret)
		ret = run(c->fd, c->queue, VA, size, 0);
	return (void *)ret;
}

/* Again and again, with clients that do not stop for it. */
TEST_F_TIMEOUT(suspend, again_and_again, 200)
{
	struct client c[4];
	pthread_t t[4];
	void *ret;

	stop = false;
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(client_open(&c[i], 10000), 0);
		ASSERT_EQ(pthread_create(&t[i], NULL, load, &c[i]), 0);
	}
	for (int i = 0; i < 6; i++) {
		EXPECT_EQ(fall_asleep(i % 2 ? "s2idle" : "deep", "devices"), 0);
		usleep(200000);
	}
	stop = true;
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &ret);
		EXPECT_EQ((long)ret, 0);
		client_close(&c[i]);
	}
	card_is_honest(_metadata, &self->c, self->map);
}

/* Does the buffer hold what the fixture has put into it, or nothing but @zeros? */
static bool card_holds(const uint32_t *map, bool zeros)
{
	for (uint32_t i = 0; i < WORDS; i++)
		if (map[i] != (zeros ? 0 : i * 2654435761u))
			return false;
	return true;
}

static uint32_t bo_flags(int fd, uint32_t handle)
{
	struct drm_octans_bo_query q = { .handle = handle };

	return call(fd, DRM_IOCTL_OCTANS_BO_QUERY, &q) ? ~0u : q.flags;
}

/* The card's memory is gone: who has some is refused, by name; who has none notices nothing. */
static void lost_is_told(struct test_metadata *_metadata, struct client *c, struct client *d,
			 uint32_t card, const uint32_t *map)
{
	struct drm_octans_queue_query q;
	uint32_t id, fresh, *again;

	EXPECT_TRUE(card_holds(map, true));
	((volatile uint32_t *)map)[0] = 1;	/* harmless */
	EXPECT_EQ(bo_flags(c->fd, card), DRM_OCTANS_BO_DEVICE | DRM_OCTANS_BO_LOST);
	EXPECT_EQ(bo_flags(c->fd, c->bo), 0);
	EXPECT_EQ(queue_state(c, &q), 0);
	EXPECT_EQ(q.state, DRM_OCTANS_QUEUE_BANNED);
	EXPECT_EQ(q.error, ENODATA);
	EXPECT_EQ(run(c->fd, c->queue, VA, put_nop(c->map), 0), -ECANCELED);
	EXPECT_EQ(queue_create(c->fd, c->vm, 2000, &id), -ENODATA);
	/* nor can it be brought in anew */
	ASSERT_EQ(vm_create(c->fd, &id), 0);
	EXPECT_EQ(vm_map(c->fd, id, card, 0, CARD, PAGE, 0), -ENODATA);
	EXPECT_EQ(vm_map(c->fd, id, c->bo, 0, VA, 16 * PAGE, 0), 0);
	/* the card itself is as good as ever: a new buffer holds what it is given */
	ASSERT_EQ(bo_create(c->fd, WORDS * 4, DRM_OCTANS_BO_DEVICE, &fresh), 0);
	EXPECT_EQ(bo_flags(c->fd, fresh), DRM_OCTANS_BO_DEVICE);
	again = bo_map(c->fd, fresh, WORDS * 4);
	ASSERT_NE(again, MAP_FAILED);
	EXPECT_TRUE(card_holds(again, true));
	for (uint32_t i = 0; i < WORDS; i++)
		again[i] = i * 2654435761u;
	EXPECT_TRUE(card_holds(again, false));
	ASSERT_EQ(vm_map(c->fd, id, fresh, 0, CARD, WORDS * 4, 0), 0);
	ASSERT_EQ(queue_create(c->fd, id, 2000, &id), 0);
	EXPECT_EQ(run(c->fd, id, VA, put_copy(c->map, VA + 8 * PAGE, CARD + 4096, 4), 0), 0);
	EXPECT_EQ(*(volatile uint32_t *)(c->map + 8 * PAGE), 1024 * 2654435761u);
	munmap(again, WORDS * 4);
	EXPECT_EQ(queue_state(d, &q), 0);
	EXPECT_EQ(q.state, 0);
	all_is_well(_metadata, d);
}

TEST_F_TIMEOUT(suspend, power_lost_idle, 90)
{
	if (!control("lose-power"))
		SKIP("no control socket");
	EXPECT_EQ(fall_asleep("deep", "none"), 0);
	lost_is_told(_metadata, &self->c, &self->d, self->card, self->map);
}

/* What runs ends before; what waits ends with the reason, if it belongs to who has lost something. */
TEST_F_TIMEOUT(suspend, power_lost_with_work, 90)
{
	struct client *who[2] = { &self->c, &self->d };
	struct drm_octans_sync out[2][12];
	uint32_t queue, size = slow_job(self->c.map, 1.5);
	int ends[2][3] = { 0 }, ret;

	memcpy(self->d.map, self->c.map, 16 * PAGE);
	for (int i = 0; i < 24; i++) {
		struct client *c = who[i % 2];
		struct drm_octans_sync *o = &out[i % 2][i / 2];

		*o = (struct drm_octans_sync) { .flags = DRM_OCTANS_SYNC_SIGNAL };
		ASSERT_EQ(syncobj_create(c->fd, &o->handle), 0);
		ASSERT_EQ(queue_create(c->fd, c->vm, 10000, &queue), 0);
		ASSERT_EQ(submit(c->fd, queue, VA, i < 4 ? size : 160, 0, o, 1), 0);
	}
	usleep(300000);
	if (!control("lose-power"))
		SKIP("no control socket");
	EXPECT_EQ(fall_asleep("deep", "none"), 0);
	for (int i = 0; i < 24; i++) {
		ret = sync_result(who[i % 2]->fd, out[i % 2][i / 2].handle, 20);
		ends[i % 2][!ret ? 0 : ret == -ENODATA ? 1 : 2]++;
	}
	printf("# with card memory: %d ended well, %d with -ENODATA; without: %d well\n", ends[0][0],
	       ends[0][1], ends[1][0]);
	EXPECT_GE(ends[0][0], 2);	/* those that ran */
	EXPECT_GE(ends[0][1], 1);
	EXPECT_EQ(ends[0][2], 0);
	EXPECT_EQ(ends[1][0], 12);
	slow_end();
	lost_is_told(_metadata, &self->c, &self->d, self->card, self->map);
}

/* Nobody sleeps, and yet: a reset of the slot has cost the card its power. */
TEST_F_TIMEOUT(suspend, power_lost_in_a_reset, 90)
{
	struct drm_octans_sync out[2] = { { .flags = DRM_OCTANS_SYNC_SIGNAL } };
	uint32_t size = slow_job(self->c.map, 1.5);

	out[1] = out[0];
	ASSERT_EQ(syncobj_create(self->c.fd, &out[0].handle), 0);
	ASSERT_EQ(syncobj_create(self->c.fd, &out[1].handle), 0);
	/* one runs, and is cut off; the other waits */
	ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, size, 0, &out[0], 1), 0);
	ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, size, 0, &out[1], 1), 0);
	usleep(100000);
	if (!control("lose-power"))
		SKIP("no control socket");
	ASSERT_TRUE(pci_do("reset"));
	slow_end();
	EXPECT_EQ(sync_result(self->c.fd, out[0].handle, 10), -ECANCELED);
	EXPECT_EQ(sync_result(self->c.fd, out[1].handle, 10), -ENODATA);
	lost_is_told(_metadata, &self->c, &self->d, self->card, self->map);
}

static void *binder(void *arg)
{
	struct client *c = arg;
	long ret = 0;

	/* what is unmapped has to be forgotten, for which one waits while the function is away */
	while (!stop && !ret)
		ret = vm_map(c->fd, c->vm, c->bo, 0, VA + (1 << 20), 16 * PAGE, 0) ?:
		      vm_unmap(c->fd, c->vm, VA + (1 << 20), 16 * PAGE);
	return (void *)ret;
}

/* Nobody waits for ever: who changes an address space then, has it locked. */
TEST_F_TIMEOUT(suspend, power_lost_beside_binders, 90)
{
	struct client c[3];
	pthread_t t[3];
	void *ret;

	stop = false;
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(client_open(&c[i], 10000), 0);
		ASSERT_EQ(pthread_create(&t[i], NULL, binder, &c[i]), 0);
	}
	for (int i = 0; i < 5; i++) {
		if (!control("lose-power"))
			SKIP("no control socket");
		usleep(50000);
		EXPECT_TRUE(pci_do("reset"));
	}
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &ret);
		EXPECT_EQ((long)ret, 0);
		all_is_well(_metadata, &c[i]);
		client_close(&c[i]);
	}
	lost_is_told(_metadata, &self->c, &self->d, self->card, self->map);
}

/* The card has kept its power: nothing is lost, and nobody hears of anything. */
TEST_F_TIMEOUT(suspend, power_kept, 90)
{
	EXPECT_EQ(fall_asleep("deep", "none"), 0);
	EXPECT_TRUE(card_holds(self->map, false));
	EXPECT_EQ(bo_flags(self->c.fd, self->card), DRM_OCTANS_BO_DEVICE);
	card_is_honest(_metadata, &self->c, self->map);
	all_is_well(_metadata, &self->c);
}

TEST_F_TIMEOUT(suspend, deep_with_work, 90)
{
	with_work(_metadata, &self->c, &self->d, self->map, "deep", "none");
}
