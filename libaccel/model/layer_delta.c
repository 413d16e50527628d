// SPDX-License-Identifier: MIT
/*
 * DELTA: linear attention by the gated delta rule (S. Yang et al., "Gated Delta Networks", 2024): a
 * state that fades, and in which each position corrects what it finds at its key.
 */
#include <math.h>

#include "layer.h"

enum { NORM, MIXED, CONVOLVED, Z, BETA, DECAY, BOTH, QUERIES, KEYS, RESULT, Y, ALL, VALUES };

static uint32_t keys(const struct delta *d)
{
	return d->key_heads * d->key_dim;
}

static uint32_t values(const struct delta *d)
{
	return d->heads * d->value_dim;
}

/* Queries and keys are written down once for each value head: the heads that share one do not follow each other. */
static bool spread(const struct delta *d)
{
	return d->tiled && d->heads != d->key_heads;
}

/* Queries, keys, values and Z come from one matrix, of each key head in turn. */
static bool joined(const struct layer *l)
{
	return l->w[DELTA_QKVZ].data;
}

static uint64_t scratch(const struct layer *l, const struct shape *s, unsigned int i)
{
	const struct delta *d = &l->delta;

	(void)s;
	switch (i) {
	case NORM:
		return l->embd;
	case MIXED:
	case CONVOLVED:
		return 2 * keys(d) + values(d);
	case Z:
	case RESULT:
		return values(d);
	case BETA:
	case DECAY:
		return d->heads;
	case BOTH:
		return l->w[DELTA_BA].data ? 2 * d->heads : 0;
	case QUERIES:
	case KEYS:
		return spread(d) ? d->heads * d->key_dim : joined(l) ? keys(d) : 0;
	case ALL:
		return joined(l) ? 2 * (keys(d) + values(d)) : 0;
	case VALUES:
		return joined(l) ? values(d) : 0;
	case Y:
		return layer_adds_apart(l) ? l->embd : 0;
	}
	return 0;
}

static int prepare(struct layer *l, struct accel_model *m)
{
	struct delta *d = &l->delta;

	l->state.fixed[0] = values(d) * d->key_dim;
	l->state.fixed[1] = (d->taps - 1) * (2 * keys(d) + values(d));
	d->times = LAYER_NONE;
	if (!l->w[DELTA_BA].data && !joined(l))
		return 0;
	d->times = model_times(m, d->key_heads);
	return d->times < 0 ? d->times : 0;
}

/* Of all, n columns of each key head from the one of number from on, side by side. */
static struct octans_tensor gather(struct build *b, unsigned int to, uint32_t from, uint32_t n)
{
	const struct delta *d = &b->layer->delta;
	const struct octans_tensor all = build_split(b, build_scratch(b, ALL), d->times, d->key_heads);

	build_map(b, build_scratch_rows(b, to, d->times, d->key_heads, n), OCTANS_MAP_ID,
		  tensor_columns(all, from, n), OCTANS_MAP_NONE, (struct octans_tensor) { 0 });
	return build_scratch_rows(b, to, LAYER_NONE, 1, n * d->key_heads);
}

static void record_joined(struct build *b)
{
	const struct delta *d = &b->layer->delta;
	const struct octans_tensor mixed = build_scratch(b, MIXED), none = { 0 };
	const uint32_t n = values(d) / d->key_heads;

	build_matmul(b, build_scratch(b, ALL), build_scratch(b, NORM), DELTA_QKVZ, NO_BIAS, 0);
	build_map(b, tensor_columns(mixed, 0, keys(d)), OCTANS_MAP_ID, gather(b, QUERIES, 0, d->key_dim),
		  OCTANS_MAP_NONE, none);
	build_map(b, tensor_columns(mixed, keys(d), keys(d)), OCTANS_MAP_ID, gather(b, KEYS, d->key_dim, d->key_dim),
		  OCTANS_MAP_NONE, none);
	build_map(b, tensor_columns(mixed, 2 * keys(d), values(d)), OCTANS_MAP_ID,
		  gather(b, VALUES, 2 * d->key_dim, n), OCTANS_MAP_NONE, none);
	gather(b, Z, 2 * d->key_dim + n, n);
}

static void record_apart(struct build *b)
{
	build_matmul(b, build_scratch(b, MIXED), build_scratch(b, NORM), DELTA_QKV, NO_BIAS, 0);
	build_matmul(b, build_scratch(b, Z), build_scratch(b, NORM), DELTA_Z, NO_BIAS, 0);
}

