// SPDX-License-Identifier: MIT
/*
 * What a SUBMIT costs where there is little and where there is much: 1 queue and 4,096 of them (of
 * 16 clients: idle; each with a job that waits for a fence; and all used in turn), and 1 mapped
 * buffer and 65,536.  Prints medians of rounds, few and many in turn, and the ratio.
 *   scale /dev/accel/accel0 [SUBMITS [ROUNDS]]
 */
#define HARNESS_NO_MAIN
#include "../kselftest/vgem.h"
#include "phase.h"

#define CLIENTS		16
#define QUEUES		256	/* of each: what one file may have */
#define BUFFERS		65536
#define MOST_ROUNDS	15

struct many {
	struct client clients[CLIENTS];
	uint32_t queues[CLIENTS][QUEUES];	/* the first is client_open()'s */
	uint32_t fence[CLIENTS];		/* a syncobj that waiting jobs wait for */
};

static int submits = 1000, rounds = 5;

static void fail(const char *what, int ret)
{
	fprintf(stderr, "scale: %s: %s\n", what, strerror(-ret));
	exit(1);
}

#define MUST(what) do { int ret_ = (what); if (ret_) fail(#what, ret_); } while (0)

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, n, sizeof(*v), ascending);
	return v[n / 2];
}

/* The median time of SUBMITs of a NOP, in us; each is waited for before the next. */
static double measure(struct many *m, int clients, int queues)
{
	static uint32_t outs[CLIENTS];
	double *t = calloc(submits, sizeof(*t)), result;

	for (int k = 0; k < clients; k++)
		MUST(syncobj_create(m->clients[k].fd, &outs[k]));
	for (int i = 0; i < submits; i++) {
		int k = i % clients;
		struct client *c = &m->clients[k];
		struct drm_octans_sync out = { .flags = DRM_OCTANS_SYNC_SIGNAL, .handle = outs[k] };
		struct drm_syncobj_wait w = {
			.handles = (uintptr_t)&out.handle, .count_handles = 1, .timeout_nsec = INT64_MAX,
		};
		int64_t begin = now_ns();
		int ret;

		phase(PHASE_SEND);
		ret = submit(c->fd, m->queues[k][i / clients % queues], VA, 16, 0, &out, 1);
		phase(PHASE_NONE);
		t[i] = (now_ns() - begin) * 1e-3;
		MUST(ret);
		MUST(call(c->fd, DRM_IOCTL_SYNCOBJ_WAIT, &w));
	}
	phase(PHASE_REPORT);
	result = median(t, submits);
	free(t);
	for (int k = 0; k < clients; k++) {
		struct drm_syncobj_destroy d = { .handle = outs[k] };

		MUST(call(m->clients[k].fd, DRM_IOCTL_SYNCOBJ_DESTROY, &d));
	}
	return result;
}

static void open_clients(struct many *m, int clients)
{
	for (int k = 0; k < clients; k++) {
		MUST(client_open(&m->clients[k], 10000));
		put_nop(m->clients[k].map);
		m->queues[k][0] = m->clients[k].queue;
	}
}

static void close_clients(struct many *m, int clients)
{
	for (int k = 0; k < clients; k++)
		client_close(&m->clients[k]);
}

static void make_queues(struct many *m)
{
	for (int k = 0; k < CLIENTS; k++)
		for (int q = 1; q < QUEUES; q++)
			MUST(queue_create(m->clients[k].fd, m->clients[k].vm, 10000, &m->queues[k][q]));
}

static void drop_queues(struct many *m)
{
	for (int k = 0; k < CLIENTS; k++)
		for (int q = 1; q < QUEUES; q++)
			MUST(queue_destroy(m->clients[k].fd, m->queues[k][q]));
}

/* A job in each queue but the first of the first client. */
static void let_wait(struct many *m, int file)
{
	for (int k = 0; k < CLIENTS; k++) {
		struct drm_syncobj_handle h = {
			.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE, .fd = file,
		};
		struct drm_octans_sync in = { 0 };

		MUST(syncobj_create(m->clients[k].fd, &in.handle));
		h.handle = in.handle;
		MUST(call(m->clients[k].fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &h));
		for (int q = !k; q < QUEUES; q++)
			MUST(submit(m->clients[k].fd, m->queues[k][q], VA, 16, 0, &in, 1));
	}
}

static void print(const char *what, double *few, double *many)
{
	double a = median(few, rounds), b = median(many, rounds);

	printf("%-36s %8.1f %8.1f %6.2f\n", what, a, b, b / a);
}

static void measure_queues(void)
{
	double few[MOST_ROUNDS], idle[MOST_ROUNDS], waiting[MOST_ROUNDS], turns[MOST_ROUNDS];
	double few_turns[MOST_ROUNDS];
	static struct many m;
	bool vgem = true;

	for (int r = 0; r < rounds; r++) {
		int file;

		open_clients(&m, CLIENTS);
		few[r] = measure(&m, 1, 1);
		few_turns[r] = measure(&m, CLIENTS, 1);
		make_queues(&m);
		idle[r] = measure(&m, 1, 1);
		turns[r] = measure(&m, CLIENTS, QUEUES);
		file = vgem_fence();
		vgem = vgem && file >= 0;
		if (vgem) {
			struct pollfd p = { .fd = file, .events = POLLIN };

			let_wait(&m, file);
			waiting[r] = measure(&m, 1, 1);
			if (poll(&p, 1, 0)) {
				fprintf(stderr, "scale: too slow: the fence came; ask for fewer SUBMITs\n");
				exit(1);
			}
		}
		drop_queues(&m);
		close_clients(&m, CLIENTS);
	}
	print("1 queue, and 4,096 idle ones", few, idle);
	print("16 queues, and 4,096, used in turn", few_turns, turns);
	if (vgem)
		print("1 queue, and 4,095 that wait", few, waiting);
}

static void measure_buffers(void)
{
	double few[MOST_ROUNDS], many[MOST_ROUNDS];
	static struct many one, all;

	open_clients(&one, 1);
	open_clients(&all, 1);
	for (int i = 0; i < BUFFERS; i++) {
		struct client *c = &all.clients[0];
		uint32_t handle;

		MUST(bo_create(c->fd, PAGE, 0, &handle));
		MUST(vm_map(c->fd, c->vm, handle, 0, 2 * VA + i * 2 * PAGE, PAGE, 0));
	}
	for (int r = 0; r < rounds; r++) {
		few[r] = measure(&one, 1, 1);
		many[r] = measure(&all, 1, 1);
	}
	print("1 mapped buffer, and 65,536", few, many);
	close_clients(&one, 1);
	close_clients(&all, 1);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	setenv("OCTANS_NODE", argv[1], 1);
	submits = argc > 2 ? atoi(argv[2]) : submits;
	rounds = argc > 3 ? atoi(argv[3]) : rounds;
	if (submits < 1 || rounds < 1 || rounds > MOST_ROUNDS)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%-36s %8s %8s %6s\n", "a SUBMIT, us", "few", "many", "ratio");
	measure_queues();
	measure_buffers();
	return 0;
}
