// SPDX-License-Identifier: MIT
/* Memory as the operations see it: reads, writes, yields and what they cost. */
#include <assert.h>
#include <string.h>
#include <time.h>

#include "mem.h"

/* What an average host takes, in nanoseconds; rather too much than too little. */
#define NS_ACCESS	8
#define NS_WALK		400	/* four reads far apart */
#define NS_COPY(bytes)	((bytes) / 4)
#define NS_PAGE		30	/* the clock's TLB */

#define NAP_NS		30000	/* WAIT looks again */
#define HANG_NAP_NS	1000000

/* ---- access ---- */

static int translate(struct sim_mem *m, uint64_t va, bool write, struct sim_piece *piece)
{
	uint64_t walks = m->tlbs.walks;
	int ret;

	if (atomic_load_explicit(&m->fault, memory_order_relaxed) && atomic_exchange(&m->fault, 0))
		return sim_refuse(&m->tlbs, OCTANS_JOB_FAULT, OCTANS_FAULT_UNMAPPED, va, write);
	ret = sim_translate(&m->tlbs, va, write, piece);
	m->spent += NS_ACCESS + (m->tlbs.walks - walks) * NS_WALK;
	return ret;
}

const void *sim_read(struct sim_mem *m, uint64_t va, size_t len, void *scratch)
{
	uint8_t *first = NULL;
	struct sim_piece p;
	bool copy = false;
	size_t done = 0;

	if (!len)
		return scratch ? scratch : m;
	while (done < len) {
		size_t n;

		if (translate(m, va + done, false, &p))
			return NULL;
		n = p.left < len - done ? p.left : len - done;
		if (!done) {
			first = p.host;
		} else if (!copy && p.host != first + done) {
			memcpy(scratch, first, done);
			m->spent += NS_COPY(done);
			copy = true;
		}
		if (copy) {
			memcpy((uint8_t *)scratch + done, p.host, n);
			m->spent += NS_COPY(n);
		}
		done += n;
	}
	return copy ? scratch : first;
}

int sim_fetch(struct sim_mem *m, uint64_t va, void *dst, size_t len, uint64_t bytes[SIM_SIDES])
{
	struct sim_piece p;
	size_t done, n;

	for (done = 0; done < len; done += n) {
		if (translate(m, va + done, false, &p))
			return -1;
		n = p.left < len - done ? p.left : len - done;
		memcpy((uint8_t *)dst + done, p.host, n);
		m->spent += NS_COPY(n);
		bytes[p.on_card ? SIM_ON_CARD : SIM_IN_HOST] += n;
	}
	return 0;
}

/* What may be a signal is stored in whole u64s: somebody may be waiting for one. */
static void store(uint8_t *dst, const uint8_t *src, size_t n)
{
	if (n > sizeof(struct octans_counters) || n % 8 || (uintptr_t)dst % 8) {
		memcpy(dst, src, n);
		return;
	}
	for (size_t i = 0; i < n; i += 8) {
		uint64_t v;

		memcpy(&v, src + i, 8);
		atomic_store_explicit((_Atomic uint64_t *)(dst + i), v, memory_order_release);
	}
}

int sim_write(struct sim_mem *m, uint64_t va, const void *src, size_t len)
{
	struct sim_piece p;
	size_t done, n;

	for (done = 0; done < len; done += n) {
		if (translate(m, va + done, true, &p))
			return -1;
		n = p.left < len - done ? p.left : len - done;
		store(p.host, (const uint8_t *)src + done, n);
		m->spent += NS_COPY(n);
	}
	return 0;
}

/* ---- yields ---- */

void sim_spend(struct sim_mem *m, uint64_t ns)
{
	m->spent += ns;
}

bool sim_due(const struct sim_mem *m)
{
	return m->spent >= SIM_BUDGET_NS;
}

/* Takes notice of what was changed since the last look. */
static void pass(struct sim_mem *m)
{
	uint64_t change[SIM_CHANGES], upto;
	size_t n;

	m->spent = 0;
	if (!sim_window_stale(m->dma, &m->window))
		return;
	n = sim_window_changes(m->dma, &m->window, change, &upto);
	for (size_t i = 0; i < n; i++)
		sim_tlbs_forget(&m->tlbs, change[i]);
	sim_window_pass(m->dma, &m->window, upto);
}

uint64_t sim_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void nap(long ns)
{
	nanosleep(&(struct timespec) { .tv_nsec = ns }, NULL);
}

/* The thread was lent, and somebody waits for it. */
static void look_at_the_clock(struct sim_mem *m)
{
	struct sim_loan *loan = m->loan;

	if (!loan || sim_monotonic_ns() < loan->until_ns)
		return;
	m->loan = NULL;
	loan->called = true;
	loan->overdue(loan->ctx);
}

