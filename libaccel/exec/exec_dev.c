// SPDX-License-Identifier: MIT
/*
 * The device executor.  Weights, keys and values, activations and the recorded streams lie on the
 * card; a pass writes one small block in host memory and submits, and no byte of a stream.  Passes that
 * are under way at once have a block each, and streams that read it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "exec_dev.h"
#include "log.h"
#include "plan/stream.h"

#define VA_FIRST (1ull << 32)	/* small integers are never addresses */
#define VA_ALIGN (1ull << 30)	/* lets the MMU use the largest pages */

/* ---- memory ---- */

struct part {			/* a buffer on the card */
	struct card_buffer *b;
	uint64_t size;			/* 0: it is not needed */
	uint32_t flags;			/* of its mapping */
	const char *label;
};

#define PARTS 6

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
	return accel_bo_new(e->dev, size, ACCEL_BO_DEVICE, "engine", &e->together);
}

static struct accel_bo *bo_of(const struct exec_dev *e, const struct card_buffer *b)
{
	return b->bo ? b->bo : e->together;
}

/* At the next free device address. */
static int place_buffer(struct exec_dev *e, struct card_buffer *b, uint64_t size, uint32_t flags)
{
	int err;

	b->va = e->next_va;
	b->size = size;
	err = accel_vm_map(e->vm, bo_of(e, b), b->offset, b->va, size, flags);
	if (!err)
		e->next_va += (size + VA_ALIGN - 1) / VA_ALIGN * VA_ALIGN;
	return err;
}

static int map_buffer(struct exec_dev *e, struct card_buffer *b)
{
	void *map;
	int err = accel_bo_map(bo_of(e, b), &map);

	b->map = err ? NULL : (uint8_t *)map + b->offset;
	return err;
}

/* What flights have of the host. */
static int make_host(struct exec_dev *e)
{
	const bool own_x = !e->relay.bo;
	struct io none;
	const size_t size = io_place(&none, e->m, &e->shape, NULL, own_x);
	int err = accel_bo_new(e->dev, size * e->shape.flights, ACCEL_BO_HOST, "steps", &e->host.bo);

	if (!err)
		err = place_buffer(e, &e->host, accel_bo_size(e->host.bo), 0);
	if (!err)
		err = map_buffer(e, &e->host);
	for (uint32_t k = 0; k < e->shape.flights && !err; k++) {
		struct dev_flight *f = &e->flights[k];
		const size_t x = k * relay_stride(e->m, &e->shape);

		io_place(&f->io, e->m, &e->shape, e->host.map + k * size, own_x);
		if (!own_x)
			f->io.x = (float *)(e->relay.map + x);
		f->x_va = own_x ? host_va(e, f->io.x) : e->relay.va + x;
	}
	return err;
}

static bool shares_any(const struct exec_dev *e)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (e->shared[i])
			return true;
	return false;
}

/* Where all processors reach residual streams: without it they are copied between them. */
static int join_relay(struct exec_dev *e, const struct relay *relay)
{
	struct card_buffer *b = &e->relay;
	int err;

	if (!relay)
		return 0;
	err = accel_bo_import(e->dev, relay->fd, &b->bo);
	if (!err)
		err = place_buffer(e, b, accel_bo_size(b->bo), 0);
	if (!err) {
		b->map = relay->map;
		return 0;
	}
	accel_bo_free(b->bo);
	b->bo = NULL;
	if (err == -ENODEV)		/* what comes next ends with that */
		return 0;
	if (shares_any(e))
		return fail(-EIO, "%s does not reach the memory in which processors that share layers exchange what they have: %s",
			    e->info.name, accel_error());
	log_say(ACCEL_LOG_WARNING, "%s does not reach the memory that processors hand over in, so this process copies what goes to it and from it: %s",
		e->info.name, accel_error());
	return 0;
}

static int make_buffers(struct exec_dev *e, const struct footprint *f)
{
	const struct part parts[PARTS] = {
		{ &e->weights, footprint_buffer(f->weights), ACCEL_MAP_READONLY, "weights" },
		{ &e->kv, footprint_buffer(f->kv), 0, "KV cache" },
		{ &e->work, footprint_buffer(f->work), 0, "activations" },
		{ &e->stream, footprint_buffer(f->stream), ACCEL_MAP_READONLY, "commands" },
		{ &e->slots, footprint_buffer(f->slots * f->slot), ACCEL_MAP_READONLY, "experts" },
		{ &e->stage, footprint_buffer(f->stages * f->stage), 0, "streamed weights" },
	};
	int err = alloc_parts(e, parts);

	if (err == -ENOSPC)
		err = alloc_together(e, parts);
	for (int i = 0; i < PARTS && !err; i++)
		if (parts[i].size)
			err = place_buffer(e, parts[i].b, parts[i].size, parts[i].flags);
	if (!err)
		err = make_host(e);
	if (!err)
		err = map_buffer(e, &e->stream);
	return err;
}

