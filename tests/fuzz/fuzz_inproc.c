// SPDX-License-Identifier: MIT
/*
 * Hostile clients of the in-process door, all at once, beside one that is honest: buffers that
 * come and go, mappings that change under jobs that run, address spaces and queues that end in
 * the middle.
 *
 * Every client has a mark.  A page of his that no address space may write holds nothing but it,
 * from the moment at which the call that took the right away returned; memory is zero when it
 * is new; and nobody's memory ever holds the mark of another.  Where no fault is injected, the
 * honest client's jobs all succeed, in bounded time.
 */
#include <errno.h>
#include <string.h>

#include "grammar.h"
#include "inproc.h"

#define CLIENTS		3	/* and the honest one */
#define STEPS		1500	/* of each client on one processor */
#define BUFFERS		10
#define SPACES		2
#define QUEUES		3	/* of a client */
#define PAGE		0x1000ULL
#define MOST_PAGES	1024	/* of a buffer */
#define WINDOW		0x40000000ULL	/* where buffers are mapped */
#define WINDOW_PAGES	2048
#define CODE		0x10000ULL	/* in every address space, read only */
#define CODE_SIZE	0x8000
#define SLOTS		16		/* streams in it */
#define SLOT_SIZE	(CODE_SIZE / SLOTS)
#define PARAMS_AT	(SLOT_SIZE - OCTANS_PARAM_MAX * 4)
#define IDS		0x20000ULL	/* numbers that are mostly good */
#define IDS_SIZE	0x4000
#define MARK(client)	(0x5ec2e75ec2e7a55bULL * (2 * (client) + 1))	/* far from each other */
#define HONEST_SECONDS	10

struct buffer {
	struct octans_inproc_bo *bo;
	uint32_t pages;
	uint16_t writers[MOST_PAGES];	/* mappings that may write the page */
};

/* What is mapped at each page of the window. */
struct place {
	struct buffer *buffer;
	uint32_t page;
	bool readonly;
};

/* Of a client; lives until its handle and its queues are gone. */
struct space {
	struct octans_inproc_vm *vm;	/* NULL: it is given back */
	unsigned int queues;
	bool used;
	struct place place[WINDOW_PAGES];
};

struct queue {
	struct octans_inproc_queue *q;
	struct space *space;
	uint64_t newest;
};

struct client {
	unsigned int number;
	uint64_t seed;
	pthread_t thread;
	struct octans_inproc_bo *code, *ids;
	struct buffer buffer[BUFFERS];
	struct space space[SPACES];
	struct queue queue[QUEUES];
	atomic_ulong steps;		/* of all processors */
	unsigned long jobs, ended[6], maps, unmaps, refused, spaces, queues, buffers;
};

static struct octans_inproc *dev;
static bool injected, timing_only;
static atomic_bool over;
static atomic_uint at_work;
static struct client client[CLIENTS];
static _Thread_local struct client *me;
static _Thread_local struct space *now;		/* whose stream is made */
static unsigned long honest_jobs, processors, lost, faults;
static double slowest, slowest_injected;

static int64_t ns_from_now(double seconds)
{
	return (seconds_now() + seconds) * 1e9;
}

/* ---- memory ---- */

static uint64_t *page_of(const struct buffer *b, uint32_t n)
{
	return (uint64_t *)((char *)octans_inproc_bo_map(b->bo) + n * PAGE);
}

static const char *where(const struct buffer *b)
{
	return b->bo->local ? "on the card" : "of the host";
}

static void mark_page(const struct buffer *b, uint32_t n)
{
	uint64_t *page = page_of(b, n);

	for (int i = 0; i < 512; i++)
		page[i] = MARK(me->number);
}

/* What was on the card is lost with it, and reads as anything. */
static bool is_gone(void)
{
	struct octans_inproc_info info;

	return octans_inproc_info(dev, &info) == -ENODEV;
}

