// SPDX-License-Identifier: MIT
/* The device MMU: every refusal, isolation, invalidation. */
#include "sim_rig.h"

#define CODE_VA	0x10000ULL	/* of the stream, in every address space here */
#define DATA_VA	0x20000ULL

static uint64_t seqno;

/* Runs COPY dst <- src on ring 0 in @asid; returns the status, resets the ring after a failure. */
static int copy(struct rig *rig, unsigned int asid, uint64_t dst, uint64_t src, uint64_t size)
{
	struct octans_cmd_copy c = cmd_copy(dst, src, size);
	int status;

	memcpy(rig->mem + RIG_DATA, &c, sizeof(c));
	status = rig_run(rig, 0, ++seqno, asid, CODE_VA, sizeof(c));
	if (status && !rig_reset_ring(rig, 0))
		printf("Bail out! the ring does not reset\n");
	return status;
}

static const struct octans_event *last_event(struct rig *rig)
{
	uint32_t tail = rd32(rig, OCTANS_REG_EVT_TAIL);

	wr32(rig, OCTANS_REG_EVT_HEAD, tail);
	return rig_event(rig, tail - 1);
}

/* A copy that must fault with @code at @va. */
static void refused(struct rig *rig, unsigned int asid, uint64_t dst, uint64_t src, uint32_t code,
		    uint64_t va, bool write, const char *what)
{
	int status = copy(rig, asid, dst, src, 64);
	const struct octans_event *e = last_event(rig);

	ok(status == OCTANS_JOB_FAULT && e->type == OCTANS_EVT_JOB_FAULT && e->code == code &&
	   e->va == va && e->write == write && e->seqno == seqno && e->asid == asid &&
	   e->tag == seqno << 32 && e->index == rd32(rig, OCTANS_REG_EVT_TAIL),
	   "%s: status %d code %u va 0x%llx write %u", what, status, e->code,
	   (unsigned long long)e->va, e->write);
}

/* A stream beyond the address space. */
static void far(struct rig *rig, uint64_t va, const char *what)
{
	int status = rig_run(rig, 0, ++seqno, 1, va, 16);
	const struct octans_event *e = last_event(rig);

	ok(status == OCTANS_JOB_FAULT && e->code == OCTANS_FAULT_FORMAT && e->va == va, "%s", what);
	rig_reset_ring(rig, 0);
}

