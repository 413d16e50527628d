// SPDX-License-Identifier: MIT
/*
 * llama: RMSNorm, grouped queries with rotary positions, SwiGLU; each of both halves of a block is
 * added to what came in.  (H. Touvron et al., "Llama 2", 2023.)  Most open models are this, with or
 * without biases, a tied head, or a head width of their own.
 */
#include <errno.h>
#include <math.h>

#include <octans/isa.h>

#include "arch.h"
#include "error.h"

#define MAX_BLOCKS 1024u

static const struct arch_key keys[] = {
	NEED_U32("block_count",				blocks,		1,	MAX_BLOCKS),
	NEED_U32("context_length",			ctx,		1,	1u << 30),
	NEED_U32("embedding_length",			embd,		1,	OCTANS_MAX_COLS),
	NEED_U32("feed_forward_length",			ff,		1,	OCTANS_MAX_COLS),
	NEED_U32("attention.head_count",		heads,		1,	OCTANS_MAX_HEADS),
	KEY_U32("attention.head_count_kv",		kv_heads,	1,	OCTANS_MAX_HEADS),
	KEY_U32("attention.key_length",			key_dim,	1,	OCTANS_MAX_HEAD_DIM),
	KEY_U32("attention.value_length",		value_dim,	1,	OCTANS_MAX_HEAD_DIM),
	NEED_F32("attention.layer_norm_rms_epsilon",	eps,		0,	1),
	KEY_F32("attention.scale",			scale,		0,	1e6),
	KEY_U32("attention.sliding_window",		window,		0,	UINT32_MAX),
	/* Models that compute more, as converters write them under this name */
	KEY_ONLY("attention.causal",			1,		1),
	KEY_ONLY("attention.clamp_kqv",			0,		0),
	KEY_ONLY("attention.max_alibi_bias",		0,		0),
	KEY_ONLY("expert_count",			0,		0),
	KEY_ONLY("logit_scale",				1,		0),
	KEY_ONLY("embedding_scale",			1,		0),
	KEY_ONLY("residual_scale",			1,		0),
	KEY_ONLY("final_logit_softcapping",		0,		0),
	KEY_ONLY("attn_logit_softcapping",		0,		0),
	KEY_ONLY("use_parallel_residual",		0,		0),
	KEY_ONLY("nextn_predict_layers",		0,		0),
	/* Said again by the tokenizer, by tensors, or of mixtures, windows and encoders that this is not */
	KEY_KNOWN("vocab_size"),
	KEY_KNOWN("expert_used_count"),
	KEY_KNOWN("expert_feed_forward_length"),
	KEY_KNOWN("expert_shared_feed_forward_length"),
	KEY_KNOWN("expert_shared_count"),
	KEY_KNOWN("expert_group_count"),
	KEY_KNOWN("expert_group_used_count"),
	KEY_KNOWN("expert_weights_scale"),
	KEY_KNOWN("expert_weights_norm"),
	KEY_KNOWN("expert_gating_func"),
	KEY_KNOWN("leading_dense_block_count"),
	KEY_KNOWN("interleave_moe_layer_step"),
	KEY_KNOWN("attention.sliding_window_pattern"),
	KEY_KNOWN("rope.freq_base_swa"),
	KEY_KNOWN("rope.dimension_count_swa"),
	KEY_KNOWN("decoder_start_token_id"),
	KEY_KNOWN("attention.layer_norm_epsilon"),
	KEY_KNOWN("pooling_type"),
	KEY_KNOWN("tensor_data_layout"),
};

