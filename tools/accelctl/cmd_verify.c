// SPDX-License-Identifier: MIT
/* accelctl verify: computes what a receipt says was computed, and says where it differs. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"
#include "receipt.h"
#include "speech.h"
#include "summary.h"

/* Rows of logits that are held at once. */
#define ROW_BYTES (32u << 20)

struct check {
	const struct options *o;
	const char *name;	/* of the receipt's file */
	struct options with;	/* o, and what the receipt decides */
	struct running run;
	struct speech *speech;
	struct receipt receipt;
	struct receipt_file *file;	/* the model's, as they are here */
	size_t n_files;
	size_t verified;	/* steps that agree */
	const char *what;	/* that differs, NULL: nothing yet */
	char detail[512];
};

/* That is no failure to compute, but the answer. */
static int differs(struct check *c, const char *what, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int differs(struct check *c, const char *what, const char *fmt, ...)
{
	va_list ap;

	c->what = what;
	va_start(ap, fmt);
	vsnprintf(c->detail, sizeof(c->detail), fmt, ap);
	va_end(ap);
	return EXIT_SELF_TEST;
}

/* ---- the receipt and the model ---- */

static int read_receipt(struct check *c)
{
	struct bytes text = { 0 };
	char why[256];
	int rc = bytes_read(c->name, "receipt", &text);

	if (!rc && receipt_read(text.s ? text.s : "", text.n, &c->receipt, why, sizeof(why)))
		rc = complain(EXIT_FAILED, "the receipt %s cannot be checked: %s", c->name, why);
	free(text.s);
	c->with.kv_type = c->receipt.kv_type;
	c->with.ctx = c->receipt.n_prompt + c->receipt.n_steps;
	return rc;
}

static int compare_model(struct check *c)
{
	const struct receipt *r = &c->receipt;
	int rc;

	if (strcmp(r->architecture, c->run.model_info.arch))
		return differs(c, "model", "the model is of architecture %s, the receipt's of %s", c->run.model_info.arch,
			       r->architecture);
	rc = receipt_hash_files(c->o->model, &c->run.model_info, &c->file, &c->n_files);
	if (rc)
		return rc;
	if (c->n_files != r->n_files)
		return differs(c, "model", "the model has %zu files, the receipt's had %zu", c->n_files, r->n_files);
	for (size_t i = 0; i < c->n_files; i++) {
		const struct receipt_file *here = &c->file[i], *there = &r->file[i];

		if (here->bytes != there->bytes || strcmp(here->sha256, there->sha256))
			return differs(c, "model", "the model differs: %s has %llu bytes of SHA-256 %s, the receipt's %.80s %llu of %s",
				       here->name, (unsigned long long)here->bytes, here->sha256, there->name,
				       (unsigned long long)there->bytes, there->sha256);
	}
	return EXIT_OK;
}

static int check_tokens(struct check *c)
{
	const struct receipt *r = &c->receipt;
	uint32_t vocab = c->run.model_info.n_vocab;

	for (size_t i = 0; i < r->n_prompt; i++)
		if ((uint32_t)r->prompt[i] >= vocab)
			return differs(c, "prompt", "token %zu of the prompt, %d, is not one of the model's %u", i + 1,
				       r->prompt[i], vocab);
	for (size_t i = 0; i < r->n_steps; i++)
		if ((uint32_t)r->step[i].token >= vocab)
			return differs(c, "token", "token %zu of %zu, %d, is not one of the model's %u", i + 1, r->n_steps,
				       r->step[i].token, vocab);
	return EXIT_OK;
}

static int prepare(struct check *c)
{
	int rc = compute_model(&c->with, &c->run);

	if (!rc)
		rc = compare_model(c);
	if (!rc)
		rc = check_tokens(c);
	if (!rc)
		rc = speech_again(&c->run, &c->receipt.sampler, c->receipt.chat_format, &c->speech);
	if (!rc)
		rc = speech_begin(c->speech, c->receipt.prompt, c->receipt.n_prompt, 0);
	if (!rc)
		rc = compute_plan(&c->with, false, &c->run);
	return rc ? rc : compute_begin(&c->with, &c->run);
}

/* ---- computing ---- */

static int compare_step(struct check *c, size_t i, const float *row)
{
	const struct receipt_step *step = &c->receipt.step[i];
	char hash[SHA256_TEXT];
	int64_t id;

	receipt_hash_row(row, c->run.model_info.n_vocab, hash);
	if (strcmp(hash, step->logits))
		return differs(c, "logits", "token %zu of %zu differs: its logits have the SHA-256 %s here, %s in the receipt",
			       i + 1, c->receipt.n_steps, hash, step->logits);
	id = speech_choose(c->speech, row, NULL, NULL, 0);
	if (id < 0)
		return -1 - id;
	if (id != step->token)
		return differs(c, "token", "token %zu of %zu differs: %lld is chosen here, %d in the receipt, of the same logits",
			       i + 1, c->receipt.n_steps, (long long)id, step->token);
	c->verified++;
	return EXIT_OK;
}

/* Computes tokens, the last ones of which give the logits of steps from `first` on. */
static int compare_chunk(struct check *c, const int32_t *tokens, size_t n, size_t first)
{
	int err = compute_tokens(&c->run, tokens, n, ACCEL_WANT_ALL, 0, &interrupted), rc = EXIT_OK;
	const float *rows;

	if (err)
		return err == -EINTR ? EXIT_INTERRUPTED : complain_compute(err);
	rows = accel_step_logits(c->run.step, 0, NULL);
	for (size_t i = 0; i < n && !rc; i++)
		rc = compare_step(c, first + i, rows + i * c->run.model_info.n_vocab);
	return rc;
}

/* All steps as one prompt, which gives the same bits and is faster. */
static int compare_steps(struct check *c)
{
	const struct receipt *r = &c->receipt;
	size_t per = ROW_BYTES / sizeof(float) / c->run.model_info.n_vocab, part;
	int32_t *tokens = malloc(r->n_steps * sizeof(*tokens));
	int err = 0, rc = EXIT_OK;

	if (!tokens)
		return complain(EXIT_FAILED, "no memory for %zu tokens", r->n_steps);
	tokens[0] = r->prompt[r->n_prompt - 1];
	for (size_t i = 1; i < r->n_steps; i++)
		tokens[i] = r->step[i - 1].token;
	if (r->n_prompt > 1)
		err = compute_tokens(&c->run, r->prompt, r->n_prompt - 1, ACCEL_WANT_NOTHING, 0, &interrupted);
	if (err)
		rc = err == -EINTR ? EXIT_INTERRUPTED : complain_compute(err);
	per = per ? per : 1;
	for (size_t at = 0; at < r->n_steps && !rc; at += part) {
		part = r->n_steps - at < per ? r->n_steps - at : per;
		rc = compare_chunk(c, tokens + at, part, at);
	}
	free(tokens);
	return rc;
}

/* ---- what is said for people ---- */

static int compare_text(struct check *c, const char *what, const int32_t *ids, size_t n, bool special, const char *claim)
{
	struct bytes text = { 0 };
	int rc = speech_decode(c->speech, ids, n, special, &text);
	json_t *j = rc ? NULL : json_text(text.s ? text.s : "");

	if (!rc && !j)
		rc = complain(EXIT_FAILED, "no memory for the text");
	if (!rc && strcmp(json_string_value(j), claim))
		rc = differs(c, "text", "the text of the %s is \"%.100s\", the receipt says \"%.100s\"", what,
			     json_string_value(j), claim);
	json_decref(j);
	free(text.s);
	return rc;
}

static int compare_texts(struct check *c)
{
	const struct receipt *r = &c->receipt;
	bool says_end = !strcmp(r->stop, stop_name(STOP_END)), ends;
	int32_t *ids = malloc(r->n_steps * sizeof(*ids));
	int rc;

	if (!ids)
		return complain(EXIT_FAILED, "no memory for %zu tokens", r->n_steps);
	for (size_t i = 0; i < r->n_steps; i++)
		ids[i] = r->step[i].token;
	ends = speech_ends(c->speech, ids[r->n_steps - 1]);
	rc = compare_text(c, "prompt", r->prompt, r->n_prompt, true, r->prompt_text);
	if (!rc)
		rc = compare_text(c, "answer", ids, r->n_steps, false, r->text);
	if (!rc && says_end && !ends)
		rc = differs(c, "stop", "the model had not ended its answer, the receipt says \"%s\"", r->stop);
	free(ids);
	return rc;
}

/* ---- the command ---- */

static int report_json(const struct check *c)
{
	struct accel_engine_stats st = { 0 };
	json_t *difference = c->what ? json_pack("{s:s, s:i, s:o}", "what", c->what, "step", (int)c->verified + 1,
						 "detail", json_text(c->detail)) : json_null();

	if (c->run.engine)
		st = compute_stats(&c->run);
	return print_json("verify/1", json_pack("{s:o, s:b, s:i, s:i, s:o, s:i, s:i, s:i, s:s}", "receipt",
		json_text(c->name), "verified", !c->what, "steps", (int)c->receipt.n_steps, "steps_verified",
		(int)c->verified, "difference", difference, "layers_device", (int)st.layers_device, "layers_cpu",
		(int)st.layers_cpu, "fallbacks", (int)st.fallbacks, "isa", st.isa));
}

static int report(const struct check *c)
{
	char where[256];
	int rc = EXIT_OK;

	if (c->o->json)
		rc = report_json(c);
	if (c->what)
		return rc ? rc : complain(EXIT_SELF_TEST, "%s: %s", c->name, c->detail);
	if (!c->o->json) {
		summary_where(&c->run, where, sizeof(where));
		printf("verified: %zu token%s, %s\n", c->verified, c->verified == 1 ? "" : "s", where);
	}
	summary_warn(&c->run);
	return rc;
}

int cmd_verify(const struct options *o)
{
	struct check c = { .o = o, .name = o->args[0], .with = *o };
	int rc = read_receipt(&c);

	if (!rc) {
		interrupt_catch(false);
		rc = prepare(&c);
	}
	if (!rc)
		rc = compare_steps(&c);
	if (!rc)
		rc = compare_texts(&c);
	if (!rc || c.what)
		rc = report(&c);
	receipt_free_files(c.file, c.n_files);
	receipt_free(&c.receipt);
	speech_free(c.speech);
	compute_end(&c.run);
	return rc;
}
