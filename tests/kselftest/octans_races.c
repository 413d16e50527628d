// SPDX-License-Identifier: MIT
/*
 * Two things at once: a verdict and the end of the job that it is about, a call and the removal of
 * the device, a reset and the calls of others.  Where the window is small, octans_widen.ko holds it
 * open at a function of the driver; a driver without that function is met by chance.
 */
#include "octans_admin.h"

#define CELL (VA + 15 * PAGE)
#define FAR (VA + (1ull << 30))

FIXTURE(races) {
	struct client c;
};

FIXTURE_SETUP(races)
{
	ASSERT_TRUE(device_fresh());
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}

FIXTURE_TEARDOWN(races)
{
	client_close(&self->c);
	faults_end();
	EXPECT_EQ(device_works(), 0);
}

static volatile bool stop;

static int threads_start(pthread_t *t, int n, void *(*f)(void *), void *arg)
{
	int ret = 0;

	stop = false;
	for (int i = 0; i < n && !ret; i++)
		ret = pthread_create(&t[i], NULL, f, arg);
	return ret;
}

static void threads_end(pthread_t *t, int n)
{
	stop = true;
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

/* ---- a verdict about one job, and the reset that acts on it ---- */

/* Where a driver has judged, and has not yet reset. */
static const char *const between_verdict_and_reset[] = {
	"octans_recover", "octans_ring_disable", NULL
};

/*
 * A's job ends between the verdict about it and the reset; behind it on the ring comes B's, who is
 * honest.  On each ring one.
 */
static void verdict_meets_end(struct test_metadata *_metadata, struct client *a, bool timeout)
{
	uint32_t queue[OCTANS_MAX_RINGS], n, rings = rings_of(a->fd);
	struct drm_octans_sync out[OCTANS_MAX_RINGS];
	struct client b[OCTANS_MAX_RINGS];
	struct drm_octans_queue_query q;

	n = slow_job(a->map, 0.35);
	if (!control("stat"))
		SKIP("no control port");
	widen(between_verdict_and_reset, 400, 0);
	for (uint32_t i = 0; i < rings; i++) {
		ASSERT_EQ(queue_create(a->fd, a->vm, timeout ? 100 : 2000, &queue[i]), 0);
		ASSERT_EQ(submit(a->fd, queue[i], VA, n, 0xa, NULL, 0), 0);
	}
	usleep(100000);
	for (uint32_t i = 0; i < rings; i++) {
		ASSERT_EQ(client_open(&b[i], 10000), 0);
		out[i] = (struct drm_octans_sync) { .flags = DRM_OCTANS_SYNC_SIGNAL };
		ASSERT_EQ(syncobj_create(b[i].fd, &out[i].handle), 0);
		ASSERT_EQ(submit(b[i].fd, b[i].queue, VA, put_nops(b[i].map, 600), 0xb, &out[i], 1), 0);
	}
	for (uint32_t i = 0; i < rings && !timeout; i++)
		EXPECT_EQ(queue_destroy(a->fd, queue[i]), 0);
	for (uint32_t i = 0; i < rings; i++) {
		EXPECT_EQ(sync_result(b[i].fd, out[i].handle, 20), 0);
		ASSERT_EQ(queue_state(&b[i], &q), 0);
		EXPECT_EQ(q.state, 0);
		client_close(&b[i]);
	}
	printf("# held up %ld times\n", widen_end());
	slow_end();
}

TEST_F_TIMEOUT(races, kill_meets_the_next_job, 120)
{
	verdict_meets_end(_metadata, &self->c, false);
}

TEST_F_TIMEOUT(races, timeout_meets_the_next_job, 120)
{
	verdict_meets_end(_metadata, &self->c, true);
}

struct honest {
	struct client c;
	long jobs;
	int error;
};

static void *honest_loop(void *arg)
{
	struct honest *h = arg;
	uint32_t size = put_nops(h->c.map, 4);

	while (!stop && !h->error) {
		h->error = run(h->c.fd, h->c.queue, VA, size, 0);
		h->jobs++;
	}
	return NULL;
}

/* The same by chance, at many moments: {make a queue, submit, destroy} beside honest clients. */
TEST_F_TIMEOUT(races, destroy_beside_others, 120)
{
	struct honest h[6] = { 0 };
	pthread_t t[6];
	unsigned int pause_us = 0;
	long jobs = 0, rounds = 0;
	int64_t begin = now_ns();
	uint32_t queue;

	control_rings("slow", " 500");
	put_nops(self->c.map, 2);
	stop = false;
	for (int i = 0; i < 6; i++) {
		ASSERT_EQ(client_open(&h[i].c, 10000), 0);
		ASSERT_EQ(pthread_create(&t[i], NULL, honest_loop, &h[i]), 0);
	}
	for (; seconds_since(begin) < 15; rounds++) {
		ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 1000, &queue), 0);
		ASSERT_EQ(submit(self->c.fd, queue, VA, 32, 0, NULL, 0), 0);
		usleep(pause_us);
		pause_us = (pause_us + 170) % 8000;
		ASSERT_EQ(queue_destroy(self->c.fd, queue), 0);
	}
	threads_end(t, 6);
	for (int i = 0; i < 6; i++) {
		EXPECT_EQ(h[i].error, 0);
		jobs += h[i].jobs;
		client_close(&h[i].c);
	}
	printf("# %ld queues destroyed beside %ld jobs of others\n", rounds, jobs);
}

