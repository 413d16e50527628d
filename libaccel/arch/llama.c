// SPDX-License-Identifier: MIT
/*
 * The llama architecture: RMSNorm, rotary GQA attention, SwiGLU.  Everything that a file
 * says and this loader does not understand is refused: a wrong answer would be silent.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <octans/isa.h>

#include "op/cpu.h"
#include "error.h"
#include "model/gguf.h"
#include "model/layer.h"

#define MAX_BLOCKS 1024u

struct loader {
	struct accel_model *m;
	const struct gguf *g;
	const char *path;
	uint64_t used;		/* tensors */
	float eps, attn_scale;
};

static int key_u32(struct loader *ld, const char *key, uint32_t min, uint32_t max, bool needed,
		   uint32_t *value)
{
	int err = gguf_get_u32(ld->g, key, value);

	if (err == -ENOENT)
		return needed ? fail(-EINVAL, "%s: the key \"%s\" is missing", ld->path, key) : 0;
	if (err)
		return fail(-EINVAL, "%s: the key \"%s\" is not one whole number", ld->path, key);
	if (*value < min || *value > max)
		return fail(-EINVAL, "%s: \"%s\" is %u, it must be from %u to %u", ld->path, key, *value,
			    min, max);
	return 0;
}

static int key_f32(struct loader *ld, const char *key, float min, float max, bool needed, float *value)
{
	int err = gguf_get_f32(ld->g, key, value);

	if (err == -ENOENT)
		return needed ? fail(-EINVAL, "%s: the key \"%s\" is missing", ld->path, key) : 0;
	if (err)
		return fail(-EINVAL, "%s: the key \"%s\" is not a number", ld->path, key);
	if (!(*value >= min && *value <= max))
		return fail(-EINVAL, "%s: \"%s\" is %g, it must be from %g to %g", ld->path, key, *value,
			    min, max);
	return 0;
}

static int read_rope(struct loader *ld)
{
	struct accel_model *m = ld->m;
	struct rope *rope = &m->ropes[0];
	float base = 10000, factor = 1;
	const char *s;
	size_t n;
	int err;

	m->n_ropes = 1;
	rope->rot = m->head_dim;
	err = key_u32(ld, "llama.rope.dimension_count", 2, m->head_dim, false, &rope->rot);
	if (!err && rope->rot % 2)
		err = fail(-EINVAL, "%s: \"llama.rope.dimension_count\" is %u, it must be even", ld->path,
			   rope->rot);
	if (!err)
		err = key_f32(ld, "llama.rope.freq_base", 1.001f, 1e12f, false, &base);
	if (err)
		return err;
	rope->base = base;
	rope->scale = 1;
	/* older converters wrote rope.scale_linear */
	err = key_f32(ld, "llama.rope.scale_linear", 1e-3f, 1e6f, false, &factor);
	if (err)
		return err;
	if (gguf_get_str(ld->g, "llama.rope.scaling.type", &s, &n)) {
		rope->scale = factor;
		return 0;
	}
	if (n == 4 && !memcmp(s, "none", 4))
		return 0;
	if (n == 6 && !memcmp(s, "linear", 6)) {
		err = key_f32(ld, "llama.rope.scaling.factor", 1e-3f, 1e6f, true, &factor);
		rope->scale = factor;
		return err;
	}
	return fail(-EINVAL, "%s: rope scaling \"%.*s\" is not supported; supported: none, linear, rope_freqs.weight",
		    ld->path, n < 64 ? (int)n : 64, s);
}

