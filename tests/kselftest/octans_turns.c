// SPDX-License-Identifier: MIT
/* Many jobs at once: whose turn it is, what is too many, and what a reset leaves alone. */
#include <pthread.h>
#include <sched.h>

#include "octans.h"

#define QUEUES	(2 * OCTANS_MAX_RINGS)	/* at least two for each ring */

FIXTURE(turns) {
	struct client a, b;
	uint32_t rings;
};

FIXTURE_SETUP(turns)
{
	ASSERT_EQ(client_open(&self->a, 10000), 0);
	ASSERT_EQ(client_open(&self->b, 10000), 0);
	self->rings = rings_of(self->a.fd);
	ASSERT_GE(self->rings, 1);
}

FIXTURE_TEARDOWN(turns)
{
	(void)_metadata;
	client_close(&self->a);
	client_close(&self->b);
}

static struct drm_octans_sync new_sync(int fd)
{
	struct drm_octans_sync s = { .flags = DRM_OCTANS_SYNC_SIGNAL };

	syncobj_create(fd, &s.handle);
	return s;
}

/* The same job @n times, at most 64, in one SUBMIT. */
static int submit_many(int fd, uint32_t queue, uint32_t size, uint32_t n,
		       const struct drm_octans_sync *out)
{
	struct drm_octans_job jobs[64];
	struct drm_octans_submit s = {
		.queue_id = queue,
		.jobs = { sizeof(jobs[0]), n, (uintptr_t)jobs },
	};

	for (uint32_t i = 0; i < n; i++)
		jobs[i] = (struct drm_octans_job) { .va = VA, .size = size };
	if (out)
		s.syncs = (struct drm_octans_array) { sizeof(*out), 1, (uintptr_t)out };
	return call(fd, DRM_IOCTL_OCTANS_SUBMIT, &s);
}

/* A job on each ring that never ends by itself; its client has a queue for each. */
static int hang_every_ring(struct client *c, uint32_t rings, uint32_t timeout_ms, uint32_t *queues,
			   struct drm_octans_sync *out)
{
	int ret = 0;

	put_nop(c->map);
	for (uint32_t r = 0; r < rings && !ret; r++) {
		out[r] = new_sync(c->fd);
		ret = queue_create(c->fd, c->vm, timeout_ms, &queues[r]);
		if (!ret)
			ret = submit(c->fd, queues[r], VA, 16, r, &out[r], 1);
	}
	return ret;
}

/* More than the kernel keeps for a queue, or for a client, is refused and not queued. */
TEST_F_TIMEOUT(turns, too_many, 60)
{
	uint32_t hung[OCTANS_MAX_RINGS], queue[9], size = put_nop(self->a.map);
	struct drm_octans_sync out[OCTANS_MAX_RINGS], last;
	int n;

	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	ASSERT_EQ(hang_every_ring(&self->b, self->rings, 10000, hung, out), 0);
	last = new_sync(self->a.fd);
	for (int i = 0; i < 9; i++)
		ASSERT_EQ(queue_create(self->a.fd, self->a.vm, 10000, &queue[i]), 0);
	for (int i = 0; i < 8; i++) {
		for (n = 0; n < 16; n++)
			EXPECT_EQ(submit_many(self->a.fd, queue[i], size, 64, &last), 0);
		EXPECT_EQ(submit_many(self->a.fd, queue[i], size, 1, NULL), -EAGAIN);
	}
	EXPECT_EQ(submit_many(self->a.fd, queue[8], size, 1, NULL), -EAGAIN);
	/* who is there besides is not told to wait */
	EXPECT_EQ(submit_many(self->b.fd, self->b.queue, 16, 64, NULL), 0);
	for (int i = 0; i < 9; i++)
		EXPECT_EQ(queue_destroy(self->a.fd, queue[i]), 0);
	EXPECT_EQ(sync_result(self->a.fd, last.handle, 5), -ECANCELED);
	/* and there is room again */
	ASSERT_EQ(queue_create(self->a.fd, self->a.vm, 10000, &queue[0]), 0);
	EXPECT_EQ(submit_many(self->a.fd, queue[0], size, 1, NULL), 0);
	for (uint32_t r = 0; r < self->rings; r++)
		EXPECT_EQ(queue_destroy(self->b.fd, hung[r]), 0);
	for (uint32_t r = 0; r < self->rings; r++)
		EXPECT_EQ(sync_result(self->b.fd, out[r].handle, 5), -ECANCELED);
	control_rings("hang ring", " off");
}

