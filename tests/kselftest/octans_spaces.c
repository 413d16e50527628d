// SPDX-License-Identifier: MIT
/* Address spaces, while the device goes, a process is killed, or others wait. */
#include "octans_admin.h"

FIXTURE(spaces) {
	struct client c;
};

FIXTURE_SETUP(spaces)
{
	ASSERT_EQ(client_open(&self->c, 0), 0);
}

FIXTURE_TEARDOWN(spaces)
{
	(void)_metadata;
	client_close(&self->c);
}

/* Who maps where nothing was does not wait for the processor, which may be busy. */
TEST_F(spaces, new_mappings_wait_for_nobody)
{
	struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL };
	int64_t t;

	if (!control_rings("slow", " 20000"))
		SKIP("no control port");
	ASSERT_EQ(syncobj_create(self->c.fd, &out.handle), 0);
	ASSERT_EQ(submit(self->c.fd, self->c.queue, VA, put_nops(self->c.map, 100), 0, &out, 1), 0);
	usleep(100000);
	ASSERT_TRUE(control_rings("hold ring", ""));
	t = now_ns();
	EXPECT_EQ(vm_map(self->c.fd, self->c.vm, self->c.bo, 0, 2 * VA, 16 * PAGE, 0), 0);
	t = now_ns() - t;
	EXPECT_SOON(t, 300000000);
	control_rings("hold ring", " off");
	EXPECT_EQ(sync_result(self->c.fd, out.handle, 30), 0);
	control_rings("slow", " 0");
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA,
		      put_copy(self->c.map, 2 * VA + PAGE, VA, 64), 0), 0);
}

struct mapping {
	struct client *c;
	uint64_t va;
	int ret;
};

static void *mapping_thread(void *arg)
{
	struct mapping *m = arg;

	m->ret = vm_map(m->c->fd, m->c->vm, m->c->bo, 0, m->va, 16 * PAGE, 0);
	return NULL;
}

/*
 * What is written to tables on the card while the function is being reset does not arrive: a mapping
 * that is made in that moment is there all the same, and what is taken away is away.
 */
TEST_F_TIMEOUT(spaces, bound_while_the_card_is_away, 120)
{
	static const char *const map[] = { "octans_pt_map", NULL };
	static const char *const unmap[] = { "octans_pt_unmap", NULL };
	volatile uint32_t *seen = (uint32_t *)(self->c.map + 8 * PAGE);
	struct mapping m = { .c = &self->c };
	struct unmapping u;
	pthread_t t;
	int met = 0;

	if (!widen(map, 1, 1))
		SKIP("no octans_widen.ko");
	widen_end();
	for (uint32_t i = 0; i < 5; i++) {
		m.va = 2 * VA + i * (1ull << 31);
		/* entries are written when the reset is under way, which takes 0.1 s and more */
		ASSERT_TRUE(widen(map, 100 + i * 50, 1));
		ASSERT_EQ(pthread_create(&t, NULL, mapping_thread, &m), 0);
		usleep(50000);
		EXPECT_TRUE(pci_do("reset"));
		pthread_join(t, NULL);
		met += widen_end();
		EXPECT_EQ(m.ret, 0);
		*(uint32_t *)(self->c.map + 4 * PAGE) = 1000 + i;
		EXPECT_EQ(run(self->c.fd, self->c.queue, VA,
			      put_copy(self->c.map, VA + 8 * PAGE, m.va + 4 * PAGE, 4), 0), 0);
		EXPECT_EQ(*seen, 1000 + i);

		ASSERT_TRUE(widen(unmap, 100 + i * 50, 1));
		ASSERT_EQ(unmapping_start(&u, &self->c, m.va), 0);
		usleep(50000);
		EXPECT_TRUE(pci_do("reset"));
		pthread_join(u.thread, NULL);
		met += widen_end();
		EXPECT_EQ(u.ret, 0);
		EXPECT_EQ(run(self->c.fd, self->c.queue, VA,
			      put_copy(self->c.map, VA + 8 * PAGE, m.va, 4), 0), -EFAULT);
		ASSERT_EQ(queue_create(self->c.fd, self->c.vm, 0, &self->c.queue), 0);
	}
	EXPECT_GE(met, 10);
}