/* Offsets in buffers become addresses. */
static void relocate(const struct exec_dev *e, const bool *mine, struct places *at)
{
	struct arrays *a = &at->step;
	uint64_t *const work[] = {
		&at->x, &at->logits, &at->page, &a->tokens, &a->positions, &a->slots, &a->seqs, &a->ranges, &a->states,
		&a->pages, &a->wanted,
	};

	for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++)
		*work[i] += e->work.va;
	for (int i = 0; i < LAYER_SCRATCH; i++)
		at->scratch[i] += e->work.va;
	for (uint32_t i = 0; i < e->m->n_tables; i++)
		at->table[i] += e->weights.va;
	for (uint32_t i = 0; i < e->m->n_layers; i++) {
		if (!mine[i])
			continue;
		for (int k = 0; k < LAYER_WEIGHTS; k++)
			if (!far_has(&e->far, i, k))
				e->layers[i].w[k] += e->weights.va;
		for (enum keep k = 0; k < KEEP_COUNT; k++)
			e->layers[i].keep[k] += e->kv.va;
	}
}

/* Data that two layers have in common is there once, as the first's. */
static bool is_copied(const struct exec_dev *e, uint32_t layer, int weight)
{
	const void *data = e->m->layers[layer].w[weight].data;

	return data && !(layer && e->upload.tied && data == e->upload.tied);
}

static void begin_upload(struct exec_dev *e, const struct exec_dev_opts *o)
{
	struct upload *up = &e->upload;

	*up = (struct upload) { .mine = o->mine, .progress = o->progress, .progress_arg = o->progress_arg };
	if (o->mine[0] && footprint_is_tied(e->m, o->how))
		up->tied = e->m->layers[0].w[EMBED_TABLE].data;
}

/* Part of a weight, to where it lies. */
static void put(struct exec_dev *e, uint32_t layer, int weight, uint64_t offset, uint64_t n)
{
	const uint8_t *data = (const uint8_t *)e->m->layers[layer].w[weight].data + offset;

	if (far_has(&e->far, layer, weight))
		far_put(&e->far, layer, weight, offset, data, n);
	else
		weight_read(&e->m->layers[layer].w[weight], offset,
			    e->weights.map + (e->layers[layer].w[weight] - e->weights.va) + offset, n);
}

/* False: *bytes are used up. */
static bool copy_weights(struct exec_dev *e, uint32_t layer, uint64_t *bytes)
{
	struct upload *up = &e->upload;

	for (; up->weight < LAYER_WEIGHTS; up->weight++, up->offset = 0) {
		const struct weight *w = &e->m->layers[layer].w[up->weight];
		uint64_t n;

		if (!is_copied(e, layer, up->weight))
			continue;
		n = w->size - up->offset < *bytes ? w->size - up->offset : *bytes;
		put(e, layer, up->weight, up->offset, n);
		up->offset += n;
		up->done += n;
		*bytes -= n;
		if (up->offset < w->size)
			return false;
	}
	return true;
}

/* 1: there are more. */
static int upload(struct exec_dev *e, uint64_t bytes)
{
	struct upload *up = &e->upload;
	int err;

	for (; up->layer < e->m->n_layers; up->layer++, up->weight = 0) {
		if (!up->mine[up->layer])
			continue;
		if (!copy_weights(e, up->layer, &bytes))
			return 1;
		err = up->progress ? up->progress(up->progress_arg, up->done) : 0;
		if (err)
			return err;
	}
	return 0;
}

/* ---- recording ---- */

/* Onto the card; the only place that writes a stream. */
static int write_stream(struct exec_dev *e, uint32_t offset, const void *data, size_t size)
{
	if (offset + size > e->stream.size)
		return fail(-EOVERFLOW, "%zu bytes of commands at %u have no room in %llu: the plan has counted too few (please report this)",
			    size, offset, (unsigned long long)e->stream.size);
	memcpy(e->stream.map + offset, data, size);
	if (e->recorded)
		e->stream_writes += size;
	else
		e->stream_bytes += size;
	return 0;
}

