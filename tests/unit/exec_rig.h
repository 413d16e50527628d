/* SPDX-License-Identifier: MIT */
/*
 * A memory for sim_exec() that is nothing but an arena: it refuses what it is told to refuse, takes
 * back at every yield what it showed before, as the real one may, and records what a command says
 * that it costs, how long it works between two yields, and whether it touches what it did not
 * announce.
 */
#ifndef TESTS_EXEC_RIG_H
#define TESTS_EXEC_RIG_H

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <octans/isa.h>

#include "numeric.h"

#include <octans/regs.h>

/* The real machinery is linked too (accelctl needs it): ours go by other names. */
#define sim_read		rig_read
#define sim_write		rig_write
#define sim_spend		rig_spend
#define sim_due			rig_due
#define sim_yield		rig_yield
#define sim_pause		rig_pause
#define sim_cost_operand	rig_cost_operand
#define sim_cost_piece		rig_cost_piece
#define sim_cost_rows		rig_cost_rows
#define sim_cost_commit		rig_cost_commit
#define sim_counters		rig_counters
#define sim_exec		rig_exec
#define sim_exec_free		rig_exec_free
#define sim_exec_ops		rig_exec_ops
#define sim_exec_types		rig_exec_types
#define exec_operand		rig_x_operand
#define exec_skipped		rig_x_skipped
#define exec_zero		rig_x_zero
#define exec_range_ok		rig_x_range_ok
#define exec_alloc		rig_x_alloc
#define exec_breathe		rig_x_breathe
#define exec_work		rig_x_work
#define exec_share		rig_x_share
#define exec_threads		rig_x_threads
#define exec_get		rig_x_get
#define exec_put		rig_x_put
#define exec_get_rows		rig_x_get_rows
#define exec_get_elements	rig_x_get_elements
#define exec_put_elements	rig_x_put_elements
#define exec_cost		rig_x_cost
#define exec_cost_hull		rig_x_cost_hull
#define exec_cost_row		rig_x_cost_row
#define exec_move		rig_x_move
#define exec_matmul		rig_x_matmul
#define exec_row_op		rig_x_row_op
#define exec_map		rig_x_map
#define exec_rope		rig_x_rope
#define exec_attend		rig_x_attend
#define exec_topk		rig_x_topk
#define exec_conv		rig_x_conv
#define exec_scan		rig_x_scan
#define exec_nop		rig_x_nop
#define exec_copy		rig_x_copy
#define exec_prefetch		rig_x_prefetch
#define exec_signal		rig_x_signal
#define exec_wait		rig_x_wait
#include "sim.h"

#define RIG_BASE	0x7f0000000000ull	/* near the top of the address space */
#define RIG_SIZE	(1u << 20)
#define RIG_OPERANDS	32
#define RIG_FILL	0xe7
/* What an access is said to take, in nanoseconds: a page walk and a copy. */
#define RIG_WALK	100
#define RIG_BUDGET	500000

enum rig_mode {
	RIG_VIEW,    /* reads give a view of exactly the bytes, dead after the next yield */
	RIG_SCRATCH, /* reads copy to the caller's buffer, as scattered pages do */
	RIG_ENDLESS, /* all addresses are mapped; reads as @pattern, what is written vanishes */
};

struct rig_view {
	struct rig_view *next;
	size_t len;
	_Alignas(16) uint8_t bytes[];
};

/* An operand as the command announced it. */
struct rig_operand {
	bool write;
	uint64_t hull, hull_size;
	uint64_t bytes, pieces;		/* bytes: as often as they are moved */
};

struct sim_mem {
	uint8_t *bytes;
	uint8_t *announced;		/* of each byte, by costs: 1 read, 2 written */
	uint8_t *touched;		/* in fact, but for what is read before the first operand */
	size_t used;
	enum rig_mode mode;
	unsigned long calls, fail_at;	/* refuse call number fail_at, from 1; 0 = none */
	unsigned long reads, writes, yields, pauses;
	bool refused;
	bool strayed;			/* a piece is not within its hull */
	struct rig_view *views;
	struct rig_operand operands[RIG_OPERANDS];
	unsigned int operands_used;
	uint64_t pattern;		/* ENDLESS */
	uint64_t budget, spent, longest;	/* nanoseconds, as charged */
	unsigned long since_yield, most_calls;	/* calls between two yields */
	uint64_t cpu_at, cpu_longest;	/* of this thread, in fact */
	unsigned long stop_after;	/* ENDLESS: yields after which the job is aborted */
};