static void test_refusals(struct rig *rig)
{
	uint64_t *pte;

	rig_map(rig, 1, CODE_VA, RIG_DATA, 0x1000, 0);
	rig_map(rig, 1, DATA_VA, RIG_DATA + 0x1000, 0x3000, OCTANS_PTE_WRITE);
	rig_map(rig, 1, DATA_VA + 0x3000, RIG_DATA + 0x4000, 0x1000, 0);
	memset(rig->mem + RIG_DATA + 0x1000, 0x5a, 64);

	ok(copy(rig, 1, DATA_VA + 0x1000, DATA_VA, 64) == OCTANS_JOB_OK &&
	   !memcmp(rig->mem + RIG_DATA + 0x2000, rig->mem + RIG_DATA + 0x1000, 64), "a copy copies");
	refused(rig, 2, 0, 0, OCTANS_FAULT_ASID, CODE_VA, false, "ASID that is not valid");
	refused(rig, 0, 0, 0, OCTANS_FAULT_ASID, CODE_VA, false, "ASID 0");
	refused(rig, 1, DATA_VA, 0x5000000, OCTANS_FAULT_UNMAPPED, 0x5000000, false, "unmapped source");
	refused(rig, 1, 0x7000000000, DATA_VA, OCTANS_FAULT_UNMAPPED, 0x7000000000, true,
		"unmapped destination");
	refused(rig, 1, DATA_VA + 0x3000, DATA_VA, OCTANS_FAULT_READONLY, DATA_VA + 0x3000, true,
		"read-only page");
	far(rig, 1ULL << 48, "address past 48 bits");
	far(rig, UINT64_MAX - 15, "last address of all");
	far(rig, (1ULL << 60) + CODE_VA, "a good address but for bit 60");
	refused(rig, 2, 0, 0, OCTANS_FAULT_ASID, CODE_VA, false, "the ASID is looked at first");

	pte = rig_pte(rig, 1, DATA_VA + 0x5000, 0);
	*pte = (RIG_IOVA + RIG_DATA) | OCTANS_PTE_VALID | 1ULL << 60;
	refused(rig, 1, DATA_VA, DATA_VA + 0x5000, OCTANS_FAULT_FORMAT, DATA_VA + 0x5000, false,
		"reserved high bit in a leaf");
	*pte = (RIG_IOVA + RIG_DATA) | OCTANS_PTE_VALID | OCTANS_PTE_LARGE;
	refused(rig, 1, DATA_VA, DATA_VA + 0x5000, OCTANS_FAULT_FORMAT, DATA_VA + 0x5000, false,
		"LARGE in a last-level entry");
	*pte = (16 << 20) | OCTANS_PTE_VALID | OCTANS_PTE_LOCAL;
	refused(rig, 1, DATA_VA, DATA_VA + 0x5000, OCTANS_FAULT_FORMAT, DATA_VA + 0x5000, false,
		"on-card offset past its end");
	*rig_pte(rig, 1, 0x40000000, 1) = (RIG_IOVA + 0x1000) | OCTANS_PTE_VALID | OCTANS_PTE_LARGE;
	refused(rig, 1, DATA_VA, 0x40000000, OCTANS_FAULT_FORMAT, 0x40000000, false,
		"crooked 2 MiB page");
	*rig_pte(rig, 1, 0x80000000, 1) = (RIG_IOVA + rig->tables) | OCTANS_PTE_VALID |
					  OCTANS_PTE_WRITE;
	refused(rig, 1, DATA_VA, 0x80000000, OCTANS_FAULT_FORMAT, 0x80000000, false,
		"WRITE in a table entry");
	*pte = RIG_IOVA | OCTANS_PTE_VALID | 0x20;
	refused(rig, 1, DATA_VA, DATA_VA + 0x5000, OCTANS_FAULT_FORMAT, DATA_VA + 0x5000, false,
		"reserved low bit in a leaf");
	*rig_pte(rig, 1, 0xc0000000, 1) = (RIG_IOVA + RIG_LARGE) | OCTANS_PTE_VALID |
					  OCTANS_PTE_LARGE | OCTANS_PTE_CONT;
	refused(rig, 1, DATA_VA, 0xc0000000, OCTANS_FAULT_FORMAT, 0xc0000000, false,
		"CONT in a 2 MiB entry");
	*rig_pte(rig, 1, 0x1000000000, 2) = (RIG_IOVA + RIG_LARGE) | OCTANS_PTE_VALID |
					    OCTANS_PTE_LARGE;
	refused(rig, 1, DATA_VA, 0x1000000000, OCTANS_FAULT_FORMAT, 0x1000000000, false,
		"crooked 1 GiB page");
	*rig_pte(rig, 1, 0x8000000000, 3) = RIG_IOVA | OCTANS_PTE_VALID | OCTANS_PTE_LARGE;
	refused(rig, 1, DATA_VA, 0x8000000000, OCTANS_FAULT_FORMAT, 0x8000000000, false,
		"LARGE in the root");
	*rig_pte(rig, 1, 0x10000000000, 3) = 16 << 20 | OCTANS_PTE_VALID | OCTANS_PTE_LOCAL;
	refused(rig, 1, DATA_VA, 0x10000000000, OCTANS_FAULT_FORMAT, 0x10000000000, false,
		"a table past the end of the card");
	*rig_u64(rig, RIG_ASIDS + 8 * 8) = 16 << 20 | OCTANS_ASID_VALID | OCTANS_ASID_LOCAL;
	refused(rig, 8, 0, 0, OCTANS_FAULT_FORMAT, CODE_VA, false, "a root past the end of the card");
	*rig_u64(rig, RIG_ASIDS + 8 * 7) = (RIG_IOVA + RIG_TABLES) | OCTANS_ASID_VALID | 2;
	refused(rig, 7, 0, 0, OCTANS_FAULT_FORMAT, CODE_VA, false, "reserved bit in the ASID table");
	wr32(rig, OCTANS_REG_MMU_CTRL, 0);
	refused(rig, 1, DATA_VA, DATA_VA, OCTANS_FAULT_ASID, CODE_VA, false, "MMU off");
	wr32(rig, OCTANS_REG_MMU_CTRL, OCTANS_MMU_ENABLE);
}

