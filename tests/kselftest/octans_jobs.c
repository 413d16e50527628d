// SPDX-License-Identifier: MIT
/* Jobs: order, fences, and what happens to those that fail, hang or are killed. */
#include <pthread.h>

#include "octans.h"

FIXTURE(jobs) {
	struct client c;
	uint32_t rings;
};

FIXTURE_SETUP(jobs)
{
	ASSERT_EQ(client_open(&self->c, 1000), 0);
	self->rings = rings_of(self->c.fd);
	ASSERT_GE(self->rings, 1);
}

FIXTURE_TEARDOWN(jobs)
{
	(void)_metadata;
	client_close(&self->c);
}

/* A fault on whatever ring the next job takes. */
static bool every_ring(uint32_t rings, const char *before, const char *after)
{
	bool good = true;
	char line[64];

	for (uint32_t r = 0; r < rings; r++) {
		snprintf(line, sizeof(line), "%s %u%s", before, r, after);
		good &= control(line);
	}
	return good;
}

/* A job of ours on each ring: none ends before the last one has found its ring. */
static int job_on_every_ring(struct client *c, uint32_t rings, uint32_t timeout_ms,
			     struct drm_octans_sync *out)
{
	uint32_t queue, size = put_nops(c->map, 40);
	int ret = 0;

	control_rings("slow", " 50000");
	for (uint32_t r = 0; r < rings && !ret; r++) {
		out[r] = (struct drm_octans_sync) { .flags = DRM_OCTANS_SYNC_SIGNAL };
		ret = syncobj_create(c->fd, &out[r].handle);
		if (!ret)
			ret = queue_create(c->fd, c->vm, timeout_ms, &queue);
		if (!ret)
			ret = submit(c->fd, queue, VA, size, 0, &out[r], 1);
	}
	control_rings("slow", " 0");
	return ret;
}

static int state(struct client *c, struct drm_octans_queue_query *q)
{
	*q = (struct drm_octans_queue_query) { .id = c->queue };
	return call(c->fd, DRM_IOCTL_OCTANS_QUEUE_QUERY, q);
}

TEST_F(jobs, time)
{
	volatile uint64_t *stamp = (uint64_t *)(self->c.map + PAGE);
	struct drm_octans_queue_query q;

	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, put_time(self->c.map, VA + PAGE), 0), 0);
	EXPECT_NE(stamp[0], 0);
	ASSERT_EQ(state(&self->c, &q), 0);
	EXPECT_EQ(q.submitted, 1);
	EXPECT_EQ(q.completed, 1);
	EXPECT_EQ(q.failed, 0);
	EXPECT_EQ(q.state, 0);
}

/* A stream that is written once does what its parameters say, each time. */
TEST_F(jobs, parameters)
{
	uint32_t *from = (uint32_t *)(self->c.map + 2 * PAGE), *to = from + 64;
	uint32_t *params = (uint32_t *)(self->c.map + PAGE);
	struct drm_octans_job job = {
		.va = VA,
		.size = put_move(self->c.map, VA + 2 * PAGE + 256, VA + 2 * PAGE, 64),
		.param_va = VA + PAGE,
		.param_count = 1,
	};
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	uint32_t queue;

	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	for (uint32_t rows = 0; rows <= 64; rows += 16) {
		for (int i = 0; i < 64; i++) {
			from[i] = rows + i + 1;
			to[i] = 0;
		}
		params[0] = rows;
		ASSERT_EQ(submit_params(self->c.fd, self->c.queue, &job, &out, 1), 0);
		ASSERT_EQ(sync_result(self->c.fd, out.handle, 30), 0);
		for (uint32_t i = 0; i < 64; i++)
			EXPECT_EQ(to[i], i < rows ? rows + i + 1 : 0);
	}
	params[0] = 65;		/* more than was checked */
	ASSERT_EQ(submit_params(self->c.fd, self->c.queue, &job, &out, 1), 0);
	EXPECT_EQ(sync_result(self->c.fd, out.handle, 30), -EIO);
	/* what the kernel refuses, and what the MMU does */
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &queue), 0);
	job.param_count = 65;
	EXPECT_EQ(submit_params(self->c.fd, queue, &job, NULL, 0), -EINVAL);
	job.param_count = 1;
	job.param_va++;
	EXPECT_EQ(submit_params(self->c.fd, queue, &job, NULL, 0), -EINVAL);
	job.param_va = (1ull << 48) - 4;
	job.param_count = 2;
	EXPECT_EQ(submit_params(self->c.fd, queue, &job, NULL, 0), -EINVAL);
	job.param_count = 0;
	EXPECT_EQ(submit_params(self->c.fd, queue, &job, NULL, 0), -EINVAL);
	job.param_va = VA + PAGE;
	job.param_count = 1;
	job.pad = 1;
	EXPECT_EQ(submit_params(self->c.fd, queue, &job, NULL, 0), -EINVAL);
	job.pad = 0;
	job.param_va = 1ull << 40;
	ASSERT_EQ(submit_params(self->c.fd, queue, &job, &out, 1), 0);
	EXPECT_EQ(sync_result(self->c.fd, out.handle, 30), -EFAULT);
}

