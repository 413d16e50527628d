/* SPDX-License-Identifier: MIT */
/* A kind of layer with a state that cannot go back, which no model file has yet: a convolution. */
#ifndef TESTS_MEMORY_LAYER_H
#define TESTS_MEMORY_LAYER_H

#include <stdlib.h>

#include "model/layer.h"

#define TAPS 4

static uint64_t memory_scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	(void)s;
	return i < 2 ? l->embd : 0;
}

/* x += a convolution of what the last positions were */
static void record_memory(struct build *b)
{
	const struct octans_tensor x = build_x(b), norm = build_scratch(b, 0), conv = build_scratch(b, 1);

	build_rms(b, norm, x, 0, 1);
	RECORD(&b->r, CONV, conv, 0, .dst = conv, .x = norm, .w = build_weight(b, 1),
	       .state = build_state(b, 0), .slot = build_array(b, b->at->step.states, 2));
	RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_ID, OCTANS_MAP_ADD), .dst = x, .a = conv, .b = x);
}

static const struct layer_kind memory = {
	.id = ACCEL_LAYER_FFN, .name = "MEMORY", .grouped = true, .scratch = memory_scratch,
	.record = record_memory,
};

/* The model, which must stay, with one such layer after each block. */
static struct accel_model *with_memory(const struct accel_model *m)
{
	struct accel_model *new = malloc(sizeof(*new));
	float *taps = malloc(m->n_embd * TAPS * sizeof(*taps));
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_embd * TAPS; i++)
		taps[i] = ((int)(i * 37 % 101) - 50) / 400.0f;
	*new = *m;
	new->layers = calloc(m->n_layers + m->n_blocks, sizeof(*new->layers));
	for (uint32_t i = 0; i < m->n_layers; i++) {
		const struct layer *l = &m->layers[i];

		new->layers[n++] = *l;
		if (l->kind != &layer_ffn)
			continue;
		new->layers[n++] = (struct layer) {
			.kind = &memory, .block = l->block, .embd = m->n_embd, .eps = l->eps,
			.w = {
				l->w[FFN_NORM],
				{ taps, m->n_embd * TAPS * 4ull, TAPS * 4, m->n_embd, TAPS, 0, 0 },
			},
			.state = { .fixed = { (TAPS - 1) * m->n_embd } },
		};
	}
	new->n_layers = n;
	return new;
}

static void without_memory(struct accel_model *m)
{
	for (uint32_t i = 0; i < m->n_layers; i++)
		if (m->layers[i].kind == &memory) {
			free((void *)m->layers[i].w[1].data);
			break;		/* they all have the same */
		}
	free(m->layers);
	free(m);
}

#endif
