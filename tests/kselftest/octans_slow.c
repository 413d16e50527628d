// SPDX-License-Identifier: MIT
/*
 * A device that is as slow as its manual allows: nobody loses anything for that, and nothing is
 * reset that need not be.  Longer than that, and it is cut off, in time.
 */
#include "octans_admin.h"

FIXTURE(slow) {
	struct client c;
	long long device_resets, resets;
};

FIXTURE_SETUP(slow)
{
	ASSERT_TRUE(device_fresh());
	if (!control("stat"))
		SKIP("no control port");
	ASSERT_EQ(client_open(&self->c, 10000), 0);
	put_nop(self->c.map);
	self->device_resets = control_stat("device_resets");
	self->resets = objects("resets");
	ASSERT_GE(self->device_resets, 0);
}

FIXTURE_TEARDOWN(slow)
{
	faults_end();
	client_close(&self->c);
	EXPECT_EQ(device_works(), 0);
}

/* ---- clients beside it ---- */

static volatile bool stop;

struct beside {
	struct client c;
	pthread_t thread;
	bool binds;
	long done;
	int error;
};

static void *beside_loop(void *arg)
{
	struct beside *b = arg;
	uint64_t far = VA + (1ull << 30);

	while (!stop && !b->error) {
		if (b->binds) {
			b->error = vm_map(b->c.fd, b->c.vm, b->c.bo, 0, far, PAGE, 0);
			if (!b->error)
				b->error = vm_unmap(b->c.fd, b->c.vm, far, PAGE);
		} else {
			volatile uint64_t *cell = (uint64_t *)(b->c.map + 8 * PAGE);

			cell[0] = 0;
			b->error = run(b->c.fd, b->c.queue, VA, put_time(b->c.map, VA + 8 * PAGE), 0);
			if (!b->error && !cell[0])
				b->error = -EBADMSG;
		}
		b->done++;
	}
	return NULL;
}

static void beside_begin(struct test_metadata *_metadata, struct beside b[4])
{
	stop = false;
	for (int i = 0; i < 4; i++) {
		b[i] = (struct beside) { .binds = i % 2 };
		ASSERT_EQ(client_open(&b[i].c, 10000), 0);
		ASSERT_EQ(pthread_create(&b[i].thread, NULL, beside_loop, &b[i]), 0);
	}
}

/* A job that is cut off half-way by a reset of everything is lost, if that is said. */
static void beside_end(struct test_metadata *_metadata, struct beside b[4], bool cut)
{
	stop = true;
	for (int i = 0; i < 4; i++) {
		pthread_join(b[i].thread, NULL);
		if (!cut || b[i].error != -ECANCELED || b[i].binds)
			EXPECT_EQ(b[i].error, 0);
		EXPECT_GE(b[i].done, 1);
		client_close(&b[i].c);
	}
}

/* A hang that is ended by its limit. */
static int hang_one(void)
{
	struct client c;
	int ret = client_open(&c, 50);

	if (ret)
		return ret;
	ret = control("hang tag 0x777") ? run(c.fd, c.queue, VA, put_nop(c.map), 0x777) : -ENOTTY;
	client_close(&c);
	return ret;
}

/* ---- as slow as it may be ---- */

/* 500 ms for a ring: then, not before, the device is reset. */
TEST_F_TIMEOUT(slow, ring_reset, 60)
{
	struct beside b[4];

	ASSERT_TRUE(control_rings("slow-reset ring", " 450"));
	beside_begin(_metadata, b);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(hang_one(), -ETIME);
	beside_end(_metadata, b, false);
	EXPECT_EQ(control_stat("device_resets"), self->device_resets);
	EXPECT_EQ(objects("resets"), self->resets + 4);
}

/* 2 s for the device. */
TEST_F_TIMEOUT(slow, device_reset, 60)
{
	struct beside b[4];

	ASSERT_TRUE(control("slow-reset device 1900"));
	ASSERT_TRUE(control_rings("fail-reset ring", ""));
	beside_begin(_metadata, b);
	EXPECT_EQ(hang_one(), -ETIME);
	beside_end(_metadata, b, true);
	EXPECT_EQ(control_stat("device_resets"), self->device_resets + 1);
}

/* And of the function while the PCI core waits: it is away all the time that it may be. */
TEST_F_TIMEOUT(slow, function_reset_reads_all_ones, 120)
{
	struct beside b[4];

	ASSERT_TRUE(control("away 95"));
	beside_begin(_metadata, b);
	for (int i = 0; i < 10; i++) {
		ASSERT_TRUE(pci_do("reset"));
		usleep(100000);
	}
	beside_end(_metadata, b, true);
	EXPECT_EQ(control_stat("device_resets"), self->device_resets + 10);
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, put_nop(self->c.map), 0), 0);
}

/* Registers that have moved before the writeback comes are no lost writeback. */
TEST_F_TIMEOUT(slow, writeback, 60)
{
	struct beside b[4];

	ASSERT_TRUE(control_rings("late", " 50000"));
	beside_begin(_metadata, b);
	sleep(4);
	beside_end(_metadata, b, false);
	control_rings("late", " 0");
	EXPECT_EQ(objects("resets"), self->resets);
}

/* ---- slower ---- */

/* A ring that takes a second is reset with the device. */
TEST_F_TIMEOUT(slow, ring_reset_too_slow, 60)
{
	struct beside b[4];

	ASSERT_TRUE(control_rings("slow-reset ring", " 1500"));
	beside_begin(_metadata, b);
	EXPECT_EQ(hang_one(), -ETIME);
	beside_end(_metadata, b, true);
	EXPECT_EQ(control_stat("device_resets"), self->device_resets + 1);
}

/* A function that is away for seconds is cut off, or comes back; who calls is told. */
TEST_F_TIMEOUT(slow, function_away_too_long, 60)
{
	struct beside b[4];
	int64_t begin;
	int ret;

	ASSERT_TRUE(control("away 3000"));
	beside_begin(_metadata, b);
	usleep(200000);
	begin = now_ns();
	pci_do("reset");
	ret = run(self->c.fd, self->c.queue, VA, 16, 0);
	printf("# a job: %d, after %.1f s\n", ret, seconds_since(begin));
	EXPECT_TRUE(!ret || ret == -ENODEV);
	EXPECT_SOON(seconds_since(begin), 20);
	stop = true;
	for (int i = 0; i < 4; i++) {
		pthread_join(b[i].thread, NULL);
		EXPECT_TRUE(!b[i].error || b[i].error == -ENODEV || b[i].error == -ECANCELED);
		client_close(&b[i].c);
	}
	faults_end();
	sleep(3);
	client_close(&self->c);
	ASSERT_TRUE(device_fresh());
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}