/*
 * A queue is destroyed when its job is on its way to the ring: it must not be left there, to hang
 * until its own limit.
 */
static void *submit_one(void *arg)
{
	struct client *c = arg;

	submit(c->fd, c->queue, VA, 16, 0, NULL, 0);
	return NULL;
}

TEST_F_TIMEOUT(races, kill_before_the_ring, 120)
{
	static const char *const emit[] = { "octans_ring_emit", "octans_job_push", NULL };
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	pthread_t t;
	int64_t begin;

	put_nop(self->c.map);
	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &self->c.queue), 0);
	widen(emit, 300, 1);
	ASSERT_EQ(pthread_create(&t, NULL, submit_one, &self->c), 0);
	usleep(100000);
	begin = now_ns();
	queue_destroy(self->c.fd, self->c.queue);
	pthread_join(t, NULL);
	printf("# held up %ld times\n", widen_end());
	/* no ring is occupied by it until its own limit */
	for (int i = 0; i < 50 && objects("jobs"); i++)
		usleep(100000);
	EXPECT_EQ(objects("jobs"), 0);
	EXPECT_SOON(seconds_since(begin), 4);
	for (int i = 0; i < 100 && objects("jobs"); i++)
		usleep(100000);
}

/* ---- a call, and the removal of the device ---- */

struct caller {
	struct client *c;
	int (*call)(struct client *c);
	pthread_t thread;
	int ret;
	int64_t end;
};

static void *caller_thread(void *arg)
{
	struct caller *caller = arg;

	caller->ret = caller->call(caller->c);
	caller->end = now_ns();
	return NULL;
}

/*
 * CALL is held up in one of FUNCTIONS while the driver is unbound.  Either the removal waits,
 * or the call fails: what reaches for the HARDWARE and has succeeded later than the removal has used a
 * device that is gone.
 */
static void across_unbind(struct test_metadata *_metadata, struct client *c,
			  int (*call)(struct client *c), const char *const *functions, bool hardware)
{
	struct caller caller = { .c = c, .call = call };
	int64_t gone;

	if (!widen(functions, 1000, 1)) {
		widen_end();
		SKIP("no octans_widen.ko, or no such function in this driver");
	}
	ASSERT_EQ(pthread_create(&caller.thread, NULL, caller_thread, &caller), 0);
	usleep(200000);
	EXPECT_TRUE(unbind());
	gone = now_ns();
	pthread_join(caller.thread, NULL);
	printf("# held up %ld times; the call: %d, %s the removal\n", widen_end(), caller.ret,
	       caller.end < gone ? "before the end of" : "after");
	EXPECT_TRUE(caller.ret == -ENODEV || !caller.ret);
	if (hardware && !caller.ret)
		EXPECT_LE(caller.end, gone + 50000000);
	client_close(c);
	EXPECT_TRUE(module_users_become(0));
	ASSERT_TRUE(bind_again());
	ASSERT_EQ(client_open(c, 1000), 0);
}

static int call_vm_create(struct client *c)
{
	uint32_t id;

	return vm_create(c->fd, &id);
}

