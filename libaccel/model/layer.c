// SPDX-License-Identifier: MIT
#include "layer.h"

static const struct op embed_ops[] = {
	{ OP_EMBED, BUF_X, BUF_NONE, BUF_NONE, EMBED_TABLE, -1, false },
};

static const struct op attn_ops[] = {
	{ OP_RMSNORM, BUF_NORM, BUF_X, BUF_NONE, ATTN_NORM, -1, false },
	{ OP_MATMUL, BUF_Q, BUF_NORM, BUF_NONE, ATTN_Q, ATTN_BQ, false },
	{ OP_MATMUL, BUF_K, BUF_NORM, BUF_NONE, ATTN_K, ATTN_BK, false },
	{ OP_MATMUL, BUF_V, BUF_NORM, BUF_NONE, ATTN_V, ATTN_BV, false },
	{ OP_ROPE, BUF_Q, BUF_Q, BUF_CS, -1, -1, false },
	{ OP_ROPE, BUF_K, BUF_K, BUF_CS, -1, -1, false },
	{ OP_ATTN, BUF_ATT, BUF_Q, BUF_NONE, -1, -1, false },
	{ OP_MATMUL, BUF_X, BUF_ATT, BUF_NONE, ATTN_OUT, ATTN_BOUT, true },
};

static const struct op ffn_ops[] = {
	{ OP_RMSNORM, BUF_NORM, BUF_X, BUF_NONE, FFN_NORM, -1, false },
	{ OP_MATMUL, BUF_GATE, BUF_NORM, BUF_NONE, FFN_GATE, -1, false },
	{ OP_MATMUL, BUF_UP, BUF_NORM, BUF_NONE, FFN_UP, -1, false },
	{ OP_GLU, BUF_GATE, BUF_GATE, BUF_UP, -1, -1, false },
	{ OP_MATMUL, BUF_X, BUF_GATE, BUF_NONE, FFN_DOWN, -1, true },
};

static const struct op head_ops[] = {
	{ OP_RMSNORM, BUF_NORM, BUF_X, BUF_NONE, HEAD_NORM, -1, false },
	{ OP_MATMUL, BUF_LOGITS, BUF_NORM, BUF_NONE, HEAD_OUT, -1, false },
};

#define OPS(list) (*n = sizeof(list) / sizeof((list)[0]), (list))

const struct op *layer_ops(enum accel_layer_kind kind, unsigned int *n)
{
	switch (kind) {
	case ACCEL_LAYER_EMBED:
		return OPS(embed_ops);
	case ACCEL_LAYER_ATTN_GQA:
		return OPS(attn_ops);
	case ACCEL_LAYER_FFN:
		return OPS(ffn_ops);
	case ACCEL_LAYER_HEAD:
		return OPS(head_ops);
	}
	*n = 0;
	return NULL;
}

const char *accel_layer_kind_name(enum accel_layer_kind kind)
{
	switch (kind) {
	case ACCEL_LAYER_EMBED:
		return "EMBED";
	case ACCEL_LAYER_ATTN_GQA:
		return "ATTN_GQA";
	case ACCEL_LAYER_FFN:
		return "FFN";
	case ACCEL_LAYER_HEAD:
		return "HEAD";
	}
	return "?";
}

uint64_t layer_weight_bytes(const struct layer *l)
{
	uint64_t sum = 0;

	for (int i = 0; i < LAYER_WEIGHTS; i++)
		sum += l->w[i].size;
	return sum;
}

uint64_t layer_macs(const struct layer *l)
{
	uint64_t sum = 0;

	if (l->kind == ACCEL_LAYER_EMBED)
		return l->w[EMBED_TABLE].cols;
	for (int i = 0; i < LAYER_WEIGHTS; i++)
		sum += (uint64_t)l->w[i].rows * l->w[i].cols;
	return sum;
}
