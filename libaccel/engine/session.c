// SPDX-License-Identifier: MIT
/*
 * A session: one sequence of tokens, the executors that its layers run on, and what
 * happens when the processor fails.
 *
 * The processor and the CPU give the same bits (Documentation/hardware/numerics.rst), so
 * a failure costs time, not the answer: the session forgets the processor, computes the
 * sequence so far again on the CPU to rebuild the KV cache, and goes on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "exec/exec.h"
#include "plan/plan.h"

struct accel_session {
	const struct accel_model *m;
	const struct accel_plan *plan;
	struct accel_session_opts opts;
	struct shape shape;
	bool *on_device;		/* [n_layers] */
	struct exec_dev *dev;		/* NULL: nothing on the processor (any more) */
	struct exec_cpu *cpu;		/* NULL: nothing on the CPU */
	struct io io;
	void *io_memory;		/* of io when it is not the processor's */
	int32_t *tokens;		/* [ctx]: the sequence */
	uint32_t n;
	uint32_t held;			/* positions that the KV caches hold: after a fallback fewer than n */
	float *logits;			/* rows gathered over several steps */
	size_t logits_room;		/* floats */
	uint32_t fallbacks;
	int fallback_error;
	char fallback_reason[192];
	uint64_t block_bytes;
	struct accel_session_stats lost;	/* figures of a processor that was lost */
};

/* Shared memory when there is no processor. */
static int own_io(struct accel_session *s)
{
	s->io_memory = calloc(1, io_place(&s->io, s->m, &s->shape, NULL));
	if (!s->io_memory)
		return fail(-ENOMEM, "no memory for activations");
	io_place(&s->io, s->m, &s->shape, s->io_memory);
	return 0;
}

/* What is not on the processor, or everything. */
static int load_cpu(struct accel_session *s, bool all, struct exec_cpu **out)
{
	uint32_t n = s->m->n_layers;
	bool *mine = calloc(n, sizeof(*mine)), any = false;
	int err = 0;

	if (!mine)
		return fail(-ENOMEM, "no memory for %u layers", n);
	for (uint32_t i = 0; i < n; i++)
		any |= mine[i] = all || !s->on_device[i];
	if (any)
		err = exec_cpu_new(s->m, &s->shape, mine, &s->io, s->opts.threads, s->opts.isa, out);
	free(mine);
	return err;
}

/*
 * From now on everything runs on the CPU; err is why.  If that cannot be, for want of memory, the
 * session stays as it was: the next step fails, too, and tries again.
 */
static int fall_back(struct accel_session *s, int err)
{
	char reason[sizeof(s->fallback_reason)];
	struct exec_cpu *cpu = NULL;
	struct io was = s->io;
	int cannot;

	snprintf(reason, sizeof(reason), "%s", accel_error());
	cannot = own_io(s);
	if (!cannot)
		cannot = load_cpu(s, true, &cpu);
	if (cannot) {
		free(s->io_memory);
		s->io_memory = NULL;
		s->io = was;
		return cannot;
	}
	if (s->dev)
		exec_dev_stats(s->dev, &s->lost);
	exec_dev_free(s->dev);
	exec_cpu_free(s->cpu);
	s->dev = NULL;
	s->cpu = cpu;
	s->held = 0;
	memset(s->on_device, 0, sizeof(bool) * s->m->n_layers);
	s->fallbacks++;
	s->fallback_error = err;
	memcpy(s->fallback_reason, reason, sizeof(reason));
	return 0;
}

int accel_session_new(const struct accel_model *m, const struct accel_plan *plan,
		      struct accel_dev *dev, const struct accel_session_opts *opts,
		      struct accel_session **out)
{
	struct accel_session *s;
	bool any = false;
	int err = -ENOMEM;

