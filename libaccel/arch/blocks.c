// SPDX-License-Identifier: MIT
#include "blocks.h"

#include <errno.h>
#include <math.h>

#include "error.h"
#include "model/exact.h"

static const struct arch_tensor embed[] = {
	MATRIX("token_embd.weight",	EMBED_TABLE,	vocab,	embd),
};

static const struct arch_tensor head[] = {
	NORM("output_norm.weight",	HEAD_NORM,			embd),
	MATRIX_OR("output.weight",	HEAD_OUT,	out_vocab,	embd,	"token_embd.weight"),
};

const struct arch_layer arch_first = { &layer_embed, embed, ARCH_N(embed), arch_set_embed, NULL };
const struct arch_layer arch_last = { &layer_head, head, ARCH_N(head), arch_set_head, NULL };

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

const struct arch_layer arch_block[ARCH_BLOCK] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, NULL },
	{ &layer_ffn, feed_forward, ARCH_N(feed_forward), arch_set_ffn, arch_has_ffn },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, arch_has_experts },
};

bool arch_slides(const struct hparams *h, uint32_t pattern)
{
	if (h->window_pattern == ARCH_UNSAID)
		return h->block % pattern < pattern - 1;
	if (h->window_pattern == ARCH_YES || h->window_pattern == ARCH_NO)
		return h->window_pattern == ARCH_YES;
	return !h->window_pattern || h->block % h->window_pattern < h->window_pattern - 1;
}

int arch_derive_heads(struct hparams *h, const char *path)
{
	if (!h->heads)
		return fail(-EINVAL, "%s: block %u has attention of 0 heads", path, h->block);
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
	if (!h->key_dim || h->key_dim > OCTANS_MAX_HEAD_DIM || h->value_dim > OCTANS_MAX_HEAD_DIM)
		return fail(-EINVAL, "%s: heads of %u keys and %u values are not supported", path, h->key_dim,
			    h->value_dim);
	h->q = h->heads * h->key_dim;
	h->kv = h->kv_heads * h->key_dim;
	h->v = h->kv_heads * h->value_dim;
	h->att = h->heads * h->value_dim;
	h->q_gated = 2 * h->q;
	h->q_end = h->gated ? h->q_gated : h->q;
	h->k_end = h->q_end + h->kv;
	h->qkv_end = h->k_end + h->v;
	return 0;
}

void arch_derive_xielu(struct hparams *h)
{
	h->activation = OCTANS_MAP_XIELU;
	h->xielu_p = (float)exact_softplus(h->xielu_p);
	h->xielu_n = (float)(h->xielu_beta + exact_softplus(h->xielu_n));
}

int arch_derive_experts(struct hparams *h, const char *path)
{
	if (!h->experts)
		return 0;
	if (!h->expert_ff)
		h->expert_ff = h->ff;
	h->expert_ff2 = 2 * h->expert_ff;
	if (!h->shared_ff)
		h->shared_ff = h->shared * h->expert_ff;
	if (!h->gating)
		h->gating = GATING_SOFTMAX;
	if (!h->groups)
		h->groups = 1;
	if (!h->groups_used || h->groups == 1)
		h->groups_used = h->groups;
	if (!h->weights_scale)
		h->weights_scale = 1;
	if (!h->used || h->used > h->experts || !h->expert_ff)
		return fail(-EINVAL, "%s: \"%s.expert_count\" is %u and \"%s.expert_used_count\" %u, of %u rows each, which is not supported",
			    path, h->arch, h->experts, h->arch, h->used, h->expert_ff);
	if (h->experts % h->groups || h->groups_used > h->groups ||
	    h->used > h->experts / h->groups * h->groups_used)
		return fail(-EINVAL, "%s: %u experts in %u groups, of which %u are used, are not supported", path,
			    h->experts, h->groups, h->groups_used);
	return 0;
}

bool arch_has_experts(const struct hparams *h)
{
	/* Some files count blocks that have none, and have them there. */
	return h->experts && (h->block >= h->dense || h->router);
}

bool arch_has_ffn(const struct hparams *h)
{
	return !arch_has_experts(h);
}

int arch_set_embed(struct layer *l, const struct hparams *h, struct loader *ld)
{
	(void)ld;
	l->embed.scale = h->embd_scale == 1 ? 0 : h->embd_scale;
	return 0;
}

int arch_set_head(struct layer *l, const struct hparams *h, struct loader *ld)
{
	(void)ld;
	l->head.scale = h->logit_scale == 1 ? 0 : h->logit_scale;
	l->head.cap = h->out_cap;
	return 0;
}

