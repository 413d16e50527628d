// SPDX-License-Identifier: MIT
/*
 * Parts of layers that several processors share.  Only rows of matrices are shared, never what one result is the sum
 * of: so each is computed as it would be by one processor, and has the same bits.
 */
#include <string.h>

#include "layer.h"

/* Rows of a matrix that are kept together, where there are many. */
#define ROWS 32u

struct columns shares_of(const struct shares *s, uint32_t number, uint32_t all, uint32_t unit)
{
	double before = 0, sum = 0;
	uint32_t first, end;

	for (uint32_t i = 0; i < s->n; i++) {
		sum += s->speed[i];
		before += i < number ? s->speed[i] : 0;
	}
	first = (uint32_t)(all / unit * (before / sum) + 0.5) * unit;
	end = (uint32_t)(all / unit * ((before + s->speed[number]) / sum) + 0.5) * unit;
	if (number + 1 == s->n)
		end = all;
	return (struct columns) { .first = first, .n = end - first, .all = all };
}

struct columns shares_of_rows(const struct shares *s, uint32_t number, uint32_t rows)
{
	return shares_of(s, number, rows, rows >= 4 * ROWS * s->n ? ROWS : 1);
}

/* Bytes of each of n pieces that lie pitch bytes apart, from their first on. */
static void take(struct weight *w, uint64_t first, uint64_t piece, uint64_t pitch, uint64_t n)
{
	w->data = (const uint8_t *)w->data + first;
	w->size = n * piece;
	w->piece = n > 1 ? piece : 0;
	w->pitch = n > 1 ? pitch : 0;
}

void weight_take_rows(struct weight *w, const struct columns *c)
{
	if (!w->data)
		return;
	take(w, c->first * w->stride, c->n * w->stride, w->rows * w->stride, w->planes > 1 ? w->planes : 1);
	w->rows = c->n;
}

void weight_take_columns(struct weight *w, const struct columns *c)
{
	if (!w->data)
		return;
	take(w, sizeof(float) * c->first, sizeof(float) * c->n, w->stride, w->rows);
	w->cols = c->n;
	w->stride = sizeof(float) * c->n;
}

void weight_read(const struct weight *w, uint64_t offset, void *to, uint64_t n)
{
	const uint64_t piece = w->piece ? w->piece : w->size, pitch = w->piece ? w->pitch : 0;
	uint8_t *at = to;

	for (uint64_t k; n; n -= k, offset += k, at += k) {
		k = piece - offset % piece < n ? piece - offset % piece : n;
		memcpy(at, (const uint8_t *)w->data + offset / piece * pitch + offset % piece, k);
	}
}

static bool is_nothing(const struct columns *c)
{
	return c->all && !c->n;
}

const char *layer_share(struct layer *part, const struct layer *whole, const struct shares *s, uint32_t number)
{
	struct layer_part *p = &part->part;
	const char *why;

	*part = *whole;
	if (!part->kind->share)
		return "its kind is not made for it";
	*p = (struct layer_part) { .of = s->n, .number = number };
	why = part->kind->share(part, s, number);
	if (!why && (is_nothing(&p->inner) || is_nothing(&p->shared) || is_nothing(&p->outer)))
		why = "it is too narrow";
	return why;
}

uint64_t keep_before(const struct layer *l, enum keep keep, const struct shape *shape)
{
	return keep_is_paged(keep) ? kv_row(l->part.kept[keep - KEEP_KEYS], shape->kv_type) : 0;
}

/* ---- recording ---- */

struct octans_tensor build_own(const struct build *b, struct octans_tensor t, const struct columns *c)
{
	(void)b;
	return c->all ? tensor_columns(t, c->first, c->n) : t;
}

static void copy(struct build *b, struct octans_tensor to, struct octans_tensor from, uint32_t first, uint32_t n)
{
	if (n)
		RECORD(&b->r, MOVE, move, 0, .dst = tensor_columns(to, first, n), .src = tensor_columns(from, first, n));
}

/* Counters come when all before them is there; the first of them, which is no longer 0, tells. */
static uint64_t counters(const struct build *b, uint32_t exchange, uint32_t number)
{
	return b->at->exchange.counters +
	       ((uint64_t)exchange * b->layer->part.of + number) * sizeof(struct octans_counters);
}

static void wait_for_others(struct build *b, uint32_t exchange)
{
	for (uint32_t i = 0; i < b->layer->part.of; i++)
		if (i != b->layer->part.number)
			RECORD(&b->r, WAIT, wait, 0, .va = counters(b, exchange, i), .value = 1);
}

/* Two places serve in turn: when a processor writes to one again, all have read what was there, as they have come to
 * the exchange in between. */
void build_exchange(struct build *b, struct octans_tensor t, const struct columns *c, bool to_all)
{
	const struct layer_part *p = &b->layer->part;
	const uint32_t exchange = p->exchange + b->exchanged.n;
	const bool gives = to_all || p->number, takes = to_all || !p->number;
	const uint32_t words = (gives ? c->n : 0) + (takes ? c->all - c->n : 0);
	struct octans_tensor common = t;

	if (!p->of)
		return;
	common.va = b->at->exchange.data[exchange % 2];
	common.stride = sizeof(float) * c->all;
	b->exchanged.n++;
	if (t.rows * common.stride > b->exchanged.most)
		b->exchanged.most = t.rows * common.stride;
	if (to_all)
		b->exchanged.row += sizeof(float) * words * (t.rows / b->shape->batch);
	else
		b->exchanged.out += sizeof(float) * words;
	if (gives)
		copy(b, common, t, c->first, c->n);
	RECORD(&b->r, SIGNAL, signal, OCTANS_SIGNAL_COUNTERS, .va = counters(b, exchange, p->number));
	if (!takes)
		return;
	wait_for_others(b, exchange);
	copy(b, t, common, 0, c->first);
	copy(b, t, common, c->first + c->n, c->all - c->first - c->n);
}
