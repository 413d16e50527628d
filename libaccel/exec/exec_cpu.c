// SPDX-License-Identifier: MIT
/* The CPU executor: the fallback for every layer, with weights straight from the mapped file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "op/cpu.h"
#include "error.h"
#include "exec.h"
#include "plan/rope.h"

struct run {			/* layers that follow each other */
	void *stream;
	size_t size;
};

struct exec_cpu {
	const struct accel_model *m;
	const struct io *io;
	struct cpu *cpu;
	float *buf[BUF_COUNT];		/* those that are not part of io */
	float *rope;			/* [ctx][rot] */
	void **kv;			/* [2 * n_layers] */
	struct run *runs;		/* [n_layers], at the first layer of each */
};

static uint64_t address(const void *p)
{
	return (uintptr_t)p;
}

static int make_buffers(struct exec_cpu *e, const struct shape *shape, struct places *at)
{
	const struct accel_model *m = e->m;

	for (int i = 0; i < BUF_COUNT; i++) {
		if (i == BUF_X || i == BUF_LOGITS) {
			at->buf[i] = address(i == BUF_X ? e->io->x : e->io->logits);
			continue;
		}
		e->buf[i] = calloc(shape->batch, sizeof(float) * model_buf_cols(m, i));
		if (!e->buf[i])
			return fail(-ENOMEM, "no memory for activations of %u tokens; choose a smaller --batch",
				    shape->batch);
		at->buf[i] = address(e->buf[i]);
	}
	e->rope = malloc(sizeof(float) * shape->ctx * m->rot);
	if (!e->rope)
		return fail(-ENOMEM, "no memory for a context of %u positions; choose a smaller --ctx",
			    shape->ctx);
	rope_table(m, shape->ctx, e->rope);
	at->rope = address(e->rope);
	at->step.tokens = address(e->io->tokens);
	at->step.positions = address(e->io->positions);
	at->step.ranges = address(e->io->ranges);
	at->step.wanted = address(e->io->wanted);
	at->logits = address(e->io->logits);
	at->top_ids = address(e->io->top_ids);
	at->top_values = address(e->io->top_values);
	return 0;
}

static int place_layer(struct exec_cpu *e, const struct shape *shape, uint32_t layer,
		       struct layer_places *at)
{
	const struct layer *l = &e->m->layers[layer];
	void **kv = &e->kv[2 * layer];

	for (int i = 0; i < LAYER_WEIGHTS; i++)
		at->w[i] = address(l->w[i].data);
	if (l->kind != ACCEL_LAYER_ATTN_GQA)
		return 0;
	for (int i = 0; i < 2; i++) {
		kv[i] = calloc(shape->ctx, model_kv_row(e->m, shape->kv_type));
		if (!kv[i])
			return fail(-ENOMEM, "no memory for the KV cache of %u positions; choose a smaller --ctx",
				    shape->ctx);
	}
	at->k = address(kv[0]);
	at->v = address(kv[1]);
	return 0;
}

static int record_run(struct exec_cpu *e, const struct shape *shape, const struct places *at,
		      uint32_t first, uint32_t end)
{
	struct recorder r;

	recorder_begin(&r, e->m, shape, at);
	for (uint32_t i = first; i < end; i++)
		record_layer(&r, i);
	r.base = malloc(r.size);
	if (!r.base)
		return fail(-ENOMEM, "no memory for %zu bytes of commands", r.size);
	e->runs[first].stream = r.base;
	e->runs[first].size = r.size;
	r.size = 0;
	for (uint32_t i = first; i < end; i++)
		record_layer(&r, i);
	return 0;
}

static int record_all(struct exec_cpu *e, const struct shape *shape, const bool *mine)
{
	uint32_t n = e->m->n_layers;
	struct layer_places *layers = calloc(n, sizeof(*layers));
	struct places at = { .layers = layers };
	int err;

	if (!layers)
		return fail(-ENOMEM, "no memory for %u layers", n);
	err = make_buffers(e, shape, &at);
	for (uint32_t i = 0; i < n && !err; i++)
		if (mine[i])
			err = place_layer(e, shape, i, &layers[i]);
	for (uint32_t i = 0, end; i < n && !err; i = end) {
		end = i + 1;
		if (!mine[i])
			continue;
		while (end < n && mine[end])
			end++;
		err = record_run(e, shape, &at, i, end);
	}
	free(layers);
	return err;
}

int exec_cpu_new(const struct accel_model *m, const struct shape *shape, const bool *mine,
		 const struct io *io, uint32_t threads, enum accel_isa isa, struct exec_cpu **out)
{
	struct exec_cpu *e = calloc(1, sizeof(*e));
	int err;

	*out = NULL;
	if (!e)
		return fail(-ENOMEM, "no memory for the CPU executor");
	e->m = m;
	e->io = io;
	e->kv = calloc(2ull * m->n_layers, sizeof(*e->kv));
	e->runs = calloc(m->n_layers, sizeof(*e->runs));
	if (!e->kv || !e->runs) {
		err = fail(-ENOMEM, "no memory for the CPU executor");
		goto fail;
	}
	err = cpu_new(isa == ACCEL_ISA_SCALAR ? CPU_ISA_SCALAR :
		      isa == ACCEL_ISA_AVX2 ? CPU_ISA_AVX2 : CPU_ISA_AUTO, threads, &e->cpu);
	if (err == -ENOTSUP)
		fail(err, "this machine's CPU has no AVX2 with FMA: use --isa scalar or auto");
	else if (err)
		fail(err, "the CPU executor cannot be made: %s", strerror(-err));
	else
		err = record_all(e, shape, mine);
	if (err)
		goto fail;
	*out = e;
	return 0;
fail:
	exec_cpu_free(e);
	return err;
}

void exec_cpu_free(struct exec_cpu *e)
{
	if (!e)
		return;
	if (e->cpu)
		cpu_free(e->cpu);
	for (int i = 0; i < BUF_COUNT; i++)
		free(e->buf[i]);
	for (uint32_t i = 0; i < e->m->n_layers; i++) {
		if (e->kv) {
			free(e->kv[2 * i]);
			free(e->kv[2 * i + 1]);
		}
		if (e->runs)
			free(e->runs[i].stream);
	}
	free(e->rope);
	free(e->kv);
	free(e->runs);
	free(e);
}

int exec_cpu_run(struct exec_cpu *e, uint32_t first)
{
	const struct run *run = &e->runs[first];
	size_t at = 0;
	int err = cpu_run(e->cpu, run->stream, run->size, e->io->params, P_COUNT, &at);

	if (err == -EINVAL)
		return fail(err, "the CPU refused the command at byte %zu of the stream from layer %u on",
			    at, first);
	return err ? fail(err, "layers from %u on on the CPU: %s", first, strerror(-err)) : 0;
}

const char *exec_cpu_isa(const struct exec_cpu *e)
{
	return cpu_isa_name(e->cpu);
}

uint32_t exec_cpu_threads(const struct exec_cpu *e)
{
	return cpu_threads(e->cpu);
}