	*out = NULL;
	if (opts && (opts->sz < sizeof(opts->sz) || opts->sz > sizeof(*opts)))
		return fail(-EINVAL, "session options of %zu bytes come from another version of the library",
			    opts->sz);
	if (!plan_is_of(plan, m))
		return fail(-EINVAL, "the plan is of another model");
	s = calloc(1, sizeof(*s));
	if (!s)
		return fail(-ENOMEM, "no memory for a session");
	s->m = m;
	s->plan = plan;
	if (opts)
		memcpy(&s->opts, opts, opts->sz);
	s->shape = *plan_shape(plan);
	s->on_device = calloc(m->n_layers, sizeof(bool));
	s->tokens = calloc(s->shape.ctx, sizeof(*s->tokens));
	if (!s->on_device || !s->tokens) {
		fail(-ENOMEM, "no memory for a session");
		goto fail;
	}
	for (uint32_t i = 0; i < m->n_layers; i++)
		any |= s->on_device[i] = plan_on_device(plan, i);
	if (any && !dev) {
		err = fail(-EINVAL, "the plan puts layers on a processor but none was given");
		goto fail;
	}
	if (any)
		err = exec_dev_new(m, &s->shape, s->on_device, dev, s->opts.progress,
				   s->opts.progress_arg, &s->dev, &s->io);
	else
		err = own_io(s);
	if (err && any && !s->opts.strict && err != -EINVAL)
		err = fall_back(s, err);
	else if (!err)
		err = load_cpu(s, false, &s->cpu);
	if (err)
		goto fail;
	*out = s;
	return 0;
fail:
	accel_session_free(s);
	return err;
}

void accel_session_free(struct accel_session *s)
{
	if (!s)
		return;
	exec_dev_free(s->dev);
	exec_cpu_free(s->cpu);
	free(s->io_memory);
	free(s->on_device);
	free(s->tokens);
	free(s->logits);
	free(s);
}

/* Runs all layers on the tokens from st->pos on. */
static int run_step(struct accel_session *s, const struct step *st)
{
	uint32_t layers = s->m->n_layers;

	s->block_bytes = io_write(&s->io, st, s->tokens + st->pos);
	for (uint32_t i = 0, end; i < layers; i = end) {
		int err = s->on_device[i] ? exec_dev_run(s->dev, i, st) : exec_cpu_run(s->cpu, i);

		if (err)
			return err;
		end = i + 1;
		while (end < layers && s->on_device[end] == s->on_device[i])
			end++;
	}
	return 0;
}

/* A step; before it, after a fallback, everything that the lost KV cache held. */
static int run_from_held(struct accel_session *s, const struct step *st)
{
	int err;

	while (s->held < st->pos) {
		struct step again = { .n = st->pos - s->held, .pos = s->held };

		if (again.n > s->shape.batch)
			again.n = s->shape.batch;
		err = run_step(s, &again);
		if (err)
			return err;
		s->held += again.n;
	}
	err = run_step(s, st);
	if (!err)
		s->held = st->pos + st->n;
	return err;
}

static int run_step_or_fall_back(struct accel_session *s, const struct step *st)
{
	int err = run_from_held(s, st);

	if (!err || !s->dev || s->opts.strict)
		return err;
	err = fall_back(s, err);
	return err ? err : run_from_held(s, st);
}

static int no_room(const struct accel_session *s, size_t n)
{
	return fail(-ENOSPC, "%zu more tokens do not fit: %u of the context's %u positions are used; choose a larger --ctx",
		    n, s->n, s->shape.ctx);
}

static int check_tokens(const struct accel_session *s, const int32_t *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (tokens[i] < 0 || (uint32_t)tokens[i] >= s->m->n_vocab)
			return fail(-EINVAL, "token %d is not in the vocabulary of %u tokens", tokens[i],
				    s->m->n_vocab);
	if (n > s->shape.ctx - s->n)
		return no_room(s, n);
	return 0;
}

static int grow_logits(struct accel_session *s, size_t floats)
{
	float *p;

	if (floats <= s->logits_room)
		return 0;
	p = realloc(s->logits, floats * sizeof(float));
	if (!p)
		return fail(-ENOMEM, "no memory for %zu logits; ask for those of the last token only",
			    floats);
	s->logits = p;
	s->logits_room = floats;
	return 0;
}

