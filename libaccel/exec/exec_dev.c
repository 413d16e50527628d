// SPDX-License-Identifier: MIT
/*
 * The device executor.  Weights, KV cache, activations and the recorded streams lie on the card;
 * a step writes one small block in host memory and submits, and no byte of a stream.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <accel/device.h>

#include "plan/cost.h"
#include "error.h"
#include "exec.h"
#include "plan/footprint.h"
#include "plan/rope.h"

#define VA_FIRST (1ull << 32)	/* small integers are never addresses */
#define VA_ALIGN (1ull << 30)	/* lets the MMU use the largest pages */

#define JOB_TAG(first, last) ((uint64_t)(first) << 32 | (last))

struct buffer {
	struct accel_bo *bo;		/* NULL: it is part of exec_dev.together ... */
	uint64_t offset;		/* ... from here on */
	uint64_t va;
	uint8_t *map;			/* NULL: not mapped by the process */
};

struct run {				/* layers that follow each other; at its first */
	uint32_t end;			/* past the last, 0 = no run begins here */
	uint32_t stream_end;		/* offset in the stream buffer */
};

struct exec_dev {
	const struct accel_model *m;
	struct shape shape;
	struct accel_dev *dev;
	struct accel_devinfo info;
	struct accel_vm *vm;
	struct accel_queue *queue;
	struct buffer host, weights, kv, work, stream;
	struct accel_bo *together;	/* NULL: each of them is by itself */
	uint64_t next_va;
	struct io io;
	struct run *runs;		/* [n_layers] */
	uint32_t *begins;		/* [n_layers]: where a layer's commands begin in the stream buffer */
	bool recorded;			/* all streams are */
	uint64_t submits, jobs, stream_bytes, stream_writes, ceiling;
	struct octans_counters sum;
	uint64_t newest_end;		/* cycles when the newest run had ended, 0 = none */
	uint64_t launch;		/* fewest cycles ever seen between two runs, UINT64_MAX = none were */
};

/* ---- memory ---- */

struct part {			/* a buffer on the card */
	struct buffer *b;
	uint64_t size;			/* 0: it is not needed */
	uint32_t flags;			/* of its mapping */
	const char *label;
};

#define PARTS 4

static int alloc_parts(struct exec_dev *e, const struct part *parts)
{
	int err = 0;

	for (int i = 0; i < PARTS && !err; i++)
		if (parts[i].size)
			err = accel_bo_new(e->dev, parts[i].size, ACCEL_BO_DEVICE, parts[i].label,
					   &parts[i].b->bo);
	return err;
}

/* A large buffer begins where a large page may, and what it leaves free before that can be too
 * little for the others, in a card that becomes as full as the plan has promised.  All of them as
 * one have room where they have in all. */
static int alloc_together(struct exec_dev *e, const struct part *parts)
{
	uint64_t size = 0;

	for (int i = 0; i < PARTS; i++) {
		accel_bo_free(parts[i].b->bo);
		parts[i].b->bo = NULL;
		parts[i].b->offset = size;
		size += parts[i].size;
	}
	return accel_bo_new(e->dev, size, ACCEL_BO_DEVICE, "session", &e->together);
}

static struct accel_bo *bo_of(const struct exec_dev *e, const struct buffer *b)
{
	return b->bo ? b->bo : e->together;
}

/* At the next free device address. */
static int place_buffer(struct exec_dev *e, struct buffer *b, uint64_t size, uint32_t flags)
{
	int err;

	b->va = e->next_va;
	err = accel_vm_map(e->vm, bo_of(e, b), b->offset, b->va, size, flags);
	if (!err)
		e->next_va += (size + VA_ALIGN - 1) / VA_ALIGN * VA_ALIGN;
	return err;
}

static int map_buffer(struct exec_dev *e, struct buffer *b)
{
	uint8_t *map = accel_bo_map(bo_of(e, b));

	b->map = map ? map + b->offset : NULL;
	return map ? 0 : -ENOMEM;
}

