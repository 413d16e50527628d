// SPDX-License-Identifier: MIT
/*
 * A device that writes what it must not, and says what is not so.  Jobs may be lost, wrongly even;
 * nothing is read or written outside, nobody waits for ever, and a device that stops lying works.
 */
#include "octans_admin.h"

FIXTURE(hostile) {
	int unused;
};

FIXTURE_SETUP(hostile)
{
	(void)self;
	ASSERT_TRUE(device_fresh());
	if (!control("stat"))
		SKIP("no control port");
}

FIXTURE_TEARDOWN(hostile)
{
	(void)self;
	faults_end();
	EXPECT_EQ(device_works(), 0);
}

/* A client of its own each time: who is banned often is refused. */
static int one_job(void)
{
	struct client c;
	int ret = client_open(&c, 500);

	if (ret)
		return ret;
	ret = run(c.fd, c.queue, VA, put_nop(c.map), 0);
	client_close(&c);
	return ret;
}

static bool bounded(int ret)
{
	return !ret || ret == -EIO || ret == -ETIME || ret == -EFAULT || ret == -ECANCELED;
}

/* Each bit of the number of the job that has ended. */
TEST_F_TIMEOUT(hostile, every_bit_of_a_seqno, 200)
{
	char after[32];

	for (int bit = 0; bit < 64; bit++) {
		snprintf(after, sizeof(after), " xor 0x%llx", 1ull << bit);
		control_rings("corrupt-cq", after);
		EXPECT_TRUE(bounded(one_job()));
	}
	control_rings("corrupt-cq", " xor 0xffffffffffffffff");
	EXPECT_TRUE(bounded(one_job()));
	control_rings("corrupt-cq", " xor 0");
	/* whatever that has left, it is not there a job later */
	one_job();
	EXPECT_EQ(one_job(), 0);
}

/* Events that nobody has heard of, more than the queue holds. */
TEST_F(hostile, events)
{
	char line[48];

	for (unsigned int i = 0; i < 600; i++) {
		snprintf(line, sizeof(line), "device-error %u", i < 100 ? i : i * 7919 * 65537);
		control(line);
	}
	EXPECT_EQ(one_job(), 0);
}

/* Everything that the model can do wrong, in any order, beside clients that do not stop for it. */
static volatile bool stop;

static void *client_loop(void *arg)
{
	long *worst = arg;

	while (!stop) {
		int ret = one_job();

		/* cut off, it may be: the device has given cause */
		if (!bounded(ret) && ret != -ENODEV)
			*worst = ret;
	}
	return NULL;
}

TEST_F_TIMEOUT(hostile, everything_at_once, 120)
{
	static const char *const lines[] = {
		"hang ring %u", "hang ring %u off", "hold ring %u", "hold ring %u off", "slow %u 300",
		"slow %u 0", "drop-irq %u 2", "fault %u", "corrupt-cq %u xor 0x300000001",
		"corrupt-cq %u xor 0x8000000000000000", "fail-reset ring %u", "drop-invalidate 1",
		"device-error %u",
	};
	int64_t begin = now_ns();
	unsigned int seed = 1;
	pthread_t t[4];
	long worst = 0;
	char line[64];

	stop = false;
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, client_loop, &worst), 0);
	while (seconds_since(begin) < 12) {
		/* each but "drop-invalidate" names one of four rings */
		snprintf(line, sizeof(line), lines[rand_r(&seed) % (sizeof(lines) / sizeof(*lines))],
			 rand_r(&seed) % 4);
		control(line);
		usleep(rand_r(&seed) % 50000);
	}
	faults_end();
	control_rings("drop-irq", " 0");
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(worst, 0);
	if (one_job() == -ENODEV) {
		ASSERT_TRUE(unbind());
		ASSERT_TRUE(bind_again());
	}
	/* a fault may still be waiting on each ring, for the next job there; then there are none */
	for (int i = 0; i < 40; i++) {
		int ret = one_job();

		if (i >= 30)
			EXPECT_EQ(ret, 0);
	}
}
