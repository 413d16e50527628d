// SPDX-License-Identifier: MIT
/*
 * Passes: what of a step is computed at once.  As many tokens of its inputs as there is room for become the
 * arrays that layers read, and what is wanted of the results goes to the step.
 */
#include "pass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

/* ---- arrays ---- */

int pass_arrays_new(struct pass_arrays *a, const struct shape *s)
{
	a->tokens = calloc(s->batch, sizeof(*a->tokens));
	a->positions = calloc(s->batch, sizeof(*a->positions));
	a->slots = calloc(s->batch, sizeof(*a->slots));
	a->seqs = calloc(s->batch, sizeof(*a->seqs));
	a->ranges = calloc(s->batch, (1 + s->windows) * 2 * sizeof(*a->ranges));
	a->states = calloc(s->batch, 2 * sizeof(*a->states));
	a->wanted = calloc(s->out, sizeof(*a->wanted));
	a->pages = calloc(s->seqs, shape_seq_pages(s) * sizeof(*a->pages));
	a->pages_used = calloc(s->seqs, sizeof(*a->pages_used));
	a->out_in = calloc(s->out, sizeof(*a->out_in));
	a->out_row = calloc(s->out, sizeof(*a->out_row));
	a->shares = calloc(s->seqs, sizeof(*a->shares));
	if (!a->tokens || !a->positions || !a->slots || !a->seqs || !a->ranges || !a->states ||
	    !a->wanted || !a->pages || !a->pages_used || !a->out_in || !a->out_row || !a->shares)
		return fail(-ENOMEM, "no memory for steps of %u tokens", s->batch);
	return 0;
}

void pass_arrays_free(struct pass_arrays *a)
{
	free(a->tokens);
	free(a->positions);
	free(a->slots);
	free(a->seqs);
	free(a->ranges);
	free(a->states);
	free(a->wanted);
	free(a->pages);
	free(a->pages_used);
	free(a->out_in);
	free(a->out_row);
	free(a->shares);
}

/* ---- making ---- */

/* A skipped position has no token; computed anew it is that of any. */
static int32_t token_at(const struct step_input *in, uint32_t pos)
{
	int32_t t = pos < in->seq->n ? in->seq->tokens[pos] : in->tokens[pos - in->seq->n];

	return t < 0 ? 0 : t;
}

/* Are results of the token at pos wanted, and of this kind? */
static bool wants(const struct step_input *in, uint32_t pos, bool top)
{
	if (top)
		return in->want == ACCEL_WANT_TOP && pos + 1 == step_end(in);
	return (in->want == ACCEL_WANT_LAST && pos + 1 == step_end(in)) ||
	       (in->want == ACCEL_WANT_ALL && pos >= in->seq->n);
}

/* How many tokens of an input go into the pass: so many that their results have room. */
static uint32_t share_of(const struct accel_engine *e, const struct step_input *in, const struct pass *p)
{
	uint32_t most = step_end(in) - in->made, out = e->shape.out - p->out, n = 0;

	if (most > e->flights.rows - p->n)
		most = e->flights.rows - p->n;
	for (; n < most; n++) {
		bool top = wants(in, in->made + n, true);

		if (!top && !wants(in, in->made + n, false))
			continue;
		if (!out || (top && p->top_rows == TOP_ROWS))
			break;
		out--;
	}
	return n;
}

static void add_pages(struct accel_engine *e, const struct step_input *in, struct flight *f, uint32_t end)
{
	const uint32_t used = (end + (1u << e->shape.page_log2) - 1) >> e->shape.page_log2;
	int32_t *row = f->arrays.pages + (size_t)f->pass.n_seqs * shape_seq_pages(&e->shape);

	for (uint32_t i = 0; i < used; i++)
		row[i] = in->seq->pages[i];
	f->arrays.pages_used[f->pass.n_seqs] = used;
}

/* The first position that the one at pos attends to. */
static uint32_t window_begin(uint32_t size, uint32_t pos)
{
	return pos + 1 > size ? pos + 1 - size : 0;
}

static void add_ranges(struct accel_engine *e, struct flight *f, uint32_t row, uint32_t pos)
{
	int32_t *range = f->arrays.ranges + 2ull * row;

	range[0] = 0;
	range[1] = pos + 1;
	for (uint32_t w = 0; w < e->m->n_windows; w++) {
		range += 2ull * e->shape.batch;
		range[0] = window_begin(e->m->windows[w], pos);
		range[1] = pos + 1;
	}
}

