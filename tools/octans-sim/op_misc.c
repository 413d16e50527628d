// SPDX-License-Identifier: MIT
/* NOP, COPY, PREFETCH, SIGNAL, WAIT: commands without arithmetic. */
#include "exec.h"

#include <string.h>

#define CHUNK 65536u

int exec_nop(struct exec *e, const struct octans_cmd *c)
{
	(void)e;
	return c->flags ? OCTANS_JOB_BAD_CMD : OCTANS_JOB_OK;
}

/* One operand that is one piece. */
static int cost_bytes(struct exec *e, bool write, uint64_t va, uint64_t size)
{
	sim_cost_operand(e->m, write, va, size);
	return sim_cost_piece(e->m, va, size, 1) ? OCTANS_JOB_FAULT : OCTANS_JOB_OK;
}

static bool size_ok(uint64_t va, uint64_t size)
{
	return size && size <= 1ull << 40 && exec_range_ok(va, size);
}

int exec_copy(struct exec *e, const struct octans_cmd_copy *c)
{
	uint8_t *chunk;

	if (c->cmd.flags || c->reserved || !size_ok(c->dst, c->size) || !size_ok(c->src, c->size) ||
	    (c->dst < c->src + c->size && c->src < c->dst + c->size))
		return OCTANS_JOB_BAD_CMD;
	e->ex->dma = c->size;
	EXEC_TRY(cost_bytes(e, false, c->src, c->size));
	EXEC_TRY(cost_bytes(e, true, c->dst, c->size));
	if (e->ex->timing_only)
		return OCTANS_JOB_OK;
	chunk = exec_alloc(e, CHUNK);
	if (!chunk)
		return OCTANS_JOB_BUS;
	for (uint64_t done = 0, n; done < c->size; done += n) {
		n = c->size - done < CHUNK ? c->size - done : CHUNK;
		/* By way of the chunk: two addresses may be one page. */
		EXEC_TRY(exec_get(e, c->src + done, n, chunk));
		EXEC_TRY(exec_put(e, c->dst + done, n, chunk));
	}
	return OCTANS_JOB_OK;
}

int exec_prefetch(struct exec *e, const struct octans_cmd_prefetch *c)
{
	if (c->cmd.flags || !size_ok(c->va, c->size))
		return OCTANS_JOB_BAD_CMD;
	e->ex->dma = c->size;
	return cost_bytes(e, false, c->va, c->size);
}

int exec_signal(struct exec *e, const struct octans_cmd_signal *c)
{
	bool counters = c->cmd.flags == OCTANS_SIGNAL_COUNTERS;
	union {
		uint64_t value;
		struct octans_counters counters;
	} what = { .value = c->cmd.flags == OCTANS_SIGNAL_TIME ? e->ex->time_ns : c->value };
	uint64_t size = counters ? sizeof(what.counters) : sizeof(what.value);

	if (c->cmd.flags > OCTANS_SIGNAL_COUNTERS || c->va % 8 || !exec_range_ok(c->va, size) ||
	    (c->cmd.flags != OCTANS_SIGNAL_VALUE && c->value))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(cost_bytes(e, true, c->va, size));
	if (counters)
		sim_counters(e->m, &what.counters);
	/* Who waits for the value must not find it before it is known when it came. */
	sim_cost_commit(e->m);
	return exec_put(e, c->va, size, &what);
}

int exec_wait(struct exec *e, const struct octans_cmd_wait *c)
{
	uint64_t value;

	if (c->cmd.flags || c->va % 8 || !exec_range_ok(c->va, sizeof(value)))
		return OCTANS_JOB_BAD_CMD;
	EXEC_TRY(cost_bytes(e, false, c->va, sizeof(value)));
	for (;;) {
		const uint64_t *p = sim_read(e->m, c->va, sizeof(value), &value);

		if (!p)
			return OCTANS_JOB_FAULT;
		/* Later commands see what was written before the value was. */
		if (__atomic_load_n(p, __ATOMIC_ACQUIRE) >= c->value)
			return OCTANS_JOB_OK;
		e->ex->waited = true;
		if (!sim_pause(e->m))
			return OCTANS_JOB_FAULT;
	}
}
