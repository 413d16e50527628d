// SPDX-License-Identifier: MIT
/* Steps: inputs cut into passes, computed, and what then becomes of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine.h"
#include "model/gguf.h"

/* ---- passes ---- */

int step_arrays_new(struct accel_engine *e)
{
	const struct shape *s = &e->shape;
	struct pass_arrays *a = &e->arrays;

	a->tokens = calloc(s->batch, sizeof(*a->tokens));
	a->positions = calloc(s->batch, sizeof(*a->positions));
	a->slots = calloc(s->batch, sizeof(*a->slots));
	a->seqs = calloc(s->batch, sizeof(*a->seqs));
	a->ranges = calloc(s->batch, 2 * sizeof(*a->ranges));
	a->states = calloc(s->batch, 2 * sizeof(*a->states));
	a->wanted = calloc(s->out, sizeof(*a->wanted));
	a->pages = calloc(s->seqs, shape_seq_pages(s) * sizeof(*a->pages));
	a->pages_used = calloc(s->seqs, sizeof(*a->pages_used));
	a->out_in = calloc(s->out, sizeof(*a->out_in));
	a->out_row = calloc(s->out, sizeof(*a->out_row));
	if (!a->tokens || !a->positions || !a->slots || !a->seqs || !a->ranges || !a->states ||
	    !a->wanted || !a->pages ||
	    !a->pages_used || !a->out_in || !a->out_row)
		return fail(-ENOMEM, "no memory for steps of %u tokens", s->batch);
	return 0;
}

void step_arrays_free(struct accel_engine *e)
{
	struct pass_arrays *a = &e->arrays;

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

/* Positions that an input ends with. */
static uint32_t end_of(const struct step_input *in)
{
	return in->seq->n + in->n;
}

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
		return in->want == ACCEL_WANT_TOP && pos + 1 == end_of(in);
	return (in->want == ACCEL_WANT_LAST && pos + 1 == end_of(in)) ||
	       (in->want == ACCEL_WANT_ALL && pos >= in->seq->n);
}

/* How many tokens of an input go into the pass: so many that their results have room. */
static uint32_t share_of(const struct accel_engine *e, const struct step_input *in, const struct pass *p)
{
	uint32_t most = end_of(in) - in->held, out = e->shape.out - p->out, n = 0;

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
		a->ranges[2 * row] = 0;
		a->ranges[2 * row + 1] = pos + 1;
		a->states[2 * row] = i ? in->to : in->from;
		a->states[2 * row + 1] = in->to;
		p->load.pairs += pos + 1;
		/* counted here, put in order by add_results() */
		p->top_rows += wants(in, pos, true);
		p->out += wants(in, pos, true) || wants(in, pos, false);
	}
	if (in->want == ACCEL_WANT_TOP && in->held + n == end_of(in) && in->top > p->top)
		p->top = in->top;
	p->load.positions += in->held + n;
	p->n += n;
	p->n_seqs++;
}

/* Rows of which results are wanted: first those whose largest are. */
static void add_results(struct accel_engine *e, struct accel_step *step, const uint32_t *took,
			struct pass *p)
{
	struct pass_arrays *a = &e->arrays;
	uint32_t out = 0;

