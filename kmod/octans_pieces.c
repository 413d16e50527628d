// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a buffer lies, as the device sees it.  A list of pages says so too, but has to be walked
 * from its beginning, and another driver's may say anything.
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "octans_pieces.h"
#include <octans/regs.h>

#define DEVICE_PAGE	4096ULL

/**
 * octans_pieces_add() - add what comes next
 * @p: pieces
 * @addr: its bus address
 * @size: bytes
 *
 * Return: 0; -EINVAL: page tables could not say that, as it does not begin and end with a page or
 * lies higher than they reach; -ENOSPC: no room.
 */
int octans_pieces_add(struct octans_pieces *p, u64 addr, u64 size)
{
	const u64 top = OCTANS_ADDR_MASK + DEVICE_PAGE;
	struct octans_piece *last = p->n ? &p->list[p->n - 1] : NULL;

	if (!size || !IS_ALIGNED(addr | size, DEVICE_PAGE) || addr >= top || size > top - addr)
		return -EINVAL;
	if (!last || last->addr + (p->size - last->offset) != addr) {
		if (p->n == p->room)
			return -ENOSPC;
		p->list[p->n++] = (struct octans_piece) { .offset = p->size, .addr = addr };
	}
	p->size += size;
	return 0;
}

/**
 * octans_pieces_find() - where is this byte?
 * @p: pieces
 * @offset: in the buffer, less than its size
 * @addr: set to its bus address
 *
 * Return: how many bytes follow that are contiguous with it, itself included.
 */
u64 octans_pieces_find(const struct octans_pieces *p, u64 offset, u64 *addr)
{
	u32 low = 0, high = p->n;

	/* The last piece that does not begin after it. */
	while (high - low > 1) {
		u32 middle = low + (high - low) / 2;

		if (p->list[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	*addr = p->list[low].addr + (offset - p->list[low].offset);
	return (high < p->n ? p->list[high].offset : p->size) - offset;
}
