// SPDX-License-Identifier: MIT
/*
 * Passes under way.  Where layers are on several processors, these work on several passes at once: while one
 * computes its layers of a pass, the one before it computes its layers of the next.
 *
 * Runs of layers are submitted ahead; that of a pass on one processor starts when the one before it on another
 * has ended, by its fence.  This thread does the layers on the CPU in between, and copies the residual stream
 * where two executors have no memory in common.  On each executor passes come in their order, so what a pass
 * attends to, and the states that it goes on from, are there when it comes.
 *
 * When something fails, what is under way runs to its end, on whatever there is, and none of it counts: whose run
 * it was that ended badly is known by its own fence, as a run that waited for it ends well all the same.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "model/gguf.h"
#include "plan/parts.h"

int flights_new(struct accel_engine *e)
{
	struct flights *fl = &e->flights;
	const uint32_t n = e->shape.flights;
	int err = 0;

	fl->all = calloc(n, sizeof(*fl->all));
	fl->legs = calloc((size_t)n * e->m->n_layers, sizeof(*fl->legs));
	fl->busy = calloc(e->n_cards + 1, sizeof(*fl->busy));
	fl->costs = calloc(e->m->n_layers, sizeof(*fl->costs));
	if (!fl->all || !fl->legs || !fl->busy || !fl->costs)
		return fail(-ENOMEM, "no memory for %u passes at once", n);
	for (uint32_t i = 0; i < e->m->n_layers && !err; i++)
		err = cost_layer(&fl->costs[i], e->m, &e->m->layers[i], &e->shape, &plan_layers(e->plan)[i]);
	for (uint32_t i = 0; i < n && !err; i++) {
		fl->all[i].number = i;
		err = pass_arrays_new(&fl->all[i].arrays, &e->shape);
	}
	return err;
}

void flights_free(struct accel_engine *e)
{
	struct flights *fl = &e->flights;

	for (uint32_t i = 0; i < e->shape.flights && fl->all; i++)
		pass_arrays_free(&fl->all[i].arrays);
	free(fl->all);
	free(fl->legs);
	free(fl->busy);
	free(fl->costs);
	*fl = (struct flights) { 0 };
}

/* The i-th that is under way, oldest first. */
static struct flight *flight_at(const struct accel_engine *e, uint32_t i)
{
	return &e->flights.all[(e->flights.first + i) % e->shape.flights];
}

static const struct io *io_of(const struct accel_engine *e, const struct flight *f, int32_t device)
{
	return device < 0 ? exec_cpu_io(e->cpu) : exec_dev_io(e->cards[device].exec, f->number);
}

/* Past the layers that follow this one on the same executor. */
static uint32_t run_end(const struct accel_engine *e, uint32_t first)
{
	uint32_t end = first + 1;

	while (end < e->m->n_layers && layers_join(&e->layers[end], &e->layers[first]))
		end++;
	return end;
}

/* Weights of layers on the CPU are read from the file in each pass: it must have stayed what it was. */
static int weights_intact(const struct accel_engine *e)
{
	for (uint32_t i = 0; i < e->m->n_layers; i++)
		if (e->layers[i].device < 0)
			return gguf_intact(e->m->file);
	return 0;
}

/* It is this card's, whose name is told if others have to do with it. */
static int blame(struct accel_engine *e, int32_t card, int err)
{
	e->failed_card = card;
	return e->shape.members ? shared_failed(e, card, err) : err;
}

/* Whose failure is it?  What was stopped did not fail: whoever stopped it knows why. */
static int failed(struct accel_engine *e, int32_t device, int err)
{
	int stopped;

	if (device >= 0 && exec_dev_blamed(e->cards[device].exec))
		return blame(e, device, err);
	stopped = err == -ECANCELED ? engine_stopped(e) : 0;
	return stopped ? stopped : err;
}

/* ---- waiting ---- */

/* All of them have been busy until then. */
static int wait_shared(struct accel_engine *e, const struct leg *leg, struct flight *f)
{
	struct flights *fl = &e->flights;
	const uint64_t cards = e->layers[leg->first].shared;
	int32_t card;
	double seconds;
	bool late;
	int err = shared_wait(e, leg, &f->pass, &seconds, &card, &late);

	if (err && !late)
		return failed(e, card, err);
	if (err)
		return blame(e, card, err);
	for (uint32_t i = 0; i < e->n_cards; i++)
		if (cards >> i & 1 && fl->busy[i] > f->ready)
			f->ready = fl->busy[i];
	f->ready += seconds;
	for (uint32_t i = 0; i < e->n_cards; i++)
		if (cards >> i & 1)
			fl->busy[i] = f->ready;
	return 0;
}

