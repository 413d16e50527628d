// SPDX-License-Identifier: MIT
/*
 * gpt-oss: experts with biases and a clamped gate, attention with sinks, of which every other
 * block's is to a window.  (OpenAI, "gpt-oss-120b & gpt-oss-20b Model Card", 2025.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	EACH_U32("feed_forward_length",			ff,		0,	OCTANS_MAX_COLS),
	KEYS_OF_EXPERTS,
	KEYS_OF_FIXED_ROUTER(GATING_SOFTMAX_OF_CHOSEN, 0),
	NEED_U32("attention.sliding_window",		window,		1,	UINT32_MAX),
	KEY_PATTERN("attention.sliding_window_pattern",	window_pattern),
};

static int derive(struct hparams *h, const char *path)
{
	int err;

	h->activation = OCTANS_MAP_SILU;
	h->limit = 7;
	h->gating = GATING_SOFTMAX_OF_CHOSEN;
	h->weights_norm = 0;
	h->slides = arch_slides(h, 2);
	err = arch_derive_experts(h, path);
	return err ? err : arch_derive_heads(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	NEED_TENSORS_OF_QKV_BIASES,
	NORM("attn_sinks.weight",	ATTN_SINKS,	heads),
};

static const struct arch_tensor experts[] = {
	NORM("post_attention_norm.weight", MOE_NORM,	embd),
	MATRIX("ffn_gate_inp.weight",	MOE_ROUTER,	experts,	embd),
	PLANES("ffn_gate_exps.weight",	MOE_GATE,	experts,	expert_ff,	embd),
	PLANES("ffn_up_exps.weight",	MOE_UP,		experts,	expert_ff,	embd),
	PLANES("ffn_down_exps.weight",	MOE_DOWN,	experts,	embd,		expert_ff),
	NEED_BIAS("ffn_gate_inp.bias",	MOE_ROUTER_B,	experts),
	MATRIX_WIDE("ffn_gate_exps.bias", MOE_BGATE,	experts,	expert_ff),
	MATRIX_WIDE("ffn_up_exps.bias",	MOE_BUP,	experts,	expert_ff),
	MATRIX_WIDE("ffn_down_exps.bias", MOE_BDOWN,	experts,	embd),
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, NULL },
};

const struct arch arch_gpt_oss = {
	.name = "gpt-oss", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
