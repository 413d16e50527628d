// SPDX-License-Identifier: MIT
/*
 * gemma4: blocks that attend to a window and, now and then, one that attends to all, of wider
 * heads; values may be what keys are made of; feed-forward networks, and beside them experts with
 * norms of their own.  (Gemma Team, "Gemma 4", 2026.)  Small ones (E2B, E4B) have an input for each
 * block beside the residual stream, and blocks, at the end, that use keys and values of the last
 * before them that attends alike.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "blocks.h"
#include "error.h"

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	KEYS_OF_HEADS,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_EXPERTS,
	KEYS_OF_FIXED_GATING(GATING_SOFTMAX, 1),
	KEY_OF_WEIGHTS_SCALE,
	KEY_U32("attention.key_length_swa",		key_dim_swa,	1,	OCTANS_MAX_HEAD_DIM),
	KEY_U32("attention.value_length_swa",		value_dim_swa,	1,	OCTANS_MAX_HEAD_DIM),
	NEED_U32("attention.sliding_window",		window,		1,	UINT32_MAX),
	NEED_PATTERN("attention.sliding_window_pattern",	window_pattern),
	KEY_U32("attention.shared_kv_layers",		shared_kv,	0,	ARCH_MAX_BLOCKS),
	KEY_U32("embedding_length_per_layer_input",	input,		0,	OCTANS_MAX_COLS),
	KEY_F32("final_logit_softcapping",		out_cap,	0,	1e6),
	KEY_U32("rope.dimension_count_swa",		rope.rot_swa,	2,	OCTANS_MAX_HEAD_DIM),
	KEY_F32("rope.freq_base_swa",			rope.base_swa,	1.001,	1e12),
};

static int derive(struct hparams *h, const char *path)
{
	int err;

	h->activation = OCTANS_MAP_GELU_TANH;
	h->embd_scale = sqrtf(h->embd);
	h->scale = 1;
	h->weights_norm = 1;
	h->slides = arch_slides(h, 6);
	if (!h->key_dim || !h->value_dim)
		return fail(-EINVAL, "%s: the keys \"gemma4.attention.key_length\" and \"gemma4.attention.value_length\" are missing",
			    path);
	/* Of blocks that attend to all */
	if (!h->rope.rot)
		h->rope.rot = h->key_dim;
	if (h->slides && h->key_dim_swa)
		h->key_dim = h->key_dim_swa;
	if (h->slides && h->value_dim_swa)
		h->value_dim = h->value_dim_swa;
	/* The shared expert is as wide as the network of other blocks. */
	h->shared_ff = h->ff;
	if ((uint64_t)h->input * h->blocks + h->embd > OCTANS_MAX_COLS)
		return fail(-EINVAL, "%s: \"gemma4.embedding_length_per_layer_input\" is %u, of %u blocks, which is not supported",
			    path, h->input, h->blocks);
	h->inputs = h->input * h->blocks;
	if (h->shared_kv >= h->blocks)
		return fail(-EINVAL, "%s: \"gemma4.attention.shared_kv_layers\" is %u, of %u blocks", path, h->shared_kv,
			    h->blocks);
	err = arch_derive_experts(h, path);
	return err ? err : arch_derive_heads(h, path);
}

static int rope_of_window(struct rope *r, const struct hparams *h)
{
	r->base = h->rope.base_swa ? h->rope.base_swa : 10000;
	r->scale = 1;
	r->divisor = NULL;
	r->rot = h->rope.rot_swa ? h->rope.rot_swa : h->key_dim_swa ? h->key_dim_swa : h->key_dim;
	return 0;
}

static bool has_keys(const struct hparams *h)
{
	return h->block < h->blocks - h->shared_kv;
}

static bool shares_keys(const struct hparams *h)
{
	return !has_keys(h);
}

static bool has_inputs(const struct hparams *h)
{
	return h->input;
}

static bool makes_inputs(const struct hparams *h)
{
	return h->input && !h->block;
}

