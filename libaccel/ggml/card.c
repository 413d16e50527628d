// SPDX-License-Identifier: MIT
#include "card.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"

#define VA_FIRST (1ull << 32)	/* small integers are never addresses */
#define MARK 0x6f6374616e733031ull

static void describe(struct card *c, int number)
{
	snprintf(c->name, sizeof(c->name), "OCTANS%d", number);
	snprintf(c->description, sizeof(c->description), "Octans processor %s (%s)", c->info.name, c->info.profile);
}

static int put_mark(struct card *c)
{
	void *map = NULL;
	int err = accel_bo_new(c->dev, sizeof(uint64_t), ACCEL_BO_DEVICE, "ggml mark", &c->mark_bo);

	if (!err)
		err = accel_bo_map(c->mark_bo, &map);
	if (err)
		return err;
	*(uint64_t *)map = MARK;
	c->mark = map;
	return 0;
}

static int open_card(struct card *c, const char *selector)
{
	int err = accel_open(selector, &c->dev);

	if (err)
		return err;
	c->info.sz = sizeof(c->info);
	err = accel_dev_info(c->dev, &c->info);
	if (!err && c->info.timing_only)
		err = fail(-EINVAL, "%s models time alone: what it computes means nothing", c->info.name);
	if (!err)
		err = accel_vm_new(c->dev, &c->vm);
	return err ? err : put_mark(c);
}

struct card *card_open(const char *selector, int number)
{
	struct card *c = calloc(1, sizeof(*c));

