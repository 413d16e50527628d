// SPDX-License-Identifier: MIT
/* The device MMU: the walk, and what a ring remembers of it. */
#include <string.h>

#include "mmu.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the model runs on little-endian hosts");

#define LOG2_4K		12
#define LOG2_64K	16
#define LOG2_2M		21
#define LOG2_1G		30

#define CAN_WRITE	0x1	/* the page table allows writes */
#define ON_CARD		0x2
#define BUS_RO		0x4	/* the bus refuses writes */
#define HOST_TABLE	0x8	/* the last table lies in host memory */

/* ---- what is remembered ---- */

void sim_tlbs_job(struct sim_tlbs *t, uint16_t asid)
{
	t->asid = asid;
	t->walks = 0;
	t->newest.tag = 0;
	memset(&t->refused, 0, sizeof(t->refused));
}

static void forget(struct sim_translation *e, size_t n, uint64_t what)
{
	for (size_t i = 0; i < n; i++)
		if ((what & OCTANS_INVALIDATE_ALL) || (e[i].tag & 0xffff) == (what & 0xffff))
			e[i].tag = 0;
}

void sim_tlbs_forget(struct sim_tlbs *t, uint64_t what)
{
	forget(&t->newest, 1, what);
	forget(t->small, SIM_SMALL, what);
	forget(t->large, SIM_LARGE, what);
	forget(t->huge, SIM_HUGE, what);
	for (int i = 0; i < SIM_ROOTS; i++)
		if ((what & OCTANS_INVALIDATE_ALL) || t->roots[i].asid == (what & 0xffff))
			t->roots[i].asid = 0;
}

static uint64_t tag_of(const struct sim_tlbs *t, uint64_t va, unsigned int log2)
{
	return va >> log2 << 16 | t->asid;
}

static struct sim_translation *slot(struct sim_tlbs *t, uint64_t va, unsigned int log2)
{
	uint64_t n = va >> log2;

	switch (log2) {
	case LOG2_1G:
		return &t->huge[(n ^ t->asid) % SIM_HUGE];
	case LOG2_2M:
		return &t->large[(n ^ n >> 9 ^ t->asid) % SIM_LARGE];
	}
	return &t->small[(n ^ n >> 10 ^ t->asid) % SIM_SMALL];
}

static const struct sim_translation *find(struct sim_tlbs *t, uint64_t va)
{
	static const uint8_t sizes[] = { LOG2_2M, LOG2_4K, LOG2_1G };

	for (size_t i = 0; i < sizeof(sizes); i++) {
		const struct sim_translation *e = slot(t, va, sizes[i]);

		if (e->tag == tag_of(t, va, sizes[i]))
			return e;
	}
	return NULL;
}

/* ---- the walk, in the order of checks of mmu.rst ---- */

int sim_refuse(struct sim_tlbs *t, int status, uint32_t code, uint64_t va, bool write)
{
	if (!t->refused.status)
		t->refused = (struct sim_refusal) {
			.status = status, .code = code, .va = va, .write = write,
		};
	return -1;
}

static bool on_card(const struct sim_mmu *mmu, uint64_t offset, uint64_t size)
{
	return offset < mmu->local_size && size <= mmu->local_size - offset;
}

/* Entry @index of a table; false: the bus refuses. */
static bool read_entry(struct sim_mmu *mmu, bool local, uint64_t table, unsigned int index,
		       uint64_t *entry)
{
	const uint8_t *p = local ? mmu->local + table + index * 8ULL
				 : sim_bus_ptr(mmu->dma, table + index * 8ULL, 8, false);

	if (!p)
		return false;
	*entry = atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_relaxed);
	return true;
}

static int find_root(struct sim_tlbs *t, uint64_t va, bool write, bool *local, uint64_t *table)
{
	unsigned int i = t->asid % SIM_ROOTS;
	uint64_t entry;

	if (t->table == SIM_MMU_OFF || !t->asid || t->asid >= t->mmu->asids)
		return sim_refuse(t, OCTANS_JOB_FAULT, OCTANS_FAULT_ASID, va, write);
	if (t->roots[i].asid != t->asid) {
		if (!read_entry(t->mmu, false, t->table & OCTANS_ADDR_MASK, t->asid, &entry))
			return sim_refuse(t, OCTANS_JOB_BUS, OCTANS_JOB_BUS, va, write);
		if (!(entry & OCTANS_ASID_VALID))
			return sim_refuse(t, OCTANS_JOB_FAULT, OCTANS_FAULT_ASID, va, write);
		if (entry & ~(OCTANS_ASID_VALID | OCTANS_ASID_LOCAL | OCTANS_ADDR_MASK) ||
		    ((entry & OCTANS_ASID_LOCAL) &&
		     !on_card(t->mmu, entry & OCTANS_ADDR_MASK, 1 << LOG2_4K)))
			return sim_refuse(t, OCTANS_JOB_FAULT, OCTANS_FAULT_FORMAT, va, write);
		t->roots[i].asid = t->asid;
		t->roots[i].on_card = entry & OCTANS_ASID_LOCAL;
		t->roots[i].table = entry & OCTANS_ADDR_MASK;
	}
	*local = t->roots[i].on_card;
	*table = t->roots[i].table;
	return 0;
}

/* A leaf is good and is remembered.  A page that the bus does not back in one piece becomes
 * a smaller translation. */