static void check_page(const struct buffer *b, uint32_t n)
{
	const uint64_t *page = page_of(b, n);

	for (int i = 0; i < 512; i++) {
		uint64_t word = ((const volatile uint64_t *)page)[i];	/* jobs may write it */

		if (!b->writers[n] && word != MARK(me->number) && !is_gone())
			finding("client %u: a page that nobody may write was: word %d is 0x%llx",
				me->number, i, (unsigned long long)word);
		for (unsigned int other = 0; other <= CLIENTS; other++)
			if (word == MARK(other) && other != me->number)
				finding("client %u finds the mark of client %u in page %u of %u %s",
					me->number, other, n, b->pages, where(b));
	}
}

static void check_buffer(const struct buffer *b)
{
	for (uint32_t n = 0; b->bo && n < b->pages; n++)
		check_page(b, n);
}

static void new_buffer(struct buffer *b)
{
	uint32_t pages = one_in(3) ? 1 + below(MOST_PAGES) : 1 + below(20);
	uint64_t size = one_in(20) ? any_size() : pages * PAGE;

	if (octans_inproc_bo_new(dev, size, one_in(2), &b->bo)) {
		b->bo = NULL;
		me->refused++;
		return;
	}
	if (b->bo->size > MOST_PAGES * PAGE) {
		octans_inproc_bo_free(b->bo);
		b->bo = NULL;
		return;
	}
	b->pages = b->bo->size / PAGE;
	memset(b->writers, 0, sizeof(b->writers));
	for (uint32_t n = 0; n < b->pages; n++) {
		const uint64_t *page = page_of(b, n);

		for (int i = 0; i < 512; i++)
			if (page[i] && !is_gone())
				finding("client %u: new memory %s is not zero: word %d of page %u is 0x%llx",
					me->number, where(b), i, n, (unsigned long long)page[i]);
		mark_page(b, n);
	}
	me->buffers++;
}

/* The processor keeps what is still mapped; nobody looks at it any more. */
static void end_buffer(struct buffer *b)
{
	check_buffer(b);
	octans_inproc_bo_free(b->bo);
	b->bo = NULL;
	for (int s = 0; s < SPACES; s++)
		for (int i = 0; i < WINDOW_PAGES; i++)
			if (me->space[s].place[i].buffer == b)
				me->space[s].place[i].buffer = NULL;
}

/* A page of the window is mapped no more. */
static void forget_place(struct place *p)
{
	if (p->buffer && !p->readonly && !--p->buffer->writers[p->page])
		mark_page(p->buffer, p->page);
	p->buffer = NULL;
}

static void forget_space(struct space *s)
{
	for (int i = 0; i < WINDOW_PAGES; i++)
		forget_place(&s->place[i]);
	s->used = false;
}

/* ---- address spaces ---- */

static void end_space(struct space *s)
{
	octans_inproc_vm_free(s->vm);
	s->vm = NULL;
	if (!s->queues)
		forget_space(s);
}

static int map_pages(struct space *s, uint32_t first, const struct buffer *b, uint32_t page,
		     uint32_t n, bool readonly)
{
	return octans_inproc_vm_map(s->vm, b->bo, page * PAGE, WINDOW + first * PAGE, n * PAGE, readonly);
}

static void map(struct space *s)
{
	struct buffer *b = &me->buffer[below(BUFFERS)];
	uint32_t first = below(WINDOW_PAGES), page, n;
	bool readonly = one_in(3);

	if (!b->bo)
		return;
	page = one_in(2) ? 0 : below(b->pages);
	n = 1 + below(one_in(2) ? b->pages - page : 8);
	if (one_in(2))
		first &= one_in(2) ? ~511u : ~15u;
	if (n > WINDOW_PAGES - first)
		n = WINDOW_PAGES - first;
	/* Crooked, or more than there is. */
	if (one_in(30) && !octans_inproc_vm_map(s->vm, b->bo, any_size(), WINDOW + any_size(),
						any_size(), true))
		finding("client %u: a mapping that makes no sense is accepted", me->number);
	if (page + n > b->pages) {
		if (!map_pages(s, first, b, page, n, readonly))
			finding("client %u: more is mapped than there is", me->number);
		n = b->pages - page;
	}
	/* Jobs may write from the moment at which the call begins. */
	for (uint32_t i = 0; i < n && !readonly; i++)
		b->writers[page + i]++;
	if (map_pages(s, first, b, page, n, readonly)) {
		for (uint32_t i = 0; i < n && !readonly; i++)
			if (!--b->writers[page + i])
				mark_page(b, page + i);
		me->refused++;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		forget_place(&s->place[first + i]);
		s->place[first + i] = (struct place) { b, page + i, readonly };
	}
	me->maps++;
}

