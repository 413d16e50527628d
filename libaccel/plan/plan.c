// SPDX-License-Identifier: MIT
/* The planner: where each layer runs, and why. */
#include "plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <accel/octans_isa.h>

#include "error.h"
#include "model/gguf.h"
#include "model/layer.h"
#include "session/exec.h"

#define DEFAULT_CTX 4096u
#define DEFAULT_BATCH 64u
#define MAX_CTX (1u << 24)

struct accel_plan {
	const struct accel_model *m;
	uint32_t ctx, batch;
	uint64_t device_bytes;
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

static enum octans_op opcode(enum op_kind kind)
{
	switch (kind) {
	case OP_EMBED:
		return OCTANS_OP_EMBED;
	case OP_RMSNORM:
		return OCTANS_OP_RMSNORM;
	case OP_MATMUL:
		return OCTANS_OP_MATMUL;
	case OP_ROPE:
		return OCTANS_OP_ROPE;
	case OP_ATTN:
		return OCTANS_OP_ATTN;
	case OP_GLU:
		return OCTANS_OP_GLU;
	}
	return OCTANS_OP_NOP;
}

static const char *const op_names[] = {
	[OP_EMBED] = "EMBED", [OP_RMSNORM] = "RMSNORM", [OP_MATMUL] = "MATMUL",
	[OP_ROPE] = "ROPE", [OP_ATTN] = "ATTN", [OP_GLU] = "GLU",
};

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
	unsigned int n;
	const struct op *ops = layer_ops(l->kind, &n);

	for (unsigned int i = 0; i < n; i++)
		if (!(dev->ops >> opcode(ops[i].kind) & 1)) {
			decide(a, ACCEL_REASON_KIND, "%s does not implement %s", dev->name,
			       op_names[ops[i].kind]);
			return false;
		}
	for (int i = 0; i < LAYER_WEIGHTS; i++)
		if (l->w[i].data && (l->w[i].type > 63 || !(dev->types >> l->w[i].type & 1))) {
			decide(a, ACCEL_REASON_TYPE, "%s does not read weights of type %s", dev->name,
			       accel_type_name(l->w[i].type));
			return false;
		}
	if (l->kind == ACCEL_LAYER_ATTN_GQA && p->ctx > dev->max_ctx) {
		decide(a, ACCEL_REASON_CTX, "a context of %u is longer than the %u positions that %s attends to",
		       p->ctx, dev->max_ctx, dev->name);
		return false;
	}
	return true;
}

static void place(struct accel_plan *p, const struct accel_devinfo *dev,
		  const struct accel_plan_opts *o, uint64_t room, struct accel_layer *a)
{
	uint64_t need = exec_dev_layer_bytes(p->m, a->index, p->ctx);
	/* The first layer on the card brings the activations with it. */
	uint64_t base = p->device_bytes ? p->device_bytes : exec_dev_scratch_bytes(p->m, p->batch);

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
	if (base > room || need > room - base) {
		decide(a, ACCEL_REASON_NO_MEMORY, "needs %llu KiB of on-card memory, %llu KiB are left",
		       (unsigned long long)(need + 1023) / 1024,
		       (unsigned long long)(room > base ? room - base : 0) / 1024);
		return;
	}
	p->device_bytes = base + need;
	decide(a, ACCEL_REASON_FITS, "%s can run it and has room", dev->name);
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
	p->ctx = o->ctx ? o->ctx : m->n_ctx_train < DEFAULT_CTX ? m->n_ctx_train : DEFAULT_CTX;
	p->batch = o->batch ? o->batch : DEFAULT_BATCH;
	if (p->ctx > MAX_CTX)
		return fail(-EINVAL, "a context of %u positions is above the limit of %u", p->ctx, MAX_CTX);
	if (p->batch > p->ctx)
		p->batch = p->ctx;
	if (p->batch > OCTANS_MAX_TOKENS)
		p->batch = OCTANS_MAX_TOKENS;
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
	for (uint32_t i = 0; i < m->n_layers; i++) {
		struct accel_layer *a = &p->layers[i];
		const struct layer *l = &m->layers[i];

		a->index = i;
		a->block = l->block;
		a->kind = l->kind;
		a->weight_bytes = layer_weight_bytes(l);
		a->kv_bytes = l->kind == ACCEL_LAYER_ATTN_GQA ? p->ctx * model_kv_bytes(m) : 0;
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
	return p->ctx;
}

uint32_t plan_batch(const struct accel_plan *p)
{
	return p->batch;
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
	return p->device_bytes;
}
