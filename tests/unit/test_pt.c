// SPDX-License-Identifier: MIT
/*
 * The module's page tables, against a page by page reference, as a processor reads them that
 * remembers all it may: nothing is freed that it may still walk, no change is silent, and none of
 * the tables stay that nothing needs.
 */
#include <stdlib.h>
#include <string.h>

#include "../../kmod/octans_pt.c"
#include "tap.h"

#define PAGE		4096ULL
#define MAX_TABLES	4096

/* Tables by bus address: number << 12, from 1 on. */
static void *tables[MAX_TABLES];
static int fail_after = -1;	/* allocations until one fails */
static int allocated;
static unsigned int seed = 1;

static bool fails(void)
{
	return fail_after >= 0 && !fail_after--;
}

static void *test_alloc(size_t size)
{
	void *p = fails() ? NULL : calloc(1, size);

	allocated += !!p;
	return p;
}

static void test_free(void *p)
{
	allocated -= !!p;
	free(p);
}

static void *dma_alloc_coherent(struct device *dev, size_t size, dma_addr_t *dma, gfp_t gfp)
{
	(void)dev;
	(void)gfp;
	for (u64 i = 1; i < MAX_TABLES; i++) {
		if (tables[i])
			continue;
		tables[i] = test_alloc(size);
		*dma = i << 12;
		return tables[i];
	}
	return NULL;
}

static void dma_free_coherent(struct device *dev, size_t size, void *p, dma_addr_t dma)
{
	(void)dev;
	(void)size;
	if (tables[dma >> 12] != p)
		test_warned++;
	tables[dma >> 12] = NULL;
	test_free(p);
}

