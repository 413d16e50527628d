/* SPDX-License-Identifier: MIT */
/* Models that several processors compute together, texts, and what the CPU says of them: what is expected. */
#ifndef TEST_SUBJECTS_H
#define TEST_SUBJECTS_H

#include <stdlib.h>
#include <string.h>

#include "demo_rig.h"
#include "hybrid_build.h"
#include "tap.h"

#define CARDS 3
#define SEQS 3
#define LENGTH 40

static uint32_t random_state = 7;

static uint32_t roll(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

/* ---- what is expected ---- */

struct subject {
	const char *name;
	uint32_t shares;		/* layers that two processors share */
	struct accel_model *m;
	struct accel_model_info info;
	int32_t text[SEQS][LENGTH];
	float *alone[SEQS];		/* [LENGTH][n_vocab] */
};

static size_t row_of(const struct subject *s)
{
	return s->info.n_vocab * sizeof(float);
}

static inline struct rig on_cpu(const struct subject *s)
{
	const struct accel_engine_opts o = { .sz = sizeof(o), .threads = 1, .isa = "scalar" };

	return rig_new(s->m, NULL, (struct accel_plan_opts) { .ctx = 96 }, &o);
}

/* On the CPU, scalar, one sequence at a time. */
static void compute_alone(struct subject *s)
{
	struct rig r;
	const float *logits;

	s->info.sz = sizeof(s->info);
	accel_model_info(s->m, &s->info);
	r = on_cpu(s);
	for (uint32_t i = 0; i < SEQS; i++) {
		for (uint32_t k = 0; k < LENGTH; k++)
			s->text[i][k] = roll(s->info.n_vocab);
		s->alone[i] = calloc(LENGTH, row_of(s));
		accel_seq_trim(r.seq, 0);
		if (ok(!rig_eval(&r, s->text[i], LENGTH, ACCEL_WANT_ALL, &logits), "%s: sequence %u", s->name, i))
			memcpy(s->alone[i], logits, LENGTH * row_of(s));
	}
	rig_free(&r);
}

static inline bool same_rows(const struct subject *s, uint32_t seq, uint32_t pos, const float *logits, uint32_t n)
{
	return logits && !memcmp(logits, s->alone[seq] + (size_t)pos * s->info.n_vocab, n * row_of(s));
}

static void expert_keys(struct build *b)
{
	build_key_u32(b, "llama.expert_count", 8);
	build_key_u32(b, "llama.expert_used_count", 2);
}

/* Three blocks, each with two of eight experts. */
static int load_experts(struct accel_model **m)
{
	const struct llama_build l = {
		.type = ACCEL_F32, .blocks = 3, .embd = 32, .heads = 4, .kv_heads = 2, .ff = 48, .vocab = 300, .ctx = 128,
		.keys = expert_keys,
	};
	static const struct hybrid_part attention[] = {
		{ "attn_norm.weight", 32, 0 }, { "attn_q.weight", 32, 32 }, { "attn_k.weight", 32, 16 },
		{ "attn_v.weight", 32, 16 }, { "attn_output.weight", 32, 32 }, { "ffn_norm.weight", 32, 0 },
		{ "ffn_gate_inp.weight", 32, 8 },
	};
	static const struct hybrid_part experts[] = {
		{ "ffn_gate_exps.weight", 32, 48 }, { "ffn_up_exps.weight", 32, 48 }, { "ffn_down_exps.weight", 48, 32 },
	};
	struct build b;

	build_begin(&b);
	llama_keys(&b, &l);
	llama_matrix(&b, "token_embd.weight", l.type, l.embd, l.vocab);
	for (uint32_t i = 0; i < l.blocks; i++) {
		HYBRID_PARTS(&b, i, attention);
		for (size_t k = 0; k < sizeof(experts) / sizeof(experts[0]); k++) {
			char name[64];

			snprintf(name, sizeof(name), "blk.%u.%s", i, experts[k].name);
			build_tensor(&b, name, l.type, 3, (uint64_t []) { experts[k].cols, experts[k].rows, 8 });
		}
	}
	llama_vector(&b, "output_norm.weight", l.vectors, l.embd);
	build_data(&b);
	llama_fill(&b);
	return load_built(&b, m);
}

#endif
