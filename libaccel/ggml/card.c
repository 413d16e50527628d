// SPDX-License-Identifier: MIT
#include "card.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "error.h"

#define VA_FIRST (1ull << 32)	/* small integers are never addresses */
#define MARK 0x6f6374616e733031ull
#define RETRY_MS 1000u
#define LONGEST_RETRY_MS 64000u

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

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

/* Who wants to take it back is not kept waiting by those who come later. */
static void make_locks(struct card *c)
{
	pthread_rwlockattr_t kind;

	pthread_rwlockattr_init(&kind);
	pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&c->use, &kind);
	pthread_rwlockattr_destroy(&kind);
	pthread_mutex_init(&c->lock, NULL);
}

struct card *card_open(const char *selector, int number)
{
	struct card *c = calloc(1, sizeof(*c));

	if (!c) {
		fail(-ENOMEM, "no memory for a processor");
		return NULL;
	}
	make_locks(c);
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
	pthread_rwlock_destroy(&c->use);
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

/* When it is tried again; later each time that it soon fails again. */
static void put_off(struct card *c, int err)
{
	/* what was well for longer than it was waited for is not the same trouble */
	if (c->back_ns && now_ns() - c->back_ns > c->wait_ms * 1000000ll)
		c->wait_ms = 0;
	c->back_ns = 0;
	if (!c->wait_ms)
		c->wait_ms = RETRY_MS;
	atomic_store(&c->retry_ns, err == -ENODEV ? INT64_MAX : now_ns() + c->wait_ms * 1000000ll);
	if (c->wait_ms < LONGEST_RETRY_MS)
		c->wait_ms *= 2;
}

void card_fail(struct card *c, int err, const char *doing)
{
	const char *why = accel_error();

	pthread_mutex_lock(&c->lock);
	if (!atomic_load(&c->lost)) {
		put_off(c, err);
		atomic_store(&c->readable, err != -ENODEV && err != -ENODATA);
		atomic_store(&c->lost, true);
		ggml_log_internal(GG_LOG_WARN, "%s: %s failed (%s); from here on the CPU computes in its place, with the same bits, until %s\n",
				  c->name, doing, *why ? why : "no cause is known",
				  err == -ENODEV ? "the program ends" : "it is well again");
	}
	pthread_mutex_unlock(&c->lock);
}

void card_enter(struct card *c)
{
	pthread_rwlock_rdlock(&c->use);
}

void card_leave(struct card *c)
{
	pthread_rwlock_unlock(&c->use);
}

void card_add_queue(struct card *c, struct card_queue *q)
{
	pthread_mutex_lock(&c->lock);
	q->next = c->queues;
	c->queues = q;
	pthread_mutex_unlock(&c->lock);
}

void card_drop_queue(struct card *c, struct card_queue *q)
{
	pthread_mutex_lock(&c->lock);
	for (struct card_queue **at = &c->queues; *at; at = &(*at)->next)
		if (*at == q) {
			*at = q->next;
			break;
		}
	pthread_mutex_unlock(&c->lock);
	accel_queue_free(q->queue);
	q->queue = NULL;
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
	fprintf(stderr, "%s: %llu graphs with %llu operations: %llu replayed, %llu recorded (%llu bytes of commands), %llu computed by the CPU in its place",
		c->name, (unsigned long long)c->graphs, (unsigned long long)c->nodes,
		(unsigned long long)c->replayed, (unsigned long long)(c->graphs - c->replayed),
		(unsigned long long)c->recorded_bytes, (unsigned long long)c->on_cpu);
	if (c->times_back)
		fprintf(stderr, ", taken back %u times", c->times_back);
	fputc('\n', stderr);
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

static bool is_card_kind(enum region_kind kind)
{
	return kind == REGION_CARD || kind == REGION_SCRATCH;
}

/* A buffer of the card, unless r has one, at r's address. */
static int map_region(struct region *r, const char *label)
{
	void *map;
	int err = r->bo ? 0 : accel_bo_new(r->card->dev, r->size, is_card_kind(r->kind) ? ACCEL_BO_DEVICE : ACCEL_BO_HOST,
					   label, &r->bo);

	if (err)
		return err;
	if (!r->va)
		r->va = take_va(r->card, accel_bo_size(r->bo));
	err = accel_vm_map(r->card->vm, r->bo, 0, r->va, accel_bo_size(r->bo), 0);
	if (err || r->kind == REGION_SCRATCH || r->map)
		return err;
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

static int copy_region(struct region *r)
{
	r->host = pages(r->size);
	if (r->kind == REGION_CARD)
		r->ahead = pages(ahead_size(r));
	if (!r->host || (r->kind == REGION_CARD && !r->ahead))
		return fail(-ENOMEM, "no memory for a copy of %llu bytes on the card", (unsigned long long)r->size);
	return 0;
}

/* Without a processor the CPU's copy is all there is. */
static int make_region(struct region *r, const char *label)
{
	int err = 0;

	if (!atomic_load(&r->card->lost))
		err = map_region(r, label);
	if (err == -ENODEV || err == -ENODATA) {
		card_fail(r->card, err, "making a buffer");
		err = 0;
	}
	if (err)
		return err;
	if (r->kind == REGION_SHARED && r->map) {
		r->host = r->map;
		return 0;
	}
	return copy_region(r);
}

static void list_region(struct region *r)
{
	pthread_mutex_lock(&r->card->lock);
	r->next = r->card->all;
	r->card->all = r;
	pthread_mutex_unlock(&r->card->lock);
}

static void unlist_region(struct region *r)
{
	pthread_mutex_lock(&r->card->lock);
	for (struct region **at = &r->card->all; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			break;
		}
	pthread_mutex_unlock(&r->card->lock);
}

struct region *region_new(struct card *c, uint64_t size, enum region_kind kind, const char *label)
{
	struct region *r = calloc(1, sizeof(*r));

	if (!r) {
		fail(-ENOMEM, "no memory for a buffer");
		return NULL;
	}
	r->card = c;
	r->kind = kind;
	r->id = atomic_fetch_add(&c->regions, 1) + 1;
	r->size = size ? size : 1;
	list_region(r);
	if (make_region(r, label)) {
		region_free(r);
		return NULL;
	}
	return r;
}

static void unmap_region(struct region *r)
{
	if (r->bo && r->va && r->card->vm)
		accel_vm_unmap(r->card->vm, r->va, accel_bo_size(r->bo));
}

void region_free(struct region *r)
{
	if (!r)
		return;
	unlist_region(r);
	if (r->host && r->host != r->map)
		munmap(r->host, r->size);
	if (r->ahead)
		munmap(r->ahead, ahead_size(r));
	if (r->gone)
		munmap(r->gone, ahead_size(r));
	unmap_region(r);
	accel_bo_free(r->bo);
	free(r);
}

static bool on_card(const struct region *r)
{
	return r->map && r->map != r->host && !atomic_load(&r->card->lost);
}

static bool can_fetch(const struct region *r)
{
	return r->map && (!atomic_load(&r->card->lost) || atomic_load(&r->card->readable));
}

/* ---- which bytes the card alone has ---- */

/* A bit for two bytes; half a bit is no reason to forget it. */
static void set_bits(uint64_t *bits, uint64_t offset, uint64_t size, bool on)
{
	uint64_t bit = (offset + !on) / 2, end = (offset + size + on) / 2;

	while (bit < end) {
		const uint64_t n = end - bit < 64 - bit % 64 ? end - bit : 64 - bit % 64;
		const uint64_t mask = (n == 64 ? ~0ull : (1ull << n) - 1) << bit % 64;

		bits[bit / 64] = on ? bits[bit / 64] | mask : bits[bit / 64] & ~mask;
		bit += n;
	}
}

static bool any_bit(const uint64_t *bits, uint64_t offset, uint64_t size)
{
	uint64_t bit = offset / 2, end = (offset + size + 1) / 2;

	while (bit < end) {
		const uint64_t n = end - bit < 64 - bit % 64 ? end - bit : 64 - bit % 64;

		if (bits[bit / 64] & (n == 64 ? ~0ull : (1ull << n) - 1) << bit % 64)
			return true;
		bit += n;
	}
	return false;
}

void region_set_ahead(struct region *r, uint64_t offset, uint64_t size, bool ahead)
{
	r->some_ahead |= r->ahead && ahead;
	if (r->some_ahead)
		set_bits(r->ahead, offset, size, ahead);
	region_set_gone(r, offset, size, false);
}

static bool has_gone(struct region *r)
{
	if (!r->gone && r->ahead)
		r->gone = pages(ahead_size(r));
	if (r->gone)
		return true;
	atomic_store(&r->card->readable, false);	/* then nothing that is only there is had any more */
	return false;
}

void region_set_gone(struct region *r, uint64_t offset, uint64_t size, bool gone)
{
	if (gone && !has_gone(r))
		return;
	if (r->gone)
		set_bits(r->gone, offset, size, gone);
}

void region_lose(struct region *r, uint64_t offset, uint64_t size)
{
	if (!r->some_ahead || !any_bit(r->ahead, offset, size) || !has_gone(r))
		return;
	for (uint64_t at = offset / 2 * 2; at < offset + size; at += 2)
		if (any_bit(r->ahead, at, 1)) {
			set_bits(r->gone, at, 2, true);
			set_bits(r->ahead, at, 2, false);
		}
}

static bool is_ahead(const struct region *r, uint64_t offset, uint64_t size)
{
	return r->some_ahead && any_bit(r->ahead, offset, size);
}

bool region_is_gone(const struct region *r, uint64_t offset, uint64_t size)
{
	return (r->gone && any_bit(r->gone, offset, size)) || (!can_fetch(r) && is_ahead(r, offset, size));
}

static void fetch_bytes(struct region *r, uint64_t at, uint64_t size)
{
	for (uint64_t n; size; at += n, size -= n) {
		const bool whole = at % 128 == 0 && size >= 128 && r->ahead[at / 128] == ~0ull;

		n = whole ? 128 : 1;
		if (whole || is_ahead(r, at, 1))
			memcpy(r->host + at, r->map + at, n);
	}
}

bool region_fetch(struct region *r, uint64_t offset, uint64_t size)
{
	const bool gone = r->gone && any_bit(r->gone, offset, size);

	if (!is_ahead(r, offset, size))
		return !gone;
	if (!can_fetch(r))
		return false;
	fetch_bytes(r, offset, size);
	if (card_is_there(r->card)) {
		set_bits(r->ahead, offset, size, false);
		return !gone;
	}
	card_fail(r->card, -ENODATA, "reading a result");
	atomic_store(&r->card->readable, false);
	return false;
}

/* ---- it is well again ---- */

/* What the card alone has is fetched; what cannot be is gone. */
static int save_results(struct card *c, struct region *r)
{
	const uint64_t words = ahead_size(r) / sizeof(*r->ahead);

	c->some_gone |= r->gone != NULL;
	if (!r->some_ahead || region_fetch(r, 0, r->size))
		return 0;
	if (!has_gone(r))
		return fail(-ENOMEM, "no memory to know what went with the card");
	for (uint64_t i = 0; i < words; i++)
		if (r->ahead[i]) {
			r->gone[i] |= r->ahead[i];
			r->ahead[i] = 0;
		}
	r->some_ahead = false;
	c->some_gone = true;
	return 0;
}

static int save_all(struct card *c)
{
	int err = 0;

	for (struct region *r = c->all; r && !err; r = r->next)
		err = save_results(c, r);
	return err;
}

/* Host memory of ours, whose address ggml has, stays. */
static void let_go(struct card *c)
{
	for (struct card_queue *q = c->queues; q; q = q->next) {
		accel_queue_free(q->queue);
		q->queue = NULL;
	}
	for (struct region *r = c->all; r; r = r->next) {
		unmap_region(r);
		if (r->map && r->map == r->host)
			continue;
		accel_bo_free(r->bo);
		r->bo = NULL;
		r->map = NULL;
	}
	c->mark = NULL;
	accel_bo_free(c->mark_bo);
	c->mark_bo = NULL;
	if (c->vm)
		accel_vm_free(c->vm);
	c->vm = NULL;
}

/* One that was made without the card is not of it: it may be written without a word to us. */
static bool is_apart(const struct region *r)
{
	return r->kind == REGION_SHARED && r->map != r->host;
}

static int make_anew(struct card *c)
{
	int err = accel_vm_new(c->dev, &c->vm);

	if (!err)
		err = put_mark(c);
	for (struct region *r = c->all; r && !err; r = r->next) {
		if (is_apart(r))
			continue;
		err = map_region(r, "ggml");
		if (!err && r->kind == REGION_CARD)
			memcpy(r->map, r->host, r->size);
	}
	return err ? err : card_is_there(c) ? 0 : -ENODATA;
}

static bool is_due(const struct card *c)
{
	return atomic_load(&c->lost) && now_ns() >= atomic_load(&c->retry_ns);
}

static void take_back(struct card *c)
{
	int err = save_all(c);

	if (!err) {
		let_go(c);
		atomic_store(&c->readable, false);
		err = make_anew(c);
	}
	if (err) {
		put_off(c, err);
		ggml_log_internal(GG_LOG_WARN, "%s: %s (%s)\n", c->name, err == -ENODEV ?
				  "it does not come back, the CPU computes until the program ends" : "not well yet", accel_error());
		return;
	}
	c->times_back++;
	c->back_ns = now_ns();
	atomic_store(&c->lost, false);
	ggml_log_internal(GG_LOG_WARN, "%s: well again, and computes\n", c->name);
}

void card_try_again(struct card *c)
{
	if (!is_due(c))
		return;
	pthread_rwlock_wrlock(&c->use);
	if (is_due(c))
		take_back(c);
	pthread_rwlock_unlock(&c->use);
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
