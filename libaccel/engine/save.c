// SPDX-License-Identifier: MIT
/*
 * Sequences in files.  Little endian: struct header; tokens, i32 each; then, of every layer that keeps any,
 * the keys of all positions and the values of all positions, rows as they are in memory, and states after
 * the last; then a hash of all that, u64.  Pages do not show: what was saved with one size of them is read with
 * another.
 *
 * Nobody waits for a file but who reads or writes it: the baton is held only while a part is copied from or to
 * the pools, which may be elsewhere the next time.  The sequence is busy all the while, so that its tokens and
 * pages stay.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "model/hash.h"
#include "plan/stream.h"

#define MAGIC "OCTSEQ\0\1"
/* Of each weight this much tells models of one shape apart. */
#define SAMPLE 4096u
/* What is copied at once.  Others' steps wait so long: 20 ms, if a card is read at 50 MB/s. */
#define PART (1u << 20)

struct header {
	char magic[8];
	uint32_t numerics;		/* keys and values of others would be other ones */
	uint32_t kv_type;
	uint64_t model;			/* fingerprint */
	uint64_t row_bytes;		/* of a position, in all layers */
	uint64_t state_bytes;		/* of the sequence, in all layers */
	uint32_t positions;
	uint32_t reserved;		/* zero */
};

/* The key is fixed: it is no secret that is kept, but chance that is kept out. */
static const struct hash_key key = { { 0x6f6374616e73, 0x73657175656e6365 } };

/* How positions are told: the same weights may be run with others, and so may contexts of another length. */
static void add_rope(struct hash *h, const struct rope *r, uint32_t ctx)
{
	const float *divisor = r->long_divisor && ctx > r->original ? r->long_divisor : r->divisor;
	const double numbers[] = {
		r->rot, r->half, r->base, r->scale, r->original, r->extrapolate, r->fast, r->slow, r->magnitude,
		r->stretch, r->shrink,
	};

	hash_add(h, numbers, sizeof(numbers));
	if (divisor)
		hash_add(h, divisor, r->rot / 2 * sizeof(*divisor));
}

static void add_table(struct hash *h, const struct table *t, uint32_t ctx)
{
	const double numbers[] = {
		t->kind, t->n, t->temperature.scale, t->temperature.every,
	};

	if (t->kind == TABLE_ROPE)
		add_rope(h, &t->rope, ctx);
	else
		hash_add(h, numbers, sizeof(numbers));
}

/* What else there is to a layer is in its commands, for a step of a fixed shape. */
static int add_layer(struct hash *h, const struct accel_model *m, const struct layer *l)
{
	static const struct places nowhere;
	const struct shape shape = { .ctx = 1, .seqs = 1, .pages = 1, .slots = 1, .batch = 1, .out = 1 };
	struct build b;

	stream_begin(&b, m, &shape, &nowhere);
	layer_record(&b, 0, l, false);
	b.r.base = malloc(b.r.size);
	if (!b.r.base)
		return fail(-ENOMEM, "no memory for %zu bytes of commands", b.r.size);
	b.r.size = 0;
	layer_record(&b, 0, l, false);
	hash_add(h, b.r.base, b.r.size);
	free(b.r.base);
	return 0;
}

static int make_fingerprint(struct accel_engine *e)
{
	struct hash h;
	int err = 0;

	if (e->fingerprint)
		return 0;
	hash_begin(&h, &key);
	for (uint32_t i = 0; i < e->m->n_tables; i++)
		add_table(&h, &e->m->tables[i], e->shape.ctx);
	hash_add(&h, e->m->windows, e->m->n_windows * sizeof(e->m->windows[0]));
	if (e->m->list)			/* of a step of one position there is none */
		hash_add(&h, &e->m->list, sizeof(e->m->list));
	for (uint32_t i = 0; i < e->m->n_layers && !err; i++) {
		err = add_layer(&h, e->m, &e->m->layers[i]);
		for (int k = 0; k < LAYER_WEIGHTS; k++) {
			const struct weight *w = &e->m->layers[i].w[k];
			const uint32_t shape[5] = { i, w->type, w->rows, w->cols, w->planes };

			if (!w->data)
				continue;
			hash_add(&h, shape, sizeof(shape));
			hash_add(&h, w->data, w->size < SAMPLE ? w->size : SAMPLE);
		}
	}
	if (!err)
		e->fingerprint = hash_end(&h) | 1;
	return err;
}

