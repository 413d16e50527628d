// SPDX-License-Identifier: MIT
/*
 * Conversations in files:
 *
 *	octans.session/1 BYTES SHA256\n		of what comes now, up to the sequence
 *	format NAME\n
 *	system BYTES\n text \n			if there is one
 *	known N\n				messages that the sequence begins with
 *	turn START KNOWN BYTES BYTES\n text \n text \n		each, all answered
 *	the sequence, as accel_seq_save() writes it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conversation.h"
#include "newfile.h"
#include "sha256.h"

#define MAGIC		"octans.session/1"
#define MAX_HEAD	(64u << 20)
#define MAX_LINE	128

/* ---- writing ---- */

static int put(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int put(struct bytes *b, const char *fmt, ...)
{
	char text[MAX_LINE];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return bytes_add(b, text, n);
}

static int put_text(struct bytes *b, const struct bytes *text)
{
	int rc = bytes_add(b, text->s ? text->s : "", text->n);

	return rc ? rc : bytes_add(b, "\n", 1);
}

static int put_head(struct bytes *b, const struct conversation *c, const char *format)
{
	int rc = put(b, "format %.64s\n", format);

	if (!rc && c->has_system) {
		rc = put(b, "system %zu\n", c->system.n);
		if (!rc)
			rc = put_text(b, &c->system);
	}
	if (!rc)
		rc = put(b, "known %zu\n", c->known);
	for (size_t i = 0; i < c->n && !rc; i++) {
		const struct turn *t = &c->turn[i];

		rc = put(b, "turn %u %zu %zu %zu\n", t->start, t->known, t->user.n, t->assistant.n);
		if (!rc)
			rc = put_text(b, &t->user);
		if (!rc)
			rc = put_text(b, &t->assistant);
	}
	return rc;
}

int conversation_save(const struct conversation *c, const struct running *run, const char *format,
		      const char *path)
{
	struct bytes head = { 0 };
	struct newfile f = { 0 };
	char hash[SHA256_TEXT], first[MAX_LINE];
	int rc = put_head(&head, c, format);

	if (!rc) {
		sha256_text(head.s, head.n, hash);
		snprintf(first, sizeof(first), "%s %zu %s\n", MAGIC, head.n, hash);
		rc = newfile_open(&f, path, 0600);
	}
	if (!rc)
		rc = newfile_write(&f, first, strlen(first));
	if (!rc)
		rc = newfile_write(&f, head.s, head.n);
	if (!rc && accel_seq_save(run->seq, f.fd))
		rc = complain(EXIT_FAILED, "%s: %s", path, accel_error());
	if (!rc)
		rc = newfile_keep(&f);
	newfile_drop(&f);
	free(head.s);
	return rc;
}

/* ---- reading ---- */

struct scan {
	const char *p;
	size_t left;
	char *why;
	size_t len;
};

static int bad(const struct scan *s, const char *what)
{
	snprintf(s->why, s->len, "it is damaged: %s", what);
	return -EINVAL;
}

/* The next line, without its end. */
static bool next_line(struct scan *s, char line[MAX_LINE])
{
	const char *end = memchr(s->p, '\n', s->left);
	size_t n = end ? (size_t)(end - s->p) : 0;

	if (!end || n >= MAX_LINE)
		return false;
	memcpy(line, s->p, n);
	line[n] = 0;
	s->p += n + 1;
	s->left -= n + 1;
	return true;
}

/* A word, and so many numbers: nothing else. */
static bool read_line(struct scan *s, const char *word, size_t n, unsigned long long *v)
{
	char line[MAX_LINE], *p = line, *end;
	struct scan before = *s;

	if (!next_line(s, line) || strncmp(line, word, strlen(word))) {
		*s = before;
		return false;
	}
	p += strlen(word);
	for (size_t i = 0; i < n; i++, p = end) {
		errno = 0;
		if (p[0] != ' ' || p[1] < '0' || p[1] > '9')
			return false;
		v[i] = strtoull(p + 1, &end, 10);
		if (errno || v[i] > MAX_HEAD)
			return false;
	}
	return !*p;
}

static int read_text(struct scan *s, size_t n, struct bytes *b)
{
	if (n >= s->left || s->p[n] != '\n')
		return bad(s, "a message is cut off");
	if (bytes_add(b, s->p, n))
		return -ENOMEM;
	s->p += n + 1;
	s->left -= n + 1;
	return 0;
}

static int read_turn(struct scan *s, struct conversation *c)
{
	unsigned long long v[4];
	uint32_t before = c->n ? c->turn[c->n - 1].start : 0;
	struct turn *t;
	int err;

	if (!read_line(s, "turn", 4, v) || v[0] < before || v[1] > c->has_system + 2 * c->n ||
	    v[1] > c->known || !v[2] || v[2] >= s->left)
		return bad(s, "a turn is not as it should be");
	if (conversation_ask(c, s->p, v[2], v[0]))
		return -ENOMEM;
	t = &c->turn[c->n - 1];
	t->known = v[1];
	t->answered = true;
	s->p += v[2];
	s->left -= v[2];
	err = *s->p == '\n' ? 0 : bad(s, "a message is cut off");
	s->p++;
	s->left--;
	return err ? err : read_text(s, v[3], &t->assistant);
}

static int read_body(struct scan *s, const char *format, struct conversation *c)
{
	unsigned long long v;
	char line[MAX_LINE];
	int err = 0;

	if (!next_line(s, line) || strncmp(line, "format ", 7))
		return bad(s, "it names no format");
	if (strcmp(line + 7, format)) {
		snprintf(s->why, s->len, "its chat format is \"%s\", here it is \"%s\"", line + 7, format);
		return -EINVAL;
	}
	c->has_system = read_line(s, "system", 1, &v);
	if (c->has_system)
		err = read_text(s, v, &c->system);
	if (err)
		return err;
	if (!read_line(s, "known", 1, &v))
		return bad(s, "it does not say what the sequence knows");
	c->known = v;
	while (s->left && !err)
		err = read_turn(s, c);
	if (!err && c->known > c->has_system + 2 * c->n)
		err = bad(s, "the sequence knows more than was said");
	return err;
}

int conversation_parse(const char *text, size_t n, const char *format, struct conversation *c, char *why,
		       size_t len)
{
	struct scan s = { .p = text, .left = n, .why = why, .len = len };
	int err;

	*c = (struct conversation) { 0 };
	snprintf(why, len, "there is no memory for it");
	err = read_body(&s, format, c);
	if (err)
		conversation_free(c);
	return err;
}

static int read_all(int fd, char *p, size_t n)
{
	while (n) {
		ssize_t part = read(fd, p, n);

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return part ? -errno : -EINVAL;
		p += part;
		n -= part;
	}
	return 0;
}

/* The first line, byte by byte: what follows is to be left in the file. */
static int read_first(int fd, size_t *size, char hash[SHA256_TEXT])
{
	char line[MAX_LINE] = "", want[MAX_LINE];
	unsigned long long n;

	for (size_t at = 0; at + 1 < sizeof(line); at++) {
		if (read_all(fd, line + at, 1))
			return -EINVAL;
		if (line[at] != '\n')
			continue;
		if (sscanf(line, MAGIC " %10llu %64[0-9a-f]", &n, hash) != 2 || n > MAX_HEAD)
			return -EINVAL;
		snprintf(want, sizeof(want), "%s %llu %s\n", MAGIC, n, hash);
		*size = n;
		return strcmp(line, want) ? -EINVAL : 0;
	}
	return -EINVAL;
}

static int read_head(int fd, const char *format, struct conversation *c, char *why, size_t len)
{
	char claim[SHA256_TEXT], hash[SHA256_TEXT], *head;
	size_t n;
	int err = read_first(fd, &n, claim);

	snprintf(why, len, "it is not a conversation that was saved");
	if (err)
		return err;
	snprintf(why, len, "it is damaged: its beginning is cut off");
	head = malloc(n + 1);
	err = head ? read_all(fd, head, n) : -ENOMEM;
	if (!err) {
		sha256_text(head, n, hash);
		snprintf(why, len, "it is damaged: its hash does not agree");
		err = strcmp(hash, claim) ? -EINVAL : 0;
	}
	if (!err)
		err = conversation_parse(head, n, format, c, why, len);
	free(head);
	return err;
}

/* The positions that turns begin at are those of this sequence. */
static bool fits(const struct conversation *c, const struct accel_seq *seq)
{
	return (!c->n || c->turn[c->n - 1].start <= accel_seq_length(seq)) && (c->known || !accel_seq_length(seq));
}

int conversation_load(struct conversation *c, struct running *run, const char *format, const char *path)
{
	struct conversation fresh = { 0 };
	struct accel_seq *seq = NULL;
	char why[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return complain(EXIT_FAILED, "%s cannot be opened: %s", path, strerror(errno));
	err = read_head(fd, format, &fresh, why, sizeof(why));
	if (!err) {
		err = accel_seq_load(run->engine, fd, &seq);
		snprintf(why, sizeof(why), "%s%s", accel_error(), err == -ENOSPC ? ": --ctx makes the context larger" : "");
	}
	close(fd);
	if (!err && !fits(&fresh, seq)) {
		snprintf(why, sizeof(why), "it is damaged: its sequence does not fit its messages");
		err = -EINVAL;
	}
	if (err) {
		conversation_free(&fresh);
		accel_seq_free(seq);
		return complain(EXIT_FAILED, "%s cannot be gone on with: %s", path, why);
	}
	accel_step_free(run->step);
	run->step = NULL;
	accel_seq_free(run->seq);
	run->seq = seq;
	conversation_free(c);
	*c = fresh;
	return EXIT_OK;
}
