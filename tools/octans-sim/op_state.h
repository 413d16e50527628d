/* SPDX-License-Identifier: MIT */
/* What CONV and SCAN share: rows that go from a slot of state to a slot of state. */
#ifndef OCTANS_SIM_OP_STATE_H
#define OCTANS_SIM_OP_STATE_H

#include "exec.h"

struct slots {
	int32_t *of;		/* [m][2]: from, to; below 0 = zeros, nowhere */
	uint32_t m;
};

/* Reads and checks them; their number in effect is that of @slot's rows. */
static inline int slots_read(struct exec *e, struct slots *s, const struct operand *slot,
			     uint32_t slots)
{
	s->m = slot->rows;
	s->of = exec_alloc(e, s->m * 8ull);
	if (!s->of)
		return OCTANS_JOB_BUS;
	EXEC_TRY(exec_get_rows(e, slot, 0, s->m, s->of));
	for (uint32_t i = 0; i < 2 * s->m; i++)
		if (s->of[i] >= 0 && (uint32_t)s->of[i] >= slots)
			return OCTANS_JOB_BAD_CMD;
	return exec_work(e, 2ull * s->m);
}

static inline int32_t slots_from(const struct slots *s, uint32_t i)
{
	return s->of[2 * i];
}

static inline int32_t slots_to(const struct slots *s, uint32_t i)
{
	return s->of[2 * i + 1];
}

/* Row @i goes on where the row before it ended. */
static inline bool slots_follow(const struct slots *s, uint32_t i)
{
	return i && slots_from(s, i) >= 0 && slots_from(s, i) == slots_to(s, i - 1);
}

/* What row @i leaves is to be stored: the next row does not replace it. */
static inline bool slots_stored(const struct slots *s, uint32_t i)
{
	return slots_to(s, i) >= 0 &&
	       !(i + 1 < s->m && slots_follow(s, i + 1) && slots_to(s, i + 1) == slots_to(s, i));
}

/* Between rows that follow each other the state is at hand: it is neither stored nor read again. */
static inline bool slots_moves(const struct slots *s, uint32_t i, bool write)
{
	if (write)
		return slots_to(s, i) >= 0 && (i + 1 == s->m || slots_to(s, i + 1) != slots_to(s, i));
	return slots_from(s, i) >= 0 && (!i || slots_to(s, i - 1) != slots_from(s, i));
}

static inline int slots_cost(struct exec *e, const struct slots *s, const struct operand *state,
			     bool write)
{
	exec_cost_hull(e, write, state);
	for (uint32_t i = 0; i < s->m; i++) {
		int32_t slot = write ? slots_to(s, i) : slots_from(s, i);

		if (slots_moves(s, i, write))
			EXEC_TRY(exec_cost_row(e, state, (uint32_t)slot));
		EXEC_TRY(exec_work(e, 5));
	}
	return OCTANS_JOB_OK;
}

#endif
