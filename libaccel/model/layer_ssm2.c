// SPDX-License-Identifier: MIT
/*
 * SSM2: the selective state space of Mamba-2 (T. Dao, A. Gu, "Transformers are SSMs", 2024): a
 * convolution of the last positions, and a state that each position lets fade and adds to.
 */
#include "layer.h"

enum { NORM, IN, MIXED, STEP, RESULT, Y };

/* Where what comes in has its parts: gate, x, B, C, step. */
static uint32_t inner(const struct ssm2 *s)
{
	return s->heads * s->head_dim;
}

static uint32_t mixed(const struct ssm2 *s)
{
	return inner(s) + 2 * s->groups * s->state;
}

static uint64_t scratch(const struct layer *l, const struct shape *shape, unsigned int i)
{
	const struct ssm2 *s = &l->ssm;

	(void)shape;
	switch (i) {
	case NORM:
		return l->embd;
	case IN:
		return inner(s) + mixed(s) + s->heads;
	case MIXED:
		return mixed(s);
	case STEP:
		return s->heads;
	case RESULT:
		return inner(s);
	case Y:
		return layer_adds_apart(l) ? l->embd : 0;
	}
	return 0;
}

static int prepare(struct layer *l, struct accel_model *m)
{
	const struct ssm2 *s = &l->ssm;

	(void)m;
	l->state.fixed[0] = inner(s) * s->state;
	l->state.fixed[1] = (s->taps - 1) * mixed(s);
	return 0;
}

static void record_scan(struct build *b)
{
	const struct ssm2 *s = &b->layer->ssm;
	const struct octans_tensor m = build_scratch(b, MIXED), step = build_scratch(b, STEP);
	const uint32_t n = s->groups * s->state;

	RECORD(&b->r, SCAN, scan, OCTANS_SCAN_SSM, .dst = build_scratch(b, RESULT),
	       .v = tensor_columns(m, 0, inner(s)), .k = tensor_columns(m, inner(s), n),
	       .q = tensor_columns(m, inner(s) + n, n), .g = step, .a = build_weight(b, SSM_A),
	       .d = build_weight(b, SSM_D), .state = build_state(b, 0),
	       .slot = build_array(b, b->at->step.states, 2), .heads = s->heads, .groups = s->groups,
	       .dk = s->state, .dv = s->head_dim, .scale = 1);
}

static void record_ssm(struct build *b)
{
	const struct ssm2 *s = &b->layer->ssm;
	const struct octans_tensor in = build_scratch(b, IN), m = build_scratch(b, MIXED);
	const struct octans_tensor step = build_scratch(b, STEP), y = build_scratch(b, RESULT), none = { 0 };

	build_norm(b, build_scratch(b, NORM), build_x(b), NORM_W, NORM_B);
	build_matmul(b, in, build_scratch(b, NORM), SSM_IN, NO_BIAS, 0);
	RECORD(&b->r, CONV, conv, 0, .dst = m, .x = tensor_columns(in, inner(s), mixed(s)),
	       .w = build_weight(b, SSM_CONV), .bias = build_weight(b, SSM_CONV_B), .state = build_state(b, 1),
	       .slot = build_array(b, b->at->step.states, 2));
	build_map(b, m, OCTANS_MAP_SILU, m, OCTANS_MAP_NONE, none);
	build_map(b, step, OCTANS_MAP_ID, tensor_columns(in, inner(s) + mixed(s), s->heads), OCTANS_MAP_ADD,
		  build_weight(b, SSM_DT_B));
	build_map(b, step, OCTANS_MAP_SOFTPLUS, step, OCTANS_MAP_NONE, none);
	record_scan(b);
	build_map(b, y, OCTANS_MAP_SILU, tensor_columns(in, 0, inner(s)), OCTANS_MAP_MUL, y);
	build_rms(b, y, y, SSM_OUT_NORM, s->groups);
	build_add(b, y, SSM_OUT, NO_BIAS, Y);
}

const struct layer_kind layer_ssm2 = {
	.id = ACCEL_LAYER_SSM2, .name = "SSM2", .grouped = true, .prepare = prepare, .scratch = scratch,
	.record = record_ssm,
};
