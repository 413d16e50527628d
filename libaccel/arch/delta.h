/* SPDX-License-Identifier: MIT */
/* What architectures with the gated delta rule have in common, as blocks.h for the others. */
#ifndef ACCEL_ARCH_DELTA_H
#define ACCEL_ARCH_DELTA_H

#include "blocks.h"

#define KEYS_OF_DELTA \
	NEED_U32("ssm.conv_kernel",			taps,		2,	OCTANS_MAX_CONV), \
	NEED_U32("ssm.inner_size",			inner,		1,	OCTANS_MAX_COLS), \
	NEED_U32("ssm.state_size",			state,		1,	OCTANS_MAX_HEAD_DIM), \
	NEED_U32("ssm.time_step_rank",			dt_rank,	1,	OCTANS_MAX_HEADS), \
	NEED_U32("ssm.group_count",			key_heads,	1,	OCTANS_MAX_HEADS)

#define TENSORS_OF_DELTA \
	MATRIX_IF("attn_qkv.weight",	DELTA_QKV,	ssm_conv,	embd), \
	MATRIX_IF("attn_gate.weight",	DELTA_Z,	inner,	embd), \
	MATRIX_IF("ssm_in.weight",	DELTA_QKVZ,	ssm_in,	embd),	/* the first files of qwen3next */ \
	MATRIX_WIDE("ssm_conv1d.weight", DELTA_CONV,	ssm_conv,	taps), \
	NORM("ssm_dt.bias",		DELTA_DT_B,	dt_rank), \
	FLAT("ssm_a",			DELTA_A,	dt_rank), \
	MATRIX_IF("ssm_beta.weight",	DELTA_BETA,	dt_rank,	embd), \
	MATRIX_IF("ssm_alpha.weight",	DELTA_ALPHA,	dt_rank,	embd), \
	MATRIX_IF("ssm_ba.weight",	DELTA_BA,	heads2,	embd), \
	NORM("ssm_norm.weight",		DELTA_OUT_NORM,	state_dim), \
	MATRIX("ssm_out.weight",	DELTA_OUT,	embd,	inner)

int arch_derive_delta(struct hparams *h, const char *path);
/* arch_layer.set */
int arch_set_delta(struct layer *l, const struct hparams *h, struct loader *ld);

#endif
