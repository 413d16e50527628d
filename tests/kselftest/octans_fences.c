// SPDX-License-Identifier: MIT
/*
 * Fences: those of jobs that never ran, those that outlive their file, their device and almost
 * their module, and those that are not ours and never seem to come.
 */
#include "octans_admin.h"
#include "vgem.h"

FIXTURE(fences) {
	struct client c;
	long users;		/* of the module, when there are no clients */
};

FIXTURE_SETUP(fences)
{
	ASSERT_TRUE(device_fresh());
	module_users_become(0);
	self->users = module_users();
	ASSERT_EQ(client_open(&self->c, 10000), 0);
	put_nop(self->c.map);
}

FIXTURE_TEARDOWN(fences)
{
	client_close(&self->c);
	faults_end();
	EXPECT_EQ(device_works(), 0);
}

/* ---- jobs that never ran ---- */

/* A sync_file of a job that was killed before it reached a ring; its client is gone. */
static int never_ran(struct test_metadata *_metadata, struct client *c, bool waits)
{
	struct drm_octans_sync s[2] = { { .flags = DRM_OCTANS_SYNC_SIGNAL },
					{ .flags = DRM_OCTANS_SYNC_SIGNAL } };
	struct sync_fence_info fence;
	uint32_t other;
	int file;

	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	ASSERT_EQ(syncobj_create(c->fd, &s[0].handle), 0);
	ASSERT_EQ(syncobj_create(c->fd, &s[1].handle), 0);
	if (waits) {	/* for another queue's job */
		ASSERT_EQ(queue_create(c->fd, c->vm, 10000, &other), 0);
		ASSERT_EQ(submit(c->fd, other, VA, 16, 0, &s[0], 1), 0);
		s[0].flags = 0;
		ASSERT_EQ(submit(c->fd, c->queue, VA, 16, 0, s, 2), 0);
	} else {	/* behind one that does not end */
		ASSERT_EQ(submit(c->fd, c->queue, VA, 16, 0, NULL, 0), 0);
		ASSERT_EQ(submit(c->fd, c->queue, VA, 16, 0, &s[1], 1), 0);
	}
	file = sync_file(c->fd, s[1].handle);
	ASSERT_GE(file, 0);
	usleep(300000);
	ASSERT_EQ(queue_destroy(c->fd, c->queue), 0);
	EXPECT_TRUE(signalled(file, 2000));
	EXPECT_EQ(file_info(file, &fence), -ECANCELED);
	client_close(c);
	faults_end();
	for (int i = 0; i < 50 && objects("jobs"); i++)
		usleep(100000);
	return file;
}

/*
 * Whoever holds such a fence may ask for its names when the device has long gone, and gives it back
 * to a driver that is still loaded.
 */
static void outlives(struct test_metadata *_metadata, struct client *c, long users, bool waits)
{
	int file = never_ran(_metadata, c, waits);
	struct sync_fence_info fence;

	sleep(1);		/* what ends later ends */
	/* without this, what comes would be the end of this kernel */
	ASSERT_GE(module_users(), users + 1);
	ASSERT_TRUE(unbind());
	usleep(200000);
	EXPECT_EQ(file_info(file, &fence), -ECANCELED);
	printf("# driver \"%.31s\", timeline \"%.31s\"\n", fence.driver_name, fence.obj_name);
	EXPECT_EQ(syscall(SYS_delete_module, "octans", O_NONBLOCK), -1);
	ASSERT_TRUE(bind_again());
	EXPECT_EQ(file_info(file, &fence), -ECANCELED);
	close(file);
	EXPECT_TRUE(module_users_become(users));
	ASSERT_EQ(client_open(c, 1000), 0);
}

TEST_F(fences, killed_job_outlives_the_device)
{
	outlives(_metadata, &self->c, self->users, false);
}

TEST_F(fences, waiting_job_outlives_the_device)
{
	outlives(_metadata, &self->c, self->users, true);
}

/* The same for one that ran: its syncobj, made a file of, and the module held by nothing else. */
TEST_F(fences, ended_job_outlives_the_device)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct sync_fence_info fence;
	int file;

	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, 16, 0, &out, 1), 0);
	ASSERT_EQ(sync_result(self->c.fd, out.handle, 10), 0);
	file = sync_file(self->c.fd, out.handle);
	ASSERT_GE(file, 0);
	client_close(&self->c);
	ASSERT_TRUE(unbind());
	usleep(200000);
	EXPECT_EQ(file_info(file, &fence), 1);
	ASSERT_TRUE(bind_again());
	EXPECT_EQ(file_info(file, &fence), 1);
	close(file);
	EXPECT_TRUE(module_users_become(self->users));
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}