/* A process that is killed in a call of 4,096 large mappings ends soon. */
TEST_F_TIMEOUT(spaces, killed_while_it_maps, 120)
{
	enum { N = 4096, MANY = 192 << 20 };
	struct drm_octans_bind_op *ops = calloc(N, sizeof(*ops));
	int64_t t;
	int status;
	pid_t pid;

	ASSERT_TRUE(ops);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int fd = node_open();
		uint32_t vm, bo;

		if (vm_create(fd, &vm) || bo_create(fd, MANY, 0, &bo))
			_exit(1);
		for (int i = 0; i < N; i++)	/* never aligned to anything large */
			ops[i] = (struct drm_octans_bind_op) {
				.handle = bo, .size = MANY, .va = VA + PAGE * (1 + i % 3 * 2),
			};
		vm_bind(fd, vm, ops, N);
		_exit(2);
	}
	usleep(1500000);
	ASSERT_EQ(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	t = now_ns();
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_SOON(now_ns() - t, 1500000000);
	free(ops);
}

static volatile bool stop;

/* Makes and ends address spaces until the device is gone. */
static void *make_spaces(void *arg)
{
	(void)arg;
	while (!stop) {
		struct drm_octans_vm_destroy d = { 0 };
		int fd = node_open(), ret = 0;
		uint32_t bo, held;

		if (fd < 0)
			continue;
		bo_create(fd, 4 * PAGE, 0, &bo);
		vm_create(fd, &held);
		while (!stop && ret != -ENODEV) {
			ret = vm_create(fd, &d.id);
			if (ret)
				continue;
			vm_map(fd, d.id, bo, 0, VA, 4 * PAGE, 0);
			ret = call(fd, DRM_IOCTL_OCTANS_VM_DESTROY, &d);
		}
		usleep(rand() % 2000);
		close(fd);
	}
	return NULL;
}

/* The device goes while address spaces are made: none is left that nobody has ended. */
TEST_F_TIMEOUT(spaces, made_while_the_device_goes, 240)
{
	pthread_t t[4];

	ASSERT_TRUE(*bdf());
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, make_spaces, NULL), 0);
	for (int i = 0; i < 20; i++) {
		usleep(20000 + i * 3000);
		ASSERT_TRUE(unbind());
		ASSERT_TRUE(bind_again());
	}
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	client_close(&self->c);
	ASSERT_EQ(client_open(&self->c, 0), 0);
	EXPECT_EQ(run(self->c.fd, self->c.queue, VA, put_nop(self->c.map), 0), 0);
	for (int i = 0; i < 50 && objects("spaces") != 1; i++)
		usleep(100000);
	EXPECT_EQ(objects("spaces"), 1);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t map_and_unmap(const struct client *c, uint32_t bo)
{
	struct drm_octans_bind_op ops[2] = {
		{ .handle = bo, .va = 2 * VA, .size = PAGE },
		{ .kind = DRM_OCTANS_BIND_UNMAP, .va = 2 * VA, .size = PAGE },
	};
	int64_t t = now_ns();

	if (vm_bind(c->fd, c->vm, ops, 1))
		return -1;
	t = now_ns() - t;
	return vm_bind(c->fd, c->vm, ops + 1, 1) ? -1 : t;
}

/* What it costs to map a buffer does not depend on how many are mapped: both turn by turn, so that
   a machine that is busy for a while is so for both. */
TEST_F_TIMEOUT(spaces, flat_with_65536_buffers, 240)
{
	enum { N = 65536, BATCH = 1024, TURNS = 4001 };
	static struct drm_octans_bind_op ops[BATCH];
	static int64_t one[TURNS], many[TURNS];
	struct client few;
	uint32_t bo[2];

	ASSERT_EQ(client_open(&few, 0), 0);
	ASSERT_EQ(bo_create(few.fd, PAGE, 0, &bo[0]), 0);
	ASSERT_EQ(bo_create(self->c.fd, PAGE, 0, &bo[1]), 0);
	for (int i = 0; i < N; i++) {
		ops[i % BATCH] = (struct drm_octans_bind_op) {
			.va = 3 * VA + i * PAGE, .size = PAGE,
		};
		ASSERT_EQ(bo_create(self->c.fd, PAGE, 0, &ops[i % BATCH].handle), 0);
		if (i % BATCH == BATCH - 1)
			ASSERT_EQ(vm_bind(self->c.fd, self->c.vm, ops, BATCH), 0);
	}
	for (int i = 0; i < TURNS; i++) {
		one[i] = map_and_unmap(&few, bo[0]);
		many[i] = map_and_unmap(&self->c, bo[1]);
		ASSERT_GE(one[i], 0);
		ASSERT_GE(many[i], 0);
	}
	qsort(one, TURNS, sizeof(one[0]), compare);
	qsort(many, TURNS, sizeof(many[0]), compare);
	printf("# a map with 1 buffer mapped: %lld ns, with %d: %lld ns\n",
	       (long long)one[TURNS / 2], N, (long long)many[TURNS / 2]);
	EXPECT_LE(many[TURNS / 2], one[TURNS / 2] * 3 / 2);
	client_close(&few);
}
