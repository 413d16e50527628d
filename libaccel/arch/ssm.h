/* SPDX-License-Identifier: MIT */
/* What architectures with the state space of Mamba-2 have in common, as blocks.h for the others. */
#ifndef ACCEL_ARCH_SSM_H
#define ACCEL_ARCH_SSM_H

#include "blocks.h"

#define KEYS_OF_SSM \
	NEED_U32("ssm.conv_kernel",			taps,		2,	OCTANS_MAX_CONV), \
	NEED_U32("ssm.inner_size",			inner,		1,	OCTANS_MAX_COLS), \
	NEED_U32("ssm.state_size",			state,		1,	OCTANS_MAX_HEAD_DIM), \
	NEED_U32("ssm.time_step_rank",			dt_rank,	1,	OCTANS_MAX_HEADS), \
	NEED_U32("ssm.group_count",			ssm_groups,	1,	OCTANS_MAX_HEADS)

#define TENSORS_OF_SSM \
	MATRIX("ssm_in.weight",		SSM_IN,		ssm_in,	embd), \
	MATRIX_WIDE("ssm_conv1d.weight", SSM_CONV,	ssm_conv, taps), \
	BIAS("ssm_conv1d.bias",		SSM_CONV_B,		ssm_conv), \
	NORM("ssm_dt.bias",		SSM_DT_B,		dt_rank), \
	FLAT("ssm_a",			SSM_A,			dt_rank), \
	FLAT("ssm_d",			SSM_D,			dt_rank), \
	FLAT("ssm_norm.weight",		SSM_OUT_NORM,		inner), \
	MATRIX("ssm_out.weight",	SSM_OUT,	embd,	inner)

/* Of blocks that have one. */
int arch_derive_ssm(struct hparams *h, const char *path);
/* arch_layer.set */
int arch_set_ssm(struct layer *l, const struct hparams *h, struct loader *ld);

#endif
