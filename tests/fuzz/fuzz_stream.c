// SPDX-License-Identifier: MIT
/*
 * Streams of commands that are nearly right, on the registers of the real model.  Four address
 * spaces over pages of host and on-card memory; one of them, another one each time, is the
 * victim: it runs nothing, and its pages, like all that belong to nobody, hold a secret.  The
 * others' ids, slots, ranges and lists change while commands use them.  Some host memory goes
 * away and comes back while jobs run, some is never there, and so are rings and page tables.
 * Checked: the secret stays where it is and as it is, and turns up nowhere
 * else; every ring can be reset in bounded time; what a ring's registers say of a job is what
 * its writeback says.
 */
#include <string.h>

#include "../unit/sim_rig.h"
#include "grammar.h"

#define SECRET		0x5ec2e75ec2e7a55aULL
#define SPACES		4
#define PAGES		48	/* of one */
#define ID_PAGES	4	/* the first ones: ids, slots and ranges that are mostly good */
#define HOST_PAGES	1023	/* at RIG_LARGE */
#define CARD_PAGES	4096
#define LARGE_PAGES	512	/* the first of the host are one large page, as are the card's */
#define CONT_PAGES	16
#define LOOSE		4	/* pieces of host memory that come and go, ... */
#define LOOSE_PAGES	16	/* ... each of so many pages, ... */
#define LOOSE_IOVA(i)	(RIG_IOVA + 0x10000000 + (i) * 0x100000ULL)	/* ... here */
#define NOWHERE		(RIG_IOVA + 0x40000000)	/* the bus refuses it */
#define BIG		0x20000000ULL	/* address of a space's large page */
#define BAD_TABLE	0x5000000000ULL	/* one whose page table cannot be read */
#define ROUNDS		64	/* until all of memory is looked at */
#define JOB_SECONDS	0.05
#define CODE		0x40000000ULL
#define CODE_SIZE	0x4000
#define PARAMS		(CODE + CODE_SIZE - 256)

enum { HOST, CARD, LOOSELY, KINDS };

struct page {
	uint64_t va;
	uint32_t at;		/* number of the page, among those of its kind */
	int kind;
	bool hole;
};

struct space {
	unsigned int asid;
	struct page page[PAGES];
};

static struct rig rig;
static struct space space[SPACES];
static const struct space *now;		/* whose stream is made */
static const uint32_t n_pages[KINDS] = { HOST_PAGES, CARD_PAGES, LOOSE * LOOSE_PAGES };
static uint8_t owner[KINDS][CARD_PAGES];	/* space + 1; 0: nobody */
static uint8_t *loose;
static bool is_there[LOOSE], is_dead[LOOSE];	/* mapped on the bus; and yet refused */
static unsigned int victim;
static uint64_t seqno[SPACES];
static int alone[SPACES];		/* the only command of its job, or -1 */
static unsigned long jobs, resets, tried[OCTANS_OP_COUNT], done_op[OCTANS_OP_COUNT];
static unsigned long ended[5], cut_off, unseen, faults[5];
static unsigned long comings, goings, deaths, device_resets, bus_offs;
static double slowest_reset;

/* ---- memory ---- */

static uint64_t *page_at(int kind, uint32_t n)
{
	if (kind == HOST)
		return rig_u64(&rig, RIG_LARGE + n * 0x1000ULL);
	return (uint64_t *)((kind == CARD ? rig.dev->local : loose) + n * 0x1000ULL);
}

/* As a page table names it. */
static uint64_t page_entry(int kind, uint32_t n)
{
	if (kind == HOST)
		return RIG_IOVA + RIG_LARGE + n * 0x1000ULL;
	if (kind == CARD)
		return n * 0x1000ULL | OCTANS_PTE_LOCAL;
	return LOOSE_IOVA(n / LOOSE_PAGES) + n % LOOSE_PAGES * 0x1000ULL;
}