/* What waits on a ring behind somebody else's hang need not wait to be cancelled. */
TEST_F_TIMEOUT(turns, destroyed_behind_a_hang, 60)
{
	uint32_t hung[OCTANS_MAX_RINGS], queue[QUEUES], size = put_nop(self->a.map);
	struct drm_octans_sync out[OCTANS_MAX_RINGS], last[QUEUES];
	uint32_t n = 2 * self->rings;
	int64_t begin;

	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	ASSERT_EQ(hang_every_ring(&self->b, self->rings, 10000, hung, out), 0);
	for (uint32_t i = 0; i < n; i++) {
		last[i] = new_sync(self->a.fd);
		ASSERT_EQ(queue_create(self->a.fd, self->a.vm, 10000, &queue[i]), 0);
		ASSERT_EQ(submit_many(self->a.fd, queue[i], size, 3, &last[i]), 0);
	}
	begin = now_ns();
	for (uint32_t i = 0; i < n; i++)
		EXPECT_EQ(queue_destroy(self->a.fd, queue[i]), 0);
	for (uint32_t i = 0; i < n; i++)
		EXPECT_EQ(sync_result(self->a.fd, last[i].handle, 5), -ECANCELED);
	EXPECT_SOON(now_ns() - begin, 2000000000ll);
	for (uint32_t r = 0; r < self->rings; r++)
		EXPECT_EQ(sync_result(self->b.fd, out[r].handle, 0), -ETIMEDOUT);
	for (uint32_t r = 0; r < self->rings; r++)
		EXPECT_EQ(queue_destroy(self->b.fd, hung[r]), 0);
	control_rings("hang ring", " off");
}

/* Fails with a new queue each time until that is refused; @unseen: it is gone before it has failed. */
static int fail_until_stopped(struct test_metadata *_metadata, struct client *c, bool unseen, int *n)
{
	struct octans_cmd *bad = (struct octans_cmd *)c->map;
	struct drm_octans_sync out = new_sync(c->fd);
	uint32_t queue;
	int ret = 0;

	put_nop(c->map);
	bad->op = 999;
	for (*n = 0; *n < 100; ++*n) {
		ret = queue_create(c->fd, c->vm, 1000, &queue);
		if (ret)
			break;
		EXPECT_EQ(submit(c->fd, queue, VA, 16, 0, &out, 1), 0);
		if (unseen)
			EXPECT_EQ(queue_destroy(c->fd, queue), 0);
		ret = sync_result(c->fd, out.handle, 10);
		EXPECT_TRUE(ret == -EIO || (unseen && ret == -ECANCELED));
		if (!unseen)
			EXPECT_EQ(queue_destroy(c->fd, queue), 0);
	}
	return ret;
}

/* It does not help to destroy the queue before its failure is noticed. */
TEST_F_TIMEOUT(turns, fails_too_often_unseen, 60)
{
	int n;

	EXPECT_EQ(fail_until_stopped(_metadata, &self->a, true, &n), -EACCES);
	printf("# stopped after %d\n", n);
	EXPECT_EQ(run(self->b.fd, self->b.queue, VA, put_nop(self->b.map), 0), 0);
}

/* Who fails for ever, with a new queue each time, is stopped; nobody else is. */
TEST_F_TIMEOUT(turns, fails_too_often, 60)
{
	uint32_t queue;
	int n, ret = fail_until_stopped(_metadata, &self->a, false, &n);

	EXPECT_EQ(ret, -EACCES);
	EXPECT_GE(n, 16);
	EXPECT_EQ(submit(self->a.fd, self->a.queue, VA, 16, 0, NULL, 0), -EACCES);
	EXPECT_EQ(run(self->b.fd, self->b.queue, VA, put_nop(self->b.map), 0), 0);
	/* forgiven, sooner or later */
	for (n = 0; n < 30 && ret; n++) {
		sleep(1);
		ret = queue_create(self->a.fd, self->a.vm, 1000, &queue);
	}
	EXPECT_EQ(ret, 0);
}