static void test_bus(struct rig *rig)
{
	const struct octans_event *e;
	uint64_t *pte = rig_pte(rig, 1, DATA_VA + 0x6000, 0);

	*pte = 0x7000 | OCTANS_PTE_VALID | OCTANS_PTE_WRITE;
	ok(copy(rig, 1, DATA_VA, DATA_VA + 0x6000, 64) == OCTANS_JOB_BUS, "nothing at a bus address");
	e = last_event(rig);
	ok(e->type == OCTANS_EVT_JOB_ERROR && e->code == OCTANS_JOB_BUS && e->va == DATA_VA + 0x6000,
	   "the event names the address");
	refused(rig, 1, 0x7000000000, DATA_VA, OCTANS_FAULT_UNMAPPED, 0x7000000000, true,
		"not VALID is looked at before the bus");
	*pte = 0x7000 | OCTANS_PTE_VALID;
	refused(rig, 1, DATA_VA + 0x6000, DATA_VA, OCTANS_FAULT_READONLY, DATA_VA + 0x6000, true,
		"and so is a page without WRITE");
	*rig_pte(rig, 1, 0xe0000000, 1) = 0xfff0000000000ULL | OCTANS_PTE_VALID;
	ok(copy(rig, 1, DATA_VA, 0xe0000000, 64) == OCTANS_JOB_BUS, "page table outside memory");
	last_event(rig);
	sim_set_bus_master(rig->dev, false);
	rig_desc(rig, 0, ++seqno, 1, CODE_VA, 48);
	rig_bell(rig, 0);
	ok(rig_until(rd32(rig, OCTANS_RING(0) + OCTANS_RING_STATUS) & OCTANS_RING_HALTED),
	   "without bus mastering nothing is fetched");
	ok(OCTANS_WB_SEQNO(rig_wb(rig, 0)) != seqno, "nor written");
	sim_set_bus_master(rig->dev, true);
	rig_reset_ring(rig, 0);
	ok(copy(rig, 1, DATA_VA + 0x1000, DATA_VA, 64) == OCTANS_JOB_OK, "with it, all is well again");
}

static void test_large_and_local(struct rig *rig)
{
	/* 2 MiB of host memory, 2 MiB on the card, and a copy over a page boundary of each. */
	*rig_pte(rig, 1, 0x200000000, 1) = (RIG_IOVA + RIG_LARGE) | OCTANS_PTE_VALID |
					   OCTANS_PTE_WRITE | OCTANS_PTE_LARGE;
	*rig_pte(rig, 1, 0x300000000, 1) = 0x400000 | OCTANS_PTE_VALID | OCTANS_PTE_WRITE |
					   OCTANS_PTE_LARGE | OCTANS_PTE_LOCAL;
	for (int i = 0; i < 2 << 20; i++)
		rig->mem[RIG_LARGE + i] = i * 31 >> 5;
	ok(copy(rig, 1, 0x300000000, 0x200000000, 2 << 20) == OCTANS_JOB_OK &&
	   !memcmp(rig->dev->local + 0x400000, rig->mem + RIG_LARGE, 2 << 20),
	   "2 MiB pages, host to card");
	rig_map(rig, 1, 0x400000000, RIG_DATA + 0x8000, 0x1000, OCTANS_PTE_WRITE);
	rig_map(rig, 1, 0x400001000, RIG_DATA + 0x6000, 0x1000, OCTANS_PTE_WRITE);
	ok(copy(rig, 1, 0x400000800, 0x300000123, 0x1000) == OCTANS_JOB_OK &&
	   !memcmp(rig->mem + RIG_DATA + 0x8800, rig->mem + RIG_LARGE + 0x123, 0x800) &&
	   !memcmp(rig->mem + RIG_DATA + 0x6000, rig->mem + RIG_LARGE + 0x923, 0x800),
	   "pages that do not follow each other in memory");
}