static int make_buffers(struct exec_dev *e, const struct footprint *f, struct io *io)
{
	const struct part parts[PARTS] = {
		{ &e->weights, footprint_buffer(f->weights), ACCEL_MAP_READONLY, "weights" },
		{ &e->kv, footprint_buffer(f->kv), 0, "KV cache" },
		{ &e->work, footprint_buffer(f->work), 0, "activations" },
		{ &e->stream, footprint_buffer(f->stream), ACCEL_MAP_READONLY, "commands" },
	};
	int err = alloc_parts(e, parts);

	if (err == -ENOSPC)
		err = alloc_together(e, parts);
	for (int i = 0; i < PARTS && !err; i++)
		if (parts[i].size)
			err = place_buffer(e, parts[i].b, parts[i].size, parts[i].flags);
	if (!err)
		err = accel_bo_new(e->dev, io_place(io, e->m, &e->shape, NULL), ACCEL_BO_HOST, "steps",
				   &e->host.bo);
	if (!err)
		err = place_buffer(e, &e->host, accel_bo_size(e->host.bo), 0);
	if (!err)
		err = map_buffer(e, &e->host);
	if (!err)
		err = map_buffer(e, &e->stream);
	if (err)
		return err;
	io_place(io, e->m, &e->shape, e->host.map);
	return 0;
}

/* The device address of something in the host buffer. */
static uint64_t host_va(const struct exec_dev *e, const void *p)
{
	return e->host.va + ((const uint8_t *)p - e->host.map);
}

/* Offsets in buffers become addresses. */
static void relocate(const struct exec_dev *e, const bool *mine, struct places *at,
		     struct layer_places *layers)
{
	at->rope += e->weights.va;
	for (int i = 0; i < BUF_COUNT; i++)
		at->buf[i] += e->work.va;
	at->step.tokens += e->work.va;
	at->step.positions += e->work.va;
	at->step.ranges += e->work.va;
	at->step.wanted += e->work.va;
	at->logits = host_va(e, e->io.logits);
	at->top_ids = host_va(e, e->io.top_ids);
	at->top_values = host_va(e, e->io.top_values);
	for (uint32_t i = 0; i < e->m->n_layers; i++) {
		if (!mine[i])
			continue;
		for (int k = 0; k < LAYER_WEIGHTS; k++)
			layers[i].w[k] += e->weights.va;
		layers[i].k += e->kv.va;
		layers[i].v += e->kv.va;
	}
}

struct upload {
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	uint64_t done, total;
};

/* tied: data that is there already, or NULL. */
static void copy_weights(struct exec_dev *e, uint32_t layer, const struct layer_places *at,
			 const void *tied, struct upload *up)
{
	const struct layer *l = &e->m->layers[layer];

	for (int i = 0; i < LAYER_WEIGHTS; i++) {
		if (!l->w[i].data || (tied && l->w[i].data == tied))
			continue;
		memcpy(e->weights.map + (at->w[i] - e->weights.va), l->w[i].data, l->w[i].size);
		up->done += l->w[i].size;
	}
	if (up->progress)
		up->progress(up->arg, up->done, up->total);
}

/* ---- recording ---- */

/* Onto the card; the only place that writes a stream. */
static void write_stream(struct exec_dev *e, uint32_t offset, const void *data, size_t size)
{
	memcpy(e->stream.map + offset, data, size);
	if (e->recorded)
		e->stream_writes += size;
	else
		e->stream_bytes += size;
}

static void record_run(struct exec_dev *e, struct recorder *r, uint32_t first, uint32_t end,
		       uint32_t offset)
{
	const struct arrays from = {
		.tokens = host_va(e, e->io.tokens), .positions = host_va(e, e->io.positions),
		.ranges = host_va(e, e->io.ranges), .wanted = host_va(e, e->io.wanted),
	};

	r->size = 0;
	record_counters(r, host_va(e, &e->io.counters[0]));
	record_stage(r, &from);
	if (first)
		record_border(r, r->at->buf[BUF_X], host_va(e, e->io.x));
	for (uint32_t i = first; i < end; i++) {
		e->begins[i] = i == first ? offset : offset + r->size;	/* the first: with what is before */
		record_layer(r, i);
	}
	if (end < e->m->n_layers)
		record_border(r, host_va(e, e->io.x), r->at->buf[BUF_X]);
	record_counters(r, host_va(e, &e->io.counters[1]));
}

static int record_all(struct exec_dev *e, const bool *mine, const struct places *at)
{
	uint32_t n = e->m->n_layers, offset = 0;
	struct recorder r;

	recorder_begin(&r, e->m, &e->shape, at);
	for (uint32_t i = 0, end; i < n; i = end) {
		end = i + 1;
		if (!mine[i])
			continue;
		while (end < n && mine[end])
			end++;
		r.base = NULL;
		record_run(e, &r, i, end, offset);
		r.base = malloc(r.size);
		if (!r.base)
			return fail(-ENOMEM, "no memory for %zu bytes of commands", r.size);
		record_run(e, &r, i, end, offset);
		write_stream(e, offset, r.base, r.size);
		free(r.base);
		offset += r.size;
		e->runs[i] = (struct run) { .end = end, .stream_end = offset };
	}
	e->recorded = true;
	return 0;
}

