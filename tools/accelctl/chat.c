// SPDX-License-Identifier: MIT
#include "chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "conversation.h"
#include "interrupt.h"
#include "lines.h"

struct chat {
	const struct options *o;
	struct running *run;
	struct speech *speech;
	struct summary *sum;
	struct conversation said;
	struct lines *lines;	/* what is said to it */
	bool over;		/* it has ended in good order */
	uint64_t again;		/* how often the last answer was asked for again */
};

static const char *format_of(const struct chat *c)
{
	return accel_chat_name(speech_chat(c->speech));
}

/* ---- one turn ---- */

/* Takes the last turns back, from number n on. */
static int forget(struct chat *c, size_t n)
{
	uint32_t positions = conversation_cut(&c->said, n);

	return accel_seq_trim(c->run->seq, positions) ? complain(EXIT_FAILED, "%s", accel_error()) : EXIT_OK;
}

/* Tokens of what is new, and the sampler's view of all. */
static int encode_turn(struct chat *c, int32_t **ids, size_t *n)
{
	uint32_t before = accel_seq_length(c->run->seq);
	struct accel_chat_message *list;
	int32_t *all;
	size_t count;
	int rc;

	*ids = NULL;
	list = conversation_messages(&c->said, &count);
	rc = list ? speech_encode_chat(c->speech, list, count, c->said.known, ids, n) :
	     complain(EXIT_FAILED, "no memory for the conversation");
	free(list);
	if (rc)
		return rc;
	all = malloc((before + *n) * sizeof(*all));
	if (!all)
		return complain(EXIT_FAILED, "no memory for the conversation's tokens");
	accel_seq_tokens(c->run->seq, 0, all, before);
	memcpy(all + before, *ids, *n * sizeof(*all));
	rc = speech_begin(c->speech, all, before + *n, c->said.n - 1 + (c->again << 32));
	free(all);
	return rc;
}

/* Is there room for n tokens?  If not, the turn is taken back, and the conversation can go on. */
static bool has_room(struct chat *c, size_t n)
{
	uint32_t ctx = c->run->plan_info.ctx, used = accel_seq_length(c->run->seq);

	if (used + n <= ctx)
		return true;
	warn("%zu more tokens do not fit, %u of the context's %u positions are used: /undo takes the last turn back, /clear begins anew, --ctx makes the context larger",
	     n, used, ctx);
	return false;
}

/*
 * What the sequence knows after an answer.  The last token that was shown may not be in it yet; an answer
 * that a text has ended is in it with that text, which was not said: then the turn is to be computed again
 * when the next one is.
 */
static int settle(struct chat *c, const struct answer *a)
{
	uint32_t computed = accel_seq_length(c->run->seq) - a->begin, ctx = c->run->plan_info.ctx;
	struct turn *t = &c->said.turn[c->said.n - 1];
	int err;

	if (c->sum->stop == STOP_TEXT || (a->generated > computed && a->begin + computed >= ctx)) {
		c->said.known = t->known;
		return accel_seq_trim(c->run->seq, t->start) ? complain(EXIT_FAILED, "%s", accel_error()) : EXIT_OK;
	}
	if (a->generated > computed) {
		err = compute_tokens(c->run, &a->last, 1, ACCEL_WANT_NOTHING, 0, NULL);
		if (err)
			return complain_compute(err);
	}
	c->said.known = c->said.has_system + 2 * c->said.n;
	return EXIT_OK;
}

static void note_stop(const struct chat *c)
{
	if (c->sum->stop == STOP_CONTEXT)
		warn("the context of %u positions is full: /undo takes the last turn back, /clear begins anew, --ctx makes it larger",
		     c->run->plan_info.ctx);
	else if (c->sum->stop == STOP_PREDICT)
		note("the answer was cut after %u tokens: --predict allows more", c->o->predict);
}