static int read_keys(struct loader *ld)
{
	struct accel_model *m = ld->m;
	uint32_t experts = 0, value_dim;
	int err;

	err = key_u32(ld, "llama.block_count", 1, MAX_BLOCKS, true, &m->n_blocks);
	if (!err)
		err = key_u32(ld, "llama.context_length", 1, 1u << 30, true, &m->n_ctx_train);
	if (!err)
		err = key_u32(ld, "llama.embedding_length", 1, OCTANS_MAX_COLS, true, &m->n_embd);
	if (!err)
		err = key_u32(ld, "llama.feed_forward_length", 1, OCTANS_MAX_COLS, true, &m->n_ff);
	if (!err)
		err = key_u32(ld, "llama.attention.head_count", 1, OCTANS_MAX_HEADS, true, &m->n_heads);
	m->n_kv_heads = m->n_heads;
	if (!err)
		err = key_u32(ld, "llama.attention.head_count_kv", 1, OCTANS_MAX_HEADS, false,
			      &m->n_kv_heads);
	if (!err)
		err = key_f32(ld, "llama.attention.layer_norm_rms_epsilon", 0, 1, true, &ld->eps);
	if (!err)
		err = key_u32(ld, "llama.expert_count", 0, 1u << 20, false, &experts);
	if (err)
		return err;
	if (experts)
		return fail(-EINVAL, "%s: %u experts; mixtures of experts are not supported yet", ld->path,
			    experts);
	if (m->n_heads % m->n_kv_heads)
		return fail(-EINVAL, "%s: %u heads cannot share %u key/value heads", ld->path, m->n_heads,
			    m->n_kv_heads);
	m->head_dim = m->n_embd / m->n_heads;
	err = key_u32(ld, "llama.attention.key_length", 1, OCTANS_MAX_HEAD_DIM, false, &m->head_dim);
	if (err)
		return err;
	value_dim = m->head_dim;
	err = key_u32(ld, "llama.attention.value_length", 1, OCTANS_MAX_HEAD_DIM, false, &value_dim);
	if (err)
		return err;
	if (value_dim != m->head_dim || !m->head_dim || m->head_dim > OCTANS_MAX_HEAD_DIM)
		return fail(-EINVAL, "%s: heads of %u keys and %u values are not supported", ld->path,
			    m->head_dim, value_dim);
	ld->attn_scale = 1 / sqrtf(m->head_dim);
	err = key_f32(ld, "llama.attention.scale", 1e-6f, 1e6f, false, &ld->attn_scale);
	return err ? err : read_rope(ld);
}

/* Fills *w with the tensor if the file has it; checks shape and type. */
static int take(struct loader *ld, const char *name, uint32_t rows, uint32_t cols, bool needed,
		struct weight *w)
{
	const struct gguf_tensor *t = gguf_find_tensor(ld->g, name);
	bool vector = rows == 1;

