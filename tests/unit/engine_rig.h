/* SPDX-License-Identifier: MIT */
/* An engine with one sequence, on the model or on the CPU. */
#ifndef ENGINE_RIG_H
#define ENGINE_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <accel/engine.h>

#include "tap.h"

struct rig {
	struct accel_dev *dev;		/* NULL: the CPU */
	struct accel_plan *plan;
	struct accel_engine *engine;
	struct accel_seq *seq;
	struct accel_step *step;	/* the newest */
};

static inline struct accel_plan_info plan_info(const struct accel_plan *plan)
{
	struct accel_plan_info i = { .sz = sizeof(i) };

	accel_plan_info(plan, &i);
	return i;
}

static inline int rig_plan(struct rig *r, const struct accel_model *m, struct accel_plan_opts po)
{
	struct accel_devinfo info = { .sz = sizeof(info) };
	const struct accel_devinfo *list = &info;

	po.sz = sizeof(po);
	if (r->dev)
		accel_dev_info(r->dev, &info);
	return accel_plan_new(m, &list, r->dev != NULL, &po, &r->plan);
}

static inline void rig_stop(struct rig *r)
{
	accel_step_free(r->step);
	accel_seq_free(r->seq);
	accel_engine_free(r->engine);
	r->step = NULL;
	r->seq = NULL;
	r->engine = NULL;
}

static inline int rig_engine(struct rig *r, const struct accel_engine_opts *o)
{
	int err = accel_engine_new(r->plan, &r->dev, r->dev != NULL, o, &r->engine);

	if (!err)
		err = accel_seq_new(r->engine, &r->seq);
	if (err)
		rig_stop(r);
	return err;
}

static inline void rig_start(struct rig *r, const struct accel_model *m, struct accel_plan_opts po,
			     const struct accel_engine_opts *o)
{
	if (rig_plan(r, m, po) || rig_engine(r, o))
		printf("# %s\n", accel_error());
}

/* spec NULL: the CPU. */
static inline struct rig rig_new(const struct accel_model *m, const char *spec, struct accel_plan_opts po,
				 const struct accel_engine_opts *o)
{
	struct rig r = { 0 };

	if (!spec || !accel_open(spec, &r.dev))
		rig_start(&r, m, po, o);
	ok(r.engine != NULL, "an engine on %s", spec ? spec : "the CPU");
	return r;
}

static inline void rig_free(struct rig *r)
{
	rig_stop(r);
	accel_plan_free(r->plan);
	accel_close(r->dev);
}

static inline struct accel_engine_stats rig_stats(const struct rig *r)
{
	struct accel_engine_stats st = { .sz = sizeof(st) };

	accel_engine_stats(r->engine, &st);
	return st;
}

static inline int rig_run(struct rig *r, struct accel_input in)
{
	struct accel_step *step;
	int err;

	in.sz = sizeof(in);
	in.seq = r->seq;
	err = accel_step_run(r->engine, &in, 1, NULL, &step);
	accel_step_free(r->step);
	r->step = step;
	return err;
}

/* logits: until the next. */
static inline int rig_eval(struct rig *r, const int32_t *tokens, uint32_t n, enum accel_want want,
			   const float **logits)
{
	int err = rig_run(r, (struct accel_input) { .tokens = tokens, .n = n, .want = want });

	if (logits)
		*logits = err ? NULL : accel_step_logits(r->step, 0, NULL);
	return err;
}

static inline int rig_top(struct rig *r, const int32_t *tokens, uint32_t n, uint32_t k, int32_t *ids,
			  float *values)
{
	const int32_t *i;
	const float *v;
	int err = rig_run(r, (struct accel_input) {
		.tokens = tokens, .n = n, .want = ACCEL_WANT_TOP, .top = k,
	});

	if (err)
		return err;
	accel_step_top(r->step, 0, &i, &v);
	memcpy(ids, i, k * sizeof(*ids));
	memcpy(values, v, k * sizeof(*values));
	return 0;
}

#endif
