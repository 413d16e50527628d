/* SPDX-License-Identifier: MIT */
/* Small models of the llama architecture in memory, whole or in parts, with weights of a good size. */
#ifndef TESTS_LLAMA_BUILD_H
#define TESTS_LLAMA_BUILD_H

#include "gguf_build.h"

struct llama_build {
	uint32_t type;			/* of matrices */
	uint32_t blocks, embd, heads, kv_heads, ff, vocab, ctx;
	uint32_t parts;			/* 0: a whole file */
	uint32_t vectors;		/* their type; 0: F32 */
	/* More keys; more tensors.  NULL: none. */
	void (*keys)(struct build *b);
	void (*tensors)(struct build *b);
};

/* What the fuzzer and most tests use. */
__attribute__((unused))
static const struct llama_build llama_small = {
	.type = ACCEL_F32, .blocks = 1, .embd = 32, .heads = 4, .kv_heads = 2, .ff = 64, .vocab = 12,
	.ctx = 64,
};

/* Random bytes, but the numbers among them small. */
__attribute__((unused))
static void llama_fill(struct build *b)
{
	uint64_t r = 88172645463325252;
	struct gguf *g;
	char err[256];

	if (gguf_open_mem(b->p, b->n, &g, err, sizeof(err)))
		abort();
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);
		uint32_t elements, bytes;

		accel_type_block(t->type, &elements, &bytes);
		for (uint64_t k = 0; k < t->size; k++) {
			r ^= r << 13, r ^= r >> 7, r ^= r << 17;
			b->p[t->offset + k] = r >> 32;
		}
		for (uint64_t k = t->offset; k < t->offset + t->size; k += bytes) {
			uint8_t *p = b->p + k;

			if (t->type == ACCEL_F32)	/* the exponent of about a quarter */
				p[3] = (p[3] & 0x80) | 0x3e;
			else if (t->type == ACCEL_BF16)
				p[1] = (p[1] & 0x80) | 0x3e;
			else if (t->type == ACCEL_F16)
				p[1] = (p[1] & 0x80) | 0x34;
			else				/* the scale of a block */
				p[1] = 0x1c;
		}
	}
	gguf_close(g);
}

static inline void llama_matrix(struct build *b, const char *name, uint32_t type, uint64_t cols,
				uint64_t rows)
{
	build_tensor(b, name, type, 2, (uint64_t []) { cols, rows });
}

static inline void llama_vector(struct build *b, const char *name, uint32_t type, uint64_t n)
{
	build_tensor(b, name, type, 1, (uint64_t []) { n });
}

__attribute__((unused))
static void llama_block(struct build *b, const struct llama_build *l, uint32_t block)
{
	const uint64_t e = l->embd, kv = l->embd / l->heads * l->kv_heads, ff = l->ff;
	const struct {
		const char *part;
		uint64_t cols, rows;	/* no rows: a vector */
	} parts[] = {
		{ "attn_norm", e, 0 }, { "attn_q", e, e }, { "attn_k", e, kv }, { "attn_v", e, kv },
		{ "attn_output", e, e }, { "ffn_norm", e, 0 }, { "ffn_gate", e, ff }, { "ffn_up", e, ff },
		{ "ffn_down", ff, e },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.%u.%s.weight", block, parts[i].part);
		if (parts[i].rows)
			llama_matrix(b, name, l->type, parts[i].cols, parts[i].rows);
		else
			llama_vector(b, name, l->vectors, parts[i].cols);
	}
}

__attribute__((unused))
static void llama_keys(struct build *b, const struct llama_build *l)
{
	build_key_text(b, "general.architecture", "llama");
	build_key_u32(b, "llama.block_count", l->blocks);
	build_key_u32(b, "llama.context_length", l->ctx);
	build_key_u32(b, "llama.embedding_length", l->embd);
	build_key_u32(b, "llama.feed_forward_length", l->ff);
	build_key_u32(b, "llama.attention.head_count", l->heads);
	build_key_u32(b, "llama.attention.head_count_kv", l->kv_heads);
	build_key_u32(b, "llama.rope.dimension_count", l->embd / l->heads);
	build_key_f32(b, "llama.rope.freq_base", 10000);
	build_key_f32(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	if (l->keys)
		l->keys(b);
}

/* b[parts or 1], each to be ended by build_end(). */
__attribute__((unused))
static void llama_build(struct build *b, const struct llama_build *l)
{
	uint32_t parts = l->parts ? l->parts : 1;

	for (uint32_t i = 0; i < parts; i++) {
		build_begin(&b[i]);
		if (!i)
			llama_keys(&b[i], l);
		if (!l->parts)
			continue;
		build_key(&b[i], "split.no", GGUF_U16);
		build_bytes(&b[i], &(uint16_t) { i }, 2);
		build_key(&b[i], "split.count", GGUF_U16);
		build_bytes(&b[i], &(uint16_t) { parts }, 2);
		build_key(&b[i], "split.tensors.count", GGUF_I32);
		build_bytes(&b[i], &(uint32_t) { 2 + 9 * l->blocks }, 4);
	}
	llama_matrix(&b[0], "token_embd.weight", l->type, l->embd, l->vocab);
	for (uint32_t i = 0; i < l->blocks; i++)
		llama_block(&b[i * parts / l->blocks], l, i);
	llama_vector(&b[parts - 1], "output_norm.weight", l->vectors, l->embd);
	if (l->tensors)
		l->tensors(&b[0]);
	for (uint32_t i = 0; i < parts; i++) {
		build_data(&b[i]);
		llama_fill(&b[i]);
	}
}

#endif
