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
	at->x = take(&f->work, batch * m->n_stream);
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

bool footprint_is_far(const struct layer *l, int slot, enum accel_weights weights)
{
	const struct weight *w = &l->w[slot];

	if (!w->data)
		return false;
	/* small ones would cost a latency each time, and take no room */
	if (weights != ACCEL_WEIGHTS_EXPERTS)
		return weights != ACCEL_WEIGHTS_CARD && w->size >= PAGE;
	return l->kind->id == ACCEL_LAYER_MOE && w->planes > 1 && slot != MOE_BGATE && slot != MOE_BUP &&
	       slot != MOE_BDOWN;
}

uint64_t footprint_far_bytes(const struct layer *l, enum accel_weights weights)
{
	uint64_t sum = 0;

	for (int i = 0; i < LAYER_WEIGHTS; i++)
		if (footprint_is_far(l, i, weights))
			sum += l->w[i].size;
	return sum;
}

/* Planes begin with pages, so that each is mapped by itself. */
static uint64_t plane_bytes(const struct weight *w)
{
	return ALIGN_UP(w->rows * w->stride, PAGE);
}

uint64_t footprint_expert_bytes(const struct layer *l)
{
	uint64_t sum = 0;

	for (int i = 0; i < LAYER_WEIGHTS; i++)
		if (footprint_is_far(l, i, ACCEL_WEIGHTS_EXPERTS))
			sum += plane_bytes(&l->w[i]);
	return sum;
}

static uint64_t take_planes(uint64_t *size, const struct weight *w, uint64_t *plane)
{
	uint64_t at = ALIGN_UP(*size, PAGE);

	*plane = plane_bytes(w);
	*size = at + w->planes * *plane;
	return at;
}

/* One behind the other where they come from, and where they are copied to. */
static void take_streamed(struct footprint *f, const struct layer *l, struct layer_places *at)
{
	at->streamed = 0;
	for (int i = 0; i < LAYER_WEIGHTS; i++)
		if (footprint_is_far(l, i, ACCEL_WEIGHTS_STREAM))
			at->w[i] = take(&at->streamed, l->w[i].size);
	at->source = take(&f->far, at->streamed);
	if (at->streamed > f->stage)
		f->stage = at->streamed;
	if (f->stages < 2)		/* while one is used the next comes */
		f->stages++;
}

static void take_weights(struct footprint *f, const struct layer *l, const struct shape *s,
			 const struct accel_layer *how, struct layer_places *at)
{
	for (int i = 0; i < LAYER_WEIGHTS; i++) {
		const struct weight *w = &l->w[i];

		if (!w->data)
			continue;
		if (!footprint_is_far(l, i, how->weights))
			at->w[i] = take(&f->weights, w->size);
		else if (how->weights == ACCEL_WEIGHTS_EXPERTS)
			at->w[i] = take_planes(&f->far, w, &at->plane[i]);
		else if (how->weights == ACCEL_WEIGHTS_HOST)
			at->w[i] = take(&f->far, w->size);
	}
	if (how->weights == ACCEL_WEIGHTS_STREAM)
		take_streamed(f, l, at);
	if (how->weights != ACCEL_WEIGHTS_EXPERTS)
		return;
	if (footprint_expert_bytes(l) > f->slot)
		f->slot = footprint_expert_bytes(l);
	f->slots += how->experts_on_card;
	at->chosen = take(&f->chosen, 4ull * s->batch * l->moe.used);
}

static void take_layer(struct footprint *f, const struct layer *l, const struct shape *s,
		       const struct accel_layer *how, struct layer_places *at)
{
	take_weights(f, l, s, how, at);
	for (enum keep k = 0; k < KEEP_COUNT; k++) {
		if (!keep_row(l, k, s))
			continue;
		at->keep[k] = take(&f->kv, keep_bytes(l, k, s));
		if (keep_is_paged(k))	/* commands that copy a page */
			f->stream += 2 * sizeof(struct octans_cmd_move);
	}
}

bool footprint_is_tied(const struct accel_model *m, const struct accel_layer *how)
{
	const uint32_t last = m->n_layers - 1;

	return how[last].weights != ACCEL_WEIGHTS_STREAM &&
	       m->layers[0].w[EMBED_TABLE].data == m->layers[last].w[HEAD_OUT].data && !m->layers[last].part.of &&
	       footprint_is_far(&m->layers[0], EMBED_TABLE, how[0].weights) ==
	       footprint_is_far(&m->layers[last], HEAD_OUT, how[last].weights);
}

/* Tied weights are there once: the last layer's are those of the first. */
static void tie(struct footprint *f, const struct accel_model *m, const struct accel_layer *how,
		struct layer_places *first, struct layer_places *last)
{
	const uint64_t size = ALIGN_UP(m->layers[0].w[EMBED_TABLE].size, TENSOR_ALIGN);

	if (!footprint_is_tied(m, how))
		return;
	/* it was taken last */
	*(footprint_is_far(&m->layers[0], EMBED_TABLE, how[0].weights) ? &f->far : &f->weights) -= size;
	last->w[HEAD_OUT] = first->w[EMBED_TABLE];
}

void footprint_of(struct footprint *f, const struct accel_model *m, const struct shape *shape,
		  const bool *mine, const uint32_t *stream, const struct accel_layer *how, struct places *at,
		  struct layer_places *layers)
{
	struct layer_places ignored, first = { 0 }, *to = &first;
	const uint32_t n = m->n_layers;
	struct places nowhere;
	uint64_t copies = 0;
	bool any = false;

	*f = (struct footprint) { 0 };
	take_work(f, m, shape, at ? at : &nowhere);
	for (uint32_t i = 0; i < n; i++) {
		if (!mine[i])
			continue;
		any = true;
		to = layers ? &layers[i] : i ? &ignored : &first;
		take_layer(f, &m->layers[i], shape, &how[i], to);
		if (!i || !mine[i - 1] || !layers_join(&how[i], &how[i - 1]))
			f->stream += shape->flights * stream_around();
		f->stream += shape->flights * (uint64_t)stream[i];
		copies += shape->flights * 2 * sizeof(struct octans_cmd_copy);
	}
	if (f->stages)
		f->stream += copies;
	if (mine[0] && mine[n - 1])
		tie(f, m, how, layers ? &layers[0] : &first, to);
	if (any)
		f->bytes = footprint_buffer(f->weights) + footprint_buffer(f->kv) +
			   footprint_buffer(f->work) + footprint_buffer(f->stream) +
			   footprint_buffer(f->slots * f->slot) + footprint_buffer(f->stages * f->stage);
}

uint64_t footprint_host(const struct accel_model *m, const struct shape *shape, const struct accel_layer *how,
			uint32_t device)
{
	const uint32_t n = m->n_layers;
	struct layer_places other, first = { 0 };
	struct footprint f = { 0 };

	for (uint32_t i = 0; i < n; i++)
		if (how[i].device == (int32_t)device)
			take_weights(&f, &m->layers[i], shape, &how[i], i ? &other : &first);
	if (how[0].device == (int32_t)device && how[n - 1].device == (int32_t)device)
		tie(&f, m, how, &first, &other);
	return ALIGN_UP(f.far, PAGE) + ALIGN_UP(f.chosen * shape->flights, PAGE);
}

uint64_t footprint_buffer(uint64_t size)
{
	return ALIGN_UP(size, size > LARGE_PAGE ? LARGE_PAGE : PAGE);
}
