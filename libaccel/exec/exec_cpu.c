// SPDX-License-Identifier: MIT
/* The CPU executor: the fallback for every layer, with weights straight from the mapped file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "exec.h"
#include "op/cpu.h"
#include "plan/stream.h"

struct run {			/* layers that follow each other */
	void *stream;		/* NULL: no run begins here */
	size_t size;
};

struct exec_cpu {
	const struct accel_model *m;
	struct shape shape;
	struct cpu *cpu;
	struct io io;
	void *io_memory;
	float *scratch[LAYER_SCRATCH];
	void *table[MODEL_TABLES];
	struct places at;
	struct layer_places *layers;	/* [n_layers]; pools: NULL if they are not here */
	struct run *runs;		/* [n_layers], at the first layer of each */
};

static uint64_t address(const void *p)
{
	return (uintptr_t)p;
}

static int make_buffers(struct exec_cpu *e)
{
	const struct shape *s = &e->shape;
	struct places *at = &e->at;

	e->io_memory = calloc(1, io_place(&e->io, e->m, s, NULL, true));
	if (!e->io_memory)
		goto no_memory;
	io_place(&e->io, e->m, s, e->io_memory, true);
	for (unsigned int i = 0; i < LAYER_SCRATCH; i++) {
		e->scratch[i] = calloc(s->batch, sizeof(float) * (model_scratch(e->m, s, i) + 1ull));
		if (!e->scratch[i])
			goto no_memory;
		at->scratch[i] = address(e->scratch[i]);
	}
	at->x = address(e->io.x);
	at->logits = at->host_logits = address(e->io.logits);
	at->top_ids = address(e->io.top_ids);
	at->top_values = address(e->io.top_values);
	at->step = (struct arrays) {
		.tokens = address(e->io.tokens), .positions = address(e->io.positions),
		.slots = address(e->io.slots), .seqs = address(e->io.seqs),
		.ranges = address(e->io.ranges), .states = address(e->io.states), .pages = address(e->io.pages),
		.wanted = address(e->io.wanted),
	};
	return 0;
no_memory:
	return fail(-ENOMEM, "no memory for activations of %u tokens at once: fewer at once take less",
		    s->batch);
}

/* Tables, when the first layer comes that may want them. */
static int make_tables(struct exec_cpu *e)
{
	const struct shape *s = &e->shape;

	for (uint32_t i = 0; i < e->m->n_tables; i++) {
		const struct table *t = &e->m->tables[i];

		if (e->table[i])
			continue;
		e->table[i] = malloc(table_bytes(t, s->ctx, s->batch));
		if (!e->table[i])
			return fail(-ENOMEM, "no memory for a context of %u positions: a shorter one takes less",
				    s->ctx);
		table_fill(t, s->ctx, s->batch, e->table[i]);
		e->at.table[i] = address(e->table[i]);
	}
	return 0;
}

/* ---- layers ---- */

static int record_run(const struct exec_cpu *e, struct run *run, const struct places *at, uint32_t first,
		      uint32_t end)
{
	struct build b;

	stream_begin(&b, e->m, &e->shape, at);
	for (uint32_t i = first; i < end; i++)
		layer_record(&b, i, &e->m->layers[i], true);
	b.r.base = malloc(b.r.size);
	if (!b.r.base)
		return fail(-ENOMEM, "no memory for %zu bytes of commands", b.r.size);
	*run = (struct run) { .stream = b.r.base, .size = b.r.size };
	b.r.size = 0;
	for (uint32_t i = first; i < end; i++)
		layer_record(&b, i, &e->m->layers[i], true);
	return 0;
}

static int record_all(const struct exec_cpu *e, const bool *mine, const struct places *at,
		      struct run *runs)
{
	uint32_t n = e->m->n_layers;
	int err = 0;

	for (uint32_t i = 0, end; i < n && !err; i = end) {
		end = i + 1;
		if (!mine[i])
			continue;
		while (end < n && mine[end])
			end++;
		err = record_run(e, &runs[i], at, i, end);
	}
	return err;
}

static void free_runs(struct run *runs, uint32_t n)
{
	for (uint32_t i = 0; i < n && runs; i++)
		free(runs[i].stream);
	free(runs);
}

static void *at_address(uint64_t va)
{
	return (void *)(uintptr_t)va;
}

/* Pools that only layers[] has. */
static void free_pools(struct layer_places *layers, const struct layer_places *but, uint32_t n)
{
	for (uint32_t i = 0; i < n && layers; i++)
		for (enum keep k = 0; k < KEEP_COUNT; k++)
			if (!but || layers[i].keep[k] != but[i].keep[k])
				free(at_address(layers[i].keep[k]));
}

/* layers[]: with the pools that are there. */
static int make_pools(const struct exec_cpu *e, const bool *mine, struct layer_places *layers)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		for (enum keep k = 0; k < KEEP_COUNT && mine[i]; k++) {
			uint64_t bytes = keep_bytes(&e->m->layers[i], k, &e->shape);

			if (!bytes || layers[i].keep[k])
				continue;
			layers[i].keep[k] = address(calloc(1, bytes));
			if (layers[i].keep[k])
				continue;
			return fail(-ENOMEM, "no memory for keys and values of %llu positions: fewer, or a smaller type of them, take less",
				    (unsigned long long)e->shape.pages << e->shape.page_log2);
	}
	return 0;
}