/* The next tokens of an input; share_of() of them. */
static void add_rows(struct accel_engine *e, struct step_input *in, struct flight *f, uint32_t n)
{
	const uint32_t log2 = e->shape.page_log2;
	struct pass_arrays *a = &f->arrays;
	struct pass *p = &f->pass;

	add_pages(e, in, f, in->made + n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t pos = in->made + i, row = p->n + i;

		a->tokens[row] = token_at(in, pos);
		a->positions[row] = pos;
		a->slots[row] = in->seq->pages[pos >> log2] << log2 | (pos & ((1u << log2) - 1));
		a->seqs[row] = p->n_seqs;
		add_ranges(e, f, row, pos);
		a->states[2 * row] = i ? in->to : in->from;
		a->states[2 * row + 1] = in->to;
		/* counted here, put in order by add_results() */
		p->top_rows += wants(in, pos, true);
		p->out += wants(in, pos, true) || wants(in, pos, false);
	}
	if (in->want == ACCEL_WANT_TOP && in->made + n == step_end(in) && in->top > p->top)
		p->top = in->top;
	load_add(&p->load, e->m, in->made, n);
	a->shares[p->n_seqs] = (struct share) { .in = in, .begin = in->made, .n = n };
	p->n += n;
	p->n_seqs++;
	in->made += n;
	in->from = in->to;
}

/* Rows of which results are wanted: first those whose largest are. */
static void add_results(struct flight *f)
{
	struct pass_arrays *a = &f->arrays;
	uint32_t out = 0;

	for (int whole = 0; whole < 2; whole++) {
		uint32_t row = 0;

		for (uint32_t k = 0; k < f->pass.n_seqs; k++) {
			struct step_input *in = a->shares[k].in;

			for (uint32_t i = 0; i < a->shares[k].n; i++, row++) {
				uint32_t pos = a->shares[k].begin + i;

				if (!wants(in, pos, !whole))
					continue;
				a->wanted[out] = row;
				a->out_in[out] = in;
				a->out_row[out++] = in->want == ACCEL_WANT_ALL ? pos - in->seq->n : 0;
			}
		}
	}
	f->pass.logits = f->pass.out - f->pass.top_rows;
}

bool pass_make(struct accel_engine *e, struct accel_step *step, struct flight *f)
{
	const struct pass_arrays *a = &f->arrays;
	struct pass *p = &f->pass;

	*p = (struct pass) {
		.tokens = a->tokens, .positions = a->positions, .slots = a->slots, .seqs = a->seqs,
		.ranges = a->ranges, .states = e->shape.slots ? a->states : NULL, .wanted = a->wanted,
		.pages = a->pages, .pages_used = a->pages_used,
	};
	for (uint32_t k = 0; k < step->n && p->n_seqs < e->shape.seqs; k++) {
		uint32_t n = share_of(e, &step->in[k], p);

		if (n)
			add_rows(e, &step->in[k], f, n);
	}
	add_results(f);
	p->load.out = p->out;
	return p->n;
}

/* ---- results ---- */

static void take_results(struct accel_engine *e, const struct flight *f, const struct io *io, const float *logits)
{
	const struct pass *p = &f->pass;
	const size_t vocab = e->m->n_vocab, stride = io_top_stride(e->m, p->top);

	for (uint32_t i = 0; i < p->out; i++) {
		struct step_input *in = f->arrays.out_in[i];

		if (i < p->top_rows) {
			memcpy(in->ids, io->top_ids + i * stride, in->top * sizeof(*in->ids));
			memcpy(in->values, io->top_values + i * stride, in->top * sizeof(*in->values));
		} else {
			memcpy(in->logits + f->arrays.out_row[i] * vocab, logits + (i - p->top_rows) * vocab,
			       vocab * sizeof(float));
		}
	}
}

void pass_end(struct accel_engine *e, struct flight *f, const struct io *io, const float *logits)
{
	take_results(e, f, io, logits);
	for (uint32_t k = 0; k < f->pass.n_seqs; k++) {
		const struct share *s = &f->arrays.shares[k];
		struct step_input *in = s->in;

		in->held = s->begin + s->n;
		if (s->begin < in->seq->n)
			e->stats.recomputed += (in->held < in->seq->n ? in->held : in->seq->n) - s->begin;
	}
	e->stats.tokens += f->pass.n;
}