/* ---- fences of others ---- */

/* One of another client of ours, whose job hangs for as long as it may. */
static int hanging_fence(struct client *c)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };

	if (!control_rings("hang ring", "") || client_open(c, 10000) ||
	    syncobj_create(c->fd, &out.handle) ||
	    submit(c->fd, c->queue, VA, put_nop(c->map), 0, &out, 1))
		return -1;
	return sync_file(c->fd, out.handle);
}

/* Queues of C that each hold a job which waits for FILE's fence. */
static int queues_behind(struct client *c, int file, uint32_t *queues, int n)
{
	struct drm_octans_sync in = { 0 };
	int ret = syncobj_create(c->fd, &in.handle);

	if (!ret)
		ret = import_sync_file(c->fd, in.handle, file);
	for (int i = 0; i < n && !ret; i++) {
		ret = queue_create(c->fd, c->vm, 1000, &queues[i]);
		if (!ret)
			ret = submit(c->fd, queues[i], VA, 16, 0, &in, 1);
	}
	return ret;
}

/* Nobody waits for a fence that is not ours, to destroy, to close or to exit. */
static void behind(struct test_metadata *_metadata, struct client *c, int file)
{
	uint32_t queues[OCTANS_MAX_RINGS];
	int64_t begin;
	int pipes[2];
	pid_t pid;
	char byte;

	ASSERT_EQ(queues_behind(c, file, queues, 1), 0);
	begin = now_ns();
	EXPECT_EQ(queue_destroy(c->fd, queues[0]), 0);
	printf("# QUEUE_DESTROY took %.2f s\n", seconds_since(begin));
	EXPECT_SOON(seconds_since(begin), 1);

	ASSERT_EQ(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		struct client other;

		_exit(client_open(&other, 1000) || !put_nop(other.map) ||
		      queues_behind(&other, file, queues, OCTANS_MAX_RINGS) || write(pipes[1], "x", 1) != 1 || pause());
	}
	close(pipes[1]);
	ASSERT_EQ(read(pipes[0], &byte, 1), 1);
	begin = now_ns();
	kill(pid, SIGKILL);
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	printf("# exit took %.2f s\n", seconds_since(begin));
	EXPECT_SOON(seconds_since(begin), 1);

	ASSERT_EQ(queues_behind(c, file, queues, 4), 0);
	begin = now_ns();
	client_close(c);
	printf("# close() took %.2f s\n", seconds_since(begin));
	EXPECT_SOON(seconds_since(begin), 1);
	EXPECT_TRUE(!signalled(file, 0));
}

TEST_F(fences, nobody_waits_for_another_client)
{
	struct client other;
	int file = hanging_fence(&other);

	if (file < 0)
		SKIP("no control port");
	behind(_metadata, &self->c, file);
	client_close(&other);
	faults_end();
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}

TEST_F(fences, nobody_waits_for_another_driver)
{
	int file = vgem_fence();

	if (file < 0)
		SKIP("no vgem");
	behind(_metadata, &self->c, file);
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}

/* A foreign fence comes: the job runs, not before. */
TEST_F(fences, another_drivers_fence_is_waited_for)
{
	struct drm_octans_sync s[2] = { { 0 }, { .flags = DRM_OCTANS_SYNC_SIGNAL } };
	volatile uint64_t *cell = (uint64_t *)(self->c.map + PAGE);
	int file = vgem_fence();

	if (file < 0)
		SKIP("no vgem");
	ASSERT_EQ(syncobj_create(self->c.fd, &s[0].handle), 0);
	ASSERT_EQ(syncobj_create(self->c.fd, &s[1].handle), 0);
	ASSERT_EQ(import_sync_file(self->c.fd, s[0].handle, file), 0);
	ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, put_time(self->c.map, VA + PAGE), 0, s, 2), 0);
	usleep(500000);
	EXPECT_EQ(cell[0], 0);
	EXPECT_EQ(sync_result(self->c.fd, s[1].handle, 20), 0);
	/* vgem lets a fence that nobody signals end by itself, and says when */
	EXPECT_TRUE(signalled(file, 0));
	EXPECT_TRUE(cell[0]);
}