/* Jobs behind one that hangs, on its ring, are none of its business. */
TEST_F_TIMEOUT(turns, behind_a_hang, 60)
{
	uint32_t hung[OCTANS_MAX_RINGS], queue[QUEUES], size = put_nop(self->a.map);
	struct drm_octans_sync out[OCTANS_MAX_RINGS], well[QUEUES];
	struct drm_octans_queue_query q;
	long long resets = objects("resets");

	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	ASSERT_EQ(hang_every_ring(&self->b, self->rings, 1000, hung, out), 0);
	usleep(100000);
	for (int i = 0; i < QUEUES; i++) {
		well[i] = new_sync(self->a.fd);
		ASSERT_EQ(queue_create(self->a.fd, self->a.vm, 1000, &queue[i]), 0);
		ASSERT_EQ(submit_many(self->a.fd, queue[i], size, 20, &well[i]), 0);
	}
	for (uint32_t r = 0; r < self->rings; r++)
		EXPECT_EQ(sync_result(self->b.fd, out[r].handle, 10), -ETIME);
	for (int i = 0; i < QUEUES; i++) {
		EXPECT_EQ(sync_result(self->a.fd, well[i].handle, 10), 0);
		q = (struct drm_octans_queue_query) { .id = queue[i] };
		ASSERT_EQ(call(self->a.fd, DRM_IOCTL_OCTANS_QUEUE_QUERY, &q), 0);
		EXPECT_EQ(q.state, 0);
		EXPECT_EQ(q.completed, 20);
		EXPECT_EQ(q.failed, 0);
	}
	EXPECT_EQ(objects("resets"), resets + self->rings);
	control_rings("hang ring", " off");
}

/* The same if the ring cannot be reset, so that the device is. */
TEST_F_TIMEOUT(turns, behind_a_hang_and_reset_fails, 60)
{
	uint32_t hung[OCTANS_MAX_RINGS], queue[QUEUES], size = put_nop(self->a.map);
	struct drm_octans_sync out[OCTANS_MAX_RINGS], well[QUEUES];

	if (!control_rings("hang ring", "") || !control("fail-reset ring 0"))
		SKIP("no control port");
	ASSERT_EQ(hang_every_ring(&self->b, self->rings, 1000, hung, out), 0);
	usleep(100000);
	for (int i = 0; i < QUEUES; i++) {
		well[i] = new_sync(self->a.fd);
		ASSERT_EQ(queue_create(self->a.fd, self->a.vm, 1000, &queue[i]), 0);
		ASSERT_EQ(submit_many(self->a.fd, queue[i], size, 20, &well[i]), 0);
	}
	for (uint32_t r = 0; r < self->rings; r++) {
		int ret = sync_result(self->b.fd, out[r].handle, 10);

		EXPECT_TRUE(ret == -ETIME || ret == -ECANCELED);
	}
	for (int i = 0; i < QUEUES; i++)
		EXPECT_EQ(sync_result(self->a.fd, well[i].handle, 10), 0);
	control("fail-reset ring 0 0");
	control_rings("hang ring", " off");
}

/*
 * A client had short jobs, so the kernel puts many of them onto a ring; then they are long.  Who
 * comes now does not wait for all of them.
 */
