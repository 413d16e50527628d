// SPDX-License-Identifier: MIT
/* The planner: where each layer runs, and why. */
#include "plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <octans/isa.h>

#include "error.h"
#include "model/gguf.h"
#include "cost.h"
#include "footprint.h"

#define DEFAULT_CTX 4096u
#define DEFAULT_BATCH 512u
#define LEAST_BATCH 16u
#define MAX_CTX (1u << 24)
/* Logits of a step, beyond the first row. */
#define LOGITS_BYTES (16ull << 20)

struct accel_plan {
	const struct accel_model *m;
	struct shape shape;
	struct footprint footprint;	/* of the layers on the processor */
	struct accel_layer *layers;	/* [m->n_layers] */
};

const char *accel_reason_name(enum accel_reason reason)
{
	static const char *const names[] = {
		[ACCEL_REASON_FITS] = "fits",
		[ACCEL_REASON_USER] = "user",
		[ACCEL_REASON_NO_DEVICE] = "no-device",
		[ACCEL_REASON_NO_MEMORY] = "no-memory",
		[ACCEL_REASON_KIND] = "kind",
		[ACCEL_REASON_TYPE] = "type",
		[ACCEL_REASON_CTX] = "context",
		[ACCEL_REASON_LOST] = "lost",
	};

	return (unsigned int)reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}

static void list_types(const struct layer *l, char *text, size_t len)
{
	uint64_t seen = 0;
	size_t at = 0;

	text[0] = 0;
	for (int i = 0; i < LAYER_WEIGHTS; i++) {
		const struct weight *w = &l->w[i];

		if (!w->data || seen >> w->type & 1 || at >= len)
			continue;
		seen |= 1ull << w->type;
		at += snprintf(text + at, len - at, "%s%s", at ? " " : "", accel_type_name(w->type));
	}
}

