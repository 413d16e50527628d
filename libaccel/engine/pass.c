// SPDX-License-Identifier: MIT
/*
 * Passes: what of a step is computed at once.  As many tokens of its inputs as there is room for become the
 * arrays that layers read, all layers run on them, and what is wanted of the results goes to the step.
 */
#include "pass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "model/gguf.h"

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
	if (!a->tokens || !a->positions || !a->slots || !a->seqs || !a->ranges || !a->states ||
	    !a->wanted || !a->pages || !a->pages_used || !a->out_in || !a->out_row)
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
	uint32_t most = step_end(in) - in->held, out = e->shape.out - p->out, n = 0;

	if (most > e->shape.batch - p->n)
		most = e->shape.batch - p->n;
	for (; n < most; n++) {
		bool top = wants(in, in->held + n, true);

		if (!top && !wants(in, in->held + n, false))
			continue;
		if (!out || (top && p->top_rows == TOP_ROWS))
			break;
		out--;
	}
	return n;
}

static void add_pages(struct accel_engine *e, const struct step_input *in, struct pass *p, uint32_t end)
{
	const uint32_t used = (end + (1u << e->shape.page_log2) - 1) >> e->shape.page_log2;
	int32_t *row = e->arrays.pages + (size_t)p->n_seqs * shape_seq_pages(&e->shape);

	for (uint32_t i = 0; i < used; i++)
		row[i] = in->seq->pages[i];
	e->arrays.pages_used[p->n_seqs] = used;
}

/* The first position that the one at pos attends to. */
static uint32_t window_begin(uint32_t size, uint32_t pos)
{
	return pos + 1 > size ? pos + 1 - size : 0;
}

static void add_ranges(struct accel_engine *e, uint32_t row, uint32_t pos)
{
	int32_t *range = e->arrays.ranges + 2ull * row;

	range[0] = 0;
	range[1] = pos + 1;
	for (uint32_t w = 0; w < e->m->n_windows; w++) {
		range += 2ull * e->shape.batch;
		range[0] = window_begin(e->m->windows[w], pos);
		range[1] = pos + 1;
	}
}

/* The next tokens of an input; share_of() of them. */
static void add_rows(struct accel_engine *e, struct step_input *in, struct pass *p, uint32_t n)
{
	struct pass_arrays *a = &e->arrays;
	const uint32_t log2 = e->shape.page_log2;

	add_pages(e, in, p, in->held + n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t pos = in->held + i, row = p->n + i;

		a->tokens[row] = token_at(in, pos);
		a->positions[row] = pos;
		a->slots[row] = in->seq->pages[pos >> log2] << log2 | (pos & ((1u << log2) - 1));
		a->seqs[row] = p->n_seqs;
		add_ranges(e, row, pos);
		a->states[2 * row] = i ? in->to : in->from;
		a->states[2 * row + 1] = in->to;
		/* counted here, put in order by add_results() */
		p->top_rows += wants(in, pos, true);
		p->out += wants(in, pos, true) || wants(in, pos, false);
	}
	if (in->want == ACCEL_WANT_TOP && in->held + n == step_end(in) && in->top > p->top)
		p->top = in->top;
	load_add(&p->load, e->m, in->held, n);
	p->n += n;
	p->n_seqs++;
}

/* Rows of which results are wanted: first those whose largest are. */
static void add_results(struct accel_engine *e, struct accel_step *step, struct pass *p)
{
	struct pass_arrays *a = &e->arrays;
	uint32_t out = 0;

	for (int whole = 0; whole < 2; whole++) {
		uint32_t row = 0;

		for (uint32_t k = 0; k < step->n; k++) {
			struct step_input *in = &step->in[k];

			for (uint32_t i = 0; i < in->took; i++, row++) {
				uint32_t pos = in->held + i;

				if (!wants(in, pos, !whole))
					continue;
				a->wanted[out] = row;
				a->out_in[out] = in;
				a->out_row[out++] = in->want == ACCEL_WANT_ALL ? pos - in->seq->n : 0;
			}
		}
	}
	p->logits = p->out - p->top_rows;
}

