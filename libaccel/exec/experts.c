// SPDX-License-Identifier: MIT
#include "experts.h"

#include <stdlib.h>

/* What an older count is worth after each step, */
#define FADE 0.9f
/* how much better one has to be than who leaves for it, */
#define BETTER 1.25f
#define BETTER_BY 0.05f
/* and of how many experts that were read over the bus one may move. */
#define MISSES_PER_MOVE 16

struct state {				/* of an expert */
	float heat;			/* shares of rows that chose it, older ones faded */
	float newest;			/* of those since experts_settle() */
	int32_t slot;			/* -1: none */
	uint32_t layer;
	uint64_t count;			/* experts.counts when it was chosen last */
};

struct experts {
	uint32_t n_layers, n_slots, n;
	uint32_t *begins;		/* [n_layers + 1]: of a layer's in: */
	struct state *state;		/* [n] */
	int32_t *in_slot;		/* [n_slots]: whose state it is; -1: nobody's */
	uint64_t counts;		/* calls of experts_count() */
	struct expert_stats stats;
};

struct experts *experts_new(const uint32_t *n, const uint32_t *some, uint32_t n_layers, uint32_t slots)
{
	struct experts *e = calloc(1, sizeof(*e));
	uint32_t slot = 0;

	if (!e)
		return NULL;
	e->n_layers = n_layers;
	e->n_slots = slots;
	for (uint32_t i = 0; i < n_layers; i++)
		e->n += n[i];
	e->begins = calloc(n_layers + 1ull, sizeof(*e->begins));
	e->state = calloc(e->n + 1ull, sizeof(*e->state));
	e->in_slot = calloc(slots + 1ull, sizeof(*e->in_slot));
	if (!e->begins || !e->state || !e->in_slot) {
		experts_free(e);
		return NULL;
	}
	for (uint32_t i = 0; i < n_layers; i++) {
		/* others in each layer: nobody knows yet who is used, and they are not to be all alike */
		const uint32_t begin = (uint32_t)(0.618 * n[i] * i) % n[i];

		e->begins[i + 1] = e->begins[i] + n[i];
		for (uint32_t k = 0; k < n[i]; k++) {
			struct state *s = &e->state[e->begins[i] + k];

			s->layer = i;
			s->slot = (k + n[i] - begin) % n[i] < some[i] && slot < slots ? (int32_t)slot : -1;
			if (s->slot >= 0)
				e->in_slot[slot++] = e->begins[i] + k;
		}
	}
	while (slot < slots)
		e->in_slot[slot++] = -1;
	return e;
}

void experts_free(struct experts *e)
{
	if (!e)
		return;
	free(e->begins);
	free(e->state);
	free(e->in_slot);
	free(e);
}

int64_t experts_slot(const struct experts *e, uint32_t layer, uint32_t expert)
{
	return e->state[e->begins[layer] + expert].slot;
}

uint32_t experts_count(struct experts *e, uint32_t layer, const int32_t *ids, uint32_t n, uint32_t rows,
		       uint32_t *near)
{
	const uint32_t begin = e->begins[layer], experts = e->begins[layer + 1] - begin;
	uint32_t different = 0;

	*near = 0;
	e->counts++;
	for (uint32_t i = 0; i < n; i++) {
		struct state *s;

		if (ids[i] < 0 || (uint32_t)ids[i] >= experts)
			continue;
		s = &e->state[begin + ids[i]];
		s->newest += 1.0f / rows;
		e->stats.uses++;
		e->stats.hits += s->slot >= 0;
		if (s->count == e->counts)
			continue;
		s->count = e->counts;
		different++;
		*near += s->slot >= 0;
	}
	return different;
}

uint32_t experts_settle(struct experts *e)
{
	uint32_t misses = 0;

	for (uint32_t i = 0; i < e->n; i++) {
		struct state *s = &e->state[i];

		misses += s->newest > 0 && s->slot < 0;
		s->heat = s->heat * FADE + s->newest;
		s->newest = 0;
	}
	return misses && e->n_slots ? 1 + misses / MISSES_PER_MOVE : 0;
}

/* The best that is on no card; -1: all are. */
static int64_t best_outside(const struct experts *e)
{
	int64_t best = -1;

	for (uint32_t i = 0; i < e->n; i++)
		if (e->state[i].slot < 0 && (best < 0 || e->state[i].heat > e->state[best].heat))
			best = i;
	return best;
}

/* A free slot, or that of the worst. */
static uint32_t worst_slot(const struct experts *e)
{
	uint32_t worst = 0;

	for (uint32_t i = 0; i < e->n_slots; i++) {
		if (e->in_slot[i] < 0)
			return i;
		if (e->state[e->in_slot[i]].heat < e->state[e->in_slot[worst]].heat)
			worst = i;
	}
	return worst;
}

static struct expert name_of(const struct experts *e, uint32_t i)
{
	const uint32_t layer = e->state[i].layer;

	return (struct expert) { layer, i - e->begins[layer] };
}

bool experts_move(struct experts *e, struct expert_move *move)
{
	const int64_t best = best_outside(e);
	uint32_t slot;
	int32_t out;

	if (best < 0 || !e->n_slots)
		return false;
	slot = worst_slot(e);
	out = e->in_slot[slot];
	if (e->state[best].heat < (out < 0 ? 0 : e->state[out].heat * BETTER) + BETTER_BY)
		return false;
	*move = (struct expert_move) { .in = name_of(e, best), .slot = slot, .vacant = out < 0 };
	if (out >= 0) {
		move->out = name_of(e, out);
		e->state[out].slot = -1;
	}
	e->state[best].slot = slot;
	e->in_slot[slot] = best;
	e->stats.moves++;
	return true;
}

void experts_stay(struct experts *e, const struct expert_move *move)
{
	const uint32_t in = e->begins[move->in.layer] + move->in.expert;
	const uint32_t out = e->begins[move->out.layer] + move->out.expert;

	e->state[in].slot = -1;
	e->in_slot[move->slot] = move->vacant ? -1 : (int32_t)out;
	if (!move->vacant)
		e->state[out].slot = move->slot;
	e->stats.moves--;
}

void experts_stats(const struct experts *e, struct expert_stats *st)
{
	*st = e->stats;
}