	for (int whole = 0; whole < 2; whole++) {
		uint32_t row = 0;

		for (uint32_t k = 0; k < step->n; k++) {
			struct step_input *in = &step->in[k];

			for (uint32_t i = 0; i < took[k]; i++, row++) {
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

/* False: all is computed.  took[step->n]: tokens of each input. */
static bool make_pass(struct accel_engine *e, struct accel_step *step, uint32_t *took, struct pass *p)
{
	const struct pass_arrays *a = &e->arrays;

	*p = (struct pass) {
		.tokens = a->tokens, .positions = a->positions, .slots = a->slots, .seqs = a->seqs,
		.ranges = a->ranges, .states = e->shape.slots ? a->states : NULL, .wanted = a->wanted, .pages = a->pages, .pages_used = a->pages_used,
	};
	for (uint32_t k = 0; k < step->n; k++) {
		struct step_input *in = &step->in[k];

		took[k] = p->n_seqs < e->shape.seqs ? share_of(e, in, p) : 0;
		if (took[k])
			add_rows(e, in, p, took[k]);
	}
	add_results(e, step, took, p);
	p->load.rows = p->n;
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
			size_t bytes = io_write(io_of(e, d), &e->shape, p);

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

static int run_passes(struct accel_engine *e, struct accel_step *step, uint32_t *took)
{
	struct pass p;
	int err = 0;

	while (!err && make_pass(e, step, took, &p)) {
		err = run_layers(e, &p);
		if (err)
			break;
		take_results(e, &p);
		for (uint32_t k = 0; k < step->n; k++) {
			struct step_input *in = &step->in[k];
			uint32_t begin = in->held;

			in->held += took[k];
			if (took[k])
				in->from = in->to;
			if (begin < in->seq->n)
				e->stats.recomputed += (in->held < in->seq->n ? in->held : in->seq->n) - begin;
		}
		e->stats.tokens += p.n;
	}
	return err;
}

/* Where each input begins: what its sequence holds need not be computed. */
static void begin_inputs(struct accel_engine *e, struct accel_step *step)
{
	pthread_mutex_lock(&e->lock);
	for (uint32_t k = 0; k < step->n; k++) {
		struct step_input *in = &step->in[k];

		in->held = seq_held(in->seq, in->seq->n);
		in->from = mark_before(in->seq, &(uint32_t) { in->held });
	}
	pthread_mutex_unlock(&e->lock);
}

/* What a failed run comes to: 0, try again; or the error that the step ends with. */
static int after_failure(struct accel_engine *e, int err)
{
	struct card *c = e->failed_card < 0 ? NULL : &e->cards[e->failed_card];

	if (!c)
		return err;		/* the CPU, the host, or it was stopped */
	if (e->opts.strict)
		return err;
	/* Another client's failure: once more, on a new queue. */
	if (err == -ECANCELED && c->dropped++ < 2 && !exec_dev_renew(c->exec))
		return 0;
	return engine_fall_back(e, e->failed_card, err);
}

static int compute(struct accel_engine *e, struct accel_step *step, uint32_t *took)
{
	int err;

	do {
		begin_inputs(e, step);
		err = run_passes(e, step, took);
	} while (err && !(err = after_failure(e, err)));
	for (uint32_t i = 0; i < e->n_cards && !err; i++)
		e->cards[i].dropped = 0;
	return err;
}

static int reserve_for(struct accel_engine *e, struct step_input *in)
{
	struct page_move move = { 0 };
	int err;

	pthread_mutex_lock(&e->lock);
	err = seq_grow(in->seq, end_of(in));
	if (!err)
		err = seq_reserve(in->seq, end_of(in), &move);
	if (!err)
		err = mark_room(in->seq, in->seq->n_marks + 1);
	if (!err)
		err = mark_take(in->seq, &in->to);
	pthread_mutex_unlock(&e->lock);
	page_copy(e, &move);		/* also if there was no room for more */
	return err;
}

static int reserve(struct accel_engine *e, struct accel_step *step)
{
	int err = 0;

	for (uint32_t k = 0; k < step->n && !err; k++)
		err = reserve_for(e, &step->in[k]);
	return err;
}

/* The sequences have grown, or are as they were. */
static void commit(struct accel_engine *e, struct accel_step *step, int err)
{
	pthread_mutex_lock(&e->lock);
	for (uint32_t k = 0; k < step->n; k++) {
		struct step_input *in = &step->in[k];
		struct accel_seq *seq = in->seq;

		if (!err) {
			if (in->n)
				memcpy(seq->tokens + seq->n, in->tokens, in->n * sizeof(*seq->tokens));
			seq->n += in->n;
			seq_filled(seq, seq->n);
			mark_add(seq, seq->n, in->to);
		} else {
			seq_filled(seq, in->held < seq->n ? in->held : seq->n);
			mark_drop(e, in->to);
		}
		in->to = -1;
		seq_drop_pages(seq, seq->n);
	}
	e->stats.steps += !err;
	engine_publish(e);
	pthread_mutex_unlock(&e->lock);
}

int step_restore(struct accel_engine *e, struct accel_seq *seq)
{
	struct step_input in = { .seq = seq, .from = -1, .to = -1 };
	struct accel_step step = { .engine = e, .n = 1, .in = &in };
	bool held;

	pthread_mutex_lock(&e->lock);
	held = seq_held(seq, seq->n) == seq->n;
	pthread_mutex_unlock(&e->lock);
	return held ? 0 : step_compute(e, &step);
}

int step_compute(struct accel_engine *e, struct accel_step *step)
{
	uint32_t *took = calloc(step->n, sizeof(*took));
	int err;

	e->current = step;
	err = took ? engine_stopped(e) : fail(-ENOMEM, "no memory for a step");
	if (!err) {
		engine_bring_back(e);
		err = reserve(e, step);
		if (!err)
			err = compute(e, step, took);
		commit(e, step, err);
	}
	e->current = NULL;
	free(took);
	return err;
}

/* ---- making steps ---- */

static int check_input(const struct accel_engine *e, const struct accel_input *in, size_t i)
{
	const uint32_t most = e->m->n_vocab < OCTANS_MAX_TOPK ? e->m->n_vocab : OCTANS_MAX_TOPK;

	if (!in->seq || in->seq->engine != e)
		return fail(-EINVAL, "input %zu has no sequence of this engine", i);
	if (in->reserved)
		return fail(-EINVAL, "input %zu asks for something that this version of the library does not know",
			    i);
	if (!in->n || !in->tokens)
		return fail(-EINVAL, "input %zu has no tokens", i);
	if ((unsigned int)in->want > ACCEL_WANT_TOP)
		return fail(-EINVAL, "input %zu: %d does not say what is wanted", i, in->want);
	if (in->want == ACCEL_WANT_TOP && (!in->top || in->top > most))
		return fail(-EINVAL, "the %u largest logits cannot be had, 1 to %u can", in->top, most);
	for (uint32_t k = 0; k < in->n; k++)
		if (in->tokens[k] < 0 || (uint32_t)in->tokens[k] >= e->m->n_vocab)
			return fail(-EINVAL, "token %d is not in the vocabulary of %u tokens", in->tokens[k],
				    e->m->n_vocab);
	return 0;
}

static bool is_among(const struct accel_seq *seq, const struct accel_input *inputs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (inputs[i].seq == seq)
			return true;
	return false;
}

/* With the lock: the sequences are the step's until it ends. */
static int claim(struct accel_engine *e, const struct accel_input *inputs, size_t n)
{
	size_t i;
	int err = 0;

	for (i = 0; i < n && !err; i++) {
		struct accel_seq *seq = inputs[i].seq;

		if (seq->busy)
			err = is_among(seq, inputs, i) ?
			      fail(-EINVAL, "the sequence of input %zu is twice in this step", i) :
			      fail(-EBUSY, "the sequence of input %zu is in a step that has not ended", i);
		else if (inputs[i].n > e->shape.ctx - seq->n)
			err = fail(-ENOSPC, "%u more tokens do not fit: %u of the context's %u positions are used",
				   inputs[i].n, seq->n, e->shape.ctx);
		else
			seq->busy = true;
	}
	if (err)
		for (size_t k = 0; k + 1 < i; k++)
			inputs[k].seq->busy = false;
	return err;
}

/* Memory for copies of the tokens and for results; step->in[]: sizes filled in. */
static int make_room(struct accel_step *step, const struct accel_input *inputs, uint32_t vocab)
{
	size_t tokens = 0, rows = 0, top = 0;
	int32_t *t, *ids;
	float *logits, *values;

	for (uint32_t i = 0; i < step->n; i++) {
		tokens += inputs[i].n;
		rows += inputs[i].want == ACCEL_WANT_ALL ? inputs[i].n : inputs[i].want == ACCEL_WANT_LAST;
		top += inputs[i].want == ACCEL_WANT_TOP ? inputs[i].top : 0;
	}
	t = step->tokens = malloc(tokens * sizeof(*t));
	logits = step->logits = rows ? malloc(rows * vocab * sizeof(*logits)) : NULL;
	ids = step->ids = top ? malloc(top * sizeof(*ids)) : NULL;
	values = step->values = top ? malloc(top * sizeof(*values)) : NULL;
	if (!t || (rows && !logits) || (top && (!ids || !values)))
		return fail(-ENOMEM, "no memory for the results of a step: %zu rows of %u logits", rows, vocab);
	for (uint32_t i = 0; i < step->n; i++) {
		struct step_input *in = &step->in[i];

		*in = (struct step_input) {
			.seq = inputs[i].seq, .tokens = t, .n = inputs[i].n, .want = inputs[i].want,
			.from = -1, .to = -1, .rows = inputs[i].want == ACCEL_WANT_ALL ? inputs[i].n :
				inputs[i].want == ACCEL_WANT_LAST,
		};
		memcpy(t, inputs[i].tokens, in->n * sizeof(*t));
		t += in->n;
		if (in->rows) {
			in->logits = logits;
			logits += (size_t)in->rows * vocab;
		}
		if (in->want != ACCEL_WANT_TOP)
			continue;
		in->top = inputs[i].top;
		in->ids = ids;
		in->values = values;
		ids += in->top;
		values += in->top;
	}
	return 0;
}

static void destroy(struct accel_step *step)
{
	if (!step)
		return;
	free(step->in);
	free(step->tokens);
	free(step->logits);
	free(step->ids);
	free(step->values);
	free(step);
}

/* inputs[n] are of this library's size. */
static int make_step_of(struct accel_engine *e, const struct accel_input *inputs, size_t n,
			int64_t deadline_ns, struct accel_step **out)
{
	struct accel_step *step;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = check_input(e, &inputs[i], i);
	if (err)
		return err;
	step = calloc(1, sizeof(*step));
	if (step)
		step->in = calloc(n, sizeof(*step->in));
	if (!step || !step->in) {
		free(step);
		return fail(-ENOMEM, "no memory for a step");
	}
	step->engine = e;
	step->n = n;
	step->deadline_ns = deadline_ns;
	err = make_room(step, inputs, e->m->n_vocab);
	if (!err) {
		pthread_mutex_lock(&e->lock);
		err = claim(e, inputs, n);
		pthread_mutex_unlock(&e->lock);
	}
	if (err) {
		destroy(step);
		return err;
	}
	*out = step;
	return 0;
}

#define FEW_INPUTS 32

static int make_step(struct accel_engine *e, const struct accel_input *inputs, size_t n,
		     const struct accel_step_opts *opts, struct accel_step **out)
{
	struct accel_input few[FEW_INPUTS], *ours = few;
	struct accel_step_opts o;
	int err = opts_read(&o, sizeof(o), opts, "step options");

	*out = NULL;
	if (!err && (!n || n > UINT32_MAX / 2))
		err = fail(-EINVAL, "a step of %zu inputs cannot be computed", n);
	if (err)
		return err;
	if (n > FEW_INPUTS)
		ours = malloc(n * sizeof(*ours));
	if (!ours)
		return fail(-ENOMEM, "no memory for a step");
	err = opts_read_array(ours, sizeof(*ours), inputs, n, "a struct accel_input");
	if (!err)
		err = make_step_of(e, ours, n, o.deadline_ns, out);
	if (ours != few)
		free(ours);
	return err;
}

/* With the lock.  text: why, if err. */
static void end(struct accel_step *step, int err, const char *text)
{
	struct accel_engine *e = step->engine;

	step->err = err;
	if (err)
		snprintf(step->text, sizeof(step->text), "%s", text);
	for (uint32_t i = 0; i < step->n; i++)
		seq_leave(step->in[i].seq);
	step->state = STEP_ENDED;
	step->counted = step->submitted;
	e->unwaited += step->counted;
	if (step->counted && e->fd >= 0)
		eventfd_write(e->fd, 1);
	pthread_cond_broadcast(&e->ended);
}

/* ---- public ---- */

int accel_step_run(struct accel_engine *e, const struct accel_input *inputs, size_t n,
		   const struct accel_step_opts *opts, struct accel_step **out)
{
	struct accel_step *step;
	int err = make_step(e, inputs, n, opts, &step);

	if (out)
		*out = NULL;
	if (err)
		return err;
	pthread_mutex_lock(&e->baton);
	err = step_compute(e, step);
	pthread_mutex_unlock(&e->baton);
	pthread_mutex_lock(&e->lock);
	end(step, err, accel_error());
	pthread_mutex_unlock(&e->lock);
	if (err || !out)
		destroy(step);
	else
		*out = step;
	return err;
}

/* Computes what is in the queue, until the engine ends. */
static void *work(void *arg)
{
	struct accel_engine *e = arg;

	pthread_mutex_lock(&e->lock);
	for (;;) {
		struct accel_step *step = e->queue;
		int err;

		if (!step && e->ending)
			break;
		if (!step) {
			pthread_cond_wait(&e->queued, &e->lock);
			continue;
		}
		e->queue = step->next;
		if (!e->queue)
			e->queue_end = &e->queue;
		step->state = STEP_RUNNING;
		pthread_mutex_unlock(&e->lock);
		pthread_mutex_lock(&e->baton);
		err = step_compute(e, step);
		pthread_mutex_unlock(&e->baton);
		pthread_mutex_lock(&e->lock);
		end(step, err, accel_error());
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* With the lock. */
static int start_worker(struct accel_engine *e)
{
	int err;

	if (e->has_worker)
		return 0;
	err = pthread_create(&e->worker, NULL, work, e);
	if (err)
		return fail(-err, "the thread that computes submitted steps cannot be started: %s",
			    strerror(err));
	e->has_worker = true;
	return 0;
}

int accel_step_submit(struct accel_engine *e, const struct accel_input *inputs, size_t n,
		      const struct accel_step_opts *opts, struct accel_step **out)
{
	struct accel_step *step;
	int err = make_step(e, inputs, n, opts, &step);

	*out = NULL;
	if (err)
		return err;
	pthread_mutex_lock(&e->lock);
	err = start_worker(e);
	if (!err) {
		step->submitted = true;
		*e->queue_end = step;
		e->queue_end = &step->next;
		pthread_cond_signal(&e->queued);
		*out = step;
	} else {
		for (uint32_t i = 0; i < step->n; i++)
			seq_leave(step->in[i].seq);
	}
	pthread_mutex_unlock(&e->lock);
	if (err)
		destroy(step);
	return err;
}

/* With the lock: until the step has ended, or abs_ns. */
static bool wait_ended(struct accel_step *step, int64_t abs_ns)
{
	struct accel_engine *e = step->engine;
	const struct timespec t = { .tv_sec = abs_ns / 1000000000, .tv_nsec = abs_ns % 1000000000 };

	while (step->state != STEP_ENDED) {
		if (abs_ns == INT64_MAX)
			pthread_cond_wait(&e->ended, &e->lock);
		else if (abs_ns <= 0 || pthread_cond_timedwait(&e->ended, &e->lock, &t) == ETIMEDOUT)
			break;
	}
	return step->state == STEP_ENDED;
}

/* With the lock: the step's share of the descriptor's count. */
static void collect(struct accel_step *step)
{
	struct accel_engine *e = step->engine;
	eventfd_t one;

	if (!step->counted)
		return;
	step->counted = false;
	e->unwaited--;
	if (e->fd >= 0)
		eventfd_read(e->fd, &one);
}

int accel_step_wait(struct accel_step *step, int64_t abs_ns)
{
	struct accel_engine *e = step->engine;
	bool ended;

	pthread_mutex_lock(&e->lock);
	ended = wait_ended(step, abs_ns);
	if (ended)
		collect(step);
	pthread_mutex_unlock(&e->lock);
	if (!ended)
		return fail(-EAGAIN, "the step has not ended yet");
	return step->err ? fail(step->err, "%s", step->text) : 0;
}

/* With the lock: ends a step that waits for its turn, which may take others long. */
static void unqueue(struct accel_step *step)
{
	struct accel_engine *e = step->engine;
	struct accel_step **at = &e->queue;

	while (*at && *at != step)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = step->next;
	if (!*at)
		e->queue_end = at;
	end(step, -ECANCELED, CANCELLED);
}

void accel_step_cancel(struct accel_step *step)
{
	struct accel_engine *e = step->engine;

	step->cancel = true;
	pthread_mutex_lock(&e->lock);
	if (step->state == STEP_QUEUED)
		unqueue(step);
	pthread_mutex_unlock(&e->lock);
}

const char *accel_step_error(const struct accel_step *step)
{
	const char *text;

	pthread_mutex_lock(&step->engine->lock);
	text = step->state == STEP_ENDED ? step->text : "";
	pthread_mutex_unlock(&step->engine->lock);
	return text;
}

static const struct step_input *result_of(const struct accel_step *step, size_t i)
{
	bool good;

	pthread_mutex_lock(&step->engine->lock);
	good = step->state == STEP_ENDED && !step->err && i < step->n;
	pthread_mutex_unlock(&step->engine->lock);
	return good ? &step->in[i] : NULL;
}

const float *accel_step_logits(const struct accel_step *step, size_t i, uint32_t *rows)
{
	const struct step_input *in = result_of(step, i);

	if (rows)
		*rows = in ? in->rows : 0;
	return in ? in->logits : NULL;
}

uint32_t accel_step_top(const struct accel_step *step, size_t i, const int32_t **ids, const float **values)
{
	const struct step_input *in = result_of(step, i);

	if (ids)
		*ids = in ? in->ids : NULL;
	if (values)
		*values = in ? in->values : NULL;
	return in ? in->top : 0;
}

void accel_step_free(struct accel_step *step)
{
	struct accel_engine *e;

	if (!step)
		return;
	e = step->engine;
	accel_step_cancel(step);
	pthread_mutex_lock(&e->lock);
	wait_ended(step, INT64_MAX);
	collect(step);
	pthread_mutex_unlock(&e->lock);
	destroy(step);
}

int accel_engine_fd(struct accel_engine *e)
{
	int fd;

	pthread_mutex_lock(&e->lock);
	if (e->fd < 0)
		e->fd = eventfd(e->unwaited, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	fd = e->fd < 0 ? fail(-errno, "no descriptor to wait on: %s", strerror(errno)) : e->fd;
	pthread_mutex_unlock(&e->lock);
	return fd;
}
