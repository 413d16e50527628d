// SPDX-License-Identifier: MIT
/*
 * granitehybrid: granite's factors, on state spaces and some attention, and on feed-forward
 * networks or experts. (IBM, "Granite 4.0", 2025.)
 */
#include "ssm.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	NEED_EACH_U32("attention.head_count",		heads,		0,	OCTANS_MAX_HEADS),
	NEED_EACH_U32("attention.head_count_kv",		kv_heads,	0,	OCTANS_MAX_HEADS),
	KEY_U32("attention.key_length",			key_dim,	1,	OCTANS_MAX_HEAD_DIM),
	KEY_U32("attention.value_length",		value_dim,	1,	OCTANS_MAX_HEAD_DIM),
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_SSM,
	KEYS_OF_EXPERTS,
	KEYS_OF_FIXED_ROUTER(GATING_SOFTMAX, 1),
	KEY_F32("attention.scale",			scale,		0,	1e6),
	KEY_F32("logit_scale",				logit_scale,	0,	1e6),
	KEY_F32("residual_scale",			residual,	0,	1e6),
	KEY_F32("embedding_scale",			embd_scale,	0,	1e6),
	KEY_U32("rope.scaling.finetuned",		positions,	0,	1),
};

static bool is_ssm(const struct hparams *h)
{
	return !h->kv_heads;
}

static bool is_attention(const struct hparams *h)
{
	return h->kv_heads;
}

static int derive(struct hparams *h, const char *path)
{
	int err = arch_derive_ssm(h, path);

	h->activation = OCTANS_MAP_SILU;
	h->weights_norm = 1;
	h->logit_scale = h->logit_scale ? 1 / h->logit_scale : 0;
	h->no_rope = !h->positions;
	if (!err)
		err = arch_derive_experts(h, path);
	if (err || is_attention(h))
		return err ? err : arch_derive_heads(h, path);
	/* of the model's rotary positions, which are told by the first block */
	h->key_dim = h->key_dim ? h->key_dim : h->heads ? h->embd / h->heads : 0;
	return 0;
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
	TENSORS_OF_FFN_NORMED("ffn_norm.weight"),
	TENSORS_OF_FFN_BIASES,
};

static const struct arch_tensor experts[] = {
	NORM("ffn_norm.weight",		MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
	TENSORS_OF_SHARED,
};

static const struct arch_layer block[] = {
	{ &layer_ssm2, ssm, ARCH_N(ssm), arch_set_ssm, is_ssm },
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, is_attention },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, arch_has_experts },
};

const struct arch arch_granitehybrid = {
	.name = "granitehybrid", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
