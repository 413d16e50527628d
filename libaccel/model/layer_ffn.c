// SPDX-License-Identifier: MIT
/* FFN: a gated feed-forward network (N. Shazeer, "GLU Variants Improve Transformer", 2020). */
#include "layer.h"

enum { NORM, GATE, UP };

static uint32_t scratch(const struct layer *l, unsigned int i)
{
	return i == NORM ? l->embd : i == GATE || i == UP ? l->ffn.width : 0;
}

static void record_ffn(struct build *b)
{
	const struct octans_tensor x = build_x(b), norm = build_scratch(b, NORM);
	const struct octans_tensor gate = build_scratch(b, GATE), up = build_scratch(b, UP);

	build_rms(b, norm, x, FFN_NORM);
	build_matmul(b, gate, norm, FFN_GATE, FFN_BGATE, 0);
	build_matmul(b, up, norm, FFN_UP, FFN_BUP, 0);
	RECORD(&b->r, MAP, map, OCTANS_MAP(b->layer->ffn.activation, OCTANS_MAP_MUL), .dst = gate, .a = gate,
	       .b = up);
	build_matmul(b, x, gate, FFN_DOWN, FFN_BDOWN, OCTANS_MATMUL_ADD);
}

const struct layer_kind layer_ffn = {
	.id = ACCEL_LAYER_FFN, .name = "FFN", .grouped = true, .scratch = scratch, .record = record_ffn,
};
