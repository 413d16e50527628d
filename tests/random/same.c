// SPDX-License-Identifier: MIT
/*
 * The processor model, the scalar C and every SIMD path of this machine give the same bits: random streams of
 * every command on hostile numbers, each run by all of them on the same memory, and all
 * of that memory compared.  Prints TAP.
 *
 *	same [MILLIONS [SEED]]		stops after so many million results compared (default 2)
 */
#include "commands.h"

#include <time.h>

#include "op/cpu.h"
#include "type/type.h"
#include "octans_inproc.h"

#define MAX_ISAS 8

#define REGION_BYTES	(96u << 20)

static struct region region = { .size = REGION_BYTES, .page = 4096, .local = true };
static struct cpu *cpus[MAX_ISAS];
static const char *names[MAX_ISAS];
static unsigned int n_cpus;
static uint8_t *before, *result;
static uint64_t results_of[OCTANS_OP_COUNT], results, runs;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static uint32_t bits(void)
{
	return pick(65536) << 16 | pick(65536);
}

static uint32_t f32_bits(uint32_t style)
{
	union { float f; uint32_t u; } v;

	if (style == 1 && !pick(40))
		style = 3 + pick(5);
	switch (style) {
	case 0:
	case 1:		/* ordinary numbers, in style 1 with a strange one here and there */
		v.f = ((int32_t)bits() >> 8) * 0x1p-22f;
		return v.u;
	case 2:		/* anything at all */
		return bits();
	case 3:		/* not a number, with a payload */
		return 0x7f800001 + pick(0x7ffffe) + (pick(2) << 31);
	case 4:		/* infinite, or zero, of either sign */
		return pick(2) << 31 | (pick(2) ? 0x7f800000 : 0);
	case 5:		/* subnormal */
		return pick(2) << 31 | pick(0x800000);
	case 6:		/* ties of eighths */
		v.f = (int32_t)(pick(4096) - 2048) * 0.125f;
		return v.u;
	default:	/* large, and close to where exp() ends */
		v.f = ((int32_t)pick(65536) - 32768) * (pick(2) ? 0x1p-8f : 0x1p90f);
		return v.u;
	}
}

static uint16_t f16_bits(uint32_t style)
{
	if (style == 2)
		return pick(65536);
	if (style == 1 && !pick(40))
		return ((const uint16_t []) { 0x7c00, 0xfc00, 0x7e01, 0xfdab, 0x8000, 0x0001, 0x83ff, 0x7bff })[pick(8)];
	return pick(2) << 15 | (8 + pick(10)) << 10 | pick(1024);
}

static void fill_memory(void *to, uint64_t bytes, uint32_t type)
{
	uint32_t style = ((const uint32_t []) { 0, 0, 0, 1, 1, 2, 6 })[pick(7)];
	const struct weight_type *t = weight_type(type);
	uint8_t *p = to;

	switch (type) {
	case OCTANS_TYPE_F32:
		for (uint64_t i = 0; i < bytes / 4; i++)
			((uint32_t *)to)[i] = f32_bits(style);
		return;
	case OCTANS_TYPE_F16:
		for (uint64_t i = 0; i < bytes / 2; i++)
			((uint16_t *)to)[i] = f16_bits(style);
		return;
	case OCTANS_TYPE_BF16:
		for (uint64_t i = 0; i < bytes / 2; i++)
			((uint16_t *)to)[i] = f32_bits(style) >> 16;
		return;
	}
	for (uint64_t i = 0; i + 4 <= bytes; i += 4) {
		uint32_t b = bits();

		memcpy(p + i, &b, 4);
	}
	for (uint64_t at = 0; t && style != 2 && at + t->bytes <= bytes; at += t->bytes) {
		uint16_t d = f16_bits(style), m = f16_bits(style);

		if (t->d_exponent)	/* of scales as large as F16 are, mostly */
			p[at + t->d_at] = style ? pick(256) : 110 + pick(20);
		else
			memcpy(p + at + t->d_at, &d, 2);
		if (t->minima)
			memcpy(p + at + t->m_at, &m, 2);
	}
}

/* Results of the stream: elements of the rows in effect of each command's dst. */
static uint64_t count_results(void)
{
	uint64_t sum = 0;

	for (uint32_t at = 0; at < stream_size;) {
		const struct octans_cmd *c = (const void *)(stream + at);
		const struct octans_tensor *t = (const void *)(c + 1);
		uint64_t n = 0;

		if (c->op == OCTANS_OP_TOPK)
			n = (uint64_t)t[1].rows * t[1].cols + (uint64_t)t[0].rows * t[0].cols;
		else if (c->op == OCTANS_OP_COPY)
			n = ((const struct octans_cmd_copy *)c)->size / 4;
		else if (c->op >= OCTANS_OP_MOVE && c->op <= OCTANS_OP_SCAN)
			n = (uint64_t)(t->dyn ? params[0] : t->rows) * t->cols;
		if (c->op == OCTANS_OP_MOVE && !t->dyn && t[2].rows)	/* what ids name, not all of dst */
			n = (uint64_t)t[2].rows * t->cols;
		results_of[c->op] += n;
		sum += n;
		at += c->size;
	}
	return sum;
}

