/* SPDX-License-Identifier: MIT */
/*
 * What choosing a token costs at a vocabulary of 131,072: the same logits, settings and clock for
 * this library (sampling.c) and for libllama (llama-sampling.c), each of which brings choose().
 */
#ifndef BENCH_SAMPLING_H
#define BENCH_SAMPLING_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define VOCAB 131072
#define TOKENS 200

static const struct sampling {
	const char *name;
	float temperature, top_p, min_p, repeat;
	int top_k;
} samplings[] = {
	{ "defaults", 0.8f, 0.95f, 0.05f, 1, 40 },	/* llama.cpp's */
	{ "penalties", 0.8f, 0.95f, 0.05f, 1.1f, 40 },
	{ "greedy", 0, 1, 0, 1, 0 },
};

/* Prepares; then chooses and accepts the next token. */
static void begin(const struct sampling *how);
static int32_t choose(const float *logits);
static void end(void);

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Milliseconds a token, the median. */
static double measure(const struct sampling *how, const float *logits)
{
	double ms[TOKENS];

	begin(how);
	for (int i = 0; i < TOKENS; i++) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		if (choose(logits) < 0)
			exit(1);
		clock_gettime(CLOCK_MONOTONIC, &b);
		ms[i] = (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) * 1e-6;
	}
	end();
	qsort(ms, TOKENS, sizeof(*ms), by_value);
	return ms[TOKENS / 2];
}

int main(void)
{
	float *logits = malloc(VOCAB * sizeof(*logits));
	uint64_t seed = 1;

	if (!logits)
		return 1;
	/* Sums of uniform numbers, as of a model that is not sure. */
	for (uint32_t i = 0; i < VOCAB; i++) {
		logits[i] = 0;
		for (int k = 0; k < 8; k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			logits[i] += (float)(seed >> 40) * 0x1p-24f * 4;
		}
	}
	for (size_t i = 0; i < sizeof(samplings) / sizeof(samplings[0]); i++)
		printf("%s %.4f\n", samplings[i].name, measure(&samplings[i], logits));
	free(logits);
	return 0;
}

#endif
