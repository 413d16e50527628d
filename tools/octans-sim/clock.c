// SPDX-License-Identifier: MIT
/* The cycle model.  Names in capitals are those of Documentation/hardware/profiles.rst, "Time". */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define DECODE		16	/* cycles from one command to the next */
#define RETIRE		32	/* cycles from the last write to done */

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t ceil_div(uint64_t n, uint64_t d)
{
	return n / d + (n % d != 0);
}

/* ---- timelines ---- */

/* The first gap that ends after @t. */
static unsigned int gap_after(const struct sim_timeline *line, uint64_t t)
{
	unsigned int i = line->gaps;

	while (i && line->gap[i - 1].to > t)
		i--;
	return i;
}

/* Takes [from, to), which lies within gap @i, out of it.  Returns the number of the gap behind. */
static unsigned int cut(struct sim_timeline *line, unsigned int i, uint64_t from, uint64_t to)
{
	struct sim_gap *g = &line->gap[i];
	size_t behind = (line->gaps - i - 1) * sizeof(*g);

	line->taken += to - from;
	if (from > g->from && to < g->to) {
		memmove(g + 2, g + 1, behind);
		line->gaps++;
		g[1] = (struct sim_gap) { to, g->to };
		g->to = from;
		return i + 1;
	}
	if (from > g->from) {
		g->to = from;
		return i + 1;
	}
	if (to < g->to) {
		g->from = to;
		return i;
	}
	memmove(g, g + 1, behind);
	line->gaps--;
	return i;
}

/* [from, to) is taken, and nothing behind it is. */
static void extend(struct sim_timeline *line, uint64_t from, uint64_t to)
{
	if (from > line->end)
		line->gap[line->gaps++] = (struct sim_gap) { line->end, from };
	line->taken += to - from;
	line->end = to;
}

static void forget_oldest(struct sim_timeline *line)
{
	if (line->gaps > SIM_GAPS)
		memmove(line->gap, line->gap + 1, --line->gaps * sizeof(line->gap[0]));
}

uint64_t sim_timeline_take(struct sim_timeline *line, uint64_t from, uint64_t n)
{
	unsigned int i = gap_after(line, from);

	while (n && i < line->gaps) {
		uint64_t start = max(from, line->gap[i].from);
		uint64_t got = min(n, line->gap[i].to - start);

		i = cut(line, i, start, start + got);
		from = start + got;
		n -= got;
	}
	if (n) {
		from = max(from, line->end);
		extend(line, from, from + n);
		from += n;
	}
	forget_oldest(line);
	return from;
}

void sim_timeline_cover(struct sim_timeline *line, uint64_t from, uint64_t to)
{
	unsigned int i = gap_after(line, from);

	while (i < line->gaps && line->gap[i].from < to)
		i = cut(line, i, max(from, line->gap[i].from), min(to, line->gap[i].to));
	forget_oldest(line);
	if (to > line->end)
		extend(line, max(from, line->end), to);
	forget_oldest(line);
}

/* ---- the TLB ---- */

#define NONE	UINT32_MAX

static uint32_t *bucket_of(struct sim_tlb *tlb, uint64_t key)
{
	return &tlb->bucket[(key * 0x9e3779b97f4a7c15ULL >> 32) & (tlb->buckets - 1)];
}

static void tlb_empty(struct sim_tlb *tlb)
{
	tlb->used = 0;
	tlb->newest = NONE;
	tlb->oldest = NONE;
	memset(tlb->bucket, 0xff, tlb->buckets * sizeof(tlb->bucket[0]));
}

static int tlb_init(struct sim_tlb *tlb, uint32_t entries)
{
	tlb->entries = entries;
	for (tlb->buckets = 16; tlb->buckets < 2 * entries; tlb->buckets *= 2)
		;
	tlb->bucket = malloc(tlb->buckets * sizeof(tlb->bucket[0]));
	tlb->node = malloc(entries * sizeof(tlb->node[0]));
	tlb->kept = malloc(entries * sizeof(tlb->kept[0]));
	if (!tlb->bucket || !tlb->node || !tlb->kept)
		return -ENOMEM;
	tlb_empty(tlb);
	return 0;
}

static void unlink_node(struct sim_tlb *tlb, struct sim_tlb_node *n)
{
	if (n->newer != NONE)
		tlb->node[n->newer].older = n->older;
	else
		tlb->newest = n->older;
	if (n->older != NONE)
		tlb->node[n->older].newer = n->newer;
	else
		tlb->oldest = n->newer;
}