static bool same(const char *name, uint64_t seed, const uint8_t *got, uint64_t bytes)
{
	uint64_t at = 0;

	if (!memcmp(got, result, bytes))
		return true;
	while (got[at] == result[at])
		at++;
	printf("# seed %" PRIu64 ": %s has 0x%08x, the model 0x%08x", seed, name, *(const uint32_t *)(got + at / 4 * 4),
	       *(const uint32_t *)(result + at / 4 * 4));
	for (uint32_t i = 0, n = 1; i < stream_size; n++, i += ((const struct octans_cmd *)(stream + i))->size) {
		const struct octans_cmd *c = (const void *)(stream + i);
		const struct octans_tensor *t = (const void *)(c + 1);

		for (unsigned int k = 0; k < (c->size - 16) / sizeof(*t) && c->op <= OCTANS_OP_SCAN; k++)
			if (t[k].rows && at >= t[k].va - region.va &&
			    at < t[k].va - region.va + t[k].rows * t[k].stride)
				printf("; command %u, operation %u with flags 0x%x: tensor %u of type %u, row %" PRIu64
				       ", byte %" PRIu64, n, c->op, c->flags, k, t[k].type,
				       (at - (t[k].va - region.va)) / t[k].stride,
				       (at - (t[k].va - region.va)) % t[k].stride);
	}
	printf("\n");
	return false;
}

/* One stream, everywhere. */
static bool job(struct octans_inproc_queue *queue, uint64_t seed)
{
	struct octans_inproc_job j = { .va = (uintptr_t)stream, .param_va = (uintptr_t)stream + STREAM_BYTES,
				       .param_count = 4 };
	uint64_t seq, used;
	bool good = true;
	int err;

	state = seed * 2 + 1;
	region.used = n_buffers = stream_size = 0;
	params[0] = pick(5) * 10;
	params[1] = pick(100);
	for (uint32_t n = 1 + pick(6); n;) {
		void (*command)(void) = commands[pick(N_COMMANDS)];

		if (command == signal_time || command == wait_value)
			continue;	/* there is nobody to wait for on the CPU */
		command();
		n--;
	}
	used = region.used;
	memcpy(stream + STREAM_BYTES, params, sizeof(params));
	memcpy(before, region.map, used);
	j.size = stream_size;
	err = octans_inproc_submit(queue, &j, 1, &seq);
	if (!err)
		err = octans_inproc_wait(queue, seq, INT64_MAX);
	if (err) {
		printf("# seed %" PRIu64 ": the model ends with %d\n", seed, err);
		return false;
	}
	memcpy(result, region.map, used);
	for (unsigned int i = 0; i < n_cpus; i++) {
		size_t at;

		memcpy(region.map, before, used);
		err = cpu_run(cpus[i], stream, stream_size, params, 4, &at);
		if (err) {
			printf("# seed %" PRIu64 ": %s refuses the command at %zu: %d\n", seed, names[i], at, err);
			return false;
		}
		good &= same(names[i], seed, region.map, used);
	}
	results += count_results() * n_cpus;
	runs++;
	return good;
}

static void add_cpu(const char *name)
{
	if (cpu_new(name, 2, &cpus[n_cpus]))
		printf("# this machine has no %s\n", name);
	else
		names[n_cpus++] = name;
}

int main(int argc, char **argv)
{
	uint64_t millions = argc > 1 ? strtoull(argv[1], NULL, 10) : 2;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	struct octans_inproc_bo *bo = NULL, *commands_bo = NULL;
	struct octans_inproc_queue *queue;
	struct octans_inproc_vm *vm;
	struct octans_inproc *dev;
	double start = now(), shown = start;
	struct cpu_isa isas[MAX_ISAS];
	bool good = true;
	char err[256];

	if (octans_inproc_open("local=256M,rings=1", &dev, err, sizeof(err)))
		die(err);
	if (octans_inproc_vm_new(dev, &vm) || octans_inproc_queue_new(vm, 0, 0, &queue) ||
	    octans_inproc_bo_new(dev, region.size, true, &bo) ||
	    octans_inproc_bo_new(dev, STREAM_BYTES + 4096, true, &commands_bo))
		die("the model cannot be set up");
	region.map = octans_inproc_bo_map(bo);
	stream = octans_inproc_bo_map(commands_bo);
	/* The processor sees the memory at the addresses of this process: one stream serves all. */
	region.va = (uintptr_t)region.map;
	if (octans_inproc_vm_map(vm, bo, 0, region.va, region.size, false) ||
	    octans_inproc_vm_map(vm, commands_bo, 0, (uintptr_t)stream, STREAM_BYTES + 4096, true))
		die("the model's memory cannot be mapped");
	before = malloc(region.size);
	result = malloc(region.size);
	if (!before || !result)
		die("no memory");
	regions = &region;
	n_regions = 1;
	exclusive = true;
	fill = fill_memory;
	for (size_t i = 0, n = cpu_isas(isas, MAX_ISAS); i < n && i < MAX_ISAS; i++)
		add_cpu(isas[i].name);
	for (; good && results < millions * 1000000; seed++) {
		good = job(queue, seed);
		if (now() - shown > 10) {
			shown = now();
			fprintf(stderr, "%.1f of %" PRIu64 " million results, %.0f s\n", results * 1e-6, millions,
				shown - start);
		}
	}
	printf("# %" PRIu64 " streams, %.1f million results compared, by operation", runs, results * 1e-6);
	for (unsigned int op = 1; op < OCTANS_OP_COUNT; op++)
		if (results_of[op])
			printf(" %u: %.1f", op, results_of[op] * n_cpus * 1e-6);
	printf("\n%s 1 - the processor model", good ? "ok" : "not ok");
	for (unsigned int i = 0; i < n_cpus; i++)
		printf(", %s", names[i]);
	printf(" give the same bits\n1..1\n");
	return !good;
}
