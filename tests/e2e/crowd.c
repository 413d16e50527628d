// SPDX-License-Identifier: MIT
/*
 * What a program on libaccel sees of the kernel's limits, on a processor: crowd DEVICE.  Jobs that there is no room for
 * wait, without taking a CPU; and who has failed too often is told so.  Prints TAP.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <accel/device.h>
#include <octans/isa.h>

#include "../unit/tap.h"

#define VA	(1ull << 32)
#define NOP	0		/* offsets in the buffer */
#define WAIT	64
#define BAD	128
#define WORD	1024
#define QUEUES	9

struct rig {
	struct accel_dev *dev;
	struct accel_bo *bo;
	struct accel_vm *vm;
	struct accel_queue *q[QUEUES];
	uint8_t *map;
};

static int rig_new(struct rig *r, const char *device)
{
	int err = accel_open(device, &r->dev);
	void *map = NULL;

	if (!err)
		err = accel_bo_new(r->dev, 4096, ACCEL_BO_HOST, "crowd", &r->bo);
	if (!err)
		err = accel_vm_new(r->dev, &r->vm);
	if (!err)
		err = accel_vm_map(r->vm, r->bo, 0, VA, 4096, 0);
	for (int i = 0; i < QUEUES && !err; i++)
		err = accel_queue_new(r->vm, ACCEL_PRIORITY_NORMAL, 10000, &r->q[i]);
	if (!err)
		err = accel_bo_map(r->bo, &map);
	if (err)
		return err;
	r->map = map;
	*(struct octans_cmd *)(r->map + NOP) = (struct octans_cmd) { .op = OCTANS_OP_NOP, .size = 16 };
	*(struct octans_cmd_wait *)(r->map + WAIT) = (struct octans_cmd_wait) {
		.cmd = { .op = OCTANS_OP_WAIT, .size = sizeof(struct octans_cmd_wait) }, .va = VA + WORD, .value = 1,
	};
	*(struct octans_cmd *)(r->map + BAD) = (struct octans_cmd) { .op = 999, .size = 16 };
	return 0;
}

static void rig_free(struct rig *r)
{
	for (int i = 0; i < QUEUES; i++)
		accel_queue_free(r->q[i]);
	accel_vm_free(r->vm);
	accel_bo_free(r->bo);
	accel_close(r->dev);
}

static struct accel_job job(uint32_t offset)
{
	return (struct accel_job) { .sz = sizeof(struct accel_job), .va = VA + offset, .size = offset == WAIT ? 32 : 16 };
}

/* ---- no room ---- */

struct watcher {
	struct rig *r;
	clockid_t clock;		/* of the thread that submits */
	double cpu;			/* that it took in a second in which nothing moved */
};

static double read_clock(clockid_t c)
{
	struct timespec t;

	clock_gettime(c, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Lets the first job go on when who submits has stood still for a second; or does not, for some. */
static void *watch(void *arg)
{
	struct watcher *w = arg;

	for (int i = 0; i < 20; i++) {
		w->cpu = read_clock(w->clock);
		usleep(250000);
		if (read_clock(w->clock) - w->cpu < 0.025)
			break;
	}
	w->cpu = read_clock(w->clock);
	sleep(1);
	w->cpu = read_clock(w->clock) - w->cpu;
	__atomic_store_n((uint64_t *)(w->r->map + WORD), 1, __ATOMIC_RELEASE);
	return NULL;
}

/* So many jobs to each of n queues, all behind one that waits for the watcher. */
static void test_full(const char *device, int queues, int jobs)
{
	struct rig r = { 0 };
	struct watcher w = { .r = &r };
	struct accel_fence *first, *last[QUEUES] = { NULL };
	struct accel_job wait = job(WAIT), nop = job(NOP);
	pthread_t thread;
	int bad = 0;

	if (!ok(!rig_new(&r, device) && !accel_submit(r.q[0], &wait, 1, NULL, 0, &first), "a job that waits"))
		return;
	pthread_getcpuclockid(pthread_self(), &w.clock);
	pthread_create(&thread, NULL, watch, &w);
	for (int i = 0; i < jobs; i++)
		for (int k = 0; k < queues; k++)
			bad += !!accel_submit(r.q[k], &nop, 1, &first, 1, i + 1 < jobs ? NULL : &last[k]);
	pthread_join(thread, NULL);
	ok(!bad, "%d jobs for each of %d queues: %s", jobs, queues, bad ? accel_error() : "all are taken");
	ok(w.cpu < 0.2, "who waits for room takes no CPU: %.0f ms of a second", w.cpu * 1e3);
	for (int k = 0; k < queues; k++) {
		bad += !last[k] || accel_fence_wait(last[k], INT64_MAX);
		accel_fence_free(last[k]);
	}
	ok(!bad && !accel_fence_wait(first, INT64_MAX), "and all have ended well");
	accel_fence_free(first);
	rig_free(&r);
}

/* ---- failures ---- */

static void test_banned(const char *device)
{
	struct accel_job bad = job(BAD);
	struct rig r = { 0 };
	int err, failed = 0;

	if (!ok(!rig_new(&r, device), "a program that fails again and again"))
		return;
	do {
		struct accel_queue *q;
		struct accel_fence *f;

		err = accel_queue_new(r.vm, ACCEL_PRIORITY_NORMAL, 0, &q);
		if (err)
			break;
		err = accel_submit(q, &bad, 1, NULL, 0, &f);
		if (!err) {
			failed += accel_fence_wait(f, INT64_MAX) == -EIO;
			accel_fence_free(f);
		}
		accel_queue_free(q);
	} while (!err && failed < 100);
	ok(err == -EACCES && failed > 30 && failed < 100 && strstr(accel_error(), "too many of its jobs have failed"),
	   "after %d failures: %s", failed, accel_error());
	bad = job(NOP);
	err = accel_submit(r.q[0], &bad, 1, NULL, 0, NULL);
	ok(err == -EACCES && strstr(accel_error(), "too many of its jobs"), "also on a queue that was there: %s",
	   err ? accel_error() : "it is taken");
	rig_free(&r);
}

int main(int argc, char **argv)
{
	const char *device = argc > 1 ? argv[1] : "auto";

	test_full(device, 1, 3000);
	test_full(device, QUEUES, 1000);
	test_banned(device);
	return done();
}
