// SPDX-License-Identifier: MIT
/*
 * Texts to stop at, found in a text that is made bit by bit.  For each of them it is known how many
 * of its bytes the text ends with (Knuth, Morris and Pratt); the most of these are held back.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <accel/text.h>

#include "error.h"

struct pattern {
	char *text;
	size_t n;
	size_t *border; /* [n]: bytes of the longest proper beginning that text[0..i] ends with */
	size_t matched;
};

struct accel_stop {
	struct pattern *patterns;
	size_t n;
	char *text;		/* what is held back, and what is new */
	size_t held, room;
	size_t shown;		/* bytes of text that the last call gave away */
	bool stopped;
};

static int pattern_new(struct pattern *p, const char *text)
{
	size_t k = 0;

	p->n = strlen(text);
	if (!p->n)
		return fail(-EINVAL, "a text to stop at is empty");
	p->text = malloc(p->n);
	p->border = calloc(p->n, sizeof(*p->border));
	if (!p->text || !p->border)
		return fail(-ENOMEM, "no memory for a text to stop at");
	memcpy(p->text, text, p->n);
	for (size_t i = 1; i < p->n; i++) {
		while (k && text[i] != text[k])
			k = p->border[k - 1];
		k += text[i] == text[k];
		p->border[i] = k;
	}
	return 0;
}

/* Is it complete with c? */
static bool advance(struct pattern *p, char c)
{
	while (p->matched && p->text[p->matched] != c)
		p->matched = p->border[p->matched - 1];
	p->matched += p->text[p->matched] == c;
	return p->matched == p->n;
}

int accel_stop_new(const char *const *texts, size_t n, struct accel_stop **out)
{
	struct accel_stop *s = calloc(1, sizeof(*s));
	int rc = 0;

	*out = NULL;
	if (s)
		s->patterns = calloc(n + 1, sizeof(*s->patterns));
	if (!s || !s->patterns)
		rc = fail(-ENOMEM, "no memory for texts to stop at");
	for (size_t i = 0; i < n && !rc; i++)
		rc = pattern_new(&s->patterns[s->n++], texts[i]);
	if (rc) {
		accel_stop_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void accel_stop_free(struct accel_stop *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->patterns[i].text);
		free(s->patterns[i].border);
	}
	free(s->patterns);
	free(s->text);
	free(s);
}

/* What the last call gave away is gone; room for n bytes more. */
static int make_room(struct accel_stop *s, size_t n)
{
	char *grown;

	if (s->held)
		memmove(s->text, s->text + s->shown, s->held);
	s->shown = 0;
	if (s->held + n <= s->room)
		return 0;
	grown = realloc(s->text, 2 * (s->held + n));
	if (!grown)
		return fail(-ENOMEM, "no memory for %zu bytes of text", n);
	s->text = grown;
	s->room = 2 * (s->held + n);
	return 0;
}

/* The longest of the texts that are complete with c, 0 = none; *most: bytes that one may begin
 * with. */
static size_t complete(struct accel_stop *s, char c, size_t *most)
{
	size_t longest = 0;

	*most = 0;
	for (size_t k = 0; k < s->n; k++) {
		struct pattern *p = &s->patterns[k];

		if (advance(p, c) && p->n > longest)
			longest = p->n;
		if (p->matched > *most)
			*most = p->matched;
	}
	return longest;
}

int accel_stop_push(struct accel_stop *s, const char *text, size_t n, const char **out,
		    size_t *n_out)
{
	size_t most = s->held, end, longest = 0;
	int rc;

	*out = "";
	*n_out = 0;
	if (s->stopped)
		return 1;
	if (!n)
		return 0;
	rc = make_room(s, n);
	if (rc)
		return rc;
	memcpy(s->text + s->held, text, n);
	end = s->held + n;
	for (size_t i = s->held; i < end && !longest; i++) {
		longest = complete(s, s->text[i], &most);
		if (longest)
			end = i + 1;
	}
	s->stopped = longest;
	s->held = longest ? 0 : most;
	s->shown = end - (longest ? longest : most);
	*out = s->text;
	*n_out = s->shown;
	return s->stopped;
}

size_t accel_stop_end(struct accel_stop *s, const char **out)
{
	size_t n = s->held;

	*out = n ? s->text + s->shown : "";
	s->shown += n;
	s->held = 0;
	for (size_t k = 0; k < s->n; k++)
		s->patterns[k].matched = 0;
	return n;
}
