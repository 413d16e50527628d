// SPDX-License-Identifier: MIT
/* accelctl logits: every position's logits in a file, for tests and comparisons.
 * "LGT1", u32 tokens, u32 vocabulary, i32 ids[tokens], f32 logits[tokens][vocabulary];
 * little endian. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accelctl.h"

#define DEFAULT_TOKENS 24

static int write_rows(FILE *f, const void *data, size_t size)
{
	return size && fwrite(data, size, 1, f) != 1 ? -1 : 0;
}

static int write_logits(const struct options *o, struct accel_session *s, uint32_t vocab,
			const int32_t *tokens, size_t n, FILE *f)
{
	uint32_t head[2] = { n, vocab };
	size_t per = o->step ? 1 : n;
	int bad = write_rows(f, "LGT1", 4) || write_rows(f, head, sizeof(head)) ||
		  write_rows(f, tokens, n * sizeof(*tokens));

	for (size_t at = 0; at < n && !bad; at += per) {
		const float *logits;
		int err = session_eval(s, tokens + at, per, ACCEL_LOGITS_ALL, &logits);

		if (err)
			return complain_eval(err);
		bad = write_rows(f, logits, per * vocab * sizeof(float));
	}
	return bad ? complain(EXIT_FAILED, "%s could not be written: %s", o->args[1], strerror(errno)) :
	       EXIT_OK;
}

int cmd_logits(const struct options *o)
{
	struct options with_ctx = *o;
	struct accel_engine_stats st;
	struct accel_model_info mi;
	int32_t fixed[DEFAULT_TOKENS];
	const int32_t *tokens = o->tokens;
	size_t n = o->n_tokens;
	struct running r;
	FILE *f = NULL;
	int rc;

	if (!with_ctx.ctx)	/* no more than is needed */
		with_ctx.ctx = n ? n : DEFAULT_TOKENS;
	rc = open_session(&with_ctx, o->args[0], false, &r);
	if (rc)
		goto out;
	accel_model_info(r.model, &mi);
	if (!n) {
		if (mi.n_vocab <= 3) {
			rc = complain(EXIT_FAILED, "a vocabulary of %u has no room for the default tokens; use --tokens",
				      mi.n_vocab);
			goto out;
		}
		for (uint32_t i = 0; i < DEFAULT_TOKENS; i++)
			fixed[i] = 3 + (i * i * 7 + i * 13 + 5) % (mi.n_vocab - 3);
		tokens = fixed;
		n = DEFAULT_TOKENS;
	}
	f = fopen(o->args[1], "wb");
	if (!f) {
		rc = complain(EXIT_FAILED, "%s cannot be made: %s", o->args[1], strerror(errno));
		goto out;
	}
	rc = write_logits(o, r.session, mi.n_vocab, tokens, n, f);
	if (fclose(f) && !rc)
		rc = complain(EXIT_FAILED, "%s could not be written: %s", o->args[1], strerror(errno));
	st = stats_of(r.session);
	if (st.fallbacks)
		fprintf(stderr, "accelctl: went on on the CPU: %s\n", st.fallback_reason);
	if (!rc && o->json)
		rc = print_json("logits", json_pack("{s:s, s:I, s:i, s:i, s:i, s:i}", "file", o->args[1],
			"tokens", (json_int_t)n, "vocabulary", (int)mi.n_vocab,
			"layers_device", (int)st.layers_device, "layers_cpu", (int)st.layers_cpu,
			"fallbacks", (int)st.fallbacks));
out:
	close_session(&r);
	return rc;
}
