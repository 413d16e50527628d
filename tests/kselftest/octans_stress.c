// SPDX-License-Identifier: MIT
/*
 * Honest clients for as long as one likes, beside others that kill, time out, fail, bind and come
 * and go.  What the others do costs them alone: no honest job is lost, no honest queue banned, and
 * the device is reset as often as somebody gave cause, not once more.
 *
 *	octans_stress [SECONDS [HONEST]]		20 seconds and 12 clients
 */
#define HARNESS_NO_MAIN
#include "octans_admin.h"

static volatile bool stop;

enum kind { HONEST, KILLER, SLEEPER, FAILER, BINDER, VISITOR };

static const char *const names[] = {
	[HONEST] = "honest", [KILLER] = "killing", [SLEEPER] = "timing out", [FAILER] = "failing",
	[BINDER] = "binding", [VISITOR] = "coming and going",
};

struct worker {
	enum kind kind;
	unsigned int seed;
	pthread_t thread;
	long done;
	/* what went wrong first, and what was caused: at most so many resets */
	int error, banned;
	long causes;
};

/* A result that its stream computes: each job proves that it ran, and that it ran whole. */
static int honest_job(struct client *c, uint32_t n)
{
	volatile uint32_t *cell = (uint32_t *)(c->map + 8 * PAGE);
	uint32_t size = put_copy(c->map, VA + 8 * PAGE + 64, VA + 8 * PAGE, 4);
	int ret;

	size += put_copy(c->map + size, VA + 8 * PAGE + 128, VA + 8 * PAGE + 64, 4);
	cell[0] = n;
	ret = run(c->fd, c->queue, VA, size, n);
	return ret ? ret : cell[32] == n ? 0 : -EBADMSG;
}

static void be_honest(struct worker *w)
{
	struct drm_octans_queue_query q;
	struct client c;

	w->error = client_open(&c, 10000);
	for (; !w->error && !stop; w->done++)
		w->error = honest_job(&c, w->done + 1);
	if (!queue_state(&c, &q) && q.state)
		w->banned = q.error;
	client_close(&c);
}

/* A queue with a job that runs, or soon will, is destroyed. */
static int kill_one(struct worker *w, struct client *c)
{
	uint32_t queue;
	int ret = queue_create(c->fd, c->vm, 1000, &queue);

	if (!ret)
		ret = submit(c->fd, queue, VA, put_nops(c->map, 64), 0, NULL, 0);
	usleep(rand_r(&w->seed) % 8000);
	w->causes++;
	return ret ? ret : queue_destroy(c->fd, queue);
}

/* One copies for longer than it may; its queue is banned, and it makes another. */
static int time_out_one(struct worker *w, struct client *c)
{
	uint32_t queue, size = 0;
	int ret = queue_create(c->fd, c->vm, 1, &queue);

	while (size < 7 * PAGE)
		size += put_copy(c->map + size, VA + 12 * PAGE, VA + 8 * PAGE, 4 * PAGE);
	if (!ret)
		ret = run(c->fd, queue, VA, size, 0);
	w->causes++;
	queue_destroy(c->fd, queue);
	usleep(200000);
	return ret == -ETIME ? 0 : ret;
}

static int fail_one(struct worker *w, struct client *c)
{
	uint32_t queue;
	int ret = queue_create(c->fd, c->vm, 1000, &queue);

	memset(c->map, 0xff, 16);
	if (!ret)
		ret = run(c->fd, queue, VA, 16, 0);
	w->causes++;
	queue_destroy(c->fd, queue);
	usleep(100000);
	return ret == -EIO ? 0 : ret;
}

static int bind_one(struct worker *w, struct client *c)
{
	uint64_t va = VA + (1ull << 30) + rand_r(&w->seed) % 4096 * PAGE;
	int ret = vm_map(c->fd, c->vm, c->bo, 0, va, 16 * PAGE, 0);

	usleep(rand_r(&w->seed) % 2000);
	return ret ? ret : vm_unmap(c->fd, c->vm, va, 16 * PAGE);
}

