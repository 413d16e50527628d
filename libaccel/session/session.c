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
#include "exec.h"
#include "plan/plan.h"
#include "rope.h"

struct accel_session {
	const struct accel_model *m;
	const struct accel_plan *plan;
	struct accel_session_opts opts;
	uint32_t ctx, batch;
	bool *on_device;		/* [n_layers] */
	struct exec_dev *dev;		/* NULL: nothing on the processor (any more) */
	struct exec_cpu *cpu;
	struct shared io;
	void *io_memory;		/* of io when it is not the processor's */
	double *freq;			/* [rot / 2] */
	int32_t *tokens;		/* [ctx]: the sequence */
	uint32_t n;
	float *logits;			/* rows gathered over several batches */
	size_t logits_room;		/* floats */
	uint32_t fallbacks;
	int fallback_error;
	char fallback_reason[192];
	uint64_t jobs, cycles;		/* of a processor that was lost */
};

/* Shared memory when there is no processor. */
static int own_io(struct accel_session *s)
{
	size_t size = s->batch * sizeof(int32_t), at;
	char *p;

	size = (size + 63) / 64 * 64;
	at = size;
	for (int i = 0; i < BUF_SHARED; i++)
		size += sizeof(float) * s->batch * model_buf_cols(s->m, i);
	p = calloc(1, size);
	if (!p)
		return fail(-ENOMEM, "no memory for activations");
	s->io_memory = p;
	s->io.ids = (int32_t *)p;
	for (int i = 0; i < BUF_SHARED; i++) {
		s->io.buf[i] = (float *)(p + at);
		at += sizeof(float) * s->batch * model_buf_cols(s->m, i);
	}
	return 0;
}

static int load_device(struct accel_session *s, struct accel_dev *dev)
{
	uint64_t done = 0, total = 0;
	int err;

	err = exec_dev_new(s->m, dev, s->batch, s->ctx, &s->dev, &s->io);
	if (err)
		return err;
	s->batch = exec_dev_batch(s->dev);
	for (uint32_t i = 0; i < s->m->n_layers; i++)
		if (s->on_device[i])
			total += layer_weight_bytes(&s->m->layers[i]);
	for (uint32_t i = 0; i < s->m->n_layers; i++) {
		if (!s->on_device[i])
			continue;
		err = exec_dev_add(s->dev, i);
		if (err)
			return err;
		done += layer_weight_bytes(&s->m->layers[i]);
		if (s->opts.progress)
			s->opts.progress(s->opts.progress_arg, done, total);
	}
	return 0;
}

static int load_cpu(struct accel_session *s)
{
	int err = 0;

	for (uint32_t i = 0; i < s->m->n_layers && !err; i++) {
		if (s->on_device[i])
			continue;
		if (!s->cpu)
			err = exec_cpu_new(s->m, s->batch, s->ctx, s->opts.threads, s->opts.isa, &s->cpu);
		if (!err)
			err = exec_cpu_add(s->cpu, i);
	}
	return err;
}

static void forget_device(struct accel_session *s)
{
	if (!s->dev)
		return;
	s->jobs += exec_dev_jobs(s->dev);
	s->cycles += exec_dev_cycles(s->dev);
	exec_dev_free(s->dev);
	s->dev = NULL;
	memset(&s->io, 0, sizeof(s->io));
}

/* From now on everything runs on the CPU; err is why. */
static int fall_back(struct accel_session *s, int err)
{
	s->fallbacks++;
	s->fallback_error = err;
	snprintf(s->fallback_reason, sizeof(s->fallback_reason), "%s", accel_error());
	forget_device(s);
	memset(s->on_device, 0, sizeof(bool) * s->m->n_layers);
	err = own_io(s);
	return err ? err : load_cpu(s);
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
	s = calloc(1, sizeof(*s));
	if (!s)
		return fail(-ENOMEM, "no memory for a session");
	s->m = m;
	s->plan = plan;
	if (opts)
		memcpy(&s->opts, opts, opts->sz);
	s->ctx = accel_plan_ctx(plan);
	s->batch = plan_batch(plan);
	s->on_device = calloc(m->n_layers, sizeof(bool));
	s->freq = calloc(m->rot / 2 + 1, sizeof(*s->freq));
	s->tokens = calloc(s->ctx, sizeof(*s->tokens));
	if (!s->on_device || !s->freq || !s->tokens) {
		fail(-ENOMEM, "no memory for a session");
		goto fail;
	}
	rope_frequencies(m, s->freq);
	for (uint32_t i = 0; i < m->n_layers; i++) {
		s->on_device[i] = plan_on_device(plan, i);
		any |= s->on_device[i];
	}
	if (any && !dev) {
		err = fail(-EINVAL, "the plan puts layers on a processor but none was given");
		goto fail;
	}
	err = any ? load_device(s, dev) : own_io(s);
	if (err && any && !s->opts.strict && err != -EINVAL)
		err = fall_back(s, err);
	else if (!err)
		err = load_cpu(s);
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
	free(s->freq);
	free(s->tokens);
	free(s->logits);
	free(s);
}

