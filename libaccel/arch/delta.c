// SPDX-License-Identifier: MIT
#include "delta.h"

#include <errno.h>

#include "error.h"

int arch_derive_delta(struct hparams *h, const char *path)
{
	if (h->inner % h->dt_rank || h->dt_rank % h->key_heads || (uint64_t)h->inner * h->state > OCTANS_MAX_COLS)
		return fail(-EINVAL, "%s: a delta rule of %u columns in %u heads, which share the keys of %u, each with %u numbers, is not supported",
			    path, h->inner, h->dt_rank, h->key_heads, h->state);
	h->ssm_conv = 2 * h->key_heads * h->state + h->inner;
	h->ssm_in = h->ssm_conv + h->inner;
	h->state_dim = h->inner / h->dt_rank;
	h->heads2 = 2 * h->dt_rank;
	return 0;
}

/* The file has two matrices, or one that holds both. */
static int check_whole(const struct loader *ld, const struct layer *l, const int slots[3],
		       const char *const names[3])
{
	const bool first = l->w[slots[0]].data, second = l->w[slots[1]].data, whole = l->w[slots[2]].data;

	if (whole && (first || second))
		return fail(-EINVAL, "%s: the tensor \"blk.%u.%s\" holds what other tensors of its block hold, too",
			    ld->path, l->block, names[2]);
	if (!whole && !(first && second))
		return fail(-EINVAL, "%s: block %u needs the tensors \"%s\" and \"%s\", or \"%s\" instead of the two",
			    ld->path, l->block, names[0], names[1], names[2]);
	return 0;
}

int arch_set_delta(struct layer *l, const struct hparams *h, struct loader *ld)
{
	static const int in[] = { DELTA_QKV, DELTA_Z, DELTA_QKVZ }, gates[] = { DELTA_BETA, DELTA_ALPHA, DELTA_BA };
	static const char *const in_names[] = { "attn_qkv.weight", "attn_gate.weight", "ssm_in.weight" };
	static const char *const gate_names[] = { "ssm_beta.weight", "ssm_alpha.weight", "ssm_ba.weight" };
	int err = check_whole(ld, l, in, in_names);

	if (!err)
		err = check_whole(ld, l, gates, gate_names);
	if (err)
		return err;
	l->delta = (struct delta) {
		.key_heads = h->key_heads, .heads = h->dt_rank, .key_dim = h->state, .value_dim = h->state_dim,
		.taps = h->taps, .tiled = !l->w[DELTA_BA].data,
	};
	return 0;
}