int exec_cpu_own(struct exec_cpu *e, const bool *mine)
{
	uint32_t n = e->m->n_layers;
	struct layer_places *layers = malloc(n * sizeof(*layers)), *was = e->layers;
	struct run *runs = calloc(n, sizeof(*runs));
	struct places at;
	int err;

	if (!layers || !runs) {
		free(layers);
		free(runs);
		return fail(-ENOMEM, "no memory for %u layers", n);
	}
	memcpy(layers, was, n * sizeof(*layers));
	err = make_tables(e);
	if (!err)
		err = make_pools(e, mine, layers);
	at = e->at;
	at.layers = layers;
	if (!err)
		err = record_all(e, mine, &at, runs);
	if (err) {
		free_runs(runs, n);
		free_pools(layers, was, n);
		free(layers);
		return err;
	}
	for (uint32_t i = 0; i < n; i++)
		for (enum keep k = 0; k < KEEP_COUNT && !mine[i]; k++) {
			free(at_address(layers[i].keep[k]));
			layers[i].keep[k] = 0;
		}
	free_runs(e->runs, n);
	e->runs = runs;
	e->layers = layers;
	free(was);
	return 0;
}

static int make_cpu(struct exec_cpu *e, uint32_t threads, const char *isa)
{
	int err = cpu_new(isa, threads, &e->cpu);

	if (err == -ENOTSUP)
		return fail(err, "the instruction set \"%s\" is not one of this machine's, or of this library", isa);
	if (err == -EAGAIN)
		return fail(err, "no more threads can be started: a limit of processes or tasks is reached, as containers and services have one; ask for fewer, or raise it");
	return err ? fail(err, "the CPU executor cannot be made: %s", strerror(-err)) : 0;
}

int exec_cpu_new(const struct accel_model *m, const struct shape *shape, uint32_t threads, const char *isa,
		 const struct stop *stop, struct exec_cpu **out)
{
	struct exec_cpu *e = calloc(1, sizeof(*e));
	int err;

	*out = NULL;
	if (!e)
		return fail(-ENOMEM, "no memory for the CPU executor");
	e->m = m;
	e->shape = *shape;
	e->layers = calloc(m->n_layers, sizeof(*e->layers));
	for (uint32_t i = 0; i < m->n_layers && e->layers; i++)
		for (int k = 0; k < LAYER_WEIGHTS; k++)
			e->layers[i].w[k] = address(m->layers[i].w[k].data);
	if (!e->layers)
		err = fail(-ENOMEM, "no memory for %u layers", m->n_layers);
	else
		err = make_cpu(e, threads, isa);
	if (!err) {
		cpu_stop_if(e->cpu, stop->fn, stop->arg);
		err = make_buffers(e);
	}
	if (err) {
		exec_cpu_free(e);
		return err;
	}
	*out = e;
	return 0;
}

void exec_cpu_free(struct exec_cpu *e)
{
	if (!e)
		return;
	if (e->cpu)
		cpu_free(e->cpu);
	for (int i = 0; i < LAYER_SCRATCH; i++)
		free(e->scratch[i]);
	for (int i = 0; i < MODEL_TABLES; i++)
		free(e->table[i]);
	free_pools(e->layers, NULL, e->m->n_layers);
	free_runs(e->runs, e->m->n_layers);
	free(e->layers);
	free(e->io_memory);
	free(e);
}

int exec_cpu_run(struct exec_cpu *e, uint32_t first)
{
	const struct run *run = &e->runs[first];
	size_t at = 0;
	int err = cpu_run(e->cpu, run->stream, run->size, e->io.params, model_params(e->m), &at);

	if (err == -EINVAL)
		return fail(err, "the CPU refused the command at byte %zu of the stream from layer %u on",
			    at, first);
	if (err == -ECANCELED)
		return fail(err, "the step was cancelled");
	if (err == -ENOMEM)
		return fail(err, "no memory for what the CPU needs to compute layers from %u on", first);
	return err ? fail(err, "layers from %u on on the CPU: %s", first, strerror(-err)) : 0;
}

const struct io *exec_cpu_io(const struct exec_cpu *e)
{
	return &e->io;
}

const float *exec_cpu_logits(const struct exec_cpu *e, const struct pass *pass)
{
	return e->io.logits + (size_t)pass->top_rows * e->m->n_vocab;	/* they stay where they are */
}

uint8_t *exec_cpu_pool(const struct exec_cpu *e, uint32_t layer, enum keep keep)
{
	return at_address(e->layers[layer].keep[keep]);
}

const char *exec_cpu_isa(const struct exec_cpu *e)
{
	return cpu_isa_name(e->cpu);
}

uint32_t exec_cpu_threads(const struct exec_cpu *e)
{
	return cpu_threads(e->cpu);
}
