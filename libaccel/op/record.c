// SPDX-License-Identifier: MIT
#include "record.h"

#include <string.h>

void record(struct recorder *r, enum op_number op, uint16_t flags, void *cmd, uint32_t size)
{
	struct octans_cmd *head = cmd;
	size_t at = r->size;

	/* Both groups have the same commands, of the same sizes. */
	if (r->group >= 0)
		at += r->size - r->start + r->group * size;
	head->op = op;
	head->flags = flags;
	head->size = size;
	if (r->base)
		memcpy(r->base + at, cmd, size);
	r->size += size;
	r->ops |= 1ull << op;
}

void record_in_groups(struct recorder *r, void (*part)(void *arg, int group), void *arg)
{
	r->start = r->size;
	for (r->group = 0; r->group < 2; r->group++) {
		r->size = r->start;
		part(arg, r->group);
	}
	r->size += r->size - r->start;
	r->group = -1;
}
