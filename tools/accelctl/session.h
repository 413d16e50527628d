/* SPDX-License-Identifier: MIT */
/* One sequence on one engine. */
#ifndef ACCELCTL_SESSION_H
#define ACCELCTL_SESSION_H

#include <accel/engine.h>

struct accel_session;
enum accel_logits { ACCEL_LOGITS_NONE = 0, ACCEL_LOGITS_LAST, ACCEL_LOGITS_ALL };

int session_new(const struct accel_plan *plan, struct accel_dev *dev, const struct accel_engine_opts *opts,
		struct accel_session **out);
void session_free(struct accel_session *s);
struct accel_engine *session_engine(const struct accel_session *s);
struct accel_seq *session_seq(const struct accel_session *s);
int session_eval(struct accel_session *s, const int32_t *tokens, size_t n, enum accel_logits which,
		 const float **logits);
int session_eval_top(struct accel_session *s, const int32_t *tokens, size_t n, uint32_t k, int32_t *ids,
		     float *values);

#endif