/* Appends n tokens; the logits of the last of them, or all, go to s->io or to s->logits. */
static int eval(struct accel_session *s, const int32_t *tokens, size_t n, enum accel_logits which,
		uint32_t top)
{
	uint32_t most = which == ACCEL_LOGITS_ALL ? s->shape.out : s->shape.batch;
	size_t vocab = s->m->n_vocab;
	float *to = s->logits;
	int err;

	memcpy(s->tokens + s->n, tokens, n * sizeof(*tokens));
	for (size_t done = 0; done < n;) {
		struct step st = { .n = n - done < most ? n - done : most, .pos = s->n + done };

		if (which == ACCEL_LOGITS_ALL) {
			st.out = st.logits = st.n;
		} else if (done + st.n == n) {
			st.out = top || which == ACCEL_LOGITS_LAST;
			st.logits = which == ACCEL_LOGITS_LAST;
			st.top = top;
		}
		err = run_step_or_fall_back(s, &st);
		if (err)
			return err;
		if (which == ACCEL_LOGITS_ALL) {
			memcpy(to, s->io.logits, st.n * vocab * sizeof(float));
			to += st.n * vocab;
		}
		done += st.n;
	}
	s->n += n;
	return 0;
}

int accel_session_eval(struct accel_session *s, const int32_t *tokens, size_t n,
		       enum accel_logits which, const float **logits)
{
	int err = check_tokens(s, tokens, n);

	if (logits)
		*logits = NULL;
	if (!err && (unsigned int)which > ACCEL_LOGITS_ALL)
		err = fail(-EINVAL, "%d does not say which logits are wanted", which);
	if (!err && which == ACCEL_LOGITS_ALL)
		err = grow_logits(s, n * s->m->n_vocab);
	if (!err && n)
		err = eval(s, tokens, n, which, 0);
	if (!err && n && logits && which != ACCEL_LOGITS_NONE)
		*logits = which == ACCEL_LOGITS_ALL ? s->logits : s->io.logits;
	return err;
}

int accel_session_eval_top(struct accel_session *s, const int32_t *tokens, size_t n, uint32_t k,
			   int32_t *ids, float *values)
{
	uint32_t most = s->m->n_vocab < OCTANS_MAX_TOPK ? s->m->n_vocab : OCTANS_MAX_TOPK;
	int err = check_tokens(s, tokens, n);

	if (!err && (!k || k > most))
		err = fail(-EINVAL, "the %u largest logits cannot be had, 1 to %u can", k, most);
	if (!err && !n)
		err = fail(-EINVAL, "there is no token to compute the logits of");
	if (!err)
		err = eval(s, tokens, n, ACCEL_LOGITS_NONE, k);
	if (err)
		return err;
	memcpy(ids, s->io.top_ids, k * sizeof(*ids));
	memcpy(values, s->io.top_values, k * sizeof(*values));
	return 0;
}

int accel_session_skip(struct accel_session *s, uint32_t n)
{
	if (n > s->shape.ctx - s->n)
		return no_room(s, n);
	memset(s->tokens + s->n, 0, n * sizeof(*s->tokens));
	if (s->held >= s->n && s->held < s->n + n)
		s->held = s->n + n;
	s->n += n;
	return 0;
}

int accel_session_trim(struct accel_session *s, uint32_t pos)
{
	if (pos > s->n)
		return fail(-EINVAL, "the sequence has %u positions, it cannot be cut at %u", s->n, pos);
	s->n = pos;
	return 0;
}

void accel_session_stats(const struct accel_session *s, struct accel_session_stats *st)
{
	*st = s->lost;
	if (s->dev)
		exec_dev_stats(s->dev, st);
	for (uint32_t i = 0; i < s->m->n_layers; i++)
		if (s->on_device[i])
			st->layers_device++;
		else
			st->layers_cpu++;
	st->positions = s->n;
	st->fallbacks = s->fallbacks;
	st->fallback_error = s->fallback_error;
	memcpy(st->fallback_reason, s->fallback_reason, sizeof(st->fallback_reason));
	st->block_bytes = s->block_bytes;
	if (s->cpu) {
		snprintf(st->isa, sizeof(st->isa), "%s", exec_cpu_isa(s->cpu));
		st->threads = exec_cpu_threads(s->cpu);
	}
}

int accel_session_layer(const struct accel_session *s, uint32_t index, struct accel_layer *layer)
{
	int err = accel_plan_layer(s->plan, index, layer);

	if (!err && layer->on_device && !s->on_device[index]) {
		layer->on_device = false;
		layer->reason = s->fallback_error == -ENOSPC ? ACCEL_REASON_NO_MEMORY :
				ACCEL_REASON_LOST;
		snprintf(layer->detail, sizeof(layer->detail), "%.127s", s->fallback_reason);
	}
	return err;
}
