// SPDX-License-Identifier: MIT
/* One sequence on one engine, and the results of its newest step. */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct accel_session {
	struct accel_engine *engine;
	struct accel_seq *seq;
	struct accel_step *step;	/* the newest, whose results may be looked at */
};

int session_new(const struct accel_plan *plan, struct accel_dev *dev, const struct accel_engine_opts *opts,
		struct accel_session **out)
{
	struct accel_plan_info info = { .sz = sizeof(info) };
	struct accel_session *s = calloc(1, sizeof(*s));
	int err;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	accel_plan_info(plan, &info);
	err = accel_engine_new(plan, &dev, info.devices, opts, &s->engine);
	if (!err)
		err = accel_seq_new(s->engine, &s->seq);
	if (err) {
		session_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void session_free(struct accel_session *s)
{
	if (!s)
		return;
	accel_step_free(s->step);
	accel_seq_free(s->seq);
	accel_engine_free(s->engine);
	free(s);
}

struct accel_engine *session_engine(const struct accel_session *s)
{
	return s->engine;
}

struct accel_seq *session_seq(const struct accel_session *s)
{
	return s->seq;
}

static int run(struct accel_session *s, struct accel_input in)
{
	accel_step_free(s->step);
	s->step = NULL;
	in.seq = s->seq;
	return accel_step_run(s->engine, &in, 1, NULL, &s->step);
}

int session_eval(struct accel_session *s, const int32_t *tokens, size_t n, enum accel_logits which,
		 const float **logits)
{
	int err = run(s, (struct accel_input) { .tokens = tokens, .n = n, .want = (enum accel_want)which });

	if (logits)
		*logits = err ? NULL : accel_step_logits(s->step, 0, NULL);
	return err;
}

int session_eval_top(struct accel_session *s, const int32_t *tokens, size_t n, uint32_t k, int32_t *ids,
		     float *values)
{
	int err = run(s, (struct accel_input) { .tokens = tokens, .n = n, .want = ACCEL_WANT_TOP, .top = k });
	const int32_t *i;
	const float *v;

	if (err)
		return err;
	accel_step_top(s->step, 0, &i, &v);
	memcpy(ids, i, k * sizeof(*ids));
	memcpy(values, v, k * sizeof(*values));
	return 0;
}
