// SPDX-License-Identifier: MIT
/* What is asked of a plan, and the shape of steps that follows. */
#include "planner.h"

#include <errno.h>

#include "error.h"
#include "opts.h"

#define DEFAULT_CTX 4096u
#define MAX_FLIGHTS 8u
#define MAX_SEQS 4096u
/* Positions of a page: the table of a sequence is short, and little of a page is left over. */
#define LEAST_PAGE 64u
#define TABLE_PAGES 1024u
/* States of a sequence that are kept beside the newest and the one that is computed. */
#define CHECKPOINTS 6u
#define MAX_CHECKPOINTS 1024u

OPTS_END(accel_plan_opts, reserved);

static int check_kv_type(const struct accel_plan *p, enum accel_kv_type type)
{
	if ((unsigned int)type > ACCEL_KV_Q8_0)
		return fail(-EINVAL, "%d is not a type of KV cache", type);
	for (uint32_t i = 0; i < p->m->n_layers && type == ACCEL_KV_Q8_0; i++)
		if (p->m->layers[i].state.head_dim % 32)
			return fail(-EINVAL, "a KV cache in Q8_0 needs heads of a multiple of 32 elements, this model's have %u: use F16 or F32",
				    p->m->layers[i].state.head_dim);
	return 0;
}

static int check_places(const struct planner *pl)
{
	const struct accel_plan_opts *o = &pl->o;

	if (!o->n_places)
		return 0;
	if (o->n_places != pl->p->m->n_layers || !o->places)
		return fail(-EINVAL, "places of %u layers were given, the model has %u", o->n_places,
			    pl->p->m->n_layers);
	for (uint32_t i = 0; i < o->n_places; i++)
		if (o->places[i] >= ACCEL_PLACE_DEVICE(0) &&
		    o->places[i] - ACCEL_PLACE_DEVICE(0) >= pl->p->n_devices)
			return fail(-EINVAL, "layer %u is to be on processor %u, there are %u", i,
				    o->places[i] - ACCEL_PLACE_DEVICE(0), pl->p->n_devices);
	return 0;
}

static uint32_t log2_of(uint32_t x)
{
	return 31 - __builtin_clz(x);
}

/* Pages of this size, and as many as the caller wants. */
static uint64_t set_pages(struct shape *s, const struct accel_plan_opts *o, uint32_t page_log2)
{
	uint64_t pages;

	s->page_log2 = page_log2;
	pages = o->positions ? (o->positions + (1u << page_log2) - 1) >> page_log2 :
		(uint64_t)shape_seq_pages(s) * s->seqs;
	s->pages = pages < OCTANS_MAX_ROWS ? pages : OCTANS_MAX_ROWS;
	return pages;
}

/* Are they so few that tables of them have the columns that commands take, and that commands which look at all
 * of a sequence, each of its pages as a plane, take so many? */
static bool pages_fit(const struct accel_plan *p)
{
	const uint64_t of_seq = shape_seq_pages(&p->shape);

	for (uint32_t i = 0; i < p->m->n_times; i++)
		if (p->m->by_page[i] && (p->shape.pages > OCTANS_MAX_PLANES || of_seq > OCTANS_MAX_SELECTED ||
					 of_seq * p->m->times[i] > OCTANS_MAX_ROWS))
			return false;
	return of_seq <= OCTANS_MAX_COLS;
}

