// SPDX-License-Identifier: MIT
/*
 * Choosing the next token.  Candidates stand in one order, largest logit first, of equals the
 * smaller id; their weights are whole numbers, so that no sum depends on an order, and nothing on a
 * machine's libm.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <accel/text.h>
#include <octans/isa.h>

#include "error.h"
#include "fpenv.h"
#include "opts.h"

#define ONE 38 /* a weight of 1 is 2^38: the sum of MOST_LOGITS of them fits 64 bits */
#define MOST_LOGITS (1u << 25)
#define PENALTY_LAST 64
#define PENALTY_MOST (1u << 20)

OPTS_END(accel_sampler_opts, reserved);

struct candidate {
	float logit;
	int32_t id;
};

/* A token among the last ones. */
struct seen {
	int32_t id;
	uint32_t times;
};

struct accel_sampler {
	struct accel_sampler_opts o;
	uint64_t state;			/* of the generator */
	struct candidate *list;		/* [room] */
	uint32_t room;
	int32_t *last;			/* [o.penalty_last] accepted tokens, a ring */
	struct seen *seen;		/* [n_seen] tokens of it, by id */
	uint32_t n_last, at, n_seen;
};

/* ---- making one ---- */

void accel_sampler_defaults(struct accel_sampler_opts *opts)
{
	*opts = (struct accel_sampler_opts) {
		.sz = sizeof(*opts), .temperature = 0.8, .top_k = 40, .top_p = 0.95, .min_p = 0.05,
		.repeat = 1, .penalty_last = PENALTY_LAST,
	};
}

static bool penalises(const struct accel_sampler_opts *o)
{
	return o->repeat != 1 || o->frequency != 0 || o->presence != 0;
}

static int check(struct accel_sampler_opts *o)
{
	const struct {
		const char *name;
		double v;
		bool negative;		/* may be */
	} numbers[] = {
		{ "temperature", o->temperature, true },
		{ "top_p", o->top_p, true },
		{ "min_p", o->min_p, true },
		{ "repeat penalty", o->repeat, false },
		{ "frequency penalty", o->frequency, true },
		{ "presence penalty", o->presence, true },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!isfinite(numbers[i].v) || (numbers[i].v < 0 && !numbers[i].negative))
			return fail(-EINVAL, "the %s is %g, which is not a number%s",
				    numbers[i].name, numbers[i].v,
				    numbers[i].negative ? "" : " of 0 or more");
	if (o->penalty_last > PENALTY_MOST)
		return fail(-EINVAL, "penalties look back %u tokens, above %u", o->penalty_last,
			    PENALTY_MOST);
	if (!o->repeat)
		o->repeat = 1;
	if (!o->penalty_last)
		o->penalty_last = PENALTY_LAST;
	if (!o->top_p)
		o->top_p = 1;
	return 0;
}

int accel_sampler_new(const struct accel_sampler_opts *opts, struct accel_sampler **out)
{
	struct accel_sampler *s;
	struct accel_sampler_opts o;
	int rc;

	*out = NULL;
	rc = opts_read(&o, sizeof(o), opts, "options of a sampler");
	if (!rc)
		rc = opts_zero(o.reserved, "options of a sampler");
	if (!rc)
		rc = check(&o);
	if (rc)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s && penalises(&o)) {
		s->last = calloc(o.penalty_last, sizeof(*s->last));
		s->seen = calloc(o.penalty_last, sizeof(*s->seen));
	}
	if (!s || (penalises(&o) && (!s->last || !s->seen))) {
		accel_sampler_free(s);
		return fail(-ENOMEM, "no memory for a sampler");
	}
	s->o = o;
	s->state = o.seed;
	*out = s;
	return 0;
}

void accel_sampler_free(struct accel_sampler *s)
{
	if (!s)
		return;
	free(s->list);
	free(s->last);
	free(s->seen);
	free(s);
}

/* ---- what was accepted ---- */

