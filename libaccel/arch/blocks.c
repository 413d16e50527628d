// SPDX-License-Identifier: MIT
#include "blocks.h"

#include <errno.h>
#include <math.h>

#include "error.h"

static const struct arch_tensor embed[] = {
	MATRIX("token_embd.weight",	EMBED_TABLE,	vocab,	embd),
};

static const struct arch_tensor head[] = {
	NORM("output_norm.weight",	HEAD_NORM,			embd),
	MATRIX_OR("output.weight",	HEAD_OUT,	out_vocab,	embd,	"token_embd.weight"),
};

const struct arch_layer arch_first = { &layer_embed, embed, ARCH_N(embed), arch_set_embed, NULL };
const struct arch_layer arch_last = { &layer_head, head, ARCH_N(head), arch_set_head, NULL };

int arch_derive_heads(struct hparams *h, const char *path)
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
	if (!h->key_dim || h->key_dim > OCTANS_MAX_HEAD_DIM || h->value_dim > OCTANS_MAX_HEAD_DIM)
		return fail(-EINVAL, "%s: heads of %u keys and %u values are not supported", path, h->key_dim,
			    h->value_dim);
	h->q = h->heads * h->key_dim;
	h->kv = h->kv_heads * h->key_dim;
	h->v = h->kv_heads * h->value_dim;
	h->att = h->heads * h->value_dim;
	h->q_end = h->q;
	h->k_end = h->q + h->kv;
	h->qkv_end = h->q + h->kv + h->v;
	return 0;
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

static int set_temperature(struct layer *l, const struct hparams *h, struct accel_model *m)
{
	const struct table t = {
		.kind = TABLE_TEMPERATURE,
		.temperature = { h->temperature.scale, h->temperature.every, h->temperature.offset },
	};

	l->attn.temperature = LAYER_NONE;
	if (!h->temperature.scale)
		return 0;
	l->attn.temperature = model_table(m, &t);
	return l->attn.temperature < 0 ? l->attn.temperature : 0;
}

int arch_set_attention(struct layer *l, const struct hparams *h, struct loader *ld)
{
	const bool slides = h->slides && h->window;
	int window = slides ? model_window(ld->m, h->window, false) : 0;

	if (window < 0)
		return window;
	l->attn = (struct attn_gqa) {
		.heads = h->heads, .kv_heads = h->kv_heads, .head_dim = h->key_dim, .value_dim = h->value_dim,
		.scale = h->scale, .cap = h->cap, .clamp = h->clamp, .window = window,
		.rope = !ld->arch->rope || h->no_rope ? LAYER_NONE : slides && ld->arch->rope_swa ? 1 : 0,
	};
	l->state.k_cols = h->kv;
	l->state.v_cols = h->v;
	/* Blocks of a type must divide both. */
	l->state.head_dim = h->key_dim % 32 ? h->key_dim : h->value_dim;
	return set_temperature(l, h, ld->m);
}

int arch_set_ffn(struct layer *l, const struct hparams *h, struct loader *ld)
{
	(void)ld;
	l->ffn = (struct ffn) { .width = h->ff, .activation = h->activation };
	return 0;
}
