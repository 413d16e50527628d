// SPDX-License-Identifier: MIT
/* Conversations as their models want them written down. */
#include "chat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <accel/text.h>

#include "error.h"
#include "model/gguf.h"
#include "model/layer.h"
#include "tokenizer.h"

struct accel_chat {
	const struct chat_format *format;
	struct chat_format own;		/* of a file */
	char *own_user;
};

/* ---- finding a format ---- */

const struct chat_format *chat_find(const char *name, size_t n)
{
	for (const struct chat_format *f = chat_formats; f->name; f++)
		if (strlen(f->name) == n && !memcmp(f->name, name, n))
			return f;
	return NULL;
}

const struct chat_format *chat_recognise(const char *pattern, size_t n)
{
	const struct chat_format *named = chat_find(pattern, n);

	for (const struct chat_mark *m = chat_marks; m->format && !named; m++) {
		const char *const *has = m->has;

		while (*has && memmem(pattern, n, *has, strlen(*has)))
			has++;
		if (!*has)
			named = chat_find(m->format, strlen(m->format));
	}
	return named;
}

const char *accel_chat_known(uint32_t i)
{
	for (const struct chat_format *f = chat_formats; f->name; f++, i--)
		if (!i)
			return f->name;
	return NULL;
}

static int unknown(const char *pattern, size_t n)
{
	char names[400] = "";
	size_t at = 0, line = 0;

	while (line < n && line < 60 && pattern[line] != '\n')
		line++;
	while (line && line < n && (pattern[line] & 0xc0) == 0x80)	/* no half character */
		line--;
	for (const struct chat_format *f = chat_formats; f->name && at < sizeof(names); f++)
		at += snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "", f->name);
	return fail(-ENOTSUP, "the chat template \"%.*s%s\" is not one that is known; known: %s",
		    (int)line, pattern, line < n ? "..." : "", names);
}

/* "Q: %s A:" of a file: what it says before and after the message. */
static int own_format(struct accel_chat *c, const char *s, size_t n)
{
	const char *mark = memmem(s, n, "%s", 2);
	size_t before = mark - s;

	if (!mark)
		return fail(-EINVAL, "the model's prompt format \"%.*s\" has no %%s",
			    n < 64 ? (int)n : 64, s);
	for (size_t i = 0; i < n; i++)
		if (s[i] >= 0 && s[i] <= *SYSTEM)
			return fail(-EINVAL,
				    "the model's prompt format \"%.*s\" holds control characters",
				    n < 64 ? (int)n : 64, s);
	c->own_user = malloc(n);
	if (!c->own_user)
		return fail(-ENOMEM, "no memory for the chat format");
	memcpy(c->own_user, s, before);
	memcpy(c->own_user + before, TEXT, 1);
	memcpy(c->own_user + before + 1, mark + 2, n - before - 2);
	c->own_user[n - 1] = 0;
	c->own = (struct chat_format) {
		.name = "octans", .user = c->own_user, .system = TEXT "\n", .assistant = TEXT "\n",
	};
	c->format = &c->own;
	return 0;
}

static bool is_tekken(const struct gguf *g)
{
	const char *pre;
	size_t n;

	return !gguf_get_str(g, "tokenizer.ggml.pre", &pre, &n) && n == 6 &&
	       !memcmp(pre, "tekken", 6);
}

static int format_of_file(struct accel_chat *c, const struct gguf *g)
{
	const char *s;
	size_t n;

	if (!gguf_get_str(g, "octans.prompt.format", &s, &n))
		return own_format(c, s, n);
	if (gguf_get_str(g, "tokenizer.chat_template", &s, &n) || !n)
		return fail(-ENOENT, "the model's file has no chat template");
	c->format = chat_recognise(s, n);
	if (!c->format)
		return unknown(s, n);
	/* The two differ in spaces, which the template's text does not tell reliably. */
	if (!strcmp(c->format->name, "mistral-v7") && is_tekken(g))
		c->format = chat_find("mistral-v7-tekken", 17);
	return 0;
}

static int format_of_name(struct accel_chat *c, const char *name)
{
	size_t n = strlen(name);

	c->format = chat_recognise(name, n);
	return c->format ? 0 : unknown(name, n);
}