/*
 * Record once, replay: a step is one SUBMIT of one job, and the stream is what it was.  It lies in
 * memory that nobody has mapped for writing, the processor included.
 */
TEST_F(jobs, replay)
{
	uint32_t *from = (uint32_t *)(self->c.map + 2 * PAGE), *to = from + 64;
	uint32_t *params = (uint32_t *)(self->c.map + PAGE), stream;
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct drm_octans_job job = { .va = 2 * VA, .param_va = VA + PAGE, .param_count = 1 };
	long long submits = objects("submits"), jobs = objects("submitted_jobs");
	struct drm_octans_queue_query q;
	void *map;

	ASSERT_EQ(bo_create(self->c.fd, PAGE, DRM_OCTANS_BO_DEVICE, &stream), 0);
	map = bo_map(self->c.fd, stream, PAGE);
	ASSERT_NE(map, MAP_FAILED);
	job.size = put_move(map, VA + 2 * PAGE + 256, VA + 2 * PAGE, 64);
	ASSERT_EQ(mprotect(map, PAGE, PROT_READ), 0);
	ASSERT_EQ(vm_map(self->c.fd, self->c.vm, stream, 0, job.va, PAGE, DRM_OCTANS_BIND_READONLY), 0);
	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	for (int i = 0; i < 64; i++)
		from[i] = i + 1;
	for (uint32_t step = 1; step <= 50; step++) {
		memset(to, 0, 256);
		params[0] = step;
		ASSERT_EQ(submit_params(self->c.fd, self->c.queue, &job, &out, 1), 0);
		ASSERT_EQ(sync_result(self->c.fd, out.handle, 30), 0);
		for (uint32_t i = 0; i < 64; i++)
			EXPECT_EQ(to[i], i < step ? i + 1 : 0);
		ASSERT_EQ(state(&self->c, &q), 0);
		EXPECT_EQ(q.submitted, step);
		EXPECT_EQ(q.completed, step);
		EXPECT_EQ(q.failed, 0);
	}
	EXPECT_EQ(objects("submits"), submits + 50);
	EXPECT_EQ(objects("submitted_jobs"), jobs + 50);
	munmap(map, PAGE);
}

/* Many jobs in one call run one after the other: each copies what the one before wrote. */
TEST_F(jobs, order)
{
	struct drm_octans_job list[64];
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct drm_octans_submit s = {
		.queue_id = self->c.queue,
		.jobs = { sizeof(list[0]), 64, (uintptr_t)list },
		.syncs = { sizeof(out), 1, (uintptr_t)&out },
	};
	volatile uint64_t *cell = (uint64_t *)(self->c.map + 8 * PAGE);

	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	cell[0] = 0x1234;
	for (int i = 0; i < 64; i++) {
		uint32_t at = i * 64;

		list[i] = (struct drm_octans_job) {
			.va = VA + at,
			.size = put_copy(self->c.map + at, VA + 8 * PAGE + 8 * (i + 1),
					 VA + 8 * PAGE + 8 * i, 8),
		};
	}
	ASSERT_EQ(call(self->c.fd, DRM_IOCTL_OCTANS_SUBMIT, &s), 0);
	EXPECT_EQ(sync_result(self->c.fd, out.handle, 30), 0);
	EXPECT_EQ(cell[64], 0x1234);
}

