// SPDX-License-Identifier: MIT
#include "edit.h"

#ifdef HAVE_LIBEDIT

#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "interrupt.h"

#define HISTORY 1000

struct edit {
	EditLine *el;
	History *history;
	const char *marker;
	int before;		/* bytes that were typed before the marker was shown */
	bool thrown_away;
};

/* The window has another size, or we go on after Ctrl-Z, and the shell wrote over the line. */
static volatile sig_atomic_t stale;

static void on_stale(int sig)
{
	(void)sig;
	stale = 1;
}

const char *edit_library(void)
{
	return "libedit";
}

/* ---- reading ---- */

static void show_again(EditLine *el)
{
	stale = 0;
	el_set(el, EL_PREP_TERM, 1);
	el_resize(el);
	el_set(el, EL_REFRESH);
}

static bool is_something_typed(EditLine *el)
{
	const LineInfo *li = el_line(el);

	return li->lastchar > li->buffer;
}

static bool read_byte(struct edit *e, char *byte)
{
	if (read(STDIN_FILENO, byte, 1) != 1)
		return false;
	/* What Ctrl-D has become, if it was typed while an answer was made. */
	if (e->before && e->before-- && !*byte)
		return is_something_typed(e->el);
	return true;
}

/* 1, 0 at the end, -1: a signal came. */
static int next_byte(struct edit *e, char *byte)
{
	for (;;) {
		if (interrupted) {
			e->thrown_away = is_something_typed(e->el);
			return -1;
		}
		if (stale)
			show_again(e->el);
		if (interrupt_or_input())
			return read_byte(e, byte);
	}
}

/* libedit's own would not see a signal that came before it began to read. */
static int next_char(EditLine *el, wchar_t *c)
{
	mbstate_t state = { 0 };
	struct edit *e;
	size_t n;
	char byte;
	int rc;

	el_get(el, EL_CLIENTDATA, &e);
	for (;;) {
		rc = next_byte(e, &byte);
		if (rc != 1)
			return rc;
		n = mbrtowc(c, &byte, 1, &state);
		if (n == (size_t)-1)	/* what is not UTF-8 is not typed */
			state = (mbstate_t) { 0 };
		else if (n != (size_t)-2)
			return 1;
	}
}

const char *edit_line(struct edit *e, const char *marker, size_t *n)
{
	const char *s;
	HistEvent event;
	int count;

	e->marker = marker;
	e->thrown_away = false;
	stale = 0;
	/* Before the marker, which is an invitation to type: else what is typed at once is not edited. */
	el_set(e->el, EL_PREP_TERM, 1);
	if (ioctl(STDIN_FILENO, FIONREAD, &e->before))
		e->before = 0;
	s = el_gets(e->el, &count);
	if (!s || count <= 0)
		return NULL;
	*n = count;
	if (*n > 1)		/* an empty line is nothing to come back to */
		history(e->history, &event, H_ENTER, s);
	*n -= s[*n - 1] == '\n';
	return s;
}

bool edit_thrown_away(const struct edit *e)
{
	return e->thrown_away;
}

/* ---- the terminal ---- */

static char *marker_of(EditLine *el)
{
	struct edit *e;

	el_get(el, EL_CLIENTDATA, &e);
	return (char *)e->marker;
}

/* Keys that libedit leaves to a terminal's description, or to nobody. */
static void bind_keys(EditLine *el)
{
	static const char *const keys[][2] = {
		{ "\\t", "ed-insert" },			/* of a text that is pasted */
		{ "^R", "em-inc-search-prev" },
		{ "\\e[3~", "ed-delete-next-char" },
		{ "\\e[H", "ed-move-to-beg" }, { "\\e[F", "ed-move-to-end" },
		{ "\\e[1~", "ed-move-to-beg" }, { "\\e[4~", "ed-move-to-end" },
		{ "\\eOH", "ed-move-to-beg" }, { "\\eOF", "ed-move-to-end" },
		{ "\\e[1;5C", "em-next-word" }, { "\\e[1;5D", "ed-prev-word" },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		el_set(el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

static void catch(int sig)
{
	struct sigaction act = { .sa_handler = on_stale, .sa_flags = SA_RESTART };

	sigaction(sig, &act, NULL);
}

static bool begin(struct edit *e)
{
	HistEvent event;

	e->history = history_init();
	e->el = el_init("accelctl", stdin, stderr, stderr);
	if (!e->history || !e->el)
		return false;
	history(e->history, &event, H_SETSIZE, HISTORY);
	history(e->history, &event, H_SETUNIQUE, 1);
	el_set(e->el, EL_CLIENTDATA, e);
	el_set(e->el, EL_PROMPT, marker_of);
	el_set(e->el, EL_HIST, history, e->history);
	el_set(e->el, EL_GETCFN, next_char);
	el_set(e->el, EL_EDITOR, "emacs");
	bind_keys(e->el);
	el_source(e->el, NULL);		/* ~/.editrc, as wherever libedit is */
	catch(SIGWINCH);
	catch(SIGCONT);
	return true;
}

struct edit *edit_new(void)
{
	const char *term = getenv("TERM");
	struct edit *e;

	if (!term || !*term || !strcmp(term, "dumb"))
		return NULL;
	/* Whatever the shell's locale is, and in a container it is none: models read and write UTF-8. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		setlocale(LC_CTYPE, "");
	e = calloc(1, sizeof(*e));
	if (e && begin(e))
		return e;
	edit_free(e);
	return NULL;
}

void edit_free(struct edit *e)
{
	if (e && e->el)
		el_end(e->el);
	if (e && e->history)
		history_end(e->history);
	free(e);
}

#else

const char *edit_library(void)
{
	return NULL;
}

struct edit *edit_new(void)
{
	return NULL;
}

void edit_free(struct edit *e)
{
	(void)e;
}

const char *edit_line(struct edit *e, const char *marker, size_t *n)
{
	(void)e;
	(void)marker;
	*n = 0;
	return NULL;
}

bool edit_thrown_away(const struct edit *e)
{
	(void)e;
	return false;
}

#endif
