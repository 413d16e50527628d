// SPDX-License-Identifier: MIT
#include "stream.h"

void stream_begin(struct build *b, const struct accel_model *m, const struct shape *shape,
		  const struct places *at)
{
	*b = (struct build) {
		.r = { .group = -1 }, .m = m, .shape = shape, .at = at, .rows = OCTANS_DYN_ROWS(P_ROWS), .group = -1,
	};
}

static void move(struct build *b, uint64_t to, uint64_t from, uint32_t rows, uint32_t cols, uint32_t dyn)
{
	RECORD(&b->r, MOVE, move, 0, .dst = tensor_i32(to, rows, cols, dyn),
	       .src = tensor_i32(from, rows, cols, dyn));
}

void stream_stage(struct build *b, const struct arrays *from)
{
	const struct arrays *to = &b->at->step;
	const struct shape *s = b->shape;
	const uint32_t rows = OCTANS_DYN_ROWS(P_ROWS);

	move(b, to->tokens, from->tokens, s->batch, 1, rows);
	move(b, to->positions, from->positions, s->batch, 1, rows);
	move(b, to->slots, from->slots, s->batch, 1, rows);
	move(b, to->seqs, from->seqs, s->batch, 1, rows);
	for (uint64_t w = 0; w <= s->windows; w++)
		move(b, to->ranges + w * 8 * s->batch, from->ranges + w * 8 * s->batch, s->batch, 2, rows);
	if (s->slots)
		move(b, to->states, from->states, s->batch, 2, rows);
	move(b, to->pages, from->pages, s->seqs, shape_seq_pages(s), OCTANS_DYN_ROWS(P_SEQS));
	move(b, to->wanted, from->wanted, s->out, 1, OCTANS_DYN_ROWS(P_OUT));
}

void stream_border(struct build *b, uint32_t cols, uint64_t to, uint64_t from)
{
	const uint32_t rows = OCTANS_DYN_ROWS(P_ROWS);

	RECORD(&b->r, MOVE, move, 0, .dst = tensor_f32(to, b->shape->batch, cols, rows),
	       .src = tensor_f32(from, b->shape->batch, cols, rows));
}

void stream_counters(struct build *b, uint64_t va)
{
	RECORD(&b->r, SIGNAL, signal, OCTANS_SIGNAL_COUNTERS, .va = va);
}

static void copy_pool(struct build *b, uint64_t pool, uint32_t words, uint64_t from, uint64_t to)
{
	const struct octans_tensor pages = tensor_i32(pool, b->shape->pages, words, 0);
	const struct octans_tensor stage = tensor_i32(b->at->page, 1, words, 0);

	if (!words)
		return;
	/* A page cannot move within one tensor: by way of another. */
	RECORD(&b->r, MOVE, move, 0, .dst = stage, .src = pages, .src_ids = tensor_i32(from, 1, 1, 0));
	RECORD(&b->r, MOVE, move, 0, .dst = pages, .dst_ids = tensor_i32(to, 1, 1, 0), .src = stage);
}

void stream_copy_page(struct build *b, const struct layer *l, const struct layer_places *own, uint64_t from,
		      uint64_t to)
{
	for (enum keep k = 0; k < KEEP_COUNT; k++)
		copy_pool(b, own->keep[k], keep_page_words(l, k, b->shape), from, to);
}

bool stream_copies_pages(const struct layer *l, const struct shape *shape)
{
	for (enum keep k = 0; k < KEEP_COUNT; k++)
		if (keep_is_paged(k) && keep_row(l, k, shape) && !keep_page_words(l, k, shape))
			return false;
	return true;
}

size_t stream_around(void)
{
	const struct shape shape = {
		.ctx = 1, .seqs = 1, .slots = 1, .windows = MODEL_WINDOWS, .batch = 1, .out = 1,
	};
	const struct places at = { 0 };
	struct build b;

	stream_begin(&b, NULL, &shape, &at);
	stream_counters(&b, 0);
	stream_stage(&b, &at.step);
	stream_border(&b, 1, 0, 0);
	stream_border(&b, 1, 0, 0);
	stream_counters(&b, 0);
	return b.r.size;
}

size_t stream_part_size(const struct accel_model *m, const struct layer *l, const struct shape *shape,
			struct exchanged *exchanged)
{
	const struct places nowhere = { .host_logits = 1 };
	struct build b;

	stream_begin(&b, m, shape, &nowhere);
	layer_record(&b, 0, l, true);
	*exchanged = b.exchanged;
	return b.r.size;
}

size_t stream_layer_size(const struct accel_model *m, const struct layer *l, const struct shape *shape,
			 uint64_t *ops)
{
	const struct places nowhere = { .host_logits = 1 };	/* not where they are computed: copied */
	struct build b;

	stream_begin(&b, m, shape, &nowhere);
	layer_record(&b, 0, l, true);
	if (ops)
		*ops = b.r.ops;
	return b.r.size;
}