static int load(struct exec_dev *e, const bool *mine, struct upload *up)
{
	const struct accel_model *m = e->m;
	struct layer_places *layers = calloc(m->n_layers, sizeof(*layers));
	struct places at = { .layers = layers };
	struct footprint f;
	int err;

	if (!layers)
		return fail(-ENOMEM, "no memory for %u layers", m->n_layers);
	footprint_begin(&f, m, &e->shape, &at);
	for (uint32_t i = 0; i < m->n_layers; i++)
		if (mine[i])
			up->total += footprint_add(&f, m, &e->shape, i, &layers[i]);
	err = make_buffers(e, &f, &e->io);
	if (err)
		goto out;
	relocate(e, mine, &at, layers);
	err = record_all(e, mine, &at);
	if (err || e->info.timing_only)
		goto out;		/* nothing will be read */
	err = map_buffer(e, &e->weights);
	if (err)
		goto out;
	rope_table(m, e->shape.ctx, (float *)(e->weights.map + (at.rope - e->weights.va)));
	for (uint32_t i = 0; i < m->n_layers; i++)
		if (mine[i])
			copy_weights(e, i, &layers[i],
				     i && mine[0] ? m->layers[0].w[EMBED_TABLE].data : NULL, up);
out:
	free(layers);
	return err;
}

/* ---- steps ---- */

/* Layers begin .. end - 1, which belong to the run from first on, as a job. */
static struct accel_job job_of(const struct exec_dev *e, uint32_t first, uint32_t begin, uint32_t end)
{
	const struct run *run = &e->runs[first];

	return (struct accel_job) {
		.va = e->stream.va + e->begins[begin],
		.size = (end == run->end ? run->stream_end : e->begins[end]) - e->begins[begin],
		.tag = JOB_TAG(begin, end - 1),
		.param_va = host_va(e, e->io.params),
		.param_count = P_COUNT,
	};
}

/* The next jobs of a run, from layer *next on, none with more work than it may hold, or of one layer.
 * Returns how many there are; *next: the layer to go on with, or the end of the run. */
static size_t cut(const struct exec_dev *e, uint32_t first, const struct step *st, uint32_t *next,
		  struct accel_job *jobs)
{
	uint64_t work = 0, limit = cost_job_work(&e->info);
	uint32_t begin = *next, end = e->runs[first].end, i;
	size_t n = 0;

	for (i = begin; i < end; i++) {
		struct cost c = { 0 };

		cost_add(&c, e->m, &e->shape, i, st);
		if (work && work + cost_work(&c) > limit) {
			jobs[n++] = job_of(e, first, begin, i);
			begin = i;
			work = 0;
			if (n == ACCEL_MAX_JOBS)
				break;
		}
		work += cost_work(&c);
	}
	if (i == end)
		jobs[n++] = job_of(e, first, begin, end);
	*next = i;
	return n;
}

/* The failure itself, if err is what it did to the last job of a step; with the address if the MMU
 * gave one. */
static int explain(struct exec_dev *e, int err)
{
	int cause = err == -ECANCELED ? accel_queue_error(e->queue) : 0;
	struct accel_fault f;

	if (cause)
		err = cause;
	if (err == -EFAULT && accel_vm_fault(e->vm, &f) == 1)
		return fail(-EFAULT, "%s (address 0x%llx, %s, in layers %u-%u)", accel_error(),
			    (unsigned long long)f.va, f.write ? "write" : "read",
			    (uint32_t)(f.tag >> 32), (uint32_t)f.tag);
	return err;
}

/* Adds the counters of the run that has just ended. */
static void account(struct exec_dev *e, const struct cost *c)
{
	const uint64_t *before = (const uint64_t *)&e->io.counters[0];
	const uint64_t *after = (const uint64_t *)&e->io.counters[1];
	uint64_t *sum = (uint64_t *)&e->sum;

	for (int i = 0; i < OCTANS_COUNTERS; i++)
		sum[i] += after[i] - before[i];
	/* What it takes to start and to end a run lies outside of its own counters: it is no more
	 * than the least that was ever seen between two. */
	if (e->newest_end && e->io.counters[0].cycles - e->newest_end < e->launch)
		e->launch = e->io.counters[0].cycles - e->newest_end;
	if (e->launch != UINT64_MAX)
		e->sum.cycles += e->launch;
	e->newest_end = e->io.counters[1].cycles;
	e->ceiling += cost_ceiling(c, &e->info);
}

