// SPDX-License-Identifier: MIT
#include "layer.h"

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