static int choose_pages(struct accel_plan *p, const struct accel_plan_opts *o)
{
	struct shape *s = &p->shape;
	uint32_t log2 = log2_of(o->page ? o->page : LEAST_PAGE);
	uint64_t pages;

	if (o->page & (o->page - 1) || o->page > 1u << OCTANS_MAX_PAGE_LOG2)
		return fail(-EINVAL, "pages of %u positions cannot be had: it must be a power of two up to %u",
			    o->page, 1u << OCTANS_MAX_PAGE_LOG2);
	pages = set_pages(s, o, log2);
	while (!o->page && log2 < OCTANS_MAX_PAGE_LOG2 && (shape_seq_pages(s) > TABLE_PAGES || !pages_fit(p)))
		pages = set_pages(s, o, ++log2);
	if (pages << log2 > OCTANS_MAX_ROWS || o->positions > OCTANS_MAX_ROWS)
		return fail(-EINVAL, "%llu positions of all sequences are above the limit of %u",
			    o->positions ? (unsigned long long)o->positions :
			    (unsigned long long)pages << log2, OCTANS_MAX_ROWS);
	if (p->m->list && (uint64_t)shape_seq_pages(s) << log2 > OCTANS_MAX_COLS)
		return fail(-EINVAL, "a context of %u positions is above the %u that an indexer can look through", s->ctx,
			    OCTANS_MAX_COLS);
	if (p->m->list > OCTANS_MAX_TOPK && s->ctx > p->m->list)
		return fail(-EINVAL, "of a context of %u positions an indexer would choose %u, at most %u can be chosen: in a context of no more than those all are attended to",
			    s->ctx, p->m->list, OCTANS_MAX_TOPK);
	if (!pages_fit(p))
		return fail(-EINVAL, "pages of %u positions are too small for so many: a sequence would have %u, all together %u; larger ones are fewer",
			    1u << log2, shape_seq_pages(s), s->pages);
	return 0;
}

/* For as many sequences as there are pages for if they are long. */
static int choose_slots(struct accel_plan *p, const struct accel_plan_opts *o)
{
	struct shape *s = &p->shape;
	uint64_t n = s->pages / shape_seq_pages(s);

	if (o->checkpoints > MAX_CHECKPOINTS)
		return fail(-EINVAL, "%u checkpoints of a sequence are above the limit of %u", o->checkpoints,
			    MAX_CHECKPOINTS);
	s->marks = 1 + (o->checkpoints ? o->checkpoints : CHECKPOINTS);
	n = (n > s->seqs ? n : s->seqs) * (s->marks + 1);
	for (uint32_t i = 0; i < p->m->n_layers; i++)
		if (layer_has_state(&p->m->layers[i]))
			s->slots = n < OCTANS_MAX_ROWS ? n : OCTANS_MAX_ROWS;
	return 0;
}

uint32_t plan_flights(uint32_t n)
{
	if (n < 2)
		return 1;
	return n < MAX_FLIGHTS ? n + 1 : MAX_FLIGHTS;
}

int plan_read_opts(struct planner *pl, const struct accel_plan_opts *opts)
{
	const struct accel_model *m = pl->p->m;
	struct accel_plan_opts *o = &pl->o;
	struct shape *s = &pl->p->shape;
	int err = opts_read(o, sizeof(*o), opts, "plan options");

	if (!err)
		err = opts_zero(o->reserved, "plan options");
	if (err)
		return err;
	s->ctx = o->ctx ? o->ctx : m->n_ctx_train < DEFAULT_CTX ? m->n_ctx_train : DEFAULT_CTX;
	s->seqs = o->seqs ? o->seqs : 1;
	s->windows = m->n_windows;
	s->flights = plan_flights(pl->p->n_devices);	/* fewer, if some turn out to have no layers */
	s->kv_type = o->kv_type;
	if ((unsigned int)o->stream > ACCEL_STREAM_ALWAYS)
		return fail(-EINVAL, "%d is no way to keep weights in the host's memory", o->stream);
	if ((unsigned int)o->split > ACCEL_SPLIT_TENSOR)
		return fail(-EINVAL, "%d is no way to divide layers among processors", o->split);
	if (s->ctx > MAX_CTX)
		return fail(-EINVAL, "a context of %u positions is above the limit of %u", s->ctx, MAX_CTX);
	if (s->seqs > MAX_SEQS)
		return fail(-EINVAL, "%u sequences at once are above the limit of %u", s->seqs, MAX_SEQS);
	err = check_kv_type(pl->p, o->kv_type);
	if (!err)
		err = check_places(pl);
	if (!err)
		err = choose_pages(pl->p, o);
	return err ? err : choose_slots(pl->p, o);
}
