// SPDX-License-Identifier: MIT
/* Pages of keys and values: counted references, shared by sequences that begin alike. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

int pages_new(struct accel_engine *e)
{
	uint32_t n = e->shape.pages;

	e->pages = calloc(n, sizeof(*e->pages));
	e->free_pages = calloc(n, sizeof(*e->free_pages));
	if (!e->pages || !e->free_pages)
		return fail(-ENOMEM, "no memory for %u pages of keys and values", n);
	while (e->n_free < n) {
		e->free_pages[e->n_free] = n - 1 - e->n_free;	/* the first is taken first */
		e->n_free++;
	}
	return slots_new(e);
}

void pages_free(struct accel_engine *e)
{
	free(e->pages);
	free(e->free_pages);
	free(e->slot_refs);
}

int page_take(struct accel_engine *e, uint32_t *page)
{
	if (!e->n_free)
		return fail(-ENOSPC, "all %u pages of %u positions are taken: free sequences, or plan for more positions",
			    e->shape.pages, 1u << e->shape.page_log2);
	*page = e->free_pages[--e->n_free];
	e->pages[*page] = (struct page) { .refs = 1 };
	return 0;
}

void page_drop(struct accel_engine *e, uint32_t page)
{
	if (!--e->pages[page].refs)
		e->free_pages[e->n_free++] = page;
}

void pages_forget(struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->shape.pages; i++)
		e->pages[i].filled = 0;
}

static int copy_on_cpu(struct accel_engine *e, uint32_t to, uint32_t from)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		for (enum keep k = 0; k < KEEP_COUNT && e->layers[i].device < 0; k++) {
			size_t bytes = keep_row(&e->m->layers[i], k, &e->shape) << e->shape.page_log2;
			uint8_t *pool = exec_cpu_pool(e->cpu, i, k);

			if (pool && keep_is_paged(k))
				memcpy(pool + to * bytes, pool + from * bytes, bytes);
		}
	return 0;
}

void page_copy(struct accel_engine *e, const struct page_move *move)
{
	int err;

	if (move->from == move->to)
		return;
	err = copy_on_cpu(e, move->to, move->from);
	for (uint32_t i = 0; i < e->n_cards && !err; i++)
		if (e->cards[i].exec)
			err = exec_dev_copy_page(e->cards[i].exec, move->to, move->from);
	pthread_mutex_lock(&e->lock);
	if (!err && e->pages[move->to].filled < move->filled)
		e->pages[move->to].filled = move->filled;
	pthread_mutex_unlock(&e->lock);
}
