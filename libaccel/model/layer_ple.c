// SPDX-License-Identifier: MIT
/*
 * PLE: per-layer embeddings (Gemma Team, "Gemma 3n", 2025): the block's own input of a token, as much of
 * it as the residual stream lets through, is projected and added.
 */
#include "layer.h"

enum { GATE, Y };

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	(void)s;
	switch (i) {
	case GATE:
		return l->ple.width;
	case Y:
		return layer_adds_apart(l) ? l->embd : 0;
	}
	return 0;
}

static void record_ple(struct build *b)
{
	const struct ple *p = &b->layer->ple;
	const struct octans_tensor gate = build_scratch(b, GATE);

	build_matmul(b, gate, build_x(b), PLE_GATE, NO_BIAS, 0);
	build_map(b, gate, OCTANS_MAP_GELU_TANH, gate, OCTANS_MAP_MUL, build_beside(b, p->from, p->width));
	build_add(b, gate, PLE_PROJ, NO_BIAS, Y);
	build_stream(b, PLE_STREAM);
}

const struct layer_kind layer_ple = {
	.id = ACCEL_LAYER_PLE, .name = "PLE", .grouped = true, .scratch = scratch, .record = record_ple,
};
