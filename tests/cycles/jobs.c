// SPDX-License-Identifier: MIT
/*
 * Runs random jobs of every command on the processor model, on one ring and on all of them, and writes what
 * calculator.py needs to predict its counters: the profile, the pages, the streams with their control
 * operands, what ran when, and the counters after each step.
 *
 *	jobs PROFILE RINGS [STEPS [SEED [timing]]]
 *
 * The order in which rings come to their commands is part of what the counters depend on, and is not
 * left to chance: of all rings one runs at a time.  The others wait (their jobs hold a WAIT here and
 * there, whose value the host writes when it is their turn), or are held before their first command.
 * At last all run at once; then only those counters are of interest that do not depend on the order.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "../random/commands.h"

#include "inproc.h"

#define STREAM_VA(q)	((1ull << 36) + ((uint64_t)(q) << 24))
#define PARAMS		STREAM_BYTES		/* behind the stream */
#define FLAG		(STREAM_BYTES + 512)	/* what the WAITs wait for */
#define SPACES		2
#define SEGMENTS	4

static const char *const counter_names[OCTANS_COUNTERS] = {
	"cycles", "busy_matrix", "busy_vector", "busy_dma", "busy_mmu", "busy_local", "busy_pcie",
	"local_read", "local_written", "pcie_read", "pcie_written", "macs_int8", "macs_f16",
	"macs_f32", "commands", "tlb_misses",
};

static struct region in_pages[] = {
	{ .va = 1ull << 32, .size = 192 << 20, .page = 2 << 20, .local = true },
	{ .va = (1ull << 33) + 0x1000, .size = 32 << 20, .page = 4096, .local = true },
	{ .va = (1ull << 34) + 0x1000, .size = 32 << 20, .page = 4096 },
};

/* One queue, of one job at a time.  It keeps to the ring that it gets. */
struct client {
	struct octans_inproc_vm *vm;
	struct octans_inproc_queue *queue;
	uint8_t *stream;
	unsigned int space, ring, job;	/* job: 0 = none */
	bool held;
	uint64_t flag, seq;
	uint32_t commands[SEGMENTS], segments, segment;	/* of the job */
};

static struct octans_inproc *dev;
static struct octans_inproc_vm *vm[SPACES];
static struct client client[OCTANS_MAX_RINGS];
static unsigned int n_clients, n_jobs;
static uint64_t n_commands;		/* that are to be done, by all rings, when the present step is */

static void print_counters(void)
{
	char reply[4096];

	if (octans_inproc_control(dev, "stat", reply, sizeof(reply)))
		die(reply);
	printf("\"counters\":[");
	for (unsigned int i = 0; i < OCTANS_COUNTERS; i++) {
		char key[32];
		const char *at;

		snprintf(key, sizeof(key), " %s=", counter_names[i]);
		at = strstr(reply, key);
		if (!at)
			die("stat shows no counters");
		printf("%s%llu", i ? "," : "", strtoull(at + strlen(key), NULL, 10));
	}
	printf("]");
}

/* ---- streams ---- */

/* Tensors of each command that are data, a bit each; the others are control operands. */
static uint32_t data_tensors(uint32_t op, uint32_t *count)
{
	static const struct { uint8_t count; uint16_t data; } list[] = {
		[OCTANS_OP_MOVE] = { 5, 0x13 }, [OCTANS_OP_MATMUL] = { 5, 0x0f },
		[OCTANS_OP_ROW] = { 4, 0x0f }, [OCTANS_OP_MAP] = { 3, 0x07 },
		[OCTANS_OP_ROPE] = { 4, 0x07 }, [OCTANS_OP_ATTEND] = { 9, 0x18f },
		[OCTANS_OP_TOPK] = { 5, 0x0f }, [OCTANS_OP_CONV] = { 6, 0x1f },
		[OCTANS_OP_SCAN] = { 10, 0x1ff }, [OCTANS_OP_WAIT] = { 0, 0 },
	};

	*count = list[op].count;
	return list[op].data;
}