static int set_embed(struct layer *l, const struct hparams *h, struct loader *ld)
{
	if (h->input && !l->w[EMBED_INPUTS].data)
		return fail(-EINVAL, "%s: the tensor \"per_layer_token_embd.weight\" is missing", ld->path);
	return arch_set_embed(l, h, ld);
}

static int set_inputs(struct layer *l, const struct hparams *h, struct loader *ld)
{
	(void)ld;
	l->inputs = (struct inputs) { .blocks = h->blocks, .width = h->input };
	return 0;
}

static int set_ple(struct layer *l, const struct hparams *h, struct loader *ld)
{
	(void)ld;
	l->ple = (struct ple) { .from = h->embd + h->block * h->input, .width = h->input };
	return 0;
}

static int set_attention(struct layer *l, const struct hparams *h, struct loader *ld)
{
	int err = arch_set_attention(l, h, ld);

	l->attn.value_norm = true;
	if (!l->w[ATTN_V].data && h->kv != h->v)
		err = fail(-EINVAL, "%s: block %u has not the tensor \"attn_v.weight\", and its values are not as wide as its keys",
			   ld->path, h->block);
	return err;
}

/* The last before it that has keys and values, and attends alike; the first layer of all, EMBED: there is none. */
static uint32_t find_owner(const struct layer *l, const struct loader *ld)
{
	const struct layer *of = l - 1;

	while (of > ld->m->layers &&
	       (of->kind != l->kind || of->state.of || of->attn.window != l->attn.window))
		of--;
	return of - ld->m->layers;
}

static bool same_heads(const struct attn_gqa *a, const struct attn_gqa *b)
{
	return a->kv_heads == b->kv_heads && a->head_dim == b->head_dim && a->value_dim == b->value_dim;
}

/* Files may have what makes keys and values of blocks that use others'; it is not computed with. */
static int set_sharing(struct layer *l, const struct hparams *h, struct loader *ld)
{
	const struct layer *of;
	int err = arch_set_attention(l, h, ld);

	if (err)
		return err;
	l->w[ATTN_K] = l->w[ATTN_V] = l->w[ATTN_KNORM] = (struct weight) { 0 };
	memset(&l->state, 0, sizeof(l->state));
	l->state.of = find_owner(l, ld);
	of = &ld->m->layers[l->state.of];
	if (!l->state.of)
		return fail(-EINVAL, "%s: block %u uses keys and values of another, but none before it attends as it does",
			    ld->path, h->block);
	if (!same_heads(&of->attn, &l->attn))
		return fail(-EINVAL, "%s: block %u uses keys and values of block %u, which has others: of %u x %u and %u columns, not %u x %u and %u",
			    ld->path, h->block, of->block, of->attn.kv_heads, of->attn.head_dim, of->attn.value_dim,
			    h->kv_heads, h->key_dim, h->value_dim);
	return 0;
}

/* Where the block has an input, that is what comes last. */
static int set_ffn(struct layer *l, const struct hparams *h, struct loader *ld)
{
	if (h->input)
		l->w[FFN_STREAM] = (struct weight) { 0 };
	return arch_set_ffn(l, h, ld);
}

/* The router sees x normed, times a weight, over the root of its width. */
static int set_experts(struct layer *l, const struct hparams *h, struct loader *ld)
{
	const float *from = l->w[MOE_ROUTER_NORM].data, root = sqrtf(h->embd);
	float *to;
	int err = loader_convert(ld, 1, 1, h->embd, &l->w[MOE_ROUTER_NORM], &to);

	for (uint32_t i = 0; i < h->embd && !err; i++)
		to[i] = from[i] / root;
	if (h->input)
		l->w[MOE_STREAM] = (struct weight) { 0 };
	return err ? err : arch_set_experts(l, h, ld);
}

