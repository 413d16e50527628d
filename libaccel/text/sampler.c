// SPDX-License-Identifier: MIT
#include "sampler.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <octans/isa.h>

struct candidate {
	double weight;		/* or the logit, while they are sorted */
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

/* How likely, beside the best.  What equals an infinite one is as likely as that is. */
static double weight(double logit, double best, double temperature)
{
	return logit == best ? 1 : exp((logit - best) / temperature);
}

/* Most likely first; equals in the order of their numbers, so that a seed decides alone. */
static int by_weight(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return x->token < y->token ? -1 : 1;
}

static int reserve(struct sampler *s, uint32_t n)
{
	struct candidate *p;

	if (s->room >= n)
		return 0;
	p = realloc(s->list, n * sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->list = p;
	s->room = n;
	return 0;
}

/* From the n candidates, most likely first, whose weights are relative to the first's. */
static int64_t choose(struct sampler *s, uint32_t n)
{
	double sum = 0, kept = 0, u;
	uint32_t k;

	if (!n)
		return -EDOM;
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

int64_t sample(struct sampler *s, const float *logits, uint32_t vocab)
{
	int64_t best = -EDOM;
	uint32_t n = 0;

	for (uint32_t i = 0; i < vocab; i++)
		if (logits[i] == logits[i] && (best < 0 || logits[i] > logits[best]))
			best = i;
	if (best < 0 || s->temperature <= 0)
		return best;
	if (reserve(s, vocab))
		return -ENOMEM;
	for (uint32_t i = 0; i < vocab; i++)
		if (logits[i] == logits[i])
			s->list[n++] = (struct candidate) {
				.weight = logits[i], .token = i,
			};
	/* In the order of the logits, as sample_top() is given them: other weights may be equal. */
	qsort(s->list, n, sizeof(*s->list), by_weight);
	for (uint32_t i = 0; i < n; i++)
		s->list[i].weight = weight(s->list[i].weight, logits[best], s->temperature);
	return choose(s, n);
}

uint32_t sampler_top(const struct sampler *s, uint32_t vocab)
{
	uint32_t k = s->temperature <= 0 ? 1 : s->top_k;

	if (k > vocab)
		k = vocab;
	return k > OCTANS_MAX_TOPK ? 0 : k;
}

int64_t sample_top(struct sampler *s, const int32_t *ids, const float *logits, uint32_t n)
{
	if (s->temperature <= 0)
		return logits[0] == logits[0] ? ids[0] : -EDOM;
	if (reserve(s, n))
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (logits[i] != logits[i])
			n = i;
		else
			s->list[i] = (struct candidate) {
				.weight = weight(logits[i], logits[0], s->temperature),
				.token = ids[i],
			};
	}
	return choose(s, n);
}

void sampler_end(struct sampler *s)
{
	free(s->list);
	s->list = NULL;
}
