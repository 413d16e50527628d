// SPDX-License-Identifier: MIT
/* accelctl run: text in, text out, one line at the end that says where it was computed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute.h"
#include "prompt.h"
#include "speech.h"
#include "summary.h"

struct answer {
	const struct options *o;
	struct running run;
	struct speech *speech;
	struct summary sum;
	struct bytes text;	/* of it, if it is printed as JSON at the end */
	bool newline;		/* what was printed ends with one */
	char failure[256];	/* why it failed, or "" */
};

/* ---- Ctrl-C ---- */

static volatile bool interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = true;
}

/* The first one ends the answer, another one the program, as it would without us.  One that whoever
 * started us has turned off stays so. */
static void catch_interrupt(void)
{
	struct sigaction act = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART | SA_RESETHAND }, was;

	if (!sigaction(SIGINT, NULL, &was) && was.sa_handler != SIG_IGN)
		sigaction(SIGINT, &act, NULL);
}

/* ---- generation ---- */

/* Shows text, or keeps it.  False: nothing more can be shown, *rc says whether that is a failure. */
static bool show(struct answer *a, const char *text, size_t n, int *rc)
{
	if (!n)
		return true;
	a->newline = text[n - 1] == '\n';
	if (a->o->json) {
		*rc = bytes_add(&a->text, text, n);
		return !*rc;
	}
	if (write_output(text, n, rc) && flush_output(rc))
		return true;
	a->newline = true;
	return false;
}

/* What follows begins a line of its own. */
static void end_line(struct answer *a)
{
	if (!a->newline && !a->o->json)
		putchar('\n');
	a->newline = true;
}

/* Computes tokens and chooses what follows; an exit code. */
static int advance(struct answer *a, const int32_t *tokens, size_t n, int32_t *next)
{
	uint32_t k = speech_top(a->speech);
	const int32_t *ids = NULL;
	const float *values = NULL;
	int64_t id;
	int err = compute_tokens(&a->run, tokens, n, k ? ACCEL_WANT_TOP : ACCEL_WANT_LAST, k, &interrupted);

	if (err == -EINTR)
		return EXIT_INTERRUPTED;
	if (err) {
		snprintf(a->failure, sizeof(a->failure), "%s", accel_error());
		end_line(a);
		return complain_eval(err);
	}
	accel_step_top(a->run.step, 0, &ids, &values);
	id = speech_choose(a->speech, k ? NULL : accel_step_logits(a->run.step, 0, NULL), ids, values, k);
	if (id < 0) {
		snprintf(a->failure, sizeof(a->failure), "no token could be chosen");
		return -1 - id;
	}
	*next = id;
	return EXIT_OK;
}

/* Is there a reason to stop before next is shown, or after it was? */
static bool is_over(struct answer *a, int32_t next)
{
	if (speech_ends(a->speech, next))
		a->sum.stop = STOP_END;
	else if (a->sum.generated >= a->o->predict)
		a->sum.stop = STOP_PREDICT;
	else if (a->sum.prompt_tokens + a->sum.generated > a->run.plan_info.ctx)
		a->sum.stop = STOP_CONTEXT;
	else if (interrupted)
		a->sum.stop = STOP_INTERRUPT;
	else
		return false;
	return true;
}

/* Shows next and what follows it, until there is a reason to stop; an exit code. */
static int generate(struct answer *a, int32_t next)
{
	bool stopped = false;
	const char *text;
	size_t n;
	int rc = EXIT_OK;

	while (!is_over(a, next)) {
		n = speech_say(a->speech, next, &text, &stopped);
		a->sum.generated++;
		if (!show(a, text, n, &rc)) {
			a->sum.stop = STOP_OUTPUT;
			return rc;
		}
		if (stopped) {
			a->sum.stop = STOP_TEXT;
			return EXIT_OK;
		}
		/* What would follow the last one is not computed. */
		if (a->sum.generated >= a->o->predict ||
		    a->sum.prompt_tokens + a->sum.generated > a->run.plan_info.ctx)
			continue;
		rc = advance(a, &next, 1, &next);
		if (rc) {
			a->sum.stop = rc == EXIT_INTERRUPTED ? STOP_INTERRUPT : STOP_FAILED;
			break;
		}
		a->sum.steps++;
	}
	return rc == EXIT_INTERRUPTED ? EXIT_OK : rc;
}