static void make_newest(struct sim_tlb *tlb, uint32_t i)
{
	struct sim_tlb_node *n = &tlb->node[i];

	n->newer = NONE;
	n->older = tlb->newest;
	if (tlb->newest != NONE)
		tlb->node[tlb->newest].newer = i;
	else
		tlb->oldest = i;
	tlb->newest = i;
}

/* Frees the least recently used node for another key. */
static uint32_t evict(struct sim_tlb *tlb)
{
	uint32_t i = tlb->oldest, *link = bucket_of(tlb, tlb->node[i].key);

	while (*link != i)
		link = &tlb->node[*link].chain;
	*link = tlb->node[i].chain;
	unlink_node(tlb, &tlb->node[i]);
	return i;
}

static void tlb_add(struct sim_tlb *tlb, uint64_t key)
{
	uint32_t *bucket = bucket_of(tlb, key);
	uint32_t i = tlb->used < tlb->entries ? tlb->used++ : evict(tlb);

	tlb->node[i].key = key;
	tlb->node[i].chain = *bucket;
	*bucket = i;
	make_newest(tlb, i);
}

/* True: it was there.  It is there, and the newest, in any case. */
static bool tlb_ask(struct sim_tlb *tlb, uint64_t key)
{
	for (uint32_t i = *bucket_of(tlb, key); i != NONE; i = tlb->node[i].chain)
		if (tlb->node[i].key == key) {
			if (i != tlb->newest) {
				unlink_node(tlb, &tlb->node[i]);
				make_newest(tlb, i);
			}
			return true;
		}
	tlb_add(tlb, key);
	return false;
}

/* Those of other address spaces stay, in their order. */
static void tlb_forget(struct sim_tlb *tlb, uint64_t asid)
{
	uint32_t kept = 0, found = 0;

	for (uint32_t i = 0; i < tlb->used; i++)
		found += (uint16_t)tlb->node[i].key == asid;
	if (!found)
		return;
	for (uint32_t i = tlb->oldest; i != NONE; i = tlb->node[i].newer)
		if ((uint16_t)tlb->node[i].key != asid)
			tlb->kept[kept++] = tlb->node[i].key;
	tlb_empty(tlb);
	for (uint32_t i = 0; i < kept; i++)
		tlb_add(tlb, tlb->kept[i]);
}

void sim_clock_pages(struct sim_clock *clock, const struct sim_page *page, size_t n,
		     uint64_t misses[SIM_SIDES])
{
	pthread_mutex_lock(&clock->lock);
	for (size_t i = 0; i < n; i++)
		if (!tlb_ask(&clock->tlb, page[i].key))
			misses[page[i].host_table ? SIM_IN_HOST : SIM_ON_CARD]++;
	pthread_mutex_unlock(&clock->lock);
}

void sim_clock_forget(struct sim_clock *clock, uint64_t what)
{
	pthread_mutex_lock(&clock->lock);
	if (what & OCTANS_INVALIDATE_ALL)
		tlb_empty(&clock->tlb);
	else
		tlb_forget(&clock->tlb, what & 0xffff);
	pthread_mutex_unlock(&clock->lock);
}

/* ---- jobs ---- */

/* *Now*.  clock->lock held. */
static uint64_t present(const struct sim_clock *clock)
{
	uint64_t now = UINT64_MAX;

	for (unsigned int i = 0; i < OCTANS_MAX_RINGS; i++)
		if (clock->ring[i].job && !clock->ring[i].waits)
			now = min(now, max(clock->ring[i].decoded, clock->ring[i].fence));
	return now == UINT64_MAX ? clock->latest_end : now;
}

/* The job took time up to @to. */
static void cover(struct sim_clock *clock, struct sim_clock_ring *r, uint64_t to)
{
	if (to <= r->covered)
		return;
	sim_timeline_cover(&clock->busy, r->covered, to);
	r->covered = to;
}

void sim_clock_begin(struct sim_clock *clock, unsigned int ring)
{
	struct sim_clock_ring *r = &clock->ring[ring];

	pthread_mutex_lock(&clock->lock);
	r->start = max(r->end, present(clock));
	r->job = true;
	r->waits = false;
	r->decoded = r->start + 2ULL * clock->profile->pcie_latency;
	r->latest = r->decoded;
	r->fence = 0;
	r->covered = r->start;
	r->commands = 0;
	r->prefetched = 0;
	pthread_mutex_unlock(&clock->lock);
}