static void record_run(struct exec_dev *e, struct dev_flight *f, struct build *b, uint32_t first, uint32_t offset)
{
	const struct io *io = &f->io;
	const struct arrays from = {
		.tokens = host_va(e, io->tokens), .positions = host_va(e, io->positions),
		.slots = host_va(e, io->slots), .seqs = host_va(e, io->seqs),
		.ranges = host_va(e, io->ranges), .states = host_va(e, io->states),
		.pages = host_va(e, io->pages),
		.wanted = host_va(e, io->wanted),
	};
	const uint32_t end = f->runs[first].end;

	b->r.size = 0;
	stream_counters(b, host_va(e, &run_counters(f, first)[0]));
	stream_stage(b, &from);
	if (first)
		stream_border(b, e->m->n_stream, b->at->x, f->x_va);
	f->runs[first].nothing_end = offset + b->r.size;
	for (uint32_t i = first; i < end; i++) {
		f->begins[i] = i == first ? offset : offset + b->r.size;	/* the first: with what is before */
		far_record(&e->far, b, first, end, i);
		layer_record(b, i, &e->m->layers[i], true);
	}
	if (end < e->m->n_layers && !e->m->layers[first].part.number)
		stream_border(b, e->m->n_stream, f->x_va, b->at->x);
	stream_counters(b, host_va(e, &run_counters(f, first)[1]));
}

static int record_copy(struct exec_dev *e, const bool *mine, const struct places *at)
{
	bool can = true, any = false;
	struct build b;
	int err = 0;

	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (mine[i]) {
			can &= stream_copies_pages(&e->m->layers[i], &e->shape);
			any |= keep_row(&e->m->layers[i], KEEP_KEYS, &e->shape) ||
			       keep_row(&e->m->layers[i], KEEP_VALUES, &e->shape);
		}
	stream_begin(&b, e->m, &e->shape, at);
	for (int pass = 0; pass < 2 && can && any; pass++) {
		for (uint32_t i = 0; i < e->m->n_layers; i++)
			if (mine[i])
				stream_copy_page(&b, &e->m->layers[i], &e->layers[i],
						 host_va(e, &e->flights[0].io.copy[0]),
						 host_va(e, &e->flights[0].io.copy[1]));
		if (pass)
			break;
		b.r.base = malloc(b.r.size);
		if (!b.r.base)
			return fail(-ENOMEM, "no memory for %zu bytes of commands", b.r.size);
		b.r.size = 0;
	}
	if (b.r.base)
		err = write_stream(e, e->copy_begin, b.r.base, b.r.size);
	free(b.r.base);
	e->copy_end += b.r.size;
	e->recorded = !err;
	return err;
}

static int record_flight(struct exec_dev *e, struct dev_flight *f, const bool *mine, struct places *at,
			 uint32_t *offset)
{
	uint32_t n = e->m->n_layers, runs = 0;
	struct build b;
	int err = 0;

	at->host_logits = host_va(e, f->io.logits);
	at->top_ids = host_va(e, f->io.top_ids);
	at->top_values = host_va(e, f->io.top_values);
	at->exchange.counters = e->relay.va + relay_exchange(e->m, &e->shape, f - e->flights);
	at->exchange.data[0] = at->exchange.counters + (shape_counters_bytes(&e->shape) + 63) / 64 * 64;
	at->exchange.data[1] = at->exchange.data[0] + (e->shape.exchanged + 63) / 64 * 64;
	stream_begin(&b, e->m, &e->shape, at);
	for (uint32_t i = 0, end; i < n && !err; i = end) {
		end = i + 1;
		if (!mine[i])
			continue;
		while (end < n && mine[end] && e->shared[end] == e->shared[i])
			end++;
		f->runs[i] = (struct run) { .end = end, .number = runs++ };
		b.r.base = NULL;
		record_run(e, f, &b, i, *offset);
		b.r.base = malloc(b.r.size);
		if (!b.r.base)
			return fail(-ENOMEM, "no memory for %zu bytes of commands", b.r.size);
		record_run(e, f, &b, i, *offset);
		err = write_stream(e, *offset, b.r.base, b.r.size);
		free(b.r.base);
		*offset += b.r.size;
		f->runs[i].stream_end = *offset;
	}
	return err;
}

