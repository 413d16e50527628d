/* SPDX-License-Identifier: MIT */
/*
 * Experts that share the room that a card has for some of them: those that are used most.  Who is where
 * changes no bit of a result.  All of it follows from what was counted, and from nothing else.
 */
#ifndef ACCEL_EXPERTS_H
#define ACCEL_EXPERTS_H

#include <stdbool.h>
#include <stdint.h>

struct experts;

struct expert {
	uint32_t layer, expert;		/* numbers of the caller's */
};

/* An expert for whom another leaves. */
struct expert_move {
	struct expert in, out;
	uint32_t slot;
	bool vacant;			/* nobody leaves: the slot was free */
};

/*
 * n_layers layers, of which layer i has n[i] experts, some[i] of which are on the card from the beginning; and so
 * many slots.  NULL: no memory.
 */
struct experts *experts_new(const uint32_t *n, const uint32_t *some, uint32_t n_layers, uint32_t slots);
void experts_free(struct experts *e);
/* The slot of an expert; -1: it is not on the card. */
int64_t experts_slot(const struct experts *e, uint32_t layer, uint32_t expert);
/* ids[n] were chosen in this layer, by so many rows; others than there are do not count.  Returns how many different
 * ones, *near: of which so many were on the card. */
uint32_t experts_count(struct experts *e, uint32_t layer, const int32_t *ids, uint32_t n, uint32_t rows,
		       uint32_t *near);
/*
 * What was counted since the last call becomes part of what is known, and older counts fade.  Returns how many
 * experts_move() may then be made: few beside those that were read over the bus, as each costs as much.
 */
uint32_t experts_settle(struct experts *e);
/* The next change that is worth it, which has been made when this returns.  False: there is none. */
bool experts_move(struct experts *e, struct expert_move *move);
/* It could not be made: who was to leave stays. */
void experts_stay(struct experts *e, const struct expert_move *move);

/* Times that an expert was chosen by a row, and that it was on the card then; moves. */
struct expert_stats {
	uint64_t uses, hits, moves;
};

void experts_stats(const struct experts *e, struct expert_stats *st);

#endif