void sim_clock_decode(struct sim_clock *clock, unsigned int ring)
{
	struct sim_clock_ring *r = &clock->ring[ring];

	pthread_mutex_lock(&clock->lock);
	if (r->commands) {
		r->decoded = max(r->decoded + DECODE, r->fence);
		if (r->commands >= SIM_IN_FLIGHT)
			r->decoded = max(r->decoded,
					 r->flight[r->commands % SIM_IN_FLIGHT].done);
	}
	r->latest = max(r->latest, r->decoded);
	pthread_mutex_unlock(&clock->lock);
}

void sim_clock_wait(struct sim_clock *clock, unsigned int ring)
{
	pthread_mutex_lock(&clock->lock);
	clock->ring[ring].waits = true;
	pthread_mutex_unlock(&clock->lock);
}

uint64_t sim_clock_end(struct sim_clock *clock, unsigned int ring)
{
	struct sim_clock_ring *r = &clock->ring[ring];
	uint64_t took;

	pthread_mutex_lock(&clock->lock);
	r->job = false;
	r->end = r->latest + clock->profile->pcie_latency;
	cover(clock, r, r->end);
	clock->latest_end = max(clock->latest_end, r->end);
	took = r->end - r->start;
	pthread_mutex_unlock(&clock->lock);
	return took;
}

/* ---- commands ---- */

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a_size && b_size && a < b + b_size && b < a + a_size;
}

/* R: when the operand may be used, by the commands before it.  Older ones than those in flight
 * are done before D. */
static uint64_t ready(const struct sim_clock_ring *r, uint64_t flights,
		      const struct sim_operand *o)
{
	uint64_t t = r->decoded;

	for (uint64_t i = 1; i <= flights; i++) {
		const struct sim_flight *f = &r->flight[(r->commands - i) % SIM_IN_FLIGHT];

		if (f->done <= t)
			continue;
		for (unsigned int k = 0; k < f->operands; k++)
			if ((o->write || f->operand[k].write) &&
			    overlap(o->va, o->size, f->operand[k].va, f->operand[k].size)) {
				t = f->done;
				break;
			}
	}
	return t;
}

/* The PREFETCH that holds what @o reads, or NULL. */
static const struct sim_prefetched *held(const struct sim_clock_ring *r,
					 const struct sim_operand *o)
{
	for (unsigned int i = 0; i < r->prefetched && !o->write; i++) {
		const struct sim_prefetched *p = &r->prefetch[i];

		if (o->va >= p->va && o->va - p->va <= p->size &&
		    o->size <= p->size - (o->va - p->va))
			return p;
	}
	return NULL;
}

/* A command that writes ends what PREFETCH brought there; a PREFETCH drives out the oldest. */
static void update_prefetched(struct sim_clock *clock, struct sim_clock_ring *r,
			      const struct sim_command *c, uint64_t done)
{
	uint64_t sum = 0;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < r->prefetched; i++) {
		const struct sim_prefetched *p = &r->prefetch[i];
		bool written = false;

		for (unsigned int k = 0; k < c->operands; k++)
			written |= c->operand[k].write && overlap(p->va, p->size, c->operand[k].va,
								  c->operand[k].size);
		if (!written)
			r->prefetch[kept++] = *p;
	}
	if (c->prefetch && c->operands) {
		if (kept == SIM_PREFETCHED)
			kept--;
		memmove(r->prefetch + 1, r->prefetch, kept++ * sizeof(r->prefetch[0]));
		r->prefetch[0] = (struct sim_prefetched) {
			.va = c->operand[0].va, .size = c->operand[0].size, .done = done,
		};
	}
	for (r->prefetched = 0; r->prefetched < kept; r->prefetched++) {
		sum += r->prefetch[r->prefetched].size;
		if (sum > clock->profile->sram_size / 2)
			break;
	}
}

/* A: when there is room in SRAM for the @in bytes that the command reads. */
static uint64_t room(const struct sim_clock *clock, const struct sim_clock_ring *r,
		     uint64_t flights, uint64_t in)
{
	for (uint64_t i = 1; i <= flights; i++) {
		const struct sim_flight *f = &r->flight[(r->commands - i) % SIM_IN_FLIGHT];

		in += f->in;
		if (in > clock->profile->sram_size)
			return f->done;
	}
	return 0;
}

