/* SPDX-License-Identifier: MIT */
/* What was said in a conversation, how much of it is in the sequence, and the file that both are kept in. */
#ifndef ACCELCTL_CONVERSATION_H
#define ACCELCTL_CONVERSATION_H

#include <accel/text.h>

#include "compute.h"
#include "prompt.h"

struct turn {
	struct bytes user, assistant;
	bool answered;		/* else it is the last one */
	/* The sequence before this turn: its positions, and how many messages it knew. */
	uint32_t start;
	size_t known;
};

struct conversation {
	bool has_system;
	struct bytes system;
	struct turn *turn;
	size_t n;
	size_t known;		/* messages that the sequence begins with */
};

void conversation_free(struct conversation *c);
/* Forgets the turns from number n on; returns how many positions of the sequence are to be left. */
uint32_t conversation_cut(struct conversation *c, size_t n);
/* Adds a turn of the user; text is copied.  An exit code. */
int conversation_ask(struct conversation *c, const char *text, size_t n, uint32_t position);
/* All messages, malloc'd; what they point to is the conversation's.  NULL: no memory. */
struct accel_chat_message *conversation_messages(const struct conversation *c, size_t *n);

/*
 * Writes conversation and sequence to a file, which is replaced as a whole; reads one, which is checked and
 * replaces *c and run->seq.  format: of the chat, which is to be the file's.  Exit codes, after a
 * complaint; nothing is changed then.
 */
int conversation_save(const struct conversation *c, const struct running *run, const char *format,
		      const char *path);
int conversation_load(struct conversation *c, struct running *run, const char *format, const char *path);

/* The part of the file before the sequence, as its first line says how long it is.  0, or -EINVAL and a
 * sentence in why. */
int conversation_parse(const char *text, size_t n, const char *format, struct conversation *c, char *why,
		       size_t len);

#endif
