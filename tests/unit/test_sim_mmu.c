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
	refused(rig, 1024, 0, 0, OCTANS_FAULT_ASID, CODE_VA, false, "ASID past the table");
	refused(rig, 1, DATA_VA, 0x5000000, OCTANS_FAULT_UNMAPPED, 0x5000000, false, "unmapped source");
	refused(rig, 1, 0x7000000000, DATA_VA, OCTANS_FAULT_UNMAPPED, 0x7000000000, true,
		"unmapped destination");
	refused(rig, 1, DATA_VA + 0x3000, DATA_VA, OCTANS_FAULT_READONLY, DATA_VA + 0x3000, true,
		"read-only page");
	far(rig, 1ULL << 48, "address past 48 bits");
	far(rig, UINT64_MAX - 15, "last address of all");
	far(rig, (1ULL << 60) + CODE_VA, "a good address but for bit 60");

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
	*rig_pte(rig, 1, 0xc0000000, 1) = 0xfff0000000000ULL | OCTANS_PTE_VALID;
	ok(copy(rig, 1, DATA_VA, 0xc0000000, 64) == OCTANS_JOB_BUS, "page table outside memory");
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

static void test_isolation(struct rig *rig)
{
	rig_map(rig, 3, CODE_VA, RIG_DATA, 0x1000, 0);
	rig_map(rig, 3, DATA_VA, RIG_DATA + 0xa000, 0x2000, OCTANS_PTE_WRITE);
	memset(rig->mem + RIG_DATA + 0xa000, 0x33, 0x1000);
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
	for (int i = 0; i < 200; i++)
		wr64(rig, OCTANS_REG_INVALIDATE, OCTANS_INVALIDATE_ASID(1));
	ok(rd64(rig, OCTANS_REG_INVALIDATED) == 203, "every one is counted");

	/* While a job runs: not acknowledged before the ring passed a yield, but then. */
	atomic_store(&rig->dev->ring[0].inject.hang, true);
	rig_desc(rig, 0, ++seqno, 1, CODE_VA, 48);
	rig_bell(rig, 0);
	ok(rig_until(rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO) == seqno), "a job hangs");
	rig_invalidate(rig, OCTANS_INVALIDATE_ASID(1));
	rig_reset_ring(rig, 0);
	ok(!rd64(rig, OCTANS_RING(0) + OCTANS_RING_SEQNO), "the hung job is gone");
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

int main(void)
{
	struct rig rig;

	rig_new(&rig, NULL);
	rig_start(&rig);
	test_refusals(&rig);
	test_bus(&rig);
	test_large_and_local(&rig);
	test_isolation(&rig);
	test_invalidate(&rig);
	test_unmap_under_load(&rig);
	rig_free(&rig);
	return done();
}
