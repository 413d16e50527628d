// SPDX-License-Identifier: MIT
/* CONV: shared out by channels; the rows of a channel are taken in order. */
#include "op.h"

#define CHANNELS 64u		/* of an item */

struct task {
	const struct kernels *k;
	struct conv conv;
};

static void conv_channels(void *arg, uint32_t from, uint32_t to, uint32_t thread)
{
	const struct task *t = arg;
	uint32_t end = to * CHANNELS;

	(void)thread;
	t->k->conv(&t->conv, from * CHANNELS, end < t->conv.channels ? end : t->conv.channels);
}

static int run(struct cpu *cpu, const void *command, const struct view *view)
{
	const struct view *dst = &view[0], *x = &view[1], *w = &view[2], *bias = &view[3];
	const struct view *state = &view[4], *slot = &view[5];
	uint32_t m = x->rows, c = x->cols, taps = w->cols;
	struct task t = { .k = cpu->k };

	(void)command;
	if (m > OCTANS_MAX_TOKENS || !is_shape(dst, m, c) || w->rows != c || taps < 2 ||
	    taps > OCTANS_MAX_CONV || !is_shape_or_absent(bias, 1, c) ||
	    state->cols != (uint64_t)(taps - 1) * c || !is_shape(slot, m, 2) ||
	    !slots_ok(slot, state->rows))
		return -EINVAL;
	t.conv = (struct conv) {
		.dst = row_f32(dst, 0), .x = row_f32(x, 0), .w = row_f32(w, 0),
		.bias = bias->data ? row_f32(bias, 0) : NULL,
		.dst_stride = dst->stride / 4, .x_stride = x->stride / 4, .w_stride = w->stride / 4,
		.taps = taps, .m = m, .channels = c,
		.state = row_f32(state, 0), .state_stride = state->stride / 4,
		.slot = slot->data, .slot_stride = slot->stride,
	};
	share(cpu, (c + CHANNELS - 1) / CHANNELS, (uint64_t)m * taps * CHANNELS / 4, conv_channels,
	      &t);
	return 0;
}

const struct op op_conv = {
	.name = "CONV",
	.size = sizeof(struct octans_cmd_conv),
	.operands = 6,
	.operand = {
		{ offsetof(struct octans_cmd_conv, dst), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_conv, x), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_conv, w), false, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_conv, bias), true, false, TYPE(F32) },
		{ offsetof(struct octans_cmd_conv, state), false, true, TYPE(F32) },
		{ offsetof(struct octans_cmd_conv, slot), false, false, TYPE(I32) },
	},
	.run = run,
};
