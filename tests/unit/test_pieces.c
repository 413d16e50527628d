// SPDX-License-Identifier: MIT
/* Where a buffer lies, as the module keeps it: every page, whatever an exporter says. */
#include "../../kmod/octans_pieces.c"
#include "tap.h"

#define PAGE	4096ULL
#define ROOM	64

static void refused(u64 addr, u64 size, const char *what)
{
	struct octans_piece list[ROOM];
	struct octans_pieces p = { .list = list, .room = ROOM };

	octans_pieces_add(&p, PAGE, PAGE);
	ok(octans_pieces_add(&p, addr, size) == -EINVAL && p.n == 1 && p.size == PAGE,
	   "refused: %s", what);
}

static void pages(void)
{
	struct octans_piece list[ROOM];
	struct octans_pieces p = { .list = list, .room = ROOM };
	u64 want[1024], addr = PAGE, left;
	unsigned int n = 0, pieces = 0;
	bool good = true;

	for (unsigned int i = 0; i < ROOM; i++) {
		unsigned int len = 1 + i * 7 % 13;
		bool joined = i % 3 == 1;

		if (!joined) {
			addr += (1 + i % 5) * PAGE;
			pieces++;
		}
		good &= !octans_pieces_add(&p, addr, len * PAGE);
		for (unsigned int k = 0; k < len; k++, addr += PAGE)
			want[n++] = addr;
	}
	ok(good && p.size == n * PAGE && p.n == pieces, "%u pages in %u pieces", n, p.n);
	for (unsigned int i = 0; i < n; i++) {
		u64 at, more = octans_pieces_find(&p, i * PAGE, &at);

		good &= at == want[i];
		for (left = 0; left * PAGE < more; left++)
			good &= want[i + left] == at + left * PAGE;
		good &= i + left == n || want[i + left] != at + more;
		octans_pieces_find(&p, i * PAGE + 77, &at);
		good &= at == want[i] + 77;
	}
	ok(good, "each page is found, and as many as follow it");
}

static void full(void)
{
	struct octans_piece list[2];
	struct octans_pieces p = { .list = list, .room = 2 };

	octans_pieces_add(&p, PAGE, PAGE);
	octans_pieces_add(&p, 3 * PAGE, PAGE);
	ok(!octans_pieces_add(&p, 4 * PAGE, PAGE) && p.n == 2, "what joins the last takes no room");
	ok(octans_pieces_add(&p, PAGE, PAGE) == -ENOSPC && p.size == 3 * PAGE, "and then it is full");
}

int main(void)
{
	refused(0x1800, PAGE, "an address in the middle of a page: it would be flags of an entry");
	refused(0x2000, 0x800, "part of a page: the device would reach the rest");
	refused(0x2000, 0x1801, "an odd size");
	refused(0x2000, 0, "nothing");
	refused(1ULL << 52, PAGE, "an address that entries cannot hold");
	refused(~0xfffULL, PAGE, "the last page of all addresses");
	refused((1ULL << 52) - PAGE, 2 * PAGE, "a piece over the end of what entries can hold");
	refused(~0xfffULL, 2 * PAGE, "a piece that comes round");
	pages();
	full();
	return done();
}
