// SPDX-License-Identifier: MIT
#include "layers.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_A_LIST " is not a list of layers such as 0-7,12,20-, all, none or accel0:0-15,accel1:16-31,cpu:rest"

/* The number that *text begins with. */
static bool read_number(const char **text, uint32_t *value)
{
	unsigned long v;
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	v = strtoul(*text, &end, 10);
	*text = end;
	*value = v;
	return !errno && v < UINT32_MAX;
}

/* [DEVICE:], which may be absent. */
static bool read_device(const char **text, char *device, size_t len)
{
	size_t n = 0;

	while (isalnum((unsigned char)(*text)[n]))
		n++;
	if ((*text)[n] != ':')
		return true;
	if (!n || n >= len || isdigit((unsigned char)**text))
		return false;
	memcpy(device, *text, n);
	device[n] = 0;
	*text += n + 1;
	return true;
}

static bool read_word(const char **text, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*text, word, n) || ((*text)[n] && (*text)[n] != ','))
		return false;
	*text += n;
	return true;
}

static bool read_span(const char **text, struct layer_span *s)
{
	s->first = 0;
	s->last = UINT32_MAX;
	s->rest = read_word(text, "rest");
	if (s->rest || read_word(text, "all"))
		return true;
	if (!read_number(text, &s->first))
		return false;
	if (**text != '-') {
		s->last = s->first;
		return true;
	}
	++*text;
	if (!**text || **text == ',')
		return true;
	return read_number(text, &s->last) && s->last >= s->first;
}

static int add(struct layers *l, const struct layer_span *s, char *why, size_t len)
{
	struct layer_span *grown;

	for (size_t i = 0; i < l->n; i++) {
		const struct layer_span *t = &l->span[i];

		if (s->rest != t->rest || s->first > t->last || t->first > s->last)
			continue;
		if (s->rest)
			snprintf(why, len, " names the rest twice");
		else
			snprintf(why, len, " names layer %u twice", s->first > t->first ? s->first : t->first);
		return -EINVAL;
	}
	grown = realloc(l->span, (l->n + 1) * sizeof(*grown));
	if (!grown) {
		snprintf(why, len, ": no memory");
		return -ENOMEM;
	}
	l->span = grown;
	grown[l->n++] = *s;
	return 0;
}

static int read_spans(const char *text, struct layers *l, char *why, size_t len)
{
	struct layer_span s = { .device = "" };
	int err = 0;

	if (!strcmp(text, "none"))
		return 0;
	while (!err) {
		if (!read_device(&text, s.device, sizeof(s.device)) || !read_span(&text, &s) ||
		    (*text && *text != ',')) {
			snprintf(why, len, "%s", NOT_A_LIST);
			return -EINVAL;
		}
		err = add(l, &s, why, len);
		if (!*text++)
			break;
	}
	return err;
}

int layers_read(const char *text, struct layers *l, char *why, size_t len)
{
	struct layers fresh = { 0 };
	int err = read_spans(text, &fresh, why, len);

	if (err) {
		layers_free(&fresh);
		return err;
	}
	layers_free(l);
	*l = fresh;
	return 0;
}

void layers_free(struct layers *l)
{
	free(l->span);
	*l = (struct layers) { 0 };
}

static bool is_cpu(const struct layer_span *s)
{
	return !strcmp(s->device, "cpu");
}

int layers_of(const struct layers *l, uint32_t n, int *span, char *why, size_t len)
{
	int rest = -1;

	for (uint32_t i = 0; i < n; i++)
		span[i] = -2;
	for (size_t k = 0; k < l->n; k++) {
		const struct layer_span *s = &l->span[k];
		uint32_t last = s->last == UINT32_MAX ? n - 1 : s->last;

		if (s->rest) {
			rest = is_cpu(s) ? -1 : (int)k;
			continue;
		}
		if (s->first >= n || last >= n) {
			snprintf(why, len, "layer %u is not one of the model's layers 0-%u",
				 s->first >= n ? s->first : last, n - 1);
			return -EINVAL;
		}
		for (uint32_t i = s->first; i <= last; i++)
			span[i] = is_cpu(s) ? -1 : (int)k;
	}
	for (uint32_t i = 0; i < n; i++)
		if (span[i] == -2)
			span[i] = rest;
	return 0;
}