/* The largest pages and the smallest hint; what the bus backs in part is reached in part. */
static void test_huge_and_cont(struct rig *rig)
{
	uint64_t va = 0x2000000000, cont = 0x500010000;

	*rig_pte(rig, 1, va, 2) = RIG_IOVA | OCTANS_PTE_VALID | OCTANS_PTE_WRITE | OCTANS_PTE_LARGE;
	memset(rig->mem + RIG_LARGE + 0x300000, 0x42, 0x1000);
	ok(copy(rig, 1, va + RIG_DATA + 0x9000, va + RIG_LARGE + 0x300000, 0x1000) == OCTANS_JOB_OK &&
	   !memcmp(rig->mem + RIG_DATA + 0x9000, rig->mem + RIG_LARGE + 0x300000, 0x1000),
	   "a 1 GiB page, 16 MiB of which exist");
	ok(copy(rig, 1, DATA_VA, va + RIG_SIZE - 32, 64) == OCTANS_JOB_BUS &&
	   last_event(rig)->va == va + RIG_SIZE, "the rest of it is refused by the bus");
	for (int i = 0; i < 16; i++)
		*rig_pte(rig, 1, cont + i * 0x1000, 0) =
			(RIG_IOVA + RIG_LARGE + 0x10000 + i * 0x1000) | OCTANS_PTE_VALID |
			OCTANS_PTE_CONT | OCTANS_PTE_WRITE;
	for (int i = 0; i < 0x10000; i++)
		rig->mem[RIG_LARGE + 0x10000 + i] = i * 7 >> 4;
	ok(copy(rig, 1, 0x300000000, cont, 0x10000) == OCTANS_JOB_OK &&
	   !memcmp(rig->dev->local + 0x400000, rig->mem + RIG_LARGE + 0x10000, 0x10000),
	   "a page of 64 KiB");
	/* If it is set where it must not be, an address's own entry is as good as another's. */
	*rig_pte(rig, 1, cont + 0x20000, 0) = (RIG_IOVA + RIG_LARGE) | OCTANS_PTE_VALID |
					      OCTANS_PTE_CONT;
	ok(copy(rig, 1, DATA_VA + 0x1000, cont + 0x20000, 64) == OCTANS_JOB_OK, "CONT in one entry alone");
}

static uint64_t *local_table(struct rig *rig, uint64_t offset)
{
	return (uint64_t *)(rig->dev->local + offset);
}

/* An address space whose tables lie on the card, from the root on. */
static void test_local_tables(struct rig *rig)
{
	uint64_t at = 0x800000, bits = OCTANS_PTE_VALID | OCTANS_PTE_LOCAL;

	*rig_u64(rig, RIG_ASIDS + 8 * 9) = at | OCTANS_ASID_VALID | OCTANS_ASID_LOCAL;
	local_table(rig, at)[0] = (at + 0x1000) | bits;
	local_table(rig, at + 0x1000)[0] = (at + 0x2000) | bits;
	local_table(rig, at + 0x2000)[0] = (at + 0x3000) | bits;
	local_table(rig, at + 0x3000)[CODE_VA >> 12] = (RIG_IOVA + RIG_DATA) | OCTANS_PTE_VALID;
	for (int i = 0; i < 2; i++)
		local_table(rig, at + 0x3000)[(DATA_VA >> 12) + i] =
			(at + 0x10000 + i * 0x1000) | bits | OCTANS_PTE_WRITE;
	memset(rig->dev->local + at + 0x10000, 0x99, 64);
	ok(copy(rig, 9, DATA_VA + 0x1000, DATA_VA, 64) == OCTANS_JOB_OK &&
	   !memcmp(rig->dev->local + at + 0x11000, rig->dev->local + at + 0x10000, 64),
	   "tables on the card");
	/* A table on the card may lead to one in host memory, and back. */
	local_table(rig, at + 0x2000)[1] = (RIG_IOVA + rig->tables) | OCTANS_PTE_VALID;
	*rig_u64(rig, rig->tables) = (at + 0x10000) | bits;
	rig->tables += 0x1000;
	ok(copy(rig, 9, DATA_VA + 0x1000, 0x200000, 64) == OCTANS_JOB_OK, "and beyond");
	rig_invalidate(rig, OCTANS_INVALIDATE_ASID(9));
	local_table(rig, at)[0] = 0;
	refused(rig, 9, 0, 0, OCTANS_FAULT_UNMAPPED, CODE_VA, false, "an entry on the card is cleared");
}

