// SPDX-License-Identifier: MIT
#include "cost.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "stream.h"

/* A queue's timeout tells hangs.  Nothing that runs jobs, the model on one busy CPU included, does
 * less work than this: the slowest measured was twice that, attention to keys in Q8_0. */
#define SLOWEST_WORK_PER_MS 1000000ull
#define DEFAULT_TIMEOUT_MS 10000u

static void add(struct op_work *sum, const struct op_work *w, uint64_t times)
{
	sum->bytes += w->bytes * times;
	sum->macs_int8 += w->macs_int8 * times;
	sum->macs_f16 += w->macs_f16 * times;
	sum->macs_f32 += w->macs_f32 * times;
}

/* Every operation tells the cost of its command; what it takes for each row goes to the kind of rows
 * that it has, as its first operand tells. */
static void add_command(struct layer_cost *c, const struct octans_cmd *cmd)
{
	const struct op *op = op_of(cmd->op);
	struct op_cost cost = { 0 };
	struct octans_tensor dst;

	if (!op || !op->cost)
		return;
	op->cost(cmd, &cost);
	memcpy(&dst, (const uint8_t *)cmd + op->operand[0].offset, sizeof(dst));
	add(&c->once, &cost.once, 1);
	add(dst.dyn == OCTANS_DYN_ROWS(P_OUT) ? &c->out : &c->row, &cost.row, 1);
	add(&c->pair, &cost.pair, 1);
	add(&c->position, &cost.position, 1);
}

int cost_layer(struct layer_cost *c, const struct accel_model *m, const struct layer *l,
	       const struct shape *shape)
{
	static const struct places nowhere;
	struct build b;
	size_t size;

	memset(c, 0, sizeof(*c));
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

		add_command(c, cmd);
		at += cmd->size;
	}
	free(b.r.base);
	return 0;
}

void cost_add(struct op_work *sum, const struct layer_cost *c, const struct load *load)
{
	const struct op_work *out = &c->out;

	/* The layer that makes logits may have nothing to do. */
	if (load->out || !(out->bytes | out->macs_int8 | out->macs_f16 | out->macs_f32))
		add(sum, &c->once, load->rows != 0);
	add(sum, &c->row, load->rows);
	add(sum, &c->out, load->out);
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
	uint64_t memory = over(w->bytes, dev->local_bpc);
	uint64_t compute = over(w->macs_int8, dev->macs_int8) + over(w->macs_f16, dev->macs_f16) +
			   over(w->macs_f32, dev->macs_f32);

	return memory > compute ? memory : compute;
}

uint64_t cost_job_work(const struct accel_devinfo *dev)
{
	return (dev->max_timeout_ms ? dev->max_timeout_ms : DEFAULT_TIMEOUT_MS) * SLOWEST_WORK_PER_MS;
}
