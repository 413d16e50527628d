// SPDX-License-Identifier: MIT
/*
 * lfm2: short convolutions and some attention.  lfm2moe: with experts.  (Liquid AI, "LFM2", 2025.)
 */
#include "blocks.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	NEED_EACH_U32("attention.head_count",		heads,		0,	OCTANS_MAX_HEADS),
	NEED_EACH_U32("attention.head_count_kv",		kv_heads,	0,	OCTANS_MAX_HEADS),
	KEY_U32("attention.key_length",			key_dim,	1,	OCTANS_MAX_HEAD_DIM),
	KEY_U32("attention.value_length",		value_dim,	1,	OCTANS_MAX_HEAD_DIM),
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEY_U32("expert_gating_func",			gating,		0,	GATING_SQRT_SOFTPLUS),
	KEY_ONLY("expert_weights_norm",			1,		1),
	KEY_OF_WEIGHTS_SCALE,
	KEY_OF_SHORTCONV,
};

static bool is_convolution(const struct hparams *h)
{
	return h->recurrent;
}

static bool is_attention(const struct hparams *h)
{
	return !h->recurrent;
}

static int derive(struct hparams *h, const char *path)
{
	int err;

	h->recurrent = !h->kv_heads;
	h->in3 = 3 * h->embd;
	if (!h->gating)
		h->gating = GATING_SIGMOID;
	h->activation = OCTANS_MAP_SILU;
	h->weights_norm = 1;
	err = arch_derive_experts(h, path);
	if (err || is_attention(h))
		return err ? err : arch_derive_heads(h, path);
	/* of the model's rotary positions, which are told by the first block */
	h->key_dim = h->key_dim ? h->key_dim : h->heads ? h->embd / h->heads : OCTANS_MAX_HEAD_DIM;
	return 0;
}

static const struct arch_tensor convolution[] = {
	NORM("attn_norm.weight",	SHORTCONV_NORM,	embd),
	TENSORS_OF_SHORTCONV,
};

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	TENSORS_OF_QK_NORMS,
};

static const struct arch_tensor feed_forward[] = {
	TENSORS_OF_FFN_NORMED("ffn_norm.weight"),
};

static const struct arch_tensor experts[] = {
	NORM("ffn_norm.weight",		MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
	NEED_TENSOR_OF_CHOICE,
};

/* The last norm has the name of the embedding's elsewhere. */
static const struct arch_tensor head[] = {
	NORM("token_embd_norm.weight",	HEAD_NORM,	embd),
	MATRIX_OR("output.weight",	HEAD_OUT,	out_vocab,	embd,	"token_embd.weight"),
};

static const struct arch_layer last = { &layer_head, head, ARCH_N(head), arch_set_head, NULL };
static const struct arch_layer block[] = {
	{ &layer_shortconv, convolution, ARCH_N(convolution), NULL, is_convolution },
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, is_attention },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, arch_has_experts },
};

const struct arch arch_lfm2 = {
	.name = "lfm2", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .first = &arch_first, .last = &last, .block = block, .n_block = ARCH_N(block),
};

const struct arch arch_lfm2moe = {
	.name = "lfm2moe", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .first = &arch_first, .last = &last, .block = block, .n_block = ARCH_N(block),
};
