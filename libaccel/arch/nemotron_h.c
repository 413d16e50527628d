// SPDX-License-Identifier: MIT
/*
 * nemotron_h: blocks of one layer each, a state space, attention without positions, or a
 * feed-forward network (NVIDIA, "Nemotron-H", 2025).  nemotron_h_moe: with experts instead of the
 * last (NVIDIA, "Nemotron 3 Nano", 2025): SOOFI S.  What a block is follows from its sizes.
 */
#include "ssm.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	NEED_EACH_U32("attention.head_count",		heads,		0,	OCTANS_MAX_HEADS),
	NEED_EACH_U32("attention.head_count_kv",		kv_heads,	0,	OCTANS_MAX_HEADS),
	KEY_U32("attention.key_length",			key_dim,	1,	OCTANS_MAX_HEAD_DIM),
	KEY_U32("attention.value_length",		value_dim,	1,	OCTANS_MAX_HEAD_DIM),
	NEED_EACH_U32("feed_forward_length",			ff,		0,	OCTANS_MAX_COLS),
	KEY_OF_RMS,
	KEY_OF_NEXTN,
	KEYS_OF_SSM,
	KEYS_OF_EXPERTS,
	KEY_ONLY("expert_gating_func",			GATING_SIGMOID,	0),
	KEY_U32("expert_weights_norm",			weights_norm,	0,	1),
	KEY_OF_WEIGHTS_SCALE,
	/* There are no positions, whatever is said of them. */
	KEY_KNOWN("rope.dimension_count"),
	KEY_KNOWN("rope.freq_base"),
	KEY_KNOWN("rope.scaling.finetuned"),
};

static bool is_ssm(const struct hparams *h)
{
	return !h->kv_heads && !h->ff;
}

static bool is_attention(const struct hparams *h)
{
	return h->kv_heads && !h->ff;
}

static bool is_ffn(const struct hparams *h)
{
	return h->ff && !h->experts;
}

static bool is_moe(const struct hparams *h)
{
	return h->ff && h->experts;
}

static int derive(struct hparams *h, const char *path)
{
	int err = arch_derive_ssm(h, path);

	h->gating = GATING_SIGMOID;
	h->ungated = 1;
	h->activation = OCTANS_MAP_RELU2;
	if (!err)
		err = arch_derive_experts(h, path);
	return err || !is_attention(h) ? err : arch_derive_heads(h, path);
}

static const struct arch_tensor ssm[] = {
	NORM("attn_norm.weight",	SSM_NORM,	embd),
	TENSORS_OF_SSM,
};

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	TENSORS_OF_QKV_BIASES,
};

static const struct arch_tensor feed_forward[] = {
	NORM("attn_norm.weight",	FFN_NORM,	embd),
	MATRIX("ffn_up.weight",		FFN_UP,		ff,	embd),
	MATRIX("ffn_down.weight",	FFN_DOWN,	embd,	ff),
	BIAS("ffn_up.bias",		FFN_BUP,		ff),
	BIAS("ffn_down.bias",		FFN_BDOWN,		embd),
};

static const struct arch_tensor experts[] = {
	NORM("attn_norm.weight",	MOE_NORM,	embd),
	MATRIX("ffn_gate_inp.weight",	MOE_ROUTER,	experts,	embd),
	PLANES("ffn_up_exps.weight",	MOE_UP,		experts,	expert_ff,	embd),
	PLANES("ffn_down_exps.weight",	MOE_DOWN,	experts,	embd,		expert_ff),
	NEED_TENSOR_OF_CHOICE,
	MATRIX_IF("ffn_up_shexp.weight", MOE_SHARED_UP,	shared_ff,	embd),
	MATRIX_IF("ffn_down_shexp.weight", MOE_SHARED_DOWN, embd,	shared_ff),
};

static const struct arch_layer block[] = {
	{ &layer_ssm2, ssm, ARCH_N(ssm), arch_set_ssm, is_ssm },
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, is_attention },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, is_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, is_moe },
};

const struct arch arch_nemotron_h = {
	.name = "nemotron_h", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .first = &arch_first,
	.last = &arch_last, .block = block, .n_block = ARCH_N(block),
};

const struct arch arch_nemotron_h_moe = {
	.name = "nemotron_h_moe", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .first = &arch_first,
	.last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
