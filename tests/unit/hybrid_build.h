/* SPDX-License-Identifier: MIT */
/* Small models in memory whose blocks keep states that cannot go back, two for each, beside some attention. */
#ifndef TESTS_HYBRID_BUILD_H
#define TESTS_HYBRID_BUILD_H

#include "llama_load.h"

#define HYBRID_EMBD 32u
#define HYBRID_FF 48u

struct hybrid_part {
	const char *name;
	uint32_t cols, rows;		/* no rows: a vector */
};

static inline void hybrid_parts(struct build *b, uint32_t block, const struct hybrid_part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.%u.%s", block, parts[i].name);
		if (parts[i].rows)
			llama_matrix(b, name, ACCEL_F32, parts[i].cols, parts[i].rows);
		else
			llama_vector(b, name, ACCEL_F32, parts[i].cols);
	}
}

#define HYBRID_PARTS(b, block, parts) hybrid_parts(b, block, parts, sizeof(parts) / sizeof((parts)[0]))

static inline void hybrid_key(struct build *b, const char *arch, const char *name, uint32_t v)
{
	char key[100];

	snprintf(key, sizeof(key), "%s.%s", arch, name);
	build_key_u32(b, key, v);
}

static inline void hybrid_begin(struct build *b, const char *arch, uint32_t blocks)
{
	char key[100];

	build_begin(b);
	build_key_text(b, "general.architecture", arch);
	hybrid_key(b, arch, "block_count", blocks);
	hybrid_key(b, arch, "context_length", 128);
	hybrid_key(b, arch, "embedding_length", HYBRID_EMBD);
	hybrid_key(b, arch, "attention.head_count", 4);
	hybrid_key(b, arch, "ssm.conv_kernel", 4);
	snprintf(key, sizeof(key), "%s.attention.layer_norm_rms_epsilon", arch);
	build_key_f32(b, key, 1e-5f);
}

/* Random numbers, but states fade. */
static inline int hybrid_end(struct build *b, uint32_t blocks, uint32_t vocab, struct accel_model **m)
{
	struct gguf *g;
	char text[128];

	llama_matrix(b, "token_embd.weight", ACCEL_F32, HYBRID_EMBD, vocab);
	llama_vector(b, "output_norm.weight", ACCEL_F32, HYBRID_EMBD);
	build_data(b);
	llama_fill(b);
	if (gguf_open_mem(b->p, b->n, &g, text, sizeof(text)))
		abort();
	for (uint32_t i = 0; i < blocks; i++) {
		const struct gguf_tensor *t;

		snprintf(text, sizeof(text), "blk.%u.ssm_a", i);
		t = gguf_find_tensor(g, text);
		for (uint64_t k = 3; t && k < t->size; k += 4)
			b->p[t->offset + k] |= 0x80;
	}
	gguf_close(g);
	return load_built(b, m);
}

/* Mamba-2, of three heads, attention, Mamba-2, a feed-forward network. */
__attribute__((unused))
static int hybrid_mamba(uint32_t vocab, struct accel_model **m)
{
	enum { HEADS = 3, WIDTH = 8, STATE = 12, INNER = HEADS * WIDTH, CONV = INNER + 2 * STATE, BLOCKS = 4 };
	static const struct hybrid_part ssm[] = {
		{ "attn_norm.weight", HYBRID_EMBD, 0 }, { "ssm_in.weight", HYBRID_EMBD, INNER + CONV + HEADS },
		{ "ssm_conv1d.weight", 4, CONV }, { "ssm_conv1d.bias", CONV, 0 }, { "ssm_dt.bias", HEADS, 0 },
		{ "ssm_a", 1, HEADS }, { "ssm_d", 1, HEADS }, { "ssm_norm.weight", INNER, 1 },
		{ "ssm_out.weight", INNER, HYBRID_EMBD },
	};
	static const struct hybrid_part attention[] = {
		{ "attn_norm.weight", HYBRID_EMBD, 0 }, { "attn_q.weight", HYBRID_EMBD, 32 },
		{ "attn_k.weight", HYBRID_EMBD, 16 }, { "attn_v.weight", HYBRID_EMBD, 16 },
		{ "attn_output.weight", 32, HYBRID_EMBD },
	};
	static const struct hybrid_part feed_forward[] = {
		{ "attn_norm.weight", HYBRID_EMBD, 0 }, { "ffn_up.weight", HYBRID_EMBD, HYBRID_FF },
		{ "ffn_down.weight", HYBRID_FF, HYBRID_EMBD },
	};
	static const uint32_t kv[BLOCKS] = { 0, 2, 0, 0 }, ff[BLOCKS] = { 0, 0, 0, HYBRID_FF };
	struct build b;

	hybrid_begin(&b, "nemotron_h", BLOCKS);
	build_key_array(&b, "nemotron_h.attention.head_count_kv", GGUF_U32, BLOCKS);
	build_bytes(&b, kv, sizeof(kv));
	build_key_array(&b, "nemotron_h.feed_forward_length", GGUF_U32, BLOCKS);
	build_bytes(&b, ff, sizeof(ff));
	hybrid_key(&b, "nemotron_h", "ssm.inner_size", INNER);
	hybrid_key(&b, "nemotron_h", "ssm.state_size", STATE);
	hybrid_key(&b, "nemotron_h", "ssm.time_step_rank", HEADS);
	hybrid_key(&b, "nemotron_h", "ssm.group_count", 1);
	HYBRID_PARTS(&b, 0, ssm);
	HYBRID_PARTS(&b, 1, attention);
	HYBRID_PARTS(&b, 2, ssm);
	HYBRID_PARTS(&b, 3, feed_forward);
	return hybrid_end(&b, BLOCKS, vocab, m);
}

