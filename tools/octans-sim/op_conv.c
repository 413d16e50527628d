// SPDX-License-Identifier: MIT
/* CONV: causal depthwise convolution with state. */
#include <string.h>

#include "numeric.h"
#include "op_state.h"

#define CONV_PIECE 4096u	/* channels that go through all rows */

struct conv {
	struct operand dst, x, w, bias, state, slot;
	struct slots slots;
	uint32_t m, channels, taps;
	float *weights;			/* [taps][CONV_PIECE] */
	float *inputs;			/* [taps][CONV_PIECE], a ring of rows */
	float *offset, *y, *raw;
};

static int conv_check(struct exec *e, struct conv *p, const struct octans_cmd_conv *c)
{
	if (c->cmd.flags || !exec_operand(e, &p->dst, &c->dst, EXEC_F32, 0) ||
	    !exec_operand(e, &p->x, &c->x, EXEC_F32, 0) ||
	    !exec_operand(e, &p->w, &c->w, EXEC_F32, 0) ||
	    !exec_operand(e, &p->bias, &c->bias, EXEC_F32, EXEC_OPTIONAL) ||
	    !exec_operand(e, &p->state, &c->state, EXEC_F32, EXEC_FIXED) ||
	    !exec_operand(e, &p->slot, &c->slot, EXEC_I32, 0))
		return OCTANS_JOB_BAD_CMD;
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	p->m = p->x.rows;
	p->channels = p->x.cols;
	p->taps = p->w.cols;
	if (p->taps < 2 || p->taps > OCTANS_MAX_CONV || p->dst.cols != p->channels ||
	    (p->bias.present && p->bias.cols != p->channels) || p->slot.cols != 2 ||
	    p->state.cols != (p->taps - 1) * p->channels)
		return OCTANS_JOB_BAD_CMD;
	return OCTANS_JOB_OK;
}

static float *conv_input(const struct conv *p, uint32_t i, uint32_t j)
{
	return p->inputs + (uint64_t)(i + j) % p->taps * CONV_PIECE;
}

/* Weights and bias of the channels @first .. */
static int conv_weights(struct exec *e, struct conv *p, uint32_t first, uint32_t n)
{
	EXEC_TRY(exec_get_elements(e, &p->w, (uint64_t)first * p->taps, n * p->taps, p->raw));
	for (uint32_t c = 0; c < n; c++)
		for (uint32_t j = 0; j < p->taps; j++)
			p->weights[j * CONV_PIECE + c] = p->raw[c * p->taps + j];
	if (p->bias.present)
		EXEC_TRY(exec_get_elements(e, &p->bias, first, n, p->offset));
	return exec_work(e, (uint64_t)n * p->taps);
}

static uint64_t conv_state(const struct conv *p, uint32_t slot, uint32_t j, uint32_t first)
{
	return exec_row(&p->state, slot) + 4 * ((uint64_t)j * p->channels + first);
}

static int conv_row(struct exec *e, struct conv *p, uint32_t i, uint32_t first, uint32_t n)
{
	const float *in[OCTANS_MAX_CONV];
	int32_t from = slots_from(&p->slots, i), to = slots_to(&p->slots, i);

	for (uint32_t j = 0; j < p->taps; j++)
		in[j] = conv_input(p, i, j);
	for (uint32_t j = 0; j < p->taps - 1 && !slots_follow(&p->slots, i); j++) {
		if (from < 0)
			memset(conv_input(p, i, j), 0, n * 4ull);
		else
			EXEC_TRY(exec_get(e, conv_state(p, (uint32_t)from, j, first), n * 4ull,
					  conv_input(p, i, j)));
	}
	EXEC_TRY(exec_get_elements(e, &p->x, (uint64_t)i * p->channels + first, n,
				   conv_input(p, i, p->taps - 1)));
	sim_conv(p->y, in, p->weights, p->bias.present ? p->offset : NULL, p->taps, CONV_PIECE, n);
	sim_canonical(p->y, n);
	for (uint32_t j = 1; j < p->taps && slots_stored(&p->slots, i); j++) {
		sim_canonical(conv_input(p, i, j), n);
		EXEC_TRY(exec_put(e, conv_state(p, (uint32_t)to, j - 1, first), n * 4ull, in[j]));
	}
	EXEC_TRY(exec_put_elements(e, &p->dst, (uint64_t)i * p->channels + first, n, p->y));
	return exec_work(e, (uint64_t)n * p->taps);
}

static int conv_data(struct exec *e, struct conv *p)
{
	p->weights = exec_alloc(e, (uint64_t)p->taps * CONV_PIECE * 4);
	p->inputs = exec_alloc(e, (uint64_t)p->taps * CONV_PIECE * 4);
	p->raw = exec_alloc(e, (uint64_t)p->taps * CONV_PIECE * 4);
	p->offset = exec_alloc(e, CONV_PIECE * 4);
	p->y = exec_alloc(e, CONV_PIECE * 4);
	if (!p->weights || !p->inputs || !p->raw || !p->offset || !p->y)
		return OCTANS_JOB_BUS;
	for (uint32_t at = 0, n; at < p->channels; at += n) {
		n = p->channels - at < CONV_PIECE ? p->channels - at : CONV_PIECE;
		EXEC_TRY(conv_weights(e, p, at, n));
		for (uint32_t i = 0; i < p->m; i++)
			EXEC_TRY(conv_row(e, p, i, at, n));
	}
	return OCTANS_JOB_OK;
}

int exec_conv(struct exec *e, const struct octans_cmd_conv *c)
{
	struct conv p = { 0 };

	EXEC_TRY(conv_check(e, &p, c));
	if (exec_skipped(e))
		return OCTANS_JOB_OK;
	if (p.m > OCTANS_MAX_TOKENS || p.dst.rows != p.m || p.w.rows != p.channels ||
	    (p.bias.present && p.bias.rows != 1) || p.slot.rows != p.m)
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(slots_read(e, &p.slots, &p.slot, p.state.rows));
	EXEC_TRY(exec_cost(e, false, &p.x));
	EXEC_TRY(exec_cost(e, false, &p.w));
	EXEC_TRY(exec_cost(e, false, &p.bias));
	EXEC_TRY(exec_cost(e, false, &p.slot));
	EXEC_TRY(slots_cost(e, &p.slots, &p.state, false));
	EXEC_TRY(slots_cost(e, &p.slots, &p.state, true));
	EXEC_TRY(exec_cost(e, true, &p.dst));
	e->ex->macs_f32 = (uint64_t)p.m * p.channels * p.taps;
	return e->ex->timing_only ? OCTANS_JOB_OK : conv_data(e, &p);
}
