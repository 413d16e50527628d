// SPDX-License-Identifier: MIT
/*
 * INPUTS: what each block gets of a token beside the residual stream (per-layer inputs: Gemma Team,
 * "Gemma 3n", 2025), made once, before the first: what the token's embedding is projected to, normed
 * for each block, and what the token's row of a table says.
 */
#include <math.h>

#include "layer.h"

enum { PROJECTED };

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	(void)s;
	return i == PROJECTED ? (uint64_t)l->inputs.blocks * l->inputs.width : 0;
}

static void record_inputs(struct build *b)
{
	const struct inputs *in = &b->layer->inputs;
	const struct octans_tensor y = build_scratch(b, PROJECTED), to = build_beside(b, b->layer->embd, y.cols);

	build_matmul(b, y, build_x(b), INPUTS_PROJ, NO_BIAS, 0);
	build_affine(b, y, y, 1 / sqrtf(b->layer->embd), 0);
	build_rms(b, y, y, INPUTS_NORM, in->blocks);
	RECORD(&b->r, MAP, map, OCTANS_MAP(OCTANS_MAP_ID, OCTANS_MAP_ADD) | OCTANS_MAP_AFFINE, .dst = to, .a = to,
	       .b = y, .imm = { sqrtf(in->width), 0 });
	build_affine(b, to, to, 1 / sqrtf(2), 0);
}

const struct layer_kind layer_inputs = {
	.id = ACCEL_LAYER_INPUTS, .name = "INPUTS", .grouped = true, .scratch = scratch, .record = record_inputs,
};