static const struct arch_tensor embed[] = {
	MATRIX("token_embd.weight",	EMBED_TABLE,	vocab,	embd),
	MATRIX_IF("per_layer_token_embd.weight", EMBED_INPUTS, vocab, inputs),
};

static const struct arch_tensor inputs[] = {
	MATRIX(".per_layer_model_proj.weight", INPUTS_PROJ, inputs, embd),
	NORM(".per_layer_proj_norm.weight", INPUTS_NORM, input),
};

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	MATRIX("attn_q.weight",		ATTN_Q,		q,	embd),
	MATRIX("attn_k.weight",		ATTN_K,		kv,	embd),
	MATRIX_IF("attn_v.weight",	ATTN_V,		v,	embd),
	MATRIX("attn_output.weight",	ATTN_OUT,	embd,	att),
	TENSORS_OF_QK_NORMS,
	NORM("post_attention_norm.weight", POST_W,	embd),
};

static const struct arch_tensor sharing[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	MATRIX("attn_q.weight",		ATTN_Q,		q,	embd),
	MATRIX_IF("attn_k.weight",	ATTN_K,		kv,	embd),
	MATRIX_IF("attn_v.weight",	ATTN_V,		v,	embd),
	MATRIX("attn_output.weight",	ATTN_OUT,	embd,	att),
	NORM("attn_q_norm.weight",	ATTN_QNORM,	key_dim),
	BIAS("attn_k_norm.weight",	ATTN_KNORM,	key_dim),
	NORM("post_attention_norm.weight", POST_W,	embd),
};

static const struct arch_tensor feed_forward[] = {
	TENSORS_OF_FFN_NORMED("ffn_norm.weight"),
	NORM("post_ffw_norm.weight",	POST_W,		embd),
	BIAS("layer_output_scale.weight", FFN_STREAM,	one),
};

static const struct arch_tensor experts[] = {
	NORM("pre_ffw_norm_2.weight",	MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
	NORM("ffn_gate_inp.scale",	MOE_ROUTER_NORM,	embd),
	BIAS("ffn_down_exps.scale",	MOE_WEIGH,	experts),
	NORM("post_ffw_norm_2.weight",	MOE_EXPERTS_POST,	embd),
	NORM("ffn_norm.weight",		MOE_SHARED_NORM,	embd),
	MATRIX("ffn_gate.weight",	MOE_SHARED_GATE,	shared_ff,	embd),
	MATRIX("ffn_up.weight",		MOE_SHARED_UP,	shared_ff,	embd),
	MATRIX("ffn_down.weight",	MOE_SHARED_DOWN,	embd,	shared_ff),
	NORM("post_ffw_norm_1.weight",	MOE_SHARED_POST,	embd),
	NORM("post_ffw_norm.weight",	POST_W,		embd),
	BIAS("layer_output_scale.weight", MOE_STREAM,	one),
};

static const struct arch_tensor ple[] = {
	MATRIX("inp_gate.weight",	PLE_GATE,	input,	embd),
	MATRIX("proj.weight",		PLE_PROJ,	embd,	input),
	NORM("post_norm.weight",	POST_W,		embd),
	BIAS("layer_output_scale.weight", PLE_STREAM,	one),
};

static const struct arch_layer first = { &layer_embed, embed, ARCH_N(embed), set_embed, NULL };

static const struct arch_layer block[] = {
	{ &layer_inputs, inputs, ARCH_N(inputs), set_inputs, makes_inputs },
	{ &layer_attn_gqa, attention, ARCH_N(attention), set_attention, has_keys },
	{ &layer_attn_gqa, sharing, ARCH_N(sharing), set_sharing, shares_keys },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), set_experts, arch_has_experts },
	{ &layer_ple, ple, ARCH_N(ple), set_ple, has_inputs },
};

const struct arch arch_gemma4 = {
	.name = "gemma4", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.rope_half = true, .rope_swa = rope_of_window, .first = &first, .last = &arch_last,
	.block = block, .n_block = ARCH_N(block),
};
