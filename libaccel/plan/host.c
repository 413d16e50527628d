// SPDX-License-Identifier: MIT
#include "host.h"

#include <stdio.h>

#include "footprint.h"

#define WORD sizeof(int32_t)
/* Of an activation that meets integer weights, a block of 32 in int8 with its scale. */
#define QUANTISED 9 / 8

/* Between an engine and each of its executors, for each pass under way: the residual stream, results, arrays of the step. */
static uint64_t exchange(const struct accel_model *m, const struct shape *s)
{
	const uint64_t top = s->out < TOP_ROWS ? s->out : TOP_ROWS;
	const uint64_t k = m->n_vocab < OCTANS_MAX_TOPK ? m->n_vocab : OCTANS_MAX_TOPK;

	return WORD * (s->batch * (m->n_stream + 8ull + 2 * s->windows) + s->out * (m->n_vocab + 1ull) + 2 * top * k +
		       (uint64_t)s->seqs * shape_seq_pages(s));
}

/* Activations of the CPU's executor, and the copy of them that meets integer weights. */
static uint64_t activations(const struct accel_model *m, const struct shape *s)
{
	uint64_t columns = 0, widest = m->n_embd;

	for (unsigned int i = 0; i < LAYER_SCRATCH; i++) {
		uint64_t cols = model_scratch(m, s, i) + 1ull;

		columns += cols;
		widest = cols > widest ? cols : widest;
	}
	return s->batch * (WORD * columns + widest * QUANTISED);
}

/* The engine's: pages and their tables, arrays of each pass under way, logits of a step. */
static uint64_t engine(const struct accel_model *m, const struct shape *s)
{
	const uint64_t pass = (uint64_t)s->seqs * (shape_seq_pages(s) + 7ull) + (8ull + 2 * s->windows) * s->batch +
			      4ull * s->out;

	return WORD * (3ull * s->pages + s->slots + s->flights * pass + (uint64_t)s->out * m->n_vocab);
}

void host_memory_of(struct host_memory *h, const struct accel_model *m, const struct shape *s,
		    const struct accel_layer *layers)
{
	uint64_t seen = 0;		/* processors */
	bool cpu = false;

	*h = (struct host_memory) {
		.work = engine(m, s) + exchange(m, s) + activations(m, s), .weights = m->converted_bytes,
	};
	for (uint32_t i = 0; i < m->n_layers; i++) {
		int32_t device = layers[i].device;

		if (device < 0) {
			h->kv += layers[i].kv_bytes;
			cpu = true;
			continue;
		}
		for (uint32_t d = 0; d < 64; d++)
			if (layer_on(&layers[i], d) && !(seen >> d & 1)) {
				seen |= 1ull << d;
				h->work += s->flights * exchange(m, s);
				h->far += footprint_host(m, s, layers, d);
			}
	}
	h->work += shape_exchange_bytes(s);
	for (uint32_t i = 0; i < m->n_tables && cpu; i++)
		h->work += table_bytes(&m->tables[i], s->ctx, s->batch);
}

uint64_t host_memory_free(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}