/*
 * Makes the newest command one that fails: an operand runs off the end of a region, or the header is
 * wrong.  A control operand lies outside as a whole: what it would hold is not known otherwise.
 */
static void spoil(uint32_t at)
{
	const struct region *r = &regions[pick(n_regions)];
	struct octans_cmd *c = (struct octans_cmd *)(stream + at);
	struct octans_tensor *t = (struct octans_tensor *)(c + 1);
	uint32_t count, data = data_tensors(c->op, &count), n;
	uint64_t hull, cut;

	if (!pick(4) || !count) {
		c->reserved = 1;
		return;
	}
	do
		n = pick(count);
	while (!t[n].va);
	hull = (t[n].rows - 1) * t[n].stride + row_bytes(t[n].type, t[n].cols);
	cut = data >> n & 1 && hull > 256 ? pick(hull / 256) * 256 : 0;
	/* Of rows that are written by ids, those that are used might not be beyond the end. */
	if ((n == 0 && (c->op == OCTANS_OP_MOVE || c->op == OCTANS_OP_MATMUL)) ||
	    (n == 4 && c->op == OCTANS_OP_CONV) || (n == 8 && c->op == OCTANS_OP_SCAN))
		cut = 0;
	t[n].va = r->va + r->size - cut;
}

static void wait_for(struct client *c)
{
	struct octans_cmd_wait w = { .va = STREAM_VA(c - client) + FLAG, .value = ++c->flag };

	emit(&w, OCTANS_OP_WAIT, 0, sizeof(w));
}

/* A job of several segments, each but the first of which begins with a WAIT. */
static void make(struct client *c, uint32_t segments, uint32_t most)
{
	stream = c->stream;
	stream_size = 0;
	memory_used = 0;
	params[0] = pick(5) * 10;	/* rows, sometimes none */
	params[1] = pick(100);
	c->segments = segments;
	c->segment = 0;
	for (uint32_t k = 0; k < segments; k++) {
		c->commands[k] = 1 + pick(most);
		for (uint32_t i = 0; i < c->commands[k]; i++) {
			uint32_t at = stream_size;

			if (k && !i)
				wait_for(c);
			else
				commands[pick(N_COMMANDS)]();
			if (k == segments - 1 && i == c->commands[k] - 1 && (i || !k) && !pick(4))
				spoil(at);
		}
	}
	memcpy(stream + PARAMS, params, sizeof(params));
}

static void print_begin(const struct client *c)
{
	printf("{\"begin\":{\"ring\":%u,\"space\":%u,\"local\":true,\"params\":[%u,%u,%u,%u],\"stream\":\"",
	       c->ring, c->space, params[0], params[1], params[2], params[3]);
	for (uint32_t i = 0; i < stream_size; i++)
		printf("%02x", stream[i]);
	printf("\",\"memory\":[%.*s]}}\n", (int)memory_used, memory);
}

/* ---- steps ---- */

/* The job has ended, or waits; one that is held has begun. */
static bool settled(const struct client *c)
{
	struct sim_clock *clock = &dev->sim->core.clock;
	const struct sim_clock_ring *r = &clock->ring[c->ring];
	bool is;

	pthread_mutex_lock(&clock->lock);
	is = c->held ? r->job : clock->sum.commands == n_commands && (r->waits || !r->job);
	pthread_mutex_unlock(&clock->lock);
	return is;
}

static void nap(void)
{
	nanosleep(&(struct timespec) { .tv_nsec = 20000 }, NULL);
}

static void control(const char *fmt, unsigned int ring)
{
	char line[64], reply[4096];

	snprintf(line, sizeof(line), fmt, ring);
	if (octans_inproc_control(dev, line, reply, sizeof(reply)))
		die(reply);
}

/* The ring that the queue is going to get: the first that is free. */
static unsigned int next_ring(void)
{
	unsigned int r = 0;

	pthread_mutex_lock(&dev->lock);
	while (r < dev->rings && dev->ring[r].job)
		r++;
	pthread_mutex_unlock(&dev->lock);
	return r;
}

