/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OCTANS_PIECES_H
#define OCTANS_PIECES_H

#include <linux/types.h>

/**
 * struct octans_piece - part of a buffer that is contiguous for the device
 */
struct octans_piece {
	/** @offset: in the buffer */
	u64 offset;
	/** @addr: bus address */
	u64 addr;
};

/**
 * struct octans_pieces - where a buffer lies, as the device sees it
 * @list: in the order of the buffer
 * @n: how many there are
 *
 * Not locked: the owner serialises octans_pieces_add(); then it does not change.
 */
struct octans_pieces {
	struct octans_piece *list;
	u32 n;
	/** @room: of @list */
	u32 room;
	/** @size: bytes of all pieces */
	u64 size;
};

int octans_pieces_add(struct octans_pieces *p, u64 addr, u64 size);
u64 octans_pieces_find(const struct octans_pieces *p, u64 offset, u64 *addr);

#endif