/* Tables that lead to themselves: every walk ends after four steps. */
static void test_looping_tables(struct rig *rig)
{
	uint64_t root = RIG_IOVA + rig->tables, *table = rig_u64(rig, rig->tables);

	rig->tables += 0x1000;
	for (int i = 0; i < 512; i++)
		table[i] = root | OCTANS_PTE_VALID;
	*rig_u64(rig, RIG_ASIDS + 8 * 11) = root | OCTANS_ASID_VALID;
	table[CODE_VA >> 12 & 511] = root | OCTANS_PTE_VALID;
	ok(copy(rig, 11, 0x123456789000, 0, 64) == OCTANS_JOB_BAD_CMD,
	   "a table that is its own page is read as a stream");
	last_event(rig);
}

static void test_isolation(struct rig *rig)
{
	rig_map(rig, 3, CODE_VA, RIG_DATA, 0x1000, 0);
	rig_map(rig, 3, DATA_VA, RIG_DATA + 0xa000, 0x2000, OCTANS_PTE_WRITE);
	memset(rig->mem + RIG_DATA + 0xa000, 0x33, 0x1000);
	memset(rig->mem + RIG_DATA + 0x2000, 0x5a, 64);
	ok(copy(rig, 3, DATA_VA + 0x1000, DATA_VA, 64) == OCTANS_JOB_OK &&
	   rig->mem[RIG_DATA + 0xb000] == 0x33, "the same address in another address space");
	ok(rig->mem[RIG_DATA + 0x2000] == 0x5a, "the first one's memory is untouched");
	refused(rig, 3, DATA_VA, DATA_VA + 0x2000, OCTANS_FAULT_UNMAPPED, DATA_VA + 0x2000, false,
		"what only the other has mapped");
}

static void test_invalidate(struct rig *rig)
{
	uint64_t *pte = rig_pte(rig, 1, DATA_VA, 0), old = *pte;

	/* A translation may be kept until it is invalidated, and is gone after that. */
	ok(copy(rig, 1, DATA_VA + 0x1000, DATA_VA, 64) == OCTANS_JOB_OK, "a translation is made");
	*pte = 0;
	rig_invalidate(rig, OCTANS_INVALIDATE_ASID(1));
	refused(rig, 1, DATA_VA + 0x1000, DATA_VA, OCTANS_FAULT_UNMAPPED, DATA_VA, false,
		"after invalidation of the ASID");
	*pte = old;
	ok(copy(rig, 1, DATA_VA + 0x1000, DATA_VA, 64) == OCTANS_JOB_OK,
	   "absence is never remembered");
	*pte = 0;
	rig_invalidate(rig, OCTANS_INVALIDATE_ASID(3));
	rig_invalidate(rig, OCTANS_INVALIDATE_ALL);
	refused(rig, 1, DATA_VA + 0x1000, DATA_VA, OCTANS_FAULT_UNMAPPED, DATA_VA, false,
		"after invalidation of all");
	*pte = old;

	/* While a job runs: not acknowledged before the ring passed a yield, but then. */
	rig_control(rig, "hang ring 0");
	rig_desc(rig, 0, ++seqno, 1, CODE_VA, 48);
	rig_bell(rig, 0);
	ok(rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno), "a job hangs");
	rig_invalidate(rig, OCTANS_INVALIDATE_ASID(1));
	for (int i = 0; i < 1000; i++)
		rig_forget(rig, OCTANS_INVALIDATE_ASID(i % 5));
	ok(rig_until(rig_forgot(rig, rig->ticket)), "1000 at once, too");
	rig_reset_ring(rig, 0);
	ok(!rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO), "the hung job is gone");
}

