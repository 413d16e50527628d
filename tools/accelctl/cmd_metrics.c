// SPDX-License-Identifier: MIT
/* accelctl metrics: once, into a file, or to all who ask. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accelctl.h"
#include "listen.h"
#include "metrics.h"
#include "newfile.h"

enum { FORMAT_AUTO, FORMAT_OPENMETRICS, FORMAT_PROMETHEUS };

#define FRESH_SECONDS 1.0	/* who asks more often gets the same again */

struct watch {
	struct cards cards;
	double looked;		/* when; 0: never */
	double took;
};

/* An exit code. */
static int look(struct watch *w)
{
	double now = seconds();
	int rc;

	if (w->looked && now - w->looked < FRESH_SECONDS)
		return EXIT_OK;
	rc = cards_look(&w->cards);
	if (rc)
		return rc;
	w->looked = seconds();
	w->took = w->looked - now;
	return EXIT_OK;
}

static char *make_page(void *arg, bool openmetrics, size_t *n)
{
	struct watch *w = arg;

	return look(w) ? NULL : metrics_text(&w->cards, w->took, openmetrics, n);
}

static int serve(struct watch *w, const struct options *o)
{
	const struct listen_page page = { .path = "/metrics", .make = make_page, .arg = w };
	int fd[LISTEN_MAX];
	size_t n;
	int rc = listen_open(o->listen, fd, &n);

	return rc ? rc : listen_serve(fd, n, &page);
}

static int write_file(const char *name, const char *text, size_t n)
{
	struct newfile f;
	int rc = newfile_open(&f, name, 0644);

	if (!rc)
		rc = newfile_write(&f, text, n);
	return rc ? rc : newfile_keep(&f);
}

/* Standard output, or a file of node_exporter's textfile collector, which reads the older format alone. */
static int write_once(struct watch *w, const struct options *o)
{
	bool openmetrics = o->metrics_format == FORMAT_AUTO ? !o->textfile : o->metrics_format == FORMAT_OPENMETRICS;
	int rc = look(w);
	char *text;
	size_t n;

	if (rc)
		return rc;
	if (w->cards.selector && !w->cards.n)
		return complain(EXIT_NO_DEVICE, "there is no Octans processor \"%s\" (`accelctl list` shows what there is)",
				w->cards.selector);
	text = metrics_text(&w->cards, w->took, openmetrics, &n);
	if (!text)
		return complain(EXIT_FAILED, "no memory for the metrics");
	if (o->textfile)
		rc = write_file(o->textfile, text, n);
	else
		write_output(text, n, &rc);
	free(text);
	return rc;
}

int cmd_metrics(const struct options *o)
{
	struct watch w = { .cards.selector = o->device && strcmp(o->device, "auto") ? o->device : NULL };
	int rc;

	if (o->listen && (o->textfile || o->metrics_format != FORMAT_AUTO))
		return complain(EXIT_USAGE, "--listen goes with neither --textfile nor --output: who asks says which format it takes");
	rc = o->listen ? serve(&w, o) : write_once(&w, o);
	cards_free(&w.cards);
	return rc;
}
