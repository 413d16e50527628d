// SPDX-License-Identifier: MIT
#include "footprint.h"

#include "stream.h"

#define ALIGN_UP(x, a) (((x) + (a) - 1) / (a) * (a))
#define TENSOR_ALIGN 64ull
#define PAGE 4096ull
#define LARGE_PAGE (2ull << 20)

static uint64_t take(uint64_t *size, uint64_t bytes)
{
	uint64_t at = *size;

	*size += ALIGN_UP(bytes, TENSOR_ALIGN);
	return at;
}

static uint32_t most_words(const struct accel_model *m, const struct shape *s)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < m->n_layers; i++)
		for (enum keep k = 0; k < KEEP_COUNT; k++) {
			uint32_t words = keep_page_words(&m->layers[i], k, s);

			most = words > most ? words : most;
		}
	return most;
}

/* What does not belong to any layer. */
static void take_work(struct footprint *f, const struct accel_model *m, const struct shape *s,
		      struct places *at)
{
	const uint64_t batch = 4ull * s->batch;

	for (uint32_t i = 0; i < m->n_tables; i++)
		at->table[i] = take(&f->weights, table_bytes(&m->tables[i], s->ctx, s->batch));
	at->x = take(&f->work, batch * m->n_embd);
	for (unsigned int i = 0; i < LAYER_SCRATCH; i++)
		at->scratch[i] = take(&f->work, batch * model_scratch(m, s, i));
	at->logits = take(&f->work, 4ull * s->out * m->n_vocab);
	at->step.tokens = take(&f->work, batch);
	at->step.positions = take(&f->work, batch);
	at->step.slots = take(&f->work, batch);
	at->step.seqs = take(&f->work, batch);
	at->step.ranges = take(&f->work, (1 + s->windows) * 2 * batch);
	at->step.states = take(&f->work, 2 * batch);
	at->step.pages = take(&f->work, 4ull * s->seqs * shape_seq_pages(s));
	at->step.wanted = take(&f->work, 4ull * s->out);
	at->page = take(&f->work, 4ull * most_words(m, s));
}

static void take_layer(struct footprint *f, const struct layer *l, const struct shape *s,
		       struct layer_places *at)
{
	for (int i = 0; i < LAYER_WEIGHTS; i++)
		if (l->w[i].data)
			at->w[i] = take(&f->weights, l->w[i].size);
	for (enum keep k = 0; k < KEEP_COUNT; k++) {
		if (!keep_row(l, k, s))
			continue;
		at->keep[k] = take(&f->kv, keep_bytes(l, k, s));
		if (keep_is_paged(k))	/* commands that copy a page */
			f->stream += 2 * sizeof(struct octans_cmd_move);
	}
}

/* Tied weights are there once: the last layer's are those of the first. */
static void tie(struct footprint *f, const struct accel_model *m, struct layer_places *first,
		struct layer_places *last)
{
	const struct weight *table = &m->layers[0].w[EMBED_TABLE];
	const struct weight *out = &m->layers[m->n_layers - 1].w[HEAD_OUT];

	if (table->data != out->data)
		return;
	f->weights -= ALIGN_UP(out->size, TENSOR_ALIGN);	/* it was taken last */
	last->w[HEAD_OUT] = first->w[EMBED_TABLE];
}

void footprint_of(struct footprint *f, const struct accel_model *m, const struct shape *shape,
		  const bool *mine, const uint32_t *stream, struct places *at,
		  struct layer_places *layers)
{
	struct layer_places ignored, first = { 0 }, *to = &first;
	const uint32_t n = m->n_layers;
	struct places nowhere;
	bool any = false;

	*f = (struct footprint) { 0 };
	take_work(f, m, shape, at ? at : &nowhere);
	for (uint32_t i = 0; i < n; i++) {
		if (!mine[i])
			continue;
		any = true;
		to = layers ? &layers[i] : i ? &ignored : &first;
		take_layer(f, &m->layers[i], shape, to);
		if (!i || !mine[i - 1])
			f->stream += stream_around();
		f->stream += stream[i];
	}
	if (mine[0] && mine[n - 1])
		tie(f, m, layers ? &layers[0] : &first, to);
	if (any)
		f->bytes = footprint_buffer(f->weights) + footprint_buffer(f->kv) +
			   footprint_buffer(f->work) + footprint_buffer(f->stream);
}

uint64_t footprint_buffer(uint64_t size)
{
	return ALIGN_UP(size, size > LARGE_PAGE ? LARGE_PAGE : PAGE);
}
