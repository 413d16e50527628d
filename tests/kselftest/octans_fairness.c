// SPDX-License-Identifier: MIT
/* What one client can do to others: jobs without end, jobs that never end, bans without end. */
#include "octans_admin.h"

#define PER_QUEUE 1024
#define PER_CLIENT 8192

FIXTURE(fairness) {
	struct client c;
	uint32_t rings;
};

FIXTURE_SETUP(fairness)
{
	ASSERT_TRUE(device_fresh());
	ASSERT_EQ(client_open(&self->c, 10000), 0);
	self->rings = rings_of(self->c.fd);
	ASSERT_GE(self->rings, 1);
	put_nop(self->c.map);
}

FIXTURE_TEARDOWN(fairness)
{
	client_close(&self->c);
	faults_end();
	EXPECT_EQ(device_works(), 0);
}

/* N jobs of SIZE bytes in one call. */
static int flood(struct client *c, uint32_t queue, uint32_t size, uint32_t n)
{
	struct drm_octans_job list[64];
	struct drm_octans_submit s = {
		.queue_id = queue, .jobs = { sizeof(list[0]), n, (uintptr_t)list },
	};

	for (uint32_t i = 0; i < n; i++)
		list[i] = (struct drm_octans_job) { .va = VA, .size = size };
	return call(c->fd, DRM_IOCTL_OCTANS_SUBMIT, &s);
}

/* Queued jobs are memory that nobody is charged for: a queue has a limit, and a client has one. */
TEST_F_TIMEOUT(fairness, jobs_have_a_limit, 120)
{
	uint32_t queue, n = 0, all = 0;
	struct client other;
	int ret = 0;

	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	while (n < 4 * PER_QUEUE && !(ret = flood(&self->c, self->c.queue, 16, 64)))
		n += 64;
	printf("# a queue took %u jobs, then %d\n", n, ret);
	EXPECT_EQ(ret, -EAGAIN);
	EXPECT_LE(n, PER_QUEUE);
	for (all = n, ret = 0; all < 2 * PER_CLIENT && !ret;) {
		ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &queue), 0);
		for (n = 0; n < PER_QUEUE / 2 && !(ret = flood(&self->c, queue, 16, 64)); n += 64)
			all += 64;
	}
	printf("# a client took %u jobs, then %d\n", all, ret);
	EXPECT_EQ(ret, -EAGAIN);
	EXPECT_LE(all, PER_CLIENT);
	/* others are not concerned */
	ASSERT_EQ(client_open(&other, 10000), 0);
	put_nop(other.map);
	EXPECT_EQ(flood(&other, other.queue, 16, 64), 0);
	client_close(&other);
	client_close(&self->c);
	faults_end();
	ASSERT_EQ(client_open(&self->c, 10000), 0);
}

/* It is a limit of what waits, not of what was ever done. */
TEST_F_TIMEOUT(fairness, a_full_queue_empties, 120)
{
	uint32_t done = 0, full = 0;
	int64_t begin = now_ns();

	while (done < 3 * PER_QUEUE && seconds_since(begin) < 60) {
		int ret = flood(&self->c, self->c.queue, 16, 64);

		ASSERT_TRUE(!ret || ret == -EAGAIN);
		if (ret) {
			full++;
			usleep(2000);
		} else {
			done += 64;
		}
	}
	printf("# %u jobs in %.1f s, %u times full\n", done, seconds_since(begin), full);
	EXPECT_GE(done, 3 * PER_QUEUE);
}

/*
 * A newcomer's job waits for those that run, not for what another client queued before: here 160 s of
 * work in jobs of 20 ms, which takes 4 rings 40 s.
 */
TEST_F_TIMEOUT(fairness, newcomer_behind_a_flood, 180)
{
	uint32_t queues = 2 * self->rings, queue, size = put_nops(self->c.map, 20);
	struct client b;
	int64_t begin;

	if (!control_rings("slow", " 1000"))
		SKIP("no control port");
	for (uint32_t i = 0; i < queues; i++) {
		ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &queue), 0);
		for (uint32_t n = 50; n <= 8000 / queues; n += 50)
			ASSERT_EQ(flood(&self->c, queue, size, 50), 0);
	}
	ASSERT_EQ(client_open(&b, 10000), 0);
	put_nop(b.map);
	for (int i = 0; i < 3; i++) {
		begin = now_ns();
		EXPECT_EQ(run(b.fd, b.queue, VA, 16, 0), 0);
		printf("# the newcomer's job took %.3f s, %lld jobs are queued\n", seconds_since(begin),
		       objects("jobs"));
		EXPECT_SOON(now_ns() - begin, 400000000);
	}
	client_close(&b);
	client_close(&self->c);
	slow_end();
	ASSERT_EQ(client_open(&self->c, 10000), 0);
}