static int record_all(struct exec_dev *e, const bool *mine, struct places *at)
{
	uint32_t offset = 0;
	int err = 0;

	for (uint32_t k = 0; k < e->shape.flights && !err; k++) {
		far_aim(&e->far, k);
		err = record_flight(e, &e->flights[k], mine, at, &offset);
	}
	far_aim(&e->far, 0);
	e->copy_begin = e->copy_end = offset;
	return err ? err : record_copy(e, mine, at);
}

static int cost_all(struct exec_dev *e, const struct exec_dev_opts *o)
{
	int err = 0;

	for (uint32_t i = 0; i < e->m->n_layers && !err; i++)
		if (o->mine[i])
			err = cost_layer(&e->costs[i], e->m, &e->m->layers[i], &e->shape, &o->how[i]);
	return err;
}

static int make_far(struct exec_dev *e, const struct exec_dev_opts *o, const struct footprint *f)
{
	struct far_card card = { .stage_va = e->stage.va };
	int err = 0;

	if (f->slots) {
		card.slots = bo_of(e, &e->slots);
		card.slots_offset = e->slots.offset;
		err = map_buffer(e, &e->slots);
		card.slots_map = e->slots.map;
	}
	return err ? err : far_make(&e->far, e->dev, e->vm, e->m, o->mine, o->how, f, &card, e->shape.flights,
			      e->layers, &e->next_va);
}

/* Everything but weights. */
static int make(struct exec_dev *e, const struct exec_dev_opts *o)
{
	const struct accel_model *m = e->m;
	struct places at = { .layers = e->layers };
	struct footprint f;
	int err;

	footprint_of(&f, m, &e->shape, o->mine, o->streams, o->how, &at, e->layers);
	err = make_buffers(e, &f);
	if (!err)
		err = make_far(e, o, &f);
	if (err)
		return err;
	relocate(e, o->mine, &at);
	err = record_all(e, o->mine, &at);
	if (!err)
		err = cost_all(e, o);
	if (!err && f.weights)		/* none: all are in the host's memory */
		err = map_buffer(e, &e->weights);
	for (uint32_t i = 0; i < m->n_tables && !err; i++)
		if (!e->info.timing_only || table_is_control(&m->tables[i]))
			table_fill(&m->tables[i], e->shape.ctx, e->shape.batch,
				   e->weights.map + (at.table[i] - e->weights.va));
	if (!err && !e->info.timing_only)	/* else nothing more will be read */
		begin_upload(e, o);
	return err;
}

int exec_dev_settle(struct exec_dev *e)
{
	/* Where nothing is computed each token chooses the same: they are no measure. */
	return e->info.timing_only ? 0 : far_settle(&e->far);
}

static int new_queue(struct exec_dev *e, struct accel_queue **out)
{
	return accel_queue_new(e->vm, ACCEL_PRIORITY_NORMAL, e->info.max_timeout_ms, out);
}

int exec_dev_renew(struct exec_dev *e)
{
	struct accel_queue *queue;
	int err = new_queue(e, &queue);

	if (err)
		return err;
	accel_queue_free(e->queue);
	e->queue = queue;
	return 0;
}

bool exec_dev_blamed(const struct exec_dev *e)
{
	return e->blamed;
}

const struct io *exec_dev_io(const struct exec_dev *e, uint32_t flight)
{
	return &e->flights[flight].io;
}

int exec_dev_pool(struct exec_dev *e, uint32_t layer, enum keep keep, uint8_t **pool)
{
	int err = e->kv.map ? 0 : map_buffer(e, &e->kv);

	*pool = err ? NULL : e->kv.map + (e->layers[layer].keep[keep] - e->kv.va);
	return err;
}

/* ---- beginning and end ---- */

/* Every stream with no rows at all: the processor checks each command as it stands and skips it, so
 * what it does not accept is known now; and what a run costs by itself can be seen. */
