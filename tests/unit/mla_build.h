/* SPDX-License-Identifier: MIT */
/* Small models of latent attention in memory, as newer files have them and as older ones do, with an indexer or
 * without. */
#ifndef TESTS_MLA_BUILD_H
#define TESTS_MLA_BUILD_H

#include "llama_load.h"

struct mla_build {
	const char *arch;
	uint32_t type;			/* of matrices */
	uint32_t blocks, embd, heads, q_rank, kv_rank, nope, rot, value, ff, vocab, ctx;
	uint32_t index_heads, index_dim, index_top;
	bool old;			/* keys and values of all heads in one tensor */
};

__attribute__((unused))
static const struct mla_build mla_small = {
	.arch = "deepseek2", .type = ACCEL_F32, .blocks = 2, .embd = 64, .heads = 4, .q_rank = 32, .kv_rank = 32,
	.nope = 16, .rot = 32, .value = 16, .ff = 48, .vocab = 40, .ctx = 1024,
};

__attribute__((unused))
static const struct mla_build mla_indexed = {
	.arch = "deepseek32", .type = ACCEL_F32, .blocks = 2, .embd = 64, .heads = 4, .q_rank = 32, .kv_rank = 32,
	.nope = 16, .rot = 32, .value = 16, .ff = 48, .vocab = 40, .ctx = 1024, .index_heads = 3, .index_dim = 32,
	.index_top = 12,
};

static inline void mla_key(struct build *b, const struct mla_build *l, const char *name, uint32_t v)
{
	char key[100];

	snprintf(key, sizeof(key), "%s.%s", l->arch, name);
	build_key_u32(b, key, v);
}

static inline void mla_keys(struct build *b, const struct mla_build *l)
{
	char key[100];

	build_key_text(b, "general.architecture", l->arch);
	mla_key(b, l, "block_count", l->blocks);
	mla_key(b, l, "context_length", l->ctx);
	mla_key(b, l, "embedding_length", l->embd);
	mla_key(b, l, "feed_forward_length", l->ff);
	mla_key(b, l, "attention.head_count", l->heads);
	if (l->q_rank)
		mla_key(b, l, "attention.q_lora_rank", l->q_rank);
	mla_key(b, l, "attention.kv_lora_rank", l->kv_rank);
	mla_key(b, l, "attention.key_length", l->old ? l->nope + l->rot : l->kv_rank + l->rot);
	mla_key(b, l, "attention.value_length", l->old ? l->value : l->kv_rank);
	if (!l->old) {
		mla_key(b, l, "attention.key_length_mla", l->nope + l->rot);
		mla_key(b, l, "attention.value_length_mla", l->value);
	}
	mla_key(b, l, "rope.dimension_count", l->rot);
	if (l->index_heads) {
		mla_key(b, l, "attention.indexer.head_count", l->index_heads);
		mla_key(b, l, "attention.indexer.key_length", l->index_dim);
		mla_key(b, l, "attention.indexer.top_k", l->index_top);
	}
	snprintf(key, sizeof(key), "%s.attention.layer_norm_rms_epsilon", l->arch);
	build_key_f32(b, key, 1e-5f);
}

/* No rows: a vector. */
static inline void mla_tensor(struct build *b, const struct mla_build *l, uint32_t block, const char *name,
			      uint64_t cols, uint64_t rows, uint64_t planes)
{
	char full[64];

	snprintf(full, sizeof(full), "blk.%u.%s", block, name);
	build_tensor(b, full, rows ? l->type : ACCEL_F32, planes ? 3 : rows ? 2 : 1, (uint64_t []) { cols, rows, planes });
}

