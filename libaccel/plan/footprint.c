// SPDX-License-Identifier: MIT
#include "footprint.h"

#define ALIGN_UP(x, a) (((x) + (a) - 1) / (a) * (a))
#define TENSOR_ALIGN 64ull
#define PAGE 4096ull
#define LARGE_PAGE (2ull << 20)

/* What the recorder puts around the layers that follow each other: counters at both ends, the
 * arrays of the step, and rows of the residual stream in and out. */
#define AROUND (2 * sizeof(struct octans_cmd_signal) + 6 * sizeof(struct octans_cmd_move))

static uint64_t take(uint64_t *size, uint64_t bytes)
{
	uint64_t at = *size;

	*size += ALIGN_UP(bytes, TENSOR_ALIGN);
	return at;
}

void footprint_begin(struct footprint *f, const struct accel_model *m, const struct shape *shape,
		     struct places *at)
{
	struct places ignored;

	if (!at)
		at = &ignored;
	*f = (struct footprint) { .newest = -2 };
	at->rope = take(&f->weights, 4ull * shape->ctx * m->rot);
	for (int i = 0; i < BUF_COUNT; i++)
		at->buf[i] = take(&f->work, 4ull * model_buf_cols(m, i) *
				  (i == BUF_LOGITS ? shape->out : shape->batch));
	at->step.tokens = take(&f->work, 4ull * shape->batch);
	at->step.positions = take(&f->work, 4ull * shape->batch);
	at->step.ranges = take(&f->work, 8ull * shape->batch);
	at->step.wanted = take(&f->work, 4ull * shape->out);
}

uint64_t footprint_add(struct footprint *f, const struct accel_model *m, const struct shape *shape,
		       uint32_t layer, struct layer_places *at)
{
	const struct layer *l = &m->layers[layer];
	uint64_t kv = model_kv_row(m, shape->kv_type) * shape->ctx, new = 0;
	struct layer_places ignored;

	if (!at)
		at = &ignored;
	for (int i = 0; i < LAYER_WEIGHTS; i++) {
		if (!l->w[i].data)
			continue;
		if (l->w[i].data == f->table) {
			at->w[i] = f->table_at;
			continue;
		}
		at->w[i] = take(&f->weights, l->w[i].size);
		new += l->w[i].size;
	}
	if (l->kind == ACCEL_LAYER_EMBED) {
		f->table = l->w[EMBED_TABLE].data;
		f->table_at = at->w[EMBED_TABLE];
	}
	if (l->kind == ACCEL_LAYER_ATTN_GQA) {
		at->k = take(&f->kv, kv);
		at->v = take(&f->kv, kv);
	}
	if (f->newest + 1 != layer)
		f->stream += AROUND;
	f->stream += record_size(m, shape, layer, NULL);
	f->newest = layer;
	return new;
}

uint64_t footprint_buffer(uint64_t size)
{
	return ALIGN_UP(size, size > LARGE_PAGE ? LARGE_PAGE : PAGE);
}

uint64_t footprint_bytes(const struct footprint *f)
{
	if (f->newest < 0)
		return 0;
	return footprint_buffer(f->weights) + footprint_buffer(f->kv) + footprint_buffer(f->work) +
	       footprint_buffer(f->stream);
}