static uint32_t take_page(int kind, unsigned int who)
{
	uint32_t at;

	do
		at = below(n_pages[kind]);
	while (owner[kind][at]);
	owner[kind][at] = who + 1;
	return at;
}

static void take_pages(int kind, uint32_t first, uint32_t n, unsigned int who)
{
	memset(owner[kind] + first, who + 1, n);
}

/* One large page for each of two spaces, and 16 that are one translation for the others. */
static void make_large(unsigned int who)
{
	uint64_t bits = OCTANS_PTE_VALID | OCTANS_PTE_WRITE;
	int kind = who % 2 ? CARD : HOST;

	if (who < 2) {
		take_pages(kind, 0, LARGE_PAGES, who);
		*rig_pte(&rig, who + 1, BIG, 1) = page_entry(kind, 0) | bits | OCTANS_PTE_LARGE;
		return;
	}
	/* Before any other page is taken. */
	take_pages(kind, LARGE_PAGES, CONT_PAGES, who);
	for (uint32_t i = 0; i < CONT_PAGES; i++)
		*rig_pte(&rig, who + 1, BIG + i * 0x1000ULL, 0) =
			page_entry(kind, LARGE_PAGES + i) | bits | OCTANS_PTE_CONT;
}

/* Pages with gaps between, the last space up to the very top of the addresses. */
static void make_space(unsigned int who)
{
	struct space *s = &space[who];
	uint64_t base = who == SPACES - 1 ? (1ULL << OCTANS_VA_BITS) - PAGES * 0x1000 : 0x10000000;

	s->asid = who + 1;
	for (int i = 0; i < PAGES; i++) {
		struct page *p = &s->page[i];
		uint64_t bits = OCTANS_PTE_VALID | (i % 7 == 6 ? 0 : OCTANS_PTE_WRITE);
		uint64_t *pte;

		p->va = base + (i + (i >= 16 && who < SPACES - 1 ? 16 : 0)) * 0x1000ULL;
		p->kind = i >= ID_PAGES && one_in(12) ? LOOSELY : below(2);
		p->hole = i % 11 == 10;
		pte = rig_pte(&rig, s->asid, p->va, 0);
		if (p->hole) {
			/* not mapped, not there, off the card, a reserved bit */
			*pte = i == 10 ? 0 : i == 21 ? NOWHERE | bits :
			       i == 32 ? OCTANS_ADDR_MASK | OCTANS_PTE_LOCAL | bits :
			       NOWHERE | bits | 1ULL << 62;
			continue;
		}
		p->at = take_page(p->kind, who);
		*pte = page_entry(p->kind, p->at) | bits;
	}
	/* The stream; one space may write its own. */
	rig_map(&rig, s->asid, CODE, RIG_DATA + who * CODE_SIZE, CODE_SIZE,
		who == 1 ? OCTANS_PTE_WRITE : 0);
	*rig_pte(&rig, s->asid, BAD_TABLE, 1) = NOWHERE | OCTANS_PTE_VALID;
}

static void make_spaces(void)
{
	for (unsigned int i = 0; i < SPACES; i++)
		make_large(i);
	for (unsigned int i = 0; i < SPACES; i++)
		make_space(i);
	/* Roots that cannot be read. */
	*rig_u64(&rig, RIG_ASIDS + 8 * (SPACES + 1)) = NOWHERE | OCTANS_ASID_VALID;
	*rig_u64(&rig, RIG_ASIDS + 8 * (SPACES + 2)) =
		NOWHERE | OCTANS_ASID_VALID | OCTANS_ASID_LOCAL;
}

static uint64_t page_va(void)
{
	if (one_in(16))
		return BIG + below(now->asid <= 2 ? LARGE_PAGES : CONT_PAGES) * 0x1000ULL;
	if (one_in(400))
		return BAD_TABLE;
	return now->page[ID_PAGES + below(PAGES - ID_PAGES)].va;
}

static uint64_t large_va(uint32_t pages)
{
	uint32_t n = now->asid <= 2 ? LARGE_PAGES : CONT_PAGES;

	return BIG + (pages < n ? below(n - pages) : 0) * 0x1000ULL;
}

