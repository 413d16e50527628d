// SPDX-License-Identifier: MIT
/* EMBED: a token's row of the table. */
#include "layer.h"

static uint32_t scratch(const struct layer *l, unsigned int i)
{
	(void)l;
	(void)i;
	return 0;
}

static void record_embed(struct build *b)
{
	RECORD(&b->r, MOVE, move, 0, .dst = build_x(b), .src = build_weight(b, EMBED_TABLE),
	       .src_ids = build_array(b, b->at->step.tokens, 1));
}

const struct layer_kind layer_embed = {
	.id = ACCEL_LAYER_EMBED, .name = "EMBED", .scratch = scratch, .record = record_embed,
};