static int call_vm_bind(struct client *c)
{
	return vm_map(c->fd, c->vm, c->bo, 0, FAR, PAGE, 0);
}

static int call_bo_create(struct client *c)
{
	uint32_t id;

	return bo_create(c->fd, 1 << 20, DRM_OCTANS_BO_DEVICE, &id);
}

static int call_queue_create(struct client *c)
{
	uint32_t id;

	return queue_create(c->fd, c->vm, 1000, &id);
}

static int call_submit(struct client *c)
{
	put_nop(c->map);
	return submit(c->fd, c->queue, VA, 16, 0, NULL, 0);
}

TEST_F(races, vm_create_across_unbind)
{
	static const char *const at[] = { "octans_mmu_set", NULL };

	across_unbind(_metadata, &self->c, call_vm_create, at, true);
}

TEST_F(races, vm_bind_across_unbind)
{
	static const char *const at[] = { "octans_pt_map", "octans_mmu_flush", NULL };

	across_unbind(_metadata, &self->c, call_vm_bind, at, true);
}

TEST_F(races, bo_create_across_unbind)
{
	static const char *const at[] = { "octans_local_alloc", NULL };

	across_unbind(_metadata, &self->c, call_bo_create, at, true);
}

TEST_F(races, queue_create_across_unbind)
{
	static const char *const at[] = { "octans_vm_get", "octans_vm_lookup", NULL };

	across_unbind(_metadata, &self->c, call_queue_create, at, false);
}

TEST_F(races, submit_across_unbind)
{
	static const char *const at[] = { "octans_queue_get", NULL };

	across_unbind(_metadata, &self->c, call_submit, at, false);
}

static void *unbind_thread(void *arg)
{
	*(bool *)arg = unbind();
	return NULL;
}

/*
 * Memory is given back when the processor can no longer reach it: while the removal is held up
 * before it takes the right to DMA away, an unmapping must not return with the job still writing.
 */
TEST_F(races, unmap_while_dma_is_cut)
{
	static const char *const cut[] = { "pci_clear_master", NULL };
	volatile uint64_t *cell = (uint64_t *)(self->c.map + 15 * PAGE), seen;
	uint32_t n = 0, queue;
	bool unbound = false;
	pthread_t t;
	int ret;

	if (!control_rings("slow", " 1000"))
		SKIP("no control port");
	for (int i = 0; i < 1800; i++)
		n += put_time(self->c.map + n, CELL);
	ASSERT_GE(15 * PAGE, n);
	ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &queue), 0);
	ASSERT_EQ(submit(self->c.fd, queue, VA, n, 0, NULL, 0), 0);
	for (int i = 0; i < 100 && !cell[0]; i++)
		usleep(10000);
	ASSERT_NE(cell[0], 0);
	if (!widen(cut, 500, 1))
		SKIP("no octans_widen.ko");
	ASSERT_EQ(pthread_create(&t, NULL, unbind_thread, &unbound), 0);
	usleep(100000);
	ret = vm_unmap(self->c.fd, self->c.vm, CELL, PAGE);
	seen = cell[0];
	usleep(200000);
	EXPECT_TRUE(!ret || ret == -ENODEV);
	EXPECT_EQ(cell[0], seen);
	pthread_join(t, NULL);
	printf("# the unmapping: %d, the removal held up %ld times\n", ret, widen_end());
	EXPECT_TRUE(unbound);
	client_close(&self->c);
	ASSERT_TRUE(bind_again());
	slow_end();
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}

/* Everything that can be made, and used, until the device is gone; and again. */
static void *make_everything(void *arg)
{
	struct client c;
	uint32_t id;

	(void)arg;
	while (!stop) {
		if (client_open(&c, 1000)) {
			if (c.fd >= 0)
				close(c.fd);
			usleep(1000);
			continue;
		}
		put_nop(c.map);
		for (int i = 0; i < 20; i++) {
			struct drm_octans_vm_destroy d = { 0 };

			if (vm_create(c.fd, &id))
				break;
			d.id = id;
			bo_create(c.fd, PAGE << (i % 8), i % 2 ? DRM_OCTANS_BO_DEVICE : 0, &id);
			vm_map(c.fd, c.vm, id, 0, FAR, PAGE, 0);
			queue_create(c.fd, c.vm, 1000, &id);
			submit(c.fd, id, VA, 16, 0, NULL, 0);
			if (i % 3)
				queue_destroy(c.fd, id);
			vm_unmap(c.fd, c.vm, FAR, PAGE);
			call(c.fd, DRM_IOCTL_OCTANS_VM_DESTROY, &d);
		}
		client_close(&c);
	}
	return NULL;
}

