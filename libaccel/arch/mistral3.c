// SPDX-License-Identifier: MIT
/*
 * mistral3: the blocks of llama for long contexts: YaRN, and queries that grow with their position
 * beyond the trained context (Meta AI, "Llama 4", 2025).  Ministral 3, Mistral Medium 3.5.
 */
#include <errno.h>

#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEY_F32("attention.temperature_scale",		temperature.scale, 0,	1e6),
	KEY_U32("attention.temperature_length",		temperature.every, 0,	1u << 30),
	KEY_OF_YARN_LOG,
	KEYS_OF_EXPERTS,
	KEYS_OF_FIXED_ROUTER(GATING_SOFTMAX, 1),
};

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_SILU;
	if (!h->temperature.every)
		h->temperature.every = h->rope.original ? h->rope.original : h->ctx;
	h->weights_norm = 1;
	return arch_derive_experts(h, path) ? -EINVAL : arch_derive_heads(h, path);
}

const struct arch arch_mistral3 = {
	.name = "mistral3", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = arch_block, .n_block = ARCH_BLOCK,
};
