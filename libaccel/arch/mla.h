/* SPDX-License-Identifier: MIT */
/* What architectures with latent attention have in common, as blocks.h for the others. */
#ifndef ACCEL_ARCH_MLA_H
#define ACCEL_ARCH_MLA_H

#include "blocks.h"

#define KEYS_OF_LATENT \
	KEY_U32("attention.key_length_mla",		mla_key_dim,	1,	OCTANS_MAX_HEAD_DIM), \
	KEY_U32("attention.value_length_mla",		mla_value_dim,	1,	OCTANS_MAX_HEAD_DIM), \
	KEY_U32("attention.q_lora_rank",		q_rank,		0,	OCTANS_MAX_COLS), \
	NEED_U32("attention.kv_lora_rank",		kv_rank,	1,	OCTANS_MAX_HEAD_DIM)

#define KEYS_OF_MLA \
	KEYS_OF_LATENT, \
	NEED_EACH_U32("attention.head_count",		heads,		1,	OCTANS_MAX_HEADS), \
	KEY_KNOWN("attention.head_count_kv"), \
	KEY_U32("attention.key_length",			key_dim,	1,	OCTANS_MAX_HEAD_DIM), \
	KEY_U32("attention.value_length",		value_dim,	1,	OCTANS_MAX_HEAD_DIM), \
	KEY_F32("attention.temperature_scale",		temperature.scale, 0,	1e6), \
	KEY_U32("attention.temperature_length",		temperature.every, 0,	1u << 30), \
	KEY_OF_YARN_LOG

/* As the file has them: by head, or, in older ones, keys and values of all heads in one. */
#define TENSORS_OF_MLA \
	MATRIX_IF("attn_q.weight",	MLA_Q,		q,	embd), \
	MATRIX_IF("attn_q_a.weight",	MLA_QA,		q_rank,	embd), \
	BIAS("attn_q_a_norm.weight",	MLA_QA_NORM,		q_rank), \
	MATRIX_IF("attn_q_b.weight",	MLA_QB,		q,	q_rank), \
	MATRIX("attn_kv_a_mqa.weight",	MLA_KVA,	kva,	embd), \
	NORM("attn_kv_a_norm.weight",	MLA_KVA_NORM,		kv_rank), \
	PLANES_IF("attn_k_b.weight",	MLA_KB,		heads,	kv_rank, nope_dim), \
	PLANES_IF("attn_v_b.weight",	MLA_VB,		heads,	mla_value_dim, kv_rank), \
	MATRIX_IF("attn_kv_b.weight",	MLA_KVB,	kvb,	kv_rank), \
	MATRIX("attn_output.weight",	MLA_OUT,	embd,	att)

/*
 * Sizes, and the scale of scores, with YaRN (attn_factor * (1 + log_mul * ln(factor)))^2 / sqrt(key_length_mla),
 * where a multiplier that is not said is a tenth; apart: it always is.  And arch.rope_set: scores have the
 * multiplied logarithm alone; or, apart, that of a tenth, and the rotary positions what is between the two.
 */
int arch_derive_mla(struct hparams *h, const char *path, bool apart);
int arch_mla_rope(struct rope *r, const struct hparams *h, const char *path);
int arch_mla_rope_apart(struct rope *r, const struct hparams *h, const char *path);
/* arch_layer.set */
int arch_set_mla(struct layer *l, const struct hparams *h, struct loader *ld);

#endif