/* For the oldest run that was submitted. */
static int wait_leg(struct accel_engine *e)
{
	struct flights *fl = &e->flights;
	const struct leg leg = fl->legs[0];
	struct flight *f = &fl->all[leg.flight];
	double seconds, *busy = &fl->busy[leg.card];
	int err;

	memmove(fl->legs, fl->legs + 1, --fl->n_legs * sizeof(*fl->legs));
	f->sent--;
	if (e->layers[leg.first].shared)
		return wait_shared(e, &leg, f);
	err = exec_dev_finish(e->cards[leg.card].exec, leg.flight, leg.first, &f->pass, &seconds);
	if (err)
		return failed(e, leg.card, err);
	f->ready = *busy = (f->ready > *busy ? f->ready : *busy) + seconds;
	return 0;
}

/* For all runs of a pass that were submitted, and with them for those that were before. */
static int wait_flight(struct accel_engine *e, const struct flight *f)
{
	int err = 0;

	while (f->sent && !err)
		err = wait_leg(e);
	return err;
}

/* For the oldest pass, all of which is submitted. */
static int end_pass(struct accel_engine *e)
{
	struct flight *f = flight_at(e, 0);
	int32_t device = e->layers[e->m->n_layers - 1].device;
	const struct io *io = io_of(e, f, device);
	int err = wait_flight(e, f);

	if (!err)
		err = weights_intact(e);
	if (err)
		return err;
	pass_end(e, f, io, device < 0 ? exec_cpu_logits(e->cpu, &f->pass) : io->logits);
	e->flights.first = (e->flights.first + 1) % e->shape.flights;
	e->flights.n--;
	return 0;
}

/* ---- going on ---- */

static void move_x(const struct accel_engine *e, struct flight *f, const struct io *io)
{
	if (f->x && f->x != io->x)
		memcpy(io->x, f->x, sizeof(float) * f->pass.n * e->m->n_stream);
	f->x = io->x;
}

/* Can the next layers of a pass be submitted without waiting: nobody has to copy what they begin with? */
static bool is_ready(const struct accel_engine *e, const struct flight *f)
{
	int32_t device = e->layers[f->next].device;

	return device >= 0 && (!f->sent || f->x == io_of(e, f, device)->x);
}

static int submit(struct accel_engine *e, struct flight *f, int32_t device)
{
	struct flights *fl = &e->flights;
	const struct accel_layer *l = &e->layers[f->next];
	struct accel_fence *after = NULL;
	int err;

	if (f->sent)
		after = exec_dev_fence(e->cards[l[-1].device].exec, f->number);
	err = l->shared ? shared_submit(e, f, after, &device) :
	      exec_dev_submit(e->cards[device].exec, f->number, f->next, &f->pass, after);
	if (err)
		return failed(e, device, err);
	fl->legs[fl->n_legs++] = (struct leg) { .flight = f->number, .first = f->next, .card = l->device };
	f->sent++;
	f->next = run_end(e, f->next);
	return 0;
}

/* The CPU has one struct io for all passes: what it leaves there is taken at once. */
static int compute(struct accel_engine *e, struct flight *f)
{
	size_t bytes = io_write(exec_cpu_io(e->cpu), e->m, &e->shape, &f->pass);
	int err = exec_cpu_run(e->cpu, f->next);

	if (err)
		return failed(e, -1, err);
	if (!e->stats.block_bytes)
		e->stats.block_bytes = bytes;
	f->next = run_end(e, f->next);
	if (f->next == e->m->n_layers)
		return end_pass(e);
	move_x(e, f, io_of(e, f, e->layers[f->next].device));
	return 0;
}

/* The next layers of a pass, wherever they are. */
static int go_on(struct accel_engine *e, struct flight *f)
{
	int32_t device = e->layers[f->next].device;
	int err = is_ready(e, f) ? 0 : wait_flight(e, f);

	if (err)
		return err;
	move_x(e, f, io_of(e, f, device));
	return device < 0 ? compute(e, f) : submit(e, f, device);
}

/* The oldest pass that could go on if this thread waited, or computed; NULL: there is none. */
static struct flight *first_held_up(const struct accel_engine *e)
{
	uint32_t limit = e->m->n_layers;