static int run_jobs(struct exec_dev *e, const struct accel_job *jobs, size_t n)
{
	struct accel_fence *fence;
	int err = accel_submit(e->queue, jobs, n, NULL, 0, &fence);

	if (err)
		return explain(e, err);
	e->submits++;
	e->jobs += n;
	err = accel_fence_wait(fence, INT64_MAX);
	accel_fence_free(fence);
	return err ? explain(e, err) : 0;
}

int exec_dev_run(struct exec_dev *e, uint32_t first, const struct step *st)
{
	struct accel_job jobs[ACCEL_MAX_JOBS];
	struct cost c = { 0 };
	int err = 0;

	for (uint32_t next = first; next < e->runs[first].end && !err;) {
		size_t n = cut(e, first, st, &next, jobs);

		err = run_jobs(e, jobs, n);
	}
	if (err)
		return err;
	for (uint32_t i = first; i < e->runs[first].end; i++)
		cost_add(&c, e->m, &e->shape, i, st);
	account(e, &c);
	return 0;
}

/* ---- beginning and end ---- */

/* Every stream with no rows at all: the processor checks each command as it stands and skips it, so
 * what it does not accept is known now; and what a run costs by itself can be seen. */
static int rehearse(struct exec_dev *e)
{
	const struct step nothing = { 0 };
	int err = 0;

	for (uint32_t i = 0; i < e->m->n_layers && !err; i++)
		if (e->runs[i].end)
			err = exec_dev_run(e, i, &nothing);
	e->submits = e->jobs = e->ceiling = 0;
	memset(&e->sum, 0, sizeof(e->sum));
	return err;
}

int exec_dev_new(const struct accel_model *m, const struct shape *shape, const bool *mine,
		 struct accel_dev *dev, void (*progress)(void *arg, uint64_t done, uint64_t total),
		 void *progress_arg, struct exec_dev **out, struct io *io)
{
	struct upload up = { .progress = progress, .arg = progress_arg };
	struct exec_dev *e = calloc(1, sizeof(*e));
	int err;

	*out = NULL;
	if (!e)
		return fail(-ENOMEM, "no memory for the device executor");
	e->m = m;
	e->shape = *shape;
	e->dev = dev;
	e->next_va = VA_FIRST;
	e->launch = UINT64_MAX;
	e->runs = calloc(m->n_layers, sizeof(*e->runs));
	e->begins = calloc(m->n_layers, sizeof(*e->begins));
	if (!e->runs || !e->begins) {
		err = fail(-ENOMEM, "no memory for the device executor");
		goto fail;
	}
	err = accel_dev_info(dev, &e->info);
	if (!err)
		err = accel_vm_new(dev, &e->vm);
	if (!err)
		err = accel_queue_new(e->vm, ACCEL_PRIORITY_NORMAL, e->info.max_timeout_ms, &e->queue);
	if (!err)
		err = load(e, mine, &up);
	if (!err)
		err = rehearse(e);
	if (err)
		goto fail;
	*io = e->io;
	*out = e;
	return 0;
fail:
	exec_dev_free(e);
	return err;
}

void exec_dev_free(struct exec_dev *e)
{
	if (!e)
		return;
	accel_queue_free(e->queue);
	accel_vm_free(e->vm);
	accel_bo_free(e->host.bo);
	accel_bo_free(e->weights.bo);
	accel_bo_free(e->kv.bo);
	accel_bo_free(e->work.bo);
	accel_bo_free(e->stream.bo);
	accel_bo_free(e->together);
	free(e->runs);
	free(e->begins);
	free(e);
}

void exec_dev_stats(const struct exec_dev *e, struct accel_session_stats *st)
{
	const uint64_t *from = (const uint64_t *)&e->sum;
	uint64_t *to = (uint64_t *)&st->modelled;

	st->submits += e->submits;
	st->device_jobs += e->jobs;
	st->stream_bytes += e->stream_bytes;
	st->stream_writes += e->stream_writes;
	st->ceiling_cycles += e->ceiling;
	for (int i = 0; i < OCTANS_COUNTERS; i++)
		to[i] += from[i];
}
