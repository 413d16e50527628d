// SPDX-License-Identifier: MIT
/* SHORTCONV: a convolution of the last positions between two gates.  (Liquid AI, "LFM2", 2025.) */
#include "layer.h"

enum { NORM, IN, MIXED, Y };

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	(void)s;
	switch (i) {
	case NORM:
	case MIXED:
		return l->embd;
	case IN:
		return 3 * l->embd;
	case Y:
		return layer_adds_apart(l) ? l->embd : 0;
	}
	return 0;
}

static int prepare(struct layer *l, struct accel_model *m)
{
	(void)m;
	l->state.fixed[0] = (l->w[SHORTCONV_CONV].cols - 1) * l->embd;
	return 0;
}

static void record_conv(struct build *b)
{
	const uint32_t n = b->layer->embd;
	const struct octans_tensor in = build_scratch(b, IN), mixed = build_scratch(b, MIXED);

	build_norm(b, build_scratch(b, NORM), build_x(b), NORM_W, NORM_B);
	build_matmul(b, in, build_scratch(b, NORM), SHORTCONV_IN, NO_BIAS, 0);
	build_map(b, mixed, OCTANS_MAP_ID, tensor_columns(in, 0, n), OCTANS_MAP_MUL, tensor_columns(in, 2 * n, n));
	RECORD(&b->r, CONV, conv, 0, .dst = mixed, .x = mixed, .w = build_weight(b, SHORTCONV_CONV),
	       .state = build_state(b, 0), .slot = build_array(b, b->at->step.states, 2));
	build_map(b, mixed, OCTANS_MAP_ID, mixed, OCTANS_MAP_MUL, tensor_columns(in, n, n));
	build_add(b, mixed, SHORTCONV_OUT, NO_BIAS, Y);
}

const struct layer_kind layer_shortconv = {
	.id = ACCEL_LAYER_SHORTCONV, .name = "SHORTCONV", .grouped = true, .prepare = prepare, .scratch = scratch,
	.record = record_conv,
};
