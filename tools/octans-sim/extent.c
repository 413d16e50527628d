// SPDX-License-Identifier: MIT
/* First-fit allocation of address ranges. */
#include <errno.h>
#include <stdlib.h>

#include "inproc.h"

static struct extent *extent_new(uint64_t start, uint64_t size, struct extent *next)
{
	struct extent *x = malloc(sizeof(*x));

	if (x)
		*x = (struct extent) { next, start, size };
	return x;
}

int extents_init(struct extents *e, uint64_t start, uint64_t size)
{
	e->used = 0;
	e->free = extent_new(start, size, NULL);
	return e->free ? 0 : -ENOMEM;
}

void extents_destroy(struct extents *e)
{
	while (e->free) {
		struct extent *x = e->free;

		e->free = x->next;
		free(x);
	}
}

uint64_t extents_alloc(struct extents *e, uint64_t size, uint64_t align)
{
	for (struct extent **p = &e->free; *p; p = &(*p)->next) {
		struct extent *x = *p, *tail;
		uint64_t start = (x->start + align - 1) & ~(align - 1);
		uint64_t skip = start - x->start;

		if (skip > x->size || size > x->size - skip)
			continue;
		if (skip && skip + size < x->size) {
			tail = extent_new(start + size, x->size - skip - size, x->next);
			if (!tail)
				return UINT64_MAX;
			x->next = tail;
			x->size = skip;
		} else if (skip) {
			x->size = skip;
		} else {
			x->start += size;
			x->size -= size;
			if (!x->size) {
				*p = x->next;
				free(x);
			}
		}
		e->used += size;
		return start;
	}
	return UINT64_MAX;
}

void extents_free(struct extents *e, uint64_t start, uint64_t size)
{
	struct extent **p = &e->free, *prev = NULL, *x;

	e->used -= size;
	while (*p && (*p)->start < start) {
		prev = *p;
		p = &prev->next;
	}
	if (prev && prev->start + prev->size == start) {
		x = prev;
		x->size += size;
	} else {
		x = extent_new(start, size, *p);
		if (!x)
			return;		/* the piece is lost, nothing else */
		*p = x;
	}
	if (x->next && x->start + x->size == x->next->start) {
		struct extent *gone = x->next;

		x->size += gone->size;
		x->next = gone->next;
		free(gone);
	}
}