/* Turned off and on again, the MMU knows nothing any more. */
static void test_off_and_on(struct rig *rig)
{
	uint64_t *pte = rig_pte(rig, 1, DATA_VA, 0), old = *pte;

	ok(copy(rig, 1, DATA_VA + 0x1000, DATA_VA, 64) == OCTANS_JOB_OK, "a translation is made");
	*pte = 0;
	wr32(rig, OCTANS_REG_MMU_CTRL, 0);
	wr32(rig, OCTANS_REG_MMU_CTRL, OCTANS_MMU_ENABLE);
	refused(rig, 1, DATA_VA + 0x1000, DATA_VA, OCTANS_FAULT_UNMAPPED, DATA_VA, false,
		"and forgotten when the MMU was off");
	*pte = old;
}

/* However often: the number of times comes round to where it was. */
static void test_often_off_and_on(struct rig *rig)
{
	uint64_t *pte = rig_pte(rig, 1, DATA_VA, 0), old = *pte;

	ok(copy(rig, 1, DATA_VA, DATA_VA + 0x1000, 64) == OCTANS_JOB_OK, "a page is translated");
	*pte = 0;
	for (int i = 0; i < 4096; i++) {
		wr32(rig, OCTANS_REG_MMU_CTRL, 0);
		wr32(rig, OCTANS_REG_MMU_CTRL, OCTANS_MMU_ENABLE);
	}
	refused(rig, 1, DATA_VA, DATA_VA + 0x1000, OCTANS_FAULT_UNMAPPED, DATA_VA, true,
		"after 4096 times off and on it is forgotten");
	*pte = old;
}

/* After an acknowledged invalidation no byte goes to the old page, whatever runs. */
static void test_stale(struct rig *rig)
{
	struct octans_cmd_copy small = cmd_copy(0x40001000, 0x200000000, 0x1000);
	struct octans_cmd_copy large = cmd_copy(0x600003000, 0x200000000, 0x4000);
	uint64_t page[2] = { RIG_DATA + 0x20000, RIG_DATA + 0x21000 }, wrong = 0, jobs = 0;
	uint64_t *leaf, *big = rig_pte(rig, 1, 0x600000000, 1), code = 0x800000;

	*rig_pte(rig, 1, 0x40000000, 1) = 0;	/* crooked until now */
	leaf = rig_pte(rig, 1, 0x40001000, 0);
	*rig_pte(rig, 1, code, 1) = (RIG_IOVA + RIG_LARGE + 0x200000) | OCTANS_PTE_VALID |
				    OCTANS_PTE_LARGE;
	for (int i = 0; i < 1000; i++) {
		uint8_t *to = rig->mem + RIG_LARGE + 0x200000 + i * 96;

		memcpy(to, &small, sizeof(small));
		memcpy(to + 48, &large, sizeof(large));
	}
	memset(rig->mem + RIG_LARGE, 0x77, 0x4000);
	rig_invalidate(rig, OCTANS_INVALIDATE_ALL);
	for (int i = 0; i < 400; i++) {
		int now = i & 1, old = !now;
		uint8_t *card = rig->dev->local + old * 0x200000 + 0x3000;
		uint32_t ticket;

		atomic_store((_Atomic uint64_t *)leaf, (RIG_IOVA + page[now]) | OCTANS_PTE_VALID |
						       OCTANS_PTE_WRITE);
		atomic_store((_Atomic uint64_t *)big, (uint64_t)now * 0x200000 | OCTANS_PTE_VALID |
			     OCTANS_PTE_WRITE | OCTANS_PTE_LOCAL | OCTANS_PTE_LARGE);
		ticket = rig_forget(rig, OCTANS_INVALIDATE_ASID(1));
		while (!rig_forgot(rig, ticket))
			;
		if (OCTANS_WB_SEQNO(rig_wb(rig, 0)) == seqno) {
			rig_desc(rig, 0, ++seqno, 1, code, 96 * 1000);
			rig_bell(rig, 0);
			jobs++;
		}
		memset(rig->mem + page[old], 0x11, 0x1000);
		memset(card, 0x11, 0x4000);
		rig_nap(i % 3 * 50);
		for (int k = 0; k < 0x1000; k++)
			wrong += rig->mem[page[old] + k] != 0x11;
		for (int k = 0; k < 0x4000; k++)
			wrong += card[k] != 0x11;
	}
	ok(!wrong && jobs && rig_ended(rig, 0, seqno) == OCTANS_JOB_OK,
	   "400 invalidations under load (%llu jobs): %llu bytes to old pages",
	   (unsigned long long)jobs, (unsigned long long)wrong);
}

