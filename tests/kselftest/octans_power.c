// SPDX-License-Identifier: MIT
/*
 * A processor that nobody uses sleeps (D3hot); whoever needs it finds it awake and notices nothing,
 * and it does not sleep while anybody has something on it.
 */
#include "octans_admin.h"

static char of_pci[128];

/* A file of the PCI device. */
static const char *attr(const char *name)
{
	snprintf(of_pci, sizeof(of_pci), "/sys/bus/pci/devices/%s/%s", bdf(), name);
	return of_pci;
}

static bool reads(const char *name, const char *want)
{
	char text[32] = "";
	int fd = open(attr(name), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		*text = 0;
	close(fd);
	return !strncmp(text, want, strlen(want));
}

static bool awake(void)
{
	return reads("power/runtime_status", "active");
}

static bool falls_asleep(void)
{
	for (int i = 0; i < 200 && !reads("power/runtime_status", "suspended"); i++)
		usleep(50000);
	return reads("power/runtime_status", "suspended");
}

FIXTURE(power) {
	long long resets;
};

FIXTURE_SETUP(power)
{
	ASSERT_TRUE(device_fresh());
	if (!reads("power/control", "auto"))
		SKIP("the kernel does not manage the device's power, or was told not to");
	self->resets = objects("resets");
	write_file(attr("power/autosuspend_delay_ms"), "100");
}

FIXTURE_TEARDOWN(power)
{
	write_file(attr("power/autosuspend_delay_ms"), "1000");
	EXPECT_EQ(objects("resets"), self->resets);
	EXPECT_EQ(device_works(), 0);
}

TEST_F(power, sleeps_and_wakes)
{
	for (int i = 0; i < 10; i++) {
		ASSERT_TRUE(falls_asleep());
		EXPECT_TRUE(reads("power_state", "D3hot"));
		EXPECT_EQ(device_works(), 0);
	}
}

/* While it is open, whatever it does, it is awake. */
TEST_F(power, not_while_open)
{
	struct client c;

	ASSERT_TRUE(falls_asleep());
	ASSERT_EQ(client_open(&c, 5000), 0);
	EXPECT_TRUE(awake());
	usleep(700000);
	EXPECT_TRUE(awake());
	EXPECT_EQ(run(c.fd, c.queue, VA, slow_job(c.map, 0.7), 0), 0);
	slow_end();
	EXPECT_TRUE(awake());
	client_close(&c);
	EXPECT_TRUE(falls_asleep());
}

/* What is on the card is there, also if only a dma-buf is left that holds it. */
TEST_F(power, not_while_the_card_holds_something)
{
	struct drm_prime_handle p = { .flags = DRM_CLOEXEC | DRM_RDWR };
	int fd = node_open();
	uint32_t *map;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(bo_create(fd, PAGE, DRM_OCTANS_BO_DEVICE, &p.handle), 0);
	ASSERT_EQ(call(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &p), 0);
	close(fd);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	map[7] = 7777;
	usleep(700000);
	EXPECT_TRUE(awake());
	EXPECT_EQ(map[7], 7777);
	close(p.fd);
	usleep(500000);
	EXPECT_TRUE(awake());
	EXPECT_EQ(map[7], 7777);
	munmap(map, PAGE);
	EXPECT_TRUE(falls_asleep());
}

/* A host buffer needs no device. */
TEST_F(power, host_memory_does_not_keep_it_awake)
{
	struct drm_prime_handle p = { .flags = DRM_CLOEXEC | DRM_RDWR };
	int fd = node_open();

	ASSERT_GE(fd, 0);
	ASSERT_EQ(bo_create(fd, PAGE, 0, &p.handle), 0);
	ASSERT_EQ(call(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &p), 0);
	close(fd);
	EXPECT_TRUE(falls_asleep());
	close(p.fd);
}

/* Others' resets, and removal, of one that sleeps. */
TEST_F(power, reset_and_rebound_asleep)
{
	ASSERT_TRUE(falls_asleep());
	EXPECT_TRUE(pci_do("reset"));
	self->resets = objects("resets");
	EXPECT_EQ(device_works(), 0);
	ASSERT_TRUE(falls_asleep());
	EXPECT_TRUE(unbind());
	EXPECT_TRUE(bind_again());
	self->resets = objects("resets");
	EXPECT_EQ(device_works(), 0);
	EXPECT_TRUE(falls_asleep());
}

static volatile bool stop;

static void *come_and_go(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	long ret = 0;

	while (!stop && !ret) {
		usleep(rand_r(&seed) % 60000);
		ret = device_works();
	}
	return (void *)ret;
}

/* At the very moment when it falls asleep. */
TEST_F_TIMEOUT(power, clients_come_and_go, 60)
{
	pthread_t t[3];
	void *ret;

	write_file(attr("power/autosuspend_delay_ms"), "5");
	stop = false;
	for (uintptr_t i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, come_and_go, (void *)(i + 1)), 0);
	sleep(8);
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &ret);
		EXPECT_EQ((long)ret, 0);
	}
	EXPECT_TRUE(falls_asleep());
}

/* Comes, has a job that takes some milliseconds look at a number of its own, and goes. */
static void *work_and_go(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	struct client c;
	long ret = 0;

	while (!stop && !ret) {
		uint32_t size, value = rand_r(&seed);

		usleep(rand_r(&seed) % 100000);
		ret = client_open(&c, 5000);
		if (ret)
			break;
		size = put_nops(c.map, rand_r(&seed) % 20);
		size += put_copy(c.map + size, VA + 2 * PAGE, VA + PAGE, 4);
		memcpy(c.map + PAGE, &value, 4);
		ret = run(c.fd, c.queue, VA, size, 0);
		if (!ret && memcmp(c.map + 2 * PAGE, &value, 4))
			ret = -EBADMSG;
		client_close(&c);
	}
	return (void *)ret;
}

/* Others' resets while it falls asleep, wakes, and works: no job is lost, and none is wrong. */
TEST_F_TIMEOUT(power, resets_beside_sleep_and_work, 90)
{
	long slept = read_number(attr("power/runtime_suspended_time"));
	int64_t begin = now_ns();
	unsigned int seed = 1;
	int rounds = 0;
	pthread_t t[2];
	void *ret;

	control_rings("slow", " 1000");
	write_file(attr("power/autosuspend_delay_ms"), "5");
	stop = false;
	for (uintptr_t i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, work_and_go, (void *)(i + 1)), 0);
	for (; seconds_since(begin) < 10; rounds++) {
		usleep(rand_r(&seed) % 60000);
		EXPECT_TRUE(pci_do("reset"));
	}
	stop = true;
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &ret);
		EXPECT_EQ((long)ret, 0);
	}
	slow_end();
	slept = read_number(attr("power/runtime_suspended_time")) - slept;
	printf("# %d resets, asleep for %ld ms meanwhile\n", rounds, slept);
	EXPECT_GE(slept, 1);
	self->resets += rounds;		/* each of them, and no other */
	EXPECT_EQ(objects("resets"), self->resets);
	EXPECT_TRUE(falls_asleep());
	EXPECT_TRUE(reads("power_state", "D3hot"));
}
