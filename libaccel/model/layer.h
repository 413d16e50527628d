/* SPDX-License-Identifier: MIT */
/*
 * Layers: what a model is made of once its file has been read, and what is scheduled.
 * What a kind of layer computes is written down once, as commands: session/record.c.
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

/* Activations of one step; every row is a token. */
enum buf {
	BUF_X,			/* residual stream [n_embd] */
	BUF_NORM,		/* the others live within a layer */
	BUF_Q,
	BUF_K,
	BUF_V,
	BUF_ATT,
	BUF_GATE,
	BUF_UP,
	BUF_LOGITS,		/* [n_vocab], of the rows wanted */
	BUF_COUNT,
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

uint64_t layer_weight_bytes(const struct layer *l);

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
/* Bytes of the keys (or the values) of one position of one layer in a cache of this type. */
uint64_t model_kv_row(const struct accel_model *m, enum accel_kv_type type);
/* That type's number among those of weights. */
uint32_t kv_element(enum accel_kv_type type);
const struct gguf *accel_model_gguf(const struct accel_model *m);

/* Architectures: fill *m from m->file; -EINVAL with a sentence.  layers is freed by
 * accel_model_free(). */
int llama_load(struct accel_model *m, const char *path);

#endif