static uint64_t id_va(void)
{
	return now->page[0].va + below(ID_PAGES * 512) * 8;
}

static bool secret(uint8_t who)
{
	return !who || who == victim + 1;
}

/* Whose a page is now: what the bus has not is nobody's. */
static uint8_t owner_now(int kind, uint32_t n)
{
	return kind == LOOSELY && !is_there[n / LOOSE_PAGES] ? 0 : owner[kind][n];
}

static void fill_page(int kind, uint32_t n)
{
	uint64_t *page = page_at(kind, n);

	for (int i = 0; i < 512; i++) {
		uint64_t v = one_in(4) ? 0 : any();

		page[i] = secret(owner_now(kind, n)) ? SECRET : v;
	}
}

static void fill_id_pages(unsigned int who)
{
	for (int n = 0; n < ID_PAGES && who != victim; n++)
		fill_ids(page_at(space[who].page[n].kind, space[who].page[n].at), 512);
}

static void fill(void)
{
	victim = below(SPACES);
	for (int kind = 0; kind < KINDS; kind++)
		for (uint32_t i = 0; i < n_pages[kind]; i++)
			fill_page(kind, i);
	for (unsigned int i = 0; i < SPACES; i++)
		fill_id_pages(i);
}

static void check_page(int kind, uint32_t n)
{
	static const char *const where[KINDS] = { "host", "on-card", "loose" };
	const uint64_t *page = page_at(kind, n);
	uint8_t who = owner_now(kind, n);

	for (int i = 0; i < 512; i++) {
		if (secret(who) && page[i] != SECRET)
			finding("%s page %u of %s was written: word %d is 0x%llx", where[kind], n,
				who ? "another space" : "nobody", i, (unsigned long long)page[i]);
		if (!secret(who) && page[i] == SECRET)
			finding("%s page %u of space %u holds what it may not read, word %d",
				where[kind], n, who - 1U, i);
	}
}

static void check(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (uint32_t i = 0; i < n_pages[kind]; i++)
			check_page(kind, i);
}

/* ---- what happens while jobs run ---- */

static void come(int i)
{
	is_there[i] = true;
	is_dead[i] = false;
	for (int n = 0; n < LOOSE_PAGES; n++)
		fill_page(LOOSELY, i * LOOSE_PAGES + n);
	if (sim_dma_map(rig.dev, LOOSE_IOVA(i), LOOSE_PAGES * 0x1000,
			loose + i * LOOSE_PAGES * 0x1000, !one_in(4)))
		finding("host memory cannot come back");
	comings++;
}

/* From here on nobody writes it. */
static void go(int i)
{
	void *host;

	if (sim_dma_unmap(rig.dev, LOOSE_IOVA(i), LOOSE_PAGES * 0x1000, &host))
		finding("host memory cannot go");
	is_there[i] = false;
	for (int n = 0; n < LOOSE_PAGES; n++)
		fill_page(LOOSELY, i * LOOSE_PAGES + n);
	goings++;
}

static void disturb_memory(void)
{
	int i = below(LOOSE);
	uint64_t size;
	void *host;

	if (!is_there[i]) {
		come(i);
	} else if (is_dead[i] || one_in(2)) {
		go(i);
	} else {	/* as the handler of SIGBUS does; whoever is at it goes on for a while */
		if (!sim_dma_dead(rig.dev, loose + i * LOOSE_PAGES * 0x1000, &host, &size))
			finding("host memory cannot die");
		is_dead[i] = true;
		deaths++;
	}
}

/* The bus is off until the jobs have been settled. */
static void disturb(void)
{
	if (one_in(16))
		rig_forget(&rig, one_in(2) ? OCTANS_INVALIDATE_ALL : below(SPACES) + 1);
	if (one_in(8))
		disturb_memory();
	/* Ids, lists and ranges that were checked become others. */
	for (int i = one_in(2) ? below(20) : 0; i; i--)
		fill_id_pages(below(SPACES));
	if (one_in(300)) {
		sim_set_bus_master(rig.dev, false);
		bus_offs++;
	}
}

