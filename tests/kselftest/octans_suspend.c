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

/* 0: slept and woke.  A test ("devices") wakes by itself, a real sleep by the clock. */
static int fall_asleep(const char *how, const char *test)
{
	int fd, ret = 0;

	if (!write_file("/sys/power/mem_sleep", how) || !write_file("/sys/power/pm_test", test))
		return -EOPNOTSUPP;
	write_file("/sys/class/rtc/rtc0/wakealarm", "0");
	if (!strcmp(test, "none") && !write_file("/sys/class/rtc/rtc0/wakealarm", "+4"))
		return -EOPNOTSUPP;
	fd = open("/sys/power/state", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "mem", 3) != 3)
		ret = -errno;
	close(fd);
	return ret;
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

/* Really to sleep: registers and page tables on the card are as after power-on. */
TEST_F_TIMEOUT(suspend, deep_idle, 90)
{
	idle(_metadata, &self->c, &self->d, self->map, "deep", "none");
}

TEST_F_TIMEOUT(suspend, deep_with_work, 90)
{
	with_work(_metadata, &self->c, &self->d, self->map, "deep", "none");
}
