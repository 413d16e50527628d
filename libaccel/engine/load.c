// SPDX-License-Identifier: MIT
/*
 * How far loading has come, over all processors and the CPU.  Weights of layers on the CPU are used where the
 * file is mapped; they are read here all the same, so that the first step does not wait for the disk, page
 * by page, and so that who watches sees them come.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine.h"

/* Between two calls of progress. */
#define PIECE (32ull << 20)

static int report(struct accel_engine *e, uint64_t done)
{
	struct loading *l = &e->loading;

	/* Layers that a card had no room for come a second time. */
	if (done > l->most)
		l->most = done;
	if (!e->opts.progress || !e->opts.progress(e->opts.progress_arg, l->most, l->total))
		return 0;
	l->given_up = true;
	return fail(-ECANCELED, "loading was given up after %llu of %llu bytes", (unsigned long long)l->most,
		    (unsigned long long)l->total);
}

static uint64_t bytes_on(const struct accel_engine *e, uint32_t device)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (layer_on(&e->layers[i], device))
			sum += layer_weight_bytes(&plan_view(e->plan, device)->layers[i]);
	return sum;
}

int load_begin(struct accel_engine *e)
{
	e->loading = (struct loading) { 0 };
	for (uint32_t i = 0; i < e->n_cards; i++)
		e->loading.total += bytes_on(e, i);
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (e->layers[i].device < 0)
			e->loading.total += layer_weight_bytes(&e->m->layers[i]);
	return report(e, 0);
}

int load_progress(void *arg, uint64_t done)
{
	struct accel_engine *e = arg;

	return report(e, e->loading.before + done);
}

/* Of what is loaded now: layers that another card had no room for are no longer. */
void load_card(struct accel_engine *e)
{
	e->loading.before = 0;
	for (uint32_t i = 0; i < e->n_cards; i++)
		if (e->cards[i].exec)
			e->loading.before += bytes_on(e, i);
}

/* What cannot be read is found by who asks whether the file is intact; an older kernel reads it later. */
static void read_ahead(const uint8_t *p, uint64_t size)
{
#ifdef MADV_POPULATE_READ
	const uintptr_t page = sysconf(_SC_PAGESIZE), from = (uintptr_t)p / page * page;

	madvise((void *)from, (uintptr_t)p + size - from, MADV_POPULATE_READ);
#else
	(void)p;
	(void)size;
#endif
}

static int read_weight(struct accel_engine *e, const struct weight *w, bool wanted)
{
	struct loading *l = &e->loading;
	int err = 0;

	for (uint64_t at = 0, n; at < w->size && !err; at += n) {
		n = w->size - at < PIECE ? w->size - at : PIECE;
		if (wanted)
			read_ahead((const uint8_t *)w->data + at, n);
		l->before += n;
		err = report(e, l->before);
	}
	return err;
}

int load_cpu(struct accel_engine *e)
{
	int err = 0;

	load_card(e);
	for (uint32_t i = 0; i < e->m->n_layers && !err; i++) {
		const struct layer *l = &e->m->layers[i];

		if (e->layers[i].device >= 0)
			continue;
		/* Of the table of embeddings a step reads a few rows. */
		for (int k = 0; k < LAYER_WEIGHTS && !err; k++)
			if (l->w[k].data)
				err = read_weight(e, &l->w[k], i > 0);
	}
	return err || e->loading.most == e->loading.total ? err : report(e, e->loading.total);
}