static int answer_turn(struct chat *c)
{
	struct answer a = { .o = c->o, .run = c->run, .speech = c->speech, .sum = c->sum };
	int32_t *ids = NULL;
	size_t n;
	int rc = encode_turn(c, &ids, &n);

	if (!rc && !has_room(c, n)) {
		free(ids);
		return forget(c, c->said.n - 1);
	}
	if (!rc)
		rc = answer_run(&a, ids, n);
	free(ids);
	answer_end_line(&a);
	if (rc || !c->sum->prompt_done) {	/* failed, or ended before it began: nothing was said */
		int bad = forget(c, c->said.n - 1);

		rc = rc ? rc : bad;
	} else {
		c->said.turn[c->said.n - 1].assistant = a.text;
		c->said.turn[c->said.n - 1].answered = true;
		a.text = (struct bytes) { 0 };
		rc = settle(c, &a);
	}
	note_stop(c);
	free(a.text.s);
	flush_output(&rc);
	c->over |= c->sum->stop == STOP_OUTPUT;
	return rc;
}

static int ask(struct chat *c, const char *text, size_t n, uint64_t again)
{
	int rc = conversation_ask(&c->said, text, n, accel_seq_length(c->run->seq));

	c->again = again;
	if (!rc)
		rc = answer_turn(c);
	if (!terminated)	/* that was what Ctrl-C was for */
		interrupted = false;
	return rc;
}

/* ---- commands ---- */

static int command_help(struct chat *c, const char *arg)
{
	(void)c;
	(void)arg;
	line("/undo        take the last turn back\n"
	     "/regen       another answer to the same (with --temperature; else the same one)\n"
	     "/clear       begin anew\n"
	     "/save FILE   keep the conversation, what was computed of it included\n"
	     "/load FILE   go on with one\n"
	     "/exit        end, as Ctrl-D does; Ctrl-C ends an answer\n"
	     "A line that ends with \\ goes on in the next one; // begins a message with a /.");
	return EXIT_OK;
}

static int command_exit(struct chat *c, const char *arg)
{
	(void)arg;
	c->over = true;
	return EXIT_OK;
}

static int command_undo(struct chat *c, const char *arg)
{
	(void)arg;
	if (c->said.n)
		return forget(c, c->said.n - 1);
	warn("there is no turn to take back");
	return EXIT_OK;
}

static int command_clear(struct chat *c, const char *arg)
{
	(void)arg;
	return c->said.n ? forget(c, 0) : EXIT_OK;
}

static int command_regen(struct chat *c, const char *arg)
{
	struct bytes text = { 0 };
	int rc;

	(void)arg;
	if (!c->said.n) {
		warn("nothing was asked yet");
		return EXIT_OK;
	}
	rc = bytes_add(&text, c->said.turn[c->said.n - 1].user.s, c->said.turn[c->said.n - 1].user.n);
	if (!rc)
		rc = forget(c, c->said.n - 1);
	if (!rc)
		rc = ask(c, text.s, text.n, c->again + 1);
	free(text.s);
	return rc;
}

/* What cannot be saved or loaded was said, and does not end the conversation. */
static int command_save(struct chat *c, const char *arg)
{
	if (!*arg)
		warn("/save needs the name of a file");
	else if (!conversation_save(&c->said, c->run, format_of(c), arg))
		note("%zu turns are kept in %s", c->said.n, arg);
	return EXIT_OK;
}

static int command_load(struct chat *c, const char *arg)
{
	if (!*arg)
		warn("/load needs the name of a file");
	else if (!conversation_load(&c->said, c->run, format_of(c), arg))
		note("going on after %zu turns, %u tokens", c->said.n, accel_seq_length(c->run->seq));
	return EXIT_OK;
}

static const struct {
	const char *name;
	int (*run)(struct chat *c, const char *arg);
} chat_commands[] = {
	{ "help", command_help }, { "exit", command_exit }, { "quit", command_exit },
	{ "bye", command_exit }, { "undo", command_undo }, { "regen", command_regen },
	{ "clear", command_clear }, { "save", command_save }, { "load", command_load },
};

