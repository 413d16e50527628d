// SPDX-License-Identifier: MIT
/* accelctl run: text in, text out, one line at the end that says where it was computed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "chat.h"
#include "interrupt.h"
#include "newfile.h"
#include "placement.h"

struct job {
	const struct options *o;
	struct running run;
	struct speech *speech;
	struct summary sum;
	struct bytes prompt;
	int32_t *ids;		/* of it; in a conversation each turn has its own */
	size_t n;
	struct receipt receipt;
	struct newfile receipt_file;
};

/* ---- before anything is computed ---- */

static int check_options(const struct options *o)
{
	static const char *const not_raw[] = { "chat", "system", "chat-format" };
	int rc = prompt_check(o);

	for (size_t i = 0; i < sizeof(not_raw) / sizeof(not_raw[0]) && !rc && o->raw; i++)
		if (option_given(o, not_raw[i]))
			rc = complain(EXIT_USAGE, "--raw completes the prompt as it stands: it does not go with --%s",
				      not_raw[i]);
	if (!rc && o->session && !o->chat)
		rc = complain(EXIT_USAGE, "--session keeps a conversation: it goes with --chat");
	if (!rc && o->chat && o->receipt)
		rc = complain(EXIT_USAGE, "--receipt is for one answer: it does not go with --chat");
	if (!rc && o->chat && o->json)
		rc = complain(EXIT_USAGE, "--chat talks to people or lines of a pipe: it does not go with --output json");
	return rc;
}

/* The tokens of the prompt, put into the chat format if there is one. */
static int encode(struct job *j)
{
	const char *system = prompt_system(j->o);
	struct accel_chat_message list[] = {
		{ "system", system, system ? strlen(system) : 0 }, { "user", j->prompt.s, j->prompt.n },
	};
	int rc;

	if (speech_chat(j->speech))
		rc = speech_encode_chat(j->speech, list + !system, 1 + !!system, 0, &j->ids, &j->n);
	else
		rc = speech_encode(j->speech, &j->prompt, &j->ids, &j->n);
	if (!rc && j->n > j->run.plan_info.ctx)
		rc = complain(EXIT_FAILED, "the prompt has %zu tokens, the context %u positions: --ctx makes it larger",
			      j->n, j->run.plan_info.ctx);
	return rc;
}

static int begin_receipt(struct job *j)
{
	int rc = newfile_open(&j->receipt_file, j->o->receipt, 0666);

	return rc ? rc : receipt_hash_files(j->o->model, &j->run.model_info, &j->receipt.file, &j->receipt.n_files);
}

/* Reads and checks all that is cheaper than loading weights. */
static int prepare(struct job *j)
{
	int rc = check_options(j->o);

	if (!rc)
		rc = compute_model(j->o, &j->run);
	if (!rc)
		rc = speech_new(j->o, &j->run, &j->speech);
	if (!rc)
		rc = compute_plan(j->o, false, &j->run);
	if (!rc) {
		warn_limits(j->o, &j->run);
		/* The format of a file that is but a prompt is nothing to speak of. */
		if (speech_chat(j->speech) && strcmp(accel_chat_name(speech_chat(j->speech)), "octans"))
			j->sum.format = accel_chat_name(speech_chat(j->speech));
		rc = prompt_read(j->o, &j->prompt);
	}
	if (!rc && !j->o->chat)
		rc = encode(j);
	if (!rc && j->o->receipt)
		rc = begin_receipt(j);
	return rc;
}

/* ---- one answer ---- */

/* The answer as its receipt has it: whole, whatever --stop has cut. */
static int receipt_texts(struct job *j)
{
	struct receipt *r = &j->receipt;
	int32_t *ids = malloc((r->n_steps + 1) * sizeof(*ids));
	struct bytes text = { 0 }, prompt = { 0 };
	int rc = ids ? EXIT_OK : complain(EXIT_FAILED, "no memory for a receipt");

	for (size_t i = 0; i < r->n_steps && !rc; i++)
		ids[i] = r->step[i].token;
	if (!rc)
		rc = speech_decode(j->speech, ids, r->n_steps, false, &text);
	if (!rc)
		rc = speech_decode(j->speech, j->ids, j->n, true, &prompt);
	free(ids);
	r->text = text.s;
	r->prompt_text = prompt.s;
	return rc;
}

static int write_receipt(struct job *j)
{
	const struct accel_chat *chat = speech_chat(j->speech);
	struct receipt *r = &j->receipt;
	json_t *doc;
	char *text;
	int rc = receipt_texts(j);

	if (rc)
		return rc;
	r->architecture = strdup(j->run.model_info.arch);
	r->chat_format = chat ? strdup(accel_chat_name(chat)) : NULL;
	r->stop = strdup(stop_name(j->sum.stop));
	r->kv_type = j->o->kv_type;
	r->sampler = *speech_sampling(j->speech);
	r->prompt = j->ids;
	r->n_prompt = j->n;
	j->ids = NULL;
	doc = r->architecture && r->stop ? receipt_json(r, &j->run) : NULL;
	text = doc ? json_dumps(doc, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
	json_decref(doc);
	if (!text)
		return complain(EXIT_FAILED, "no memory for a receipt");
	rc = newfile_write(&j->receipt_file, text, strlen(text));
	if (!rc)
		rc = newfile_write(&j->receipt_file, "\n", 1);
	free(text);
	return rc ? rc : newfile_keep(&j->receipt_file);
}

static int report(struct job *j, struct answer *a, int rc)
{
	const struct options *o = j->o;

	if (o->json) {
		int bad = summary_json(&j->run, &j->sum, o->model, a->text.s ? a->text.s : "", a->text.n,
				       a->failure[0] ? a->failure : NULL);

		rc = rc ? rc : bad;
	} else if (!rc) {
		answer_end_line(a);
		flush_output(&rc);
	}
	if (!rc && j->sum.stop == STOP_CONTEXT)
		note("the context of %u positions is full; --ctx makes it larger", j->run.plan_info.ctx);
	if (!rc && !o->json)
		summary_print(&j->run, &j->sum);
	if (!rc && o->receipt && j->receipt.n_steps)
		rc = write_receipt(j);
	return rc ? rc : interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}

static int complete(struct job *j)
{
	struct answer a = {
		.o = j->o, .run = &j->run, .speech = j->speech, .sum = &j->sum,
		.receipt = j->o->receipt ? &j->receipt : NULL,
	};
	int rc = speech_begin(j->speech, j->ids, j->n, 0);

	interrupt_catch(false);
	if (!rc)
		rc = answer_run(&a, j->ids, j->n);
	rc = report(j, &a, rc);
	free(a.text.s);
	return rc;
}

static int converse(struct job *j)
{
	int rc = chat_run(j->o, &j->run, j->speech, &j->prompt, &j->sum);

	if (j->sum.prompt_tokens && (!rc || rc == EXIT_INTERRUPTED))
		summary_print(&j->run, &j->sum);
	return rc;
}

/* ---- the command ---- */

int cmd_run(const struct options *o)
{
	struct job j = { .o = o, .receipt_file.fd = -1 };
	double t0;
	int rc = prepare(&j);

	if (!rc) {
		t0 = seconds();
		rc = compute_begin(o, &j.run);
		j.sum.load_s = seconds() - t0;
	}
	if (!rc)
		rc = o->chat ? converse(&j) : complete(&j);
	newfile_drop(&j.receipt_file);
	receipt_free(&j.receipt);
	speech_free(j.speech);
	free(j.prompt.s);
	free(j.ids);
	compute_end(&j.run);
	return rc;
}
