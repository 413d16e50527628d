// SPDX-License-Identifier: MIT
/*
 * What libllama's samplers leave of logits, and how likely each is.
 *
 *   sampler <CASES >LISTS
 *
 * A case is a line: seed and number of the logits, temperature, top_k, top_p, min_p, repeat,
 * frequency and presence penalties, how far they look back, and the accepted tokens, apart by
 * commas ("-": none).  Each gives a line "id:probability ...", by ids.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llama.h>

#define MOST 4096

/* test_sampler.c makes the same. */
static void make_logits(uint64_t seed, llama_token_data *list, int n)
{
	for (int i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		list[i] = (llama_token_data) { i, (float)(seed >> 40) * 0x1p-21f - 4, 0 };
	}
}

static int by_id(const void *a, const void *b)
{
	const llama_token_data *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void print(llama_token_data_array *a)
{
	const char *sep = "";

	qsort(a->data, a->size, sizeof(*a->data), by_id);
	for (size_t i = 0; i < a->size; i++)
		if (a->data[i].p > 0) {
			printf("%s%d:%.9g", sep, a->data[i].id, a->data[i].p);
			sep = " ";
		}
	putchar('\n');
}

int main(void)
{
	static llama_token_data list[MOST];
	unsigned long long seed;
	double temperature, top_p, min_p, repeat, frequency, presence;
	int n, top_k, last;
	char accepted[1024];

	while (scanf("%llu %d %lf %d %lf %lf %lf %lf %lf %d %1023s", &seed, &n, &temperature,
		     &top_k, &top_p, &min_p, &repeat, &frequency, &presence, &last,
		     accepted) == 11 &&
	       n <= MOST) {
		llama_token_data_array a = { list, n, -1, false };
		struct llama_sampler *chain =
			llama_sampler_chain_init(llama_sampler_chain_default_params());

		make_logits(seed, list, n);
		llama_sampler_chain_add(chain, llama_sampler_init_penalties(n, last, repeat,
									    frequency, presence));
		llama_sampler_chain_add(chain, llama_sampler_init_top_k(top_k));
		llama_sampler_chain_add(chain, llama_sampler_init_top_p(top_p, 1));
		llama_sampler_chain_add(chain, llama_sampler_init_min_p(min_p, 1));
		llama_sampler_chain_add(chain, llama_sampler_init_temp(temperature));
		llama_sampler_chain_add(chain, llama_sampler_init_dist(1));
		for (char *s = strtok(accepted, ",-"); s; s = strtok(NULL, ",-"))
			llama_sampler_accept(chain, atoi(s));
		llama_sampler_apply(chain, &a);
		print(&a);
		llama_sampler_free(chain);
	}
	return 0;
}
