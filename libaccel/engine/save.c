// SPDX-License-Identifier: MIT
/*
 * Sequences in files.  Little endian: struct header; tokens, i32 each; then, of every layer that keeps any,
 * the keys of all positions and the values of all positions, rows as they are in memory, and states after
 * the last; then a hash of all that, u64.  Pages do not show: what was saved with one size of them is read with another.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "model/hash.h"
#include "plan/stream.h"

#define MAGIC "OCTSEQ\0\1"
/* Of Documentation/hardware/numerics.rst: keys and values of another would be other ones. */
#define NUMERICS 1u
/* Of each weight this much tells models of one shape apart. */
#define SAMPLE 4096u
#define CHUNK (1u << 20)

struct header {
	char magic[8];
	uint32_t numerics;
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
	};

	hash_add(h, numbers, sizeof(numbers));
	if (divisor)
		hash_add(h, divisor, r->rot / 2 * sizeof(*divisor));
}

/* What else there is to a layer is in its commands, for a step of a fixed shape. */
static int add_layer(struct hash *h, const struct layer *l)
{
	static const struct places nowhere;
	const struct shape shape = { .ctx = 1, .seqs = 1, .pages = 1, .slots = 1, .batch = 1, .out = 1 };
	struct build b;

	stream_begin(&b, &shape, &nowhere);
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
	for (uint32_t i = 0; i < e->m->n_ropes; i++)
		add_rope(&h, &e->m->ropes[i], e->shape.ctx);
	for (uint32_t i = 0; i < e->m->n_layers && !err; i++) {
		err = add_layer(&h, &e->m->layers[i]);
		for (int k = 0; k < LAYER_WEIGHTS; k++) {
			const struct weight *w = &e->m->layers[i].w[k];
			const uint32_t shape[4] = { i, w->type, w->rows, w->cols };

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
	bool writing;
	struct hash hash;
	uint8_t *chunk;			/* [CHUNK] */
	size_t n;			/* bytes in it; reading: that were read ... */
	size_t at;			/* ... and are used up */
};

static int flush(struct stream *s)
{
	for (size_t done = 0; done < s->n;) {
		ssize_t n = write(s->fd, s->chunk + done, s->n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(n ? -errno : -EIO, "the sequence could not be written: %s",
				    n ? strerror(errno) : "nothing was taken");
		done += n;
	}
	s->n = 0;
	return 0;
}

/* left: bytes that are still to come, so that none of what follows in the file is taken. */
static int fill(struct stream *s, uint64_t left)
{
	ssize_t n;

	do {
		n = read(s->fd, s->chunk, left < CHUNK ? left : CHUNK);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail(-errno, "the sequence could not be read: %s", strerror(errno));
	if (!n)
		return fail(-EINVAL, "the sequence is cut off");
	s->n = n;
	s->at = 0;
	return 0;
}

static int pass_bytes(struct stream *s, void *data, size_t n, uint64_t *left)
{
	uint8_t *p = data;
	int err = 0;

	if (s->writing)
		hash_add(&s->hash, data, n);
	for (size_t done = 0, part; done < n && !err; done += part) {
		if (s->writing && s->n == CHUNK)
			err = flush(s);
		else if (!s->writing && s->at == s->n)
			err = fill(s, *left);
		if (err)
			break;
		part = s->writing ? CHUNK - s->n : s->n - s->at;
		if (part > n - done)
			part = n - done;
		if (s->writing) {
			memcpy(s->chunk + s->n, p + done, part);
			s->n += part;
		} else {
			memcpy(p + done, s->chunk + s->at, part);
			s->at += part;
		}
		*left -= part;
	}
	if (!err && !s->writing)
		hash_add(&s->hash, data, n);
	return err;
}

/* What a sequence has of one pool: its positions, page by page, or its state. */
static int pass_pool(struct accel_engine *e, struct stream *s, const struct accel_seq *seq, uint32_t layer,
		     enum keep keep, uint64_t *left)
{
	const size_t row = keep_row(&e->m->layers[layer], keep, &e->shape);
	const uint32_t page = 1u << e->shape.page_log2;
	uint8_t *pool = row && seq->n ? engine_pool(e, layer, keep) : NULL;
	int err = 0;

	if (!row || !seq->n)
		return 0;
	if (!pool)
		return -ENOMEM;
	if (!keep_is_paged(keep))
		return pass_bytes(s, pool + row * seq->marks[seq->n_marks - 1].slot, row, left);
	for (uint32_t i = 0; i < seq->n_pages && i * page < seq->n && !err; i++) {
		uint32_t here = seq->n - i * page < page ? seq->n - i * page : page;

		err = pass_bytes(s, pool + (size_t)seq->pages[i] * page * row, here * row, left);
	}
	return err;
}

static int pass_body(struct accel_engine *e, struct stream *s, struct accel_seq *seq, uint64_t *left)
{
	int err = pass_bytes(s, seq->tokens, seq->n * sizeof(*seq->tokens), left);

	for (uint32_t i = 0; i < e->m->n_layers && !err; i++)
		for (enum keep k = 0; k < KEEP_COUNT && !err; k++)
			err = pass_pool(e, s, seq, i, k, left);
	return err;
}

static uint64_t body_bytes(const struct header *h)
{
	return h->positions * (h->row_bytes + sizeof(int32_t)) + (h->positions ? h->state_bytes : 0);
}

static int begin(struct stream *s, int fd, bool writing)
{
	*s = (struct stream) { .fd = fd, .writing = writing, .chunk = malloc(CHUNK) };
	hash_begin(&s->hash, &key);
	return s->chunk ? 0 : fail(-ENOMEM, "no memory for a sequence's file");
}

/* ---- saving ---- */

static int save(struct accel_engine *e, struct accel_seq *seq, int fd)
{
	struct header h = {
		.magic = MAGIC, .numerics = NUMERICS, .kv_type = e->shape.kv_type, .model = e->fingerprint,
		.row_bytes = sum_of(e, true), .state_bytes = sum_of(e, false), .positions = seq->n,
	};
	uint64_t left = UINT64_MAX, hash;
	struct stream s;
	int err = begin(&s, fd, true);

	if (!err)
		err = pass_bytes(&s, &h, sizeof(h), &left);
	if (!err)
		err = pass_body(e, &s, seq, &left);
	if (!err)
		err = engine_check_cards(e);
	if (err > 0)
		err = fail(-EIO, "a processor failed while the sequence was saved: save it again");
	hash = hash_end(&s.hash);
	if (!err)
		err = pass_bytes(&s, &hash, sizeof(hash), &left);
	if (!err)
		err = flush(&s);
	free(s.chunk);
	return err;
}

int accel_seq_save(struct accel_seq *seq, int fd)
{
	struct accel_engine *e = seq->engine;
	int err;

	pthread_mutex_lock(&e->baton);
	err = seq_claim(seq);
	if (!err) {
		do {	/* a processor may have taken keys and values with it */
			err = step_restore(e, seq);
			if (!err)
				err = engine_check_cards(e);
		} while (err > 0);
		if (!err)
			err = make_fingerprint(e);
		if (!err)
			err = save(e, seq, fd);
		seq_release(seq);
	}
	pthread_mutex_unlock(&e->baton);
	return err;
}

/* ---- loading ---- */

static int check(struct accel_engine *e, const struct header *h)
{
	if (memcmp(h->magic, MAGIC, sizeof(h->magic)))
		return fail(-EINVAL, "this is not a saved sequence");
	if (h->numerics != NUMERICS)
		return fail(-EINVAL, "the sequence was computed by version %u of the numerics, not %u",
			    h->numerics, NUMERICS);
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

static int check_body(struct accel_engine *e, struct stream *s, const struct accel_seq *seq, uint64_t *left)
{
	const uint64_t expected = hash_end(&s->hash);
	uint64_t hash;
	int err = pass_bytes(s, &hash, sizeof(hash), left);

	if (err)
		return err;
	if (hash != expected)
		return fail(-EINVAL, "the sequence is damaged: its hash does not agree");
	for (uint32_t i = 0; i < seq->n; i++)
		if (seq->tokens[i] < -1 || seq->tokens[i] >= (int32_t)e->m->n_vocab)
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

static int load(struct accel_engine *e, struct accel_seq *seq, int fd)
{
	uint64_t left = sizeof(struct header);
	struct header h;
	struct stream s;
	int err = begin(&s, fd, false);

	if (!err)
		err = make_fingerprint(e);
	if (!err)
		err = pass_bytes(&s, &h, sizeof(h), &left);
	if (!err)
		err = check(e, &h);
	if (!err)
		err = make_room(e, seq, h.positions);
	left = err ? 0 : body_bytes(&h) + sizeof(uint64_t);
	if (!err)
		err = pass_body(e, &s, seq, &left);
	if (!err)
		err = check_body(e, &s, seq, &left);
	free(s.chunk);
	return err;
}

int accel_seq_load(struct accel_engine *e, int fd, struct accel_seq **out)
{
	struct accel_seq *seq;
	int err = accel_seq_new(e, &seq);

	*out = NULL;
	if (err)
		return err;
	pthread_mutex_lock(&e->baton);
	err = load(e, seq, fd);
	pthread_mutex_lock(&e->lock);
	seq->busy = false;
	if (!err)
		seq_filled(seq, seq->n);
	pthread_mutex_unlock(&e->lock);
	pthread_mutex_unlock(&e->baton);
	if (err)
		accel_seq_free(seq);
	else
		*out = seq;
	return err;
}
