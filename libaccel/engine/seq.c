// SPDX-License-Identifier: MIT
/* Sequences: tokens, and the pages of their keys and values. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static uint32_t pages_of(const struct accel_engine *e, uint32_t positions)
{
	return (positions + (1u << e->shape.page_log2) - 1) >> e->shape.page_log2;
}

/* ---- with the lock ---- */

uint32_t seq_held(const struct accel_seq *seq, uint32_t n)
{
	const struct accel_engine *e = seq->engine;
	const uint32_t page = 1u << e->shape.page_log2;
	uint32_t at = 0;

	/* Models of states alone have no pages to look at, but those are taken all the same. */
	for (uint32_t i = 0; i < seq->n_pages && at < n; i++) {
		uint32_t filled = e->pages[seq->pages[i]].filled;

		at = i * page + filled;
		if (filled < page)
			break;
	}
	if (at > n)
		at = n;
	if (e->shape.slots)
		mark_before(seq, &at);
	return at;
}

void seq_filled(struct accel_seq *seq, uint32_t end)
{
	struct accel_engine *e = seq->engine;
	const uint32_t page = 1u << e->shape.page_log2;

	for (uint32_t i = 0; i < seq->n_pages && i * page < end; i++) {
		uint32_t *filled = &e->pages[seq->pages[i]].filled, here = end - i * page;

		if (here > page)
			here = page;
		if (*filled < here)
			*filled = here;
	}
}

void seq_drop_pages(struct accel_seq *seq, uint32_t n)
{
	struct accel_engine *e = seq->engine;
	uint32_t keep = pages_of(e, n), rest = n & ((1u << e->shape.page_log2) - 1);

	while (seq->n_pages > keep)
		page_drop(e, seq->pages[--seq->n_pages]);
	/* What it alone held beyond is to be written anew. */
	if (rest && seq->n_pages == keep) {
		struct page *p = &e->pages[seq->pages[keep - 1]];

		if (p->refs == 1 && p->filled > rest)
			p->filled = rest;
	}
}

int seq_grow(struct accel_seq *seq, uint32_t n)
{
	uint32_t room = seq->room * 2 > n ? seq->room * 2 : n;
	int32_t *grown;

	if (n <= seq->room)
		return 0;
	grown = realloc(seq->tokens, room * sizeof(*grown));
	if (!grown)
		return fail(-ENOMEM, "no memory for %u tokens", n);
	seq->tokens = grown;
	seq->room = room;
	return 0;
}

static int grow_pages(struct accel_seq *seq, uint32_t n)
{
	uint32_t *grown;

	if (n <= seq->pages_room)
		return 0;
	grown = realloc(seq->pages, 2ull * n * sizeof(*grown));
	if (!grown)
		return fail(-ENOMEM, "no memory for a list of %u pages", n);
	seq->pages = grown;
	seq->pages_room = 2 * n;
	return 0;
}

int seq_reserve(struct accel_seq *seq, uint32_t end, struct page_move *move)
{
	struct accel_engine *e = seq->engine;
	const uint32_t n = pages_of(e, end), rest = seq->n & ((1u << e->shape.page_log2) - 1);
	int err = grow_pages(seq, n);

	*move = (struct page_move) { 0 };
	if (!err && rest && end > seq->n) {
		uint32_t *last = &seq->pages[seq->n >> e->shape.page_log2], shared = *last;

		if (e->pages[shared].refs > 1) {
			err = page_take(e, last);
			if (err)
				return err;
			*move = (struct page_move) {
				.from = shared, .to = *last,
				.filled = e->pages[shared].filled < rest ? e->pages[shared].filled : rest,
			};
			page_drop(e, shared);
		}
	}
	while (!err && seq->n_pages < n) {
		err = page_take(e, &seq->pages[seq->n_pages]);
		seq->n_pages += !err;
	}
	return err;
}

static void add(struct accel_engine *e, struct accel_seq *seq)
{
	seq->next = e->seqs;
	if (e->seqs)
		e->seqs->prev = seq;
	e->seqs = seq;
	e->n_seqs++;
}