static void new_space(struct space *s)
{
	if (octans_inproc_vm_new(dev, &s->vm)) {
		s->vm = NULL;
		me->refused++;
		return;
	}
	if (octans_inproc_vm_map(s->vm, me->code, 0, CODE, CODE_SIZE, true) ||
	    octans_inproc_vm_map(s->vm, me->ids, 0, IDS, IDS_SIZE, true)) {
		octans_inproc_vm_free(s->vm);
		s->vm = NULL;
		me->refused++;
		return;
	}
	s->used = true;
	s->queues = 0;
	memset(s->place, 0, sizeof(s->place));
	me->spaces++;
	for (int i = 0; i < BUFFERS; i++)
		map(s);
}

static void unmap(struct space *s)
{
	uint32_t first = below(WINDOW_PAGES), n = 1 + below(one_in(3) ? WINDOW_PAGES - first : 16);

	if (n > WINDOW_PAGES - first)
		n = WINDOW_PAGES - first;
	if (octans_inproc_vm_unmap(s->vm, WINDOW + first * PAGE, n * PAGE)) {
		me->refused++;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		forget_place(&s->place[first + i]);
	me->unmaps++;
}

/* ---- jobs ---- */

static uint64_t page_va(void)
{
	for (int tries = 0; tries < 8; tries++) {
		uint32_t n = below(WINDOW_PAGES);

		/* A hole now and then, and what may only be read. */
		if ((now->place[n].buffer && (!now->place[n].readonly || one_in(4))) || one_in(40))
			return WINDOW + n * PAGE;
	}
	return one_in(8) ? CODE : WINDOW + below(WINDOW_PAGES) * PAGE;
}

static uint64_t large_va(uint32_t pages)
{
	for (int tries = 0; tries < 20 && pages < WINDOW_PAGES; tries++) {
		const struct place *p = &now->place[below(WINDOW_PAGES - pages)];

		if (p->buffer && p[pages].buffer == p->buffer && p[pages].page == p->page + pages)
			return WINDOW + (p - now->place) * PAGE;
	}
	return page_va();
}

static uint64_t id_va(void)
{
	return IDS + below(IDS_SIZE / 8) * 8;
}

/* Makes a stream in one of the slots; what runs there now changes under it. */
static struct octans_inproc_job make_job(void)
{
	uint32_t slot = below(SLOTS), bytes = 0;
	uint8_t *at = (uint8_t *)octans_inproc_bo_map(me->code) + slot * SLOT_SIZE;
	uint32_t *params = (uint32_t *)(at + PARAMS_AT);
	struct octans_inproc_job job = { .va = CODE + slot * SLOT_SIZE, .tag = any() };

	clean = !one_in(3);
	for (int i = 1 + below(one_in(2) ? 1 : 3); i; i--)
		bytes += make_command(at + bytes);
	for (int i = 0; i < OCTANS_PARAM_MAX; i++)
		params[i] = one_in(8) ? any_size() : below(6);
	job.size = bytes;
	if (!one_in(3)) {
		job.param_va = job.va + PARAMS_AT;
		job.param_count = OCTANS_PARAM_MAX;
	}
	if (spoil(30))
		job.va = any_size();
	if (spoil(30))
		job.size = any_size();
	if (spoil(30))
		job.param_va = any_size();
	if (spoil(30))
		job.param_count = any_size();
	return job;
}

static void submit(struct queue *q)
{
	struct octans_inproc_job jobs[8];
	uint32_t n = one_in(3) ? 1 + below(8) : 1;

	now = q->space;
	for (uint32_t i = 0; i < n; i++)
		jobs[i] = make_job();
	if (octans_inproc_submit(q->q, jobs, one_in(100) ? 0 : n, &q->newest))
		me->refused++;
	else
		me->jobs += n;
}

static void end_queue(struct queue *q)
{
	struct space *s = q->space;

	octans_inproc_queue_free(q->q);
	q->q = NULL;
	if (!--s->queues && !s->vm)
		forget_space(s);
}

static void new_queue(struct queue *q)
{
	struct space *s = &me->space[below(SPACES)];

	if (!s->vm)
		return;
	if (octans_inproc_queue_new(s->vm, below(one_in(20) ? 5 : 3), 20 + below(200), &q->q)) {
		q->q = NULL;
		me->refused++;
		return;
	}
	q->space = s;
	q->newest = 0;
	s->queues++;
	me->queues++;
}

static void count(int ret)
{
	static const int known[] = { 0, -ETIME, -EFAULT, -EIO, -ECANCELED, -ENODEV };

	for (int i = 0; i < 6; i++)
		if (ret == known[i]) {
			me->ended[i]++;
			return;
		}
	if (ret != -ETIMEDOUT)
		finding("client %u: a job ends with %d", me->number, ret);
}

static void await(struct queue *q)
{
	uint64_t seq = q->newest ? 1 + any() % q->newest : 0;
	double patience = one_in(3) ? HONEST_SECONDS * 3 : below(1000) * 1e-6;
	int ret;

	if (!q->newest) {
		if (octans_inproc_wait(q->q, 1 + below(2), 0) != -EINVAL)
			finding("client %u: a job that was never is waited for", me->number);
		return;
	}
	ret = octans_inproc_wait(q->q, one_in(2) ? q->newest : seq, ns_from_now(patience));
	count(ret);
	/* After a failure the queue is no more. */
	if (ret && ret != -ETIMEDOUT)
		end_queue(q);
}

static void take_faults(struct space *s)
{
	struct octans_inproc_fault f;

	while (octans_inproc_vm_fault(s->vm, &f))
		if (!f.code || f.code > OCTANS_FAULT_FORMAT)
			finding("client %u: a fault of kind %u", me->number, f.code);
}

static void inject(void)
{
	static const char *const lines[] = {
		"hang ring 0", "hang ring 1", "fault 0", "fault 2", "slow 1 300", "slow 1 0",
		"corrupt-wb 0 xor 77", "corrupt-wb 1 xor 1", "drop-irq 1 3", "drop-irq 2", "stat",
		"fail-reset ring 2", "fail-reset device", "undefined",
	};
	const char *line = lines[below(sizeof(lines) / sizeof(*lines))];
	char reply[4096];

	octans_inproc_control(dev, line, reply, sizeof(reply));
	if (one_in(200))
		octans_inproc_control(dev, "remove", reply, sizeof(reply));
}

static void step(void)
{
	struct buffer *b = &me->buffer[below(BUFFERS)];
	struct space *s = &me->space[below(SPACES)];
	struct queue *q = &me->queue[below(QUEUES)];

	if (!b->bo)
		new_buffer(b);
	else if (one_in(40))
		end_buffer(b);
	else if (one_in(20))
		check_buffer(b);
	if (!s->used) {
		new_space(s);
	} else if (s->vm) {
		if (one_in(4))
			one_in(2) ? map(s) : unmap(s);
		if (one_in(200))
			end_space(s);
		else if (one_in(10))
			take_faults(s);
	}
	if (!q->q)
		new_queue(q);
	else if (one_in(100))
		end_queue(q);
	else if (one_in(2))
		submit(q);
	else
		await(q);
	/* Ids, lists and ranges that were checked become others. */
	if (one_in(4))
		fill_ids(octans_inproc_bo_map(me->ids), IDS_SIZE / 8);
	if (injected && one_in(50))
		inject();
}

static void leave(void)
{
	for (int i = 0; i < QUEUES; i++)
		if (me->queue[i].q)
			end_queue(&me->queue[i]);
	for (int i = 0; i < SPACES; i++)
		if (me->space[i].vm)
			end_space(&me->space[i]);
	for (int i = 0; i < BUFFERS; i++)
		if (me->buffer[i].bo)
			end_buffer(&me->buffer[i]);
	octans_inproc_bo_free(me->code);
	octans_inproc_bo_free(me->ids);
}

/* On the card if there is room; NULL: the card has been taken away. */
static struct octans_inproc_bo *some_memory(uint64_t size)
{
	struct octans_inproc_bo *bo;

	if (one_in(2) && !octans_inproc_bo_new(dev, size, true, &bo))
		return bo;
	if (!octans_inproc_bo_new(dev, size, false, &bo))
		return bo;
	if (!is_gone())
		finding("client %u: no memory to begin with", me->number);
	return NULL;
}

static void *client_main(void *arg)
{
	me = arg;
	random_state = me->seed;
	me->code = some_memory(CODE_SIZE);
	me->ids = some_memory(IDS_SIZE);
	if (me->code && me->ids) {
		fill_ids(octans_inproc_bo_map(me->ids), IDS_SIZE / 8);
		for (int i = 0; i < STEPS && !atomic_load(&over); i++) {
			step();
			atomic_fetch_add(&me->steps, 1);
		}
	}
	leave();
	atomic_fetch_sub(&at_work, 1);
	return NULL;
}

/* ---- the honest client ---- */

struct honest {
	struct octans_inproc_bo *code, *data;
	struct octans_inproc_vm *vm;
	struct octans_inproc_queue *q;
};

static void honest_new(struct honest *h)
{
	struct octans_cmd_copy copy = {
		.cmd = { .op = OCTANS_OP_COPY, .size = sizeof(copy) },
		.dst = WINDOW + 0x8000, .src = WINDOW, .size = 0x8000,
	};

	if (octans_inproc_bo_new(dev, PAGE, false, &h->code) ||
	    octans_inproc_bo_new(dev, 0x10000, true, &h->data) ||
	    octans_inproc_vm_new(dev, &h->vm) ||
	    octans_inproc_vm_map(h->vm, h->code, 0, CODE, PAGE, true) ||
	    octans_inproc_vm_map(h->vm, h->data, 0, WINDOW, 0x10000, false) ||
	    octans_inproc_queue_new(h->vm, 0, 0, &h->q))
		finding("the honest client has no memory");
	memcpy(octans_inproc_bo_map(h->code), &copy, sizeof(copy));
}

static void honest_free(struct honest *h)
{
	octans_inproc_queue_free(h->q);
	octans_inproc_vm_free(h->vm);
	octans_inproc_bo_free(h->code);
	octans_inproc_bo_free(h->data);
}

static void honest_job(struct honest *h)
{
	struct octans_inproc_job job = { .va = CODE, .size = sizeof(struct octans_cmd_copy) };
	uint64_t *data = octans_inproc_bo_map(h->data), seq;
	double start = seconds_now(), took;
	int ret;

	for (int i = 0; i < 0x1000; i++)
		data[i] = i % 2 ? any() : MARK(CLIENTS);
	ret = octans_inproc_submit(h->q, &job, 1, &seq);
	if (!ret)
		ret = octans_inproc_wait(h->q, seq, ns_from_now(HONEST_SECONDS));
	took = seconds_now() - start;
	if (took > (injected ? slowest_injected : slowest))
		*(injected ? &slowest_injected : &slowest) = took;
	honest_jobs++;
	if (!ret && !timing_only && memcmp(data, data + 0x1000, 0x8000))
		finding("the honest client's data is wrong");
	if (!ret)
		return;
	if (!injected)
		finding("the honest client's job ends with %d after %.3f s", ret, took);
	/* Another queue, and it goes on; unless there is no processor any more. */
	lost++;
	octans_inproc_queue_free(h->q);
	h->q = NULL;
	if (octans_inproc_queue_new(h->vm, 0, 0, &h->q)) {
		h->q = NULL;
		atomic_store(&over, true);
	}
}

/* On a busy machine a processor's life may be long, but somebody makes a step. */
static void alarm_if_stuck(void)
{
	static unsigned long before;
	unsigned long steps = honest_jobs;

	for (int i = 0; i < CLIENTS; i++)
		steps += atomic_load(&client[i].steps);
	if (steps != before)
		alarm(60);
	before = steps;
}

static void one_processor(void)
{
	static const char *const specs[] = {
		"local=16M,rings=4,threads=2", "local=16M,rings=2,threads=1",
		"profile=octans-s,local=16M,rings=3",
		"local=16M,rings=4,threads=1,timing",
	};
	const char *spec = specs[below(4)];
	struct octans_inproc_info info;
	struct honest honest;
	uint64_t before;
	char err[256];

	if (octans_inproc_open(spec, &dev, err, sizeof(err)))
		finding("no processor: %s", err);
	injected = one_in(3);
	/* What hangs is injected; what merely stands still may be a busy machine's doing. */
	if (injected)
		dev->patience = 10;
	timing_only = strstr(spec, "timing");
	atomic_store(&over, false);
	octans_inproc_info(dev, &info);
	before = info.local_used;
	honest_new(&honest);	/* before anybody else */
	atomic_store(&at_work, CLIENTS);
	for (unsigned int i = 0; i < CLIENTS; i++) {
		client[i].number = i;
		client[i].seed = any() | 1;
		if (pthread_create(&client[i].thread, NULL, client_main, &client[i]))
			finding("no threads left");
	}
	while (atomic_load(&at_work)) {
		alarm_if_stuck();
		if (honest.q)
			honest_job(&honest);
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
		if (seconds_now() > random_end)
			atomic_store(&over, true);
	}
	for (unsigned int i = 0; i < CLIENTS; i++)
		pthread_join(client[i].thread, NULL);
	honest_free(&honest);
	if (!octans_inproc_info(dev, &info) && info.local_used != before)
		finding("%llu bytes of the card were not given back",
			(unsigned long long)(info.local_used - before));
	faults += atomic_load(&dev->sim->core.stats.faults);
	octans_inproc_close(dev);
	processors++;
}

int main(int argc, char **argv)
{
	struct client sum = { 0 };

	random_begin(argc, argv);
	while (random_more())
		one_processor();
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &client[i];

		sum.jobs += c->jobs;
		for (int k = 0; k < 6; k++)
			sum.ended[k] += c->ended[k];
		sum.maps += c->maps;
		sum.unmaps += c->unmaps;
		sum.refused += c->refused;
		sum.spaces += c->spaces;
		sum.queues += c->queues;
		sum.buffers += c->buffers;
	}
	printf("seed %llu: %lu processors, %lu jobs (seen: %lu ok, %lu ETIME, %lu EFAULT, %lu EIO, "
	       "%lu ECANCELED, %lu ENODEV), %lu faults and refusals by the bus\n",
	       (unsigned long long)random_seed, processors, sum.jobs, sum.ended[0], sum.ended[1],
	       sum.ended[2], sum.ended[3], sum.ended[4], sum.ended[5], faults);
	printf("%lu buffers, %lu address spaces, %lu queues, %lu maps, %lu unmaps, %lu refusals\n",
	       sum.buffers, sum.spaces, sum.queues, sum.maps, sum.unmaps, sum.refused);
	printf("%lu honest jobs, the slowest %.3f s; where faults are injected %lu of them were lost, "
	       "the slowest %.3f s\n", honest_jobs, slowest, lost, slowest_injected);
	return 0;
}