/* A ticket that a job holds up is completed by any reset. */
static void test_tickets_and_resets(struct rig *rig)
{
	uint32_t ticket;

	rig_control(rig, "slow 0 400000");
	rig_desc(rig, 0, ++seqno, 1, CODE_VA, 48);
	rig_bell(rig, 0);
	rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno);
	wr32(rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
	ticket = rig_forget(rig, OCTANS_INVALIDATE_ALL);
	ok(rig_until(rd32(rig, OCTANS_REG_STATUS) == OCTANS_STATUS_READY) &&
	   rig_forgot(rig, ticket), "a ticket written while the device resets is complete after it");
	rig_control(rig, "slow 0 0");
	rig_start(rig);
	rig->tail[0] = 0;
	ok(copy(rig, 1, DATA_VA + 0x1000, DATA_VA, 64) == OCTANS_JOB_OK, "set up again, it works");
	rig_control(rig, "hang 0");
	rig_desc(rig, 0, ++seqno, 1, CODE_VA, 48);
	rig_bell(rig, 0);
	rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno);
	ticket = rig_forget(rig, OCTANS_INVALIDATE_ALL);
	rig_reset_ring(rig, 0);
	ok(rig_forgot(rig, ticket), "a ring reset completes it, too");
}

/* Takes memory away from under a job that copies it round and round. */
static void test_unmap_under_load(struct rig *rig)
{
	uint8_t *extra = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct octans_cmd_copy c = cmd_copy(0x300000000, 0x500000000, 1 << 20);
	uint64_t *stream = rig_u64(rig, RIG_LARGE);
	void *host;

	ok(!sim_dma_map(rig->dev, 0x900000000, 1 << 20, extra, true), "memory is plugged in");
	ok(sim_dma_map(rig->dev, 0x9000ff000, 0x2000, extra, true) < 0, "not over what is there");
	for (uint64_t i = 0; i < 1 << 20; i += 0x1000)
		*rig_pte(rig, 1, 0x500000000 + i, 0) = (0x900000000 + i) | OCTANS_PTE_VALID;
	for (int i = 0; i < 2000; i++)
		memcpy((uint8_t *)stream + i * sizeof(c), &c, sizeof(c));
	rig_desc(rig, 0, ++seqno, 1, 0x200000000, 2000 * sizeof(c));
	rig_bell(rig, 0);
	ok(rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_PROGRESS) > 50), "a long job runs");
	ok(!sim_dma_unmap(rig->dev, 0x900000000, 1 << 20, &host) && host == extra,
	   "memory is unplugged under it");
	munmap(extra, 1 << 20);
	ok(rig_ended(rig, 0, seqno) == OCTANS_JOB_BUS, "the job ends with a bus error");
	last_event(rig);
	ok(sim_dma_unmap(rig->dev, 0x900000000, 1 << 20, &host) < 0, "it cannot be unplugged twice");
	rig_reset_ring(rig, 0);
}