/* Somebody who stays for one job. */
static int visit_one(struct worker *w)
{
	struct client c;
	int ret = client_open(&c, 10000);

	if (ret) {
		if (c.fd >= 0)
			close(c.fd);
		return ret;
	}
	ret = honest_job(&c, w->done + 1);
	submit(c.fd, c.queue, VA, 16, 0, NULL, 0);	/* may run when the file is closed */
	w->causes++;
	client_close(&c);
	usleep(rand_r(&w->seed) % 20000);
	return ret;
}

/* Whom a driver refuses for a while has earned it. */
static bool refused(int ret)
{
	return ret == -EACCES || ret == -EAGAIN || ret == -EDQUOT || ret == -ECANCELED;
}

static void be_a_nuisance(struct worker *w)
{
	struct client c = { .fd = -1 };
	int ret = w->kind == VISITOR ? 0 : client_open(&c, 10000);

	while (!stop && !ret) {
		ret = w->kind == KILLER ? kill_one(w, &c) : w->kind == SLEEPER ? time_out_one(w, &c) :
		      w->kind == FAILER ? fail_one(w, &c) : w->kind == BINDER ? bind_one(w, &c) :
		      visit_one(w);
		if (refused(ret) && w->kind != BINDER) {
			usleep(500000);
			ret = 0;
		}
		w->done++;
	}
	w->error = ret;
	if (c.fd >= 0)
		client_close(&c);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	if (w->kind == HONEST)
		be_honest(w);
	else
		be_a_nuisance(w);
	return NULL;
}

/* Prints TAP of one test; what each kind did is said as a comment. */
static bool summary(const struct worker *w, int n, long long resets)
{
	long causes = 0;
	bool good = true;

	for (enum kind k = HONEST; k <= VISITOR; k++) {
		long done = 0, wrong = 0, banned = 0, who = 0;

		for (int i = 0; i < n; i++) {
			if (w[i].kind != k)
				continue;
			who++;
			done += w[i].done;
			causes += w[i].causes;
			wrong += !!w[i].error;
			banned += !!w[i].banned;
			if (w[i].error)
				printf("# one that is %s ended with %d (%s)\n", names[k], w[i].error,
				       strerror(-w[i].error));
		}
		if (!who)
			continue;
		printf("# %s: %ld times, %ld of %ld stopped by an error, %ld banned\n", names[k], done, wrong,
		       who, banned);
		good &= !wrong && !banned && done;
	}
	printf("# %lld resets, %ld causes\n", resets, causes);
	return good && resets >= 0 && resets <= causes;
}

static bool settles(void)
{
	for (int i = 0; i < 100; i++) {
		if (!objects("jobs") && !objects("queues") && !objects("spaces") && !objects("buffers"))
			return true;
		usleep(100000);
	}
	return false;
}

/* A load on its own, then the same beside others: without them there is no reset at all. */
static bool stress(int seconds, int honest, bool others)
{
	static const enum kind nuisances[] = { KILLER, KILLER, SLEEPER, FAILER, BINDER, BINDER, VISITOR,
					       VISITOR };
	int n = honest + (others ? (int)(sizeof(nuisances) / sizeof(*nuisances)) : 0);
	struct worker *w = calloc(n, sizeof(*w));
	long long resets = objects("resets");
	bool good;

	stop = false;
	for (int i = 0; i < n; i++) {
		w[i].kind = i < honest ? HONEST : nuisances[i - honest];
		w[i].seed = i + 1;
		if (pthread_create(&w[i].thread, NULL, work, &w[i]))
			return false;
	}
	sleep(seconds);
	stop = true;
	for (int i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
	resets = objects("resets") - resets;
	good = summary(w, n, resets);
	free(w);
	return good;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 20, honest = argc > 2 ? atoi(argv[2]) : 12, bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!device_fresh() || objects("resets") < 0) {
		printf("Bail out! there is no processor that works, or no debugfs\n");
		return KSFT_FAIL;
	}
	for (int others = 0; others < 2; others++) {
		bool good = stress(others ? seconds - seconds / 3 : seconds / 3, honest, others);

		printf("%sok %d stress.%s\n", good ? "" : "not ", others + 1,
		       others ? "beside_others" : "honest_alone");
		bad += !good;
	}
	if (!settles()) {
		printf("not ok 3 stress.nothing_is_left\n");
		return KSFT_FAIL;
	}
	printf("ok 3 stress.nothing_is_left\n");
	return bad ? KSFT_FAIL : 0;
}
