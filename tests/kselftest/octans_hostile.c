// SPDX-License-Identifier: MIT
/*
 * A device that writes what it must not, and says what is not so.  Jobs may be lost, wrongly even;
 * nothing is read or written outside, nobody waits for ever, and a device that stops lying works.
 */
#include "octans_admin.h"

FIXTURE(hostile) {
	uint32_t rings;
};

FIXTURE_SETUP(hostile)
{
	int fd;

	ASSERT_TRUE(device_fresh());
	fd = node_open();
	self->rings = rings_of(fd);
	ASSERT_GE(self->rings, 1);
	close(fd);
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

/* ---- records that are wrong ---- */

/* One that reads what is not there, or 0: another client's. */
static int faulting_job(struct client *c, uint64_t tag)
{
	return run(c->fd, c->queue, VA, put_copy(c->map, VA + 8 * PAGE, 2 * VA, 64), tag);
}

static int fault_records(struct client *c, struct drm_octans_fault *f, int room)
{
	struct drm_octans_vm_get_faults get = {
		.vm_id = c->vm, .faults = { sizeof(*f), room, (uintptr_t)f },
	};
	int ret = call(c->fd, DRM_IOCTL_OCTANS_VM_GET_FAULTS, &get);

	return ret ? ret : (int)get.faults.count;
}

/*
 * An event says what is not so.  How the job ended is told elsewhere; what is wrong must not put
 * anything of one client into another's log, nor keep later records from coming.
 */
TEST_F_TIMEOUT(hostile, every_field_of_an_event, 200)
{
	static const struct { const char *name; int bits; } fields[] = {
		{ "type", 32 }, { "ring", 16 }, { "asid", 16 }, { "seqno", 64 }, { "va", 64 },
		{ "code", 32 }, { "write", 32 }, { "cmd_offset", 64 }, { "tag", 64 }, { "time_ns", 64 },
		{ "index", 64 },
	};
	const uint64_t secret = 0x5ec4e7;
	struct drm_octans_fault f[16];
	struct client other, c;
	char line[96];

	ASSERT_EQ(client_open(&other, 1000), 0);
	for (unsigned int i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		for (int bit = 0; bit <= fields[i].bits; bit += fields[i].bits > 16 ? 8 : 1) {
			uint64_t xor = bit < fields[i].bits ? 1ull << bit : ~0ull >> (64 - fields[i].bits);

			ASSERT_EQ(client_open(&c, 500), 0);
			snprintf(line, sizeof(line), "corrupt-event %s xor 0x%llx", fields[i].name,
				 (unsigned long long)xor);
			ASSERT_TRUE(control(line));
			EXPECT_EQ(faulting_job(&c, secret), -EFAULT);
			EXPECT_LE(fault_records(&c, f, 16), 1);
			client_close(&c);
		}
	}
	/* what the device mistook for its may be there, with nothing of whose it was */
	for (int n = fault_records(&other, f, 16), i = 0; i < n; i++) {
		EXPECT_NE(f[i].tag, secret);
		EXPECT_EQ(f[i].queue_id, 0);
	}
	/* it stops, and the next is told: nobody has to bind the device anew for that */
	ASSERT_EQ(client_open(&c, 500), 0);
	EXPECT_EQ(faulting_job(&c, 7), -EFAULT);
	EXPECT_EQ(fault_records(&c, f, 16), 1);
	EXPECT_EQ(f[0].tag, 7);
	EXPECT_EQ(f[0].va, 2 * VA);
	client_close(&c);
	client_close(&other);
}

/* Records of the completion ring, if the driver has one: jobs may seem to fail, or be late. */
TEST_F_TIMEOUT(hostile, every_field_of_a_completion, 300)
{
	static const struct { const char *name; int bits, step; } fields[] = {
		{ "seqno", 64, 3 }, { "status", 32, 3 }, { "index", 64, 3 }, { "commands", 32, 31 },
		{ "tag", 64, 21 }, { "start_ns", 64, 21 }, { "end_ns", 64, 21 }, { "cycles", 64, 21 },
		{ "reserved", 64, 63 },
	};
	char after[48];

	for (unsigned int i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		for (int bit = 0; bit < fields[i].bits; bit += fields[i].step) {
			int64_t begin = now_ns();
			int ret;

			snprintf(after, sizeof(after), " %s xor 0x%llx", fields[i].name, 1ull << bit);
			ASSERT_TRUE(control_rings("corrupt-cq", after));
			ret = one_job();
			EXPECT_TRUE(bounded(ret));
			EXPECT_SOON(seconds_since(begin), 10);
			/* the next on that ring is right, or the same is left for one on another */
			if (ret)
				EXPECT_TRUE(bounded(one_job()));
		}
	}
	for (uint32_t i = 0; i < 10 * self->rings; i++) {
		int ret = one_job();	/* one of each is left for each ring */

		if (i >= 10 * self->rings - 10)
			EXPECT_EQ(ret, 0);
	}
}

/* ---- a record that is lost, beside a withdrawal ---- */

/* On each ring one that waits, then one that is withdrawn, then one that has to do with neither. */
struct trio {
	struct client c;
	uint32_t queue[OCTANS_MAX_RINGS];
	struct drm_octans_sync out[OCTANS_MAX_RINGS];
};

static void trio_open(struct test_metadata *_metadata, struct trio *t, uint32_t rings)
{
	ASSERT_EQ(client_open(&t->c, 10000), 0);
	for (uint32_t r = 0; r < rings; r++) {
		t->out[r].flags = DRM_OCTANS_SYNC_SIGNAL;
		ASSERT_EQ(syncobj_create(t->c.fd, &t->out[r].handle), 0);
		ASSERT_EQ(queue_create(t->c.fd, t->c.vm, 10000, &t->queue[r]), 0);
	}
}

/* Whoever has the fewest jobs is given the next: so each ring gets one. */
static void trio_submit(struct test_metadata *_metadata, struct trio *t, uint32_t rings,
			uint32_t size, uint32_t apart)
{
	for (uint32_t r = 0; r < rings; r++)
		ASSERT_EQ(submit(t->c.fd, t->queue[r], VA + r * apart, size, 0, &t->out[r], 1), 0);
}

/* They end so, and whoever it was can go on. */
static void trio_ends(struct test_metadata *_metadata, struct trio *t, uint32_t rings, int error)
{
	uint32_t queue;

	for (uint32_t r = 0; r < rings; r++)
		EXPECT_EQ(sync_result(t->c.fd, t->out[r].handle, 20), error);
	for (uint32_t r = 0; r < rings && !error; r++) {
		struct drm_octans_queue_query q = { .id = t->queue[r] };

		EXPECT_EQ(call(t->c.fd, DRM_IOCTL_OCTANS_QUEUE_QUERY, &q), 0);
		EXPECT_EQ(q.state, 0);
	}
	EXPECT_EQ(queue_create(t->c.fd, t->c.vm, 10000, &queue), 0);
	EXPECT_EQ(run(t->c.fd, queue, VA, put_nop(t->c.map), 0), 0);
	client_close(&t->c);
}

static long met(void)
{
	return read_number("/sys/module/octans_widen/parameters/met");
}

/*
 * The queues in the middle are destroyed.  Either nothing of theirs has started, and the record that
 * is lost is the one before; or (@late) what they have on the ring runs already, which only its own
 * record could tell.
 */
static void lost_record(struct test_metadata *_metadata, uint32_t rings, bool late)
{
	static const char *const watchdog[] = { "octans_job_watchdog", NULL };
	struct octans_cmd_wait wait = {
		.cmd = { .op = OCTANS_OP_WAIT, .size = sizeof(wait) }, .va = VA + 8 * PAGE, .value = 1,
	};
	struct trio first = { 0 }, gone = { 0 }, behind = { 0 };
	volatile uint64_t *go, *began, *ran;
	uint32_t n = 0, size = 0;

	trio_open(_metadata, &first, rings);
	trio_open(_metadata, &gone, rings);
	trio_open(_metadata, &behind, rings);
	go = (uint64_t *)(first.c.map + 8 * PAGE);
	began = (uint64_t *)(gone.c.map + 8 * PAGE);
	ran = began + rings;
	memcpy(first.c.map, &wait, sizeof(wait));
	for (uint32_t r = 0; r < rings; r++) {
		uint8_t *at = gone.c.map + r * 1024;

		size = put_time(at, VA + 8 * PAGE + 8 * r);
		size += put_nops(at + size, 15);
		size += put_time(at + size, VA + 8 * PAGE + 8 * (rings + r));
	}
	ASSERT_TRUE(pci_do("reset"));	/* records of each ring count from 1 again */
	ASSERT_TRUE(control_rings("slow", " 20000"));
	/* Of no ring anybody looks until the reset, or takes back what is behind a job that is slow. */
	if (late && !widen(watchdog, 4000, rings))
		SKIP("no octans_widen.ko");
	trio_submit(_metadata, &first, rings, sizeof(wait), 0);
	trio_submit(_metadata, &gone, rings, size, 1024);
	trio_submit(_metadata, &behind, rings, put_nop(behind.c.map), 0);
	if (late) {
		for (int i = 0; i < 100 && met() < 1; i++)
			usleep(10000);
		EXPECT_GE(met(), 1);
		ASSERT_TRUE(control_rings("drop-irq", " 100"));
		*go = 1;
		for (uint32_t r = 0; r < rings; r++)
			for (int i = 0; i < 200 && !began[r]; i++)
				usleep(5000);
		ASSERT_TRUE(control_rings("corrupt-cq", " index xor 2"));
	} else {
		ASSERT_TRUE(control_rings("corrupt-cq", " index xor 1"));
	}
	for (uint32_t r = 0; r < rings; r++)
		EXPECT_EQ(queue_destroy(gone.c.fd, gone.queue[r]), 0);
	if (late) {
		for (uint32_t r = 0; r < rings; r++)
			for (int i = 0; i < 300 && !ran[r]; i++)
				usleep(10000);
		usleep(300000);		/* the registers show it, too, and what came behind it on the ring */
		EXPECT_TRUE(pci_do("reset"));
		widen_end();
		control_rings("drop-irq", " 0");
	} else {
		for (uint32_t r = 0; r < rings; r++)
			EXPECT_EQ(sync_result(gone.c.fd, gone.out[r].handle, 5), -ECANCELED);
		*go = 1;
	}
	trio_ends(_metadata, &first, rings, late ? 0 : -EIO);
	trio_ends(_metadata, &behind, rings, 0);
	for (uint32_t r = 0; r < rings; r++)
		n += !!ran[r];
	EXPECT_EQ(n, late ? rings : 0);
	trio_ends(_metadata, &gone, rings, -ECANCELED);
}

TEST_F(hostile, record_before_a_withdrawn_job_is_lost)
{
	lost_record(_metadata, self->rings, false);
}

TEST_F(hostile, record_of_a_withdrawn_job_is_lost)
{
	lost_record(_metadata, self->rings, true);
}

/* ---- registers that lie ---- */

/* Resets are asked for, and registers are what they are judged by. */
static int hang_one(void)
{
	struct octans_cmd_wait wait = {
		.cmd = { .op = OCTANS_OP_WAIT, .size = sizeof(wait) }, .va = VA + 8 * PAGE, .value = 1,
	};
	struct client c;
	int ret = client_open(&c, 50);

	if (ret)
		return ret;
	memcpy(c.map, &wait, sizeof(wait));
	ret = run(c.fd, c.queue, VA, sizeof(wait), 0);
	client_close(&c);
	return ret;
}

static int map_one(void)
{
	struct client c;
	int ret = client_open(&c, 500);

	if (ret)
		return ret;
	ret = vm_map(c.fd, c.vm, c.bo, 0, 2 * VA, PAGE, 0);
	if (!ret)
		ret = vm_unmap(c.fd, c.vm, 2 * VA, PAGE);
	client_close(&c);
	return ret;
}

static bool lies_on_every_ring(uint32_t rings, const char *reg, unsigned long long value)
{
	char line[96];

	for (uint32_t r = 0; r < rings; r++) {
		snprintf(line, sizeof(line), "lie RING%u_%s 0x%llx", r, reg, value);
		if (!control(line))
			return false;
	}
	return true;
}

/*
 * What the driver reads while it works says anything.  Who calls gets an answer in time, be it
 * that the device is cut off, and one that tells the truth again can be bound.
 */
static void lying(struct test_metadata *_metadata, uint32_t rings, const char *reg)
{
	static const unsigned long long values[] = { 0, 1, 3, 0x80000001, ~0ull };
	char line[96];

	for (int i = 0; i < 5; i++) {
		int64_t begin = now_ns();
		int ret[3];

		if (strncmp(reg, "RING", 4)) {
			snprintf(line, sizeof(line), "lie %s 0x%llx", reg, values[i]);
			ASSERT_TRUE(control(line));
		} else {
			ASSERT_TRUE(lies_on_every_ring(rings, reg + 4, values[i]));
		}
		ret[0] = one_job();
		ret[1] = hang_one();
		ret[2] = map_one();
		printf("# %s 0x%llx: a job %d, a hang %d, a mapping %d, in %.1f s\n", reg, values[i],
		       ret[0], ret[1], ret[2], seconds_since(begin));
		for (int k = 0; k < 3; k++)
			EXPECT_TRUE(bounded(ret[k]) || ret[k] == -ENODEV);
		EXPECT_SOON(seconds_since(begin), 30);
		control("lie off");
		ASSERT_TRUE(device_fresh());
	}
}

TEST_F_TIMEOUT(hostile, device_registers_lie, 280)
{
	lying(_metadata, self->rings, "STATUS");
	lying(_metadata, self->rings, "ID");
	lying(_metadata, self->rings, "INVALIDATED");
	lying(_metadata, self->rings, "EVT_DROPPED");
	lying(_metadata, self->rings, "EVT_TAIL");
}

TEST_F_TIMEOUT(hostile, ring_registers_lie, 280)
{
	lying(_metadata, self->rings, "RINGSTATUS");
	lying(_metadata, self->rings, "RINGHEAD");
	lying(_metadata, self->rings, "RINGSEQNO");
	lying(_metadata, self->rings, "RINGPROGRESS");
	lying(_metadata, self->rings, "RINGCTRL");
}

/* ---- interrupts for nothing, doorbells for nothing ---- */

static volatile bool stop;

static void *well_loop(void *arg)
{
	long *jobs = arg;
	struct client c;
	long ret = client_open(&c, 10000);

	while (!stop && !ret) {
		ret = run(c.fd, c.queue, VA, put_nop(c.map), 0);
		++*jobs;
	}
	client_close(&c);
	return (void *)ret;
}

/* Messages without end are no failure of any job, and jobs still end. */
TEST_F_TIMEOUT(hostile, storm, 60)
{
	long long resets = objects("resets");
	int64_t begin = now_ns();
	long jobs[3] = { 0 };
	pthread_t t[3];
	char line[64];
	void *ret;

	stop = false;
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, well_loop, &jobs[i]), 0);
	for (int i = 0; seconds_since(begin) < 6; i++) {
		snprintf(line, sizeof(line), "storm %u 20000", i % OCTANS_VECTORS(self->rings));
		ASSERT_TRUE(control(line));
	}
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &ret);
		EXPECT_EQ((long)ret, 0);
		EXPECT_GE(jobs[i], 5);
	}
	printf("# %ld jobs ended meanwhile\n", jobs[0] + jobs[1] + jobs[2]);
	EXPECT_EQ(objects("resets"), resets);
}