static void submit(struct client *c)
{
	uint64_t va = STREAM_VA(c - client);
	struct octans_inproc_job job = {
		.va = va, .size = stream_size, .param_va = va + PARAMS, .param_count = 4,
	};

	c->job = ++n_jobs;
	if (octans_inproc_submit(c->queue, &job, 1, &c->seq))
		die("a job is refused");
}

static void finish(struct client *c)
{
	int err = octans_inproc_wait(c->queue, c->seq, INT64_MAX);

	c->job = 0;
	if (!err)
		return;
	if (err != -EFAULT && err != -EIO) {
		fprintf(stderr, "jobs: a job ends with %d\n", err);
		exit(1);
	}
	octans_inproc_queue_free(c->queue);	/* it takes no more jobs */
	if (octans_inproc_queue_new(c->vm, 0, 0, &c->queue))
		die("no queue");
}

static void settle(struct client *c)
{
	while (!settled(c))
		nap();
	if (!c->held && c->segment == c->segments)
		finish(c);
}

static void go(struct client *c)
{
	n_commands += c->commands[c->segment++];
	if (c->held) {
		c->held = false;
		control("hang %u off", c->ring);
	} else if (c->segment > 1) {
		atomic_store((_Atomic uint64_t *)(c->stream + FLAG), c->flag - (c->segments - c->segment));
	}
}

static void begin(struct client *c, uint32_t segments, uint32_t most)
{
	c->ring = next_ring();
	make(c, segments, most);
	print_begin(c);
	c->held = n_clients > 1 && !pick(3);
	if (c->held)
		control("hang %u", c->ring);
	submit(c);
}

/* Takes an address space out of the TLB, or all. */
static void forget(void)
{
	unsigned int space = pick(SPACES + 1);
	uint64_t what = space < SPACES ? OCTANS_INVALIDATE_ASID(vm[space]->asid) : OCTANS_INVALIDATE_ALL;

	sim_reg_write(dev->sim, OCTANS_REG_INVALIDATE, 8, what | OCTANS_INVALIDATE_TICKET(dev->ticket));
	printf("{\"forget\":[%s]}\n", space == 0 ? "0" : space == 1 ? "1" : "0,1");
}

/* The client's turn. */
static void step(struct client *c)
{
	unsigned int job, segment;

	if (!pick(6))
		forget();
	if (!c->job) {
		begin(c, 1 + pick(SEGMENTS), n_clients > 1 ? 12 : 60);
		if (c->held) {
			settle(c);
			return;
		}
	}
	job = c->job;
	segment = c->segment;
	printf("{\"go\":%u}\n", c->ring);
	go(c);
	settle(c);
	printf("{\"step\":{\"name\":\"job %u, part %u\",\"ring\":%u,\"ring_cycles\":%" PRIu64 ",", job,
	       segment + 1, c->ring, sim_reg_read(dev->sim, OCTANS_RING(c->ring) + OCTANS_RING_CYCLES, 8));
	print_counters();
	printf("}}\n");
}

/* A job of every client, all at once; again and again. */
static void run_together(unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		for (unsigned int q = 0; q < n_clients; q++) {
			struct client *c = &client[q];

			make(c, 1, 60);
			c->ring = q;
			print_begin(c);
			printf("{\"go\":%u}\n", q);
			submit(c);
			n_commands += c->commands[0];
			c->segment = 1;
		}
		for (unsigned int q = 0; q < n_clients; q++)
			finish(&client[q]);
	}
	printf("{\"together\":{\"name\":\"%u jobs on all rings at once\",", rounds * n_clients);
	print_counters();
	printf("}}\n");
}