/* The device goes while jobs wait for a fence that comes later, and comes then. */
TEST_F(fences, dependency_outlives_the_device)
{
	struct drm_octans_sync s[2] = { { 0 }, { .flags = DRM_OCTANS_SYNC_SIGNAL } };
	struct sync_fence_info fence;
	int file = vgem_fence(), ours;

	if (file < 0)
		SKIP("no vgem");
	ASSERT_EQ(syncobj_create(self->c.fd, &s[0].handle), 0);
	ASSERT_EQ(syncobj_create(self->c.fd, &s[1].handle), 0);
	ASSERT_EQ(import_sync_file(self->c.fd, s[0].handle, file), 0);
	ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, 16, 0, s, 2), 0);
	ours = sync_file(self->c.fd, s[1].handle);
	ASSERT_GE(ours, 0);
	ASSERT_TRUE(unbind());
	EXPECT_TRUE(signalled(ours, 1000));
	EXPECT_EQ(file_info(ours, &fence), -ENODEV);
	client_close(&self->c);
	ASSERT_TRUE(bind_again());
	EXPECT_TRUE(signalled(file, 12000));
	close(ours);
	EXPECT_TRUE(module_users_become(self->users));
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}

/* ---- order ---- */

static int point_wait(int fd, uint32_t handle, uint64_t point, unsigned int seconds)
{
	struct drm_syncobj_timeline_wait w = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&point, .count_handles = 1,
		.timeout_nsec = now_ns() + seconds * 1000000000ll,
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
	};

	return call(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &w);
}

/* Of two fences of one queue the later counts, in whatever order they are named, and how often. */
TEST_F(fences, later_of_one_queue)
{
	struct drm_octans_sync s[2] = { { .flags = DRM_OCTANS_SYNC_SIGNAL },
					{ .flags = DRM_OCTANS_SYNC_SIGNAL } };
	struct drm_octans_sync w[2][5], out[2];
	uint32_t first, queue[2];

	if (!control("hang tag 0x77"))
		SKIP("no control port");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &first), 0);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(syncobj_create(self->c.fd, &s[i].handle), 0);
		ASSERT_EQ(submit(self->c.fd, first, VA, 16, i ? 0x77 : 0, &s[i], 1), 0);
	}
	for (int i = 0; i < 2; i++) {
		out[i] = (struct drm_octans_sync) { .flags = DRM_OCTANS_SYNC_SIGNAL };
		ASSERT_EQ(syncobj_create(self->c.fd, &out[i].handle), 0);
		for (int n = 0; n < 4; n++)
			w[i][n] = (struct drm_octans_sync) { .handle = s[(n + i) % 2].handle };
		w[i][4] = out[i];
		ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &queue[i]), 0);
		ASSERT_EQ(submit(self->c.fd, queue[i], VA, 16, 0, w[i], 5), 0);
	}
	EXPECT_EQ(sync_result(self->c.fd, s[0].handle, 10), 0);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(sync_result(self->c.fd, out[i].handle, 1), -ETIMEDOUT);
	ASSERT_EQ(queue_destroy(self->c.fd, first), 0);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(sync_result(self->c.fd, out[i].handle, 10), 0);
	EXPECT_TRUE(control("hang tag 0"));
}

/* Points of a timeline that are given out of order: whatever it is worth, all jobs end. */
TEST_F(fences, points_out_of_order)
{
	static const uint64_t points[] = { 5, 3, 9, 1, 7 };
	struct drm_octans_sync s = { .flags = DRM_OCTANS_SYNC_SIGNAL | DRM_OCTANS_SYNC_TIMELINE };

	ASSERT_EQ(syncobj_create(self->c.fd, &s.handle), 0);
	for (int i = 0; i < 5; i++) {
		s.point = points[i];
		ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, 16, 0, &s, 1), 0);
	}
	EXPECT_EQ(point_wait(self->c.fd, s.handle, 9, 10), 0);
	for (int i = 0; i < 100 && objects("jobs"); i++)
		usleep(100000);
	EXPECT_EQ(objects("jobs"), 0);
}