int arch_set_temperature(int *table, const struct hparams *h, struct loader *ld)
{
	const struct table t = {
		.kind = TABLE_TEMPERATURE,
		.temperature = { h->temperature.scale, h->temperature.every },
	};

	*table = LAYER_NONE;
	if (!h->temperature.scale)
		return 0;
	if (!h->temperature.every)
		return fail(-EINVAL, "%s: \"%s.attention.temperature_scale\" is %g, but \"%s.attention.temperature_length\" is missing",
			    ld->path, h->arch, h->temperature.scale, h->arch);
	*table = model_table(ld->m, &t);
	return *table < 0 ? *table : 0;
}

/* The blocks' heads may be of several widths, the table is one. */
static int check_rope(const struct layer *l, const struct hparams *h, const struct loader *ld)
{
	const uint32_t rot = l->attn.rope == LAYER_NONE ? 0 : ld->m->tables[l->attn.rope].rope.rot;

	if (rot <= h->key_dim)
		return 0;
	return fail(-EINVAL, "%s: %u columns of heads are rotated, but those of block %u have %u", ld->path, rot,
		    h->block, h->key_dim);
}

int arch_set_attention(struct layer *l, const struct hparams *h, struct loader *ld)
{
	const bool slides = h->slides && h->window;
	int window = slides ? model_window(ld->m, h->window) : 0;
	int err;

	if (window < 0)
		return window;
	l->attn = (struct attn_gqa) {
		.heads = h->heads, .kv_heads = h->kv_heads, .head_dim = h->key_dim, .value_dim = h->value_dim,
		.scale = h->scale, .cap = h->cap, .clamp = h->clamp, .window = window,
		.whole_norm = h->whole_norm, .gated = h->gated,
		.rope = !ld->arch->rope || h->no_rope ? LAYER_NONE : slides && ld->arch->rope_swa ? 1 : 0,
	};
	l->state.k_cols = h->kv;
	l->state.v_cols = h->v;
	/* Blocks of a type must divide both. */
	l->state.head_dim = h->key_dim % 32 ? h->key_dim : h->value_dim;
	err = check_rope(l, h, ld);
	return err ? err : arch_set_temperature(&l->attn.temperature, h, ld);
}

int arch_set_ffn(struct layer *l, const struct hparams *h, struct loader *ld)
{
	(void)ld;
	l->ffn = (struct ffn) {
		.width = h->ff, .activation = h->activation, .alpha_p = h->xielu_p, .alpha_n = h->xielu_n,
	};
	return 0;
}

static int check_experts(const struct layer *l, const struct hparams *h, const struct loader *ld)
{
	const bool up = l->w[MOE_UP].data, both = l->w[MOE_GATE_UP].data, gate = l->w[MOE_GATE].data;
	const bool shared = h->shared_ff;

	if (up == both || (both && gate))
		return fail(-EINVAL, "%s: block %u needs the tensor \"ffn_up_exps.weight\", or \"ffn_gate_up_exps.weight\" instead of it and of \"ffn_gate_exps.weight\"",
			    ld->path, h->block);
	if (!h->ungated && ((!gate && !both) || (shared && !l->w[MOE_SHARED_GATE].data)))
		return fail(-EINVAL, "%s: block %u has no gates of its experts: the tensor \"ffn_gate_exps.weight\"%s is missing",
			    ld->path, h->block, shared ? " or \"ffn_gate_shexp.weight\"" : "");
	if ((l->w[MOE_SHARED_UP].data && l->w[MOE_SHARED_DOWN].data) != shared)
		return fail(-EINVAL, "%s: block %u %s the tensors of a shared expert of %u rows", ld->path, h->block,
			    shared ? "has not" : "has", h->shared_ff);
	return 0;
}

int arch_set_experts(struct layer *l, const struct hparams *h, struct loader *ld)
{
	static const enum moe_gate gates[] = {
		[GATING_SOFTMAX] = MOE_SOFTMAX, [GATING_SIGMOID] = MOE_SIGMOID,
		[GATING_SOFTMAX_OF_CHOSEN] = MOE_SOFTMAX_OF_CHOSEN, [GATING_SQRT_SOFTPLUS] = MOE_SQRT_SOFTPLUS,
	};

	l->moe = (struct moe) {
		.expert = { .width = h->expert_ff, .activation = h->activation, .limit = h->limit },
		.shared = { .width = h->shared_ff, .activation = h->activation },
		.experts = h->experts, .used = h->used, .groups = h->groups, .groups_used = h->groups_used,
		.group_top2 = h->groups > 1, .gate = gates[h->gating], .renorm = h->weights_norm,
		.scale = h->weights_scale,
	};
	return check_experts(l, h, ld);
}