/*
 * Nor does it wait for all the queues of a client whose jobs do not end: each of them costs its
 * limit of a second, once on each ring.
 */
TEST_F_TIMEOUT(fairness, newcomer_behind_hogs, 120)
{
	uint32_t queue, size = slow_job(self->c.map, 3.5);
	struct client b;
	int64_t begin;

	if (!control("stat"))
		SKIP("no control port");
	for (uint32_t i = 0; i < 8 * self->rings; i++) {
		if (queue_create(self->c.fd, self->c.vm, 1000, &queue))
			break;
		ASSERT_EQ(submit(self->c.fd, queue, VA, size, 0, NULL, 0), 0);
	}
	ASSERT_EQ(client_open(&b, 10000), 0);
	put_nop(b.map);
	begin = now_ns();
	EXPECT_EQ(run(b.fd, b.queue, VA, 16, 0), 0);
	printf("# the newcomer's job took %.1f s\n", seconds_since(begin));
	EXPECT_SOON(now_ns() - begin, 3000000000);
	client_close(&b);
	client_close(&self->c);
	slow_end();
	ASSERT_EQ(client_open(&self->c, 10000), 0);
}

/* A ban costs more than a new queue: who earns one after the other is refused at last. */
TEST_F_TIMEOUT(fairness, bans_add_up, 120)
{
	struct octans_cmd *cmd = (struct octans_cmd *)self->c.map;
	struct client b;
	uint32_t queue;
	int bans = 0, ret = 0;

	cmd->op = 999;
	for (; bans < 100; bans++) {
		ret = queue_create(self->c.fd, self->c.vm, 1000, &queue);
		if (ret)
			break;
		ret = run(self->c.fd, queue, VA, 16, 0);
		queue_destroy(self->c.fd, queue);
		if (ret != -EIO)
			break;
	}
	printf("# after %d bans: %d\n", bans, ret);
	EXPECT_GE(bans, 3);	/* one mistake is none */
	EXPECT_LE(bans, 64);
	EXPECT_TRUE(ret < 0 && ret != -EIO);
	/* others are not concerned */
	ASSERT_EQ(client_open(&b, 1000), 0);
	EXPECT_EQ(run(b.fd, b.queue, VA, put_nop(b.map), 0), 0);
	client_close(&b);
}

/* Low priority is not never, high priority not always. */
TEST_F_TIMEOUT(fairness, priorities_are_not_strict, 120)
{
	struct drm_octans_queue_create c = {
		.vm_id = self->c.vm, .timeout_ms = 10000, .priority = DRM_OCTANS_PRIORITY_HIGH,
	};
	uint32_t queues = 2 * self->rings, size = put_nops(self->c.map, 10);
	struct client b;
	int64_t begin;

	if (!control_rings("slow", " 1000"))
		SKIP("no control port");
	for (uint32_t i = 0; i < queues; i++) {
		c.id = 0;
		ASSERT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_QUEUE_CREATE, &c), 0);
		for (uint32_t n = 48; n <= 7680 / queues; n += 48)
			ASSERT_EQ(flood(&self->c, c.id, size, 48), 0);
	}
	ASSERT_EQ(client_open(&b, 10000), 0);
	c = (struct drm_octans_queue_create) {
		.vm_id = b.vm, .timeout_ms = 10000, .priority = DRM_OCTANS_PRIORITY_LOW,
	};
	ASSERT_EQ(call(b.fd, DRM_IOCTL_OCTANS_QUEUE_CREATE, &c), 0);
	begin = now_ns();
	EXPECT_EQ(run(b.fd, c.id, VA, put_nop(b.map), 0), 0);
	printf("# a job of low priority took %.3f s, %lld jobs are queued\n", seconds_since(begin),
	       objects("jobs"));
	EXPECT_SOON(now_ns() - begin, 3000000000);
	client_close(&b);
	client_close(&self->c);
	slow_end();
	ASSERT_EQ(client_open(&self->c, 10000), 0);
}