/* text: what comes after the slash. */
static int run_command(struct chat *c, char *text)
{
	size_t n = strcspn(text, " \t");
	const char *arg = text + n + strspn(text + n, " \t");

	for (size_t i = 0; i < sizeof(chat_commands) / sizeof(chat_commands[0]); i++)
		if (strlen(chat_commands[i].name) == n && !memcmp(chat_commands[i].name, text, n))
			return chat_commands[i].run(c, arg);
	warn("\"/%.*s\" is not a command: /help lists them; // begins a message with a /", n < 40 ? (int)n : 40, text);
	return EXIT_OK;
}

/* ---- the conversation ---- */

/* Reading has ended.  A Ctrl-C throws the line away; where there was none, a second one ends the
 * conversation. */
static int no_message(struct chat *c, bool *warned)
{
	if (!interrupted || terminated || *warned) {
		c->over = true;
		return interrupted ? EXIT_INTERRUPTED : EXIT_OK;
	}
	interrupted = false;
	if (lines_thrown_away(c->lines))
		return EXIT_OK;
	*warned = true;
	line("/exit or Ctrl-D ends the conversation, and so does another Ctrl-C");
	return EXIT_OK;
}

static int take_message(struct chat *c, struct bytes *text)
{
	bool typed = lines_typed(c->lines);
	int rc = bytes_plain(text, typed ? "the line" : "standard input");
	char *s = text->s;

	if (rc)
		return typed ? EXIT_OK : rc;
	if (!s || !*s || strspn(s, " \t\n") == text->n)
		return EXIT_OK;
	if (s[0] == '/' && s[1] != '/')
		return run_command(c, s + 1);
	s += *s == '/';
	return ask(c, s, text->n - (s - text->s), 0);
}

static int talk(struct chat *c)
{
	struct bytes text = { 0 };
	bool warned = false;
	int rc = EXIT_OK;

	while (!c->over && !rc) {
		if (!lines_message(c->lines, &text)) {
			rc = no_message(c, &warned);
			continue;
		}
		warned = false;
		rc = take_message(c, &text);
		c->over |= terminated;
	}
	free(text.s);
	return rc;
}

static int begin(struct chat *c)
{
	const char *session = c->o->session, *system = prompt_system(c->o);
	int rc = EXIT_OK;

	if (session && !access(session, F_OK)) {
		rc = conversation_load(&c->said, c->run, format_of(c), session);
		if (!rc)
			note("%s: going on after %zu turns, %u tokens", session, c->said.n,
			     accel_seq_length(c->run->seq));
		if (!rc && system && (!c->said.has_system || strcmp(c->said.system.s ? c->said.system.s : "", system)))
			rc = complain(EXIT_USAGE, "%s has another system prompt than --system: leave out one of them",
				      session);
	} else if (system) {
		c->said.has_system = true;
		rc = bytes_add(&c->said.system, system, strlen(system));
	}
	if (!rc && lines_typed(c->lines))
		line("/help lists commands, Ctrl-C ends an answer, Ctrl-D the conversation");
	return rc;
}

int chat_run(const struct options *o, struct running *run, struct speech *speech, const struct bytes *first,
	     struct summary *sum)
{
	struct chat c = { .o = o, .run = run, .speech = speech, .sum = sum };
	int rc = lines_new(&c.lines), bad = EXIT_OK;
	bool begun;

	if (!rc)
		rc = begin(&c);
	begun = !rc;

	interrupt_catch(true);
	if (!rc && first->n)
		rc = ask(&c, first->s, first->n, 0);
	if (!rc && !terminated)
		rc = talk(&c);
	/* Also what led to a failure is kept: that turn was taken back. */
	if (begun && o->session)
		bad = conversation_save(&c.said, run, format_of(&c), o->session);
	conversation_free(&c.said);
	lines_free(c.lines);
	rc = rc ? rc : bad;
	return rc ? rc : terminated ? EXIT_INTERRUPTED : EXIT_OK;
}