static int derive(struct hparams *h, const char *path)
{
	if (!h->kv_heads)
		h->kv_heads = h->heads;
	if (!h->key_dim)
		h->key_dim = h->embd / h->heads;
	if (!h->value_dim)
		h->value_dim = h->key_dim;
	if (!h->scale)
		h->scale = 1 / sqrtf(h->key_dim);
	if (h->heads % h->kv_heads)
		return fail(-EINVAL, "%s: %u heads cannot share %u key/value heads", path, h->heads,
			    h->kv_heads);
	if (h->value_dim != h->key_dim || !h->key_dim || h->key_dim > OCTANS_MAX_HEAD_DIM)
		return fail(-EINVAL, "%s: heads of %u keys and %u values are not supported", path, h->key_dim,
			    h->value_dim);
	if (h->window && h->window < h->ctx)
		return fail(-EINVAL, "%s: \"llama.attention.sliding_window\" is %u, less than the context of %u, which is not supported",
			    path, h->window, h->ctx);
	h->q = h->heads * h->key_dim;
	h->kv = h->kv_heads * h->key_dim;
	h->q_end = h->q;
	h->k_end = h->q + h->kv;
	h->qkv_end = h->q + 2 * h->kv;
	return 0;
}

static const struct arch_tensor embed[] = {
	MATRIX("token_embd.weight",	EMBED_TABLE,	vocab,	embd),
};

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,		embd),
	MATRIX_OF("attn_q.weight",	ATTN_Q,		q,	embd,	"attn_qkv.weight", zero, qkv_end),
	MATRIX_OF("attn_k.weight",	ATTN_K,		kv,	embd,	"attn_qkv.weight", q_end, qkv_end),
	MATRIX_OF("attn_v.weight",	ATTN_V,		kv,	embd,	"attn_qkv.weight", k_end, qkv_end),
	MATRIX("attn_output.weight",	ATTN_OUT,	embd,	q),
	BIAS_OF("attn_q.bias",		ATTN_BQ,		q,	"attn_qkv.bias", zero, qkv_end),
	BIAS_OF("attn_k.bias",		ATTN_BK,		kv,	"attn_qkv.bias", q_end, qkv_end),
	BIAS_OF("attn_v.bias",		ATTN_BV,		kv,	"attn_qkv.bias", k_end, qkv_end),
	BIAS("attn_output.bias",	ATTN_BOUT,		embd),
};

static const struct arch_tensor feed_forward[] = {
	NORM("ffn_norm.weight",		FFN_NORM,		embd),
	MATRIX("ffn_gate.weight",	FFN_GATE,	ff,	embd),
	MATRIX("ffn_up.weight",		FFN_UP,		ff,	embd),
	MATRIX("ffn_down.weight",	FFN_DOWN,	embd,	ff),
	BIAS("ffn_gate.bias",		FFN_BGATE,		ff),
	BIAS("ffn_up.bias",		FFN_BUP,		ff),
	BIAS("ffn_down.bias",		FFN_BDOWN,		embd),
};

static const struct arch_tensor head[] = {
	NORM("output_norm.weight",	HEAD_NORM,		embd),
	MATRIX_OR("output.weight",	HEAD_OUT,	vocab,	embd,	"token_embd.weight"),
};

static void set_attention(struct layer *l, const struct hparams *h, const struct accel_model *m)
{
	l->attn = (struct attn_gqa) {
		.heads = h->heads, .kv_heads = h->kv_heads, .head_dim = h->key_dim, .scale = h->scale,
		.rope = &m->ropes[0],
	};
	l->state.k_cols = h->kv;
	l->state.v_cols = h->kv;
	l->state.head_dim = h->key_dim;
}

static void set_feed_forward(struct layer *l, const struct hparams *h, const struct accel_model *m)
{
	(void)m;
	l->ffn = (struct ffn) { .width = h->ff, .activation = OCTANS_MAP_SILU };
}

static const struct arch_layer first = { &layer_embed, embed, ARCH_N(embed), NULL };
static const struct arch_layer last = { &layer_head, head, ARCH_N(head), NULL };
static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), set_attention },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), set_feed_forward },
};

const struct arch arch_llama = {
	.name = "llama", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &first, .last = &last, .block = block, .n_block = ARCH_N(block),
};