TEST_F(jobs, binary_and_timeline)
{
	struct drm_octans_sync a = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct drm_octans_sync both[2];
	uint32_t queue2, size = put_nop(self->c.map);
	struct drm_syncobj_timeline_wait w = { 0 };
	struct drm_syncobj_timeline_array sig = { 0 };
	uint64_t point = 5;

	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &queue2), 0);
	ASSERT_EQ(syncobj_create(self->c.fd, &a.handle), 0);
	ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, size, 0, &a, 1), 0);
	both[0] = (struct drm_octans_sync) { .handle = a.handle };
	both[1] = (struct drm_octans_sync) {
		.flags = DRM_OCTANS_SYNC_SIGNAL | DRM_OCTANS_SYNC_TIMELINE, .point = point,
	};
	ASSERT_EQ(syncobj_create(self->c.fd, &both[1].handle), 0);
	ASSERT_EQ(submit(self->c.fd, queue2, VA, size, 0, both, 2), 0);
	w.handles = (uintptr_t)&both[1].handle;
	w.points = (uintptr_t)&point;
	w.count_handles = 1;
	w.timeout_nsec = now_ns() + 10000000000ll;
	w.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &w), 0);
	/* a job waits for a point that comes later from user space */
	point = 6;
	sig.handles = w.handles;
	sig.points = (uintptr_t)&point;
	sig.count_handles = 1;
	EXPECT_EQ(call(self->c.fd, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &sig), 0);
	both[1].flags = DRM_OCTANS_SYNC_TIMELINE;
	both[1].point = 6;
	EXPECT_EQ(submit(self->c.fd, queue2, VA, size, 0, &both[1], 1), 0);
}

struct honest {
	struct client c;
	pthread_t thread;
	int64_t end;
	long jobs;
	int error;
};

static void *honest_client(void *arg)
{
	struct honest *h = arg;
	uint32_t size = put_nop(h->c.map);

	while (!h->error && now_ns() < h->end) {
		h->error = run(h->c.fd, h->c.queue, VA, size, 0);
		h->jobs++;
	}
	return NULL;
}

/*
 * A healthy processor is never reset, however its jobs meet the watchdog.  That they meet
 * badly is rare, once in some thousand jobs: OCTANS_LOAD_SECONDS=150 looks for longer.
 */
TEST_F(jobs, honest_load)
{
	const char *given = getenv("OCTANS_LOAD_SECONDS");
	int seconds = given ? atoi(given) : 8;
	struct drm_octans_queue_query q;
	long long resets = objects("resets");
	struct honest h[12] = { 0 };
	long jobs = 0;

	ASSERT_GE(seconds, 1);
	ASSERT_GE(resets, 0);
	alarm(seconds + 60);
	for (int i = 0; i < 12; i++)
		ASSERT_EQ(client_open(&h[i].c, 10000), 0);
	for (int i = 0; i < 12; i++) {
		h[i].end = now_ns() + seconds * 1000000000ll;
		ASSERT_EQ(pthread_create(&h[i].thread, NULL, honest_client, &h[i]), 0);
	}
	for (int i = 0; i < 12; i++) {
		ASSERT_EQ(pthread_join(h[i].thread, NULL), 0);
		jobs += h[i].jobs;
		EXPECT_EQ(h[i].error, 0);
		EXPECT_EQ(state(&h[i].c, &q), 0);
		EXPECT_EQ(q.state, 0);
		EXPECT_EQ(q.failed, 0);
		client_close(&h[i].c);
	}
	EXPECT_EQ(objects("resets"), resets);
	printf("# %ld jobs in %d s\n", jobs, seconds);
}

