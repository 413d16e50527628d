// SPDX-License-Identifier: MIT
/*
 * qwen35: three blocks of the gated delta rule, then one of attention whose results have gates
 * (Qwen Team, "Qwen3.5", 2026).  qwen35moe: with experts; qwen3next: the same before it, of which
 * heads share keys otherwise (Qwen Team, "Qwen3-Next", 2025).
 */
#include "blocks.h"

#include <errno.h>

#include "error.h"

#define KEYS \
	KEYS_OF_MODEL, \
	KEYS_OF_HEADS, \
	KEY_OF_RMS, \
	EACH_U32("feed_forward_length",			ff,		0,	OCTANS_MAX_COLS), \
	KEY_OF_NEXTN, \
	NEED_U32("ssm.conv_kernel",			taps,		2,	OCTANS_MAX_CONV), \
	NEED_U32("ssm.inner_size",			inner,		1,	OCTANS_MAX_COLS), \
	NEED_U32("ssm.state_size",			state,		1,	OCTANS_MAX_HEAD_DIM), \
	NEED_U32("ssm.time_step_rank",			dt_rank,	1,	OCTANS_MAX_HEADS), \
	NEED_U32("ssm.group_count",			key_heads,	1,	OCTANS_MAX_HEADS), \
	KEY_U32("full_attention_interval",		full_every,	1,	ARCH_MAX_BLOCKS), \
	EACH_U32("attention.recurrent_layers",		recurrent,	0,	1), \
	KEY_KNOWN("rope.dimension_sections")	/* of text all positions are the same */

static const struct arch_key dense_keys[] = { KEYS };
static const struct arch_key moe_keys[] = { KEYS, KEYS_OF_EXPERTS };

#define MAX_STATE (1u << 20)	/* numbers: the processor's */

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
	if (h->inner % h->dt_rank || h->dt_rank % h->key_heads || (uint64_t)h->inner * h->state > MAX_STATE)
		return fail(-EINVAL, "%s: a delta rule of %u columns in %u heads, which share the keys of %u, each with %u numbers, is not supported",
			    path, h->inner, h->dt_rank, h->key_heads, h->state);
	h->ssm_conv = 2 * h->key_heads * h->state + h->inner;
	h->ssm_in = h->ssm_conv + h->inner;
	h->state_dim = h->inner / h->dt_rank;
	h->heads2 = 2 * h->dt_rank;
	err = arch_derive_experts(h, path);
	return err ? err : arch_derive_heads(h, path);
}

/* The file has two matrices, or one that holds both. */
static int check_whole(const struct loader *ld, const struct layer *l, const int slots[3],
		       const char *const names[3])
{
	const bool first = l->w[slots[0]].data, second = l->w[slots[1]].data, whole = l->w[slots[2]].data;

	if (whole && (first || second))
		return fail(-EINVAL, "%s: the tensor \"blk.%u.%s\" holds what other tensors of its block hold, too",
			    ld->path, l->block, names[2]);
	if (!whole && !(first && second))
		return fail(-EINVAL, "%s: block %u needs the tensors \"%s\" and \"%s\", or \"%s\" instead of the two",
			    ld->path, l->block, names[0], names[1], names[2]);
	return 0;
}

static int set_delta(struct layer *l, const struct hparams *h, struct loader *ld)
{
	static const int in[] = { DELTA_QKV, DELTA_Z, DELTA_QKVZ }, gates[] = { DELTA_BETA, DELTA_ALPHA, DELTA_BA };
	static const char *const in_names[] = { "attn_qkv.weight", "attn_gate.weight", "ssm_in.weight" };
	static const char *const gate_names[] = { "ssm_beta.weight", "ssm_alpha.weight", "ssm_ba.weight" };
	int err = check_whole(ld, l, in, in_names);

	if (!err)
		err = check_whole(ld, l, gates, gate_names);
	if (err)
		return err;
	l->delta = (struct delta) {
		.key_heads = h->key_heads, .heads = h->dt_rank, .key_dim = h->state, .value_dim = h->state_dim,
		.taps = h->taps, .tiled = !l->w[DELTA_BA].data,
	};
	return 0;
}

static const struct arch_tensor delta[] = {
	NORM("attn_norm.weight",	DELTA_NORM,	embd),
	MATRIX_IF("attn_qkv.weight",	DELTA_QKV,	ssm_conv,	embd),
	MATRIX_IF("attn_gate.weight",	DELTA_Z,	inner,	embd),
	MATRIX_IF("ssm_in.weight",	DELTA_QKVZ,	ssm_in,	embd),	/* the first files of qwen3next */
	MATRIX_WIDE("ssm_conv1d.weight", DELTA_CONV,	ssm_conv,	taps),
	NORM("ssm_dt.bias",		DELTA_DT_B,	dt_rank),
	FLAT("ssm_a",			DELTA_A,	dt_rank),
	MATRIX_IF("ssm_beta.weight",	DELTA_BETA,	dt_rank,	embd),
	MATRIX_IF("ssm_alpha.weight",	DELTA_ALPHA,	dt_rank,	embd),
	MATRIX_IF("ssm_ba.weight",	DELTA_BA,	heads2,	embd),
	NORM("ssm_norm.weight",		DELTA_OUT_NORM,	state_dim),
	MATRIX("ssm_out.weight",	DELTA_OUT,	embd,	inner),
};

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	MATRIX("attn_q.weight",		ATTN_Q,		q_gated,	embd),
	MATRIX("attn_k.weight",		ATTN_K,		kv,	embd),
	MATRIX("attn_v.weight",		ATTN_V,		v,	embd),
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
	{ &layer_delta, delta, ARCH_N(delta), set_delta, is_delta },
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