TEST_F_TIMEOUT(races, unbind_beside_makers, 120)
{
	pthread_t t[6];
	int64_t begin = now_ns();
	int rounds = 0;

	client_close(&self->c);
	ASSERT_EQ(threads_start(t, 6, make_everything, NULL), 0);
	for (; seconds_since(begin) < 15; rounds++) {
		usleep(100000 + rounds * 7919 % 150000);
		ASSERT_TRUE(unbind());
		ASSERT_TRUE(write_file("/sys/bus/pci/drivers/octans/bind", bdf()));
	}
	threads_end(t, 6);
	printf("# unbound %d times\n", rounds);
	ASSERT_EQ(client_open(&self->c, 1000), 0);
	client_close(&self->c);
	EXPECT_TRUE(module_users_become(0));
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}

static int submit_many(struct client *c, uint32_t queue, int n)
{
	static struct drm_octans_job list[64];
	int ret = 0;

	for (int i = 0; i < 64; i++)
		list[i] = (struct drm_octans_job) { .va = VA, .size = 16 };
	for (; n > 0 && !ret; n -= 64) {
		struct drm_octans_submit s = {
			.queue_id = queue, .jobs = { sizeof(list[0]), 64, (uintptr_t)list },
		};

		ret = call(c->fd, DRM_IOCTL_OCTANS_SUBMIT, &s);
	}
	return ret;
}

/* A process with as many jobs as it gets, up to COUNT, that then waits to be killed. */
static pid_t queuer(int count, int ready)
{
	pid_t pid = fork();
	struct client c;
	uint32_t queue;

	if (pid)
		return pid;
	if (client_open(&c, 10000))
		_exit(1);
	put_nop(c.map);
	for (; count > 0; count -= 512)
		if (queue_create(c.fd, c.vm, 10000, &queue) || submit_many(&c, queue, 512))
			break;
	(void)!write(ready, "x", 1);
	pause();
	_exit(0);
}

/* The device and all who have jobs on it go in the same moment. */
TEST_F_TIMEOUT(races, unplug_with_ten_thousand_jobs, 180)
{
	int pipes[2], status;
	pid_t pid[4];
	char byte;

	client_close(&self->c);
	if (!control_rings("hang ring", ""))
		SKIP("no control port");
	for (int round = 0; round < 3; round++) {
		ASSERT_EQ(pipe(pipes), 0);
		for (int i = 0; i < 4; i++)
			pid[i] = queuer(2560, pipes[1]);
		for (int i = 0; i < 4; i++)
			ASSERT_EQ(read(pipes[0], &byte, 1), 1);
		printf("# %lld jobs are queued\n", objects("jobs"));
		for (int i = 0; i < 4 && round < 2; i++)
			kill(pid[i], SIGKILL);
		if (round)
			ASSERT_TRUE(unbind());
		else
			ASSERT_TRUE(pci_do("remove"));
		for (int i = 0; i < 4; i++) {
			kill(pid[i], SIGKILL);
			ASSERT_EQ(waitpid(pid[i], &status, 0), pid[i]);
		}
		close(pipes[0]);
		close(pipes[1]);
		/* nothing holds the driver, so nothing waits for anything */
		EXPECT_TRUE(module_users_become(0));
		ASSERT_TRUE(round ? bind_again() : rescan());
	}
	faults_end();
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}

/* ---- a reset, and the calls of others ---- */

static void *bind_loop(void *arg)
{
	struct client *c = arg;
	unsigned int seed = c->fd;
	long done = 0;

	while (!stop) {
		usleep(rand_r(&seed) % 4000);
		if (vm_map(c->fd, c->vm, c->bo, 0, FAR, PAGE, 0) || vm_unmap(c->fd, c->vm, FAR, PAGE))
			return (void *)-1l;
		done++;
	}
	return (void *)done;
}

