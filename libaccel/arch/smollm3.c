// SPDX-License-Identifier: MIT
/*
 * smollm3: the blocks of llama, of which every fourth does not know positions: no key says so.  (E.
 * Bakouch et al., "SmolLM3", 2025.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
};

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_SILU;
	h->no_rope = (h->block + 1) % 4 == 0;
	return arch_derive_heads(h, path);
}

const struct arch arch_smollm3 = {
	.name = "smollm3", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = arch_block, .n_block = ARCH_BLOCK,
};