/* One that failed is one that has come: the job runs, and looks for itself if it cares. */
TEST_F(fences, failed_dependency)
{
	struct drm_octans_sync s[2] = { { .flags = DRM_OCTANS_SYNC_SIGNAL },
					{ .flags = DRM_OCTANS_SYNC_SIGNAL } };
	volatile uint64_t *cell = (uint64_t *)(self->c.map + PAGE);
	struct client other;

	ASSERT_EQ(client_open(&other, 10000), 0);
	memset(other.map, 0xff, 16);
	ASSERT_EQ(syncobj_create(other.fd, &s[0].handle), 0);
	ASSERT_EQ(submit(other.fd, other.queue, VA, 16, 0, s, 1), 0);
	ASSERT_EQ(sync_result(other.fd, s[0].handle, 10), -EIO);
	/* as it is now, and as one that is to come */
	for (int i = 0; i < 2; i++) {
		int file;

		if (i) {
			uint32_t queue;

			ASSERT_EQ(queue_create(other.fd, other.vm, 300, &queue), 0);
			if (!control_rings("hang ring", ""))
				SKIP("no control port");
			ASSERT_EQ(submit(other.fd, queue, VA, 16, 0, s, 1), 0);
		}
		file = sync_file(other.fd, s[0].handle);
		ASSERT_GE(file, 0);
		s[0].flags = 0;
		ASSERT_EQ(syncobj_create(self->c.fd, &s[0].handle), 0);
		ASSERT_EQ(syncobj_create(self->c.fd, &s[1].handle), 0);
		ASSERT_EQ(import_sync_file(self->c.fd, s[0].handle, file), 0);
		cell[0] = 0;
		ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, put_time(self->c.map, VA + PAGE), 0, s, 2), 0);
		if (i) {
			usleep(100000);
			EXPECT_EQ(cell[0], 0);
			control_rings("hang ring", " off");	/* those that have none yet */
		}
		EXPECT_EQ(sync_result(self->c.fd, s[1].handle, 10), 0);
		EXPECT_NE(cell[0], 0);
		close(file);
		s[0].flags = DRM_OCTANS_SYNC_SIGNAL;
		ASSERT_EQ(syncobj_create(other.fd, &s[0].handle), 0);
	}
	client_close(&other);
}

static volatile bool stop;

static void *load(void *arg)
{
	struct client *c = arg;

	while (!stop)
		run(c->fd, c->queue, VA, 16, 0);
	return NULL;
}

/* Whatever rings a queue's jobs run on, one comes after the other. */
TEST_F(fences, order_on_changing_rings)
{
	volatile uint32_t *cell = (uint32_t *)(self->c.map + 8 * PAGE);
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	struct client other[3];
	pthread_t t[3];

	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	stop = false;
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(client_open(&other[i], 10000), 0);
		put_nop(other[i].map);
		ASSERT_EQ(pthread_create(&t[i], NULL, load, &other[i]), 0);
	}
	/* job n copies cell n to cell n + 1 */
	for (uint32_t n = 0; n < 400; n++)
		put_copy(self->c.map + n * 64, VA + 8 * PAGE + 4 * (n + 1), VA + 8 * PAGE + 4 * n, 4);
	for (uint32_t round = 1; round <= 3; round++) {
		cell[0] = round;
		for (uint32_t n = 0; n < 400; n++) {
			ASSERT_EQ(submit(self->c.fd, self->c.queue, VA + n * 64,
					 sizeof(struct octans_cmd_copy), 0, &out, 1), 0);
			if (n % 32 == 31)	/* a queue that runs dry may go elsewhere */
				usleep(20000);
		}
		ASSERT_EQ(sync_result(self->c.fd, out.handle, 50), 0);
		EXPECT_EQ(cell[400], round);
	}
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], NULL);
		client_close(&other[i]);
	}
}

/* A chain through two clients, 200 jobs long; its head is killed. */
TEST_F(fences, chain_of_two_clients)
{
	struct drm_octans_sync s[2] = { { 0 }, { .flags = DRM_OCTANS_SYNC_SIGNAL } };
	struct client *who[2] = { &self->c }, other;
	uint32_t first;
	int file;

	ASSERT_EQ(client_open(&other, 10000), 0);
	put_nop(other.map);
	who[1] = &other;
	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &first), 0);
	ASSERT_EQ(syncobj_create(self->c.fd, &s[1].handle), 0);
	ASSERT_EQ(submit(self->c.fd, first, VA, 16, 0, &s[1], 1), 0);
	file = sync_file(self->c.fd, s[1].handle);
	for (int i = 1; i < 200; i++) {
		struct client *c = who[i % 2];

		ASSERT_GE(file, 0);
		ASSERT_EQ(syncobj_create(c->fd, &s[0].handle), 0);
		ASSERT_EQ(syncobj_create(c->fd, &s[1].handle), 0);
		ASSERT_EQ(import_sync_file(c->fd, s[0].handle, file), 0);
		ASSERT_EQ(submit(c->fd, c->queue, VA, 16, 0, s, 2), 0);
		close(file);
		file = sync_file(c->fd, s[1].handle);
	}
	usleep(200000);
	EXPECT_TRUE(!signalled(file, 0));
	faults_end();		/* the one that hangs now still does, until it is reset */
	ASSERT_EQ(queue_destroy(self->c.fd, first), 0);
	EXPECT_TRUE(signalled(file, 10000));
	close(file);
	client_close(&other);
}
