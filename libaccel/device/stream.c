// SPDX-License-Identifier: MIT
#include "stream.h"

#include <string.h>

void stream_add(struct stream *s, enum octans_op op, uint16_t flags, void *cmd, uint32_t size)
{
	struct octans_cmd *head = cmd;

	if (size > s->room - s->size) {
		s->full = true;
		return;
	}
	head->op = op;
	head->flags = flags;
	head->size = size;
	head->reserved = 0;
	memcpy(s->base + s->size, cmd, size);
	s->size += size;
}