/* What was held back: the beginning of a text to stop at, or of a character. */
static int show_rest(struct answer *a)
{
	const char *text;
	size_t n = speech_end(a->speech, &text);
	int rc = EXIT_OK;

	if (!show(a, text, n, &rc))
		a->sum.stop = STOP_OUTPUT;
	return rc;
}

static int complete(struct answer *a, const int32_t *ids, size_t n)
{
	double t0 = seconds();
	int32_t next;
	int rc;

	catch_interrupt();
	detail("computing a prompt of %zu tokens", n);
	a->sum.prompt_tokens = n;
	a->newline = true;	/* nothing was printed */
	rc = advance(a, ids, n, &next);
	a->newline = false;	/* an answer without a token is a line, too */
	a->sum.prompt_s = seconds() - t0;
	a->sum.prompt_done = !rc;
	a->sum.after_prompt = compute_stats(&a->run);
	if (rc) {
		a->sum.stop = rc == EXIT_INTERRUPTED ? STOP_INTERRUPT : STOP_FAILED;
		a->newline = true;
		return rc == EXIT_INTERRUPTED ? EXIT_OK : rc;
	}
	t0 = seconds();
	rc = generate(a, next);
	if (!rc && a->sum.stop != STOP_TEXT && a->sum.stop != STOP_OUTPUT)
		rc = show_rest(a);
	a->sum.generation_s = seconds() - t0;
	return rc;
}

/* ---- the command ---- */

static int report(struct answer *a, int rc)
{
	const struct options *o = a->o;

	if (o->json) {
		int bad = summary_json(&a->run, &a->sum, o->model, a->text.s ? a->text.s : "", a->text.n,
				       a->failure[0] ? a->failure : NULL);

		rc = rc ? rc : bad;
	} else if (!rc) {
		end_line(a);
		flush_output(&rc);
	}
	if (!rc && a->sum.stop == STOP_CONTEXT)
		note("the context of %u positions is full; --ctx makes it larger", a->run.plan_info.ctx);
	if (!rc && !o->json)
		summary_print(&a->run, &a->sum);
	return rc ? rc : interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}

/* Reads and checks all that is cheaper than loading weights. */
static int prepare(struct answer *a, int32_t **ids, size_t *n)
{
	struct bytes prompt = { 0 };
	int rc = prompt_check(a->o);

	if (!rc)
		rc = compute_model(a->o, &a->run);
	if (!rc)
		rc = speech_new(a->o, &a->run, &a->speech);
	if (!rc)
		rc = compute_plan(a->o, false, &a->run);
	if (!rc) {
		warn_context(a->o, &a->run);
		rc = prompt_read(a->o, &prompt);
	}
	if (!rc)
		rc = speech_encode(a->speech, &prompt, ids, n);
	if (!rc && *n > a->run.plan_info.ctx)
		rc = complain(EXIT_FAILED, "the prompt has %zu tokens, the context %u positions: --ctx makes it larger",
			      *n, a->run.plan_info.ctx);
	free(prompt.s);
	return rc;
}

int cmd_run(const struct options *o)
{
	struct answer a = { .o = o };
	int32_t *ids = NULL;
	double t0;
	size_t n;
	int rc = prepare(&a, &ids, &n);

	if (!rc) {
		t0 = seconds();
		rc = compute_begin(o, &a.run);
		a.sum.load_s = seconds() - t0;
	}
	if (!rc) {
		rc = complete(&a, ids, n);
		rc = report(&a, rc);
	}
	speech_free(a.speech);
	free(a.text.s);
	free(ids);
	compute_end(&a.run);
	return rc;
}
