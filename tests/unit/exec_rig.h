/* SPDX-License-Identifier: MIT */
/*
 * A memory for sim_exec() that is nothing but an arena: it refuses what it is told to
 * refuse, and takes back at every yield what it showed before, as the real one may.
 */
#ifndef TESTS_EXEC_RIG_H
#define TESTS_EXEC_RIG_H

#include <stdlib.h>
#include <string.h>

#include <accel/octans_isa.h>

#include "octans_regs.h"

/* The real machinery is linked too (accelctl needs it): ours go by other names. */
#define sim_read	rig_read
#define sim_write	rig_write
#define sim_yield	rig_yield
#define sim_mem_traffic	rig_traffic
#define sim_exec	rig_exec
#define sim_exec_ops	rig_exec_ops
#define sim_exec_types	rig_exec_types
#include "sim.h"

#define RIG_BASE	0x7f0000000000ull	/* near the top of the address space */
#define RIG_SIZE	(1u << 20)
#define RIG_OUTPUTS	4
#define RIG_FILL	0xe7

enum rig_mode {
	RIG_VIEW,	/* reads give a view of exactly the bytes, dead after the next yield */
	RIG_SCRATCH,	/* reads copy to the caller's buffer, as scattered pages do */
};

struct rig_view {
	struct rig_view *next;
	size_t len;
	uint8_t bytes[];
};

struct sim_mem {
	uint8_t *bytes, *before;
	size_t used;
	enum rig_mode mode;
	unsigned long calls, fail_at;	/* refuse call number fail_at, from 1; 0 = none */
	unsigned long writes, yields;
	bool refused;
	struct rig_view *views;
	struct sim_traffic traffic;
	struct octans_tensor outputs[RIG_OUTPUTS];	/* rows that a command may change */
	unsigned int outputs_used;
};

static bool rig_call(struct sim_mem *m)
{
	if (m->refused || ++m->calls == m->fail_at)
		m->refused = true;	/* and everything after it */
	return !m->refused;
}

static bool rig_inside(uint64_t va, size_t len)
{
	return va >= RIG_BASE && len <= RIG_SIZE && va - RIG_BASE <= RIG_SIZE - len;
}

const void *rig_read(struct sim_mem *m, uint64_t va, size_t len, void *scratch)
{
	struct rig_view *v;

	if (!rig_call(m))
		return NULL;
	if (!rig_inside(va, len)) {
		m->refused = true;
		return NULL;
	}
	m->traffic.local += len;
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
	if (!rig_call(m))
		return -1;
	if (!rig_inside(va, len)) {
		m->refused = true;
		return -1;
	}
	m->writes++;
	m->traffic.pcie += len;
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

bool rig_yield(struct sim_mem *m)
{
	rig_drop_views(m);
	m->yields++;
	return rig_call(m);
}

const struct sim_traffic *rig_traffic(const struct sim_mem *m)
{
	return &m->traffic;
}

/* ---- for the tests ---- */

static int rig_open(struct sim_mem *m)
{
	memset(m, 0, sizeof(*m));
	m->bytes = malloc(RIG_SIZE);
	m->before = malloc(RIG_SIZE);
	return m->bytes && m->before ? 0 : -1;
}

static void rig_close(struct sim_mem *m)
{
	rig_drop_views(m);
	free(m->bytes);
	free(m->before);
}

/* Empty again. */
static void rig_clear(struct sim_mem *m)
{
	rig_drop_views(m);
	memset(m->bytes, RIG_FILL, RIG_SIZE);
	m->used = 0;
	m->outputs_used = 0;
	m->calls = m->fail_at = m->writes = m->yields = 0;
	m->refused = false;
	m->traffic = (struct sim_traffic) { 0 };
}

static uint8_t *rig_at(struct sim_mem *m, uint64_t va)
{
	return m->bytes + (va - RIG_BASE);
}

static uint64_t rig_row_bytes(const struct octans_tensor *t)
{
	switch (t->type) {
	case OCTANS_TYPE_F16:
	case OCTANS_TYPE_BF16:
		return 2ull * t->cols;
	case OCTANS_TYPE_Q4_0:
		return t->cols / 32 * 18ull;
	case OCTANS_TYPE_Q5_0:
		return t->cols / 32 * 22ull;
	case OCTANS_TYPE_Q8_0:
		return t->cols / 32 * 34ull;
	case OCTANS_TYPE_Q4_K:
		return t->cols / 256 * 144ull;
	case OCTANS_TYPE_Q6_K:
		return t->cols / 256 * 210ull;
	}
	return 4ull * t->cols;
}

/* A tensor with a gap of @pad bytes after each row, filled from @data unless NULL. */
static struct octans_tensor rig_place(struct sim_mem *m, uint32_t rows, uint32_t cols, uint32_t type,
				      const void *data, uint32_t pad)
{
	struct octans_tensor t = { .rows = rows, .cols = cols, .type = type };
	uint64_t row = rig_row_bytes(&t);

	/* No better aligned than it must be. */
	m->used = (m->used + 63) / 64 * 64;
	m->used += type == OCTANS_TYPE_F32 || type == OCTANS_TYPE_I32 ? 4 : 2;
	t.va = RIG_BASE + m->used;
	t.stride = row + pad;
	if (m->used + t.stride * rows > RIG_SIZE)
		abort();
	for (uint32_t i = 0; i < rows && data; i++)
		memcpy(rig_at(m, t.va + i * t.stride), (const uint8_t *)data + i * row, row);
	m->used += t.stride * rows;
	return t;
}

static void rig_output(struct sim_mem *m, const struct octans_tensor *t)
{
	if (m->outputs_used == RIG_OUTPUTS)
		abort();
	m->outputs[m->outputs_used++] = *t;
}

/* Call before the command ... */
static void rig_mark(struct sim_mem *m)
{
	memcpy(m->before, m->bytes, RIG_SIZE);
}

/* ... and this after it: did it leave everything but its outputs alone? */
static bool rig_clean(struct sim_mem *m)
{
	for (unsigned int i = 0; i < m->outputs_used; i++) {
		const struct octans_tensor *t = &m->outputs[i];

		for (uint32_t r = 0; r < t->rows; r++) {
			uint64_t va = t->va + r * t->stride;

			memcpy(m->before + (va - RIG_BASE), rig_at(m, va), rig_row_bytes(t));
		}
	}
	return !memcmp(m->before, m->bytes, RIG_SIZE);
}

#endif