bool sim_yield(struct sim_mem *m)
{
	pass(m);
	look_at_the_clock(m);
	while (atomic_load_explicit(&m->hang, memory_order_relaxed) && !atomic_load(&m->abort)) {
		nap(HANG_NAP_NS);
		pass(m);
		look_at_the_clock(m);
	}
	if (atomic_load_explicit(&m->abort, memory_order_relaxed))
		return false;
	atomic_fetch_add_explicit(&m->progress, 1, memory_order_relaxed);
	return true;
}

void sim_nap(struct sim_mem *m, unsigned int us)
{
	uint64_t until, now;

	if (!us)
		return;
	now = sim_monotonic_ns();
	until = now + us * 1000ull;
	while (now < until && !atomic_load_explicit(&m->abort, memory_order_relaxed)) {
		look_at_the_clock(m);
		nap(until - now < 1000000 ? until - now : 1000000);
		pass(m);
		now = sim_monotonic_ns();
	}
}

bool sim_pause(struct sim_mem *m)
{
	sim_clock_wait(m->clock, m->ring);
	pass(m);
	look_at_the_clock(m);
	nap(NAP_NS);
	pass(m);
	return !atomic_load_explicit(&m->abort, memory_order_relaxed);
}

void sim_mem_enter(struct sim_mem *m)
{
	sim_window_open(m->dma, &m->window);
	pass(m);
}

void sim_mem_leave(struct sim_mem *m)
{
	sim_window_close(m->dma, &m->window);
}

void sim_mem_job(struct sim_mem *m, uint16_t asid)
{
	unsigned int deaths = atomic_load(&m->dma->deaths);

	/* Translations may lead to what died since. */
	if (deaths != m->deaths)
		sim_tlbs_forget(&m->tlbs, OCTANS_INVALIDATE_ALL);
	m->deaths = deaths;
	sim_tlbs_job(&m->tlbs, asid);
}

bool sim_mem_died(const struct sim_mem *m)
{
	return atomic_load(&m->dma->deaths) != m->deaths;
}

/* ---- costs ---- */

static struct sim_operand *operand(struct sim_mem *m)
{
	return &m->cost.operand[m->cost.operands - 1];
}

/* Asks the clock's TLB for the pages that are collected. */
static void ask(struct sim_mem *m)
{
	if (m->pages)
		sim_clock_pages(m->clock, m->page, m->pages, operand(m)->misses);
	m->pages = 0;
}

void sim_cost_begin(struct sim_mem *m)
{
	/* All but what the operands left there. */
	memset(&m->cost, 0, offsetof(struct sim_command, operand));
	m->committed = false;
	m->pages = 0;
}

void sim_cost_end(struct sim_mem *m)
{
	ask(m);
}

void sim_cost_operand(struct sim_mem *m, bool write, uint64_t hull, uint64_t hull_size)
{
	assert(m->cost.operands < SIM_OPERANDS);
	ask(m);
	m->last_page = 0;
	m->cost.operands++;
	*operand(m) = (struct sim_operand) { .write = write, .va = hull, .size = hull_size };
}

int sim_cost_piece(struct sim_mem *m, uint64_t va, uint64_t len, uint32_t times)
{
	struct sim_operand *o = operand(m);
	struct sim_piece p;
	uint64_t n, key;

	for (; len; va += n, len -= n) {
		if (sim_due(m) && !sim_yield(m))
			return -1;
		if (translate(m, va, o->write, &p))
			return -1;
		n = p.left < len ? p.left : len;
		o->bytes[p.on_card ? SIM_ON_CARD : SIM_IN_HOST] += n * times;
		key = SIM_PAGE_KEY(m->tlbs.asid, va, p.page_log2);
		if (key == m->last_page)
			continue;
		m->last_page = key;
		m->page[m->pages++] = (struct sim_page) { key, p.host_table };
		m->spent += NS_PAGE;
		if (m->pages == SIM_PAGE_BATCH)
			ask(m);
	}
	return 0;
}

int sim_cost_rows(struct sim_mem *m, uint64_t va, uint64_t stride, uint32_t rows, uint64_t len,
		  uint32_t times)
{
	/* Rows without gaps are one piece. */
	if (stride == len)
		return sim_cost_piece(m, va, len * rows, times);
	for (uint32_t i = 0; i < rows; i++)
		if (sim_cost_piece(m, va + i * stride, len, times))
			return -1;
	return 0;
}

void sim_cost_commit(struct sim_mem *m)
{
	sim_cost_end(m);
	m->cost.fence = true;
	sim_clock_commit(m->clock, m->ring, &m->cost);
	m->committed = true;
}

void sim_counters(struct sim_mem *m, struct octans_counters *counters)
{
	sim_clock_counters_at(m->clock, m->ring, counters);
}

void sim_mem_init(struct sim_mem *m, struct sim_mmu *mmu, struct sim_clock *clock,
		  unsigned int ring)
{
	memset(m, 0, sizeof(*m));
	m->tlbs.mmu = mmu;
	m->tlbs.table = SIM_MMU_OFF;
	m->dma = mmu->dma;
	m->clock = clock;
	m->ring = ring;
}