/* The gated delta rule, with four heads on the keys of two, and gated attention. */
__attribute__((unused))
static int hybrid_delta(uint32_t vocab, struct accel_model **m)
{
	enum { KEYS = 2, HEADS = 4, DIM = 8, INNER = HEADS * DIM, CONV = 2 * KEYS * DIM + INNER, BLOCKS = 2 };
	static const struct hybrid_part delta[] = {
		{ "attn_norm.weight", HYBRID_EMBD, 0 }, { "attn_qkv.weight", HYBRID_EMBD, CONV },
		{ "attn_gate.weight", HYBRID_EMBD, INNER }, { "ssm_conv1d.weight", 4, CONV },
		{ "ssm_dt.bias", HEADS, 0 }, { "ssm_a", HEADS, 0 }, { "ssm_beta.weight", HYBRID_EMBD, HEADS },
		{ "ssm_alpha.weight", HYBRID_EMBD, HEADS }, { "ssm_norm.weight", DIM, 0 },
		{ "ssm_out.weight", INNER, HYBRID_EMBD },
	};
	static const struct hybrid_part attention[] = {
		{ "attn_norm.weight", HYBRID_EMBD, 0 }, { "attn_q.weight", HYBRID_EMBD, 64 },
		{ "attn_k.weight", HYBRID_EMBD, 16 }, { "attn_v.weight", HYBRID_EMBD, 16 },
		{ "attn_q_norm.weight", 8, 0 }, { "attn_k_norm.weight", 8, 0 },
		{ "attn_output.weight", 32, HYBRID_EMBD },
	};
	static const struct hybrid_part feed_forward[] = {
		{ "post_attention_norm.weight", HYBRID_EMBD, 0 }, { "ffn_gate.weight", HYBRID_EMBD, HYBRID_FF },
		{ "ffn_up.weight", HYBRID_EMBD, HYBRID_FF }, { "ffn_down.weight", HYBRID_FF, HYBRID_EMBD },
	};
	struct build b;

	hybrid_begin(&b, "qwen35", BLOCKS);
	hybrid_key(&b, "qwen35", "attention.head_count_kv", 2);
	hybrid_key(&b, "qwen35", "feed_forward_length", HYBRID_FF);
	hybrid_key(&b, "qwen35", "ssm.inner_size", INNER);
	hybrid_key(&b, "qwen35", "ssm.state_size", DIM);
	hybrid_key(&b, "qwen35", "ssm.time_step_rank", HEADS);
	hybrid_key(&b, "qwen35", "ssm.group_count", KEYS);
	hybrid_key(&b, "qwen35", "full_attention_interval", BLOCKS);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		if (i % 2)
			HYBRID_PARTS(&b, i, attention);
		else
			HYBRID_PARTS(&b, i, delta);
		HYBRID_PARTS(&b, i, feed_forward);
	}
	return hybrid_end(&b, BLOCKS, vocab, m);
}

#endif