static int new_chat(const struct gguf *g, const char *name, struct accel_chat **out)
{
	struct accel_chat *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (!c)
		return fail(-ENOMEM, "no memory for the chat format");
	rc = name ? format_of_name(c, name) : format_of_file(c, g);
	if (!name && gguf_intact(g))	/* whatever was read of a file that changed */
		rc = -EIO;
	if (rc) {
		accel_chat_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

int chat_new(const struct gguf *g, struct accel_chat **out)
{
	return new_chat(g, NULL, out);
}

int accel_chat_new(const struct accel_model *model, const char *name, struct accel_chat **out)
{
	*out = NULL;
	if (!model && !name)
		return fail(-EINVAL, "a chat format needs a model or a name");
	return new_chat(name ? NULL : accel_model_gguf(model), name, out);
}

void accel_chat_free(struct accel_chat *c)
{
	if (!c)
		return;
	free(c->own_user);
	free(c);
}

const char *accel_chat_name(const struct accel_chat *c)
{
	return c->format->name;
}

const char *const *accel_chat_stops(const struct accel_chat *c)
{
	return c->format->stops;
}

/* ---- writing ---- */

struct writer {
	const struct chat_format *f;
	const struct accel_chat_message *messages;
	size_t n;		/* of them */
	char *out;		/* NULL: only counting */
	size_t at;		/* bytes so far */
	size_t from;		/* those before are not written */
	size_t held;		/* messages of the system that wait are among the first so many */
	size_t text_end;	/* where the text of the newest message ended */
	struct span *said;	/* [n] what is not the format's but said; NULL: not wanted */
	size_t n_said;
};

static void put(struct writer *w, const char *s, size_t n)
{
	for (size_t i = 0; w->out && i < n; i++)
		if (w->at + i >= w->from)
			w->out[w->at + i - w->from] = s[i];
	w->at += n;
}

static void put_text(struct writer *w, const char *s)
{
	if (s)
		put(w, s, strlen(s));
}

/* What somebody said. */
static void put_said(struct writer *w, const char *s, size_t n)
{
	if (w->said && n)
		w->said[w->n_said++] = (struct span) { w->at, w->at + n };
	put(w, s, n);
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The message without white space at its ends. */
static const char *trimmed(const struct accel_chat_message *m, size_t *n)
{
	size_t begin = 0, end = m->n;

	while (begin < end && is_space(m->text[begin]))
		begin++;
	while (end > begin && is_space(m->text[end - 1]))
		end--;
	*n = end - begin;
	return m->text + begin;
}

static bool is_role(const struct accel_chat_message *m, const char *role)
{
	return !strcmp(m->role, role);
}

/* The system's messages before message i that wait; they were said, if to nobody in particular. */
static void put_held(struct writer *w, size_t i)
{
	bool any = false;
	const char *s;
	size_t n;

	for (size_t k = w->held; k < i; k++) {
		if (!is_role(&w->messages[k], "system"))
			continue;
		s = trimmed(&w->messages[k], &n);
		put_said(w, s, n);
		any |= n > 0;
	}
	w->held = i;
	if (any)
		put_text(w, "\n\n");
}

static void put_pattern(struct writer *w, const char *p, size_t i)
{
	const struct accel_chat_message *m = &w->messages[i];
	const char *s;
	size_t n;

	w->text_end = w->at;
	for (; *p; p++) {
		if (*p == *TEXT) {
			put_said(w, m->text, m->n);
			w->text_end = w->at;
		} else if (*p == *TRIM) {
			s = trimmed(m, &n);
			put_said(w, s, n);
			w->text_end = w->at;
		} else if (*p == *ROLE) {
			put_text(w, m->role);
		} else if (*p == *SYSTEM) {
			put_held(w, i);
		} else {
			put(w, p, 1);
		}
	}
}

/* NULL: the format has no place for the role. */
static const char *pattern_of(const struct chat_format *f, const char *role)
{
	const struct {
		const char *role, *pattern;
	} of[] = {
		{ "system", f->system }, { "user", f->user }, { "assistant", f->assistant },
		{ "tool", f->tool },
	};

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		if (!strcmp(role, of[i].role) && of[i].pattern)
			return of[i].pattern;
	if (f->any)
		return f->any;
	return strcmp(role, "tool") ? NULL : f->user;
}

/* Writes everything; *known_end: where what is known ends. */
static int write_all(struct writer *w, size_t known, uint32_t flags, size_t *known_end)
{
	const struct chat_format *f = w->f;
	bool inside = false, first = true;

	*known_end = 0;
	put_text(w, f->begin);
	if (!w->n || !is_role(&w->messages[0], "system"))
		put_text(w, f->without);
	for (size_t i = 0; i < w->n; i++) {
		const struct accel_chat_message *m = &w->messages[i];
		bool answer = is_role(m, "assistant");
		const char *p = pattern_of(f, m->role);

		if (f->hold && is_role(m, "system"))
			p = "";
		if (!p)
			return fail(
				-EINVAL,
				"the chat format \"%s\" has no place for a message of \"%.32s\"",
				f->name, m->role);
		if (!inside)
			put_text(w, first || !f->again ? f->open : f->again);
		first = false;
		inside = !answer;
		put_pattern(w, p, i);
		if (i + 1 == known)
			*known_end = answer ? w->text_end : w->at;
	}
	if (flags & ACCEL_CHAT_ANSWER)
		put_text(w, f->answer);
	return 0;
}

/*
 * White space that ended the answer is in the sequence though the format may have taken it away:
 * what goes on with the same is not said twice.
 */
static size_t overlap(const struct accel_chat_message *m, const char *s, size_t n)
{
	size_t len, tail;
	const char *t = trimmed(m, &len);

	tail = m->n - (t + len - m->text);
	return tail && tail <= n && !memcmp(s, t + len, tail) ? tail : 0;
}

struct written {
	char *text;		/* malloc'd */
	size_t from, n;		/* bytes of it that count */
	struct span *said;	/* malloc'd; places in what counts */
	size_t n_said;
};

static void written_end(struct written *t)
{
	free(t->text);
	free(t->said);
}

/* Those behind what is known, as places behind it. */
static void keep_spans(struct written *t, const struct writer *w, size_t from)
{
	for (size_t i = 0; i < w->n_said; i++) {
		struct span s = w->said[i];

		if (s.end <= from)
			continue;
		s.begin = s.begin > from ? s.begin - from : 0;
		s.end -= from;
		t->said[t->n_said++] = s;
	}
}

static int write_down(const struct accel_chat *c, const struct accel_chat_message *messages,
		      size_t n, size_t known, uint32_t flags, struct written *t)
{
	struct writer count = { .f = c->format, .messages = messages, .n = n }, w = count;
	size_t begin;
	int rc;

	*t = (struct written) { 0 };
	if (flags & ~ACCEL_CHAT_ANSWER)
		return fail(-EINVAL, "there is no flag 0x%x for a chat format", flags);
	if (known > n)
		return fail(-EINVAL, "%zu messages are known of %zu", known, n);
	rc = write_all(&count, known, flags, &begin);
	if (rc)
		return rc;
	t->n = count.at - begin;
	t->text = malloc(t->n + 1);
	t->said = calloc(n + 1, sizeof(*t->said));
	if (!t->text || !t->said) {
		written_end(t);
		return fail(-ENOMEM, "no memory for a conversation of %zu bytes", t->n);
	}
	w.out = t->text;
	w.from = begin;
	w.said = t->said;
	write_all(&w, known, flags, &begin);
	if (known && is_role(&messages[known - 1], "assistant"))
		t->from = overlap(&messages[known - 1], t->text, t->n);
	t->n -= t->from;
	keep_spans(t, &w, begin + t->from);
	return 0;
}

int accel_chat_format(const struct accel_chat *c, const struct accel_chat_message *messages,
		      size_t n, size_t known, uint32_t flags, char *out, size_t *size)
{
	struct written t;
	int rc = write_down(c, messages, n, known, flags, &t);

	if (rc)
		return rc;
	if (t.n > *size)
		rc = fail(-ENOSPC, "the conversation has %zu bytes, there is room for %zu", t.n,
			  *size);
	else if (t.n)
		memcpy(out, t.text + t.from, t.n);
	*size = t.n;
	written_end(&t);
	return rc;
}

int accel_chat_encode(const struct accel_chat *c, const struct accel_tokenizer *t,
		      const struct accel_chat_message *messages, size_t n, size_t known,
		      uint32_t flags, int32_t *ids, size_t *n_ids)
{
	/* What an answer is to follow is no whole text. */
	uint32_t how = ACCEL_ENCODE_SPECIAL | (known ? ACCEL_ENCODE_JOIN : ACCEL_ENCODE_BEGIN) |
		       (known || flags & ACCEL_CHAT_ANSWER ? 0 : ACCEL_ENCODE_END);
	struct written w;
	int rc = write_down(c, messages, n, known, flags, &w);

	if (rc)
		return rc;
	rc = tokenizer_encode(t, w.text + w.from, w.n, how, w.said, w.n_said, ids, n_ids);
	written_end(&w);
	return rc;
}
