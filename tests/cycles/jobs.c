// SPDX-License-Identifier: MIT
/*
 * Runs random jobs of every command on the processor model and writes what calculator.py needs to
 * predict its counters: the profile, the pages, the streams with their control operands, and the counters
 * after each job.
 *
 *	jobs PROFILE [JOBS [SEED [timing]]]
 */
#include "../random/commands.h"

#include "octans_inproc.h"

#define STREAM_VA	(1ull << 36)

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

static struct octans_inproc *dev;
static struct octans_inproc_queue *queue;
static struct octans_inproc_vm *vm;

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

static void run(unsigned int n, uint32_t n_commands)
{
	struct octans_inproc_job job = { .va = STREAM_VA, .param_va = STREAM_VA + STREAM_BYTES, .param_count = 4 };
	uint64_t seq;
	int err;

	stream_size = 0;
	memory_used = 0;
	params[0] = pick(5) * 10;	/* rows, sometimes none */
	params[1] = pick(100);
	for (uint32_t i = 0; i < n_commands; i++)
		commands[pick(N_COMMANDS)]();
	memcpy(stream + STREAM_BYTES, params, sizeof(params));
	job.size = stream_size;
	err = octans_inproc_submit(queue, &job, 1, &seq);
	if (!err)
		err = octans_inproc_wait(queue, seq, INT64_MAX);
	if (err) {
		fprintf(stderr, "jobs: job %u ends with %d\n", n, err);
		exit(1);
	}
	printf("{\"job\":{\"name\":\"job %u of %u commands\",\"local\":true,\"params\":[%u,%u,%u,%u],\"stream\":\"", n,
	       n_commands, params[0], params[1], params[2], params[3]);
	for (uint32_t i = 0; i < stream_size; i++)
		printf("%02x", stream[i]);
	printf("\",\"memory\":[%.*s],", (int)memory_used, memory);
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

		if (octans_inproc_bo_new(dev, r->size, r->local, &bo) ||
		    octans_inproc_vm_map(vm, bo, 0, r->va, r->size, false))
			die("memory cannot be mapped");
		r->map = octans_inproc_bo_map(bo);
		printf("{\"map\":[%" PRIu64 ",%" PRIu64 ",%u,%s,true]}\n", r->va, r->size, r->page,
		       r->local ? "true" : "false");
	}
	if (octans_inproc_bo_new(dev, STREAM_BYTES + 4096, true, &bo) ||
	    octans_inproc_vm_map(vm, bo, 0, STREAM_VA, STREAM_BYTES + 4096, true))
		die("the stream cannot be mapped");
	stream = octans_inproc_bo_map(bo);
}

int main(int argc, char **argv)
{
	const char *profile = argc > 1 ? argv[1] : "octans-1";
	unsigned int jobs = argc > 2 ? atoi(argv[2]) : 40;
	bool timing = argc > 4 && !strcmp(argv[4], "timing");
	char spec[64], err[256];

	state = argc > 3 ? strtoull(argv[3], NULL, 10) * 2 + 1 : 1;
	snprintf(spec, sizeof(spec), "profile=%s,local=1G,rings=1%s", profile, timing ? ",timing" : "");
	if (octans_inproc_open(spec, &dev, err, sizeof(err)))
		die(err);
	if (octans_inproc_vm_new(dev, &vm) || octans_inproc_queue_new(vm, 0, 0, &queue))
		die("no queue");
	print_profile(profile);
	map_memory();
	for (unsigned int i = 0; i < jobs; i++)
		run(i + 1, 1 + pick(90));
	return 0;
}