TEST_F(jobs, bad_commands)
{
	struct drm_octans_queue_query q;
	uint32_t next;

	for (int i = 0; i < 6; i++) {
		struct octans_cmd *c = (struct octans_cmd *)self->c.map;

		memset(self->c.map, 0, PAGE);
		c->op = i == 0 ? 999 : i == 1 ? OCTANS_OP_MATMUL : OCTANS_OP_NOP;
		c->size = i == 2 ? 0 : i == 3 ? 24 : i == 4 ? 4096 : 16;
		c->reserved = i == 5;
		ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &next), 0);
		EXPECT_EQ(run(self->c.fd, next, VA, 32, 0), -EIO);
		EXPECT_EQ(queue_destroy(self->c.fd, next), 0);
	}
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA + 0x100000, 16, 0), -EFAULT);
	ASSERT_EQ(state(&self->c, &q), 0);
	EXPECT_EQ(q.state, DRM_OCTANS_QUEUE_BANNED);
	EXPECT_EQ(q.error, EFAULT);
	EXPECT_EQ(submit(self->c.fd, self->c.queue, VA, 16, 0, NULL, 0), -ECANCELED);
}

TEST_F(jobs, hang)
{
	struct drm_octans_queue_query q;
	uint32_t size = put_nop(self->c.map), next;
	long long resets = objects("resets");
	int64_t t = now_ns();

	if (!every_ring(self->rings, "hang ring", ""))
		SKIP("no control port");
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, size, 0), -ETIME);
	t = (now_ns() - t) / 1000000;
	every_ring(self->rings, "hang ring", " off");
	EXPECT_GE(t, 900);
	EXPECT_SOON(t, 5000);
	ASSERT_EQ(state(&self->c, &q), 0);
	EXPECT_EQ(q.state, DRM_OCTANS_QUEUE_BANNED);
	EXPECT_EQ(q.error, ETIME);
	EXPECT_EQ(objects("resets"), resets + 1);
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &next), 0);
	EXPECT_EQ(run(self->c.fd, next, VA, size, 0), 0);
}

/*
 * A ring that hangs keeps the device from acknowledging an invalidation.  Its job is ended, and
 * nobody else's, long or short.
 */
TEST_F_TIMEOUT(jobs, late_invalidation, 60)
{
	struct drm_octans_sync out[OCTANS_MAX_RINGS], other_out[OCTANS_MAX_RINGS];
	struct client other[OCTANS_MAX_RINGS];
	struct honest brief = { 0 };
	struct unmapping u;
	long long resets;
	int stopped = 0;

	if (self->rings < 2)
		SKIP("there is one ring");
	if (!control("hang ring 0"))
		SKIP("no control port");
	/* the one on ring 0 hangs */
	ASSERT_EQ(job_on_every_ring(&self->c, self->rings, 10000, out), 0);
	usleep(300000);
	/* others: jobs of some seconds, and many short ones */
	for (uint32_t i = 1; i < self->rings; i++) {
		char line[32];

		snprintf(line, sizeof(line), "slow %u 10000", i);
		ASSERT_TRUE(control(line));
		ASSERT_EQ(client_open(&other[i], 10000), 0);
		other_out[i] = (struct drm_octans_sync) { .flags = DRM_OCTANS_SYNC_SIGNAL };
		ASSERT_EQ(syncobj_create(other[i].fd, &other_out[i].handle), 0);
		ASSERT_EQ(submit(other[i].fd, other[i].queue, VA, put_nops(other[i].map, 300), 0,
				 &other_out[i], 1), 0);
	}
	ASSERT_EQ(client_open(&brief.c, 10000), 0);
	brief.end = now_ns() + 4000000000ll;
	ASSERT_EQ(pthread_create(&brief.thread, NULL, honest_client, &brief), 0);
	usleep(200000);
	resets = objects("resets");
	ASSERT_TRUE(control("hold ring 0"));
	ASSERT_EQ(unmapping_start(&u, &self->c, VA + 8 * PAGE), 0);
	pthread_join(u.thread, NULL);
	EXPECT_EQ(u.ret, 0);
	EXPECT_GE(u.ns, 900000000);
	EXPECT_SOON(u.ns, 5000000000ll);
	for (uint32_t i = 0; i < self->rings; i++) {
		int ret = sync_result(self->c.fd, out[i].handle, 20);

		EXPECT_TRUE(!ret || ret == -ECANCELED);
		stopped += !!ret;
	}
	EXPECT_EQ(stopped, 1);
	pthread_join(brief.thread, NULL);
	EXPECT_EQ(brief.error, 0);
	client_close(&brief.c);
	for (uint32_t i = 1; i < self->rings; i++) {
		EXPECT_EQ(sync_result(other[i].fd, other_out[i].handle, 20), 0);
		client_close(&other[i]);
	}
	EXPECT_EQ(objects("resets"), resets + 1);
	control_rings("slow", " 0");
	control("hang ring 0 off");
	control("hold ring 0 off");
}