static unsigned int rnd(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

/* The card's: what the CPU writes there arrives, unless the function is away. */
static u64 *card[MAX_TABLES];
static bool away, no_card;
static int on_card;

static void writeq(u64 value, void *at)
{
	if (!away)
		*(u64 *)at = value;
}

/* Nothing is read back. */
static __attribute__((unused)) void writel(u32 value, void *at)
{
	(void)value, (void)at;
	test_warned++;
}

static __attribute__((unused)) u32 readl(const void *at)
{
	(void)at;
	return ++test_warned;
}

static __attribute__((unused)) u64 readq(const void *at)
{
	return readl(at);
}

void *octans_local_alloc_table(struct octans_device *dev, struct drm_mm_node *node)
{
	(void)dev;
	for (u64 i = 1; i < MAX_TABLES && !no_card && rnd(4); i++) {
		if (card[i])
			continue;
		card[i] = test_alloc(PAGE);
		node->start = i << 12;
		on_card += !!card[i];
		return card[i];
	}
	return NULL;
}

void octans_local_free_table(struct octans_device *dev, struct drm_mm_node *node)
{
	(void)dev;
	test_free(card[node->start >> 12]);
	card[node->start >> 12] = NULL;
	on_card--;
}

static void lose_card(void)
{
	for (int i = 0; i < MAX_TABLES; i++)
		if (card[i])
			memset(card[i], 0xff, PAGE);
}

static long long charged;

int octans_user_charge(struct octans_user *user, enum octans_share share, u64 n)
{
	(void)user;
	if (share != OCTANS_TABLES)
		test_warned++;
	if (fails())
		return -EDQUOT;
	charged += n;
	return 0;
}

void octans_user_uncharge(struct octans_user *user, enum octans_share share, u64 n)
{
	(void)user;
	(void)share;
	charged -= n;
}

/* What the processor finds at @va: address | WRITE | LOCAL, or 0.  ~0: the tables are broken. */
static u64 walk(const struct octans_pt *pt, u64 va)
{
	u64 table = octans_pt_root(pt);

	for (int level = LEVELS - 1; ; level--) {
		u64 n = (table & OCTANS_ADDR_MASK) >> 12;
		const u64 *t = n >= MAX_TABLES ? NULL :
			       table & OCTANS_PTE_LOCAL ? card[n] : tables[n];
		u64 e, low = (1ULL << (12 + 9 * level)) - 1;

		if (!t)
			return ~0ULL;
		e = t[va >> (12 + 9 * level) & 511];
		if (!(e & OCTANS_PTE_VALID))
			return e ? ~0ULL : 0;
		if (level && !(e & OCTANS_PTE_LARGE)) {
			if (e & ~(OCTANS_ADDR_MASK | OCTANS_PTE_VALID | OCTANS_PTE_LOCAL))
				return ~0ULL;
			table = e;
			continue;
		}
		if (level > 2 || (!level && e & OCTANS_PTE_LARGE) ||
		    (level && e & OCTANS_PTE_CONT) || (e & OCTANS_ADDR_MASK & low))
			return ~0ULL;
		return (e & (OCTANS_PTE_WRITE | OCTANS_PTE_LOCAL)) |
		       ((e & OCTANS_ADDR_MASK) + (va & low & ~(PAGE - 1)));
	}
}

/* The reference: windows of pages with what each maps to. */
#define WINDOW	(3 * 512)	/* pages */
static const u64 windows[] = { 0x3fe00000ULL, 0x7fffc0000000ULL };
static u64 want[2][WINDOW];

static bool right(const struct octans_pt *pt)
{
	for (int w = 0; w < 2; w++)
		for (unsigned int i = 0; i < WINDOW; i++)
			if (walk(pt, windows[w] + i * PAGE) != want[w][i]) {
				printf("# page %u of window %d: 0x%llx instead of 0x%llx\n", i, w,
				       walk(pt, windows[w] + i * PAGE), want[w][i]);
				return false;
			}
	return true;
}

/* Did anything that was mapped before change? */
static bool lost(u64 (*before)[WINDOW])
{
	for (int w = 0; w < 2; w++)
		for (unsigned int i = 0; i < WINDOW; i++)
			if (before[w][i] && before[w][i] != want[w][i])
				return true;
	return false;
}

/* One change as octans_vm.c makes it; false if it was refused for lack of memory. */
static bool change(struct octans_pt *pt, int w, unsigned int first, unsigned int n, u64 to,
		   u64 flags)
{
	u64 va = windows[w] + first * PAGE, size = n * PAGE;
	bool map = flags != ~0ULL;

	if (octans_pt_split(pt, va) || octans_pt_split(pt, va + size) ||
	    (map && octans_pt_reserve(pt, va, size, to))) {
		octans_pt_prune(pt, va, size);
		return false;
	}
	octans_pt_unmap(pt, va, size);
	if (map)
		octans_pt_map(pt, va, size, to, flags);
	octans_pt_prune(pt, va, size);
	for (unsigned int i = 0; i < n; i++)
		want[w][first + i] = map ? (to + i * PAGE) | flags : 0;
	return true;
}

static void random_change(struct octans_pt *pt)
{
	static const unsigned int grain[] = { 1, 16, 512 };
	unsigned int g = grain[rnd(3)], first = rnd(WINDOW / g) * g;
	unsigned int n = (1 + rnd(WINDOW / g)) * g;
	u64 to = 0x4000000000ULL + (u64)rnd(4) * g * PAGE + (rnd(2) ? first * PAGE : 0);

	if (first + n > WINDOW)
		n = WINDOW - first;
	change(pt, rnd(2), first, n, to, rnd(3) ? (rnd(2) ? OCTANS_PTE_WRITE : 0) |
	       (rnd(2) ? OCTANS_PTE_LOCAL : 0) : ~0ULL);
}

static void random_changes(bool starved)
{
	struct octans_pt pt;
	atomic_t count = { 0 };
	bool good = true, told = true, skipped = false, freed_early = false, mixed = false;

	memset(want, 0, sizeof(want));
	octans_pt_init(&pt, NULL, NULL, NULL, &count);
	for (int i = 0; i < 2000 && good; i++) {
		static u64 before[2][WINDOW];
		int n;

		memcpy(before, want, sizeof(want));
		n = count.counter;
		fail_after = starved ? (int)rnd(32) : -1;
		away = !rnd(8);
		random_change(&pt);
		fail_after = -1;
		if (away) {
			away = false;
			octans_pt_rewrite(&pt);
		} else if (!rnd(16)) {
			lose_card();
			octans_pt_rewrite(&pt);
		}
		mixed |= pt.on_card && (int)pt.on_card < count.counter;
		good = right(&pt) && (int)pt.on_card == on_card;
		freed_early |= pt.stale && count.counter < n;
		told &= pt.stale || !lost(before);
		skipped |= !pt.stale && memcmp(before, want, sizeof(want));
		if (pt.stale || rnd(2))
			octans_pt_flushed(&pt);
	}
	ok(good, "%s: each page leads where it should", starved ? "short of memory" : "random changes");
	ok(mixed == !no_card, "%s", no_card ? "all tables are in host memory" :
	   "tables are on the card, too, and written again when that lost them or was away");
	ok(told, "what changed that was there before is told");
	ok(skipped, "what is only new is not");
	ok(!freed_early, "no table is freed before the processor has forgotten it");
	for (int w = 0; w < 2; w++)
		change(&pt, w, 0, WINDOW, 0, ~0ULL);
	octans_pt_flushed(&pt);
	ok(right(&pt) && count.counter == 1, "empty tables are freed: %d stay, the root",
	   count.counter);
	octans_pt_fini(&pt);
	ok(!count.counter && !allocated && !on_card && !charged && !test_warned, "and at the end everything");
}

/* A map and an unmap at ever new addresses. */
static void no_growth(void)
{
	struct octans_pt pt;
	atomic_t count = { 0 };
	int most = 0;

	octans_pt_init(&pt, NULL, NULL, NULL, &count);
	for (u64 i = 0; i < 100000; i++) {
		u64 va = i * 0x40200000ULL % (1ULL << OCTANS_VA_BITS) & ~0xfffULL;

		if (octans_pt_reserve(&pt, va, PAGE, PAGE))
			break;
		octans_pt_map(&pt, va, PAGE, PAGE, 0);
		octans_pt_unmap(&pt, va, PAGE);
		octans_pt_prune(&pt, va, PAGE);
		most = count.counter > most ? count.counter : most;
		octans_pt_flushed(&pt);
	}
	ok(count.counter == 1 && most <= 4,
	   "100,000 maps and unmaps at new addresses: at most %d tables", most);
	octans_pt_fini(&pt);
}

/* The largest leaves that there are, and tables only where they are needed. */
static void leaves(void)
{
	struct octans_pt pt;
	atomic_t count = { 0 };
	u64 va = 0x10000000000ULL, gib = 1 << 30;

	octans_pt_init(&pt, NULL, NULL, NULL, &count);
	octans_pt_reserve(&pt, va, 4 * gib, 8 * gib);
	octans_pt_map(&pt, va, 4 * gib, 8 * gib, OCTANS_PTE_WRITE);
	ok(count.counter == 2 &&
	   walk(&pt, va + 3 * gib + PAGE) == (11 * gib + PAGE) + OCTANS_PTE_WRITE,
	   "4 GiB that are aligned take %d tables", count.counter);
	ok(!pt.stale, "nothing needs to be forgotten for them");
	/* the same memory, 2 MiB further on: not aligned to 1 GiB any more */
	octans_pt_unmap(&pt, va, 4 * gib);
	octans_pt_reserve(&pt, va, gib, 8 * gib + 0x200000);
	octans_pt_map(&pt, va, gib, 8 * gib + 0x200000, 0);
	ok(count.counter == 3 && walk(&pt, va + PAGE) == 8 * gib + 0x200000 + PAGE && pt.stale,
	   "1 GiB that is aligned to 2 MiB takes %d", count.counter);
	octans_pt_flushed(&pt);
	/* a leaf in place of a table */
	octans_pt_unmap(&pt, va, gib);
	octans_pt_flushed(&pt);
	octans_pt_reserve(&pt, va, gib, 8 * gib);
	octans_pt_map(&pt, va, gib, 8 * gib, 0);
	ok(pt.stale && count.counter == 3,
	   "a leaf in place of an empty table is told, and frees nothing yet");
	octans_pt_flushed(&pt);
	ok(count.counter == 2 && walk(&pt, va + PAGE) == 8 * gib + PAGE, "and then it does");
	octans_pt_fini(&pt);
	ok(!count.counter && !allocated, "nothing is left");
}

int main(void)
{
	random_changes(false);
	no_card = true;
	random_changes(false);
	no_card = false;
	random_changes(true);
	no_growth();
	leaves();
	return done();
}