/* Runs all layers on one batch whose tokens are in s->tokens from b->pos on. */
static int run_batch(struct accel_session *s, const struct batch *b)
{
	uint32_t layers = s->m->n_layers;

	memcpy(s->io.ids, s->tokens + b->pos, b->n * sizeof(int32_t));
	for (uint32_t i = 0; i < b->n; i++)
		rope_row(s->io.buf[BUF_CS] + (size_t)i * s->m->rot, s->freq, s->m->rot / 2, b->pos + i);
	for (uint32_t i = 0, end; i < layers; i = end) {
		int err;

		end = i + 1;
		if (s->on_device[i]) {
			while (end < layers && s->on_device[end])
				end++;
			err = exec_dev_run(s->dev, i, end - 1, b);
		} else {
			err = exec_cpu_run(s->cpu, i, b, &s->io);
		}
		if (err)
			return err;
	}
	return 0;
}

/* After a fallback: everything that the lost KV cache held. */
static int recompute(struct accel_session *s, uint32_t until)
{
	int err = 0;

	for (uint32_t pos = 0; pos < until && !err; pos += s->batch) {
		struct batch b = { .n = until - pos, .pos = pos };

		if (b.n > s->batch)
			b.n = s->batch;
		err = run_batch(s, &b);
	}
	return err;
}

static int run_batch_or_fall_back(struct accel_session *s, const struct batch *b)
{
	int err = run_batch(s, b);

	if (!err || !s->dev || s->opts.strict)
		return err;
	err = fall_back(s, err);
	if (!err)
		err = recompute(s, b->pos);
	return err ? err : run_batch(s, b);
}

static int check_tokens(const struct accel_session *s, const int32_t *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (tokens[i] < 0 || (uint32_t)tokens[i] >= s->m->n_vocab)
			return fail(-EINVAL, "token %d is not in the vocabulary of %u tokens", tokens[i],
				    s->m->n_vocab);
	if (n > s->ctx - s->n)
		return fail(-ENOSPC, "%zu more tokens do not fit: %u of the context's %u positions are used; choose a larger --ctx",
			    n, s->n, s->ctx);
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

int accel_session_eval(struct accel_session *s, const int32_t *tokens, size_t n,
		       enum accel_logits which, const float **logits)
{
	size_t vocab = s->m->n_vocab, rows = which == ACCEL_LOGITS_ALL ? n : which == ACCEL_LOGITS_LAST;
	float *to;
	int err = check_tokens(s, tokens, n);

	if (err || !n)
		return err;
	err = grow_logits(s, rows * vocab);
	if (err)
		return err;
	to = s->logits;
	memcpy(s->tokens + s->n, tokens, n * sizeof(*tokens));
	for (size_t done = 0; done < n;) {
		struct batch b = { .pos = s->n + done };

		b.n = n - done < s->batch ? n - done : s->batch;
		b.logits = which == ACCEL_LOGITS_ALL ? b.n :
			   which == ACCEL_LOGITS_LAST && done + b.n == n ? 1 : 0;
		err = run_batch_or_fall_back(s, &b);
		if (err)
			return err;
		memcpy(to, s->io.buf[BUF_LOGITS], b.logits * vocab * sizeof(float));
		to += b.logits * vocab;
		done += b.n;
	}
	s->n += n;
	if (logits)
		*logits = rows ? s->logits : NULL;
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
	memset(st, 0, sizeof(*st));
	for (uint32_t i = 0; i < s->m->n_layers; i++)
		if (s->on_device[i])
			st->layers_device++;
		else
			st->layers_cpu++;
	st->positions = s->n;
	st->fallbacks = s->fallbacks;
	st->fallback_error = s->fallback_error;
	memcpy(st->fallback_reason, s->fallback_reason, sizeof(st->fallback_reason));
	st->device_jobs = s->jobs + (s->dev ? exec_dev_jobs(s->dev) : 0);
	st->device_cycles = s->cycles + (s->dev ? exec_dev_cycles(s->dev) : 0);
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
		layer->reason = ACCEL_REASON_LOST;
		snprintf(layer->detail, sizeof(layer->detail), "%.127s", s->fallback_reason);
	}
	return err;
}