static inline void mla_block(struct build *b, const struct mla_build *l, uint32_t i)
{
	const uint32_t q = l->heads * (l->nope + l->rot);

	mla_tensor(b, l, i, "attn_norm.weight", l->embd, 0, 0);
	if (l->q_rank) {
		mla_tensor(b, l, i, "attn_q_a.weight", l->embd, l->q_rank, 0);
		mla_tensor(b, l, i, "attn_q_a_norm.weight", l->q_rank, 0, 0);
	}
	mla_tensor(b, l, i, l->q_rank ? "attn_q_b.weight" : "attn_q.weight", l->q_rank ? l->q_rank : l->embd, q, 0);
	mla_tensor(b, l, i, "attn_kv_a_mqa.weight", l->embd, l->kv_rank + l->rot, 0);
	mla_tensor(b, l, i, "attn_kv_a_norm.weight", l->kv_rank, 0, 0);
	mla_tensor(b, l, i, "attn_output.weight", l->heads * l->value, l->embd, 0);
	if (l->index_heads) {
		mla_tensor(b, l, i, "indexer.attn_q_b.weight", l->q_rank, l->index_heads * l->index_dim, 0);
		mla_tensor(b, l, i, "indexer.attn_k.weight", l->embd, l->index_dim, 0);
		mla_tensor(b, l, i, "indexer.k_norm.weight", l->index_dim, 0, 0);
		mla_tensor(b, l, i, "indexer.k_norm.bias", l->index_dim, 0, 0);
		mla_tensor(b, l, i, "indexer.proj.weight", l->embd, l->index_heads, 0);
	}
	mla_tensor(b, l, i, "ffn_norm.weight", l->embd, 0, 0);
	mla_tensor(b, l, i, "ffn_gate.weight", l->embd, l->ff, 0);
	mla_tensor(b, l, i, "ffn_up.weight", l->embd, l->ff, 0);
	mla_tensor(b, l, i, "ffn_down.weight", l->ff, l->embd, 0);
}

static inline const struct gguf_tensor *mla_find(const struct gguf *g, uint32_t block, const char *name)
{
	char full[64];

	snprintf(full, sizeof(full), "blk.%u.%s", block, name);
	return gguf_find_tensor(g, full);
}

static inline struct gguf *mla_open(const struct build *b)
{
	struct gguf *g;
	char err[256];

	if (gguf_open_mem(b->p, b->n, &g, err, sizeof(err)))
		abort();
	return g;
}

static inline void mla_make(struct build *b, const struct mla_build *l)
{
	build_begin(b);
	mla_keys(b, l);
	build_tensor(b, "token_embd.weight", l->type, 2, (uint64_t []) { l->embd, l->vocab });
	build_tensor(b, "output_norm.weight", ACCEL_F32, 1, (uint64_t []) { l->embd });
	for (uint32_t i = 0; i < l->blocks; i++)
		mla_block(b, l, i);
	/* These last, so that all others have the same numbers in both kinds of file. */
	for (uint32_t i = 0; i < l->blocks; i++) {
		if (l->old) {
			mla_tensor(b, l, i, "attn_kv_b.weight", l->kv_rank, l->heads * (l->nope + l->value), 0);
		} else {
			mla_tensor(b, l, i, "attn_k_b.weight", l->nope, l->kv_rank, l->heads);
			mla_tensor(b, l, i, "attn_v_b.weight", l->kv_rank, l->value, l->heads);
		}
	}
	build_data(b);
	llama_fill(b);
}

/* Of an old file those numbers become what a new one has, transposed: rows of a head's keys, then of its values. */
static inline void mla_join(struct build *old, const struct build *new, const struct mla_build *l, uint32_t block)
{
	struct gguf *go = mla_open(old), *gn = mla_open(new);
	const size_t size = l->type == ACCEL_F32 ? 4 : 2, rank = l->kv_rank;
	uint8_t *to = old->p + mla_find(go, block, "attn_kv_b.weight")->offset;
	const uint8_t *k = new->p + mla_find(gn, block, "attn_k_b.weight")->offset;
	const uint8_t *v = new->p + mla_find(gn, block, "attn_v_b.weight")->offset;

	for (size_t h = 0; h < l->heads; h++) {
		for (size_t r = 0; r < l->nope; r++)
			for (size_t c = 0; c < rank; c++, to += size)
				memcpy(to, k + ((h * rank + c) * l->nope + r) * size, size);
		memcpy(to, v + h * l->value * rank * size, l->value * rank * size);
		to += l->value * rank * size;
	}
	gguf_close(go);
	gguf_close(gn);
}

/* As accel_model_load(). */
__attribute__((unused))
static int mla_load(const struct mla_build *l, struct accel_model **m)
{
	struct mla_build as = *l;
	struct build b, new;

	mla_make(&b, l);
	if (l->old) {
		as.old = false;
		mla_make(&new, &as);
		for (uint32_t i = 0; i < l->blocks; i++)
			mla_join(&b, &new, l, i);
		build_end(&new);
	}
	return load_built(&b, m);
}

#endif