/* When the MMU has translated the operand, if it begins at @t. */
static uint64_t translated(struct sim_clock *clock, const struct sim_operand *o, uint64_t t)
{
	const struct sim_profile *p = clock->profile;
	uint64_t cycles = o->misses[SIM_ON_CARD] * p->local_latency +
			  o->misses[SIM_IN_HOST] * p->pcie_latency;

	clock->sum.tlb_misses += o->misses[SIM_ON_CARD] + o->misses[SIM_IN_HOST];
	return sim_timeline_take(&clock->engine[SIM_MMU], t, ceil_div(cycles, p->walkers));
}

static const enum sim_engine port[SIM_SIDES] = { SIM_LOCAL, SIM_PCIE };

static uint64_t bandwidth(const struct sim_profile *p, int side)
{
	return side == SIM_ON_CARD ? p->local_bpc : p->pcie_bpc;
}

static uint64_t read_operand(struct sim_clock *clock, const struct sim_operand *o, uint64_t t,
			     uint64_t s)
{
	const struct sim_profile *p = clock->profile;
	uint64_t end = translated(clock, o, t), latency = 0;

	for (int side = 0; side < SIM_SIDES; side++) {
		struct sim_timeline *line = &clock->engine[port[side]];
		uint64_t ahead = min(o->bytes[side], p->sram_size / 2);

		if (!o->bytes[side])
			continue;
		end = max(end, sim_timeline_take(line, t, ceil_div(ahead, bandwidth(p, side))));
		if (o->bytes[side] > ahead)
			end = max(end, sim_timeline_take(line, max(t, s),
							 ceil_div(o->bytes[side] - ahead,
								  bandwidth(p, side))));
		latency = max(latency, side == SIM_ON_CARD ? p->local_latency : p->pcie_latency);
	}
	clock->sum.local_read += o->bytes[SIM_ON_CARD];
	clock->sum.pcie_read += o->bytes[SIM_IN_HOST];
	return end + latency;
}

static uint64_t write_operand(struct sim_clock *clock, const struct sim_operand *o, uint64_t s)
{
	uint64_t end = translated(clock, o, s);

	for (int side = 0; side < SIM_SIDES; side++)
		end = max(end, sim_timeline_take(&clock->engine[port[side]], s,
						 ceil_div(o->bytes[side],
							  bandwidth(clock->profile, side))));
	clock->sum.local_written += o->bytes[SIM_ON_CARD];
	clock->sum.pcie_written += o->bytes[SIM_IN_HOST];
	return end;
}

static uint64_t compute(struct sim_clock *clock, const struct sim_command *c, uint64_t s)
{
	const struct sim_profile *p = clock->profile;
	uint64_t matrix = ceil_div(c->macs_int8, p->macs_int8) + ceil_div(c->macs_f16, p->macs_f16);
	uint64_t end = sim_timeline_take(&clock->engine[SIM_MATRIX], s, matrix);

	end = max(end, sim_timeline_take(&clock->engine[SIM_VECTOR], s,
					 ceil_div(c->macs_f32, p->macs_f32)));
	end = max(end, sim_timeline_take(&clock->engine[SIM_COPY], s,
					 ceil_div(c->dma, p->local_bpc)));
	clock->sum.macs_int8 += c->macs_int8;
	clock->sum.macs_f16 += c->macs_f16;
	clock->sum.macs_f32 += c->macs_f32;
	return end;
}

static bool copies(const struct sim_command *c)
{
	return c->dma && !c->prefetch;
}

/* Steps 2 to 7; returns done and leaves what later commands ask about in @f. */
static uint64_t execute(struct sim_clock *clock, struct sim_clock_ring *r, struct sim_command *c,
			struct sim_flight *f)
{
	uint64_t flights = min(r->commands, SIM_IN_FLIGHT - 1), in = 0;
	uint64_t R[SIM_OPERANDS], S = r->decoded, A, C, W;

	for (unsigned int k = 0; k < c->operands; k++) {
		struct sim_operand *o = &c->operand[k];
		const struct sim_prefetched *p = held(r, o);

		R[k] = c->fence ? r->latest : ready(r, flights, o);
		if (p) {
			memset(o->bytes, 0, sizeof(o->bytes));
			R[k] = max(R[k], p->done);
		}
		S = max(S, R[k]);
		if (!o->write)
			in += o->bytes[SIM_ON_CARD] + o->bytes[SIM_IN_HOST];
	}
	if (c->fence)
		S = max(S, r->latest);
	/* A COPY keeps nothing in SRAM: it reads what it may write. */
	f->in = copies(c) ? 0 : min(in, clock->profile->sram_size / 2);
	A = copies(c) ? S : room(clock, r, flights, f->in);
	C = S;
	for (unsigned int k = 0; k < c->operands; k++)
		if (!c->operand[k].write)
			C = max(C, read_operand(clock, &c->operand[k], max(R[k], A), S));
	C = max(C, compute(clock, c, S));
	W = S;
	for (unsigned int k = 0; k < c->operands; k++)
		if (c->operand[k].write)
			W = max(W, write_operand(clock, &c->operand[k], S));
	f->done = max(C, W) + RETIRE;
	if (c->waited)
		f->done = max(f->done, present(clock));
	return f->done;
}

