// SPDX-License-Identifier: MIT
#include "cost.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "footprint.h"
#include "stream.h"

/* A queue's timeout tells hangs.  Nothing that runs jobs, the model on one busy CPU included, does
 * less work than this: the slowest measured was twice that, attention to keys in Q8_0. */
#define SLOWEST_WORK_PER_MS 1000000ull
#define DEFAULT_TIMEOUT_MS 10000u

static void add(struct op_work *sum, const struct op_work *w, uint64_t times)
{
	sum->bytes += w->bytes * times;
	sum->far += w->far * times;
	sum->macs_int8 += w->macs_int8 * times;
	sum->macs_f16 += w->macs_f16 * times;
	sum->macs_f32 += w->macs_f32 * times;
}

/* How many rows a tensor has for each of the step. */
static uint32_t times(const struct accel_model *m, const struct shape *s, const struct octans_tensor *t)
{
	uint32_t p = OCTANS_DYN_ROWS_OF(t->dyn);

	/* the number of a parameter, plus 1; 0: none */
	return p > P_TIMES ? model_times_of(m, (p - 1 - P_TIMES) / 3, s) : 1;
}

/* Addresses from here on are of the host's memory. */
#define FAR (1ull << 44)

static bool reads_far(const struct op *op, const struct octans_cmd *cmd)
{
	for (unsigned int i = 1; i < op->operands; i++) {
		struct octans_tensor t;

		memcpy(&t, (const uint8_t *)cmd + op->operand[i].offset, sizeof(t));
		if (t.va >= FAR)
			return true;
	}
	return false;
}

/* copied: and then in the memory of who computes. */
static void make_far(struct op_work *w, bool copied)
{
	w->far = w->bytes;
	if (!copied)
		w->bytes = 0;
}

/* Every operation tells the cost of its command; what it takes for each row goes to the kind of rows
 * that it has, as its first operand tells. */
static void add_command(struct layer_cost *c, const struct accel_model *m, const struct shape *s,
			const struct octans_cmd *cmd)
{
	const struct op *op = op_of(cmd->op);
	struct op_cost cost = { 0 };
	struct octans_tensor dst;

	if (!op || !op->cost)
		return;
	op->cost(cmd, &cost);
	if (reads_far(op, cmd)) {	/* weights: of all else there is nothing to speak of beside them */
		make_far(&cost.once, c->copied);
		make_far(&cost.row, c->copied);
		make_far(&cost.plane, c->copied);
	}
	memcpy(&dst, (const uint8_t *)cmd + op->operand[0].offset, sizeof(dst));
	add(&c->once, &cost.once, 1);
	add(dst.dyn == OCTANS_DYN_ROWS(P_OUT) ? &c->out : &c->row, &cost.row, times(m, s, &dst));
	if (cost.planes && !(c->planes && c->planes != cost.planes)) {	/* a layer has but one choice */
		add(&c->plane, &cost.plane, 1);
		c->planes = cost.planes;
		c->taken = times(m, s, &dst);
	}
	add(&c->pair, &cost.pair, 1);
	add(&c->position, &cost.position, 1);
}

int cost_layer(struct layer_cost *c, const struct accel_model *m, const struct layer *l,
	       const struct shape *shape, const struct accel_layer *how)
{
	/* Addresses that tell pools apart, and which weights are far, and no more. */
	struct layer_places at = { .keep = { 1ull << 40, 2ull << 40, 3ull << 40, 4ull << 40 } };
	const struct places nowhere = { .layers = &at };
	struct build b;
	size_t size;

	memset(c, 0, sizeof(*c));
	c->near = how->experts_on_card;
	c->copied = how->weights == ACCEL_WEIGHTS_STREAM;
	for (int i = 0; i < LAYER_WEIGHTS; i++)
		at.w[i] = footprint_is_far(l, i, how->weights) ? FAR : 0;
	stream_begin(&b, m, shape, &nowhere);
	layer_record(&b, 0, l, false);
	size = b.r.size;
	b.r.base = malloc(size);
	if (!b.r.base)
		return fail(-ENOMEM, "no memory for %zu bytes of commands", size);
	b.r.size = 0;
	layer_record(&b, 0, l, false);
	for (size_t at = 0; at < size;) {
		const struct octans_cmd *cmd = (const void *)(b.r.base + at);

		add_command(c, m, shape, cmd);
		at += cmd->size;
	}
	free(b.r.base);
	return 0;
}

/* How many planes any of the rows takes, on the average, if each takes as many and likes all alike. */
static uint64_t planes_taken(const struct layer_cost *c, uint32_t rows)
{
	double spared = 1, miss = 1 - (double)c->taken / c->planes;

	if (c->taken >= c->planes)
		return rows ? c->planes : 0;
	for (uint32_t i = 0; i < rows && spared > 1e-6; i++)
		spared *= miss;
	return (uint64_t)(c->planes * (1 - spared) + 0.5);
}

/* Of the planes that are taken as many are on the card as of all of them. */
static void add_planes(struct op_work *sum, const struct layer_cost *c, uint64_t taken)
{
	const uint64_t near = c->plane.far * (c->near * taken / c->planes);

	add(sum, &c->plane, taken);
	sum->far -= near;
	sum->bytes += near;
}

void cost_add(struct op_work *sum, const struct layer_cost *c, const struct load *load)
{
	const struct op_work *out = &c->out;

	/* The layer that makes logits may have nothing to do. */
	if (load->out || !(out->bytes | out->macs_int8 | out->macs_f16 | out->macs_f32))
		add(sum, &c->once, load->rows != 0);
	add(sum, &c->row, load->rows);
	add(sum, &c->out, load->out);
	if (c->planes)
		add_planes(sum, c, planes_taken(c, load->rows));
	add(sum, &c->pair, load->pairs);
	add(sum, &c->position, load->positions);
}

uint64_t cost_work(const struct op_work *w)
{
	return w->macs_int8 + 4 * (w->macs_f16 + w->macs_f32);
}

static uint64_t over(uint64_t n, uint32_t rate)
{
	return rate ? (n + rate - 1) / rate : 0;
}

uint64_t cost_ceiling(const struct op_work *w, const struct accel_devinfo *dev)
{
	const uint64_t local = over(w->bytes, dev->local_bpc), far = over(w->far, dev->pcie_bpc);
	const uint64_t memory = local > far ? local : far;
	uint64_t compute = over(w->macs_int8, dev->macs_int8) + over(w->macs_f16, dev->macs_f16) +
			   over(w->macs_f32, dev->macs_f32);

	return memory > compute ? memory : compute;
}

uint64_t cost_job_work(const struct accel_devinfo *dev)
{
	return (dev->max_timeout_ms ? dev->max_timeout_ms : DEFAULT_TIMEOUT_MS) * SLOWEST_WORK_PER_MS;
}