static uint64_t rig_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static bool rig_call(struct sim_mem *m)
{
	if (m->refused || ++m->calls == m->fail_at)
		m->refused = true;	/* and everything after it */
	m->since_yield++;
	m->most_calls = m->since_yield > m->most_calls ? m->since_yield : m->most_calls;
	return !m->refused;
}

void rig_spend(struct sim_mem *m, uint64_t ns)
{
	m->spent += ns;
	m->longest = m->spent > m->longest ? m->spent : m->longest;
}

bool rig_due(const struct sim_mem *m)
{
	return m->spent >= m->budget;
}

static bool rig_inside(struct sim_mem *m, uint64_t va, size_t len)
{
	if (va >= RIG_BASE && len <= RIG_SIZE && va - RIG_BASE <= RIG_SIZE - len)
		return true;
	m->refused = true;
	return false;
}

static void rig_touch(struct sim_mem *m, uint64_t va, size_t len, uint8_t how)
{
	if (!m->operands_used && how == 1)
		return;
	for (size_t i = 0; i < len; i++)
		m->touched[va - RIG_BASE + i] |= how;
}

const void *rig_read(struct sim_mem *m, uint64_t va, size_t len, void *scratch)
{
	struct rig_view *v;

	rig_spend(m, RIG_WALK * (1 + len / 4096) + len / 8);
	if (!rig_call(m))
		return NULL;
	m->reads++;
	if (m->mode == RIG_ENDLESS) {
		for (size_t i = 0; i < len; i += sizeof(m->pattern))
			memcpy((uint8_t *)scratch + i, &m->pattern,
			       len - i < sizeof(m->pattern) ? len - i : sizeof(m->pattern));
		return scratch;
	}
	if (!rig_inside(m, va, len))
		return NULL;
	rig_touch(m, va, len, 1);
	if (m->mode == RIG_SCRATCH)
		return memcpy(scratch, m->bytes + (va - RIG_BASE), len);
	v = malloc(sizeof(*v) + len);
	if (!v)
		abort();
	v->next = m->views;
	v->len = len;
	m->views = v;
	return memcpy(v->bytes, m->bytes + (va - RIG_BASE), len);
}

int rig_write(struct sim_mem *m, uint64_t va, const void *src, size_t len)
{
	rig_spend(m, RIG_WALK * (1 + len / 4096) + len / 8);
	if (!rig_call(m))
		return -1;
	m->writes++;
	if (m->mode == RIG_ENDLESS)
		return 0;
	if (!rig_inside(m, va, len))
		return -1;
	rig_touch(m, va, len, 2);
	memcpy(m->bytes + (va - RIG_BASE), src, len);
	return 0;
}

static void rig_drop_views(struct sim_mem *m)
{
	while (m->views) {
		struct rig_view *v = m->views;

		m->views = v->next;
		memset(v->bytes, 0xa5, v->len);
		free(v);
	}
}

static void rig_mark_time(struct sim_mem *m)
{
	uint64_t now = rig_cpu_ns(), took = now - m->cpu_at;

	m->cpu_longest = m->cpu_at && took > m->cpu_longest ? took : m->cpu_longest;
	m->cpu_at = now;
}

static void rig_refill(struct sim_mem *m)
{
	rig_drop_views(m);
	rig_mark_time(m);
	m->spent = 0;
	m->since_yield = 0;
}

bool rig_yield(struct sim_mem *m)
{
	rig_refill(m);
	m->yields++;
	if (m->stop_after && m->yields >= m->stop_after)
		m->refused = true;
	return rig_call(m);
}

bool rig_pause(struct sim_mem *m)
{
	rig_refill(m);
	m->pauses++;
	return rig_call(m);
}

void rig_cost_operand(struct sim_mem *m, bool write, uint64_t hull, uint64_t hull_size)
{
	if (m->operands_used == RIG_OPERANDS)
		abort();
	m->operands[m->operands_used++] = (struct rig_operand) {
		.write = write, .hull = hull, .hull_size = hull_size,
	};
}

