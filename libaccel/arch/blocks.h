/* SPDX-License-Identifier: MIT */
/* What architectures have in common: rows of their tables, and what follows from them. */
#ifndef ACCEL_ARCH_BLOCKS_H
#define ACCEL_ARCH_BLOCKS_H

#include <octans/isa.h>

#include "arch.h"

/* block_count comes first: the length of arrays is checked by it. */
#define KEYS_OF_MODEL \
	NEED_U32("block_count",				blocks,		1,	ARCH_MAX_BLOCKS), \
	NEED_U32("context_length",			ctx,		1,	1u << 30), \
	NEED_U32("embedding_length",			embd,		1,	OCTANS_MAX_COLS), \
	KEY_KNOWN("vocab_size")

#define KEYS_OF_HEADS \
	NEED_EACH_U32("attention.head_count",		heads,		1,	OCTANS_MAX_HEADS), \
	EACH_U32("attention.head_count_kv",		kv_heads,	1,	OCTANS_MAX_HEADS), \
	KEY_U32("attention.key_length",			key_dim,	1,	OCTANS_MAX_HEAD_DIM), \
	KEY_U32("attention.value_length",		value_dim,	1,	OCTANS_MAX_HEAD_DIM)

#define KEY_OF_RMS NEED_F32("attention.layer_norm_rms_epsilon",	eps,	0,	1)
#define KEY_OF_FF NEED_EACH_U32("feed_forward_length",	ff,		1,	OCTANS_MAX_COLS)

#define TENSORS_OF_QKV \
	MATRIX_OF("attn_q.weight",	ATTN_Q,		q,	embd,	"attn_qkv.weight", zero, qkv_end), \
	MATRIX_OF("attn_k.weight",	ATTN_K,		kv,	embd,	"attn_qkv.weight", q_end, qkv_end), \
	MATRIX_OF("attn_v.weight",	ATTN_V,		v,	embd,	"attn_qkv.weight", k_end, qkv_end), \
	MATRIX("attn_output.weight",	ATTN_OUT,	embd,	att)

#define TENSORS_OF_QKV_BIASES \
	BIAS_OF("attn_q.bias",		ATTN_BQ,		q,	"attn_qkv.bias", zero, qkv_end), \
	BIAS_OF("attn_k.bias",		ATTN_BK,		kv,	"attn_qkv.bias", q_end, qkv_end), \
	BIAS_OF("attn_v.bias",		ATTN_BV,		v,	"attn_qkv.bias", k_end, qkv_end), \
	BIAS("attn_output.bias",	ATTN_BOUT,		embd)

/* Where no model is without them */
#define NEED_TENSORS_OF_QKV_BIASES \
	NEED_BIAS_OF("attn_q.bias",	ATTN_BQ,		q,	"attn_qkv.bias", zero, qkv_end), \
	NEED_BIAS_OF("attn_k.bias",	ATTN_BK,		kv,	"attn_qkv.bias", q_end, qkv_end), \
	NEED_BIAS_OF("attn_v.bias",	ATTN_BV,		v,	"attn_qkv.bias", k_end, qkv_end), \
	NEED_BIAS("attn_output.bias",	ATTN_BOUT,		embd)

#define TENSORS_OF_FFN \
	MATRIX("ffn_gate.weight",	FFN_GATE,	ff,	embd), \
	MATRIX("ffn_up.weight",		FFN_UP,		ff,	embd), \
	MATRIX("ffn_down.weight",	FFN_DOWN,	embd,	ff)

#define TENSORS_OF_FFN_NORMED(norm) \
	NORM(norm,			FFN_NORM,	embd), \
	TENSORS_OF_FFN

/* Of xIELU, as they were trained, before the softplus */
#define KEYS_OF_XIELU \
	NEED_EACH_F32(".xielu.alpha_p",			xielu_p,	-1e6,	1e6), \
	NEED_EACH_F32(".xielu.alpha_n",			xielu_n,	-1e6,	1e6), \
	/* The processor's, and no model's are others; but checkpoints of BF16 have -1e-6 as -9.98e-7. */ \
	NEED_EACH_F32(".xielu.beta",				xielu_beta,	0.5,	0.5), \
	NEED_EACH_F32(".xielu.eps",				xielu_eps,	-1.01e-6,	-0.99e-6)

#define KEY_OF_SHORTCONV NEED_U32("shortconv.l_cache",	short_taps,	2,	OCTANS_MAX_CONV)

#define TENSORS_OF_SHORTCONV \
	MATRIX("shortconv.in_proj.weight", SHORTCONV_IN, in3,	embd), \
	MATRIX_WIDE("shortconv.conv.weight", SHORTCONV_CONV, embd,	short_taps), \
	MATRIX("shortconv.out_proj.weight", SHORTCONV_OUT, embd,	embd)

/* Gate and up in one */
#define TENSORS_OF_FFN_JOINED \
	PART("ffn_up.weight",		FFN_GATE,	ff,	embd,	zero,	ff2), \
	PART("ffn_up.weight",		FFN_UP,		ff,	embd,	ff,	ff2), \
	MATRIX("ffn_down.weight",	FFN_DOWN,	embd,	ff)

#define TENSORS_OF_FFN_BIASES \
	BIAS("ffn_gate.bias",		FFN_BGATE,		ff), \
	BIAS("ffn_up.bias",		FFN_BUP,		ff), \
	BIAS("ffn_down.bias",		FFN_BDOWN,		embd)

/* struct rope's shrink.  Only models of some architectures have it. */
#define KEY_OF_YARN_LOG KEY_F32("rope.scaling.yarn_log_multiplier",	rope.log_mul,	0,	1e6)