	for (uint32_t i = 0; i < e->flights.n; i++) {
		struct flight *f = flight_at(e, i);

		if (f->next < limit && !is_ready(e, f))
			return f;
		limit = f->next;
	}
	return NULL;
}

/* Submits what can be: of each pass, what has been submitted of the one before it. */
static int submit_ahead(struct accel_engine *e)
{
	uint32_t limit = e->m->n_layers;
	int err = 0;

	for (uint32_t i = 0; i < e->flights.n && !err; i++) {
		struct flight *f = flight_at(e, i);

		while (!err && f->next < limit && is_ready(e, f))
			err = go_on(e, f);
		limit = f->next;
	}
	return err;
}

static bool is_over(const struct accel_engine *e, const struct flight *f)
{
	const uint32_t n = e->m->n_layers;

	if (f->next < n || !f->sent)
		return f->next == n;
	return accel_fence_wait(exec_dev_fence(e->cards[e->layers[n - 1].device].exec, f->number), 0) != -ETIMEDOUT;
}

/* Nothing more can be submitted: the oldest pass ends, or one goes on by hand while others are under way. */
static int wait_some(struct accel_engine *e)
{
	struct flight *f = first_held_up(e);

	return f && !is_over(e, flight_at(e, 0)) ? go_on(e, f) : end_pass(e);
}

/* ---- a step ---- */

static int begin_pass(struct accel_engine *e, struct flight *f)
{
	int err = weights_intact(e);

	if (err)
		return err;
	f->next = f->sent = 0;
	f->x = NULL;
	f->ready = 0;
	e->flights.n++;
	e->stats.block_bytes = 0;
	if (e->shape.members && relay_of(e))
		relay_close(relay_of(e), e->m, &e->shape, f->number);
	for (uint32_t i = 0; i < e->n_cards; i++)
		if (e->cards[i].exec)
			e->stats.block_bytes = io_write(io_of(e, f, i), e->m, &e->shape, &f->pass);
	return submit_ahead(e);
}

/* As many as there may be.  *more: the step has others. */
static int begin_passes(struct accel_engine *e, struct accel_step *step, bool *more)
{
	int err = 0;

	while (*more && e->flights.n < e->shape.flights && !err) {
		struct flight *f = flight_at(e, e->flights.n);

		*more = pass_make(e, step, f);
		if (*more)
			err = begin_pass(e, f);
	}
	return err;
}

/* Nothing is under way any more. */
static void abandon(struct accel_engine *e, int err)
{
	char why[ACCEL_ERROR_MAX];

	snprintf(why, sizeof(why), "%s", accel_error());
	shared_release(e);
	for (uint32_t i = 0; i < e->n_cards; i++)
		if (e->cards[i].exec)
			exec_dev_drain(e->cards[i].exec);
	fail(err, "%s", why);
}

/* Modelled, of what has just been computed: until the last processor had ended. */
static uint64_t elapsed_ns(const struct accel_engine *e)
{
	double most = 0;

	for (uint32_t i = 0; i < e->n_cards; i++)
		most = e->flights.busy[i] > most ? e->flights.busy[i] : most;
	return (uint64_t)(most * 1e9 + 0.5);
}

/* How many tokens of the step a pass has at most. */
static uint32_t rows_of(const struct accel_engine *e, const struct accel_step *step)
{
	uint64_t n = 0, pos = 0;

	for (uint32_t k = 0; k < step->n; k++) {
		n += step_end(&step->in[k]) - step->in[k].held;
		pos = step->in[k].held > pos ? step->in[k].held : pos;
	}
	return parts_rows(e->plan, e->layers, e->flights.costs, n, pos);
}

int passes_run(struct accel_engine *e, struct accel_step *step)
{
	struct flights *fl = &e->flights;
	bool more = true;
	int err = 0;

	e->failed_card = -1;
	fl->first = fl->n = fl->n_legs = 0;
	fl->rows = rows_of(e, step);
	memset(fl->busy, 0, e->n_cards * sizeof(*fl->busy));
	while (!err && (more || fl->n)) {
		err = engine_stopped(e);
		if (!err)
			err = shared_begin(e);
		if (!err)
			err = begin_passes(e, step, &more);
		if (!err)
			err = submit_ahead(e);
		if (!err && fl->n)
			err = wait_some(e);
		if (!fl->n)
			shared_end(e);
	}
	if (err)
		abandon(e, err);
	shared_end(e);
	e->stats.modelled_ns += elapsed_ns(e);
	return err;
}