static int rehearse(struct exec_dev *e)
{
	const struct pass nothing = { 0 };
	double seconds;
	int err = 0;

	if (e->copy_end > e->copy_begin)
		err = exec_dev_copy_page(e, 0, 0);
	for (uint32_t k = 0; k < e->shape.flights && !err; k++) {
		io_write(&e->flights[k].io, e->m, &e->shape, &nothing);
		if (e->relay.bo)	/* nobody is waited for */
			relay_open(&(struct relay) { .map = e->relay.map }, e->m, &e->shape, k);
		for (uint32_t i = 0; i < e->m->n_layers && !err; i++)
			if (e->flights[k].runs[i].end)
				err = exec_dev_submit(e, k, i, &nothing, NULL);
		if (err)
			exec_dev_drain(e);
		for (uint32_t i = 0; i < e->m->n_layers && !err; i++)
			if (e->flights[k].runs[i].end)
				err = exec_dev_finish(e, k, i, &nothing, &seconds);
	}
	e->submits = e->jobs = e->ceiling = 0;
	memset(&e->sum, 0, sizeof(e->sum));
	return err;
}

static int make_flights(struct exec_dev *e)
{
	const uint32_t n = e->m->n_layers;

	e->flights = calloc(e->shape.flights, sizeof(*e->flights));
	if (!e->flights)
		return -ENOMEM;
	for (uint32_t k = 0; k < e->shape.flights; k++) {
		struct dev_flight *f = &e->flights[k];

		f->runs = calloc(n, sizeof(*f->runs));
		f->begins = calloc(n, sizeof(*f->begins));
		f->sent = calloc(n, sizeof(*f->sent));
		if (!f->runs || !f->begins || !f->sent)
			return -ENOMEM;
	}
	return 0;
}

static void free_flights(struct exec_dev *e)
{
	for (uint32_t k = 0; k < e->shape.flights && e->flights; k++) {
		free(e->flights[k].runs);
		free(e->flights[k].begins);
		free(e->flights[k].sent);
	}
	free(e->flights);
}

int exec_dev_new(const struct accel_model *m, const struct shape *shape, struct accel_dev *dev,
		 const struct exec_dev_opts *opts, struct exec_dev **out)
{
	struct exec_dev *e = calloc(1, sizeof(*e));
	int err;

	*out = NULL;
	if (!e)
		return fail(-ENOMEM, "no memory for the device executor");
	e->m = m;
	e->shape = *shape;
	e->dev = dev;
	e->stop = opts->stop;
	e->next_va = VA_FIRST;
	e->launch = UINT64_MAX;
	e->layers = calloc(m->n_layers, sizeof(*e->layers));
	e->costs = calloc(m->n_layers, sizeof(*e->costs));
	e->shared = calloc(m->n_layers, sizeof(*e->shared));
	if (make_flights(e) || !e->layers || !e->costs || !e->shared) {
		err = fail(-ENOMEM, "no memory for the device executor");
		goto fail;
	}
	e->info.sz = sizeof(e->info);
	err = accel_dev_info(dev, &e->info);
	if (!err)
		err = accel_vm_new(dev, &e->vm);
	if (!err)
		err = new_queue(e, &e->queue);
	for (uint32_t i = 0; i < m->n_layers; i++)
		e->shared[i] = opts->mine[i] && opts->how[i].shared;
	if (!err)
		err = join_relay(e, opts->relay);
	if (!err)
		err = make(e, opts);
	if (err)
		goto fail;
	*out = e;
	return 0;
fail:
	exec_dev_free(e);
	return err;
}

int exec_dev_load(struct exec_dev *e, uint64_t bytes)
{
	int err = e->info.timing_only ? 0 : upload(e, bytes);

	if (err < 0)
		e->blamed = false;
	return err ? err : rehearse(e);
}

void exec_dev_free(struct exec_dev *e)
{
	if (!e)
		return;
	if (e->flights)
		exec_dev_drain(e);
	accel_queue_free(e->queue);
	accel_vm_free(e->vm);
	far_free(&e->far);
	accel_bo_free(e->host.bo);
	accel_bo_free(e->weights.bo);
	accel_bo_free(e->kv.bo);
	accel_bo_free(e->work.bo);
	accel_bo_free(e->stream.bo);
	accel_bo_free(e->slots.bo);
	accel_bo_free(e->stage.bo);
	accel_bo_free(e->together);
	accel_bo_free(e->relay.bo);
	free_flights(e);
	free(e->layers);
	free(e->costs);
	free(e->shared);
	free(e);
}

void exec_dev_stats(const struct exec_dev *e, struct exec_stats *st)
{
	*st = (struct exec_stats) {
		.submits = e->submits, .jobs = e->jobs, .stream_bytes = e->stream_bytes,
		.stream_writes = e->stream_writes, .ceiling_cycles = e->ceiling, .modelled = e->sum,
	};
	if (e->far.experts)
		experts_stats(e->far.experts, &st->experts);
}
