// SPDX-License-Identifier: MIT
#include "sampler.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct candidate {
	double weight;
	uint32_t token;
};

/* splitmix64 (S. Vigna); uniform in [0, 1). */
static double uniform(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return ((z ^ z >> 31) >> 11) * 0x1p-53;
}

static int64_t greedy(const float *logits, uint32_t vocab)
{
	int64_t best = -EDOM;

	for (uint32_t i = 0; i < vocab; i++)
		if (logits[i] == logits[i] && (best < 0 || logits[i] > logits[best]))
			best = i;
	return best;
}

/* Most likely first; equals in the order of their numbers, so that a seed decides alone. */
static int by_weight(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return x->token < y->token ? -1 : 1;
}

int64_t sample(struct sampler *s, const float *logits, uint32_t vocab)
{
	int64_t best = greedy(logits, vocab);
	double sum = 0, kept = 0, u;
	uint32_t n = 0, k;

	if (best < 0 || s->temperature <= 0)
		return best;
	if (s->room < vocab) {
		struct candidate *p = realloc(s->list, vocab * sizeof(*p));

		if (!p)
			return -ENOMEM;
		s->list = p;
		s->room = vocab;
	}
	for (uint32_t i = 0; i < vocab; i++)
		if (logits[i] == logits[i])
			s->list[n++] = (struct candidate) {
				.weight = exp(((double)logits[i] - logits[best]) / s->temperature),
				.token = i,
			};
	qsort(s->list, n, sizeof(*s->list), by_weight);
	if (s->top_k && s->top_k < n)
		n = s->top_k;
	for (uint32_t i = 0; i < n; i++)
		sum += s->list[i].weight;
	for (k = 0; k < n && (k == 0 || kept < s->top_p * sum); k++)
		kept += s->list[k].weight;
	u = uniform(&s->state) * kept;
	for (uint32_t i = 0; i + 1 < k; i++) {
		u -= s->list[i].weight;
		if (u < 0)
			return s->list[i].token;
	}
	return s->list[k - 1].token;
}

void sampler_end(struct sampler *s)
{
	free(s->list);
	s->list = NULL;
}