TEST_F_TIMEOUT(turns, short_jobs_become_long, 120)
{
	struct drm_octans_sync out[OCTANS_MAX_RINGS];
	uint32_t queue[OCTANS_MAX_RINGS], size;
	int64_t t;

	if (!control_rings("slow", " 0"))
		SKIP("no control port");
	size = put_nop(self->a.map);
	for (uint32_t r = 0; r < self->rings; r++) {
		out[r] = new_sync(self->a.fd);
		ASSERT_EQ(queue_create(self->a.fd, self->a.vm, 10000, &queue[r]), 0);
		for (int i = 0; i < 20; i++)
			ASSERT_EQ(submit_many(self->a.fd, queue[r], size, 32, &out[r]), 0);
		ASSERT_EQ(sync_result(self->a.fd, out[r].handle, 10), 0);
	}
	control_rings("slow", " 10000");
	size = put_nops(self->a.map, 60);
	for (uint32_t r = 0; r < self->rings; r++)
		ASSERT_EQ(submit_many(self->a.fd, queue[r], size, 16, &out[r]), 0);
	usleep(50000);
	t = now_ns();
	EXPECT_EQ(run(self->b.fd, self->b.queue, VA, put_nop(self->b.map), 0), 0);
	t = (now_ns() - t) / 1000000;
	printf("# %lld ms, of 16 jobs of 600 ms before it\n", (long long)t);
	EXPECT_SOON(t, 4000);
	for (uint32_t r = 0; r < self->rings; r++)
		EXPECT_EQ(sync_result(self->a.fd, out[r].handle, 40), 0);
	control_rings("slow", " 0");
}

/* Two queues that wait for each other's jobs: each copies what the other has written. */
TEST_F(turns, ping_pong)
{
	volatile uint64_t *cell = (uint64_t *)(self->a.map + 8 * PAGE);
	uint32_t queue[2] = { self->a.queue };
	struct drm_octans_sync sync[2] = {
		{ .flags = DRM_OCTANS_SYNC_TIMELINE },
		{ .flags = DRM_OCTANS_SYNC_TIMELINE | DRM_OCTANS_SYNC_SIGNAL },
	};
	struct drm_octans_sync last = new_sync(self->a.fd);

	ASSERT_EQ(queue_create(self->a.fd, self->a.vm, 10000, &queue[1]), 0);
	ASSERT_EQ(syncobj_create(self->a.fd, &sync[0].handle), 0);
	sync[1].handle = sync[0].handle;
	cell[0] = 0x1234;
	for (int i = 0; i < 400; i++) {
		uint32_t at = i * 64, n = put_copy(self->a.map + at, VA + 8 * PAGE + 8 * (i + 1),
						   VA + 8 * PAGE + 8 * i, 8);

		sync[0].point = i;
		sync[1].point = i + 1;
		ASSERT_EQ(submit(self->a.fd, queue[i % 2], VA + at, n, 0, i ? sync : sync + 1,
				 i ? 2 : 1), 0);
	}
	sync[0].point = 400;
	sync[1] = last;
	ASSERT_EQ(submit(self->a.fd, queue[0], VA + 7 * PAGE, put_nop(self->a.map + 7 * PAGE), 0,
			 sync, 2), 0);
	EXPECT_EQ(sync_result(self->a.fd, last.handle, 20), 0);
	EXPECT_EQ(cell[400], 0x1234);
}

/* How many interrupts of the driver each of the first two processors has handled. */
static int count_interrupts(unsigned long n[2])
{
	FILE *f = fopen("/proc/interrupts", "r");
	unsigned long a, b;
	int lines = 0;
	char line[512];

	n[0] = 0;
	n[1] = 0;
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "octans") && sscanf(line, "%*s %lu %lu", &a, &b) == 2) {
			n[0] += a;
			n[1] += b;
			lines++;
		}
	if (f)
		fclose(f);
	return lines;
}

/* The end of a job is told where its client runs, and that follows it. */
TEST_F(turns, near)
{
	unsigned long before[2], after[2];
	cpu_set_t all, one;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || count_interrupts(before) < 3)
		SKIP("one processor, or one vector");
	ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int round = 0; round < 4; round++) {
		int here = round % 2;

		CPU_ZERO(&one);
		CPU_SET(here, &one);
		ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
		count_interrupts(before);
		for (int i = 0; i < 100; i++)
			ASSERT_EQ(run(self->a.fd, self->a.queue, VA, put_nop(self->a.map), 0), 0);
		count_interrupts(after);
		EXPECT_GE(after[here] - before[here], 95);
		EXPECT_LE(after[!here] - before[!here], 5);
	}
	sched_setaffinity(0, sizeof(all), &all);
}
