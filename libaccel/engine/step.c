// SPDX-License-Identifier: MIT
/* Steps: made of inputs, computed in their turn, waited for and cancelled. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine.h"

/* ---- computing ---- */

/* Where each input begins: what its sequence holds need not be computed. */
static void begin_inputs(struct accel_engine *e, struct accel_step *step)
{
	pthread_mutex_lock(&e->lock);
	for (uint32_t k = 0; k < step->n; k++) {
		struct step_input *in = &step->in[k];

		in->held = in->made = seq_held(in->seq, in->seq->n);
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
	return card_fall_back(e, e->failed_card, err);
}

static int compute(struct accel_engine *e, struct accel_step *step)
{
	int err;

	do {
		begin_inputs(e, step);
		err = passes_run(e, step);
	} while (err && !(err = after_failure(e, err)));
	for (uint32_t i = 0; i < e->n_cards && !err; i++) {
		e->cards[i].dropped = 0;
		card_settle(e, i);
	}
	return err;
}

static int reserve_for(struct accel_engine *e, struct step_input *in)
{
	struct page_move move = { 0 };
	int err;

	pthread_mutex_lock(&e->lock);
	err = seq_grow(in->seq, step_end(in));
	if (!err)
		err = seq_reserve(in->seq, step_end(in), &move);
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
	int err;

	e->current = step;
	err = engine_stopped(e);
	if (!err) {
		cards_bring_back(e);
		err = reserve(e, step);
		if (!err)
			err = compute(e, step);
		commit(e, step, err);
	}
	e->current = NULL;
	return err;
}

/* ---- making steps ---- */

OPTS_END(accel_input, reserved);
OPTS_END(accel_step_opts, deadline_ns);

static int check_input(const struct accel_engine *e, const struct accel_input *in, size_t i)
{
	const uint32_t most = e->n_vocab < OCTANS_MAX_TOPK ? e->n_vocab : OCTANS_MAX_TOPK;

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
		if (in->tokens[k] < 0 || (uint32_t)in->tokens[k] >= e->n_tokens)
			return fail(-EINVAL, "token %d is not in the vocabulary of %u tokens", in->tokens[k],
				    e->n_tokens);
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
			      fail(-EBUSY, "the sequence of input %zu is in a step that has not ended, or is being saved", i);
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

static void free_memory(struct accel_step *step)
{
	free(step->in);
	free(step->tokens);
	free(step->logits);
	free(step->ids);
	free(step->values);
	free(step);
}

static void destroy(struct accel_step *step)
{
	struct accel_engine *e = step->engine;

	free_memory(step);
	engine_put(e);
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
	err = make_room(step, inputs, e->n_vocab);
	if (!err) {
		pthread_mutex_lock(&e->lock);
		err = claim(e, inputs, n);
		e->refs += !err;
		pthread_mutex_unlock(&e->lock);
	}
	if (err) {
		free_memory(step);
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
	int err = engine_usable(e);

	*out = NULL;
	if (!err)
		err = opts_read(&o, sizeof(o), opts, "step options");
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

/* In its turn; whoever waits for it may then free it. */
static int run(struct accel_step *step)
{
	struct accel_engine *e = step->engine;
	int err;

	baton_take(e);
	err = step_compute(e, step);
	baton_pass(e);
	pthread_mutex_lock(&e->lock);
	end(step, err, accel_error());
	pthread_mutex_unlock(&e->lock);
	return err;
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
	err = run(step);
	if (err || !out)
		destroy(step);
	else
		*out = step;
	return err;
}

/* Computes what is in the queue, until the engine is closed; then that ends at once. */
static void *work(void *arg)
{
	struct accel_engine *e = arg;

	pthread_mutex_lock(&e->lock);
	for (;;) {
		struct accel_step *step = e->queue;

		if (!step && e->closed)
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
		run(step);
		pthread_mutex_lock(&e->lock);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* With the lock. */
static int start_worker(struct accel_engine *e)
{
	int err = engine_usable(e);

	if (err || e->has_worker)
		return err;
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

	engine_abandon(step);
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
	fd = engine_usable(e);
	if (!fd && e->fd < 0)
		e->fd = eventfd(e->unwaited, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	if (!fd)
		fd = e->fd < 0 ? fail(-errno, "no descriptor to wait on: %s", strerror(errno)) : e->fd;
	pthread_mutex_unlock(&e->lock);
	return fd;
}