/* Of blocks that are not computed nothing but their number is said. */
#define KEY_OF_NEXTN KEY_U32("nextn_predict_layers",	nextn,		0,	8)

#define TENSORS_OF_QK_NORMS \
	NORM("attn_q_norm.weight",	ATTN_QNORM,	key_dim), \
	NORM("attn_k_norm.weight",	ATTN_KNORM,	key_dim)

#define KEYS_OF_EXPERTS \
	KEY_U32("expert_count",				experts,	0,	OCTANS_MAX_COLS), \
	KEY_U32("expert_used_count",			used,		0,	OCTANS_MAX_TOPK), \
	KEY_U32("expert_shared_count",			shared,		0,	1024), \
	EACH_U32("expert_feed_forward_length",		expert_ff,	0,	OCTANS_MAX_COLS), \
	KEY_U32("expert_shared_feed_forward_length",	shared_ff,	0,	OCTANS_MAX_COLS), \
	KEY_U32("expert_group_count",			groups,		0,	OCTANS_MAX_COLS), \
	KEY_U32("expert_group_used_count",		groups_used,	0,	OCTANS_MAX_COLS), \
	KEY_U32("leading_dense_block_count",		dense,		0,	ARCH_MAX_BLOCKS)

enum arch_gating { GATING_SOFTMAX = 1, GATING_SIGMOID, GATING_SOFTMAX_OF_CHOSEN, GATING_SQRT_SOFTPLUS };

/* How they are chosen and weighed: as the file says; */
#define KEY_OF_WEIGHTS_SCALE KEY_F32("expert_weights_scale", weights_scale, 0, 1e6)
#define KEYS_OF_ROUTER \
	KEY_U32("expert_gating_func",			gating,		0,	GATING_SQRT_SOFTPLUS), \
	KEY_U32("expert_weights_norm",			weights_norm,	0,	1), \
	KEY_OF_WEIGHTS_SCALE
/* or in one way, by enum arch_gating, that no file of the architecture can change. */
#define KEYS_OF_FIXED_GATING(gating, norm) \
	KEY_ONLY("expert_gating_func",			gating,		0), \
	KEY_ONLY("expert_weights_norm",			norm,		norm)
#define KEYS_OF_FIXED_ROUTER(gating, norm) \
	KEYS_OF_FIXED_GATING(gating, norm), \
	KEY_ONLY("expert_weights_scale",		1,		0)

#define TENSORS_OF_EXPERTS \
	MATRIX("ffn_gate_inp.weight",	MOE_ROUTER,	experts,	embd), \
	PLANES_IF("ffn_gate_exps.weight", MOE_GATE,	experts,	expert_ff,	embd), \
	PLANES_IF("ffn_up_exps.weight",	MOE_UP,		experts,	expert_ff,	embd), \
	PLANES_IF("ffn_gate_up_exps.weight", MOE_GATE_UP, experts,	expert_ff2,	embd), \
	PLANES("ffn_down_exps.weight",	MOE_DOWN,	experts,	embd,		expert_ff)

/* How much of the shared expert there is */
#define TENSOR_OF_SWITCH NORM("ffn_gate_inp_shexp.weight", MOE_SHARED_SWITCH, embd)

#define TENSORS_OF_SHARED \
	MATRIX_IF("ffn_gate_shexp.weight", MOE_SHARED_GATE, shared_ff,	embd), \
	MATRIX_IF("ffn_up_shexp.weight", MOE_SHARED_UP,	shared_ff,	embd), \
	MATRIX_IF("ffn_down_shexp.weight", MOE_SHARED_DOWN, embd,	shared_ff)

/* It decides who is chosen. */
#define TENSOR_OF_CHOICE BIAS("exp_probs_b.bias",	MOE_CHOICE_B,	experts)
#define NEED_TENSOR_OF_CHOICE NEED_BIAS("exp_probs_b.bias",	MOE_CHOICE_B,	experts)

/* A table of embeddings, and a head with an RMSNorm that may share it. */
extern const struct arch_layer arch_first, arch_last;
/* The block of llama and its many kin: attention, and a feed-forward network or experts, with what biases and what
 * shared expert the file has. */
#define ARCH_BLOCK 3
extern const struct arch_layer arch_block[ARCH_BLOCK];

/* Does the block attend to a window, if of so many blocks the last does not, or a key says otherwise? */
bool arch_slides(const struct hparams *h, uint32_t pattern);
/* Columns of heads, and the scale of scores, from what was said of them. */
int arch_derive_heads(struct hparams *h, const char *path);
/* The activation, and its parameters behind the softplus. */
void arch_derive_xielu(struct hparams *h);
/* Sizes of experts; how they are chosen: by softmax and all of them, if it is not said. */
int arch_derive_experts(struct hparams *h, const char *path);

/* arch_layer.when: the block has experts, or has not */
bool arch_has_experts(const struct hparams *h);
bool arch_has_ffn(const struct hparams *h);

/* arch_layer.set.  Attention: rotary positions unless no_rope, by the tables' second if the block slides and
 * there is one; a window if it slides. */
int arch_set_embed(struct layer *l, const struct hparams *h, struct loader *ld);
int arch_set_attention(struct layer *l, const struct hparams *h, struct loader *ld);
int arch_set_ffn(struct layer *l, const struct hparams *h, struct loader *ld);
int arch_set_experts(struct layer *l, const struct hparams *h, struct loader *ld);
int arch_set_head(struct layer *l, const struct hparams *h, struct loader *ld);
/* The table of what queries grow by with their positions, of which LAYER_NONE: they do not. */
int arch_set_temperature(int *table, const struct hparams *h, struct loader *ld);

#endif