static void beside_binders(struct test_metadata *_metadata, int rounds,
			   void (*reset)(struct test_metadata *_metadata, struct client *c),
			   struct client *c)
{
	struct client binder[2];
	long long resets = objects("resets");
	pthread_t t[2];
	void *done;

	stop = false;
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(client_open(&binder[i], 1000), 0);
		ASSERT_EQ(pthread_create(&t[i], NULL, bind_loop, &binder[i]), 0);
	}
	for (int i = 0; i < rounds; i++)
		reset(_metadata, c);
	stop = true;
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &done);
		EXPECT_GE((long)done, 1);
		/* what it has mapped is what the device sees */
		EXPECT_EQ(vm_map(binder[i].fd, binder[i].vm, binder[i].bo, 0, FAR, PAGE, 0), 0);
		put_time(binder[i].map, FAR + 256);
		EXPECT_EQ(run(binder[i].fd, binder[i].queue, VA, sizeof(struct octans_cmd_signal), 0), 0);
		client_close(&binder[i]);
	}
	EXPECT_GE(objects("resets"), resets + rounds);
}

static void function_reset(struct test_metadata *_metadata, struct client *c)
{
	ASSERT_TRUE(pci_do("reset"));
	usleep(100000);
	EXPECT_EQ(run(c->fd, c->queue, VA, put_nop(c->map), 0), 0);
}

TEST_F_TIMEOUT(races, function_reset_beside_binders, 120)
{
	beside_binders(_metadata, 10, function_reset, &self->c);
}

static void device_reset(struct test_metadata *_metadata, struct client *c)
{
	uint32_t queue;

	ASSERT_TRUE(control_rings("fail-reset ring", ""));
	ASSERT_TRUE(control_rings("hang ring", ""));
	ASSERT_EQ(queue_create(c->fd, c->vm, 300, &queue), 0);
	EXPECT_EQ(run(c->fd, queue, VA, put_nop(c->map), 0), -ETIME);
	control_rings("hang ring", " off");
	control_rings("fail-reset ring", " 0");
	queue_destroy(c->fd, queue);
}

TEST_F_TIMEOUT(races, device_reset_beside_binders, 120)
{
	if (!control("stat"))
		SKIP("no control port");
	beside_binders(_metadata, 5, device_reset, &self->c);
}

/* For a hang that nobody else has, or a fault of another before that: no ring reset ends either. */
static void device_reset_of_one(struct test_metadata *_metadata, struct client *c)
{
	uint32_t queue;
	int ret;

	ASSERT_TRUE(control_rings("fail-reset ring", ""));
	ASSERT_TRUE(control("hang tag 0x777"));
	ASSERT_EQ(queue_create(c->fd, c->vm, 300, &queue), 0);
	ret = run(c->fd, queue, VA, put_nop(c->map), 0x777);
	EXPECT_TRUE(ret == -ETIME || ret == -ECANCELED);
	control_rings("fail-reset ring", " 0");
	queue_destroy(c->fd, queue);
}

struct looker {
	struct client c;
	pthread_t thread;
	long looks;
	int error;
};

/*
 * Many mappings in one call, each with a table of its own; then a job looks at all of them.  What it
 * finds is what was mapped there last, another page each time.
 */
static void *look_loop(void *arg)
{
	enum { N = 32, APART = 2 << 20 };
	struct looker *l = arg;
	volatile uint32_t *seen = (uint32_t *)(l->c.map + 12 * PAGE);
	struct drm_octans_bind_op ops[N];
	struct client *c = &l->c;

	for (uint32_t page = 4; page < 12; page++)
		*(uint32_t *)(c->map + page * PAGE) = 1000 + page;
	for (; !stop && !l->error; l->looks++) {
		uint32_t size = 0;

		for (uint64_t i = 0; i < N; i++) {
			ops[i] = (struct drm_octans_bind_op) {
				.kind = DRM_OCTANS_BIND_MAP, .handle = c->bo, .va = FAR + i * APART,
				.offset = (4 + (l->looks + i) % 8) * PAGE, .size = PAGE,
			};
			size += put_copy(c->map + size, VA + 12 * PAGE + 4 * i, ops[i].va, 4);
		}
		l->error = vm_bind(c->fd, c->vm, ops, N);
		if (!l->error)
			l->error = run(c->fd, c->queue, VA, size, 0);
		for (uint32_t i = 0; i < N && !l->error; i++)
			if (seen[i] != 1004 + (l->looks + i) % 8)
				l->error = -EBADMSG;
		if (!l->error)
			l->error = vm_unmap(c->fd, c->vm, FAR, (uint64_t)N * APART);
	}
	return NULL;
}