static uint64_t sum_of(const struct accel_engine *e, bool paged)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < e->m->n_layers; i++)
		for (enum keep k = 0; k < KEEP_COUNT; k++)
			if (keep_is_paged(k) == paged)
				sum += keep_row(&e->m->layers[i], k, &e->shape);
	return sum;
}

/* ---- bytes in a file ---- */

struct stream {
	int fd;
	struct hash hash;		/* of what went through */
};

static void begin(struct stream *s, int fd)
{
	s->fd = fd;
	hash_begin(&s->hash, &key);
}

static int put(struct stream *s, const void *data, size_t size)
{
	const uint8_t *p = data;

	hash_add(&s->hash, data, size);
	for (size_t done = 0; done < size;) {
		ssize_t n = write(s->fd, p + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(n ? -errno : -EIO, "the sequence could not be written: %s",
				    n ? strerror(errno) : "nothing was taken");
		done += n;
	}
	return 0;
}

static int get(struct stream *s, void *data, size_t size)
{
	uint8_t *p = data;

	for (size_t done = 0; done < size;) {
		ssize_t n = read(s->fd, p + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(-errno, "the sequence could not be read: %s", strerror(errno));
		if (!n)
			return fail(-EINVAL, "the sequence is cut off");
		done += n;
	}
	hash_add(&s->hash, data, size);
	return 0;
}

/* ---- parts of what is in the pools ---- */

struct part {
	uint64_t begin, end;		/* of the bytes that follow the tokens in the file */
	uint8_t *data;			/* [PART] */
	bool saving;
};

/* n bytes of a pool are those from at on in the file: copies what of them is in the part. */
static void copy_bytes(const struct part *p, uint64_t at, uint8_t *pool, uint64_t n)
{
	uint64_t begin = at > p->begin ? at : p->begin, end = at + n < p->end ? at + n : p->end;
	uint8_t *data = p->data + (begin - p->begin);

	if (begin >= end)
		return;
	pool += begin - at;
	memcpy(p->saving ? data : pool, p->saving ? pool : data, end - begin);
}

/* The same of a page that several cards have parts of. */
static int copy_shared(struct accel_engine *e, const struct part *p, uint64_t at, uint32_t layer, enum keep keep,
		       uint32_t page, uint64_t n)
{
	uint8_t *rows = malloc(keep_row(&e->m->layers[layer], keep, &e->shape) << e->shape.page_log2);
	int err = rows ? shared_page(e, layer, keep, page, rows, true) :
			 fail(-ENOMEM, "no memory for a page of keys or values");

	if (!err)
		copy_bytes(p, at, rows, n);
	if (!err && !p->saving)
		err = shared_page(e, layer, keep, page, rows, false);
	free(rows);
	return err;
}

/* What a sequence has of one pool: its positions, page by page, or its state. */
static int copy_pool(struct accel_engine *e, const struct accel_seq *seq, uint32_t layer, enum keep keep,
		     const struct part *p, uint64_t *at)
{
	const uint64_t row = keep_row(&e->m->layers[layer], keep, &e->shape), begin = *at;
	const uint64_t page = row << e->shape.page_log2, bytes = keep_is_paged(keep) ? seq->n * row : row;
	const bool shared = e->layers[layer].shared;
	uint8_t *pool = NULL;
	int err;

	*at += bytes;
	if (!bytes || begin >= p->end || *at <= p->begin)
		return 0;
	err = shared ? 0 : engine_pool(e, layer, keep, &pool);
	if (err)
		return err;
	if (!keep_is_paged(keep)) {
		copy_bytes(p, begin, pool + row * seq->marks[seq->n_marks - 1].slot, row);
		return 0;
	}
	for (uint64_t i = p->begin > begin ? (p->begin - begin) / page : 0; i * page < bytes; i++) {
		if (begin + i * page >= p->end)
			break;
		const uint64_t n = bytes - i * page < page ? bytes - i * page : page;

		if (shared)
			err = copy_shared(e, p, begin + i * page, layer, keep, seq->pages[i], n);
		else
			copy_bytes(p, begin + i * page, pool + seq->pages[i] * page, n);
		if (err)
			break;
	}
	return err;
}

static int copy_part(struct accel_engine *e, const struct accel_seq *seq, const struct part *p)
{
	uint64_t at = 0;
	int err = 0;

	for (uint32_t i = 0; i < e->m->n_layers && !err; i++)
		for (enum keep k = 0; k < KEEP_COUNT && !err; k++)
			err = copy_pool(e, seq, i, k, p, &at);
	return err;
}

static bool next_part(struct part *p, uint64_t bytes)
{
	p->begin = p->end;
	p->end = bytes - p->begin < PART ? bytes : p->begin + PART;
	return p->begin < p->end;
}

static int begin_parts(struct part *p, bool saving)
{
	*p = (struct part) { .data = malloc(PART), .saving = saving };
	return p->data ? 0 : fail(-ENOMEM, "no memory for a sequence's file");
}

/* Of the pools. */
static uint64_t pool_bytes(const struct header *h)
{
	return h->positions ? h->positions * h->row_bytes + h->state_bytes : 0;
}

/* ---- saving ---- */

static int make_header(struct accel_engine *e, const struct accel_seq *seq, struct header *h)
{
	int err;

	baton_take(e);
	err = engine_usable(e);
	if (!err)
		err = make_fingerprint(e);
	if (!err)
		*h = (struct header) {
			.magic = MAGIC, .numerics = accel_numerics(), .kv_type = e->shape.kv_type,
			.model = e->fingerprint, .row_bytes = sum_of(e, true),
			.state_bytes = sum_of(e, false), .positions = seq->n,
		};
	baton_pass(e);
	return err;
}

/* A processor may have taken keys and values with it, also while they were copied; computed anew, here or by
 * others, they are the same, so the parts before stay good. */
static int take_part(struct accel_engine *e, struct accel_seq *seq, const struct part *p)
{
	int err;

	baton_take(e);
	do {
		err = engine_usable(e);
		if (!err)
			err = step_restore(e, seq);
		if (!err)
			err = copy_part(e, seq, p);
		if (!err)
			err = cards_check(e);
	} while (err > 0);
	baton_pass(e);
	return err;
}

static int save_parts(struct accel_engine *e, struct accel_seq *seq, struct stream *s, uint64_t bytes)
{
	struct part p;
	int err = begin_parts(&p, true);

	while (!err && next_part(&p, bytes)) {
		err = take_part(e, seq, &p);
		if (!err)
			err = put(s, p.data, p.end - p.begin);
	}
	free(p.data);
	return err;
}

static int save(struct accel_engine *e, struct accel_seq *seq, int fd)
{
	struct stream s;
	struct header h;
	uint64_t hash;
	int err = make_header(e, seq, &h);

	begin(&s, fd);
	if (!err)
		err = put(&s, &h, sizeof(h));
	if (!err)
		err = put(&s, seq->tokens, seq->n * sizeof(*seq->tokens));
	if (!err)
		err = save_parts(e, seq, &s, pool_bytes(&h));
	hash = hash_end(&s.hash);
	return err ? err : put(&s, &hash, sizeof(hash));
}

int accel_seq_save(struct accel_seq *seq, int fd)
{
	int err = seq_claim(seq);

	if (err)
		return err;
	err = save(seq->engine, seq, fd);
	seq_release(seq);
	return err;
}

/* ---- loading ---- */

static int check(struct accel_engine *e, const struct header *h)
{
	if (memcmp(h->magic, MAGIC, sizeof(h->magic)))
		return fail(-EINVAL, "this is not a saved sequence");
	if (h->numerics != accel_numerics())
		return fail(-EINVAL, "the sequence was computed by version %u of the numerics, not %u",
			    h->numerics, accel_numerics());
	if (h->model != e->fingerprint)
		return fail(-EINVAL, "the sequence is of another model");
	if (h->kv_type != e->shape.kv_type || h->row_bytes != sum_of(e, true) ||
	    h->state_bytes != sum_of(e, false) || h->reserved)
		return fail(-EINVAL, "the sequence was saved with another type of keys and values");
	if (h->positions > e->shape.ctx)
		return fail(-ENOSPC, "the sequence has %u positions, the context %u", h->positions,
			    e->shape.ctx);
	return 0;
}

static int check_end(struct accel_engine *e, struct stream *s, const struct accel_seq *seq)
{
	const uint64_t expected = hash_end(&s->hash);
	uint64_t hash;
	int err = get(s, &hash, sizeof(hash));

	if (err)
		return err;
	if (hash != expected)
		return fail(-EINVAL, "the sequence is damaged: its hash does not agree");
	for (uint32_t i = 0; i < seq->n; i++)
		if (seq->tokens[i] < -1 || seq->tokens[i] >= (int32_t)e->n_tokens)
			return fail(-EINVAL, "the sequence is damaged: token %d is not in the vocabulary",
				    seq->tokens[i]);
	return 0;
}

/* Pages for n positions; the sequence is not to be seen until it is whole. */
static int make_room(struct accel_engine *e, struct accel_seq *seq, uint32_t n)
{
	struct page_move none;		/* it has no page yet */
	int32_t slot = -1;
	int err;

	pthread_mutex_lock(&e->lock);
	seq->busy = true;
	err = seq_grow(seq, n);
	if (!err)
		err = seq_reserve(seq, n, &none);
	if (!err)
		err = mark_room(seq, 1);
	if (!err && n)
		err = mark_take(seq, &slot);
	if (!err) {
		seq->n = n;
		mark_add(seq, n, slot);
	}
	pthread_mutex_unlock(&e->lock);
	return err;
}

/* *losses: as it was when there was room. */
static int load_header(struct accel_engine *e, struct accel_seq *seq, const struct header *h, uint32_t *losses)
{
	int err;

	baton_take(e);
	*losses = e->stats.fallbacks;
	err = engine_usable(e);
	if (!err)
		err = make_fingerprint(e);
	if (!err)
		err = check(e, h);
	if (!err)
		err = make_room(e, seq, h->positions);
	baton_pass(e);
	return err;
}

/* If a processor has failed since there was room, what was loaded is lost, and the state's slot may be another's:
 * the rest is only read, and the sequence is computed from its tokens when that is needed. */
static int give_part(struct accel_engine *e, struct accel_seq *seq, const struct part *p, uint32_t losses)
{
	int err;

	baton_take(e);
	err = engine_usable(e);
	if (!err && e->stats.fallbacks == losses)
		err = copy_part(e, seq, p);
	baton_pass(e);
	return err;
}

static int load_parts(struct accel_engine *e, struct accel_seq *seq, struct stream *s, uint64_t bytes,
		      uint32_t losses)
{
	struct part p;
	int err = begin_parts(&p, false);

	while (!err && next_part(&p, bytes)) {
		err = get(s, p.data, p.end - p.begin);
		if (!err)
			err = give_part(e, seq, &p, losses);
	}
	free(p.data);
	return err;
}

static void finish(struct accel_engine *e, struct accel_seq *seq, int err, uint32_t losses)
{
	baton_take(e);
	pthread_mutex_lock(&e->lock);
	seq->busy = false;
	if (!err && e->stats.fallbacks == losses)
		seq_filled(seq, seq->n);
	pthread_mutex_unlock(&e->lock);
	baton_pass(e);
}

static int load(struct accel_engine *e, struct accel_seq *seq, int fd)
{
	uint32_t losses = 0;
	struct stream s;
	struct header h;
	int err;

	begin(&s, fd);
	err = get(&s, &h, sizeof(h));
	if (!err)
		err = load_header(e, seq, &h, &losses);
	if (!err)
		err = get(&s, seq->tokens, seq->n * sizeof(*seq->tokens));
	if (!err)
		err = load_parts(e, seq, &s, pool_bytes(&h), losses);
	if (!err)
		err = check_end(e, &s, seq);
	finish(e, seq, err, losses);
	return err;
}

int accel_seq_load(struct accel_engine *e, int fd, struct accel_seq **out)
{
	struct accel_seq *seq;
	int err = accel_seq_new(e, &seq);

	*out = NULL;
	if (err)
		return err;
	err = load(e, seq, fd);
	if (err)
		accel_seq_free(seq);
	else
		*out = seq;
	return err;
}