static void decide(struct accel_layer *a, enum accel_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void decide(struct accel_layer *a, enum accel_reason reason, const char *fmt, ...)
{
	va_list ap;

	a->reason = reason;
	a->on_device = reason == ACCEL_REASON_FITS;
	va_start(ap, fmt);
	vsnprintf(a->detail, sizeof(a->detail), fmt, ap);
	va_end(ap);
}

/* False: the processor cannot run the layer, and *a says why. */
static bool able(const struct accel_plan *p, const struct accel_devinfo *dev, struct accel_layer *a)
{
	const struct layer *l = &p->m->layers[a->index];
	uint64_t ops;

	record_size(p->m, &p->shape, a->index, &ops);
	ops |= 1ull << OCTANS_OP_MOVE | 1ull << OCTANS_OP_SIGNAL;	/* around every run of layers */
	for (uint32_t op = 0; op < OCTANS_OP_COUNT; op++)
		if (ops >> op & ~(dev->ops >> op) & 1) {
			decide(a, ACCEL_REASON_KIND, "%s does not implement %s", dev->name, op_name(op));
			return false;
		}
	for (int i = 0; i < LAYER_WEIGHTS; i++)
		if (l->w[i].data && (l->w[i].type > 63 || !(dev->types >> l->w[i].type & 1))) {
			decide(a, ACCEL_REASON_TYPE, "%s does not read weights of type %s", dev->name,
			       accel_type_name(l->w[i].type));
			return false;
		}
	if (l->kind == ACCEL_LAYER_ATTN_GQA && p->shape.ctx > dev->max_ctx) {
		decide(a, ACCEL_REASON_CTX, "a context of %u is longer than the %u positions that %s attends to",
		       p->shape.ctx, dev->max_ctx, dev->name);
		return false;
	}
	return true;
}

static void place(struct accel_plan *p, const struct accel_devinfo *dev,
		  const struct accel_plan_opts *o, uint64_t room, struct accel_layer *a)
{
	struct footprint f = p->footprint;
	uint64_t before = footprint_bytes(&f), after;

	if (!dev && !o->cpu) {
		decide(a, ACCEL_REASON_NO_DEVICE, "there is no processor");
		return;
	}
	if (o->cpu || (!o->all && (a->index < o->first || a->index > o->last))) {
		decide(a, ACCEL_REASON_USER, "chosen by the user");
		return;
	}
	if (!able(p, dev, a))
		return;
	footprint_add(&f, p->m, &p->shape, a->index, NULL);
	after = footprint_bytes(&f);
	if (after > room) {
		decide(a, ACCEL_REASON_NO_MEMORY, "needs %llu KiB of on-card memory, %llu KiB are left",
		       (unsigned long long)(after - before + 1023) / 1024,
		       (unsigned long long)(room - before) / 1024);
		return;
	}
	p->footprint = f;
	decide(a, ACCEL_REASON_FITS, "%s can run it and has room", dev->name);
}

/* On-card bytes of what does not belong to any layer. */
static uint64_t work_bytes(const struct accel_model *m, const struct shape *shape)
{
	struct footprint f;

	footprint_begin(&f, m, shape, NULL);
	return f.work;
}

static uint32_t logits_rows(const struct accel_model *m, uint32_t batch)
{
	uint64_t rows = LOGITS_BYTES / sizeof(float) / m->n_vocab;

	return !rows ? 1 : rows < batch ? rows : batch;
}

/* Tokens at once: so many that weights are read seldom; not so many that a layer could run into a
 * timeout, nor, unless the user wants it so, that activations take the room of layers. */
static void choose_batch(struct accel_plan *p, const struct accel_devinfo *dev, uint64_t room,
			 uint32_t wanted)
{
	const struct accel_model *m = p->m;
	struct shape *shape = &p->shape;
	uint32_t batch = wanted ? wanted : DEFAULT_BATCH;
	uint64_t most = 1;

	if (batch > shape->ctx)
		batch = shape->ctx;
	if (batch > OCTANS_MAX_TOKENS)
		batch = OCTANS_MAX_TOKENS;
	shape->batch = batch;
	shape->out = logits_rows(m, batch);
	if (!dev)
		return;
	for (uint32_t i = 0; i < m->n_layers; i++) {
		struct step st = { .n = batch, .pos = shape->ctx - batch, .out = shape->out };
		struct cost c = { 0 };

		cost_add(&c, m, shape, i, &st);
		if (cost_work(&c) > most)
			most = cost_work(&c);
	}
	/* A single layer cannot be cut. */
	while (shape->batch > 1 && most / batch * shape->batch > cost_job_work(dev))
		shape->batch = (shape->batch + 1) / 2;
	while (!wanted && shape->batch > LEAST_BATCH && work_bytes(m, shape) > room / 8)
		shape->batch = (shape->batch + 1) / 2;
	shape->out = logits_rows(m, shape->batch);
}

static int read_opts(struct accel_plan *p, const struct accel_plan_opts *opts,
		     struct accel_plan_opts *o)
{
	const struct accel_model *m = p->m;

	memset(o, 0, sizeof(*o));
	if (opts) {
		if (opts->sz < sizeof(opts->sz) || opts->sz > sizeof(*o))
			return fail(-EINVAL, "plan options of %zu bytes come from another version of the library",
				    opts->sz);
		memcpy(o, opts, opts->sz);
	} else {
		o->all = true;
	}
	p->shape.ctx = o->ctx ? o->ctx : m->n_ctx_train < DEFAULT_CTX ? m->n_ctx_train : DEFAULT_CTX;
	p->shape.kv_type = o->kv_type;
	if (p->shape.ctx > MAX_CTX)
		return fail(-EINVAL, "a context of %u positions is above the limit of %u", p->shape.ctx,
			    MAX_CTX);
	if ((unsigned int)o->kv_type > ACCEL_KV_Q8_0)
		return fail(-EINVAL, "%d is not a type of KV cache", o->kv_type);
	if (o->kv_type == ACCEL_KV_Q8_0 && m->head_dim % 32)
		return fail(-EINVAL, "a KV cache in Q8_0 needs heads of a multiple of 32 elements, this model's have %u: use f16 or f32",
			    m->head_dim);
	if (!o->all && !o->cpu && (o->first > o->last || o->last >= m->n_layers))
		return fail(-EINVAL, "layers %u-%u are not among the model's layers 0-%u", o->first,
			    o->last, m->n_layers - 1);
	return 0;
}

int accel_plan_new(const struct accel_model *m, const struct accel_devinfo *dev,
		   const struct accel_plan_opts *opts, struct accel_plan **out)
{
	struct accel_plan *p = calloc(1, sizeof(*p));
	struct accel_plan_opts o;
	uint64_t room = 0;
	int err = -ENOMEM;

	*out = NULL;
	if (!p || !(p->layers = calloc(m->n_layers, sizeof(*p->layers)))) {
		free(p);
		return fail(-ENOMEM, "no memory for a plan");
	}
	p->m = m;
	err = read_opts(p, opts, &o);
	if (err) {
		accel_plan_free(p);
		return err;
	}
	if (dev) {
		uint64_t reach = dev->memory_mappable < dev->memory_size ? dev->memory_mappable :
				 dev->memory_size;

		room = reach > dev->memory_used ? reach - dev->memory_used : 0;
	}
	choose_batch(p, dev, room, o.batch);
	footprint_begin(&p->footprint, m, &p->shape, NULL);
	for (uint32_t i = 0; i < m->n_layers; i++) {
		struct accel_layer *a = &p->layers[i];
		const struct layer *l = &m->layers[i];

		a->index = i;
		a->block = l->block;
		a->kind = l->kind;
		a->weight_bytes = layer_weight_bytes(l);
		a->kv_bytes = l->kind == ACCEL_LAYER_ATTN_GQA ?
			      2 * p->shape.ctx * model_kv_row(m, p->shape.kv_type) : 0;
		list_types(l, a->types, sizeof(a->types));
		place(p, dev, &o, room, a);
	}
	*out = p;
	return 0;
}

void accel_plan_free(struct accel_plan *p)
{
	if (!p)
		return;
	free(p->layers);
	free(p);
}

uint32_t accel_plan_layers(const struct accel_plan *p)
{
	return p->m->n_layers;
}

uint32_t accel_plan_layers_on_device(const struct accel_plan *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->m->n_layers; i++)
		n += p->layers[i].on_device;
	return n;
}

uint32_t accel_plan_ctx(const struct accel_plan *p)
{
	return p->shape.ctx;
}

uint32_t accel_plan_batch(const struct accel_plan *p)
{
	return p->shape.batch;
}

bool plan_is_of(const struct accel_plan *p, const struct accel_model *m)
{
	return p->m == m;
}

const struct shape *plan_shape(const struct accel_plan *p)
{
	return &p->shape;
}

bool plan_on_device(const struct accel_plan *p, uint32_t layer)
{
	return p->layers[layer].on_device;
}

int accel_plan_layer(const struct accel_plan *p, uint32_t index, struct accel_layer *layer)
{
	if (index >= p->m->n_layers)
		return fail(-EINVAL, "there is no layer %u, the last is %u", index, p->m->n_layers - 1);
	*layer = p->layers[index];
	return 0;
}

uint64_t accel_plan_device_bytes(const struct accel_plan *p)
{
	return footprint_bytes(&p->footprint);
}
