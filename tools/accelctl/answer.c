// SPDX-License-Identifier: MIT
#include "answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "interrupt.h"

/* Shows text, and keeps it.  False: nothing more can be shown, *rc says whether that is a failure. */
static bool show(struct answer *a, const char *text, size_t n, int *rc)
{
	if (!n)
		return true;
	*rc = bytes_add(&a->text, text, n);
	if (*rc)
		return false;
	a->newline = text[n - 1] == '\n';
	if (a->o->json || (write_output(text, n, rc) && flush_output(rc)))
		return true;
	a->newline = true;
	return false;
}

void answer_end_line(struct answer *a)
{
	if (!a->newline && !a->o->json)
		putchar('\n');
	a->newline = true;
}

static int failed(struct answer *a, int rc, const char *why)
{
	snprintf(a->failure, sizeof(a->failure), "%s", why);
	return rc;
}

/* Computes tokens and chooses what follows; an exit code. */
static int advance(struct answer *a, const int32_t *tokens, size_t n, int32_t *next)
{
	uint32_t k = a->receipt ? 0 : speech_top(a->speech);	/* a receipt is of all logits */
	const int32_t *ids = NULL;
	const float *values = NULL, *row;
	int64_t id;
	int err = compute_tokens(a->run, tokens, n, k ? ACCEL_WANT_TOP : ACCEL_WANT_LAST, k, &interrupted);

	if (err == -EINTR)
		return EXIT_INTERRUPTED;
	if (err) {
		failed(a, 0, accel_error());
		answer_end_line(a);
		return complain_compute(err);
	}
	accel_step_top(a->run->step, 0, &ids, &values);
	row = k ? NULL : accel_step_logits(a->run->step, 0, NULL);
	id = speech_choose(a->speech, row, ids, values, k);
	if (id < 0)
		return failed(a, -1 - id, "no token could be chosen");
	*next = id;
	return a->receipt ? receipt_add(a->receipt, id, row, a->run->model_info.n_vocab) : EXIT_OK;
}

static bool is_full(const struct answer *a)
{
	return a->begin + a->generated > a->run->plan_info.ctx;
}

/* Is there a reason to stop before next is shown, or after it was? */
static bool is_over(struct answer *a, int32_t next)
{
	if (speech_ends(a->speech, next))
		a->sum->stop = STOP_END;
	else if (a->generated >= a->o->predict)
		a->sum->stop = STOP_PREDICT;
	else if (is_full(a))
		a->sum->stop = STOP_CONTEXT;
	else if (interrupted)
		a->sum->stop = STOP_INTERRUPT;
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
		a->generated++;
		a->last = next;
		a->sum->generated++;
		if (!show(a, text, n, &rc)) {
			a->sum->stop = STOP_OUTPUT;
			return rc;
		}
		if (stopped) {
			a->sum->stop = STOP_TEXT;
			return EXIT_OK;
		}
		/* What would follow the last one is not computed. */
		if (a->generated >= a->o->predict || is_full(a))
			continue;
		rc = advance(a, &next, 1, &next);
		if (rc) {
			a->sum->stop = rc == EXIT_INTERRUPTED ? STOP_INTERRUPT : STOP_FAILED;
			break;
		}
		a->sum->steps++;
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
		a->sum->stop = STOP_OUTPUT;
	return rc;
}

/* The prompt, and the first token of what follows; an exit code. */
static int begin(struct answer *a, const int32_t *ids, size_t n, int32_t *next)
{
	struct accel_engine_stats before = compute_stats(a->run), after;
	double t0 = seconds();
	int rc;

	detail("computing a prompt of %zu tokens", n);
	a->newline = true;	/* nothing was printed */
	rc = advance(a, ids, n, next);
	after = compute_stats(a->run);
	a->begin = accel_seq_length(a->run->seq);
	a->sum->prompt_tokens += n;
	a->sum->prompt_s += seconds() - t0;
	a->sum->prompt_done = !rc;
	stats_add(&a->sum->prompt_work, &before, &after);
	if (rc)
		a->sum->stop = rc == EXIT_INTERRUPTED ? STOP_INTERRUPT : STOP_FAILED;
	else
		a->newline = false;	/* an answer without a token is a line, too */
	return rc;
}

int answer_run(struct answer *a, const int32_t *ids, size_t n)
{
	int32_t next;
	double t0;
	int rc = begin(a, ids, n, &next);

	if (rc)
		return rc == EXIT_INTERRUPTED ? EXIT_OK : rc;
	t0 = seconds();
	rc = generate(a, next);
	if (!rc && a->sum->stop != STOP_TEXT && a->sum->stop != STOP_OUTPUT)
		rc = show_rest(a);
	a->sum->generation_s += seconds() - t0;
	return rc;
}
