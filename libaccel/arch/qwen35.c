// SPDX-License-Identifier: MIT
/*
 * qwen35: three blocks of the gated delta rule, then one of attention whose results have gates
 * (Qwen Team, "Qwen3.5", 2026).  qwen35moe: with experts; qwen3next: the same before it, of which
 * heads share keys otherwise (Qwen Team, "Qwen3-Next", 2025).
 */
#include "delta.h"

#define KEYS \
	KEYS_OF_MODEL, \
	KEYS_OF_HEADS, \
	KEY_OF_RMS, \
	EACH_U32("feed_forward_length",			ff,		0,	OCTANS_MAX_COLS), \
	KEY_OF_NEXTN, \
	KEYS_OF_DELTA, \
	KEY_U32("full_attention_interval",		full_every,	1,	ARCH_MAX_BLOCKS), \
	EACH_U32("attention.recurrent_layers",		recurrent,	0,	1), \
	KEY_KNOWN("rope.dimension_sections")	/* of text all positions are the same */

static const struct arch_key dense_keys[] = { KEYS };
static const struct arch_key moe_keys[] = { KEYS, KEYS_OF_EXPERTS, KEYS_OF_FIXED_ROUTER(GATING_SOFTMAX, 1) };

static bool is_delta(const struct hparams *h)
{
	return h->recurrent;
}

static bool is_attention(const struct hparams *h)
{
	return !h->recurrent;
}

static int derive(struct hparams *h, const char *path)
{
	const uint32_t every = h->full_every ? h->full_every : 4;
	int err;

	if (h->recurrent == ARCH_UNSAID)
		h->recurrent = (h->block + 1) % every != 0;
	h->activation = OCTANS_MAP_SILU;
	h->gated = 1;
	h->weights_norm = 1;
	err = arch_derive_delta(h, path);
	if (!err)
		err = arch_derive_experts(h, path);
	return err ? err : arch_derive_heads(h, path);
}

static const struct arch_tensor delta[] = {
	NORM("attn_norm.weight",	DELTA_NORM,	embd),
	TENSORS_OF_DELTA,
};

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	MATRIX_OF("attn_q.weight",	ATTN_Q,		q_gated, embd,	"attn_qkv.weight", zero, qkv_end),
	MATRIX_OF("attn_k.weight",	ATTN_K,		kv,	embd,	"attn_qkv.weight", q_end, qkv_end),
	MATRIX_OF("attn_v.weight",	ATTN_V,		v,	embd,	"attn_qkv.weight", k_end, qkv_end),
	MATRIX("attn_output.weight",	ATTN_OUT,	embd,	att),
	TENSORS_OF_QK_NORMS,
};

static const struct arch_tensor feed_forward[] = {
	TENSORS_OF_FFN_NORMED("post_attention_norm.weight"),
};

static const struct arch_tensor experts[] = {
	NORM("post_attention_norm.weight", MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
	TENSORS_OF_SHARED,
	TENSOR_OF_SWITCH,
};

static const struct arch_layer block[] = {
	{ &layer_delta, delta, ARCH_N(delta), arch_set_delta, is_delta },
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, is_attention },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, arch_has_experts },
};

const struct arch arch_qwen35 = {
	.name = "qwen35", .keys = dense_keys, .n_keys = ARCH_N(dense_keys), .derive = derive, .rope = true,
	.rope_half = true, .first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};

const struct arch arch_qwen35moe = {
	.name = "qwen35moe", .keys = moe_keys, .n_keys = ARCH_N(moe_keys), .derive = derive, .rope = true,
	.rope_half = true, .first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};

const struct arch arch_qwen3next = {
	.name = "qwen3next", .keys = moe_keys, .n_keys = ARCH_N(moe_keys), .derive = derive, .rope = true,
	.rope_half = true, .first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