static int make(struct accel_engine *e, struct accel_seq **out)
{
	struct accel_seq *seq;
	int err = engine_usable(e);

	*out = NULL;
	if (err)
		return err;
	seq = calloc(1, sizeof(*seq));
	if (!seq)
		return fail(-ENOMEM, "no memory for a sequence");
	seq->engine = e;
	e->refs++;
	add(e, seq);
	*out = seq;
	return 0;
}

/* Its reference is not the last: the caller has another. */
static void destroy(struct accel_seq *seq)
{
	struct accel_engine *e = seq->engine;

	seq_drop_pages(seq, 0);
	marks_drop(seq);
	*(seq->prev ? &seq->prev->next : &e->seqs) = seq->next;
	if (seq->next)
		seq->next->prev = seq->prev;
	e->n_seqs--;
	e->refs--;
	free(seq->tokens);
	free(seq->pages);
	free(seq->marks);
	free(seq);
}

/* The first n positions, at most what it has. */
static int fork_of(struct accel_seq *from, uint32_t n, struct accel_seq **out)
{
	struct accel_engine *e = from->engine;
	struct accel_seq *seq;
	int err = make(e, &seq);

	if (!err)
		err = seq_grow(seq, n);
	if (!err)
		err = grow_pages(seq, pages_of(e, n));
	if (!err)
		err = marks_share(seq, from, n);
	if (err) {
		if (seq)
			destroy(seq);
		return err;
	}
	if (n)
		memcpy(seq->tokens, from->tokens, n * sizeof(*seq->tokens));
	seq->n = n;
	seq->n_pages = pages_of(e, n);
	for (uint32_t i = 0; i < seq->n_pages; i++) {
		seq->pages[i] = from->pages[i];
		e->pages[seq->pages[i]].refs++;
	}
	*out = seq;
	return 0;
}

static int busy(void)
{
	return fail(-EBUSY, "the sequence is in a step that has not ended, or is being saved");
}

int seq_claim(struct accel_seq *seq)
{
	int err;

	pthread_mutex_lock(&seq->engine->lock);
	err = seq->busy ? busy() : 0;
	if (!err) {
		seq->busy = seq->claimed = true;
		seq->engine->refs++;
	}
	pthread_mutex_unlock(&seq->engine->lock);
	return err;
}

void seq_leave(struct accel_seq *seq)
{
	seq->busy = seq->claimed = false;
	if (seq->unwanted)
		destroy(seq);
}

void seq_release(struct accel_seq *seq)
{
	struct accel_engine *e = seq->engine;

	pthread_mutex_lock(&e->lock);
	seq_leave(seq);
	pthread_mutex_unlock(&e->lock);
	engine_put(e);
}

/* ---- public ---- */

int accel_seq_new(struct accel_engine *e, struct accel_seq **out)
{
	int err;

	pthread_mutex_lock(&e->lock);
	err = make(e, out);
	pthread_mutex_unlock(&e->lock);
	return err;
}

void accel_seq_free(struct accel_seq *seq)
{
	struct accel_engine *e;

	if (!seq)
		return;
	e = seq->engine;
	pthread_mutex_lock(&e->lock);
	e->refs++;
	if (seq->busy)
		seq->unwanted = true;
	else
		destroy(seq);
	pthread_mutex_unlock(&e->lock);
	engine_put(e);
}

uint32_t accel_seq_length(const struct accel_seq *seq)
{
	uint32_t n;

	pthread_mutex_lock(&seq->engine->lock);
	n = seq->n;
	pthread_mutex_unlock(&seq->engine->lock);
	return n;
}

size_t accel_seq_tokens(const struct accel_seq *seq, uint32_t pos, int32_t *tokens, size_t n)
{
	pthread_mutex_lock(&seq->engine->lock);
	if (pos >= seq->n)
		n = 0;
	else if (n > seq->n - pos)
		n = seq->n - pos;
	if (n)
		memcpy(tokens, seq->tokens + pos, n * sizeof(*tokens));
	pthread_mutex_unlock(&seq->engine->lock);
	return n;
}

