/* SPDX-License-Identifier: MIT */
/* Writing command streams. */
#ifndef ACCEL_STREAM_H
#define ACCEL_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <accel/octans_isa.h>

struct stream {
	uint8_t *base;		/* where commands go */
	uint32_t size, room;	/* bytes written, bytes there are */
	bool full;		/* a command did not fit and was dropped */
};

static inline struct octans_tensor tensor(uint64_t va, uint32_t type, uint32_t rows, uint32_t cols,
					  uint64_t stride)
{
	return (struct octans_tensor) {
		.va = va, .stride = stride, .rows = rows, .cols = cols, .type = type,
	};
}

/* Appends a command: cmd.op, flags and size are filled in. */
void stream_add(struct stream *s, enum octans_op op, uint16_t flags, void *cmd, uint32_t size);

#endif
