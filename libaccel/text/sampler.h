/* SPDX-License-Identifier: MIT */
/* Choosing the next token from logits. */
#ifndef ACCELCTL_SAMPLER_H
#define ACCELCTL_SAMPLER_H

#include <stdint.h>

struct sampler {
	double temperature;	/* 0 = greedy: the most likely, of equals the first */
	uint32_t top_k;		/* 0 = all */
	double top_p;
	uint64_t state;		/* seed */
	struct candidate *list;	/* [vocab] scratch, NULL at first */
	uint32_t room;
};

/* The token, or -ENOMEM, or -EDOM if no logit is a number. */
int64_t sample(struct sampler *s, const float *logits, uint32_t vocab);
/* How many of the largest logits sample_top() needs to choose from; 0: all, use sample(). */
uint32_t sampler_top(const struct sampler *s, uint32_t vocab);
/* The same choice from the n largest, largest first, NaNs last. */
int64_t sample_top(struct sampler *s, const int32_t *ids, const float *logits, uint32_t n);
void sampler_end(struct sampler *s);

#endif