/* A ring that does not let go even when it is reset: the device is, and works again. */
TEST_F_TIMEOUT(jobs, late_invalidation_and_reset_fails, 60)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct unmapping u;
	uint32_t size = put_nop(self->c.map), queue;

	if (!control_rings("hang ring", "") || !control_rings("fail-reset ring", ""))
		SKIP("no control port");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &queue), 0);
	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	ASSERT_EQ(submit(self->c.fd, queue, VA, size, 0, &out, 1), 0);
	usleep(200000);
	ASSERT_TRUE(control_rings("hold ring", ""));
	ASSERT_EQ(unmapping_start(&u, &self->c, VA + 8 * PAGE), 0);
	EXPECT_EQ(sync_result(self->c.fd, out.handle, 20), -ECANCELED);
	pthread_join(u.thread, NULL);
	EXPECT_EQ(u.ret, 0);
	control_rings("hang ring", " off");
	control_rings("hold ring", " off");
	control_rings("fail-reset ring", " 0");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &queue), 0);
	EXPECT_EQ(run(self->c.fd, queue, VA, size, 0), 0);
}

/* While one client hangs again and again, another gets its work done. */
TEST_F(jobs, neighbour_of_a_hang)
{
	struct drm_octans_sync out[OCTANS_MAX_RINGS];
	struct client other;
	int hung = 0, done = 0;
	int64_t end;

	ASSERT_EQ(client_open(&other, 5000), 0);
	if (!control("hang ring 0"))
		SKIP("no control port");
	ASSERT_EQ(job_on_every_ring(&self->c, self->rings, 1000, out), 0);
	usleep(100000);		/* one has hung by now */
	end = now_ns() + 6000000000ll;
	put_nop(other.map);
	while (done < 20 && now_ns() < end) {
		EXPECT_EQ(run(other.fd, other.queue, VA, 16, 0), 0);
		done++;
	}
	EXPECT_EQ(done, 20);
	for (uint32_t r = 0; r < self->rings; r++)
		hung += sync_result(self->c.fd, out[r].handle, 10) == -ETIME;
	EXPECT_EQ(hung, 1);
	control("hang ring 0 off");
	client_close(&other);
}

TEST_F(jobs, lost_interrupt)
{
	uint32_t size = put_nop(self->c.map);

	if (!every_ring(self->rings + 1, "drop-irq", ""))
		SKIP("no control port");
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, size, 0), 0);
	/* the other messages that were to be lost */
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(run(self->c.fd, self->c.queue, VA, size, 0), 0);
	every_ring(self->rings + 1, "drop-irq", " 0");
}

TEST_F(jobs, corrupt_record)
{
	uint32_t size = put_nop(self->c.map), next;

	if (!every_ring(self->rings, "corrupt-cq", " xor 0x100000"))
		SKIP("no control port");
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, size, 0), -EIO);
	every_ring(self->rings, "corrupt-cq", " xor 0");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &next), 0);
	EXPECT_EQ(run(self->c.fd, next, VA, size, 0), 0);
}

