// SPDX-License-Identifier: MIT
/* Choosing tokens with libllama, as llama_sampler_sample() does. */
#include <llama.h>

#include "sampling.h"

static struct llama_sampler *chain;
static llama_token_data list[VOCAB];

static void begin(const struct sampling *how)
{
	chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
	if (how->repeat != 1)
		llama_sampler_chain_add(chain, llama_sampler_init_penalties(VOCAB, 64, how->repeat,
									    0, 0));
	if (!how->temperature) {
		llama_sampler_chain_add(chain, llama_sampler_init_greedy());
		return;
	}
	llama_sampler_chain_add(chain, llama_sampler_init_top_k(how->top_k));
	llama_sampler_chain_add(chain, llama_sampler_init_top_p(how->top_p, 1));
	llama_sampler_chain_add(chain, llama_sampler_init_min_p(how->min_p, 1));
	llama_sampler_chain_add(chain, llama_sampler_init_temp(how->temperature));
	llama_sampler_chain_add(chain, llama_sampler_init_dist(1));
}

static int32_t choose(const float *logits)
{
	llama_token_data_array a = { list, VOCAB, -1, false };

	for (int i = 0; i < VOCAB; i++)
		list[i] = (llama_token_data) { i, logits[i], 0 };
	llama_sampler_apply(chain, &a);
	if (a.selected < 0)
		return -1;
	llama_sampler_accept(chain, a.data[a.selected].id);
	return a.data[a.selected].id;
}

static void end(void)
{
	llama_sampler_free(chain);
}
