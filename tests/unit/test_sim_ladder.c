// SPDX-License-Identifier: MIT
/* The in-process door: how it survives injected faults, and what it does about each. */
#include "inproc_bench.h"

static void test_hang(struct bench *b)
{
	struct octans_inproc_queue *q[2];
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64), seq[3];
	int64_t start = now_ns();

	for (int i = 0; i < 2; i++)
		octans_inproc_queue_new(b->vm, 0, 200, &q[i]);
	for (int r = 0; r < 4; r++) {
		char line[32];

		snprintf(line, sizeof(line), "hang ring %d", r);
		control(b->dev, line);
	}
	for (int i = 0; i < 3; i++)
		submit(q[0], va, 48, i, &seq[i]);
	ok(octans_inproc_wait(q[0], seq[0], now_ns() + 20000000) == -ETIMEDOUT, "a job hangs");
	ok(octans_inproc_wait(q[0], seq[0], INT64_MAX) == -ETIME, "it is ended with ETIME");
	start = now_ns() - start;
	ok(start > 150000000 && start < BY_ITSELF, "after %lld ms", (long long)(start / 1000000));
	ok(octans_inproc_wait(q[0], seq[1], INT64_MAX) == -ECANCELED &&
	   octans_inproc_wait(q[0], seq[2], INT64_MAX) == -ECANCELED, "those behind it are cancelled");
	ok(submit(q[0], va, 48, 0, &seq[0]) == -ECANCELED, "its queue is banned");
	for (int r = 0; r < 4; r++) {
		char line[32];

		snprintf(line, sizeof(line), "hang ring %d off", r);
		control(b->dev, line);
	}
	ok(!run(q[1], va, 48) && !run(b->q, va, 48), "other queues go on");

	/* Freeing a queue whose job hangs stops the job. */
	for (int r = 0; r < 4; r++) {
		char line[32];

		snprintf(line, sizeof(line), "hang %d", r);
		control(b->dev, line);
	}
	submit(q[1], va, 48, 0, &seq[0]);
	usleep(20000);
	octans_inproc_queue_free(q[1]);
	octans_inproc_queue_free(q[0]);
	for (int r = 0; r < 4; r++) {
		char line[32];

		snprintf(line, sizeof(line), "hang %d off", r);
		control(b->dev, line);
	}
	ok(!run(b->q, va, 48), "a queue with a hanging job can be freed");
}

static void test_injected(struct bench *b)
{
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64);
	struct octans_inproc_queue *q;
	struct octans_inproc_fault f;
	int64_t start;
	int ret;

	/* An idle processor gives the next job to ring 0. */
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	control(b->dev, "drop-irq 1 1");
	start = now_ns();
	ok(!run(q, va, 48), "a lost interrupt loses no job");
	ok(now_ns() - start < BY_ITSELF, "and is noticed in %lld ms",
	   (long long)(now_ns() - start) / 1000000);
	control(b->dev, "slow 0 20000");
	start = now_ns();
	ok(!run(q, va, 48) && now_ns() - start >= 20000000, "a slow processor is slow");
	control(b->dev, "slow 0 0");
	control(b->dev, "fault 0");
	ok(run(q, va, 48) == -EFAULT && octans_inproc_vm_fault(b->vm, &f) == 1 && f.va == va,
	   "an injected fault faults");
	octans_inproc_queue_free(q);

	octans_inproc_queue_new(b->vm, 0, 0, &q);
	control(b->dev, "corrupt-wb 0 xor 0x4");
	ok(run(q, va, 48) == -EIO, "a corrupt status");
	octans_inproc_queue_free(q);
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	control(b->dev, "corrupt-wb 0 xor 0x10000000000");
	start = now_ns();
	ret = run(q, va, 48);
	ok(ret == -EIO && now_ns() - start < BY_ITSELF, "a corrupt sequence number: %d", ret);
	octans_inproc_queue_free(q);
	octans_inproc_queue_new(b->vm, 0, 0, &q);
	control(b->dev, "corrupt-wb 0 xor 0x2");
	ok(run(q, put_copy(b, 1, 0, 0, 0) + 0x8000, 48) == -EIO,
	   "a failure that the writeback hides");
	octans_inproc_queue_free(q);

	octans_inproc_queue_new(b->vm, 0, 200, &q);
	control(b->dev, "hang 0");
	control(b->dev, "fail-reset ring 0");
	ok(run(q, va, 48) == -ETIME, "a ring that does not reset takes a device reset");
	octans_inproc_queue_free(q);
	ok(!run(b->q, va, 48), "after which all works");
	octans_inproc_queue_new(b->vm, 0, 200, &q);
	control(b->dev, "hang 0");
	control(b->dev, "fail-reset ring 0");
	control(b->dev, "fail-reset device");
	ok(run(q, va, 48) == -ETIME && !run(b->q, va, 48), "if that fails, a function-level reset");
	octans_inproc_queue_free(q);
	octans_inproc_queue_new(b->vm, 0, 200, &q);
	control(b->dev, "hang 0");
	control(b->dev, "fail-reset ring 0");
	control(b->dev, "fail-reset device 2");
	ok(run(q, va, 48) == -ENODEV && run(b->q, va, 48) == -ENODEV, "if that fails, too, it is lost");
	octans_inproc_queue_free(q);
}