/* What `accelctl reset` does, and what the driver does by itself, with page tables on the card. */
TEST_F_TIMEOUT(races, card_tables_beside_resets, 180)
{
	static const char *const commands =
		"accelctl reset %s --force >/tmp/reset.log 2>&1 || { sed 's/^/# /' /tmp/reset.log; false; }";
	static const char *const map[] = { "octans_pt_map", NULL };
	long long resets = objects("resets"), own = control_stat("device_resets");
	struct looker l[3] = { 0 };
	char line[256];

	if (system("command -v accelctl >/dev/null"))
		SKIP("no accelctl");
	widen(map, 1, 0);	/* so that most resets meet calls that write tables */
	stop = false;
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(client_open(&l[i].c, 10000), 0);
		ASSERT_EQ(pthread_create(&l[i].thread, NULL, look_loop, &l[i]), 0);
	}
	snprintf(line, sizeof(line), commands, strrchr(node(), '/') + 1);
	for (int i = 0; i < 6; i++) {
		EXPECT_GE(objects("card_table_bytes"), 1);
		EXPECT_EQ(system(line), 0);
		if (own >= 0)
			device_reset_of_one(_metadata, &self->c);
	}
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(l[i].thread, NULL);
		printf("# looked %ld times, at last %d\n", l[i].looks, l[i].error);
		EXPECT_EQ(l[i].error, 0);
		EXPECT_GE(l[i].looks, 6);
		client_close(&l[i].c);
	}
	widen_end();
	EXPECT_EQ(objects("resets"), resets + (own >= 0 ? 12 : 6));
}

/* A function reset with jobs on every ring, and others that wait: what waited runs. */
TEST_F_TIMEOUT(races, function_reset_with_work, 60)
{
	struct drm_octans_sync out[2 * OCTANS_MAX_RINGS], last = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	uint32_t queue[2 * OCTANS_MAX_RINGS], n = slow_job(self->c.map, 1), size;
	uint32_t rings = rings_of(self->c.fd), lost = 0;
	struct client other;

	if (!control("stat"))
		SKIP("no control port");
	for (uint32_t i = 0; i < 2 * rings; i++) {
		out[i] = (struct drm_octans_sync) { .flags = DRM_OCTANS_SYNC_SIGNAL };
		ASSERT_EQ(syncobj_create(self->c.fd, &out[i].handle), 0);
		ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 10000, &queue[i]), 0);
		ASSERT_EQ(submit(self->c.fd, queue[i], VA, n, 0, &out[i], 1), 0);
	}
	ASSERT_EQ(client_open(&other, 10000), 0);
	size = put_time(other.map, VA + PAGE);
	ASSERT_EQ(syncobj_create(other.fd, &last.handle), 0);
	ASSERT_EQ(submit(other.fd, other.queue, VA, size, 0, &last, 1), 0);
	usleep(200000);
	ASSERT_TRUE(pci_do("reset"));
	for (uint32_t i = 0; i < 2 * rings; i++) {
		int ret = sync_result(self->c.fd, out[i].handle, 20);

		EXPECT_TRUE(!ret || ret == -ECANCELED);
		lost += !!ret;
	}
	EXPECT_EQ(sync_result(other.fd, last.handle, 20), 0);
	printf("# %u of %u jobs ran and are lost\n", lost, 2 * rings);
	EXPECT_LE(lost, rings);
	slow_end();
	client_close(&other);
}

/* ---- what was unmapped ---- */

struct writer {
	struct client c;
	pthread_t thread[2];
	long unmapped, late;
	int error;
};