void sim_clock_commit(struct sim_clock *clock, unsigned int ring, struct sim_command *c)
{
	struct sim_clock_ring *r = &clock->ring[ring];
	struct sim_flight *f = &r->flight[r->commands % SIM_IN_FLIGHT];

	assert(c->operands <= SIM_OPERANDS);
	pthread_mutex_lock(&clock->lock);
	clock->sum.commands++;
	for (int side = 0; side < SIM_SIDES; side++)
		sim_timeline_take(&clock->engine[port[side]], r->decoded - DECODE,
				  ceil_div(c->fetched[side], bandwidth(clock->profile, side)));
	clock->sum.local_read += c->fetched[SIM_ON_CARD];
	clock->sum.pcie_read += c->fetched[SIM_IN_HOST];
	if (c->idle) {
		*f = (struct sim_flight) { .done = r->decoded };
	} else {
		execute(clock, r, c, f);
		f->operands = c->operands;
		for (unsigned int k = 0; k < c->operands; k++) {
			f->operand[k].write = c->operand[k].write;
			f->operand[k].va = c->operand[k].va;
			f->operand[k].size = c->operand[k].size;
		}
		update_prefetched(clock, r, c, f->done);
	}
	r->waits = false;
	r->commands++;
	r->latest = max(r->latest, f->done);
	if (c->fence && !c->idle)
		r->fence = f->done;
	cover(clock, r, r->latest);
	pthread_mutex_unlock(&clock->lock);
}

/* ---- counters ---- */

static void read_counters(const struct sim_clock *clock, struct octans_counters *counters)
{
	*counters = clock->sum;
	counters->cycles = clock->busy.taken;
	counters->busy_matrix = clock->engine[SIM_MATRIX].taken;
	counters->busy_vector = clock->engine[SIM_VECTOR].taken;
	counters->busy_dma = clock->engine[SIM_COPY].taken;
	counters->busy_mmu = clock->engine[SIM_MMU].taken;
	counters->busy_local = clock->engine[SIM_LOCAL].taken;
	counters->busy_pcie = clock->engine[SIM_PCIE].taken;
}

void sim_clock_counters(struct sim_clock *clock, struct octans_counters *counters)
{
	pthread_mutex_lock(&clock->lock);
	read_counters(clock, counters);
	pthread_mutex_unlock(&clock->lock);
}

void sim_clock_counters_at(struct sim_clock *clock, unsigned int ring,
			   struct octans_counters *counters)
{
	struct sim_clock_ring *r = &clock->ring[ring];

	pthread_mutex_lock(&clock->lock);
	cover(clock, r, r->latest);
	read_counters(clock, counters);
	pthread_mutex_unlock(&clock->lock);
}

/* ---- making and ending ---- */

void sim_clock_reset(struct sim_clock *clock)
{
	pthread_mutex_lock(&clock->lock);
	memset(clock->engine, 0, sizeof(clock->engine));
	memset(&clock->busy, 0, sizeof(clock->busy));
	memset(&clock->sum, 0, sizeof(clock->sum));
	memset(clock->ring, 0, sizeof(clock->ring));
	clock->latest_end = 0;
	tlb_empty(&clock->tlb);
	pthread_mutex_unlock(&clock->lock);
}

static void tlb_free(struct sim_tlb *tlb)
{
	free(tlb->bucket);
	free(tlb->node);
	free(tlb->kept);
}

int sim_clock_init(struct sim_clock *clock, const struct sim_profile *profile)
{
	int ret;

	memset(clock, 0, sizeof(*clock));
	clock->profile = profile;
	ret = tlb_init(&clock->tlb, profile->tlb_entries);
	if (ret) {
		tlb_free(&clock->tlb);
		return ret;
	}
	pthread_mutex_init(&clock->lock, NULL);
	return 0;
}

void sim_clock_destroy(struct sim_clock *clock)
{
	pthread_mutex_destroy(&clock->lock);
	tlb_free(&clock->tlb);
}