static void test_removal(void)
{
	struct octans_inproc_queue *q;
	struct octans_inproc_info info;
	struct octans_inproc_bo *bo;
	struct octans_inproc_vm *vm;
	uint64_t seq[2], va;
	struct bench b;

	bench_new(&b, NULL);
	va = put_copy(&b, 0, DATA + 0x1000, DATA, 64);
	octans_inproc_queue_new(b.vm, 0, 0, &q);
	control(b.dev, "hang 0");
	submit(q, va, 48, 0, &seq[0]);
	submit(q, va, 48, 0, &seq[1]);
	usleep(10000);
	control(b.dev, "remove");
	ok(octans_inproc_wait(q, seq[0], INT64_MAX) == -ENODEV &&
	   octans_inproc_wait(q, seq[1], INT64_MAX) == -ENODEV, "jobs of a lost processor: ENODEV");
	ok(submit(b.q, va, 48, 0, &seq[0]) == -ENODEV &&
	   octans_inproc_info(b.dev, &info) == -ENODEV &&
	   octans_inproc_bo_new(b.dev, 4096, false, &bo) == -ENODEV &&
	   octans_inproc_vm_new(b.dev, &vm) == -ENODEV &&
	   octans_inproc_vm_map(b.vm, b.code, 0, DATA, 4096, false) == -ENODEV &&
	   octans_inproc_queue_new(b.vm, 0, 0, &q) == -ENODEV, "all else: ENODEV");
	ok(!octans_inproc_vm_unmap(b.vm, DATA, 0x1000), "things can be taken down");
	control(b.dev, "restore");
	ok(submit(b.q, va, 48, 0, &seq[0]) == -ENODEV,
	   "a processor that returns is a new one");
	octans_inproc_queue_free(q);
	bench_free(&b);
}

static void test_control(struct bench *b)
{
	static const char *const bad[] = {
		"", "  ", "nonsense", "hang", "hang ring", "hang ring 4", "hang ring x", "hang 0 maybe",
		"hold", "hold ring 4", "hold 0 maybe", "drop-invalidate x", "drop-invalidate 1 2",
		"slow 0", "slow 0 -1", "slow 9 1", "slow 0 1 2", "drop-irq", "drop-irq 5", "drop-irq 1 x",
		"fault", "fault 0 0", "corrupt-wb 0", "corrupt-wb 0 xor", "corrupt-wb 0 or 1",
		"fail-reset ring", "fail-reset ring 7", "fail-reset device x", "flip local",
		"flip local 0 8", "flip local 0x7fffffffffffffff 0", "flip host 0 0", "stat now",
		"remove it", "help me",
		"corrupt-cq 0", "corrupt-cq off", "corrupt-cq 0 seqno xor", "corrupt-cq 9 seqno xor 1", "corrupt-cq 0 xor",
		"corrupt-cq 0 status xor 0x100000000", "corrupt-event", "corrupt-event colour xor 1",
		"corrupt-event ring xor 65536", "corrupt-event ring or 1", "lie", "lie CAPS", "lie CAPS x",
		"lie COLOUR 1", "lie RING4_HEAD 1", "lie RING0_CAPS 1", "lie COLOUR off", "lie on",
		"storm", "storm 5", "storm 0 1000001", "late 0", "late 0 x",
		"late 4 1", "drop-doorbell", "drop-doorbell 0 x", "drop-doorbell 4", "slow-reset",
		"slow-reset 0", "slow-reset device", "slow-reset device 60001",
		"slow-reset ring 4 1", "away", "away x", "away 1 2", "a b c d e f g h i j", "device-error x",
	};
	char reply[512], line[400];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int ret = octans_inproc_control(b->dev, bad[i], reply, sizeof(reply));

		ok(ret == -EINVAL && !strncmp(reply, "error: ", 7), "\"%s\": %s", bad[i], reply);
	}
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	ok(octans_inproc_control(b->dev, line, reply, sizeof(reply)) == -EINVAL, "an overlong line");
	ok(!octans_inproc_control(b->dev, "help", reply, sizeof(reply)) && !strncmp(reply, "ok ", 3),
	   "%s", reply);
	ok(!octans_inproc_control(b->dev, "stat", reply, sizeof(reply)) && strstr(reply, "jobs="),
	   "%s", reply);
	ok(!octans_inproc_control(b->dev, "help", reply, 8), "a short reply buffer: \"%s\"", reply);
	*(char *)octans_inproc_bo_map(b->data) = 0;
	control(b->dev, "flip local 0 3");
	ok(*(char *)octans_inproc_bo_map(b->data) == 8, "a bit flips");
	control(b->dev, "flip local 0 3");
	ok(octans_inproc_control(b->dev, "device-error 5", reply, sizeof(reply)) == -EINVAL,
	   "without an event queue there are no device errors: %s", reply);
}