static void print_profile(const char *name)
{
	/* from the manual's table, not from the model */
	static const struct {
		const char *name;
		uint32_t int8, f16, f32, local_bpc, pcie_bpc, local_latency, pcie_latency, tlb, walkers;
		uint64_t sram;
	} list[] = {
		{ "octans-1", 65536, 32768, 4096, 1024, 32, 150, 1000, 1024, 16, 64 << 20 },
		{ "octans-e", 8192, 4096, 512, 64, 8, 120, 1000, 256, 4, 4 << 20 },
		{ "octans-s", 2048, 1024, 128, 16, 2, 60, 500, 128, 2, 1 << 20 },
	};

	for (unsigned int i = 0; i < 3; i++)
		if (!strcmp(list[i].name, name)) {
			printf("{\"profile\":{\"macs_int8\":%u,\"macs_f16\":%u,\"macs_f32\":%u,\"local_bpc\":%u,"
			       "\"pcie_bpc\":%u,\"local_latency\":%u,\"pcie_latency\":%u,\"tlb_entries\":%u,"
			       "\"walkers\":%u,\"sram_size\":%" PRIu64 "}}\n", list[i].int8, list[i].f16,
			       list[i].f32, list[i].local_bpc, list[i].pcie_bpc, list[i].local_latency,
			       list[i].pcie_latency, list[i].tlb, list[i].walkers, list[i].sram);
			return;
		}
	die("the manual has no such profile");
}

static void map_memory(void)
{
	struct octans_inproc_bo *bo;

	regions = in_pages;
	n_regions = sizeof(in_pages) / sizeof(in_pages[0]);
	for (unsigned int i = 0; i < n_regions; i++) {
		struct region *r = &regions[i];

		if (octans_inproc_bo_new(dev, r->size, r->local, &bo))
			die("there is no memory");
		for (unsigned int k = 0; k < SPACES; k++)
			if (octans_inproc_vm_map(vm[k], bo, 0, r->va, r->size, false))
				die("memory cannot be mapped");
		r->map = octans_inproc_bo_map(bo);
		printf("{\"map\":[%" PRIu64 ",%" PRIu64 ",%u,%s,true]}\n", r->va, r->size, r->page,
		       r->local ? "true" : "false");
	}
}

static void make_client(struct client *c, unsigned int q)
{
	struct octans_inproc_bo *bo = NULL;

	c->space = q % SPACES;
	c->vm = vm[c->space];
	if (octans_inproc_queue_new(c->vm, 0, 0, &c->queue) ||
	    octans_inproc_bo_new(dev, STREAM_BYTES + 4096, true, &bo) ||
	    octans_inproc_vm_map(c->vm, bo, 0, STREAM_VA(q), STREAM_BYTES + 4096, true))
		die("the stream cannot be mapped");
	c->stream = octans_inproc_bo_map(bo);
	printf("{\"map\":[%llu,4096,4096,true,true]}\n", STREAM_VA(q) + STREAM_BYTES);
}

int main(int argc, char **argv)
{
	const char *profile = argc > 1 ? argv[1] : "octans-1";
	unsigned int steps = argc > 3 ? atoi(argv[3]) : 40;
	bool timing = argc > 5 && !strcmp(argv[5], "timing");
	char spec[64], err[256];

	n_clients = argc > 2 ? atoi(argv[2]) : 1;
	if (!n_clients || n_clients > OCTANS_MAX_RINGS)
		die("there are 1 to 8 rings");
	state = argc > 4 ? strtoull(argv[4], NULL, 10) * 2 + 1 : 1;
	snprintf(spec, sizeof(spec), "profile=%s,local=1G,rings=%u%s", profile, n_clients, timing ? ",timing" : "");
	if (octans_inproc_open(spec, &dev, err, sizeof(err)))
		die(err);
	pthread_mutex_lock(&dev->lock);
	dev->patience = UINT_MAX;	/* rings stand still for as long as others take */
	pthread_mutex_unlock(&dev->lock);
	for (unsigned int k = 0; k < SPACES; k++)
		if (octans_inproc_vm_new(dev, &vm[k]))
			die("no address space");
	print_profile(profile);
	map_memory();
	for (unsigned int q = 0; q < n_clients; q++)
		make_client(&client[q], q);
	for (unsigned int i = 0; i < steps; i++)
		step(&client[pick(2) ? pick(n_clients) : i % n_clients]);
	for (unsigned int q = 0; q < n_clients; q++)
		while (client[q].job)
			step(&client[q]);
	if (n_clients > 1)
		run_together(4);
	return 0;
}
