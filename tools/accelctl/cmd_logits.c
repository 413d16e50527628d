// SPDX-License-Identifier: MIT
/* accelctl logits: every position's logits in a file, for tests and comparisons.
 * "LGT1", u32 tokens, u32 vocabulary, i32 ids[tokens], f32 logits[tokens][vocabulary];
 * little endian. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compute.h"

#define DEFAULT_TOKENS 24
#define READER_GONE (-1)	/* in place of an exit code: nothing more can be written */

struct out {
	const char *path;
	FILE *f;
	bool is_stdout, is_new;
};

/* The file is not cut before there is something to write: until then an old one is kept. */
static int open_out(struct out *out)
{
	int fd;

	out->is_stdout = !strcmp(out->path, "-");
	if (out->is_stdout) {
		out->f = stdout;
		return EXIT_OK;
	}
	out->is_new = access(out->path, F_OK);
	fd = open(out->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	out->f = fd < 0 ? NULL : fdopen(fd, "wb");
	return out->f ? EXIT_OK : complain(EXIT_FAILED, "%s cannot be made: %s", out->path, strerror(errno));
}

static int cut_out(const struct out *out)
{
	/* What is no file, such as a pipe, cannot be cut and need not be. */
	return out->is_stdout || !ftruncate(fileno(out->f), 0) || errno == EINVAL ? EXIT_OK :
	       complain(EXIT_FAILED, "%s could not be written: %s", out->path, strerror(errno));
}

static int close_out(struct out *out, int rc)
{
	if (out->is_stdout || !out->f)
		return rc;
	if (fclose(out->f) && !rc)
		rc = complain(EXIT_FAILED, "%s could not be written: %s", out->path, strerror(errno));
	if (rc && out->is_new)
		unlink(out->path);
	return rc;
}

static int put(const struct out *out, const void *data, size_t size)
{
	int rc = EXIT_OK;

	if (out->is_stdout)	/* a reader that has gone is no failure, but the end */
		return write_output(data, size, &rc) ? EXIT_OK : rc ? rc : READER_GONE;
	return !size || fwrite(data, size, 1, out->f) == 1 ? EXIT_OK :
	       complain(EXIT_FAILED, "%s could not be written: %s", out->path, strerror(errno));
}

static int put_head(const struct out *out, uint32_t vocab, const int32_t *tokens, uint32_t n)
{
	uint32_t head[2] = { n, vocab };
	int rc = cut_out(out);

	if (!rc)
		rc = put(out, "LGT1", 4);
	if (!rc)
		rc = put(out, head, sizeof(head));
	return rc ? rc : put(out, tokens, n * sizeof(*tokens));
}

static int write_logits(bool step, struct running *r, const int32_t *tokens, size_t n,
			const struct out *out)
{
	uint32_t vocab = r->model_info.n_vocab;
	size_t per = step ? 1 : n;
	int rc = EXIT_OK;

	for (size_t at = 0; at < n && !rc; at += per) {
		int err = compute_tokens(r, tokens + at, per, ACCEL_WANT_ALL, 0, NULL);

		if (err)
			return complain_compute(err);
		if (!at)
			rc = put_head(out, vocab, tokens, n);
		if (!rc)
			rc = put(out, accel_step_logits(r->step, 0, NULL), per * vocab * sizeof(float));
	}
	return rc;
}

static int check_tokens(const struct running *r, const int32_t *tokens, size_t n)
{
	uint32_t vocab = r->model_info.n_vocab;

	for (size_t i = 0; i < n; i++)
		if ((uint32_t)tokens[i] >= vocab)
			return complain(EXIT_FAILED, "--tokens: token %d is not in the vocabulary of %u tokens",
					tokens[i], vocab);
	if (n > r->plan_info.ctx)
		return complain(EXIT_FAILED, "%zu tokens do not fit into a context of %u positions: --ctx makes it larger",
				n, r->plan_info.ctx);
	return EXIT_OK;
}

/* The same ones for everybody; false: the vocabulary is too small for them. */
static bool default_tokens(int32_t *tokens, uint32_t vocab)
{
	for (uint32_t i = 0; i < DEFAULT_TOKENS && vocab > 3; i++)
		tokens[i] = 3 + (i * i * 7 + i * 13 + 5) % (vocab - 3);
	return vocab > 3;
}

static int report(const struct options *o, const struct running *r, size_t n, const char *path)
{
	struct accel_engine_stats st = compute_stats(r);

	if (st.fallbacks)
		warn("went on on the CPU: %s", st.fallback_reason);
	if (!o->json)
		return EXIT_OK;
	return print_json("logits/2", json_pack("{s:o, s:I, s:i, s:i, s:i, s:i}", "file", json_text(path),
		"tokens", (json_int_t)n, "vocabulary", (int)r->model_info.n_vocab,
		"layers_device", (int)st.layers_device, "layers_cpu", (int)st.layers_cpu,
		"fallbacks", (int)st.fallbacks));
}

int cmd_logits(const struct options *o)
{
	struct options with_ctx = *o;
	struct out out = { .path = o->args[0] };
	int32_t fixed[DEFAULT_TOKENS];
	const int32_t *tokens = o->tokens ? o->tokens : fixed;
	size_t n = o->tokens ? o->n_tokens : DEFAULT_TOKENS;
	struct running r;
	int rc;

	if (o->json && !strcmp(out.path, "-"))
		return complain(EXIT_USAGE, "OUT \"-\" and --output json would both write to standard output: give a file");
	if (!option_given(o, "ctx"))	/* no more than is needed */
		with_ctx.ctx = n;
	rc = compute_model(&with_ctx, &r);
	if (!rc && !o->tokens && !default_tokens(fixed, r.model_info.n_vocab))
		rc = complain(EXIT_FAILED, "a vocabulary of %u has no room for the default tokens; use --tokens",
			      r.model_info.n_vocab);
	if (!rc)
		rc = compute_plan(&with_ctx, false, &r);
	if (!rc)
		rc = check_tokens(&r, tokens, n);
	if (!rc)
		rc = open_out(&out);
	if (!rc)
		rc = compute_begin(&with_ctx, &r);
	if (!rc)
		rc = write_logits(o->step, &r, tokens, n, &out);
	rc = close_out(&out, rc);
	if (rc == READER_GONE)
		rc = EXIT_OK;
	else if (!rc)
		rc = report(o, &r, n, out.path);
	compute_end(&r);
	return rc;
}
