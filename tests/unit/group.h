/* SPDX-License-Identifier: MIT */
/* Engines whose layers several processors share, and the models that are tried. */
#ifndef UNIT_GROUP_H
#define UNIT_GROUP_H

#include <stdlib.h>
#include <string.h>

#include "subjects.h"
/* It has a struct build of its own. */
#define build layer_build
#include "engine/engine.h"
#undef build

#define SUBJECTS 4

/* False: there are no models. */
static bool subjects_load(struct subject s[SUBJECTS])
{
	const struct llama_build small = {
		.type = ACCEL_Q8_0, .blocks = 3, .embd = 96, .heads = 6, .kv_heads = 3, .ff = 160, .vocab = 301, .ctx = 128,
	};

	s[0] = (struct subject) { .name = "llama", .shares = 7 };
	s[1] = (struct subject) { .name = "experts", .shares = 7 };
	s[2] = (struct subject) { .name = "demo", .shares = 9 };
	s[3] = (struct subject) { .name = "kinds", .shares = 9 };
	if (!demo_load() || load(&small, &s[0].m) || load_experts(&s[1].m) ||
	    accel_model_load("models/octans-kinds.gguf", &s[3].m))
		return ok(false, "no models: %s", accel_error());
	s[2].m = model;
	for (uint32_t i = 0; i < SUBJECTS; i++)
		compute_alone(&s[i]);
	return true;
}

static void subjects_free(struct subject s[SUBJECTS])
{
	for (uint32_t i = 0; i < SUBJECTS; i++) {
		for (uint32_t k = 0; k < SEQS; k++)
			free(s[i].alone[k]);
		accel_model_free(s[i].m);
	}
}

struct group {
	const struct subject *s;
	struct accel_dev *dev[CARDS];
	uint32_t n;
	uint32_t batch;
	enum accel_split split;
	enum accel_kv_type kv_type;
	struct accel_plan *plan;
	struct accel_engine *engine;
	struct accel_seq *seq[SEQS];
};

#define SIM "sim:rings=1,threads=1"

/* fault: for processor `faulty` alone, as ACCEL_SIM_CONTROL. */
static inline struct group group_open(const struct subject *s, uint32_t n, const char *spec, uint32_t faulty, const char *fault)
{
	struct group g = { .s = s, .batch = 4, .split = ACCEL_SPLIT_TENSOR };

	for (; g.n < n; g.n++) {
		if (fault && g.n == faulty)
			setenv("ACCEL_SIM_CONTROL", fault, 1);
		ok(!accel_open(g.n ? spec : SIM, &g.dev[g.n]), "processor %u", g.n);
		unsetenv("ACCEL_SIM_CONTROL");
	}
	return g;
}

static inline int group_plan(struct group *g)
{
	struct accel_devinfo info[CARDS];
	const struct accel_devinfo *list[CARDS];
	struct accel_plan_opts po = {
		.sz = sizeof(po), .ctx = 96, .seqs = SEQS, .batch = g->batch, .page = 1u << (2 + roll(4)),
		.kv_type = g->kv_type, .split = g->split,
	};

	for (uint32_t i = 0; i < g->n; i++) {
		info[i].sz = sizeof(info[i]);
		accel_dev_info(g->dev[i], &info[i]);
		list[i] = &info[i];
	}
	return accel_plan_new(g->s->m, list, g->n, &po, &g->plan);
}

static inline int group_engine(struct group *g, struct accel_engine_opts o)
{
	int err;

	o.sz = sizeof(o);
	o.threads = 1;
	err = accel_engine_new(g->plan, g->dev, g->n, &o, &g->engine);
	for (uint32_t i = 0; i < SEQS && !err; i++)
		err = accel_seq_new(g->engine, &g->seq[i]);
	if (err)
		printf("# %s\n", accel_error());
	return err;
}

static inline int group_start(struct group *g, struct accel_engine_opts o)
{
	int err = group_plan(g);

	return err ? err : group_engine(g, o);
}

static inline void group_stop(struct group *g)
{
	for (uint32_t i = 0; i < SEQS; i++)
		accel_seq_free(g->seq[i]);
	accel_engine_free(g->engine);
	accel_plan_free(g->plan);
	for (uint32_t i = 0; i < g->n; i++)
		accel_close(g->dev[i]);
}

static inline struct accel_engine_stats stats(const struct group *g)
{
	struct accel_engine_stats st = { .sz = sizeof(st) };

	accel_engine_stats(g->engine, &st);
	return st;
}

static inline struct accel_layer planned(const struct group *g, uint32_t layer)
{
	struct accel_layer a = { .sz = sizeof(a) };

	accel_plan_layer(g->plan, layer, &a);
	return a;
}

static inline struct accel_layer layer_now(const struct group *g, uint32_t layer)
{
	struct accel_layer a = { .sz = sizeof(a) };

	accel_engine_layer(g->engine, layer, &a);
	return a;
}

static inline uint32_t count_shared(const struct group *g, bool now)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->s->info.n_layers; i++)
		n += (now ? layer_now(g, i) : planned(g, i)).shared != 0;
	return n;
}

static inline struct accel_input input(const struct group *g, uint32_t seq, uint32_t pos, uint32_t n, enum accel_want want)
{
	return (struct accel_input) {
		.sz = sizeof(struct accel_input), .seq = g->seq[seq], .tokens = g->s->text[seq] + pos, .n = n,
		.want = want,
	};
}

static inline int eval(const struct group *g, uint32_t seq, uint32_t pos, uint32_t n, bool *same)
{
	const struct accel_input in = input(g, seq, pos, n, ACCEL_WANT_ALL);
	struct accel_step *step = NULL;
	int err = accel_step_run(g->engine, &in, 1, NULL, &step);

	*same = !err && same_rows(g->s, seq, pos, accel_step_logits(step, 0, NULL), n);
	accel_step_free(step);
	return err;
}

/* All sequences at once, in steps of random lengths. */
static inline bool eval_all(const struct group *g)
{
	uint32_t at[SEQS] = { 0 };
	bool same = true;

	for (uint32_t round = 0; round < 100 && same; round++) {
		struct accel_input in[SEQS];
		uint32_t of[SEQS], n = 0;
		struct accel_step *step = NULL;

		for (uint32_t i = 0; i < SEQS; i++) {
			uint32_t k = at[i] < LENGTH ? roll((LENGTH - at[i] < 30 ? LENGTH - at[i] : 30) + 1) : 0;

			if (!k)
				continue;
			of[n] = i;
			in[n++] = input(g, i, at[i], k, roll(2) ? ACCEL_WANT_ALL : ACCEL_WANT_LAST);
		}
		if (n && accel_step_run(g->engine, in, n, NULL, &step))
			return false;
		for (uint32_t k = 0; k < n; k++) {
			uint32_t i = of[k], rows;
			const float *logits = accel_step_logits(step, k, &rows);

			same = same && same_rows(g->s, i, at[i] + in[k].n - rows, logits, rows);
			at[i] += in[k].n;
		}
		accel_step_free(step);
	}
	return same;
}

/* Takes what is free of a processor, but for so much. */
static inline struct accel_bo *fill(struct accel_dev *dev, uint64_t but)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	struct accel_bo *bo = NULL;

	ok(!accel_dev_info(dev, &info) &&
	   !accel_bo_new(dev, info.memory_size - info.memory_used - but, ACCEL_BO_DEVICE, "full", &bo), "%s is full", info.name);
	return bo;
}

#endif
