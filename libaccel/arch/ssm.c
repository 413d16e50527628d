// SPDX-License-Identifier: MIT
#include "ssm.h"

#include <errno.h>

#include "error.h"

int arch_derive_ssm(struct hparams *h, const char *path)
{
	if (h->inner % h->dt_rank || h->dt_rank % h->ssm_groups || h->inner / h->dt_rank > OCTANS_MAX_HEAD_DIM ||
	    (uint64_t)h->inner * h->state > OCTANS_MAX_COLS)
		return fail(-EINVAL, "%s: a state space of %u columns in %u heads and %u groups, each with %u numbers, is not supported",
			    path, h->inner, h->dt_rank, h->ssm_groups, h->state);
	h->ssm_conv = h->inner + 2 * h->ssm_groups * h->state;
	h->ssm_in = h->inner + h->ssm_conv + h->dt_rank;
	return 0;
}

int arch_set_ssm(struct layer *l, const struct hparams *h, struct loader *ld)
{
	(void)ld;
	l->ssm = (struct ssm2) {
		.heads = h->dt_rank, .head_dim = h->inner / h->dt_rank, .groups = h->ssm_groups,
		.state = h->state, .taps = h->taps,
	};
	return 0;
}