static int remember(struct sim_tlbs *t, uint64_t va, bool write, uint64_t pte, uint8_t flags,
		    unsigned int log2, const struct sim_translation **out)
{
	static const uint8_t smaller[] = { [LOG2_1G] = LOG2_2M, [LOG2_2M] = LOG2_4K };
	struct sim_mmu *mmu = t->mmu;
	uint64_t addr = pte & OCTANS_ADDR_MASK;
	struct sim_translation e = {
		.flags = flags | (pte & OCTANS_PTE_WRITE ? CAN_WRITE : 0),
		.page_log2 = pte & OCTANS_PTE_CONT ? LOG2_64K : log2,
	};

	if (write && !(pte & OCTANS_PTE_WRITE))
		return sim_refuse(t, OCTANS_JOB_FAULT, OCTANS_FAULT_READONLY, va, write);
	if (pte & OCTANS_PTE_LOCAL) {
		e.flags |= ON_CARD;
		e.host = mmu->local + addr;
	} else {
		while (!(e.host = sim_bus_ptr(mmu->dma, addr, 1ULL << log2, false)) &&
		       log2 > LOG2_4K) {
			uint64_t page = 1ULL << log2;

			log2 = smaller[log2];
			addr += va & (page - 1) & ~((1ULL << log2) - 1);
		}
		if (!e.host)
			return sim_refuse(t, OCTANS_JOB_BUS, OCTANS_JOB_BUS, va, write);
		if (!sim_bus_ptr(mmu->dma, addr, 1ULL << log2, true))
			e.flags |= BUS_RO;
	}
	e.log2 = log2;
	e.tag = tag_of(t, va, log2);
	*slot(t, va, log2) = e;
	*out = slot(t, va, log2);
	return 0;
}

static int walk(struct sim_tlbs *t, uint64_t va, bool write, const struct sim_translation **out)
{
	uint64_t table = 0, pte;
	bool local = false;

	t->walks++;
	if (find_root(t, va, write, &local, &table))
		return -1;
	if (va >> OCTANS_VA_BITS)
		return sim_refuse(t, OCTANS_JOB_FAULT, OCTANS_FAULT_FORMAT, va, write);
	for (int level = OCTANS_PT_LEVELS - 1; ; level--) {
		unsigned int log2 = LOG2_4K + 9 * level;
		uint64_t allowed = OCTANS_PTE_VALID | OCTANS_PTE_LOCAL | OCTANS_ADDR_MASK;
		bool leaf;

		if (!read_entry(t->mmu, local, table, va >> log2 & (OCTANS_PT_ENTRIES - 1), &pte))
			return sim_refuse(t, OCTANS_JOB_BUS, OCTANS_JOB_BUS, va, write);
		if (!(pte & OCTANS_PTE_VALID))
			return sim_refuse(t, OCTANS_JOB_FAULT, OCTANS_FAULT_UNMAPPED, va, write);
		leaf = !level || (level < 3 && (pte & OCTANS_PTE_LARGE));
		if (leaf)
			allowed = (allowed | OCTANS_PTE_WRITE |
				   (level ? OCTANS_PTE_LARGE : OCTANS_PTE_CONT)) &
				  ~((1ULL << log2) - (1ULL << LOG2_4K));
		if ((pte & ~allowed) || ((pte & OCTANS_PTE_LOCAL) &&
					 !on_card(t->mmu, pte & OCTANS_ADDR_MASK,
						  leaf ? 1ULL << log2 : 1ULL << LOG2_4K)))
			return sim_refuse(t, OCTANS_JOB_FAULT, OCTANS_FAULT_FORMAT, va, write);
		if (leaf)
			return remember(t, va, write, pte, local ? 0 : HOST_TABLE, log2, out);
		local = pte & OCTANS_PTE_LOCAL;
		table = pte & OCTANS_ADDR_MASK;
	}
}

int sim_translate(struct sim_tlbs *t, uint64_t va, bool write, struct sim_piece *piece)
{
	uint64_t table = atomic_load_explicit(&t->mmu->table, memory_order_relaxed), offset;
	const struct sim_translation *e = &t->newest;

	if (table != t->table) {
		sim_tlbs_forget(t, OCTANS_INVALIDATE_ALL);
		t->table = table;
	}
	if (!e->tag || e->tag != tag_of(t, va, e->log2) || va >> OCTANS_VA_BITS) {
		/* Tags have no room for more, and an empty one looks like ASID 0. */
		e = t->asid && !(va >> OCTANS_VA_BITS) ? find(t, va) : NULL;
		if (!e && walk(t, va, write, &e))
			return -1;
		t->newest = *e;
	}
	if (write && !(e->flags & CAN_WRITE))
		return sim_refuse(t, OCTANS_JOB_FAULT, OCTANS_FAULT_READONLY, va, write);
	if (!(e->flags & ON_CARD) &&
	    (!atomic_load_explicit(&t->mmu->dma->on, memory_order_relaxed) ||
	     (write && (e->flags & BUS_RO))))
		return sim_refuse(t, OCTANS_JOB_BUS, OCTANS_JOB_BUS, va, write);
	offset = va & ((1ULL << e->log2) - 1);
	piece->host = e->host + offset;
	piece->left = (1ULL << e->log2) - offset;
	piece->page_log2 = e->page_log2;
	piece->on_card = e->flags & ON_CARD;
	piece->host_table = e->flags & HOST_TABLE;
	return 0;
}

/* ---- registers ---- */

void sim_mmu_set_base(struct sim_mmu *mmu, uint64_t base)
{
	if (!sim_mmu_enabled(mmu))
		mmu->asid_base = base & OCTANS_ADDR_MASK;
}

void sim_mmu_enable(struct sim_mmu *mmu, bool on)
{
	if (on == sim_mmu_enabled(mmu))
		return;
	if (on)
		mmu->enables++;
	atomic_store(&mmu->table, on ? mmu->asid_base | (mmu->enables & 0xfff) : SIM_MMU_OFF);
	/* For rings that run nothing until the number has come round. */
	if (!on)
		sim_bus_forget(mmu->dma);
}