/* What runs is lost, and all memory but the host's. */
static void start_again(void)
{
	if (one_in(2)) {
		sim_flr(rig.dev);
	} else {
		wr32(&rig, OCTANS_REG_RESET, OCTANS_RESET_MAGIC);
		if (!rig_until(!(rd32(&rig, OCTANS_REG_STATUS) & OCTANS_STATUS_RESETTING)))
			finding("the processor cannot be reset");
	}
	sim_set_bus_master(rig.dev, true);
	rig_start(&rig);
	device_resets++;
}

/* ---- jobs ---- */

static void submit(unsigned int who)
{
	uint8_t *code = rig.mem + RIG_DATA + who * CODE_SIZE;
	int commands = one_in(2) ? 1 : 1 + below(6);
	uint32_t bytes = 0, *params = (uint32_t *)(code + (PARAMS - CODE));
	struct octans_desc *d;

	now = &space[who];
	clean = !one_in(3);
	for (int i = 0; i < commands; i++)
		bytes += make_command(code + bytes);
	alone[who] = commands == 1 ? (int)newest : -1;
	for (unsigned int i = 0; i < OCTANS_MAX_PARAMS; i++)
		params[i] = one_in(8) ? any_size() : below(6);
	if (spoil(10))
		bytes = 16 * (1 + below(200));
	if (spoil(10))
		for (uint32_t i = 0; i < bytes / 4; i += 1 + below(16))
			((uint32_t *)code)[i] = any();
	d = rig_desc(&rig, who, ++seqno[who], now->asid, CODE, bytes);
	if (!one_in(3)) {
		d->param_va = PARAMS;
		d->param_count = OCTANS_MAX_PARAMS;
	}
	if (one_in(60))
		d->cmd_va = any_size();
	if (one_in(60))
		d->cmd_size = any() & ~15u;
	if (one_in(60))
		d->param_va = any_size();
	if (one_in(200))
		d->reserved[below(2)] = 1;
	if (one_in(200))
		d->asid = one_in(4) ? 0 : SPACES + 1 + below(3);	/* no space's */
	rig_bell(&rig, who);
	jobs++;
}

static bool has_ended(unsigned int who)
{
	return OCTANS_WB_SEQNO(rig_wb(&rig, who)) == seqno[who];
}

static void count(unsigned int who)
{
	bool halted = rd32(&rig, OCTANS_RING(who) + OCTANS_RING_STATUS) & OCTANS_RING_HALTED;
	uint64_t fault = rd64(&rig, OCTANS_RING(who) + OCTANS_RING_FAULT_CODE);
	unsigned int status = halted ? fault & 0xff : OCTANS_JOB_OK;

	if (!halted && !has_ended(who)) {
		cut_off++;
	} else if (status > OCTANS_JOB_BUS || (halted && !status)) {
		finding("ring %u stopped with status %u", who, status);
	} else if (has_ended(who) && OCTANS_WB_STATUS(rig_wb(&rig, who)) != status) {
		finding("ring %u: status %u, writeback 0x%llx", who, status,
			(unsigned long long)rig_wb(&rig, who));
	} else {
		ended[status]++;
		unseen += !has_ended(who);
		if (status == OCTANS_JOB_FAULT)
			faults[(fault >> 8 & 0xff) % 5]++;
	}
	if (alone[who] < 0)
		return;
	tried[alone[who]]++;
	if (has_ended(who) && !status)
		done_op[alone[who]]++;
}

