// SPDX-License-Identifier: MIT
/*
 * octans: our own, so that one small model can have a layer of almost every kind (models/README.md).  Each
 * block says by two numbers what mixes its positions, and what network comes behind it.  Both are as
 * in the architectures that they come from: latent attention and experts as in deepseek2, the state
 * space as in nemotron_h, the delta rule as in qwen35, the convolution as in lfm2, xIELU as in
 * apertus.
 */
#include <errno.h>

#include "delta.h"
#include "error.h"
#include "mla.h"
#include "ssm.h"

/* What files say: numbers that stay as they are. */
enum mixer { MIXER_ATTENTION, MIXER_LATENT, MIXER_SPACE, MIXER_DELTA, MIXER_CONVOLUTION };
enum network { NETWORK_GATED, NETWORK_XIELU, NETWORK_EXPERTS };

static const struct arch_key keys[] = {
	KEYS_OF_MODEL,
	NEED_EACH_U32("block.mixer",			mixer,		0,	MIXER_CONVOLUTION),
	NEED_EACH_U32("block.network",			network,	0,	NETWORK_EXPERTS),
	KEYS_OF_HEADS,
	KEY_U32("attention.sliding_window",		window,		0,	UINT32_MAX),
	EACH_U32("attention.sliding_window_pattern",	slides,		0,	1),
	KEYS_OF_LATENT,
	KEYS_OF_SSM,
	KEYS_OF_DELTA,
	KEY_OF_SHORTCONV,
	KEY_OF_RMS,
	KEY_OF_FF,
	KEYS_OF_XIELU,
	KEYS_OF_EXPERTS,
	KEYS_OF_ROUTER,
	KEY_KNOWN("prompt.format"),	/* the tool's */
};

static bool is_attention(const struct hparams *h)
{
	return h->mixer == MIXER_ATTENTION;
}

static bool is_latent(const struct hparams *h)
{
	return h->mixer == MIXER_LATENT;
}

static bool is_space(const struct hparams *h)
{
	return h->mixer == MIXER_SPACE;
}

static bool is_delta(const struct hparams *h)
{
	return h->mixer == MIXER_DELTA;
}

static bool is_convolution(const struct hparams *h)
{
	return h->mixer == MIXER_CONVOLUTION;
}

static bool is_gated(const struct hparams *h)
{
	return h->network == NETWORK_GATED;
}

static bool is_xielu(const struct hparams *h)
{
	return h->network == NETWORK_XIELU;
}

static bool has_experts(const struct hparams *h)
{
	return h->network == NETWORK_EXPERTS;
}

/* Of all blocks, the heads of attention: positions are told the first. */
static int derive_mixer(struct hparams *h, const char *path)
{
	int err = arch_derive_heads(h, path);

	if (err)
		return err;
	/* One table is for all; and heads of latent attention may be wider. */
	if (h->rope.rot > h->key_dim)
		return fail(-EINVAL, "%s: \"octans.rope.dimension_count\" is %u, more than the %u of a head", path,
			    h->rope.rot, h->key_dim);
	switch ((enum mixer)h->mixer) {
	case MIXER_LATENT:
		return arch_derive_mla(h, path, false);
	case MIXER_SPACE:
		return arch_derive_ssm(h, path);
	case MIXER_DELTA:
		return arch_derive_delta(h, path);
	case MIXER_CONVOLUTION:
		h->in3 = 3 * h->embd;
		break;
	case MIXER_ATTENTION:
		break;
	}
	return 0;
}

static int derive(struct hparams *h, const char *path)
{
	h->activation = OCTANS_MAP_SILU;
	if (is_xielu(h))
		arch_derive_xielu(h);
	if (has_experts(h) && !h->experts)
		return fail(-EINVAL, "%s: block %u has experts, but \"octans.expert_count\" does not say how many",
			    path, h->block);
	if (arch_derive_experts(h, path))
		return -EINVAL;
	return derive_mixer(h, path);
}

static const struct arch_tensor attention[] = {
	NORM("attn_norm.weight",	ATTN_NORM,	embd),
	TENSORS_OF_QKV,
	TENSORS_OF_QK_NORMS,
};

static const struct arch_tensor latent[] = {
	NORM("attn_norm.weight",	MLA_NORM,	embd),
	TENSORS_OF_MLA,
};

static const struct arch_tensor space[] = {
	NORM("attn_norm.weight",	SSM_NORM,	embd),
	TENSORS_OF_SSM,
};

static const struct arch_tensor delta[] = {
	NORM("attn_norm.weight",	DELTA_NORM,	embd),
	TENSORS_OF_DELTA,
};

static const struct arch_tensor convolution[] = {
	NORM("attn_norm.weight",	SHORTCONV_NORM,	embd),
	TENSORS_OF_SHORTCONV,
};

static const struct arch_tensor gated[] = {
	TENSORS_OF_FFN_NORMED("ffn_norm.weight"),
};

static const struct arch_tensor xielu[] = {
	NORM("ffn_norm.weight",		FFN_NORM,	embd),
	MATRIX("ffn_up.weight",		FFN_UP,		ff,	embd),
	MATRIX("ffn_down.weight",	FFN_DOWN,	embd,	ff),
};

static const struct arch_tensor experts[] = {
	NORM("ffn_norm.weight",		MOE_NORM,	embd),
	TENSORS_OF_EXPERTS,
	TENSOR_OF_CHOICE,
	TENSORS_OF_SHARED,
};

static const struct arch_layer block[] = {
	{ &layer_attn_gqa, attention, ARCH_N(attention), arch_set_attention, is_attention },
	{ &layer_attn_mla, latent, ARCH_N(latent), arch_set_mla, is_latent },
	{ &layer_ssm2, space, ARCH_N(space), arch_set_ssm, is_space },
	{ &layer_delta, delta, ARCH_N(delta), arch_set_delta, is_delta },
	{ &layer_shortconv, convolution, ARCH_N(convolution), NULL, is_convolution },
	{ &layer_ffn, gated, ARCH_N(gated), arch_set_ffn, is_gated },
	{ &layer_ffn, xielu, ARCH_N(xielu), arch_set_ffn, is_xielu },
	{ &layer_moe, experts, ARCH_N(experts), arch_set_experts, has_experts },
};

const struct arch arch_octans = {
	.name = "octans", .keys = keys, .n_keys = ARCH_N(keys), .derive = derive, .rope = true,
	.first = &arch_first, .last = &arch_last, .block = block, .n_block = ARCH_N(block),
};
