// SPDX-License-Identifier: MIT
/*
 * States of layers that cannot go back: a sequence has some, of positions that it passed (its marks), each
 * in a slot of every pool, shared by the sequences that passed it together.  To go back is to compute
 * again from the newest mark before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

int slots_new(struct accel_engine *e)
{
	uint32_t n = e->shape.slots;

	e->slot_refs = calloc(n + 1, sizeof(*e->slot_refs));
	if (!e->slot_refs)
		return fail(-ENOMEM, "no memory for %u states", n);
	return 0;
}

static void drop_slot(struct accel_engine *e, int32_t slot)
{
	if (slot >= 0)
		e->slot_refs[slot]--;
}

static int32_t find_slot(const struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->shape.slots; i++)
		if (!e->slot_refs[i])
			return i;
	return -1;
}

static void drop_mark(struct accel_seq *seq, uint32_t i)
{
	drop_slot(seq->engine, seq->marks[i].slot);
	seq->n_marks--;
	memmove(&seq->marks[i], &seq->marks[i + 1], (seq->n_marks - i) * sizeof(seq->marks[0]));
}

/* The mark that is missed least: its neighbours are close, beside how far back it is. */
static uint32_t least_mark(const struct accel_seq *seq)
{
	const uint32_t n = seq->n_marks, end = seq->marks[n - 1].pos;
	double least = 1e300;
	uint32_t best = 0;

	for (uint32_t i = 0; i + 1 < n; i++) {
		uint32_t before = i ? seq->marks[i - 1].pos : 0;
		double gap = (seq->marks[i + 1].pos - before) / (end - seq->marks[i].pos + 1.0);

		if (gap < least) {
			least = gap;
			best = i;
		}
	}
	return best;
}

/* Older marks of other sequences, when slots have run out: what computes holds the baton, and asks before it
 * chooses where to begin, so those in a step may give theirs, too. */
static bool give_one(struct accel_engine *e, const struct accel_seq *but)
{
	for (struct accel_seq *s = e->seqs; s; s = s->next)
		if (s != but && s->n_marks > 1) {
			drop_mark(s, least_mark(s));
			return true;
		}
	return false;
}

int mark_take(struct accel_seq *seq, int32_t *slot)
{
	struct accel_engine *e = seq->engine;
	int32_t found = -1;

	*slot = -1;
	if (!e->shape.slots)
		return 0;
	while ((found = find_slot(e)) < 0) {
		if (seq->n_marks > 1)
			drop_mark(seq, least_mark(seq));
		else if (!give_one(e, seq))
			return fail(-ENOSPC, "all %u states are taken: free sequences, or plan for more of them",
				    e->shape.slots);
	}
	e->slot_refs[found] = 1;
	*slot = found;
	return 0;
}

void mark_drop(struct accel_engine *e, int32_t slot)
{
	drop_slot(e, slot);
}

int mark_room(struct accel_seq *seq, uint32_t n)
{
	struct mark *grown;

	if (n <= seq->marks_room)
		return 0;
	grown = realloc(seq->marks, 2ull * n * sizeof(*grown));
	if (!grown)
		return fail(-ENOMEM, "no memory for a list of %u states", n);
	seq->marks = grown;
	seq->marks_room = 2 * n;
	return 0;
}

void mark_add(struct accel_seq *seq, uint32_t pos, int32_t slot)
{
	const uint32_t most = seq->engine->shape.marks;

	if (slot < 0)
		return;
	while (seq->n_marks && seq->marks[seq->n_marks - 1].pos >= pos)
		drop_mark(seq, seq->n_marks - 1);	/* computed anew */
	seq->marks[seq->n_marks++] = (struct mark) { .pos = pos, .slot = slot };
	while (seq->n_marks > most)
		drop_mark(seq, least_mark(seq));
}

void marks_cut(struct accel_seq *seq, uint32_t pos)
{
	while (seq->n_marks && seq->marks[seq->n_marks - 1].pos > pos)
		drop_mark(seq, seq->n_marks - 1);
}

void marks_drop(struct accel_seq *seq)
{
	while (seq->n_marks)
		drop_mark(seq, seq->n_marks - 1);
}

void marks_forget(struct accel_engine *e)
{
	for (struct accel_seq *s = e->seqs; s; s = s->next)
		marks_drop(s);
}

int marks_share(struct accel_seq *to, const struct accel_seq *from, uint32_t n)
{
	int err = mark_room(to, from->n_marks);

	for (uint32_t i = 0; i < from->n_marks && !err && from->marks[i].pos <= n; i++) {
		to->marks[to->n_marks++] = from->marks[i];
		to->engine->slot_refs[from->marks[i].slot]++;
	}
	return err;
}

int32_t mark_before(const struct accel_seq *seq, uint32_t *pos)
{
	for (uint32_t i = seq->n_marks; i; i--)
		if (seq->marks[i - 1].pos <= *pos) {
			*pos = seq->marks[i - 1].pos;
			return seq->marks[i - 1].slot;
		}
	*pos = 0;
	return -1;
}
