// SPDX-License-Identifier: MIT
/*
 * deepseek2: latent attention and many small experts (DeepSeek-AI, "DeepSeek-V2", 2024;
 * "DeepSeek-V3", 2024): V2, V2-Lite, V3, R1, V3.1, and Mistral Large 3, which has a temperature,
 * too.  mistral4: the same of another name (Mistral AI, "Mistral Small 4", 2026).  deepseek32: with
 * an indexer (DeepSeek-AI, "DeepSeek-V3.2", 2025).
 */
#include <errno.h>

#include "error.h"
#include "mla.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_MLA,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEYS_OF_ROUTER,
	KEY_OF_NEXTN,
};

static const struct arch_key index_keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_MLA,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEYS_OF_ROUTER,
	KEY_OF_NEXTN,
	NEED_U32("attention.indexer.head_count",	index_heads,	1,	OCTANS_MAX_HEADS),
	NEED_U32("attention.indexer.key_length",	index_dim,	2,	OCTANS_MAX_HEAD_DIM),
	NEED_U32("attention.indexer.top_k",		index_top,	1,	1u << 30),
};

static int derive_any(struct hparams *h, const char *path, bool apart)
{
	int err = arch_derive_experts(h, path);

	h->activation = OCTANS_MAP_SILU;
	return err ? err : arch_derive_mla(h, path, apart);
}

static int derive(struct hparams *h, const char *path)
{
	return derive_any(h, path, false);
}

static int derive_apart(struct hparams *h, const char *path)
{
	return derive_any(h, path, true);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	MLA_NORM,	embd),
	TENSORS_OF_MLA,
};

static const struct arch_tensor indexed[] = {
	NORM("attn_norm.weight",	MLA_NORM,	embd),
	TENSORS_OF_MLA,
	MATRIX("indexer.attn_q_b.weight", MLA_IQ,	index_q,	q_rank),
	MATRIX("indexer.attn_k.weight",	MLA_IK,		index_dim,	embd),
	NORM("indexer.k_norm.weight",	MLA_IK_NORM,	index_dim),
	NORM("indexer.k_norm.bias",	MLA_IK_NORM_B,	index_dim),
	MATRIX("indexer.proj.weight",	MLA_IW,		index_heads,	embd),
};

static const struct arch_tensor feed_forward[] = {
	NORM("ffn_norm.weight",		FFN_NORM,	embd),
	TENSORS_OF_FFN,
};

static const struct arch_tensor experts[] = {
	NORM("ffn_norm.weight",		MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
	TENSOR_OF_CHOICE,
	TENSORS_OF_SHARED,
};

static const struct arch_layer block[] = {
	{ &layer_attn_mla, attention, ARCH_N(attention), arch_set_mla, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, arch_has_experts },
};

static const struct arch_layer index_block[] = {
	{ &layer_attn_mla, indexed, ARCH_N(indexed), arch_set_mla, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, arch_has_experts },
};

/* The indexer's positions turn an element of the first half with one of the second. */
static int rope_of_index(struct rope *r, const struct hparams *h)
{
	(void)h;
	r->half = true;
	return 0;
}

static int derive_indexed(struct hparams *h, const char *path)
{
	h->index_q = h->index_heads * h->index_dim;
	if (!h->gating)
		h->gating = GATING_SIGMOID;
	if (h->rope.rot > h->index_dim || !h->q_rank)
		return fail(-EINVAL, "%s: an indexer of %u columns, of which %u are rotated, and queries of rank %u are not supported",
			    path, h->index_dim, h->rope.rot, h->q_rank);
	return derive_apart(h, path);
}

const struct arch arch_deepseek2 = {
	.name = "deepseek2", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_set = arch_mla_rope, .first = &arch_first, .last = &arch_last, .block = block,
	.n_block = ARCH_N(block),
};

const struct arch arch_mistral4 = {
	.name = "mistral4", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive_apart, .rope = true,
	.rope_set = arch_mla_rope_apart, .first = &arch_first, .last = &arch_last, .block = block,
	.n_block = ARCH_N(block),
};

const struct arch arch_deepseek32 = {
	.name = "deepseek32", .keys = index_keys, .n_keys = ARCH_N(index_keys), .derive = derive_indexed,
	.rope = true, .rope_set = arch_mla_rope_apart, .rope_swa = rope_of_index, .first = &arch_first,
	.last = &arch_last, .block = index_block, .n_block = ARCH_N(index_block),
};