static void *unmap_page(void *arg)
{
	struct bench *b = arg;

	return (void *)(intptr_t)octans_inproc_vm_unmap(b->vm, DATA + (4 << 20), M2);
}

/* The ladder of mmu.rst.  Something in the model (here: a window that does not pass) is in the way
 * of an invalidation: the ring that stands still is reset, and no more than that. */
static void test_ladder(struct bench *b)
{
	struct sim_device *sim = b->dev->sim;
	unsigned int resets;
	struct octans_inproc_queue *q;
	struct sim_window window = { 0 };
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64), seq;
	uint32_t before = sim_reg_read(sim, OCTANS_REG_INVALIDATED, 4);
	int64_t start = now_ns();
	char reply[4096];
	pthread_t t;
	void *ret;

	octans_inproc_queue_new(b->vm, 0, 60000, &q);
	control(b->dev, "hang 0");
	submit(q, va, 48, 0, &seq);
	usleep(20000);
	resets = atomic_load(&sim->ring_resets);
	sim_window_open(&sim->core.dma, &window);
	window.seen = atomic_load(&sim->core.dma.changes);
	pthread_create(&t, NULL, unmap_page, b);
	while (atomic_load(&sim->ring_resets) == resets && now_ns() - start < 10000000000)
		usleep(1000);
	sim_window_close(&sim->core.dma, &window);
	ok(now_ns() - start > 900000000, "an invalidation is not acknowledged: force after %lld ms",
	   (long long)(now_ns() - start) / 1000000);
	ok(octans_inproc_wait(q, seq, INT64_MAX) == -ETIME, "the job that stands still is stopped");
	pthread_join(t, &ret);
	control(b->dev, "hang 0 off");
	octans_inproc_control(b->dev, "stat", reply, sizeof(reply));
	ok(!ret && strstr(reply, " device_resets=0 "), "the device is not");
	ok(sim_reg_read(sim, OCTANS_REG_INVALIDATED, 4) == b->dev->ticket &&
	   b->dev->ticket == before + 1, "one invalidation, one ticket");
	octans_inproc_queue_free(q);
	ok(!octans_inproc_vm_map(b->vm, b->data, 0, DATA, 8 << 20, false) && !run(b->q, va, 48),
	   "all goes on");
}

/* INVALIDATED after an invalidation of everything. */
static bool acknowledges(struct bench *b)
{
	struct sim_device *sim = b->dev->sim;

	sim_reg_write(sim, OCTANS_REG_INVALIDATE, 8,
		      OCTANS_INVALIDATE_ALL | OCTANS_INVALIDATE_TICKET(++b->dev->ticket));
	usleep(50000);
	return sim_reg_read(sim, OCTANS_REG_INVALIDATED, 4) == b->dev->ticket;
}

/* Invalidations that are late, or lost, on request. */
static void test_late_invalidations(struct bench *b)
{
	uint64_t va = put_copy(b, 0, DATA + 0x1000, DATA, 64), seq;
	struct octans_inproc_queue *q;

	octans_inproc_queue_new(b->vm, 0, 60000, &q);
	control(b->dev, "hold 0");
	ok(acknowledges(b), "a ring with no job holds nothing");
	control(b->dev, "hang 0");
	submit(q, va, 48, 0, &seq);
	usleep(20000);
	ok(!acknowledges(b), "one with a job does");
	control(b->dev, "hold 0 off");
	ok(acknowledges(b), "until told otherwise");
	control(b->dev, "hold 0");
	control(b->dev, "hang 0 off");
	ok(!octans_inproc_wait(q, seq, INT64_MAX) && acknowledges(b), "or until the job ends");
	control(b->dev, "hold 0 off");
	control(b->dev, "drop-invalidate");
	ok(!acknowledges(b) && acknowledges(b), "one is lost");
	octans_inproc_queue_free(q);
}

static void test_tickets(struct bench *b)
{
	uint32_t before;
	int bad = 0;

	/* Over the end of the numbers, without the one that means "gone". */
	octans_inproc_vm_unmap(b->vm, DATA + (6 << 20), M2);
	b->dev->ticket = UINT32_MAX - 3;
	for (int i = 0; i < 8; i++) {
		bad += !!octans_inproc_vm_map(b->vm, b->data, 0, DATA + (6 << 20), M2, false);
		bad += !!octans_inproc_vm_unmap(b->vm, DATA + (6 << 20), M2);
	}
	ok(!bad && b->dev->ticket == 5, "tickets go round: %u", b->dev->ticket);
	before = b->dev->ticket;
	octans_inproc_vm_map(b->vm, b->data, 0, DATA + (6 << 20), M2, false);
	ok(b->dev->ticket == before, "mapping what was free invalidates nothing");
	octans_inproc_vm_map(b->vm, b->data, 0, DATA, 8 << 20, false);
	ok(b->dev->ticket == before + 1, "replacing does");
}

int main(void)
{
	struct bench b;

	bench_new(&b, NULL);
	test_tickets(&b);
	test_hang(&b);
	test_ladder(&b);
	test_late_invalidations(&b);
	test_control(&b);
	test_injected(&b);
	test_defined(&b);
	bench_free(&b);
	test_removal();
	return done();
}