/* The place of the id in seen, or where it belongs. */
static uint32_t place(const struct accel_sampler *s, int32_t id)
{
	uint32_t low = 0, high = s->n_seen;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (s->seen[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static uint32_t times(const struct accel_sampler *s, int32_t id)
{
	uint32_t i = place(s, id);

	return i < s->n_seen && s->seen[i].id == id ? s->seen[i].times : 0;
}

static void forget(struct accel_sampler *s, int32_t id)
{
	uint32_t i = place(s, id);

	if (--s->seen[i].times)
		return;
	memmove(s->seen + i, s->seen + i + 1, (--s->n_seen - i) * sizeof(*s->seen));
}

static void remember(struct accel_sampler *s, int32_t id)
{
	uint32_t i = place(s, id);

	if (i < s->n_seen && s->seen[i].id == id) {
		s->seen[i].times++;
		return;
	}
	memmove(s->seen + i + 1, s->seen + i, (s->n_seen++ - i) * sizeof(*s->seen));
	s->seen[i] = (struct seen) { id, 1 };
}

int accel_sampler_accept(struct accel_sampler *s, int32_t id)
{
	if (id < 0)
		return fail(-EINVAL, "%d is not a token", id);
	if (!s->last)
		return 0;
	if (s->n_last == s->o.penalty_last)
		forget(s, s->last[s->at]);
	else
		s->n_last++;
	remember(s, id);
	s->last[s->at] = id;
	s->at = (s->at + 1) % s->o.penalty_last;
	return 0;
}

static float penalised(const struct accel_sampler *s, int32_t id, float logit)
{
	uint32_t n = s->n_seen ? times(s, id) : 0;
	double x = logit;

	if (!n)
		return logit;
	x = x > 0 ? x / s->o.repeat : x * s->o.repeat;
	x -= n * s->o.frequency + s->o.presence;
	return x == x ? (float)x : -INFINITY;	/* an infinite one less an infinite penalty */
}

/* ---- the order ---- */

static bool before(struct candidate a, struct candidate b)
{
	return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

/* A heap of list[n] whose top is the first in the order, or (last) the last. */
static void sift(struct candidate *list, uint32_t n, uint32_t i, bool last)
{
	struct candidate c = list[i];
	uint32_t child;

	while ((child = 2 * i + 1) < n) {
		if (child + 1 < n && before(list[child + 1], list[child]) != last)
			child++;
		if (before(list[child], c) == last)
			break;
		list[i] = list[child];
		i = child;
	}
	list[i] = c;
}

static void heapify(struct candidate *list, uint32_t n, bool last)
{
	for (uint32_t i = n / 2; i--;)
		sift(list, n, i, last);
}

static int by_order(const void *a, const void *b)
{
	struct candidate x = *(const struct candidate *)a, y = *(const struct candidate *)b;

	return before(y, x) - before(x, y);
}

static int reserve(struct accel_sampler *s, uint32_t n)
{
	struct candidate *p;

	if (s->room >= n)
		return 0;
	p = realloc(s->list, n * sizeof(*p));
	if (!p)
		return fail(-ENOMEM, "no memory for choosing among %u logits", n);
	s->list = p;
	s->room = n;
	return 0;
}

/* The k first of the logits into list, in no order; returns how many there are. */
static uint32_t select_top(struct candidate *list, uint32_t k, const float *logits, uint32_t vocab)
{
	uint32_t n = 0, i;

	for (i = 0; i < vocab && n < k; i++)
		if (logits[i] == logits[i])
			list[n++] = (struct candidate) { logits[i], i };
	heapify(list, n, true);
	/* Later ids come after their equals: what is not larger than the last stays out, as NaNs
	 * do. */
	for (; i < vocab; i++)
		if (logits[i] > list[0].logit) {
			list[0] = (struct candidate) { logits[i], i };
			sift(list, n, 0, true);
		}
	return n;
}

/* ---- weights ---- */

/* e^x for x <= 0, to 2^-45 of 1; made of operations that IEEE 754 defines to the bit. */
static double exponential(double x)
{
	static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
	static const double over[] = {	/* factorials */
		1, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320,
		1. / 362880, 1. / 3628800, 1. / 39916800,
	};
	double k, r, sum = 0;
	uint64_t bits;

	if (x < -28)	/* less than half of the smallest weight */
		return 0;
	k = (double)(int)(x * 0x1.71547652b82fep+0 - 0.5);
	r = (x - k * ln2_high) - k * ln2_low;
	for (size_t i = sizeof(over) / sizeof(over[0]); i--;)
		sum = sum * r + over[i];
	bits = (uint64_t)(1023 + (int)k) << 52;
	memcpy(&k, &bits, sizeof(k));
	return sum * k;
}

/* How likely beside the best, which a logit that equals it is, too, if both are infinite. */
static uint64_t weight(double logit, double best, double temperature)
{
	if (logit == best)
		return 1ull << ONE;
	return (uint64_t)(exponential((logit - best) / temperature) * (double)(1ull << ONE) + 0.5);
}

/* splitmix64 (S. Vigna) */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* ---- the steps ---- */

/*
 * Candidates, given in their order or, if they are all, as a heap: next() gives them in their
 * order, and sorts no more than are asked for.
 */
struct source {
	struct candidate *list;
	uint32_t n;
	bool heap;
	uint32_t given;
};

/* The given ones stand behind the heap, in reverse. */
static struct candidate next(struct source *c)
{
	uint32_t left = c->n - c->given++;
	struct candidate first = c->list[0];

	if (!c->heap)
		return c->list[c->given - 1];
	c->list[0] = c->list[left - 1];
	sift(c->list, left - 1, 0, false);
	c->list[left - 1] = first;
	return first;
}

static struct candidate given(const struct source *c, uint32_t i)
{
	return c->list[c->heap ? c->n - 1 - i : i];
}

/* How many of the first top_p and min_p leave. */
static uint32_t keep(const struct accel_sampler_opts *o, struct source *c, float best)
{
	double least = o->min_p * (double)(1ull << ONE), share;
	uint64_t sum = 0, kept = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; o->top_p < 1 && i < c->n; i++)
		sum += weight(c->list[i].logit, best, 1);
	share = o->top_p * (double)sum;
	while (n < c->n) {
		uint64_t w;

		if (o->top_p < 1 && n && (double)kept >= share)
			break;
		w = weight(next(c).logit, best, 1);
		if (n && (double)w < least)
			break;
		kept += w;
		n++;
	}
	return n;
}

static int32_t draw(struct accel_sampler *s, struct source *c, float best)
{
	bool all = s->o.top_p >= 1 && s->o.min_p <= 0;
	uint32_t n = all ? c->n : keep(&s->o, c, best);
	uint64_t sum = 0, u;

	for (uint32_t i = 0; i < n; i++)
		sum += weight((all ? c->list[i] : given(c, i)).logit, best, s->o.temperature);
	u = (uint64_t)((unsigned __int128)next_random(&s->state) * sum >> 64);
	for (uint32_t i = 0;; i++) {
		struct candidate k = i < c->given ? given(c, i) : next(c);
		uint64_t w = weight(k.logit, best, s->o.temperature);

		if (u < w || i + 1 == n)
			return k.id;
		u -= w;
	}
}

/*
 * Without what min_p takes away for certain, so that it need not be put in order; what log() says
 * of the rest is checked again.
 */
static uint32_t drop_unlikely(struct candidate *list, uint32_t n, double min_p)
{
	double best = list[0].logit, least;
	uint32_t kept = 0;

	for (uint32_t i = 1; i < n; i++)
		if (list[i].logit > best)
			best = list[i].logit;
	least = min_p < 1 ? best + log(min_p) - 1 : best;
	for (uint32_t i = 0; i < n; i++)
		if (list[i].logit >= least)
			list[kept++] = list[i];
	return kept;
}

/* From list[n], which holds what is needed, in no order; penalties are in it. */
static int choose(struct accel_sampler *s, uint32_t n, int32_t *id)
{
	struct source c = { .list = s->list, .n = n };
	struct candidate best;

	if (!n)
		return fail(-EDOM, "no logit is a number");
	if (s->o.temperature <= 0) {
		best = s->list[0];
		for (uint32_t i = 1; i < n; i++)
			if (before(s->list[i], best))
				best = s->list[i];
		*id = best.id;
		return 0;
	}
	if (s->o.top_k) {
		qsort(c.list, n, sizeof(*c.list), by_order);
		if (s->o.top_k < n)
			c.n = s->o.top_k;
	} else {
		if (s->o.top_p >= 1 && s->o.min_p > 0)
			c.n = drop_unlikely(c.list, n, s->o.min_p);
		heapify(c.list, c.n, false);
		c.heap = true;
	}
	*id = draw(s, &c, c.list[0].logit);
	return 0;
}

/* Logits without penalties that suffice; 0: all are needed. */
static uint32_t needed(const struct accel_sampler *s, uint32_t vocab)
{
	uint32_t k = s->o.temperature <= 0 ? 1 : s->o.top_k;

	/* What a penalty raises may stand anywhere; what it lowers makes room for as many. */
	if (s->o.repeat < 1 || s->o.frequency < 0 || s->o.presence < 0)
		k = s->n_seen ? 0 : k;
	else if (k)
		k = k > UINT32_MAX - s->n_seen ? UINT32_MAX : k + s->n_seen;
	return k > vocab ? vocab : k;
}

uint32_t accel_sampler_top(const struct accel_sampler *s, uint32_t n_vocab)
{
	uint32_t k = needed(s, n_vocab);

	return k > OCTANS_MAX_TOPK ? 0 : k;
}

int accel_sampler_choose(struct accel_sampler *s, const float *logits, uint32_t n_vocab,
			 int32_t *id)
{
	FP_SCOPE();
	uint32_t k = needed(s, n_vocab), n = 0;

	if (!n_vocab || n_vocab > MOST_LOGITS)
		return fail(-EINVAL, "%u logits to choose from are not 1 to %u", n_vocab,
			    MOST_LOGITS);
	if (reserve(s, k ? k : n_vocab))
		return -ENOMEM;
	if (k && k < n_vocab)
		n = select_top(s->list, k, logits, n_vocab);
	else
		for (uint32_t i = 0; i < n_vocab; i++)
			if (logits[i] == logits[i])
				s->list[n++] = (struct candidate) { logits[i], i };
	for (uint32_t i = 0; s->n_seen && i < n; i++)
		s->list[i].logit = penalised(s, s->list[i].id, s->list[i].logit);
	return choose(s, n, id);
}

int accel_sampler_choose_top(struct accel_sampler *s, const int32_t *ids, const float *logits,
			     uint32_t n, uint32_t n_vocab, int32_t *id)
{
	FP_SCOPE();
	uint32_t k = needed(s, n_vocab), count = 0;

	if (!n || n > MOST_LOGITS || n < (k ? k : n_vocab))
		return fail(-EINVAL, "%u of the %u largest logits are given that choosing needs", n,
			    k ? k : n_vocab);
	if (reserve(s, n))
		return -ENOMEM;
	for (uint32_t i = 0; i < n && logits[i] == logits[i]; i++)
		s->list[count++] = (struct candidate) { penalised(s, ids[i], logits[i]), ids[i] };
	return choose(s, count, id);
}