/* A ring takes doorbells and fetches nothing: each job ends with its limit, and others go on later. */
TEST_F_TIMEOUT(hostile, doorbells_unheard, 120)
{
	int64_t begin = now_ns();

	ASSERT_TRUE(control_rings("drop-doorbell", " 1000000"));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(one_job(), -ETIME);
	printf("# 8 limits of 0.5 s took %.1f s\n", seconds_since(begin));
	EXPECT_SOON(seconds_since(begin), 30);
	control_rings("drop-doorbell", " 0");
	EXPECT_EQ(one_job(), 0);
	/* one that is lost is not the end of the ring */
	ASSERT_TRUE(control_rings("drop-doorbell", " 1"));
	for (uint32_t i = 0; i < 3 * self->rings; i++) {
		int ret = one_job();

		EXPECT_TRUE(!ret || ret == -ETIME);
	}
	control_rings("drop-doorbell", " 0");	/* on rings that nobody was given */
	EXPECT_EQ(one_job(), 0);
}

/* Everything that the model can do wrong, in any order, beside clients that do not stop for it. */
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
		"device-error %u", "corrupt-cq %u status xor 4", "corrupt-cq %u index xor 0x10001",
		"storm %u 1000", "drop-doorbell %u 2", "late %u 300", "late %u 0", "hang tag %u",
		"corrupt-event asid xor %u", "corrupt-event index xor %u", "slow-reset ring %u 30",
		"slow-reset ring %u 0",
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
		/* each but "drop-invalidate" names a ring */
		snprintf(line, sizeof(line), lines[rand_r(&seed) % (sizeof(lines) / sizeof(*lines))],
			 rand_r(&seed) % self->rings);
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
	for (uint32_t i = 0; i < 10 * self->rings; i++) {
		int ret = one_job();

		if (i >= 10 * self->rings - 10)
			EXPECT_EQ(ret, 0);
	}
}
