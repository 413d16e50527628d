/* SPDX-License-Identifier: MIT */
/*
 * Layers: what a model is made of once its file has been read, and what is scheduled.
 * A layer kind is a short list of operations on named buffers and weights; executors
 * run that list without knowing architectures.
 */
#ifndef ACCEL_LAYER_H
#define ACCEL_LAYER_H

#include <stdbool.h>
#include <stdint.h>

#include <accel/model.h>

/* A weight as it lies in the file. */
struct weight {
	const void *data;	/* NULL: the model has none */
	uint64_t size;		/* bytes */
	uint64_t stride;	/* bytes of a row */
	uint32_t rows, cols;
	uint32_t type;		/* enum accel_type */
};

/* Activations of one batch; every row is a token. */
enum buf {
	BUF_X,			/* residual stream [n_embd] */
	BUF_CS,			/* cosines and sines [rot] */
	BUF_LOGITS,		/* [n_vocab] */
	BUF_SHARED,		/* the ones before are seen by every executor ... */
	BUF_NORM = BUF_SHARED,	/* ... those from here live within a layer */
	BUF_Q,
	BUF_K,
	BUF_V,
	BUF_ATT,
	BUF_GATE,
	BUF_UP,
	BUF_COUNT,
	BUF_NONE = BUF_COUNT,
};

enum op_kind { OP_EMBED, OP_RMSNORM, OP_MATMUL, OP_ROPE, OP_ATTN, OP_GLU };

struct op {
	enum op_kind kind;
	enum buf dst, a, b;	/* ATTN: a = q; k and v are BUF_K, BUF_V */
	int8_t w;		/* slot in layer.w, -1 = none */
	int8_t bias;
	bool add;		/* MATMUL: onto dst */
};

/* Weight slots */
enum { EMBED_TABLE };
enum { ATTN_NORM, ATTN_Q, ATTN_K, ATTN_V, ATTN_OUT, ATTN_BQ, ATTN_BK, ATTN_BV, ATTN_BOUT };
enum { FFN_NORM, FFN_GATE, FFN_UP, FFN_DOWN };
enum { HEAD_NORM, HEAD_OUT };
#define LAYER_WEIGHTS 9

struct layer {
	enum accel_layer_kind kind;
	uint32_t block;
	struct weight w[LAYER_WEIGHTS];
};

/* The operations of a layer kind, in order. */
const struct op *layer_ops(enum accel_layer_kind kind, unsigned int *n);

uint64_t layer_weight_bytes(const struct layer *l);
/* Multiply-adds for one token, attention scores left out. */
uint64_t layer_macs(const struct layer *l);

struct gguf;

struct accel_model {
	struct gguf *file;
	char arch[32];
	char name[128];
	uint32_t n_layers, n_blocks;
	uint32_t n_embd, n_vocab, n_ff, n_heads, n_kv_heads, head_dim;
	uint32_t n_ctx_train;
	float eps;		/* of RMSNorm */
	float attn_scale;
	uint32_t rot;		/* rotated dimensions of a head */
	bool rope_half;
	double rope_base;
	double rope_scale;	/* positions are divided by it */
	const float *rope_freqs;	/* [rot / 2] divisors, or NULL */
	uint64_t n_params;
	struct layer *layers;	/* [n_layers] */
};

/* Columns of a buffer. */
uint32_t model_buf_cols(const struct accel_model *m, enum buf buf);
/* Bytes of one position in the KV cache of one layer. */
uint64_t model_kv_bytes(const struct accel_model *m);
const struct gguf *accel_model_gguf(const struct accel_model *m);

/* Architectures: fill *m from m->file; -EINVAL with a sentence.  layers is freed by
 * accel_model_free(). */
int llama_load(struct accel_model *m, const char *path);

#endif