	if (!t)
		return needed ? fail(-EINVAL, "%s: the tensor \"%s\" is missing", ld->path, name) : 0;
	if (t->ne[0] != cols || t->ne[1] != rows || t->ne[2] != 1 || t->ne[3] != 1)
		return fail(-EINVAL, "%s: the tensor \"%s\" is %llu x %llu x %llu x %llu, it must be %u x %u",
			    ld->path, name, (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
			    (unsigned long long)t->ne[2], (unsigned long long)t->ne[3], cols, rows);
	if (vector ? t->type != ACCEL_F32 : !cpu_type_supported(t->type))
		return fail(-EINVAL, "%s: the tensor \"%s\" is of type %s, which is not supported here",
			    ld->path, name, accel_type_name(t->type));
	w->data = gguf_tensor_data(ld->g, t);
	w->size = t->size;
	w->rows = rows;
	w->cols = cols;
	w->type = t->type;
	w->stride = t->size / rows;
	ld->m->n_params += (uint64_t)rows * cols;
	ld->used++;
	return 0;
}

static int take_block(struct loader *ld, uint32_t block, const char *part, uint32_t rows,
		      uint32_t cols, bool needed, struct weight *w)
{
	char name[64];

	snprintf(name, sizeof(name), "blk.%u.%s", block, part);
	return take(ld, name, rows, cols, needed, w);
}

static int read_block(struct loader *ld, uint32_t b, struct layer *attn, struct layer *ffn)
{
	const struct accel_model *m = ld->m;
	uint32_t e = m->n_embd, q = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
	const struct {
		struct layer *layer;
		int slot;
		const char *part;
		uint32_t rows, cols;
		bool needed;
	} parts[] = {
		{ attn, ATTN_NORM, "attn_norm.weight", 1, e, true },
		{ attn, ATTN_Q, "attn_q.weight", q, e, true },
		{ attn, ATTN_K, "attn_k.weight", kv, e, true },
		{ attn, ATTN_V, "attn_v.weight", kv, e, true },
		{ attn, ATTN_OUT, "attn_output.weight", e, q, true },
		{ attn, ATTN_BQ, "attn_q.bias", 1, q, false },
		{ attn, ATTN_BK, "attn_k.bias", 1, kv, false },
		{ attn, ATTN_BV, "attn_v.bias", 1, kv, false },
		{ attn, ATTN_BOUT, "attn_output.bias", 1, e, false },
		{ ffn, FFN_NORM, "ffn_norm.weight", 1, e, true },
		{ ffn, FFN_GATE, "ffn_gate.weight", m->n_ff, e, true },
		{ ffn, FFN_UP, "ffn_up.weight", m->n_ff, e, true },
		{ ffn, FFN_DOWN, "ffn_down.weight", e, m->n_ff, true },
	};

	*attn = (struct layer) {
		.kind = &layer_attn_gqa, .block = b, .embd = e, .eps = ld->eps,
		.attn = {
			.heads = m->n_heads, .kv_heads = m->n_kv_heads, .head_dim = m->head_dim,
			.scale = ld->attn_scale, .rope = &m->ropes[0],
		},
		.state = { .k_cols = kv, .v_cols = kv, .head_dim = m->head_dim },
	};
	*ffn = (struct layer) {
		.kind = &layer_ffn, .block = b, .embd = e, .eps = ld->eps,
		.ffn = { .width = m->n_ff, .activation = OCTANS_MAP_SILU },
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int err = take_block(ld, b, parts[i].part, parts[i].rows, parts[i].cols, parts[i].needed,
				     &parts[i].layer->w[parts[i].slot]);

		if (err)
			return err;
	}
	return 0;
}

static int read_rope_freqs(struct loader *ld)
{
	struct weight w = { 0 };
	const float *f;
	int err = take(ld, "rope_freqs.weight", 1, ld->m->ropes[0].rot / 2, false, &w);

	if (err || !w.data)
		return err;
	f = w.data;
	for (uint32_t i = 0; i < w.cols; i++)
		if (!(f[i] >= 1e-3f && f[i] <= 1e9f))
			return fail(-EINVAL, "%s: value %u of the tensor \"rope_freqs.weight\" is %g, it must be from 0.001 to 1e9",
				    ld->path, i, f[i]);
	ld->m->ropes[0].divisor = f;
	return 0;
}

static int read_ends(struct loader *ld, struct layer *embed, struct layer *head)
{
	struct accel_model *m = ld->m;
	const struct gguf_tensor *t = gguf_find_tensor(ld->g, "token_embd.weight");
	int err;

	if (!t)
		return fail(-EINVAL, "%s: the tensor \"token_embd.weight\" is missing", ld->path);
	if (t->ne[1] > OCTANS_MAX_ROWS)
		return fail(-EINVAL, "%s: a vocabulary of %llu tokens is above the limit of %u", ld->path,
			    (unsigned long long)t->ne[1], OCTANS_MAX_ROWS);
	m->n_vocab = t->ne[1];
	*embed = (struct layer) { .kind = &layer_embed, .embd = m->n_embd };
	*head = (struct layer) { .kind = &layer_head, .embd = m->n_embd, .eps = ld->eps };
	err = take(ld, "token_embd.weight", m->n_vocab, m->n_embd, true, &embed->w[EMBED_TABLE]);
	if (!err)
		err = take(ld, "output_norm.weight", 1, m->n_embd, true, &head->w[HEAD_NORM]);
	if (!err)
		err = take(ld, "output.weight", m->n_vocab, m->n_embd, false, &head->w[HEAD_OUT]);
	if (!err && !head->w[HEAD_OUT].data)	/* tied */
		head->w[HEAD_OUT] = embed->w[EMBED_TABLE];
	return err;
}

int llama_load(struct accel_model *m, const char *path)
{
	struct loader ld = { .m = m, .g = m->file, .path = path };
	int err = read_keys(&ld);

	if (err)
		return err;
	m->n_layers = 2 * m->n_blocks + 2;
	m->layers = calloc(m->n_layers, sizeof(*m->layers));
	if (!m->layers)
		return fail(-ENOMEM, "no memory for %u layers", m->n_layers);
	err = read_ends(&ld, &m->layers[0], &m->layers[m->n_layers - 1]);
	for (uint32_t b = 0; b < m->n_blocks && !err; b++)
		err = read_block(&ld, b, &m->layers[2 * b + 1], &m->layers[2 * b + 2]);
	if (!err)
		err = read_rope_freqs(&ld);
	if (err)
		return err;
	if (ld.used != gguf_n_tensors(ld.g))
		return fail(-EINVAL, "%s: %llu of its %llu tensors are not part of the llama architecture as it is supported here",
			    path, (unsigned long long)(gguf_n_tensors(ld.g) - ld.used),
			    (unsigned long long)gguf_n_tensors(ld.g));
	return 0;
}
