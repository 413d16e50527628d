/* SPDX-License-Identifier: MIT */
/* Chat formats: one entry of a table each (chat_formats.c). */
#ifndef ACCEL_CHAT_H
#define ACCEL_CHAT_H

#include <stdbool.h>
#include <stddef.h>

/* What stands for something in the patterns below. */
#define TEXT	"\1"	/* the message */
#define TRIM	"\2"	/* the message without white space at its ends */
#define ROLE	"\3"	/* its role */
#define SYSTEM	"\4"	/* what the messages of the system were, trimmed, and an empty line; once */

struct chat_format {
	const char *name;
	const char *begin;	/* before everything */
	const char *without;	/* the same if the first message is not the system's */
	/* Before the first message, and before the one after an answer (again, if it is set). */
	const char *open, *again;
	/* Messages by their role; any: of all that have no pattern.  A tool speaks as the user
	 * where neither says otherwise. */
	const char *system, *user, *assistant, *tool, *any;
	bool hold;		/* messages of the system wait for SYSTEM */
	const char *answer;	/* what makes the model answer */
	const char *stops[4];	/* texts that end an answer, the last is NULL */
};

extern const struct chat_format chat_formats[];	/* the last has no name */

/* What marks a template, in the order in which they are tried. */
struct chat_mark {
	const char *format;
	const char *has[5];	/* all of these */
};

extern const struct chat_mark chat_marks[];	/* the last has no format */

struct accel_chat;
struct gguf;

/* As accel_chat_new() with a model and no name, for what has a GGUF file and no model. */
int chat_new(const struct gguf *g, struct accel_chat **out);
/* NULL: there is none.  chat_recognise() takes a name as well, which some files have instead of a
 * template. */
const struct chat_format *chat_find(const char *name, size_t n);
const struct chat_format *chat_recognise(const char *pattern, size_t n);

#endif
