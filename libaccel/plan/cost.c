// SPDX-License-Identifier: MIT
#include "cost.h"

/* A queue's timeout tells hangs.  Nothing that runs jobs, the model on one busy CPU included, does
 * less work than this: the slowest measured was twice that, attention to keys in Q8_0. */
#define SLOWEST_WORK_PER_MS 1000000ull
#define DEFAULT_TIMEOUT_MS 10000u

static void add_matmul(struct cost *c, const struct weight *w, uint64_t rows)
{
	uint64_t macs = rows * w->rows * w->cols;
	bool floats = w->type == OCTANS_TYPE_F32 || w->type == OCTANS_TYPE_F16 ||
		      w->type == OCTANS_TYPE_BF16;

	c->bytes += w->size;
	if (w->rows == 1)		/* a norm's weights or a bias */
		return;
	if (floats)
		c->macs_f32 += macs;
	else
		c->macs_int8 += macs;
}

static void add_attention(struct cost *c, const struct accel_model *m, enum accel_kv_type type,
			  const struct step *st)
{
	uint64_t width = (uint64_t)m->n_heads * m->head_dim;
	/* row i attends to pos + i + 1 positions */
	uint64_t pairs = (uint64_t)st->n * st->pos + (uint64_t)st->n * (st->n + 1) / 2;

	c->bytes += 2 * model_kv_row(m, type) * (st->pos + st->n);
	if (type == ACCEL_KV_F32)
		c->macs_f32 += 2 * pairs * width;
	else
		c->macs_f16 += 2 * pairs * width;
}

void cost_add(struct cost *c, const struct accel_model *m, const struct shape *shape, uint32_t layer,
	      const struct step *st)
{
	const struct layer *l = &m->layers[layer];
	uint64_t rows = l->kind == ACCEL_LAYER_HEAD ? st->out : st->n;

	if (l->kind == ACCEL_LAYER_EMBED) {
		c->bytes += rows * l->w[EMBED_TABLE].stride;
		return;
	}
	if (!rows)
		return;
	for (int i = 0; i < LAYER_WEIGHTS; i++)
		if (l->w[i].data)
			add_matmul(c, &l->w[i], rows);
	if (l->kind == ACCEL_LAYER_ATTN_GQA)
		add_attention(c, m, shape->kv_type, st);
}

uint64_t cost_work(const struct cost *c)
{
	return c->macs_int8 + 4 * (c->macs_f16 + c->macs_f32);
}

static uint64_t over(uint64_t n, uint32_t rate)
{
	return rate ? (n + rate - 1) / rate : 0;
}

uint64_t cost_ceiling(const struct cost *c, const struct accel_devinfo *dev)
{
	uint64_t memory = over(c->bytes, dev->local_bpc);
	uint64_t compute = over(c->macs_int8, dev->macs_int8) + over(c->macs_f16, dev->macs_f16) +
			   over(c->macs_f32, dev->macs_f32);

	return memory > compute ? memory : compute;
}

uint64_t cost_job_work(const struct accel_devinfo *dev)
{
	return (dev->max_timeout_ms ? dev->max_timeout_ms : DEFAULT_TIMEOUT_MS) * SLOWEST_WORK_PER_MS;
}