static void restart(unsigned int who, uint64_t base, uint64_t wb)
{
	uint64_t ring = OCTANS_RING(who);
	double start = seconds_now();

	wr32(&rig, ring + OCTANS_RING_CTRL, OCTANS_RING_RESET);
	if (!rig_until(!(rd32(&rig, ring + OCTANS_RING_CTRL) & OCTANS_RING_RESET)))
		finding("ring %u cannot be reset", who);
	if (seconds_now() - start > slowest_reset)
		slowest_reset = seconds_now() - start;
	rig.tail[who] = 0;
	wr64(&rig, ring + OCTANS_RING_BASE, base);
	wr64(&rig, ring + OCTANS_RING_WB, wb);
	wr32(&rig, ring + OCTANS_RING_CTRL, OCTANS_RING_ENABLE);
	resets++;
}

/* Waits a moment for the job; a ring that halted or still runs is reset, as a driver would. */
static void settle(unsigned int who)
{
	uint64_t status = OCTANS_RING(who) + OCTANS_RING_STATUS;
	uint64_t base = RIG_IOVA + RIG_RING + who * 0x1000, wb = RIG_IOVA + RIG_WB + who * 64;
	double start = seconds_now();

	while (!has_ended(who) && !(rd32(&rig, status) & OCTANS_RING_HALTED) &&
	       seconds_now() - start < JOB_SECONDS)
		rig_nap(20);
	count(who);
	if (has_ended(who) && !rd32(&rig, status) && !one_in(200))
		return;
	/* Some rings, and some places for the status, lie where they cannot be reached. */
	restart(who, one_in(100) ? NOWHERE : base, one_in(100) ? NOWHERE : wb);
}

static void round_of_jobs(void)
{
	for (unsigned int i = 0; i < SPACES; i++)
		if (i != victim)
			submit(i);
	disturb();
	for (unsigned int i = 0; i < SPACES; i++)
		if (i != victim)
			settle(i);
	sim_set_bus_master(rig.dev, true);
	wr32(&rig, OCTANS_REG_EVT_HEAD, rd32(&rig, OCTANS_REG_EVT_TAIL));
}

int main(int argc, char **argv)
{
	struct sim_config config = { .local_size = 16 << 20, .threads = 2, .rings = SPACES };

	random_begin(argc, argv);
	rig_new_with(&rig, &config);
	loose = mmap(NULL, LOOSE * LOOSE_PAGES * 0x1000, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (loose == MAP_FAILED)
		finding("no memory");
	make_spaces();
	rig_start(&rig);
	for (int i = 0; i < LOOSE; i++)
		come(i);
	fill();
	while (random_more()) {
		round_of_jobs();
		if (random_step % ROUNDS)
			continue;
		check();
		if (one_in(32))
			start_again();
		fill();
	}
	check();
	printf("seed %llu: %lu jobs (%lu OK, %lu BAD_DESC, %lu BAD_CMD, %lu FAULT, %lu BUS, %lu cut off; "
	       "%lu without a writeback), %lu resets, the slowest %.1f ms\n",
	       (unsigned long long)random_seed, jobs, ended[OCTANS_JOB_OK],
	       ended[OCTANS_JOB_BAD_DESC], ended[OCTANS_JOB_BAD_CMD], ended[OCTANS_JOB_FAULT],
	       ended[OCTANS_JOB_BUS], cut_off, unseen, resets, slowest_reset * 1e3);
	printf("faults: %lu ASID, %lu UNMAPPED, %lu READONLY, %lu FORMAT; memory came %lu times, "
	       "went %lu, died %lu; bus off %lu times, %lu device resets\n",
	       faults[OCTANS_FAULT_ASID], faults[OCTANS_FAULT_UNMAPPED],
	       faults[OCTANS_FAULT_READONLY], faults[OCTANS_FAULT_FORMAT], comings, goings, deaths,
	       bus_offs, device_resets);
	printf("done of those tried alone, by operation:");
	for (int i = 0; i < OCTANS_OP_COUNT; i++)
		printf(" %d: %lu/%lu", i, done_op[i], tried[i]);
	printf("\n");
	rig_free(&rig);
	munmap(loose, LOOSE * LOOSE_PAGES * 0x1000);
	return 0;
}