/* Memory that vanishes without a word: as a SIGBUS handler would tell. */
static void test_dead_memory(struct rig *rig)
{
	uint8_t *extra = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t size;
	void *host;

	ok(!sim_dma_dead(rig->dev, extra, &host, &size), "memory that is not mapped is not ours");
	ok(!sim_dma_map(rig->dev, 0x900000000, 1 << 20, extra, true) &&
	   copy(rig, 1, DATA_VA, 0x500000000, 64) == OCTANS_JOB_OK, "memory is plugged in again");
	ok(sim_dma_dead(rig->dev, extra + 5000, &host, &size) && host == extra && size == 1 << 20,
	   "it dies");
	rig_invalidate(rig, OCTANS_INVALIDATE_ALL);
	ok(copy(rig, 1, DATA_VA, 0x500000000, 64) == OCTANS_JOB_BUS, "and is refused");
	last_event(rig);
	ok(!sim_dma_unmap(rig->dev, 0x900000000, 1 << 20, &host), "it can be unplugged");
	munmap(extra, 1 << 20);
}

/* As many address spaces as the profile has bits for, none of them another's alias. */
static void test_asids(const char *profile, unsigned int bits)
{
	uint64_t misses = OCTANS_REG_COUNTER(15), seen[3], *table;
	unsigned int last = (1u << bits) - 1;
	struct rig rig;

	rig_new(&rig, profile);
	ok(OCTANS_CAPS_ASID_BITS(rd64(&rig, OCTANS_REG_CAPS)) == bits, "%s: %u bits", profile,
	   bits);
	rig_map(&rig, 1, CODE_VA, RIG_DATA, 0x1000, 0);
	rig_map(&rig, 1, DATA_VA, RIG_DATA + 0x1000, 0x3000, OCTANS_PTE_WRITE);
	table = rig_u64(&rig, RIG_LARGE);
	table[1] = *rig_u64(&rig, RIG_ASIDS + 8);
	table[last] = table[last - 511] = table[1];
	table[last + 1] = table[1];
	rig_start(&rig);
	wr32(&rig, OCTANS_REG_MMU_CTRL, 0);
	wr64(&rig, OCTANS_REG_ASID_BASE, RIG_IOVA + RIG_LARGE);
	wr32(&rig, OCTANS_REG_MMU_CTRL, OCTANS_MMU_ENABLE);
	ok(copy(&rig, last, DATA_VA, DATA_VA + 0x1000, 64) == OCTANS_JOB_OK, "ASID %u is one",
	   last);
	seen[0] = rd64(&rig, misses);
	ok(copy(&rig, last - 511, DATA_VA, DATA_VA + 0x1000, 64) == OCTANS_JOB_OK, "ASID %u too",
	   last - 511);
	seen[1] = rd64(&rig, misses);
	copy(&rig, last, DATA_VA, DATA_VA + 0x1000, 64);
	seen[2] = rd64(&rig, misses);
	ok(seen[1] == 2 * seen[0] && seen[2] == seen[1], "each has its own translations");
	rig_invalidate(&rig, OCTANS_INVALIDATE_ASID(last - 511));
	copy(&rig, last, DATA_VA, DATA_VA + 0x1000, 64);
	ok(rd64(&rig, misses) == seen[2], "and loses its own");
	table[last] = 0;
	rig_invalidate(&rig, OCTANS_INVALIDATE_ASID(last));
	refused(&rig, last, 0, 0, OCTANS_FAULT_ASID, CODE_VA, false, "the last one taken away");
	if (bits < 16)
		refused(&rig, last + 1, 0, 0, OCTANS_FAULT_ASID, CODE_VA, false,
			"ASID past the table");
	rig_free(&rig);
}

int main(void)
{
	struct rig rig;

	rig_new(&rig, NULL);
	rig_start(&rig);
	test_refusals(&rig);
	test_bus(&rig);
	test_large_and_local(&rig);
	test_huge_and_cont(&rig);
	test_local_tables(&rig);
	test_looping_tables(&rig);
	test_isolation(&rig);
	test_invalidate(&rig);
	test_off_and_on(&rig);
	test_often_off_and_on(&rig);
	test_unmap_under_load(&rig);
	test_dead_memory(&rig);
	test_stale(&rig);
	test_tickets_and_resets(&rig);
	rig_free(&rig);
	test_asids("octans-1", 16);
	test_asids("octans-e", 12);
	test_asids("octans-s", 10);
	return done();
}