/* Stores the time on a page of its own, all the time that there is one. */
static void *store_loop(void *arg)
{
	struct writer *w = arg;
	uint32_t size = 0, queue = w->c.queue;

	for (int i = 0; i < 64; i++)
		size += put_time(w->c.map + size, FAR + 15 * PAGE);
	while (!stop) {
		int ret = run(w->c.fd, queue, VA, size, 0);

		if (ret == -ENODEV)
			break;
		/* of course: the page was not there; its queue is banned for that */
		if (ret)
			ret = queue_create(w->c.fd, w->c.vm, 10000, &queue);
		if (ret == -EACCES)
			usleep(100000);
	}
	return NULL;
}

/* Takes the page away, and looks whether it is still written. */
static void *unmap_loop(void *arg)
{
	volatile uint64_t *cell;
	struct writer *w = arg;
	uint64_t seen;

	cell = (uint64_t *)(w->c.map + 15 * PAGE);
	while (!stop && !w->error) {
		w->error = vm_map(w->c.fd, w->c.vm, w->c.bo, 0, FAR, 16 * PAGE, 0);
		usleep(2000);
		if (!w->error)
			w->error = vm_unmap(w->c.fd, w->c.vm, FAR, 16 * PAGE);
		seen = cell[0];
		usleep(500);
		w->late += cell[0] != seen;
		w->unmapped++;
	}
	return NULL;
}

static void written_after_unmap(struct test_metadata *_metadata, int rounds,
				void (*reset)(struct test_metadata *_metadata, struct client *c),
				struct client *c)
{
	struct writer w = { 0 };

	if (!control("stat"))
		SKIP("no control port");
	ASSERT_EQ(client_open(&w.c, 10000), 0);
	stop = false;
	ASSERT_EQ(pthread_create(&w.thread[0], NULL, store_loop, &w), 0);
	ASSERT_EQ(pthread_create(&w.thread[1], NULL, unmap_loop, &w), 0);
	for (int i = 0; i < rounds; i++) {
		usleep(50000);
		reset(_metadata, c);
	}
	threads_end(w.thread, 2);
	printf("# unmapped %ld times, written later %ld times, at last %d\n", w.unmapped, w.late,
	       w.error);
	EXPECT_EQ(w.late, 0);
	EXPECT_GE(w.unmapped, rounds);
	EXPECT_TRUE(!w.error || w.error == -ENODEV);
	client_close(&w.c);
}

TEST_F_TIMEOUT(races, nothing_is_written_after_unmap_and_function_reset, 120)
{
	written_after_unmap(_metadata, 8, function_reset, &self->c);
}

TEST_F_TIMEOUT(races, nothing_is_written_after_unmap_and_device_reset, 120)
{
	long long resets = control_stat("device_resets");

	written_after_unmap(_metadata, 4, device_reset_of_one, &self->c);
	EXPECT_GE(control_stat("device_resets"), resets + 4);
}

/* Cut off, a device reaches nothing; and all who wait for it are told. */
static void wedge(struct test_metadata *_metadata, struct client *c)
{
	uint32_t queue;

	ASSERT_TRUE(control_rings("fail-reset ring", " 100"));
	ASSERT_TRUE(control("fail-reset device 100"));
	ASSERT_TRUE(control_rings("hang ring", ""));
	ASSERT_EQ(queue_create(c->fd, c->vm, 300, &queue), 0);
	EXPECT_EQ(run(c->fd, queue, VA, put_nop(c->map), 0), -ENODEV);
	usleep(200000);
}

TEST_F_TIMEOUT(races, nothing_is_written_after_unmap_and_the_end, 120)
{
	pthread_t t[2];
	struct client b[2];
	int64_t begin;
	void *done;

	stop = false;
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(client_open(&b[i], 1000), 0);
		ASSERT_EQ(pthread_create(&t[i], NULL, bind_loop, &b[i]), 0);
	}
	written_after_unmap(_metadata, 1, wedge, &self->c);
	begin = now_ns();
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &done);
		EXPECT_EQ(vm_map(b[i].fd, b[i].vm, b[i].bo, 0, FAR, PAGE, 0), -ENODEV);
		client_close(&b[i]);
	}
	EXPECT_SOON(seconds_since(begin), 2);
	client_close(&self->c);
	faults_end();
	ASSERT_TRUE(unbind());
	ASSERT_TRUE(bind_again());
	ASSERT_EQ(client_open(&self->c, 1000), 0);
}
