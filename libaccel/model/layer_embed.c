// SPDX-License-Identifier: MIT
/* EMBED: a token's row of the table, scaled or normed where models do so; and one with the inputs of blocks. */
#include "layer.h"

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	(void)s;
	(void)l;
	(void)i;
	return 0;
}

static void record_embed(struct build *b)
{
	const struct octans_tensor x = build_x(b);

	RECORD(&b->r, MOVE, move, 0, .dst = x, .src = build_weight(b, EMBED_TABLE),
	       .src_ids = build_array(b, b->at->step.tokens, 1));
	if (b->layer->embed.scale)
		build_affine(b, x, x, b->layer->embed.scale, 0);
	if (build_has(b, EMBED_NORM))
		build_norm(b, x, x, EMBED_NORM, EMBED_NORM_B);
	if (build_has(b, EMBED_INPUTS))
		RECORD(&b->r, MOVE, move, 0,
		       .dst = build_beside(b, b->layer->embd, b->layer->w[EMBED_INPUTS].cols),
		       .src = build_weight(b, EMBED_INPUTS), .src_ids = build_array(b, b->at->step.tokens, 1));
}

const struct layer_kind layer_embed = {
	.id = ACCEL_LAYER_EMBED, .name = "EMBED", .scratch = scratch, .record = record_embed,
};