int accel_seq_fork(struct accel_seq *from, uint32_t n, struct accel_seq **out)
{
	struct accel_engine *e = from->engine;
	int err;

	*out = NULL;
	pthread_mutex_lock(&e->lock);
	if (from->busy)
		err = busy();
	else if (n > from->n)
		err = fail(-EINVAL, "the sequence has %u positions, not %u", from->n, n);
	else
		err = fork_of(from, n, out);
	pthread_mutex_unlock(&e->lock);
	return err;
}

int accel_seq_trim(struct accel_seq *seq, uint32_t pos)
{
	struct accel_engine *e = seq->engine;
	int err = 0;

	pthread_mutex_lock(&e->lock);
	if (seq->busy) {
		err = busy();
	} else if (pos > seq->n) {
		err = fail(-EINVAL, "the sequence has %u positions, it cannot be cut at %u", seq->n, pos);
	} else {
		seq->n = pos;
		seq_drop_pages(seq, pos);
		marks_cut(seq, pos);
	}
	pthread_mutex_unlock(&e->lock);
	return err;
}

int accel_seq_prefix(struct accel_engine *e, const int32_t *tokens, size_t n, struct accel_seq **out,
		     uint32_t *length)
{
	struct accel_seq *best = NULL;
	uint32_t most = 0;
	int err;

	*out = NULL;
	*length = 0;
	pthread_mutex_lock(&e->lock);
	for (struct accel_seq *s = e->seqs; s; s = s->next) {
		uint32_t same = 0;

		if (s->busy)
			continue;
		while (same < s->n && same + 1 < n && s->tokens[same] == tokens[same])
			same++;
		if (same > most) {
			most = same;
			best = s;
		}
	}
	err = best ? fork_of(best, most, out) : make(e, out);
	pthread_mutex_unlock(&e->lock);
	if (!err)
		*length = most;
	return err;
}

/* With the lock: room for n more positions. */
static int room_to_skip(struct accel_seq *seq, uint32_t n, struct page_move *move, int32_t *slot)
{
	const struct accel_engine *e = seq->engine;
	int err;

	if (n > e->shape.ctx - seq->n)
		return fail(-ENOSPC, "%u more positions do not fit: %u of the context's %u are used", n, seq->n,
			    e->shape.ctx);
	err = seq_grow(seq, seq->n + n);
	if (!err)
		err = seq_reserve(seq, seq->n + n, move);
	if (!err)
		err = mark_room(seq, seq->n_marks + 1);
	return err ? err : mark_take(seq, slot);
}

/* With the lock.  What was there and is lost must not seem to be there again, in pages that others share,
 * too: then what was skipped is as lost as that. */
static void skip(struct accel_seq *seq, uint32_t n, int32_t slot)
{
	const bool held = seq_held(seq, seq->n) == seq->n;

	for (uint32_t i = 0; i < n; i++)
		seq->tokens[seq->n + i] = -1;
	seq->n += n;
	if (held) {
		seq_filled(seq, seq->n);
		mark_add(seq, seq->n, slot);
	} else {
		mark_drop(seq->engine, slot);
	}
}

/* With the baton. */
static int reserve_and_skip(struct accel_seq *seq, uint32_t n)
{
	struct accel_engine *e = seq->engine;
	struct page_move move = { 0 };
	int32_t slot = -1;
	int err = engine_usable(e);

	if (err)
		return err;
	pthread_mutex_lock(&e->lock);
	err = room_to_skip(seq, n, &move, &slot);
	pthread_mutex_unlock(&e->lock);
	page_copy(e, &move);
	pthread_mutex_lock(&e->lock);
	if (!err)
		skip(seq, n, slot);
	seq_drop_pages(seq, seq->n);
	pthread_mutex_unlock(&e->lock);
	return err;
}

int accel_seq_skip(struct accel_seq *seq, uint32_t n)
{
	struct accel_engine *e = seq->engine;
	int err = seq_claim(seq);

	if (err)
		return err;
	baton_take(e);
	err = reserve_and_skip(seq, n);
	baton_pass(e);
	seq_release(seq);
	return err;
}