int rig_cost_rows(struct sim_mem *m, uint64_t va, uint64_t stride, uint32_t rows, uint64_t len,
		  uint32_t times)
{
	struct rig_operand *o = &m->operands[m->operands_used - 1];

	rig_drop_views(m);	/* it may yield */
	if (!m->operands_used)
		abort();
	if (m->mode == RIG_ENDLESS)	/* what it takes is the machine's */
		return m->refused ? -1 : 0;
	if (!rig_call(m))
		return -1;
	for (uint32_t r = 0; r < rows; r++) {
		uint64_t at = va + r * stride;

		if (at < o->hull || len > o->hull_size || at - o->hull > o->hull_size - len)
			m->strayed = true;
		o->bytes += len * times;
		o->pieces++;
		if (!rig_inside(m, at, len))
			return -1;
		for (uint64_t i = 0; i < len; i++)
			m->announced[at - RIG_BASE + i] |= o->write ? 2 : 1;
	}
	return 0;
}

int rig_cost_piece(struct sim_mem *m, uint64_t va, uint64_t len, uint32_t times)
{
	return rig_cost_rows(m, va, 0, 1, len, times);
}

void rig_cost_commit(struct sim_mem *m)
{
	(void)m;
}

void rig_counters(struct sim_mem *m, struct octans_counters *counters)
{
	uint64_t values[OCTANS_COUNTERS];

	(void)m;
	for (uint64_t i = 0; i < OCTANS_COUNTERS; i++)
		values[i] = 1000 + i;
	memcpy(counters, values, sizeof(values));
}

/* ---- for the tests ---- */

static int rig_open(struct sim_mem *m)
{
	memset(m, 0, sizeof(*m));
	m->bytes = malloc(RIG_SIZE);
	m->announced = malloc(RIG_SIZE);
	m->touched = malloc(RIG_SIZE);
	return m->bytes && m->announced && m->touched ? 0 : -1;
}

static void rig_close(struct sim_mem *m)
{
	rig_drop_views(m);
	free(m->bytes);
	free(m->announced);
	free(m->touched);
}

/* Nothing was done yet. */
static void rig_rewind(struct sim_mem *m)
{
	rig_drop_views(m);
	memset(m->announced, 0, RIG_SIZE);
	memset(m->touched, 0, RIG_SIZE);
	m->operands_used = 0;
	m->calls = m->fail_at = m->reads = m->writes = m->yields = m->pauses = m->stop_after = 0;
	m->since_yield = m->most_calls = 0;
	m->refused = m->strayed = false;
	m->budget = RIG_BUDGET;
	m->spent = m->longest = m->cpu_longest = m->cpu_at = 0;
}

/* Did the command touch what it had not announced, or announce what no hull contains? */
static bool rig_strays(const struct sim_mem *m)
{
	for (size_t i = 0; i < RIG_SIZE; i++)
		if (m->touched[i] & ~m->announced[i])
			return true;
	return m->strayed;
}

/* Empty again. */
static void rig_clear(struct sim_mem *m)
{
	memset(m->bytes, RIG_FILL, RIG_SIZE);
	m->used = 0;
	rig_rewind(m);
}

static uint8_t *rig_at(struct sim_mem *m, uint64_t va)
{
	return m->bytes + (va - RIG_BASE);
}

static uint64_t rig_row_bytes(const struct octans_tensor *t)
{
	uint32_t elements, bytes;

	if (!sim_type_block(t->type, &elements, &bytes))
		return 4ull * t->cols;
	return (uint64_t)t->cols / elements * bytes;
}

/* A tensor with a gap of @pad bytes after each row, filled from @data unless NULL. */
static struct octans_tensor rig_place(struct sim_mem *m, uint32_t rows, uint32_t cols,
				      uint32_t type, const void *data, uint32_t pad)
{
	struct octans_tensor t = { .rows = rows, .cols = cols, .type = type };
	uint64_t row = rig_row_bytes(&t);

	/* No better aligned than it must be. */
	m->used = (m->used + 63) / 64 * 64;
	m->used += sim_type_align(type);
	t.va = RIG_BASE + m->used;
	t.stride = row + pad;
	if (m->used + t.stride * rows > RIG_SIZE)
		abort();
	for (uint32_t i = 0; i < rows && data; i++)
		memcpy(rig_at(m, t.va + i * t.stride), (const uint8_t *)data + i * row, row);
	m->used += t.stride * rows;
	return t;
}

#endif