/* False: all is computed. */
static bool make_pass(struct accel_engine *e, struct accel_step *step, struct pass *p)
{
	const struct pass_arrays *a = &e->arrays;

	*p = (struct pass) {
		.tokens = a->tokens, .positions = a->positions, .slots = a->slots, .seqs = a->seqs,
		.ranges = a->ranges, .states = e->shape.slots ? a->states : NULL, .wanted = a->wanted,
		.pages = a->pages, .pages_used = a->pages_used,
	};
	for (uint32_t k = 0; k < step->n; k++) {
		struct step_input *in = &step->in[k];

		in->took = p->n_seqs < e->shape.seqs ? share_of(e, in, p) : 0;
		if (in->took)
			add_rows(e, in, p, in->took);
	}
	add_results(e, step, p);
	p->load.out = p->out;
	return p->n;
}

/* ---- computing ---- */

static const struct io *io_of(const struct accel_engine *e, int32_t device)
{
	return device < 0 ? exec_cpu_io(e->cpu) : exec_dev_io(e->cards[device].exec);
}

/* Weights of layers on the CPU are read from the file in each pass: it must have stayed what it was. */
static int weights_intact(const struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (e->layers[i].device < 0)
			return gguf_intact(e->m->file);
	return 0;
}

/* Whose failure is it?  What was stopped did not fail: whoever stopped it knows why. */
static int failed(struct accel_engine *e, int32_t device, int err)
{
	int stopped;

	if (device >= 0 && exec_dev_blamed(e->cards[device].exec)) {
		e->failed_card = device;
		return err;
	}
	stopped = err == -ECANCELED ? engine_stopped(e) : 0;
	return stopped ? stopped : err;
}

/* Runs all layers on the pass. */
static int run_layers(struct accel_engine *e, const struct pass *p)
{
	const uint32_t n = e->m->n_layers;
	const struct io *before = NULL;
	int err = weights_intact(e);

	e->failed_card = -1;
	if (err)
		return err;
	e->stats.block_bytes = 0;
	for (int32_t d = -1; d < (int32_t)e->n_cards; d++)
		if (d < 0 || e->cards[d].exec) {
			size_t bytes = io_write(io_of(e, d), e->m, &e->shape, p);

			if (d >= 0 || !e->stats.block_bytes)
				e->stats.block_bytes = bytes;
		}
	for (uint32_t i = 0, end; i < n; i = end) {
		int32_t device = e->layers[i].device;
		const struct io *io = io_of(e, device);

		err = engine_stopped(e);
		if (err)
			return err;
		if (before)
			memcpy(io->x, before->x, sizeof(float) * p->n * e->m->n_embd);
		err = device < 0 ? exec_cpu_run(e->cpu, i) : exec_dev_run(e->cards[device].exec, i, p);
		if (err)
			return failed(e, device, err);
		before = io;
		end = i + 1;
		while (end < n && e->layers[end].device == device)
			end++;
	}
	return weights_intact(e);
}

static void take_results(struct accel_engine *e, const struct pass *p)
{
	int32_t device = e->layers[e->m->n_layers - 1].device;
	const struct io *io = io_of(e, device);
	const float *logits = device < 0 ? exec_cpu_logits(e->cpu, p) : io->logits;
	const size_t vocab = e->m->n_vocab, stride = io_top_stride(e->m, p->top);

	for (uint32_t i = 0; i < p->out; i++) {
		struct step_input *in = e->arrays.out_in[i];

		if (i < p->top_rows) {
			memcpy(in->ids, io->top_ids + i * stride, in->top * sizeof(*in->ids));
			memcpy(in->values, io->top_values + i * stride, in->top * sizeof(*in->values));
		} else {
			memcpy(in->logits + e->arrays.out_row[i] * vocab, logits + (i - p->top_rows) * vocab,
			       vocab * sizeof(float));
		}
	}
}

/* The pass is computed. */
static void advance(struct accel_engine *e, struct accel_step *step)
{
	for (uint32_t k = 0; k < step->n; k++) {
		struct step_input *in = &step->in[k];
		uint32_t begin = in->held;

		in->held += in->took;
		if (in->took)
			in->from = in->to;
		if (begin < in->seq->n)
			e->stats.recomputed += (in->held < in->seq->n ? in->held : in->seq->n) - begin;
	}
}

int passes_run(struct accel_engine *e, struct accel_step *step)
{
	struct pass p;

	while (make_pass(e, step, &p)) {
		int err = run_layers(e, &p);

		if (err)
			return err;
		take_results(e, &p);
		advance(e, step);
		e->stats.tokens += p.n;
	}
	return 0;
}