	if (!c) {
		fail(-ENOMEM, "no memory for a processor");
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	c->next_va = VA_FIRST;
	if (open_card(c, selector)) {
		card_close(c);
		return NULL;
	}
	describe(c, number);
	return c;
}

void card_close(struct card *c)
{
	if (!c)
		return;
	if (c->cpu)
		cpu_free(c->cpu);
	accel_bo_free(c->mark_bo);
	if (c->vm)
		accel_vm_free(c->vm);
	accel_close(c->dev);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* One that lost its power has zeros there, one that was pulled out ones. */
bool card_is_there(struct card *c)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (*c->mark == MARK)
		return true;
	fail(-ENODEV, "the card's memory no longer holds what it held");
	return false;
}

void card_fail(struct card *c, const char *doing)
{
	const char *why = accel_error();

	pthread_mutex_lock(&c->lock);
	if (!atomic_exchange(&c->lost, true))
		ggml_log_internal(GG_LOG_WARN, "%s: %s failed (%s); from here on the CPU computes in its place, with the same bits, until the program ends\n",
				  c->name, doing, *why ? why : "no cause is known");
	pthread_mutex_unlock(&c->lock);
}

int card_cpu_run(struct card *c, const void *stream, size_t size)
{
	size_t at = 0;
	int err = 0;

	pthread_mutex_lock(&c->lock);
	if (!c->cpu)
		err = cpu_new(NULL, 0, &c->cpu);
	if (!err)
		err = cpu_run(c->cpu, stream, size, NULL, 0, &at);
	pthread_mutex_unlock(&c->lock);
	return err ? fail(err, "the CPU refused the command at byte %zu of a graph: %s", at, strerror(-err)) : 0;
}

void card_report(const struct card *c)
{
	if (!c->graphs)
		return;
	fprintf(stderr, "%s: %llu graphs with %llu operations: %llu replayed, %llu recorded (%llu bytes of commands), %llu computed by the CPU in its place\n",
		c->name, (unsigned long long)c->graphs, (unsigned long long)c->nodes,
		(unsigned long long)c->replayed, (unsigned long long)(c->graphs - c->replayed),
		(unsigned long long)c->recorded_bytes, (unsigned long long)c->on_cpu);
}

/* ---- memory ---- */

/* Addresses are used once: there are 2^48 of them. */
static uint64_t take_va(struct card *c, uint64_t size)
{
	uint64_t va;

	pthread_mutex_lock(&c->lock);
	va = accel_va_align(c->next_va, size);
	c->next_va = va + size;
	pthread_mutex_unlock(&c->lock);
	return va;
}

static int map_region(struct region *r, enum region_kind kind, const char *label)
{
	const bool card = kind == REGION_CARD || kind == REGION_SCRATCH;
	void *map;
	int err = accel_bo_new(r->card->dev, r->size, card ? ACCEL_BO_DEVICE : ACCEL_BO_HOST, label, &r->bo);

	if (err)
		return err;
	r->size = accel_bo_size(r->bo);
	r->va = take_va(r->card, r->size);
	err = accel_vm_map(r->card->vm, r->bo, 0, r->va, r->size, 0);
	if (err)
		return err;
	if (kind == REGION_SCRATCH)
		return 0;
	err = accel_bo_map(r->bo, &map);
	r->map = map;
	return err;
}

/* Pages of it come when they are touched. */
static void *pages(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static uint64_t ahead_size(const struct region *r)
{
	return (r->size / 128 + 1) * sizeof(*r->ahead);
}

static int copy_region(struct region *r, enum region_kind kind)
{
	r->host = pages(r->size);
	if (kind == REGION_CARD)
		r->ahead = pages(ahead_size(r));
	if (!r->host || (kind == REGION_CARD && !r->ahead))
		return fail(-ENOMEM, "no memory for a copy of %llu bytes on the card", (unsigned long long)r->size);
	return 0;
}

/* Without a processor the CPU's copy is all there is. */
static int make_region(struct region *r, enum region_kind kind, const char *label)
{
	int err = 0;

	if (!atomic_load(&r->card->lost))
		err = map_region(r, kind, label);
	if (err == -ENODEV || err == -ENODATA) {
		card_fail(r->card, "making a buffer");
		err = 0;
	}
	if (err)
		return err;
	if (kind == REGION_SHARED && r->map) {
		r->host = r->map;
		return 0;
	}
	return copy_region(r, kind);
}

struct region *region_new(struct card *c, uint64_t size, enum region_kind kind, const char *label)
{
	struct region *r = calloc(1, sizeof(*r));

	if (!r) {
		fail(-ENOMEM, "no memory for a buffer");
		return NULL;
	}
	r->card = c;
	r->id = atomic_fetch_add(&c->regions, 1) + 1;
	r->size = size ? size : 1;
	if (make_region(r, kind, label)) {
		region_free(r);
		return NULL;
	}
	return r;
}

void region_free(struct region *r)
{
	if (!r)
		return;
	if (r->host && r->host != r->map)
		munmap(r->host, r->size);
	if (r->ahead)
		munmap(r->ahead, ahead_size(r));
	if (r->bo && r->va)
		accel_vm_unmap(r->card->vm, r->va, r->size);
	accel_bo_free(r->bo);
	free(r);
}

static bool on_card(const struct region *r)
{
	return r->map && r->map != r->host && !atomic_load(&r->card->lost);
}

/* ---- which bytes the card alone has ---- */

void region_set_ahead(struct region *r, uint64_t offset, uint64_t size, bool ahead)
{
	/* half a bit is no reason to forget it */
	uint64_t bit = (offset + !ahead) / 2, end = (offset + size + ahead) / 2;

	r->some_ahead |= r->ahead && ahead;
	while (r->some_ahead && bit < end) {
		const uint64_t n = end - bit < 64 - bit % 64 ? end - bit : 64 - bit % 64;
		const uint64_t bits = (n == 64 ? ~0ull : (1ull << n) - 1) << bit % 64;
		uint64_t *word = &r->ahead[bit / 64];

		*word = ahead ? *word | bits : *word & ~bits;
		bit += n;
	}
}

bool region_is_ahead(const struct region *r, uint64_t offset, uint64_t size)
{
	uint64_t bit = offset / 2, end = (offset + size + 1) / 2;

	while (r->some_ahead && bit < end) {
		const uint64_t n = end - bit < 64 - bit % 64 ? end - bit : 64 - bit % 64;

		if (r->ahead[bit / 64] & (n == 64 ? ~0ull : (1ull << n) - 1) << bit % 64)
			return true;
		bit += n;
	}
	return false;
}

static void fetch_bytes(struct region *r, uint64_t at, uint64_t size)
{
	for (uint64_t n; size; at += n, size -= n) {
		const bool whole = at % 128 == 0 && size >= 128 && r->ahead[at / 128] == ~0ull;

		n = whole ? 128 : 1;
		if (whole || region_is_ahead(r, at, 1))
			memcpy(r->host + at, r->map + at, n);
	}
}

bool region_fetch(struct region *r, uint64_t offset, uint64_t size)
{
	if (!region_is_ahead(r, offset, size))
		return true;
	if (on_card(r)) {
		fetch_bytes(r, offset, size);
		if (card_is_there(r->card)) {
			region_set_ahead(r, offset, size, false);
			return true;
		}
		card_fail(r->card, "reading a result");
	}
	return false;
}

/* ---- what ggml does ---- */

void region_write(struct region *r, uint64_t offset, const void *data, uint64_t size)
{
	memcpy(r->host + offset, data, size);
	region_set_ahead(r, offset, size, false);
	if (on_card(r))
		memcpy(r->map + offset, data, size);
}

void region_fill(struct region *r, uint64_t offset, uint8_t value, uint64_t size)
{
	memset(r->host + offset, value, size);
	region_set_ahead(r, offset, size, false);
	if (on_card(r))
		memset(r->map + offset, value, size);
}

void region_read(struct region *r, uint64_t offset, void *data, uint64_t size)
{
	if (region_fetch(r, offset, size)) {
		memcpy(data, r->host + offset, size);
		return;
	}
	memset(data, 0xff, size);	/* no number, of any type */
	if (!r->damaged)
		ggml_log_internal(GG_LOG_ERROR, "%s: a result that was left on the card went with it: who reads it finds no numbers, and the next graph fails\n",
				  r->card->name);
	r->damaged = true;
}