/* What the device gets wrong bans no client, however often. */
TEST_F_TIMEOUT(jobs, corrupt_records_blame_nobody, 120)
{
	uint32_t size = put_nop(self->c.map), next;

	for (int i = 0; i < 40; i++) {
		if (!every_ring(self->rings, "corrupt-cq", " xor 0x100000"))
			SKIP("no control port");
		ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &next), 0);
		ASSERT_EQ(run(self->c.fd, next, VA, size, 0), -EIO);
		queue_destroy(self->c.fd, next);
	}
	every_ring(self->rings, "corrupt-cq", " xor 0");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &next), 0);
	EXPECT_EQ(run(self->c.fd, next, VA, size, 0), 0);
}

/* A doorbell that nobody hears costs time, and no job. */
TEST_F(jobs, lost_doorbell)
{
	uint32_t size = put_nop(self->c.map);
	long long resets = objects("resets");

	if (!every_ring(self->rings, "drop-doorbell", ""))
		SKIP("no control port");
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(run(self->c.fd, self->c.queue, VA, size, 0), 0);
	every_ring(self->rings, "drop-doorbell", " 0");
	EXPECT_EQ(objects("resets"), resets);
}

TEST_F(jobs, ring_reset_fails)
{
	uint32_t size = put_nop(self->c.map), next;

	if (!every_ring(self->rings, "fail-reset ring", "") || !every_ring(self->rings, "hang ring", ""))
		SKIP("no control port");
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, size, 0), -ETIME);
	every_ring(self->rings, "hang ring", " off");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &next), 0);
	EXPECT_EQ(run(self->c.fd, next, VA, size, 0), 0);
	every_ring(self->rings, "fail-reset ring", " 0");
}

TEST_F(jobs, destroy_while_it_runs)
{
	uint32_t size = put_nop(self->c.map), next;
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };

	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	if (!every_ring(self->rings, "hang ring", ""))
		SKIP("no control port");
	ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, size, 0, &out, 1), 0);
	usleep(100000);
	EXPECT_EQ(queue_destroy(self->c.fd, self->c.queue), 0);
	EXPECT_EQ(sync_result(self->c.fd, out.handle, 10), -ECANCELED);
	every_ring(self->rings, "hang ring", " off");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &next), 0);
	EXPECT_EQ(run(self->c.fd, next, VA, size, 0), 0);
}

/* Two threads of a program, one closing what the other uses. */
TEST_F(jobs, close_races)
{
	for (int round = 0; round < 30; round++) {
		pid_t pid = fork();

		if (!pid) {
			struct client c;

			if (client_open(&c, 1000))
				_exit(1);
			put_nop(c.map);
			for (int i = 0; i < 20; i++)
				submit(c.fd, c.queue, VA, 16, 0, NULL, 0);
			vm_unmap(c.fd, c.vm, VA, 16 * PAGE);
			_exit(0);	/* with jobs queued and one running */
		}
		int status;

		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
	}
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, put_nop(self->c.map), 0), 0);
}

/* SIGKILL in the middle, many times: nothing is left, and the processor works. */
TEST_F_TIMEOUT(jobs, sigkill, 120)
{
	static const char *const names[] = { "buffers", "spaces", "tables", "queues", "jobs",
					     "card_bytes" };
	long long before[6];

	jobs_reaped();		/* those of the test before, and what they held */
	for (int i = 0; i < 6; i++)
		before[i] = objects(names[i]);
	for (int round = 0; round < 40; round++) {
		pid_t pid = fork();

		if (!pid) {
			struct client c;
			uint32_t bo;

			if (client_open(&c, 1000))
				_exit(1);
			bo_create(c.fd, 1 << 20, DRM_OCTANS_BO_DEVICE, &bo);
			vm_map(c.fd, c.vm, bo, 0, 1ull << 33, 1 << 20, 0);
			put_copy(c.map, 1ull << 33, VA, 16 * PAGE);
			for (;;)
				run(c.fd, c.queue, VA, sizeof(struct octans_cmd_copy), 0);
		}
		usleep(20000 + round * 3000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	jobs_reaped();
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(objects(names[i]), before[i]);
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, put_nop(self->c.map), 0), 0);
}