/* How much is corrected, and what the decay is made of: of each head, or of each key head in turn. */
static void record_gates(struct build *b, struct octans_tensor beta, struct octans_tensor decay)
{
	const struct delta *d = &b->layer->delta;
	const struct octans_tensor norm = build_scratch(b, NORM), none = { 0 };
	const uint32_t n = d->heads / d->key_heads;
	struct octans_tensor both;

	if (build_has(b, DELTA_BA)) {
		build_matmul(b, build_scratch(b, BOTH), norm, DELTA_BA, NO_BIAS, 0);
		both = build_split(b, build_scratch(b, BOTH), d->times, d->key_heads);
		build_map(b, build_split(b, beta, d->times, d->key_heads), OCTANS_MAP_SIGMOID,
			  tensor_columns(both, 0, n), OCTANS_MAP_NONE, none);
		build_map(b, build_split(b, decay, d->times, d->key_heads), OCTANS_MAP_ID,
			  tensor_columns(both, n, n), OCTANS_MAP_NONE, none);
	} else {
		build_matmul(b, beta, norm, DELTA_BETA, NO_BIAS, 0);
		build_map(b, beta, OCTANS_MAP_SIGMOID, beta, OCTANS_MAP_NONE, none);
		build_matmul(b, decay, norm, DELTA_ALPHA, NO_BIAS, 0);
	}
	build_map(b, decay, OCTANS_MAP_ID, decay, OCTANS_MAP_ADD, build_weight(b, DELTA_DT_B));
	build_map(b, decay, OCTANS_MAP_SOFTPLUS, decay, OCTANS_MAP_MUL, build_weight(b, DELTA_A));
}

/* Queries or keys, each head's of length one, as the scan takes them. */
static struct octans_tensor unit(struct build *b, uint32_t from, unsigned int to)
{
	const struct delta *d = &b->layer->delta;
	const struct octans_tensor x = tensor_columns(build_scratch(b, CONVOLVED), from, keys(d));

	RECORD(&b->r, ROW, row, OCTANS_ROW_L2, .dst = x, .x = x, .groups = d->key_heads, .eps = b->layer->eps);
	if (!spread(d))
		return x;
	for (uint32_t at = 0; at < d->heads * d->key_dim; at += keys(d))
		RECORD(&b->r, MOVE, move, 0, .dst = tensor_columns(build_scratch(b, to), at, keys(d)), .src = x);
	return build_scratch(b, to);
}

static void record_delta(struct build *b)
{
	const struct delta *d = &b->layer->delta;
	const struct octans_tensor norm = build_scratch(b, NORM), mixed = build_scratch(b, MIXED), none = { 0 };
	const struct octans_tensor convolved = build_scratch(b, CONVOLVED), y = build_scratch(b, RESULT);
	const struct octans_tensor beta = build_scratch(b, BETA), decay = build_scratch(b, DECAY);
	const struct octans_tensor slots = build_array(b, b->at->step.states, 2);
	struct octans_tensor q, k;

	build_norm(b, norm, build_x(b), NORM_W, NORM_B);
	if (joined(b->layer))
		record_joined(b);
	else
		record_apart(b);
	record_gates(b, beta, decay);
	RECORD(&b->r, CONV, conv, 0, .dst = convolved, .x = mixed, .w = build_weight(b, DELTA_CONV),
	       .state = build_state(b, 1), .slot = slots);
	build_map(b, convolved, OCTANS_MAP_SILU, convolved, OCTANS_MAP_NONE, none);
	q = unit(b, 0, QUERIES);
	k = unit(b, keys(d), KEYS);
	RECORD(&b->r, SCAN, scan, OCTANS_SCAN_DELTA, .dst = y,
	       .v = tensor_columns(convolved, 2 * keys(d), values(d)), .k = k, .q = q, .g = decay, .beta = beta,
	       .state = build_state(b, 0), .slot = slots, .heads = d->heads,
	       .groups = spread(d) ? d->heads : d->key_heads, .dk = d->key_dim, .dv = d->value_dim,
	       .scale = 1 / sqrtf(d->key_dim));
	build_rms(b, y, y, DELTA_OUT_NORM, d->heads);
	build_map(b, y, OCTANS_MAP_SILU, build_scratch(b, Z), OCTANS_MAP_MUL, y);
	build_add(b, y, DELTA_OUT, NO_BIAS, Y);
}

const struct layer_kind layer_delta = {
	.id = ACCEL_LAYER_DELTA, .name = "DELTA", .grouped = true, .prepare = prepare, .scratch = scratch,
	.record = record_delta,
};
